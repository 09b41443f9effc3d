/*
 * The in-memory wire, see nic_memory.h. Each queue has buffers from its own pool with a free list
 * and a ring of received frames; the ring of sent frames is the port's. Frames under way are a
 * queue and an index of one of its buffers; the big buffers come behind the others, with a free
 * list of their own.
 */
#include "dataplane/nic_memory.h"
#include "dataplane/wire/ethernet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/nic_segment.h"
#include "rings/os/os.h"
#include "rings/seq.h"

#define MEMORY_HEADER_BYTES 18u /* Ethernet with a VLAN tag */
#define MEMORY_LINE_BYTES   64u
#define MEMORY_TABLE_SIZE   128u

struct memory_port;

struct memory_frame {
    uint32_t queue_idx, buffer_idx;
    uint32_t len_bytes;
    uint32_t flags;
};

struct memory_ring {
    struct memory_frame *frames;
    uint32_t head, tail; /* free-running */
    uint32_t mask;
};

struct memory_pool {
    uint32_t *free_idx; /* a stack of buffer indices */
    uint32_t free_count;
};

struct nic_memory {
    struct nic nic;
    struct memory_port *port;
    uint8_t *memory;
    struct memory_pool pool, big;
    uint32_t held_count;
    uint32_t tx_left, alloc_left;
    struct memory_ring received;
    struct nic_stats stats;
};

struct memory_port {
    struct nic_memory *queues[RS_QUEUES_MAX];
    uint32_t queue_count;
    uint32_t open_count;
    uint32_t next_queue_idx; /* of a port that steers wrongly */
    uint32_t buffers;        /* of each queue, the big ones not counted */
    uint32_t buffer_bytes, big_bytes;
    struct memory_ring sent;
    struct memory_port *peer;
    struct os_mutex mutex; /* guards all of the port's queues; taken only when it locks */
    bool locks;
    bool link_down;
    struct nic_steering steering;
};

static struct nic_memory *memory_of(struct nic *nic)
{
    return (struct nic_memory *)nic;
}

static void port_lock(struct memory_port *port)
{
    if (port->locks) {
        os_mutex_lock(&port->mutex);
    }
}

static void port_unlock(struct memory_port *port)
{
    if (port->locks) {
        os_mutex_unlock(&port->mutex);
    }
}

/* ---- under the lock ---- */

static size_t memory_off(const struct memory_port *port, uint32_t idx)
{
    return idx < port->buffers ? (size_t)idx * port->buffer_bytes
                               : (size_t)port->buffers * port->buffer_bytes +
                                     (size_t)(idx - port->buffers) * port->big_bytes;
}

static uint8_t *memory_buffer(const struct nic_memory *memory, uint32_t idx)
{
    return memory->memory + memory_off(memory->port, idx);
}

static uint32_t memory_idx(const struct nic_memory *memory, const struct pkt *pkt)
{
    const struct memory_port *port = memory->port;
    const size_t off = (size_t)((uint8_t *)pkt->handle - memory->memory);
    const size_t big_off = memory_off(port, port->buffers);
    return off < big_off ? (uint32_t)(off / port->buffer_bytes)
                         : port->buffers + (uint32_t)((off - big_off) / port->big_bytes);
}

static uint32_t ring_room(const struct memory_ring *ring)
{
    return ring->mask + 1 - rs_seq_distance(ring->head, ring->tail);
}

static void ring_put(struct memory_ring *ring, const struct memory_frame *frame)
{
    ring->frames[ring->tail++ & ring->mask] = *frame;
}

static bool ring_get(struct memory_ring *ring, struct memory_frame *out)
{
    if (ring->head == ring->tail) {
        return false;
    }
    *out = ring->frames[ring->head++ & ring->mask];
    return true;
}

static void memory_free(struct nic_memory *memory, uint32_t idx)
{
    struct memory_pool *pool = idx < memory->port->buffers ? &memory->pool : &memory->big;
    pool->free_idx[pool->free_count++] = idx;
}

static void memory_hold(struct nic_memory *memory, struct pkt *pkt, uint32_t idx)
{
    memset(pkt, 0, sizeof(*pkt));
    pkt->data = memory_buffer(memory, idx);
    pkt->handle = pkt->data;
    memory->held_count++;
}

/* Writes what the NIC makes of a frame, or one of several, into a fresh buffer at the end of the
 * queue's ring. */
static bool memory_receive(struct nic_memory *memory, const struct pkt *pkt, uint32_t segment_idx,
                           uint32_t rx_flags)
{
    if (ring_room(&memory->received) == 0 || memory->pool.free_count == 0 ||
        nic_segment_bytes(pkt, segment_idx) > memory->port->buffer_bytes) {
        memory->stats.rx_missed_pkts++;
        return false;
    }
    uint32_t idx = memory->pool.free_idx[--memory->pool.free_count];
    uint32_t len_bytes = nic_segment_emit(pkt, segment_idx, memory_buffer(memory, idx));
    ring_put(&memory->received,
             &(struct memory_frame){.buffer_idx = idx, .len_bytes = len_bytes, .flags = rx_flags});
    return true;
}

