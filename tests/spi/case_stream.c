/*
 * Cases of a stream socket's life: create, bind, listen, connect, names.
 */
#include "tests/spi/stream_kit.h"

static int peer_name(SOCKET s, SOCKADDR_IN *in)
{
    int bytes = sizeof(*in);
    return TABLE->lpWSPGetPeerName(s, (struct sockaddr *)in, &bytes, &spi_error);
}

/* ---- WSPSocket, WSPBind ---- */

CASE(WSPSocket, tcp_default, "protocol 0 with SOCK_STREAM is TCP, type 0 with TCP a stream")
{
    SOCKET s = spi_new_of(SOCK_STREAM, 0, 0);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    SOCKET t = spi_new_of(0, IPPROTO_TCP, 0);
    assert_int_equal(spi_get_dword(t, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
}

CASE(WSPSocket, tcp_info, "SO_PROTOCOL_INFO of a stream is TCP's catalog entry")
{
    WSAPROTOCOL_INFOW info;
    int bytes = sizeof(info);
    OK(TABLE->lpWSPGetSockOpt(stream_new(), SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &bytes,
                              &spi_error));
    assert_int_equal(info.iSocketType, SOCK_STREAM);
    assert_int_equal(info.iProtocol, IPPROTO_TCP);
    assert_int_equal(info.dwServiceFlags1, XP1_GUARANTEED_DELIVERY | XP1_GUARANTEED_ORDER |
                                               XP1_GRACEFUL_CLOSE | XP1_EXPEDITED_DATA);
    assert_int_equal(info.dwCatalogEntryId,
                     host_catalog_entry(AF_INET, SOCK_STREAM, 0).dwCatalogEntryId);
}

CASE(WSPBind, tcp_bind, "port 0 becomes a port; a second bind is WSAEINVAL")
{
    SOCKADDR_IN at;
    SOCKET s = stream_bound(&at);
    assert_int_not_equal(at.sin_port, 0);
    FAILS(WSAEINVAL, spi_bind_at(s, &at));
}

CASE(WSPBind, tcp_bind_used, "another stream's address is WSAEADDRINUSE")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    FAILS(WSAEADDRINUSE, spi_bind_at(stream_new(), &at));
}

CASE(WSPBind, tcp_bind_group, "a group's address is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN group = spi_at("239.7.7.7", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(stream_new(), &group));
}

CASE(WSPBind, tcp_bind_connected, "a socket that connect has bound is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    FAILS(WSAEINVAL, spi_bind_at(pair.client, &any));
}

/* ---- WSPListen ---- */

CASE(WSPListen, listen_unbound, "a socket that is not bound is WSAEINVAL")
{
    FAILS(WSAEINVAL, TABLE->lpWSPListen(stream_new(), 1, &spi_error));
}

CASE(WSPListen, listen_again, "on a listening socket: success, and a new backlog")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(TABLE->lpWSPListen(s, 2, &spi_error));
    OK(TABLE->lpWSPListen(s, 16, &spi_error));
}

CASE(WSPListen, listen_connected, "a connected socket is WSAEISCONN")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAEISCONN, TABLE->lpWSPListen(pair.client, 1, &spi_error));
    FAILS(WSAEISCONN, TABLE->lpWSPListen(pair.server, 1, &spi_error));
}

CASE(WSPListen, listen_connecting, "a connecting socket is WSAEINVAL")
{
    SOCKET s = stream_new();
    SOCKADDR_IN silent = stream_silent();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    FAILS(WSAEINVAL, TABLE->lpWSPListen(s, 1, &spi_error));
}

CASE(WSPListen, listen_backlog, "0, SOMAXCONN and SOMAXCONN_HINT are legal backlogs")
{
    static const int backlogs[] = {0, 1, SOMAXCONN, -500, -1, INT_MIN, 70000};
    for (unsigned i = 0; i < sizeof(backlogs) / sizeof(backlogs[0]); i++) {
        SOCKADDR_IN at;
        SOCKET s = stream_bound(&at);
        OK(TABLE->lpWSPListen(s, backlogs[i], &spi_error));
        OK(spi_connect_to(stream_new(), &at));
    }
}

CASE(WSPListen, listen_before_accept, "connections succeed before anybody accepts them")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    for (unsigned i = 0; i < 4; i++) {
        OK(spi_connect_to(stream_new(), &at));
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)stream_accept(s);
    }
}

