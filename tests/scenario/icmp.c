/* Packet scripts: ICMP. The language is in script.h. */
#include <string.h>

#include "script.h"

static void a_ping_is_answered(void **state)
{
    (void)state;
    script_know(PEER);
    inject_echo(PEER, OWN, "ping");
    expect_out("icmp echo-reply 10.0.0.1 > 10.0.0.2 \"ping\" via 10.0.0.2");
    expect_count(icmp_echo_in, 1);
}

static void the_answer_to_a_stranger_asks_for_its_mac_first(void **state)
{
    (void)state;
    inject_echo(PEER, OWN, "ping");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_out("icmp echo-reply 10.0.0.1 > 10.0.0.2 \"ping\" via 10.0.0.2");
}

static void a_ping_from_far_is_answered_through_the_gateway(void **state)
{
    (void)state;
    script_know(ROUTER);
    struct frame ping = frame_echo(FAR, OWN, "far");
    mac_of(ping.data + 6, ROUTER);
    inject(&ping);
    expect_out("icmp echo-reply 10.0.0.1 > 192.168.7.7 \"far\" via 10.0.0.254");
}

static void a_ping_without_a_route_back_is_not_answered(void **state)
{
    (void)state;
    inject_echo(FAR, OWN, "far");
    expect_nothing();
    expect_count(reply_no_route, 1);
}

static void a_ping_with_options_is_answered_without_them(void **state)
{
    (void)state;
    script_know(PEER);
    struct frame ping = frame_echo(PEER, OWN, "options");
    frame_add_options(&ping, 12);
    inject(&ping);
    expect_out("icmp echo-reply 10.0.0.1 > 10.0.0.2 \"options\" via 10.0.0.2");
}

static void a_ping_to_everybody_is_not_answered(void **state)
{
    (void)state;
    inject_echo(PEER, "255.255.255.255", "smurf");
    inject_echo(PEER, "10.0.0.255", "smurf");
    inject_echo(PEER, "224.0.0.1", "smurf");
    expect_nothing();
    expect_count(icmp_echo_group, 3);
}

static void pings_beyond_the_rate_are_dropped(void **state)
{
    (void)state;
    script_know(PEER);
    for (int i = 0; i < 60; i++) {
        inject_echo(PEER, OWN, "flood");
    }
    for (int i = 0; i < 50; i++) {
        expect_out("icmp echo-reply 10.0.0.1 > 10.0.0.2 \"flood\" via 10.0.0.2");
    }
    expect_nothing();
    expect_count(icmp_echo_limited, 10);
    advance_ms(2); /* a thousand a second */
    for (int i = 0; i < 3; i++) {
        inject_echo(PEER, OWN, "later");
    }
    expect_out("icmp echo-reply 10.0.0.1 > 10.0.0.2 \"later\" via 10.0.0.2");
    expect_out("icmp echo-reply 10.0.0.1 > 10.0.0.2 \"later\" via 10.0.0.2");
    expect_nothing();
}

static void malformed_icmp_is_counted(void **state)
{
    (void)state;
    for (uint16_t len = 20; len < 28; len++) { /* no room for the header */
        struct frame ping = frame_echo(PEER, OWN, "");
        ping.data[16] = (uint8_t)(len >> 8);
        ping.data[17] = (uint8_t)len;
        frame_fix_ip(&ping);
        inject(&ping);
    }
    expect_count(icmp_malformed, 8);
    struct frame ping = frame_echo(PEER, OWN, "spoiled");
    ping.data[45] ^= 1;
    inject(&ping);
    expect_count(icmp_checksum, 1);
    expect_nothing();
}

static void other_kinds_of_icmp_are_ignored(void **state)
{
    (void)state;
    static const uint8_t types[] = {0, 4, 5, 9, 10, 12, 13, 15, 17, 255};
    for (unsigned i = 0; i < sizeof(types); i++) {
        struct frame message = frame_echo(PEER, OWN, "");
        message.data[34] = types[i];
        frame_fix_payload(&message);
        inject(&message);
    }
    expect_count(icmp_ignored, sizeof(types));
    expect_nothing();
}

static void port_unreachable_reaches_the_connected_socket(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock other = bound("any:7001");
    connect_to(s, PEER ":5000");
    inject_unreachable(PEER, 3, OWN ":7000", PEER ":5000");
    expect_error(s, RS_PORT_UNREACHABLE);
    expect_count(icmp_errors_in, 1);
    (void)other;
}

static void port_unreachable_reaches_the_unconnected_socket(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    inject_unreachable(PEER, 3, OWN ":7000", PEER ":5000");
    expect_error(s, RS_PORT_UNREACHABLE);
}

static void each_code_has_its_meaning(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        enum rs_status status;
    } codes[] = {{0, RS_NET_UNREACHABLE},  {1, RS_HOST_UNREACHABLE}, {2, RS_PORT_UNREACHABLE},
                 {3, RS_PORT_UNREACHABLE}, {4, RS_MESSAGE_SIZE},     {5, RS_HOST_UNREACHABLE},
                 {6, RS_NET_UNREACHABLE},  {9, RS_NET_UNREACHABLE},  {10, RS_HOST_UNREACHABLE},
                 {11, RS_NET_UNREACHABLE}, {13, RS_HOST_UNREACHABLE}};
    sock s = bound("any:7000");
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        inject_unreachable(PEER, codes[i].code, OWN ":7000", PEER ":5000");
        expect_error(s, codes[i].status);
    }
}

