/* Packet scripts: several queues of one NIC. Queue 0 leads. The language is in script.h. */
#include "script.h"

static void the_leader_alone_announces_the_address(void **state)
{
    (void)state;
    advance_ms(60000);
    expect_arp_probe();
    expect_arp_probe();
    expect_arp_probe();
    expect_arp_announcement();
    expect_arp_announcement();
    expect_nothing();
    expect_count(arp_made, 5);
    on_queue(1);
    expect_count(arp_made, 0);
}

static void an_arp_frame_on_a_follower_is_the_leaders(void **state)
{
    (void)state;
    on_queue(1);
    inject_arp_request(PEER, OWN);
    expect_arp_reply(PEER);
    expect_count(rx_frames, 1);
    expect_count(handed_out, 1);
    expect_count(arp_made, 0);
    on_queue(0);
    expect_count(rx_frames, 0);
    expect_count(handed_in, 1);
    expect_count(arp_requests_in, 1);
    expect_count(handed_out, 0); /* copies are not counted on the giver */
}

static void who_asked_us_is_known_to_every_queue(void **state)
{
    (void)state;
    on_queue(2);
    inject_arp_request(PEER, OWN);
    expect_arp_reply(PEER);
    for (uint32_t i = 0; i < 3; i++) {
        on_queue(i);
        sock s = bound("any:7000");
        send_to(s, PEER ":5000", "known");
        expect_udp(OWN ":7000", PEER ":5000", "known", PEER);
    }
    on_queue(1);
    expect_count(handed_in, 1);
    expect_count(arp_learned_in, 1);
    expect_count(arp_requests_in, 0);
}

static void a_queue_asks_for_the_neighbours_it_needs(void **state)
{
    (void)state;
    on_queue(1);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_arp_request(PEER);
    expect_count(arp_made, 1);
    on_queue(0);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
    expect_count(arp_passed_on, 1);
    on_queue(1);
    expect_count(arp_learned_in, 1);
    on_queue(2);
    expect_count(handed_in, 1);
    expect_count(arp_copies_in, 1);
}

static void a_reply_may_come_to_any_queue(void **state)
{
    (void)state;
    on_queue(1);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_arp_request(PEER);
    on_queue(2);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
    /* to the queue that asked, too: it learns from the leader's copy, not from the frame */
    send_to(s, PEER2 ":5000", "y");
    expect_arp_request(PEER2);
    on_queue(1);
    inject_arp_reply(PEER2, OWN);
    expect_udp(OWN ":7000", PEER2 ":5000", "y", PEER2);
    expect_count(handed_out, 1);
    expect_count(handed_in, 2);
    expect_count(arp_learned_in, 2);
}

static void a_new_mac_reaches_queues_that_know_the_old_one(void **state)
{
    (void)state;
    on_queue(1);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
    on_queue(0); /* which does not talk to PEER */
    struct frame moved = frame_arp(1, PEER, PEER);
    mac_of(moved.data + 6, PEER2);
    mac_of(moved.data + 22, PEER2);
    inject(&moved);
    expect_count(arp_not_for_us, 1);
    send_to(s, PEER ":5000", "y");
    expect_udp(OWN ":7000", PEER ":5000", "y", PEER2);
}

static void only_valid_arp_is_copied(void **state)
{
    (void)state;
    struct frame bad = frame_arp(1, PEER, OWN);
    bad.data[14] = 9; /* hardware type */
    inject(&bad);
    expect_count(arp_malformed, 1);
    inject_arp_request("0.0.0.0", PEER); /* a probe tells nobody's MAC */
    expect_count(arp_not_for_us, 1);
    on_queue(1);
    expect_count(handed_in, 0);
    inject(&bad); /* handed over unread */
    expect_count(handed_out, 1);
    expect_count(arp_malformed, 0);
    on_queue(0);
    expect_count(arp_malformed, 2);
}

