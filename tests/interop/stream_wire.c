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
    uint32_t bytes, to; /* WIRE_* bits */
    uint8_t data[FRAME_BYTES];
};

enum { WIRE_OURS, WIRE_PEER, WIRE_THIRD, WIRE_ENDS };

/* One direction: frames in the order in which they leave. */
struct wire_way {
    uint64_t rate_bits, free_ns; /* the bounded link is busy until then */
    uint32_t head, tail;
    struct wire_frame *frames;
};

/* What the process that forwards has. Ringsock and a third host share the way to the kernel, and
 * the way back. */
struct wire_state {
    const struct wire_faults *faults;
    struct test_random random;
    int ends[WIRE_ENDS]; /* -1: none */
    uint8_t third_mac[6];
    struct wire_way to_peer, from_peer;
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

/* Whom a frame is for. */
static uint32_t wire_destination(struct wire_state *state, int from, const uint8_t *data)
{
    if (from == WIRE_THIRD) {
        memcpy(state->third_mac, data + 6, sizeof(state->third_mac));
    }
    if (from != WIRE_PEER) {
        return 1u << WIRE_PEER;
    }
    if ((data[0] & 1) != 0) {
        return 1u << WIRE_OURS | 1u << WIRE_THIRD;
    }
    return memcmp(data, state->third_mac, 6) == 0 ? 1u << WIRE_THIRD : 1u << WIRE_OURS;
}

/* Takes a frame: lost, or due at some time. False: there is none. */
static bool wire_take(struct wire_state *state, int from, struct wire_way *way)
{
    struct wire_frame *frame = &way->frames[way->tail % QUEUE_FRAMES];
    ssize_t got = recv(state->ends[from], frame->data, sizeof(frame->data), 0);
    if (got <= 0) {
        return false;
    }
    const uint64_t now_ns = wire_now_ns();
    const uint64_t start_ns = way->free_ns > now_ns ? way->free_ns : now_ns;
    const bool queue_full =
        way->rate_bits != 0 &&
        (start_ns - now_ns) * way->rate_bits / 8 / NS_PER_S > state->faults->queue_bytes;
    if (test_random_below(&state->random, 1000) < state->faults->loss_permille || queue_full ||
        way->tail - way->head == QUEUE_FRAMES - 1) {
        atomic_fetch_add_explicit(wire.lost, 1, memory_order_relaxed);
        return true;
    }
    frame->bytes = (uint32_t)got;
    frame->to = wire_destination(state, from, frame->data);
    frame->due_ns = start_ns + 1000ull * state->faults->delay_us;
    if (way->rate_bits != 0) {
        const uint64_t takes_ns = (uint64_t)got * 8 * NS_PER_S / way->rate_bits;
        way->free_ns = start_ns + takes_ns;
        frame->due_ns += takes_ns;
    }
    way->tail++;
    return true;
}

/* Nanoseconds until the next frame is due. */
static uint64_t wire_give(const struct wire_state *state, struct wire_way *way)
{
    while (way->head != way->tail) {
        struct wire_frame *frame = &way->frames[way->head % QUEUE_FRAMES];
        const uint64_t now_ns = wire_now_ns();
        if (frame->due_ns > now_ns) {
            return frame->due_ns - now_ns;
        }
        for (int end = 0; end < WIRE_ENDS; end++) {
            if ((frame->to >> end & 1) == 0 || state->ends[end] < 0) {
                continue;
            }
            if (send(state->ends[end], frame->data, frame->bytes, 0) < 0 && errno == EAGAIN) {
                return NS_PER_S / 10000;
            }
            frame->to &= ~(1u << end);
        }
        way->head++;
    }
    return NS_PER_S;
}

/* One look at each end and each way. Returns as wire_give. */
static uint64_t wire_round(struct wire_state *state)
{
    for (int end = 0; end < WIRE_ENDS; end++) {
        struct wire_way *way = end == WIRE_PEER ? &state->from_peer : &state->to_peer;
        for (uint32_t i = 0; i < BURST_FRAMES && state->ends[end] >= 0; i++) {
            if (!wire_take(state, end, way)) {
                break;
            }
        }
    }
    const uint64_t to_peer_ns = wire_give(state, &state->to_peer);
    const uint64_t from_peer_ns = wire_give(state, &state->from_peer);
    return to_peer_ns < from_peer_ns ? to_peer_ns : from_peer_ns;
}

__attribute__((noreturn)) static void wire_forward(const struct wire_faults *faults, uint64_t seed,
                                                   int ready)
{
    struct wire_state state = {
        .faults = faults,
        .random = test_random_make(seed),
        .ends = {wire_socket(rig.wire_ours_if), wire_socket(rig.wire_peer_if),
                 faults->third_if != NULL ? wire_socket(faults->third_if) : -1},
        .to_peer = {.rate_bits = faults->rate_bits,
                    .frames = malloc(QUEUE_FRAMES * sizeof(struct wire_frame))},
        .from_peer = {.frames = malloc(QUEUE_FRAMES * sizeof(struct wire_frame))}};
    CHECK(state.to_peer.frames != NULL && state.from_peer.frames != NULL);
    CHECK(write(ready, "r", 1) == 1);
    for (;;) {
        struct pollfd pollers[WIRE_ENDS];
        const uint64_t wait_ns = wire_round(&state);
        const struct timespec limit = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                                       .tv_nsec = (long)(wait_ns % NS_PER_S)};
        for (int end = 0; end < WIRE_ENDS; end++) {
            pollers[end] = (struct pollfd){.fd = state.ends[end], .events = POLLIN};
        }
        (void)ppoll(pollers, WIRE_ENDS, &limit, NULL);
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
