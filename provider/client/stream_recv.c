/*
 * Receiving on a connection: bytes copied out of the receive ring, the dataplane told when it waits
 * for room; the urgent byte and its mark. Any thread; the socket's recv_lock makes concurrent
 * receivers take turns and is not held while one waits. No system call, allocation or division
 * unless it blocks. rings/README.md ("Stream sockets") argues that no news of room is lost.
 */
#include <string.h>

#include "provider/client/share.h"

struct stream_recv {
    struct client_socket *socket;
    uint32_t flags;
    /* where the program's buffers go on */
    const struct client_iov *iov;
    size_t iov_off;
    size_t left_bytes;
    size_t done_bytes;
    uint64_t deadline_tsc; /* 0: it has not waited yet */
    bool over;             /* the end, or a mark: WAITALL waits no longer */
    /* the dataplane is to hear of recv_head, once the lock is dropped */
    bool tell;
    uint32_t idx, generation, queue_idx;
};

static void recv_scatter(struct stream_recv *call, const struct stream_const_region *from)
{
    const uint8_t *place = from->base;
    uint32_t left = from->len_bytes;
    while (left != 0) {
        size_t part = call->iov->len_bytes - call->iov_off;
        if (part == 0) {
            call->iov++;
            call->iov_off = 0;
            continue;
        }
        part = part < left ? part : left;
        client_copy((uint8_t *)call->iov->base + call->iov_off, place, part);
        place += part;
        call->iov_off += part;
        left -= (uint32_t)part;
    }
}

/* recv_lock held: may this socket receive? */
static enum rs_status recv_allowed(const struct client_socket *socket)
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
    return (atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_RECV) != 0
               ? RS_SHUTDOWN
               : RS_OK;
}

/* ---- what there is; recv_lock held -------------------------------------------------------------
 */

static void in_refresh_mark(struct client_socket *socket)
{
    struct client_stream_in *in = &socket->in;
    /* Acquire, partner the dataplane's release: the position belongs to this count or a later one.
     */
    uint32_t seq = atomic_load_explicit(&socket->state->urgent_seq, memory_order_acquire);
    uint32_t pos = atomic_load_explicit(&socket->state->urgent_pos, memory_order_relaxed);
    if (CLIENT_LIKELY(seq == in->mark_seq)) {
        return;
    }
    bool known = (in->marked || in->byte_kept) && pos == in->mark_pos;
    in->mark_seq = seq;
    if (known) { /* the last look had this position with the count before */
        return;
    }
    in->mark_pos = pos;
    in->byte_kept = false;
    in->marked = rs_seq_before(in->ring.head, pos);
    if (!in->marked) { /* it was read as any other byte */
        atomic_store_explicit(&socket->urgent_taken, seq, memory_order_relaxed);
    }
}

static enum rs_status in_refresh(struct client_socket *socket)
{
    struct client_stream_in *in = &socket->in;
    enum rs_status status = stream_reader_refresh(&in->ring, &socket->state->recv_tail, RS_CORRUPT);
    in_refresh_mark(socket);
    return status;
}

/* After recv_head was stored, or at a look: is the dataplane to be told? */
static void in_note(struct stream_recv *call, bool looks)
{
    struct client_socket *socket = call->socket;
    struct client_stream_in *in = &socket->in;
    if (!stream_note_due(&in->note, &in->ring, &socket->state->recv_notify,
                         looks || stream_reader_ready(&in->ring) == 0)) {
        return;
    }
    call->tell = true;
    call->idx = socket->idx;
    call->generation = socket->generation;
    call->queue_idx = socket->home_queue_idx;
}

static void in_consume(struct client_socket *socket, uint32_t bytes)
{
    struct client_stream_in *in = &socket->in;
    stream_reader_consume(&in->ring, bytes);
    in->note.unfenced_bytes += bytes;
    stream_reader_publish(&in->ring, &socket->shared->recv_head[socket->home_queue_idx]);
    if (in->marked && !rs_seq_before(in->ring.head, in->mark_pos)) {
        in->marked = false;
        if (!in->byte_kept) { /* inline: it was read with the others */
            atomic_store_explicit(&socket->urgent_taken, in->mark_seq, memory_order_relaxed);
        }
    }
}

