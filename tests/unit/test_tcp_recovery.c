/*
 * What TCP's sending side does about losses, by RFC rule: fast recovery with and without SACK, ECN,
 * timeouts, undo, congestion windows that are not used, and a pool of records that runs short. On
 * tcp_loss_rig.h's bare connection.
 */
#include "tests/unit/tcp_loss_rig.h"

/* ---- recovery ---- */

/* RFC 6937: 20 segments, one lost: on the way down 7 leave for 10 delivered. */
static void the_rate_goes_down_in_proportion(void **state)
{
    (void)state;
    warm(20);
    rig.unsent = 100 * MSS;
    pass_ms(RTT_MS);
    uint32_t left = 0;
    for (uint32_t i = 2; i <= 20; i++) {
        ACK(0, 1, i);
        output();
        left += rig.sent_new + rig.sent_again;
    }
    /* Two before the third SACK (RFC 3042), then the retransmission and 0.7 for each. */
    assert_in_range(left, 12, 15);
    assert_int_equal(conn->congestion.ssthresh_bytes / MSS, 14);
    pass_ms(RTT_MS);
    ACK_PLAIN(20);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY); /* what left by limited transmit */
    ACK_PLAIN(23);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    assert_in_range(conn->congestion.cwnd_bytes, 14 * MSS, 15 * MSS);
}

/* RFC 6937: when much is lost, no more leaves than arrives, and one. */
static void heavy_loss_makes_no_burst(void **state)
{
    (void)state;
    warm(40);
    pass_ms(RTT_MS);
    ACK(0, 35, 38);
    assert_int_equal(conn->loss.lost_bytes, 35 * MSS);
    output();
    assert_in_range(rig.sent_again, 1, 3);
    ACK(0, 35, 39);
    output();
    assert_in_range(rig.sent_again, 1, 2);
}

static void limited_transmit(void **state)
{
    (void)state;
    bool sack = tcp_has(conn, TCP_FEATURE_SACK);
    warm(5);
    rig.unsent = 10 * MSS;
    pass_ms(RTT_MS);
    for (uint32_t i = 2; i <= 3; i++) { /* RFC 3042: a new segment for each of the first two */
        if (sack) {
            ACK(0, 1, i);
        } else {
            ACK_PLAIN(0);
        }
        output();
        assert_int_equal(rig.sent_new, 1);
    }
    assert_int_equal(conn->congestion.cwnd_bytes, 5 * MSS);
}

static void without_sack_the_third_duplicate(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK_PLAIN(0);
    ACK_PLAIN(0);
    rig.window = 60000;
    ACK_PLAIN(0); /* RFC 5681 2 (e): a window update is no duplicate */
    assert_int_equal(conn->loss.state, TCP_LOSS_DISORDER);
    ACK_PLAIN(0);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
    /* RFC 6582 3.2 step 3: a partial ACK names the next hole */
    pass_ms(RTT_MS);
    ACK_PLAIN(4);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 4);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    assert_in_range(conn->congestion.cwnd_bytes, 6 * MSS, 8 * MSS);
    assert_int_equal(conn->fast_recoveries, 1);
}

/* RFC 6582 3.2 step 2: duplicates that follow a recovery are of its own segments. */
static void without_sack_no_second_recovery(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    for (int i = 0; i < 3; i++) {
        ACK_PLAIN(0);
    }
    output();
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    write_segments(5);
    for (int i = 0; i < 4; i++) {
        ACK_PLAIN(10);
    }
    assert_int_equal(conn->fast_recoveries, 1);
    ACK_PLAIN(11);
    for (int i = 0; i < 3; i++) {
        ACK_PLAIN(11);
    }
    assert_int_equal(conn->fast_recoveries, 2);
}

static void ecn_reduces_once_a_window(void **state)
{
    (void)state;
    warm(10);
    conn->features |= TCP_FEATURE_ECN;
    rig.flags |= TCP_FLAG_ECE;
    pass_ms(RTT_MS);
    ACK_PLAIN(1);
    assert_int_equal(conn->loss.state, TCP_LOSS_CWR);
    assert_int_equal(conn->features & TCP_FEATURE_CWR, TCP_FEATURE_CWR);
    uint32_t ssthresh = conn->congestion.ssthresh_bytes;
    assert_in_range(ssthresh, 7 * MSS - 10, 7 * MSS);
    for (uint32_t i = 2; i <= 10; i++) { /* the last ACK is one of this window, too */
        ACK_PLAIN(i);
        assert_int_equal(conn->congestion.ssthresh_bytes, ssthresh);
    }
    write_segments(7);
    pass_ms(RTT_MS);
    ACK_PLAIN(11);
    assert_true(conn->congestion.ssthresh_bytes < ssthresh);
    rig.flags = TCP_FLAG_ACK;
    ACK_PLAIN(17);
    assert_int_equal(conn->loss.state, TCP_LOSS_CWR); /* until something behind it is */
    write_segments(1);
    pass_ms(RTT_MS);
    ACK_PLAIN(18);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
}

