/*
 * Routes and address classes, see route.h. At most 33 entries, so a sorted array beats any tree.
 */
#include "dataplane/route.h"

#include "dataplane/stack_internal.h"
#include "dataplane/wire/ipv4.h"

/* ---- set-up ---- */

static inline uint32_t route_role_hash(uint32_t ip_be32)
{
    return (uint32_t)(ip_be32 * 0x9e3779b1u) >> (32 - ROUTE_ROLE_BITS);
}

/* The slot of the address, or the free one where it would be. */
static inline const struct route_role_slot *route_role_find(const struct stack *stack,
                                                            uint32_t ip_be32)
{
    const struct route_role_slot *slots = stack->routes.roles;
    uint32_t at = route_role_hash(ip_be32);
    while (slots[at].ip_be32 != 0 && slots[at].ip_be32 != ip_be32) {
        at = (at + 1) & (ROUTE_ROLES - 1);
    }
    return &slots[at];
}

/* What an address was first, it stays. */
static void route_role_add(struct stack *stack, uint32_t ip_be32, enum route_role role,
                           uint32_t own_idx)
{
    struct route_role_slot *slot =
        &stack->routes.roles[route_role_find(stack, ip_be32) - stack->routes.roles];
    if (ip_be32 != 0 && slot->ip_be32 == 0) {
        *slot = (struct route_role_slot){ip_be32, (uint8_t)role, (uint8_t)own_idx};
    }
}

static void route_init_roles(struct stack *stack, const struct stack_config *config)
{
    stack->own_count = stack_config_address_count(config);
    for (uint32_t i = 0; i < stack->own_count; i++) {
        const struct stack_address address = stack_config_address(config, i);
        struct route_own *own = &stack->own[i];
        *own = (struct route_own){.ip_be32 = address.ip_be32,
                                  .mask_be32 = rs_prefix_mask_be32(address.prefix_len)};
        /* A subnet of one or two addresses has no broadcast address (RFC 3021). */
        own->broadcast_be32 = address.prefix_len <= 30 ? own->ip_be32 | ~own->mask_be32 : 0;
        route_role_add(stack, own->ip_be32, ROUTE_ROLE_OWN, i);
    }
    for (uint32_t i = 0; i < config->local_count && i < STACK_LOCALS_MAX; i++) {
        route_role_add(stack, config->local_be32[i], ROUTE_ROLE_ELSEWHERE, 0);
    }
    for (uint32_t i = 0; i < stack->own_count; i++) {
        route_role_add(stack, stack->own[i].broadcast_be32, ROUTE_ROLE_BROADCAST, 0);
    }
}

static void route_add(struct route_table *table, const struct stack_route *route,
                      uint32_t source_be32)
{
    uint32_t mask_be32 = rs_prefix_mask_be32(route->prefix_len);
    uint32_t at = table->count++;
    while (at > 0 && rs_be32(table->entries[at - 1].mask_be32) < rs_be32(mask_be32)) {
        table->entries[at] = table->entries[at - 1];
        at--;
    }
    table->entries[at] = (struct route_entry){route->prefix_be32 & mask_be32, mask_be32,
                                              route->gateway_be32, source_be32};
}

uint32_t route_source_by_config(const struct stack_config *config, const struct stack_route *route)
{
    uint32_t hop_be32 = route->gateway_be32 != 0 ? route->gateway_be32 : route->prefix_be32;
    uint32_t source_be32 = config->ip_be32;
    uint32_t longest = 0;
    if (route->source_be32 != 0) {
        return route->source_be32;
    }
    for (uint32_t i = 0; i < stack_config_address_count(config); i++) {
        const struct stack_address own = stack_config_address(config, i);
        uint32_t mask_be32 = rs_prefix_mask_be32(own.prefix_len);
        bool holds = ((hop_be32 ^ own.ip_be32) & mask_be32) == 0;
        if (holds && own.prefix_len > longest &&
            (route->gateway_be32 != 0 || own.prefix_len <= route->prefix_len)) {
            source_be32 = own.ip_be32;
            longest = own.prefix_len;
        }
    }
    return source_be32;
}

void route_init(struct stack *stack, const struct stack_config *config)
{
    struct route_table *table = &stack->routes;
    route_init_roles(stack, config);
    if (!stack->wire) {
        return;
    }
    /* Of two addresses in one network the first is found. */
    for (uint32_t i = 0; i < stack->own_count; i++) {
        const struct stack_address own = stack_config_address(config, i);
        route_add(table, &(struct stack_route){own.ip_be32, own.prefix_len, 0, 0}, own.ip_be32);
    }
    for (uint32_t i = 0; i < config->route_count && i < STACK_ROUTES_MAX; i++) {
        route_add(table, &config->routes[i], route_source_by_config(config, &config->routes[i]));
    }
    if (config->gateway_be32 != 0) {
        const struct stack_route all = {.gateway_be32 = config->gateway_be32};
        route_add(table, &all, route_source_by_config(config, &all));
    }
}

