/*
 * The receiving half of a connection: payload into the receive ring, in order or ahead of a gap;
 * which ranges lie there; what the peer may send; when to acknowledge and with which SACK blocks.
 * Queue thread; from tcp_input.c and tcp_output.c. The client sees bytes once recv_tail has passed
 * them; it cannot write there, so what lies ahead is as safe as what is private.
 */
#include <string.h>

#include "dataplane/stack_internal.h"

#define TCP_QUICK_ACKS \
    16u /* segments acknowledged at once, at the start and after a loss (Linux) */

/* ---- window ---- */

bool tcp_receive_refresh(struct tcp_conn *conn)
{
    return stream_writer_refresh(&conn->recv, conn->recv_head_word, RS_POISONED) == RS_OK;
}

/* A limit below what the window's scale can say, or of 0, would keep it closed for ever. */
static uint32_t tcp_receive_limit(const struct tcp_conn *conn)
{
    uint32_t grain = 1u << conn->recv_wscale;
    return conn->recv_limit_bytes > grain ? conn->recv_limit_bytes : grain;
}

/* Room behind rcv_nxt that may be announced. */
static uint32_t tcp_receive_room(const struct tcp_conn *conn)
{
    uint32_t unread = rs_seq_distance(conn->recv.head_cached, conn->recv.tail);
    uint32_t limit = tcp_receive_limit(conn);
    return unread < limit ? limit - unread : 0;
}

/* RFC 9293 3.8.6.2.2: the right edge moves on by a segment or half the buffer at least. */
static uint32_t tcp_receive_step(const struct tcp_conn *conn)
{
    return tcp_min_u32(conn->recv_limit_bytes / 2, conn->rcv_mss);
}

uint32_t tcp_receive_window(struct tcp_conn *conn)
{
    /* An index that cannot be is for tcp_recv_consumed to find: here the old one goes on to count.
     */
    (void)!tcp_receive_refresh(conn);
    /* The FIN may stand right at the edge. */
    uint32_t left = rs_seq_before(conn->rcv_nxt, conn->rcv_adv) ? conn->rcv_adv - conn->rcv_nxt : 0;
    uint32_t granule = (1u << conn->recv_wscale) - 1;
    /* The header has room for 16 bits of it, and not for its low bits. */
    uint32_t most = (65535u << conn->recv_wscale);
    uint32_t room = tcp_min_u32(tcp_receive_room(conn), most) & ~granule;
    if (room > left && room - left >= tcp_receive_step(conn)) {
        conn->rcv_adv = conn->rcv_nxt + room;
        return room;
    }
    /* What was announced stays: rounded up, or the edge would move back by the low bits. Where
     * there is no room for these, they are not taken, as RFC 7323 2.4 allows. */
    left = (left + granule) & ~granule;
    if (left <= tcp_receive_room(conn)) {
        conn->rcv_adv = conn->rcv_nxt + left;
    }
    return left;
}

bool tcp_receive_update_due(const struct tcp_conn *conn)
{
    if (tcp_has(conn, TCP_FEATURE_PEER_FIN)) { /* all that is to come fits */
        return false;
    }
    uint32_t left = rs_seq_distance(conn->rcv_nxt, conn->rcv_adv);
    uint32_t room = tcp_receive_room(conn) & ~((1u << conn->recv_wscale) - 1);
    return room > left && room - left >= tcp_receive_step(conn) && room / 2 >= left;
}

bool tcp_recv_notify(const struct tcp_conn *conn, uint32_t *position)
{
    uint32_t granule = (1u << conn->recv_wscale) - 1;
    uint32_t left = rs_seq_before(conn->rcv_nxt, conn->rcv_adv) ? conn->rcv_adv - conn->rcv_nxt : 0;
    uint32_t step = tcp_receive_step(conn) > 0 ? tcp_receive_step(conn) : 1;
    /* As tcp_receive_update_due has it. */
    uint32_t room = (left + (left > step ? left : step) + granule) & ~granule;
    uint32_t limit = tcp_receive_limit(conn);
    bool more_comes = conn->flow.state >= TCP_ESTABLISHED && conn->flow.state <= TCP_LAST_ACK &&
                      !tcp_has(conn, TCP_FEATURE_PEER_FIN);
    bool waits = more_comes && room <= limit;
    *position = waits ? conn->recv.tail - (limit - room) : conn->recv.tail + RS_RING_MAX_BYTES;
    return waits;
}

