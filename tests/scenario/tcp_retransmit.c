/*
 * Packet scripts: timeouts, duplicate ACKs and what may leave meanwhile (RFC 6298, 5681, 6582,
 * 3042, 6675, 6928, 9438). RACK's part is in tcp_rack.c, undo in tcp_undo.c. The language is in
 * tcp_script.h.
 *
 * The peer is 100 ms away: a handshake's sample makes a timeout of 100 + 200 ms.
 */
#include "tcp_script.h"

#define RTT_MS 100
/* Neither SACK nor timestamps: what RFC 5681 and 6582 say. */
#define PLAIN "mss 1460"
/* Timestamps without SACK: no RACK, no tail loss probe. */
#define STAMPED  "mss 1460,ts 0:0,wscale 7"
#define MSS      1460 /* of PLAIN */
#define SACK_MSS 1448 /* with timestamps */

static conn far(const char *options)
{
    return established(.rtt_ms = RTT_MS, .options = options);
}

/* The peer has all that was sent, after a round trip; the window has grown to so many segments. */
static int grown(conn c, int segments, int mss)
{
    int end = 1;
    for (int window = 10; window < segments; window *= 2) {
        write_bytes(c, (uint32_t)(window * mss));
        expect_tcp_each((uint32_t)mss, "PA %d:%d ack 1", end, end + window * mss);
        end += window * mss;
        advance_ms(RTT_MS);
        inject_tcp("A 1 ack %d", end);
    }
    expect_cwnd(c, segments * mss);
    expect_nothing();
    return end;
}

/* RFC 6582 3.2 step 3, RFC 6937: at the end of recovery the window is ssthresh. As in Linux the ACK
 * that ends it may grow it, by less than a segment. */
static void expect_deflated(conn c, uint32_t ssthresh)
{
    expect_ssthresh(c, ssthresh);
    assert_in_range(conn_info(c).cwnd_bytes, ssthresh, ssthresh + SACK_MSS - 1);
}

/* ---- the timeout (RFC 6298) ---- */

/* 2.2: SRTT R, RTTVAR R/2; Linux: RTTVAR's part is at least 200 ms. */
static void the_first_timeout_is_the_handshakes_round_trip_and_200_ms(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    expect_info(c, rtt_ns, 100000000);
    expect_info(c, rtt_var_ns, 50000000);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(300, "PA 1:101 ack 1");
}

/* 2.4: a second at least, says the RFC; 200 ms, says Linux. */
static void the_least_timeout_is_200_ms(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
}

/* 2.3: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, SRTT = 7/8 SRTT + 1/8 R: 150 and 150 ms here. */
static void a_round_trip_that_varies_makes_it_longer(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    advance_ms(299);
    inject_tcp("A 1 ack 101");
    expect_info(c, rtt_ns, 124875000);    /* 87.5 + 299 / 8 */
    expect_info(c, rtt_var_ns, 87250000); /* 37.5 + 199 / 4 */
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(473, "PA 101:201 ack 1"); /* 124.9 + 4 * 87.25 = 473.9 */
}

/* 5.7: a SYN that timed out leaves no sample; then 3 s. */
static void without_a_sample_of_the_handshake_it_is_three_seconds(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    expect_tcp_after(1000, "S 0");
    inject_tcp("SA 0 ack 1 <" PLAIN ">");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, rtt_ns, 0);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(3000, "PA 1:101 ack 1");
}

