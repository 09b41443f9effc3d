/*
 * The scoreboard: one record for each transmission that is not acknowledged, on the lists of its
 * connection, and what the peer's SACK blocks say about them (RFC 2018, 2883, 6675). Queue thread.
 * Called by tcp_output.c (sent for the first time, sent again) and by tcp_ack.c; calls tcp_rack.c
 * for each record that is delivered.
 *
 * The records of all connections are one pool with one of its own for each connection; beyond these
 * it may run short, and then new data joins the connection's last record: less exact, never wrong.
 *
 * A SACK block costs what is new about it: what the last ACK's blocks covered is cut off, the
 * search begins at the nearest of both ends and where the last one ended, and neighbours that are
 * SACKED are one record. A peer that makes blocks up could still have every ACK search half of all
 * records, so what an ACK may cost is bounded (SACK_STEPS_MAX and the two below it).
 */
#include "dataplane/tcp_loss.h"

#include <assert.h>
#include <string.h>

/* Records that an ACK's blocks are searched through. Beyond that a block is not taken in, and found
 * when it comes again: the next search begins where this one ended. */
#define SACK_STEPS_MAX 512u
/* Records looked at in a turn for the next one to send again; then on in the next turn. */
#define LOST_STEPS_MAX 512u
/* Records that one which comes back to the list by time is compared with; see time_insert. */
#define TIME_STEPS_MAX 16u

/* ---- pool and lists
 * -------------------------------------------------------------------------- */

/* A record beyond a connection's first must leave one for each connection that has none, and is
 * one of its share of the others. */
static uint32_t sent_take(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_stack *tcp = &stack->tcp;
    bool first = conn->loss.first == TCP_NO_INDEX;
    uint32_t kept = tcp->config.connections_max - tcp->sent_holders;
    if (!first && (tcp->sent_free_count <= kept ||
                   !tcp_pool_share(conn->loss.records - 1, tcp->sent_free_count - kept))) {
        return TCP_NO_INDEX;
    }
    uint32_t idx = tcp->sent_free;
    assert(idx != TCP_NO_INDEX);
    tcp->sent_free = tcp->sent[idx].next;
    tcp->sent_free_count--;
    tcp->sent_holders += first;
    conn->loss.records++;
    return idx;
}

static bool is_timed(uint32_t flags)
{
    return (flags & TCP_SENT_SACKED) == 0 &&
           (flags & (TCP_SENT_LOST | TCP_SENT_RETRANS_OUT)) != TCP_SENT_LOST;
}

static bool is_to_be_sent(uint32_t flags)
{
    return (flags & (TCP_SENT_LOST | TCP_SENT_RETRANS_OUT)) == TCP_SENT_LOST;
}

static void time_unlink(struct stack *stack, struct tcp_loss *loss, const struct tcp_sent *sent)
{
    if (sent->time_prev == TCP_NO_INDEX) {
        loss->time_first = sent->time_next;
    } else {
        tcp_sent_at(stack, sent->time_prev)->time_next = sent->time_next;
    }
    if (sent->time_next == TCP_NO_INDEX) {
        loss->time_last = sent->time_prev;
    } else {
        tcp_sent_at(stack, sent->time_next)->time_prev = sent->time_prev;
    }
}

/* after: TCP_NO_INDEX: becomes the first */
static void time_link(struct stack *stack, struct tcp_loss *loss, uint32_t idx, uint32_t after)
{
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    sent->time_prev = after;
    sent->time_next =
        after == TCP_NO_INDEX ? loss->time_first : tcp_sent_at(stack, after)->time_next;
    if (after == TCP_NO_INDEX) {
        loss->time_first = idx;
    } else {
        tcp_sent_at(stack, after)->time_next = idx;
    }
    if (sent->time_next == TCP_NO_INDEX) {
        loss->time_last = idx;
    } else {
        tcp_sent_at(stack, sent->time_next)->time_prev = idx;
    }
}

/* By its time; the search begins at `near`, a record on the list, or TCP_NO_INDEX: at the end.
 * Where its place is far, because records of different times take turns in the stream, it is as if
 * it was sent just now: it is deemed lost later than it could be, and is no sample. */
