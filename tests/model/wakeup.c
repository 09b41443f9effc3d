/*
 * Sleeping and arming (rings/wakeup.h, hint_ring.h, the real code) under all interleavings: one
 * client that sleeps again and again, for data of one queue, of two queues whose messages reach the
 * channel's queue by another thread, or of a queue and with a need_wakeup that is anything; and
 * the control thread's own sleep (queue_tell_control, control_round). A lost wake-up is a side that
 * waits while nobody is left to signal. Each rule is taken out once and must then fail.
 */
#include "tests/model/sched.h"

#include <stdio.h>

#include "rings/hint_ring.h"
#include "rings/wakeup.h"

enum { ITEMS = 3, HINTS = 2, SOCKET_IDX = 5, CHANNEL_IDX = 3, STATES_MAX = 6000000 };

static struct {
    struct rs_channel_client channel;
    struct rs_channel_state channel_state;
    struct rs_socket_client socket;
    struct rs_hint hints[HINTS];
    _Alignas(8) rs_atomic_u32 levels[2]; /* data a client may wait for, by queue */
    /* A message from queue 1 to queue 0: full or not. */
    _Alignas(8) rs_atomic_u32 message;
    /* Messages to the control thread, by queue, and its sleep. */
    _Alignas(8) rs_atomic_u32 told[2];
    _Alignas(8) rs_atomic_u32 control_sleeping;
} shared;

static enum mutant {
    RIGHT,
    NO_SECOND_FENCE,    /* no fence between a hint and need_wakeup */
    LOOK_ONCE,          /* the client waits without a second look */
    ARM_ONCE,           /* the client does not arm again after a hint */
    NOT_ONCE_A_NUMBER,  /* a signal each time the dataplane looks */
    MESSAGE_DROPPED,    /* queue 1 takes the arm word although there is no room for the message */
    SEEN_SHARED,        /* two queues share one `seen` */
    TELL_UNFENCED,      /* a queue looks at `sleeping` without a fence */
    CONTROL_LOOKS_FIRST /* the control thread looks for messages before it stores `sleeping` */
} mutant;

static struct sched_event event;
static struct wakeup_waiter waiter;
static struct wakeup_signaller signaller;
static struct hint_producer hint_producer;
static struct hint_consumer hint_consumer;
static uint32_t arm_seen[2], signals, items, remote_items;

static void setup(void)
{
    memset(&shared, 0, sizeof(shared));
    event.signalled = 0;
    waiter = (struct wakeup_waiter){.shared = &shared.channel, .number = UINT32_MAX - 1};
    signaller = (struct wakeup_signaller){.shared = &shared.channel};
    hint_producer_init(&hint_producer, shared.hints, HINTS, &shared.channel_state, &shared.channel,
                       0);
    hint_consumer_init(&hint_consumer, shared.hints, HINTS, &shared.channel_state, &shared.channel,
                       0);
    arm_seen[0] = arm_seen[1] = signals = 0;
}

static uint32_t level(uint32_t queue_idx)
{
    return atomic_load_explicit(&shared.levels[queue_idx], memory_order_acquire);
}

static void signal_if_needed(void)
{
    if (mutant == NOT_ONCE_A_NUMBER) {
        signaller.signalled = 0;
    }
    if (wakeup_needed(&signaller)) {
        signals++;
        sched_event_signal(&event);
    }
}

/* The number wraps to 1, 0 is awake: as many sleeps as numbers. */
static const char *check_signals(void)
{
    uint32_t sleeps = waiter.number - (UINT32_MAX - 1) - (waiter.number < UINT32_MAX - 1);
    return signals <= sleeps ? NULL : "more signals than sleeps";
}

/* What is private to the client when it starts to look. */
static void client_round(uint32_t point, const uint32_t seen[2])
{
    sched_round(point);
    sched_observe(seen, 2 * sizeof(uint32_t));
    sched_observe(&waiter.number, sizeof(waiter.number));
    sched_observe(&hint_consumer.head, 2 * sizeof(uint32_t));
}

/* ---- a sleep without arming: replies, one socket --------------------------------------------- */

