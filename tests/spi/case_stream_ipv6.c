/*
 * Cases of AF_INET6 stream sockets in dual mode.
 */
#include "tests/spi/ipv6_kit.h"
#include "tests/spi/stream_kit.h"

static SOCKET dual(void)
{
    return ipv6_dual(SOCK_STREAM, IPPROTO_TCP);
}

static SOCKET dual_listener(SOCKADDR_IN6 *at)
{
    SOCKET s = dual();
    SOCKADDR_IN6 any = ipv6_mapped("127.0.0.1", 0);
    OK(ipv6_bind(s, &any));
    OK(TABLE->lpWSPListen(s, 8, &spi_error));
    *at = ipv6_name(s);
    return s;
}

static SOCKET accept_name(SOCKET listener, SOCKADDR_IN6 *peer, LPCONDITIONPROC condition,
                          DWORD_PTR data)
{
    int bytes = sizeof(*peer);
    stream_await(listener, READ);
    SOCKET s =
        TABLE->lpWSPAccept(listener, (struct sockaddr *)peer, &bytes, condition, data, &spi_error);
    assert_true(s != INVALID_SOCKET);
    spi_keep(s);
    assert_int_equal(bytes, sizeof(*peer));
    return s;
}

CASE(WSPAccept, ipv6_accept_ipv4, "an IPv4 connection is accepted, its peer comes in mapped form")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 peer;
    SOCKET listener = dual_listener(&at);
    SOCKADDR_IN to = spi_at("127.0.0.1", __builtin_bswap16(at.sin6_port));
    SOCKET client = stream_new();
    OK(spi_connect_to(client, &to));
    SOCKET server = accept_name(listener, &peer, NULL, 0);
    SOCKADDR_IN6 expected = ipv6_mapped("127.0.0.1", __builtin_bswap16(spi_name(client).sin_port));
    assert_memory_equal(&peer, &expected, sizeof(peer));
    stream_send(client, "text");
    stream_expect(server, "text");
}

CASE(WSPAccept, ipv6_accept_inherits, "the accepted socket is of AF_INET6 and in dual mode, too")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 peer;
    SOCKADDR_IN6 name;
    int bytes = sizeof(name);
    SOCKET listener = dual_listener(&at);
    SOCKET client = dual();
    OK(ipv6_connect(client, &at));
    SOCKET server = accept_name(listener, &peer, NULL, 0);
    assert_int_equal(spi_get_dword(server, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    name = ipv6_name(server);
    assert_memory_equal(&name, &at, sizeof(name));
    OK(TABLE->lpWSPGetPeerName(server, (struct sockaddr *)&name, &bytes, &spi_error));
    assert_memory_equal(&name, &peer, sizeof(name));
}

CASE(WSPAccept, ipv6_accept_short, "room for 16 bytes is WSAEFAULT, the connection waits on")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 peer;
    int bytes = sizeof(SOCKADDR_IN);
    SOCKET listener = dual_listener(&at);
    SOCKET client = dual();
    OK(ipv6_connect(client, &at));
    FAILS(WSAEFAULT,
          (int)TABLE->lpWSPAccept(listener, (struct sockaddr *)&peer, &bytes, NULL, 0, &spi_error));
    (void)accept_name(listener, &peer, NULL, 0);
}

struct condition_saw {
    ULONG caller_bytes, callee_bytes;
    SOCKADDR_IN6 caller, callee;
};

static int CALLBACK condition_look(LPWSABUF caller_id, LPWSABUF caller_data, LPQOS socket_qos,
                                   LPQOS group_qos, LPWSABUF callee_id, LPWSABUF callee_data,
                                   GROUP *group, DWORD_PTR data)
{
    (void)caller_data, (void)socket_qos, (void)group_qos, (void)callee_data, (void)group;
    struct condition_saw *saw = (struct condition_saw *)data;
    saw->caller_bytes = caller_id->len;
    saw->callee_bytes = callee_id->len;
    if (caller_id->len == sizeof(saw->caller) && callee_id->len == sizeof(saw->callee)) {
        memcpy(&saw->caller, caller_id->buf, sizeof(saw->caller));
        memcpy(&saw->callee, callee_id->buf, sizeof(saw->callee));
    }
    return CF_ACCEPT;
}

