/*
 * Cases of WSPSend, WSPSendTo, WSPRecv and WSPRecvFrom against a dataplane.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/spi/spi_test.h"

#define LARGEST 65507u

/* s sends to *at, where to receives. */
struct pair {
    SOCKET s, to;
    SOCKADDR_IN at, s_at;
};

static struct pair connected_pair(void)
{
    struct pair pair;
    pair.to = spi_bound(&pair.at);
    pair.s = spi_bound(&pair.s_at);
    OK(spi_connect_to(pair.s, &pair.at));
    return pair;
}

static void sends(struct pair *pair, const void *data, DWORD length_bytes)
{
    DWORD sent = 0xffff;
    OK(spi_send_one(pair->s, data, length_bytes, 0, &sent));
    assert_int_equal(sent, length_bytes);
}

static void receives(struct pair *pair, const void *expected, DWORD length_bytes)
{
    static char data[LARGEST + 1];
    DWORD flags = 0;
    DWORD got = 0xffffffff;
    OK(spi_recv_one(pair->to, data, sizeof(data), &flags, &got));
    assert_int_equal(got, length_bytes);
    assert_int_equal(flags, 0);
    assert_memory_equal(data, expected, length_bytes);
}

static int send_vector(SOCKET s, WSABUF *buffers, DWORD count, DWORD *sent)
{
    return TABLE->lpWSPSend(s, buffers, count, sent, 0, NULL, NULL, NULL, &spi_error);
}

static int recv_vector(SOCKET s, WSABUF *buffers, DWORD count, DWORD *got, DWORD *flags)
{
    return TABLE->lpWSPRecv(s, buffers, count, got, flags, NULL, NULL, NULL, &spi_error);
}

/* ---- WSPSend ---- */

CASE(WSPSend, send_peer, "a connected socket sends to its peer and tells the bytes")
{
    struct pair pair = connected_pair();
    sends(&pair, "hello", 5);
    receives(&pair, "hello", 5);
}

CASE(WSPSend, send_sizes, "every size around the inline limit and the largest, data compared")
{
    static const DWORD sizes[] = {0, 1, 39, 40, 41, 63, 64, 65, 1472, 1473, 9000, 65506, LARGEST};
    struct pair pair = connected_pair();
    unsigned char *data = malloc(LARGEST);
    for (unsigned i = 0; i < LARGEST; i++) {
        data[i] = (unsigned char)(i * 7 + i / 256);
    }
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        sends(&pair, data, sizes[i]);
        receives(&pair, data, sizes[i]);
    }
    free(data);
}

CASE(WSPSend, send_empty, "a datagram of 0 bytes is sent and received")
{
    struct pair pair = connected_pair();
    sends(&pair, NULL, 0);
    receives(&pair, "", 0);
}

CASE(WSPSend, send_gather, "several buffers make one datagram, empty ones among them")
{
    struct pair pair = connected_pair();
    DWORD sent = 0;
    WSABUF buffers[] = {{3, "abc"}, {0, NULL}, {1, "d"}, {4, "efgh"}};
    OK(send_vector(pair.s, buffers, 4, &sent));
    assert_int_equal(sent, 8);
    receives(&pair, "abcdefgh", 8);
}

CASE(WSPSend, send_gather_many, "more buffers than the provider keeps room for: 300")
{
    struct pair pair = connected_pair();
    DWORD sent = 0;
    char data[300];
    WSABUF buffers[300];
    for (unsigned i = 0; i < 300; i++) {
        data[i] = (char)i;
        buffers[i] = (WSABUF){1, data + i};
    }
    OK(send_vector(pair.s, buffers, 300, &sent));
    receives(&pair, data, 300);
}

CASE(WSPSend, send_unconnected, "without a peer it is WSAENOTCONN")
{
    DWORD sent;
    FAILS(WSAENOTCONN, spi_send_one(spi_udp(), "x", 1, 0, &sent));
    FAILS(WSAENOTCONN, spi_send_one(spi_bound(NULL), "x", 1, 0, &sent));
}

CASE(WSPSend, send_too_long, "more than a datagram can carry is WSAEMSGSIZE")
{
    struct pair pair = connected_pair();
    DWORD sent;
    char *data = calloc(1, LARGEST + 1);
    FAILS(WSAEMSGSIZE, spi_send_one(pair.s, data, LARGEST + 1, 0, &sent));
    free(data);
}

