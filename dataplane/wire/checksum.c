/*
 * The Internet checksum, see checksum.h. Adds 64-bit words and, apart, their high halves into wide
 * sums, two words at a time in a vector: so no carry has to be looked at inside the loop, 2^32
 * additions fit. Two sums of each side by side, or every addition would wait for the one before.
 */
#include "dataplane/wire/checksum.h"

#include <stdbool.h>
#include <stddef.h>

#define LANES_BYTES 16u
#define BLOCK_BYTES (4 * LANES_BYTES)

/* For data of any alignment and type. The source is volatile: the compiler could else read it for
 * the copy and again for the sum, and a client may change it in between. */
typedef uint64_t lanes __attribute__((vector_size(LANES_BYTES), aligned(1), may_alias));
typedef uint64_t word64 __attribute__((aligned(1), may_alias));
typedef uint32_t word32 __attribute__((aligned(1), may_alias));
typedef uint16_t word16 __attribute__((aligned(1), may_alias));

static inline lanes take(uint8_t *dst, const uint8_t *src, uint32_t off, bool copy)
{
    lanes value = *(const volatile lanes *)(const void *)(src + off);
    if (copy) {
        *(lanes *)(void *)(dst + off) = value;
    }
    return value;
}

/* The last 0 to 15 bytes. A part of odd length comes last, so that all begin at an even offset. */
static inline uint64_t sum_rest(uint8_t *dst, const uint8_t *src, uint32_t len_bytes, bool copy)
{
    uint64_t sum = 0;
    uint32_t off = 0;
    if ((len_bytes & 8) != 0) {
        uint64_t value = *(const volatile word64 *)(const void *)src;
        sum += (value & 0xffffffffu) + (value >> 32);
        if (copy) {
            *(word64 *)(void *)dst = value;
        }
        off = 8;
    }
    if ((len_bytes & 4) != 0) {
        uint32_t value = *(const volatile word32 *)(const void *)(src + off);
        sum += value;
        if (copy) {
            *(word32 *)(void *)(dst + off) = value;
        }
        off += 4;
    }
    if ((len_bytes & 2) != 0) {
        uint16_t value = *(const volatile word16 *)(const void *)(src + off);
        sum += value;
        if (copy) {
            *(word16 *)(void *)(dst + off) = value;
        }
        off += 2;
    }
    if ((len_bytes & 1) != 0) {
        uint8_t value = *(const volatile uint8_t *)(src + off);
        sum += value;
        if (copy) {
            dst[off] = value;
        }
    }
    return sum;
}

/* What a lane's sums of whole words (modulo 2^64) and of their high halves say together: the low
 * halves are what is left, modulo 2^64, and as their true sum is less, exactly. */
static inline uint64_t sum_halves(uint64_t words, uint64_t high)
{
    return words - (high << 32) + high;
}

/* Inlined into each of its callers, so that `copy` costs nothing there. */
static inline __attribute__((always_inline)) uint64_t
sum_copy(uint64_t sum, uint8_t *dst, const uint8_t *src, uint32_t len_bytes, bool copy)
{
    lanes words_a = {0}, words_b = {0}, high_a = {0}, high_b = {0};
    for (; len_bytes >= BLOCK_BYTES; len_bytes -= BLOCK_BYTES) {
        for (uint32_t off = 0; off < BLOCK_BYTES; off += 2 * LANES_BYTES) {
            lanes a = take(dst, src, off, copy);
            lanes b = take(dst, src, off + LANES_BYTES, copy);
            words_a += a;
            words_b += b;
            high_a += a >> 32;
            high_b += b >> 32;
        }
        src += BLOCK_BYTES;
        dst = copy ? dst + BLOCK_BYTES : dst;
    }
    for (; len_bytes >= LANES_BYTES; len_bytes -= LANES_BYTES) {
        lanes a = take(dst, src, 0, copy);
        words_a += a;
        high_a += a >> 32;
        src += LANES_BYTES;
        dst = copy ? dst + LANES_BYTES : dst;
    }
    words_a += words_b;
    high_a += high_b;
    /* Of the longest message each lane's halves add up to less than 2^61: nothing wraps. */
    return sum + sum_halves(words_a[0], high_a[0]) + sum_halves(words_a[1], high_a[1]) +
           sum_rest(dst, src, len_bytes, copy);
}

uint64_t checksum_add(uint64_t sum, const void *data, uint32_t len_bytes)
{
    return sum_copy(sum, NULL, data, len_bytes, false);
}

uint64_t checksum_copy(uint64_t sum, void *dst, const void *src, uint32_t len_bytes)
{
    return sum_copy(sum, dst, src, len_bytes, true);
}
