/*
 * What TCP's sending side learns from ACKs, by RFC rule: windows, round trips and timeouts, losses
 * by RACK and by the tail loss probe. On tcp_loss_rig.h's bare connection.
 */
#include "tests/unit/tcp_loss_rig.h"

/* ---- acknowledgments ---- */

static void an_ack_frees_records_and_ring(void **state)
{
    (void)state;
    write_segments(3);
    pass_ms(RTT_MS);
    ack_bytes(base() + MSS + 300, NULL);
    assert_int_equal(conn->snd_una, base() + MSS + 300);
    assert_int_equal(atomic_load(&head_word), MSS + 300);
    assert_int_equal(conn->events & TCP_EVENT_WRITABLE, TCP_EVENT_WRITABLE);
    assert_int_equal(pool[conn->loss.first].start, conn->snd_una);
    assert_true(rig.ready > 0);
    assert_int_equal(tcp_in_flight(conn), 2 * MSS - 300);
    ACK_PLAIN(3);
    assert_int_equal(conn->loss.first, TCP_NO_INDEX);
    assert_int_equal(stack.tcp.sent_free_count, CONNS + RECORDS);
    assert_int_equal(stack.tcp.sent_holders, 0);
}

static void the_fin_is_no_byte_of_the_ring(void **state)
{
    (void)state;
    write_segments(1);
    conn->fin_seq = conn->snd_nxt++;
    conn->features |= TCP_FEATURE_FIN_SENT;
    tcp_sent_append(&stack, conn, conn->fin_seq, conn->snd_nxt, true);
    ack_bytes(conn->snd_nxt, NULL);
    assert_int_equal(atomic_load(&head_word), MSS);
    assert_int_equal(conn->snd_una, conn->fin_seq + 1);
}

/* RFC 9293 3.10.7.4: SND.WL1 and WL2 keep an old segment from setting the window. */
static void the_newest_segment_sets_the_window(void **state)
{
    (void)state;
    write_segments(2);
    rig.peer_seq = 100;
    rig.window = 1000;
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 16000);
    rig.window = 2000; /* an update */
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 32000);
    rig.window = 1000; /* overtaken by the update */
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 32000);
    rig.peer_seq = 50;
    rig.window = 3000;
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 32000);
    rig.peer_seq = 100;
    rig.window = 0;
    conn->persist_tries = 3;
    ACK_PLAIN(1);
    assert_int_equal(conn->snd_wnd, 0);
    assert_int_equal(conn->persist_tries, 0); /* it was an answer */
    ACK_PLAIN(0);                             /* an old ACK */
    assert_int_equal(conn->snd_wnd, 0);
    assert_int_equal(conn->snd_una, seg(1));
    assert_int_equal(conn->snd_wnd_max, 800000);
}

/* ---- RTT and RTO (RFC 6298) ---- */

static void the_first_sample_makes_the_timeout(void **state)
{
    (void)state;
    assert_int_equal(tcp_rto_ns(conn), STACK_NS_PER_S); /* (2.1) */
    tcp_rtt_sample(&stack, conn, 400 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.srtt_ns, 400 * STACK_NS_PER_MS); /* (2.2) */
    assert_int_equal(conn->loss.rttvar_ns, 200 * STACK_NS_PER_MS);
    assert_int_equal(tcp_rto_ns(conn), 1200 * STACK_NS_PER_MS);
    tcp_rtt_sample(&stack, conn, 800 * STACK_NS_PER_MS); /* (2.3) */
    assert_int_equal(conn->loss.srtt_ns, 450 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.rttvar_ns, 250 * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.rtt_min_ns, 400 * STACK_NS_PER_MS);
}

