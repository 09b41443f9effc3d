/*
 * TCP against itself over a bad wire (support/tcp_world.h): for each seed a connection with other
 * loss, order, damage, delay, bandwidth, rings, MTU, options and program habits carries 64 KiB each
 * way. Every byte must arrive once and in order, both ends must close in order, the run must come
 * to an end in bounded virtual time, and afterwards books must balance and every pool be whole.
 *
 *   test_model_tcp_sweep [first seed [count [trace]]]
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/check.h"
#include "../support/random.h"
#include "../support/tcp_world.h"
#include "dataplane/wire/tcp.h"

#define SEEDS_DEFAULT  10000u
#define STREAM_BYTES   65536u
#define VIRTUAL_MAX_NS (24 * 3600 * 1000000000ull)
#define EVENTS_MAX     1000000u
#define FAILURES_MAX   8u
#define MS             1000000ull

struct sweep_totals {
    uint64_t events, frames, lost, longest_events;
    uint64_t longest_ns, longest_seed;
};

static bool one_in(struct test_random *random, uint32_t n)
{
    return test_random_below(random, n) == 0;
}

static uint64_t pick(struct test_random *random, const uint64_t *values, uint32_t count)
{
    return values[test_random_below(random, count)];
}
#define PICK(random, ...)                           \
    pick((random), (const uint64_t[]){__VA_ARGS__}, \
         (uint32_t)(sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(const uint64_t)))

/* Nothing in one of three seeds, else up to most_ppm. */
static uint32_t some_ppm(struct test_random *random, uint32_t most_ppm)
{
    return one_in(random, 3) ? 0 : test_random_below(random, most_ppm + 1);
}

static void make_link(struct test_random *random, struct tcp_world_link *link)
{
    link->loss_ppm = some_ppm(random, 200000);
    link->duplicate_ppm = some_ppm(random, 50000);
    link->reorder_ppm = some_ppm(random, 200000);
    link->corrupt_ppm = one_in(random, 2) ? some_ppm(random, 20000) : 0;
    link->delay_ns = PICK(random, 1000, 50000, MS, 10 * MS, 100 * MS);
    link->jitter_ns = one_in(random, 2) ? 0 : link->delay_ns / 2;
    link->reorder_ns = link->delay_ns * PICK(random, 1, 1, 3, 20);
    if (one_in(random, 2)) {
        link->bits_per_second = PICK(random, 1000000, 20000000, 1000000000);
        link->fifo_bytes = (uint32_t)PICK(random, 10000, 30000, 200000);
        link->mark_bytes = one_in(random, 2) ? link->fifo_bytes / 3 : 0;
    }
}

static void make_side(struct test_random *random, struct tcp_world_side_config *side)
{
    side->mtu_bytes = (uint32_t)PICK(random, 576, 1500, 1500, 9000);
    if (one_in(random, 4)) {
        side->mtu_bytes = 576 + test_random_below(random, 9000 - 576 + 1);
    }
    side->caps = (uint32_t)PICK(random, 0, 0, NIC_CAP_TX_IP_CSUM | NIC_CAP_RX_CSUM,
                                NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM | NIC_CAP_RX_CSUM,
                                NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_TCP_CSUM | NIC_CAP_TX_TSO);
    /* Few frames, but all that one segment is cut into must fit. */
    bool cuts = (side->caps & NIC_CAP_TX_TSO) != 0;
    side->queue_frames = one_in(random, 8) ? (cuts ? 128 : 16) : 1024;
    /* Received frames leave some to send with, or a burst could never be answered. */
    side->buffers = 3 * side->queue_frames;
    side->tx_at_most = one_in(random, 8) ? 3 : 0;
    side->miss_ppm = one_in(random, 8) ? 200000 : 0;
    struct tcp_config *tcp = &side->tcp;
    *tcp = tcp_config_default(4);
    tcp->requests_max = 4;
    tcp->time_waits_max = 4;
    tcp->records_max = one_in(random, 4) ? 1 + test_random_below(random, 8) : 1024;
    tcp->ranges_max = one_in(random, 4) ? test_random_below(random, 4) : 256;
    tcp->congestion = one_in(random, 4) ? TCP_CONGESTION_NONE : TCP_CONGESTION_CUBIC;
    tcp->ecn = (uint8_t)PICK(random, TCP_ECN_OFF, TCP_ECN_PASSIVE, TCP_ECN_ON);
    tcp->ack_immediate = one_in(random, 4);
    /* With a fifth of the frames lost each way some chains of losses are long. Giving up is not
     * what is tried here, and TIME_WAIT must outlast them, or the last FIN meets a reset. */
    tcp->syn_tries = 40;
    tcp->data_tries = 40;
    tcp->orphan_tries = 40;
    tcp->rto_max_ns = 8000 * MS;
    tcp->time_wait_ns = 600000 * MS;
    tcp->fin_wait_ns = 600000 * MS;
}

