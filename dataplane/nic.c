/*
 * What all NIC kinds share. Pure functions; any thread.
 */
#include "dataplane/nic.h"

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
