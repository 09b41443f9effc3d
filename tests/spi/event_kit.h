/*
 * Network events in both forms: what WSPEventSelect records and what WSPAsyncSelect posts. Most
 * cases are one function that both run. Test thread.
 */
#ifndef RINGSOCK_TESTS_SPI_EVENT_KIT_H
#define RINGSOCK_TESTS_SPI_EVENT_KIT_H

#include "tests/spi/spi_test.h"

#define NOTIFY_MESSAGE (WM_APP + 7)

struct notify {
    HANDLE event; /* NULL: messages */
    HWND window;
    int errors[FD_MAX_EVENTS]; /* of the events last taken */
};
void notify_begin_event(struct notify *n);
void notify_begin_window(struct notify *n);
void notify_end(struct notify *n);

/* WSPEventSelect or WSPAsyncSelect. */
int notify_select(struct notify *n, SOCKET s, long mask);
/* What was told about the socket, now; messages one at a time, so *n's errors are those of all. */
long notify_take(struct notify *n, SOCKET s);
/* Throws away what was told, however often. */
void notify_forget(struct notify *n, SOCKET s);
/* Waits, at most 5 s, until exactly these events were told. */
void notify_expect(struct notify *n, SOCKET s, long mask);
/* Waits a little: nothing is told. */
void notify_none(struct notify *n, SOCKET s);
int notify_error(const struct notify *n, long event);
/* Whether the event object is set. */
bool event_is_set(HANDLE event);
void event_await(HANDLE event);
int event_enum(SOCKET s, HANDLE event, WSANETWORKEVENTS *out);

/* One case for each form. */
#define NOTIFY_CASE(id, rule)                \
    static void id(struct notify *n);        \
    CASE(WSPEventSelect, id##_event, rule)   \
    {                                        \
        struct notify n;                     \
        notify_begin_event(&n);              \
        id(&n);                              \
        notify_end(&n);                      \
    }                                        \
    CASE(WSPAsyncSelect, id##_message, rule) \
    {                                        \
        struct notify n;                     \
        notify_begin_window(&n);             \
        id(&n);                              \
        notify_end(&n);                      \
    }                                        \
    static void id(struct notify *n)

#endif
