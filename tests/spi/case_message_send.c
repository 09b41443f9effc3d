/*
 * Cases of WSASendMsg: control data of one datagram.
 */
#include <string.h>

#include "tests/spi/message_kit.h"

static struct message out, in;

/* What the receiver gets, with everything that it can be told. */
static SOCKET listener(SOCKADDR_IN *at)
{
    SOCKET s = spi_bound(at);
    OK(spi_set_dword(s, IPPROTO_IP, IP_PKTINFO, TRUE));
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTTL, TRUE));
    OK(spi_set_dword(s, IPPROTO_IP, IP_RECVTOS, TRUE));
    return s;
}

static void arrives(SOCKET s, const char *text, INT ttl, INT tos)
{
    message_clear(&in);
    OK(message_recv(s, &in));
    assert_int_equal(in.bytes, strlen(text));
    assert_memory_equal(in.data, text, strlen(text));
    assert_int_equal(message_int(&in, IPPROTO_IP, IP_TTL), ttl);
    assert_int_equal(message_int(&in, IPPROTO_IP, IP_TOS), tos);
}

static void nothing_arrives(SOCKET s)
{
    spi_nonblocking(s);
    message_clear(&in);
    FAILS(WSAEWOULDBLOCK, message_recv(s, &in));
}

CASE(WSASendMsg, msg_send, "to the name that is given, without control data")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    message_make(&out, "hello", 5, &at);
    OK(message_send(sender, &out));
    assert_int_equal(out.bytes, 5);
    arrives(s, "hello", 128, 0);
    assert_int_equal(in.name.sin_port, spi_name(sender).sin_port); /* it is bound now */
}

CASE(WSASendMsg, msg_send_peer, "without a name to the peer of a connected socket")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    OK(spi_connect_to(sender, &at));
    message_make(&out, "hello", 5, NULL);
    OK(message_send(sender, &out));
    arrives(s, "hello", 128, 0);
    message_make(&out, "ttl", 3, NULL);
    message_add_int(&out, IPPROTO_IP, IP_TTL, 3);
    OK(message_send(sender, &out));
    arrives(s, "ttl", 3, 0);
}

CASE(WSASendMsg, msg_send_gather, "several buffers make one datagram, with control data, too")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    WSABUF buffers[] = {{3, "abc"}, {0, NULL}, {4, "defg"}};
    for (unsigned i = 0; i < 2; i++) {
        message_make(&out, "", 0, &at);
        if (i == 1) {
            message_add_int(&out, IPPROTO_IP, IP_TTL, 7);
        }
        out.msg.lpBuffers = buffers;
        out.msg.dwBufferCount = 3;
        OK(message_send(spi_udp(), &out));
        assert_int_equal(out.bytes, 7);
        arrives(s, "abcdefg", i == 1 ? 7 : 128, 0);
    }
}

CASE(WSASendMsg, msg_send_source, "IP_PKTINFO: the source address of this datagram")
{
    SOCKADDR_IN at, own = spi_at(SPI_OWN, 0);
    SOCKET s = listener(&at), sender = spi_udp();
    IN_PKTINFO info = {.ipi_addr = spi_at("127.0.0.77", 0).sin_addr};
    message_make(&out, "alias", 5, &at);
    message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    OK(message_send(sender, &out));
    arrives(s, "alias", 128, 0);
    assert_int_equal(in.name.sin_addr.s_addr, info.ipi_addr.s_addr);
    assert_int_equal(in.name.sin_port, spi_name(sender).sin_port);
    info.ipi_addr = own.sin_addr;
    message_make(&out, "own", 3, &at);
    message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    OK(message_send(sender, &out));
    arrives(s, "own", 128, 0);
    assert_int_equal(in.name.sin_addr.s_addr, own.sin_addr.s_addr);
}

