/* The bytes of the bulk benches, see bulk.h. */
#include "bench/bulk.h"

#include <string.h>

enum { BULK_PLACES = 61, BULK_STEP_BYTES = 67 };

static uint8_t bulk_pattern[BULK_BLOCK_BYTES + BULK_PLACES * BULK_STEP_BYTES];

void bulk_prepare(void)
{
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof(bulk_pattern); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bulk_pattern[i] = (uint8_t)x;
    }
}

const uint8_t *bulk_at(uint64_t position)
{
    uint64_t place = position / BULK_BLOCK_BYTES % BULK_PLACES;
    return &bulk_pattern[place * BULK_STEP_BYTES + position % BULK_BLOCK_BYTES];
}

size_t bulk_bytes(uint64_t position, uint64_t total_bytes)
{
    uint64_t block = BULK_BLOCK_BYTES - position % BULK_BLOCK_BYTES;
    return total_bytes - position < block ? total_bytes - position : block;
}

bool bulk_check(const uint8_t *got, uint64_t position, size_t bytes)
{
    return memcmp(got, bulk_at(position), bytes) == 0;
}