static uint8_t in_urgent_byte(const struct client_stream_in *in)
{
    return in->ring.base[(in->mark_pos - 1) & (in->ring.size_bytes - 1)];
}

/* Bytes that one read may take: to the urgent byte; and if that is next, it is put aside. */
static uint32_t in_available(struct stream_recv *call)
{
    struct client_socket *socket = call->socket;
    struct client_stream_in *in = &socket->in;
    uint32_t ready = stream_reader_ready(&in->ring);
    if (CLIENT_LIKELY(!in->marked) || ready == 0) {
        return ready;
    }
    uint32_t before = rs_seq_distance(in->ring.head, in->mark_pos - 1);
    if (before == 0) {
        if (atomic_load_explicit(&socket->oob_inline, memory_order_relaxed) == 0) {
            in->urgent_byte = in_urgent_byte(in);
            in->byte_kept = true;
            in_consume(socket, 1);
            ready--;
        }
        return ready;
    }
    call->over = before <= ready;
    return before < ready ? before : ready;
}

/* Nothing in the ring: RS_OK is the end of the stream. A reset behind it (an answer to what was
 * sent to a closed peer) is told: the connection did not end in order. */
static enum rs_status in_empty(struct client_socket *socket, uint32_t level)
{
    const uint32_t ended = RS_LEVEL_CONNECTED | RS_LEVEL_END;
    if ((level & (ended | RS_LEVEL_ERROR)) == ended) {
        return RS_OK;
    }
    return client_stream_state(socket, level);
}

static enum rs_status recv_bytes(struct stream_recv *call)
{
    struct client_socket *socket = call->socket;
    struct client_stream_in *in = &socket->in;
    uint32_t available = in_available(call);
    if (available < call->left_bytes || available == 0) {
        enum rs_status status = in_refresh(socket);
        available = in_available(call);
        if (status == RS_OK && available == 0) {
            uint32_t level = client_stream_level(socket);
            if ((level & (RS_LEVEL_END | RS_LEVEL_ERROR)) != 0) { /* behind the last byte */
                status = in_refresh(socket);
                available = in_available(call);
            }
            if (status == RS_OK && available == 0) {
                status = in_empty(socket, level);
                call->over = status == RS_OK;
                in_note(call, true);
                return status;
            }
        }
        if (status != RS_OK) {
            return status;
        }
    }
    struct stream_const_region regions[2];
    uint32_t wanted = call->left_bytes < UINT32_MAX ? (uint32_t)call->left_bytes : UINT32_MAX;
    uint32_t taken =
        stream_reader_regions(&in->ring, 0, wanted < available ? wanted : available, regions);
    call->over = call->over && taken == available;
    recv_scatter(call, &regions[0]);
    recv_scatter(call, &regions[1]);
    call->left_bytes -= taken;
    call->done_bytes += taken;
    bool looks = (call->flags & CLIENT_MSG_PEEK) != 0;
    if (!looks) {
        in_consume(socket, taken);
    }
    in_note(call, looks);
    return RS_OK;
}

static enum rs_status recv_urgent(struct stream_recv *call)
{
    struct client_socket *socket = call->socket;
    struct client_stream_in *in = &socket->in;
    if (atomic_load_explicit(&socket->oob_inline, memory_order_relaxed) != 0) {
        return RS_INVALID;
    }
    uint32_t level = client_stream_level(socket);
    enum rs_status status = in_refresh(socket);
    if (status != RS_OK) {
        return status;
    }
    bool taken = atomic_load_explicit(&socket->urgent_taken, memory_order_relaxed) == in->mark_seq;
    bool here = in->byte_kept || (in->marked && stream_reader_ready(&in->ring) >=
                                                    rs_seq_distance(in->ring.head, in->mark_pos));
    if (taken || !here) {
        return in_empty(socket, level);
    }
    uint8_t byte = in->byte_kept ? in->urgent_byte : in_urgent_byte(in);
    if (call->left_bytes != 0) {
        recv_scatter(call, &(struct stream_const_region){.base = &byte, .len_bytes = 1});
        call->done_bytes = 1;
    }
    if ((call->flags & CLIENT_MSG_PEEK) == 0) {
        in->urgent_byte = byte;
        in->byte_kept = true;
        atomic_store_explicit(&socket->urgent_taken, in->mark_seq, memory_order_relaxed);
    }
    call->over = true;
    return RS_OK;
}