/* ---- ranges ahead of the gap ---- */

static void tcp_range_free(struct stack *stack, struct tcp_conn *conn, uint32_t idx)
{
    struct tcp_stack *tcp = &stack->tcp;
    tcp->ranges[idx].next = tcp->range_free;
    tcp->range_free = idx;
    tcp->range_free_count++;
    conn->range_count--;
}

void tcp_receive_forget(struct stack *stack, struct tcp_conn *conn)
{
    while (conn->ranges != TCP_NO_INDEX) {
        uint32_t idx = conn->ranges;
        conn->ranges = stack->tcp.ranges[idx].next;
        tcp_range_free(stack, conn, idx);
    }
}

/* The newest first, each once (RFC 2018 section 4). */
static void tcp_range_touched(struct tcp_conn *conn, uint32_t start, uint32_t end)
{
    uint32_t kept[TCP_SACK_MAX_BLOCKS] = {start, start, start, start};
    unsigned count = 1;
    for (unsigned i = 0; i < TCP_SACK_MAX_BLOCKS && count < TCP_SACK_MAX_BLOCKS; i++) {
        uint32_t old = conn->recent_ranges[i];
        if (!rs_seq_in_range(old, start, end)) {
            kept[count++] = old;
        }
    }
    memcpy(conn->recent_ranges, kept, sizeof(kept));
}

/* Where a new range [start, end) goes: *link is the index of the first one that ends at or behind
 * its start. D-SACKs what was there already. */
static uint32_t *tcp_range_find(struct stack *stack, struct tcp_conn *conn, uint32_t start)
{
    uint32_t *link = &conn->ranges;
    while (*link != TCP_NO_INDEX && rs_seq_before(stack->tcp.ranges[*link].end, start)) {
        link = &stack->tcp.ranges[*link].next;
    }
    return link;
}

/* RFC 2883 4: the first piece of [start, end) that is here already, in a range from idx on. */
static void tcp_range_overlap(const struct stack *stack, struct tcp_conn *conn, uint32_t idx,
                              uint32_t start, uint32_t end)
{
    const struct tcp_range *range = &stack->tcp.ranges[idx];
    if (range->end == start && range->next != TCP_NO_INDEX) { /* touches only */
        range = &stack->tcp.ranges[range->next];
    }
    uint32_t from = rs_seq_before(start, range->start) ? range->start : start;
    uint32_t to = rs_seq_before(end, range->end) ? end : range->end;
    if (rs_seq_before(from, to)) {
        tcp_receive_dsack(conn, from, to);
    }
}

/* Makes room for nothing: false when no range is left, then nothing was changed. */
static bool tcp_range_add(struct stack *stack, struct tcp_conn *conn, uint32_t start, uint32_t end)
{
    struct tcp_stack *tcp = &stack->tcp;
    uint32_t *link = tcp_range_find(stack, conn, start);
    uint32_t idx = *link;
    if (idx == TCP_NO_INDEX || rs_seq_before(end, tcp->ranges[idx].start)) {
        uint32_t fresh = tcp->range_free;
        if (conn->range_count == TCP_RANGES_MAX ||
            !tcp_pool_share(conn->range_count, tcp->range_free_count)) {
            STACK_COUNT(stack, tcp_ranges_full);
            return false;
        }
        tcp->range_free = tcp->ranges[fresh].next;
        tcp->range_free_count--;
        tcp->ranges[fresh] = (struct tcp_range){.start = start, .end = end, .next = idx};
        *link = fresh;
        conn->range_count++;
        tcp_range_touched(conn, start, end);
        return true;
    }
    struct tcp_range *range = &tcp->ranges[idx];
    tcp_range_overlap(stack, conn, idx, start, end);
    range->start = rs_seq_before(start, range->start) ? start : range->start;
    range->end = rs_seq_before(range->end, end) ? end : range->end;
    while (range->next != TCP_NO_INDEX &&
           rs_seq_before_eq(tcp->ranges[range->next].start, range->end)) {
        uint32_t swallowed = range->next;
        if (rs_seq_before(range->end, tcp->ranges[swallowed].end)) {
            range->end = tcp->ranges[swallowed].end;
        }
        range->next = tcp->ranges[swallowed].next;
        tcp_range_free(stack, conn, swallowed);
    }
    tcp_range_touched(conn, range->start, range->end);
    return true;
}

