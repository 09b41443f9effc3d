/*
 * Posting: how a socket tells the dataplane that its send ring grew, without the request ring ever
 * overflowing. Normally every send posts a slot. Send rings are level (a tail is absolute, the
 * newest one says all), so when the request ring runs short, a socket whose last POST is still
 * unconsumed leaves its new tail in its send_level word instead, and the dataplane looks there
 * after it consumed that POST. rings/README.md has the interleavings, tests/model/post.c tries
 * them. Client side: under the socket's lock, with the channel in hand (its thread, or its lock).
 * Dataplane side: the queue thread. Called by provider/client and dataplane/; calls slot_ring.h.
 */
#ifndef RINGSOCK_RINGS_POST_H
#define RINGSOCK_RINGS_POST_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rings/fence.h"
#include "rings/layout.h"
#include "rings/slot_ring.h"
#include "rings/status.h"

/* ---- client
 * --------------------------------------------------------------------------------------------------
 */

/* The client's end of a channel's request ring. Private to whoever holds the channel. */
struct post_channel {
    struct slot_producer producer;
    struct rs_channel_client *shared;
    uint32_t limit_sockets;
    uint32_t levelled; /* sockets that rely on send_level; pressure is stored while it is not 0 */
};

enum post_last { POST_LAST_NONE = 0, POST_LAST_TAIL, POST_LAST_INLINE };

/* Of one socket; private to the holder of its lock. Zero-initialise; post_move when the
 * socket moves to another channel. */
struct post_socket {
    uint64_t last_position; /* of the newest data slot */
    uint64_t level_word;    /* what send_level says */
    enum post_last last;
    bool levelled; /* the newest tail is in send_level only: counted in the channel */
    /* Behind the position of the last POST, and of the last one on another channel, which is the
     * one that the dataplane knows of until it has consumed one of this channel. 0: none. */
    uint64_t tail_end, elsewhere_end;
};

/* slots, count and state: see slot_producer_init; count > 2 * limit_sockets. */
static inline void post_channel_init(struct post_channel *channel, struct rs_request *slots,
                                     uint32_t count, const struct rs_channel_state *state,
                                     struct rs_channel_client *shared, uint32_t limit_sockets)
{
    assert(count >= limit_sockets + RS_REPLY_CELLS);
    /* Pressure left by the index's last user stays: the dataplane may not have looked yet. */
    *channel = (struct post_channel){
        .shared = shared,
        .limit_sockets = limit_sockets,
        .levelled = atomic_load_explicit(&shared->pressure, memory_order_relaxed) != 0};
    slot_producer_init(&channel->producer, slots, count, state);
}

/* Brings a socket's client words to the state of a new socket, before its BIND or CONNECT is
 * posted: the rings that come start at 0. */
