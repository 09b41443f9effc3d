/* Stream sockets, several threads: everything that can wake one, and turns at one socket. See
 * client_cases.h. Threads check with CHECK: cmocka's asserts are for the main thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_cases.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define GONE_NS  5000000000ull /* bound for 'soon' on a loaded machine */
#define ok(call) assert_int_equal((call), RS_OK)

static struct client_socket *listener;
static struct rs_addr listener_addr;

static void begin(uint32_t spin_us, uint32_t limit_channels, uint32_t ring_bytes)
{
    struct rig_spec spec = rig_defaults;
    spec.spin_us = spin_us;
    spec.limit_channels = limit_channels;
    spec.recv_ring_bytes = spec.send_ring_bytes = ring_bytes;
    rig_start(&spec);
    stream_client = rig_attach();
    listener = stream_make_listener(&listener_addr);
}

static void end(void)
{
    client_close(stream_client);
    rig_stop();
}

/* ---- echo -------------------------------------------------------------------------------------
 */

struct talker {
    struct client_socket *socket;
    struct os_thread thread;
    uint32_t rounds;
    bool asks;
};

static void talk_run(void *arg)
{
    struct talker *talker = arg;
    uint32_t data[75] = {0};
    size_t bytes;
    for (uint32_t i = 0; i < talker->rounds; i++) {
        size_t len_bytes = i % 3 != 0 ? sizeof(data) : 8;
        if (talker->asks) {
            data[0] = i;
            CHECK(stream_send_flags(talker->socket, data, len_bytes, 0, &bytes) == RS_OK);
        }
        CHECK(stream_recv_flags(talker->socket, data, len_bytes, CLIENT_MSG_WAITALL, &bytes) ==
              RS_OK);
        CHECK(bytes == len_bytes && data[0] == i);
        if (!talker->asks) {
            CHECK(stream_send_flags(talker->socket, data, len_bytes, 0, &bytes) == RS_OK);
        }
    }
}

/* Pairs of threads, each waiting for the other: every wake-up counts, a lost one hangs. */
static void echo_pairs(uint32_t pairs, uint32_t rounds)
{
    struct talker talkers[8];
    for (uint32_t i = 0; i < 2 * pairs; i += 2) {
        struct client_socket *ends[2];
        stream_make_pair(listener, &listener_addr, ends);
        for (uint32_t k = 0; k < 2; k++) {
            struct talker *talker = &talkers[i + k];
            *talker = (struct talker){.socket = ends[k], .rounds = rounds, .asks = k == 0};
            CHECK(os_thread_start(&talker->thread, talk_run, talker, "talker") == RS_OK);
        }
    }
    for (uint32_t i = 0; i < 2 * pairs; i++) {
        os_thread_join(&talkers[i].thread);
    }
}

static void test_echo(void **state)
{
    (void)state;
    static const struct {
        uint32_t spin_us, channels, pairs, rounds;
    } modes[] = {{0, 8, 1, 2000}, {RS_SPIN_FOREVER, 8, 1, 2000}, {0, 2, 3, 500}, {20, 1, 2, 500}};
    for (uint32_t i = 0; i < 4; i++) {
        begin(modes[i].spin_us, modes[i].channels, 1u << 14);
        echo_pairs(modes[i].pairs, modes[i].rounds);
        end();
    }
}

/* ---- bulk -------------------------------------------------------------------------------------
 */

#define BULK_BYTES (1u << 20)

static void bulk_send_run(void *arg)
{
    struct client_socket *socket = arg;
    static const uint32_t sizes[] = {1, 3000, 17, 20000, 512, 4096};
    static uint8_t data[20000];
    uint32_t position = 0;
    for (uint32_t round = 0; position < BULK_BYTES; round++) {
        uint32_t bytes = sizes[round % 6];
        size_t sent = 0;
        stream_fill(data, position, bytes);
        CHECK(stream_send_flags(socket, data, bytes, 0, &sent) == RS_OK);
        CHECK(sent == bytes);
        position += bytes;
    }
    CHECK(client_socket_close(socket) == RS_OK);
}

