/*
 * Requests that change a socket: carried out here (CONNECT, OPTION, MEMBER, NOP) or by the control
 * thread (OPEN, BIND, CLOSE), whose messages are carried out here too. Queue thread. Called by
 * request.c and queue.c; calls udp.c and deliver.c.
 *
 * A socket with parts on other queues has CONNECT, OPTION and MEMBER done at home first; then the
 * control thread has every part do the same, and only then the client has its answer. Meanwhile
 * (with_control) the socket takes no further such request. Those of stream sockets go to
 * stream_control.c.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/share.h"
#include "dataplane/stream.h"
#include "dataplane/wire/ipv4.h"

/* ---- what home and parts both do
 * -------------------------------------------------------------------------------- */

/* The address that a socket bound to any gets with its peer: of the NIC the peer is reached by. 0:
 * the stack here knows, and checks the route. */
static uint32_t request_local_for(const struct queue *queue, const struct dp_socket *socket,
                                  uint32_t peer_be32)
{
    if (queue->egress == NULL || peer_be32 == 0) {
        return 0;
    }
    uint32_t source_be32 = socket->udp.bound_be32;
    uint32_t to_idx =
        egress_queue(queue->egress, queue->idx, source_be32, socket->multicast_if_be32, peer_be32);
    if (to_idx == queue->idx) {
        return 0;
    }
    return source_be32 != 0 ? source_be32 : egress_source(queue->egress, to_idx, peer_be32);
}

static enum rs_status request_connect(struct queue *queue, struct dp_socket *socket,
                                      const struct rs_addr *peer, uint32_t local_be32)
{
    if (peer->family != RS_FAMILY_IPV4 && peer->family != RS_FAMILY_NONE) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    uint32_t ip_be32 = peer->family == RS_FAMILY_NONE ? 0 : peer->ip.v4_be32;
    return udp_socket_connect(queue->stack, &socket->udp, local_be32, ip_be32, peer->port_be16);
}

/* Stores a 0-or-1 option. */
static enum rs_status request_option_flag(bool *flag, uint32_t value)
{
    if (value > 1) {
        return RS_INVALID;
    }
    *flag = value != 0;
    return RS_OK;
}

static enum rs_status request_option_byte(uint8_t *field, uint32_t value, uint32_t least)
{
    if (value < least || value > 255) {
        return RS_INVALID;
    }
    *field = (uint8_t)value;
    return RS_OK;
}

static enum rs_status request_option(struct queue *queue, struct dp_socket *socket,
                                     const struct rs_op_option *op)
{
    switch (op->option) {
    case RS_OPT_RCVBUF:
        /* 0 still lets one datagram wait at a time, as a socket without a buffer of its own does */
        socket->recv_limit_bytes = op->value != 0 ? op->value : 1;
        if (socket->recv.size_bytes != 0) {
            socket->recv.limit_bytes = socket->recv_limit_bytes;
        }
        return RS_OK;
    case RS_OPT_SNDBUF:
        return RS_OK; /* the client's own limit; the ring bounds it here */
    case RS_OPT_REUSEADDR:
        return socket->udp.bound ? RS_INVALID : request_option_flag(&socket->reuse, op->value);
    case RS_OPT_EXCLUSIVEADDR:
        return socket->udp.bound ? RS_INVALID : request_option_flag(&socket->exclusive, op->value);
    case RS_OPT_BROADCAST:
        return request_option_flag(&socket->udp.broadcast, op->value);
    case RS_OPT_TTL:
        return request_option_byte(&socket->udp.ttl, op->value, 1);
    case RS_OPT_TOS:
        return request_option_byte(&socket->udp.tos, op->value, 0);
    case RS_OPT_MCAST_TTL:
        return request_option_byte(&socket->udp.multicast_ttl, op->value, 0);
    case RS_OPT_MCAST_IF:
        if (op->value != 0 && !stack_is_own_address(queue->stack, op->value)) {
            return RS_ADDR_NOT_AVAILABLE;
        }
        socket->multicast_if_be32 = op->value;
        return RS_OK;
    case RS_OPT_MCAST_LOOP:
        return request_option_flag(&socket->udp.multicast_loop, op->value);
    case RS_OPT_CONNRESET:
        return request_option_flag(&socket->surface_connreset, op->value);
    case RS_OPT_RECV_CONTROL:
        if ((op->value & ~(uint32_t)RS_CONTROL_ALL) != 0) {
            return RS_INVALID;
        }
        socket->recv_control = (uint8_t)op->value;
        return RS_OK;
    case RS_OPT_TX_STAMPS:
        return socket->home ? stamps_set(queue, socket, op->value) : RS_OK;
    case RS_OPT_DONT_FRAGMENT:
        return request_option_flag(&socket->udp.dont_fragment, op->value);
    default:
        return RS_BAD_OPTION;
    }
}

