/*
 * What libpcap stamps frames with on Windows, for nic_dpdk_clock.c: a clock that was the system's
 * when the capture began, and which no function reads (Npcap's TimestampMode 0). Control thread.
 */
#include "dataplane/nic_dpdk_clock.h"

bool nic_dpdk_pcap_clock(uint64_t *us)
{
    *us = 0;
    return false;
}
