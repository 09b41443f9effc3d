/*
 * Readiness of many sockets at once. Looks at state lines and ring heads only; to sleep, arms every
 * socket on the thread's channel. Any thread.
 */
#include "provider/client/client_internal.h"

/* A socket that somebody binds while we sleep cannot be armed before: look at such ones this often.
 */
#define UNDECIDED_NS 10000000ull

struct poll_set {
    struct client_poll *items;
    uint32_t count;
};

static uint32_t poll_look_at(const struct client_socket *socket, uint32_t want)
{
    enum client_socket_phase phase = client_socket_phase(socket);
    if (client_is_stream(socket) || phase == CLIENT_SOCKET_SHARED) {
        return client_stream_ready(socket, phase, want);
    }
    bool error = phase == CLIENT_SOCKET_LIVE && client_error_pending(socket);
    uint32_t ready = error ? RS_LEVEL_ERROR | RS_LEVEL_READABLE : 0; /* an error is read */
    if ((want & RS_LEVEL_READABLE) != 0 && !error && client_recv_ready(socket)) {
        ready |= RS_LEVEL_READABLE;
    }
    if ((want & CLIENT_POLL_DATA) != 0 && client_recv_data(socket)) {
        ready |= CLIENT_POLL_DATA;
    }
    if ((want & RS_LEVEL_WRITABLE) != 0 && client_send_ready(socket)) {
        ready |= RS_LEVEL_WRITABLE;
    }
    return ready & want;
}

static uint32_t poll_look(const struct client_poll *item)
{
    return poll_look_at(item->socket, item->want);
}

static bool poll_closed(const struct client_socket *socket)
{
    return !client_phase_open(client_socket_phase(socket));
}

uint32_t client_socket_ready(struct client_socket *socket, uint32_t want)
{
    bool over = atomic_load_explicit(&socket->client->ended, memory_order_relaxed) != 0;
    /* Closed is asked behind the look, as in poll_scan. */
    uint32_t ready = poll_look_at(socket, want);
    return over || poll_closed(socket) ? want : ready;
}

/* *closed: one of them is. Each is asked that behind the look at it: a socket that closes meanwhile
 * looks ready. */
static uint32_t poll_scan(const struct poll_set *set, bool *closed)
{
    uint32_t count = 0;
    *closed = false;
    for (uint32_t i = 0; i < set->count; i++) {
        struct client_poll *item = &set->items[i];
        item->ready = item->socket != NULL ? poll_look(item) : 0;
        count += item->ready != 0;
        *closed |= item->socket != NULL && poll_closed(item->socket);
    }
    return count;
}

static bool poll_any_undecided(const struct poll_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i].socket != NULL &&
            client_socket_phase(set->items[i].socket) == CLIENT_SOCKET_UNDECIDED) {
            return true;
        }
    }
    return false;
}

/* ---- waiting
 * ---------------------------------------------------------------------------------------------------------
 */

static bool poll_wait_ready(void *context)
{
    const struct poll_set *set = context;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct client_poll *item = &set->items[i];
        if (item->socket != NULL && (poll_look(item) != 0 || poll_closed(item->socket))) {
            return true;
        }
    }
    return false;
}

/* Data and an urgent mark are announced as something to read, a stream that can be written to as
 * CONNECTED. */
uint32_t client_poll_events(uint32_t want)
{
    return (want & ~(CLIENT_POLL_URGENT | CLIENT_POLL_FAILED | CLIENT_POLL_DATA)) | RS_LEVEL_ERROR |
           RS_LEVEL_END | RS_LEVEL_CONNECTED |
           ((want & (CLIENT_POLL_URGENT | CLIENT_POLL_DATA)) != 0 ? RS_LEVEL_READABLE : 0u);
}

static void poll_wait_arm(void *context, uint32_t channel_idx)
{
    const struct poll_set *set = context;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i].socket != NULL) {
            client_socket_arm(set->items[i].socket, client_poll_events(set->items[i].want),
                              channel_idx);
        }
    }
}

static void poll_wait_disarm(void *context, uint32_t channel_idx)
{
    const struct poll_set *set = context;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i].socket != NULL) {
            client_socket_disarm(set->items[i].socket, channel_idx);
        }
    }
}

/* The sockets are held. */
static enum rs_status poll_block(struct client *client, struct poll_set *set, uint64_t deadline_tsc,
                                 uint32_t *ready_count)
{
    struct client_condition condition = {.ready = poll_wait_ready,
                                         .arm = poll_wait_arm,
                                         .disarm = poll_wait_disarm,
                                         .context = set,
                                         .queue_idx = client_queue_choose(client, 0),
                                         .hooked = true};
    for (;;) {
        uint64_t until_tsc = deadline_tsc;
        if (poll_any_undecided(set)) {
            uint64_t soon_tsc = client_deadline(client, UNDECIDED_NS);
            until_tsc = soon_tsc < deadline_tsc ? soon_tsc : deadline_tsc;
        }
        enum rs_status status = client_wait(client, &condition, until_tsc);
        if (status != RS_OK && status != RS_TIMED_OUT) {
            return status;
        }
        bool closed;
        *ready_count = poll_scan(set, &closed);
        if (closed) {
            *ready_count = 0;
            return RS_INTERRUPTED;
        }
        if (*ready_count != 0 || (status == RS_TIMED_OUT && until_tsc == deadline_tsc)) {
            return RS_OK;
        }
    }
}

enum rs_status client_poll(struct client *client, struct client_poll *items, uint32_t count,
                           uint64_t timeout_ns, uint32_t *ready_count)
{
    struct poll_set set = {.items = items, .count = count};
    bool closed;
    *ready_count = poll_scan(&set, &closed);
    if (closed) {
        *ready_count = 0;
        return RS_NOT_SOCKET;
    }
    if (*ready_count != 0) {
        return RS_OK;
    }
    if (timeout_ns == 0) {
        return client_check(client, os_tsc());
    }
    uint64_t deadline_tsc = client_deadline(client, timeout_ns);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].socket != NULL) {
            client_socket_hold(items[i].socket);
        }
    }
    enum rs_status status = poll_block(client, &set, deadline_tsc, ready_count);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].socket != NULL) {
            client_socket_release(items[i].socket);
        }
    }
    return status;
}
