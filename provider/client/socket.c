/*
 * A socket's life: created undecided (options and memberships stay on the client), made known to
 * the dataplane by bind, connect or the first sendto, closed. Slow paths; any thread, one at a time
 * per socket by control_mutex. Calls request.c, options.c, pool.c.
 */
#include <string.h>

#include "provider/client/share.h"
#include "rings/byteorder.h"

#define WAY_PORT_BE16 rs_be16(9) /* discard: nothing is sent there */

/* ---- undecided to live
 * --------------------------------------------------------------------------------------------- */

/* The least ring that holds what the program wants buffered, and never less than the default: a
 * small SO_RCVBUF or SO_SNDBUF is a limit inside the ring, it does not shrink the longest datagram.
 */
uint32_t client_ring_bytes(const struct client_socket *socket, enum rs_option option)
{
    const struct rs_session_view *view = &socket->client->view;
    uint32_t wanted = client_option_value(socket, option);
    uint32_t bytes = option == RS_OPT_RCVBUF ? view->recv_ring_bytes : view->send_ring_bytes;
    if (wanted <= bytes) {
        return 0;
    }
    while (bytes < wanted && bytes < RS_RING_MAX_BYTES) {
        bytes *= 2;
    }
    return bytes;
}

void client_socket_take_place(struct client_socket *socket, uint32_t idx, uint32_t generation,
                              uint32_t queue_idx)
{
    struct client *client = socket->client;
    client_send_lock(socket);
    socket->idx = idx;
    socket->generation = generation;
    socket->home_queue_idx = queue_idx;
    socket->state = &client->socket_states[idx];
    socket->shared = &client->socket_clients[idx];
    socket->place = (struct client_post_place){.channel = NULL};
    /* send_level still says what the index's last user left there. */
    socket->post = (struct post_socket){
        .level_word = atomic_load_explicit(&socket->shared->send_level, memory_order_relaxed)};
    client_send_unlock(socket);
    atomic_store_explicit(&socket->error_seen,
                          atomic_load_explicit(&socket->state->error_seq, memory_order_acquire),
                          memory_order_relaxed);
}

enum rs_status client_socket_open(struct client_socket *socket, uint32_t local_be32)
{
    struct client *client = socket->client;
    uint32_t queue_idx =
        socket->rebind ? socket->home_queue_idx : client_queue_choose(client, local_be32);
    struct rs_open_reply reply;
    struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                              .type = (uint8_t)client_socket_type(socket),
                              .recv_ring_bytes = client_ring_bytes(socket, RS_OPT_RCVBUF),
                              .send_ring_bytes = client_ring_bytes(socket, RS_OPT_SNDBUF)};
    enum rs_status status = client_request_open(client, queue_idx, &open, &reply);
    if (status != RS_OK) {
        return status;
    }
    if (reply.socket_idx >= client->limit_sockets || reply.generation == 0) {
        return RS_CORRUPT;
    }
    client_socket_take_place(socket, reply.socket_idx, reply.generation, queue_idx);
    rs_socket_client_reset(socket->shared);
    return RS_OK;
}

void client_socket_set_wire_max(struct client_socket *socket, bool dont_fragment)
{
    const struct client *client = socket->client;
    uint32_t home_idx = socket->home_queue_idx;
    if (!dont_fragment) {
        socket->wire_max_bytes = RS_DGRAM_MAX_BYTES;
    } else if (socket->local_be32 != 0 && home_idx < client->queue_count &&
               client_queue_has_address(client, home_idx, socket->local_be32)) {
        socket->wire_max_bytes = client->queue_max_bytes[home_idx];
    } else {
        socket->wire_max_bytes = client->wire_max_bytes;
    }
}

