/*
 * Orders of the feed handler: made from the book, sent with their send time, matched with their
 * acknowledgements, round trips into a histogram. One thread.
 */
#ifndef RINGSOCK_BENCH_TRADING_ORDERS_H
#define RINGSOCK_BENCH_TRADING_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/trading/book.h"
#include "bench/trading/histogram.h"
#include "bench/trading/trade_net.h"

struct orders {
    struct trade_socket *socket;
    struct trade_addr peer;
    uint32_t run_id;
    uint32_t next_seq; /* of the next order, from 1 */
    uint32_t capacity; /* acked has a bit for each order below */
    uint64_t *acked;
    uint64_t sent, acks, duplicate_acks, bad_acks, not_sent;
    struct histogram round_trip;
};

/* Room for orders 1 to capacity. False: no memory. */
bool orders_init(struct orders *orders, struct trade_socket *socket, struct trade_addr peer,
                 uint32_t run_id, uint32_t capacity);
void orders_free(struct orders *orders);
/* Sends the order that answers `update`: lifts the best level of the other side, or joins its own.
 * False: the socket failed. An order that finds no room is counted in not_sent. */
bool orders_answer(struct orders *orders, const struct book *book,
                   const struct trade_market *update);
/* Takes one acknowledgement that arrived at now_ns. */
void orders_take_ack(struct orders *orders, const struct trade_order *ack, uint64_t now_ns);

#endif