static void what_was_sent_again_is_no_sample(void **state)
{
    (void)state;
    warm(1);
    tcp_loss_timeout(&stack, conn);
    tcp_loss_timeout(&stack, conn);
    output();
    assert_int_equal(rig.sent_again, 1);
    uint64_t rto_ns = tcp_rto_ns(conn);
    assert_int_equal(rto_ns, 4 * 300 * STACK_NS_PER_MS); /* (5.5) */
    pass_ms(5);
    ACK_PLAIN(1);
    assert_int_equal(conn->loss.srtt_ns, RTT_MS * STACK_NS_PER_MS);
    assert_int_equal(conn->loss.backoff, 0);
    assert_int_equal(tcp_rto_ns(conn), rto_ns); /* Karn: stays until there is a sample */
    write_segments(1);
    pass_ms(RTT_MS);
    ACK_PLAIN(2);
    assert_int_equal(tcp_rto_ns(conn), 300 * STACK_NS_PER_MS);
}

static void an_echoed_timestamp_is_a_sample(void **state)
{
    (void)state;
    conn->features |= TCP_FEATURE_TIMESTAMPS;
    warm(1);
    pass_ms(300);
    tcp_loss_timeout(&stack, conn);
    output();
    rig.tsecr = tcp_ts_clock(&stack) + conn->ts_offset;
    pass_ms(180);
    ACK_PLAIN(1);
    assert_int_equal(conn->loss.srtt_ns, 110 * STACK_NS_PER_MS); /* 100 + (180 - 100) / 8 */
    assert_int_equal(conn->loss.backoff, 0);
}

static void the_backed_off_timeout_has_a_limit(void **state)
{
    (void)state;
    warm(1);
    for (int i = 0; i < 300; i++) {
        tcp_loss_timeout(&stack, conn);
    }
    assert_int_equal(tcp_rto_ns(conn), 120 * STACK_NS_PER_S);
    assert_int_equal(conn->loss.backoff, 255);
}

/* ---- RACK (RFC 8985) ---- */

static void three_sacked_segments_make_a_loss(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 2);
    assert_int_equal(conn->loss.state, TCP_LOSS_DISORDER);
    ACK(0, 1, 3);
    assert_int_equal(conn->loss.lost_bytes, 0);
    ACK(0, 1, 4);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    assert_int_equal(conn->loss.lost_bytes, MSS);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
    assert_int_equal(tcp_loss_next(&stack, conn), TCP_NO_INDEX);
}

static void fewer_wait_for_the_reordering_window(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 2);
    uint64_t due_ns = stack.now_ns + RTT_MS / 4 * STACK_NS_PER_MS;
    assert_int_equal(conn->loss.reorder_due_ns, due_ns);
    stack.now_ns = due_ns - 1;
    tcp_loss_reorder_timer(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, 0);
    assert_int_equal(conn->loss.reorder_due_ns, due_ns);
    stack.now_ns = due_ns;
    tcp_loss_reorder_timer(&stack, conn);
    assert_int_equal(conn->loss.lost_bytes, MSS);
    assert_int_equal(conn->loss.reorder_due_ns, 0);
    assert_int_equal(conn->loss.state, TCP_LOSS_RECOVERY);
    output();
    assert_int_equal(rig.sent_again, 1);
}

/* When the last of them is due is looked for among 64; else it is when the one that has arrived
 * would have been, 5 ms later here, so that an ACK does not cost a walk over all that wait. */
static void many_that_wait_cost_an_ack_a_bounded_walk(void **state)
{
    (void)state;
    static const struct {
        uint32_t waiting, later_ms;
    } cases[] = {{63, 0}, {64, 5}, {200, 5}};
    for (uint32_t i = 0; i < 3; i++) {
        setup_sack(state);
        uint32_t waiting = cases[i].waiting;
        warm(waiting);
        uint64_t sent_ns = stack.now_ns;
        pass_ms(5);
        conn->congestion.cwnd_bytes = (waiting + 1) * MSS;
        write_segments(1);
        pass_ms(RTT_MS);
        ACK(0, waiting, waiting + 1);
        uint64_t wait_ns = (RTT_MS + RTT_MS / 4 + cases[i].later_ms) * STACK_NS_PER_MS;
        assert_int_equal(conn->loss.reorder_due_ns, sent_ns + wait_ns);
    }
}

