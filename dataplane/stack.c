/*
 * A stack's life, its clock and timers, and the software transmit queue. Created and destroyed by
 * the control thread, everything else on the queue's thread: the poll loop calls in here, the
 * protocols call stack_transmit, and this file calls the nic.
 */
#include "dataplane/stack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

#define STACK_PRIORITY_SHIFT (PKT_TCI_SHIFT + 13)

static void stack_init_addresses(struct stack *stack, const struct stack_config *config)
{
    stack->ip_be32 = config->ip_be32;
    stack->wire = stack->nic->kind != RS_NIC_LOOPBACK && config->ip_be32 != 0;
    memcpy(stack->mac, stack->nic->mac, sizeof(stack->mac));
}

static void stack_init_vlan(struct stack *stack, const struct stack_config *config)
{
    if (config->vlan_id == 0) {
        return;
    }
    assert(stack->nic->vlan);
    stack->vlan_flags = PKT_VLAN | (uint32_t)config->vlan_id << PKT_TCI_SHIFT;
    stack->vlan_tx_flags = stack->vlan_flags;
    stack->vlan_by_tos = config->vlan_priority == STACK_VLAN_BY_TOS;
    if (!stack->vlan_by_tos) {
        stack->vlan_tx_flags |= (uint32_t)config->vlan_priority << STACK_PRIORITY_SHIFT;
    }
}

/* Identifications tell a host's datagrams apart, so no two queues of a NIC use the same ones. */
static void stack_init_ip_id(struct stack *stack)
{
    uint32_t step = 1;
    while (step < stack->nic->queue_count) {
        step *= 2; /* so that it divides 65,536 */
    }
    stack->ip_id_step = (uint16_t)step;
    stack->ip_id =
        (uint16_t)((stack_random(stack) & ~(uint64_t)(step - 1)) + stack->nic->queue_idx);
}

/* All that needs no memory of its own. */
static void stack_init(struct stack *stack, const struct stack_config *config, struct nic *nic,
                       const struct stack_upcalls *upcalls, uint64_t now_ns)
{
    stack->nic = nic;
    stack->upcalls = *upcalls;
    stack->follower = config->follower;
    stack->leads = !config->follower && nic->queue_count > 1 && upcalls->hand_over != NULL;
    assert(!config->follower || upcalls->hand_over != NULL);
    stack->now_ns = now_ns;
    stack->random_state = config->random_seed;
    stack_init_ip_id(stack);
    for (unsigned i = 0; i < STACK_TIMER_COUNT; i++) {
        stack->timer_due_ns[i] = STACK_NEVER;
    }
    stack->next_timer_ns = STACK_NEVER;
    stack_init_addresses(stack, config);
    route_init(stack, config);
    icmp_init(stack);
    stack_init_vlan(stack, config);
}

enum rs_status stack_create(const struct stack_config *config, struct nic *nic,
                            const struct stack_upcalls *upcalls, uint64_t now_ns,
                            struct stack **out)
{
    struct stack *stack = calloc(1, sizeof(*stack));
    if (stack == NULL) {
        return RS_NO_MEMORY;
    }
    stack_init(stack, config, nic, upcalls, now_ns);
    enum rs_status status = udp_table_init(stack, config->sockets_max);
    if (status != RS_OK) {
        goto free_stack;
    }
    status = neighbour_init(stack, config);
    if (status != RS_OK) {
        goto free_udp;
    }
    status = membership_init(stack, config);
    if (status != RS_OK) {
        goto free_neighbours;
    }
    status = igmp_init(stack, config);
    if (status != RS_OK) {
        goto free_members;
    }
    status = reassembly_init(stack, config);
    if (status != RS_OK) {
        goto free_igmp;
    }
    status = tcp_stack_init(stack, &config->tcp);
    if (status != RS_OK) {
        goto free_reassembly;
    }
    arp_init(stack);
    if (stack->wire) {
        igmp_notify_macs(stack);
    }
    *out = stack;
    return RS_OK;

free_reassembly:
    reassembly_destroy(stack);
free_igmp:
    igmp_destroy(stack);
free_members:
    membership_destroy(stack);
free_neighbours:
    neighbour_destroy(stack);
free_udp:
    udp_table_destroy(stack);
free_stack:
    free(stack);
    return status;
}

void stack_destroy(struct stack *stack)
{
    if (stack == NULL) {
        return;
    }
    while (stack->tx_head != stack->tx_tail) {
        struct pkt *pkt = &stack->tx_pkts[stack->tx_head++ & (STACK_TX_QUEUE_PKTS - 1)];
        stack->nic->ops->tx_free(stack->nic, pkt);
    }
    tcp_stack_destroy(stack);
    reassembly_destroy(stack);
    igmp_destroy(stack);
    membership_destroy(stack);
    neighbour_destroy(stack);
    udp_table_destroy(stack);
    free(stack);
}

