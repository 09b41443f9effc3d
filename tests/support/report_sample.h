/*
 * A small report by hand, for the tests of who reads one: two queues, one program with two sockets,
 * a port, two figures, two counters, three trace records. Plain functions; one thread.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_REPORT_SAMPLE_H
#define RINGSOCK_TESTS_SUPPORT_REPORT_SAMPLE_H

#include <stdint.h>
#include <string.h>

#include "rings/report_view.h"

#define REPORT_SAMPLE_BYTES 4096u

/* Two records of queue 0, one of queue 1 that is between them in time. The sample's clock runs at
 * 1000 a second. */
static inline void report_sample_trace(uint8_t *at, uint32_t section, uint32_t k)
{
    static const struct rs_report_trace records[] = {
        {.number = 7, .tsc = 1500, .event = 1, .a = 0, .b = 1},
        {.number = 8, .tsc = 2999, .event = 2, .a = 1, .b = 4000000000u},
        {.number = 1, .tsc = 2000, .queue_idx = 1, .event = 0, .a = RS_NO_MEMORY, .b = 9},
    };
    static const struct rs_report_trace_event events[] = {
        {.name = "failed",
         .text = "it failed",
         .a_text = "status",
         .b_text = "",
         .a_kind = RS_REPORT_VALUE_STATUS},
        {.name = "state",
         .text = "it changed",
         .a_text = "from",
         .b_text = "to",
         .a_kind = RS_REPORT_VALUE_TCP_STATE,
         .b_kind = RS_REPORT_VALUE_TCP_STATE},
        {.name = "drop",
         .text = "it was dropped",
         .a_text = "reason",
         .b_text = "sequence number",
         .a_kind = RS_REPORT_VALUE_COUNTER,
         .b_kind = RS_REPORT_VALUE_NUMBER},
    };
    static const struct rs_report_name states[] = {{"SHUT"}, {"OPEN"}};
    if (section == RS_REPORT_TRACE) {
        struct rs_report_trace record = records[k];
        const uint8_t addresses[8] = {10, 0, 0, 1, 10, 0, 0, 2};
        memcpy(&record.local_be32, addresses, 8);
        record.local_port_be16 = 0x5000; /* 80 */
        record.peer_port_be16 = 0x0100;  /* 1 */
        memcpy(at, &record, sizeof(record));
    } else if (section == RS_REPORT_TRACE_EVENTS) {
        memcpy(at, &events[k], sizeof(events[k]));
    } else if (section == RS_REPORT_TCP_STATES) {
        memcpy(at, &states[k], sizeof(states[k]));
    }
}

/* Record k of the section. */
static inline void report_sample_record(uint8_t *at, uint32_t section, uint32_t k)
{
    if (section == RS_REPORT_QUEUES) {
        struct rs_report_queue record = {.nic = "nic0", .polls = 100 + k, .busy_tsc = 500};
        memcpy(at, &record, sizeof(record));
    } else if (section == RS_REPORT_SESSIONS) {
        struct rs_report_session record = {.id = 9, .pid = 77, .program = "feed", .sockets = 2};
        memcpy(at, &record, sizeof(record));
    } else if (section == RS_REPORT_SOCKETS) {
        struct rs_report_socket record = {.session_id = 9, .idx = k, .queue_mask = 3};
        memcpy(at, &record, sizeof(record));
    } else if (section == RS_REPORT_FIGURES) {
        struct rs_report_figure record = {.value = k, .name = "sockets", .group = "in_use"};
        memcpy(at, &record, sizeof(record));
    } else if (section == RS_REPORT_COUNTERS) {
        struct rs_report_counter record = {.name = "rx_frames", .group = "in", .text = "t"};
        record.name[0] = (uint8_t)('a' + k);
        memcpy(at, &record, sizeof(record));
    } else if (section == RS_REPORT_VALUES) {
        uint64_t value = 1000 + k;
        memcpy(at, &value, sizeof(value));
    } else {
        report_sample_trace(at, section, k);
    }
}

/* more_bytes: how much longer each record is than this version's, as a newer dataplane's would be.
 */
