/*
 * Cases of WSPGetSockOpt, WSPSetSockOpt and WSPIoctl against a dataplane.
 */
#include <string.h>

#include "provider/spi/option_names.h"
#include "tests/spi/spi_test.h"

static int set_raw(SOCKET s, int level, int name, const void *value, int bytes)
{
    return TABLE->lpWSPSetSockOpt(s, level, name, value, bytes, &spi_error);
}

static int get_raw(SOCKET s, int level, int name, void *value, int *bytes)
{
    return TABLE->lpWSPGetSockOpt(s, level, name, value, bytes, &spi_error);
}

/* Set, read back; unbound and bound. */
static void keeps(int level, int name, DWORD value)
{
    SOCKET unbound = spi_new(WSA_FLAG_OVERLAPPED);
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    OK(spi_set_dword(unbound, level, name, value));
    assert_int_equal(spi_get_dword(unbound, level, name), value);
    OK(spi_bind_at(unbound, &any));
    assert_int_equal(spi_get_dword(unbound, level, name), value);
    SOCKET bound = spi_bound(NULL);
    OK(spi_set_dword(bound, level, name, value));
    assert_int_equal(spi_get_dword(bound, level, name), value);
}

static void starts(int level, int name, DWORD value)
{
    assert_int_equal(spi_get_dword(spi_new(WSA_FLAG_OVERLAPPED), level, name), value);
}

/* ---- values ---- */

CASE(WSPSetSockOpt, set_buffers, "SO_RCVBUF and SO_SNDBUF read back as set")
{
    keeps(SOL_SOCKET, SO_RCVBUF, 32768);
    keeps(SOL_SOCKET, SO_SNDBUF, 16384);
}

CASE(WSPSetSockOpt, set_timeouts, "SO_RCVTIMEO and SO_SNDTIMEO are milliseconds and read back")
{
    keeps(SOL_SOCKET, SO_RCVTIMEO, 1234);
    keeps(SOL_SOCKET, SO_SNDTIMEO, 4321);
}

CASE(WSPSetSockOpt, set_broadcast, "SO_BROADCAST reads back as set, any value but 0 is 1")
{
    keeps(SOL_SOCKET, SO_BROADCAST, 1);
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, SOL_SOCKET, SO_BROADCAST, 77));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_BROADCAST), 1);
}

CASE(WSPSetSockOpt, set_ip, "IP_TTL, IP_TOS, IP_MULTICAST_TTL and _LOOP read back as set")
{
    keeps(IPPROTO_IP, IP_TTL, 33);
    keeps(IPPROTO_IP, IP_TOS, 0xb8);
    keeps(IPPROTO_IP, IP_MULTICAST_TTL, 9);
    keeps(IPPROTO_IP, IP_MULTICAST_LOOP, 0);
}

CASE(WSPSetSockOpt, set_byte, "options of the IP level take one byte, as BSD programs pass it")
{
    SOCKET s = spi_udp();
    unsigned char value = 7;
    unsigned char back = 0;
    int bytes = 1;
    OK(set_raw(s, IPPROTO_IP, IP_MULTICAST_TTL, &value, 1));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_TTL), 7);
    OK(get_raw(s, IPPROTO_IP, IP_MULTICAST_TTL, &back, &bytes));
    assert_int_equal(back, 7);
    assert_int_equal(bytes, 1);
}

CASE(WSPSetSockOpt, set_ttl_range, "IP_TTL 0 or over 255 is WSAEINVAL")
{
    FAILS(WSAEINVAL, spi_set_dword(spi_udp(), IPPROTO_IP, IP_TTL, 0));
    FAILS(WSAEINVAL, spi_set_dword(spi_udp(), IPPROTO_IP, IP_TTL, 256));
    FAILS(WSAEINVAL, spi_set_dword(spi_udp(), IPPROTO_IP, IP_MULTICAST_TTL, 256));
}

