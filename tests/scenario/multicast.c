/* Packet scripts: multicast and broadcast to programs. The language is in script.h. */
#include <stdio.h>

#include "script.h"

static void only_members_hear_a_group(void **state)
{
    (void)state;
    sock member = bound("any:7000");
    sock other = bound("any:7000");
    join(member, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    inject_udp(PEER ":5000", GROUP ":7000", "tick");
    expect_received(member, PEER ":5000", "tick");
    expect_no_datagram(other);
    inject_udp(PEER ":5000", GROUP ":7001", "other port");
    inject_udp(PEER ":5000", GROUP2 ":7000", "other group");
    expect_count(udp_no_member, 2);
}

static void every_subscriber_gets_every_datagram(void **state)
{
    (void)state;
    sock s[8];
    for (int i = 0; i < 8; i++) {
        s[i] = bound(i % 2 == 0 ? "any:7000" : OWN ":7000");
        join(s[i], GROUP);
    }
    expect_igmp("v3 TO_EX 239.1.1.1 {}"); /* once for all */
    inject_udp(PEER ":5000", GROUP ":7000", "one");
    inject_udp(PEER ":5000", GROUP ":7000", "two");
    for (int i = 0; i < 8; i++) {
        expect_received(s[i], PEER ":5000", "one");
        expect_received(s[i], PEER ":5000", "two");
    }
    expect_count(rx_delivered, 2);
    expect_count(deliveries, 16);
}

static void a_full_subscriber_does_not_hurt_the_others(void **state)
{
    (void)state;
    sock slow = bound("any:7000");
    sock fast = bound("any:7000");
    join(slow, GROUP);
    join(fast, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    room_for(slow, 0);
    inject_udp(PEER ":5000", GROUP ":7000", "tick");
    expect_received(fast, PEER ":5000", "tick");
    expect_count(recv_ring_full, 1);
    expect_count(rx_delivered, 1);
    room_for(fast, 0);
    inject_udp(PEER ":5000", GROUP ":7000", "tock");
    expect_count(recv_ring_full, 3);
    expect_count(udp_receivers_full, 1);
}

static void a_membership_made_before_bind_counts(void **state)
{
    (void)state;
    sock s = unbound();
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    bind_to(s, "any:7000", RS_OK);
    inject_udp(PEER ":5000", GROUP ":7000", "tick");
    expect_received(s, PEER ":5000", "tick");
}

static void named_sources_only(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join_source(s, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    inject_udp(PEER ":5000", GROUP ":7000", "wanted");
    inject_udp(PEER2 ":5000", GROUP ":7000", "unwanted");
    expect_received(s, PEER ":5000", "wanted");
    expect_count(udp_no_member, 1);
}

static void a_blocked_source_is_not_heard(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    block_source(s, GROUP, PEER2);
    expect_igmp("v3 TO_EX 239.1.1.1 {10.0.0.3}");
    inject_udp(PEER ":5000", GROUP ":7000", "heard");
    inject_udp(PEER2 ":5000", GROUP ":7000", "blocked");
    expect_received(s, PEER ":5000", "heard");
    expect_no_datagram(s);
    unblock_source(s, GROUP, PEER2);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.3}");
    inject_udp(PEER2 ":5000", GROUP ":7000", "again");
    expect_received(s, PEER2 ":5000", "again");
}

static void each_socket_has_its_own_filter(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:7000");
    join_source(a, GROUP, PEER);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2}");
    join_source(b, GROUP, PEER2);
    expect_igmp("v3 ALLOW 239.1.1.1 {10.0.0.2 10.0.0.3}");
    inject_udp(PEER ":5000", GROUP ":7000", "for a");
    inject_udp(PEER2 ":5000", GROUP ":7000", "for b");
    expect_received(a, PEER ":5000", "for a");
    expect_received(b, PEER2 ":5000", "for b");
}

static void after_leaving_nothing_is_heard(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    leave(s, GROUP);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    inject_udp(PEER ":5000", GROUP ":7000", "late");
    expect_count(udp_no_member, 1);
}

static void closing_the_socket_leaves_its_groups(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join_source(s, GROUP2, PEER);
    expect_igmp("v3 ALLOW 239.1.1.2 {10.0.0.2}");
    close_socket(s);
    expect_igmp("v3 BLOCK 239.1.1.2 {10.0.0.2}");
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    inject_udp(PEER ":5000", GROUP ":7000", "late");
    expect_count(udp_no_member, 1);
}

static void wrong_memberships_are_refused(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    member_fails(s, RS_MEMBER_JOIN, PEER, NULL, RS_INVALID);
    member_fails(s, RS_MEMBER_LEAVE, GROUP, NULL, RS_INVALID);
    member_fails(s, RS_MEMBER_LEAVE_SOURCE, GROUP, PEER, RS_ADDR_NOT_AVAILABLE);
    member_fails(s, RS_MEMBER_BLOCK_SOURCE, GROUP, PEER, RS_INVALID);
    member_fails(s, RS_MEMBER_JOIN_SOURCE, GROUP, NULL, RS_INVALID);
    member_fails(s, RS_MEMBER_JOIN_SOURCE, GROUP, GROUP2, RS_INVALID);
    member_fails(s, 99, GROUP, PEER, RS_INVALID);
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    member_fails(s, RS_MEMBER_JOIN, GROUP, NULL, RS_ADDR_NOT_AVAILABLE);
    member_fails(s, RS_MEMBER_JOIN_SOURCE, GROUP, PEER, RS_ADDR_NOT_AVAILABLE);
    member_fails(s, RS_MEMBER_UNBLOCK_SOURCE, GROUP, PEER, RS_INVALID);
    member_fails(s, 99, GROUP, PEER, RS_INVALID);
    struct rs_op_member op = {RS_MEMBER_JOIN, 0x020101ef, 0, 0x0200000a};
    assert_int_equal(udp_socket_member(script_stack(), udp_of(s), &op), RS_ADDR_NOT_AVAILABLE);
}

static void memberships_are_limited(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join(s, GROUP2);
    expect_igmp("v3 TO_EX 239.1.1.2 {}");
    member_fails(s, RS_MEMBER_JOIN, "239.1.1.3", NULL, RS_NO_BUFFERS);
    leave(s, GROUP);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    join(s, "239.1.1.3");
    expect_igmp("v3 TO_EX 239.1.1.3 {}");
}

static void sources_of_a_membership_are_limited(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    char source[32];
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    for (int i = 0; i < 64; i++) {
        (void)snprintf(source, sizeof(source), "10.0.1.%d", i + 1);
        join_source(s, GROUP, source);
    }
    member_fails(s, RS_MEMBER_JOIN_SOURCE, GROUP, "10.0.2.1", RS_NO_BUFFERS);
    uint8_t frame[FRAME_MAX_BYTES];
    while (nic_memory_pop(script_nic(), frame, sizeof(frame), NULL) != 0) {
    }
    inject_udp("10.0.1.64:5000", GROUP ":7000", "last");
    expect_received(s, "10.0.1.64:5000", "last");
}

static void a_socket_bound_to_a_group_hears_that_group(void **state)
{
    (void)state;
    sock s = bound(GROUP ":7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join(s, GROUP2);
    expect_igmp("v3 TO_EX 239.1.1.2 {}");
    inject_udp(PEER ":5000", GROUP ":7000", "mine");
    inject_udp(PEER ":5000", GROUP2 ":7000", "not mine");
    expect_received(s, PEER ":5000", "mine");
    expect_no_datagram(s);
    inject_udp(PEER ":5000", "255.255.255.255:7000", "nor this");
    expect_count(udp_no_socket, 1);
    send_to(s, GROUP2 ":6000", "from a real address");
    expect_out("udp 10.0.0.1:7000 > 239.1.1.2:6000 \"from a real address\" ttl 1 via group");
}

static void own_multicast_comes_back_and_goes_out(void **state)
{
    (void)state;
    sock sender = bound("any:7001");
    sock member = bound("any:7000");
    join(member, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    send_to(sender, GROUP ":7000", "tick");
    expect_received(member, OWN ":7001", "tick");
    expect_out("udp 10.0.0.1:7001 > 239.1.1.1:7000 \"tick\" ttl 1 via group");
    expect_count(local_delivered, 0); /* it ended on the wire */
}

static void loop_off_is_the_receivers_choice(void **state)
{
    (void)state;
    sock sender = bound("any:7001");
    sock hears = bound("any:7000");
    sock deaf = bound("any:7000");
    join(hears, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join(deaf, GROUP);
    udp_of(deaf)->multicast_loop = false;
    udp_of(sender)->multicast_loop = false;
    send_to(sender, GROUP ":7000", "tick");
    expect_out("udp 10.0.0.1:7001 > 239.1.1.1:7000 \"tick\" ttl 1 via group");
    expect_received(hears, OWN ":7001", "tick");
    expect_no_datagram(deaf);
    inject_udp(PEER ":5000", GROUP ":7000", "from the wire");
    expect_received(deaf, PEER ":5000", "from the wire");
    expect_received(hears, PEER ":5000", "from the wire");
}

static void multicast_ttl_zero_stays_here(void **state)
{
    (void)state;
    sock sender = bound("any:7001");
    sock member = bound("any:7000");
    join(member, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    udp_of(sender)->multicast_ttl = 0;
    send_to(sender, GROUP ":7000", "tick");
    expect_received(member, OWN ":7001", "tick");
    expect_nothing();
    expect_count(local_delivered, 1);
}

static void a_connected_member_hears_its_peer_only(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    connect_to(s, PEER ":5000");
    inject_udp(PEER ":5000", GROUP ":7000", "peer");
    inject_udp(PEER2 ":5000", GROUP ":7000", "stranger");
    expect_received(s, PEER ":5000", "peer");
    expect_no_datagram(s);
}

static void a_loopback_stack_multicasts_among_its_programs(void **state)
{
    (void)state;
    sock sender = bound("any:7001");
    sock a = bound("any:7000");
    sock b = bound("127.0.0.1:7000");
    join(a, GROUP);
    join(b, GROUP);
    send_to(sender, GROUP ":7000", "tick");
    expect_received(a, "127.0.0.1:7001", "tick");
    expect_received(b, "127.0.0.1:7001", "tick");
    expect_count(local_delivered, 1);
    expect_count(deliveries, 2);
    send_to(sender, GROUP2 ":7000", "nobody");
    expect_count(local_no_socket, 1);
    room_for(a, 0);
    room_for(b, 0);
    send_to(sender, GROUP ":7000", "full");
    expect_count(local_receivers_full, 1);
}

static void a_broadcast_reaches_every_socket_of_its_port(void **state)
{
    (void)state;
    sock any = bound("any:7000");
    sock own = bound(OWN ":7000");
    sock loop = bound("127.0.0.1:7000");
    sock other = bound("any:7001");
    inject_udp(PEER ":5000", "255.255.255.255:7000", "limited");
    inject_udp(PEER ":5000", "10.0.0.255:7000", "directed");
    expect_received(any, PEER ":5000", "limited");
    expect_received(any, PEER ":5000", "directed");
    expect_received(own, PEER ":5000", "limited");
    expect_received(own, PEER ":5000", "directed");
    expect_no_datagram(loop);
    expect_no_datagram(other);
    expect_count(rx_delivered, 2);
}

static void broadcasting_needs_permission(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_fails(s, "255.255.255.255:7001", "x", RS_ACCESS);
    send_fails(s, "10.0.0.255:7001", "x", RS_ACCESS);
    expect_count(send_broadcast_denied, 2);
    udp_of(s)->broadcast = true;
    sock here = bound("any:7001");
    send_to(s, "255.255.255.255:7001", "x");
    expect_udp(OWN ":7000", "255.255.255.255:7001", "x", "all");
    expect_received(here, OWN ":7000", "x");
    send_to(s, "10.0.0.255:7001", "y");
    expect_udp(OWN ":7000", "10.0.0.255:7001", "y", "all");
    expect_received(here, OWN ":7000", "y");
}

static void a_loopback_stack_broadcasts_among_its_programs(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock here = bound("127.0.0.1:7001");
    udp_of(s)->broadcast = true;
    send_to(s, "255.255.255.255:7001", "x");
    expect_received(here, "127.0.0.1:7000", "x");
    expect_count(local_delivered, 1);
}

static void the_nic_is_told_each_mac_once(void **state)
{
    (void)state;
    uint8_t macs[8][6];
    uint32_t changes = script_multicast_changes();
    sock s = bound("any:7000");
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 8), 1); /* 224.0.0.1 */
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join(s, "238.129.1.1"); /* the same 23 bits */
    expect_igmp("v3 TO_EX 238.129.1.1 {}");
    join(s, "224.0.0.1"); /* never reported */
    expect_nothing();
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 8), 2);
    static const uint8_t mac[6] = {0x01, 0x00, 0x5e, 0x01, 0x01, 0x01};
    assert_memory_equal(macs[1], mac, 6);
    leave(s, GROUP);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 8), 2);
    leave(s, "238.129.1.1");
    expect_igmp("v3 TO_IN 238.129.1.1 {}");
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 8), 1);
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 0), 0);
    assert_int_equal(script_multicast_changes() - changes, 5);
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT(only_members_hear_a_group),
        SCRIPT(every_subscriber_gets_every_datagram),
        SCRIPT(a_full_subscriber_does_not_hurt_the_others),
        SCRIPT(a_membership_made_before_bind_counts),
        SCRIPT(named_sources_only),
        SCRIPT(a_blocked_source_is_not_heard),
        SCRIPT(each_socket_has_its_own_filter),
        SCRIPT(after_leaving_nothing_is_heard),
        SCRIPT(closing_the_socket_leaves_its_groups),
        SCRIPT(wrong_memberships_are_refused),
        SCRIPT_WITH(memberships_are_limited, small),
        SCRIPT(sources_of_a_membership_are_limited),
        SCRIPT(a_socket_bound_to_a_group_hears_that_group),
        SCRIPT(own_multicast_comes_back_and_goes_out),
        SCRIPT(loop_off_is_the_receivers_choice),
        SCRIPT(multicast_ttl_zero_stays_here),
        SCRIPT(a_connected_member_hears_its_peer_only),
        SCRIPT_WITH(a_loopback_stack_multicasts_among_its_programs, loopback),
        SCRIPT(a_broadcast_reaches_every_socket_of_its_port),
        SCRIPT(broadcasting_needs_permission),
        SCRIPT_WITH(a_loopback_stack_broadcasts_among_its_programs, loopback),
        SCRIPT(the_nic_is_told_each_mac_once),
    };
    return cmocka_run_group_tests_name("multicast", scripts, NULL, NULL);
}
