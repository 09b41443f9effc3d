/*
 * Shared by the win32_*.c files only. Any thread. A handle is kept as intptr_t; -1 means none, and
 * so does 0, which several calls return for failure.
 */
#ifndef RINGSOCK_RINGS_OS_WIN32_INTERNAL_H
#define RINGSOCK_RINGS_OS_WIN32_INTERNAL_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "rings/os/internal.h"

static inline HANDLE win32_handle(intptr_t handle)
{
    return (HANDLE)handle; /* NOLINT(performance-no-int-to-ptr) */
}

static inline bool win32_handle_valid(HANDLE handle)
{
    return handle != NULL && handle != INVALID_HANDLE_VALUE;
}

/* Error text from GetLastError(), which is left as it was; returns RS_OS_ERROR. */
enum rs_status win32_error(const char *call);

/* Milliseconds for the system's waits: rounded up, INFINITE for no deadline; a wait can end early
 * and is then repeated. */
DWORD win32_wait_ms(uint64_t deadline_ns);

/* What the poller waits for, win32_connection.c: the event of the read or of the pending connect,
 * started if it is not yet. NULL if it cannot be started. */
HANDLE win32_conn_read_event(struct os_conn *conn);
HANDLE win32_listener_event(struct os_listener *listener);
/* From now on (watched) a read stays pending between calls; else it is taken back. */
void win32_conn_set_watched(struct os_conn *conn, bool watched);

#endif
