/*
 * A ringsockd of the bench's own: loopback NIC, an instance name that nobody else has, its poll
 * loop on the far processor. It runs only while a Ringsock bench runs, so that the kernel's
 * baselines have the machine to themselves.
 */
#ifndef RINGSOCK_BENCH_DATAPLANE_H
#define RINGSOCK_BENCH_DATAPLANE_H

#include <stdbool.h>

#include "bench/bench.h"
#include "bench/process.h"

enum bench_profile {
    BENCH_PROFILE_LATENCY, /* poll loop and clients spin and never sleep */
    BENCH_PROFILE_SHARED,  /* both yield between looks: more spinners than processors */
    BENCH_PROFILE_CROWD /* so, with room for BENCH_CROWD sockets in a program, their rings small */
};

struct bench_dataplane {
    struct process process;
    char instance[32];
    char config[480]; /* path of the file made for it */
};

/* Returns when it serves clients. False: context->error. */
bool bench_dataplane_start(struct bench_context *context, enum bench_profile profile,
                           struct bench_dataplane *out);
/* False: its closing ledger did not balance, context->error. Harmless after a failed start. */
bool bench_dataplane_stop(struct bench_context *context, struct bench_dataplane *dataplane);

#endif
