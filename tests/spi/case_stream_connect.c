/*
 * Cases of the states that WSPBind, WSPListen, WSPConnect and the names depend on.
 */
#include "tests/spi/stream_kit.h"

static int peer_name(SOCKET s, SOCKADDR_IN *in)
{
    int bytes = sizeof(*in);
    return TABLE->lpWSPGetPeerName(s, (struct sockaddr *)in, &bytes, &spi_error);
}

/* A socket whose connection the peer reset; it has met it. */
static SOCKET was_reset(void)
{
    struct stream_pair pair = stream_connected();
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    return pair.client;
}

/* ---- WSPBind ---- */

CASE(WSPBind, tcp_bind_own, "an own address, given or any: the name says so")
{
    SOCKADDR_IN own = spi_at(SPI_OWN, 0);
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    SOCKET s = stream_new();
    OK(spi_bind_at(s, &own));
    assert_int_equal(spi_name(s).sin_addr.s_addr, own.sin_addr.s_addr);
    s = stream_new();
    OK(spi_bind_at(s, &any));
    assert_int_equal(spi_name(s).sin_addr.s_addr, 0);
    assert_int_not_equal(spi_name(s).sin_port, 0);
}

CASE(WSPBind, tcp_bind_fault, "an address cut short, or unreadable, is WSAEFAULT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    SOCKET s = stream_new();
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, (struct sockaddr *)&at, 15, &spi_error));
    FAILS(WSAEFAULT, spi_bind_at(s, spi_bad_pointer()));
    FAILS(WSAEFAULT, spi_bind_at(s, NULL));
    OK(spi_bind_at(s, &at));
}

CASE(WSPBind, tcp_bind_family, "another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    at.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, spi_bind_at(stream_new(), &at));
}

CASE(WSPBind, tcp_bind_closed, "a port is free again when its socket is closed")
{
    SOCKADDR_IN at;
    SOCKET s = stream_bound(&at);
    stream_close(s);
    OK(spi_bind_at(stream_new(), &at));
}

CASE(WSPBind, tcp_bind_udp, "the same port of UDP is another one")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    OK(spi_bind_at(spi_udp(), &at));
}

/* ---- WSPListen ---- */

CASE(WSPListen, listen_refused, "a socket whose connect was refused is WSAEINVAL: nobody bound it")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    FAILS(WSAEINVAL, TABLE->lpWSPListen(s, 1, &spi_error));
}

CASE(WSPListen, listen_ended, "a connection that is over is still WSAEISCONN")
{
    FAILS(WSAEISCONN, TABLE->lpWSPListen(was_reset(), 1, &spi_error));
}

CASE(WSPListen, listen_any,
     "a listener on any address: the accepted socket has the one it was found by")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    SOCKET listener = stream_new();
    SOCKET client = stream_new();
    OK(spi_bind_at(listener, &any));
    OK(TABLE->lpWSPListen(listener, 4, &spi_error));
    SOCKADDR_IN own = spi_at(SPI_OWN, 0);
    own.sin_port = spi_name(listener).sin_port;
    OK(spi_connect_to(client, &own));
    SOCKADDR_IN name = spi_name(stream_accept(listener));
    assert_int_equal(name.sin_addr.s_addr, own.sin_addr.s_addr);
    assert_int_equal(name.sin_port, own.sin_port);
}

/* ---- WSPConnect ---- */

CASE(WSPConnect, tcp_name, "an unbound socket has a name afterwards, and is bound")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN name = spi_name(pair.client);
    assert_int_equal(name.sin_addr.s_addr, pair.at.sin_addr.s_addr);
    assert_int_not_equal(name.sin_port, 0);
}

CASE(WSPConnect, tcp_long_name, "a longer address length is as good")
{
    SOCKADDR_STORAGE at = {0};
    SOCKADDR_IN in;
    (void)stream_listener(&in);
    *(SOCKADDR_IN *)&at = in;
    OK(TABLE->lpWSPConnect(stream_new(), (struct sockaddr *)&at, sizeof(at), NULL, NULL, NULL, NULL,
                           &spi_error));
}

CASE(WSPConnect, tcp_self, "a socket's own address, where nobody listens, is WSAECONNREFUSED")
{
    SOCKADDR_IN at;
    SOCKET s = stream_bound(&at);
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
}

CASE(WSPConnect, tcp_over, "a connection that is over: WSAEISCONN, discard it")
{
    SOCKADDR_IN at;
    (void)stream_listener(&at);
    FAILS(WSAEISCONN, spi_connect_to(was_reset(), &at));
}

