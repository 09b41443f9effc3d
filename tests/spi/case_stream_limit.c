/*
 * Cases of what a real dataplane knows or bounds: backlogs, addresses, sockets, ports.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

#define MANY_MAX 400u

static SOCKET many[MANY_MAX];

/* Connects until it is refused, at most `most` times; returns how often it succeeded. */
static unsigned connect_many(const SOCKADDR_IN *at, unsigned most)
{
    assert_true(most <= MANY_MAX);
    for (unsigned i = 0; i < most; i++) {
        many[i] = stream_new();
        if (spi_connect_to(many[i], at) != 0) {
            assert_int_equal(spi_error, WSAECONNREFUSED);
            return i;
        }
    }
    return most;
}

/* How many connections wait when the backlog is this. */
static unsigned backlog_holds(int backlog, unsigned most)
{
    SOCKADDR_IN at;
    SOCKET s = stream_bound(&at);
    OK(TABLE->lpWSPListen(s, backlog, &spi_error));
    unsigned count = connect_many(&at, most);
    for (unsigned i = 0; i < count; i++) {
        stream_close(many[i]);
    }
    stream_close(s);
    return count;
}

/* ---- WSPListen ---- */

CASE(WSPListen, backlog_exact, "as many as the backlog wait, the next is WSAECONNREFUSED")
{
    assert_int_equal(backlog_holds(1, 4), 1);
    assert_int_equal(backlog_holds(2, 4), 2);
    assert_int_equal(backlog_holds(17, 30), 17);
}

CASE(WSPListen, backlog_least, "0 is replaced by the least legal backlog, 1")
{
    assert_int_equal(backlog_holds(0, 4), 1);
}

CASE(WSPListen, backlog_hint, "SOMAXCONN_HINT(n): at least 200")
{
    assert_int_equal(backlog_holds(-1, 202), 200);
    assert_int_equal(backlog_holds(-210, 212), 210);
}

CASE(WSPListen, backlog_max, "SOMAXCONN is a large value, more than 200")
{
    assert_int_equal(backlog_holds(SOMAXCONN, 300), 300);
}

CASE(WSPListen, backlog_nonblocking, "a full backlog, non-blocking: except set, WSAECONNREFUSED")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    SOCKET s = stream_new();
    OK(TABLE->lpWSPListen(listener, 1, &spi_error));
    OK(spi_connect_to(stream_new(), &at));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    assert_int_equal(stream_select(s, READ | WRITE | EXCEPT, 5000), EXCEPT);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), WSAECONNREFUSED);
}

CASE(WSPListen, backlog_frees, "accepting one makes room for one; who was refused may try again")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    SOCKET s = stream_new();
    OK(TABLE->lpWSPListen(listener, 1, &spi_error));
    OK(spi_connect_to(stream_new(), &at));
    for (unsigned i = 0; i < 3; i++) {
        FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    }
    (void)stream_accept(listener);
    OK(spi_connect_to(s, &at));
    FAILS(WSAECONNREFUSED, spi_connect_to(stream_new(), &at));
    stream_send(s, "made it");
    stream_expect(stream_accept(listener), "made it");
}

CASE(WSPListen, backlog_gone,
     "a connection that waits and is reset keeps its place until accept met it")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    SOCKET s = stream_new();
    OK(TABLE->lpWSPListen(listener, 1, &spi_error));
    OK(spi_connect_to(s, &at));
    stream_abort(s);
    stream_behind_close(listener);
    assert_true(stream_accept_if(listener, NULL, 0) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAECONNRESET);
    OK(spi_connect_to(stream_new(), &at));
    (void)stream_accept(listener);
}

CASE(WSPListen, backlog_grows, "WSPListen again with more: more may wait")
{
    SOCKADDR_IN at;
    SOCKET s = stream_bound(&at);
    OK(TABLE->lpWSPListen(s, 1, &spi_error));
    OK(spi_connect_to(stream_new(), &at));
    FAILS(WSAECONNREFUSED, spi_connect_to(stream_new(), &at));
    OK(TABLE->lpWSPListen(s, 2, &spi_error));
    OK(spi_connect_to(stream_new(), &at));
    FAILS(WSAECONNREFUSED, spi_connect_to(stream_new(), &at));
}