CASE(WSPSend, send_oob, "MSG_OOB on a datagram socket is WSAEOPNOTSUPP")
{
    struct pair pair = connected_pair();
    DWORD sent;
    FAILS(WSAEOPNOTSUPP, spi_send_one(pair.s, "x", 1, MSG_OOB, &sent));
}

CASE(WSPSend, send_partial, "MSG_PARTIAL, which UDP has not, is WSAEOPNOTSUPP")
{
    struct pair pair = connected_pair();
    DWORD sent;
    FAILS(WSAEOPNOTSUPP, spi_send_one(pair.s, "x", 1, MSG_PARTIAL, &sent));
}

CASE(WSPSend, send_unknown, "an unknown flag is WSAEOPNOTSUPP")
{
    struct pair pair = connected_pair();
    DWORD sent;
    FAILS(WSAEOPNOTSUPP, spi_send_one(pair.s, "x", 1, 0x40000000, &sent));
}

CASE(WSPSend, send_dontroute, "MSG_DONTROUTE is accepted")
{
    struct pair pair = connected_pair();
    DWORD sent;
    OK(spi_send_one(pair.s, "x", 1, MSG_DONTROUTE, &sent));
    receives(&pair, "x", 1);
}

CASE(WSPSend, send_fault, "buffers, array or count that cannot be used are WSAEFAULT")
{
    struct pair pair = connected_pair();
    DWORD sent;
    WSABUF last_bad[2] = {{1, "x"}, {1, spi_bad_pointer()}};
    FAILS(WSAEFAULT, spi_send_one(pair.s, spi_bad_pointer(), 1, 0, &sent));
    FAILS(WSAEFAULT, spi_send_one(pair.s, NULL, 1, 0, &sent));
    FAILS(WSAEFAULT, spi_send_one(pair.s, (void *)(uintptr_t)-16, 64, 0, &sent));
    FAILS(WSAEFAULT, send_vector(pair.s, last_bad, 2, &sent));
    FAILS(WSAEFAULT, send_vector(pair.s, spi_bad_pointer(), 1, &sent));
    FAILS(WSAEFAULT, spi_send_one(pair.s, "x", 1, 0, NULL));
    FAILS(WSAEFAULT, spi_send_one(pair.s, "x", 1, 0, spi_read_only_page()));
    sends(&pair, "good", 4);
    receives(&pair, "good", 4);
}

CASE(WSPSend, send_read_only, "memory that may only be read can be sent")
{
    struct pair pair = connected_pair();
    static const char zeros[64];
    sends(&pair, spi_read_only_page(), 64);
    receives(&pair, zeros, 64);
}

CASE(WSPSend, send_no_buffer, "no buffer at all is WSAEINVAL")
{
    struct pair pair = connected_pair();
    DWORD sent;
    FAILS(WSAEINVAL, send_vector(pair.s, NULL, 0, &sent));
}

CASE(WSPSend, send_not_overlapped,
     "on a socket without WSA_FLAG_OVERLAPPED lpOverlapped is ignored")
{
    struct pair pair = connected_pair();
    DWORD sent;
    WSABUF buffer = {1, "x"};
    WSAOVERLAPPED overlapped = {0};
    SOCKET s = spi_new(0);
    OK(spi_connect_to(s, &pair.at));
    OK(TABLE->lpWSPSend(s, &buffer, 1, &sent, 0, &overlapped, NULL, NULL, &spi_error));
    receives(&pair, "x", 1);
}

/* ---- WSPSendTo ---- */

CASE(WSPSendTo, sendto_binds, "an unbound socket is bound, the receiver sees its port")
{
    struct pair pair = connected_pair();
    SOCKET s = spi_udp();
    SOCKADDR_IN from;
    char byte;
    DWORD got;
    OK(spi_send_to_one(s, "x", 1, &pair.at));
    OK(spi_recv_from_one(pair.to, &byte, 1, &from, &got));
    assert_int_equal(from.sin_port, spi_name(s).sin_port);
}

