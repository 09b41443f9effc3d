/* One thread: what each call of provider/client promises. See client_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"

#define LOCALHOST   rs_be32(0x7f000001u)
#define WAIT_NS     5000000000ull /* for something that must come */
#define ok(call)    assert_int_equal((call), RS_OK)
#define PORT(value) rs_be16((uint16_t)(value))

static struct client *client;

static int setup(void **state)
{
    (void)state;
    rig_start(&rig_defaults);
    client = rig_attach();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client_close(client);
    rig_stop();
    return 0;
}

static struct client_socket *make(void)
{
    struct client_socket *socket = NULL;
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    return socket;
}

static struct client_socket *make_bound(struct rs_addr *local)
{
    struct client_socket *socket = make();
    struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
    ok(client_bind(socket, &any));
    ok(client_local_addr(socket, local));
    assert_int_not_equal(local->port_be16, 0);
    return socket;
}

static enum rs_status send_to(struct client_socket *socket, const void *data, size_t bytes,
                              const struct rs_addr *to)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    enum rs_status status = client_send(socket, &iov, 1, 0, to, &sent);
    assert_int_equal(sent, status == RS_OK ? bytes : 0);
    return status;
}

static enum rs_status recv_flags(struct client_socket *socket, void *data, size_t bytes,
                                 uint32_t flags, size_t *got)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    struct client_recv_info info;
    return client_recv(socket, &iov, 1, flags, &info, got);
}

static uint32_t poll_one(struct client_socket *socket, uint32_t want, uint64_t timeout_ns)
{
    struct client_poll item = {.socket = socket, .want = want};
    uint32_t count = 0;
    ok(client_poll(client, &item, 1, timeout_ns, &count));
    assert_int_equal(count, item.ready != 0);
    return item.ready;
}

/* ---- bind, connect, addresses ------------------------------------------------------------------
 */

static void test_kinds(void **state)
{
    (void)state;
    struct client_socket *socket = NULL;
    assert_int_equal(client_socket_create(client, RS_FAMILY_IPV6, RS_SOCK_DGRAM, &socket),
                     RS_FAMILY_NOT_SUPPORTED);
    assert_int_equal(client_socket_create(client, RS_FAMILY_IPV4, (enum rs_socket_type)3, &socket),
                     RS_TYPE_NOT_SUPPORTED);
    ok(client_ping(client));
    assert_true(client_alive(client));
    struct client_info info;
    client_get_info(client, &info);
    assert_int_equal(info.queue_count, rig_queue_count);
    assert_int_equal(info.nic_kind, RS_NIC_LOOPBACK);
    uint64_t now_ns = client_tsc_to_unix_ns(client, os_tsc());
    assert_true(now_ns + 1000000000ull > os_unix_ns() && now_ns < os_unix_ns() + 1000000000ull);
}

static void test_bind(void **state)
{
    (void)state;
    struct rs_addr local;
    struct client_socket *first = make_bound(&local);
    assert_int_equal(client_bind(first, &local), RS_INVALID);
    struct client_socket *second = make();
    assert_int_equal(client_bind(second, &local), RS_ADDR_IN_USE);
    /* still undecided: another port works, and so does the same one when it is free again */
    ok(client_socket_close(first));
    ok(client_bind(second, &local));
    struct rs_addr again;
    ok(client_local_addr(second, &again));
    assert_memory_equal(&again, &local, sizeof(local));
    struct rs_addr v6 = {.family = RS_FAMILY_IPV6};
    struct client_socket *third = make();
    assert_int_equal(client_bind(third, &v6), RS_FAMILY_NOT_SUPPORTED);
}

