/* Stream sockets, one thread: accepted into a socket that is there already, used again after a
 * connection, connected without waiting. See client_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define ok(call) assert_int_equal((call), RS_OK)

static uint32_t option(struct client_socket *socket, uint32_t name)
{
    uint32_t value = 0xdead;
    ok(client_get_option(socket, name, &value));
    return value;
}

static void talk(struct client_socket *from, struct client_socket *to)
{
    stream_send_all(from, "there", 5);
    stream_expect(to, "there");
    stream_send_all(to, "and back", 8);
    stream_expect(from, "and back");
}

static void await(struct client_socket *socket, uint32_t want)
{
    assert_int_equal(stream_poll(socket, want, STREAM_WAIT_NS), want);
}

/* A connection by client_accept_into. */
static struct client_socket *connect_into(struct client_socket *listener, const struct rs_addr *to,
                                          struct client_socket *socket)
{
    struct rs_addr peer, local;
    struct client_socket *other = stream_make();
    ok(client_connect(other, to));
    await(listener, RS_LEVEL_READABLE);
    ok(client_accept_into(listener, socket, &peer));
    ok(client_local_addr(other, &local));
    assert_int_equal(peer.port_be16, local.port_be16);
    return other;
}

/* The way to a graceful end of both sides, then used again. */
static void finish(struct client_socket *socket, struct client_socket *other)
{
    ok(client_shutdown(socket, CLIENT_SHUT_SEND));
    await(other, RS_LEVEL_END);
    assert_int_equal(client_stream_finished(socket), RS_WOULD_BLOCK);
    ok(client_socket_close(other));
    await(socket, RS_LEVEL_END);
    ok(client_stream_finished(socket));
    ok(client_stream_reuse(socket));
}

static void test_accept_into(void **state)
{
    (void)state;
    struct rs_addr to, addr;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    assert_int_equal(client_accept_into(listener, socket, NULL), RS_WOULD_BLOCK);
    struct client_socket *other = connect_into(listener, &to, socket);
    talk(socket, other);
    ok(client_local_addr(socket, &addr));
    assert_int_equal(addr.port_be16, to.port_be16);
    ok(client_peer_addr(socket, &addr));
    assert_int_equal(client_accept_into(listener, socket, NULL), RS_WOULD_BLOCK);
}

/* Only a stream that is neither bound nor connected will do, and nothing is lost when it will not.
 */
static void test_accept_into_refused(void **state)
{
    (void)state;
    struct rs_addr to, addr;
    struct client_socket *ends[2];
    struct client_socket *dgram = NULL;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    struct client_socket *bound = stream_make_bound(&addr);
    struct client_socket *other = stream_make();
    ok(client_connect(other, &to));
    await(listener, RS_LEVEL_READABLE);
    ok(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &dgram));
    assert_int_equal(client_accept_into(listener, bound, NULL), RS_INVALID);
    assert_int_equal(client_accept_into(listener, ends[0], NULL), RS_INVALID);
    assert_int_equal(client_accept_into(listener, listener, NULL), RS_INVALID);
    assert_int_equal(client_accept_into(listener, dgram, NULL), RS_NOT_SUPPORTED);
    assert_int_equal(client_accept_into(bound, stream_make(), NULL), RS_INVALID);
    struct client_socket *socket = stream_make();
    ok(client_accept_into(listener, socket, NULL));
    talk(socket, other);
}

/* Its own options hold until it inherits. */
static void test_inherit(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *listener = stream_make_bound(&to);
    stream_set(listener, RS_OPT_MSS_MAX, 1000);
    ok(client_listen(listener, 4));
    stream_set(listener, RS_OPT_NODELAY, 1);
    stream_set(listener, CLIENT_OPT_RECV_TIMEOUT_MS, 4321);
    struct client_socket *socket = stream_make();
    assert_int_equal(client_inherit(socket, listener), RS_NOT_CONNECTED);
    stream_set(socket, RS_OPT_TTL, 33);
    stream_set(socket, RS_OPT_SNDBUF, 2048);
    struct client_socket *other = connect_into(listener, &to, socket);
    assert_int_equal(option(socket, RS_OPT_NODELAY), 0);
    assert_int_equal(option(socket, RS_OPT_TTL), 33);
    assert_int_equal(option(socket, RS_OPT_SNDBUF), 2048);
    assert_int_equal(option(socket, CLIENT_OPT_RECV_TIMEOUT_MS), 0);
    assert_int_equal(client_inherit(socket, other), RS_INVALID);
    assert_int_equal(client_inherit(other, listener), RS_NOT_CONNECTED);
    ok(client_inherit(socket, listener));
    assert_int_equal(option(socket, RS_OPT_NODELAY), 1);
    assert_int_equal(option(socket, RS_OPT_MSS_MAX), 1000);
    assert_int_equal(option(socket, RS_OPT_TTL), 128);
    assert_int_equal(option(socket, RS_OPT_SNDBUF), option(listener, RS_OPT_SNDBUF));
    assert_int_equal(option(socket, CLIENT_OPT_RECV_TIMEOUT_MS), 4321);
    talk(socket, other);
}

