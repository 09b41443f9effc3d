/*
 * Shared by the posix_*.c files only. Any thread.
 */
#ifndef RINGSOCK_RINGS_OS_POSIX_INTERNAL_H
#define RINGSOCK_RINGS_OS_POSIX_INTERNAL_H

#include <errno.h>
#include <string.h>
#include <time.h>

#include "rings/os/internal.h"

/* Error text from errno; returns RS_OS_ERROR. errno is left as it was. */
static inline enum rs_status posix_error(const char *call)
{
    int error = errno;
    char text[96];
    (void)os_error_set(call, strerror_r(error, text, sizeof text));
    errno = error;
    return RS_OS_ERROR;
}

static inline struct timespec posix_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / OS_NS_PER_S),
                             .tv_nsec = (long)(ns % OS_NS_PER_S)};
}

/* Empties the waiting end of an event. RS_OK: it was signalled; RS_WOULD_BLOCK: not;
 * RS_DATAPLANE_GONE: the other end is closed. */
enum rs_status posix_event_drain(int fd);

/* Waits until fd is readable or ended, or second_fd (-1: none) is. RS_OK, RS_TIMED_OUT,
 * RS_OS_ERROR; *second_ready may be NULL if there is no second. */
enum rs_status posix_wait_readable(int fd, int second_fd, uint64_t deadline_ns, bool *first_ready,
                                   bool *second_ready);

#endif
