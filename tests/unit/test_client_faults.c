/*
 * provider/client against a dataplane that stalls, fills up, refuses, lies or dies: what only the
 * fake one can be told to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "tests/support/check.h"
#include "tests/support/fake_dataplane.h"

#define LOCALHOST rs_be32(0x7f000001u)
#define WAIT_NS   5000000000ull
#define ok(call)  assert_int_equal((call), RS_OK)

static struct fake *fake;
static struct client *client;

static void begin(const struct fake_config *config)
{
    fake = fake_create(config);
    struct client_link link = fake_link(fake);
    const struct client_config client_config = {.spin_us = -1, .yield_in_spin = -1};
    ok(client_open_link(&client_config, &link, &client));
}

static void end(void)
{
    client_close(client);
    fake_destroy(fake);
}

static struct client_socket *make_bound(struct rs_addr *local)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, local) == RS_OK);
    return socket;
}

static enum rs_status send_flags(struct client_socket *socket, const void *data, size_t bytes,
                                 const struct rs_addr *to, uint32_t flags)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent;
    return client_send(socket, &iov, 1, flags, to, &sent);
}

static enum rs_status recv_flags(struct client_socket *socket, void *data, size_t bytes,
                                 uint32_t flags)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    size_t got;
    return client_recv(socket, &iov, 1, flags, NULL, &got);
}

static bool writable(struct client_socket *socket, uint64_t timeout_ns)
{
    struct client_poll item = {.socket = socket, .want = RS_LEVEL_WRITABLE};
    uint32_t count = 0;
    ok(client_poll(client, &item, 1, timeout_ns, &count));
    return count != 0;
}

/* ---- full rings --------------------------------------------------------------------------------
 */

/* A thread that fills its socket's ring and then blocks for room. It does both itself: a socket
 * that another thread filled would first wait to move to this thread's channel. */
struct filler {
    struct client_socket *socket;
    struct rs_addr to;
    uint32_t sent;
    _Atomic uint32_t full;
    enum rs_status status;
};

static uint32_t fill(struct client_socket *socket, const struct rs_addr *to, size_t bytes)
{
    static const uint8_t data[8000];
    uint32_t sent = 0;
    while (send_flags(socket, data, bytes, to, CLIENT_MSG_DONTWAIT) == RS_OK) {
        sent++;
        assert_in_range(sent, 0, 100000);
    }
    assert_int_equal(send_flags(socket, data, bytes, to, CLIENT_MSG_DONTWAIT), RS_WOULD_BLOCK);
    return sent;
}

static void filler_run(void *arg)
{
    struct filler *filler = arg;
    static const uint8_t data[1000];
    while (send_flags(filler->socket, data, sizeof(data), &filler->to, CLIENT_MSG_DONTWAIT) ==
           RS_OK) {
        filler->sent++;
    }
    atomic_store(&filler->full, 1);
    filler->status = send_flags(filler->socket, data, sizeof(data), &filler->to, 0);
}

/* Returns when the ring is full and the thread about to block. */
static void filler_start(struct filler *filler, struct os_thread *thread)
{
    ok(os_thread_start(thread, filler_run, filler, "filler"));
    while (atomic_load(&filler->full) == 0) {
        os_yield();
    }
}

