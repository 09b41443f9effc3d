/*
 * Packet scripts: losses found by time, RACK, and the tail loss probe (RFC 8985). The language is
 * in tcp_script.h.
 *
 * The peer is 100 ms away: a quarter of that, 25 ms, is the reordering window; a timeout is 300 ms,
 * a probe goes out after two round trips (and 2 ms, as in Linux).
 */
/* For struct tcp_conn. */
#include "dataplane/stack_internal.h"

#include "tcp_script.h"

#include <stdio.h>

#define RTT_MS 100
#define REO_MS 25
#define PTO_MS 202
#define MSS    1448

#define NO_SSTHRESH (1u << 30) /* before anything was lost */

static conn far(void)
{
    return established(.rtt_ms = RTT_MS);
}

/* The sequence number where the segment of that number, from 1 on, begins. */
static int at(int segment)
{
    return 1 + (segment - 1) * MSS;
}

/* So many full segments, all of them sent; the first has this number. */
static void sent(conn c, int first, int count)
{
    write_bytes(c, (uint32_t)(count * MSS));
    expect_tcp_each(MSS, "PA %d:%d ack 1", at(first), at(first + count));
    expect_nothing();
}

/* An ACK of all before that segment, and segments `from` to `to` SACKed. */
static void sacked(int next, int from, int to)
{
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(next), at(from), at(to + 1));
}

static void expect_segment(int segment)
{
    expect_tcp("A %d:%d ack 1", at(segment), at(segment + 1));
}

static void expect_segment_after(uint64_t ms, int segment)
{
    expect_tcp_after(ms, "A %d:%d ack 1", at(segment), at(segment + 1));
}

/* ---- RACK (section 6) ---- */

/* 6.2 step 5: a segment sent before one that arrived is lost when that is a quarter of the least
 * round trip ago. */
static void what_was_overtaken_is_lost_after_the_reordering_window(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 4);
    advance_ms(RTT_MS);
    sacked(1, 2, 2);
    expect_nothing();
    expect_segment_after(REO_MS, 1);
    expect_count(tcp_fast_recoveries, 1);
    expect_count(tcp_timeouts, 0);
    inject_tcp("A 1 ack %d", at(5));
}

static void what_comes_within_the_window_was_reordered(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 4);
    advance_ms(RTT_MS);
    sacked(1, 2, 2);
    advance_ms(REO_MS - 1);
    inject_tcp("A 1 ack %d", at(3));
    advance_ms(REO_MS);
    inject_tcp("A 1 ack %d", at(5));
    expect_nothing();
    expect_count(tcp_retransmits, 0);
    expect_count(tcp_fast_recoveries, 0);
}

/* 6.2 step 4: on a path that reorders, three segments SACKed are no proof. */
static void after_reordering_three_segments_are_no_proof(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 2);
    advance_ms(RTT_MS);
    sacked(1, 2, 2);
    inject_tcp("A 1 ack %d", at(3));
    sent(c, 3, 6);
    advance_ms(RTT_MS);
    sacked(3, 4, 8);
    expect_nothing();
    expect_segment_after(REO_MS, 3);
}

/* Before any, they are; whatever the ISN is (here one of the upper half of all numbers). */
static void without_reordering_three_segments_are_proof(void **state)
{
    (void)state;
    for (unsigned port = 5000;; port++) {
        char peer[32];
        (void)snprintf(peer, sizeof(peer), PEER ":%u", port);
        conn c = established(.peer = peer, .rtt_ms = RTT_MS);
        uint32_t iss = tcp_of(c)->iss;
        sent(c, 1, 6);
        advance_ms(RTT_MS);
        sacked(1, 2, 4);
        expect_segment(1);
        expect_nothing();
        inject_tcp("A 1 ack %d", at(7));
        if (iss >= 1u << 31) {
            break;
        }
    }
}

/* 6.2 step 5: one timer for all that wait, when the last of them is due. */
static void one_timer_is_for_all_that_wait(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 1);
    advance_ms(10);
    sent(c, 2, 1);
    advance_ms(10);
    sent(c, 3, 2);
    advance_ms(RTT_MS);
    sacked(1, 4, 4);
    /* 1 was sent 120 ms ago, 2 110, 3 100: 25 ms are left for 3. */
    expect_segment_after(REO_MS, 1);
    expect_nothing(); /* RFC 6937: one at first */
    expect_info(c, in_flight_bytes, MSS);
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(2), at(4), at(5));
    expect_segment(2);
    expect_segment(3);
}

