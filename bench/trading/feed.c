/*
 * trade_feed: the feed handler. Joins the market-data group, receives, checks every datagram
 * (sequence, size, each byte), keeps an order book, answers one update in ten with a UDP order and
 * measures how long its acknowledgement takes. Ends when the peer's end marker came and the
 * acknowledgements are in, or at a time-out. Prints a histogram; figures go to --json. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/trading/book.h"
#include "bench/trading/orders.h"
#include "bench/trading/trade_args.h"
#include "bench/trading/trade_net.h"
#include "bench/trading/trade_wire.h"
#include "rings/os/os.h"

#define FEED_MS 1000000ull
#define FEED_S  1000000000ull

enum { FEED_MARKET = 1, FEED_ORDER = 2 }; /* bits of trade_net_wait, in its order */

struct feed_config {
    const char *instance, *json, *label;
    uint32_t local_ip, peer_ip, group;
    uint64_t peer_port, group_port, order_every, timeout_s, buffer_bytes, core;
    bool busy;
};

struct feed {
    struct feed_config config;
    struct trade_net *net;
    struct trade_socket *market, *order;
    struct trade_addr peer;
    struct book book;
    struct orders orders;
    uint32_t run_id;
    uint64_t seed;
    uint32_t expected, max_bytes; /* from WELCOME */
    uint64_t *seen;               /* bit per datagram */
    uint64_t received, bytes, duplicates, corrupt, strays, reordered;
    uint32_t newest_seq;
    bool ended, done_acked;
    uint64_t first_ns, last_ns, deadline_ns, waits;
    uint8_t buffer[2048];
};

/* Sends HELLO or DONE; either is repeated by its caller until it is answered. */
static bool feed_tell(struct feed *feed, enum trade_order_type type, uint32_t value)
{
    struct trade_order message = {.magic = TRADE_ORDER_MAGIC,
                                  .run_id = feed->run_id,
                                  .type = (uint8_t)type,
                                  .market_seq = value};
    return trade_net_send(feed->order, &message, sizeof(message), feed->peer) != TRADE_NET_FAILED;
}

static bool feed_welcome(struct feed *feed, const struct trade_order *welcome)
{
    if (feed->seen != NULL) {
        return true; /* the answer to a repeated HELLO */
    }
    feed->expected = welcome->market_seq;
    feed->seed = welcome->sent_ns;
    feed->max_bytes = welcome->quantity;
    if (feed->expected == 0 || feed->max_bytes < TRADE_MARKET_MIN_BYTES ||
        feed->max_bytes > TRADE_MARKET_MAX_BYTES) {
        (void)fprintf(stderr, "trade_feed: the peer's welcome makes no sense\n");
        return false;
    }
    feed->seen = calloc((size_t)feed->expected / 64 + 1, sizeof(uint64_t));
    return feed->seen != NULL &&
           orders_init(&feed->orders, feed->order, feed->peer, feed->run_id,
                       feed->expected / (uint32_t)feed->config.order_every + 1);
}

/* One message on the order socket, if there is one. False: failed. */
static bool feed_take_order(struct feed *feed, bool *any)
{
    struct trade_addr from;
    struct trade_order message;
    int got = trade_net_recv(feed->order, feed->buffer, sizeof(feed->buffer), &from);
    if (got == TRADE_NET_NOTHING) {
        return true;
    }
    if (got == TRADE_NET_FAILED) {
        return false;
    }
    *any = true;
    uint64_t now_ns = os_monotonic_ns();
    if ((size_t)got != sizeof(message)) {
        feed->strays++;
        return true;
    }
    memcpy(&message, feed->buffer, sizeof(message));
    if (message.magic != TRADE_ORDER_MAGIC || message.run_id != feed->run_id ||
        from.ip != feed->peer.ip || from.port != feed->peer.port) {
        feed->strays++;
    } else if (message.type == TRADE_ORDER_WELCOME) {
        return feed_welcome(feed, &message);
    } else if (message.type == TRADE_ORDER_ACK && feed->seen != NULL) {
        orders_take_ack(&feed->orders, &message, now_ns);
    } else if (message.type == TRADE_ORDER_DONE_ACK) {
        feed->done_acked = true;
    }
    return true;
}