static void test_send_ring_full(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    config.send_ring_bytes = 8192;
    config.spin_us = 0;
    begin(&config);
    struct rs_addr to, local;
    struct client_socket *server = make_bound(&to);
    struct client_socket *socket = make_bound(&local);
    struct filler filler = {.socket = make_bound(&local), .to = to};
    struct os_thread thread;
    fake_pause(fake);
    uint32_t sent = fill(socket, &to, 1000);
    assert_int_equal(sent, 8192 / 1024);
    assert_false(writable(socket, 0));
    assert_false(writable(socket, 5000000));
    ok(client_set_option(socket, CLIENT_OPT_SEND_TIMEOUT_MS, 20));
    static const uint8_t data[1000];
    assert_int_equal(send_flags(socket, data, sizeof(data), &to, 0), RS_TIMED_OUT);
    filler_start(&filler, &thread);
    fake_resume(fake);
    os_thread_join(&thread);
    ok(filler.status);
    assert_int_equal(filler.sent, sent);
    assert_true(writable(socket, WAIT_NS));
    uint8_t in[1000];
    for (uint32_t i = 0; i < 2 * sent + 1; i++) {
        ok(recv_flags(server, in, sizeof(in), 0));
    }
    assert_int_equal(recv_flags(server, in, sizeof(in), CLIENT_MSG_DONTWAIT), RS_WOULD_BLOCK);
    static const uint8_t half[4096]; /* with its header more than half of the ring */
    assert_int_equal(send_flags(socket, half, sizeof(half), &to, 0), RS_MESSAGE_SIZE);
    end();
}

/* A message that needs more room than the one that was just taken: not writable before it fits, so
 * no busy loop. */
static void test_writable_means_it_fits(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    config.send_ring_bytes = 8192;
    begin(&config);
    struct rs_addr to;
    struct client_socket *socket = make_bound(&to);
    static const uint8_t data[3000];
    fake_pause(fake);
    fill(socket, &to, 1000);
    assert_int_equal(send_flags(socket, data, sizeof(data), &to, CLIENT_MSG_DONTWAIT),
                     RS_WOULD_BLOCK);
    fake_resume(fake);
    assert_true(writable(socket, WAIT_NS));
    ok(send_flags(socket, data, sizeof(data), &to, CLIENT_MSG_DONTWAIT));
    end();
}

static void test_shutdown_while_sending(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    config.send_ring_bytes = 8192;
    config.spin_us = 0;
    begin(&config);
    struct rs_addr to;
    struct os_thread thread;
    struct filler filler = {.socket = make_bound(&to)};
    filler.to = to;
    ok(client_set_option(filler.socket, RS_OPT_SNDBUF, 0)); /* one datagram at a time */
    fake_pause(fake);
    filler_start(&filler, &thread);
    assert_int_equal(filler.sent, 1);
    ok(client_shutdown(filler.socket, CLIENT_SHUT_SEND)); /* room alone must not let it through */
    fake_resume(fake);
    ok(client_socket_close(filler.socket));
    os_thread_join(&thread);
    assert_true(filler.status == RS_INTERRUPTED || filler.status == RS_SHUTDOWN ||
                filler.status == RS_NOT_SOCKET);
    end();
}

/* ---- a request ring without slack
 * ---------------------------------------------------------------- */

static void test_pressure(void **state)
{
    (void)state;
    enum { SOCKETS = 4, ROUNDS = 400 };
    struct fake_config config = fake_defaults;
    config.limit_sockets = 8;
    begin(&config);
    struct rs_addr to;
    struct client_socket *server = make_bound(&to);
    struct client_socket *sockets[SOCKETS];
    uint32_t next_out[SOCKETS] = {0}, next_in[SOCKETS] = {0}, received = 0, sent = 0;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        struct rs_addr local;
        sockets[i] = make_bound(&local);
    }
    for (uint32_t pass = 0; pass < 5; pass++) {
        fake_pause(fake);
        for (uint32_t i = 0; i < ROUNDS;
             i++) { /* far more than the ring has slots; never refused */
            uint32_t which = (i * 7 + pass) % SOCKETS;
            uint32_t data[40] = {which, next_out[which]++};
            ok(send_flags(sockets[which], data, i % 3 == 0 ? sizeof(data) : 8, &to,
                          CLIENT_MSG_DONTWAIT));
            sent++;
        }
        fake_resume(fake);
        while (received < sent) { /* each socket's in its order, none lost */
            uint32_t in[40];
            ok(recv_flags(server, in, sizeof(in), 0));
            assert_in_range(in[0], 0, SOCKETS - 1);
            assert_int_equal(in[1], next_in[in[0]]++);
            received++;
        }
    }
    struct fake_counts counts;
    fake_count(fake, &counts);
    assert_true(counts.level_takes > 0 && counts.inline_sends > 0 && counts.posts > 0);
    assert_int_equal(counts.inline_sends + counts.ring_sends, sent);
    end();
}

