/* Order book of the feed handler, see book.h. */
#include "bench/trading/book.h"

bool book_apply(struct book *book, const struct trade_market *update)
{
    if (update->instrument >= TRADE_INSTRUMENTS || update->level >= BOOK_LEVELS ||
        update->bid > 1) {
        return false;
    }
    book->side[update->instrument][update->bid][update->level] = (struct book_level){
        .price_ticks = update->price_ticks,
        .quantity = update->quantity,
    };
    book->updates++;
    return true;
}

bool book_best(const struct book *book, uint16_t instrument, bool bid, struct book_level *out)
{
    const struct book_level *levels = book->side[instrument][bid];
    for (int i = 0; i < BOOK_LEVELS; i++) { /* levels are sorted: 0 is the best */
        if (levels[i].quantity != 0) {
            *out = levels[i];
            return true;
        }
    }
    return false;
}