static enum rs_status recv_look(struct stream_recv *call)
{
    enum rs_status status = recv_allowed(call->socket);
    if (!CLIENT_LIKELY(status == RS_OK)) {
        return status;
    }
    return (call->flags & CLIENT_MSG_OOB) != 0 ? recv_urgent(call) : recv_bytes(call);
}

/* ---- blocking ---------------------------------------------------------------------------------
 */

/* Any channel will do: the dataplane looks at recv_head itself. Without a dataplane nobody waits.
 */
static void recv_tell(struct stream_recv *call)
{
    struct client *client = call->socket->client;
    enum rs_status status = RS_OK;
    call->tell = false;
    struct client_channel *channel = client_channel_get(client, call->queue_idx, &status);
    while (channel != NULL) {
        client_channel_enter(channel);
        status = post_consumed(&channel->post, call->idx, call->generation);
        client_channel_leave(channel);
        if (CLIENT_LIKELY(status == RS_OK) || client_check(client, os_tsc()) != RS_OK) {
            return;
        }
        os_yield();
    }
}

static bool recv_wait_ready(void *context)
{
    const struct stream_recv *call = context;
    const struct client_socket *socket = call->socket;
    if (client_socket_phase(socket) != CLIENT_STREAM_ACTIVE) {
        return true;
    }
    if ((call->flags & CLIENT_MSG_OOB) != 0) {
        return client_urgent_ready(socket) ||
               (client_stream_level(socket) & (RS_LEVEL_END | RS_LEVEL_ERROR)) != 0 ||
               (atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_RECV) != 0;
    }
    return client_stream_ready(socket, CLIENT_STREAM_ACTIVE, RS_LEVEL_READABLE | RS_LEVEL_ERROR) !=
           0;
}

static void recv_wait_arm(void *context, uint32_t channel_idx)
{
    const struct stream_recv *call = context;
    client_socket_arm(call->socket, RS_LEVEL_READABLE | RS_LEVEL_ERROR | RS_LEVEL_END, channel_idx);
}

static void recv_wait_disarm(void *context, uint32_t channel_idx)
{
    const struct stream_recv *call = context;
    client_socket_disarm(call->socket, channel_idx);
}

/* What one look brought: is the call done? */
static bool recv_done(const struct stream_recv *call, enum rs_status status)
{
    if (status != RS_OK) {
        return status != RS_WOULD_BLOCK;
    }
    return (call->flags & CLIENT_MSG_WAITALL) == 0 || call->over || call->left_bytes == 0;
}

/* The socket is held. */
static enum rs_status recv_block(struct stream_recv *call)
{
    struct client_socket *socket = call->socket;
    struct client *client = socket->client;
    struct client_condition condition = {.ready = recv_wait_ready,
                                         .arm = recv_wait_arm,
                                         .disarm = recv_wait_disarm,
                                         .context = call,
                                         .socket = socket,
                                         .queue_idx = socket->home_queue_idx,
                                         .hooked = true};
    enum rs_status status;
    client_call_begins(client, &socket->recv_timeout_ms, &call->deadline_tsc);
    do {
        status = client_wait(client, &condition, call->deadline_tsc);
        if (status != RS_OK) {
            break;
        }
        client_recv_lock(socket);
        status = recv_look(call);
        client_recv_unlock(socket);
        if (call->tell) {
            recv_tell(call);
        }
        if (status == RS_NOT_SOCKET) {
            return RS_INTERRUPTED;
        }
    } while (!recv_done(call, status));
    /* What a WAITALL has got is not lost; the reason it got no more is there the next time. */
    return call->done_bytes != 0 && status != RS_IN_PROGRESS ? RS_OK : client_stream_met(status);
}

static enum rs_status recv_once(struct stream_recv *call)
{
    struct client_socket *socket = call->socket;
    client_recv_lock(socket);
    enum rs_status status = recv_look(call);
    bool blocks = false;
    if (!recv_done(call, status)) {
        blocks = client_may_block(socket, call->flags);
        if (blocks) {
            client_socket_hold(socket);
        } else {
            status = client_recv_miss(socket);
        }
    }
    client_recv_unlock(socket);
    if (call->tell) {
        recv_tell(call);
    }
    if (blocks) {
        status = recv_block(call);
        client_socket_release(socket);
    }
    return status;
}

