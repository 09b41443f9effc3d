/*
 * Cases of WSPEventSelect and WSPAsyncSelect on datagram sockets.
 */
#include "tests/spi/event_kit.h"

/* Bound, selected for mask, and what that told is taken. */
static SOCKET dgram_selected(struct notify *n, long mask, SOCKADDR_IN *at)
{
    SOCKET s = spi_bound(at);
    OK(notify_select(n, s, mask));
    if ((mask & FD_WRITE) != 0) {
        notify_expect(n, s, FD_WRITE);
    }
    return s;
}

NOTIFY_CASE(dg_read_there, "datagrams: one that waits already is FD_READ at once")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    spi_await_readable(s);
    OK(notify_select(n, s, FD_READ));
    assert_int_equal(notify_take(n, s), FD_READ);
}

NOTIFY_CASE(dg_read_comes, "datagrams: one that comes is FD_READ")
{
    SOCKADDR_IN at;
    SOCKET s = dgram_selected(n, FD_ALL_EVENTS, &at);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    notify_expect(n, s, FD_READ);
    assert_int_equal(notify_error(n, FD_READ), 0);
}

NOTIFY_CASE(dg_read_before_bind, "datagrams: selected before bind")
{
    SOCKET s = spi_udp();
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    OK(notify_select(n, s, FD_READ));
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    notify_expect(n, s, FD_READ);
}

NOTIFY_CASE(dg_read_level, "datagrams: FD_READ again when a receive leaves one")
{
    SOCKADDR_IN at;
    SOCKET s = dgram_selected(n, FD_READ, &at);
    SOCKET sender = spi_udp();
    char byte;
    DWORD flags = 0;
    DWORD got;
    OK(spi_send_to_one(sender, "x", 1, &at));
    notify_expect(n, s, FD_READ);
    OK(spi_send_to_one(sender, "y", 1, &at));
    notify_none(n, s);
    OK(spi_recv_one(s, &byte, 1, &flags, &got));
    notify_expect(n, s, FD_READ);
    flags = 0;
    OK(spi_recv_one(s, &byte, 1, &flags, &got));
    notify_none(n, s);
}

NOTIFY_CASE(dg_read_from, "datagrams: WSPRecvFrom re-enables FD_READ")
{
    SOCKADDR_IN at;
    SOCKADDR_IN from;
    SOCKET s = dgram_selected(n, FD_READ, &at);
    SOCKET sender = spi_udp();
    char byte;
    DWORD got;
    for (unsigned i = 0; i < 5; i++) {
        OK(spi_send_to_one(sender, "x", 1, &at));
        notify_expect(n, s, FD_READ);
        OK(spi_recv_from_one(s, &byte, 1, &from, &got));
    }
}

NOTIFY_CASE(dg_write, "datagrams: a socket is writable at once, bound or not")
{
    SOCKET bound = spi_bound(NULL);
    OK(notify_select(n, bound, FD_WRITE));
    assert_int_equal(notify_take(n, bound), FD_WRITE);
    SOCKET fresh = spi_udp();
    OK(notify_select(n, fresh, FD_WRITE));
    assert_int_equal(notify_take(n, fresh), FD_WRITE);
}

NOTIFY_CASE(dg_write_shut,
            "datagrams: no FD_WRITE at a selection when no send is possible any more")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(TABLE->lpWSPShutdown(s, SD_SEND, &spi_error));
    OK(notify_select(n, s, FD_READ | FD_WRITE));
    notify_none(n, s);
}

NOTIFY_CASE(dg_connect, "datagrams: a connect that succeeds at once is FD_CONNECT")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(notify_select(n, s, FD_CONNECT | FD_CLOSE));
    notify_none(n, s);
    OK(spi_connect_to(s, &at));
    assert_int_equal(notify_take(n, s), FD_CONNECT);
    OK(spi_connect_to(s, &at));
    assert_int_equal(notify_take(n, s), FD_CONNECT);
}

NOTIFY_CASE(dg_connected_there, "datagrams: a peer there is, is FD_CONNECT to a new selection")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    OK(notify_select(n, s, FD_CONNECT));
    assert_int_equal(notify_take(n, s), FD_CONNECT);
}

NOTIFY_CASE(dg_error, "datagrams: an error that the next receive reports is FD_READ")
{
    SOCKADDR_IN at = spi_gone();
    SOCKET s = spi_bound(NULL);
    char byte;
    DWORD flags = 0;
    DWORD sent = 0;
    OK(spi_connect_to(s, &at));
    OK(notify_select(n, s, FD_READ | FD_CLOSE));
    OK(spi_send_one(s, "x", 1, 0, &sent));
    notify_expect(n, s, FD_READ);
    FAILS(WSAECONNRESET, spi_recv_one(s, &byte, 1, &flags, &sent));
    notify_none(n, s);
}

NOTIFY_CASE(dg_join, "datagrams: WSPJoinLeaf that completes is FD_CONNECT")
{
    SOCKET s =
        spi_new(WSA_FLAG_OVERLAPPED | WSA_FLAG_MULTIPOINT_C_LEAF | WSA_FLAG_MULTIPOINT_D_LEAF);
    SOCKADDR_IN group = spi_at("239.1.2.3", 7777);
    OK(notify_select(n, s, FD_CONNECT));
    SOCKET joined = TABLE->lpWSPJoinLeaf(s, (const struct sockaddr *)&group, sizeof(group), NULL,
                                         NULL, NULL, NULL, JL_RECEIVER_ONLY, &spi_error);
    assert_true(joined == s);
    assert_int_equal(notify_take(n, s), FD_CONNECT);
}

NOTIFY_CASE(dg_cancelled, "datagrams: a mask of 0 ends it")
{
    SOCKADDR_IN at;
    SOCKET s = dgram_selected(n, FD_READ, &at);
    OK(notify_select(n, s, 0));
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    spi_await_readable(s);
    notify_none(n, s);
}