/* ---- WSPConnect ---- */

CASE(WSPConnect, tcp_connect, "a blocking connect returns when it is connected")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "there");
    stream_expect(pair.server, "there");
    stream_send(pair.server, "and back");
    stream_expect(pair.client, "and back");
}

CASE(WSPConnect, tcp_refused, "nobody listens: WSAECONNREFUSED, and it may be tried again")
{
    SOCKADDR_IN at;
    SOCKET other = stream_bound(&at);
    SOCKET s = stream_new();
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    OK(TABLE->lpWSPListen(other, 1, &spi_error));
    OK(spi_connect_to(s, &at));
    stream_send(s, "at last");
    stream_expect(stream_accept(other), "at last");
}

CASE(WSPConnect, tcp_nonblocking, "non-blocking: WSAEWOULDBLOCK, writable, then WSAEISCONN")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    stream_await(s, WRITE);
    assert_int_equal(stream_select(s, READ | WRITE | EXCEPT, 0), WRITE);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
    FAILS(WSAEISCONN, spi_connect_to(s, &at));
    stream_send(s, "x");
    stream_expect(stream_accept(listener), "x");
}

CASE(WSPConnect, tcp_already, "a second connect while the first is under way is WSAEALREADY")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    FAILS(WSAEALREADY, spi_connect_to(s, &silent));
    FAILS(WSAEALREADY, spi_connect_to(s, &silent));
}

CASE(WSPConnect, tcp_failed, "non-blocking and refused: except set, SO_ERROR says why, once")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    spi_nonblocking(s);
    for (unsigned i = 0; i < 3; i++) {
        FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
        assert_int_equal(stream_select(s, READ | WRITE | EXCEPT, 5000), EXCEPT);
        assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), WSAECONNREFUSED);
        assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
    }
}

CASE(WSPConnect, tcp_connected_again, "a connected socket is WSAEISCONN, on both sides")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAEISCONN, spi_connect_to(pair.client, &pair.at));
    FAILS(WSAEISCONN, spi_connect_to(pair.server, &pair.at));
}

CASE(WSPConnect, tcp_listening, "a listening socket is WSAEINVAL")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    FAILS(WSAEINVAL, spi_connect_to(s, &at));
}

CASE(WSPConnect, tcp_no_address, "address 0, port 0 or both are WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN no_port = spi_at("127.0.0.1", 0);
    SOCKADDR_IN no_address = spi_at("0.0.0.0", 9);
    SOCKADDR_IN nothing = spi_at("0.0.0.0", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(stream_new(), &no_port));
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(stream_new(), &no_address));
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(stream_new(), &nothing));
}

CASE(WSPConnect, tcp_group, "a group's and the broadcast address are WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN group = spi_at("239.7.7.7", 9);
    SOCKADDR_IN broadcast = spi_at("255.255.255.255", 9);
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(stream_new(), &group));
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(stream_new(), &broadcast));
}

CASE(WSPConnect, tcp_broadcast, "a network's broadcast address is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN broadcast = stream_broadcast();
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(stream_new(), &broadcast));
}

CASE(WSPConnect, tcp_family, "another family, also AF_UNSPEC, is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    at.sin_family = AF_UNSPEC;
    FAILS(WSAEAFNOSUPPORT, spi_connect_to(stream_new(), &at));
    at.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, spi_connect_to(stream_new(), &at));
}

CASE(WSPConnect, tcp_fault, "an address cut short, or unreadable, is WSAEFAULT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    FAILS(WSAEFAULT, TABLE->lpWSPConnect(stream_new(), (struct sockaddr *)&at, 15, NULL, NULL, NULL,
                                         NULL, &spi_error));
    FAILS(WSAEFAULT, spi_connect_to(stream_new(), spi_bad_pointer()));
}

CASE(WSPConnect, tcp_unreachable, "without a route it is WSAENETUNREACH")
{
    SOCKADDR_IN far_away = spi_at("198.51.100.1", 7);
    FAILS(WSAENETUNREACH, spi_connect_to(stream_new(), &far_away));
}

CASE(WSPConnect, tcp_bound_connect, "a bound socket connects from its address")
{
    SOCKADDR_IN at, from, seen;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_bound(&from);
    OK(spi_connect_to(s, &at));
    OK(peer_name(stream_accept(listener), &seen));
    assert_memory_equal(&seen, &from, sizeof(seen));
}