/* RFC 7323 4.1, as Linux: the echo says which SYN was answered. */
static void with_timestamps_a_handshake_always_gives_a_sample(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0 <mss 1460,sackOK,ts 0:0,wscale 1>");
    expect_tcp_after(1000, "S 0 <mss 1460,sackOK,ts 1000:0,wscale 1>");
    advance_ms(RTT_MS);
    inject_tcp("SA 0 ack 1 <mss 1460,ts 0:1000>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, rtt_ns, RTT_MS * 1000000);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(300, "PA 1:101 ack 1");
}

static void with_timestamps_a_syn_ack_always_gives_a_sample(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <mss 1460,ts 0:0>");
    expect_tcp("SA 0 ack 1 <mss 1460,ts 0:0>");
    expect_tcp_after(1000, "SA 0 ack 1 <mss 1460,ts 1000:0>");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <ts 100:1000>");
    conn c = accepted(s);
    expect_info(c, rtt_ns, RTT_MS * 1000000);
}

/* 5.5, and the most, 120 s (Linux); after 15 in vain the connection is given up (RFC 9293 3.8.3).
 */
static void it_doubles_until_the_connection_is_given_up(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    for (unsigned i = 0; i < 15; i++) {
        uint64_t ms = 300u << i;
        expect_tcp_after(ms < 120000 ? ms : 120000, "PA 1:101 ack 1");
    }
    advance_ms(119900);
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(200);
    expect_nothing();
    expect_error(c, RS_TIMED_OUT);
    expect_count(tcp_timeouts, 15);
}

/* 5.3: an ACK of new data starts it anew. */
static void an_ack_starts_it_anew(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 2 * MSS);
    expect_tcp_each(MSS, "PA 1:2921 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1461");
    expect_tcp_after(300, "PA 1461:2921 ack 1");
}

/* 5.2: when all is acknowledged it is off; 5.1: data after that starts it. */
static void it_counts_from_the_first_data_after_idleness(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 101");
    advance_ms(5000);
    expect_nothing();
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(300, "PA 101:201 ack 1");
}

/* 5.1: data sent while it runs does not move it. */
static void more_data_does_not_put_it_off(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    set_settings(c, .nodelay = true);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    advance_ms(200);
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(100, "A 1:101 ack 1");
    expect_tcp("PA 101:201 ack 1"); /* a window of one segment has room for both */
}

/* Karn, section 3: the ACK of what was sent twice is no sample; section 5: so the timeout stays
 * backed off. */
static void the_ack_of_a_retransmission_is_no_sample(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(300, "PA 1:101 ack 1");
    advance_ms(10);
    inject_tcp("A 1 ack 101");
    expect_info(c, rtt_ns, 100000000);
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(600, "PA 101:201 ack 1");
}

/* Nor is it when it acknowledges others as well: they may have waited for it. */
static void what_waited_for_a_retransmission_is_no_sample(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 2 * MSS);
    expect_tcp_each(MSS, "PA 1:2921 ack 1");
    expect_tcp_after(300, "A 1:1461 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 2921");
    expect_info(c, rtt_ns, 100000000);
}

static void a_sample_ends_the_backoff(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(300, "PA 1:101 ack 1");
    inject_tcp("A 1 ack 101");
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 201");
    write_bytes(c, 100);
    expect_tcp("PA 201:301 ack 1");
    expect_tcp_after(300, "PA 201:301 ack 1");
}

/* RFC 7323 section 4: the echo says which of them is acknowledged. */
static void with_timestamps_the_ack_of_a_retransmission_is_a_sample(void **state)
{
    (void)state;
    conn c = far(STAMPED);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(300, "PA 1:101 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 101");
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(300, "PA 101:201 ack 1");
}

/* RFC 5681 3.1: one segment; it is all lost that was under way, and comes back by slow start. */
static void after_a_timeout_the_window_is_one_segment(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14601 ack 1");
    expect_tcp_after(300, "A 1:1461 ack 1");
    expect_nothing();
    expect_cwnd(c, MSS);
    expect_ssthresh(c, 10220); /* RFC 9438 4.6: 0.7 of 14600 */
    inject_tcp("A 1 ack 1461");
    expect_tcp_each(MSS, "A 1461:4381 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 4381");
    expect_tcp_each(MSS, "A 4381:10221 ack 1");
    expect_nothing();
}

