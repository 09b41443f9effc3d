/*
 * Datagram sockets that several programs have, on the real dataplane in this process, as
 * test_client_share.c has it for streams: each datagram goes to one descriptor, in order, either
 * sends from the one port, options, peer and memberships are the socket's, the port lives until the
 * last descriptor is closed, and what waits in the rings when the socket moves is not lost. With
 * several queues the sender of each case is another thread each time, so datagrams come by all of
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/claim.h"
#include "tests/support/client_rig.h"

#define ok(call)  assert_int_equal((call), RS_OK)
#define LOCALHOST rs_be32(0x7f000001u)
#define GROUP     rs_be32(0xefff0007u)
#define WAIT_NS   5000000000ull
#define MANY      200u

static struct client *clients[3]; /* programs; the third one is the other end */
static struct client_socket *owner, *twin, *peer;
static struct rs_addr at, from; /* owner and twin; peer */

static struct client_socket *make(struct client *client, struct rs_addr *local)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(LOCALHOST, 0);
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, (uint32_t)(WAIT_NS / 1000000)));
    ok(client_bind(socket, &any));
    ok(client_local_addr(socket, local));
    return socket;
}

static int setup(void **state)
{
    (void)state;
    rig_start(&rig_defaults);
    for (uint32_t i = 0; i < 3; i++) {
        clients[i] = rig_attach();
    }
    owner = make(clients[0], &at);
    peer = make(clients[2], &from);
    twin = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        client_close(clients[i]);
        clients[i] = NULL;
    }
    rig_stop();
    return 0;
}

static struct client_socket *duplicate(struct client_socket *socket, struct client *client)
{
    struct client_share_info info;
    struct client_socket *out = NULL;
    ok(client_share(socket, os_process_id(), &info));
    assert_int_equal(info.type, RS_SOCK_DGRAM);
    ok(client_share_open(client, &info, &out));
    assert_true(client_is_shared(socket) && client_is_shared(out));
    return out;
}

static enum rs_status send_to(struct client_socket *socket, const void *data, size_t bytes,
                              const struct rs_addr *to)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    return client_send(socket, &iov, 1, 0, to, &sent);
}

struct sending {
    const struct rs_addr *to;
    uint32_t first, count, bytes;
};

