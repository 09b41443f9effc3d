/*
 * Spin policies (provider/client/spin.c): what socket, thread and session say, and which counts.
 * Sleeps and yields are counted by wrappers of os_event_wait and os_yield, each in its own thread;
 * no time is measured. See client_cases.h. Threads check with CHECK: cmocka's asserts are for the
 * main thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "provider/client/client_internal.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"

#define LOCALHOST rs_be32(0x7f000001u)
#define SOON_NS   10000000000ull /* bound for what must come, on a loaded machine */
#define FOREVER   ((int64_t)RS_SPIN_FOREVER)

enum { SHORT_MS = 3, PING_ROUNDS = 500, SOON_MS = 10000 };

static struct client *client;

/* ---- counting ---- */

static _Thread_local uint32_t sleeps, yields;
static _Atomic uint32_t all_sleeps; /* of threads that wait in accepting_run */
static _Thread_local bool counts_for_all;

/* NOLINTBEGIN(bugprone-reserved-identifier) */
/* The linker's names (--wrap). */
enum rs_status __real_os_event_wait(struct os_event *event, const struct os_process *peer,
                                    uint64_t timeout_ns);
enum rs_status __wrap_os_event_wait(struct os_event *event, const struct os_process *peer,
                                    uint64_t timeout_ns);
void __real_os_yield(void);
void __wrap_os_yield(void);

enum rs_status __wrap_os_event_wait(struct os_event *event, const struct os_process *peer,
                                    uint64_t timeout_ns)
{
    sleeps++;
    if (counts_for_all) {
        atomic_fetch_add(&all_sleeps, 1);
    }
    return __real_os_event_wait(event, peer, timeout_ns);
}

void __wrap_os_yield(void)
{
    yields++;
    __real_os_yield();
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- the rig ---- */

static void begin(uint32_t spin_us)
{
    struct rig_spec spec = rig_defaults;
    spec.spin_us = spin_us;
    rig_start(&spec);
    client = rig_attach();
}

static int end(void **state)
{
    (void)state;
    const struct client_spin nothing = {.spin_us = -1, .yield_in_spin = -1};
    CHECK(client_thread_set_spin(&nothing) == RS_OK);
    client_close(client);
    rig_stop();
    return 0;
}

static struct client_socket *make(enum rs_socket_type type)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, type, &socket) == RS_OK);
    return socket;
}

static struct client_socket *make_bound(enum rs_socket_type type, struct rs_addr *local)
{
    struct client_socket *socket = make(type);
    struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, local) == RS_OK);
    return socket;
}

static enum rs_status recv_word(struct client_socket *socket, uint32_t *word)
{
    struct client_iov iov = {.base = word, .len_bytes = sizeof(*word)};
    size_t got;
    return client_recv(socket, &iov, 1, 0, NULL, &got);
}

static void send_word(struct client_socket *socket, uint32_t word, const struct rs_addr *to)
{
    struct client_iov iov = {.base = &word, .len_bytes = sizeof(word)};
    size_t sent;
    CHECK(client_send(socket, &iov, 1, 0, to, &sent) == RS_OK);
}

static void socket_says(struct client_socket *socket, int64_t spin_us, int yield)
{
    const struct client_spin spin = {.spin_us = spin_us, .yield_in_spin = yield};
    assert_int_equal(client_socket_set_spin(socket, &spin), RS_OK);
}

static void thread_says(int64_t spin_us, int yield)
{
    const struct client_spin spin = {.spin_us = spin_us, .yield_in_spin = yield};
    assert_int_equal(client_thread_set_spin(&spin), RS_OK);
}

/* A receive that waits in vain. */
static void wait_short(struct client_socket *socket)
{
    uint32_t word;
    CHECK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, SHORT_MS) == RS_OK);
    sleeps = yields = 0;
    CHECK(recv_word(socket, &word) == RS_TIMED_OUT);
}

static bool receive_sleeps(struct client_socket *socket)
{
    wait_short(socket);
    return sleeps != 0;
}

static bool receive_yields(struct client_socket *socket)
{
    wait_short(socket);
    assert_int_equal(sleeps, 0);
    return yields != 0;
}

