/* Packet scripts: datagrams larger than the link on their way out. The language is in script.h. */
#include <string.h>

#include "dataplane/ipv4.h"
#include "dataplane/neighbour.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "script.h"

#define LARGEST       65507
#define LARGEST_LINE  "udp 10.0.0.1:7000 > 10.0.0.2:5000 (65507 bytes) ttl 128 via 10.0.0.2"
#define LARGEST_TRAIN 45 /* at an MTU of 1500 */

static void a_datagram_beyond_the_mtu_leaves_as_two_fragments(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", 1473, RS_OK);
    expect_out("fragment 17 10.0.0.1 > 10.0.0.2 at 0 + 1480 more via 10.0.0.2");
    expect_out("fragment 17 10.0.0.1 > 10.0.0.2 at 1480 + 1 via 10.0.0.2");
    expect_count(ip_fragmented, 1);
    expect_count(ip_fragments_out, 1);
    expect_count(udp_sends, 1);
    expect_count(send_too_big, 0);
}

static void its_fragments_are_the_datagram(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    udp_of(s)->ttl = 9;
    udp_of(s)->tos = 0x20;
    send_bytes(s, PEER ":5000", 4000, RS_OK);
    expect_fragments(3, "udp 10.0.0.1:7000 > 10.0.0.2:5000 (4000 bytes) ttl 9 tos 32 via 10.0.0.2");
}

static void the_largest_datagram_leaves(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    expect_fragments(LARGEST_TRAIN, LARGEST_LINE);
    send_bytes(s, PEER ":5000", LARGEST + 1, RS_MESSAGE_SIZE);
    expect_count(send_too_big, 1);
}

static void the_largest_datagram_leaves_by_the_smallest_link(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    expect_fragments(119, LARGEST_LINE);
}

/* expect_fragments says that no fragment asks the NIC for a UDP checksum, and that it is right. */
static void fragments_do_not_leave_their_checksum_to_the_nic(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", 3000, RS_OK);
    expect_fragments(3, "udp 10.0.0.1:7000 > 10.0.0.2:5000 (3000 bytes) ttl 128 via 10.0.0.2");
}

static void who_wants_no_fragments_is_told_the_size(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    sock local = bound("127.0.0.1:8000");
    udp_of(s)->dont_fragment = true;
    send_bytes(s, PEER ":5000", 1473, RS_MESSAGE_SIZE);
    expect_count(send_too_big, 1);
    send_to(s, PEER ":5000", "x");
    expect_out("udp 10.0.0.1:7000 > 10.0.0.2:5000 \"x\" ttl 128 df via 10.0.0.2");
    send_bytes(s, "127.0.0.1:8000", 9000, RS_OK); /* no link, no limit */
    expect_received_bytes(local, "127.0.0.1:7000", 9000);
}

static void local_receivers_get_it_whole(void **state)
{
    (void)state;
    sock a = bound("any:7000");
    sock b = bound("any:8000");
    send_bytes(a, OWN ":8000", LARGEST, RS_OK);
    expect_received_bytes(b, OWN ":7000", LARGEST);
    expect_count(ip_fragmented, 0);
}

static void a_group_gets_fragments_and_its_members_here_the_whole(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock member = bound("any:5000");
    join(member, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    send_bytes(s, GROUP ":5000", 5000, RS_OK);
    expect_fragments(4, "udp 10.0.0.1:7000 > 239.1.1.1:5000 (5000 bytes) ttl 1 via group");
    expect_received_bytes(member, OWN ":7000", 5000);
    close_socket(member);
    expect_igmp("v3 TO_IN 239.1.1.1 {}");
}

/* ---- identification ---- */

static void each_datagram_has_a_number_of_its_own(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    uint16_t ids[3];
    for (uint32_t i = 0; i < 3; i++) {
        send_bytes(s, PEER ":5000", LARGEST, RS_OK);
        ids[i] = expect_fragments(LARGEST_TRAIN, LARGEST_LINE);
    }
    assert_true(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

/* Else a peer could make one datagram of two queues' fragments. */
static void queues_share_the_numbers(void **state)
{
    (void)state;
    for (uint32_t queue = 0; queue < 3; queue++) {
        on_queue(queue);
        script_know(PEER);
        sock s = bound("any:7000");
        for (uint32_t i = 0; i < 3; i++) {
            send_bytes(s, PEER ":5000", 2000, RS_OK);
            uint16_t id = expect_fragments(
                2, "udp 10.0.0.1:7000 > 10.0.0.2:5000 (2000 bytes) ttl 128 via 10.0.0.2");
            assert_int_equal(id % 4, queue);
        }
    }
}

/* ---- a neighbour that is not known yet ---- */

static void fragments_wait_for_a_neighbour_together(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    expect_arp_request(PEER);
    expect_count(waiting_neighbour, LARGEST_TRAIN);
    inject_arp_reply(PEER, OWN);
    expect_fragments(LARGEST_TRAIN, LARGEST_LINE);
}

/* 256 frames may wait: five of these datagrams, and the latest is kept (RFC 1122 2.3.2.2). */
static void the_oldest_waiting_datagram_gives_way_whole(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "first");
    expect_arp_request(PEER);
    for (uint32_t i = 0; i < 6; i++) {
        send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    }
    expect_count(neighbour_queue_full, 1 + LARGEST_TRAIN);
    inject_arp_reply(PEER, OWN);
    for (uint32_t i = 0; i < 5; i++) {
        expect_fragments(LARGEST_TRAIN, LARGEST_LINE);
    }
}

/* Two neighbours: what waits for the other one is not ours to drop. */
static void a_train_that_finds_no_room_is_dropped_whole(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t i = 0; i < 5; i++) {
        send_bytes(s, PEER2 ":5000", LARGEST, RS_OK);
    }
    expect_arp_request(PEER2);
    send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    expect_arp_request(PEER);
    expect_count(neighbour_queue_full, LARGEST_TRAIN);
    inject_arp_reply(PEER, OWN);
    expect_nothing();
    inject_arp_reply(PEER2, OWN);
    for (uint32_t i = 0; i < 5; i++) {
        expect_fragments(LARGEST_TRAIN,
                         "udp 10.0.0.1:7000 > 10.0.0.3:5000 (65507 bytes) ttl 128 via 10.0.0.3");
    }
}

static void a_dead_neighbour_is_one_error_for_the_datagram(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        expect_arp_request(PEER);
        advance_ms(1000);
    }
    expect_error(s, RS_HOST_UNREACHABLE);
    expect_count(neighbour_no_answer, LARGEST_TRAIN);
    expect_notice(STACK_NOTICE_NEIGHBOUR_DEAD, PEER);
}

