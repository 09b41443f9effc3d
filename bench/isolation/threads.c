/*
 * Two threads of one program, each on its own channel: what the requests of one take while the
 * other saturates. The measured thread sleeps between requests; with two processors the other runs
 * then, and fills its channel up to the brim. Main thread, and the loading one.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench/isolation/isolation.h"
#include "rings/os/os.h"

#define THREADS_PERIOD_NS 50000ull
#define THREADS_WARM_UP   100u
#define THREADS_ATTEMPTS  3u
#define THREADS_REPS_MAX  32u
#define THREADS_WAIT_NS   10000000000ull

enum load { LOAD_NONE, LOAD_INLINE, LOAD_RING, LOAD_CONTROLS, LOAD_END };
enum { LOADS = LOAD_END, OPS = 2 };

static const char *const load_names[LOADS] = {"unloaded", "inline sends", "ring sends", "controls"};
static const char *const op_names[OPS] = {"request (NOP)", "40-byte send, own socket"};

static struct {
    const struct isolation_host *host;
    struct client *client;
    struct isolation_pair measured, loading;
    struct os_thread thread;
    _Atomic uint32_t wanted; /* enum load; partner: the loading thread, which follows in `now` */
    _Atomic uint32_t now;
    _Atomic uint64_t work; /* what the loading thread did */
    _Atomic uint32_t failed;
    struct samples samples[OPS];
} self;

/* ---- the loading thread ---- */

static void load_drain(void)
{
    uint8_t byte;
    struct client_iov iov = {.base = &byte, .len_bytes = 1};
    size_t got;
    while (client_recv(self.loading.sockets[1], &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &got) ==
           RS_MESSAGE_SIZE) {
    }
}

static enum rs_status load_send(uint32_t len_bytes)
{
    uint8_t data[1400] = {0};
    struct client_iov iov = {.base = data, .len_bytes = len_bytes};
    size_t sent;
    enum rs_status status = RS_OK;
    for (uint32_t i = 0; i < 256 && status == RS_OK; i++) {
        status = client_send(self.loading.sockets[0], &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &sent);
    }
    load_drain();
    return status == RS_WOULD_BLOCK ? RS_OK : status;
}

static enum rs_status load_controls(void)
{
    struct client_socket *socket = NULL;
    enum rs_status status = client_set_option(self.loading.sockets[0], RS_OPT_TTL, 64);
    const struct rs_addr any = rs_addr_v4(0, 0);
    if (status == RS_OK) {
        status = client_socket_create(self.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket);
    }
    if (status == RS_OK && (status = client_bind(socket, &any)) == RS_OK) {
        status = client_socket_close(socket);
    }
    return status;
}

static void load_run(void *arg)
{
    (void)arg;
    host_place(self.host->core_neighbour, HOST_BESIDE, self.host->realtime);
    uint32_t load;
    while ((load = atomic_load(&self.wanted)) != LOAD_END) {
        enum rs_status status = RS_OK;
        atomic_store(&self.now, load);
        switch (load) {
        case LOAD_INLINE:
            status = load_send(40);
            break;
        case LOAD_RING:
            status = load_send(1400);
            break;
        case LOAD_CONTROLS:
            status = load_controls();
            break;
        default:
            os_sleep_ns(THREADS_PERIOD_NS);
            break;
        }
        if (status != RS_OK) {
            (void)fprintf(stderr, "loading thread: %s\n", rs_status_name(status));
            atomic_store(&self.failed, 1);
            return;
        }
        atomic_fetch_add(&self.work, 1);
    }
}

/* The loading thread has begun with that. */
static bool load_switch(enum load load)
{
    uint64_t deadline_ns = os_monotonic_ns() + THREADS_WAIT_NS;
    atomic_store(&self.wanted, load);
    while (atomic_load(&self.now) != load) {
        if (os_monotonic_ns() > deadline_ns || atomic_load(&self.failed) != 0) {
            (void)fprintf(stderr, "the loading thread does not get to '%s'\n", load_names[load]);
            return false;
        }
        os_sleep_ns(THREADS_PERIOD_NS);
    }
    return true;
}

/* ---- the measured thread ---- */

