/*
 * The insides of a TCP world, shared by tcp_world.c (stacks, programs, run loop) and
 * tcp_world_wire.c (frames under way).
 */
#ifndef RINGSOCK_TESTS_SUPPORT_TCP_WORLD_INTERNAL_H
#define RINGSOCK_TESTS_SUPPORT_TCP_WORLD_INTERNAL_H

#include "dataplane/nic_memory.h"
#include "random.h"
#include "tcp_world.h"

#define WORLD_FRAME_BYTES 9216u

struct world_frame {
    struct world_frame *next; /* in the pool */
    uint32_t len_bytes, flags;
    uint8_t to;
    uint8_t data[WORLD_FRAME_BYTES];
};

struct world_arrival {
    uint64_t due_ns, order;
    struct world_frame *frame;
};

/* Frames under way, a binary heap by time and, within it, by the order of sending. */
struct world_wire {
    struct test_random random;
    struct world_arrival *heap;
    uint32_t count, room;
    uint64_t order;
    struct world_frame *pool;
    uint64_t start_ns; /* the trace's zero */
    struct {
        uint64_t free_ns; /* the link has sent all that waits */
        uint64_t last_ns; /* newest arrival, that of late frames not counted */
        struct tcp_world_link_counts counts;
    } links[2];
};

void world_wire_reset(struct world_wire *wire, uint64_t seed, uint64_t now_ns);
void world_wire_destroy(struct world_wire *wire);
/* TCP_WORLD_NEVER: nothing is under way. */
uint64_t world_wire_next_ns(const struct world_wire *wire);
/* The earliest frame, if it is due; give it back with world_wire_release. */
struct world_frame *world_wire_take(struct world_wire *wire, uint64_t now_ns);
struct world_frame *world_wire_frame(struct world_wire *wire);
void world_wire_release(struct world_wire *wire, struct world_frame *frame);
/* What a segment that acknowledges something says; false: it is none, or a SYN or RST. */
bool world_frame_window(struct world_frame *frame, uint16_t *own_port_be16, uint32_t *ack,
                        uint32_t *window);
/* Takes over a frame that `sender` has sent now. */
void world_wire_send(struct world_wire *wire, const struct tcp_world_link *link, uint32_t sender,
                     struct world_frame *frame, uint64_t now_ns, bool rx_checks, bool trace);

#endif
