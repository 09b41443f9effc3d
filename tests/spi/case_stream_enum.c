/*
 * Cases of WSPEnumNetworkEvents: the record of what WSPEventSelect nominated, and its event object.
 */
#include <string.h>

#include "tests/spi/event_kit.h"
#include "tests/spi/stream_kit.h"

/* Selects for mask on the server and waits until the event is set, for byte or urgent byte. */
static struct stream_pair pair_told(struct notify *n, long mask)
{
    struct stream_pair pair = stream_connected();
    notify_begin_event(n);
    OK(notify_select(n, pair.server, mask));
    stream_send(pair.client, "x");
    event_await(n->event);
    return pair;
}

CASE(WSPEnumNetworkEvents, enum_none, "a socket for which nothing was selected has an empty record")
{
    WSANETWORKEVENTS record = {.lNetworkEvents = -1};
    OK(event_enum(stream_new(), NULL, &record));
    assert_int_equal(record.lNetworkEvents, 0);
}

CASE(WSPEnumNetworkEvents, enum_copy, "the record is copied, then cleared")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(event_enum(pair.server, NULL, &record));
    assert_int_equal(record.lNetworkEvents, FD_READ);
    assert_int_equal(record.iErrorCode[FD_READ_BIT], 0);
    OK(event_enum(pair.server, NULL, &record));
    assert_int_equal(record.lNetworkEvents, 0);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_reset, "the event object that it is given is reset")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(event_enum(pair.server, n.event, &record));
    assert_false(event_is_set(n.event));
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_no_event, "without an event object none is reset")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(event_enum(pair.server, NULL, &record));
    assert_true(event_is_set(n.event));
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_other_event, "the event it is given need not be the selected one")
{
    struct notify n;
    WSANETWORKEVENTS record;
    HANDLE other = CreateEventW(NULL, TRUE, TRUE, NULL);
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(event_enum(pair.server, other, &record));
    assert_int_equal(record.lNetworkEvents, FD_READ);
    assert_false(event_is_set(other));
    assert_true(event_is_set(n.event));
    CloseHandle(other);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_bad_event,
     "an event that is none is WSAEINVAL; record and event stay as they are")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    FAILS(WSAEINVAL, event_enum(pair.server, (HANDLE)(LONG_PTR)0x7ffc, &record));
    assert_true(event_is_set(n.event));
    OK(event_enum(pair.server, n.event, &record));
    assert_int_equal(record.lNetworkEvents, FD_READ);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_fault,
     "a place that cannot be written is WSAEFAULT; record and event stay as they are")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    FAILS(WSAEFAULT, event_enum(pair.server, n.event, spi_bad_pointer()));
    FAILS(WSAEFAULT, event_enum(pair.server, n.event, spi_read_only_page()));
    FAILS(WSAEFAULT, event_enum(pair.server, n.event, NULL));
    assert_true(event_is_set(n.event));
    OK(event_enum(pair.server, n.event, &record));
    assert_int_equal(record.lNetworkEvents, FD_READ);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_errors_untouched,
     "only the errors of events that occurred are written")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ | FD_CLOSE);
    memset(&record, 0x5a, sizeof(record));
    OK(event_enum(pair.server, NULL, &record));
    for (unsigned bit = 0; bit < FD_MAX_EVENTS; bit++) {
        assert_int_equal(record.iErrorCode[bit], bit == FD_READ_BIT ? 0 : 0x5a5a5a5a);
    }
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_error, "each event has its error")
{
    struct notify n;
    WSANETWORKEVENTS record;
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    notify_begin_event(&n);
    OK(notify_select(&n, s, FD_CONNECT | FD_WRITE));
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    event_await(n.event);
    OK(event_enum(s, n.event, &record));
    assert_int_equal(record.lNetworkEvents, FD_CONNECT);
    assert_int_equal(record.iErrorCode[FD_CONNECT_BIT], WSAECONNREFUSED);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_several, "several events since the last call come together")
{
    struct notify n;
    WSANETWORKEVENTS record;
    DWORD sent = 0;
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "x");
    OK(spi_send_one(pair.client, "!", 1, MSG_OOB, &sent));
    stream_await(pair.server, EXCEPT);
    notify_begin_event(&n);
    OK(notify_select(&n, pair.server, FD_ALL_EVENTS));
    OK(event_enum(pair.server, n.event, &record));
    assert_int_equal(record.lNetworkEvents, FD_CONNECT | FD_WRITE | FD_READ | FD_OOB);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_not_enabling, "it does not re-enable: that takes a receive")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(event_enum(pair.server, n.event, &record));
    stream_send(pair.client, "y");
    stream_await_bytes(pair.server, 2);
    notify_none(&n, pair.server);
    stream_expect(pair.server, "x");
    notify_expect(&n, pair.server, FD_READ);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_next, "the next occurrence sets the event that was reset")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    for (unsigned i = 0; i < 20; i++) {
        OK(event_enum(pair.server, n.event, &record));
        assert_int_equal(record.lNetworkEvents, FD_READ);
        stream_expect(pair.server, "x");
        assert_false(event_is_set(n.event));
        stream_send(pair.client, "x");
        event_await(n.event);
    }
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_late, "an event whose condition is over is still in the record")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    stream_expect(pair.server, "x");
    OK(event_enum(pair.server, n.event, &record));
    assert_int_equal(record.lNetworkEvents, FD_READ);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_reselected, "WSPEventSelect clears the record")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(notify_select(&n, pair.server, FD_CLOSE));
    OK(event_enum(pair.server, n.event, &record));
    assert_int_equal(record.lNetworkEvents, 0);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_deselected, "behind a selection of 0 nothing is recorded")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(notify_select(&n, pair.server, 0));
    stream_send(pair.client, "y");
    stream_await_bytes(pair.server, 2);
    OK(event_enum(pair.server, NULL, &record));
    assert_int_equal(record.lNetworkEvents, 0);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_shared, "one event for two sockets: each has its own record")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair other = stream_connected();
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(notify_select(&n, other.server, FD_READ));
    stream_send(other.client, "y");
    stream_await(other.server, READ);
    OK(event_enum(pair.server, NULL, &record));
    assert_int_equal(record.lNetworkEvents, FD_READ);
    notify_expect(&n, other.server, FD_READ);
    notify_end(&n);
}

