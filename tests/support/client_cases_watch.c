/* The watch, on whatever dataplane is linked: each event reported, none lost. See client_cases.h.
 * Threads check with CHECK: cmocka's asserts are for the main thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"

#define LOCALHOST rs_be32(0x7f000001u)
#define SOON_NS   10000000000ull /* bound for what must come, on a loaded machine */
#define QUIET_NS  30000000ull    /* how long nothing is waited for */

enum { CROWD_SOCKETS = 600 }; /* more than a hint ring has slots */

static struct client *client;
static struct client_watch *watch;

static void begin(uint32_t spin_us, uint32_t sockets)
{
    struct rig_spec spec = rig_defaults;
    spec.spin_us = spin_us;
    spec.limit_sockets = sockets;
    spec.recv_ring_bytes = spec.send_ring_bytes = 1u << 12;
    rig_start(&spec);
    client = rig_attach();
    CHECK(client_watch_open(client, &watch) == RS_OK);
}

static void end(void)
{
    client_close(client); /* with the watch */
    rig_stop();
}

static struct client_socket *make(enum rs_socket_type type)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, type, &socket) == RS_OK);
    return socket;
}

static struct client_socket *make_bound(struct rs_addr *local)
{
    struct client_socket *socket = make(RS_SOCK_DGRAM);
    struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, local) == RS_OK);
    return socket;
}

static void send_word(struct client_socket *socket, uint32_t word, const struct rs_addr *to)
{
    struct client_iov iov = {.base = &word, .len_bytes = sizeof(word)};
    size_t sent;
    enum rs_status status;
    while ((status = client_send(socket, &iov, 1, 0, to, &sent)) == RS_WOULD_BLOCK) {
        os_yield();
    }
    CHECK(status == RS_OK);
}

static enum rs_status recv_word(struct client_socket *socket, uint32_t *word)
{
    struct client_iov iov = {.base = word, .len_bytes = sizeof(*word)};
    size_t got;
    return client_recv(socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &got);
}

/* Waits until this socket is reported and ready; others may be reported before. */
static void expect_report(struct client_socket *socket, uint32_t want)
{
    uint64_t until_ns = os_monotonic_ns() + SOON_NS;
    while (os_monotonic_ns() < until_ns) {
        struct client_socket *got = NULL;
        uint32_t count = 0;
        enum rs_status status = client_watch_wait(watch, &got, 1, SOON_NS, &count);
        CHECK(status == RS_OK || status == RS_TIMED_OUT);
        if (count == 1) {
            client_socket_unref(got);
            if (got == socket && client_socket_ready(socket, want) != 0) {
                return;
            }
        }
        if (client_watch_arm(watch, socket, want)) {
            return;
        }
    }
    printf("no report of %x within 10 s\n", want);
    CHECK(false);
}

static void expect_quiet(void)
{
    struct client_socket *got = NULL;
    uint32_t count = 7;
    assert_int_equal(client_watch_wait(watch, &got, 1, QUIET_NS, &count), RS_TIMED_OUT);
    assert_int_equal(count, 0);
}

static uint32_t drain(struct client_socket **sockets, uint32_t max, enum rs_status wanted)
{
    uint32_t total = 0, count = 0;
    while (client_watch_wait(watch, sockets + total, max - total, 0, &count) == wanted &&
           count != 0) {
        total += count;
    }
    return total;
}

/* ---- one socket ---- */

static void test_report(void **state)
{
    (void)state;
    struct rs_addr to, from;
    begin(50, 32);
    struct client_socket *receiver = make_bound(&to), *sender = make_bound(&from);
    struct client_socket *got = NULL;
    uint32_t count = 0, word = 0;
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_READABLE));
    expect_quiet();
    send_word(sender, 7, &to);
    assert_int_equal(client_watch_wait(watch, &got, 1, SOON_NS, &count), RS_OK);
    assert_int_equal(count, 1);
    assert_ptr_equal(got, receiver);
    client_socket_unref(got);
    assert_int_equal(client_socket_ready(receiver, RS_LEVEL_READABLE), RS_LEVEL_READABLE);
    /* One report for one arming. */
    send_word(sender, 8, &to);
    expect_quiet();
    /* True already: said by the arming. */
    assert_true(client_watch_arm(watch, receiver, RS_LEVEL_READABLE));
    assert_int_equal(recv_word(receiver, &word), RS_OK);
    assert_int_equal(word, 7);
    end();
}

static void test_second_watch(void **state)
{
    (void)state;
    struct client_watch *second = NULL;
    begin(50, 32);
    assert_int_equal(client_watch_open(client, &second), RS_ALREADY);
    client_watch_close(client);
    client_watch_close(client); /* who comes second closes nothing */
    assert_int_equal(client_watch_open(client, &second), RS_OK);
    end();
}

