/*
 * Repairing losses: the states of the sender, when they begin and end, how much may leave meanwhile
 * (proportional rate reduction, RFC 6937), what a timeout does (RFC 6298, F-RTO RFC 5682), and how
 * all this is taken back when it was not needed (Eifel RFC 3522 and 4015, D-SACK RFC 3708). For
 * peers without SACK duplicate ACKs stand for it (NewReno, RFC 6582). Queue thread; called by
 * tcp_ack.c for each ACK, by tcp_timer.c, and by tcp_output.c for what may leave; calls tcp_rack.c,
 * tcp_sack.c and tcp_congestion.c.
 */
#include "dataplane/tcp_loss.h"

static bool uses_sack(const struct tcp_conn *conn)
{
    return tcp_has(conn, TCP_FEATURE_SACK);
}

/* ---- how much may leave -----------------------------------------------------------------------
 */

static void pace_begin(struct tcp_conn *conn, uint32_t cwnd_before)
{
    struct tcp_loss *loss = &conn->loss;
    uint64_t ratio =
        ((uint64_t)conn->congestion.ssthresh_bytes << 16) / (cwnd_before > 0 ? cwnd_before : 1);
    loss->prr_ratio = ratio < UINT32_MAX ? (uint32_t)ratio : UINT32_MAX;
    loss->prr_delivered = 0;
    loss->prr_out = 0;
}

void tcp_recovery_sent(struct tcp_conn *conn, uint32_t bytes)
{
    if (conn->loss.state == TCP_LOSS_CWR || conn->loss.state == TCP_LOSS_RECOVERY) {
        conn->loss.prr_out += bytes;
    }
}

void tcp_recovery_pace(struct tcp_conn *conn, uint32_t delivered_bytes, bool advanced)
{
    struct tcp_loss *loss = &conn->loss;
    if (tcp_congestion_unlimited(&conn->congestion) ||
        (loss->state != TCP_LOSS_CWR && loss->state != TCP_LOSS_RECOVERY)) {
        return;
    }
    uint32_t flight = tcp_in_flight(conn);
    uint32_t ssthresh = conn->congestion.ssthresh_bytes;
    uint64_t allowed;
    loss->prr_delivered += delivered_bytes;
    if (flight > ssthresh) {
        /* For each segment delivered as much less than one as ssthresh is less than the window. */
        uint64_t share = ((uint64_t)loss->prr_delivered * loss->prr_ratio + 0xffff) >> 16;
        allowed = share > loss->prr_out ? share - loss->prr_out : 0;
    } else {
        /* Back up to ssthresh: conservatively, what was delivered, unless the ACK shows that
         * nothing more is lost (RFC 6937's two bounds, chosen by the rule of RFC 9937). */
        uint32_t behind =
            loss->prr_delivered > loss->prr_out ? loss->prr_delivered - loss->prr_out : 0;
        allowed = behind > delivered_bytes ? behind : delivered_bytes;
        allowed += advanced ? conn->mss : 0u;
        allowed = allowed < ssthresh - flight ? allowed : ssthresh - flight;
    }
    /* The first retransmission leaves at once; later on one does when nothing else is under way. */
    if (allowed < conn->mss && (loss->prr_out == 0 || flight == 0)) {
        allowed = conn->mss;
    }
    conn->congestion.cwnd_bytes = flight + (uint32_t)(allowed < 1u << 30 ? allowed : 1u << 30);
}

uint32_t tcp_loss_allowance(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    struct tcp_congestion *congestion = &conn->congestion;
    if (tcp_congestion_unlimited(congestion)) {
        return UINT32_MAX;
    }
    uint64_t idle_ns = stack->now_ns - conn->last_sent_ns;
    if (conn->snd_una == conn->snd_nxt && conn->last_sent_ns != 0 && idle_ns > loss->rto_ns &&
        loss->idle_from_ns != conn->last_sent_ns && stream_reader_ready(&conn->send) > 0) {
        loss->idle_from_ns = conn->last_sent_ns;
        tcp_congestion_idle(congestion, idle_ns, loss->rto_ns, stack->tcp.config.initial_window);
    }
    uint32_t flight = tcp_in_flight(conn);
    return congestion->cwnd_bytes > flight ? congestion->cwnd_bytes - flight : 0;
}

