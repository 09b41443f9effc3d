/*
 * The table of egress.h. A few NICs with a few routes each: a sorted array, walked.
 */
#include "dataplane/egress.h"

#include <string.h>

#include "dataplane/route.h"
#include "dataplane/stack_internal.h"
#include "dataplane/wire/ipv4.h"

#define EGRESS_NO_NIC 0xffu

static void egress_add(struct egress *egress, const struct stack_route *route, uint32_t source_be32,
                       uint8_t nic_idx)
{
    uint32_t mask_be32 = rs_prefix_mask_be32(route->prefix_len);
    uint32_t at = egress->route_count++;
    while (at > 0 && rs_be32(egress->routes[at - 1].mask_be32) < rs_be32(mask_be32)) {
        egress->routes[at] = egress->routes[at - 1];
        at--;
    }
    egress->routes[at] =
        (struct egress_route){route->prefix_be32 & mask_be32, mask_be32, source_be32, nic_idx};
}

static void egress_add_nic(struct egress *egress, const struct queue_config *config,
                           uint8_t nic_idx)
{
    const struct stack_config *stack = &config->stack;
    uint32_t count = stack_config_address_count(stack);
    for (uint32_t i = 0; i < count; i++) {
        egress->addresses[egress->address_count++] =
            (struct egress_address){stack_config_address(stack, i).ip_be32, nic_idx};
    }
    if (config->loopback || count == 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct stack_address own = stack_config_address(stack, i);
        egress_add(egress, &(struct stack_route){own.ip_be32, own.prefix_len, 0, 0}, own.ip_be32,
                   nic_idx);
    }
    for (uint32_t i = 0; i < stack->route_count; i++) {
        egress_add(egress, &stack->routes[i], route_source_by_config(stack, &stack->routes[i]),
                   nic_idx);
    }
    if (stack->gateway_be32 != 0) {
        const struct stack_route all = {.gateway_be32 = stack->gateway_be32};
        egress_add(egress, &all, route_source_by_config(stack, &all), nic_idx);
    }
}

void egress_init(struct egress *egress, const struct queue_config *configs, uint32_t count)
{
    *egress = (struct egress){.queue_count = count};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0;
        while (same < i && strcmp(configs[same].device, configs[i].device) != 0) {
            same++;
        }
        if (same < i) {
            egress->nic_of_queue[i] = egress->nic_of_queue[same];
        } else {
            uint8_t nic_idx = (uint8_t)egress->nic_count++;
            egress->nic_of_queue[i] = nic_idx;
            egress->first_queue[nic_idx] = (uint8_t)i;
            egress_add_nic(egress, &configs[i], nic_idx);
        }
        egress->queues[egress->nic_of_queue[i]]++;
    }
}

static uint8_t egress_nic_with(const struct egress *egress, uint32_t ip_be32)
{
    for (uint32_t i = 0; i < egress->address_count; i++) {
        if (egress->addresses[i].ip_be32 == ip_be32) {
            return egress->addresses[i].nic_idx;
        }
    }
    return EGRESS_NO_NIC;
}

/* The NIC with the longest prefix; of several the home queue's. */
static uint8_t egress_route(const struct egress *egress, uint8_t home_nic, uint32_t dst_be32)
{
    uint8_t found = EGRESS_NO_NIC;
    uint32_t mask_be32 = 0;
    for (uint32_t i = 0; i < egress->route_count; i++) {
        const struct egress_route *route = &egress->routes[i];
        if (found != EGRESS_NO_NIC && route->mask_be32 != mask_be32) {
            break;
        }
        if ((dst_be32 & route->mask_be32) == route->prefix_be32) {
            if (route->nic_idx == home_nic) {
                return home_nic;
            }
            found = found == EGRESS_NO_NIC ? route->nic_idx : found;
            mask_be32 = route->mask_be32;
        }
    }
    return found;
}

/* One of the NIC's queues, the same for all datagrams of a home queue. */
static uint32_t egress_queue_of_nic(const struct egress *egress, uint32_t queue_idx,
                                    uint8_t nic_idx)
{
    uint32_t nth = queue_idx;
    while (nth >= egress->queues[nic_idx]) {
        nth -= egress->queues[nic_idx];
    }
    for (uint32_t i = egress->first_queue[nic_idx]; i < egress->queue_count; i++) {
        if (egress->nic_of_queue[i] == nic_idx && nth-- == 0) {
            return i;
        }
    }
    return queue_idx;
}

uint32_t egress_queue(const struct egress *egress, uint32_t queue_idx, uint32_t source_be32,
                      uint32_t multicast_if_be32, uint32_t dst_be32)
{
    uint8_t home_nic = egress->nic_of_queue[queue_idx];
    uint8_t nic = home_nic;
    if (ipv4_is_loopback(dst_be32) || (ipv4_is_limited_broadcast(dst_be32) && source_be32 == 0) ||
        egress_nic_with(egress, dst_be32) != EGRESS_NO_NIC) {
        return queue_idx;
    }
    if (ipv4_is_multicast(dst_be32) && multicast_if_be32 != 0) {
        nic = egress_nic_with(egress, multicast_if_be32);
    } else if (source_be32 != 0 && !ipv4_is_multicast(source_be32)) {
        nic = egress_nic_with(egress, source_be32);
    } else if (!ipv4_is_multicast(dst_be32)) {
        nic = egress_route(egress, home_nic, dst_be32);
    }
    return nic == EGRESS_NO_NIC || nic == home_nic ? queue_idx
                                                   : egress_queue_of_nic(egress, queue_idx, nic);
}

uint32_t egress_source(const struct egress *egress, uint32_t queue_idx, uint32_t dst_be32)
{
    uint8_t nic = egress->nic_of_queue[queue_idx];
    for (uint32_t i = 0; i < egress->route_count && !ipv4_is_multicast(dst_be32); i++) {
        const struct egress_route *route = &egress->routes[i];
        if (route->nic_idx == nic && (dst_be32 & route->mask_be32) == route->prefix_be32) {
            return route->source_be32;
        }
    }
    for (uint32_t i = 0; i < egress->address_count; i++) {
        if (egress->addresses[i].nic_idx == nic) {
            return egress->addresses[i].ip_be32;
        }
    }
    return 0;
}

uint32_t egress_source_by(const struct egress *egress, uint32_t queue_idx, uint32_t local_be32,
                          uint32_t dst_be32)
{
    uint8_t local_nic = egress_nic_with(egress, local_be32);
    if (local_be32 != 0 && !ipv4_is_multicast(local_be32) &&
        (local_nic == egress->nic_of_queue[queue_idx] || local_nic == EGRESS_NO_NIC)) {
        return local_be32;
    }
    uint32_t source_be32 = egress_source(egress, queue_idx, dst_be32);
    return source_be32 != 0 ? source_be32 : STACK_LOOPBACK_IP;
}