CASE(WSPSendTo, sendto_connected, "on a connected socket lpTo is for this datagram only")
{
    struct pair pair = connected_pair();
    SOCKADDR_IN other_at;
    SOCKET other = spi_bound(&other_at);
    char text[8];
    DWORD got = 0;
    SOCKADDR_IN from;
    OK(spi_send_to_one(pair.s, "other", 5, &other_at));
    OK(spi_recv_from_one(other, text, sizeof(text), &from, &got));
    assert_int_equal(got, 5);
    sends(&pair, "peer", 4);
    receives(&pair, "peer", 4);
}

CASE(WSPSendTo, sendto_null, "without an address it goes to the peer; without a peer WSAENOTCONN")
{
    struct pair pair = connected_pair();
    WSABUF buffer = {1, "x"};
    DWORD sent;
    OK(TABLE->lpWSPSendTo(pair.s, &buffer, 1, &sent, 0, NULL, 0, NULL, NULL, NULL, &spi_error));
    receives(&pair, "x", 1);
    FAILS(WSAENOTCONN,
          TABLE->lpWSPSendTo(pair.to, &buffer, 1, &sent, 0, NULL, 0, NULL, NULL, NULL, &spi_error));
}

CASE(WSPSendTo, sendto_short, "an address cut short, or unreadable, is WSAEFAULT")
{
    struct pair pair = connected_pair();
    WSABUF buffer = {1, "x"};
    DWORD sent;
    FAILS(WSAEFAULT, TABLE->lpWSPSendTo(pair.s, &buffer, 1, &sent, 0, (struct sockaddr *)&pair.at,
                                        15, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, spi_send_to_one(pair.s, "x", 1, spi_bad_pointer()));
}

CASE(WSPSendTo, sendto_family, "an address of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    at.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, spi_send_to_one(spi_udp(), "x", 1, &at));
}

CASE(WSPSendTo, sendto_nowhere, "port 0 or any address is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN no_port = spi_at("127.0.0.1", 0);
    SOCKADDR_IN no_address = spi_at("0.0.0.0", 9);
    FAILS(WSAEADDRNOTAVAIL, spi_send_to_one(spi_udp(), "x", 1, &no_port));
    FAILS(WSAEADDRNOTAVAIL, spi_send_to_one(spi_udp(), "x", 1, &no_address));
}

/* Beyond the NIC's networks, and it has no gateway. */
static SOCKADDR_IN far_away(void)
{
    return spi_at("198.51.100.1", 9);
}

CASE(WSPSendTo, sendto_no_way,
     "without a route the datagram that binds a socket is WSAENETUNREACH; others can be sent then")
{
    SOCKADDR_IN away = far_away();
    SOCKADDR_IN at;
    SOCKET receiver = spi_bound(&at);
    SOCKET s = spi_udp();
    char byte = 0;
    DWORD flags = 0;
    DWORD got = 0;
    FAILS(WSAENETUNREACH, spi_send_to_one(s, "x", 1, &away));
    OK(spi_send_to_one(s, "y", 1, &at));
    OK(spi_recv_one(receiver, &byte, 1, &flags, &got));
    assert_int_equal(byte, 'y');
    spi_nonblocking(s); /* and it is not told twice */
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(WSPSendTo, sendto_no_way_bound,
     "without a route one of a bound socket is told by the next receive: WSAENETUNREACH, once")
{
    SOCKADDR_IN away = far_away();
    SOCKET s = spi_bound(NULL);
    char byte;
    DWORD flags = 0;
    DWORD got = 0;
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 10000));
    OK(spi_send_to_one(s, "x", 1, &away));
    FAILS(WSAENETUNREACH, spi_recv_one(s, &byte, 1, &flags, &got));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(WSPGetSockOpt, sendto_no_way_error, "SO_ERROR: or by that, WSAENETUNREACH")
{
    SOCKADDR_IN away = far_away();
    SOCKET s = spi_bound(NULL);
    OK(spi_send_to_one(s, "x", 1, &away));
    spi_await_readable(s);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), WSAENETUNREACH);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
}

CASE(WSPSendTo, sendto_broadcast, "a broadcast without SO_BROADCAST is WSAEACCES")
{
    SOCKADDR_IN everybody = spi_at("255.255.255.255", 9);
    FAILS(WSAEACCES, spi_send_to_one(spi_bound(NULL), "x", 1, &everybody));
}

