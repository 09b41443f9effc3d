/*
 * What clients ask for: takes request slots off a channel, checks every word on a copy, sends
 * datagrams, and carries control requests out here (CONNECT, OPTION, MEMBER, NOP) or hands them to
 * the control thread (OPEN, BIND, CLOSE). Queue thread. Called by queue.c; calls udp.c, deliver.c
 * and the rings.
 *
 * A request that breaks the protocol (unknown opcode, another socket's index, a tail outside the
 * ring) poisons its session. A request that is merely refused gets its status in the reply.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/queue.h"
#include "rings/seq.h"

#define REQUEST_END_HEARTBEATS 1000u /* of a millisecond each */

/* What became of one request. */
enum outcome {
    OUTCOME_DONE,
    OUTCOME_LATER,   /* leave the slot where it is: no room towards the control thread or the NIC */
    OUTCOME_POISONED /* the session is not polled any more */
};

static void request_close_finish(struct queue *queue, struct dp_socket *socket);

void request_poison(struct queue *queue, struct dp_session *session, enum rs_status status,
                    const char *text)
{
    if (session->poison_status != RS_OK) {
        return;
    }
    session->poison_status = status;
    rs_session_poison(session->header, status);
    struct message message = {.kind = QUEUE_POISONED, .session = session};
    message.body.poison.status = (uint32_t)status;
    message.body.poison.text = text;
    /* When the ring to the control thread is full the session is still ended: control sees
     * header->poisoned when the client leaves. */
    queue->control_told |= message_push(queue->to_control, &message);
    deliver_wake_session(queue, session);
}

/* ---- data
 * -------------------------------------------------------------------------------------------------------
 */

static void request_block(struct queue *queue, struct dp_socket *socket)
{
    if (!socket->blocked) {
        socket->blocked = true;
        socket->blocked_next = queue->blocked;
        queue->blocked = socket;
    }
}

/* Bytes this session may still send in this iteration; the first asking refills it. */
static bool request_budget_take(struct queue *queue, struct dp_session *session, uint32_t bytes)
{
    if (session->budget_poll != queue->poll_number) {
        session->budget_poll = queue->poll_number;
        session->budget_bytes = session->config->bytes_per_poll;
    }
    if (session->budget_bytes == 0) {
        return false;
    }
    session->budget_bytes = session->budget_bytes > bytes ? session->budget_bytes - bytes : 0;
    return true;
}

static void request_drain(struct queue *queue, struct dp_socket *socket)
{
    struct dgram_send_view record;
    for (;;) {
        enum rs_status status = dgram_send_reader_peek(&socket->send, &record);
        if (status == RS_WOULD_BLOCK) {
            break;
        }
        if (status != RS_OK) {
            request_poison(queue, socket->session, status, "a send ring record leaves its ring");
            break;
        }
        if (!request_budget_take(queue, socket->session, record.header.len_bytes)) {
            request_block(queue, socket);
            break;
        }
        uint32_t dst_be32 = record.header.family == RS_FAMILY_NONE ? 0 : record.header.dst_be32;
        status = udp_send(queue->stack, &socket->udp, dst_be32, record.header.port_be16,
                          record.payload, record.header.len_bytes);
        if (status == RS_WOULD_BLOCK) {
            request_block(queue, socket);
            break;
        }
        if (status != RS_OK) {
            deliver_error(queue, socket, status);
        }
        dgram_send_reader_advance(&socket->send, &record);
    }
    queue->expected[socket->idx % QUEUE_EXPECTED] = dgram_send_reader_next(&socket->send);
    deliver_touch(queue, socket, RS_LEVEL_WRITABLE);
}

static enum outcome request_post(struct queue *queue, struct dp_channel *channel,
                                 struct dp_socket *socket, const struct rs_request *request)
{
    if (socket->send.size_bytes == 0) {
        request_poison(queue, socket->session, RS_POISONED, "POST on a socket without a send ring");
        return OUTCOME_POISONED;
    }
    if (dgram_send_reader_extend(&socket->send, request->arg) != RS_OK) {
        request_poison(queue, socket->session, RS_POISONED, "POST with a tail outside the ring");
        return OUTCOME_POISONED;
    }
    socket->posted = true;
    socket->post_position = channel->requests.head; /* of the slot in hand */
    socket->post_channel = channel;
    if (socket->blocked) {
        deliver_touch(queue, socket, 0); /* drained in its turn, after what blocks */
    } else {
        request_drain(queue, socket);
    }
    return socket->session->poison_status == RS_OK ? OUTCOME_DONE : OUTCOME_POISONED;
}

