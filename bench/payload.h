/*
 * The 64 bytes that the socket benches send: a sequence number and seven words that follow from it,
 * written and checked on both sides alike. Pure functions; any thread.
 */
#ifndef RINGSOCK_BENCH_PAYLOAD_H
#define RINGSOCK_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

enum { PAYLOAD_WORDS = 8, PAYLOAD_BYTES = PAYLOAD_WORDS * 8 };

struct payload {
    uint64_t word[PAYLOAD_WORDS];
};

static inline void payload_fill(struct payload *payload, uint64_t seq)
{
    for (uint64_t i = 0; i < PAYLOAD_WORDS; i++) {
        payload->word[i] = seq + i * 0x9e3779b97f4a7c15u;
    }
}

static inline bool payload_check(const struct payload *payload, uint64_t seq)
{
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < PAYLOAD_WORDS; i++) {
        wrong |= payload->word[i] ^ (seq + i * 0x9e3779b97f4a7c15u);
    }
    return wrong == 0;
}

#endif
