/*
 * bench_isolation neighbours [--repetitions N] [--samples N] [--bound N] [KIND...]: what a hostile
 * program costs its neighbour, against a well-behaved one that is as busy. bench_isolation threads
 * [--repetitions N]: what a saturating thread costs another of its program. bench_isolation idle:
 * what 1,024 idle channels cost everybody. Exit status: 0 the
 * bound holds, 1 it does not, 2 not run. bench/README.md says what is measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/isolation/isolation.h"
#include "rings/os/os.h"

#define BOUND_RATIO        2u
#define PERIOD_NS          100000ull
#define START_MS           10000u
#define WARM_UP            100u
#define REPETITIONS_MAX    32u
#define ROW_MAX            (REPETITIONS_MAX * KINDS_MAX) /* a reference is there beside each kind */
#define KINDS_MAX          32u
#define ATTEMPTS           3u
#define BOUND_IDLE_NS      3000.0
#define IDLE_PROCESSES_MAX 4u

struct options {
    uint32_t repetitions, samples;
    uint32_t bound;          /* of a hostile neighbour's ratio */
    const char *const *only; /* ends with NULL; none: all */
};

/* What was measured beside one kind of neighbour. */
struct row {
    uint32_t count;
    double p50[ROW_MAX], p99[ROW_MAX], p999[ROW_MAX];
    double ratio[ROW_MAX]; /* of p99, to the mean of the reference before and behind */
    double iteration[ROW_MAX];
};

static struct {
    struct isolation_host host;
    struct client *client;
    struct isolation_pair pair;
    struct samples samples;
    struct row rows[KINDS_MAX];
    bool judged_good[KINDS_MAX]; /* within the bound in an earlier attempt */
    const char *program;
} self;

/* One stretch beside a neighbour of that kind. */
static bool judge_beside(const struct neighbour_kind *kind, uint32_t samples,
                         struct percentiles *out, double *iteration_ns)
{
    struct process process;
    char core[16];
    char error[256];
    (void)snprintf(core, sizeof(core), "%u", self.host.core_neighbour);
    const char *argv[] = {self.program, "--neighbour",
                          kind->name,   self.host.instance,
                          core,         self.host.realtime ? "1" : "0",
                          NULL};
    if (!host_rest()) {
        (void)fprintf(stderr, "the poll loop did not come to rest before '%s'\n", kind->name);
        return false;
    }
    if (!process_start(argv, &process, error, sizeof(error))) {
        (void)fprintf(stderr, "%s\n", error);
        return false;
    }
    enum rs_status status = RS_NOT_READY;
    if (process_wait_line(&process, "ready", START_MS)) {
        self.samples.count = 0;
        status = pair_round_trips(&self.pair, WARM_UP, PERIOD_NS, &self.samples);
        struct host_load before = host_load_now();
        self.samples.count = 0;
        if (status == RS_OK) {
            status = pair_round_trips(&self.pair, samples, PERIOD_NS, &self.samples);
        }
        struct host_load after = host_load_now();
        *iteration_ns = host_iteration_ns(&before, &after);
        *out = samples_percentiles(&self.samples);
    }
    bool lives = process_alive(&process);
    (void)process_stop(&process);
    if (status != RS_OK || !lives) {
        (void)fprintf(stderr, "beside '%s': %s%s\n", kind->name, rs_status_name(status),
                      lives ? "" : ", the neighbour ended");
        return false;
    }
    return true;
}

static void row_add(struct row *row, const struct percentiles *figures, double iteration_ns,
                    double reference_p99_ns)
{
    if (row->count == ROW_MAX) {
        return;
    }
    row->p50[row->count] = figures->p50_ns;
    row->p99[row->count] = figures->p99_ns;
    row->p999[row->count] = figures->p999_ns;
    row->iteration[row->count] = iteration_ns;
    row->ratio[row->count] = figures->p99_ns / reference_p99_ns;
    row->count++;
}

static bool judge_wanted(const struct options *options, const char *name)
{
    bool wanted = options->only[0] == NULL;
    for (uint32_t i = 0; options->only[i] != NULL; i++) {
        wanted |= strcmp(options->only[i], name) == 0;
    }
    return wanted;
}

