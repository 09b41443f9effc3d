/* Stream sockets, one thread: connecting, bytes. See client_cases.h. */
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

#define ok(call)    assert_int_equal((call), RS_OK)
#define PORT(value) rs_be16((uint16_t)(value))

/* ---- connecting -------------------------------------------------------------------------------
 */

static void test_unconnected(void **state)
{
    (void)state;
    struct rs_addr addr;
    struct client_socket *other = NULL;
    size_t count = 0;
    uint32_t next = 1;
    struct client_socket *socket = stream_make();
    assert_int_equal(client_socket_type(socket), RS_SOCK_STREAM);
    for (int bound = 0; bound < 2; bound++) {
        assert_int_equal(stream_send_flags(socket, "x", 1, 0, &count), RS_NOT_CONNECTED);
        assert_int_equal(stream_recv_byte(socket, &count), RS_NOT_CONNECTED);
        assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
        assert_int_equal(client_shutdown(socket, CLIENT_SHUT_SEND), RS_NOT_CONNECTED);
        assert_int_equal(client_accept(socket, &other, NULL), RS_INVALID);
        ok(client_readable_bytes(socket, &next, NULL));
        assert_int_equal(next, 0);
        ok(client_take_error(socket));
        assert_int_equal(stream_poll(socket, STREAM_POLL_ALL, 1000), 0);
        if (bound == 0) {
            assert_int_equal(client_local_addr(socket, &addr), RS_INVALID);
            assert_int_equal(client_listen(socket, 1), RS_INVALID);
            addr = rs_addr_v4(STREAM_LOCALHOST, 0);
            ok(client_bind(socket, &addr));
        }
    }
    ok(client_local_addr(socket, &addr));
    assert_int_equal(client_bind(socket, &addr), RS_INVALID);
    other = stream_make();
    assert_int_equal(client_bind(other, &addr), RS_ADDR_IN_USE);
    addr.port_be16 = 0;
    assert_int_equal(client_connect(socket, &addr), RS_ADDR_NOT_AVAILABLE);
    addr = rs_addr_v4(0, PORT(9));
    assert_int_equal(client_connect(socket, &addr), RS_ADDR_NOT_AVAILABLE);
    addr.family = RS_FAMILY_NONE;
    assert_int_equal(client_connect(socket, &addr), RS_FAMILY_NOT_SUPPORTED);
    ok(client_socket_close(socket));
    assert_int_equal(client_socket_close(socket), RS_NOT_SOCKET);
    assert_int_equal(client_listen(socket, 1), RS_NOT_SOCKET);
    ok(client_socket_close(other));
}

static void test_connect(void **state)
{
    (void)state;
    struct rs_addr to, addr, peer;
    struct client_socket *listener = stream_make_listener(&to);
    struct client_socket *server = NULL;
    struct client_socket *socket = stream_make();
    ok(client_connect(socket, &to));
    ok(client_accept(listener, &server, &peer));
    ok(client_local_addr(socket, &addr));
    assert_memory_equal(&addr, &peer, sizeof(addr));
    ok(client_peer_addr(server, &peer));
    assert_memory_equal(&addr, &peer, sizeof(addr));
    ok(client_peer_addr(socket, &addr));
    assert_memory_equal(&addr, &to, sizeof(addr));
    ok(client_local_addr(server, &addr));
    assert_memory_equal(&addr, &to, sizeof(addr));
    assert_int_equal(client_connect(socket, &to), RS_IS_CONNECTED);
    assert_int_equal(client_connect(server, &to), RS_IS_CONNECTED);
    assert_int_equal(client_listen(socket, 1), RS_IS_CONNECTED);
    assert_int_equal(client_connect(listener, &to), RS_INVALID);
    assert_int_equal(client_bind(socket, &to), RS_INVALID);
    ok(client_take_error(socket));
    ok(client_take_error(server));
    for (int i = 0; i < 2; i++) {
        stream_send_all(socket, "to the server", 13);
        stream_expect(server, "to the server");
        stream_send_all(server, "and back", 8);
        stream_expect(socket, "and back");
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *listener = stream_make_bound(&to);
    struct client_socket *server = NULL;
    struct client_socket *socket = stream_make();
    size_t got = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_connect(socket, &to), RS_CONN_REFUSED);
        assert_int_equal(stream_poll(socket, STREAM_POLL_ALL, 0), RS_LEVEL_ERROR);
        ok(client_take_error(socket)); /* connect told */
        assert_int_equal(stream_recv_byte(socket, &got), RS_NOT_CONNECTED);
        assert_int_equal(stream_send_flags(socket, "x", 1, 0, &got), RS_NOT_CONNECTED);
        assert_int_equal(client_listen(socket, 1), RS_INVALID);
    }
    ok(client_listen(listener, 1));
    ok(client_connect(socket, &to));
    ok(client_accept(listener, &server, NULL));
    stream_send_all(socket, "at last", 7);
    stream_expect(server, "at last");
}

