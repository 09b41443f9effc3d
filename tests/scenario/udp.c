/* Packet scripts: UDP between programs and with the wire. The language is in script.h. */
#include <string.h>

#include "dataplane/wire/udp.h"
#include "script.h"

static void a_datagram_reaches_the_socket(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    inject_udp(PEER ":5000", OWN ":7000", "hello");
    expect_received(s, PEER ":5000", "hello");
    expect_count(rx_delivered, 1);
}

static void an_empty_datagram_is_a_datagram(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    inject_udp(PEER ":5000", OWN ":7000", "");
    expect_received(s, PEER ":5000", "");
    send_to(s, PEER ":5000", "");
    expect_udp(OWN ":7000", PEER ":5000", "", PEER);
}

static void padding_behind_the_packet_is_not_payload(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "hi");
    memset(frame.data + frame.len_bytes, 'P', 60 - frame.len_bytes);
    frame.len_bytes = 60;
    inject(&frame);
    expect_received(s, PEER ":5000", "hi");
}

static void a_udp_length_below_the_packet_cuts_the_payload(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "hello");
    frame.data[38] = 0;
    frame.data[39] = 8 + 2;
    frame.data[40] = frame.data[41] = 0; /* no checksum */
    inject(&frame);
    expect_received(s, PEER ":5000", "he");
}

static void connected_before_address_before_any(void **state)
{
    (void)state;
    sock any = bound("any:7000");
    sock own = bound(OWN ":7000");
    sock peer = bound("any:7000");
    connect_to(peer, PEER ":5000");
    inject_udp(PEER ":5000", OWN ":7000", "from the peer");
    expect_received(peer, PEER ":5000", "from the peer");
    inject_udp(PEER ":5001", OWN ":7000", "other port");
    expect_received(own, PEER ":5001", "other port");
    close_socket(own);
    inject_udp(PEER ":5001", OWN ":7000", "any");
    expect_received(any, PEER ":5001", "any");
}

static void a_connected_socket_hears_its_peer_only(void **state)
{
    (void)state;
    script_know(PEER2);
    sock s = bound("any:7000");
    connect_to(s, PEER ":5000");
    inject_udp(PEER2 ":5000", OWN ":7000", "stranger");
    expect_unreachable(3, PEER2, "udp 10.0.0.3:5000 > 10.0.0.1:7000");
    disconnect(s);
    inject_udp(PEER2 ":5000", OWN ":7000", "stranger");
    expect_received(s, PEER2 ":5000", "stranger");
}

static void a_connected_socket_sends_to_its_peer(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_fails(s, NULL, "nowhere", RS_DEST_REQUIRED);
    connect_to(s, PEER ":5000");
    send_to(s, NULL, "to the peer");
    expect_udp(OWN ":7000", PEER ":5000", "to the peer", PEER);
    expect_count(send_no_destination, 1);
}

static void connect_fixes_the_local_address_by_the_route(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    connect_to(s, PEER ":5000");
    assert_int_equal(udp_of(s)->local_be32, 0x0100000a);
    connect_to(s, "127.0.0.1:5000");
    assert_int_equal(udp_of(s)->local_be32, 0x0100007f);
    disconnect(s);
    assert_int_equal(udp_of(s)->local_be32, 0);
}

static void connect_is_refused_where_nothing_can_be_sent(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    connect_fails(s, FAR ":5000", RS_NET_UNREACHABLE);
    connect_fails(s, "240.0.0.1:5000", RS_NET_UNREACHABLE);
    connect_fails(s, PEER ":0", RS_ADDR_NOT_AVAILABLE);
    connect_fails(s, "10.0.0.255:5000", RS_ACCESS);
    sock loop = bound("127.0.0.1:7001");
    connect_fails(loop, PEER ":5000", RS_ADDR_NOT_AVAILABLE);
    sock unnamed = unbound();
    connect_fails(unnamed, PEER ":5000", RS_INVALID);
}

static void bind_takes_own_addresses_only(void **state)
{
    (void)state;
    sock s = unbound();
    bind_to(s, PEER ":7000", RS_ADDR_NOT_AVAILABLE);
    bind_to(s, "255.255.255.255:7000", RS_ADDR_NOT_AVAILABLE);
    bind_to(s, OWN ":0", RS_INVALID);
    bind_to(s, OWN ":7000", RS_OK);
    bind_to(s, OWN ":7001", RS_INVALID); /* once */
}

