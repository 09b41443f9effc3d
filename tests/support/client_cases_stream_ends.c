/* Stream sockets, one thread: how connections end, options, urgent data. See client_cases.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define ok(call) assert_int_equal((call), RS_OK)

/* ---- ends -------------------------------------------------------------------------------------
 */

/* The end, and it stays that. */
static void expect_end(struct client_socket *socket)
{
    for (int i = 0; i < 2; i++) {
        size_t got = 1;
        ok(stream_recv_byte(socket, &got));
        assert_int_equal(got, 0);
    }
    assert_int_equal(stream_poll(socket, RS_LEVEL_READABLE | RS_LEVEL_END | RS_LEVEL_ERROR, 0),
                     RS_LEVEL_READABLE | RS_LEVEL_END);
}

/* The connection is over, and says why each time; as a pending error once. */
static void expect_error(struct client_socket *socket, enum rs_status why)
{
    size_t count = 0;
    const uint32_t all = RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_ERROR;
    assert_int_equal(stream_poll(socket, RS_LEVEL_ERROR, STREAM_WAIT_NS), RS_LEVEL_ERROR);
    assert_int_equal(stream_poll(socket, all, 0), all);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stream_recv_byte(socket, &count), why);
        assert_int_equal(stream_send_flags(socket, "x", 1, 0, &count), why);
        assert_int_equal(client_shutdown(socket, CLIENT_SHUT_SEND), why);
    }
    assert_int_equal(client_take_error(socket), why);
    ok(client_take_error(socket));
}

/* A connection that ends before it is accepted is accepted all the same, and tells. */
static void test_over_before_accept(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *listener = stream_make_listener(&to);
    for (int reset = 0; reset < 2; reset++) {
        struct client_socket *accepted = NULL;
        struct client_socket *socket = stream_make();
        ok(client_connect(socket, &to));
        stream_send_all(socket, "short", 5);
        if (reset != 0) {
            stream_set(socket, CLIENT_OPT_LINGER_MS, 0);
        }
        ok(client_ping(stream_client));
        ok(client_socket_close(socket));
        ok(client_accept(listener, &accepted, NULL));
        stream_expect(accepted, "short");
        if (reset != 0) {
            expect_error(accepted, RS_CONN_RESET);
        } else {
            expect_end(accepted);
        }
        ok(client_socket_close(accepted));
    }
}

static void test_half_close(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t count = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_send_all(ends[0], "last words", 10);
    ok(client_shutdown(ends[0], CLIENT_SHUT_SEND));
    ok(client_shutdown(ends[0], CLIENT_SHUT_SEND));
    assert_int_equal(stream_send_flags(ends[0], "x", 1, 0, &count), RS_SHUTDOWN);
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_END, STREAM_WAIT_NS), RS_LEVEL_END);
    stream_expect(ends[1], "last words");
    expect_end(ends[1]);
    stream_send_all(ends[1], "still open", 10); /* the other way */
    stream_expect(ends[0], "still open");
    ok(client_socket_close(ends[1]));
    assert_int_equal(stream_poll(ends[0], RS_LEVEL_END, STREAM_WAIT_NS), RS_LEVEL_END);
    expect_end(ends[0]);
    ok(client_socket_close(ends[0]));
}

static void test_shutdown_recv(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t count = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    ok(client_shutdown(ends[1], CLIENT_SHUT_RECV));
    assert_int_equal(stream_recv_byte(ends[1], &count), RS_SHUTDOWN);
    stream_send_all(ends[1], "one way", 7);
    stream_expect(ends[0], "one way");
    stream_send_all(ends[0], "nobody reads it", 15);
    expect_error(ends[0], RS_CONN_RESET);
}

static void test_close(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t count = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_send_all(ends[0], "goodbye", 7);
    ok(client_socket_close(ends[0]));
    stream_expect(ends[1], "goodbye");
    expect_end(ends[1]);
    ok(stream_send_flags(ends[1], "too late", 8, 0, &count));
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_ERROR, STREAM_WAIT_NS), RS_LEVEL_ERROR);
    assert_int_equal(stream_send_flags(ends[1], "x", 1, 0, &count), RS_CONN_RESET);
    stream_make_pair(listener, &to, ends);
    stream_send_all(ends[0], "unread", 6);
    stream_send_all(ends[1], "answer", 6);
    assert_int_equal(stream_poll(ends[0], RS_LEVEL_READABLE, STREAM_WAIT_NS), RS_LEVEL_READABLE);
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS), RS_LEVEL_READABLE);
    ok(client_socket_close(ends[1])); /* with something unread: a reset */
    assert_int_equal(stream_poll(ends[0], RS_LEVEL_ERROR, STREAM_WAIT_NS), RS_LEVEL_ERROR);
    stream_expect(ends[0], "answer"); /* came before it */
    expect_error(ends[0], RS_CONN_RESET);
}

