/*
 * Sleeping and arming: how a client thread waits for the dataplane without losing a wake-up, and
 * how the dataplane learns who wants to hear of which socket. Both are the same pattern. One side
 * stores its wish, fences, and looks for data once more; the other stores data, fences, and looks
 * for a wish. Of two such sides at least one sees what the other stored; release and acquire alone
 * would let both miss. Called by provider/client (waiter) and dataplane/ (signaller). The waiting
 * itself is os_event_wait; nothing here calls the OS.
 */
#ifndef RINGSOCK_RINGS_WAKEUP_H
#define RINGSOCK_RINGS_WAKEUP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "rings/fence.h"
#include "rings/layout.h"

/* ---- a channel's sleep
 * --------------------------------------------------------------------------------------- */

/* Private to the thread that sleeps on the channel (one at a time). Zero-initialise but for shared.
 */
struct wakeup_waiter {
    struct rs_channel_client *shared;
    uint32_t number; /* of the newest sleep */
};

/*
 * Announces a sleep. After it, look again at everything the thread waits for (replies, hints, level
 * words, rings); only if there is nothing, wait for the channel's event. wakeup_cancel follows in
 * both cases. The event may also fire without cause (an old signal): look, and wait again with a
 * new wakeup_prepare.
 */
static inline void wakeup_prepare(struct wakeup_waiter *waiter)
{
    if (++waiter->number == 0) {
        waiter->number = 1; /* 0 means awake */
    }
    atomic_store_explicit(&waiter->shared->need_wakeup, waiter->number, memory_order_relaxed);
    /* Keeps this store before the caller's second look. Partner: wakeup_fence between the
     * dataplane's data and wakeup_needed. */
    rs_fence_full();
}

/* Awake again. */
static inline void wakeup_cancel(struct wakeup_waiter *waiter)
{
    atomic_store_explicit(&waiter->shared->need_wakeup, 0, memory_order_relaxed);
}

/* Private to the queue, one per channel. */
struct wakeup_signaller {
    const struct rs_channel_client *shared;
    uint32_t signalled; /* the newest sleep that was woken */
};

/*
 * The dataplane's fence, once per batch: after everything was stored that a client may wait for
 * (replies, records, level words, hints), before arm_take and wakeup_needed. When arm_take led to
 * hints, fence again before wakeup_needed: a waiter may look only at its hint ring. A queue whose
 * clients never sleep (spin_us forever) leaves it out.
 */
static inline void wakeup_fence(void)
{
    rs_fence_full();
}

/* True when the channel's client sleeps and was not signalled for this sleep yet: the caller then
 * signals the event. After wakeup_fence. */
static inline bool wakeup_needed(struct wakeup_signaller *signaller)
{
    /* Relaxed: nothing is read on the strength of it. A wrong number costs a needless signal. */
    uint32_t number = atomic_load_explicit(&signaller->shared->need_wakeup, memory_order_relaxed);
    if (number == 0 || number == signaller->signalled) {
        return false;
    }
    signaller->signalled = number;
    return true;
}

/* ---- arming a socket
 * ----------------------------------------------------------------------------------------- */

/*
 * Asks for a hint on channel `channel_idx` when one of `events` (RS_LEVEL_*) comes true. One hint
 * per arming: after a hint, or a wake-up of any kind, arm again before sleeping. Arm all sockets,
 * then arm_fence once (or wakeup_prepare, which contains it), then look at the sockets once more.
 * Arming and disarming of one socket are serialised by the caller (the client's lock of the
 * socket).
 */
static inline void arm_set(struct rs_socket_client *shared, uint32_t events, uint32_t channel_idx)
{
    assert(channel_idx < RS_CHANNELS_MAX);
    atomic_fetch_or_explicit(&shared->channels, (uint64_t)1 << channel_idx, memory_order_relaxed);
    atomic_fetch_or_explicit(&shared->arm_events, events, memory_order_relaxed);
    /* Release, partner arm_take: who sees the new number sees its events and channels. */
    atomic_fetch_add_explicit(&shared->arm_seq, 1, memory_order_release);
}

/* The same, for all that this channel wants: what only it asked for before is forgotten. */
static inline void arm_set_anew(struct rs_socket_client *shared, uint32_t events,
                                uint32_t channel_idx)
{
    assert(channel_idx < RS_CHANNELS_MAX);
    uint64_t bit = (uint64_t)1 << channel_idx;
    if ((atomic_load_explicit(&shared->channels, memory_order_relaxed) & ~bit) == 0) {
        /* Seen with the number before, it is as good as the look that follows arm_fence. */
        atomic_store_explicit(&shared->arm_events, events, memory_order_relaxed);
    }
    arm_set(shared, events, channel_idx);
}

/* Between arm_set and the second look. Partner: wakeup_fence between the dataplane's data and
 * arm_take. */
static inline void arm_fence(void)
{
    rs_fence_full();
}

/* The channel no longer waits for the socket. A hint on its way still comes: hints are only ever
 * 'look there'. */
static inline void arm_clear(struct rs_socket_client *shared, uint32_t channel_idx)
{
    assert(channel_idx < RS_CHANNELS_MAX);
    uint64_t bit = (uint64_t)1 << channel_idx;
    if (atomic_fetch_and_explicit(&shared->channels, ~bit, memory_order_relaxed) == bit) {
        atomic_store_explicit(&shared->arm_events, 0, memory_order_relaxed);
    }
}

/*
 * The dataplane's side, after wakeup_fence, for a socket where `happened` (RS_LEVEL_*) came true in
 * this batch. Returns the channels that get a hint, one bit each (to be masked with the session's
 * open channels: the word is the client's), 0 when nobody asked. *seen is private to the queue: the
 * last arming answered; start it at 0, the value of fresh arm words.
 */
static inline uint64_t arm_take(const struct rs_socket_client *shared, uint32_t *seen,
                                uint32_t happened)
{
    /* Acquire, partner arm_set: events and channels belong to this number or a later one. */
    uint32_t seq = atomic_load_explicit(&shared->arm_seq, memory_order_acquire);
    if (seq == *seen) {
        return 0;
    }
    if ((atomic_load_explicit(&shared->arm_events, memory_order_relaxed) & happened) == 0) {
        return 0; /* stays armed */
    }
    *seen = seq;
    return atomic_load_explicit(&shared->channels, memory_order_relaxed);
}

#endif
