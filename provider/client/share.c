/*
 * Sockets that several processes have (rings/README.md, "Shared sockets"): how a descriptor is
 * granted and opened, and a stream's bytes, which are moved by requests; datagrams go so in send.c
 * and recv.c. Any thread; one request at a time
 * for each descriptor, by control_mutex, which is not held while a thread waits for bytes or room.
 * Called by stream_*.c, options.c and the facades; calls request.c, options.c, wait.c.
 *
 * What descriptors have in common the dataplane keeps; a count in the state line says when it
 * changed, and each call that needs it looks there first.
 */
#include <string.h>

#include "provider/client/share.h"

/* ---- what all descriptors have in common ---- */

static void share_take_values(struct client_socket *socket, const struct rs_share_values *values)
{
    for (uint32_t i = 0; i < RS_OPT_COUNT; i++) {
        socket->option_values[i] = values->values[i];
    }
    socket->options_set = values->options_set & ((1u << RS_OPT_COUNT) - 1);
    static_assert((int)CLIENT_SHUT_RECV == (int)RS_SHUTDOWN_RECV &&
                      (int)CLIENT_SHUT_SEND == (int)RS_SHUTDOWN_SEND,
                  "one set of bits");
    atomic_fetch_or_explicit(&socket->shut, values->shut & (CLIENT_SHUT_RECV | CLIENT_SHUT_SEND),
                             memory_order_relaxed);
    atomic_store_explicit(&socket->nonblocking, values->values[RS_SHARE_NONBLOCKING] != 0,
                          memory_order_relaxed);
    atomic_store_explicit(&socket->recv_timeout_ms, values->values[RS_SHARE_RECV_TIMEOUT_MS],
                          memory_order_relaxed);
    atomic_store_explicit(&socket->send_timeout_ms, values->values[RS_SHARE_SEND_TIMEOUT_MS],
                          memory_order_relaxed);
    atomic_store_explicit(&socket->linger_ms, values->values[RS_SHARE_LINGER_MS],
                          memory_order_relaxed);
    atomic_store_explicit(&socket->oob_inline, values->values[RS_SHARE_OOB_INLINE] != 0,
                          memory_order_relaxed);
    for (uint32_t i = 0; i < 4; i++) {
        atomic_store_explicit(&socket->user_values[i], values->values[RS_SHARE_USER_0 + i],
                              memory_order_relaxed);
    }
}

enum rs_status client_share_refresh(struct client_socket *socket)
{
    struct rs_share_values values;
    if (client_socket_phase(socket) != CLIENT_SOCKET_SHARED) {
        return RS_OK;
    }
    if (client_share_lost(socket) != RS_OK) {
        return client_share_lost(socket);
    }
    /* Acquire, partner share_mirror's release. */
    uint32_t seq = atomic_load_explicit(&socket->state->share_seq, memory_order_acquire);
    if (socket->share.known && seq == socket->share.seq) {
        return RS_OK;
    }
    enum rs_status status = client_request_values(socket, &values);
    if (status == RS_OK) { /* another one may have bound or connected it */
        struct rs_socket_desc desc;
        status = client_socket_read_desc(socket, &desc);
    }
    if (status == RS_OK) {
        share_take_values(socket, &values);
        socket->share.seq = values.seq;
        socket->share.known = true;
    }
    return status;
}

enum rs_status client_share_set(struct client_socket *socket, uint32_t name, uint32_t value)
{
    const struct rs_op_share_set op = {.name = name, .value = value};
    if (client_share_lost(socket) != RS_OK) {
        return client_share_lost(socket);
    }
    return client_request(socket, RS_OP_SHARE_SET, &op, sizeof(op));
}

