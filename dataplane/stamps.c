/*
 * Transmit timestamps of datagrams that asked for one (RS_SEND_STAMP): taken where the frame goes
 * to the NIC, kept by the home queue of the socket until its program asks by number
 * (RS_OP_TX_STAMP). Queue thread. Called by request.c and request_control.c, by the stack's upcall
 * and by exchange.c for datagrams that left by another queue.
 *
 * All memory is there from the start: room that a socket asks for is reserved, so one that has
 * room never loses a timestamp to others, and a session gets a quarter of a queue's at most. A
 * timestamp beyond the socket's room is discarded (Winsock: the new one). A frame carries a name of
 * socket and number, not a place: one that is dropped on its way needs no cleaning up, and one
 * whose socket is gone meanwhile names nobody.
 */
#include <stdlib.h>

#include "dataplane/queue.h"

#define STAMPS_MAX         8192u
#define STAMPS_SOCKETS_MAX 1024u
#define STAMPS_SHARE       4u /* a session has one in so many of both */
#define STAMPS_NONE        UINT32_MAX

struct stamp {
    uint64_t tx_tsc;
    uint32_t id;
    uint32_t next_idx; /* of the socket's, oldest first, or of the free ones */
};

struct stamps_socket {
    uint16_t generation; /* of the place */
    uint32_t limit;      /* 0: free */
    uint32_t count;
    uint32_t first_idx, last_idx; /* while there are any */
    uint32_t next_free;           /* place */
};

struct stamps {
    uint32_t free_idx, reserved;
    uint32_t free_place;
    struct stamp entries[STAMPS_MAX];
    struct stamps_socket places[STAMPS_SOCKETS_MAX];
};

/* A name: the number, the place with its generation, the queue. */
#define STAMP_PLACE_SHIFT 48u
#define STAMP_QUEUE_SHIFT 60u
static_assert(STAMPS_SOCKETS_MAX <= 1u << (STAMP_QUEUE_SHIFT - STAMP_PLACE_SHIFT) &&
                  RS_QUEUES_MAX <= 1u << (64 - STAMP_QUEUE_SHIFT),
              "parts of a name");

enum rs_status stamps_create(struct stamps **out)
{
    struct stamps *stamps = calloc(1, sizeof(*stamps));
    if (stamps == NULL) {
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < STAMPS_MAX; i++) {
        stamps->entries[i].next_idx = i + 1 < STAMPS_MAX ? i + 1 : STAMPS_NONE;
    }
    for (uint32_t i = 0; i < STAMPS_SOCKETS_MAX; i++) {
        stamps->places[i].next_free = i + 1 < STAMPS_SOCKETS_MAX ? i + 1 : STAMPS_NONE;
    }
    *out = stamps;
    return RS_OK;
}

void stamps_destroy(struct stamps *stamps)
{
    free(stamps);
}

static void stamps_free_entry(struct stamps *stamps, uint32_t idx)
{
    stamps->entries[idx].next_idx = stamps->free_idx;
    stamps->free_idx = idx;
}

static void stamps_release(struct queue *queue, struct dp_socket *socket)
{
    struct stamps *stamps = queue->stamps;
    uint32_t place_idx = socket->stamps_idx - 1u;
    struct stamps_socket *place = &stamps->places[place_idx];
    if (place->count != 0) { /* the whole list at once */
        stamps->entries[place->last_idx].next_idx = stamps->free_idx;
        stamps->free_idx = place->first_idx;
    }
    stamps->reserved -= place->limit;
    socket->part->stamps_reserved -= place->limit;
    socket->part->stamp_sockets--;
    socket->stamps_idx = 0;
    *place = (struct stamps_socket){.generation = (uint16_t)(place->generation + 1),
                                    .next_free = stamps->free_place};
    stamps->free_place = place_idx;
}