/* A kind, and its reference before and behind it: A B A C A D ... */
static bool judge_round_of(const struct options *options, uint32_t reference)
{
    struct percentiles before;
    struct percentiles beside;
    struct percentiles behind;
    double iteration_ns = 0;
    double reference_ns = 0;
    bool begun = false;
    for (uint32_t i = NEIGHBOUR_REFERENCES; neighbour_kinds[i].name != NULL; i++) {
        if (neighbour_kinds[i].reference != reference || self.judged_good[i] ||
            !judge_wanted(options, neighbour_kinds[i].name)) {
            continue;
        }
        const struct neighbour_kind *good = &neighbour_kinds[reference];
        if ((!begun && !judge_beside(good, options->samples, &before, &reference_ns)) ||
            !judge_beside(&neighbour_kinds[i], options->samples, &beside, &iteration_ns) ||
            !judge_beside(good, options->samples, &behind, &reference_ns)) {
            return false;
        }
        begun = true;
        row_add(&self.rows[i], &beside, iteration_ns, (before.p99_ns + behind.p99_ns) / 2);
        row_add(&self.rows[reference], &behind, reference_ns, behind.p99_ns);
        before = behind;
    }
    return true;
}

static bool judge_round(const struct options *options)
{
    for (uint32_t i = 0; i < NEIGHBOUR_REFERENCES; i++) {
        if (!judge_round_of(options, i)) {
            return false;
        }
    }
    return true;
}

/* The table. Returns how many hostile kinds exceed the bound. */
static uint32_t judge_report(uint32_t bound)
{
    uint32_t over = 0;
    (void)printf("%-12s %9s %9s %9s %9s %7s\n", "neighbour", "p50 ns", "p99 ns", "p99.9 ns",
                 "turn ns", "p99 x");
    for (uint32_t i = 0; neighbour_kinds[i].name != NULL; i++) {
        struct row *row = &self.rows[i];
        if (row->count == 0) {
            continue;
        }
        double ratio = samples_median(row->ratio, row->count);
        bool bad = neighbour_kinds[i].hostile && ratio > bound;
        over += bad ? 1 : 0;
        self.judged_good[i] = !bad;
        (void)printf("%-12s %9.0f %9.0f %9.0f %9.0f %7.2f %s%s\n", neighbour_kinds[i].name,
                     samples_median(row->p50, row->count), samples_median(row->p99, row->count),
                     samples_median(row->p999, row->count),
                     samples_median(row->iteration, row->count), ratio, neighbour_kinds[i].what,
                     bad ? "  OVER" : "");
    }
    (void)fflush(stdout);
    return over;
}

static int judge_neighbours(const struct options *options)
{
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
        memset(self.rows, 0, sizeof(self.rows));
        for (uint32_t i = 0; i < options->repetitions; i++) {
            if (!judge_round(options)) {
                return 2;
            }
        }
        if (judge_report(options->bound) == 0) {
            return 0;
        }
    }
    return 1;
}

/* ---- idle channels ---- */

static bool idle_start(struct process *process)
{
    char core[16];
    char error[256];
    (void)snprintf(core, sizeof(core), "%u", self.host.core_neighbour);
    const char *argv[] = {self.program, "--neighbour",
                          "idle",       self.host.instance,
                          core,         self.host.realtime ? "1" : "0",
                          NULL};
    if (!process_start(argv, process, error, sizeof(error)) ||
        !process_wait_line(process, "ready", START_MS)) {
        (void)fprintf(stderr, "idle programs do not start\n");
        return false;
    }
    return true;
}

/* Round trips beside so many idle programs, as many times as there are repetitions. */
static bool idle_measure(const struct options *options, uint32_t processes, struct row *row)
{
    struct process beside[IDLE_PROCESSES_MAX];
    bool ok = true;
    uint32_t started = 0;
    while (ok && started < processes) {
        ok = idle_start(&beside[started++]);
    }
    if (ok && host_rest()) {
        self.samples.count = 0;
        ok = pair_round_trips(&self.pair, WARM_UP, PERIOD_NS, &self.samples) == RS_OK;
        self.samples.count = 0;
        struct host_load before = host_load_now();
        ok =
            ok && pair_round_trips(&self.pair, options->samples, PERIOD_NS, &self.samples) == RS_OK;
        struct host_load after = host_load_now();
        struct percentiles found = samples_percentiles(&self.samples);
        row_add(row, &found, host_iteration_ns(&before, &after), found.p99_ns);
    }
    while (started-- != 0) {
        (void)process_stop(&beside[started]);
    }
    return ok;
}