static struct nic_memory *port_steer(struct memory_port *port, const struct pkt *pkt)
{
    uint32_t queue_idx = steer_frame(&port->steering, pkt->data, pkt->len_bytes);
    if (port->steering.mode == STEER_SOFTWARE) {
        queue_idx = port->next_queue_idx;
        port->next_queue_idx = (queue_idx + 1) % port->queue_count;
    }
    return port->queues[queue_idx];
}

/* ---- the queue's thread ---- */

/* As many frames as pkt becomes. False: one found no place. */
static bool port_push(struct memory_port *port, const struct pkt *pkt, uint32_t rx_flags)
{
    const uint32_t count = nic_segment_count(pkt);
    bool taken = true;
    port_lock(port);
    for (uint32_t i = 0; i < count; i++) {
        taken = memory_receive(port_steer(port, pkt), pkt, i, rx_flags) && taken;
    }
    port_unlock(port);
    return taken;
}

static uint32_t memory_rx_burst(struct nic *nic, struct pkt *pkts, uint32_t max)
{
    struct nic_memory *memory = memory_of(nic);
    struct memory_frame frame;
    uint32_t count = 0;
    port_lock(memory->port);
    while (count < max && ring_get(&memory->received, &frame)) {
        memory_hold(memory, &pkts[count], frame.buffer_idx);
        pkts[count].len_bytes = frame.len_bytes;
        pkts[count].flags = frame.flags;
        memory->stats.rx_pkts++;
        memory->stats.rx_bytes += frame.len_bytes;
        if (nic->vlan) {
            nic_vlan_strip(&pkts[count]);
        }
        count++;
    }
    port_unlock(memory->port);
    return count;
}

static void memory_rx_release(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    struct nic_memory *memory = memory_of(nic);
    port_lock(memory->port);
    for (uint32_t i = 0; i < count; i++) {
        memory_free(memory, memory_idx(memory, &pkts[i]));
    }
    memory->held_count -= count;
    port_unlock(memory->port);
}

static bool memory_alloc(struct nic_memory *memory, struct memory_pool *pool, struct pkt *out)
{
    port_lock(memory->port);
    bool room = pool->free_count > 0 && memory->alloc_left > 0;
    if (room) {
        memory->alloc_left -= memory->alloc_left != UINT32_MAX ? 1 : 0;
        memory_hold(memory, out, pool->free_idx[--pool->free_count]);
    }
    port_unlock(memory->port);
    return room;
}

static bool memory_tx_alloc(struct nic *nic, struct pkt *out)
{
    return memory_alloc(memory_of(nic), &memory_of(nic)->pool, out);
}

static bool memory_tx_alloc_big(struct nic *nic, struct pkt *out)
{
    return memory_alloc(memory_of(nic), &memory_of(nic)->big, out);
}

static void memory_tx_free(struct nic *nic, struct pkt *pkt)
{
    memory_rx_release(nic, pkt, 1);
}

/* Lets a sent frame wait to be popped. One to cut becomes several, each in a buffer of its own. */
static void memory_tx_keep(struct nic_memory *memory, const struct pkt *pkt)
{
    struct memory_frame frame = {memory->nic.queue_idx, memory_idx(memory, pkt), pkt->len_bytes,
                                 pkt->flags};
    memory->held_count--;
    if ((pkt->flags & PKT_TX_TCP_SEG) == 0) {
        if ((pkt->flags & PKT_TX_TCP_CSUM) != 0) {
            nic_segment_fill(pkt->data, pkt->len_bytes, pkt->flags);
        }
        ring_put(&memory->port->sent, &frame);
        return;
    }
    const uint32_t count = nic_segment_count(pkt);
    memory_free(memory, frame.buffer_idx);
    for (uint32_t i = 0; i < count; i++) {
        frame.buffer_idx = memory->pool.free_idx[--memory->pool.free_count];
        frame.len_bytes = nic_segment_emit(pkt, i, memory_buffer(memory, frame.buffer_idx));
        ring_put(&memory->port->sent, &frame);
    }
}

