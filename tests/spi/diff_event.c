/*
 * Calls of diff.h about being told: WSAPoll, network events.
 */
#include "tests/spi/diff.h"

#define EVENT_FIRST 10 /* events of the highest number that has an iErrorCode */

/* ---- WSAPoll ---- */

static void say_poll_events(SHORT events)
{
    static const struct {
        SHORT event;
        const char *name;
    } names[] = {{POLLRDNORM, "RDNORM"}, {POLLRDBAND, "RDBAND"}, {POLLPRI, "PRI"},
                 {POLLWRNORM, "WRNORM"}, {POLLERR, "ERR"},       {POLLHUP, "HUP"},
                 {POLLNVAL, "NVAL"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        diff_say((events & names[i].event) != 0 ? "%s+" : "", names[i].name);
    }
}

void diff_poll(unsigned slot, unsigned other)
{
    (void)other;
    WSAPOLLFD fd = {.fd = diff_handle(slot),
                    .events = DIFF_ONE_OF(SHORT, 0, POLLIN, POLLRDNORM, POLLOUT, POLLIN | POLLOUT,
                                          POLLRDNORM | POLLWRNORM, POLLRDBAND)};
    diff_say("poll");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" ");
    say_poll_events(fd.events);
    int result = WSAPoll(&fd, 1, 0);
    (void)diff_say_result(result);
    diff_say(" ");
    say_poll_events(fd.revents);
}

/* ---- network events ---- */

static WSAEVENT slot_events[DIFF_SLOTS]; /* made once, kept for the whole run */

static WSAEVENT slot_event(unsigned slot)
{
    if (slot_events[slot] == NULL) {
        slot_events[slot] = WSACreateEvent();
    }
    return slot_events[slot];
}

static void say_events(long events)
{
    static const char *const names[] = {"READ", "WRITE", "OOB", "ACCEPT", "CONNECT", "CLOSE"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        diff_say((events >> i & 1) != 0 ? "%s+" : "", names[i]);
    }
    diff_say("%lx", (unsigned long)events & ~0x3ful);
}

static void select_events(unsigned slot, long mask)
{
    diff_say("event-select");
    diff_settle(&diff_slots[slot]);
    (void)WSAResetEvent(slot_event(slot));
    diff_say_slot(slot);
    diff_say(" ");
    say_events(mask);
    bool done = diff_say_result(WSAEventSelect(diff_handle(slot), slot_event(slot), mask));
    if (done && diff_slots[slot].type != DIFF_NONE) {
        diff_slots[slot].watched = true; /* also with no mask left it is non-blocking */
    }
}

void diff_select_accept(unsigned slot, unsigned other)
{
    (void)other;
    select_events(slot, FD_ACCEPT);
}

void diff_event_select(unsigned slot, unsigned other)
{
    (void)other;
    long mask =
        DIFF_ONE_OF(long, 0, FD_READ, FD_READ | FD_CLOSE, FD_READ | FD_WRITE | FD_CLOSE, FD_ACCEPT,
                    FD_ACCEPT | FD_CLOSE, FD_CONNECT | FD_WRITE, FD_OOB | FD_READ | FD_CLOSE,
                    FD_READ | FD_WRITE | FD_OOB | FD_ACCEPT | FD_CONNECT | FD_CLOSE);
    select_events(slot, mask);
}

/* Whether the event is set is looked at only where the model lets something be expected. */
void diff_enum_events(unsigned slot, unsigned other)
{
    (void)other;
    WSANETWORKEVENTS events = {0};
    bool with_event = diff_pick(3) != 0;
    diff_say("enum-events");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(with_event ? " event" : " no event");
    int result =
        WSAEnumNetworkEvents(diff_handle(slot), with_event ? slot_event(slot) : NULL, &events);
    if (!diff_say_result(result)) {
        return;
    }
    diff_say(" ");
    say_events(events.lNetworkEvents);
    for (unsigned i = 0; i < EVENT_FIRST; i++) {
        if ((events.lNetworkEvents >> i & 1) != 0 && events.iErrorCode[i] != 0) {
            diff_say(" %u:", i);
            diff_say_error(events.iErrorCode[i]);
        }
    }
    if (with_event && WaitForSingleObject(slot_event(slot), 0) == WAIT_OBJECT_0) {
        diff_say(" still set");
    }
}

const struct diff_kind diff_kinds_event[] = {
    {"poll", diff_poll, WANTS_ANY, {4, 6, 1, 1}},
    {"event-select", diff_event_select, WANTS_ANY, {3, 4, 0, 0}},
    {"enum-events", diff_enum_events, WANTS_ANY, {4, 6, 0, 0}},
};
const unsigned diff_kinds_event_count = sizeof(diff_kinds_event) / sizeof(diff_kinds_event[0]);
