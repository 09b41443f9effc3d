/*
 * Two stacks, A (0) and B (1), on one virtual clock, each with its own in-memory NIC, joined by a
 * wire that loses, reorders, doubles, damages, delays and queues frames, all from one seed. On top
 * of each connection a program at either end writes a pattern, reads and compares it, half-closes
 * and closes. The run loop jumps from one thing that happens to the next; nothing here looks at a
 * real clock. One thread. Used by tests/model/tcp_sweep.c and tests/scenario/tcp_fairness.c.
 *
 * A world is made once and started for each seed: rings and frames are kept between the runs.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_TCP_WORLD_H
#define RINGSOCK_TESTS_SUPPORT_TCP_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stack.h"

#define TCP_WORLD_CONNECTIONS    2u
#define TCP_WORLD_RING_MAX_BYTES (4u * 1024u * 1024u)
#define TCP_WORLD_NEVER          UINT64_MAX

/* What a direction of the wire does. A frame that is lost does not take time on the link. */
struct tcp_world_link {
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm; /* of a million frames */
    uint64_t delay_ns;
    uint64_t jitter_ns;       /* up to so much more; keeps the order */
    uint64_t reorder_ns;      /* what a reordered frame is late, at most */
    uint64_t bits_per_second; /* 0: no limit, and no queue */
    uint32_t fifo_bytes;      /* frames that find more waiting are dropped */
    uint32_t mark_bytes;      /* ECN-capable ones that find more waiting are marked; 0: never */
    uint8_t strip_options;    /* TCP_OPTION_* taken out of SYNs, as middle boxes do */
    uint64_t lose_nth_data;   /* the n-th frame with payload, from 1, is lost; 0: none */
};

struct tcp_world_program_config {
    uint64_t send_bytes;
    uint64_t start_ns; /* of the one that connects */
    uint64_t pause_ns; /* between two actions: random, up to this */
    uint32_t write_max_bytes, read_max_bytes;
    uint32_t send_ring_bytes, recv_ring_bytes; /* powers of two, up to TCP_WORLD_RING_MAX_BYTES */
    bool close_at_end; /* closes once the peer's end is read; else when all is acknowledged, too */
    bool shut_last;    /* half-closes only after the peer has */
    struct tcp_settings settings;
};

struct tcp_world_side_config {
    uint32_t mtu_bytes, caps;
    uint32_t buffers, queue_frames; /* of the NIC; room for frames received is part of the first */
    uint32_t tx_at_most; /* frames that the NIC takes in one turn, random up to this; 0: all */
    uint32_t miss_ppm;   /* of a million: transmit buffers that are not to be had */
    struct tcp_config tcp;
};

struct tcp_world_config {
    uint64_t seed;
    uint32_t connections;
    struct tcp_world_side_config sides[2];
    struct tcp_world_link links[2]; /* by sender */
    struct tcp_world_program_config programs[2][TCP_WORLD_CONNECTIONS];
    bool simultaneous; /* both sides connect */
    bool trace;        /* prints each frame */
};

/* What a program has seen; read it, change nothing. */
struct tcp_world_program {
    struct tcp_world_program_config config;
    struct tcp_conn *conn;
    struct tcp_rings rings;
    rs_atomic_u32 send_head, recv_tail, recv_head;
    uint64_t written_bytes, read_bytes, expect_bytes;
    uint64_t out_pattern, in_pattern; /* where in the pattern the two streams begin */
    uint64_t action_ns;
    uint32_t acked; /* send_head as last seen */
    uint32_t tail;  /* recv_tail as last seen */
    uint32_t edge;  /* of the window, as last announced */
    bool announced;
    bool accepted, connected, shut, end, finished, closed, gone;
    enum rs_status error;
};

/* What happened to the frames of one sender. */
struct tcp_world_link_counts {
    uint64_t frames, data_frames, lost, queue_full, duplicated, reordered, corrupted, marked;
    uint64_t bytes; /* IP packets that went over the link */
};

struct tcp_world;

/* Ends the program when there is no memory. */
struct tcp_world *tcp_world_create(void);
void tcp_world_destroy(struct tcp_world *world);

/* Makes NICs, stacks, listeners. The clock begins at 1 s; config is copied. */
void tcp_world_start(struct tcp_world *world, const struct tcp_world_config *config);
/* Until the clock says until_ns, all is quiet and empty again, or something is wrong. True:
 * nothing is wrong so far. */
bool tcp_world_run(struct tcp_world *world, uint64_t until_ns, uint64_t events_max);
/* All programs are done with their connections, no frame is under way and nothing waits. */
bool tcp_world_is_over(const struct tcp_world *world);
/* Books balance, and when it is over every pool is whole. */
bool tcp_world_check(struct tcp_world *world);
/* Takes NICs and stacks down. False: a NIC misses buffers. */
bool tcp_world_stop(struct tcp_world *world);

/* What is wrong; "" as long as nothing is. */
const char *tcp_world_error(const struct tcp_world *world);
uint64_t tcp_world_now_ns(const struct tcp_world *world);
uint64_t tcp_world_events(const struct tcp_world *world); /* turns of the run loop */
struct stack *tcp_world_stack(const struct tcp_world *world, uint32_t side);
const struct tcp_world_program *tcp_world_program(const struct tcp_world *world, uint32_t side,
                                                  uint32_t connection);
const struct tcp_world_link_counts *tcp_world_link_counts(const struct tcp_world *world,
                                                          uint32_t sender);

#endif
