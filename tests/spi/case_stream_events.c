/*
 * Cases of WSPEventSelect and WSPAsyncSelect on stream sockets: when each event is told, and told
 * again. The rules are those of WSAEventSelect's and WSAAsyncSelect's pages.
 */
#include "tests/spi/event_kit.h"
#include "tests/spi/stream_kit.h"

#define ALL FD_ALL_EVENTS

/* A connection whose server is selected for mask, and what that told is taken. */
static struct stream_pair pair_selected(struct notify *n, long mask)
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.server, mask));
    if ((mask & (FD_WRITE | FD_CONNECT)) != 0) {
        notify_expect(n, pair.server, mask & (FD_WRITE | FD_CONNECT));
    }
    return pair;
}

/* ---- FD_ACCEPT ---- */

NOTIFY_CASE(ev_accept_there, "FD_ACCEPT: a connection that waits already is told at once")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(spi_connect_to(stream_new(), &at));
    stream_await(s, READ);
    OK(notify_select(n, s, ALL));
    assert_int_equal(notify_take(n, s), FD_ACCEPT);
}

NOTIFY_CASE(ev_accept_comes, "FD_ACCEPT: a connection that comes is told")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(notify_select(n, s, ALL));
    notify_none(n, s);
    OK(spi_connect_to(stream_new(), &at));
    notify_expect(n, s, FD_ACCEPT);
    assert_int_equal(notify_error(n, FD_ACCEPT), 0);
}

NOTIFY_CASE(ev_accept_before_listen, "FD_ACCEPT: selected before bind and listen")
{
    SOCKET s = stream_new();
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    OK(notify_select(n, s, ALL));
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    OK(TABLE->lpWSPListen(s, 4, &spi_error));
    OK(spi_connect_to(stream_new(), &at));
    notify_expect(n, s, FD_ACCEPT);
}

NOTIFY_CASE(ev_accept_level, "FD_ACCEPT: told once, and again when accept leaves a connection")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(notify_select(n, s, FD_ACCEPT));
    OK(spi_connect_to(stream_new(), &at));
    notify_expect(n, s, FD_ACCEPT);
    OK(spi_connect_to(stream_new(), &at));
    notify_none(n, s);
    SOCKET first = stream_accept(s);
    OK(notify_select(n, first, 0));
    notify_expect(n, s, FD_ACCEPT);
    SOCKET second = stream_accept(s);
    OK(notify_select(n, second, 0));
    notify_none(n, s);
}

NOTIFY_CASE(ev_accept_deferred, "FD_ACCEPT: WSATRY_AGAIN (CF_DEFER) does not re-enable it")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(notify_select(n, s, FD_ACCEPT));
    OK(spi_connect_to(stream_new(), &at));
    notify_expect(n, s, FD_ACCEPT);
    stream_put_off(s);
    notify_none(n, s);
    OK(notify_select(n, s, FD_ACCEPT)); /* but it is there */
    notify_expect(n, s, FD_ACCEPT);
}

/* ---- FD_CONNECT ---- */

NOTIFY_CASE(ev_connect, "FD_CONNECT: the outcome of a connect, then FD_WRITE")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, s, ALL));
    notify_none(n, s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    notify_expect(n, s, FD_CONNECT | FD_WRITE);
    assert_int_equal(notify_error(n, FD_CONNECT), 0);
    (void)stream_accept(listener);
    notify_none(n, s);
}

NOTIFY_CASE(ev_connect_refused, "FD_CONNECT: an attempt that failed, with its error, nothing else")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, s, ALL));
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    notify_expect(n, s, FD_CONNECT);
    assert_int_equal(notify_error(n, FD_CONNECT), WSAECONNREFUSED);
    notify_none(n, s);
}

