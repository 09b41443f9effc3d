/*
 * IPv4: what a received packet must satisfy before a protocol sees it, and the header of what goes
 * out. Queue thread; see ipv4.h for who calls.
 */
#include "dataplane/ipv4.h"

#include <stddef.h>

#include "dataplane/icmp.h"
#include "dataplane/igmp.h"
#include "dataplane/stack_internal.h"

/* Counts why the header cannot be believed. A TTL of zero is no reason: RFC 1122 3.2.1.7 forbids a
 * host to discard a datagram for a TTL below 2. */
static bool ipv4_header_ok(struct stack *stack, const struct pkt *pkt, const uint8_t *data,
                           uint32_t len_bytes)
{
    switch (ipv4_check(data, len_bytes)) {
    case IPV4_CHECK_TRUNCATED:
        STACK_COUNT(stack, ip_truncated);
        return false;
    case IPV4_CHECK_VERSION:
        STACK_COUNT(stack, ip_version);
        return false;
    case IPV4_CHECK_HEADER_LENGTH:
        STACK_COUNT(stack, ip_header_length);
        return false;
    case IPV4_CHECK_TOTAL_LENGTH:
        STACK_COUNT(stack, ip_total_length);
        return false;
    case IPV4_CHECK_OK:
        break;
    }
    bool checked_by_nic = (pkt->flags & (PKT_RX_IP_CSUM_GOOD | PKT_RX_IP_CSUM_BAD)) != 0;
    bool ok = checked_by_nic ? (pkt->flags & PKT_RX_IP_CSUM_BAD) == 0
                             : ipv4_checksum_ok((const struct wire_ipv4 *)data);
    if (!ok) {
        STACK_COUNT(stack, ip_checksum);
    }
    return ok;
}

/* RFC 1122 3.2.1.3, RFC 6890: addresses that no packet from the wire can come from. 0.0.0.0 is what
 * an IGMP querier without an address uses (RFC 4541 2.1.1). */
static bool ipv4_source_ok(struct stack *stack, const struct pkt *pkt,
                           const struct wire_ipv4 *header)
{
    uint32_t src_be32 = header->src_be32;
    if (__builtin_expect(route_is_own(stack, src_be32), 0)) {
        STACK_COUNT(stack, ip_source_own);
        stack_notify(stack, STACK_NOTICE_SPOOFED_SOURCE, src_be32,
                     ((const struct wire_ethernet *)pkt->data)->src);
        return false;
    }
    if (route_is_elsewhere(stack, src_be32)) { /* no spoofing when two NICs are on one network */
        STACK_COUNT(stack, ip_source_own);
        return false;
    }
    bool querier = src_be32 == 0 && header->protocol == IPV4_PROTOCOL_IGMP;
    if (ipv4_is_loopback(src_be32) || ipv4_is_multicast(src_be32) || ipv4_is_reserved(src_be32) ||
        route_is_broadcast(stack, src_be32) || (ipv4_is_zero_net(src_be32) && !querier)) {
        STACK_COUNT(stack, ip_source_martian);
        return false;
    }
    return true;
}

static bool ipv4_destination_ok(struct stack *stack, const struct ipv4_packet *packet,
                                bool link_group)
{
    uint32_t dst_be32 = packet->header->dst_be32;
    if (route_is_own(stack, dst_be32)) {
        /* RFC 1122 3.3.6: what came as a link-layer broadcast must be an IP broadcast. */
        if (link_group) {
            STACK_COUNT(stack, ip_link_broadcast);
        }
        return !link_group;
    }
    if (packet->multicast || packet->broadcast) {
        return true;
    }
    if (ipv4_is_loopback(dst_be32) || ipv4_is_zero_net(dst_be32) || ipv4_is_reserved(dst_be32)) {
        STACK_COUNT(stack, ip_dest_martian);
    } else {
        STACK_COUNT(stack, ip_not_for_us);
    }
    return false;
}

void ipv4_deliver(struct stack *stack, const struct ipv4_packet *packet, bool handed)
{
    switch (packet->header->protocol) {
    case IPV4_PROTOCOL_UDP:
        udp_input(stack, packet);
        break;
    case IPV4_PROTOCOL_TCP:
        tcp_input(stack, packet);
        break;
    case IPV4_PROTOCOL_ICMP:
        icmp_input(stack, packet, handed);
        break;
    case IPV4_PROTOCOL_IGMP:
        if (stack->follower) {
            stack_to_leader(stack, packet->pkt, handed);
        } else {
            igmp_input(stack, packet);
        }
        break;
    default:
        STACK_COUNT(stack, ip_protocol);
        icmp_send_error(stack, packet, ICMP_UNREACHABLE, ICMP_UNREACHABLE_PROTOCOL);
        break;
    }
}

