/* Packet scripts: fragments that come in, and what becomes of them. The language is in script.h. */
#include <stdio.h>
#include <string.h>

#include "dataplane/ipv4.h"
#include "dataplane/reassembly.h"
#include "dataplane/steer.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/tcp.h"
#include "script.h"

#define FROM        PEER ":5000"
#define TO          OWN ":7000"
#define LEN         4000 /* UDP header and 4000 bytes: 1480 + 1480 + 1048 */
#define LARGEST     65507
#define TIME_OUT_MS (REASSEMBLY_NS / 1000000)
#define PLACES      8 /* of a script's stack, a quarter of them for a source */

/* Piece n of a datagram of LEN bytes. */
static void piece(const char *src, uint16_t id, uint32_t n)
{
    inject_fragment(src, TO, LEN, id, n * 1480, n < 2 ? 1480 : 1048);
}

static struct frame whole_piece(uint16_t id, uint32_t n)
{
    return frame_fragment(FROM, TO, LEN, id, n * 1480, n < 2 ? 1480 : 1048);
}

/* Bytes off to off + bytes - 1 of a packet's IPv4 payload, as a fragment. */
static struct frame cut(const struct frame *packet, uint32_t off, uint32_t bytes)
{
    struct frame frame = *packet;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame.data + ETHERNET_HEADER_BYTES);
    uint32_t all = ipv4_total_bytes(ip) - ipv4_header_bytes(ip);
    uint32_t head = ETHERNET_HEADER_BYTES + ipv4_header_bytes(ip);
    assert_true(off + bytes <= all);
    memmove(frame.data + head, frame.data + head + off, bytes);
    ip->total_len_be16 = rs_be16((uint16_t)(ipv4_header_bytes(ip) + bytes));
    ip->id_be16 = rs_be16(77);
    ip->fragment_be16 = rs_be16((uint16_t)(off / 8 | (off + bytes < all ? IPV4_FLAG_MF : 0)));
    frame.len_bytes = head + bytes;
    frame_fix_ip(&frame);
    return frame;
}

static struct wire_ipv4 *ip_header(struct frame *frame)
{
    return (struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
}

/* ---- whole ---- */

static void fragments_in_order_are_a_datagram(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 0);
    piece(FROM, 1, 1);
    expect_no_datagram(s);
    piece(FROM, 1, 2);
    expect_received_bytes(s, FROM, LEN);
    expect_count(ip_fragments_kept, 2);
    expect_count(ip_reassembled, 1);
    expect_count(rx_delivered, 1);
}

static void fragments_in_any_order_are_a_datagram(void **state)
{
    (void)state;
    static const uint8_t orders[5][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    sock s = bound("any:7000");
    for (uint16_t i = 0; i < 5; i++) {
        for (uint32_t n = 0; n < 3; n++) {
            piece(FROM, i, orders[i][n]);
        }
        expect_received_bytes(s, FROM, LEN);
    }
    expect_count(ip_reassembled, 5);
}

static void the_largest_datagram_comes(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    uint32_t all = LARGEST + 8;
    for (uint32_t off = 0; off < all; off += 1480) {
        inject_fragment(FROM, TO, LARGEST, 1, off, all - off < 1480 ? all - off : 1480);
    }
    expect_received_bytes(s, FROM, LARGEST);
}

/* The smallest there can be: eight bytes each. */
static void a_datagram_in_its_smallest_pieces(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t off = 0; off < 1008; off += 16) {
        inject_fragment(FROM, TO, 1000, 1, off, 8);
    }
    for (uint32_t off = 8; off < 1008; off += 16) {
        inject_fragment(FROM, TO, 1000, 1, off, 8);
    }
    expect_received_bytes(s, FROM, 1000);
    expect_count(ip_fragments_kept, 125);
}

/* RFC 791: source, destination, protocol and identification together. */
static void datagrams_are_told_apart(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t n = 0; n < 3; n++) {
        piece(PEER ":5000", 1, n);
        piece(PEER2 ":5000", 1, n);
        piece(PEER ":5000", 2, n);
    }
    expect_received_bytes(s, PEER ":5000", LEN);
    expect_received_bytes(s, PEER2 ":5000", LEN);
    expect_received_bytes(s, PEER ":5000", LEN);
}