CASE(WSPSetSockOpt, set_reuse, "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE exclude each other: WSAEINVAL")
{
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, SOL_SOCKET, SO_REUSEADDR, 1));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_REUSEADDR), 1);
    FAILS(WSAEINVAL, spi_set_dword(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1));
    SOCKET t = spi_udp();
    OK(spi_set_dword(t, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1));
    assert_int_equal(spi_get_dword(t, SOL_SOCKET, SO_EXCLUSIVEADDRUSE), 1);
    FAILS(WSAEINVAL, spi_set_dword(t, SOL_SOCKET, SO_REUSEADDR, 1));
}

CASE(WSPSetSockOpt, set_exclusive_late, "SO_EXCLUSIVEADDRUSE after the bind is WSAEINVAL")
{
    FAILS(WSAEINVAL, spi_set_dword(spi_bound(NULL), SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1));
}

CASE(WSPSetSockOpt, set_ignored, "SO_DEBUG and SO_DONTROUTE are accepted and read back")
{
    keeps(SOL_SOCKET, SO_DEBUG, 1);
    keeps(SOL_SOCKET, SO_DONTROUTE, 1);
    keeps(SOL_SOCKET, SO_DONTROUTE, 0);
}

CASE(WSPSetSockOpt, set_short, "a value cut short, or unreadable, is WSAEFAULT")
{
    SOCKET s = spi_udp();
    DWORD value = 1;
    FAILS(WSAEFAULT, set_raw(s, SOL_SOCKET, SO_RCVBUF, &value, 3));
    FAILS(WSAEFAULT, set_raw(s, SOL_SOCKET, SO_BROADCAST, &value, 1));
    FAILS(WSAEFAULT, set_raw(s, SOL_SOCKET, SO_RCVBUF, NULL, 4));
    FAILS(WSAEFAULT, set_raw(s, SOL_SOCKET, SO_RCVBUF, spi_bad_pointer(), 4));
    FAILS(WSAEFAULT, set_raw(s, IPPROTO_IP, IP_TTL, &value, 0));
    FAILS(WSAEFAULT, set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &value, 4));
}

CASE(WSPSetSockOpt, set_unknown, "an unknown option is WSAENOPROTOOPT, an unknown level WSAEINVAL")
{
    SOCKET s = spi_udp();
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, 0x7abc, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IP, 0x7abc, 1));
    FAILS(WSAEINVAL, spi_set_dword(s, 0x1234, 1, 1));
}

CASE(WSPSetSockOpt, set_stream, "options that only streams have are WSAENOPROTOOPT")
{
    SOCKET s = spi_udp();
    struct linger linger = {.l_onoff = 1};
    FAILS(WSAENOPROTOOPT, set_raw(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_KEEPALIVE, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_OOBINLINE, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_TCP, TCP_NODELAY, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_TCP, TCP_KEEPIDLE, 60));
}

CASE(WSPSetSockOpt, set_read_only, "what can only be read is WSAENOPROTOOPT")
{
    FAILS(WSAENOPROTOOPT, spi_set_dword(spi_udp(), SOL_SOCKET, SO_TYPE, SOCK_DGRAM));
    FAILS(WSAENOPROTOOPT, spi_set_dword(spi_udp(), SOL_SOCKET, SO_ERROR, 0));
}

CASE(WSPSetSockOpt, set_broadcast_sends, "SO_BROADCAST lets a broadcast go, to every receiver")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    SOCKET to = spi_udp();
    SOCKET s = spi_udp();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    OK(spi_bind_at(to, &any));
    SOCKADDR_IN everybody = spi_name(to);
    everybody.sin_addr.s_addr = INADDR_BROADCAST;
    OK(spi_set_dword(s, SOL_SOCKET, SO_BROADCAST, 1));
    OK(spi_send_to_one(s, "all", 3, &everybody));
    OK(spi_recv_one(to, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 3);
}