static void make_program(struct test_random *random, struct tcp_world_program_config *program)
{
    program->send_bytes = STREAM_BYTES;
    program->start_ns = 0;
    program->pause_ns = PICK(random, 0, 0, 10000, MS, 20 * MS);
    program->write_max_bytes = (uint32_t)PICK(random, 200, 3000, 20000, STREAM_BYTES);
    program->read_max_bytes = (uint32_t)PICK(random, 200, 3000, 20000, STREAM_BYTES);
    program->send_ring_bytes = 4096u << test_random_below(random, 11);
    program->recv_ring_bytes = 4096u << test_random_below(random, 11);
    program->close_at_end = one_in(random, 2);
    program->settings.nodelay = one_in(random, 2);
    program->settings.ack_immediate = one_in(random, 8);
    program->settings.keepalive = one_in(random, 8);
    program->settings.keep_idle_ms = 500;
    program->settings.keep_count = 40;
    program->settings.mss_max = (uint16_t)(one_in(random, 8) ? 100 : 0);
}

static void make_config(uint64_t seed, struct tcp_world_config *config)
{
    /* The generator's state is a sum, so neighbouring seeds would share most of what they draw. */
    struct test_random random = test_random_make(seed);
    random = test_random_make(test_random_u64(&random));
    memset(config, 0, sizeof(*config));
    config->seed = seed;
    config->connections = 1;
    config->simultaneous = one_in(&random, 16);
    for (uint32_t own = 0; own < 2; own++) {
        make_link(&random, &config->links[own]);
        make_side(&random, &config->sides[own]);
        make_program(&random, &config->programs[own][0]);
    }
    if (one_in(&random, 4)) {
        config->programs[test_random_below(&random, 2)][0].shut_last = true;
    }
    uint8_t strip = 0;
    strip |= (uint8_t)(one_in(&random, 4) ? TCP_OPTION_SACK_OK : 0);
    strip |= (uint8_t)(one_in(&random, 4) ? TCP_OPTION_TIMESTAMPS : 0);
    strip |= (uint8_t)(one_in(&random, 8) ? TCP_OPTION_WSCALE : 0);
    strip |= (uint8_t)(one_in(&random, 16) ? TCP_OPTION_MSS : 0);
    config->links[0].strip_options = strip;
    config->links[1].strip_options = strip;
}

static void print_config(const struct tcp_world_config *config)
{
    for (uint32_t own = 0; own < 2; own++) {
        const struct tcp_world_link *link = &config->links[own];
        const struct tcp_world_side_config *side = &config->sides[own];
        const struct tcp_world_program_config *program = &config->programs[own][0];
        printf("  %c sends: loss %u duplicate %u reorder %u corrupt %u ppm, delay %" PRIu64
               " + %" PRIu64 " (late %" PRIu64 ") us, %" PRIu64 " kbit/s, queue %u, mark %u, strip"
               " %#x\n",
               'A' + (int)own, link->loss_ppm, link->duplicate_ppm, link->reorder_ppm,
               link->corrupt_ppm, link->delay_ns / 1000, link->jitter_ns / 1000,
               link->reorder_ns / 1000, link->bits_per_second / 1000, link->fifo_bytes,
               link->mark_bytes, link->strip_options);
        printf("    MTU %u caps %#x buffers %u tx at most %u miss %u ppm; records %u ranges %u %s"
               " ecn %u%s\n",
               side->mtu_bytes, side->caps, side->buffers, side->tx_at_most, side->miss_ppm,
               side->tcp.records_max, side->tcp.ranges_max,
               side->tcp.congestion == TCP_CONGESTION_NONE ? "none" : "cubic", side->tcp.ecn,
               side->tcp.ack_immediate ? " ack immediate" : "");
        printf("    rings %u out %u in, writes to %u, reads to %u, pauses to %" PRIu64
               " us%s%s%s%s, mss_max %u\n",
               program->send_ring_bytes, program->recv_ring_bytes, program->write_max_bytes,
               program->read_max_bytes, program->pause_ns / 1000,
               program->settings.nodelay ? ", nodelay" : "",
               program->settings.keepalive ? ", keepalive" : "",
               program->close_at_end ? ", closes at end" : "",
               program->shut_last ? ", shuts last" : "", program->settings.mss_max);
    }
    printf("  %s\n", config->simultaneous ? "both connect" : "A connects");
}

