/*
 * Descriptors of shared sockets, see share.h: how they come and go, what they ask for, what they
 * are told. Queue thread. Called by stream_control.c and request_control.c (requests, messages),
 * deliver.c (something happened to the core); calls share_data.c, share_move.c and stream*.c.
 *
 * A descriptor's request about the connection is carried out on the core, and answered to whoever
 * asked. What happens to the core is told to all: share_mirror copies its words to every state
 * line.
 */
#include "dataplane/share.h"

#include <assert.h>
#include <string.h>

/* ---- what descriptors are told ---- */

static void mirror_word(rs_atomic_u32 *word, uint32_t value)
{
    /* The queue is the only writer. Release, partner the client's acquire of a level: what it
     * announces comes before it. */
    if (atomic_load_explicit(word, memory_order_relaxed) != value) {
        atomic_store_explicit(word, value, memory_order_release);
    }
}

static void mirror_count(rs_atomic_u32 *word)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* Errors are counted in each place by itself, for a place's count goes on from socket to socket. */
static void mirror_errors(struct dp_share *share, bool error, bool reset)
{
    uint32_t code = atomic_load_explicit(&share->core->state->error_code, memory_order_relaxed);
    for (struct dp_socket *each = share->first; each != NULL; each = each->share_next) {
        atomic_store_explicit(&each->state->error_code, code, memory_order_relaxed);
        if (error) {
            mirror_count(&each->state->error_seq);
        }
        if (reset) {
            mirror_count(&each->state->reset_seq);
        }
    }
}

/* As errors. */
static void mirror_drops(struct dp_share *share, uint32_t drops)
{
    for (struct dp_socket *each = share->first; each != NULL; each = each->share_next) {
        atomic_fetch_add_explicit(&each->state->recv_dropped, drops - share->drops_told,
                                  memory_order_relaxed);
    }
    share->drops_told = drops;
}

void share_mirror(struct dp_share *share)
{
    const struct rs_socket_state *core = share->core->state;
    uint32_t level = share_has_records(share->core) ? share_dgram_level(share)
                     : share_has_bytes(share->core) ? share_level(share)
                                                    : share->core->stream->level;
    /* Calls that were ended do not wait, and other descriptors' programs cannot know of it. */
    level |= (share->values.shut & RS_SHUTDOWN_RECV) != 0 ? (uint32_t)RS_LEVEL_READABLE : 0;
    level |= (share->values.shut & RS_SHUTDOWN_SEND) != 0 ? (uint32_t)RS_LEVEL_WRITABLE : 0;
    uint32_t drops = atomic_load_explicit(&core->recv_dropped, memory_order_relaxed);
    uint32_t errors = atomic_load_explicit(&core->error_seq, memory_order_relaxed);
    uint32_t resets = atomic_load_explicit(&core->reset_seq, memory_order_relaxed);
    if (errors != share->errors_told || resets != share->resets_told) {
        mirror_errors(share, errors != share->errors_told, resets != share->resets_told);
        share->errors_told = errors;
        share->resets_told = resets;
    }
    if (drops != share->drops_told) {
        mirror_drops(share, drops);
    }
    for (struct dp_socket *each = share->first; each != NULL; each = each->share_next) {
        mirror_word(&each->state->share_seq, share->values.seq);
        mirror_word(&each->state->share_events, share->values.values[RS_SHARE_EVENTS]);
        mirror_word(&each->state->share_count, share->descriptors + share->tokens);
        mirror_word(&each->state->level, level);
    }
}

void share_touched(struct queue *queue, struct dp_socket *socket, uint32_t happened)
{
    struct dp_share *share = socket->share;
    if (share->core != socket) {
        return; /* it is a descriptor, and being told */
    }
    share_mirror(share);
    for (struct dp_socket *each = share->first; each != NULL && happened != 0;
         each = each->share_next) {
        deliver_touch(queue, each, happened);
    }
}

