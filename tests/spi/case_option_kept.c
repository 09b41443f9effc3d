/*
 * Cases of datagram sockets' options that the provider keeps itself or reads from the socket's
 * state, of commands that a provider need not have, and of WSPGetQOSByName.
 */
#include <string.h>

#include "provider/spi/option_names.h"
#include "tests/spi/ipv6_kit.h"

static int get_raw(SOCKET s, int level, int name, void *value, int *bytes)
{
    return TABLE->lpWSPGetSockOpt(s, level, name, value, bytes, &spi_error);
}

/* What a new socket has, and that another value reads back. */
static void keeps(int level, int name, DWORD initial, DWORD other)
{
    SOCKET s = spi_udp();
    assert_int_equal(spi_get_dword(s, level, name), initial);
    OK(spi_set_dword(s, level, name, other));
    assert_int_equal(spi_get_dword(s, level, name), other);
    assert_int_equal(spi_get_dword(spi_udp(), level, name), initial);
}

/* ---- UDP ---- */

CASE(WSPSetSockOpt, udp_no_checksum, "UDP_NOCHECKSUM is FALSE at first and reads back")
{
    keeps(IPPROTO_UDP, UDP_NOCHECKSUM, 0, 1);
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, IPPROTO_UDP, UDP_NOCHECKSUM, 77));
    assert_int_equal(spi_get_dword(s, IPPROTO_UDP, UDP_NOCHECKSUM), 1);
}

CASE(WSPSetSockOpt, udp_coalesced, "UDP_RECV_MAX_COALESCED_SIZE is 0 at first and reads back")
{
    keeps(IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 0, 16384);
}

CASE(WSPSetSockOpt, udp_send_size, "UDP_SEND_MSG_SIZE is 0 at first and reads back")
{
    keeps(IPPROTO_UDP, UDP_SEND_MSG_SIZE, 0, 1200);
    FAILS(WSAEINVAL, spi_set_dword(spi_udp(), IPPROTO_UDP, UDP_SEND_MSG_SIZE, 65508));
}

CASE(WSPSetSockOpt, udp_segments, "UDP_SEND_MSG_SIZE breaks a send into datagrams of that size")
{
    SOCKADDR_IN at;
    SOCKADDR_IN from;
    char data[2500];
    char back[2500];
    DWORD received = 0;
    SOCKET to = spi_bound(&at);
    SOCKET s = spi_udp();
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 7);
    }
    OK(spi_set_dword(s, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 1000));
    OK(spi_send_to_one(s, data, sizeof(data), &at));
    for (DWORD off = 0; off < sizeof(data); off += received) {
        OK(spi_recv_from_one(to, back, sizeof(back), &from, &received));
        assert_int_equal(received, off < 2000 ? 1000 : 500);
        assert_memory_equal(back, data + off, received);
    }
    OK(spi_send_to_one(s, data, 1000, &at));
    OK(spi_recv_from_one(to, back, sizeof(back), &from, &received));
    assert_int_equal(received, 1000);
    OK(spi_send_to_one(s, data, 0, &at));
    OK(spi_recv_from_one(to, back, sizeof(back), &from, &received));
    assert_int_equal(received, 0);
}

CASE(WSPSend, udp_segments_sent, "a send that is broken into datagrams counts all its bytes")
{
    SOCKADDR_IN at;
    char first[700] = {1};
    char second[700] = {2};
    char back[1500];
    DWORD sent = 0;
    DWORD flags = 0;
    DWORD received = 0;
    WSABUF buffers[2] = {{.len = sizeof(first), .buf = first},
                         {.len = sizeof(second), .buf = second}};
    SOCKET to = spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    OK(spi_set_dword(s, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 1000));
    OK(TABLE->lpWSPSend(s, buffers, 2, &sent, 0, NULL, NULL, NULL, &spi_error));
    assert_int_equal(sent, 1400);
    OK(spi_recv_one(to, back, sizeof(back), &flags, &received));
    assert_int_equal(received, 1000);
    assert_int_equal(back[700], 2);
    OK(spi_recv_one(to, back, sizeof(back), &flags, &received));
    assert_int_equal(received, 400);
}

CASE(WSPSetSockOpt, udp_level_of_stream, "UDP's options are not TCP's: WSAENOPROTOOPT")
{
    SOCKET s = spi_new_of(SOCK_STREAM, IPPROTO_TCP, 0);
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_UDP, UDP_NOCHECKSUM, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 1000));
}

/* ---- SOL_SOCKET ---- */

CASE(WSPSetSockOpt, sock_scalability, "SO_PORT_SCALABILITY is FALSE at first and reads back")
{
    keeps(SOL_SOCKET, SO_PORT_SCALABILITY, 0, 1);
}

