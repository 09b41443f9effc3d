/*
 * The in-memory wire, see nic_memory.h. Buffers come from one pool with a free list; frames under
 * way are indices of buffers in two rings, received and sent.
 */
#include "dataplane/nic_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/steer.h"
#include "rings/seq.h"

#define MEMORY_HEADER_BYTES 18u /* Ethernet with a VLAN tag */
#define MEMORY_LINE_BYTES   64u

struct memory_frame {
    uint32_t buffer_idx;
    uint32_t len_bytes;
    uint32_t flags;
};

struct memory_ring {
    struct memory_frame *frames;
    uint32_t head, tail; /* free-running */
};

struct nic_memory {
    struct nic nic;
    struct nic_memory *peer;
    uint8_t *memory;
    uint32_t *free_idx; /* a stack of buffer indices */
    uint32_t free_count;
    uint32_t held_count;
    uint32_t buffer_bytes;
    uint32_t ring_mask;
    uint32_t tx_left, alloc_left;
    struct memory_ring received, sent;
    struct nic_stats stats;
};

static struct nic_memory *memory_of(struct nic *nic)
{
    return (struct nic_memory *)nic;
}

static uint8_t *memory_buffer(const struct nic_memory *memory, uint32_t idx)
{
    return memory->memory + (size_t)idx * memory->buffer_bytes;
}

static bool memory_ring_full(const struct nic_memory *memory, const struct memory_ring *ring)
{
    return rs_seq_distance(ring->head, ring->tail) > memory->ring_mask;
}

/* Copies a frame into a fresh buffer at the end of the ring. */
static bool memory_ring_put(struct nic_memory *memory, struct memory_ring *ring, const void *data,
                            uint32_t len_bytes, uint32_t flags)
{
    if (memory_ring_full(memory, ring) || memory->free_count == 0 ||
        len_bytes > memory->buffer_bytes) {
        return false;
    }
    uint32_t idx = memory->free_idx[--memory->free_count];
    memcpy(memory_buffer(memory, idx), data, len_bytes);
    ring->frames[ring->tail++ & memory->ring_mask] = (struct memory_frame){idx, len_bytes, flags};
    return true;
}

static void memory_free(struct nic_memory *memory, const struct pkt *pkt)
{
    size_t off = (size_t)((uint8_t *)pkt->handle - memory->memory);
    memory->free_idx[memory->free_count++] = (uint32_t)(off / memory->buffer_bytes);
    memory->held_count--;
}

static void memory_hold(struct nic_memory *memory, struct pkt *pkt, uint32_t idx)
{
    memset(pkt, 0, sizeof(*pkt));
    pkt->data = memory_buffer(memory, idx);
    pkt->handle = pkt->data;
    memory->held_count++;
}

static uint32_t memory_rx_burst(struct nic *nic, struct pkt *pkts, uint32_t max)
{
    struct nic_memory *memory = memory_of(nic);
    struct memory_ring *ring = &memory->received;
    uint32_t count = 0;
    while (count < max && ring->head != ring->tail) {
        struct memory_frame frame = ring->frames[ring->head++ & memory->ring_mask];
        memory_hold(memory, &pkts[count], frame.buffer_idx);
        pkts[count].len_bytes = frame.len_bytes;
        pkts[count].flags = frame.flags;
        memory->stats.rx_pkts++;
        memory->stats.rx_bytes += frame.len_bytes;
        count++;
    }
    return count;
}

static void memory_rx_release(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        memory_free(memory_of(nic), &pkts[i]);
    }
}

static bool memory_tx_alloc(struct nic *nic, struct pkt *out)
{
    struct nic_memory *memory = memory_of(nic);
    if (memory->free_count == 0 || memory->alloc_left == 0) {
        return false;
    }
    memory->alloc_left -= memory->alloc_left != UINT32_MAX ? 1 : 0;
    memory_hold(memory, out, memory->free_idx[--memory->free_count]);
    return true;
}

static void memory_tx_free(struct nic *nic, struct pkt *pkt)
{
    memory_free(memory_of(nic), pkt);
}

static bool memory_tx_one(struct nic_memory *memory, struct pkt *pkt)
{
    if (memory->tx_left == 0) {
        return false;
    }
    if (memory->peer != NULL) {
        /* As on a cable, the sender does not learn that the receiver had no room. */
        (void)nic_memory_push(&memory->peer->nic, pkt->data, pkt->len_bytes, 0);
        memory_free(memory, pkt);
    } else {
        struct memory_ring *ring = &memory->sent;
        if (memory_ring_full(memory, ring)) {
            return false;
        }
        size_t off = (size_t)((uint8_t *)pkt->handle - memory->memory);
        ring->frames[ring->tail++ & memory->ring_mask] = (struct memory_frame){
            (uint32_t)(off / memory->buffer_bytes), pkt->len_bytes, pkt->flags};
        memory->held_count--;
    }
    memory->tx_left -= memory->tx_left != UINT32_MAX ? 1 : 0;
    memory->stats.tx_pkts++;
    memory->stats.tx_bytes += pkt->len_bytes;
    return true;
}

