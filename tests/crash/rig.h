/*
 * A ringsockd of the test's own, as a process: loopback NIC, shared-core profile, a runtime folder
 * that the test makes and removes. And what Linux says of a process: memory, descriptors, mappings.
 * Children die with their parent (PR_SET_PDEATHSIG), so nothing is left when a test is ended from
 * outside. Used by the tests of this folder, on their first thread only.
 */
#ifndef RINGSOCK_TESTS_CRASH_RIG_H
#define RINGSOCK_TESTS_CRASH_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rings/addr.h"
#include "rings/byteorder.h"

#define NS_PER_MS      ((uint64_t)1000000)
#define NS_PER_S       ((uint64_t)1000000000)
#define RIG_INSTANCE   "crash"
#define RIG_LOCAL      rs_be32(0x7f000001u)
#define RIG_QUEUES_MAX 2u

struct rig {
    pid_t pid; /* 0: none runs */
    uint32_t queues;
    char folder[64];
};

/* Makes the folder and the configuration. sections: lines for [limits] and what follows, may be "".
 * Sets RINGSOCK_RUNTIME_DIR and RINGSOCK_INSTANCE for this process and its children. */
void rig_create(struct rig *rig, const char *limits);
/* On another NIC: nic is what [nic] says, and sections behind it; "": the loopback NIC. */
void rig_create_nic(struct rig *rig, const char *nic, const char *limits);
/* With so many loopback queues, at most RIG_QUEUES_MAX. */
void rig_create_queues(struct rig *rig, const char *limits, uint32_t queues);
void rig_start(struct rig *rig); /* returns when it is ready */
/* Orderly stop. Checks that it ends by itself, that its ledger balances, and that no sanitizer
 * complained; prints its log if not. */
void rig_stop(struct rig *rig);
void rig_kill(struct rig *rig); /* SIGKILL */
void rig_remove(struct rig *rig);
/* The JSON ledger of the last orderly stop: the value behind "name": */
uint64_t rig_ledger(const struct rig *rig, const char *name);

/* A child that dies with this process; runs entry(arg) and ends with what that returns. */
pid_t rig_fork(int (*entry)(void *), void *arg);
/* Waits for a child's end, at most so long; ends the test with `what` otherwise. Returns its wait
 * status. */
int rig_reap(pid_t pid, uint64_t timeout_ns, const char *what);

struct rig_usage {
    /* own_kib: resident and nobody else's. What is resident of shared memory says how far its pages
     * were used, and the sessions' own account has its size. */
    uint64_t own_kib, fds, maps;
};
struct rig_usage rig_usage(pid_t pid);
/* No more of its own than before and a little; no more mappings. Always true where a sanitizer
 * keeps freed memory (RIG_KEEPS_FREED). */
bool rig_same_maps(const struct rig_usage *before, const struct rig_usage *after);
bool rig_same_memory(const struct rig_usage *before, const struct rig_usage *after);
void rig_usage_print(const char *when, const struct rig_usage *usage);

/* What `ringsockctl --json` says is in use: every table, pool and port of the dataplane. */
struct rig_tables {
    char in_use[1024]; /* of `status`: one "name": number behind the other */
    char ports[4096];  /* of `sockets` */
    char tcp[256];     /* of the first queue: connections, half-open ones; not TIME_WAIT */
};
void rig_tables(const struct rig *rig, struct rig_tables *out);
/* Waits until all of it is as before, and descriptors and mappings are too (rig_usage); ends the
 * test with the difference otherwise. */
void rig_await_tables(const struct rig *rig, const struct rig_tables *before,
                      const struct rig_usage *usage, uint64_t timeout_ns, const char *what);

/* Looks every millisecond until true; ends the test with `what` after timeout_ns. */
void rig_await(bool (*look)(void *), void *context, uint64_t timeout_ns, const char *what);

#endif
