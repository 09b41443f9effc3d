/*
 * Cases of AF_INET6 sockets: datagrams and what both types share. The rules are those of
 * Microsoft's pages on dual-stack sockets, on IPPROTO_IPV6 options and of each function.
 */
#include <string.h>

#include "tests/spi/ipv6_kit.h"

#define GROUP "239.7.7.7"

static int set_raw(SOCKET s, int name, const void *value, int bytes)
{
    return TABLE->lpWSPSetSockOpt(s, IPPROTO_IPV6, name, value, bytes, &spi_error);
}

static SOCKET only(void)
{
    return ipv6_new(SOCK_DGRAM, IPPROTO_UDP);
}

static SOCKET dual(void)
{
    return ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
}

static SOCKET dual_bound(const char *ip, SOCKADDR_IN6 *at)
{
    SOCKET s = dual();
    SOCKADDR_IN6 any = ipv6_mapped(ip, 0);
    OK(ipv6_bind(s, &any));
    *at = ipv6_name(s);
    return s;
}

static int send_to(SOCKET s, const char *text, const void *to, int to_bytes)
{
    DWORD sent = 0;
    WSABUF buffer = {.len = (ULONG)strlen(text), .buf = (char *)(uintptr_t)text};
    return TABLE->lpWSPSendTo(s, &buffer, 1, &sent, 0, to, to_bytes, NULL, NULL, NULL, &spi_error);
}

static void receives(SOCKET s, const char *text, SOCKADDR_IN6 *from)
{
    char data[32] = {0};
    DWORD received = 0;
    DWORD flags = 0;
    int from_bytes = sizeof(*from);
    WSABUF buffer = {.len = sizeof(data), .buf = data};
    memset(from, 0xaa, sizeof(*from));
    OK(TABLE->lpWSPRecvFrom(s, &buffer, 1, &received, &flags, (struct sockaddr *)from, &from_bytes,
                            NULL, NULL, NULL, &spi_error));
    assert_int_equal(received, strlen(text));
    assert_memory_equal(data, text, strlen(text));
    assert_int_equal(from_bytes, sizeof(*from));
}

/* ---- WSPSocket ---- */

CASE(WSPSocket, ipv6_catalog, "AF_INET6 with UDP and TCP: address length 28, of this provider")
{
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    for (unsigned i = 0; i < 2; i++) {
        SOCKET s = ipv6_new(types[i], 0);
        WSAPROTOCOL_INFOW info;
        int bytes = sizeof(info);
        OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &bytes,
                                  &spi_error));
        assert_int_equal(info.iAddressFamily, AF_INET6);
        assert_int_equal(info.iMinSockAddr, sizeof(SOCKADDR_IN6));
        assert_int_equal(info.iMaxSockAddr, sizeof(SOCKADDR_IN6));
        assert_int_equal(info.iSocketType, types[i]);
        assert_memory_equal(&info.ProviderId, &provider.info.ProviderId, sizeof(GUID));
    }
}

CASE(WSPSocket, ipv6_info, "FROM_PROTOCOL_INFO takes AF_INET6 from the entry")
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    SOCKET s = TABLE->lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info,
                                  0, WSA_FLAG_OVERLAPPED, &spi_error);
    assert_true(s != INVALID_SOCKET);
    spi_keep(s);
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

/* ---- IPV6_V6ONLY ---- */

CASE(WSPGetSockOpt, v6only_default, "IPV6_V6ONLY is TRUE when nobody set it")
{
    assert_int_equal(spi_get_dword(only(), IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

CASE(WSPSetSockOpt, v6only_sets, "IPV6_V6ONLY reads back, any value but 0 is TRUE")
{
    SOCKET s = only();
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_V6ONLY, 9));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

CASE(WSPSetSockOpt, v6only_late, "IPV6_V6ONLY after the bind is WSAEINVAL")
{
    SOCKADDR_IN6 at;
    SOCKET s = dual_bound("127.0.0.1", &at);
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_V6ONLY), 0);
}

CASE(WSPSetSockOpt, v6only_short, "IPV6_V6ONLY cut short, or unreadable, is WSAEFAULT")
{
    SOCKET s = only();
    DWORD value = 0;
    FAILS(WSAEFAULT, set_raw(s, IPV6_V6ONLY, &value, 3));
    FAILS(WSAEFAULT, set_raw(s, IPV6_V6ONLY, spi_bad_pointer(), 4));
}

