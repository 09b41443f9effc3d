/*
 * A stream socket goes from one session to another, see share.h: its bytes are copied to other
 * rings of the same sizes, and everything that says where they lie is set anew. Queue thread;
 * called by share.c.
 *
 * Positions stay, so neither TCP nor the other end of a local connection has anything to change but
 * addresses. What is copied, up to a ring's worth each way, is charged to the session that asked,
 * which waits until it is paid for before it moves another one. A large ring is copied over several
 * iterations, a part in each, while the socket goes on in its old rings: bytes in them do not
 * change, and those that come meanwhile are copied last. Its message, and the control thread's
 * others behind it, wait so long, so nothing that they could say is to be reckoned with.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/share.h"
#include "rings/seq.h"

void share_move_bytes(uint8_t *target, const uint8_t *source, uint32_t size_bytes, uint32_t from,
                      uint32_t to)
{
    uint32_t off = from & (size_bytes - 1);
    uint32_t total = rs_seq_distance(from, to);
    assert(total <= size_bytes);
    if (total == 0) { /* perhaps there are no rings yet */
        return;
    }
    uint32_t first = total < size_bytes - off ? total : size_bytes - off;
    memcpy(target + off, source + off, first);
    memcpy(target, source, total - first);
}

static rs_atomic_u32 *move_head_word(const struct queue *queue, const struct dp_session *session,
                                     uint32_t idx)
{
    struct rs_socket_client *client =
        (struct rs_socket_client *)(uintptr_t)&session->socket_clients[idx];
    return &client->recv_head[queue->idx];
}

/* What the program has read, as it says. */
static uint32_t move_recv_head(const struct queue *queue, const struct dp_socket *socket)
{
    return atomic_load_explicit(move_head_word(queue, socket->session, socket->idx),
                                memory_order_acquire);
}

/* ---- one program's two ends: what was lent is given back ---- */

bool share_is_lent(const struct dp_socket *socket)
{
    return socket->stream != NULL && socket->stream->local.on &&
           socket->stream->local.borrower != NULL;
}

/* The other end goes on reading where it reads: that memory is its receive ring from now on. */
static void move_unlend(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    struct dp_socket *borrower = local->borrower;
    struct dp_socket *lender = local->lender;
    if (lender != NULL) {
        bool lives = !lender->orphan;
        stream_local_given_back(queue, socket);
        if (lives) {
            /* release, partner stream_writer_refresh of its program: they are copied */
            atomic_store_explicit(&lender->state->send_head, lender->stream->local.send.head,
                                  memory_order_release);
            deliver_touch(queue, lender, RS_LEVEL_WRITABLE);
        }
    }
    if (borrower != NULL) {
        borrower->stream->local.lender = NULL;
        borrower->stream->local.inherits = true;
        local->borrower = NULL;
        stream_local_limit(queue, borrower);
    }
}

/* ---- the socket ---- */

bool share_may_move(struct queue *queue, struct dp_socket *socket)
{
    /* relaxed: our own word */
    uint32_t tail = atomic_load_explicit(&socket->state->recv_tail, memory_order_relaxed);
    uint32_t head = move_recv_head(queue, socket);
    stream_consumed(queue, socket); /* checks it more closely, while there is a connection */
    if (rs_seq_distance(head, tail) > socket->recv_ring.size_bytes &&
        socket->part->poison_status == RS_OK) {
        request_poison(queue, socket->session, "recv_head outside the receive ring");
    }
    return socket->part->poison_status == RS_OK;
}

/* The words of the state line that are the connection's. Where a descriptor was, errors are counted
 * already. relaxed: a reply comes after them. */