/* ---- memberships ---- */

static SOCKET receiver(unsigned port)
{
    SOCKADDR_IN any = spi_at("0.0.0.0", port);
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, SOL_SOCKET, SO_REUSEADDR, 1));
    OK(spi_bind_at(s, &any));
    return s;
}

/* Sends to the group from 127.0.0.1's or the NIC's address; is it received? A second, plain
 * datagram behind it proves that the first has passed. */
static int hears(SOCKET s, const SOCKADDR_IN *group)
{
    SOCKADDR_IN plain = spi_name(s);
    SOCKADDR_IN own = spi_at(SPI_OWN, 0);
    SOCKET sender = spi_udp();
    char text[8];
    DWORD flags = 0;
    DWORD got = 0;
    plain.sin_addr = spi_at(SPI_OWN, 0).sin_addr;
    OK(spi_bind_at(sender, &own));
    OK(spi_send_to_one(sender, "group", 5, group));
    OK(spi_send_to_one(sender, "end", 3, &plain));
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    if (got == 3) {
        return 0;
    }
    assert_int_equal(got, 5);
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 3);
    return 1;
}

CASE(WSPSetSockOpt, member_any, "IP_ADD_MEMBERSHIP and IP_DROP_MEMBERSHIP begin and end reception")
{
    SOCKADDR_IN group = spi_at("239.9.9.1", 19001);
    SOCKET s = receiver(19001);
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr};
    assert_false(hears(s, &group));
    OK(set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_true(hears(s, &group));
    OK(set_raw(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_false(hears(s, &group));
}

CASE(WSPSetSockOpt, member_interface,
     "the interface by its address; a foreign one WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN group = spi_at("239.9.9.2", 19002);
    SOCKET s = receiver(19002);
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr,
                           .imr_interface = spi_at(SPI_OWN, 0).sin_addr};
    OK(set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_true(hears(s, &group));
    mreq.imr_interface = spi_at("198.51.100.1", 0).sin_addr;
    mreq.imr_multiaddr = spi_at("239.9.9.22", 0).sin_addr;
    FAILS(WSAEADDRNOTAVAIL, set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
}

CASE(WSPSetSockOpt, member_undecided, "a membership taken before the bind holds after it")
{
    SOCKADDR_IN group = spi_at("239.9.9.3", 19003);
    SOCKADDR_IN any = spi_at("0.0.0.0", 19003);
    SOCKET s = spi_udp();
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr};
    OK(set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    OK(spi_bind_at(s, &any));
    assert_true(hears(s, &group));
}

CASE(WSPSetSockOpt, member_not_group, "an address that is no group is WSAEINVAL")
{
    struct ip_mreq mreq = {.imr_multiaddr = spi_at("192.0.2.1", 0).sin_addr};
    FAILS(WSAEINVAL, set_raw(spi_udp(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
}

CASE(WSPSetSockOpt, member_twice, "joining twice is WSAEADDRNOTAVAIL")
{
    struct ip_mreq mreq = {.imr_multiaddr = spi_at("239.9.9.4", 0).sin_addr};
    SOCKET s = receiver(19004);
    OK(set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    FAILS(WSAEADDRNOTAVAIL, set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
}

CASE(WSPSetSockOpt, member_leave_none, "leaving what was not joined is WSAEINVAL")
{
    struct ip_mreq mreq = {.imr_multiaddr = spi_at("239.9.9.5", 0).sin_addr};
    FAILS(WSAEINVAL, set_raw(receiver(19005), IPPROTO_IP, IP_DROP_MEMBERSHIP, &mreq, sizeof(mreq)));
}

/* The rows of "Multicast Socket Option Behavior"; each case is the first option, then what
 * conflicts with it. */
static IP_MREQ_SOURCE member_pair(const char *group)
{
    return (IP_MREQ_SOURCE){.imr_multiaddr = spi_at(group, 0).sin_addr,
                            .imr_sourceaddr = spi_at("198.51.100.7", 0).sin_addr};
}

static int member_do(SOCKET s, int name, const IP_MREQ_SOURCE *pair)
{
    struct ip_mreq any = {.imr_multiaddr = pair->imr_multiaddr};
    bool sources = name != IP_ADD_MEMBERSHIP && name != IP_DROP_MEMBERSHIP;
    return sources ? set_raw(s, IPPROTO_IP, name, pair, sizeof(*pair))
                   : set_raw(s, IPPROTO_IP, name, &any, sizeof(any));
}

CASE(WSPSetSockOpt, member_rows_any,
     "behind IP_ADD_MEMBERSHIP: WSAEADDRNOTAVAIL for a source's, WSAEINVAL to drop or unblock one")
{
    IP_MREQ_SOURCE pair = member_pair("239.9.9.31");
    SOCKET s = receiver(19031);
    OK(member_do(s, IP_ADD_MEMBERSHIP, &pair));
    FAILS(WSAEADDRNOTAVAIL, member_do(s, IP_ADD_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_DROP_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_UNBLOCK_SOURCE, &pair));
}

CASE(WSPSetSockOpt, member_rows_dropped,
     "behind IP_DROP_MEMBERSHIP: WSAEINVAL for what needs the membership")
{
    IP_MREQ_SOURCE pair = member_pair("239.9.9.32");
    SOCKET s = receiver(19032);
    OK(member_do(s, IP_ADD_MEMBERSHIP, &pair));
    OK(member_do(s, IP_DROP_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_DROP_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_BLOCK_SOURCE, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_UNBLOCK_SOURCE, &pair));
}

CASE(WSPSetSockOpt, member_rows_source,
     "behind IP_ADD_SOURCE_MEMBERSHIP: WSAEADDRNOTAVAIL to join again, WSAEINVAL to unblock")
{
    IP_MREQ_SOURCE pair = member_pair("239.9.9.33");
    SOCKET s = receiver(19033);
    OK(member_do(s, IP_ADD_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEADDRNOTAVAIL, member_do(s, IP_ADD_MEMBERSHIP, &pair));
    FAILS(WSAEADDRNOTAVAIL, member_do(s, IP_ADD_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_UNBLOCK_SOURCE, &pair));
}

CASE(WSPSetSockOpt, member_rows_source_dropped,
     "behind IP_DROP_SOURCE_MEMBERSHIP: WSAEADDRNOTAVAIL to drop again, WSAEINVAL to unblock")
{
    IP_MREQ_SOURCE pair = member_pair("239.9.9.34");
    SOCKET s = receiver(19034);
    OK(member_do(s, IP_ADD_SOURCE_MEMBERSHIP, &pair));
    OK(member_do(s, IP_DROP_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEADDRNOTAVAIL, member_do(s, IP_DROP_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_UNBLOCK_SOURCE, &pair));
}

CASE(WSPSetSockOpt, member_rows_blocked,
     "behind IP_BLOCK_SOURCE: WSAEADDRNOTAVAIL to block again, WSAEINVAL to join")
{
    IP_MREQ_SOURCE pair = member_pair("239.9.9.35");
    SOCKET s = receiver(19035);
    OK(member_do(s, IP_ADD_MEMBERSHIP, &pair));
    OK(member_do(s, IP_BLOCK_SOURCE, &pair));
    FAILS(WSAEADDRNOTAVAIL, member_do(s, IP_BLOCK_SOURCE, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_ADD_SOURCE_MEMBERSHIP, &pair));
    FAILS(WSAEINVAL, member_do(s, IP_ADD_MEMBERSHIP, &pair));
}

CASE(WSPSetSockOpt, member_rows_unblocked,
     "behind IP_UNBLOCK_SOURCE: WSAEADDRNOTAVAIL to unblock again")
{
    IP_MREQ_SOURCE pair = member_pair("239.9.9.36");
    SOCKET s = receiver(19036);
    OK(member_do(s, IP_ADD_MEMBERSHIP, &pair));
    OK(member_do(s, IP_BLOCK_SOURCE, &pair));
    OK(member_do(s, IP_UNBLOCK_SOURCE, &pair));
    FAILS(WSAEADDRNOTAVAIL, member_do(s, IP_UNBLOCK_SOURCE, &pair));
}

CASE(WSPSetSockOpt, member_source, "IP_ADD_SOURCE_MEMBERSHIP receives from that source only")
{
    SOCKADDR_IN group = spi_at("239.9.9.6", 19006);
    SOCKET s = receiver(19006);
    IP_MREQ_SOURCE mreq = {.imr_multiaddr = group.sin_addr,
                           .imr_sourceaddr = spi_at("198.51.100.7", 0).sin_addr};
    OK(set_raw(s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_false(hears(s, &group));
    mreq.imr_sourceaddr = spi_at(SPI_OWN, 0).sin_addr;
    OK(set_raw(s, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_true(hears(s, &group));
    OK(set_raw(s, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_false(hears(s, &group));
}

CASE(WSPSetSockOpt, member_block, "IP_BLOCK_SOURCE and IP_UNBLOCK_SOURCE take a source out and in")
{
    SOCKADDR_IN group = spi_at("239.9.9.7", 19007);
    SOCKET s = receiver(19007);
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr};
    IP_MREQ_SOURCE source = {.imr_multiaddr = group.sin_addr,
                             .imr_sourceaddr = spi_at(SPI_OWN, 0).sin_addr};
    OK(set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    OK(set_raw(s, IPPROTO_IP, IP_BLOCK_SOURCE, &source, sizeof(source)));
    assert_false(hears(s, &group));
    OK(set_raw(s, IPPROTO_IP, IP_UNBLOCK_SOURCE, &source, sizeof(source)));
    assert_true(hears(s, &group));
}

CASE(WSPSetSockOpt, member_mcast, "MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP do the same by sockaddr")
{
    SOCKADDR_IN group = spi_at("239.9.9.8", 19008);
    SOCKET s = receiver(19008);
    GROUP_REQ req = {.gr_interface = 0};
    memcpy(&req.gr_group, &group, sizeof(group));
    OK(set_raw(s, IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof(req)));
    assert_true(hears(s, &group));
    OK(set_raw(s, IPPROTO_IP, MCAST_LEAVE_GROUP, &req, sizeof(req)));
    assert_false(hears(s, &group));
}

CASE(WSPSetSockOpt, member_mcast_source, "MCAST_JOIN_SOURCE_GROUP and MCAST_LEAVE_SOURCE_GROUP too")
{
    SOCKADDR_IN group = spi_at("239.9.9.9", 19009);
    SOCKADDR_IN source = spi_at(SPI_OWN, 0);
    SOCKET s = receiver(19009);
    GROUP_SOURCE_REQ req = {.gsr_interface = 0};
    memcpy(&req.gsr_group, &group, sizeof(group));
    memcpy(&req.gsr_source, &source, sizeof(source));
    OK(set_raw(s, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &req, sizeof(req)));
    assert_true(hears(s, &group));
    OK(set_raw(s, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &req, sizeof(req)));
    assert_false(hears(s, &group));
}

CASE(WSPSetSockOpt, member_mcast_family, "a group of another family is WSAEAFNOSUPPORT")
{
    GROUP_REQ req = {.gr_group.ss_family = AF_INET6};
    FAILS(WSAEAFNOSUPPORT, set_raw(spi_udp(), IPPROTO_IP, MCAST_JOIN_GROUP, &req, sizeof(req)));
}

/* Winsock's option is the receiver's, unlike the sender's of other systems. */
CASE(WSPSetSockOpt, multicast_loop, "IP_MULTICAST_LOOP off: a member does not hear its own host")
{
    SOCKADDR_IN group = spi_at("239.9.9.10", 19010);
    SOCKET s = receiver(19010);
    struct ip_mreq mreq = {.imr_multiaddr = group.sin_addr};
    OK(set_raw(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)));
    assert_true(hears(s, &group));
    OK(spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0));
    assert_false(hears(s, &group));
    OK(spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_LOOP, 1));
    assert_true(hears(s, &group));
}

CASE(WSPSetSockOpt, multicast_if, "IP_MULTICAST_IF: an own address; a foreign one WSAEADDRNOTAVAIL")
{
    SOCKET s = spi_bound(NULL);
    DWORD own = spi_at(SPI_OWN, 0).sin_addr.s_addr;
    OK(spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, own));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_IF), own);
    FAILS(WSAEADDRNOTAVAIL,
          spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_IF, spi_at("198.51.100.1", 0).sin_addr.s_addr));
}

/* ---- WSPGetSockOpt ---- */

CASE(WSPGetSockOpt, get_defaults, "what nobody set has Windows' defaults")
{
    starts(SOL_SOCKET, SO_BROADCAST, 0);
    starts(SOL_SOCKET, SO_REUSEADDR, 0);
    starts(SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 0);
    starts(SOL_SOCKET, SO_RCVTIMEO, 0);
    starts(SOL_SOCKET, SO_SNDTIMEO, 0);
    starts(SOL_SOCKET, SO_DEBUG, 0);
    starts(IPPROTO_IP, IP_TTL, 128);
    starts(IPPROTO_IP, IP_TOS, 0);
    starts(IPPROTO_IP, IP_MULTICAST_TTL, 1);
    starts(IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    starts(IPPROTO_IP, IP_MULTICAST_IF, 0);
}

CASE(WSPGetSockOpt, get_type, "SO_TYPE is SOCK_DGRAM")
{
    starts(SOL_SOCKET, SO_TYPE, SOCK_DGRAM);
}

CASE(WSPGetSockOpt, get_max_size, "SO_MAX_MSG_SIZE is the largest datagram that can be sent")
{
    starts(SOL_SOCKET, SO_MAX_MSG_SIZE, 65507);
}

CASE(WSPGetSockOpt, get_error, "SO_ERROR tells a pending error once, then 0")
{
    SOCKADDR_IN at = spi_gone();
    SOCKET s = spi_bound(NULL);
    DWORD sent;
    OK(spi_connect_to(s, &at));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
    OK(spi_send_one(s, "x", 1, 0, &sent));
    spi_await_readable(s);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), WSAECONNRESET);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
}

CASE(WSPGetSockOpt, get_protocol, "SO_PROTOCOL_INFOW is our catalog entry, and A the same narrow")
{
    SOCKET s = spi_udp();
    WSAPROTOCOL_INFOW wide;
    WSAPROTOCOL_INFOA narrow;
    int bytes = sizeof(wide);
    OK(get_raw(s, SOL_SOCKET, SO_PROTOCOL_INFOW, &wide, &bytes));
    assert_int_equal(bytes, sizeof(wide));
    assert_int_equal(wide.dwCatalogEntryId, HOST_CATALOG_ID);
    assert_int_equal(wide.iSocketType, SOCK_DGRAM);
    assert_int_equal(wide.ProtocolChain.ChainLen, BASE_PROTOCOL);
    assert_int_equal(wide.dwServiceFlags1 & XP1_IFS_HANDLES, 0);
    assert_true((wide.dwServiceFlags1 & XP1_SUPPORT_MULTIPOINT) != 0);
    bytes = sizeof(narrow);
    OK(get_raw(s, SOL_SOCKET, SO_PROTOCOL_INFOA, &narrow, &bytes));
    assert_int_equal(bytes, sizeof(narrow));
    assert_memory_equal(&narrow, &wide, offsetof(WSAPROTOCOL_INFOA, szProtocol));
    assert_true(strstr(narrow.szProtocol, "Ringsock") != NULL);
}

CASE(WSPGetSockOpt, get_small, "a small buffer is WSAEFAULT and told the size it needs")
{
    SOCKET s = spi_udp();
    DWORD value;
    WSAPROTOCOL_INFOW wide;
    int bytes = 3;
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_RCVBUF, &value, &bytes));
    bytes = 4;
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_PROTOCOL_INFOW, &wide, &bytes));
    assert_int_equal(bytes, sizeof(wide));
}

CASE(WSPGetSockOpt, get_fault, "memory that cannot be written is WSAEFAULT")
{
    SOCKET s = spi_udp();
    DWORD value;
    int bytes = 4;
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_RCVBUF, spi_bad_pointer(), &bytes));
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_RCVBUF, NULL, &bytes));
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_RCVBUF, &value, NULL));
    FAILS(WSAEFAULT, get_raw(s, SOL_SOCKET, SO_RCVBUF, spi_read_only_page(), &bytes));
}