CASE(WSASendMsg, msg_send_answer, "IP_PKTINFO as it was received makes the answer's source")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0), client_at;
    SOCKET server = spi_udp(), client = listener(&client_at);
    OK(spi_bind_at(server, &any));
    OK(spi_set_dword(server, IPPROTO_IP, IP_PKTINFO, TRUE));
    SOCKADDR_IN to = spi_at("127.0.0.42", 0);
    to.sin_port = spi_name(server).sin_port;
    OK(spi_send_to_one(client, "ask", 3, &to));
    message_clear(&in);
    OK(message_recv(server, &in));
    IN_PKTINFO info = message_pktinfo(&in);
    SOCKADDR_IN from = in.name;
    message_make(&out, "answer", 6, &from);
    message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    OK(message_send(server, &out));
    arrives(client, "answer", 128, 0);
    assert_int_equal(in.name.sin_addr.s_addr, to.sin_addr.s_addr);
    assert_int_equal(in.name.sin_port, to.sin_port);
}

CASE(WSASendMsg, msg_send_interface,
     "IP_PKTINFO with an interface alone: its address is the source")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    IN_PKTINFO info = {.ipi_ifindex = 1};
    message_make(&out, "x", 1, &at);
    message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    OK(message_send(spi_udp(), &out));
    arrives(s, "x", 128, 0);
    assert_int_equal(in.name.sin_addr.s_addr, spi_at(SPI_OWN, 0).sin_addr.s_addr);
    assert_int_equal(message_pktinfo(&in).ipi_ifindex, 1);
}

CASE(WSASendMsg, msg_send_foreign, "a source or an interface that is not ours: WSAEADDRNOTAVAIL")
{
    static const struct {
        const char *ip;
        ULONG interface_idx;
    } wrong[] = {{"10.1.2.3", 0}, {"239.1.1.1", 0}, {"255.255.255.255", 0},
                 {"0.0.0.0", 99}, {SPI_OWN, 99},    {"10.1.2.3", 1}};
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        IN_PKTINFO info = {.ipi_addr = spi_at(wrong[i].ip, 0).sin_addr,
                           .ipi_ifindex = wrong[i].interface_idx};
        message_make(&out, "x", 1, &at);
        message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
        FAILS(WSAEADDRNOTAVAIL, message_send(spi_udp(), &out));
    }
    nothing_arrives(s);
}

CASE(WSASendMsg, msg_send_ttl, "IP_TTL or IP_HOPLIMIT: the TTL of this datagram and no other")
{
    static const int types[] = {IP_TTL, IP_HOPLIMIT};
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    OK(spi_set_dword(sender, IPPROTO_IP, IP_TTL, 50));
    for (unsigned i = 0; i < 2; i++) {
        for (INT ttl = 1; ttl < 256; ttl += 127) {
            message_make(&out, "one", 3, &at);
            message_add_int(&out, IPPROTO_IP, types[i], ttl);
            OK(message_send(sender, &out));
            arrives(s, "one", ttl, 0);
            OK(spi_send_to_one(sender, "usual", 5, &at));
            arrives(s, "usual", 50, 0);
        }
    }
}

CASE(WSASendMsg, msg_send_ecn, "IP_ECN: the codepoint arrives, the socket's other bits stay")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    OK(spi_set_dword(sender, IPPROTO_IP, IP_TOS, 0xb8));
    OK(spi_set_dword(s, IPPROTO_IP, IP_ECN, TRUE));
    for (INT ecn = 0; ecn < 3; ecn++) {
        message_make(&out, "x", 1, &at);
        message_add_int(&out, IPPROTO_IP, IP_ECN, ecn);
        OK(message_send(sender, &out));
        arrives(s, "x", 128, 0xb8 | ecn);
        assert_int_equal(message_int(&in, IPPROTO_IP, IP_ECN), ecn);
    }
}

CASE(WSASendMsg, msg_send_ce, "a program may not say that congestion was met: WSAEINVAL, not sent")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    message_make(&out, "x", 1, &at);
    message_add_int(&out, IPPROTO_IP, IP_ECN, 3);
    FAILS(WSAEINVAL, message_send(spi_udp(), &out));
    message_make(&out, "x", 1, &at);
    message_add_int(&out, IPPROTO_IP, IP_TOS, 0xbb);
    FAILS(WSAEINVAL, message_send(spi_udp(), &out));
    nothing_arrives(s);
}

CASE(WSASendMsg, msg_send_tos, "IP_TOS: all bits of this datagram's")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    OK(spi_set_dword(sender, IPPROTO_IP, IP_TOS, 0xb8));
    message_make(&out, "x", 1, &at);
    message_add_int(&out, IPPROTO_IP, IP_TOS, 0x21);
    OK(message_send(sender, &out));
    arrives(s, "x", 128, 0x21);
    OK(spi_send_to_one(sender, "usual", 5, &at));
    arrives(s, "usual", 128, 0xb8);
}

