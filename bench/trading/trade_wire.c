/*
 * Sizes, contents and check of the market-data datagrams: everything follows from (seed, seq), so
 * that the receiver can tell a wrong byte without having seen what was sent. See trade_wire.h.
 */
#include "bench/trading/trade_wire.h"

#include <string.h>

/* Finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose outputs pass as random. */
static uint64_t trade_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t trade_key(uint64_t seed, uint32_t seq)
{
    return trade_mix(seed ^ trade_mix(seq));
}

uint32_t trade_market_size(uint64_t seed, uint32_t seq, uint32_t max_bytes)
{
    uint32_t span = max_bytes - TRADE_MARKET_MIN_BYTES + 1;
    return TRADE_MARKET_MIN_BYTES + (uint32_t)(((trade_key(seed, seq) >> 32) * span) >> 32);
}

/* Word k of the pattern; one addition each, so that checking costs less than receiving. */
static uint64_t trade_pattern_word(uint64_t key, uint32_t k)
{
    return key + (uint64_t)k * 0x9e3779b97f4a7c15u;
}

static void trade_market_header(uint64_t key, struct trade_market *market)
{
    uint64_t body = trade_mix(key);
    market->instrument = (uint16_t)(body % TRADE_INSTRUMENTS);
    market->bid = (uint8_t)((body >> 8) & 1);
    market->level = (uint8_t)((body >> 16) % 5);
    /* Bids lie below 10,000 ticks and asks above, a level apart, so that the book never crosses. */
    int32_t away = 1 + (int32_t)market->level * 10 + (int32_t)((body >> 24) % 10);
    market->price_ticks = market->bid ? 10000 - away : 10000 + away;
    market->quantity = (uint32_t)((body >> 32) % 500);
}

uint32_t trade_market_fill(uint64_t seed, uint32_t run_id, uint32_t seq, uint32_t max_bytes,
                           uint8_t *out)
{
    uint64_t key = trade_key(seed, seq);
    struct trade_market market = {
        .magic = TRADE_MARKET_MAGIC,
        .run_id = run_id,
        .type = TRADE_MARKET_UPDATE,
        .len_bytes = trade_market_size(seed, seq, max_bytes),
        .seq = seq,
    };
    trade_market_header(key, &market);
    memcpy(out, &market, sizeof(market));
    uint32_t at = sizeof(market);
    for (uint32_t k = 0; at < market.len_bytes; k++) {
        uint64_t word = trade_pattern_word(key, k);
        uint32_t n = market.len_bytes - at < 8 ? market.len_bytes - at : 8;
        memcpy(out + at, &word, n);
        at += n;
    }
    return market.len_bytes;
}

bool trade_market_verify(uint64_t seed, uint32_t max_bytes, const struct trade_market *market,
                         const uint8_t *data, size_t bytes)
{
    uint64_t key = trade_key(seed, market->seq);
    struct trade_market want = *market;
    want.len_bytes = trade_market_size(seed, market->seq, max_bytes);
    trade_market_header(key, &want);
    if (bytes != want.len_bytes || memcmp(&want, data, sizeof(want)) != 0) {
        return false;
    }
    size_t at = sizeof(want);
    for (uint32_t k = 0; at < bytes; k++) {
        uint64_t word = trade_pattern_word(key, k);
        size_t n = bytes - at < 8 ? bytes - at : 8;
        if (memcmp(data + at, &word, n) != 0) {
            return false;
        }
        at += n;
    }
    return true;
}