/* ---- episodes and undo ------------------------------------------------------------------------
 */

/* What a reduction that begins now would have to give back. */
static void undo_begin(struct tcp_conn *conn, bool valid)
{
    struct tcp_loss *loss = &conn->loss;
    loss->undo_valid = valid;
    loss->undo_marker = conn->snd_una;
    loss->undo_end = conn->snd_nxt;
    loss->undo_cwnd = conn->congestion.cwnd_bytes;
    loss->undo_ssthresh = conn->congestion.ssthresh_bytes;
    /* What is still under way from before may come twice too. */
    loss->undo_retransmits = loss->retrans_bytes > 0 ? (int32_t)loss->retrans_bytes : -1;
    loss->retransmit_ts_valid = loss->retransmit_ts_valid && loss->retrans_bytes > 0;
    loss->tlp_outstanding = false;
}

/* The peer hears of every reduction (RFC 3168 6.1.2), and one window has one. */
static void reduced(struct tcp_conn *conn)
{
    conn->cwr_point = conn->snd_nxt + 1; /* what is acknowledged up to snd_nxt was sent before */
    if (tcp_has(conn, TCP_FEATURE_ECN)) {
        conn->features |= TCP_FEATURE_CWR;
    }
}

static void undo(struct stack *stack, struct tcp_conn *conn, bool unmark)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t before = conn->congestion.cwnd_bytes;
    if (unmark) {
        tcp_sent_unmark_lost(stack, conn);
    }
    tcp_congestion_undo(&conn->congestion, loss->undo_cwnd, loss->undo_ssthresh);
    loss->undo_valid = false;
    loss->frto = 0;
    conn->features &= ~(uint32_t)TCP_FEATURE_CWR;
    conn->undos++;
    STACK_COUNT(stack, tcp_undos);
    TCP_TRACE(stack, &conn->flow, tcp_undo, before, conn->congestion.cwnd_bytes);
}

/* RFC 3522: the ACK echoes a timestamp from before the first retransmission, so the original
 * arrived. Nothing sent again at all is as clear. */
static bool original_echoed(const struct tcp_conn *conn, const struct tcp_ack *ack)
{
    const struct tcp_loss *loss = &conn->loss;
    const struct tcp_options *options = &ack->segment->options;
    if (!loss->retransmit_ts_valid) {
        return true;
    }
    return tcp_has(conn, TCP_FEATURE_TIMESTAMPS) &&
           (options->present & TCP_OPTION_TIMESTAMPS) != 0 && options->tsecr != 0 &&
           rs_seq_before(options->tsecr, loss->retransmit_ts);
}

static bool all_came_twice(const struct tcp_loss *loss)
{
    return loss->undo_valid && loss->undo_retransmits == 0;
}

void tcp_recovery_enter(struct stack *stack, struct tcp_conn *conn, uint32_t prior_flight_bytes)
{
    struct tcp_loss *loss = &conn->loss;
    bool reduce = loss->state < TCP_LOSS_CWR; /* CWR has it behind it */
    undo_begin(conn, reduce);
    loss->recovery_point = conn->snd_nxt;
    if (reduce) {
        uint32_t cwnd = conn->congestion.cwnd_bytes;
        tcp_congestion_reduce(&conn->congestion, prior_flight_bytes);
        pace_begin(conn, cwnd);
        reduced(conn);
    }
    loss->state = TCP_LOSS_RECOVERY;
    loss->prr_delivered = 0;
    loss->prr_out = 0;
    conn->fast_recoveries++;
    STACK_COUNT(stack, tcp_fast_recoveries);
    TCP_TRACE(stack, &conn->flow, tcp_recovery, conn->snd_una, loss->recovery_point);
}

