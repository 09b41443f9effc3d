/*
 * The wire between ringsockd and the kernel. Whole, it is the kernel's bridge in a namespace
 * between the two; cut, the bridge has lost its ports; faulty, a process forwards the frames and
 * loses, delays and queues them. One process at a time, a child of the test's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stream_rig.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define FRAME_BYTES  1600u
#define QUEUE_FRAMES 8192u
#define SOCKET_BYTES (8 << 20)
#define BURST_FRAMES 64u
#define NS_PER_S     1000000000ull

struct wire_frame {
    uint64_t due_ns;
    uint32_t bytes;
    uint8_t data[FRAME_BYTES];
};

/* One direction: frames in the order in which they leave. */
struct wire_way {
    int from, to;
    uint64_t rate_bits, free_ns; /* the bounded link is busy until then */
    uint32_t head, tail;
    struct wire_frame *frames;
};

static struct {
    pid_t pid;
    _Atomic uint64_t *lost; /* shared with the child */
} wire;

static uint64_t wire_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int wire_socket(const char *interface)
{
    const int size = SOCKET_BYTES;
    const int on = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(interface)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0 && address.sll_ifindex != 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0);
    CHECK(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) == 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* A frame's fate: lost, or due at some time. */
static void wire_take(struct wire_way *way, const struct wire_faults *faults,
                      struct test_random *random)
{
    for (uint32_t i = 0; i < BURST_FRAMES; i++) {
        struct wire_frame *frame = &way->frames[way->tail % QUEUE_FRAMES];
        ssize_t got = recv(way->from, frame->data, sizeof(frame->data), 0);
        if (got <= 0) {
            return;
        }
        const uint64_t now_ns = wire_now_ns();
        const uint64_t start_ns = way->free_ns > now_ns ? way->free_ns : now_ns;
        const bool queue_full =
            way->rate_bits != 0 &&
            (start_ns - now_ns) * way->rate_bits / 8 / NS_PER_S > faults->queue_bytes;
        if (test_random_below(random, 1000) < faults->loss_permille || queue_full ||
            way->tail - way->head == QUEUE_FRAMES - 1) {
            atomic_fetch_add_explicit(wire.lost, 1, memory_order_relaxed);
            continue;
        }
        frame->bytes = (uint32_t)got;
        if (way->rate_bits != 0) {
            way->free_ns = start_ns + (uint64_t)got * 8 * NS_PER_S / way->rate_bits;
            frame->due_ns = way->free_ns + 1000ull * faults->delay_us;
        } else {
            frame->due_ns = now_ns + 1000ull * faults->delay_us;
        }
        way->tail++;
    }
}

/* Nanoseconds until the next frame is due. */
static uint64_t wire_give(struct wire_way *way)
{
    while (way->head != way->tail) {
        const struct wire_frame *frame = &way->frames[way->head % QUEUE_FRAMES];
        const uint64_t now_ns = wire_now_ns();
        if (frame->due_ns > now_ns) {
            return frame->due_ns - now_ns;
        }
        if (send(way->to, frame->data, frame->bytes, 0) < 0 && errno == EAGAIN) {
            return NS_PER_S / 10000;
        }
        way->head++;
    }
    return NS_PER_S;
}

__attribute__((noreturn)) static void wire_forward(const struct wire_faults *faults, uint64_t seed,
                                                   int ready)
{
    struct test_random random = test_random_make(seed);
    int ends[2] = {wire_socket(rig.wire_ours_if), wire_socket(rig.wire_peer_if)};
    struct wire_way ways[2] = {{.from = ends[0], .to = ends[1], .rate_bits = faults->rate_bits},
                               {.from = ends[1], .to = ends[0]}};
    for (int i = 0; i < 2; i++) {
        ways[i].frames = malloc(QUEUE_FRAMES * sizeof(struct wire_frame));
        CHECK(ways[i].frames != NULL);
    }
    CHECK(write(ready, "r", 1) == 1);
    for (;;) {
        uint64_t wait_ns = NS_PER_S;
        struct pollfd pollers[2] = {{.fd = ends[0], .events = POLLIN},
                                    {.fd = ends[1], .events = POLLIN}};
        for (int i = 0; i < 2; i++) {
            wire_take(&ways[i], faults, &random);
            const uint64_t next_ns = wire_give(&ways[i]);
            wait_ns = next_ns < wait_ns ? next_ns : wait_ns;
        }
        const struct timespec limit = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                                       .tv_nsec = (long)(wait_ns % NS_PER_S)};
        (void)ppoll(pollers, 2, &limit, NULL);
    }
}

static void wire_stop(void)
{
    if (wire.pid != 0) {
        CHECK(kill(wire.pid, SIGKILL) == 0);
        CHECK(waitpid(wire.pid, NULL, 0) == wire.pid);
        wire.pid = 0;
    }
}

static void wire_bridge(const char *how)
{
    char commands[256];
    (void)snprintf(commands, sizeof(commands), "link set %s %s\nlink set %s %s\n", rig.wire_ours_if,
                   how, rig.wire_peer_if, how);
    kernel_enter(rig.wire_ns);
    kernel_ip(commands);
    kernel_enter(rig.peer_ns);
}

void wire_faulty(const struct wire_faults *faults)
{
    const uint64_t seed = test_random_seed("  wire");
    int ready[2];
    char byte;
    wire_stop();
    wire_bridge("nomaster");
    if (wire.lost == NULL) {
        void *shared = mmap(NULL, sizeof(*wire.lost), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(shared != MAP_FAILED);
        wire.lost = shared;
    }
    atomic_store(wire.lost, 0);
    CHECK(pipe(ready) == 0);
    (void)fflush(NULL);
    wire.pid = fork();
    CHECK(wire.pid >= 0);
    if (wire.pid == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        kernel_enter(rig.wire_ns);
        wire_forward(faults, seed, ready[1]);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

void wire_cut(void)
{
    wire_stop();
    wire_bridge("nomaster");
}

void wire_whole(void)
{
    wire_stop();
    wire_bridge("master bridge");
}

void wire_link(bool up)
{
    char command[96];
    (void)snprintf(command, sizeof(command), "link set %s %s\n", rig.wire_ours_if,
                   up ? "up" : "down");
    kernel_enter(rig.wire_ns);
    kernel_ip(command);
    kernel_enter(rig.peer_ns);
}

uint64_t wire_lost(void)
{
    return wire.lost != NULL ? atomic_load(wire.lost) : 0;
}
