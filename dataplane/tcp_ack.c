/*
 * What a segment's acknowledgment says (RFC 9293 3.10.7.4 step five): the peer's window, the bytes
 * that need not be kept any more, the round trip time (RFC 6298, 7323); and who must hear of it:
 * SACK scoreboard, loss recovery, congestion window, timers, the program that waits for room. Queue
 * thread. Called by tcp_input.c; calls tcp_sack.c, tcp_recovery.c, tcp_rack.c; sends nothing.
 */
#include "dataplane/tcp_loss.h"

#define RTT_MIN_KEPT_NS   (300 * STACK_NS_PER_S)
#define RENEG_WAIT_MIN_NS (10 * STACK_NS_PER_MS)

/* ---- round trip time ---------------------------------------------------------------------------
 */

void tcp_rtt_sample(struct stack *stack, struct tcp_conn *conn, uint64_t rtt_ns)
{
    struct tcp_loss *loss = &conn->loss;
    const struct tcp_config *config = &stack->tcp.config;
    rtt_ns = rtt_ns > 0 ? rtt_ns : 1; /* 0 means no sample */
    tcp_congestion_rtt(&conn->congestion, rtt_ns, conn->snd_una, conn->snd_nxt);
    if (loss->srtt_ns == 0) {
        loss->srtt_ns = rtt_ns;
        loss->rtt_dev_ns = rtt_ns / 2;
        loss->rtt_dev_max_ns = rtt_ns / 2;
        loss->rttvar_ns = rtt_ns / 2;
        loss->rtt_round_end = conn->snd_nxt;
    } else {
        uint64_t off_ns = rtt_ns > loss->srtt_ns ? rtt_ns - loss->srtt_ns : loss->srtt_ns - rtt_ns;
        loss->rtt_dev_ns = loss->rtt_dev_ns - loss->rtt_dev_ns / 4 + off_ns / 4;
        loss->srtt_ns = loss->srtt_ns - loss->srtt_ns / 8 + rtt_ns / 8;
        /* With many samples in a round trip the gains of RFC 6298 would forget too soon (RFC 7323
         * G): rttvar goes up at once, and down once in a round trip, towards its maximum there. */
        if (loss->rtt_dev_ns > loss->rtt_dev_max_ns) {
            loss->rtt_dev_max_ns = loss->rtt_dev_ns;
        }
        if (loss->rtt_dev_max_ns > loss->rttvar_ns) {
            loss->rttvar_ns = loss->rtt_dev_max_ns;
        }
        if (rs_seq_before(loss->rtt_round_end, conn->snd_una)) {
            loss->rttvar_ns -= (loss->rttvar_ns - loss->rtt_dev_max_ns) / 4;
            loss->rtt_dev_max_ns = loss->rtt_dev_ns;
            loss->rtt_round_end = conn->snd_nxt;
        }
    }
    if (loss->rtt_min_ns == 0 || rtt_ns <= loss->rtt_min_ns ||
        stack->now_ns >= loss->rtt_min_until_ns) {
        loss->rtt_min_ns = rtt_ns;
        loss->rtt_min_until_ns = stack->now_ns + RTT_MIN_KEPT_NS;
    }
    /* As Linux: the minimum is that of the allowance above the round trip, so that a long path's
     * delayed ACK does not look like a loss. */
    uint64_t slack_ns = 4 * loss->rttvar_ns;
    uint64_t rto_ns =
        loss->srtt_ns + (slack_ns > config->rto_min_ns ? slack_ns : config->rto_min_ns);
    loss->rto_ns = rto_ns < config->rto_max_ns ? rto_ns : config->rto_max_ns;
}

uint64_t tcp_rto_ns(const struct tcp_conn *conn)
{
    const struct tcp_loss *loss = &conn->loss;
    uint32_t shift = tcp_min_u32(loss->backoff, 20); /* no overflow; beyond any rto_max */
    uint64_t rto_ns = loss->rto_ns << shift;
    return rto_ns < loss->rto_max_ns ? rto_ns : loss->rto_max_ns;
}

/* By the echoed timestamp, at least a tick of its clock; 0: there is none of ours. */
static uint64_t echoed_rtt_ns(const struct stack *stack, const struct tcp_conn *conn,
                              const struct tcp_options *options)
{
    uint32_t echo_ms = tcp_ts_clock(stack) + conn->ts_offset - options->tsecr;
    if (!tcp_has(conn, TCP_FEATURE_TIMESTAMPS) || (options->present & TCP_OPTION_TIMESTAMPS) == 0 ||
        options->tsecr == 0 || echo_ms >= 1u << 20) { /* 17 minutes: not an echo of ours */
        return 0;
    }
    return (echo_ms > 0 ? echo_ms : 1) * STACK_NS_PER_MS;
}

void tcp_rtt_handshake(struct stack *stack, struct tcp_conn *conn, uint64_t sent_ns,
                       const struct tcp_options *options)
{
    uint64_t rtt_ns = sent_ns != 0 ? stack->now_ns - sent_ns : echoed_rtt_ns(stack, conn, options);
    if (sent_ns != 0 || rtt_ns != 0) {
        tcp_rtt_sample(stack, conn, rtt_ns);
    }
}

