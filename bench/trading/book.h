/*
 * A small order book: five price levels a side for each instrument, fed by market updates. One
 * thread.
 */
#ifndef RINGSOCK_BENCH_TRADING_BOOK_H
#define RINGSOCK_BENCH_TRADING_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/trading/trade_wire.h"

enum { BOOK_LEVELS = 5 };

struct book_level {
    int32_t price_ticks;
    uint32_t quantity; /* 0: empty */
};

struct book {
    struct book_level side[TRADE_INSTRUMENTS][2][BOOK_LEVELS]; /* [1]: bids, [0]: asks */
    uint64_t updates;
};

/* False: the update names an instrument or level that does not exist; nothing changes. */
bool book_apply(struct book *book, const struct trade_market *update);
/* The best level with quantity of one side; false when the side is empty. */
bool book_best(const struct book *book, uint16_t instrument, bool bid, struct book_level *out);

#endif
