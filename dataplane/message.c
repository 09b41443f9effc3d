/*
 * The single-producer, single-consumer message ring of message.h. A slot's seq says whose turn it
 * is: 2 * position when the producer may fill it, 2 * position + 1 when the consumer may take it;
 * both sides look at the slot only, so there is no shared index. Called by control.c and queue.c.
 */
#include "dataplane/message.h"

#include <stdatomic.h>
#include <string.h>

static_assert((MESSAGE_RING_SLOTS & (MESSAGE_RING_SLOTS - 1)) == 0, "slots are masked");

void message_ring_init(struct message_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    for (uint32_t i = 0; i < MESSAGE_RING_SLOTS; i++) {
        atomic_init(&ring->slots[i].seq, 2 * i);
    }
}

bool message_has_room(const struct message_ring *ring)
{
    const struct message *slot = &ring->slots[ring->tail & (MESSAGE_RING_SLOTS - 1)];
    /* acquire: our stores into the slot come after the consumer's loads of the lap before */
    return atomic_load_explicit(&slot->seq, memory_order_acquire) == 2 * ring->tail;
}

bool message_push(struct message_ring *ring, const struct message *message)
{
    if (!message_has_room(ring)) {
        return false;
    }
    struct message *slot = &ring->slots[ring->tail & (MESSAGE_RING_SLOTS - 1)];
    slot->kind = message->kind;
    slot->session = message->session;
    slot->channel = message->channel;
    slot->socket = message->socket;
    slot->reply = message->reply;
    slot->body = message->body;
    /* release: the message's fields are stored before the word message_pop acquires */
    atomic_store_explicit(&slot->seq, 2 * ring->tail + 1, memory_order_release);
    ring->tail++;
    return true;
}

bool message_pop(struct message_ring *ring, struct message *out)
{
    struct message *slot = &ring->slots[ring->head & (MESSAGE_RING_SLOTS - 1)];
    /* acquire: pairs with the release in message_push */
    if (atomic_load_explicit(&slot->seq, memory_order_acquire) != 2 * ring->head + 1) {
        return false;
    }
    out->kind = slot->kind;
    out->session = slot->session;
    out->channel = slot->channel;
    out->socket = slot->socket;
    out->reply = slot->reply;
    out->body = slot->body;
    /* release: our loads of the slot come before the producer may fill it again */
    atomic_store_explicit(&slot->seq, 2 * (ring->head + MESSAGE_RING_SLOTS), memory_order_release);
    ring->head++;
    return true;
}

bool message_member_inverse(struct rs_op_member *member)
{
    switch (member->action) {
    case RS_MEMBER_JOIN:
        member->action = RS_MEMBER_LEAVE;
        return true;
    case RS_MEMBER_JOIN_SOURCE:
        member->action = RS_MEMBER_LEAVE_SOURCE;
        return true;
    case RS_MEMBER_BLOCK_SOURCE:
        member->action = RS_MEMBER_UNBLOCK_SOURCE;
        return true;
    default:
        return false;
    }
}
