/*
 * Stream sockets of provider/client against a dataplane that keeps silent, fills up, refuses, lies
 * or dies: what only the fake one can be told to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "provider/client/share.h"
#include "tests/support/check.h"
#include "tests/support/client_stream_kit.h"
#include "tests/support/fake_dataplane.h"

#define ok(call)              assert_int_equal((call), RS_OK)
#define PORT_UNREACHABLE_BE16 rs_be16(7) /* CONNECT fails at once */

static struct fake *fake;
static struct client_socket *listener;
static struct rs_addr listener_addr;

static void begin(const struct fake_config *config)
{
    fake = fake_create(config);
    struct client_link link = fake_link(fake);
    const struct client_config client_config = {.spin_us = -1, .yield_in_spin = -1};
    ok(client_open_link(&client_config, &link, &stream_client));
    listener = stream_make_listener(&listener_addr);
}

static void end(void)
{
    client_close(stream_client);
    fake_destroy(fake);
}

static uint32_t sockets_open(void)
{
    struct fake_counts counts;
    fake_count(fake, &counts);
    return counts.sockets_open;
}

/* ---- connecting -------------------------------------------------------------------------------
 */

static const struct rs_addr silent = {
    .family = RS_FAMILY_IPV4, .port_be16 = 0x0900, .ip = {.v4_be32 = FAKE_SILENT_BE32}};

static void test_under_way(void **state)
{
    (void)state;
    struct rs_addr addr;
    size_t count = 0;
    begin(&fake_defaults);
    struct client_socket *socket = stream_make();
    stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(client_connect(socket, &silent), RS_WOULD_BLOCK);
        assert_int_equal(client_connect(socket, &silent), RS_ALREADY);
        stream_set(socket, CLIENT_OPT_NONBLOCKING, 0);
        assert_int_equal(client_connect(socket, &silent), RS_ALREADY); /* and not: waits */
        stream_set(socket, CLIENT_OPT_NONBLOCKING, 1);
        assert_int_equal(stream_poll(socket, STREAM_POLL_ALL, 1000000), 0);
        assert_int_equal(stream_send_flags(socket, "x", 1, 0, &count), RS_NOT_CONNECTED);
        assert_int_equal(stream_recv_byte(socket, &count), RS_NOT_CONNECTED);
        assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
        assert_int_equal(client_shutdown(socket, CLIENT_SHUT_SEND), RS_NOT_CONNECTED);
        assert_int_equal(client_listen(socket, 1), RS_INVALID);
        ok(client_take_error(socket));
        ok(client_local_addr(socket, &addr));
        fake_stream_error(fake, addr.port_be16, RS_TIMED_OUT);
        assert_int_equal(stream_poll(socket, STREAM_POLL_ALL, 0), RS_LEVEL_ERROR);
        assert_int_equal(client_take_error(socket), RS_TIMED_OUT);
        assert_int_equal(client_peer_addr(socket, &addr), RS_NOT_CONNECTED);
    }
    assert_int_equal(client_connect(socket, &listener_addr), RS_WOULD_BLOCK);
    assert_int_equal(stream_poll(socket, RS_LEVEL_WRITABLE, STREAM_WAIT_NS), RS_LEVEL_WRITABLE);
    end();
}

struct connecter {
    struct client_socket *socket;
    const struct rs_addr *to;
    struct os_thread thread;
    enum rs_status status;
};

static void connecter_run(void *arg)
{
    struct connecter *connecter = arg;
    connecter->status = client_connect(connecter->socket, connecter->to);
}

/* Returns when the SYN is sent. */
static void connecter_start(struct connecter *connecter, struct client_socket *socket,
                            const struct rs_addr *to)
{
    struct rs_addr addr;
    *connecter = (struct connecter){.socket = socket, .to = to};
    CHECK(os_thread_start(&connecter->thread, connecter_run, connecter, "connecter") == RS_OK);
    while (client_local_addr(socket, &addr) != RS_OK) {
        os_yield();
    }
}

