/*
 * Events on Windows: auto-reset event objects. The creator signals; the waiter's handle has
 * SYNCHRONIZE only, so it cannot. The poll loop calls os_event_signal, any thread may wait.
 */
#include "rings/os/win32_internal.h"

enum rs_status os_event_create(struct os_event *out)
{
    *out = (struct os_event){.handle = -1, .aux = 0};
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!event) {
        return win32_error("CreateEvent");
    }
    *out = (struct os_event){.handle = (intptr_t)event, .aux = 1};
    return RS_OK;
}

void os_event_destroy(struct os_event *event)
{
    os_handle_close(event->handle);
    *event = (struct os_event){.handle = -1, .aux = 0};
}

void os_event_signal(struct os_event *event)
{
    if (event->aux != 0) {
        (void)SetEvent(win32_handle(event->handle));
    }
}

/* second: NULL for none. */
static enum rs_status event_wait(const struct os_event *event, const struct os_event *second,
                                 const struct os_process *peer, uint64_t timeout_ns)
{
    HANDLE handles[3] = {win32_handle(event->handle), NULL, NULL};
    DWORD count = 1;
    if (second) {
        handles[count++] = win32_handle(second->handle);
    }
    const DWORD events = count;
    if (peer && win32_handle_valid(win32_handle(peer->handle))) {
        handles[count++] = win32_handle(peer->handle);
    }
    const uint64_t deadline_ns = os_deadline_after(timeout_ns);
    for (;;) {
        /* Of several the lowest index is reported: a signal goes before the end. */
        DWORD which = WaitForMultipleObjects(count, handles, FALSE, win32_wait_ms(deadline_ns));
        if (which < WAIT_OBJECT_0 + events) {
            return RS_OK;
        }
        if (which < WAIT_OBJECT_0 + count) {
            return RS_DATAPLANE_GONE;
        }
        if (which != WAIT_TIMEOUT) {
            return win32_error("WaitForMultipleObjects");
        }
        if (os_deadline_left_ns(deadline_ns) == 0) {
            return RS_TIMED_OUT;
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