/* Counts a frame as sent; without a peer it waits. False: there is no room for all it becomes. */
static bool memory_tx_take(struct nic_memory *memory, const struct pkt *pkt)
{
    struct memory_port *port = memory->port;
    const uint32_t count = nic_segment_count(pkt);
    assert(nic_segment_bytes(pkt, 0) <= port->buffer_bytes);
    port_lock(port);
    bool taken = memory->tx_left > 0;
    if (port->peer == NULL) {
        taken = taken && ring_room(&port->sent) >= count &&
                ((pkt->flags & PKT_TX_TCP_SEG) == 0 || memory->pool.free_count >= count);
    }
    if (taken) {
        memory->tx_left -= memory->tx_left != UINT32_MAX ? 1 : 0;
        memory->stats.tx_pkts += count;
        for (uint32_t i = 0; i < count; i++) {
            memory->stats.tx_bytes += nic_segment_bytes(pkt, i);
        }
        if (port->peer == NULL) {
            memory_tx_keep(memory, pkt);
        }
    }
    port_unlock(port);
    return taken;
}

static uint32_t memory_tx_burst(struct nic *nic, struct pkt *pkts, uint32_t count)
{
    struct nic_memory *memory = memory_of(nic);
    uint32_t taken = 0;
    while (taken < count && memory_tx_take(memory, &pkts[taken])) {
        if (memory->port->peer != NULL) {
            /* As on a cable, the sender does not learn that the receiver had no room. Never under
             * our own lock: both ports may send to each other at once. */
            (void)port_push(memory->port->peer, &pkts[taken], pkts[taken].flags & ~(PKT_VLAN - 1u));
            memory_tx_free(nic, &pkts[taken]);
        }
        taken++;
    }
    return taken;
}

/* ---- the control thread ---- */

static void memory_stats(struct nic *nic, struct nic_stats *out)
{
    struct nic_memory *memory = memory_of(nic);
    port_lock(memory->port);
    *out = memory->stats;
    out->buffers_held = memory->held_count;
    port_unlock(memory->port);
}

static bool memory_link_up(struct nic *nic)
{
    struct memory_port *port = memory_of(nic)->port;
    port_lock(port);
    bool up = !port->link_down;
    port_unlock(port);
    return up;
}

static enum rs_status memory_multicast_set(struct nic *nic, const uint8_t (*macs)[6],
                                           uint32_t count)
{
    (void)nic;
    (void)macs;
    (void)count;
    return RS_OK;
}

static void port_destroy(struct memory_port *port)
{
    for (uint32_t i = 0; i < port->queue_count; i++) {
        struct nic_memory *memory = port->queues[i];
        if (memory != NULL) {
            free(memory->memory);
            free(memory->pool.free_idx);
            free(memory->big.free_idx);
            free(memory->received.frames);
            free(memory);
        }
    }
    os_mutex_destroy(&port->mutex);
    free(port->sent.frames);
    free(port);
}

static void memory_close(struct nic *nic)
{
    struct memory_port *port = memory_of(nic)->port;
    if (--port->open_count == 0) {
        port_destroy(port);
    }
}

static const struct nic_ops memory_ops = {
    .rx_burst = memory_rx_burst,
    .rx_release = memory_rx_release,
    .tx_alloc = memory_tx_alloc,
    .tx_alloc_big = memory_tx_alloc_big,
    .tx_burst = memory_tx_burst,
    .tx_free = memory_tx_free,
    .stats = memory_stats,
    .link_up = memory_link_up,
    .multicast_set = memory_multicast_set,
    .close = memory_close,
};

static bool ring_create(struct memory_ring *ring, uint32_t frames)
{
    ring->frames = calloc(frames, sizeof(struct memory_frame));
    ring->mask = frames - 1;
    return ring->frames != NULL;
}

/* On failure the port has what there is of it. */
static bool queue_create(struct memory_port *port, const struct nic_memory_config *config,
                         uint32_t queue_idx)
{
    struct nic_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return false;
    }
    port->queues[queue_idx] = memory;
    memory->port = port;
    memory->nic.ops = &memory_ops;
    (void)snprintf(memory->nic.name, sizeof(memory->nic.name), "memory");
    memory->nic.kind = RS_NIC_FUNCTIONAL;
    memcpy(memory->nic.mac, config->mac, sizeof(memory->nic.mac));
    memory->nic.mtu_bytes = config->mtu_bytes;
    memory->nic.caps = config->caps;
    memory->nic.vlan = config->vlan;
    memory->nic.queue_idx = queue_idx;
    memory->nic.queue_count = port->queue_count;
    memory->nic.steering = &port->steering;
    memory->nic.tso_max_bytes = config->big_buffers > 0 ? nic_tso_bytes(config->mtu_bytes) : 0;
    memory->stats.buffers = config->buffers + config->big_buffers;
    memory->tx_left = UINT32_MAX;
    memory->alloc_left = UINT32_MAX;
    const uint32_t count = config->buffers + config->big_buffers;
    memory->memory = calloc(1, memory_off(port, count));
    memory->pool.free_idx = calloc(config->buffers, sizeof(uint32_t));
    memory->big.free_idx = calloc(config->big_buffers + 1, sizeof(uint32_t));
    if (memory->memory == NULL || memory->pool.free_idx == NULL || memory->big.free_idx == NULL ||
        !ring_create(&memory->received, config->queue_frames)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        memory_free(memory, i);
    }
    return true;
}

