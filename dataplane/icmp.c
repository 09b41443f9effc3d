/*
 * ICMP, see icmp.h.
 */
#include "dataplane/icmp.h"

#include <string.h>

#include "dataplane/fragment.h"
#include "dataplane/stack_internal.h"
#include "dataplane/steer.h"
#include "dataplane/wire/udp.h"

#define ICMP_INTERVAL_NS (STACK_NS_PER_S / ICMP_RATE_PER_S)
#define ICMP_TTL         64
/* RFC 1812 4.3.2.3 lets an error quote as much as keeps it within 576 bytes. */
#define ICMP_QUOTE_MAX_BYTES (576u - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES)

void icmp_init(struct stack *stack)
{
    memset(&stack->icmp, 0, sizeof(stack->icmp));
}

bool icmp_limit_pass(const struct stack *stack, struct icmp_limit *limit)
{
    if (limit->due_ns < stack->now_ns) {
        limit->due_ns = stack->now_ns;
    }
    if (limit->due_ns - stack->now_ns > (ICMP_BURST_PKTS - 1) * ICMP_INTERVAL_NS) {
        return false;
    }
    limit->due_ns += ICMP_INTERVAL_NS;
    return true;
}

/* To where packet came from, from the address it came to. */
static struct ipv4_send icmp_back(const struct ipv4_packet *packet, uint32_t message_bytes)
{
    return (struct ipv4_send){
        .src_be32 = packet->header->dst_be32,
        .dst_be32 = packet->header->src_be32,
        .protocol = IPV4_PROTOCOL_ICMP,
        .ttl = ICMP_TTL,
        .header_bytes = IPV4_HEADER_BYTES,
        .payload_bytes = message_bytes,
    };
}

/* Sends a message whose data_bytes of data lie at data, back to where packet came from, from the
 * address it came to. */
static void icmp_reply(struct stack *stack, const struct ipv4_packet *packet, uint8_t type,
                       uint8_t code, uint32_t rest_be32, const uint8_t *data, uint32_t data_bytes)
{
    struct pkt pkt;
    STACK_COUNT(stack, icmp_made);
    if (!stack->nic->ops->tx_alloc(stack->nic, &pkt)) {
        STACK_COUNT(stack, tx_no_buffer);
        return;
    }
    uint8_t *message = pkt.data + IPV4_PAYLOAD_OFF;
    uint32_t message_bytes = ICMP_HEADER_BYTES + data_bytes;
    memcpy(message + ICMP_HEADER_BYTES, data, data_bytes);
    icmp_emit(message, type, code, rest_be32, message_bytes);
    const struct ipv4_send back = icmp_back(packet, message_bytes);
    ipv4_finish(stack, &pkt, &back);
    ipv4_output(stack, &pkt, packet->header->src_be32);
}

void icmp_send_error(struct stack *stack, const struct ipv4_packet *packet, uint8_t type,
                     uint8_t code)
{
    /* Never about a broadcast or multicast; ICMP errors and later fragments do not come here. */
    if (packet->multicast || packet->broadcast) {
        return;
    }
    if (!icmp_limit_pass(stack, &stack->icmp.errors)) {
        STACK_COUNT(stack, icmp_errors_limited);
        return;
    }
    uint32_t quote_bytes = ipv4_total_bytes(packet->header);
    if (quote_bytes > ICMP_QUOTE_MAX_BYTES) {
        quote_bytes = ICMP_QUOTE_MAX_BYTES;
    }
    icmp_reply(stack, packet, type, code, 0, (const uint8_t *)packet->header, quote_bytes);
}

/* The answer to a ping that needs several packets. */
static void icmp_echo_train(struct stack *stack, const struct ipv4_packet *packet)
{
    struct fragment_train train;
    struct wire_icmp header = *(const struct wire_icmp *)packet->payload;
    header.type = ICMP_ECHO_REPLY;
    header.checksum_be16 = 0;
    STACK_COUNT(stack, icmp_made);
    if (fragment_begin(stack, packet->payload_bytes, &train) != RS_OK) {
        STACK_COUNT(stack, tx_no_buffer);
        return;
    }
    uint64_t sum = fragment_fill(&train, &header, sizeof(header), packet->payload + sizeof(header));
    ((struct wire_icmp *)fragment_head(&train))->checksum_be16 = checksum_finish(sum);
    const struct ipv4_send back = icmp_back(packet, packet->payload_bytes);
    fragment_finish(stack, &train, &back);
    fragment_output(stack, &train, packet->header->src_be32);
}

static void icmp_echo(struct stack *stack, const struct ipv4_packet *packet)
{
    /* RFC 1122 3.2.2.6 allows to ignore a ping to a group; answering one helps an attacker. */
    if (packet->multicast || packet->broadcast) {
        STACK_COUNT(stack, icmp_echo_group);
        return;
    }
    if (!icmp_limit_pass(stack, &stack->icmp.echo)) {
        STACK_COUNT(stack, icmp_echo_limited);
        return;
    }
    STACK_COUNT(stack, icmp_echo_in);
    if (packet->payload_bytes + IPV4_HEADER_BYTES > stack->nic->mtu_bytes) {
        icmp_echo_train(stack, packet);
        return;
    }
    const struct wire_icmp *header = (const struct wire_icmp *)packet->payload;
    icmp_reply(stack, packet, ICMP_ECHO_REPLY, 0, header->rest_be32,
               packet->payload + ICMP_HEADER_BYTES, packet->payload_bytes - ICMP_HEADER_BYTES);
}

