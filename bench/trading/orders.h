/*
 * The order side of the feed handler: sessions to the exchange, opened side by side, each logged
 * in; orders made from the book, over the sessions in turn, matched with their acknowledgements,
 * round trips into a histogram; at the end each session is closed in order. One thread, the feed's.
 */
#ifndef RINGSOCK_BENCH_TRADING_ORDERS_H
#define RINGSOCK_BENCH_TRADING_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/trading/book.h"
#include "bench/trading/histogram.h"
#include "bench/trading/session.h"
#include "bench/trading/trade_net.h"

struct orders_session {
    struct session stream;
    bool connected, welcomed;  /* the TCP connection; the exchange has answered HELLO */
    bool closing, done, ended; /* DONE was said, was answered; both sides have ended */
    uint32_t sent, acked;      /* orders */
    uint32_t acked_seq;        /* of the newest acknowledgement */
};

struct orders {
    struct orders_session sessions[TRADE_SESSIONS_MAX];
    uint32_t session_count, connected, welcomed, ended;
    uint32_t run_id;
    uint32_t next_seq; /* of the next order, from 1 */
    uint32_t capacity;
    struct trade_order *orders; /* as sent, by order_seq; magic 0: acknowledged */
    struct trade_order welcome; /* the first one */
    uint64_t sent, acks, bad_acks, not_sent, strays;
    struct histogram round_trip;
};

/* Begins to connect `count` sessions. False: failed, as below; trade_net_error says why. */
bool orders_open(struct orders *orders, struct trade_net *net, struct trade_addr peer,
                 uint32_t count, uint32_t run_id);
/* Room for orders 1 to capacity, once the exchange has said how much will come. */
bool orders_make_room(struct orders *orders, uint32_t capacity);
void orders_free(struct orders *orders);
/* Says HELLO on the sessions that have become connected. */
bool orders_log_in(struct orders *orders);
/* The sessions from which something may still come, into sockets; how many. which[i]: their number.
 */
uint32_t orders_sockets(const struct orders *orders, struct trade_socket **sockets,
                        uint32_t *which);
/* Takes all that waits on a session. */
bool orders_take(struct orders *orders, uint32_t session_idx);
/* Sends the order that answers `update`: lifts the best level of the other side, or joins its own.
 * An order that finds no room is counted in not_sent. */
bool orders_answer(struct orders *orders, const struct book *book,
                   const struct trade_market *update);
/* Writes what found no room before. */
bool orders_flush(struct orders *orders);
/* Says DONE on each session and ends our side; to be called again until all have `ended`. */
bool orders_close(struct orders *orders, uint32_t market_received);

#endif
