/*
 * Writes log lines (log.h). No lock: each line goes out in one fwrite, and the C library's stream
 * lock keeps it whole.
 */
#include "dataplane/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "rings/os/os.h"

#define LINE_MAX_BYTES 1024u

/* Set once at start, read by any thread. */
static atomic_uint level_limit = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_limit, level, memory_order_relaxed);
}

void log_line(enum log_level level, const char *area, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > atomic_load_explicit(&level_limit, memory_order_relaxed)) {
        return;
    }
    char message[LINE_MAX_BYTES - 64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    /* Time of day in UTC: day numbers need no library call that is unsafe in threads. */
    uint64_t ms = os_unix_ns() / 1000000;
    uint64_t second = ms / 1000 % 86400;
    char line[LINE_MAX_BYTES];
    int bytes = snprintf(line, sizeof(line),
                         "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64 "Z %s %.16s: %s\n",
                         second / 3600, second / 60 % 60, second % 60, ms % 1000, names[level],
                         area, message);
    if (bytes > 0) {
        (void)fwrite(line, 1, (size_t)bytes, stderr);
    }
}
