/*
 * Sending on a connection: bytes copied into the send ring, the new tail posted. Any thread; the
 * socket's send_lock makes concurrent senders take turns and is not held while one waits for room,
 * so what two threads send at the same time may be mixed where it did not fit at once. No system
 * call, allocation or division unless it blocks.
 */
#include <string.h>

#include "provider/client/share.h"

struct stream_send {
    struct client_socket *socket;
    /* where the program's bytes go on */
    const struct client_iov *iov;
    size_t iov_off;
    size_t left_bytes;
    uint64_t deadline_tsc; /* 0: it has not waited yet */
    bool urgent;           /* the last of them */
    bool warm;             /* CLIENT_MSG_WARM */
};

/* The next len_bytes bytes of the program's buffers. */
static void send_gather(struct stream_send *call, const struct stream_region *to)
{
    uint8_t *place = to->base;
    uint32_t left = to->len_bytes;
    while (left != 0) {
        size_t part = call->iov->len_bytes - call->iov_off;
        if (part == 0) {
            call->iov++;
            call->iov_off = 0;
            continue;
        }
        part = part < left ? part : left;
        client_copy(place, (const uint8_t *)call->iov->base + call->iov_off, part);
        place += part;
        call->iov_off += part;
        left -= (uint32_t)part;
    }
}

/* send_lock held: may this socket send? */
static enum rs_status send_allowed(struct client_socket *socket)
{
    switch (client_socket_phase(socket)) {
    case CLIENT_STREAM_ACTIVE:
        break;
    case CLIENT_SOCKET_UNDECIDED:
    case CLIENT_STREAM_IDLE:
    case CLIENT_STREAM_LISTENING:
        return RS_NOT_CONNECTED;
    case CLIENT_SOCKET_SHARED:
        return RS_IN_PROGRESS; /* goes on in share.c */
    default:
        return RS_NOT_SOCKET;
    }
    const struct client *client = socket->client;
    if (atomic_load_explicit(&client->ended, memory_order_relaxed) != 0 ||
        atomic_load_explicit(&client->header->poisoned, memory_order_relaxed) != 0) {
        enum rs_status status = client_check(socket->client, os_tsc());
        return status != RS_OK ? status : RS_POISONED;
    }
    enum rs_status status = client_stream_state(socket, client_stream_level(socket));
    if (!CLIENT_LIKELY(status == RS_WOULD_BLOCK)) {
        return status;
    }
    uint32_t shut = atomic_load_explicit(&socket->shut, memory_order_relaxed);
    if ((shut & (CLIENT_SHUT_SEND | CLIENT_SHUT_BROKEN)) != 0) {
        return (shut & CLIENT_SHUT_BROKEN) != 0 ? RS_CORRUPT : RS_SHUTDOWN;
    }
    return RS_OK;
}

/* As a send would do it, but that the bytes behind the tail are not posted. */
static void send_warm(struct stream_send *call, struct client_channel *channel)
{
    struct stream_region regions[2];
    uint32_t wanted = call->left_bytes < UINT32_MAX ? (uint32_t)call->left_bytes : UINT32_MAX;
    uint32_t bytes = stream_writer_regions(&call->socket->out, 0, wanted, regions);
    send_gather(call, &regions[0]);
    send_gather(call, &regions[1]);
    call->left_bytes = 0;
    client_post_warm(call->socket, channel, bytes, NULL);
}

/* send_lock held. RS_OK: some or all were taken; RS_WOULD_BLOCK: no room. In line with its callers:
 * what it is told stays in registers. */
static inline __attribute__((always_inline)) enum rs_status send_try(struct stream_send *call,
                                                                     struct client_channel *channel)
{
    struct client_socket *socket = call->socket;
    enum rs_status status = send_allowed(socket);
    if (!CLIENT_LIKELY(status == RS_OK)) {
        return status;
    }
    status = client_socket_move(socket, channel);
    if (!CLIENT_LIKELY(status == RS_OK) || call->left_bytes == 0) {
        return status;
    }
    struct stream_writer *out = &socket->out;
    if (stream_writer_room(out) < call->left_bytes) {
        status = stream_writer_refresh(out, &socket->state->send_head, RS_CORRUPT);
        if (status != RS_OK) {
            return status;
        }
    }
    if (!CLIENT_LIKELY(!call->warm)) {
        send_warm(call, channel);
        return RS_OK;
    }
    struct stream_region regions[2];
    uint32_t wanted = call->left_bytes < UINT32_MAX ? (uint32_t)call->left_bytes : UINT32_MAX;
    uint32_t taken = stream_writer_regions(out, 0, wanted, regions);
    if (taken == 0) {
        return RS_WOULD_BLOCK;
    }
    send_gather(call, &regions[0]);
    if (!CLIENT_LIKELY(regions[1].len_bytes == 0)) {
        send_gather(call, &regions[1]);
    }
    call->left_bytes -= taken;
    stream_writer_commit(out, taken);
    atomic_store_explicit(&socket->send_tail, out->tail, memory_order_relaxed);
    return client_post(socket, channel, out->tail, call->urgent && call->left_bytes == 0);
}

/* ---- blocking ---------------------------------------------------------------------------------
 */

static bool send_wait_ready(void *context)
{
    const struct stream_send *call = context;
    const struct client_socket *socket = call->socket;
    return client_socket_phase(socket) != CLIENT_STREAM_ACTIVE ||
           (client_stream_level(socket) & RS_LEVEL_ERROR) != 0 ||
           (atomic_load_explicit(&socket->shut, memory_order_relaxed) &
            (CLIENT_SHUT_SEND | CLIENT_SHUT_BROKEN)) != 0 ||
           client_stream_room(socket, call->left_bytes);
}

