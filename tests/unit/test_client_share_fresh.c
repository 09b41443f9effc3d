/*
 * Sockets that several programs have before they are connected: fresh, bound, while they connect,
 * and datagram sockets that nobody has bound yet; on the real dataplane in this process. Whoever
 * binds, connects or makes the socket listen does so for all; afterwards it is the same socket as
 * one that was shared when it was that far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define ok(call) assert_int_equal((call), RS_OK)

static struct client *other_client; /* another program */
static struct client_socket *listener, *socket, *twin;
static struct rs_addr at;

static int setup(void **state)
{
    (void)stream_setup(state);
    other_client = rig_attach();
    listener = stream_make_listener(&at);
    socket = stream_make();
    twin = NULL;
    return 0;
}

static int teardown(void **state)
{
    client_close(other_client);
    return stream_teardown(state);
}

static struct client_socket *duplicate(struct client_socket *of)
{
    struct client_share_info info;
    struct client_socket *out = NULL;
    ok(client_share(of, os_process_id(), &info));
    ok(client_share_open(other_client, &info, &out));
    assert_true(client_is_shared(of) && client_is_shared(out));
    return out;
}

static void same_address(struct client_socket *one, struct client_socket *other)
{
    struct rs_addr a, b;
    ok(client_local_addr(one, &a));
    ok(client_local_addr(other, &b));
    assert_int_equal(a.port_be16, b.port_be16);
    assert_int_equal(a.ip.v4_be32, b.ip.v4_be32);
}

/* Bytes go both ways by both descriptors, and the end comes to both. */
static void exchange(struct client_socket *peer)
{
    stream_send_all(socket, "one ", 4);
    stream_send_all(twin, "two", 3);
    stream_expect(peer, "one two");
    stream_send_all(peer, "back", 4);
    stream_expect(twin, "back");
    stream_send_all(peer, "more", 4);
    stream_expect(socket, "more");
}

static struct client_socket *accept_one(void)
{
    struct client_socket *peer = NULL;
    struct rs_addr from;
    ok(client_set_option(listener, CLIENT_OPT_RECV_TIMEOUT_MS, 5000));
    ok(client_accept(listener, &peer, &from));
    return peer;
}

/* ---- nothing happens to it yet ---- */

static void test_idle(void **state)
{
    struct rs_addr name;
    char byte;
    size_t count;
    uint32_t bytes = 1;
    (void)state;
    twin = duplicate(socket);
    struct client_socket *each[2] = {socket, twin};
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(client_local_addr(each[i], &name), RS_INVALID);
        assert_int_equal(client_peer_addr(each[i], &name), RS_NOT_CONNECTED);
        assert_int_equal(stream_send_flags(each[i], "x", 1, 0, &count), RS_NOT_CONNECTED);
        assert_int_equal(stream_recv_flags(each[i], &byte, 1, 0, &count), RS_NOT_CONNECTED);
        assert_int_equal(client_shutdown(each[i], CLIENT_SHUT_SEND), RS_NOT_CONNECTED);
        assert_int_equal(client_accept(each[i], &listener, &name), RS_INVALID);
        assert_int_equal(client_listen(each[i], 4), RS_INVALID); /* not bound */
        ok(client_readable_bytes(each[i], &bytes, NULL));
        assert_int_equal(bytes, 0);
        assert_int_equal(stream_poll(each[i], STREAM_POLL_ALL, 0), 0);
        assert_false(client_is_listening(each[i]));
    }
    ok(client_socket_close(socket));
    ok(client_socket_close(twin));
}

/* ---- bound ---- */

static void test_bound_by_one(void **state)
{
    struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0);
    (void)state;
    twin = duplicate(socket);
    ok(client_bind(twin, &any));
    same_address(socket, twin);
    assert_int_equal(client_bind(socket, &any), RS_INVALID);
    assert_int_equal(client_bind(twin, &any), RS_INVALID);
    struct rs_addr name, seen;
    ok(client_local_addr(socket, &name));
    ok(client_connect(socket, &at));
    struct client_socket *peer = accept_one();
    ok(client_peer_addr(peer, &seen));
    assert_int_equal(seen.port_be16, name.port_be16);
    exchange(peer);
}