enum rs_status client_socket_read_desc(struct client_socket *socket, struct rs_socket_desc *desc)
{
    memcpy(desc, &socket->client->socket_descs[socket->idx], sizeof(*desc));
    rs_fence_copied();
    if (desc->generation != socket->generation ||
        desc->type != (uint32_t)client_socket_type(socket) ||
        desc->home_queue_idx != socket->home_queue_idx || desc->local.family != RS_FAMILY_IPV4) {
        return RS_CORRUPT;
    }
    socket->local = desc->local;
    socket->peer = desc->peer;
    client_send_lock(socket);
    socket->local_be32 = desc->local.ip.v4_be32;
    client_socket_set_wire_max(socket, client_option_value(socket, RS_OPT_DONT_FRAGMENT) != 0);
    socket->peer_be32 = desc->peer.family == RS_FAMILY_IPV4 ? desc->peer.ip.v4_be32 : 0;
    socket->peer_port_be16 = desc->peer.port_be16;
    client_send_unlock(socket);
    return RS_OK;
}

enum rs_status client_map_records(struct client_socket *socket, const struct rs_socket_desc *desc)
{
    struct client *client = socket->client;
    uint32_t queues = 0;
    for (uint32_t i = 0; i < client->queue_count; i++) {
        if (desc->recv[i].size_bytes == 0) {
            continue;
        }
        uint8_t *recv_base = NULL;
        enum rs_status status =
            client_resolve_ring(client, &desc->recv[i], RS_EXTENT_DP, &recv_base);
        if (status != RS_OK) {
            return status;
        }
        /* 0, but where others had the socket meanwhile: then the dataplane stored it. */
        uint32_t head = atomic_load_explicit(&socket->shared->recv_head[i], memory_order_relaxed);
        if (head % RS_LINE_BYTES != 0) {
            return RS_CORRUPT;
        }
        dgram_reader_init(&socket->recv[queues], recv_base, desc->recv[i].size_bytes,
                          &socket->shared->recv_head[i], head);
        socket->recv_queue_idx[queues++] = (uint8_t)i;
    }
    socket->recv_queues = queues;
    socket->recv_queue = 0;
    return queues != 0 ? RS_OK : RS_CORRUPT;
}

static enum rs_status socket_map_rings(struct client_socket *socket,
                                       const struct rs_socket_desc *desc)
{
    struct client *client = socket->client;
    uint8_t *send_base = NULL;
    os_mutex_lock(&client->slow_mutex);
    enum rs_status status = client_resolve_ring(client, &desc->send, RS_EXTENT_CL, &send_base);
    if (status == RS_OK) {
        status = client_map_records(socket, desc);
    }
    os_mutex_unlock(&client->slow_mutex);
    if (status != RS_OK) {
        return status;
    }
    uint32_t limit_bytes = client_option_value(socket, RS_OPT_SNDBUF);
    limit_bytes = limit_bytes != 0 ? limit_bytes : 1;
    dgram_send_writer_init(&socket->send, send_base, desc->send.size_bytes,
                           &socket->state->send_head, limit_bytes, 0);
    atomic_store_explicit(&socket->send_tail, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->send_limit_bytes, limit_bytes, memory_order_relaxed);
    atomic_store_explicit(&socket->send_wanted_bytes, 0, memory_order_relaxed);
    return RS_OK;
}

enum rs_status client_socket_resume(struct client_socket *socket, const struct rs_socket_desc *desc)
{
    /* By its phase nobody is in the rings. */
    enum rs_status status = socket_map_rings(socket, desc);
    client_send_lock(socket);
    socket->broadcast = client_option_value(socket, RS_OPT_BROADCAST) != 0;
    client_send_unlock(socket);
    if (status == RS_OK) {
        /* Release, as in client_socket_go_live. */
        atomic_store_explicit(&socket->phase, CLIENT_SOCKET_LIVE, memory_order_release);
        client_watch_changed(socket);
    }
    return status;
}

enum rs_status client_socket_introduce(struct client_socket *socket, uint32_t local_be32)
{
    enum rs_status status = client_socket_open(socket, local_be32);
    if (status != RS_OK) {
        return status;
    }
    status = client_options_replay(socket);
    if (status != RS_OK) {
        (void)!client_request(socket, RS_OP_CLOSE, NULL, 0);
    }
    return status;
}