NOTIFY_CASE(ev_connect_again, "FD_CONNECT: each attempt has its outcome")
{
    SOCKADDR_IN nobody;
    SOCKADDR_IN at;
    (void)stream_bound(&nobody);
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, s, ALL));
    for (unsigned i = 0; i < 3; i++) {
        FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &nobody));
        notify_expect(n, s, FD_CONNECT);
        assert_int_equal(notify_error(n, FD_CONNECT), WSAECONNREFUSED);
    }
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    notify_expect(n, s, FD_CONNECT | FD_WRITE);
    assert_int_equal(notify_error(n, FD_CONNECT), 0);
    (void)stream_accept(listener);
}

NOTIFY_CASE(ev_connected_there, "FD_CONNECT, FD_WRITE: a connection there is, is told at once")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.client, ALL));
    assert_int_equal(notify_take(n, pair.client), FD_CONNECT | FD_WRITE);
}

/* ---- FD_READ ---- */

NOTIFY_CASE(ev_read_comes, "FD_READ: bytes that come are told")
{
    struct stream_pair pair = pair_selected(n, ALL);
    stream_send(pair.client, "x");
    notify_expect(n, pair.server, FD_READ);
    assert_int_equal(notify_error(n, FD_READ), 0);
}

NOTIFY_CASE(ev_read_there, "FD_READ: bytes that wait already are told at once")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
    OK(notify_select(n, pair.server, FD_READ));
    assert_int_equal(notify_take(n, pair.server), FD_READ);
}

NOTIFY_CASE(ev_read_once, "FD_READ: not told again before a receive, whatever comes")
{
    struct stream_pair pair = pair_selected(n, FD_READ);
    stream_send(pair.client, "x");
    notify_expect(n, pair.server, FD_READ);
    stream_send(pair.client, "y");
    stream_await_bytes(pair.server, 2);
    notify_none(n, pair.server);
}

NOTIFY_CASE(ev_read_level, "FD_READ: told again when a receive leaves bytes, not when it took all")
{
    struct stream_pair pair = pair_selected(n, FD_READ);
    stream_send(pair.client, "xy");
    stream_await_bytes(pair.server, 2);
    notify_expect(n, pair.server, FD_READ);
    stream_expect(pair.server, "x");
    assert_int_equal(notify_take(n, pair.server), FD_READ);
    stream_expect(pair.server, "y");
    notify_none(n, pair.server);
    stream_send(pair.client, "z");
    notify_expect(n, pair.server, FD_READ);
}

NOTIFY_CASE(ev_read_peek, "FD_READ: a receive with MSG_PEEK re-enables it")
{
    struct stream_pair pair = pair_selected(n, FD_READ);
    char byte;
    DWORD got;
    stream_send(pair.client, "x");
    notify_expect(n, pair.server, FD_READ);
    OK(stream_recv(pair.server, &byte, 1, MSG_PEEK, &got));
    assert_int_equal(notify_take(n, pair.server), FD_READ);
}

NOTIFY_CASE(ev_read_failed, "FD_READ: a receive that fails re-enables it as well")
{
    struct stream_pair pair = pair_selected(n, FD_READ);
    char byte;
    DWORD got;
    stream_send(pair.client, "x");
    notify_expect(n, pair.server, FD_READ);
    FAILS(WSAEFAULT, stream_recv(pair.server, spi_bad_pointer(), 1, 0, &got));
    assert_int_equal(notify_take(n, pair.server), FD_READ);
    stream_expect(pair.server, "x");
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.server, &byte, 1, 0, &got));
    stream_send(pair.client, "y");
    notify_expect(n, pair.server, FD_READ);
}

NOTIFY_CASE(ev_connect_over, "FD_CONNECT: a connection that was reset is none to a new selection")
{
    struct stream_pair pair = stream_connected();
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    OK(notify_select(n, pair.client, FD_CONNECT | FD_CLOSE));
    notify_expect(n, pair.client, FD_CLOSE);
    assert_int_equal(notify_error(n, FD_CLOSE), WSAECONNRESET);
}

/* ---- FD_WRITE ---- */

