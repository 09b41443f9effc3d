/*
 * Group memberships of sockets, see membership.h.
 */
#include "dataplane/membership.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"

uint32_t membership_sources_max(const struct stack_config *config)
{
    return 4 * config->memberships_max + MEMBERSHIP_SOURCES_MAX;
}

enum rs_status membership_init(struct stack *stack, const struct stack_config *config)
{
    struct membership_table *table = &stack->members;
    uint32_t count = config->memberships_max;
    uint32_t source_count = membership_sources_max(config);
    uint32_t bits = stack_table_bits(2 * count);
    table->shift = 64 - bits;
    table->memberships = calloc(count > 0 ? count : 1, sizeof(*table->memberships));
    table->chains = calloc((size_t)1 << bits, sizeof(struct udp_membership *));
    table->sources = calloc(source_count, sizeof(*table->sources));
    if (table->memberships == NULL || table->chains == NULL || table->sources == NULL) {
        membership_destroy(stack);
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        table->memberships[i].chain_next = table->free_memberships;
        table->free_memberships = &table->memberships[i];
    }
    for (uint32_t i = 0; i < source_count; i++) {
        table->sources[i].next = table->free_sources;
        table->free_sources = &table->sources[i];
    }
    return RS_OK;
}

void membership_destroy(struct stack *stack)
{
    struct membership_table *table = &stack->members;
    free(table->memberships);
    free(table->chains);
    free(table->sources);
    memset(table, 0, sizeof(*table));
}

/* ---- the chains by (group, port) ---- */

static struct udp_membership **membership_chain(const struct stack *stack, uint32_t group_be32,
                                                uint16_t port_be16)
{
    uint64_t hash = (((uint64_t)port_be16 << 32) | group_be32) * stack->udp.key;
    hash = (hash ^ (hash >> 29)) * 0x9e3779b97f4a7c15ull;
    return &stack->members.chains[hash >> stack->members.shift];
}

static void membership_chain_insert(struct stack *stack, struct udp_membership *membership)
{
    membership->port_be16 = membership->socket->local_port_be16;
    struct udp_membership **chain =
        membership_chain(stack, membership->group_be32, membership->port_be16);
    membership->chain_next = *chain;
    membership->chain_prev = chain;
    if (*chain != NULL) {
        (*chain)->chain_prev = &membership->chain_next;
    }
    *chain = membership;
}

static void membership_chain_remove(struct stack *stack, struct udp_membership *membership)
{
    if (membership->chain_prev == NULL) {
        return;
    }
    for (struct udp_fanout *fanout = stack->fanouts; fanout != NULL; fanout = fanout->next) {
        if (fanout->member == membership) {
            fanout->member = membership->chain_next;
        }
    }
    *membership->chain_prev = membership->chain_next;
    if (membership->chain_next != NULL) {
        membership->chain_next->chain_prev = membership->chain_prev;
    }
    membership->chain_prev = NULL;
}

void membership_socket_bound(struct stack *stack, struct udp_socket *socket)
{
    struct udp_membership *membership = socket->memberships;
    for (; membership != NULL; membership = membership->socket_next) {
        membership_chain_insert(stack, membership);
    }
}

/* ---- sources ---- */

bool membership_lists(const struct udp_membership *membership, uint32_t source_be32)
{
    const struct membership_source *source = membership->sources;
    while (source != NULL && source->ip_be32 != source_be32) {
        source = source->next;
    }
    return source != NULL;
}

static enum rs_status membership_source_add(struct stack *stack, struct udp_membership *membership,
                                            uint32_t source_be32)
{
    struct membership_table *table = &stack->members;
    struct membership_source *source = table->free_sources;
    if (source == NULL || membership->source_count == MEMBERSHIP_SOURCES_MAX) {
        return RS_NO_BUFFERS;
    }
    table->free_sources = source->next;
    source->ip_be32 = source_be32;
    source->next = membership->sources;
    membership->sources = source;
    membership->source_count++;
    return RS_OK;
}

static void membership_source_remove(struct stack *stack, struct udp_membership *membership,
                                     uint32_t source_be32)
{
    struct membership_source **link = &membership->sources;
    while ((*link)->ip_be32 != source_be32) {
        link = &(*link)->next;
    }
    struct membership_source *source = *link;
    *link = source->next;
    source->next = stack->members.free_sources;
    stack->members.free_sources = source;
    membership->source_count--;
}

/* ---- memberships ---- */

static struct udp_membership *membership_find(const struct udp_socket *socket, uint32_t group_be32)
{
    struct udp_membership *membership = socket->memberships;
    while (membership != NULL && membership->group_be32 != group_be32) {
        membership = membership->socket_next;
    }
    return membership;
}

