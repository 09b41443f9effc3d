/*
 * trade_feed: the feed handler. Joins the market-data group, opens its order sessions (TCP), then
 * receives, checks every datagram (sequence, size, each byte), keeps an order book, answers one
 * update in ten with an order and measures how long its acknowledgement takes. Ends when the peer's
 * end marker came and every order is acknowledged, or at a time-out, and closes each session in
 * order. Prints a histogram; figures go to --json. One thread.
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

struct feed_config {
    const char *instance, *json, *label;
    uint32_t local_ip, peer_ip, group;
    uint64_t peer_port, group_port, order_every, sessions, timeout_s, buffer_bytes, core;
    bool busy;
};

struct feed {
    struct feed_config config;
    struct trade_net *net;
    struct trade_socket *market;
    struct book book;
    struct orders orders;
    uint32_t run_id;
    uint64_t seed;
    uint32_t expected, max_bytes; /* from WELCOME */
    uint64_t *seen;               /* bit per datagram */
    uint64_t received, bytes, duplicates, corrupt, strays, reordered;
    uint32_t newest_seq;
    bool ended;
    uint64_t first_ns, last_ns, deadline_ns, waits, open_ns;
    uint8_t buffer[2048];
};

/* What the exchange said when it welcomed us. */
static bool feed_welcome(struct feed *feed, const struct trade_order *welcome)
{
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
           orders_make_room(&feed->orders, feed->expected / (uint32_t)feed->config.order_every + 1);
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

static bool feed_drain_market(struct feed *feed)
{
    enum { BATCH = 16 };
    bool any = true;
    for (int i = 0; any && i < BATCH; i++) {
        any = false;
        if (!feed_take_market(feed, &any)) {
            return false;
        }
    }
    return true;
}

/* Waits, takes what is there: the sessions first, their round trip is what is measured; then a
 * bounded number of datagrams. */
static bool feed_turn(struct feed *feed, uint32_t wait_us)
{
    struct trade_socket *sockets[1 + TRADE_SESSIONS_MAX] = {feed->market};
    uint32_t which[TRADE_SESSIONS_MAX];
    bool ready[1 + TRADE_SESSIONS_MAX];
    uint32_t count = orders_sockets(&feed->orders, sockets + 1, which);
    uint64_t before = feed->received + feed->orders.acks;
    memset(ready, true, sizeof(ready));
    if (!feed->config.busy) {
        feed->waits++;
        if (!trade_net_wait(feed->net, sockets, 1 + count, wait_us, ready)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (ready[1 + i] && !orders_take(&feed->orders, which[i])) {
            return false;
        }
    }
    /* Before the datagrams, which may come right behind the welcome. */
    if (feed->seen == NULL && feed->orders.welcomed != 0 &&
        !feed_welcome(feed, &feed->orders.welcome)) {
        return false;
    }
    if ((ready[0] && !feed_drain_market(feed)) || !orders_flush(&feed->orders)) {
        return false;
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

/* Opens the sessions and waits until the exchange has welcomed each of them, at most for 10 s. */
static bool feed_log_in(struct feed *feed)
{
    const struct feed_config *config = &feed->config;
    struct orders *orders = &feed->orders;
    struct trade_addr peer = {.ip = config->peer_ip, .port = (uint16_t)config->peer_port};
    uint64_t start_ns = os_monotonic_ns();
    if (!orders_open(orders, feed->net, peer, (uint32_t)config->sessions, feed->run_id)) {
        return false;
    }
    while (orders->welcomed != orders->session_count) {
        bool connecting = orders->connected != orders->session_count;
        if (os_monotonic_ns() - start_ns > 10 * FEED_S) {
            (void)fprintf(
                stderr,
                "trade_feed: of %u sessions %u were connected and %u welcomed within 10 s\n",
                orders->session_count, orders->connected, orders->welcomed);
            return false;
        }
        /* Only what is connected is waited for, so the others are looked at again soon. */
        if ((connecting && !orders_log_in(orders)) || !feed_turn(feed, connecting ? 500 : 10000)) {
            return false;
        }
    }
    feed->open_ns = os_monotonic_ns() - start_ns;
    return true;
}

/* The run itself: until all is in, or the end marker came, no datagram followed for 300 ms and
 * every order is acknowledged: TCP loses none, so they are waited for. */
static bool feed_run(struct feed *feed)
{
    const struct orders *orders = &feed->orders;
    for (;;) {
        if (!feed_turn(feed, 10000)) {
            return false;
        }
        uint64_t now_ns = os_monotonic_ns();
        bool all = feed->received == feed->expected;
        if (orders->acks == orders->sent &&
            (all || (feed->ended && now_ns - feed->last_ns > 300 * FEED_MS))) {
            return true;
        }
        if (now_ns > feed->deadline_ns) {
            (void)fprintf(stderr, "trade_feed: time-out: %s, %" PRIu64 " orders not acknowledged\n",
                          feed->ended ? "the end marker came" : "no end marker",
                          orders->sent - orders->acks);
            return false;
        }
    }
}

/* Ends each session and waits for the exchange's end, at most for 10 s. */
static bool feed_log_out(struct feed *feed)
{
    struct orders *orders = &feed->orders;
    uint64_t start_ns = os_monotonic_ns();
    while (orders->ended != orders->session_count) {
        if (!orders_close(orders, (uint32_t)feed->received) || !feed_turn(feed, 1000)) {
            return false;
        }
        if (os_monotonic_ns() - start_ns > 10 * FEED_S) {
            (void)fprintf(stderr, "trade_feed: of %u sessions %u ended within 10 s\n",
                          orders->session_count, orders->ended);
            return false;
        }
    }
    return true;
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
    (void)fprintf(out, ",\"market_path\":");
    feed_json_text(out, trade_net_path(feed->market));
    if (orders->session_count != 0) {
        (void)fprintf(out, ",\"order_path\":");
        feed_json_text(out, trade_net_path(orders->sessions[0].stream.socket));
    }
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
                  ",\"elapsed_ns\":%" PRIu64 ",\"waits\":%" PRIu64 ",\"sessions\":%" PRIu32
                  ",\"sessions_opened\":%" PRIu32 ",\"sessions_ended\":%" PRIu32
                  ",\"open_ns\":%" PRIu64 ",\"orders_sent\":%" PRIu64
                  ",\"orders_not_sent\":%" PRIu64 ",\"acks\":%" PRIu64 ",\"bad_acks\":%" PRIu64
                  ",\"order_strays\":%" PRIu64 ",\"book_updates\":%" PRIu64 ",\"round_trip\":",
                  feed->last_ns - feed->first_ns, feed->waits, orders->session_count,
                  orders->welcomed, orders->ended, feed->open_ns, orders->sent, orders->not_sent,
                  orders->acks, orders->bad_acks, orders->strays, feed->book.updates);
    histogram_json(&orders->round_trip, out);
    (void)fprintf(out, "}\n");
    return fclose(out) == 0;
}

static bool feed_open(struct feed *feed)
{
    const struct feed_config *config = &feed->config;
    struct trade_addr market = {.ip = 0, .port = (uint16_t)config->group_port};
    return trade_net_open(config->instance, &feed->net) &&
           trade_net_udp(feed->net, market, (uint32_t)config->buffer_bytes, true, &feed->market) &&
           trade_net_join(feed->market, config->group, config->local_ip);
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
                                   .sessions = 100,
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
        {"--sessions", TRADE_ARG_UINT, &config->sessions, 1, TRADE_SESSIONS_MAX,
         "order sessions, TCP connections (100)"},
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
    bool complete = feed_log_in(&feed) && feed_run(&feed) && feed_log_out(&feed);
    if (!complete && session_error()[0] != '\0') {
        (void)fprintf(stderr, "trade_feed: %s\n", session_error());
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
