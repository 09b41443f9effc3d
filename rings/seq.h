/*
 * Wrap-safe arithmetic on free-running 32-bit positions and sequence numbers, and alignment
 * helpers. Every index of the shared memory is free-running: it counts for ever, wraps at 2^32, and
 * is masked only when it addresses memory. Pure functions; any thread.
 */
#ifndef RINGSOCK_RINGS_SEQ_H
#define RINGSOCK_RINGS_SEQ_H

#include <stdbool.h>
#include <stdint.h>

/* How far `to` is ahead of `from`, for positions at most 2^32 - 1 apart. */
static inline uint32_t rs_seq_distance(uint32_t from, uint32_t to)
{
    return to - from;
}

/* True when a comes before b, for positions less than 2^31 apart. */
static inline bool rs_seq_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool rs_seq_before_eq(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}

/* True when pos lies in [from, to], to being at most 2^32 - 1 ahead of from. */
static inline bool rs_seq_in_range(uint32_t pos, uint32_t from, uint32_t to)
{
    return pos - from <= to - from;
}

static inline bool rs_is_pow2(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* value rounded up to a multiple of align (a power of two). */
static inline uint32_t rs_align_up(uint32_t value, uint32_t align)
{
    return (value + align - 1) & ~(align - 1);
}

#endif