static void test_close_sends_all(void **state)
{
    (void)state;
    static uint8_t data[190000];
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t sent = 0;
    size_t bytes = rig_shares_rings ? rig_defaults.send_ring_bytes : sizeof(data);
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_fill(data, 0, bytes);
    assert_true(rig_shares_rings || bytes > rig_defaults.recv_ring_bytes);
    ok(stream_send_flags(ends[0], data, bytes, 0, &sent));
    ok(client_socket_close(ends[0])); /* more than the peer has room for */
    uint32_t received_to = 0;
    while (received_to != bytes) {
        assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS),
                         RS_LEVEL_READABLE);
        received_to = stream_drain(ends[1], received_to, 10000);
    }
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_END, STREAM_WAIT_NS), RS_LEVEL_END);
    expect_end(ends[1]);
}

static void test_linger(void **state)
{
    (void)state;
    static uint8_t data[190000];
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t sent = 0;
    uint32_t value = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    ok(client_get_option(ends[0], CLIENT_OPT_LINGER_MS, &value));
    assert_int_equal(value, CLIENT_LINGER_OFF);
    stream_set(ends[0], CLIENT_OPT_LINGER_MS, 0);
    stream_send_all(ends[0], "gone", 4);
    ok(client_socket_close(ends[0]));
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_ERROR, STREAM_WAIT_NS), RS_LEVEL_ERROR);

    stream_make_pair(listener, &to, ends);
    stream_set(ends[0], CLIENT_OPT_LINGER_MS, 10000);
    stream_send_all(ends[0], "taken", 5);
    uint64_t start_ns = os_monotonic_ns();
    ok(client_socket_close(ends[0])); /* acknowledged at once */
    assert_true(os_monotonic_ns() - start_ns < STREAM_WAIT_NS);
    stream_expect(ends[1], "taken");
    expect_end(ends[1]);

    if (!rig_shares_rings) { /* there, what is sent is delivered */
        stream_make_pair(listener, &to, ends);
        stream_set(ends[0], CLIENT_OPT_LINGER_MS, 50);
        stream_fill(data, 0, sizeof(data));
        ok(stream_send_flags(ends[0], data, sizeof(data), 0, &sent));
        start_ns = os_monotonic_ns();
        ok(client_socket_close(ends[0])); /* nobody reads it */
        assert_true(os_monotonic_ns() - start_ns >= 49000000ull);
        assert_int_equal(stream_poll(ends[1], RS_LEVEL_ERROR, STREAM_WAIT_NS), RS_LEVEL_ERROR);
    }

    stream_make_pair(listener, &to,
                     ends); /* a socket that does not block lingers behind its close */
    stream_set(ends[0], CLIENT_OPT_LINGER_MS, 10000);
    stream_set(ends[0], CLIENT_OPT_NONBLOCKING, 1);
    stream_send_all(ends[0], "later", 5);
    ok(client_socket_close(ends[0]));
    stream_expect(ends[1], "later");
    expect_end(ends[1]);
}

static void test_listener_closes(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *waiting = stream_make();
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    ok(client_connect(waiting, &to));
    ok(client_socket_close(listener));
    expect_error(waiting, RS_CONN_RESET); /* was never accepted */
    stream_send_all(ends[0], "lives on", 8);
    stream_expect(ends[1], "lives on");
    waiting = stream_make();
    assert_int_equal(client_connect(waiting, &to), RS_CONN_REFUSED);
    listener = stream_make();
    ok(client_bind(listener, &to));
    ok(client_listen(listener, 5));
    ok(client_connect(waiting, &to));
    ok(client_listen(listener, 7)); /* another limit */
}

/* ---- options, places --------------------------------------------------------------------------
 */

