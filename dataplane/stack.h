/*
 * One stack instance: what a queue's thread owns of the protocols. Frames come in through
 * stack_input, datagrams go out through udp_send, time is given from outside (TSC in production, a
 * virtual clock in tests). No global state, no allocation after stack_create, no DPDK.
 *
 * Way in:
 *   queue_poll -> stack_input -> ethernet -> arp | ipv4 -> icmp | igmp | udp
 *   -> upcalls.deliver (the socket's receive ring)
 * Way out:
 *   request -> udp_send -> (local: deliver at once)
 *                        | ipv4_output -> neighbour -> stack_transmit -> nic->tx_burst
 */
#ifndef RINGSOCK_DATAPLANE_STACK_H
#define RINGSOCK_DATAPLANE_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/counters.h"
#include "dataplane/nic.h"
#include "dataplane/tcp.h"
#include "rings/addr.h"
#include "rings/status.h"

struct udp_socket; /* dataplane/udp.h */
struct trace_ring; /* dataplane/trace.h */
struct capture;    /* dataplane/capture.h */

/* What comes up to a socket with one datagram. payload may lie in a frame or (local sends) in
 * client-written memory: copy, never trust. */
struct udp_datagram {
    const uint8_t *payload;
    uint32_t len_bytes;
    uint32_t src_be32, dst_be32;
    uint16_t src_port_be16, dst_port_be16;
    uint8_t ttl, tos;
    uint8_t flags; /* RS_DGRAM_MULTICAST, RS_DGRAM_BROADCAST */
    bool local;    /* sent here in this iteration; rx_tsc is the iteration's */
    uint64_t rx_tsc;
};

enum stack_notice {
    STACK_NOTICE_ADDRESS_CONFLICT, /* another host uses our address */
    STACK_NOTICE_NEIGHBOUR_DEAD,   /* a neighbour we send to answers no ARP */
    STACK_NOTICE_SPOOFED_SOURCE,   /* a packet came in with our address as its source */
    STACK_NOTICE_COUNT
};

/*
 * Several queues of one NIC have a stack each. That of queue 0 leads: it alone answers, probes and
 * defends by ARP, speaks IGMP and says which multicast MACs the NIC shall take. The others follow:
 * they give the ARP and IGMP frames that the NIC gave them to the leader, and learn neighbours from
 * the copies of ARP frames that the leader gives to them all. Every queue asks for the neighbours
 * it needs, answers the pings it gets, and has all sockets' memberships. An ICMP error about a TCP
 * segment goes on to the queue that has the connection.
 */
enum stack_hand_to { STACK_TO_LEADER, STACK_TO_FOLLOWERS, STACK_TO_QUEUE };

/* What the stack calls; on the queue's thread, from inside the stack. An upcall must not call back
 * into the stack: it copies, marks and returns. */
struct stack_upcalls {
    void *context;
    /* Copies the datagram into the socket's receive ring. False: ring or SO_RCVBUF full; the stack
     * counts the drop. */
    bool (*deliver)(void *context, struct udp_socket *socket, const struct udp_datagram *datagram);
    /* An ICMP error came for something this socket sent (RS_PORT_UNREACHABLE, RS_HOST_UNREACHABLE,
     * RS_MESSAGE_SIZE ...), or its datagram was dropped waiting for a neighbour
     * (RS_HOST_UNREACHABLE). */
    void (*error)(void *context, struct udp_socket *socket, enum rs_status error);
    /* The set of multicast MACs changed: the control thread shall program the NIC. Also called once
     * by stack_create, for the group that queries come to. May be NULL. */
    void (*multicast_changed)(void *context);
    /* A thing an operator can act on happened. Called at most once a second per kind; must not
     * block. mac is all zero when unknown. May be NULL. */
    void (*notice)(void *context, enum stack_notice notice, uint32_t ip_be32, const uint8_t mac[6]);
    /* Copies a received frame for the NIC's leading queue, for each of its other ones, or for the
     * one with that number in the NIC (else 0), which give it to stack_input_handed. False: one of
     * them has no room; the stack counts that. May be NULL on a NIC with one queue. */
    bool (*hand_over)(void *context, const struct pkt *pkt, enum stack_hand_to to,
                      uint32_t queue_idx);
    /* What happened to a connection since the last call: TCP_EVENT_*. At the end of an iteration,
     * from stack_timers. After TCP_EVENT_GONE conn and its rings are free. May be NULL where
     * [tcp] connections_max is 0. */
    void (*tcp_event)(void *context, struct tcp_conn *conn, uint32_t events);
    /* A connection is about to come, or the backlog is full: gives back the places of it that are
     * free again. False: nothing can be accepted now whatever the backlog says; the peer shall try
     * again. May be NULL: always true. */
    bool (*tcp_room)(void *context, struct tcp_listener *listener);
    /* A handshake is complete and a place of the backlog reserved: gives the connection its rings
     * and its owner. False: no memory; the connection is refused and the place given back. */
    bool (*tcp_accept)(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                       struct tcp_rings *rings, void **owner);
    /* A datagram with this udp_control.stamp was just taken by the NIC, or by its local receivers.
     * Once at most; never, when its frame was dropped before. May be NULL where nobody asks. */
    void (*stamped)(void *context, uint64_t stamp);
};

