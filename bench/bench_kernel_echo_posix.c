/*
 * The baseline of bench_stream_echo.c over the kernel's loopback: client and server with epoll, a
 * processor each, the same calls and checks, one request under way on each connection. The server
 * is this program started again ("--echo-server-kernel"). Main thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/child.h"
#include "bench/dataplane.h"
#include "bench/kernel_kit_posix.h"
#include "bench/payload.h"
#include "bench/process.h"
#include "rings/os/os.h"

enum { ECHO_BACKLOG = 128, ECHO_EVENTS = 1024, ECHO_START_MS = 10000 };

#define ECHO_LISTENER UINT32_MAX

static bool echo_raise_limit(uint32_t connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return false;
    }
    if (limit.rlim_cur >= wanted) {
        return true;
    }
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted;
}

static bool echo_watch(int poller, int fd, uint32_t token)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = token};
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* ---- the server program ---- */

/* False: the connection has ended. */
static bool echo_server_serve(int fd)
{
    uint8_t buffer[64];
    ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return true;
    }
    return got > 0 && send(fd, buffer, (size_t)got, MSG_NOSIGNAL) == got;
}

static int echo_server_run(int poller, int listener, uint32_t connections)
{
    static struct epoll_event events[ECHO_EVENTS];
    uint32_t closed = 0;
    while (closed < connections) {
        int ready = epoll_wait(poller, events, ECHO_EVENTS, KERNEL_TIMEOUT_S * 1000);
        if (ready <= 0) {
            return 1;
        }
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u32 == ECHO_LISTENER) {
                int fd = kernel_tcp_accept(listener);
                if (fd < 0 || !echo_watch(poller, fd, (uint32_t)fd)) {
                    return 1;
                }
            } else if (!echo_server_serve((int)events[i].data.u32)) {
                (void)close((int)events[i].data.u32);
                closed++;
            }
        }
    }
    return 0;
}

/* "--echo-server-kernel CORE CONNECTIONS": says "port N", and serves until all are closed, or
 * nothing happened for the time-out. */
int child_echo_server_kernel(int argc, char **argv)
{
    struct sockaddr_in addr;
    if (argc != 4 || os_thread_pin((uint32_t)strtoul(argv[2], NULL, 10)) != RS_OK) {
        return 2;
    }
    uint32_t connections = (uint32_t)strtoul(argv[3], NULL, 10);
    int listener = kernel_tcp_listen(ECHO_BACKLOG, &addr);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || poller < 0 || !echo_raise_limit(connections) ||
        !echo_watch(poller, listener, ECHO_LISTENER)) {
        return 1;
    }
    (void)printf("port %u\n", ntohs(addr.sin_port));
    (void)fflush(stdout);
    return echo_server_run(poller, listener, connections);
}

/* ---- the client program ---- */

struct echo_connection {
    int fd;
    uint64_t next; /* number of the request under way */
    size_t have;   /* bytes of its answer */
    struct payload payload;
};

struct echo_client {
    int poller;
    uint32_t connections, opened;
    struct echo_connection states[BENCH_CROWD];
};

static uint64_t echo_seq(uint32_t connection, uint64_t number)
{
    return (uint64_t)connection << 32 | number;
}

/* A batch at a time, and each is used once: so the server has accepted it. */
static bool echo_connect(struct echo_client *self, const struct sockaddr_in *to)
{
    for (uint32_t first = 0; first < self->connections; first += BENCH_CONNECT_BATCH) {
        uint32_t left = self->connections - first;
        uint32_t end = first + (left < BENCH_CONNECT_BATCH ? left : BENCH_CONNECT_BATCH);
        for (uint32_t i = first; i < end; i++) {
            int fd = kernel_tcp_connect(to);
            if (fd < 0) {
                return false;
            }
            self->states[self->opened++] = (struct echo_connection){.fd = fd, .next = 1};
            if (!echo_watch(self->poller, fd, i) || !kernel_tcp_put(fd, echo_seq(i, 0))) {
                return false;
            }
        }
        for (uint32_t i = first; i < end; i++) {
            if (!kernel_tcp_get(self->states[i].fd, echo_seq(i, 0), 0)) {
                return false;
            }
        }
    }
    return true;
}

