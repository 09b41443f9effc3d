/*
 * The life of a connection: connect and its outcome, shutdown, what close waits for. Slow paths;
 * any thread, one at a time per socket by control_mutex, which is not held while a thread waits for
 * the peer. Called by socket.c, stream_listen.c; calls request.c, options.c, wait.c.
 */
#include "provider/client/share.h"

#define NS_PER_MS 1000000ull

uint32_t client_stream_send_limit(uint32_t wanted_bytes, uint32_t ring_bytes)
{
    uint32_t bytes = wanted_bytes < ring_bytes ? wanted_bytes : ring_bytes;
    return bytes < RS_RING_MIN_BYTES && ring_bytes >= RS_RING_MIN_BYTES ? RS_RING_MIN_BYTES : bytes;
}

/* setsockopt's page on SO_KEEPALIVE: a connection that its probes gave up says RS_NET_RESET to
 * calls that are under way, which is the first call that meets it here, and RS_NOT_CONNECTED
 * afterwards.
 */
enum rs_status client_stream_state_over(struct client_socket *socket, uint32_t level)
{
    if ((level & RS_LEVEL_CONNECTED) == 0) {
        return RS_NOT_CONNECTED;
    }
    /* A dataplane that stops says so first and then resets what is left, both ends of a connection
     * inside one program too: that it is gone is the reason to tell. */
    enum rs_status status = client_check(socket->client, os_tsc());
    if (status != RS_OK) {
        return status;
    }
    uint32_t code = atomic_load_explicit(&socket->state->error_code, memory_order_relaxed);
    if (code == RS_NET_RESET && client_error_take(socket) == RS_OK) {
        return RS_NOT_CONNECTED;
    }
    return code != RS_OK && code < RS_STATUS_COUNT ? client_stream_lost((enum rs_status)code)
                                                   : RS_CORRUPT;
}

enum rs_status client_keepalive_state(const struct client_socket *socket)
{
    const uint32_t over = RS_LEVEL_CONNECTED | RS_LEVEL_ERROR;
    enum client_socket_phase phase = client_socket_phase(socket);
    if (!client_is_stream(socket) ||
        (phase != CLIENT_STREAM_ACTIVE && phase != CLIENT_SOCKET_SHARED) ||
        (client_stream_level(socket) & over) != over) {
        return RS_OK;
    }
    switch (atomic_load_explicit(&socket->state->error_code, memory_order_relaxed)) {
    case RS_CONN_RESET:
        return RS_NOT_CONNECTED;
    case RS_TIMED_OUT:
    case RS_NET_RESET:
        return RS_NET_RESET;
    default:
        return RS_OK;
    }
}

/* ---- rings ------------------------------------------------------------------------------------
 */

enum rs_status client_stream_resume(struct client_socket *socket, const struct rs_socket_desc *desc,
                                    const struct rs_unshared *at)
{
    struct client *client = socket->client;
    const struct rs_ring_ref *recv = &desc->recv[socket->home_queue_idx];
    bool shared = (desc->flags & RS_DESC_RECV_SHARED) != 0;
    uint8_t *send_base = NULL;
    uint8_t *recv_base = NULL;
    os_mutex_lock(&client->slow_mutex);
    enum rs_status status = client_resolve_ring(client, &desc->send, RS_EXTENT_CL, &send_base);
    if (status == RS_OK) {
        status =
            client_resolve_ring(client, recv, shared ? RS_EXTENT_CL : RS_EXTENT_DP, &recv_base);
    }
    os_mutex_unlock(&client->slow_mutex);
    if (status != RS_OK) {
        return status;
    }
    if (rs_seq_distance(at->send_head, at->send_tail) > desc->send.size_bytes) {
        return RS_CORRUPT;
    }
    client_recv_lock(socket);
    socket->in = (struct client_stream_in){.mark_seq = at->urgent_seq};
    stream_reader_init(&socket->in.ring, recv_base, recv->size_bytes, at->recv_head);
    atomic_store_explicit(&socket->urgent_base, at->urgent_seq, memory_order_relaxed);
    atomic_store_explicit(&socket->urgent_taken, at->urgent_seq, memory_order_relaxed);
    client_recv_unlock(socket);
    client_send_lock(socket);
    uint32_t limit_bytes =
        client_stream_send_limit(client_option_value(socket, RS_OPT_SNDBUF), desc->send.size_bytes);
    stream_writer_init(&socket->out, send_base, desc->send.size_bytes, limit_bytes, at->send_head);
    socket->out.tail = at->send_tail;
    atomic_store_explicit(&socket->send_tail, at->send_tail, memory_order_relaxed);
    atomic_store_explicit(&socket->ring_lent, shared, memory_order_relaxed);
    atomic_store_explicit(&socket->send_limit_bytes, limit_bytes, memory_order_relaxed);
    client_send_unlock(socket);
    /* Release, partner client_socket_phase: rings and words are ready before anybody sees it. */
    atomic_store_explicit(&socket->phase, CLIENT_STREAM_ACTIVE, memory_order_release);
    client_watch_changed(socket);
    return RS_OK;
}