static enum rs_status icmp_error_status(const struct wire_icmp *header)
{
    if (header->type == ICMP_TIME_EXCEEDED) {
        return RS_NET_RESET;
    }
    switch (header->code) {
    case ICMP_UNREACHABLE_NET:
    case ICMP_UNREACHABLE_NET_UNKNOWN:
    case ICMP_UNREACHABLE_NET_PROHIBITED:
    case ICMP_UNREACHABLE_NET_TOS:
        return RS_NET_UNREACHABLE;
    case ICMP_UNREACHABLE_PROTOCOL:
    case ICMP_UNREACHABLE_PORT:
        return RS_PORT_UNREACHABLE;
    case ICMP_UNREACHABLE_FRAGMENTATION:
        return RS_MESSAGE_SIZE;
    default:
        return RS_HOST_UNREACHABLE;
    }
}

/* The header of a packet this host sent. Only its start is quoted, so its total length points
 * beyond the data; and of its fragments only the first one has the ports. */
static bool icmp_quote_ok(const struct stack *stack, const uint8_t *quote, uint32_t quote_bytes,
                          uint8_t protocol)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)quote;
    enum ipv4_check_result check = ipv4_check(quote, quote_bytes);
    return (check == IPV4_CHECK_OK || check == IPV4_CHECK_TOTAL_LENGTH) &&
           ip->protocol == protocol && ipv4_fragment_off_bytes(ip) == 0 &&
           route_is_own(stack, ip->src_be32);
}

/* The quote must be a UDP datagram this host sent: header, then at least the eight bytes that
 * RFC 792 promises, ports among them. */
static struct udp_socket *icmp_quoted_socket(const struct stack *stack, const uint8_t *quote,
                                             uint32_t quote_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)quote;
    if (!icmp_quote_ok(stack, quote, quote_bytes, IPV4_PROTOCOL_UDP) ||
        quote_bytes - ipv4_header_bytes(ip) < UDP_HEADER_BYTES) {
        return NULL;
    }
    uint32_t header_bytes = ipv4_header_bytes(ip);
    const struct wire_udp *udp = (const struct wire_udp *)(quote + header_bytes);
    return udp_demux(stack, ip->src_be32, udp->src_port_be16, ip->dst_be32, udp->dst_port_be16);
}

/* The same for a TCP segment. */
static bool icmp_quoted_segment(struct stack *stack, const struct wire_icmp *header,
                                const uint8_t *quote, uint32_t quote_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)quote;
    if (!icmp_quote_ok(stack, quote, quote_bytes, IPV4_PROTOCOL_TCP)) {
        return false;
    }
    uint32_t header_bytes = ipv4_header_bytes(ip);
    enum rs_status error = icmp_error_status(header);
    uint32_t mtu = error == RS_MESSAGE_SIZE ? rs_be32(header->rest_be32) & 0xffffu : 0;
    return tcp_icmp_error(stack, quote + header_bytes, quote_bytes - header_bytes, ip->src_be32,
                          ip->dst_be32, error, mtu);
}

/* A connection lives on one queue, a NIC steers ICMP by its addresses. True: the frame is another
 * queue's, and went there. */
static bool icmp_steer(struct stack *stack, const struct ipv4_packet *packet, const uint8_t *quote,
                       uint32_t quote_bytes)
{
    uint32_t queue_idx = steer_quoted(stack->nic->steering, quote, quote_bytes);
    if (queue_idx == STEER_NO_QUEUE || queue_idx == stack->nic->queue_idx ||
        !route_is_own(stack, ((const struct wire_ipv4 *)quote)->src_be32)) {
        return false;
    }
    stack_to_queue(stack, packet->pkt, queue_idx);
    return true;
}

static void icmp_error(struct stack *stack, const struct ipv4_packet *packet, bool handed)
{
    const struct wire_icmp *header = (const struct wire_icmp *)packet->payload;
    const uint8_t *quote = packet->payload + ICMP_HEADER_BYTES;
    uint32_t quote_bytes = packet->payload_bytes - ICMP_HEADER_BYTES;
    if (icmp_quoted_segment(stack, header, quote, quote_bytes)) {
        STACK_COUNT(stack, icmp_errors_in);
        return;
    }
    if (!handed && icmp_steer(stack, packet, quote, quote_bytes)) {
        return;
    }
    struct udp_socket *socket = icmp_quoted_socket(stack, quote, quote_bytes);
    if (socket == NULL) {
        STACK_COUNT(stack, icmp_no_socket);
        return;
    }
    STACK_COUNT(stack, icmp_errors_in);
    stack->upcalls.error(stack->upcalls.context, socket, icmp_error_status(header));
}

void icmp_input(struct stack *stack, const struct ipv4_packet *packet, bool handed)
{
    const struct wire_icmp *header = icmp_check(packet->payload, packet->payload_bytes);
    if (header == NULL) {
        STACK_COUNT(stack, icmp_malformed);
        return;
    }
    if (!icmp_checksum_ok(packet->payload, packet->payload_bytes)) {
        STACK_COUNT(stack, icmp_checksum);
        return;
    }
    switch (header->type) {
    case ICMP_ECHO:
        icmp_echo(stack, packet);
        break;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
        icmp_error(stack, packet, handed);
        break;
    default:
        STACK_COUNT(stack, icmp_ignored);
        break;
    }
}