CASE(WSPConnect, tcp_caller_data, "user data for the peer, which TCP has not: WSAEPROTONOSUPPORT")
{
    SOCKADDR_IN at;
    (void)stream_listener(&at);
    SOCKET s = stream_new();
    WSABUF data = {.len = 4, .buf = "data"};
    FAILS(WSAEPROTONOSUPPORT, TABLE->lpWSPConnect(s, (struct sockaddr *)&at, sizeof(at), &data,
                                                  NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPConnect(s, (struct sockaddr *)&at, sizeof(at), spi_bad_pointer(),
                                         NULL, NULL, NULL, &spi_error));
    OK(spi_connect_to(s, &at));
}

CASE(WSPConnect, tcp_callee_data, "no user data come back: length 0")
{
    SOCKADDR_IN at;
    char place[8];
    WSABUF data = {.len = sizeof(place), .buf = place};
    (void)stream_listener(&at);
    OK(TABLE->lpWSPConnect(stream_new(), (struct sockaddr *)&at, sizeof(at), NULL, &data, NULL,
                           NULL, &spi_error));
    assert_int_equal(data.len, 0);
}

struct connector {
    SOCKET s;
    SOCKADDR_IN to;
};

static DWORD WINAPI connect_thread(void *context)
{
    const struct connector *connector = context;
    int error = 0;
    int result = TABLE->lpWSPConnect(connector->s, (const struct sockaddr *)&connector->to,
                                     sizeof(connector->to), NULL, NULL, NULL, NULL, &error);
    return result == 0 ? 0 : (DWORD)error;
}

CASE(WSPConnect, tcp_closed, "a socket closed while it connects ends the call with WSAEINTR")
{
    struct connector connector = {.s = stream_new(), .to = stream_silent()};
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    DWORD error = 0;
    HANDLE thread = CreateThread(NULL, 0, connect_thread, &connector, 0, NULL);
    /* It is under way when it has a name. */
    for (unsigned i = 0; i < 5000 && TABLE->lpWSPGetSockName(connector.s, (struct sockaddr *)&in,
                                                             &bytes, &spi_error) != 0;
         i++) {
        Sleep(1);
    }
    (void)spi_name(connector.s);
    stream_close(connector.s);
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    GetExitCodeThread(thread, &error);
    CloseHandle(thread);
    assert_int_equal(error, WSAEINTR);
}

/* ---- WSPGetPeerName, WSPGetSockName ---- */

CASE(WSPGetPeerName, tcp_peer, "both ends know each other")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN in;
    SOCKADDR_IN client = spi_name(pair.client);
    OK(peer_name(pair.client, &in));
    assert_memory_equal(&in, &pair.at, sizeof(in));
    OK(peer_name(pair.server, &in));
    assert_memory_equal(&in, &client, sizeof(in));
    in = spi_name(pair.server);
    assert_memory_equal(&in, &pair.at, sizeof(in));
}

CASE(WSPGetPeerName, tcp_no_peer, "unconnected, listening, failed: WSAENOTCONN")
{
    SOCKADDR_IN at, in;
    SOCKET s = stream_new();
    FAILS(WSAENOTCONN, peer_name(s, &in));
    FAILS(WSAENOTCONN, peer_name(stream_listener(&at), &in));
    (void)stream_bound(&at);
    FAILS(WSAECONNREFUSED, spi_connect_to(s, &at));
    FAILS(WSAENOTCONN, peer_name(s, &in));
}

CASE(WSPGetPeerName, tcp_connecting_peer, "connecting: WSAENOTCONN")
{
    SOCKADDR_IN in;
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    FAILS(WSAENOTCONN, peer_name(s, &in));
}

CASE(WSPGetPeerName, tcp_peer_gone, "the peer's name stays when its end is closed")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN in;
    stream_close(pair.server);
    stream_expect_end(pair.client);
    OK(peer_name(pair.client, &in));
    assert_int_equal(in.sin_port, pair.at.sin_port);
}

CASE(WSPGetSockName, tcp_unbound, "a stream that is neither bound nor connected is WSAEINVAL")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEINVAL,
          TABLE->lpWSPGetSockName(stream_new(), (struct sockaddr *)&in, &bytes, &spi_error));
}
