/*
 * Listening and accepting. A listener's receive rings hold one record for each connection that
 * waits; accept takes one and makes a socket of the place that it names, without a request. Any
 * thread; recv_lock makes accepting threads take turns and is not held while one waits. Calls
 * socket.c, stream.c, wait.c.
 */
#include <string.h>

#include "provider/client/share.h"

/* ---- listen -----------------------------------------------------------------------------------
 */

/* control_mutex held. */
static enum rs_status listen_start(struct client_socket *socket)
{
    struct rs_socket_desc desc;
    enum rs_status status = client_socket_read_desc(socket, &desc);
    if (status == RS_OK) {
        os_mutex_lock(&socket->client->slow_mutex);
        status = client_map_records(socket, &desc);
        os_mutex_unlock(&socket->client->slow_mutex);
    }
    if (status == RS_OK) {
        /* Release, partner client_socket_phase: the rings are ready before anybody sees it. */
        atomic_store_explicit(&socket->phase, CLIENT_STREAM_LISTENING, memory_order_release);
        client_watch_changed(socket);
    }
    return status;
}

static enum rs_status listen_locked(struct client_socket *socket, uint32_t backlog)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (!client_phase_open(phase)) {
        return RS_NOT_SOCKET;
    }
    if (phase == CLIENT_STREAM_ACTIVE) {
        return (client_stream_level(socket) & RS_LEVEL_CONNECTED) != 0 ? RS_IS_CONNECTED
                                                                       : RS_INVALID;
    }
    if (phase == CLIENT_SOCKET_UNDECIDED && socket->rebind) {
        enum rs_status bound = client_stream_rebind(socket);
        if (bound != RS_OK) {
            return bound;
        }
        phase = client_socket_phase(socket);
    }
    if (phase == CLIENT_SOCKET_SHARED && client_share_lost(socket) != RS_OK) {
        return client_share_lost(socket);
    }
    if (phase != CLIENT_SOCKET_SHARED && phase != CLIENT_STREAM_LISTENING &&
        (phase != CLIENT_STREAM_IDLE || !socket->bound)) {
        return RS_INVALID;
    }
    const struct rs_op_listen op = {.backlog = backlog != 0 ? backlog : 1,
                                    .recv_ring_bytes = client_ring_bytes(socket, RS_OPT_RCVBUF),
                                    .send_ring_bytes = client_ring_bytes(socket, RS_OPT_SNDBUF)};
    enum rs_status status = client_request(socket, RS_OP_LISTEN, &op, sizeof(op));
    return status == RS_OK && phase == CLIENT_STREAM_IDLE ? listen_start(socket) : status;
}