/* What idle programs cost: 0, 16, 32 and 64 of them. */
static int judge_idle(const struct options *options)
{
    static const uint32_t processes[] = {0, 1, 2, IDLE_PROCESSES_MAX};
    enum { STEPS = sizeof(processes) / sizeof(processes[0]) };
    memset(self.rows, 0, sizeof(self.rows));
    for (uint32_t i = 0; i < options->repetitions; i++) {
        for (uint32_t step = 0; step < STEPS; step++) {
            if (!idle_measure(options, processes[step], &self.rows[step])) {
                return 2;
            }
        }
    }
    (void)printf("%-22s %9s %9s %9s\n", "idle channels", "p50 ns", "p99 ns", "turn ns");
    for (uint32_t step = 0; step < STEPS; step++) {
        struct row *row = &self.rows[step];
        (void)printf("%-22u %9.0f %9.0f %9.0f\n", processes[step] * IDLE_PROGRAMS * IDLE_CHANNELS,
                     samples_median(row->p50, row->count), samples_median(row->p99, row->count),
                     samples_median(row->iteration, row->count));
    }
    double added_ns = self.rows[STEPS - 1].p50[self.rows[STEPS - 1].count / 2] -
                      self.rows[0].p50[self.rows[0].count / 2];
    (void)printf("1,024 idle channels add %.0f ns to a round trip (bound %.0f)\n", added_ns,
                 BOUND_IDLE_NS);
    return added_ns <= BOUND_IDLE_NS ? 0 : 1;
}

static int judge_with_client(const struct options *options,
                             int (*judge)(const struct options *options))
{
    const struct client_config config = {
        .instance = self.host.instance, .spin_us = -1, .yield_in_spin = 0};
    enum rs_status status = client_open(&config, &self.client);
    if (status == RS_OK) {
        status = pair_open(self.client, &self.pair);
    }
    if (status != RS_OK) {
        (void)fprintf(stderr, "%s: %s\n", rs_status_name(status), client_last_error_text());
        return 2;
    }
    int result = judge(options);
    client_close(self.client);
    return result;
}

static uint32_t option_number(int argc, char **argv, int *at, const char *name, uint32_t value)
{
    if (*at + 1 < argc && strcmp(argv[*at], name) == 0) {
        value = (uint32_t)strtoul(argv[*at + 1], NULL, 10);
        *at += 2;
    }
    return value;
}

int main(int argc, char **argv)
{
    static const char *only[KINDS_MAX + 1];
    struct options options = {.repetitions = 3, .samples = 2000, .only = only};
    if (argc > 1 && strcmp(argv[1], "--neighbour") == 0) {
        return neighbour_main(argc, argv);
    }
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_isolation neighbours|threads|idle [--repetitions N] "
                              "[--samples N] [--bound N] [KIND...]\n");
        return 2;
    }
    int at = 2;
    options.repetitions = option_number(argc, argv, &at, "--repetitions", options.repetitions);
    options.samples = option_number(argc, argv, &at, "--samples", options.samples);
    options.bound = option_number(argc, argv, &at, "--bound", BOUND_RATIO);
    for (uint32_t i = 0; at < argc && i < KINDS_MAX; at++) {
        only[i++] = argv[at];
    }
    if (options.repetitions > REPETITIONS_MAX) {
        options.repetitions = REPETITIONS_MAX;
    }
    self.program = argv[0];
    if (!host_start(&self.host)) {
        return 2;
    }
    (void)printf("poll loop on processor %u, measured thread on %u, the other on %u; %s\n",
                 self.host.core_far, self.host.core_near, self.host.core_neighbour,
                 self.host.realtime ? "fixed priorities" : "plain scheduling");
    int result = strcmp(argv[1], "threads") == 0
                     ? threads_judge(&self.host, options.repetitions, options.samples)
                     : judge_with_client(&options, strcmp(argv[1], "idle") == 0 ? judge_idle
                                                                                : judge_neighbours);
    host_stop();
    return result;
}
