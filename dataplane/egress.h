/*
 * By which NIC a datagram leaves, where one process serves several NICs: one table for all queues,
 * made at start-up from their configurations and never changed. Queue threads read it; calls
 * nothing. With one NIC there is no table, and nothing is asked.
 */
#ifndef RINGSOCK_DATAPLANE_EGRESS_H
#define RINGSOCK_DATAPLANE_EGRESS_H

#include <stdint.h>

#include "dataplane/config.h"
#include "rings/layout.h"

#define EGRESS_ROUTES_MAX    (RS_QUEUES_MAX * (STACK_ROUTES_MAX + STACK_ADDRESSES_MAX + 1))
#define EGRESS_ADDRESSES_MAX (RS_QUEUES_MAX * STACK_ADDRESSES_MAX)

struct egress_route {
    uint32_t prefix_be32, mask_be32;
    uint32_t source_be32; /* the NIC's address towards there */
    uint8_t nic_idx;
};

struct egress_address {
    uint32_t ip_be32;
    uint8_t nic_idx;
};

struct egress {
    struct egress_route routes[EGRESS_ROUTES_MAX]; /* longest prefix first */
    uint32_t route_count;
    struct egress_address addresses[EGRESS_ADDRESSES_MAX]; /* a NIC's primary one first */
    uint32_t address_count;
    uint32_t nic_count;
    uint8_t nic_of_queue[RS_QUEUES_MAX];
    uint8_t first_queue[RS_QUEUES_MAX]; /* of each NIC */
    uint8_t queues[RS_QUEUES_MAX];      /* of each NIC: how many */
    uint32_t queue_count;
};

/* A NIC is what [nic] device names. Loopback files are NICs without routes. */
void egress_init(struct egress *egress, const struct queue_config *configs, uint32_t count);
/*
 * The queue that a datagram of a socket at home on `queue_idx` leaves by: its own, when it is of
 * the right NIC, else always the same one of that NIC, so that order is kept. source_be32: what the
 * socket is bound to, 0 any; it must leave by that address's NIC. multicast_if_be32: of the socket,
 * for multicast destinations, 0: its own NIC. An address of this process, one without a route, and
 * 255.255.255.255 without a source is the home queue's affair.
 */
uint32_t egress_queue(const struct egress *egress, uint32_t queue_idx, uint32_t source_be32,
                      uint32_t multicast_if_be32, uint32_t dst_be32);
/* The address by which a socket bound to any leaves to dst by that queue's NIC; 0: it has none. */
uint32_t egress_source(const struct egress *egress, uint32_t queue_idx, uint32_t dst_be32);
/* The same for a datagram that shall leave by that NIC, whatever the routes say: local_be32, what
 * its socket is bound to, stays, unless it is another NIC's. Never 0: what has no address leaves
 * from 127.0.0.1, that is, not. */
uint32_t egress_source_by(const struct egress *egress, uint32_t queue_idx, uint32_t local_be32,
                          uint32_t dst_be32);

#endif