CASE(WSPConnect, tcp_shut, "a connection that was shut down: WSAEISCONN")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error));
    FAILS(WSAEISCONN, spi_connect_to(pair.client, &pair.at));
}

CASE(WSPConnect, tcp_again_unread, "a failed attempt, and its SO_ERROR never asked for: try again")
{
    SOCKADDR_IN at;
    SOCKET other = stream_bound(&at);
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    stream_await(s, EXCEPT);
    OK(TABLE->lpWSPListen(other, 1, &spi_error));
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    assert_int_equal(stream_select(s, WRITE | EXCEPT, 5000), WRITE);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
}

CASE(WSPConnect, tcp_blocking_error, "a refused blocking connect leaves nothing in SO_ERROR")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
}

CASE(WSPConnect, tcp_no_handle, "the descriptor is not a socket: WSAENOTSOCK")
{
    SOCKADDR_IN at;
    (void)stream_listener(&at);
    SOCKET s = stream_new();
    stream_close(s);
    FAILS(WSAENOTSOCK, spi_connect_to(s, &at));
}

CASE(WSPConnect, tcp_already_blocking,
     "and WSAEALREADY to a thread that comes while another connects")
{
    SOCKADDR_IN silent = stream_silent();
    struct stream_call call = {.kind = CALL_CONNECT, .s = stream_new(), .to = silent};
    stream_begin(&call);
    FAILS(WSAEALREADY, spi_connect_to(call.s, &silent));
    stream_close(call.s);
    stream_cancelled(&call);
}

CASE(WSPConnect, tcp_no_timeout, "SO_SNDTIMEO is about sends: connect waits on")
{
    SOCKADDR_IN silent = stream_silent();
    struct stream_call call = {.kind = CALL_CONNECT, .s = stream_new(), .to = silent};
    OK(spi_set_dword(call.s, SOL_SOCKET, SO_SNDTIMEO, 10));
    OK(spi_set_dword(call.s, SOL_SOCKET, SO_RCVTIMEO, 10));
    stream_begin(&call); /* four times the time */
    assert_int_equal(WaitForSingleObject(call.thread, 0), WAIT_TIMEOUT);
    stream_close(call.s);
    stream_cancelled(&call);
}

/* ---- WSPGetPeerName ---- */

CASE(WSPGetPeerName, tcp_peer_shut, "the name stays after SD_SEND, SD_RECEIVE and a reset")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN in;
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    OK(peer_name(pair.client, &in));
    OK(TABLE->lpWSPShutdown(pair.client, SD_RECEIVE, &spi_error));
    OK(peer_name(pair.client, &in));
    assert_memory_equal(&in, &pair.at, sizeof(in));
    OK(peer_name(was_reset(), &in));
}

CASE(WSPGetPeerName, tcp_peer_fault, "no room, or memory that cannot be written, is WSAEFAULT")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN in;
    int bytes = 15;
    FAILS(WSAEFAULT,
          TABLE->lpWSPGetPeerName(pair.client, (struct sockaddr *)&in, &bytes, &spi_error));
    bytes = sizeof(in);
    FAILS(WSAEFAULT, TABLE->lpWSPGetPeerName(pair.client, spi_bad_pointer(), &bytes, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPGetPeerName(pair.client, (struct sockaddr *)&in, spi_bad_pointer(),
                                             &spi_error));
    FAILS(WSAEFAULT,
          TABLE->lpWSPGetPeerName(pair.client, (struct sockaddr *)&in, NULL, &spi_error));
}

CASE(WSPGetPeerName, tcp_peer_bound,
     "a bound socket is WSAENOTCONN; the size comes out with a name")
{
    SOCKADDR_IN at;
    SOCKADDR_STORAGE out;
    int bytes = sizeof(out);
    FAILS(WSAENOTCONN, peer_name(stream_bound(&at), &at));
    OK(TABLE->lpWSPGetPeerName(stream_connected().server, (struct sockaddr *)&out, &bytes,
                               &spi_error));
    assert_int_equal(bytes, sizeof(at));
}

CASE(WSPGetSockName, tcp_refused_name, "after a refused connect a bound socket keeps its name")
{
    SOCKADDR_IN at, from;
    (void)stream_bound(&at);
    SOCKET s = stream_bound(&from);
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    SOCKADDR_IN name = spi_name(s);
    assert_memory_equal(&name, &from, sizeof(name));
}