CASE(WSPGetSockOpt, get_unknown, "unknown options and those of streams are WSAENOPROTOOPT")
{
    static const int names[] = {0x7abc, SO_ACCEPTCONN, SO_LINGER, SO_KEEPALIVE, SO_OOBINLINE};
    SOCKET s = spi_udp();
    DWORD value[4];
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int bytes = sizeof(value);
        FAILS(WSAENOPROTOOPT, get_raw(s, SOL_SOCKET, names[i], value, &bytes));
    }
}

/* ---- WSPIoctl ---- */

static int ioctl_out(SOCKET s, DWORD code, void *out, DWORD bytes, DWORD *returned)
{
    return TABLE->lpWSPIoctl(s, code, NULL, 0, out, bytes, returned, NULL, NULL, NULL, &spi_error);
}

CASE(WSPIoctl, ioctl_nonblocking, "FIONBIO makes it non-blocking, and blocking again")
{
    SOCKET s = spi_bound(NULL);
    char byte;
    DWORD flags = 0;
    DWORD got;
    OK(spi_ioctl_in(s, (DWORD)FIONBIO, 1));
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
    OK(spi_ioctl_in(s, (DWORD)FIONBIO, 0));
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 30));
    FAILS(WSAETIMEDOUT, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(WSPIoctl, ioctl_readable, "FIONREAD is the size of the datagram that is next")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    SOCKET sender = spi_udp();
    char text[8];
    DWORD value = 77;
    DWORD returned = 0;
    DWORD flags = 0;
    OK(ioctl_out(s, (DWORD)FIONREAD, &value, sizeof(value), &returned));
    assert_int_equal(value, 0);
    OK(spi_send_to_one(sender, "abcd", 4, &at));
    OK(spi_send_to_one(sender, "ab", 2, &at));
    spi_await_readable(s);
    OK(ioctl_out(s, (DWORD)FIONREAD, &value, sizeof(value), &returned));
    assert_int_equal(value, 4);
    assert_int_equal(returned, 4);
    OK(spi_recv_one(s, text, sizeof(text), &flags, &returned));
    spi_await_readable(s);
    OK(ioctl_out(s, (DWORD)FIONREAD, &value, sizeof(value), &returned));
    assert_int_equal(value, 2);
}