static void time_insert(struct stack *stack, struct tcp_loss *loss, uint32_t idx, uint32_t near)
{
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    uint32_t after = near != TCP_NO_INDEX ? near : loss->time_last;
    uint32_t steps = 0;
    while (after != TCP_NO_INDEX && tcp_sent_at(stack, after)->sent_ns > sent->sent_ns &&
           steps++ < TIME_STEPS_MAX) {
        after = tcp_sent_at(stack, after)->time_prev;
    }
    for (; steps < TIME_STEPS_MAX; steps++) {
        uint32_t next =
            after == TCP_NO_INDEX ? loss->time_first : tcp_sent_at(stack, after)->time_next;
        if (next == TCP_NO_INDEX || tcp_sent_at(stack, next)->sent_ns > sent->sent_ns) {
            time_link(stack, loss, idx, after);
            return;
        }
        after = next;
    }
    sent->sent_ns = stack->now_ns;
    sent->flags |= TCP_SENT_JOINED;
    time_link(stack, loss, idx, loss->time_last);
}

static void count(uint32_t *counter, uint32_t flag, uint32_t old, uint32_t now, uint32_t amount)
{
    *counter += (now & flag) != 0 ? amount : 0;
    *counter -= (old & flag) != 0 ? amount : 0;
}

static void count_bytes(struct tcp_loss *loss, uint32_t old, uint32_t now, uint32_t bytes)
{
    count(&loss->sacked_bytes, TCP_SENT_SACKED, old, now, bytes);
    count(&loss->lost_bytes, TCP_SENT_LOST, old, now, bytes);
    count(&loss->retrans_bytes, TCP_SENT_RETRANS_OUT, old, now, bytes);
}

static void change(struct stack *stack, struct tcp_conn *conn, uint32_t idx, uint32_t flags,
                   uint32_t near)
{
    struct tcp_loss *loss = &conn->loss;
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    uint32_t old = sent->flags;
    count_bytes(loss, old, flags, tcp_sent_bytes(sent));
    count(&loss->sacked_segments, TCP_SENT_SACKED, old, flags, sent->segments);
    sent->flags = (uint8_t)flags;
    if (is_timed(old) && !is_timed(flags)) {
        time_unlink(stack, loss, sent);
    } else if (!is_timed(old) && is_timed(flags)) {
        time_insert(stack, loss, idx, near);
    }
    if (is_to_be_sent(flags) && loss->lost_hint != TCP_NO_INDEX &&
        rs_seq_before(sent->start, tcp_sent_at(stack, loss->lost_hint)->start)) {
        loss->lost_hint = idx;
    }
}

void tcp_sent_change(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t set,
                     uint32_t clear)
{
    uint32_t flags = (tcp_sent_at(stack, sent_idx)->flags & ~clear) | set;
    change(stack, conn, sent_idx, flags, TCP_NO_INDEX);
}

/* Behind `after`, TCP_NO_INDEX: in front. */
static void seq_link(struct stack *stack, struct tcp_loss *loss, uint32_t idx, uint32_t after)
{
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    sent->prev = after;
    sent->next = after == TCP_NO_INDEX ? loss->first : tcp_sent_at(stack, after)->next;
    if (after == TCP_NO_INDEX) {
        loss->first = idx;
    } else {
        tcp_sent_at(stack, after)->next = idx;
    }
    if (sent->next == TCP_NO_INDEX) {
        loss->last = idx;
    } else {
        tcp_sent_at(stack, sent->next)->prev = idx;
    }
}