static void test_unbound(void **state)
{
    (void)state;
    char byte = 0;
    size_t got = 0;
    struct rs_addr addr;
    struct client_socket *socket = make();
    assert_int_equal(recv_flags(socket, &byte, 1, 0, &got), RS_INVALID);
    assert_int_equal(send_to(socket, &byte, 1, NULL), RS_NOT_CONNECTED);
    assert_int_equal(client_local_addr(socket, &addr), RS_INVALID);
    assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
    assert_int_equal(client_take_error(socket), RS_OK);
    addr = rs_addr_v4(0, PORT(9));
    assert_int_equal(send_to(socket, &byte, 1, &addr), RS_ADDR_NOT_AVAILABLE);
    addr = rs_addr_v4(LOCALHOST, 0);
    assert_int_equal(send_to(socket, &byte, 1, &addr), RS_ADDR_NOT_AVAILABLE);
    ok(client_socket_close(socket));
    assert_int_equal(client_socket_close(socket), RS_NOT_SOCKET);
}

static void test_connect(void **state)
{
    (void)state;
    struct rs_addr local, addr;
    char data[8] = "hello";
    size_t got = 0;
    struct client_socket *server = make_bound(&local);
    struct client_socket *socket = make();
    ok(client_connect(socket, &local));
    ok(client_peer_addr(socket, &addr));
    assert_memory_equal(&addr, &local, sizeof(local));
    ok(client_local_addr(socket, &addr));
    assert_int_not_equal(addr.port_be16, 0);
    ok(send_to(socket, data, sizeof(data), NULL));
    memset(data, 0, sizeof(data));
    ok(recv_flags(server, data, sizeof(data), 0, &got));
    assert_int_equal(got, sizeof(data));
    assert_string_equal(data, "hello");
    struct rs_addr nobody = {.family = RS_FAMILY_NONE};
    ok(client_connect(socket, &nobody));
    assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
    assert_int_equal(send_to(socket, data, sizeof(data), NULL), RS_NOT_CONNECTED);
    ok(send_to(socket, data, sizeof(data), &local));
}

/* ---- data --------------------------------------------------------------------------------------
 */

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 39, 40, 41, 48, 49, 64, 1400, 1472, 8000, 40000, 65507};
    static uint8_t out[65507], in[65536];
    struct rs_addr local, from;
    struct client_socket *server = make_bound(&local);
    struct client_socket *socket = make_bound(&from);
    for (size_t round = 0; round < 40; round++) {
        size_t bytes = sizes[round % (sizeof(sizes) / sizeof(sizes[0]))];
        for (size_t i = 0; i < bytes; i++) {
            out[i] = (uint8_t)(i * 7 + round);
        }
        ok(send_to(socket, out, bytes, &local));
        struct client_iov iov = {.base = in, .len_bytes = sizeof(in)};
        struct client_recv_info info;
        size_t got = 1;
        ok(client_recv(server, &iov, 1, 0, &info, &got));
        assert_int_equal(got, bytes);
        assert_int_equal(info.len_bytes, bytes);
        assert_memory_equal(in, out, bytes);
        assert_int_equal(info.from.port_be16, from.port_be16);
        assert_int_equal(info.from.ip.v4_be32, from.ip.v4_be32);
        assert_true(os_tsc() - info.rx_tsc < 10 * os_tsc_hz());
    }
    static uint8_t too_long[65508];
    assert_int_equal(send_to(socket, too_long, sizeof(too_long), &local), RS_MESSAGE_SIZE);
}

static void test_buffers(void **state)
{
    (void)state;
    struct rs_addr local;
    struct client_socket *socket = make_bound(&local);
    for (size_t extra = 0; extra < 100; extra += 33) { /* inline, and through the ring */
        char a[] = "abc", b[128] = "defgh", in1[2], in2[1], in3[200];
        struct client_iov out[4] = {{a, 3}, {NULL, 0}, {b, 5 + extra}, {a, 1}};
        struct client_iov in[4] = {{in1, 2}, {NULL, 0}, {in2, 1}, {in3, sizeof(in3)}};
        size_t sent = 0, got = 0;
        ok(client_send(socket, out, 4, 0, &local, &sent));
        assert_int_equal(sent, 9 + extra);
        ok(client_recv(socket, in, 4, 0, NULL, &got));
        assert_int_equal(got, 9 + extra);
        assert_memory_equal(in1, "ab", 2);
        assert_memory_equal(in2, "c", 1);
        assert_memory_equal(in3, "defgh", 5);
        assert_int_equal(in3[5 + extra], 'a');
    }
}

