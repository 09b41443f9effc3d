/*
 * Clients killed at random moments under traffic. Some die in their attach, some at a step of their
 * own, some after a time, some stopped first; meanwhile a witness must not miss one datagram. Then
 * all that the dataplane had is back: every table, pool and port as ringsockctl shows them, and the
 * process's descriptors, mappings, memory.
 * Arguments: how many die (2000).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "provider/client/client.h"
#include "rings/os/os.h"
#include "tests/crash/rig.h"
#include "tests/crash/victim.h"
#include "tests/crash/witness.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define AT_ONCE    6u
#define SESSIONS   16u
#define WARM_UP    40u
#define BACK_NS    (20 * NS_PER_S)
#define WITNESS_NS (60 * NS_PER_S)
#define STEPS_MOST 300u

enum way { WAY_TIME, WAY_STEPS, WAY_STOPPED, WAY_COUNT };

struct doomed {
    struct victim *victim; /* shared with the process */
    pid_t pid;             /* 0: none */
    enum way way;
    uint64_t at_steps, at_ns; /* whichever comes first */
    bool stopped;
};

static struct {
    struct rig rig;
    struct witness *witness;
    pid_t witness_pid;
    struct test_random random;
    struct doomed doomed[AT_ONCE];
    uint64_t died, died_in_attach, died_by[WAY_COUNT];
} test;

static void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

/* ---- killing
 * --------------------------------------------------------------------------------------------- */

static void doomed_start(struct doomed *doomed)
{
    uint32_t draw = test_random_below(&test.random, 10);
    uint64_t life_ns = 0;
    doomed->way = draw < 4 ? WAY_TIME : draw < 8 ? WAY_STEPS : WAY_STOPPED;
    doomed->at_steps = UINT64_MAX;
    doomed->stopped = false;
    switch (doomed->way) {
    case WAY_TIME: /* mostly within the attach, which takes about a millisecond */
        life_ns = test_random_below(&test.random, 4000) * 1000ull;
        break;
    case WAY_STEPS:
        doomed->at_steps = 1 + test_random_below(&test.random, STEPS_MOST);
        life_ns = 400 * NS_PER_MS;
        break;
    default:
        life_ns = test_random_below(&test.random, 60) * NS_PER_MS;
        break;
    }
    doomed->victim->seed = test_random_u64(&test.random);
    atomic_store(&doomed->victim->steps, 0);
    doomed->pid = rig_fork(victim_run, doomed->victim);
    doomed->at_ns = os_monotonic_ns() + life_ns;
}

static void doomed_die(struct doomed *doomed)
{
    uint64_t steps = atomic_load(&doomed->victim->steps);
    CHECK(kill(doomed->pid, SIGKILL) == 0);
    int status = rig_reap(doomed->pid, BACK_NS, "a victim to die");
    doomed->pid = 0;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "a victim of seed %llu ended by itself, wait status %#x\n",
                (unsigned long long)doomed->victim->seed, (unsigned)status);
        exit(1); /* NOLINT(concurrency-mt-unsafe) */
    }
    test.died++;
    test.died_by[doomed->way]++;
    test.died_in_attach += steps <= 1;
}

/* Its time or step has come: a stopped one has some more time to hold what it holds. */
static void doomed_look(struct doomed *doomed)
{
    uint64_t now_ns = os_monotonic_ns();
    if (now_ns < doomed->at_ns && atomic_load(&doomed->victim->steps) < doomed->at_steps) {
        return;
    }
    if (doomed->way == WAY_STOPPED && !doomed->stopped) {
        CHECK(kill(doomed->pid, SIGSTOP) == 0);
        doomed->stopped = true;
        doomed->at_ns = now_ns + test_random_below(&test.random, 80) * NS_PER_MS;
        return;
    }
    doomed_die(doomed);
}

static void witness_look(void)
{
    int status = 0;
    if (waitpid(test.witness_pid, &status, WNOHANG) != 0) {
        fprintf(stderr, "the witness ended early, wait status %#x\n", (unsigned)status);
        exit(1); /* NOLINT(concurrency-mt-unsafe) */
    }
}

static void kill_many(uint64_t count)
{
    uint64_t started = 0;
    uint64_t first = test.died;
    while (test.died - first < count) {
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            struct doomed *doomed = &test.doomed[i];
            if (doomed->pid == 0 && started < count) {
                doomed_start(doomed);
                started++;
            } else if (doomed->pid != 0) {
                doomed_look(doomed);
            }
        }
        witness_look();
        os_sleep_ns(50000);
    }
}

/* ---- all is back
 * ----------------------------------------------------------------------------------------- */

