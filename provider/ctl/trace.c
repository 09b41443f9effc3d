/*
 * `ringsockctl trace`: what happened last, of all queues in the order of time; with a report before
 * only what is new. Called by main.c; prints to stdout. What the words of a record mean is also
 * document.c's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/ctl/ctl.h"

#define TRACE_INDENT 4u
#define NS_PER_S     1000000000u

/* ---- what a record says ---- */

/* Before the report was begun; negative: after that. */
static int64_t trace_age_ns(const struct rs_report_view *report,
                            const struct rs_report_trace *record)
{
    uint64_t hz = report->header.tsc_hz;
    /* Of a moment after the report was begun, where the difference wraps: negative. */
    bool later = record->tsc > report->header.tsc;
    uint64_t tsc = later ? record->tsc - report->header.tsc : report->header.tsc - record->tsc;
    uint64_t ns = tsc / hz * NS_PER_S + (uint64_t)((double)(tsc % hz) * NS_PER_S / (double)hz);
    return later ? -(int64_t)(ns & INT64_MAX) : (int64_t)(ns & INT64_MAX);
}

uint64_t ctl_trace_unix_ns(const struct rs_report_view *report,
                           const struct rs_report_trace *record)
{
    return report->header.unix_ns - (uint64_t)trace_age_ns(report, record);
}

void ctl_trace_event(const struct rs_report_view *report, const struct rs_report_trace *record,
                     struct rs_report_trace_event *out)
{
    *out = (struct rs_report_trace_event){.name = "unknown", .text = "unknown"};
    if (record->event < rs_report_count(report, RS_REPORT_TRACE_EVENTS)) {
        rs_report_trace_event_get(report, record->event, out);
    }
}

/* A value in the words of its kind. Returns the characters, as snprintf. */
static size_t trace_value(const struct rs_report_view *report, uint32_t kind, uint32_t value,
                          char *out, size_t bytes)
{
    struct rs_report_name state;
    struct rs_report_counter counter;
    const char *word = NULL;
    if (kind == RS_REPORT_VALUE_TCP_STATE &&
        value < rs_report_count(report, RS_REPORT_TCP_STATES)) {
        rs_report_tcp_state_get(report, value, &state);
        word = (const char *)state.name;
    } else if (kind == RS_REPORT_VALUE_COUNTER &&
               value < rs_report_count(report, RS_REPORT_COUNTERS)) {
        rs_report_counter_get(report, value, &counter);
        word = (const char *)counter.name;
    } else if (kind == RS_REPORT_VALUE_STATUS) {
        word = rs_status_name((enum rs_status)value);
    }
    int wrote =
        word != NULL ? snprintf(out, bytes, "%s", word) : snprintf(out, bytes, "%" PRIu32, value);
    return (size_t)wrote;
}

void ctl_trace_detail(const struct rs_report_view *report,
                      const struct rs_report_trace_event *event,
                      const struct rs_report_trace *record, char *out, size_t bytes)
{
    const struct {
        const uint8_t *text;
        uint32_t kind, value;
    } parts[2] = {{event->a_text, event->a_kind, record->a},
                  {event->b_text, event->b_kind, record->b}};
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < 2 && used < bytes; i++) {
        if (parts[i].kind == RS_REPORT_VALUE_NONE) {
            continue;
        }
        used += (size_t)snprintf(out + used, bytes - used, "%s%s ", used != 0 ? ", " : "",
                                 (const char *)parts[i].text);
        if (used < bytes) {
            used += trace_value(report, parts[i].kind, parts[i].value, out + used, bytes - used);
        }
    }
}

/* ---- for a person ---- */