static bool poll_sleeps(struct client_socket *socket)
{
    struct client_poll item = {.socket = socket, .want = RS_LEVEL_READABLE};
    uint32_t ready;
    sleeps = 0;
    CHECK(client_poll(client, &item, 1, SHORT_MS * 1000000ull, &ready) == RS_OK && ready == 0);
    return sleeps != 0;
}

/* ---- which policy counts ---- */

static void test_session_spins(void **state)
{
    (void)state;
    struct rs_addr local;
    begin(RS_SPIN_FOREVER);
    struct client_socket *socket = make_bound(RS_SOCK_DGRAM, &local);
    assert_false(receive_sleeps(socket));
    thread_says(0, -1);
    assert_true(receive_sleeps(socket));
    socket_says(socket, FOREVER, -1);
    assert_false(receive_sleeps(socket));
    socket_says(socket, -1, 1); /* of the time it says nothing */
    assert_true(receive_sleeps(socket));
    thread_says(-1, -1);
    assert_false(receive_sleeps(socket));
    socket_says(socket, 1, -1);
    assert_true(receive_sleeps(socket));
}

static void test_session_sleeps(void **state)
{
    (void)state;
    struct rs_addr local;
    begin(0);
    struct client_socket *socket = make_bound(RS_SOCK_DGRAM, &local);
    assert_true(receive_sleeps(socket));
    thread_says(FOREVER, -1);
    assert_false(receive_sleeps(socket));
    socket_says(socket, 0, -1);
    assert_true(receive_sleeps(socket));
    thread_says(-1, -1);
    socket_says(socket, CLIENT_SPIN_MOST_US, -1); /* longer than the wait */
    assert_false(receive_sleeps(socket));
}

static void test_yield(void **state)
{
    (void)state;
    struct rs_addr local;
    begin(RS_SPIN_FOREVER);
    struct client_socket *socket = make_bound(RS_SOCK_DGRAM, &local);
    bool usual = receive_yields(socket); /* the rig's */
    thread_says(-1, 0);
    assert_false(receive_yields(socket));
    socket_says(socket, -1, 1);
    assert_true(receive_yields(socket));
    thread_says(-1, 1);
    socket_says(socket, FOREVER, 0);
    assert_false(receive_yields(socket));
    socket_says(socket, FOREVER, -1);
    assert_true(receive_yields(socket));
    thread_says(-1, -1);
    assert_int_equal(receive_yields(socket), usual);
}

/* Polls wait for many, so no socket's policy counts. */
static void test_poll(void **state)
{
    (void)state;
    struct rs_addr local;
    begin(RS_SPIN_FOREVER);
    struct client_socket *socket = make_bound(RS_SOCK_DGRAM, &local);
    socket_says(socket, 0, -1);
    assert_false(poll_sleeps(socket));
    thread_says(0, -1);
    socket_says(socket, FOREVER, -1);
    assert_true(poll_sleeps(socket));
}

static void other_thread_run(void *arg)
{
    const struct client_spin spin = client_thread_get_spin();
    CHECK(spin.spin_us == -1 && spin.yield_in_spin == -1);
    wait_short(arg);
    CHECK(sleeps == 0);
}

static void test_other_thread(void **state)
{
    (void)state;
    struct rs_addr local;
    struct os_thread thread;
    begin(RS_SPIN_FOREVER);
    struct client_socket *socket = make_bound(RS_SOCK_DGRAM, &local);
    thread_says(0, 0);
    CHECK(os_thread_start(&thread, other_thread_run, socket, "other") == RS_OK);
    os_thread_join(&thread);
}

/* ---- what is kept ---- */

static void socket_has(struct client_socket *socket, int64_t spin_us, int yield)
{
    const struct client_spin spin = client_socket_get_spin(socket);
    assert_int_equal(spin.spin_us, spin_us);
    assert_int_equal(spin.yield_in_spin, yield);
}

