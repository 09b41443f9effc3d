/*
 * Ethernet II header, and the 802.1Q tag (IEEE 802.3, 802.1Q). Format
 * only; what a frame is good for is decided in dataplane/ethernet.c.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_ETHERNET_H
#define RINGSOCK_DATAPLANE_WIRE_ETHERNET_H

#include <stdbool.h>
#include <string.h>

#include "dataplane/wire/byteorder.h"

enum {
    ETHERNET_MAC_BYTES = 6,
    ETHERNET_HEADER_BYTES = 14,
    ETHERNET_TAG_BYTES = 4,  /* between the addresses and the type */
    ETHERNET_MIN_BYTES = 60, /* without the frame check sequence */
    ETHERNET_TYPE_IPV4 = 0x0800,
    ETHERNET_TYPE_ARP = 0x0806,
    ETHERNET_TYPE_VLAN = 0x8100,   /* 802.1Q */
    ETHERNET_TYPE_SERVICE = 0x88a8 /* 802.1ad outer tag */
};

struct wire_ethernet {
    uint8_t dst[ETHERNET_MAC_BYTES];
    uint8_t src[ETHERNET_MAC_BYTES];
    uint16_t type_be16;
} WIRE_HEADER;
static_assert(sizeof(struct wire_ethernet) == ETHERNET_HEADER_BYTES, "wire: ethernet");

/* NULL: too short. Else every field may be read. */
static inline const struct wire_ethernet *ethernet_check(const uint8_t *data, uint32_t len_bytes)
{
    return len_bytes >= ETHERNET_HEADER_BYTES ? (const struct wire_ethernet *)data : NULL;
}

static inline bool ethernet_is_vlan(const struct wire_ethernet *header)
{
    return header->type_be16 == rs_be16(ETHERNET_TYPE_VLAN) ||
           header->type_be16 == rs_be16(ETHERNET_TYPE_SERVICE);
}

/* tci: priority (3 bits), drop eligible (1), VLAN (12). */
static inline void ethernet_put_tag(uint8_t tag[ETHERNET_TAG_BYTES], uint16_t tci)
{
    tag[0] = ETHERNET_TYPE_VLAN >> 8;
    tag[1] = ETHERNET_TYPE_VLAN & 0xff;
    tag[2] = (uint8_t)(tci >> 8);
    tag[3] = (uint8_t)tci;
}

/* Multicast or broadcast. */
static inline bool ethernet_is_group(const uint8_t mac[6])
{
    return (mac[0] & 1) != 0;
}

static inline bool ethernet_equal(const uint8_t a[6], const uint8_t b[6])
{
    return memcmp(a, b, ETHERNET_MAC_BYTES) == 0;
}

/* RFC 1112 section 6.4: 01:00:5e and the low 23 bits of the group. */
static inline void ethernet_multicast_mac(uint8_t mac[6], uint32_t group_be32)
{
    uint32_t group = rs_be32(group_be32);
    mac[0] = 0x01;
    mac[1] = 0x00;
    mac[2] = 0x5e;
    mac[3] = (uint8_t)(group >> 16 & 0x7f);
    mac[4] = (uint8_t)(group >> 8);
    mac[5] = (uint8_t)group;
}

static inline void ethernet_broadcast_mac(uint8_t mac[6])
{
    memset(mac, 0xff, ETHERNET_MAC_BYTES);
}

static inline void ethernet_emit(uint8_t *data, const uint8_t dst[6], const uint8_t src[6],
                                 uint16_t type)
{
    struct wire_ethernet *header = (struct wire_ethernet *)data;
    memcpy(header->dst, dst, ETHERNET_MAC_BYTES);
    memcpy(header->src, src, ETHERNET_MAC_BYTES);
    header->type_be16 = rs_be16(type);
}

#endif
