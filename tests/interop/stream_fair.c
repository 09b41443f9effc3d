/*
 * stream_kernel fair: one connection of Ringsock's beside one of the kernel's, both CUBIC, both to
 * the same kernel, through one bottleneck with a queue of one bandwidth-delay product. The kernel's
 * sender is in a namespace of its own; both receivers are this process's.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_rig.h"
#include "tests/support/check.h"

#define RIVAL       "192.0.2.2"
#define RIVAL_PORT  (RIG_PORT + 1)
#define RATE_BITS   100000000u
#define DELAY_US    10000u /* each way */
#define BDP_BYTES   (RATE_BITS / 8 / 1000 * 2 * DELAY_US / 1000)
#define RUNS        5u
#define SECONDS     30u
#define SETTLED_MS  5000u /* what came before does not count */
#define PERCENT_MIN 35.0

static int rival_ns;

/* A host beside ringsockd: its interface's other end is in the wire's namespace. */
static void rival_make(void)
{
    char commands[256];
    rival_ns = kernel_namespace();
    (void)snprintf(commands, sizeof(commands),
                   "link add rival type veth peer name rival_wire netns /proc/%d/fd/%d\n"
                   "addr add " RIVAL "/24 dev rival\n"
                   "link set rival up\n",
                   (int)getpid(), rig.wire_ns);
    kernel_ip(commands);
    EXPECT(kernel_sum_in_software("rival"));
    kernel_enter(rig.wire_ns);
    kernel_ip("link set rival_wire up\n");
    kernel_enter(rig.peer_ns);
}

/* Sends in a process of its own as long as it lives. */
static pid_t rival_start(int fd)
{
    static uint8_t data[65536];
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        for (;;) {
            if (kernel_send(fd, data, sizeof(data)) < 0) {
                kernel_wait(fd, false, true);
            }
        }
    }
    return pid;
}

struct flows {
    int fds[2]; /* Ringsock's, the kernel's */
    uint64_t bytes[2];
};

static void flows_read(struct flows *flows, uint64_t until_ms)
{
    static uint8_t data[65536];
    while (rig_now_ms() < until_ms) {
        struct pollfd pollers[2] = {{.fd = flows->fds[0], .events = POLLIN},
                                    {.fd = flows->fds[1], .events = POLLIN}};
        (void)poll(pollers, 2, 10);
        for (int i = 0; i < 2; i++) {
            ssize_t got =
                pollers[i].revents != 0 ? kernel_recv(flows->fds[i], data, sizeof(data)) : 0;
            EXPECT(got >= 0 || got == -EAGAIN);
            flows->bytes[i] += got > 0 ? (uint64_t)got : 0;
        }
    }
}

static int accept_one(int listener)
{
    int fd = -1;
    AWAIT(5, "a connection", (fd = kernel_accept(listener)) >= 0);
    kernel_close(listener);
    return fd;
}

/* Percent of Ringsock's. */
static double fair_run(uint32_t run)
{
    const struct kernel_options cubic = {.congestion = "cubic"};
    const struct wire_faults bottleneck = {.rate_bits = RATE_BITS,
                                           .delay_us = DELAY_US,
                                           .queue_bytes = BDP_BYTES,
                                           .third_if = "rival_wire"};
    struct flows flows = {.bytes = {0, 0}};
    wire_faulty(&bottleneck);
    int listener = kernel_listen(RIG_PORT, &cubic);
    int rival_listener = kernel_listen(RIVAL_PORT, &cubic);
    side("socket 1 send_bytes=2097152");
    side("connect 1 " RIG_KERNEL " %u 10", RIG_PORT);
    kernel_enter(rival_ns);
    int sender = kernel_connect(RIG_KERNEL, RIVAL_PORT, &cubic);
    kernel_enter(rig.peer_ns);
    flows.fds[0] = accept_one(listener);
    flows.fds[1] = accept_one(rival_listener);
    /* Who begins first takes turns. */
    pid_t pid = run % 2 == 0 ? rival_start(sender) : 0;
    side_begin("stream 1 %u", SECONDS);
    const uint64_t start_ms = rig_now_ms();
    pid = pid != 0 ? pid : rival_start(sender);
    flows_read(&flows, start_ms + SETTLED_MS);
    const uint64_t before[2] = {flows.bytes[0], flows.bytes[1]};
    flows_read(&flows, start_ms + 1000u * SECONDS);
    const double ours = (double)(flows.bytes[0] - before[0]);
    const double kernel = (double)(flows.bytes[1] - before[1]);
    const double seconds = (1000.0 * SECONDS - SETTLED_MS) / 1000;
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    (void)side_finish();
    printf(
        "  run %u: Ringsock %.1f Mbit/s, the kernel %.1f Mbit/s: %.1f %%; %llu frames dropped, the "
        "kernel sent %u segments again\n",
        run + 1, ours * 8 / seconds / 1e6, kernel * 8 / seconds / 1e6, 100 * ours / (ours + kernel),
        (unsigned long long)wire_lost(), kernel_retransmits(sender));
    (void)fflush(stdout);
    EXPECT((ours + kernel) * 8 / seconds > 0.8 * RATE_BITS);
    side("set 1 linger_s=0");
    side("close 1");
    kernel_abort(sender);
    kernel_close(flows.fds[0]);
    kernel_close(flows.fds[1]);
    wire_whole();
    return 100 * ours / (ours + kernel);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fair_cubic(void)
{
    double percent[RUNS];
    rival_make();
    for (uint32_t i = 0; i < RUNS; i++) {
        percent[i] = fair_run(i);
    }
    qsort(percent, RUNS, sizeof(percent[0]), by_size);
    printf("  median of %u: %.1f %% are Ringsock's\n", RUNS, percent[RUNS / 2]);
    EXPECT(percent[RUNS / 2] >= PERCENT_MIN && percent[RUNS / 2] <= 100 - PERCENT_MIN);
}

const struct stream_case stream_cases_fair[] = {{"cubic", fair_cubic}, {NULL, NULL}};
