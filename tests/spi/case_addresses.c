/*
 * Cases of a NIC with several addresses, for datagram sockets: tests/spi/run gives the dataplane
 * 10.77.0.1/24, 10.77.0.9/24 and 10.78.0.1/16. The rules are those of Microsoft's pages.
 */
#include <string.h>

#include "rings/byteorder.h"
#include "tests/spi/ipv6_kit.h"
#include "tests/spi/message_kit.h"

static const char *const own[] = {SPI_OWN, SPI_OWN_B, SPI_OWN_C};
#define OWN_COUNT 3

static int command(SOCKET s, DWORD code, const void *in, DWORD in_bytes, void *out, DWORD out_bytes,
                   DWORD *returned)
{
    return TABLE->lpWSPIoctl(s, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes, returned,
                             NULL, NULL, NULL, &spi_error);
}

static uint32_t ip_of(const char *text)
{
    return spi_at(text, 0).sin_addr.s_addr;
}

static SOCKET bound_to(const char *ip, SOCKADDR_IN *at)
{
    SOCKET s = spi_udp();
    SOCKADDR_IN local = spi_at(ip, 0);
    OK(spi_bind_at(s, &local));
    *at = spi_name(s);
    return s;
}

static void expect_from(SOCKET s, const char *ip, const char *text)
{
    char data[64];
    DWORD received = 0;
    SOCKADDR_IN from;
    OK(spi_recv_from_one(s, data, sizeof(data), &from, &received));
    assert_int_equal(received, strlen(text));
    assert_memory_equal(data, text, received);
    assert_int_equal(from.sin_addr.s_addr, ip_of(ip));
}

static void send_text(SOCKET s, const char *text, const char *ip, u_short port_be16)
{
    SOCKADDR_IN to = spi_at(ip, 0);
    to.sin_port = port_be16;
    OK(spi_send_to_one(s, text, (DWORD)strlen(text), &to));
}

/* ---- binding ---- */

CASE(WSPBind, addresses_bind, "a name is an address of an interface: any of them")
{
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        SOCKADDR_IN at;
        (void)bound_to(own[i], &at);
        assert_int_equal(at.sin_addr.s_addr, ip_of(own[i]));
        assert_int_not_equal(at.sin_port, 0);
    }
}

CASE(WSPBind, addresses_bind_other, "WSAEADDRNOTAVAIL: a valid address, but not of this machine")
{
    SOCKET s = spi_udp();
    SOCKADDR_IN at = spi_at("10.78.0.2", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(s, &at));
    at = spi_at("10.77.0.10", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(s, &at));
}

CASE(WSPBind, addresses_bind_same_port, "WSAEADDRINUSE is of address and port together")
{
    SOCKADDR_IN at;
    SOCKET b = spi_udp(), again = spi_udp();
    (void)bound_to(own[0], &at);
    at.sin_addr.s_addr = ip_of(own[1]);
    OK(spi_bind_at(b, &at));
    FAILS(WSAEADDRINUSE, spi_bind_at(again, &at));
}

CASE(WSPRecvFrom, addresses_recv_bound, "a socket bound to an address gets what is sent to it")
{
    SOCKADDR_IN at;
    SOCKET s = bound_to(own[1], &at);
    SOCKET sender = spi_udp(), any = spi_udp();
    SOCKADDR_IN all = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(any, &all));
    all = spi_name(any);
    send_text(sender, "other", own[0], at.sin_port);
    send_text(sender, "ours", own[1], at.sin_port);
    expect_from(s, own[1], "ours");
}

CASE(WSPRecvFrom, addresses_recv_any, "INADDR_ANY receives on all addresses of all interfaces")
{
    SOCKET s = spi_udp(), sender = spi_udp();
    SOCKADDR_IN at = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        send_text(sender, own[i], own[i], at.sin_port);
        expect_from(s, own[i], own[i]);
    }
}

CASE(WSPSendTo, addresses_send_bound, "the source of a bound socket is the address it is bound to")
{
    SOCKADDR_IN at, from;
    SOCKET s = bound_to(own[0], &at);
    SOCKET sender = bound_to(own[2], &from);
    send_text(sender, "C", own[0], at.sin_port);
    expect_from(s, own[2], "C");
}