CASE(WSASendMsg, msg_send_several, "several objects hold together; of the same bits the last one")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    IN_PKTINFO info = {.ipi_addr = spi_at("127.0.0.8", 0).sin_addr};
    message_make(&out, "x", 1, &at);
    message_add_int(&out, IPPROTO_IP, IP_TOS, 0x28);
    message_add(&out, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    message_add_int(&out, IPPROTO_IP, IP_TTL, 9);
    message_add_int(&out, IPPROTO_IP, IP_ECN, 2);
    OK(message_send(spi_udp(), &out));
    arrives(s, "x", 9, 0x2a);
    assert_int_equal(in.name.sin_addr.s_addr, info.ipi_addr.s_addr);
}

CASE(WSASendMsg, msg_send_order, "datagrams with and without control data keep their order")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    for (INT i = 1; i <= 100; i++) {
        message_make(&out, "123", 3, &at);
        if (i % 3 != 0) {
            message_add_int(&out, IPPROTO_IP, IP_TTL, i);
        }
        OK(message_send(sender, &out));
    }
    for (INT i = 1; i <= 100; i++) {
        arrives(s, "123", i % 3 != 0 ? i : 128, 0);
    }
}

CASE(WSASendMsg, msg_send_bad_control,
     "control data that is not what it says is WSAEINVAL, not sent")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    for (unsigned i = 0; i < 11; i++) {
        static const BYTE bytes[16];
        message_make(&out, "x", 1, &at);
        message_add(&out,
                    i == 0   ? IPPROTO_TCP
                    : i == 1 ? SOL_SOCKET
                             : IPPROTO_IP,
                    i == 2   ? 99
                    : i == 3 ? IP_PKTINFO
                             : IP_TTL,
                    bytes, i == 4 ? 3 : 4);
        WSACMSGHDR *header = (WSACMSGHDR *)out.control;
        INT *value = (INT *)WSA_CMSG_DATA(header);
        *value = i == 5 ? 256 : i == 6 ? -1 : i == 7 ? 0 : 1;
        header->cmsg_len = i == 8 ? 0 : i == 9 ? WSA_CMSG_LEN(5) + 8 : header->cmsg_len;
        if (i == 10) { /* it ends inside the object */
            out.msg.Control.len = sizeof(*header);
        }
        FAILS(WSAEINVAL, message_send(spi_udp(), &out));
    }
    nothing_arrives(s);
}

CASE(WSASendMsg, msg_send_unaligned_end, "the last object may come without its padding")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    message_make(&out, "x", 1, &at);
    message_add_int(&out, IPPROTO_IP, IP_TTL, 5);
    out.msg.Control.len = (ULONG)WSA_CMSG_LEN(sizeof(INT));
    OK(message_send(spi_udp(), &out));
    arrives(s, "x", 5, 0);
}

CASE(WSASendMsg, msg_send_flags, "MSG_DONTROUTE has no effect; the message's own flags are ignored")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    message_make(&out, "x", 1, &at);
    out.msg.dwFlags = 0xffffffff;
    OK(message_send_flags(spi_udp(), &out, MSG_DONTROUTE));
    arrives(s, "x", 128, 0);
    assert_int_equal(out.msg.dwFlags, 0xffffffff);
}

CASE(WSASendMsg, msg_send_bad_flags, "partial and urgent data do not exist here: WSAEOPNOTSUPP")
{
    static const DWORD flags[] = {MSG_PARTIAL, MSG_OOB, MSG_PEEK, MSG_WAITALL, 0x40000000};
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        message_make(&out, "x", 1, &at);
        FAILS(WSAEOPNOTSUPP, message_send_flags(spi_udp(), &out, flags[i]));
    }
    nothing_arrives(s);
}

CASE(WSASendMsg, msg_send_stream, "only for datagram sockets")
{
    message_make(&out, "x", 1, NULL);
    FAILS(WSAEOPNOTSUPP,
          message_send(spi_new_of(SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED), &out));
}