static void test_options(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t got = 0;
    uint32_t value = 0;
    struct rs_op_member member = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(0xef010203u)};
    struct client_socket *listener = stream_make_listener(&to);
    assert_int_equal(client_set_option(listener, RS_OPT_BROADCAST, 1), RS_BAD_OPTION);
    assert_int_equal(client_get_option(listener, RS_OPT_MCAST_TTL, &value), RS_BAD_OPTION);
    assert_int_equal(client_set_option(listener, RS_OPT_NODELAY, 2), RS_INVALID);
    assert_int_equal(client_set_option(listener, CLIENT_OPT_OOB_INLINE, 2), RS_INVALID);
    assert_int_equal(client_member(listener, &member), RS_BAD_OPTION);
    stream_set(listener, RS_OPT_NODELAY, 1);
    stream_set(listener, RS_OPT_KEEP_IDLE_MS, 5000);
    stream_set(listener, CLIENT_OPT_NONBLOCKING, 1);
    stream_set(listener, CLIENT_OPT_LINGER_MS, 77);
    ends[0] = stream_make();
    ok(client_connect(ends[0], &to));
    assert_int_equal(stream_poll(listener, RS_LEVEL_READABLE, STREAM_WAIT_NS), RS_LEVEL_READABLE);
    ok(client_accept(listener, &ends[1], NULL));
    assert_int_equal(stream_recv_byte(ends[1], &got), RS_WOULD_BLOCK); /* its mode came along */
    ok(client_get_option(ends[1], RS_OPT_NODELAY, &value));
    assert_int_equal(value, 1);
    ok(client_get_option(ends[1], RS_OPT_KEEP_IDLE_MS, &value));
    assert_int_equal(value, 5000);
    ok(client_get_option(ends[1], CLIENT_OPT_LINGER_MS, &value));
    assert_int_equal(value, 77);
    ok(client_get_option(ends[0], RS_OPT_NODELAY, &value));
    assert_int_equal(value, 0);
    stream_set(ends[0], RS_OPT_NODELAY, 1);
    stream_set(ends[0], RS_OPT_TTL, 9);
    struct client_socket *datagrams = NULL;
    ok(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &datagrams));
    assert_int_equal(client_set_option(datagrams, RS_OPT_NODELAY, 1), RS_BAD_OPTION);
    assert_int_equal(client_listen(datagrams, 1), RS_NOT_SUPPORTED);
    assert_int_equal(client_accept(datagrams, &ends[1], NULL), RS_NOT_SUPPORTED);
}

static void test_info(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2], *datagrams = NULL;
    struct rs_tcp_info info;
    uint64_t ns;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    assert_int_equal(client_tcp_info(socket, &info), RS_NOT_CONNECTED);
    assert_int_equal(client_connected_ns(socket, &ns), RS_NOT_CONNECTED);
    assert_int_equal(client_tcp_info(listener, &info), RS_NOT_CONNECTED);
    assert_int_equal(client_connected_ns(listener, &ns), RS_NOT_CONNECTED);
    ok(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &datagrams));
    assert_int_equal(client_tcp_info(datagrams, &info), RS_NOT_SUPPORTED);
    stream_make_pair(listener, &to, ends);
    stream_send_all(ends[0], "hello", 5);
    stream_expect(ends[1], "hello");
    for (int i = 0; i < 2; i++) {
        memset(&info, 0xff, sizeof(info));
        ok(client_tcp_info(ends[i], &info));
        assert_int_equal(info.state, RS_TCP_ESTABLISHED);
        assert_int_equal(info.sent_bytes, i == 0 ? 5 : 0);
        assert_int_equal(info.received_bytes, i == 0 ? 0 : 5);
        assert_int_not_equal(info.mss_bytes, 0);
        assert_true(info.connected_ms < 60000);
        assert_in_range(info.recv_buffer_bytes, rig_defaults.recv_ring_bytes - 1,
                        rig_defaults.recv_ring_bytes); /* stream_make_listener */
    }
    ok(client_socket_close(ends[0]));
    assert_int_equal(client_tcp_info(ends[0], &info), RS_NOT_SOCKET);
}

/* From the handshake on, whenever the program looks: a connection waits to be accepted meanwhile.
 */
