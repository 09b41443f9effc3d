/*
 * The dataplane that fuzz_request.c attacks: a control thread and one or two loopback queues, all
 * stepped by the caller in one thread, with an honest program attached whose traffic must never
 * suffer. Attackers attach over the real control connection; what a client would map they reach
 * through the dataplane's own mapping of the same memory. A world is made once and used for every
 * input; world_check_empty says whether an input left it as it was.
 */
#ifndef RINGSOCK_TESTS_FUZZ_REQUEST_WORLD_H
#define RINGSOCK_TESTS_FUZZ_REQUEST_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/control.h"
#include "rings/control.h"

#define MUST(condition)                                                                     \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

#define WORLD_SOCKETS     16u
#define WORLD_CHANNELS    4u
#define WORLD_MEMBERSHIPS 12u
#define WORLD_STAMP_BYTES 16u

struct world {
    struct control *control;
    uint32_t queue_count;
    const char *instance;
};

/* The world with that many queues, 1 or 2; made at the first call. */
struct world *world_get(uint32_t queue_count);
/* One round of the control thread, without waiting. */
void world_round(struct world *world);
/* One iteration of every queue. */
void world_poll(struct world *world);
/* NULL: it has ended and was freed. */
struct dp_session *world_session(const struct world *world, uint64_t id);
/* The honest program sends one datagram of `bytes` bytes (at most 1400), stamped and numbered, from
 * one of its sockets to its other one, and has it, whole, after one iteration. */
void world_honest_exchange(struct world *world, uint32_t bytes);
/* What must hold between any two steps. */
void world_check(const struct world *world);
/* No byte of the honest program's stamp is in what the session's client can read. */
void world_check_stamp(const struct dp_session *session);
/* Only the honest program is left: sessions, sockets, ports, memberships. Waits for the ends that
 * are under way. */
void world_check_empty(struct world *world);

#endif