void stack_set_now(struct stack *stack, uint64_t now_ns, uint64_t now_tsc)
{
    stack->now_ns = now_ns;
    stack->now_tsc = now_tsc;
}

void stack_input(struct stack *stack, const struct pkt *pkt)
{
    STACK_COUNT(stack, rx_frames);
    ethernet_input(stack, pkt, false);
}

void stack_input_handed(struct stack *stack, const struct pkt *pkt)
{
    STACK_COUNT(stack, handed_in);
    ethernet_input(stack, pkt, true);
}

static void stack_count_given(struct stack *stack, bool taken)
{
    if (taken) {
        STACK_COUNT(stack, handed_out);
    } else {
        STACK_COUNT(stack, hand_over_full);
    }
}

void stack_handed_out(struct stack *stack, bool taken)
{
    STACK_COUNT(stack, rx_frames);
    stack_count_given(stack, taken);
}

void stack_to_leader(struct stack *stack, const struct pkt *pkt, bool handed)
{
    if (handed) {
        STACK_COUNT(stack, handed_astray);
        return;
    }
    stack_count_given(stack,
                      stack->upcalls.hand_over(stack->upcalls.context, pkt, STACK_TO_LEADER, 0));
}

void stack_to_queue(struct stack *stack, const struct pkt *pkt, uint32_t queue_idx)
{
    stack_count_given(
        stack, stack->upcalls.hand_over(stack->upcalls.context, pkt, STACK_TO_QUEUE, queue_idx));
}

bool stack_to_followers(struct stack *stack, const struct pkt *pkt)
{
    if (stack->leads &&
        !stack->upcalls.hand_over(stack->upcalls.context, pkt, STACK_TO_FOLLOWERS, 0)) {
        STACK_COUNT(stack, arp_copies_lost);
    }
    return stack->leads;
}

/* What a look-up for a plain frame will read first: the chain's head. Any other frame yields one
 * that is fetched in vain. */
static void *const *stack_frame_chain(const struct stack *stack, const struct pkt *pkt)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_BYTES);
    /* TCP begins with the same ports. */
    const struct wire_udp *udp = (const struct wire_udp *)(pkt->data + IPV4_PAYLOAD_OFF);
    if (pkt->len_bytes < IPV4_PAYLOAD_OFF + UDP_HEADER_BYTES) {
        return NULL;
    }
    if (ip->protocol == IPV4_PROTOCOL_TCP) {
        return (void *const *)tcp_flow_chain(stack, ip->dst_be32, udp->dst_port_be16, ip->src_be32,
                                             udp->src_port_be16);
    }
    return (void *const *)udp_first_chain(stack, ip->dst_be32, udp->dst_port_be16, ip->src_be32,
                                          udp->src_port_be16);
}

static bool stack_frame_is_tcp(const struct pkt *pkt)
{
    return ((const struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_BYTES))->protocol ==
           IPV4_PROTOCOL_TCP;
}

/* Near enough to find out whether the chain goes on. */
static bool stack_flow_is_of(const struct tcp_flow *flow, const struct pkt *pkt)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_BYTES);
    const struct wire_udp *ports = (const struct wire_udp *)(pkt->data + IPV4_PAYLOAD_OFF);
    return flow->peer_be32 == ip->src_be32 && flow->peer_port_be16 == ports->src_port_be16;
}