CASE(WSPSetSockOpt, v6only_of_ipv4, "the options of IPv6 are not those of an AF_INET socket")
{
    FAILS(WSAEINVAL, spi_set_dword(spi_udp(), IPPROTO_IPV6, IPV6_V6ONLY, 0));
}

/* ---- bind ---- */

CASE(WSPBind, ipv6_bind_mapped, "a mapped address of this host; the name is mapped, too")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 expected = ipv6_mapped(SPI_OWN, 0);
    (void)dual_bound(SPI_OWN, &at);
    assert_true(at.sin6_port != 0);
    expected.sin6_port = at.sin6_port;
    assert_memory_equal(&at, &expected, sizeof(at));
}

CASE(WSPBind, ipv6_bind_any, ":: is every address of IPv4, and the name stays ::")
{
    SOCKADDR_IN6 any = {.sin6_family = AF_INET6};
    SOCKADDR_IN6 from;
    SOCKET s = dual();
    OK(ipv6_bind(s, &any));
    SOCKADDR_IN6 at = ipv6_name(s);
    SOCKADDR_IN6 expected = {.sin6_family = AF_INET6, .sin6_port = at.sin6_port};
    assert_memory_equal(&at, &expected, sizeof(at));
    SOCKADDR_IN to = spi_at(SPI_OWN, __builtin_bswap16(at.sin6_port));
    SOCKADDR_IN home;
    SOCKET peer = spi_bound(&home);
    OK(spi_send_to_one(peer, "one", 3, &to));
    receives(s, "one", &from);
}

CASE(WSPBind, ipv6_bind_only, "the addresses of an IPv6-only socket are WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN6 any = {.sin6_family = AF_INET6};
    SOCKADDR_IN6 mapped = ipv6_mapped("127.0.0.1", 0);
    SOCKET s = only();
    FAILS(WSAEADDRNOTAVAIL, ipv6_bind(s, &any));
    FAILS(WSAEADDRNOTAVAIL, ipv6_bind(s, &mapped));
}

CASE(WSPBind, ipv6_bind_native, "a native IPv6 address is none of this host: WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN6 loopback = {.sin6_family = AF_INET6, .sin6_addr.s6_addr[15] = 1};
    SOCKADDR_IN6 documentation = {.sin6_family = AF_INET6,
                                  .sin6_addr.s6_addr = {0x20, 1, 0xd, 0xb8}};
    SOCKET s = dual();
    FAILS(WSAEADDRNOTAVAIL, ipv6_bind(s, &loopback));
    FAILS(WSAEADDRNOTAVAIL, ipv6_bind(s, &documentation));
}

CASE(WSPBind, ipv6_bind_group, "a mapped group is not a local address: WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN6 group = ipv6_mapped(GROUP, 5000);
    FAILS(WSAEADDRNOTAVAIL, ipv6_bind(dual(), &group));
}

CASE(WSPBind, ipv6_bind_short, "an address of 16 bytes, or none, is WSAEFAULT")
{
    SOCKADDR_IN ipv4 = spi_at("127.0.0.1", 0);
    SOCKET s = dual();
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, (struct sockaddr *)&ipv4, sizeof(ipv4), &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, NULL, sizeof(SOCKADDR_IN6), &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, spi_bad_pointer(), sizeof(SOCKADDR_IN6), &spi_error));
}

CASE(WSPBind, ipv6_bind_family, "an address of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN6 any = {.sin6_family = AF_INET};
    FAILS(WSAEAFNOSUPPORT, ipv6_bind(dual(), &any));
}

CASE(WSPBind, ipv6_bind_taken, "both families share the ports of IPv4: WSAEADDRINUSE")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    SOCKADDR_IN6 same = ipv6_mapped("127.0.0.1", __builtin_bswap16(at.sin_port));
    FAILS(WSAEADDRINUSE, ipv6_bind(dual(), &same));
}

/* ---- datagrams ---- */

CASE(WSPSendTo, ipv6_send_mapped, "a mapped address reaches an IPv4 socket")
{
    SOCKADDR_IN at;
    SOCKADDR_IN from;
    char data[8];
    DWORD received = 0;
    SOCKET to = spi_bound(&at);
    SOCKADDR_IN6 mapped = ipv6_mapped("127.0.0.1", __builtin_bswap16(at.sin_port));
    SOCKET s = dual();
    OK(send_to(s, "mapped", &mapped, sizeof(mapped)));
    OK(spi_recv_from_one(to, data, sizeof(data), &from, &received));
    assert_int_equal(received, 6);
    assert_int_equal(from.sin_port, ipv6_name(s).sin6_port);
}

