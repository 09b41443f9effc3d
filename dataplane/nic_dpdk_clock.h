/*
 * The clock of a DPDK port behind the receive timestamps of its frames, for nic_dpdk.c. Start-up
 * and control thread, but nic_dpdk_clock_rx, which is the queue's.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_DPDK_CLOCK_H
#define RINGSOCK_DATAPLANE_NIC_DPDK_CLOCK_H

#include <rte_ethdev.h>
#include <rte_mbuf_dyn.h>

#include "dataplane/config.h"
#include "dataplane/nic.h"
#include "dataplane/nic_clock.h"

enum nic_dpdk_clock_source {
    NIC_DPDK_CLOCK_NONE,
    NIC_DPDK_CLOCK_DEVICE, /* the NIC's own counter, rte_eth_read_clock */
    NIC_DPDK_CLOCK_SYSTEM  /* net_pcap: microseconds of the system's clock, by libpcap */
};

struct nic_dpdk_clock {
    struct nic_clock clock;
    enum nic_dpdk_clock_source source;
    uint64_t flag; /* in ol_flags: the frame has a timestamp; 0: none has */
    size_t offset; /* of it in the mbuf */
};

/* Before the port is configured: which clock its frames will have, as [nic] timestamps and the
 * driver allow, asked for in conf where it must be. */
enum nic_dpdk_clock_source nic_dpdk_clock_choose(const struct queue_config *config,
                                                 const struct rte_eth_dev_info *info,
                                                 struct rte_eth_conf *conf);
/* After the port was started, for each queue: finds the field. The log says what times are. nic:
 * its name and number are read. */
void nic_dpdk_clock_open(struct nic_dpdk_clock *clock, uint16_t port_id,
                         enum nic_dpdk_clock_source source, const struct nic *nic);
/* Reads the clock beside the time-stamp counter; ten times a second. Control thread. */
void nic_dpdk_clock_watch(struct nic_dpdk_clock *clock, uint16_t port_id, const struct nic *nic);

/* True, and the microseconds since 1970, where what net_pcap says of a frame is the system's time.
 * Control thread. */
bool nic_dpdk_pcap_clock(uint64_t *us);

/* When the frame came; now_tsc where it does not say. Queue thread. */
static inline uint64_t nic_dpdk_clock_rx(struct nic_dpdk_clock *clock, const struct rte_mbuf *mbuf,
                                         uint64_t now_tsc)
{
    return (mbuf->ol_flags & clock->flag) != 0
               ? nic_clock_tsc(
                     &clock->clock,
                     *RTE_MBUF_DYNFIELD(mbuf, clock->offset, const rte_mbuf_timestamp_t *), now_tsc)
               : now_tsc;
}

#endif
