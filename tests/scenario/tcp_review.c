/*
 * Packet scripts: what a review of the whole engine found, where no other file has the subject:
 * a FIN at the window's edge, limits below the window's grain, a reset without a buffer, marks of
 * long ago when sequence numbers come round, pools that one peer would like to have for itself. The
 * language is in tcp_script.h.
 */
#include "dataplane/stack_internal.h"
#include "tcp_script.h"

#define PLAIN "mss 1460"
#define MSS   1448 /* with timestamps */

/* ---- receiving ---- */

/* RFC 9293 3.10.7.4: with a window of zero, what stands at RCV.NXT is acceptable, for its ACK. The
 * FIN has taken RCV.NXT one beyond the edge. */
static void an_ack_behind_a_fin_at_the_edge_of_a_full_window_counts(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    inject_tcp_each(1024, "FA 1:4097 ack 1");
    expect_tcp("A 1 ack 1025 win 3072");
    expect_tcp("A 1 ack 2049 win 2048");
    expect_tcp("A 1 ack 3073 win 1024");
    expect_tcp("A 1 ack 4098 win 0");
    expect_end(c);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 4098 win 0");
    inject_tcp("A 4098 ack 101");
    expect_acked(c, 100);
    expect_nothing();
    inject_tcp("R 4098");
    expect_error(c, RS_CONN_RESET);
}

/* A window field counts in pieces of 128 bytes here: the least limit is one of them, or the window
 * would never open. */
static void a_limit_below_the_grain_of_the_window_still_opens_it(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4 << 20, .recv_limit_bytes = 1000);
    set_recv_limit(c, 100);
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 win 0");
    read_bytes(c, 1000);
    expect_tcp("A 1 ack 1001 win 128");
    inject_tcp("A 1001:1129 ack 1");
    expect_tcp("A 1 ack 1129 win 0");
    set_recv_limit(c, 0);
    read_bytes(c, 128);
    expect_tcp("A 1 ack 1129 win 128");
}

/* A FIN before data that has come cannot be: taken, it would let nothing behind it in for ever. */
static void a_fin_before_what_has_come_is_none(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        inject_tcp("A 1:101 ack 1");
        inject_tcp("FA 50 ack 1");
        inject_tcp("FA 50:60 ack 1");
    }
    allow_tcp("A 1 ack 101");
    expect_no_event(c, "END");
    inject_tcp("FA 101:201 ack 1");
    expect_tcp("A 1 ack 202");
    expect_readable(c, 200);
    expect_end(c);
}

/* ---- a reset without a buffer ---- */

/* A program with many connections ends: more resets than the NIC takes at once. */
static void a_reset_that_finds_no_buffer_leaves_when_there_is_one(void **state)
{
    (void)state;
    conn c = established();
    nic_memory_limit_alloc(script_nic(), 0);
    abort_conn(c);
    expect_nothing();
    expect_flow_state(TCP_CLOSED);
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    advance_ms(1);
    expect_tcp("RA 1 ack 1");
    expect_gone(c);
}

/* A NIC that gives none for two seconds is stuck; the program's end does not wait for it. */
static void a_reset_is_given_up_when_the_nic_is_stuck(void **state)
{
    (void)state;
    conn c = established();
    nic_memory_limit_alloc(script_nic(), 0);
    abort_conn(c);
    advance_ms(1990);
    expect_no_event(c, "GONE");
    advance_ms(20);
    expect_gone(c);
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    advance_ms(10);
    expect_nothing();
}

/* The answer to data that nobody wants, of a connection whose program has closed. */
static void an_orphans_reset_waits_for_a_buffer_too(void **state)
{
    (void)state;
    conn c = reached(TCP_FIN_WAIT_2);
    close_conn(c);
    nic_memory_limit_alloc(script_nic(), 0);
    inject_tcp("A 1:101 ack 2");
    expect_nothing();
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    advance_ms(1);
    expect_tcp("RA 2 ack 1");
    expect_gone(c);
}

/* ---- marks of long ago ---- */

/* How far back a mark of 2^31 - 4096 bytes ago lies: soon it would look like one to come. */
#define LONG_AGO (0x80000000u - 4096u)

/* RFC 9293 3.8.5: urgent data ends; 2 GiB behind it nothing is urgent. */
static void what_was_urgent_long_ago_is_not_again(void **state)
{
    (void)state;
    conn c = established();
    send_urgent(c, 1);
    expect_tcp("PUA 1:2 ack 1 urg 1");
    inject_tcp("A 1 ack 2");
    tcp_of(c)->snd_up = tcp_of(c)->snd_una - LONG_AGO;
    for (int i = 0; i < 6; i++) {
        write_bytes(c, MSS);
        expect_tcp("PA %d:%d ack 1", 2 + i * MSS, 2 + (i + 1) * MSS);
        inject_tcp("A 1 ack %d", 2 + (i + 1) * MSS);
    }
}

/* The same of the peer's: its next urgent byte is told of. */
static void an_urgent_mark_long_ago_does_not_hide_the_next(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("UPA 1:2 ack 1 urg 1");
    expect_tcp("A 1 ack 2");
    expect_event(c, "URGENT");
    tcp_of(c)->rcv_up = tcp_of(c)->rcv_nxt - LONG_AGO;
    inject_tcp_each(MSS, "A 2:%d ack 1", 2 + 6 * MSS);
    allow_tcp("A 1 ack *");
    read_bytes(c, 1 + 6 * MSS);
    inject_tcp("UPA %d:%d ack 1 urg 1", 2 + 6 * MSS, 3 + 6 * MSS);
    allow_tcp("A 1 ack *");
    expect_event(c, "URGENT");
}