enum rs_status client_stream_start(struct client_socket *socket, const struct rs_socket_desc *desc,
                                   uint32_t urgent_base)
{
    return client_stream_resume(socket, desc, &(struct rs_unshared){.urgent_seq = urgent_base});
}

/* Away from the rings of an attempt that failed: who is inside leaves, and their positions are
 * those of a new connection. */
static void stream_rest(struct client_socket *socket)
{
    client_recv_lock(socket);
    client_send_lock(socket);
    atomic_store_explicit(&socket->phase, CLIENT_STREAM_IDLE, memory_order_release);
    for (uint32_t queue_idx = 0; queue_idx < RS_QUEUES_MAX; queue_idx++) {
        atomic_store_explicit(&socket->shared->recv_head[queue_idx], 0, memory_order_relaxed);
    }
    socket->post.level_word = 0;
    atomic_store_explicit(&socket->shared->send_level, 0, memory_order_relaxed);
    client_send_unlock(socket);
    client_recv_unlock(socket);
}

/* ---- connect ----------------------------------------------------------------------------------
 */

/* CONNECT of a socket that the dataplane knows, behind the first `count` steps. */
static enum rs_status stream_connect_steps(struct client_socket *socket, const struct rs_addr *peer,
                                           struct client_step *steps, uint32_t count)
{
    struct rs_socket_desc desc;
    socket->accepted = false;
    uint32_t urgent_base = atomic_load_explicit(&socket->state->urgent_seq, memory_order_relaxed);
    steps[count] = (struct client_step){
        .op = RS_OP_CONNECT, .payload_bytes = sizeof(*peer), .payload.addr = *peer};
    enum rs_status status = client_request_steps(socket, steps, count + 1);
    if (status == RS_OK) {
        status = client_socket_read_desc(socket, &desc);
    }
    return status == RS_OK ? client_stream_start(socket, &desc, urgent_base) : status;
}

static enum rs_status stream_connect_known(struct client_socket *socket, const struct rs_addr *peer)
{
    struct client_step connect;
    return stream_connect_steps(socket, peer, &connect, 0);
}

/* By the NIC with this address; 0: the first. The options' values were checked when they were set,
 * so CONNECT does not wait for their answers. */
static enum rs_status stream_connect_by(struct client_socket *socket, const struct rs_addr *peer,
                                        uint32_t nic_be32)
{
    struct client_step steps[CLIENT_STEPS_MAX];
    enum rs_status status = client_socket_open(socket, nic_be32);
    if (status != RS_OK) {
        return status;
    }
    status = stream_connect_steps(socket, peer, steps, client_options_steps(socket, steps));
    if (status != RS_OK) { /* the dataplane forgets it, it stays undecided */
        const struct rs_op_close op = {.abort = 1};
        (void)!client_request(socket, RS_OP_CLOSE, &op, sizeof(op));
    }
    return status;
}

/* All NICs but the one that the peer is routed by say RS_NET_UNREACHABLE. */
static enum rs_status stream_connect_fresh(struct client_socket *socket, const struct rs_addr *peer)
{
    const struct client *client = socket->client;
    uint32_t tried_be32 = client->queues[0].ip_be32;
    enum rs_status status = stream_connect_by(socket, peer, 0);
    for (uint32_t i = 1; i < client->queue_count && status == RS_NET_UNREACHABLE; i++) {
        uint32_t nic_be32 = client->queues[i].ip_be32;
        if (nic_be32 != 0 && nic_be32 != tried_be32) { /* a NIC's queues follow each other */
            tried_be32 = nic_be32;
            status = stream_connect_by(socket, peer, nic_be32);
        }
    }
    return status;
}

/* control_mutex held. RS_OK: under way. */
static enum rs_status stream_connect_locked(struct client_socket *socket,
                                            const struct rs_addr *peer)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase == CLIENT_SOCKET_UNDECIDED && !socket->rebind) {
        return stream_connect_fresh(socket, peer);
    }
    if (phase == CLIENT_SOCKET_UNDECIDED) {
        enum rs_status status = client_stream_rebind(socket);
        return status == RS_OK ? stream_connect_known(socket, peer) : status;
    }
    if (phase == CLIENT_STREAM_ACTIVE) {
        uint32_t level = client_stream_level(socket);
        if ((level & (RS_LEVEL_CONNECTED | RS_LEVEL_ERROR)) != RS_LEVEL_ERROR) {
            return (level & RS_LEVEL_CONNECTED) != 0 ? RS_IS_CONNECTED : RS_ALREADY;
        }
        stream_rest(socket);
        return stream_connect_known(socket, peer);
    }
    if (phase == CLIENT_STREAM_IDLE) {
        return stream_connect_known(socket, peer);
    }
    if (phase == CLIENT_SOCKET_SHARED) {
        return client_share_connect(socket, peer);
    }
    return phase == CLIENT_STREAM_LISTENING ? RS_INVALID : RS_NOT_SOCKET;
}