static void bulk(uint32_t spin_us, uint32_t ring_bytes)
{
    struct os_thread sender;
    struct client_socket *ends[2];
    static uint8_t data[30000];
    begin(spin_us, 8, ring_bytes);
    stream_make_pair(listener, &listener_addr, ends);
    CHECK(os_thread_start(&sender, bulk_send_run, ends[0], "sender") == RS_OK);
    uint32_t position = 0;
    for (uint32_t round = 0;; round++) {
        size_t got = 0;
        ok(stream_recv_flags(ends[1], data, 1 + round * 997 % sizeof(data),
                             round % 2 != 0 ? CLIENT_MSG_WAITALL : 0, &got));
        if (got == 0) {
            break;
        }
        stream_check(data, position, got);
        position += (uint32_t)got;
    }
    assert_true(position >= BULK_BYTES);
    os_thread_join(&sender);
    end();
}

/* Small rings: sleeps on both sides, for data and for room. */
static void test_bulk_blocking(void **state)
{
    (void)state;
    bulk(0, 4096);
    bulk(20, 1u << 15);
}

/* ---- sleepers ---------------------------------------------------------------------------------
 */

enum call { CALL_RECV, CALL_RECV_ALL, CALL_RECV_OOB, CALL_SEND, CALL_ACCEPT, CALL_POLL };

struct sleeper {
    struct client_socket *socket;
    enum call call;
    uint32_t want;
    struct os_thread thread;
    _Atomic uint32_t inside;
    enum rs_status status;
    size_t bytes;
    struct client_poll item;
};

static void sleeper_run(void *arg)
{
    struct sleeper *sleeper = arg;
    static _Thread_local char data[1u << 18];
    struct client_socket *accepted;
    uint32_t count;
    atomic_store(&sleeper->inside, 1);
    switch (sleeper->call) {
    case CALL_RECV:
        sleeper->status = stream_recv_flags(sleeper->socket, data, 10, 0, &sleeper->bytes);
        break;
    case CALL_RECV_ALL:
        sleeper->status =
            stream_recv_flags(sleeper->socket, data, 10, CLIENT_MSG_WAITALL, &sleeper->bytes);
        break;
    case CALL_RECV_OOB:
        sleeper->status =
            stream_recv_flags(sleeper->socket, data, 10, CLIENT_MSG_OOB, &sleeper->bytes);
        break;
    case CALL_SEND:
        sleeper->status =
            stream_send_flags(sleeper->socket, data, sizeof(data), 0, &sleeper->bytes);
        break;
    case CALL_ACCEPT:
        sleeper->status = client_accept(sleeper->socket, &accepted, NULL);
        if (sleeper->status == RS_OK) {
            CHECK(client_socket_close(accepted) == RS_OK);
        }
        break;
    case CALL_POLL:
        sleeper->item = (struct client_poll){.socket = sleeper->socket, .want = sleeper->want};
        sleeper->status = client_poll(stream_client, &sleeper->item, 1, UINT64_MAX, &count);
        break;
    }
}

static void sleeper_start(struct sleeper *sleeper, struct client_socket *socket, enum call call,
                          uint32_t want, uint32_t round)
{
    *sleeper = (struct sleeper){.socket = socket, .call = call, .want = want};
    CHECK(os_thread_start(&sleeper->thread, sleeper_run, sleeper, "sleeper") == RS_OK);
    while (atomic_load(&sleeper->inside) == 0) {
        os_yield();
    }
    if (round % 3 != 0) { /* just before, inside, asleep: all happen over the rounds */
        os_sleep_ns(round * 50000ull);
    }
}

enum event {
    EVENT_DATA,
    EVENT_URGENT,
    EVENT_END,
    EVENT_RESET,
    EVENT_CLOSE,
    EVENT_SHUT_RECV,
    EVENT_SHUT_SEND,
    EVENT_ROOM,
    EVENT_LIMIT /* a larger send buffer, which was small */
};