static void local_programs_need_no_wire(void **state)
{
    (void)state;
    sock a = bound("127.0.0.1:7000");
    sock b = bound("any:8000");
    send_to(a, "127.0.0.1:8000", "there");
    expect_received(b, "127.0.0.1:7000", "there");
    send_to(b, "127.0.0.1:7000", "back");
    expect_received(a, "127.0.0.1:8000", "back");
    expect_nothing();
    expect_count(local_delivered, 2);
}

static void the_own_address_never_leaves_the_host(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound(OWN ":8000");
    send_to(a, OWN ":8000", "there");
    expect_received(b, OWN ":7000", "there");
    send_to(b, OWN ":7000", "back");
    expect_received(a, OWN ":8000", "back");
    expect_nothing();
}

static void all_of_127_is_this_host(void **state)
{
    (void)state;
    sock a = bound("127.8.9.10:7000");
    sock b = bound("any:8000");
    send_to(b, "127.8.9.10:7000", "x");
    expect_received(a, "127.0.0.1:8000", "x");
    sock c = bound("127.0.0.2:7000");
    send_to(b, "127.0.0.2:7000", "y");
    expect_received(c, "127.0.0.1:8000", "y");
}

static void a_local_send_to_a_closed_port_is_an_error(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, "127.0.0.1:9", "x");
    expect_error(s, RS_PORT_UNREACHABLE);
    expect_count(local_no_socket, 1);
}

static void a_full_receiver_is_a_counted_drop(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:8000");
    room_for(b, 2);
    send_to(a, "127.0.0.1:8000", "1");
    send_to(a, "127.0.0.1:8000", "2");
    send_to(a, "127.0.0.1:8000", "3");
    inject_udp(PEER ":5000", OWN ":8000", "4");
    expect_received(b, "127.0.0.1:7000", "1");
    expect_received(b, "127.0.0.1:7000", "2");
    expect_no_datagram(b);
    expect_count(recv_ring_full, 2);
    expect_count(local_receivers_full, 1);
    expect_count(udp_receivers_full, 1);
    room_for(b, 1);
    inject_udp(PEER ":5000", OWN ":8000", "5");
    expect_received(b, PEER ":5000", "5");
}

static void a_datagram_without_checksum_is_taken(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "unchecked");
    frame.data[40] = frame.data[41] = 0;
    inject(&frame);
    expect_received(s, PEER ":5000", "unchecked");
    expect_count(udp_no_checksum, 1);
}

/* Searches the payload whose sum is zero, which must be sent as 0xffff. */
static void a_checksum_of_zero_is_sent_as_ffff(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    uint8_t frame[FRAME_MAX_BYTES];
    uint8_t text[2] = {'a', 'a'};
    send_to(s, PEER ":5000", "xx");
    (void)nic_memory_pop(script_nic(), frame, sizeof(frame), NULL);
    uint32_t sum = (uint16_t) ~((frame[40] << 8) | frame[41]);
    uint32_t word = 0xffffu - sum + (uint32_t)(('x' << 8) | 'x'); /* makes the sum 0xffff */
    word = (word & 0xffff) + (word >> 16);
    text[0] = (uint8_t)(word >> 8);
    text[1] = (uint8_t)word;
    assert_int_equal(udp_send(script_stack(), udp_of(s), 0x0200000a, 0x8813, text, 2, NULL), RS_OK);
    stack_flush(script_stack());
    (void)nic_memory_pop(script_nic(), frame, sizeof(frame), NULL);
    assert_int_equal(frame[40], 0xff);
    assert_int_equal(frame[41], 0xff);
}

static void a_nic_that_checks_is_believed(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "offload");
    frame.data[40] ^= 1;
    frame.data[24] ^= 1;
    frame.flags = PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD;
    inject(&frame);
    expect_received(s, PEER ":5000", "offload");
    frame = frame_udp(PEER ":5000", OWN ":7000", "bad");
    frame.flags = PKT_RX_L4_CSUM_BAD;
    inject(&frame);
    frame.flags = PKT_RX_IP_CSUM_BAD;
    inject(&frame);
    expect_count(udp_checksum, 1);
    expect_count(ip_checksum, 1);
}

static void a_nic_that_fills_in_checksums_gets_the_pseudo_sum(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "offload");
    uint8_t frame[FRAME_MAX_BYTES];
    uint32_t flags;
    (void)nic_memory_pop(script_nic(), frame, sizeof(frame), &flags);
    assert_int_equal(flags, PKT_TX_IP_CSUM | PKT_TX_UDP_CSUM);
    assert_int_equal(frame[24] | frame[25], 0);
    uint16_t pseudo = checksum_fold(checksum_pseudo(0x0100000a, 0x0200000a, 17, 8 + 7));
    assert_memory_equal(frame + 40, &pseudo, 2);
}