CASE(WSPSetSockOpt, sock_randomize, "SO_RANDOMIZE_PORT: a bind to port 0 takes one at random")
{
    unsigned in_order = 0;
    u_short last = 0;
    keeps(SOL_SOCKET, SO_RANDOMIZE_PORT, 0, 1);
    for (unsigned i = 0; i < 16; i++) {
        SOCKADDR_IN any = spi_at("127.0.0.1", 0);
        SOCKET s = spi_udp();
        OK(spi_set_dword(s, SOL_SOCKET, SO_RANDOMIZE_PORT, 1));
        OK(spi_bind_at(s, &any));
        u_short port = __builtin_bswap16(spi_name(s).sin_port);
        assert_true(port >= 49152);
        in_order += port == last + 1;
        last = port;
    }
    assert_true(in_order < 8);
}

CASE(WSPSetSockOpt, sock_randomize_late, "SO_RANDOMIZE_PORT of a bound socket is WSAEINVAL")
{
    FAILS(WSAEINVAL, spi_set_dword(spi_bound(NULL), SOL_SOCKET, SO_RANDOMIZE_PORT, 1));
}

CASE(WSPGetSockOpt, sock_group, "SO_GROUP_ID is 0, no group, and can only be read")
{
    SOCKET s = spi_udp();
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_GROUP_ID), 0);
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_GROUP_ID, 1));
}

CASE(WSPSetSockOpt, sock_group_priority, "SO_GROUP_PRIORITY is 0 at first and reads back")
{
    keeps(SOL_SOCKET, SO_GROUP_PRIORITY, 0, 5);
}

CASE(WSPSetSockOpt, sock_conditional, "SO_CONDITIONAL_ACCEPT is a stream's: WSAENOPROTOOPT")
{
    FAILS(WSAENOPROTOOPT, spi_set_dword(spi_udp(), SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 1));
}

CASE(WSPSetSockOpt, kept_fault, "a kept option cut short, or unreadable, is WSAEFAULT")
{
    SOCKET s = spi_udp();
    DWORD value = 1;
    FAILS(WSAEFAULT,
          TABLE->lpWSPSetSockOpt(s, IPPROTO_UDP, UDP_NOCHECKSUM, (char *)&value, 3, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_PORT_SCALABILITY, spi_bad_pointer(),
                                            4, &spi_error));
}

/* ---- SO_BSP_STATE ---- */

struct bsp_room {
    CSADDR_INFO info;
    char room[128];
};

CASE(WSPGetSockOpt, bsp_unbound, "SO_BSP_STATE of an unbound socket: type and protocol, no address")
{
    struct bsp_room bsp;
    int bytes = sizeof(bsp);
    OK(get_raw(spi_udp(), SOL_SOCKET, SO_BSP_STATE, &bsp, &bytes));
    assert_int_equal(bytes, sizeof(CSADDR_INFO));
    assert_int_equal(bsp.info.iSocketType, SOCK_DGRAM);
    assert_int_equal(bsp.info.iProtocol, IPPROTO_UDP);
    assert_null(bsp.info.LocalAddr.lpSockaddr);
    assert_int_equal(bsp.info.LocalAddr.iSockaddrLength, 0);
    assert_null(bsp.info.RemoteAddr.lpSockaddr);
    assert_int_equal(bsp.info.RemoteAddr.iSockaddrLength, 0);
}

CASE(WSPGetSockOpt, bsp_bound, "SO_BSP_STATE of a bound socket has its local address")
{
    struct bsp_room bsp;
    int bytes = sizeof(bsp);
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(get_raw(s, SOL_SOCKET, SO_BSP_STATE, &bsp, &bytes));
    assert_int_equal(bytes, sizeof(CSADDR_INFO) + sizeof(at));
    assert_int_equal(bsp.info.LocalAddr.iSockaddrLength, sizeof(at));
    assert_memory_equal(bsp.info.LocalAddr.lpSockaddr, &at, sizeof(at));
    assert_null(bsp.info.RemoteAddr.lpSockaddr);
}

CASE(WSPGetSockOpt, bsp_connected, "SO_BSP_STATE of a connected socket has both addresses")
{
    struct bsp_room bsp;
    int bytes = sizeof(bsp);
    SOCKADDR_IN at;
    SOCKADDR_IN6 peer;
    (void)spi_bound(&at);
    SOCKET s = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    peer = ipv6_mapped("127.0.0.1", __builtin_bswap16(at.sin_port));
    OK(ipv6_connect(s, &peer));
    OK(get_raw(s, SOL_SOCKET, SO_BSP_STATE, &bsp, &bytes));
    SOCKADDR_IN6 local = ipv6_name(s);
    assert_int_equal(bytes, sizeof(CSADDR_INFO) + 2 * sizeof(peer));
    assert_memory_equal(bsp.info.LocalAddr.lpSockaddr, &local, sizeof(local));
    assert_memory_equal(bsp.info.RemoteAddr.lpSockaddr, &peer, sizeof(peer));
    assert_int_equal(bsp.info.RemoteAddr.iSockaddrLength, sizeof(peer));
}