/* 6.2: a retransmission is a transmission: what was sent after it, and arrived, finds it lost. */
static void a_lost_retransmission_is_found(void **state)
{
    (void)state;
    conn c = far();
    write_bytes(c, 12 * MSS);
    expect_tcp_each(MSS, "A 1:%d ack 1", at(11));
    advance_ms(RTT_MS);
    sacked(1, 2, 4);
    expect_segment(1);
    advance_ms(1);
    sacked(1, 2, 10);
    expect_segment(11);
    expect_tcp("PA %d:%d ack 1", at(12), at(13));
    expect_nothing();
    advance_ms(RTT_MS);
    sacked(1, 2, 12);
    expect_segment(1);
    expect_nothing();
    expect_count(tcp_timeouts, 0);
    expect_count(tcp_retransmits, 2);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d", at(13));
}

/* What was sent at the same time as the retransmission, but in front, says nothing about it. */
static void what_was_sent_before_the_retransmission_does_not_find_it_lost(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 10);
    advance_ms(RTT_MS);
    sacked(1, 2, 4);
    expect_segment(1);
    for (int last = 5; last <= 10; last++) {
        advance_ms(10);
        sacked(1, 2, last);
    }
    expect_nothing();
    expect_count(tcp_retransmits, 1);
}

/* 6.2 step 4: each round trip with a D-SACK makes the window a quarter wider. */
static void a_spurious_retransmission_widens_the_window(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = "mss 1448,sackOK");
    sent(c, 1, 3);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <sack %d:%d>", at(2), at(3));
    expect_segment_after(REO_MS, 1);
    advance_ms(5);
    inject_tcp("A 1 ack %d", at(3)); /* it was only late */
    advance_ms(RTT_MS - 5);
    inject_tcp("A 1 ack %d <sack %d:%d>", at(3), at(1), at(2));
    inject_tcp("A 1 ack %d", at(4));
    sent(c, 4, 3);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d <sack %d:%d>", at(4), at(5), at(6));
    expect_segment_after(2 * REO_MS, 4);
}

/* Several D-SACKs of one round trip tell of one reordering. */
static void one_round_trip_widens_it_once(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 3);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(2), at(1), at(2));
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(3), at(2), at(3));
    inject_tcp("A 1 ack %d", at(4));
    sent(c, 4, 3);
    advance_ms(RTT_MS);
    sacked(4, 5, 5);
    expect_segment_after(2 * REO_MS, 4);
}

/* 6.2 step 4: not wider than a smoothed round trip, however many D-SACKs come. */
static void the_window_is_not_wider_than_a_round_trip(void **state)
{
    (void)state;
    conn c = far();
    int next = 1;
    for (int i = 0; i < 8; i++, next++) { /* D-SACKs of nothing in particular */
        sent(c, next, 1);
        advance_ms(RTT_MS);
        inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(next + 1), at(next), at(next + 1));
    }
    sent(c, next, 3);
    advance_ms(RTT_MS);
    sacked(next, next + 1, next + 1);
    expect_segment_after(RTT_MS, next);
}

/* 6.2 step 4: 16 recoveries without another D-SACK, and it is as narrow as before. */
static void sixteen_recoveries_narrow_it_again(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 1);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(2), at(1), at(2));
    int next = 2;
    for (int i = 0; i <= 16; i++, next += 2) {
        sent(c, next, 2);
        advance_ms(RTT_MS);
        sacked(next, next + 1, next + 1);
        expect_segment_after(i < 16 ? 2 * REO_MS : REO_MS, next);
        advance_ms(RTT_MS);
        inject_tcp("A 1 ack %d", at(next + 2));
    }
    expect_count(tcp_fast_recoveries, 17);
}

/* Without timestamps as well. */
static void timestamps_are_not_needed(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = "mss 1448,sackOK");
    sent(c, 1, 4);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <sack %d:%d>", at(2), at(3));
    expect_segment_after(REO_MS, 1);
}

/* ---- tail loss probe (section 7) ---- */