static void test_connected_ns(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *server = NULL;
    uint64_t client_ns, server_ns;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
    assert_int_equal(client_connect(socket, &to), RS_WOULD_BLOCK);
    assert_int_equal(stream_poll(socket, RS_LEVEL_WRITABLE, STREAM_WAIT_NS), RS_LEVEL_WRITABLE);
    uint64_t seen_tsc = os_tsc();
    const uint64_t hz = os_tsc_hz();
    while (os_tsc() - seen_tsc < hz / 10) {
        os_yield();
    }
    ok(client_accept(listener, &server, NULL));
    ok(client_connected_ns(socket, &client_ns));
    ok(client_connected_ns(server, &server_ns));
    assert_true(client_ns >= 99000000 && client_ns < STREAM_WAIT_NS);
    assert_true(server_ns >= 99000000 && server_ns < STREAM_WAIT_NS);
    ok(client_socket_close(socket));
    assert_int_equal(stream_poll(server, RS_LEVEL_END, STREAM_WAIT_NS), RS_LEVEL_END);
    ok(client_connected_ns(server, &client_ns)); /* it goes on */
    assert_true(client_ns >= server_ns);
}

static void test_send_buffer(void **state)
{
    (void)state;
    if (rig_shares_rings) { /* what is unread fills the send buffer there */
        skip();
    }
    static uint8_t data[65536];
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t sent = 0, total = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_set(ends[0], CLIENT_OPT_NONBLOCKING, 1);
    stream_set(ends[0], RS_OPT_SNDBUF, 4096);
    stream_fill(data, 0, sizeof(data));
    ok(stream_send_flags(ends[0], data, sizeof(data), 0, &sent));
    assert_int_equal(sent, 4096); /* a limit inside the ring */
    total = sent;
    stream_set(ends[0], RS_OPT_SNDBUF, 0);
    assert_int_equal(stream_poll(ends[0], RS_LEVEL_WRITABLE, STREAM_WAIT_NS), RS_LEVEL_WRITABLE);
    ok(client_ping(stream_client));
    ok(stream_send_flags(ends[0], data + total, sizeof(data) - total, 0, &sent));
    assert_int_equal(sent, RS_RING_MIN_BYTES); /* the least */
    total += sent;
    uint32_t received_to = 0;
    while (received_to != total) {
        assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS),
                         RS_LEVEL_READABLE);
        received_to = stream_drain(ends[1], received_to, 1000);
    }
}

/* The same places again and again, left in all kinds of states; nothing of one life shows in the
 * next. */
static void test_reuse(void **state)
{
    (void)state;
    static uint8_t data[3000];
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = stream_make_listener(&to);
    for (uint32_t round = 0; round < 8 * rig_defaults.limit_sockets; round++) {
        uint32_t in = 0;
        size_t got = 0;
        stream_make_pair(listener, &to, ends);
        struct client_socket *first = ends[round % 2], *second = ends[1 - round % 2];
        ok(client_take_error(first));
        assert_int_equal(stream_poll(second, STREAM_POLL_ALL, 0), RS_LEVEL_WRITABLE);
        stream_send_all(first, &round, sizeof(round));
        ok(stream_recv_flags(second, &in, sizeof(in), CLIENT_MSG_WAITALL, &got));
        assert_int_equal(in, round);
        if (round % 3 == 0) {
            size_t sent = 0;
            ok(stream_send_flags(second, data, sizeof(data), CLIENT_MSG_OOB, &sent)); /* unread */
        }
        if (round % 5 == 0) {
            stream_set(first, CLIENT_OPT_LINGER_MS, 0);
        }
        ok(client_socket_close(first));
        ok(client_socket_close(second));
    }
}

/* A sender that may have little unread hears of every reading that makes room. */
static void test_small_send_buffer(void **state)
{
    (void)state;
    static uint8_t data[4096];
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_set(ends[0], RS_OPT_SNDBUF, sizeof(data));
    stream_set(ends[0], CLIENT_OPT_SEND_TIMEOUT_MS, 5000);
    for (uint32_t round = 0; round < 100; round++) {
        size_t got = 0, sent = 0;
        ok(stream_send_flags(ends[0], data, sizeof(data), 0, &sent));
        ok(stream_recv_flags(ends[1], data, sizeof(data), CLIENT_MSG_WAITALL, &got));
        assert_int_equal(got, sizeof(data));
    }
}