#define STACK_VLAN_BY_TOS           8u
#define STACK_ROUTES_MAX            16u
#define STACK_STATIC_NEIGHBOURS_MAX 32u
#define STACK_ADDRESSES_MAX         RS_ADDRESSES_MAX
#define STACK_LOCALS_MAX            (RS_QUEUES_MAX * STACK_ADDRESSES_MAX)

struct stack_address {
    uint32_t ip_be32;
    uint8_t prefix_len; /* 1..32 */
};

struct stack_route {
    uint32_t prefix_be32;
    uint8_t prefix_len;    /* 0..32 */
    uint32_t gateway_be32; /* 0: on link */
    uint32_t source_be32;  /* own address that unbound sockets send from; 0: by the next hop */
};

struct stack_static_neighbour {
    uint32_t ip_be32;
    uint8_t mac[6];
};

/* All checked by config.c before it comes here. */
struct stack_config {
    uint32_t ip_be32;      /* the primary address; 0 on a pure loopback queue */
    uint32_t vlan_id;      /* 1..4094, and nic.vlan is true; 0: frames have no tag */
    uint8_t vlan_priority; /* 0..7, or STACK_VLAN_BY_TOS: the upper three bits of a packet's TOS */
    bool follower;         /* not queue 0 of its NIC; hand_over is not NULL then */
    /* Addresses of this process's other NICs: local, so nothing goes to them by a wire. A frame
     * that comes to, or from, one of them here is refused all the same (RFC 1122 3.3.4.2, strong).
     */
    uint32_t local_be32[STACK_LOCALS_MAX];
    uint32_t local_count;
    uint8_t prefix_len;
    struct stack_address more[STACK_ADDRESSES_MAX - 1]; /* of this NIC, beside the primary one */
    uint32_t more_count;
    uint32_t gateway_be32; /* 0: none */
    struct stack_route routes[STACK_ROUTES_MAX];
    uint32_t route_count;
    struct stack_static_neighbour neighbours[STACK_STATIC_NEIGHBOURS_MAX];
    uint32_t neighbour_count;
    uint32_t neighbours_max; /* cache entries */
    uint32_t sockets_max;    /* UDP sockets of this queue, sizes the demux table */
    uint32_t memberships_max;
    uint32_t
        reassemblies_max; /* datagrams whose fragments may be under way; 0: fragments are refused */
    uint64_t
        arp_reachable_ns; /* an entry older than this is probed before its next use stays trusted */
    uint64_t arp_retry_ns; /* between requests */
    uint32_t arp_tries;
    uint8_t igmp_version; /* 3 (falls back to 2 when a v2 query is heard) or 2 */
    uint64_t random_seed; /* IPv4 identification, report delays */
    struct tcp_config tcp;
};

/* The addresses of a NIC, the primary one first. */
static inline uint32_t stack_config_address_count(const struct stack_config *config)
{
    return config->ip_be32 != 0 ? 1 + config->more_count : 0;
}

static inline struct stack_address stack_config_address(const struct stack_config *config,
                                                        uint32_t idx)
{
    return idx == 0 ? (struct stack_address){config->ip_be32, config->prefix_len}
                    : config->more[idx - 1];
}

