/*
 * The chunk allocator of arena.h: a bump pointer over the newest extent, and one free list per
 * power of two. Control thread only. No splitting or merging: the sizes of a session's rings
 * repeat.
 */
#include "dataplane/arena.h"

#include <assert.h>
#include <stdlib.h>

#include "rings/seq.h"

static uint32_t arena_order(uint32_t size_bytes)
{
    assert(rs_is_pow2(size_bytes));
    return (uint32_t)__builtin_ctz(size_bytes);
}

enum rs_status arena_add(struct arena *arena, struct rs_ref ref, uint32_t bytes)
{
    while (arena->bump_left_bytes >= (1u << ARENA_ORDER_MIN)) {
        uint32_t order = 31u - (uint32_t)__builtin_clz(arena->bump_left_bytes);
        uint32_t size_bytes = 1u << (order < ARENA_ORDER_MAX ? order : ARENA_ORDER_MAX);
        enum rs_status status = arena_give(arena, size_bytes, arena->bump);
        if (status != RS_OK) {
            return status;
        }
        arena->bump.off += size_bytes;
        arena->bump_left_bytes -= size_bytes;
    }
    arena->bump = ref;
    arena->bump_left_bytes = bytes;
    return RS_OK;
}

enum rs_status arena_take(struct arena *arena, uint32_t size_bytes, struct rs_ref *out)
{
    uint32_t order = arena_order(size_bytes);
    assert(order >= ARENA_ORDER_MIN && order <= ARENA_ORDER_MAX);
    struct arena_chunk *chunk = arena->free[order];
    if (chunk != NULL) {
        arena->free[order] = chunk->next;
        *out = chunk->ref;
        free(chunk);
        return RS_OK;
    }
    if (arena->bump_left_bytes < size_bytes) {
        return RS_NO_BUFFERS;
    }
    *out = arena->bump;
    arena->bump.off += size_bytes;
    arena->bump_left_bytes -= size_bytes;
    return RS_OK;
}

enum rs_status arena_give(struct arena *arena, uint32_t size_bytes, struct rs_ref ref)
{
    struct arena_chunk *chunk = malloc(sizeof(*chunk));
    if (chunk == NULL) {
        return RS_NO_MEMORY;
    }
    uint32_t order = arena_order(size_bytes);
    chunk->ref = ref;
    chunk->next = arena->free[order];
    arena->free[order] = chunk;
    return RS_OK;
}

void arena_destroy(struct arena *arena)
{
    for (uint32_t order = 0; order <= ARENA_ORDER_MAX; order++) {
        while (arena->free[order] != NULL) {
            struct arena_chunk *chunk = arena->free[order];
            arena->free[order] = chunk->next;
            free(chunk);
        }
    }
    arena->bump_left_bytes = 0;
}
