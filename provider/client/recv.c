/*
 * Receiving datagrams: the record at the head of a receive ring, copied into the caller's buffers.
 * Any thread; the socket's recv_lock makes concurrent receivers take turns and is not held while
 * one waits. No system call, allocation or division unless it blocks.
 */
#include <string.h>

#include "provider/client/share.h"

#define MISSES_PER_CHECK \
    64u /* empty looks of a non-blocking socket between two looks at the clock; a power of two */

/* Copies the payload as far as the buffers go. Returns the bytes copied. */
static size_t recv_scatter(const struct client_iov *iov, uint32_t iov_count, const uint8_t *payload,
                           size_t len_bytes)
{
    size_t done = 0;
    for (uint32_t i = 0; i < iov_count && done < len_bytes; i++) {
        size_t part = len_bytes - done < iov[i].len_bytes ? len_bytes - done : iov[i].len_bytes;
        if (part != 0) {
            client_copy(iov[i].base, payload + done, part);
            done += part;
        }
    }
    return done;
}

struct recv_call {
    const struct client_iov *iov;
    uint32_t iov_count;
    uint32_t flags;
    struct client_recv_info *info; /* may be NULL */
    size_t received_bytes;
    uint64_t deadline_tsc; /* 0: it has not waited yet */
};

/* RS_MESSAGE_SIZE: the buffers were too short for all of it. */
static enum rs_status recv_fill(struct recv_call *call, const struct dgram_view *view)
{
    call->received_bytes =
        recv_scatter(call->iov, call->iov_count, view->payload, view->header.len_bytes);
    if (call->info != NULL) {
        struct client_recv_info *info = call->info;
        rs_addr_set_v4(&info->from, view->header.src_be32, view->header.src_port_be16);
        info->rx_tsc = view->header.rx_tsc;
        info->len_bytes = view->header.len_bytes;
        info->ttl = view->header.ttl;
        info->tos = view->header.tos;
        info->flags = view->header.flags & (RS_DGRAM_MULTICAST | RS_DGRAM_BROADCAST | RS_DGRAM_EXT);
        info->to_be32 = 0;
        info->interface_be32 = 0;
        if (!CLIENT_LIKELY(view->ext == NULL)) {
            memcpy(&call->info->to_be32, view->ext->dst_v6, sizeof(call->info->to_be32));
            call->info->interface_be32 = view->ext->interface_be32;
        }
    }
    return CLIENT_LIKELY(call->received_bytes == view->header.len_bytes) ? RS_OK : RS_MESSAGE_SIZE;
}

/* recv_lock held, socket live. RS_WOULD_BLOCK: nothing there. */
static enum rs_status recv_look(struct client_socket *socket, struct recv_call *call)
{
    struct dgram_view view;
    uint32_t queue = socket->recv_queue;
    for (uint32_t i = 0; i < socket->recv_queues; i++) {
        struct dgram_reader *reader = &socket->recv[queue];
        enum rs_status status = dgram_reader_peek(reader, &view);
        uint32_t next = queue + 1 == socket->recv_queues ? 0 : queue + 1;
        if (CLIENT_LIKELY(status == RS_OK)) {
            status = recv_fill(call, &view);
            if ((call->flags & CLIENT_MSG_PEEK) == 0) {
                socket->recv_queue = next;
                dgram_reader_consume(reader, &view);
            }
            return status;
        }
        if (status != RS_WOULD_BLOCK) {
            return status;
        }
        queue = next;
    }
    enum rs_status status = client_error_take(socket);
    return status != RS_OK ? status : RS_WOULD_BLOCK;
}

/* recv_lock held: may this socket receive? */
static enum rs_status recv_allowed(const struct client_socket *socket)
{
    switch (client_socket_phase(socket)) {
    case CLIENT_SOCKET_LIVE:
        break;
    case CLIENT_SOCKET_UNDECIDED:
        return RS_INVALID;
    case CLIENT_SOCKET_SHARED:
        return RS_IN_PROGRESS; /* goes on in recv_shared */
    default:
        return RS_NOT_SOCKET;
    }
    return (atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_RECV) != 0
               ? RS_SHUTDOWN
               : RS_OK;
}

enum rs_status client_recv_miss(struct client_socket *socket)
{
    struct client *client = socket->client;
    if (atomic_load_explicit(&client->ended, memory_order_relaxed) == 0 &&
        atomic_load_explicit(&client->header->poisoned, memory_order_relaxed) == 0 &&
        (++socket->recv_misses & (MISSES_PER_CHECK - 1)) != 0) {
        return RS_WOULD_BLOCK;
    }
    enum rs_status status = client_check(client, os_tsc());
    return status != RS_OK ? status : RS_WOULD_BLOCK;
}

