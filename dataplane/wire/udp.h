/*
 * UDP header (RFC 768). Format only; dataplane/udp.c decides.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_UDP_H
#define RINGSOCK_DATAPLANE_WIRE_UDP_H

#include <stdbool.h>

#include "dataplane/wire/byteorder.h"
#include "dataplane/wire/checksum.h"

enum { UDP_HEADER_BYTES = 8, UDP_PROTOCOL = 17 };

struct wire_udp {
    uint16_t src_port_be16;
    uint16_t dst_port_be16;
    uint16_t len_be16; /* header and payload */
    uint16_t checksum_be16;
} WIRE_HEADER;
static_assert(sizeof(struct wire_udp) == UDP_HEADER_BYTES, "wire: udp");

enum udp_check_result {
    UDP_CHECK_OK,
    UDP_CHECK_TRUNCATED, /* no room for the header */
    UDP_CHECK_LENGTH     /* length field below 8, or beyond the data */
};

/* After OK, the header and its length field's bytes may be read. */
static inline enum udp_check_result udp_check(const uint8_t *data, uint32_t len_bytes)
{
    if (len_bytes < UDP_HEADER_BYTES) {
        return UDP_CHECK_TRUNCATED;
    }
    uint32_t udp_bytes = rs_be16(((const struct wire_udp *)data)->len_be16);
    return udp_bytes < UDP_HEADER_BYTES || udp_bytes > len_bytes ? UDP_CHECK_LENGTH : UDP_CHECK_OK;
}

/* What the checksum field must hold, over a header whose field is zero, and payload, as they lie in
 * data. A sum of zero is sent as 0xffff: zero says "no checksum". */
static inline uint16_t udp_checksum(const uint8_t *data, uint16_t len_bytes, uint32_t src_be32,
                                    uint32_t dst_be32)
{
    uint64_t sum = checksum_pseudo(src_be32, dst_be32, UDP_PROTOCOL, len_bytes);
    uint16_t checksum = checksum_finish(checksum_add(sum, data, len_bytes));
    return checksum == 0 ? 0xffff : checksum;
}

/* For a datagram with a checksum in its field, after udp_check. */
static inline bool udp_checksum_ok(const uint8_t *data, uint16_t len_bytes, uint32_t src_be32,
                                   uint32_t dst_be32)
{
    uint64_t sum = checksum_pseudo(src_be32, dst_be32, UDP_PROTOCOL, len_bytes);
    return checksum_finish(checksum_add(sum, data, len_bytes)) == 0;
}

/* The header with a zero checksum. */
static inline void udp_emit(uint8_t *data, uint16_t src_port_be16, uint16_t dst_port_be16,
                            uint16_t len_bytes)
{
    struct wire_udp *header = (struct wire_udp *)data;
    header->src_port_be16 = src_port_be16;
    header->dst_port_be16 = dst_port_be16;
    header->len_be16 = rs_be16(len_bytes);
    header->checksum_be16 = 0;
}

#endif
