/*
 * trade_peer: the exchange. Waits for a feed handler's sessions (TCP) and their HELLOs, multicasts
 * numbered market data at a steady rate in small bursts by the clock, checks and acknowledges each
 * order, repeats the end marker until the feed says DONE, and ends each session behind the feed's
 * own end. In the demo it runs over the kernel's sockets in a network namespace of its own: the
 * peer that nobody of this project wrote the stack of. Figures go to --json. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/trading/session.h"
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

struct peer_session {
    struct session stream;
    bool hello, done, ended;
    uint32_t orders, last_seq; /* taken, and the number of the newest one */
};

struct peer {
    struct peer_config config;
    struct trade_net *net;
    struct trade_socket *market, *listener;
    struct peer_session sessions[TRADE_SESSIONS_MAX]; /* as they were accepted */
    uint32_t accepted, expected, hellos, done, ended; /* sessions; expected: by the first HELLO */
    uint32_t run_id;                                  /* the feed's, from its HELLO; 0: none yet */
    uint64_t sent, sent_bytes, retries, slips, worst_late_ns;
    uint64_t orders, bad_orders, acks, acks_retried, strays;
    uint32_t feed_received;
    uint64_t start_ns, end_ns;
};

/* Counts a send that found no room. False: there was none for a second. */
static bool peer_retry(uint64_t *retries, uint64_t *start_ns)
{
    uint64_t now_ns = os_monotonic_ns();
    ++*retries;
    *start_ns = *start_ns == 0 ? now_ns : *start_ns;
    if (now_ns - *start_ns > PEER_S) {
        (void)fprintf(stderr, "trade_peer: no room to send for a second\n");
        return false;
    }
    os_yield();
    return true;
}

/* Multicasts until the socket has room. */
static bool peer_send(struct peer *peer, const void *data, size_t bytes)
{
    struct trade_addr group = {.ip = peer->config.group, .port = (uint16_t)peer->config.group_port};
    for (uint64_t start_ns = 0;;) {
        int sent = trade_net_send(peer->market, data, bytes, group);
        if (sent != TRADE_NET_NOTHING) {
            return sent == (int)bytes;
        }
        if (!peer_retry(&peer->retries, &start_ns)) {
            return false;
        }
    }
}

static bool peer_answer(struct peer *peer, struct peer_session *session,
                        const struct trade_order *message)
{
    for (uint64_t start_ns = 0;;) {
        int sent = session_put(&session->stream, message);
        if (sent != TRADE_NET_NOTHING) {
            return sent == 0;
        }
        if (!peer_retry(&peer->acks_retried, &start_ns)) {
            return false;
        }
    }
}

static bool peer_take_hello(struct peer *peer, struct peer_session *session,
                            struct trade_order *message)
{
    if (peer->run_id == 0) {
        peer->run_id = message->run_id;
        peer->expected = message->order_seq;
    }
    if (session->hello || message->run_id != peer->run_id || message->order_seq != peer->expected ||
        message->session >= peer->expected) {
        peer->strays++;
        return true;
    }
    session->hello = true;
    peer->hellos++;
    message->type = TRADE_ORDER_WELCOME;
    message->market_seq = (uint32_t)peer->config.count;
    message->sent_ns = peer->config.seed;
    message->quantity = (uint32_t)peer->config.max_bytes;
    return peer_answer(peer, session, message);
}

/* An order is acknowledged if it follows the session's last one and answers something we sent. */
static bool peer_take_order(struct peer *peer, struct peer_session *session,
                            struct trade_order *message)
{
    if (message->order_seq <= session->last_seq || message->market_seq == 0 ||
        message->market_seq > peer->sent) {
        peer->bad_orders++;
        return true;
    }
    session->last_seq = message->order_seq;
    session->orders++;
    peer->orders++;
    message->type = TRADE_ORDER_ACK;
    if (!peer_answer(peer, session, message)) {
        return false;
    }
    peer->acks++;
    return true;
}

