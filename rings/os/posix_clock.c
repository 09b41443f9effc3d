/*
 * Clock, sleep, random bytes and process number on Linux. Any thread; calls only the C library.
 */
#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

static uint64_t clock_read_ns(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now); /* fails only for a clock that does not exist */
    return (uint64_t)now.tv_sec * OS_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t os_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t os_unix_ns(void)
{
    return clock_read_ns(CLOCK_REALTIME);
}

uint64_t os_reference_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC_RAW);
}

void os_yield(void)
{
    (void)sched_yield();
}

void os_sleep_ns(uint64_t ns)
{
    struct timespec left = posix_timespec(ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

enum rs_status os_random(void *out, size_t bytes)
{
    unsigned char *at = out;
    while (bytes > 0) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return posix_error("getrandom");
        }
        at += got;
        bytes -= (size_t)got;
    }
    return RS_OK;
}

uint32_t os_process_id(void)
{
    return (uint32_t)getpid();
}