/* In a slot and by the ring, where it wraps too: the datagrams are those that were sent. */
static void test_warm(void **state)
{
    static const size_t lengths[] = {0, 1, 40, 41, 1000, 9000};
    struct rs_addr local;
    struct client_socket *socket = make_bound(&local);
    static char junk[9000], data[9000], in[9001];
    struct client_iov warm = {.base = junk, .len_bytes = 8};
    size_t sent = 77, got = 0;
    (void)state;
    memset(junk, 0xee, sizeof(junk));
    memset(data, 'd', sizeof(data));
    assert_int_equal(client_send(socket, &warm, 1, CLIENT_MSG_WARM, NULL, &sent), RS_NOT_CONNECTED);
    assert_int_equal(client_send(socket, &warm, 1, CLIENT_MSG_WARM, &local, &sent),
                     RS_NOT_SUPPORTED);
    ok(client_connect(socket, &local)); /* to itself */
    for (size_t i = 0; i < 600; i++) {
        size_t length = lengths[i % (sizeof(lengths) / sizeof(lengths[0]))];
        struct client_iov out = {.base = data, .len_bytes = length};
        struct client_iov into = {.base = in, .len_bytes = sizeof(in)};
        warm.len_bytes = lengths[i / 7 % (sizeof(lengths) / sizeof(lengths[0]))];
        sent = 77;
        ok(client_send(socket, &warm, 1, CLIENT_MSG_WARM, NULL, &sent));
        assert_int_equal(sent, 0);
        ok(client_send(socket, &out, 1, 0, NULL, &sent));
        ok(client_send(socket, &warm, 1, CLIENT_MSG_WARM, NULL, &sent));
        ok(client_recv(socket, &into, 1, 0, NULL, &got));
        assert_int_equal(got, length);
        assert_memory_equal(in, data, length);
    }
    ok(client_ping(client));
    struct client_iov into = {.base = in, .len_bytes = sizeof(in)};
    assert_int_equal(client_recv(socket, &into, 1, CLIENT_MSG_DONTWAIT, NULL, &got),
                     RS_WOULD_BLOCK);
}

static void test_peek_and_truncation(void **state)
{
    (void)state;
    struct rs_addr local;
    char in[16] = {0};
    size_t got = 0;
    uint32_t next = 0;
    uint64_t total = 0;
    struct client_socket *socket = make_bound(&local);
    ok(client_readable_bytes(socket, &next, &total));
    assert_int_equal(next + total, 0);
    ok(send_to(socket, "first one", 10, &local));
    ok(send_to(socket, "second", 7, &local));
    ok(client_ping(client)); /* both are delivered */
    ok(client_readable_bytes(socket, &next, &total));
    assert_int_equal(next, 10);
    assert_int_equal(total, 17);
    ok(recv_flags(socket, in, sizeof(in), CLIENT_MSG_PEEK, &got));
    assert_string_equal(in, "first one");
    assert_int_equal(recv_flags(socket, in, 5, CLIENT_MSG_PEEK, &got), RS_MESSAGE_SIZE);
    assert_int_equal(got, 5);
    assert_int_equal(recv_flags(socket, in, 5, 0, &got), RS_MESSAGE_SIZE); /* the rest is gone */
    assert_int_equal(got, 5);
    ok(recv_flags(socket, in, sizeof(in), 0, &got));
    assert_string_equal(in, "second");
    assert_int_equal(recv_flags(socket, in, sizeof(in), CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
    assert_int_equal(got, 0);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct rs_addr local, gone;
    char byte = 0;
    size_t got = 0;
    struct client_socket *closed = make_bound(&gone);
    struct client_socket *socket = make_bound(&local);
    ok(client_socket_close(closed));
    for (int round = 0; round < 2; round++) {
        ok(send_to(socket, &byte, 1, &gone));
        assert_int_equal(poll_one(socket, RS_LEVEL_ERROR, WAIT_NS), RS_LEVEL_ERROR);
        assert_int_equal(poll_one(socket, RS_LEVEL_READABLE | RS_LEVEL_ERROR, 0),
                         RS_LEVEL_READABLE | RS_LEVEL_ERROR);
        if (round == 0) {
            assert_int_equal(recv_flags(socket, &byte, 1, 0, &got), RS_PORT_UNREACHABLE);
        } else {
            assert_int_equal(client_take_error(socket), RS_PORT_UNREACHABLE);
        }
        assert_int_equal(client_take_error(socket), RS_OK); /* once */
        assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
    }
}

/* ---- blocking and readiness
 * ---------------------------------------------------------------------- */

static void test_nonblocking_and_timeouts(void **state)
{
    (void)state;
    struct rs_addr local;
    char byte = 0;
    size_t got = 0;
    struct client_socket *socket = make_bound(&local);
    assert_int_equal(client_set_option(socket, CLIENT_OPT_NONBLOCKING, 2), RS_INVALID);
    ok(client_set_option(socket, CLIENT_OPT_NONBLOCKING, 1));
    assert_int_equal(recv_flags(socket, &byte, 1, 0, &got), RS_WOULD_BLOCK);
    ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 30));
    uint64_t start_ns = os_monotonic_ns();
    assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_WAIT, &got), RS_TIMED_OUT);
    assert_true(os_monotonic_ns() - start_ns >= 29000000ull);
    ok(client_set_option(socket, CLIENT_OPT_NONBLOCKING, 0));
    assert_int_equal(recv_flags(socket, &byte, 1, 0, &got), RS_TIMED_OUT);
    assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
    uint32_t value = 0;
    ok(client_get_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, &value));
    assert_int_equal(value, 30);
}

