/*
 * Packet scripts: listeners under load: half-open connections, SYN cookies (RFC 4987 section 3.6),
 * places of the backlog. The language is in tcp_script.h.
 */
#include "dataplane/stack_internal.h"

#include "tcp_script.h"

#include <stdio.h>

#define OPTIONS "mss 1460,sackOK,ts 0:0,wscale 7"

/* No SYN is kept: each is answered with a cookie. */
static int script_setup_tcp_cookies(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.requests_max = 0;
    return script_setup_tcp_config(&config, 0);
}

static int script_setup_tcp_cookies_jumbo(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.requests_max = 0;
    return script_setup_tcp_config(&config, 9000);
}

static int script_setup_tcp_sixteen(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.requests_max = 16;
    return script_setup_tcp_config(&config, 0);
}

/* Lines speak of a connection from there. */
static void from(const char *own, uint32_t idx)
{
    char peer[32];
    (void)snprintf(peer, sizeof(peer), PEER2 ":%u", 6000 + idx);
    on_flow(own, peer);
}

static void syn(const char *options)
{
    inject_tcp("S 0 win 65535 <%s>", options);
    expect_tcp("SA 0 ack 1");
}

/* SYNs a millisecond apart, so that what is kept is sent again in this order. */
static void half_open(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        from(OWN ":7000", i);
        syn("mss 1460");
        advance_ms(1);
    }
    on_flow(OWN ":7000", PEER ":5000");
}

/* ---- cookies ---- */

/* Only what is kept can be sent again. */
static void beyond_the_half_open_a_syn_gets_a_cookie(void **state)
{
    (void)state;
    (void)listening("any:7000");
    half_open(4);
    syn(OPTIONS);
    expect_count(tcp_cookies_sent, 1);
    advance_ms(1000);
    for (uint32_t i = 0; i < 4; i++) {
        from(OWN ":7000", i);
        expect_tcp("SA 0 ack 1");
    }
    expect_nothing();
}

/* When one of those kept is over there is a place again. */
static void when_a_place_is_free_syns_are_kept_again(void **state)
{
    (void)state;
    (void)listening("any:7000");
    half_open(4);
    from(OWN ":7000", 0);
    inject_tcp("R 1");
    on_flow(OWN ":7000", PEER ":5000");
    syn(OPTIONS);
    expect_count(tcp_cookies_sent, 0);
    expect_flow_state(TCP_SYN_RECEIVED);
}

/* All that the SYN said comes back in the echoed timestamp. */
static void with_timestamps_a_cookie_keeps_all_options(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <" OPTIONS ">");
    expect_tcp("SA 0 ack 1 <mss 1460,sackOK,ts *:0,wscale 1>");
    expect_flow_state(TCP_CLOSED);
    inject_tcp("A 1 ack 1 win 1280000");
    conn c = accepted(s);
    expect_connected(c);
    expect_info(c, timestamps, true);
    expect_info(c, sack, true);
    expect_info(c, window_scaling, true);
    expect_info(c, send_wscale, 7);
    expect_info(c, recv_wscale, 1);
    expect_info(c, mss_bytes, 1448);
    expect_info(c, snd_wnd_bytes, 1280000);
    expect_count(tcp_cookies_accepted, 1);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1 <ts>");
    inject_tcp("PA 1:201 ack 101");
    expect_tcp_after(40, "A 101 ack 201");
    read_bytes(c, 200);
}

static void with_timestamps_a_cookie_offers_what_the_syn_did(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <mss 1000,ts 0:0>");
    expect_tcp("SA 0 ack 1 <mss 1460,ts *:0>");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, timestamps, true);
    expect_info(c, sack, false);
    expect_info(c, window_scaling, false);
}

static void with_timestamps_a_cookie_keeps_ecn(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("SEC 0 win 65535 <" OPTIONS ">");
    expect_tcp("SAE 0 ack 1 <mss 1460,sackOK,ts *:0,wscale 1>");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, ecn, true);
}

/* What has no place in the sequence number is not offered. */
static void without_timestamps_a_cookie_keeps_the_mss_only(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("SEC 0 win 65535 <mss 1460,sackOK,wscale 7>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460>");
    inject_tcp("A 1 ack 1 rawwin 1000 <>");
    conn c = accepted(s);
    expect_info(c, timestamps, false);
    expect_info(c, sack, false);
    expect_info(c, window_scaling, false);
    expect_info(c, ecn, false);
    expect_info(c, mss_bytes, 1460);
    expect_info(c, snd_wnd_bytes, 1000);
}