static void a_number_may_be_used_again(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t i = 0; i < 60; i++) {
        for (uint32_t n = 0; n < 3; n++) {
            piece(FROM, 5, n);
        }
        expect_received_bytes(s, FROM, LEN);
    }
}

static void options_of_the_first_fragment_are_the_datagrams(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame first = whole_piece(1, 0);
    frame_add_options(&first, 40);
    inject(&first);
    piece(FROM, 1, 2);
    piece(FROM, 1, 1);
    expect_received_bytes(s, FROM, LEN);
}

static void a_group_datagram_is_put_together(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    join(s, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    inject_fragment(FROM, GROUP ":7000", 2000, 1, 1480, 528);
    inject_fragment(FROM, GROUP ":7000", 2000, 1, 0, 1480);
    expect_received_bytes(s, FROM, 2000);
    leave(s, GROUP);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
}

static void nobodys_datagram_is_answered_once_it_is_whole(void **state)
{
    (void)state;
    script_know(PEER);
    piece(FROM, 1, 0);
    piece(FROM, 1, 1);
    expect_nothing();
    piece(FROM, 1, 2);
    expect_unreachable(3, PEER, "udp 10.0.0.2:5000 > 10.0.0.1:7000");
    expect_count(udp_no_socket, 1);
}

static void a_large_ping_is_answered_in_fragments(void **state)
{
    (void)state;
    static char text[4001];
    script_know(PEER);
    memset(text, 'p', 4000);
    struct frame ping = frame_echo(PEER, OWN, text);
    for (uint32_t off = 0; off < 4008; off += 1480) {
        struct frame part = cut(&ping, off, 4008 - off < 1480 ? 4008 - off : 1480);
        inject(&part);
    }
    expect_fragments(3, "icmp echo-reply 10.0.0.1 > 10.0.0.2 (4000 bytes) via 10.0.0.2");
    expect_count(icmp_echo_in, 1);
}

/* ---- checks ---- */

static void the_checksum_is_of_the_whole(void **state)
{
    (void)state;
    (void)bound("any:7000");
    piece(FROM, 1, 0);
    piece(FROM, 1, 1);
    struct frame last = whole_piece(1, 2);
    last.data[500] ^= 1;
    last.flags = PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_GOOD; /* a NIC cannot know */
    inject(&last);
    expect_count(udp_checksum, 1);
}

static void a_nics_word_on_a_fragments_checksum_is_nothing(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t n = 0; n < 3; n++) {
        struct frame frame = whole_piece(1, n);
        frame.flags = PKT_RX_IP_CSUM_GOOD | PKT_RX_L4_CSUM_BAD;
        inject(&frame);
    }
    expect_received_bytes(s, FROM, LEN);
}

static void a_fragment_with_a_bad_header_is_none(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = whole_piece(1, 0);
    ip_header(&frame)->ttl++;
    inject(&frame);
    expect_count(ip_checksum, 1);
    expect_count(ip_fragments_kept, 0);
    expect_no_datagram(s);
}

static void malformed_fragments_are_dropped(void **state)
{
    (void)state;
    struct frame frame = whole_piece(1, 0);
    ip_header(&frame)->total_len_be16 = rs_be16(IPV4_HEADER_BYTES);
    frame_fix_ip(&frame);
    inject(&frame); /* no byte in it */
    frame = whole_piece(2, 0);
    ip_header(&frame)->total_len_be16 = rs_be16(IPV4_HEADER_BYTES + 1479);
    frame_fix_ip(&frame);
    inject(&frame); /* what follows cannot join on */
    frame = whole_piece(3, 0);
    ip_header(&frame)->fragment_be16 = rs_be16(8191); /* 65,528 and on: the ping of death */
    frame_fix_ip(&frame);
    inject(&frame);
    expect_count(ip_fragment_malformed, 3);
    expect_count(ip_fragments_kept, 0);
}