static void test_inline_or_ring(void **state)
{
    (void)state;
    begin(&fake_defaults);
    struct rs_addr to;
    struct fake_counts counts;
    uint8_t data[41] = {0};
    struct client_socket *socket = make_bound(&to);
    ok(send_flags(socket, data, 40, &to, 0));
    ok(client_ping(client));
    fake_count(fake, &counts);
    assert_int_equal(counts.inline_sends, 1);
    assert_int_equal(counts.ring_sends, 0);
    ok(send_flags(socket, data, 41, &to, 0));
    ok(client_ping(client));
    fake_count(fake, &counts);
    assert_int_equal(counts.inline_sends, 1);
    assert_int_equal(counts.ring_sends, 1);
    end();
}

/* ---- sizes on the wire
 * ----------------------------------------------------------------------------- */

static void test_mtu(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    config.mtu_bytes = 1500;
    config.ip_be32 = rs_be32(0x0a000001u);
    begin(&config);
    static const uint8_t data[1473];
    struct rs_addr local;
    struct client_socket *socket = make_bound(&local);
    struct rs_addr away = rs_addr_v4(rs_be32(0x0a000002u), local.port_be16);
    struct rs_addr own = rs_addr_v4(config.ip_be32, local.port_be16);
    ok(send_flags(socket, data, 1473, &away, 0)); /* as fragments */
    ok(client_set_option(socket, RS_OPT_DONT_FRAGMENT, 1));
    ok(send_flags(socket, data, 1472, &away, 0));
    assert_int_equal(send_flags(socket, data, 1473, &away, 0), RS_MESSAGE_SIZE);
    ok(send_flags(socket, data, 1473, &local, 0)); /* does not leave the host */
    ok(send_flags(socket, data, 1473, &own, 0));
    ok(client_set_option(socket, RS_OPT_DONT_FRAGMENT, 0));
    ok(send_flags(socket, data, 1473, &away, 0));
    end();
}

/* ---- errors and ends
 * --------------------------------------------------------------------------------- */

static void test_error_counts(void **state)
{
    (void)state;
    begin(&fake_defaults);
    struct rs_addr local;
    char byte;
    struct client_socket *socket = make_bound(&local);
    fake_error(fake, local.port_be16, RS_HOST_UNREACHABLE);
    fake_error(fake, local.port_be16, RS_PORT_UNREACHABLE);
    /* two before anybody looked: the newest is told, once */
    assert_int_equal(recv_flags(socket, &byte, 1, 0), RS_PORT_UNREACHABLE);
    assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT), RS_WOULD_BLOCK);
    fake_error(fake, local.port_be16, RS_HOST_UNREACHABLE);
    assert_int_equal(client_take_error(socket), RS_HOST_UNREACHABLE);
    assert_int_equal(client_take_error(socket), RS_OK);
    end();
}

static void test_poison(void **state)
{
    (void)state;
    begin(&fake_defaults);
    struct rs_addr local;
    char byte = 0;
    struct client_socket *socket = make_bound(&local);
    fake_poison(fake, RS_POISONED);
    assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT), RS_POISONED);
    assert_int_equal(recv_flags(socket, &byte, 1, 0), RS_POISONED);
    assert_int_equal(send_flags(socket, &byte, 1, &local, 0), RS_POISONED);
    assert_int_equal(client_ping(client), RS_POISONED);
    assert_false(client_alive(client));
    uint32_t count;
    struct client_poll item = {.socket = socket, .want = RS_LEVEL_READABLE};
    assert_int_equal(client_poll(client, &item, 1, 0, &count), RS_POISONED);
    ok(client_socket_close(socket));
    end();
}