static void mss_after_cookie(const char *options, uint32_t mss)
{
    server s = listening("any:7000");
    syn(options);
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, mss_bytes, mss);
    abort_conn(c);
    expect_tcp("RA 1 ack 1");
    expect_gone(c);
    close_server(s);
    new_incarnation();
}

/* Three bits number the size: the next smaller of eight (RFC 4987: never a larger one). */
static void a_cookie_rounds_the_mss_down(void **state)
{
    (void)state;
    mss_after_cookie("", 536);
    mss_after_cookie("mss 536", 536);
    mss_after_cookie("mss 1023", 536);
    mss_after_cookie("mss 1024", 1024);
    mss_after_cookie("mss 1300", 1220);
    mss_after_cookie("mss 1399", 1360);
    mss_after_cookie("mss 1439", 1400);
    mss_after_cookie("mss 1459", 1440);
    mss_after_cookie("mss 1460", 1460);
    mss_after_cookie("mss 8960", 1460);
}

static void a_cookie_knows_jumbo_frames(void **state)
{
    (void)state;
    mss_after_cookie("mss 8959", 1460);
    mss_after_cookie("mss 8960", 8960);
    mss_after_cookie("mss 65535", 8960);
}

/* The same SYN again gets the same answer, though nobody remembers it. */
static void the_same_syn_gets_the_same_cookie(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    advance_ms(3000);
    syn("mss 1460");
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

static void the_last_ack_may_bring_data(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn(OPTIONS);
    inject_tcp("PA 1:101 ack 1");
    conn c = accepted(s);
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
}

/* When it was lost the first data does as well. */
static void data_makes_the_connection_when_the_ack_was_lost(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    advance_ms(20000);
    inject_tcp("PA 1:101 ack 1");
    conn c = accepted(s);
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
}

/* Nobody knows when the SYN-ACK was sent: 3 s, as Linux has it (RFC 6298 5.7). */
static void a_cookies_connection_has_no_round_trip_time(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    advance_ms(5);
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, rtt_ns, 0);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(3000, "PA 1:101 ack 1");
}

