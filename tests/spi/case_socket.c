/*
 * Cases of a socket's life against a dataplane: create, bind, connect, names, shutdown, join,
 * close.
 */
#include <string.h>

#include "tests/spi/spi_test.h"

/* ---- WSPSocket, WSPCloseSocket ---- */

CASE(WSPSocket, socket_handle, "the descriptor is a real handle of the system")
{
    DWORD flags = 0;
    assert_true(GetHandleInformation((HANDLE)spi_udp(), &flags));
}

CASE(WSPSocket, socket_two, "two sockets are two descriptors")
{
    assert_true(spi_udp() != spi_udp());
}

CASE(WSPSocket, socket_default, "protocol 0 with SOCK_DGRAM is UDP")
{
    SOCKET s = TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, 0, &provider.info, 0, 0, &spi_error);
    assert_true(s != INVALID_SOCKET);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
}

CASE(WSPSocket, socket_from_info,
     "FROM_PROTOCOL_INFO takes family, type and protocol from the entry")
{
    WSAPROTOCOL_INFOW info = provider.info;
    info.dwCatalogEntryId = 4711;
    SOCKET s = TABLE->lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info,
                                  0, 0, &spi_error);
    assert_true(s != INVALID_SOCKET);
    WSAPROTOCOL_INFOW back;
    int bytes = sizeof(back);
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&back, &bytes, &spi_error));
    assert_int_equal(back.dwCatalogEntryId, 4711);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
}

CASE(WSPSocket, socket_unspec, "AF_UNSPEC with a type takes the family that serves it")
{
    SOCKET s =
        TABLE->lpWSPSocket(AF_UNSPEC, SOCK_DGRAM, IPPROTO_UDP, &provider.info, 0, 0, &spi_error);
    assert_true(s != INVALID_SOCKET);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
}

CASE(WSPCloseSocket, close_twice, "a closed descriptor is WSAENOTSOCK, closing it again too")
{
    SOCKET s = spi_bound(NULL);
    DWORD flags = 0;
    DWORD got;
    char byte;
    spi_forget(s);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPCloseSocket(s, &spi_error));
    FAILS(WSAENOTSOCK, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(WSPCloseSocket, close_handle, "the system's handle goes back with it")
{
    unsigned before = host_handle_count();
    SOCKET s = spi_udp();
    assert_int_equal(host_handle_count(), before + 1);
    spi_forget(s);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    assert_int_equal(host_handle_count(), before);
}

CASE(WSPCloseSocket, close_port, "its port can be bound again at once")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    spi_forget(s);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    OK(spi_bind_at(spi_udp(), &at));
}

CASE(WSPCloseSocket, close_sends, "what was sent before it still arrives")
{
    SOCKADDR_IN at;
    SOCKET to = spi_bound(&at);
    SOCKET s = spi_udp();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    OK(spi_send_to_one(s, "last", 4, &at));
    spi_forget(s);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    OK(spi_recv_one(to, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 4);
}

CASE(WSPCloseSocket, close_many, "300 times open, bind, close: nothing runs out")
{
    unsigned before = host_handle_count();
    for (unsigned i = 0; i < 300; i++) {
        SOCKET s = spi_udp();
        SOCKADDR_IN any = spi_at("127.0.0.1", 0);
        OK(spi_bind_at(s, &any));
        spi_forget(s);
        OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    }
    assert_int_equal(host_handle_count(), before);
}

/* ---- WSPBind ---- */

CASE(WSPBind, bind_any, "port 0 gets one of its own, the address is the one asked")
{
    SOCKADDR_IN first, second;
    (void)spi_bound(&first);
    (void)spi_bound(&second);
    assert_int_not_equal(first.sin_port, 0);
    assert_int_not_equal(first.sin_port, second.sin_port);
    assert_int_equal(first.sin_addr.s_addr, spi_at("127.0.0.1", 0).sin_addr.s_addr);
}

CASE(WSPBind, bind_own, "an own address of the NIC, and any, can be bound")
{
    SOCKADDR_IN own = spi_at(SPI_OWN, 0);
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(spi_udp(), &own));
    OK(spi_bind_at(spi_udp(), &any));
}

CASE(WSPBind, bind_twice, "a bound socket is WSAEINVAL")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    FAILS(WSAEINVAL, spi_bind_at(spi_bound(NULL), &any));
}

CASE(WSPBind, bind_in_use, "a port in use is WSAEADDRINUSE")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    FAILS(WSAEADDRINUSE, spi_bind_at(spi_udp(), &at));
}

CASE(WSPBind, bind_foreign, "an address of somebody else is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN foreign = spi_at("198.51.100.1", 0);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(spi_udp(), &foreign));
}