static void the_leader_alone_defends_the_address(void **state)
{
    (void)state;
    struct frame claim = frame_arp(1, OWN, OWN);
    mac_of(claim.data + 6, PEER2);
    mac_of(claim.data + 22, PEER2);
    on_queue(1);
    inject(&claim);
    expect_arp_announcement();
    expect_notice(STACK_NOTICE_ADDRESS_CONFLICT, OWN);
    expect_nothing();
    on_queue(0);
    expect_count(arp_conflicts_in, 1);
    on_queue(2);
    expect_count(handed_in, 0);
    inject_handed(&claim); /* would be nothing to learn either */
    expect_count(arp_copies_in, 1);
    expect_nothing();
}

static void a_handed_arp_request_is_not_answered_twice(void **state)
{
    (void)state;
    struct frame request = frame_arp(1, PEER, OWN);
    on_queue(1);
    inject_handed(&request);
    expect_nothing();
    expect_count(handed_in, 1);
    expect_count(handed_out, 0);
    expect_count(arp_learned_in, 1);
    on_queue(0);
    expect_count(handed_in, 0);
}

static void a_leader_too_slow_loses_the_frame_not_the_books(void **state)
{
    (void)state;
    hand_over_room(0);
    on_queue(1);
    inject_arp_request(PEER, OWN);
    expect_nothing();
    expect_count(hand_over_full, 1);
    expect_count(handed_out, 0);
    struct counters_sums sums;
    assert_true(counters_balance(stack_counters(script_stack()), &sums));
    assert_int_equal(sums.lost, 1);
}

static void a_follower_too_slow_misses_a_copy(void **state)
{
    (void)state;
    hand_over_room(1);
    inject_arp_request(PEER, OWN);
    expect_arp_reply(PEER);
    expect_count(arp_copies_lost, 1);
    expect_count(arp_requests_in, 1);
    on_queue(1);
    expect_count(handed_in, 1);
    on_queue(2);
    expect_count(handed_in, 0);
}

static void each_queue_delivers_but_the_leader_alone_reports(void **state)
{
    (void)state;
    on_queue(1);
    sock follower = bound("any:7000");
    join(follower, GROUP);
    advance_ms(60000);
    expect_nothing();
    expect_count(igmp_made, 0);
    inject_udp(PEER ":5000", GROUP ":7000", "tick");
    expect_received(follower, PEER ":5000", "tick");
    on_queue(0);
    sock leader = bound("any:7000");
    join(leader, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(1000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    inject_udp(PEER ":5000", GROUP ":7000", "tock");
    expect_received(leader, PEER ":5000", "tock");
    expect_no_datagram(follower);
    on_queue(1);
    leave(follower, GROUP);
    expect_nothing();
}

static void the_leader_alone_sets_the_mac_filter(void **state)
{
    (void)state;
    uint8_t macs[4][6];
    assert_int_equal(script_multicast_changes(), 1); /* for the group of queries */
    on_queue(1);
    sock follower = bound("any:7000");
    join(follower, GROUP);
    assert_int_equal(script_multicast_changes(), 0);
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 4), 0);
    on_queue(0);
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 4), 1);
    sock leader = bound("any:7000");
    join(leader, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    assert_int_equal(script_multicast_changes(), 2);
    assert_int_equal(stack_multicast_macs(script_stack(), macs, 4), 2);
}

static void a_query_on_a_follower_is_answered_by_the_leader(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        on_queue(i);
        join(bound("any:7000"), GROUP);
    }
    on_queue(0);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(1000);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    on_queue(1);
    inject_query_v3("0.0.0.0", 100, "");
    expect_count(handed_out, 1);
    expect_count(igmp_queries_in, 0);
    advance_ms(10000);
    expect_igmp("v3 IS_EX 239.1.1.1 {}");
    expect_nothing();
    on_queue(0);
    expect_count(igmp_queries_in, 1);
}

