/*
 * ICMP of a host (RFC 792, RFC 1122 3.2.2): answers pings, hands errors to the socket or connection
 * they quote, tells senders about ports and protocols nobody serves; all at a bounded rate. Queue
 * thread; from ipv4_input and udp_input.
 */
#ifndef RINGSOCK_DATAPLANE_ICMP_H
#define RINGSOCK_DATAPLANE_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ipv4.h"
#include "dataplane/wire/icmp.h"

#define ICMP_RATE_PER_S 1000u /* pings answered and, counted apart, errors sent */
#define ICMP_BURST_PKTS 50u

/* A rate limit without division: each message moves due_ns on by one interval; it passes while
 * due_ns is less than a burst ahead of now. */
struct icmp_limit {
    uint64_t due_ns;
};

struct icmp_state {
    struct icmp_limit echo;
    struct icmp_limit errors;
    struct icmp_limit resets; /* of tcp_refuse: the same kind of answer */
};

/* True: one more may be sent now. */
bool icmp_limit_pass(const struct stack *stack, struct icmp_limit *limit);
void icmp_init(struct stack *stack);
/* handed: by another queue, not by the NIC. */
void icmp_input(struct stack *stack, const struct ipv4_packet *packet, bool handed);
/* Answers packet, or the first fragment of one, with an error, unless RFC 1122 3.2.2 or the rate
 * forbids it. */
void icmp_send_error(struct stack *stack, const struct ipv4_packet *packet, uint8_t type,
                     uint8_t code);

#endif