/* ---- timeouts ---- */

static void a_timeout_sends_one_segment(void **state)
{
    (void)state;
    warm(10);
    pass_ms(400);
    tcp_loss_timeout(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, 10 * MSS);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
    assert_int_equal(conn->timeouts, 1);
    uint32_t ssthresh = conn->congestion.ssthresh_bytes;
    assert_in_range(ssthresh, 7 * MSS - 10, 7 * MSS);
    tcp_loss_timeout(&stack, conn); /* again without progress: no second reduction */
    assert_int_equal(conn->congestion.ssthresh_bytes, ssthresh);
    output();
    pass_ms(RTT_MS);
    conn->loss.frto = 0;
    ACK_PLAIN(1);
    output();
    assert_int_equal(rig.sent_again, 2); /* slow start */
}

/* RFC 8985 6.3: what was sent a moment ago is not lost by an old segment's timeout. */
static void a_timeout_spares_what_is_new(void **state)
{
    (void)state;
    warm(5);
    conn->congestion.cwnd_bytes = 10 * MSS;
    pass_ms(290);
    write_segments(2);
    pass_ms(10);
    tcp_loss_timeout(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, 5 * MSS);
    assert_int_equal(tcp_loss_allowance(&stack, conn), MSS);
}

/* RFC 5682 3.1: the ACK after the timeout lets new data out, the next one is for what was never
 * sent again: nothing was lost. */
static void frto_finds_a_spurious_timeout(void **state)
{
    (void)state;
    warm(10);
    pass_ms(400);
    tcp_loss_timeout(&stack, conn);
    rig.unsent = 5 * MSS;
    conn->send.tail_cached += 5 * MSS; /* send_new counts it again: the ring is large */
    output();
    assert_int_equal(rig.sent_again, 1);
    pass_ms(RTT_MS);
    if (tcp_has(conn, TCP_FEATURE_SACK)) {
        ACK_PLAIN(1);
        output();
        assert_int_equal(rig.sent_again, 0);
        assert_int_equal(rig.sent_new, 2);
        ACK_PLAIN(2);
    } else {
        ACK_PLAIN(1);
        output();
        assert_int_equal(rig.sent_new, 2);
        ACK_PLAIN(3);
    }
    assert_int_equal(conn->undos, 1);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    assert_int_equal(conn->loss.lost_bytes, 0);
    assert_true(conn->congestion.cwnd_bytes >= 10 * MSS);
}

static void frto_sees_a_real_loss(void **state)
{
    (void)state;
    warm(10);
    pass_ms(400);
    tcp_loss_timeout(&stack, conn);
    rig.unsent = 5 * MSS;
    conn->send.tail_cached += 5 * MSS;
    output();
    pass_ms(RTT_MS);
    ACK_PLAIN(1);
    output();
    assert_int_equal(rig.sent_new, 2);
    ACK(1, 10, 11); /* only the new data arrived */
    assert_int_equal(conn->undos, 0);
    output();
    assert_true(rig.sent_again > 0);
    assert_int_equal(rig.again[0], 1);
}

/* RFC 3522: the ACK echoes a time before the retransmission. */
static void a_timestamp_undoes(void **state)
{
    (void)state;
    conn->features |= TCP_FEATURE_TIMESTAMPS;
    warm(10);
    uint32_t first_ts = tcp_ts_clock(&stack) + conn->ts_offset;
    rig.tsecr = first_ts;
    pass_ms(RTT_MS);
    ACK(0, 1, 4);
    output();
    assert_int_equal(rig.sent_again, 1);
    pass_ms(5);
    ACK_PLAIN(4);
    assert_int_equal(conn->undos, 1);
    assert_int_equal(conn->congestion.cwnd_bytes, 11 * MSS); /* and the one delivered */
    assert_int_equal(conn->congestion.ssthresh_bytes, 1u << 30);
    assert_true(conn->loss.rack_reordering_seen);

    rig.tsecr = first_ts + 5000; /* not when it echoes the retransmission */
    pass_ms(RTT_MS);
    ACK(4, 5, 9);
    pass_ms(RTT_MS);
    tcp_loss_reorder_timer(&stack, conn);
    output();
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    rig.tsecr = tcp_ts_clock(&stack) + conn->ts_offset;
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    assert_int_equal(conn->undos, 1);
}