static inline void report_sample_make(uint8_t *bytes, uint32_t more_bytes)
{
    static const struct {
        uint32_t stride_bytes, count;
    } plan[RS_REPORT_KNOWN] = {
        [RS_REPORT_QUEUES] = {sizeof(struct rs_report_queue), 2},
        [RS_REPORT_SESSIONS] = {sizeof(struct rs_report_session), 1},
        [RS_REPORT_SOCKETS] = {sizeof(struct rs_report_socket), 2},
        [RS_REPORT_PORTS] = {sizeof(struct rs_report_port), 1},
        [RS_REPORT_FIGURES] = {sizeof(struct rs_report_figure), 2},
        [RS_REPORT_COUNTERS] = {sizeof(struct rs_report_counter), 2},
        [RS_REPORT_VALUES] = {sizeof(uint64_t), 4},
        [RS_REPORT_TRACE] = {sizeof(struct rs_report_trace), 3},
        [RS_REPORT_TRACE_EVENTS] = {sizeof(struct rs_report_trace_event), 3},
        [RS_REPORT_TCP_STATES] = {sizeof(struct rs_report_name), 2},
    };
    struct rs_report_header header = {.magic = RS_REPORT_MAGIC,
                                      .version = RS_REPORT_VERSION,
                                      .header_bytes = sizeof(header),
                                      .epoch = 7,
                                      .tsc = 3000,
                                      .tsc_hz = 1000,
                                      .started_tsc = 1000,
                                      .dataplane_pid = 42,
                                      .limit_sessions = 64,
                                      .section_count = RS_REPORT_KNOWN,
                                      .instance = "sample"};
    uint32_t off = sizeof(header);
    memset(bytes, 0, REPORT_SAMPLE_BYTES);
    for (uint32_t i = 0; i < RS_REPORT_KNOWN; i++) {
        uint32_t stride_bytes = plan[i].stride_bytes + more_bytes;
        header.sections[i] = (struct rs_report_section){
            .off = off, .stride_bytes = stride_bytes, .count = plan[i].count};
        for (uint32_t k = 0; k < plan[i].count; k++) {
            report_sample_record(bytes + off + k * stride_bytes, i, k);
        }
        off += stride_bytes * plan[i].count;
    }
    header.bytes = off;
    memcpy(bytes, &header, sizeof(header));
}

/* Reads every record there is: a sanitizer sees what lies outside. */
static inline uint64_t report_sample_read(const struct rs_report_view *view)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_QUEUES); i++) {
        struct rs_report_queue record;
        rs_report_queue_get(view, i, &record);
        sum += record.polls + strlen((const char *)record.nic);
        for (uint32_t k = 0; k < rs_report_count(view, RS_REPORT_COUNTERS); k++) {
            sum += rs_report_value(view, i, k);
        }
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_SESSIONS); i++) {
        struct rs_report_session record;
        rs_report_session_get(view, i, &record);
        sum += record.id + strlen((const char *)record.program);
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_SOCKETS); i++) {
        struct rs_report_socket record;
        rs_report_socket_get(view, i, &record);
        sum += record.idx;
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_PORTS); i++) {
        struct rs_report_port record;
        rs_report_port_get(view, i, &record);
        sum += record.port_be16;
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_FIGURES); i++) {
        struct rs_report_figure record;
        rs_report_figure_get(view, i, &record);
        sum += record.value + strlen((const char *)record.text);
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_COUNTERS); i++) {
        struct rs_report_counter record;
        rs_report_counter_get(view, i, &record);
        sum += strlen((const char *)record.text);
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_TRACE); i++) {
        struct rs_report_trace record;
        rs_report_trace_get(view, i, &record);
        sum += record.number;
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_TRACE_EVENTS); i++) {
        struct rs_report_trace_event record;
        rs_report_trace_event_get(view, i, &record);
        sum += strlen((const char *)record.b_text);
    }
    for (uint32_t i = 0; i < rs_report_count(view, RS_REPORT_TCP_STATES); i++) {
        struct rs_report_name record;
        rs_report_tcp_state_get(view, i, &record);
        sum += strlen((const char *)record.name);
    }
    return sum;
}

#endif
