/*
 * Sleeping and arming (rings/wakeup.h, hint_ring.h) under all interleavings: a client that sleeps
 * for each of a few pieces of data, a dataplane that produces them in batches. A lost wake-up is a
 * side that waits while nobody is left to signal. Also checked: at most one signal for one sleep.
 * The same tests with the fences off must fail.
 */
#include "tests/model/sched.h"

#include <stdio.h>
#include <string.h>

#include "rings/hint_ring.h"
#include "rings/wakeup.h"
#include "tests/support/random.h"

enum { ITEMS = 3, HINTS = 2, SOCKET_IDX = 5 };

static struct {
    struct rs_channel_client channel;
    struct rs_channel_state channel_state;
    struct rs_socket_client socket;
    struct rs_hint hints[HINTS];
    rs_atomic_u32 level; /* stands for all data a client may wait for */
} shared;

static struct sched_event event;
static struct wakeup_waiter waiter;
static struct wakeup_signaller signaller;
static struct hint_producer hint_producer;
static struct hint_consumer hint_consumer;
static uint32_t arm_seen, signals;

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    event.signalled = false;
    waiter = (struct wakeup_waiter){.shared = &shared.channel, .number = UINT32_MAX - 1};
    signaller = (struct wakeup_signaller){.shared = &shared.channel};
    hint_producer = (struct hint_producer){.slots = shared.hints,
                                           .state = &shared.channel_state,
                                           .shared = &shared.channel,
                                           .mask = HINTS - 1};
    hint_consumer = (struct hint_consumer){.slots = shared.hints,
                                           .state = &shared.channel_state,
                                           .shared = &shared.channel,
                                           .mask = HINTS - 1};
    arm_seen = signals = 0;
}

static uint32_t level(void)
{
    return atomic_load_explicit(&shared.level, memory_order_acquire);
}

static void signal_if_needed(void)
{
    if (wakeup_needed(&signaller)) {
        signals++;
        sched_event_signal(&event);
    }
}

/* ---- a sleep without arming: replies, one socket --------------------------------------------- */

static void sleeper(void)
{
    for (uint32_t seen = 0; seen < ITEMS;) {
        if (level() != seen) {
            seen = level();
            continue;
        }
        wakeup_prepare(&waiter);
        if (level() == seen) {
            sched_event_wait(&event);
        }
        wakeup_cancel(&waiter);
    }
}

static void producer(void)
{
    for (uint32_t i = 1; i <= ITEMS; i++) {
        atomic_store_explicit(&shared.level, i, memory_order_release);
        wakeup_fence();
        signal_if_needed();
    }
}

static const char *check_signals(void)
{
    return signals <= ITEMS ? NULL : "more signals than sleeps";
}

/* ---- an armed socket: the sleeper looks only at its hints after the second look ----------------
 */

static void armed_sleeper(void)
{
    for (uint32_t seen = 0; seen < ITEMS;) {
        uint32_t socket_idx, generation;
        arm_set(&shared.socket, RS_LEVEL_READABLE, 3);
        arm_fence();
        if (level() != seen) {
            seen = level();
            continue;
        }
        bool hinted = false;
        while (!hinted) {
            wakeup_prepare(&waiter);
            hinted = hint_consumer_pop(&hint_consumer, &socket_idx, &generation);
            if (hinted && (socket_idx != SOCKET_IDX || generation != 1)) {
                sched_fail("a hint for another socket");
            }
            hinted = hint_consumer_lost(&hint_consumer) || hinted;
            if (!hinted) {
                sched_event_wait(&event);
            }
            wakeup_cancel(&waiter);
            hint_consumer_publish(&hint_consumer);
        }
    }
    arm_clear(&shared.socket, 3);
}

static void arming_producer(void)
{
    for (uint32_t i = 1; i <= ITEMS; i++) {
        atomic_store_explicit(&shared.level, i, memory_order_release);
        wakeup_fence();
        uint64_t channels = arm_take(&shared.socket, &arm_seen, RS_LEVEL_READABLE);
        if ((channels & (1u << 3)) != 0) {
            if (hint_producer_push(&hint_producer, SOCKET_IDX, 1) != RS_OK) {
                sched_fail("an honest client was called poisoned");
            }
            wakeup_fence();
        }
        signal_if_needed();
    }
}

/* ---------------------------------------------------------------------------------------------- */

static bool report(const char *what, struct sched_result result, bool must_fail)
{
    printf("%-38s %9llu runs: %s\n", what, (unsigned long long)result.runs,
           result.failed ? result.why : "no violation");
    return result.failed == must_fail;
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    uint64_t seed = test_random_seed("model.wakeup");
    struct sched_test sleeping = {
        .name = "sleep", .setup = setup, .sides = {sleeper, producer}, .check = check_signals};
    struct sched_test arming = {.name = "arm",
                                .setup = setup,
                                .sides = {armed_sleeper, arming_producer},
                                .check = check_signals};
    bool ok = report("sleep, at most 4 deviations", sched_explore(&sleeping, 4), false);
    ok = report("sleep, random", sched_random(&sleeping, seed, 60000), false) && ok;
    ok = report("arm, at most 3 deviations", sched_explore(&arming, 3), false) && ok;
    ok = report("arm, random", sched_random(&arming, seed, 60000), false) && ok;
    sleeping.fences_off = 3;
    arming.fences_off = 3;
    ok = report("sleep without fences (must fail)", sched_random(&sleeping, seed, 1000000), true) &&
         ok;
    ok = report("arm without fences (must fail)", sched_random(&arming, seed, 1000000), true) && ok;
    return ok ? 0 : 1;
}
