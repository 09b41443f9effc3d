/*
 * Our sockets, and pairs of one of ours and one of the kernel's, see tcp_world.h. What is sent is
 * a piece of one pattern each way, whose period is a prime, so that a byte at a wrong place of a
 * ring, or twice, is seen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rings/os/os.h"
#include "tcp_world_internal.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define RING_BYTES         (256u << 10)
#define PATTERN_PERIOD     65521u
#define PATTERN_PIECE      65536u
#define PATTERN_TO_OURS    30011u /* where the other direction begins */
#define PAIR_CLOSE_SECONDS 5

/* ---- life ---- */

static struct ours *ours_new(uint32_t send_bytes, uint32_t recv_bytes)
{
    struct ours *ours = calloc(1, sizeof(*ours));
    CHECK(ours != NULL);
    ours->send_bytes = send_bytes != 0 ? send_bytes : RING_BYTES;
    ours->recv_bytes = recv_bytes != 0 ? recv_bytes : RING_BYTES;
    ours->send_base = calloc(1, ours->send_bytes);
    ours->recv_base = calloc(1, ours->recv_bytes);
    CHECK(ours->send_base != NULL && ours->recv_base != NULL);
    ours->next = world.sockets;
    world.sockets = ours;
    return ours;
}

static struct tcp_rings ours_rings(struct ours *ours)
{
    return (struct tcp_rings){.send_base = ours->send_base,
                              .recv_base = ours->recv_base,
                              .send_bytes = ours->send_bytes,
                              .recv_bytes = ours->recv_bytes,
                              .recv_limit_bytes = ours->recv_bytes,
                              .send_head = &ours->send_head,
                              .recv_tail = &ours->recv_tail,
                              .recv_head = &ours->recv_head};
}

void ours_free(struct ours *ours)
{
    struct ours **link = &world.sockets;
    EXPECT(ours->conn == NULL);
    while (*link != ours) {
        link = &(*link)->next;
    }
    *link = ours->next;
    free(ours->send_base);
    free(ours->recv_base);
    free(ours);
}

void world_tcp_event(void *context, struct tcp_conn *conn, uint32_t events)
{
    struct ours *ours = world.sockets;
    (void)context;
    while (ours != NULL && ours->conn != conn) {
        ours = ours->next;
    }
    EXPECT(ours != NULL);
    ours->events |= events;
    if ((events & TCP_EVENT_ERROR) != 0) {
        ours->error = tcp_error(conn);
    }
    if ((events & TCP_EVENT_GONE) != 0) {
        EXPECT_IS(events, TCP_EVENT_GONE);
        ours->conn = NULL;
    }
    world.moved = true;
}

bool world_tcp_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                      struct tcp_rings *rings, void **owner)
{
    struct ours_listener *ours_listener = listener->owner;
    (void)context;
    EXPECT(ours_listener->accepted_count < 64);
    struct ours *ours = ours_new(ours_listener->send_bytes, ours_listener->recv_bytes);
    ours->conn = conn;
    *rings = ours_rings(ours);
    *owner = ours;
    ours_listener->accepted[ours_listener->accepted_count++] = ours;
    world.moved = true;
    return true;
}

struct ours *ours_connect(uint16_t port, const struct ours_options *options)
{
    static const struct ours_options none;
    options = options != NULL ? options : &none;
    struct ours *ours = ours_new(options->send_bytes, options->recv_bytes);
    const struct tcp_rings rings = ours_rings(ours);
    const struct tcp_connect_args args = {
        .peer_be32 = inet_addr(options->address != NULL ? options->address : WORLD_KERNEL),
        .peer_port_be16 = htons(port),
        .local_port_be16 = htons(options->local_port),
        .rings = &rings,
        .settings = &options->settings,
        .owner = ours};
    EXPECT_IS(tcp_connect(world.stack, &args, &ours->conn), RS_OK);
    world.moved = true;
    return ours;
}

