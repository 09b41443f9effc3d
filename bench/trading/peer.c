/*
 * trade_peer: the exchange. Waits for a feed handler's HELLO, multicasts numbered market data at a
 * steady rate in small bursts by the clock, acknowledges each order it gets, repeats the end marker
 * until the feed says DONE. In the demo it runs over the kernel's sockets in a network namespace of
 * its own: the peer that nobody of this project wrote the stack of. Figures go to --json. One
 * thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/trading/trade_args.h"
#include "bench/trading/trade_net.h"
#include "bench/trading/trade_wire.h"
#include "rings/os/os.h"

#define PEER_MS          1000000ull
#define PEER_S           1000000000ull
#define PEER_CATCH_UP_NS (5 * PEER_MS)

struct peer_config {
    const char *instance, *json;
    uint32_t local_ip, group;
    uint64_t port, group_port, count, rate, burst, seed, max_bytes, timeout_s, core;
};

struct peer {
    struct peer_config config;
    struct trade_net *net;
    struct trade_socket *market, *order;
    struct trade_addr feed;
    uint32_t run_id; /* the feed's, from its HELLO; 0: none yet */
    uint64_t sent, sent_bytes, retries, slips, worst_late_ns;
    uint64_t orders, acks, acks_retried, strays;
    uint32_t feed_received;
    bool done;
    uint64_t start_ns, end_ns;
};

/* Sends until the socket has room, at most for a second. */
static bool peer_send(struct trade_socket *socket, const void *data, size_t bytes,
                      struct trade_addr to, uint64_t *retries)
{
    for (uint64_t start_ns = 0;;) {
        int sent = trade_net_send(socket, data, bytes, to);
        if (sent != TRADE_NET_NOTHING) {
            return sent == (int)bytes;
        }
        ++*retries;
        uint64_t now_ns = os_monotonic_ns();
        start_ns = start_ns == 0 ? now_ns : start_ns;
        if (now_ns - start_ns > PEER_S) {
            (void)fprintf(stderr, "trade_peer: no room to send for a second\n");
            return false;
        }
        os_yield();
    }
}

static bool peer_answer(struct peer *peer, struct trade_order *message, struct trade_addr from)
{
    switch (message->type) {
    case TRADE_ORDER_HELLO:
        if (peer->run_id == 0) {
            peer->run_id = message->run_id;
            peer->feed = from;
        }
        message->type = TRADE_ORDER_WELCOME;
        message->market_seq = (uint32_t)peer->config.count;
        message->sent_ns = peer->config.seed;
        message->quantity = (uint32_t)peer->config.max_bytes;
        break;
    case TRADE_ORDER_NEW:
        peer->orders++;
        message->type = TRADE_ORDER_ACK;
        break;
    case TRADE_ORDER_DONE:
        peer->done = true;
        peer->feed_received = message->market_seq;
        message->type = TRADE_ORDER_DONE_ACK;
        break;
    default:
        peer->strays++;
        return true;
    }
    bool ack = message->type == TRADE_ORDER_ACK;
    if (!peer_send(peer->order, message, sizeof(*message), from, &peer->acks_retried)) {
        return false;
    }
    peer->acks += ack;
    return true;
}

/* Takes and answers every order that waits. */
static bool peer_serve(struct peer *peer)
{
    uint8_t buffer[256];
    struct trade_order message;
    struct trade_addr from;
    for (;;) {
        int got = trade_net_recv(peer->order, buffer, sizeof(buffer), &from);
        if (got == TRADE_NET_NOTHING) {
            return true;
        }
        if (got == TRADE_NET_FAILED) {
            return false;
        }
        if ((size_t)got != sizeof(message)) {
            peer->strays++;
            continue;
        }
        memcpy(&message, buffer, sizeof(message));
        if (message.magic != TRADE_ORDER_MAGIC ||
            (peer->run_id != 0 && message.run_id != peer->run_id)) {
            peer->strays++;
            continue;
        }
        if (!peer_answer(peer, &message, from)) {
            return false;
        }
    }
}

/* Serves orders until the clock says when_ns. */
static bool peer_serve_until(struct peer *peer, uint64_t when_ns)
{
    for (;;) {
        if (!peer_serve(peer)) {
            return false;
        }
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns >= when_ns) {
            return true;
        }
        uint64_t wait_us = (when_ns - now_ns) / 1000;
        if (wait_us > 100000) {
            wait_us = 100000;
        }
        uint32_t ready;
        if (wait_us != 0 &&
            !trade_net_wait(peer->net, &peer->order, 1, (uint32_t)wait_us, &ready)) {
            return false;
        }
    }
}