static bool config_ok(const struct nic_memory_config *config)
{
    const uint32_t needed = NIC_CAP_TX_TSO | NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM;
    const bool tso = (config->caps & NIC_CAP_TX_TSO) != 0;
    return rs_is_pow2(config->queue_frames) && config->buffers > 0 &&
           tso == (config->big_buffers > 0) && (!tso || (config->caps & needed) == needed);
}

static enum rs_status port_create(const struct nic_memory_config *config, uint32_t count,
                                  const struct nic_steering *steering, struct nic **nics)
{
    if (!config_ok(config)) {
        return RS_INVALID;
    }
    struct memory_port *port = calloc(1, sizeof(*port));
    if (port == NULL) {
        return RS_NO_MEMORY;
    }
    port->steering = *steering;
    port->queue_count = count;
    port->locks = count > 1 || config->threads;
    port->open_count = count;
    port->buffers = config->buffers;
    port->buffer_bytes = rs_align_up(config->mtu_bytes + MEMORY_HEADER_BYTES, MEMORY_LINE_BYTES);
    port->big_bytes =
        rs_align_up(nic_tso_bytes(config->mtu_bytes) + NIC_TSO_HEADER_BYTES, MEMORY_LINE_BYTES);
    os_mutex_init(&port->mutex);
    bool made = ring_create(&port->sent, config->queue_frames);
    for (uint32_t i = 0; i < count && made; i++) {
        made = queue_create(port, config, i);
    }
    if (!made) {
        port_destroy(port);
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        nics[i] = &port->queues[i]->nic;
    }
    return RS_OK;
}

enum rs_status nic_memory_create(const struct nic_memory_config *config, struct nic **out)
{
    return port_create(config, 1, &steer_one_queue, out);
}

enum rs_status nic_memory_create_queues(const struct nic_memory_config *config, uint32_t count,
                                        struct nic **nics)
{
    struct nic_steering steering;
    if (config->steering == STEER_ONE_QUEUE || count > RS_QUEUES_MAX) {
        return RS_INVALID;
    }
    enum rs_status status = steer_init(&steering, config->steering, toeplitz_published_key, NULL,
                                       MEMORY_TABLE_SIZE, count);
    return status == RS_OK ? port_create(config, count, &steering, nics) : status;
}

/* ---- the test ---- */

void nic_memory_connect(struct nic *a, struct nic *b)
{
    memory_of(a)->port->peer = memory_of(b)->port;
    memory_of(b)->port->peer = memory_of(a)->port;
}

bool nic_memory_push(struct nic *nic, const void *frame, uint32_t len_bytes, uint32_t flags)
{
    const struct pkt pkt = {.data = (uint8_t *)(uintptr_t)frame, .len_bytes = len_bytes};
    return port_push(memory_of(nic)->port, &pkt, flags);
}

uint32_t nic_memory_pop(struct nic *nic, void *frame, uint32_t max_bytes, uint32_t *flags)
{
    struct memory_port *port = memory_of(nic)->port;
    struct memory_frame sent = {0};
    port_lock(port);
    if (ring_get(&port->sent, &sent)) {
        struct nic_memory *sender = port->queues[sent.queue_idx];
        (void)nic_vlan_copy(memory_buffer(sender, sent.buffer_idx), sent.len_bytes, sent.flags,
                            frame, max_bytes);
        sent.len_bytes += (sent.flags & PKT_VLAN) != 0 ? ETHERNET_TAG_BYTES : 0;
        if (flags != NULL) {
            *flags = sent.flags;
        }
        memory_free(sender, sent.buffer_idx);
    }
    port_unlock(port);
    return sent.len_bytes;
}

void nic_memory_limit_tx(struct nic *nic, uint32_t frames)
{
    struct nic_memory *memory = memory_of(nic);
    port_lock(memory->port);
    memory->tx_left = frames;
    port_unlock(memory->port);
}

void nic_memory_limit_alloc(struct nic *nic, uint32_t buffers)
{
    struct nic_memory *memory = memory_of(nic);
    port_lock(memory->port);
    memory->alloc_left = buffers;
    port_unlock(memory->port);
}

void nic_memory_set_link(struct nic *nic, bool up)
{
    struct memory_port *port = memory_of(nic)->port;
    port_lock(port);
    port->link_down = !up;
    port_unlock(port);
}

uint32_t nic_memory_held(struct nic *nic)
{
    struct nic_memory *memory = memory_of(nic);
    port_lock(memory->port);
    uint32_t held = memory->held_count;
    port_unlock(memory->port);
    return held;
}
