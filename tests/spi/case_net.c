/*
 * Cases of the commands about addresses, interfaces and routes. The dataplane's first
 * address is 10.77.0.1/24; case_addresses.c is about the others. The rules are those of Microsoft's
 * pages on each command.
 */
#include <string.h>

#include "rings/byteorder.h"
#include "tests/spi/ipv6_kit.h"

#define HOST "10.77.0.1"

static int command(SOCKET s, DWORD code, const void *in, DWORD in_bytes, void *out, DWORD out_bytes,
                   DWORD *returned)
{
    return TABLE->lpWSPIoctl(s, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes, returned,
                             NULL, NULL, NULL, &spi_error);
}

static union {
    SOCKET_ADDRESS_LIST list;
    INTERFACE_INFO interfaces[8];
    char bytes[1024];
} answer;

static const SOCKADDR_IN *listed(INT i)
{
    return (const SOCKADDR_IN *)(const void *)answer.list.Address[i].lpSockaddr;
}

/* ---- SIO_ADDRESS_LIST_QUERY ---- */

CASE(WSPIoctl, address_list, "SIO_ADDRESS_LIST_QUERY: the addresses to bind to, 127.* excluded")
{
    DWORD returned = 0;
    OK(command(spi_udp(), SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, sizeof(answer), &returned));
    assert_true(answer.list.iAddressCount >= 1);
    assert_int_equal(answer.list.Address[0].iSockaddrLength, sizeof(SOCKADDR_IN));
    assert_int_equal(listed(0)->sin_family, AF_INET);
    assert_int_equal(listed(0)->sin_port, 0);
    assert_int_equal(listed(0)->sin_addr.s_addr, spi_at(HOST, 0).sin_addr.s_addr);
    for (INT i = 0; i < answer.list.iAddressCount; i++) {
        assert_int_not_equal(listed(i)->sin_addr.s_addr & 0xff, 127);
    }
}

CASE(WSPIoctl, address_list_bind, "SIO_ADDRESS_LIST_QUERY: what it lists can be bound to")
{
    DWORD returned = 0;
    SOCKET s = spi_udp();
    OK(command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, sizeof(answer), &returned));
    for (INT i = 0; i < answer.list.iAddressCount; i++) {
        s = spi_udp();
        OK(spi_bind_at(s, listed(i)));
        assert_int_equal(spi_name(s).sin_addr.s_addr, listed(i)->sin_addr.s_addr);
    }
}

CASE(WSPIoctl, address_list_size, "SIO_ADDRESS_LIST_QUERY: WSAEFAULT and the size when too small")
{
    DWORD whole = 0, returned = 0;
    SOCKET s = spi_udp();
    OK(command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, sizeof(answer), &whole));
    FAILS(WSAEFAULT, command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, whole - 1, &returned));
    assert_int_equal(returned, whole);
    returned = 0;
    FAILS(WSAEFAULT, command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, NULL, 0, &returned));
    assert_int_equal(returned, whole);
}

CASE(WSPIoctl, address_list_bad, "SIO_ADDRESS_LIST_QUERY: bad memory is WSAEFAULT, input WSAEINVAL")
{
    DWORD returned = 0;
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT,
          command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, (void *)16, sizeof(answer), &returned));
    FAILS(WSAEFAULT, command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, sizeof(answer), NULL));
    FAILS(WSAEINVAL,
          command(s, SIO_ADDRESS_LIST_QUERY, "x", 1, &answer, sizeof(answer), &returned));
}

CASE(WSPIoctl, address_list_v6, "SIO_ADDRESS_LIST_QUERY: in the socket's family")
{
    DWORD returned = 0;
    SOCKADDR_IN6 expected = ipv6_mapped(HOST, 0);
    SOCKET s = ipv6_dual(SOCK_DGRAM, IPPROTO_UDP);
    OK(command(s, SIO_ADDRESS_LIST_QUERY, NULL, 0, &answer, sizeof(answer), &returned));
    assert_true(answer.list.iAddressCount >= 1);
    assert_int_equal(answer.list.Address[0].iSockaddrLength, sizeof(SOCKADDR_IN6));
    assert_memory_equal(answer.list.Address[0].lpSockaddr, &expected, sizeof(expected));
}

/* ---- SIO_ADDRESS_LIST_CHANGE, SIO_ROUTING_INTERFACE_CHANGE ---- */