CASE(WSPListen, backlog_shrinks,
     "WSPListen again with less: no more come until fewer wait than that; those that wait stay")
{
    SOCKADDR_IN at;
    SOCKET s = stream_bound(&at);
    OK(TABLE->lpWSPListen(s, 5, &spi_error));
    assert_int_equal(connect_many(&at, 5), 5);
    SOCKET waits[5];
    memcpy(waits, many, sizeof(waits));
    OK(TABLE->lpWSPListen(s, 2, &spi_error));
    for (unsigned i = 0; i < 5; i++) {
        if (i <= 3) {
            FAILS(WSAECONNREFUSED, spi_connect_to(stream_new(), &at));
        }
        stream_send(waits[i], "stays");
        stream_expect(stream_accept(s), "stays");
    }
    assert_int_equal(connect_many(&at, 3), 2);
}

CASE(WSPListen, listen_in_use,
     "a shared port that another socket listens on is WSAEADDRINUSE, here")
{
    SOCKET first, second;
    stream_namesakes(&first, &second);
    SOCKADDR_IN at = spi_name(first);
    OK(TABLE->lpWSPListen(first, 1, &spi_error));
    FAILS(WSAEADDRINUSE, TABLE->lpWSPListen(second, 1, &spi_error));
    stream_close(first);
    OK(TABLE->lpWSPListen(second, 1, &spi_error));
    OK(spi_connect_to(stream_new(), &at));
}

/* ---- WSPBind ---- */

CASE(WSPBind, bind_foreign, "an address that is not the host's is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN foreign = spi_at("198.51.100.9", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(stream_new(), &foreign));
}

CASE(WSPBind, bind_exclusive, "SO_EXCLUSIVEADDRUSE keeps sharers out: WSAEACCES")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    SOCKET first = stream_new();
    SOCKET second = stream_new();
    OK(spi_set_dword(first, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1));
    OK(spi_bind_at(first, &at));
    at = spi_name(first);
    OK(spi_set_dword(second, SOL_SOCKET, SO_REUSEADDR, 1));
    FAILS(WSAEACCES, spi_bind_at(second, &at));
    FAILS(WSAEADDRINUSE, spi_bind_at(stream_new(), &at));
    FAILS(WSAEINVAL, spi_set_dword(first, SOL_SOCKET, SO_REUSEADDR, 1));
}

/* ---- WSPConnect ---- */

CASE(WSPConnect, connect_in_use, "a pair of addresses that a connection has is WSAEADDRINUSE")
{
    SOCKADDR_IN at;
    SOCKET first, second;
    SOCKET listener = stream_listener(&at);
    stream_namesakes(&first, &second);
    OK(spi_connect_to(first, &at));
    FAILS(WSAEADDRINUSE, spi_connect_to(second, &at));
    stream_send(first, "alone");
    stream_expect(stream_accept(listener), "alone");
    stream_close(first);
    for (unsigned i = 0; i < 5000 && spi_connect_to(second, &at) != 0; i++) {
        assert_int_equal(spi_error, WSAEADDRINUSE);
        Sleep(1); /* what was sent before the close is on its way */
    }
    FAILS(WSAEISCONN, spi_connect_to(second, &at));
}

CASE(WSPConnect, connect_share, "two sockets of one port connect to two others")
{
    SOCKADDR_IN at[2];
    SOCKADDR_IN from = spi_at("127.0.0.1", 0);
    for (unsigned i = 0; i < 2; i++) {
        SOCKET listener = stream_listener(&at[i]);
        SOCKET s = stream_new();
        OK(spi_set_dword(s, SOL_SOCKET, SO_REUSEADDR, 1));
        OK(spi_bind_at(s, &from));
        from = spi_name(s);
        OK(spi_connect_to(s, &at[i]));
        stream_send(s, "shared");
        stream_expect(stream_accept(listener), "shared");
    }
}

