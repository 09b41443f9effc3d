/*
 * Listening stream sockets on a queue, see stream.h: their parts, the places that connections take,
 * the accept records that tell the program of them, and when a place of the backlog is free again.
 * Queue thread. Called by stream_control.c, request_control.c (messages), queue.c (heartbeat) and
 * the stack (upcalls); calls tcp.h and deliver.c.
 *
 * The program accepts by consuming a record, without a request. So its recv_head is looked at when
 * a connection needs a place of the backlog, and at each heartbeat.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/stream.h"
#include "rings/seq.h"

/* ---- listen ---- */

static uint32_t stream_listen_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The accept ring keeps a line free (dgram_ring.h). 0: no limit from there yet. */
static uint32_t stream_listen_most(const struct dp_socket *socket)
{
    return socket->recv_ring.size_bytes != 0 ? socket->recv_ring.size_bytes / RS_LINE_BYTES - 1
                                             : UINT32_MAX;
}

static void stream_set_backlog(struct dp_socket *socket, uint32_t backlog)
{
    uint32_t limit = stream_listen_least(backlog != 0 ? backlog : 1, stream_listen_most(socket));
    /* relaxed: the other queues see it soon */
    atomic_store_explicit(&socket->stream->backlog.limit, limit, memory_order_relaxed);
}

void stream_listen_limit(struct dp_stream *stream)
{
    uint32_t limit_bytes = stream->recv_limit_bytes;
    stream->listener.recv_window_bytes = limit_bytes != 0
                                             ? stream_listen_least(limit_bytes, stream->place_bytes)
                                             : stream->place_bytes;
}

struct dp_socket *stream_listen_find(const struct queue *queue, struct session_part *asker,
                                     uint32_t ip_be32, uint16_t port_be16)
{
    struct dp_socket *any = NULL;
    for (struct dp_socket *each = queue->listeners; each != NULL;
         each = each->stream->listen_next) {
        const struct tcp_listener *listener = &each->stream->listener;
        request_charge_look(asker);
        if (listener->local_port_be16 != port_be16) {
            continue;
        }
        if (listener->local_be32 == ip_be32) {
            return each;
        }
        any = listener->local_be32 == 0 ? each : any;
    }
    return any;
}

/* The part listens on this queue; a connection comes only when there are places. */
static enum rs_status stream_listen_begin(struct queue *queue, struct dp_socket *part,
                                          const struct message *message)
{
    struct dp_stream *stream = part->stream;
    const struct rs_addr *local = &message->body.listen.local;
    stream->settings = message->body.listen.settings;
    stream->recv_limit_bytes = message->body.listen.recv_limit_bytes;
    stream->send_limit_bytes = message->body.listen.send_limit_bytes;
    stream->local_be32 = local->ip.v4_be32;
    stream->local_port_be16 = local->port_be16;
    stream->listener = (struct tcp_listener){.local_be32 = local->ip.v4_be32,
                                             .local_port_be16 = local->port_be16,
                                             .reset_when_full = true,
                                             .settings = stream->settings,
                                             .backlog = message->body.listen.backlog,
                                             .owner = part};
    stream->places_wanted = 0;                   /* until stream_listen_go */
    stream->place_bytes = 1u << ARENA_ORDER_MIN; /* at least; more when the rings are there */
    stream_listen_limit(stream);
    const struct dp_socket *found =
        stream_listen_find(queue, part->part, local->ip.v4_be32, local->port_be16);
    if (found != NULL && found->stream->listener.local_be32 == local->ip.v4_be32) {
        return RS_ADDR_IN_USE;
    }
    /* Without a wire there are local connections only. */
    bool wire = queue->config->stack.tcp.connections_max != 0;
    enum rs_status status = wire ? tcp_listen(queue->stack, &stream->listener) : RS_OK;
    if (status == RS_OK) {
        stream->phase = STREAM_LISTENING;
        stream->listen_next = queue->listeners;
        queue->listeners = part;
    }
    return status;
}

/* The ring of accept records is there, and places come. */
static void stream_listen_go(const struct queue *queue, struct dp_socket *part,
                             const struct message *message)
{
    const struct rs_op_listen *op = &message->body.listen.op;
    part->stream->place_bytes = op->recv_ring_bytes;
    part->stream->places_usual = op->recv_ring_bytes == queue->config->recv_ring_bytes &&
                                 op->send_ring_bytes == queue->config->send_ring_bytes;
    stream_listen_limit(part->stream);
    part->stream->places_coming = message->body.listen.places;
    part->stream->places_wanted = message->body.listen.places;
    dgram_writer_init(&part->recv, part->recv_base, part->recv_ring.size_bytes,
                      &part->client->recv_head[queue->idx], part->recv_ring.size_bytes, 0);
    part->stream->accept_seen = 0;
}