static void move_state(struct rs_socket_state *to, const struct rs_socket_state *from, bool counts)
{
#define MOVE_WORD(name)                                                                       \
    atomic_store_explicit(&to->name, atomic_load_explicit(&from->name, memory_order_relaxed), \
                          memory_order_relaxed)
    MOVE_WORD(level);
    MOVE_WORD(recv_tail);
    MOVE_WORD(recv_notify);
    MOVE_WORD(send_head);
    MOVE_WORD(urgent_pos);
    MOVE_WORD(urgent_seq);
    MOVE_WORD(error_code);
    if (counts) {
        MOVE_WORD(error_seq);
        MOVE_WORD(reset_seq);
    }
    MOVE_WORD(connect_seq);
#undef MOVE_WORD
    atomic_store_explicit(&to->connected_tsc,
                          atomic_load_explicit(&from->connected_tsc, memory_order_relaxed),
                          memory_order_relaxed);
}

/* What the program has read, and certainly was there. It may have changed the word since
 * share_may_move. */
static uint32_t move_checked_head(struct queue *queue, struct dp_socket *socket)
{
    struct dp_stream *stream = socket->stream;
    if (stream->waits) {
        return 0; /* the words are whose place it was before */
    }
    uint32_t head = move_recv_head(queue, socket);
    if (stream->local.on) {
        (void)!stream_writer_take_head(&stream->local.recv, head);
        return stream->local.recv.head_cached;
    }
    if (stream->conn != NULL) {
        (void)!tcp_recv_consumed(queue->stack, stream->conn);
        return tcp_recv_head(stream->conn);
    }
    uint32_t tail = atomic_load_explicit(&socket->state->recv_tail, memory_order_relaxed);
    return rs_seq_distance(head, tail) <= socket->recv_ring.size_bytes ? head : tail;
}

/* ---- what there is to copy ---- */

struct move_span {
    const uint8_t *base;
    uint32_t size_bytes, from, to;
    uint32_t ahead_bytes; /* behind `to`, with gaps */
};

static struct move_span move_recv_span(const struct queue *queue, const struct dp_socket *socket,
                                       uint32_t head)
{
    const struct dp_stream *stream = socket->stream;
    struct move_span span = {socket->recv_base, socket->recv_ring.size_bytes, head, 0, 0};
    if (stream->local.on) {
        span.base = stream->local.recv.base; /* perhaps the other end's send ring */
        span.size_bytes = stream->local.recv.size_bytes;
        span.to = stream->local.recv.tail;
        return span;
    }
    /* relaxed: our own word */
    span.to = atomic_load_explicit(&socket->state->recv_tail, memory_order_relaxed);
    span.ahead_bytes = stream->conn != NULL ? tcp_recv_ahead_bytes(queue->stack, stream->conn) : 0;
    return span;
}

static struct move_span move_send_span(const struct dp_socket *socket)
{
    const struct dp_stream *stream = socket->stream;
    struct move_span span = {socket->send_base, socket->send_ring.size_bytes, 0, 0, 0};
    if (stream->local.on) {
        span.from = stream->local.send.head;
        span.to = stream->local.send.tail_cached;
    } else {
        span.from = atomic_load_explicit(&socket->state->send_head, memory_order_relaxed);
        span.to = stream->send_tail;
    }
    return span;
}

/* ---- a part of it in each iteration ---- */

/* After so many the rest goes at once: bytes ahead of a gap that does not close. */
#define MOVE_STEPS_MAX 4096u

uint32_t share_move_from(const struct queue *queue, uint32_t done_pos, uint32_t head)
{
    return queue->move.begun && rs_seq_before(head, done_pos) ? done_pos : head;
}

/* Returns what of the budget is left. */
static uint32_t move_step(const struct move_span *span, uint8_t *target, uint32_t *done_pos,
                          uint32_t budget_bytes)
{
    if (rs_seq_before(*done_pos, span->from)) {
        *done_pos = span->from; /* acknowledged meanwhile */
    }
    uint32_t left = rs_seq_distance(*done_pos, span->to);
    uint32_t bytes = left < budget_bytes ? left : budget_bytes;
    share_move_bytes(target, span->base, span->size_bytes, *done_pos, *done_pos + bytes);
    *done_pos += bytes;
    return budget_bytes - bytes;
}

