/*
 * The insides of a stack, shared by its protocol files and by nobody else. Owned by the queue's
 * thread; made and destroyed by the control thread while the queue does not run.
 */
#ifndef RINGSOCK_DATAPLANE_STACK_INTERNAL_H
#define RINGSOCK_DATAPLANE_STACK_INTERNAL_H

#include "dataplane/arp.h"
#include "dataplane/capture.h"
#include "dataplane/icmp.h"
#include "dataplane/igmp.h"
#include "dataplane/membership.h"
#include "dataplane/neighbour.h"
#include "dataplane/reassembly.h"
#include "dataplane/route.h"
#include "dataplane/stack.h"
#include "dataplane/tcp_internal.h"
#include "dataplane/trace.h"
#include "dataplane/udp_table.h"
#include "dataplane/wire/byteorder.h"

#define STACK_NS_PER_MS   1000000ull
#define STACK_NS_PER_S    1000000000ull
#define STACK_NEVER       UINT64_MAX
#define STACK_LOOPBACK_IP 0x0100007fu /* 127.0.0.1 as it lies in memory */

/* The software transmit queue: what stays above the high-water mark is for the stack's own frames
 * and for those that a neighbour's answer sets free. */
#define STACK_TX_QUEUE_PKTS 512u
static_assert((STACK_TX_QUEUE_PKTS & (STACK_TX_QUEUE_PKTS - 1)) == 0, "a ring masks its index");
static_assert(STACK_TX_HIGH_WATER_PKTS < STACK_TX_QUEUE_PKTS, "room above the mark");

enum stack_timer {
    STACK_TIMER_ARP,
    STACK_TIMER_NEIGHBOUR,
    STACK_TIMER_IGMP,
    STACK_TIMER_REASSEMBLY,
    STACK_TIMER_COUNT
};

struct stack {
    /* what nearly every datagram touches */
    uint64_t now_ns;
    uint64_t now_tsc;
    struct nic *nic;
    struct capture *capture; /* NULL, but for `ringsockctl capture` */
    uint32_t ip_be32;        /* the primary one, own[0] */
    uint8_t mac[6];
    uint32_t vlan_flags;    /* what PKT_VLAN and PKT_VID_BITS of a frame for us are */
    uint32_t vlan_tx_flags; /* what a frame of ours gets, but for a priority by TOS */
    bool vlan_by_tos;
    bool link_down;
    bool wire;           /* there is a NIC that moves frames, and an address to use on it */
    bool follower;       /* ARP and IGMP are the leader's */
    bool leads;          /* there are followers */
    uint16_t ip_id;      /* of the next packet */
    uint16_t ip_id_step; /* what the NIC's queues share the numbers by */
    struct stack_upcalls upcalls;
    struct udp_table udp;
    struct membership_table members;
    struct udp_fanout *fanouts; /* under way; their cursors step on when what they point at goes */
    struct neighbour_table neighbours;
    struct route_table routes;
    uint32_t own_count; /* 0 on a pure loopback queue */
    struct route_own own[STACK_ADDRESSES_MAX];
    /* the rest */
    struct arp_state arp;
    struct icmp_state icmp;
    struct igmp_state igmp;
    struct reassembly_table reassembly;
    uint64_t timer_due_ns[STACK_TIMER_COUNT];
    uint64_t next_timer_ns; /* the least of timer_due_ns */
    uint64_t notice_due_ns[STACK_NOTICE_COUNT];
    uint64_t random_state;
    uint32_t tx_head, tx_tail; /* free-running */
    uint32_t tx_stamps;        /* of these: PKT_TX_STAMP */
    uint64_t tx_missed_ns;     /* since when the NIC has taken nothing; 0: it took the last frame */
    struct pkt tx_pkts[STACK_TX_QUEUE_PKTS];
    struct tcp_stack tcp;
    struct trace_ring trace;
    struct counters counters;
};

#define STACK_COUNT(stack, name) counter_add(&(stack)->counters, COUNTER_##name, 1)

/* ---- stack.c ---- */

/* Takes over a complete frame and queues it for the NIC. Pads it to the least Ethernet length. */
void stack_transmit(struct stack *stack, struct pkt *pkt);
/* Whether stack_tx_ready lets so many frames more be queued. */
bool stack_tx_room(const struct stack *stack, uint32_t pkts);
/* A frame finds no buffer, or no room in the transmit queue. True: the NIC is stuck, the frame
 * shall be dropped; false: it may wait. */
bool stack_tx_missed(struct stack *stack);
/* STACK_NEVER disarms. */
void stack_timer_set(struct stack *stack, enum stack_timer timer, uint64_t due_ns);
/* Not for secrets: delays and identification fields. */
uint64_t stack_random(struct stack *stack);
/* Uniform in [0, limit). */
uint64_t stack_random_below(struct stack *stack, uint64_t limit);
/* The operator's upcall, at most once a second per kind. */
void stack_notify(struct stack *stack, enum stack_notice notice, uint32_t ip_be32,
                  const uint8_t mac[6]);

/* On a follower: a frame that only the leader acts on. handed: it has been handed over before, so
 * it ends here. */
void stack_to_leader(struct stack *stack, const struct pkt *pkt, bool handed);
/* A frame of the NIC's that another queue acts on, by its number in the NIC; counted here. */
void stack_to_queue(struct stack *stack, const struct pkt *pkt, uint32_t queue_idx);
/* On the leader: a copy for each follower. True: there are followers. */
bool stack_to_followers(struct stack *stack, const struct pkt *pkt);

/* ---- ethernet.c ---- */

/* handed: by another queue, not by the NIC. */
void ethernet_input(struct stack *stack, const struct pkt *pkt, bool handed);

/* A power of two not below count, at least 16. */
static inline uint32_t stack_table_bits(uint32_t count)
{
    uint32_t bits = 4;
    while (bits < 31 && (1u << bits) < count) {
        bits++;
    }
    return bits;
}

#endif
