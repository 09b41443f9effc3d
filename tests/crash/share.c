/*
 * Processes that share a connection and are killed at random moments: while one opens its
 * descriptor, sends, or is stopped; and that are killed before they open what they were granted.
 * The other one's bytes go on in order and none is missing, the connection ends with the last of
 * them, and the dataplane has all back. The parent is the peer. Argument: how many pairs of
 * processes.
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

#define TWO        2u
#define MOMENTS    3000u /* bytes of a process after which it is killed, at most */
#define GOES_ON    200u  /* bytes that the survivor still sends */
#define WARM_UP    5u
#define ID_BIT     0x80u /* of a byte: whose; the others count */
#define COUNT_BITS 0x7fu

/* What a child does, and how the call that ended it went: it may have been refused something, which
 * the peer sees as bytes that do not come. */
enum child_step { CHILD_STARTS, CHILD_OPENS, CHILD_SENDS, CHILD_DETACHED };

/* Shared with both children. */
struct hand_over {
    _Atomic uint32_t ready, step[TWO], failed[TWO];
    _Atomic uint64_t sent[TWO];
    struct client_share_info info[TWO];
};

struct child {
    struct hand_over *hand_over;
    uint32_t number;
};

static struct {
    struct share_world world;
    struct client_socket *listener;
    struct rs_addr at;
    struct hand_over *hand_over;
    uint8_t next[TWO]; /* counts that come next */
    uint64_t got[TWO];
    const char *waits_for;
} test;

/* ---- a child: opens what it was granted and sends until it is killed ---- */

static int child_failed(const struct child *child, enum rs_status status)
{
    atomic_store(&child->hand_over->failed[child->number], (uint32_t)status);
    return 1;
}

static int child_run(void *arg)
{
    const struct child *child = arg;
    struct hand_over *hand_over = child->hand_over;
    enum rs_status status;
    struct client *client = NULL;
    struct client_socket *socket = NULL;
    while (atomic_load(&hand_over->ready) == 0) {
        os_yield();
    }
    status = client_open(NULL, &client);
    if (status != RS_OK) {
        return child_failed(child, status);
    }
    atomic_store(&hand_over->step[child->number], CHILD_OPENS);
    status = client_share_open(client, &hand_over->info[child->number], &socket);
    if (status != RS_OK) {
        return child_failed(child, status);
    }
    atomic_store(&hand_over->step[child->number], CHILD_SENDS);
    for (uint8_t count = 0;; count = (uint8_t)((count + 1) & COUNT_BITS)) {
        uint8_t byte = (uint8_t)(count | (child->number != 0 ? ID_BIT : 0));
        size_t sent = 0;
        struct client_iov iov = {.base = &byte, .len_bytes = 1};
        status = client_send(socket, &iov, 1, CLIENT_MSG_WAIT, NULL, &sent);
        if (status != RS_OK) {
            return child_failed(child, status);
        }
        atomic_fetch_add(&hand_over->sent[child->number], 1);
    }
}

/* Two that never open what they were granted. */
static int child_waits(void *arg)
{
    (void)arg;
    while (pause() != 0) {
        /* the parent kills it */
    }
    return 0;
}

static int child_detaches(void *arg)
{
    const struct child *child = arg;
    struct client *client = NULL;
    enum rs_status status = client_open(NULL, &client);
    if (status != RS_OK) {
        return child_failed(child, status);
    }
    client_close(client);
    atomic_store(&child->hand_over->step[child->number], CHILD_DETACHED);
    return child_waits(NULL);
}

/* ---- the peer ---- */

/* Whose fault it is that bytes do not come: nobody ends a child but the test. */
static void say_children(void)
{
    static const char *const steps[] = {"attaching", "opening its descriptor", "sending",
                                        "detached"};
    for (uint32_t i = 0; i < TWO; i++) {
        enum rs_status failed = (enum rs_status)atomic_load(&test.hand_over->failed[i]);
        fprintf(stderr, "process %u: %s%s%s, sent %llu bytes, %llu came\n", i,
                steps[atomic_load(&test.hand_over->step[i])], failed != RS_OK ? " failed: " : "",
                failed != RS_OK ? rs_status_name(failed) : "",
                (unsigned long long)atomic_load(&test.hand_over->sent[i]),
                (unsigned long long)test.got[i]);
    }
}

