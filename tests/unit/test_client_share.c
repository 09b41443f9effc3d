/*
 * Stream sockets that several programs have, on the real dataplane in this process: programs are
 * attaches of their own, so each has a session. What Microsoft's pages say of duplicated sockets:
 * one connection, one set of options and modes, bytes to whoever asks first, an end with the last
 * descriptor; and that a socket with bytes under way loses none of them when it is shared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "provider/client/client_internal.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/claim.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define ok(call) assert_int_equal((call), RS_OK)

static struct client *other_client;          /* another program */
static struct client_socket *ends[2], *twin; /* ends[0] and twin are one socket */

static struct client_socket *duplicate(struct client_socket *socket, struct client *client)
{
    struct client_share_info info;
    struct client_socket *out = NULL;
    ok(client_share(socket, os_process_id(), &info));
    ok(client_share_open(client, &info, &out));
    assert_true(client_is_shared(socket) && client_is_shared(out));
    return out;
}

static int setup(void **state)
{
    struct rs_addr to;
    (void)stream_setup(state);
    other_client = rig_attach();
    struct client_socket *listener = stream_make_listener(&to);
    stream_make_pair(listener, &to, ends);
    ok(client_socket_close(listener));
    twin = NULL;
    return 0;
}

static int teardown(void **state)
{
    client_close(other_client);
    return stream_teardown(state);
}

/* ---- bytes ---- */

static void test_both_send(void **state)
{
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_send_all(ends[0], "one ", 4);
    stream_send_all(twin, "two ", 4);
    stream_send_all(ends[0], "three", 5);
    stream_expect(ends[1], "one two three");
}

/* A call without a reference leaves a shared socket to the long way, which asks the dataplane. */
static void test_claimed(void **state)
{
    enum rs_status status;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_set(twin, CLIENT_OPT_NONBLOCKING, 1);
    assert_false(claim_send(twin, &status));
    assert_false(claim_recv(twin, &status));
}

/* A byte goes to one descriptor, in the order of the calls. */
static void test_both_receive(void **state)
{
    char data[16];
    size_t got = 0;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_send_all(ends[1], "abcdefghij", 10);
    assert_true((stream_poll(twin, RS_LEVEL_READABLE, STREAM_WAIT_NS) & RS_LEVEL_READABLE) != 0);
    ok(stream_recv_flags(ends[0], data, 3, 0, &got));
    assert_int_equal(got, 3);
    assert_memory_equal(data, "abc", 3);
    ok(stream_recv_flags(twin, data, 4, CLIENT_MSG_PEEK, &got));
    assert_memory_equal(data, "defg", 4);
    ok(stream_recv_flags(twin, data, 4, 0, &got));
    assert_memory_equal(data, "defg", 4);
    stream_expect(ends[0], "hij");
    assert_int_equal(stream_poll(twin, RS_LEVEL_READABLE, 0), 0);
    assert_int_equal(stream_recv_flags(twin, data, 4, CLIENT_MSG_DONTWAIT, &got), RS_WOULD_BLOCK);
}

/* What is under way both ways when the socket becomes a shared one. */
static void test_bytes_under_way(void **state)
{
    uint8_t data[60000], back[60000];
    size_t got, sent;
    (void)state;
    stream_fill(data, 0, sizeof(data));
    stream_send_all(ends[1], data, sizeof(data));
    ok(stream_send_flags(ends[0], data, sizeof(data), CLIENT_MSG_DONTWAIT, &sent));
    assert_int_equal(sent, sizeof(data));
    ok(stream_recv_flags(ends[0], back, 1000, CLIENT_MSG_WAITALL, &got));
    stream_check(back, 0, 1000);
    twin = duplicate(ends[0], other_client);
    ok(stream_recv_flags(twin, back, 30000, CLIENT_MSG_WAITALL, &got));
    assert_int_equal(got, 30000);
    stream_check(back, 1000, got);
    ok(stream_recv_flags(ends[0], back, 29000, CLIENT_MSG_WAITALL, &got));
    assert_int_equal(got, 29000);
    stream_check(back, 31000, got);
    ok(stream_recv_flags(ends[1], back, sizeof(back), CLIENT_MSG_WAITALL, &got));
    stream_check(back, 0, got);
    stream_send_all(twin, "end", 3);
    stream_expect(ends[1], "end");
    stream_send_all(ends[1], "back", 4);
    stream_expect(twin, "back");
}

