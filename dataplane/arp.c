/*
 * ARP, see arp.h. Numbers of RFC 5227 section 1.1.
 */
#include "dataplane/arp.h"

#include "dataplane/stack_internal.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"

#define ARP_PROBE_WAIT_NS        (1 * STACK_NS_PER_S)
#define ARP_PROBE_COUNT          3u
#define ARP_PROBE_MIN_NS         (1 * STACK_NS_PER_S)
#define ARP_PROBE_MAX_NS         (2 * STACK_NS_PER_S)
#define ARP_ANNOUNCE_WAIT_NS     (2 * STACK_NS_PER_S)
#define ARP_ANNOUNCE_COUNT       2u
#define ARP_ANNOUNCE_INTERVAL_NS (2 * STACK_NS_PER_S)
#define ARP_DEFEND_INTERVAL_NS   (10 * STACK_NS_PER_S)

static const uint8_t no_mac[6] = {0};

static void arp_send(struct stack *stack, uint16_t op, uint32_t sender_be32,
                     const uint8_t target_mac[6], uint32_t target_be32, const uint8_t *dst_mac)
{
    struct pkt pkt;
    STACK_COUNT(stack, arp_made);
    if (!stack->nic->ops->tx_alloc(stack->nic, &pkt)) {
        STACK_COUNT(stack, tx_no_buffer);
        return;
    }
    uint8_t everybody[6];
    if (dst_mac == NULL) {
        ethernet_broadcast_mac(everybody);
        dst_mac = everybody;
    }
    ethernet_emit(pkt.data, dst_mac, stack->mac, ETHERNET_TYPE_ARP);
    arp_emit(pkt.data + ETHERNET_HEADER_BYTES, op, stack->mac, sender_be32, target_mac,
             target_be32);
    pkt.len_bytes = ETHERNET_HEADER_BYTES + ARP_BYTES;
    stack_transmit(stack, &pkt);
}

void arp_send_request(struct stack *stack, uint32_t target_be32, const uint8_t *dst_mac)
{
    arp_send(stack, ARP_REQUEST, route_source_on_link(stack, target_be32), no_mac, target_be32,
             dst_mac);
}

static void arp_send_announcement(struct stack *stack, uint32_t ip_be32)
{
    STACK_COUNT(stack, arp_announcements);
    arp_send(stack, ARP_REQUEST, ip_be32, no_mac, ip_be32, NULL);
}

/* A probe or an announcement of every address. */
static void arp_send_each(struct stack *stack, bool probe)
{
    for (uint32_t i = 0; i < stack->own_count; i++) {
        if (probe) {
            arp_send(stack, ARP_REQUEST, 0, no_mac, stack->own[i].ip_be32, NULL);
        } else {
            arp_send_announcement(stack, stack->own[i].ip_be32);
        }
    }
}

void arp_init(struct stack *stack)
{
    if (!stack->wire || stack->follower) {
        return;
    }
    stack->arp.probes_left = ARP_PROBE_COUNT;
    stack->arp.announcements_left = ARP_ANNOUNCE_COUNT;
    stack_timer_set(stack, STACK_TIMER_ARP,
                    stack->now_ns + stack_random_below(stack, ARP_PROBE_WAIT_NS));
}

void arp_timer(struct stack *stack)
{
    struct arp_state *arp = &stack->arp;
    uint64_t due_ns = STACK_NEVER;
    if (arp->probes_left > 0) {
        arp->probes_left--;
        arp_send_each(stack, true);
        uint64_t spread_ns = stack_random_below(stack, ARP_PROBE_MAX_NS - ARP_PROBE_MIN_NS);
        due_ns = stack->now_ns +
                 (arp->probes_left > 0 ? ARP_PROBE_MIN_NS + spread_ns : ARP_ANNOUNCE_WAIT_NS);
    } else if (arp->announcements_left > 0) {
        arp->announcements_left--;
        arp_send_each(stack, false);
        if (arp->announcements_left > 0) {
            due_ns = stack->now_ns + ARP_ANNOUNCE_INTERVAL_NS;
        }
    }
    stack_timer_set(stack, STACK_TIMER_ARP, due_ns);
}

