/*
 * Where a destination address leads: ourselves, a group, everybody on the link, a next hop,
 * nowhere. Set up once from the configuration; read on the queue's thread.
 */
#ifndef RINGSOCK_DATAPLANE_ROUTE_H
#define RINGSOCK_DATAPLANE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/stack.h"

/* configured routes, the own subnet and the default gateway */
#define ROUTE_ENTRIES_MAX (STACK_ROUTES_MAX + 2u)

struct route_entry {
    uint32_t prefix_be32;
    uint32_t mask_be32;
    uint32_t gateway_be32; /* 0: on link */
};

/* Sorted by falling prefix length, so that the first match is the longest. */
struct route_table {
    struct route_entry entries[ROUTE_ENTRIES_MAX];
    uint32_t count;
};

enum route_kind {
    ROUTE_LOCAL,     /* own address, that of another NIC of this process, or 127/8 */
    ROUTE_MULTICAST, /* 224/4 */
    ROUTE_BROADCAST, /* limited, or of our subnet */
    ROUTE_UNICAST,   /* through route_next_hop */
    ROUTE_INVALID    /* 0/8 and 240/4: nobody can have it */
};

void route_init(struct stack *stack, const struct stack_config *config);
/* An address of another NIC of this process. */
bool route_is_elsewhere(const struct stack *stack, uint32_t ip_be32);
bool route_is_local(const struct stack *stack, uint32_t ip_be32);
bool route_is_broadcast(const struct stack *stack, uint32_t ip_be32);
enum route_kind route_classify(const struct stack *stack, uint32_t dst_be32);
/* False: no route. *out: the neighbour that gets the frame, the destination itself when on link. */
bool route_next_hop(const struct stack *stack, uint32_t dst_be32, uint32_t *out);
/* True when ip lies in our own subnet: only such hosts are taken into the neighbour table unasked.
 */
bool route_is_on_link(const struct stack *stack, uint32_t ip_be32);
/* The address we use as source towards dst. */
uint32_t route_source(const struct stack *stack, uint32_t dst_be32);

#endif
