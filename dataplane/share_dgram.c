/*
 * Datagram sockets that several processes have, and what of it is the same for listening ones
 * (their rings have records, too), see share.h. A descriptor puts a record of a send
 * ring down for SHARE_SEND, and gets a record of a receive ring for SHARE_RECV; what is sent goes
 * out at once, so the core has no send ring. Queue thread; called by share.c and
 * request_control.c; calls request.c (sending) and udp.c.
 *
 * A datagram socket has a part and a receive ring on every queue. Each part moves on its own queue
 * (CONTROL_PART_MOVE), home's last. From then on home reads all of the rings as a program does,
 * from records that validate themselves (those that came before it moved once more, for where they
 * began was the program's word), and moves the words that were the program's: they lie in the
 * house, so they can be believed. A part elsewhere that has something new tells home by a hint
 * (deliver.c).
 */
#include <assert.h>
#include <string.h>

#include "dataplane/share.h"
#include "rings/seq.h"

static_assert((RS_QUEUES_MAX & (RS_QUEUES_MAX - 1)) == 0, "queues are counted by a mask");

/* ---- the move ---- */

static rs_atomic_u32 *dgram_head_word(const struct queue *queue, const struct dp_session *session,
                                      uint32_t idx)
{
    struct rs_socket_client *client =
        (struct rs_socket_client *)(uintptr_t)&session->socket_clients[idx];
    return &client->recv_head[queue->idx];
}

bool share_dgram_may_move(struct queue *queue, struct dp_socket *socket)
{
    if (socket->recv.size_bytes != 0 && dgram_writer_refresh(&socket->recv) != RS_OK) {
        request_poison(queue, socket->session, "recv_head outside the receive ring");
        return false;
    }
    return true;
}

/* What waits in the ring goes to the same positions of another one of its size. */
static void dgram_move_records(const struct queue *queue, struct dp_socket *socket,
                               const struct message_place *place, struct session_part *payer)
{
    struct dgram_writer *recv = &socket->recv;
    const struct dgram_writer from = *recv;
    rs_atomic_u32 *head_word = dgram_head_word(queue, place->session, place->idx);
    if (from.size_bytes == 0) { /* not bound, or does not listen */
        return;
    }
    uint32_t copy_from = share_move_from(queue, queue->move.recv_pos, from.head_cached);
    assert(from.size_bytes == place->recv_ring.size_bytes);
    dgram_writer_init(recv, place->recv_base, from.size_bytes, head_word, from.limit_bytes,
                      from.tail);
    share_move_bytes(place->recv_base, from.base, from.size_bytes, copy_from, from.tail);
    recv->head_cached = from.head_cached;
    payer->bytes_left -= rs_seq_distance(copy_from, from.tail);
    if (socket->record->share != NULL) { /* it becomes a core */
        socket->record->share->early_end[queue->idx] = from.tail;
    }
    /* Release, partner the reader that comes next: home of a core, else the program. */
    atomic_store_explicit(head_word, from.head_cached, memory_order_release);
}

/* What only home has. The error counters are the place's: who is there has them already. */
static void dgram_move_home(struct dp_socket *socket, const struct message_place *place)
{
    struct dp_session *session = place->session;
    struct rs_socket_desc *desc = &session->socket_descs[place->idx];
    struct rs_socket_state *state = &session->socket_states[place->idx];
    *desc = *socket->desc;
    desc->generation = place->generation;
    desc->send = place->send_ring;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        desc->recv[i] = socket->record->recv_rings[i];
    }
    socket->desc = desc;
    socket->send_ring = place->send_ring;
    socket->send_base = place->send_base;
    socket->send = (struct dgram_send_reader){.size_bytes = 0};
    if (place->send_ring.size_bytes != 0) {
        dgram_send_reader_init(&socket->send, place->send_base, place->send_ring.size_bytes,
                               &state->send_head, 0);
    }
    socket->send_sealed = socket->posted = socket->with_control = false;
    socket->post_channel = NULL;
    atomic_store_explicit(&state->error_code,
                          atomic_load_explicit(&socket->state->error_code, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&state->level, 0, memory_order_relaxed);
    atomic_store_explicit(&state->mode, RS_MODE_LIVE, memory_order_relaxed);
    atomic_store_explicit(&state->generation, place->generation, memory_order_relaxed);
}