static void test_connect_wakes(void **state)
{
    (void)state;
    struct connecter connecter;
    struct rs_addr addr;
    struct fake_config config = fake_defaults;
    config.spin_us = 0;
    begin(&config);
    for (uint32_t round = 0; round < 20; round++) {
        connecter_start(&connecter, stream_make(), &silent);
        os_sleep_ns(round % 4 * 300000ull);
        ok(client_socket_close(connecter.socket));
        os_thread_join(&connecter.thread);
        assert_int_equal(connecter.status, RS_INTERRUPTED);
        connecter_start(&connecter, stream_make(), &silent);
        os_sleep_ns(round % 4 * 300000ull);
        ok(client_local_addr(connecter.socket, &addr));
        fake_stream_error(fake, addr.port_be16, RS_HOST_UNREACHABLE);
        os_thread_join(&connecter.thread);
        assert_int_equal(connecter.status, RS_HOST_UNREACHABLE);
        ok(client_take_error(connecter.socket));
        ok(client_socket_close(connecter.socket));
    }
    struct client_socket *first = stream_make(), *accepted = NULL;
    ok(client_listen(listener, 1));
    ok(client_connect(first, &listener_addr));
    connecter_start(&connecter, stream_make(), &listener_addr); /* no place in the backlog */
    os_sleep_ns(2000000);
    ok(client_accept(listener, &accepted, NULL));
    os_thread_join(&connecter.thread);
    ok(connecter.status);
    connecter_start(&connecter, stream_make(), &silent);
    fake_die(fake);
    os_thread_join(&connecter.thread);
    assert_int_equal(connecter.status, RS_DATAPLANE_GONE);
    end();
}

/* What fails at once leaves the socket as it was. */
static void test_unreachable(void **state)
{
    (void)state;
    struct rs_addr addr, to = listener_addr;
    begin(&fake_defaults);
    to = listener_addr;
    to.port_be16 = PORT_UNREACHABLE_BE16;
    struct client_socket *socket = stream_make();
    for (int bound = 0; bound < 2; bound++) {
        assert_int_equal(client_connect(socket, &to), RS_NET_UNREACHABLE);
        ok(client_take_error(socket));
        assert_int_equal(stream_poll(socket, STREAM_POLL_ALL, 0), 0);
        assert_int_equal(sockets_open(), 1 + (uint32_t)bound);
        if (bound == 0) {
            assert_int_equal(client_local_addr(socket, &addr), RS_INVALID);
            addr = rs_addr_v4(STREAM_LOCALHOST, 0);
            ok(client_bind(socket, &addr));
        }
    }
    ok(client_connect(socket, &listener_addr));
    end();
}

static void test_backlog(void **state)
{
    (void)state;
    struct client_socket *sockets[4], *accepted[4];
    begin(&fake_defaults);
    ok(client_listen(listener, 2));
    for (int i = 0; i < 4; i++) {
        sockets[i] = stream_make();
        stream_set(sockets[i], CLIENT_OPT_NONBLOCKING, 1);
        assert_int_equal(client_connect(sockets[i], &listener_addr), RS_WOULD_BLOCK);
        if (i < 2) {
            assert_int_equal(stream_poll(sockets[i], RS_LEVEL_WRITABLE, STREAM_WAIT_NS),
                             RS_LEVEL_WRITABLE);
        }
    }
    for (int i = 2; i < 4; i++) { /* as places get free */
        ok(client_ping(stream_client));
        assert_int_equal(client_connect(sockets[i], &listener_addr), RS_ALREADY);
        ok(client_accept(listener, &accepted[i - 2], NULL));
        assert_int_equal(stream_poll(sockets[i], RS_LEVEL_WRITABLE, STREAM_WAIT_NS),
                         RS_LEVEL_WRITABLE);
    }
    end();
}

/* ---- closing ----------------------------------------------------------------------------------
 */

enum { LEFT = 8 }; /* as many closes are not waited for */

struct closer {
    struct client_socket *sockets[LEFT + 2];
    rs_atomic_u32 closed;
};

static void close_run(void *arg)
{
    struct closer *closer = arg;
    for (uint32_t i = 0; i < LEFT + 2; i++) {
        CHECK(client_socket_close(closer->sockets[i]) == RS_OK);
        atomic_fetch_add(&closer->closed, 1);
    }
}

/* The dataplane takes nothing; it is not waited for until many answers are owed. Then all of it is
 * carried out. */
