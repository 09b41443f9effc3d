/*
 * The hint ring of a channel: "look at this socket", from the dataplane queue (producer) to the
 * client thread that owns the channel (consumer). A hint says nothing; the level words do. So a
 * full ring loses nothing: the producer counts it in hint_lost, and a consumer that sees the count
 * change looks at all it armed. The producer never waits. Calls nothing.
 */
#ifndef RINGSOCK_RINGS_HINT_RING_H
#define RINGSOCK_RINGS_HINT_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "rings/layout.h"
#include "rings/seq.h"
#include "rings/slot_ring.h"
#include "rings/status.h"

/* ---- producer: dataplane
 * ------------------------------------------------------------------------------------- */

struct hint_producer {
    struct rs_hint *slots;                  /* dp */
    struct rs_channel_state *state;         /* dp: hint_lost */
    const struct rs_channel_client *shared; /* cl: hint_head */
    uint32_t mask;
    uint32_t tail;
    uint32_t head_cached;
    uint32_t lost;
};

/* count: a power of two; slots zeroed. start: first position, 0 in a session. */
static inline void hint_producer_init(struct hint_producer *producer, struct rs_hint *slots,
                                      uint32_t count, struct rs_channel_state *state,
                                      const struct rs_channel_client *shared, uint32_t start)
{
    assert(rs_is_pow2(count));
    *producer = (struct hint_producer){
        .slots = slots,
        .state = state,
        .shared = shared,
        .mask = count - 1,
        .tail = start,
        .head_cached = start,
        .lost = atomic_load_explicit(&state->hint_lost, memory_order_relaxed)};
}

/* A hint that the client does not get: it looks at all that it armed. */
static inline void hint_producer_lose(struct hint_producer *producer)
{
    /* Release, partner hint_consumer_lost: the level words are visible to who sees the count. */
    atomic_store_explicit(&producer->state->hint_lost, ++producer->lost, memory_order_release);
}

/* RS_OK: the client will look (the hint is there, or counted as lost). RS_POISONED: the client's
 * index cannot be. */
RS_CHECK_RESULT static inline enum rs_status
hint_producer_push(struct hint_producer *producer, uint32_t socket_idx, uint32_t generation)
{
    if (rs_seq_distance(producer->head_cached, producer->tail) > producer->mask) {
        /* Acquire, partner hint_consumer_publish: the client has read what we overwrite. */
        uint32_t head = atomic_load_explicit(&producer->shared->hint_head, memory_order_acquire);
        if (!rs_seq_in_range(head, producer->head_cached, producer->tail)) {
            return RS_POISONED;
        }
        producer->head_cached = head;
        if (rs_seq_distance(head, producer->tail) > producer->mask) {
            hint_producer_lose(producer);
            return RS_OK;
        }
    }
    struct rs_hint *slot = &producer->slots[producer->tail & producer->mask];
    slot->socket_idx = socket_idx;
    slot->generation = generation;
    /* Release, partner hint_consumer_pop. */
    atomic_store_explicit(&slot->seq, rs_slot_seq(producer->tail), memory_order_release);
    producer->tail++;
    return RS_OK;
}

/* ---- consumer: client
 * ---------------------------------------------------------------------------------------- */

struct hint_consumer {
    const struct rs_hint *slots;          /* dp, mapped read-only */
    const struct rs_channel_state *state; /* dp */
    struct rs_channel_client *shared;     /* cl */
    uint32_t mask;
    uint32_t head;
    uint32_t lost_seen;
};

/* Before the channel is opened by the dataplane's answer is used: stores hint_head = start. */
static inline void hint_consumer_init(struct hint_consumer *consumer, const struct rs_hint *slots,
                                      uint32_t count, const struct rs_channel_state *state,
                                      struct rs_channel_client *shared, uint32_t start)
{
    assert(rs_is_pow2(count));
    *consumer = (struct hint_consumer){
        .slots = slots,
        .state = state,
        .shared = shared,
        .mask = count - 1,
        .head = start,
        .lost_seen = atomic_load_explicit(&state->hint_lost, memory_order_relaxed)};
    atomic_store_explicit(&shared->hint_head, start, memory_order_relaxed);
}

/* The next hint; false when there is none. The client checks socket_idx against its own table: the
 * hint may be for a socket closed since. */
static inline bool hint_consumer_pop(struct hint_consumer *consumer, uint32_t *socket_idx,
                                     uint32_t *generation)
{
    const struct rs_hint *slot = &consumer->slots[consumer->head & consumer->mask];
    /* Acquire, partner hint_producer_push. */
    if (atomic_load_explicit(&slot->seq, memory_order_acquire) != rs_slot_seq(consumer->head)) {
        return false;
    }
    *socket_idx = slot->socket_idx;
    *generation = slot->generation;
    consumer->head++;
    return true;
}

/* Is there a hint, or was one lost? Takes nothing. */
static inline bool hint_consumer_waits(const struct hint_consumer *consumer)
{
    const struct rs_hint *slot = &consumer->slots[consumer->head & consumer->mask];
    return atomic_load_explicit(&slot->seq, memory_order_acquire) == rs_slot_seq(consumer->head) ||
           atomic_load_explicit(&consumer->state->hint_lost, memory_order_acquire) !=
               consumer->lost_seen;
}

/* Frees what was popped; once per batch. */
static inline void hint_consumer_publish(struct hint_consumer *consumer)
{
    /* Release, partner hint_producer_push. */
    atomic_store_explicit(&consumer->shared->hint_head, consumer->head, memory_order_release);
}

/* True when hints were lost since the last call: look at every armed socket. */
static inline bool hint_consumer_lost(struct hint_consumer *consumer)
{
    uint32_t lost = atomic_load_explicit(&consumer->state->hint_lost, memory_order_acquire);
    bool changed = lost != consumer->lost_seen;
    consumer->lost_seen = lost;
    return changed;
}

#endif
