/*
 * Set-up and teardown of the script language, see script.h.
 */
#include "script_internal.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/nic_loopback.h"

void script_read_counters(struct script_queue *queue)
{
    memset(&queue->start, 0, sizeof(queue->start));
    counters_accumulate(&queue->start, stack_counters(queue->stack));
}

static void drain_frames(void)
{
    for (struct out_frame *out; (out = script_take_frame()) != NULL;) {
        free(out);
    }
}

void script_set_now(uint64_t now_ns)
{
    script.now_ns = now_ns;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        stack_set_now(script.queues[i].stack, now_ns, now_ns);
    }
}

static void make_nic(const struct script_options *options)
{
    if (options->loopback) {
        assert_int_equal(nic_loopback_create(&script.queue->nic), RS_OK);
        return;
    }
    struct nic_memory_config config = {
        .mtu_bytes = options->mtu_bytes != 0 ? options->mtu_bytes : 1500,
        .caps = options->caps,
        .buffers = 2048,
        .big_buffers = (options->caps & NIC_CAP_TX_TSO) != 0 ? 64 : 0,
        .queue_frames = 1024,
        .steering = STEER_NIC,
        .vlan = options->vlan_id != 0};
    mac_of(config.mac, OWN);
    if (options->queues) {
        struct nic *nics[QUEUES];
        assert_int_equal(nic_memory_create_queues(&config, QUEUES, nics), RS_OK);
        for (uint32_t i = 0; i < QUEUES; i++) {
            script.queues[i].nic = nics[i];
        }
    } else {
        assert_int_equal(nic_memory_create(&config, &script.queue->nic), RS_OK);
    }
    script.memory = true;
}

static void make_stack(struct script_queue *queue, struct stack_config *config)
{
    const struct stack_upcalls upcalls = {.context = queue,
                                          .deliver = script_udp_deliver,
                                          .error = script_udp_error,
                                          .multicast_changed = script_multicast_changed,
                                          .notice = script_notice,
                                          .hand_over = script_hand_over,
                                          .tcp_event = script_tcp_event,
                                          .tcp_accept = script_tcp_accept,
                                          .stamped = script_udp_stamped};
    config->follower = queue != script.queues;
    config->random_seed = 1 + (uint64_t)(queue - script.queues);
    assert_int_equal(stack_create(config, queue->nic, &upcalls, script.now_ns, &queue->stack),
                     RS_OK);
}

/* The peers' MACs never get old, so that no ARP comes between segments. */
static void set_tcp(struct stack_config *config, const struct tcp_config *tcp)
{
    static const char *const hosts[] = {PEER, PEER2, ROUTER};
    config->tcp = *tcp;
    for (uint32_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct stack_static_neighbour *known = &config->neighbours[config->neighbour_count++];
        known->ip_be32 = ip_of(hosts[i]);
        mac_of(known->mac, hosts[i]);
    }
}

/* Several addresses, a gateway and routes through two of them. */
static void set_addresses(struct stack_config *config)
{
    config->more[0] = (struct stack_address){ip_of(OWN_B), 24};
    config->more[1] = (struct stack_address){ip_of(OWN_C), 24};
    config->more_count = 2;
    config->gateway_be32 = ip_of(ROUTER);
    config->routes[0] = (struct stack_route){ip_of("172.16.0.0"), 12, ip_of(ROUTER_C), 0};
    config->routes[1] = (struct stack_route){ip_of("172.20.0.0"), 16, ip_of(ROUTER), ip_of(OWN_B)};
    config->route_count = 2;
}

static void set_gateway(struct stack_config *config)
{
    config->gateway_be32 = ip_of(ROUTER);
    config->routes[0] = (struct stack_route){ip_of("172.16.0.0"), 12, ip_of("10.0.0.253"), 0};
    config->routes[1] = (struct stack_route){ip_of("172.16.5.0"), 24, ip_of("10.0.0.252"), 0};
    config->routes[2] = (struct stack_route){ip_of("192.0.2.0"), 24, 0, 0};
    config->route_count = 3;
}

