/*
 * What the trading programs say to each other: numbered market-data datagrams to a multicast group,
 * and 40-byte orders with their acknowledgements over TCP sessions. On each session: HELLO,
 * WELCOME, any number of NEW and ACK, DONE, DONE_ACK; behind DONE the feed ends its side, then the
 * peer its own. Fields are little-endian, as the machines are; a message is copied in and out,
 * never cast. Pure functions; any thread. Used by trade_feed and trade_peer.
 */
#ifndef RINGSOCK_BENCH_TRADING_TRADE_WIRE_H
#define RINGSOCK_BENCH_TRADING_TRADE_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRADE_MARKET_MAGIC     0x4d445254u /* "TRDM" */
#define TRADE_ORDER_MAGIC      0x4f445254u /* "TRDO" */
#define TRADE_MARKET_MIN_BYTES 64u
#define TRADE_MARKET_MAX_BYTES 1400u
#define TRADE_INSTRUMENTS      16u
#define TRADE_SESSIONS_MAX     120u

enum trade_market_type { TRADE_MARKET_UPDATE = 1, TRADE_MARKET_END = 2 };

/* Opens every market datagram; the rest of it is a pattern made from seed and seq. */
struct trade_market {
    uint32_t magic;
    uint32_t run_id; /* strays of another run are counted apart */
    uint32_t type;   /* enum trade_market_type */
    uint32_t len_bytes;
    uint32_t seq; /* from 1; END: how many were sent */
    uint16_t instrument;
    uint8_t bid; /* 1: bid side, 0: ask side */
    uint8_t level;
    int32_t price_ticks;
    uint32_t quantity; /* 0 clears the level */
};
static_assert(sizeof(struct trade_market) == 32, "wire: trade_market");

enum trade_order_type {
    TRADE_ORDER_HELLO = 1, /* feed to peer: I have joined; order_seq = sessions in all */
    TRADE_ORDER_WELCOME,   /* market_seq = datagrams to come, sent_ns = seed */
    TRADE_ORDER_NEW,
    TRADE_ORDER_ACK,  /* the order as it came, type changed */
    TRADE_ORDER_DONE, /* market_seq = unique datagrams received, order_seq = orders of the session
                       */
    TRADE_ORDER_DONE_ACK /* order_seq = orders acknowledged on the session */
};

struct trade_order {
    uint32_t magic;
    uint32_t run_id;
    uint32_t order_seq;  /* from 1 */
    uint32_t market_seq; /* the update that it answers */
    uint64_t sent_ns;    /* clock of the sender of the order; echoed */
    int32_t price_ticks;
    uint32_t quantity;
    uint16_t instrument;
    uint8_t buy;
    uint8_t type;     /* enum trade_order_type */
    uint32_t session; /* from 0 */
};
static_assert(sizeof(struct trade_order) == 40, "wire: trade_order");

/* Size of datagram `seq`: TRADE_MARKET_MIN_BYTES to max_bytes, spread evenly. */
uint32_t trade_market_size(uint64_t seed, uint32_t seq, uint32_t max_bytes);
/* Writes datagram `seq` (header and pattern) to out, room for max_bytes; returns its size. */
uint32_t trade_market_fill(uint64_t seed, uint32_t run_id, uint32_t seq, uint32_t max_bytes,
                           uint8_t *out);
/* True when data is, byte for byte, what trade_market_fill makes for *market's seq. */
bool trade_market_verify(uint64_t seed, uint32_t max_bytes, const struct trade_market *market,
                         const uint8_t *data, size_t bytes);

#endif