static void test_connect_nonblocking(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *listener = stream_make_bound(&to);
    struct client_socket *server = NULL;
    struct client_socket *socket = stream_make();
    stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_connect(socket, &to), RS_WOULD_BLOCK);
        assert_int_equal(stream_poll(socket, STREAM_POLL_ALL, STREAM_WAIT_NS), RS_LEVEL_ERROR);
        assert_int_equal(client_take_error(socket), RS_CONN_REFUSED);
        ok(client_take_error(socket)); /* once */
    }
    ok(client_listen(listener, 1));
    assert_int_equal(client_connect(socket, &to), RS_WOULD_BLOCK);
    assert_int_equal(stream_poll(socket, STREAM_POLL_ALL | RS_LEVEL_CONNECTED, STREAM_WAIT_NS),
                     RS_LEVEL_WRITABLE | RS_LEVEL_CONNECTED);
    ok(client_take_error(socket));
    assert_int_equal(client_connect(socket, &to), RS_IS_CONNECTED);
    stream_send_all(socket, "before accept", 13);
    stream_set(listener, CLIENT_OPT_NONBLOCKING, 1);
    assert_int_equal(stream_poll(listener, STREAM_POLL_ALL, STREAM_WAIT_NS), RS_LEVEL_READABLE);
    ok(client_accept(listener, &server, NULL));
    stream_expect(server, "before accept");
    assert_int_equal(client_accept(listener, &server, NULL), RS_WOULD_BLOCK);
    assert_int_equal(stream_poll(listener, STREAM_POLL_ALL, 0), 0);
}

/* ---- data ----*/

/* One thread at both ends: a window that nobody opens again, or a tail that nobody posts, stops it.
 */
static void test_bulk(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 7, 64, 1460, 4096, 65536, 333, 50000};
    static uint8_t data[65536];
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    uint32_t sent_to = 0, received_to = 0;
    uint64_t moved_ns = os_monotonic_ns();
    for (uint32_t round = 0; received_to < 3u << 20; round++) {
        size_t bytes = sizes[round % 8], sent = 0;
        bool turn = round % 2048 == 2047; /* the other way round next */
        struct client_socket *from = ends[round / 2048 % 2], *to_end = ends[1 - round / 2048 % 2];
        uint32_t before = sent_to + received_to;
        stream_fill(data, sent_to, bytes);
        enum rs_status status = stream_send_flags(from, data, bytes, CLIENT_MSG_DONTWAIT, &sent);
        assert_true(status == RS_OK || (status == RS_WOULD_BLOCK && sent == 0));
        sent_to += (uint32_t)sent;
        do {
            if (sent < bytes || turn) {
                received_to = stream_drain(to_end, received_to, sizes[(round + 3) % 8]);
            }
            moved_ns = sent_to + received_to != before ? os_monotonic_ns() : moved_ns;
            before = sent_to + received_to;
            assert_true(os_monotonic_ns() - moved_ns < STREAM_WAIT_NS); /* else it is stuck */
        } while (turn && received_to != sent_to);
    }
}