static void test_close_is_left(void **state)
{
    (void)state;
    struct closer closer = {.closed = 0};
    struct os_thread thread;
    begin(&fake_defaults);
    uint32_t before = sockets_open();
    for (uint32_t i = 0; i < LEFT + 2; i += 2) {
        stream_make_pair(listener, &listener_addr, &closer.sockets[i]);
    }
    assert_int_equal(sockets_open(), before + LEFT + 2);
    fake_pause(fake);
    ok(os_thread_start(&thread, close_run, &closer, "closer"));
    uint64_t deadline_ns = os_monotonic_ns() + STREAM_WAIT_NS;
    while (atomic_load(&closer.closed) < LEFT && os_monotonic_ns() < deadline_ns) {
        os_yield();
    }
    assert_int_equal(atomic_load(&closer.closed), LEFT); /* and waits now */
    fake_resume(fake);
    os_thread_join(&thread);
    assert_int_equal(atomic_load(&closer.closed), LEFT + 2);
    ok(client_ping(stream_client));
    assert_int_equal(sockets_open(), before);
    end();
}

/* ---- a request ring without slack --------------------------------------------------------------
 */

static void test_pressure(void **state)
{
    (void)state;
    enum { PAIRS = 2, ROUNDS = 600 };
    struct fake_config config = fake_defaults;
    struct client_socket *ends[PAIRS][2];
    uint32_t next_out[PAIRS] = {0}, next_in[PAIRS] = {0};
    config.limit_sockets = 8;
    begin(&config);
    for (uint32_t i = 0; i < PAIRS; i++) {
        stream_make_pair(listener, &listener_addr, ends[i]);
    }
    for (uint32_t pass = 0; pass < 5; pass++) {
        fake_pause(fake);
        for (uint32_t i = 0; i < ROUNDS; i++) { /* far more than the ring has slots */
            uint32_t which = (i * 7 + pass) % PAIRS;
            stream_send_all(ends[which][0], &next_out[which], sizeof(uint32_t));
            next_out[which]++;
        }
        fake_resume(fake);
        for (uint32_t i = 0; i < PAIRS; i++) {
            while (next_in[i] != next_out[i]) {
                uint32_t in = 0;
                size_t got = 0;
                ok(stream_recv_flags(ends[i][1], &in, sizeof(in), CLIENT_MSG_WAITALL, &got));
                assert_int_equal(in, next_in[i]);
                next_in[i]++;
            }
        }
    }
    struct fake_counts counts;
    fake_count(fake, &counts);
    assert_true(counts.level_takes > 0);
    assert_true(counts.posts < PAIRS * ROUNDS * 5);
    end();
}

static _Atomic uint32_t urgent_next;

static void urgent_run(void *arg)
{
    size_t sent = 0;
    CHECK(stream_send_flags(arg, "more", 4, 0, &sent) == RS_OK);
    for (uint32_t i = 0; i < 100; i++) { /* until the ring has no slack */
        CHECK(stream_send_flags(arg, ".", 1, 0, &sent) == RS_OK);
    }
    atomic_store(&urgent_next, 1);
    CHECK(stream_send_flags(arg, "now!", 4, CLIENT_MSG_OOB, &sent) == RS_OK);
}

/* An urgent byte needs a slot, whatever it takes. */
static void test_urgent_under_pressure(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    struct client_socket *ends[2];
    struct os_thread thread;
    config.limit_sockets = 8;
    begin(&config);
    stream_make_pair(listener, &listener_addr, ends);
    atomic_store(&urgent_next, 0);
    fake_pause(fake);
    CHECK(os_thread_start(&thread, urgent_run, ends[0], "urgent") == RS_OK);
    while (atomic_load(&urgent_next) == 0) {
        os_yield();
    }
    os_sleep_ns(1000000); /* it is likely to wait inside by now; if not, this shows less */
    assert_int_equal(stream_poll(ends[1], CLIENT_POLL_URGENT, 0), 0);
    fake_resume(fake);
    os_thread_join(&thread);
    assert_int_equal(stream_poll(ends[1], CLIENT_POLL_URGENT, STREAM_WAIT_NS), CLIENT_POLL_URGENT);
    char byte = 0;
    size_t got = 0;
    ok(stream_recv_flags(ends[1], &byte, 1, CLIENT_MSG_OOB, &got));
    assert_int_equal(byte, '!');
    struct fake_counts counts;
    fake_count(fake, &counts);
    assert_in_range(counts.posts, 2, 100); /* fewer than sends: the others were levels */
    end();
}

/* ---- room -------------------------------------------------------------------------------------
 */