/* Numbered, by a socket of a thread's own: of another queue, where there are several. */
static void send_numbers(void *arg)
{
    const struct sending *sending = arg;
    struct client_socket *socket = NULL;
    uint8_t *data = calloc(1, sending->bytes);
    CHECK(data != NULL);
    CHECK(client_socket_create(clients[2], RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    for (uint32_t i = 0; i < sending->count; i++) {
        uint32_t number = sending->first + i;
        memcpy(data, &number, sizeof(number));
        CHECK(send_to(socket, data, sending->bytes, sending->to) == RS_OK);
    }
    CHECK(client_ping(clients[2]) == RS_OK); /* all were taken */
    CHECK(client_socket_close(socket) == RS_OK);
    free(data);
}

static void send_many(uint32_t first, uint32_t count, uint32_t bytes)
{
    struct sending sending = {&at, first, count, bytes};
    struct os_thread thread;
    ok(os_thread_start(&thread, send_numbers, &sending, "sender"));
    os_thread_join(&thread);
}

static enum rs_status recv_flags(struct client_socket *socket, void *data, size_t bytes,
                                 uint32_t flags, struct client_recv_info *info, size_t *got)
{
    struct client_iov iov = {.base = data, .len_bytes = bytes};
    return client_recv(socket, &iov, 1, flags, info, got);
}

static uint32_t take_number(struct client_socket *socket, uint32_t bytes)
{
    static uint8_t data[RS_DGRAM_MAX_BYTES];
    size_t got = 0;
    uint32_t number;
    ok(recv_flags(socket, data, sizeof(data), 0, NULL, &got));
    assert_int_equal(got, bytes);
    memcpy(&number, data, sizeof(number));
    return number;
}

static void expect_number(struct client_socket *socket, uint32_t number, uint32_t bytes)
{
    assert_int_equal(take_number(socket, bytes), number);
}

static void expect_nothing(struct client_socket *socket)
{
    uint8_t byte;
    size_t got;
    assert_int_equal(recv_flags(socket, &byte, 1, CLIENT_MSG_DONTWAIT, NULL, &got), RS_WOULD_BLOCK);
}

static void expect_text(struct client_socket *socket, const char *text, const struct rs_addr *who)
{
    char data[64];
    size_t got = 0;
    struct client_recv_info info;
    ok(recv_flags(socket, data, sizeof(data), 0, &info, &got));
    assert_int_equal(got, strlen(text));
    assert_memory_equal(data, text, got);
    assert_int_equal(info.from.port_be16, who->port_be16);
}

static uint32_t look(struct client_socket *socket, struct client *client, uint32_t want,
                     uint64_t timeout_ns)
{
    struct client_poll item = {.socket = socket, .want = want};
    uint32_t count;
    ok(client_poll(client, &item, 1, timeout_ns, &count));
    return item.ready;
}

/* ---- datagrams ---- */

static void test_both_send(void **state)
{
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(send_to(owner, "one", 3, &from));
    expect_text(peer, "one", &at);
    ok(send_to(twin, "two", 3, &from));
    expect_text(peer, "two", &at);
    ok(send_to(owner, "", 0, &from));
    expect_text(peer, "", &at);
}

static void test_both_receive(void **state)
{
    uint32_t number;
    size_t got;
    (void)state;
    twin = duplicate(owner, clients[1]);
    assert_int_equal(look(owner, clients[0], RS_LEVEL_READABLE, 0), 0);
    send_many(0, 6, 100);
    assert_int_equal(look(twin, clients[1], RS_LEVEL_READABLE | RS_LEVEL_WRITABLE, WAIT_NS),
                     RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
    expect_number(owner, 0, 100);
    expect_number(twin, 1, 100);
    expect_number(twin, 2, 100);
    assert_int_equal(recv_flags(owner, &number, sizeof(number), CLIENT_MSG_PEEK, NULL, &got),
                     RS_MESSAGE_SIZE);
    assert_int_equal(number, 3);
    uint32_t next;
    ok(client_readable_bytes(owner, &next, NULL));
    assert_int_equal(next, 100);
    assert_int_equal(recv_flags(twin, &number, sizeof(number), 0, NULL, &got), RS_MESSAGE_SIZE);
    assert_int_equal(number, 3);
    expect_number(owner, 4, 100);
    expect_number(owner, 5, 100);
    expect_nothing(owner);
    expect_nothing(twin);
    assert_int_equal(look(twin, clients[1], RS_LEVEL_READABLE | CLIENT_POLL_DATA, 0), 0);
    ok(client_readable_bytes(twin, &next, NULL));
    assert_int_equal(next, 0);
}

/* A call without a reference leaves a shared socket to the long way, which asks the dataplane. */
static void test_claimed(void **state)
{
    enum rs_status status;
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_connect(twin, &from));
    ok(client_set_option(twin, CLIENT_OPT_NONBLOCKING, 1));
    assert_false(claim_send(twin, &status));
    assert_false(claim_recv(twin, &status));
}

/* What waits when the socket becomes a shared one, and its only program's again. */
static void test_waiting_when_it_moves(void **state)
{
    (void)state;
    for (uint32_t lap = 0; lap < 6; lap++) { /* positions pass the ring's end */
        send_many(0, MANY, 300);
        for (uint32_t i = 0; i < 20; i++) {
            expect_number(owner, i, 300);
        }
        twin = duplicate(owner, clients[1]);
        for (uint32_t i = 20; i < 60; i++) {
            expect_number(i % 2 == 0 ? owner : twin, i, 300);
        }
        send_many(MANY, 5, 300);
        ok(client_socket_close(twin));
        /* Each in its order; the senders are of two queues. */
        uint32_t next[2] = {60, MANY};
        for (uint32_t i = 60; i < MANY + 5; i++) {
            uint32_t number = take_number(owner, 300);
            assert_int_equal(number, next[number >= MANY]);
            next[number >= MANY]++;
        }
        expect_nothing(owner);
        assert_false(client_is_shared(owner));
        ok(send_to(owner, "own", 3, &from));
        expect_text(peer, "own", &at);
    }
}

static void test_longest(void **state)
{
    static uint8_t data[RS_DGRAM_MAX_BYTES + 1], back[RS_DGRAM_MAX_BYTES];
    size_t got;
    (void)state;
    for (uint32_t i = 0; i < sizeof(back); i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    twin = duplicate(owner, clients[1]);
    ok(send_to(twin, data, RS_DGRAM_MAX_BYTES, &from));
    ok(recv_flags(peer, back, sizeof(back), 0, NULL, &got));
    assert_int_equal(got, sizeof(back));
    assert_memory_equal(back, data, sizeof(back));
    ok(send_to(peer, data, RS_DGRAM_MAX_BYTES, &at));
    memset(back, 0, sizeof(back));
    ok(recv_flags(twin, back, sizeof(back), 0, NULL, &got));
    assert_int_equal(got, sizeof(back));
    assert_memory_equal(back, data, sizeof(back));
    assert_int_equal(send_to(twin, data, RS_DGRAM_MAX_BYTES + 1, &from), RS_MESSAGE_SIZE);
}

static void test_full_ring(void **state)
{
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_set_option(twin, RS_OPT_RCVBUF, 4096));
    uint64_t before = client_socket_dropped(owner);
    send_many(0, MANY, 1000);
    expect_number(twin, 0, 1000);
    assert_true(client_socket_dropped(owner) > before + MANY / 2);
    assert_int_equal(client_socket_dropped(twin), client_socket_dropped(owner) - before);
}

/* ---- calls that wait ---- */

struct waiter {
    struct client_socket *socket;
    struct os_thread thread;
    rs_atomic_u32 inside;
    enum rs_status status;
    uint32_t number;
    size_t got;
};

static void wait_in_recv(void *arg)
{
    struct waiter *waiter = arg;
    struct client_iov iov = {.base = &waiter->number, .len_bytes = sizeof(waiter->number)};
    atomic_store(&waiter->inside, 1);
    waiter->status = client_recv(waiter->socket, &iov, 1, 0, NULL, &waiter->got);
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

static void waiter_join(struct waiter *waiter)
{
    os_thread_join(&waiter->thread);
    assert_int_equal(waiter->status, RS_OK);
    assert_int_equal(waiter->got, sizeof(waiter->number));
}

static void test_waiters(void **state)
{
    struct waiter waiters[2];
    (void)state;
    waiter_start(&waiters[0], owner);
    twin = duplicate(owner, clients[1]); /* while one waits */
    send_many(10, 1, 4);
    waiter_join(&waiters[0]);
    assert_int_equal(waiters[0].number, 10);
    waiter_start(&waiters[0], owner);
    waiter_start(&waiters[1], twin);
    send_many(20, 2, 4);
    waiter_join(&waiters[0]);
    waiter_join(&waiters[1]);
    assert_int_equal(waiters[0].number + waiters[1].number, 41);
    waiter_start(&waiters[0], owner);
    ok(client_socket_close(twin));
    ok(send_to(owner, "", 0, &from)); /* it is its own again */
    assert_false(client_is_shared(owner));
    send_many(30, 1, 4);
    waiter_join(&waiters[0]);
    assert_int_equal(waiters[0].number, 30);
}

/* ---- what they have in common ---- */

static void test_options(void **state)
{
    uint32_t value;
    (void)state;
    ok(client_set_option(owner, RS_OPT_TTL, 33));
    ok(client_set_option(owner, CLIENT_OPT_NONBLOCKING, 1));
    twin = duplicate(owner, clients[1]);
    ok(client_get_option(twin, RS_OPT_TTL, &value));
    assert_int_equal(value, 33);
    ok(client_get_option(twin, CLIENT_OPT_NONBLOCKING, &value));
    assert_int_equal(value, 1);
    ok(client_set_option(twin, RS_OPT_TTL, 44));
    ok(client_get_option(owner, RS_OPT_TTL, &value));
    assert_int_equal(value, 44);
    ok(client_set_option(twin, CLIENT_OPT_NONBLOCKING, 0));
    ok(send_to(owner, "ttl", 3, &from));
    char data[4];
    size_t got;
    struct client_recv_info info;
    ok(recv_flags(peer, data, sizeof(data), 0, &info, &got));
    assert_int_equal(info.ttl, 44);
    ok(client_socket_close(twin));
    ok(send_to(owner, "ttl", 3, &from));
    ok(recv_flags(peer, data, sizeof(data), 0, &info, &got));
    assert_int_equal(info.ttl, 44);
}

static void test_peer(void **state)
{
    struct rs_addr addr;
    (void)state;
    twin = duplicate(owner, clients[1]);
    assert_int_equal(client_peer_addr(owner, &addr), RS_NOT_CONNECTED);
    assert_int_equal(send_to(owner, "x", 1, NULL), RS_NOT_CONNECTED);
    ok(client_connect(twin, &from));
    ok(client_peer_addr(owner, &addr));
    assert_int_equal(addr.port_be16, from.port_be16);
    ok(send_to(owner, "to peer", 7, NULL));
    expect_text(peer, "to peer", &at);
    struct rs_addr other;
    struct client_socket *stranger = make(clients[2], &other);
    ok(send_to(stranger, "no", 2, &at));
    ok(client_ping(clients[2]));
    ok(send_to(peer, "yes", 3, &at));
    expect_text(owner, "yes", &from);
    expect_nothing(twin);
    struct rs_addr nobody = {.family = RS_FAMILY_NONE};
    ok(client_connect(owner, &nobody));
    assert_int_equal(client_peer_addr(twin, &addr), RS_NOT_CONNECTED);
    ok(send_to(stranger, "now", 3, &at));
    expect_text(twin, "now", &other);
}

static void test_local(void **state)
{
    struct rs_addr addr;
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_local_addr(twin, &addr));
    assert_int_equal(addr.port_be16, at.port_be16);
    assert_int_equal(client_bind(twin, &at), RS_INVALID);
}

static void test_membership(void **state)
{
    struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = GROUP};
    struct rs_addr to = rs_addr_v4(GROUP, 0);
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(0, 0), local;
    (void)state;
    ok(client_socket_create(clients[0], RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    ok(client_bind(socket, &any));
    ok(client_local_addr(socket, &local));
    to.port_be16 = local.port_be16;
    ok(client_member(socket, &join));
    twin = duplicate(socket, clients[1]);
    ok(client_set_option(twin, CLIENT_OPT_RECV_TIMEOUT_MS, (uint32_t)(WAIT_NS / 1000000)));
    ok(send_to(peer, "feed 1", 6, &to));
    expect_text(twin, "feed 1", &from);
    ok(client_socket_close(socket)); /* who opened it goes */
    ok(send_to(peer, "feed 2", 6, &to));
    expect_text(twin, "feed 2", &from);
    join.action = RS_MEMBER_LEAVE;
    ok(client_member(twin, &join));
    assert_int_equal(client_member(twin, &join), RS_INVALID);
    ok(send_to(peer, "feed 3", 6, &to));
    ok(client_ping(clients[2]));
    expect_nothing(twin);
}

static void test_control(void **state)
{
    char data[8];
    size_t got;
    struct client_recv_info info;
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_set_option(twin, RS_OPT_RECV_CONTROL, RS_CONTROL_ALL));
    ok(send_to(peer, "control", 7, &at));
    ok(recv_flags(owner, data, sizeof(data), 0, &info, &got));
    assert_true((info.flags & RS_DGRAM_EXT) != 0);
    assert_int_equal(info.to_be32, LOCALHOST);
    const struct client_send_control control = {.ttl = 9, .ttl_set = true};
    struct client_iov iov = {.base = data, .len_bytes = 7};
    ok(client_send_with(twin, &iov, 1, 0, &from, &control, &got));
    ok(recv_flags(peer, data, sizeof(data), 0, &info, &got));
    assert_int_equal(info.ttl, 9);
}

static void test_stamp(void **state)
{
    char data[8] = "stamped";
    size_t got;
    uint64_t tx_tsc = 0;
    struct client_iov iov = {.base = data, .len_bytes = 7};
    const struct client_send_control control = {.stamp_id = 5, .stamped = true};
    (void)state;
    ok(client_set_option(owner, RS_OPT_TX_STAMPS, 4));
    ok(client_send_with(owner, &iov, 1, 0, &from, &control, &got));
    twin = duplicate(owner, clients[1]);
    ok(client_tx_stamp(twin, 5, &tx_tsc)); /* taken before it moved */
    assert_int_not_equal(tx_tsc, 0);
    ok(client_send_with(twin, &iov, 1, 0, &from, &control, &got));
    ok(client_tx_stamp(owner, 5, &tx_tsc));
    assert_int_equal(client_tx_stamp(owner, 5, &tx_tsc), RS_WOULD_BLOCK);
}

static void test_shutdown(void **state)
{
    uint8_t byte = 0;
    size_t got;
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_shutdown(twin, CLIENT_SHUT_SEND));
    assert_int_equal(send_to(owner, &byte, 1, &from), RS_SHUTDOWN);
    send_many(1, 1, 8);
    expect_number(owner, 1, 8);
    struct waiter waiter;
    waiter_start(&waiter, owner);
    ok(client_shutdown(twin, CLIENT_SHUT_RECV));
    os_thread_join(&waiter.thread);
    assert_int_equal(waiter.status, RS_SHUTDOWN);
    assert_int_equal(recv_flags(twin, &byte, 1, 0, NULL, &got), RS_SHUTDOWN);
}

static void test_events(void **state)
{
    uint32_t mine, others;
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_share_take_events(owner, &mine));
    assert_int_equal(client_share_events(owner), mine);
    ok(client_share_take_events(twin, &others));
    assert_int_equal(client_share_events(twin), others);
    assert_int_not_equal(client_share_events(owner), mine);
}

