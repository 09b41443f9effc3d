/*
 * Listening sockets that several programs have, as servers do that fork workers: on the real
 * dataplane in this process. Each connection goes to one of them, whoever accepts first, with what
 * has arrived on it; closing one leaves the other listening; connections that waited when the
 * listener was shared are not lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"
#include "tests/support/client_stream_kit.h"

#define ok(call) assert_int_equal((call), RS_OK)

static struct client *workers[2]; /* programs beside stream_client, which shares its listener */
static struct client *caller;     /* and the one that connects */
static struct client_socket *listener, *twin;
static struct rs_addr at;

static int setup(void **state)
{
    (void)stream_setup(state);
    for (uint32_t i = 0; i < 2; i++) {
        workers[i] = rig_attach();
    }
    caller = rig_attach();
    listener = stream_make_listener(&at);
    twin = NULL;
    return 0;
}

static int teardown(void **state)
{
    for (uint32_t i = 0; i < 2; i++) {
        client_close(workers[i]);
    }
    client_close(caller);
    return stream_teardown(state);
}

static struct client_socket *duplicate(struct client_socket *socket, struct client *client)
{
    struct client_share_info info;
    struct client_socket *out = NULL;
    ok(client_share(socket, os_process_id(), &info));
    ok(client_share_open(client, &info, &out));
    assert_true(client_is_listening(socket) && client_is_listening(out));
    return out;
}

static enum rs_status try_connect(struct client *client, struct client_socket **out)
{
    ok(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, out));
    ok(client_set_option(*out, CLIENT_OPT_RECV_TIMEOUT_MS, 5000));
    return client_connect(*out, &at);
}

static struct client_socket *connect_as(const char *text)
{
    struct client_socket *socket = NULL;
    ok(try_connect(caller, &socket));
    stream_send_all(socket, text, strlen(text));
    return socket;
}

static struct client_socket *accept_from(struct client_socket *from, struct client_socket *peer)
{
    struct client_socket *socket = NULL;
    struct rs_addr who, was;
    ok(client_accept(from, &socket, &who));
    ok(client_local_addr(peer, &was));
    assert_int_equal(who.port_be16, was.port_be16);
    ok(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 5000));
    return socket;
}

/* The connection is whole: what was sent first, and both ways. */
static void exchange(struct client_socket *server, struct client_socket *client, const char *first)
{
    stream_expect(server, first);
    stream_send_all(server, "answer", 6);
    stream_expect(client, "answer");
    stream_send_all(client, "thanks", 6);
    stream_expect(server, "thanks");
    ok(client_socket_close(server));
    size_t got = 1;
    ok(stream_recv_byte(client, &got));
    assert_int_equal(got, 0);
    ok(client_socket_close(client));
}

static void test_both_accept(void **state)
{
    (void)state;
    twin = duplicate(listener, workers[0]);
    for (uint32_t i = 0; i < 6; i++) {
        struct client_socket *client = connect_as("hello");
        exchange(accept_from(i % 2 == 0 ? twin : listener, client), client, "hello");
    }
}

static void test_in_order(void **state)
{
    struct client_socket *clients[4];
    (void)state;
    twin = duplicate(listener, workers[0]);
    struct client_socket *third = duplicate(twin, workers[1]);
    struct client_socket *from[4] = {third, listener, twin, third};
    for (uint32_t i = 0; i < 4; i++) {
        clients[i] = connect_as("x");
    }
    for (uint32_t i = 0; i < 4; i++) {
        exchange(accept_from(from[i], clients[i]), clients[i], "x");
    }
}

/* Before it was shared: any of them may have those, too. */
static void test_waiting(void **state)
{
    struct client_socket *clients[4];
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        clients[i] = connect_as("early");
    }
    exchange(accept_from(listener, clients[0]), clients[0], "early");
    twin = duplicate(listener, workers[0]);
    exchange(accept_from(twin, clients[1]), clients[1], "early");
    exchange(accept_from(listener, clients[2]), clients[2], "early");
    struct client_socket *late = connect_as("late");
    exchange(accept_from(twin, clients[3]), clients[3], "early");
    exchange(accept_from(listener, late), late, "late");
}

