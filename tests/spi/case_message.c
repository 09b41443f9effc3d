/*
 * Cases of WSARecvMsg, and of the options that say which control data it gives.
 */
#include <string.h>

#include "tests/spi/message_kit.h"

static struct message message;

static void receives(SOCKET s, const char *text)
{
    message_clear(&message);
    OK(message_recv(s, &message));
    assert_int_equal(message.bytes, strlen(text));
    assert_memory_equal(message.data, text, strlen(text));
}

static SOCKADDR_IN to_port(const char *ip, SOCKET s)
{
    SOCKADDR_IN at = spi_at(ip, 0);
    at.sin_port = spi_name(s).sin_port;
    return at;
}

static SOCKET bound_to_any(void)
{
    SOCKET s = spi_udp();
    const SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(s, &any));
    return s;
}

CASE(WSARecvMsg, msg_recv, "the datagram, its length and who sent it; no control data unasked")
{
    SOCKADDR_IN at, from;
    SOCKET s = spi_bound(&at), sender = spi_bound(&from);
    OK(spi_send_to_one(sender, "hello", 5, &at));
    receives(s, "hello");
    assert_int_equal(message.msg.namelen, sizeof(SOCKADDR_IN));
    assert_int_equal(message.name.sin_family, AF_INET);
    assert_int_equal(message.name.sin_port, from.sin_port);
    assert_int_equal(message.name.sin_addr.s_addr, from.sin_addr.s_addr);
    assert_int_equal(message.msg.dwFlags, 0);
    assert_int_equal(message.msg.Control.len, 0);
}

CASE(WSARecvMsg, msg_recv_scatter, "buffers are filled in their order, without holes")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    char first[2], second[4], third[16];
    WSABUF buffers[] = {{2, first}, {0, NULL}, {4, second}, {16, third}};
    OK(spi_send_to_one(spi_udp(), "abcdefghi", 9, &at));
    message_clear(&message);
    message.msg.lpBuffers = buffers;
    message.msg.dwBufferCount = 4;
    OK(message_recv(s, &message));
    assert_int_equal(message.bytes, 9);
    assert_memory_equal(first, "ab", 2);
    assert_memory_equal(second, "cdef", 4);
    assert_memory_equal(third, "ghi", 3);
}

CASE(WSARecvMsg, msg_recv_unnamed, "a name that has no length is not wanted and stays as it is")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    message_clear(&message);
    message.msg.namelen = 0;
    OK(message_recv(s, &message));
    assert_int_equal(message.msg.namelen, 0);
    assert_true((USHORT)message.name.sin_family == 0xeeee);
}

CASE(WSARecvMsg, msg_recv_pktinfo, "IP_PKTINFO: the destination address and the interface")
{
    static const char *const own[] = {"127.0.0.1", "127.0.0.9", SPI_OWN};
    SOCKET s = bound_to_any();
    ULONG interface_idx = 0;
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, TRUE));
    for (unsigned i = 0; i < 3; i++) {
        SOCKADDR_IN at = to_port(own[i], s);
        OK(spi_send_to_one(spi_udp(), "x", 1, &at));
        receives(s, "x");
        assert_int_equal(message_objects(&message), 1);
        IN_PKTINFO info = message_pktinfo(&message);
        assert_int_equal(info.ipi_addr.s_addr, at.sin_addr.s_addr);
        assert_int_not_equal(info.ipi_ifindex, 0);
        assert_true(i == 0 || info.ipi_ifindex == interface_idx);
        interface_idx = info.ipi_ifindex;
    }
}

CASE(WSARecvMsg, msg_recv_sizes, "with control data every length arrives whole")
{
    static const DWORD sizes[] = {0, 1, 39, 40, 41, 64, 65, 400, MESSAGE_BYTES};
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    char data[MESSAGE_BYTES];
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, TRUE));
    for (unsigned i = 0; i < MESSAGE_BYTES; i++) {
        data[i] = (char)(i * 7);
    }
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        OK(spi_send_to_one(spi_udp(), data, sizes[i], &at));
        message_clear(&message);
        OK(message_recv(s, &message));
        assert_int_equal(message.bytes, sizes[i]);
        assert_memory_equal(message.data, data, sizes[i]);
        assert_int_equal(message_pktinfo(&message).ipi_addr.s_addr, at.sin_addr.s_addr);
    }
}