/* Of the first record acknowledged, else of the first one SACKed, if it was sent once only (Karn);
 * else by the echoed timestamp (RFC 7323 4.1: only when new data is acknowledged). */
static bool measure_rtt(struct stack *stack, struct tcp_conn *conn, const struct tcp_ack *ack)
{
    uint64_t rtt_ns;
    if (ack->acked_sent_ns != STACK_NEVER && !ack->retransmit_acked) {
        rtt_ns = stack->now_ns - ack->acked_sent_ns;
    } else if (ack->sacked_sent_ns != STACK_NEVER) {
        rtt_ns = stack->now_ns - ack->sacked_sent_ns;
    } else if (ack->acked_bytes > 0) {
        rtt_ns = echoed_rtt_ns(stack, conn, &ack->segment->options);
        if (rtt_ns == 0) {
            return false;
        }
    } else {
        return false;
    }
    tcp_rtt_sample(stack, conn, rtt_ns);
    return true;
}

/* ---- window and data --------------------------------------------------------------------------
 */

/* RFC 9293 3.10.7.4: by the newest segment. Of two that acknowledge the same only a larger window
 * or a closed one counts, as they may have overtaken each other. True: it has moved. */
static bool take_window(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    uint32_t window = (uint32_t)segment->window << conn->send_wscale;
    bool newer = rs_seq_before(conn->snd_una, segment->ack) ||
                 rs_seq_before(conn->snd_wl1, segment->seq) ||
                 (conn->snd_wl1 == segment->seq &&
                  (rs_seq_before(conn->snd_wl2, segment->ack) ||
                   (conn->snd_wl2 == segment->ack && (window > conn->snd_wnd || window == 0))));
    if (!newer) {
        return false;
    }
    bool moved = window != conn->snd_wnd;
    conn->snd_wnd = window;
    conn->snd_wl1 = segment->seq;
    conn->snd_wl2 = segment->ack;
    if (window > conn->snd_wnd_max) {
        conn->snd_wnd_max = window;
    }
    return moved;
}

/* A record, or its first bytes, is acknowledged. */
static void record_acked(struct stack *stack, struct tcp_conn *conn, const struct tcp_sent *sent,
                         uint32_t bytes, struct tcp_ack *ack)
{
    conn->features |= bytes >= conn->mss ? TCP_FEATURE_MSS_PROVEN : 0u;
    if ((sent->flags & TCP_SENT_RETRANSMITTED) != 0) {
        ack->retransmit_acked = true;
    } else if (ack->acked_sent_ns == STACK_NEVER &&
               (sent->flags & (TCP_SENT_SACKED | TCP_SENT_JOINED)) == 0) {
        ack->acked_sent_ns = sent->sent_ns;
    }
    if ((sent->flags & TCP_SENT_SACKED) == 0) {
        ack->delivered_bytes += bytes;
        tcp_rack_delivered(stack, conn, sent, ack);
    }
}

static void records_acked(struct stack *stack, struct tcp_conn *conn, uint32_t ack_seq,
                          struct tcp_ack *ack)
{
    while (conn->loss.first != TCP_NO_INDEX) {
        uint32_t idx = conn->loss.first;
        const struct tcp_sent *sent = tcp_sent_at(stack, idx);
        if (!rs_seq_before(sent->start, ack_seq)) {
            return;
        }
        if (rs_seq_before(ack_seq, sent->end)) {
            uint32_t bytes = rs_seq_distance(sent->start, ack_seq);
            /* As its own record: RACK and reordering look at where it ends. */
            struct tcp_sent front = *sent;
            front.end = ack_seq;
            record_acked(stack, conn, &front, bytes, ack);
            tcp_sent_trim(stack, conn, idx, bytes);
            return;
        }
        record_acked(stack, conn, sent, tcp_sent_bytes(sent), ack);
        tcp_sent_free(stack, conn, idx);
    }
}

/* Room in the send ring for the program. SYN and FIN are no bytes of it. */
static void consume(struct stack *stack, struct tcp_conn *conn)
{
    bool fin = tcp_has(conn, TCP_FEATURE_FIN_SENT) && conn->snd_una == conn->fin_seq + 1;
    uint32_t head = conn->snd_una - conn->iss - 1 - (fin ? 1u : 0u);
    uint32_t bytes = rs_seq_distance(conn->send.head, head);
    if (bytes > 0) {
        stream_reader_consume(&conn->send, bytes);
        stream_reader_publish(&conn->send, conn->send_head_word);
        conn->events |= TCP_EVENT_WRITABLE;
        tcp_ready(stack, conn);
    }
}

