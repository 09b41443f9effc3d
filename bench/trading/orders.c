/* Orders and their round trips, see orders.h. */
#include "bench/trading/orders.h"

#include <stdlib.h>
#include <string.h>

#include "rings/os/os.h"

bool orders_init(struct orders *orders, struct trade_socket *socket, struct trade_addr peer,
                 uint32_t run_id, uint32_t capacity)
{
    memset(orders, 0, sizeof(*orders));
    orders->socket = socket;
    orders->peer = peer;
    orders->run_id = run_id;
    orders->next_seq = 1;
    orders->capacity = capacity;
    histogram_clear(&orders->round_trip);
    orders->acked = calloc(capacity / 64 + 1, sizeof(uint64_t));
    return orders->acked != NULL;
}

void orders_free(struct orders *orders)
{
    free(orders->acked);
    orders->acked = NULL;
}

bool orders_answer(struct orders *orders, const struct book *book,
                   const struct trade_market *update)
{
    struct book_level level = {.price_ticks = update->price_ticks, .quantity = update->quantity};
    bool lift = book_best(book, update->instrument, !update->bid, &level);
    struct trade_order order = {
        .magic = TRADE_ORDER_MAGIC,
        .run_id = orders->run_id,
        .order_seq = orders->next_seq,
        .market_seq = update->seq,
        .price_ticks = level.price_ticks,
        .quantity = level.quantity,
        .instrument = update->instrument,
        .buy = (uint8_t)(lift ? update->bid : !update->bid),
        .type = TRADE_ORDER_NEW,
    };
    if (orders->next_seq > orders->capacity) {
        orders->not_sent++;
        return true;
    }
    order.sent_ns = os_monotonic_ns();
    int sent = trade_net_send(orders->socket, &order, sizeof(order), orders->peer);
    if (sent == TRADE_NET_NOTHING) {
        orders->not_sent++;
        return true;
    }
    if (sent != (int)sizeof(order)) {
        return false;
    }
    orders->next_seq++;
    orders->sent++;
    return true;
}

void orders_take_ack(struct orders *orders, const struct trade_order *ack, uint64_t now_ns)
{
    if (ack->order_seq == 0 || ack->order_seq >= orders->next_seq || ack->sent_ns > now_ns) {
        orders->bad_acks++;
        return;
    }
    uint64_t *word = &orders->acked[ack->order_seq / 64];
    uint64_t bit = 1ull << (ack->order_seq % 64);
    if (*word & bit) {
        orders->duplicate_acks++;
        return;
    }
    *word |= bit;
    orders->acks++;
    histogram_record(&orders->round_trip, now_ns - ack->sent_ns);
}