/* Off all lists and back to the pool; the counters are the caller's. */
static void sent_give(struct stack *stack, struct tcp_conn *conn, uint32_t idx)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_loss *loss = &conn->loss;
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    if (is_timed(sent->flags)) {
        time_unlink(stack, loss, sent);
    }
    if (sent->prev == TCP_NO_INDEX) {
        loss->first = sent->next;
    } else {
        tcp_sent_at(stack, sent->prev)->next = sent->next;
    }
    if (sent->next == TCP_NO_INDEX) {
        loss->last = sent->prev;
    } else {
        tcp_sent_at(stack, sent->next)->prev = sent->prev;
    }
    if (loss->lost_hint == idx) {
        loss->lost_hint = sent->next; /* nothing before it was to be sent: so it is with the next */
    }
    if (loss->sack_hint == idx) {
        loss->sack_hint = sent->next != TCP_NO_INDEX ? sent->next : sent->prev;
    }
    tcp->sent_holders -= loss->first == TCP_NO_INDEX;
    loss->records--;
    sent->next = tcp->sent_free;
    tcp->sent_free = idx;
    tcp->sent_free_count++;
}

void tcp_sent_free(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx)
{
    struct tcp_loss *loss = &conn->loss;
    const struct tcp_sent *sent = tcp_sent_at(stack, sent_idx);
    count_bytes(loss, sent->flags, 0, tcp_sent_bytes(sent));
    count(&loss->sacked_segments, TCP_SENT_SACKED, sent->flags, 0, sent->segments);
    sent_give(stack, conn, sent_idx);
}

void tcp_sent_trim(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t bytes)
{
    struct tcp_sent *sent = tcp_sent_at(stack, sent_idx);
    assert(bytes < tcp_sent_bytes(sent));
    count_bytes(&conn->loss, sent->flags, 0, bytes);
    sent->start += bytes;
    if ((sent->flags & TCP_SENT_PARTIAL) != 0) {
        tcp_sent_change(stack, conn, sent_idx, 0, TCP_SENT_PARTIAL | TCP_SENT_RETRANS_OUT);
    }
}

void tcp_loss_forget(struct stack *stack, struct tcp_conn *conn)
{
    while (conn->loss.first != TCP_NO_INDEX) {
        tcp_sent_free(stack, conn, conn->loss.first);
    }
    conn->loss.sacked_bytes = 0; /* what dup ACKs stood for has no record */
}

/* ---- sent -------------------------------------------------------------------------------------
 */

/* RFC 7661: the window is the limit when less than a segment of it is left. Until all that was
 * under way then is acknowledged, unless more is sent since. */
static void note_usage(struct tcp_conn *conn, uint32_t end)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t outstanding = rs_seq_distance(conn->snd_una, end);
    uint32_t gone = loss->sacked_bytes + loss->lost_bytes;
    uint32_t flight = (outstanding > gone ? outstanding - gone : 0) + loss->retrans_bytes;
    bool limited = flight + conn->mss > conn->congestion.cwnd_bytes;
    if (limited || !rs_seq_before(conn->snd_una, loss->usage_end) ||
        (!loss->limited && flight > loss->usage_bytes)) {
        loss->limited = limited;
        loss->usage_bytes = flight;
        loss->usage_end = end;
    }
}

/* No record left: the last one takes it in, and is as if it was sent just now, as a whole. */
static void sent_join(struct stack *stack, struct tcp_conn *conn, uint32_t end, bool fin)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t idx = loss->last;
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    STACK_COUNT(stack, tcp_records_short);
    if ((sent->flags & TCP_SENT_SACKED) != 0) {
        memset(loss->seen, 0, sizeof(loss->seen));
    }
    uint32_t flags = sent->flags & ~(uint32_t)(TCP_SENT_SACKED | TCP_SENT_LOST |
                                               TCP_SENT_RETRANS_OUT | TCP_SENT_PARTIAL);
    change(stack, conn, idx, flags | TCP_SENT_JOINED | (fin ? TCP_SENT_FIN : 0u), TCP_NO_INDEX);
    sent->segments = 1;
    sent->end = end;
    sent->sent_ns = stack->now_ns;
    time_unlink(stack, loss, sent);
    time_link(stack, loss, idx, loss->time_last);
}

