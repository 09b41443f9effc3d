/*
 * Cases of WSPDuplicateSocket with sockets that are not connected yet: a parent makes the socket,
 * a child binds, connects or listens, or the other way round; what one does is done for both. Rules
 * as in case_duplicate.c.
 */
#include "rings/byteorder.h"
#include "tests/spi/event_kit.h"
#include "tests/spi/ipv6_kit.h"
#include "tests/spi/other_kit.h"
#include "tests/spi/stream_kit.h"

/* The other process has it, too. */
static SOCKET share(SOCKET s)
{
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(s, other.id);
    struct other_answer answer = other_open(&info);
    if (answer.result != 0) {
        fail_msg("the other process cannot open the socket: error %d", answer.error);
    }
    return s;
}

CASE(WSPDuplicateSocket, dup_fresh_nameless, "a socket that nobody has bound has no name yet")
{
    SOCKADDR_IN at;
    int bytes = sizeof(at);
    DWORD count;
    SOCKET s = share(stream_new());
    FAILS(WSAEINVAL, TABLE->lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&at, &bytes, &spi_error));
    FAILS(WSAENOTCONN, spi_send_one(s, "x", 1, 0, &count));
    FAILS(WSAEINVAL, TABLE->lpWSPListen(s, 4, &spi_error));
    assert_int_equal(other_error(OTHER_PEER, 0), WSAENOTCONN);
    assert_int_equal(other_error(OTHER_LISTEN, 4), WSAEINVAL);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_fresh_bind, "one binds for both; the second time is WSAEINVAL")
{
    SOCKET s = share(stream_new());
    WORD port = (WORD)other_do(OTHER_BIND, 0, 0, 0);
    assert_int_equal(spi_name(s).sin_port, port);
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    FAILS(WSAEINVAL, spi_bind_at(s, &any));
    assert_int_equal(other_error(OTHER_BIND, 0), WSAEINVAL);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_fresh_connect, "one connects; both have the connection")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = share(stream_new());
    other_do(OTHER_CONNECT, 0, 0, at.sin_port);
    SOCKET server = stream_accept(listener);
    other_send("its");
    stream_expect(server, "its");
    stream_send(s, "mine");
    stream_expect(server, "mine");
    stream_send(server, "answer");
    stream_expect(s, "answer");
    FAILS(WSAEISCONN, spi_connect_to(s, &at));
    assert_int_equal(other_do(OTHER_PEER, 0, 0, 0), at.sin_port);
    other_end(true); /* and goes on with the one that is left */
    stream_send(server, "still");
    stream_expect(s, "still");
}

CASE(WSPDuplicateSocket, dup_fresh_refused,
     "a connect that is refused can be tried again by the other")
{
    SOCKADDR_IN at;
    SOCKET closed = stream_bound(&at);
    OK(TABLE->lpWSPCloseSocket(closed, &spi_error));
    spi_forget(closed);
    SOCKET s = share(stream_new());
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    SOCKET listener = stream_listener(&at);
    other_do(OTHER_CONNECT, 0, 0, at.sin_port);
    SOCKET server = stream_accept(listener);
    stream_send(s, "there");
    stream_expect(server, "there");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_fresh_listen, "one binds, one listens, both accept")
{
    SOCKET s = share(stream_new());
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
    other_do(OTHER_LISTEN, 0, 0, 4);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ACCEPTCONN), 1);
    FAILS(WSAEINVAL, spi_connect_to(s, &at));
    SOCKET first = stream_new(), second = stream_new();
    OK(spi_connect_to(first, &at));
    SOCKET server = stream_accept(s);
    OK(spi_connect_to(second, &at));
    other_do(OTHER_ACCEPT, 0, 0, 0);
    stream_send(first, "here");
    stream_expect(server, "here");
    stream_send(second, "there");
    other_expect("there");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_fresh_owner_gone, "the one that made it closes; the other goes on")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = share(stream_new());
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    spi_forget(s);
    other_do(OTHER_CONNECT, 0, 0, at.sin_port);
    SOCKET server = stream_accept(listener);
    other_send("alone");
    stream_expect(server, "alone");
    other_end(false);
    char byte;
    DWORD got = 1;
    OK(stream_recv(server, &byte, 1, 0, &got));
    assert_int_equal(got, 0);
}

CASE(WSPDuplicateSocket, dup_fresh_options,
     "options set before, by either, hold for the connection")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_NODELAY, 1));
    (void)share(s);
    assert_int_equal(other_do(OTHER_GET, IPPROTO_TCP, TCP_NODELAY, 0), 1);
    other_do(OTHER_SET, SOL_SOCKET, SO_KEEPALIVE, 1);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_KEEPALIVE), 1);
    OK(spi_connect_to(s, &at));
    (void)stream_accept(listener);
    assert_int_equal(other_do(OTHER_GET, SOL_SOCKET, SO_KEEPALIVE, 0), 1);
    assert_int_equal(other_do(OTHER_GET, IPPROTO_TCP, TCP_NODELAY, 0), 1);
    other_end(false);
}

NOTIFY_CASE(dup_fresh_events, "FD_CONNECT and FD_WRITE of a connect by the other process")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = share(stream_new());
    OK(notify_select(n, s, FD_CONNECT | FD_WRITE));
    notify_none(n, s);
    int error = other_error(OTHER_CONNECT, at.sin_port); /* the selection made it non-blocking */
    assert_true(error == 0 || error == WSAEWOULDBLOCK);
    notify_expect(n, s, FD_CONNECT | FD_WRITE);
    (void)stream_accept(listener);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_fresh_dual, "a dual-stack socket is one in the other process, too")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = ipv6_dual(SOCK_STREAM, IPPROTO_TCP);
    (void)share(s);
    assert_int_equal(other_do(OTHER_GET, IPPROTO_IPV6, IPV6_V6ONLY, 0), 0);
    other_do(OTHER_SET, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    other_do(OTHER_SET, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    SOCKADDR_IN6 mapped = ipv6_mapped("127.0.0.1", rs_be16(at.sin_port));
    OK(TABLE->lpWSPConnect(s, (struct sockaddr *)&mapped, sizeof(mapped), NULL, NULL, NULL, NULL,
                           &spi_error));
    SOCKET server = stream_accept(listener);
    other_send("dual");
    stream_expect(server, "dual");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_fresh_udp, "a datagram socket: the first to send binds it for both")
{
    SOCKADDR_IN to, from;
    SOCKET peer = spi_bound(&to);
    SOCKET s = share(spi_udp());
    int bytes = sizeof(from);
    FAILS(WSAEINVAL, TABLE->lpWSPGetSockName(s, (struct sockaddr *)&from, &bytes, &spi_error));
    other_do(OTHER_CONNECT, 0, 0, to.sin_port); /* which binds it */
    from = spi_name(s);
    assert_int_not_equal(from.sin_port, 0);
    char data[16];
    DWORD count;
    SOCKADDR_IN who;
    OK(spi_send_one(s, "mine", 4, 0, &count));
    OK(spi_recv_from_one(peer, data, sizeof(data), &who, &count));
    assert_int_equal(count, 4);
    assert_int_equal(who.sin_port, from.sin_port);
    other_send("its");
    OK(spi_recv_from_one(peer, data, sizeof(data), &who, &count));
    assert_int_equal(count, 3);
    assert_int_equal(who.sin_port, from.sin_port);
    other_end(false);
}
