/*
 * What sequence numbers and timestamps are relative to; lines into frames, frames into lines, see
 * tcp_text.h. Has its own idea of what a right segment is: it reads the options by itself.
 */
#include "tcp_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "script_internal.h"

#define FLOWS_MAX    8192
#define TTL_DEFAULT  128
#define OPTION_BYTES 40

static struct {
    struct tcp_text_flow flows[FLOWS_MAX];
    uint32_t count;
    struct tcp_text_flow *selected;
    uint32_t peer_isn, peer_ts_base;
} numbers;

uint8_t tcp_pattern_own(uint32_t pos)
{
    return (uint8_t)(pos * 7 + (pos >> 8) * 13 + 1);
}

uint8_t tcp_pattern_peer(uint32_t rel)
{
    return (uint8_t)(rel * 5 + (rel >> 8) * 11 + 3);
}

/* ---- flows ---- */

void tcp_flow_reset(uint32_t peer_isn, uint32_t peer_ts_base)
{
    numbers.count = 0;
    numbers.selected = NULL;
    numbers.peer_isn = peer_isn;
    numbers.peer_ts_base = peer_ts_base;
}

struct tcp_text_flow *tcp_flow_between(uint32_t own_be32, uint16_t own_port_be16,
                                       uint32_t peer_be32, uint16_t peer_port_be16)
{
    for (uint32_t i = 0; i < numbers.count; i++) {
        struct tcp_text_flow *flow = &numbers.flows[i];
        if (flow->own_be32 == own_be32 && flow->own_port_be16 == own_port_be16 &&
            flow->peer_be32 == peer_be32 && flow->peer_port_be16 == peer_port_be16) {
            return flow;
        }
    }
    if (numbers.count == FLOWS_MAX) {
        script_fail("more than %d pairs of addresses and ports", FLOWS_MAX);
    }
    struct tcp_text_flow *flow = &numbers.flows[numbers.count++];
    *flow = (struct tcp_text_flow){.own_be32 = own_be32,
                                   .peer_be32 = peer_be32,
                                   .own_port_be16 = own_port_be16,
                                   .peer_port_be16 = peer_port_be16,
                                   .peer_isn = numbers.peer_isn,
                                   .peer_ts_base = numbers.peer_ts_base,
                                   .peer_ts_ns = script.start_ns};
    tcp_flow_forget(flow);
    return flow;
}

void tcp_flow_select(struct tcp_text_flow *flow)
{
    numbers.selected = flow;
}

struct tcp_text_flow *tcp_flow_selected(void)
{
    return numbers.selected;
}

void tcp_flow_forget(struct tcp_text_flow *flow)
{
    flow->own_isn = flow->own_ts_base = flow->own_ts_last = 0;
    flow->own_isn_known = flow->own_ts_known = false;
    flow->own_wscale = flow->peer_wscale = TCP_LINE_NONE;
    flow->own_ts = flow->peer_ts = false;
    flow->own_syn = flow->peer_syn = false;
    flow->window = 65535;
}

/* Of windows that the peer, or we, announce; a SYN's is never scaled (RFC 7323 section 2.2). */
static uint32_t window_shift(const struct tcp_text_flow *flow, bool own, uint8_t flags)
{
    if (flow->own_wscale == TCP_LINE_NONE || flow->peer_wscale == TCP_LINE_NONE ||
        (flags & TCP_FLAG_SYN) != 0) {
        return 0;
    }
    int64_t shift = own ? flow->own_wscale : flow->peer_wscale;
    return shift > 14 ? 14 : (uint32_t)shift;
}

/* ---- line to frame ---- */

static void put_be32(uint8_t *at, uint32_t value)
{
    value = rs_be32(value);
    memcpy(at, &value, sizeof(value));
}

static uint32_t peer_ts_now(struct tcp_text_flow *flow, const struct tcp_line *line)
{
    if (!line->ts_auto) {
        if (line->ts_value > flow->peer_ts_rel) {
            flow->peer_ts_rel = line->ts_value;
            flow->peer_ts_ns = script.now_ns;
        }
        return flow->peer_ts_base + (uint32_t)line->ts_value;
    }
    return flow->peer_ts_base + (uint32_t)flow->peer_ts_rel +
           (uint32_t)((script.now_ns - flow->peer_ts_ns) / MS);
}

