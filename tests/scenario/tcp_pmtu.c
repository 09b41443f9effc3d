/*
 * Packet scripts: the size that the path takes (RFC 1191, RFC 5927 section 7; black holes: RFC
 * 2923, 4821). The language is in tcp_script.h.
 *
 * A segment's payload is the MTU less 40, and less 12 where there are timestamps.
 */
#include "tcp_script.h"

/* No timestamps, no SACK: a timeout comes when RFC 6298 says so. */
#define PLAIN "mss 1460"

/* ---- "fragmentation needed" ---- */

/* RFC 1191 section 6.4: at once, in the new size, and it is no sign of congestion. */
static void a_smaller_path_is_used_at_once(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 2896);
    expect_tcp("A 1:1449 ack 1");
    expect_tcp("PA 1449:2897 ack 1");
    uint32_t ssthresh = conn_info(c).ssthresh_bytes;
    inject_frag_needed(ROUTER, 1300, 1);
    expect_info(c, mss_bytes, 1248);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("A 1249:1449 ack 1");
    expect_tcp("A 1449:2697 ack 1");
    expect_tcp("PA 2697:2897 ack 1");
    expect_cwnd(c, 10 * 1448);
    expect_ssthresh(c, ssthresh);
    expect_count(tcp_mtu_lowered, 1);
    inject_tcp("A 1 ack 2897");
    write_bytes(c, 1300);
    expect_tcp("A 2897:4145 ack 1");
    expect_tcp("PA 4145:4197 ack 1");
}

/* Linux: what fits into the new size was not dropped. */
static void what_fits_is_not_sent_again(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1548);
    expect_tcp("A 1:1449 ack 1");
    expect_tcp("PA 1449:1549 ack 1");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("A 1249:1449 ack 1");
    expect_nothing();
}

static void small_segments_are_not_sent_again_at_all(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_nothing();
    expect_info(c, mss_bytes, 1248);
}

/* RFC 2018: nor what the peer says it has. */
static void what_is_sacked_is_not_sent_again(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = 20); /* so that RACK waits 5 ms for what may be reordered */
    write_bytes(c, 4344);
    expect_tcp_each(1448, "PA 1:4345 ack 1");
    advance_ms(20);
    inject_tcp("A 1 ack 1 <ts,sack 1449:2897>");
    expect_nothing();
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("A 1249:1449 ack 1");
    expect_tcp("A 2897:4145 ack 1");
    expect_tcp("PA 4145:4345 ack 1");
    expect_nothing();
}

static void a_path_may_get_smaller_twice(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    inject_frag_needed(ROUTER, 1400, 1);
    expect_tcp("A 1:1349 ack 1");
    expect_tcp("PA 1349:1449 ack 1");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("A 1249:1349 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 1449");
    expect_info(c, in_flight_bytes, 0);
}

/* RFC 1191 section 5: routers of old name no MTU; section 7: what it may be. */
static void without_an_mtu_the_next_plateau_is_tried(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    inject_frag_needed(ROUTER, 0, 1); /* 1492 */
    expect_tcp("A 1:1441 ack 1");
    expect_tcp("PA 1441:1449 ack 1");
    inject_frag_needed(ROUTER, 0, 1); /* 1280 */
    expect_tcp("A 1:1229 ack 1");
    expect_tcp("A 1229:1441 ack 1");
    inject_frag_needed(ROUTER, 0, 1); /* 1006 */
    expect_tcp("A 1:955 ack 1");
    expect_tcp("A 955:1229 ack 1");
    inject_frag_needed(ROUTER, 0, 1); /* 576 */
    expect_tcp("A 1:525 ack 1");
    expect_tcp("A 525:955 ack 1");
    inject_frag_needed(ROUTER, 0, 1); /* 552, the least */
    expect_tcp("A 1:501 ack 1");
    expect_tcp("A 501:525 ack 1");
    expect_nothing();
    expect_info(c, mss_bytes, 500);
}

static void a_jumbo_path_falls_by_plateaus_too(void **state)
{
    (void)state;
    conn c = established(.options = "mss 8960,sackOK,ts 0:0,wscale 7");
    write_bytes(c, 8948);
    expect_tcp("PA 1:8949 ack 1");
    inject_frag_needed(ROUTER, 0, 1);
    expect_tcp("A 1:8115 ack 1"); /* 8166 */
    expect_tcp("PA 8115:8949 ack 1");
    inject_frag_needed(ROUTER, 0, 1);
    expect_tcp("A 1:4301 ack 1"); /* 4352 */
    expect_tcp("A 4301:8115 ack 1");
    expect_nothing();
}

