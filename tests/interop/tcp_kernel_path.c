/*
 * tcp_kernel path, time: paths that take less than the link, with a router that says so and one
 * that does not; peers that vanish or only keep quiet.
 */
#include <stddef.h>

#include "rings/os/os.h"
#include "tcp_world.h"

#define MIB (1ull << 20)

/* ---- segment sizes ---- */

static void path_small_kernel_mtu(void)
{
    struct world_config config = world_config_default();
    config.kernel_mtu_bytes = 600;
    world_open(&config);
    struct pair pair = pair_connect(NULL, NULL);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 600 - 40 - 12);
    pair_transfer(&pair, "the kernel's MTU is 600", 4 * MIB, 4 * MIB, 10);
    pair_close(&pair, false);
    pair = pair_accept(NULL, NULL);
    pair_transfer(&pair, "the kernel's MTU is 600", 4 * MIB, 4 * MIB, 10);
    pair_close(&pair, false);
}

static void path_small_our_mtu(void)
{
    struct world_config config = world_config_default();
    config.mtu_bytes = 576;
    world_open(&config);
    struct pair pair = pair_connect(NULL, NULL);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 576 - 40 - 12);
    pair_transfer(&pair, "our MTU is 576", 4 * MIB, 4 * MIB, 10);
    pair_close(&pair, false);
    pair = pair_accept(NULL, NULL);
    pair_transfer(&pair, "our MTU is 576", 4 * MIB, 4 * MIB, 10);
    pair_close(&pair, false);
}

/* The least that Linux lets a program ask for. */
static void path_small_segments(void)
{
    struct world_config config = world_config_default();
    struct kernel_options kernel = {.segment_max = 88};
    world_open(&config);
    struct pair pair = pair_connect(NULL, &kernel);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 76);
    pair_transfer(&pair, "segments of 88 bytes", MIB / 4, MIB / 4, 10);
    pair_close(&pair, false);
    pair = pair_accept(NULL, &kernel);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 76);
    pair_transfer(&pair, "segments of 88 bytes", MIB / 4, MIB / 4, 10);
    pair_close(&pair, true);
}

/* A second kernel behind the first: the link to it takes 1000 bytes, the handshake says 1460. */
static void path_fragmentation_needed(void)
{
    struct world_config config = world_config_default();
    struct pair pair = {.kernel = -1};
    struct ours_options options = {.address = WORLD_FAR};
    config.far_mtu_bytes = 1000;
    world_open(&config);
    kernel_enter(world.far);
    int listener = kernel_listen(WORLD_PORT, NULL);
    pair.ours = ours_connect(WORLD_PORT, &options);
    UNTIL(5, "our connect to the far kernel",
          pair.kernel >= 0 && (pair.ours->events & TCP_EVENT_CONNECTED) != 0)
    {
        pair.kernel = pair.kernel >= 0 ? pair.kernel : kernel_accept(listener);
    }
    kernel_close(listener);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 1448);
    pair_transfer(&pair, "a router says 1000", 8 * MIB, 8 * MIB, 10);
    EXPECT(world_counter(COUNTER_tcp_mtu_lowered) >= 1);
    EXPECT_IS(ours_info(pair.ours).mss_bytes, 1000 - 40 - 12);
    EXPECT_IS(ours_info(pair.ours).timeouts, 0);
    pair_close(&pair, false);
}

static void path_black_hole(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    struct pair pair = pair_connect(NULL, NULL);
    nic_tap_out(world.nic)->bytes_max = 1300;
    pair_transfer(&pair, "a router drops what is too long", MIB, MIB, 20);
    EXPECT(world_counter(COUNTER_tcp_black_holes) >= 1);
    EXPECT(ours_info(pair.ours).mss_bytes <= 1300 - 14 - 40 - 12);
    pair_close(&pair, false);
}