/* As many attaches as there may be beside the witness, and every port the victims wanted. */
static bool all_free(void *context)
{
    static struct client *clients[SESSIONS];
    struct client_socket *socket = NULL;
    uint32_t attached = 0;
    bool ports = true;
    (void)context;
    while (attached < SESSIONS - 1 && client_open(NULL, &clients[attached]) == RS_OK) {
        attached++;
    }
    for (uint32_t i = 0; attached != 0 && i < VICTIM_PORTS && ports; i++) {
        struct rs_addr at = rs_addr_v4(0, rs_be16((uint16_t)(VICTIM_PORT_FIRST + i)));
        CHECK(client_socket_create(clients[0], RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
        CHECK(client_set_option(socket, RS_OPT_EXCLUSIVEADDR, 1) == RS_OK);
        ports = client_bind(socket, &at) == RS_OK;
        CHECK(client_socket_close(socket) == RS_OK);
    }
    for (uint32_t i = 0; i < attached; i++) {
        client_close(clients[i]);
    }
    return attached == SESSIONS - 1 && ports;
}

/* In a process of its own, whose end closes what it had. */
static int all_free_run(void *context)
{
    rig_await(all_free, context, BACK_NS, "all sessions and ports to be free");
    return 0;
}

static bool witness_paces(void *context)
{
    (void)context;
    witness_look();
    return atomic_load(&test.witness->paces) != 0;
}

static void settle(void)
{
    pid_t pid = rig_fork(all_free_run, NULL);
    CHECK(rig_reap(pid, 2 * BACK_NS, "the attaches of one program") == 0);
}

static void report(void)
{
    const struct witness *witness = test.witness;
    printf("%llu killed: %llu by time, %llu at a step, %llu stopped first; %llu of them in their "
           "attach\n",
           (unsigned long long)test.died, (unsigned long long)test.died_by[WAY_TIME],
           (unsigned long long)test.died_by[WAY_STEPS],
           (unsigned long long)test.died_by[WAY_STOPPED], (unsigned long long)test.died_in_attach);
    printf("witness: capacity %llu pairs/s, paced %llu/s, %llu pairs sent, %llu and %llu received; "
           "at most %llu ms behind its clock, %llu times begun anew\n",
           (unsigned long long)atomic_load(&witness->capacity_per_s),
           (unsigned long long)atomic_load(&witness->pace_per_s),
           (unsigned long long)atomic_load(&witness->sent),
           (unsigned long long)atomic_load(&witness->received[0]),
           (unsigned long long)atomic_load(&witness->received[1]),
           (unsigned long long)(atomic_load(&witness->late_ns_max) / NS_PER_MS),
           (unsigned long long)atomic_load(&witness->resets));
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
    test.random = test_random_make(test_random_seed("crash.victims"));
    test.witness = shared_memory(sizeof(*test.witness));
    struct victim *victims = shared_memory(AT_ONCE * sizeof(*victims));
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        test.doomed[i].victim = &victims[i];
    }
    rig_create(&test.rig, "sessions = 16\nsockets = 64\nchannels = 3\nmemory_bytes = 96 MiB\n"
                          "recv_ring_bytes = 64 KiB\nsend_ring_bytes = 64 KiB\n");
    rig_start(&test.rig);
    test.witness_pid = rig_fork(witness_run, test.witness);
    rig_await(witness_paces, NULL, WITNESS_NS, "the witness to have measured");

    struct rig_tables tables;
    struct rig_usage alone = rig_usage(test.rig.pid);
    rig_tables(&test.rig, &tables);
    alone.maps = UINT64_MAX; /* its heap is to grow yet */
    kill_many(WARM_UP);
    settle();
    rig_await_tables(&test.rig, &tables, &alone, BACK_NS,
                     "the first victims' tables to be as before");
    struct rig_usage before = rig_usage(test.rig.pid);
    rig_usage_print("before", &before);
    uint64_t start_ns = os_monotonic_ns();
    kill_many(count);
    printf("%llu victims in %llu ms\n", (unsigned long long)count,
           (unsigned long long)((os_monotonic_ns() - start_ns) / NS_PER_MS));
    settle();
    rig_await_tables(&test.rig, &tables, &before, BACK_NS, "the tables to be as before");
    printf("in use, before and after: %s\n", tables.in_use);
    struct rig_usage after = rig_usage(test.rig.pid);
    rig_usage_print("after", &after);
    CHECK(rig_same_memory(&before, &after));

    atomic_store(&test.witness->stop, 1);
    CHECK(rig_reap(test.witness_pid, WITNESS_NS, "the witness to end") == 0);
    report();
    rig_stop(&test.rig);
    printf("lost inside the dataplane, by receivers that died or never received: %llu\n",
           (unsigned long long)rig_ledger(&test.rig, "lost_inside"));
    rig_remove(&test.rig);
    return 0;
}
