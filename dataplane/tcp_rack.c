/*
 * Loss detection by time: RACK and the tail loss probe (RFC 8985). What was sent long enough before
 * something that has arrived is lost; when nothing arrives, the last segment is sent as a probe so
 * that something does. Queue thread; called by tcp_sack.c, tcp_ack.c, tcp_recovery.c and by the
 * timers; sends the probe through tcp_output.c.
 */
#include "dataplane/tcp_loss.h"

#define RACK_DSACK_PERSIST   16u /* RFC 8985 6.2 step 4: recoveries */
#define RACK_WAITING_MAX     64u
#define PROBE_ACK_DELAY_NS   (200 * STACK_NS_PER_MS) /* RFC 8985 7.2: the peer's delayed ACK */
#define PROBE_SLACK_NS       (2 * STACK_NS_PER_MS)   /* Linux's: an ACK is rarely on time */
#define PROBE_WITHOUT_RTT_NS STACK_NS_PER_S

/* ---- RACK -------------------------------------------------------------------------------------
 */

/* An ACK of a record that was sent again may be for an earlier transmission (RFC 8985 6.2 step 2):
 * when it came sooner than any ACK can, or echoes a timestamp from before. */
static bool of_earlier_transmission(const struct stack *stack, const struct tcp_conn *conn,
                                    const struct tcp_sent *sent, const struct tcp_segment *segment)
{
    uint64_t age_ns = stack->now_ns - sent->sent_ns;
    if (age_ns < conn->loss.rtt_min_ns) {
        return true;
    }
    if (!tcp_has(conn, TCP_FEATURE_TIMESTAMPS) ||
        (segment->options.present & TCP_OPTION_TIMESTAMPS) == 0) {
        return false;
    }
    uint32_t echo_ms = tcp_ts_clock(stack) + conn->ts_offset - segment->options.tsecr;
    /* The clock's grain is a millisecond at each end. */
    return echo_ms < 1u << 31 && echo_ms * STACK_NS_PER_MS > age_ns + 2 * STACK_NS_PER_MS;
}

void tcp_rack_delivered(struct stack *stack, struct tcp_conn *conn, const struct tcp_sent *sent,
                        struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    bool once = (sent->flags & (TCP_SENT_RETRANSMITTED | TCP_SENT_JOINED)) == 0;
    if (once && rs_seq_before_eq(sent->end, loss->recovery_point)) {
        ack->original = true;
    }
    /* Against what had arrived before this ACK: within one the order is ours. */
    if (once && rs_seq_before(sent->end, ack->prior_fack)) {
        loss->rack_reordering_seen = true;
    }
    if (rs_seq_before(loss->rack_fack, sent->end)) {
        loss->rack_fack = sent->end;
    }
    if ((sent->flags & TCP_SENT_JOINED) != 0 ||
        ((sent->flags & TCP_SENT_RETRANSMITTED) != 0 &&
         of_earlier_transmission(stack, conn, sent, ack->segment))) {
        return;
    }
    ack->rack_advanced = true;
    loss->rack_rtt_ns = stack->now_ns - sent->sent_ns;
    if (tcp_sent_after(sent->sent_ns, sent->end, loss->rack_sent_ns, loss->rack_end)) {
        loss->rack_sent_ns = sent->sent_ns;
        loss->rack_end = sent->end;
    }
}

void tcp_rack_dsack(struct tcp_conn *conn, bool dsack)
{
    struct tcp_loss *loss = &conn->loss;
    if (loss->rack_dsack_seen && !rs_seq_before(conn->snd_una, loss->rack_dsack_round_end)) {
        loss->rack_dsack_seen = false;
    }
    if (dsack && !loss->rack_dsack_seen) { /* once a round trip */
        loss->rack_dsack_seen = true;
        loss->rack_dsack_round_end = conn->snd_nxt;
        loss->rack_reo_mult = (uint8_t)(loss->rack_reo_mult + (loss->rack_reo_mult < UINT8_MAX));
        loss->rack_reo_persist = RACK_DSACK_PERSIST;
    }
}

void tcp_rack_recovered(struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    if (loss->rack_reo_persist > 0) {
        loss->rack_reo_persist--;
    }
    if (loss->rack_reo_persist == 0) {
        loss->rack_reo_mult = 1;
    }
}

static uint64_t reorder_window_ns(const struct tcp_loss *loss)
{
    if (!loss->rack_reordering_seen &&
        (loss->state >= TCP_LOSS_RECOVERY || loss->sacked_segments >= TCP_DUP_THRESHOLD)) {
        return 0;
    }
    uint64_t window_ns = loss->rack_reo_mult * (loss->rtt_min_ns / 4);
    return window_ns < loss->srtt_ns ? window_ns : loss->srtt_ns;
}

bool tcp_rack_overdue(const struct stack *stack, const struct tcp_conn *conn,
                      const struct tcp_sent *sent)
{
    return sent->sent_ns + conn->loss.rack_rtt_ns + reorder_window_ns(&conn->loss) <= stack->now_ns;
}

