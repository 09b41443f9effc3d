/*
 * Packet scripts: attackers who cannot see the segments, and those who send many (RFC 5961, 5927,
 * 4987, 7323 section 5). The language is in tcp_script.h.
 */
#include "dataplane/stack_internal.h"

#include "tcp_script.h"

#include <stdio.h>

#define CHALLENGE_MS      500 /* of one connection, between two challenge ACKs */
#define CHALLENGES_LEAST  500 /* of the stack in a second: a random number that begins here */
#define CHALLENGES_BEYOND 1500

static uint64_t count_of(enum counter_id id)
{
    return counter_get(stack_counters(script_stack()), id);
}

/* A receive window of 32768 bytes: numbers 1 to 32768, no scale. */
static conn victim(void)
{
    return established(.recv_bytes = 32768);
}

/* ---- resets (RFC 5961 section 3) ---- */

static void a_reset_exactly_at_the_next_number_ends_it(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("R 1");
    expect_nothing();
    expect_error(c, RS_CONN_RESET);
}

static void a_reset_elsewhere_in_the_window_is_challenged(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("R 2");
    expect_tcp("A 1 ack 1");
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(CHALLENGE_MS);
    inject_tcp("R 32768");
    expect_tcp("A 1 ack 1");
    expect_state(c, TCP_ESTABLISHED);
    expect_count(tcp_reset_invalid, 2);
    inject_tcp("R 1"); /* what a peer that is really gone makes of the challenge */
    expect_error(c, RS_CONN_RESET);
}

static void a_reset_outside_the_window_is_ignored(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("R 0");
    inject_tcp("R -1000");
    inject_tcp("R 32770");
    inject_tcp("R 2147483647");
    expect_nothing();
    expect_state(c, TCP_ESTABLISHED);
    expect_count(tcp_out_of_window, 4);
}

/* RFC 7323 5.2: resets are not subject to PAWS. */
static void a_reset_with_an_old_timestamp_counts(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("R 1 <ts -1000:0>");
    expect_error(c, RS_CONN_RESET);
}

/* Without data the sequence number is at the peer's; an ACK number makes no reset right. */
static void the_acks_number_does_not_make_a_reset_right(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("RA 2 ack 1");
    expect_tcp("A 1 ack 1");
    expect_state(c, TCP_ESTABLISHED);
}

static void a_half_open_connection_is_reset_exactly_only(void **state)
{
    (void)state;
    server s = listening("any:7000");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("R 0");
    inject_tcp("R 100000");
    expect_nothing();
    inject_tcp("R 2");
    expect_tcp("A 1 ack 1");
    expect_flow_state(TCP_SYN_RECEIVED);
    inject_tcp("R 1");
    expect_nothing();
    expect_flow_state(TCP_CLOSED);
    close_server(s);
}

/* RFC 9293 3.10.7.3: in SYN_SENT a reset must acknowledge our SYN. */
static void in_syn_sent_a_reset_must_acknowledge_the_syn(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_SENT);
    inject_tcp("R 0");
    inject_tcp("RA 0 ack 0");
    inject_tcp("RA 0 ack 2");
    expect_nothing();
    expect_state(c, TCP_SYN_SENT);
    inject_tcp("RA 0 ack 1");
    expect_error(c, RS_CONN_REFUSED);
}

/* ---- SYNs (RFC 5961 section 4) ---- */

static void a_syn_is_challenged_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const syns[] = {"S 1",      "S 2",          "S 32768",
                                       "S -70000", "S 2000000000", "SA 1 ack 1"};
    conn c = victim();
    for (size_t i = 0; i < sizeof(syns) / sizeof(syns[0]); i++) {
        inject_tcp("%s", syns[i]);
        expect_tcp("A 1 ack 1");
        advance_ms(CHALLENGE_MS);
    }
    expect_state(c, TCP_ESTABLISHED);
    expect_count(tcp_syn_invalid, 6);
}

/* ---- data and ACKs (RFC 5961 section 5) ---- */

static void data_that_acknowledges_what_was_never_sent_is_refused(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("PA 1:101 ack 2");
    expect_tcp("A 1 ack 1");
    expect_readable(c, 0);
    inject_tcp("PA 1:101 ack 2000000000");
    expect_nothing(); /* the limit */
    expect_readable(c, 0);
    expect_count(tcp_ack_invalid, 2);
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
}