enum rs_status client_socket_go_live(struct client_socket *socket, const struct rs_addr *local)
{
    struct rs_socket_desc desc;
    bool stream = client_is_stream(socket);
    enum rs_status status = client_socket_introduce(socket, local->ip.v4_be32);
    if (status != RS_OK) {
        return status;
    }
    status = client_request(socket, RS_OP_BIND, local, sizeof(*local));
    if (status == RS_OK) {
        status = client_socket_read_desc(socket, &desc);
    }
    if (status == RS_OK && !stream) {
        status = socket_map_rings(socket, &desc);
    }
    if (status == RS_OK && !stream) {
        status = client_members_replay(socket);
    }
    if (status != RS_OK) {
        (void)!client_request(socket, RS_OP_CLOSE, NULL, 0);
        return status;
    }
    socket->bound = true;
    socket->rebind = false;
    socket->bound_to = socket->local;
    /* Release, partner client_socket_phase: rings and words are ready before anybody sees LIVE. */
    atomic_store_explicit(&socket->phase,
                          (uint32_t)(stream ? CLIENT_STREAM_IDLE : CLIENT_SOCKET_LIVE),
                          memory_order_release);
    client_watch_changed(socket);
    return RS_OK;
}

static enum rs_status socket_bind_locked(struct client_socket *socket, const struct rs_addr *local)
{
    switch (client_socket_phase(socket)) {
    case CLIENT_SOCKET_UNDECIDED:
        return socket->rebind ? RS_INVALID : client_socket_go_live(socket, local);
    case CLIENT_SOCKET_LIVE:
    case CLIENT_STREAM_IDLE:
    case CLIENT_STREAM_ACTIVE:
    case CLIENT_STREAM_LISTENING:
        return RS_INVALID;
    case CLIENT_SOCKET_SHARED:
        return client_share_bind(socket, local);
    case CLIENT_SOCKET_FREE:
    case CLIENT_SOCKET_CLOSED:
        break;
    }
    return RS_NOT_SOCKET;
}

/* RS_OK also when it is bound already. control_mutex held. */
static enum rs_status socket_bind_any_locked(struct client_socket *socket)
{
    struct rs_addr any = rs_addr_v4(0, 0);
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase == CLIENT_SOCKET_LIVE) {
        return RS_OK;
    }
    if (phase == CLIENT_SOCKET_SHARED) {
        return client_share_bind_any(socket);
    }
    return socket_bind_locked(socket, &any);
}

static rs_atomic_u32 *socket_way(struct client *client, uint32_t dst_be32)
{
    return &client->ways_be32[rs_be32(dst_be32) * 2654435761u >> (32 - CLIENT_WAYS_BITS)];
}

static bool socket_same_network(uint32_t a_be32, uint32_t b_be32, uint32_t prefix_len)
{
    return ((a_be32 ^ b_be32) & rs_prefix_mask_be32(prefix_len)) == 0;
}

static bool socket_is_near(const struct client_interface *nic, uint32_t dst_be32)
{
    bool near = nic->ip_be32 != 0 && socket_same_network(nic->ip_be32, dst_be32, nic->prefix_len);
    for (uint32_t i = 0; i < nic->more_count && !near; i++) {
        near = socket_same_network(nic->more_be32[i], dst_be32, nic->more_prefix_len[i]);
    }
    return near;
}

/* A network's own addresses, and a group's, need no route. */
static bool socket_is_beyond(struct client *client, uint32_t dst_be32)
{
    struct client_interface nic;
    uint32_t dst = rs_be32(dst_be32);
    if (dst_be32 == 0 || dst >> 24 == 127 || dst >> 28 >= 0xe ||
        atomic_load_explicit(socket_way(client, dst_be32), memory_order_relaxed) == dst_be32) {
        return false;
    }
    for (uint32_t i = 0; i < client->queue_count; i++) {
        client_interface_get(client, i, &nic);
        if (socket_is_near(&nic, dst_be32)) {
            return false;
        }
    }
    return true;
}

/* By a peer that is taken away again: nobody knows yet of the port that the socket was bound to a
 * moment ago. Routes are the configuration's: where there is a way once, there is one for good.
 * control_mutex held. */