static void test_full(void **state)
{
    (void)state;
    static uint8_t data[100000];
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_set(ends[0], CLIENT_OPT_NONBLOCKING, 1);
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t sent_to = 0, received_to = 0;
        size_t sent = 0;
        enum rs_status status;
        for (;;) {
            stream_fill(data, sent_to, sizeof(data));
            status = stream_send_flags(ends[0], data, sizeof(data), 0, &sent);
            sent_to += (uint32_t)sent;
            if (status != RS_OK) {
                status = stream_send_flags(ends[0], data, 0, 0, &sent);
                ok(status); /* nothing always fits */
                /* What was on the way arrives a piece in each iteration. */
                if (stream_poll(ends[0], RS_LEVEL_WRITABLE, 200000000) == 0) {
                    break;
                }
            }
        }
        uint32_t behind_bytes = rig_shares_rings ? 0 : rig_defaults.recv_ring_bytes;
        assert_true(sent_to >= rig_defaults.send_ring_bytes + behind_bytes / 2);
        assert_true(sent_to <= rig_defaults.send_ring_bytes + behind_bytes);
        while (received_to != sent_to) {
            assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS),
                             RS_LEVEL_READABLE);
            received_to = stream_drain(ends[1], received_to, 30000);
        }
        assert_int_equal(stream_poll(ends[0], RS_LEVEL_WRITABLE, STREAM_WAIT_NS),
                         RS_LEVEL_WRITABLE);
    }
}

static void test_buffers(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    for (int i = 0; i < 5000; i++) { /* past the ring's end many times */
        char a[] = "abc", b[128] = "defgh", in1[2], in2[1], in3[200];
        struct client_iov out[4] = {{a, 3}, {NULL, 0}, {b, 100}, {a, 1}};
        struct client_iov in[4] = {{in1, 2}, {NULL, 0}, {in2, 1}, {in3, 101}};
        size_t sent = 0, got = 0;
        ok(client_send(ends[0], out, 4, 0, NULL, &sent));
        assert_int_equal(sent, 104);
        ok(client_recv(ends[1], in, 4, CLIENT_MSG_WAITALL, NULL, &got));
        assert_int_equal(got, 104);
        assert_memory_equal(in1, "ab", 2);
        assert_memory_equal(in2, "c", 1);
        assert_memory_equal(in3, "defgh", 5);
        assert_int_equal(in3[100], 'a');
    }
}

static void test_peek(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    char data[16] = {0};
    size_t got = 1;
    uint32_t next = 0;
    uint64_t total = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    assert_int_equal(stream_recv_flags(ends[1], data, 4, CLIENT_MSG_DONTWAIT, &got),
                     RS_WOULD_BLOCK);
    assert_int_equal(got, 0);
    assert_int_equal(stream_recv_flags(ends[1], data, 0, CLIENT_MSG_DONTWAIT, &got),
                     RS_WOULD_BLOCK);
    stream_send_all(ends[0], "something", 9);
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, STREAM_WAIT_NS), RS_LEVEL_READABLE);
    ok(stream_recv_flags(ends[1], data, 0, 0, &got)); /* waits, takes nothing */
    assert_int_equal(got, 0);
    ok(client_readable_bytes(ends[1], &next, &total));
    assert_int_equal(next, 9);
    assert_int_equal(total, 9);
    ok(stream_recv_flags(ends[1], data, 4, CLIENT_MSG_PEEK, &got));
    assert_int_equal(got, 4);
    assert_memory_equal(data, "some", 4);
    ok(stream_recv_flags(ends[1], data, sizeof(data), CLIENT_MSG_PEEK, &got));
    assert_int_equal(got, 9);
    stream_expect(ends[1], "something");
    assert_int_equal(stream_recv_flags(ends[1], data, 4, CLIENT_MSG_DONTWAIT, &got),
                     RS_WOULD_BLOCK);
    const uint32_t bad[] = {CLIENT_MSG_PEEK, CLIENT_MSG_OOB, CLIENT_MSG_DONTWAIT};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stream_recv_flags(ends[1], data, 4, CLIENT_MSG_WAITALL | bad[i], &got),
                         RS_NOT_SUPPORTED);
    }
}

