/*
 * Requests that change a stream socket, see stream.h: carried out here, but for the rings of the
 * first CONNECT and the port of BIND, which the control thread gives. Queue thread. Called by
 * request_control.c and request_end.c; calls tcp.h and deliver.c.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/nic.h"
#include "dataplane/share.h"
#include "dataplane/steer.h"
#include "dataplane/stream.h"

#define STREAM_NS_PER_MS 1000000ull

enum outcome stream_answer(struct queue *queue, struct message_reply *reply, enum rs_status status)
{
    reply->status = (uint32_t)status;
    deliver_reply(queue, reply);
    return OUTCOME_DONE;
}

/* ---- open, bind ---- */

/* The state line of a socket whose rings begin at 0. relaxed: the reply's release orders them
 * before the client's first look. */
static void stream_clear_state(struct dp_socket *socket)
{
    struct rs_socket_state *state = socket->state;
    struct dp_stream *stream = socket->stream;
    stream->level = 0;
    stream->notify = RS_RING_MAX_BYTES;
    stream->notify_waits = false;
    stream->send_tail = 0;
    stream->send_shut = false;
    atomic_store_explicit(&state->level, 0, memory_order_relaxed);
    atomic_store_explicit(&state->send_head, 0, memory_order_relaxed);
    atomic_store_explicit(&state->recv_tail, 0, memory_order_relaxed);
    atomic_store_explicit(&state->recv_notify, stream->notify, memory_order_relaxed);
    atomic_store_explicit(&state->connected_tsc, 0, memory_order_relaxed);
}

void stream_opened(struct dp_socket *socket)
{
    /* An accepted socket's program has seen no mark yet, so it begins with none. */
    atomic_store_explicit(&socket->state->urgent_seq, 0, memory_order_relaxed);
    stream_clear_state(socket);
}

/* For reports. Relaxed: nothing else hangs on it. */
static void stream_name(_Atomic uint64_t *name, uint32_t ip_be32, uint16_t port_be16)
{
    atomic_store_explicit(name, dp_socket_name(ip_be32, port_be16), memory_order_relaxed);
}

void stream_bound(struct dp_socket *socket, const struct rs_addr *local)
{
    struct dp_stream *stream = socket->stream;
    stream->bound = true;
    stream->local_be32 = local->ip.v4_be32;
    stream->local_port_be16 = local->port_be16;
    stream_name(&socket->local_name, stream->local_be32, stream->local_port_be16);
}

/* ---- connect ---- */

/* Written before the reply that makes it valid. */
void stream_describe(const struct queue *queue, struct dp_socket *socket)
{
    const struct stream_local *ends = &socket->stream->local;
    struct rs_addr local = ends->own, peer = ends->other;
    struct tcp_info info;
    if (!ends->on) {
        tcp_get_info(queue->stack, socket->stream->conn, &info);
        local = rs_addr_v4(info.local_be32, info.local_port_be16);
        peer = rs_addr_v4(info.peer_be32, info.peer_port_be16);
    }
    *socket->desc = (struct rs_socket_desc){.local = local,
                                            .peer = peer,
                                            .generation = socket->generation,
                                            .home_queue_idx = queue->idx,
                                            .type = RS_SOCK_STREAM,
                                            .send = socket->send_ring};
    socket->desc->recv[queue->idx] = socket->recv_ring;
    if (ends->on && ends->lender != NULL) {
        socket->desc->recv[queue->idx] = ends->lender->send_ring;
        socket->desc->flags = RS_DESC_RECV_SHARED;
    }
    stream_name(&socket->local_name, local.ip.v4_be32, local.port_be16);
    stream_name(&socket->peer_name, peer.ip.v4_be32, peer.port_be16);
}

struct tcp_rings stream_tcp_rings(const struct queue *queue, struct dp_socket *socket)
{
    uint32_t limit_bytes = socket->stream->recv_limit_bytes;
    return (struct tcp_rings){
        .send_base = socket->send_base,
        .recv_base = socket->recv_base,
        .send_bytes = socket->send_ring.size_bytes,
        .recv_bytes = socket->recv_ring.size_bytes,
        .recv_limit_bytes = limit_bytes != 0 ? limit_bytes : socket->recv_ring.size_bytes,
        .send_head = &socket->state->send_head,
        .recv_tail = &socket->state->recv_tail,
        .urgent_pos = &socket->state->urgent_pos,
        .urgent_seq = &socket->state->urgent_seq,
        .recv_head = socket->stream->waits ? &socket->stream->no_head
                                           : &socket->client->recv_head[queue->idx]};
}