static uint32_t put_options(struct tcp_text_flow *flow, const struct tcp_line *line, uint8_t *out)
{
    uint32_t used = 0;
    uint8_t at[128];
    if (line->mss != TCP_LINE_NONE) {
        put_be32(at + used, 0x02040000u | (uint32_t)line->mss);
        used += 4;
    }
    if (line->sack_ok) {
        put_be32(at + used, 0x01010402u);
        used += 4;
    }
    if (line->ts_auto || line->ts_value != TCP_LINE_NONE) {
        /* 04 02 08 0a, as Linux packs it, where both are there. */
        used -= line->sack_ok ? 4 : 0;
        put_be32(at + used, line->sack_ok ? 0x0402080au : 0x0101080au);
        uint32_t echo = line->ts_auto        ? flow->own_ts_last
                        : flow->own_ts_known ? flow->own_ts_base + (uint32_t)line->ts_echo
                                             : (uint32_t)line->ts_echo;
        put_be32(at + used + 4, peer_ts_now(flow, line));
        put_be32(at + used + 8, echo);
        used += 12;
    }
    if (line->wscale != TCP_LINE_NONE) {
        put_be32(at + used, 0x01030300u | (uint32_t)line->wscale);
        used += 4;
    }
    if (line->sack_count != 0) {
        put_be32(at + used, 0x01010500u | (2 + 8 * line->sack_count));
        used += 4;
        for (uint32_t i = 0; i < line->sack_count; i++, used += 8) {
            put_be32(at + used, flow->own_isn + (uint32_t)line->sacks[i].start);
            put_be32(at + used + 4, flow->own_isn + (uint32_t)line->sacks[i].end);
        }
    }
    memcpy(at + used, line->raw, line->raw_count);
    used += line->raw_count;
    memset(at + used, 1, 4);
    used = (used + 3) & ~3u;
    if (used > OPTION_BYTES) {
        script_fail("%u bytes of options", used);
    }
    memcpy(out, at, used);
    return used;
}

static uint16_t header_window(struct tcp_text_flow *flow, const struct tcp_line *line)
{
    if (line->raw_window != TCP_LINE_NONE) {
        return (uint16_t)line->raw_window;
    }
    if (line->window != TCP_LINE_NONE) {
        flow->window = line->window;
    }
    int64_t window = flow->window >> window_shift(flow, false, line->flags);
    return (uint16_t)(window < 65535 ? window : 65535);
}

/* To our MAC, from the peer's or, when it is far away, the router's. */
static void put_ethernet(struct frame *frame, uint32_t peer_be32)
{
    uint8_t own[6];
    uint8_t peer[6] = {0x02, 0x00};
    mac_of(own, OWN);
    if ((peer_be32 & 0xffffffu) == (ip_of(OWN) & 0xffffffu)) {
        memcpy(peer + 2, &peer_be32, 4);
    } else {
        mac_of(peer, ROUTER);
    }
    ethernet_emit(frame->data, own, peer, ETHERNET_TYPE_IPV4);
}