CASE(WSPIoctl, ioctl_base, "SIO_BASE_HANDLE, and the BSP handles, are the socket itself")
{
    static const DWORD codes[] = {SIO_BASE_HANDLE, SIO_BSP_HANDLE, SIO_BSP_HANDLE_SELECT,
                                  SIO_BSP_HANDLE_POLL};
    SOCKET s = spi_udp();
    for (unsigned i = 0; i < 4; i++) {
        SOCKET base = 0;
        DWORD returned = 0;
        OK(ioctl_out(s, codes[i], &base, sizeof(base), &returned));
        assert_true(base == s);
        assert_int_equal(returned, sizeof(base));
    }
}

CASE(WSPIoctl, ioctl_loopback, "SIO_MULTIPOINT_LOOPBACK and SIO_MULTICAST_SCOPE set loop and TTL")
{
    SOCKET s = spi_udp();
    OK(spi_ioctl_in(s, SIO_MULTIPOINT_LOOPBACK, 0));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
    OK(spi_ioctl_in(s, SIO_MULTICAST_SCOPE, 17));
    assert_int_equal(spi_get_dword(s, IPPROTO_IP, IP_MULTICAST_TTL), 17);
    FAILS(WSAEINVAL, spi_ioctl_in(s, SIO_MULTICAST_SCOPE, 256));
}

