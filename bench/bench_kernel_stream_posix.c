/*
 * The baselines of bench_stream.c and bench_stream_programs.c: the same exchanges over the kernel's
 * TCP loopback, with the same call sizes, options and checks. Bulk has a thread for each end, a
 * processor each, and the kernel's own buffer sizes, its best. The second program of a pair is this
 * program started again ("--stream-kernel"). Main thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/bulk.h"
#include "bench/child.h"
#include "bench/kernel_kit_posix.h"
#include "bench/pair.h"
#include "bench/process.h"
#include "rings/os/os.h"

enum { KERNEL_WINDOW = 128, KERNEL_BATCH = 64, KERNEL_WARM_UP = 200 };

static void kernel_close_pair(const int ends[2])
{
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* ---- one thread ---- */

typedef bool kernel_work(const int ends[2], uint64_t iterations);

static bool kernel_work_one_thread(const int ends[2], uint64_t iterations)
{
    bool good = true;
    for (uint64_t i = 0; i < iterations && good; i++) {
        good = kernel_tcp_put(ends[0], i) && kernel_tcp_get(ends[1], i, 0) &&
               kernel_tcp_put(ends[1], i) && kernel_tcp_get(ends[0], i, 0);
    }
    return good;
}

static bool kernel_work_messages(const int ends[2], uint64_t iterations)
{
    bool good = true;
    uint64_t sent = 0;
    uint64_t received = 0;
    while (received < iterations && good) {
        for (int i = 0; i < KERNEL_BATCH && sent < iterations && good; i++) {
            good = kernel_tcp_put(ends[0], sent++);
        }
        uint64_t leave = sent < iterations ? KERNEL_WINDOW - KERNEL_BATCH : 0;
        while (good && sent - received > leave) {
            good = kernel_tcp_get(ends[1], received++, 0);
        }
    }
    return good;
}

static uint64_t kernel_measure(struct bench_context *context, uint64_t iterations,
                               kernel_work *work)
{
    int ends[2];
    if (!kernel_tcp_pair(ends)) {
        (void)kernel_tcp_fail(context, "a connection");
        return 0;
    }
    bool good = work(ends, KERNEL_WARM_UP);
    uint64_t start_ns = os_monotonic_ns();
    good = good && work(ends, iterations);
    uint64_t elapsed_ns = os_monotonic_ns() - start_ns;
    if (!good) {
        (void)kernel_tcp_fail(context, "a connection of one thread");
        elapsed_ns = 0;
    }
    context->verified = iterations;
    kernel_close_pair(ends);
    return elapsed_ns;
}

uint64_t bench_tcp_one_thread_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_measure(context, iterations, kernel_work_one_thread);
}

uint64_t bench_tcp_messages_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_measure(context, iterations, kernel_work_messages);
}

/* ---- bulk: a thread for each end ---- */

struct kernel_bulk {
    int ends[2];
    uint64_t total_bytes;
    int flags;                /* MSG_DONTWAIT: both poll */
    bool sent;                /* far's, read when it has ended */
    bool received;            /* near's */
    _Atomic uint32_t give_up; /* near tells far that it takes no more */
};

static void kernel_bulk_send(void *arg)
{
    struct kernel_bulk *bulk = arg;
    uint64_t sent = 0;
    while (sent < bulk->total_bytes) {
        ssize_t done = send(bulk->ends[0], bulk_at(sent), bulk_bytes(sent, bulk->total_bytes),
                            bulk->flags | MSG_NOSIGNAL);
        bool again = done < 0 && errno == EAGAIN && atomic_load(&bulk->give_up) == 0;
        if (done <= 0 && !again) {
            return;
        }
        sent += again ? 0 : (uint64_t)done;
    }
    bulk->sent = true;
}

static void kernel_bulk_receive(void *arg)
{
    static uint8_t block[BULK_BLOCK_BYTES];
    struct kernel_bulk *bulk = arg;
    uint64_t received = 0;
    bool good = true;
    while (received < bulk->total_bytes && good) {
        ssize_t got =
            recv(bulk->ends[1], block, bulk_bytes(received, bulk->total_bytes), bulk->flags);
        if (got < 0 && errno == EAGAIN && bulk->flags != 0) {
            continue;
        }
        good = got > 0 && bulk_check(block, received, (size_t)got);
        received += good ? (uint64_t)got : 0;
    }
    bulk->received = good;
    if (!good) {
        atomic_store(&bulk->give_up, 1);
        (void)shutdown(bulk->ends[0], SHUT_RDWR); /* ends the sender, which may wait for room */
    }
}

static uint64_t kernel_bulk(struct bench_context *context, uint64_t iterations, int flags)
{
    struct kernel_bulk bulk = {.total_bytes = iterations * BULK_BLOCK_BYTES, .flags = flags};
    if (!kernel_tcp_pair(bulk.ends)) {
        (void)kernel_tcp_fail(context, "a connection");
        return 0;
    }
    uint64_t elapsed_ns = pair_run(context, kernel_bulk_receive, kernel_bulk_send, &bulk);
    if (elapsed_ns != 0 && (!bulk.sent || !bulk.received)) {
        (void)kernel_tcp_fail(context, "bulk");
        elapsed_ns = 0;
    }
    context->verified = iterations;
    kernel_close_pair(bulk.ends);
    return elapsed_ns;
}

