/*
 * UDP (RFC 768): the demux table, datagrams in and out, delivery between local sockets by a direct
 * call without a packet. Queue thread. Called by ipv4_input and by the queue's request code; calls
 * ipv4, neighbour and the deliver and error upcalls.
 */
#include "dataplane/udp.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"
#include "dataplane/wire/udp.h"

#define UDP_PAYLOAD_OFF    (IPV4_PAYLOAD_OFF + UDP_HEADER_BYTES)
#define UDP_OVERHEAD_BYTES (IPV4_HEADER_BYTES + UDP_HEADER_BYTES)

/* ---- sockets ---- */

void udp_socket_init(struct udp_socket *socket)
{
    memset(socket, 0, sizeof(*socket));
    socket->multicast_loop = true;
    socket->ttl = 128;
    socket->multicast_ttl = 1;
}

enum rs_status udp_socket_bind(struct stack *stack, struct udp_socket *socket, uint32_t local_be32,
                               uint16_t local_port_be16)
{
    if (socket->bound || local_port_be16 == 0) {
        return RS_INVALID;
    }
    if (local_be32 != 0 && !route_is_local(stack, local_be32) && !ipv4_is_multicast(local_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    socket->bound_be32 = local_be32;
    socket->local_be32 = local_be32;
    socket->local_port_be16 = local_port_be16;
    socket->bound = true;
    udp_table_insert(&stack->udp, socket);
    udp_port_insert(&stack->udp, socket);
    membership_socket_bound(stack, socket);
    return RS_OK;
}

/* The source of what this socket sends to dst: *src_be32, when the program named one. False: it is
 * none of ours, or cannot leave the host. */
static inline bool udp_source(const struct stack *stack, const struct udp_socket *socket,
                              uint32_t dst_be32, bool leaves, uint32_t *out)
{
    uint32_t src_be32 = *out;
    if (__builtin_expect(src_be32 != 0, 0) && !route_is_local(stack, src_be32)) {
        return false;
    }
    src_be32 = src_be32 != 0 ? src_be32 : socket->local_be32;
    if (src_be32 == 0 || ipv4_is_multicast(src_be32)) {
        src_be32 = route_source(stack, dst_be32);
    }
    *out = src_be32;
    return !leaves || route_is_own(stack, src_be32);
}

/* The address a socket gets with its peer, when this stack has the route. */
static enum rs_status udp_choose_local(const struct stack *stack, const struct udp_socket *socket,
                                       uint32_t peer_be32, uint32_t *local_be32)
{
    uint32_t next_hop_be32;
    enum route_kind kind = route_classify(stack, peer_be32);
    bool leaves = kind == ROUTE_UNICAST;
    if (kind == ROUTE_INVALID || (leaves && !route_next_hop(stack, peer_be32, &next_hop_be32))) {
        return RS_NET_UNREACHABLE;
    }
    if (kind == ROUTE_BROADCAST && !socket->broadcast) {
        return RS_ACCESS;
    }
    *local_be32 = socket->bound_be32;
    if (socket->bound_be32 == 0) {
        *local_be32 = route_source(stack, peer_be32);
    } else if (leaves && ipv4_is_loopback(socket->bound_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    return RS_OK;
}

enum rs_status udp_socket_connect(struct stack *stack, struct udp_socket *socket,
                                  uint32_t local_be32, uint32_t peer_be32, uint16_t peer_port_be16)
{
    if (!socket->bound) {
        return RS_INVALID;
    }
    if (peer_be32 == 0) {
        local_be32 = socket->bound_be32;
    } else if (peer_port_be16 == 0) {
        return RS_ADDR_NOT_AVAILABLE;
    } else if (local_be32 == 0) {
        enum rs_status status = udp_choose_local(stack, socket, peer_be32, &local_be32);
        if (status != RS_OK) {
            return status;
        }
    }
    udp_table_remove(&stack->udp, socket);
    socket->connected = peer_be32 != 0;
    socket->local_be32 = local_be32;
    socket->peer_be32 = peer_be32;
    socket->peer_port_be16 = peer_be32 != 0 ? peer_port_be16 : 0;
    udp_table_insert(&stack->udp, socket);
    return RS_OK;
}

static void udp_fanout_end(struct stack *stack, struct udp_fanout *fanout);

/* A socket that several sessions have may have one in each. */
static void udp_fanout_abandon(struct stack *stack, const struct udp_socket *sender)
{
    struct udp_fanout *fanout = stack->fanouts;
    while (fanout != NULL) {
        struct udp_fanout *next = fanout->next;
        if (fanout->sender == sender) {
            udp_fanout_end(stack, fanout);
        }
        fanout = next;
    }
}

void udp_send_abandon(struct stack *stack, struct udp_fanout *fanout)
{
    if (fanout->sender != NULL) {
        udp_fanout_end(stack, fanout);
    }
}

void udp_socket_close(struct stack *stack, struct udp_socket *socket)
{
    udp_fanout_abandon(stack, socket);
    membership_socket_closed(stack, socket);
    if (socket->bound) {
        udp_table_remove(&stack->udp, socket);
        udp_port_remove(stack, socket);
        socket->bound = false;
        socket->connected = false;
    }
}

enum rs_status udp_socket_member(struct stack *stack, struct udp_socket *socket,
                                 const struct rs_op_member *op)
{
    return membership_change(stack, socket, op);
}

/* ---- delivery ---- */

bool udp_offer(struct stack *stack, struct udp_socket *socket, const struct udp_datagram *datagram)
{
    STACK_COUNT(stack, deliveries_offered);
    if (stack->upcalls.deliver(stack->upcalls.context, socket, datagram)) {
        STACK_COUNT(stack, deliveries);
        return true;
    }
    STACK_COUNT(stack, recv_ring_full);
    return false;
}

/* A broadcast is for every socket of its port, whatever own address of the network it is bound to:
 * on Windows a program binds the address of the interface and gets the broadcasts of it. */
static void udp_deliver_broadcast(struct stack *stack, const struct udp_datagram *datagram,
                                  struct udp_fanout *fanout)
{
    struct udp_socket *socket = fanout->receiver;
    while (socket != NULL && fanout->looks_left > 0 && fanout->bytes_left > 0) {
        bool address = socket->local_be32 == 0 ||
                       route_hears_broadcast(stack, socket->local_be32, datagram->dst_be32) ||
                       (!stack->wire && ipv4_is_loopback(socket->local_be32));
        bool peer = !socket->connected || (socket->peer_be32 == datagram->src_be32 &&
                                           socket->peer_port_be16 == datagram->src_port_be16);
        fanout->looks_left--;
        if (socket->local_port_be16 == datagram->dst_port_be16 && address && peer) {
            fanout->bytes_left -= datagram->len_bytes;
            fanout->receivers++;
            fanout->taken += udp_offer(stack, socket, datagram) ? 1 : 0;
        }
        socket = socket->port_next;
    }
    fanout->receiver = socket;
}

/* Broadcast or multicast, from the wire or from here: whom to look at first. */
static void udp_fanout_begin(const struct stack *stack, const struct udp_datagram *datagram,
                             struct udp_fanout *fanout)
{
    bool multicast = (datagram->flags & RS_DGRAM_MULTICAST) != 0;
    fanout->member =
        multicast ? membership_first(stack, datagram->dst_be32, datagram->dst_port_be16) : NULL;
    fanout->receiver = multicast ? NULL : *udp_port_chain(&stack->udp, datagram->dst_port_be16);
    fanout->receivers = 0;
    fanout->taken = 0;
}

/* True: all receivers were offered it. */
static bool udp_deliver_group(struct stack *stack, const struct udp_datagram *datagram,
                              bool from_here, struct udp_fanout *fanout)
{
    if ((datagram->flags & RS_DGRAM_MULTICAST) != 0) {
        membership_deliver(stack, datagram, from_here, fanout);
    } else {
        udp_deliver_broadcast(stack, datagram, fanout);
    }
    return fanout->member == NULL && fanout->receiver == NULL;
}

/* ---- in ---- */

static bool udp_packet_ok(struct stack *stack, const struct ipv4_packet *packet)
{
    switch (udp_check(packet->payload, packet->payload_bytes)) {
    case UDP_CHECK_TRUNCATED:
        STACK_COUNT(stack, udp_truncated);
        return false;
    case UDP_CHECK_LENGTH:
        STACK_COUNT(stack, udp_length);
        return false;
    case UDP_CHECK_OK:
        break;
    }
    const struct wire_udp *header = (const struct wire_udp *)packet->payload;
    if (header->checksum_be16 == 0) {
        STACK_COUNT(stack, udp_no_checksum);
        return true;
    }
    uint32_t flags = packet->pkt->flags;
    bool ok = (flags & (PKT_RX_L4_CSUM_GOOD | PKT_RX_L4_CSUM_BAD)) != 0
                  ? (flags & PKT_RX_L4_CSUM_BAD) == 0
                  : udp_checksum_ok(packet->payload, rs_be16(header->len_be16),
                                    packet->header->src_be32, packet->header->dst_be32);
    if (!ok) {
        STACK_COUNT(stack, udp_checksum);
    }
    return ok;
}

void udp_input(struct stack *stack, const struct ipv4_packet *packet)
{
    if (!udp_packet_ok(stack, packet)) {
        return;
    }
    const struct wire_ipv4 *ip = packet->header;
    const struct wire_udp *header = (const struct wire_udp *)packet->payload;
    struct udp_datagram datagram = {
        .payload = packet->payload + UDP_HEADER_BYTES,
        .len_bytes = (uint32_t)rs_be16(header->len_be16) - UDP_HEADER_BYTES,
        .src_be32 = ip->src_be32,
        .dst_be32 = ip->dst_be32,
        .src_port_be16 = header->src_port_be16,
        .dst_port_be16 = header->dst_port_be16,
        .ttl = ip->ttl,
        .tos = ip->tos,
        .flags = packet->multicast   ? RS_DGRAM_MULTICAST
                 : packet->broadcast ? RS_DGRAM_BROADCAST
                                     : 0,
        .rx_tsc = packet->pkt->rx_tsc != 0 ? packet->pkt->rx_tsc : stack->now_tsc,
    };
    if (datagram.flags == 0) {
        struct udp_socket *socket = udp_demux(stack, ip->dst_be32, header->dst_port_be16,
                                              ip->src_be32, header->src_port_be16);
        if (socket == NULL) {
            STACK_COUNT(stack, udp_no_socket);
            icmp_send_error(stack, packet, ICMP_UNREACHABLE, ICMP_UNREACHABLE_PORT);
        } else if (udp_offer(stack, socket, &datagram)) {
            STACK_COUNT(stack, rx_delivered);
        } else {
            STACK_COUNT(stack, udp_receivers_full);
        }
        return;
    }
    struct udp_fanout result = {.looks_left = INT32_MAX, .bytes_left = INT64_MAX};
    udp_fanout_begin(stack, &datagram, &result);
    (void)udp_deliver_group(stack, &datagram, false, &result);
    if (result.taken > 0) {
        STACK_COUNT(stack, rx_delivered);
    } else if (result.receivers > 0) {
        STACK_COUNT(stack, udp_receivers_full);
    } else if (packet->multicast) {
        STACK_COUNT(stack, udp_no_member);
    } else {
        STACK_COUNT(stack, udp_no_socket);
    }
}

void udp_report_unsent(struct stack *stack, const struct pkt *pkt, enum rs_status error)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_BYTES);
    if (ip->protocol != IPV4_PROTOCOL_UDP || ipv4_fragment_off_bytes(ip) != 0) {
        return;
    }
    const struct wire_udp *header = (const struct wire_udp *)(pkt->data + IPV4_PAYLOAD_OFF);
    struct udp_socket *socket =
        udp_demux(stack, ip->src_be32, header->src_port_be16, ip->dst_be32, header->dst_port_be16);
    if (socket != NULL) {
        stack->upcalls.error(stack->upcalls.context, socket, error);
    }
}

/* ---- out ---- */

/* The datagram has left, as far as it will. */
static inline void udp_stamp(struct stack *stack, const struct udp_out *out)
{
    if (__builtin_expect(out->control != NULL, 0) && out->control->stamped) {
        stack->upcalls.stamped(stack->upcalls.context, out->control->stamp);
    }
}

static inline struct udp_datagram udp_out_datagram(const struct stack *stack,
                                                   const struct udp_socket *socket,
                                                   const struct udp_out *out, uint8_t flags)
{
    return (struct udp_datagram){
        .payload = out->payload,
        .len_bytes = out->len_bytes,
        .src_be32 = out->src_be32,
        .dst_be32 = out->dst_be32,
        .src_port_be16 = socket->local_port_be16,
        .dst_port_be16 = out->dst_port_be16,
        .ttl = out->ttl,
        .tos = out->tos,
        .flags = flags,
        .local = true,
        .rx_tsc = stack->now_tsc,
    };
}

/* Fills a transmit buffer with the datagram; the Ethernet header is still missing. */
static void udp_build(struct stack *stack, const struct udp_socket *socket,
                      const struct udp_out *out, struct pkt *pkt)
{
    uint8_t *udp = pkt->data + IPV4_PAYLOAD_OFF;
    uint16_t udp_bytes = (uint16_t)(UDP_HEADER_BYTES + out->len_bytes);
    udp_emit(udp, socket->local_port_be16, out->dst_port_be16, udp_bytes);
    if (out->len_bytes > 0) {
        memcpy(udp + UDP_HEADER_BYTES, out->payload, out->len_bytes);
    }
    /* The sum is taken over the copy: the client may change its memory meanwhile. */
    struct wire_udp *header = (struct wire_udp *)udp;
    if ((stack->nic->caps & NIC_CAP_TX_UDP_CSUM) != 0) {
        header->checksum_be16 = checksum_fold(
            checksum_pseudo(out->src_be32, out->dst_be32, IPV4_PROTOCOL_UDP, udp_bytes));
        pkt->flags |= PKT_TX_UDP_CSUM;
    } else {
        header->checksum_be16 = udp_checksum(udp, udp_bytes, out->src_be32, out->dst_be32);
    }
    ipv4_finish(stack, pkt,
                &(struct ipv4_send){
                    .src_be32 = out->src_be32,
                    .dst_be32 = out->dst_be32,
                    .protocol = IPV4_PROTOCOL_UDP,
                    .ttl = out->ttl,
                    .tos = out->tos,
                    .dont_fragment = socket->dont_fragment,
                    .header_bytes = IPV4_HEADER_BYTES,
                    .payload_bytes = udp_bytes,
                });
    udp_out_mark(out, pkt);
}

static enum rs_status udp_send_local(struct stack *stack, struct udp_socket *socket,
                                     const struct udp_out *out)
{
    struct udp_socket *receiver =
        udp_demux(stack, out->dst_be32, out->dst_port_be16, out->src_be32, socket->local_port_be16);
    if (receiver == NULL) {
        STACK_COUNT(stack, local_no_socket);
        stack->upcalls.error(stack->upcalls.context, socket, RS_PORT_UNREACHABLE);
        udp_stamp(stack, out);
        return RS_OK;
    }
    struct udp_datagram datagram = udp_out_datagram(stack, socket, out, 0);
    if (__builtin_expect(stack->capture != NULL, 0)) {
        capture_udp(stack->capture, stack->now_ns, &datagram);
    }
    if (udp_offer(stack, receiver, &datagram)) {
        STACK_COUNT(stack, local_delivered);
    } else {
        STACK_COUNT(stack, local_receivers_full);
    }
    udp_stamp(stack, out);
    return RS_OK;
}

/* Counts where a group datagram that does not leave the host ended. */
static void udp_count_local(struct stack *stack, const struct udp_fanout *fanout)
{
    if (fanout->taken > 0) {
        STACK_COUNT(stack, local_delivered);
    } else if (fanout->receivers > 0) {
        STACK_COUNT(stack, local_receivers_full);
    } else {
        STACK_COUNT(stack, local_no_socket);
    }
}

/* Not all receivers had their turn: the next call goes on from here. What left the host is counted
 * as sent already. */
static void udp_fanout_suspend(struct stack *stack, struct udp_socket *socket,
                               const struct udp_datagram *datagram, bool leaves,
                               struct udp_fanout *fanout)
{
    fanout->sender = socket;
    fanout->src_be32 = datagram->src_be32;
    fanout->dst_be32 = datagram->dst_be32;
    fanout->dst_port_be16 = datagram->dst_port_be16;
    fanout->flags = datagram->flags;
    fanout->ttl = datagram->ttl;
    fanout->tos = datagram->tos;
    fanout->leaves = leaves;
    fanout->next = stack->fanouts;
    stack->fanouts = fanout;
    if (leaves) {
        STACK_COUNT(stack, udp_sends);
    }
}

/* Delivered to all, or its sender is closed. */
static void udp_fanout_end(struct stack *stack, struct udp_fanout *fanout)
{
    struct udp_fanout **link = &stack->fanouts;
    while (*link != fanout) {
        link = &(*link)->next;
    }
    *link = fanout->next;
    fanout->sender = NULL;
    if (!fanout->leaves) {
        udp_count_local(stack, fanout);
        STACK_COUNT(stack, udp_sends);
    }
}

/* The caller has the same datagram in hand, or what its program made of it meanwhile. */
static enum rs_status udp_fanout_continue(struct stack *stack, struct udp_socket *socket,
                                          const void *payload, uint32_t len_bytes,
                                          struct udp_fanout *fanout)
{
    const struct udp_out out = {.payload = payload,
                                .len_bytes = len_bytes,
                                .src_be32 = fanout->src_be32,
                                .dst_be32 = fanout->dst_be32,
                                .dst_port_be16 = fanout->dst_port_be16,
                                .ttl = fanout->ttl,
                                .tos = fanout->tos};
    struct udp_datagram datagram = udp_out_datagram(stack, socket, &out, fanout->flags);
    if (!udp_deliver_group(stack, &datagram, true, fanout)) {
        return RS_WOULD_BLOCK;
    }
    udp_fanout_end(stack, fanout);
    return RS_OK;
}

static bool udp_fits_link(const struct stack *stack, const struct udp_out *out)
{
    return out->len_bytes <= stack->nic->mtu_bytes - UDP_OVERHEAD_BYTES;
}

/* False: no room now. out->payload becomes the frame's, so that wire and local receivers get the
 * same bytes; what has no frame of its own has left already. */
static bool udp_group_prepare(struct stack *stack, const struct udp_socket *socket,
                              struct udp_out *out, struct pkt *pkt)
{
    pkt->data = NULL;
    if (!udp_fits_link(stack, out)) {
        return udp_group_train(stack, socket, out) == RS_OK;
    }
    if (!stack_tx_ready(stack) || !stack->nic->ops->tx_alloc(stack->nic, pkt)) {
        return false;
    }
    udp_build(stack, socket, out, pkt);
    out->payload = pkt->data + UDP_PAYLOAD_OFF;
    return true;
}

static enum rs_status udp_send_group(struct stack *stack, struct udp_socket *socket,
                                     struct udp_out *out, uint8_t flags, struct udp_fanout *fanout)
{
    struct pkt pkt;
    /* A multicast TTL of 0 stays on the host (RFC 1112 6.1). */
    bool leaves = stack->wire && out->ttl > 0 && !stack->link_down;
    if (fanout->sender != NULL) {
        fanout->looks_left--; /* asking is not for nothing */
        return RS_WOULD_BLOCK;
    }
    if (leaves && !udp_group_prepare(stack, socket, out, &pkt)) {
        if (!stack_tx_missed(stack)) {
            return RS_WOULD_BLOCK;
        }
        leaves = false;
    }
    struct udp_datagram datagram = udp_out_datagram(stack, socket, out, flags);
    udp_fanout_begin(stack, &datagram, fanout);
    if (__builtin_expect(stack->capture != NULL, 0) && !leaves) {
        capture_udp(stack->capture, stack->now_ns, &datagram);
    }
    bool done = udp_deliver_group(stack, &datagram, true, fanout);
    if (leaves && pkt.data != NULL) {
        ipv4_output_group(stack, &pkt, out->dst_be32);
    } else if (!leaves) {
        udp_stamp(stack, out);
    }
    if (!done) {
        udp_fanout_suspend(stack, socket, &datagram, leaves, fanout);
        return RS_WOULD_BLOCK;
    }
    if (!leaves) {
        udp_count_local(stack, fanout);
    }
    return RS_OK;
}

/* No room towards the NIC: the sender waits, but not for one that is stuck. */
static enum rs_status udp_send_missed(struct stack *stack)
{
    if (!stack_tx_missed(stack)) {
        return RS_WOULD_BLOCK;
    }
    STACK_COUNT(stack, tx_stuck);
    return RS_OK;
}

static __attribute__((noinline)) enum rs_status udp_send_train(struct stack *stack,
                                                               const struct udp_socket *socket,
                                                               const struct udp_out *out,
                                                               struct neighbour *neighbour)
{
    struct fragment_train train;
    enum rs_status status = udp_build_train(stack, socket, out, &train);
    if (status == RS_OK) {
        neighbour_send_train(stack, neighbour, train.pkts, train.count);
    }
    return status == RS_WOULD_BLOCK ? udp_send_missed(stack) : status;
}

static enum rs_status udp_send_wire(struct stack *stack, struct udp_socket *socket,
                                    const struct udp_out *out)
{
    uint32_t next_hop_be32;
    if (stack->link_down) {
        STACK_COUNT(stack, send_link_down);
        return RS_NET_DOWN;
    }
    if (!route_next_hop(stack, out->dst_be32, &next_hop_be32)) {
        STACK_COUNT(stack, send_no_route);
        return RS_NET_UNREACHABLE;
    }
    if (!stack_tx_ready(stack)) {
        return udp_send_missed(stack);
    }
    struct neighbour *neighbour = neighbour_get(stack, next_hop_be32);
    if (neighbour == NULL) {
        STACK_COUNT(stack, neighbour_table_full);
        return RS_NO_BUFFERS;
    }
    if (neighbour_is_dead(stack, neighbour)) {
        STACK_COUNT(stack, send_neighbour_dead);
        return RS_HOST_UNREACHABLE;
    }
    if (__builtin_expect(!udp_fits_link(stack, out), 0)) {
        return udp_send_train(stack, socket, out, neighbour);
    }
    struct pkt pkt;
    if (!stack->nic->ops->tx_alloc(stack->nic, &pkt)) {
        return udp_send_missed(stack);
    }
    udp_build(stack, socket, out, &pkt);
    neighbour_send(stack, neighbour, &pkt);
    return RS_OK;
}

static enum rs_status udp_send_by_kind(struct stack *stack, struct udp_socket *socket,
                                       struct udp_out *out, struct udp_fanout *fanout)
{
    enum route_kind kind = route_classify(stack, out->dst_be32);
    bool stays = kind == ROUTE_LOCAL || !stack->wire;
    if (out->len_bytes > RS_DGRAM_MAX_BYTES ||
        (socket->dont_fragment && !stays && !udp_fits_link(stack, out))) {
        STACK_COUNT(stack, send_too_big);
        return RS_MESSAGE_SIZE;
    }
    if (!socket->bound || !udp_source(stack, socket, out->dst_be32, !stays, &out->src_be32)) {
        STACK_COUNT(stack, send_bad_source);
        return socket->bound ? RS_ADDR_NOT_AVAILABLE : RS_INVALID;
    }
    switch (kind) {
    case ROUTE_LOCAL:
        return udp_send_local(stack, socket, out);
    case ROUTE_UNICAST:
        if (__builtin_expect(out->ttl == 0, 0)) { /* RFC 1122 3.2.1.7; of a socket it is not 0 */
            STACK_COUNT(stack, send_bad_source);
            return RS_INVALID;
        }
        return udp_send_wire(stack, socket, out);
    case ROUTE_MULTICAST:
        if (out->control == NULL || !out->control->ttl_set) {
            out->ttl = socket->multicast_ttl;
        }
        return udp_send_group(stack, socket, out, RS_DGRAM_MULTICAST, fanout);
    case ROUTE_BROADCAST:
        if (!socket->broadcast) {
            STACK_COUNT(stack, send_broadcast_denied);
            return RS_ACCESS;
        }
        return udp_send_group(stack, socket, out, RS_DGRAM_BROADCAST, fanout);
    case ROUTE_INVALID:
        break;
    }
    STACK_COUNT(stack, send_no_route);
    return RS_NET_UNREACHABLE;
}

enum rs_status udp_send_part(struct stack *stack, struct udp_socket *socket, uint32_t dst_be32,
                             uint16_t dst_port_be16, const void *payload, uint32_t len_bytes,
                             const struct udp_control *control, struct udp_fanout *fanout)
{
    if (fanout->sender != NULL && fanout->sender == socket) {
        return udp_fanout_continue(stack, socket, payload, len_bytes, fanout);
    }
    struct udp_out out = {
        .payload = payload,
        .len_bytes = len_bytes,
        .dst_be32 = dst_be32,
        .dst_port_be16 = dst_port_be16,
        .ttl = socket->ttl,
        .tos = socket->tos,
    };
    if (__builtin_expect(control != NULL, 0)) {
        udp_out_control(&out, control);
    }
    if (dst_be32 == 0) {
        out.dst_be32 = socket->peer_be32;
        out.dst_port_be16 = socket->peer_port_be16;
    }
    enum rs_status status;
    if (out.dst_be32 == 0 || out.dst_port_be16 == 0) {
        STACK_COUNT(stack, send_no_destination);
        status = out.dst_be32 == 0 ? RS_DEST_REQUIRED : RS_ADDR_NOT_AVAILABLE;
    } else {
        status = udp_send_by_kind(stack, socket, &out, fanout);
    }
    /* Only a send that will be tried again is none yet. */
    if (status != RS_WOULD_BLOCK) {
        STACK_COUNT(stack, udp_sends);
    }
    return status;
}

enum rs_status udp_send(struct stack *stack, struct udp_socket *socket, uint32_t dst_be32,
                        uint16_t dst_port_be16, const void *payload, uint32_t len_bytes,
                        const struct udp_control *control)
{
    struct udp_fanout fanout = {.looks_left = INT32_MAX, .bytes_left = INT64_MAX};
    return udp_send_part(stack, socket, dst_be32, dst_port_be16, payload, len_bytes, control,
                         &fanout);
}

/* ---- a send that is expected ---- */

static void udp_warm_wire(struct stack *stack, const struct udp_socket *socket,
                          const struct udp_out *out)
{
    const uint16_t ip_id = stack->ip_id;
    uint32_t next_hop_be32;
    struct pkt pkt;
    if (!udp_fits_link(stack, out) || !route_next_hop(stack, out->dst_be32, &next_hop_be32) ||
        !stack_tx_ready(stack) || !stack->nic->ops->tx_alloc(stack->nic, &pkt)) {
        return;
    }
    udp_build(stack, socket, out, &pkt);
    neighbour_warm(stack, next_hop_be32, &pkt);
    stack->nic->ops->tx_free(stack->nic, &pkt);
    stack->ip_id = ip_id;
    __builtin_prefetch(&stack->tx_pkts[stack->tx_tail & (STACK_TX_QUEUE_PKTS - 1)], 1);
}

struct udp_socket *udp_warm(struct stack *stack, const struct udp_socket *socket,
                            const void *payload, uint32_t len_bytes)
{
    struct udp_out out = {.payload = payload,
                          .len_bytes = len_bytes,
                          .dst_be32 = socket->peer_be32,
                          .dst_port_be16 = socket->peer_port_be16,
                          .ttl = socket->ttl,
                          .tos = socket->tos};
    if (!socket->bound || !socket->connected) {
        return NULL;
    }
    enum route_kind kind = route_classify(stack, out.dst_be32);
    bool leaves = kind == ROUTE_UNICAST && stack->wire;
    if ((!leaves && kind != ROUTE_LOCAL) ||
        !udp_source(stack, socket, out.dst_be32, leaves, &out.src_be32)) {
        return NULL;
    }
    if (leaves) {
        udp_warm_wire(stack, socket, &out);
        return NULL;
    }
    return udp_demux(stack, out.dst_be32, out.dst_port_be16, out.src_be32, socket->local_port_be16);
}
