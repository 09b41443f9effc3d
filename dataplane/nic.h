/*
 * A queue of a network port as the stack sees it: bursts of frames in, bursts out, nothing of DPDK.
 * Implementations: nic_loopback.c (no frames at all), nic_memory.c (tests: an in-memory wire),
 * nic_dpdk.c (any ethdev). A nic belongs to its queue's thread; the functions marked control may be
 * called by the control thread while the queue runs.
 */
#ifndef RINGSOCK_DATAPLANE_NIC_H
#define RINGSOCK_DATAPLANE_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "rings/layout.h"
#include "rings/status.h"

#define NIC_BURST_PKTS 32u

/* One frame. data points at the Ethernet header; the buffer belongs to whoever holds the pkt. */
struct pkt {
    void *handle; /* the nic's own (an mbuf) */
    uint8_t *data;
    uint32_t len_bytes;
    uint32_t flags; /* PKT_* */
    union {
        uint64_t
            rx_tsc; /* of a received frame: when it came, by the NIC's clock where it has one */
        uint16_t segment_bytes; /* of PKT_TX_TCP_SEG: TCP payload of each frame but the last */
        uint64_t stamp;         /* of PKT_TX_STAMP: whose transmit timestamp it is; no NIC looks */
    };
};

enum {
    PKT_RX_IP_CSUM_GOOD = 1, /* the NIC checked it */
    PKT_RX_IP_CSUM_BAD = 2,
    PKT_RX_L4_CSUM_GOOD = 4,
    PKT_RX_L4_CSUM_BAD = 8,
    PKT_TX_IP_CSUM = 16,  /* the NIC shall fill it in; only when caps say so */
    PKT_TX_UDP_CSUM = 32, /* the stack has stored the pseudo-header sum */
    PKT_TX_TCP_CSUM = 64, /* the same for TCP; the sum is folded, not complemented */
    /* A TCP segment that the NIC shall cut into frames of segment_bytes each, filling in what
     * differs: IPv4 length, identification and checksum, sequence number, flags, TCP checksum.
     * Alone it means both checksums too. The IPv4 header has 20 bytes and the length of the whole,
     * its checksum is 0; the pseudo-header sum is stored as above, but with length 0 (DPDK,
     * RTE_MBUF_F_TX_TCP_SEG). SYN, RST and URG are not set. */
    PKT_TX_TCP_SEG = 128,
    PKT_TX_STAMP = 256, /* the stack tells when the NIC took it (stack_upcalls.stamped) */
    /* The frame has an 802.1Q tag on the wire, and not in its bytes: the tag's control information
     * is in the upper half of the flags (PKT_TCI_SHIFT). Only where nic.vlan. */
    PKT_VLAN = 512
};

#define PKT_TCI_SHIFT 16
#define PKT_VID_BITS  (0xfffu << PKT_TCI_SHIFT)

enum {
    NIC_CAP_TX_IP_CSUM = 1,
    NIC_CAP_TX_UDP_CSUM = 2,
    NIC_CAP_RX_CSUM = 4,
    NIC_CAP_TX_TCP_CSUM = 8,
    NIC_CAP_TX_TSO = 16 /* only beside IP_CSUM and TCP_CSUM; tso_max_bytes is not 0 */
};

/* The least segment_bytes: some NICs (i40e, iavf) refuse less. */
#define NIC_TSO_SEGMENT_BYTES_MIN 256u
/* Headers of a frame to cut: Ethernet with a VLAN tag, IPv4 without options, TCP with all. */
#define NIC_TSO_HEADER_BYTES (18u + 20u + 60u)

struct nic_stats { /* the NIC's own counters, apart from the stack's */
    uint64_t rx_pkts, rx_bytes, rx_missed_pkts, rx_errors_pkts, rx_no_buffer_pkts;
    uint64_t tx_pkts, tx_bytes, tx_errors_pkts;
    /* of the queue's pool: all, and those that somebody has now (received and not released, in a
     * descriptor, allocated and not sent); both 0 where there is none */
    uint64_t buffers, buffers_held;
};

struct nic;
struct nic_steering; /* dataplane/steer.h */

struct nic_ops {
    /* Up to max frames; the caller gives each back with rx_release. Never blocks. */
    uint32_t (*rx_burst)(struct nic *nic, struct pkt *pkts, uint32_t max);
    void (*rx_release)(struct nic *nic, struct pkt *pkts, uint32_t count);
    /* A buffer for mtu + 18 bytes; len_bytes and flags zero. False: none left now. */
    bool (*tx_alloc)(struct nic *nic, struct pkt *out);
    /* The same for NIC_TSO_HEADER_BYTES and tso_max_bytes of payload, from a pool of few. Not
     * called where tso_max_bytes is 0. tx_burst and tx_free take frames of both. */
    bool (*tx_alloc_big)(struct nic *nic, struct pkt *out);
    /* Hands frames over in order; returns how many the NIC took; the rest stay the caller's. None:
     * a look at its ring. */
    uint32_t (*tx_burst)(struct nic *nic, struct pkt *pkts, uint32_t count);
    void (*tx_free)(struct nic *nic, struct pkt *pkt);     /* a frame that is not sent after all */
    void (*stats)(struct nic *nic, struct nic_stats *out); /* control */
    bool (*link_up)(struct nic *nic);                      /* control */
    void (*watch)(struct nic *nic); /* control, ten times a second; NULL: nothing to look after */
    RS_CHECK_RESULT enum rs_status (*multicast_set)(struct nic *nic, const uint8_t (*macs)[6],
                                                    uint32_t count); /* control */
    void (*close)(struct nic *nic);                                  /* after the queue stopped */
};

struct nic { /* first member of each implementation's struct */
    const struct nic_ops *ops;
    char name[64];
    enum rs_nic_kind kind;
    uint8_t mac[6];
    uint32_t mtu_bytes; /* of IP packets */
    uint32_t caps;      /* NIC_CAP_* */
    bool vlan; /* the NIC takes tags out of received frames, and puts them into sent ones */
    uint32_t tso_max_bytes;          /* most TCP payload of a PKT_TX_TCP_SEG frame; 0: none */
    uint32_t queue_idx, queue_count; /* of the port that this is a queue of */
    const struct nic_steering
        *steering; /* never NULL; shared by the port's queues, lives with them */
};

/* What an implementation with TSO takes as tso_max_bytes: 16 KiB, but some segments of any MTU. */
uint32_t nic_tso_bytes(uint32_t mtu_bytes);

/* Takes the outer tag out of a received frame, if it has one. */
void nic_vlan_strip(struct pkt *pkt);
/* The frame's first bytes as they are on the wire, tag included; at most max. Returns how many. */
uint32_t nic_vlan_copy(const uint8_t *data, uint32_t len_bytes, uint32_t flags, uint8_t *out,
                       uint32_t max);

/* "loopback", "bypass", "functional, not bypass": said on every figure and in every status. */
const char *nic_kind_text(enum rs_nic_kind kind);

#endif