CASE(WSPIoctl, ioctl_broadcast, "SIO_GET_BROADCAST_ADDRESS is the limited broadcast address")
{
    SOCKADDR_IN in;
    DWORD returned = 0;
    OK(ioctl_out(spi_udp(), SIO_GET_BROADCAST_ADDRESS, &in, sizeof(in), &returned));
    assert_int_equal(in.sin_family, AF_INET);
    assert_int_equal(in.sin_addr.s_addr, INADDR_BROADCAST);
}

CASE(WSPIoctl, ioctl_stream, "SIOCATMARK, a command of streams, is WSAEINVAL")
{
    DWORD value = 0;
    DWORD returned = 0;
    FAILS(WSAEINVAL, ioctl_out(spi_udp(), (DWORD)SIOCATMARK, &value, sizeof(value), &returned));
}

CASE(WSPIoctl, ioctl_keepalive_dgram, "SIO_KEEPALIVE_VALS on a datagram socket is WSAENOPROTOOPT")
{
    struct tcp_keepalive vals = {.onoff = 1, .keepalivetime = 1000, .keepaliveinterval = 1000};
    DWORD returned = 0;
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPIoctl(spi_udp(), SIO_KEEPALIVE_VALS, &vals, sizeof(vals),
                                            NULL, 0, &returned, NULL, NULL, NULL, &spi_error));
}

