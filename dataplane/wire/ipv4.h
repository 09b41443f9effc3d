/*
 * IPv4 header (RFC 791) and the classes of its addresses. Format only; dataplane/ipv4.c decides.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_IPV4_H
#define RINGSOCK_DATAPLANE_WIRE_IPV4_H

#include <stdbool.h>

#include "dataplane/wire/byteorder.h"
#include "dataplane/wire/checksum.h"

enum {
    IPV4_HEADER_BYTES = 20, /* without options */
    IPV4_TOTAL_MAX_BYTES = 65535,
    IPV4_FRAGMENT_UNIT_BYTES = 8, /* every fragment but the last has a multiple of it */
    IPV4_PROTOCOL_ICMP = 1,
    IPV4_PROTOCOL_IGMP = 2,
    IPV4_PROTOCOL_TCP = 6,
    IPV4_PROTOCOL_UDP = 17,
    IPV4_FLAG_DF = 0x4000,
    IPV4_FLAG_MF = 0x2000,
    IPV4_OFFSET_MASK = 0x1fff
};

struct wire_ipv4 {
    uint8_t version_ihl;
    uint8_t tos;
    uint16_t total_len_be16;
    uint16_t id_be16;
    uint16_t fragment_be16;
    uint8_t ttl;
    uint8_t protocol;
    uint16_t checksum_be16;
    uint32_t src_be32;
    uint32_t dst_be32;
} WIRE_HEADER;
static_assert(sizeof(struct wire_ipv4) == IPV4_HEADER_BYTES, "wire: ipv4");

enum ipv4_check_result {
    IPV4_CHECK_OK,
    IPV4_CHECK_TRUNCATED,     /* no room for the fixed header */
    IPV4_CHECK_VERSION,       /* not 4 */
    IPV4_CHECK_HEADER_LENGTH, /* below 20 bytes, or beyond the data */
    IPV4_CHECK_TOTAL_LENGTH   /* below the header's, or beyond the data */
};

static inline uint32_t ipv4_header_bytes(const struct wire_ipv4 *header)
{
    return (header->version_ihl & 0xfu) * 4u;
}

static inline uint32_t ipv4_total_bytes(const struct wire_ipv4 *header)
{
    return rs_be16(header->total_len_be16);
}

/* After OK, the header, its options and total length bytes of data may be read. Bytes behind the
 * total length are Ethernet padding. The checksum is a question of its own. */
static inline enum ipv4_check_result ipv4_check(const uint8_t *data, uint32_t len_bytes)
{
    const struct wire_ipv4 *header = (const struct wire_ipv4 *)data;
    if (len_bytes < IPV4_HEADER_BYTES) {
        return IPV4_CHECK_TRUNCATED;
    }
    if (header->version_ihl >> 4 != 4) {
        return IPV4_CHECK_VERSION;
    }
    uint32_t header_bytes = ipv4_header_bytes(header);
    if (header_bytes < IPV4_HEADER_BYTES || header_bytes > len_bytes) {
        return IPV4_CHECK_HEADER_LENGTH;
    }
    uint32_t total_bytes = ipv4_total_bytes(header);
    if (total_bytes < header_bytes || total_bytes > len_bytes) {
        return IPV4_CHECK_TOTAL_LENGTH;
    }
    return IPV4_CHECK_OK;
}

static inline bool ipv4_checksum_ok(const struct wire_ipv4 *header)
{
    return checksum_finish(checksum_add(0, header, ipv4_header_bytes(header))) == 0;
}

static inline bool ipv4_is_fragment(const struct wire_ipv4 *header)
{
    return (header->fragment_be16 & rs_be16(IPV4_FLAG_MF | IPV4_OFFSET_MASK)) != 0;
}

/* Where a fragment's payload begins in that of its datagram. */
static inline uint32_t ipv4_fragment_off_bytes(const struct wire_ipv4 *header)
{
    return (rs_be16(header->fragment_be16) & (uint32_t)IPV4_OFFSET_MASK) * IPV4_FRAGMENT_UNIT_BYTES;
}

static inline bool ipv4_fragment_is_last(const struct wire_ipv4 *header)
{
    return (header->fragment_be16 & rs_be16(IPV4_FLAG_MF)) == 0;
}

/* Classes of addresses (RFC 1122 section 3.2.1.3, RFC 1112, RFC 6890). */
static inline bool ipv4_is_loopback(uint32_t ip_be32)
{
    return (ip_be32 & 0xffu) == 127;
}

static inline bool ipv4_is_multicast(uint32_t ip_be32)
{
    return (ip_be32 & 0xf0u) == 0xe0u;
}

static inline bool ipv4_is_limited_broadcast(uint32_t ip_be32)
{
    return ip_be32 == 0xffffffffu;
}

/* 240/4, the limited broadcast included. */
static inline bool ipv4_is_reserved(uint32_t ip_be32)
{
    return (ip_be32 & 0xf0u) == 0xf0u;
}

/* 0/8: "this network". */
static inline bool ipv4_is_zero_net(uint32_t ip_be32)
{
    return (ip_be32 & 0xffu) == 0;
}

/* Writes the header with its checksum (zero when the NIC fills it in). fields->version_ihl says how
 * many option bytes, already in place behind it, belong to it. */
static inline void ipv4_emit(uint8_t *data, const struct wire_ipv4 *fields, bool checksum)
{
    struct wire_ipv4 *header = (struct wire_ipv4 *)data;
    *header = *fields;
    header->checksum_be16 = 0;
    if (checksum) {
        header->checksum_be16 = checksum_finish(checksum_add(0, data, ipv4_header_bytes(fields)));
    }
}

#endif