static uint32_t memory_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    uint32_t taken = 0;
    while (taken < count && memory_tx_one(memory_of(nic), &pkts[taken])) {
        taken++;
    }
    return taken;
}

static void memory_stats(struct nic *nic, struct nic_stats *out)
{
    *out = memory_of(nic)->stats;
}

static bool memory_link_up(struct nic *nic)
{
    (void)nic;
    return true;
}

static enum rs_status memory_multicast_set(struct nic *nic, const uint8_t (*macs)[6],
                                           uint32_t count)
{
    (void)nic;
    (void)macs;
    (void)count;
    return RS_OK;
}

static void memory_close(struct nic *nic)
{
    struct nic_memory *memory = memory_of(nic);
    free(memory->memory);
    free(memory->free_idx);
    free(memory->received.frames);
    free(memory->sent.frames);
    free(memory);
}

static const struct nic_ops memory_ops = {
    .rx_burst = memory_rx_burst,
    .rx_release = memory_rx_release,
    .tx_alloc = memory_tx_alloc,
    .tx_burst = memory_tx_burst,
    .tx_free = memory_tx_free,
    .stats = memory_stats,
    .link_up = memory_link_up,
    .multicast_set = memory_multicast_set,
    .close = memory_close,
};

enum rs_status nic_memory_create(const struct nic_memory_config *config, struct nic **out)
{
    if (!rs_is_pow2(config->queue_frames) || config->buffers == 0) {
        return RS_INVALID;
    }
    struct nic_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return RS_NO_MEMORY;
    }
    memory->nic.ops = &memory_ops;
    (void)snprintf(memory->nic.name, sizeof(memory->nic.name), "memory");
    memory->nic.kind = RS_NIC_FUNCTIONAL;
    memcpy(memory->nic.mac, config->mac, sizeof(memory->nic.mac));
    memory->nic.mtu_bytes = config->mtu_bytes;
    memory->nic.caps = config->caps;
    memory->nic.queue_count = 1;
    memory->nic.steering = &steer_one_queue;
    memory->tx_left = UINT32_MAX;
    memory->alloc_left = UINT32_MAX;
    memory->ring_mask = config->queue_frames - 1;
    memory->buffer_bytes = rs_align_up(config->mtu_bytes + MEMORY_HEADER_BYTES, MEMORY_LINE_BYTES);
    memory->memory = calloc(config->buffers, memory->buffer_bytes);
    memory->free_idx = calloc(config->buffers, sizeof(*memory->free_idx));
    memory->received.frames = calloc(config->queue_frames, sizeof(struct memory_frame));
    memory->sent.frames = calloc(config->queue_frames, sizeof(struct memory_frame));
    if (memory->memory == NULL || memory->free_idx == NULL || memory->received.frames == NULL ||
        memory->sent.frames == NULL) {
        memory_close(&memory->nic);
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < config->buffers; i++) {
        memory->free_idx[memory->free_count++] = i;
    }
    *out = &memory->nic;
    return RS_OK;
}

void nic_memory_connect(struct nic *a, struct nic *b)
{
    memory_of(a)->peer = memory_of(b);
    memory_of(b)->peer = memory_of(a);
}

bool nic_memory_push(struct nic *nic, const void *frame, uint32_t len_bytes, uint32_t flags)
{
    struct nic_memory *memory = memory_of(nic);
    bool put = memory_ring_put(memory, &memory->received, frame, len_bytes, flags);
    memory->stats.rx_missed_pkts += put ? 0 : 1;
    return put;
}

uint32_t nic_memory_pop(struct nic *nic, void *frame, uint32_t max_bytes, uint32_t *flags)
{
    struct nic_memory *memory = memory_of(nic);
    struct memory_ring *ring = &memory->sent;
    if (ring->head == ring->tail) {
        return 0;
    }
    struct memory_frame sent = ring->frames[ring->head++ & memory->ring_mask];
    uint32_t copy_bytes = sent.len_bytes < max_bytes ? sent.len_bytes : max_bytes;
    memcpy(frame, memory_buffer(memory, sent.buffer_idx), copy_bytes);
    if (flags != NULL) {
        *flags = sent.flags;
    }
    memory->free_idx[memory->free_count++] = sent.buffer_idx;
    return sent.len_bytes;
}

void nic_memory_limit_tx(struct nic *nic, uint32_t frames)
{
    memory_of(nic)->tx_left = frames;
}

void nic_memory_limit_alloc(struct nic *nic, uint32_t buffers)
{
    memory_of(nic)->alloc_left = buffers;
}

uint32_t nic_memory_held(const struct nic *nic)
{
    return ((const struct nic_memory *)nic)->held_count;
}