/* RFC 5681 3.1: further timeouts of the same data do not lower ssthresh again. */
static void a_second_timeout_does_not_lower_ssthresh_again(void **state)
{
    (void)state;
    conn c = far("mss 536");
    write_bytes(c, 10 * 536);
    expect_tcp_each(536, "PA 1:5361 ack 1");
    expect_tcp_after(300, "A 1:537 ack 1");
    expect_ssthresh(c, 3752); /* 0.7 of 5360 */
    expect_tcp_after(600, "A 1:537 ack 1");
    expect_cwnd(c, 536);
    expect_ssthresh(c, 3752);
}

/* ---- duplicate ACKs (RFC 5681 3.2) ---- */

static void three_duplicate_acks_are_a_loss(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14601 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1");
    inject_tcp("A 1 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 1");
    expect_tcp("A 1:1461 ack 1");
    expect_nothing();
    expect_ssthresh(c, 10220);
    expect_count(tcp_fast_recoveries, 1);
    inject_tcp("A 1 ack 14601");
    expect_deflated(c, 10220);
}

static void two_duplicate_acks_are_reordering(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14601 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1");
    inject_tcp("A 1 ack 1");
    inject_tcp("A 1 ack 4381");
    inject_tcp("A 1 ack 4381"); /* counting begins again */
    inject_tcp("A 1 ack 4381");
    expect_nothing();
    expect_count(tcp_fast_recoveries, 0);
}

/* RFC 5681 2: what moves the window or carries data is no duplicate. */
static void window_updates_and_data_are_no_duplicates(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = PLAIN, .window = 60000);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14601 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1");
    inject_tcp("A 1 ack 1");
    inject_tcp("A 1 ack 1 win 61000");
    inject_tcp("A 1 ack 1 win 62000");
    expect_nothing();
    inject_tcp("PA 1:11 ack 1");
    inject_tcp("PA 11:21 ack 1");
    expect_count(tcp_fast_recoveries, 0);
    inject_tcp("A 21 ack 1");
    expect_tcp("A 1:1461 ack 21");
    read_bytes(c, 20);
}

/* RFC 3042: the first two each let a new segment out, beyond the window. */
static void the_first_two_duplicates_let_new_data_out(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 13 * MSS);
    expect_tcp_each(MSS, "A 1:14601 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1");
    expect_tcp("A 14601:16061 ack 1");
    inject_tcp("A 1 ack 1");
    expect_tcp("A 16061:17521 ack 1");
    inject_tcp("A 1 ack 1");
    expect_tcp("A 1:1461 ack 1");
    expect_nothing();
}

/* RFC 6582 3.2: an ACK that does not reach all of it tells of the next hole. */
static void a_partial_ack_tells_of_the_next_loss(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14601 ack 1");
    advance_ms(100);
    for (int i = 0; i < 3; i++) {
        inject_tcp("A 1 ack 1");
    }
    expect_tcp("A 1:1461 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 4381"); /* the fourth segment is missing, too */
    expect_tcp("A 4381:5841 ack 1");
    expect_nothing();
    advance_ms(100);
    inject_tcp("A 1 ack 14601");
    expect_nothing();
    expect_deflated(c, 10220);
    expect_count(tcp_fast_recoveries, 1);
    expect_count(tcp_timeouts, 0);
}

/* RFC 6582 3.2 step 1: after recovery duplicates of the old data, which came twice, are no loss. */
static void duplicates_at_the_end_of_recovery_are_no_loss(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14601 ack 1");
    expect_tcp_after(300, "A 1:1461 ack 1");
    inject_tcp("A 1 ack 14601"); /* it was only late */
    write_bytes(c, 10 * MSS);
    int end = 14601 + (int)conn_info(c).in_flight_bytes;
    expect_tcp_each(MSS, "A 14601:%d ack 1", end);
    for (int i = 0; i < 3; i++) {
        inject_tcp("A 1 ack 14601");
    }
    expect_count(tcp_fast_recoveries, 0);
    expect_count(tcp_retransmits, 1);
    inject_tcp("A 1 ack %d", end);
    while (conn_info(c).in_flight_bytes > 0) {
        int start = end;
        end += (int)conn_info(c).in_flight_bytes;
        expect_tcp_each(MSS, "A %d:%d ack 1", start, end);
        inject_tcp("A 1 ack %d", end);
    }
}