void request_reread_level(struct queue *queue, struct dp_socket *socket)
{
    uint32_t tail;
    if (socket->session->poison_status != RS_OK || !post_pressure(socket->post_channel->client) ||
        !post_level_take(socket->client, socket->post_position, &tail)) {
        return;
    }
    if (dgram_send_reader_extend(&socket->send, tail) != RS_OK) {
        request_poison(queue, socket->session, RS_POISONED, "send_level outside the ring");
    } else if (!socket->blocked) {
        request_drain(queue, socket);
    }
}

static enum outcome request_send_inline(struct queue *queue, struct dp_socket *socket,
                                        const struct rs_request *request)
{
    if (request->len_bytes > RS_INLINE_BYTES) {
        request_poison(queue, socket->session, RS_POISONED, "inline send longer than its slot");
        return OUTCOME_POISONED;
    }
    if (socket->blocked) {
        return OUTCOME_LATER; /* order: its send ring goes first */
    }
    enum rs_status status = udp_send(queue->stack, &socket->udp, request->arg, request->port_be16,
                                     request->payload, request->len_bytes);
    if (status == RS_WOULD_BLOCK) {
        return OUTCOME_LATER;
    }
    if (status != RS_OK) {
        deliver_error(queue, socket, status);
    }
    return OUTCOME_DONE;
}

void request_retry_blocked(struct queue *queue)
{
    struct dp_socket *socket = queue->blocked;
    queue->blocked = NULL;
    while (socket != NULL) {
        struct dp_socket *next = socket->blocked_next;
        socket->blocked = false;
        if (socket->session->poison_status == RS_OK) {
            request_drain(queue, socket); /* may enter it in the new list */
        }
        if (!socket->blocked && socket->closing) {
            request_close_finish(queue, socket);
        }
        socket = next;
    }
}

/* ---- control requests carried out here
 * ------------------------------------------------------------------------ */

static enum rs_status request_connect(struct queue *queue, struct dp_socket *socket,
                                      const struct rs_request *request)
{
    struct rs_addr peer;
    memcpy(&peer, request->payload, sizeof(peer));
    if (!socket->udp.bound) {
        return RS_INVALID;
    }
    if (peer.family != RS_FAMILY_IPV4 && peer.family != RS_FAMILY_NONE) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    uint32_t ip_be32 = peer.family == RS_FAMILY_NONE ? 0 : peer.ip.v4_be32;
    enum rs_status status = udp_socket_connect(queue->stack, &socket->udp, ip_be32, peer.port_be16);
    if (status == RS_OK) {
        socket->desc->local = rs_addr_v4(socket->udp.local_be32, socket->udp.local_port_be16);
        socket->desc->peer = socket->udp.connected
                                 ? rs_addr_v4(socket->udp.peer_be32, socket->udp.peer_port_be16)
                                 : (struct rs_addr){.family = RS_FAMILY_NONE};
    }
    return status;
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
                                     const struct rs_request *request)
{
    struct rs_op_option op;
    memcpy(&op, request->payload, sizeof(op));
    switch (op.option) {
    case RS_OPT_RCVBUF:
        /* 0 still lets one datagram wait at a time, as a socket without a buffer of its own does */
        socket->recv_limit_bytes = op.value != 0 ? op.value : 1;
        if (socket->recv.size_bytes != 0) {
            socket->recv.limit_bytes = socket->recv_limit_bytes;
        }
        return RS_OK;
    case RS_OPT_SNDBUF:
        return RS_OK; /* the client's own limit; the ring bounds it here */
    case RS_OPT_REUSEADDR:
        return socket->udp.bound ? RS_INVALID : request_option_flag(&socket->reuse, op.value);
    case RS_OPT_EXCLUSIVEADDR:
        return socket->udp.bound ? RS_INVALID : request_option_flag(&socket->exclusive, op.value);
    case RS_OPT_BROADCAST:
        return request_option_flag(&socket->udp.broadcast, op.value);
    case RS_OPT_TTL:
        return request_option_byte(&socket->udp.ttl, op.value, 1);
    case RS_OPT_TOS:
        return request_option_byte(&socket->udp.tos, op.value, 0);
    case RS_OPT_MCAST_TTL:
        return request_option_byte(&socket->udp.multicast_ttl, op.value, 0);
    case RS_OPT_MCAST_IF: /* one NIC: its own addresses, or 'default', mean the same */
        return op.value == 0 || stack_is_own_address(queue->stack, op.value)
                   ? RS_OK
                   : RS_ADDR_NOT_AVAILABLE;
    case RS_OPT_MCAST_LOOP:
        return request_option_flag(&socket->udp.multicast_loop, op.value);
    case RS_OPT_CONNRESET:
        return request_option_flag(&socket->surface_connreset, op.value);
    default:
        return RS_BAD_OPTION;
    }
}

