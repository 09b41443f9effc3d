/*
 * A stream socket goes from one session to another, see share.h: its bytes are copied to other
 * rings of the same sizes, and everything that says where they lie is set anew. Queue thread;
 * called by share.c.
 *
 * Positions stay, so neither TCP nor the other end of a local connection has anything to change but
 * addresses. What is copied, up to a ring's worth each way, is charged to the session that asked,
 * which waits until it is paid for before it moves another one.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/share.h"
#include "rings/seq.h"

/* The bytes at positions [from, to) of one ring to the same positions of another one. */
static void move_bytes(uint8_t *target, const uint8_t *source, uint32_t size_bytes, uint32_t from,
                       uint32_t to)
{
    uint32_t off = from & (size_bytes - 1);
    uint32_t total = rs_seq_distance(from, to);
    assert(total <= size_bytes);
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

static void move_local(const struct queue *queue, struct dp_socket *socket,
                       const struct message_place *place, struct session_part *payer)
{
    struct stream_local *local = &socket->stream->local;
    struct stream_writer *recv = &local->recv;
    assert(recv->size_bytes == place->recv_ring.size_bytes);
    move_bytes(place->send_base, socket->send_base, place->send_ring.size_bytes, local->send.head,
               local->send.tail_cached);
    local->send.base = place->send_base;
    payer->bytes_left -= rs_seq_distance(local->send.head, local->send.tail_cached);
    /* It may be the other end's send ring, or was once. */
    move_bytes(place->recv_base, recv->base, recv->size_bytes, recv->head_cached, recv->tail);
    recv->base = place->recv_base;
    local->inherits = false;
    local->recv_head = move_head_word(queue, place->session, place->idx);
    payer->bytes_left -= rs_seq_distance(recv->head_cached, recv->tail);
}

static void move_tcp(const struct queue *queue, struct dp_socket *socket,
                     const struct message_place *place, struct session_part *payer)
{
    /* Pieces ahead of a gap lie anywhere in the window. */
    memcpy(place->recv_base, socket->recv_base, place->recv_ring.size_bytes);
    memcpy(place->send_base, socket->send_base, place->send_ring.size_bytes);
    payer->bytes_left -= (int64_t)place->recv_ring.size_bytes + place->send_ring.size_bytes;
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

void share_move(struct queue *queue, struct dp_socket *socket, const struct message_place *place,
                struct session_part *payer, bool counts)
{
    struct stream_local *local = &socket->stream->local;
    struct rs_socket_state *from = socket->state;
    struct session_part *part = socket->part;
    uint32_t idx = socket->idx;
    /* relaxed: nobody else reads there yet */
    atomic_store_explicit(move_head_word(queue, place->session, place->idx),
                          move_checked_head(queue, socket), memory_order_relaxed);
    deliver_moves(queue, socket);
    if (local->on) {
        move_local(queue, socket, place, payer);
        move_unlend(queue, socket);
        /* Of a lent ring it says what is read, and of this one what is passed on. */
        atomic_store_explicit(&from->send_head, local->send.head, memory_order_relaxed);
    } else {
        move_tcp(queue, socket, place, payer);
    }
    move_state(&place->session->socket_states[place->idx], from, counts);
    part->sockets[idx] = NULL;
    part->open_sockets--;
    move_enter(queue, socket, place);
    if (local->on) {
        stream_local_limit(queue, socket);
    }
}