static bool peer_wait_for_feed(struct peer *peer)
{
    uint64_t deadline_ns = os_monotonic_ns() + peer->config.timeout_s * PEER_S;
    while (peer->run_id == 0) {
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns > deadline_ns) {
            (void)fprintf(stderr, "trade_peer: no feed handler said HELLO\n");
            return false;
        }
        if (!peer_serve_until(peer, now_ns + PEER_MS)) {
            return false;
        }
    }
    return true;
}

static bool peer_burst(struct peer *peer, uint64_t count)
{
    uint8_t data[TRADE_MARKET_MAX_BYTES];
    struct trade_addr group = {.ip = peer->config.group, .port = (uint16_t)peer->config.group_port};
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bytes =
            trade_market_fill(peer->config.seed, peer->run_id, (uint32_t)peer->sent + 1,
                              (uint32_t)peer->config.max_bytes, data);
        if (!peer_send(peer->market, data, bytes, group, &peer->retries)) {
            return false;
        }
        peer->sent++;
        peer->sent_bytes += bytes;
    }
    return true;
}

/* Each burst has its place on the clock. One that comes late is caught up with, but only for the
 * last 5 ms (100 datagrams at the usual rate): after a longer pause the clock slips and the rate
 * falls, or the make-up burst would be one that no feed sends. */
static bool peer_multicast(struct peer *peer)
{
    const struct peer_config *config = &peer->config;
    uint64_t period_ns = config->burst * PEER_S / config->rate;
    uint64_t next_ns = os_monotonic_ns() + PEER_MS;
    if (!peer_serve_until(peer, next_ns)) {
        return false;
    }
    peer->start_ns = next_ns;
    while (peer->sent < config->count) {
        uint64_t left = config->count - peer->sent;
        if (!peer_burst(peer, left < config->burst ? left : config->burst)) {
            return false;
        }
        next_ns += period_ns;
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns > next_ns + PEER_CATCH_UP_NS) {
            peer->slips++;
            if (now_ns - next_ns > peer->worst_late_ns) {
                peer->worst_late_ns = now_ns - next_ns;
            }
            next_ns = now_ns - PEER_CATCH_UP_NS;
        }
        if (!peer_serve_until(peer, next_ns)) {
            return false;
        }
    }
    peer->end_ns = os_monotonic_ns();
    return true;
}

/* Repeats the end marker each 20 ms until the feed said DONE, at most for 10 s. */
static bool peer_finish(struct peer *peer)
{
    struct trade_market end = {.magic = TRADE_MARKET_MAGIC,
                               .run_id = peer->run_id,
                               .type = TRADE_MARKET_END,
                               .len_bytes = sizeof(end),
                               .seq = (uint32_t)peer->sent};
    struct trade_addr group = {.ip = peer->config.group, .port = (uint16_t)peer->config.group_port};
    for (int i = 0; i < 500 && !peer->done; i++) {
        if (!peer_send(peer->market, &end, sizeof(end), group, &peer->retries) ||
            !peer_serve_until(peer, os_monotonic_ns() + 20 * PEER_MS)) {
            return false;
        }
    }
    if (!peer->done) {
        (void)fprintf(stderr, "trade_peer: the feed handler never said DONE\n");
        return false;
    }
    return peer_serve_until(peer, os_monotonic_ns() + 200 * PEER_MS); /* a repeated DONE */
}

static bool peer_json(struct peer *peer)
{
    FILE *out = fopen(peer->config.json, "w");
    if (out == NULL) {
        perror(peer->config.json);
        return false;
    }
    uint64_t elapsed_ns = peer->end_ns - peer->start_ns;
    (void)fprintf(
        out,
        "{\"path\":\"%s\",\"sent\":%" PRIu64 ",\"sent_bytes\":%" PRIu64 ",\"elapsed_ns\":%" PRIu64
        ",\"rate\":%.0f,\"send_retries\":%" PRIu64 ",\"slips\":%" PRIu64
        ",\"worst_late_ns\":%" PRIu64 ",\"orders_received\":%" PRIu64 ",\"acks_sent\":%" PRIu64
        ",\"acks_retried\":%" PRIu64 ",\"strays\":%" PRIu64 ",\"feed_received\":%" PRIu32
        ",\"done\":%s}\n",
        trade_net_path(peer->net), peer->sent, peer->sent_bytes, elapsed_ns,
        elapsed_ns != 0 ? (double)peer->sent * 1e9 / (double)elapsed_ns : 0.0, peer->retries,
        peer->slips, peer->worst_late_ns, peer->orders, peer->acks, peer->acks_retried,
        peer->strays, peer->feed_received, peer->done ? "true" : "false");
    return fclose(out) == 0;
}