/* Something happens to ends[0]. */
static void event_happen(struct client_socket *ends[2], enum event event)
{
    static char data[1u << 16];
    size_t count = 0;
    switch (event) {
    case EVENT_DATA:
        stream_send_all(ends[1], "0123456789", 10);
        break;
    case EVENT_URGENT:
        ok(stream_send_flags(ends[1], "!", 1, CLIENT_MSG_OOB, &count));
        break;
    case EVENT_END:
        ok(client_shutdown(ends[1], CLIENT_SHUT_SEND));
        break;
    case EVENT_RESET:
        stream_set(ends[1], CLIENT_OPT_LINGER_MS, 0);
        ok(client_socket_close(ends[1]));
        break;
    case EVENT_CLOSE:
        ok(client_socket_close(ends[0]));
        break;
    case EVENT_SHUT_RECV:
        ok(client_shutdown(ends[0], CLIENT_SHUT_RECV));
        break;
    case EVENT_SHUT_SEND:
        ok(client_shutdown(ends[0], CLIENT_SHUT_SEND));
        break;
    case EVENT_ROOM:
        while (stream_recv_flags(ends[1], data, sizeof(data), CLIENT_MSG_DONTWAIT, &count) ==
               RS_OK) {
        }
        break;
    case EVENT_LIMIT:
        stream_set(ends[0], RS_OPT_SNDBUF, 1u << 14);
        break;
    }
}

static const struct wake {
    enum call call;
    uint32_t want; /* of a poll; else: bytes on success */
    enum event event;
    enum rs_status status;
    uint32_t ready; /* of a poll */
} wakes[] = {
    {CALL_RECV, 10, EVENT_DATA, RS_OK, 0},
    {CALL_RECV, 0, EVENT_END, RS_OK, 0},
    {CALL_RECV, 0, EVENT_RESET, RS_CONN_RESET, 0},
    {CALL_RECV, 0, EVENT_CLOSE, RS_INTERRUPTED, 0},
    {CALL_RECV, 0, EVENT_SHUT_RECV, RS_SHUTDOWN, 0},
    {CALL_RECV_ALL, 10, EVENT_DATA, RS_OK, 0},
    {CALL_RECV_OOB, 1, EVENT_URGENT, RS_OK, 0},
    {CALL_RECV_OOB, 0, EVENT_END, RS_OK, 0},
    {CALL_RECV_OOB, 0, EVENT_CLOSE, RS_INTERRUPTED, 0},
    {CALL_POLL, RS_LEVEL_READABLE, EVENT_DATA, RS_OK, RS_LEVEL_READABLE},
    {CALL_POLL, RS_LEVEL_READABLE, EVENT_END, RS_OK, RS_LEVEL_READABLE},
    {CALL_POLL, RS_LEVEL_END, EVENT_END, RS_OK, RS_LEVEL_END},
    {CALL_POLL, RS_LEVEL_READABLE, EVENT_RESET, RS_OK, RS_LEVEL_READABLE},
    {CALL_POLL, RS_LEVEL_ERROR, EVENT_RESET, RS_OK, RS_LEVEL_ERROR},
    {CALL_POLL, RS_LEVEL_READABLE, EVENT_CLOSE, RS_INTERRUPTED, 0},
    {CALL_POLL, RS_LEVEL_READABLE, EVENT_SHUT_RECV, RS_OK, RS_LEVEL_READABLE},
    {CALL_POLL, CLIENT_POLL_URGENT, EVENT_URGENT, RS_OK, CLIENT_POLL_URGENT},
    /* the send ring is full */
    {CALL_SEND, 0, EVENT_RESET, RS_CONN_RESET, 0},
    {CALL_SEND, 0, EVENT_CLOSE, RS_INTERRUPTED, 0},
    {CALL_SEND, 0, EVENT_SHUT_SEND, RS_SHUTDOWN, 0},
    {CALL_POLL, RS_LEVEL_WRITABLE, EVENT_ROOM, RS_OK, RS_LEVEL_WRITABLE},
    {CALL_POLL, RS_LEVEL_WRITABLE, EVENT_LIMIT, RS_OK, RS_LEVEL_WRITABLE},
    {CALL_POLL, RS_LEVEL_WRITABLE, EVENT_RESET, RS_OK, RS_LEVEL_WRITABLE},
    {CALL_POLL, RS_LEVEL_WRITABLE, EVENT_SHUT_SEND, RS_OK, RS_LEVEL_WRITABLE},
    {CALL_POLL, RS_LEVEL_WRITABLE, EVENT_CLOSE, RS_INTERRUPTED, 0},
};

static void fill_rings(struct client_socket *socket)
{
    static char data[1u << 16];
    size_t sent = 0;
    enum rs_status status;
    do {
        status = stream_send_flags(socket, data, sizeof(data), CLIENT_MSG_DONTWAIT, &sent);
        ok(client_ping(stream_client));
    } while (status == RS_OK || stream_poll(socket, RS_LEVEL_WRITABLE, 0) != 0);
    assert_int_equal(status, RS_WOULD_BLOCK);
}