/* An accepted socket is accepted into again and again: places come back. */
static void test_reuse_accepted(void **state)
{
    (void)state;
    struct rs_addr to, addr;
    size_t count = 0;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    stream_set(socket, RS_OPT_KEEPALIVE, 1);
    assert_int_equal(client_stream_reuse(socket), RS_NOT_CONNECTED);
    for (int i = 0; i < 300; i++) {
        struct client_socket *other = connect_into(listener, &to, socket);
        talk(socket, other);
        finish(socket, other);
        assert_int_equal(stream_send_flags(socket, "x", 1, 0, &count), RS_NOT_CONNECTED);
        assert_int_equal(stream_recv_byte(socket, &count), RS_NOT_CONNECTED);
        assert_int_equal(client_local_addr(socket, &addr), RS_INVALID);
        assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
        assert_int_equal(option(socket, RS_OPT_KEEPALIVE), 1);
    }
    ok(client_bind(socket, &(struct rs_addr){.family = RS_FAMILY_IPV4}));
}

/* One that connected is bound where it was. */
static void test_reuse_connected(void **state)
{
    (void)state;
    struct rs_addr to, local, addr;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make_bound(&local);
    for (int i = 0; i < 20; i++) {
        struct client_socket *accepted = NULL;
        ok(client_connect(socket, &to));
        ok(client_accept(listener, &accepted, &addr));
        assert_int_equal(addr.port_be16, local.port_be16);
        talk(socket, accepted);
        finish(socket, accepted);
        ok(client_local_addr(socket, &addr));
        assert_memory_equal(&addr, &local, sizeof(addr));
        assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
        assert_int_equal(client_accept_into(listener, socket, NULL), RS_WOULD_BLOCK);
        assert_int_equal(client_bind(socket, &local), RS_INVALID);
    }
    struct client_socket *other = stream_make();
    ok(client_connect(other, &to));
    await(listener, RS_LEVEL_READABLE);
    assert_int_equal(client_accept_into(listener, socket, NULL), RS_INVALID);
    ok(client_listen(socket, 4));
    other = stream_make();
    ok(client_connect(other, &local));
}

/* Bytes on their way when the socket is used again arrive all the same. */
static void test_reuse_sends_all(void **state)
{
    (void)state;
    static uint8_t data[60000];
    struct rs_addr to;
    size_t sent = 0;
    uint32_t position = 0;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    struct client_socket *other = connect_into(listener, &to, socket);
    stream_set(other, CLIENT_OPT_RECV_TIMEOUT_MS, 5000);
    stream_fill(data, 0, sizeof(data));
    ok(stream_send_flags(socket, data, sizeof(data), CLIENT_MSG_DONTWAIT, &sent));
    assert_true(sent > 0);
    ok(client_stream_reuse(socket));
    while (position < sent) {
        await(other, RS_LEVEL_READABLE);
        position = stream_drain(other, position, 5000);
    }
    await(other, RS_LEVEL_END);
    assert_int_equal(position, sent);
    struct client_socket *next = connect_into(listener, &to, socket);
    talk(socket, next);
}

/* What the peer still sends meets nobody. */
static void test_reuse_early(void **state)
{
    (void)state;
    struct rs_addr to;
    size_t count = 0;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    struct client_socket *other = connect_into(listener, &to, socket);
    stream_send_all(other, "unread", 6);
    await(socket, RS_LEVEL_READABLE);
    assert_int_equal(client_stream_finished(socket), RS_WOULD_BLOCK);
    ok(client_stream_reuse(socket));
    await(other, RS_LEVEL_ERROR);
    assert_int_equal(stream_recv_byte(other, &count), RS_CONN_RESET);
}

/* The peer has ended, but not all is read: not finished. */
static void test_finished_when_read(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = stream_make_listener(&to);
    assert_int_equal(client_stream_finished(listener), RS_NOT_CONNECTED);
    stream_make_pair(listener, &to, ends);
    stream_send_all(ends[0], "last", 4);
    ok(client_socket_close(ends[0]));
    await(ends[1], RS_LEVEL_END);
    assert_int_equal(client_stream_finished(ends[1]), RS_WOULD_BLOCK);
    stream_expect(ends[1], "last");
    ok(client_stream_finished(ends[1]));
    stream_make_pair(listener, &to, ends);
    stream_set(ends[0], CLIENT_OPT_LINGER_MS, 0);
    ok(client_socket_close(ends[0]));
    await(ends[1], RS_LEVEL_ERROR);
    assert_int_equal(client_stream_finished(ends[1]), RS_CONN_RESET);
}

static void test_connect_begin(void **state)
{
    (void)state;
    struct rs_addr to, nobody;
    struct client_socket *accepted = NULL;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    assert_int_equal(client_connect_result(socket), RS_INTERRUPTED);
    ok(client_connect_begin(socket, &to)); /* blocking as it is, it does not wait */
    await(socket, RS_LEVEL_CONNECTED);
    ok(client_connect_result(socket));
    assert_int_equal(client_connect_begin(socket, &to), RS_IS_CONNECTED);
    ok(client_accept(listener, &accepted, NULL));
    talk(socket, accepted);
    ok(client_socket_close(stream_make_bound(&nobody)));
    socket = stream_make();
    ok(client_connect_begin(socket, &nobody));
    await(socket, CLIENT_POLL_FAILED);
    assert_int_equal(client_connect_result(socket), RS_CONN_REFUSED);
    ok(client_take_error(socket)); /* it was reported */
}

int client_cases_stream_reuse(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_accept_into, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_accept_into_refused, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_inherit, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_reuse_accepted, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_reuse_connected, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_reuse_sends_all, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_reuse_early, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_finished_when_read, stream_setup, stream_teardown),
        cmocka_unit_test_setup_teardown(test_connect_begin, stream_setup, stream_teardown)};
    return cmocka_run_group_tests_name("streams used again", tests, NULL, NULL);
}
