/*
 * Reads a report of report.h: bounds, once, and then records by copying. Pure functions on the
 * reader's private copy; any thread. Called by ringsockctl and the tests.
 */
#ifndef RINGSOCK_RINGS_REPORT_VIEW_H
#define RINGSOCK_RINGS_REPORT_VIEW_H

#include <stdint.h>

#include "rings/report.h"
#include "rings/status.h"

/* A checked report; `bytes` is the caller's private copy of it. */
struct rs_report_view {
    const uint8_t *bytes;
    struct rs_report_header header;
};

/*
 * Checks a private copy: whatever the bytes are, nothing outside of them is read later. RS_CORRUPT
 * (*why names what), RS_VERSION_MISMATCH.
 */
RS_CHECK_RESULT enum rs_status rs_report_check(const void *copy, uint64_t bytes,
                                               struct rs_report_view *out, const char **why);
/* Records of a section; 0 also for one that this report does not have. */
uint32_t rs_report_count(const struct rs_report_view *view, enum rs_report_section_id section);
/* One record by index below the count: what there is of it, the rest zero; texts terminated. */
void rs_report_queue_get(const struct rs_report_view *view, uint32_t idx,
                         struct rs_report_queue *out);
void rs_report_session_get(const struct rs_report_view *view, uint32_t idx,
                           struct rs_report_session *out);
void rs_report_socket_get(const struct rs_report_view *view, uint32_t idx,
                          struct rs_report_socket *out);
void rs_report_port_get(const struct rs_report_view *view, uint32_t idx,
                        struct rs_report_port *out);
void rs_report_figure_get(const struct rs_report_view *view, uint32_t idx,
                          struct rs_report_figure *out);
void rs_report_counter_get(const struct rs_report_view *view, uint32_t idx,
                           struct rs_report_counter *out);
void rs_report_trace_get(const struct rs_report_view *view, uint32_t idx,
                         struct rs_report_trace *out);
void rs_report_trace_event_get(const struct rs_report_view *view, uint32_t idx,
                               struct rs_report_trace_event *out);
void rs_report_tcp_state_get(const struct rs_report_view *view, uint32_t idx,
                             struct rs_report_name *out);
uint64_t rs_report_value(const struct rs_report_view *view, uint32_t queue_idx,
                         uint32_t counter_idx);

#endif