static enum rs_status measure(uint32_t count)
{
    static uint64_t seq;
    enum rs_status status = RS_OK;
    self.samples[0].count = self.samples[1].count = 0;
    for (uint32_t i = 0; i < count && status == RS_OK; i++) {
        os_sleep_ns(THREADS_PERIOD_NS);
        uint64_t start = os_tsc();
        status = client_ping(self.client);
        samples_add(&self.samples[0], os_tsc() - start);
        if (status != RS_OK) {
            break;
        }
        os_sleep_ns(THREADS_PERIOD_NS);
        seq++;
        start = os_tsc();
        if ((status = pair_send(self.measured.sockets[0], seq, 40)) == RS_OK) {
            status = pair_recv(self.measured.sockets[1], seq, 40);
        }
        samples_add(&self.samples[1], os_tsc() - start);
    }
    return status;
}

struct figures {
    double p50[OPS][THREADS_REPS_MAX], p999[OPS][THREADS_REPS_MAX], turn[THREADS_REPS_MAX];
};

static bool measure_beside(enum load load, uint32_t repetition, uint32_t count,
                           struct figures *figures)
{
    if (!load_switch(load) || measure(THREADS_WARM_UP) != RS_OK) {
        return false;
    }
    uint64_t work = atomic_load(&self.work);
    struct host_load before = host_load_now();
    enum rs_status status = measure(count);
    struct host_load after = host_load_now();
    if (status != RS_OK || atomic_load(&self.work) == work) {
        (void)fprintf(stderr, "%s: %s, the loading thread did %s\n", load_names[load],
                      rs_status_name(status), atomic_load(&self.work) == work ? "nothing" : "work");
        return false;
    }
    for (uint32_t op = 0; op < OPS; op++) {
        struct percentiles found = samples_percentiles(&self.samples[op]);
        figures->p50[op][repetition] = found.p50_ns;
        figures->p999[op][repetition] = found.p999_ns;
    }
    figures->turn[repetition] = host_iteration_ns(&before, &after);
    return true;
}

/* 0: within the bound. */
static uint32_t threads_report(struct figures figures[LOADS], uint32_t repetitions)
{
    uint32_t over = 0;
    (void)printf("%-26s %-14s %9s %9s %9s %9s\n", "what", "other thread", "p50 ns", "p99.9 ns",
                 "turn ns", "bound ns");
    for (uint32_t op = 0; op < OPS; op++) {
        double unloaded_ns = samples_median(figures[LOAD_NONE].p999[op], repetitions);
        for (uint32_t load = 0; load < LOADS; load++) {
            double p999_ns = samples_median(figures[load].p999[op], repetitions);
            double turn_ns = samples_median(figures[load].turn, repetitions);
            double bound_ns = 2 * unloaded_ns + turn_ns;
            bool bad = load != LOAD_NONE && p999_ns > bound_ns;
            over += bad ? 1 : 0;
            (void)printf("%-26s %-14s %9.0f %9.0f %9.0f %9.0f%s\n", op_names[op], load_names[load],
                         samples_median(figures[load].p50[op], repetitions), p999_ns, turn_ns,
                         bound_ns, bad ? "  OVER" : "");
        }
    }
    (void)fflush(stdout);
    return over;
}

/* Each attempt adds its repetitions to those before: what was measured is not thrown away. */
static int threads_attempts(uint32_t repetitions, uint32_t samples)
{
    static struct figures figures[LOADS];
    uint32_t done = 0;
    for (uint32_t attempt = 0; attempt < THREADS_ATTEMPTS; attempt++) {
        for (uint32_t i = 0; i < repetitions && done < THREADS_REPS_MAX; i++) {
            for (uint32_t load = 0; load < LOADS; load++) {
                if (!measure_beside((enum load)load, done, samples, &figures[load])) {
                    return 2;
                }
            }
            done++;
        }
        if (threads_report(figures, done) == 0) {
            return 0;
        }
    }
    return 1;
}

int threads_judge(const struct isolation_host *host, uint32_t repetitions, uint32_t samples)
{
    const struct client_config config = {
        .instance = host->instance, .spin_us = -1, .yield_in_spin = 0};
    int result = 2;
    self.host = host;
    enum rs_status status = client_open(&config, &self.client);
    if (status == RS_OK && (status = pair_open(self.client, &self.measured)) == RS_OK) {
        status = pair_open(self.client, &self.loading);
    }
    if (status != RS_OK) {
        (void)fprintf(stderr, "%s: %s\n", rs_status_name(status), client_last_error_text());
        return 2;
    }
    if (os_thread_start(&self.thread, load_run, NULL, "loading") == RS_OK) {
        result = threads_attempts(repetitions, samples);
        atomic_store(&self.wanted, LOAD_END);
        os_thread_join(&self.thread);
    }
    client_close(self.client);
    return result;
}