static bool feed_update(struct feed *feed, const struct trade_market *update, size_t bytes)
{
    uint32_t seq = update->seq;
    if (seq == 0 || seq > feed->expected ||
        !trade_market_verify(feed->seed, feed->max_bytes, update, feed->buffer, bytes)) {
        feed->corrupt++;
        return true;
    }
    uint64_t bit = 1ull << (seq % 64);
    if (feed->seen[seq / 64] & bit) {
        feed->duplicates++;
        return true;
    }
    feed->seen[seq / 64] |= bit;
    feed->received++;
    feed->bytes += bytes;
    if (seq < feed->newest_seq) {
        feed->reordered++;
    } else {
        feed->newest_seq = seq;
    }
    if (!book_apply(&feed->book, update)) {
        feed->corrupt++;
        return true;
    }
    return seq % feed->config.order_every != 0 || orders_answer(&feed->orders, &feed->book, update);
}

/* One market datagram, if there is one. */
static bool feed_take_market(struct feed *feed, bool *any)
{
    struct trade_market update;
    int got = trade_net_recv(feed->market, feed->buffer, sizeof(feed->buffer), NULL);
    if (got == TRADE_NET_NOTHING) {
        return true;
    }
    if (got == TRADE_NET_FAILED) {
        return false;
    }
    *any = true;
    if ((size_t)got < sizeof(update)) {
        feed->corrupt++;
        return true;
    }
    memcpy(&update, feed->buffer, sizeof(update));
    if (update.magic != TRADE_MARKET_MAGIC || update.run_id != feed->run_id || feed->seen == NULL) {
        feed->strays++;
        return true;
    }
    if (update.type == TRADE_MARKET_END) {
        feed->ended = true;
        return true;
    }
    return feed_update(feed, &update, (size_t)got);
}

/* Takes what is there on the sockets of the mask, a bounded number of each: orders first, their
 * round trip is what is measured. */
static bool feed_drain(struct feed *feed, uint32_t ready)
{
    enum { BATCH = 16 };
    bool any = true;
    uint64_t before = feed->received + feed->orders.acks;
    for (int i = 0; (ready & FEED_ORDER) && any && i < BATCH; i++) {
        any = false;
        if (!feed_take_order(feed, &any)) {
            return false;
        }
    }
    any = true;
    for (int i = 0; (ready & FEED_MARKET) && any && i < BATCH; i++) {
        any = false;
        if (!feed_take_market(feed, &any)) {
            return false;
        }
    }
    /* The repeated end marker is no progress. */
    if (feed->received + feed->orders.acks != before) {
        feed->last_ns = os_monotonic_ns();
        if (feed->first_ns == 0) {
            feed->first_ns = feed->last_ns;
        }
    }
    return true;
}

static bool feed_turn(struct feed *feed, uint32_t wait_us)
{
    struct trade_socket *sockets[2] = {feed->market, feed->order};
    uint32_t ready = FEED_MARKET | FEED_ORDER;
    if (!feed->config.busy) {
        feed->waits++;
        if (!trade_net_wait(feed->net, sockets, 2, wait_us, &ready)) {
            return false;
        }
    }
    return feed_drain(feed, ready);
}

