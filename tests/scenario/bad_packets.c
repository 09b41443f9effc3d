/* Packet scripts: what is wrong with a packet is counted by its reason. The language is in
 * script.h. */
#include <string.h>

#include "script.h"

static void a_frame_truncated_at_every_length(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame whole = frame_udp(PEER ":5000", OWN ":7000", "payload");
    for (uint32_t len = 0; len < whole.len_bytes; len++) {
        struct frame frame = whole;
        frame.len_bytes = len;
        inject(&frame);
    }
    expect_count(eth_truncated, 14);
    expect_count(ip_truncated, 20);
    expect_count(ip_total_length, whole.len_bytes - 34);
    expect_no_datagram(s);
    inject(&whole);
    expect_received(s, PEER ":5000", "payload");
}

static void an_ip_packet_truncated_at_every_length(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t len = 0; len < 28 + 7; len++) { /* total length says less than UDP needs */
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "payload");
        frame.data[16] = 0;
        frame.data[17] = (uint8_t)len;
        frame_fix_ip(&frame);
        inject(&frame);
    }
    expect_count(ip_total_length, 20);
    expect_count(udp_truncated, 8);
    expect_count(udp_length, 7);
    expect_no_datagram(s);
}

static void a_wrong_version(void **state)
{
    (void)state;
    for (uint8_t version = 0; version < 16; version++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
        frame.data[14] = (uint8_t)(version << 4 | 5);
        frame_fix_ip(&frame);
        if (version != 4) {
            inject(&frame);
        }
    }
    expect_count(ip_version, 15);
}

static void a_wrong_header_length(void **state)
{
    (void)state;
    for (uint8_t words = 0; words < 5; words++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
        frame.data[14] = (uint8_t)(0x40 | words);
        inject(&frame);
    }
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
    frame.data[14] = 0x4f; /* 60 bytes, more than there are */
    inject(&frame);
    expect_count(ip_header_length, 6);
    frame = frame_udp(PEER ":5000", OWN ":7000",
                      "this is long enough for options, but not for the total length");
    frame.data[14] = 0x4f;
    frame.data[17] = 40;
    inject(&frame);
    expect_count(ip_total_length, 1);
}

static void every_flipped_bit_of_the_ip_header_is_noticed(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t bit = 0; bit < 20 * 8; bit++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
        frame.data[14 + bit / 8] ^= (uint8_t)(1u << bit % 8);
        inject(&frame);
    }
    expect_no_datagram(s);
    expect_count(rx_delivered, 0);
    expect_nothing();
}

static void every_flipped_bit_of_the_datagram_is_noticed(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t bit = 0; bit < (8 + 5) * 8; bit++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "hello");
        frame.data[34 + bit / 8] ^= (uint8_t)(1u << bit % 8);
        inject(&frame);
    }
    expect_no_datagram(s);
    expect_count(rx_delivered, 0);
    expect_nothing();
}

static void a_udp_length_beyond_the_packet(void **state)
{
    (void)state;
    static const uint16_t lengths[] = {0, 1, 7, 14, 255, 65535};
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "hello"); /* 13 bytes */
        frame.data[38] = (uint8_t)(lengths[i] >> 8);
        frame.data[39] = (uint8_t)lengths[i];
        inject(&frame);
    }
    expect_count(udp_length, 6);
}

static void options_are_skipped(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t bytes = 4; bytes <= 40; bytes += 4) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "behind options");
        frame_add_options(&frame, bytes);
        inject(&frame);
        expect_received(s, PEER ":5000", "behind options");
    }
}

static void a_ttl_of_zero_or_one_is_no_reason_to_drop(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint8_t ttl = 0; ttl < 2; ttl++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "at the end of its life");
        frame.data[22] = ttl;
        frame_fix_ip(&frame);
        inject(&frame);
        expect_received(s, PEER ":5000", "at the end of its life");
    }
}

static void our_own_address_as_source_is_a_spoof(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(OWN ":5000", OWN ":7000", "spoof");
    mac_of(frame.data + 6, PEER2);
    inject(&frame);
    expect_count(ip_source_own, 1);
    expect_notice(STACK_NOTICE_SPOOFED_SOURCE, OWN);
    expect_no_datagram(s);
}

static void notices_come_once_a_second(void **state)
{
    (void)state;
    struct frame frame = frame_udp(OWN ":5000", OWN ":7000", "spoof");
    mac_of(frame.data + 6, PEER2);
    for (int i = 0; i < 5; i++) {
        inject(&frame);
    }
    expect_notice(STACK_NOTICE_SPOOFED_SOURCE, OWN);
    advance_ms(1000);
    inject(&frame);
    expect_notice(STACK_NOTICE_SPOOFED_SOURCE, OWN);
    expect_count(ip_source_own, 6);
}

