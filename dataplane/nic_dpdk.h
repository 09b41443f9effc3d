/*
 * NICs by DPDK: any ethdev. The EAL is started once, for all files of the process; each file's
 * queue becomes one struct nic. Start-up thread, but for the nic's own functions (nic.h). What goes
 * wrong is logged with what to do about it.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_DPDK_H
#define RINGSOCK_DATAPLANE_NIC_DPDK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/config.h"
#include "dataplane/nic.h"

/* Buffers of tx_alloc_big, of each queue whose NIC cuts segments. */
#define NIC_DPDK_BIG_MBUFS 256u

/* Starts the EAL with the devices of all configs that are not loopback. Once per process.
 * RS_OS_ERROR. */
RS_CHECK_RESULT enum rs_status nic_dpdk_start_eal(const struct queue_config *configs,
                                                  uint32_t count);
/* Opens and starts the NIC of every config that is not loopback: nics[i] for configs[i]; the other
 * places are left alone. A device with several configs gets as many queues, spread by RSS. On
 * failure nothing stays open. RS_CONFIG: the NIC refuses what the file asks for; RS_NO_MEMORY;
 * RS_OS_ERROR. */
RS_CHECK_RESULT enum rs_status nic_dpdk_open(const struct queue_config *configs, uint32_t count,
                                             struct nic **nics);
/* After every nic is closed; harmless when the EAL was never started. */
void nic_dpdk_stop_eal(void);

/* Bytes of one slot of net_af_packet's ring for this config: its framesz argument, or what
 * mtu_bytes needs. 0: another driver. */
uint32_t nic_dpdk_af_packet_slot_bytes(const struct queue_config *config);
/* The name of the device argument by which this config's driver is told how many queues to make.
 * NULL: it needs none. */
const char *nic_dpdk_queues_argument(const struct queue_config *config);

/* False: the driver cannot know the link's state, for the kernel interface (0: there is none) that
 * it asks about is nowhere to be seen. Control thread. */
bool nic_dpdk_link_is_told(uint32_t if_idx);

#endif