static enum rs_status socket_ask_way(struct client_socket *socket, uint32_t dst_be32)
{
    const struct rs_addr peer = rs_addr_v4(dst_be32, WAY_PORT_BE16);
    const struct rs_addr nobody = {.family = RS_FAMILY_NONE};
    enum rs_status status = client_request(socket, RS_OP_CONNECT, &peer, sizeof(peer));
    if (status != RS_OK) {
        return status;
    }
    atomic_store_explicit(socket_way(socket->client, dst_be32), dst_be32, memory_order_relaxed);
    return client_request(socket, RS_OP_CONNECT, &nobody, sizeof(nobody));
}

enum rs_status client_bind_any(struct client_socket *socket, uint32_t dst_be32)
{
    os_mutex_lock(&socket->control_mutex);
    bool binds = client_socket_phase(socket) == CLIENT_SOCKET_UNDECIDED;
    enum rs_status status = socket_bind_any_locked(socket);
    if (status == RS_OK && binds && socket_is_beyond(socket->client, dst_be32)) {
        status = socket_ask_way(socket, dst_be32);
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

enum rs_status client_bind(struct client_socket *socket, const struct rs_addr *local)
{
    if (local->family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    struct rs_addr addr = rs_addr_v4(local->ip.v4_be32, local->port_be16);
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = socket_bind_locked(socket, &addr);
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

/* peer: RS_FAMILY_NONE to have none. */
static enum rs_status socket_set_peer(struct client_socket *socket, const struct rs_addr *peer)
{
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = RS_OK;
    if (peer->family != RS_FAMILY_NONE || client_socket_phase(socket) != CLIENT_SOCKET_UNDECIDED) {
        status = socket_bind_any_locked(socket);
        if (status == RS_OK) {
            status = client_request(socket, RS_OP_CONNECT, peer, sizeof(*peer));
        }
        if (status == RS_OK) {
            struct rs_socket_desc desc;
            status = client_socket_read_desc(socket, &desc);
        }
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

/* A peer that there can be; of nobody, where that is allowed, RS_FAMILY_NONE. */
static enum rs_status connect_peer(const struct rs_addr *peer, bool may_be_nobody,
                                   struct rs_addr *out)
{
    bool nobody =
        peer->family == RS_FAMILY_NONE || (peer->family == RS_FAMILY_IPV4 && peer->ip.v4_be32 == 0);
    *out = (struct rs_addr){.family = RS_FAMILY_NONE};
    if (nobody && may_be_nobody) {
        return RS_OK;
    }
    if (peer->family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (peer->port_be16 == 0 || nobody) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    *out = rs_addr_v4(peer->ip.v4_be32, peer->port_be16);
    return RS_OK;
}

enum rs_status client_connect(struct client_socket *socket, const struct rs_addr *peer)
{
    struct rs_addr addr;
    bool stream = client_is_stream(socket);
    enum rs_status status = connect_peer(peer, !stream, &addr);
    if (status != RS_OK) {
        return status;
    }
    return stream ? client_stream_connect(socket, &addr, true) : socket_set_peer(socket, &addr);
}

enum rs_status client_connect_begin(struct client_socket *socket, const struct rs_addr *peer)
{
    struct rs_addr addr;
    enum rs_status status =
        client_is_stream(socket) ? connect_peer(peer, false, &addr) : RS_NOT_SUPPORTED;
    return status == RS_OK ? client_stream_connect(socket, &addr, false) : status;
}

/* ---- addresses, shutdown
 * -------------------------------------------------------------------------------------------- */

enum rs_status client_local_addr(struct client_socket *socket, struct rs_addr *out)
{
    os_mutex_lock(&socket->control_mutex);
    (void)!client_share_refresh(socket);
    bool named = (client_phase_known(client_socket_phase(socket)) || socket->rebind) &&
                 socket->local.family == RS_FAMILY_IPV4 &&
                 socket->local.port_be16 != 0; /* else it is shared, and nobody bound it yet */
    if (named) {
        *out = socket->local;
    }
    os_mutex_unlock(&socket->control_mutex);
    return named ? RS_OK : RS_INVALID;
}

uint32_t client_mtu_bytes(struct client_socket *socket)
{
    const struct client *client = socket->client;
    struct rs_addr local;
    uint32_t idx = client_local_addr(socket, &local) == RS_OK
                       ? client_interface_of(client, local.ip.v4_be32)
                       : 0;
    return idx != 0 ? client->queues[idx - 1].mtu_bytes : client->view.mtu_bytes;
}

enum rs_status client_peer_addr(struct client_socket *socket, struct rs_addr *out)
{
    os_mutex_lock(&socket->control_mutex);
    (void)!client_share_refresh(socket); /* a dataplane that is gone changes nothing */
    enum client_socket_phase phase = client_socket_phase(socket);
    bool connected = socket->peer.family == RS_FAMILY_IPV4 &&
                     (client_is_stream(socket)
                          ? (phase == CLIENT_STREAM_ACTIVE || phase == CLIENT_SOCKET_SHARED) &&
                                (client_stream_level(socket) & RS_LEVEL_CONNECTED) != 0
                          : phase == CLIENT_SOCKET_LIVE || phase == CLIENT_SOCKET_SHARED);
    if (connected) {
        *out = socket->peer;
    }
    os_mutex_unlock(&socket->control_mutex);
    return connected ? RS_OK : RS_NOT_CONNECTED;
}

/* A datagram socket's dataplane need not know, but for others that have it, too, and those who
 * sleep on it. */
static enum rs_status socket_tell_shutdown(struct client_socket *socket, uint32_t ways)
{
    const struct rs_op_shutdown op = {.how = ways};
    enum rs_status status = RS_OK;
    os_mutex_lock(&socket->control_mutex);
    if (client_socket_phase(socket) == CLIENT_SOCKET_LIVE) {
        client_socket_wake(socket);
    } else if (client_is_shared(socket) && client_share_lost(socket) == RS_OK) {
        status = client_request(socket, RS_OP_SHUTDOWN, &op, sizeof(op));
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

enum rs_status client_shutdown(struct client_socket *socket, uint32_t how)
{
    if (!client_phase_open(client_socket_phase(socket))) {
        return RS_NOT_SOCKET;
    }
    uint32_t ways = how & (CLIENT_SHUT_RECV | CLIENT_SHUT_SEND);
    if (ways == 0 || (how & ~(ways | CLIENT_SHUT_KEEP)) != 0) {
        return RS_INVALID;
    }
    if (client_is_stream(socket)) {
        return client_stream_shutdown(socket, how);
    }
    atomic_fetch_or_explicit(&socket->shut, ways, memory_order_relaxed);
    client_watch_changed(socket);
    return socket_tell_shutdown(socket, ways);
}

/* ---- create, close
 * ---------------------------------------------------------------------------------------------------
 */

enum rs_status client_socket_make(struct client *client, enum rs_socket_type type,
                                  struct client_socket **out)
{
    struct client_socket *socket = NULL;
    enum rs_status status = client_pool_take(client, &socket);
    if (status != RS_OK) {
        return status;
    }
    os_mutex_lock(&socket->control_mutex);
    atomic_store_explicit(&socket->refs, 1, memory_order_relaxed);
    atomic_store_explicit(&socket->nonblocking, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->recv_timeout_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->send_timeout_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->linger_ms, CLIENT_LINGER_OFF, memory_order_relaxed);
    atomic_store_explicit(&socket->oob_inline, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->spin, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < 4; i++) {
        atomic_store_explicit(&socket->user_values[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&socket->type, (uint32_t)type, memory_order_relaxed);
    atomic_store_explicit(&socket->shut, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->user, NULL, memory_order_relaxed);
    socket->local = socket->peer = (struct rs_addr){.family = RS_FAMILY_NONE};
    socket->bound = socket->late_send_limit = socket->accepted = socket->rebind = false;
    socket->options_set = 0;
    socket->share = (struct client_share){.known = false};
    socket->member_count = 0;
    client_send_lock(socket);
    socket->broadcast = false;
    socket->peer_be32 = 0;
    client_send_unlock(socket);
    atomic_store_explicit(&socket->phase, CLIENT_SOCKET_UNDECIDED, memory_order_release);
    os_mutex_unlock(&socket->control_mutex);
    *out = socket;
    return RS_OK;
}

enum rs_status client_socket_create(struct client *client, uint8_t family, enum rs_socket_type type,
                                    struct client_socket **out)
{
    if (family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (type != RS_SOCK_DGRAM && type != RS_SOCK_STREAM) {
        return RS_TYPE_NOT_SUPPORTED;
    }
    return client_socket_make(client, type, out);
}

void client_socket_release(struct client_socket *socket)
{
    /* Acquire and release, partner the other releases: the last one sees what all did. */
    if (atomic_fetch_sub_explicit(&socket->refs, 1, memory_order_acq_rel) == 1) {
        client_pool_give(socket);
    }
}

/* All locks but control_mutex are taken once each, so that every thread that is inside leaves with
 * the old phase or sees the new one. */
static void socket_mark_closed(struct client_socket *socket)
{
    client_recv_lock(socket);
    client_send_lock(socket);
    (void)client_lock_take(&socket->arm_lock);
    atomic_store_explicit(&socket->phase, CLIENT_SOCKET_CLOSED, memory_order_release);
    client_lock_drop(&socket->arm_lock);
    client_send_unlock(socket);
    client_recv_unlock(socket);
}

static enum rs_status socket_close(struct client_socket *socket, const struct rs_op_close *op)
{
    os_mutex_lock(&socket->control_mutex);
    enum client_socket_phase phase = client_socket_phase(socket);
    if (!client_phase_open(phase)) {
        os_mutex_unlock(&socket->control_mutex);
        return RS_NOT_SOCKET;
    }
    /* First the mark, then the request: who sleeps on the socket is woken by the dataplane when it
     * takes the CLOSE, and must see the mark. */
    socket_mark_closed(socket);
    client_watch_changed(socket);
    if (phase == CLIENT_STREAM_ACTIVE && !socket->bound) {
        /* Answered at once, and nothing that is free then could be asked for by name: not waited
         * for. */
        client_request_leave(socket, RS_OP_CLOSE, op, sizeof(*op));
    } else if (client_phase_known(phase)) {
        /* Without a dataplane there is nothing to close. */
        (void)!client_request(socket, RS_OP_CLOSE, op, sizeof(*op));
    }
    os_mutex_unlock(&socket->control_mutex);
    client_socket_release(socket);
    return RS_OK;
}

enum rs_status client_socket_close(struct client_socket *socket)
{
    const struct rs_op_close op =
        client_is_stream(socket) ? client_stream_linger(socket) : (struct rs_op_close){0};
    return socket_close(socket, &op);
}

static void socket_close_if_open(struct client_socket *socket)
{
    if (client_phase_open(client_socket_phase(socket))) {
        (void)!socket_close(socket, &(struct rs_op_close){0});
    }
}

void client_sockets_close_all(struct client *client)
{
    client_pool_visit(client, socket_close_if_open);
}

/* ---- for facades
 * ------------------------------------------------------------------------------------------------------
 */

enum rs_socket_type client_socket_type(const struct client_socket *socket)
{
    return (enum rs_socket_type)atomic_load_explicit(&socket->type, memory_order_relaxed);
}

uint64_t client_socket_dropped(const struct client_socket *socket)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    return phase == CLIENT_SOCKET_LIVE || phase == CLIENT_SOCKET_SHARED
               ? atomic_load_explicit(&socket->state->recv_dropped, memory_order_relaxed)
               : 0;
}

void client_socket_ref(struct client_socket *socket)
{
    client_socket_hold(socket);
}

void client_socket_unref(struct client_socket *socket)
{
    client_socket_release(socket);
}

void client_socket_set_user(struct client_socket *socket, void *user)
{
    atomic_store_explicit(&socket->user, user, memory_order_release);
}

void *client_socket_user(const struct client_socket *socket)
{
    return atomic_load_explicit(&socket->user, memory_order_acquire);
}