enum rs_status stamps_set(struct queue *queue, struct dp_socket *socket, uint32_t count)
{
    struct stamps *stamps = queue->stamps;
    struct session_part *part = socket->part;
    if (count > RS_TX_STAMPS_MAX) {
        return RS_INVALID;
    }
    if (socket->stamps_idx != 0) {
        stamps_release(queue, socket);
    }
    if (count == 0) {
        return RS_OK;
    }
    if (stamps->free_place == STAMPS_NONE || count > STAMPS_MAX - stamps->reserved ||
        part->stamp_sockets >= STAMPS_SOCKETS_MAX / STAMPS_SHARE ||
        part->stamps_reserved + count > STAMPS_MAX / STAMPS_SHARE) {
        return RS_NO_BUFFERS;
    }
    struct stamps_socket *place = &stamps->places[stamps->free_place];
    socket->stamps_idx = (uint16_t)(stamps->free_place + 1);
    stamps->free_place = place->next_free;
    place->limit = count;
    stamps->reserved += count;
    part->stamps_reserved += count;
    part->stamp_sockets++;
    return RS_OK;
}

bool stamps_name(const struct queue *queue, const struct dp_socket *socket, uint32_t stamp_id,
                 uint64_t *stamp)
{
    if (socket->stamps_idx == 0) {
        return false;
    }
    uint64_t place_idx = socket->stamps_idx - 1u;
    *stamp = (uint64_t)queue->idx << STAMP_QUEUE_SHIFT | place_idx << STAMP_PLACE_SHIFT |
             (uint64_t)queue->stamps->places[place_idx].generation << 32 | stamp_id;
    return true;
}

void stamps_add(struct queue *queue, uint64_t stamp, uint64_t tx_tsc)
{
    struct stamps *stamps = queue->stamps;
    uint64_t place_idx = stamp >> STAMP_PLACE_SHIFT & (STAMPS_SOCKETS_MAX - 1);
    struct stamps_socket *place = &stamps->places[place_idx];
    if (place->generation != (uint16_t)(stamp >> 32) || place->count >= place->limit) {
        QUEUE_COUNT(queue, tx_stamps_lost);
        return;
    }
    uint32_t idx = stamps->free_idx; /* there is one: the socket's room is reserved */
    stamps->free_idx = stamps->entries[idx].next_idx;
    stamps->entries[idx] =
        (struct stamp){.tx_tsc = tx_tsc, .id = (uint32_t)stamp, .next_idx = STAMPS_NONE};
    if (place->count == 0) {
        place->first_idx = idx;
    } else {
        stamps->entries[place->last_idx].next_idx = idx;
    }
    place->last_idx = idx;
    place->count++;
    QUEUE_COUNT(queue, tx_stamps);
}

void stamps_upcall(void *context, uint64_t stamp)
{
    struct queue *queue = context;
    uint32_t home_idx = (uint32_t)(stamp >> STAMP_QUEUE_SHIFT);
    if (home_idx == queue->idx) {
        stamps_add(queue, stamp, os_tsc());
    } else {
        exchange_stamp(queue, home_idx, stamp, os_tsc());
    }
}

void stamps_move(const struct queue *queue, const struct dp_socket *socket, struct session_part *to)
{
    if (socket->stamps_idx != 0) {
        uint32_t limit = queue->stamps->places[socket->stamps_idx - 1u].limit;
        socket->part->stamps_reserved -= limit;
        socket->part->stamp_sockets--;
        to->stamps_reserved += limit;
        to->stamp_sockets++;
    }
}

bool stamps_take(struct queue *queue, struct dp_socket *socket, struct session_part *asker,
                 uint32_t stamp_id, uint64_t *tx_tsc)
{
    struct stamps *stamps = queue->stamps;
    if (socket->stamps_idx == 0) {
        return false;
    }
    struct stamps_socket *place = &stamps->places[socket->stamps_idx - 1u];
    uint32_t before_idx = STAMPS_NONE;
    uint32_t idx = place->first_idx;
    for (uint32_t left = place->count; left != 0; left--) {
        struct stamp *entry = &stamps->entries[idx];
        if (entry->id != stamp_id) {
            before_idx = idx;
            idx = entry->next_idx;
            request_charge_look(asker);
            continue;
        }
        *tx_tsc = entry->tx_tsc;
        if (before_idx == STAMPS_NONE) {
            place->first_idx = entry->next_idx;
        } else {
            stamps->entries[before_idx].next_idx = entry->next_idx;
        }
        if (place->last_idx == idx) {
            place->last_idx = before_idx;
        }
        place->count--;
        stamps_free_entry(stamps, idx);
        return true;
    }
    return false;
}
