/*
 * Data of stream sockets and what becomes of it, see stream.h. Queue thread. Called by request.c
 * (slots), deliver.c (the look behind the fence) and the stack (events, which come at the end of an
 * iteration, before deliver_settle); calls tcp.h and deliver.c.
 *
 * TCP sends from the ring by itself, a bounded piece of each connection in an iteration; what a
 * session's budget bounds here is how much of its rings it makes known in one.
 */
#include "dataplane/stream.h"

#include <assert.h>

#include "rings/seq.h"

/* ---- out ---- */

bool stream_take_tail(struct queue *queue, struct dp_socket *socket, uint32_t tail, bool urgent)
{
    struct dp_stream *stream = socket->stream;
    if (stream->local.on) {
        if (!stream_local_tail(queue, socket, tail, urgent)) {
            request_poison(queue, socket->session, "POST with a tail outside the ring");
            return false;
        }
        return true;
    }
    if (stream->conn == NULL || stream->leaving) {
        return true; /* over: nobody will send it */
    }
    enum rs_status status = urgent ? tcp_send_urgent(queue->stack, stream->conn, tail)
                                   : tcp_send_tail(queue->stack, stream->conn, tail);
    if (status == RS_POISONED) {
        request_poison(queue, socket->session, "POST with a tail outside the ring");
        return false;
    }
    if (status == RS_OK) { /* else it is over, or shut down: its bytes go nowhere */
        socket->part->bytes_left -= rs_seq_distance(stream->send_tail, tail);
        stream->send_tail = tail;
    }
    return true;
}

/* The send ring may be read. */
static bool stream_may_read(struct queue *queue, struct dp_socket *socket)
{
    if (socket->send_ring.size_bytes == 0) {
        request_poison(queue, socket->session, "POST on a socket without a send ring");
        return false;
    }
    if (!socket->send_sealed) { /* once in the socket's life */
        socket->send_sealed = session_is_sealed(socket->session, socket->send_ring.ref.extent_idx);
    }
    if (!socket->send_sealed) {
        request_poison(queue, socket->session, "POST before the ring's extent was mapped");
        return false;
    }
    return true;
}

static enum outcome stream_post(struct queue *queue, struct dp_channel *channel,
                                struct dp_socket *socket, const struct rs_request *request)
{
    if (!stream_may_read(queue, socket)) {
        return OUTCOME_POISONED;
    }
    if (socket->part->bytes_left <= 0) {
        return OUTCOME_LATER;
    }
    if (!stream_take_tail(queue, socket, request->arg, request->op == RS_OP_URGENT)) {
        return OUTCOME_POISONED;
    }
    socket->posted = true;
    socket->post_position = channel->requests.head; /* of the slot in hand */
    socket->post_channel = channel;
    deliver_touch(queue, socket, 0);
    return OUTCOME_DONE;
}

void stream_take_level(struct queue *queue, struct dp_socket *socket)
{
    uint32_t tail;
    if (socket->post_channel != NULL && socket->part->poison_status == RS_OK &&
        post_pressure(socket->post_channel->client) &&
        post_level_take(socket->client, socket->post_position, &tail)) {
        (void)stream_take_tail(queue, socket, tail, false);
    }
}

enum outcome stream_data(struct queue *queue, struct dp_channel *channel, struct dp_socket *socket,
                         const struct rs_request *request)
{
    if (socket->stream->waits) {
        stream_taken(queue, socket);
    }
    switch (request->op) {
    case RS_OP_POST:
    case RS_OP_URGENT:
        return stream_post(queue, channel, socket, request);
    case RS_OP_CONSUMED:
        stream_consumed(queue, socket);
        break;
    case RS_OP_WARM:
        return request_warm(queue, socket, request);
    default:
        request_poison(queue, socket->session, "a datagram's request for a stream socket");
        break;
    }
    return socket->part->poison_status == RS_OK ? OUTCOME_DONE : OUTCOME_POISONED;
}

/* ---- in ---- */

/* Stores from where on recv_head is to be told of; a new place is looked at again behind the fence
 * (rings/README.md). */
static void stream_set_notify(struct queue *queue, struct dp_socket *socket)
{
    struct dp_stream *stream = socket->stream;
    uint32_t notify;
    stream->notify_waits = tcp_recv_notify(stream->conn, &notify);
    stream_store_notify(queue, socket, notify);
}

void stream_store_notify(struct queue *queue, struct dp_socket *socket, uint32_t notify)
{
    struct dp_stream *stream = socket->stream;
    if (notify == stream->notify) {
        return;
    }
    stream->notify = notify;
    /* relaxed: partner is the client's look behind its fence; the fence here comes before
     * stream_look */
    atomic_store_explicit(&socket->state->recv_notify, notify, memory_order_relaxed);
    if (stream->notify_waits) {
        deliver_touch(queue, socket, 0);
    }
}