/* What the first descriptor has set so far. */
static enum rs_status share_tell_values(struct client_socket *socket)
{
    struct client_step steps[CLIENT_STEPS_MAX];
    const rs_atomic_u32 *words[] = {
        &socket->nonblocking,    &socket->recv_timeout_ms, &socket->send_timeout_ms,
        &socket->linger_ms,      &socket->oob_inline,      &socket->user_values[0],
        &socket->user_values[1], &socket->user_values[2],  &socket->user_values[3]};
    static_assert(sizeof(words) / sizeof(words[0]) == RS_SHARE_USER_3 - RS_SHARE_NONBLOCKING + 1,
                  "in the order of enum rs_share_value");
    uint32_t count = 0;
    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        steps[count++] = (struct client_step){
            .op = RS_OP_SHARE_SET,
            .payload_bytes = sizeof(struct rs_op_share_set),
            .payload.share_set = {.name = RS_SHARE_NONBLOCKING + i,
                                  .value = atomic_load_explicit(words[i], memory_order_relaxed)}};
    }
    enum rs_status status = client_request_steps(socket, steps, count);
    count = 0;
    for (uint32_t option = RS_OPT_NONE + 1; option < RS_OPT_COUNT; option++) {
        if ((socket->options_set & 1u << option) != 0) {
            steps[count++] = (struct client_step){
                .op = RS_OP_SHARE_SET,
                .payload_bytes = sizeof(struct rs_op_share_set),
                .payload.share_set = {.name = option, .value = socket->option_values[option]}};
        }
    }
    return status == RS_OK ? client_request_steps(socket, steps, count) : status;
}

/* ---- granting ---- */

/* Where bytes are put down for the dataplane, and by it. */
static enum rs_status share_map(struct client_socket *socket)
{
    struct client *client = socket->client;
    struct rs_socket_desc desc;
    enum rs_status status = client_socket_read_desc(socket, &desc);
    if (status != RS_OK) {
        return status;
    }
    socket->share.known = false;
    if (desc.send.size_bytes == 0) { /* it listened when it was shared: nothing is put down */
        return RS_OK;
    }
    const struct rs_ring_ref *recv = &desc.recv[socket->home_queue_idx];
    uint8_t *send_base = NULL;
    uint8_t *recv_base = NULL;
    os_mutex_lock(&client->slow_mutex);
    status = client_resolve_ring(client, &desc.send, RS_EXTENT_CL, &send_base);
    if (status == RS_OK) {
        status = client_resolve_ring(client, recv, RS_EXTENT_DP, &recv_base);
    }
    os_mutex_unlock(&client->slow_mutex);
    if (status == RS_OK) {
        socket->share.send_base = send_base;
        socket->share.send_bytes = desc.send.size_bytes;
        socket->share.recv_base = recv_base;
        socket->share.recv_bytes = recv->size_bytes;
    }
    return status;
}

/* All who are inside leave with the old phase, or see the new one. Who the dataplane woke before
 * saw a level that says nothing of bytes, and sleeps again: hence client_socket_wake behind it. */
static void share_set_phase(struct client_socket *socket, enum client_socket_phase phase)
{
    client_recv_lock(socket);
    client_send_lock(socket);
    atomic_store_explicit(&socket->phase, (uint32_t)phase, memory_order_release);
    client_send_unlock(socket);
    client_recv_unlock(socket);
    client_watch_changed(socket);
}

/* The dataplane has moved it, and where to cannot be read or mapped: there is no way back, for its
 * positions are those of the new rings. From now on each call fails with why, and nobody waits;
 * what the program still can do is close it. control_mutex held. */
static enum rs_status share_lose(struct client_socket *socket, enum rs_status why)
{
    atomic_store_explicit(&socket->share.lost, (uint32_t)why, memory_order_relaxed);
    atomic_fetch_add_explicit(&socket->client->sockets_lost, 1, memory_order_relaxed);
    client_watch_changed(socket);
    client_socket_wake(socket);
    return why;
}

/* What the reader knows of the urgent byte goes along. */
static struct rs_op_share share_ask(const struct client_socket *socket, uint32_t process_id)
{
    const struct client_stream_in *in = &socket->in;
    bool taken = atomic_load_explicit(&socket->urgent_taken, memory_order_relaxed) == in->mark_seq;
    return (struct rs_op_share){
        .process_id = process_id,
        .flags = in->byte_kept && !taken ? (uint32_t)RS_SHARE_BYTE_KEPT : 0,
        .shut = atomic_load_explicit(&socket->shut, memory_order_relaxed) &
                (CLIENT_SHUT_RECV | CLIENT_SHUT_SEND),
        .urgent_taken = atomic_load_explicit(&socket->urgent_taken, memory_order_relaxed),
        .urgent_byte = in->urgent_byte};
}

