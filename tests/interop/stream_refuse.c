/*
 * stream_kernel refuse: connects that fail or have to wait: closed ports, hosts that are not there,
 * full backlogs; and many at once to a neighbour whose MAC nobody knows yet.
 */
#include <errno.h>
#include <stddef.h>

#include "stream_rig.h"

#define CLOSED_PORT 7999u
#define CONNECTS    200u

static void refuse_by_kernel(void)
{
    side("socket 1");
    side_is("error connect: WSAECONNREFUSED", "connect 1 " RIG_KERNEL " %u 5", CLOSED_PORT);
    /* The same socket may try again. */
    int listener = kernel_listen(RIG_PORT, NULL);
    side("connect 1 " RIG_KERNEL " %u 5", RIG_PORT);
    side("close 1");
    int accepted = -1;
    AWAIT(5, "the kernel's accept", (accepted = kernel_accept(listener)) >= 0);
    kernel_close(accepted);
    kernel_close(listener);
    side("socket 1 blocking=1");
    side_is("error connect: WSAECONNREFUSED", "connect 1 " RIG_KERNEL " %u 5", CLOSED_PORT);
    side("close 1");
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
}

static void refuse_by_ours(void)
{
    int result = EINPROGRESS;
    int fd = kernel_connect(RIG_OURS, CLOSED_PORT, NULL);
    AWAIT(5, "the kernel's connect", (result = kernel_connect_result(fd)) != EINPROGRESS);
    EXPECT_IS(result, ECONNREFUSED);
    kernel_close(fd);
}

/* Nobody answers ARP: three questions a second apart, then the host counts as unreachable. */
static void refuse_no_host(void)
{
    const uint64_t start_ms = rig_now_ms();
    side("socket 1");
    side_is("error connect: WSAEHOSTUNREACH", "connect 1 " RIG_NOBODY " %u 20", RIG_PORT);
    EXPECT(rig_now_ms() - start_ms < 6000);
    side("close 1");
}

static void refuse_no_route(void)
{
    side("socket 1");
    side_is("error connect: WSAENETUNREACH", "connect 1 203.0.113.7 %u 5", RIG_PORT);
    side("close 1");
}

static int refuse_connect(void)
{
    int result = EINPROGRESS;
    int fd = kernel_connect(RIG_OURS, RIG_PORT, NULL);
    AWAIT(5, "the kernel's connect", (result = kernel_connect_result(fd)) != EINPROGRESS);
    if (result != 0) {
        EXPECT_IS(result, ECONNREFUSED);
        kernel_close(fd);
        return -1;
    }
    return fd;
}

/* As Windows does: who does not fit is refused. */
static void backlog_of_ours(void)
{
    int fds[4];
    side("socket 1");
    side("bind 1 %u", RIG_PORT);
    side("listen 1 2");
    for (int i = 0; i < 2; i++) {
        EXPECT((fds[i] = refuse_connect()) >= 0);
    }
    for (int i = 0; i < 3; i++) {
        EXPECT_IS(refuse_connect(), -1);
    }
    for (int i = 0; i < 2; i++) {
        side("accept %d 1 5", i + 2);
    }
    for (int i = 2; i < 4; i++) {
        EXPECT((fds[i] = refuse_connect()) >= 0);
    }
    /* What was not accepted ends with the listener. */
    side("close 1");
    for (int i = 2; i < 4; i++) {
        const struct pair pair = {.kernel = fds[i]};
        pair_kernel_error(&pair, ECONNRESET);
    }
    for (int i = 0; i < 4; i++) {
        kernel_close(fds[i]);
    }
    side("end 2 5");
    side("end 3 5");
    side("close 2");
    side("close 3");
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
}

/* Linux answers no SYN then; a later one is. */
static void backlog_of_kernel(void)
{
    const struct kernel_options options = {.backlog = 1};
    const uint64_t overflows = kernel_counter("ListenOverflows");
    int listener = kernel_listen(RIG_PORT, &options);
    int accepted[3] = {-1, -1, -1};
    for (int i = 1; i <= 3; i++) {
        side("socket %d", i);
    }
    side("connect 1 " RIG_KERNEL " %u 5", RIG_PORT);
    side("connect 2 " RIG_KERNEL " %u 5", RIG_PORT);
    side_begin("connect 3 " RIG_KERNEL " %u 10", RIG_PORT);
    AWAIT(5, "a SYN that finds the backlog full", kernel_counter("ListenOverflows") > overflows);
    EXPECT(!side_answered(0));
    for (int i = 0; i < 3; i++) {
        AWAIT(5, "the kernel's accept", (accepted[i] = kernel_accept(listener)) >= 0);
    }
    (void)side_finish();
    for (int i = 0; i < 3; i++) {
        side("close %d", i + 1);
        kernel_close(accepted[i]);
    }
    kernel_close(listener);
    AWAIT(5, "the kernel to have nothing open", kernel_count_open() == 0);
}

/* All SYNs wait for one ARP answer, which takes a while. That none was lost there, and came again
 * after a second, is what the counter neighbour_queue_full says, which run_streams looks at. */
static void refuse_unknown_neighbour(void)
{
    const struct wire_faults slow = {.delay_us = 20000};
    static const char *const other = "192.0.2.77";
    char command[96];
    (void)snprintf(command, sizeof(command), "addr add %s/32 dev %s\n", other, rig.peer_if);
    kernel_ip(command);
    int listener = kernel_listen(RIG_PORT, NULL);
    wire_faulty(&slow);
    const uint64_t start_ms = rig_now_ms();
    side_begin("many_connect 0 %s %u %u %u 1 1 10", other, RIG_PORT, CONNECTS, CONNECTS);
    many_kernel_accept(listener, CONNECTS, false, true, 10);
    (void)side_finish();
    const uint64_t took_ms = rig_now_ms() - start_ms;
    printf("  %u connects to a neighbour not known before: %u ms\n", CONNECTS, (unsigned)took_ms);
    wire_whole();
    kernel_close(listener);
}

const struct stream_case stream_cases_refuse[] = {{"by_kernel", refuse_by_kernel},
                                                  {"by_ours", refuse_by_ours},
                                                  {"no_host", refuse_no_host},
                                                  {"no_route", refuse_no_route},
                                                  {"backlog_of_ours", backlog_of_ours},
                                                  {"backlog_of_kernel", backlog_of_kernel},
                                                  {"unknown_neighbour", refuse_unknown_neighbour},
                                                  {NULL, NULL}};