CASE(WSPSendTo, ipv6_send_native, "a native IPv6 address is WSAENETUNREACH")
{
    SOCKADDR_IN6 at = {.sin6_family = AF_INET6, .sin6_port = 1, .sin6_addr.s6_addr[15] = 1};
    FAILS(WSAENETUNREACH, send_to(dual(), "x", &at, sizeof(at)));
    FAILS(WSAENETUNREACH, send_to(only(), "x", &at, sizeof(at)));
}

CASE(WSPSendTo, ipv6_send_only, "a mapped address is WSAEADDRNOTAVAIL to an IPv6-only socket")
{
    SOCKADDR_IN6 at = ipv6_mapped("127.0.0.1", 9);
    FAILS(WSAEADDRNOTAVAIL, send_to(only(), "x", &at, sizeof(at)));
}

CASE(WSPSendTo, ipv6_send_short, "an address of 16 bytes is WSAEFAULT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    FAILS(WSAEFAULT, send_to(dual(), "x", &at, sizeof(at)));
}

CASE(WSPRecvFrom, ipv6_recv_mapped, "the sender's IPv4 address comes in mapped form")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 from;
    SOCKADDR_IN home;
    SOCKET s = dual_bound("127.0.0.1", &at);
    SOCKET peer = spi_bound(&home);
    SOCKADDR_IN to = spi_at("127.0.0.1", __builtin_bswap16(at.sin6_port));
    SOCKADDR_IN6 expected = ipv6_mapped("127.0.0.1", __builtin_bswap16(home.sin_port));
    OK(spi_send_to_one(peer, "hello", 5, &to));
    receives(s, "hello", &from);
    assert_memory_equal(&from, &expected, sizeof(from));
}

CASE(WSPRecvFrom, ipv6_recv_short, "room for 16 bytes is WSAEFAULT and costs no datagram")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 from;
    char data[8];
    DWORD received = 0;
    DWORD flags = 0;
    int from_bytes = sizeof(SOCKADDR_IN);
    WSABUF buffer = {.len = sizeof(data), .buf = data};
    SOCKET s = dual_bound("127.0.0.1", &at);
    OK(send_to(s, "kept", &at, sizeof(at)));
    FAILS(WSAEFAULT,
          TABLE->lpWSPRecvFrom(s, &buffer, 1, &received, &flags, (struct sockaddr *)&from,
                               &from_bytes, NULL, NULL, NULL, &spi_error));
    receives(s, "kept", &from);
}

CASE(WSPRecvFrom, ipv6_recv_answer, "the address a datagram came from takes the answer")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 from;
    SOCKADDR_IN6 other;
    SOCKET s = dual_bound("127.0.0.1", &at);
    SOCKET peer = dual_bound(SPI_OWN, &other);
    OK(send_to(peer, "ask", &at, sizeof(at)));
    receives(s, "ask", &from);
    assert_memory_equal(&from, &other, sizeof(from));
    OK(send_to(s, "answer", &from, sizeof(from)));
    receives(peer, "answer", &from);
}

/* ---- connect, names ---- */

CASE(WSPConnect, ipv6_connect_mapped, "a mapped peer; both names are mapped")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 from;
    SOCKADDR_IN6 peer;
    DWORD sent = 0;
    int bytes = sizeof(peer);
    SOCKET to = dual_bound("127.0.0.1", &at);
    SOCKET s = dual();
    OK(ipv6_connect(s, &at));
    OK(TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&peer, &bytes, &spi_error));
    assert_int_equal(bytes, sizeof(peer));
    assert_memory_equal(&peer, &at, sizeof(peer));
    OK(spi_send_one(s, "peer", 4, 0, &sent));
    receives(to, "peer", &from);
    assert_int_equal(from.sin6_port, ipv6_name(s).sin6_port);
}

CASE(WSPConnect, ipv6_connect_native, "a native peer is WSAENETUNREACH")
{
    SOCKADDR_IN6 at = {.sin6_family = AF_INET6, .sin6_port = 1, .sin6_addr.s6_addr[15] = 1};
    FAILS(WSAENETUNREACH, ipv6_connect(dual(), &at));
}

CASE(WSPConnect, ipv6_connect_only, "a mapped peer is WSAEADDRNOTAVAIL to an IPv6-only socket")
{
    SOCKADDR_IN6 at = ipv6_mapped("127.0.0.1", 9);
    FAILS(WSAEADDRNOTAVAIL, ipv6_connect(only(), &at));
}