static uint32_t interrupted;

static void wake_once(const struct wake *wake, uint32_t round)
{
    struct client_socket *ends[2];
    struct sleeper sleeper;
    stream_make_pair(listener, &listener_addr, ends);
    if (wake->event == EVENT_LIMIT) {
        stream_set(ends[0], RS_OPT_SNDBUF, 2048);
    }
    if (wake->call == CALL_SEND || wake->want == RS_LEVEL_WRITABLE) {
        fill_rings(ends[0]);
    }
    sleeper_start(&sleeper, ends[0], wake->call, wake->want, round);
    if (wake->call == CALL_RECV_ALL && wake->event == EVENT_DATA) {
        stream_send_all(ends[1], "01", 2); /* in two parts */
        os_sleep_ns(round * 10000ull);
    }
    event_happen(ends, wake->event);
    os_thread_join(&sleeper.thread);
    /* On a loaded machine it may come when the socket is closed already; not each time. */
    if (wake->status != RS_INTERRUPTED || sleeper.status != RS_NOT_SOCKET) {
        assert_int_equal(sleeper.status, wake->status);
        interrupted += wake->status == RS_INTERRUPTED;
    }
    if (wake->call == CALL_POLL) {
        assert_int_equal(sleeper.item.ready, wake->ready);
    } else if (wake->call != CALL_SEND) {
        assert_int_equal(sleeper.bytes, wake->want);
    }
    for (int i = 0; i < 2; i++) {
        if ((i != 0 || wake->event != EVENT_CLOSE) && (i != 1 || wake->event != EVENT_RESET)) {
            stream_set(ends[i], CLIENT_OPT_LINGER_MS, 0);
            ok(client_socket_close(ends[i]));
        }
    }
}

static void test_wakes(void **state)
{
    (void)state;
    begin(0, 8, 1u << 14);
    for (uint32_t round = 0; round < 24; round++) {
        for (size_t i = 0; i < sizeof(wakes) / sizeof(wakes[0]); i++) {
            wake_once(&wakes[i], round);
        }
    }
    assert_true(interrupted > 0);
    end();
}

static void test_accept_wakes(void **state)
{
    (void)state;
    begin(0, 8, 1u << 14);
    for (uint32_t round = 0; round < 24; round++) {
        struct sleeper accepter, poller;
        struct client_socket *socket = stream_make();
        sleeper_start(&accepter, listener, CALL_ACCEPT, 0, round);
        sleeper_start(&poller, listener, CALL_POLL, RS_LEVEL_READABLE, round);
        ok(client_connect(socket, &listener_addr));
        os_thread_join(&accepter.thread);
        assert_int_equal(accepter.status, RS_OK);
        struct client_socket *second = stream_make(); /* the first one may be accepted already */
        ok(client_connect(second, &listener_addr));
        os_thread_join(&poller.thread);
        assert_int_equal(poller.item.ready, RS_LEVEL_READABLE);
        ok(client_socket_close(socket));
        ok(client_socket_close(second));
        socket = NULL;
        ok(client_accept(listener, &socket, NULL));
        ok(client_socket_close(socket));
        sleeper_start(&accepter, listener, CALL_ACCEPT, 0, round);
        ok(client_socket_close(listener));
        os_thread_join(&accepter.thread);
        assert_true(accepter.status == RS_INTERRUPTED || accepter.status == RS_NOT_SOCKET);
        listener = stream_make_listener(&listener_addr);
    }
    end();
}

static void read_all_run(void *arg)
{
    struct client_socket *socket = arg;
    static uint8_t data[5000];
    size_t got = 0;
    do {
        os_sleep_ns(1000000);
        CHECK(stream_recv_flags(socket, data, sizeof(data), 0, &got) == RS_OK);
    } while (got != 0);
}