static enum rs_status share_grant(struct client_socket *socket, uint32_t process_id,
                                  struct rs_share_token *token)
{
    const struct rs_op_share op = share_ask(socket, process_id);
    return client_request_reply(socket, RS_OP_SHARE, &op, sizeof(op), token, sizeof(*token));
}

/* Who gets no token has no use for a grant, which would keep the socket alive for a minute. SHARE
 * to nobody takes the newest one back, and fails. */
static void share_take_back(struct client_socket *socket)
{
    struct rs_share_token none;
    (void)!share_grant(socket, 0, &none);
}

/* The quiet point: with the phase nobody posts or reads any more. */
static enum rs_status share_first(struct client_socket *socket, uint32_t process_id,
                                  struct rs_share_token *token)
{
    enum client_socket_phase before = client_socket_phase(socket);
    share_set_phase(socket, CLIENT_SOCKET_SHARED);
    enum rs_status status = share_grant(socket, process_id, token);
    if (status != RS_OK) {
        share_set_phase(socket, before);
        client_socket_wake(socket);
        return status;
    }
    status = share_map(socket);
    status = status == RS_OK ? share_tell_values(socket) : share_lose(socket, status);
    if (status != RS_OK) {
        share_take_back(socket);
    }
    return status;
}

/* Of a socket that only the client knew. Where it cannot be shared the dataplane forgets it. */
static enum rs_status share_fresh(struct client_socket *socket, uint32_t process_id,
                                  struct rs_share_token *token)
{
    if (socket->member_count != 0) {
        return RS_NOT_SUPPORTED; /* memberships come behind the port */
    }
    enum rs_status status = client_socket_introduce(socket, 0);
    if (status != RS_OK) {
        return status;
    }
    status = share_first(socket, process_id, token);
    if (status != RS_OK && !client_is_shared(socket)) {
        (void)!client_request(socket, RS_OP_CLOSE, NULL, 0);
    }
    return status;
}