/* Where one process serves several NICs, an unbound socket connects by the one that a datagram
 * would leave by; the client tries them in turn. A bound one has its home for good, so its answers
 * must come to this queue; for an unbound one tcp_connect chooses a port for which they do. */
static enum rs_status stream_may_connect(const struct queue *queue, const struct dp_stream *stream,
                                         const struct rs_addr *peer)
{
    const struct egress *egress = queue->egress;
    const struct nic *nic = queue->nic;
    uint32_t peer_be32 = peer->ip.v4_be32;
    if (stream->bound) {
        uint32_t local_be32 = stream->local_be32 != 0 ? stream->local_be32
                                                      : stack_source_for(queue->stack, peer_be32);
        return steer_flow(nic->steering, peer_be32, local_be32, peer->port_be16,
                          stream->local_port_be16) == nic->queue_idx
                   ? RS_OK
                   : RS_ADDR_NOT_AVAILABLE;
    }
    return egress == NULL ||
                   egress->nic_of_queue[egress_queue(egress, queue->idx, 0, 0, peer_be32)] ==
                       egress->nic_of_queue[queue->idx]
               ? RS_OK
               : RS_NET_UNREACHABLE;
}

static enum rs_status stream_connect_now(struct queue *queue, struct dp_socket *socket,
                                         const struct rs_addr *peer)
{
    struct dp_stream *stream = socket->stream;
    const struct tcp_rings rings = stream_tcp_rings(queue, socket);
    const struct tcp_connect_args args = {.local_be32 = stream->local_be32,
                                          .local_port_be16 = stream->local_port_be16,
                                          .peer_be32 = peer->ip.v4_be32,
                                          .peer_port_be16 = peer->port_be16,
                                          .rings = &rings,
                                          .settings = &stream->settings,
                                          .owner = socket};
    if (stack_is_own_address(queue->stack, peer->ip.v4_be32)) {
        return stream_local_connect(queue, socket, peer);
    }
    enum rs_status status = stream_may_connect(queue, stream, peer);
    if (status == RS_OK) {
        status = tcp_connect(queue->stack, &args, &stream->conn);
    }
    if (status != RS_OK) {
        stream->conn = NULL;
        return status;
    }
    stream->phase = STREAM_CONNECTING;
    stream_describe(queue, socket);
    return RS_OK;
}

enum rs_status stream_rings(struct queue *queue, struct dp_socket *socket,
                            const struct rs_addr *peer)
{
    stream_clear_state(socket);
    if (socket->share != NULL) {
        share_data_restart(queue, socket->share);
    }
    enum rs_status status = stream_connect_now(queue, socket, peer);
    if (socket->share != NULL) {
        share_named(queue, socket->share);
    }
    return status;
}

bool stream_may_begin(struct queue *queue, struct dp_stream *stream)
{
    if (stream->conn != NULL && !stream->leaving) {
        stream->leaving = true;
        tcp_abort(queue->stack, stream->conn);
    }
    return stream->conn == NULL;
}

static enum outcome stream_connect(struct queue *queue, struct dp_socket *socket,
                                   struct session_part *asker, const struct rs_request *request,
                                   struct message_reply *reply)
{
    struct dp_stream *stream = socket->stream;
    struct message message = {
        .kind = QUEUE_RINGS, .session = asker->session, .socket = socket, .reply = *reply};
    struct rs_addr *peer = &message.body.addr;
    memcpy(peer, request->payload, sizeof(*peer));
    if (stream->phase != STREAM_IDLE) {
        return stream_answer(queue, reply,
                             stream->phase == STREAM_CONNECTING  ? RS_ALREADY
                             : stream->phase == STREAM_CONNECTED ? RS_IS_CONNECTED
                                                                 : RS_INVALID);
    }
    if (peer->family != RS_FAMILY_IPV4) {
        return stream_answer(queue, reply, RS_FAMILY_NOT_SUPPORTED);
    }
    if (!stream_may_begin(queue, stream)) {
        return OUTCOME_LATER;
    }
    if (socket->recv_ring.size_bytes != 0) {
        return stream_answer(queue, reply, stream_rings(queue, socket, peer));
    }
    if (!request_may_forward(queue, asker) || !request_forward(queue, &message)) {
        return OUTCOME_LATER;
    }
    socket->with_control = true;
    return OUTCOME_DONE;
}