CASE(WSPEnumNetworkEvents, enum_closed_handle,
     "the record goes on when the program closes its handle of the event")
{
    struct notify n;
    WSANETWORKEVENTS record = {.lNetworkEvents = 0};
    struct stream_pair pair = pair_told(&n, FD_READ);
    OK(event_enum(pair.server, n.event, &record));
    notify_end(&n);
    stream_expect(pair.server, "x");
    stream_send(pair.client, "y");
    for (unsigned i = 0; i < 5000 && record.lNetworkEvents != 0; i++) {
        OK(event_enum(pair.server, NULL, &record));
    }
    for (unsigned i = 0; i < 5000 && record.lNetworkEvents == 0; i++) {
        Sleep(1);
        OK(event_enum(pair.server, NULL, &record));
    }
    assert_int_equal(record.lNetworkEvents, FD_READ);
}

/* ---- threads ---- */

#define STRESS_BYTES 20000u
#define STRESS_SEED  20261126u

struct stress {
    SOCKET to;
    HANDLE go_on;
};

static DWORD WINAPI stress_send(void *context)
{
    const struct stress *stress = context;
    uint32_t random = STRESS_SEED;
    char block[64] = {0};
    for (unsigned done = 0; done < STRESS_BYTES;) {
        random = random * 1664525u + 1013904223u;
        DWORD bytes = 1 + (random >> 16) % sizeof(block);
        bytes = bytes < STRESS_BYTES - done ? bytes : STRESS_BYTES - done;
        WSABUF buffer = {.len = bytes, .buf = block};
        DWORD sent = 0;
        int error = 0;
        if (TABLE->lpWSPSend(stress->to, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error) != 0) {
            return (DWORD)error;
        }
        done += sent;
        if ((random & 0x700) == 0) {
            SwitchToThread();
        }
    }
    return 0;
}

/* Selects again and again, as another thread of a program might. */
static DWORD WINAPI stress_select(void *context)
{
    struct stress *stress = context;
    int error = 0;
    while (WaitForSingleObject(stress->go_on, 1) == WAIT_TIMEOUT) {
        if (TABLE->lpWSPEventSelect(stress->to, *(HANDLE *)(stress + 1), FD_READ | FD_CLOSE,
                                    &error) != 0) {
            return (DWORD)error;
        }
    }
    return 0;
}

CASE(WSPEnumNetworkEvents, enum_stress,
     "no event is lost while one thread sends, one enumerates and reads, one selects anew")
{
    struct notify n;
    WSANETWORKEVENTS record;
    struct stream_pair pair = stream_connected();
    notify_begin_event(&n);
    OK(notify_select(&n, pair.server, FD_READ | FD_CLOSE));
    struct stress sender = {.to = pair.client};
    struct {
        struct stress stress;
        HANDLE event;
    } selecter = {{.to = pair.server, .go_on = CreateEventW(NULL, TRUE, FALSE, NULL)}, n.event};
    HANDLE threads[2] = {CreateThread(NULL, 0, stress_send, &sender, 0, NULL),
                         CreateThread(NULL, 0, stress_select, &selecter, 0, NULL)};
    for (unsigned done = 0; done < STRESS_BYTES;) {
        char byte[48];
        DWORD got = 0;
        if (WaitForSingleObject(n.event, 5000) != WAIT_OBJECT_0) {
            fail_msg("no event within 5 s after %u of %u bytes (seed %u)", done, STRESS_BYTES,
                     STRESS_SEED);
        }
        OK(event_enum(pair.server, n.event, &record));
        if (stream_recv(pair.server, byte, sizeof(byte), 0, &got) != 0) {
            assert_int_equal(spi_error, WSAEWOULDBLOCK);
        }
        done += got;
    }
    SetEvent(selecter.stress.go_on);
    for (unsigned i = 0; i < 2; i++) {
        DWORD result = 1;
        assert_int_equal(WaitForSingleObject(threads[i], 10000), WAIT_OBJECT_0);
        GetExitCodeThread(threads[i], &result);
        assert_int_equal(result, 0);
        CloseHandle(threads[i]);
    }
    stream_close(pair.client);
    notify_expect(&n, pair.server, FD_CLOSE);
    CloseHandle(selecter.stress.go_on);
    notify_end(&n);
}