/* The port is free with the last descriptor, and not before. */
static void test_bound_port(void **state)
{
    struct rs_addr name;
    (void)state;
    socket = stream_make_bound(&name);
    twin = duplicate(socket);
    same_address(socket, twin);
    ok(client_socket_close(socket));
    struct client_socket *next = stream_make();
    assert_int_equal(client_bind(next, &name), RS_ADDR_IN_USE);
    ok(client_socket_close(twin));
    ok(client_bind(next, &name));
}

/* A port that another socket has is refused, and the socket can be bound to another one. */
static void test_bind_again(void **state)
{
    struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0);
    (void)state;
    twin = duplicate(socket);
    assert_int_equal(client_bind(twin, &at), RS_ADDR_IN_USE);
    ok(client_bind(socket, &any));
    same_address(socket, twin);
}

/* ---- connected ---- */

static void test_connect(void **state)
{
    struct rs_addr peer_name;
    (void)state;
    twin = duplicate(socket);
    ok(client_connect(twin, &at));
    same_address(socket, twin);
    ok(client_peer_addr(socket, &peer_name));
    assert_int_equal(peer_name.port_be16, at.port_be16);
    assert_int_equal(client_connect(socket, &at), RS_IS_CONNECTED);
    assert_int_equal(client_listen(socket, 4), RS_IS_CONNECTED);
    assert_true((stream_poll(socket, RS_LEVEL_WRITABLE, STREAM_WAIT_NS) & RS_LEVEL_WRITABLE) != 0);
    struct client_socket *peer = accept_one();
    exchange(peer);
    ok(client_socket_close(twin));
    stream_send_all(socket, "alone", 5); /* and is a socket of its own again */
    stream_expect(peer, "alone");
    stream_send_all(peer, "yes", 3);
    stream_expect(socket, "yes");
    assert_false(client_is_shared(socket));
    ok(client_socket_close(socket));
    size_t got = 1;
    ok(stream_recv_byte(peer, &got));
    assert_int_equal(got, 0);
}

/* Nobody listens there: who connects hears so, and the socket may be connected afterwards. */
static void test_refused(void **state)
{
    struct rs_addr nobody;
    uint32_t ready;
    (void)state;
    ok(client_socket_close(stream_make_bound(&nobody)));
    twin = duplicate(socket);
    assert_int_equal(client_connect(twin, &nobody), RS_CONN_REFUSED);
    ready = stream_poll(socket, RS_LEVEL_ERROR | CLIENT_POLL_FAILED | RS_LEVEL_WRITABLE, 0);
    assert_int_equal(ready, RS_LEVEL_ERROR | CLIENT_POLL_FAILED);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(client_connect(i % 2 == 0 ? socket : twin, &nobody), RS_CONN_REFUSED);
    }
    ok(client_connect(socket, &at));
    exchange(accept_one());
}

/* Non-blocking, and of one descriptor for the other to see. */
static void test_connect_elsewhere(void **state)
{
    (void)state;
    twin = duplicate(socket);
    stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
    enum rs_status status = client_connect(twin, &at);
    assert_true(status == RS_WOULD_BLOCK || status == RS_OK);
    assert_true((stream_poll(socket, RS_LEVEL_CONNECTED, STREAM_WAIT_NS) & RS_LEVEL_CONNECTED) !=
                0);
    stream_set(twin, CLIENT_OPT_NONBLOCKING, 0);
    exchange(accept_one());
}

/* Who has a socket whose attempt failed shares it, and it connects then. */
static void test_shared_after_failure(void **state)
{
    struct rs_addr nobody;
    (void)state;
    ok(client_socket_close(stream_make_bound(&nobody)));
    assert_int_equal(client_connect(socket, &nobody), RS_CONN_REFUSED);
    twin = duplicate(socket);
    ok(client_connect(twin, &at));
    exchange(accept_one());
}

/* Options that were set before, by either. */
static void test_options(void **state)
{
    uint32_t value = 0;
    (void)state;
    stream_set(socket, RS_OPT_NODELAY, 1);
    stream_set(socket, RS_OPT_RCVBUF, 100000);
    stream_set(socket, CLIENT_OPT_LINGER_MS, 7000);
    twin = duplicate(socket);
    stream_set(twin, RS_OPT_KEEPALIVE, 1);
    ok(client_get_option(twin, RS_OPT_NODELAY, &value));
    assert_int_equal(value, 1);
    ok(client_get_option(twin, RS_OPT_RCVBUF, &value));
    assert_int_equal(value, 100000);
    ok(client_get_option(twin, CLIENT_OPT_LINGER_MS, &value));
    assert_int_equal(value, 7000);
    ok(client_get_option(socket, RS_OPT_KEEPALIVE, &value));
    assert_int_equal(value, 1);
    ok(client_connect(twin, &at));
    exchange(accept_one());
}

