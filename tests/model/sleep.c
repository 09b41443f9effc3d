/*
 * provider/client/channel_sleep.c, the real code, under all interleavings: a thread that sleeps on
 * a channel of its own, and threads that share the common channel, one leading and the others
 * following. The other side is a model of deliver_settle (dataplane/deliver.c) on the real ring
 * code: looks without a fence while it is busy, behind one when it is idle or after a few
 * iterations. What each thread waits for comes several times; a lost wake-up is a thread that
 * waits while nobody is left to wake it. Each with one rule taken out, which must fail.
 */
#include "tests/model/sched.h"

#include <stdio.h>

#include "provider/client/channel_sleep.c" // NOLINT(bugprone-suspicious-include): the real code, with its static functions
#include "tests/support/random.h"

enum { HINTS = 2, THREADS_MAX = 3, UNFENCED_POLLS = 2, STATES_MAX = 4000000 };

static struct {
    struct rs_channel_client channel;
    struct rs_channel_state channel_state;
    struct rs_socket_client sockets[THREADS_MAX];
    struct rs_hint hints[HINTS];
    _Alignas(8) rs_atomic_u32 levels[THREADS_MAX]; /* what thread i waits for */
    /* Stands for what sleep_mutex guards and what a leader leaves to the next one. */
    _Alignas(8) uint64_t guarded;
} shared;

static enum mutant {
    RIGHT,
    LEADER_FORGETS, /* a leader that wakes does not wake its followers */
    NUDGED_ALONE,   /* of the followers only one is woken */
    EARLY_IS_FINAL, /* a look without a fence ends what there is to look for */
    NO_FENCE        /* nor does the last look have one */
} mutant;

static struct client client;
static struct client_channel channel;
static _Alignas(
    struct client_thread) unsigned char thread_memory[THREADS_MAX][sizeof(struct client_thread)];
static struct sched_event channel_event, nudges[THREADS_MAX];
static struct sched_mutex guard;
static uint32_t thread_count, items, nudged;

static struct client_thread *thread_of(uint32_t idx)
{
    return (struct client_thread *)(void *)thread_memory[idx];
}

/* ---- what channel_sleep.c asks of the rest -----------------------------------------------------
 */

enum rs_status client_check(struct client *asked, uint64_t now_tsc)
{
    (void)asked;
    (void)now_tsc;
    return RS_OK;
}

enum rs_status client_thread_get(struct client_thread **out)
{
    *out = thread_of(sched_side());
    return RS_OK;
}

/* Nobody dies here: tests/crash/thread_death.c has leaders that do. */
_Thread_local uint32_t os_thread_id_kept = 1;

uint32_t os_thread_id_ask(void)
{
    return os_thread_id_kept;
}

bool os_thread_alive(uint32_t id)
{
    (void)id;
    return true;
}

/* All plain words that pass from thread to thread under the mutex. */
static uint64_t guarded_sum(void)
{
    uint64_t words[6] = {channel.leader, channel.waiter.number, channel.hints.head,
                         channel.hints.lost_seen};
    uint32_t count = 4;
    for (struct client_thread *thread = channel.followers; thread != NULL && count < 6;
         thread = thread->next_follower) {
        words[count++] = (uintptr_t)thread;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 6; i++) {
        sum = (sum ^ words[i]) * 0x100000001b3ull + (sum >> 31);
    }
    return sum;
}

void os_mutex_lock(struct os_mutex *mutex)
{
    (void)mutex;
    sched_mutex_lock(&guard);
    uint64_t sum = guarded_sum();
    sched_observe(&sum, sizeof(sum));
}

void os_mutex_unlock(struct os_mutex *mutex)
{
    (void)mutex;
    sched_poke(&shared.guarded, guarded_sum(), sizeof(shared.guarded));
    nudged = 0;
    sched_mutex_unlock(&guard);
}

enum rs_status os_event_wait(struct os_event *event, const struct os_process *peer,
                             uint64_t timeout_ns)
{
    (void)peer;
    (void)timeout_ns;
    sched_event_wait(event == &channel.event ? &channel_event : &nudges[sched_side()]);
    return RS_OK;
}

/* The dataplane signals the channel's event itself; here a leader wakes a follower. */
void os_event_signal(struct os_event *event)
{
    for (uint32_t i = 0; i < thread_count; i++) {
        if (event == &thread_of(i)->nudge &&
            (mutant != LEADER_FORGETS && (mutant != NUDGED_ALONE || nudged == 0))) {
            nudged++;
            sched_event_signal(&nudges[i]);
        }
    }
}