static void test_joined(void **state)
{
    (void)state;
    struct rs_addr to, from;
    begin(0, 32);
    struct client_socket *receiver = make_bound(&to), *sender = make_bound(&from);
    /* ERROR is armed last; what was armed before it still counts. */
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_READABLE));
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_ERROR));
    send_word(sender, 1, &to);
    struct client_socket *got = NULL;
    uint32_t count = 0;
    assert_int_equal(client_watch_wait(watch, &got, 1, SOON_NS, &count), RS_OK);
    assert_int_equal(count, 1);
    assert_ptr_equal(got, receiver);
    client_socket_unref(got);
    end();
}

/* An arming of the last report does not report for what it was for. */
static void test_replaced(void **state)
{
    (void)state;
    struct rs_addr to, from;
    uint32_t word;
    begin(0, 32);
    struct client_socket *receiver = make_bound(&to), *sender = make_bound(&from);
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_READABLE));
    send_word(sender, 1, &to);
    expect_report(receiver, RS_LEVEL_READABLE);
    assert_int_equal(recv_word(receiver, &word), RS_OK);
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_ERROR));
    struct client_socket *got[4];
    (void)drain(got, 4, RS_OK); /* one more of READABLE may have been under way */
    send_word(sender, 1, &to);
    expect_quiet();
    end();
}

static void test_armed_undecided(void **state)
{
    (void)state;
    struct rs_addr from, to;
    begin(50, 32);
    struct client_socket *sender = make_bound(&from), *receiver = make(RS_SOCK_DGRAM);
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_READABLE));
    expect_quiet();
    to = rs_addr_v4(LOCALHOST, 0);
    assert_int_equal(client_bind(receiver, &to), RS_OK);
    assert_int_equal(client_local_addr(receiver, &to), RS_OK);
    expect_quiet();
    send_word(sender, 3, &to);
    expect_report(receiver, RS_LEVEL_READABLE);
    end();
}

static void test_shutdown(void **state)
{
    (void)state;
    struct rs_addr local;
    begin(50, 32);
    struct client_socket *receiver = make_bound(&local);
    assert_false(client_watch_arm(watch, receiver, RS_LEVEL_READABLE));
    assert_int_equal(client_shutdown(receiver, CLIENT_SHUT_RECV), RS_OK);
    expect_report(receiver, RS_LEVEL_READABLE);
    end();
}

static void test_close(void **state)
{
    (void)state;
    struct rs_addr local;
    begin(50, 32);
    struct client_socket *kept = make_bound(&local), *undecided = make(RS_SOCK_STREAM);
    client_socket_ref(kept);
    assert_false(client_watch_arm(watch, kept, RS_LEVEL_READABLE));
    assert_false(client_watch_arm(watch, undecided, RS_LEVEL_READABLE));
    assert_int_equal(client_socket_close(kept), RS_OK);
    expect_report(kept, RS_LEVEL_READABLE);
    /* Armed when it is closed already. */
    assert_true(client_watch_arm(watch, kept, RS_LEVEL_WRITABLE));
    client_socket_unref(kept);
    assert_int_equal(client_socket_close(undecided), RS_OK);
    struct client_socket *got = NULL;
    uint32_t count = 0;
    assert_int_equal(client_watch_wait(watch, &got, 1, SOON_NS, &count), RS_OK);
    assert_int_equal(count, 1);
    assert_ptr_equal(got, undecided);
    client_socket_unref(got);
    end();
}

static void test_stream(void **state)
{
    (void)state;
    struct rs_addr at = rs_addr_v4(LOCALHOST, 0);
    begin(50, 32);
    struct client_socket *listener = make(RS_SOCK_STREAM), *end_a = make(RS_SOCK_STREAM);
    struct client_socket *end_b = NULL;
    uint32_t word = 0;
    size_t sent;
    assert_int_equal(client_bind(listener, &at), RS_OK);
    /* Armed before it listens, and before it has an address. */
    assert_false(client_watch_arm(watch, listener, RS_LEVEL_READABLE));
    assert_false(client_watch_arm(watch, end_a, RS_LEVEL_WRITABLE | CLIENT_POLL_FAILED));
    assert_int_equal(client_listen(listener, 4), RS_OK);
    assert_int_equal(client_local_addr(listener, &at), RS_OK);
    assert_int_equal(client_set_option(end_a, CLIENT_OPT_NONBLOCKING, 1), RS_OK);
    assert_int_equal(client_set_option(listener, CLIENT_OPT_NONBLOCKING, 1), RS_OK);
    assert_int_equal(client_connect(end_a, &at), RS_WOULD_BLOCK);
    expect_report(end_a, RS_LEVEL_WRITABLE);
    expect_report(listener, RS_LEVEL_READABLE);
    assert_int_equal(client_accept(listener, &end_b, NULL), RS_OK);
    assert_false(client_watch_arm(watch, end_b, RS_LEVEL_READABLE));
    struct client_iov iov = {.base = &word, .len_bytes = sizeof(word)};
    assert_int_equal(client_send(end_a, &iov, 1, 0, NULL, &sent), RS_OK);
    expect_report(end_b, RS_LEVEL_READABLE);
    assert_int_equal(recv_word(end_b, &word), RS_OK);
    assert_false(client_watch_arm(watch, end_b, RS_LEVEL_END));
    assert_int_equal(client_shutdown(end_a, CLIENT_SHUT_SEND), RS_OK);
    expect_report(end_b, RS_LEVEL_END);
    end();
}

