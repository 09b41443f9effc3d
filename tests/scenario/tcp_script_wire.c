/*
 * Segments in and out of the TCP script language, the handshake and the way to each state; see
 * tcp_script.h.
 */
#include "tcp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ipv4.h"
#include "script_internal.h"

#define TEXT_MAX_BYTES 512

#define PRINT_TEXT(text, format)                           \
    char text[TEXT_MAX_BYTES];                             \
    do {                                                   \
        va_list args;                                      \
        va_start(args, format);                            \
        (void)vsnprintf(text, sizeof(text), format, args); \
        va_end(args);                                      \
    } while (0)

/* ---- flows ---- */

void script_on_flow(const char *own, const char *peer)
{
    tcp_flow_select(tcp_flow_between(ip_of(own), port_of(own), ip_of(peer), port_of(peer)));
}

void script_new_incarnation(void)
{
    script_trace("a new incarnation:");
    tcp_flow_forget(tcp_flow_selected());
}

/* ---- in ---- */

static void inject_line(const struct tcp_line *line)
{
    struct frame frame = tcp_flow_frame(tcp_flow_selected(), line);
    script_inject(&frame);
}

struct frame frame_tcp(const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line line = tcp_line_parse(text);
    return tcp_flow_frame(tcp_flow_selected(), &line);
}

void script_inject_tcp(const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line line = tcp_line_parse(text);
    inject_line(&line);
}

/* The next part, of at most so many bytes, of a line that tells of several segments; false: that
 * was the last one. */
static bool next_part(const struct tcp_line *whole, uint32_t bytes, struct tcp_line *part)
{
    int64_t start = part->end;
    *part = *whole;
    part->seq = start;
    part->end = whole->end - start > bytes ? start + bytes : whole->end;
    if (part->end != whole->end) {
        part->flags &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
    }
    return part->seq != whole->end;
}

void script_inject_tcp_each(uint32_t bytes, const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line whole = tcp_line_parse(text);
    struct tcp_line part = {.end = whole.seq};
    while (next_part(&whole, bytes, &part)) {
        inject_line(&part);
    }
}

void script_inject_tcp_icmp(const char *from, uint8_t type, uint8_t code, uint16_t mtu, int64_t seq)
{
    const struct tcp_text_flow *flow = tcp_flow_selected();
    struct frame frame = {.len_bytes = 0};
    uint8_t *icmp = frame.data + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
    uint8_t *quote = icmp + ICMP_HEADER_BYTES;
    const struct wire_ipv4 quoted = {
        .version_ihl = 0x45,
        .total_len_be16 = rs_be16(1500),
        .fragment_be16 = rs_be16(IPV4_FLAG_DF),
        .ttl = 120,
        .protocol = IPV4_PROTOCOL_TCP,
        .src_be32 = flow->own_be32,
        .dst_be32 = flow->peer_be32,
    };
    ipv4_emit(quote, &quoted, true);
    uint32_t seq_be32 = rs_be32(flow->own_isn + (uint32_t)seq);
    memcpy(quote + IPV4_HEADER_BYTES, &flow->own_port_be16, 2);
    memcpy(quote + IPV4_HEADER_BYTES + 2, &flow->peer_port_be16, 2);
    memcpy(quote + IPV4_HEADER_BYTES + 4, &seq_be32, 4);
    uint32_t icmp_bytes = ICMP_HEADER_BYTES + IPV4_HEADER_BYTES + 8;
    icmp_emit(icmp, type, code, rs_be32(mtu), icmp_bytes);
    frame_ip(&frame, from, OWN, IPV4_PROTOCOL_ICMP, 64, icmp_bytes);
    script_trace("< icmp %u code %u mtu %u of %s about %lld", type, code, mtu, from,
                 (long long)seq);
    script_inject(&frame);
}

/* ---- out ---- */

static void expect_line(const struct tcp_line *want)
{
    char text[TEXT_MAX_BYTES];
    tcp_line_print(want, text, sizeof(text));
    struct out_frame *out = script_take_frame();
    if (out == NULL) {
        script_fail("nothing was sent, expected: %s", text);
    }
    const char *why = "";
    if (out->flow == NULL) {
        script_fail("sent, no segment: %s\n     expected: %s", out->line, text);
    }
    if (out->flow != tcp_flow_selected()) {
        script_fail("sent by another connection: %s\n     expected: %s", out->line, text);
    }
    if (!tcp_line_matches(want, &out->segment, &why)) {
        script_fail("%s of the segment:\n     sent:     %s\n     expected: %s", why, out->line,
                    text);
    }
    free(out);
}

void script_expect_tcp(const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line line = tcp_line_parse(text);
    expect_line(&line);
}

void script_allow_tcp(const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line line = tcp_line_parse(text);
    while (script.out_first != NULL) {
        expect_line(&line);
    }
}

void script_expect_tcp_each(uint32_t bytes, const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line whole = tcp_line_parse(text);
    struct tcp_line part = {.end = whole.seq};
    while (next_part(&whole, bytes, &part)) {
        expect_line(&part);
    }
}

