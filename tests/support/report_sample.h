/*
 * A small report by hand, for the tests of who reads one: two queues, one program with two sockets,
 * a port, two figures, two counters. Plain functions; one thread.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_REPORT_SAMPLE_H
#define RINGSOCK_TESTS_SUPPORT_REPORT_SAMPLE_H

#include <stdint.h>
#include <string.h>

#include "rings/report_view.h"

#define REPORT_SAMPLE_BYTES 4096u

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
            uint8_t *at = bytes + off + k * stride_bytes;
            if (i == RS_REPORT_QUEUES) {
                struct rs_report_queue record = {.nic = "nic0", .polls = 100 + k, .busy_tsc = 500};
                memcpy(at, &record, sizeof(record));
            } else if (i == RS_REPORT_SESSIONS) {
                struct rs_report_session record = {
                    .id = 9, .pid = 77, .program = "feed", .sockets = 2};
                memcpy(at, &record, sizeof(record));
            } else if (i == RS_REPORT_SOCKETS) {
                struct rs_report_socket record = {.session_id = 9, .idx = k, .queue_mask = 3};
                memcpy(at, &record, sizeof(record));
            } else if (i == RS_REPORT_FIGURES) {
                struct rs_report_figure record = {.value = k, .name = "sockets", .group = "in_use"};
                memcpy(at, &record, sizeof(record));
            } else if (i == RS_REPORT_COUNTERS) {
                struct rs_report_counter record = {.name = "rx_frames", .group = "in", .text = "t"};
                record.name[0] = (uint8_t)('a' + k);
                memcpy(at, &record, sizeof(record));
            } else if (i == RS_REPORT_VALUES) {
                uint64_t value = 1000 + k;
                memcpy(at, &value, sizeof(value));
            }
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
    return sum;
}

#endif