/* A loss that is already repaired: the window goes down at once (RFC 8985 7.4.2). */
static void reduce_once(struct tcp_conn *conn, uint32_t prior_flight_bytes)
{
    struct tcp_congestion *congestion = &conn->congestion;
    if (conn->loss.state >= TCP_LOSS_CWR) {
        return; /* this window has its reduction */
    }
    tcp_congestion_reduce(congestion, prior_flight_bytes);
    if (!tcp_congestion_unlimited(congestion)) {
        congestion->cwnd_bytes = tcp_min_u32(congestion->cwnd_bytes, congestion->ssthresh_bytes);
    }
    conn->loss.undo_valid = false;
    reduced(conn);
}

/* ECN-Echo (RFC 3168 6.1.2): as a loss, but nothing is to be sent again. */
static void enter_cwr(struct stack *stack, struct tcp_conn *conn, const struct tcp_ack *ack)
{
    struct tcp_congestion *congestion = &conn->congestion;
    uint32_t cwnd = congestion->cwnd_bytes;
    conn->loss.undo_valid = false;
    tcp_congestion_reduce(congestion, ack->prior_flight_bytes);
    pace_begin(conn, cwnd);
    conn->loss.state = TCP_LOSS_CWR;
    conn->loss.recovery_point = conn->snd_nxt;
    reduced(conn);
    TCP_TRACE(stack, &conn->flow, tcp_ecn, cwnd, congestion->ssthresh_bytes);
}

/* ---- peers without SACK -----------------------------------------------------------------------
 */

/* Each duplicate ACK says that one more segment has arrived; which one is not known. A new ACK
 * says where the next hole is, and that what filled the last one was not among them. */
static void count_without_sack(struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    if (ack->acked_bytes > 0) {
        uint32_t hole = tcp_min_u32(ack->acked_bytes, conn->mss);
        uint32_t known = tcp_min_u32(loss->sacked_bytes, ack->acked_bytes - hole);
        ack->delivered_bytes = ack->acked_bytes - known;
        loss->sacked_bytes = loss->state >= TCP_LOSS_RECOVERY ? loss->sacked_bytes - known : 0;
        if (loss->recover_guard && rs_seq_before(loss->recovery_point, conn->snd_una)) {
            loss->recover_guard = false;
        }
    } else if (ack->duplicate) {
        ack->delivered_bytes = conn->mss;
        loss->sacked_bytes += conn->mss;
    }
    uint32_t limit = tcp_outstanding(conn) - loss->lost_bytes;
    loss->sacked_bytes = tcp_min_u32(loss->sacked_bytes, limit);
}

/* RFC 6582: the third duplicate ACK, and in recovery each partial ACK, mean that the first segment
 * is lost. */
static void detect_without_sack(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    bool third = loss->state < TCP_LOSS_RECOVERY && !loss->recover_guard && ack->duplicate &&
                 loss->dup_acks >= TCP_DUP_THRESHOLD;
    bool partial = loss->state == TCP_LOSS_RECOVERY && ack->acked_bytes > 0;
    uint32_t idx = loss->first;
    if (idx == TCP_NO_INDEX || (!third && !partial)) {
        return;
    }
    const struct tcp_sent *sent = tcp_sent_at(stack, idx);
    if ((sent->flags & TCP_SENT_LOST) != 0) {
        return;
    }
    if (tcp_sent_bytes(sent) > conn->mss) {
        (void)tcp_sent_split(stack, conn, idx, conn->mss); /* without: all of it */
    }
    tcp_sent_change(stack, conn, idx, TCP_SENT_LOST, TCP_SENT_RETRANS_OUT | TCP_SENT_PARTIAL);
    ack->lost_bytes += tcp_sent_bytes(sent);
    loss->sacked_bytes = tcp_min_u32(loss->sacked_bytes, tcp_outstanding(conn) - loss->lost_bytes);
}

/* ---- an ACK ------------------------------------------------------------------------------------
 */