struct frame tcp_flow_frame(struct tcp_text_flow *flow, const struct tcp_line *line)
{
    struct frame frame = {.len_bytes = 0};
    uint8_t *tcp = frame.data + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
    struct tcp_line full = *line;
    bool negotiated = flow->own_ts && flow->peer_ts;
    if (!line->has_options && negotiated && (line->flags & (TCP_FLAG_SYN | TCP_FLAG_RST)) == 0) {
        full.ts_auto = true;
    }
    uint32_t header_bytes = TCP_HEADER_BYTES + put_options(flow, &full, tcp + TCP_HEADER_BYTES);
    uint32_t payload_bytes = (uint32_t)(line->end - line->seq);
    if (line->end < line->seq ||
        payload_bytes > FRAME_MAX_BYTES - ETHERNET_HEADER_BYTES - IPV4_HEADER_BYTES - 60) {
        script_fail("a segment of %lld bytes", (long long)(line->end - line->seq));
    }
    struct wire_tcp header = {
        .src_port_be16 = flow->peer_port_be16,
        .dst_port_be16 = flow->own_port_be16,
        .seq_be32 = rs_be32(flow->peer_isn + (uint32_t)line->seq),
        .ack_be32 = line->ack == TCP_LINE_NONE ? 0 : rs_be32(flow->own_isn + (uint32_t)line->ack),
        .offset = (uint8_t)((line->offset_words != TCP_LINE_NONE ? (uint32_t)line->offset_words
                                                                 : header_bytes / 4)
                            << 4),
        .flags = line->flags,
        .window_be16 = rs_be16(header_window(flow, line)),
        .urgent_be16 = rs_be16((uint16_t)(line->urgent != TCP_LINE_NONE ? line->urgent : 0)),
    };
    memcpy(tcp, &header, sizeof(header));
    for (uint32_t i = 0; i < payload_bytes; i++) {
        tcp[header_bytes + i] = tcp_pattern_peer((uint32_t)line->seq + i) ^ (line->junk ? 0xff : 0);
    }
    uint16_t tcp_bytes = (uint16_t)(header_bytes + payload_bytes);
    uint64_t sum = checksum_pseudo(flow->peer_be32, flow->own_be32, IPV4_PROTOCOL_TCP, tcp_bytes);
    uint16_t checksum = checksum_finish(checksum_add(sum, tcp, tcp_bytes));
    ((struct wire_tcp *)tcp)->checksum_be16 = checksum ^ (line->bad_checksum ? 0x0101 : 0);
    const struct wire_ipv4 ip = {
        .version_ihl = 0x45,
        .tos = (uint8_t)((line->tos != TCP_LINE_NONE ? line->tos : 0) | line->ecn),
        .total_len_be16 = rs_be16((uint16_t)(IPV4_HEADER_BYTES + tcp_bytes)),
        .fragment_be16 = line->fragmentable ? 0 : rs_be16(IPV4_FLAG_DF),
        .ttl = (uint8_t)(line->ttl != TCP_LINE_NONE ? line->ttl : 64),
        .protocol = IPV4_PROTOCOL_TCP,
        .src_be32 = flow->peer_be32,
        .dst_be32 = flow->own_be32,
    };
    put_ethernet(&frame, flow->peer_be32);
    ipv4_emit(frame.data + ETHERNET_HEADER_BYTES, &ip, true);
    frame.len_bytes = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + tcp_bytes;
    return frame;
}

/* ---- frame to line ---- */

