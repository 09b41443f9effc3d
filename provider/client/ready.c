/*
 * Is there something to read, room to write, an error? Asked by waiting threads, without the
 * socket's locks: from state lines, ring heads and the words a sender leaves for others. And
 * arming: asking the dataplane for a hint. Any thread.
 */
#include "provider/client/share.h"

/* A stream is worth a send when this part of its buffer is free. */
#define SEND_FAIR_PART 4u

bool client_error_pending(const struct client_socket *socket)
{
    return atomic_load_explicit(&socket->state->error_seq, memory_order_relaxed) !=
           atomic_load_explicit(&socket->error_seen, memory_order_relaxed);
}

enum rs_status client_error_take(struct client_socket *socket)
{
    /* Acquire, partner the dataplane's release: the code is there when the count says so. */
    uint32_t seq = atomic_load_explicit(&socket->state->error_seq, memory_order_acquire);
    uint32_t seen = atomic_load_explicit(&socket->error_seen, memory_order_relaxed);
    /* Of several threads one reports it. */
    if (seq == seen ||
        !atomic_compare_exchange_strong_explicit(&socket->error_seen, &seen, seq,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return RS_OK;
    }
    uint32_t code = atomic_load_explicit(&socket->state->error_code, memory_order_relaxed);
    return code < RS_STATUS_COUNT ? (enum rs_status)code : RS_CORRUPT;
}

/* A record at the consumed index, which only its reader moves; it may be one that a thread is just
 * taking. */
static bool ready_record(const struct dgram_reader *reader)
{
    uint32_t position = atomic_load_explicit(reader->head_word, memory_order_relaxed);
    const struct rs_dgram *record =
        (const struct rs_dgram *)(reader->base + (position & (reader->size_bytes - 1)));
    if (atomic_load_explicit(&record->seq, memory_order_acquire) == rs_dgram_seq(position)) {
        return true;
    }
    /* A record of 41 to 104 bytes has a second line, which the dataplane writes first: asked for
     * while the thread waits for the first one, it arrives at the same time and not after it. */
    __builtin_prefetch(reader->base + ((position + RS_LINE_BYTES) & (reader->size_bytes - 1)));
    return false;
}

static bool ready_any_record(const struct client_socket *socket)
{
    for (uint32_t i = 0; i < socket->recv_queues; i++) {
        if (ready_record(&socket->recv[i])) {
            return true;
        }
    }
    return false;
}

bool client_recv_data(const struct client_socket *socket)
{
    return client_socket_phase(socket) == CLIENT_SOCKET_LIVE &&
           (ready_any_record(socket) || client_error_pending(socket));
}

bool client_recv_ready(const struct client_socket *socket)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (phase != CLIENT_SOCKET_LIVE) {
        return phase != CLIENT_SOCKET_UNDECIDED;
    }
    return ready_any_record(socket) || client_error_pending(socket) ||
           (atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_RECV) != 0;
}

bool client_send_ready(const struct client_socket *socket)
{
    if (client_socket_phase(socket) != CLIENT_SOCKET_LIVE) {
        return true; /* a send binds it, or says that it is closed */
    }
    if ((atomic_load_explicit(&socket->shut, memory_order_relaxed) &
         (CLIENT_SHUT_SEND | CLIENT_SHUT_BROKEN)) != 0) {
        return true;
    }
    uint32_t size_bytes = socket->send.size_bytes;
    uint32_t tail = atomic_load_explicit(&socket->send_tail, memory_order_relaxed);
    uint32_t used = rs_seq_distance(
        atomic_load_explicit(&socket->state->send_head, memory_order_relaxed), tail);
    uint32_t wanted = atomic_load_explicit(&socket->send_wanted_bytes, memory_order_relaxed);
    if (wanted < RS_LINE_BYTES) {
        wanted = RS_LINE_BYTES;
    }
    return used > size_bytes || /* the tail was read before a send, the head after it */
           (used < atomic_load_explicit(&socket->send_limit_bytes, memory_order_relaxed) &&
            wanted <= size_bytes - used);
}

/* ---- streams ------------------------------------------------------------------------------------
 */

