/* Sessions, orders and their round trips, see orders.h. */
#include "bench/trading/orders.h"

#include <stdlib.h>
#include <string.h>

#include "rings/os/os.h"

bool orders_open(struct orders *orders, struct trade_net *net, struct trade_addr peer,
                 uint32_t count, uint32_t run_id)
{
    memset(orders, 0, sizeof(*orders));
    orders->run_id = run_id;
    orders->next_seq = 1;
    histogram_clear(&orders->round_trip);
    for (uint32_t i = 0; i < count; i++) {
        struct trade_socket *socket;
        if (!trade_net_connect(net, peer, &socket)) {
            return false;
        }
        session_init(&orders->sessions[i].stream, socket);
        orders->session_count++;
    }
    return true;
}

bool orders_make_room(struct orders *orders, uint32_t capacity)
{
    orders->capacity = capacity;
    orders->orders = calloc((size_t)capacity + 1, sizeof(*orders->orders));
    return orders->orders != NULL;
}

void orders_free(struct orders *orders)
{
    free(orders->orders);
    orders->orders = NULL;
}

bool orders_log_in(struct orders *orders)
{
    for (uint32_t i = 0; i < orders->session_count; i++) {
        struct orders_session *session = &orders->sessions[i];
        if (session->connected) {
            continue;
        }
        int connected = trade_net_connected(session->stream.socket);
        if (connected == TRADE_NET_NOTHING) {
            continue;
        }
        struct trade_order hello = {.magic = TRADE_ORDER_MAGIC,
                                    .run_id = orders->run_id,
                                    .type = TRADE_ORDER_HELLO,
                                    .order_seq = orders->session_count,
                                    .session = i};
        /* There is room for the first message of a connection. */
        if (connected == TRADE_NET_FAILED || session_put(&session->stream, &hello) != 0) {
            return false;
        }
        session->connected = true;
        orders->connected++;
    }
    return true;
}

uint32_t orders_sockets(const struct orders *orders, struct trade_socket **sockets, uint32_t *which)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < orders->session_count; i++) {
        if (orders->sessions[i].connected && !orders->sessions[i].stream.end) {
            which[count] = i;
            sockets[count++] = orders->sessions[i].stream.socket;
        }
    }
    return count;
}

/* An acknowledgement is the order as it was sent, on its session, in its order. */
static void orders_take_ack(struct orders *orders, struct orders_session *session,
                            struct trade_order *ack)
{
    uint64_t now_ns = os_monotonic_ns();
    if (ack->order_seq <= session->acked_seq || ack->order_seq >= orders->next_seq) {
        orders->bad_acks++;
        return;
    }
    struct trade_order *order = &orders->orders[ack->order_seq];
    ack->type = TRADE_ORDER_NEW;
    if (memcmp(order, ack, sizeof(*order)) != 0) {
        orders->bad_acks++;
        return;
    }
    histogram_record(&orders->round_trip, now_ns - order->sent_ns);
    order->magic = 0;
    session->acked_seq = ack->order_seq;
    session->acked++;
    orders->acks++;
}

static void orders_take_message(struct orders *orders, uint32_t session_idx,
                                struct trade_order *message)
{
    struct orders_session *session = &orders->sessions[session_idx];
    bool ours = message->magic == TRADE_ORDER_MAGIC && message->run_id == orders->run_id &&
                message->session == session_idx;
    if (ours && message->type == TRADE_ORDER_ACK && orders->orders != NULL) {
        orders_take_ack(orders, session, message);
    } else if (ours && message->type == TRADE_ORDER_WELCOME && !session->welcomed) {
        session->welcomed = true;
        if (orders->welcomed++ == 0) {
            orders->welcome = *message;
        }
    } else if (ours && message->type == TRADE_ORDER_DONE_ACK &&
               message->order_seq == session->acked) {
        session->done = true;
    } else {
        orders->strays++;
    }
}

bool orders_take(struct orders *orders, uint32_t session_idx)
{
    struct orders_session *session = &orders->sessions[session_idx];
    struct trade_order message;
    for (;;) {
        int got = session_take(&session->stream, &message);
        if (got == TRADE_NET_FAILED) {
            return false;
        }
        if (got == TRADE_NET_NOTHING) {
            break;
        }
        orders_take_message(orders, session_idx, &message);
    }
    if (session->stream.end && !session->ended) {
        if (!session->done || !session->stream.shut) {
            (void)fprintf(stderr, "trade_feed: the exchange ended session %u before we did\n",
                          session_idx);
            return false;
        }
        session->ended = true;
        orders->ended++;
    }
    return true;
}

bool orders_answer(struct orders *orders, const struct book *book,
                   const struct trade_market *update)
{
    uint32_t session_idx = orders->next_seq % orders->session_count;
    struct orders_session *session = &orders->sessions[session_idx];
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
        .session = session_idx,
    };
    if (orders->next_seq > orders->capacity) {
        orders->not_sent++;
        return true;
    }
    order.sent_ns = os_monotonic_ns();
    int sent = session_put(&session->stream, &order);
    if (sent == TRADE_NET_NOTHING) {
        orders->not_sent++;
        return true;
    }
    if (sent == TRADE_NET_FAILED) {
        return false;
    }
    orders->orders[orders->next_seq++] = order;
    orders->sent++;
    session->sent++;
    return true;
}

bool orders_flush(struct orders *orders)
{
    for (uint32_t i = 0; i < orders->session_count; i++) {
        if (!session_flush(&orders->sessions[i].stream)) {
            return false;
        }
    }
    return true;
}

bool orders_close(struct orders *orders, uint32_t market_received)
{
    for (uint32_t i = 0; i < orders->session_count; i++) {
        struct orders_session *session = &orders->sessions[i];
        struct trade_order done = {.magic = TRADE_ORDER_MAGIC,
                                   .run_id = orders->run_id,
                                   .type = TRADE_ORDER_DONE,
                                   .order_seq = session->sent,
                                   .market_seq = market_received,
                                   .session = i};
        if (!session->closing) {
            int sent = session_put(&session->stream, &done);
            if (sent == TRADE_NET_FAILED) {
                return false;
            }
            session->closing = sent == 0;
        }
        if (session->closing && !session_finish(&session->stream)) {
            return false;
        }
    }
    return true;
}
