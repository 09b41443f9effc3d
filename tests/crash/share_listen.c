/*
 * Processes that share a listening socket and are killed at random moments, one after the other:
 * while one opens its descriptor, or shares it, or accepts, or is stopped. The others go on
 * accepting, no connection is accepted twice, each that no answer comes from is reset, and there
 * are no more of those than a dead process can have had; with the last process the listener ends,
 * and what waits at it, and the dataplane has all back. The first process makes the listener, the
 * parent connects; in half of the rounds also before the listener is shared. Argument: how many
 * listeners.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/share_kit.h"
#include "tests/support/check.h"

#define HOLDERS_MAX 3u
#define WAITING     4u  /* connections at a time */
#define SERVED_MAX  24u /* connections of a holder's life before one is killed, at most */
#define GOES_ON     8u  /* connections that those who are left still serve */
#define MOMENT_NS   300000u
#define IDS         256u /* connections of a round, at most */
#define WARM_UP     4u
/* What a killed process can take along: the connection that it serves or has just closed, and the
 * one that it was accepting. */
#define LOST_BY_ONE 2u

enum holder_step { HOLDER_STARTS, HOLDER_ATTACHED, HOLDER_ACCEPTS };

/* Shared with the children. */
struct hand_over {
    _Atomic uint32_t pids_known, may_share, shared;
    _Atomic uint32_t port_be16; /* 0: not yet */
    _Atomic uint32_t step[HOLDERS_MAX], failed[HOLDERS_MAX];
    _Atomic uint32_t accepted[IDS], served;
    pid_t pids[HOLDERS_MAX];
    struct client_share_info info[HOLDERS_MAX];
    uint32_t holders;
};

struct child {
    struct hand_over *hand_over;
    uint32_t number;
};

struct connection {
    struct client_socket *socket;
    uint32_t id;
};

static struct {
    struct share_world world;
    struct hand_over *hand_over;
    struct rs_addr at;
    pid_t pids[HOLDERS_MAX];
    uint32_t living[HOLDERS_MAX], living_count;
    uint32_t next_id, lost, lost_most;
    uint64_t lost_in_all;
    struct connection waiting[2 * WAITING];
    uint32_t waiting_count;
} test;

/* ---- a holder ---- */

static void await_word(const _Atomic uint32_t *word)
{
    while (atomic_load(word) == 0) {
        os_yield();
    }
}

/* The first one: makes the listener, and shares it with the others. */
static enum rs_status holder_make(struct hand_over *hand_over, struct client *client,
                                  struct client_socket **listener)
{
    struct rs_addr at = rs_addr_v4(RIG_LOCAL, 0);
    enum rs_status status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, listener);
    if (status == RS_OK) {
        status = client_bind(*listener, &at);
    }
    if (status == RS_OK) {
        status = client_listen(*listener, 2 * WAITING);
    }
    if (status == RS_OK) {
        status = client_local_addr(*listener, &at);
    }
    if (status != RS_OK) {
        return status;
    }
    atomic_store(&hand_over->port_be16, at.port_be16);
    await_word(&hand_over->may_share);
    for (uint32_t i = 1; i < hand_over->holders && status == RS_OK; i++) {
        status = client_share(*listener, (uint32_t)hand_over->pids[i], &hand_over->info[i]);
    }
    if (status == RS_OK) {
        atomic_store(&hand_over->shared, 1);
    }
    return status;
}

/* Takes a connection, its number, and answers that. */
static enum rs_status holder_serve(struct hand_over *hand_over, struct client_socket *listener)
{
    struct client_socket *socket = NULL;
    uint32_t id = 0;
    size_t bytes = 0;
    struct client_iov iov = {.base = &id, .len_bytes = sizeof(id)};
    enum rs_status status = client_accept(listener, &socket, NULL);
    if (status != RS_OK) {
        return status;
    }
    status = client_recv(socket, &iov, 1, CLIENT_MSG_WAITALL, NULL, &bytes);
    if (status == RS_OK && (bytes != sizeof(id) || id >= IDS)) {
        status = RS_CORRUPT;
    }
    if (status == RS_OK) {
        atomic_fetch_add(&hand_over->accepted[id], 1);
        atomic_fetch_add(&hand_over->served, 1);
        status = client_send(socket, &iov, 1, CLIENT_MSG_WAIT, NULL, &bytes);
    }
    enum rs_status closed = client_socket_close(socket);
    return status == RS_OK ? closed : status;
}