static enum rs_status request_member(struct queue *queue, struct dp_socket *socket,
                                     const struct rs_request *request)
{
    struct dp_session *session = socket->session;
    struct rs_op_member op;
    memcpy(&op, request->payload, sizeof(op));
    if (session->membership_count >= session->config->limit_memberships &&
        (op.action == RS_MEMBER_JOIN || op.action == RS_MEMBER_JOIN_SOURCE)) {
        return RS_NO_BUFFERS;
    }
    session->membership_count -= udp_socket_membership_count(&socket->udp);
    enum rs_status status = udp_socket_member(queue->stack, &socket->udp, &op);
    session->membership_count += udp_socket_membership_count(&socket->udp);
    return status;
}

/* ---- control requests for the control thread
 * ------------------------------------------------------------------- */

static bool request_forward(struct queue *queue, struct message *message)
{
    if (!message_push(queue->to_control, message)) {
        return false;
    }
    queue->control_told = true;
    if (message->reply.channel != NULL) {
        message->reply.channel->pending_control++;
        message->session->pending_control++;
    }
    return true;
}

static enum outcome request_open(struct queue *queue, struct dp_session *session,
                                 const struct rs_request *request,
                                 const struct message_reply *reply)
{
    struct message message = {.kind = QUEUE_OPEN, .session = session, .reply = *reply};
    memcpy(&message.body.open, request->payload, sizeof(message.body.open));
    return request_forward(queue, &message) ? OUTCOME_DONE : OUTCOME_LATER;
}

static enum outcome request_bind(struct queue *queue, struct dp_socket *socket,
                                 const struct rs_request *request, struct message_reply *reply)
{
    if (socket->udp.bound || socket->bind_sent) {
        reply->status = RS_INVALID;
        deliver_reply(queue, reply);
        return OUTCOME_DONE;
    }
    struct message message = {
        .kind = QUEUE_BIND, .session = socket->session, .socket = socket, .reply = *reply};
    memcpy(&message.body.addr, request->payload, sizeof(message.body.addr));
    socket->bind_sent = true;
    if (!request_forward(queue, &message)) {
        socket->bind_sent = false;
        return OUTCOME_LATER;
    }
    return OUTCOME_DONE;
}

/* The socket leaves every table of this queue and goes back to the control thread. False: no room
 * for the message, ask again. */
static bool request_close_now(struct queue *queue, struct dp_socket *socket,
                              const struct message_reply *reply)
{
    struct dp_session *session = socket->session;
    struct message message = {
        .kind = QUEUE_CLOSED, .session = session, .socket = socket, .reply = *reply};
    if (!message_has_room(queue->to_control)) {
        return false;
    }
    deliver_closed(queue, socket);
    session->membership_count -= udp_socket_membership_count(&socket->udp);
    udp_socket_close(queue->stack, &socket->udp);
    session->sockets[socket->idx] = NULL;
    session->open_sockets--;
    /* From here on the memory is the control thread's: nothing after this touches socket. */
    return request_forward(queue, &message);
}

/* A close that waited for the send ring to drain. Without room it waits on the blocked list for the
 * next iteration. */
static void request_close_finish(struct queue *queue, struct dp_socket *socket)
{
    struct message_reply reply = socket->close_reply;
    if (!request_close_now(queue, socket, &reply)) {
        request_block(queue, socket);
    }
}

static enum outcome request_close(struct queue *queue, struct dp_socket *socket,
                                  const struct message_reply *reply)
{
    if (socket->bind_sent) {
        return OUTCOME_LATER;
    }
    if (socket->blocked) { /* what was sent goes out first */
        socket->closing = true;
        socket->close_reply = *reply;
        return OUTCOME_DONE;
    }
    return request_close_now(queue, socket, reply) ? OUTCOME_DONE : OUTCOME_LATER;
}

