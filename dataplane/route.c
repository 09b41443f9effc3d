/*
 * Routes and address classes, see route.h. At most 18 entries, so a sorted array beats any tree.
 */
#include "dataplane/route.h"

#include "dataplane/stack_internal.h"
#include "dataplane/wire/ipv4.h"

static void route_add(struct route_table *table, uint32_t prefix_be32, uint8_t prefix_len,
                      uint32_t gateway_be32)
{
    uint32_t mask_be32 = ipv4_mask_be32(prefix_len);
    uint32_t at = table->count++;
    while (at > 0 && rs_be32(table->entries[at - 1].mask_be32) < rs_be32(mask_be32)) {
        table->entries[at] = table->entries[at - 1];
        at--;
    }
    table->entries[at] = (struct route_entry){prefix_be32 & mask_be32, mask_be32, gateway_be32};
}

void route_init(struct stack *stack, const struct stack_config *config)
{
    if (!stack->wire) {
        return;
    }
    struct route_table *table = &stack->routes;
    route_add(table, config->ip_be32, config->prefix_len, 0);
    for (uint32_t i = 0; i < config->route_count && i < STACK_ROUTES_MAX; i++) {
        const struct stack_route *route = &config->routes[i];
        route_add(table, route->prefix_be32, route->prefix_len, route->gateway_be32);
    }
    if (config->gateway_be32 != 0) {
        route_add(table, 0, 0, config->gateway_be32);
    }
}

bool route_is_elsewhere(const struct stack *stack, uint32_t ip_be32)
{
    for (uint32_t i = 0; i < stack->local_count; i++) {
        if (stack->local_be32[i] == ip_be32) {
            return true;
        }
    }
    return false;
}

bool route_is_local(const struct stack *stack, uint32_t ip_be32)
{
    return ipv4_is_loopback(ip_be32) || (ip_be32 == stack->ip_be32 && ip_be32 != 0) ||
           route_is_elsewhere(stack, ip_be32);
}

bool route_is_broadcast(const struct stack *stack, uint32_t ip_be32)
{
    return ipv4_is_limited_broadcast(ip_be32) || (ip_be32 == stack->broadcast_be32 && ip_be32 != 0);
}

enum route_kind route_classify(const struct stack *stack, uint32_t dst_be32)
{
    if (route_is_local(stack, dst_be32)) {
        return ROUTE_LOCAL;
    }
    if (ipv4_is_multicast(dst_be32)) {
        return ROUTE_MULTICAST;
    }
    if (route_is_broadcast(stack, dst_be32)) {
        return ROUTE_BROADCAST;
    }
    if (ipv4_is_zero_net(dst_be32) || ipv4_is_reserved(dst_be32)) {
        return ROUTE_INVALID;
    }
    return ROUTE_UNICAST;
}

bool route_next_hop(const struct stack *stack, uint32_t dst_be32, uint32_t *out)
{
    const struct route_table *table = &stack->routes;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct route_entry *entry = &table->entries[i];
        if ((dst_be32 & entry->mask_be32) == entry->prefix_be32) {
            *out = entry->gateway_be32 != 0 ? entry->gateway_be32 : dst_be32;
            return true;
        }
    }
    return false;
}

bool route_is_on_link(const struct stack *stack, uint32_t ip_be32)
{
    uint32_t next_hop_be32;
    return route_next_hop(stack, ip_be32, &next_hop_be32) && next_hop_be32 == ip_be32;
}

uint32_t route_source(const struct stack *stack, uint32_t dst_be32)
{
    /* To a NIC of this process from its own address, so that the answer comes from where the
     * question went, whichever queue each of the two sockets lives on. */
    if (route_is_elsewhere(stack, dst_be32)) {
        return dst_be32;
    }
    return ipv4_is_loopback(dst_be32) || stack->ip_be32 == 0 ? STACK_LOOPBACK_IP : stack->ip_be32;
}