struct ours_listener *ours_listen(uint16_t port, const struct ours_options *options)
{
    static const struct ours_options none;
    options = options != NULL ? options : &none;
    struct ours_listener *listener = calloc(1, sizeof(*listener));
    CHECK(listener != NULL);
    listener->send_bytes = options->send_bytes;
    listener->recv_bytes = options->recv_bytes != 0 ? options->recv_bytes : RING_BYTES;
    listener->backlog.limit = options->backlog != 0 ? options->backlog : 64;
    listener->tcp.reset_when_full = options->reset_when_full;
    listener->tcp.local_port_be16 = htons(port);
    listener->tcp.settings = options->settings;
    listener->tcp.backlog = &listener->backlog;
    listener->tcp.recv_window_bytes = listener->recv_bytes;
    listener->tcp.owner = listener;
    EXPECT_IS(tcp_listen(world.stack, &listener->tcp), RS_OK);
    return listener;
}

struct ours *ours_accept(struct ours_listener *listener)
{
    if (listener->accepted_count == 0) {
        return NULL;
    }
    struct ours *first = listener->accepted[0];
    listener->accepted_count--;
    memmove(listener->accepted, listener->accepted + 1,
            listener->accepted_count * sizeof(listener->accepted[0]));
    tcp_backlog_release(&listener->backlog);
    return first;
}

void ours_listener_close(struct ours_listener *listener)
{
    tcp_listener_close(world.stack, &listener->tcp);
    EXPECT_IS(listener->accepted_count, 0);
    free(listener);
}

/* ---- data ---- */

uint32_t ours_unacked(const struct ours *ours)
{
    return ours->send_tail - atomic_load_explicit(&ours->send_head, memory_order_acquire);
}

uint32_t ours_send(struct ours *ours, const void *data, uint32_t bytes)
{
    uint32_t room = ours->send_bytes - ours_unacked(ours);
    uint32_t off = ours->send_tail & (ours->send_bytes - 1);
    bytes = bytes < room ? bytes : room;
    uint32_t first = ours->send_bytes - off < bytes ? ours->send_bytes - off : bytes;
    if (bytes == 0) {
        return 0;
    }
    memcpy(ours->send_base + off, data, first);
    memcpy(ours->send_base, (const uint8_t *)data + first, bytes - first);
    ours->send_tail += bytes;
    EXPECT_IS(tcp_send_tail(world.stack, ours->conn, ours->send_tail), RS_OK);
    world.moved = true;
    return bytes;
}

uint32_t ours_peek(struct ours *ours, const uint8_t **data)
{
    uint32_t head = atomic_load_explicit(&ours->recv_head, memory_order_relaxed);
    uint32_t ready = atomic_load_explicit(&ours->recv_tail, memory_order_acquire) - head;
    uint32_t off = head & (ours->recv_bytes - 1);
    EXPECT(ready <= ours->recv_bytes);
    *data = ours->recv_base + off;
    return ready < ours->recv_bytes - off ? ready : ours->recv_bytes - off;
}

void ours_consume(struct ours *ours, uint32_t bytes)
{
    uint32_t head = atomic_load_explicit(&ours->recv_head, memory_order_relaxed);
    atomic_store_explicit(&ours->recv_head, head + bytes, memory_order_release);
    if (ours->conn != NULL) {
        EXPECT_IS(tcp_recv_consumed(world.stack, ours->conn), RS_OK);
    }
    world.moved = true;
}

uint32_t ours_recv(struct ours *ours, void *data, uint32_t bytes)
{
    const uint8_t *from;
    uint32_t got = ours_peek(ours, &from);
    got = got < bytes ? got : bytes;
    if (got > 0) {
        memcpy(data, from, got);
        ours_consume(ours, got);
    }
    return got;
}

void ours_shutdown_send(struct ours *ours)
{
    EXPECT_IS(tcp_shutdown_send(world.stack, ours->conn), RS_OK);
    world.moved = true;
}

void ours_close(struct ours *ours)
{
    tcp_close(world.stack, ours->conn, 0);
    world.moved = true;
}

void ours_abort(struct ours *ours)
{
    tcp_abort(world.stack, ours->conn);
    world.moved = true;
}

struct tcp_info ours_info(const struct ours *ours)
{
    struct tcp_info info;
    tcp_get_info(world.stack, ours->conn, &info);
    return info;
}