static void leave(struct tcp_conn *conn, bool by_rule)
{
    struct tcp_loss *loss = &conn->loss;
    struct tcp_congestion *congestion = &conn->congestion;
    if (by_rule && loss->state != TCP_LOSS_TIMEOUT && !tcp_congestion_unlimited(congestion)) {
        congestion->cwnd_bytes = congestion->ssthresh_bytes;
    }
    if (loss->state >= TCP_LOSS_RECOVERY) {
        loss->undo_end = conn->snd_nxt; /* D-SACKs may still come, for a window */
        loss->recover_guard = !uses_sack(conn) && conn->snd_una == loss->recovery_point;
        if (!uses_sack(conn)) {
            loss->sacked_bytes = 0;
            loss->dup_acks = 0;
        }
        tcp_rack_recovered(conn);
    }
    loss->frto = 0;
    loss->state = TCP_LOSS_OPEN;
}

static void recovery_state(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    bool echoed = ack->acked_bytes > 0 && loss->undo_valid && original_echoed(conn, ack);
    if (echoed || all_came_twice(loss)) {
        /* It was reordering: RACK waits longer from now on. */
        loss->rack_reordering_seen = true;
        undo(stack, conn, echoed);
        leave(conn, false);
    } else if (!rs_seq_before(conn->snd_una, loss->recovery_point)) {
        leave(conn, true);
    }
}

/* Step 2b of F-RTO needs new data to send: a full segment that the peer's window takes. */
static bool has_new_data(const struct tcp_conn *conn)
{
    uint32_t end = conn->iss + 1 + conn->send.tail_cached;
    uint32_t window_end = conn->snd_una + conn->snd_wnd;
    uint32_t least = conn->snd_nxt + (conn->settings.nodelay ? 1u : conn->mss);
    return !tcp_has(conn, TCP_FEATURE_FIN_SENT) && !rs_seq_before(end, least) &&
           !rs_seq_before(window_end, least);
}

/* RFC 5682 3.1. True: the timeout was spurious. */
static bool frto_step(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    /* Without SACK an ACK that fills a hole covers what arrived behind it long ago. */
    if (ack->original && (uses_sack(conn) || !ack->retransmit_acked)) {
        return true;
    }
    if (rs_seq_before(loss->recovery_point, conn->snd_nxt)) { /* step 3 */
        loss->frto = ack->sacked_bytes > 0 || ack->duplicate ? 0 : 1;
    } else if (ack->acked_bytes > 0 && rs_seq_before(conn->snd_una, loss->recovery_point)) {
        loss->frto = has_new_data(conn) ? 2 : 0; /* step 2b; then loss_next gives nothing */
    } else if (loss->frto == 2) {
        loss->frto = 0; /* the new data did not leave: no more waiting for it */
    }
    return false;
}

static void timeout_state(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    bool spurious = ack->acked_bytes > 0 && loss->undo_valid &&
                    (loss->undo_retransmits == 0 || original_echoed(conn, ack));
    if (!spurious && loss->frto > 0 && loss->undo_valid) {
        spurious = frto_step(conn, ack);
    }
    if (spurious) {
        undo(stack, conn, true);
        leave(conn, false);
    } else if (!rs_seq_before(conn->snd_una, loss->recovery_point)) {
        leave(conn, true);
    }
}

static void open_state(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    if (loss->state == TCP_LOSS_CWR) {
        /* As Linux: not before something behind it is acknowledged, because the ACK of the last
         * byte may still speak of this window's marks. */
        if (rs_seq_before(loss->recovery_point, conn->snd_una)) {
            leave(conn, true);
        }
        return;
    }
    if (loss->undo_valid && rs_seq_before(loss->undo_end, conn->snd_una)) {
        loss->undo_valid = false;
    }
    if (all_came_twice(loss)) {
        loss->rack_reordering_seen = true;
        undo(stack, conn, false);
    }
}

/* Growth (RFC 9438, 5681) outside of a reduction; a window that is not used does not grow. */
static void grow(struct stack *stack, struct tcp_conn *conn, const struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    struct tcp_congestion *congestion = &conn->congestion;
    bool start = congestion->cwnd_bytes < congestion->ssthresh_bytes;
    bool limited = loss->limited || loss->state == TCP_LOSS_TIMEOUT ||
                   (start && congestion->cwnd_bytes < 2 * (uint64_t)loss->usage_bytes);
    tcp_congestion_acked(congestion, ack->delivered_bytes, stack->now_ns, loss->srtt_ns, limited);
}