/* Who moves, where to, who pays; NULL: the message moves nobody. */
static struct dp_socket *move_meant(const struct queue *queue, const struct message *message,
                                    const struct message_place **place, struct session_part **payer)
{
    struct dp_socket *socket = NULL;
    *place = &message->body.share.place;
    switch (message->kind) {
    case CONTROL_SHARED:
        socket = message->reply.status == RS_OK && message->body.share.descriptor != NULL
                     ? message->socket
                     : NULL;
        break;
    case CONTROL_PART_MOVE:
        socket = message->socket;
        break;
    case CONTROL_UNSHARED:
        socket = message->reply.status == RS_OK ? message->body.share.share->core : NULL;
        break;
    case CONTROL_ACCEPT:
        *place = &message->body.accept.place;
        socket = share_accept_find(queue, &message->body.accept);
        break;
    default:
        break;
    }
    *payer = socket == NULL ? NULL
             : message->kind == CONTROL_SHARED || message->kind == CONTROL_PART_MOVE
                 ? socket->part
                 : queue_part(queue, (*place)->session);
    return socket;
}

bool share_move_ready(struct queue *queue, const struct message *message)
{
    const struct message_place *place;
    struct session_part *payer;
    struct queue_move *move = &queue->move;
    struct dp_socket *socket = move_meant(queue, message, &place, &payer);
    if (socket == NULL) {
        return true;
    }
    struct move_span recv, send = {.base = NULL};
    if (share_has_records(socket)) {
        const struct dgram_writer *ring = &socket->recv;
        recv = (struct move_span){ring->base, ring->size_bytes, ring->head_cached, ring->tail, 0};
    } else {
        recv = move_recv_span(queue, socket, move_checked_head(queue, socket));
        send = move_send_span(socket);
    }
    if (recv.size_bytes != place->recv_ring.size_bytes) {
        return true; /* it is refused */
    }
    if (!move->begun) {
        move->begun = true;
        move->recv_pos = recv.from;
        move->send_pos = send.from;
        move->steps = 0;
    }
    uint32_t left = rs_seq_distance(move->recv_pos, recv.to) + recv.ahead_bytes +
                    rs_seq_distance(share_move_from(queue, move->send_pos, send.from), send.to);
    if (left <= queue->move_bytes || ++move->steps > MOVE_STEPS_MAX) {
        return true;
    }
    uint32_t budget_bytes = move_step(&recv, place->recv_base, &move->recv_pos, queue->move_bytes);
    if (send.base != NULL) {
        budget_bytes = move_step(&send, place->send_base, &move->send_pos, budget_bytes);
    }
    payer->bytes_left -= queue->move_bytes - budget_bytes;
    return false;
}

/* ---- and the rest of it ---- */

static void move_local(const struct queue *queue, struct dp_socket *socket,
                       const struct message_place *place, struct session_part *payer)
{
    struct stream_local *local = &socket->stream->local;
    struct stream_writer *recv = &local->recv;
    assert(recv->size_bytes == place->recv_ring.size_bytes);
    uint32_t send_from = share_move_from(queue, queue->move.send_pos, local->send.head);
    uint32_t recv_from = share_move_from(queue, queue->move.recv_pos, recv->head_cached);
    share_move_bytes(place->send_base, socket->send_base, place->send_ring.size_bytes, send_from,
                     local->send.tail_cached);
    local->send.base = place->send_base;
    payer->bytes_left -= rs_seq_distance(send_from, local->send.tail_cached);
    /* It may be the other end's send ring, or was once. */
    share_move_bytes(place->recv_base, recv->base, recv->size_bytes, recv_from, recv->tail);
    recv->base = place->recv_base;
    local->inherits = false;
    local->recv_head = move_head_word(queue, place->session, place->idx);
    payer->bytes_left -= rs_seq_distance(recv_from, recv->tail);
}