static void sleeper(void)
{
    for (uint32_t seen[2] = {0, 0}; seen[0] < items;) {
        client_round(1, seen);
        uint32_t now = level(0);
        if (now != seen[0]) {
            seen[0] = now;
            continue;
        }
        wakeup_prepare(&waiter);
        if (mutant == LOOK_ONCE || level(0) == seen[0]) {
            sched_event_wait(&event);
        }
        wakeup_cancel(&waiter);
    }
}

static void producer(void)
{
    for (uint32_t i = 1; i <= items; i++) {
        sched_round(i);
        sched_observe(&signaller.signalled, sizeof(signaller.signalled));
        sched_observe(&signals, sizeof(signals));
        atomic_store_explicit(&shared.levels[0], i, memory_order_release);
        wakeup_fence();
        signal_if_needed();
        if (sched_choose(2) != 0) { /* any number of looks costs one signal */
            signal_if_needed();
        }
    }
}

/* ---- need_wakeup is anything ------------------------------------------------------------------
 */

enum { SETTLES = 3 };

static void settler(void)
{
    uint32_t last_number = 0;
    for (uint32_t i = 0; i < SETTLES; i++) {
        sched_round(i + 1);
        sched_observe(&signaller.signalled, sizeof(signaller.signalled));
        sched_observe(&last_number, sizeof(last_number));
        uint32_t before = signals;
        wakeup_fence();
        signal_if_needed();
        if (signals - before > 1) {
            sched_fail("two signals in one settle");
        }
        if (signals != before && signaller.signalled == last_number) {
            sched_fail("two signals for one number");
        }
        last_number = signals != before ? signaller.signalled : last_number;
    }
}

static void number_writer(void)
{
    static const uint32_t values[] = {0, 1, 2, UINT32_MAX};
    for (uint32_t i = 0; i < 4; i++) {
        sched_round(i + 1);
        sched_poke(&shared.channel.need_wakeup, values[sched_choose(4)], 4);
    }
}

static const char *check_nothing(void)
{
    return NULL;
}

/* ---- an armed socket: the sleeper looks at its hints only after the second look ----------------
 */

static bool drain_hints(void)
{
    uint32_t socket_idx, generation;
    bool any = hint_consumer_lost(&hint_consumer);
    while (hint_consumer_pop(&hint_consumer, &socket_idx, &generation)) {
        if (socket_idx != SOCKET_IDX || generation != 1) {
            sched_fail("a hint for another socket");
        }
        any = true;
    }
    hint_consumer_publish(&hint_consumer);
    return any;
}

static void wait_for_hint(const uint32_t seen[2])
{
    for (bool hinted = false; !hinted;) {
        client_round(2, seen);
        wakeup_prepare(&waiter);
        hinted = drain_hints();
        if (!hinted) {
            sched_event_wait(&event);
        }
        wakeup_cancel(&waiter);
    }
}

/* Arms, looks at the data, and then waits for hints alone until one has come. */
static void armed_sleeper(void)
{
    for (uint32_t seen[2] = {0, 0}; seen[0] < items;) {
        client_round(1, seen);
        if (mutant != ARM_ONCE || seen[0] == 0) {
            arm_set(&shared.socket, RS_LEVEL_READABLE, CHANNEL_IDX);
        }
        arm_fence();
        uint32_t now = level(0);
        if (now != seen[0]) {
            seen[0] = now;
            continue;
        }
        wait_for_hint(seen);
    }
    arm_clear(&shared.socket, CHANNEL_IDX);
}

static bool take_and_hint(uint32_t seen_idx)
{
    uint64_t channels = arm_take(&shared.socket, &arm_seen[seen_idx], RS_LEVEL_READABLE);
    if ((channels & 1u << CHANNEL_IDX) == 0) {
        return false;
    }
    if (hint_producer_push(&hint_producer, SOCKET_IDX, 1) != RS_OK) {
        sched_fail("an honest client was called poisoned");
    }
    return true;
}

/* What is private to the queue that serves the channel. */
static void queue_round(uint32_t point)
{
    sched_round(point);
    sched_observe(&signaller.signalled, sizeof(signaller.signalled));
    sched_observe(&hint_producer.tail, 3 * sizeof(uint32_t));
    sched_observe(&arm_seen[0], sizeof(arm_seen[0]));
    sched_observe(&signals, sizeof(signals));
}

