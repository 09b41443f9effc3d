/*
 * ARP for IPv4 over Ethernet (RFC 826). Format only; dataplane/arp.c acts.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_ARP_H
#define RINGSOCK_DATAPLANE_WIRE_ARP_H

#include <stddef.h>
#include <string.h>

#include "dataplane/wire/byteorder.h"

enum { ARP_BYTES = 28, ARP_REQUEST = 1, ARP_REPLY = 2 };

struct wire_arp {
    uint16_t hardware_be16; /* 1: Ethernet */
    uint16_t protocol_be16; /* 0x0800 */
    uint8_t hardware_len;   /* 6 */
    uint8_t protocol_len;   /* 4 */
    uint16_t op_be16;
    uint8_t sender_mac[6];
    uint32_t sender_be32;
    uint8_t target_mac[6];
    uint32_t target_be32;
} WIRE_HEADER;
static_assert(sizeof(struct wire_arp) == ARP_BYTES, "wire: arp");

/* NULL: too short, not IPv4 over Ethernet, or neither request nor reply. */
static inline const struct wire_arp *arp_check(const uint8_t *data, uint32_t len_bytes)
{
    const struct wire_arp *arp = (const struct wire_arp *)data;
    if (len_bytes < ARP_BYTES || arp->hardware_be16 != rs_be16(1) ||
        arp->protocol_be16 != rs_be16(0x0800) || arp->hardware_len != 6 || arp->protocol_len != 4 ||
        (arp->op_be16 != rs_be16(ARP_REQUEST) && arp->op_be16 != rs_be16(ARP_REPLY))) {
        return NULL;
    }
    return arp;
}

static inline void arp_emit(uint8_t *data, uint16_t op, const uint8_t sender_mac[6],
                            uint32_t sender_be32, const uint8_t target_mac[6], uint32_t target_be32)
{
    struct wire_arp *arp = (struct wire_arp *)data;
    arp->hardware_be16 = rs_be16(1);
    arp->protocol_be16 = rs_be16(0x0800);
    arp->hardware_len = 6;
    arp->protocol_len = 4;
    arp->op_be16 = rs_be16(op);
    memcpy(arp->sender_mac, sender_mac, 6);
    arp->sender_be32 = sender_be32;
    memcpy(arp->target_mac, target_mac, 6);
    arp->target_be32 = target_be32;
}

#endif