static void test_timeouts(void **state)
{
    (void)state;
    static char data[1 << 20];
    struct rs_addr to;
    struct client_socket *ends[2];
    size_t count = 0;
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    stream_set(ends[1], CLIENT_OPT_RECV_TIMEOUT_MS, 30);
    uint64_t start_ns = os_monotonic_ns();
    assert_int_equal(stream_recv_byte(ends[1], &count), RS_TIMED_OUT);
    assert_true(os_monotonic_ns() - start_ns >= 29000000ull);
    stream_send_all(ends[0], "ab", 2);
    stream_set(ends[1], CLIENT_OPT_RECV_TIMEOUT_MS, 5000); /* a busy machine takes its time */
    ok(stream_recv_flags(ends[1], data, 2, CLIENT_MSG_PEEK, &count));
    stream_set(ends[1], CLIENT_OPT_RECV_TIMEOUT_MS, 30);
    ok(stream_recv_flags(ends[1], data, 4, CLIENT_MSG_WAITALL, &count)); /* what came until then */
    assert_int_equal(count, 2);
    stream_set(ends[0], CLIENT_OPT_SEND_TIMEOUT_MS, 30);
    start_ns = os_monotonic_ns();
    assert_int_equal(stream_send_flags(ends[0], data, sizeof(data), 0, &count), RS_TIMED_OUT);
    assert_true(os_monotonic_ns() - start_ns >= 29000000ull);
    /* A shared ring's room is told of by halves: what was read may not count yet. */
    size_t unread_bytes = rig_shares_rings ? 2 : 0;
    assert_true(count + unread_bytes >= rig_defaults.send_ring_bytes && count < sizeof(data));
}

/* Before, between and behind sends, also with a full ring: the stream is the same. */
static void test_warm(void **state)
{
    struct rs_addr at;
    struct client_socket *ends[2], *listener = stream_make_listener(&at);
    static uint8_t data[100000], junk[3000];
    size_t count = 77, written = 0;
    uint32_t position = 0;
    (void)state;
    assert_int_equal(stream_send_flags(stream_make(), junk, 10, CLIENT_MSG_WARM, &count),
                     RS_NOT_CONNECTED);
    stream_make_pair(listener, &at, ends);
    memset(junk, 0xee, sizeof(junk));
    stream_fill(data, 0, sizeof(data));
    assert_int_equal(stream_send_flags(ends[0], junk, 0, CLIENT_MSG_WARM, &count), RS_OK);
    while (position < sizeof(data)) {
        count = 77;
        assert_int_equal(stream_send_flags(ends[0], junk, sizeof(junk), CLIENT_MSG_WARM, &count),
                         RS_OK);
        assert_int_equal(count, 0);
        count = 0;
        enum rs_status status = stream_send_flags(ends[0], data + written, sizeof(data) - written,
                                                  CLIENT_MSG_DONTWAIT, &count);
        assert_true(status == RS_OK || status == RS_WOULD_BLOCK);
        written += count;
        if (written == sizeof(data) || status == RS_WOULD_BLOCK) {
            position = stream_drain(ends[1], position, 7000);
        }
    }
    assert_int_equal(stream_send_flags(ends[0], junk, 100, CLIENT_MSG_WARM, &count), RS_OK);
    assert_int_equal(client_ping(stream_client), RS_OK);
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_READABLE, 0), 0);
    assert_int_equal(client_shutdown(ends[0], CLIENT_SHUT_SEND), RS_OK);
    assert_int_equal(stream_send_flags(ends[0], junk, 100, CLIENT_MSG_WARM, &count), RS_SHUTDOWN);
}

int client_cases_stream(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, stream_setup, stream_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_unconnected), CASE(test_connect),
        CASE(test_refused),     CASE(test_connect_nonblocking),
        CASE(test_bulk),        CASE(test_full),
        CASE(test_buffers),     CASE(test_peek),
        CASE(test_timeouts),    CASE(test_warm),
    };
    return cmocka_run_group_tests_name("client streams", tests, NULL, NULL);
}