static enum rs_status membership_make(struct stack *stack, struct udp_socket *socket,
                                      uint32_t group_be32, bool exclude,
                                      struct udp_membership **out)
{
    struct membership_table *table = &stack->members;
    struct udp_membership *membership = table->free_memberships;
    if (membership == NULL) {
        return RS_NO_BUFFERS;
    }
    struct igmp_group *group = igmp_group_get(stack, group_be32);
    table->free_memberships = membership->chain_next;
    table->used++;
    *membership = (struct udp_membership){
        .socket_next = socket->memberships,
        .socket = socket,
        .group = group,
        .group_be32 = group_be32,
        .group_next = group->members,
        .group_prev = &group->members,
        .exclude = exclude,
    };
    if (group->members != NULL) {
        group->members->group_prev = &membership->group_next;
    }
    group->members = membership;
    socket->memberships = membership;
    if (socket->bound) {
        membership_chain_insert(stack, membership);
    }
    *out = membership;
    return RS_OK;
}

static void membership_free(struct stack *stack, struct udp_membership *membership)
{
    struct membership_table *table = &stack->members;
    struct udp_membership **link = &membership->socket->memberships;
    while (*link != membership) {
        link = &(*link)->socket_next;
    }
    *link = membership->socket_next;
    *membership->group_prev = membership->group_next;
    if (membership->group_next != NULL) {
        membership->group_next->group_prev = membership->group_prev;
    }
    membership_chain_remove(stack, membership);
    while (membership->sources != NULL) {
        membership_source_remove(stack, membership, membership->sources->ip_be32);
    }
    struct igmp_group *group = membership->group;
    membership->chain_next = table->free_memberships;
    table->free_memberships = membership;
    table->used--;
    igmp_group_changed(stack, group);
}

void membership_socket_closed(struct stack *stack, struct udp_socket *socket)
{
    while (socket->memberships != NULL) {
        membership_free(stack, socket->memberships);
    }
}

/* ---- the six actions (RFC 3678 section 4.1.3 and 5) ----
 * What does not fit what the socket has gets the error that Microsoft's page "Multicast Socket
 * Option Behavior" has for it. */

static enum rs_status membership_join(struct stack *stack, struct udp_socket *socket,
                                      uint32_t group_be32)
{
    struct udp_membership *membership = membership_find(socket, group_be32);
    if (membership != NULL) {
        bool blocks = membership->exclude && membership->source_count > 0;
        return blocks ? RS_INVALID : RS_ADDR_NOT_AVAILABLE;
    }
    enum rs_status status = membership_make(stack, socket, group_be32, true, &membership);
    if (status == RS_OK) {
        igmp_group_changed(stack, membership->group);
    }
    return status;
}

static enum rs_status membership_join_source(struct stack *stack, struct udp_socket *socket,
                                             uint32_t group_be32, uint32_t source_be32)
{
    struct udp_membership *membership = membership_find(socket, group_be32);
    enum rs_status status = RS_OK;
    if (membership == NULL) {
        status = membership_make(stack, socket, group_be32, false, &membership);
    } else if (membership->exclude) {
        status = membership_lists(membership, source_be32) ? RS_INVALID : RS_ADDR_NOT_AVAILABLE;
    } else if (membership_lists(membership, source_be32)) {
        status = RS_ADDR_NOT_AVAILABLE;
    }
    if (status != RS_OK) {
        return status;
    }
    status = membership_source_add(stack, membership, source_be32);
    if (status != RS_OK && membership->source_count == 0) {
        membership_free(stack, membership);
        return status;
    }
    igmp_group_changed(stack, membership->group);
    return status;
}