CASE(WSPGetSockOpt, bsp_short,
     "SO_BSP_STATE: less than the structure is WSAEFAULT, nothing changes")
{
    char raw[sizeof(CSADDR_INFO)] = {0x5a};
    int bytes = sizeof(CSADDR_INFO) - 1;
    SOCKET s = spi_bound(NULL);
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_BSP_STATE, raw, &bytes));
    assert_int_equal(bytes, sizeof(CSADDR_INFO) - 1);
    bytes = sizeof(CSADDR_INFO);
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_BSP_STATE, raw, &bytes));
    assert_int_equal(bytes, sizeof(CSADDR_INFO));
    assert_int_equal(raw[0], 0x5a);
    bytes = sizeof(struct bsp_room);
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_BSP_STATE, spi_bad_pointer(), &bytes));
}

CASE(WSPSetSockOpt, bsp_set, "SO_BSP_STATE can only be read: WSAENOPROTOOPT")
{
    FAILS(WSAENOPROTOOPT, spi_set_dword(spi_udp(), SOL_SOCKET, SO_BSP_STATE, 1));
}

/* ---- IP ---- */

CASE(WSPGetSockOpt, ip_mtu, "IP_MTU: a connected socket's path; not connected is WSAENOTCONN")
{
    SOCKADDR_IN at;
    DWORD value = 0;
    int bytes = sizeof(value);
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    FAILS(WSAENOTCONN, get_raw(s, IPPROTO_IP, IP_MTU, &value, &bytes));
    OK(spi_connect_to(s, &at));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MTU), 65535); /* the loopback NIC's */
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IP, IP_MTU, 1500));
}

CASE(WSPSetSockOpt, ip_dont_fragment, "IP_DONTFRAGMENT is FALSE at first and reads back")
{
    keeps(IPPROTO_IP, IP_DONTFRAGMENT, 0, 1);
}

CASE(WSPSetSockOpt, ip_mtu_discover, "IP_MTU_DISCOVER: NOT_SET at first; DO and PROBE set DF")
{
    keeps(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_NOT_SET, IP_PMTUDISC_PROBE);
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_DONTFRAGMENT), 1);
    OK(spi_set_dword(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_DONTFRAGMENT), 0);
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_MAX));
    SOCKET stream = spi_new_of(SOCK_STREAM, IPPROTO_TCP, 0);
    OK(spi_set_dword(stream, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO));
    FAILS(WSAENOPROTOOPT, spi_set_dword(stream, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT));
}

CASE(WSPSetSockOpt, ipv6_dont_fragment, "IPV6_DONTFRAG is FALSE at first and reads back")
{
    SOCKET v6 = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
    OK(spi_set_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG, 1));
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG), 1);
    assert_int_equal(spi_get_dword(v6, IPPROTO_IP, IP_DONTFRAGMENT), 1);
    OK(spi_set_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG, 0));
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
    FAILS(WSAENOPROTOOPT,
          spi_set_dword(ipv6_dual(SOCK_STREAM, IPPROTO_TCP), IPPROTO_IPV6, IPV6_DONTFRAG, 1));
}

CASE(WSPSetSockOpt, ipv6_mtu_discover, "IPV6_MTU_DISCOVER: NOT_SET at first; DO and PROBE set DF")
{
    SOCKET v6 = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IP_PMTUDISC_NOT_SET);
    OK(spi_set_dword(v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_PROBE));
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG), 1);
    OK(spi_set_dword(v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT));
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
    FAILS(WSAEINVAL, spi_set_dword(v6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_MAX));
}

CASE(WSPSetSockOpt, ip_unicast_if, "IP_UNICAST_IF: 0 is no interface in particular")
{
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, IPPROTO_IP, IP_UNICAST_IF, 0));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_UNICAST_IF), 0);
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(s, IPPROTO_IP, IP_UNICAST_IF, 0x07000000));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_UNICAST_IF), 0);
    SOCKET v6 = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    OK(spi_set_dword(v6, IPPROTO_IPV6, IPV6_UNICAST_IF, 0));
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_UNICAST_IF), 0);
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(v6, IPPROTO_IPV6, IPV6_UNICAST_IF, 7));
}