static bool peer_take_done(struct peer *peer, struct peer_session *session,
                           struct trade_order *message)
{
    if (message->order_seq != session->orders) {
        peer->bad_orders++;
    }
    session->done = true;
    peer->done++;
    peer->feed_received = message->market_seq;
    message->type = TRADE_ORDER_DONE_ACK;
    message->order_seq = session->orders;
    return peer_answer(peer, session, message);
}

static bool peer_take(struct peer *peer, struct peer_session *session, struct trade_order *message)
{
    if (message->magic == TRADE_ORDER_MAGIC && message->type == TRADE_ORDER_HELLO) {
        return peer_take_hello(peer, session, message);
    }
    if (message->magic == TRADE_ORDER_MAGIC && message->run_id == peer->run_id && session->hello &&
        !session->done) {
        if (message->type == TRADE_ORDER_NEW) {
            return peer_take_order(peer, session, message);
        }
        if (message->type == TRADE_ORDER_DONE) {
            return peer_take_done(peer, session, message);
        }
    }
    peer->strays++;
    return true;
}

/* Takes and answers all that waits on a session; behind the feed's end comes ours. */
static bool peer_serve_session(struct peer *peer, struct peer_session *session)
{
    struct trade_order message;
    int got;
    while ((got = session_take(&session->stream, &message)) == 0) {
        if (!peer_take(peer, session, &message)) {
            return false;
        }
    }
    if (got == TRADE_NET_FAILED) {
        return false;
    }
    if (session->stream.end && !session->stream.shut) {
        if (!session->done) {
            (void)fprintf(stderr, "trade_peer: a session ended before it said DONE\n");
            return false;
        }
        if (!session_finish(&session->stream)) {
            return false;
        }
        if (session->stream.shut) {
            session->ended = true;
            peer->ended++;
        }
    }
    return true;
}

static bool peer_accept(struct peer *peer)
{
    while (peer->accepted < TRADE_SESSIONS_MAX) {
        struct trade_socket *socket;
        int got = trade_net_accept(peer->listener, &socket);
        if (got != 0) {
            return got == TRADE_NET_NOTHING;
        }
        session_init(&peer->sessions[peer->accepted++].stream, socket);
    }
    return true;
}

/* Waits at most that long, then serves what is there. */
static bool peer_turn(struct peer *peer, uint32_t wait_us)
{
    struct trade_socket *sockets[1 + TRADE_SESSIONS_MAX] = {peer->listener};
    uint32_t which[TRADE_SESSIONS_MAX];
    bool ready[1 + TRADE_SESSIONS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < peer->accepted; i++) {
        if (!peer->sessions[i].ended) {
            which[count++] = i;
            sockets[count] = peer->sessions[i].stream.socket;
        }
    }
    if (!trade_net_wait(peer->net, sockets, 1 + count, wait_us, ready)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct peer_session *session = &peer->sessions[which[i]];
        if (!session_flush(&session->stream) ||
            (ready[1 + i] && !peer_serve_session(peer, session))) {
            return false;
        }
    }
    return !ready[0] || peer_accept(peer);
}

/* Serves orders until the clock says when_ns. */
static bool peer_serve_until(struct peer *peer, uint64_t when_ns)
{
    for (;;) {
        uint64_t now_ns = os_monotonic_ns();
        uint64_t wait_us = now_ns < when_ns ? (when_ns - now_ns) / 1000 : 0;
        if (!peer_turn(peer, (uint32_t)(wait_us > 100000 ? 100000 : wait_us))) {
            return false;
        }
        if (os_monotonic_ns() >= when_ns) {
            return true;
        }
    }
}

/* Until every session of a feed has said HELLO. */
static bool peer_wait_for_feed(struct peer *peer)
{
    uint64_t deadline_ns = os_monotonic_ns() + peer->config.timeout_s * PEER_S;
    while (peer->hellos == 0 || peer->hellos != peer->expected) {
        if (os_monotonic_ns() > deadline_ns) {
            (void)fprintf(stderr, "trade_peer: of %u sessions %u said HELLO, %u were accepted\n",
                          peer->expected, peer->hellos, peer->accepted);
            return false;
        }
        if (!peer_turn(peer, 10000)) {
            return false;
        }
    }
    return true;
}

