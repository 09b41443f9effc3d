/*
 * Calls of diff.h about being told: WSAPoll, network events, overlapped receives and sends with an
 * event.
 */
#include "tests/spi/diff.h"

#define EVENT_BYTES 512u
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

static void call_poll(unsigned slot, unsigned other)
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

/* ---- overlapped ---- */

static char event_data[EVENT_BYTES];

/* Waits for the event, then asks. */
static bool say_overlapped(SOCKET s, WSAOVERLAPPED *overlapped, DWORD *bytes)
{
    DWORD flags = 0;
    DWORD waited = WSAWaitForMultipleEvents(1, &overlapped->hEvent, TRUE, DIFF_WAIT_MS, FALSE);
    if (waited != WSA_WAIT_EVENT_0) {
        diff_note_wait("the event of an overlapped call");
    }
    bool done = WSAGetOverlappedResult(s, overlapped, bytes, FALSE, &flags) != FALSE;
    diff_say(", result");
    (void)diff_say_result(done ? 0 : SOCKET_ERROR);
    diff_say(" bytes=%lu", *bytes);
    diff_say_flags(flags);
    return done;
}

static void fill(uint32_t bytes, unsigned from)
{
    for (uint32_t i = 0; i < bytes; i++) {
        event_data[i] = (char)(i * 3u + from * 29u);
    }
}

static struct diff_slot *stream_peer(const struct diff_slot *slot)
{
    for (unsigned i = 0; slot->link != NULL && i < DIFF_SLOTS; i++) {
        if (diff_slots[i].link == slot->link && &diff_slots[i] != slot) {
            return &diff_slots[i];
        }
    }
    return NULL;
}

static bool can_flow(const struct diff_slot *slot, const struct diff_slot *peer)
{
    const struct diff_pipe *in = diff_pipe_in(slot);
    return peer != NULL && !slot->shut_recv && !slot->shut_send && !peer->shut_recv &&
           !peer->shut_send && !in->urgent && !in->fin && !in->reset && !diff_pipe_out(slot)->reset;
}

/* Two receives that nothing waits for, or one that is served at once; then the peer sends. */
static void call_overlapped_recv(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *peer = stream_peer(at);
    static char first[100], second[100];
    WSABUF buffers[2] = {{.len = 1 + diff_pick(100), .buf = first},
                         {.len = 1 + diff_pick(100), .buf = second}};
    WSAOVERLAPPED overlapped[2] = {{.hEvent = WSACreateEvent()}, {.hEvent = WSACreateEvent()}};
    uint32_t bytes = 1 + diff_pick(300);
    DWORD got = 0;
    DWORD flags = 0;
    bool begun[2] = {false, false};
    if (can_flow(at, peer)) {
        unsigned count = diff_unread(at) != 0 ? 1 : 2;
        diff_say("overlapped-recv");
        diff_settle(at);
        diff_say_slot(slot);
        diff_say(" %lu %lu, sent %u", buffers[0].len, buffers[1].len, bytes);
        for (unsigned i = 0; i < count; i++) {
            flags = 0;
            begun[i] = diff_say_result(
                           WSARecv(at->s, &buffers[i], 1, &got, &flags, &overlapped[i], NULL)) ||
                       WSAGetLastError() == WSA_IO_PENDING;
        }
        fill(bytes, slot);
        if (count == 2) {
            bytes = buffers[0].len + bytes; /* more than the first takes */
            bytes = bytes < EVENT_BYTES ? bytes : EVENT_BYTES;
            fill(bytes, slot);
            int sent = send(peer->s, event_data, (int)bytes, 0);
            diff_model_sent(peer, sent > 0 ? (uint32_t)sent : 0, 0);
        }
        for (unsigned i = 0; i < count; i++) {
            if (begun[i] && say_overlapped(at->s, &overlapped[i], &got)) {
                diff_say_bytes(i == 0 ? first : second, got < 100 ? got : 100);
                diff_model_received(at, got);
            }
        }
    }
    (void)WSACloseEvent(overlapped[0].hEvent);
    (void)WSACloseEvent(overlapped[1].hEvent);
}

static void call_overlapped_send(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    WSAOVERLAPPED overlapped = {.hEvent = WSACreateEvent()};
    uint32_t bytes = 1 + diff_pick(EVENT_BYTES);
    WSABUF buffer = {.len = bytes, .buf = event_data};
    DWORD sent = 0;
    if (can_flow(at, stream_peer(at))) {
        diff_say("overlapped-send");
        diff_settle(at);
        diff_say_slot(slot);
        diff_say(" %u", bytes);
        fill(bytes, slot);
        int result = WSASend(at->s, &buffer, 1, &sent, 0, &overlapped, NULL);
        if (diff_say_result(result) || WSAGetLastError() == WSA_IO_PENDING) {
            if (say_overlapped(at->s, &overlapped, &sent)) {
                diff_model_sent(at, sent, 0);
            }
        }
    }
    (void)WSACloseEvent(overlapped.hEvent);
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

static void call_event_select(unsigned slot, unsigned other)
{
    (void)other;
    long mask = DIFF_ONE_OF(long, 0, FD_READ, FD_READ | FD_CLOSE, FD_READ | FD_WRITE | FD_CLOSE,
                            FD_ACCEPT, FD_ACCEPT | FD_CLOSE, FD_OOB | FD_READ | FD_CLOSE,
                            FD_READ | FD_WRITE | FD_OOB | FD_ACCEPT | FD_CONNECT | FD_CLOSE);
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

/* Whether the event is set is looked at only where the model lets something be expected. */
static void call_enum_events(unsigned slot, unsigned other)
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
    {"poll", call_poll, WANTS_ANY, {4, 6, 1, 1}},
    {"overlapped-recv", call_overlapped_recv, WANTS_TCP, {0, 5, 0, 0}},
    {"overlapped-send", call_overlapped_send, WANTS_TCP, {0, 4, 0, 0}},
    {"event-select", call_event_select, WANTS_ANY, {3, 4, 0, 0}},
    {"enum-events", call_enum_events, WANTS_ANY, {4, 6, 0, 0}},
};
const unsigned diff_kinds_event_count = sizeof(diff_kinds_event) / sizeof(diff_kinds_event[0]);
