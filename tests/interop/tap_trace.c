/*
 * Frames as lines of text, see tap_trace.h. Sequence numbers count from the SYN's, where that was
 * seen.
 */
#include "tap_trace.h"

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/tcp.h"

#define TRACE_IP_OFF  ETHERNET_HEADER_BYTES
#define TRACE_TCP_OFF (ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES)

static uint32_t tap_trace_key(uint16_t from_be16, uint16_t to_be16)
{
    return ((uint32_t)from_be16 * 31u + to_be16) & 0xffffu;
}

/* NULL: no TCP. */
static const struct wire_tcp *trace_tcp(const uint8_t *frame, uint32_t len_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame + TRACE_IP_OFF);
    return len_bytes >= TRACE_TCP_OFF + TCP_HEADER_BYTES && frame[12] == 8 && frame[13] == 0 &&
                   ip->protocol == IPV4_PROTOCOL_TCP
               ? (const struct wire_tcp *)(frame + TRACE_TCP_OFF)
               : NULL;
}

void tap_trace_add(struct tap_trace *trace, const char *direction, const char *fate,
                   const uint8_t *frame, uint32_t len_bytes, uint64_t now_ns)
{
    struct tap_trace_frame *slot = &trace->frames[trace->count++ % TAP_TRACE_FRAMES];
    const struct wire_tcp *tcp = trace_tcp(frame, len_bytes);
    slot->at_ns = now_ns;
    slot->direction = direction;
    slot->fate = fate;
    slot->len_bytes = len_bytes;
    memcpy(slot->head, frame, len_bytes < TAP_TRACE_BYTES ? len_bytes : TAP_TRACE_BYTES);
    if (tcp != NULL && (tcp->flags & TCP_FLAG_SYN) != 0) {
        trace->first_seq[tap_trace_key(tcp->src_port_be16, tcp->dst_port_be16)] =
            rs_be32(tcp->seq_be32);
    }
}

static void trace_print_options(const struct tap_trace *trace, const struct wire_tcp *tcp,
                                FILE *out)
{
    struct tcp_options options = {0};
    const uint32_t bytes = tcp_header_bytes(tcp) - TCP_HEADER_BYTES;
    const uint32_t base = trace->first_seq[tap_trace_key(tcp->dst_port_be16, tcp->src_port_be16)];
    if (bytes == 0) {
        return;
    }
    if (!tcp_options_parse((const uint8_t *)tcp + TCP_HEADER_BYTES, bytes, &options)) {
        (void)fputs(" bad options", out);
    }
    if ((options.present & TCP_OPTION_MSS) != 0) {
        (void)fprintf(out, " mss %u", options.mss);
    }
    if ((options.present & TCP_OPTION_WSCALE) != 0) {
        (void)fprintf(out, " wscale %u", options.wscale);
    }
    if ((options.present & TCP_OPTION_SACK_OK) != 0) {
        (void)fputs(" sack-ok", out);
    }
    if ((options.present & TCP_OPTION_TIMESTAMPS) != 0) {
        (void)fprintf(out, " ts %u %u", options.tsval, options.tsecr);
    }
    for (uint32_t i = 0; i < options.sack_count; i++) {
        (void)fprintf(out, " sack %u:%u", options.sack[i].start - base, options.sack[i].end - base);
    }
}

static void trace_print_tcp(const struct tap_trace *trace, const struct tap_trace_frame *frame,
                            const struct wire_tcp *tcp, FILE *out)
{
    static const char letters[] = "FSRPAUEC";
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame->head + TRACE_IP_OFF);
    char flags[9];
    char src[INET_ADDRSTRLEN];
    char dst[INET_ADDRSTRLEN];
    unsigned count = 0;
    for (unsigned i = 0; i < 8; i++) {
        if ((tcp->flags & (1u << i)) != 0) {
            flags[count++] = letters[i];
        }
    }
    flags[count] = '\0';
    const uint32_t ours = trace->first_seq[tap_trace_key(tcp->src_port_be16, tcp->dst_port_be16)];
    const uint32_t peers = trace->first_seq[tap_trace_key(tcp->dst_port_be16, tcp->src_port_be16)];
    const uint32_t payload = ipv4_total_bytes(ip) - IPV4_HEADER_BYTES - tcp_header_bytes(tcp);
    (void)fprintf(out, "%s:%u > %s:%u %s seq %u",
                  inet_ntop(AF_INET, &ip->src_be32, src, sizeof(src)), rs_be16(tcp->src_port_be16),
                  inet_ntop(AF_INET, &ip->dst_be32, dst, sizeof(dst)), rs_be16(tcp->dst_port_be16),
                  flags, rs_be32(tcp->seq_be32) - ours);
    if ((tcp->flags & TCP_FLAG_ACK) != 0) {
        (void)fprintf(out, " ack %u", rs_be32(tcp->ack_be32) - peers);
    }
    (void)fprintf(out, " win %u len %u", rs_be16(tcp->window_be16), payload);
    if ((tcp->flags & TCP_FLAG_URG) != 0) {
        (void)fprintf(out, " urg %u", rs_be16(tcp->urgent_be16));
    }
    if ((ip->tos & 3) != 0) {
        (void)fprintf(out, " ecn %u", ip->tos & 3u);
    }
    trace_print_options(trace, tcp, out);
}

void tap_trace_print(const struct tap_trace *trace, FILE *out,
                     void (*between)(FILE *out, uint64_t until_ns))
{
    uint64_t first = trace->count > TAP_TRACE_FRAMES ? trace->count - TAP_TRACE_FRAMES : 0;
    (void)fprintf(out, "---- the last %llu of %llu frames\n",
                  (unsigned long long)(trace->count - first), (unsigned long long)trace->count);
    for (uint64_t i = first; i < trace->count; i++) {
        const struct tap_trace_frame *frame = &trace->frames[i % TAP_TRACE_FRAMES];
        const struct wire_tcp *tcp = trace_tcp(frame->head, frame->len_bytes);
        between(out, frame->at_ns);
        (void)fprintf(out, "%12.6f %-3s ", (double)(frame->at_ns - trace->start_ns) / 1e9,
                      frame->direction);
        if (tcp != NULL) {
            trace_print_tcp(trace, frame, tcp, out);
        } else {
            (void)fprintf(out, "type %02x%02x, IP protocol %u, %u bytes", frame->head[12],
                          frame->head[13], frame->head[23], frame->len_bytes);
        }
        (void)fprintf(out, "%s%s\n", frame->fate[0] != '\0' ? "  *** " : "", frame->fate);
    }
    between(out, UINT64_MAX);
}