/* Linux (ip_rt_min_pmtu) and RFC 5927 7.2: less is not believed. */
static void nobody_makes_us_send_tiny_segments(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 600);
    expect_tcp("PA 1:601 ack 1");
    inject_frag_needed(ROUTER, 68, 1);
    expect_info(c, mss_bytes, 552 - 52);
    expect_tcp("A 1:501 ack 1");
    expect_tcp("PA 501:601 ack 1");
    inject_frag_needed(ROUTER, 68, 1);
    inject_frag_needed(ROUTER, 0, 1);
    inject_frag_needed(ROUTER, 551, 1);
    expect_nothing();
    expect_info(c, mss_bytes, 552 - 52);
    expect_count(tcp_mtu_lowered, 1);
}

/* RFC 1191 section 3: it never makes the path larger. */
static void a_path_that_is_not_smaller_changes_nothing(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    inject_frag_needed(ROUTER, 1500, 1);
    inject_frag_needed(ROUTER, 9000, 1);
    inject_frag_needed(ROUTER, 65535, 1);
    expect_nothing();
    expect_info(c, mss_bytes, 1448);
    expect_count(tcp_mtu_lowered, 0);
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("PA 1249:1449 ack 1");
    inject_frag_needed(ROUTER, 1400, 1);
    expect_nothing();
    expect_info(c, mss_bytes, 1248);
}

static void a_peer_with_small_segments_does_not_notice(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000");
    write_bytes(c, 1000);
    expect_tcp("PA 1:1001 ack 1");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_nothing();
    expect_info(c, mss_bytes, 1000);
    expect_count(tcp_mtu_lowered, 0);
}

/* RFC 5927 7.2: what is acknowledged has passed, whatever somebody says of it. */
static void acknowledged_data_has_passed(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 2896);
    expect_tcp_each(1448, "PA 1:2897 ack 1");
    inject_tcp("A 1 ack 1449");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_nothing();
    expect_info(c, mss_bytes, 1448);
    inject_frag_needed(ROUTER, 1300, 1449);
    expect_tcp("A 1449:2697 ack 1");
    expect_tcp("PA 2697:2897 ack 1");
}

/* A FIN in the segment that did not fit goes with its last part. */
static void the_fin_goes_with_the_last_part(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        write_bytes(c, 1448);
        shutdown_send(c);
    }
    expect_tcp("FPA 1:1449 ack 1");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("FPA 1249:1449 ack 1");
    inject_tcp("A 1 ack 1450");
    expect_state(c, TCP_FIN_WAIT_2);
}

/* ---- before the connection is there ---- */

/* A SYN fits everywhere; what it tells is remembered. */
static void in_syn_sent_the_size_is_remembered(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_SENT);
    inject_frag_needed(ROUTER, 1300, 0);
    expect_nothing();
    inject_tcp("SA 0 ack 1 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_tcp("A 1 ack 1");
    expect_info(c, mss_bytes, 1248);
    expect_connected(c);
    write_bytes(c, 1448);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("PA 1249:1449 ack 1");
}