/* recv_lock held, and with it what makes the socket the caller's: so the dataplane is told under
 * it. */
bool client_stream_recv_claimed(struct client_socket *socket, const struct client_iov *iov,
                                uint32_t iov_count, size_t *received_bytes, enum rs_status *status)
{
    struct stream_recv call = {.socket = socket, .iov = iov};
    for (uint32_t i = 0; i < iov_count; i++) {
        call.left_bytes += iov[i].len_bytes;
    }
    *status = recv_look(&call);
    *received_bytes = call.done_bytes;
    if (call.tell) {
        recv_tell(&call);
    }
    if (!CLIENT_LIKELY(recv_done(&call, *status))) {
        if (client_may_block(socket, 0)) {
            return false;
        }
        *status = client_recv_miss(socket);
    }
    return *status != RS_IN_PROGRESS;
}

enum rs_status client_stream_recv(struct client_socket *socket, const struct client_iov *iov,
                                  uint32_t iov_count, uint32_t flags, size_t *received_bytes)
{
    *received_bytes = 0;
    if ((flags & CLIENT_MSG_WAITALL) != 0 &&
        ((flags & (CLIENT_MSG_PEEK | CLIENT_MSG_OOB)) != 0 || !client_may_block(socket, flags))) {
        return RS_NOT_SUPPORTED;
    }
    struct stream_recv call = {.socket = socket, .flags = flags, .iov = iov};
    for (uint32_t i = 0; i < iov_count; i++) {
        call.left_bytes += iov[i].len_bytes;
    }
    enum rs_status status = recv_once(&call);
    while (!CLIENT_LIKELY(status != RS_IN_PROGRESS)) { /* shared, or no more */
        struct client_iov_place place = {call.iov, call.iov_off, call.left_bytes};
        status = client_share_recv(socket, &place, flags, &call.deadline_tsc, &call.done_bytes);
        call.iov = place.iov;
        call.iov_off = place.iov_off;
        call.left_bytes = place.left_bytes;
        if (status == RS_IN_PROGRESS) {
            status = recv_once(&call);
        }
    }
    *received_bytes = call.done_bytes;
    return status;
}

/* ---- what waits -------------------------------------------------------------------------------
 */

static enum rs_status readable_once(struct client_socket *socket, uint32_t *bytes)
{
    struct stream_recv call = {.socket = socket};
    *bytes = 0;
    client_recv_lock(socket);
    enum rs_status status = recv_allowed(socket);
    if (status == RS_OK) {
        status = in_refresh(socket);
        if (status == RS_OK) {
            *bytes = in_available(&call);
            in_note(&call, true);
        }
    }
    client_recv_unlock(socket);
    if (call.tell) {
        recv_tell(&call);
    }
    return status;
}

enum rs_status client_stream_readable(struct client_socket *socket, uint32_t *bytes)
{
    bool at_mark;
    enum rs_status status = readable_once(socket, bytes);
    while (status == RS_IN_PROGRESS) { /* shared, or no more */
        status = client_share_look(socket, bytes, &at_mark);
        status = status == RS_IN_PROGRESS ? readable_once(socket, bytes) : status;
    }
    return status == RS_NOT_CONNECTED ? RS_OK : status; /* nothing waits */
}

static enum rs_status at_mark_once(struct client_socket *socket, bool *at_mark)
{
    *at_mark = true;
    client_recv_lock(socket);
    enum rs_status status = recv_allowed(socket);
    if (status == RS_OK) {
        status = in_refresh(socket);
        *at_mark = !socket->in.marked || socket->in.ring.head == socket->in.mark_pos - 1;
    }
    client_recv_unlock(socket);
    return status;
}

enum rs_status client_at_mark(struct client_socket *socket, bool *at_mark)
{
    uint32_t bytes;
    enum rs_status status = at_mark_once(socket, at_mark);
    while (status == RS_IN_PROGRESS) {
        status = client_share_look(socket, &bytes, at_mark);
        status = status == RS_IN_PROGRESS ? at_mark_once(socket, at_mark) : status;
    }
    return status;
}