CASE(WSPIoctl, ioctl_unsupported, "commands that are known and not carried out are WSAEOPNOTSUPP")
{
    static const DWORD codes[] = {SIO_IDEAL_SEND_BACKLOG_CHANGE, SIO_SET_COMPATIBILITY_MODE};
    SOCKET s = spi_udp();
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        DWORD value[8] = {0};
        DWORD returned = 0;
        FAILS(WSAEOPNOTSUPP,
              TABLE->lpWSPIoctl(s, codes[i], value, sizeof(value), value, sizeof(value), &returned,
                                NULL, NULL, NULL, &spi_error));
    }
}

CASE(WSPIoctl, ioctl_unknown, "an unknown command is WSAEOPNOTSUPP")
{
    FAILS(WSAEOPNOTSUPP, spi_ioctl_in(spi_udp(), 0x98001234, 1));
}

CASE(WSPIoctl, ioctl_fault, "buffers too small or not there are WSAEFAULT")
{
    SOCKET s = spi_udp();
    DWORD value = 0;
    DWORD returned = 0;
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, (DWORD)FIONBIO, &value, 3, NULL, 0, &returned, NULL, NULL,
                                       NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, (DWORD)FIONBIO, NULL, 4, NULL, 0, &returned, NULL, NULL,
                                       NULL, &spi_error));
    FAILS(WSAEFAULT, ioctl_out(s, (DWORD)FIONREAD, &value, 3, &returned));
    FAILS(WSAEFAULT, ioctl_out(s, (DWORD)FIONREAD, spi_bad_pointer(), 4, &returned));
    FAILS(WSAEFAULT, ioctl_out(s, (DWORD)FIONREAD, &value, 4, NULL));
}