void tcp_sent_append(struct stack *stack, struct tcp_conn *conn, uint32_t start, uint32_t end,
                     bool fin)
{
    struct tcp_loss *loss = &conn->loss;
    assert(start != end &&
           (loss->last == TCP_NO_INDEX || tcp_sent_at(stack, loss->last)->end == start));
    if (loss->first == TCP_NO_INDEX) {
        /* All before it is delivered. Numbers of long ago would come again when they wrap. */
        loss->rack_fack = start;
        loss->recovery_point = loss->state < TCP_LOSS_CWR ? start : loss->recovery_point;
    }
    uint32_t idx = sent_take(stack, conn);
    if (idx == TCP_NO_INDEX) {
        sent_join(stack, conn, end, fin);
    } else {
        struct tcp_sent *sent = tcp_sent_at(stack, idx);
        *sent = (struct tcp_sent){.sent_ns = stack->now_ns,
                                  .start = start,
                                  .end = end,
                                  .flags = fin ? TCP_SENT_FIN : 0,
                                  .segments = 1};
        seq_link(stack, loss, idx, loss->last);
        time_link(stack, loss, idx, loss->time_last);
    }
    tcp_recovery_sent(conn, rs_seq_distance(start, end));
    note_usage(conn, end);
}

bool tcp_sent_split(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t bytes)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t idx = sent_take(stack, conn);
    if (idx == TCP_NO_INDEX) {
        return false;
    }
    struct tcp_sent *front = tcp_sent_at(stack, sent_idx);
    struct tcp_sent *back = tcp_sent_at(stack, idx);
    assert(bytes > 0 && bytes < tcp_sent_bytes(front));
    *back = *front;
    back->start += bytes;
    front->end = back->start;
    front->flags &= (uint8_t)~TCP_SENT_FIN;
    if ((front->flags & TCP_SENT_SACKED) != 0) {
        loss->sacked_segments += back->segments;
    }
    seq_link(stack, loss, idx, sent_idx);
    if (is_timed(back->flags)) {
        time_link(stack, loss, idx, sent_idx);
    }
    return true;
}

void tcp_sent_again(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t bytes)
{
    struct tcp_loss *loss = &conn->loss;
    struct tcp_sent *sent = tcp_sent_at(stack, sent_idx);
    uint32_t partial = 0;
    if (bytes < tcp_sent_bytes(sent) && !tcp_sent_split(stack, conn, sent_idx, bytes)) {
        partial = TCP_SENT_PARTIAL;
    }
    /* The first one of an episode is what an echoed timestamp is compared with (RFC 3522). */
    if (!loss->retransmit_ts_valid ||
        (loss->state < TCP_LOSS_RECOVERY && loss->retrans_bytes == 0)) {
        loss->retransmit_ts = tcp_ts_clock(stack) + conn->ts_offset;
        loss->retransmit_ts_valid = true;
    }
    if (is_timed(sent->flags)) {
        time_unlink(stack, loss, sent);
        time_link(stack, loss, sent_idx, loss->time_last);
    }
    sent->sent_ns = stack->now_ns;
    tcp_sent_change(stack, conn, sent_idx, TCP_SENT_RETRANS_OUT | TCP_SENT_RETRANSMITTED | partial,
                    partial != 0 ? 0 : TCP_SENT_PARTIAL);
    uint32_t undone = loss->undo_retransmits < 0 ? 0 : (uint32_t)loss->undo_retransmits;
    loss->undo_retransmits = (int32_t)tcp_min_u32(undone + bytes, INT32_MAX);
    tcp_recovery_sent(conn, bytes);
}

uint32_t tcp_in_flight(const struct tcp_conn *conn)
{
    const struct tcp_loss *loss = &conn->loss;
    return tcp_outstanding(conn) - loss->sacked_bytes - loss->lost_bytes + loss->retrans_bytes;
}

uint32_t tcp_loss_next(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    if (loss->lost_bytes == 0 || loss->frto == 2) {
        return TCP_NO_INDEX;
    }
    uint32_t idx = loss->lost_hint != TCP_NO_INDEX ? loss->lost_hint : loss->first;
    uint32_t steps = 0;
    while (idx != TCP_NO_INDEX && !is_to_be_sent(tcp_sent_at(stack, idx)->flags)) {
        if (steps++ == LOST_STEPS_MAX) {
            loss->lost_hint = idx;
            tcp_ready(stack, conn);
            return TCP_NO_INDEX;
        }
        idx = tcp_sent_at(stack, idx)->next;
    }
    loss->lost_hint = idx != TCP_NO_INDEX ? idx : loss->last;
    return idx;
}