/* Both ends of one connection, one after the other. */
static void test_both_ends_shared(void **state)
{
    uint8_t data[20000], back[20000];
    size_t got;
    (void)state;
    stream_fill(data, 0, sizeof(data));
    stream_send_all(ends[0], data, sizeof(data));
    twin = duplicate(ends[0], other_client);
    stream_send_all(ends[1], data, sizeof(data));
    struct client_socket *other_end = duplicate(ends[1], other_client);
    stream_send_all(twin, "more", 4);
    ok(stream_recv_flags(other_end, back, sizeof(back), CLIENT_MSG_WAITALL, &got));
    assert_int_equal(got, sizeof(back));
    stream_check(back, 0, got);
    stream_expect(ends[1], "more");
    ok(stream_recv_flags(ends[0], back, sizeof(back), CLIENT_MSG_WAITALL, &got));
    stream_check(back, 0, got);
}

struct pump {
    struct client_socket *socket;
    struct os_thread thread;
    size_t bytes;
};

static void pump_out(void *arg)
{
    struct pump *pump = arg;
    uint8_t data[7000];
    for (size_t at = 0; at < pump->bytes; at += sizeof(data)) {
        size_t sent;
        stream_fill(data, (uint32_t)at, sizeof(data));
        CHECK(stream_send_flags(pump->socket, data, sizeof(data), CLIENT_MSG_WAIT, &sent) == RS_OK);
        CHECK(sent == sizeof(data));
    }
}

/* More than all rings hold, so senders and receivers wait for each other. */
static void test_bulk(void **state)
{
    struct pump pump = {.bytes = 7000 * 600};
    uint8_t data[5000];
    (void)state;
    twin = duplicate(ends[0], other_client);
    for (uint32_t way = 0; way < 2; way++) {
        struct client_socket *in = way == 0 ? ends[1] : ends[0];
        pump.socket = way == 0 ? twin : ends[1];
        CHECK(os_thread_start(&pump.thread, pump_out, &pump, "pump") == RS_OK);
        for (size_t at = 0, got = 0; at < pump.bytes; at += got) {
            ok(stream_recv_flags(in, data, sizeof(data), 0, &got));
            assert_int_not_equal(got, 0);
            stream_check(data, (uint32_t)at, got);
            if (way == 1) {
                in = in == twin ? ends[0] : twin;
            }
        }
        os_thread_join(&pump.thread);
    }
}

static void test_not_blocking_full(void **state)
{
    uint8_t data[4096] = {0};
    size_t sent, total = 0;
    enum rs_status status;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_set(twin, CLIENT_OPT_NONBLOCKING, 1);
    while ((status = stream_send_flags(twin, data, sizeof(data), 0, &sent)) == RS_OK) {
        total += sent;
        assert_true(total < 1u << 20);
    }
    assert_int_equal(status, RS_WOULD_BLOCK);
    assert_int_equal(stream_send_flags(ends[0], data, 1, 0, &sent), RS_WOULD_BLOCK);
    assert_int_equal(stream_poll(ends[0], RS_LEVEL_WRITABLE, 0), 0);
    while (total != 0) {
        size_t got;
        ok(stream_recv_flags(ends[1], data, sizeof(data), 0, &got));
        total -= got;
    }
    assert_true((stream_poll(ends[0], RS_LEVEL_WRITABLE, STREAM_WAIT_NS) & RS_LEVEL_WRITABLE) != 0);
    assert_true((stream_poll(twin, RS_LEVEL_WRITABLE, STREAM_WAIT_NS) & RS_LEVEL_WRITABLE) != 0);
}

/* ---- calls that wait ---- */

struct waiter {
    struct client_socket *socket;
    struct os_thread thread;
    rs_atomic_u32 inside;
    enum rs_status status;
    size_t got;
    char data[8];
};

static void wait_in_recv(void *arg)
{
    struct waiter *waiter = arg;
    atomic_store(&waiter->inside, 1);
    waiter->status =
        stream_recv_flags(waiter->socket, waiter->data, sizeof(waiter->data), 0, &waiter->got);
    atomic_store(&waiter->inside, 2);
}

