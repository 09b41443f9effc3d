/* Several threads on one attach. See client_cases.h. Threads check with CHECK: cmocka's asserts are
 * for the main thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"

#define LOCALHOST rs_be32(0x7f000001u)
#define GONE_NS   5000000000ull  /* bound for 'soon' on a loaded machine */
#define WAKE_NS   20000000000ull /* a call that is not woken waits twice as long */

static struct client *client;

static struct client_socket *make_bound(struct rs_addr *local)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, local) == RS_OK);
    return socket;
}

static enum rs_status send_to(struct client_socket *socket, void *data, size_t bytes,
                              const struct rs_addr *to)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    size_t sent;
    return client_send(socket, &iov, 1, 0, to, &sent);
}

static enum rs_status recv_from(struct client_socket *socket, void *data, size_t bytes,
                                struct rs_addr *from)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    struct client_recv_info info;
    size_t got;
    enum rs_status status = client_recv(socket, &iov, 1, 0, &info, &got);
    if (status == RS_OK && from != NULL) {
        *from = info.from;
    }
    return status;
}

static void begin(uint32_t spin_us, uint32_t limit_channels)
{
    struct rig_spec spec = rig_defaults;
    spec.spin_us = spin_us;
    spec.limit_channels = limit_channels;
    rig_start(&spec);
    client = rig_attach();
}

static void end(void)
{
    client_close(client);
    rig_stop();
}

/* ---- echo
 * ---------------------------------------------------------------------------------------- */

struct echo {
    struct client_socket *socket;
    struct rs_addr local;
    struct os_thread thread;
    uint32_t rounds;
};

static void echo_run(void *arg)
{
    struct echo *echo = arg;
    for (uint32_t i = 0; i < echo->rounds; i++) {
        uint8_t data[300];
        struct rs_addr from;
        CHECK(recv_from(echo->socket, data, sizeof(data), &from) == RS_OK);
        CHECK(send_to(echo->socket, data, i % 2 != 0 ? 300 : 20, &from) == RS_OK);
    }
}

struct asker {
    struct echo *echo;
    struct os_thread thread;
};

static void ask_run(void *arg)
{
    struct asker *asker = arg;
    struct rs_addr local;
    struct client_socket *socket = make_bound(&local);
    uint32_t out = 0, in = 0;
    uint8_t data[300] = {0};
    for (uint32_t i = 0; i < asker->echo->rounds; i++) {
        out = i;
        memcpy(data, &out, sizeof(out));
        CHECK(send_to(socket, data, sizeof(data), &asker->echo->local) == RS_OK);
        memset(data, 0, sizeof(data));
        CHECK(recv_from(socket, data, sizeof(data), NULL) == RS_OK);
        memcpy(&in, data, sizeof(in));
        CHECK(in == i);
    }
    CHECK(client_socket_close(socket) == RS_OK);
}

/* Pairs of threads, each waiting for the other: every wake-up counts, a lost one hangs. */
static void echo_pairs(uint32_t pairs, uint32_t rounds)
{
    struct echo echoes[8];
    struct asker askers[8];
    for (uint32_t i = 0; i < pairs; i++) {
        echoes[i] = (struct echo){.rounds = rounds};
        echoes[i].socket = make_bound(&echoes[i].local);
        askers[i] = (struct asker){.echo = &echoes[i]};
        CHECK(os_thread_start(&echoes[i].thread, echo_run, &echoes[i], "echo") == RS_OK);
        CHECK(os_thread_start(&askers[i].thread, ask_run, &askers[i], "ask") == RS_OK);
    }
    for (uint32_t i = 0; i < pairs; i++) {
        os_thread_join(&askers[i].thread);
        os_thread_join(&echoes[i].thread);
    }
}

static void test_echo_sleeping(void **state)
{
    (void)state;
    begin(0, 8);
    echo_pairs(1, 2000);
    end();
}

