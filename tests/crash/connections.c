/*
 * Programs with TCP connections in every phase of their life are killed; others have the far ends
 * and check what comes: data and orderly ends of what was closed before, else resets, and soon. The
 * port that a killed program listened on can be listened on again. At the end all that the
 * dataplane had is back. The far ends are sockets of other programs on the same dataplane; with
 * --wire NAMESPACE INTERFACE they are the kernel's, behind a veth (tests/crash/connections_wire).
 * Arguments: how many die (500).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "rings/os/os.h"
#include "tests/crash/duel.h"
#include "tests/crash/rig.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define SLOTS     4u
#define WARM_UP   40u
#define READY_NS  (30 * NS_PER_S)
#define PLAYED_NS (60 * NS_PER_S)
#define BACK_NS   (30 * NS_PER_S)
#define SLOT_NS   (3600 * NS_PER_S) /* each wait inside is bounded itself */

struct slot {
    struct duel duel;
    uint64_t seed;
    uint32_t rounds;
    _Atomic uint32_t died[DUEL_PHASES], died_early;
    _Atomic uint64_t relisten_ns_max, ends_ns_max;
};

static struct {
    struct rig rig;
    struct slot *slots;
    struct test_random random;
} test;

static uint64_t since(uint64_t start_ns)
{
    return os_monotonic_ns() - start_ns;
}

static void note_max(_Atomic uint64_t *max, uint64_t value)
{
    if (value > atomic_load(max)) {
        atomic_store(max, value);
    }
}

/* ---- a round ---- */

static bool mortal_is_ready(void *context)
{
    return atomic_load(&((struct duel *)context)->ready) != 0;
}

static bool survivor_has_played(void *context)
{
    struct duel *duel = context;
    return atomic_load(&duel->played) == atomic_load(&duel->round);
}

static bool listens(void *context)
{
    return duel_listens(context);
}

static int relisten_run(void *context)
{
    rig_await(listens, context, BACK_NS, "the killed program's port to be listened on again");
    return 0;
}

static void slot_kill(struct slot *slot, pid_t pid, struct test_random *random)
{
    struct duel *duel = &slot->duel;
    bool early = test_random_below(random, 5) == 0;
    if (early) {
        os_sleep_ns(test_random_below(random, 4000) * 1000ull);
    } else {
        rig_await(mortal_is_ready, duel, READY_NS, "a mortal to come to its phase");
        os_sleep_ns(test_random_below(random, 8000) * 1000ull);
    }
    early = atomic_load(&duel->ready) == 0;
    CHECK(kill(pid, SIGKILL) == 0);
    int status = rig_reap(pid, BACK_NS, "a mortal to die");
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "a mortal ended by itself, phase %d, seed %#llx, wait status %#x\n",
                (int)duel->phase, (unsigned long long)duel->seed, (unsigned)status);
        exit(1); /* NOLINT(concurrency-mt-unsafe) */
    }
    atomic_store(&duel->killed, 1);
    slot->died[duel->phase]++;
    slot->died_early += early;
}

static void slot_round(struct slot *slot, struct test_random *random)
{
    struct duel *duel = &slot->duel;
    duel->phase = (enum duel_phase)test_random_below(random, DUEL_PHASES);
    duel->seed = test_random_u64(random);
    atomic_store(&duel->ready, 0);
    atomic_store(&duel->killed, 0);
    memset(duel->side, 0, sizeof(duel->side));
    atomic_fetch_add(&duel->round, 1);
    slot_kill(slot, rig_fork(duel_mortal_run, duel), random);
    uint64_t start_ns = os_monotonic_ns();
    if (duel->phase == DUEL_LISTENING || duel->phase == DUEL_ACCEPTING) {
        pid_t pid = rig_fork(relisten_run, duel);
        CHECK(rig_reap(pid, 2 * BACK_NS, "a program that listens") == 0);
        note_max(&slot->relisten_ns_max, since(start_ns));
    }
    rig_await(survivor_has_played, duel, PLAYED_NS, "a survivor to see its connections' ends");
    note_max(&slot->ends_ns_max, since(start_ns));
}

static int slot_run(void *arg)
{
    struct slot *slot = arg;
    struct test_random random = test_random_make(slot->seed);
    for (uint32_t i = 0; i < slot->rounds; i++) {
        slot_round(slot, &random);
    }
    return 0;
}

static void kill_many(uint32_t count)
{
    pid_t pids[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        test.slots[i].rounds = count / SLOTS;
        test.slots[i].seed = test_random_u64(&test.random);
        pids[i] = rig_fork(slot_run, &test.slots[i]);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        CHECK(rig_reap(pids[i], SLOT_NS, "the kills of a slot") == 0);
    }
}

/* ---- the whole ---- */

static bool survivor_listens(void *context)
{
    return atomic_load(&((struct duel *)context)->played) == 0;
}