enum outcome stream_listen(struct queue *queue, struct dp_socket *socket,
                           struct session_part *asker, const struct rs_request *request,
                           struct message_reply *reply)
{
    struct dp_stream *stream = socket->stream;
    struct message message = {
        .kind = QUEUE_LISTEN, .session = asker->session, .socket = socket, .reply = *reply};
    struct rs_op_listen *op = &message.body.listen.op;
    memcpy(op, request->payload, sizeof(*op));
    if (stream->phase == STREAM_LISTENING) {
        stream_set_backlog(socket, op->backlog);
        return stream_answer(queue, reply, RS_OK);
    }
    if (!stream->bound || stream->phase != STREAM_IDLE || stream->conn != NULL || op->flags != 0) {
        return stream_answer(queue, reply,
                             stream->phase == STREAM_CONNECTED ? RS_IS_CONNECTED : RS_INVALID);
    }
    if (!request_may_forward(queue, asker)) {
        return OUTCOME_LATER;
    }
    message.body.listen.local = rs_addr_v4(stream->local_be32, stream->local_port_be16);
    message.body.listen.settings = stream->settings;
    message.body.listen.recv_limit_bytes = stream->recv_limit_bytes;
    message.body.listen.send_limit_bytes = stream->send_limit_bytes;
    message.body.listen.backlog = &stream->backlog;
    stream_set_backlog(socket, op->backlog);
    enum rs_status status = stream_listen_begin(queue, socket, &message);
    if (status != RS_OK) {
        return stream_answer(queue, reply, status);
    }
    socket->with_control = request_forward(queue, &message);
    assert(socket->with_control); /* there was room, and nobody else fills it */
    return OUTCOME_DONE;
}

enum rs_status stream_listened(struct queue *queue, const struct message *message)
{
    struct dp_socket *socket = message->socket;
    if (message->reply.status != RS_OK) {
        stream_part_unlisten(queue, socket);
        return (enum rs_status)message->reply.status;
    }
    stream_listen_go(queue, socket, message);
    stream_set_backlog(socket, message->body.listen.op.backlog);
    return RS_OK;
}

enum rs_status stream_part_listen(struct queue *queue, const struct message *message)
{
    struct dp_socket *part = message->socket;
    if (part->part->sockets[part->idx] != part) {
        request_enter(part);
    }
    enum rs_status status = stream_listen_begin(queue, part, message);
    if (status == RS_OK) {
        stream_listen_go(queue, part, message);
    }
    return status;
}

void stream_part_unlisten(struct queue *queue, struct dp_socket *part)
{
    struct dp_stream *stream = part->stream;
    if (stream->phase != STREAM_LISTENING) {
        return;
    }
    tcp_listener_close(queue->stack, &stream->listener);
    stream_local_refuse_all(queue, part);
    struct dp_socket **link = &queue->listeners;
    while (*link != part) {
        link = &(*link)->stream->listen_next;
    }
    *link = stream->listen_next;
    stream->phase = STREAM_IDLE;
    stream->places_coming = 0; /* none comes to a part that is told to end */
}

/* ---- places ---- */

static void stream_add_place(struct dp_stream *stream, struct dp_socket *place)
{
    place->stream->place_next = stream->places;
    stream->places = place;
    stream->places_count++;
}

static void stream_ask_place(struct queue *queue, struct dp_socket *part, uint32_t wanted);

static void stream_place_back(struct queue *queue, struct dp_socket *place)
{
    request_enter(place);
    place->orphan = place->closing = true;
    place->part->orphan_count++;
    stream_give_back(queue, place);
}

void stream_place(struct queue *queue, const struct message *message)
{
    struct dp_stream *stream = message->socket->stream;
    struct dp_socket *place = message->body.place;
    stream->places_coming--;
    if (place != NULL && place->session != message->socket->session) {
        stream_place_back(queue, place); /* asked for before the listener moved, or ahead of that */
    } else if (place != NULL) {
        stream_add_place(stream, place);
        if (stream->local_waiting != NULL) {
            stream_local_resume(queue, message->socket);
        } else {
            tcp_listener_resume(queue->stack, &stream->listener);
        }
    }
}