struct stack; /* dataplane/stack_internal.h */

/* Frames that the stack keeps when the NIC takes none, before stack_tx_ready says no. */
#define STACK_TX_HIGH_WATER_PKTS 448u

/* A NIC that takes no frame for so long is stuck (link down, a driver that stopped): what waits for
 * it, and what is sent to it until it takes one again, is dropped and counted, so that nobody waits
 * for ever. */
#define STACK_TX_STUCK_NS 2000000000ull

/* Makes a stack on a nic (borrowed until stack_destroy). Allocates all it will ever need. now_ns:
 * any monotonic origin. Announces its addresses (gratuitous ARP, RFC 5227 probe first) unless ip
 * is 0. Control thread, before the queue runs. */
RS_CHECK_RESULT enum rs_status stack_create(const struct stack_config *config, struct nic *nic,
                                            const struct stack_upcalls *upcalls, uint64_t now_ns,
                                            struct stack **out);
void stack_destroy(struct stack *stack);

/* The rest: queue thread only. */

/* Once per iteration, before anything else: ns on the clock of stack_create, and the TSC. */
void stack_set_now(struct stack *stack, uint64_t now_ns, uint64_t now_tsc);
/* One received frame; the caller releases it afterwards. */
void stack_input(struct stack *stack, const struct pkt *pkt);
/* One that another queue of the NIC handed over. It is never handed over again as it is. */
void stack_input_handed(struct stack *stack, const struct pkt *pkt);
/* Instead of stack_input, for a received frame that the queue gave to another one by itself
 * (STEER_SOFTWARE): counts it. taken false: there was no room, the frame is lost. */
void stack_handed_out(struct stack *stack, bool taken);
/* Before the frames of a burst go to stack_input one by one: fetches what their look-ups will
 * touch, so that the cache misses of up to NIC_BURST_PKTS frames overlap. Changes nothing. */
void stack_prefetch(const struct stack *stack, const struct pkt *pkts, uint32_t count);
/* Runs what is due; one comparison when nothing is. */
void stack_timers(struct stack *stack);
/* When stack_timers is next needed; UINT64_MAX: never. Tests jump there. */
uint64_t stack_next_timer_ns(const struct stack *stack);
/* Hands queued frames to the nic; keeps what it did not take, in order. */
void stack_flush(struct stack *stack);
/* The NIC's link went down or came up; it is up at the start. While it is down, what would leave is
 * refused (RS_NET_DOWN). Where it comes up again may be elsewhere: neighbours are asked anew, the
 * own addresses are probed for and announced, memberships reported. */
void stack_set_link(struct stack *stack, bool up);
/* False: so much is queued that new sends should wait; udp_send then answers RS_WOULD_BLOCK. */
bool stack_tx_ready(const struct stack *stack);
/* Written by the queue thread, read by anybody as relaxed 64-bit words. */
struct counters *stack_counters(struct stack *stack);
/* Written by the queue thread, read by anybody with trace_read. */
const struct trace_ring *stack_trace(const struct stack *stack);
/* Copies of what passes go there from now on; NULL: nowhere. */
void stack_set_capture(struct stack *stack, struct capture *capture);
/* What its tables hold now. */
struct stack_levels {
    uint32_t sockets;     /* bound */
    uint32_t memberships; /* of them all, sources not counted */
    uint32_t tcp_connections, tcp_half_open, tcp_time_waits;
};
struct stack_levels stack_levels(const struct stack *stack);
/* Own address, one of the process's other NICs, or 127.0.0.0/8. */
bool stack_is_own_address(const struct stack *stack, uint32_t ip_be32);
/* An address of this stack's NIC. */
bool stack_has_address(const struct stack *stack, uint32_t ip_be32);
/* The address that an unbound socket sends from, to dst: a local one answers for itself; else the
 * address in whose network the next hop is, or what the route says; else, and to groups, the
 * primary one (RFC 1122 3.3.4.3). */
uint32_t stack_source_for(const struct stack *stack, uint32_t dst_be32);
/* The multicast MACs now wanted; for multicast_set. None on a follower. Returns the count (max at
 * most). */
uint32_t stack_multicast_macs(const struct stack *stack, uint8_t (*macs)[6], uint32_t max);

#endif