void share_dgram_move(struct queue *queue, struct dp_socket *socket,
                      const struct message_place *place, struct session_part *payer)
{
    struct session_part *from = socket->part;
    struct session_part *to = queue_part(queue, place->session);
    uint32_t memberships = udp_socket_membership_count(&socket->udp);
    if (socket->stream != NULL) {
        stream_listen_moves(queue, socket);
    }
    dgram_move_records(queue, socket, place, payer);
    deliver_moves(queue, socket);
    if (socket->home) {
        dgram_move_home(socket, place);
    }
    stamps_move(queue, socket, to);
    from->membership_count -= memberships;
    to->membership_count += memberships;
    from->sockets[socket->idx] = NULL;
    from->open_sockets--;
    socket->session = place->session;
    socket->part = to;
    socket->idx = place->idx;
    socket->generation = place->generation;
    socket->state = &place->session->socket_states[place->idx];
    socket->client = &place->session->socket_clients[place->idx];
    socket->recv_ring = place->recv_ring;
    socket->recv_base = place->recv_base;
    socket->arm_seen = 0;
    request_enter(socket);
}

/* Where the oldest record begins was the program's word when the ring moved: it may be amid a
 * payload, which may look like a record. Such ones must lead from one to the next up to where the
 * dataplane's begin; else they are dropped, and counted as one, for nobody knows how many they are.
 */
static void dgram_settle(struct queue *queue, struct dp_share *share, uint32_t queue_idx)
{
    struct dgram_reader *reader = &share->records[queue_idx];
    uint32_t end = share->early_end[queue_idx];
    if ((share->early_queues & 1u << queue_idx) == 0) {
        return;
    }
    uint32_t from = reader->head;
    struct dgram_view view;
    bool leads =
        from != end && dgram_reader_peek(reader, &view) == RS_OK &&
        rs_seq_distance(from, reader->head) + dgram_view_span(&view) <= rs_seq_distance(from, end);
    if (!leads) {
        share->early_queues &= ~(1u << queue_idx);
        if (reader->head != end) {
            QUEUE_COUNT(queue, shared_unread_dropped);
            /* Parts on several queues count in the same word. */
            atomic_fetch_add_explicit(&share->core->state->recv_dropped, 1, memory_order_relaxed);
        }
        reader->head = end;
        /* release, as dgram_reader_consume */
        atomic_store_explicit(reader->head_word, end, memory_order_release);
    }
}

void share_dgram_consume(struct queue *queue, struct dp_share *share, const struct dgram_view *view,
                         uint32_t queue_idx)
{
    dgram_reader_consume(&share->records[queue_idx], view);
    dgram_settle(queue, share, queue_idx);
    share->next_queue = (queue_idx + 1) & (RS_QUEUES_MAX - 1);
}

void share_dgram_begin(struct queue *queue, struct dp_share *share)
{
    const struct dp_socket *core = share->core;
    struct rs_socket_client *client = (struct rs_socket_client *)(uintptr_t)core->client;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        const struct dp_socket *part = core->record->parts[i];
        if (part != NULL && part->recv_ring.size_bytes != 0) { /* else it is not bound yet */
            /* Written by its queue before that answered the move. */
            uint32_t head = atomic_load_explicit(&client->recv_head[i], memory_order_acquire);
            dgram_reader_init(&share->records[i], part->recv_base, part->recv_ring.size_bytes,
                              &client->recv_head[i], head);
            share->early_queues |= 1u << i;
            dgram_settle(queue, share, i);
        }
    }
    share->next_queue = 0;
}

/* ---- out ---- */

static enum rs_status dgram_read_record(const struct dp_socket *socket, uint32_t len_bytes,
                                        struct dgram_send_view *record)
{
    struct dgram_send_reader reader = {
        .base = socket->send_base, .size_bytes = socket->send_ring.size_bytes, .tail = len_bytes};
    if (len_bytes > socket->send_ring.size_bytes ||
        !session_is_sealed(socket->session, socket->send_ring.ref.extent_idx)) {
        return RS_POISONED;
    }
    return dgram_send_reader_peek(&reader, record);
}