static int holder_run(void *arg)
{
    const struct child *child = arg;
    struct hand_over *hand_over = child->hand_over;
    struct client *client = NULL;
    struct client_socket *listener = NULL;
    await_word(&hand_over->pids_known);
    enum rs_status status = client_open(NULL, &client);
    if (status == RS_OK && child->number == 0) {
        atomic_store(&hand_over->step[0], HOLDER_ATTACHED);
        status = holder_make(hand_over, client, &listener);
    } else if (status == RS_OK) {
        await_word(&hand_over->shared);
        atomic_store(&hand_over->step[child->number], HOLDER_ATTACHED);
        status = client_share_open(client, &hand_over->info[child->number], &listener);
    }
    atomic_store(&hand_over->step[child->number], HOLDER_ACCEPTS);
    while (status == RS_OK) {
        status = holder_serve(hand_over, listener);
    }
    atomic_store(&hand_over->failed[child->number], (uint32_t)status);
    return 1;
}

/* ---- the parent connects ---- */

static void say_holders(void)
{
    static const char *const steps[] = {"attaching", "opening or sharing", "accepting"};
    for (uint32_t i = 0; i < test.living_count; i++) {
        uint32_t number = test.living[i];
        enum rs_status failed = (enum rs_status)atomic_load(&test.hand_over->failed[number]);
        fprintf(stderr, "holder %u of %u lives: %s%s%s\n", number, test.hand_over->holders,
                steps[atomic_load(&test.hand_over->step[number])],
                failed != RS_OK ? " failed: " : "", failed != RS_OK ? rs_status_name(failed) : "");
    }
}

static void connect_some(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct connection *connection = &test.waiting[test.waiting_count++];
        size_t sent = 0;
        CHECK(test.next_id < IDS && test.waiting_count <= 2 * WAITING);
        connection->id = test.next_id++;
        connection->socket = share_make_stream(&test.world);
        struct client_iov iov = {.base = &connection->id, .len_bytes = sizeof(connection->id)};
        enum rs_status status = client_connect(connection->socket, &test.at);
        if (status != RS_OK) {
            fprintf(stderr, "connection %u: %s\n", connection->id, rs_status_name(status));
            say_holders();
            CHECK(!"connect while somebody listens");
        }
        status = client_send(connection->socket, &iov, 1, CLIENT_MSG_WAIT, NULL, &sent);
        CHECK(status == RS_OK || status == RS_CONN_RESET);
    }
}

/* Its answer, or its reset: a dead process had it. */
static void take_answer(struct connection *connection)
{
    uint32_t id = IDS;
    size_t bytes = 0;
    struct client_iov iov = {.base = &id, .len_bytes = sizeof(id)};
    enum rs_status status =
        client_recv(connection->socket, &iov, 1, CLIENT_MSG_WAITALL, NULL, &bytes);
    uint32_t accepted = atomic_load(&test.hand_over->accepted[connection->id]);
    bool answered = status == RS_OK && bytes == sizeof(id) && id == connection->id;
    if ((!answered && status != RS_CONN_RESET) || accepted > 1 || (answered && accepted != 1)) {
        fprintf(stderr, "connection %u of %u: %s, %zu bytes, accepted %u times\n", connection->id,
                test.next_id, rs_status_name(status), bytes, accepted);
        say_holders();
        CHECK(!"each connection is accepted once or reset");
    }
    test.lost += !answered;
    CHECK(client_socket_close(connection->socket) == RS_OK);
}

static void take_answers(void)
{
    for (uint32_t i = 0; i < test.waiting_count; i++) {
        take_answer(&test.waiting[i]);
    }
    test.waiting_count = 0;
    if (test.lost > test.lost_most) {
        fprintf(stderr, "%u connections were lost; the dead can have had %u\n", test.lost,
                test.lost_most);
        say_holders();
        CHECK(!"living holders lose nothing");
    }
}

static void serve(uint32_t count)
{
    for (uint32_t done = 0; done < count; done += WAITING) {
        connect_some(WAITING);
        take_answers();
    }
}

/* ---- a round ---- */