/* An undo brings lost records back to the list by time. Where two times take turns in the stream
 * each would walk over half of them: beyond 16 steps it counts as sent just now, and is no sample.
 */
static void records_of_mixed_times_come_back_at_a_bounded_cost(void **state)
{
    (void)state;
    uint32_t count = 0, joined = 0;
    warm(100);
    pass_ms(10);
    for (uint32_t idx = conn->loss.first; idx != TCP_NO_INDEX; idx = pool[idx].next) {
        if ((count++ & 1) != 0) {
            tcp_sent_again(&stack, conn, idx, MSS);
        }
    }
    pass_ms(10);
    for (uint32_t idx = conn->loss.first; idx != TCP_NO_INDEX; idx = pool[idx].next) {
        tcp_sent_change(&stack, conn, idx, TCP_SENT_LOST, TCP_SENT_RETRANS_OUT);
    }
    assert_int_equal(conn->loss.time_first, TCP_NO_INDEX);
    tcp_sent_unmark_lost(&stack, conn);
    uint64_t before_ns = 0;
    for (uint32_t idx = conn->loss.time_first; idx != TCP_NO_INDEX; idx = pool[idx].time_next) {
        assert_true(pool[idx].sent_ns >= before_ns);
        before_ns = pool[idx].sent_ns;
        count--;
        if ((pool[idx].flags & TCP_SENT_JOINED) != 0) {
            joined++;
            assert_int_equal(pool[idx].sent_ns, stack.now_ns);
        }
    }
    assert_int_equal(count, 0);
    assert_in_range(joined, 1, 99);
    assert_int_equal(conn->loss.lost_bytes, 0);
}

static void reordering_once_seen_is_waited_for(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 3);
    ACK_PLAIN(3); /* the first one came late */
    assert_true(conn->loss.rack_reordering_seen);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
    ACK(3, 4, 9);
    assert_int_equal(conn->loss.lost_bytes, 0); /* no three of anything make a loss now */
    assert_int_not_equal(conn->loss.reorder_due_ns, 0);
}

/* Blocks of one ACK come newest first: that is no reordering. */
static void the_order_of_blocks_is_no_reordering(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 6, 7, 3, 4, 1, 2);
    assert_false(conn->loss.rack_reordering_seen);
    assert_int_equal(conn->loss.sacked_bytes, 3 * MSS);
}

static void a_retransmission_is_lost_too(void **state)
{
    (void)state;
    warm(20);
    pass_ms(RTT_MS);
    ACK(0, 1, 4);
    output();
    assert_int_equal(rig.again[0], 0);
    rig.unsent = 20 * MSS;
    for (uint32_t i = 5; i <= 19; i++) {
        pass_ms(1);
        ACK(0, 1, i);
        output();
    }
    uint32_t newest = (conn->snd_nxt - base()) / MSS;
    assert_true(newest > 20);
    pass_ms(RTT_MS);
    ACK(0, 1, newest); /* of what was sent after the retransmission */
    assert_int_equal(conn->loss.lost_bytes, MSS);
    assert_int_equal(conn->loss.retrans_bytes, 0);
    output();
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 0);
}

static void duplicates_reported_widen_the_window(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(2, 0, 1);
    assert_int_equal(conn->loss.rack_reo_mult, 2);
    ACK(3, 1, 2); /* in the same round trip */
    assert_int_equal(conn->loss.rack_reo_mult, 2);
    ACK(3, 4, 5);
    assert_int_equal(conn->loss.reorder_due_ns, stack.now_ns + 2 * (RTT_MS / 4) * STACK_NS_PER_MS);
}

/* ---- tail loss probe (RFC 8985 7) ---- */