static void test_error(void **state)
{
    uint8_t byte = 0;
    size_t got;
    (void)state;
    ok(client_connect(owner, &from));
    twin = duplicate(owner, clients[1]);
    ok(client_socket_close(peer));
    ok(send_to(twin, &byte, 1, NULL));
    assert_int_equal(recv_flags(twin, &byte, 1, 0, NULL, &got), RS_PORT_UNREACHABLE);
    assert_int_equal(client_take_error(owner), RS_PORT_UNREACHABLE);
    expect_nothing(owner);
    expect_nothing(twin);
}

/* ---- ends ---- */

static enum rs_status try_port(void)
{
    struct client_socket *socket = NULL;
    ok(client_socket_create(clients[2], RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket));
    enum rs_status status = client_bind(socket, &at);
    ok(client_socket_close(socket));
    return status;
}

static void test_port_lives(void **state)
{
    (void)state;
    twin = duplicate(owner, clients[1]);
    ok(client_socket_close(owner));
    assert_int_equal(try_port(), RS_ADDR_IN_USE);
    send_many(7, 1, 50);
    expect_number(twin, 7, 50);
    ok(client_socket_close(twin));
    ok(try_port());
}

/* A program goes without a word, and what it has not read is the other one's. */
static void test_program_ends(void **state)
{
    (void)state;
    send_many(0, 10, 200);
    twin = duplicate(owner, clients[1]);
    expect_number(owner, 0, 200);
    client_close(clients[0]);
    for (uint32_t i = 1; i < 10; i++) {
        expect_number(twin, i, 200);
    }
    assert_int_equal(try_port(), RS_ADDR_IN_USE);
    ok(client_socket_close(twin));
    ok(try_port());
    clients[0] = rig_attach();
}

