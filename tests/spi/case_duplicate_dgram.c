/*
 * Cases of WSPDuplicateSocket with datagram sockets: a feed or a port that a process hands to
 * another one. Rules as in case_duplicate.c.
 */
#include "rings/byteorder.h"
#include "tests/spi/event_kit.h"
#include "tests/spi/other_kit.h"

#include <string.h>

struct dgram_pair {
    SOCKET shared, peer;
    SOCKADDR_IN at, from;
};

/* Connected to each other; shared is the other process's, too. */
static struct dgram_pair dgram_shared(void)
{
    struct dgram_pair pair;
    pair.shared = spi_bound(&pair.at);
    pair.peer = spi_bound(&pair.from);
    OK(spi_connect_to(pair.shared, &pair.from));
    OK(spi_connect_to(pair.peer, &pair.at));
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.shared, other.id);
    assert_int_equal(info.iSocketType, SOCK_DGRAM);
    struct other_answer answer = other_open(&info);
    if (answer.result != 0) {
        fail_msg("the other process cannot open the socket: error %d", answer.error);
    }
    return pair;
}

static void dgram_send(SOCKET s, const char *text)
{
    DWORD sent;
    OK(spi_send_one(s, text, (DWORD)strlen(text), 0, &sent));
    assert_int_equal(sent, strlen(text));
}

static void dgram_expect(SOCKET s, const char *text, const SOCKADDR_IN *from)
{
    char data[64];
    DWORD got;
    SOCKADDR_IN who;
    OK(spi_recv_from_one(s, data, sizeof(data), &who, &got));
    assert_int_equal(got, strlen(text));
    assert_memory_equal(data, text, got);
    assert_int_equal(who.sin_port, from->sin_port);
}

CASE(WSPDuplicateSocket, dup_udp_send, "a datagram socket: both send from its one address")
{
    struct dgram_pair pair = dgram_shared();
    dgram_send(pair.shared, "mine");
    dgram_expect(pair.peer, "mine", &pair.at);
    other_send("its");
    dgram_expect(pair.peer, "its", &pair.at);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_recv, "a datagram is received by one of the descriptors, whole")
{
    struct dgram_pair pair = dgram_shared();
    dgram_send(pair.peer, "first");
    dgram_send(pair.peer, "second");
    dgram_send(pair.peer, "third");
    other_expect("first");
    dgram_expect(pair.shared, "second", &pair.from);
    other_expect("third");
    spi_nonblocking(pair.shared);
    char byte;
    DWORD flags = 0, got;
    FAILS(WSAEWOULDBLOCK, spi_recv_one(pair.shared, &byte, 1, &flags, &got));
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_waiting,
     "datagrams that waited when it was duplicated are not lost")
{
    SOCKADDR_IN at, from;
    SOCKET s = spi_bound(&at), peer = spi_bound(&from);
    OK(spi_send_to_one(peer, "early", 5, &at));
    OK(spi_send_to_one(peer, "later", 5, &at));
    spi_await_readable(s);
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(s, other.id);
    assert_int_equal(other_open(&info).result, 0);
    other_expect("early");
    dgram_expect(s, "later", &from);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_options, "options and the peer are the datagram socket's")
{
    struct dgram_pair pair = dgram_shared();
    SOCKADDR_IN third;
    SOCKET stranger = spi_bound(&third);
    other_do(OTHER_SET, IPPROTO_IP, IP_TTL, 77);
    assert_int_equal(spi_get_dword(pair.shared, IPPROTO_IP, IP_TTL), 77);
    OK(spi_set_dword(pair.shared, SOL_SOCKET, SO_BROADCAST, 1));
    assert_int_equal(other_do(OTHER_GET, SOL_SOCKET, SO_BROADCAST, 0), 1);
    assert_int_equal(other_do(OTHER_PEER, 0, 0, 0), pair.from.sin_port);
    OK(spi_connect_to(pair.shared, &third));
    assert_int_equal(other_do(OTHER_PEER, 0, 0, 0), third.sin_port);
    other_send("to the third");
    dgram_expect(stranger, "to the third", &pair.at);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_feed, "a multicast feed that one process opened, read by another")
{
    SOCKADDR_IN at, from, to;
    SOCKET feed = spi_udp(), source = spi_bound(&from);
    const struct ip_mreq join = {.imr_multiaddr.s_addr = rs_be32(0xefff0009u)};
    const SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    OK(spi_bind_at(feed, &any));
    at = spi_name(feed);
    OK(TABLE->lpWSPSetSockOpt(feed, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&join,
                              sizeof(join), &spi_error));
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(feed, other.id);
    assert_int_equal(other_open(&info).result, 0);
    OK(TABLE->lpWSPCloseSocket(feed, &spi_error));
    spi_forget(feed);
    to = spi_at("239.255.0.9", rs_be16(at.sin_port));
    OK(spi_send_to_one(source, "price", 5, &to));
    other_expect("price");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_select, "a select in either process sees a datagram")
{
    struct dgram_pair pair = dgram_shared();
    dgram_send(pair.peer, "x");
    spi_await_readable(pair.shared);
    assert_int_equal(other_do(OTHER_SELECT, 0, 0, 0), 1);
    other_expect("x");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_close, "the port is in use until the last descriptor is closed")
{
    struct dgram_pair pair = dgram_shared();
    OK(TABLE->lpWSPCloseSocket(pair.shared, &spi_error));
    spi_forget(pair.shared);
    FAILS(WSAEADDRINUSE, spi_bind_at(spi_udp(), &pair.at));
    dgram_send(pair.peer, "still there");
    other_expect("still there");
    other_do(OTHER_CLOSE, 0, 0, 0);
    OK(spi_bind_at(spi_udp(), &pair.at));
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_killed, "a process that dies leaves the others their datagrams")
{
    struct dgram_pair pair = dgram_shared();
    dgram_send(pair.peer, "one");
    dgram_send(pair.peer, "two");
    other_expect("one");
    other_end(true);
    dgram_expect(pair.shared, "two", &pair.from);
    dgram_send(pair.shared, "alone");
    dgram_expect(pair.peer, "alone", &pair.at);
    dgram_send(pair.peer, "back");
    dgram_expect(pair.shared, "back", &pair.from);
}

CASE(WSPDuplicateSocket, dup_udp_shutdown, "a shutdown of a datagram socket is for all descriptors")
{
    struct dgram_pair pair = dgram_shared();
    DWORD sent;
    other_do(OTHER_SHUTDOWN, 0, 0, SD_SEND);
    FAILS(WSAESHUTDOWN, spi_send_one(pair.shared, "x", 1, 0, &sent));
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_udp_unreachable,
     "an unreachable port is WSAECONNRESET at the sender's")
{
    struct dgram_pair pair = dgram_shared();
    OK(TABLE->lpWSPCloseSocket(pair.peer, &spi_error));
    spi_forget(pair.peer);
    other_send("x");
    assert_int_equal(other_error(OTHER_RECV, 1), WSAECONNRESET);
    other_end(false);
}

NOTIFY_CASE(dup_udp_events, "a datagram socket's events are whose process selected last")
{
    struct dgram_pair pair = dgram_shared();
    OK(notify_select(n, pair.shared, FD_READ));
    dgram_send(pair.peer, "a");
    notify_expect(n, pair.shared, FD_READ);
    other_expect("a");
    other_do(OTHER_EVENTS, 0, 0, FD_READ);
    dgram_send(pair.peer, "b");
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, 5000), FD_READ);
    notify_none(n, pair.shared);
    other_end(false);
}
