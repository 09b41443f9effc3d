/*
 * The demux table of a stack's UDP sockets, and what the other protocol files need of UDP. Queue
 * thread. The public side is udp.h.
 */
#ifndef RINGSOCK_DATAPLANE_UDP_TABLE_H
#define RINGSOCK_DATAPLANE_UDP_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/fragment.h"
#include "dataplane/ipv4.h"
#include "dataplane/udp.h"

/* Two chained hash tables: by (local address, local port, peer), for the one socket a unicast
 * datagram is for; by local port, for broadcasts. A part of the key a socket left open is zero. */
struct udp_table {
    struct udp_socket **chains;
    struct udp_socket **ports;
    uint32_t shift; /* of a 64-bit hash */
    uint32_t port_shift;
    uint32_t bound_count;     /* sockets in the table */
    uint32_t connected_count; /* so that an empty class of sockets costs no look-up */
    uint32_t specific_count;  /* bound to an address, not connected */
    uint64_t key;             /* odd; from the seed, so that a program cannot aim at one chain */
};

RS_CHECK_RESULT enum rs_status udp_table_init(struct stack *stack, uint32_t sockets_max);
void udp_table_destroy(struct stack *stack);

/* Puts the socket at the head of its chain: of several sockets with the same address and port the
 * newest gets unicast datagrams. */
void udp_table_insert(struct udp_table *table, struct udp_socket *socket);
void udp_table_remove(struct udp_table *table, struct udp_socket *socket);
void udp_port_insert(struct udp_table *table, struct udp_socket *socket);
/* Group datagrams under way step over it. */
void udp_port_remove(struct stack *stack, struct udp_socket *socket);
/* The sockets of a port, and of others with its hash. */
struct udp_socket **udp_port_chain(const struct udp_table *table, uint16_t port_be16);

void udp_input(struct stack *stack, const struct ipv4_packet *packet);
/* The chain in which udp_demux will look first. */
struct udp_socket **udp_first_chain(const struct stack *stack, uint32_t local_be32,
                                    uint16_t local_port_be16, uint32_t peer_be32,
                                    uint16_t peer_port_be16);
/* The socket that gets a unicast datagram: the one connected to the sender, else bound to the
 * address, else to any. NULL: none. Addresses as in the received packet. */
struct udp_socket *udp_demux(const struct stack *stack, uint32_t local_be32,
                             uint16_t local_port_be16, uint32_t peer_be32, uint16_t peer_port_be16);
/* A frame we made, IPv4 header in place, will not be sent: tells its socket if it was UDP. */
void udp_report_unsent(struct stack *stack, const struct pkt *pkt, enum rs_status error);

/* One datagram on its way out, addresses decided. */
struct udp_out {
    const void *payload;
    uint32_t len_bytes;
    uint32_t src_be32, dst_be32;
    uint16_t dst_port_be16;
    uint8_t ttl, tos;
    const struct udp_control *control; /* NULL: none */
};

static inline void udp_out_control(struct udp_out *out, const struct udp_control *control)
{
    out->control = control;
    out->src_be32 = control->src_be32;
    out->ttl = control->ttl_set ? control->ttl : out->ttl;
    out->tos = (uint8_t)((out->tos & ~control->tos_mask) | (control->tos & control->tos_mask));
}

/* The frame whose way to the NIC is the datagram's. */
static inline void udp_out_mark(const struct udp_out *out, struct pkt *pkt)
{
    if (__builtin_expect(out->control != NULL, 0) && out->control->stamped) {
        pkt->flags |= PKT_TX_STAMP;
        pkt->stamp = out->control->stamp;
    }
}

/* The datagram as fragments, ready for fragment_output. RS_WOULD_BLOCK, RS_MESSAGE_SIZE. */
RS_CHECK_RESULT enum rs_status udp_build_train(struct stack *stack, const struct udp_socket *socket,
                                               const struct udp_out *out,
                                               struct fragment_train *train);
/* The same, sent to the group that is its destination; members here are not its affair. */
RS_CHECK_RESULT enum rs_status udp_group_train(struct stack *stack, const struct udp_socket *socket,
                                               const struct udp_out *out);

/* Offers the datagram to one socket and counts. True: taken. */
bool udp_offer(struct stack *stack, struct udp_socket *socket, const struct udp_datagram *datagram);

#endif