/* More of them than the table has places. */
static void test_again_and_again(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3 * rig_defaults.limit_sockets; i++) {
        struct rs_addr local;
        struct client_socket *socket = make(clients[0], &local);
        struct client_socket *second = duplicate(socket, clients[1]);
        struct client_socket *third = duplicate(second, clients[2]);
        if (i % 3 == 0) {
            ok(client_socket_close(second));
            ok(client_socket_close(third));
            ok(send_to(socket, "", 0, &from));
            assert_false(client_is_shared(socket));
            ok(client_socket_close(socket));
        } else {
            ok(client_socket_close(i % 3 == 1 ? socket : third));
            ok(client_socket_close(second));
            ok(client_socket_close(i % 3 == 1 ? third : socket));
        }
    }
}

/* What is shared lives on the dataplane's account: one program cannot use it up for the others. */
static void test_one_of_many(void **state)
{
    struct client_share_info info;
    struct rs_addr local;
    enum rs_status status = RS_OK;
    uint32_t count = 0;
    (void)state;
    while (status == RS_OK && count < rig_defaults.limit_sockets - 2) {
        status = client_share(make(clients[0], &local), os_process_id(), &info);
        count += status == RS_OK;
    }
    assert_int_equal(status, RS_NO_BUFFERS);
    assert_in_range(count, 2, rig_defaults.limit_sockets / 2);
    twin = duplicate(make(clients[1], &local), clients[2]);
    ok(send_to(twin, "mine", 4, &from));
    expect_text(peer, "mine", &local);
}

