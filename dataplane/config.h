/*
 * One configuration file = one NIC queue, in INI form, read with rte_cfgfile before anything runs.
 * Every key has a type, a unit, a default and a range (configs/README.md lists them); an unknown
 * section or key, a bad value, a conflict gives file, section, key and what would be right.
 * Start-up thread only.
 */
#ifndef RINGSOCK_DATAPLANE_CONFIG_H
#define RINGSOCK_DATAPLANE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/stack.h"
#include "rings/os/os.h"
#include "rings/status.h"

/* What may be left to the NIC, where it can; each includes the ones before. */
/* [nic] timestamps: who says when a frame came. */
enum config_timestamps { CONFIG_TIMESTAMPS_SOFTWARE, CONFIG_TIMESTAMPS_NIC };
enum config_offload { CONFIG_OFFLOAD_NONE, CONFIG_OFFLOAD_CHECKSUM, CONFIG_OFFLOAD_ALL };

struct queue_config {
    char file[256];
    /* [nic] */
    char device[256];   /* "loopback", a PCI address, or a vdev such as "net_tap0,iface=tap7" */
    uint32_t queue_idx; /* of the NIC */
    uint32_t mtu_bytes;
    uint8_t mac[6];
    bool mac_set;
    bool loopback; /* device = loopback */
    bool promiscuous;
    uint32_t offload;    /* [nic] enum config_offload */
    uint32_t timestamps; /* [nic] enum config_timestamps */
    bool yield;          /* [queue] idle = yield: shared-core profile; idle = spin */
    bool client_yield;   /* [instance] client_idle */
    uint32_t rx_descriptors, tx_descriptors, mbufs;
    /* [queue] */
    int32_t core;       /* -1: not pinned */
    uint32_t log_level; /* [log] enum log_level */
    /* [ip] [arp] [igmp] [tcp] [address N] [route N] [neighbour N] */
    struct stack_config stack;
    /* [instance]: must agree between the files of one process */
    char instance[32];
    uint32_t spin_us; /* RS_SPIN_FOREVER for "forever" */
    /* [access], of the process */
    struct os_access access;
    /* [limits] per session unless said */
    uint32_t limit_sessions; /* of the process */
    uint32_t limit_sockets, limit_channels, limit_extents, limit_memberships;
    uint64_t limit_memory_bytes;
    uint32_t slots_per_poll, bytes_per_poll;
    uint32_t recv_ring_bytes, send_ring_bytes; /* defaults, powers of two */
    uint32_t recv_ring_max_bytes, send_ring_max_bytes;
    /* [eal] */
    char eal_args[512];
};

enum config_device_kind {
    CONFIG_DEVICE_BAD,
    CONFIG_DEVICE_LOOPBACK,
    CONFIG_DEVICE_PCI,
    CONFIG_DEVICE_VIRTUAL,       /* net_null, net_ring, ...: nobody else sees its frames */
    CONFIG_DEVICE_VIRTUAL_SHARED /* net_tap, net_af_packet, net_af_xdp, net_pcap: the kernel too */
};
/* What [nic] device names. Pure. */
enum config_device_kind config_device_kind(const char *device);

/* Reads and checks one file. Messages go to `errors`. RS_CONFIG when rejected (all complaints
 * printed, not only the first). */
RS_CHECK_RESULT enum rs_status config_load(const char *file, struct queue_config *out,
                                           FILE *errors);
/* Checks that several files go together: the same [instance], [access], [limits] and [log]; the
 * queues of a NIC numbered from 0 without gap; no address and no spinning core twice. */
RS_CHECK_RESULT enum rs_status config_check_set(const struct queue_config *configs, uint32_t count,
                                                FILE *errors);

/* On a NIC that the kernel sees too: refuses a MAC or an address that this host already has, or the
 * kernel would answer in the dataplane's place (DESIGN section 2). */
RS_CHECK_RESULT enum rs_status config_check_host(const struct queue_config *configs, uint32_t count,
                                                 FILE *errors);

#endif
