/*
 * What the files of rings/os share among themselves, and nobody else includes: the per-thread error
 * text, deadlines, and the reference clock of the TSC calibration. Any thread.
 */
#ifndef RINGSOCK_RINGS_OS_INTERNAL_H
#define RINGSOCK_RINGS_OS_INTERNAL_H

#include "rings/os/os.h"

#define OS_FOREVER_NS     UINT64_MAX
#define OS_ERROR_BYTES    192u
#define OS_NAME_CHARS_MAX 31u
#define OS_NS_PER_S       1000000000ull
#define OS_NS_PER_MS      1000000ull

/* Sets the text of os_last_error_text(): "call: detail". detail may be NULL. Returns RS_OS_ERROR,
 * so that a failing call is one return statement. */
enum rs_status os_error_set(const char *call, const char *detail);

/* True for an instance name: [A-Za-z0-9_-]{1,31}. */
bool os_name_valid(const char *name);

/* ns of a clock that no time daemon steers; only differences mean anything. For the TSC
 * calibration. */
uint64_t os_reference_ns(void);

/* The point of os_monotonic_ns() that is timeout_ns away; OS_FOREVER_NS stays that. */
static inline uint64_t os_deadline_after(uint64_t timeout_ns)
{
    uint64_t now_ns = timeout_ns == OS_FOREVER_NS ? 0 : os_monotonic_ns();
    return timeout_ns >= OS_FOREVER_NS - now_ns ? OS_FOREVER_NS : now_ns + timeout_ns;
}

/* What is left until a deadline; 0 once it is over, OS_FOREVER_NS for none. */
static inline uint64_t os_deadline_left_ns(uint64_t deadline_ns)
{
    if (deadline_ns == OS_FOREVER_NS) {
        return OS_FOREVER_NS;
    }
    uint64_t now_ns = os_monotonic_ns();
    return now_ns >= deadline_ns ? 0 : deadline_ns - now_ns;
}

#endif
