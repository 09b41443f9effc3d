/*
 * Winsock 1.1's blocking hooks. While a call blocks, the thread's hook (WPUQueryBlockingCallback)
 * is called now and then; from inside it WSPCancelBlockingCall ends the call with WSAEINTR, and
 * every other call says WSAEINPROGRESS. The core asks for the hook in the slow half of its wait
 * (client_set_wait_hook), so a call that need not wait, or not long, pays nothing; a call that
 * waits for the helper (overlapped.c) does so here. Any thread; what it knows of a hook under way
 * lies on that thread's stack.
 */
#include <string.h>

#include "provider/spi/spi.h"

#define HOOK_TURN_MS 5u /* as in the core */

struct hook_frame {
    bool cancelled;
};

_Atomic uint32_t spi_hooks_inside;
static DWORD hook_tls = TLS_OUT_OF_INDEXES; /* its struct hook_frame; set before spi_hook_install */

static struct hook_frame *hook_frame_get(void)
{
    DWORD kept = GetLastError();
    struct hook_frame *frame = TlsGetValue(hook_tls);
    SetLastError(kept);
    return frame;
}

bool spi_hook_is_inside_slow(void)
{
    return hook_frame_get() != NULL;
}

static bool hook_ask(struct client_wait_turn *turn)
{
    LPBLOCKINGCALLBACK callback = NULL;
    DWORD_PTR context = 0;
    INT ignored = 0;
    if (spi_upcalls.lpWPUQueryBlockingCallback == NULL ||
        spi_upcalls.lpWPUQueryBlockingCallback(spi_protocol.dwCatalogEntryId, &callback, &context,
                                               &ignored) != 0 ||
        callback == NULL) {
        return false;
    }
    memcpy(&turn->function, &callback, sizeof(callback));
    turn->context = context;
    return true;
}

static bool hook_turn(const struct client_wait_turn *turn)
{
    struct hook_frame frame = {.cancelled = false};
    LPBLOCKINGCALLBACK callback;
    memcpy(&callback, &turn->function, sizeof(callback));
    (void)TlsSetValue(hook_tls, &frame);
    atomic_fetch_add_explicit(&spi_hooks_inside, 1, memory_order_relaxed);
    BOOL go_on = callback(turn->context);
    atomic_fetch_sub_explicit(&spi_hooks_inside, 1, memory_order_relaxed);
    (void)TlsSetValue(hook_tls, NULL);
    return go_on && !frame.cancelled;
}

int spi_hook_wait(HANDLE event, DWORD timeout_ms)
{
    struct client_wait_turn turn = {.function = NULL};
    if (WaitForSingleObject(event, 0) == WAIT_OBJECT_0) {
        return 0;
    }
    if (!hook_ask(&turn)) {
        return WaitForSingleObject(event, timeout_ms != 0 ? timeout_ms : INFINITE) == WAIT_OBJECT_0
                   ? 0
                   : WSAETIMEDOUT;
    }
    ULONGLONG end = timeout_ms != 0 ? GetTickCount64() + timeout_ms : UINT64_MAX;
    do {
        if (!hook_turn(&turn)) {
            return WSAEINTR;
        }
        ULONGLONG now = GetTickCount64();
        DWORD wait_ms = now >= end                 ? 0
                        : end - now < HOOK_TURN_MS ? (DWORD)(end - now)
                                                   : HOOK_TURN_MS;
        if (WaitForSingleObject(event, wait_ms) == WAIT_OBJECT_0) {
            return 0;
        }
    } while (GetTickCount64() < end);
    return WSAETIMEDOUT;
}

void spi_hook_install(void)
{
    static const struct client_wait_hook hook = {.ask = hook_ask, .turn = hook_turn};
    hook_tls = TlsAlloc();
    if (hook_tls != TLS_OUT_OF_INDEXES) { /* else: no hooks */
        client_set_wait_hook(&hook);
    }
}

int WSPAPI spi_cancel_blocking_call(LPINT error)
{
    if (!spi_started()) {
        return spi_fail(error, WSANOTINITIALISED);
    }
    struct hook_frame *frame = atomic_load_explicit(&spi_hooks_inside, memory_order_relaxed) != 0
                                   ? hook_frame_get()
                                   : NULL;
    if (frame == NULL) {
        return spi_fail(error, WSAEINVAL); /* no blocking call of this thread is under way */
    }
    frame->cancelled = true;
    return 0;
}