/* Its state line says what becomes of the attempt. */
static bool connect_may_go_on(const struct client_socket *socket)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    return phase == CLIENT_STREAM_ACTIVE ||
           (phase == CLIENT_SOCKET_SHARED && client_share_lost(socket) == RS_OK);
}

static bool connect_wait_ready(void *context)
{
    const struct client_socket *socket = context;
    return !connect_may_go_on(socket) ||
           (client_stream_level(socket) & (RS_LEVEL_CONNECTED | RS_LEVEL_ERROR)) != 0;
}

static void connect_wait_arm(void *context, uint32_t channel_idx)
{
    client_socket_arm(context, RS_LEVEL_CONNECTED | RS_LEVEL_ERROR, channel_idx);
}

static void stream_wait_disarm(void *context, uint32_t channel_idx)
{
    client_socket_disarm(context, channel_idx);
}

enum rs_status client_connect_result(struct client_socket *socket)
{
    if (!connect_may_go_on(socket)) {
        return client_is_shared(socket) ? client_share_lost(socket) : RS_INTERRUPTED;
    }
    uint32_t level = client_stream_level(socket);
    if ((level & RS_LEVEL_CONNECTED) != 0) {
        return RS_OK;
    }
    if ((level & RS_LEVEL_ERROR) == 0) {
        return RS_WOULD_BLOCK;
    }
    /* Reported here; also when another thread took it. */
    uint32_t code = atomic_load_explicit(&socket->state->error_code, memory_order_relaxed);
    (void)client_error_take(socket);
    return code != RS_OK && code < RS_STATUS_COUNT ? (enum rs_status)code : RS_CORRUPT;
}

/* The socket is held. */
static enum rs_status stream_wait_connected(struct client_socket *socket)
{
    struct client_condition condition = {.ready = connect_wait_ready,
                                         .arm = connect_wait_arm,
                                         .disarm = stream_wait_disarm,
                                         .context = socket,
                                         .socket = socket,
                                         .queue_idx = socket->home_queue_idx,
                                         .hooked = true};
    enum rs_status status = client_wait(socket->client, &condition, UINT64_MAX);
    return status == RS_OK ? client_connect_result(socket) : status;
}

enum rs_status client_stream_connect(struct client_socket *socket, const struct rs_addr *peer,
                                     bool waits)
{
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = stream_connect_locked(socket, peer);
    bool blocks = status == RS_OK && waits && client_may_block(socket, 0);
    if (blocks) {
        client_socket_hold(socket);
    }
    os_mutex_unlock(&socket->control_mutex);
    if (status != RS_OK) {
        return status;
    }
    if (!blocks) {
        return waits ? RS_WOULD_BLOCK : RS_OK;
    }
    status = stream_wait_connected(socket);
    client_socket_release(socket);
    return status;
}

/* ---- what it tells about itself ---------------------------------------------------------------
 */

enum rs_status client_tcp_info(struct client_socket *socket, struct rs_tcp_info *info)
{
    os_mutex_lock(&socket->control_mutex);
    enum client_socket_phase phase = client_socket_phase(socket);
    enum rs_status status = RS_NOT_SOCKET;
    if (phase == CLIENT_STREAM_ACTIVE || phase == CLIENT_SOCKET_SHARED) {
        status = client_request_info(socket, info);
    } else if (client_phase_open(phase)) {
        status = client_is_stream(socket) ? RS_NOT_CONNECTED : RS_NOT_SUPPORTED;
    }
    os_mutex_unlock(&socket->control_mutex);
    return status == RS_OK && info->state >= RS_TCP_STATE_COUNT ? RS_CORRUPT : status;
}

enum rs_status client_connected_ns(struct client_socket *socket, uint64_t *ns)
{
    uint64_t since_tsc = 0;
    os_mutex_lock(&socket->control_mutex);
    enum client_socket_phase phase = client_socket_phase(socket);
    bool connected = (phase == CLIENT_STREAM_ACTIVE || phase == CLIENT_SOCKET_SHARED) &&
                     (client_stream_level(socket) & RS_LEVEL_CONNECTED) != 0;
    if (connected) { /* relaxed: client_stream_level is an acquire */
        since_tsc = atomic_load_explicit(&socket->state->connected_tsc, memory_order_relaxed);
    }
    os_mutex_unlock(&socket->control_mutex);
    uint64_t now_tsc = os_tsc();
    *ns = now_tsc > since_tsc
              ? rs_clock_interval_ns(&socket->client->view.clock, now_tsc - since_tsc)
              : 0; /* two processors' clocks */
    return connected ? RS_OK : RS_NOT_CONNECTED;
}