/* Repeats a message every 50 ms until *answered, at most for limit_ns. */
static bool feed_until_answered(struct feed *feed, enum trade_order_type type, uint64_t limit_ns)
{
    uint64_t start_ns = os_monotonic_ns();
    uint64_t next_ns = start_ns;
    for (;;) {
        if (type == TRADE_ORDER_HELLO ? feed->seen != NULL : feed->done_acked) {
            return true;
        }
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns - start_ns > limit_ns) {
            (void)fprintf(stderr, "trade_feed: the peer did not answer %s within %llu s\n",
                          type == TRADE_ORDER_HELLO ? "HELLO" : "DONE",
                          (unsigned long long)(limit_ns / FEED_S));
            return false;
        }
        if (now_ns >= next_ns) {
            if (!feed_tell(feed, type, (uint32_t)feed->received)) {
                return false;
            }
            next_ns = now_ns + 50 * FEED_MS;
        }
        if (!feed_turn(feed, 10000)) {
            return false;
        }
    }
}

/* The run itself: until all is in, or the end marker came and nothing more followed for 300 ms. */
static bool feed_run(struct feed *feed)
{
    for (;;) {
        if (!feed_turn(feed, 10000)) {
            return false;
        }
        bool complete = feed->received == feed->expected && feed->orders.acks == feed->orders.sent;
        if (!feed->ended && !complete) {
            if (os_monotonic_ns() > feed->deadline_ns) {
                (void)fprintf(stderr, "trade_feed: no end marker before the time-out\n");
                return false;
            }
            continue;
        }
        if (complete || os_monotonic_ns() - feed->last_ns > 300 * FEED_MS) {
            return true;
        }
    }
}

static void feed_json_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static bool feed_json(struct feed *feed, bool complete)
{
    FILE *out = fopen(feed->config.json, "w");
    if (out == NULL) {
        perror(feed->config.json);
        return false;
    }
    const struct orders *orders = &feed->orders;
    (void)fprintf(out, "{\"label\":");
    feed_json_text(out, feed->config.label);
    (void)fprintf(out, ",\"path\":");
    feed_json_text(out, trade_net_path(feed->net));
    uint64_t dropped = trade_net_dropped(feed->market);
    (void)fprintf(out,
                  ",\"complete\":%s,\"expected\":%" PRIu32 ",\"received\":%" PRIu64
                  ",\"lost\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"duplicates\":%" PRIu64
                  ",\"reordered\":%" PRIu64 ",\"corrupt\":%" PRIu64 ",\"strays\":%" PRIu64,
                  complete ? "true" : "false", feed->expected, feed->received,
                  feed->expected - feed->received, feed->bytes, feed->duplicates, feed->reordered,
                  feed->corrupt, feed->strays);
    if (dropped != UINT64_MAX) {
        (void)fprintf(out, ",\"socket_dropped\":%" PRIu64, dropped);
    }
    (void)fprintf(out,
                  ",\"elapsed_ns\":%" PRIu64 ",\"waits\":%" PRIu64 ",\"orders_sent\":%" PRIu64
                  ",\"orders_not_sent\":%" PRIu64 ",\"acks\":%" PRIu64 ",\"acks_missing\":%" PRIu64
                  ",\"duplicate_acks\":%" PRIu64 ",\"bad_acks\":%" PRIu64
                  ",\"book_updates\":%" PRIu64 ",\"round_trip\":",
                  feed->last_ns - feed->first_ns, feed->waits, orders->sent, orders->not_sent,
                  orders->acks, orders->sent - orders->acks, orders->duplicate_acks,
                  orders->bad_acks, feed->book.updates);
    histogram_json(&orders->round_trip, out);
    (void)fprintf(out, "}\n");
    return fclose(out) == 0;
}

static bool feed_open(struct feed *feed)
{
    const struct feed_config *config = &feed->config;
    struct trade_addr market = {.ip = 0, .port = (uint16_t)config->group_port};
    struct trade_addr order = {.ip = config->local_ip, .port = 0};
    feed->peer = (struct trade_addr){.ip = config->peer_ip, .port = (uint16_t)config->peer_port};
    uint32_t buffer_bytes = (uint32_t)config->buffer_bytes;
    return trade_net_open(config->instance, &feed->net) &&
           trade_net_udp(feed->net, market, buffer_bytes, true, &feed->market) &&
           trade_net_join(feed->market, config->group, config->local_ip) &&
           trade_net_udp(feed->net, order, 0, false, &feed->order);
}

