/*
 * Reply cells: the dataplane's answers to control requests. The request names a cell of its channel
 * (arg) and a serial; the answer is in that cell when the cell shows the serial. The client gives
 * out its cells itself (reply_waiter, one per channel, held with the channel); a cell whose caller
 * gave up is used again only after its late answer came. Calls nothing.
 */
#ifndef RINGSOCK_RINGS_REPLY_H
#define RINGSOCK_RINGS_REPLY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rings/fence.h"
#include "rings/layout.h"
#include "rings/status.h"

/* ---- client
 * --------------------------------------------------------------------------------------------------
 */

struct reply_waiter {
    const struct rs_reply *cells; /* dp: RS_REPLY_CELLS, mapped read-only */
    uint32_t next_serial;
    uint32_t free;      /* bit i: cell i is free */
    uint32_t abandoned; /* bit i: nobody waits, the answer is still to come */
    uint32_t serials[RS_REPLY_CELLS];
};

/* A channel that is opened again on the same cells: serials go on where the newest cell stands, so
 * that no old answer fits. */
static inline void reply_waiter_init(struct reply_waiter *waiter, const struct rs_reply *cells)
{
    *waiter = (struct reply_waiter){.cells = cells, .free = (1u << RS_REPLY_CELLS) - 1};
    for (uint32_t cell_idx = 0; cell_idx < RS_REPLY_CELLS; cell_idx++) {
        uint32_t serial = atomic_load_explicit(&cells[cell_idx].serial, memory_order_relaxed);
        if (serial > waiter->next_serial) {
            waiter->next_serial = serial;
        }
    }
}

/* True when the answer is in the cell. */
static inline bool reply_ready(const struct reply_waiter *waiter, uint32_t cell_idx)
{
    /* Acquire, partner reply_write: status and payload are complete when the serial says so. */
    return atomic_load_explicit(&waiter->cells[cell_idx].serial, memory_order_acquire) ==
           waiter->serials[cell_idx];
}

/* Takes a cell and a serial for a request. False: all are in use; wait for one. */
static inline bool reply_cell_take(struct reply_waiter *waiter, uint32_t *cell_idx,
                                   uint32_t *serial)
{
    for (uint32_t late = waiter->abandoned; late != 0; late &= late - 1) {
        uint32_t late_idx = (uint32_t)__builtin_ctz(late);
        if (reply_ready(waiter, late_idx)) {
            waiter->abandoned &= ~(1u << late_idx);
            waiter->free |= 1u << late_idx;
        }
    }
    if (waiter->free == 0) {
        return false;
    }
    *cell_idx = (uint32_t)__builtin_ctz(waiter->free);
    waiter->free &= waiter->free - 1;
    if (++waiter->next_serial == 0) {
        waiter->next_serial = 1; /* 0 is the serial of a fresh cell */
    }
    *serial = waiter->serials[*cell_idx] = waiter->next_serial;
    return true;
}

/* Copies the answer (after reply_ready) and frees the cell. payload: bytes <=
 * sizeof(rs_reply.payload), may be NULL with 0. */
static inline enum rs_status reply_cell_read(struct reply_waiter *waiter, uint32_t cell_idx,
                                             void *payload, uint32_t bytes)
{
    const struct rs_reply *cell = &waiter->cells[cell_idx];
    assert(bytes <= sizeof(cell->payload));
    enum rs_status status =
        cell->status < RS_STATUS_COUNT ? (enum rs_status)cell->status : RS_CORRUPT;
    if (bytes != 0) {
        memcpy(payload, cell->payload, bytes);
    }
    rs_fence_copied();
    waiter->free |= 1u << cell_idx;
    return status;
}

/* The caller no longer waits (time-out, closed socket). */
static inline void reply_cell_abandon(struct reply_waiter *waiter, uint32_t cell_idx)
{
    waiter->abandoned |= 1u << cell_idx;
}

/* ---- dataplane
 * -----------------------------------------------------------------------------------------------
 */

/*
 * Answers a request. cells: the channel's RS_REPLY_CELLS. cell_idx and serial come from the
 * client's slot (copied, unchecked): RS_POISONED when they cannot be. payload: bytes <=
 * sizeof(rs_reply.payload), may be NULL with 0.
 */
RS_CHECK_RESULT static inline enum rs_status reply_write(struct rs_reply *cells, uint32_t cell_idx,
                                                         uint32_t serial, enum rs_status status,
                                                         const void *payload, uint32_t bytes)
{
    if (cell_idx >= RS_REPLY_CELLS || serial == 0) {
        return RS_POISONED;
    }
    struct rs_reply *cell = &cells[cell_idx];
    assert(bytes <= sizeof(cell->payload));
    if (bytes != 0) {
        memcpy(cell->payload, payload, bytes);
    }
    cell->status = (uint32_t)status;
    /* Release, partner reply_ready: status and payload come first. */
    atomic_store_explicit(&cell->serial, serial, memory_order_release);
    return RS_OK;
}

#endif
