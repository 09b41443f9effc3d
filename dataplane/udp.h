/*
 * UDP sockets of one stack: binding into the demux table, sending, memberships. Which port may be
 * bound by whom is the control thread's decision (ports.c); here the decision is carried out. Queue
 * thread only. A udp_socket is embedded in the dataplane's socket, so nothing here allocates.
 */
#ifndef RINGSOCK_DATAPLANE_UDP_H
#define RINGSOCK_DATAPLANE_UDP_H

#include <assert.h>

#include "dataplane/stack.h"

struct udp_membership;

/*
 * A multicast or broadcast sent here on its way to its local receivers: a few in one call, the
 * others in later ones, so that no send holds the poll loop up for as long as there are receivers.
 * Zero-initialise. The caller of udp_send_part sets the budget of a call; what is left of it
 * afterwards says what the call cost.
 */
struct udp_fanout {
    int32_t looks_left; /* sockets that may be looked at; at least 1 */
    int64_t bytes_left; /* payload to hand out; the last receiver may overdraw it */
    /* udp.c's */
    struct udp_fanout *next;       /* those under way on this stack */
    struct udp_socket *sender;     /* NULL: none is under way */
    struct udp_membership *member; /* the next one to look at, of a multicast */
    struct udp_socket *receiver;   /* the same of a broadcast */
    uint32_t receivers, taken;
    uint32_t src_be32, dst_be32;
    uint16_t dst_port_be16;
    uint8_t flags, ttl, tos;
    bool leaves; /* went to the wire as well */
};

/* What one datagram wants otherwise than its socket. */
struct udp_control {
    uint32_t src_be32;     /* 0: as usual */
    uint8_t tos, tos_mask; /* these bits instead of the socket's */
    uint8_t ttl;           /* when ttl_set */
    bool ttl_set;
    bool stamped;   /* stack_upcalls.stamped shall be told, with */
    uint64_t stamp; /* this */
};

/* One cache line: what a look-up compares and what a send reads lie together. */
struct udp_socket {
    /* demux chain; udp.c only */
    struct udp_socket *chain_next;
    struct udp_socket **chain_prev;
    /* addressing; IPv4, network order; 0 = any */
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    bool bound, connected;
    /* options; set directly by the request code */
    bool broadcast;      /* may send to broadcast addresses, default false */
    bool multicast_loop; /* receives multicast sent on this host; on the receiver, as Windows */
    uint8_t ttl;         /* default 128, as Windows */
    uint8_t tos;
    uint8_t multicast_ttl; /* default 1 */
    bool dont_fragment;    /* default false: what is larger than the link leaves as fragments */
    uint32_t bound_be32;   /* what bind said; comes back when connect is dissolved */
    struct udp_membership *memberships;
    struct udp_socket *port_next; /* all sockets of one local port, for broadcasts; udp.c only */
    struct udp_socket **port_prev;
};
static_assert(sizeof(struct udp_socket) <= RS_LINE_BYTES, "udp_socket fits a cache line");

void udp_socket_init(struct udp_socket *socket);
/* local_be32 0 = any; own, loopback or a multicast group (receive only that group, as on Linux; on
 * Windows 'any' is used). The port is not 0. */
RS_CHECK_RESULT enum rs_status udp_socket_bind(struct stack *stack, struct udp_socket *socket,
                                               uint32_t local_be32, uint16_t local_port_be16);
/* Sets or (peer_be32 0) dissolves the peer; fixes the local address by the route when it was 'any'.
 * local_be32 not 0: the caller knows the route, and that it begins with this address. RS_INVALID:
 * not bound; RS_NET_UNREACHABLE without route; RS_ACCESS: broadcast not allowed. */
RS_CHECK_RESULT enum rs_status udp_socket_connect(struct stack *stack, struct udp_socket *socket,
                                                  uint32_t local_be32, uint32_t peer_be32,
                                                  uint16_t peer_port_be16);
/* Leaves the demux table and all groups; harmless when not bound. Not from inside an upcall. */
void udp_socket_close(struct stack *stack, struct udp_socket *socket);
/* op as on the wire (rings/layout.h). RS_ADDR_NOT_AVAILABLE: no such interface, or leaving what was
 * not joined; RS_INVALID: not a group, joined twice, or an action on a source that the kind of the
 * membership (any source, or named sources) does not allow; RS_NO_BUFFERS: memberships_max, or
 * too many sources. */
RS_CHECK_RESULT enum rs_status udp_socket_member(struct stack *stack, struct udp_socket *socket,
                                                 const struct rs_op_member *op);
/* Groups joined, and sources named, that count against a client's limit. Only a look. */
uint32_t udp_socket_membership_count(const struct udp_socket *socket);

/*
 * Sends one datagram. dst_be32 0: the connected peer. payload may be client-written memory; it is
 * read once. Local destinations are delivered before this returns and never leave the process.
 * RS_OK also when the datagram was dropped and counted (no receiver, receiver full);
 * RS_WOULD_BLOCK: no transmit buffer now, nothing was done, ask again; RS_MESSAGE_SIZE: more
 * than RS_DGRAM_MAX_BYTES, or than the NIC's MTU when the socket wants no fragments; RS_ACCESS:
 * broadcast not allowed; RS_DEST_REQUIRED; RS_NET_UNREACHABLE; RS_NET_DOWN: no link;
 * RS_HOST_UNREACHABLE: the neighbour is known dead; RS_ADDR_NOT_AVAILABLE: the source is not an
 * address of ours, or cannot go where it shall. control: NULL: as the socket does.
 */
RS_CHECK_RESULT enum rs_status udp_send(struct stack *stack, struct udp_socket *socket,
                                        uint32_t dst_be32, uint16_t dst_port_be16,
                                        const void *payload, uint32_t len_bytes,
                                        const struct udp_control *control);
/*
 * The same, with a group datagram delivered as far as fanout's budget goes. RS_WOULD_BLOCK with
 * fanout->sender == socket: the rest waits; call again with the same datagram. While that is so,
 * group datagrams of other sockets with this fanout get RS_WOULD_BLOCK. udp_socket_close of the
 * sender ends it, and udp_send_abandon.
 */
RS_CHECK_RESULT enum rs_status udp_send_part(struct stack *stack, struct udp_socket *socket,
                                             uint32_t dst_be32, uint16_t dst_port_be16,
                                             const void *payload, uint32_t len_bytes,
                                             const struct udp_control *control,
                                             struct udp_fanout *fanout);
/* Who has not got it by now will not; harmless when nothing is under way. */
void udp_send_abandon(struct stack *stack, struct udp_fanout *fanout);

/* Does what sending this to the connected peer would, up to a whole frame or the local receiver,
 * which it returns (else NULL), and throws the frame away: so that the send finds code and data in
 * the cache. Changes nothing. */
struct udp_socket *udp_warm(struct stack *stack, const struct udp_socket *socket,
                            const void *payload, uint32_t len_bytes);

#endif
