/*
 * Ring memory of one session: power-of-two chunks out of extents that are added on demand. Control
 * thread only; called by session.c. Chunks are kept per size when they come back (rings of one
 * config have few sizes), extents are never given back before the session ends.
 */
#ifndef RINGSOCK_DATAPLANE_ARENA_H
#define RINGSOCK_DATAPLANE_ARENA_H

#include <stdint.h>

#include "rings/layout.h"

#define ARENA_ORDER_MIN 12u /* 4 KiB, the smallest ring */
#define ARENA_ORDER_MAX 27u /* 128 MiB */

struct arena_chunk { /* node of a free list; not in shared memory: a client must not reach it */
    struct arena_chunk *next;
    struct rs_ref ref;
};

struct arena {
    struct arena_chunk *free[ARENA_ORDER_MAX + 1];
    struct rs_ref bump; /* the rest of the newest extent */
    uint32_t bump_left_bytes;
};

/* Adds fresh extent memory: what was left of the one before goes to the free lists. */
RS_CHECK_RESULT enum rs_status arena_add(struct arena *arena, struct rs_ref ref, uint32_t bytes);
/* A chunk of size_bytes (a power of two, at least 4 KiB), aligned to min(size, 4 KiB).
 * RS_NO_BUFFERS: add an extent first. */
RS_CHECK_RESULT enum rs_status arena_take(struct arena *arena, uint32_t size_bytes,
                                          struct rs_ref *out);
/* Gives a chunk back. RS_NO_MEMORY: the node could not be made; the chunk is lost until the session
 * ends. */
enum rs_status arena_give(struct arena *arena, uint32_t size_bytes, struct rs_ref ref);
void arena_destroy(struct arena *arena);

#endif
