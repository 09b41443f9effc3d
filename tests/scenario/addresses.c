/*
 * Packet scripts: a NIC with several addresses. 10.0.0.1/24 is the primary one, 10.0.0.11 lies in
 * its network, 192.0.2.1/24 in another one. The language is in tcp_script.h.
 */
#include "tcp_script.h"

#include "dataplane/steer.h"

#include <stdio.h>
#include <string.h>

#define PEER_C "192.0.2.7"
#define QUEUES 3

/* ---- ARP ---- */

static void every_address_is_probed_and_announced(void **state)
{
    (void)state;
    static const char *const steps[] = {"probe", "probe", "probe", "announce", "announce"};
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char line[64];
        advance_ms(2000);
        (void)snprintf(line, sizeof(line), "arp %s %s > all", steps[i], OWN);
        expect_out(line);
        (void)snprintf(line, sizeof(line), "arp %s %s > all", steps[i], OWN_B);
        expect_out(line);
        (void)snprintf(line, sizeof(line), "arp %s %s > all", steps[i], OWN_C);
        expect_out(line);
    }
    advance_ms(60000);
    expect_nothing();
}

static void each_address_answers_for_itself(void **state)
{
    (void)state;
    inject_arp_request(PEER, OWN_B);
    expect_out("arp " OWN_B " is-at " OWN " > " PEER);
    inject_arp_request(PEER_C, OWN_C);
    expect_out("arp " OWN_C " is-at " OWN " > " PEER_C);
    inject_arp_request(PEER, OWN);
    expect_arp_reply(PEER);
    inject_arp_request(PEER, "10.0.0.12");
    expect_nothing();
    expect_count(arp_requests_in, 3);
}

/* RFC 5227 2.4 (c), for each of them on its own. */
static void each_address_is_defended(void **state)
{
    (void)state;
    struct frame frame = frame_arp(1, OWN_C, PEER_C);
    mac_of(frame.data + 6, PEER_C);
    mac_of(frame.data + 14 + 8, PEER_C);
    inject(&frame);
    expect_out("arp announce " OWN_C " > all");
    expect_notice(STACK_NOTICE_ADDRESS_CONFLICT, OWN_C);
    inject(&frame);
    expect_nothing(); /* once in ten seconds */
    frame = frame_arp(1, OWN_B, PEER);
    mac_of(frame.data + 6, PEER);
    mac_of(frame.data + 14 + 8, PEER);
    inject(&frame);
    expect_out("arp announce " OWN_B " > all");
    expect_count(arp_conflicts_in, 3);
}

static void a_probe_of_another_host_is_a_conflict_while_we_probe(void **state)
{
    (void)state;
    inject_arp_request("any", OWN_C);
    expect_out("arp announce " OWN_C " > all");
    expect_count(arp_conflicts_in, 1);
}

/* A host takes no question from an address outside of its network. */
static void a_neighbour_is_asked_from_its_own_network(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER_C ":5000", "x");
    expect_out("arp who-has " PEER_C " tell " OWN_C " > all");
    inject_arp_reply(PEER_C, OWN_C);
    expect_udp(OWN_C ":7000", PEER_C ":5000", "x", PEER_C);
    sock b = bound(OWN_B ":7001");
    send_to(b, ROUTER ":5000", "y");
    expect_arp_request(ROUTER);
    inject_arp_reply(ROUTER, OWN);
    expect_udp(OWN_B ":7001", ROUTER ":5000", "y", ROUTER);
}

/* ---- ICMP ---- */

static void a_ping_is_answered_from_the_address_that_was_asked(void **state)
{
    (void)state;
    script_know(PEER);
    inject_echo(PEER, OWN_B, "ping");
    expect_out("icmp echo-reply " OWN_B " > " PEER " \"ping\" via " PEER);
    inject_arp_request(PEER_C, OWN_C);
    expect_out("arp " OWN_C " is-at " OWN " > " PEER_C);
    inject_echo(PEER_C, OWN_C, "ping");
    expect_out("icmp echo-reply " OWN_C " > " PEER_C " \"ping\" via " PEER_C);
}