/* Given time to block; nothing hangs on whether it did. */
static void waiter_start(struct waiter *waiter, struct client_socket *socket)
{
    *waiter = (struct waiter){.socket = socket};
    CHECK(os_thread_start(&waiter->thread, wait_in_recv, waiter, "waiter") == RS_OK);
    while (atomic_load(&waiter->inside) == 0) {
        os_yield();
    }
    os_sleep_ns(20000000);
}

static void test_shared_while_waiting(void **state)
{
    struct waiter waiter;
    (void)state;
    waiter_start(&waiter, ends[0]);
    twin = duplicate(ends[0], other_client);
    stream_send_all(ends[1], "now", 3);
    os_thread_join(&waiter.thread);
    assert_int_equal(waiter.status, RS_OK);
    assert_int_equal(waiter.got, 3);
}

/* It has begun its time, and sleeps, or did since. */
static void await_armed(struct client_socket *socket, uint32_t before)
{
    while (atomic_load(&socket->shared->arm_seq) == before) {
        os_yield();
    }
}

/* A waiting call's time goes on when its socket is shared, and when it is so no more. The time-out
 * is none at all by then, so a time that begins anew does not end. */
static void time_goes_on(struct client_socket *socket, bool shared_before)
{
    struct waiter waiter;
    const uint64_t begin_ns = os_monotonic_ns();
    if (shared_before) {
        twin = duplicate(socket, other_client);
    }
    stream_set(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 400);
    const uint32_t before = atomic_load(&socket->shared->arm_seq);
    waiter_start(&waiter, socket);
    await_armed(socket, before);
    stream_set(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 0);
    if (!shared_before) {
        twin = duplicate(socket, other_client);
    }
    ok(client_socket_close(twin));
    while (client_is_shared(socket)) { /* until a call asks to have it back */
        char byte;
        size_t got;
        assert_int_equal(stream_recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT, &got),
                         RS_WOULD_BLOCK);
    }
    while (atomic_load(&waiter.inside) != 2 && os_monotonic_ns() < begin_ns + STREAM_WAIT_NS) {
        os_yield();
    }
    if (atomic_load(&waiter.inside) != 2) {
        fprintf(stderr, "waited %llu s for a time-out of 400 ms\n", STREAM_WAIT_NS / 1000000000ull);
        ok(client_socket_close(socket));
    }
    os_thread_join(&waiter.thread);
    assert_int_equal(waiter.status, RS_TIMED_OUT);
    assert_true(os_monotonic_ns() - begin_ns >= 390000000u);
}

static void test_time_goes_on(void **state)
{
    struct client_socket *port = NULL;
    const struct rs_addr any = rs_addr_v4(0, 0);
    (void)state;
    ok(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &port));
    ok(client_bind(port, &any));
    for (uint32_t shared_before = 0; shared_before < 2; shared_before++) {
        time_goes_on(ends[0], shared_before != 0);
        time_goes_on(port, shared_before != 0);
    }
    ok(client_socket_close(port));
}

static void test_one_of_two_waiters(void **state)
{
    struct waiter waiters[2];
    (void)state;
    twin = duplicate(ends[0], other_client);
    waiter_start(&waiters[0], ends[0]);
    waiter_start(&waiters[1], twin);
    stream_send_all(ends[1], "a", 1);
    stream_send_all(ends[1], "b", 1);
    ok(client_shutdown(ends[1], CLIENT_SHUT_SEND));
    os_thread_join(&waiters[0].thread);
    os_thread_join(&waiters[1].thread);
    ok(waiters[0].status);
    ok(waiters[1].status);
    size_t got, left = 2 - waiters[0].got - waiters[1].got;
    assert_true(waiters[0].got + waiters[1].got <= 2);
    for (; left != 0; left -= got) {
        ok(stream_recv_byte(twin, &got));
        assert_int_equal(got, 1);
    }
    ok(stream_recv_byte(twin, &got));
    assert_int_equal(got, 0);
}

struct byte_sender {
    struct client_socket *socket;
    struct os_thread thread;
    uint64_t later_ns; /* so that the byte comes at all moments; nothing hangs on it */
};

static void send_a_byte(void *arg)
{
    const struct byte_sender *sender = arg;
    os_sleep_ns(sender->later_ns);
    stream_send_all(sender->socket, "b", 1);
}

/* A byte comes while another thread's send makes the socket its own again: who waits for it may
 * look between the two, and must look again. */
