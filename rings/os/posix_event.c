/*
 * Events on Linux: a Unix socket pair; the owner signals on one end, the waiter sleeps in poll(2)
 * on the other. The poll loop calls os_event_signal, any thread may wait.
 *
 * Not an eventfd and not a pipe, although they are cheaper: the waiter is a hostile process that
 * shares the open file. With an eventfd it can clear O_NONBLOCK and fill the counter, and the
 * dataplane's write(2) sleeps for ever; with a pipe it can hold the pipe's lock in a read(2) into
 * memory that does not fault in. A socket pair has separate open files and MSG_DONTWAIT per call.
 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

/* More than the buffer of an event ever holds: the system's least one takes a handful of one-byte
 * messages, unix(7), socket(7). */
#define EVENT_DRAIN_BYTES 512u

enum rs_status os_event_create(struct os_event *out)
{
    *out = (struct os_event){.handle = -1, .aux = 0};
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return posix_error("socketpair");
    }
    /* One unread byte is a signal, more say nothing: the system's least buffer keeps an event that
     * nobody reads small. */
    int least = 0;
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    *out = (struct os_event){.handle = fds[0], .aux = (intptr_t)fds[1] + 1};
    return RS_OK;
}

void os_event_destroy(struct os_event *event)
{
    os_handle_close(event->handle);
    if (event->aux > 0) {
        os_handle_close(event->aux - 1);
    }
    *event = (struct os_event){.handle = -1, .aux = 0};
}

/* Called from a signal handler too (posix_process.c): send(2) is async-signal-safe. A full buffer
 * is a signal not yet taken. */
void os_event_signal(struct os_event *event)
{
    int error = errno;
    if (event->aux > 0) {
        ssize_t sent = send((int)(event->aux - 1), "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent;
    }
    errno = error;
}

enum rs_status posix_event_drain(int fd)
{
    char bytes[EVENT_DRAIN_BYTES];
    ssize_t got = 0;
    do {
        got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        return RS_OK;
    }
    if (got == 0 || errno == ECONNRESET) {
        return RS_DATAPLANE_GONE;
    }
    return errno == EAGAIN ? RS_WOULD_BLOCK : posix_error("recv on an event");
}

/* Descriptors of -1 are passed over. RS_OK: one of them is readable or ended. */
static enum rs_status event_poll(struct pollfd *polls, nfds_t count, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t left_ns = os_deadline_left_ns(deadline_ns);
        struct timespec left = posix_timespec(left_ns);
        int ready = ppoll(polls, count, left_ns == OS_FOREVER_NS ? NULL : &left, NULL);
        if (ready < 0) {
            if (errno == EINTR) {
                continue;
            }
            return posix_error("ppoll");
        }
        for (nfds_t i = 0; i < count; i++) {
            if (polls[i].revents & POLLNVAL) {
                (void)os_error_set("ppoll", "a descriptor is not open");
                return RS_OS_ERROR;
            }
        }
        return ready == 0 ? RS_TIMED_OUT : RS_OK;
    }
}

enum rs_status posix_wait_readable(int fd, int second_fd, uint64_t deadline_ns, bool *first_ready,
                                   bool *second_ready)
{
    struct pollfd polls[2] = {{.fd = fd, .events = POLLIN}, {.fd = second_fd, .events = POLLIN}};
    enum rs_status status = event_poll(polls, 2, deadline_ns);
    if (status == RS_OK) {
        *first_ready = polls[0].revents != 0;
        if (second_ready) {
            *second_ready = polls[1].revents != 0;
        }
    }
    return status;
}

/* second: NULL for none. */
static enum rs_status event_wait(const struct os_event *event, const struct os_event *second,
                                 const struct os_process *peer, uint64_t timeout_ns)
{
    struct pollfd polls[3] = {{.fd = (int)event->handle, .events = POLLIN},
                              {.fd = second ? (int)second->handle : -1, .events = POLLIN},
                              {.fd = peer ? (int)peer->handle : -1, .events = POLLIN}};
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    for (;;) {
        enum rs_status status = event_poll(polls, 3, deadline_ns);
        for (int i = 0; i < 2 && status == RS_OK; i++) {
            enum rs_status drained =
                polls[i].revents ? posix_event_drain(polls[i].fd) : RS_WOULD_BLOCK;
            if (drained != RS_WOULD_BLOCK) {
                return drained;
            }
        }
        if (status != RS_OK) {
            return status;
        }
        if (polls[2].revents) {
            return RS_DATAPLANE_GONE;
        }
    }
}

enum rs_status os_event_wait(struct os_event *event, const struct os_process *peer,
                             uint64_t timeout_ns)
{
    return event_wait(event, NULL, peer, timeout_ns);
}

enum rs_status os_event_wait_either(struct os_event *event, struct os_event *second,
                                    const struct os_process *peer, uint64_t timeout_ns)
{
    return event_wait(event, second, peer, timeout_ns);
}