/* A dataplane whose heart stands still but whose process lives is waited for: the OS decides. */
static void test_stalled_is_not_dead(void **state)
{
    (void)state;
    begin(&fake_defaults);
    struct rs_addr local;
    char byte = 0;
    struct client_socket *socket = make_bound(&local);
    ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 80)); /* four times the stale limit */
    fake_stall(fake);
    assert_int_equal(recv_flags(socket, &byte, 1, 0), RS_TIMED_OUT);
    assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT), RS_WOULD_BLOCK);
    assert_true(client_alive(client));
    fake_resume(fake);
    ok(client_ping(client));
    end();
}

static void test_corrupt_descriptor(void **state)
{
    (void)state;
    begin(&fake_defaults);
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(0, 0);
    struct fake_counts counts;
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    fake_corrupt_desc(fake);
    assert_int_equal(client_bind(socket, &any), RS_CORRUPT);
    fake_count(fake, &counts);
    assert_int_equal(counts.sockets_open, 0); /* given back */
    struct rs_addr local;
    assert_int_equal(client_local_addr(socket, &local), RS_INVALID);
    end();
}

/* ---- channels refused
 * -------------------------------------------------------------------------------- */

static void visitor_run(void *arg)
{
    (void)arg;
    struct rs_addr local;
    uint32_t in = 0, out = 77;
    struct client_socket *socket = make_bound(&local);
    CHECK(send_flags(socket, &out, sizeof(out), &local, 0) == RS_OK);
    CHECK(recv_flags(socket, &in, sizeof(in), 0) == RS_OK && in == out);
    CHECK(client_socket_close(socket) == RS_OK);
}

static void test_channels_refused(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    config.channels_refused = 1;
    config.limit_channels = 1; /* so the first one is common already */
    begin(&config);
    ok(client_ping(client));
    struct os_thread threads[3];
    for (int i = 0; i < 3; i++) {
        ok(os_thread_start(&threads[i], visitor_run, NULL, "visitor"));
    }
    for (int i = 0; i < 3; i++) {
        os_thread_join(&threads[i]);
    }
    struct fake_counts counts;
    fake_count(fake, &counts);
    assert_int_equal(counts.channels_open, 1);
    end();
}

static void test_no_channel_at_all(void **state)
{
    (void)state;
    begin(&fake_defaults);
    fake_die(fake);
    assert_int_equal(client_ping(client), RS_DATAPLANE_GONE);
    assert_string_not_equal(client_last_error_text(), "");
    end();
}

/* ---- hints for what is over
 * ---------------------------------------------------------------------------- */

enum { PONG_ROUNDS = 3000 };

struct pong {
    struct client_socket *socket;
    struct rs_addr to;
};

static void pong_run(void *arg)
{
    struct pong *pong = arg;
    for (uint32_t i = 0; i < PONG_ROUNDS; i++) {
        uint32_t in;
        CHECK(recv_flags(pong->socket, &in, sizeof(in), 0) == RS_OK && in == i);
        CHECK(send_flags(pong->socket, &in, sizeof(in), &pong->to, 0) == RS_OK);
    }
}

/* Arms, and gives the dataplane time to answer the arming before the sleep is announced. */
static void late_arm(void *context, uint32_t channel_idx)
{
    struct fake_counts before, now;
    client_socket_arm(context, RS_LEVEL_READABLE, channel_idx);
    fake_count(fake, &before);
    do {
        os_yield();
        fake_count(fake, &now);
    } while (now.iterations < before.iterations + 6);
}

static bool never_ready(void *context)
{
    (void)context;
    return false;
}

/* Who sleeps on an arming that is used up is woken by nobody: a sleep that finds a hint must end at
 * once. */
static void used_up_arming(uint32_t limit_channels)
{
    struct fake_config config = fake_defaults;
    config.stale_events = true;
    config.limit_channels = limit_channels;
    begin(&config);
    struct rs_addr local;
    struct client_socket *socket = make_bound(&local);
    enum rs_status status = RS_OK;
    struct client_channel *channel = client_channel_get(client, 0, &status);
    assert_non_null(channel);
    const struct client_condition condition = {
        .ready = never_ready, .arm = late_arm, .context = socket};
    ok(client_channel_sleep(channel, &condition, 300000000));
    client_socket_disarm(socket, channel->idx);
    end();
}