CASE(WSPConnect, connect_again_port, "a bound port connects anew when its connection was closed")
{
    SOCKADDR_IN at;
    SOCKADDR_IN from = spi_at("127.0.0.1", 0);
    SOCKET listener = stream_listener(&at);
    for (unsigned i = 0; i < 20; i++) {
        SOCKET s = stream_new();
        OK(spi_bind_at(s, &from));
        from = spi_name(s);
        OK(spi_connect_to(s, &at));
        SOCKET server = stream_accept(listener);
        stream_send(s, "round");
        stream_expect(server, "round");
        stream_close(s);
        stream_expect_end(server);
        stream_close(server);
    }
}

CASE(WSPConnect, connect_loopback_net,
     "each address of 127.0.0.0/8 that is not the host's own fails cleanly")
{
    SOCKADDR_IN at;
    (void)stream_listener(&at);
    SOCKADDR_IN other = spi_at("127.0.0.2", 0);
    other.sin_port = at.sin_port;
    assert_true(spi_connect_to(stream_new(), &other) != 0);
    assert_true(spi_error == WSAECONNREFUSED || spi_error == WSAENETUNREACH ||
                spi_error == WSAEADDRNOTAVAIL);
}

CASE(WSPBind, tcp_bind_later, "a port is not had twice by chance: 200 binds to port 0 differ")
{
    SOCKADDR_IN at[200];
    for (unsigned i = 0; i < 200; i++) {
        (void)stream_bound(&at[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(at[i].sin_port, at[k].sin_port);
        }
    }
}

CASE(WSPListen, listen_both, "two listeners on two addresses of one port get their own connections")
{
    SOCKADDR_IN local = spi_at("127.0.0.1", 0);
    SOCKET first = stream_bound(&local);
    SOCKADDR_IN own = spi_at(SPI_OWN, 0);
    own.sin_port = local.sin_port;
    SOCKET second = stream_new();
    SOCKET to_first = stream_new();
    SOCKET to_second = stream_new();
    OK(spi_bind_at(second, &own));
    OK(TABLE->lpWSPListen(first, 1, &spi_error));
    OK(TABLE->lpWSPListen(second, 1, &spi_error));
    OK(spi_connect_to(to_first, &local));
    OK(spi_connect_to(to_second, &own));
    stream_send(to_first, "first");
    stream_send(to_second, "second");
    stream_expect(stream_accept(second), "second");
    stream_expect(stream_accept(first), "first");
}

CASE(WSPConnect, tcp_bound_any, "a socket bound to any address gets the one that it connects from")
{
    SOCKADDR_IN at;
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    (void)stream_listener(&at);
    SOCKET s = stream_new();
    OK(spi_bind_at(s, &any));
    uint16_t port = spi_name(s).sin_port;
    OK(spi_connect_to(s, &at));
    assert_int_equal(spi_name(s).sin_port, port);
    assert_int_equal(spi_name(s).sin_addr.s_addr, at.sin_addr.s_addr);
}

/* ---- exhaustion ---- */

#define SESSION_SOCKETS 1024u /* [client] sockets of tests/spi/run */

/* Sockets of their own, without time-outs: not kept by spi_keep. */
static unsigned open_until(SOCKET *sockets, unsigned most, int *error)
{
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    for (unsigned i = 0; i < most; i++) {
        sockets[i] = TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0, 0, error);
        if (sockets[i] == INVALID_SOCKET) {
            return i;
        }
        if (TABLE->lpWSPBind(sockets[i], (struct sockaddr *)&any, sizeof(any), error) != 0) {
            (void)TABLE->lpWSPCloseSocket(sockets[i], &spi_error);
            return i;
        }
    }
    return most;
}