/* A connection of the program itself. */
static void test_own(void **state)
{
    struct client_socket *client = NULL;
    (void)state;
    ok(try_connect(stream_client, &client));
    stream_send_all(client, "own", 3);
    twin = duplicate(listener, workers[0]);
    exchange(accept_from(listener, client), client, "own");
    ok(try_connect(stream_client, &client));
    stream_send_all(client, "own", 3);
    exchange(accept_from(twin, client), client, "own");
    ok(client_socket_close(listener));
    ok(client_socket_close(twin));
    listener = stream_make_listener(&at);
    ok(try_connect(stream_client, &client));
    stream_send_all(client, "own", 3);
    twin = duplicate(listener, workers[0]);
    exchange(accept_from(twin, client), client, "own"); /* to another program */
    ok(try_connect(workers[0], &client));
    stream_send_all(client, "own", 3);
    exchange(accept_from(twin, client), client, "own");
}

struct accepter {
    struct client_socket *from, *got;
    struct os_thread thread;
    rs_atomic_u32 inside;
    enum rs_status status;
};

static void accept_one(void *arg)
{
    struct accepter *accepter = arg;
    atomic_store(&accepter->inside, 1);
    accepter->status = client_accept(accepter->from, &accepter->got, NULL);
}

/* Given time to block; nothing hangs on whether it did. */
static void accepter_start(struct accepter *accepter, struct client_socket *from)
{
    *accepter = (struct accepter){.from = from};
    CHECK(os_thread_start(&accepter->thread, accept_one, accepter, "accepter") == RS_OK);
    while (atomic_load(&accepter->inside) == 0) {
        os_yield();
    }
    os_sleep_ns(20000000);
}

static void test_blocked(void **state)
{
    struct accepter accepters[2];
    (void)state;
    accepter_start(&accepters[0], listener);
    twin = duplicate(listener, workers[0]); /* while one waits */
    accepter_start(&accepters[1], twin);
    struct client_socket *clients[2] = {connect_as("a"), connect_as("a")};
    for (uint32_t i = 0; i < 2; i++) {
        os_thread_join(&accepters[i].thread);
        assert_int_equal(accepters[i].status, RS_OK);
        stream_expect(accepters[i].got, "a");
        ok(client_socket_close(accepters[i].got));
    }
    for (uint32_t i = 0; i < 2; i++) {
        ok(client_socket_close(clients[i]));
    }
    accepter_start(&accepters[0], listener);
    ok(client_socket_close(listener));
    os_thread_join(&accepters[0].thread);
    assert_int_equal(accepters[0].status, RS_INTERRUPTED);
}

static void test_readiness(void **state)
{
    struct client_socket *none = NULL;
    (void)state;
    twin = duplicate(listener, workers[0]);
    ok(client_set_option(twin, CLIENT_OPT_NONBLOCKING, 1));
    assert_int_equal(client_accept(listener, &none, NULL), RS_WOULD_BLOCK);
    assert_int_equal(stream_poll(listener, STREAM_POLL_ALL, 0), 0);
    struct client_socket *client = connect_as("r");
    assert_int_equal(stream_poll(twin, STREAM_POLL_ALL, STREAM_WAIT_NS), RS_LEVEL_READABLE);
    assert_int_equal(stream_poll(listener, STREAM_POLL_ALL, 0), RS_LEVEL_READABLE);
    struct client_socket *server = accept_from(twin, client);
    assert_int_equal(stream_poll(listener, STREAM_POLL_ALL, 0), 0);
    ok(client_set_option(server, CLIENT_OPT_NONBLOCKING, 0));
    exchange(server, client, "r");
}

static void test_options(void **state)
{
    uint32_t value;
    (void)state;
    ok(client_set_option(listener, RS_OPT_TTL, 50));
    twin = duplicate(listener, workers[0]);
    ok(client_set_option(twin, RS_OPT_NODELAY, 1));
    struct client_socket *client = connect_as("o");
    struct client_socket *server = accept_from(listener, client);
    ok(client_get_option(server, RS_OPT_NODELAY, &value));
    assert_int_equal(value, 1);
    exchange(server, client, "o");
    client = connect_as("o");
    server = accept_from(twin, client);
    ok(client_get_option(server, RS_OPT_TTL, &value));
    assert_int_equal(value, 50);
    exchange(server, client, "o");
    ok(client_listen(twin, 1)); /* another backlog */
    uint8_t byte = 0;
    size_t got;
    assert_int_equal(stream_recv_flags(twin, &byte, 1, 0, &got), RS_NOT_CONNECTED);
    assert_int_equal(stream_send_flags(twin, &byte, 1, 0, &got), RS_NOT_CONNECTED);
    assert_int_equal(client_connect(twin, &at), RS_INVALID);
}