static void test_returns_while_waiting(void **state)
{
    const uint64_t patience_ns = 5000000000u;
    (void)state;
    twin = ends[0];
    for (uint32_t round = 0; round < 20; round++) {
        struct waiter waiter;
        struct byte_sender sender = {.socket = ends[1], .later_ns = round * 100000};
        struct client_socket *other = duplicate(twin, other_client);
        stream_set(twin, CLIENT_OPT_RECV_TIMEOUT_MS, (uint32_t)(patience_ns / 1000000));
        waiter_start(&waiter, twin);
        ok(client_socket_close(other));
        CHECK(os_thread_start(&sender.thread, send_a_byte, &sender, "sender") == RS_OK);
        stream_send_all(twin, "a", 1);
        os_thread_join(&sender.thread);
        const uint64_t sent_ns = os_monotonic_ns();
        os_thread_join(&waiter.thread);
        ok(waiter.status);
        assert_true(os_monotonic_ns() - sent_ns < patience_ns / 2); /* else it was not woken */
        assert_int_equal(waiter.got, 1);
        assert_false(client_is_shared(twin));
    }
}

static void test_close_ends_wait_of_its_own(void **state)
{
    struct waiter waiters[2];
    (void)state;
    twin = duplicate(ends[0], other_client);
    waiter_start(&waiters[0], ends[0]);
    waiter_start(&waiters[1], twin);
    ok(client_socket_close(twin));
    os_thread_join(&waiters[1].thread);
    assert_int_equal(waiters[1].status, RS_INTERRUPTED);
    stream_send_all(ends[1], "on", 2);
    os_thread_join(&waiters[0].thread);
    ok(waiters[0].status);
    assert_int_equal(waiters[0].got, 2);
}

/* ---- ends ---- */

static void test_ends_with_the_last(void **state)
{
    size_t got;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_send_all(ends[0], "x", 1);
    ok(client_socket_close(ends[0]));
    stream_expect(ends[1], "x");
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_END, 20000000), 0);
    stream_send_all(ends[1], "still", 5);
    stream_expect(twin, "still");
    stream_send_all(twin, "y", 1);
    ok(client_socket_close(twin));
    stream_expect(ends[1], "y");
    ok(stream_recv_byte(ends[1], &got));
    assert_int_equal(got, 0);
}

/* The one that was granted counts as one, also before it is opened. */
static void test_closed_before_it_is_opened(void **state)
{
    struct client_share_info info;
    (void)state;
    ok(client_share(ends[0], os_process_id(), &info));
    ok(client_socket_close(ends[0]));
    ok(client_share_open(other_client, &info, &twin));
    stream_send_all(twin, "heir", 4);
    stream_expect(ends[1], "heir");
    stream_send_all(ends[1], "x", 1);
    stream_expect(twin, "x");
}

static void test_shutdown_is_for_all(void **state)
{
    size_t got, sent;
    (void)state;
    twin = duplicate(ends[0], other_client);
    ok(client_shutdown(twin, CLIENT_SHUT_SEND));
    assert_int_equal(stream_send_flags(ends[0], "x", 1, 0, &sent), RS_SHUTDOWN);
    assert_int_equal(stream_send_flags(twin, "x", 1, 0, &sent), RS_SHUTDOWN);
    ok(stream_recv_byte(ends[1], &got));
    assert_int_equal(got, 0);
    stream_send_all(ends[1], "in", 2);
    stream_expect(ends[0], "in");
    ok(client_shutdown(ends[0], CLIENT_SHUT_RECV | CLIENT_SHUT_KEEP));
    assert_int_equal(stream_recv_byte(twin, &got), RS_SHUTDOWN);
}

static void test_shut_down_before(void **state)
{
    size_t sent;
    (void)state;
    ok(client_shutdown(ends[0], CLIENT_SHUT_SEND));
    twin = duplicate(ends[0], other_client);
    assert_int_equal(stream_send_flags(twin, "x", 1, 0, &sent), RS_SHUTDOWN);
}