static void a_probe_of_the_last_segment(void **state)
{
    (void)state;
    warm(5);
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn),
                     stack.now_ns + (2 * RTT_MS + 2) * STACK_NS_PER_MS);
    pass_ms(2 * RTT_MS + 2);
    rig.sent_new = rig.sent_again = 0;
    tcp_loss_probe_timer(&stack, conn);
    assert_int_equal(rig.sent_again, 1);
    assert_int_equal(rig.again[0], 4);
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn), STACK_NEVER); /* one only */
    assert_int_equal(conn->rto_base_ns, stack.now_ns);
}

static void a_probe_of_new_data(void **state)
{
    (void)state;
    warm(5);
    rig.unsent = 3 * MSS;
    pass_ms(250);
    rig.sent_new = 0;
    tcp_loss_probe_timer(&stack, conn);
    assert_int_equal(rig.sent_new, 1);
    assert_int_equal(rig.sent_again, 0);
    pass_ms(RTT_MS);
    ACK_PLAIN(6);
    assert_false(conn->loss.tlp_outstanding);
    assert_int_equal(conn->congestion.ssthresh_bytes, 1u << 30);
}

static void one_segment_alone_gives_its_ack_time(void **state)
{
    (void)state;
    warm(1);
    /* 2 RTT and the peer's delay are more than the timeout: instead of it then. */
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn), stack.now_ns + tcp_rto_ns(conn) - 1);
    conn->loss.rto_ns = 2 * STACK_NS_PER_S;
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn),
                     stack.now_ns + (2 * RTT_MS + 200) * STACK_NS_PER_MS);
}

static void no_probe_in_recovery(void **state)
{
    (void)state;
    warm(10);
    pass_ms(RTT_MS);
    ACK(0, 1, 4);
    assert_int_equal(tcp_loss_probe_due_ns(&stack, conn), STACK_NEVER);
}

static void a_probe_that_repaired_a_loss_reduces_the_window(void **state)
{
    (void)state;
    warm(10);
    pass_ms(250);
    tcp_loss_probe_timer(&stack, conn);
    rig.unsent = MSS;
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    output();
    assert_true(conn->loss.tlp_outstanding); /* the other copy may still be reported */
    pass_ms(RTT_MS);
    ACK_PLAIN(11);
    assert_false(conn->loss.tlp_outstanding);
    assert_in_range(conn->congestion.cwnd_bytes, 6990, 9000);
    assert_int_equal(conn->loss.state, TCP_LOSS_OPEN);
}

static void a_probe_that_came_twice_does_not(void **state)
{
    (void)state;
    warm(10);
    pass_ms(250);
    tcp_loss_probe_timer(&stack, conn);
    pass_ms(RTT_MS);
    ACK_PLAIN(10);
    ACK(10, 9, 10); /* D-SACK */
    assert_false(conn->loss.tlp_outstanding);
    assert_int_equal(conn->congestion.ssthresh_bytes, 1u << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SACK(an_ack_frees_records_and_ring),
        SACK(the_fin_is_no_byte_of_the_ring),
        SACK(the_newest_segment_sets_the_window),
        SACK(the_first_sample_makes_the_timeout),
        SACK(what_was_sent_again_is_no_sample),
        SACK(an_echoed_timestamp_is_a_sample),
        SACK(the_backed_off_timeout_has_a_limit),
        SACK(three_sacked_segments_make_a_loss),
        SACK(fewer_wait_for_the_reordering_window),
        SACK(many_that_wait_cost_an_ack_a_bounded_walk),
        SACK(records_of_mixed_times_come_back_at_a_bounded_cost),
        SACK(reordering_once_seen_is_waited_for),
        SACK(the_order_of_blocks_is_no_reordering),
        SACK(a_retransmission_is_lost_too),
        SACK(duplicates_reported_widen_the_window),
        SACK(a_probe_of_the_last_segment),
        SACK(a_probe_of_new_data),
        SACK(one_segment_alone_gives_its_ack_time),
        SACK(no_probe_in_recovery),
        SACK(a_probe_that_repaired_a_loss_reduces_the_window),
        SACK(a_probe_that_came_twice_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
