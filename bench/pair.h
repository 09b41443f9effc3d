/*
 * Two threads on two processors: the caller (near) and one made for the run (far). Called by the
 * benches that need no dataplane process.
 */
#ifndef RINGSOCK_BENCH_PAIR_H
#define RINGSOCK_BENCH_PAIR_H

#include <stdint.h>

#include "bench/bench.h"

/* Runs far(arg) on core_far and near(arg) here at once; near's nanoseconds, 0 when a thread could
 * not be made or pinned. */
uint64_t pair_run(struct bench_context *context, void (*near)(void *arg), void (*far)(void *arg),
                  void *arg);

#endif