static void test_refusals(void **state)
{
    struct client_share_info info;
    struct client_socket *out = NULL;
    (void)state;
    rig_share_with_another(owner, &info);
    assert_int_equal(client_share_open(clients[1], &info, &out), RS_ACCESS);
    ok(client_share(owner, os_process_id(), &info));
    ok(client_share_open(clients[1], &info, &twin));
    assert_int_equal(client_share_open(clients[1], &info, &out), RS_NOT_SOCKET);
}

/* ---- calls that meet the return ---- */

static _Atomic bool setter_ends;

static void set_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&setter_ends)) {
        CHECK(client_set_option(owner, CLIENT_OPT_USER_0, 7) == RS_OK);
    }
}

/* An option that found the socket shared, and waited until it was so no more. */
static void test_option_meets_return(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        struct os_thread thread;
        const uint64_t deadline_ns = os_monotonic_ns() + WAIT_NS;
        atomic_store(&setter_ends, false);
        twin = duplicate(owner, clients[1]);
        ok(os_thread_start(&thread, set_on, NULL, "sets"));
        ok(client_socket_close(twin));
        while (client_is_shared(owner) && os_monotonic_ns() < deadline_ns) {
            expect_nothing(owner);
        }
        assert_false(client_is_shared(owner));
        atomic_store(&setter_ends, true);
        os_thread_join(&thread);
    }
}