static void an_error_comes_from_the_address_that_was_asked(void **state)
{
    (void)state;
    script_know(PEER);
    inject_udp(PEER ":5000", OWN_C ":9", "nobody");
    expect_out("icmp unreachable 3 " OWN_C " > " PEER " [udp " PEER ":5000 > " OWN_C
               ":9] via " PEER);
}

static void an_error_about_any_of_them_finds_the_socket(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock c = bound(OWN_C ":7001");
    inject_unreachable(PEER, 3, OWN_B ":7000", PEER ":5000");
    expect_error(s, RS_PORT_UNREACHABLE);
    inject_unreachable(PEER, 3, OWN_C ":7001", PEER_C ":5000");
    expect_error(c, RS_PORT_UNREACHABLE);
    inject_unreachable(PEER, 3, "192.0.2.2:7000", PEER ":5000");
    expect_count(icmp_no_socket, 1);
}

/* ---- datagrams in ---- */

static void a_socket_hears_the_address_it_is_bound_to(void **state)
{
    (void)state;
    sock any = bound("any:7000");
    sock b = bound(OWN_B ":7000");
    inject_udp(PEER ":5000", OWN ":7000", "primary");
    inject_udp(PEER ":5000", OWN_B ":7000", "second");
    inject_udp(PEER_C ":5000", OWN_C ":7000", "third");
    expect_received(any, PEER ":5000", "primary");
    expect_received(b, PEER ":5000", "second");
    expect_received(any, PEER_C ":5000", "third");
    struct frame frame = frame_udp(PEER ":5000", "10.0.0.12:7000", "astray");
    mac_of(frame.data, OWN);
    inject(&frame);
    expect_count(ip_not_for_us, 1);
}

static void our_addresses_as_a_source_are_refused(void **state)
{
    (void)state;
    sock any = bound("any:7000");
    struct frame frame = frame_udp(OWN_C ":5000", OWN_C ":7000", "spoofed");
    mac_of(frame.data + 6, PEER);
    inject(&frame);
    expect_notice(STACK_NOTICE_SPOOFED_SOURCE, OWN_C);
    frame = frame_udp(OWN_B ":5000", OWN ":7000", "spoofed");
    mac_of(frame.data + 6, PEER);
    inject(&frame);
    expect_no_datagram(any);
    expect_count(ip_source_own, 2);
}

/* A network's broadcast is for who is in it. */
static void each_network_has_its_broadcast(void **state)
{
    (void)state;
    sock any = bound("any:7000");
    sock a = bound(OWN ":7000");
    sock c = bound(OWN_C ":7000");
    struct frame frame = frame_udp(PEER_C ":5000", "192.0.2.255:7000", "for C");
    memset(frame.data, 0xff, 6);
    inject(&frame);
    expect_received(any, PEER_C ":5000", "for C");
    expect_received(c, PEER_C ":5000", "for C");
    expect_no_datagram(a);
    frame = frame_udp(PEER ":5000", "255.255.255.255:7000", "all");
    memset(frame.data, 0xff, 6);
    inject(&frame);
    expect_received(any, PEER ":5000", "all");
    expect_received(a, PEER ":5000", "all");
    expect_received(c, PEER ":5000", "all");
    inject_udp("192.0.2.255:5000", OWN ":7000", "from a broadcast address");
    expect_count(ip_source_martian, 1);
}

/* ---- datagrams out: the source ---- */

static void the_next_hop_chooses_the_source(void **state)
{
    (void)state;
    script_know(PEER);
    script_know(ROUTER);
    inject_arp_request(PEER_C, OWN_C);
    expect_out("arp " OWN_C " is-at " OWN " > " PEER_C);
    inject_arp_request(ROUTER_C, OWN_C);
    expect_out("arp " OWN_C " is-at " OWN " > " ROUTER_C);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "a");
    expect_udp(OWN ":7000", PEER ":5000", "a", PEER); /* of two in its network the first */
    send_to(s, PEER_C ":5000", "b");
    expect_udp(OWN_C ":7000", PEER_C ":5000", "b", PEER_C);
    send_to(s, "172.16.1.1:5000", "c");
    expect_udp(OWN_C ":7000", "172.16.1.1:5000", "c", ROUTER_C);
    send_to(s, "172.20.1.1:5000", "d"); /* [route N] source */
    expect_udp(OWN_B ":7000", "172.20.1.1:5000", "d", ROUTER);
    send_to(s, FAR ":5000", "e");
    expect_udp(OWN ":7000", FAR ":5000", "e", ROUTER);
}