/* ---- blocking
 * --------------------------------------------------------------------------------------------------------
 */

static bool recv_wait_ready(void *context)
{
    return client_recv_ready(context);
}

static void recv_wait_arm(void *context, uint32_t channel_idx)
{
    client_socket_arm(context, RS_LEVEL_READABLE | RS_LEVEL_ERROR | RS_LEVEL_END, channel_idx);
}

static void recv_wait_disarm(void *context, uint32_t channel_idx)
{
    client_socket_disarm(context, channel_idx);
}

/* The socket is held. */
static enum rs_status recv_block(struct client_socket *socket, struct recv_call *call)
{
    struct client *client = socket->client;
    struct client_condition condition = {.ready = recv_wait_ready,
                                         .arm = recv_wait_arm,
                                         .disarm = recv_wait_disarm,
                                         .context = socket,
                                         .socket = socket,
                                         .queue_idx = socket->home_queue_idx,
                                         .hooked = true};
    client_call_begins(client, &socket->recv_timeout_ms, &call->deadline_tsc);
    for (;;) {
        enum rs_status status = client_wait(client, &condition, call->deadline_tsc);
        if (status != RS_OK) {
            return status;
        }
        client_recv_lock(socket);
        status = recv_allowed(socket);
        if (status == RS_OK) {
            status = recv_look(socket, call);
        }
        client_recv_unlock(socket);
        if (status == RS_NOT_SOCKET) {
            return RS_INTERRUPTED;
        }
        if (status != RS_WOULD_BLOCK) {
            return status;
        }
    }
}

/* ---- a socket that others have, too: a datagram for each request ---- */

/* The record that the dataplane put down, of so many bytes. */
static enum rs_status recv_read_record(const struct client_socket *socket, uint32_t span,
                                       struct recv_call *call)
{
    const uint8_t *base = socket->share.recv_base;
    struct dgram_view view;
    memcpy(&view.header, base, sizeof(view.header));
    bool has_ext = (view.header.flags & RS_DGRAM_EXT) != 0;
    if (view.header.payload_off != (has_ext ? RS_DGRAM_LONG_OFF : RS_DGRAM_SHORT_OFF) ||
        dgram_view_span(&view) != span) {
        return RS_CORRUPT;
    }
    view.ext = has_ext ? (const struct rs_dgram_ext *)(base + sizeof(struct rs_dgram)) : NULL;
    view.payload = base + view.header.payload_off;
    return recv_fill(call, &view);
}

