/*
 * The dataplane dies under its clients, by SIGKILL and by an orderly stop in turn, while threads of
 * this program are inside every kind of call: blocked in receive, poll and accept, sending,
 * binding, connecting, pinging, opening their first channel. Each call must end with
 * RS_DATAPLANE_GONE and nothing else, soon. Then another dataplane takes its place: the old attach
 * goes on failing cleanly, a new one works beside it, and at the end the program has what it had.
 * Arguments: how often (20).
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define GONE_NS   (10 * NS_PER_S) /* 'soon' on a loaded machine */
#define NEWCOMERS 8u

/* What a thread does until a call fails. */
struct role {
    const char *name;
    enum rs_status (*once)(struct role *role);
    struct client *client;
    struct client_socket *socket, *peer; /* peer: the other end, of streams */
    struct rs_addr to;
    struct os_thread thread;
    _Atomic uint32_t inside, ended;
    enum rs_status status;
};

static struct {
    struct rig rig;
    struct test_random random;
} test;

static struct client_socket *make_socket(struct client *client, struct rs_addr *at)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, at) == RS_OK);
    return socket;
}

static enum rs_status send_one(struct client_socket *socket, const struct rs_addr *to, size_t bytes)
{
    static const uint8_t data[2000];
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    return client_send(socket, &iov, 1, 0, to, &sent);
}

static enum rs_status recv_one(struct client_socket *socket, uint32_t flags)
{
    uint8_t data[2000];
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    size_t got = 0;
    return client_recv(socket, &iov, 1, flags, NULL, &got);
}

/* ---- connections
 * ------------------------------------------------------------------------------------------ */

static struct client_socket *make_listener(struct client *client, struct rs_addr *at)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_listen(socket, 4) == RS_OK);
    CHECK(client_local_addr(socket, at) == RS_OK);
    return socket;
}

static void make_pair(struct client *client, struct client_socket **near,
                      struct client_socket **far)
{
    struct rs_addr at;
    struct client_socket *listener = make_listener(client, &at);
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, near) == RS_OK);
    CHECK(client_connect(*near, &at) == RS_OK);
    CHECK(client_accept(listener, far, NULL) == RS_OK);
    CHECK(client_socket_close(listener) == RS_OK);
}

/* ---- roles
 * ------------------------------------------------------------------------------------------------
 */

static enum rs_status once_recv(struct role *role)
{
    return recv_one(role->socket, 0);
}

static enum rs_status once_poll(struct role *role)
{
    struct client_poll item = {.socket = role->socket, .want = RS_LEVEL_READABLE};
    uint32_t count = 0;
    enum rs_status status = client_poll(role->client, &item, 1, UINT64_MAX, &count);
    return status;
}

static enum rs_status once_send_small(struct role *role)
{
    return send_one(role->socket, &role->to, 30);
}

static enum rs_status once_send_large(struct role *role)
{
    return send_one(role->socket, &role->to, 1900);
}

static enum rs_status once_ping(struct role *role)
{
    return client_ping(role->client);
}