static void add_totals(struct sweep_totals *totals, const struct tcp_world *world, uint64_t seed)
{
    totals->events += tcp_world_events(world);
    for (uint32_t own = 0; own < 2; own++) {
        const struct tcp_world_link_counts *counts = tcp_world_link_counts(world, own);
        totals->frames += counts->frames;
        totals->lost += counts->lost + counts->queue_full + counts->corrupted;
    }
    if (tcp_world_events(world) > totals->longest_events) {
        totals->longest_events = tcp_world_events(world);
        totals->longest_ns = tcp_world_now_ns(world);
        totals->longest_seed = seed;
    }
}

static bool sweep_one(struct tcp_world *world, uint64_t seed, bool trace,
                      struct sweep_totals *totals)
{
    struct tcp_world_config config;
    make_config(seed, &config);
    config.trace = trace;
    tcp_world_start(world, &config);
    bool good = tcp_world_run(world, VIRTUAL_MAX_NS, EVENTS_MAX);
    bool over = tcp_world_is_over(world);
    good = tcp_world_check(world) && good && over;
    if (!good) {
        printf("seed %" PRIu64 " FAILED at %.6f s, turn %" PRIu64 ": %s\n", seed,
               (double)tcp_world_now_ns(world) / 1e9 - 1, tcp_world_events(world),
               over || tcp_world_error(world)[0] != '\0' ? tcp_world_error(world)
                                                         : "no end in sight");
        for (uint32_t own = 0; own < 2; own++) {
            const struct tcp_world_program *program = tcp_world_program(world, own, 0);
            printf("  %c wrote %" PRIu64 ", read %" PRIu64 "%s%s%s%s%s%s\n", 'A' + (int)own,
                   program->written_bytes, program->read_bytes,
                   program->connected ? ", connected" : "", program->shut ? ", shut" : "",
                   program->end ? ", end" : "", program->finished ? ", finished" : "",
                   program->closed ? ", closed" : "", program->gone ? ", gone" : "");
        }
        print_config(&config);
        printf("  alone, with its frames: test_model_tcp_sweep %" PRIu64 " 1 trace\n", seed);
    }
    add_totals(totals, world, seed);
    if (!tcp_world_stop(world)) {
        printf("seed %" PRIu64 " FAILED: transmit buffers are missing at the end\n", seed);
        good = false;
    }
    return good;
}

static double seconds(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : SEEDS_DEFAULT;
    bool trace = argc > 3;
    struct sweep_totals totals = {0};
    uint32_t failures = 0;
    /* A NIC's frame memory comes as fresh pages, most of which no seed touches. */
    (void)mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    struct tcp_world *world = tcp_world_create();
    double start = seconds();
    uint64_t seed = first;
    for (; seed < first + count && failures < FAILURES_MAX; seed++) {
        failures += !sweep_one(world, seed, trace, &totals);
    }
    double took = seconds() - start;
    printf("seeds %" PRIu64 " to %" PRIu64 ": %u failed; %.1f s, %.0f seeds/s; %" PRIu64
           " frames, %" PRIu64 " lost or damaged, %" PRIu64 " turns; busiest seed %" PRIu64
           ": %" PRIu64 " turns, %.1f virtual s\n",
           first, seed - 1, failures, took, (double)(seed - first) / took, totals.frames,
           totals.lost, totals.events, totals.longest_seed, totals.longest_events,
           (double)totals.longest_ns / 1e9);
    tcp_world_destroy(world);
    return failures != 0;
}