enum rs_status client_share(struct client_socket *socket, uint32_t process_id,
                            struct client_share_info *info)
{
    struct rs_share_token token = {{0}};
    enum rs_status status;
    if (process_id == 0) {
        return RS_INVALID;
    }
    os_mutex_lock(&socket->control_mutex);
    enum client_socket_phase phase = client_socket_phase(socket);
    if (!client_phase_open(phase)) {
        status = RS_NOT_SOCKET;
    } else if (phase == CLIENT_SOCKET_SHARED && client_share_lost(socket) != RS_OK) {
        status = client_share_lost(socket);
    } else if (phase == CLIENT_SOCKET_SHARED) {
        status = share_grant(socket, process_id, &token);
    } else if (phase == CLIENT_SOCKET_UNDECIDED && !socket->rebind) {
        status = share_fresh(socket, process_id, &token);
    } else {
        status = phase == CLIENT_SOCKET_UNDECIDED ? client_stream_rebind(socket) : RS_OK;
        if (status == RS_OK) {
            status = share_first(socket, process_id, &token);
        }
    }
    if (status == RS_OK) {
        *info = (struct client_share_info){.token = token,
                                           .type = (uint32_t)client_socket_type(socket)};
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

/* ---- opening ---- */

static enum rs_status share_open_locked(struct client_socket *socket,
                                        const struct client_share_info *info)
{
    struct rs_open_reply reply;
    uint32_t queue_idx = (uint32_t)(info->token.words[0] & RS_SHARE_TOKEN_QUEUE);
    if (queue_idx >= socket->client->queue_count) {
        return RS_NOT_SOCKET;
    }
    enum rs_status status =
        client_request_share_open(socket->client, queue_idx, &info->token, &reply);
    if (status != RS_OK) {
        return status;
    }
    if (reply.socket_idx >= socket->client->limit_sockets || reply.generation == 0) {
        return RS_CORRUPT;
    }
    client_socket_take_place(socket, reply.socket_idx, reply.generation, queue_idx);
    rs_socket_client_reset(socket->shared);
    status = share_map(socket);
    if (status != RS_OK) {
        (void)!client_request(socket, RS_OP_CLOSE, &(struct rs_op_close){0},
                              sizeof(struct rs_op_close));
        return status;
    }
    /* Release, partner client_socket_phase: places and words are ready before anybody sees it. */
    atomic_store_explicit(&socket->phase, CLIENT_SOCKET_SHARED, memory_order_release);
    return client_share_refresh(socket);
}

enum rs_status client_share_open(struct client *client, const struct client_share_info *info,
                                 struct client_socket **out)
{
    struct client_socket *socket;
    if (info->type != RS_SOCK_STREAM && info->type != RS_SOCK_DGRAM) {
        return RS_INVALID;
    }
    enum rs_status status = client_socket_make(client, (enum rs_socket_type)info->type, &socket);
    if (status != RS_OK) {
        return status;
    }
    os_mutex_lock(&socket->control_mutex);
    status = share_open_locked(socket, info);
    os_mutex_unlock(&socket->control_mutex);
    if (status != RS_OK) {
        (void)!client_socket_close(socket);
        return status;
    }
    *out = socket;
    return RS_OK;
}

/* ---- before there is a connection ---- */

/* control_mutex held. One of the requests that give the socket another name or state. */
static enum rs_status share_ask_core(struct client_socket *socket, enum rs_op op,
                                     const void *payload, uint32_t payload_bytes)
{
    enum rs_status status = client_share_lost(socket);
    if (status == RS_OK) {
        status = client_request(socket, op, payload, payload_bytes);
    }
    if (status == RS_OK) {
        socket->share.known = false;
        status = client_share_refresh(socket);
    }
    return status;
}

enum rs_status client_share_bind(struct client_socket *socket, const struct rs_addr *local)
{
    enum rs_status status = share_ask_core(socket, RS_OP_BIND, local, sizeof(*local));
    if (status == RS_OK) {
        socket->bound = true;
        socket->bound_to = socket->local;
    }
    return status;
}

enum rs_status client_share_bind_any(struct client_socket *socket)
{
    const struct rs_addr any = rs_addr_v4(0, 0);
    enum rs_status status = client_share_lost(socket);
    if (status == RS_OK) {
        status = client_share_refresh(socket);
    }
    if (status == RS_OK && socket->local.port_be16 == 0) {
        status = client_share_bind(socket, &any);
        /* Another one was first. */
        status = status == RS_INVALID ? client_share_refresh(socket) : status;
    }
    return status;
}

enum rs_status client_share_connect(struct client_socket *socket, const struct rs_addr *peer)
{
    return share_ask_core(socket, RS_OP_CONNECT, peer, sizeof(*peer));
}

/* ---- connections ---- */

bool client_share_listens(const struct client_socket *socket)
{
    return client_is_stream(socket) && client_is_shared(socket) &&
           (client_stream_level(socket) & RS_LEVEL_LISTENING) != 0;
}

enum rs_status client_share_accept(struct client_socket *listener, struct rs_accept *out)
{
    const struct rs_op_share_data op = {.len_bytes = 1};
    os_mutex_lock(&listener->control_mutex);
    enum rs_status status = client_share_lost(listener);
    if (status == RS_OK && !client_is_shared(listener)) {
        status = RS_NOT_SOCKET;
    }
    if (status == RS_OK) {
        status = client_share_refresh(listener);
    }
    if (status == RS_OK) {
        status =
            client_request_reply(listener, RS_OP_SHARE_RECV, &op, sizeof(op), out, sizeof(*out));
    }
    os_mutex_unlock(&listener->control_mutex);
    if (status != RS_OK) {
        return status;
    }
    if (out->generation == 0) {
        return RS_WOULD_BLOCK;
    }
    return out->socket_idx < listener->client->limit_sockets ? RS_OK : RS_CORRUPT;
}

/* ---- who has the events ---- */

bool client_is_shared(const struct client_socket *socket)
{
    return client_socket_phase(socket) == CLIENT_SOCKET_SHARED;
}

enum rs_status client_share_lost(const struct client_socket *socket)
{
    /* relaxed: it only ever becomes so, and says all */
    return (enum rs_status)atomic_load_explicit(&socket->share.lost, memory_order_relaxed);
}

uint32_t client_share_events(const struct client_socket *socket)
{
    return client_is_shared(socket)
               ? atomic_load_explicit(&socket->state->share_events, memory_order_acquire)
               : 0;
}

enum rs_status client_share_take_events(struct client_socket *socket, uint32_t *number)
{
    const struct rs_op_share_set op = {.name = RS_SHARE_EVENTS};
    struct rs_share_data reply = {0};
    enum rs_status status = RS_OK;
    os_mutex_lock(&socket->control_mutex);
    if (client_share_lost(socket) != RS_OK) {
        status = client_share_lost(socket);
    } else if (client_is_shared(socket)) {
        status =
            client_request_reply(socket, RS_OP_SHARE_SET, &op, sizeof(op), &reply, sizeof(reply));
    }
    os_mutex_unlock(&socket->control_mutex);
    *number = reply.len_bytes;
    return status;
}

/* ---- the last one is a socket of its own again ---- */

#define STAYS_AFTER_FAILURE 100u

/* control_mutex held. True: it is so now; false also when it was lost on the way. */
static bool share_return(struct client_socket *socket)
{
    struct rs_unshared at;
    struct rs_socket_desc desc;
    if (client_share_lost(socket) != RS_OK ||
        atomic_load_explicit(&socket->state->share_count, memory_order_relaxed) != 1) {
        return false;
    }
    if (socket->share.stays != 0) {
        socket->share.stays--;
        return false;
    }
    enum rs_status status = client_share_refresh(socket);
    if (status == RS_OK) {
        status = client_request_reply(socket, RS_OP_UNSHARE, NULL, 0, &at, sizeof(at));
    }
    if (status != RS_OK) { /* no memory, or an urgent byte is to be taken first */
        socket->share.stays = STAYS_AFTER_FAILURE;
        return false;
    }
    client_send_lock(socket);
    /* As in a place that was never posted from. */
    socket->post = (struct post_socket){.level_word = 0};
    atomic_store_explicit(&socket->shared->send_level, 0, memory_order_relaxed);
    client_send_unlock(socket);
    status = client_socket_read_desc(socket, &desc);
    if (status == RS_OK) {
        status = client_is_stream(socket) ? client_stream_resume(socket, &desc, &at)
                                          : client_socket_resume(socket, &desc);
    }
    if (status != RS_OK) {
        (void)!share_lose(socket, status);
        return false;
    }
    client_socket_wake(socket);
    return true;
}

/* ---- bytes ---- */

enum rs_status client_share_data(struct client_socket *socket, enum rs_op op, uint32_t len_bytes,
                                 uint32_t flags, struct rs_share_data *reply)
{
    const struct rs_op_share_data data = {.len_bytes = len_bytes, .flags = flags};
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase != CLIENT_SOCKET_SHARED) {
        return phase == CLIENT_STREAM_ACTIVE || phase == CLIENT_SOCKET_LIVE ? RS_IN_PROGRESS
                                                                            : RS_NOT_SOCKET;
    }
    if (client_is_stream(socket) && (client_stream_level(socket) & RS_LEVEL_CONNECTED) == 0) {
        return RS_NOT_CONNECTED;
    }
    if (len_bytes != 0 && share_return(socket)) {
        return RS_IN_PROGRESS;
    }
    enum rs_status status = client_share_refresh(socket);
    if (status == RS_OK) {
        status = client_request_reply(socket, op, &data, sizeof(data), reply, sizeof(*reply));
    }
    return status == RS_OK && reply->len_bytes > len_bytes ? RS_CORRUPT : status;
}

struct share_waiting {
    struct client_socket *socket;
    uint32_t want; /* RS_LEVEL_* that end its wait */
};

static bool share_wait_ready(void *context)
{
    const struct share_waiting *call = context;
    return client_socket_phase(call->socket) != CLIENT_SOCKET_SHARED ||
           client_share_lost(call->socket) != RS_OK ||
           (client_stream_level(call->socket) & call->want) != 0 ||
           (!client_is_stream(call->socket) && client_error_pending(call->socket)) ||
           atomic_load_explicit(&call->socket->state->share_seq, memory_order_relaxed) !=
               call->socket->share.seq;
}

static void share_wait_arm(void *context, uint32_t channel_idx)
{
    const struct share_waiting *call = context;
    client_socket_arm(call->socket, call->want, channel_idx);
}

static void share_wait_disarm(void *context, uint32_t channel_idx)
{
    const struct share_waiting *call = context;
    client_socket_disarm(call->socket, channel_idx);
}

enum rs_status client_share_wait(struct client_socket *socket, uint32_t want, uint64_t deadline_tsc)
{
    struct share_waiting call = {.socket = socket, .want = want};
    struct client_condition condition = {.ready = share_wait_ready,
                                         .arm = share_wait_arm,
                                         .disarm = share_wait_disarm,
                                         .context = &call,
                                         .socket = socket,
                                         .queue_idx = socket->home_queue_idx,
                                         .hooked = true};
    return client_wait(socket->client, &condition, deadline_tsc);
}

struct share_call {
    struct client_socket *socket;
    struct client_iov_place *place;
    uint32_t want;
};

void client_iov_copy(struct client_iov_place *place, void *bytes, uint32_t len_bytes, bool gather)
{
    uint8_t *other = bytes;
    while (len_bytes != 0) {
        size_t part = place->iov->len_bytes - place->iov_off;
        if (part == 0) {
            place->iov++;
            place->iov_off = 0;
            continue;
        }
        part = part < len_bytes ? part : len_bytes;
        uint8_t *own = (uint8_t *)place->iov->base + place->iov_off;
        if (gather) {
            memcpy(other, own, part);
        } else {
            memcpy(own, other, part);
        }
        other += part;
        place->iov_off += part;
        place->left_bytes -= part;
        len_bytes -= (uint32_t)part;
    }
}

/* ---- out ---- */

/* As much as there is room for; RS_WOULD_BLOCK: none. */
static enum rs_status share_send_once(struct share_call *call, bool urgent)
{
    struct client_socket *socket = call->socket;
    struct client_iov_place *place = call->place;
    struct rs_share_data reply = {0};
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = RS_IN_PROGRESS;
    if (client_share_lost(socket) != RS_OK) { /* and there is nothing to put bytes down in */
        status = client_share_lost(socket);
    } else if (client_is_shared(socket)) {
        struct client_iov_place copy = *place;
        uint32_t len_bytes = place->left_bytes < socket->share.send_bytes
                                 ? (uint32_t)place->left_bytes
                                 : socket->share.send_bytes;
        client_iov_copy(&copy, socket->share.send_base, len_bytes, true);
        bool last = len_bytes == place->left_bytes;
        status = client_share_data(socket, RS_OP_SHARE_SEND, len_bytes,
                                   urgent && last ? (uint32_t)RS_SHARE_URGENT : 0, &reply);
    } else if (client_socket_phase(socket) != CLIENT_STREAM_ACTIVE) {
        status = RS_NOT_SOCKET;
    }
    os_mutex_unlock(&socket->control_mutex);
    if (status != RS_OK) {
        return status;
    }
    status = client_stream_state(socket, reply.level);
    if (status != RS_WOULD_BLOCK) {
        return status;
    }
    uint32_t left = reply.len_bytes;
    while (left != 0) { /* past what was taken */
        size_t part = place->iov->len_bytes - place->iov_off;
        part = part < left ? part : left;
        place->iov_off += part;
        place->left_bytes -= part;
        left -= (uint32_t)part;
        if (left != 0) {
            place->iov++;
            place->iov_off = 0;
        }
    }
    return reply.len_bytes != 0 || place->left_bytes == 0 ? RS_OK : RS_WOULD_BLOCK;
}

enum rs_status client_share_send(struct client_socket *socket, struct client_iov_place *place,
                                 uint32_t flags, uint64_t *deadline_tsc)
{
    struct share_call call = {
        .socket = socket, .place = place, .want = RS_LEVEL_WRITABLE | RS_LEVEL_ERROR};
    enum rs_status status;
    if ((flags & CLIENT_MSG_WARM) != 0) {
        return RS_OK; /* it takes another way: there is nothing to warm */
    }
    client_socket_hold(socket);
    for (;;) {
        do {
            status = share_send_once(&call, (flags & CLIENT_MSG_OOB) != 0);
        } while (status == RS_OK && place->left_bytes != 0);
        if (status != RS_WOULD_BLOCK || !client_may_block(socket, flags)) {
            break;
        }
        client_call_begins(socket->client, &socket->send_timeout_ms, deadline_tsc);
        status = client_share_wait(socket, call.want, *deadline_tsc);
        if (status != RS_OK) {
            break;
        }
        if (!client_phase_open(client_socket_phase(socket))) {
            status = RS_INTERRUPTED;
            break;
        }
    }
    client_socket_release(socket);
    return status;
}

/* ---- in ---- */

/* RS_WOULD_BLOCK: nothing there. *over: WAITALL waits no longer. */
static enum rs_status share_recv_once(struct share_call *call, uint32_t flags, size_t *done_bytes,
                                      bool *over)
{
    struct client_socket *socket = call->socket;
    struct client_iov_place *place = call->place;
    struct rs_share_data reply = {0};
    uint32_t op_flags = ((flags & CLIENT_MSG_PEEK) != 0 ? (uint32_t)RS_SHARE_PEEK : 0) |
                        ((flags & CLIENT_MSG_OOB) != 0 ? (uint32_t)RS_SHARE_URGENT : 0);
    os_mutex_lock(&socket->control_mutex);
    uint32_t most = socket->share.recv_bytes;
    uint32_t wanted = place->left_bytes < most ? (uint32_t)place->left_bytes : most;
    enum rs_status status = client_share_data(socket, RS_OP_SHARE_RECV, wanted, op_flags, &reply);
    if (status == RS_OK && (flags & CLIENT_MSG_OOB) != 0 &&
        atomic_load_explicit(&socket->oob_inline, memory_order_relaxed) != 0) {
        status = RS_INVALID;
    }
    if (status == RS_OK && reply.len_bytes != 0) {
        client_iov_copy(place, (void *)(uintptr_t)socket->share.recv_base, reply.len_bytes, false);
        *done_bytes += reply.len_bytes;
    }
    os_mutex_unlock(&socket->control_mutex);
    if (status != RS_OK || reply.len_bytes != 0) {
        *over = (reply.flags & RS_SHARE_OVER) != 0;
        return status;
    }
    if (reply.unread_bytes != 0) { /* a read of nothing */
        return RS_OK;
    }
    *over = (reply.level & RS_LEVEL_END) != 0;
    return *over ? RS_OK : client_stream_state(socket, reply.level);
}

enum rs_status client_share_recv(struct client_socket *socket, struct client_iov_place *place,
                                 uint32_t flags, uint64_t *deadline_tsc, size_t *done_bytes)
{
    uint32_t urgent = (flags & CLIENT_MSG_OOB) != 0;
    struct share_call call = {.socket = socket,
                              .place = place,
                              .want = RS_LEVEL_END | RS_LEVEL_ERROR |
                                      (urgent != 0 ? (uint32_t)RS_LEVEL_URGENT : 0) |
                                      (uint32_t)RS_LEVEL_READABLE};
    enum rs_status status;
    if (urgent != 0) {
        call.want &= ~(uint32_t)RS_LEVEL_READABLE;
    }
    client_socket_hold(socket);
    for (;;) {
        bool over = false;
        status = share_recv_once(&call, flags, done_bytes, &over);
        bool more = (flags & CLIENT_MSG_WAITALL) != 0 && !over && place->left_bytes != 0;
        if (status == RS_OK && more) {
            continue;
        }
        if (status != RS_WOULD_BLOCK || !client_may_block(socket, flags)) {
            break;
        }
        client_call_begins(socket->client, &socket->recv_timeout_ms, deadline_tsc);
        status = client_share_wait(socket, call.want, *deadline_tsc);
        if (status != RS_OK) {
            break;
        }
        if (!client_phase_open(client_socket_phase(socket))) {
            status = RS_INTERRUPTED;
            break;
        }
    }
    client_socket_release(socket);
    return *done_bytes != 0 ? RS_OK : status;
}

enum rs_status client_share_look(struct client_socket *socket, uint32_t *bytes, bool *at_mark)
{
    struct rs_share_data reply = {0};
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = client_share_data(socket, RS_OP_SHARE_RECV, 0, RS_SHARE_PEEK, &reply);
    os_mutex_unlock(&socket->control_mutex);
    *bytes = reply.unread_bytes;
    *at_mark = status != RS_OK || (reply.flags & RS_SHARE_AT_MARK) != 0;
    return status;
}
