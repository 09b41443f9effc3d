/* Log-linear latency histogram, see histogram.h. */
#include "bench/trading/histogram.h"

#include <string.h>

static const struct {
    const char *name;
    double fraction;
} histogram_points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}};
enum { HISTOGRAM_POINTS = sizeof(histogram_points) / sizeof(histogram_points[0]) };

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->min_ns = UINT64_MAX;
}

/* Values below 64 have a bucket each; above, the six bits after the leading one choose. */
static uint32_t histogram_bucket(uint64_t value_ns)
{
    uint32_t leading = 63u - (uint32_t)__builtin_clzll(value_ns | 1);
    if (leading < HISTOGRAM_SUB_BITS) {
        return (uint32_t)value_ns;
    }
    uint32_t shift = leading - HISTOGRAM_SUB_BITS;
    uint32_t sub = (uint32_t)(value_ns >> shift) & ((1u << HISTOGRAM_SUB_BITS) - 1);
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + sub;
}

/* Largest value that falls into a bucket. */
static uint64_t histogram_bucket_top(uint32_t bucket)
{
    uint32_t row = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t sub = bucket & ((1u << HISTOGRAM_SUB_BITS) - 1);
    if (row == 0) {
        return sub;
    }
    return ((sub + (1u << HISTOGRAM_SUB_BITS) + 1) << (row - 1)) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
    histogram->count[histogram_bucket(value_ns)]++;
    histogram->total++;
    if (value_ns < histogram->min_ns) {
        histogram->min_ns = value_ns;
    }
    if (value_ns > histogram->max_ns) {
        histogram->max_ns = value_ns;
    }
}

uint64_t histogram_percentile(const struct histogram *histogram, double fraction)
{
    if (histogram->total == 0) {
        return 0;
    }
    double exact = fraction * (double)histogram->total;
    uint64_t want = (uint64_t)exact;
    if ((double)want < exact || want == 0) {
        want++;
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->count[i];
        if (seen >= want) {
            uint64_t top = histogram_bucket_top(i);
            return top < histogram->max_ns ? top : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}

/* Counts per step of a 1-2-5 scale; bounds[i] is the upper end of row i. Returns the rows used. */
static uint32_t histogram_rows(const struct histogram *histogram, uint64_t *bounds,
                               uint64_t *counts, uint32_t max_rows)
{
    static const uint64_t steps[] = {1, 2, 5};
    uint64_t decade = 1000;
    uint32_t rows = 0;
    while (rows < max_rows) {
        bounds[rows] = decade * steps[rows % 3];
        counts[rows] = 0;
        if (rows % 3 == 2) {
            decade *= 10;
        }
        rows++;
    }
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->count[i] == 0) {
            continue;
        }
        uint32_t row = 0;
        while (row + 1 < max_rows && histogram_bucket_top(i) > bounds[row]) {
            row++;
        }
        counts[row] += histogram->count[i];
    }
    return rows;
}

static void histogram_print_time(uint64_t ns, FILE *out)
{
    if (ns < 10000) {
        (void)fprintf(out, "%8.2f us", (double)ns / 1e3);
    } else if (ns < 10000000) {
        (void)fprintf(out, "%8.0f us", (double)ns / 1e3);
    } else {
        (void)fprintf(out, "%8.0f ms", (double)ns / 1e6);
    }
}

void histogram_print(const struct histogram *histogram, FILE *out)
{
    enum { ROWS = 24, BAR_COLUMNS = 40 };
    static const char bar[] = "########################################";
    uint64_t bounds[ROWS];
    uint64_t counts[ROWS];
    uint32_t rows = histogram_rows(histogram, bounds, counts, ROWS);
    uint64_t most = 1;
    uint32_t first = rows;
    uint32_t last = 0;
    for (uint32_t i = 0; i < rows; i++) {
        if (counts[i] != 0) {
            first = first == rows ? i : first;
            last = i;
        }
        most = counts[i] > most ? counts[i] : most;
    }
    for (uint32_t i = first; i < rows && i <= last; i++) {
        uint64_t filled = (counts[i] * BAR_COLUMNS + most - 1) / most;
        (void)fprintf(out, "  <=");
        histogram_print_time(bounds[i], out);
        (void)fprintf(out, " %9llu |%.*s\n", (unsigned long long)counts[i], (int)filled, bar);
    }
    (void)fprintf(out, "  ");
    for (uint32_t i = 0; i < HISTOGRAM_POINTS; i++) {
        uint64_t ns = histogram_percentile(histogram, histogram_points[i].fraction);
        (void)fprintf(out, "%s %.1f us  ", histogram_points[i].name, (double)ns / 1e3);
    }
    (void)fprintf(out, "max %.1f us\n", (double)histogram->max_ns / 1e3);
}

void histogram_json(const struct histogram *histogram, FILE *out)
{
    (void)fprintf(out, "{\"count\":%llu,\"min_ns\":%llu", (unsigned long long)histogram->total,
                  (unsigned long long)(histogram->total != 0 ? histogram->min_ns : 0));
    for (uint32_t i = 0; i < HISTOGRAM_POINTS; i++) {
        uint64_t ns = histogram_percentile(histogram, histogram_points[i].fraction);
        (void)fprintf(out, ",\"%s_ns\":%llu", histogram_points[i].name, (unsigned long long)ns);
    }
    (void)fprintf(out, ",\"max_ns\":%llu}", (unsigned long long)histogram->max_ns);
}