CASE(WSPSendTo, sendto_group, "a group's datagram reaches every member, and the sender if a member")
{
    SOCKADDR_IN group = spi_at("239.8.8.1", 18001);
    SOCKADDR_IN any = spi_at("0.0.0.0", 18001);
    SOCKET members[3];
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr};
    for (unsigned i = 0; i < 3; i++) {
        members[i] = spi_udp();
        OK(spi_set_dword(members[i], SOL_SOCKET, SO_REUSEADDR, 1));
        OK(spi_bind_at(members[i], &any));
        OK(TABLE->lpWSPSetSockOpt(members[i], IPPROTO_IP, IP_ADD_MEMBERSHIP, (char *)&mreq,
                                  sizeof(mreq), &spi_error));
    }
    OK(spi_send_to_one(members[0], "all", 3, &group));
    for (unsigned i = 0; i < 3; i++) {
        char text[8];
        DWORD flags = 0;
        DWORD got = 0;
        OK(spi_recv_one(members[i], text, sizeof(text), &flags, &got));
        assert_int_equal(got, 3);
    }
}

/* ---- WSPRecv ---- */

CASE(WSPRecv, recv_unbound, "an unbound socket is WSAEINVAL")
{
    char byte;
    DWORD flags = 0;
    DWORD got;
    FAILS(WSAEINVAL, spi_recv_one(spi_udp(), &byte, 1, &flags, &got));
}

CASE(WSPRecv, recv_would_block, "a non-blocking socket with nothing to read is WSAEWOULDBLOCK")
{
    SOCKET s = spi_bound(NULL);
    char byte;
    DWORD flags = 0;
    DWORD got;
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(WSPRecv, recv_timeout, "SO_RCVTIMEO ends a blocking receive: WSAETIMEDOUT, not early")
{
    SOCKET s = spi_bound(NULL);
    char byte;
    DWORD flags = 0;
    DWORD got;
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 60));
    ULONGLONG begin = GetTickCount64();
    FAILS(WSAETIMEDOUT, spi_recv_one(s, &byte, 1, &flags, &got));
    ULONGLONG took = GetTickCount64() - begin;
    assert_in_range(took, 40, 3000);
}

CASE(WSPRecv, recv_scatter, "one datagram fills several buffers in turn")
{
    struct pair pair = connected_pair();
    char a[3], b[4], c[8];
    WSABUF buffers[] = {{sizeof(a), a}, {0, NULL}, {sizeof(b), b}, {sizeof(c), c}};
    DWORD flags = 0;
    DWORD got = 0;
    sends(&pair, "abcdefghi", 9);
    OK(recv_vector(pair.to, buffers, 4, &got, &flags));
    assert_int_equal(got, 9);
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "defg", 4);
    assert_memory_equal(c, "hi", 2);
}

CASE(WSPRecv, recv_truncated, "a datagram too long fills the buffer: WSAEMSGSIZE and MSG_PARTIAL")
{
    struct pair pair = connected_pair();
    char text[5] = "....";
    DWORD flags = 0;
    DWORD got = 0;
    sends(&pair, "abcdefghi", 9);
    FAILS(WSAEMSGSIZE, spi_recv_one(pair.to, text, 4, &flags, &got));
    assert_int_equal(got, 4);
    assert_int_equal(flags, MSG_PARTIAL);
    assert_string_equal(text, "abcd");
}

CASE(WSPRecv, recv_rest_gone, "the rest of a datagram that was cut is gone")
{
    struct pair pair = connected_pair();
    char text[4];
    DWORD flags = 0;
    DWORD got = 0;
    sends(&pair, "abcdefghi", 9);
    sends(&pair, "next", 4);
    FAILS(WSAEMSGSIZE, spi_recv_one(pair.to, text, 4, &flags, &got));
    receives(&pair, "next", 4);
}

CASE(WSPRecv, recv_zero_buffer, "a buffer of 0 bytes takes an empty datagram, and cuts any other")
{
    struct pair pair = connected_pair();
    DWORD flags = 0;
    DWORD got = 9;
    sends(&pair, NULL, 0);
    OK(spi_recv_one(pair.to, NULL, 0, &flags, &got));
    assert_int_equal(got, 0);
    sends(&pair, "x", 1);
    FAILS(WSAEMSGSIZE, spi_recv_one(pair.to, NULL, 0, &flags, &got));
}