/* RFC 3708: all that was sent again came twice. */
static void duplicates_undo(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 2, 5);
    output();
    ACK(0, 2, 8);
    output();
    assert_int_equal(conn->loss.undo_retransmits, 2 * MSS);
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    assert_true(conn->congestion.cwnd_bytes < 10 * MSS);
    ACK(10, 0, 1);
    assert_int_equal(conn->undos, 0);
    ACK(10, 1, 2);
    assert_int_equal(conn->undos, 1);
    assert_int_equal(conn->congestion.cwnd_bytes, 10 * MSS);
}

/* RFC 2018 8. */
static void a_timeout_forgets_what_the_peer_dropped(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 10);
    output();
    pass_ms(RTT_MS);
    ACK_PLAIN(1); /* but 1 to 9 were reported */
    assert_true(conn->rto_base_ns + tcp_rto_ns(conn) <= stack.now_ns + 50 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.sacked_bytes, 9 * MSS);
    tcp_loss_timeout(&stack, conn);
    assert_int_equal(conn->loss.sacked_bytes, 0);
    assert_int_equal(conn->loss.sacked_segments, 0);
    assert_int_equal(conn->loss.lost_bytes, 9 * MSS);
    output();
    assert_int_equal(rig.again[0], 1);
    assert_int_equal(counter_get(&stack.counters, COUNTER_tcp_sack_reneged), 1);
}

static void too_large_segments_leave_the_window(void **state)
{
    (void)state;
    warm(10);
    conn->mss = MSS / 2;
    tcp_loss_resend_too_large(&stack, conn);
    assert_int_equal(conn->congestion.cwnd_bytes, 10 * MSS);
    rig.sent_again = 0;
    uint32_t idx;
    while ((idx = tcp_loss_next(&stack, conn)) != TCP_NO_INDEX) {
        assert_true(tcp_retransmit(&stack, conn, idx, MSS / 2));
    }
    assert_int_equal(rig.sent_again, 20);
    assert_int_equal(tcp_in_flight(conn), 10 * MSS);
}

/* ---- windows ---- */

static void idle_shrinks_the_window_once(void **state)
{
    (void)state;
    warm(80);
    pass_ms(RTT_MS);
    ACK_PLAIN(80);
    conn->congestion.cwnd_bytes = 80 * MSS;
    pass_ms(2 * 300 + 50);
    assert_int_equal(tcp_loss_allowance(&stack, conn), 80 * MSS); /* nothing to send */
    conn->send.tail_cached += MSS;
    assert_int_equal(tcp_loss_allowance(&stack, conn), 20 * MSS);
    assert_int_equal(tcp_loss_allowance(&stack, conn), 20 * MSS);
}

static void a_window_that_is_not_filled_does_not_grow(void **state)
{
    (void)state;
    warm(10);
    conn->congestion.cwnd_bytes = 50 * MSS;
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    write_segments(5);
    pass_ms(RTT_MS);
    uint32_t before = conn->congestion.cwnd_bytes;
    ACK_PLAIN(15);
    assert_int_equal(conn->congestion.cwnd_bytes, before);
}

static void without_congestion_control_all_leaves(void **state)
{
    (void)state;
    conn->settings.congestion = TCP_CONGESTION_NONE;
    tcp_loss_init(&stack, conn);
    rig.unsent = 200 * MSS;
    output();
    assert_int_equal(rig.sent_new, 200);
    pass_ms(RTT_MS);
    ACK(0, 100, 200);
    assert_int_equal(conn->loss.lost_bytes, 100 * MSS);
    output();
    assert_int_equal(rig.sent_again, 100);
}

/* ---- undo ---- */

/* As Linux: an echo of 0 is none (there are peers, and boxes on the way, that put it in), so it
 * does not tell that the original arrived. */
static void an_echo_of_0_undoes_nothing(void **state)
{
    (void)state;
    conn->features |= TCP_FEATURE_TIMESTAMPS;
    warm(10);
    conn->ts_offset = 1; /* our timestamps are small, so 0 is before them */
    pass_ms(1000);
    tcp_loss_timeout(&stack, conn);
    output();
    assert_true(rig.sent_again > 0);
    pass_ms(RTT_MS);
    rig.tsecr = 0;
    ACK_PLAIN(1);
    assert_int_equal(conn->undos, 0);
    assert_int_equal(conn->loss.state, TCP_LOSS_TIMEOUT);
}