/* The dataplane hears of room when it waits for it, and not with each read. */
static void test_consumed_is_rare(void **state)
{
    (void)state;
    struct fake_config config = fake_defaults;
    struct fake_counts counts;
    static uint8_t data[1u << 14];
    struct client_socket *ends[2];
    config.recv_ring_bytes = config.send_ring_bytes = sizeof(data);
    begin(&config);
    stream_make_pair(listener, &listener_addr, ends);
    uint32_t position = 0;
    for (uint32_t round = 0; round < 40; round++) {
        stream_fill(data, position, sizeof(data) / 2);
        stream_send_all(ends[0], data, sizeof(data) / 2);
        ok(client_ping(stream_client));
        position = stream_drain(ends[1], position, 10);
        assert_int_equal(position, (round + 1) * sizeof(data) / 2);
    }
    fake_count(fake, &counts);
    assert_in_range(counts.consumed, 1, 45);
    end();
}

/* ---- ends, lies -------------------------------------------------------------------------------
 */

static void test_poison(void **state)
{
    (void)state;
    struct client_socket *ends[2], *accepted = NULL;
    size_t count = 0;
    begin(&fake_defaults);
    stream_make_pair(listener, &listener_addr, ends);
    stream_set(listener, CLIENT_OPT_NONBLOCKING, 1);
    fake_poison(fake, RS_POISONED);
    assert_int_equal(stream_recv_flags(ends[0], &count, 1, CLIENT_MSG_DONTWAIT, &count),
                     RS_POISONED);
    assert_int_equal(stream_recv_byte(ends[0], &count), RS_POISONED);
    assert_int_equal(stream_send_flags(ends[1], "x", 1, 0, &count), RS_POISONED);
    assert_int_equal(client_accept(listener, &accepted, NULL), RS_POISONED);
    assert_int_equal(client_shutdown(ends[1], CLIENT_SHUT_SEND), RS_POISONED);
    assert_int_equal(client_connect(stream_make(), &listener_addr), RS_POISONED);
    ok(client_socket_close(ends[0]));
    end();
}

static struct rs_socket_state *state_of(const struct client_socket *socket)
{
    return (struct rs_socket_state *)(uintptr_t)socket->state;
}

static void test_corrupt(void **state)
{
    (void)state;
    struct client_socket *ends[2], *accepted = NULL;
    char data[10];
    size_t count = 0;
    begin(&fake_defaults);
    stream_make_pair(listener, &listener_addr, ends);
    atomic_store(&state_of(ends[0])->recv_tail, fake_defaults.recv_ring_bytes + 1);
    assert_int_equal(stream_recv_flags(ends[0], data, 10, 0, &count), RS_CORRUPT);
    assert_int_equal(client_readable_bytes(ends[0], &(uint32_t){0}, NULL), RS_CORRUPT);
    fake_pause(fake);
    atomic_store(&state_of(ends[1])->send_head, 1u << 31);
    static uint8_t bulk[1u << 17];
    stream_send_all(ends[1], bulk, sizeof(bulk)); /* there is room, no need to look */
    assert_int_equal(stream_send_flags(ends[1], bulk, 1, 0, &count), RS_CORRUPT);
    fake_resume(fake);

    struct client_socket *socket = stream_make();
    uint32_t before = sockets_open();
    ok(client_connect(socket, &listener_addr)); /* waits to be accepted */
    struct rs_socket_desc *descs = (struct rs_socket_desc *)(uintptr_t)stream_client->socket_descs;
    for (uint32_t i = 0; i < stream_client->limit_sockets; i++) {
        descs[i].generation++;
    }
    assert_int_equal(client_accept(listener, &accepted, NULL), RS_CORRUPT);
    assert_int_equal(sockets_open(), before + 1); /* the place is given back */
    fake_corrupt_desc(fake);
    socket = stream_make();
    assert_int_equal(client_connect(socket, &silent), RS_CORRUPT);
    assert_int_equal(sockets_open(), before + 1);
    end();
}

/* ---- shared ------------------------------------------------------------------------------------
 */

static uint32_t lost(void)
{
    struct client_info info;
    client_get_info(stream_client, &info);
    return info.sockets_lost;
}