static void test_echo_spinning(void **state)
{
    (void)state;
    begin(RS_SPIN_FOREVER, 8);
    echo_pairs(1, 2000);
    end();
}

static void test_echo_shared_channels(void **state)
{
    (void)state;
    begin(0, 2); /* one private, one for all the others */
    echo_pairs(3, 600);
    end();
}

static void test_echo_one_channel(void **state)
{
    (void)state;
    begin(20, 1);
    echo_pairs(2, 600);
    end();
}

/* ---- many threads, one socket
 * ------------------------------------------------------------------------ */

enum { CROWD = 3, CROWD_SENDS = 4000, CROWD_WINDOW = 100 };

static struct {
    struct client_socket *socket;
    struct rs_addr local;
    _Atomic uint32_t sent, received;
    _Atomic uint8_t seen[CROWD][CROWD_SENDS];
} crowd;

static void crowd_send(void *arg)
{
    uint32_t who = (uint32_t)(uintptr_t)arg;
    for (uint32_t i = 0; i < CROWD_SENDS; i++) {
        while (atomic_load(&crowd.sent) - atomic_load(&crowd.received) > CROWD_WINDOW) {
            os_yield();
        }
        atomic_fetch_add(&crowd.sent, 1);
        uint32_t data[30] = {who, i};
        CHECK(send_to(crowd.socket, data, i % 3 == 0 ? sizeof(data) : 8, &crowd.local) == RS_OK);
    }
}

static void crowd_recv(void *arg)
{
    (void)arg;
    for (;;) {
        uint32_t data[30];
        enum rs_status status = recv_from(crowd.socket, data, sizeof(data), NULL);
        if (status == RS_INTERRUPTED || status == RS_NOT_SOCKET) {
            return;
        }
        CHECK(status == RS_OK && data[0] < CROWD && data[1] < CROWD_SENDS);
        CHECK(atomic_exchange(&crowd.seen[data[0]][data[1]], 1) == 0);
        atomic_fetch_add(&crowd.received, 1);
    }
}

static void test_crowd(void **state)
{
    (void)state;
    struct os_thread senders[CROWD], receivers[CROWD];
    begin(20, 8);
    atomic_store(&crowd.sent, 0);
    atomic_store(&crowd.received, 0);
    memset((void *)crowd.seen, 0, sizeof(crowd.seen));
    crowd.socket = make_bound(&crowd.local);
    for (uintptr_t i = 0; i < CROWD; i++) {
        CHECK(os_thread_start(&receivers[i], crowd_recv, NULL, "receiver") == RS_OK);
        CHECK(os_thread_start(&senders[i], crowd_send, (void *)i, "sender") == RS_OK);
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        os_thread_join(&senders[i]);
    }
    while (atomic_load(&crowd.received) != CROWD * CROWD_SENDS) {
        os_yield();
    }
    CHECK(client_socket_close(crowd.socket) == RS_OK); /* the receivers are blocked, and leave */
    for (uint32_t i = 0; i < CROWD; i++) {
        os_thread_join(&receivers[i]);
    }
    end();
}

/* ---- a socket that wanders
 * ----------------------------------------------------------------------------- */

enum { WANDERERS = 3, WANDER_SENDS = 6000 };

static struct {
    struct client_socket *socket;
    struct rs_addr to;
    _Atomic uint32_t turn;
    _Atomic uint32_t received;
} wander;

static void wander_run(void *arg)
{
    uint32_t who = (uint32_t)(uintptr_t)arg;
    for (uint32_t i = who; i < WANDER_SENDS; i += WANDERERS) {
        while (atomic_load(&wander.turn) != i || i - atomic_load(&wander.received) > 100) {
            os_yield();
        }
        uint32_t data[50] = {i};
        CHECK(send_to(wander.socket, data, i % 5 < 3 ? 8 : sizeof(data), &wander.to) == RS_OK);
        atomic_store(&wander.turn, i + 1);
    }
}