CASE(WSPSocket, sockets_exhausted, "all of a session's sockets: WSAEMFILE, and none is lost")
{
    static SOCKET sockets[SESSION_SOCKETS + 8];
    unsigned handles = host_handle_count();
    unsigned counts[2];
    for (unsigned round = 0; round < 2; round++) {
        int error = 0;
        counts[round] = open_until(sockets, SESSION_SOCKETS + 8, &error);
        assert_in_range(counts[round], SESSION_SOCKETS / 2, SESSION_SOCKETS);
        assert_int_equal(error, WSAEMFILE);
        for (unsigned i = 0; i < counts[round]; i++) {
            OK(TABLE->lpWSPCloseSocket(sockets[i], &spi_error));
        }
        assert_int_equal(host_handle_count(), handles);
    }
    assert_int_equal(counts[0], counts[1]);
    (void)stream_connected();
}

CASE(WSPConnect, connects_exhausted,
     "connections until nothing is left: WSAENOBUFS or WSAEMFILE, then they work again")
{
    static SOCKET sockets[SESSION_SOCKETS];
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    OK(TABLE->lpWSPListen(listener, SOMAXCONN, &spi_error));
    spi_nonblocking(listener);
    for (unsigned round = 0; round < 2; round++) {
        unsigned count = 0;
        int error = 0;
        for (; count < SESSION_SOCKETS; count++) {
            WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP);
            sockets[count] =
                TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0, 0, &error);
            if (sockets[count] == INVALID_SOCKET) {
                break;
            }
            spi_nonblocking(sockets[count]);
            if (spi_connect_to(sockets[count], &at) != 0 && spi_error != WSAEWOULDBLOCK) {
                error = spi_error;
                OK(TABLE->lpWSPCloseSocket(sockets[count], &spi_error));
                break;
            }
        }
        assert_in_range(count, SESSION_SOCKETS / 4, SESSION_SOCKETS);
        assert_true(error == WSAENOBUFS || error == WSAEMFILE);
        for (unsigned i = 0; i < count; i++) {
            struct linger linger = {1, 0};
            OK(TABLE->lpWSPSetSockOpt(sockets[i], SOL_SOCKET, SO_LINGER, (char *)&linger,
                                      sizeof(linger), &spi_error));
            OK(TABLE->lpWSPCloseSocket(sockets[i], &spi_error));
        }
        for (unsigned tries = 0; tries < 100000;) { /* those that were reset wait to be met */
            SOCKET s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &spi_error);
            if (s != INVALID_SOCKET) {
                OK(TABLE->lpWSPCloseSocket(s, &spi_error));
            } else if (spi_error == WSAEWOULDBLOCK) {
                break;
            } else {
                assert_int_equal(spi_error, WSAECONNRESET);
            }
            tries++;
        }
    }
    stream_close(listener);
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "again");
    stream_expect(pair.server, "again");
}

CASE(WSPAccept, handles_exhausted, "no handles for 50 accepts: each connection is still there")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    OK(TABLE->lpWSPListen(listener, 60, &spi_error));
    assert_int_equal(connect_many(&at, 50), 50);
    for (unsigned i = 0; i < 50; i++) {
        host_refuses_handles = WSAEMFILE;
        SOCKET s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &spi_error);
        host_refuses_handles = 0;
        assert_true(s == INVALID_SOCKET);
        assert_int_equal(spi_error, WSAEMFILE);
    }
    for (unsigned i = 0; i < 50; i++) {
        SOCKADDR_IN in;
        int bytes = sizeof(in);
        SOCKET s = stream_accept(listener);
        OK(TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&in, &bytes, &spi_error));
        assert_int_equal(in.sin_port, spi_name(many[i]).sin_port);
    }
}

CASE(WSPSocket, socket_no_handle, "no socket handle: the host's error, and nothing is left behind")
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    for (unsigned i = 0; i < 3000; i++) { /* more than a session has sockets */
        host_refuses_handles = WSAEMFILE;
        SOCKET s = TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0, 0, &spi_error);
        host_refuses_handles = 0;
        assert_true(s == INVALID_SOCKET);
        assert_int_equal(spi_error, WSAEMFILE);
    }
    (void)stream_connected();
}