/* Another place: a spare, or asked for. Without room for the message, or for another socket, it is
 * asked for when the next connection finds none. */
static void stream_ask_place(struct queue *queue, struct dp_socket *part, uint32_t wanted)
{
    struct dp_stream *stream = part->stream;
    if (stream->places_wanted == 0) { /* LISTEN is not answered: those that it brings are not
                                         counted yet, and there is no ring for records */
        return;
    }
    while (stream->places_usual && stream->places_count + stream->places_coming < wanted) {
        struct dp_socket *spare = stream_spare_take(part->part);
        if (spare == NULL) {
            break;
        }
        stream_add_place(stream, spare);
    }
    if (stream->places_count + stream->places_coming >= wanted) {
        return;
    }
    struct message message = {.kind = QUEUE_PLACE, .session = part->session, .socket = part};
    if (part->part->poison_status == RS_OK && request_forward(queue, &message)) {
        part->stream->places_coming++;
    }
}

/* The session that a record's socket is of; NULL: it has ended. */
static struct session_part *stream_accept_part(const struct queue *queue,
                                               const struct dp_socket *part, uint32_t position)
{
    const struct dp_stream *stream = part->stream;
    if (stream->early_id == 0 || !rs_seq_before(position, stream->early_end)) {
        return part->part;
    }
    const struct dp_session *session =
        queue_session_find(queue, stream->early_slot, stream->early_id);
    return session != NULL ? queue_part(queue, session) : NULL;
}

/* The socket in this place, as it was meant by an accept record; NULL: it is gone. */
static struct dp_socket *stream_accepted(const struct queue *queue, const struct dp_socket *part,
                                         uint32_t position)
{
    const struct session_part *from = stream_accept_part(queue, part, position);
    const struct rs_dgram *record = dgram_writer_line(&part->recv, position);
    struct rs_accept accept;
    memcpy(&accept, (const uint8_t *)record + RS_DGRAM_SHORT_OFF, sizeof(accept));
    struct dp_socket *socket = from != NULL ? from->sockets[accept.socket_idx] : NULL;
    bool there = socket != NULL && socket->generation == accept.generation && !socket->closing;
    return there ? socket : NULL;
}

void stream_taken(struct queue *queue, struct dp_socket *socket)
{
    struct dp_stream *stream = socket->stream;
    stream->waits = false;
    if (stream->local.on) {
        stream->local.recv_head = &socket->client->recv_head[queue->idx];
        stream_local_consumed(queue, socket);
    } else if (stream->conn != NULL && !stream->leaving) {
        tcp_set_recv_head(stream->conn, &socket->client->recv_head[queue->idx]);
        stream_consumed(queue, socket);
    }
}

static void stream_drop_places(struct queue *queue, struct dp_stream *stream)
{
    while (stream->places != NULL) {
        struct dp_socket *place = stream->places;
        stream->places = place->stream->place_next;
        stream->places_count--;
        stream_place_back(queue, place);
    }
}

/* Records that were taken since the last look. */
static void stream_listen_consumed(struct queue *queue, struct dp_socket *part)
{
    struct dp_stream *stream = part->stream;
    if (part->recv.size_bytes == 0 || part->part->poison_status != RS_OK) {
        return;
    }
    if (dgram_writer_refresh(&part->recv) != RS_OK) {
        request_poison(queue, part->session, "recv_head outside the ring of accept records");
        return;
    }
    for (; stream->accept_seen != part->recv.head_cached; stream->accept_seen += RS_LINE_BYTES) {
        struct dp_socket *socket = stream_accepted(queue, part, stream->accept_seen);
        tcp_backlog_release(stream->listener.backlog);
        /* Of a shared listener it has moved, or its program says when its words are there. */
        if (socket != NULL && socket->stream->waits && !part->session->house) {
            stream_taken(queue, socket);
        }
    }
    if (!rs_seq_before(stream->accept_seen, stream->early_end)) {
        stream->early_id = 0; /* positions go around */
    }
}

void stream_listen_look(struct queue *queue, struct dp_socket *part)
{
    stream_listen_consumed(queue, part);
    if (part->session->house && part->stream->places == NULL) { /* they stayed behind */
        stream_ask_place(queue, part, 1);
    }
}

void stream_listen_moves(struct queue *queue, struct dp_socket *part)
{
    struct dp_stream *stream = part->stream;
    stream_listen_consumed(queue, part);
    stream->early_end = part->recv.tail;
    stream->early_slot = part->session->slot;
    stream->early_id = part->session->id;
    stream_drop_places(queue, stream);
}

