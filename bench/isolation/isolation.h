/*
 * What one program's traffic costs another, and one thread's another of its program: measured with
 * a dataplane in this process on the loopback NIC. main.c runs and judges; host.c has the dataplane
 * and who runs on which processor; samples.c the figures; neighbour.c and hostile.c the programs
 * beside the measured one; threads.c the threads.
 */
#ifndef RINGSOCK_BENCH_ISOLATION_H
#define RINGSOCK_BENCH_ISOLATION_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/process.h"
#include "provider/client/client.h"

/* ---- host.c: the dataplane, and processors ---- */

enum isolation_limits {
    ISOLATION_SOCKETS = 1024,   /* [limits] sockets */
    ISOLATION_CHANNELS = 32,    /* [limits] channels */
    ISOLATION_MEMBERSHIPS = 256 /* [limits] memberships */
};

struct isolation_host {
    char instance[32];
    uint32_t core_far;       /* the poll loop's */
    uint32_t core_near;      /* the measured thread's */
    uint32_t core_neighbour; /* the near one where there are only two */
    bool realtime;           /* the system let us have fixed priorities */
};

/* Starts it; false, with a message on stderr, when it cannot. */
bool host_start(struct isolation_host *host);
void host_stop(void);

/* What the poll loop did since it began. */
struct host_load {
    uint64_t polls, busy_polls, busy_tsc;
};
struct host_load host_load_now(void);
/* Mean length of a busy iteration between two looks. */
double host_iteration_ns(const struct host_load *before, const struct host_load *after);
/* Waits until the poll loop has had nothing to do for a while: what an ended neighbour left is
 * drained. False: it did not come to rest within seconds. */
bool host_rest(void);

enum host_role { HOST_MEASURED, HOST_CONTROL, HOST_BESIDE };
/* Puts the calling thread on a processor with the priority of its role: the measured thread before
 * the control thread, and both before who runs beside them. */
void host_place(uint32_t core, enum host_role role, bool realtime);

/* ---- samples.c ---- */

enum { SAMPLES_MAX = 40000 };

struct samples {
    uint32_t count;
    uint64_t ticks[SAMPLES_MAX];
};

struct percentiles {
    double p50_ns, p99_ns, p999_ns;
};

void samples_add(struct samples *samples, uint64_t ticks);
/* Sorts them. */
struct percentiles samples_percentiles(struct samples *samples);
double samples_median(double *values, uint32_t count); /* sorts values */

/* Two sockets of this thread, connected to each other. */
struct isolation_pair {
    struct client_socket *sockets[2];
};
RS_CHECK_RESULT enum rs_status pair_open(struct client *client, struct isolation_pair *out);
RS_CHECK_RESULT enum rs_status pair_send(struct client_socket *socket, uint64_t seq,
                                         uint32_t len_bytes);
/* RS_CORRUPT: another datagram than that. */
RS_CHECK_RESULT enum rs_status pair_recv(struct client_socket *socket, uint64_t seq,
                                         uint32_t len_bytes);
/* 64 bytes there and back, count times with a pause of period_ns before each. */
RS_CHECK_RESULT enum rs_status pair_round_trips(const struct isolation_pair *pair, uint32_t count,
                                                uint64_t period_ns, struct samples *samples);

/* ---- neighbour.c, hostile.c: another process ---- */

/* What the process argv ("--neighbour KIND INSTANCE CORE REALTIME") is for. */
int neighbour_main(int argc, char **argv);

struct neighbour_kind {
    const char *name;
    const char *what;
    bool hostile;
    uint32_t reference; /* the well-behaved kind it is judged against, below it in the table */
    void (*run)(const char *instance); /* until the process is ended; returns on failure */
};

/* Ends with a name of NULL. References come first, each its own. */
enum { NEIGHBOUR_BUSY, NEIGHBOUR_LARGE, NEIGHBOUR_REFERENCES, NEIGHBOUR_NONE };
enum { IDLE_PROGRAMS = 16, IDLE_CHANNELS = 16 };
extern const struct neighbour_kind neighbour_kinds[];

/* For neighbour.c and hostile.c. */
struct client *neighbour_attach(const char *instance);
void neighbour_ready(void); /* tells the starter, once */

bool hostile_channel_more(struct client *client); /* one that nobody uses */
void hostile_slots(const char *instance);
void hostile_zero(const char *instance);
void hostile_group_large(const char *instance);
void hostile_group_small(const char *instance);
void hostile_group_full(const char *instance);
void hostile_arm(const char *instance);
void hostile_controls(const char *instance);
void hostile_hoard(const char *instance);
void hostile_large(const char *instance);
void hostile_holes(const char *instance);
void hostile_attach(const char *instance);
void hostile_poison(const char *instance);

/* ---- threads.c ---- */

/* 0: the bound holds; 1: it does not; 2: failed. */
int threads_judge(const struct isolation_host *host, uint32_t repetitions, uint32_t samples);

#endif
