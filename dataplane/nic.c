/*
 * What all NIC kinds share. Pure functions; any thread.
 */
#include "dataplane/nic.h"

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