CASE(WSASendMsg, msg_send_fault, "what is not there is WSAEFAULT, not sent")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    GUID id = WSAID_WSASENDMSG;
    LPFN_WSASENDMSG function;
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &function,
                         sizeof(function), &returned, NULL, NULL, NULL, &spi_error));
    for (unsigned i = 0; i < 7; i++) {
        message_make(&out, "x", 1, &at);
        message_add_int(&out, IPPROTO_IP, IP_TTL, 5);
        out.msg.name = i == 0 ? NULL : out.msg.name; /* with a length */
        out.msg.namelen = i == 1 ? 8 : out.msg.namelen;
        out.msg.name = i == 2 ? spi_bad_pointer() : out.msg.name;
        out.msg.Control.buf = i == 3 ? NULL : out.msg.Control.buf; /* so */
        out.msg.Control.buf = i == 4 ? spi_bad_pointer() : out.msg.Control.buf;
        out.msg.lpBuffers = i == 5 ? spi_bad_pointer() : out.msg.lpBuffers;
        out.buffer.buf = i == 6 ? spi_bad_pointer() : out.buffer.buf;
        FAILS(WSAEFAULT, message_send(sender, &out));
    }
    message_make(&out, "x", 1, &at);
    assert_int_equal(function(sender, spi_bad_pointer(), 0, &returned, NULL, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSAEFAULT);
    assert_int_equal(function(sender, &out.msg, 0, NULL, NULL, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSAEFAULT);
    nothing_arrives(s);
}

CASE(WSASendMsg, msg_send_unconnected, "neither a name nor a peer is WSAENOTCONN")
{
    message_make(&out, "x", 1, NULL);
    FAILS(WSAENOTCONN, message_send(spi_udp(), &out));
    message_add_int(&out, IPPROTO_IP, IP_TTL, 5);
    FAILS(WSAENOTCONN, message_send(spi_bound(NULL), &out));
}

CASE(WSASendMsg, msg_send_broadcast, "a broadcast address without SO_BROADCAST is WSAEACCES")
{
    SOCKADDR_IN all = spi_at("255.255.255.255", 7000);
    message_make(&out, "x", 1, &all);
    FAILS(WSAEACCES, message_send(spi_udp(), &out));
    message_add_int(&out, IPPROTO_IP, IP_TTL, 5);
    FAILS(WSAEACCES, message_send(spi_udp(), &out));
}

CASE(WSASendMsg, msg_send_too_long, "more than a datagram can carry is WSAEMSGSIZE, not sent")
{
    static char data[65508];
    SOCKADDR_IN at;
    SOCKET s = listener(&at);
    WSABUF buffer = {sizeof(data), data};
    for (unsigned i = 0; i < 2; i++) {
        message_make(&out, "", 0, &at);
        if (i == 1) {
            message_add_int(&out, IPPROTO_IP, IP_TTL, 5);
        }
        out.msg.lpBuffers = &buffer;
        FAILS(WSAEMSGSIZE, message_send(spi_udp(), &out));
    }
    nothing_arrives(s);
}

CASE(WSASendMsg, msg_send_shutdown, "behind SD_SEND it is WSAESHUTDOWN")
{
    SOCKADDR_IN at;
    SOCKET sender = spi_bound(NULL);
    (void)listener(&at);
    OK(spi_connect_to(sender, &at));
    OK(TABLE->lpWSPShutdown(sender, SD_SEND, &spi_error));
    message_make(&out, "x", 1, NULL);
    message_add_int(&out, IPPROTO_IP, IP_TTL, 5);
    FAILS(WSAESHUTDOWN, message_send(sender, &out));
}

CASE(WSASendMsg, msg_send_not_socket, "a handle that is no socket is WSAENOTSOCK")
{
    message_make(&out, "x", 1, NULL);
    FAILS(WSAENOTSOCK, message_send(INVALID_SOCKET, &out));
}

CASE(WSASendMsg, msg_send_family, "a name of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 7000);
    message_make(&out, "x", 1, &at);
    out.name.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, message_send(spi_udp(), &out));
}

/* ---- timestamps ---- */

/* A reading of the counter and the conversion each err by a tick or two; where a thread loses the
 * processor between two readings, by less than this. */