/* What has come of an answer. Complete, it is checked; *answered counts it. */
static bool echo_take(struct echo_client *self, uint32_t i, uint64_t *answered)
{
    struct echo_connection *state = &self->states[i];
    ssize_t got = recv(state->fd, (uint8_t *)&state->payload + state->have,
                       sizeof(state->payload) - state->have, MSG_DONTWAIT);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    state->have += (size_t)got;
    if (state->have < sizeof(state->payload)) {
        return true;
    }
    if (!payload_check(&state->payload, echo_seq(i, state->next))) {
        return false;
    }
    state->have = 0;
    state->next++;
    (*answered)++;
    return true;
}

/* As many requests as `requests`, over all connections. Each has one under way until enough are. */
static bool echo_run(struct echo_client *self, uint64_t requests)
{
    static struct epoll_event events[ECHO_EVENTS];
    uint64_t asked = 0;
    uint64_t answered = 0;
    bool good = true;
    for (uint32_t i = 0; i < self->connections && asked < requests && good; i++) {
        good = kernel_tcp_put(self->states[i].fd, echo_seq(i, self->states[i].next));
        asked++;
    }
    while (answered < requests && good) {
        int ready = epoll_wait(self->poller, events, ECHO_EVENTS, KERNEL_TIMEOUT_S * 1000);
        good = ready > 0;
        for (int n = 0; n < ready && good; n++) {
            uint32_t i = events[n].data.u32;
            uint64_t before = answered;
            good = echo_take(self, i, &answered);
            if (good && answered != before && asked < requests) {
                good = kernel_tcp_put(self->states[i].fd, echo_seq(i, self->states[i].next));
                asked++;
            }
        }
    }
    return good;
}

static bool echo_start(struct bench_context *context, uint32_t connections, struct process *server,
                       struct sockaddr_in *addr)
{
    char core[16];
    char count[16];
    uint32_t port = 0;
    (void)snprintf(core, sizeof(core), "%u", context->core_far);
    (void)snprintf(count, sizeof(count), "%u", connections);
    const char *argv[] = {context->program, "--echo-server-kernel", core, count, NULL};
    if (!process_start(argv, server, context->error, sizeof(context->error))) {
        return false;
    }
    if (!process_wait_number(server, "port ", ECHO_START_MS, &port)) {
        (void)process_stop(server);
        return kernel_tcp_fail(context, "the echo server did not start");
    }
    *addr = (struct sockaddr_in){.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return true;
}

uint64_t bench_tcp_echo_kernel(struct bench_context *context, uint64_t iterations)
{
    static struct echo_client self;
    struct process server = {.handle = -1, .output = -1};
    struct sockaddr_in addr;
    uint64_t elapsed_ns = 0;
    memset(&self, 0, sizeof(self));
    self.connections = bench_crowd(iterations);
    self.poller = epoll_create1(EPOLL_CLOEXEC);
    if (self.poller < 0 || !echo_raise_limit(self.connections)) {
        (void)kernel_tcp_fail(context, "as many connections");
        return 0;
    }
    if (echo_start(context, self.connections, &server, &addr)) {
        bool good = echo_connect(&self, &addr);
        uint64_t start_ns = os_monotonic_ns();
        good = good && echo_run(&self, iterations);
        elapsed_ns = os_monotonic_ns() - start_ns;
        if (!good) {
            (void)kernel_tcp_fail(context, "echo over many connections");
            elapsed_ns = 0;
        }
        context->verified = iterations;
        (void)process_stop(&server);
    }
    for (uint32_t i = 0; i < self.opened; i++) {
        (void)close(self.states[i].fd);
    }
    (void)close(self.poller);
    return elapsed_ns;
}