static void a_half_open_connection_outlives_it(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_tcp("SA 0 ack 1 <mss 1460>");
    inject_frag_needed(ROUTER, 1300, 0);
    expect_nothing();
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

/* ---- and back (RFC 1191 section 6.3) ---- */

static void after_ten_minutes_the_full_size_is_tried_again(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("PA 1249:1449 ack 1");
    inject_tcp("A 1 ack 1449");
    advance_ms(599900);
    write_bytes(c, 1448);
    expect_tcp("A 1449:2697 ack 1");
    expect_tcp("PA 2697:2897 ack 1");
    inject_tcp("A 1 ack 2897");
    advance_ms(200);
    write_bytes(c, 1448);
    expect_tcp("PA 2897:4345 ack 1");
    expect_info(c, mss_bytes, 1448);
    inject_frag_needed(ROUTER, 1300, 2897); /* it has not changed */
    expect_tcp("A 2897:4145 ack 1");
    expect_tcp("PA 4145:4345 ack 1");
}

static void each_lowering_starts_the_ten_minutes_anew(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    inject_frag_needed(ROUTER, 1400, 1);
    expect_tcp("A 1:1349 ack 1");
    expect_tcp("PA 1349:1449 ack 1");
    inject_tcp("A 1 ack 1449");
    advance_ms(300000);
    write_bytes(c, 1348);
    expect_tcp("PA 1449:2797 ack 1");
    inject_frag_needed(ROUTER, 1300, 1449);
    expect_tcp("A 1449:2697 ack 1");
    expect_tcp("PA 2697:2797 ack 1");
    inject_tcp("A 1 ack 2797");
    advance_ms(400000);
    write_bytes(c, 1248);
    expect_tcp("PA 2797:4045 ack 1");
    expect_info(c, mss_bytes, 1248);
    inject_tcp("A 1 ack 4045");
}

/* ---- black holes: a router that drops without a word ---- */

static void two_timeouts_of_a_full_segment_are_suspicious(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 1460);
    expect_tcp("PA 1:1461 ack 1");
    expect_tcp_after(200, "PA 1:1461 ack 1");
    expect_info(c, mss_bytes, 1460);
    expect_tcp_after(400, "A 1:1453 ack 1"); /* 1492, the next plateau */
    expect_count(tcp_black_holes, 1);
    expect_tcp_after(800, "A 1:1453 ack 1");
    expect_tcp_after(1600, "A 1:1241 ack 1"); /* 1280 */
    expect_info(c, mss_bytes, 1240);
    inject_tcp("A 1 ack 1241");
    expect_tcp("A 1241:1453 ack 1");
    expect_tcp("PA 1453:1461 ack 1");
    expect_count(tcp_black_holes, 2);
}

static void timeouts_of_small_segments_are_not(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 1459);
    expect_tcp("PA 1:1460 ack 1");
    for (unsigned i = 0; i < 5; i++) {
        expect_tcp_after(200u << i, "PA 1:1460 ack 1");
    }
    expect_info(c, mss_bytes, 1460);
    expect_count(tcp_black_holes, 0);
}

/* One that passes clears the path of suspicion. */
static void an_ack_ends_the_suspicion(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 2920);
    expect_tcp_each(1460, "PA 1:2921 ack 1");
    expect_tcp_after(200, "A 1:1461 ack 1");
    inject_tcp("A 1 ack 1461");
    expect_tcp("PA 1461:2921 ack 1");
    expect_tcp_after(400, "PA 1461:2921 ack 1");
    expect_info(c, mss_bytes, 1460);
    expect_count(tcp_black_holes, 0);
}

/* Below the size that every host takes (RFC 9293 3.7.1) there is nothing to suspect. */
static void the_suspicion_ends_at_536_bytes(void **state)
{
    (void)state;
    conn c = established(.options = "mss 536");
    write_bytes(c, 536);
    expect_tcp("PA 1:537 ack 1");
    for (unsigned i = 0; i < 5; i++) {
        expect_tcp_after(200u << i, "PA 1:537 ack 1");
    }
    expect_count(tcp_black_holes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_smaller_path_is_used_at_once),
        TCP_SCRIPT_WITH(a_smaller_path_is_used_at_once, wrap),
        TCP_SCRIPT(what_fits_is_not_sent_again),
        TCP_SCRIPT(small_segments_are_not_sent_again_at_all),
        TCP_SCRIPT(what_is_sacked_is_not_sent_again),
        TCP_SCRIPT(a_path_may_get_smaller_twice),
        TCP_SCRIPT(without_an_mtu_the_next_plateau_is_tried),
        TCP_SCRIPT_WITH(a_jumbo_path_falls_by_plateaus_too, jumbo),
        TCP_SCRIPT(nobody_makes_us_send_tiny_segments),
        TCP_SCRIPT(a_path_that_is_not_smaller_changes_nothing),
        TCP_SCRIPT(a_peer_with_small_segments_does_not_notice),
        TCP_SCRIPT(acknowledged_data_has_passed),
        TCP_SCRIPT(the_fin_goes_with_the_last_part),
        TCP_SCRIPT(in_syn_sent_the_size_is_remembered),
        TCP_SCRIPT(a_half_open_connection_outlives_it),
        TCP_SCRIPT(after_ten_minutes_the_full_size_is_tried_again),
        TCP_SCRIPT(each_lowering_starts_the_ten_minutes_anew),
        TCP_SCRIPT(two_timeouts_of_a_full_segment_are_suspicious),
        TCP_SCRIPT(timeouts_of_small_segments_are_not),
        TCP_SCRIPT(an_ack_ends_the_suspicion),
        TCP_SCRIPT(the_suspicion_ends_at_536_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