enum rs_status client_listen(struct client_socket *socket, uint32_t backlog)
{
    if (!client_is_stream(socket)) {
        return RS_NOT_SUPPORTED;
    }
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = listen_locked(socket, backlog);
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

bool client_is_listening(const struct client_socket *socket)
{
    return client_socket_phase(socket) == CLIENT_STREAM_LISTENING || client_share_listens(socket);
}

/* ---- accept -----------------------------------------------------------------------------------
 */

struct accepted {
    struct rs_accept record;
    struct rs_addr peer;
    uint32_t queue_idx;
};

static enum rs_status accept_allowed(const struct client_socket *listener)
{
    if (client_is_listening(listener)) {
        return RS_OK;
    }
    return client_phase_open(client_socket_phase(listener)) ? RS_INVALID : RS_NOT_SOCKET;
}

/* A record's content, checked. The place is ours from here on: its client words become those of a
 * new socket before the dataplane sees the record consumed. */
static enum rs_status accept_read(struct client *client, const struct dgram_view *view,
                                  struct accepted *out)
{
    if (view->header.len_bytes != sizeof(out->record)) {
        return RS_CORRUPT;
    }
    memcpy(&out->record, view->payload, sizeof(out->record));
    if (out->record.socket_idx >= client->limit_sockets || out->record.generation == 0) {
        return RS_CORRUPT;
    }
    out->peer = rs_addr_v4(view->header.src_be32, view->header.src_port_be16);
    rs_socket_client_reset(&client->socket_clients[out->record.socket_idx]);
    return RS_OK;
}

/* The dataplane has moved it to a place of ours, of which nobody else knows. */
static enum rs_status accept_take_shared(struct client_socket *listener, struct accepted *out)
{
    struct client *client = listener->client;
    struct rs_socket_desc desc;
    enum rs_status status = client_share_accept(listener, &out->record);
    if (status != RS_OK) {
        return status;
    }
    memcpy(&desc, &client->socket_descs[out->record.socket_idx], sizeof(desc));
    rs_fence_copied();
    if (desc.home_queue_idx >= client->queue_count) {
        return RS_CORRUPT;
    }
    out->peer = desc.peer;
    out->queue_idx = desc.home_queue_idx;
    rs_socket_client_reset(&client->socket_clients[out->record.socket_idx]);
    return RS_OK;
}

/* The oldest record of the next ring that has one. */
static enum rs_status accept_take(struct client_socket *listener, struct accepted *out)
{
    client_recv_lock(listener);
    if (client_is_shared(listener)) {
        client_recv_unlock(listener);
        return accept_take_shared(listener, out);
    }
    enum rs_status status = accept_allowed(listener);
    uint32_t queues = status == RS_OK ? listener->recv_queues : 0;
    for (uint32_t i = 0; i < queues; i++) {
        uint32_t queue = listener->recv_queue;
        struct dgram_reader *reader = &listener->recv[queue];
        struct dgram_view view;
        status = dgram_reader_peek(reader, &view);
        listener->recv_queue = queue + 1 == queues ? 0 : queue + 1;
        if (status == RS_WOULD_BLOCK) {
            continue;
        }
        if (status == RS_OK) {
            status = accept_read(listener->client, &view, out);
        }
        if (status == RS_OK) {
            out->queue_idx = listener->recv_queue_idx[queue];
            dgram_reader_consume(reader, &view);
        }
        break;
    }
    client_recv_unlock(listener);
    return status;
}

/* ---- whose options a connection has ----------------------------------------------------------
 */

static void accept_options(struct client_socket *listener, struct client_inherited *out)
{
    os_mutex_lock(&listener->control_mutex);
    (void)!client_share_refresh(listener); /* a dataplane that is gone changes nothing */
    client_options_take(listener, out);
    os_mutex_unlock(&listener->control_mutex);
}

/* What only the client knows. */
static void accept_inherit_modes(struct client_socket *listener, struct client_socket *socket)
{
    rs_atomic_u32 *const from[] = {&listener->nonblocking,     &listener->recv_timeout_ms,
                                   &listener->send_timeout_ms, &listener->linger_ms,
                                   &listener->oob_inline,      &listener->spin};
    rs_atomic_u32 *const to[] = {&socket->nonblocking,     &socket->recv_timeout_ms,
                                 &socket->send_timeout_ms, &socket->linger_ms,
                                 &socket->oob_inline,      &socket->spin};
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        atomic_store_explicit(to[i], atomic_load_explicit(from[i], memory_order_relaxed),
                              memory_order_relaxed);
    }
}

/* What the program has set on the listener is the new socket's, too; its place has it already.
 * control_mutex of the socket held. */
static void accept_inherit(struct client_socket *socket, const struct client_inherited *options)
{
    socket->options_set = options->set;
    socket->late_send_limit = options->late_send_limit;
    memcpy(socket->option_values, options->values, sizeof(socket->option_values));
}