NOTIFY_CASE(ev_write_room, "FD_WRITE: told when there is room, after a send failed for want of it")
{
    struct stream_pair pair = stream_connected_apart();
    OK(notify_select(n, pair.client, FD_WRITE));
    assert_int_equal(notify_take(n, pair.client), FD_WRITE);
    size_t bytes = stream_fill(pair.client);
    notify_forget(n, pair.client); /* there may have been room on the way, more than once */
    notify_none(n, pair.client);
    stream_drain(pair.server, bytes);
    notify_expect(n, pair.client, FD_WRITE);
}

NOTIFY_CASE(ev_write_shut, "FD_WRITE: not at a selection when no send is possible any more")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    OK(notify_select(n, pair.client, FD_READ | FD_WRITE));
    notify_none(n, pair.client);
}

NOTIFY_CASE(ev_write_behind, "FD_WRITE: also after a send failed because overlapped ones wait")
{
    static char large[4u << 20];
    static char block[65536];
    struct stream_pair pair = stream_connected_apart();
    WSAOVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    WSABUF buffer = {.buf = large, .len = sizeof(large)};
    DWORD sent, got;
    OK(notify_select(n, pair.client, FD_WRITE));
    notify_expect(n, pair.client, FD_WRITE);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPSend(pair.client, &buffer, 1, &sent, 0, &overlapped, NULL, NULL, &spi_error));
    FAILS(WSAEWOULDBLOCK, spi_send_one(pair.client, "x", 1, 0, &sent));
    for (size_t bytes = 0; bytes < sizeof(large); bytes += got) {
        OK(stream_recv(pair.server, block, sizeof(block), 0, &got));
    }
    event_await(overlapped.hEvent);
    notify_expect(n, pair.client, FD_WRITE);
    CloseHandle(overlapped.hEvent);
}

NOTIFY_CASE(ev_write_once, "FD_WRITE: a send that does not fail tells nothing")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.client, FD_WRITE));
    notify_expect(n, pair.client, FD_WRITE);
    stream_send(pair.client, "x");
    stream_expect(pair.server, "x");
    notify_none(n, pair.client);
}

/* ---- FD_OOB ---- */

static void send_urgent(SOCKET s, const char *byte)
{
    DWORD sent = 0;
    OK(spi_send_one(s, byte, 1, MSG_OOB, &sent));
}

NOTIFY_CASE(ev_oob, "FD_OOB: an urgent byte that comes is told, and that is no FD_READ")
{
    struct stream_pair pair = pair_selected(n, ALL);
    char byte;
    DWORD got;
    send_urgent(pair.client, "!");
    notify_expect(n, pair.server, FD_OOB);
    OK(stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    notify_none(n, pair.server);
}

NOTIFY_CASE(ev_oob_there, "FD_OOB: one that waits already is told at once")
{
    struct stream_pair pair = stream_connected();
    send_urgent(pair.client, "!");
    stream_await(pair.server, EXCEPT);
    OK(notify_select(n, pair.server, FD_OOB | FD_READ));
    assert_int_equal(notify_take(n, pair.server), FD_OOB);
}

NOTIFY_CASE(ev_oob_inline, "FD_OOB: with SO_OOBINLINE it is FD_READ")
{
    struct stream_pair pair = pair_selected(n, ALL);
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_OOBINLINE, 1));
    send_urgent(pair.client, "!");
    notify_expect(n, pair.server, FD_READ);
}

/* ---- FD_CLOSE ---- */

NOTIFY_CASE(ev_close, "FD_CLOSE: the peer's end is told with no error, once, and is no FD_READ")
{
    struct stream_pair pair = pair_selected(n, ALL);
    stream_close(pair.client);
    notify_expect(n, pair.server, FD_CLOSE);
    assert_int_equal(notify_error(n, FD_CLOSE), 0);
    stream_expect_end(pair.server);
    notify_none(n, pair.server);
}

NOTIFY_CASE(ev_close_behind, "FD_CLOSE: comes when all bytes before the end are read")
{
    struct stream_pair pair = pair_selected(n, ALL);
    stream_send(pair.client, "xy");
    stream_await_bytes(pair.server, 2);
    stream_close(pair.client);
    notify_expect(n, pair.server, FD_READ);
    stream_expect(pair.server, "x");
    notify_expect(n, pair.server, FD_READ);
    notify_none(n, pair.server);
    stream_expect(pair.server, "y");
    notify_expect(n, pair.server, FD_CLOSE);
}