static void report(void)
{
    static const char *const names[DUEL_PHASES] = {"connecting",
                                                   "idle",
                                                   "transfer",
                                                   "half-closed by it",
                                                   "half-closed by the peer",
                                                   "both shut",
                                                   "listening",
                                                   "accepting",
                                                   "urgent",
                                                   "linger",
                                                   "orphan",
                                                   "abort"};
    uint32_t sums[DUEL_PHASES] = {0}, early = 0, resets = 0, ends = 0, refused = 0, whole = 0;
    uint64_t relisten_ns = 0, ends_ns = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &test.slots[i];
        for (uint32_t k = 0; k < DUEL_PHASES; k++) {
            sums[k] += slot->died[k];
        }
        early += slot->died_early;
        resets += slot->duel.resets;
        ends += slot->duel.ends;
        refused += slot->duel.refused;
        whole += slot->duel.whole;
        relisten_ns = slot->relisten_ns_max > relisten_ns ? slot->relisten_ns_max : relisten_ns;
        ends_ns = slot->ends_ns_max > ends_ns ? slot->ends_ns_max : ends_ns;
    }
    printf("killed:");
    for (uint32_t k = 0; k < DUEL_PHASES; k++) {
        printf(" %s %u%s", names[k], sums[k], k + 1 < DUEL_PHASES ? "," : "");
    }
    printf("; %u of them before they came to their phase\n", early);
    printf("connections: %u reset, %u orderly ends, %u refused; %u closed before the kill, each "
           "whole; "
           "all over after at most %llu ms, a port listened on again after at most %llu ms\n",
           resets, ends, refused, whole, (unsigned long long)(ends_ns / NS_PER_MS),
           (unsigned long long)(relisten_ns / NS_PER_MS));
    (void)fflush(stdout);
}

static void set_up(const char *interface)
{
    static const char limits[] =
        "sessions = 16\nsockets = 96\nchannels = 4\nmemory_bytes = 96 MiB\n"
        "recv_ring_bytes = 64 KiB\nsend_ring_bytes = 64 KiB\n";
    char nic[256] = "";
    uint32_t mortal_ip = RIG_LOCAL;
    uint32_t survivor_ip = RIG_LOCAL;
    if (interface != NULL) {
        (void)snprintf(nic, sizeof(nic),
                       "device = net_af_packet0,iface=%s\nmac = 02:52:53:00:00:0c\n[ip]\n"
                       "address = 192.0.2.10/24\n",
                       interface);
        mortal_ip = rs_be32(0xc000020au);
        survivor_ip = rs_be32(0xc0000201u);
    }
    rig_create_nic(&test.rig, nic, limits);
    rig_start(&test.rig);
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct duel *duel = &test.slots[i].duel;
        duel->number = i;
        duel->survivor_at = rs_addr_v4(survivor_ip, rs_be16((uint16_t)(9300 + i)));
        duel->mortal_at = rs_addr_v4(mortal_ip, rs_be16((uint16_t)(9400 + i)));
        atomic_store(&duel->played, UINT32_MAX);
    }
}

int main(int argc, char **argv)
{
    const char *interface = NULL;
    if (argc > 3 && strcmp(argv[1], "--wire") == 0) {
        duel_kernel_namespace = argv[2];
        interface = argv[3];
        argv += 3;
        argc -= 3;
    }
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 500;
    test.random = test_random_make(test_random_seed("crash.connections"));
    test.slots = mmap(NULL, SLOTS * sizeof(*test.slots), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(test.slots != MAP_FAILED);
    set_up(interface);
    pid_t survivors[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        survivors[i] = rig_fork(duel_survivor_run, &test.slots[i].duel);
        rig_await(survivor_listens, &test.slots[i].duel, READY_NS, "a survivor to listen");
    }

    struct rig_tables tables;
    struct rig_usage alone = rig_usage(test.rig.pid);
    rig_tables(&test.rig, &tables);
    alone.maps = UINT64_MAX; /* its heap is to grow yet */
    kill_many(SLOTS * WARM_UP);
    rig_await_tables(&test.rig, &tables, &alone, BACK_NS, "the first tables to be as before");
    struct rig_usage before = rig_usage(test.rig.pid);
    rig_usage_print("before", &before);
    uint64_t start_ns = os_monotonic_ns();
    kill_many(count);
    printf("%u killed in %llu ms\n", count, (unsigned long long)(since(start_ns) / NS_PER_MS));
    rig_await_tables(&test.rig, &tables, &before, BACK_NS, "the tables to be as before");
    printf("in use, before and after: %s, tcp %s\n", tables.in_use, tables.tcp);
    struct rig_usage after = rig_usage(test.rig.pid);
    rig_usage_print("after", &after);
    CHECK(rig_same_memory(&before, &after));

    for (uint32_t i = 0; i < SLOTS; i++) {
        atomic_store(&test.slots[i].duel.stop, 1);
        CHECK(rig_reap(survivors[i], BACK_NS, "a survivor to end") == 0);
    }
    report();
    rig_stop(&test.rig);
    rig_remove(&test.rig);
    return 0;
}