CASE(WSPConnect, addresses_connect, "connecting chooses the local address by the peer")
{
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        SOCKADDR_IN at;
        (void)bound_to(own[i], &at);
        SOCKET s = spi_udp();
        OK(spi_connect_to(s, &at));
        assert_int_equal(spi_name(s).sin_addr.s_addr, ip_of(own[i]));
    }
}

CASE(WSPGetSockName, addresses_name_any, "of a socket bound to INADDR_ANY it says INADDR_ANY")
{
    SOCKADDR_IN at = spi_at("0.0.0.0", 0);
    SOCKET s = spi_udp();
    OK(spi_bind_at(s, &at));
    assert_int_equal(spi_name(s).sin_addr.s_addr, 0);
    send_text(s, "x", own[1], 9);
    assert_int_equal(spi_name(s).sin_addr.s_addr, 0);
}

/* ---- commands ---- */

CASE(WSPIoctl, addresses_list, "SIO_ADDRESS_LIST_QUERY: each address that can be bound to")
{
    union {
        SOCKET_ADDRESS_LIST list;
        char bytes[1024];
    } answer;
    DWORD returned = 0;
    OK(command(spi_udp(), SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, sizeof(answer), &returned));
    assert_int_equal(answer.list.iAddressCount, OWN_COUNT);
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        const SOCKADDR_IN *in = (const SOCKADDR_IN *)(void *)answer.list.Address[i].lpSockaddr;
        assert_int_equal(in->sin_addr.s_addr, ip_of(own[i]));
    }
    assert_int_equal(returned, offsetof(SOCKET_ADDRESS_LIST, Address) +
                                   OWN_COUNT * (sizeof(SOCKET_ADDRESS) + sizeof(SOCKADDR_IN)));
}

CASE(WSPIoctl, addresses_routing, "SIO_ROUTING_INTERFACE_QUERY: the address towards each of them")
{
    SOCKET s = spi_udp();
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        DWORD returned = 0;
        SOCKADDR_IN to = spi_at(own[i], 0), from;
        OK(command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from),
                   &returned));
        assert_int_equal(from.sin_addr.s_addr, ip_of(own[i]));
    }
}

CASE(WSPIoctl, addresses_interfaces, "SIO_GET_INTERFACE_LIST: an entry for each address, its mask")
{
    static const uint32_t masks[] = {0xffffff00, 0xffffff00, 0xffff0000};
    INTERFACE_INFO list[8];
    DWORD returned = 0;
    OK(command(spi_udp(), SIO_GET_INTERFACE_LIST, NULL, 0, list, sizeof(list), &returned));
    assert_int_equal(returned, (OWN_COUNT + 1) * sizeof(list[0]));
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        assert_int_equal(list[i].iiAddress.AddressIn.sin_addr.s_addr, ip_of(own[i]));
        assert_int_equal(list[i].iiNetmask.AddressIn.sin_addr.s_addr, rs_be32(masks[i]));
        assert_int_equal(list[i].iiFlags, IFF_UP | IFF_BROADCAST | IFF_MULTICAST);
    }
    assert_int_equal(list[OWN_COUNT].iiFlags & IFF_LOOPBACK, IFF_LOOPBACK);
}

/* ---- control data ---- */

CASE(WSARecvMsg, addresses_pktinfo, "IP_PKTINFO: the address it came to, one index for them all")
{
    struct message in;
    SOCKET s = spi_udp(), sender = spi_udp();
    SOCKADDR_IN at = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, 1));
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        send_text(sender, "x", own[i], at.sin_port);
        message_clear(&in);
        OK(message_recv(s, &in));
        assert_int_equal(message_pktinfo(&in).ipi_addr.s_addr, ip_of(own[i]));
        assert_int_equal(message_pktinfo(&in).ipi_ifindex, 1);
    }
}

CASE(WSASendMsg, addresses_pktinfo_source, "IP_PKTINFO: the source, any address of the interface")
{
    SOCKADDR_IN at;
    SOCKET s = bound_to(own[0], &at), sender = spi_udp();
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        struct message out;
        IN_PKTINFO info = {.ipi_addr.s_addr = ip_of(own[i]), .ipi_ifindex = i % 2};
        message_make(&out, own[i], (DWORD)strlen(own[i]), &at);
        message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
        OK(message_send(sender, &out));
        expect_from(s, own[i], own[i]);
    }
}