static void test_used_up_arming(void **state)
{
    (void)state;
    used_up_arming(8);
}

static void test_used_up_arming_common(void **state)
{
    (void)state;
    used_up_arming(1);
}

/* An arming that is answered before its thread sleeps, by a hint for nothing: the thread must not
 * sleep on it, or the next datagram wakes nobody. A lost wake-up ends in the time-out of the
 * receive. */
static void stale_hints(uint32_t limit_channels)
{
    struct fake_config config = fake_defaults;
    config.spin_us = 0;
    config.stale_events = true;
    config.limit_channels = limit_channels;
    begin(&config);
    struct rs_addr here, there;
    struct client_socket *socket = make_bound(&here);
    struct pong pong = {.socket = make_bound(&there), .to = here};
    struct os_thread thread;
    ok(os_thread_start(&thread, pong_run, &pong, "pong"));
    ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 10000));
    for (uint32_t i = 0; i < PONG_ROUNDS; i++) {
        uint32_t in = UINT32_MAX;
        ok(send_flags(socket, &i, sizeof(i), &there, 0));
        ok(recv_flags(socket, &in, sizeof(in), 0));
        assert_int_equal(in, i);
    }
    os_thread_join(&thread);
    end();
}

static void test_stale_hints(void **state)
{
    (void)state;
    stale_hints(8);
}

static void test_stale_hints_common(void **state)
{
    (void)state;
    stale_hints(1);
}

/* ---- a socket that moves between threads
 * -------------------------------------------------------- */

struct mover {
    struct client_socket *socket;
    struct rs_addr to;
    uint8_t data;
    _Atomic uint32_t sent;
};

static void mover_run(void *arg)
{
    struct mover *mover = arg;
    CHECK(send_flags(mover->socket, &mover->data, 1, &mover->to, 0) == RS_OK);
    atomic_store(&mover->sent, 1);
}

/* A thread posts and ends, and the close of its channel is refused: its post may still wait, so the
 * socket may not post elsewhere before it. */
static void test_move_after_refused_close(void **state)
{
    (void)state;
    begin(&fake_defaults);
    struct rs_addr to, local;
    struct client_socket *server = make_bound(&to);
    struct mover first = {.socket = make_bound(&local), .to = to, .data = 1};
    struct mover second = {.socket = first.socket, .to = to, .data = 2};
    struct os_thread thread;
    fake_refuse_close(fake);
    fake_pause(fake);
    ok(os_thread_start(&thread, mover_run, &first, "first"));
    os_thread_join(&thread);
    ok(os_thread_start(&thread, mover_run, &second, "second"));
    /* Time enough to do wrong: the send must not return while the first one's post waits. */
    for (uint32_t i = 0; i < 5000 && atomic_load(&second.sent) == 0; i++) {
        os_yield();
    }
    assert_int_equal(atomic_load(&second.sent), 0);
    fake_resume(fake);
    os_thread_join(&thread);
    for (uint8_t i = 1; i <= 2; i++) {
        uint8_t in = 0;
        ok(recv_flags(server, &in, 1, 0));
        assert_int_equal(in, i);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_ring_full),
        cmocka_unit_test(test_writable_means_it_fits),
        cmocka_unit_test(test_shutdown_while_sending),
        cmocka_unit_test(test_pressure),
        cmocka_unit_test(test_inline_or_ring),
        cmocka_unit_test(test_mtu),
        cmocka_unit_test(test_error_counts),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_stalled_is_not_dead),
        cmocka_unit_test(test_corrupt_descriptor),
        cmocka_unit_test(test_channels_refused),
        cmocka_unit_test(test_no_channel_at_all),
        cmocka_unit_test(test_used_up_arming),
        cmocka_unit_test(test_used_up_arming_common),
        cmocka_unit_test(test_stale_hints),
        cmocka_unit_test(test_stale_hints_common),
        cmocka_unit_test(test_move_after_refused_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
