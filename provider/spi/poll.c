/*
 * WSAPoll, as the extension function that WSPIoctl gives out (WSAID_WSAPOLL). Entries become items
 * of the core's poll, and what is found becomes POLLxxx flags. It has no lpErrno: errors go where
 * WSAGetLastError finds them. Any thread; no system call while the core spins.
 */
#include "provider/spi/ready.h"

#define POLL_MOST   (4u * RS_SOCKETS_MAX)
#define POLL_EVENTS (POLLRDNORM | POLLRDBAND | POLLWRNORM)

/* Errors and ends are looked for in any case. */
#define POLL_ALWAYS (RS_LEVEL_END | RS_LEVEL_ERROR | CLIENT_POLL_FAILED)

struct poll_call {
    WSAPOLLFD *fds;
    ULONG count;
    struct spi_ready ready;
};

static bool poll_is_ignored(const WSAPOLLFD *fd)
{
    return (INT_PTR)fd->fd < 0;
}

/* What the page asks of the array before any socket is looked at. 0 or the error. */
static int poll_check(const struct poll_call *call)
{
    if (call->fds == NULL || call->count == 0 || call->count > POLL_MOST) {
        return WSAEINVAL;
    }
    if (!spi_can_write(call->fds, call->count * sizeof(*call->fds))) {
        return WSAEFAULT;
    }
    for (ULONG i = 0; i < call->count; i++) {
        if (!poll_is_ignored(&call->fds[i]) && (call->fds[i].events & ~POLL_EVENTS) != 0) {
            return WSAEINVAL;
        }
    }
    return 0;
}

static uint32_t poll_wants(SHORT events)
{
    return POLL_ALWAYS | ((events & POLLRDNORM) != 0 ? CLIENT_POLL_DATA : 0u) |
           ((events & POLLRDBAND) != 0 ? CLIENT_POLL_URGENT : 0u) |
           ((events & POLLWRNORM) != 0 ? RS_LEVEL_WRITABLE : 0u);
}

/* Holds the sockets; entries that are none get their answer. Returns how many have one that counts:
 * an entry that is to be ignored says POLLNVAL and is no reason to return. */
static int poll_hold(struct poll_call *call)
{
    int invalid = 0;
    for (ULONG i = 0; i < call->count; i++) {
        WSAPOLLFD *fd = &call->fds[i];
        struct spi_socket *socket = poll_is_ignored(fd) ? NULL : spi_socket_get(fd->fd);
        fd->revents = 0;
        if (socket == NULL) {
            fd->revents = POLLNVAL;
            invalid += !poll_is_ignored(fd);
            continue;
        }
        bool waits = (fd->events & POLLRDNORM) != 0 && spi_accept_waits(socket);
        spi_ready_add(&call->ready, socket, poll_wants(fd->events), waits);
    }
    return invalid;
}

static SHORT poll_flags(const struct spi_socket *socket, const struct client_poll *item,
                        SHORT events)
{
    int flags = ((item->ready & CLIENT_POLL_DATA) != 0 ? POLLRDNORM : 0) |
                ((item->ready & CLIENT_POLL_URGENT) != 0 ? POLLRDBAND : 0) |
                ((item->ready & RS_LEVEL_WRITABLE) != 0 ? POLLWRNORM : 0);
    if ((item->ready & CLIENT_POLL_FAILED) != 0) { /* since Windows 10 version 2004 */
        flags |= POLLHUP | POLLERR | (events & POLLWRNORM);
    } else if ((item->ready & RS_LEVEL_ERROR) != 0) {
        flags |= socket->stream ? POLLHUP | POLLERR : POLLERR;
    } else if ((item->ready & RS_LEVEL_END) != 0) {
        flags |= POLLHUP;
    }
    return (SHORT)flags;
}

/* An item without a core socket: a connection waits that was put off, or the dataplane of an old
 * socket is gone. */
static SHORT poll_flags_now(const struct spi_socket *socket, SHORT events)
{
    if (spi_accept_waits(socket)) {
        return (SHORT)(events & POLLRDNORM);
    }
    return socket->stream ? POLLHUP | POLLERR : POLLERR;
}

/* closed: some sockets were closed meanwhile. The array is the program's, whose other threads may
 * write to it. Returns the number of entries with an answer that counts. */
static int poll_answer(struct poll_call *call, bool closed)
{
    uint32_t item = 0;
    int answered = 0;
    for (ULONG i = 0; i < call->count; i++) {
        WSAPOLLFD *fd = &call->fds[i];
        if (fd->revents == 0 && item < call->ready.count) {
            const struct spi_socket *socket = call->ready.sockets[item];
            const struct client_poll *poll = &call->ready.items[item++];
            if (closed && !spi_ready_is_open(socket)) {
                fd->revents = POLLNVAL;
            } else {
                fd->revents = poll->socket != NULL ? poll_flags(socket, poll, fd->events)
                                                   : poll_flags_now(socket, fd->events);
            }
        }
        answered += fd->revents != 0 && !poll_is_ignored(fd);
    }
    return answered;
}

static int poll_run(struct poll_call *call, INT timeout_ms, int *answered)
{
    int invalid = poll_hold(call);
    if (call->ready.count == 0) {
        return WSAEINVAL; /* documented for an array without a valid socket */
    }
    uint64_t timeout_ns = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * 1000000u;
    enum rs_status status = spi_ready_wait(&call->ready, invalid != 0 ? 0 : timeout_ns);
    if (status != RS_OK && status != RS_NOT_SOCKET) {
        return spi_wsa_error(status);
    }
    *answered = poll_answer(call, status == RS_NOT_SOCKET);
    return 0;
}

INT WSAAPI spi_poll(LPWSAPOLLFD fds, ULONG count, INT timeout_ms)
{
    struct poll_call call;
    int answered = 0;
    call.fds = fds;
    call.count = count;
    int code = spi_started() ? 0 : WSANOTINITIALISED;
    code = code == 0 && spi_hook_is_inside() ? WSAEINPROGRESS : code;
    code = code == 0 ? poll_check(&call) : code;
    code = code == 0 ? spi_ready_init(&call.ready, count) : code;
    if (code == 0) {
        code = poll_run(&call, timeout_ms, &answered);
        spi_ready_drop(&call.ready);
    }
    if (code != 0) {
        SetLastError((DWORD)code);
        return SOCKET_ERROR;
    }
    return answered;
}