static void trace_line(const struct ctl_view *view, const struct rs_report_trace *record)
{
    struct rs_report_trace_event event;
    char detail[CTL_TRACE_DETAIL_BYTES];
    char words[CTL_TRACE_DETAIL_BYTES + 4 * sizeof(struct ctl_text)];
    ctl_trace_event(view->now, record, &event);
    ctl_trace_detail(view->now, &event, record, detail, sizeof(detail));
    int64_t age_ns = trace_age_ns(view->now, record);
    uint64_t age = age_ns > 0 ? (uint64_t)age_ns : 0;
    (void)printf("%s  %" PRIu64 ".%09" PRIu64 " s ago  queue %" PRIu32 "  %s\n",
                 ctl_time(ctl_trace_unix_ns(view->now, record)).bytes, age / NS_PER_S,
                 age % NS_PER_S, record->queue_idx, ctl_printable(event.name).bytes);
    const struct rs_addr local = rs_addr_v4(record->local_be32, record->local_port_be16);
    const struct rs_addr peer = rs_addr_v4(record->peer_be32, record->peer_port_be16);
    (void)snprintf(words, sizeof(words), "%s to %s: %s%s%s", ctl_address(&local).bytes,
                   ctl_address(&peer).bytes, (const char *)event.text,
                   detail[0] != '\0' ? ": " : "", detail);
    ctl_clean(words);
    (void)printf("%*s", (int)TRACE_INDENT, "");
    ctl_words(words, TRACE_INDENT);
    (void)printf("\n");
}

/* The newest number of a queue in a report; 0: none. */
static uint64_t trace_newest(const struct rs_report_view *report, uint32_t queue_idx)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; report != NULL && i < rs_report_count(report, RS_REPORT_TRACE); i++) {
        struct rs_report_trace record;
        rs_report_trace_get(report, i, &record);
        if (record.queue_idx == queue_idx && record.number > newest) {
            newest = record.number;
        }
    }
    return newest;
}

static int trace_compare(const void *a, const void *b)
{
    const struct rs_report_trace *first = a;
    const struct rs_report_trace *second = b;
    if (first->tsc != second->tsc) {
        return first->tsc < second->tsc ? -1 : 1;
    }
    if (first->queue_idx != second->queue_idx) {
        return first->queue_idx < second->queue_idx ? -1 : 1;
    }
    return first->number < second->number ? -1 : first->number > second->number;
}

/* Those that the report before did not have, to `out`. What a queue wrote in between and neither
 * report has is told first. Returns how many. */
static uint32_t trace_collect(const struct ctl_view *view, struct rs_report_trace *out)
{
    uint64_t seen[RS_QUEUES_MAX] = {0}, written[RS_QUEUES_MAX] = {0}, found[RS_QUEUES_MAX] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < RS_QUEUES_MAX && view->before != NULL; i++) {
        seen[i] = trace_newest(view->before, i);
        written[i] = trace_newest(view->now, i);
    }
    for (uint32_t i = 0; i < rs_report_count(view->now, RS_REPORT_TRACE); i++) {
        struct rs_report_trace record;
        rs_report_trace_get(view->now, i, &record);
        if (record.queue_idx < RS_QUEUES_MAX && record.number > seen[record.queue_idx]) {
            found[record.queue_idx]++;
            out[count++] = record;
        }
    }
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if (written[i] > seen[i] && written[i] - seen[i] > found[i]) {
            (void)printf("queue %" PRIu32 ": %s more, too many to report\n", i,
                         ctl_number(written[i] - seen[i] - found[i]).bytes);
        }
    }
    return count;
}

void ctl_show_trace(const struct ctl_view *view)
{
    uint32_t count = rs_report_count(view->now, RS_REPORT_TRACE);
    if (view->now->header.hidden_trace != 0) {
        (void)printf(
            "the trace is of all users' connections: root and the dataplane's user see it\n");
        return;
    }
    if (count == 0) {
        if (view->before == NULL) {
            (void)printf("nothing has been traced yet\n");
        }
        return;
    }
    struct rs_report_trace *records = malloc(count * sizeof(*records));
    if (records == NULL) {
        (void)fprintf(stderr, "ringsockctl: no memory for %" PRIu32 " records\n", count);
        return;
    }
    count = trace_collect(view, records);
    qsort(records, count, sizeof(*records), trace_compare);
    for (uint32_t i = 0; i < count; i++) {
        trace_line(view, &records[i]);
    }
    free(records);
}