/* ---- with SACK (RFC 6675, 6937) ---- */

/* Three segments SACKed behind a hole: RFC 6675 section 5, RFC 8985 without reordering seen. */
static void three_segments_sacked_are_a_loss(void **state)
{
    (void)state;
    conn c = far(NULL);
    write_bytes(c, 10 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "PA 1:14481 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1 <ts,sack 1449:2897>");
    inject_tcp("A 1 ack 1 <ts,sack 1449:4345>");
    expect_nothing();
    inject_tcp("A 1 ack 1 <ts,sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1");
    expect_nothing();
    /* RFC 6675 section 4, pipe: 10 less 3 that arrived; what was lost is under way again. */
    expect_info(c, in_flight_bytes, 7 * SACK_MSS);
    expect_ssthresh(c, 10136); /* 0.7 of 14480 */
}

/* RFC 6675 section 5 step C.1: holes in order, then new data. */
static void all_holes_are_filled_before_new_data(void **state)
{
    (void)state;
    conn c = far(NULL);
    write_bytes(c, 14 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "A 1:14481 ack 1");
    advance_ms(100);
    /* 1, 3 and 5 are lost. */
    inject_tcp("A 1 ack 1 <ts,sack 1449:2897>");
    expect_tcp("A 14481:15929 ack 1"); /* RFC 3042 */
    inject_tcp("A 1 ack 1 <ts,sack 4345:5793 1449:2897>");
    expect_tcp("A 15929:17377 ack 1");
    inject_tcp("A 1 ack 1 <ts,sack 7241:8689 4345:5793 1449:2897>");
    expect_tcp("A 1:1449 ack 1");
    inject_tcp("A 1 ack 1 <ts,sack 7241:10137 4345:5793 1449:2897>");
    expect_tcp("A 2897:4345 ack 1");
    inject_tcp("A 1 ack 1 <ts,sack 7241:11585 4345:5793 1449:2897>");
    expect_tcp("A 5793:7241 ack 1");
    inject_tcp("A 1 ack 1 <ts,sack 7241:13033 4345:5793 1449:2897>");
    expect_tcp("A 17377:18825 ack 1");
    inject_tcp("A 1 ack 1 <ts,sack 7241:14481 4345:5793 1449:2897>");
    expect_tcp("PA 18825:20273 ack 1");
}

/* RFC 6937: from 20 segments to 14 by leaving out 3 of 10, not by a pause. */
static void the_window_comes_down_in_proportion(void **state)
{
    (void)state;
    static const bool sends[] = {false, true, false, true, true, false, true, true, true};
    conn c = far(NULL);
    int start = grown(c, 20, SACK_MSS);
    write_bytes(c, 40 * SACK_MSS);
    int sent = start + 20 * SACK_MSS;
    expect_tcp_each(SACK_MSS, "A %d:%d ack 1", start, sent);
    advance_ms(RTT_MS);
    int hole = start + SACK_MSS;
    int sacked = hole;
    for (int i = 0; i < 2; i++, sent += SACK_MSS) {
        sacked += SACK_MSS;
        inject_tcp("A 1 ack %d <ts,sack %d:%d>", start, hole, sacked);
        expect_tcp("A %d:%d ack 1", sent, sent + SACK_MSS); /* RFC 3042 */
    }
    sacked += SACK_MSS;
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", start, hole, sacked);
    expect_tcp("A %d:%d ack 1", start, hole);
    expect_nothing();
    for (size_t i = 0; i < sizeof(sends) / sizeof(sends[0]); i++) {
        sacked += SACK_MSS;
        inject_tcp("A 1 ack %d <ts,sack %d:%d>", start, hole, sacked);
        if (sends[i]) {
            expect_tcp("A %d:%d ack 1", sent, sent + SACK_MSS);
            sent += SACK_MSS;
        }
        expect_nothing();
    }
    expect_ssthresh(c, 20272); /* 0.7 of 28960 */
}