static enum rs_status once_churn(struct role *role)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(0xef010205u)};
    CHECK(client_socket_create(role->client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    enum rs_status status = client_bind(socket, &any);
    if (status == RS_OK) {
        status = client_connect(socket, &role->to);
    }
    if (status == RS_OK) {
        status = client_member(socket, &join);
    }
    CHECK(client_socket_close(socket) == RS_OK);
    return status;
}

static enum rs_status once_echo(struct role *role)
{
    enum rs_status status = send_one(role->socket, NULL, 700);
    return status == RS_OK ? recv_one(role->peer, 0) : status;
}

/* A connection that was reset on the way is ready; what a receive says is what counts. */
static enum rs_status once_poll_stream(struct role *role)
{
    enum rs_status status = once_poll(role);
    return status == RS_OK ? recv_one(role->socket, CLIENT_MSG_DONTWAIT) : status;
}

/* Blocks once both rings are full. */
static enum rs_status once_fill(struct role *role)
{
    return send_one(role->socket, NULL, 2000);
}

static enum rs_status once_accept(struct role *role)
{
    struct client_socket *socket = NULL;
    return client_accept(role->socket, &socket, NULL);
}

static enum rs_status once_connect(struct role *role)
{
    struct client_socket *near = NULL;
    struct client_socket *far = NULL;
    CHECK(client_socket_create(role->client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &near) == RS_OK);
    enum rs_status status = client_connect(near, &role->to);
    if (status == RS_OK) {
        status = client_accept(role->socket, &far, NULL);
    }
    if (far != NULL) {
        CHECK(client_socket_close(far) == RS_OK);
    }
    CHECK(client_socket_close(near) == RS_OK);
    return status;
}

/* Its thread has no channel before this, and gives it back at its end. */
static void newcomer_run(void *arg)
{
    struct role *role = arg;
    role->status = client_ping(role->client);
}

static enum rs_status once_newcomers(struct role *role)
{
    struct role newcomers[NEWCOMERS];
    enum rs_status status = RS_OK;
    for (uint32_t i = 0; i < NEWCOMERS; i++) {
        newcomers[i].client = role->client;
        CHECK(os_thread_start(&newcomers[i].thread, newcomer_run, &newcomers[i], "newcomer") ==
              RS_OK);
    }
    for (uint32_t i = 0; i < NEWCOMERS; i++) {
        os_thread_join(&newcomers[i].thread);
        if (newcomers[i].status != RS_OK && (status == RS_OK || status == RS_DATAPLANE_GONE)) {
            status = newcomers[i].status;
        }
    }
    return status;
}

static void role_run(void *arg)
{
    struct role *role = arg;
    enum rs_status status = RS_OK;
    atomic_store(&role->inside, 1);
    while (status == RS_OK) {
        status = role->once(role);
    }
    role->status = status;
    atomic_store(&role->ended, 1);
}

static bool role_inside(void *context)
{
    return atomic_load(&((struct role *)context)->inside) != 0;
}

static bool role_ended(void *context)
{
    return atomic_load(&((struct role *)context)->ended) != 0;
}

/* ---- one life of a dataplane
 * ------------------------------------------------------------------------------ */

enum { ROLES = 14, DATAGRAM_ROLES = 8, LISTENER_ROLES = 2 }; /* the listeners' are the last */

static void roles_start(struct client *client, struct role roles[ROLES])
{
    static const struct role kinds[ROLES] = {
        {.name = "a blocked receive", .once = once_recv},
        {.name = "a blocked poll", .once = once_poll},
        {.name = "a receive under traffic", .once = once_recv},
        {.name = "a sender of small datagrams", .once = once_send_small},
        {.name = "a sender of large datagrams", .once = once_send_large},
        {.name = "a pinger", .once = once_ping},
        {.name = "bind, connect, join, close", .once = once_churn},
        {.name = "threads that come", .once = once_newcomers},
        {.name = "a connection's blocked receive", .once = once_recv},
        {.name = "a poll blocked on a connection", .once = once_poll_stream},
        {.name = "a connection at work", .once = once_echo},
        {.name = "a sender that nobody reads", .once = once_fill},
        {.name = "a blocked accept", .once = once_accept},
        {.name = "connect, accept, close", .once = once_connect},
    };
    struct rs_addr at[ROLES];
    for (uint32_t i = 0; i < ROLES; i++) {
        memcpy(&roles[i], &kinds[i], sizeof(roles[i]));
        roles[i].client = client;
        if (i < DATAGRAM_ROLES) {
            roles[i].socket = make_socket(client, &at[i]);
        } else if (i < ROLES - LISTENER_ROLES) {
            make_pair(client, &roles[i].socket, &roles[i].peer);
        } else {
            roles[i].socket = make_listener(client, &at[i]);
        }
    }
    for (uint32_t i = 0; i < ROLES; i++) {
        roles[i].to = i < DATAGRAM_ROLES ? at[2] : at[i];
        CHECK(os_thread_start(&roles[i].thread, role_run, &roles[i], "role") == RS_OK);
    }
    for (uint32_t i = 0; i < ROLES; i++) {
        rig_await(role_inside, &roles[i], GONE_NS, roles[i].name);
    }
}

static void roles_end(struct role roles[ROLES])
{
    for (uint32_t i = 0; i < ROLES; i++) {
        rig_await(role_ended, &roles[i], GONE_NS, roles[i].name);
        os_thread_join(&roles[i].thread);
        if (roles[i].status != RS_DATAPLANE_GONE) {
            fprintf(stderr, "%s got %s when the dataplane ended: %s\n", roles[i].name,
                    rs_status_name(roles[i].status), client_last_error_text());
        }
        CHECK(roles[i].status == RS_DATAPLANE_GONE);
    }
}

static void must_be_gone(enum rs_status status, const char *what)
{
    if (status != RS_DATAPLANE_GONE) {
        fprintf(stderr, "%s after the dataplane's end: %s\n", what, rs_status_name(status));
    }
    CHECK(status == RS_DATAPLANE_GONE);
}

/* Every call on what belonged to the dead one says so, and none hangs. */
static void old_fails(struct client *client, const struct role roles[ROLES])
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    struct client_poll item = {.socket = roles[0].socket, .want = RS_LEVEL_READABLE};
    uint32_t count = 0;
    CHECK(!client_alive(client));
    must_be_gone(send_one(roles[1].socket, &roles[1].to, 10), "a small send");
    must_be_gone(send_one(roles[1].socket, &roles[1].to, 1000), "a large send");
    must_be_gone(recv_one(roles[0].socket, 0), "a blocking receive");
    must_be_gone(recv_one(roles[0].socket, CLIENT_MSG_DONTWAIT), "a receive");
    must_be_gone(client_poll(client, &item, 1, 0, &count), "a look");
    must_be_gone(client_poll(client, &item, 1, UINT64_MAX, &count), "a poll");
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    must_be_gone(client_bind(socket, &any), "a bind");
    CHECK(client_socket_close(socket) == RS_OK);
    must_be_gone(client_set_option(roles[0].socket, RS_OPT_TTL, 3), "an option");
    const struct role *connection = &roles[DATAGRAM_ROLES];
    const struct role *listener = &roles[ROLES - LISTENER_ROLES]; /* nothing waits there */
    must_be_gone(send_one(connection->socket, NULL, 10), "a stream's send");
    must_be_gone(recv_one(connection->socket, 0), "a stream's blocking receive");
    must_be_gone(recv_one(connection->socket, CLIENT_MSG_DONTWAIT), "a stream's receive");
    must_be_gone(client_shutdown(connection->socket, CLIENT_SHUT_SEND), "a shutdown");
    must_be_gone(client_accept(listener->socket, &socket, NULL), "an accept");
    must_be_gone(client_listen(listener->socket, 2), "a listen");
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) == RS_OK);
    must_be_gone(client_connect(socket, &listener->to), "a connect");
    CHECK(client_socket_close(socket) == RS_OK);
    must_be_gone(client_ping(client), "a ping");
}