static void time_exceeded_reaches_the_socket(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame error = frame_icmp_error(ROUTER, 11, 0, OWN ":7000", FAR ":5000");
    inject(&error);
    expect_error(s, RS_NET_RESET);
}

static void an_error_about_nothing_we_sent_is_dropped(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    inject_unreachable(PEER, 3, OWN ":7001", PEER ":5000");   /* nobody has the port */
    inject_unreachable(PEER, 3, PEER2 ":7000", PEER ":5000"); /* another host's datagram */
    struct frame error = frame_icmp_error(PEER, 3, 3, OWN ":7000", PEER ":5000");
    error.data[34 + 8 + 9] = 6; /* TCP quoted */
    frame_fix_payload(&error);
    inject(&error);
    expect_count(icmp_no_socket, 3);
    (void)s;
}

static void an_error_with_a_short_quote_is_dropped(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t quote = 0; quote < 28; quote++) {
        struct frame error = frame_icmp_error(PEER, 3, 3, OWN ":7000", PEER ":5000");
        error.data[17] = (uint8_t)(20 + 8 + quote);
        error.len_bytes = 14 + 20 + 8 + quote;
        frame_fix_ip(&error);
        frame_fix_payload(&error);
        inject(&error);
    }
    expect_count(icmp_no_socket, 28);
    (void)s;
}

static void a_datagram_to_a_closed_port_is_answered(void **state)
{
    (void)state;
    script_know(PEER);
    inject_udp(PEER ":5000", OWN ":9", "hello?");
    expect_unreachable(3, PEER, "udp 10.0.0.2:5000 > 10.0.0.1:9");
    expect_count(udp_no_socket, 1);
}

static void a_long_datagram_is_quoted_up_to_576_bytes(void **state)
{
    (void)state;
    script_know(PEER);
    char text[1001];
    memset(text, 'q', 1000);
    text[1000] = '\0';
    inject_udp(PEER ":5000", OWN ":9", text);
    uint8_t frame[FRAME_MAX_BYTES];
    assert_int_equal(nic_memory_pop(script_nic(), frame, sizeof(frame), NULL), 14 + 576);
}

static void a_broadcast_to_a_closed_port_is_not_answered(void **state)
{
    (void)state;
    inject_udp(PEER ":5000", "255.255.255.255:9", "anybody?");
    inject_udp(PEER ":5000", "10.0.0.255:9", "anybody?");
    inject_udp(PEER ":5000", "224.0.0.1:9", "anybody?");
    expect_nothing();
    expect_count(udp_no_socket, 2);
    expect_count(udp_no_member, 1);
}

static void errors_beyond_the_rate_are_not_sent(void **state)
{
    (void)state;
    script_know(PEER);
    for (int i = 0; i < 60; i++) {
        inject_udp(PEER ":5000", OWN ":9", "scan");
    }
    for (int i = 0; i < 50; i++) {
        expect_unreachable(3, PEER, "udp 10.0.0.2:5000 > 10.0.0.1:9");
    }
    expect_nothing();
    expect_count(icmp_errors_limited, 10);
    expect_count(udp_no_socket, 60);
}

static void an_unknown_protocol_is_answered(void **state)
{
    (void)state;
    script_know(PEER);
    struct frame frame = frame_udp(PEER ":5000", OWN ":80", "segment");
    frame.data[23] = 132; /* SCTP */
    frame_fix_ip(&frame);
    inject(&frame);
    expect_unreachable(2, PEER, "protocol 132");
    expect_count(ip_protocol, 1);
}

static void without_a_transmit_buffer_nothing_is_answered(void **state)
{
    (void)state;
    script_know(PEER);
    nic_memory_limit_alloc(script_nic(), 0);
    inject_echo(PEER, OWN, "ping");
    inject_arp_request(PEER, OWN);
    inject_udp(PEER ":5000", OWN ":9", "x");
    expect_nothing();
    expect_count(tx_no_buffer, 3);
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT(a_ping_is_answered),
        SCRIPT(the_answer_to_a_stranger_asks_for_its_mac_first),
        SCRIPT_WITH(a_ping_from_far_is_answered_through_the_gateway, gateway),
        SCRIPT(a_ping_without_a_route_back_is_not_answered),
        SCRIPT(a_ping_with_options_is_answered_without_them),
        SCRIPT(a_ping_to_everybody_is_not_answered),
        SCRIPT(pings_beyond_the_rate_are_dropped),
        SCRIPT(malformed_icmp_is_counted),
        SCRIPT(other_kinds_of_icmp_are_ignored),
        SCRIPT(port_unreachable_reaches_the_connected_socket),
        SCRIPT(port_unreachable_reaches_the_unconnected_socket),
        SCRIPT(each_code_has_its_meaning),
        SCRIPT(time_exceeded_reaches_the_socket),
        SCRIPT(an_error_about_nothing_we_sent_is_dropped),
        SCRIPT(an_error_with_a_short_quote_is_dropped),
        SCRIPT(a_datagram_to_a_closed_port_is_answered),
        SCRIPT(a_long_datagram_is_quoted_up_to_576_bytes),
        SCRIPT(a_broadcast_to_a_closed_port_is_not_answered),
        SCRIPT(errors_beyond_the_rate_are_not_sent),
        SCRIPT(an_unknown_protocol_is_answered),
        SCRIPT(without_a_transmit_buffer_nothing_is_answered),
    };
    return cmocka_run_group_tests_name("icmp", scripts, NULL, NULL);
}
