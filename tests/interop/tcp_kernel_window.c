/*
 * tcp_kernel window: readers that do not read, or slowly: closed windows, probes, window updates
 * that are lost.
 */
#include <stddef.h>

#include "rings/os/os.h"
#include "tcp_world.h"

static void open_default(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
}

/* Sends until the kernel, which does not read, takes no more. */
static void fill_kernel(struct pair *pair, uint64_t *sent)
{
    UNTIL(5, "the kernel's window to close", world_counter(COUNTER_tcp_window_probes) >= 2)
    {
        pump_ours_send(pair->ours, sent, UINT64_MAX);
    }
    EXPECT_IS(ours_info(pair->ours).state, TCP_ESTABLISHED);
}

static void drain_kernel(struct pair *pair, uint64_t *received, uint64_t total)
{
    UNTIL(10, "the kernel to get all that was sent", *received == total)
    {
        pump_kernel_recv(pair->kernel, received, UINT32_MAX);
    }
}

static void window_kernel_closed(void)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    struct kernel_options kernel = {.recv_buffer = 4096};
    open_default();
    struct pair pair = pair_connect(NULL, &kernel);
    fill_kernel(&pair, &sent);
    drain_kernel(&pair, &received, sent);
    pair_close(&pair, false);
}

/* The kernel reads, says so, and nobody hears it: only a probe finds out. */
static void window_kernel_update_lost(void)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    struct kernel_options kernel = {.recv_buffer = 8192};
    open_default();
    struct pair pair = pair_accept(NULL, &kernel);
    fill_kernel(&pair, &sent);
    uint64_t before = sent - ours_unacked(pair.ours);
    nic_tap_in(world.nic)->lose_next = 1;
    pump_kernel_recv(pair.kernel, &received, UINT32_MAX);
    UNTIL(2, "the window update to be lost", nic_tap_in(world.nic)->lose_next == 0)
    {
        pump_kernel_recv(pair.kernel, &received, UINT32_MAX);
    }
    EXPECT_IS(sent - ours_unacked(pair.ours), before);
    drain_kernel(&pair, &received, sent);
    pair_close(&pair, true);
}

static void fill_ours(struct pair *pair, uint64_t *sent, uint64_t probes)
{
    UNTIL(5, "the kernel to probe our window", kernel_counter("TCPWinProbe") >= probes)
    {
        pump_kernel_send(pair->kernel, sent, 1u << 20);
    }
}

static void drain_ours(struct pair *pair, uint64_t *sent, uint64_t *received)
{
    UNTIL(10, "the rest of a MiB", *received == 1u << 20)
    {
        pump_kernel_send(pair->kernel, sent, 1u << 20);
        pump_ours_recv(pair->ours, received, UINT32_MAX);
    }
}

static void window_ours_closed(void)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    struct ours_options ours = {.recv_bytes = 4096};
    open_default();
    struct pair pair = pair_accept(&ours, NULL);
    fill_ours(&pair, &sent, 2);
    EXPECT_IS(ours_info(pair.ours).unread_bytes, 4096);
    drain_ours(&pair, &sent, &received);
    pair_close(&pair, false);
}

static void window_ours_update_lost(void)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    struct ours_options ours = {.recv_bytes = 8192};
    open_default();
    struct pair pair = pair_connect(&ours, NULL);
    fill_ours(&pair, &sent, 1);
    nic_tap_out(world.nic)->lose_next = 1;
    pump_ours_recv(pair.ours, &received, UINT32_MAX);
    AWAIT(2, "our window update to be lost", nic_tap_out(world.nic)->lose_next == 0);
    drain_ours(&pair, &sent, &received);
    pair_close(&pair, true);
}

/* A reader that takes a few bytes each millisecond must not be sent a segment for each of them. */
static void window_slow_kernel(void)
{
    const uint64_t total = 256u << 10;
    uint64_t sent = 0;
    uint64_t received = 0;
    struct kernel_options kernel = {.recv_buffer = 16384};
    open_default();
    struct pair pair = pair_connect(NULL, &kernel);
    uint64_t next_ns = 0;
    UNTIL(10, "the slow reader to have all", received == total)
    {
        pump_ours_send(pair.ours, &sent, total);
        if (os_monotonic_ns() >= next_ns) {
            next_ns = os_monotonic_ns() + 500000;
            pump_kernel_recv(pair.kernel, &received, 700);
        }
    }
    struct tcp_info info = ours_info(pair.ours);
    uint64_t segments = world_counter(COUNTER_tcp_segments_out);
    if (segments > 2 * total / info.mss_bytes + 50) {
        FAIL("%llu segments: silly windows", (unsigned long long)segments);
    }
    pair_close(&pair, false);
}

static void window_slow_ours(void)
{
    const uint64_t total = 256u << 10;
    uint64_t sent = 0;
    uint64_t received = 0;
    struct ours_options ours = {.recv_bytes = 16384};
    open_default();
    struct pair pair = pair_accept(&ours, NULL);
    uint64_t next_ns = 0;
    UNTIL(10, "our slow reader to have all", received == total)
    {
        pump_kernel_send(pair.kernel, &sent, total);
        if (os_monotonic_ns() >= next_ns) {
            next_ns = os_monotonic_ns() + 500000;
            pump_ours_recv(pair.ours, &received, 700);
        }
    }
    uint64_t segments = world_counter(COUNTER_tcp_segments_in);
    if (segments > 2 * total / 1448 + 50) {
        FAIL("%llu segments: silly windows", (unsigned long long)segments);
    }
    pair_close(&pair, false);
}

const struct tcp_case tcp_cases_window[] = {{"kernel_closed", window_kernel_closed},
                                            {"kernel_update_lost", window_kernel_update_lost},
                                            {"ours_closed", window_ours_closed},
                                            {"ours_update_lost", window_ours_update_lost},
                                            {"slow_kernel", window_slow_kernel},
                                            {"slow_ours", window_slow_ours},
                                            {NULL, NULL}};