CASE(WSPBind, bind_group, "a multicast group is not a local address: WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN group = spi_at("239.1.2.3", 5000);
    FAILS(WSAEADDRNOTAVAIL, spi_bind_at(spi_udp(), &group));
}

CASE(WSPBind, bind_short, "an address cut short, or none, is WSAEFAULT")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    SOCKET s = spi_udp();
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, (struct sockaddr *)&any, sizeof(any) - 1, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, NULL, sizeof(any), &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPBind(s, spi_bad_pointer(), sizeof(any), &spi_error));
    OK(spi_bind_at(s, &any));
}

CASE(WSPBind, bind_family, "an address of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    any.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, spi_bind_at(spi_udp(), &any));
}

CASE(WSPBind, bind_reuse, "with SO_REUSEADDR on both, one port serves two sockets")
{
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    SOCKET first = spi_udp();
    SOCKET second = spi_udp();
    OK(spi_set_dword(first, SOL_SOCKET, SO_REUSEADDR, 1));
    OK(spi_set_dword(second, SOL_SOCKET, SO_REUSEADDR, 1));
    OK(spi_bind_at(first, &any));
    SOCKADDR_IN at = spi_name(first);
    OK(spi_bind_at(second, &at));
}

CASE(WSPBind, bind_exclusive, "SO_EXCLUSIVEADDRUSE keeps SO_REUSEADDR out: WSAEACCES")
{
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    SOCKET first = spi_udp();
    SOCKET second = spi_udp();
    OK(spi_set_dword(first, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1));
    OK(spi_bind_at(first, &any));
    SOCKADDR_IN at = spi_name(first);
    OK(spi_set_dword(second, SOL_SOCKET, SO_REUSEADDR, 1));
    FAILS(WSAEACCES, spi_bind_at(second, &at));
}

/* ---- WSPGetSockName ---- */

CASE(WSPGetSockName, sockname_unbound, "an unbound socket is WSAEINVAL")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEINVAL,
          TABLE->lpWSPGetSockName(spi_udp(), (struct sockaddr *)&in, &bytes, &spi_error));
}

CASE(WSPGetSockName, sockname_small, "a small buffer, or none, is WSAEFAULT")
{
    SOCKADDR_IN in;
    SOCKET s = spi_bound(NULL);
    int bytes = sizeof(in) - 1;
    FAILS(WSAEFAULT, TABLE->lpWSPGetSockName(s, (struct sockaddr *)&in, &bytes, &spi_error));
    bytes = sizeof(in);
    FAILS(WSAEFAULT, TABLE->lpWSPGetSockName(s, NULL, &bytes, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPGetSockName(s, (struct sockaddr *)&in, NULL, &spi_error));
}

CASE(WSPGetSockName, sockname_sendto, "WSPSendTo binds, and then there is a name")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_send_to_one(s, "x", 1, &at));
    assert_int_not_equal(spi_name(s).sin_port, 0);
}

CASE(WSPGetSockName, sockname_connect, "WSPConnect fixes the local address")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    assert_int_equal(spi_name(s).sin_addr.s_addr, at.sin_addr.s_addr);
    assert_int_not_equal(spi_name(s).sin_port, 0);
}

CASE(WSPGetSockName, sockname_any, "bound to any address it says any")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    SOCKET s = spi_udp();
    OK(spi_bind_at(s, &any));
    assert_int_equal(spi_name(s).sin_addr.s_addr, INADDR_ANY);
}

/* ---- WSPConnect, WSPGetPeerName ---- */

static int peer_name(SOCKET s, SOCKADDR_IN *in)
{
    int bytes = sizeof(*in);
    return TABLE->lpWSPGetPeerName(s, (struct sockaddr *)in, &bytes, &spi_error);
}

CASE(WSPGetPeerName, peername_none, "an unconnected socket is WSAENOTCONN")
{
    SOCKADDR_IN in;
    FAILS(WSAENOTCONN, peer_name(spi_udp(), &in));
    FAILS(WSAENOTCONN, peer_name(spi_bound(NULL), &in));
}

CASE(WSPGetPeerName, peername_peer, "the address that was connected to")
{
    SOCKADDR_IN at, in;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    OK(peer_name(s, &in));
    assert_memory_equal(&in, &at, sizeof(in));
}

CASE(WSPGetPeerName, peername_small, "a small buffer is WSAEFAULT")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    int bytes = 8;
    OK(spi_connect_to(s, &at));
    FAILS(WSAEFAULT, TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&at, &bytes, &spi_error));
}