/* Many bytes through rings that the house made. */
static void test_bulk(void **state)
{
    uint8_t data[50000], back[50000];
    size_t got;
    (void)state;
    twin = duplicate(socket);
    ok(client_connect(socket, &at));
    struct client_socket *peer = accept_one();
    for (uint32_t round = 0; round < 20; round++) {
        stream_fill(data, round * 50000u, sizeof(data));
        stream_send_all(round % 2 == 0 ? socket : twin, data, sizeof(data));
        ok(stream_recv_flags(peer, back, sizeof(back), CLIENT_MSG_WAITALL, &got));
        assert_int_equal(got, sizeof(back));
        stream_check(back, round * 50000u, got);
        stream_send_all(peer, data, sizeof(data));
        ok(stream_recv_flags(round % 2 == 0 ? twin : socket, back, sizeof(back), CLIENT_MSG_WAITALL,
                             &got));
        assert_int_equal(got, sizeof(back));
        stream_check(back, round * 50000u, got);
    }
}

/* ---- listening ---- */

static void test_listen(void **state)
{
    struct rs_addr name, from;
    struct client_socket *server[2] = {NULL, NULL};
    (void)state;
    socket = stream_make_bound(&name);
    twin = duplicate(socket);
    ok(client_listen(twin, 8));
    assert_true(client_is_listening(socket) && client_is_listening(twin));
    assert_int_equal(client_connect(socket, &at), RS_INVALID);
    for (uint32_t i = 0; i < 2; i++) {
        struct client_socket *client = stream_make();
        ok(client_connect(client, &name));
        stream_send_all(client, "hello", 5);
        ok(client_accept(i == 0 ? socket : twin, &server[i], &from));
        stream_expect(server[i], "hello");
        stream_send_all(server[i], "you", 3);
        stream_expect(client, "you");
    }
    ok(client_listen(socket, 2)); /* another backlog */
    ok(client_socket_close(twin));
    struct client_socket *last = stream_make();
    ok(client_connect(last, &name));
    ok(client_socket_close(socket));
    size_t got = 1;
    assert_int_equal(stream_recv_byte(last, &got), RS_CONN_RESET); /* nobody accepted it */
}

/* Both ends of a connection are the house's. */
static void test_to_itself(void **state)
{
    struct rs_addr name, from;
    struct client_socket *server = NULL;
    (void)state;
    struct client_socket *shared = stream_make_bound(&name);
    struct client_socket *other = duplicate(shared);
    ok(client_listen(other, 8));
    twin = duplicate(socket);
    ok(client_connect(twin, &name));
    ok(client_accept(shared, &server, &from));
    exchange(server);
}

/* ---- while it connects ---- */

/* The backlog is full of connections that wait, so this one is on its way until one is taken, or
 * refused: either way both descriptors are told the same. */
static void test_last_one_goes(void **state)
{
    struct rs_addr name;
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        socket = stream_make();
        twin = duplicate(socket);
        stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
        enum rs_status status = client_connect(socket, &at);
        assert_true(status == RS_WOULD_BLOCK || status == RS_OK);
        ok(client_socket_close(twin));
        ok(client_socket_close(socket));
    }
    struct client_socket *next = stream_make();
    ok(client_local_addr(listener, &name));
    ok(client_connect(next, &name));
}

/* ---- datagrams ---- */

static struct client_socket *make_dgram(struct client *client, struct rs_addr *local)
{
    struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0);
    struct client_socket *out = NULL;
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &out));
    ok(client_set_option(out, CLIENT_OPT_RECV_TIMEOUT_MS, 5000));
    if (local != NULL) {
        ok(client_bind(out, &any));
        ok(client_local_addr(out, local));
    }
    return out;
}

static enum rs_status dgram_send(struct client_socket *from, const char *text,
                                 const struct rs_addr *to)
{
    size_t sent;
    struct client_iov iov = {.base = (void *)(uintptr_t)text, .len_bytes = strlen(text)};
    return client_send(from, &iov, 1, 0, to, &sent);
}

