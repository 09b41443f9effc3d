/*
 * stream_kernel close: ends in all orders, orderly and by resets, with data on the way; urgent
 * data.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "stream_rig.h"

#define SOME (1u << 20)

static void close_both(struct pair *pair)
{
    kernel_close(pair->kernel);
    side("close %u", pair->slot);
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
}

static void expect_kernel_end(const struct pair *pair)
{
    uint8_t byte;
    ssize_t got = -EAGAIN;
    AWAIT(5, "the end of Ringsock's stream",
          (got = kernel_recv(pair->kernel, &byte, 1)) != -EAGAIN);
    EXPECT_IS(got, 0);
}

/* ---- half-close ---- */

static void close_half_ours(void)
{
    struct pair pair = pair_connect("", NULL);
    pair_transfer(&pair, SOME, 0, 10);
    side("shutdown %u 2", pair.slot);
    expect_kernel_end(&pair);
    side_is("ok WSAESHUTDOWN", "try_send %u", pair.slot);
    pair_transfer(&pair, 0, SOME, 10);
    kernel_shutdown_send(pair.kernel);
    side_is("ok 0", "end %u 5", pair.slot);
    close_both(&pair);
}

static void close_half_kernel(void)
{
    struct pair pair = pair_accept("", NULL);
    pair_transfer(&pair, 0, SOME, 10);
    kernel_shutdown_send(pair.kernel);
    side_is("ok 0", "end %u 5", pair.slot);
    pair_transfer(&pair, SOME, 0, 10);
    side("shutdown %u 2", pair.slot);
    expect_kernel_end(&pair);
    close_both(&pair);
}

/* Neither end waits for the other. */
static void close_crossing(void)
{
    for (uint32_t i = 0; i < 20; i++) {
        struct pair pair = i % 2 == 0 ? pair_connect("", NULL) : pair_accept("", NULL);
        side_begin("close %u", pair.slot);
        kernel_close(pair.kernel);
        (void)side_finish();
        AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
    }
}

/* Closed with a full way behind it: all of it still arrives, then the end. */
static void close_ours_unsent(void)
{
    struct pair pair = pair_connect("", NULL);
    const uint64_t filled = strtoull(side("fill %u 10", pair.slot), NULL, 10);
    side("close %u", pair.slot);
    AWAIT(10, "what was sent before the close",
          !pair_kernel_recv(&pair, filled) && pair.to_kernel == filled);
    expect_kernel_end(&pair);
    kernel_close(pair.kernel);
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
}

static void close_kernel_unsent(void)
{
    struct pair pair = pair_accept("", NULL);
    pair_kernel_fill(&pair);
    kernel_close(pair.kernel);
    EXPECT_IS(strtoull(side("end %u 20", pair.slot), NULL, 10), pair.to_ours);
    side("close %u", pair.slot);
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
}

/* ---- resets ---- */

static void close_reset_by_kernel(void)
{
    struct pair pair = pair_connect("", NULL);
    pair_transfer(&pair, 1000, 1000, 5);
    kernel_abort(pair.kernel);
    side_is("ok WSAECONNRESET 0", "lost %u 5", pair.slot);
    side_is("ok WSAECONNRESET", "try_send %u", pair.slot);
    side("close %u", pair.slot);
}

static void close_reset_by_ours(void)
{
    struct pair pair = pair_accept("", NULL);
    pair_transfer(&pair, 1000, 1000, 5);
    side("set %u linger_s=0", pair.slot);
    side("close %u", pair.slot);
    pair_kernel_error(&pair, ECONNRESET);
    kernel_close(pair.kernel);
}

/* Closed with bytes unread: the peer must not believe that they were. */
static void close_unread_by_kernel(void)
{
    struct pair pair = pair_accept("", NULL);
    side("transfer %u 1000 0 5", pair.slot);
    AWAIT(5, "1000 bytes at the kernel", kernel_unread(pair.kernel) == 1000);
    kernel_close(pair.kernel);
    side_is("ok WSAECONNRESET 0", "lost %u 5", pair.slot);
    side("close %u", pair.slot);
}