CASE(WSPRecv, recv_peek, "MSG_PEEK leaves the datagram")
{
    struct pair pair = connected_pair();
    char text[8];
    DWORD got = 0;
    sends(&pair, "peek", 4);
    spi_await_readable(pair.to);
    for (int i = 0; i < 3; i++) {
        DWORD flags = MSG_PEEK;
        OK(spi_recv_one(pair.to, text, sizeof(text), &flags, &got));
        assert_int_equal(got, 4);
        assert_int_equal(flags, 0);
    }
    receives(&pair, "peek", 4);
}

CASE(WSPRecv, recv_peek_short, "MSG_PEEK into a short buffer cuts the copy, not the datagram")
{
    struct pair pair = connected_pair();
    char text[2];
    DWORD flags = MSG_PEEK;
    DWORD got = 0;
    sends(&pair, "peek", 4);
    FAILS(WSAEMSGSIZE, spi_recv_one(pair.to, text, 2, &flags, &got));
    assert_int_equal(flags, MSG_PARTIAL);
    receives(&pair, "peek", 4);
}

CASE(WSPRecv, recv_partial_in, "MSG_PARTIAL as input is accepted")
{
    struct pair pair = connected_pair();
    char text[8];
    DWORD flags = MSG_PARTIAL;
    DWORD got = 0;
    sends(&pair, "x", 1);
    OK(spi_recv_one(pair.to, text, sizeof(text), &flags, &got));
    assert_int_equal(flags, 0);
}

CASE(WSPRecv, recv_stream_flags, "MSG_OOB, MSG_WAITALL and unknown flags are WSAEOPNOTSUPP")
{
    static const DWORD bad[] = {MSG_OOB, MSG_WAITALL, 0x40000000};
    struct pair pair = connected_pair();
    char text[8];
    DWORD got = 0;
    for (unsigned i = 0; i < 3; i++) {
        DWORD flags = bad[i];
        FAILS(WSAEOPNOTSUPP, spi_recv_one(pair.to, text, sizeof(text), &flags, &got));
    }
}

CASE(WSPRecv, recv_fault, "what cannot be written is WSAEFAULT, and the datagram is not lost")
{
    struct pair pair = connected_pair();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    sends(&pair, "kept", 4);
    spi_await_readable(pair.to);
    FAILS(WSAEFAULT, spi_recv_one(pair.to, spi_bad_pointer(), 8, &flags, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.to, spi_read_only_page(), 8, &flags, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.to, NULL, 8, &flags, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.to, text, 8, NULL, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.to, text, 8, &flags, NULL));
    FAILS(WSAEFAULT, spi_recv_one(pair.to, text, 8, spi_read_only_page(), &got));
    FAILS(WSAEFAULT, recv_vector(pair.to, spi_bad_pointer(), 1, &got, &flags));
    receives(&pair, "kept", 4);
}

CASE(WSPRecv, recv_no_buffer, "no buffer at all is WSAEINVAL")
{
    struct pair pair = connected_pair();
    DWORD flags = 0;
    DWORD got;
    FAILS(WSAEINVAL, recv_vector(pair.to, NULL, 0, &got, &flags));
}

CASE(WSPRecv, recv_order, "2000 datagrams come in the order they were sent, none missing")
{
    struct pair pair = connected_pair();
    for (unsigned sent = 0; sent < 2000; sent += 100) {
        for (unsigned i = sent; i < sent + 100; i++) {
            sends(&pair, &i, sizeof(i));
        }
        for (unsigned i = sent; i < sent + 100; i++) {
            receives(&pair, &i, sizeof(i));
        }
    }
}

/* The datagram to a port nobody has is answered by ICMP: wait for what it causes. */
static SOCKET meets_closed_port(BOOL report)
{
    SOCKADDR_IN at = spi_gone();
    SOCKET s = spi_bound(NULL);
    OK(spi_connect_to(s, &at));
    OK(spi_ioctl_in(s, SIO_UDP_CONNRESET, (DWORD)report));
    DWORD sent;
    OK(spi_send_one(s, "x", 1, 0, &sent));
    return s;
}

CASE(WSPRecv, recv_connreset, "ICMP port unreachable surfaces once as WSAECONNRESET")
{
    SOCKET s = meets_closed_port(TRUE);
    char byte;
    DWORD flags = 0;
    DWORD got;
    FAILS(WSAECONNRESET, spi_recv_one(s, &byte, 1, &flags, &got));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(WSPRecv, recv_connreset_off, "not with SIO_UDP_CONNRESET off")
{
    SOCKET s = meets_closed_port(FALSE);
    char byte;
    DWORD flags = 0;
    DWORD got;
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 200));
    FAILS(WSAETIMEDOUT, spi_recv_one(s, &byte, 1, &flags, &got));
}

