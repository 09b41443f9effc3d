/*
 * stream_kernel window: readers that stop until the other end probes the closed window, and then go
 * on. Nothing is lost.
 */
#include <stddef.h>
#include <stdlib.h>

#include "stream_rig.h"

/* Probes follow each other at twice the distance of before: few in a second, few more in minutes.
 */
static uint64_t window_probes(void)
{
    return rig.full ? 9 : 3;
}

static uint32_t window_seconds(void)
{
    return rig.full ? 300 : 20;
}

/* What arrives while Ringsock has nothing to send but probes. */
static void await_probes_of_ours(void)
{
    const uint64_t before = kernel_counter("InSegs");
    AWAIT(window_seconds(), "Ringsock's probes of the kernel's window",
          kernel_counter("InSegs") - before >= window_probes());
}

static void window_kernel_stops(struct pair *pair)
{
    const uint64_t until = pair->to_kernel + strtoull(side("fill %u 20", pair->slot), NULL, 10);
    await_probes_of_ours();
    side_is("ok WSAEWOULDBLOCK", "try_send %u", pair->slot);
    AWAIT(20, "what was sent into the closed window",
          !pair_kernel_recv(pair, until) && pair->to_kernel == until);
    pair_transfer(pair, RIG_MIB, RIG_MIB, 20);
}

static void window_kernel_stops_default(void)
{
    struct pair pair = pair_connect("", NULL);
    window_kernel_stops(&pair);
    pair_close(&pair, false);
}

static void window_kernel_stops_small(void)
{
    const struct kernel_options kernel = {.recv_buffer = 4096};
    struct pair pair = pair_accept("send_bytes=65536", &kernel);
    window_kernel_stops(&pair);
    pair_close(&pair, true);
}

static void window_ours_stops(struct pair *pair)
{
    const uint64_t before = kernel_counter("TCPWinProbe");
    const uint64_t start = pair->to_ours;
    pair_kernel_fill(pair);
    AWAIT(window_seconds(), "the kernel's probes of Ringsock's window",
          kernel_counter("TCPWinProbe") - before >= window_probes());
    side("transfer %u 0 %llu 20", pair->slot, (unsigned long long)(pair->to_ours - start));
    pair_transfer(pair, RIG_MIB, RIG_MIB, 20);
}

static void window_ours_stops_default(void)
{
    struct pair pair = pair_accept("", NULL);
    window_ours_stops(&pair);
    pair_close(&pair, true);
}

static void window_ours_stops_small(void)
{
    struct pair pair = pair_connect("recv_bytes=4096", NULL);
    window_ours_stops(&pair);
    pair_close(&pair, false);
}

/* The window opens while the wire loses frames, updates among them. */
static void window_lossy(void)
{
    const struct wire_faults faults = {.loss_permille = 100};
    struct pair pair = pair_connect("recv_bytes=16384 send_bytes=16384", NULL);
    wire_faulty(&faults);
    window_ours_stops(&pair);
    wire_whole();
    pair_close(&pair, false);
}

const struct stream_case stream_cases_window[] = {{"kernel_stops", window_kernel_stops_default},
                                                  {"kernel_stops_small", window_kernel_stops_small},
                                                  {"ours_stops", window_ours_stops_default},
                                                  {"ours_stops_small", window_ours_stops_small},
                                                  {"lossy", window_lossy},
                                                  {NULL, NULL}};
