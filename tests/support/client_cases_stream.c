/* Stream sockets, one thread: what each call of provider/client promises. See client_cases.h. */
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
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket));
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

static struct client_socket *make_listener(struct rs_addr *local)
{
    struct client_socket *socket = make_bound(local);
    ok(client_listen(socket, 16));
    return socket;
}

/* Both ends of a connection. */
static void make_pair(struct client_socket *listener, const struct rs_addr *to,
                      struct client_socket *ends[2])
{
    ends[0] = make();
    ok(client_connect(ends[0], to));
    ok(client_accept(listener, &ends[1], NULL));
}

static enum rs_status send_flags(struct client_socket *socket, const void *data, size_t bytes,
                                 uint32_t flags, size_t *sent)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    return client_send(socket, &iov, 1, flags, NULL, sent);
}

static void send_all(struct client_socket *socket, const void *data, size_t bytes)
{
    size_t sent = 0;
    ok(send_flags(socket, data, bytes, 0, &sent));
    assert_int_equal(sent, bytes);
}

static enum rs_status recv_flags(struct client_socket *socket, void *data, size_t bytes,
                                 uint32_t flags, size_t *got)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    return client_recv(socket, &iov, 1, flags, NULL, got);
}

/* Exactly these bytes come next. */
static void expect(struct client_socket *socket, const char *text)
{
    char data[64];
    size_t got = 0;
    ok(recv_flags(socket, data, strlen(text), CLIENT_MSG_WAIT | CLIENT_MSG_WAITALL, &got));
    assert_int_equal(got, strlen(text));
    assert_memory_equal(data, text, got);
}

static enum rs_status recv_byte(struct client_socket *socket, size_t *got)
{
    char byte;
    return recv_flags(socket, &byte, 1, 0, got);
}

static uint32_t poll_one(struct client_socket *socket, uint32_t want, uint64_t timeout_ns)
{
    struct client_poll item = {.socket = socket, .want = want};
    uint32_t count = 0;
    ok(client_poll(client, &item, 1, timeout_ns, &count));
    assert_int_equal(count, item.ready != 0);
    return item.ready;
}

#define POLL_ALL \
    (RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_END | RS_LEVEL_ERROR | CLIENT_POLL_URGENT)

static void set(struct client_socket *socket, uint32_t option, uint32_t value)
{
    ok(client_set_option(socket, option, value));
}

/* ---- connecting -------------------------------------------------------------------------------
 */

static void test_unconnected(void **state)
{
    (void)state;
    struct rs_addr addr;
    struct client_socket *other = NULL;
    size_t count = 0;
    uint32_t next = 1;
    struct client_socket *socket = make();
    assert_int_equal(client_socket_type(socket), RS_SOCK_STREAM);
    for (int bound = 0; bound < 2; bound++) {
        assert_int_equal(send_flags(socket, "x", 1, 0, &count), RS_NOT_CONNECTED);
        assert_int_equal(recv_byte(socket, &count), RS_NOT_CONNECTED);
        assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
        assert_int_equal(client_shutdown(socket, CLIENT_SHUT_SEND), RS_NOT_CONNECTED);
        assert_int_equal(client_accept(socket, &other, NULL), RS_INVALID);
        ok(client_readable_bytes(socket, &next, NULL));
        assert_int_equal(next, 0);
        ok(client_take_error(socket));
        assert_int_equal(poll_one(socket, POLL_ALL, 1000), 0);
        if (bound == 0) {
            assert_int_equal(client_local_addr(socket, &addr), RS_INVALID);
            assert_int_equal(client_listen(socket, 1), RS_INVALID);
            addr = rs_addr_v4(LOCALHOST, 0);
            ok(client_bind(socket, &addr));
        }
    }
    ok(client_local_addr(socket, &addr));
    assert_int_equal(client_bind(socket, &addr), RS_INVALID);
    other = make();
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
    struct client_socket *listener = make_listener(&to);
    struct client_socket *server = NULL;
    struct client_socket *socket = make();
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
        send_all(socket, "to the server", 13);
        expect(server, "to the server");
        send_all(server, "and back", 8);
        expect(socket, "and back");
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *listener = make_bound(&to);
    struct client_socket *server = NULL;
    struct client_socket *socket = make();
    size_t got = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_connect(socket, &to), RS_CONN_REFUSED);
        assert_int_equal(poll_one(socket, POLL_ALL, 0), RS_LEVEL_ERROR);
        ok(client_take_error(socket)); /* connect told */
        assert_int_equal(recv_byte(socket, &got), RS_NOT_CONNECTED);
        assert_int_equal(send_flags(socket, "x", 1, 0, &got), RS_NOT_CONNECTED);
        assert_int_equal(client_listen(socket, 1), RS_INVALID);
    }
    ok(client_listen(listener, 1));
    ok(client_connect(socket, &to));
    ok(client_accept(listener, &server, NULL));
    send_all(socket, "at last", 7);
    expect(server, "at last");
}