/* RFC 5227 2.4 (c): the address stays, defended at most every ten seconds. */
static void arp_conflict(struct stack *stack, const struct wire_arp *arp, uint32_t ip_be32)
{
    uint64_t *defend_due_ns = &stack->arp.defend_due_ns[route_own_idx(stack, ip_be32)];
    STACK_COUNT(stack, arp_conflicts_in);
    stack_notify(stack, STACK_NOTICE_ADDRESS_CONFLICT, ip_be32, arp->sender_mac);
    if (stack->now_ns >= *defend_due_ns) {
        *defend_due_ns = stack->now_ns + ARP_DEFEND_INTERVAL_NS;
        arp_send_announcement(stack, ip_be32);
    }
}

/* A sender no host can be: its claim must not reach the neighbour table. */
static bool arp_sender_ok(const struct stack *stack, const struct wire_arp *arp)
{
    return !ethernet_is_group(arp->sender_mac) && !ethernet_equal(arp->sender_mac, no_mac) &&
           !ethernet_equal(arp->sender_mac, stack->mac) && !ipv4_is_loopback(arp->sender_be32) &&
           !ipv4_is_multicast(arp->sender_be32) && !ipv4_is_reserved(arp->sender_be32) &&
           !route_is_broadcast(stack, arp->sender_be32);
}

/* Learns, and nothing else: the leader has answered. */
static void arp_input_copy(struct stack *stack, const struct wire_arp *arp, bool asks_us)
{
    bool learned = arp->sender_be32 != 0 && !route_is_own(stack, arp->sender_be32) &&
                   neighbour_learn(stack, arp->sender_be32, arp->sender_mac,
                                   asks_us && route_is_on_link(stack, arp->sender_be32));
    if (learned) {
        STACK_COUNT(stack, arp_learned_in);
    } else {
        STACK_COUNT(stack, arp_copies_in);
    }
}

void arp_input(struct stack *stack, const struct pkt *pkt)
{
    const struct wire_arp *arp =
        arp_check(pkt->data + ETHERNET_HEADER_BYTES, pkt->len_bytes - ETHERNET_HEADER_BYTES);
    if (arp == NULL || !arp_sender_ok(stack, arp)) {
        STACK_COUNT(stack, arp_malformed);
        return;
    }
    if (!stack->wire) {
        STACK_COUNT(stack, arp_not_for_us);
        return;
    }
    bool request = arp->op_be16 == rs_be16(ARP_REQUEST);
    bool for_us = route_is_own(stack, arp->target_be32);
    bool from_us = route_is_own(stack, arp->sender_be32);
    bool probe = request && arp->sender_be32 == 0;
    if (stack->follower) {
        arp_input_copy(stack, arp, request && for_us);
        return;
    }
    if (from_us || (probe && for_us && stack->arp.probes_left > 0)) {
        arp_conflict(stack, arp, from_us ? arp->sender_be32 : arp->target_be32);
        return;
    }
    bool copied = !probe && stack_to_followers(stack, pkt);
    bool learned = arp->sender_be32 != 0 &&
                   neighbour_learn(stack, arp->sender_be32, arp->sender_mac,
                                   for_us && request && route_is_on_link(stack, arp->sender_be32));
    if (request && for_us) {
        STACK_COUNT(stack, arp_requests_in);
        arp_send(stack, ARP_REPLY, arp->target_be32, arp->sender_mac, arp->sender_be32,
                 arp->sender_mac);
    } else if (learned) {
        STACK_COUNT(stack, arp_learned_in);
    } else if (for_us && copied) {
        STACK_COUNT(stack, arp_passed_on);
    } else {
        STACK_COUNT(stack, arp_not_for_us);
    }
}