static void dgram_expect(struct client_socket *by, const char *text, struct rs_addr *from)
{
    char data[16] = {0};
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data) - 1};
    struct client_recv_info info;
    size_t got;
    ok(client_recv(by, &iov, 1, 0, &info, &got));
    assert_string_equal(data, text);
    *from = info.from;
}

static void test_dgram_sends_first(void **state)
{
    struct rs_addr to, from, name;
    char byte;
    struct client_iov iov = {.base = &byte, .len_bytes = 1};
    struct client_recv_info info;
    size_t got;
    (void)state;
    struct client_socket *peer = make_dgram(stream_client, &to);
    socket = make_dgram(stream_client, NULL);
    twin = duplicate(socket);
    assert_int_equal(client_local_addr(twin, &name), RS_INVALID);
    assert_int_equal(client_recv(twin, &iov, 1, 0, &info, &got), RS_INVALID); /* not bound */
    ok(dgram_send(twin, "first", &to));
    same_address(socket, twin);
    dgram_expect(peer, "first", &from);
    ok(dgram_send(socket, "second", &to));
    dgram_expect(peer, "second", &name);
    assert_int_equal(name.port_be16, from.port_be16);
    ok(dgram_send(peer, "answer", &from));
    dgram_expect(twin, "answer", &name);
    ok(dgram_send(peer, "other", &from));
    dgram_expect(socket, "other", &name);
    ok(client_socket_close(twin));
    ok(dgram_send(peer, "alone", &from));
    dgram_expect(socket, "alone", &name);
    assert_false(client_is_shared(socket));
    ok(dgram_send(socket, "third", &to));
    dgram_expect(peer, "third", &name);
    assert_int_equal(name.port_be16, from.port_be16);
}

static void test_dgram_bind(void **state)
{
    struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0), to, name, from;
    (void)state;
    struct client_socket *peer = make_dgram(stream_client, &to);
    socket = make_dgram(stream_client, NULL);
    twin = duplicate(socket);
    assert_int_equal(client_bind(socket, &to), RS_ADDR_IN_USE);
    ok(client_bind(socket, &any));
    assert_int_equal(client_bind(twin, &any), RS_INVALID);
    same_address(socket, twin);
    ok(client_connect(twin, &to));
    ok(client_peer_addr(socket, &name));
    assert_int_equal(name.port_be16, to.port_be16);
    ok(dgram_send(socket, "hi", NULL));
    dgram_expect(peer, "hi", &from);
}

/* The first to connect binds it. */
static void test_dgram_connect(void **state)
{
    struct rs_addr to, from;
    (void)state;
    struct client_socket *peer = make_dgram(stream_client, &to);
    socket = make_dgram(stream_client, NULL);
    twin = duplicate(socket);
    ok(client_connect(socket, &to));
    same_address(socket, twin);
    ok(dgram_send(twin, "hi", NULL));
    dgram_expect(peer, "hi", &from);
}

static void test_dgram_closed_unbound(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        socket = make_dgram(stream_client, NULL);
        twin = duplicate(socket);
        ok(client_socket_close(i % 2 == 0 ? socket : twin));
        ok(client_socket_close(i % 2 == 0 ? twin : socket));
    }
}

/* Memberships are kept for a port that the socket does not have yet. */
static void test_dgram_member(void **state)
{
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(0xef010203u)};
    struct client_share_info info;
    (void)state;
    socket = make_dgram(stream_client, NULL);
    twin = duplicate(socket);
    assert_int_equal(client_member(twin, &join), RS_INVALID);
    struct client_socket *member = make_dgram(stream_client, NULL);
    ok(client_member(member, &join));
    assert_int_equal(client_share(member, os_process_id(), &info), RS_NOT_SUPPORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_idle),
        TEST(test_bound_by_one),
        TEST(test_bound_port),
        TEST(test_bind_again),
        TEST(test_connect),
        TEST(test_refused),
        TEST(test_connect_elsewhere),
        TEST(test_shared_after_failure),
        TEST(test_options),
        TEST(test_bulk),
        TEST(test_listen),
        TEST(test_to_itself),
        TEST(test_last_one_goes),
        TEST(test_dgram_sends_first),
        TEST(test_dgram_bind),
        TEST(test_dgram_connect),
        TEST(test_dgram_closed_unbound),
        TEST(test_dgram_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