static enum outcome request_control(struct queue *queue, struct dp_channel *channel,
                                    struct dp_socket *socket, const struct rs_request *request)
{
    struct message_reply reply = {
        .channel = channel, .cell_idx = request->arg, .serial = request->serial, .status = RS_OK};
    switch (request->op) {
    case RS_OP_NOP:
        break;
    case RS_OP_OPEN:
        return request_open(queue, channel->session, request, &reply);
    case RS_OP_BIND:
        return request_bind(queue, socket, request, &reply);
    case RS_OP_CLOSE:
        return request_close(queue, socket, &reply);
    case RS_OP_CONNECT:
        reply.status = request_connect(queue, socket, request);
        break;
    case RS_OP_OPTION:
        reply.status = request_option(queue, socket, request);
        break;
    case RS_OP_MEMBER:
        reply.status = request_member(queue, socket, request);
        break;
    default:
        assert(!"request_one let an unknown opcode through");
    }
    deliver_reply(queue, &reply);
    return OUTCOME_DONE;
}

static bool request_names_socket(uint8_t op)
{
    return op != RS_OP_NOP && op != RS_OP_OPEN;
}

static enum outcome request_one(struct queue *queue, struct dp_channel *channel,
                                const struct rs_request *request)
{
    struct dp_session *session = channel->session;
    bool data = request->op == RS_OP_SEND_INLINE || request->op == RS_OP_POST;
    if (request->op == RS_OP_NONE || request->op >= RS_OP_COUNT) {
        request_poison(queue, session, RS_POISONED, "unknown opcode");
        return OUTCOME_POISONED;
    }
    if (!data && (request->arg >= RS_REPLY_CELLS || request->serial == 0)) {
        request_poison(queue, session, RS_POISONED, "control request without a valid reply cell");
        return OUTCOME_POISONED;
    }
    struct dp_socket *socket = NULL;
    if (request_names_socket(request->op)) {
        if (request->socket_idx >= session->config->limit_sockets) {
            request_poison(queue, session, RS_POISONED, "socket index outside the table");
            return OUTCOME_POISONED;
        }
        socket = session->sockets[request->socket_idx];
        if (socket == NULL || socket->generation != request->generation || socket->closing) {
            /* Closed by another thread of the program meanwhile: no violation. */
            if (!data) {
                struct message_reply reply = {.channel = channel,
                                              .cell_idx = request->arg,
                                              .serial = request->serial,
                                              .status = RS_NOT_SOCKET};
                deliver_reply(queue, &reply);
            }
            return OUTCOME_DONE;
        }
    }
    switch (request->op) {
    case RS_OP_SEND_INLINE:
        return request_send_inline(queue, socket, request);
    case RS_OP_POST:
        return request_post(queue, channel, socket, request);
    default:
        return request_control(queue, channel, socket, request);
    }
}

uint32_t request_consume(struct queue *queue, struct dp_channel *channel, uint32_t budget)
{
    uint32_t taken = 0;
    struct rs_request request;
    if (channel->session->poison_status != RS_OK) {
        return 0;
    }
    while (taken < budget && slot_consumer_peek(&channel->requests, &request)) {
        if (request_one(queue, channel, &request) != OUTCOME_DONE) {
            break;
        }
        slot_consumer_advance(&channel->requests);
        taken++;
    }
    if (taken != 0) {
        deliver_consumed(queue, channel);
    }
    return taken;
}

/* ---- answers of the control thread
 * ------------------------------------------------------------------------------ */

static void request_opened(const struct message *message)
{
    struct dp_socket *socket = message->socket;
    struct rs_socket_state *state = socket->state;
    struct dp_session *session = message->session;
    session->sockets[socket->idx] = socket;
    session->open_sockets++;
    socket->error_count = atomic_load_explicit(&state->error_seq, memory_order_relaxed);
    /* relaxed: the reply's release orders them before the client's first look */
    atomic_store_explicit(&state->recv_dropped, 0, memory_order_relaxed);
    atomic_store_explicit(&state->mode, RS_MODE_LIVE, memory_order_relaxed);
    atomic_store_explicit(&state->generation, socket->generation, memory_order_relaxed);
}