static enum rs_status membership_leave_source(struct stack *stack,
                                              struct udp_membership *membership,
                                              uint32_t source_be32)
{
    if (membership->exclude) {
        return RS_INVALID;
    }
    if (!membership_lists(membership, source_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    membership_source_remove(stack, membership, source_be32);
    if (membership->source_count == 0) {
        membership_free(stack, membership);
    } else {
        igmp_group_changed(stack, membership->group);
    }
    return RS_OK;
}

static enum rs_status membership_block(struct stack *stack, struct udp_membership *membership,
                                       uint32_t source_be32)
{
    if (!membership->exclude) {
        return RS_INVALID;
    }
    if (membership_lists(membership, source_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    enum rs_status status = membership_source_add(stack, membership, source_be32);
    if (status == RS_OK) {
        membership->blocked = true;
        igmp_group_changed(stack, membership->group);
    }
    return status;
}

static enum rs_status membership_unblock(struct stack *stack, struct udp_membership *membership,
                                         uint32_t source_be32)
{
    if (!membership->exclude) {
        return RS_INVALID;
    }
    if (!membership_lists(membership, source_be32)) {
        return membership->blocked ? RS_ADDR_NOT_AVAILABLE : RS_INVALID;
    }
    membership_source_remove(stack, membership, source_be32);
    igmp_group_changed(stack, membership->group);
    return RS_OK;
}

static bool membership_interface_ok(const struct stack *stack, uint32_t interface_be32)
{
    return interface_be32 == 0 || route_is_own(stack, interface_be32) ||
           (!stack->wire && ipv4_is_loopback(interface_be32));
}

static bool membership_source_ok(const struct rs_op_member *op)
{
    bool wants = op->action != RS_MEMBER_JOIN && op->action != RS_MEMBER_LEAVE;
    return !wants || (op->source_be32 != 0 && !ipv4_is_multicast(op->source_be32) &&
                      !ipv4_is_reserved(op->source_be32));
}

enum rs_status membership_change(struct stack *stack, struct udp_socket *socket,
                                 const struct rs_op_member *op)
{
    if (!ipv4_is_multicast(op->group_be32) || !membership_source_ok(op)) {
        return RS_INVALID;
    }
    if (!membership_interface_ok(stack, op->interface_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    if (op->action == RS_MEMBER_JOIN) {
        return membership_join(stack, socket, op->group_be32);
    }
    if (op->action == RS_MEMBER_JOIN_SOURCE) {
        return membership_join_source(stack, socket, op->group_be32, op->source_be32);
    }
    struct udp_membership *membership = membership_find(socket, op->group_be32);
    if (membership == NULL) {
        return op->action == RS_MEMBER_LEAVE_SOURCE ? RS_ADDR_NOT_AVAILABLE : RS_INVALID;
    }
    switch (op->action) {
    case RS_MEMBER_LEAVE:
        membership_free(stack, membership);
        return RS_OK;
    case RS_MEMBER_LEAVE_SOURCE:
        return membership_leave_source(stack, membership, op->source_be32);
    case RS_MEMBER_BLOCK_SOURCE:
        return membership_block(stack, membership, op->source_be32);
    case RS_MEMBER_UNBLOCK_SOURCE:
        return membership_unblock(stack, membership, op->source_be32);
    default:
        return RS_INVALID;
    }
}

/* ---- delivery ---- */

/* On Windows a multicast receiver is often bound to the interface's address; a socket bound to a
 * group gets that group alone. IP_MULTICAST_LOOP is the receiver's there, not the sender's. */
static bool membership_accepts(const struct stack *stack, const struct udp_membership *membership,
                               const struct udp_datagram *datagram, bool from_here)
{
    const struct udp_socket *socket = membership->socket;
    uint32_t local_be32 = socket->local_be32;
    bool address = local_be32 == 0 || local_be32 == datagram->dst_be32 ||
                   route_is_own(stack, local_be32) ||
                   (!stack->wire && ipv4_is_loopback(local_be32));
    bool peer = !socket->connected || (socket->peer_be32 == datagram->src_be32 &&
                                       socket->peer_port_be16 == datagram->src_port_be16);
    bool loop = !from_here || socket->multicast_loop;
    bool source = membership->sources == NULL
                      ? membership->exclude
                      : membership_lists(membership, datagram->src_be32) != membership->exclude;
    return address && peer && loop && source;
}

struct udp_membership *membership_first(const struct stack *stack, uint32_t group_be32,
                                        uint16_t port_be16)
{
    return *membership_chain(stack, group_be32, port_be16);
}

void membership_deliver(struct stack *stack, const struct udp_datagram *datagram, bool from_here,
                        struct udp_fanout *fanout)
{
    struct udp_membership *membership = fanout->member;
    while (membership != NULL && fanout->looks_left > 0 && fanout->bytes_left > 0) {
        fanout->looks_left--;
        if (membership->group_be32 == datagram->dst_be32 &&
            membership->port_be16 == datagram->dst_port_be16 &&
            membership_accepts(stack, membership, datagram, from_here)) {
            fanout->bytes_left -= datagram->len_bytes;
            fanout->receivers++;
            fanout->taken += udp_offer(stack, membership->socket, datagram) ? 1 : 0;
        }
        membership = membership->chain_next;
    }
    fanout->member = membership;
}

uint32_t udp_socket_membership_count(const struct udp_socket *socket)
{
    uint32_t count = 0;
    const struct udp_membership *membership = socket->memberships;
    for (; membership != NULL; membership = membership->socket_next) {
        count += 1 + membership->source_count;
    }
    return count;
}