static void test_reset_is_for_all(void **state)
{
    size_t got;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_set(ends[1], CLIENT_OPT_LINGER_MS, 0);
    ok(client_socket_close(ends[1]));
    assert_true((stream_poll(twin, RS_LEVEL_ERROR, STREAM_WAIT_NS) & RS_LEVEL_ERROR) != 0);
    assert_int_equal(stream_recv_byte(twin, &got), RS_CONN_RESET);
    assert_int_equal(stream_recv_byte(ends[0], &got), RS_CONN_RESET);
    assert_int_equal(client_socket_error(twin), RS_CONN_RESET);
    assert_int_equal(client_take_error(twin), RS_CONN_RESET);
    assert_int_equal(client_take_error(ends[0]), RS_CONN_RESET);
    assert_int_equal(client_take_error(ends[0]), RS_OK);
}

/* Nothing is left of it to send; it is shared for the end's sake. */
static void test_over_before(void **state)
{
    size_t got;
    (void)state;
    stream_send_all(ends[1], "last", 4);
    ok(client_socket_close(ends[1]));
    assert_true((stream_poll(ends[0], RS_LEVEL_END, STREAM_WAIT_NS) & RS_LEVEL_END) != 0);
    twin = duplicate(ends[0], other_client);
    stream_expect(twin, "last");
    ok(stream_recv_byte(ends[0], &got));
    assert_int_equal(got, 0);
}

static void test_last_one_aborts(void **state)
{
    size_t got;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_set(ends[0], CLIENT_OPT_LINGER_MS, 0); /* of both */
    ok(client_socket_close(ends[0]));
    assert_int_equal(stream_poll(ends[1], RS_LEVEL_ERROR, 20000000), 0);
    ok(client_socket_close(twin));
    assert_true((stream_poll(ends[1], RS_LEVEL_ERROR, STREAM_WAIT_NS) & RS_LEVEL_ERROR) != 0);
    assert_int_equal(stream_recv_byte(ends[1], &got), RS_CONN_RESET);
}

/* ---- the last one is fast again ---- */

/* Bytes are under way both ways when it changes; no request is made from then on. */
static void test_fast_again(void **state)
{
    uint8_t data[50000], back[50000];
    size_t got;
    (void)state;
    stream_fill(data, 0, sizeof(data));
    stream_send_all(ends[0], data, 1000);
    twin = duplicate(ends[0], other_client);
    stream_send_all(twin, data + 1000, 29000);
    stream_send_all(ends[1], data, 30000);
    stream_set(ends[0], RS_OPT_NODELAY, 1);
    ok(client_socket_close(ends[0]));
    ok(stream_recv_flags(twin, back, 10000, CLIENT_MSG_WAITALL, &got));
    stream_check(back, 0, got);
    assert_false(client_is_shared(twin));
    stream_send_all(twin, data + 30000, 20000);
    stream_send_all(ends[1], data + 30000, 20000);
    ok(stream_recv_flags(twin, back, 40000, CLIENT_MSG_WAITALL, &got));
    stream_check(back, 10000, got);
    ok(stream_recv_flags(ends[1], back, sizeof(back), CLIENT_MSG_WAITALL, &got));
    assert_int_equal(got, sizeof(back));
    stream_check(back, 0, got);
    uint32_t nodelay;
    ok(client_get_option(twin, RS_OPT_NODELAY, &nodelay));
    assert_int_equal(nodelay, 1);
    ok(client_socket_close(twin));
    ok(stream_recv_byte(ends[1], &got));
    assert_int_equal(got, 0);
}

/* Over and over, each time by another program, with a receive that waits across it. */
static void test_to_and_fro(void **state)
{
    struct client_socket *socket = ends[0];
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        struct waiter waiter;
        struct client_socket *next = duplicate(socket, i % 2 == 0 ? other_client : stream_client);
        waiter_start(&waiter, next);
        ok(client_socket_close(socket));
        socket = next;
        stream_send_all(socket, "turn", 4);
        stream_expect(ends[1], "turn");
        assert_false(client_is_shared(socket));
        stream_send_all(ends[1], "back", 4);
        os_thread_join(&waiter.thread);
        ok(waiter.status);
        if (waiter.got < 4) {
            stream_expect(socket, "back" + waiter.got);
        }
    }
}

/* ---- options, modes, events ---- */

static void expect_option(struct client_socket *socket, uint32_t option, uint32_t expected)
{
    uint32_t value;
    ok(client_get_option(socket, option, &value));
    assert_int_equal(value, expected);
}