/* What came, checked. The receive's status; RS_CONN_RESET: the end. */
static enum rs_status take(struct client_socket *peer)
{
    uint8_t data[256];
    size_t got = 0;
    struct client_iov iov = {.base = data, .len_bytes = sizeof(data)};
    enum rs_status status = client_recv(peer, &iov, 1, 0, NULL, &got);
    for (size_t i = 0; i < got; i++) {
        uint32_t from = (data[i] & ID_BIT) != 0;
        if ((data[i] & COUNT_BITS) != test.next[from]) {
            fprintf(stderr, "process %u: byte %u came instead of %u\n", from, data[i] & COUNT_BITS,
                    test.next[from]);
            CHECK(!"bytes in order");
        }
        test.next[from] = (uint8_t)((test.next[from] + 1) & COUNT_BITS);
        test.got[from]++;
    }
    if (status == RS_TIMED_OUT) {
        fprintf(stderr, "waited %llu ms for %s\n", (unsigned long long)(SHARE_SOON_NS / NS_PER_MS),
                test.waits_for);
        say_children();
    }
    CHECK(status != RS_TIMED_OUT);
    CHECK(status != RS_OK || got != 0);
    return status;
}

static void take_until(struct client_socket *peer, uint32_t from, uint64_t count)
{
    test.waits_for = from == 0 ? "process 0" : "process 1";
    while (test.got[from] < count) {
        enum rs_status status = take(peer);
        if (status != RS_OK) {
            fprintf(stderr, "waiting for %s: %s\n", test.waits_for, rs_status_name(status));
            say_children();
            CHECK(!"bytes go on");
        }
    }
}

/* Or was refused. */
static bool has_attached(void *context)
{
    uint32_t number = *(const uint32_t *)context;
    return atomic_load(&test.hand_over->step[number]) != CHILD_STARTS ||
           atomic_load(&test.hand_over->failed[number]) != RS_OK;
}

/* A new connection; returns the end that is to be shared. */
static struct client_socket *round_begin(struct client_socket **peer)
{
    struct client_socket *socket = share_make_stream(&test.world);
    memset(test.hand_over, 0, sizeof(*test.hand_over));
    memset(test.next, 0, sizeof(test.next));
    memset(test.got, 0, sizeof(test.got));
    CHECK(client_connect(socket, &test.at) == RS_OK);
    CHECK(client_accept(test.listener, peer, NULL) == RS_OK);
    CHECK(client_set_option(*peer, CLIENT_OPT_RECV_TIMEOUT_MS,
                            (uint32_t)(SHARE_SOON_NS / NS_PER_MS)) == RS_OK);
    return socket;
}

static bool only_we_are_attached(void *context)
{
    struct rig_tables now;
    (void)context;
    rig_tables(&test.world.rig, &now);
    return strstr(now.in_use, "\"sessions\": 1,") != NULL;
}

static bool has_detached(void *context)
{
    return atomic_load(&test.hand_over->step[0]) == CHILD_DETACHED || has_attached(context);
}

/* A grant ends with the process that has it, whether that has no session yet (entry child_waits) or
 * none any more (child_detaches): the connection ends, for nobody else has it. */
static void round_of_a_grant(int (*entry)(void *))
{
    struct child child = {test.hand_over, 0};
    struct client_socket *peer = NULL;
    struct client_socket *socket = round_begin(&peer);
    uint8_t byte;
    size_t got = 0;
    uint32_t first = 0;
    struct client_iov iov = {.base = &byte, .len_bytes = 1};
    pid_t pid = rig_fork(entry, &child);
    CHECK(client_share(socket, (uint32_t)pid, &test.hand_over->info[0]) == RS_OK);
    CHECK(client_socket_close(socket) == RS_OK);
    if (entry == child_detaches) {
        rig_await(has_detached, &first, SHARE_SOON_NS, "a process to attach and detach");
        rig_await(only_we_are_attached, NULL, SHARE_SOON_NS, "its session to end");
    }
    share_kill(pid, false);
    enum rs_status status = client_recv(peer, &iov, 1, 0, NULL, &got);
    if (status != RS_OK) {
        fprintf(
            stderr, "a process died that %s, and the connection it was granted did not end: %s\n",
            entry == child_detaches ? "had detached" : "had not attached", rs_status_name(status));
    }
    CHECK(status == RS_OK && got == 0);
    CHECK(client_socket_close(peer) == RS_OK);
}