/* ---- many sockets ---- */

static struct client_socket *crowd[CROWD_SOCKETS];
static struct rs_addr crowd_at[CROWD_SOCKETS];
static struct client_socket *reported[2 * CROWD_SOCKETS];

static void crowd_begin(uint32_t spin_us)
{
    begin(spin_us, CROWD_SOCKETS + 8);
    for (uint32_t i = 0; i < CROWD_SOCKETS; i++) {
        crowd[i] = make_bound(&crowd_at[i]);
        assert_false(client_watch_arm(watch, crowd[i], RS_LEVEL_READABLE));
    }
}

/* More events than a hint ring has slots, before anybody looks. */
static void test_lost_hints(void **state)
{
    (void)state;
    struct rs_addr from;
    crowd_begin(0);
    struct client_socket *sender = make_bound(&from);
    for (uint32_t i = 0; i < CROWD_SOCKETS; i++) {
        send_word(sender, i, &crowd_at[i]);
    }
    CHECK(client_ping(client) == RS_OK);
    uint32_t found = 0;
    uint64_t until_ns = os_monotonic_ns() + SOON_NS;
    while (found < CROWD_SOCKETS && os_monotonic_ns() < until_ns) {
        uint32_t count = 0;
        (void)!client_watch_wait(watch, reported, CROWD_SOCKETS, SOON_NS, &count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t word;
            while (recv_word(reported[i], &word) == RS_OK) {
                assert_ptr_equal(crowd[word], reported[i]);
                found++;
            }
            client_socket_unref(reported[i]);
        }
    }
    assert_int_equal(found, CROWD_SOCKETS);
    end();
}

static void test_death(void **state)
{
    (void)state;
    crowd_begin(50);
    struct client_socket *undecided = make(RS_SOCK_DGRAM);
    assert_false(client_watch_arm(watch, undecided, RS_LEVEL_READABLE));
    rig_end_dataplane();
    uint32_t total = 0, count = 0;
    enum rs_status status = client_watch_wait(watch, reported, 100, SOON_NS, &count);
    assert_int_equal(status, RS_DATAPLANE_GONE);
    while (count != 0) {
        total += count;
        for (uint32_t i = 0; i < count; i++) {
            client_socket_unref(reported[i]);
        }
        assert_int_equal(client_watch_wait(watch, reported, 100, SOON_NS, &count), status);
    }
    assert_int_equal(total, CROWD_SOCKETS + 1);
    assert_true(client_watch_arm(watch, undecided, RS_LEVEL_READABLE));
    end();
}

/* ---- several threads ---- */

static void nudge_run(void *arg)
{
    (void)arg;
    client_watch_nudge(watch);
}

static void test_nudge(void **state)
{
    (void)state;
    struct os_thread thread;
    struct client_socket *got = NULL;
    uint32_t count = 7;
    begin(0, 32);
    CHECK(os_thread_start(&thread, nudge_run, NULL, "nudge") == RS_OK);
    assert_int_equal(client_watch_wait(watch, &got, 1, SOON_NS, &count), RS_OK);
    assert_int_equal(count, 0);
    os_thread_join(&thread);
    /* Before the wait: not lost. */
    client_watch_nudge(watch);
    assert_int_equal(client_watch_wait(watch, &got, 1, SOON_NS, &count), RS_OK);
    expect_quiet();
    end();
}

enum { PAIRS = 6, ROUNDS = 3000 };

static struct stress {
    struct client_socket *receiver;
    struct rs_addr at;
    _Atomic uint32_t taken;
} stress[PAIRS];

/* Never more than one datagram under way: each one finds its socket armed, or just being armed. */
static void stress_send(void *arg)
{
    struct stress *pair = arg;
    struct rs_addr from;
    struct client_socket *sender = make_bound(&from);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        send_word(sender, i, &pair->at);
        uint64_t until_ns = os_monotonic_ns() + SOON_NS;
        while (atomic_load_explicit(&pair->taken, memory_order_acquire) != i + 1) {
            os_yield();
            if (os_monotonic_ns() > until_ns) {
                printf("pair %u: datagram %u was not reported within 10 s\n",
                       (uint32_t)(pair - stress), i);
                CHECK(false);
            }
        }
    }
    CHECK(client_socket_close(sender) == RS_OK);
}