/* Each fits, the whole with the first one's options does not. */
static void options_may_not_make_it_too_large(void **state)
{
    (void)state;
    (void)bound("any:7000");
    uint32_t all = LARGEST + 8;
    struct frame first = frame_fragment(FROM, TO, LARGEST, 1, 0, 1480);
    frame_add_options(&first, 4);
    inject(&first);
    for (uint32_t off = 1480; off < all; off += 1480) {
        inject_fragment(FROM, TO, LARGEST, 1, off, all - off < 1480 ? all - off : 1480);
    }
    expect_count(ip_fragment_malformed, 1);
    expect_count(ip_reassembled, 0);
}

/* RFC 1858, RFC 3128: the header is in the first fragment, all of it, and stays what it was. */
static void headers_are_not_cut(void **state)
{
    (void)state;
    struct frame packet = whole_piece(1, 0);
    ip_header(&packet)->protocol = IPV4_PROTOCOL_TCP;
    ip_header(&packet)->fragment_be16 = 0;
    struct frame frame = cut(&packet, 0, 16);
    inject(&frame);
    frame = cut(&packet, 8, 800);
    inject(&frame);
    frame = cut(&packet, 16, 800);
    inject(&frame);
    expect_count(ip_fragment_tiny, 3);
    frame = cut(&packet, 0, 24);
    inject(&frame);
    frame = cut(&packet, 24, 800);
    inject(&frame);
    expect_count(ip_fragments_kept, 2);
}

/* ---- overlaps ---- */

static void the_same_again_is_a_duplicate(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 0);
    piece(FROM, 1, 0);
    piece(FROM, 1, 2);
    piece(FROM, 1, 2);
    piece(FROM, 1, 1);
    expect_received_bytes(s, FROM, LEN);
    expect_count(ip_fragment_duplicate, 2);
}

static void an_overlap_ends_the_datagram(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 0);
    inject_fragment(FROM, TO, LEN, 1, 1472, 1488);
    piece(FROM, 1, 1);
    piece(FROM, 1, 2);
    piece(FROM, 1, 0);
    expect_count(ip_fragment_overlap, 4); /* and what comes later, too (RFC 5722) */
    expect_no_datagram(s);
    for (uint32_t n = 0; n < 3; n++) {
        piece(FROM, 2, n);
    }
    expect_received_bytes(s, FROM, LEN);
}

static void other_bytes_in_the_same_place_are_an_overlap(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 1);
    struct frame other = whole_piece(1, 1);
    other.data[800] ^= 0x40;
    inject(&other);
    piece(FROM, 1, 0);
    piece(FROM, 1, 2);
    expect_count(ip_fragment_overlap, 3);
    expect_no_datagram(s);
}

/* The end is where the first of them says: neither further on, nor earlier. */
static void a_datagram_has_one_end(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 2);
    inject_fragment(FROM, TO, LEN - 8, 1, 2960, 1040); /* another end */
    piece(FROM, 2, 2);
    inject_fragment(FROM, TO, 6000, 2, 4440, 800); /* behind it */
    piece(FROM, 3, 1);
    inject_fragment(FROM, TO, 1472, 3, 1472, 8); /* before what has come */
    expect_count(ip_fragment_overlap, 3);
    expect_no_datagram(s);
}

/* ---- congestion marks ---- */

static void a_mark_on_one_fragment_is_enough(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t n = 0; n < 3; n++) {
        struct frame frame = whole_piece(1, n);
        ip_header(&frame)->tos = n == 1 ? 3 : 2;
        frame_fix_ip(&frame);
        inject(&frame);
    }
    expect_received_bytes(s, FROM, LEN);
}

static void a_mark_where_no_ecn_is_spoken_is_refused(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t n = 0; n < 3; n++) {
        struct frame frame = whole_piece(1, n);
        ip_header(&frame)->tos = n == 1 ? 3 : 0;
        frame_fix_ip(&frame);
        inject(&frame);
    }
    expect_no_datagram(s);
    expect_count(ip_fragment_ecn, 1);
}

/* ---- time ---- */

static void what_stays_incomplete_is_given_up_and_told(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 0);
    piece(FROM, 1, 2);
    advance_ms(TIME_OUT_MS - 1);
    expect_nothing();
    script_know(PEER);
    advance_ms(1);
    expect_out("icmp time-exceeded 1 10.0.0.1 > 10.0.0.2 "
               "[udp 10.0.0.2:5000 > 10.0.0.1:7000] via 10.0.0.2");
    expect_count(ip_reassembly_timeouts, 1);
    piece(FROM, 1, 1);
    expect_no_datagram(s);
}

