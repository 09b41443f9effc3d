/*
 * IGMP, the host's side: version 3 (RFC 3376) with fallback to version 2 (RFC 2236). Tells routers
 * which groups, and from which sources, this host wants. Queue thread; membership.c says what
 * changed, ipv4_input brings queries, igmp_timer sends what is due.
 *
 * The interface's filter of a group is merged from its members (RFC 3376 section 3.2): EXCLUDE as
 * soon as one member excludes, with the sources that no member wants; else INCLUDE with every
 * source some member wants. Without members it is INCLUDE of nothing: not a member.
 */
#ifndef RINGSOCK_DATAPLANE_IGMP_H
#define RINGSOCK_DATAPLANE_IGMP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ipv4.h"
#include "rings/status.h"

struct stack;
struct stack_config;
struct udp_membership;

/* A source in an interface filter, or one that a query asked about. */
struct igmp_source {
    struct igmp_source *next;
    uint32_t ip_be32;
    bool listed;     /* in the filter now */
    bool was_listed; /* before the change at hand */
    uint8_t changes; /* state-change reports still to name it */
};

struct igmp_group {
    struct igmp_group *chain_next;   /* groups with one MAC share a chain; free list */
    struct igmp_group *next, **prev; /* all groups */
    uint32_t group_be32;
    struct udp_membership *members;
    struct igmp_source *sources; /* listed, or gone with reports still to come */
    struct igmp_source *asked;   /* by a group-and-source query; empty: all */
    bool exclude;                /* the interface's filter mode */
    bool active;                 /* the filter lets something through */
    bool last_reporter;          /* v2: our report was the last one heard */
    uint8_t mode_changes;        /* reports of the filter mode (v2: of the group) still to send */
    uint64_t change_due_ns;      /* next state-change report */
    uint64_t response_due_ns;    /* answer to a query */
};

struct igmp_state {
    struct igmp_group *groups_memory;
    struct igmp_group *free_groups;
    struct igmp_group *groups;
    struct igmp_group **chains;
    struct igmp_source *sources_memory;
    struct igmp_source *free_sources;
    uint32_t chain_mask;
    uint8_t version; /* configured */
    uint8_t speaks;  /* 3, or 2 while an older querier is about */
    uint8_t robustness;
    uint32_t query_interval_s;
    uint64_t older_due_ns;   /* when the older querier is forgotten */
    uint64_t general_due_ns; /* answer to a general query */
};

RS_CHECK_RESULT enum rs_status igmp_init(struct stack *stack, const struct stack_config *config);
void igmp_destroy(struct stack *stack);
void igmp_timer(struct stack *stack);
void igmp_input(struct stack *stack, const struct ipv4_packet *packet);
/* The group's record, made when missing; never NULL: there are more records than memberships. The
 * caller links or unlinks a member and then calls igmp_group_changed. */
struct igmp_group *igmp_group_get(struct stack *stack, uint32_t group_be32);
/* Merges the members' filters anew and reports what changed. May free the group. */
void igmp_group_changed(struct stack *stack, struct igmp_group *group);
/* The link came up, and other switches and routers may be at its end: reports every membership
 * anew, within a second. */
void igmp_link_up(struct stack *stack);
/* The set of wanted multicast MACs is another one; the leader says so. */
void igmp_notify_macs(struct stack *stack);

/* ---- igmp_report.c ---- */

/* Version 3: the state-change records that are due for one group; counts its retransmissions down.
 */
void igmp_report_change(struct stack *stack, struct igmp_group *group);
/* Version 3: current-state records, of all groups (NULL) or of one with regard to asked. */
void igmp_report_state(struct stack *stack, const struct igmp_group *group);
/* Version 2: report or leave. */
void igmp_report_v2(struct stack *stack, uint8_t type, uint32_t group_be32);
/* 224.0.0.1 is never reported (RFC 3376 section 6), nor anything without a wire, nor by a follower.
 */
bool igmp_is_reported(const struct stack *stack, uint32_t group_be32);

#endif