/* RFC 5681 3.2 step 6, RFC 6937: at its end the window is ssthresh. */
static void recovery_ends_with_the_window_at_ssthresh(void **state)
{
    (void)state;
    conn c = far(NULL);
    write_bytes(c, 10 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "PA 1:14481 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1 <ts,sack 1449:14481>");
    expect_tcp("A 1:1449 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 14481");
    expect_nothing();
    expect_deflated(c, 10136);
    write_bytes(c, 10 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "A 14481:24617 ack 1");
    expect_nothing();
}

/* The same, from further above. */
static void a_window_that_is_still_too_large_falls_at_the_end(void **state)
{
    (void)state;
    conn c = far(NULL);
    int start = grown(c, 20, SACK_MSS);
    write_bytes(c, 20 * SACK_MSS);
    int end = start + 20 * SACK_MSS;
    expect_tcp_each(SACK_MSS, "PA %d:%d ack 1", start, end);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack %d <ts,sack %d:%d>", start, start + SACK_MSS, start + 4 * SACK_MSS);
    expect_tcp("A %d:%d ack 1", start, start + SACK_MSS);
    expect_cwnd(c, 26209); /* 16 segments under way, and 0.7 of the 3 that arrived */
    inject_tcp("A 1 ack %d", end);
    expect_deflated(c, 20272);
}

/* RFC 2018 section 5: what the peer has is not sent again after a timeout either. */
static void a_timeout_does_not_resend_what_is_sacked(void **state)
{
    (void)state;
    conn c = far(NULL);
    write_bytes(c, 3 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "PA 1:4345 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 1 <ts,sack 1449:2897>");
    expect_tcp_after(25, "A 1:1449 ack 1"); /* RACK; and it is lost again */
    expect_tcp_after(300, "A 1:1449 ack 1");
    expect_nothing();
    advance_ms(100);
    inject_tcp("A 1 ack 2897");
    expect_tcp("PA 2897:4345 ack 1");
}

/* ---- where windows begin ---- */

/* RFC 6928. */
static void ten_segments_may_leave_at_first(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    write_bytes(c, 20 * MSS);
    expect_tcp_each(MSS, "A 1:14601 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 1461"); /* RFC 5681 3.1: slow start, two for one */
    expect_tcp_each(MSS, "A 14601:17521 ack 1");
    expect_nothing();
}

/* RFC 5681 3.1: MUST be one segment when the SYN was lost. */
static void after_a_lost_syn_it_is_one(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    expect_tcp_after(1000, "S 0");
    inject_tcp("SA 0 ack 1 <" PLAIN ">");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    write_bytes(c, 20 * MSS);
    expect_tcp("A 1:1461 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 1461");
    expect_tcp_each(MSS, "A 1461:4381 ack 1");
    expect_nothing();
}