void tcp_recovery_input(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    if (uses_sack(conn)) {
        tcp_rack_dsack(conn, ack->dsack);
        if (tcp_probe_acked(conn, ack)) {
            reduce_once(conn, ack->prior_flight_bytes);
        }
    } else {
        count_without_sack(conn, ack);
    }
    switch (loss->state) {
    case TCP_LOSS_RECOVERY:
        recovery_state(stack, conn, ack);
        break;
    case TCP_LOSS_TIMEOUT:
        timeout_state(stack, conn, ack);
        break;
    default:
        open_state(stack, conn);
        break;
    }
    if (!uses_sack(conn)) {
        detect_without_sack(stack, conn, ack);
    } else if (ack->rack_advanced) {
        ack->lost_bytes += tcp_rack_detect(stack, conn);
    }
    if (loss->state < TCP_LOSS_RECOVERY && loss->lost_bytes > 0) {
        tcp_recovery_enter(stack, conn, ack->prior_flight_bytes);
    } else if (loss->state < TCP_LOSS_CWR) {
        loss->state = loss->sacked_bytes > 0 ? TCP_LOSS_DISORDER : TCP_LOSS_OPEN;
        if (ack->ece && !rs_seq_before(conn->snd_una, conn->cwr_point)) {
            enter_cwr(stack, conn, ack);
        }
    }
    if (loss->state == TCP_LOSS_CWR || loss->state == TCP_LOSS_RECOVERY) {
        tcp_recovery_pace(conn, ack->delivered_bytes, ack->acked_bytes > 0 && ack->lost_bytes == 0);
    } else if (ack->acked_bytes > 0) {
        grow(stack, conn, ack);
    }
}

/* ---- timeout -----------------------------------------------------------------------------------
 */

/* What is lost when the timer says so: the first record, and all that were sent before anything
 * sent that long ago could be expected (RFC 8985 6.3); without SACK all. all: whatever their age.
 */
static void mark_lost(struct stack *stack, struct tcp_conn *conn, bool all)
{
    struct tcp_loss *loss = &conn->loss;
    all = all || !uses_sack(conn) || loss->rack_rtt_ns == 0;
    for (uint32_t idx = loss->first; idx != TCP_NO_INDEX; idx = tcp_sent_at(stack, idx)->next) {
        const struct tcp_sent *sent = tcp_sent_at(stack, idx);
        if ((sent->flags & TCP_SENT_SACKED) == 0 &&
            (all || idx == loss->first || tcp_rack_overdue(stack, conn, sent))) {
            tcp_sent_change(stack, conn, idx, TCP_SENT_LOST,
                            TCP_SENT_RETRANS_OUT | TCP_SENT_PARTIAL);
        }
    }
}

void tcp_loss_timeout(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t prior_flight = tcp_in_flight(conn);
    bool fresh = loss->state < TCP_LOSS_RECOVERY;
    if (loss->first == TCP_NO_INDEX) {
        return;
    }
    /* One reduction for a window, and for all timeouts without progress between them. */
    bool reduce = loss->state < TCP_LOSS_CWR ||
                  (loss->state == TCP_LOSS_TIMEOUT && loss->backoff == 0) ||
                  !rs_seq_before(conn->snd_una, loss->recovery_point);
    loss->frto = fresh || loss->backoff > 0 ? 1 : 0;
    conn->timeout_episodes += loss->backoff == 0;
    loss->backoff = (uint8_t)(loss->backoff + (loss->backoff < UINT8_MAX));
    conn->timeouts++;
    STACK_COUNT(stack, tcp_timeouts);
    bool reneged = (tcp_sent_at(stack, loss->first)->flags & TCP_SENT_SACKED) != 0;
    if (reneged) {
        STACK_COUNT(stack, tcp_sack_reneged);
        tcp_sack_forget(stack, conn);
    }
    if (!uses_sack(conn)) {
        loss->sacked_bytes = 0;
    }
    if (reduce) {
        undo_begin(conn, true);
        tcp_congestion_timeout(&conn->congestion, prior_flight);
        reduced(conn);
    }
    mark_lost(stack, conn, reneged);
    if (!tcp_congestion_unlimited(&conn->congestion)) {
        conn->congestion.cwnd_bytes = tcp_in_flight(conn) + conn->mss;
    }
    loss->state = TCP_LOSS_TIMEOUT;
    loss->recovery_point = conn->snd_nxt;
    loss->dup_acks = 0;
    loss->tlp_outstanding = false;
    loss->reorder_due_ns = 0;
    tcp_ready(stack, conn);
}