static void connect_chooses_in_the_same_way(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    connect_to(s, PEER_C ":5000");
    assert_int_equal(udp_of(s)->local_be32, ip_of(OWN_C));
    connect_to(s, "172.20.1.1:5000");
    assert_int_equal(udp_of(s)->local_be32, ip_of(OWN_B));
    connect_to(s, OWN_B ":5000");
    assert_int_equal(udp_of(s)->local_be32, ip_of(OWN_B));
    disconnect(s);
    assert_int_equal(udp_of(s)->local_be32, 0);
}

static void a_bound_socket_keeps_its_address(void **state)
{
    (void)state;
    script_know(PEER);
    sock c = bound(OWN_C ":7000");
    send_to(c, PEER ":5000", "from C");
    expect_udp(OWN_C ":7000", PEER ":5000", "from C", PEER);
    sock s = bound("any:7001");
    send_with(s, PEER ":5000", "as asked", RS_OK, .src_be32 = ip_of(OWN_B));
    expect_udp(OWN_B ":7001", PEER ":5000", "as asked", PEER);
    send_with(s, PEER ":5000", "no", RS_ADDR_NOT_AVAILABLE, .src_be32 = ip_of("10.0.0.12"));
    sock d = unbound();
    bind_to(d, "10.0.0.12:7002", RS_ADDR_NOT_AVAILABLE);
}

static void a_local_datagram_comes_from_where_it_went(void **state)
{
    (void)state;
    sock any = bound("any:5000");
    sock only_b = bound(OWN_B ":6000");
    sock s = bound("any:7000");
    send_to(s, OWN_C ":5000", "question");
    expect_received(any, OWN_C ":7000", "question");
    send_to(s, OWN_B ":6000", "other");
    expect_received(only_b, OWN_B ":7000", "other");
    send_to(only_b, OWN_C ":7000", "answer");
    expect_received(s, OWN_B ":6000", "answer");
    expect_nothing();
}

static void a_broadcast_leaves_from_its_network(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    udp_of(s)->broadcast = true;
    send_to(s, "192.0.2.255:5000", "C");
    expect_udp(OWN_C ":7000", "192.0.2.255:5000", "C", "all");
    send_to(s, "255.255.255.255:5000", "all");
    expect_udp(OWN ":7000", "255.255.255.255:5000", "all", "all");
}

/* ---- groups ---- */

static void a_group_is_joined_by_any_of_them_and_told_by_the_primary(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock c = bound(OWN_C ":7000");
    struct rs_op_member op = {
        .action = RS_MEMBER_JOIN, .group_be32 = ip_of(GROUP), .interface_be32 = ip_of(OWN_C)};
    assert_int_equal(udp_socket_member(script_stack(), udp_of(s), &op), RS_OK);
    assert_int_equal(udp_socket_member(script_stack(), udp_of(c), &op), RS_OK);
    advance_ms(0);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    op.interface_be32 = ip_of("10.0.0.12");
    op.group_be32 = ip_of(GROUP2);
    assert_int_equal(udp_socket_member(script_stack(), udp_of(s), &op), RS_ADDR_NOT_AVAILABLE);
    struct frame frame = frame_udp(PEER ":5000", GROUP ":7000", "tick");
    inject(&frame);
    expect_received(s, PEER ":5000", "tick");
    expect_received(c, PEER ":5000", "tick");
    send_to(s, GROUP2 ":5000", "out");
    expect_out("udp " OWN ":7000 > " GROUP2 ":5000 \"out\" ttl 1 via group");
    close_socket(s);
    close_socket(c);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
}

/* ---- TCP ---- */

static void meet(const char *host, const char *own)
{
    char line[64];
    on_queue(0);
    inject_arp_request(host, own);
    (void)snprintf(line, sizeof(line), "arp %s is-at %s > %s", own, OWN, host);
    expect_out(line);
}

/* To which queue the NIC gives this frame. */
static uint32_t queue_of(const struct frame *frame)
{
    return steer_frame(script_nic()->steering, frame->data, frame->len_bytes);
}