/* True: the interface that a membership names is this queue's NIC. None named: the home queue's. */
static bool request_member_here(const struct queue *queue, const struct dp_socket *socket,
                                uint32_t interface_be32)
{
    if (queue->egress == NULL) {
        return true; /* one NIC: the stack checks the address */
    }
    if (interface_be32 != 0) {
        return stack_has_address(queue->stack, interface_be32);
    }
    uint32_t home_idx = socket->desc->home_queue_idx;
    return queue->egress->nic_of_queue[home_idx] == queue->egress->nic_of_queue[queue->idx];
}

static enum rs_status request_member(struct queue *queue, struct dp_socket *socket,
                                     const struct rs_op_member *op)
{
    struct session_part *part = socket->part;
    bool adds = op->action == RS_MEMBER_JOIN || op->action == RS_MEMBER_JOIN_SOURCE ||
                op->action == RS_MEMBER_BLOCK_SOURCE;
    if (op->interface_be32 != 0 && !stack_is_own_address(queue->stack, op->interface_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    if (!request_member_here(queue, socket, op->interface_be32)) {
        return RS_OK;
    }
    if (adds && part->membership_count >= socket->session->config->limit_memberships) {
        QUEUE_COUNT_PART(queue, part, memberships_refused);
        return RS_NO_BUFFERS;
    }
    part->membership_count -= udp_socket_membership_count(&socket->udp);
    enum rs_status status = udp_socket_member(queue->stack, &socket->udp, op);
    part->membership_count += udp_socket_membership_count(&socket->udp);
    return status;
}

static enum rs_status request_apply(struct queue *queue, struct dp_socket *socket,
                                    const struct message *message)
{
    if (socket->stream != NULL) {
        return stream_option(queue, socket, &message->body.spread.option);
    }
    switch (message->body.spread.op) {
    case RS_OP_CONNECT:
        return request_connect(queue, socket, &message->body.spread.peer,
                               message->body.spread.local_be32);
    case RS_OP_OPTION:
        return request_option(queue, socket, &message->body.spread.option);
    default:
        return request_member(queue, socket, &message->body.spread.member);
    }
}

/* ---- towards the control thread
 * --------------------------------------------------------------------------------- */

bool request_forward(struct queue *queue, struct message *message)
{
    if (!message_push(queue->to_control, message)) {
        return false;
    }
    queue->control_told = true;
    if (message->reply.channel != NULL) {
        message->reply.channel->pending_control++;
        queue_part(queue, message->session)->pending_control++;
    }
    return true;
}

bool request_may_forward(struct queue *queue, struct session_part *part)
{
    if (part->pending_control >= SESSION_PENDING_MAX) {
        QUEUE_COUNT_PART(queue, part, control_waits);
        return false;
    }
    return message_has_room(queue->to_control);
}

static enum outcome request_open(struct queue *queue, struct dp_channel *channel,
                                 const struct rs_request *request,
                                 const struct message_reply *reply)
{
    struct message message = {.kind = QUEUE_OPEN, .session = channel->session, .reply = *reply};
    struct rs_op_open *open = &message.body.open;
    memcpy(open, request->payload, sizeof(*open));
    if (open->family == RS_FAMILY_IPV4 && open->type == RS_SOCK_STREAM &&
        open->recv_ring_bytes == 0 && open->send_ring_bytes == 0) {
        struct dp_socket *spare = stream_spare_take(channel->part);
        if (spare != NULL) {
            message.reply.open =
                (struct rs_open_reply){.socket_idx = spare->idx, .generation = spare->generation};
            request_opened(spare);
            deliver_reply(queue, &message.reply);
            return OUTCOME_DONE;
        }
    }
    return request_may_forward(queue, channel->part) && request_forward(queue, &message)
               ? OUTCOME_DONE
               : OUTCOME_LATER;
}

enum outcome request_bind(struct queue *queue, struct dp_socket *socket, struct session_part *asker,
                          const struct rs_request *request, struct message_reply *reply)
{
    bool bound = socket->stream != NULL
                     ? socket->stream->bound || socket->stream->phase != STREAM_IDLE
                     : socket->udp.bound;
    if (bound) {
        reply->status = RS_INVALID;
        deliver_reply(queue, reply);
        return OUTCOME_DONE;
    }
    struct message message = {
        .kind = QUEUE_BIND, .session = asker->session, .socket = socket, .reply = *reply};
    memcpy(&message.body.bind.addr, request->payload, sizeof(message.body.bind.addr));
    message.body.bind.share = socket->exclusive ? PORTS_EXCLUSIVE
                              : socket->reuse   ? PORTS_REUSE
                                                : PORTS_DEFAULT;
    message.body.bind.options =
        (struct message_options){.recv_limit_bytes = socket->recv_limit_bytes,
                                 .multicast_if_be32 = socket->multicast_if_be32,
                                 .ttl = socket->udp.ttl,
                                 .tos = socket->udp.tos,
                                 .multicast_ttl = socket->udp.multicast_ttl,
                                 .recv_control = socket->recv_control,
                                 .broadcast = socket->udp.broadcast,
                                 .multicast_loop = socket->udp.multicast_loop,
                                 .surface_connreset = socket->surface_connreset};
    if (!request_may_forward(queue, asker) || !request_forward(queue, &message)) {
        return OUTCOME_LATER;
    }
    socket->with_control = true;
    return OUTCOME_DONE;
}

bool request_close_now(struct queue *queue, struct dp_socket *socket,
                       const struct message_reply *reply)
{
    struct session_part *part = socket->part;
    struct message message = {.kind = socket->home ? QUEUE_CLOSED : QUEUE_PART_REMOVED,
                              .session = reply->channel != NULL ? reply->channel->session
                                                                : socket->session,
                              .socket = socket,
                              .reply = *reply};
    /* Room also for those who wait for the socket on channels of other queues. */
    if (!message_has_room(queue->to_control) || (socket->home && !deliver_may_close(queue))) {
        return false;
    }
    deliver_closed(queue, socket);
    (void)!stamps_set(queue, socket, 0);
    part->membership_count -= udp_socket_membership_count(&socket->udp);
    udp_socket_close(queue->stack, &socket->udp);
    part->sockets[socket->idx] = NULL;
    part->open_sockets--;
    part->orphan_count -= socket->orphan;
    if (stream_spare_keep(queue, socket)) {
        if (reply->channel != NULL) {
            deliver_reply(queue, reply);
        }
        return true;
    }
    /* From here on the memory is the control thread's: nothing after this touches socket. */
    return request_forward(queue, &message);
}

void request_pin(struct queue *queue, const struct message_reply *reply, int32_t change)
{
    if (reply->channel != NULL) {
        reply->channel->pending_control += (uint32_t)change;
        queue_part(queue, reply->channel->session)->pending_control += (uint32_t)change;
    }
}

void request_close_finish(struct queue *queue, struct dp_socket *socket)
{
    struct message_reply reply = socket->close_reply;
    bool shared = socket->session->house; /* the last descriptor's */
    bool may = socket->stream == NULL || stream_end_listening(queue, socket);
    if (!may || !request_close_now(queue, socket, &reply)) {
        request_block(socket);
    } else if (shared) {
        request_pin(queue, &reply, -1);
    }
}

static enum outcome request_close(struct queue *queue, struct dp_socket *socket,
                                  const struct message_reply *reply)
{
    if (socket->blocked) { /* what was sent goes out first */
        socket->closing = true;
        socket->close_reply = *reply;
        return OUTCOME_DONE;
    }
    return request_may_forward(queue, socket->part) && request_close_now(queue, socket, reply)
               ? OUTCOME_DONE
               : OUTCOME_LATER;
}

/* ---- done here, then by the parts
 * ------------------------------------------------------------------------------- */

/* The addresses that a report tells. Relaxed: nothing else hangs on them. */
static void request_name(struct dp_socket *socket)
{
    const struct udp_socket *udp = &socket->udp;
    atomic_store_explicit(&socket->local_name,
                          dp_socket_name(udp->local_be32, udp->local_port_be16),
                          memory_order_relaxed);
    atomic_store_explicit(&socket->peer_name,
                          udp->connected ? dp_socket_name(udp->peer_be32, udp->peer_port_be16) : 0,
                          memory_order_relaxed);
}

/* The addresses that the client is told. */
static void request_describe(struct dp_socket *socket)
{
    const struct udp_socket *udp = &socket->udp;
    request_name(socket);
    socket->desc->local = rs_addr_v4(udp->local_be32, udp->local_port_be16);
    socket->desc->peer = udp->connected ? rs_addr_v4(udp->peer_be32, udp->peer_port_be16)
                                        : (struct rs_addr){.family = RS_FAMILY_NONE};
}

void request_changed(struct queue *queue, const struct message *message, uint32_t status)
{
    if (message->socket->share != NULL && status == RS_OK) {
        share_dgram_changed(queue, message->socket->share, message);
    }
}

enum outcome request_change(struct queue *queue, struct dp_socket *socket,
                            struct session_part *asker, const struct rs_request *request,
                            struct message_reply *reply)
{
    bool spreads = queue->queue_count > 1 && socket->udp.bound;
    struct message message = {
        .kind = QUEUE_SPREAD, .session = asker->session, .socket = socket, .reply = *reply};
    message.body.spread.op = request->op;
    if (spreads && !request_may_forward(queue, asker)) {
        return OUTCOME_LATER;
    }
    if (request->op == RS_OP_CONNECT) {
        struct rs_addr *peer = &message.body.spread.peer;
        memcpy(peer, request->payload, sizeof(*peer));
        message.body.spread.local_be32 =
            peer->family == RS_FAMILY_IPV4 ? request_local_for(queue, socket, peer->ip.v4_be32) : 0;
    } else if (request->op == RS_OP_OPTION) {
        memcpy(&message.body.spread.option, request->payload, sizeof(message.body.spread.option));
    } else {
        memcpy(&message.body.spread.member, request->payload, sizeof(message.body.spread.member));
    }
    reply->status = (uint32_t)request_apply(queue, socket, &message);
    if (reply->status == RS_OK && request->op == RS_OP_CONNECT) {
        request_describe(socket);
        /* The parts take the address that this stack chose. */
        message.body.spread.local_be32 = socket->udp.connected ? socket->udp.local_be32 : 0;
    }
    if (reply->status != RS_OK || !spreads) {
        request_changed(queue, &message, reply->status);
        deliver_reply(queue, reply);
        return OUTCOME_DONE;
    }
    bool forwarded = request_forward(queue, &message);
    assert(forwarded); /* there was room, and nobody else fills it */
    (void)forwarded;
    socket->with_control = true;
    return OUTCOME_DONE;
}

enum outcome request_tx_stamp(struct queue *queue, struct dp_socket *socket,
                              struct session_part *asker, const struct rs_request *request,
                              struct message_reply *reply)
{
    struct rs_op_tx_stamp op;
    memcpy(&op, request->payload, sizeof(op));
    if (!stamps_take(queue, socket, asker, op.stamp_id, &reply->stamp.tx_tsc)) {
        reply->status = RS_WOULD_BLOCK;
    }
    deliver_reply(queue, reply);
    return OUTCOME_DONE;
}

/* Of nothing: who waits looks once more, as of a stream. */
static enum outcome request_shutdown(struct queue *queue, struct dp_socket *socket,
                                     const struct rs_request *request, struct message_reply *reply)
{
    struct rs_op_shutdown op;
    memcpy(&op, request->payload, sizeof(op));
    if (op.how == 0) {
        deliver_touch(queue, socket, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
    } else {
        reply->status = RS_NOT_SUPPORTED;
    }
    deliver_reply(queue, reply);
    return OUTCOME_DONE;
}

enum outcome request_control(struct queue *queue, struct dp_channel *channel,
                             struct dp_socket *socket, const struct rs_request *request)
{
    struct message_reply reply = {
        .channel = channel, .cell_idx = request->arg, .serial = request->serial, .status = RS_OK};
    if (socket == NULL) {
        if (request->op == RS_OP_OPEN) {
            return request_open(queue, channel, request, &reply);
        }
        if (request->op == RS_OP_SHARE_OPEN) {
            return share_open(queue, channel, request, &reply);
        }
        assert(request->op == RS_OP_NOP);
        deliver_reply(queue, &reply);
        return OUTCOME_DONE;
    }
    if (socket->with_control) {
        return OUTCOME_LATER;
    }
    if (socket->share != NULL && !share_is_core(socket)) {
        return share_control(queue, socket, request, &reply);
    }
    if (socket->stream != NULL) {
        return stream_control(queue, socket, socket->part, request, &reply);
    }
    switch (request->op) {
    case RS_OP_BIND:
        return request_bind(queue, socket, socket->part, request, &reply);
    case RS_OP_CLOSE:
        return request_close(queue, socket, &reply);
    case RS_OP_CONNECT:
    case RS_OP_OPTION:
    case RS_OP_MEMBER:
        return request_change(queue, socket, socket->part, request, &reply);
    case RS_OP_TX_STAMP:
        return request_tx_stamp(queue, socket, socket->part, request, &reply);
    case RS_OP_SHARE:
        return share_begin(queue, socket, request, &reply);
    case RS_OP_SHUTDOWN:
        return request_shutdown(queue, socket, request, &reply);
    case RS_OP_LISTEN:
    case RS_OP_TCP_INFO:
    case RS_OP_SHARE_SEND:
    case RS_OP_SHARE_RECV:
    case RS_OP_SHARE_SET:
    case RS_OP_SHARE_VALUES:
    case RS_OP_UNSHARE:
        reply.status = RS_NOT_SUPPORTED;
        deliver_reply(queue, &reply);
        return OUTCOME_DONE;
    default:
        assert(!"request_one let an unknown opcode through");
        return OUTCOME_DONE;
    }
}

/* ---- messages of the control thread
 * ------------------------------------------------------------------------------ */

void request_enter(struct dp_socket *socket)
{
    socket->part->sockets[socket->idx] = socket;
    socket->part->open_sockets++;
}

void request_opened(struct dp_socket *socket)
{
    struct rs_socket_state *state = socket->state;
    request_enter(socket);
    if (socket->stream != NULL) {
        stream_opened(socket);
    }
    /* relaxed: the reply's release orders them before the client's first look */
    atomic_store_explicit(&state->recv_dropped, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->errors_at_open,
                          atomic_load_explicit(&state->error_seq, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&state->mode, RS_MODE_LIVE, memory_order_relaxed);
    atomic_store_explicit(&state->generation, socket->generation, memory_order_relaxed);
}

/* The control thread granted the port and took the rings: enter the demux table. */
static enum rs_status request_join_table(struct queue *queue, struct dp_socket *socket,
                                         const struct rs_addr *local)
{
    struct rs_socket_client *client = (struct rs_socket_client *)(uintptr_t)socket->client;
    uint32_t limit_bytes = socket->recv_limit_bytes;
    dgram_writer_init(&socket->recv, socket->recv_base, socket->recv_ring.size_bytes,
                      &client->recv_head[queue->idx],
                      limit_bytes != 0 ? limit_bytes : socket->recv_ring.size_bytes, 0);
    return udp_socket_bind(queue->stack, &socket->udp, local->ip.v4_be32, local->port_be16);
}

static enum rs_status request_bound(struct queue *queue, struct dp_socket *socket,
                                    const struct rs_addr *local)
{
    if (socket->send_ring.size_bytes != 0) { /* a core has none (share_dgram.c) */
        dgram_send_reader_init(&socket->send, socket->send_base, socket->send_ring.size_bytes,
                               &socket->state->send_head, 0);
    }
    enum rs_status status = request_join_table(queue, socket, local);
    request_name(socket);
    return status;
}

static void request_tell_done(struct queue *queue, const struct message *message,
                              enum rs_status status)
{
    struct message done = {
        .kind = QUEUE_PART_DONE, .session = message->session, .socket = message->socket};
    done.reply.status = (uint32_t)status;
    bool told = request_forward(queue, &done);
    assert(told); /* queue_messages takes a message only when there is room for its answer */
    (void)told;
}

static void request_part_add(struct queue *queue, const struct message *message)
{
    struct dp_socket *part = message->socket;
    const struct message_options *options = &message->body.bind.options;
    part->recv_limit_bytes = options->recv_limit_bytes;
    part->multicast_if_be32 = options->multicast_if_be32;
    part->surface_connreset = options->surface_connreset;
    part->recv_control = options->recv_control;
    part->udp.ttl = options->ttl;
    part->udp.tos = options->tos;
    part->udp.multicast_ttl = options->multicast_ttl;
    part->udp.broadcast = options->broadcast;
    part->udp.multicast_loop = options->multicast_loop;
    request_enter(part);
    enum rs_status status = request_join_table(queue, part, &message->body.bind.addr);
    assert(status == RS_OK); /* the control thread checked the address, and the part is fresh */
    request_tell_done(queue, message, status);
}

/* What one queue had no room for is taken back at home, as the control thread did elsewhere. */
static void request_spread_done(struct queue *queue, const struct message *message)
{
    if (message->reply.status != RS_OK && message->body.spread.op == RS_OP_MEMBER) {
        struct rs_op_member undo = message->body.spread.member;
        if (message_member_inverse(&undo)) {
            (void)!request_member(queue, message->socket, &undo);
        }
    }
}

/* What a request of a client waited for: carried out here, then its reply may go. */
static void request_answer(struct queue *queue, const struct message *message)
{
    struct dp_socket *socket = message->socket;
    struct message_reply reply = message->reply;
    switch (message->kind) {
    case CONTROL_OPENED:
        if (socket != NULL) {
            request_opened(socket);
        }
        break;
    case CONTROL_BOUND:
        socket->with_control = false;
        if (reply.status == RS_OK && socket->stream != NULL) {
            stream_bound(socket, &message->body.bind.addr);
        } else if (reply.status == RS_OK) {
            reply.status = (uint32_t)request_bound(queue, socket, &message->body.bind.addr);
        }
        if (reply.status == RS_OK && socket->share != NULL) {
            share_bound(queue, socket->share);
        }
        break;
    case CONTROL_SPREAD_DONE:
        socket->with_control = false;
        request_spread_done(queue, message);
        request_changed(queue, message, reply.status);
        break;
    case CONTROL_RINGS:
        socket->with_control = false;
        if (reply.status == RS_OK) {
            reply.status = (uint32_t)stream_rings(queue, socket, &message->body.addr);
        }
        break;
    case CONTROL_LISTENED:
        socket->with_control = false;
        reply.status = (uint32_t)stream_listened(queue, message);
        if (socket->share != NULL) {
            share_listened(queue, socket->share);
        }
        break;
    case CONTROL_SHARED:
        reply.status = (uint32_t)share_shared(queue, message);
        break;
    case CONTROL_UNSHARED:
        reply.status = (uint32_t)share_unshared(queue, message, &reply.unshared);
        break;
    case CONTROL_SHARE_OPENED:
        share_opened(message);
        break;
    case CONTROL_SHARE_ACCEPTED:
        share_accepted(queue, message, &reply);
        break;
    case CONTROL_CLOSED:
        break;
    default:
        assert(!"a message for the control thread came to a queue");
    }
    reply.channel->pending_control--;
    queue_part(queue, message->session)->pending_control--;
    deliver_reply(queue, &reply);
}

static void request_capture(struct queue *queue, struct capture *capture)
{
    struct message stopped = {.kind = QUEUE_CAPTURE_STOPPED};
    queue_set_capture(queue, capture);
    if (capture == NULL) {
        bool told = request_forward(queue, &stopped);
        assert(told); /* as in request_tell_done */
        (void)told;
    }
}

static void request_part_remove(struct queue *queue, struct dp_socket *part)
{
    const struct message_reply nobody = {.channel = NULL};
    if (part->stream != NULL) {
        stream_listen_end(queue, part);
    }
    bool removed = request_close_now(queue, part, &nobody);
    assert(removed); /* as in request_tell_done */
    (void)removed;
}

/* What the control thread tells a queue about one part of a socket. */
static void request_part(struct queue *queue, const struct message *message)
{
    switch (message->kind) {
    case CONTROL_PART_ADD:
        request_part_add(queue, message);
        break;
    case CONTROL_PART_LISTEN:
        request_tell_done(queue, message, stream_part_listen(queue, message));
        break;
    case CONTROL_PART_UNLISTEN:
        stream_part_unlisten(queue, message->socket);
        request_tell_done(queue, message, RS_OK);
        break;
    case CONTROL_PART_REMOVE:
        request_part_remove(queue, message->socket);
        break;
    case CONTROL_PART_MOVE:
        (void)share_dgram_may_move(queue, message->socket);
        share_dgram_move(queue, message->socket, &message->body.share.place, message->socket->part);
        request_tell_done(queue, message, RS_OK);
        break;
    case CONTROL_SPREAD:
        request_tell_done(queue, message, request_apply(queue, message->socket, message));
        break;
    default:
        request_answer(queue, message);
    }
}

void request_message(struct queue *queue, const struct message *message)
{
    switch (message->kind) {
    case CONTROL_SESSION_ADD:
        queue_session_add(queue, message->session);
        break;
    case CONTROL_CHANNEL_ADD:
        queue_channel_add(queue, message->channel);
        break;
    case CONTROL_CHANNEL_REMOVE:
        message->channel->removing = true;
        message->channel->part->removing_count++;
        queue->removing_count++;
        break;
    case CONTROL_SESSION_END:
        queue->ending[queue->ending_count++] = message->session;
        rs_session_poison(message->session->header, RS_DATAPLANE_GONE);
        deliver_wake_session(queue, message->session);
        break;
    case CONTROL_PLACE:
        stream_place(queue, message);
        break;
    case CONTROL_REPORT:
        queue->report = message->body.report;
        break;
    case CONTROL_SPARE:
        stream_spare_add(message->socket);
        break;
    case CONTROL_SPARES_BACK:
        stream_spares_recall(queue, queue_part(queue, message->session));
        break;
    case CONTROL_ACCEPT:
        share_accept_move(queue, message);
        break;
    case CONTROL_SHARE_EXPIRED:
        share_expired(queue, message->body.share.share);
        break;
    case CONTROL_CAPTURE:
        request_capture(queue, message->body.capture);
        break;
    default:
        request_part(queue, message);
    }
}