void stream_listen_end(struct queue *queue, struct dp_socket *part)
{
    struct dp_stream *stream = part->stream;
    if (stream->phase != STREAM_LISTENING) {
        return;
    }
    stream_listen_consumed(queue, part);
    for (; stream->accept_seen != part->recv.tail; stream->accept_seen += RS_LINE_BYTES) {
        struct dp_socket *socket = stream_accepted(queue, part, stream->accept_seen);
        tcp_backlog_release(stream->listener.backlog);
        if (socket != NULL && socket->stream->waits) {
            stream_orphan(queue, socket);
            if (socket->stream->local.on) {
                stream_local_leave(queue, socket, true, 0);
            } else {
                stream_leave(queue, socket, true, 0);
            }
        }
    }
    stream_part_unlisten(queue, part);
    stream_drop_places(queue, stream);
}

/* ---- upcalls ---- */

bool stream_upcall_room(void *context, struct tcp_listener *listener)
{
    struct queue *queue = context;
    struct dp_socket *part = listener->owner;
    struct dp_stream *stream = part->stream;
    stream_listen_look(queue, part);
    if (stream->places == NULL && part->recv.size_bytes != 0) {
        stream_ask_place(queue, part, listener->held + 1); /* one for each that waits, and this */
    }
    return stream->places != NULL && part->part->poison_status == RS_OK;
}

/* The record that tells of it. False: the client's index cannot be. */
static bool stream_accept_record(struct queue *queue, struct dp_socket *part,
                                 const struct dp_socket *place)
{
    const struct rs_socket_desc *desc = place->desc;
    const struct rs_accept accept = {.socket_idx = place->idx,
                                     .generation = place->generation,
                                     .local_be32 = desc->local.ip.v4_be32,
                                     .local_port_be16 = desc->local.port_be16};
    struct rs_dgram *record;
    enum rs_status status =
        dgram_writer_reserve(&part->recv, sizeof(accept), RS_DGRAM_SHORT_OFF, &record);
    if (status != RS_OK) { /* room there is: the backlog is smaller than the ring */
        request_poison(queue, part->session, "recv_head outside the ring of accept records");
        return false;
    }
    record->src_be32 = desc->peer.ip.v4_be32;
    record->src_port_be16 = desc->peer.port_be16;
    record->ttl = record->tos = 0;
    record->rx_tsc = queue->now_tsc;
    memcpy((uint8_t *)record + RS_DGRAM_SHORT_OFF, &accept, sizeof(accept));
    dgram_writer_commit(&part->recv);
    /* relaxed: for reports only */
    atomic_store_explicit(&part->recv_tail, part->recv.tail, memory_order_relaxed);
    atomic_fetch_add_explicit(&part->state->accept_seq, 1, memory_order_relaxed);
    return true;
}

bool stream_accept_place(struct queue *queue, struct dp_socket *part, struct tcp_conn *conn,
                         struct dp_socket *from)
{
    struct dp_socket *place = part->stream->places;
    struct dp_stream *stream = place->stream; /* there is one: stream_upcall_room said so */
    request_opened(place);
    stream->conn = conn;
    stream->waits = true;
    stream->settings = part->stream->settings;
    stream->recv_limit_bytes = part->stream->recv_limit_bytes;
    stream->send_limit_bytes = part->stream->send_limit_bytes;
    if (from != NULL) {
        stream_local_place(queue, place, from);
    }
    stream_describe(queue, place);
    stream_connected(queue, place);
    if (!stream_accept_record(queue, part, place)) {
        stream->conn = NULL;
        stream_local_untake(place);
        place->part->sockets[place->idx] = NULL;
        place->part->open_sockets--;
        return false;
    }
    part->stream->places = stream->place_next;
    part->stream->places_count--;
    stream_ask_place(queue, part, part->stream->places_wanted);
    if (!session_never_sleeps(part->session)) {
        deliver_touch(queue, part, RS_LEVEL_READABLE);
    }
    return true;
}

bool stream_upcall_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                          struct tcp_rings *rings, void **owner)
{
    struct queue *queue = context;
    struct dp_socket *part = listener->owner;
    struct dp_socket *place = part->stream->places;
    if (!stream_accept_place(queue, part, conn, NULL)) {
        return false;
    }
    *rings = stream_tcp_rings(queue, place);
    *owner = place;
    return true;
}