/* ---- the threads --------------------------------------------------------------------------------
 */

struct waiting {
    uint32_t idx, seen;
};

static bool waiting_ready(void *context)
{
    const struct waiting *waiting = context;
    return atomic_load_explicit(&shared.levels[waiting->idx], memory_order_acquire) !=
           waiting->seen;
}

static void waiting_arm(void *context, uint32_t channel_idx)
{
    const struct waiting *waiting = context;
    arm_set(&shared.sockets[waiting->idx], RS_LEVEL_READABLE, channel_idx);
}

/* Threads with an even number wait for a socket and arm; the others wait for an answer, of which
 * only the channel is told. As client_wait and wait_sleep (wait.c) once spinning is over. */
static bool arms(uint32_t idx)
{
    return idx % 2 == 0;
}

static void thread_side(void)
{
    struct waiting waiting = {.idx = sched_side()};
    const struct client_condition condition = {
        .ready = waiting_ready, .arm = arms(waiting.idx) ? waiting_arm : NULL, .context = &waiting};
    while (waiting.seen < items) {
        sched_round(1);
        sched_observe(&waiting, sizeof(waiting));
        if (!channel.common) { /* else they pass from leader to leader, under the mutex */
            sched_observe(&channel.waiter.number, sizeof(channel.waiter.number));
            sched_observe(&channel.hints.head, 2 * sizeof(uint32_t));
        }
        if (waiting_ready(&waiting)) {
            waiting.seen++;
            continue;
        }
        if (client_channel_sleep(&channel, &condition, UINT64_MAX) != RS_OK) {
            sched_fail("a sleep failed");
        }
        if (condition.arm != NULL) {
            arm_clear(&shared.sockets[waiting.idx], channel.idx);
        }
    }
}

/* ---- the dataplane ------------------------------------------------------------------------------
 */

static struct {
    struct wakeup_signaller signaller;
    struct hint_producer hints;
    uint32_t given[THREADS_MAX], arm_seen[THREADS_MAX];
    uint32_t unfenced_polls;
    bool touched[THREADS_MAX], wake;
} queue;

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    memset(&queue, 0, sizeof(queue));
    memset(thread_memory, 0, sizeof(thread_memory));
    memset(&channel, 0, sizeof(channel));
    channel.client = &client;
    channel.common = thread_count > 1;
    channel.waiter = (struct wakeup_waiter){.shared = &shared.channel};
    queue.signaller = (struct wakeup_signaller){.shared = &shared.channel};
    hint_producer_init(&queue.hints, shared.hints, HINTS, &shared.channel_state, &shared.channel,
                       0);
    hint_consumer_init(&channel.hints, shared.hints, HINTS, &shared.channel_state, &shared.channel,
                       0);
    channel_event.signalled = guard.held = nudged = 0;
    memset(nudges, 0, sizeof(nudges));
}

static void look_socket(uint32_t idx)
{
    uint64_t channels = arm_take(&shared.sockets[idx], &queue.arm_seen[idx], RS_LEVEL_READABLE);
    if ((channels & 1) == 0) {
        return;
    }
    if (hint_producer_push(&queue.hints, idx, 1) != RS_OK) {
        sched_fail("an honest client was called poisoned");
    }
    queue.wake = true;
}

static void look_channel(void)
{
    if (queue.wake && wakeup_needed(&queue.signaller)) {
        sched_event_signal(&channel_event);
    }
}

/* deliver_look_early, deliver_look_finally. */
static void look(bool finally)
{
    if (finally && mutant != NO_FENCE) {
        wakeup_fence();
    }
    for (uint32_t i = 0; i < thread_count; i++) {
        if (queue.touched[i]) {
            queue.touched[i] = !finally;
            look_socket(i);
        }
    }
    if (finally && queue.wake && mutant != NO_FENCE) {
        wakeup_fence();
    }
    look_channel();
    queue.wake = queue.wake && !finally;
}

/* deliver_settle. False: there is nothing to look for. */
static bool settle(bool idle)
{
    bool any = queue.wake;
    for (uint32_t i = 0; i < thread_count; i++) {
        any = any || queue.touched[i];
    }
    if (!any) {
        queue.unfenced_polls = 0;
        return false;
    }
    bool finally = idle || ++queue.unfenced_polls >= UNFENCED_POLLS;
    queue.unfenced_polls = finally ? 0 : queue.unfenced_polls;
    look(finally);
    if (mutant == EARLY_IS_FINAL) {
        memset(queue.touched, 0, sizeof(queue.touched));
        queue.wake = false;
    }
    return true;
}

