/*
 * Which socket has joined which multicast group, with which sources, and the delivery of multicast
 * datagrams by it. Queue thread; udp.c calls, igmp.c is told what changes.
 *
 * A membership is a filter of one socket for one group (RFC 3376 section 3.1): INCLUDE only the
 * listed sources, or EXCLUDE them. It is found on the data path by (group, local port).
 */
#ifndef RINGSOCK_DATAPLANE_MEMBERSHIP_H
#define RINGSOCK_DATAPLANE_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/igmp.h"
#include "dataplane/udp_table.h"

#define MEMBERSHIP_SOURCES_MAX 64u /* of one socket for one group */

struct membership_source {
    struct membership_source *next;
    uint32_t ip_be32;
};

struct udp_membership {
    struct udp_membership *chain_next; /* by (group, port), while the socket is bound; free list */
    struct udp_membership **chain_prev;
    struct udp_membership *group_next; /* of one group */
    struct udp_membership **group_prev;
    struct udp_membership *socket_next; /* of one socket */
    struct udp_socket *socket;
    struct igmp_group *group;
    struct membership_source *sources;
    uint32_t source_count;
    uint32_t group_be32;
    uint16_t port_be16;
    bool exclude;
    bool blocked; /* some source once was */
};

struct membership_table {
    struct udp_membership *memberships;
    struct udp_membership *free_memberships;
    struct udp_membership **chains;
    struct membership_source *sources;
    struct membership_source *free_sources;
    uint32_t used;  /* memberships taken */
    uint32_t shift; /* of the hash */
};

RS_CHECK_RESULT enum rs_status membership_init(struct stack *stack,
                                               const struct stack_config *config);
void membership_destroy(struct stack *stack);
/* What udp_socket_member promises. */
RS_CHECK_RESULT enum rs_status membership_change(struct stack *stack, struct udp_socket *socket,
                                                 const struct rs_op_member *op);
void membership_socket_bound(struct stack *stack, struct udp_socket *socket);
void membership_socket_closed(struct stack *stack, struct udp_socket *socket);
bool membership_lists(const struct udp_membership *membership, uint32_t source_be32);
/* Whom to look at first for a datagram to that group and port; NULL: nobody. */
struct udp_membership *membership_first(const struct stack *stack, uint32_t group_be32,
                                        uint16_t port_be16);
/* To the members of the datagram's group, from fanout->member on and as far as the budget goes.
 * from_here: sent on this host. */
void membership_deliver(struct stack *stack, const struct udp_datagram *datagram, bool from_here,
                        struct udp_fanout *fanout);
/* Sources all memberships of a stack can list together. */
uint32_t membership_sources_max(const struct stack_config *config);

#endif