/* ---- the facade's hook ---- */

static bool hook_wanted; /* by this thread only */

static bool hook_ask(struct client_wait_turn *turn)
{
    (void)turn;
    return hook_wanted;
}

static bool hook_turn(const struct client_wait_turn *turn)
{
    (void)turn;
    return false;
}

static const struct client_wait_hook hook = {.ask = hook_ask, .turn = hook_turn};

static void test_hook(void **state)
{
    uint8_t byte;
    size_t got;
    (void)state;
    hook_wanted = true;
    enum rs_status own = recv_flags(owner, &byte, 1, 0, NULL, &got);
    twin = duplicate(owner, clients[1]);
    enum rs_status shared = recv_flags(owner, &byte, 1, 0, NULL, &got);
    hook_wanted = false;
    assert_int_equal(own, RS_INTERRUPTED);
    assert_int_equal(shared, RS_INTERRUPTED);
}

/* Who polls hears of it, too. */
static void test_shutdown_is_ready(void **state)
{
    (void)state;
    twin = duplicate(owner, clients[1]);
    assert_int_equal(look(twin, clients[1], RS_LEVEL_READABLE, 0), 0);
    ok(client_shutdown(owner, CLIENT_SHUT_RECV));
    assert_int_equal(look(owner, clients[0], RS_LEVEL_READABLE, 0), RS_LEVEL_READABLE);
    assert_int_equal(look(twin, clients[1], RS_LEVEL_READABLE, 0), RS_LEVEL_READABLE);
}

