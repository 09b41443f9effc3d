/*
 * What one queue's thread hands to another's: received frames that belong to the other stack,
 * datagrams to be sent there, when they were, channels to be hinted. One ring per ordered pair of
 * queues, one producer thread, one consumer thread. Both ends work in the slot itself, so that a
 * frame is copied once: into it.
 *
 * Called by the two queues' poll loops; made and destroyed by the control thread while neither
 * runs. Nobody waits here: a full ring is the producer's to count.
 */
#ifndef RINGSOCK_DATAPLANE_HANDOVER_H
#define RINGSOCK_DATAPLANE_HANDOVER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/layout.h"
#include "rings/status.h"

enum handover_kind {
    HANDOVER_FRAME, /* payload: a received frame for the consumer's stack; flags, rx_tsc */
    HANDOVER_SEND,  /* payload: a datagram for socket to send, or a piece of one; session to
                       generation, dst, port, how */
    HANDOVER_HINT,  /* socket is to be hinted; session to generation, channel_mask */
    HANDOVER_STAMP  /* stamp, tx_tsc: a datagram that the consumer handed over was sent */
};

/* The payload follows the header; it begins on a line of its own. */
struct handover_slot {
    _Atomic uint32_t seq; /* whose turn it is, see handover.c; partner: the other thread's load */
    uint32_t kind;        /* enum handover_kind */
    uint32_t len_bytes;   /* of the payload; set by handover_reserve */
    union {
        uint32_t flags;    /* of a frame: PKT_RX_* */
        uint32_t src_be32; /* of a datagram with control */
    };
    union {
        uint64_t rx_tsc; /* of a frame */
        uint64_t stamp;  /* of a datagram with control; a HANDOVER_STAMP's */
    };
    uint64_t session_id;
    uint32_t session_slot; /* where the consumer looks for a session of that id */
    uint32_t socket_idx;
    uint32_t generation; /* of the socket */
    uint32_t dst_be32;
    union {
        uint64_t channel_mask;
        uint64_t tx_tsc;
    };
    uint16_t port_be16;
    uint8_t how;                /* of a datagram: HANDOVER_CONTROL, HANDOVER_MORE */
    uint8_t tos, tos_mask, ttl; /* then as struct udp_control's */
    uint8_t ttl_set, stamped;
};
static_assert(sizeof(struct handover_slot) == RS_LINE_BYTES, "the payload begins a line");

#define HANDOVER_CONTROL 1u /* it has control */
#define HANDOVER_MORE    2u /* a piece, and more follow */

struct handover_ring;

/* A ring of slots (a power of two), each with room for payload_bytes; all together for a datagram
 * of RS_DGRAM_MAX_BYTES, if such are to be handed over. All memory it will ever use. RS_INVALID,
 * RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status handover_create(uint32_t slots, uint32_t payload_bytes,
                                               struct handover_ring **out);
/* What is still in it is forgotten. NULL is no ring. */
void handover_destroy(struct handover_ring *ring);
/* Payload bytes of a slot. Any thread. */
uint32_t handover_payload_max(const struct handover_ring *ring);

static inline uint8_t *handover_payload(struct handover_slot *slot)
{
    return (uint8_t *)(slot + 1);
}

/* Producer thread. The next free slot, its own until handover_commit; the same one when asked
 * again. len_bytes and nothing else is set. NULL: full, or bytes is more than a slot has. */
struct handover_slot *handover_reserve(struct handover_ring *ring, uint32_t bytes);
/* Producer thread. Whether so many bytes find room now, in one slot or in several. */
bool handover_has_room(const struct handover_ring *ring, uint32_t bytes);
/* Producer thread. The reserved slot, filled, goes to the consumer. */
void handover_commit(struct handover_ring *ring);
/* Consumer thread. The oldest slot, its own until handover_release. NULL: nothing there. */
struct handover_slot *handover_peek(struct handover_ring *ring);
/* Consumer thread. The datagram that the slot of handover_peek is a piece of, as far as it has
 * come: the payloads of those before it, and its own. Asked again for the same slot it says the
 * same. */
const uint8_t *handover_collect(struct handover_ring *ring, struct handover_slot *slot,
                                uint32_t *len_bytes);
/* Consumer thread. The slot of handover_peek is the producer's again. */
void handover_release(struct handover_ring *ring);

#endif