static void ttl_and_tos_of_the_socket_go_out(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    udp_of(s)->ttl = 7;
    udp_of(s)->tos = 0xb8;
    send_to(s, PEER ":5000", "x");
    expect_out("udp 10.0.0.1:7000 > 10.0.0.2:5000 \"x\" ttl 7 tos 184 via 10.0.0.2");
}

static void the_largest_datagram_fills_the_mtu(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", 1472, RS_OK);
    expect_out("udp 10.0.0.1:7000 > 10.0.0.2:5000 (1472 bytes) ttl 128 via 10.0.0.2");
    udp_of(s)->dont_fragment = true;
    send_bytes(s, PEER ":5000", 1473, RS_MESSAGE_SIZE);
    expect_count(send_too_big, 1);
}

static void a_local_datagram_may_be_65507_bytes(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:8000");
    room_for(b, 0);
    send_bytes(a, "127.0.0.1:8000", 65507, RS_OK);
    send_bytes(a, "127.0.0.1:8000", 65508, RS_MESSAGE_SIZE);
    expect_count(recv_ring_full, 1);
    expect_count(send_too_big, 1);
}

static void a_loopback_address_cannot_send_to_the_wire(void **state)
{
    (void)state;
    sock s = bound("127.0.0.1:7000");
    send_fails(s, PEER ":5000", "x", RS_ADDR_NOT_AVAILABLE);
    sock unnamed = unbound();
    send_fails(unnamed, PEER ":5000", "x", RS_INVALID);
    send_fails(s, "127.0.0.1:0", "x", RS_ADDR_NOT_AVAILABLE);
    expect_count(send_bad_source, 2);
    expect_count(send_no_destination, 1);
    expect_nothing();
}

static void of_two_sockets_on_one_port_the_newest_hears(void **state)
{
    (void)state;
    sock old = bound("any:7000");
    sock young = bound("any:7000");
    inject_udp(PEER ":5000", OWN ":7000", "1");
    expect_received(young, PEER ":5000", "1");
    close_socket(young);
    inject_udp(PEER ":5000", OWN ":7000", "2");
    expect_received(old, PEER ":5000", "2");
}

static void a_loopback_stack_serves_127_and_nothing_else(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("127.0.0.1:8000");
    send_to(a, "127.0.0.1:8000", "x");
    expect_received(b, "127.0.0.1:7000", "x");
    send_fails(a, PEER ":5000", "x", RS_NET_UNREACHABLE);
    connect_fails(a, PEER ":5000", RS_NET_UNREACHABLE);
    sock c = unbound();
    bind_to(c, OWN ":7000", RS_ADDR_NOT_AVAILABLE);
    expect_count(send_no_route, 1);
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT(a_datagram_reaches_the_socket),
        SCRIPT(an_empty_datagram_is_a_datagram),
        SCRIPT(padding_behind_the_packet_is_not_payload),
        SCRIPT(a_udp_length_below_the_packet_cuts_the_payload),
        SCRIPT(connected_before_address_before_any),
        SCRIPT(a_connected_socket_hears_its_peer_only),
        SCRIPT(a_connected_socket_sends_to_its_peer),
        SCRIPT(connect_fixes_the_local_address_by_the_route),
        SCRIPT(connect_is_refused_where_nothing_can_be_sent),
        SCRIPT(bind_takes_own_addresses_only),
        SCRIPT(local_programs_need_no_wire),
        SCRIPT(the_own_address_never_leaves_the_host),
        SCRIPT(all_of_127_is_this_host),
        SCRIPT(a_local_send_to_a_closed_port_is_an_error),
        SCRIPT(a_full_receiver_is_a_counted_drop),
        SCRIPT(a_datagram_without_checksum_is_taken),
        SCRIPT(a_checksum_of_zero_is_sent_as_ffff),
        SCRIPT(a_nic_that_checks_is_believed),
        SCRIPT_WITH(a_nic_that_fills_in_checksums_gets_the_pseudo_sum, offload),
        SCRIPT(ttl_and_tos_of_the_socket_go_out),
        SCRIPT(the_largest_datagram_fills_the_mtu),
        SCRIPT(a_local_datagram_may_be_65507_bytes),
        SCRIPT(a_loopback_address_cannot_send_to_the_wire),
        SCRIPT(of_two_sockets_on_one_port_the_newest_hears),
        SCRIPT_WITH(a_loopback_stack_serves_127_and_nothing_else, loopback),
    };
    return cmocka_run_group_tests_name("udp", scripts, NULL, NULL);
}
