/*
 * ARP (RFC 826): answers for our addresses, learns about neighbours, watches over our
 * addresses (RFC 5227), all of them at the same times. Queue thread; from ethernet_input, the timer
 * and the neighbour table.
 *
 * One deviation from RFC 5227: an address is in use from the start, while the probes go out. It
 * was given by the operator, nothing could take its place, and a restarted dataplane must not stand
 * still for seven seconds. A conflict is defended and told to the operator.
 */
#ifndef RINGSOCK_DATAPLANE_ARP_H
#define RINGSOCK_DATAPLANE_ARP_H

#include <stdint.h>

#include "dataplane/nic.h"
#include "dataplane/stack.h"

struct arp_state {
    uint8_t probes_left;
    uint8_t announcements_left;
    uint64_t defend_due_ns[STACK_ADDRESSES_MAX]; /* no second defence of it before */
};

void arp_init(struct stack *stack);
void arp_timer(struct stack *stack);
void arp_input(struct stack *stack, const struct pkt *pkt);
/* Asks for target. dst_mac NULL: everybody; else one host, to confirm what we know of it. */
void arp_send_request(struct stack *stack, uint32_t target_be32, const uint8_t *dst_mac);

#endif
