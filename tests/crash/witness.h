/*
 * A well-behaved program beside others that die: it sends numbered datagrams between two sockets of
 * its own and to a multicast group, by the clock, and checks each one that arrives. First it
 * measures how many it can have sent and received in a second; then it paces a tenth of that.
 */
#ifndef RINGSOCK_TESTS_CRASH_WITNESS_H
#define RINGSOCK_TESTS_CRASH_WITNESS_H

#include <stdatomic.h>
#include <stdint.h>

#define WITNESS_GROUP rs_be32(0xef010203u)
#define WITNESS_PORT  rs_be16(9000) /* of the group; the unicast socket's is ephemeral */

/* Shared with the parent process: anonymous shared memory. */
struct witness {
    _Atomic uint32_t paces; /* the capacity is measured */
    _Atomic uint32_t stop;  /* parent: send no more, wait for what is under way, end */
    _Atomic uint64_t capacity_per_s, pace_per_s; /* pairs: one unicast, one multicast datagram */
    _Atomic uint64_t sent, received[2];          /* while pacing */
    _Atomic uint64_t late_ns_max;                /* furthest behind its clock */
    _Atomic uint64_t resets;                     /* times it was too far behind, and began anew */
};

/* Entry for rig_fork; arg: struct witness. Status 0: nothing lost, reordered or changed. */
int witness_run(void *arg);

#endif