bool client_stream_room(const struct client_socket *socket, size_t wanted_bytes)
{
    uint32_t tail = atomic_load_explicit(&socket->send_tail, memory_order_relaxed);
    uint32_t used = rs_seq_distance(
        atomic_load_explicit(&socket->state->send_head, memory_order_relaxed), tail);
    uint32_t limit = atomic_load_explicit(&socket->send_limit_bytes, memory_order_relaxed);
    /* Woken for each byte of room, a sender would send small segments. */
    uint32_t fair = limit / SEND_FAIR_PART;
    uint32_t wanted = wanted_bytes < fair ? (uint32_t)wanted_bytes : fair;
    return (int32_t)used < 0 || /* the tail was read before a send, the head after it */
           (used < limit && limit - used >= wanted);
}

/* Bytes to read, leaving out an urgent byte that the reader will skip. */
static bool ready_bytes(const struct client_socket *socket)
{
    const struct rs_socket_state *state = socket->state;
    /* Acquire, partner the dataplane's release: an urgent mark on one of these bytes is seen. */
    uint32_t tail = atomic_load_explicit(&state->recv_tail, memory_order_acquire);
    uint32_t bytes =
        rs_seq_distance(atomic_load_explicit(&socket->shared->recv_head[socket->home_queue_idx],
                                             memory_order_relaxed),
                        tail);
    return bytes > 1 ||
           (bytes == 1 && (atomic_load_explicit(&state->urgent_pos, memory_order_relaxed) != tail ||
                           atomic_load_explicit(&state->urgent_seq, memory_order_relaxed) ==
                               atomic_load_explicit(&socket->urgent_base, memory_order_relaxed) ||
                           atomic_load_explicit(&socket->oob_inline, memory_order_relaxed) != 0));
}

bool client_urgent_ready(const struct client_socket *socket)
{
    const struct rs_socket_state *state = socket->state;
    /* Acquire, partner the dataplane's release: the position belongs to this count or a later one.
     */
    uint32_t seq = atomic_load_explicit(&state->urgent_seq, memory_order_acquire);
    return seq != atomic_load_explicit(&socket->urgent_taken, memory_order_relaxed) &&
           atomic_load_explicit(&socket->oob_inline, memory_order_relaxed) == 0 &&
           rs_seq_before_eq(atomic_load_explicit(&state->urgent_pos, memory_order_relaxed),
                            atomic_load_explicit(&state->recv_tail, memory_order_relaxed));
}

/* A stream that is not connected: an attempt may have failed. */
static uint32_t ready_unconnected(uint32_t level)
{
    return (level & RS_LEVEL_ERROR) != 0 ? RS_LEVEL_ERROR | CLIENT_POLL_FAILED : 0;
}

/* What is not wanted is not looked at: it lies on other lines. */
static uint32_t ready_connection(const struct client_socket *socket, uint32_t want)
{
    uint32_t level = client_stream_level(socket);
    if ((level & RS_LEVEL_CONNECTED) == 0) {
        return ready_unconnected(level) & want;
    }
    uint32_t ready = level & (RS_LEVEL_CONNECTED | RS_LEVEL_END | RS_LEVEL_ERROR);
    uint32_t shut = atomic_load_explicit(&socket->shut, memory_order_relaxed);
    if ((want & RS_LEVEL_READABLE) != 0 &&
        ((level & (RS_LEVEL_END | RS_LEVEL_ERROR)) != 0 || (shut & CLIENT_SHUT_RECV) != 0 ||
         ready_bytes(socket))) {
        ready |= RS_LEVEL_READABLE;
    }
    if ((want & RS_LEVEL_WRITABLE) != 0 &&
        ((level & RS_LEVEL_ERROR) != 0 || (shut & (CLIENT_SHUT_SEND | CLIENT_SHUT_BROKEN)) != 0 ||
         client_stream_room(socket, SIZE_MAX))) {
        ready |= RS_LEVEL_WRITABLE;
    }
    if ((want & CLIENT_POLL_DATA) != 0 && (shut & CLIENT_SHUT_RECV) == 0 && ready_bytes(socket)) {
        ready |= CLIENT_POLL_DATA;
    }
    if ((want & CLIENT_POLL_URGENT) != 0 && client_urgent_ready(socket)) {
        ready |= CLIENT_POLL_URGENT;
    }
    return ready & want;
}