static void test_moving_keeps_order(void **state)
{
    (void)state;
    struct os_thread threads[WANDERERS];
    struct rs_addr local;
    begin(50, 8);
    wander.socket = make_bound(&local);
    struct client_socket *server = make_bound(&wander.to);
    atomic_store(&wander.turn, 0);
    atomic_store(&wander.received, 0);
    for (uintptr_t i = 0; i < WANDERERS; i++) {
        CHECK(os_thread_start(&threads[i], wander_run, (void *)i, "wanderer") == RS_OK);
    }
    for (uint32_t i = 0; i < WANDER_SENDS; i++) {
        uint32_t data[50];
        assert_int_equal(recv_from(server, data, sizeof(data), NULL), RS_OK);
        assert_int_equal(data[0], i);
        atomic_store(&wander.received, i);
    }
    for (uint32_t i = 0; i < WANDERERS; i++) {
        os_thread_join(&threads[i]);
    }
    end();
}

/* ---- threads that come and go
 * ---------------------------------------------------------------------------- */

static void visitor_run(void *arg)
{
    struct rs_addr *to = arg;
    struct rs_addr local;
    struct client_socket *socket = make_bound(&local);
    uint32_t data = 1;
    CHECK(send_to(socket, &data, sizeof(data), to) == RS_OK);
    CHECK(client_socket_close(socket) == RS_OK);
}

static void test_threads_come_and_go(void **state)
{
    (void)state;
    struct rs_addr to;
    begin(50, 4);
    struct client_socket *server = make_bound(&to);
    for (uint32_t round = 0; round < 60; round++) {
        struct os_thread threads[2];
        uint32_t data = 0;
        for (int i = 0; i < 2; i++) {
            CHECK(os_thread_start(&threads[i], visitor_run, &to, "visitor") == RS_OK);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(recv_from(server, &data, sizeof(data), NULL), RS_OK);
            os_thread_join(&threads[i]);
        }
    }
    end();
}

/* ---- ends
 * ---------------------------------------------------------------------------------------------------
 */

struct blocked {
    struct client_socket *socket;
    bool polls;
    struct os_thread thread;
    _Atomic uint32_t inside;
    enum rs_status status;
};

static void blocked_run(void *arg)
{
    struct blocked *blocked = arg;
    atomic_store(&blocked->inside, 1);
    if (blocked->polls) {
        struct client_poll item = {.socket = blocked->socket, .want = RS_LEVEL_READABLE};
        uint32_t count;
        blocked->status = client_poll(client, &item, 1, 2 * WAKE_NS, &count);
    } else {
        uint32_t data;
        blocked->status = recv_from(blocked->socket, &data, sizeof(data), NULL);
    }
}

static void blocked_start(struct blocked *blocked, struct client_socket *socket, bool polls)
{
    *blocked = (struct blocked){.socket = socket, .polls = polls};
    CHECK(os_thread_start(&blocked->thread, blocked_run, blocked, "blocked") == RS_OK);
    while (atomic_load(&blocked->inside) == 0) {
        os_yield();
    }
}

/* The thread may be just before, in the middle of or past its spinning when the socket goes: all
 * three happen over the rounds. */
static void test_close_wakes(void **state)
{
    (void)state;
    begin(30, 8);
    for (uint32_t round = 0; round < 60; round++) {
        struct rs_addr local;
        struct blocked receiver, poller;
        struct client_socket *socket = make_bound(&local);
        blocked_start(&receiver, socket, false);
        blocked_start(&poller, socket, true);
        if (round % 3 != 0) {
            os_sleep_ns(round * 20000ull);
        }
        assert_int_equal(client_socket_close(socket), RS_OK);
        os_thread_join(&receiver.thread);
        os_thread_join(&poller.thread);
        assert_true(receiver.status == RS_INTERRUPTED || receiver.status == RS_NOT_SOCKET);
        assert_true(poller.status == RS_INTERRUPTED || poller.status == RS_NOT_SOCKET);
        if (round > 30) { /* they had ample time to get inside */
            assert_int_equal(receiver.status, RS_INTERRUPTED);
        }
    }
    end();
}