static void close_unread_by_ours(void)
{
    struct pair pair = pair_connect("", NULL);
    EXPECT(pair_kernel_send(&pair, 1000));
    side("readable %u 5", pair.slot);
    side("close %u", pair.slot);
    pair_kernel_error(&pair, ECONNRESET);
    kernel_close(pair.kernel);
}

/* Data behind shutdown(SD_RECEIVE) resets. */
static void close_recv_shut(void)
{
    struct pair pair = pair_connect("", NULL);
    side("shutdown %u 1", pair.slot);
    EXPECT(pair_kernel_send(&pair, 1000));
    pair_kernel_error(&pair, ECONNRESET);
    close_both(&pair);
}

/* The reset comes while bytes wait at both ends. */
static void close_reset_full(void)
{
    struct pair pair = pair_connect("", NULL);
    side("fill %u 10", pair.slot);
    pair_kernel_fill(&pair);
    kernel_abort(pair.kernel);
    (void)side("lost %u 5", pair.slot);
    side("close %u", pair.slot);
    pair = pair_accept("", NULL);
    side("fill %u 10", pair.slot);
    pair_kernel_fill(&pair);
    side("set %u linger_s=0", pair.slot);
    side("close %u", pair.slot);
    pair_kernel_error(&pair, ECONNRESET);
    kernel_close(pair.kernel);
}

/* ---- urgent data ---- */

static void urgent_to_ours(void)
{
    struct pair pair = pair_connect("", NULL);
    pair_transfer(&pair, 0, 1000, 5);
    EXPECT(pair_kernel_send(&pair, pair.to_ours + 500));
    kernel_send_urgent(pair.kernel, 'U');
    side_is("ok 85", "urgent_recv %u 5", pair.slot);
    side_is("ok 0", "at_mark %u", pair.slot);
    side("transfer %u 0 500 5", pair.slot);
    side_is("ok 1", "at_mark %u", pair.slot);
    pair_transfer(&pair, 1000, 1000, 5);
    pair_close(&pair, true);
}

/* The urgent byte stands in the stream. */
static void urgent_inline(void)
{
    const uint8_t *byte;
    struct pair pair = pair_accept("oob_inline=1", NULL);
    EXPECT(pair_kernel_send(&pair, 500));
    byte = pair_kernel_next(&pair);
    kernel_send_urgent(pair.kernel, *byte);
    pair.to_ours++;
    side("transfer %u 0 501 5", pair.slot);
    pair_transfer(&pair, 1000, 1000, 5);
    pair_close(&pair, false);
}

static void urgent_to_kernel(void)
{
    int byte = -1;
    struct pair pair = pair_accept("", NULL);
    pair_transfer(&pair, 1000, 0, 5);
    side("transfer %u 500 0 5", pair.slot);
    side("urgent_send %u 85", pair.slot);
    AWAIT(5, "the urgent byte", (byte = kernel_recv_urgent(pair.kernel)) >= 0);
    EXPECT_IS(byte, 'U');
    AWAIT(5, "what was sent before it", !pair_kernel_recv(&pair, 1500) && pair.to_kernel == 1500);
    pair_transfer(&pair, 1000, 1000, 5);
    pair_close(&pair, false);
}

const struct stream_case stream_cases_close[] = {{"half_ours", close_half_ours},
                                                 {"half_kernel", close_half_kernel},
                                                 {"crossing", close_crossing},
                                                 {"ours_unsent", close_ours_unsent},
                                                 {"kernel_unsent", close_kernel_unsent},
                                                 {"reset_by_kernel", close_reset_by_kernel},
                                                 {"reset_by_ours", close_reset_by_ours},
                                                 {"unread_by_kernel", close_unread_by_kernel},
                                                 {"unread_by_ours", close_unread_by_ours},
                                                 {"recv_shut", close_recv_shut},
                                                 {"reset_full", close_reset_full},
                                                 {"urgent_to_ours", urgent_to_ours},
                                                 {"urgent_inline", urgent_inline},
                                                 {"urgent_to_kernel", urgent_to_kernel},
                                                 {NULL, NULL}};