enum rs_status client_inherit(struct client_socket *socket, struct client_socket *listener)
{
    struct client_inherited options;
    enum rs_status status = accept_allowed(listener);
    if (status != RS_OK) {
        return status;
    }
    accept_options(listener, &options);
    os_mutex_lock(&socket->control_mutex);
    bool accepted = client_socket_phase(socket) == CLIENT_STREAM_ACTIVE && socket->accepted;
    status = accepted ? client_options_adopt(socket, &options) : RS_NOT_CONNECTED;
    os_mutex_unlock(&socket->control_mutex);
    if (status == RS_OK) {
        accept_inherit_modes(listener, socket);
    }
    return status;
}

/* ---- taking -----------------------------------------------------------------------------------
 */

/* Nobody will ever use the connection. */
static void accept_reset(struct client_socket *socket)
{
    const struct rs_op_close op = {.abort = 1};
    (void)!client_request(socket, RS_OP_CLOSE, &op, sizeof(op));
}

/* The place becomes the socket's; its descriptor was written before the record. control_mutex held.
 */
static enum rs_status accept_adopt(struct client_socket *socket, const struct accepted *accepted)
{
    struct rs_socket_desc desc;
    const struct rs_accept *record = &accepted->record;
    client_socket_take_place(socket, record->socket_idx, record->generation, accepted->queue_idx);
    /* An error since it was connected is still to be reported. */
    atomic_fetch_sub_explicit(&socket->error_seen, 1, memory_order_relaxed);
    socket->accepted = true;
    enum rs_status status = client_socket_read_desc(socket, &desc);
    if (status == RS_OK) {
        status = client_stream_start(socket, &desc, 0);
    }
    if (status != RS_OK) {
        accept_reset(socket);
    }
    return status;
}

/* A socket that nobody has seen yet goes back to the pool. */
static void accept_discard(struct client_socket *socket)
{
    os_mutex_lock(&socket->control_mutex);
    atomic_store_explicit(&socket->phase, CLIENT_SOCKET_CLOSED, memory_order_release);
    os_mutex_unlock(&socket->control_mutex);
    client_socket_release(socket);
}

static enum rs_status accept_as(struct client_socket *listener, struct client_socket *socket,
                                const struct accepted *accepted)
{
    struct client_inherited options;
    accept_options(listener, &options);
    accept_inherit_modes(listener, socket);
    os_mutex_lock(&socket->control_mutex);
    accept_inherit(socket, &options);
    enum rs_status status = accept_adopt(socket, accepted);
    if (status == RS_OK &&
        socket->late_send_limit) { /* the dataplane tells of room by this limit */
        status = client_option_retell(socket, RS_OPT_SNDBUF);
        if (status != RS_OK) {
            accept_reset(socket);
        }
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

static enum rs_status accept_waits(const struct client_socket *listener)
{
    enum rs_status status = accept_allowed(listener);
    if (status == RS_OK &&
        client_stream_ready(listener, client_socket_phase(listener), RS_LEVEL_READABLE) == 0) {
        status = RS_WOULD_BLOCK;
    }
    return status;
}

/* control_mutex of the socket held. */
static enum rs_status accept_into_locked(struct client_socket *listener,
                                         struct client_socket *socket,
                                         const struct client_inherited *options,
                                         struct accepted *accepted)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase != CLIENT_SOCKET_UNDECIDED || socket->rebind) {
        return client_phase_open(phase) ? RS_INVALID : RS_NOT_SOCKET;
    }
    enum rs_status status = accept_take(listener, accepted);
    if (status == RS_OK) {
        status = accept_adopt(socket, accepted);
    }
    return status == RS_OK ? client_options_differ(socket, options) : status;
}