void stream_consumed(struct queue *queue, struct dp_socket *socket)
{
    struct dp_stream *stream = socket->stream;
    if (stream->phase == STREAM_LISTENING) {
        stream_listen_look(queue, socket);
        return;
    }
    if (stream->local.on) {
        stream_local_consumed(queue, socket);
        return;
    }
    if (stream->conn == NULL || stream->leaving) {
        return;
    }
    if (tcp_recv_consumed(queue->stack, stream->conn) != RS_OK) {
        request_poison(queue, socket->session, "recv_head outside the receive ring");
        return;
    }
    stream_set_notify(queue, socket);
}

void stream_look(struct queue *queue, struct dp_socket *socket)
{
    const struct dp_stream *stream = socket->stream;
    if (!stream->notify_waits || stream->waits || socket->orphan ||
        socket->part->poison_status != RS_OK) {
        return;
    }
    /* relaxed: only whether it is worth a real look, which loads and checks it by itself */
    uint32_t head =
        atomic_load_explicit(&socket->client->recv_head[queue->idx], memory_order_relaxed);
    if (rs_seq_before_eq(stream->notify, head)) {
        stream_consumed(queue, socket);
    }
}

/* ---- events ---- */

void stream_add_level(struct dp_socket *socket, uint32_t bits)
{
    socket->stream->level |= bits;
    /* release: partner is the client's acquire; what the bits announce comes before them */
    atomic_store_explicit(&socket->state->level, socket->stream->level, memory_order_release);
}

/* The queue is the only writer. */
static void stream_count(rs_atomic_u32 *word)
{
    /* release: what it counts comes before it; partner is the client's acquire */
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_release);
}

void stream_connected(const struct queue *queue, struct dp_socket *socket)
{
    socket->stream->phase = STREAM_CONNECTED;
    /* relaxed: level, or the accept record, comes after it with a release */
    atomic_store_explicit(&socket->state->connected_tsc, queue->now_tsc, memory_order_relaxed);
    stream_count(&socket->state->connect_seq);
    stream_add_level(socket, RS_LEVEL_CONNECTED);
}

uint32_t stream_failed(struct dp_socket *socket, enum rs_status error)
{
    struct dp_stream *stream = socket->stream;
    if (stream->phase == STREAM_CONNECTING) {
        stream->phase = STREAM_IDLE;
    }
    atomic_store_explicit(&socket->state->error_code, (uint32_t)error, memory_order_relaxed);
    stream_count(&socket->state->error_seq);
    if (error == RS_CONN_RESET) {
        stream_count(&socket->state->reset_seq);
    }
    stream_add_level(socket, RS_LEVEL_ERROR);
    return RS_LEVEL_ERROR | RS_LEVEL_READABLE | RS_LEVEL_WRITABLE;
}

void stream_urgent(struct dp_socket *socket, uint32_t position)
{
    atomic_store_explicit(&socket->state->urgent_pos, position, memory_order_relaxed);
    stream_count(&socket->state->urgent_seq);
}

/* Words first, then whom to tell. */
static uint32_t stream_tell(const struct queue *queue, struct dp_socket *socket, uint32_t events)
{
    uint32_t happened = 0;
    if ((events & TCP_EVENT_CONNECTED) != 0 && socket->stream->phase == STREAM_CONNECTING) {
        stream_connected(queue, socket);
        happened |= RS_LEVEL_CONNECTED | RS_LEVEL_WRITABLE;
    }
    if ((events & (TCP_EVENT_READABLE | TCP_EVENT_URGENT)) != 0) {
        happened |= RS_LEVEL_READABLE;
    }
    if ((events & TCP_EVENT_WRITABLE) != 0) {
        happened |= RS_LEVEL_WRITABLE;
    }
    if ((events & TCP_EVENT_END) != 0) {
        stream_add_level(socket, RS_LEVEL_END);
        happened |= RS_LEVEL_END | RS_LEVEL_READABLE;
    }
    if ((events & TCP_EVENT_ERROR) != 0) {
        happened |= stream_failed(socket, tcp_error(socket->stream->conn));
    }
    return happened;
}

void stream_give_back(struct queue *queue, struct dp_socket *socket)
{
    socket->stream->gone_next = queue->streams_gone;
    queue->streams_gone = socket;
}

static void stream_gone(struct queue *queue, struct dp_socket *socket)
{
    struct dp_stream *stream = socket->stream;
    assert(stream->leaving);
    stream->conn = NULL;
    stream->leaving = false;
    stream->notify_waits = false;
    if (socket->orphan) {
        stream_give_back(queue, socket);
    }
}

void stream_upcall_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    struct queue *queue = context;
    struct dp_socket *socket = tcp_owner(conn);
    if ((events & TCP_EVENT_GONE) != 0) {
        stream_gone(queue, socket);
        return;
    }
    uint32_t happened = stream_tell(queue, socket, events);
    stream_set_notify(queue, socket);
    if (happened != 0 && !session_never_sleeps(socket->session)) {
        deliver_touch(queue, socket, happened);
    }
}

void stream_settle(struct queue *queue)
{
    const struct message_reply nobody = {.channel = NULL};
    while (queue->streams_gone != NULL) {
        struct dp_socket *socket = queue->streams_gone;
        struct dp_socket *next = socket->stream->gone_next;
        if (!request_close_now(queue, socket, &nobody)) {
            return;
        }
        queue->streams_gone = next;
    }
}