static void test_poll(void **state)
{
    (void)state;
    struct rs_addr local[3];
    struct client_poll items[5] = {0};
    uint32_t count = 0;
    for (int i = 0; i < 3; i++) {
        items[i] = (struct client_poll){.socket = make_bound(&local[i]), .want = RS_LEVEL_READABLE};
    }
    items[4] = (struct client_poll){.socket = make(), .want = RS_LEVEL_READABLE}; /* undecided */
    ok(client_poll(client, items, 5, 0, &count));
    assert_int_equal(count, 0);
    uint64_t start_ns = os_monotonic_ns();
    ok(client_poll(client, items, 5, 25000000ull, &count));
    assert_int_equal(count, 0);
    assert_true(os_monotonic_ns() - start_ns >= 24000000ull);
    items[0].want = RS_LEVEL_WRITABLE | RS_LEVEL_READABLE;
    ok(client_poll(client, items, 5, UINT64_MAX, &count));
    assert_int_equal(count, 1);
    assert_int_equal(items[0].ready, RS_LEVEL_WRITABLE);
    items[0].want = RS_LEVEL_READABLE;
    ok(send_to(items[0].socket, "x", 1, &local[1]));
    ok(send_to(items[0].socket, "y", 1, &local[2]));
    ok(client_ping(client));
    ok(client_poll(client, items, 5, WAIT_NS, &count));
    assert_int_equal(count, 2);
    assert_int_equal(items[0].ready | items[4].ready, 0);
    assert_int_equal(items[1].ready & items[2].ready, RS_LEVEL_READABLE);
    ok(client_socket_close(items[4].socket));
    assert_int_equal(client_poll(client, items, 5, 0, &count), RS_NOT_SOCKET);
}

static void test_shutdown(void **state)
{
    (void)state;
    struct rs_addr local;
    char byte = 0;
    size_t got = 0;
    struct client_socket *socket = make_bound(&local);
    assert_int_equal(client_shutdown(socket, 0), RS_INVALID);
    ok(client_shutdown(socket, CLIENT_SHUT_RECV));
    assert_int_equal(recv_flags(socket, &byte, 1, 0, &got), RS_SHUTDOWN);
    ok(send_to(socket, &byte, 1, &local));
    ok(client_shutdown(socket, CLIENT_SHUT_SEND));
    assert_int_equal(send_to(socket, &byte, 1, &local), RS_SHUTDOWN);
}