static void round_run(uint32_t number)
{
    struct child children[TWO] = {{test.hand_over, 0}, {test.hand_over, 1}};
    pid_t pids[TWO];
    struct client_socket *peer = NULL;
    struct client_socket *socket = round_begin(&peer);
    for (uint32_t i = 0; i < TWO; i++) {
        pids[i] = rig_fork(child_run, &children[i]);
        CHECK(client_share(socket, (uint32_t)pids[i], &test.hand_over->info[i]) == RS_OK);
    }
    CHECK(client_socket_close(socket) == RS_OK);
    atomic_store(&test.hand_over->ready, 1);
    uint32_t first = test_random_below(&test.world.random, TWO);
    if (number % 3 == 0) { /* while it opens its descriptor */
        rig_await(has_attached, &first, SHARE_SOON_NS, "a process to attach");
    } else {
        take_until(peer, first, 1);
        take_until(peer, 1 - first, test_random_below(&test.world.random, MOMENTS) + 1);
    }
    share_kill(pids[first], test_random_below(&test.world.random, 4) == 0);
    take_until(peer, 1 - first, test.got[1 - first] + GOES_ON);
    share_kill(pids[1 - first], test_random_below(&test.world.random, 4) == 0);
    enum rs_status status;
    test.waits_for = "the end of the connection";
    do {
        status = take(peer);
    } while (status == RS_OK);
    CHECK(status == RS_CONN_RESET);
    CHECK(client_socket_close(peer) == RS_OK);
}

static bool port_is_free(void *context)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(test.world.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    enum rs_status status = client_bind(socket, context);
    CHECK(client_socket_close(socket) == RS_OK);
    return status == RS_OK;
}

static struct client_socket *make_bound(struct rs_addr *at)
{
    struct client_socket *socket = NULL;
    struct rs_addr any = rs_addr_v4(RIG_LOCAL, 0);
    CHECK(client_socket_create(test.world.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
    CHECK(client_bind(socket, &any) == RS_OK);
    CHECK(client_local_addr(socket, at) == RS_OK);
    return socket;
}

/* Datagrams that find the ring full are lost: what comes is from whoever lives. */
static void take_datagrams(struct client_socket *peer, uint32_t from, uint32_t count)
{
    while (count != 0) {
        uint8_t byte = 0;
        size_t got = 0;
        struct client_iov iov = {.base = &byte, .len_bytes = 1};
        enum rs_status status = client_recv(peer, &iov, 1, 0, NULL, &got);
        if (status != RS_OK || got != 1) {
            fprintf(stderr, "waiting for datagrams of process %u: %s\n", from,
                    rs_status_name(status));
            say_children();
            CHECK(!"datagrams go on");
        }
        count -= ((byte & ID_BIT) != 0) == (from != 0);
    }
}

/* A datagram socket that both send from, killed one after the other: the port ends with the last.
 */
static void round_of_datagrams(void)
{
    struct child children[TWO] = {{test.hand_over, 0}, {test.hand_over, 1}};
    struct rs_addr at, to;
    pid_t pids[TWO];
    struct client_socket *peer = make_bound(&to);
    struct client_socket *socket = make_bound(&at);
    CHECK(client_set_option(peer, CLIENT_OPT_RECV_TIMEOUT_MS,
                            (uint32_t)(SHARE_SOON_NS / NS_PER_MS)) == RS_OK);
    memset(test.hand_over, 0, sizeof(*test.hand_over));
    CHECK(client_connect(socket, &to) == RS_OK);
    for (uint32_t i = 0; i < TWO; i++) {
        pids[i] = rig_fork(child_run, &children[i]);
        CHECK(client_share(socket, (uint32_t)pids[i], &test.hand_over->info[i]) == RS_OK);
    }
    CHECK(client_socket_close(socket) == RS_OK);
    atomic_store(&test.hand_over->ready, 1);
    uint32_t first = test_random_below(&test.world.random, TWO);
    take_datagrams(peer, first, test_random_below(&test.world.random, GOES_ON) + 1);
    share_kill(pids[first], test_random_below(&test.world.random, 4) == 0);
    take_datagrams(peer, 1 - first, GOES_ON);
    CHECK(!port_is_free(&at));
    share_kill(pids[1 - first], test_random_below(&test.world.random, 4) == 0);
    rig_await(port_is_free, &at, SHARE_SOON_NS, "the port of two dead processes");
    CHECK(client_socket_close(peer) == RS_OK);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    test.hand_over = share_world_open(&test.world, "crash.share", "", 1, sizeof(*test.hand_over));
    test.listener = share_make_listener(&test.world, &test.at);
    round_of_a_grant(child_waits);
    round_of_a_grant(child_detaches);
    for (uint32_t i = 0; i < rounds + WARM_UP; i++) {
        if (i == WARM_UP) {
            share_world_measure(&test.world);
        }
        round_run(i);
        if (i % 4 == 0) {
            round_of_datagrams();
        }
    }
    share_world_close(&test.world, "shared connections");
    printf("%llu pairs of processes\n", (unsigned long long)rounds);
    return 0;
}