CASE(WSASendMsg, addresses_pktinfo_index,
     "IP_PKTINFO with an index alone: its address in the network")
{
    SOCKADDR_IN at;
    struct message out;
    IN_PKTINFO info = {.ipi_ifindex = 1};
    SOCKET s = bound_to(own[2], &at);
    message_make(&out, "x", 1, &at);
    message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    OK(message_send(spi_udp(), &out));
    expect_from(s, own[2], "x");
}

/* ---- groups ---- */

CASE(WSPSetSockOpt, addresses_join, "IP_ADD_MEMBERSHIP: the interface by any of its addresses")
{
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        SOCKET s = spi_udp(), sender = spi_udp();
        SOCKADDR_IN at = spi_at("0.0.0.0", 0);
        struct ip_mreq mreq = {.imr_multiaddr = spi_at("239.7.7.7", 0).sin_addr,
                               .imr_interface = spi_at(own[i], 0).sin_addr};
        OK(spi_bind_at(s, &at));
        at = spi_name(s);
        OK(TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&mreq,
                                  sizeof(mreq), &spi_error));
        send_text(sender, "tick", "239.7.7.7", at.sin_port);
        expect_from(s, own[0], "tick");
        OK(TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, (const char *)&mreq,
                                  sizeof(mreq), &spi_error));
        mreq.imr_interface = spi_at("10.77.0.10", 0).sin_addr;
        FAILS(WSAEADDRNOTAVAIL,
              TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&mreq,
                                     sizeof(mreq), &spi_error));
    }
}

CASE(WSPSetSockOpt, addresses_multicast_if, "IP_MULTICAST_IF takes any address of the interface")
{
    SOCKADDR_IN at;
    SOCKET s = bound_to(own[0], &at);
    for (unsigned i = 0; i < OWN_COUNT; i++) {
        OK(spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, ip_of(own[i])));
        assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_IF), ip_of(own[i]));
    }
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, ip_of("10.77.0.10")));
}

CASE(WSPRecvFrom, addresses_broadcast, "SO_BROADCAST: a network's broadcast is for those in it")
{
    SOCKADDR_IN at, c;
    SOCKET any = spi_udp(), in = bound_to(own[2], &c), sender = spi_udp();
    OK(spi_set_dword(sender, SOL_SOCKET, SO_BROADCAST, 1));
    OK(spi_set_dword(any, SOL_SOCKET, SO_REUSEADDR, 1));
    at = spi_at(own[0], 0);
    at.sin_port = c.sin_port;
    OK(spi_bind_at(any, &at));
    send_text(sender, "C", "10.78.255.255", c.sin_port);
    expect_from(in, own[0], "C");
    send_text(sender, "A", "10.77.0.255", c.sin_port);
    expect_from(any, own[0], "A");
}

CASE(WSPSetSockOpt, addresses_dont_fragment,
     "IP_DONTFRAGMENT: what stays on the host needs not fit")
{
    static char big[20000];
    SOCKADDR_IN at;
    DWORD received = 0, flags = 0;
    SOCKET s = bound_to(own[2], &at), sender = spi_udp();
    OK(spi_set_dword(sender, IPPROTO_IP, IP_DONTFRAGMENT, 1));
    OK(spi_send_to_one(sender, big, sizeof(big), &at));
    OK(spi_recv_one(s, big, sizeof(big), &flags, &received));
    assert_int_equal(received, sizeof(big));
}

CASE(WSPBind, addresses_mapped, "a mapped address of a dual-mode socket is any of them too")
{
    SOCKADDR_IN6 at = ipv6_mapped(SPI_OWN_C, 0);
    SOCKET s = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    OK(TABLE->lpWSPBind(s, (SOCKADDR *)&at, sizeof(at), &spi_error));
    at = ipv6_mapped("10.78.0.2", 0);
    s = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    FAILS(WSAEADDRNOTAVAIL, TABLE->lpWSPBind(s, (SOCKADDR *)&at, sizeof(at), &spi_error));
}