uint64_t bench_tcp_bulk_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_bulk(context, iterations, 0);
}

uint64_t bench_tcp_bulk_busy_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_bulk(context, iterations, MSG_DONTWAIT);
}

/* Both ends in one thread, as Ringsock's: nothing crosses from processor to processor. */
static bool kernel_work_bulk(const int ends[2], uint64_t iterations)
{
    static uint8_t block[BULK_BLOCK_BYTES];
    const uint64_t total = iterations * BULK_BLOCK_BYTES;
    uint64_t sent = 0;
    uint64_t received = 0;
    while (received < total) {
        ssize_t done = 0;
        if (sent < total) {
            done =
                send(ends[0], bulk_at(sent), bulk_bytes(sent, total), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (done < 0 && errno != EAGAIN) {
                return false;
            }
            sent += done > 0 ? (uint64_t)done : 0;
        }
        ssize_t got = recv(ends[1], block, bulk_bytes(received, total), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN) ||
            (got > 0 && !bulk_check(block, received, (size_t)got))) {
            return false;
        }
        received += got > 0 ? (uint64_t)got : 0;
    }
    return true;
}

uint64_t bench_tcp_bulk_one_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_measure(context, iterations, kernel_work_bulk);
}

/* ---- connections a second ---- */

static bool kernel_serve_batch(int listener, uint64_t count, uint64_t first)
{
    bool good = true;
    for (uint64_t i = 0; i < count && good; i++) {
        int end = kernel_tcp_accept(listener);
        good = end >= 0 && kernel_tcp_get(end, first + i, 0) && kernel_tcp_put(end, first + i);
        good = end >= 0 && close(end) == 0 && good;
    }
    return good;
}

/* The accepting end closes first: TIME_WAIT then holds none of the connecting end's ports. */
static bool kernel_work_connections(int listener, const struct sockaddr_in *addr,
                                    uint64_t iterations)
{
    int ends[BENCH_CONNECT_BATCH];
    bool good = true;
    for (uint64_t first = 0; first < iterations && good; first += BENCH_CONNECT_BATCH) {
        uint64_t left = iterations - first;
        uint64_t count = left < BENCH_CONNECT_BATCH ? left : BENCH_CONNECT_BATCH;
        uint64_t opened = 0;
        while (opened < count && good) {
            ends[opened] = kernel_tcp_connect(addr);
            good = ends[opened] >= 0;
            opened += good;
        }
        for (uint64_t i = 0; i < opened && good; i++) {
            good = kernel_tcp_put(ends[i], first + i);
        }
        good = good && kernel_serve_batch(listener, count, first);
        for (uint64_t i = 0; i < opened; i++) {
            good = good && kernel_tcp_get(ends[i], first + i, 0);
            (void)close(ends[i]);
        }
    }
    return good;
}

uint64_t bench_tcp_connections_kernel(struct bench_context *context, uint64_t iterations)
{
    struct sockaddr_in addr;
    int listener = kernel_tcp_listen(2 * BENCH_CONNECT_BATCH, &addr);
    if (listener < 0) {
        (void)kernel_tcp_fail(context, "a listener");
        return 0;
    }
    bool good = kernel_work_connections(listener, &addr, KERNEL_WARM_UP);
    uint64_t start_ns = os_monotonic_ns();
    good = good && kernel_work_connections(listener, &addr, iterations);
    uint64_t elapsed_ns = os_monotonic_ns() - start_ns;
    (void)close(listener);
    if (!good) {
        (void)kernel_tcp_fail(context, "connections, one after the other");
        return 0;
    }
    context->verified = iterations;
    return elapsed_ns;
}

/* The same with the accepting end in a thread on the other processor; both poll. */
struct kernel_visits {
    struct sockaddr_in addr;
    int listener;
    uint64_t count;
    bool visited;             /* near's, read when it has ended */
    _Atomic uint32_t give_up; /* near tells far that no more will come */
};

static void kernel_visits_serve(void *arg)
{
    struct kernel_visits *visits = arg;
    bool good = fcntl(visits->listener, F_SETFL, O_NONBLOCK) == 0;
    for (uint64_t i = 0; i < visits->count && good; i++) {
        int end;
        do {
            end = kernel_tcp_accept(visits->listener);
        } while (end < 0 && errno == EAGAIN && atomic_load(&visits->give_up) == 0);
        good = end >= 0 && kernel_tcp_get(end, i, MSG_DONTWAIT) && kernel_tcp_put(end, i);
        if (end >= 0) {
            (void)close(end);
        }
    }
    (void)close(visits->listener); /* when it gave up: resets who waits */
}