/* The router has no way: ICMP says so to a connect. */
static void path_unreachable(void)
{
    struct world_config config = world_config_default();
    struct ours_options options = {.address = "203.0.113.7"};
    config.far_mtu_bytes = 1500;
    world_open(&config);
    struct ours *ours = ours_connect(WORLD_PORT, &options);
    AWAIT(5, "an ICMP error", (ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT(ours->error == RS_NET_UNREACHABLE || ours->error == RS_HOST_UNREACHABLE);
    ours_close(ours);
    AWAIT(1, "the socket to be gone", ours->conn == NULL);
    ours_free(ours);
}

const struct tcp_case tcp_cases_path[] = {{"small_kernel_mtu", path_small_kernel_mtu},
                                          {"small_our_mtu", path_small_our_mtu},
                                          {"small_segments", path_small_segments},
                                          {"fragmentation_needed", path_fragmentation_needed},
                                          {"black_hole", path_black_hole},
                                          {"unreachable", path_unreachable},
                                          {NULL, NULL}};

/* ---- peers that vanish ---- */

static void time_user_timeout(void)
{
    struct world_config config = world_config_default();
    struct ours_options options = {.settings = {.user_timeout_ms = 700}};
    uint64_t sent = 0;
    world_open(&config);
    struct pair pair = pair_connect(&options, NULL);
    pair_transfer(&pair, "before the link goes down", 100000, 100000, 2);
    kernel_ip("link set tap0 down\n");
    uint64_t start_ns = os_monotonic_ns();
    pump_ours_send(pair.ours, &sent, 1000);
    AWAIT(5, "the user timeout", (pair.ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT_IS(pair.ours->error, RS_TIMED_OUT);
    uint64_t took_ms = (os_monotonic_ns() - start_ns) / 1000000;
    if (took_ms < 650 || took_ms > 3000) {
        FAIL("the user timeout of 700 ms took %llu ms", (unsigned long long)took_ms);
    }
    ours_close(pair.ours);
    AWAIT(1, "the socket to be gone", pair.ours->conn == NULL);
    ours_free(pair.ours);
}

/* The link comes back before anybody gives up. */
static void time_link_flap(void)
{
    struct world_config config = world_config_default();
    uint64_t sent = 0;
    uint64_t received = 0;
    world_open(&config);
    struct pair pair = pair_accept(NULL, NULL);
    kernel_ip("link set tap0 down\n");
    pump_ours_send(pair.ours, &sent, 100000);
    uint64_t due_ns = world_deadline_ns(0.7);
    AWAIT(5, "a timeout of ours", ours_info(pair.ours).timeouts > 0);
    AWAIT(5, "the time that the link is down", os_monotonic_ns() > due_ns);
    EXPECT_IS(ours_info(pair.ours).state, TCP_ESTABLISHED);
    kernel_ip("link set tap0 up\n");
    UNTIL(10, "all bytes after the link came back", received == 100000)
    {
        pump_ours_send(pair.ours, &sent, 100000);
        pump_kernel_recv(pair.kernel, &received, UINT32_MAX);
    }
    pair_transfer(&pair, "behind that", 0, 100000, 5);
    pair_close(&pair, false);
}

/* Linux answers a segment like a probe twice a second at most (tcp_invalid_ratelimit). */
static void time_keepalive_ours(void)
{
    struct world_config config = world_config_default();
    struct ours_options options = {
        .settings = {
            .keepalive = true, .keep_idle_ms = 100, .keep_interval_ms = 100, .keep_count = 10}};
    world_open(&config);
    struct pair pair = pair_connect(&options, NULL);
    AWAIT(5, "more keep-alive probes than may go unanswered",
          world_counter(COUNTER_tcp_keepalives) >= 12);
    EXPECT_IS(ours_info(pair.ours).state, TCP_ESTABLISHED);
    kernel_ip("link set tap0 down\n");
    uint64_t probes = world_counter(COUNTER_tcp_keepalives);
    AWAIT(5, "the connection to be given up", (pair.ours->events & TCP_EVENT_ERROR) != 0);
    EXPECT_IS(pair.ours->error, RS_NET_RESET);
    EXPECT(world_counter(COUNTER_tcp_keepalives) - probes <= 10);
    ours_close(pair.ours);
    AWAIT(1, "the socket to be gone", pair.ours->conn == NULL);
    ours_free(pair.ours);
}

/* The kernel's probes, a second apart; two without an answer would end it. */
static void time_keepalive_kernel(void)
{
    struct world_config config = world_config_default();
    struct kernel_options kernel = {.keep_idle_s = 1, .keep_interval_s = 1, .keep_count = 1};
    world_open(&config);
    struct pair pair = pair_accept(NULL, &kernel);
    AWAIT(6, "two of the kernel's probes", kernel_counter("TCPKeepAlive") >= 2);
    uint64_t due_ns = world_deadline_ns(0.1);
    AWAIT(1, "the answer's time", os_monotonic_ns() > due_ns);
    EXPECT_IS(kernel_error(pair.kernel), 0);
    pair_transfer(&pair, "after keep-alive", 10000, 10000, 2);
    pair_close(&pair, true);
}

/* An orphan with data that nobody acknowledges is given up. */
static void time_orphan(void)
{
    struct world_config config = world_config_default();
    uint64_t sent = 0;
    config.tcp.orphan_tries = 2;
    world_open(&config);
    struct pair pair = pair_connect(NULL, NULL);
    nic_tap_out(world.nic)->dead = true;
    pump_ours_send(pair.ours, &sent, 1000);
    ours_close(pair.ours);
    AWAIT(10, "the orphan to be given up", pair.ours->conn == NULL);
    EXPECT_IS(tcp_connection_count(world.stack), 0);
    ours_free(pair.ours);
}

const struct tcp_case tcp_cases_time[] = {{"user_timeout", time_user_timeout},
                                          {"link_flap", time_link_flap},
                                          {"keepalive_ours", time_keepalive_ours},
                                          {"keepalive_kernel", time_keepalive_kernel},
                                          {"orphan", time_orphan},
                                          {NULL, NULL}};
