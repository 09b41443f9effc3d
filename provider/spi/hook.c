/*
 * Winsock 1.1's blocking hooks. While a call blocks, the thread's hook (WPUQueryBlockingCallback)
 * is called now and then; from inside it WSPCancelBlockingCall ends the call with WSAEINTR, and
 * every other call says WSAEINPROGRESS. The core asks for the hook in the slow half of its wait
 * (client_set_wait_hook), so a call that need not wait, or not long, pays nothing. Any thread;
 * what it knows of a hook under way lies on that thread's stack.
 */
#include <string.h>

#include "provider/spi/spi.h"

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