/* A listener's send buffer is made small when a connection is there and not accepted yet: its
 * sender, which has that limit then, hears of room. */
static void test_inherited_send_buffer(void **state)
{
    (void)state;
    static uint8_t data[4096];
    struct rs_addr to;
    struct client_socket *accepted;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *socket = stream_make();
    ok(client_connect(socket, &to));
    stream_set(listener, RS_OPT_SNDBUF, sizeof(data));
    ok(client_accept(listener, &accepted, NULL));
    stream_set(accepted, CLIENT_OPT_SEND_TIMEOUT_MS, 5000);
    for (uint32_t round = 0; round < 3; round++) {
        size_t got = 0, sent = 0;
        ok(stream_send_flags(accepted, data, sizeof(data), 0, &sent));
        ok(stream_recv_flags(socket, data, sizeof(data), CLIENT_MSG_WAITALL, &got));
        assert_int_equal(got, sizeof(data));
    }
}

/* What an end that is closed, or has reset, left behind is read or given up, never mixed with what
 * later connections write where their rings are; and its place comes back. */
static void test_left_behind(void **state)
{
    (void)state;
    static uint8_t data[8192], other[8192], in[8192];
    struct rs_addr to;
    struct client_socket *ends[2], *others[2];
    struct client_socket *listener = stream_make_listener(&to);
    stream_fill(data, 0, sizeof(data));
    memset(other, 0xee, sizeof(other));
    for (uint32_t round = 0; round < 4 * rig_defaults.limit_sockets; round++) {
        bool reset = round % 2 != 0, reads = round % 3 != 0;
        size_t got = 0, sent = 0;
        stream_make_pair(listener, &to, ends);
        struct client_socket *first = ends[round / 4 % 2], *second = ends[1 - round / 4 % 2];
        stream_send_all(first, data, sizeof(data));
        assert_int_equal(stream_poll(second, RS_LEVEL_READABLE, STREAM_WAIT_NS), RS_LEVEL_READABLE);
        ok(client_ping(stream_client));
        ok(stream_recv_flags(second, in, 100, 0, &got));
        if (reset) {
            stream_set(first, CLIENT_OPT_LINGER_MS, 0);
        }
        ok(client_socket_close(first));
        assert_int_equal(stream_poll(second, RS_LEVEL_END | RS_LEVEL_ERROR, STREAM_WAIT_NS),
                         reset ? RS_LEVEL_ERROR : RS_LEVEL_END);
        for (int i = 0; i < 3; i++) { /* takes the memory, if it is free */
            stream_make_pair(listener, &to, others);
            ok(stream_send_flags(others[0], other, sizeof(other), 0, &sent));
            ok(client_socket_close(others[0]));
            ok(client_socket_close(others[1]));
        }
        if (reads) {
            ok(stream_recv_flags(second, in + 100, sizeof(in) - 100, CLIENT_MSG_WAITALL, &got));
            assert_memory_equal(in, data, sizeof(data));
            if (reset) {
                expect_error(second, RS_CONN_RESET);
            } else {
                expect_end(second);
            }
        }
        ok(client_socket_close(second));
    }
}

/* ---- urgent data ------------------------------------------------------------------------------
 */

static void send_urgent(struct client_socket *socket, const char *text)
{
    size_t sent = 0;
    ok(stream_send_flags(socket, text, strlen(text), CLIENT_MSG_OOB, &sent));
    assert_int_equal(sent, strlen(text));
}

static bool at_mark(struct client_socket *socket)
{
    bool at = false;
    ok(client_at_mark(socket, &at));
    return at;
}

static char recv_oob(struct client_socket *socket, uint32_t flags)
{
    char byte = 0;
    size_t got = 0;
    ok(stream_recv_flags(socket, &byte, 1, CLIENT_MSG_OOB | flags, &got));
    assert_int_equal(got, 1);
    return byte;
}