CASE(WSARecvMsg, msg_recv_group, "MSG_MCAST for a group, which is the address of IP_PKTINFO")
{
    SOCKET s = bound_to_any();
    SOCKADDR_IN group = to_port("239.7.7.7", s);
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr};
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, TRUE));
    OK(TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&mreq, sizeof(mreq),
                              &spi_error));
    OK(spi_send_to_one(spi_udp(), "tick", 4, &group));
    receives(s, "tick");
    assert_int_equal(message.msg.dwFlags, MSG_MCAST);
    assert_int_equal(message_pktinfo(&message).ipi_addr.s_addr, group.sin_addr.s_addr);
}

CASE(WSARecvMsg, msg_recv_broadcast, "MSG_BCAST for a broadcast address")
{
    SOCKET s = bound_to_any(), sender = spi_udp();
    SOCKADDR_IN all = to_port("255.255.255.255", s);
    OK(spi_set_dword(sender, SOL_SOCKET, SO_BROADCAST, TRUE));
    OK(spi_send_to_one(sender, "all", 3, &all));
    receives(s, "all");
    assert_int_equal(message.msg.dwFlags, MSG_BCAST);
}

CASE(WSARecvMsg, msg_recv_ttl, "IP_RECVTTL: the TTL of the received datagram")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at), sender = spi_udp();
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTTL, TRUE));
    for (DWORD ttl = 1; ttl < 256; ttl += 127) {
        OK(spi_set_dword(sender, IPPROTO_IP, IP_TTL, ttl));
        OK(spi_send_to_one(sender, "x", 1, &at));
        receives(s, "x");
        assert_int_equal(message_objects(&message), 1);
        assert_int_equal(message_int(&message, IPPROTO_IP, IP_TTL), ttl);
    }
}

CASE(WSARecvMsg, msg_recv_tos, "IP_RECVTOS: all bits of TOS, in a message of type IP_TOS")
{
    static const DWORD bytes[] = {0, 0xb8, 0xba, 1, 0xff};
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at), sender = spi_udp();
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTOS, TRUE));
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        OK(spi_set_dword(sender, IPPROTO_IP, IP_TOS, bytes[i]));
        OK(spi_send_to_one(sender, "x", 1, &at));
        receives(s, "x");
        assert_int_equal(message_objects(&message), 1);
        assert_int_equal(message_int(&message, IPPROTO_IP, IP_TOS), bytes[i]);
    }
}

CASE(WSARecvMsg, msg_recv_ecn, "IP_RECVECN (WSASetRecvIPEcn): the two ECN bits as an INT, IP_ECN")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at), sender = spi_udp();
    OK(spi_set_dword(s, IPPROTO_IP, IP_ECN, TRUE));
    for (DWORD ecn = 0; ecn < 4; ecn++) { /* 3: congestion met */
        OK(spi_set_dword(sender, IPPROTO_IP, IP_TOS, 0xb8 | ecn));
        OK(spi_send_to_one(sender, "x", 1, &at));
        receives(s, "x");
        assert_int_equal(message_objects(&message), 1);
        assert_int_equal(message_int(&message, IPPROTO_IP, IP_ECN), ecn);
    }
}

CASE(WSARecvMsg, msg_recv_interface, "IP_RECVIF and IP_ORIGINAL_ARRIVAL_IF: the same interface")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVIF, TRUE));
    OK(spi_set_dword(s, IPPROTO_IP, IP_ORIGINAL_ARRIVAL_IF, TRUE));
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    receives(s, "x");
    assert_int_equal(message_objects(&message), 2);
    INT interface_idx = message_int(&message, IPPROTO_IP, IP_RECVIF);
    assert_int_not_equal(interface_idx, 0);
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_ORIGINAL_ARRIVAL_IF), interface_idx);
}

/* As much as all of it needs. */
static DWORD everything(SOCKET s)
{
    static const int names[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_ECN};
    for (unsigned i = 0; i < 4; i++) {
        OK(spi_set_dword(s, IPPROTO_IP, names[i], TRUE));
    }
    OK(message_timestamping(s, TIMESTAMPING_FLAG_RX, 0));
    return (DWORD)(MESSAGE_SPACE(sizeof(IN_PKTINFO)) + 3 * MESSAGE_SPACE(sizeof(INT)) +
                   MESSAGE_SPACE(sizeof(UINT64)));
}