static void stress_look(struct stress *pair)
{
    do {
        uint32_t word;
        while (recv_word(pair->receiver, &word) == RS_OK) {
            CHECK(word == atomic_load_explicit(&pair->taken, memory_order_relaxed));
            atomic_store_explicit(&pair->taken, word + 1, memory_order_release);
        }
    } while (client_watch_arm(watch, pair->receiver, RS_LEVEL_READABLE));
}

static void run_stress(uint32_t spin_us)
{
    struct os_thread threads[PAIRS];
    begin(spin_us, 32);
    for (uint32_t i = 0; i < PAIRS; i++) {
        atomic_store(&stress[i].taken, 0);
        stress[i].receiver = make_bound(&stress[i].at);
        stress_look(&stress[i]);
        CHECK(os_thread_start(&threads[i], stress_send, &stress[i], "stress") == RS_OK);
    }
    for (bool left = true; left;) {
        struct client_socket *got[4];
        uint32_t count = 0;
        CHECK(client_watch_wait(watch, got, 4, SOON_NS, &count) == RS_OK);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; k < PAIRS; k++) {
                if (stress[k].receiver == got[i]) {
                    stress_look(&stress[k]);
                }
            }
            client_socket_unref(got[i]);
        }
        left = false;
        for (uint32_t k = 0; k < PAIRS; k++) {
            left |= atomic_load(&stress[k].taken) != ROUNDS;
        }
    }
    for (uint32_t i = 0; i < PAIRS; i++) {
        os_thread_join(&threads[i]);
    }
    end();
}

static void test_stress_sleeping(void **state)
{
    (void)state;
    run_stress(0);
}

static void test_stress_both(void **state)
{
    (void)state;
    run_stress(20);
}

/* The session said at its attach that it never sleeps, so without the watch nothing would be hinted
 * on. */
static void test_stress_spinning(void **state)
{
    (void)state;
    run_stress(RS_SPIN_FOREVER);
}

static _Atomic uint32_t
    churned; /* threads that are through: nudges may come together, or with reports */

/* Sockets are armed, bound and closed by other threads while the watch waits. */
static void churn_run(void *arg)
{
    const struct rs_addr *to = arg;
    for (uint32_t i = 0; i < 400; i++) {
        struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
        struct client_socket *socket = make(i % 3 == 0 ? RS_SOCK_STREAM : RS_SOCK_DGRAM);
        (void)client_watch_arm(watch, socket, RS_LEVEL_READABLE);
        CHECK(client_bind(socket, &any) == RS_OK);
        if (i % 3 != 0) {
            send_word(socket, i, to);
        }
        (void)client_watch_arm(watch, socket, RS_LEVEL_READABLE | RS_LEVEL_ERROR);
        CHECK(client_socket_close(socket) == RS_OK);
    }
    atomic_fetch_add(&churned, 1);
    client_watch_nudge(watch);
}

static void test_churn(void **state)
{
    (void)state;
    struct os_thread threads[3];
    struct rs_addr to;
    begin(0, 64);
    atomic_store(&churned, 0);
    struct client_socket *sink = make_bound(&to);
    CHECK(client_set_option(sink, RS_OPT_RCVBUF, 2048) == RS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(os_thread_start(&threads[i], churn_run, &to, "churn") == RS_OK);
    }
    while (atomic_load(&churned) != 3) {
        struct client_socket *got[8];
        uint32_t count = 0;
        CHECK(client_watch_wait(watch, got, 8, SOON_NS, &count) == RS_OK);
        for (uint32_t i = 0; i < count; i++) {
            (void)client_socket_ready(got[i], RS_LEVEL_READABLE); /* perhaps it closes meanwhile */
            client_socket_unref(got[i]);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        os_thread_join(&threads[i]);
    }
    end();
}

int client_cases_watch(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),          cmocka_unit_test(test_second_watch),
        cmocka_unit_test(test_joined),          cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_armed_undecided), cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_close),           cmocka_unit_test(test_stream),
        cmocka_unit_test(test_lost_hints),      cmocka_unit_test(test_death),
        cmocka_unit_test(test_nudge),           cmocka_unit_test(test_stress_sleeping),
        cmocka_unit_test(test_stress_both),     cmocka_unit_test(test_stress_spinning),
        cmocka_unit_test(test_churn),
    };
    return cmocka_run_group_tests_name("client_watch", tests, NULL, NULL);
}