static void check_lost(struct client_socket *socket, uint32_t expected)
{
    struct client_share_info info;
    uint8_t byte = 0;
    uint32_t bytes, number;
    size_t count = 0;
    assert_int_equal(lost(), expected);
    for (uint32_t i = 0; i < 2; i++) { /* also when it might ask for a way back again */
        assert_int_equal(stream_send_flags(socket, "x", 1, 0, &count), RS_CORRUPT);
        assert_int_equal(stream_recv_flags(socket, &byte, 1, 0, &count), RS_CORRUPT);
    }
    assert_int_equal(client_share_look(socket, &bytes, &(bool){false}), RS_CORRUPT);
    assert_int_equal(client_share(socket, 1, &info), RS_CORRUPT);
    assert_int_equal(client_share_take_events(socket, &number), RS_CORRUPT);
    assert_int_equal(client_set_option(socket, CLIENT_OPT_NONBLOCKING, 1), RS_CORRUPT);
    assert_int_equal(client_take_error(socket), RS_CORRUPT);
    const uint32_t all = RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_ERROR;
    assert_int_equal(stream_poll(socket, all, 0), all);
    assert_int_equal(lost(), expected);
    ok(client_socket_close(socket));
}

static struct client_socket *shared_end(struct client_socket *ends[2])
{
    struct client_share_info info;
    stream_make_pair(listener, &listener_addr, ends);
    ok(client_share(ends[0], 1, &info));
    assert_true(client_is_shared(ends[0]));
    return ends[0];
}

/* Under the mutex that it changes under. */
static uint32_t stays_of(struct client_socket *socket)
{
    os_mutex_lock(&socket->control_mutex);
    uint32_t stays = socket->share.stays;
    os_mutex_unlock(&socket->control_mutex);
    return stays;
}

struct reader {
    struct client_socket *socket;
    struct os_thread thread;
    _Atomic uint32_t begins;
    enum rs_status status;
};

static void reader_run(void *arg)
{
    struct reader *reader = arg;
    uint8_t byte;
    size_t got;
    atomic_store(&reader->begins, 1);
    reader->status = stream_recv_flags(reader->socket, &byte, 1, CLIENT_MSG_WAIT, &got);
}

/* The dataplane moves a socket, and the client cannot have the rings it names: on the way there, on
 * the way back, and while another thread waits for bytes. */
static void test_lost_in_a_move(void **state)
{
    (void)state;
    struct client_socket *ends[2];
    struct client_share_info info;
    struct fake_counts counts;
    size_t sent = 0;
    struct fake_config config = fake_defaults;
    config.spin_us = 0; /* who waits is to be woken */
    begin(&config);
    struct client_socket *socket = shared_end(ends);
    ok(stream_send_flags(socket, "x", 1, 0, &sent)); /* the way back, as it should be */
    assert_false(client_is_shared(socket));
    stream_expect(ends[1], "x");
    ok(client_socket_close(ends[1]));
    ok(client_socket_close(socket));

    struct client_socket *there[2];
    struct reader reader = {.socket = shared_end(ends)};
    stream_make_pair(listener, &listener_addr, there);
    reader.socket->share.stays = 1; /* the reader's call leaves it shared */
    CHECK(os_thread_start(&reader.thread, reader_run, &reader, "reader") == RS_OK);
    while (atomic_load(&reader.begins) == 0) {
        os_yield();
    }
    while (stays_of(reader.socket) != 0) { /* it has asked, and found nothing */
        os_yield();
    }
    fake_corrupt_desc(fake);
    assert_int_equal(stream_send_flags(reader.socket, "x", 1, 0, &sent), RS_CORRUPT);
    os_thread_join(&reader.thread);
    assert_int_equal(reader.status, RS_CORRUPT);
    check_lost(reader.socket, 1);
    fake_count(fake, &counts);
    assert_int_equal(counts.take_backs, 0);
    assert_int_equal(client_share(there[0], 1, &info), RS_CORRUPT);
    fake_count(fake, &counts);
    assert_int_equal(counts.take_backs, 1); /* of the grant */
    check_lost(there[0], 2);
    ok(client_socket_close(there[1]));
    ok(client_socket_close(ends[1]));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_under_way),        cmocka_unit_test(test_connect_wakes),
        cmocka_unit_test(test_unreachable),      cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_pressure),         cmocka_unit_test(test_urgent_under_pressure),
        cmocka_unit_test(test_consumed_is_rare), cmocka_unit_test(test_poison),
        cmocka_unit_test(test_corrupt),          cmocka_unit_test(test_close_is_left),
        cmocka_unit_test(test_lost_in_a_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
