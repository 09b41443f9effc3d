/*
 * Which link states are none, for nic_dpdk.c: a driver on top of a kernel interface asks the kernel
 * by name, in this process's network namespace. An interface that was moved to another one (a tap
 * that is the kernel's end for a container) is not found there, which net_tap tells as a link that
 * is down. Control thread.
 */
#include <net/if.h>
#include <stddef.h>

#include "dataplane/nic_dpdk.h"

bool nic_dpdk_link_is_told(uint32_t if_idx)
{
    char name[IF_NAMESIZE];
    return if_idx == 0 || if_indextoname(if_idx, name) != NULL;
}