/* ---- pairs ---- */

struct pair pair_connect(const struct ours_options *options, const struct kernel_options *kernel)
{
    struct pair pair = {.kernel = -1};
    int listener = kernel_listen(WORLD_PORT, kernel);
    pair.ours = ours_connect(WORLD_PORT, options);
    UNTIL(5, "our connect, and the kernel's accept",
          pair.kernel >= 0 && (pair.ours->events & TCP_EVENT_CONNECTED) != 0)
    {
        pair.kernel = pair.kernel >= 0 ? pair.kernel : kernel_accept(listener);
    }
    kernel_close(listener);
    return pair;
}

struct pair pair_accept(const struct ours_options *options, const struct kernel_options *kernel)
{
    struct pair pair = {.ours = NULL};
    struct ours_listener *listener = ours_listen(WORLD_PORT, options);
    int result = EINPROGRESS;
    pair.kernel = kernel_connect(WORLD_OURS, WORLD_PORT, kernel);
    UNTIL(5, "the kernel's connect, and our accept", pair.ours != NULL && result == 0)
    {
        pair.ours = pair.ours != NULL ? pair.ours : ours_accept(listener);
        result = result == EINPROGRESS ? kernel_connect_result(pair.kernel) : result;
    }
    ours_listener_close(listener);
    return pair;
}

void world_know_kernel(void)
{
    struct ours *ours = ours_connect(1, NULL); /* nobody is there */
    AWAIT(2, "the kernel's reset", (ours->events & TCP_EVENT_ERROR) != 0);
    ours_close(ours);
    AWAIT(1, "the socket to be gone", ours->conn == NULL);
    ours_free(ours);
}

void pair_close(struct pair *pair, bool kernel_first)
{
    uint8_t byte;
    if (kernel_first) {
        kernel_shutdown_send(pair->kernel);
        AWAIT(PAIR_CLOSE_SECONDS, "the kernel's FIN", (pair->ours->events & TCP_EVENT_END) != 0);
        ours_close(pair->ours);
        AWAIT(PAIR_CLOSE_SECONDS, "our FIN", kernel_recv(pair->kernel, &byte, 1) == 0);
    } else {
        ours_close(pair->ours);
        AWAIT(PAIR_CLOSE_SECONDS, "our FIN", kernel_recv(pair->kernel, &byte, 1) == 0);
    }
    kernel_close(pair->kernel);
    AWAIT(PAIR_CLOSE_SECONDS, "both ends to be closed",
          pair->ours->conn == NULL && kernel_count_open() == 0);
    ours_free(pair->ours);
}

/* ---- transfers ---- */

/* The pattern from any place of the stream on, PATTERN_PIECE bytes long at least. */
static const uint8_t *pattern_at(uint64_t place)
{
    static uint8_t table[PATTERN_PERIOD + PATTERN_PIECE];
    static bool made;
    if (!made) {
        struct test_random random = test_random_make(1);
        for (uint32_t i = 0; i < sizeof(table); i++) {
            table[i] =
                i < PATTERN_PERIOD ? (uint8_t)test_random_u64(&random) : table[i - PATTERN_PERIOD];
        }
        made = true;
    }
    return table + place % PATTERN_PERIOD;
}

static uint32_t pump_piece(uint64_t done, uint64_t total)
{
    return total - done < PATTERN_PIECE ? (uint32_t)(total - done) : PATTERN_PIECE;
}

static void pump_check(const uint8_t *data, uint64_t place, uint32_t bytes, uint64_t start)
{
    const uint8_t *wanted = pattern_at(place + start);
    for (uint32_t i = 0; memcmp(data, wanted, bytes) != 0 && i < bytes; i++) {
        if (data[i] != wanted[i]) {
            FAIL("the byte %u behind %llu of the stream to %s is wrong", i,
                 (unsigned long long)place, start == 0 ? "the kernel" : "us");
        }
    }
}

void pump_ours_send(struct ours *ours, uint64_t *done, uint64_t total)
{
    *done += ours_send(ours, pattern_at(*done), pump_piece(*done, total));
}