static void test_options(void **state)
{
    (void)state;
    stream_set(ends[0], RS_OPT_NODELAY, 1);
    stream_set(ends[0], CLIENT_OPT_RECV_TIMEOUT_MS, 1234);
    twin = duplicate(ends[0], other_client);
    expect_option(twin, RS_OPT_NODELAY, 1);
    expect_option(twin, CLIENT_OPT_RECV_TIMEOUT_MS, 1234);
    expect_option(twin, RS_OPT_TTL, 128);
    stream_set(twin, RS_OPT_NODELAY, 0);
    stream_set(twin, RS_OPT_TTL, 7);
    stream_set(twin, CLIENT_OPT_LINGER_MS, 50);
    stream_set(twin, CLIENT_OPT_OOB_INLINE, 1);
    expect_option(ends[0], RS_OPT_NODELAY, 0);
    expect_option(ends[0], RS_OPT_TTL, 7);
    expect_option(ends[0], CLIENT_OPT_LINGER_MS, 50);
    expect_option(ends[0], CLIENT_OPT_OOB_INLINE, 1);
    assert_int_equal(client_set_option(twin, RS_OPT_TTL, 0), RS_INVALID);
}

static void test_mode_is_shared(void **state)
{
    size_t got;
    (void)state;
    twin = duplicate(ends[0], other_client);
    stream_set(ends[0], CLIENT_OPT_NONBLOCKING, 1);
    assert_int_equal(stream_recv_byte(twin, &got), RS_WOULD_BLOCK);
    stream_set(twin, CLIENT_OPT_NONBLOCKING, 0);
    stream_set(twin, CLIENT_OPT_RECV_TIMEOUT_MS, 20);
    assert_int_equal(stream_recv_byte(ends[0], &got), RS_TIMED_OUT);
}

static void test_events_are_the_last_takers(void **state)
{
    uint32_t mine, its;
    (void)state;
    ok(client_share_take_events(ends[0], &mine));
    assert_int_equal(mine, 0);
    twin = duplicate(ends[0], other_client);
    ok(client_share_take_events(ends[0], &mine));
    assert_int_equal(client_share_events(ends[0]), mine);
    ok(client_share_take_events(twin, &its));
    assert_int_not_equal(mine, its);
    assert_int_equal(client_share_events(ends[0]), its);
    assert_int_equal(client_share_events(twin), its);
}

static void test_names(void **state)
{
    struct rs_addr mine, its;
    struct rs_tcp_info info;
    uint64_t ns;
    (void)state;
    twin = duplicate(ends[0], other_client);
    ok(client_local_addr(ends[0], &mine));
    ok(client_local_addr(twin, &its));
    assert_memory_equal(&mine, &its, sizeof(mine));
    ok(client_peer_addr(ends[0], &mine));
    ok(client_peer_addr(twin, &its));
    assert_memory_equal(&mine, &its, sizeof(mine));
    ok(client_tcp_info(twin, &info));
    assert_int_equal(info.state, RS_TCP_ESTABLISHED);
    ok(client_connected_ns(twin, &ns));
    assert_int_equal(client_bind(twin, &mine), RS_INVALID);
    assert_int_equal(client_listen(twin, 1), RS_IS_CONNECTED);
    assert_int_equal(client_connect(twin, &mine), RS_IS_CONNECTED);
}

/* ---- the urgent byte ---- */

static void test_urgent(void **state)
{
    char data[8];
    size_t got, sent;
    bool at_mark;
    (void)state;
    stream_send_all(ends[1], "ab", 2);
    ok(stream_send_flags(ends[1], "!", 1, CLIENT_MSG_OOB, &sent));
    stream_send_all(ends[1], "cd", 2);
    assert_true((stream_poll(ends[0], CLIENT_POLL_URGENT, STREAM_WAIT_NS) & CLIENT_POLL_URGENT) !=
                0);
    twin = duplicate(ends[0], other_client);
    assert_true((stream_poll(twin, CLIENT_POLL_URGENT, STREAM_WAIT_NS) & CLIENT_POLL_URGENT) != 0);
    ok(stream_recv_flags(twin, data, 8, 0, &got));
    assert_int_equal(got, 2);
    assert_memory_equal(data, "ab", 2);
    ok(client_at_mark(ends[0], &at_mark));
    assert_true(at_mark);
    ok(stream_recv_flags(ends[0], data, 8, CLIENT_MSG_OOB, &got));
    assert_int_equal(got, 1);
    assert_int_equal(data[0], '!');
    assert_int_equal(stream_recv_flags(twin, data, 8, CLIENT_MSG_OOB | CLIENT_MSG_DONTWAIT, &got),
                     RS_WOULD_BLOCK);
    stream_expect(twin, "cd");
    ok(stream_send_flags(twin, "?", 1, CLIENT_MSG_OOB, &sent));
    ok(stream_recv_flags(ends[1], data, 8, CLIENT_MSG_OOB, &got));
    assert_int_equal(data[0], '?');
}

