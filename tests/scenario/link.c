/* Packet scripts: the link goes down and comes up. The language is in tcp_script.h. */
#include "dataplane/stack.h"
#include "tcp_script.h"

#define FROM PEER ":5000"

static void without_a_link_sends_are_refused(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    stack_set_link(script_stack(), false);
    send_fails(s, FROM, "x", RS_NET_DOWN);
    expect_count(send_link_down, 1);
    expect_nothing();
}

static void without_a_link_local_programs_go_on(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:8000");
    join(b, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    stack_set_link(script_stack(), false);
    send_to(a, OWN ":8000", "here");
    expect_received(b, OWN ":7000", "here");
    send_to(a, GROUP ":8000", "group");
    expect_received(b, OWN ":7000", "group");
    expect_nothing();
    close_socket(b);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
}

/* The cable may lead elsewhere now. */
static void a_new_link_asks_and_announces_anew(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    stack_set_link(script_stack(), false);
    stack_set_link(script_stack(), true);
    send_to(s, FROM, "anybody?");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", FROM, "anybody?", PEER);
    advance_ms(20000);
    for (uint32_t i = 0; i < 3; i++) {
        expect_arp_probe();
    }
    expect_arp_announcement();
    expect_arp_announcement();
}

static void a_dead_neighbour_is_asked_again_at_once(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, FROM, "x");
    for (uint32_t i = 0; i < 3; i++) {
        expect_arp_request(PEER);
        advance_ms(1000);
    }
    expect_error(s, RS_HOST_UNREACHABLE);
    expect_notice(STACK_NOTICE_NEIGHBOUR_DEAD, PEER);
    send_fails(s, FROM, "x", RS_HOST_UNREACHABLE);
    stack_set_link(script_stack(), false);
    stack_set_link(script_stack(), true);
    send_to(s, FROM, "again");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", FROM, "again", PEER);
}

static void a_configured_neighbour_stays(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    stack_set_link(script_stack(), false);
    stack_set_link(script_stack(), true);
    send_to(s, "10.0.0.9:5000", "x");
    expect_udp(OWN ":7000", "10.0.0.9:5000", "x", "10.0.0.9");
}

/* Another switch or router may be at the end of the new link (RFC 3376 5.1: as a join, robustness
 * times). */
static void a_new_link_hears_of_the_memberships(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(1001);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    join_source(s, GROUP2, PEER);
    expect_igmp("v3 ALLOW 239.1.1.2 {10.0.0.2}");
    advance_ms(1001);
    expect_igmp("v3 ALLOW 239.1.1.2 {10.0.0.2}");
    stack_set_link(script_stack(), false);
    advance_ms(5000);
    expect_nothing();
    stack_set_link(script_stack(), true);
    expect_nothing();
    advance_ms(1000); /* each at a random time; the order is the seed's */
    expect_arp_probe();
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    expect_igmp("v3 TO_IN 239.1.1.2 {10.0.0.2}");
    expect_igmp("v3 TO_IN 239.1.1.2 {10.0.0.2}");
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    advance_ms(20000);
    expect_arp_probe();
    expect_arp_probe();
    expect_arp_announcement();
    expect_arp_announcement();
}

static void a_new_link_hears_of_them_in_version_2(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v2 report 239.1.1.1");
    advance_ms(10001);
    expect_igmp("v2 report 239.1.1.1");
    stack_set_link(script_stack(), false);
    stack_set_link(script_stack(), true);
    advance_ms(1000);
    expect_igmp("v2 report 239.1.1.1");
    expect_arp_probe();
    leave(s, GROUP);
    expect_igmp("v2 leave 239.1.1.1");
    advance_ms(20000);
    expect_arp_probe();
    expect_arp_probe();
    expect_arp_announcement();
    expect_arp_announcement();
}

/* A NIC without a link has no routes. */
static void nobody_connects_without_a_link(void **state)
{
    (void)state;
    stack_set_link(script_stack(), false);
    connecting_fails(RS_NET_UNREACHABLE, PEER ":5001", .local = "any:0");
    connecting_fails(RS_NET_UNREACHABLE, PEER ":5001", .local = OWN ":7001");
    expect_count(tcp_connect_link_down, 2);
    expect_nothing();
    stack_set_link(script_stack(), true);
    conn again = connecting(PEER ":5001", .local = OWN ":7001");
    expect_tcp("S 0");
    abort_conn(again);
    expect_gone(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT(without_a_link_sends_are_refused),
        SCRIPT(without_a_link_local_programs_go_on),
        SCRIPT(a_new_link_asks_and_announces_anew),
        SCRIPT(a_new_link_hears_of_the_memberships),
        SCRIPT_WITH(a_new_link_hears_of_them_in_version_2, igmp2),
        TCP_SCRIPT(nobody_connects_without_a_link),
        SCRIPT(a_dead_neighbour_is_asked_again_at_once),
        SCRIPT_WITH(a_configured_neighbour_stays, small),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