static void test_connect_nonblocking(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *listener = make_bound(&to);
    struct client_socket *server = NULL;
    struct client_socket *socket = make();
    set(socket, CLIENT_OPT_NONBLOCKING, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_connect(socket, &to), RS_WOULD_BLOCK);
        assert_int_equal(poll_one(socket, POLL_ALL, WAIT_NS), RS_LEVEL_ERROR);
        assert_int_equal(client_take_error(socket), RS_CONN_REFUSED);
        ok(client_take_error(socket)); /* once */
    }
    ok(client_listen(listener, 1));
    assert_int_equal(client_connect(socket, &to), RS_WOULD_BLOCK);
    assert_int_equal(poll_one(socket, POLL_ALL | RS_LEVEL_CONNECTED, WAIT_NS),
                     RS_LEVEL_WRITABLE | RS_LEVEL_CONNECTED);
    ok(client_take_error(socket));
    assert_int_equal(client_connect(socket, &to), RS_IS_CONNECTED);
    send_all(socket, "before accept", 13);
    set(listener, CLIENT_OPT_NONBLOCKING, 1);
    assert_int_equal(poll_one(listener, POLL_ALL, WAIT_NS), RS_LEVEL_READABLE);
    ok(client_accept(listener, &server, NULL));
    expect(server, "before accept");
    assert_int_equal(client_accept(listener, &server, NULL), RS_WOULD_BLOCK);
    assert_int_equal(poll_one(listener, POLL_ALL, 0), 0);
}

/* ---- data -------------------------------------------------------------------------------------
 */

static uint8_t pattern(uint32_t position)
{
    return (uint8_t)(position * 7 + (position >> 8) * 13 + (position >> 16));
}

static void fill(uint8_t *data, uint32_t position, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        data[i] = pattern(position + (uint32_t)i);
    }
}

static void check(const uint8_t *data, uint32_t position, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != pattern(position + (uint32_t)i)) {
            fail_msg("byte %u", position + (uint32_t)i);
        }
    }
}

/* Everything that is there; returns the new position. */
static uint32_t drain(struct client_socket *socket, uint32_t position, size_t chunk_bytes)
{
    static uint8_t data[1u << 16];
    size_t got = 0;
    enum rs_status status;
    while ((status = recv_flags(socket, data, chunk_bytes, CLIENT_MSG_DONTWAIT, &got)) == RS_OK &&
           got != 0) {
        check(data, position, got);
        position += (uint32_t)got;
    }
    assert_true(status == RS_WOULD_BLOCK || got == 0);
    return position;
}

/* One thread at both ends: a window that nobody opens again, or a tail that nobody posts, stops it.
 */
static void test_bulk(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 7, 64, 1460, 4096, 65536, 333, 50000};
    static uint8_t data[65536];
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = make_listener(&to);
    make_pair(listener, &to, ends);
    uint32_t sent_to = 0, received_to = 0;
    uint64_t deadline_ns = os_monotonic_ns() + 4 * WAIT_NS;
    for (uint32_t round = 0; received_to < 6u << 20; round++) {
        size_t bytes = sizes[round % 8], sent = 0;
        fill(data, sent_to, bytes);
        enum rs_status status =
            send_flags(ends[round / 4096 % 2 != 0], data, bytes, CLIENT_MSG_DONTWAIT, &sent);
        assert_true(status == RS_OK || (status == RS_WOULD_BLOCK && sent == 0));
        sent_to += (uint32_t)sent;
        if (sent < bytes || round % 4096 == 4095) {
            received_to = drain(ends[round / 4096 % 2 == 0], received_to, sizes[(round + 3) % 8]);
        }
        while (round % 4096 == 4095 && received_to != sent_to) { /* the other way round next */
            assert_true(os_monotonic_ns() < deadline_ns);
            received_to = drain(ends[round / 4096 % 2 == 0], received_to, 4096);
        }
        assert_true(os_monotonic_ns() < deadline_ns); /* "stuck" */
    }
}