void tcp_sent_unmark_lost(struct stack *stack, struct tcp_conn *conn)
{
    /* Lost records were mostly sent in order: each goes in near the one before. */
    uint32_t near = TCP_NO_INDEX;
    for (uint32_t idx = conn->loss.first; idx != TCP_NO_INDEX && conn->loss.lost_bytes > 0;
         idx = tcp_sent_at(stack, idx)->next) {
        uint32_t flags = tcp_sent_at(stack, idx)->flags;
        if ((flags & TCP_SENT_LOST) != 0) {
            change(stack, conn, idx, flags & ~(uint32_t)TCP_SENT_LOST, near);
            near = idx;
        }
    }
}

void tcp_sack_forget(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_loss *loss = &conn->loss;
    for (uint32_t idx = loss->first; idx != TCP_NO_INDEX; idx = tcp_sent_at(stack, idx)->next) {
        if ((tcp_sent_at(stack, idx)->flags & TCP_SENT_SACKED) != 0) {
            tcp_sent_change(stack, conn, idx, TCP_SENT_LOST | TCP_SENT_RETRANSMITTED,
                            TCP_SENT_SACKED);
            tcp_sent_at(stack, idx)->segments = 1;
        }
    }
    loss->sacked_bytes = 0;
    memset(loss->seen, 0, sizeof(loss->seen));
}

/* ---- SACK -------------------------------------------------------------------------------------
 */

/* RFC 2883 4: the first block tells of a duplicate when it lies below the ACK or within the
 * second block. */
static bool is_dsack(const struct tcp_segment *segment)
{
    const struct tcp_sack_block *block = segment->options.sack;
    if (!rs_seq_before(block->start, block->end)) {
        return false;
    }
    if (rs_seq_before(block->start, segment->ack)) {
        return true;
    }
    return segment->options.sack_count > 1 && rs_seq_before_eq(block[1].start, block->start) &&
           rs_seq_before_eq(block->end, block[1].end);
}

/* RFC 3708: as much was received twice as was sent twice. */
static void take_dsack(struct tcp_conn *conn, const struct tcp_sack_block *block,
                       struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t bytes = rs_seq_distance(block->start, block->end);
    if (rs_seq_before(conn->snd_nxt, block->end) || bytes > conn->snd_wnd_max) {
        return; /* of nothing we sent */
    }
    ack->dsack = true;
    if (loss->undo_valid && loss->undo_retransmits > 0 &&
        rs_seq_before(loss->undo_marker, block->end)) {
        uint32_t left = (uint32_t)loss->undo_retransmits;
        loss->undo_retransmits = (int32_t)(left - tcp_min_u32(left, bytes));
    }
}

/* Takes in the next record when both are SACKED. */
static void join_sacked(struct stack *stack, struct tcp_conn *conn, uint32_t idx)
{
    struct tcp_sent *sent = tcp_sent_at(stack, idx);
    if (idx == TCP_NO_INDEX || sent->next == TCP_NO_INDEX) {
        return;
    }
    const struct tcp_sent *next = tcp_sent_at(stack, sent->next);
    uint32_t segments = (uint32_t)sent->segments + next->segments;
    if ((sent->flags & next->flags & TCP_SENT_SACKED) == 0 || segments > UINT16_MAX) {
        return;
    }
    sent->end = next->end;
    sent->segments = (uint16_t)segments;
    sent->flags |= (uint8_t)(next->flags & (TCP_SENT_FIN | TCP_SENT_RETRANSMITTED));
    if (conn->loss.sack_hint == sent->next) {
        conn->loss.sack_hint = idx;
    }
    if (conn->loss.lost_hint == sent->next) {
        conn->loss.lost_hint = idx;
    }
    sent_give(stack, conn, sent->next);
}