/* 7.3: nothing new to send: the last segment, of which a SACK shows what is missing before it. */
static void when_no_ack_comes_the_last_segment_is_sent_again(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 3);
    expect_tcp_after(PTO_MS, "PA %d:%d ack 1", at(3), at(4));
    expect_count(tcp_probes_tail, 1);
    expect_cwnd(c, 10 * MSS);
    advance_ms(RTT_MS);
    sacked(1, 3, 3);
    expect_segment(1);
    expect_nothing();
    advance_ms(RTT_MS);
    sacked(2, 3, 3);
    expect_segment(2);
    expect_count(tcp_timeouts, 0);
}

/* 7.3: new data, though the congestion window is full. */
static void new_data_is_the_better_probe(void **state)
{
    (void)state;
    conn c = far();
    write_bytes(c, 12 * MSS);
    expect_tcp_each(MSS, "A 1:%d ack 1", at(11));
    expect_tcp_after(PTO_MS, "A %d:%d ack 1", at(11), at(12));
    expect_nothing();
    expect_count(tcp_retransmits, 0);
}

/* 7.3: what the peer's window does not take is no probe. */
static void beyond_the_peers_window_nothing_is_a_probe(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .window = 3 * MSS);
    write_bytes(c, 5 * MSS);
    expect_tcp_each(MSS, "A 1:%d ack 1", at(4));
    expect_segment_after(PTO_MS, 3);
}

/* 7.2: one segment may have to wait for the peer's delayed ACK: 200 ms more. */
static void one_segment_alone_has_more_time(void **state)
{
    (void)state;
    conn c = far();
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    advance_ms(299);
    inject_tcp("A 1 ack 101");
    /* SRTT is 124.9 ms now, the timeout 473.9 ms. */
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(449, "PA 101:201 ack 1");
    expect_count(tcp_probes_tail, 1);
}

/* 7.2: and not more than the timeout has; a probe in its place, which costs no window. */
static void the_probe_comes_in_the_timeouts_place(void **state)
{
    (void)state;
    conn c = far();
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(300, "PA 1:101 ack 1");
    expect_count(tcp_probes_tail, 1);
    expect_count(tcp_timeouts, 0);
    expect_cwnd(c, 10 * MSS);
    expect_tcp_after(300, "PA 1:101 ack 1"); /* 7.3: the timeout begins anew */
    expect_count(tcp_timeouts, 1);
    expect_cwnd(c, MSS);
}

/* 7.3: one probe, then the timeout, from the probe on. */
static void after_the_probe_comes_the_timeout(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 3);
    expect_tcp_after(PTO_MS, "PA %d:%d ack 1", at(3), at(4));
    expect_segment_after(300, 1);
    expect_nothing();
    expect_count(tcp_probes_tail, 1);
    expect_count(tcp_timeouts, 1);
}

/* 7.4.2 case 2: the probe has repaired a loss that nobody else will notice: congestion. */
static void a_loss_that_the_probe_repaired_is_congestion(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 3);
    expect_tcp_after(PTO_MS, "PA %d:%d ack 1", at(3), at(4));
    advance_ms(10);
    inject_tcp("A 1 ack %d", at(3)); /* 1 and 2 were only late */
    sent(c, 4, 1);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d", at(5));
    /* 0.7 of half the window, of which not even half was used (RFC 7661 4.4.1) */
    expect_ssthresh(c, 5068);
    assert_in_range(conn_info(c).cwnd_bytes, 5068, 5067 + MSS);
}

/* 7.4.2 case 1: a D-SACK says that both copies arrived: no loss. */
static void a_probe_that_was_not_needed_costs_nothing(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 3);
    expect_tcp_after(PTO_MS, "PA %d:%d ack 1", at(3), at(4));
    advance_ms(10);
    inject_tcp("A 1 ack %d", at(4));
    sent(c, 4, 1);
    advance_ms(90);
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(4), at(3), at(4));
    advance_ms(10);
    inject_tcp("A 1 ack %d", at(5));
    expect_ssthresh(c, NO_SSTHRESH);
    assert_true(conn_info(c).cwnd_bytes >= 10 * MSS);
}