void tcp_receive_dsack(struct tcp_conn *conn, uint32_t start, uint32_t end)
{
    conn->duplicate_segments++;
    if (tcp_has(conn, TCP_FEATURE_SACK) && conn->dsack.start == conn->dsack.end) {
        conn->dsack = (struct tcp_sack_block){start, end};
    }
}

uint32_t tcp_receive_sack(const struct stack *stack, struct tcp_conn *conn,
                          struct tcp_sack_block *blocks, uint32_t max)
{
    uint32_t count = 0;
    if (conn->dsack.start != conn->dsack.end) {
        blocks[count++] = conn->dsack;
        conn->dsack.end = conn->dsack.start;
    }
    uint32_t first = count;
    for (unsigned i = 0; i < TCP_SACK_MAX_BLOCKS && count < max; i++) {
        uint32_t at = conn->recent_ranges[i];
        uint32_t idx = conn->ranges;
        while (idx != TCP_NO_INDEX && !(rs_seq_before_eq(stack->tcp.ranges[idx].start, at) &&
                                        rs_seq_before(at, stack->tcp.ranges[idx].end))) {
            idx = stack->tcp.ranges[idx].next;
        }
        if (idx == TCP_NO_INDEX) {
            continue;
        }
        struct tcp_sack_block block = {stack->tcp.ranges[idx].start, stack->tcp.ranges[idx].end};
        bool known = false;
        for (uint32_t k = first; k < count; k++) {
            known = known || blocks[k].start == block.start;
        }
        if (!known) {
            blocks[count++] = block;
        }
    }
    return count;
}

/* ---- data ---- */

/* Copies to where [seq, ...) belongs. Returns the bytes that had room. */
static uint32_t tcp_receive_place(struct tcp_conn *conn, uint32_t seq, const uint8_t *data,
                                  uint32_t len_bytes)
{
    struct stream_region regions[2];
    uint32_t ahead = seq - conn->rcv_nxt;
    uint32_t got = stream_writer_regions(&conn->recv, ahead, len_bytes, regions);
    if (got < len_bytes && tcp_receive_refresh(conn)) {
        got = stream_writer_regions(&conn->recv, ahead, len_bytes, regions);
    }
    memcpy(regions[0].base, data, regions[0].len_bytes);
    if (regions[1].len_bytes > 0) {
        memcpy(regions[1].base, data + regions[0].len_bytes, regions[1].len_bytes);
    }
    return got;
}

static void tcp_receive_advance(struct tcp_conn *conn, uint32_t bytes)
{
    stream_writer_commit(&conn->recv, bytes);
    conn->rcv_nxt += bytes;
    conn->received_bytes += bytes;
}

/* The gap before the first range is closed: it, and whatever it touches, is in order now. */
static void tcp_receive_join(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_stack *tcp = &stack->tcp;
    while (conn->ranges != TCP_NO_INDEX &&
           rs_seq_before_eq(tcp->ranges[conn->ranges].start, conn->rcv_nxt)) {
        uint32_t idx = conn->ranges;
        const struct tcp_range range = tcp->ranges[idx];
        if (rs_seq_before(conn->rcv_nxt, range.end)) {
            tcp_receive_advance(conn, range.end - conn->rcv_nxt);
        }
        conn->ranges = range.next;
        tcp_range_free(stack, conn, idx);
    }
}

static void tcp_ack_at_once(struct stack *stack, struct tcp_conn *conn)
{
    conn->ack_now = 1;
    tcp_ready(stack, conn);
}

/* RFC 9293 3.8.6.3, RFC 5681 4.2: of in-order data every second full segment, or after the delay.
 */
static void tcp_ack_in_order(struct stack *stack, struct tcp_conn *conn, uint32_t bytes)
{
    conn->unacked_bytes += bytes;
    bool at_once = conn->unacked_bytes > conn->rcv_mss || conn->settings.ack_immediate ||
                   stack->tcp.config.ack_immediate;
    if (conn->quick_acks > 0) {
        conn->quick_acks--;
        at_once = true;
    }
    if (at_once) {
        tcp_ack_at_once(stack, conn);
    } else if (conn->due_ns[TCP_TIMER_ACK] == STACK_NEVER) {
        tcp_timer_set(stack, conn, TCP_TIMER_ACK, stack->now_ns + stack->tcp.config.delayed_ack_ns);
    }
}