CASE(WSARecvMsg, msg_recv_all, "several objects, each once, as WSA_CMSG_SPACE counts their bytes")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    DWORD space = everything(s);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    message_clear(&message);
    message.msg.Control.len = space;
    OK(message_recv(s, &message));
    assert_int_equal(message.msg.Control.len, space);
    assert_int_equal(message_objects(&message), 5);
    assert_int_equal(message_pktinfo(&message).ipi_addr.s_addr, at.sin_addr.s_addr);
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_TTL), 128);
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_TOS), 0);
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_ECN), 0);
    assert_non_null(message_find(&message, SOL_SOCKET, SO_TIMESTAMP, sizeof(UINT64)));
    for (size_t i = space; i < sizeof(message.control); i++) {
        assert_int_equal((unsigned char)message.control[i], 0xee); /* nothing behind the buffer */
    }
}

CASE(WSARecvMsg, msg_recv_off, "an option that is off again gives nothing")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    (void)everything(s);
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, FALSE));
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTTL, FALSE));
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTOS, FALSE));
    OK(spi_set_dword(s, IPPROTO_IP, IP_ECN, FALSE));
    OK(message_timestamping(s, 0, 0));
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    receives(s, "x");
    assert_int_equal(message.msg.Control.len, 0);
}

CASE(WSARecvMsg, msg_recv_before_bind, "options set before bind count")
{
    SOCKET s = spi_udp();
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    (void)everything(s);
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    receives(s, "x");
    assert_int_equal(message_objects(&message), 5);
}

CASE(WSARecvMsg, msg_recv_trunc, "too long a datagram: what fits, MSG_TRUNC, WSAEMSGSIZE, no rest")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at), sender = spi_bound(NULL);
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTTL, TRUE));
    OK(spi_send_to_one(sender, "too long", 8, &at));
    OK(spi_send_to_one(sender, "next", 4, &at));
    message_clear(&message);
    message.buffer.len = 3;
    FAILS(WSAEMSGSIZE, message_recv(s, &message));
    assert_int_equal(message.bytes, 3);
    assert_memory_equal(message.data, "too", 3);
    assert_int_equal(message.msg.dwFlags, MSG_TRUNC);
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_TTL), 128); /* control data is whole */
    assert_int_equal(message.name.sin_port, spi_name(sender).sin_port);
    receives(s, "next");
}

CASE(WSARecvMsg, msg_recv_ctrunc, "too much control data: MSG_CTRUNC, WSAEMSGSIZE, the data whole")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    DWORD space = everything(s);
    for (DWORD room = 0; room < space; room++) {
        OK(spi_send_to_one(spi_udp(), "hello", 5, &at));
        message_clear(&message);
        message.msg.Control.len = room;
        if (room >= space - (MESSAGE_SPACE(sizeof(UINT64)) - WSA_CMSG_LEN(sizeof(UINT64)))) {
            OK(message_recv(s, &message)); /* but for padding */
            continue;
        }
        FAILS(WSAEMSGSIZE, message_recv(s, &message));
        assert_int_equal(message.bytes, 5);
        assert_memory_equal(message.data, "hello", 5);
        assert_int_equal(message.msg.dwFlags, MSG_CTRUNC);
        assert_true(message.msg.Control.len <= room);
        for (size_t i = room; i < sizeof(message.control); i++) {
            assert_int_equal((unsigned char)message.control[i], 0xee);
        }
        if (room >= WSA_CMSG_LEN(sizeof(IN_PKTINFO))) { /* objects are whole */
            assert_int_equal(message_pktinfo(&message).ipi_addr.s_addr, at.sin_addr.s_addr);
        } else {
            assert_int_equal(message_objects(&message), 0);
        }
    }
}

CASE(WSARecvMsg, msg_recv_exact, "the last object needs no padding: WSA_CMSG_LEN is room enough")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTTL, TRUE));
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    message_clear(&message);
    message.msg.Control.len = (ULONG)WSA_CMSG_LEN(sizeof(INT));
    OK(message_recv(s, &message));
    assert_int_equal(message.msg.Control.len, WSA_CMSG_LEN(sizeof(INT)));
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_TTL), 128);
}

