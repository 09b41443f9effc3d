/*
 * Windows' word on a failed call, and its way of counting time in waits. Any thread.
 */
#include <stdio.h>

#include "rings/os/win32_internal.h"

enum rs_status win32_error(const char *call)
{
    DWORD error = GetLastError();
    char text[128];
    DWORD chars = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                                 error, 0, text, sizeof text, NULL);
    while (chars > 0 && (text[chars - 1] == '\r' || text[chars - 1] == '\n')) {
        chars--;
    }
    char numbered[160];
    (void)snprintf(numbered, sizeof numbered, "%.*s (%lu)", (int)chars, text, error);
    (void)os_error_set(call, numbered);
    SetLastError(error);
    return RS_OS_ERROR;
}

DWORD win32_wait_ms(uint64_t deadline_ns)
{
    uint64_t left_ns = os_deadline_left_ns(deadline_ns);
    if (left_ns == OS_FOREVER_NS) {
        return INFINITE;
    }
    uint64_t left_ms = left_ns / OS_NS_PER_MS + (left_ns % OS_NS_PER_MS != 0);
    return left_ms >= INFINITE ? INFINITE - 1 : (DWORD)left_ms;
}