/* As test_close_wakes. Who comes late is told so at once, with the same word. */
static void shutdown_under(uint32_t limit_channels)
{
    begin(30, limit_channels);
    for (uint32_t round = 0; round < 60; round++) {
        struct rs_addr local;
        struct blocked receiver, poller;
        struct client_socket *socket = make_bound(&local);
        assert_int_equal(
            client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 2 * WAKE_NS / 1000000u), RS_OK);
        blocked_start(&receiver, socket, false);
        blocked_start(&poller, socket, true);
        if (round % 3 != 0) {
            os_sleep_ns(round * 20000ull);
        }
        uint64_t start_ns = os_monotonic_ns();
        assert_int_equal(client_shutdown(socket, CLIENT_SHUT_RECV), RS_OK);
        os_thread_join(&receiver.thread);
        os_thread_join(&poller.thread);
        assert_true(os_monotonic_ns() - start_ns < WAKE_NS); /* woken, not timed out */
        assert_int_equal(receiver.status, RS_SHUTDOWN);
        assert_int_equal(poller.status, RS_OK);
        assert_int_equal(client_socket_close(socket), RS_OK);
    }
    end();
}

static void test_shutdown_wakes(void **state)
{
    (void)state;
    shutdown_under(8);
}

static void test_shutdown_wakes_sharers(void **state)
{
    (void)state;
    shutdown_under(1);
}

static void dataplane_end_under(uint32_t spin_us, uint32_t limit_channels)
{
    struct rs_addr local[2];
    struct blocked receiver, poller;
    begin(spin_us, limit_channels);
    struct client_socket *first = make_bound(&local[0]);
    struct client_socket *second = make_bound(&local[1]);
    blocked_start(&receiver, first, false);
    blocked_start(&poller, second, true);
    os_sleep_ns(10000000);
    uint64_t start_ns = os_monotonic_ns();
    rig_end_dataplane();
    os_thread_join(&receiver.thread);
    os_thread_join(&poller.thread);
    assert_true(os_monotonic_ns() - start_ns < GONE_NS);
    assert_int_equal(receiver.status, RS_DATAPLANE_GONE);
    assert_int_equal(poller.status, RS_DATAPLANE_GONE);
    assert_false(client_alive(client));
    uint32_t data = 0;
    assert_int_equal(send_to(first, &data, sizeof(data), &local[1]), RS_DATAPLANE_GONE);
    assert_int_equal(client_ping(client), RS_DATAPLANE_GONE);
    assert_int_equal(client_socket_close(first), RS_OK);
    end();
}

static void test_dataplane_ends_under_sleepers(void **state)
{
    (void)state;
    dataplane_end_under(0, 8);
}

static void test_dataplane_ends_under_sharers(void **state)
{
    (void)state;
    dataplane_end_under(0, 1);
}

static void test_dataplane_ends_under_spinners(void **state)
{
    (void)state;
    dataplane_end_under(RS_SPIN_FOREVER, 8);
}

int client_cases_threads(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_sleeping),
        cmocka_unit_test(test_echo_spinning),
        cmocka_unit_test(test_echo_shared_channels),
        cmocka_unit_test(test_echo_one_channel),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_moving_keeps_order),
        cmocka_unit_test(test_threads_come_and_go),
        cmocka_unit_test(test_close_wakes),
        cmocka_unit_test(test_shutdown_wakes),
        cmocka_unit_test(test_shutdown_wakes_sharers),
        cmocka_unit_test(test_dataplane_ends_under_sleepers),
        cmocka_unit_test(test_dataplane_ends_under_sharers),
        cmocka_unit_test(test_dataplane_ends_under_spinners),
    };
    return cmocka_run_group_tests_name("client threads", tests, NULL, NULL);
}