CASE(WSARecvMsg, msg_recv_trunc_both, "data and control data cut: both flags")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, TRUE));
    OK(spi_send_to_one(spi_udp(), "hello", 5, &at));
    message_clear(&message);
    message.buffer.len = 4;
    message.msg.Control = (WSABUF){0, NULL};
    FAILS(WSAEMSGSIZE, message_recv(s, &message));
    assert_int_equal(message.msg.dwFlags, MSG_TRUNC | MSG_CTRUNC);
    assert_int_equal(message.bytes, 4);
}

CASE(WSARecvMsg, msg_recv_peek, "MSG_PEEK shows the datagram with its control data and leaves it")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, TRUE));
    OK(spi_send_to_one(spi_udp(), "hello", 5, &at));
    for (unsigned i = 0; i < 3; i++) {
        message_clear(&message);
        message.msg.dwFlags = i < 2 ? MSG_PEEK : 0;
        OK(message_recv(s, &message));
        assert_int_equal(message.bytes, 5);
        assert_int_equal(message.msg.dwFlags, 0);
        assert_int_equal(message_pktinfo(&message).ipi_addr.s_addr, at.sin_addr.s_addr);
    }
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, message_recv(s, &message));
}

CASE(WSARecvMsg, msg_recv_flags, "any flag but MSG_PEEK is refused, and loses nothing")
{
    static const DWORD flags[] = {MSG_OOB, MSG_DONTROUTE, MSG_WAITALL, MSG_PARTIAL, 0x40000000};
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_send_to_one(spi_udp(), "hello", 5, &at));
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        message_clear(&message);
        message.msg.dwFlags = flags[i] | MSG_PEEK;
        FAILS(WSAEOPNOTSUPP, message_recv(s, &message));
    }
    receives(s, "hello");
}

CASE(WSARecvMsg, msg_recv_stream, "only for datagrams; MSG_PEEK on another socket: WSAEOPNOTSUPP")
{
    SOCKET s = spi_new_of(SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED);
    message_clear(&message);
    FAILS(WSAEOPNOTSUPP, message_recv(s, &message));
    message.msg.dwFlags = MSG_PEEK;
    FAILS(WSAEOPNOTSUPP, message_recv(s, &message));
}

CASE(WSARecvMsg, msg_recv_fault,
     "what is not there, or not long enough, is WSAEFAULT, nothing lost")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    GUID id = WSAID_WSARECVMSG;
    LPFN_WSARECVMSG function;
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &function,
                         sizeof(function), &returned, NULL, NULL, NULL, &spi_error));
    OK(spi_send_to_one(spi_udp(), "hello", 5, &at));
    for (unsigned i = 0; i < 8; i++) {
        message_clear(&message);
        message.msg.name = i == 0 ? NULL : message.msg.name; /* with a length */
        message.msg.namelen = i == 1 ? (INT)sizeof(SOCKADDR_IN) - 1 : message.msg.namelen;
        message.msg.name = i == 2 ? spi_bad_pointer() : message.msg.name;
        message.msg.Control.buf = i == 3 ? NULL : message.msg.Control.buf; /* so */
        message.msg.Control.buf = i == 4 ? spi_read_only_page() : message.msg.Control.buf;
        message.msg.lpBuffers = i == 5 ? spi_bad_pointer() : message.msg.lpBuffers;
        message.buffer.buf = i == 6 ? spi_bad_pointer() : message.buffer.buf;
        if (i < 7) {
            FAILS(WSAEFAULT, message_recv(s, &message));
        }
    }
    assert_int_equal(function(s, spi_bad_pointer(), &message.bytes, NULL, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSAEFAULT);
    /* The count may be left out of overlapped calls only. */
    assert_int_equal(function(s, &message.msg, NULL, NULL, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSAEFAULT);
    receives(s, "hello");
}

CASE(WSARecvMsg, msg_recv_unbound, "a socket that is not bound is WSAEINVAL")
{
    message_clear(&message);
    FAILS(WSAEINVAL, message_recv(spi_udp(), &message));
}

CASE(WSARecvMsg, msg_recv_would_block, "a non-blocking socket without a datagram: WSAEWOULDBLOCK")
{
    SOCKET s = spi_bound(NULL);
    spi_nonblocking(s);
    message_clear(&message);
    FAILS(WSAEWOULDBLOCK, message_recv(s, &message));
}

CASE(WSARecvMsg, msg_recv_timeout, "SO_RCVTIMEO bounds the wait: WSAETIMEDOUT")
{
    SOCKET s = spi_bound(NULL);
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 30));
    message_clear(&message);
    FAILS(WSAETIMEDOUT, message_recv(s, &message));
}

