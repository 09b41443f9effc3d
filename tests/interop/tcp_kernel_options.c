/*
 * tcp_kernel options: peers that do without an option, each and all, through losses, and ECN with a
 * router that marks.
 */
#include <stddef.h>

#include "tcp_world.h"

#define MIB (1ull << 20)

struct without {
    bool sack, timestamps, scaling;
};

static void expect_agreed(const struct pair *pair, struct without without)
{
    struct tcp_info info = ours_info(pair->ours);
    EXPECT_IS(info.sack, !without.sack);
    EXPECT_IS(info.timestamps, !without.timestamps);
    EXPECT_IS(info.window_scaling, !without.scaling);
    EXPECT_IS(info.mss_bytes, without.timestamps ? 1460 : 1448);
}

/* Each side connects once; a good line, then a bad one. */
static void options_without(const char *name, struct without without)
{
    struct world_config config = world_config_default();
    const struct nic_tap_faults faults = {
        .loss_permille = 10, .reorder_permille = 10, .duplicate_permille = 10};
    world_open(&config);
    kernel_set("tcp_sack", without.sack ? "0" : "1");
    kernel_set("tcp_timestamps", without.timestamps ? "0" : "1");
    kernel_set("tcp_window_scaling", without.scaling ? "0" : "1");
    for (int passive = 0; passive < 2; passive++) {
        struct pair pair = passive != 0 ? pair_accept(NULL, NULL) : pair_connect(NULL, NULL);
        expect_agreed(&pair, without);
        pair_transfer(&pair, name, 4 * MIB, 4 * MIB, 10);
        world_faults(faults, faults);
        pair_transfer(&pair, "the same on a bad line", 2 * MIB, 2 * MIB, 30);
        world_no_faults();
        pair_close(&pair, passive != 0);
    }
}

static void options_sack(void)
{
    options_without("without SACK", (struct without){.sack = true});
}

static void options_timestamps(void)
{
    options_without("without timestamps", (struct without){.timestamps = true});
}

static void options_scaling(void)
{
    options_without("without window scaling", (struct without){.scaling = true});
}

static void options_all(void)
{
    options_without("without any option", (struct without){true, true, true});
}

/* No segment is lost, so whatever slows down does so because of the marks. */
static void ecn_transfer(struct pair *pair, const char *name)
{
    const struct nic_tap_faults marks = {.mark_permille = 5};
    EXPECT(ours_info(pair->ours).ecn);
    world_faults(marks, marks);
    pair_transfer(pair, name, 16 * MIB, 16 * MIB, 20);
    world_no_faults();
    EXPECT(world_counter(COUNTER_tcp_ecn_marks) > 0);
    EXPECT(kernel_counter("InCEPkts") > 0);
    EXPECT(kernel_counter("TCPDeliveredCE") > 0); /* our echo */
    struct tcp_info info = ours_info(pair->ours);
    EXPECT_IS(info.timeouts, 0);
    EXPECT(info.ssthresh_bytes < 1u << 30);
}

/* The kernel asks for it when it connects. */
static void options_ecn_accept(void)
{
    struct world_config config = world_config_default();
    world_open(&config);
    kernel_set("tcp_ecn", "1");
    struct pair pair = pair_accept(NULL, NULL);
    ecn_transfer(&pair, "ECN, the kernel asks");
    pair_close(&pair, true);
}

static void options_ecn_connect(void)
{
    struct world_config config = world_config_default();
    config.tcp.ecn = TCP_ECN_ON;
    world_open(&config);
    kernel_set("tcp_ecn", "1");
    struct pair pair = pair_connect(NULL, NULL);
    ecn_transfer(&pair, "ECN, we ask");
    pair_close(&pair, false);
}

static void options_ecn_refused(void)
{
    struct world_config config = world_config_default();
    config.tcp.ecn = TCP_ECN_ON;
    world_open(&config);
    kernel_set("tcp_ecn", "0");
    struct pair pair = pair_connect(NULL, NULL);
    EXPECT(!ours_info(pair.ours).ecn);
    pair_transfer(&pair, "ECN refused", MIB, MIB, 5);
    pair_close(&pair, false);
}

const struct tcp_case tcp_cases_options[] = {
    {"without_sack", options_sack},       {"without_timestamps", options_timestamps},
    {"without_scaling", options_scaling}, {"without_all", options_all},
    {"ecn_accept", options_ecn_accept},   {"ecn_connect", options_ecn_connect},
    {"ecn_refused", options_ecn_refused}, {NULL, NULL}};