static void a_frame_is_handed_over_once(void **state)
{
    (void)state;
    struct frame query = frame_igmp_v3_query(ROUTER, "0.0.0.0", 100, "");
    on_queue(1);
    inject_handed(&query);
    expect_count(handed_astray, 1);
    expect_count(handed_out, 0);
    on_queue(0);
    expect_count(handed_in, 0);
}

static void a_handed_datagram_is_delivered_as_any_other(void **state)
{
    (void)state;
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "tick");
    on_queue(2);
    sock s = bound("any:7000");
    inject_handed(&frame);
    expect_received(s, PEER ":5000", "tick");
    expect_count(rx_frames, 0);
    expect_count(handed_in, 1);
    expect_count(rx_delivered, 1);
    frame.data[40] ^= 1;
    inject_handed(&frame);
    expect_count(udp_checksum, 1);
}

static void what_a_queue_steers_elsewhere_is_counted(void **state)
{
    (void)state;
    struct counters_sums sums;
    stack_handed_out(script_stack(), true);
    stack_handed_out(script_stack(), false);
    expect_count(rx_frames, 2);
    expect_count(handed_out, 1);
    expect_count(hand_over_full, 1);
    assert_true(counters_balance(stack_counters(script_stack()), &sums));
}

static void a_ping_is_answered_where_it_arrives(void **state)
{
    (void)state;
    on_queue(1);
    inject_echo(PEER, OWN, "ping");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_out("icmp echo-reply " OWN " > " PEER " \"ping\" via " PEER);
    expect_count(icmp_echo_in, 1);
    on_queue(0);
    expect_count(icmp_echo_in, 0);
}

static void an_icmp_error_goes_to_the_socket_where_it_arrives(void **state)
{
    (void)state;
    on_queue(1);
    sock follower = bound("any:7000");
    on_queue(0);
    sock leader = bound("any:7000");
    on_queue(1);
    inject_unreachable(PEER, 3, OWN ":7000", PEER ":9");
    expect_error(follower, RS_PORT_UNREACHABLE);
    on_queue(0);
    expect_count(icmp_errors_in, 0);
    inject_unreachable(PEER, 3, OWN ":7000", PEER ":9");
    expect_error(leader, RS_PORT_UNREACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_WITH(the_leader_alone_announces_the_address, queues_fresh),
        SCRIPT_WITH(an_arp_frame_on_a_follower_is_the_leaders, queues),
        SCRIPT_WITH(who_asked_us_is_known_to_every_queue, queues),
        SCRIPT_WITH(a_queue_asks_for_the_neighbours_it_needs, queues),
        SCRIPT_WITH(a_reply_may_come_to_any_queue, queues),
        SCRIPT_WITH(a_new_mac_reaches_queues_that_know_the_old_one, queues),
        SCRIPT_WITH(only_valid_arp_is_copied, queues),
        SCRIPT_WITH(the_leader_alone_defends_the_address, queues),
        SCRIPT_WITH(a_handed_arp_request_is_not_answered_twice, queues),
        SCRIPT_WITH(a_leader_too_slow_loses_the_frame_not_the_books, queues),
        SCRIPT_WITH(a_follower_too_slow_misses_a_copy, queues),
        SCRIPT_WITH(each_queue_delivers_but_the_leader_alone_reports, queues),
        SCRIPT_WITH(the_leader_alone_sets_the_mac_filter, queues),
        SCRIPT_WITH(a_query_on_a_follower_is_answered_by_the_leader, queues),
        SCRIPT_WITH(a_frame_is_handed_over_once, queues),
        SCRIPT_WITH(a_handed_datagram_is_delivered_as_any_other, queues),
        SCRIPT_WITH(what_a_queue_steers_elsewhere_is_counted, queues),
        SCRIPT_WITH(a_ping_is_answered_where_it_arrives, queues),
        SCRIPT_WITH(an_icmp_error_goes_to_the_socket_where_it_arrives, queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