CASE(WSPConnect, ipv6_connect_dissolve, ":: and port 0 dissolve a datagram socket's peer")
{
    SOCKADDR_IN6 at;
    SOCKADDR_IN6 none = {.sin6_family = AF_INET6};
    int bytes = sizeof(at);
    SOCKET s = dual();
    (void)dual_bound("127.0.0.1", &at);
    OK(ipv6_connect(s, &at));
    OK(ipv6_connect(s, &none));
    FAILS(WSAENOTCONN, TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&at, &bytes, &spi_error));
}

CASE(WSPGetSockName, ipv6_name_short, "room for 16 bytes is WSAEFAULT")
{
    SOCKADDR_IN6 at;
    int bytes = sizeof(SOCKADDR_IN);
    SOCKET s = dual_bound("127.0.0.1", &at);
    FAILS(WSAEFAULT, TABLE->lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, &spi_error));
}

CASE(WSPGetPeerName, ipv6_peer_short, "room for 16 bytes is WSAEFAULT")
{
    SOCKADDR_IN6 at;
    int bytes = sizeof(SOCKADDR_IN);
    SOCKET s = dual();
    (void)dual_bound("127.0.0.1", &at);
    OK(ipv6_connect(s, &at));
    FAILS(WSAEFAULT, TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&at, &bytes, &spi_error));
}

/* ---- options ---- */

CASE(WSPSetSockOpt, ipv6_hops,
     "IPV6_UNICAST_HOPS and _MULTICAST_HOPS read back; over 255 WSAEINVAL")
{
    SOCKET s = dual();
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 41));
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 7));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 41);
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 7);
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 256));
}

CASE(WSPGetSockOpt, ipv6_defaults, "hops 128 and 1, loop TRUE, the default interface")
{
    SOCKET s = only();
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 128);
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1);
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 1);
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF), 0);
}

CASE(WSPSetSockOpt, ipv6_loop, "IPV6_MULTICAST_LOOP reads back, any value but 0 is TRUE")
{
    SOCKET s = dual();
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 5));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 1);
}

CASE(WSPSetSockOpt, ipv6_interface, "IPV6_MULTICAST_IF: 0, or no value, is the default interface")
{
    SOCKET s = dual();
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 0));
    OK(set_raw(s, IPV6_MULTICAST_IF, NULL, 0));
}

CASE(WSPSetSockOpt, ipv6_protection, "IPV6_PROTECTION_LEVEL: two levels, no restriction by scope")
{
    SOCKET s = dual();
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_PROTECTION_LEVEL),
                     PROTECTION_LEVEL_UNRESTRICTED);
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_PROTECTION_LEVEL, PROTECTION_LEVEL_EDGERESTRICTED));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_PROTECTION_LEVEL),
                     PROTECTION_LEVEL_EDGERESTRICTED);
    FAILS(WSAENOPROTOOPT,
          spi_set_dword(s, IPPROTO_IPV6, IPV6_PROTECTION_LEVEL, PROTECTION_LEVEL_RESTRICTED));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_IPV6, IPV6_PROTECTION_LEVEL, 11));
}

CASE(WSPSetSockOpt, ipv6_unknown, "IPV6_HDRINCL and what it does not know are WSAENOPROTOOPT")
{
    SOCKET s = dual();
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IPV6, IPV6_HDRINCL, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IPV6, 0x7abc, 1));
}

CASE(WSPSetSockOpt, ipv6_level_ip, "options of IPv4 work on a socket in dual mode")
{
    SOCKET s = dual();
    OK(spi_set_dword(s, IPPROTO_IP, IP_TTL, 42));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 42);
    OK(spi_set_dword(s, IPPROTO_IP, IP_TOS, 8));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_TOS), 8);
}

/* ---- groups ---- */

/* Does the socket hear the mapped group? A plain datagram behind proves that it has passed. */
static int hears(SOCKET s)
{
    SOCKADDR_IN6 at = ipv6_name(s);
    SOCKADDR_IN6 group = ipv6_mapped(GROUP, __builtin_bswap16(at.sin6_port));
    SOCKADDR_IN6 plain = ipv6_mapped(SPI_OWN, __builtin_bswap16(at.sin6_port));
    SOCKADDR_IN6 home;
    char data[8];
    DWORD received = 0;
    DWORD flags = 0;
    SOCKET sender = dual_bound(SPI_OWN, &home);
    OK(send_to(sender, "group", &group, sizeof(group)));
    OK(send_to(sender, "end", &plain, sizeof(plain)));
    OK(spi_recv_one(s, data, sizeof(data), &flags, &received));
    if (received == 3) {
        return 0;
    }
    OK(spi_recv_one(s, data, sizeof(data), &flags, &received));
    return 1;
}

