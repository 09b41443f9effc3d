/*
 * What libpcap stamps frames with on Linux, for nic_dpdk_clock.c: the kernel's time of day. Control
 * thread.
 */
#include "dataplane/nic_dpdk_clock.h"
#include "rings/os/os.h"

bool nic_dpdk_pcap_clock(uint64_t *us)
{
    *us = os_unix_ns() / 1000;
    return true;
}
