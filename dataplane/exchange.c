/*
 * What queues hand to each other: received frames that belong to another queue of the NIC,
 * datagrams that leave by another NIC, hints for channels of another queue. Queue thread; each pair
 * of queues has a ring in each direction (handover.h). Called by queue.c, request.c, deliver.c and
 * the stack's upcall; calls stack.h, udp.h and deliver.c.
 *
 * What is handed over names a session by place and number: the consumer looks it up in its own
 * table, so one that has ended meanwhile is not touched.
 */
#include <string.h>

#include "dataplane/queue.h"

#define EXCHANGE_PER_POLL 64u /* from each other queue */

/* ---- out
 * --------------------------------------------------------------------------------------------------
 */

/* False: the other queue is too slow to take it, or the frame is longer than any of the NIC's. */
static bool exchange_frame(struct queue *queue, uint32_t to_idx, const struct pkt *pkt)
{
    struct handover_slot *slot = handover_reserve(queue->handover_out[to_idx], pkt->len_bytes);
    if (slot == NULL) {
        return false;
    }
    slot->kind = HANDOVER_FRAME;
    slot->flags = pkt->flags;
    slot->rx_tsc = pkt->rx_tsc;
    memcpy(handover_payload(slot), pkt->data, pkt->len_bytes);
    handover_commit(queue->handover_out[to_idx]);
    return true;
}

void exchange_sort(struct queue *queue, const struct pkt *pkts, uint32_t count)
{
    const struct nic *nic = queue->nic;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t to = steer_frame(nic->steering, pkts[i].data, pkts[i].len_bytes);
        if (to == nic->queue_idx) {
            stack_input(queue->stack, &pkts[i]);
        } else {
            stack_handed_out(queue->stack, exchange_frame(queue, queue->siblings[to], &pkts[i]));
        }
    }
}

bool exchange_upcall_frame(void *context, const struct pkt *pkt, enum stack_hand_to to,
                           uint32_t queue_idx)
{
    struct queue *queue = context;
    if (to != STACK_TO_FOLLOWERS) { /* the leader's number is 0 */
        return exchange_frame(queue, queue->siblings[queue_idx], pkt);
    }
    bool all = true;
    for (uint32_t i = 1; i < queue->nic->queue_count; i++) {
        all &= exchange_frame(queue, queue->siblings[i], pkt);
    }
    return all;
}

static void exchange_name(struct handover_slot *slot, const struct dp_socket *socket)
{
    slot->session_slot = socket->session->slot;
    slot->session_id = socket->session->id;
    slot->socket_idx = socket->idx;
    slot->generation = socket->generation;
}

enum rs_status exchange_send(struct queue *queue, uint32_t to_idx, const struct dp_socket *socket,
                             uint32_t dst_be32, uint16_t port_be16, const void *payload,
                             uint32_t len_bytes, const struct udp_control *control)
{
    struct handover_ring *ring = queue->handover_out[to_idx];
    const uint8_t *from = payload;
    if (len_bytes > RS_DGRAM_MAX_BYTES) {
        QUEUE_COUNT(queue, handed_sends_too_big);
        return RS_MESSAGE_SIZE;
    }
    if (!handover_has_room(ring, len_bytes)) {
        return RS_WOULD_BLOCK;
    }
    const uint32_t piece_bytes = handover_payload_max(ring);
    bool more;
    do {
        more = len_bytes > piece_bytes;
        uint32_t bytes = more ? piece_bytes : len_bytes;
        struct handover_slot *slot = handover_reserve(ring, bytes);
        slot->kind = HANDOVER_SEND;
        exchange_name(slot, socket);
        slot->dst_be32 = dst_be32;
        slot->port_be16 = port_be16;
        slot->how =
            (uint8_t)((more ? HANDOVER_MORE : 0) | (control != NULL ? HANDOVER_CONTROL : 0));
        if (control != NULL) {
            slot->src_be32 = control->src_be32;
            slot->tos = control->tos;
            slot->tos_mask = control->tos_mask;
            slot->ttl = control->ttl;
            slot->ttl_set = control->ttl_set;
            slot->stamped = control->stamped;
            slot->stamp = control->stamp;
        }
        memcpy(handover_payload(slot), from, bytes);
        handover_commit(ring);
        from += bytes;
        len_bytes -= bytes;
    } while (more);
    QUEUE_COUNT(queue, handed_sends_out);
    return RS_OK;
}