CASE(WSPConnect, connect_again, "a datagram socket may be connected anew")
{
    SOCKADDR_IN first, second, in;
    (void)spi_bound(&first);
    (void)spi_bound(&second);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &first));
    OK(spi_connect_to(s, &second));
    OK(peer_name(s, &in));
    assert_int_equal(in.sin_port, second.sin_port);
}

CASE(WSPConnect, connect_zero, "an address of all zeros dissolves the connection")
{
    SOCKADDR_IN at, in;
    SOCKADDR_IN zero = spi_at("0.0.0.0", 0);
    DWORD sent;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    OK(spi_connect_to(s, &zero));
    FAILS(WSAENOTCONN, peer_name(s, &in));
    FAILS(WSAENOTCONN, spi_send_one(s, "x", 1, 0, &sent));
}

CASE(WSPConnect, connect_unspec, "AF_UNSPEC dissolves the connection")
{
    SOCKADDR_IN at, in;
    (void)spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    at.sin_family = AF_UNSPEC;
    OK(spi_connect_to(s, &at));
    FAILS(WSAENOTCONN, peer_name(s, &in));
}

CASE(WSPConnect, connect_port, "port 0, or any address with a port, is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN no_port = spi_at("127.0.0.1", 0);
    SOCKADDR_IN no_address = spi_at("0.0.0.0", 9);
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(spi_udp(), &no_port));
    FAILS(WSAEADDRNOTAVAIL, spi_connect_to(spi_udp(), &no_address));
}

CASE(WSPConnect, connect_fault, "an address cut short, or unreadable, is WSAEFAULT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    FAILS(WSAEFAULT, TABLE->lpWSPConnect(spi_udp(), (struct sockaddr *)&at, 15, NULL, NULL, NULL,
                                         NULL, &spi_error));
    FAILS(WSAEFAULT, spi_connect_to(spi_udp(), spi_bad_pointer()));
}

CASE(WSPConnect, connect_family, "an address of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    at.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, spi_connect_to(spi_udp(), &at));
}

CASE(WSPConnect, connect_route, "without a route it is WSAENETUNREACH")
{
    SOCKADDR_IN far_away = spi_at("198.51.100.1", 9);
    FAILS(WSAENETUNREACH, spi_connect_to(spi_udp(), &far_away));
}

CASE(WSPConnect, connect_filter, "a connected socket receives from its peer only")
{
    SOCKADDR_IN at, peer_at, from;
    SOCKET s = spi_bound(&at);
    SOCKET peer = spi_bound(&peer_at);
    SOCKET stranger = spi_bound(NULL);
    char text[8];
    DWORD got = 0;
    OK(spi_connect_to(s, &peer_at));
    OK(spi_send_to_one(stranger, "no", 2, &at));
    OK(spi_send_to_one(peer, "yes", 3, &at));
    OK(spi_recv_from_one(s, text, sizeof(text), &from, &got));
    assert_int_equal(got, 3);
    assert_int_equal(from.sin_port, peer_at.sin_port);
}

/* ---- WSPShutdown ---- */

CASE(WSPShutdown, shutdown_how, "an unknown way is WSAEINVAL")
{
    FAILS(WSAEINVAL, TABLE->lpWSPShutdown(spi_bound(NULL), 3, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPShutdown(spi_bound(NULL), -1, &spi_error));
}

CASE(WSPShutdown, shutdown_send, "after SD_SEND sending is WSAESHUTDOWN, receiving goes on")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    char text[4];
    DWORD flags = 0;
    DWORD got = 0;
    OK(TABLE->lpWSPShutdown(s, SD_SEND, &spi_error));
    FAILS(WSAESHUTDOWN, spi_send_to_one(s, "x", 1, &at));
    OK(spi_send_to_one(spi_udp(), "in", 2, &at));
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 2);
}

CASE(WSPShutdown, shutdown_recv, "after SD_RECEIVE receiving is WSAESHUTDOWN, sending goes on")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(NULL);
    SOCKET other = spi_bound(&at);
    char text[4];
    DWORD flags = 0;
    DWORD got = 0;
    OK(TABLE->lpWSPShutdown(s, SD_RECEIVE, &spi_error));
    FAILS(WSAESHUTDOWN, spi_recv_one(s, text, sizeof(text), &flags, &got));
    OK(spi_send_to_one(s, "out", 3, &at));
    OK(spi_recv_one(other, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 3);
}

CASE(WSPShutdown, shutdown_both, "SD_BOTH ends both, the socket stays open")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    char byte;
    DWORD flags = 0;
    DWORD got = 0;
    OK(TABLE->lpWSPShutdown(s, SD_BOTH, &spi_error));
    FAILS(WSAESHUTDOWN, spi_recv_one(s, &byte, 1, &flags, &got));
    FAILS(WSAESHUTDOWN, spi_send_to_one(s, "x", 1, &at));
    assert_int_equal(spi_name(s).sin_port, at.sin_port);
}