/* The datagram that binds a socket asks whether there is a way: the fake has one to everywhere, the
 * loopback NIC only to itself. Either way the socket is bound to any address and has no peer. */
static void test_way(void **state)
{
    (void)state;
    const struct rs_addr away = rs_addr_v4(rs_be32(0xc6336401u), rs_be16(9));
    struct rs_addr stranger_addr, local, peer;
    char byte = 0;
    size_t got = 0;
    struct client_socket *stranger = make_bound(&stranger_addr);
    for (int i = 0; i < 2; i++) { /* the second one knows of a way from the first */
        struct client_socket *socket = make();
        enum rs_status status = send_to(socket, "x", 1, &away);
        assert_true(status == RS_OK || status == RS_NET_UNREACHABLE);
        ok(client_local_addr(socket, &local));
        assert_int_equal(local.ip.v4_be32, 0);
        assert_int_equal(client_peer_addr(socket, &peer), RS_NOT_CONNECTED);
        ok(client_ping(client));
        (void)!client_take_error(socket); /* the fake says that nobody is there */
        local.ip.v4_be32 = stranger_addr.ip.v4_be32;
        ok(send_to(stranger, "y", 1, &local));
        ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 20000));
        ok(recv_flags(socket, &byte, 1, 0, &got));
        assert_int_equal(byte, 'y');
    }
}

/* ---- options and memberships
 * ---------------------------------------------------------------------- */

static void test_options(void **state)
{
    (void)state;
    struct rs_addr local;
    uint32_t value = 0;
    struct client_socket *socket = make();
    assert_int_equal(client_set_option(socket, RS_OPT_COUNT, 0), RS_BAD_OPTION);
    assert_int_equal(client_get_option(socket, RS_OPT_NONE, &value), RS_BAD_OPTION);
    assert_int_equal(client_set_option(socket, RS_OPT_TTL, 0), RS_INVALID);
    assert_int_equal(client_set_option(socket, RS_OPT_BROADCAST, 2), RS_INVALID);
    ok(client_get_option(socket, RS_OPT_TTL, &value));
    assert_int_equal(value, 128);
    ok(client_get_option(socket, RS_OPT_RCVBUF, &value));
    assert_int_equal(value, rig_defaults.recv_ring_bytes);
    ok(client_set_option(socket, RS_OPT_TTL, 9));
    ok(client_set_option(socket, RS_OPT_REUSEADDR, 1));
    assert_int_equal(client_set_option(socket, RS_OPT_EXCLUSIVEADDR, 1), RS_INVALID);
    ok(client_set_option(socket, RS_OPT_RCVBUF, 300000));
    struct rs_addr any = rs_addr_v4(0, 0);
    ok(client_bind(socket, &any));
    ok(client_get_option(socket, RS_OPT_TTL, &value));
    assert_int_equal(value, 9);
    ok(client_set_option(socket, RS_OPT_TTL, 10));
    ok(client_local_addr(socket, &local));
    struct rs_addr everyone = rs_addr_v4(UINT32_MAX, local.port_be16);
    assert_int_equal(send_to(socket, "x", 1, &everyone), RS_ACCESS);
    assert_null(client_socket_user(socket));
    client_socket_set_user(socket, &value);
    assert_ptr_equal(client_socket_user(socket), &value);
}

static void test_members_undecided(void **state)
{
    (void)state;
    struct client_socket *socket = make();
    struct rs_op_member op = {.action = RS_MEMBER_JOIN, .group_be32 = LOCALHOST};
    assert_int_equal(client_member(socket, &op), RS_INVALID);
    op.group_be32 = rs_be32(0xef010203u);
    ok(client_member(socket, &op));
    assert_int_equal(client_member(socket, &op), RS_ADDR_NOT_AVAILABLE);
    op.action = RS_MEMBER_JOIN_SOURCE;
    assert_int_equal(client_member(socket, &op), RS_INVALID); /* of whom? */
    op.action = RS_MEMBER_LEAVE;
    ok(client_member(socket, &op));
    assert_int_equal(client_member(socket, &op), RS_INVALID);
    op.action = RS_MEMBER_LEAVE_SOURCE;
    op.source_be32 = LOCALHOST;
    assert_int_equal(client_member(socket, &op), RS_ADDR_NOT_AVAILABLE);
    op.action = RS_MEMBER_UNBLOCK_SOURCE;
    assert_int_equal(client_member(socket, &op), RS_INVALID);
    op.action = RS_MEMBER_JOIN;
    ok(client_member(socket, &op));
    struct rs_addr any = rs_addr_v4(0, 0);
    ok(client_bind(socket, &any));
    op.action = RS_MEMBER_LEAVE;
    ok(client_member(socket, &op));
}