CASE(WSPIoctl, address_change_nonblocking,
     "SIO_ADDRESS_LIST_CHANGE of a non-blocking socket is WSAEWOULDBLOCK")
{
    DWORD returned = 77;
    SOCKET s = spi_udp();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, command(s, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0, &returned));
    assert_int_equal(returned, 0);
    FAILS(WSAEFAULT, command(s, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0, NULL));
}

CASE(WSPIoctl, routing_change_nonblocking,
     "SIO_ROUTING_INTERFACE_CHANGE of a non-blocking socket is WSAEWOULDBLOCK")
{
    DWORD returned = 77;
    SOCKADDR_IN to = spi_at("10.77.0.2", 0);
    SOCKET s = spi_udp();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK,
          command(s, SIO_ROUTING_INTERFACE_CHANGE, &to, sizeof(to), NULL, 0, &returned));
    FAILS(WSAEFAULT, command(s, SIO_ROUTING_INTERFACE_CHANGE, NULL, 0, NULL, 0, &returned));
}

/* ---- SIO_ROUTING_INTERFACE_QUERY ---- */

CASE(WSPIoctl, routing_query,
     "SIO_ROUTING_INTERFACE_QUERY: the local address towards the remote one")
{
    DWORD returned = 0;
    SOCKADDR_IN to = spi_at(HOST, 80), from;
    SOCKET s = spi_udp();
    OK(command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from), &returned));
    assert_int_equal(returned, sizeof(from));
    assert_int_equal(from.sin_family, AF_INET);
    assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
    assert_int_equal(from.sin_port, 0);
    to = spi_at("127.0.0.9", 0);
    OK(command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from), &returned));
    assert_int_equal(from.sin_addr.s_addr, rs_be32(INADDR_LOOPBACK));
}

CASE(WSPIoctl, routing_query_none, "SIO_ROUTING_INTERFACE_QUERY without a route is WSAENETUNREACH")
{
    DWORD returned = 0;
    SOCKADDR_IN to = spi_at("192.0.2.1", 80), from;
    SOCKET s = spi_udp();
    FAILS(WSAENETUNREACH,
          command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from), &returned));
    assert_int_equal(returned, 0);
}

CASE(WSPIoctl, routing_query_size,
     "SIO_ROUTING_INTERFACE_QUERY: WSAEFAULT and the size when the output is too small")
{
    DWORD returned = 0;
    SOCKADDR_IN to = spi_at(HOST, 80), from;
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT, command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from,
                             sizeof(from) - 1, &returned));
    assert_int_equal(returned, sizeof(from));
}

CASE(WSPIoctl, routing_query_bad,
     "SIO_ROUTING_INTERFACE_QUERY: a bad address is WSAEFAULT, WSAEAFNOSUPPORT or WSAEINVAL")
{
    DWORD returned = 0;
    SOCKADDR_IN to = spi_at(HOST, 80), from;
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT, command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to) - 1, &from,
                             sizeof(from), &returned));
    to.sin_family = AF_UNSPEC;
    FAILS(WSAEAFNOSUPPORT,
          command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from), &returned));
    to = spi_at("0.0.0.0", 80);
    FAILS(WSAEINVAL,
          command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from), &returned));
}

CASE(WSPIoctl, routing_query_unbound, "SIO_ROUTING_INTERFACE_QUERY leaves the socket unbound")
{
    DWORD returned = 0;
    SOCKADDR_IN to = spi_at(HOST, 80), from;
    int bytes = sizeof(from);
    SOCKET s = spi_udp();
    OK(command(s, SIO_ROUTING_INTERFACE_QUERY, &to, sizeof(to), &from, sizeof(from), &returned));
    FAILS(WSAEINVAL, TABLE->lpWSPGetSockName(s, (LPSOCKADDR)&from, &bytes, &spi_error));
}

/* ---- SIO_GET_INTERFACE_LIST ---- */