static void test_values(void **state)
{
    (void)state;
    static const int64_t times[] = {-1, 0, 1, 77, CLIENT_SPIN_MOST_US, FOREVER};
    static const struct client_spin bad[] = {{.spin_us = CLIENT_SPIN_MOST_US + 1},
                                             {.spin_us = FOREVER - 1},
                                             {.spin_us = FOREVER + 1},
                                             {.yield_in_spin = 2}};
    begin(0);
    struct client_socket *socket = make(RS_SOCK_DGRAM);
    socket_has(socket, -1, -1);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        for (int yield = -1; yield <= 1; yield++) {
            socket_says(socket, times[i], yield);
            thread_says(times[i], yield);
            socket_has(socket, times[i], yield);
            assert_int_equal(client_thread_get_spin().spin_us, times[i]);
            assert_int_equal(client_thread_get_spin().yield_in_spin, yield);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(client_socket_set_spin(socket, &bad[i]), RS_INVALID);
        assert_int_equal(client_thread_set_spin(&bad[i]), RS_INVALID);
        socket_has(socket, FOREVER, 1);
        assert_int_equal(client_thread_get_spin().spin_us, FOREVER);
    }
}

/* No wait of a test could tell for ever from long. */
static void test_forever(void **state)
{
    (void)state;
    begin(0);
    struct client_socket *socket = make(RS_SOCK_DGRAM);
    assert_int_equal(client_spinning_of(client, socket).ticks, 0);
    socket_says(socket, FOREVER, -1);
    assert_true(client_spinning_of(client, socket).ticks == UINT64_MAX);
    socket_says(socket, CLIENT_SPIN_MOST_US, -1);
    double spin_us = (double)client_spinning_of(client, socket).ticks * client->ns_per_tick / 1e3;
    assert_true(spin_us > CLIENT_SPIN_MOST_US - 1 && spin_us < CLIENT_SPIN_MOST_US + 1);
}

/* A socket's next life knows nothing of the one before. */
static void test_next_life(void **state)
{
    (void)state;
    begin(0);
    for (int i = 0; i < 3; i++) {
        struct client_socket *socket = make(RS_SOCK_STREAM);
        socket_has(socket, -1, -1);
        socket_says(socket, 5, 1);
        assert_int_equal(client_socket_close(socket), RS_OK);
    }
}

struct accepting {
    struct client_socket *listener, *accepted;
    _Atomic bool done;
};

static void accepting_run(void *arg)
{
    struct accepting *accepting = arg;
    counts_for_all = true;
    CHECK(client_accept(accepting->listener, &accepting->accepted, NULL) == RS_OK);
    atomic_store(&accepting->done, true);
}

static bool slept(const struct accepting *accepting)
{
    (void)accepting;
    return atomic_load(&all_sleeps) != 0;
}

static bool accepted(const struct accepting *accepting)
{
    return atomic_load(&accepting->done);
}

static void await(bool (*happened)(const struct accepting *accepting),
                  const struct accepting *accepting, const char *what)
{
    uint64_t end_ns = os_monotonic_ns() + SOON_NS;
    while (!happened(accepting)) {
        if (os_monotonic_ns() > end_ns) {
            fprintf(stderr, "the accept %s within 10 s\n", what);
            abort(); /* its thread is still in there */
        }
        os_yield();
    }
}

/* An accept goes by its listener's policy, and what it gives has that, too. */
static void test_accept(void **state)
{
    (void)state;
    struct rs_addr local;
    struct os_thread thread;
    begin(RS_SPIN_FOREVER);
    struct accepting accepting = {.listener = make_bound(RS_SOCK_STREAM, &local)};
    struct client_socket *peer = make(RS_SOCK_STREAM);
    socket_says(accepting.listener, 0, 1);
    assert_int_equal(client_listen(accepting.listener, 4), RS_OK);
    atomic_store(&all_sleeps, 0);
    CHECK(os_thread_start(&thread, accepting_run, &accepting, "accept") == RS_OK);
    await(slept, &accepting, "did not sleep");
    assert_int_equal(client_connect(peer, &local), RS_OK);
    await(accepted, &accepting, "was not woken");
    os_thread_join(&thread);
    socket_has(accepting.accepted, 0, 1);
    socket_has(peer, -1, -1);
    assert_true(receive_sleeps(accepting.accepted));
    assert_false(receive_sleeps(peer));
    socket_says(accepting.listener, 9, 0);
    socket_has(accepting.accepted, 0, 1);
}