static void our_own_transmission_seen_again_is_no_spoof(void **state)
{
    (void)state;
    struct frame frame = frame_udp(OWN ":5000", GROUP ":7000", "echo of a capture NIC");
    inject(&frame);
    expect_count(eth_own_source, 1);
    expect_count(ip_source_own, 0);
}

static void martian_sources(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "127.0.0.1:5000", "224.0.0.5:5000", "239.1.1.1:5000", "255.255.255.255:5000",
        "240.0.0.1:5000", "0.0.0.0:5000",   "0.1.2.3:5000",   "10.0.0.255:5000"};
    for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct frame frame = frame_udp(sources[i], OWN ":9", "martian");
        mac_of(frame.data + 6, PEER);
        inject(&frame);
    }
    expect_count(ip_source_martian, sizeof(sources) / sizeof(sources[0]));
    expect_nothing();
}

static void destinations_that_are_not_ours(void **state)
{
    (void)state;
    static const char *const destinations[] = {"10.0.0.3:7000", "8.8.8.8:7000", "10.0.1.255:7000"};
    sock s = bound("any:7000");
    for (unsigned i = 0; i < 3; i++) {
        struct frame frame = frame_udp(PEER ":5000", destinations[i], "x");
        mac_of(frame.data, OWN);
        inject(&frame);
    }
    expect_count(ip_not_for_us, 3);
    static const char *const martians[] = {"127.0.0.1:7000", "0.0.0.0:7000", "240.0.0.1:7000"};
    for (unsigned i = 0; i < 3; i++) {
        struct frame frame = frame_udp(PEER ":5000", martians[i], "x");
        mac_of(frame.data, OWN);
        inject(&frame);
    }
    expect_count(ip_dest_martian, 3);
    expect_no_datagram(s);
}

static void unicast_in_a_broadcast_frame(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
    memset(frame.data, 0xff, 6);
    inject(&frame);
    expect_count(ip_link_broadcast, 1);
    expect_no_datagram(s);
}

static void frames_for_other_hosts(void **state)
{
    (void)state;
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
    mac_of(frame.data, PEER2);
    inject(&frame);
    expect_count(eth_not_for_us, 1);
    frame = frame_udp(PEER ":5000", OWN ":7000", "x");
    frame.data[6] |= 1; /* a group as source */
    inject(&frame);
    expect_count(eth_source_bad, 1);
}

static void vlan_tags_and_other_protocols(void **state)
{
    (void)state;
    static const uint16_t types[] = {0x8100, 0x88a8, 0x86dd, 0x88cc, 0x0005, 0xffff};
    for (unsigned i = 0; i < 6; i++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
        frame.data[12] = (uint8_t)(types[i] >> 8);
        frame.data[13] = (uint8_t)types[i];
        inject(&frame);
    }
    expect_count(eth_vlan, 2);
    expect_count(eth_other_type, 4);
}

static void a_loopback_stack_takes_no_frames(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "x");
    memset(frame.data, 0, 6); /* the MAC of the loopback NIC */
    inject(&frame);
    frame = frame_arp(1, PEER, OWN);
    inject(&frame);
    expect_count(ip_not_for_us, 1);
    expect_count(arp_not_for_us, 1);
    expect_no_datagram(s);
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT(a_frame_truncated_at_every_length),
        SCRIPT(an_ip_packet_truncated_at_every_length),
        SCRIPT(a_wrong_version),
        SCRIPT(a_wrong_header_length),
        SCRIPT(every_flipped_bit_of_the_ip_header_is_noticed),
        SCRIPT(every_flipped_bit_of_the_datagram_is_noticed),
        SCRIPT(a_udp_length_beyond_the_packet),
        SCRIPT(options_are_skipped),
        SCRIPT(a_ttl_of_zero_or_one_is_no_reason_to_drop),
        SCRIPT(our_own_address_as_source_is_a_spoof),
        SCRIPT(notices_come_once_a_second),
        SCRIPT(our_own_transmission_seen_again_is_no_spoof),
        SCRIPT(martian_sources),
        SCRIPT(destinations_that_are_not_ours),
        SCRIPT(unicast_in_a_broadcast_frame),
        SCRIPT(frames_for_other_hosts),
        SCRIPT(vlan_tags_and_other_protocols),
        SCRIPT_WITH(a_loopback_stack_takes_no_frames, loopback),
    };
    return cmocka_run_group_tests_name("bad_packets", scripts, NULL, NULL);
}
