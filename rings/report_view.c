/*
 * The reader of report_view.h. Any thread; calls nothing.
 */
#include "rings/report_view.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* The least a record must have: what its first version had. */
static const uint32_t report_least_bytes[RS_REPORT_KNOWN] = {
    [RS_REPORT_QUEUES] = sizeof(struct rs_report_queue),
    [RS_REPORT_SESSIONS] = sizeof(struct rs_report_session),
    [RS_REPORT_SOCKETS] = sizeof(struct rs_report_socket),
    [RS_REPORT_PORTS] = sizeof(struct rs_report_port),
    [RS_REPORT_FIGURES] = sizeof(struct rs_report_figure),
    [RS_REPORT_COUNTERS] = sizeof(struct rs_report_counter),
    [RS_REPORT_VALUES] = sizeof(uint64_t),
    [RS_REPORT_TRACE] = sizeof(struct rs_report_trace),
    [RS_REPORT_TRACE_EVENTS] = sizeof(struct rs_report_trace_event),
    [RS_REPORT_TCP_STATES] = sizeof(struct rs_report_name),
};

static bool report_section_ok(const struct rs_report_header *header, uint32_t idx)
{
    const struct rs_report_section *section = &header->sections[idx];
    uint64_t bytes = (uint64_t)section->stride_bytes * section->count;
    if (section->count == 0) {
        return true;
    }
    return section->stride_bytes >= report_least_bytes[idx] && section->stride_bytes % 8 == 0 &&
           section->count <= RS_REPORT_RECORDS_MAX && section->off % 8 == 0 &&
           section->off >= header->header_bytes && section->off <= header->bytes &&
           bytes <= header->bytes - section->off;
}

static const char *report_wrong(const struct rs_report_header *header, uint64_t bytes)
{
    if (header->header_bytes < sizeof(*header) || header->header_bytes % 8 != 0 ||
        header->bytes > bytes || header->header_bytes > header->bytes) {
        return "size";
    }
    if (header->tsc_hz == 0 || header->tsc < header->started_tsc) {
        return "clock";
    }
    if (memchr(header->instance, '\0', sizeof(header->instance)) == NULL) {
        return "instance";
    }
    if (header->section_count < RS_REPORT_KNOWN) {
        return "section count";
    }
    for (uint32_t i = 0; i < RS_REPORT_KNOWN; i++) {
        if (!report_section_ok(header, i)) {
            return "section";
        }
    }
    const struct rs_report_section *sections = header->sections;
    if (sections[RS_REPORT_QUEUES].count > RS_QUEUES_MAX ||
        (uint64_t)sections[RS_REPORT_QUEUES].count * sections[RS_REPORT_COUNTERS].count !=
            sections[RS_REPORT_VALUES].count) {
        return "number of queues or values";
    }
    return NULL;
}

enum rs_status rs_report_check(const void *copy, uint64_t bytes, struct rs_report_view *out,
                               const char **why)
{
    struct rs_report_header header;
    *why = "shorter than a header";
    if (bytes < sizeof(header) || bytes > RS_REPORT_BYTES_MAX) {
        return RS_CORRUPT;
    }
    memcpy(&header, copy, sizeof(header));
    *why = "magic";
    if (header.magic != RS_REPORT_MAGIC) {
        return RS_CORRUPT;
    }
    *why = "version";
    if (header.version != RS_REPORT_VERSION) {
        return RS_VERSION_MISMATCH;
    }
    *why = report_wrong(&header, bytes);
    if (*why != NULL) {
        return RS_CORRUPT;
    }
    *out = (struct rs_report_view){.bytes = copy, .header = header};
    return RS_OK;
}

uint32_t rs_report_count(const struct rs_report_view *view, enum rs_report_section_id section)
{
    return view->header.sections[section].count;
}

static void report_get(const struct rs_report_view *view, enum rs_report_section_id id,
                       uint32_t idx, void *out, size_t bytes)
{
    const struct rs_report_section *section = &view->header.sections[id];
    size_t there = bytes < section->stride_bytes ? bytes : section->stride_bytes;
    assert(idx < section->count);
    memset(out, 0, bytes);
    memcpy(out, view->bytes + section->off + (size_t)idx * section->stride_bytes, there);
}

#define REPORT_END_TEXT(field) ((field)[sizeof(field) - 1] = '\0')

void rs_report_queue_get(const struct rs_report_view *view, uint32_t idx,
                         struct rs_report_queue *out)
{
    report_get(view, RS_REPORT_QUEUES, idx, out, sizeof(*out));
    REPORT_END_TEXT(out->nic);
    if (out->more_count > RS_ADDRESSES_MAX - 1) {
        out->more_count = RS_ADDRESSES_MAX - 1;
    }
}

void rs_report_session_get(const struct rs_report_view *view, uint32_t idx,
                           struct rs_report_session *out)
{
    report_get(view, RS_REPORT_SESSIONS, idx, out, sizeof(*out));
    REPORT_END_TEXT(out->program);
}

void rs_report_socket_get(const struct rs_report_view *view, uint32_t idx,
                          struct rs_report_socket *out)
{
    report_get(view, RS_REPORT_SOCKETS, idx, out, sizeof(*out));
}

void rs_report_port_get(const struct rs_report_view *view, uint32_t idx, struct rs_report_port *out)
{
    report_get(view, RS_REPORT_PORTS, idx, out, sizeof(*out));
}

void rs_report_figure_get(const struct rs_report_view *view, uint32_t idx,
                          struct rs_report_figure *out)
{
    report_get(view, RS_REPORT_FIGURES, idx, out, sizeof(*out));
    REPORT_END_TEXT(out->name);
    REPORT_END_TEXT(out->group);
    REPORT_END_TEXT(out->text);
}

void rs_report_counter_get(const struct rs_report_view *view, uint32_t idx,
                           struct rs_report_counter *out)
{
    report_get(view, RS_REPORT_COUNTERS, idx, out, sizeof(*out));
    REPORT_END_TEXT(out->name);
    REPORT_END_TEXT(out->group);
    REPORT_END_TEXT(out->text);
}

void rs_report_trace_get(const struct rs_report_view *view, uint32_t idx,
                         struct rs_report_trace *out)
{
    report_get(view, RS_REPORT_TRACE, idx, out, sizeof(*out));
}

void rs_report_trace_event_get(const struct rs_report_view *view, uint32_t idx,
                               struct rs_report_trace_event *out)
{
    report_get(view, RS_REPORT_TRACE_EVENTS, idx, out, sizeof(*out));
    REPORT_END_TEXT(out->name);
    REPORT_END_TEXT(out->text);
    REPORT_END_TEXT(out->a_text);
    REPORT_END_TEXT(out->b_text);
}

void rs_report_tcp_state_get(const struct rs_report_view *view, uint32_t idx,
                             struct rs_report_name *out)
{
    report_get(view, RS_REPORT_TCP_STATES, idx, out, sizeof(*out));
    REPORT_END_TEXT(out->name);
}

uint64_t rs_report_value(const struct rs_report_view *view, uint32_t queue_idx,
                         uint32_t counter_idx)
{
    uint64_t value;
    report_get(view, RS_REPORT_VALUES,
               queue_idx * rs_report_count(view, RS_REPORT_COUNTERS) + counter_idx, &value,
               sizeof(value));
    return value;
}