/* Sends until there is no room. */
static void test_stream_send(void **state)
{
    (void)state;
    static uint8_t bytes[1u << 16];
    struct rs_addr local;
    struct client_socket *accepted;
    begin(RS_SPIN_FOREVER);
    struct client_socket *listener = make_bound(RS_SOCK_STREAM, &local);
    struct client_socket *peer = make(RS_SOCK_STREAM);
    assert_int_equal(client_listen(listener, 4), RS_OK);
    assert_int_equal(client_connect(peer, &local), RS_OK);
    assert_int_equal(client_accept(listener, &accepted, NULL), RS_OK);
    socket_says(peer, 0, -1);
    CHECK(client_set_option(peer, CLIENT_OPT_SEND_TIMEOUT_MS, 100) == RS_OK);
    struct client_iov iov = {.base = bytes, .len_bytes = sizeof(bytes)};
    size_t sent;
    enum rs_status status = RS_OK;
    sleeps = 0;
    for (int i = 0; i < 1000 && status == RS_OK; i++) {
        status = client_send(peer, &iov, 1, 0, NULL, &sent);
    }
    assert_int_equal(status, RS_TIMED_OUT);
    assert_true(sleeps != 0);
}

/* ---- nothing is lost ---- */

struct ping {
    struct client_socket *socket;
    struct rs_addr to;
};

static void ping_run(void *arg)
{
    struct ping *ping = arg;
    const struct client_spin sleepy = {.spin_us = 0, .yield_in_spin = -1};
    CHECK(client_thread_set_spin(&sleepy) == RS_OK);
    CHECK(client_set_option(ping->socket, CLIENT_OPT_RECV_TIMEOUT_MS, SOON_MS) == RS_OK);
    for (uint32_t i = 0; i < PING_ROUNDS; i++) {
        uint32_t word;
        CHECK(recv_word(ping->socket, &word) == RS_OK && word == i);
        send_word(ping->socket, word, &ping->to);
    }
}

/* The session said at its attach that it never sleeps: threads that do are woken all the same. A
 * wake-up that is lost ends in the time-out of a receive. */
static void test_woken(void **state)
{
    (void)state;
    struct rs_addr here;
    struct os_thread thread;
    struct ping ping;
    begin(RS_SPIN_FOREVER);
    struct client_socket *socket = make_bound(RS_SOCK_DGRAM, &here);
    struct rs_addr there;
    ping = (struct ping){.socket = make_bound(RS_SOCK_DGRAM, &there), .to = here};
    CHECK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, SOON_MS) == RS_OK);
    socket_says(socket, 0, -1);
    CHECK(os_thread_start(&thread, ping_run, &ping, "ping") == RS_OK);
    sleeps = 0;
    for (uint32_t i = 0; i < PING_ROUNDS; i++) {
        uint32_t word = UINT32_MAX;
        send_word(socket, i, &there);
        CHECK(recv_word(socket, &word) == RS_OK);
        assert_int_equal(word, i);
    }
    os_thread_join(&thread);
    assert_true(sleeps != 0);
}

int client_cases_spin(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_session_spins, end),
        cmocka_unit_test_teardown(test_session_sleeps, end),
        cmocka_unit_test_teardown(test_yield, end),
        cmocka_unit_test_teardown(test_poll, end),
        cmocka_unit_test_teardown(test_other_thread, end),
        cmocka_unit_test_teardown(test_values, end),
        cmocka_unit_test_teardown(test_forever, end),
        cmocka_unit_test_teardown(test_next_life, end),
        cmocka_unit_test_teardown(test_woken, end),
        cmocka_unit_test_teardown(test_accept, end),
        cmocka_unit_test_teardown(test_stream_send, end),
    };
    return cmocka_run_group_tests_name("client spin policies", tests, NULL, NULL);
}