uint32_t tcp_rack_detect(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    uint64_t wait_ns = loss->rack_rtt_ns + reorder_window_ns(loss);
    uint32_t before = loss->lost_bytes, again = 0, waiting = 0;
    loss->reorder_due_ns = 0;
    uint32_t next;
    for (uint32_t idx = loss->time_first; idx != TCP_NO_INDEX; idx = next) {
        const struct tcp_sent *sent = tcp_sent_at(stack, idx);
        next = sent->time_next;
        if (!tcp_sent_after(loss->rack_sent_ns, loss->rack_end, sent->sent_ns, sent->end)) {
            break; /* all further ones were sent later still */
        }
        if (sent->sent_ns + wait_ns > stack->now_ns) {
            /* The last one's: one timer for all of them. Not looked for to the end by each ACK:
             * what remains was sent before what has arrived. */
            loss->reorder_due_ns = sent->sent_ns + wait_ns;
            if (++waiting == RACK_WAITING_MAX) {
                loss->reorder_due_ns = loss->rack_sent_ns + wait_ns;
                break;
            }
            continue;
        }
        /* What was sent again and is lost again counts once more. */
        again += (sent->flags & TCP_SENT_LOST) != 0 ? tcp_sent_bytes(sent) : 0;
        tcp_sent_change(stack, conn, idx, TCP_SENT_LOST, TCP_SENT_RETRANS_OUT | TCP_SENT_PARTIAL);
    }
    return loss->lost_bytes - before + again;
}

void tcp_loss_reorder_timer(struct stack *stack, struct tcp_conn *conn)
{
    uint32_t prior_flight = tcp_in_flight(conn);
    if (tcp_rack_detect(stack, conn) > 0) {
        if (conn->loss.state < TCP_LOSS_RECOVERY) {
            tcp_recovery_enter(stack, conn, prior_flight);
        }
        tcp_recovery_pace(conn, 0, false);
    }
}

/* ---- tail loss probe --------------------------------------------------------------------------
 */

uint64_t tcp_loss_probe_due_ns(const struct stack *stack, const struct tcp_conn *conn)
{
    const struct tcp_loss *loss = &conn->loss;
    if (loss->first == TCP_NO_INDEX || loss->tlp_outstanding || loss->backoff > 0 ||
        !tcp_has(conn, TCP_FEATURE_SACK) ||
        (loss->state != TCP_LOSS_OPEN && loss->state != TCP_LOSS_CWR)) {
        return STACK_NEVER;
    }
    uint64_t wait_ns = PROBE_WITHOUT_RTT_NS;
    if (loss->srtt_ns > 0) {
        const struct tcp_sent *first = tcp_sent_at(stack, loss->first);
        bool single = loss->first == loss->last && tcp_sent_bytes(first) <= conn->mss;
        wait_ns = 2 * loss->srtt_ns + (single ? PROBE_ACK_DELAY_NS : PROBE_SLACK_NS);
    }
    uint64_t base_ns =
        conn->last_sent_ns > conn->progress_ns ? conn->last_sent_ns : conn->progress_ns;
    uint64_t due_ns = base_ns + wait_ns;
    /* Not after the timeout, instead of which it comes then, as with Linux. */
    uint64_t timeout_ns = conn->rto_base_ns + tcp_rto_ns(conn);
    return due_ns < timeout_ns ? due_ns : timeout_ns - 1;
}

/* New data when there is some that the peer's window takes; else the last segment again. */
static bool send_probe(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    loss->tlp_retransmission = false;
    if (tcp_send_forced(stack, conn, conn->mss)) {
        return true;
    }
    uint32_t idx = loss->last;
    uint32_t bytes = tcp_sent_bytes(tcp_sent_at(stack, idx));
    if ((tcp_sent_at(stack, idx)->flags & TCP_SENT_SACKED) != 0) {
        return false;
    }
    if (bytes > conn->mss && tcp_sent_split(stack, conn, idx, bytes - conn->mss)) {
        idx = loss->last;
    }
    loss->tlp_retransmission = tcp_retransmit(stack, conn, idx, conn->mss);
    return loss->tlp_retransmission;
}

void tcp_loss_probe_timer(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    if (loss->first == TCP_NO_INDEX || loss->tlp_outstanding) {
        return;
    }
    if (send_probe(stack, conn)) {
        const struct tcp_sent *last = tcp_sent_at(stack, loss->last);
        STACK_COUNT(stack, tcp_probes_tail);
        TCP_TRACE(stack, &conn->flow, tcp_probe_tail, last->start, tcp_sent_bytes(last));
    }
    /* One for which there was no buffer counts too: the timeout is next. */
    loss->tlp_outstanding = true;
    loss->tlp_end = conn->snd_nxt;
    conn->rto_base_ns = stack->now_ns;
}

bool tcp_probe_acked(struct tcp_conn *conn, const struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    if (!loss->tlp_outstanding || rs_seq_before(ack->segment->ack, loss->tlp_end)) {
        return false;
    }
    if (!loss->tlp_retransmission || ack->dsack) {
        loss->tlp_outstanding = false; /* new data, or both copies arrived */
        return false;
    }
    if (rs_seq_before(loss->tlp_end, ack->segment->ack)) {
        loss->tlp_outstanding = false;
        return true; /* no word of a second copy: the first was lost, the probe was its repair */
    }
    if (ack->duplicate && ack->sacked_bytes == 0) {
        loss->tlp_outstanding = false; /* a peer without D-SACK has both copies */
    }
    return false;
}
