/*
 * stream_kernel vanish: peers that fall silent, links that go down, peers that are gone when the
 * link comes back. What each end does about it, and when.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "stream_rig.h"

/* The wire is cut and there is nothing to send: keep-alive finds out. */
static void vanish_keepalive(void)
{
    struct pair pair =
        pair_connect("keepalive=1 keep_idle_s=1 keep_interval_s=1 keep_count=2", NULL);
    pair_transfer(&pair, 1000, 1000, 5);
    wire_cut();
    const uint64_t start_ms = rig_now_ms();
    side_is("ok WSAENETRESET 0", "lost %u 15", pair.slot);
    const uint64_t took_ms = rig_now_ms() - start_ms;
    printf("  keep-alive of 1 s, 1 s, 2 probes: %u ms\n", (unsigned)took_ms);
    EXPECT(took_ms >= 2000 && took_ms < 6000);
    side("close %u", pair.slot);
    wire_whole();
    kernel_abort(pair.kernel);
}

/* Bytes that nobody acknowledges. */
static void vanish_user_timeout(void)
{
    struct pair pair = pair_accept("", NULL);
    side("set %u user_timeout_ms=1500", pair.slot);
    pair_transfer(&pair, 1000, 1000, 5);
    wire_cut();
    side("transfer %u 1000 0 5", pair.slot);
    const uint64_t start_ms = rig_now_ms();
    side_is("ok WSAECONNABORTED 0", "lost %u 15", pair.slot);
    const uint64_t took_ms = rig_now_ms() - start_ms;
    printf("  user timeout of 1.5 s: %u ms\n", (unsigned)took_ms);
    EXPECT(took_ms >= 1300 && took_ms < 6000);
    side("close %u", pair.slot);
    wire_whole();
    kernel_abort(pair.kernel);
}

/* The window is closed, and then nobody answers the probes. */
static void vanish_closed_window(void)
{
    struct pair pair = pair_connect("user_timeout_ms=1500", NULL);
    side("fill %u 10", pair.slot);
    wire_cut();
    side_is("ok WSAECONNABORTED 0", "lost %u 15", pair.slot);
    side("close %u", pair.slot);
    wire_whole();
    kernel_abort(pair.kernel);
}

static void vanish_connect(void)
{
    side("socket 1 user_timeout_ms=1500");
    wire_cut();
    const uint64_t start_ms = rig_now_ms();
    side_is("error connect: WSAETIMEDOUT", "connect 1 " RIG_KERNEL " %u 15", RIG_PORT);
    const uint64_t took_ms = rig_now_ms() - start_ms;
    printf("  connect with a user timeout of 1.5 s: %u ms\n", (unsigned)took_ms);
    EXPECT(took_ms >= 1300 && took_ms < 6000);
    side("close 1");
    wire_whole();
}

/* We vanish, as the kernel sees it. */
static void vanish_ours(void)
{
    const struct kernel_options options = {.user_timeout_ms = 1500};
    const struct kernel_options probes = {.keep_idle_s = 1, .keep_interval_s = 1, .keep_count = 2};
    struct pair pair = pair_accept("", &options);
    wire_cut();
    EXPECT(pair_kernel_send(&pair, 1000));
    pair_kernel_error(&pair, ETIMEDOUT);
    kernel_close(pair.kernel);
    wire_whole();
    /* What is left at our end ends with a reset. */
    side("set %u linger_s=0", pair.slot);
    side("close %u", pair.slot);
    pair = pair_accept("", &probes);
    wire_cut();
    pair_kernel_error(&pair, ETIMEDOUT);
    kernel_close(pair.kernel);
    wire_whole();
    side("set %u linger_s=0", pair.slot);
    side("close %u", pair.slot);
}

/* The peer died unseen; the first segment after that meets a host that knows nothing of it. */
static void vanish_peer_reborn(void)
{
    struct pair pair = pair_connect("", NULL);
    wire_cut();
    kernel_abort(pair.kernel);
    wire_whole();
    side_is("ok sent", "try_send %u", pair.slot);
    side_is("ok WSAECONNRESET 0", "lost %u 5", pair.slot);
    side("close %u", pair.slot);
}

/* Closed into a dead wire. The last case, and the wire stays cut: that the orphan is given up
 * run_streams finds in the tables. */
static void vanish_orphan(void)
{
    struct pair pair = pair_connect("", NULL);
    wire_cut();
    side("transfer %u 1000 0 5", pair.slot);
    side("close %u", pair.slot);
    kernel_abort(pair.kernel);
}

/* The wire comes back before anybody gives up: everything arrives. */
static void vanish_flap(void)
{
    struct pair pair = pair_accept("", NULL);
    const uint64_t again = kernel_retransmits(pair.kernel);
    wire_cut();
    side("transfer %u 50000 0 5", pair.slot);
    EXPECT(pair_kernel_send(&pair, 50000));
    AWAIT(10, "a retransmission of the kernel", kernel_retransmits(pair.kernel) > again);
    wire_whole();
    side("transfer %u 0 %llu 20", pair.slot, (unsigned long long)pair.to_ours);
    AWAIT(20, "all bytes at the kernel",
          !pair_kernel_recv(&pair, 50000) && pair.to_kernel == 50000);
    pair_transfer(&pair, RIG_MIB, RIG_MIB, 20);
    pair_close(&pair, true);
}

/* The carrier goes, at our end. */
static void vanish_link_down(void)
{
    struct pair pair = pair_connect("", NULL);
    pair_transfer(&pair, 1000, 1000, 5);
    wire_link(false);
    side("transfer %u 50000 0 5", pair.slot);
    const uint64_t again = kernel_retransmits(pair.kernel);
    EXPECT(pair_kernel_send(&pair, pair.to_ours + 50000));
    AWAIT(10, "a retransmission of the kernel", kernel_retransmits(pair.kernel) > again);
    wire_link(true);
    side("transfer %u 0 50000 20", pair.slot);
    AWAIT(20, "all bytes at the kernel",
          !pair_kernel_recv(&pair, 51000) && pair.to_kernel == 51000);
    pair_close(&pair, false);
}

const struct stream_case stream_cases_vanish[] = {{"keepalive", vanish_keepalive},
                                                  {"user_timeout", vanish_user_timeout},
                                                  {"closed_window", vanish_closed_window},
                                                  {"connect", vanish_connect},
                                                  {"ours", vanish_ours},
                                                  {"peer_reborn", vanish_peer_reborn},
                                                  {"flap", vanish_flap},
                                                  {"link_down", vanish_link_down},
                                                  {"orphan", vanish_orphan},
                                                  {NULL, NULL}};
