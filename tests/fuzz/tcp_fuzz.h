/*
 * The world that fuzz_tcp.c plays with: one stack with an in-memory NIC, a listener, and a handful
 * of programs, each with the rings of one connection. One world at a time. tcp_fuzz_world.c makes
 * it and runs it, tcp_fuzz_check.c says what must hold after each step.
 */
#ifndef RINGSOCK_TESTS_FUZZ_TCP_FUZZ_H
#define RINGSOCK_TESTS_FUZZ_TCP_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/nic_memory.h"
#include "dataplane/stack_internal.h"
#include "dataplane/tcp_internal.h"

#define MUST(condition)                                                                     \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

#define FUZZ_PROGRAMS       4u
#define FUZZ_RING_MAX_BYTES 65536u
#define FUZZ_OWN_IP         0x0100000au /* 10.0.0.1 */
#define FUZZ_PEER_IP        0x0200000au
#define FUZZ_OWN_PORT       7000u
#define FUZZ_PEER_PORT      9000u /* and the next ones */

struct fuzz_program {
    struct tcp_conn *conn; /* NULL: none */
    rs_atomic_u32 send_head, recv_tail, recv_head;
    uint32_t send_tail;
    bool closed;         /* tcp_close or tcp_abort was called; only TCP_EVENT_GONE may follow */
    bool failed, broken; /* TCP_EVENT_ERROR came; the program broke the rules */
    bool listener_place; /* accepted, its backlog place not given back */
    /* as seen after the last step */
    struct tcp_conn *seen_conn;
    uint32_t seen_head, seen_tail, seen_rcv_nxt, seen_rcv_adv, seen_snd_una, checked;
    uint8_t *send_ring, *recv_ring;
};

struct fuzz_world {
    struct nic *nic;
    struct stack *stack;
    struct tcp_listener listener;
    struct tcp_backlog backlog;
    struct fuzz_program programs[FUZZ_PROGRAMS];
    uint32_t ring_bytes;
    uint64_t now_ns;
    bool pattern; /* all data so far was the pattern */
    uint8_t refuse_accepts;
    uint8_t digest;
};

extern struct fuzz_world fuzz;
extern const uint8_t fuzz_own_mac[6], fuzz_peer_mac[6];

/* The byte of a stream at a position, both directions. */
static inline uint8_t fuzz_pattern(uint32_t pos)
{
    return (uint8_t)(pos * 167u + (pos >> 8) * 59u + (pos >> 16));
}

void fuzz_world_make(uint8_t options, uint8_t more);
/* Ends all connections, lets all timers run out, checks that everything has come back. */
void fuzz_world_end(void);
/* The end of an iteration: timers, segments, frames out. */
void fuzz_world_turn(void);
/* The clock goes on by ns, with a turn at each timer on the way. */
void fuzz_world_pass(uint64_t ns);
/* A program without a connection; NULL: all have one. */
struct fuzz_program *fuzz_program_free(void);
void fuzz_program_rings(struct fuzz_program *program, struct tcp_rings *rings);
/* What holds whenever no stack function is running. */
void fuzz_check(void);
/* Nothing is left of any connection. */
void fuzz_check_empty(void);

#endif