/* ---- shutdown, close --------------------------------------------------------------------------
 */

static enum rs_status stream_shutdown_locked(struct client_socket *socket, uint32_t how)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    bool shared = phase == CLIENT_SOCKET_SHARED;
    if (phase != CLIENT_STREAM_ACTIVE && !shared) {
        return client_phase_open(phase) ? RS_NOT_CONNECTED : RS_NOT_SOCKET;
    }
    enum rs_status status = client_stream_state(socket, client_stream_level(socket));
    if (status != RS_WOULD_BLOCK) {
        return status;
    }
    /* A sender that is inside posts before the request, a later one sees the mark. */
    const uint32_t ways = how & (CLIENT_SHUT_RECV | CLIENT_SHUT_SEND);
    client_send_lock(socket);
    atomic_fetch_or_explicit(&socket->shut, ways, memory_order_relaxed);
    client_send_unlock(socket);
    static_assert((int)CLIENT_SHUT_RECV == (int)RS_SHUTDOWN_RECV &&
                      (int)CLIENT_SHUT_SEND == (int)RS_SHUTDOWN_SEND,
                  "one set of bits");
    static_assert((int)CLIENT_SHUT_KEEP == (int)RS_SHUTDOWN_KEEP, "and that");
    if (shared) { /* the others are to know */
        const struct rs_op_shutdown all = {.how = ways | (how & CLIENT_SHUT_KEEP)};
        return client_request(socket, RS_OP_SHUTDOWN, &all, sizeof(all));
    }
    /* Without a way it only wakes who waits on the socket. */
    const struct rs_op_shutdown op = {.how = (how & CLIENT_SHUT_KEEP) != 0 ? ways & CLIENT_SHUT_SEND
                                                                           : ways};
    return client_request(socket, RS_OP_SHUTDOWN, &op, sizeof(op));
}

enum rs_status client_stream_shutdown(struct client_socket *socket, uint32_t how)
{
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = stream_shutdown_locked(socket, how);
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

static bool linger_wait_ready(void *context)
{
    const struct client_socket *socket = context;
    return client_socket_phase(socket) != CLIENT_STREAM_ACTIVE ||
           (client_stream_level(socket) & RS_LEVEL_ERROR) != 0 ||
           atomic_load_explicit(&socket->ring_lent, memory_order_relaxed) != 0 || /* delivered */
           atomic_load_explicit(&socket->state->send_head, memory_order_relaxed) ==
               atomic_load_explicit(&socket->send_tail, memory_order_relaxed);
}

static void linger_wait_arm(void *context, uint32_t channel_idx)
{
    client_socket_arm(context, RS_LEVEL_WRITABLE | RS_LEVEL_ERROR, channel_idx);
}

/* Ends the sending side. True: there is something to wait for, the socket is held. */
static bool linger_begins(struct client_socket *socket)
{
    os_mutex_lock(&socket->control_mutex);
    bool begins = stream_shutdown_locked(socket, CLIENT_SHUT_SEND) == RS_OK;
    if (begins) {
        client_socket_hold(socket);
    }
    os_mutex_unlock(&socket->control_mutex);
    return begins;
}

struct rs_op_close client_stream_linger(struct client_socket *socket)
{
    if (client_is_shared(socket)) { /* only the last descriptor's matters, and nobody waits */
        os_mutex_lock(&socket->control_mutex);
        (void)!client_share_refresh(socket);
        os_mutex_unlock(&socket->control_mutex);
    }
    uint32_t linger_ms = atomic_load_explicit(&socket->linger_ms, memory_order_relaxed);
    if (linger_ms == CLIENT_LINGER_OFF || linger_ms == 0) {
        return (struct rs_op_close){.abort = linger_ms == 0};
    }
    if (!client_may_block(socket, 0) || client_is_shared(socket)) {
        return (struct rs_op_close){.linger_ms = linger_ms};
    }
    struct rs_op_close op = {0};
    if (linger_begins(socket)) {
        struct client_condition condition = {.ready = linger_wait_ready,
                                             .arm = linger_wait_arm,
                                             .disarm = stream_wait_disarm,
                                             .context = socket,
                                             .socket = socket,
                                             .queue_idx = socket->home_queue_idx};
        op.abort =
            client_wait(socket->client, &condition,
                        client_deadline(socket->client, linger_ms * NS_PER_MS)) == RS_TIMED_OUT;
        client_socket_release(socket);
    }
    return op;
}