static void take_ack(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t ack_seq = ack->segment->ack;
    ack->acked_bytes = rs_seq_distance(conn->snd_una, ack_seq);
    records_acked(stack, conn, ack_seq, ack);
    conn->snd_una = ack_seq;
    consume(stack, conn);
    conn->progress_ns = stack->now_ns;
    conn->rto_base_ns = stack->now_ns;
    conn->black_hole_tries = 0;
    loss->dup_acks = 0;
    loss->reorder_due_ns = loss->first != TCP_NO_INDEX ? loss->reorder_due_ns : 0;
    /* What is behind snd_una counts as at it, or it would come again when numbers wrap. */
    if (rs_seq_before(loss->rack_fack, ack_seq)) {
        loss->rack_fack = ack_seq;
    }
    if (rs_seq_before(conn->cwr_point, ack_seq)) {
        conn->cwr_point = ack_seq;
    }
    if (rs_seq_before(conn->snd_sml, ack_seq)) {
        conn->snd_sml = ack_seq;
    }
    if (tcp_has(conn, TCP_FEATURE_URGENT_OUT) && !rs_seq_before(ack_seq, conn->snd_up)) {
        conn->features &= ~(uint32_t)TCP_FEATURE_URGENT_OUT;
    }
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* RFC 5681 2. */
static bool is_duplicate(const struct tcp_conn *conn, const struct tcp_ack *ack)
{
    const struct tcp_segment *segment = ack->segment;
    return segment->ack == conn->snd_una && conn->snd_una != conn->snd_nxt &&
           segment->payload_bytes == 0 && (segment->flags & (TCP_FLAG_SYN | TCP_FLAG_FIN)) == 0 &&
           !ack->window_moved;
}

static void take_rtt(struct stack *stack, struct tcp_conn *conn, const struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    bool measured = measure_rtt(stack, conn, ack);
    if (ack->acked_bytes > 0 && loss->backoff > 0) {
        if (!measured) { /* RFC 6298 5: the backed off RTO stays until there is a sample */
            loss->rto_ns = tcp_rto_ns(conn);
        }
        loss->backoff = 0;
    }
}

/* The peer acknowledges up to what it had SACKed, but not that: it has dropped it, unless the next
 * ACK comes soon (RFC 2018 8). Then the timeout, which forgets what was SACKed, need not be waited
 * for. */
static void expect_reneging(struct stack *stack, struct tcp_conn *conn)
{
    const struct tcp_loss *loss = &conn->loss;
    uint64_t wait_ns = loss->srtt_ns / 2;
    wait_ns = wait_ns > RENEG_WAIT_MIN_NS ? wait_ns : RENEG_WAIT_MIN_NS;
    if (wait_ns < tcp_rto_ns(conn)) {
        conn->rto_base_ns = stack->now_ns + wait_ns - tcp_rto_ns(conn);
    }
}

/* Nothing is under way and nothing is said of what was: all that a receiver gets with data. */
static bool only_window(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    return conn->snd_una == conn->snd_nxt && segment->ack == conn->snd_una &&
           (segment->options.present & TCP_OPTION_SACK) == 0;
}

static void window_input(struct stack *stack, struct tcp_conn *conn,
                         const struct tcp_segment *segment)
{
    conn->persist_tries = 0;
    if (take_window(conn, segment)) {
        tcp_rearm_retransmit(stack, conn);
        tcp_ready(stack, conn);
    }
}

void tcp_ack_input(struct stack *stack, struct tcp_conn *conn, const struct tcp_segment *segment)
{
    if (only_window(conn, segment)) {
        window_input(stack, conn, segment);
        return;
    }
    struct tcp_loss *loss = &conn->loss;
    struct tcp_ack ack = {.segment = segment,
                          .prior_flight_bytes = tcp_in_flight(conn),
                          .prior_fack = loss->rack_fack,
                          .acked_sent_ns = STACK_NEVER,
                          .sacked_sent_ns = STACK_NEVER};
    bool had_data = loss->first != TCP_NO_INDEX;
    if (!rs_seq_before(segment->ack, conn->snd_una)) {
        conn->persist_tries = 0; /* it answers: then the window may stay closed for ever */
        ack.window_moved = take_window(conn, segment);
        ack.duplicate = is_duplicate(conn, &ack);
        ack.ece = tcp_has(conn, TCP_FEATURE_ECN) && (segment->flags & TCP_FLAG_ECE) != 0;
    }
    if (tcp_has(conn, TCP_FEATURE_SACK)) {
        tcp_sack_input(stack, conn, &ack);
    }
    if (rs_seq_before(conn->snd_una, segment->ack)) {
        take_ack(stack, conn, &ack);
    } else if (ack.duplicate) {
        loss->dup_acks = (uint8_t)(loss->dup_acks + (loss->dup_acks < UINT8_MAX));
        conn->dup_acks++;
    }
    /* Duplicates of what is acknowledged already may undo a reduction, or tell about a probe. */
    if (had_data || ack.dsack || loss->tlp_outstanding) {
        take_rtt(stack, conn, &ack);
        tcp_recovery_input(stack, conn, &ack);
    }
    if (ack.acked_bytes > 0 && loss->first != TCP_NO_INDEX &&
        (tcp_sent_at(stack, loss->first)->flags & TCP_SENT_SACKED) != 0) {
        expect_reneging(stack, conn);
    }
    if (ack.acked_bytes > 0 || ack.delivered_bytes > 0 || ack.lost_bytes > 0 || ack.window_moved) {
        tcp_rearm_retransmit(stack, conn);
        tcp_ready(stack, conn);
    }
}