/* It may come with a later ACK. */
static void the_dsack_of_a_probe_may_come_late(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 3);
    expect_tcp_after(PTO_MS, "PA %d:%d ack 1", at(3), at(4));
    advance_ms(10);
    inject_tcp("A 1 ack %d", at(4));
    sent(c, 4, 1);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", at(5), at(3), at(4));
    expect_ssthresh(c, NO_SSTHRESH);
}

/* 7.4.2: new data needs no repair: its ACK says nothing about losses. */
static void a_probe_of_new_data_is_no_repair(void **state)
{
    (void)state;
    conn c = far();
    write_bytes(c, 11 * MSS);
    expect_tcp_each(MSS, "A 1:%d ack 1", at(11));
    expect_tcp_after(PTO_MS, "PA %d:%d ack 1", at(11), at(12));
    inject_tcp("A 1 ack %d", at(11));
    sent(c, 12, 1);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d", at(13));
    expect_ssthresh(c, NO_SSTHRESH);
}

/* 7.2: in recovery something is known to be lost; there is nothing to find out. */
static void there_is_no_probe_in_recovery(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 10);
    advance_ms(RTT_MS);
    sacked(1, 2, 4);
    expect_segment(1);
    expect_segment_after(300, 1);
    expect_count(tcp_probes_tail, 0);
    expect_count(tcp_timeouts, 1);
}

/* 7.1: nor without SACK. */
static void there_is_no_probe_without_sack(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = "mss 1448");
    sent(c, 1, 3);
    expect_segment_after(300, 1);
    expect_count(tcp_probes_tail, 0);
}

/* A FIN is the last segment, too. */
static void a_fin_may_be_the_probe(void **state)
{
    (void)state;
    conn c = far();
    sent(c, 1, 2);
    shutdown_send(c);
    expect_tcp("FA %d ack 1", at(3));
    expect_tcp_after(PTO_MS, "FA %d ack 1", at(3));
    expect_count(tcp_probes_tail, 1);
    inject_tcp("A 1 ack %d", at(3) + 1);
    expect_state(c, TCP_FIN_WAIT_2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(what_was_overtaken_is_lost_after_the_reordering_window),
        TCP_SCRIPT_WITH(what_was_overtaken_is_lost_after_the_reordering_window, wrap),
        TCP_SCRIPT(what_comes_within_the_window_was_reordered),
        TCP_SCRIPT_WITH(what_comes_within_the_window_was_reordered, wrap),
        TCP_SCRIPT(after_reordering_three_segments_are_no_proof),
        TCP_SCRIPT(without_reordering_three_segments_are_proof),
        TCP_SCRIPT(one_timer_is_for_all_that_wait),
        TCP_SCRIPT(a_lost_retransmission_is_found),
        TCP_SCRIPT_WITH(a_lost_retransmission_is_found, wrap),
        TCP_SCRIPT(what_was_sent_before_the_retransmission_does_not_find_it_lost),
        TCP_SCRIPT(a_spurious_retransmission_widens_the_window),
        TCP_SCRIPT(one_round_trip_widens_it_once),
        TCP_SCRIPT(the_window_is_not_wider_than_a_round_trip),
        TCP_SCRIPT(sixteen_recoveries_narrow_it_again),
        TCP_SCRIPT(timestamps_are_not_needed),
        TCP_SCRIPT(when_no_ack_comes_the_last_segment_is_sent_again),
        TCP_SCRIPT_WITH(when_no_ack_comes_the_last_segment_is_sent_again, wrap),
        TCP_SCRIPT(new_data_is_the_better_probe),
        TCP_SCRIPT(beyond_the_peers_window_nothing_is_a_probe),
        TCP_SCRIPT(one_segment_alone_has_more_time),
        TCP_SCRIPT(the_probe_comes_in_the_timeouts_place),
        TCP_SCRIPT(after_the_probe_comes_the_timeout),
        TCP_SCRIPT(a_loss_that_the_probe_repaired_is_congestion),
        TCP_SCRIPT(a_probe_that_was_not_needed_costs_nothing),
        TCP_SCRIPT(the_dsack_of_a_probe_may_come_late),
        TCP_SCRIPT(a_probe_of_new_data_is_no_repair),
        TCP_SCRIPT(there_is_no_probe_in_recovery),
        TCP_SCRIPT(there_is_no_probe_without_sack),
        TCP_SCRIPT(a_fin_may_be_the_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