void stack_prefetch(const struct stack *stack, const struct pkt *pkts, uint32_t count)
{
    void *const *chains[NIC_BURST_PKTS];
    const struct tcp_flow *flows[NIC_BURST_PKTS];
    const struct pkt *flow_pkts[NIC_BURST_PKTS];
    uint32_t flow_count = 0;
    if (count < 2 || count > NIC_BURST_PKTS) {
        return; /* alone, a frame has nothing to overlap with */
    }
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(pkts[i].data);
    }
    for (uint32_t i = 0; i < count; i++) {
        chains[i] = stack_frame_chain(stack, &pkts[i]);
        if (chains[i] != NULL) {
            __builtin_prefetch((const void *)chains[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (chains[i] == NULL || *chains[i] == NULL) {
            continue;
        }
        if (stack_frame_is_tcp(&pkts[i])) {
            flows[flow_count] = *chains[i];
            flow_pkts[flow_count++] = &pkts[i];
        }
        __builtin_prefetch(*chains[i], 1);
    }
    for (uint32_t i = 0; i < flow_count; i++) {
        if (!stack_flow_is_of(flows[i], flow_pkts[i]) && flows[i]->chain_next != NULL) {
            flows[i] = flows[i]->chain_next;
        }
        tcp_flow_fetch(flows[i]);
    }
    for (uint32_t i = 0; i < flow_count; i++) {
        tcp_flow_fetch_more(flows[i]);
    }
}

struct counters *stack_counters(struct stack *stack)
{
    return &stack->counters;
}

const struct trace_ring *stack_trace(const struct stack *stack)
{
    return &stack->trace;
}

bool stack_is_own_address(const struct stack *stack, uint32_t ip_be32)
{
    return route_is_local(stack, ip_be32);
}

bool stack_has_address(const struct stack *stack, uint32_t ip_be32)
{
    return route_is_own(stack, ip_be32);
}

uint32_t stack_source_for(const struct stack *stack, uint32_t dst_be32)
{
    return route_source(stack, dst_be32);
}

void stack_set_link(struct stack *stack, bool up)
{
    stack->link_down = !up;
    neighbour_forget(stack);
    if (up) {
        arp_init(stack);
        igmp_link_up(stack);
    }
}

/* ---- timers ---- */

void stack_timer_set(struct stack *stack, enum stack_timer timer, uint64_t due_ns)
{
    stack->timer_due_ns[timer] = due_ns;
    uint64_t least = STACK_NEVER;
    for (unsigned i = 0; i < STACK_TIMER_COUNT; i++) {
        if (stack->timer_due_ns[i] < least) {
            least = stack->timer_due_ns[i];
        }
    }
    stack->next_timer_ns = least;
}

static bool stack_timer_take(struct stack *stack, enum stack_timer timer)
{
    if (stack->timer_due_ns[timer] > stack->now_ns) {
        return false;
    }
    stack_timer_set(stack, timer, STACK_NEVER);
    return true;
}

static void stack_fixed_timers(struct stack *stack)
{
    if (stack_timer_take(stack, STACK_TIMER_ARP)) {
        arp_timer(stack);
    }
    if (stack_timer_take(stack, STACK_TIMER_NEIGHBOUR)) {
        neighbour_timer(stack);
    }
    if (stack_timer_take(stack, STACK_TIMER_IGMP)) {
        igmp_timer(stack);
    }
    if (stack_timer_take(stack, STACK_TIMER_REASSEMBLY)) {
        reassembly_timer(stack);
    }
}

void stack_timers(struct stack *stack)
{
    if (stack->now_ns >= stack->next_timer_ns) {
        stack_fixed_timers(stack);
    }
    tcp_run(stack);
}

uint64_t stack_next_timer_ns(const struct stack *stack)
{
    uint64_t tcp_ns = tcp_next_ns(stack);
    return tcp_ns < stack->next_timer_ns ? tcp_ns : stack->next_timer_ns;
}

/* ---- randomness and notices ---- */

uint64_t stack_random(struct stack *stack)
{
    /* splitmix64: a Weyl sequence through a mixing function */
    uint64_t z = stack->random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t stack_random_below(struct stack *stack, uint64_t limit)
{
    return (uint64_t)((unsigned __int128)stack_random(stack) * limit >> 64);
}

void stack_notify(struct stack *stack, enum stack_notice notice, uint32_t ip_be32,
                  const uint8_t mac[6])
{
    if (stack->upcalls.notice == NULL || stack->now_ns < stack->notice_due_ns[notice]) {
        return;
    }
    stack->notice_due_ns[notice] = stack->now_ns + STACK_NS_PER_S;
    stack->upcalls.notice(stack->upcalls.context, notice, ip_be32, mac);
}

/* ---- transmit queue ---- */

static uint32_t tx_queued(const struct stack *stack)
{
    return stack->tx_tail - stack->tx_head;
}

bool stack_tx_room(const struct stack *stack, uint32_t pkts)
{
    return tx_queued(stack) + pkts <= STACK_TX_HIGH_WATER_PKTS;
}

bool stack_tx_ready(const struct stack *stack)
{
    return stack_tx_room(stack, 1);
}

static void stack_tag(const struct stack *stack, struct pkt *pkt)
{
    pkt->flags |= stack->vlan_tx_flags;
    if (stack->vlan_by_tos &&
        ((const struct wire_ethernet *)pkt->data)->type_be16 == rs_be16(ETHERNET_TYPE_IPV4)) {
        uint32_t tos = ((const struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_BYTES))->tos;
        pkt->flags |= tos >> 5 << STACK_PRIORITY_SHIFT;
    }
}

void stack_transmit(struct stack *stack, struct pkt *pkt)
{
    if (tx_queued(stack) == STACK_TX_QUEUE_PKTS) {
        STACK_COUNT(stack, tx_queue_full);
        stack->nic->ops->tx_free(stack->nic, pkt);
        return;
    }
    if (pkt->len_bytes < ETHERNET_MIN_BYTES) {
        memset(pkt->data + pkt->len_bytes, 0, ETHERNET_MIN_BYTES - pkt->len_bytes);
        pkt->len_bytes = ETHERNET_MIN_BYTES;
    }
    if (__builtin_expect((pkt->flags & PKT_TX_STAMP) != 0, 0)) {
        stack->tx_stamps++;
    }
    if (__builtin_expect(stack->vlan_flags != 0, 0)) {
        stack_tag(stack, pkt);
    }
    stack->tx_pkts[stack->tx_tail++ & (STACK_TX_QUEUE_PKTS - 1)] = *pkt;
    STACK_COUNT(stack, waiting_tx);
}

bool stack_tx_missed(struct stack *stack)
{
    if (stack->tx_missed_ns == 0) {
        stack->tx_missed_ns = stack->now_ns;
    }
    return stack->now_ns - stack->tx_missed_ns >= STACK_TX_STUCK_NS;
}

static void stack_drop_queued(struct stack *stack)
{
    while (stack->tx_head != stack->tx_tail) {
        struct pkt *pkt = &stack->tx_pkts[stack->tx_head++ & (STACK_TX_QUEUE_PKTS - 1)];
        stack->tx_stamps -= (pkt->flags & PKT_TX_STAMP) != 0;
        stack->nic->ops->tx_free(stack->nic, pkt);
        counter_sub(&stack->counters, COUNTER_waiting_tx, 1);
        STACK_COUNT(stack, tx_stuck);
    }
}

void stack_set_capture(struct stack *stack, struct capture *capture)
{
    stack->capture = capture;
    if (capture != NULL) {
        capture->tx_seen = stack->tx_head;
    }
}

/* Before the NIC has them: afterwards they may be gone. What it did not take the last time is known
 * already. */
static void stack_capture_tx(struct stack *stack, uint32_t count)
{
    struct capture *capture = stack->capture;
    uint32_t end = stack->tx_head + count;
    if (rs_seq_before(capture->tx_seen, stack->tx_head)) {
        capture->tx_seen = stack->tx_head; /* some were dropped */
    }
    if (rs_seq_before(capture->tx_seen, end)) {
        capture_tx(capture, stack->now_ns,
                   &stack->tx_pkts[capture->tx_seen & (STACK_TX_QUEUE_PKTS - 1)],
                   end - capture->tx_seen);
        capture->tx_seen = end;
    }
}

/* Whoever asked when the NIC took these. */
static void stack_tell_stamps(struct stack *stack, const struct pkt *pkts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if ((pkts[i].flags & PKT_TX_STAMP) != 0) {
            stack->tx_stamps--;
            stack->upcalls.stamped(stack->upcalls.context, pkts[i].stamp);
        }
    }
}

void stack_flush(struct stack *stack)
{
    while (stack->tx_head != stack->tx_tail) {
        /* up to the end of the ring, then the rest from its start */
        uint32_t first = stack->tx_head & (STACK_TX_QUEUE_PKTS - 1);
        uint32_t count = tx_queued(stack);
        if (count > STACK_TX_QUEUE_PKTS - first) {
            count = STACK_TX_QUEUE_PKTS - first;
        }
        if (__builtin_expect(stack->capture != NULL, 0)) {
            stack_capture_tx(stack, count);
        }
        uint32_t taken = stack->nic->ops->tx_burst(stack->nic, &stack->tx_pkts[first], count);
        stack->tx_head += taken;
        if (__builtin_expect(stack->tx_stamps != 0, 0)) {
            stack_tell_stamps(stack, &stack->tx_pkts[first], taken);
        }
        counter_add(&stack->counters, COUNTER_tx_frames, taken);
        counter_sub(&stack->counters, COUNTER_waiting_tx, taken);
        if (taken > 0) {
            stack->tx_missed_ns = 0;
        }
        if (taken < count) {
            STACK_COUNT(stack, tx_busy);
            if (taken == 0 && stack_tx_missed(stack)) {
                stack_drop_queued(stack);
            }
            return;
        }
    }
}

struct stack_levels stack_levels(const struct stack *stack)
{
    return (struct stack_levels){.sockets = stack->udp.bound_count,
                                 .memberships = stack->members.used,
                                 .tcp_connections = tcp_connection_count(stack),
                                 .tcp_half_open = stack->tcp.request_count,
                                 .tcp_time_waits = stack->tcp.time_wait_count};
}