/* RFC 9293 3.7.4 in Minshall's form: a small segment that was acknowledged 2 GiB ago holds nothing
 * back. */
static void a_small_segment_long_ago_does_not_hold_the_next(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    inject_tcp("A 1 ack 11");
    tcp_of(c)->snd_sml = tcp_of(c)->snd_una - LONG_AGO;
    for (int i = 0; i < 6; i++) {
        write_bytes(c, MSS);
        expect_tcp("PA %d:%d ack 1", 11 + i * MSS, 11 + (i + 1) * MSS);
        inject_tcp("A 1 ack %d", 11 + (i + 1) * MSS);
    }
    write_bytes(c, 10);
    expect_tcp("PA %d:%d ack 1", 11 + 6 * MSS, 21 + 6 * MSS);
}

/* ---- what a peer can make an ACK cost ---- */

#define TINY     88 /* the least segment */
#define IN_ALL   4000
#define AT(what) (1 + (what)*TINY)

/* Blocks far from both ends and from each other: an ACK looks through 512 records for them and goes
 * on where it ended when they come again. */
static void far_blocks_are_found_in_several_acks(void **state)
{
    (void)state;
    conn c = established(.send_bytes = 1 << 20, .options = "mss 88,sackOK,wscale 7", .rtt_ms = 500);
    inject_tcp("A 1 ack 1 win 1048576");
    write_bytes(c, IN_ALL * TINY);
    for (unsigned i = 0; i < 20; i++) { /* as many frames as the transmit queue holds at a time */
        advance_ms(1);
    }
    expect_tcp_each(TINY, "A 1:%d ack 1", AT(IN_ALL));
    expect_info(c, in_flight_bytes, IN_ALL * TINY);
    inject_tcp("A 1 ack 1 <sack %d:%d %d:%d>", AT(1000), AT(1001), AT(3000), AT(3001));
    expect_count(tcp_sack_limited, 2); /* 512 steps, then none for the second */
    expect_info(c, in_flight_bytes, IN_ALL * TINY);
    for (int i = 0; i < 3; i++) {
        inject_tcp("A 1 ack 1 <sack %d:%d %d:%d>", AT(1000), AT(1001), AT(3000), AT(3001));
    }
    struct tcp_info info = conn_info(c);
    expect_number("in flight or lost", info.in_flight_bytes + tcp_of(c)->loss.lost_bytes,
                  (IN_ALL - 2) * TINY);
    allow_tcp("A *:* ack 1");
    inject_tcp("A 1 ack %d", AT(IN_ALL));
    expect_acked(c, IN_ALL * TINY);
}

/* ---- pools ---- */

static int setup_few_ranges(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.ranges_max = 16;
    return script_setup_tcp_config(&config, 0);
}

/* Gaps cost nothing to hold: who makes as many as he can leaves some to others. */
static void a_peer_with_many_gaps_leaves_places_to_others(void **state)
{
    (void)state;
    conn greedy = established();
    conn other = established(.local = "any:7001", .peer = PEER ":5001");
    on_conn(greedy);
    for (int i = 0; i < 20; i++) {
        inject_tcp("A %d:%d ack 1", 101 + 200 * i, 201 + 200 * i);
    }
    allow_tcp("A 1 ack 1");
    assert_true(counter_get(&script_stack()->counters, COUNTER_tcp_ranges_full) > 0);
    on_conn(other);
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
}

/* ---- settings ---- */

/* tcp.h: 0 is 128, also when it was something else. */
static void a_ttl_of_0_is_the_default_again(void **state)
{
    (void)state;
    conn c = established();
    set_settings(c, .nodelay = true, .ttl = 9);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1 ttl 9");
    set_settings(c, .nodelay = true);
    write_bytes(c, 10);
    expect_tcp("PA 11:21 ack 1");
}

/* What is counted in a byte still ends. */
static void the_most_keep_alive_probes_end_too(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .settings = {.keepalive = true,
                                                        .keep_idle_ms = 1000,
                                                        .keep_interval_ms = 10,
                                                        .keep_count = UINT8_MAX});
    advance_ms(5000);
    for (unsigned i = 0; i < 255; i++) {
        expect_tcp("A 0 ack 1");
    }
    expect_tcp("RA 1 ack 1");
    expect_error(c, RS_NET_RESET);
    expect_count(tcp_keepalives, 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(an_ack_behind_a_fin_at_the_edge_of_a_full_window_counts),
        TCP_SCRIPT(a_limit_below_the_grain_of_the_window_still_opens_it),
        TCP_SCRIPT(a_fin_before_what_has_come_is_none),
        TCP_SCRIPT(a_reset_that_finds_no_buffer_leaves_when_there_is_one),
        TCP_SCRIPT(a_reset_is_given_up_when_the_nic_is_stuck),
        TCP_SCRIPT(an_orphans_reset_waits_for_a_buffer_too),
        TCP_SCRIPT(what_was_urgent_long_ago_is_not_again),
        TCP_SCRIPT(an_urgent_mark_long_ago_does_not_hide_the_next),
        TCP_SCRIPT(a_small_segment_long_ago_does_not_hold_the_next),
        TCP_SCRIPT_WITH(far_blocks_are_found_in_several_acks, none),
        cmocka_unit_test_setup_teardown(a_peer_with_many_gaps_leaves_places_to_others,
                                        setup_few_ranges, script_teardown),
        TCP_SCRIPT(a_ttl_of_0_is_the_default_again),
        TCP_SCRIPT(the_most_keep_alive_probes_end_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
