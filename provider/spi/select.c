/*
 * WSPSelect. The sets are arrays of any length; each entry becomes one poll item of the core, in
 * the order read, write, except, and the sets are rewritten from what is ready. Any thread; no
 * system call while the core spins, no allocation up to SPI_READY_LOCAL entries.
 *
 * Exceptional are a connect that failed, and an urgent byte that is not inline. A datagram socket
 * never is.
 */
#include <stddef.h>

#include "provider/spi/ready.h"

#define SELECT_MOST (3u * RS_SOCKETS_MAX)
#define SETS        3u

struct select_call {
    fd_set *sets[SETS];
    uint32_t counts[SETS];
    uint32_t total;
    struct spi_ready ready;
};

/* 0, WSAEFAULT or WSAEINVAL. */
static int select_count(struct select_call *call)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < SETS; i++) {
        fd_set *set = call->sets[i];
        if (set == NULL) {
            continue;
        }
        if (!spi_can_write(set, sizeof(set->fd_count))) {
            return WSAEFAULT;
        }
        call->counts[i] = set->fd_count;
        total += call->counts[i];
        if (total > SELECT_MOST) {
            return WSAEINVAL;
        }
        if (!spi_can_write(set, offsetof(fd_set, fd_array) + call->counts[i] * sizeof(SOCKET))) {
            return WSAEFAULT;
        }
    }
    call->total = (uint32_t)total;
    return total == 0 ? WSAEINVAL : 0;
}

static int select_hold(struct select_call *call)
{
    static const uint32_t wants[SETS] = {RS_LEVEL_READABLE, RS_LEVEL_WRITABLE,
                                         CLIENT_POLL_FAILED | CLIENT_POLL_URGENT};
    for (unsigned i = 0; i < SETS; i++) {
        for (uint32_t k = 0; k < call->counts[i]; k++) {
            struct spi_socket *socket = spi_socket_get(call->sets[i]->fd_array[k]);
            if (socket == NULL) {
                return WSAENOTSOCK;
            }
            /* A connection that a condition function put off is the core's no more. */
            spi_ready_add(&call->ready, socket, wants[i], i == 0 && spi_accept_waits(socket));
        }
    }
    return 0;
}

/* Rewrites the sets; returns the number of ready entries. */
static int select_rewrite(struct select_call *call)
{
    uint32_t item = 0;
    int ready = 0;
    for (unsigned i = 0; i < SETS; i++) {
        uint32_t kept = 0;
        for (uint32_t k = 0; k < call->counts[i]; k++, item++) {
            const struct client_poll *poll = &call->ready.items[item];
            bool is_ready = poll->socket == NULL ? i != SETS - 1 : (poll->ready & poll->want) != 0;
            if (is_ready) {
                call->sets[i]->fd_array[kept++] = call->sets[i]->fd_array[k];
            }
        }
        if (call->sets[i] != NULL) {
            call->sets[i]->fd_count = kept;
        }
        ready += (int)kept;
    }
    return ready;
}

static int select_wait(struct select_call *call, uint64_t timeout_ns, int *ready)
{
    enum rs_status status = spi_ready_wait(&call->ready, timeout_ns);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    *ready = select_rewrite(call);
    return 0;
}

/* 0 or WSAEFAULT, WSAEINVAL. The program's structure is not changed. */
static int select_timeout(const struct timeval *timeout, uint64_t *timeout_ns)
{
    *timeout_ns = UINT64_MAX;
    if (timeout == NULL) {
        return 0;
    }
    if (!spi_can_read(timeout, sizeof(*timeout))) {
        return WSAEFAULT;
    }
    const struct timeval copy = *timeout;
    if (copy.tv_sec < 0 || copy.tv_usec < 0) {
        return WSAEINVAL;
    }
    *timeout_ns = (uint64_t)copy.tv_sec * 1000000000u + (uint64_t)copy.tv_usec * 1000u;
    return 0;
}

int WSPAPI spi_select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
                      const PTIMEVAL timeout, LPINT error)
{
    (void)nfds;
    struct select_call call;
    uint64_t timeout_ns;
    int ready = 0;
    call.sets[0] = readfds;
    call.sets[1] = writefds;
    call.sets[2] = exceptfds;
    call.counts[0] = call.counts[1] = call.counts[2] = 0;
    int code = spi_started() ? select_timeout(timeout, &timeout_ns) : WSANOTINITIALISED;
    code = code == 0 ? select_count(&call) : code;
    code = code == 0 ? spi_ready_init(&call.ready, call.total) : code;
    if (code != 0) {
        return spi_fail(error, code);
    }
    code = select_hold(&call);
    if (code == 0) {
        code = select_wait(&call, timeout_ns, &ready);
    }
    spi_ready_drop(&call.ready);
    return code == 0 ? ready : spi_fail(error, code);
}