NOTIFY_CASE(ev_close_reset, "FD_CLOSE: a reset is told with WSAECONNRESET")
{
    struct stream_pair pair = pair_selected(n, ALL);
    stream_abort(pair.client);
    notify_expect(n, pair.server, FD_CLOSE);
    assert_int_equal(notify_error(n, FD_CLOSE), WSAECONNRESET);
}

NOTIFY_CASE(ev_close_there, "FD_CLOSE: a connection that is closed already is told at once")
{
    struct stream_pair pair = stream_connected();
    stream_close(pair.client);
    stream_await(pair.server, READ);
    OK(notify_select(n, pair.server, FD_READ | FD_CLOSE));
    assert_int_equal(notify_take(n, pair.server), FD_CLOSE);
}

NOTIFY_CASE(ev_close_shutdown, "FD_CLOSE: after a shutdown here, when the peer ends as well")
{
    struct stream_pair pair = pair_selected(n, ALL);
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    notify_none(n, pair.server);
    stream_expect_end(pair.client);
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    notify_expect(n, pair.server, FD_CLOSE);
}

/* ---- selecting ---- */

NOTIFY_CASE(ev_asked, "events that were not asked for are not told")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.server, FD_CLOSE | FD_QOS | FD_GROUP_QOS));
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
    notify_none(n, pair.server);
    stream_expect(pair.server, "x");
    notify_none(n, pair.server);
}

NOTIFY_CASE(ev_replaced, "a new selection takes the place of the old one, and looks anew")
{
    struct stream_pair pair = pair_selected(n, FD_READ | FD_WRITE);
    OK(notify_select(n, pair.server, FD_WRITE));
    notify_expect(n, pair.server, FD_WRITE);
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
    notify_none(n, pair.server);
}

NOTIFY_CASE(ev_cancelled, "a mask of 0 ends it")
{
    struct stream_pair pair = pair_selected(n, ALL);
    OK(notify_select(n, pair.server, 0));
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
    notify_none(n, pair.server);
}

NOTIFY_CASE(ev_nonblocking, "the socket becomes non-blocking, whatever the mask")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(notify_select(n, pair.server, 0));
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.server, &byte, 1, 0, &got));
    OK(notify_select(n, pair.client, FD_CLOSE));
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.client, &byte, 1, 0, &got));
}

NOTIFY_CASE(ev_fionbio, "while events are selected FIONBIO cannot make it block (WSAEINVAL)")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.server, FD_CLOSE));
    FAILS(WSAEINVAL, spi_ioctl_in(pair.server, (DWORD)FIONBIO, 0));
    OK(spi_ioctl_in(pair.server, (DWORD)FIONBIO, 1));
    OK(notify_select(n, pair.server, 0));
    OK(spi_ioctl_in(pair.server, (DWORD)FIONBIO, 0));
}

NOTIFY_CASE(ev_bad_mask, "a mask with bits that are no events is WSAEINVAL, the old one stays")
{
    struct stream_pair pair = pair_selected(n, FD_READ);
    FAILS(WSAEINVAL, notify_select(n, pair.server, FD_READ | 1L << FD_MAX_EVENTS));
    FAILS(WSAEINVAL, notify_select(n, pair.server, -1));
    stream_send(pair.client, "x");
    notify_expect(n, pair.server, FD_READ);
}

NOTIFY_CASE(ev_closed, "closing the socket ends it")
{
    struct stream_pair pair = pair_selected(n, ALL);
    SOCKET s = pair.server;
    stream_close(s);
    FAILS(WSAENOTSOCK, notify_select(n, s, ALL));
    if (n->event != NULL) {
        assert_false(event_is_set(n->event));
    } else {
        notify_none(n, s);
    }
}