enum outcome share_dgram_send(struct queue *queue, struct dp_socket *socket,
                              const struct rs_op_share_data *op, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct dp_socket *core = share->core;
    struct session_part *part = socket->part;
    struct dgram_send_view record;
    struct udp_control control;
    if (!core->udp.bound) {
        return stream_answer(queue, reply, RS_INVALID);
    }
    if (dgram_read_record(socket, op->len_bytes, &record) != RS_OK) {
        request_poison(queue, socket->session, "SHARE_SEND of what is no record");
        return OUTCOME_POISONED;
    }
    /* Of two descriptors in one program one goes on with its group datagram at a time. */
    if (part->bytes_left <= 0 || (part->fanout.sender == &core->udp && !socket->fanning)) {
        return OUTCOME_LATER;
    }
    if ((share->values.shut & RS_SHUTDOWN_SEND) != 0) {
        return stream_answer(queue, reply, RS_SHUTDOWN);
    }
    bool controlled = (record.header.flags & RS_DGRAM_EXT) != 0;
    uint32_t dst_be32 = record.header.family == RS_FAMILY_NONE ? 0 : record.header.dst_be32;
    if (controlled) {
        request_send_control(queue, core, &record.ext, dst_be32, &control);
    }
    enum rs_status status =
        request_send(queue, core, part, dst_be32, record.header.port_be16, record.payload,
                     record.header.len_bytes, controlled ? &control : NULL);
    socket->fanning = status == RS_WOULD_BLOCK && part->fanout.sender == &core->udp;
    if (status == RS_WOULD_BLOCK) {
        return OUTCOME_LATER;
    }
    reply->data.len_bytes = record.header.len_bytes;
    reply->data.level = share_dgram_level(share);
    return stream_answer(queue, reply, status);
}

void share_dgram_leave(struct queue *queue, struct dp_socket *socket)
{
    if (socket->fanning) {
        udp_send_abandon(queue->stack, &socket->part->fanout);
        socket->fanning = false;
    }
}

/* ---- in ---- */

struct dgram_reader *share_dgram_next(struct dp_share *share, struct dgram_view *view,
                                      uint32_t *queue_idx)
{
    uint32_t idx = share->next_queue;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        struct dgram_reader *reader = &share->records[idx];
        enum rs_status status =
            reader->size_bytes != 0 ? dgram_reader_peek(reader, view) : RS_WOULD_BLOCK;
        assert(status == RS_OK || status == RS_WOULD_BLOCK); /* the ring is ours: dgram_settle */
        if (status == RS_OK) {
            *queue_idx = idx;
            return reader;
        }
        idx = (idx + 1) & (RS_QUEUES_MAX - 1);
    }
    return NULL;
}

enum outcome share_dgram_recv(struct queue *queue, struct dp_socket *socket,
                              const struct rs_op_share_data *op, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct dgram_view view;
    uint32_t queue_idx = 0;
    if (socket->part->bytes_left <= 0) {
        return OUTCOME_LATER;
    }
    if (!share->core->udp.bound) {
        return stream_answer(queue, reply, RS_INVALID);
    }
    if ((share->values.shut & RS_SHUTDOWN_RECV) != 0) {
        return stream_answer(queue, reply, RS_SHUTDOWN);
    }
    struct dgram_reader *reader = share_dgram_next(share, &view, &queue_idx);
    if (reader != NULL && op->len_bytes != 0) {
        uint32_t span = dgram_view_span(&view);
        assert(span <= socket->recv_ring.size_bytes); /* made as large as the core's */
        memcpy(socket->recv_base, view.payload - view.header.payload_off, span);
        reply->data.len_bytes = span;
        socket->part->bytes_left -= span;
        if ((op->flags & RS_SHARE_PEEK) == 0) {
            share_dgram_consume(queue, share, &view, queue_idx);
        }
    }
    reply->data.unread_bytes = reader != NULL ? view.header.len_bytes : 0;
    share_mirror(share);
    reply->data.level = share_dgram_level(share);
    return stream_answer(queue, reply, RS_OK);
}

/* ---- both ---- */

uint32_t share_dgram_level(const struct dp_share *share)
{
    uint32_t level =
        share->core->stream == NULL ? (uint32_t)RS_LEVEL_WRITABLE : (uint32_t)RS_LEVEL_LISTENING;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if (share->records[i].size_bytes != 0 && dgram_reader_ready(&share->records[i])) {
            return level | RS_LEVEL_READABLE;
        }
    }
    return level;
}

void share_dgram_changed(struct queue *queue, struct dp_share *share, const struct message *message)
{
    if (message->body.spread.op == RS_OP_OPTION) {
        const struct rs_op_option *op = &message->body.spread.option;
        share->values.values[op->option] = op->value; /* it was taken, so it is one of them */
        share->values.options_set |= 1u << op->option;
    }
    if (message->body.spread.op == RS_OP_CONNECT) {
        share_named(queue, share);
    } else {
        share_changed(queue, share);
    }
}