/* An ACK older than the largest window that the peer ever had is none of its. */
static void data_with_too_old_an_ack_is_refused(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460", .window = 1000);
    for (int i = 0; i < 2; i++) {
        write_bytes(c, 1000);
        expect_tcp("PA %d:%d ack 1", 1 + 1000 * i, 1001 + 1000 * i);
        inject_tcp("A 1 ack %d", 1001 + 1000 * i);
    }
    inject_tcp("PA 1:101 ack 1000");
    expect_tcp("A 2001 ack 1");
    expect_readable(c, 0);
    expect_count(tcp_ack_invalid, 1);
    inject_tcp("PA 1:101 ack 1001");
    expect_readable(c, 100);
    expect_tcp_after(40, "A 2001 ack 101");
}

static void data_outside_the_window_is_refused(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("PA 32770:32870 ack 1");
    expect_tcp("A 1 ack 1");
    inject_tcp("PA -1000:-900 ack 1"); /* data: it is a peer in need that may be asking */
    expect_tcp("A 1 ack 1");
    expect_readable(c, 0);
    expect_count(tcp_out_of_window, 2);
}

/* RFC 7323 5.3 R1. */
static void data_with_an_old_timestamp_is_refused(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("PA 1:101 ack 1 <ts -1:0>");
    expect_tcp("A 1 ack 1 <ts *:0>");
    expect_readable(c, 0);
    expect_count(tcp_paws, 1);
}

static void data_without_an_ack_is_refused(void **state)
{
    (void)state;
    conn c = victim();
    inject_tcp("P 1:101 <ts>");
    expect_nothing();
    expect_readable(c, 0);
    expect_count(tcp_no_ack, 1);
}

/* ---- limits on challenge ACKs (RFC 5961 section 7) ---- */

static void one_connection_challenges_twice_a_second(void **state)
{
    (void)state;
    conn c = victim();
    for (int i = 0; i < 3; i++) {
        inject_tcp("R 2");
        expect_tcp("A 1 ack 1");
        inject_tcp("R 2");
        inject_tcp("S 2");
        inject_tcp("A 1 ack 99");
        inject_tcp("A 99999 ack 1");
        advance_ms(CHALLENGE_MS - 1);
        inject_tcp("R 2");
        expect_nothing();
        advance_ms(1);
    }
    expect_count(tcp_challenges_out, 3);
    expect_count(tcp_challenges_limited, 15);
    expect_state(c, TCP_ESTABLISHED);
}

static conn victims[CHALLENGES_BEYOND + 100];
#define VICTIMS (sizeof(victims) / sizeof(victims[0]))

/* How many of them answer. */
static uint32_t challenge_all(void)
{
    uint32_t answers = 0;
    for (uint32_t i = 0; i < VICTIMS; i++) {
        uint64_t limited = count_of(COUNTER_tcp_challenges_limited);
        on_conn(victims[i]);
        inject_tcp("R 2");
        if (count_of(COUNTER_tcp_challenges_limited) == limited) {
            expect_tcp("A 1 ack 1");
            answers++;
        }
        expect_nothing();
    }
    return answers;
}

/* CVE-2016-5696: the limit of all connections together is not the same in each second, or one could
 * count what another connection has used of it. */
static void all_connections_together_have_a_limit_nobody_knows(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VICTIMS; i++) {
        char peer[32];
        (void)snprintf(peer, sizeof(peer), PEER ":%u", 10000 + i);
        victims[i] = established(.peer = peer, .send_bytes = 4096, .recv_bytes = 4096);
    }
    uint32_t first = challenge_all();
    assert_in_range(first, CHALLENGES_LEAST, CHALLENGES_BEYOND - 1);
    advance_ms(999); /* still the same second */
    assert_int_equal(challenge_all(), 0);
    advance_ms(1);
    uint32_t second = challenge_all();
    assert_in_range(second, CHALLENGES_LEAST, CHALLENGES_BEYOND - 1);
    assert_int_not_equal(first, second);
}

/* ---- ICMP (RFC 5927 section 4.1) ---- */

/* Only what quotes a number that is under way can be about our segment. */
static void icmp_about_what_is_not_under_way_is_ignored(void **state)
{
    (void)state;
    conn c = victim();
    inject_frag_needed(ROUTER, 1000, 1); /* nothing is */
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    inject_frag_needed(ROUTER, 1000, 0);
    inject_frag_needed(ROUTER, 1000, 101);
    inject_frag_needed(ROUTER, 1000, -2000000000);
    expect_nothing();
    expect_info(c, mss_bytes, 1448);
    expect_count(tcp_mtu_lowered, 0);
    inject_frag_needed(ROUTER, 1000, 100);
    expect_info(c, mss_bytes, 948);
    expect_count(tcp_mtu_lowered, 1);
    expect_nothing();
}