CASE(WSPGetSockOpt, ip_options, "IP_OPTIONS is not supported: getsockopt fails, as its page says")
{
    char value[40];
    int bytes = sizeof(value);
    SOCKET s = spi_udp();
    FAILS(WSAENOPROTOOPT, get_raw(s, IPPROTO_IP, IP_OPTIONS, value, &bytes));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IP, IP_OPTIONS, 1));
}

CASE(WSPSetSockOpt, ip_header, "IP_HDRINCL is for raw sockets only: WSAENOPROTOOPT")
{
    FAILS(WSAENOPROTOOPT, spi_set_dword(spi_udp(), IPPROTO_IP, IP_HDRINCL, 1));
}

/* ---- commands ---- */

CASE(WSPIoctl, ioctl_not_had, "commands with a word for providers without them: WSAENOPROTOOPT")
{
    static const DWORD codes[] = {SIO_FLUSH,
                                  SIO_ENABLE_CIRCULAR_QUEUEING,
                                  SIO_ASSOCIATE_HANDLE,
                                  SIO_TRANSLATE_HANDLE,
                                  SIO_GET_QOS,
                                  SIO_SET_QOS,
                                  SIO_GET_GROUP_QOS,
                                  SIO_SET_GROUP_QOS};
    SOCKET s = spi_udp();
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        DWORD value[64] = {0};
        DWORD returned = 0;
        FAILS(WSAENOPROTOOPT,
              TABLE->lpWSPIoctl(s, codes[i], value, sizeof(value), value, sizeof(value), &returned,
                                NULL, NULL, NULL, &spi_error));
    }
}

CASE(WSPIoctl, ioctl_streams_only, "commands of TCP on a datagram socket: their pages' errors")
{
    TCP_INITIAL_RTO_PARAMETERS rto = {.Rtt = 500};
    DWORD value = 1;
    DWORD returned = 0;
    SOCKET s = spi_udp();
    FAILS(WSAEINVAL, spi_ioctl_in(s, SIO_LOOPBACK_FAST_PATH, 1));
    FAILS(WSAEINVAL, TABLE->lpWSPIoctl(s, SIO_TCP_INITIAL_RTO, &rto, sizeof(rto), NULL, 0,
                                       &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEOPNOTSUPP, TABLE->lpWSPIoctl(s, SIO_IDEAL_SEND_BACKLOG_QUERY, NULL, 0, &value,
                                           sizeof(value), &returned, NULL, NULL, NULL, &spi_error));
}

/* ---- WSPGetQOSByName ---- */

static int qos(SOCKET s, void *name, void *out)
{
    return TABLE->lpWSPGetQOSByName(s, name, out, &spi_error) ? 0 : SOCKET_ERROR;
}

CASE(WSPGetQOSByName, qos_no_template, "a name that no template has is WSAEINVAL")
{
    static WCHAR text[] = L"G711";
    WSABUF name = {.len = sizeof(text), .buf = (char *)text};
    QOS out;
    FAILS(WSAEINVAL, qos(spi_udp(), &name, &out));
    assert_int_equal(wcscmp(text, L"G711"), 0);
}

CASE(WSPGetQOSByName, qos_list, "an empty name asks for the list, which has none; lpQOS is ignored")
{
    WCHAR text[8] = L"";
    WSABUF name = {.len = sizeof(text), .buf = (char *)text};
    OK(qos(spi_udp(), &name, NULL));
    assert_int_equal(text[0], 0);
}

CASE(WSPGetQOSByName, qos_fault, "memory that cannot be used is WSAEFAULT")
{
    static WCHAR text[] = L"G711";
    WSABUF name = {.len = sizeof(text), .buf = (char *)text};
    WSABUF bad = {.len = 8, .buf = spi_bad_pointer()};
    WSABUF none = {.len = 1, .buf = (char *)text};
    QOS out;
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT, qos(s, NULL, &out));
    FAILS(WSAEFAULT, qos(s, spi_bad_pointer(), &out));
    FAILS(WSAEFAULT, qos(s, &bad, &out));
    FAILS(WSAEFAULT, qos(s, &none, &out));
    FAILS(WSAEFAULT, qos(s, &name, spi_bad_pointer()));
}

CASE(WSPGetQOSByName, qos_any_socket, "a stream, a bound and a connected socket answer the same")
{
    static WCHAR text[] = L"G711";
    WSABUF name = {.len = sizeof(text), .buf = (char *)text};
    SOCKADDR_IN at;
    QOS out;
    FAILS(WSAEINVAL, qos(spi_new_of(SOCK_STREAM, IPPROTO_TCP, 0), &name, &out));
    SOCKET s = spi_bound(&at);
    FAILS(WSAEINVAL, qos(s, &name, &out));
    OK(spi_connect_to(s, &at));
    FAILS(WSAEINVAL, qos(s, &name, &out));
}