/* ---- WSPJoinLeaf ---- */

#define LEAF (WSA_FLAG_OVERLAPPED | WSA_FLAG_MULTIPOINT_C_LEAF | WSA_FLAG_MULTIPOINT_D_LEAF)

static SOCKET join(SOCKET s, const SOCKADDR_IN *group, DWORD flags)
{
    return TABLE->lpWSPJoinLeaf(s, (const struct sockaddr *)group, sizeof(*group), NULL, NULL, NULL,
                                NULL, flags, &spi_error);
}

static SOCKET leaf(void)
{
    SOCKET s = spi_new(LEAF);
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 5000));
    return s;
}

CASE(WSPJoinLeaf, leaf_both, "JL_BOTH: s itself comes back, receives the group and sends to it")
{
    SOCKADDR_IN group = spi_at("239.7.7.1", 17001);
    SOCKET s = leaf();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    DWORD sent = 0;
    assert_true(join(s, &group, JL_BOTH) == s);
    assert_int_equal(spi_name(s).sin_port, group.sin_port);
    OK(spi_send_one(s, "group", 5, 0, &sent));
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 5);
}

CASE(WSPJoinLeaf, leaf_receiver, "JL_RECEIVER_ONLY: receives, has no destination to send to")
{
    SOCKADDR_IN group = spi_at("239.7.7.2", 17002);
    SOCKET s = leaf();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    DWORD sent = 0;
    assert_true(join(s, &group, JL_RECEIVER_ONLY) == s);
    OK(spi_send_to_one(spi_bound(NULL), "in", 2, &group));
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    FAILS(WSAENOTCONN, spi_send_one(s, "out", 3, 0, &sent));
}

CASE(WSPJoinLeaf, leaf_sender, "JL_SENDER_ONLY: sends to the group, is no member")
{
    SOCKADDR_IN group = spi_at("239.7.7.3", 17003);
    SOCKET member = leaf();
    SOCKET s = leaf();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    DWORD sent = 0;
    assert_true(join(member, &group, JL_RECEIVER_ONLY) == member);
    assert_true(join(s, &group, JL_SENDER_ONLY) == s);
    OK(spi_send_one(s, "group", 5, 0, &sent));
    OK(spi_recv_one(member, text, sizeof(text), &flags, &got));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, text, sizeof(text), &flags, &got));
}

CASE(WSPJoinLeaf, leaf_plain, "a socket that is not multipoint is WSAEINVAL")
{
    SOCKADDR_IN group = spi_at("239.7.7.4", 17004);
    assert_true(join(spi_udp(), &group, JL_BOTH) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
}

CASE(WSPJoinLeaf, leaf_flags, "unknown roles are WSAEINVAL")
{
    SOCKADDR_IN group = spi_at("239.7.7.5", 17005);
    assert_true(join(leaf(), &group, 0) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
}

CASE(WSPJoinLeaf, leaf_unicast, "an address that is no group is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN host = spi_at("127.0.0.1", 17006);
    assert_true(join(leaf(), &host, JL_BOTH) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEADDRNOTAVAIL);
}

CASE(WSPJoinLeaf, leaf_fault, "an address that cannot be read is WSAEFAULT")
{
    assert_true(join(leaf(), spi_bad_pointer(), JL_BOTH) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEFAULT);
}

/* ---- calls of streams on a datagram socket ---- */

CASE(WSPListen, listen_dgram, "a datagram socket is WSAEOPNOTSUPP")
{
    FAILS(WSAEOPNOTSUPP, TABLE->lpWSPListen(spi_bound(NULL), 1, &spi_error));
}

CASE(WSPAccept, accept_dgram, "a datagram socket is WSAEOPNOTSUPP")
{
    FAILS(WSAEOPNOTSUPP, (int)TABLE->lpWSPAccept(spi_bound(NULL), NULL, NULL, NULL, 0, &spi_error));
}

CASE(WSPSendDisconnect, disconnect_dgram, "a datagram socket sends no more")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(TABLE->lpWSPSendDisconnect(s, NULL, &spi_error));
    FAILS(WSAESHUTDOWN, spi_send_to_one(s, "x", 1, &at));
}

CASE(WSPRecvDisconnect, recv_disconnect_dgram, "a datagram socket receives no more")
{
    SOCKET s = spi_bound(NULL);
    char byte;
    DWORD flags = 0;
    DWORD got = 0;
    OK(TABLE->lpWSPRecvDisconnect(s, NULL, &spi_error));
    FAILS(WSAESHUTDOWN, spi_recv_one(s, &byte, 1, &flags, &got));
}