/* Put aside by the reader before it was shared. */
static void test_urgent_byte_goes_along(void **state)
{
    char data[8];
    size_t got, sent;
    (void)state;
    ok(stream_send_flags(ends[1], "!", 1, CLIENT_MSG_OOB, &sent));
    stream_send_all(ends[1], "a", 1);
    stream_expect(ends[0], "a");
    twin = duplicate(ends[0], other_client);
    ok(stream_recv_flags(twin, data, 8, CLIENT_MSG_OOB | CLIENT_MSG_PEEK, &got));
    ok(stream_recv_flags(twin, data, 8, CLIENT_MSG_OOB, &got));
    assert_int_equal(data[0], '!');
    assert_int_equal(
        stream_recv_flags(ends[0], data, 8, CLIENT_MSG_OOB | CLIENT_MSG_DONTWAIT, &got),
        RS_WOULD_BLOCK);
}

/* ---- grants ---- */

static void test_grants(void **state)
{
    struct client_share_info info, wrong;
    struct client_socket *socket;
    (void)state;
    rig_share_with_another(ends[0], &info);
    assert_int_equal(client_share_open(other_client, &info, &socket), RS_ACCESS);
    ok(client_share(ends[0], os_process_id(), &info));
    wrong = info;
    wrong.token.words[1] ^= 1;
    assert_int_equal(client_share_open(other_client, &wrong, &socket), RS_NOT_SOCKET);
    wrong = info;
    wrong.token.words[0] |= RS_SHARE_TOKEN_QUEUE; /* there is no such queue */
    assert_int_equal(client_share_open(other_client, &wrong, &socket), RS_NOT_SOCKET);
    ok(client_share_open(other_client, &info, &twin));
    assert_int_equal(client_share_open(other_client, &info, &socket), RS_NOT_SOCKET);
}

/* In one program, and more than two. */
static void test_many(void **state)
{
    struct client_socket *all[10];
    char data[11] = {0};
    size_t got;
    (void)state;
    all[0] = ends[0];
    for (uint32_t i = 1; i < 10; i++) {
        all[i] = duplicate(all[i / 2], i % 3 == 0 ? other_client : stream_client);
    }
    for (uint32_t i = 0; i < 10; i++) {
        char digit = (char)('0' + i);
        stream_send_all(all[i], &digit, 1);
    }
    stream_expect(ends[1], "0123456789");
    for (uint32_t i = 0; i < 9; i++) {
        ok(client_socket_close(all[i]));
    }
    stream_send_all(ends[1], "z", 1);
    ok(stream_recv_flags(all[9], data, 10, 0, &got));
    assert_int_equal(got, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_both_send),
                                       TEST(test_both_receive),
                                       TEST(test_claimed),
                                       TEST(test_bytes_under_way),
                                       TEST(test_both_ends_shared),
                                       TEST(test_bulk),
                                       TEST(test_not_blocking_full),
                                       TEST(test_shared_while_waiting),
                                       TEST(test_time_goes_on),
                                       TEST(test_one_of_two_waiters),
                                       TEST(test_returns_while_waiting),
                                       TEST(test_close_ends_wait_of_its_own),
                                       TEST(test_ends_with_the_last),
                                       TEST(test_closed_before_it_is_opened),
                                       TEST(test_shutdown_is_for_all),
                                       TEST(test_shut_down_before),
                                       TEST(test_reset_is_for_all),
                                       TEST(test_over_before),
                                       TEST(test_last_one_aborts),
                                       TEST(test_fast_again),
                                       TEST(test_to_and_fro),
                                       TEST(test_options),
                                       TEST(test_mode_is_shared),
                                       TEST(test_events_are_the_last_takers),
                                       TEST(test_names),
                                       TEST(test_urgent),
                                       TEST(test_urgent_byte_goes_along),
                                       TEST(test_grants),
                                       TEST(test_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