static inline void rs_socket_client_reset(struct rs_socket_client *shared)
{
    for (uint32_t queue_idx = 0; queue_idx < RS_QUEUES_MAX; queue_idx++) {
        atomic_store_explicit(&shared->recv_head[queue_idx], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&shared->channels, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->arm_events, 0, memory_order_relaxed);
}

/* Free slots that must remain for the one POST that every socket may make under pressure. */
static inline uint32_t post_channel_reserve(const struct post_channel *channel)
{
    return channel->limit_sockets + RS_REPLY_CELLS;
}

/* True while the request ring has more than the reserve left; loads request_head only when the
 * cached one says no. */
static inline bool post_channel_slack(struct post_channel *channel)
{
    uint32_t reserve = post_channel_reserve(channel);
    return slot_producer_room(&channel->producer, reserve + 1) > reserve;
}

/*
 * A slot with a newer tail than send_level's was posted. The dataplane publishes request_head first
 * and looks at `pressure` and send_level some time later, so nothing that the client sees consumed
 * ends pressure; only that no socket relies on its send_level any more. A socket that left the
 * channel meanwhile is never discounted: the dataplane then looks at send_level for nothing.
 */
static inline void post_level_superseded(struct post_channel *channel, struct post_socket *post)
{
    if (!post->levelled) {
        return;
    }
    post->levelled = false;
    if (--channel->levelled == 0) {
        /* Release, partner post_pressure: who sees this sees the slots that took the levels' place.
         */
        atomic_store_explicit(&channel->shared->pressure, 0, memory_order_release);
    }
}

/* Leaves the tail in send_level. True: the dataplane will see it. False: it may not look any more,
 * a slot is needed (and possible). */
static inline bool post_level_store(struct post_channel *channel, struct post_socket *post,
                                    struct rs_socket_client *shared, uint32_t tail)
{
    if (!post->levelled) {
        post->levelled = true;
        if (channel->levelled++ == 0) {
            atomic_store_explicit(&channel->shared->pressure, 1, memory_order_relaxed);
        }
    }
    post->level_word = (uint64_t)(uint32_t)post->last_position << 32 | tail;
    /* Release, partner post_level_take: what lies in the send ring up to tail is visible before it.
     */
    atomic_store_explicit(&shared->send_level, post->level_word, memory_order_release);
    /* Stores to pressure and send_level before the load of request_head. Partner: the fence between
     * slot_consumer_publish and post_pressure. If the dataplane misses our stores, its request_head
     * is what we load now. */
    rs_fence_full();
    return !slot_producer_consumed(&channel->producer, post->last_position);
}

/* The newest data slot of the socket; the same results as post_tail. */
static inline enum rs_status post_slot(struct post_channel *channel, struct post_socket *post,
                                       struct rs_socket_client *shared, enum rs_op op,
                                       uint32_t socket_idx, uint32_t generation, uint32_t tail)
{
    struct slot_producer *producer = &channel->producer;
    if ((uint32_t)(post->level_word >> 32) == (uint32_t)producer->tail) {
        /* An old send_level would look as if it extended the slot we are about to post (once in
         * 2^32 slots, or on another channel). */
        uint32_t nowhere = (uint32_t)producer->tail + (1u << 31);
        nowhere += nowhere + 1 == (uint32_t)post->elsewhere_end ? 1u << 30 : 0;
        post->level_word = (uint64_t)nowhere << 32 | tail;
        atomic_store_explicit(&shared->send_level, post->level_word, memory_order_release);
    }
    struct rs_request *slot = slot_producer_reserve(producer);
    if (slot == NULL) {
        return RS_WOULD_BLOCK;
    }
    slot->op = (uint8_t)op;
    slot->len_bytes = 0;
    slot->socket_idx = socket_idx;
    slot->generation = generation;
    slot->arg = tail;
    post->last = POST_LAST_TAIL;
    post->last_position = slot_producer_publish(producer);
    post->tail_end = post->last_position + 1;
    post_level_superseded(channel, post);
    return RS_OK;
}

/* The socket is another channel's from now on; all that it posted to the last one is consumed. */
static inline void post_move(struct post_socket *post)
{
    *post = (struct post_socket){.level_word = post->level_word,
                                 .tail_end = post->tail_end,
                                 .elsewhere_end = post->tail_end};
}

/* True when the socket may post no slot now: without slack it may have one on its way. */
static inline bool post_has_slot(struct post_channel *channel, const struct post_socket *post)
{
    return !post_channel_slack(channel) && post->last == POST_LAST_TAIL &&
           !slot_producer_consumed(&channel->producer, post->last_position);
}

/*
 * Tells the dataplane that the socket's send ring is filled up to `tail`. RS_OK: it will see it.
 * RS_WOULD_BLOCK: the request ring is full, which the reserve rules out but for a moment after a
 * socket index was reused; nothing was posted, call again.
 */
RS_CHECK_RESULT static inline enum rs_status
post_tail(struct post_channel *channel, struct post_socket *post, struct rs_socket_client *shared,
          uint32_t socket_idx, uint32_t generation, uint32_t tail)
{
    if (post_has_slot(channel, post)) {
        /* A level for a position that is also one of the channel before would be taken as that
         * one's, ahead of the posts of this channel that are still to be consumed. */
        if (post->elsewhere_end != 0 &&
            (uint32_t)post->last_position + 1 == (uint32_t)post->elsewhere_end) {
            return RS_WOULD_BLOCK;
        }
        if (post_level_store(channel, post, shared, tail)) {
            return RS_OK;
        }
    }
    return post_slot(channel, post, shared, RS_OP_POST, socket_idx, generation, tail);
}

/* The same with the news that the byte before `tail` is urgent, which only a slot can carry.
 * RS_WOULD_BLOCK: not now, call again; the dataplane frees slots with every batch. */
RS_CHECK_RESULT static inline enum rs_status
post_urgent(struct post_channel *channel, struct post_socket *post, struct rs_socket_client *shared,
            uint32_t socket_idx, uint32_t generation, uint32_t tail)
{
    if (post_has_slot(channel, post)) {
        return RS_WOULD_BLOCK;
    }
    return post_slot(channel, post, shared, RS_OP_URGENT, socket_idx, generation, tail);
}

/*
 * A slot for a datagram inside the request, or NULL: then it goes through the send ring. Only with
 * slack, and only when the dataplane has taken all that is in the socket's send ring
 * (send_ring_empty: dgram_send_writer_empty), so that a datagram cannot overtake another. The
 * caller fills the slot and calls post_inline_publish.
 */
static inline struct rs_request *post_inline_reserve(struct post_channel *channel,
                                                     bool send_ring_empty)
{
    if (!send_ring_empty || !post_channel_slack(channel)) {
        return NULL;
    }
    return slot_producer_reserve(&channel->producer);
}

static inline void post_inline_publish(struct post_channel *channel, struct post_socket *post)
{
    post->last = POST_LAST_INLINE;
    post->last_position = slot_producer_publish(&channel->producer);
}

/*
 * A slot for a control request, or NULL: ask again, the dataplane frees slots with every batch.
 * Controls leave a slot for every socket, so they may not use the last limit_sockets slots. Publish
 * with slot_producer_publish.
 */
static inline struct rs_request *post_control_reserve(struct post_channel *channel)
{
    if (slot_producer_room(&channel->producer, channel->limit_sockets + 1) <=
        channel->limit_sockets) {
        return NULL;
    }
    return slot_producer_reserve(&channel->producer);
}

/* The dataplane looks at the socket's recv_head (RS_OP_CONSUMED). In no order with other slots, so
 * any channel of the home queue will do. RS_WOULD_BLOCK: as post_control_reserve's NULL. */
RS_CHECK_RESULT static inline enum rs_status post_consumed(struct post_channel *channel,
                                                           uint32_t socket_idx, uint32_t generation)
{
    struct rs_request *slot = post_control_reserve(channel);
    if (slot == NULL) {
        return RS_WOULD_BLOCK;
    }
    slot->op = RS_OP_CONSUMED;
    slot->len_bytes = 0;
    slot->socket_idx = socket_idx;
    slot->generation = generation;
    slot->arg = 0;
    slot->serial = 0;
    (void)slot_producer_publish(&channel->producer);
    return RS_OK;
}

/* A slot for RS_OP_WARM, or NULL: without slack what it would warm is in use anyway. In no order
 * with other slots, so nothing of the socket's posts changes. Publish with slot_producer_publish.
 */
static inline struct rs_request *post_warm_reserve(struct post_channel *channel)
{
    return post_channel_slack(channel) ? slot_producer_reserve(&channel->producer) : NULL;
}

/* ---- dataplane
 * -----------------------------------------------------------------------------------------------
 */

/*
 * After slot_consumer_publish of a batch that contained POSTs, sooner or later: rs_fence_full
 * (wakeup_fence is one; several batches may share it), then, if this is true, post_level_take for
 * each socket that had a POST since the last time. Looking without a fence as well finds most of
 * them earlier.
 */
static inline bool post_pressure(const struct rs_channel_client *shared)
{
    return atomic_load_explicit(&shared->pressure, memory_order_relaxed) != 0;
}

/*
 * position: of the newest POST slot of this socket that was consumed. True: *tail is a tail that
 * the client left for it, to be checked like a POST's arg (it may be the same one again).
 */
static inline bool post_level_take(const struct rs_socket_client *shared, uint32_t position,
                                   uint32_t *tail)
{
    /* Acquire, partner post_level_store. One load gives both halves. */
    uint64_t word = atomic_load_explicit(&shared->send_level, memory_order_acquire);
    *tail = (uint32_t)word;
    return (uint32_t)(word >> 32) == position;
}

#endif
