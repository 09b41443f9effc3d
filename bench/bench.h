/*
 * The C side of the benchmarks. Each bench is a C function that does `iterations` operations,
 * checks that every byte arrived, and returns the nanoseconds they took; bench_main.cc (the only
 * C++ of the project) hands them to Google Benchmark. bench_case_measure puts a floor measurement
 * before and behind each run, because the time that a cache line takes from core to core changes
 * from minute to minute on a shared machine. Main thread.
 */
#ifndef RINGSOCK_BENCH_BENCH_H
#define RINGSOCK_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_context {
    uint32_t core_near;    /* the measuring thread's processor */
    uint32_t core_far;     /* the other one: dataplane, or the second thread or program */
    const char *program;   /* this program, to be started again as a second one */
    const char *dataplane; /* ringsockd */
    uint64_t verified;     /* operations whose data was checked, in the last run */
    char error[640];       /* why the last run failed */
};

/* Nanoseconds for all iterations; 0: failed, context->error says why. */
typedef uint64_t bench_fn(struct bench_context *context, uint64_t iterations);

bench_fn bench_floor;           /* one cache line there and back */
bench_fn bench_floor_two_lines; /* the same with a line for each direction */
bench_fn
    bench_slot_round_trip;  /* 40 bytes in a request slot, back in a record, wake check included */
bench_fn bench_slot_stream; /* request slots one way */
bench_fn bench_record_stream;    /* 64-byte datagram records one way */
bench_fn bench_ping;             /* client_ping: NOP through a real ringsockd and back */
bench_fn bench_udp_one_thread;   /* 64 bytes there and back between two sockets of one thread */
bench_fn bench_udp_two_programs; /* ... between two programs, shared-core profile */
bench_fn bench_udp_messages;     /* 64-byte messages, one send and one receive call each */
bench_fn bench_udp_one_thread_kernel; /* the same four over the kernel's loopback */
bench_fn bench_udp_blocking_kernel;   /* two programs, blocking, a core each */
bench_fn bench_udp_busy_kernel;       /* two programs, polling, a core each */
bench_fn bench_udp_messages_kernel;

/* Connections: the same, and what only they have. */
bench_fn bench_tcp_one_thread;
bench_fn bench_tcp_two_programs;
bench_fn bench_tcp_messages;
bench_fn bench_tcp_bulk;        /* blocks of 64 KiB, BULK_BLOCK_BYTES */
bench_fn bench_tcp_connections; /* opened, used once there and back, closed */
bench_fn bench_tcp_echo;        /* requests over thousands of connections between two programs */
bench_fn bench_tcp_one_thread_kernel;
bench_fn bench_tcp_blocking_kernel;
bench_fn bench_tcp_busy_kernel;
bench_fn bench_tcp_messages_kernel;
bench_fn bench_tcp_bulk_kernel;            /* a thread and a processor for each end, blocking */
bench_fn bench_tcp_bulk_busy_kernel;       /* ... polling */
bench_fn bench_tcp_bulk_one_kernel;        /* one thread, as Ringsock's */
bench_fn bench_tcp_connections_kernel;     /* one thread, as Ringsock's */
bench_fn bench_tcp_connections_two_kernel; /* a thread and a processor for each end */
bench_fn bench_tcp_echo_kernel;

enum {
    BENCH_CONNECT_BATCH = 32, /* connections open at a time in bench_tcp_connections */
    BENCH_CROWD = 10000       /* and in bench_tcp_echo */
};
/* Connections of an echo bench with so many requests: a brief run shall not only connect. */
uint32_t bench_crowd(uint64_t iterations);

struct bench_case {
    const char *name;
    bench_fn *run;
    uint64_t iterations;
    bool kernel; /* a baseline over the kernel's sockets: native only */
};

/* Ends with a name of NULL. */
extern const struct bench_case bench_cases[];

struct bench_result {
    uint64_t elapsed_ns;
    uint64_t verified;
    double floor_ns; /* mean of before and behind */
};

/* Fills in cores and paths. argv0: this program. False: fewer than two processors. */
bool bench_context_init(struct bench_context *context, const char *argv0);
/* One run of a case with its floors. False: context->error. */
bool bench_case_measure(struct bench_context *context, const struct bench_case *one,
                        uint64_t iterations, struct bench_result *result);
/* When this process is the second program of a bench: runs its part, returns its exit status. -1:
 * it is not. */
int bench_child_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
