/*
 * The baselines: the same exchanges over the kernel's UDP loopback, with the same call sizes,
 * connected sockets and checks as bench_client.c. The second program of a pair is this program
 * started again ("--echo-kernel").
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/child.h"
#include "bench/payload.h"
#include "bench/process.h"
#include "rings/os/os.h"

enum { KERNEL_WINDOW = 128, KERNEL_BATCH = 64, KERNEL_WARM_UP = 200 };

static bool kernel_fail(struct bench_context *context, const char *call)
{
    (void)snprintf(context->error, sizeof(context->error), "%s: %s", call, strerror(errno));
    return false;
}

/* A bound socket on 127.0.0.1, its address in *addr. */
static int kernel_socket(struct sockaddr_in *addr)
{
    socklen_t bytes = sizeof(*addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd >= 0 && (bind(fd, (struct sockaddr *)addr, bytes) != 0 ||
                    getsockname(fd, (struct sockaddr *)addr, &bytes) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Two sockets connected to each other. */
static bool kernel_pair(struct bench_context *context, int fds[2])
{
    struct sockaddr_in addrs[2];
    fds[0] = kernel_socket(&addrs[0]);
    fds[1] = kernel_socket(&addrs[1]);
    if (fds[0] >= 0 && fds[1] >= 0 &&
        connect(fds[0], (struct sockaddr *)&addrs[1], sizeof(addrs[1])) == 0 &&
        connect(fds[1], (struct sockaddr *)&addrs[0], sizeof(addrs[0])) == 0) {
        return true;
    }
    (void)kernel_fail(context, "a pair of UDP sockets");
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return false;
}

static bool kernel_send(int fd, uint64_t seq)
{
    struct payload payload;
    payload_fill(&payload, seq);
    return send(fd, &payload, sizeof(payload), 0) == (ssize_t)sizeof(payload);
}

/* flags: MSG_DONTWAIT polls. */
static bool kernel_recv(int fd, uint64_t seq, int flags)
{
    struct payload payload;
    ssize_t got;
    do {
        got = recv(fd, &payload, sizeof(payload), flags);
    } while (got < 0 && errno == EAGAIN && flags != 0);
    return got == (ssize_t)sizeof(payload) && payload_check(&payload, seq);
}

/* ---- one thread ---- */

uint64_t bench_udp_one_thread_kernel(struct bench_context *context, uint64_t iterations)
{
    int fds[2];
    if (!kernel_pair(context, fds)) {
        return 0;
    }
    bool good = true;
    uint64_t start_ns = os_monotonic_ns();
    for (uint64_t i = 0; i < iterations && good; i++) {
        good = kernel_send(fds[0], i) && kernel_recv(fds[1], i, 0) && kernel_send(fds[1], i) &&
               kernel_recv(fds[0], i, 0);
    }
    uint64_t elapsed_ns = os_monotonic_ns() - start_ns;
    (void)close(fds[0]);
    (void)close(fds[1]);
    if (!good) {
        (void)kernel_fail(context, "UDP round trip");
        return 0;
    }
    context->verified = iterations;
    return elapsed_ns;
}

uint64_t bench_udp_messages_kernel(struct bench_context *context, uint64_t iterations)
{
    int fds[2];
    if (!kernel_pair(context, fds)) {
        return 0;
    }
    bool good = true;
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t start_ns = os_monotonic_ns();
    while (received < iterations && good) {
        for (int i = 0; i < KERNEL_BATCH && sent < iterations && good; i++) {
            good = kernel_send(fds[0], sent++);
        }
        uint64_t leave = sent < iterations ? KERNEL_WINDOW - KERNEL_BATCH : 0;
        while (good && sent - received > leave) {
            good = kernel_recv(fds[1], received++, 0);
        }
    }
    uint64_t elapsed_ns = os_monotonic_ns() - start_ns;
    (void)close(fds[0]);
    (void)close(fds[1]);
    if (!good) {
        (void)kernel_fail(context, "UDP messages");
        return 0;
    }
    context->verified = iterations;
    return elapsed_ns;
}

/* ---- two programs ---- */

/* "--echo-kernel PORT CORE FLAGS": sends back what comes from PORT; ends with its starter. */
int child_echo_kernel(int argc, char **argv)
{
    if (argc != 5) {
        return 2;
    }
    struct sockaddr_in addr;
    struct sockaddr_in starter = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int flags = (int)strtoul(argv[4], NULL, 10);
    int fd = kernel_socket(&addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&starter, sizeof(starter)) != 0 ||
        os_thread_pin((uint32_t)strtoul(argv[3], NULL, 10)) != RS_OK) {
        return 1;
    }
    struct payload payload = {{0}};
    if (send(fd, &payload, 1, 0) != 1) { /* tells the starter our address */
        return 1;
    }
    for (;;) {
        ssize_t got = recv(fd, &payload, sizeof(payload), flags);
        if (got < 0 && errno == EAGAIN) {
            continue;
        }
        if (got < 0 || send(fd, &payload, (size_t)got, 0) != got) {
            return 1;
        }
    }
}

/* Starts the echo program and connects fd to it. */
static bool kernel_start_echo(struct bench_context *context, int fd, uint16_t port, int flags,
                              struct process *echo)
{
    char port_text[16];
    char core_text[16];
    char flags_text[16];
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    (void)snprintf(core_text, sizeof(core_text), "%u", context->core_far);
    (void)snprintf(flags_text, sizeof(flags_text), "%d", flags);
    const char *argv[] = {context->program, "--echo-kernel", port_text,
                          core_text,        flags_text,      NULL};
    if (!process_start(argv, echo, context->error, sizeof(context->error))) {
        return false;
    }
    struct sockaddr_in from;
    socklen_t from_bytes = sizeof(from);
    char byte;
    struct timeval bound = {.tv_sec = 5};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)) != 0 ||
        recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &from_bytes) != 1 ||
        connect(fd, (struct sockaddr *)&from, sizeof(from)) != 0) {
        (void)kernel_fail(context, "the echo program did not answer");
        (void)process_stop(echo);
        return false;
    }
    return true;
}

static uint64_t kernel_two_programs(struct bench_context *context, uint64_t iterations, int flags)
{
    struct sockaddr_in addr;
    struct process echo = {.handle = -1, .output = -1};
    int fd = kernel_socket(&addr);
    uint64_t elapsed_ns = 0;
    if (fd < 0) {
        (void)kernel_fail(context, "socket");
        return 0;
    }
    if (!kernel_start_echo(context, fd, ntohs(addr.sin_port), flags, &echo)) {
        goto close_socket;
    }
    bool good = true;
    for (uint64_t i = 0; i < KERNEL_WARM_UP && good; i++) {
        good = kernel_send(fd, i) && kernel_recv(fd, i, flags);
    }
    uint64_t start_ns = os_monotonic_ns();
    for (uint64_t i = 0; i < iterations && good; i++) {
        good = kernel_send(fd, i) && kernel_recv(fd, i, flags);
    }
    elapsed_ns = os_monotonic_ns() - start_ns;
    if (!good) {
        (void)kernel_fail(context, "UDP round trip between programs");
        elapsed_ns = 0;
    }
    context->verified = iterations;
    (void)process_stop(&echo);
close_socket:
    (void)close(fd);
    return elapsed_ns;
}

uint64_t bench_udp_blocking_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_two_programs(context, iterations, 0);
}

uint64_t bench_udp_busy_kernel(struct bench_context *context, uint64_t iterations)
{
    return kernel_two_programs(context, iterations, MSG_DONTWAIT);
}
