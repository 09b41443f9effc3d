/*
 * Received frames: which are for this host, and which protocol gets them. Queue thread, from
 * stack_input; calls arp_input and ipv4_input.
 */
#include "dataplane/wire/ethernet.h"

#include "dataplane/arp.h"
#include "dataplane/ipv4.h"
#include "dataplane/stack_internal.h"

/* VLAN 0 only carries a priority: the frame is one of the untagged ones (802.1Q). */
static inline bool ethernet_has_priority_only(const struct pkt *pkt)
{
    return (pkt->flags & (PKT_VLAN | PKT_VID_BITS)) == PKT_VLAN;
}

/* The tag is in the frame's bytes, where nobody took it out. */
static bool ethernet_input_priority(struct stack *stack, const struct pkt *pkt, bool handed)
{
    struct pkt untagged = *pkt;
    if (stack->vlan_flags != 0 || (pkt->flags & PKT_VLAN) != 0) {
        return false;
    }
    nic_vlan_strip(&untagged);
    if (!ethernet_has_priority_only(&untagged)) {
        return false; /* too short, or another VLAN: the frame's bytes do not matter any more */
    }
    ethernet_input(stack, &untagged, handed);
    return true;
}

static void ethernet_count_vlan(struct stack *stack, const struct pkt *pkt)
{
    if (stack->vlan_flags == 0) {
        STACK_COUNT(stack, eth_vlan);
    } else if ((pkt->flags & PKT_VLAN) == 0 || ethernet_has_priority_only(pkt)) {
        STACK_COUNT(stack, eth_untagged);
    } else {
        STACK_COUNT(stack, eth_vlan_other);
    }
}

void ethernet_input(struct stack *stack, const struct pkt *pkt, bool handed)
{
    const struct wire_ethernet *header = ethernet_check(pkt->data, pkt->len_bytes);
    if (header == NULL) {
        STACK_COUNT(stack, eth_truncated);
        return;
    }
    if (__builtin_expect((pkt->flags & (PKT_VLAN | PKT_VID_BITS)) != stack->vlan_flags, 0) &&
        (stack->vlan_flags != 0 || !ethernet_has_priority_only(pkt))) {
        ethernet_count_vlan(stack, pkt);
        return;
    }
    bool group = ethernet_is_group(header->dst);
    if (!group && !ethernet_equal(header->dst, stack->mac)) {
        STACK_COUNT(stack, eth_not_for_us);
        return;
    }
    if (ethernet_is_group(header->src)) {
        STACK_COUNT(stack, eth_source_bad);
        return;
    }
    /* A capture NIC shows us what we sent; without this our own address would look spoofed. */
    if (ethernet_equal(header->src, stack->mac)) {
        STACK_COUNT(stack, eth_own_source);
        return;
    }
    if (header->type_be16 == rs_be16(ETHERNET_TYPE_IPV4)) {
        ipv4_input(stack, pkt, group, handed);
    } else if (header->type_be16 == rs_be16(ETHERNET_TYPE_ARP)) {
        if (stack->follower && !handed) {
            stack_to_leader(stack, pkt, false);
        } else {
            arp_input(stack, pkt);
        }
    } else if (ethernet_is_vlan(header)) {
        if (stack->vlan_flags != 0) {
            STACK_COUNT(stack, eth_vlan_nested);
        } else if (!ethernet_input_priority(stack, pkt, handed)) {
            STACK_COUNT(stack, eth_vlan);
        }
    } else {
        STACK_COUNT(stack, eth_other_type);
    }
}
