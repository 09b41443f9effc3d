/* event_kit.h. */
#include <string.h>

#include "tests/spi/event_kit.h"

#define WAIT_MS  20000u
#define QUIET_MS 30u

void notify_begin_event(struct notify *n)
{
    memset(n, 0, sizeof(*n));
    n->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    assert_non_null(n->event);
}

void notify_begin_window(struct notify *n)
{
    memset(n, 0, sizeof(*n));
    n->window = CreateWindowExW(0, L"STATIC", L"", 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);
    if (n->window == NULL) {
        fail_msg("no window: error %lu", GetLastError());
    }
}

void notify_end(struct notify *n)
{
    if (n->event != NULL) {
        CloseHandle(n->event);
    } else {
        DestroyWindow(n->window);
    }
}

int notify_select(struct notify *n, SOCKET s, long mask)
{
    return n->event != NULL
               ? TABLE->lpWSPEventSelect(s, n->event, mask, &spi_error)
               : TABLE->lpWSPAsyncSelect(s, n->window, NOTIFY_MESSAGE, mask, &spi_error);
}

int event_enum(SOCKET s, HANDLE event, WSANETWORKEVENTS *out)
{
    return TABLE->lpWSPEnumNetworkEvents(s, event, out, &spi_error);
}

bool event_is_set(HANDLE event)
{
    return WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
}

void event_await(HANDLE event)
{
    if (WaitForSingleObject(event, WAIT_MS) != WAIT_OBJECT_0) {
        fail_msg("the event was not set within %u ms", WAIT_MS);
    }
}

static void notify_note(struct notify *n, long event, int error)
{
    for (unsigned bit = 0; bit < FD_MAX_EVENTS; bit++) {
        if (event == 1L << bit) {
            n->errors[bit] = error;
        }
    }
}

/* Several sockets may share an event, so another's enumeration may have reset it. */
static long take_record(struct notify *n, SOCKET s)
{
    WSANETWORKEVENTS record;
    OK(event_enum(s, n->event, &record));
    for (unsigned bit = 0; bit < FD_MAX_EVENTS; bit++) {
        if ((record.lNetworkEvents & 1L << bit) != 0) {
            n->errors[bit] = record.iErrorCode[bit];
        }
    }
    return record.lNetworkEvents;
}

static long take_messages(struct notify *n, SOCKET s)
{
    MSG message;
    long taken = 0;
    while (PeekMessageW(&message, n->window, NOTIFY_MESSAGE, NOTIFY_MESSAGE, PM_REMOVE)) {
        long event = WSAGETSELECTEVENT(message.lParam);
        if (message.wParam != s) {
            fail_msg("a message about socket %llu, not %llu", (unsigned long long)message.wParam,
                     (unsigned long long)s);
        }
        if ((taken & event) != 0) {
            fail_msg("event 0x%lx was told twice", event);
        }
        taken |= event;
        notify_note(n, event, WSAGETSELECTERROR(message.lParam));
    }
    return taken;
}

long notify_take(struct notify *n, SOCKET s)
{
    return n->event != NULL ? take_record(n, s) : take_messages(n, s);
}

void notify_forget(struct notify *n, SOCKET s)
{
    MSG message;
    if (n->event != NULL) {
        (void)take_record(n, s);
        return;
    }
    while (PeekMessageW(&message, n->window, NOTIFY_MESSAGE, NOTIFY_MESSAGE, PM_REMOVE)) {
    }
}

static void notify_wait(const struct notify *n, DWORD wait_ms)
{
    if (n->event != NULL) {
        (void)WaitForSingleObject(n->event, wait_ms);
    } else {
        (void)MsgWaitForMultipleObjects(0, NULL, FALSE, wait_ms, QS_ALLINPUT);
    }
}

void notify_expect(struct notify *n, SOCKET s, long mask)
{
    ULONGLONG end = GetTickCount64() + WAIT_MS;
    long told = 0;
    while (told != mask && GetTickCount64() < end) {
        notify_wait(n, 20);
        long more = notify_take(n, s);
        if ((told & more) != 0) {
            fail_msg("events 0x%lx were told twice", told & more);
        }
        told |= more;
        if ((told & ~mask) != 0) {
            break;
        }
    }
    if (told != mask) {
        fail_msg("within %u ms events 0x%lx were told, waited for 0x%lx", WAIT_MS, told, mask);
    }
}

void notify_none(struct notify *n, SOCKET s)
{
    notify_wait(n, QUIET_MS);
    long told = notify_take(n, s);
    if (told != 0) {
        fail_msg("events 0x%lx were told", told);
    }
}

int notify_error(const struct notify *n, long event)
{
    for (unsigned bit = 0; bit < FD_MAX_EVENTS; bit++) {
        if (event == 1L << bit) {
            return n->errors[bit];
        }
    }
    return -1;
}
