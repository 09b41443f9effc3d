/*
 * Bytes of shared sockets, see share.h: from a descriptor's send ring behind the tail of the
 * core's, and from the core's receive ring to the start of a descriptor's. Both copies are made
 * here, for one request, and charged to the descriptor's session. Queue thread; called by share.c.
 *
 * The urgent byte is looked after here, for all descriptors, as the client does it for a socket
 * that is not shared: a read ends before it; the next one puts it aside.
 */
#include <string.h>

#include "dataplane/share.h"
#include "rings/seq.h"

/* ---- out ---- */

static uint32_t data_room(const struct dp_share *share)
{
    const struct dp_socket *core = share->core;
    uint32_t size_bytes = core->send_ring.size_bytes;
    uint32_t limit_bytes = core->stream->send_limit_bytes;
    if (limit_bytes == 0 || limit_bytes > size_bytes) {
        limit_bytes = size_bytes;
    } else if (limit_bytes < RS_RING_MIN_BYTES) {
        limit_bytes = RS_RING_MIN_BYTES;
    }
    /* relaxed: our own word */
    uint32_t used = rs_seq_distance(
        atomic_load_explicit(&core->state->send_head, memory_order_relaxed), share->send_tail);
    return used < limit_bytes ? limit_bytes - used : 0;
}

static bool data_may_send(const struct dp_share *share)
{
    return (share->core->stream->level & (RS_LEVEL_CONNECTED | RS_LEVEL_ERROR)) ==
           RS_LEVEL_CONNECTED;
}

enum outcome share_send(struct queue *queue, struct dp_socket *socket,
                        const struct rs_op_share_data *op, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct dp_socket *core = share->core;
    if (op->len_bytes > socket->send_ring.size_bytes) {
        request_poison(queue, socket->session, "SHARE_SEND of more than the ring holds");
        return OUTCOME_POISONED;
    }
    if (!session_is_sealed(socket->session, socket->send_ring.ref.extent_idx)) {
        request_poison(queue, socket->session, "SHARE_SEND before the ring's extent was mapped");
        return OUTCOME_POISONED;
    }
    if (socket->part->bytes_left <= 0) {
        return OUTCOME_LATER;
    }
    if ((share->values.shut & RS_SHUTDOWN_SEND) != 0) {
        return stream_answer(queue, reply, RS_SHUTDOWN);
    }
    if (data_may_send(share)) {
        uint32_t room = data_room(share);
        uint32_t size_bytes = core->send_ring.size_bytes;
        uint32_t taken = op->len_bytes < room ? op->len_bytes : room;
        uint32_t off = share->send_tail & (size_bytes - 1);
        uint32_t first = taken < size_bytes - off ? taken : size_bytes - off;
        memcpy(core->send_base + off, socket->send_base, first);
        memcpy(core->send_base, socket->send_base + first, taken - first);
        share->send_tail += taken;
        socket->part->bytes_left -= taken;
        reply->data.len_bytes = taken;
        if (taken != 0) {
            bool urgent = (op->flags & RS_SHARE_URGENT) != 0 && taken == op->len_bytes;
            (void)stream_take_tail(queue, core, share->send_tail, urgent); /* it is in the ring */
        }
    }
    share_mirror(share);
    reply->data.level = share_level(share);
    return stream_answer(queue, reply, RS_OK);
}

/* ---- in ---- */

static void data_consume(struct queue *queue, struct dp_share *share, uint32_t bytes)
{
    struct dp_socket *core = share->core;
    struct rs_socket_client *client = (struct rs_socket_client *)(uintptr_t)core->client;
    stream_reader_consume(&share->in, bytes);
    stream_reader_publish(&share->in, &client->recv_head[queue->idx]);
    if (share->marked && !rs_seq_before(share->in.head, share->mark_pos)) {
        share->marked = false;
        share->urgent_taken |= !share->byte_kept; /* inline: it was read with the others */
    }
}