static void what_is_no_cookie_is_reset(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    inject_tcp("A 1 ack 2"); /* not the number that we sent */
    expect_tcp("R 2");
    inject_tcp("A 2 ack 1"); /* not the number that the SYN had */
    expect_tcp("R 1");
    inject_tcp("A 1 ack 9"); /* as if it had another MSS */
    expect_tcp("R 9");
    expect_count(tcp_cookie_bad, 3);
    expect_no_accept(s);
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

/* The hash has the addresses and ports in it. */
static void a_cookie_is_of_one_pair_only(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    struct frame frame = frame_tcp("A 1 ack 1");
    uint16_t port_be16 = port_of(PEER ":5001");
    memcpy(frame.data + 34, &port_be16, 2);
    frame.flags = PKT_RX_L4_CSUM_GOOD;
    inject(&frame);
    on_flow(OWN ":7000", PEER ":5001");
    expect_tcp("R *");
    expect_count(tcp_cookie_bad, 1);
    expect_no_accept(s);
    close_server(s);
}

/* Periods of 64 s: good in its own and in the next one. The scripts' clock begins 4 s before the
 * end of one. */
static void a_cookie_is_good_for_a_minute(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    advance_ms(67900);
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

static void an_old_cookie_is_reset(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn("mss 1460");
    advance_ms(68100);
    inject_tcp("A 1 ack 1");
    expect_tcp("R 1");
    expect_count(tcp_cookie_bad, 1);
    expect_no_accept(s);
    close_server(s);
}

/* Who never sends cookies never takes any: there is nothing to guess. */
static void without_cookies_sent_none_is_taken(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("A 1 ack 1");
    expect_tcp("R 1");
    expect_count(tcp_listen_refused, 1);
    expect_count(tcp_cookie_bad, 0);
    close_server(s);
}

/* ---- the backlog ---- */

/* Linux: the peer sends its SYN again, and may find a place then. */
static void with_a_full_backlog_a_syn_is_not_answered(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    from(OWN ":7000", 0);
    syn("mss 1460");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("S 0 win 65535 <" OPTIONS ">");
    expect_nothing();
    expect_count(tcp_listen_overflow, 1);
    expect_connected(accepted(s));
    on_flow(OWN ":7000", PEER ":5000");
    syn(OPTIONS);
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

/* Windows. */
static void with_a_full_backlog_a_syn_may_be_reset(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1, .reset_when_full = true);
    from(OWN ":7000", 0);
    syn("mss 1460");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("S 0 win 65535 <" OPTIONS ">");
    expect_tcp("RA 0 ack 1 <>");
    expect_connected(accepted(s));
}

/* SYNs take no place: who is first to complete the handshake has it. */
static void a_place_is_taken_when_the_handshake_completes(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    half_open(3);
    from(OWN ":7000", 2);
    inject_tcp("A 1 ack 1");
    from(OWN ":7000", 0);
    inject_tcp("A 1 ack 1");
    expect_flow_state(TCP_SYN_RECEIVED);
    expect_nothing();
    expect_count(tcp_listen_overflow, 1);
    conn c = accepted(s);
    expect_connected(c);
    expect_no_accept(s);
    from(OWN ":7000", 0);
    inject_tcp("PA 1:101 ack 1"); /* there is a place now */
    expect_tcp("A 1 ack 101");
    conn d = accepted(s);
    expect_connected(d);
    read_bytes(d, 100);
}

/* Our SYN-ACK again makes the peer repeat the ACK that found no place (Linux). */
static void who_found_no_place_is_asked_again(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    half_open(2);
    for (uint32_t i = 0; i < 2; i++) {
        from(OWN ":7000", i);
        inject_tcp("A 1 ack 1");
    }
    expect_connected(accepted(s));
    from(OWN ":7000", 1);
    expect_tcp_after(999, "SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

static void who_found_no_place_may_be_reset(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1, .reset_when_full = true);
    half_open(2);
    for (uint32_t i = 0; i < 2; i++) {
        from(OWN ":7000", i);
        inject_tcp("A 1 ack 1");
    }
    expect_tcp("RA 1 ack 1");
    expect_flow_state(TCP_CLOSED);
    expect_connected(accepted(s));
    expect_no_accept(s);
}

static void a_cookies_ack_that_finds_no_place_may_come_again(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    for (uint32_t i = 0; i < 2; i++) {
        from(OWN ":7000", i);
        syn("mss 1460");
    }
    for (uint32_t i = 0; i < 2; i++) {
        from(OWN ":7000", i);
        inject_tcp("A 1 ack 1");
    }
    expect_nothing();
    expect_connected(accepted(s));
    expect_no_accept(s);
    from(OWN ":7000", 1);
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    conn c = accepted(s);
    read_bytes(c, 100);
}

/* ---- no memory ---- */

static void without_memory_for_it_a_connection_is_reset(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    accept_memory(s, false);
    syn(OPTIONS);
    inject_tcp("A 1 ack 1");
    expect_tcp("RA 1 ack 1");
    expect_flow_state(TCP_CLOSED);
    expect_count(tcp_accept_failed, 1);
    expect_number("connections", tcp_connection_count(script_stack()), 0);
    accept_memory(s, true); /* and its place in the backlog is free */
    new_incarnation();
    syn(OPTIONS);
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

/* Fixture few: four. */
static void beyond_connections_max_a_connection_is_reset(void **state)
{
    (void)state;
    server s = listening("any:7000");
    for (uint32_t i = 0; i < 5; i++) {
        from(OWN ":7000", i);
        syn("mss 1460");
        inject_tcp("A 1 ack 1");
        if (i < 4) {
            expect_connected(accepted(s));
        }
    }
    expect_tcp("RA 1 ack 1");
    expect_count(tcp_connections_full, 1);
    expect_no_accept(s);
}

/* ---- listeners that end, and several of them ---- */

static void half_open_connections_end_with_their_listener(void **state)
{
    (void)state;
    server s = listening("any:7000");
    half_open(3);
    close_server(s);
    for (uint32_t i = 3; i-- > 0;) {
        from(OWN ":7000", i);
        expect_tcp("RA 1 ack 1");
    }
    expect_nothing();
    expect_count(tcp_requests_dropped, 3);
    advance_ms(5000);
    expect_nothing(); /* nor is a SYN-ACK sent again */
    from(OWN ":7000", 1);
    inject_tcp("A 1 ack 1");
    expect_tcp("R 1");
}

static void a_cookie_ends_with_its_listener(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn(OPTIONS);
    close_server(s);
    inject_tcp("A 1 ack 1");
    expect_tcp("R 1");
    expect_count(tcp_no_socket, 1);
}

/* Those that wait in the backlog are connections already. */
static void what_waits_to_be_accepted_outlives_the_listener(void **state)
{
    (void)state;
    server s = listening("any:7000");
    syn(OPTIONS);
    inject_tcp("A 1 ack 1");
    close_server(s);
    conn c = accepted(s);
    expect_connected(c);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    inject_tcp("A 1 ack 11");
}

/* One port under a flood: of 16 half-open ones it has 12, what is left is for other ports, whose
 * SYN-ACKs are sent again. */
static void a_flood_on_one_port_leaves_room_for_another(void **state)
{
    (void)state;
    server flooded = listening("any:7000");
    server other = listening("any:7001");
    for (uint32_t i = 0; i < 24; i++) {
        from(OWN ":7000", i);
        syn("mss 1460");
    }
    expect_count(tcp_cookies_sent, 12);
    from(OWN ":7001", 0);
    syn("mss 1460");
    from(OWN ":7001", 1);
    syn("mss 1460");
    expect_count(tcp_cookies_sent, 12);
    expect_number("half open", script_stack()->tcp.request_count, 14);
    close_server(flooded);
    for (uint32_t i = 12; i-- > 0;) {
        from(OWN ":7000", i);
        expect_tcp("RA 1 ack 1");
    }
    advance_ms(500);
    from(OWN ":7001", 0);
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(other));
    from(OWN ":7001", 1);
    expect_tcp_after(500, "SA 0 ack 1");
}

/* Where there is but one it may have them all. */
static void one_listener_may_have_all_places(void **state)
{
    (void)state;
    (void)listening("any:7000");
    half_open(16);
    expect_count(tcp_cookies_sent, 0);
    syn("mss 1460");
    expect_count(tcp_cookies_sent, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT_WITH(beyond_the_half_open_a_syn_gets_a_cookie, few),
        TCP_SCRIPT_WITH(when_a_place_is_free_syns_are_kept_again, few),
        TCP_SCRIPT_WITH(with_timestamps_a_cookie_keeps_all_options, cookies),
        TCP_SCRIPT_WITH(with_timestamps_a_cookie_offers_what_the_syn_did, cookies),
        TCP_SCRIPT_WITH(with_timestamps_a_cookie_keeps_ecn, cookies),
        TCP_SCRIPT_WITH(without_timestamps_a_cookie_keeps_the_mss_only, cookies),
        TCP_SCRIPT_WITH(a_cookie_rounds_the_mss_down, cookies),
        TCP_SCRIPT_WITH(a_cookie_knows_jumbo_frames, cookies_jumbo),
        TCP_SCRIPT_WITH(the_same_syn_gets_the_same_cookie, cookies),
        TCP_SCRIPT_WITH(the_last_ack_may_bring_data, cookies),
        TCP_SCRIPT_WITH(data_makes_the_connection_when_the_ack_was_lost, cookies),
        TCP_SCRIPT_WITH(a_cookies_connection_has_no_round_trip_time, cookies),
        TCP_SCRIPT_WITH(what_is_no_cookie_is_reset, cookies),
        TCP_SCRIPT_WITH(a_cookie_is_of_one_pair_only, cookies),
        TCP_SCRIPT_WITH(a_cookie_is_good_for_a_minute, cookies),
        TCP_SCRIPT_WITH(an_old_cookie_is_reset, cookies),
        TCP_SCRIPT(without_cookies_sent_none_is_taken),
        TCP_SCRIPT(with_a_full_backlog_a_syn_is_not_answered),
        TCP_SCRIPT(with_a_full_backlog_a_syn_may_be_reset),
        TCP_SCRIPT(a_place_is_taken_when_the_handshake_completes),
        TCP_SCRIPT(who_found_no_place_is_asked_again),
        TCP_SCRIPT(who_found_no_place_may_be_reset),
        TCP_SCRIPT_WITH(a_cookies_ack_that_finds_no_place_may_come_again, cookies),
        TCP_SCRIPT(without_memory_for_it_a_connection_is_reset),
        TCP_SCRIPT_WITH(beyond_connections_max_a_connection_is_reset, few),
        TCP_SCRIPT(half_open_connections_end_with_their_listener),
        TCP_SCRIPT_WITH(a_cookie_ends_with_its_listener, cookies),
        TCP_SCRIPT(what_waits_to_be_accepted_outlives_the_listener),
        TCP_SCRIPT_WITH(a_flood_on_one_port_leaves_room_for_another, sixteen),
        TCP_SCRIPT_WITH(one_listener_may_have_all_places, sixteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