CASE(WSPIoctl, interface_list, "SIO_GET_INTERFACE_LIST: each interface, its mask and flags")
{
    DWORD returned = 0;
    OK(command(spi_udp(), SIO_GET_INTERFACE_LIST, NULL, 0, &answer, sizeof(answer), &returned));
    const DWORD count = returned / (DWORD)sizeof(INTERFACE_INFO);
    assert_true(count >= 2 && returned == count * sizeof(INTERFACE_INFO));
    const INTERFACE_INFO *nic = &answer.interfaces[0], *loopback = &answer.interfaces[count - 1];
    assert_int_equal(nic->iiAddress.AddressIn.sin_addr.s_addr, spi_at(HOST, 0).sin_addr.s_addr);
    assert_int_equal(nic->iiNetmask.AddressIn.sin_addr.s_addr, rs_be32(0xffffff00));
    assert_int_equal(nic->iiBroadcastAddress.AddressIn.sin_addr.s_addr, INADDR_BROADCAST);
    assert_int_equal(nic->iiFlags, IFF_UP | IFF_BROADCAST | IFF_MULTICAST);
    assert_int_equal(loopback->iiAddress.AddressIn.sin_addr.s_addr, rs_be32(INADDR_LOOPBACK));
    assert_int_equal(loopback->iiNetmask.AddressIn.sin_addr.s_addr, rs_be32(0xff000000));
    assert_true((loopback->iiFlags & (IFF_LOOPBACK | IFF_UP)) == (IFF_LOOPBACK | IFF_UP));
}

CASE(WSPIoctl, interface_list_size,
     "SIO_GET_INTERFACE_LIST: WSAEFAULT when the output is too small")
{
    DWORD returned = 0;
    FAILS(WSAEFAULT, command(spi_udp(), SIO_GET_INTERFACE_LIST, NULL, 0, &answer,
                             2 * sizeof(INTERFACE_INFO) - 1, &returned));
}

/* ---- SIO_ADDRESS_LIST_SORT ---- */

static DWORD fill_list(SOCKET_ADDRESS_LIST *list, SOCKADDR_IN6 *addresses, INT count)
{
    list->iAddressCount = count;
    for (INT i = 0; i < count; i++) {
        list->Address[i].lpSockaddr = (LPSOCKADDR)&addresses[i];
        list->Address[i].iSockaddrLength = sizeof(addresses[i]);
    }
    return (DWORD)(offsetof(SOCKET_ADDRESS_LIST, Address) + (size_t)count * sizeof(SOCKET_ADDRESS));
}

CASE(WSPIoctl, address_sort,
     "SIO_ADDRESS_LIST_SORT: the best first, what nobody has left out, in the same buffer")
{
    SOCKADDR_IN6 all[4] = {{.sin6_family = AF_INET6},
                           {.sin6_family = AF_INET6},
                           ipv6_mapped("10.77.0.9", 1),
                           ipv6_mapped("10.77.0.8", 2)};
    DWORD returned = 0;
    all[0].sin6_addr.s6_addr[0] = 0x20; /* 2000::, which there is no way to */
    DWORD bytes = fill_list(&answer.list, all, 4);
    OK(command(ipv6_dual(SOCK_STREAM, IPPROTO_TCP), SIO_ADDRESS_LIST_SORT, &answer, bytes, &answer,
               sizeof(answer), &returned));
    assert_int_equal(answer.list.iAddressCount, 3);
    assert_ptr_equal(answer.list.Address[0].lpSockaddr, &all[2]);
    assert_ptr_equal(answer.list.Address[1].lpSockaddr, &all[3]);
    assert_ptr_equal(answer.list.Address[2].lpSockaddr, &all[0]);
    assert_int_equal(returned, bytes - sizeof(SOCKET_ADDRESS));
}

CASE(WSPIoctl, address_sort_bad,
     "SIO_ADDRESS_LIST_SORT: each address is a SOCKADDR_IN6, and the list in its buffer")
{
    SOCKADDR_IN6 one = ipv6_mapped("10.77.0.9", 1);
    DWORD returned = 0;
    SOCKET s = ipv6_dual(SOCK_STREAM, IPPROTO_TCP);
    DWORD bytes = fill_list(&answer.list, &one, 1);
    FAILS(WSAEINVAL, command(s, SIO_ADDRESS_LIST_SORT, &answer, bytes - 1, &answer, sizeof(answer),
                             &returned));
    FAILS(WSAEFAULT, command(s, SIO_ADDRESS_LIST_SORT, &answer, bytes, &answer, 4, &returned));
    FAILS(WSAEFAULT,
          command(s, SIO_ADDRESS_LIST_SORT, NULL, 0, &answer, sizeof(answer), &returned));
    one.sin6_family = AF_INET;
    FAILS(WSAEINVAL,
          command(s, SIO_ADDRESS_LIST_SORT, &answer, bytes, &answer, sizeof(answer), &returned));
}