/* ---- classes ---- */

bool route_is_own(const struct stack *stack, uint32_t ip_be32)
{
    return (ip_be32 == stack->ip_be32 && ip_be32 != 0) ||
           route_role_find(stack, ip_be32)->role == ROUTE_ROLE_OWN;
}

uint32_t route_own_idx(const struct stack *stack, uint32_t ip_be32)
{
    const struct route_role_slot *slot = route_role_find(stack, ip_be32);
    return slot->role == ROUTE_ROLE_OWN ? slot->own_idx : STACK_ADDRESSES_MAX;
}

bool route_is_elsewhere(const struct stack *stack, uint32_t ip_be32)
{
    return route_role_find(stack, ip_be32)->role == ROUTE_ROLE_ELSEWHERE;
}

bool route_is_local(const struct stack *stack, uint32_t ip_be32)
{
    enum route_role role = route_role_find(stack, ip_be32)->role;
    return ipv4_is_loopback(ip_be32) || role == ROUTE_ROLE_OWN || role == ROUTE_ROLE_ELSEWHERE;
}

bool route_is_broadcast(const struct stack *stack, uint32_t ip_be32)
{
    return ipv4_is_limited_broadcast(ip_be32) ||
           route_role_find(stack, ip_be32)->role == ROUTE_ROLE_BROADCAST;
}

bool route_hears_broadcast(const struct stack *stack, uint32_t ip_be32, uint32_t dst_be32)
{
    uint32_t idx = route_own_idx(stack, ip_be32);
    return idx < STACK_ADDRESSES_MAX &&
           (ipv4_is_limited_broadcast(dst_be32) || stack->own[idx].broadcast_be32 == dst_be32);
}

enum route_kind route_classify(const struct stack *stack, uint32_t dst_be32)
{
    switch ((enum route_role)route_role_find(stack, dst_be32)->role) {
    case ROUTE_ROLE_OWN:
    case ROUTE_ROLE_ELSEWHERE:
        return ROUTE_LOCAL;
    case ROUTE_ROLE_BROADCAST:
        return ROUTE_BROADCAST;
    case ROUTE_ROLE_NONE:
        break;
    }
    if (ipv4_is_loopback(dst_be32)) {
        return ROUTE_LOCAL;
    }
    if (ipv4_is_multicast(dst_be32)) {
        return ROUTE_MULTICAST;
    }
    if (ipv4_is_limited_broadcast(dst_be32)) {
        return ROUTE_BROADCAST;
    }
    if (ipv4_is_zero_net(dst_be32) || ipv4_is_reserved(dst_be32)) {
        return ROUTE_INVALID;
    }
    return ROUTE_UNICAST;
}

/* ---- routes ---- */

static const struct route_entry *route_find(const struct stack *stack, uint32_t dst_be32)
{
    const struct route_table *table = &stack->routes;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct route_entry *entry = &table->entries[i];
        if ((dst_be32 & entry->mask_be32) == entry->prefix_be32) {
            return entry;
        }
    }
    return NULL;
}

bool route_next_hop(const struct stack *stack, uint32_t dst_be32, uint32_t *out)
{
    const struct route_entry *entry = route_find(stack, dst_be32);
    if (entry != NULL) {
        *out = entry->gateway_be32 != 0 ? entry->gateway_be32 : dst_be32;
    }
    return entry != NULL;
}

bool route_is_on_link(const struct stack *stack, uint32_t ip_be32)
{
    uint32_t next_hop_be32;
    return route_next_hop(stack, ip_be32, &next_hop_be32) && next_hop_be32 == ip_be32;
}

uint32_t route_source(const struct stack *stack, uint32_t dst_be32)
{
    if (ipv4_is_loopback(dst_be32)) {
        return STACK_LOOPBACK_IP;
    }
    /* To an address of this process from that address, so that the answer comes from where the
     * question went, whichever queue each of the two sockets lives on. */
    if (route_is_local(stack, dst_be32)) {
        return dst_be32;
    }
    if (stack->own_count == 0) {
        return STACK_LOOPBACK_IP;
    }
    if (stack->own_count == 1 || ipv4_is_multicast(dst_be32) ||
        ipv4_is_limited_broadcast(dst_be32)) {
        return stack->ip_be32;
    }
    const struct route_entry *entry = route_find(stack, dst_be32);
    return entry != NULL ? entry->source_be32 : stack->ip_be32;
}

uint32_t route_source_on_link(const struct stack *stack, uint32_t ip_be32)
{
    uint32_t source_be32 = stack->ip_be32;
    uint32_t longest = 0;
    for (uint32_t i = 0; i < stack->own_count; i++) {
        const struct route_own *own = &stack->own[i];
        if (((ip_be32 ^ own->ip_be32) & own->mask_be32) == 0 && rs_be32(own->mask_be32) > longest) {
            source_be32 = own->ip_be32;
            longest = rs_be32(own->mask_be32);
        }
    }
    return source_be32;
}