static bool has_step(void *context)
{
    const uint32_t *number_and_step = context;
    return atomic_load(&test.hand_over->step[number_and_step[0]]) >= number_and_step[1] ||
           atomic_load(&test.hand_over->failed[number_and_step[0]]) != RS_OK;
}

static bool listens(void *context)
{
    (void)context;
    return atomic_load(&test.hand_over->port_be16) != 0;
}

static bool is_refused(void *context)
{
    struct client_socket *socket = share_make_stream(&test.world);
    (void)context;
    enum rs_status status = client_connect(socket, &test.at);
    CHECK(client_socket_close(socket) == RS_OK);
    return status == RS_CONN_REFUSED;
}

static void kill_holder(uint32_t living_idx)
{
    uint32_t number = test.living[living_idx];
    share_kill(test.pids[number], test_random_below(&test.world.random, 4) == 0);
    test.living[living_idx] = test.living[--test.living_count];
}

/* Time passes that a process needs for a part of what it does. */
static void a_moment(void)
{
    uint64_t end_ns = os_monotonic_ns() + test_random_below(&test.world.random, MOMENT_NS);
    while (os_monotonic_ns() < end_ns) {
        os_yield();
    }
}

/* early: some connections wait when the listener is shared. */
static void round_begin(struct child *children, bool early)
{
    struct hand_over *hand_over = test.hand_over;
    memset(hand_over, 0, sizeof(*hand_over));
    hand_over->holders = 2 + test_random_below(&test.world.random, HOLDERS_MAX - 1);
    test.next_id = test.lost = test.lost_most = 0;
    test.living_count = hand_over->holders;
    for (uint32_t i = 0; i < hand_over->holders; i++) {
        children[i] = (struct child){hand_over, i};
        test.living[i] = i;
        test.pids[i] = hand_over->pids[i] = rig_fork(holder_run, &children[i]);
    }
    atomic_store(&hand_over->pids_known, 1);
    rig_await(listens, NULL, SHARE_SOON_NS, "a process to listen");
    test.at = rs_addr_v4(RIG_LOCAL, (uint16_t)atomic_load(&hand_over->port_be16));
    if (early) {
        connect_some(WAITING);
    }
    atomic_store(&hand_over->may_share, 1);
}

static void round_run(uint32_t number)
{
    struct child children[HOLDERS_MAX];
    bool early = test_random_below(&test.world.random, 2) == 0;
    round_begin(children, early);
    uint32_t victim = test_random_below(&test.world.random, test.living_count);
    if (number % 3 == 0 && victim != 0) { /* while it opens its descriptor */
        rig_await(has_step, (uint32_t[]){victim, HOLDER_ATTACHED}, SHARE_SOON_NS,
                  "a process to attach");
    } else {
        for (uint32_t i = 0; i < test.living_count; i++) {
            rig_await(has_step, (uint32_t[]){i, HOLDER_ACCEPTS}, SHARE_SOON_NS,
                      "processes to accept");
        }
        if (!early || victim != 0) { /* else those that wait are still with who shared it */
            take_answers();
            serve(test_random_below(&test.world.random, SERVED_MAX));
            connect_some(WAITING);
        }
    }
    for (;;) {
        test.lost_most += LOST_BY_ONE + (early && victim == 0 ? WAITING : 0);
        a_moment();
        kill_holder(victim);
        take_answers();
        serve(GOES_ON);
        if (test.living_count == 1) {
            break;
        }
        victim = test_random_below(&test.world.random, test.living_count);
        connect_some(WAITING);
        early = false;
    }
    CHECK(kill(test.pids[test.living[0]], SIGSTOP) == 0);
    connect_some(WAITING);
    test.lost_in_all += test.lost;
    test.lost_most += WAITING;
    kill_holder(0);
    take_answers();
    rig_await(is_refused, NULL, SHARE_SOON_NS, "the listener of dead processes to end");
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    test.hand_over = share_world_open(&test.world, "crash.share_listen", "", RIG_QUEUES_MAX,
                                      sizeof(*test.hand_over));
    for (uint32_t i = 0; i < rounds + WARM_UP; i++) {
        if (i == WARM_UP) {
            share_world_measure(&test.world);
        }
        round_run(i);
    }
    share_world_close(&test.world, "shared listeners");
    printf("%llu listeners, %llu connections gone with a process beside others\n",
           (unsigned long long)rounds, (unsigned long long)test.lost_in_all);
    return 0;
}