/* A whole record is SACKed. Returns the record that it is part of now. */
static uint32_t mark(struct stack *stack, struct tcp_conn *conn, uint32_t idx, struct tcp_ack *ack)
{
    const struct tcp_sent *sent = tcp_sent_at(stack, idx);
    uint32_t bytes = tcp_sent_bytes(sent);
    ack->sacked_bytes += bytes;
    ack->delivered_bytes += bytes;
    if ((sent->flags & (TCP_SENT_RETRANSMITTED | TCP_SENT_JOINED)) == 0 &&
        ack->sacked_sent_ns == STACK_NEVER) {
        ack->sacked_sent_ns = sent->sent_ns;
    }
    tcp_rack_delivered(stack, conn, sent, ack);
    tcp_sent_change(stack, conn, idx, TCP_SENT_SACKED,
                    TCP_SENT_LOST | TCP_SENT_RETRANS_OUT | TCP_SENT_PARTIAL);
    join_sacked(stack, conn, idx);
    uint32_t prev = sent->prev;
    if (prev != TCP_NO_INDEX && (tcp_sent_at(stack, prev)->flags & TCP_SENT_SACKED) != 0) {
        uint32_t end = sent->end;
        join_sacked(stack, conn, prev);
        return tcp_sent_at(stack, prev)->end == end ? prev : idx;
    }
    return idx;
}

/* Where a search for pos, which is not before snd_una, begins: the least bytes away. */
static uint32_t nearest(const struct stack *stack, const struct tcp_loss *loss, uint32_t pos)
{
    if (loss->first == TCP_NO_INDEX) {
        return TCP_NO_INDEX;
    }
    uint32_t first = tcp_sent_at(stack, loss->first)->start;
    uint32_t last = tcp_sent_at(stack, loss->last)->start;
    uint32_t to_last = rs_seq_before(pos, last) ? last - pos : 0;
    bool from_last = to_last < pos - first;
    uint32_t least = from_last ? to_last : pos - first;
    if (loss->sack_hint != TCP_NO_INDEX) {
        uint32_t hint = tcp_sent_at(stack, loss->sack_hint)->start;
        if ((rs_seq_before(pos, hint) ? hint - pos : pos - hint) <= least) {
            return loss->sack_hint;
        }
    }
    return from_last ? loss->last : loss->first;
}

/* The first record that ends behind pos, which is not before snd_una. TCP_NO_INDEX: none, or the
 * ACK has cost enough. */
static uint32_t find(struct stack *stack, struct tcp_loss *loss, uint32_t pos, struct tcp_ack *ack)
{
    uint32_t idx = nearest(stack, loss, pos);
    bool moved = false;
    while (idx != TCP_NO_INDEX) {
        const struct tcp_sent *sent = tcp_sent_at(stack, idx);
        bool back = rs_seq_before(pos, sent->start) && sent->prev != TCP_NO_INDEX;
        if (!back && rs_seq_before(pos, sent->end)) {
            return idx;
        }
        if (ack->sack_steps == SACK_STEPS_MAX) {
            STACK_COUNT(stack, tcp_sack_limited);
            loss->sack_hint = moved ? idx : loss->sack_hint;
            return TCP_NO_INDEX;
        }
        ack->sack_steps++;
        moved = true;
        idx = back ? sent->prev : sent->next;
    }
    return TCP_NO_INDEX;
}

/*
 * Makes the record at idx one that lies within [start, end). Cuts at multiples of the segment size
 * only: a receiver has whole segments, and a peer that makes blocks up gets no more records than
 * segments. Returns it, or the one behind it when nothing of it is within.
 */
static uint32_t cut(struct stack *stack, struct tcp_conn *conn, uint32_t idx, uint32_t start,
                    uint32_t end, bool *within)
{
    const struct tcp_sent *sent = tcp_sent_at(stack, idx);
    uint32_t mss = conn->mss;
    *within = false;
    if (rs_seq_before(sent->start, start)) {
        uint32_t bytes = rs_seq_distance(sent->start, start);
        /* A division where a record of several segments is SACKed in part, which is rare. */
        bytes = bytes <= mss ? mss : (bytes + mss - 1) / mss * mss;
        if (bytes >= tcp_sent_bytes(sent) || !tcp_sent_split(stack, conn, idx, bytes)) {
            return sent->next;
        }
        idx = sent->next;
        sent = tcp_sent_at(stack, idx);
    }
    if (!rs_seq_before(sent->start, end)) {
        return idx;
    }
    if (rs_seq_before(end, sent->end)) {
        uint32_t bytes = rs_seq_distance(sent->start, end);
        bytes = bytes < mss ? 0 : bytes / mss * mss;
        if (bytes == 0 || !tcp_sent_split(stack, conn, idx, bytes)) {
            return sent->next;
        }
    }
    *within = true;
    return idx;
}