/* ---- interfaces by index ---- */

static int join_by(SOCKET s, int name, u_long interface_be32)
{
    struct ip_mreq mreq = {.imr_multiaddr = spi_at("239.7.7.8", 0).sin_addr,
                           .imr_interface.s_addr = interface_be32};
    return TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, name, (const char *)&mreq, sizeof(mreq),
                                  &spi_error);
}

CASE(WSPSetSockOpt, addresses_join_index, "IP_ADD_MEMBERSHIP: 0.x.x.x is an interface index")
{
    SOCKET s = spi_udp(), sender = spi_udp();
    SOCKADDR_IN at = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    OK(join_by(s, IP_ADD_MEMBERSHIP, rs_be32(1)));
    send_text(sender, "tick", "239.7.7.8", at.sin_port);
    expect_from(s, own[0], "tick");
    FAILS(WSAEADDRNOTAVAIL, join_by(s, IP_DROP_MEMBERSHIP, rs_be32(2)));
    OK(join_by(s, IP_DROP_MEMBERSHIP, rs_be32(1)));
    FAILS(WSAEADDRNOTAVAIL, join_by(s, IP_ADD_MEMBERSHIP, rs_be32(2)));
    FAILS(WSAEADDRNOTAVAIL, join_by(s, IP_ADD_MEMBERSHIP, rs_be32(0xffffff)));
}

CASE(WSPSetSockOpt, addresses_group_index, "MCAST_JOIN_GROUP: gr_interface is an interface index")
{
    SOCKADDR_IN group = spi_at("239.7.7.9", 0), at = spi_at("0.0.0.0", 0);
    GROUP_REQ req = {.gr_interface = 1};
    SOCKET s = spi_udp();
    memcpy(&req.gr_group, &group, sizeof(group));
    OK(spi_bind_at(s, &at));
    OK(TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, MCAST_JOIN_GROUP, (const char *)&req, sizeof(req),
                              &spi_error));
    OK(TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, MCAST_LEAVE_GROUP, (const char *)&req, sizeof(req),
                              &spi_error));
    for (ULONG index = 2; index != 0; index = index == 2 ? 0x1000001u : 0) {
        req.gr_interface = index;
        FAILS(WSAEADDRNOTAVAIL,
              TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, MCAST_JOIN_GROUP, (const char *)&req,
                                     sizeof(req), &spi_error));
    }
}

CASE(WSPSetSockOpt, addresses_multicast_if_index, "IP_MULTICAST_IF: 0.x.x.x is an interface index")
{
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, rs_be32(1)));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_IF), ip_of(own[0]));
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, rs_be32(2)));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_IF), ip_of(own[0]));
    OK(spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, 0));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_IF), 0);
}

CASE(WSPSetSockOpt, addresses_multicast_if_v6, "IPV6_MULTICAST_IF is an interface index")
{
    SOCKET s = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF), 1);
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 2));
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 0x1000001));
    assert_int_equal(spi_get_dword(s, IPPROTO_IPV6, IPV6_MULTICAST_IF), 1);
}

CASE(WSPSetSockOpt, addresses_unicast_if, "IP_UNICAST_IF: an index in network byte order")
{
    SOCKADDR_IN at;
    SOCKET s = spi_udp(), peer = bound_to(own[2], &at);
    OK(spi_set_dword(s, IPPROTO_IP, IP_UNICAST_IF, rs_be32(1)));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_UNICAST_IF), rs_be32(1));
    FAILS(WSAEADDRNOTAVAIL, spi_set_dword(s, IPPROTO_IP, IP_UNICAST_IF, 1));
    send_text(s, "x", own[2], at.sin_port);
    expect_from(peer, own[2], "x");
    SOCKET v6 = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    OK(spi_set_dword(v6, IPPROTO_IPV6, IPV6_UNICAST_IF, 1)); /* the host's byte order */
    assert_int_equal(spi_get_dword(v6, IPPROTO_IPV6, IPV6_UNICAST_IF), 1);
    assert_int_equal(spi_get_dword(v6, IPPROTO_IP, IP_UNICAST_IF), rs_be32(1));
}
