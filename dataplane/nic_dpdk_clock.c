/*
 * Reads the clock that stamps a DPDK port's received frames (nic_dpdk_clock.h). Called by
 * nic_dpdk.c: at the start, and by the control thread's watch. nic_clock.c has the arithmetic.
 *
 * A NIC's timestamps are ticks of a counter whose rate no driver tells, so it is compared with the
 * time-stamp counter while it runs (the page of rte_eth_read_clock).
 */
#include "dataplane/nic_dpdk_clock.h"

#include <string.h>

#include "dataplane/log.h"
#include "rings/os/os.h"

#define READS           4u
#define READ_PART_S     20000u /* a second's part that a reading may take: 50 us */
#define DRIVER_NET_PCAP "net_pcap"

static bool clock_read(enum nic_dpdk_clock_source source, uint16_t port_id, uint64_t *ticks)
{
    return source == NIC_DPDK_CLOCK_DEVICE ? rte_eth_read_clock(port_id, ticks) == 0
                                           : nic_dpdk_pcap_clock(ticks);
}

enum nic_dpdk_clock_source nic_dpdk_clock_choose(const struct queue_config *config,
                                                 const struct rte_eth_dev_info *info,
                                                 struct rte_eth_conf *conf)
{
    uint64_t us = 0;
    if (config->timestamps == CONFIG_TIMESTAMPS_SOFTWARE) {
        return NIC_DPDK_CLOCK_NONE;
    }
    if ((info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP) != 0) {
        conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TIMESTAMP;
        return NIC_DPDK_CLOCK_DEVICE;
    }
    return strcmp(info->driver_name, DRIVER_NET_PCAP) == 0 && nic_dpdk_pcap_clock(&us)
               ? NIC_DPDK_CLOCK_SYSTEM
               : NIC_DPDK_CLOCK_NONE;
}

void nic_dpdk_clock_open(struct nic_dpdk_clock *clock, uint16_t port_id,
                         enum nic_dpdk_clock_source source, const struct nic *nic)
{
    static const char *const texts[] = {
        [NIC_DPDK_CLOCK_NONE] = "ringsockd, when it takes the frame",
        [NIC_DPDK_CLOCK_DEVICE] = "the NIC",
        [NIC_DPDK_CLOCK_SYSTEM] = "libpcap, of the system's clock",
    };
    uint64_t ticks = 0;
    int offset = 0;
    *clock = (struct nic_dpdk_clock){.source = source};
    nic_clock_init(&clock->clock, os_tsc_hz());
    /* Registered by the driver already where it stamps; the names are DPDK's. */
    if (source != NIC_DPDK_CLOCK_NONE &&
        (!clock_read(source, port_id, &ticks) ||
         rte_mbuf_dyn_rx_timestamp_register(&offset, &clock->flag) != 0)) {
        *clock = (struct nic_dpdk_clock){.source = NIC_DPDK_CLOCK_NONE};
        log_line(LOG_LEVEL_INFO, "nic", "%s: stamps frames with a clock that cannot be read",
                 nic->name);
    }
    clock->offset = (size_t)offset;
    nic_dpdk_clock_watch(clock, port_id, nic);
    if (nic->queue_idx == 0) {
        log_line(LOG_LEVEL_INFO, "nic", "%s: receive times are taken by %s", nic->name,
                 texts[clock->source]);
    }
}

void nic_dpdk_clock_watch(struct nic_dpdk_clock *clock, uint16_t port_id, const struct nic *nic)
{
    uint64_t ticks = 0;
    uint64_t tsc = 0;
    uint64_t least_tsc = UINT64_MAX;
    if (clock->source == NIC_DPDK_CLOCK_NONE) {
        return;
    }
    for (uint32_t i = 0; i < READS; i++) {
        uint64_t read = 0;
        const uint64_t before = os_tsc();
        if (!clock_read(clock->source, port_id, &read)) {
            return;
        }
        const uint64_t took_tsc = os_tsc() - before;
        if (took_tsc < least_tsc) {
            least_tsc = took_tsc;
            ticks = read;
            tsc = before + took_tsc / 2;
        }
    }
    /* Else something came between each time: the next watch will do. */
    if (least_tsc < os_tsc_hz() / READ_PART_S && !nic_clock_sample(&clock->clock, ticks, tsc)) {
        log_line(LOG_LEVEL_INFO, "nic",
                 "%s: the clock of its timestamps was set: compared anew, ringsockd's times until "
                 "then",
                 nic->name);
    }
}