static UINT64 tolerance(void)
{
    LARGE_INTEGER hz;
    (void)QueryPerformanceFrequency(&hz);
    return (UINT64)hz.QuadPart / 50000; /* 20 us */
}

static void expect_between(UINT64 from, UINT64 qpc, UINT64 to)
{
    if (qpc + tolerance() < from || qpc > to + tolerance()) {
        fail_msg("timestamp %llu outside %llu to %llu", (unsigned long long)qpc,
                 (unsigned long long)from, (unsigned long long)to);
    }
}

static UINT64 rx_timestamp(void)
{
    UINT64 qpc;
    const void *data = message_find(&in, SOL_SOCKET, SO_TIMESTAMP, sizeof(qpc));
    assert_non_null(data);
    memcpy(&qpc, data, sizeof(qpc));
    return qpc;
}

static int send_stamped(SOCKET s, const SOCKADDR_IN *to, UINT32 id)
{
    message_make(&out, "tick", 4, to);
    message_add(&out, SOL_SOCKET, SO_TIMESTAMP_ID, &id, sizeof(id));
    return message_send(s, &out);
}

static UINT64 tx_timestamp(SOCKET s, UINT32 id)
{
    UINT64 qpc = 0;
    ULONGLONG give_up = GetTickCount64() + 5000;
    while (message_tx_timestamp(s, id, &qpc) == SOCKET_ERROR) {
        assert_int_equal(spi_error, WSAEWOULDBLOCK);
        assert_true(GetTickCount64() < give_up); /* the timestamp never came */
    }
    return qpc;
}

CASE(WSPIoctl, stamp_rx, "TIMESTAMPING_FLAG_RX: SO_TIMESTAMP, a QPC value between send and receive")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at), sender = spi_udp();
    OK(message_timestamping(s, TIMESTAMPING_FLAG_RX, 0));
    UINT64 last = 0;
    for (unsigned i = 0; i < 50; i++) {
        UINT64 before = message_qpc();
        OK(spi_send_to_one(sender, "tick", 4, &at));
        message_clear(&in);
        OK(message_recv(s, &in));
        assert_int_equal(message_objects(&in), 1);
        expect_between(before, rx_timestamp(), message_qpc());
        assert_true(rx_timestamp() + tolerance() >= last);
        last = rx_timestamp();
    }
}

CASE(WSPIoctl, stamp_rx_late, "a receive timestamp is the arrival's, however late it is read")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at), sender = spi_udp();
    OK(message_timestamping(s, TIMESTAMPING_FLAG_RX, 0));
    UINT64 before = message_qpc();
    OK(spi_send_to_one(sender, "tick", 4, &at));
    spi_await_readable(s);
    UINT64 after = message_qpc();
    Sleep(300); /* the time that the conversion has to bridge */
    message_clear(&in);
    OK(message_recv(s, &in));
    expect_between(before, rx_timestamp(), after);
}

CASE(WSPIoctl, stamp_tx, "SIO_GET_TX_TIMESTAMP: by its number, removed when it is given")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    UINT64 qpc;
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_TX, 8));
    for (UINT32 i = 0; i < 30; i++) {
        UINT32 id = i % 2 == 0 ? i : UINT32_MAX - i;
        UINT64 before = message_qpc();
        OK(send_stamped(sender, &at, id));
        qpc = tx_timestamp(sender, id);
        arrives(s, "tick", 128, 0);
        expect_between(before, qpc, message_qpc());
        FAILS(WSAEWOULDBLOCK, message_tx_timestamp(sender, id, &qpc));
    }
}

CASE(WSPIoctl, stamp_tx_late, "a transmit timestamp waits until it is asked for, in any order")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    UINT64 before[3], after[3];
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_TX, 3));
    for (UINT32 i = 0; i < 3; i++) {
        before[i] = message_qpc();
        OK(send_stamped(sender, &at, i));
        arrives(s, "tick", 128, 0);
        after[i] = message_qpc();
        Sleep(100); /* the time that the conversion has to bridge */
    }
    for (UINT32 i = 3; i-- > 0;) {
        expect_between(before[i], tx_timestamp(sender, i), after[i]);
    }
}