static void test_urgent(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    char data[16];
    size_t got = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    assert_true(at_mark(ends[1]));
    assert_int_equal(
        stream_recv_flags(ends[1], data, 1, CLIENT_MSG_OOB | CLIENT_MSG_DONTWAIT, &got),
        RS_WOULD_BLOCK);
    for (int order = 0; order < 3; order++) {
        send_urgent(ends[0], "abc");
        stream_send_all(ends[0], "def", 3);
        assert_int_equal(stream_poll(ends[1], CLIENT_POLL_URGENT, STREAM_WAIT_NS),
                         CLIENT_POLL_URGENT);
        ok(client_ping(stream_client));
        assert_false(at_mark(ends[1]));
        if (order == 0) { /* out of band first, or between, or last */
            assert_int_equal(recv_oob(ends[1], CLIENT_MSG_PEEK), 'c');
            assert_int_equal(recv_oob(ends[1], 0), 'c');
        }
        ok(stream_recv_flags(ends[1], data, sizeof(data), 0, &got)); /* ends before the mark */
        assert_int_equal(got, 2);
        assert_memory_equal(data, "ab", 2);
        assert_true(at_mark(ends[1]));
        if (order == 1) {
            assert_int_equal(recv_oob(ends[1], 0), 'c');
        }
        ok(stream_recv_flags(ends[1], data, sizeof(data), 0, &got)); /* goes on behind it */
        assert_int_equal(got, 3);
        assert_memory_equal(data, "def", 3);
        if (order == 2) {
            assert_int_equal(recv_oob(ends[1], 0), 'c');
        }
        assert_int_equal(stream_poll(ends[1], STREAM_POLL_ALL, 0), RS_LEVEL_WRITABLE);
        assert_int_equal(
            stream_recv_flags(ends[1], data, 1, CLIENT_MSG_OOB | CLIENT_MSG_DONTWAIT, &got),
            RS_WOULD_BLOCK);
    }
    send_urgent(ends[0], "!"); /* nothing but the urgent byte is nothing to read */
    assert_int_equal(stream_poll(ends[1], CLIENT_POLL_URGENT, STREAM_WAIT_NS), CLIENT_POLL_URGENT);
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, 0), 0);
    assert_int_equal(stream_recv_flags(ends[1], data, 1, CLIENT_MSG_DONTWAIT, &got),
                     RS_WOULD_BLOCK);
    assert_int_equal(recv_oob(ends[1], 0), '!');
    send_urgent(ends[0], "x1"); /* of two marks the newer one counts */
    send_urgent(ends[0], "y2");
    ok(client_ping(stream_client));
    ok(stream_recv_flags(ends[1], data, sizeof(data), 0, &got));
    assert_int_equal(got, 3);
    assert_memory_equal(data, "x1y", 3);
    assert_int_equal(recv_oob(ends[1], 0), '2');
}

static void test_urgent_inline(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    char data[16];
    size_t got = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_set(ends[1], CLIENT_OPT_OOB_INLINE, 1);
    for (int round = 0; round < 2; round++) {
        send_urgent(ends[0], "abc");
        stream_send_all(ends[0], "def", 3);
        ok(client_ping(stream_client));
        /* The bytes may come an iteration after the answer. */
        (void)stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS);
        assert_int_equal(stream_poll(ends[1], STREAM_POLL_ALL, STREAM_WAIT_NS),
                         RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
        assert_int_equal(stream_recv_flags(ends[1], data, 1, CLIENT_MSG_OOB, &got), RS_INVALID);
        assert_false(at_mark(ends[1]));
        ok(stream_recv_flags(ends[1], data, sizeof(data), 0, &got));
        assert_int_equal(got, 2);
        assert_memory_equal(data, "ab", 2);
        assert_true(at_mark(ends[1]));
        ok(stream_recv_flags(ends[1], data, sizeof(data), 0, &got));
        assert_int_equal(got, 4);
        assert_memory_equal(data, "cdef", 4);
        assert_true(at_mark(ends[1]));
    }
}

int client_cases_stream_ends(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, stream_setup, stream_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_over_before_accept),
        CASE(test_half_close),
        CASE(test_shutdown_recv),
        CASE(test_close),
        CASE(test_close_sends_all),
        CASE(test_linger),
        CASE(test_listener_closes),
        CASE(test_options),
        CASE(test_info),
        CASE(test_connected_ns),
        CASE(test_send_buffer),
        CASE(test_reuse),
        CASE(test_small_send_buffer),
        CASE(test_inherited_send_buffer),
        CASE(test_left_behind),
        CASE(test_urgent),
        CASE(test_urgent_inline),
    };
    return cmocka_run_group_tests_name("client stream ends", tests, NULL, NULL);
}