/* RFC 5927 5.2, RFC 1122 4.2.3.9: no error ends what is established. */
static void icmp_errors_do_not_end_a_connection(void **state)
{
    (void)state;
    conn c = victim();
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    for (uint8_t code = 0; code < 14; code++) {
        if (code != 4) {
            inject_tcp_unreachable(ROUTER, code, 1);
        }
    }
    inject_tcp_icmp(ROUTER, 11, 0, 0, 1);
    expect_nothing();
    expect_state(c, TCP_ESTABLISHED);
}

static void in_syn_sent_icmp_must_quote_the_syn(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_SENT);
    inject_tcp_unreachable(PEER, 3, 1);
    inject_tcp_unreachable(PEER, 3, -1);
    expect_state(c, TCP_SYN_SENT);
    inject_tcp_unreachable(PEER, 3, 0);
    expect_error(c, RS_CONN_REFUSED);
}

static void in_syn_sent_an_unreachable_host_is_told(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_SENT);
    inject_tcp_unreachable(ROUTER, 1, 0);
    expect_error(c, RS_HOST_UNREACHABLE);
    advance_ms(10000);
    expect_nothing();
}

/* ---- ports where nobody is (RFC 9293 3.5.2 group 1) ---- */

static void what_belongs_to_nothing_is_reset(void **state)
{
    (void)state;
    inject_tcp("A 10 ack 77");
    expect_tcp("R 77 <>");
    inject_tcp("S 10 <mss 1460>");
    expect_tcp("RA 0 ack 11 <>");
    inject_tcp("FP 10:20");
    expect_tcp("RA 0 ack 21 <>");
    inject_tcp("R 10");
    inject_tcp("RA 10 ack 77");
    expect_nothing();
    expect_count(tcp_no_socket, 5);
}

/* 50 at once, and one more each millisecond: as ICMP errors. */
static void resets_to_nobody_have_a_rate(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        inject_tcp("A 10 ack 77");
        expect_tcp("R 77");
    }
    inject_tcp("A 10 ack 77");
    expect_nothing();
    expect_count(tcp_resets_limited, 1);
    advance_ms(2);
    for (int i = 0; i < 2; i++) {
        inject_tcp("A 10 ack 77");
        expect_tcp("R 77");
    }
    inject_tcp("A 10 ack 77");
    expect_nothing();
    /* A connection's own reset does not wait for that. */
    conn c = connecting(PEER2 ":80");
    expect_tcp("S 0");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    abort_conn(c);
    expect_tcp("RA 1 ack 1");
    expect_gone(c);
}

/* RFC 9293 MUST-57: not even a reset goes to a group. */
static void segments_to_a_broadcast_are_ignored(void **state)
{
    (void)state;
    server s = listening("any:7000");
    struct frame frame = frame_tcp("S 0 <mss 1460>");
    uint32_t all_be32 = ip_of("10.0.0.255");
    memset(frame.data, 0xff, 6);
    memcpy(frame.data + 30, &all_be32, 4); /* the IPv4 destination */
    frame.flags = PKT_RX_L4_CSUM_GOOD;
    frame_fix_ip(&frame);
    inject(&frame);
    expect_nothing();
    expect_count(tcp_group, 1);
    close_server(s);
}

/* "LAND": a SYN that says it comes from ourselves must not make the stack talk to itself. */
static void a_syn_from_ourselves_is_ignored(void **state)
{
    (void)state;
    server s = listening("any:7000");
    struct frame frame = frame_tcp("S 0 <mss 1460>");
    uint32_t own_be32 = ip_of(OWN);
    uint16_t port_be16 = port_of(OWN ":7000");
    memcpy(frame.data + 26, &own_be32, 4);  /* the IPv4 source */
    memcpy(frame.data + 34, &port_be16, 2); /* and port */
    frame.flags = PKT_RX_L4_CSUM_GOOD;
    frame_fix_ip(&frame);
    inject(&frame);
    expect_nothing();
    expect_number("half open", script_stack()->tcp.request_count, 0);
    close_server(s);
}

/* ---- floods ---- */

