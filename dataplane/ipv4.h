/*
 * IPv4 in and out. Queue thread. In: from ethernet_input, up to icmp, igmp, udp and tcp. Out: a
 * frame with its payload in place goes to a group's MAC or through the neighbour table.
 */
#ifndef RINGSOCK_DATAPLANE_IPV4_H
#define RINGSOCK_DATAPLANE_IPV4_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/nic.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"

struct stack;

/* Where the payload of a packet without options starts in a frame. */
#define IPV4_PAYLOAD_OFF (ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES)

/* A checked packet on its way up. */
struct ipv4_packet {
    const struct pkt *pkt;
    const struct wire_ipv4 *header;
    const uint8_t *payload;
    uint32_t payload_bytes;
    bool multicast; /* destination */
    bool broadcast;
};

struct ipv4_send {
    uint32_t src_be32, dst_be32;
    uint8_t protocol, ttl, tos;
    bool dont_fragment;
    uint32_t header_bytes; /* 20, or more with options already in place */
    uint32_t payload_bytes;
};

/* link_group: the frame was not sent to our MAC alone. */
void ipv4_input(struct stack *stack, const struct pkt *pkt, bool link_group, bool handed);
/* A packet that is whole, by itself or again, goes to its protocol. */
void ipv4_deliver(struct stack *stack, const struct ipv4_packet *packet, bool handed);
/* Writes the IPv4 header in front of the payload and sets the frame's length. */
void ipv4_finish(struct stack *stack, struct pkt *pkt, const struct ipv4_send *send);
/* The same of one fragment. place: offset and more-fragments flag, as in the header. */
void ipv4_put_header(struct stack *stack, struct pkt *pkt, const struct ipv4_send *send,
                     uint16_t id, uint16_t place);
/* For the fragments of one packet, or for a packet that needs none. */
uint16_t ipv4_next_id(struct stack *stack);
/* Takes over the frame: to everybody, or to the members of the destination group. */
void ipv4_output_group(struct stack *stack, struct pkt *pkt, uint32_t dst_be32);
/* Takes over the frame: to the next hop of its destination. Counts what has no route. */
void ipv4_output(struct stack *stack, struct pkt *pkt, uint32_t dst_be32);
/* The same with the fragments of one packet. */
void ipv4_output_train(struct stack *stack, struct pkt *pkts, uint32_t count, uint32_t dst_be32);

#endif
