/*
 * Where a destination address leads: ourselves, a group, everybody on the link, a next hop,
 * nowhere; and which of our addresses goes with it. Set up once from the configuration; read on the
 * queue's thread. egress.c chooses sources by the same rule.
 */
#ifndef RINGSOCK_DATAPLANE_ROUTE_H
#define RINGSOCK_DATAPLANE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stack.h"

/* configured routes, the own networks and the default gateway */
#define ROUTE_ENTRIES_MAX (STACK_ROUTES_MAX + STACK_ADDRESSES_MAX + 1u)

/* The addresses that mean something, in an open hash table at most a third full: own ones, their
 * networks' broadcast addresses, those of the process's other NICs. */
#define ROUTE_ROLE_BITS 9u
#define ROUTE_ROLES     (1u << ROUTE_ROLE_BITS)
static_assert(3 * (STACK_LOCALS_MAX + STACK_ADDRESSES_MAX) < ROUTE_ROLES, "look-ups stay short");

struct route_own {
    uint32_t ip_be32, mask_be32;
    uint32_t broadcast_be32; /* of its network; 0: none */
};

struct route_entry {
    uint32_t prefix_be32;
    uint32_t mask_be32;
    uint32_t gateway_be32; /* 0: on link */
    uint32_t source_be32;  /* our address towards there */
};

enum route_role {
    ROUTE_ROLE_NONE,
    ROUTE_ROLE_OWN,       /* of this NIC */
    ROUTE_ROLE_ELSEWHERE, /* of another NIC of this process */
    ROUTE_ROLE_BROADCAST  /* of an own network */
};

struct route_role_slot {
    uint32_t ip_be32; /* 0: free */
    uint8_t role;     /* enum route_role */
    uint8_t own_idx;  /* of ROUTE_ROLE_OWN */
};

/* Sorted by falling prefix length, so that the first match is the longest. */
struct route_table {
    struct route_entry entries[ROUTE_ENTRIES_MAX];
    uint32_t count;
    struct route_role_slot roles[ROUTE_ROLES];
};

enum route_kind {
    ROUTE_LOCAL,     /* own address, that of another NIC of this process, or 127/8 */
    ROUTE_MULTICAST, /* 224/4 */
    ROUTE_BROADCAST, /* limited, or of an own network */
    ROUTE_UNICAST,   /* through route_next_hop */
    ROUTE_INVALID    /* 0/8 and 240/4: nobody can have it */
};

void route_init(struct stack *stack, const struct stack_config *config);
/* An address of this NIC. */
bool route_is_own(const struct stack *stack, uint32_t ip_be32);
/* Its number in stack->own; STACK_ADDRESSES_MAX: none of them. */
uint32_t route_own_idx(const struct stack *stack, uint32_t ip_be32);
/* An address of another NIC of this process. */
bool route_is_elsewhere(const struct stack *stack, uint32_t ip_be32);
bool route_is_local(const struct stack *stack, uint32_t ip_be32);
bool route_is_broadcast(const struct stack *stack, uint32_t ip_be32);
/* Whether a broadcast to dst is for who is bound to the own address ip: the limited one is for all,
 * a network's for the addresses in it. */
bool route_hears_broadcast(const struct stack *stack, uint32_t ip_be32, uint32_t dst_be32);
enum route_kind route_classify(const struct stack *stack, uint32_t dst_be32);
/* False: no route. *out: the neighbour that gets the frame, the destination itself when on link. */
bool route_next_hop(const struct stack *stack, uint32_t dst_be32, uint32_t *out);
/* True when ip lies in an own network: only such hosts are taken into the neighbour table unasked.
 */
bool route_is_on_link(const struct stack *stack, uint32_t ip_be32);
/* See stack_source_for. */
uint32_t route_source(const struct stack *stack, uint32_t dst_be32);
/* The address to ask a host on the link by: the one with the longest prefix that has it, else the
 * primary one. */
uint32_t route_source_on_link(const struct stack *stack, uint32_t ip_be32);
/* The source of a configured route, by the rule of stack_source_for. Pure. */
uint32_t route_source_by_config(const struct stack_config *config, const struct stack_route *route);

#endif