static void the_time_is_that_of_the_first_to_come(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    piece(FROM, 1, 1);
    advance_ms(TIME_OUT_MS - 1);
    piece(FROM, 1, 0);
    piece(FROM, 1, 2);
    expect_received_bytes(s, FROM, LEN);
    piece(FROM, 2, 1);
    advance_ms(TIME_OUT_MS);
    expect_count(ip_reassembly_timeouts, 1);
}

/* RFC 1122 3.3.2: nothing to quote. */
static void without_its_first_fragment_nobody_is_told(void **state)
{
    (void)state;
    script_know(PEER);
    piece(FROM, 1, 1);
    piece(FROM, 1, 2);
    advance_ms(TIME_OUT_MS);
    expect_count(ip_reassembly_timeouts, 1);
    expect_nothing();
}

static void nobody_is_told_about_a_groups_datagram(void **state)
{
    (void)state;
    script_know(PEER);
    inject_fragment(FROM, GROUP ":7000", 2000, 1, 0, 1480);
    advance_ms(TIME_OUT_MS);
    expect_count(ip_reassembly_timeouts, 1);
    expect_nothing();
}

/* RFC 1122 3.2.2: no error about an error; about a ping there is one. */
static void nobody_is_told_about_an_icmp_error(void **state)
{
    (void)state;
    struct frame packet = frame_fragment(FROM, TO, 1000, 1, 0, 1000);
    struct wire_ipv4 *ip = ip_header(&packet);
    ip->protocol = IPV4_PROTOCOL_ICMP;
    ip->fragment_be16 = 0;
    packet.data[IPV4_PAYLOAD_OFF] = ICMP_UNREACHABLE;
    struct frame first = cut(&packet, 0, 496);
    inject(&first);
    advance_ms(TIME_OUT_MS - 1);
    script_know(PEER);
    advance_ms(1);
    expect_count(ip_reassembly_timeouts, 1);
    expect_nothing();
    packet.data[IPV4_PAYLOAD_OFF] = ICMP_ECHO;
    first = cut(&packet, 0, 496);
    inject(&first);
    advance_ms(TIME_OUT_MS - 1);
    script_know(PEER);
    advance_ms(1);
    expect_out("icmp time-exceeded 1 10.0.0.1 > 10.0.0.2 [protocol 1] via 10.0.0.2");
}

/* ---- floods ---- */

static void a_source_has_a_quarter_of_the_places(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t id = 1; id <= PLACES / 4 + 1; id++) {
        piece(FROM, (uint16_t)id, 0);
        piece(FROM, (uint16_t)id, 1);
    }
    expect_count(ip_reassembly_source_full, 1);
    piece(FROM, 1, 2); /* its oldest is gone */
    expect_no_datagram(s);
    piece(FROM, 3, 2);
    expect_received_bytes(s, FROM, LEN);
}

static void when_all_places_are_taken_the_oldest_goes(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t i = 1; i <= 200; i++) {
        char src[32];
        (void)snprintf(src, sizeof(src), "10.0.0.%u:5000", i + 10);
        piece(src, 1, 0);
        advance_ms(1);
    }
    /* In a flood a datagram whose fragments come together is whole before it is the oldest. */
    for (uint32_t n = 0; n < 3; n++) {
        piece(FROM, 1, n);
    }
    expect_received_bytes(s, FROM, LEN);
    advance_ms(TIME_OUT_MS - 50);
    expect_count(ip_reassembly_timeouts, 0);
}

/* ---- several queues ---- */