/* The control thread granted the port and took the rings: enter the demux table. */
static enum rs_status request_bound(struct queue *queue, struct dp_socket *socket,
                                    const struct rs_addr *local)
{
    struct rs_socket_client *client = (struct rs_socket_client *)(uintptr_t)socket->client;
    dgram_send_reader_init(&socket->send, socket->send_base, socket->send_ring.size_bytes,
                           &socket->state->send_head, 0);
    uint32_t limit_bytes = socket->recv_limit_bytes;
    dgram_writer_init(&socket->recv, socket->recv_base, socket->recv_ring.size_bytes,
                      &client->recv_head[queue->idx],
                      limit_bytes != 0 ? limit_bytes : socket->recv_ring.size_bytes, 0);
    return udp_socket_bind(queue->stack, &socket->udp, local->ip.v4_be32, local->port_be16);
}

void request_message(struct queue *queue, const struct message *message)
{
    struct message_reply reply = message->reply;
    switch (message->kind) {
    case CONTROL_CHANNEL_ADD:
        queue_channel_add(queue, message->channel);
        return;
    case CONTROL_CHANNEL_REMOVE:
        message->channel->removing = true;
        queue->removing_count++;
        return;
    case CONTROL_SESSION_END:
        queue->ending[queue->ending_count++] = message->session;
        rs_session_poison(message->session->header, RS_DATAPLANE_GONE);
        deliver_wake_session(queue, message->session);
        return;
    case CONTROL_OPENED:
        if (message->socket != NULL) {
            request_opened(message);
        }
        break;
    case CONTROL_BOUND:
        message->socket->bind_sent = false;
        if (reply.status == RS_OK) {
            reply.status = (uint32_t)request_bound(queue, message->socket, &message->body.addr);
        }
        break;
    case CONTROL_CLOSED:
        break;
    default:
        assert(!"a message for the control thread came to a queue");
    }
    reply.channel->pending_control--;
    message->session->pending_control--;
    deliver_reply(queue, &reply);
}

/* ---- ends
 * -------------------------------------------------------------------------------------------------------
 */

/* What a dying client published is still sent, for at most a second: a live one that goes on
 * posting must not hold its session open. */
static void request_end_overdue(struct queue *queue, struct dp_session *session)
{
    if (session->end_deadline_tsc == 0) {
        session->end_deadline_tsc = queue->now_tsc + queue->heartbeat_tsc * REQUEST_END_HEARTBEATS;
    }
    if (queue->now_tsc >= session->end_deadline_tsc && session->poison_status == RS_OK) {
        session->poison_status =
            RS_DATAPLANE_GONE; /* read nothing more; request_retry_blocked lets go of what waits */
    }
}

/* This iteration's lists still hold the channel: it may go to the control thread when
 * deliver_settle is through. */
static bool request_channel_listed(const struct dp_channel *channel)
{
    return channel->wake || channel->consumed;
}

bool request_session_end(struct queue *queue, struct dp_session *session)
{
    const struct message_reply nobody = {.channel = NULL};
    if (session->pending_control != 0) {
        return false;
    }
    request_end_overdue(queue, session);
    for (uint32_t i = 0; i < queue->channel_count; i++) {
        const struct dp_channel *channel = queue->channels[i];
        /* Published posts are drained: not done while one channel still has something. */
        if (channel->session == session && session->poison_status == RS_OK &&
            slot_consumer_pending(&channel->requests)) {
            return false;
        }
    }
    for (uint32_t i = 0; session->open_sockets != 0 && i < session->config->limit_sockets; i++) {
        struct dp_socket *socket = session->sockets[i];
        if (socket != NULL && (socket->blocked || !request_close_now(queue, socket, &nobody))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < queue->channel_count; i++) {
        if (queue->channels[i]->session == session && request_channel_listed(queue->channels[i])) {
            return false;
        }
    }
    struct message message = {.kind = QUEUE_SESSION_ENDED, .session = session};
    if (!message_has_room(queue->to_control)) {
        return false;
    }
    queue_session_forget(queue, session);
    return request_forward(queue, &message);
}

bool request_channel_remove(struct queue *queue, struct dp_channel *channel)
{
    if (channel->pending_control != 0 || request_channel_listed(channel) ||
        (channel->session->poison_status == RS_OK && slot_consumer_pending(&channel->requests))) {
        return false;
    }
    struct message message = {
        .kind = QUEUE_CHANNEL_REMOVED, .session = channel->session, .channel = channel};
    if (!message_has_room(queue->to_control)) {
        return false;
    }
    queue_channel_forget(queue, channel);
    return request_forward(queue, &message);
}