static void arming_producer(void)
{
    for (uint32_t i = 1; i <= items; i++) {
        queue_round(i);
        atomic_store_explicit(&shared.levels[0], i, memory_order_release);
        wakeup_fence();
        if (take_and_hint(0) && mutant != NO_SECOND_FENCE) {
            wakeup_fence();
        }
        signal_if_needed();
    }
}

/* ---- two queues: queue 1 tells queue 0, which has the channel, by a message --------------------
 */

/* As armed_sleeper, for what two queues give. */
static void two_queue_sleeper(void)
{
    for (uint32_t seen[2] = {0, 0}; seen[0] < items || seen[1] < remote_items;) {
        client_round(1, seen);
        if (mutant != ARM_ONCE || seen[0] + seen[1] == 0) {
            arm_set(&shared.socket, RS_LEVEL_READABLE, CHANNEL_IDX);
        }
        arm_fence();
        uint32_t now[2] = {level(0), level(1)};
        if (now[0] != seen[0] || now[1] != seen[1]) {
            seen[0] = now[0];
            seen[1] = now[1];
            continue;
        }
        wait_for_hint(seen);
    }
    arm_clear(&shared.socket, CHANNEL_IDX);
}

/* Queue 1: data, fence, arm word by its own `seen`, message. Without room the socket stays on its
 * list, and the arm word is not taken. */
static void remote_queue(void)
{
    uint32_t *seen = &arm_seen[1];
    for (uint32_t i = 1; i <= remote_items; i++) {
        atomic_store_explicit(&shared.levels[1], i, memory_order_release);
        for (bool looked = false; !looked;) {
            sched_round(i);
            sched_observe(seen, sizeof(*seen));
            wakeup_fence();
            bool room = atomic_load_explicit(&shared.message, memory_order_acquire) == 0;
            if (!room && mutant != MESSAGE_DROPPED) {
                sched_yield_side();
                continue;
            }
            looked = true;
            uint64_t channels = arm_take(&shared.socket, seen, RS_LEVEL_READABLE);
            if (room && (channels & 1u << CHANNEL_IDX) != 0) {
                atomic_store_explicit(&shared.message, 1, memory_order_release);
            }
        }
    }
}

/* Queue 0: its own data in between, and the messages: hint, fence, look who sleeps. */
static void home_queue(void)
{
    for (uint32_t own = 0;;) {
        queue_round(own + 1);
        bool last = sched_other_done() || own < items;
        bool any = false, wake = false;
        if (atomic_load_explicit(&shared.message, memory_order_acquire) != 0) {
            if (hint_producer_push(&hint_producer, SOCKET_IDX, 1) != RS_OK) {
                sched_fail("an honest client was called poisoned");
            }
            atomic_store_explicit(&shared.message, 0, memory_order_release);
            any = wake = true;
        }
        if (own < items && sched_choose(2) == 0) {
            atomic_store_explicit(&shared.levels[0], ++own, memory_order_release);
            wakeup_fence();
            wake = take_and_hint(0) || wake;
            any = true;
        }
        if (wake) {
            if (mutant != NO_SECOND_FENCE) {
                wakeup_fence();
            }
            signal_if_needed();
        }
        if (!any && own == items && last) {
            return;
        }
        if (!any && own == items) {
            sched_yield_side();
        }
    }
}

/* ---- the control thread's sleep ---------------------------------------------------------------
 */

static void tell(uint32_t queue_idx)
{
    for (uint32_t i = 1; i <= 2; i++) {
        sched_round(i);
        atomic_store_explicit(&shared.told[queue_idx], i, memory_order_release);
        if (mutant != TELL_UNFENCED) {
            wakeup_fence();
        }
        bool asleep =
            mutant == TELL_UNFENCED
                ? atomic_load_explicit(&shared.control_sleeping, memory_order_relaxed) != 0
                : atomic_exchange_explicit(&shared.control_sleeping, 0, memory_order_relaxed) != 0;
        if (asleep) {
            sched_event_signal(&event);
        }
    }
}

static void tell_0(void)
{
    tell(0);
}

static void tell_1(void)
{
    tell(1);
}