/* ---- shutdown, close ---- */

static enum rs_status stream_shutdown_send(struct queue *queue, struct dp_socket *socket)
{
    struct dp_stream *stream = socket->stream;
    if (stream->send_shut) {
        return RS_OK;
    }
    stream_take_level(queue, socket);
    enum rs_status status = tcp_shutdown_send(queue->stack, stream->conn);
    stream->send_shut = status == RS_OK;
    return status;
}

static enum outcome stream_shutdown(struct queue *queue, struct dp_socket *socket,
                                    const struct rs_request *request, struct message_reply *reply)
{
    struct dp_stream *stream = socket->stream;
    struct rs_op_shutdown op;
    enum rs_status status = RS_OK;
    memcpy(&op, request->payload, sizeof(op));
    if ((op.how & ~(uint32_t)(RS_SHUTDOWN_RECV | RS_SHUTDOWN_SEND)) != 0) {
        return stream_answer(queue, reply, RS_INVALID);
    }
    if (stream->phase != STREAM_CONNECTED || (stream->conn == NULL && !stream->local.on)) {
        return stream_answer(queue, reply, RS_NOT_CONNECTED);
    }
    deliver_touch(queue, socket, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE); /* other threads of it */
    if (stream->local.on) {
        return stream_answer(queue, reply, stream_local_shutdown(queue, socket, op.how));
    }
    if ((op.how & RS_SHUTDOWN_SEND) != 0) {
        status = stream_shutdown_send(queue, socket);
    }
    if (status == RS_OK && (op.how & RS_SHUTDOWN_RECV) != 0) {
        tcp_shutdown_recv(queue->stack, stream->conn);
    }
    return stream_answer(queue, reply, status);
}

void stream_orphan(struct queue *queue, struct dp_socket *socket)
{
    socket->closing = true;
    socket->orphan = true;
    socket->part->orphan_count++;
    deliver_orphaned(queue, socket);
}

void stream_leave(struct queue *queue, struct dp_socket *socket, bool abort, uint64_t linger_ns)
{
    struct dp_stream *stream = socket->stream;
    if (!stream->leaving) {
        stream->leaving = true;
        if (abort) {
            tcp_abort(queue->stack, stream->conn);
        } else {
            tcp_close(queue->stack, stream->conn, linger_ns);
        }
    }
}

/* A socket without a connection: what there is of it on this queue's lists. */
static void stream_end_idle(struct queue *queue, struct dp_socket *socket)
{
    if (socket->stream->local.on) {
        stream_local_forget(queue, socket);
    }
    stream_listen_end(queue, socket);
}

bool stream_end_listening(struct queue *queue, struct dp_socket *socket)
{
    if (socket->stream->places_coming != 0) {
        return false;
    }
    stream_end_idle(queue, socket);
    return true;
}

static enum outcome stream_close(struct queue *queue, struct dp_socket *socket,
                                 const struct rs_request *request, struct message_reply *reply)
{
    struct dp_stream *stream = socket->stream;
    struct rs_op_close op;
    memcpy(&op, request->payload, sizeof(op));
    if (!deliver_may_close(queue) || stream->places_coming != 0) {
        return OUTCOME_LATER;
    }
    if (stream->phase == STREAM_CONNECTED && stream->local.on) {
        stream_take_level(queue, socket);
        stream_orphan(queue, socket);
        stream_local_leave(queue, socket, op.abort != 0, op.linger_ms * STREAM_NS_PER_MS);
        return stream_answer(queue, reply, RS_OK);
    }
    if (stream->conn == NULL) {
        if (!request_may_forward(queue, socket->part)) {
            return OUTCOME_LATER;
        }
        stream_end_idle(queue, socket);
        return request_close_now(queue, socket, reply) ? OUTCOME_DONE : OUTCOME_LATER;
    }
    stream_take_level(queue, socket);
    stream_leave(queue, socket, op.abort != 0, op.linger_ms * STREAM_NS_PER_MS);
    stream_orphan(queue, socket);
    return stream_answer(queue, reply, RS_OK);
}

