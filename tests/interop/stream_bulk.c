/*
 * stream_kernel bulk: many bytes each way and both ways at once, compared at both ends; whole wire
 * and lossy wire; with and without what Linux's TCP can be told to leave out.
 */
#include <netinet/tcp.h>
#include <stddef.h>

#include "stream_rig.h"

static uint64_t bulk_bytes(void)
{
    return rig.full ? 2048 * RIG_MIB : rig.slow ? 8 * RIG_MIB : 64 * RIG_MIB;
}

static uint32_t bulk_seconds(void)
{
    return rig.full ? 600 : 30;
}

static void bulk_each_way(struct pair *pair, uint64_t bytes, uint32_t seconds)
{
    pair_transfer(pair, bytes, 0, seconds);
    pair_transfer(pair, 0, bytes, seconds);
    pair_transfer(pair, bytes / 2, bytes / 2, seconds);
}

static void bulk_connected(void)
{
    struct pair pair = pair_connect("", NULL);
    bulk_each_way(&pair, bulk_bytes(), bulk_seconds());
    pair_close(&pair, false);
}

static void bulk_accepted(void)
{
    struct pair pair = pair_accept("", NULL);
    bulk_each_way(&pair, bulk_bytes() / 4, bulk_seconds());
    pair_close(&pair, true);
}

/* One direction at a time, by calls that block. */
static void bulk_blocking(void)
{
    struct pair pair = pair_connect("blocking=1", NULL);
    pair_transfer(&pair, bulk_bytes() / 4, 0, bulk_seconds());
    pair_transfer(&pair, 0, bulk_bytes() / 4, bulk_seconds());
    pair_close(&pair, false);
}

/* Rings that hold less than what is under way, and nothing waits for a second segment. */
static void bulk_small_buffers(void)
{
    const struct kernel_options kernel = {
        .send_buffer = 16384, .recv_buffer = 16384, .nodelay = true};
    struct pair pair = pair_accept("recv_bytes=16384 send_bytes=16384 nodelay=1", &kernel);
    bulk_each_way(&pair, rig.slow ? RIG_MIB : 8 * RIG_MIB, 30);
    pair_close(&pair, false);
}

/* ---- loss ---- */

static const struct wire_faults one_percent = {.loss_permille = 10};

static void bulk_lossy(struct pair *pair, uint64_t bytes)
{
    wire_faulty(&one_percent);
    bulk_each_way(pair, bytes, bulk_seconds());
    printf("  frames lost: %llu\n", (unsigned long long)wire_lost());
    EXPECT(wire_lost() > 0);
    wire_whole();
}

static void bulk_loss_connected(void)
{
    struct pair pair = pair_connect("", NULL);
    bulk_lossy(&pair, rig.full ? 512 * RIG_MIB : rig.slow ? 2 * RIG_MIB : 16 * RIG_MIB);
    pair_close(&pair, true);
}

/* The handshake and both ends go through it as well. */
static void bulk_loss_accepted(void)
{
    wire_faulty(&one_percent);
    struct pair pair = pair_accept("", NULL);
    bulk_each_way(&pair, rig.slow ? RIG_MIB : 4 * RIG_MIB, bulk_seconds());
    pair_close(&pair, false);
    wire_whole();
}

/* ---- settings of the kernel's side ---- */

#define ALL_AGREED (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE)

/* Both as connector and as listener, whole and lossy. We ask for ECN only where the peer does. */
static void bulk_with(const char *setting, const char *value, const char *default_value,
                      uint32_t agreed)
{
    const uint64_t bytes = rig.slow ? RIG_MIB : 4 * RIG_MIB;
    kernel_set(setting, value);
    struct pair pair = pair_connect("", NULL);
    EXPECT_IS(kernel_agreed(pair.kernel), agreed & ALL_AGREED);
    bulk_each_way(&pair, bytes, 20);
    pair_close(&pair, false);
    pair = pair_accept("", NULL);
    EXPECT_IS(kernel_agreed(pair.kernel), agreed);
    bulk_lossy(&pair, bytes / 2);
    pair_close(&pair, true);
    kernel_set(setting, default_value);
}

static void bulk_no_timestamps(void)
{
    bulk_with("tcp_timestamps", "0", "1", ALL_AGREED & ~TCPI_OPT_TIMESTAMPS);
}

static void bulk_no_sack(void)
{
    bulk_with("tcp_sack", "0", "1", ALL_AGREED & ~TCPI_OPT_SACK);
}

static void bulk_no_scaling(void)
{
    bulk_with("tcp_window_scaling", "0", "1", ALL_AGREED & ~TCPI_OPT_WSCALE);
}

static void bulk_ecn(void)
{
    bulk_with("tcp_ecn", "1", "2", ALL_AGREED | TCPI_OPT_ECN);
}

/* None of them: as it was in 1988. */
static void bulk_bare(void)
{
    kernel_set("tcp_timestamps", "0");
    kernel_set("tcp_window_scaling", "0");
    bulk_with("tcp_sack", "0", "1", 0);
    kernel_set("tcp_window_scaling", "1");
    kernel_set("tcp_timestamps", "1");
}

const struct stream_case stream_cases_bulk[] = {{"connected", bulk_connected},
                                                {"accepted", bulk_accepted},
                                                {"blocking", bulk_blocking},
                                                {"small_buffers", bulk_small_buffers},
                                                {"loss_connected", bulk_loss_connected},
                                                {"loss_accepted", bulk_loss_accepted},
                                                {"no_timestamps", bulk_no_timestamps},
                                                {"no_sack", bulk_no_sack},
                                                {"no_scaling", bulk_no_scaling},
                                                {"ecn", bulk_ecn},
                                                {"bare", bulk_bare},
                                                {NULL, NULL}};