static void data_refresh(struct dp_share *share)
{
    const struct rs_socket_state *state = share->core->state;
    /* Both our own words, so what they say can be. */
    (void)!stream_reader_refresh(&share->in, &state->recv_tail, RS_CORRUPT);
    uint32_t seq = atomic_load_explicit(&state->urgent_seq, memory_order_relaxed);
    uint32_t pos = atomic_load_explicit(&state->urgent_pos, memory_order_relaxed);
    if (seq == share->mark_seq) {
        return;
    }
    share->mark_seq = seq;
    share->mark_pos = pos;
    share->byte_kept = false;
    share->marked = rs_seq_before(share->in.head, pos);
    share->urgent_taken = !share->marked; /* else it was read as any other byte */
}

static uint8_t data_urgent_byte(const struct dp_share *share)
{
    return share->in.base[(share->mark_pos - 1) & (share->in.size_bytes - 1)];
}

static bool data_urgent_here(const struct dp_share *share)
{
    return !share->urgent_taken &&
           (share->byte_kept ||
            (share->marked &&
             stream_reader_ready(&share->in) >= rs_seq_distance(share->in.head, share->mark_pos)));
}

static bool data_inline(const struct dp_share *share)
{
    return share->values.values[RS_SHARE_OOB_INLINE] != 0;
}

/* Bytes that one read may take; over: it ends there. */
static uint32_t data_available(struct queue *queue, struct dp_share *share, bool *over)
{
    uint32_t ready = stream_reader_ready(&share->in);
    *over = false;
    if (!share->marked || ready == 0) {
        return ready;
    }
    uint32_t before = rs_seq_distance(share->in.head, share->mark_pos - 1);
    if (before == 0) {
        if (!data_inline(share)) {
            share->urgent_byte = data_urgent_byte(share);
            share->byte_kept = true;
            data_consume(queue, share, 1);
            ready--;
        }
        return ready;
    }
    *over = before <= ready;
    return before < ready ? before : ready;
}

static void data_recv_urgent(struct dp_share *share, struct dp_socket *socket,
                             const struct rs_op_share_data *op, struct message_reply *reply)
{
    if (!data_urgent_here(share) || op->len_bytes == 0) {
        return;
    }
    share->urgent_byte = share->byte_kept ? share->urgent_byte : data_urgent_byte(share);
    socket->recv_base[0] = share->urgent_byte;
    reply->data.len_bytes = 1;
    reply->data.flags = RS_SHARE_OVER;
    if ((op->flags & RS_SHARE_PEEK) == 0) {
        share->byte_kept = true;
        share->urgent_taken = true;
    }
}

static void data_recv(struct queue *queue, struct dp_share *share, struct dp_socket *socket,
                      const struct rs_op_share_data *op, struct message_reply *reply)
{
    struct stream_const_region regions[2];
    bool over;
    uint32_t available = data_available(queue, share, &over);
    uint32_t wanted = op->len_bytes < available ? op->len_bytes : available;
    uint32_t taken = stream_reader_regions(&share->in, 0, wanted, regions);
    memcpy(socket->recv_base, regions[0].base, regions[0].len_bytes);
    memcpy(socket->recv_base + regions[0].len_bytes, regions[1].base, regions[1].len_bytes);
    socket->part->bytes_left -= taken;
    bool at_mark = !share->marked || share->in.head == share->mark_pos - 1;
    reply->data.len_bytes = taken;
    reply->data.unread_bytes = available;
    reply->data.flags = (over && taken == available ? (uint32_t)RS_SHARE_OVER : 0) |
                        (at_mark ? (uint32_t)RS_SHARE_AT_MARK : 0);
    if ((op->flags & RS_SHARE_PEEK) == 0 && taken != 0) {
        data_consume(queue, share, taken);
    }
}

enum outcome share_recv(struct queue *queue, struct dp_socket *socket,
                        const struct rs_op_share_data *op, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    if (op->len_bytes > socket->recv_ring.size_bytes) {
        request_poison(queue, socket->session, "SHARE_RECV of more than the ring holds");
        return OUTCOME_POISONED;
    }
    if (socket->part->bytes_left <= 0) {
        return OUTCOME_LATER;
    }
    if ((share->values.shut & RS_SHUTDOWN_RECV) != 0) {
        return stream_answer(queue, reply, RS_SHUTDOWN);
    }
    data_refresh(share);
    if ((op->flags & RS_SHARE_URGENT) != 0) {
        data_recv_urgent(share, socket, op, reply);
    } else {
        data_recv(queue, share, socket, op, reply);
    }
    stream_consumed(queue, share->core);
    share_mirror(share);
    reply->data.level = share_level(share);
    return stream_answer(queue, reply, RS_OK);
}

