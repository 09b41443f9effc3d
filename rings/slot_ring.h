/*
 * The request ring of a channel: 64-byte slots, one producer (the client thread that owns the
 * channel, or whoever holds its lock), one consumer (the dataplane queue the channel belongs to).
 * The slot itself says that it is full: its seq word is stored last and polled, so a request costs
 * one cache line. The consumed index goes back lazily, once per batch. Called by provider/client
 * (producer) and dataplane/ (consumer); calls nothing. Who may post what under pressure is decided
 * in post.h.
 */
#ifndef RINGSOCK_RINGS_SLOT_RING_H
#define RINGSOCK_RINGS_SLOT_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rings/fence.h"
#include "rings/layout.h"
#include "rings/seq.h"

/* The seq word of a full slot: never 0 (fresh memory), and another one in each lap of the ring
 * (rings have fewer than 2^31 slots). */
static inline uint32_t rs_slot_seq(uint32_t position)
{
    return (position << 1) | 1u;
}

/* ---- producer: client
 * ---------------------------------------------------------------------------------------- */

/*
 * Private to the producer. Positions are 64-bit here, so that 'is that slot consumed?' has one
 * answer however old the slot is; the low half is the position in shared memory.
 */
struct slot_producer {
    struct rs_request *slots; /* cl */
    const struct rs_channel_state *state;
    uint64_t tail;        /* position of the next slot */
    uint64_t head_cached; /* all positions before it are consumed */
    uint32_t mask;
};

/* count: slots, a power of two. state: the channel's dp line; production starts at its
 * request_head. */
static inline void slot_producer_init(struct slot_producer *producer, struct rs_request *slots,
                                      uint32_t count, const struct rs_channel_state *state)
{
    assert(rs_is_pow2(count));
    uint64_t start = atomic_load_explicit(&state->request_head, memory_order_acquire);
    *producer = (struct slot_producer){
        .slots = slots, .state = state, .tail = start, .head_cached = start, .mask = count - 1};
}

/* Loads the consumed index anew. A value that cannot be (the dataplane is broken) is ignored: the
 * ring then stays full. */
static inline void slot_producer_refresh(struct slot_producer *producer)
{
    /* Acquire, partner slot_consumer_publish: the consumer's copies out of the slots are done
     * before we fill them again. */
    uint32_t head = atomic_load_explicit(&producer->state->request_head, memory_order_acquire);
    uint64_t used = rs_seq_distance(head, (uint32_t)producer->tail);
    if (used <= producer->tail - producer->head_cached) {
        producer->head_cached = producer->tail - used;
    }
}

/* Free slots by the cached index. */
static inline uint32_t slot_producer_room_cached(const struct slot_producer *producer)
{
    return producer->mask + 1 - (uint32_t)(producer->tail - producer->head_cached);
}

/* Free slots; loads the consumed index only when the cached one leaves fewer than `wanted`. */
static inline uint32_t slot_producer_room(struct slot_producer *producer, uint32_t wanted)
{
    if (slot_producer_room_cached(producer) < wanted) {
        slot_producer_refresh(producer);
    }
    return slot_producer_room_cached(producer);
}

/* True when the dataplane has published that it consumed the slot at `position` (as
 * slot_producer_publish returned it). */
static inline bool slot_producer_consumed(struct slot_producer *producer, uint64_t position)
{
    if (position < producer->head_cached) {
        return true;
    }
    slot_producer_refresh(producer);
    return position < producer->head_cached;
}

/*
 * The same question asked by another thread, which has no right to the producer: state and count
 * are the channel's. May say 'no' about a slot older than 2^32 - count positions, never a wrong
 * 'yes'.
 */
static inline bool slot_state_consumed(const struct rs_channel_state *state, uint32_t count,
                                       uint64_t position)
{
    uint32_t head = atomic_load_explicit(&state->request_head, memory_order_acquire);
    return rs_seq_distance(head, (uint32_t)position) >= count;
}