static void problem(struct tcp_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void problem(struct tcp_line *line, const char *format, ...)
{
    if (line->problem[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(line->problem, sizeof(line->problem), format, args);
        va_end(args);
    }
}

static uint32_t get_be32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return rs_be32(value);
}

static int64_t relative(uint32_t value, uint32_t base)
{
    return (int32_t)(value - base);
}

/* One option, its length right. sender, other: what its numbers are relative to. */
static void read_option(struct tcp_line *line, const uint8_t *at, uint32_t len, uint32_t ts_base,
                        uint32_t echo_base, uint32_t sack_base)
{
    if (at[0] == 2 && len == 4) {
        line->mss = at[2] << 8 | at[3];
    } else if (at[0] == 3 && len == 3) {
        line->wscale = at[2];
    } else if (at[0] == 4 && len == 2) {
        line->sack_ok = true;
    } else if (at[0] == 5 && len >= 10 && len <= 34 && len % 8 == 2) {
        for (uint32_t off = 2; off < len; off += 8) {
            struct tcp_line_sack *sack = &line->sacks[line->sack_count++ % TCP_LINE_SACKS];
            sack->start = relative(get_be32(at + off), sack_base);
            sack->end = relative(get_be32(at + off + 4), sack_base);
        }
    } else if (at[0] == 8 && len == 10) {
        line->ts_value = relative(get_be32(at + 2), ts_base);
        uint32_t echo = get_be32(at + 6);
        /* No echo yet is 0 on the wire. */
        line->ts_echo =
            (line->flags & TCP_FLAG_ACK) == 0 && echo == 0 ? 0 : relative(echo, echo_base);
    } else if (line->raw_count + len <= TCP_LINE_RAW_BYTES) {
        memcpy(line->raw + line->raw_count, at, len);
        line->raw_count += len;
    }
}

static void read_options(struct tcp_text_flow *flow, const uint8_t *at, uint32_t bytes, bool own,
                         struct tcp_line *line)
{
    line->has_options = true;
    for (uint32_t off = 0; off < bytes && at[off] != 0;) {
        if (at[off] == 1) {
            off++;
            continue;
        }
        uint32_t len = off + 1 < bytes ? at[off + 1] : 0;
        if (len < 2 || off + len > bytes) {
            problem(line, "(malformed options)");
            return;
        }
        if (at[off] == 8 && len == 10 && own) {
            uint32_t ts = get_be32(at + off + 2);
            flow->own_ts_base = flow->own_ts_known ? flow->own_ts_base : ts;
            flow->own_ts_known = true;
            flow->own_ts_last = ts;
        }
        read_option(line, at + off, len, own ? flow->own_ts_base : flow->peer_ts_base,
                    own ? flow->peer_ts_base : flow->own_ts_base,
                    own ? flow->peer_isn : flow->own_isn);
        off += len;
    }
}

/* What a SYN says for all that follows. */
static void learn_syn(struct tcp_text_flow *flow, bool own, const struct tcp_line *line)
{
    if (flow->own_syn && flow->peer_syn) {
        return;
    }
    if (own) {
        flow->own_syn = true;
        flow->own_wscale = line->wscale;
        flow->own_ts = line->ts_value != TCP_LINE_NONE;
    } else {
        flow->peer_syn = true;
        flow->peer_wscale = line->wscale;
        flow->peer_ts = line->ts_value != TCP_LINE_NONE;
    }
}

static void check_payload(struct tcp_line *line, const uint8_t *payload)
{
    int64_t syn = (line->flags & TCP_FLAG_SYN) != 0 ? 1 : 0;
    for (int64_t i = 0; i < line->end - line->seq; i++) {
        long long at = line->seq + i + syn;
        uint8_t want = tcp_pattern_own((uint32_t)(at - 1));
        if (payload[i] != want) {
            problem(line, "(byte %lld is 0x%02x, not 0x%02x)", at, payload[i], want);
        }
    }
}

static void check_own(struct tcp_line *line, const struct wire_ipv4 *ip, const uint8_t *tcp,
                      uint32_t len_bytes, bool checked)
{
    const struct wire_tcp *header = (const struct wire_tcp *)tcp;
    uint64_t sum =
        checksum_pseudo(ip->src_be32, ip->dst_be32, IPV4_PROTOCOL_TCP, (uint16_t)len_bytes);
    if (checked && !ipv4_checksum_ok(ip)) {
        problem(line, "(bad IP checksum)");
    }
    if (checksum_finish(checksum_add(sum, tcp, len_bytes)) != 0) {
        problem(line, "(bad TCP checksum)");
    }
    if (ipv4_total_bytes(ip) > script.queue->nic->mtu_bytes) {
        problem(line, "(%u bytes, more than the MTU)", ipv4_total_bytes(ip));
    }
    if ((header->offset & 0xf) != 0) {
        problem(line, "(reserved bits are set)");
    }
    if (line->urgent == TCP_LINE_NONE && header->urgent_be16 != 0) {
        problem(line, "(urgent pointer %u without U)", rs_be16(header->urgent_be16));
    }
    if (line->sack_count > TCP_LINE_SACKS) {
        problem(line, "(two SACK options)");
        line->sack_count = TCP_LINE_SACKS;
    }
    check_payload(line, tcp + tcp_header_bytes(header));
}

static struct tcp_text_flow *read_frame(const uint8_t *data, uint32_t len_bytes, bool own,
                                        bool checked, struct tcp_line *line)
{
    const struct wire_ethernet *ethernet = ethernet_check(data, len_bytes);
    if (ethernet == NULL || ethernet->type_be16 != rs_be16(ETHERNET_TYPE_IPV4)) {
        return NULL;
    }
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(data + ETHERNET_HEADER_BYTES);
    if (ipv4_check((const uint8_t *)ip, len_bytes - ETHERNET_HEADER_BYTES) != IPV4_CHECK_OK ||
        ip->protocol != IPV4_PROTOCOL_TCP || ipv4_is_fragment(ip)) {
        return NULL;
    }
    const uint8_t *tcp = (const uint8_t *)ip + ipv4_header_bytes(ip);
    uint32_t tcp_bytes = ipv4_total_bytes(ip) - ipv4_header_bytes(ip);
    if (tcp_check(tcp, tcp_bytes) != TCP_CHECK_OK) {
        return NULL;
    }
    const struct wire_tcp *header = (const struct wire_tcp *)tcp;
    struct tcp_text_flow *flow = own ? tcp_flow_between(ip->src_be32, header->src_port_be16,
                                                        ip->dst_be32, header->dst_port_be16)
                                     : tcp_flow_between(ip->dst_be32, header->dst_port_be16,
                                                        ip->src_be32, header->src_port_be16);
    if (own && (header->flags & TCP_FLAG_SYN) != 0 && !flow->own_isn_known) {
        flow->own_isn = rs_be32(header->seq_be32);
        flow->own_isn_known = true;
    }
    uint32_t payload_bytes = tcp_bytes - tcp_header_bytes(header);
    *line = tcp_line_parse("- 0");
    line->flags = header->flags;
    line->seq = relative(rs_be32(header->seq_be32), own ? flow->own_isn : flow->peer_isn);
    line->end = line->seq + payload_bytes;
    line->ack = (header->flags & TCP_FLAG_ACK) == 0
                    ? TCP_LINE_NONE
                    : relative(rs_be32(header->ack_be32), own ? flow->peer_isn : flow->own_isn);
    line->ecn = ip->tos & 3;
    line->tos = (ip->tos & 0xfc) != 0 ? ip->tos & 0xfc : TCP_LINE_NONE;
    line->ttl = own && ip->ttl == TTL_DEFAULT ? TCP_LINE_NONE : ip->ttl;
    line->fragmentable = (ip->fragment_be16 & rs_be16(IPV4_FLAG_DF)) == 0;
    line->urgent =
        (header->flags & TCP_FLAG_URG) == 0 ? TCP_LINE_NONE : rs_be16(header->urgent_be16);
    read_options(flow, tcp + TCP_HEADER_BYTES, tcp_header_bytes(header) - TCP_HEADER_BYTES, own,
                 line);
    if ((header->flags & TCP_FLAG_SYN) != 0) {
        learn_syn(flow, own, line);
    }
    line->raw_window = rs_be16(header->window_be16);
    line->window = line->raw_window << window_shift(flow, own, header->flags);
    if (own) {
        check_own(line, ip, tcp, tcp_bytes, checked);
    }
    return flow;
}

struct tcp_text_flow *tcp_flow_read(const struct frame *frame, bool own, bool checked,
                                    struct tcp_line *line, char *out, size_t size)
{
    struct tcp_text_flow *flow = read_frame(frame->data, frame->len_bytes, own, checked, line);
    if (flow == NULL) {
        return NULL;
    }
    char other[64] = "";
    if (flow != numbers.selected) {
        char own_ip[INET_ADDRSTRLEN];
        char peer_ip[INET_ADDRSTRLEN];
        (void)inet_ntop(AF_INET, &flow->own_be32, own_ip, sizeof(own_ip));
        (void)inet_ntop(AF_INET, &flow->peer_be32, peer_ip, sizeof(peer_ip));
        (void)snprintf(other, sizeof(other), "[%s:%u %s:%u] ", own_ip, rs_be16(flow->own_port_be16),
                       peer_ip, rs_be16(flow->peer_port_be16));
    }
    char text[LINE_MAX_BYTES];
    struct tcp_line shown = *line;
    shown.raw_window = TCP_LINE_NONE;
    shown.ttl = own ? line->ttl : TCP_LINE_NONE;
    tcp_line_print(&shown, text, sizeof(text));
    (void)snprintf(out, size, "%s%s", other, text);
    return flow;
}