static void test_into(void **state)
{
    struct client_socket *into = NULL;
    (void)state;
    twin = duplicate(listener, workers[0]);
    ok(client_socket_create(workers[0], RS_FAMILY_IPV4, RS_SOCK_STREAM, &into));
    assert_int_equal(client_accept_into(twin, into, NULL), RS_WOULD_BLOCK);
    struct client_socket *client = connect_as("into");
    ok(client_accept_into(twin, into, NULL));
    exchange(into, client, "into");
}

/* Closing one leaves the other; with the last one the port is free. */
static void test_close(void **state)
{
    struct client_socket *client = NULL;
    (void)state;
    twin = duplicate(listener, workers[0]);
    struct client_socket *waits = connect_as("w");
    ok(client_socket_close(listener));
    exchange(accept_from(twin, waits), waits, "w");
    client = connect_as("again");
    exchange(accept_from(twin, client), client, "again");
    waits = connect_as("w");
    ok(client_socket_close(twin));
    uint8_t byte;
    size_t got;
    assert_int_equal(stream_recv_flags(waits, &byte, 1, 0, &got), RS_CONN_RESET);
    assert_int_equal(try_connect(caller, &client), RS_CONN_REFUSED);
    ok(client_socket_close(client));
    listener = stream_make();
    ok(client_bind(listener, &at));
    ok(client_listen(listener, 4));
    client = connect_as("new");
    exchange(accept_from(listener, client), client, "new");
}

/* Who shared it goes without a word; what waits from before goes with it, the listener does not. */
static void test_program_ends(void **state)
{
    (void)state;
    struct client_socket *early = connect_as("early");
    twin = duplicate(listener, workers[0]);
    struct client_socket *later = connect_as("later");
    client_close(stream_client);
    uint8_t byte;
    size_t got;
    assert_int_equal(stream_recv_flags(early, &byte, 1, 0, &got), RS_CONN_RESET);
    struct client_socket *server = accept_from(twin, later);
    exchange(server, later, "later");
    later = connect_as("more");
    exchange(accept_from(twin, later), later, "more");
    stream_client = rig_attach();
}

/* A program without room refuses nobody but itself. */
static void test_no_room(void **state)
{
    struct client_socket *fill[64], *none = NULL;
    uint32_t count = 0;
    (void)state;
    twin = duplicate(listener, workers[0]);
    while (count < 64) {
        struct rs_addr any = rs_addr_v4(STREAM_LOCALHOST, 0);
        ok(client_socket_create(workers[0], RS_FAMILY_IPV4, RS_SOCK_STREAM, &fill[count]));
        if (client_bind(fill[count], &any) != RS_OK) {
            break;
        }
        count++;
    }
    assert_in_range(count, 8, 63);
    struct client_socket *client = connect_as("room");
    assert_int_equal(client_accept(twin, &none, NULL), RS_TOO_MANY_SOCKETS);
    exchange(accept_from(listener, client), client, "room");
    client = connect_as("room");
    ok(client_socket_close(fill[0]));
    exchange(accept_from(twin, client), client, "room");
}

/* More of everything than the tables have places. */
static void test_again_and_again(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * rig_defaults.limit_sockets; i++) {
        struct rs_addr old = at;
        struct client_socket *other = stream_make_listener(&at);
        struct client_socket *early = connect_as("1");
        struct client_socket *second = duplicate(other, workers[i % 2]);
        struct client_socket *late = connect_as("2");
        exchange(accept_from(i % 3 == 0 ? other : second, early), early, "1");
        if (i % 4 == 0) {
            ok(client_socket_close(other));
            exchange(accept_from(second, late), late, "2");
            ok(client_socket_close(second));
        } else {
            ok(client_socket_close(second));
            ok(client_socket_close(other));
            ok(client_socket_close(late)); /* it was reset */
        }
        at = old;
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_both_accept),  CASE(test_in_order), CASE(test_waiting),
        CASE(test_own),          CASE(test_blocked),  CASE(test_readiness),
        CASE(test_options),      CASE(test_into),     CASE(test_close),
        CASE(test_program_ends), CASE(test_no_room),  CASE(test_again_and_again),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