/* close waits for the peer's reading, and no longer. */
static void test_linger_wakes(void **state)
{
    (void)state;
    struct os_thread reader;
    struct client_socket *ends[2];
    begin(0, 8, 1u << 14);
    for (uint32_t round = 0; round < 10; round++) {
        stream_make_pair(listener, &listener_addr, ends);
        fill_rings(ends[0]);
        stream_set(ends[0], CLIENT_OPT_LINGER_MS, 60000);
        CHECK(os_thread_start(&reader, read_all_run, ends[1], "reader") == RS_OK);
        uint64_t start_ns = os_monotonic_ns();
        ok(client_socket_close(ends[0]));
        assert_true(os_monotonic_ns() - start_ns < GONE_NS);
        os_thread_join(&reader);
        ok(client_socket_close(ends[1]));
    }
    end();
}

/* ---- crowds -----------------------------------------------------------------------------------
 */

enum { CROWD = 3, CROWD_BYTES = 60000 };

static struct {
    struct client_socket *ends[2];
    _Atomic uint64_t sent_sum, received_sum;
} crowd;

static void crowd_send_run(void *arg)
{
    uint8_t data[100];
    uint32_t who = (uint32_t)(uintptr_t)arg;
    for (uint32_t done = 0; done < CROWD_BYTES; done += sizeof(data)) {
        size_t sent = 0;
        uint64_t sum = 0;
        for (uint32_t i = 0; i < sizeof(data); i++) {
            data[i] = (uint8_t)(done * 3 + i * who + who);
            sum += data[i];
        }
        CHECK(stream_send_flags(crowd.ends[0], data, sizeof(data), 0, &sent) == RS_OK);
        CHECK(sent == sizeof(data));
        atomic_fetch_add(&crowd.sent_sum, sum);
    }
}

static void crowd_recv_run(void *arg)
{
    uint8_t data[333];
    size_t got = 1;
    (void)arg;
    while (got != 0) {
        uint64_t sum = 0;
        CHECK(stream_recv_flags(crowd.ends[1], data, sizeof(data), 0, &got) == RS_OK);
        for (size_t i = 0; i < got; i++) {
            sum += data[i];
        }
        atomic_fetch_add(&crowd.received_sum, sum + ((uint64_t)got << 32));
    }
}

static void test_crowd(void **state)
{
    (void)state;
    struct os_thread senders[CROWD], receivers[CROWD];
    begin(20, 4, 1u << 13);
    stream_make_pair(listener, &listener_addr, crowd.ends);
    atomic_store(&crowd.sent_sum, 0);
    atomic_store(&crowd.received_sum, 0);
    for (uintptr_t i = 0; i < CROWD; i++) {
        CHECK(os_thread_start(&receivers[i], crowd_recv_run, NULL, "receiver") == RS_OK);
        CHECK(os_thread_start(&senders[i], crowd_send_run, (void *)i, "sender") == RS_OK);
    }
    for (uint32_t i = 0; i < CROWD; i++) {
        os_thread_join(&senders[i]);
    }
    ok(client_shutdown(crowd.ends[0], CLIENT_SHUT_SEND));
    for (uint32_t i = 0; i < CROWD; i++) {
        os_thread_join(&receivers[i]);
    }
    assert_int_equal(atomic_load(&crowd.received_sum) >> 32, CROWD * CROWD_BYTES);
    assert_int_equal(atomic_load(&crowd.received_sum) & UINT32_MAX, atomic_load(&crowd.sent_sum));
    end();
}

enum { VISITS = 60, VISITORS = 8 };

static void serve_run(void *arg)
{
    struct client_socket *socket = NULL;
    enum rs_status status;
    (void)arg;
    while ((status = client_accept(listener, &socket, NULL)) == RS_OK) {
        uint32_t data = 0;
        size_t bytes = 0;
        CHECK(stream_recv_flags(socket, &data, sizeof(data), CLIENT_MSG_WAITALL, &bytes) == RS_OK);
        CHECK(bytes == sizeof(data));
        data++;
        CHECK(stream_send_flags(socket, &data, sizeof(data), 0, &bytes) == RS_OK);
        CHECK(client_socket_close(socket) == RS_OK);
    }
    CHECK(status == RS_INTERRUPTED || status == RS_NOT_SOCKET);
}

/* Each is a request of its own before CONNECT: more of all threads than a channel has cells. */
static void visit_options(struct client_socket *socket)
{
    static const uint32_t options[] = {
        RS_OPT_NODELAY,          RS_OPT_KEEPALIVE,  RS_OPT_ACK_IMMEDIATE, RS_OPT_KEEP_IDLE_MS,
        RS_OPT_KEEP_INTERVAL_MS, RS_OPT_KEEP_COUNT, RS_OPT_TTL,           RS_OPT_TOS,
        RS_OPT_CONGESTION,       RS_OPT_REUSEADDR};
    for (uint32_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        CHECK(client_set_option(socket, options[i], 1) == RS_OK);
    }
}

