/*
 * Receive side scaling of an ethdev with several queues: asks the driver for our key, hash and
 * table, and finds out what it made of that. Start-up thread; part of nic_dpdk.c, which alone
 * includes this.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_DPDK_RSS_H
#define RINGSOCK_DATAPLANE_NIC_DPDK_RSS_H

#include <rte_ethdev.h>

#include "dataplane/steer.h"

#define NIC_DPDK_RSS_KEY_MAX 128u

/* Lives as long as the port: DPDK keeps the pointer to the key that it is configured with. */
struct nic_dpdk_rss {
    uint8_t key[NIC_DPDK_RSS_KEY_MAX];
};

/* Before rte_eth_dev_configure. The key is new in each process: who knows it can send flows that
 * all meet on one queue, and so starve that queue's programs while the others idle. RS_OS_ERROR:
 * no randomness. */
RS_CHECK_RESULT enum rs_status nic_dpdk_rss_ask(struct nic_dpdk_rss *rss,
                                                const struct rte_eth_dev_info *info,
                                                struct rte_eth_conf *conf);
/* After rte_eth_dev_start: STEER_NIC when the driver hashes the ports of UDP and TCP and shows a
 * key and a table, whether ours or its own; else STEER_SOFTWARE, and a line in the log that says
 * why. name: the device, for that line. */
RS_CHECK_RESULT enum rs_status nic_dpdk_rss_read(const struct nic_dpdk_rss *rss, uint16_t port_id,
                                                 const struct rte_eth_dev_info *info,
                                                 uint32_t queue_count, const char *name,
                                                 struct nic_steering *out);

#endif