/* ---- the watch ---- */

/* Reports may come too often, but one comes when there is something to read. */
static void watch_reports(struct client_watch *watch, struct client_socket *socket)
{
    struct client_socket *reported[4];
    uint32_t count = 0;
    bool ready = false;
    while (!ready) {
        ok(client_watch_wait(watch, reported, 4, WAIT_NS, &count)); /* else: RS_TIMED_OUT */
        for (uint32_t i = 0; i < count; i++) {
            assert_ptr_equal(reported[i], socket);
            ready = client_socket_ready(socket, RS_LEVEL_READABLE) != 0 ||
                    client_watch_arm(watch, socket, RS_LEVEL_READABLE);
            client_socket_unref(socket);
        }
    }
}

/* The move's own reports; armed again. */
static void watch_settle(struct client_watch *watch, struct client_socket *socket)
{
    struct client_socket *reported[4];
    uint32_t count = 0;
    while (client_watch_wait(watch, reported, 4, WAIT_NS / 500, &count) != RS_TIMED_OUT) {
        for (uint32_t i = 0; i < count; i++) {
            assert_false(client_watch_arm(watch, socket, RS_LEVEL_READABLE));
            client_socket_unref(reported[i]);
        }
    }
}

/* Armed before the socket moves, there and back. */
static void test_watch(void **state)
{
    struct client_watch *watch;
    (void)state;
    ok(client_watch_open(clients[0], &watch));
    assert_false(client_watch_arm(watch, owner, RS_LEVEL_READABLE));
    twin = duplicate(owner, clients[1]);
    watch_settle(watch, owner);
    send_many(1, 1, 8);
    watch_reports(watch, owner);
    expect_number(owner, 1, 8);
    (void)client_watch_arm(watch, owner, RS_LEVEL_READABLE);
    ok(client_socket_close(twin));
    ok(send_to(owner, "", 0, &from)); /* it is its own again */
    assert_false(client_is_shared(owner));
    watch_settle(watch, owner);
    send_many(2, 1, 8);
    watch_reports(watch, owner);
    expect_number(owner, 2, 8);
}

int main(void)
{
    client_set_wait_hook(&hook);
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_both_send),
        CASE(test_both_receive),
        CASE(test_waiting_when_it_moves),
        CASE(test_longest),
        CASE(test_full_ring),
        CASE(test_waiters),
        CASE(test_options),
        CASE(test_peer),
        CASE(test_local),
        CASE(test_membership),
        CASE(test_control),
        CASE(test_stamp),
        CASE(test_shutdown),
        CASE(test_events),
        CASE(test_error),
        CASE(test_port_lives),
        CASE(test_program_ends),
        CASE(test_again_and_again),
        CASE(test_one_of_many),
        CASE(test_refusals),
        CASE(test_claimed),
        CASE(test_option_meets_return),
        CASE(test_hook),
        CASE(test_shutdown_is_ready),
        CASE(test_watch),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
