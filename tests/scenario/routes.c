/* Packet scripts: routes and gateway. The language is in script.h. */
#include "script.h"

static void a_host_on_the_link_is_asked_for_itself(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
}

static void what_is_far_goes_through_the_gateway(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, FAR ":5000", "x");
    expect_arp_request(ROUTER);
    inject_arp_reply(ROUTER, OWN);
    expect_udp(OWN ":7000", FAR ":5000", "x", ROUTER);
    send_to(s, "8.8.8.8:53", "y"); /* the same neighbour */
    expect_udp(OWN ":7000", "8.8.8.8:53", "y", ROUTER);
}

static void the_longest_prefix_wins(void **state)
{
    (void)state;
    script_know("10.0.0.252");
    script_know("10.0.0.253");
    sock s = bound("any:7000");
    send_to(s, "172.16.5.1:5000", "24 bits");
    expect_udp(OWN ":7000", "172.16.5.1:5000", "24 bits", "10.0.0.252");
    send_to(s, "172.16.6.1:5000", "12 bits");
    expect_udp(OWN ":7000", "172.16.6.1:5000", "12 bits", "10.0.0.253");
    send_to(s, "172.31.255.1:5000", "12 bits");
    expect_udp(OWN ":7000", "172.31.255.1:5000", "12 bits", "10.0.0.253");
}

static void a_route_without_gateway_is_on_the_link(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, "192.0.2.9:5000", "x");
    expect_arp_request("192.0.2.9");
    inject_arp_reply("192.0.2.9", OWN);
    expect_udp(OWN ":7000", "192.0.2.9:5000", "x", "192.0.2.9");
}

static void without_a_gateway_far_is_unreachable(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_fails(s, FAR ":5000", "x", RS_NET_UNREACHABLE);
    expect_count(send_no_route, 1);
    expect_nothing();
}

static void addresses_nobody_can_have_are_unreachable(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_fails(s, "0.1.2.3:5000", "x", RS_NET_UNREACHABLE);
    send_fails(s, "240.0.0.1:5000", "x", RS_NET_UNREACHABLE);
    expect_count(send_no_route, 2);
}

static void a_dead_gateway_is_an_error_to_the_sender(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, FAR ":5000", "x");
    expect_arp_request(ROUTER);
    advance_ms(1000);
    expect_arp_request(ROUTER);
    advance_ms(1000);
    expect_arp_request(ROUTER);
    advance_ms(1000);
    expect_error(s, RS_HOST_UNREACHABLE);
    expect_notice(STACK_NOTICE_NEIGHBOUR_DEAD, ROUTER);
    send_fails(s, "8.8.8.8:53", "y", RS_HOST_UNREACHABLE);
}

static void multicast_needs_no_gateway(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, "224.1.2.3:5000", "x");
    expect_out("udp 10.0.0.1:7000 > 224.1.2.3:5000 \"x\" ttl 1 via group");
}

static void a_request_from_off_the_link_is_answered_but_not_remembered(void **state)
{
    (void)state;
    inject_arp_request(FAR, OWN);
    expect_arp_reply(FAR);
    sock s = bound("any:7000");
    send_to(s, FAR ":5000", "x");
    expect_arp_request(ROUTER);
    inject_arp_reply(ROUTER, OWN);
    expect_udp(OWN ":7000", FAR ":5000", "x", ROUTER);
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT_WITH(a_host_on_the_link_is_asked_for_itself, gateway),
        SCRIPT_WITH(what_is_far_goes_through_the_gateway, gateway),
        SCRIPT_WITH(the_longest_prefix_wins, gateway),
        SCRIPT_WITH(a_route_without_gateway_is_on_the_link, gateway),
        SCRIPT(without_a_gateway_far_is_unreachable),
        SCRIPT_WITH(addresses_nobody_can_have_are_unreachable, gateway),
        SCRIPT_WITH(a_dead_gateway_is_an_error_to_the_sender, gateway),
        SCRIPT_WITH(multicast_needs_no_gateway, gateway),
        SCRIPT_WITH(a_request_from_off_the_link_is_answered_but_not_remembered, gateway),
    };
    return cmocka_run_group_tests_name("routes", scripts, NULL, NULL);
}