void stream_session_ends(struct queue *queue, struct dp_socket *socket, bool aborts)
{
    const struct message_reply nobody = {.channel = NULL};
    struct dp_stream *stream = socket->stream;
    if (socket->orphan) {
        if (aborts && stream->conn != NULL) {
            tcp_abort(queue->stack, stream->conn);
        } else if (aborts && stream->local.on) {
            stream_local_abort(queue, socket);
        }
    } else if (stream->phase == STREAM_CONNECTED && stream->local.on) {
        stream_orphan(queue, socket);
        stream_local_leave(queue, socket, true, 0);
    } else if (stream->conn == NULL) {
        if (stream->places_coming == 0) {
            stream_end_idle(queue, socket);
            (void)request_close_now(queue, socket, &nobody);
        }
    } else if (deliver_may_close(queue)) {
        stream_leave(queue, socket, true, 0);
        stream_orphan(queue, socket);
    }
}

/* ---- options ---- */

static enum rs_status stream_option_flag(bool *flag, uint32_t value, bool may)
{
    if (value > 1 || !may) {
        return RS_INVALID;
    }
    *flag = value != 0;
    return RS_OK;
}

static enum rs_status stream_option_limit(struct queue *queue, struct dp_socket *socket,
                                          uint32_t value)
{
    struct dp_stream *stream = socket->stream;
    stream->recv_limit_bytes = value != 0 ? value : 1;
    stream_listen_limit(stream);
    if (stream->local.on) {
        stream_local_limit(queue, socket);
    }
    if (stream->conn != NULL && !stream->leaving) {
        tcp_set_recv_limit(queue->stack, stream->conn, stream->recv_limit_bytes);
        stream_consumed(queue, socket);
    }
    return RS_OK;
}

/* Of those, what the handshake agrees on. */
static enum rs_status stream_option_syn(struct tcp_settings *settings,
                                        const struct rs_op_option *op, bool fresh)
{
    switch (op->option) {
    case RS_OPT_TIMESTAMPS:
        settings->no_timestamps = op->value == 0;
        return fresh && op->value <= 1 ? RS_OK : RS_INVALID;
    case RS_OPT_SYN_RTO_MS:
        settings->syn_rto_ms = (uint16_t)op->value;
        return fresh && op->value <= UINT16_MAX ? RS_OK : RS_INVALID;
    case RS_OPT_SYN_SENDS:
        settings->syn_sends = (uint8_t)op->value;
        return fresh && op->value <= UINT8_MAX ? RS_OK : RS_INVALID;
    default:
        return RS_BAD_OPTION;
    }
}

/* What is a field of the settings. */
static enum rs_status stream_option_setting(struct dp_stream *stream, const struct rs_op_option *op)
{
    struct tcp_settings *settings = &stream->settings;
    bool fresh = stream->conn == NULL && stream->phase == STREAM_IDLE;
    switch (op->option) {
    case RS_OPT_NODELAY:
        settings->nodelay = op->value != 0;
        return op->value <= 1 ? RS_OK : RS_INVALID;
    case RS_OPT_KEEPALIVE:
        settings->keepalive = op->value != 0;
        return op->value <= 1 ? RS_OK : RS_INVALID;
    case RS_OPT_ACK_IMMEDIATE:
        settings->ack_immediate = op->value != 0;
        return op->value <= 1 ? RS_OK : RS_INVALID;
    case RS_OPT_KEEP_IDLE_MS:
        settings->keep_idle_ms = op->value;
        return RS_OK;
    case RS_OPT_KEEP_INTERVAL_MS:
        settings->keep_interval_ms = op->value;
        return RS_OK;
    case RS_OPT_KEEP_COUNT:
        settings->keep_count = (uint8_t)op->value;
        return op->value <= UINT8_MAX ? RS_OK : RS_INVALID;
    case RS_OPT_USER_TIMEOUT_MS:
        settings->user_timeout_ms = op->value;
        return RS_OK;
    case RS_OPT_TTL:
        settings->ttl = (uint8_t)op->value;
        return op->value - 1 < 255 ? RS_OK : RS_INVALID;
    case RS_OPT_TOS:
        settings->tos = (uint8_t)op->value;
        return op->value <= 255 ? RS_OK : RS_INVALID;
    case RS_OPT_MSS_MAX:
        settings->mss_max = (uint16_t)op->value;
        return fresh && op->value <= UINT16_MAX ? RS_OK : RS_INVALID;
    case RS_OPT_CONGESTION:
        settings->congestion = (uint8_t)op->value;
        return fresh && op->value < TCP_CONGESTION_COUNT ? RS_OK : RS_INVALID;
    default:
        return stream_option_syn(settings, op, fresh);
    }
}