void share_changed(struct queue *queue, struct dp_share *share)
{
    share->values.seq++;
    share_touched(queue, share->core, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
}

/* ---- before there is a connection: the core is bound, connects, or listens ---- */

/* The descriptor's names are the core's. */
static void share_name(const struct dp_socket *core, struct dp_socket *socket)
{
    socket->desc->local = core->desc->local;
    socket->desc->peer = core->desc->peer;
    atomic_store_explicit(&socket->local_name,
                          atomic_load_explicit(&core->local_name, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&socket->peer_name,
                          atomic_load_explicit(&core->peer_name, memory_order_relaxed),
                          memory_order_relaxed);
}

void share_named(struct queue *queue, struct dp_share *share)
{
    const struct dp_socket *core = share->core;
    for (struct dp_socket *each = share->first; each != NULL; each = each->share_next) {
        share_name(core, each);
    }
    share_changed(queue, share);
}

void share_bound(struct queue *queue, struct dp_share *share)
{
    if (share->core->stream == NULL) {
        share_dgram_begin(queue, share);
    }
    share_named(queue, share);
}

void share_listened(struct queue *queue, struct dp_share *share)
{
    if (share->core->stream->phase == STREAM_LISTENING) {
        share_dgram_begin(queue, share);
    }
    share_changed(queue, share);
}

/* ---- descriptors come ---- */

/* The client reads a name in any state of a socket that has a descriptor. */
static void share_describe_idle(struct dp_socket *socket)
{
    bool bound = socket->stream != NULL ? socket->stream->bound : socket->udp.bound;
    if (!bound) {
        socket->desc->local = rs_addr_v4(0, 0);
    }
    socket->desc->peer = (struct rs_addr){.family = RS_FAMILY_NONE};
    socket->desc->type = socket->stream != NULL ? RS_SOCK_STREAM : RS_SOCK_DGRAM;
    socket->desc->home_queue_idx = socket->queue_idx;
}

static void share_join(struct dp_share *share, struct dp_socket *socket)
{
    struct dp_socket *core = share->core;
    struct rs_socket_state *state = socket->state;
    socket->share = share;
    socket->share_next = share->first;
    share->first = socket;
    share->descriptors++;
    if (socket->stream != NULL) {
        socket->stream->bound = true; /* no BIND, and no spare */
    }
    memset(socket->desc->recv, 0, sizeof(socket->desc->recv));
    share_name(core, socket);
    socket->desc->type = core->desc->type;
    socket->desc->generation = socket->generation;
    socket->desc->home_queue_idx = core->desc->home_queue_idx;
    socket->desc->flags = 0;
    socket->desc->send = socket->send_ring;
    socket->desc->recv[socket->queue_idx] = socket->recv_ring;
    atomic_store_explicit(&state->connected_tsc,
                          atomic_load_explicit(&core->state->connected_tsc, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&state->error_code,
                          atomic_load_explicit(&core->state->error_code, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&state->mode, RS_MODE_SHARED, memory_order_relaxed);
    share_mirror(share);
}

static enum outcome share_ask(struct queue *queue, struct dp_socket *socket,
                              const struct rs_op_share *op, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    if (share != NULL &&
        share->descriptors + share->tokens + share->asked >= SHARE_DESCRIPTORS_MAX) {
        return stream_answer(queue, reply, RS_TOO_MANY_SOCKETS);
    }
    struct message message = {
        .kind = QUEUE_SHARE, .session = socket->session, .socket = socket, .reply = *reply};
    message.body.share.op = *op;
    message.body.share.share = socket->share;
    if (socket->share == NULL && !share_has_records(socket)) {
        const struct stream_local *local = &socket->stream->local;
        message.body.share.recv_bytes =
            local->on ? local->recv.size_bytes : socket->recv_ring.size_bytes;
        message.body.share.borrower = share_is_lent(socket) ? local->borrower : NULL;
    }
    if (!request_may_forward(queue, socket->part) || !request_forward(queue, &message)) {
        return OUTCOME_LATER;
    }
    socket->with_control = true;
    if (share != NULL) {
        share->asked++;
    }
    return OUTCOME_DONE;
}

enum outcome share_begin(struct queue *queue, struct dp_socket *socket,
                         const struct rs_request *request, struct message_reply *reply)
{
    struct dp_stream *stream = socket->stream;
    struct rs_op_share op;
    memcpy(&op, request->payload, sizeof(op));
    bool records = share_has_records(socket);
    if (share_has_bytes(socket) && stream->leaving) {
        return stream_answer(queue, reply, RS_NOT_SUPPORTED);
    }
    if (stream != NULL && stream->phase == STREAM_IDLE && !stream_may_begin(queue, stream)) {
        return OUTCOME_LATER;
    }
    if (stream != NULL ? stream->phase == STREAM_IDLE : !socket->udp.bound) {
        share_describe_idle(socket);
    }
    /* share_move is not for nothing; and what was sent goes out first. */
    if (socket->part->bytes_left <= 0 || socket->blocked) {
        return OUTCOME_LATER;
    }
    if (!records) {
        stream_take_level(queue, socket);
    }
    if (!(records ? share_dgram_may_move(queue, socket) : share_may_move(queue, socket))) {
        return OUTCOME_POISONED;
    }
    return share_ask(queue, socket, &op, reply);
}

enum outcome share_open(struct queue *queue, struct dp_channel *channel,
                        const struct rs_request *request, struct message_reply *reply)
{
    struct message message = {
        .kind = QUEUE_SHARE_OPEN, .session = channel->session, .reply = *reply};
    memcpy(&message.body.token, request->payload, sizeof(message.body.token));
    return request_may_forward(queue, channel->part) && request_forward(queue, &message)
               ? OUTCOME_DONE
               : OUTCOME_LATER;
}

enum rs_status share_shared(struct queue *queue, const struct message *message)
{
    struct dp_share *share = message->body.share.share;
    struct dp_socket *socket = message->socket;
    struct dp_socket *descriptor = message->body.share.descriptor;
    socket->with_control = false;
    if (socket->share != NULL) {
        socket->share->asked--;
    }
    if (message->reply.status != RS_OK) {
        return (enum rs_status)message->reply.status;
    }
    if (descriptor != NULL) {
        share->core = socket;
        bool records = share_has_records(socket);
        if (records) {
            share_dgram_move(queue, socket, &message->body.share.place, socket->part);
        } else {
            share_move(queue, socket, &message->body.share.place, socket->part, true);
        }
        socket->share = share;
        share->errors_told = atomic_load_explicit(&socket->state->error_seq, memory_order_relaxed);
        share->resets_told = atomic_load_explicit(&socket->state->reset_seq, memory_order_relaxed);
        share->drops_told =
            atomic_load_explicit(&socket->state->recv_dropped, memory_order_relaxed);
        if (records) {
            share_dgram_begin(queue, share);
        } else {
            share_data_begin(queue, share, &message->body.share.op);
        }
        share->values.shut =
            message->body.share.op.shut & (uint32_t)(RS_SHUTDOWN_RECV | RS_SHUTDOWN_SEND);
        request_enter(descriptor);
        share_join(share, descriptor);
        /* Who waits on it waits for other words from now on. */
        deliver_touch(queue, descriptor, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_END);
    }
    share->tokens++;
    share_mirror(share);
    return RS_OK;
}

void share_opened(const struct message *message)
{
    struct dp_share *share = message->body.share.share;
    if (message->socket != NULL) {
        request_opened(message->socket);
        share->tokens--;
        share_join(share, message->socket);
    }
}

/* ---- the last one ---- */

static enum outcome share_last(struct queue *queue, struct dp_socket *socket,
                               struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct message message = {
        .kind = QUEUE_UNSHARE, .session = socket->session, .socket = socket, .reply = *reply};
    message.body.share.share = share;
    const struct dp_stream *stream = share->core->stream;
    if (share->descriptors + share->tokens != 1 || (stream != NULL && stream->leaving)) {
        return stream_answer(queue, reply, RS_INVALID);
    }
    if (stream != NULL ? stream->phase != STREAM_CONNECTED : !share->core->udp.bound) {
        return stream_answer(queue, reply, RS_NOT_SUPPORTED); /* it stays in the house */
    }
    if (stream != NULL && !share_data_rests(share)) {
        return stream_answer(queue, reply, RS_WOULD_BLOCK);
    }
    if (socket->part->bytes_left <= 0 || !request_may_forward(queue, socket->part) ||
        !request_forward(queue, &message)) {
        return OUTCOME_LATER;
    }
    socket->with_control = true;
    return OUTCOME_DONE;
}

enum rs_status share_unshared(struct queue *queue, const struct message *message,
                              struct rs_unshared *reply)
{
    struct dp_share *share = message->body.share.share;
    struct dp_socket *descriptor = message->socket;
    struct dp_socket *core = share->core;
    descriptor->with_control = false;
    if (message->reply.status != RS_OK) {
        return (enum rs_status)message->reply.status;
    }
    struct message done = {
        .kind = QUEUE_UNSHARED, .session = descriptor->session, .socket = descriptor};
    done.body.share.share = share;
    done.body.share.place = (struct message_place){
        .idx = core->idx, .send_ring = core->send_ring, .recv_ring = core->recv_ring};
    if (core->stream != NULL) {
        share_data_end(share, reply);
    } else {
        *reply = (struct rs_unshared){.recv_head = 0}; /* each queue's own word says it */
    }
    deliver_moves(queue, descriptor);
    descriptor->part->sockets[descriptor->idx] = NULL;
    descriptor->part->open_sockets--;
    descriptor->share = core->share = NULL;
    if (core->stream != NULL) {
        share_move(queue, core, &message->body.share.place, descriptor->part, false);
    } else {
        bool moves = share_dgram_may_move(queue, core); /* and takes note of what is read */
        assert(moves);                                  /* our own words */
        (void)moves;
        share_dgram_move(queue, core, &message->body.share.place, descriptor->part);
    }
    /* Who waits on it waits for other words from now on. */
    deliver_touch(queue, core, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_END);
    bool told = request_forward(queue, &done);
    assert(told); /* queue_messages takes a message only when there is room for its answer */
    (void)told;
    return RS_OK;
}

/* ---- and go ---- */

/* No connection that goes on without its program: the core is closed when there is room to tell. */
static bool share_ends_at_once(const struct dp_socket *core)
{
    return !share_has_bytes(core) && (core->stream == NULL || core->stream->conn == NULL);
}

/* As stream_close does it for a socket with one descriptor. */
static void share_end(struct queue *queue, struct dp_share *share)
{
    struct dp_socket *core = share->core;
    struct dp_stream *stream = core->stream;
    bool abort = share->close.abort != 0;
    uint64_t linger_ns = share->close.linger_ms * 1000000ull;
    core->share = NULL; /* it goes with the core's record */
    if (share_ends_at_once(core)) {
        if (stream != NULL && stream->local.on) { /* it waits to be connected */
            stream_local_forget(queue, core);
        }
        core->closing = true;
        request_block(core);
        return;
    }
    stream_orphan(queue, core);
    if (stream->local.on) {
        stream_local_leave(queue, core, abort, linger_ns);
    } else if (stream->conn != NULL) {
        stream_leave(queue, core, abort, linger_ns);
    } else {
        stream_give_back(queue, core);
    }
}

static void share_leave(struct queue *queue, struct dp_socket *socket,
                        const struct rs_op_close *close, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct dp_socket **link = &share->first;
    while (*link != socket) {
        link = &(*link)->share_next;
    }
    *link = socket->share_next;
    share_dgram_leave(queue, socket);
    socket->share = NULL;
    share->descriptors--;
    share->close = *close;
    if (share->descriptors + share->tokens == 0 && share_ends_at_once(share->core)) {
        /* Its port is free when the answer comes; until then who waits for that stays. */
        share->core->close_reply = *reply;
        *reply = (struct message_reply){.channel = NULL};
        request_pin(queue, &share->core->close_reply, 1);
    }
    if (share->descriptors + share->tokens == 0) {
        share_end(queue, share);
    } else {
        share_mirror(share);
    }
}

static enum outcome share_close(struct queue *queue, struct dp_socket *socket,
                                const struct rs_request *request, struct message_reply *reply)
{
    struct rs_op_close op;
    memcpy(&op, request->payload, sizeof(op));
    if (!deliver_may_close(queue) || !request_may_forward(queue, socket->part)) {
        return OUTCOME_LATER;
    }
    share_leave(queue, socket, &op, reply);
    bool closed = request_close_now(queue, socket, reply);
    assert(closed); /* there was room */
    return closed ? OUTCOME_DONE : OUTCOME_LATER;
}

void share_session_ends(struct queue *queue, struct dp_socket *socket)
{
    struct message_reply nobody = {.channel = NULL};
    if (deliver_may_close(queue) && message_has_room(queue->to_control)) {
        share_leave(queue, socket, &(struct rs_op_close){.abort = 1}, &nobody);
        (void)request_close_now(queue, socket, &nobody);
    }
}

void share_expired(struct queue *queue, struct dp_share *share)
{
    share->tokens--;
    if (share->descriptors + share->tokens == 0) {
        share_end(queue, share);
    } else {
        share_mirror(share);
    }
}

/* ---- requests of a descriptor ---- */

static enum outcome share_set(struct queue *queue, struct dp_share *share,
                              const struct rs_request *request, struct message_reply *reply)
{
    struct rs_op_share_set op;
    memcpy(&op, request->payload, sizeof(op));
    if (op.name >= RS_SHARE_VALUES) {
        return stream_answer(queue, reply, RS_BAD_OPTION);
    }
    if (op.name < RS_OPT_COUNT) {
        share->values.options_set |= 1u << op.name;
    }
    if (op.name == RS_SHARE_EVENTS) {
        share->values.values[op.name]++;
    } else {
        share->values.values[op.name] = op.value;
    }
    share_changed(queue, share);
    reply->data.len_bytes = share->values.values[op.name];
    return stream_answer(queue, reply, RS_OK);
}

static enum outcome share_shutdown(struct queue *queue, struct dp_share *share,
                                   const struct rs_request *request, struct message_reply *reply)
{
    struct rs_op_shutdown op;
    memcpy(&op, request->payload, sizeof(op));
    struct rs_request copy = *request;
    uint32_t how = op.how & (uint32_t)(RS_SHUTDOWN_RECV | RS_SHUTDOWN_SEND);
    if (share_has_records(share->core) || op.how == 0) { /* of nothing: who waits looks again */
        share->values.shut |= how;
        share_changed(queue, share);
        return stream_answer(queue, reply, RS_OK);
    }
    if ((op.how & RS_SHUTDOWN_KEEP) != 0) {
        op.how &= RS_SHUTDOWN_SEND;
        memcpy(copy.payload, &op, sizeof(op));
    }
    enum outcome outcome = stream_control(queue, share->core, share->core->part, &copy, reply);
    if (outcome == OUTCOME_DONE && reply->status == RS_OK) {
        share->values.shut |= how;
        share_changed(queue, share);
    }
    return outcome;
}

static enum outcome share_data(struct queue *queue, struct dp_socket *socket,
                               const struct rs_request *request, struct message_reply *reply)
{
    struct rs_op_share_data op;
    memcpy(&op, request->payload, sizeof(op));
    const struct dp_socket *core = socket->share->core;
    if (core->stream != NULL && share_has_records(core)) {
        return request->op == RS_OP_SHARE_SEND ? stream_answer(queue, reply, RS_NOT_CONNECTED)
                                               : share_accept(queue, socket, reply);
    }
    if (core->stream == NULL) {
        return request->op == RS_OP_SHARE_SEND ? share_dgram_send(queue, socket, &op, reply)
                                               : share_dgram_recv(queue, socket, &op, reply);
    }
    if (!share_has_bytes(core)) {
        return stream_answer(queue, reply, RS_NOT_CONNECTED);
    }
    return request->op == RS_OP_SHARE_SEND ? share_send(queue, socket, &op, reply)
                                           : share_recv(queue, socket, &op, reply);
}

/* What a datagram socket's parts do, too: home's answer comes when they have. */
static enum outcome share_dgram_control(struct queue *queue, struct dp_socket *socket,
                                        const struct rs_request *request,
                                        struct message_reply *reply)
{
    struct dp_socket *core = socket->share->core;
    switch (request->op) {
    case RS_OP_BIND:
        return request_bind(queue, core, socket->part, request, reply);
    case RS_OP_CONNECT:
    case RS_OP_MEMBER:
        if (!core->udp.bound) {
            return stream_answer(queue, reply, RS_INVALID);
        }
        return request_change(queue, core, socket->part, request, reply);
    case RS_OP_OPTION:
        return request_change(queue, core, socket->part, request, reply);
    case RS_OP_TX_STAMP:
        return request_tx_stamp(queue, core, socket->part, request, reply);
    default:
        return stream_answer(queue, reply, RS_NOT_SUPPORTED);
    }
}

static enum outcome share_stream_control(struct queue *queue, struct dp_socket *socket,
                                         const struct rs_request *request,
                                         struct message_reply *reply)
{
    switch (request->op) {
    case RS_OP_BIND:
    case RS_OP_CONNECT:
    case RS_OP_LISTEN:
    case RS_OP_OPTION:
    case RS_OP_TCP_INFO:
        return stream_control(queue, socket->share->core, socket->part, request, reply);
    default:
        return stream_answer(queue, reply, RS_BAD_OPTION);
    }
}

enum outcome share_control(struct queue *queue, struct dp_socket *socket,
                           const struct rs_request *request, struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct rs_op_share op;
    if (share->core->with_control) { /* its parts carry something out for somebody */
        return OUTCOME_LATER;
    }
    switch (request->op) {
    case RS_OP_SHARE_SEND:
    case RS_OP_SHARE_RECV:
        return share_data(queue, socket, request, reply);
    case RS_OP_SHARE_SET:
        return share_set(queue, share, request, reply);
    case RS_OP_SHARE_VALUES:
        /* As TCP_INFO: the cell's, and as long. */
        memcpy(&reply->channel->info[reply->cell_idx], &share->values, sizeof(share->values));
        return stream_answer(queue, reply, RS_OK);
    case RS_OP_SHARE:
        memcpy(&op, request->payload, sizeof(op));
        return share_ask(queue, socket, &op, reply);
    case RS_OP_UNSHARE:
        return share_last(queue, socket, reply);
    case RS_OP_CLOSE:
        return share_close(queue, socket, request, reply);
    case RS_OP_SHUTDOWN:
        return share_shutdown(queue, share, request, reply);
    default:
        return share->core->stream != NULL ? share_stream_control(queue, socket, request, reply)
                                           : share_dgram_control(queue, socket, request, reply);
    }
}