void script_expect_tcp_after(uint64_t ms, const char *format, ...)
{
    PRINT_TEXT(text, format);
    struct tcp_line line = tcp_line_parse(text);
    script_trace("within %llu ms:", (unsigned long long)ms);
    script_expect_nothing();
    /* A timer may be a tick of the wheel late; early never. The time stands where the frame was
     * sent, so that the next wait counts from there. */
    script_advance_to(script.now_ns + ms * MS - 1);
    script_expect_nothing();
    script_advance_to_frame(script.now_ns + MS);
    expect_line(&line);
}

/* ---- the handshake ---- */

/* The oldest frame that came out must be a segment of the selected flow with SYN. */
static struct tcp_line take_syn(uint8_t flags)
{
    struct out_frame *out = script_take_frame();
    if (out == NULL || out->flow != tcp_flow_selected() ||
        (out->segment.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) != flags || out->segment.seq != 0 ||
        out->segment.problem[0] != '\0') {
        script_fail("no right SYN came out for the handshake, but: %s",
                    out != NULL ? out->line : "nothing");
    }
    struct tcp_line line = out->segment;
    free(out);
    return line;
}

static const char *peer_options(const struct conn_options *options)
{
    return options->options != NULL ? options->options : "mss 1460,sackOK,ts 0:0,wscale 7";
}

static uint32_t peer_window(const struct conn_options *options)
{
    return options->window != 0 ? options->window : 65535;
}

static server server_for(const struct conn_options *options)
{
    return script_listening(&(struct server_options){
        .local = options->local != NULL ? options->local : "any:7000",
        .send_bytes = options->send_bytes,
        .recv_bytes = options->recv_bytes,
        .settings = options->settings,
    });
}

static void select_passive(const struct conn_options *options)
{
    char own[32];
    const char *local = options->local != NULL ? options->local : "any:7000";
    (void)snprintf(own, sizeof(own), OWN "%s", strchr(local, ':'));
    script_on_flow(own, options->peer != NULL ? options->peer : PEER ":5000");
}

static conn established_passive(const struct conn_options *options)
{
    server s = server_for(options);
    select_passive(options);
    script_inject_tcp("S%s 0 win %u <%s>", options->ecn ? "EC" : "", peer_window(options),
                      peer_options(options));
    (void)take_syn(TCP_FLAG_SYN | TCP_FLAG_ACK);
    script_advance_ms(options->rtt_ms);
    script_inject_tcp("A 1 ack 1 win %u", peer_window(options));
    conn c = script_accepted(s);
    /* One such listener at a time, so that the next established() can have one, too. */
    script_close_server(s);
    if (options->recv_limit_bytes != 0) {
        script_set_recv_limit(c, options->recv_limit_bytes);
    }
    return c;
}

static conn established_active(const struct conn_options *options)
{
    conn c = script_connecting(options);
    (void)take_syn(TCP_FLAG_SYN);
    script_advance_ms(options->rtt_ms);
    script_inject_tcp("SA%s 0 ack 1 win %u <%s>", options->ecn ? "E" : "", peer_window(options),
                      peer_options(options));
    script_expect_tcp("A 1 ack 1");
    if (peer_window(options) > 65535) {
        script_inject_tcp("A 1 ack 1 win %u", peer_window(options));
    }
    return c;
}

conn script_established(const struct conn_options *options)
{
    conn c = options->passive ? established_passive(options) : established_active(options);
    script_expect_event(c, "CONNECTED");
    script_expect_state(c, TCP_ESTABLISHED);
    script_expect_nothing();
    script_trace("---- established ----");
    return c;
}

/* What is exchanged between ESTABLISHED and the state; each FIN has sequence number 1. */
static void reach(conn c, enum tcp_state state)
{
    if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK) {
        script_inject_tcp("FA 1 ack 1");
        script_expect_tcp("A 1 ack 2");
        script_expect_event(c, "END");
    }
    if (state == TCP_FIN_WAIT_1 || state == TCP_FIN_WAIT_2 || state == TCP_CLOSING ||
        state == TCP_LAST_ACK || state == TCP_TIME_WAIT) {
        script_shutdown_send(c, RS_OK);
        script_expect_tcp("FA 1 ack %d", state == TCP_LAST_ACK ? 2 : 1);
    }
    if (state == TCP_FIN_WAIT_2 || state == TCP_TIME_WAIT) {
        script_inject_tcp("A 1 ack 2");
    }
    if (state == TCP_CLOSING) {
        script_inject_tcp("FA 1 ack 1");
        script_expect_tcp("A 2 ack 2");
        script_expect_event(c, "END");
    }
    if (state == TCP_TIME_WAIT) {
        script_inject_tcp("FA 1 ack 2");
        script_expect_tcp("A 2 ack 2");
        script_expect_event(c, "END FINISHED");
    }
}

conn script_reached(enum tcp_state state, const struct conn_options *options)
{
    conn c;
    if (state == TCP_SYN_SENT || state == TCP_SYN_RECEIVED) {
        c = script_connecting(options);
        (void)take_syn(TCP_FLAG_SYN);
        if (state == TCP_SYN_RECEIVED) {
            script_inject_tcp("S 0 win %u <%s>", peer_window(options), peer_options(options));
            (void)take_syn(TCP_FLAG_SYN | TCP_FLAG_ACK);
        }
    } else {
        c = script_established(options);
        reach(c, state);
    }
    script_expect_state(c, state);
    script_expect_nothing();
    script_trace("---- %s ----", tcp_state_name(state));
    return c;
}