static SOCKET listener(void)
{
    SOCKADDR_IN6 any = {.sin6_family = AF_INET6};
    SOCKET s = dual();
    OK(ipv6_bind(s, &any));
    return s;
}

CASE(WSPSetSockOpt, ipv6_member, "IPV6_ADD_MEMBERSHIP joins a mapped group, _DROP_ leaves it")
{
    SOCKADDR_IN6 group = ipv6_mapped(GROUP, 0);
    IPV6_MREQ mreq = {.ipv6mr_multiaddr = group.sin6_addr};
    SOCKET s = listener();
    assert_int_equal(hears(s), 0);
    OK(set_raw(s, IPV6_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_int_equal(hears(s), 1);
    OK(set_raw(s, IPV6_DROP_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_int_equal(hears(s), 0);
}

CASE(WSPSetSockOpt, ipv6_member_native, "a group of IPv6 is WSAEADDRNOTAVAIL")
{
    IPV6_MREQ mreq = {.ipv6mr_multiaddr.s6_addr = {0xff, 2, [15] = 0x42}};
    FAILS(WSAEADDRNOTAVAIL, set_raw(dual(), IPV6_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
}

CASE(WSPSetSockOpt, ipv6_member_short, "a membership cut short, or unreadable, is WSAEFAULT")
{
    IPV6_MREQ mreq = {0};
    FAILS(WSAEFAULT, set_raw(dual(), IPV6_ADD_MEMBERSHIP, &mreq, sizeof(mreq) - 1));
    FAILS(WSAEFAULT, set_raw(dual(), IPV6_ADD_MEMBERSHIP, spi_bad_pointer(), sizeof(mreq)));
}

CASE(WSPSetSockOpt, ipv6_member_group, "MCAST_JOIN_GROUP takes a mapped group at IPv6's level")
{
    SOCKADDR_IN6 group = ipv6_mapped(GROUP, 0);
    GROUP_REQ req = {0};
    SOCKET s = listener();
    memcpy(&req.gr_group, &group, sizeof(group));
    OK(set_raw(s, MCAST_JOIN_GROUP, &req, sizeof(req)));
    assert_int_equal(hears(s), 1);
}

CASE(WSPJoinLeaf, ipv6_leaf, "a mapped group: the leaf receives and sends")
{
    SOCKADDR_IN6 group = ipv6_mapped(GROUP, 7077);
    char data[8];
    DWORD received = 0;
    DWORD flags = 0;
    DWORD sent = 0;
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    SOCKET s = TABLE->lpWSPSocket(
        AF_INET6, SOCK_DGRAM, IPPROTO_UDP, &info, 0,
        WSA_FLAG_OVERLAPPED | WSA_FLAG_MULTIPOINT_C_LEAF | WSA_FLAG_MULTIPOINT_D_LEAF, &spi_error);
    assert_true(s != INVALID_SOCKET);
    spi_keep(s);
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 5000));
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    assert_true(TABLE->lpWSPJoinLeaf(s, (struct sockaddr *)&group, sizeof(group), NULL, NULL, NULL,
                                     NULL, JL_BOTH, &spi_error) == s);
    OK(spi_send_one(s, "leaf", 4, 0, &sent));
    OK(spi_recv_one(s, data, sizeof(data), &flags, &received));
    assert_int_equal(received, 4);
}

CASE(WSPJoinLeaf, ipv6_leaf_native, "a group of IPv6 is WSAENETUNREACH")
{
    SOCKADDR_IN6 group = {
        .sin6_family = AF_INET6, .sin6_port = 1, .sin6_addr.s6_addr = {0xff, 2, [15] = 0x42}};
    FAILS(WSAENETUNREACH,
          (int)TABLE->lpWSPJoinLeaf(dual(), (struct sockaddr *)&group, sizeof(group), NULL, NULL,
                                    NULL, NULL, JL_BOTH, &spi_error));
}

CASE(WSPIoctl, ipv6_broadcast, "SIO_GET_BROADCAST_ADDRESS is WSAENOPROTOOPT on an IPv6 socket")
{
    SOCKADDR_IN6 at;
    DWORD returned = 0;
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPIoctl(dual(), SIO_GET_BROADCAST_ADDRESS, NULL, 0, &at,
                                            sizeof(at), &returned, NULL, NULL, NULL, &spi_error));
}