/* ---- the pool ---- */

static void records_run_short(void **state)
{
    (void)state;
    conn->congestion.cwnd_bytes = 2000 * MSS;
    stack.tcp.config.records_max = 4;
    stack.tcp.sent_free_count = CONNS + 4;
    pool[CONNS + 3].next = TCP_NO_INDEX;
    for (uint32_t i = 0; i < 10; i++) {
        send_new(conn, MSS);
    }
    assert_int_equal(stack.tcp.sent_free_count,
                     3); /* one for each of the others, and one to share */
    assert_int_equal(tcp_sent_bytes(&pool[conn->loss.last]), 7 * MSS);
    assert_int_equal(counter_get(&stack.counters, COUNTER_tcp_records_short), 6);
    send_new(&conns[1], MSS);
    send_new(&conns[1], MSS);
    send_new(&conns[2], MSS);
    assert_int_equal(stack.tcp.sent_free_count, 0);
    assert_int_equal(tcp_sent_bytes(&pool[conns[1].loss.last]), MSS);
    /* A timeout sends part of the joined record: all of it gets there, piece by piece. */
    pass_ms(1000);
    tcp_loss_timeout(&stack, conn);
    for (uint32_t i = 1; i <= 40 && conn->snd_una != conn->snd_nxt; i++) {
        conn->congestion.cwnd_bytes = 20 * MSS;
        output();
        uint32_t sent = tcp_sent_bytes(&pool[conn->loss.first]);
        pass_ms(RTT_MS);
        ack_bytes(conn->snd_una + tcp_min_u32(MSS, sent), NULL);
    }
    assert_int_equal(conn->snd_una, conn->snd_nxt);
    assert_int_equal(conn->loss.lost_bytes + conn->loss.retrans_bytes, 0);
    tcp_loss_forget(&stack, &conns[1]);
    tcp_loss_forget(&stack, &conns[2]);
    assert_int_equal(stack.tcp.sent_free_count, CONNS + 4);
    assert_int_equal(stack.tcp.sent_holders, 0);
}

static void a_record_of_several_segments_is_sacked_in_part(void **state)
{
    (void)state;
    conn->congestion.cwnd_bytes = 100 * MSS;
    send_new(conn, 8 * MSS);
    pass_ms(RTT_MS);
    ACK(0, 2, 3);
    assert_int_equal(conn->loss.sacked_bytes, MSS);
    ACK(0, 2, 5);
    assert_int_equal(conn->loss.sacked_bytes, 3 * MSS);
    /* Not at segment boundaries: what lies between them counts. */
    struct tcp_segment segment = {.ack = seg(0), .window = rig.window, .flags = TCP_FLAG_ACK};
    segment.options.sack[0] = (struct tcp_sack_block){seg(6) - 10, seg(8) - 10};
    segment.options.sack_count = 1;
    tcp_ack_input(&stack, conn, &segment);
    assert_int_equal(conn->loss.sacked_bytes, 4 * MSS);
    ACK_PLAIN(8);
    assert_int_equal(stack.tcp.sent_free_count, CONNS + RECORDS);
}

static void blocks_that_cannot_be_are_ignored(void **state)
{
    (void)state;
    warm(5);
    ACK(0, 4, 6);
    ACK(0, 3, 2);
    ACK(0, 100000, 100001);
    assert_int_equal(conn->loss.sacked_bytes, 0);
    assert_int_equal(conn->loss.rack_reo_mult, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SACK(the_rate_goes_down_in_proportion),
        SACK(heavy_loss_makes_no_burst),
        SACK(limited_transmit),
        PLAIN(limited_transmit),
        PLAIN(without_sack_the_third_duplicate),
        PLAIN(without_sack_no_second_recovery),
        SACK(ecn_reduces_once_a_window),
        SACK(a_timeout_sends_one_segment),
        SACK(a_timeout_spares_what_is_new),
        SACK(frto_finds_a_spurious_timeout),
        PLAIN(frto_finds_a_spurious_timeout),
        SACK(frto_sees_a_real_loss),
        SACK(a_timestamp_undoes),
        SACK(duplicates_undo),
        SACK(a_timeout_forgets_what_the_peer_dropped),
        SACK(too_large_segments_leave_the_window),
        SACK(idle_shrinks_the_window_once),
        SACK(a_window_that_is_not_filled_does_not_grow),
        SACK(without_congestion_control_all_leaves),
        SACK(an_echo_of_0_undoes_nothing),
        SACK(records_run_short),
        SACK(a_record_of_several_segments_is_sacked_in_part),
        SACK(blocks_that_cannot_be_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