static void kernel_visits_make(void *arg)
{
    struct kernel_visits *visits = arg;
    int ends[BENCH_CONNECT_BATCH];
    bool good = true;
    for (uint64_t first = 0; first < visits->count && good; first += BENCH_CONNECT_BATCH) {
        uint64_t left = visits->count - first;
        uint64_t count = left < BENCH_CONNECT_BATCH ? left : BENCH_CONNECT_BATCH;
        uint64_t opened = 0;
        while (opened < count && good) {
            ends[opened] = kernel_tcp_connect(&visits->addr);
            good = ends[opened] >= 0 && kernel_tcp_put(ends[opened], first + opened);
            opened += ends[opened] >= 0;
        }
        for (uint64_t i = 0; i < opened; i++) {
            good = good && kernel_tcp_get(ends[i], first + i, MSG_DONTWAIT);
            (void)close(ends[i]);
        }
    }
    visits->visited = good;
    atomic_store(&visits->give_up, 1);
}

uint64_t bench_tcp_connections_two_kernel(struct bench_context *context, uint64_t iterations)
{
    struct kernel_visits visits = {.count = iterations};
    visits.listener = kernel_tcp_listen(2 * BENCH_CONNECT_BATCH, &visits.addr);
    if (visits.listener < 0) {
        (void)kernel_tcp_fail(context, "a listener");
        return 0;
    }
    uint64_t elapsed_ns = pair_run(context, kernel_visits_make, kernel_visits_serve, &visits);
    if (elapsed_ns != 0 && !visits.visited) {
        (void)kernel_tcp_fail(context, "connections between two threads");
        return 0;
    }
    context->verified = iterations;
    return elapsed_ns;
}

/* ---- two programs ---- */

/* "--stream-kernel PORT CORE FLAGS": connects to PORT and sends back what comes; ends with its
 * starter. */
int child_stream_kernel(int argc, char **argv)
{
    if (argc != 5 || os_thread_pin((uint32_t)strtoul(argv[3], NULL, 10)) != RS_OK) {
        return 2;
    }
    const struct sockaddr_in starter = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int flags = (int)strtoul(argv[4], NULL, 10);
    int fd = kernel_tcp_connect(&starter);
    uint8_t bytes[64];
    while (fd >= 0) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), flags);
        if (got < 0 && errno == EAGAIN && flags != 0) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? 0 : 1;
        }
        if (send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got) {
            return 1;
        }
    }
    return 1;
}

/* Starts the echo program. Returns our end of its connection, -1: context->error. */
static int kernel_start_stream(struct bench_context *context, int flags, struct process *echo)
{
    struct sockaddr_in addr;
    char port[16];
    char core[16];
    char flags_text[16];
    int listener = kernel_tcp_listen(1, &addr);
    int fd = -1;
    if (listener < 0) {
        (void)kernel_tcp_fail(context, "a listener");
        return -1;
    }
    (void)snprintf(port, sizeof(port), "%u", ntohs(addr.sin_port));
    (void)snprintf(core, sizeof(core), "%u", context->core_far);
    (void)snprintf(flags_text, sizeof(flags_text), "%d", flags);
    const char *argv[] = {context->program, "--stream-kernel", port, core, flags_text, NULL};
    const struct timeval bound = {.tv_sec = KERNEL_TIMEOUT_S};
    if (process_start(argv, echo, context->error, sizeof(context->error))) {
        if (setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) == 0) {
            fd = kernel_tcp_accept(listener);
        }
        if (fd < 0) {
            (void)kernel_tcp_fail(context, "the echo program did not connect");
            (void)process_stop(echo);
        }
    }
    (void)close(listener);
    return fd;
}

static bool kernel_work_echo(int fd, uint64_t iterations, int flags)
{
    bool good = true;
    for (uint64_t i = 0; i < iterations && good; i++) {
        good = kernel_tcp_put(fd, i) && kernel_tcp_get(fd, i, flags);
    }
    return good;
}

static uint64_t kernel_two_programs(struct bench_context *context, uint64_t iterations, int flags)
{
    struct process echo = {.handle = -1, .output = -1};
    int fd = kernel_start_stream(context, flags, &echo);
    if (fd < 0) {
        return 0;
    }
    bool good = kernel_work_echo(fd, KERNEL_WARM_UP, flags);
    uint64_t start_ns = os_monotonic_ns();
    good = good && kernel_work_echo(fd, iterations, flags);
    uint64_t elapsed_ns = os_monotonic_ns() - start_ns;
    if (!good) {
        (void)kernel_tcp_fail(context, "TCP round trip between programs");
        elapsed_ns = 0;
    }
    context->verified = iterations;
    (void)process_stop(&echo);
    (void)close(fd);
    return elapsed_ns;
}

uint64_t bench_tcp_blocking_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_two_programs(context, iterations, 0);
}

uint64_t bench_tcp_busy_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_two_programs(context, iterations, MSG_DONTWAIT);
}
