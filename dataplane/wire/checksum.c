/*
 * The Internet checksum, see checksum.h. Adds 32-bit halves of 64-bit loads into two wide sums, so
 * no carry has to be looked at inside the loop: 2^32 additions fit.
 */
#include "dataplane/wire/checksum.h"

static inline uint64_t load64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

uint64_t checksum_add(uint64_t sum, const void *data, uint32_t len_bytes)
{
    const uint8_t *bytes = data;
    uint64_t low = 0;
    uint64_t high = 0;
    for (; len_bytes >= 32; bytes += 32, len_bytes -= 32) {
        uint64_t a = load64(bytes);
        uint64_t b = load64(bytes + 8);
        uint64_t c = load64(bytes + 16);
        uint64_t d = load64(bytes + 24);
        low += (a & 0xffffffffu) + (b & 0xffffffffu) + (c & 0xffffffffu) + (d & 0xffffffffu);
        high += (a >> 32) + (b >> 32) + (c >> 32) + (d >> 32);
    }
    for (; len_bytes >= 8; bytes += 8, len_bytes -= 8) {
        uint64_t a = load64(bytes);
        low += a & 0xffffffffu;
        high += a >> 32;
    }
    if (len_bytes > 0) {
        uint64_t last = 0;
        memcpy(&last, bytes, len_bytes);
        low += last & 0xffffffffu;
        high += last >> 32;
    }
    /* For the longest message the two halves stay below 2^47, so their sum cannot wrap. */
    return sum + low + high;
}