static void after_a_lost_syn_ack_it_is_one(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <" PLAIN ">");
    expect_tcp("SA 0 ack 1");
    expect_tcp_after(1000, "SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    write_bytes(c, 20 * MSS);
    expect_tcp("A 1:1461 ack 1");
    expect_nothing();
}

/* RFC 5681 4.1, RFC 2861: half for each timeout that passes, not below where it began. */
static void the_window_falls_while_nothing_is_sent(void **state)
{
    (void)state;
    conn c = far(STAMPED);
    int end = grown(c, 40, SACK_MSS);
    advance_ms(250);
    write_bytes(c, 44 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "A %d:%d ack 1", end, end + 20 * SACK_MSS);
    expect_nothing();
}

static void the_window_does_not_fall_below_the_initial_one(void **state)
{
    (void)state;
    conn c = far(STAMPED);
    int end = grown(c, 40, SACK_MSS);
    advance_ms(60000);
    write_bytes(c, 40 * SACK_MSS);
    expect_tcp_each(SACK_MSS, "A %d:%d ack 1", end, end + 10 * SACK_MSS);
    expect_nothing();
}

/* RFC 7661, Linux: a window that the program does not use does not grow. */
static void a_window_that_is_not_used_does_not_grow(void **state)
{
    (void)state;
    conn c = far(PLAIN);
    for (int i = 0; i < 20; i++) {
        write_bytes(c, 100);
        expect_tcp("PA %d:%d ack 1", 1 + 100 * i, 101 + 100 * i);
        advance_ms(10);
        inject_tcp("A 1 ack %d", 101 + 100 * i);
    }
    expect_cwnd(c, 10 * MSS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(the_first_timeout_is_the_handshakes_round_trip_and_200_ms),
        TCP_SCRIPT(the_least_timeout_is_200_ms),
        TCP_SCRIPT(a_round_trip_that_varies_makes_it_longer),
        TCP_SCRIPT(without_a_sample_of_the_handshake_it_is_three_seconds),
        TCP_SCRIPT(with_timestamps_a_handshake_always_gives_a_sample),
        TCP_SCRIPT(with_timestamps_a_syn_ack_always_gives_a_sample),
        TCP_SCRIPT(it_doubles_until_the_connection_is_given_up),
        TCP_SCRIPT(an_ack_starts_it_anew),
        TCP_SCRIPT(it_counts_from_the_first_data_after_idleness),
        TCP_SCRIPT(more_data_does_not_put_it_off),
        TCP_SCRIPT(the_ack_of_a_retransmission_is_no_sample),
        TCP_SCRIPT(what_waited_for_a_retransmission_is_no_sample),
        TCP_SCRIPT(a_sample_ends_the_backoff),
        TCP_SCRIPT(with_timestamps_the_ack_of_a_retransmission_is_a_sample),
        TCP_SCRIPT(after_a_timeout_the_window_is_one_segment),
        TCP_SCRIPT_WITH(after_a_timeout_the_window_is_one_segment, wrap),
        TCP_SCRIPT(a_second_timeout_does_not_lower_ssthresh_again),
        TCP_SCRIPT(three_duplicate_acks_are_a_loss),
        TCP_SCRIPT_WITH(three_duplicate_acks_are_a_loss, wrap),
        TCP_SCRIPT(two_duplicate_acks_are_reordering),
        TCP_SCRIPT(window_updates_and_data_are_no_duplicates),
        TCP_SCRIPT(the_first_two_duplicates_let_new_data_out),
        TCP_SCRIPT(a_partial_ack_tells_of_the_next_loss),
        TCP_SCRIPT(duplicates_at_the_end_of_recovery_are_no_loss),
        TCP_SCRIPT(three_segments_sacked_are_a_loss),
        TCP_SCRIPT_WITH(three_segments_sacked_are_a_loss, wrap),
        TCP_SCRIPT(all_holes_are_filled_before_new_data),
        TCP_SCRIPT(the_window_comes_down_in_proportion),
        TCP_SCRIPT(recovery_ends_with_the_window_at_ssthresh),
        TCP_SCRIPT(a_window_that_is_still_too_large_falls_at_the_end),
        TCP_SCRIPT(a_timeout_does_not_resend_what_is_sacked),
        TCP_SCRIPT(ten_segments_may_leave_at_first),
        TCP_SCRIPT(after_a_lost_syn_it_is_one),
        TCP_SCRIPT(after_a_lost_syn_ack_it_is_one),
        TCP_SCRIPT(the_window_falls_while_nothing_is_sent),
        TCP_SCRIPT(the_window_does_not_fall_below_the_initial_one),
        TCP_SCRIPT(a_window_that_is_not_used_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