/* ---- places used again
 * ------------------------------------------------------------------------------ */

static void test_reuse(void **state)
{
    (void)state;
    struct rs_addr target, local;
    struct client_socket *server = make_bound(&target);
    for (uint32_t round = 0; round < 3 * rig_defaults.limit_sockets; round++) {
        struct client_socket *socket = make_bound(&local);
        uint32_t in = 0;
        uint8_t filler[100] = {0};
        size_t got = 0;
        assert_int_equal(recv_flags(socket, &in, sizeof(in), CLIENT_MSG_DONTWAIT, &got),
                         RS_WOULD_BLOCK);
        assert_int_equal(client_take_error(socket), RS_OK);
        ok(send_to(socket, filler, sizeof(filler),
                   &local)); /* never read: must not come up again */
        ok(send_to(socket, filler, sizeof(filler), &target));
        ok(send_to(socket, &round, sizeof(round), &target));
        ok(client_socket_close(socket));
        ok(recv_flags(server, filler, sizeof(filler), 0, &got));
        assert_int_equal(got, sizeof(filler));
        ok(recv_flags(server, &in, sizeof(in), 0, &got));
        assert_int_equal(in, round);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct rs_addr local;
    struct client_socket *sockets[64] = {NULL};
    uint32_t count = 0;
    struct rs_addr any = rs_addr_v4(0, 0);
    while (count < rig_defaults.limit_sockets) {
        sockets[count++] = make_bound(&local);
    }
    struct client_socket *extra = make();
    assert_int_equal(client_bind(extra, &any), RS_TOO_MANY_SOCKETS);
    ok(client_socket_close(sockets[5]));
    ok(client_bind(extra, &any));
}

static void test_thousand(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct client_socket *sockets[COUNT];
    static struct rs_addr addrs[COUNT];
    struct rig_spec spec = rig_defaults;
    spec.limit_sockets = 1024;
    spec.recv_ring_bytes = spec.send_ring_bytes = 4096;
    rig_start(&spec);
    client = rig_attach();
    for (uint32_t i = 0; i < COUNT; i++) {
        sockets[i] = make_bound(&addrs[i]);
    }
    static struct client_poll items[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t to = (i * 7 + 3) % COUNT;
        ok(send_to(sockets[i], &to, sizeof(to), &addrs[to]));
        items[i] = (struct client_poll){.socket = sockets[i], .want = RS_LEVEL_READABLE};
    }
    ok(client_ping(client));
    uint32_t ready = 0;
    ok(client_poll(client, items, COUNT, WAIT_NS, &ready));
    assert_int_equal(ready, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t to = UINT32_MAX;
        size_t got = 0;
        ok(recv_flags(sockets[i], &to, sizeof(to), 0, &got));
        assert_int_equal(to, i);
    }
    client_close(client);
    rig_stop();
}

int client_cases_sockets(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_kinds),
        CASE(test_bind),
        CASE(test_unbound),
        CASE(test_connect),
        CASE(test_sizes),
        CASE(test_warm),
        CASE(test_buffers),
        CASE(test_peek_and_truncation),
        CASE(test_unreachable),
        CASE(test_nonblocking_and_timeouts),
        CASE(test_poll),
        CASE(test_shutdown),
        CASE(test_way),
        CASE(test_options),
        CASE(test_members_undecided),
        CASE(test_reuse),
        CASE(test_limit),
        cmocka_unit_test(test_thousand),
    };
    return cmocka_run_group_tests_name("client sockets", tests, NULL, NULL);
}