/* Its level word says all of it. */
static uint32_t ready_shared(const struct client_socket *socket, uint32_t want)
{
    uint32_t level = client_stream_level(socket);
    uint32_t shut = atomic_load_explicit(&socket->shut, memory_order_relaxed);
    uint32_t ready = level & (RS_LEVEL_CONNECTED | RS_LEVEL_END | RS_LEVEL_ERROR |
                              RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
    if (!client_is_stream(socket) && client_error_pending(socket)) { /* an error is read */
        ready |= RS_LEVEL_READABLE | RS_LEVEL_ERROR | CLIENT_POLL_DATA;
    }
    if (client_share_lost(socket) != RS_OK) {
        return (ready | RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_ERROR) & want;
    }
    if (client_is_stream(socket) && (level & (RS_LEVEL_CONNECTED | RS_LEVEL_LISTENING)) == 0) {
        return ready_unconnected(level) & want;
    }
    if ((level & (RS_LEVEL_END | RS_LEVEL_ERROR)) != 0 || (shut & CLIENT_SHUT_RECV) != 0) {
        ready |= RS_LEVEL_READABLE;
    }
    if ((level & RS_LEVEL_ERROR) != 0 || (shut & CLIENT_SHUT_SEND) != 0) {
        ready |= RS_LEVEL_WRITABLE;
    }
    ready |= (level & RS_LEVEL_URGENT) != 0 ? CLIENT_POLL_URGENT : 0;
    if ((level & RS_LEVEL_READABLE) != 0 && (shut & CLIENT_SHUT_RECV) == 0) {
        ready |= CLIENT_POLL_DATA;
    }
    return ready & want;
}

uint32_t client_stream_ready(const struct client_socket *socket, enum client_socket_phase phase,
                             uint32_t want)
{
    if (phase == CLIENT_STREAM_ACTIVE) {
        return ready_connection(socket, want);
    }
    if (phase == CLIENT_SOCKET_SHARED) {
        return ready_shared(socket, want);
    }
    if (phase == CLIENT_STREAM_LISTENING && ready_any_record(socket)) {
        return (RS_LEVEL_READABLE | CLIENT_POLL_DATA) & want;
    }
    return 0;
}

bool client_send_is_shut(const struct client_socket *socket)
{
    return (atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_SEND) != 0;
}

bool client_unacknowledged(const struct client_socket *socket)
{
    if (!client_is_stream(socket) || client_socket_phase(socket) != CLIENT_STREAM_ACTIVE) {
        return false;
    }
    uint32_t level = client_stream_level(socket);
    /* In a ring that the other end reads itself all is delivered as soon as it is posted. */
    return (level & (RS_LEVEL_CONNECTED | RS_LEVEL_ERROR)) == RS_LEVEL_CONNECTED &&
           atomic_load_explicit(&socket->ring_lent, memory_order_relaxed) == 0 &&
           (atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_SEND) == 0 &&
           atomic_load_explicit(&socket->state->send_head, memory_order_relaxed) !=
               atomic_load_explicit(&socket->send_tail, memory_order_relaxed);
}

/* ---- arming
 * --------------------------------------------------------------------------------------------------------
 */

/* A closed socket's words may belong to another one already. The lock keeps client_socket_close out
 * meanwhile. */
void client_socket_arm(struct client_socket *socket, uint32_t events, uint32_t channel_idx)
{
    (void)client_lock_take(&socket->arm_lock);
    if (client_phase_known(client_socket_phase(socket))) {
        arm_set(socket->shared, events, channel_idx);
    }
    client_lock_drop(&socket->arm_lock);
}

void client_socket_disarm(struct client_socket *socket, uint32_t channel_idx)
{
    (void)client_lock_take(&socket->arm_lock);
    /* Other threads may still wait for it on a common channel: its bit stays, at the price of a
     * hint. */
    if (client_phase_known(client_socket_phase(socket)) &&
        !socket->client->channels[channel_idx].common) {
        arm_clear(socket->shared, channel_idx);
    }
    client_lock_drop(&socket->arm_lock);
}