static void a_connection_begins_at_the_next_hops_address(void **state)
{
    (void)state;
    meet(PEER_C, OWN_C);
    for (uint32_t queue_idx = 0; queue_idx < QUEUES; queue_idx++) {
        for (uint32_t i = 0; i < 8; i++) {
            char peer[32];
            on_queue(queue_idx);
            (void)snprintf(peer, sizeof(peer), PEER_C ":%u", 5000 + i);
            conn c = connecting(peer, .local = "any:0");
            expect_tcp("S 0");
            assert_int_equal(conn_info(c).local_be32, ip_of(OWN_C));
            struct frame answer = frame_tcp("SA 0 ack 1 <mss 1460>");
            assert_int_equal(queue_of(&answer), queue_idx);
            inject(&answer);
            expect_tcp("A 1 ack 1");
            expect_connected(c);
        }
    }
}

static void a_bound_connection_keeps_its_address(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .local = OWN_C ":0");
    expect_tcp("S 0");
    assert_int_equal(conn_info(c).local_be32, ip_of(OWN_C));
    connecting_fails(RS_ADDR_NOT_AVAILABLE, PEER ":5000", .local = "10.0.0.12:0");
    abort_conn(c);
    expect_gone(c);
}

static void a_listener_on_any_accepts_on_all_of_them(void **state)
{
    (void)state;
    static const char *const own[] = {OWN ":7000", OWN_B ":7000", OWN_C ":7000"};
    server s[QUEUES];
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        s[i] = listening("any:7000", .part_of = i > 0 ? s[0] : NULL);
    }
    for (uint32_t i = 0; i < 3; i++) {
        on_flow(own[i], PEER ":5000");
        struct frame syn = frame_tcp("S 0 win 65535 <mss 1460>");
        on_queue(queue_of(&syn));
        inject(&syn);
        expect_tcp("SA 0 ack 1");
        inject_tcp("A 1 ack 1");
        conn c = accepted(s[queue_of(&syn)]);
        assert_int_equal(conn_info(c).local_be32, ip_of(own[i]));
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        close_server(s[i]);
    }
}

static void a_listener_on_one_of_them_has_that_one(void **state)
{
    (void)state;
    server s = listening(OWN_B ":7000");
    on_flow(OWN_C ":7000", PEER ":5000");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_tcp("RA 0 ack 1 win 0 <>");
    on_flow(OWN_B ":7000", PEER ":5000");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
    close_server(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_WITH(every_address_is_probed_and_announced, addresses_fresh),
        SCRIPT_WITH(each_address_answers_for_itself, addresses),
        SCRIPT_WITH(each_address_is_defended, addresses),
        SCRIPT_WITH(a_probe_of_another_host_is_a_conflict_while_we_probe, addresses_fresh),
        SCRIPT_WITH(a_neighbour_is_asked_from_its_own_network, addresses),
        SCRIPT_WITH(a_ping_is_answered_from_the_address_that_was_asked, addresses),
        SCRIPT_WITH(an_error_comes_from_the_address_that_was_asked, addresses),
        SCRIPT_WITH(an_error_about_any_of_them_finds_the_socket, addresses),
        SCRIPT_WITH(a_socket_hears_the_address_it_is_bound_to, addresses),
        SCRIPT_WITH(our_addresses_as_a_source_are_refused, addresses),
        SCRIPT_WITH(each_network_has_its_broadcast, addresses),
        SCRIPT_WITH(the_next_hop_chooses_the_source, addresses),
        SCRIPT_WITH(connect_chooses_in_the_same_way, addresses),
        SCRIPT_WITH(a_bound_socket_keeps_its_address, addresses),
        SCRIPT_WITH(a_local_datagram_comes_from_where_it_went, addresses),
        SCRIPT_WITH(a_broadcast_leaves_from_its_network, addresses),
        SCRIPT_WITH(a_group_is_joined_by_any_of_them_and_told_by_the_primary, addresses),
        TCP_SCRIPT_WITH(a_connection_begins_at_the_next_hops_address, addresses),
        TCP_SCRIPT_WITH(a_bound_connection_keeps_its_address, addresses),
        TCP_SCRIPT_WITH(a_listener_on_any_accepts_on_all_of_them, addresses),
        TCP_SCRIPT_WITH(a_listener_on_one_of_them_has_that_one, addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