static bool peer_open(struct peer *peer)
{
    const struct peer_config *config = &peer->config;
    struct trade_addr order = {.ip = config->local_ip, .port = (uint16_t)config->port};
    struct trade_addr market = {.ip = config->local_ip, .port = 0};
    return trade_net_open(config->instance, &peer->net) &&
           trade_net_udp(peer->net, order, 1u << 20, false, &peer->order) &&
           trade_net_udp(peer->net, market, 0, false, &peer->market) &&
           trade_net_multicast_from(peer->market, config->local_ip);
}

static void peer_config_parse(struct peer_config *config, int argc, char **argv)
{
    *config = (struct peer_config){.local_ip = 0x7f000001,
                                   .group = 0xefff0101,
                                   .port = 7011,
                                   .group_port = 7010,
                                   .count = 200000,
                                   .rate = 20000,
                                   .burst = 4,
                                   .seed = 1,
                                   .max_bytes = TRADE_MARKET_MAX_BYTES,
                                   .timeout_s = 30,
                                   .core = UINT64_MAX};
    const struct trade_arg args[] = {
        {"--instance", TRADE_ARG_TEXT, &config->instance, 0, 0, "dataplane instance"},
        {"--json", TRADE_ARG_TEXT, &config->json, 0, 0, "file for the figures"},
        {"--local", TRADE_ARG_IP, &config->local_ip, 0, 0, "own address (127.0.0.1)"},
        {"--port", TRADE_ARG_UINT, &config->port, 1, 65535, "order port (7011)"},
        {"--group", TRADE_ARG_IP, &config->group, 0, 0, "market-data group (239.255.1.1)"},
        {"--group-port", TRADE_ARG_UINT, &config->group_port, 1, 65535, "its port (7010)"},
        {"--count", TRADE_ARG_UINT, &config->count, 1, 100000000, "datagrams (200000)"},
        {"--rate", TRADE_ARG_UINT, &config->rate, 1, 10000000, "datagrams a second (20000)"},
        {"--burst", TRADE_ARG_UINT, &config->burst, 1, 1024, "datagrams at once (4)"},
        {"--seed", TRADE_ARG_UINT, &config->seed, 0, UINT64_MAX, "of sizes and contents (1)"},
        {"--max-bytes", TRADE_ARG_UINT, &config->max_bytes, TRADE_MARKET_MIN_BYTES,
         TRADE_MARKET_MAX_BYTES, "largest datagram (1400)"},
        {"--timeout-s", TRADE_ARG_UINT, &config->timeout_s, 1, 3600, "wait for the feed (30)"},
        {"--core", TRADE_ARG_UINT, &config->core, 0, 1023, "processor to run on (any)"},
        {NULL, TRADE_ARG_FLAG, NULL, 0, 0, NULL},
    };
    trade_args_parse(args, argc, argv);
}

int main(int argc, char **argv)
{
    static struct peer peer;
    peer_config_parse(&peer.config, argc, argv);
    if (peer.config.core != UINT64_MAX && os_thread_pin((uint32_t)peer.config.core) != RS_OK) {
        (void)fprintf(stderr, "trade_peer: --core: %s\n", os_last_error_text());
        return 2;
    }
    bool good = peer_open(&peer);
    if (!good) {
        (void)fprintf(stderr, "trade_peer: %s\n", trade_net_error());
        return 1;
    }
    (void)printf("ready\n");
    (void)fflush(stdout);
    good = peer_wait_for_feed(&peer) && peer_multicast(&peer) && peer_finish(&peer);
    if (!good && trade_net_error()[0] != '\0') {
        (void)fprintf(stderr, "trade_peer: %s\n", trade_net_error());
    }
    if (peer.config.json != NULL && !peer_json(&peer)) {
        good = false;
    }
    trade_net_close(peer.net);
    return good ? 0 : 1;
}
