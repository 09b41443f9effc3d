/*
 * The hand-over ring of handover.h. As in message.c a slot's seq says whose turn it is: 2 *
 * position when the producer may fill it, 2 * position + 1 when the consumer may use it. Both look
 * at the slot only, so an empty ring costs the consumer one line that it keeps in its cache.
 */
#include "dataplane/handover.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "rings/seq.h"

/* What only one side writes lies two lines from the rest: neighbouring lines are fetched in pairs.
 */
struct handover_ring {
    uint8_t *slots;
    void *memory; /* what slots was cut from, for free */
    uint32_t slot_bytes;
    uint32_t payload_bytes;
    uint32_t mask;
    uint8_t pad0[128];
    uint32_t tail; /* producer's own */
    uint8_t pad1[128];
    uint32_t head; /* consumer's own */
    uint32_t collected_bytes;
    uint8_t *collected; /* RS_DGRAM_MAX_BYTES */
    uint8_t pad2[128];
};

static struct handover_slot *slot_at(const struct handover_ring *ring, uint32_t position)
{
    size_t off = (size_t)(position & ring->mask) * ring->slot_bytes;
    return (struct handover_slot *)(void *)(ring->slots + off);
}

enum rs_status handover_create(uint32_t slots, uint32_t payload_bytes, struct handover_ring **out)
{
    if (!rs_is_pow2(slots) || slots > UINT32_MAX / 4 || payload_bytes > UINT32_MAX / 4) {
        return RS_INVALID;
    }
    struct handover_ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL) {
        return RS_NO_MEMORY;
    }
    ring->payload_bytes = payload_bytes;
    ring->slot_bytes =
        (uint32_t)sizeof(struct handover_slot) + rs_align_up(payload_bytes, RS_LINE_BYTES);
    ring->mask = slots - 1;
    ring->memory = calloc((size_t)slots + 1, ring->slot_bytes);
    ring->collected = malloc(RS_DGRAM_MAX_BYTES);
    if (ring->memory == NULL || ring->collected == NULL) {
        handover_destroy(ring);
        return RS_NO_MEMORY;
    }
    size_t unaligned = (uintptr_t)ring->memory % RS_LINE_BYTES;
    ring->slots = (uint8_t *)ring->memory + (unaligned == 0 ? 0 : RS_LINE_BYTES - unaligned);
    for (uint32_t i = 0; i < slots; i++) {
        atomic_init(&slot_at(ring, i)->seq, 2 * i);
    }
    *out = ring;
    return RS_OK;
}

void handover_destroy(struct handover_ring *ring)
{
    if (ring != NULL) {
        free(ring->collected);
        free(ring->memory);
        free(ring);
    }
}

uint32_t handover_payload_max(const struct handover_ring *ring)
{
    return ring->payload_bytes;
}

struct handover_slot *handover_reserve(struct handover_ring *ring, uint32_t bytes)
{
    struct handover_slot *slot = slot_at(ring, ring->tail);
    /* acquire: our stores into the slot come after the consumer's loads of the lap before */
    if (bytes > ring->payload_bytes ||
        atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * ring->tail) {
        return NULL;
    }
    slot->len_bytes = bytes;
    return slot;
}

bool handover_has_room(const struct handover_ring *ring, uint32_t bytes)
{
    uint32_t last = ring->tail;
    while (bytes > ring->payload_bytes) {
        bytes -= ring->payload_bytes;
        last++;
    }
    /* The consumer frees slots in order. acquire: as in handover_reserve */
    return last - ring->tail <= ring->mask &&
           atomic_load_explicit(&slot_at(ring, last)->seq, memory_order_acquire) == 2 * last;
}

void handover_commit(struct handover_ring *ring)
{
    struct handover_slot *slot = slot_at(ring, ring->tail);
    /* release: header and payload are stored before the word handover_peek acquires */
    atomic_store_explicit(&slot->seq, 2 * ring->tail + 1, memory_order_release);
    ring->tail++;
}

struct handover_slot *handover_peek(struct handover_ring *ring)
{
    struct handover_slot *slot = slot_at(ring, ring->head);
    /* acquire: pairs with the release in handover_commit */
    bool full = atomic_load_explicit(&slot->seq, memory_order_acquire) == 2 * ring->head + 1;
    return full ? slot : NULL;
}

const uint8_t *handover_collect(struct handover_ring *ring, struct handover_slot *slot,
                                uint32_t *len_bytes)
{
    bool more = (slot->how & HANDOVER_MORE) != 0;
    *len_bytes = ring->collected_bytes + slot->len_bytes;
    if (!more && ring->collected_bytes == 0) {
        return handover_payload(slot);
    }
    assert(*len_bytes <= RS_DGRAM_MAX_BYTES);
    memcpy(ring->collected + ring->collected_bytes, handover_payload(slot), slot->len_bytes);
    return ring->collected;
}

void handover_release(struct handover_ring *ring)
{
    struct handover_slot *slot = slot_at(ring, ring->head);
    bool more = slot->kind == HANDOVER_SEND && (slot->how & HANDOVER_MORE) != 0;
    ring->collected_bytes = more ? ring->collected_bytes + slot->len_bytes : 0;
    /* release: our loads of the slot come before the producer may fill it again */
    atomic_store_explicit(&slot->seq, 2 * (ring->head + ring->mask + 1), memory_order_release);
    ring->head++;
}