static void test_full(void **state)
{
    (void)state;
    static uint8_t data[100000];
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = make_listener(&to);
    make_pair(listener, &to, ends);
    set(ends[0], CLIENT_OPT_NONBLOCKING, 1);
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t sent_to = 0, received_to = 0;
        size_t sent = 0;
        enum rs_status status;
        for (;;) {
            fill(data, sent_to, sizeof(data));
            status = send_flags(ends[0], data, sizeof(data), 0, &sent);
            sent_to += (uint32_t)sent;
            if (status != RS_OK) {
                ok(client_ping(client)); /* what it had on the way has arrived */
                status = send_flags(ends[0], data, 0, 0, &sent);
                ok(status); /* nothing always fits */
                if (poll_one(ends[0], RS_LEVEL_WRITABLE, 0) == 0) {
                    break;
                }
            }
        }
        assert_true(sent_to >= rig_defaults.send_ring_bytes + rig_defaults.recv_ring_bytes / 2);
        assert_true(sent_to <= rig_defaults.send_ring_bytes + rig_defaults.recv_ring_bytes);
        while (received_to != sent_to) {
            assert_int_equal(poll_one(ends[1], RS_LEVEL_READABLE, WAIT_NS), RS_LEVEL_READABLE);
            received_to = drain(ends[1], received_to, 30000);
        }
        assert_int_equal(poll_one(ends[0], RS_LEVEL_WRITABLE, WAIT_NS), RS_LEVEL_WRITABLE);
    }
}

static void test_buffers(void **state)
{
    (void)state;
    struct rs_addr to;
    struct client_socket *ends[2];
    struct client_socket *listener = make_listener(&to);
    make_pair(listener, &to, ends);
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
    struct client_socket *listener = make_listener(&to);
    make_pair(listener, &to, ends);
    assert_int_equal(recv_flags(ends[1], data, 4, CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
    assert_int_equal(got, 0);
    assert_int_equal(recv_flags(ends[1], data, 0, CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
    send_all(ends[0], "something", 9);
    assert_int_equal(poll_one(ends[1], RS_LEVEL_READABLE, WAIT_NS), RS_LEVEL_READABLE);
    ok(recv_flags(ends[1], data, 0, 0, &got)); /* waits, takes nothing */
    assert_int_equal(got, 0);
    ok(client_readable_bytes(ends[1], &next, &total));
    assert_int_equal(next, 9);
    assert_int_equal(total, 9);
    ok(recv_flags(ends[1], data, 4, CLIENT_MSG_PEEK, &got));
    assert_int_equal(got, 4);
    assert_memory_equal(data, "some", 4);
    ok(recv_flags(ends[1], data, sizeof(data), CLIENT_MSG_PEEK, &got));
    assert_int_equal(got, 9);
    expect(ends[1], "something");
    assert_int_equal(recv_flags(ends[1], data, 4, CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
    const uint32_t bad[] = {CLIENT_MSG_PEEK, CLIENT_MSG_OOB, CLIENT_MSG_DONTWAIT};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(recv_flags(ends[1], data, 4, CLIENT_MSG_WAITALL | bad[i], &got),
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
    struct client_socket *listener = make_listener(&to);
    make_pair(listener, &to, ends);
    set(ends[1], CLIENT_OPT_RECV_TIMEOUT_MS, 30);
    uint64_t start_ns = os_monotonic_ns();
    assert_int_equal(recv_byte(ends[1], &count), RS_TIMED_OUT);
    assert_true(os_monotonic_ns() - start_ns >= 29000000ull);
    send_all(ends[0], "ab", 2);
    ok(recv_flags(ends[1], data, 4, CLIENT_MSG_WAITALL, &count)); /* what came until then */
    assert_int_equal(count, 2);
    set(ends[0], CLIENT_OPT_SEND_TIMEOUT_MS, 30);
    start_ns = os_monotonic_ns();
    assert_int_equal(send_flags(ends[0], data, sizeof(data), 0, &count), RS_TIMED_OUT);
    assert_true(os_monotonic_ns() - start_ns >= 29000000ull);
    assert_true(count >= rig_defaults.send_ring_bytes && count < sizeof(data));
}

int client_cases_stream(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_unconnected), CASE(test_connect),
        CASE(test_refused),     CASE(test_connect_nonblocking),
        CASE(test_bulk),        CASE(test_full),
        CASE(test_buffers),     CASE(test_peek),
        CASE(test_timeouts),
    };
    return cmocka_run_group_tests_name("client streams", tests, NULL, NULL);
}
