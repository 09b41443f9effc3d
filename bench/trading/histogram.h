/*
 * Latencies in buckets whose width is 1/64 of their value (log-linear): 8 ns to minutes in a few
 * thousand counters, percentiles within 1.6 %. Recording is a few instructions. One thread.
 */
#ifndef RINGSOCK_BENCH_TRADING_HISTOGRAM_H
#define RINGSOCK_BENCH_TRADING_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum { HISTOGRAM_SUB_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << 6 };

struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t min_ns, max_ns;
};

void histogram_clear(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value_ns);
/* The least value that at least `fraction` (0 to 1) of all do not pass; 0 when nothing was
 * recorded. */
uint64_t histogram_percentile(const struct histogram *histogram, double fraction);
/* Bars over a 1-2-5 scale, at most 78 columns, and the percentiles below. */
void histogram_print(const struct histogram *histogram, FILE *out);
/* {"count":…,"min_ns":…,"p50_ns":…,…,"max_ns":…} */
void histogram_json(const struct histogram *histogram, FILE *out);

#endif