void pump_ours_recv(struct ours *ours, uint64_t *done, uint32_t most)
{
    const uint8_t *data;
    uint32_t bytes = ours_peek(ours, &data);
    bytes = bytes < PATTERN_PIECE ? bytes : PATTERN_PIECE;
    bytes = bytes < most ? bytes : most;
    if (bytes > 0) {
        pump_check(data, *done, bytes, PATTERN_TO_OURS);
        ours_consume(ours, bytes);
        *done += bytes;
    }
}

void pump_kernel_send(int fd, uint64_t *done, uint64_t total)
{
    uint32_t bytes = pump_piece(*done, total);
    ssize_t sent = bytes > 0 ? kernel_send(fd, pattern_at(*done + PATTERN_TO_OURS), bytes) : 0;
    EXPECT(sent >= 0 || sent == -EAGAIN);
    if (sent > 0) {
        *done += (uint64_t)sent;
        world.moved = true;
    }
}

void pump_kernel_recv(int fd, uint64_t *done, uint32_t most)
{
    static uint8_t data[PATTERN_PIECE];
    ssize_t got = kernel_recv(fd, data, most < PATTERN_PIECE ? most : PATTERN_PIECE);
    EXPECT(got >= 0 || got == -EAGAIN);
    if (got > 0) {
        pump_check(data, *done, (uint32_t)got, 0);
        *done += (uint64_t)got;
        world.moved = true;
    }
}

/* The kernel's socket in the hands of a process of its own, as a program has it: it reads when
 * something comes, not when the stack lets it. */
static pid_t kernel_start(int fd, uint64_t to_kernel_bytes, uint64_t to_ours_bytes)
{
    uint64_t received = 0;
    uint64_t sent = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    world.stack = NULL; /* the parent's to tell of */
    while (received < to_kernel_bytes || sent < to_ours_bytes) {
        pump_kernel_send(fd, &sent, to_ours_bytes);
        pump_kernel_recv(fd, &received, UINT32_MAX);
        EXPECT(received <= to_kernel_bytes);
        if (received < to_kernel_bytes || sent < to_ours_bytes) {
            kernel_wait(fd, received < to_kernel_bytes, sent < to_ours_bytes);
        }
    }
    _exit(0); /* the parent's memory is none of its */
}

/* True: it has done its part. */
static bool kernel_ended(pid_t *pid)
{
    int status = 0;
    if (*pid != 0 && waitpid(*pid, &status, WNOHANG) == *pid) {
        *pid = 0;
        if (status != 0) {
            FAIL("the kernel's program ended with status %#x", status);
        }
    }
    return *pid == 0;
}

void pair_transfer(struct pair *pair, const char *name, uint64_t to_kernel_bytes,
                   uint64_t to_ours_bytes, double seconds)
{
    uint64_t start_ns = os_monotonic_ns();
    uint64_t sent = 0;
    uint64_t received = 0;
    const uint64_t kernel_timeouts = kernel_counter("TCPTimeouts");
    (void)pattern_at(0);
    pid_t pid = kernel_start(pair->kernel, to_kernel_bytes, to_ours_bytes);
    UNTIL(seconds, name, kernel_ended(&pid) && received == to_ours_bytes)
    {
        pump_ours_send(pair->ours, &sent, to_kernel_bytes);
        pump_ours_recv(pair->ours, &received, UINT32_MAX);
        EXPECT(received <= to_ours_bytes);
        EXPECT_IS(pair->ours->error, RS_OK);
    }
    double took = (double)(os_monotonic_ns() - start_ns) / 1e9;
    struct tcp_info info = ours_info(pair->ours);
    printf("  %s: %.1f + %.1f MiB in %.2f s, %.2f Gbit/s; ours so far: %u segments again, %u "
           "timeouts, %u undos; the kernel's: %u again, %u timeouts\n",
           name, (double)to_kernel_bytes / 1048576, (double)to_ours_bytes / 1048576, took,
           (double)(to_kernel_bytes + to_ours_bytes) * 8 / took / 1e9, info.retransmits,
           info.timeouts, info.undos, kernel_retransmits(pair->kernel),
           (unsigned)(kernel_counter("TCPTimeouts") - kernel_timeouts));
}