/* RFC 4987: a flood of SYNs costs as many records as there are, here 4, and one answer each. */
static void a_flood_of_syns_has_bounded_memory(void **state)
{
    (void)state;
    (void)listening("any:7000");
    for (uint32_t i = 0; i < 1000; i++) {
        char peer[32];
        (void)snprintf(peer, sizeof(peer), "10.0.0.3:%u", 1024 + i);
        on_flow(OWN ":7000", peer);
        inject_tcp("S 0 win 65535 <mss 1460,sackOK,ts 0:0,wscale 7>");
        expect_tcp("SA 0 ack 1");
        expect_nothing();
    }
    expect_number("half open", script_stack()->tcp.request_count, 4);
    expect_count(tcp_cookies_sent, 996);
    expect_number("connections", tcp_connection_count(script_stack()), 0);
}

/* Who asks again and again gets his SYN-ACK, but does not keep his place by that. */
static void asking_again_does_not_prolong_a_handshake(void **state)
{
    (void)state;
    server s = listening("any:7000");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    for (uint64_t ms = 1000; ms <= 16000; ms *= 2) { /* 1, 3, 7, 15, 31 s */
        advance_ms(ms - 500);
        if (ms < 16000) {
            inject_tcp("S 0 win 65535 <mss 1460>");
            expect_tcp("SA 0 ack 1");
            expect_tcp_after(500, "SA 0 ack 1");
        }
    }
    expect_flow_state(TCP_SYN_RECEIVED);
    advance_ms(501);
    expect_nothing();
    expect_flow_state(TCP_CLOSED);
    expect_count(tcp_requests_timed_out, 1);
    close_server(s);
}

/* RFC 9293 3.10.7.2: nothing but a SYN opens anything. */
static void a_listener_takes_only_syns(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("R 0");
    inject_tcp("SF 0 <mss 1460>");
    inject_tcp("F 0");
    inject_tcp("- 0:10");
    inject_tcp("SR 0");
    expect_nothing();
    inject_tcp("A 5 ack 9");
    expect_tcp("R 9");
    inject_tcp("SA 5 ack 9");
    expect_tcp("R 9");
    expect_number("half open", script_stack()->tcp.request_count, 0);
    expect_no_accept(s);
    close_server(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_reset_exactly_at_the_next_number_ends_it),
        TCP_SCRIPT_WITH(a_reset_exactly_at_the_next_number_ends_it, wrap),
        TCP_SCRIPT(a_reset_elsewhere_in_the_window_is_challenged),
        TCP_SCRIPT_WITH(a_reset_elsewhere_in_the_window_is_challenged, wrap),
        TCP_SCRIPT(a_reset_outside_the_window_is_ignored),
        TCP_SCRIPT_WITH(a_reset_outside_the_window_is_ignored, wrap),
        TCP_SCRIPT(a_reset_with_an_old_timestamp_counts),
        TCP_SCRIPT(the_acks_number_does_not_make_a_reset_right),
        TCP_SCRIPT(a_half_open_connection_is_reset_exactly_only),
        TCP_SCRIPT(in_syn_sent_a_reset_must_acknowledge_the_syn),
        TCP_SCRIPT(a_syn_is_challenged_wherever_it_stands),
        TCP_SCRIPT(data_that_acknowledges_what_was_never_sent_is_refused),
        TCP_SCRIPT(data_with_too_old_an_ack_is_refused),
        TCP_SCRIPT_WITH(data_with_too_old_an_ack_is_refused, wrap),
        TCP_SCRIPT(data_outside_the_window_is_refused),
        TCP_SCRIPT(data_with_an_old_timestamp_is_refused),
        TCP_SCRIPT(data_without_an_ack_is_refused),
        TCP_SCRIPT(one_connection_challenges_twice_a_second),
        TCP_SCRIPT_WITH(all_connections_together_have_a_limit_nobody_knows, many),
        TCP_SCRIPT(icmp_about_what_is_not_under_way_is_ignored),
        TCP_SCRIPT_WITH(icmp_about_what_is_not_under_way_is_ignored, wrap),
        TCP_SCRIPT(icmp_errors_do_not_end_a_connection),
        TCP_SCRIPT(in_syn_sent_icmp_must_quote_the_syn),
        TCP_SCRIPT(in_syn_sent_an_unreachable_host_is_told),
        TCP_SCRIPT(what_belongs_to_nothing_is_reset),
        TCP_SCRIPT(resets_to_nobody_have_a_rate),
        TCP_SCRIPT(segments_to_a_broadcast_are_ignored),
        TCP_SCRIPT(a_syn_from_ourselves_is_ignored),
        TCP_SCRIPT_WITH(a_flood_of_syns_has_bounded_memory, few),
        TCP_SCRIPT(asking_again_does_not_prolong_a_handshake),
        TCP_SCRIPT(a_listener_takes_only_syns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
