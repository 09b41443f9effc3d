/*
 * IGMP version 2 (RFC 2236) and 3 (RFC 3376). Format only; dataplane/igmp.c decides.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_IGMP_H
#define RINGSOCK_DATAPLANE_WIRE_IGMP_H

#include <stdbool.h>
#include <string.h>

#include "dataplane/wire/byteorder.h"
#include "dataplane/wire/checksum.h"

enum {
    IGMP_BYTES = 8,           /* v1 and v2 messages, and the least a message can have */
    IGMP_QUERY_V3_BYTES = 12, /* without sources */
    IGMP_REPORT_V3_BYTES = 8, /* without records */
    IGMP_RECORD_BYTES = 8,    /* without sources */
    IGMP_QUERY = 0x11,
    IGMP_REPORT_V1 = 0x12,
    IGMP_REPORT_V2 = 0x16,
    IGMP_LEAVE = 0x17,
    IGMP_REPORT_V3 = 0x22,
    /* record types, RFC 3376 section 4.2.12 */
    IGMP_IS_INCLUDE = 1,
    IGMP_IS_EXCLUDE = 2,
    IGMP_TO_INCLUDE = 3,
    IGMP_TO_EXCLUDE = 4,
    IGMP_ALLOW = 5,
    IGMP_BLOCK = 6
};

struct wire_igmp {
    uint8_t type;
    uint8_t max_response; /* queries */
    uint16_t checksum_be16;
    uint32_t group_be32;
} WIRE_HEADER;
static_assert(sizeof(struct wire_igmp) == IGMP_BYTES, "wire: igmp");

struct wire_igmp_query_v3 {
    struct wire_igmp common;
    uint8_t s_qrv; /* S flag and the querier's robustness variable */
    uint8_t qqic;
    uint16_t source_count_be16;
} WIRE_HEADER;
static_assert(sizeof(struct wire_igmp_query_v3) == IGMP_QUERY_V3_BYTES, "wire: igmp query");

struct wire_igmp_report_v3 {
    uint8_t type;
    uint8_t reserved;
    uint16_t checksum_be16;
    uint16_t reserved2;
    uint16_t record_count_be16;
} WIRE_HEADER;
static_assert(sizeof(struct wire_igmp_report_v3) == IGMP_REPORT_V3_BYTES, "wire: igmp report");

struct wire_igmp_record {
    uint8_t type;
    uint8_t aux_words;
    uint16_t source_count_be16;
    uint32_t group_be32;
} WIRE_HEADER;
static_assert(sizeof(struct wire_igmp_record) == IGMP_RECORD_BYTES, "wire: igmp record");

/* False: too short, a query of a length no version has, or a v3 query shorter than its sources.
 * A v3 query that passes may be read with igmp_query_source up to its count. */
static inline bool igmp_check(const uint8_t *data, uint32_t len_bytes)
{
    if (len_bytes < IGMP_BYTES) {
        return false;
    }
    if (((const struct wire_igmp *)data)->type != IGMP_QUERY || len_bytes == IGMP_BYTES) {
        return true;
    }
    if (len_bytes < IGMP_QUERY_V3_BYTES) {
        return false;
    }
    const struct wire_igmp_query_v3 *query = (const struct wire_igmp_query_v3 *)data;
    return len_bytes - IGMP_QUERY_V3_BYTES >= 4u * rs_be16(query->source_count_be16);
}

static inline bool igmp_checksum_ok(const uint8_t *data, uint32_t len_bytes)
{
    return checksum_finish(checksum_add(0, data, len_bytes)) == 0;
}

static inline uint32_t igmp_query_source(const struct wire_igmp_query_v3 *query, uint32_t idx)
{
    uint32_t source_be32;
    memcpy(&source_be32, (const uint8_t *)query + IGMP_QUERY_V3_BYTES + 4u * idx, 4);
    return source_be32;
}

/* Max Resp Code and QQIC: below 128 the value itself, else a small float (RFC 3376 4.1.1, 4.1.7).
 */
static inline uint32_t igmp_code_value(uint8_t code)
{
    if (code < 128) {
        return code;
    }
    return (0x10u | (code & 0xfu)) << ((code >> 4 & 7u) + 3u);
}

/* A v1 or v2 message with its checksum. */
static inline void igmp_emit(uint8_t *data, uint8_t type, uint32_t group_be32)
{
    struct wire_igmp *message = (struct wire_igmp *)data;
    message->type = type;
    message->max_response = 0;
    message->checksum_be16 = 0;
    message->group_be32 = group_be32;
    message->checksum_be16 = checksum_finish(checksum_add(0, data, IGMP_BYTES));
}

/* A record's head; source_count addresses follow it. */
static inline void igmp_emit_record(uint8_t *data, uint8_t type, uint32_t group_be32,
                                    uint16_t source_count)
{
    struct wire_igmp_record *record = (struct wire_igmp_record *)data;
    record->type = type;
    record->aux_words = 0;
    record->source_count_be16 = rs_be16(source_count);
    record->group_be32 = group_be32;
}

/* The report's head in front of records already in place, with the checksum over len_bytes. */
static inline void igmp_emit_report(uint8_t *data, uint16_t record_count, uint32_t len_bytes)
{
    struct wire_igmp_report_v3 *report = (struct wire_igmp_report_v3 *)data;
    report->type = IGMP_REPORT_V3;
    report->reserved = 0;
    report->checksum_be16 = 0;
    report->reserved2 = 0;
    report->record_count_be16 = rs_be16(record_count);
    report->checksum_be16 = checksum_finish(checksum_add(0, data, len_bytes));
}

#endif
