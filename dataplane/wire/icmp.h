/*
 * ICMP (RFC 792): the eight-byte header all messages share. Format only; dataplane/icmp.c decides.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_ICMP_H
#define RINGSOCK_DATAPLANE_WIRE_ICMP_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/wire/byteorder.h"
#include "dataplane/wire/checksum.h"

enum {
    ICMP_HEADER_BYTES = 8,
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    /* codes of ICMP_UNREACHABLE */
    ICMP_UNREACHABLE_NET = 0,
    ICMP_UNREACHABLE_PROTOCOL = 2,
    ICMP_UNREACHABLE_PORT = 3,
    ICMP_UNREACHABLE_FRAGMENTATION = 4,
    ICMP_UNREACHABLE_NET_UNKNOWN = 6,
    ICMP_UNREACHABLE_NET_PROHIBITED = 9,
    ICMP_UNREACHABLE_NET_TOS = 11,
    /* of ICMP_TIME_EXCEEDED */
    ICMP_TIME_EXCEEDED_REASSEMBLY = 1
};

struct wire_icmp {
    uint8_t type;
    uint8_t code;
    uint16_t checksum_be16;
    uint32_t rest_be32; /* identifier and sequence, or the next hop's MTU, or unused */
} WIRE_HEADER;
static_assert(sizeof(struct wire_icmp) == ICMP_HEADER_BYTES, "wire: icmp");

/* NULL: too short. The data of the message follows the header. */
static inline const struct wire_icmp *icmp_check(const uint8_t *data, uint32_t len_bytes)
{
    return len_bytes >= ICMP_HEADER_BYTES ? (const struct wire_icmp *)data : NULL;
}

static inline bool icmp_checksum_ok(const uint8_t *data, uint32_t len_bytes)
{
    return checksum_finish(checksum_add(0, data, len_bytes)) == 0;
}

/* The header in front of data already in place; the checksum covers len_bytes, header included. */
static inline void icmp_emit(uint8_t *data, uint8_t type, uint8_t code, uint32_t rest_be32,
                             uint32_t len_bytes)
{
    struct wire_icmp *header = (struct wire_icmp *)data;
    header->type = type;
    header->code = code;
    header->checksum_be16 = 0;
    header->rest_be32 = rest_be32;
    header->checksum_be16 = checksum_finish(checksum_add(0, data, len_bytes));
}

#endif