static void visit_run(void *arg)
{
    uint32_t base = (uint32_t)(uintptr_t)arg * VISITS;
    for (uint32_t i = base; i < base + VISITS; i++) {
        uint32_t data = i;
        size_t bytes = 0;
        struct client_socket *socket = NULL;
        CHECK(client_socket_create(stream_client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) ==
              RS_OK);
        visit_options(socket);
        CHECK(client_connect(socket, &listener_addr) == RS_OK);
        CHECK(stream_send_flags(socket, &data, sizeof(data), 0, &bytes) == RS_OK);
        CHECK(stream_recv_flags(socket, &data, sizeof(data), CLIENT_MSG_WAITALL, &bytes) == RS_OK);
        CHECK(bytes == sizeof(data) && data == i + 1);
        CHECK(stream_recv_flags(socket, &data, 1, 0, &bytes) == RS_OK && bytes == 0);
        CHECK(client_socket_close(socket) == RS_OK);
    }
}

static void accept_crowd(uint32_t limit_channels)
{
    struct os_thread servers[CROWD], visitors[VISITORS];
    begin(20, limit_channels, 1u << 13);
    for (uintptr_t i = 0; i < CROWD; i++) {
        CHECK(os_thread_start(&servers[i], serve_run, NULL, "server") == RS_OK);
    }
    for (uintptr_t i = 0; i < VISITORS; i++) {
        CHECK(os_thread_start(&visitors[i], visit_run, (void *)i, "visitor") == RS_OK);
    }
    for (uint32_t i = 0; i < VISITORS; i++) {
        os_thread_join(&visitors[i]);
    }
    ok(client_socket_close(listener)); /* the servers are blocked, and leave */
    for (uint32_t i = 0; i < CROWD; i++) {
        os_thread_join(&servers[i]);
    }
    end();
}

static void test_accept_crowd(void **state)
{
    (void)state;
    accept_crowd(4);
    accept_crowd(1);
}

/* ---- the dataplane ends -----------------------------------------------------------------------
 */

static void dataplane_ends(uint32_t spin_us, uint32_t limit_channels)
{
    struct sleeper sleepers[4];
    struct client_socket *ends[2];
    size_t count = 0;
    begin(spin_us, limit_channels, 1u << 14);
    stream_make_pair(listener, &listener_addr, ends);
    fill_rings(ends[1]);
    sleeper_start(&sleepers[0], listener, CALL_ACCEPT, 0, 0);
    sleeper_start(&sleepers[1], ends[1], CALL_RECV, 0, 0);
    sleeper_start(&sleepers[2], ends[1], CALL_SEND, 0, 0);
    sleeper_start(&sleepers[3], ends[1], CALL_POLL, RS_LEVEL_READABLE, 40);
    uint64_t start_ns = os_monotonic_ns();
    rig_end_dataplane();
    for (uint32_t i = 0; i < 4; i++) {
        os_thread_join(&sleepers[i].thread);
        assert_int_equal(sleepers[i].status, RS_DATAPLANE_GONE);
    }
    assert_true(os_monotonic_ns() - start_ns < GONE_NS);
    assert_int_equal(stream_send_flags(ends[0], "x", 1, 0, &count), RS_DATAPLANE_GONE);
    assert_int_equal(client_connect(stream_make(), &listener_addr), RS_DATAPLANE_GONE);
    ok(client_socket_close(ends[0]));
    end();
}

static void test_dataplane_ends(void **state)
{
    (void)state;
    dataplane_ends(0, 8);
    dataplane_ends(0, 1);
    dataplane_ends(RS_SPIN_FOREVER, 8);
}

int client_cases_stream_threads(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),         cmocka_unit_test(test_bulk_blocking),
        cmocka_unit_test(test_wakes),        cmocka_unit_test(test_accept_wakes),
        cmocka_unit_test(test_linger_wakes), cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_accept_crowd), cmocka_unit_test(test_dataplane_ends),
    };
    return cmocka_run_group_tests_name("client stream threads", tests, NULL, NULL);
}