static void feed_config_parse(struct feed_config *config, int argc, char **argv)
{
    *config = (struct feed_config){.label = "feed",
                                   .local_ip = 0x7f000001,
                                   .peer_ip = 0x7f000001,
                                   .group = 0xefff0101,
                                   .peer_port = 7011,
                                   .group_port = 7010,
                                   .order_every = 10,
                                   .timeout_s = 60,
                                   .buffer_bytes = 16u << 20,
                                   .core = UINT64_MAX};
    const struct trade_arg args[] = {
        {"--instance", TRADE_ARG_TEXT, &config->instance, 0, 0, "dataplane instance"},
        {"--json", TRADE_ARG_TEXT, &config->json, 0, 0, "file for the figures"},
        {"--label", TRADE_ARG_TEXT, &config->label, 0, 0, "name of this run in the figures"},
        {"--local", TRADE_ARG_IP, &config->local_ip, 0, 0, "own address (127.0.0.1)"},
        {"--peer", TRADE_ARG_IP, &config->peer_ip, 0, 0, "where orders go (127.0.0.1)"},
        {"--peer-port", TRADE_ARG_UINT, &config->peer_port, 1, 65535, "order port (7011)"},
        {"--group", TRADE_ARG_IP, &config->group, 0, 0, "market-data group (239.255.1.1)"},
        {"--group-port", TRADE_ARG_UINT, &config->group_port, 1, 65535, "its port (7010)"},
        {"--order-every", TRADE_ARG_UINT, &config->order_every, 1, 1000000,
         "an order for every how many updates (10)"},
        {"--timeout-s", TRADE_ARG_UINT, &config->timeout_s, 1, 3600, "bound of the run (60)"},
        {"--buffer", TRADE_ARG_UINT, &config->buffer_bytes, 4096, 1u << 30,
         "receive buffer in bytes (4194304)"},
        {"--core", TRADE_ARG_UINT, &config->core, 0, 1023, "processor to run on (any)"},
        {"--busy", TRADE_ARG_FLAG, &config->busy, 0, 0, "poll the sockets, never wait"},
        {NULL, TRADE_ARG_FLAG, NULL, 0, 0, NULL},
    };
    trade_args_parse(args, argc, argv);
}

int main(int argc, char **argv)
{
    static struct feed feed;
    feed_config_parse(&feed.config, argc, argv);
    if (feed.config.core != UINT64_MAX && os_thread_pin((uint32_t)feed.config.core) != RS_OK) {
        (void)fprintf(stderr, "trade_feed: --core %u: %s\n", (unsigned)feed.config.core,
                      os_last_error_text());
        return 2;
    }
    feed.run_id = os_process_id() ^ (uint32_t)os_unix_ns();
    if (!feed_open(&feed)) {
        (void)fprintf(stderr, "trade_feed: %s\n", trade_net_error());
        return 1;
    }
    feed.deadline_ns = os_monotonic_ns() + feed.config.timeout_s * FEED_S;
    bool complete = feed_until_answered(&feed, TRADE_ORDER_HELLO, 10 * FEED_S) && feed_run(&feed);
    if (!complete && trade_net_error()[0] != '\0') {
        (void)fprintf(stderr, "trade_feed: %s\n", trade_net_error());
    }
    if (complete) {
        complete = feed_until_answered(&feed, TRADE_ORDER_DONE, 3 * FEED_S);
    }
    if (feed.seen != NULL) {
        histogram_print(&feed.orders.round_trip, stdout);
    }
    if (feed.config.json != NULL && !feed_json(&feed, complete)) {
        complete = false;
    }
    trade_net_close(feed.net);
    orders_free(&feed.orders);
    free(feed.seen);
    return complete ? 0 : 1;
}
