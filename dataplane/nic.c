/*
 * What all NIC kinds share. Pure functions; any thread.
 */
#include "dataplane/nic.h"

#include <string.h>

#include "dataplane/wire/ethernet.h"

#define TSO_BYTES        16384u
#define TSO_SEGMENTS_MIN 4u

const char *nic_kind_text(enum rs_nic_kind kind)
{
    switch (kind) {
    case RS_NIC_LOOPBACK:
        return "loopback";
    case RS_NIC_BYPASS:
        return "bypass";
    case RS_NIC_FUNCTIONAL:
        return "functional, not bypass";
    }
    return "unknown";
}

uint32_t nic_tso_bytes(uint32_t mtu_bytes)
{
    return mtu_bytes * TSO_SEGMENTS_MIN > TSO_BYTES ? mtu_bytes * TSO_SEGMENTS_MIN : TSO_BYTES;
}

void nic_vlan_strip(struct pkt *pkt)
{
    uint16_t tci_be16;
    if (pkt->len_bytes < ETHERNET_HEADER_BYTES + ETHERNET_TAG_BYTES ||
        ((const struct wire_ethernet *)pkt->data)->type_be16 != rs_be16(ETHERNET_TYPE_VLAN)) {
        return;
    }
    memcpy(&tci_be16, pkt->data + ETHERNET_HEADER_BYTES, sizeof(tci_be16));
    memmove(pkt->data + ETHERNET_TAG_BYTES, pkt->data, 2 * ETHERNET_MAC_BYTES);
    pkt->data += ETHERNET_TAG_BYTES;
    pkt->len_bytes -= ETHERNET_TAG_BYTES;
    pkt->flags |= PKT_VLAN | (uint32_t)rs_be16(tci_be16) << PKT_TCI_SHIFT;
}

static uint32_t copy_at_most(uint8_t *out, uint32_t max, const void *from, uint32_t bytes)
{
    bytes = bytes < max ? bytes : max;
    memcpy(out, from, bytes);
    return bytes;
}

uint32_t nic_vlan_copy(const uint8_t *data, uint32_t len_bytes, uint32_t flags, uint8_t *out,
                       uint32_t max)
{
    const uint32_t macs_bytes = 2 * ETHERNET_MAC_BYTES;
    uint8_t tag[ETHERNET_TAG_BYTES];
    if ((flags & PKT_VLAN) == 0 || len_bytes < macs_bytes) {
        return copy_at_most(out, max, data, len_bytes);
    }
    ethernet_put_tag(tag, (uint16_t)(flags >> PKT_TCI_SHIFT));
    uint32_t at = copy_at_most(out, max, data, macs_bytes);
    at += copy_at_most(out + at, max - at, tag, sizeof(tag));
    return at + copy_at_most(out + at, max - at, data + macs_bytes, len_bytes - macs_bytes);
}
