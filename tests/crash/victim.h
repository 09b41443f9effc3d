/*
 * A program that will be killed: attaches and then does, from several threads and in an order drawn
 * from its seed, everything a program can do with datagram sockets, counting its steps.
 */
#ifndef RINGSOCK_TESTS_CRASH_VICTIM_H
#define RINGSOCK_TESTS_CRASH_VICTIM_H

#include <stdatomic.h>
#include <stdint.h>

#define VICTIM_GROUP      rs_be32(0xef010204u)
#define VICTIM_PORT_FIRST 9100u /* the ports victims fight for */
#define VICTIM_PORTS      16u

/* Shared with the parent process. */
struct victim {
    uint64_t seed;          /* parent, before the fork */
    _Atomic uint64_t steps; /* of all its threads; the first is the attach */
};

/* Entry for rig_fork; arg: struct victim. Ends only when it is killed. */
int victim_run(void *arg);

#endif
