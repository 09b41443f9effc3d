/*
 * `ringsockctl counters`: what the queues counted, with the texts that came along. Called by
 * main.c; prints to stdout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "provider/ctl/ctl.h"

#define COUNTERS_INDENT 19u

static bool counters_is_level(const struct rs_report_counter *counter)
{
    return strcmp((const char *)counter->group, "waiting") == 0;
}

static void counters_line(const struct rs_report_counter *counter, const char *value)
{
    char words[sizeof(*counter) + 4];
    (void)printf("  %15s  ", value);
    (void)snprintf(words, sizeof(words), "%s: %s", (const char *)counter->name,
                   (const char *)counter->text);
    ctl_clean(words);
    ctl_words(words, COUNTERS_INDENT);
    (void)printf("\n");
}

/* One counter of one queue: what it says, or how fast it grows. True: it was shown. */
static bool counters_one(const struct ctl_view *view, uint32_t queue_idx, uint32_t counter_idx)
{
    struct rs_report_counter counter;
    char rate[sizeof(struct ctl_text) + 2];
    rs_report_counter_get(view->now, counter_idx, &counter);
    uint64_t value = rs_report_value(view->now, queue_idx, counter_idx);
    if (view->before == NULL || counters_is_level(&counter)) {
        if (value == 0 && !view->all) {
            return false;
        }
        counters_line(&counter, ctl_number(value).bytes);
        return true;
    }
    uint64_t before = rs_report_value(view->before, queue_idx, counter_idx);
    if (value == before && !view->all) {
        return false;
    }
    double per_second = ctl_rate(view, value, before);
    if (per_second >= 100) {
        (void)snprintf(rate, sizeof(rate), "%s/s", ctl_number((uint64_t)(per_second + 0.5)).bytes);
    } else {
        (void)snprintf(rate, sizeof(rate), "%.1f/s", per_second);
    }
    counters_line(&counter, rate);
    return true;
}

void ctl_show_counters(const struct ctl_view *view)
{
    uint32_t counters = rs_report_count(view->now, RS_REPORT_COUNTERS);
    for (uint32_t i = 0; i < rs_report_count(view->now, RS_REPORT_QUEUES); i++) {
        struct rs_report_queue queue;
        uint32_t hidden = 0;
        rs_report_queue_get(view->now, i, &queue);
        (void)printf("queue %" PRIu32 " on %s (%s)", i, ctl_printable(queue.nic).bytes,
                     ctl_kind(queue.kind));
        if (view->before != NULL) {
            (void)printf(", in the last %s", ctl_seconds(view->seconds).bytes);
        }
        (void)printf("\n");
        for (uint32_t k = 0; k < counters; k++) {
            hidden += !counters_one(view, i, k);
        }
        if (hidden != 0) {
            (void)printf("  %15" PRIu32 "  more %s; --all shows them\n", hidden,
                         view->before != NULL ? "stood still" : "are 0");
        }
    }
}