enum rs_status stream_option(struct queue *queue, struct dp_socket *socket,
                             const struct rs_op_option *op)
{
    struct dp_stream *stream = socket->stream;
    switch (op->option) {
    case RS_OPT_RCVBUF:
        return stream_option_limit(queue, socket, op->value);
    case RS_OPT_SNDBUF: /* the client's own limit; here, when room is worth telling of */
        stream->send_limit_bytes = op->value != 0 ? op->value : 1;
        if (stream->local.on) {
            stream_local_limit(queue, socket);
        }
        return RS_OK;
    case RS_OPT_REUSEADDR:
        return stream_option_flag(&socket->reuse, op->value, !stream->bound);
    case RS_OPT_EXCLUSIVEADDR:
        return stream_option_flag(&socket->exclusive, op->value, !stream->bound);
    default:
        break;
    }
    struct tcp_settings before = stream->settings;
    enum rs_status status = stream_option_setting(stream, op);
    if (status != RS_OK) {
        stream->settings = before;
    } else if (stream->conn != NULL && !stream->leaving) {
        tcp_set_settings(queue->stack, stream->conn, &stream->settings);
    }
    stream->listener.settings = stream->settings;
    return status;
}

/* The parts of a listener have it, too. */
enum outcome stream_change(struct queue *queue, struct dp_socket *socket,
                           struct session_part *asker, const struct rs_request *request,
                           struct message_reply *reply)
{
    bool spreads = queue->queue_count > 1 && socket->stream->phase == STREAM_LISTENING;
    struct message message = {
        .kind = QUEUE_SPREAD, .session = asker->session, .socket = socket, .reply = *reply};
    message.body.spread.op = request->op;
    memcpy(&message.body.spread.option, request->payload, sizeof(message.body.spread.option));
    if (spreads && !request_may_forward(queue, asker)) {
        return OUTCOME_LATER;
    }
    enum rs_status status = stream_option(queue, socket, &message.body.spread.option);
    if (status != RS_OK || !spreads) {
        request_changed(queue, &message, status);
        return stream_answer(queue, reply, status);
    }
    socket->with_control = request_forward(queue, &message);
    assert(socket->with_control); /* there was room, and nobody else fills it */
    return OUTCOME_DONE;
}

/* ---- all of them ---- */

enum outcome stream_control(struct queue *queue, struct dp_socket *socket,
                            struct session_part *asker, const struct rs_request *request,
                            struct message_reply *reply)
{
    if (socket->stream->waits) {
        stream_taken(queue, socket);
    }
    switch (request->op) {
    case RS_OP_BIND:
        return request_bind(queue, socket, asker, request, reply);
    case RS_OP_CONNECT:
        return stream_connect(queue, socket, asker, request, reply);
    case RS_OP_SHUTDOWN:
        return stream_shutdown(queue, socket, request, reply);
    case RS_OP_CLOSE:
        return stream_close(queue, socket, request, reply);
    case RS_OP_OPTION:
        return stream_change(queue, socket, asker, request, reply);
    case RS_OP_MEMBER:
        return stream_answer(queue, reply, RS_BAD_OPTION);
    case RS_OP_TCP_INFO:
        return stream_answer(queue, reply,
                             stream_info(queue, socket, &reply->channel->info[reply->cell_idx]));
    case RS_OP_TX_STAMP:
        return stream_answer(queue, reply, RS_NOT_SUPPORTED);
    case RS_OP_SHARE:
        return share_begin(queue, socket, request, reply);
    case RS_OP_SHARE_SEND:
    case RS_OP_SHARE_RECV:
    case RS_OP_SHARE_SET:
    case RS_OP_SHARE_VALUES:
    case RS_OP_UNSHARE:
        return stream_answer(queue, reply, RS_INVALID); /* it is not shared */
    default:
        assert(request->op == RS_OP_LISTEN);
        return stream_listen(queue, socket, asker, request, reply);
    }
}