CASE(WSARecvMsg, msg_recv_reset, "an earlier send found no port: WSAECONNRESET")
{
    SOCKADDR_IN gone;
    SOCKET s = spi_bound(NULL), other = spi_bound(&gone);
    OK(TABLE->lpWSPCloseSocket(other, &spi_error));
    spi_forget(other);
    OK(spi_send_to_one(s, "x", 1, &gone));
    message_clear(&message);
    FAILS(WSAECONNRESET, message_recv(s, &message));
}

CASE(WSARecvMsg, msg_recv_not_socket, "a handle that is no socket is WSAENOTSOCK")
{
    message_clear(&message);
    FAILS(WSAENOTSOCK, message_recv(INVALID_SOCKET, &message));
    FAILS(WSAENOTSOCK, message_recv(4, &message));
}

CASE(WSARecvMsg, msg_recv_no_overlapped, "without WSA_FLAG_OVERLAPPED lpOverlapped is ignored")
{
    SOCKET s = spi_new(0);
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    GUID id = WSAID_WSARECVMSG;
    LPFN_WSARECVMSG function;
    DWORD returned = 0;
    WSAOVERLAPPED overlapped = {.Internal = 77};
    OK(spi_bind_at(s, &at));
    at = spi_name(s);
    OK(TABLE->lpWSPIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &function,
                         sizeof(function), &returned, NULL, NULL, NULL, &spi_error));
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    message_clear(&message);
    assert_int_equal(function(s, &message.msg, &message.bytes, &overlapped, NULL), 0);
    assert_int_equal(message.bytes, 1);
    assert_int_equal(overlapped.Internal, 77);
}

/* ---- the options ---- */

static const int message_options[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS,
                                      IP_ECN,     IP_RECVIF,  IP_ORIGINAL_ARRIVAL_IF};
#define MESSAGE_OPTIONS (sizeof(message_options) / sizeof(message_options[0]))

CASE(WSPSetSockOpt, msg_option_boolean, "off by default; any value but 0 is TRUE; each its own")
{
    for (unsigned i = 0; i < MESSAGE_OPTIONS; i++) {
        SOCKET s = spi_udp();
        OK(spi_set_dword(s, IPPROTO_IP, message_options[i], 5));
        for (unsigned k = 0; k < MESSAGE_OPTIONS; k++) {
            assert_int_equal(spi_get_dword(s, IPPROTO_IP, message_options[k]), i == k);
        }
        OK(spi_set_dword(s, IPPROTO_IP, message_options[i], 0));
        assert_int_equal(spi_get_dword(s, IPPROTO_IP, message_options[i]), 0);
    }
}

CASE(WSPSetSockOpt, msg_option_stream, "of a socket that is not SOCK_DGRAM: WSAENOPROTOOPT")
{
    SOCKET s = spi_new_of(SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED);
    DWORD value = 1;
    INT bytes = sizeof(value);
    for (unsigned i = 0; i < MESSAGE_OPTIONS; i++) {
        FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IP, message_options[i], TRUE));
        FAILS(WSAENOPROTOOPT, TABLE->lpWSPGetSockOpt(s, IPPROTO_IP, message_options[i],
                                                     (char *)&value, &bytes, &spi_error));
    }
}

CASE(WSPSetSockOpt, msg_option_fault, "a value shorter than a DWORD, or a bad pointer: WSAEFAULT")
{
    SOCKET s = spi_udp();
    DWORD value = 1;
    INT bytes = 3;
    for (unsigned i = 0; i < MESSAGE_OPTIONS; i++) {
        int name = message_options[i];
        FAILS(WSAEFAULT,
              TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, name, (const char *)&value, 3, &spi_error));
        FAILS(WSAEFAULT,
              TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, name, spi_bad_pointer(), 4, &spi_error));
        bytes = 3;
        FAILS(WSAEFAULT,
              TABLE->lpWSPGetSockOpt(s, IPPROTO_IP, name, (char *)&value, &bytes, &spi_error));
        assert_int_equal(bytes, sizeof(DWORD));
    }
}