/* True: there were some. */
static bool mark_too_large(struct stack *stack, struct tcp_conn *conn)
{
    bool marked = false;
    for (uint32_t idx = conn->loss.first; idx != TCP_NO_INDEX;
         idx = tcp_sent_at(stack, idx)->next) {
        const struct tcp_sent *sent = tcp_sent_at(stack, idx);
        uint32_t payload_bytes = tcp_sent_bytes(sent) - ((sent->flags & TCP_SENT_FIN) != 0 ? 1 : 0);
        if ((sent->flags & TCP_SENT_SACKED) == 0 && payload_bytes > conn->mss) {
            tcp_sent_change(stack, conn, idx, TCP_SENT_LOST,
                            TCP_SENT_RETRANS_OUT | TCP_SENT_PARTIAL);
            marked = true;
        }
    }
    return marked;
}

void tcp_loss_resend_too_large(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    if (!mark_too_large(stack, conn)) {
        return;
    }
    if (!uses_sack(conn)) {
        loss->sacked_bytes = 0;
    }
    if (loss->state != TCP_LOSS_TIMEOUT) {
        if (loss->state >= TCP_LOSS_CWR && !tcp_congestion_unlimited(&conn->congestion)) {
            conn->congestion.cwnd_bytes = conn->congestion.ssthresh_bytes;
        }
        loss->state = TCP_LOSS_TIMEOUT;
        loss->recovery_point = conn->snd_nxt;
    }
    loss->undo_valid = false;
    loss->frto = 0;
    loss->tlp_outstanding = false;
    loss->reorder_due_ns = 0;
    tcp_ready(stack, conn);
}

uint64_t tcp_syn_rto_ns(const struct stack *stack, const struct tcp_settings *settings)
{
    return settings->syn_rto_ms != 0 ? settings->syn_rto_ms * STACK_NS_PER_MS
                                     : stack->tcp.config.rto_initial_ns;
}

void tcp_loss_init(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    const struct tcp_config *config = &stack->tcp.config;
    /* A round trip of the handshake stays. */
    struct tcp_loss fresh = {.first = TCP_NO_INDEX,
                             .last = TCP_NO_INDEX,
                             .time_first = TCP_NO_INDEX,
                             .time_last = TCP_NO_INDEX,
                             .lost_hint = TCP_NO_INDEX,
                             .sack_hint = TCP_NO_INDEX,
                             .recovery_point = conn->snd_una,
                             .undo_retransmits = -1,
                             .rack_reo_mult = 1,
                             .rack_fack = conn->snd_una,
                             .usage_end = conn->snd_una,
                             .rto_max_ns = config->rto_max_ns,
                             .rto_ns = loss->srtt_ns != 0 ? loss->rto_ns
                                                          : tcp_syn_rto_ns(stack, &conn->settings),
                             .srtt_ns = loss->srtt_ns,
                             .rttvar_ns = loss->rttvar_ns,
                             .rtt_min_ns = loss->rtt_min_ns,
                             .rtt_min_until_ns = loss->rtt_min_until_ns,
                             .rtt_dev_ns = loss->rtt_dev_ns,
                             .rtt_dev_max_ns = loss->rtt_dev_max_ns,
                             .rtt_round_end = conn->snd_una};
    *loss = fresh;
    conn->cwr_point = conn->snd_una;
    if (conn->mss > 0) {
        uint8_t kind = conn->settings.congestion != TCP_CONGESTION_DEFAULT
                           ? conn->settings.congestion
                           : config->congestion;
        tcp_congestion_init(&conn->congestion, (enum tcp_congestion_kind)kind, conn->mss,
                            config->initial_window);
    }
}