void exchange_stamp(struct queue *queue, uint32_t to_idx, uint64_t stamp, uint64_t tx_tsc)
{
    struct handover_slot *slot = handover_reserve(queue->handover_out[to_idx], 0);
    if (slot == NULL) {
        QUEUE_COUNT(queue, tx_stamps_lost);
        return;
    }
    slot->kind = HANDOVER_STAMP;
    slot->stamp = stamp;
    slot->tx_tsc = tx_tsc;
    handover_commit(queue->handover_out[to_idx]);
}

bool exchange_has_room(const struct queue *queue)
{
    for (uint32_t i = 0; i < queue->queue_count; i++) {
        if (i != queue->idx && handover_reserve(queue->handover_out[i], 0) == NULL) {
            return false;
        }
    }
    return true;
}

void exchange_hint(struct queue *queue, uint32_t to_idx, const struct dp_socket *socket,
                   uint64_t channel_mask)
{
    struct handover_slot *slot = handover_reserve(queue->handover_out[to_idx], 0);
    if (slot != NULL) { /* the caller asked exchange_has_room */
        slot->kind = HANDOVER_HINT;
        exchange_name(slot, socket);
        slot->channel_mask = channel_mask;
        handover_commit(queue->handover_out[to_idx]);
    }
}

/* ---- in
 * ---------------------------------------------------------------------------------------------------
 */

static void exchange_take_frame(struct queue *queue, struct handover_slot *slot)
{
    const struct pkt pkt = {.data = handover_payload(slot),
                            .len_bytes = slot->len_bytes,
                            .flags = slot->flags,
                            .rx_tsc = slot->rx_tsc};
    stack_input_handed(queue->stack, &pkt);
}

/* False: the NIC has no room, the datagram stays where it is. */
static bool exchange_take_send(struct queue *queue, struct handover_ring *ring,
                               struct handover_slot *slot)
{
    uint32_t len_bytes;
    const uint8_t *payload = handover_collect(ring, slot, &len_bytes);
    if ((slot->how & HANDOVER_MORE) != 0) {
        return true; /* the last piece brings it */
    }
    struct dp_session *session = queue_session_find(queue, slot->session_slot, slot->session_id);
    struct dp_socket *part =
        session != NULL ? queue_part(queue, session)->sockets[slot->socket_idx] : NULL;
    if (part == NULL || part->generation != slot->generation) {
        QUEUE_COUNT(queue, handed_sends_late);
        return true;
    }
    const struct udp_control control = {.src_be32 = slot->src_be32,
                                        .tos = slot->tos,
                                        .tos_mask = slot->tos_mask,
                                        .ttl = slot->ttl,
                                        .ttl_set = slot->ttl_set,
                                        .stamped = slot->stamped,
                                        .stamp = slot->stamp};
    enum rs_status status =
        udp_send(queue->stack, &part->udp, slot->dst_be32, slot->port_be16, payload, len_bytes,
                 (slot->how & HANDOVER_CONTROL) != 0 ? &control : NULL);
    if (status == RS_WOULD_BLOCK) {
        return false;
    }
    QUEUE_COUNT(queue, handed_sends_in);
    if (status != RS_OK) {
        deliver_error(queue, part, status);
    }
    return true;
}

static void exchange_take_hint(struct queue *queue, const struct handover_slot *slot)
{
    struct dp_session *session = queue_session_find(queue, slot->session_slot, slot->session_id);
    if (session != NULL && session->house) { /* another queue's part of a shared socket */
        struct dp_socket *core = queue_part(queue, session)->sockets[slot->socket_idx];
        if (core != NULL && core->generation == slot->generation) {
            deliver_touch(queue, core, RS_LEVEL_READABLE | RS_LEVEL_ERROR);
        }
    } else if (session != NULL) {
        deliver_hint_channels(queue, session, slot->socket_idx, slot->generation,
                              slot->channel_mask);
    }
}

static uint32_t exchange_receive_from(struct queue *queue, struct handover_ring *ring)
{
    uint32_t count = 0;
    struct handover_slot *slot;
    while (count < EXCHANGE_PER_POLL && (slot = handover_peek(ring)) != NULL) {
        switch (slot->kind) {
        case HANDOVER_FRAME:
            exchange_take_frame(queue, slot);
            break;
        case HANDOVER_SEND:
            if (!exchange_take_send(queue, ring, slot)) {
                return count;
            }
            break;
        case HANDOVER_STAMP:
            stamps_add(queue, slot->stamp, slot->tx_tsc);
            break;
        default:
            exchange_take_hint(queue, slot);
            break;
        }
        handover_release(ring);
        count++;
    }
    return count;
}

uint32_t exchange_receive(struct queue *queue)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < queue->queue_count; i++) {
        if (i != queue->idx) {
            count += exchange_receive_from(queue, queue->handover_in[i]);
        }
    }
    return count;
}
