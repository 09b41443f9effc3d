/* See victim.h. Each thread has sockets of its own; all share two, which are never closed. What its
 * calls answer matters to nobody: that it goes on is enough. */
#include "tests/crash/victim.h"

#include <stdio.h>
#include <string.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/rig.h"
#include "tests/crash/witness.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define THREADS_MOST   4u
#define SOCKETS        6u
#define DATAGRAM_MOST  20000u
#define ATTACH_TRY_MS  20u
#define UNUSED(status) ((void)!(status))

struct actor {
    struct victim *victim;
    struct test_random random;
    struct client_socket *sockets[SOCKETS]; /* NULL: none there */
    bool deaf;                              /* never receives */
    struct os_thread thread;
};

static struct client *client;
static struct client_socket *shared[2];

static void step(struct actor *actor)
{
    atomic_fetch_add(&actor->victim->steps, 1);
}

static struct rs_addr some_addr(struct actor *actor)
{
    uint32_t port = VICTIM_PORT_FIRST + test_random_below(&actor->random, VICTIM_PORTS);
    bool group = test_random_below(&actor->random, 4) == 0;
    return rs_addr_v4(group ? VICTIM_GROUP : RIG_LOCAL, rs_be16((uint16_t)port));
}

static struct client_socket *make_socket(struct actor *actor)
{
    struct client_socket *socket = NULL;
    if (client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) != RS_OK) {
        return NULL;
    }
    UNUSED(client_set_option(socket, RS_OPT_REUSEADDR, test_random_below(&actor->random, 2)));
    UNUSED(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS,
                             1 + test_random_below(&actor->random, 8)));
    UNUSED(client_set_option(socket, CLIENT_OPT_SEND_TIMEOUT_MS,
                             1 + test_random_below(&actor->random, 8)));
    if (test_random_below(&actor->random, 4) == 0) {
        UNUSED(client_set_option(socket, RS_OPT_RCVBUF,
                                 1u << (12 + test_random_below(&actor->random, 9))));
    }
    return socket;
}

static void act_bind(struct actor *actor, struct client_socket *socket)
{
    uint32_t kind = test_random_below(&actor->random, 3);
    struct rs_addr at = some_addr(actor);
    at.ip.v4_be32 = kind == 0 ? 0 : RIG_LOCAL;
    at.port_be16 = kind == 1 ? 0 : at.port_be16;
    UNUSED(client_bind(socket, &at));
}

static void act_member(struct actor *actor, struct client_socket *socket)
{
    uint32_t kind = test_random_below(&actor->random, 8);
    struct rs_op_member op = {.action = kind < 5 ? RS_MEMBER_JOIN : RS_MEMBER_LEAVE,
                              .group_be32 = kind % 2 == 0 ? VICTIM_GROUP : WITNESS_GROUP};
    if (kind == 7) {
        op.action = RS_MEMBER_JOIN_SOURCE;
        op.source_be32 = RIG_LOCAL;
    }
    UNUSED(client_member(socket, &op));
}

/* Bursts of small ones, which ride inside slots, and of large ones. */
static void act_send(struct actor *actor, struct client_socket *socket)
{
    static const uint8_t data[DATAGRAM_MOST];
    struct rs_addr to = some_addr(actor);
    bool small = test_random_below(&actor->random, 2) == 0;
    uint32_t count = 1 + test_random_below(&actor->random, 20);
    size_t sent = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct client_iov iov = {.base = (void *)(uintptr_t)data,
                                 .len_bytes =
                                     test_random_below(&actor->random, small ? 41 : DATAGRAM_MOST)};
        UNUSED(client_send(socket, &iov, 1, 0, &to, &sent));
    }
}

static void act_recv(struct actor *actor, struct client_socket *socket)
{
    static _Thread_local uint8_t data[DATAGRAM_MOST];
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    uint32_t flags = test_random_below(&actor->random, 3) != 0 ? CLIENT_MSG_DONTWAIT : 0;
    size_t got = 0;
    for (uint32_t i = test_random_below(&actor->random, 16); i != 0; i--) {
        UNUSED(client_recv(socket, &iov, 1, flags, NULL, &got));
    }
}

static void act_poll(struct actor *actor)
{
    struct client_poll items[SOCKETS + 2];
    uint32_t count = 0;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < SOCKETS + 2; i++) {
        struct client_socket *socket = i < SOCKETS ? actor->sockets[i] : shared[i - SOCKETS];
        items[count++] = (struct client_poll){
            .socket = socket, .want = RS_LEVEL_READABLE | (i == 0 ? RS_LEVEL_WRITABLE : 0)};
    }
    UNUSED(client_poll(client, items, count, test_random_below(&actor->random, 4) * NS_PER_MS,
                       &ready));
}

static void act(struct actor *actor)
{
    uint32_t place = test_random_below(&actor->random, SOCKETS + 2);
    struct client_socket *socket =
        place < SOCKETS ? actor->sockets[place] : shared[place - SOCKETS];
    uint32_t kind = test_random_below(&actor->random, 16);
    step(actor);
    if (socket == NULL) {
        actor->sockets[place] = make_socket(actor);
    } else if (kind < 2) {
        act_bind(actor, socket);
    } else if (kind < 4) {
        act_member(actor, socket);
    } else if (kind < 8) {
        act_send(actor, socket);
    } else if (kind < 11) {
        if (!actor->deaf) {
            act_recv(actor, socket);
        }
    } else if (kind == 11) {
        act_poll(actor);
    } else if (kind == 12) {
        struct rs_addr to = some_addr(actor);
        UNUSED(client_connect(socket, &to));
    } else if (kind == 13) {
        UNUSED(client_ping(client));
    } else if (place < SOCKETS) {
        UNUSED(client_socket_close(socket));
        actor->sockets[place] = NULL;
    }
}

static void actor_run(void *arg)
{
    struct actor *actor = arg;
    for (;;) {
        act(actor);
    }
}

int victim_run(void *arg)
{
    struct actor actors[THREADS_MOST] = {{0}};
    struct victim *victim = arg;
    struct test_random random = test_random_make(victim->seed);
    const struct client_config config = {.spin_us = test_random_below(&random, 3) == 0 ? 0 : -1,
                                         .yield_in_spin = -1};
    atomic_fetch_add(&victim->steps, 1);
    while (client_open(&config, &client) != RS_OK) { /* refused while others still end */
        os_sleep_ns(ATTACH_TRY_MS * NS_PER_MS);
    }
    uint32_t threads = 1 + test_random_below(&random, THREADS_MOST);
    for (uint32_t i = 0; i < threads; i++) {
        actors[i] = (struct actor){.victim = victim,
                                   .random = test_random_make(test_random_u64(&random)),
                                   .deaf = test_random_below(&random, 4) == 0};
    }
    for (uint32_t i = 0; i < 2; i++) {
        shared[i] = make_socket(&actors[0]);
        CHECK(shared[i] != NULL);
    }
    for (uint32_t i = 1; i < threads; i++) {
        CHECK(os_thread_start(&actors[i].thread, actor_run, &actors[i], "victim") == RS_OK);
    }
    actor_run(&actors[0]);
    return 0;
}