/* ---- no room ---- */

static void without_buffers_for_all_nothing_is_sent(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_alloc(script_nic(), LARGEST_TRAIN - 1);
    send_bytes(s, PEER ":5000", LARGEST, RS_WOULD_BLOCK);
    expect_nothing();
    nic_memory_limit_alloc(script_nic(), LARGEST_TRAIN);
    send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    expect_fragments(LARGEST_TRAIN, LARGEST_LINE);
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
}

static void a_train_waits_for_room_in_the_transmit_queue(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_tx(script_nic(), 0);
    uint32_t trains = STACK_TX_HIGH_WATER_PKTS / LARGEST_TRAIN;
    for (uint32_t i = 0; i < trains; i++) {
        send_bytes(s, PEER ":5000", LARGEST, RS_OK);
    }
    send_bytes(s, PEER ":5000", LARGEST, RS_WOULD_BLOCK);
    send_to(s, PEER ":5000", "a small one finds room");
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    advance_ms(1);
    for (uint32_t i = 0; i < trains; i++) {
        expect_fragments(LARGEST_TRAIN, LARGEST_LINE);
    }
    expect_udp(OWN ":7000", PEER ":5000", "a small one finds room", PEER);
}

static void a_group_train_waits_for_buffers(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    nic_memory_limit_alloc(script_nic(), 3);
    send_bytes(s, GROUP ":5000", 5000, RS_WOULD_BLOCK);
    expect_nothing();
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    send_bytes(s, GROUP ":5000", 5000, RS_OK);
    expect_fragments(4, "udp 10.0.0.1:7000 > 239.1.1.1:5000 (5000 bytes) ttl 1 via group");
}

/* ---- errors about them ---- */

/* An error about one of our fragments: the header of the quoted datagram says which. */
static struct frame error_about_fragment(uint32_t off_bytes)
{
    struct frame frame = frame_icmp_error(PEER, ICMP_TIME_EXCEEDED, ICMP_TIME_EXCEEDED_REASSEMBLY,
                                          OWN ":7000", PEER ":5000");
    struct wire_ipv4 *quoted =
        (struct wire_ipv4 *)(frame.data + IPV4_PAYLOAD_OFF + ICMP_HEADER_BYTES);
    quoted->fragment_be16 = rs_be16((uint16_t)(off_bytes / 8 | IPV4_FLAG_MF));
    frame_fix_payload(&frame);
    return frame;
}

static void an_error_about_the_first_fragment_reaches_the_socket(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = error_about_fragment(0);
    inject(&frame);
    expect_error(s, RS_NET_RESET);
}

/* What stands where ports would be is payload. */
static void an_error_about_a_later_fragment_is_nobodys(void **state)
{
    (void)state;
    (void)bound("any:7000");
    struct frame frame = error_about_fragment(1480);
    inject(&frame);
    expect_count(icmp_no_socket, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT(a_datagram_beyond_the_mtu_leaves_as_two_fragments),
        SCRIPT(its_fragments_are_the_datagram),
        SCRIPT(the_largest_datagram_leaves),
        SCRIPT_WITH(the_largest_datagram_leaves_by_the_smallest_link, small_link),
        SCRIPT_WITH(fragments_do_not_leave_their_checksum_to_the_nic, offload),
        SCRIPT(who_wants_no_fragments_is_told_the_size),
        SCRIPT(local_receivers_get_it_whole),
        SCRIPT(a_group_gets_fragments_and_its_members_here_the_whole),
        SCRIPT(each_datagram_has_a_number_of_its_own),
        SCRIPT_WITH(queues_share_the_numbers, queues),
        SCRIPT(fragments_wait_for_a_neighbour_together),
        SCRIPT(the_oldest_waiting_datagram_gives_way_whole),
        SCRIPT(a_train_that_finds_no_room_is_dropped_whole),
        SCRIPT(a_dead_neighbour_is_one_error_for_the_datagram),
        SCRIPT(without_buffers_for_all_nothing_is_sent),
        SCRIPT(a_train_waits_for_room_in_the_transmit_queue),
        SCRIPT(a_group_train_waits_for_buffers),
        SCRIPT(an_error_about_the_first_fragment_reaches_the_socket),
        SCRIPT(an_error_about_a_later_fragment_is_nobodys),
    };
    return cmocka_run_group_tests_name("fragments", tests, NULL, NULL);
}