CASE(WSPAccept, ipv6_condition, "the condition function is given both addresses in mapped form")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 peer;
    struct condition_saw saw = {0};
    SOCKET listener = dual_listener(&at);
    SOCKET client = dual();
    OK(ipv6_connect(client, &at));
    (void)accept_name(listener, &peer, condition_look, (DWORD_PTR)&saw);
    assert_int_equal(saw.caller_bytes, sizeof(SOCKADDR_IN6));
    assert_int_equal(saw.callee_bytes, sizeof(SOCKADDR_IN6));
    assert_memory_equal(&saw.caller, &peer, sizeof(peer));
    assert_memory_equal(&saw.callee, &at, sizeof(at));
}

CASE(WSPConnect, ipv6_stream_ipv4, "a socket in dual mode connects to an IPv4 listener")
{
    SOCKADDR_IN at;
    SOCKADDR_IN6 name;
    int bytes = sizeof(name);
    SOCKET listener = stream_listener(&at);
    SOCKADDR_IN6 to = ipv6_mapped("127.0.0.1", __builtin_bswap16(at.sin_port));
    SOCKET client = dual();
    OK(ipv6_connect(client, &to));
    SOCKET server = stream_accept(listener);
    stream_send(server, "down");
    stream_expect(client, "down");
    OK(TABLE->lpWSPGetPeerName(client, (struct sockaddr *)&name, &bytes, &spi_error));
    assert_memory_equal(&name, &to, sizeof(name));
}

CASE(WSPConnect, ipv6_stream_any, ":: and a mapped group are WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN6 any = {.sin6_family = AF_INET6, .sin6_port = 9};
    SOCKADDR_IN6 group = ipv6_mapped("239.1.1.1", 9);
    FAILS(WSAEADDRNOTAVAIL, ipv6_connect(dual(), &any));
    FAILS(WSAEADDRNOTAVAIL, ipv6_connect(dual(), &group));
}

CASE(WSPConnect, ipv6_stream_native, "a native peer is WSAENETUNREACH, in dual mode and not")
{
    SOCKADDR_IN6 at = {.sin6_family = AF_INET6, .sin6_port = 9, .sin6_addr.s6_addr[15] = 1};
    FAILS(WSAENETUNREACH, ipv6_connect(dual(), &at));
    FAILS(WSAENETUNREACH, ipv6_connect(ipv6_new(SOCK_STREAM, IPPROTO_TCP), &at));
}

CASE(WSPConnect, ipv6_stream_short, "an address of 16 bytes is WSAEFAULT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    FAILS(WSAEFAULT, spi_connect_to(dual(), &at));
}

CASE(WSPListen, ipv6_listen_unbound, "an AF_INET6 socket that is not bound is WSAEINVAL")
{
    FAILS(WSAEINVAL, TABLE->lpWSPListen(dual(), 1, &spi_error));
}

CASE(WSPSetSockOpt, ipv6_stream_member, "memberships are for datagram sockets: WSAENOPROTOOPT")
{
    SOCKADDR_IN6 group = ipv6_mapped("239.1.1.1", 0);
    IPV6_MREQ mreq = {.ipv6mr_multiaddr = group.sin6_addr};
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPSetSockOpt(dual(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP,
                                                 (const char *)&mreq, sizeof(mreq), &spi_error));
    FAILS(WSAENOPROTOOPT, spi_set_dword(dual(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3));
}

CASE(WSPSetSockOpt, ipv6_stream_hops, "IPV6_UNICAST_HOPS and TCP's own options work")
{
    SOCKET s = dual();
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_NODELAY, 1));
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_NODELAY), 1);
}
