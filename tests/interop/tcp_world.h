/*
 * A stack of ours and the kernel on one cable: the stack runs in this thread, on the monotonic
 * clock, its NIC is a TAP device whose other end is the kernel's, in a network namespace of this
 * process. Ours is 192.0.2.10, the kernel 192.0.2.1. A test is a sequence of calls; whatever it
 * waits for it waits for in UNTIL or AWAIT, which runs the stack, is bounded, and on failure says
 * what did not happen and prints frames, sockets and counters.
 */
#ifndef RINGSOCK_TESTS_INTEROP_TCP_WORLD_H
#define RINGSOCK_TESTS_INTEROP_TCP_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/stack.h"
#include "kernel_side.h"
#include "nic_tap.h"

#define WORLD_OURS   "192.0.2.10"
#define WORLD_KERNEL "192.0.2.1"
#define WORLD_FAR    "198.51.100.2" /* a second kernel, behind the first one as a router */
#define WORLD_PORT   5001u

struct world_config {
    uint32_t mtu_bytes;        /* ours */
    uint32_t kernel_mtu_bytes; /* of the kernel's end of the cable */
    uint32_t nic_caps;
    uint32_t far_mtu_bytes; /* 0: no second kernel; else of the link to it */
    struct tcp_config tcp;
};

struct world {
    struct nic *nic;
    struct stack *stack;
    struct ours *sockets; /* all that are not freed */
    int kernel, far;      /* namespaces */
    int tap_fd;
    char why[512]; /* the test fails */
    bool moved;    /* something happened since the last poll: do not wait */
};

extern struct world world;

/* MTU 1500, up to 256 connections, Linux's values. */
struct world_config world_config_default(void);
/* Once per process; the kernel uses CUBIC. */
void world_open(const struct world_config *config);
/* Fails when a buffer or the ledger's balance is lost. */
void world_close(void);
/* One iteration of the stack, and when nothing happened a wait of a millisecond at most for a
 * frame. */
void world_poll(void);
/* Until the kernel's MAC is known: of many segments to a stranger some are lost. */
void world_know_kernel(void);
void world_faults(struct nic_tap_faults in, struct nic_tap_faults out);
void world_no_faults(void);
uint64_t world_counter(enum counter_id id);
/* TIME_WAITs of the stack. */
uint32_t world_time_waits(void);

/* Prints frames, sockets, counters and world.why, and ends the program with status 1. */
__attribute__((noreturn)) void world_fail(const char *file, int line);
#define FAIL(...)                                                  \
    do {                                                           \
        (void)snprintf(world.why, sizeof(world.why), __VA_ARGS__); \
        world_fail(__FILE__, __LINE__);                            \
    } while (0)
uint64_t world_deadline_ns(double seconds);
void world_wait(uint64_t deadline_ns, const char *what, const char *file, int line);

/* Runs the stack until the condition holds. A block follows: what to do in each round. */
#define UNTIL(seconds, what, condition)                                \
    for (uint64_t until_ns = world_deadline_ns(seconds); !(condition); \
         world_wait(until_ns, what, __FILE__, __LINE__))
/* The same with nothing to do. */
#define AWAIT(seconds, what, condition)    \
    do {                                   \
        UNTIL(seconds, what, condition) {} \
    } while (0)
#define EXPECT(condition)                     \
    do {                                      \
        if (!(condition)) {                   \
            FAIL("not true: %s", #condition); \
        }                                     \
    } while (0)
/* Two numbers that must be the same. */
#define EXPECT_IS(value, wanted)                                                             \
    do {                                                                                     \
        long long expect_value = (long long)(value);                                         \
        long long expect_wanted = (long long)(wanted);                                       \
        if (expect_value != expect_wanted) {                                                 \
            FAIL("%s is %lld, not %s (%lld)", #value, expect_value, #wanted, expect_wanted); \
        }                                                                                    \
    } while (0)

/* ---- our sockets: what a provider's socket is to a stack, without a session ---- */

struct ours {
    struct ours *next;     /* of world.sockets */
    struct tcp_conn *conn; /* NULL after TCP_EVENT_GONE */
    uint8_t *send_base, *recv_base;
    uint32_t send_bytes, recv_bytes;
    rs_atomic_u32 send_head, recv_tail, recv_head;
    uint32_t send_tail;
    uint32_t events; /* TCP_EVENT_*, ever */
    enum rs_status error;
};

struct ours_listener {
    struct tcp_listener tcp;
    struct tcp_backlog backlog;
    uint32_t send_bytes, recv_bytes;
    struct ours *accepted[64]; /* newest last */
    uint32_t accepted_count;
};

struct ours_options { /* 0: rings of 256 KiB, to WORLD_KERNEL, an ephemeral port */
    uint32_t send_bytes, recv_bytes;
    const char *address;
    uint16_t local_port;
    uint32_t backlog; /* 0: 64 */
    bool reset_when_full;
    struct tcp_settings settings;
};

struct ours *ours_connect(uint16_t port, const struct ours_options *options);
struct ours_listener *ours_listen(uint16_t port, const struct ours_options *options);
/* NULL: none waits. */
struct ours *ours_accept(struct ours_listener *listener);
void ours_listener_close(struct ours_listener *listener);
/* As much as the ring takes. */
uint32_t ours_send(struct ours *ours, const void *data, uint32_t bytes);
/* The bytes in order that are there, contiguous; *data points into the ring. */
uint32_t ours_peek(struct ours *ours, const uint8_t **data);
void ours_consume(struct ours *ours, uint32_t bytes);
uint32_t ours_recv(struct ours *ours, void *data, uint32_t bytes);
uint32_t ours_unacked(const struct ours *ours); /* bytes in the send ring */
void ours_shutdown_send(struct ours *ours);
void ours_close(struct ours *ours);
void ours_abort(struct ours *ours);
/* Of one that is gone. */
void ours_free(struct ours *ours);
struct tcp_info ours_info(const struct ours *ours);

/* ---- a connection with both ends, and what most tests do with it ---- */

struct pair {
    struct ours *ours;
    int kernel;
};

/* The kernel listens. */
struct pair pair_connect(const struct ours_options *options, const struct kernel_options *kernel);
/* We listen. */
struct pair pair_accept(const struct ours_options *options, const struct kernel_options *kernel);
/* Each end closes, the kernel first or we; waits until neither side has the connection open. */
void pair_close(struct pair *pair, bool kernel_first);

/* Bytes each way, verified; 0: none that way. The kernel's socket is used by a child process
 * meanwhile. Fails when it is not done after so many seconds. Prints what it took under that name.
 */
void pair_transfer(struct pair *pair, const char *name, uint64_t to_kernel_bytes,
                   uint64_t to_ours_bytes, double seconds);
/* The parts of such: as much as goes now. *done counts the bytes of the stream. */
void pump_ours_send(struct ours *ours, uint64_t *done, uint64_t total);
void pump_ours_recv(struct ours *ours, uint64_t *done, uint32_t most);
void pump_kernel_send(int fd, uint64_t *done, uint64_t total);
void pump_kernel_recv(int fd, uint64_t *done, uint32_t most);

/* ---- the cases ---- */

struct tcp_case {
    const char *name;
    void (*run)(void); /* in a process of its own */
};

extern const struct tcp_case tcp_cases_open[], tcp_cases_bulk[], tcp_cases_loss[],
    tcp_cases_options[], tcp_cases_window[], tcp_cases_close[], tcp_cases_many[], tcp_cases_path[],
    tcp_cases_time[]; /* the last one has no name */

#endif