static bool peer_burst(struct peer *peer, uint64_t count)
{
    uint8_t data[TRADE_MARKET_MAX_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bytes =
            trade_market_fill(peer->config.seed, peer->run_id, (uint32_t)peer->sent + 1,
                              (uint32_t)peer->config.max_bytes, data);
        if (!peer_send(peer, data, bytes)) {
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

/* Repeats the end marker each 20 ms until each session has said DONE, then waits for the sessions'
 * ends; at most for 20 s. */
static bool peer_finish(struct peer *peer)
{
    struct trade_market end = {.magic = TRADE_MARKET_MAGIC,
                               .run_id = peer->run_id,
                               .type = TRADE_MARKET_END,
                               .len_bytes = sizeof(end),
                               .seq = (uint32_t)peer->sent};
    for (int i = 0; i < 1000 && peer->ended != peer->expected; i++) {
        if ((peer->done != peer->expected && !peer_send(peer, &end, sizeof(end))) ||
            !peer_serve_until(peer, os_monotonic_ns() + 20 * PEER_MS)) {
            return false;
        }
    }
    if (peer->ended != peer->expected) {
        (void)fprintf(stderr, "trade_peer: of %u sessions %u said DONE and %u ended\n",
                      peer->expected, peer->done, peer->ended);
        return false;
    }
    return true;
}

static bool peer_json(struct peer *peer)
{
    FILE *out = fopen(peer->config.json, "w");
    if (out == NULL) {
        perror(peer->config.json);
        return false;
    }
    uint64_t elapsed_ns = peer->end_ns - peer->start_ns;
    (void)fprintf(out,
                  "{\"path\":\"%s\",\"sent\":%" PRIu64 ",\"sent_bytes\":%" PRIu64
                  ",\"elapsed_ns\":%" PRIu64 ",\"rate\":%.0f,\"send_retries\":%" PRIu64
                  ",\"slips\":%" PRIu64 ",\"worst_late_ns\":%" PRIu64 ",\"sessions\":%" PRIu32
                  ",\"sessions_ended\":%" PRIu32 ",\"orders_received\":%" PRIu64
                  ",\"bad_orders\":%" PRIu64 ",\"acks_sent\":%" PRIu64 ",\"acks_retried\":%" PRIu64
                  ",\"strays\":%" PRIu64 ",\"feed_received\":%" PRIu32 ",\"done\":%s}\n",
                  trade_net_path(peer->market), peer->sent, peer->sent_bytes, elapsed_ns,
                  elapsed_ns != 0 ? (double)peer->sent * 1e9 / (double)elapsed_ns : 0.0,
                  peer->retries, peer->slips, peer->worst_late_ns, peer->hellos, peer->ended,
                  peer->orders, peer->bad_orders, peer->acks, peer->acks_retried, peer->strays,
                  peer->feed_received,
                  peer->hellos != 0 && peer->ended == peer->expected ? "true" : "false");
    return fclose(out) == 0;
}

static bool peer_open(struct peer *peer)
{
    const struct peer_config *config = &peer->config;
    struct trade_addr order = {.ip = config->local_ip, .port = (uint16_t)config->port};
    struct trade_addr market = {.ip = config->local_ip, .port = 0};
    return trade_net_open(config->instance, &peer->net) &&
           trade_net_listen(peer->net, order, TRADE_SESSIONS_MAX, &peer->listener) &&
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
    if (!good && session_error()[0] != '\0') {
        (void)fprintf(stderr, "trade_peer: %s\n", session_error());
    }
    if (peer.config.json != NULL && !peer_json(&peer)) {
        good = false;
    }
    trade_net_close(peer.net);
    return good ? 0 : 1;
}