static struct stack_config make_config(const struct script_options *options)
{
    struct stack_config config = {
        .ip_be32 = options->loopback ? 0 : ip_of(OWN),
        .prefix_len = 24,
        .neighbours_max = options->small ? 2 : 8,
        .sockets_max = SOCKETS_MAX,
        .memberships_max = options->small ? 2 : 16,
        .reassemblies_max = 8,
        .vlan_id = options->vlan_id,
        .vlan_priority = options->vlan_priority,
        .arp_reachable_ns = 30000 * MS,
        .arp_retry_ns = 1000 * MS,
        .arp_tries = 3,
        .igmp_version = options->igmp_version != 0 ? options->igmp_version : 3,
    };
    if (options->two_nics) {
        config.local_be32[0] = ip_of("10.1.0.9");
        config.local_be32[1] = ip_of(OTHER_NIC);
        config.local_count = 2;
    }
    if (options->addresses) {
        set_addresses(&config);
    }
    if (options->gateway) {
        set_gateway(&config);
    }
    if (options->small) {
        config.neighbours[0].ip_be32 = ip_of("10.0.0.9");
        mac_of(config.neighbours[0].mac, "10.0.0.9");
        config.neighbour_count = 1;
    }
    if (options->tcp != NULL) {
        set_tcp(&config, options->tcp);
    }
    return config;
}

int script_setup_with(const struct script_options *options)
{
    memset(&script, 0, sizeof(script));
    script.file = "set-up";
    script.out_last = &script.out_first;
    script.queue = script.queues;
    script.queue_count = options->queues ? QUEUES : 1;
    script.handed_room = UINT32_MAX;
    make_nic(options);
    struct stack_config config = make_config(options);
    script.now_ns = 1000000 * MS + options->later_ns;
    for (uint32_t i = 0; i < script.queue_count; i++) {
        make_stack(&script.queues[i], &config);
    }
    if (!options->fresh) {
        script_advance_ms(20000);
        drain_frames();
    }
    for (uint32_t i = 0; i < script.queue_count; i++) {
        script_read_counters(&script.queues[i]);
    }
    script.start_ns = script.now_ns;
    script.trace_count = 0;
    if (options->tcp != NULL) {
        script.tcp = true;
        script_tcp_setup();
    }
    return 0;
}

int script_setup(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){0});
}

int script_setup_gateway(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.gateway = true});
}

int script_setup_small(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.small = true});
}

int script_setup_igmp2(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.igmp_version = 2});
}

int script_setup_loopback(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.loopback = true});
}

int script_setup_fresh(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.fresh = true});
}

int script_setup_offload(void **state)
{
    (void)state;
    return script_setup_with(
        &(struct script_options){.caps = NIC_CAP_TX_IP_CSUM | NIC_CAP_TX_UDP_CSUM});
}

int script_setup_queues(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.queues = true});
}

int script_setup_queues_fresh(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.queues = true, .fresh = true});
}

int script_setup_small_link(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.mtu_bytes = 576});
}

int script_setup_vlan(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.vlan_id = 7, .vlan_priority = 5});
}

int script_setup_vlan_by_tos(void **state)
{
    (void)state;
    return script_setup_with(
        &(struct script_options){.vlan_id = 7, .vlan_priority = STACK_VLAN_BY_TOS});
}

int script_setup_vlan_fresh(void **state)
{
    (void)state;
    return script_setup_with(
        &(struct script_options){.vlan_id = 7, .vlan_priority = 5, .fresh = true});
}

int script_setup_vlan_queues(void **state)
{
    (void)state;
    return script_setup_with(
        &(struct script_options){.vlan_id = 7, .vlan_priority = 5, .queues = true});
}

int script_setup_addresses(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.addresses = true});
}

int script_setup_addresses_fresh(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.addresses = true, .fresh = true});
}

int script_setup_two_nics(void **state)
{
    (void)state;
    return script_setup_with(&(struct script_options){.two_nics = true});
}

int script_teardown(void **state)
{
    (void)state;
    script.file = "teardown";
    script.line = 0;
    if (!script.failed) {
        script_expect_nothing();
        script_check_books();
    }
    script_udp_teardown();
    if (script.tcp) {
        script_tcp_teardown();
    }
    drain_frames();
    for (uint32_t i = 0; i < script.queue_count; i++) {
        struct script_queue *queue = &script.queues[i];
        stack_flush(queue->stack);
        stack_destroy(queue->stack);
        if (!script.failed && script.memory && nic_memory_held(queue->nic) != 0) {
            script_fail("queue %u: %u transmit buffers are lost", i, nic_memory_held(queue->nic));
        }
    }
    for (uint32_t i = 0; i < script.queue_count; i++) {
        script.queues[i].nic->ops->close(script.queues[i].nic);
    }
    return 0;
}