enum rs_status client_accept_into(struct client_socket *listener, struct client_socket *socket,
                                  struct rs_addr *peer)
{
    struct accepted accepted = {.queue_idx = 0};
    struct client_inherited options;
    if (!client_is_stream(listener) || !client_is_stream(socket)) {
        return RS_NOT_SUPPORTED;
    }
    if (!client_phase_open(client_socket_phase(socket))) {
        return RS_NOT_SOCKET;
    }
    enum rs_status status =
        socket->client == listener->client ? accept_waits(listener) : RS_INVALID;
    if (status != RS_OK) {
        enum rs_status alive =
            status == RS_WOULD_BLOCK ? client_check(listener->client, os_tsc()) : RS_OK;
        return alive != RS_OK ? alive : status;
    }
    accept_options(listener, &options);
    os_mutex_lock(&socket->control_mutex);
    status = accept_into_locked(listener, socket, &options, &accepted);
    os_mutex_unlock(&socket->control_mutex);
    if (status == RS_OK && peer != NULL) {
        *peer = accepted.peer;
    }
    return status;
}

/* The socket is made before the record is taken, so that no record is without one. */
static enum rs_status accept_try(struct client_socket *listener, struct client_socket **out,
                                 struct rs_addr *peer)
{
    struct accepted accepted = {.queue_idx = 0};
    struct client_socket *socket = NULL;
    enum rs_status status = accept_waits(listener);
    if (status != RS_OK) {
        return status;
    }
    status = client_socket_make(listener->client, RS_SOCK_STREAM, &socket);
    if (status != RS_OK) {
        return status;
    }
    status = accept_take(listener, &accepted);
    if (status == RS_OK) {
        status = accept_as(listener, socket, &accepted);
    }
    if (status != RS_OK) {
        accept_discard(socket);
        return status;
    }
    *out = socket;
    if (peer != NULL) {
        *peer = accepted.peer;
    }
    return RS_OK;
}

static bool accept_wait_ready(void *context)
{
    const struct client_socket *listener = context;
    return accept_allowed(listener) != RS_OK ||
           client_stream_ready(listener, client_socket_phase(listener), RS_LEVEL_READABLE) != 0;
}

static void accept_wait_arm(void *context, uint32_t channel_idx)
{
    client_socket_arm(context, RS_LEVEL_READABLE | RS_LEVEL_ERROR | RS_LEVEL_END, channel_idx);
}

static void accept_wait_disarm(void *context, uint32_t channel_idx)
{
    client_socket_disarm(context, channel_idx);
}

/* accept_try was RS_WOULD_BLOCK. The listener is held while this thread waits. */
static enum rs_status accept_block(struct client_socket *listener, struct client_socket **out,
                                   struct rs_addr *peer)
{
    struct client_condition condition = {.ready = accept_wait_ready,
                                         .arm = accept_wait_arm,
                                         .disarm = accept_wait_disarm,
                                         .context = listener,
                                         .socket = listener,
                                         .queue_idx = listener->home_queue_idx,
                                         .hooked = true};
    client_recv_lock(listener);
    enum rs_status status = accept_allowed(listener);
    if (status == RS_OK) {
        client_socket_hold(listener);
    }
    client_recv_unlock(listener);
    if (status != RS_OK) {
        return status;
    }
    do {
        status = client_wait(listener->client, &condition, UINT64_MAX);
        if (status == RS_OK) {
            status = accept_try(listener, out, peer);
            status = status == RS_NOT_SOCKET ? RS_INTERRUPTED : status;
        }
    } while (status == RS_WOULD_BLOCK);
    client_socket_release(listener);
    return status;
}

enum rs_status client_accept(struct client_socket *listener, struct client_socket **out,
                             struct rs_addr *peer)
{
    if (!client_is_stream(listener)) {
        return RS_NOT_SUPPORTED;
    }
    enum rs_status status = accept_try(listener, out, peer);
    if (status != RS_WOULD_BLOCK) {
        return status;
    }
    if (client_is_shared(listener)) { /* another one may have made it non-blocking */
        os_mutex_lock(&listener->control_mutex);
        (void)!client_share_refresh(listener);
        os_mutex_unlock(&listener->control_mutex);
    }
    if (client_may_block(listener, 0)) {
        return accept_block(listener, out, peer);
    }
    status = client_check(listener->client, os_tsc());
    return status != RS_OK ? status : RS_WOULD_BLOCK;
}