/* ---- WSPRecvFrom ---- */

CASE(WSPRecvFrom, recvfrom_from, "the sender's address and its length")
{
    struct pair pair = connected_pair();
    char byte;
    WSABUF buffer = {1, &byte};
    DWORD flags = 0;
    DWORD got = 0;
    union {
        SOCKADDR_IN in;
        char room[64];
    } from;
    int from_bytes = sizeof(from);
    memset(&from, 0xaa, sizeof(from));
    sends(&pair, "x", 1);
    OK(TABLE->lpWSPRecvFrom(pair.to, &buffer, 1, &got, &flags, (struct sockaddr *)&from,
                            &from_bytes, NULL, NULL, NULL, &spi_error));
    assert_int_equal(from_bytes, sizeof(SOCKADDR_IN));
    assert_memory_equal(&from.in, &pair.s_at, sizeof(SOCKADDR_IN));
    assert_int_equal((unsigned char)from.room[sizeof(SOCKADDR_IN)], 0xaa);
}

CASE(WSPRecvFrom, recvfrom_small, "no room for the address is WSAEFAULT, and nothing is lost")
{
    struct pair pair = connected_pair();
    SOCKADDR_IN from;
    char byte;
    WSABUF buffer = {1, &byte};
    DWORD flags = 0;
    DWORD got = 0;
    int from_bytes = sizeof(from) - 1;
    sends(&pair, "x", 1);
    spi_await_readable(pair.to);
    FAILS(WSAEFAULT,
          TABLE->lpWSPRecvFrom(pair.to, &buffer, 1, &got, &flags, (struct sockaddr *)&from,
                               &from_bytes, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT,
          TABLE->lpWSPRecvFrom(pair.to, &buffer, 1, &got, &flags, (struct sockaddr *)&from, NULL,
                               NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, spi_recv_from_one(pair.to, &byte, 1, spi_bad_pointer(), &got));
    receives(&pair, "x", 1);
}

CASE(WSPRecvFrom, recvfrom_none, "without lpFrom it receives as WSPRecv does")
{
    struct pair pair = connected_pair();
    DWORD got = 0;
    char byte;
    sends(&pair, "x", 1);
    OK(spi_recv_from_one(pair.to, &byte, 1, NULL, &got));
    assert_int_equal(got, 1);
}

CASE(WSPRecvFrom, recvfrom_cut, "a datagram that was cut still tells its sender")
{
    struct pair pair = connected_pair();
    SOCKADDR_IN from = {0};
    char byte;
    DWORD got = 0;
    sends(&pair, "abc", 3);
    FAILS(WSAEMSGSIZE, spi_recv_from_one(pair.to, &byte, 1, &from, &got));
    assert_int_equal(from.sin_port, pair.s_at.sin_port);
}

CASE(WSPRecvFrom, recvfrom_peek, "peeking tells the sender as well")
{
    struct pair pair = connected_pair();
    SOCKADDR_IN from = {0};
    int from_bytes = sizeof(from);
    char byte;
    WSABUF buffer = {1, &byte};
    DWORD flags = MSG_PEEK;
    DWORD got = 0;
    sends(&pair, "x", 1);
    OK(TABLE->lpWSPRecvFrom(pair.to, &buffer, 1, &got, &flags, (struct sockaddr *)&from,
                            &from_bytes, NULL, NULL, NULL, &spi_error));
    assert_int_equal(from.sin_port, pair.s_at.sin_port);
    receives(&pair, "x", 1);
}

CASE(WSPRecvFrom, recvfrom_own, "traffic to the NIC's own address comes from it")
{
    SOCKADDR_IN any = spi_at(SPI_OWN, 0);
    SOCKET to = spi_udp();
    SOCKADDR_IN from = {0};
    char byte;
    DWORD got = 0;
    OK(spi_bind_at(to, &any));
    SOCKADDR_IN at = spi_name(to);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    OK(spi_recv_from_one(to, &byte, 1, &from, &got));
    assert_int_equal(from.sin_addr.s_addr, at.sin_addr.s_addr);
}
