/*
 * What the cases of stream_kernel share: the kernel's sockets in this process, the program on
 * Ringsock in another one, which does what it is told (stream_side.c), and the wire between them.
 * A case is a sequence of calls; each wait is bounded, and a case that fails says what it waited
 * for and ends the program with status 1.
 */
#ifndef RINGSOCK_TESTS_INTEROP_STREAM_RIG_H
#define RINGSOCK_TESTS_INTEROP_STREAM_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel_side.h"

#define RIG_OURS   "192.0.2.10"
#define RIG_KERNEL "192.0.2.1"
#define RIG_NOBODY "192.0.2.99"
#define RIG_PORT   5001u
#define RIG_MIB    (1ull << 20)

struct rig {
    bool full; /* long runs */
    bool slow; /* the NIC hands frames over in blocks: shorter runs */
    int peer_ns, wire_ns;
    const char *wire_ours_if, *wire_peer_if; /* the wire's ends, in its namespace */
    const char *peer_if;                     /* the kernel's end */
    const char *case_name;
};
extern struct rig rig;

__attribute__((noreturn, format(printf, 3, 4))) void rig_fail(const char *file, int line,
                                                              const char *format, ...);
#define FAIL(...) rig_fail(__FILE__, __LINE__, __VA_ARGS__)
#define EXPECT(condition)                     \
    do {                                      \
        if (!(condition)) {                   \
            FAIL("not true: %s", #condition); \
        }                                     \
    } while (0)
#define EXPECT_IS(value, wanted)                                                             \
    do {                                                                                     \
        long long expect_value = (long long)(value);                                         \
        long long expect_wanted = (long long)(wanted);                                       \
        if (expect_value != expect_wanted) {                                                 \
            FAIL("%s is %lld, not %s (%lld)", #value, expect_value, #wanted, expect_wanted); \
        }                                                                                    \
    } while (0)

uint64_t rig_now_ms(void);
/* A millisecond's rest; fails when the time has passed. */
void rig_wait(uint64_t deadline_ms, const char *what, const char *file, int line);
#define AWAIT(seconds, what, condition)                                               \
    for (uint64_t await_ms = rig_now_ms() + (uint64_t)((seconds)*1000); !(condition); \
         rig_wait(await_ms, what, __FILE__, __LINE__)) {                              \
    }

/* ---- the program on Ringsock ---- */

void side_start(char *const *command);
void side_end(void); /* and its exit status is 0 */
/* One command, and its answer begins with "ok"; what stands behind that. Waits seconds more than
 * the command may take. */
__attribute__((format(printf, 1, 2))) const char *side(const char *format, ...);
/* The same in two steps, for what the kernel's side does meanwhile. */
__attribute__((format(printf, 1, 2))) void side_begin(const char *format, ...);
bool side_answered(uint32_t timeout_ms); /* there is an answer */
int side_fd(void);                       /* readable when there is */
const char *side_finish(void);
/* It has answered, and not with "ok". */
bool side_failed(void);
/* One command whose answer is this. */
__attribute__((format(printf, 2, 3))) void side_is(const char *answer, const char *format, ...);

/* ---- a connection with both ends ---- */

struct pair {
    int kernel;
    uint32_t slot;               /* the number of Ringsock's socket */
    uint64_t to_kernel, to_ours; /* bytes that the kernel's socket has received and sent */
};

/* Ringsock connects, or listens; options: of stream_side's socket command, "" for none. The slot
 * is 1. */
struct pair pair_connect(const char *options, const struct kernel_options *kernel);
struct pair pair_accept(const char *options, const struct kernel_options *kernel);
/* Bytes each way, compared at both ends; at most so many seconds. */
void pair_transfer(struct pair *pair, uint64_t to_kernel_bytes, uint64_t to_ours_bytes,
                   uint32_t seconds);
/* What the kernel's socket does alone; false: none went. */
bool pair_kernel_send(struct pair *pair, uint64_t until_bytes);
bool pair_kernel_recv(struct pair *pair, uint64_t until_bytes);
/* The next byte of the kernel's stream. */
const uint8_t *pair_kernel_next(const struct pair *pair);
/* Sends until the way is full. */
void pair_kernel_fill(struct pair *pair);
/* Both ends, in order. */
void pair_close(struct pair *pair, bool kernel_first);
/* The kernel's socket has an error, which is this. */
void pair_kernel_error(const struct pair *pair, int error);

/* ---- the wire ---- */

struct wire_faults {
    uint32_t loss_permille; /* each way */
    uint64_t rate_bits;     /* a second, to the kernel's side; 0: no bound */
    uint32_t delay_us;      /* each way */
    uint32_t queue_bytes;   /* before the bounded rate */
    const char *third_if;   /* NULL, or in the wire's namespace the interface to a third host: it
                               shares the bounded rate */
};
/* From now on a process forwards every frame, with these faults; its seed is printed. */
void wire_faulty(const struct wire_faults *faults);
void wire_cut(void);      /* nothing passes */
void wire_whole(void);    /* all passes, by the kernel's bridge */
void wire_link(bool up);  /* the carrier of ringsockd's end */
uint64_t wire_lost(void); /* by the process that forwards now */

/* ---- many ---- */

/* The kernel's end of so many connections: answers four bytes of each, and closes it. Held open
 * until all are, where all_open_first. */
void many_kernel_accept(int listener, uint32_t count, bool kernel_closes_first, bool all_open_first,
                        uint32_t seconds);

/* ---- the cases ---- */

struct stream_case {
    const char *name;
    void (*run)(void);
};
extern const struct stream_case stream_cases_bulk[], stream_cases_close[], stream_cases_many[],
    stream_cases_window[], stream_cases_refuse[], stream_cases_vanish[], stream_cases_fair[];

#endif