CASE(WSPIoctl, stamp_tx_full, "while the buffer is full new timestamps are discarded")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    UINT64 qpc;
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_TX, 2));
    for (UINT32 i = 1; i <= 3; i++) {
        OK(send_stamped(sender, &at, i));
        arrives(s, "tick", 128, 0);
    }
    (void)tx_timestamp(sender, 1);
    FAILS(WSAEWOULDBLOCK, message_tx_timestamp(sender, 3, &qpc));
    OK(send_stamped(sender, &at, 4));
    (void)tx_timestamp(sender, 4);
    (void)tx_timestamp(sender, 2);
}

CASE(WSPIoctl, stamp_tx_off, "without TIMESTAMPING_FLAG_TX none is kept; both directions are apart")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    UINT64 qpc;
    OK(send_stamped(sender, &at, 1));
    arrives(s, "tick", 128, 0);
    FAILS(WSAEWOULDBLOCK, message_tx_timestamp(sender, 1, &qpc));
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_RX | TIMESTAMPING_FLAG_TX, 4));
    OK(send_stamped(sender, &at, 1));
    (void)tx_timestamp(sender, 1);
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_RX, 4));
    OK(send_stamped(sender, &at, 2));
    FAILS(WSAEWOULDBLOCK, message_tx_timestamp(sender, 2, &qpc));
}

CASE(WSPIoctl, stamp_unasked, "a datagram without SO_TIMESTAMP_ID has no timestamp kept")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    UINT64 qpc;
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_TX, 1));
    OK(spi_send_to_one(sender, "tick", 4, &at));
    arrives(s, "tick", 128, 0);
    FAILS(WSAEWOULDBLOCK, message_tx_timestamp(sender, 0, &qpc));
    OK(send_stamped(sender, &at, 0)); /* the room is still there */
    (void)tx_timestamp(sender, 0);
}

CASE(WSPIoctl, stamp_stream, "timestamps are for datagram sockets: WSAEINVAL for others")
{
    SOCKET s = spi_new_of(SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED);
    UINT64 qpc;
    FAILS(WSAEINVAL, message_timestamping(s, TIMESTAMPING_FLAG_RX, 0));
    FAILS(WSAEINVAL, message_tx_timestamp(s, 1, &qpc));
}

CASE(WSPIoctl, stamp_config, "unknown flags are WSAEINVAL, more room than there is WSAENOBUFS")
{
    SOCKET s = spi_udp();
    FAILS(WSAEINVAL, message_timestamping(s, 4, 1));
    FAILS(WSAENOBUFS, message_timestamping(s, TIMESTAMPING_FLAG_TX, 0xffff));
    OK(message_timestamping(s, TIMESTAMPING_FLAG_TX, 1024));
    OK(message_timestamping(s, TIMESTAMPING_FLAG_TX, 0));
    OK(message_timestamping(s, 0, 0xffff));
}

CASE(WSPIoctl, stamp_fault, "short or bad buffers are WSAEFAULT, and cost no timestamp")
{
    SOCKADDR_IN at;
    SOCKET s = listener(&at), sender = spi_udp();
    TIMESTAMPING_CONFIG config = {.Flags = TIMESTAMPING_FLAG_TX, .TxTimestampsBuffered = 1};
    UINT32 id = 5;
    UINT64 qpc;
    DWORD returned = 0;
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(sender, SIO_TIMESTAMPING, &config, sizeof(config) - 1, NULL,
                                       0, &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(sender, SIO_TIMESTAMPING, spi_bad_pointer(), sizeof(config),
                                       NULL, 0, &returned, NULL, NULL, NULL, &spi_error));
    OK(message_timestamping(sender, TIMESTAMPING_FLAG_TX, 1));
    OK(send_stamped(sender, &at, id));
    arrives(s, "tick", 128, 0);
    for (unsigned i = 0; i < 4; i++) {
        FAILS(WSAEFAULT,
              TABLE->lpWSPIoctl(sender, SIO_GET_TX_TIMESTAMP, i == 0 ? spi_bad_pointer() : &id,
                                i == 1 ? 3 : 4, i == 2 ? spi_read_only_page() : &qpc,
                                i == 3 ? 7 : 8, &returned, NULL, NULL, NULL, &spi_error));
    }
    (void)tx_timestamp(sender, id);
}