/* RS_WOULD_BLOCK: nothing there; RS_IN_PROGRESS: it is shared no more. */
static enum rs_status recv_request(struct client_socket *socket, struct recv_call *call)
{
    struct rs_share_data reply = {0};
    uint32_t flags = (call->flags & CLIENT_MSG_PEEK) != 0 ? (uint32_t)RS_SHARE_PEEK : 0;
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status =
        client_share_data(socket, RS_OP_SHARE_RECV, socket->share.recv_bytes, flags, &reply);
    if (status == RS_OK && reply.len_bytes != 0) {
        status = recv_read_record(socket, reply.len_bytes, call);
    } else if (status == RS_OK) {
        status = client_error_take(socket);
        status = status != RS_OK ? status : RS_WOULD_BLOCK;
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

static enum rs_status recv_shared(struct client_socket *socket, struct recv_call *call)
{
    enum rs_status status;
    client_socket_hold(socket);
    while ((status = recv_request(socket, call)) == RS_WOULD_BLOCK &&
           client_may_block(socket, call->flags)) {
        client_call_begins(socket->client, &socket->recv_timeout_ms, &call->deadline_tsc);
        status = client_share_wait(socket, RS_LEVEL_READABLE, call->deadline_tsc);
        if (status == RS_OK && !client_phase_open(client_socket_phase(socket))) {
            status = RS_INTERRUPTED;
        }
        if (status != RS_OK) {
            break;
        }
    }
    client_socket_release(socket);
    return status;
}

static enum rs_status recv_own(struct client_socket *socket, struct recv_call *call)
{
    client_recv_lock(socket);
    enum rs_status status = recv_allowed(socket);
    if (CLIENT_LIKELY(status == RS_OK)) {
        status = recv_look(socket, call);
    }
    if (CLIENT_LIKELY(status != RS_WOULD_BLOCK)) {
        client_recv_unlock(socket);
        return status;
    }
    bool blocks = client_may_block(socket, call->flags);
    if (blocks) {
        client_socket_hold(socket);
    } else {
        status = client_recv_miss(socket);
    }
    client_recv_unlock(socket);
    if (blocks) {
        status = recv_block(socket, call);
        client_socket_release(socket);
    }
    return status;
}

enum rs_status client_recv(struct client_socket *socket, const struct client_iov *iov,
                           uint32_t iov_count, uint32_t flags, struct client_recv_info *info,
                           size_t *received_bytes)
{
    struct recv_call call = {.iov = iov, .iov_count = iov_count, .flags = flags, .info = info};
    if (client_is_stream(socket)) {
        return client_stream_recv(socket, iov, iov_count, flags, received_bytes);
    }
    enum rs_status status = recv_own(socket, &call);
    while (!CLIENT_LIKELY(status != RS_IN_PROGRESS)) { /* shared, or no more */
        status = recv_shared(socket, &call);
        if (status == RS_IN_PROGRESS) {
            status = recv_own(socket, &call);
        }
    }
    *received_bytes = call.received_bytes;
    return status;
}

/* recv_lock held. */
static bool recv_once(struct client_socket *socket, struct recv_call *call, enum rs_status *status)
{
    *status = recv_allowed(socket);
    if (CLIENT_LIKELY(*status == RS_OK)) {
        *status = recv_look(socket, call);
    }
    if (!CLIENT_LIKELY(*status != RS_WOULD_BLOCK)) {
        if (client_may_block(socket, 0)) {
            return false;
        }
        *status = client_recv_miss(socket);
    }
    return *status != RS_IN_PROGRESS;
}

bool client_recv_claimed(struct client_socket *socket, const struct client_claim *claim,
                         const struct client_iov *iov, uint32_t iov_count,
                         struct client_recv_info *info, size_t *received_bytes,
                         enum rs_status *status)
{
    struct recv_call call = {.iov = iov, .iov_count = iov_count, .info = info};
    bool done = false;
    client_recv_lock(socket);
    if (!CLIENT_LIKELY(client_claim_holds(claim))) {
        goto out;
    }
    if (client_is_stream(socket)) {
        done = client_stream_recv_claimed(socket, iov, iov_count, received_bytes, status);
        goto out;
    }
    done = recv_once(socket, &call, status);
    *received_bytes = call.received_bytes;
out:
    client_recv_unlock(socket);
    return done;
}

/* ---- what waits
 * --------------------------------------------------------------------------------------------------------
 */

/* Adds up the datagrams of one ring. */
static enum rs_status recv_count(const struct dgram_reader *reader, uint32_t *next_bytes,
                                 uint64_t *total_bytes)
{
    struct dgram_view view;
    uint32_t position = reader->head;
    bool first = *total_bytes == 0 && *next_bytes == 0;
    enum rs_status status;
    while ((status = dgram_reader_peek_at(reader, &position, &view)) == RS_OK) {
        if (first) {
            *next_bytes = view.header.len_bytes;
            first = false;
        }
        *total_bytes += view.header.len_bytes;
        position += dgram_view_span(&view);
    }
    return status == RS_WOULD_BLOCK ? RS_OK : status;
}

enum rs_status client_readable_bytes(struct client_socket *socket, uint32_t *next_bytes,
                                     uint64_t *total_bytes)
{
    uint64_t total = 0;
    *next_bytes = 0;
    if (client_is_stream(socket)) {
        enum rs_status stream_status = client_stream_readable(socket, next_bytes);
        if (total_bytes != NULL) {
            *total_bytes = *next_bytes;
        }
        return stream_status;
    }
    client_recv_lock(socket);
    enum rs_status status = recv_allowed(socket);
    if (status == RS_INVALID) { /* not bound: nothing waits */
        status = RS_OK;
    } else if (status == RS_OK) {
        uint32_t queue = socket->recv_queue;
        for (uint32_t i = 0; i < socket->recv_queues && status == RS_OK; i++) {
            status = recv_count(&socket->recv[queue], next_bytes, &total);
            queue = queue + 1 == socket->recv_queues ? 0 : queue + 1;
        }
    }
    client_recv_unlock(socket);
    if (status == RS_IN_PROGRESS) { /* shared, which tells of the next one only */
        bool at_mark;
        status = client_share_look(socket, next_bytes, &at_mark);
        total = *next_bytes;
        if (status == RS_IN_PROGRESS) {
            return client_readable_bytes(socket, next_bytes, total_bytes);
        }
    }
    if (total_bytes != NULL) {
        *total_bytes = total;
    }
    return status;
}
