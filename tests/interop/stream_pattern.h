/*
 * The bytes of a stream in the interop tests: both ends know which byte stands where. The pattern
 * repeats after a prime number of bytes, so nothing that is a multiple of a segment, a page or a
 * ring can be lost, doubled or moved without being seen. One thread.
 */
#ifndef RINGSOCK_TESTS_INTEROP_STREAM_PATTERN_H
#define RINGSOCK_TESTS_INTEROP_STREAM_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/random.h"

#define STREAM_PATTERN_PERIOD 262139u
#define STREAM_PIECE_BYTES    65536u /* at most so many at a time */
/* Where the stream from the kernel to Ringsock begins; the other one begins at 0. */
#define STREAM_FROM_KERNEL 1234567u

/* The pattern from any place of a stream on, STREAM_PIECE_BYTES long. */
static inline const uint8_t *stream_pattern(uint64_t place)
{
    static uint8_t table[STREAM_PATTERN_PERIOD + STREAM_PIECE_BYTES];
    static bool made;
    if (!made) {
        struct test_random random = test_random_make(1);
        for (uint32_t i = 0; i < STREAM_PATTERN_PERIOD; i++) {
            table[i] = (uint8_t)test_random_u64(&random);
        }
        memcpy(table + STREAM_PATTERN_PERIOD, table, STREAM_PIECE_BYTES);
        made = true;
    }
    return table + place % STREAM_PATTERN_PERIOD;
}

/* How much of what is left goes in one call. */
static inline uint32_t stream_piece(uint64_t done, uint64_t total)
{
    return total - done < STREAM_PIECE_BYTES ? (uint32_t)(total - done) : STREAM_PIECE_BYTES;
}

#endif