NOTIFY_CASE(ev_inherited, "an accepted socket has the listener's selection")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET client = stream_new();
    char byte;
    DWORD got;
    OK(notify_select(n, listener, FD_ACCEPT | FD_READ | FD_WRITE | FD_CLOSE | FD_CONNECT));
    OK(spi_connect_to(client, &at));
    notify_expect(n, listener, FD_ACCEPT);
    SOCKET s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &spi_error);
    assert_true(s != INVALID_SOCKET);
    spi_keep(s);
    assert_int_equal(notify_take(n, s), FD_WRITE);
    FAILS(WSAEWOULDBLOCK, stream_recv(s, &byte, 1, 0, &got));
    FAILS(WSAEINVAL, spi_ioctl_in(s, (DWORD)FIONBIO, 0));
    stream_send(client, "x");
    notify_expect(n, s, FD_READ);
    stream_expect(s, "x");
    stream_close(client);
    notify_expect(n, s, FD_CLOSE);
}

CASE(WSPEventSelect, ev_over_messages, "it ends WSPAsyncSelect's selection")
{
    struct notify window;
    struct notify event;
    notify_begin_window(&window);
    notify_begin_event(&event);
    struct stream_pair pair = pair_selected(&window, FD_READ);
    OK(notify_select(&event, pair.server, FD_READ));
    stream_send(pair.client, "x");
    notify_expect(&event, pair.server, FD_READ);
    notify_none(&window, pair.server);
    notify_end(&window);
    notify_end(&event);
}

CASE(WSPAsyncSelect, ev_over_event, "it ends WSPEventSelect's selection, and its record")
{
    struct notify window;
    struct notify event;
    WSANETWORKEVENTS record;
    notify_begin_window(&window);
    notify_begin_event(&event);
    struct stream_pair pair = stream_connected();
    OK(notify_select(&event, pair.server, FD_READ | FD_WRITE));
    OK(notify_select(&window, pair.server, FD_READ));
    OK(event_enum(pair.server, event.event, &record));
    assert_int_equal(record.lNetworkEvents, 0);
    stream_send(pair.client, "x");
    notify_expect(&window, pair.server, FD_READ);
    OK(event_enum(pair.server, NULL, &record));
    assert_int_equal(record.lNetworkEvents, 0);
    assert_false(event_is_set(event.event));
    notify_end(&window);
    notify_end(&event);
}

CASE(WSPEventSelect, ev_bad_event, "an event that is none is WSAEINVAL; with mask 0 it is ignored")
{
    SOCKET s = stream_new();
    FAILS(WSAEINVAL, TABLE->lpWSPEventSelect(s, NULL, FD_READ, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPEventSelect(s, (HANDLE)(LONG_PTR)0x7ffc, FD_READ, &spi_error));
    OK(TABLE->lpWSPEventSelect(s, (HANDLE)(LONG_PTR)0x7ffc, 0, &spi_error));
}

CASE(WSPAsyncSelect, ev_bad_window, "a window that is none is WSAEINVAL; with mask 0 it is ignored")
{
    SOCKET s = stream_new();
    HWND none = (HWND)(LONG_PTR)0x7ffc;
    FAILS(WSAEINVAL, TABLE->lpWSPAsyncSelect(s, NULL, WM_APP, FD_READ, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPAsyncSelect(s, none, WM_APP, FD_READ, &spi_error));
    OK(TABLE->lpWSPAsyncSelect(s, none, 0, 0, &spi_error));
}

CASE(WSPAsyncSelect, ev_single, "one message for each event, FD_CONNECT before FD_WRITE")
{
    struct notify n;
    MSG message;
    notify_begin_window(&n);
    struct stream_pair pair = stream_connected();
    OK(notify_select(&n, pair.client, ALL));
    assert_true(PeekMessageW(&message, n.window, 0, 0, PM_REMOVE));
    assert_int_equal(message.message, NOTIFY_MESSAGE);
    assert_true(message.wParam == pair.client);
    assert_int_equal(message.lParam, FD_CONNECT);
    assert_true(PeekMessageW(&message, n.window, 0, 0, PM_REMOVE));
    assert_int_equal(message.lParam, FD_WRITE);
    notify_end(&n);
}
