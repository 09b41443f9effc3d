/*
 * Cases of DisconnectEx that return when it is through, and of what a socket is behind it.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"

EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)

CASE(DisconnectEx, de_plain, "without a flag the other side sees the end, and may go on sending")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    stream_send(pair.client, "last");
    EXT_OK(disconnect_ex()(pair.client, NULL, 0, 0));
    stream_expect(pair.server, "last");
    stream_expect_end(pair.server);
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, 0, &sent));
    stream_send(pair.server, "answer");
    stream_expect(pair.client, "answer");
}

CASE(DisconnectEx, de_not_socket, "no socket is WSAENOTSOCK")
{
    EXT_FAILS(WSAENOTSOCK, disconnect_ex()((SOCKET)GetCurrentThread(), NULL, 0, 0));
}

CASE(DisconnectEx, de_flags, "a flag but TF_REUSE_SOCKET is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    EXT_FAILS(WSAEINVAL, disconnect_ex()(pair.client, NULL, TF_DISCONNECT, 0));
    EXT_FAILS(WSAEINVAL, disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET | 0x100, 0));
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
}

CASE(DisconnectEx, de_reserved, "the reserved argument must be zero: WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    EXT_FAILS(WSAEINVAL, disconnect_ex()(pair.client, NULL, 0, 1));
}

CASE(DisconnectEx, de_datagram, "datagram sockets are not supported: WSAEINVAL")
{
    EXT_FAILS(WSAEINVAL, disconnect_ex()(spi_bound(NULL), NULL, 0, 0));
}

CASE(DisconnectEx, de_fault, "a bad OVERLAPPED is WSAEFAULT")
{
    struct stream_pair pair = stream_connected();
    EXT_FAILS(WSAEFAULT, disconnect_ex()(pair.client, spi_bad_pointer(), 0, 0));
    EXT_FAILS(WSAEFAULT, disconnect_ex()(pair.client, spi_read_only_page(), 0, 0));
}

CASE(DisconnectEx, de_not_connected, "a socket in no connected state is WSAENOTCONN")
{
    SOCKADDR_IN at;
    EXT_FAILS(WSAENOTCONN, disconnect_ex()(stream_new(), NULL, 0, 0));
    EXT_FAILS(WSAENOTCONN, disconnect_ex()(stream_bound(&at), NULL, TF_REUSE_SOCKET, 0));
    EXT_FAILS(WSAENOTCONN, disconnect_ex()(stream_listener(&at), NULL, 0, 0));
}

CASE(DisconnectEx, de_reset, "a connection that was reset is not connected: WSAENOTCONN")
{
    struct stream_pair pair = stream_connected();
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    EXT_FAILS(WSAENOTCONN, disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET, 0));
}

CASE(DisconnectEx, de_reuse_waits, "TF_REUSE_SOCKET: through when the other side has closed, too")
{
    struct stream_pair pair = stream_connected();
    struct ext_peer peer = {.s = pair.server, .closes = true};
    stream_send(pair.client, "last");
    ext_peer_begin(&peer);
    EXT_OK(disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET, 0));
    ext_peer_finish(&peer);
    assert_int_equal(peer.bytes, 4);
    assert_int_equal(peer.error, 0);
}

CASE(DisconnectEx, de_reuse_reset, "TF_REUSE_SOCKET: a reset while it waits is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    struct ext_peer peer = {.s = pair.server, .resets = true};
    ext_peer_begin(&peer);
    EXT_FAILS(WSAECONNRESET, disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET, 0));
    ext_peer_finish(&peer);
}

/* Disconnected for good: the other side closes when it has seen the end. */
static void reused(SOCKET s, SOCKET other)
{
    struct ext_peer peer = {.s = other, .closes = true};
    ext_peer_begin(&peer);
    EXT_OK(disconnect_ex()(s, NULL, TF_REUSE_SOCKET, 0));
    ext_peer_finish(&peer);
}

CASE(DisconnectEx, de_reuse_state, "TF_REUSE_SOCKET: the socket is not connected then")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    DWORD count;
    char byte;
    reused(pair.server, pair.client);
    FAILS(WSAENOTCONN, spi_send_one(pair.server, "x", 1, 0, &count));
    FAILS(WSAENOTCONN, stream_recv(pair.server, &byte, 1, 0, &count));
    FAILS(WSAENOTCONN,
          TABLE->lpWSPGetPeerName(pair.server, (struct sockaddr *)&in, &bytes, &spi_error));
    EXT_FAILS(WSAENOTCONN, disconnect_ex()(pair.server, NULL, TF_REUSE_SOCKET, 0));
}

CASE(DisconnectEx, de_reuse_accepted, "TF_REUSE_SOCKET: a socket that was accepted is not bound")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN in = spi_at("127.0.0.1", 0);
    int bytes = sizeof(in);
    reused(pair.server, pair.client);
    FAILS(WSAEINVAL,
          TABLE->lpWSPGetSockName(pair.server, (struct sockaddr *)&in, &bytes, &spi_error));
    OK(spi_bind_at(pair.server, &in));
}

CASE(DisconnectEx, de_reuse_connected, "TF_REUSE_SOCKET: one that connected is still bound")
{
    SOCKADDR_IN own, at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_bound(&own);
    for (unsigned i = 0; i < 3; i++) {
        OK(spi_connect_to(s, &at));
        SOCKET other = stream_accept(listener);
        stream_send(s, "again");
        stream_expect(other, "again");
        reused(s, other);
        SOCKADDR_IN in = spi_name(s);
        assert_memory_equal(&in, &own, sizeof(in));
        FAILS(WSAEINVAL, spi_bind_at(s, &own));
    }
}

CASE(DisconnectEx, de_reuse_options, "TF_REUSE_SOCKET: the socket keeps its options")
{
    struct stream_pair pair = stream_connected();
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1));
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_RCVTIMEO, 4321));
    reused(pair.client, pair.server);
    assert_int_equal(spi_get_dword(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(spi_get_dword(pair.client, SOL_SOCKET, SO_RCVTIMEO), 4321);
}

CASE(DisconnectEx, de_reuse_after,
     "TF_REUSE_SOCKET behind a shutdown, or a DisconnectEx, is allowed")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    reused(pair.client, pair.server);
    pair = stream_connected();
    EXT_OK(disconnect_ex()(pair.client, NULL, 0, 0));
    reused(pair.client, pair.server);
}

CASE(DisconnectEx, de_reuse_ended, "TF_REUSE_SOCKET: at once when the other side has ended before")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    stream_expect_end(pair.client);
    stream_send(pair.client, "last");
    EXT_OK(disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET, 0));
    stream_expect(pair.server, "last");
    stream_expect_end(pair.server);
}