static void control_thread(void)
{
    for (uint32_t seen[2] = {0, 0};;) {
        sched_round(1);
        sched_observe(seen, sizeof(seen));
        if (mutant != CONTROL_LOOKS_FIRST) {
            atomic_store_explicit(&shared.control_sleeping, 1, memory_order_relaxed);
            rs_fence_full();
        }
        for (uint32_t i = 0; i < 2; i++) {
            seen[i] = atomic_load_explicit(&shared.told[i], memory_order_acquire);
        }
        if (mutant == CONTROL_LOOKS_FIRST) {
            atomic_store_explicit(&shared.control_sleeping, 1, memory_order_relaxed);
        }
        if (seen[0] == 2 && seen[1] == 2) {
            return;
        }
        sched_event_wait(&event);
        atomic_store_explicit(&shared.control_sleeping, 0, memory_order_relaxed);
    }
}

/* ---------------------------------------------------------------------------------------------- */

static bool run(const char *what, struct sched_test test, enum mutant rule, uint32_t fences_off)
{
    mutant = rule;
    test.fences_off = fences_off;
    bool ok = sched_report(what, &test, sched_explore_all(&test, STATES_MAX),
                           rule != RIGHT || fences_off != 0);
    mutant = RIGHT;
    return ok;
}

int main(int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
    return 77; /* coroutines on one thread: nothing for TSan, and it does not know them */
#endif
    bool deep = argc > 1 && strcmp(argv[1], "deep") == 0;
    struct sched_test sleeping = {.name = "sleep",
                                  .setup = setup,
                                  .sides = {sleeper, producer},
                                  .check = check_signals,
                                  .shared = &shared,
                                  .shared_bytes = sizeof(shared)};
    struct sched_test hostile = sleeping;
    hostile.sides[0] = settler;
    hostile.sides[1] = number_writer;
    hostile.check = check_nothing;
    struct sched_test arming = sleeping;
    arming.sides[0] = armed_sleeper;
    arming.sides[1] = arming_producer;
    struct sched_test chain = sleeping;
    chain.sides[0] = two_queue_sleeper;
    chain.sides[1] = home_queue;
    chain.sides[2] = remote_queue;
    struct sched_test control = sleeping;
    control.sides[0] = control_thread;
    control.sides[1] = tell_0;
    control.sides[2] = tell_1;
    control.check = check_nothing;

    items = deep ? 6 : ITEMS;
    bool ok = run("sleeps without arming", sleeping, RIGHT, 0);
    ok = run("  the client does not fence", sleeping, RIGHT, 1) && ok;
    ok = run("  the dataplane does not fence", sleeping, RIGHT, 2) && ok;
    ok = run("  no second look", sleeping, LOOK_ONCE, 0) && ok;
    ok = run("  a signal for each look", sleeping, NOT_ONCE_A_NUMBER, 0) && ok;
    ok = run("any need_wakeup", hostile, RIGHT, 0) && ok;
    ok = run("  a signal for each look", hostile, NOT_ONCE_A_NUMBER, 0) && ok;
    items = ITEMS;
    ok = run("armed", arming, RIGHT, 0) && ok;
    ok = run("  the client does not fence", arming, RIGHT, 1) && ok;
    ok = run("  the dataplane does not fence", arming, RIGHT, 2) && ok;
    ok = run("  no fence after the hint", arming, NO_SECOND_FENCE, 0) && ok;
    ok = run("  armed only once", arming, ARM_ONCE, 0) && ok;
    items = remote_items = 1;
    ok = run("data of two queues, one channel", chain, RIGHT, 0) && ok;
    ok = run("  the client does not fence", chain, RIGHT, 1) && ok;
    ok = run("  the channel's queue does not fence", chain, RIGHT, 2) && ok;
    ok = run("  the other queue does not fence", chain, RIGHT, 4) && ok;
    ok = run("  no fence after the hint", chain, NO_SECOND_FENCE, 0) && ok;
    items = deep ? 1 : 0;
    remote_items = 2;
    ok = run("data of the other queue, one channel", chain, RIGHT, 0) && ok;
    items = 0;
    ok = run("  armed only once", chain, ARM_ONCE, 0) && ok;
    ok = run("  arm word taken without room for the message", chain, MESSAGE_DROPPED, 0) && ok;
    ok = run("the control thread sleeps", control, RIGHT, 0) && ok;
    ok = run("  it does not fence", control, RIGHT, 1) && ok;
    ok = run("  the queues do not fence", control, TELL_UNFENCED, 0) && ok;
    ok = run("  it looks before it says so", control, CONTROL_LOOKS_FIRST, 0) && ok;
    return ok ? 0 : 1;
}