static struct client *attach(uint64_t *epoch, int64_t spin_us)
{
    struct client *client = NULL;
    struct client_info info;
    const struct client_config config = {.spin_us = spin_us, .yield_in_spin = -1};
    enum rs_status status = client_open(&config, &client);
    if (status != RS_OK) {
        fprintf(stderr, "attach: %s: %s\n", rs_status_name(status), client_last_error_text());
    }
    CHECK(status == RS_OK);
    client_get_info(client, &info);
    CHECK(info.epoch != *epoch);
    *epoch = info.epoch;
    return client;
}

static void new_works(struct client *client)
{
    struct rs_addr at;
    struct client_socket *socket = make_socket(client, &at);
    CHECK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, 10000) == RS_OK);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(send_one(socket, &at, i % 2 == 0 ? 8 : 1000) == RS_OK);
        CHECK(recv_one(socket, 0) == RS_OK);
    }
    CHECK(client_socket_close(socket) == RS_OK);
    struct role pair = {0};
    make_pair(client, &pair.socket, &pair.peer);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(once_echo(&pair) == RS_OK);
    }
    CHECK(client_socket_close(pair.socket) == RS_OK);
    CHECK(client_socket_close(pair.peer) == RS_OK);
}

/* client is attached to the dataplane that runs. Returns the attach to the next one. */
static struct client *cycle(struct client *client, uint64_t *epoch, uint32_t number)
{
    static const int64_t spins[3] = {0, -1, (int64_t)RS_SPIN_FOREVER};
    struct role roles[ROLES];
    roles_start(client, roles);
    os_sleep_ns(test_random_below(&test.random, 20) * NS_PER_MS);
    if (number % 2 == 0) {
        rig_kill(&test.rig);
    } else {
        rig_stop(&test.rig);
    }
    roles_end(roles);
    old_fails(client, roles);
    rig_start(&test.rig);
    struct client *next = attach(epoch, spins[number % 3]);
    new_works(next);
    old_fails(client, roles);
    CHECK(client_socket_close(roles[0].socket) == RS_OK);
    CHECK(client_socket_close(roles[DATAGRAM_ROLES].socket) == RS_OK);
    client_close(client);
    new_works(next);
    return next;
}

int main(int argc, char **argv)
{
    uint32_t cycles = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20;
    uint64_t epoch = 0;
    struct rig_usage before = {0};
    test.random = test_random_make(test_random_seed("crash.restart"));
    rig_create(&test.rig, "sessions = 4\nsockets = 128\nchannels = 24\n"
                          "recv_ring_bytes = 64 KiB\nsend_ring_bytes = 64 KiB\n");
    rig_start(&test.rig);
    struct client *client = attach(&epoch, -1);
    for (uint32_t i = 0; i < cycles; i++) {
        client = cycle(client, &epoch, i);
        if (i == 3) { /* heap and threads' records have their size */
            before = rig_usage(getpid());
            rig_usage_print("this program after four restarts", &before);
        }
    }
    struct rig_usage after = rig_usage(getpid());
    rig_usage_print("at the end", &after);
    CHECK(cycles <= 4 || (after.fds == before.fds && rig_same_memory(&before, &after)));
    client_close(client);
    rig_stop(&test.rig);
    rig_remove(&test.rig);
    printf("%" PRIu32 " restarts\n", cycles);
    return 0;
}