/* Marks what lies within [start, end). Returns up to where it is marked without a gap. */
static uint32_t mark_range(struct stack *stack, struct tcp_conn *conn, uint32_t start, uint32_t end,
                           struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    uint32_t marked = start;
    bool gap = false;
    uint32_t idx = find(stack, loss, start, ack);
    while (idx != TCP_NO_INDEX && rs_seq_before(tcp_sent_at(stack, idx)->start, end)) {
        if ((tcp_sent_at(stack, idx)->flags & TCP_SENT_SACKED) == 0) {
            bool within;
            idx = cut(stack, conn, idx, start, end, &within);
            if (!within) {
                gap = true;
                continue;
            }
            idx = mark(stack, conn, idx, ack);
        }
        loss->sack_hint = idx;
        marked = gap ? marked : tcp_sent_at(stack, idx)->end;
        idx = tcp_sent_at(stack, idx)->next;
    }
    return rs_seq_before(end, marked) ? end : marked;
}

/* What is new of a block: not what the last ACK's blocks covered up to. */
static bool seen_before(const struct tcp_loss *loss, struct tcp_sack_block *block)
{
    for (uint32_t i = 0; i < TCP_SACK_MAX_BLOCKS; i++) {
        const struct tcp_sack_block *seen = &loss->seen[i];
        if (seen->start == seen->end || rs_seq_before(block->start, seen->start) ||
            rs_seq_before(seen->end, block->start)) {
            continue;
        }
        if (rs_seq_before_eq(block->end, seen->end)) {
            return true;
        }
        block->start = seen->end;
    }
    return false;
}

/* The blocks that tell of data ahead, ascending: so that a hole is not taken for reordering. */
static uint32_t sort_blocks(const struct tcp_conn *conn, const struct tcp_segment *segment,
                            uint32_t from, struct tcp_sack_block *blocks)
{
    uint32_t found = 0;
    for (uint32_t i = from; i < segment->options.sack_count; i++) {
        struct tcp_sack_block block = segment->options.sack[i];
        /* Wrong, or old: above what was sent, below what is acknowledged. */
        if (!rs_seq_before(block.start, block.end) || rs_seq_before(conn->snd_nxt, block.end) ||
            rs_seq_before(block.start, conn->snd_una)) {
            continue;
        }
        uint32_t at = found++;
        while (at > 0 && rs_seq_before(block.start, blocks[at - 1].start)) {
            blocks[at] = blocks[at - 1];
            at--;
        }
        blocks[at] = block;
    }
    return found;
}

void tcp_sack_input(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack)
{
    struct tcp_loss *loss = &conn->loss;
    const struct tcp_segment *segment = ack->segment;
    if (segment->options.sack_count == 0) {
        return;
    }
    uint32_t from = is_dsack(segment);
    if (from > 0) {
        take_dsack(conn, &segment->options.sack[0], ack);
    }
    if (loss->sacked_bytes == 0) { /* what was seen may be of long ago */
        memset(loss->seen, 0, sizeof(loss->seen));
    }
    struct tcp_sack_block blocks[TCP_SACK_MAX_BLOCKS];
    struct tcp_sack_block seen[TCP_SACK_MAX_BLOCKS] = {{0, 0}};
    uint32_t block_count = sort_blocks(conn, segment, from, blocks);
    for (uint32_t i = 0; i < block_count; i++) {
        struct tcp_sack_block fresh = blocks[i];
        seen[i] = blocks[i];
        if (!seen_before(loss, &fresh)) {
            seen[i].end = mark_range(stack, conn, fresh.start, fresh.end, ack);
        }
    }
    memcpy(loss->seen, seen, sizeof(seen));
}