/* The next slot to fill (all fields but seq), or NULL when the ring is full. Nothing is taken until
 * slot_producer_publish. */
static inline struct rs_request *slot_producer_reserve(struct slot_producer *producer)
{
    if (slot_producer_room(producer, 1) == 0) {
        return NULL;
    }
    return &producer->slots[(uint32_t)producer->tail & producer->mask];
}

/* Hands the reserved slot over. Returns its position. */
static inline uint64_t slot_producer_publish(struct slot_producer *producer)
{
    uint64_t position = producer->tail++;
    struct rs_request *slot = &producer->slots[(uint32_t)position & producer->mask];
    /* Release, partner slot_consumer_peek: the slot's fields, and what they point to in the send
     * ring, are visible before seq. */
    atomic_store_explicit(&slot->seq, rs_slot_seq((uint32_t)position), memory_order_release);
    return position;
}

/* ---- consumer: dataplane
 * ------------------------------------------------------------------------------------- */

struct slot_consumer {
    struct rs_request *slots; /* cl: only seq decides, only copies are used */
    struct rs_channel_state *state;
    uint32_t mask;
    uint32_t head;      /* next position to consume */
    uint32_t published; /* what request_head says */
};

/* count: slots, a power of two; slots zeroed. start: the first position, stored in
 * state->request_head before the client learns of the channel. */
static inline void slot_consumer_init(struct slot_consumer *consumer, struct rs_request *slots,
                                      uint32_t count, struct rs_channel_state *state,
                                      uint32_t start)
{
    assert(rs_is_pow2(count));
    *consumer = (struct slot_consumer){
        .slots = slots, .state = state, .mask = count - 1, .head = start, .published = start};
    atomic_store_explicit(&state->request_head, start, memory_order_release);
}

/* True when a request waits. */
static inline bool slot_consumer_pending(const struct slot_consumer *consumer)
{
    const struct rs_request *slot = &consumer->slots[consumer->head & consumer->mask];
    return atomic_load_explicit(&slot->seq, memory_order_relaxed) == rs_slot_seq(consumer->head);
}

/* Copies the next request to *out; false when there is none. *out is what the client wrote: no
 * field of it is checked. */
static inline bool slot_consumer_peek(const struct slot_consumer *consumer, struct rs_request *out)
{
    const struct rs_request *slot = &consumer->slots[consumer->head & consumer->mask];
    /* Acquire, partner slot_producer_publish: the fields are not read before seq says that they are
     * there. */
    if (atomic_load_explicit(&slot->seq, memory_order_acquire) != rs_slot_seq(consumer->head)) {
        return false;
    }
    memcpy(out, slot, sizeof(*out));
    rs_fence_copied();
    return true;
}

/* The socket that a request further on names, for prefetching only: nothing of it is checked.
 * RS_NO_INDEX: there is no request so far on. */
static inline uint32_t slot_consumer_ahead(const struct slot_consumer *consumer, uint32_t ahead)
{
    uint32_t position = consumer->head + ahead;
    const struct rs_request *slot = &consumer->slots[position & consumer->mask];
    /* Acquire as in slot_consumer_peek. */
    if (atomic_load_explicit(&slot->seq, memory_order_acquire) != rs_slot_seq(position)) {
        return RS_NO_INDEX;
    }
    return *(const volatile uint32_t *)&slot->socket_idx;
}

/* The request that slot_consumer_peek gave is done with. */
static inline void slot_consumer_advance(struct slot_consumer *consumer)
{
    consumer->head++;
}

/* Once per batch. */
static inline void slot_consumer_publish(struct slot_consumer *consumer)
{
    if (consumer->published != consumer->head) {
        consumer->published = consumer->head;
        /* Release, partner slot_producer_refresh: our copies are made before the producer may fill
         * the slots again. */
        atomic_store_explicit(&consumer->state->request_head, consumer->head, memory_order_release);
    }
}

#endif