static void tcp_receive_in_order(struct stack *stack, struct tcp_conn *conn, const uint8_t *data,
                                 uint32_t len_bytes)
{
    bool gap = conn->range_count > 0;
    uint32_t got = tcp_receive_place(conn, conn->rcv_nxt, data, len_bytes);
    if (got == 0) { /* a window that a lower SO_RCVBUF, or rounding, made smaller than it was */
        tcp_ack_at_once(stack, conn);
        return;
    }
    if (gap && rs_seq_before(stack->tcp.ranges[conn->ranges].start, conn->rcv_nxt + got)) {
        uint32_t start = stack->tcp.ranges[conn->ranges].start;
        uint32_t end = stack->tcp.ranges[conn->ranges].end;
        uint32_t covered = conn->rcv_nxt + got;
        tcp_receive_dsack(conn, start, rs_seq_before(end, covered) ? end : covered);
    }
    tcp_receive_advance(conn, got);
    tcp_receive_join(stack, conn);
    conn->rcv_mss =
        (uint16_t)(len_bytes > conn->rcv_mss ? tcp_min_u32(len_bytes, 65535) : conn->rcv_mss);
    stream_writer_publish(&conn->recv, conn->recv_tail_word);
    conn->events |= TCP_EVENT_READABLE;
    if (tcp_has(conn, TCP_FEATURE_URGENT_IN) && !rs_seq_before(conn->rcv_nxt, conn->rcv_up)) {
        conn->features &= ~(uint32_t)TCP_FEATURE_URGENT_IN; /* or it comes again 2 GiB on */
    }
    if (gap) { /* RFC 5681 4.2: what fills a gap is acknowledged at once */
        conn->quick_acks = TCP_QUICK_ACKS;
    }
    tcp_ack_in_order(stack, conn, got);
    tcp_ready(stack, conn);
}

static void tcp_receive_ahead(struct stack *stack, struct tcp_conn *conn, uint32_t seq,
                              const uint8_t *data, uint32_t len_bytes)
{
    uint32_t got = tcp_receive_place(conn, seq, data, len_bytes);
    if (got > 0 && tcp_range_add(stack, conn, seq, seq + got)) {
        conn->reordered_bytes += got;
    }
    STACK_COUNT(stack, tcp_out_of_order);
    conn->quick_acks = TCP_QUICK_ACKS;
    /* Each segment behind a gap is told of, not each iteration: a sender without SACK counts. */
    tcp_send_ack(stack, conn);
}

void tcp_receive_data(struct stack *stack, struct tcp_conn *conn, const struct tcp_segment *segment)
{
    uint32_t seq = segment->seq;
    const uint8_t *data = segment->payload;
    uint32_t len_bytes = segment->payload_bytes;
    bool fin = (segment->flags & TCP_FLAG_FIN) != 0;
    if (rs_seq_before(seq, conn->rcv_nxt)) { /* partly, or all, here already */
        uint32_t old = tcp_min_u32(conn->rcv_nxt - seq, len_bytes);
        if (old > 0) {
            tcp_receive_dsack(conn, seq, seq + old);
            tcp_ack_at_once(stack, conn);
        }
        seq += old;
        data += old;
        len_bytes -= old;
        fin = fin && seq == conn->rcv_nxt; /* else data behind it has come: it cannot be */
    }
    uint32_t room = rs_seq_before(seq, conn->rcv_adv) ? conn->rcv_adv - seq : 0;
    if (len_bytes > room) {
        len_bytes = room;
        fin = false;
        tcp_ack_at_once(stack, conn);
    }
    if (tcp_has(conn, TCP_FEATURE_PEER_FIN) && len_bytes > 0 &&
        rs_seq_before(conn->peer_fin_seq, seq + len_bytes)) { /* nothing comes behind a FIN */
        len_bytes = rs_seq_before(seq, conn->peer_fin_seq) ? conn->peer_fin_seq - seq : 0;
        tcp_ack_at_once(stack, conn);
    }
    if (fin && !tcp_has(conn, TCP_FEATURE_PEER_FIN)) {
        conn->features |= TCP_FEATURE_PEER_FIN;
        conn->peer_fin_seq = seq + len_bytes;
    }
    if (len_bytes == 0) {
        if (fin && seq != conn->rcv_nxt) { /* a FIN ahead of a gap */
            tcp_ack_at_once(stack, conn);
        }
        return;
    }
    if (seq == conn->rcv_nxt) {
        tcp_receive_in_order(stack, conn, data, len_bytes);
    } else {
        tcp_receive_ahead(stack, conn, seq, data, len_bytes);
    }
}