void ipv4_input(struct stack *stack, const struct pkt *pkt, bool link_group, bool handed)
{
    const uint8_t *data = pkt->data + ETHERNET_HEADER_BYTES;
    if (!stack->wire) {
        STACK_COUNT(stack, ip_not_for_us);
        return;
    }
    if (!ipv4_header_ok(stack, pkt, data, pkt->len_bytes - ETHERNET_HEADER_BYTES)) {
        return;
    }
    const struct wire_ipv4 *header = (const struct wire_ipv4 *)data;
    uint32_t header_bytes = ipv4_header_bytes(header);
    struct ipv4_packet packet = {
        .pkt = pkt,
        .header = header,
        .payload = data + header_bytes,
        .payload_bytes = ipv4_total_bytes(header) - header_bytes,
        .multicast = ipv4_is_multicast(header->dst_be32),
        .broadcast = route_is_broadcast(stack, header->dst_be32),
    };
    if (!ipv4_source_ok(stack, pkt, header) || !ipv4_destination_ok(stack, &packet, link_group)) {
        return;
    }
    if (__builtin_expect(ipv4_is_fragment(header), 0)) {
        reassembly_input(stack, &packet);
    } else {
        ipv4_deliver(stack, &packet, handed);
    }
}

uint16_t ipv4_next_id(struct stack *stack)
{
    uint16_t id = stack->ip_id;
    stack->ip_id = (uint16_t)(id + stack->ip_id_step);
    return id;
}

void ipv4_put_header(struct stack *stack, struct pkt *pkt, const struct ipv4_send *send,
                     uint16_t id, uint16_t place)
{
    bool offload = (stack->nic->caps & NIC_CAP_TX_IP_CSUM) != 0;
    uint32_t total_bytes = send->header_bytes + send->payload_bytes;
    struct wire_ipv4 fields = {
        .version_ihl = (uint8_t)(0x40 | send->header_bytes / 4),
        .tos = send->tos,
        .total_len_be16 = rs_be16((uint16_t)total_bytes),
        .id_be16 = rs_be16(id),
        .fragment_be16 = rs_be16(place),
        .ttl = send->ttl,
        .protocol = send->protocol,
        .src_be32 = send->src_be32,
        .dst_be32 = send->dst_be32,
    };
    ipv4_emit(pkt->data + ETHERNET_HEADER_BYTES, &fields, !offload);
    pkt->flags |= offload ? PKT_TX_IP_CSUM : 0u;
    pkt->len_bytes = ETHERNET_HEADER_BYTES + total_bytes;
}

void ipv4_finish(struct stack *stack, struct pkt *pkt, const struct ipv4_send *send)
{
    ipv4_put_header(stack, pkt, send, ipv4_next_id(stack), send->dont_fragment ? IPV4_FLAG_DF : 0);
}

void ipv4_output_group(struct stack *stack, struct pkt *pkt, uint32_t dst_be32)
{
    uint8_t mac[6];
    if (ipv4_is_multicast(dst_be32)) {
        ethernet_multicast_mac(mac, dst_be32);
    } else {
        ethernet_broadcast_mac(mac);
    }
    ethernet_emit(pkt->data, mac, stack->mac, ETHERNET_TYPE_IPV4);
    stack_transmit(stack, pkt);
}

static void ipv4_drop(struct stack *stack, struct pkt *pkts, uint32_t count, enum counter_id why)
{
    counter_add(&stack->counters, why, count);
    for (uint32_t i = 0; i < count; i++) {
        stack->nic->ops->tx_free(stack->nic, &pkts[i]);
    }
}

void ipv4_output_train(struct stack *stack, struct pkt *pkts, uint32_t count, uint32_t dst_be32)
{
    uint32_t next_hop_be32;
    if (!route_next_hop(stack, dst_be32, &next_hop_be32)) {
        ipv4_drop(stack, pkts, count, COUNTER_reply_no_route);
        return;
    }
    struct neighbour *neighbour = neighbour_get(stack, next_hop_be32);
    if (neighbour == NULL) {
        ipv4_drop(stack, pkts, count, COUNTER_neighbour_table_full);
        return;
    }
    neighbour_send_train(stack, neighbour, pkts, count);
}

void ipv4_output(struct stack *stack, struct pkt *pkt, uint32_t dst_be32)
{
    ipv4_output_train(stack, pkt, 1, dst_be32);
}