static void move_tcp(const struct queue *queue, struct dp_socket *socket,
                     const struct message_place *place, uint32_t head, struct session_part *payer)
{
    const struct move_span recv = move_recv_span(queue, socket, head);
    const struct move_span send = move_send_span(socket);
    uint32_t recv_from = share_move_from(queue, queue->move.recv_pos, recv.from);
    uint32_t send_from = share_move_from(queue, queue->move.send_pos, send.from);
    uint32_t recv_to = recv.to + recv.ahead_bytes;
    share_move_bytes(place->recv_base, recv.base, recv.size_bytes, recv_from, recv_to);
    share_move_bytes(place->send_base, send.base, send.size_bytes, send_from, send.to);
    payer->bytes_left -=
        (int64_t)rs_seq_distance(recv_from, recv_to) + rs_seq_distance(send_from, send.to);
    if (socket->stream->conn != NULL) {
        struct rs_socket_state *state = &place->session->socket_states[place->idx];
        tcp_move_rings(
            socket->stream->conn,
            &(struct tcp_rings){.send_base = place->send_base,
                                .recv_base = place->recv_base,
                                .send_head = &state->send_head,
                                .recv_tail = &state->recv_tail,
                                .recv_head = move_head_word(queue, place->session, place->idx),
                                .urgent_pos = &state->urgent_pos,
                                .urgent_seq = &state->urgent_seq});
    }
}

static void move_enter(struct queue *queue, struct dp_socket *socket,
                       const struct message_place *place)
{
    struct dp_session *session = place->session;
    struct rs_socket_desc *desc = &session->socket_descs[place->idx];
    *desc = *socket->desc;
    desc->generation = place->generation;
    desc->flags = 0;
    desc->send = place->send_ring;
    desc->recv[queue->idx] = place->recv_ring;
    socket->session = session;
    socket->part = queue_part(queue, session);
    socket->idx = place->idx;
    socket->generation = place->generation;
    socket->state = &session->socket_states[place->idx];
    socket->client = &session->socket_clients[place->idx];
    socket->desc = desc;
    socket->send_ring = place->send_ring;
    socket->recv_ring = place->recv_ring;
    socket->send_base = place->send_base;
    socket->recv_base = place->recv_base;
    socket->send_sealed = socket->posted = socket->with_control = false;
    socket->post_channel = NULL;
    socket->arm_seen = 0;
    request_enter(socket);
    atomic_store_explicit(&socket->state->mode, RS_MODE_LIVE, memory_order_relaxed);
    atomic_store_explicit(&socket->state->generation, socket->generation, memory_order_relaxed);
}

void share_move(struct queue *queue, struct dp_socket *socket, const struct message_place *place,
                struct session_part *payer, bool counts)
{
    struct stream_local *local = &socket->stream->local;
    struct rs_socket_state *from = socket->state;
    struct session_part *part = socket->part;
    uint32_t idx = socket->idx;
    uint32_t head = move_checked_head(queue, socket);
    /* relaxed: nobody else reads there yet */
    atomic_store_explicit(move_head_word(queue, place->session, place->idx), head,
                          memory_order_relaxed);
    deliver_moves(queue, socket);
    if (local->on) {
        move_local(queue, socket, place, payer);
        move_unlend(queue, socket);
        /* Of a lent ring it says what is read, and of this one what is passed on. */
        atomic_store_explicit(&from->send_head, local->send.head, memory_order_relaxed);
    } else {
        move_tcp(queue, socket, place, head, payer);
    }
    move_state(&place->session->socket_states[place->idx], from, counts);
    part->sockets[idx] = NULL;
    part->open_sockets--;
    move_enter(queue, socket, place);
    if (local->on) {
        stream_local_limit(queue, socket);
    }
}