static void send_wait_arm(void *context, uint32_t channel_idx)
{
    const struct stream_send *call = context;
    client_socket_arm(call->socket, RS_LEVEL_WRITABLE | RS_LEVEL_ERROR, channel_idx);
}

static void send_wait_disarm(void *context, uint32_t channel_idx)
{
    const struct stream_send *call = context;
    client_socket_disarm(call->socket, channel_idx);
}

/* The socket is held. Until all is in the ring. */
static enum rs_status send_block(struct stream_send *call, struct client_channel *channel)
{
    struct client_socket *socket = call->socket;
    struct client *client = socket->client;
    struct client_condition condition = {.ready = send_wait_ready,
                                         .arm = send_wait_arm,
                                         .disarm = send_wait_disarm,
                                         .context = call,
                                         .socket = socket,
                                         .queue_idx = channel->queue_idx,
                                         .hooked = true};
    client_call_begins(client, &socket->send_timeout_ms, &call->deadline_tsc);
    for (;;) {
        enum rs_status status = client_wait(client, &condition, call->deadline_tsc);
        if (status != RS_OK) {
            return status;
        }
        client_send_lock(socket);
        status = send_try(call, channel);
        client_send_unlock(socket);
        if (status == RS_NOT_SOCKET) {
            return RS_INTERRUPTED;
        }
        if (status != RS_WOULD_BLOCK && (status != RS_OK || call->left_bytes == 0)) {
            return client_stream_met(status);
        }
    }
}

/* The full ring may be a dead dataplane's. */
static enum rs_status send_miss(struct client_socket *socket)
{
    enum rs_status status = client_check(socket->client, os_tsc());
    return status != RS_OK ? status : RS_WOULD_BLOCK;
}

static enum rs_status send_once(struct stream_send *call, uint32_t flags)
{
    struct client_socket *socket = call->socket;
    enum client_socket_phase phase = client_socket_phase(socket);
    if (!CLIENT_LIKELY(phase == CLIENT_STREAM_ACTIVE)) {
        if (phase == CLIENT_SOCKET_SHARED) {
            return RS_IN_PROGRESS;
        }
        return client_phase_open(phase) ? RS_NOT_CONNECTED : RS_NOT_SOCKET;
    }
    enum rs_status status = RS_OK;
    struct client_channel *channel =
        client_channel_get(socket->client, socket->home_queue_idx, &status);
    if (channel == NULL) {
        return status;
    }
    client_send_lock(socket);
    status = send_try(call, channel);
    bool blocks = false;
    if (!CLIENT_LIKELY(status == RS_OK && call->left_bytes == 0) &&
        (status == RS_OK || status == RS_WOULD_BLOCK)) {
        blocks = client_may_block(socket, flags);
        if (blocks) {
            client_socket_hold(socket);
        } else if (status == RS_WOULD_BLOCK) {
            status = send_miss(socket);
        }
    }
    client_send_unlock(socket);
    if (blocks) {
        status = send_block(call, channel);
        client_socket_release(socket);
    }
    return status;
}

/* Only where all of it has room: a part would be half a call. */
enum rs_status client_stream_send_claimed(struct client_socket *socket,
                                          const struct client_iov *iov, uint32_t iov_count,
                                          size_t *sent_bytes)
{
    struct client_channel *channel =
        client_socket_phase(socket) == CLIENT_STREAM_ACTIVE
            ? client_channel_have(socket->client, socket->home_queue_idx)
            : NULL;
    struct stream_send call = {.socket = socket, .iov = iov};
    for (uint32_t i = 0; i < iov_count; i++) {
        call.left_bytes += iov[i].len_bytes;
    }
    *sent_bytes = call.left_bytes;
    return CLIENT_LIKELY(channel != NULL && stream_writer_room(&socket->out) >= call.left_bytes)
               ? send_try(&call, channel)
               : RS_WOULD_BLOCK;
}

enum rs_status client_stream_send(struct client_socket *socket, const struct client_iov *iov,
                                  uint32_t iov_count, uint32_t flags, size_t *sent_bytes)
{
    size_t total_bytes = 0;
    for (uint32_t i = 0; i < iov_count; i++) {
        total_bytes += iov[i].len_bytes;
    }
    struct stream_send call = {.socket = socket,
                               .iov = iov,
                               .left_bytes = total_bytes,
                               .urgent = (flags & CLIENT_MSG_OOB) != 0,
                               .warm = (flags & CLIENT_MSG_WARM) != 0};
    enum rs_status status = send_once(&call, flags);
    while (!CLIENT_LIKELY(status != RS_IN_PROGRESS)) { /* shared, or no more */
        struct client_iov_place place = {call.iov, call.iov_off, call.left_bytes};
        status = client_share_send(socket, &place, flags, &call.deadline_tsc);
        call.iov = place.iov;
        call.iov_off = place.iov_off;
        call.left_bytes = place.left_bytes;
        if (status == RS_IN_PROGRESS) {
            status = send_once(&call, flags);
        } else if (status == RS_WOULD_BLOCK && call.left_bytes != total_bytes) {
            status = RS_OK;
        }
    }
    *sent_bytes = call.warm ? 0 : total_bytes - call.left_bytes;
    return status;
}