/* ---- both ---- */

uint32_t share_level(struct dp_share *share)
{
    const struct dp_socket *core = share->core;
    uint32_t level = core->stream->level;
    uint32_t fair = core->send_ring.size_bytes / 4;
    data_refresh(share);
    uint32_t ready = stream_reader_ready(&share->in);
    if (ready == 1 && share->marked && rs_seq_distance(share->in.head, share->mark_pos) == 1 &&
        !data_inline(share)) {
        ready = 0; /* which a read leaves out */
    }
    uint32_t limit_bytes = core->stream->send_limit_bytes;
    if (limit_bytes != 0 && limit_bytes / 4 < fair) {
        fair = limit_bytes / 4;
    }
    level |= ready != 0 ? (uint32_t)RS_LEVEL_READABLE : 0;
    level |= data_room(share) > fair ||
                     share->send_tail ==
                         atomic_load_explicit(&core->state->send_head, memory_order_relaxed)
                 ? (uint32_t)RS_LEVEL_WRITABLE
                 : 0;
    level |= data_urgent_here(share) && !data_inline(share) ? (uint32_t)RS_LEVEL_URGENT : 0;
    return level;
}

void share_data_begin(const struct queue *queue, struct dp_share *share,
                      const struct rs_op_share *op)
{
    struct dp_socket *core = share->core;
    struct dp_stream *stream = core->stream;
    uint32_t head =
        atomic_load_explicit(&core->client->recv_head[queue->idx], memory_order_relaxed);
    uint32_t seq = atomic_load_explicit(&core->state->urgent_seq, memory_order_relaxed);
    share->send_tail = stream->local.on ? stream->local.send.tail_cached : stream->send_tail;
    share->mark_seq = seq;
    share->urgent_taken = true;
    if (core->recv_ring.size_bytes == 0) { /* share_data_restart comes when it connects */
        return;
    }
    stream_reader_init(&share->in, core->recv_base, core->recv_ring.size_bytes, head);
    if (op->urgent_taken != seq && (op->flags & RS_SHARE_BYTE_KEPT) != 0) {
        share->mark_pos = atomic_load_explicit(&core->state->urgent_pos, memory_order_relaxed);
        share->urgent_byte = (uint8_t)op->urgent_byte;
        share->byte_kept = true;
        share->urgent_taken = false;
    } else if (op->urgent_taken != seq) {
        share->mark_seq = seq - 1; /* to be looked at */
    }
}

void share_data_restart(const struct queue *queue, struct dp_share *share)
{
    struct dp_socket *core = share->core;
    struct rs_socket_client *client = (struct rs_socket_client *)(uintptr_t)core->client;
    /* relaxed: the word is ours, and the connection begins behind this */
    atomic_store_explicit(&client->recv_head[queue->idx], 0, memory_order_relaxed);
    share->send_tail = 0;
    stream_reader_init(&share->in, core->recv_base, core->recv_ring.size_bytes, 0);
    share->mark_seq = atomic_load_explicit(&core->state->urgent_seq, memory_order_relaxed);
    share->marked = share->byte_kept = false;
    share->urgent_taken = true;
}

bool share_data_rests(struct dp_share *share)
{
    data_refresh(share);
    return !share->marked && (share->urgent_taken || !share->byte_kept);
}

void share_data_end(struct dp_share *share, struct rs_unshared *out)
{
    /* A mark that came meanwhile is for the program to find. */
    bool news = share->marked || !share->urgent_taken;
    *out = (struct rs_unshared){
        .recv_head = share->in.head,
        .send_tail = share->send_tail,
        .send_head = atomic_load_explicit(&share->core->state->send_head, memory_order_relaxed),
        .urgent_seq = share->mark_seq - (news ? 1 : 0)};
}