/* Something for one of the threads that still wait for some. */
static void give(void)
{
    uint32_t waiting[THREADS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < thread_count; i++) {
        if (queue.given[i] != items) {
            waiting[count++] = i;
        }
    }
    uint32_t idx = waiting[count == 1 ? 0 : sched_choose(count)];
    atomic_store_explicit(&shared.levels[idx], ++queue.given[idx], memory_order_release);
    if (arms(idx)) {
        queue.touched[idx] = true;
    } else {
        queue.wake = true;
    }
}

/* An iteration gives one thing, or none; it is idle only when none is left. */
static void dataplane_side(void)
{
    for (;;) {
        sched_round(1);
        sched_observe(&queue.signaller.signalled, sizeof(queue.signaller.signalled));
        sched_observe(&queue.hints.tail, 3 * sizeof(uint32_t));
        sched_observe(queue.given, sizeof(queue) - offsetof(__typeof__(queue), given));
        uint32_t left = 0;
        for (uint32_t i = 0; i < thread_count; i++) {
            left += items - queue.given[i];
        }
        bool busy = left != 0 && sched_choose(2) == 0;
        if (busy) {
            give();
        }
        if (!settle(!busy) && left == 0) {
            return;
        }
    }
}

static const char *check(void)
{
    return channel.followers == NULL && !channel.leader ? NULL : "a thread left itself in a list";
}

/* ---------------------------------------------------------------------------------------------- */

static struct sched_test test_of(uint32_t threads, uint32_t count)
{
    struct sched_test test = {.name = "sleep",
                              .setup = setup,
                              .check = check,
                              .shared = &shared,
                              .shared_bytes = sizeof(shared)};
    for (uint32_t i = 0; i < threads; i++) {
        test.sides[i] = thread_side;
    }
    test.sides[threads] = dataplane_side;
    thread_count = threads;
    items = count;
    return test;
}

static bool run(const char *what, uint32_t threads, uint32_t count, enum mutant rule,
                uint32_t fences_off)
{
    struct sched_test test = test_of(threads, count);
    test.fences_off = fences_off;
    mutant = rule;
    return sched_report(what, &test, sched_explore_all(&test, STATES_MAX),
                        rule != RIGHT || fences_off != 0);
}

/* What is too large to try all of it: few deviations, and random runs. */
static bool run_some(const char *what, uint32_t threads, uint32_t count, unsigned deviations,
                     uint64_t random_runs, uint64_t seed)
{
    struct sched_test test = test_of(threads, count);
    mutant = RIGHT;
    bool ok = deviations == 0 || sched_report(what, &test, sched_explore(&test, deviations), false);
    return sched_report("  random", &test, sched_random(&test, seed, random_runs), false) && ok;
}

int main(int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    bool deep = argc > 1 && strcmp(argv[1], "deep") == 0;
    uint64_t seed = test_random_seed("model.sleep");
    bool ok = run("a channel of its own", 1, 1, RIGHT, 0);
    ok = run("  twice", 1, 2, RIGHT, 0) && ok;
    ok = run("  the thread does not fence", 1, 2, RIGHT, 1) && ok;
    ok = run("  the dataplane does not fence", 1, 2, RIGHT, 2) && ok;
    ok = run("  the last look has no fence", 1, 2, NO_FENCE, 0) && ok;
    ok = run("  an early look ends it", 1, 2, EARLY_IS_FINAL, 0) && ok;
    if (deep) {
        ok = run("common channel, two threads", 2, 1, RIGHT, 0) && ok;
    }
    unsigned deviations = deep ? 4 : 3;
    uint64_t runs = deep ? 2000000 : 60000;
    ok =
        run_some("common channel, two threads, few deviations", 2, 1, deviations, runs, seed) && ok;
    ok = run_some("", 2, 3, 0, runs, seed) && ok;
    ok = run_some("common channel, three threads", 3, 1, deviations - 1, runs, seed) && ok;
    ok = run("  the threads do not fence", 2, 1, RIGHT, 3) && ok;
    ok = run("  the dataplane does not fence", 2, 1, RIGHT, 4) && ok;
    ok = run("  an early look ends it", 2, 1, EARLY_IS_FINAL, 0) && ok;
    ok = run("  the leader does not wake its followers", 2, 1, LEADER_FORGETS, 0) && ok;
    ok = run("  it wakes one of them", 3, 1, NUDGED_ALONE, 0) && ok;
    return ok ? 0 : 1;
}