/* A NIC steers fragments by their addresses: the segment they make may be another queue's. */
static void a_segment_goes_to_its_connections_queue(void **state)
{
    (void)state;
    struct frame packet = frame_fragment(FROM, TO, 1000, 1, 0, 1000);
    struct wire_ipv4 *ip = ip_header(&packet);
    struct wire_tcp *tcp = (struct wire_tcp *)(packet.data + IPV4_PAYLOAD_OFF);
    ip->protocol = IPV4_PROTOCOL_TCP;
    ip->fragment_be16 = 0;
    memset(tcp, 0, TCP_HEADER_BYTES);
    tcp->dst_port_be16 = rs_be16(80);
    const struct nic_steering *steering = script_nic()->steering;
    struct frame first = cut(&packet, 0, 496);
    uint32_t fragments_queue = steer_frame(steering, first.data, first.len_bytes);
    uint32_t queue = fragments_queue;
    for (uint16_t port = 1; queue == fragments_queue; port++) {
        tcp->src_port_be16 = rs_be16(port);
        queue = steer_flow(steering, ip->src_be32, ip->dst_be32, tcp->src_port_be16,
                           tcp->dst_port_be16);
    }
    first = cut(&packet, 0, 496);
    struct frame second = cut(&packet, 496, 504);
    on_queue(fragments_queue);
    inject(&first);
    inject(&second);
    expect_count(ip_reassembled, 1);
    expect_count(handed_out, 1);
    on_queue(queue);
    expect_count(handed_in, 1);
    expect_count(tcp_offset_bad, 1); /* the stack there has looked at it */
}

/* What another queue is given is of the same VLAN as the fragments were. */
static void a_vlans_datagram_goes_to_the_queue_it_is_for(void **state)
{
    (void)state;
    struct frame query = frame_igmp_v3_query(PEER, "0.0.0.0", 100, "");
    struct frame pieces[] = {cut(&query, 0, 8), cut(&query, 8, 4)};
    on_queue(1);
    for (uint32_t i = 0; i < 2; i++) {
        struct frame tagged = frame_tagged(&pieces[i], 3u << 13 | 7u);
        inject(&tagged);
    }
    expect_count(ip_reassembled, 1);
    expect_count(handed_out, 1);
    on_queue(0);
    expect_count(eth_untagged, 0);
    expect_count(igmp_queries_in, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT(fragments_in_order_are_a_datagram),
        SCRIPT(fragments_in_any_order_are_a_datagram),
        SCRIPT(the_largest_datagram_comes),
        SCRIPT(a_datagram_in_its_smallest_pieces),
        SCRIPT(datagrams_are_told_apart),
        SCRIPT(a_number_may_be_used_again),
        SCRIPT(options_of_the_first_fragment_are_the_datagrams),
        SCRIPT(a_group_datagram_is_put_together),
        SCRIPT(nobodys_datagram_is_answered_once_it_is_whole),
        SCRIPT(a_large_ping_is_answered_in_fragments),
        SCRIPT(the_checksum_is_of_the_whole),
        SCRIPT(a_nics_word_on_a_fragments_checksum_is_nothing),
        SCRIPT(a_fragment_with_a_bad_header_is_none),
        SCRIPT(malformed_fragments_are_dropped),
        SCRIPT(options_may_not_make_it_too_large),
        SCRIPT(headers_are_not_cut),
        SCRIPT(the_same_again_is_a_duplicate),
        SCRIPT(an_overlap_ends_the_datagram),
        SCRIPT(other_bytes_in_the_same_place_are_an_overlap),
        SCRIPT(a_datagram_has_one_end),
        SCRIPT(a_mark_on_one_fragment_is_enough),
        SCRIPT(a_mark_where_no_ecn_is_spoken_is_refused),
        SCRIPT(what_stays_incomplete_is_given_up_and_told),
        SCRIPT(the_time_is_that_of_the_first_to_come),
        SCRIPT(without_its_first_fragment_nobody_is_told),
        SCRIPT(nobody_is_told_about_a_groups_datagram),
        SCRIPT(nobody_is_told_about_an_icmp_error),
        SCRIPT(a_source_has_a_quarter_of_the_places),
        SCRIPT(when_all_places_are_taken_the_oldest_goes),
        SCRIPT_WITH(a_segment_goes_to_its_connections_queue, queues),
        SCRIPT_WITH(a_vlans_datagram_goes_to_the_queue_it_is_for, vlan_queues),
    };
    return cmocka_run_group_tests_name("fragments_in", tests, NULL, NULL);
}
