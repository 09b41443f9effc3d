/* Packet scripts: 802.1Q tags. The language is in script.h. */
#include "dataplane/wire/ethernet.h"
#include "script.h"

#define FROM PEER ":5000"
#define TO   OWN ":7000"
#define US   7u

static void inject_tagged(const struct frame *frame, uint16_t tci)
{
    struct frame tagged = frame_tagged(frame, tci);
    script_inject(&tagged);
}

/* The peer is known, by ARP with tags. */
static void meet(void)
{
    struct frame frame = frame_arp(1, PEER, OWN);
    inject_tagged(&frame, US);
}

static void tags_go_on_and_come_off(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    meet();
    expect_out("vlan 7 priority 5: arp 10.0.0.1 is-at 10.0.0.1 > 10.0.0.2");
    struct frame frame = frame_udp(FROM, TO, "hello");
    inject_tagged(&frame, US);
    expect_received(s, FROM, "hello");
    send_to(s, FROM, "yes?");
    expect_out(
        "vlan 7 priority 5: udp 10.0.0.1:7000 > 10.0.0.2:5000 \"yes?\" ttl 128 via 10.0.0.2");
    send_bytes(s, FROM, 1473, RS_OK);
    expect_out("vlan 7 priority 5: fragment 17 10.0.0.1 > 10.0.0.2 at 0 + 1480 more via 10.0.0.2");
    expect_out("vlan 7 priority 5: fragment 17 10.0.0.1 > 10.0.0.2 at 1480 + 1 via 10.0.0.2");
}

static void an_address_is_announced_in_its_vlan(void **state)
{
    (void)state;
    advance_ms(20000);
    for (uint32_t i = 0; i < 3; i++) {
        expect_out("vlan 7 priority 5: arp probe 10.0.0.1 > all");
    }
    expect_out("vlan 7 priority 5: arp announce 10.0.0.1 > all");
    expect_out("vlan 7 priority 5: arp announce 10.0.0.1 > all");
}

static void the_senders_priority_and_mark_do_not_matter(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (uint32_t upper = 0; upper < 16; upper++) {
        struct frame frame = frame_udp(FROM, TO, "x");
        inject_tagged(&frame, (uint16_t)(upper << 12 | US));
        expect_received(s, FROM, "x");
    }
}

static void priority_by_tos(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    meet();
    expect_out("vlan 7 priority 0: arp 10.0.0.1 is-at 10.0.0.1 > 10.0.0.2");
    send_to(s, FROM, "x");
    expect_out("vlan 7 priority 0: udp 10.0.0.1:7000 > 10.0.0.2:5000 \"x\" ttl 128 via 10.0.0.2");
    udp_of(s)->tos = 0xb8;
    send_to(s, FROM, "x");
    expect_out("vlan 7 priority 5: udp 10.0.0.1:7000 > 10.0.0.2:5000 \"x\" ttl 128 tos 184 "
               "via 10.0.0.2");
}

static void what_is_in_no_vlan_is_dropped(void **state)
{
    (void)state;
    (void)bound("any:7000");
    struct frame frame = frame_udp(FROM, TO, "x");
    inject(&frame);
    inject_tagged(&frame, 0); /* a priority, and no VLAN */
    frame = frame_arp(1, PEER, OWN);
    inject(&frame);
    expect_nothing();
    expect_count(eth_untagged, 3);
}

static void what_is_in_another_vlan_is_dropped(void **state)
{
    (void)state;
    (void)bound("any:7000");
    struct frame frame = frame_udp(FROM, TO, "x");
    inject_tagged(&frame, US + 1);
    inject_tagged(&frame, 4095);
    frame = frame_arp(1, PEER, OWN);
    inject_tagged(&frame, 0x107);
    expect_nothing();
    expect_count(eth_vlan_other, 3);
}

static void a_second_tag_is_dropped(void **state)
{
    (void)state;
    (void)bound("any:7000");
    struct frame frame = frame_udp(FROM, TO, "x");
    struct frame inner = frame_tagged(&frame, 9);
    inject_tagged(&inner, US);
    inner.data[12] = 0x88; /* 802.1ad in front: no tag that we know */
    inner.data[13] = 0xa8;
    inject(&inner);
    expect_count(eth_vlan_nested, 1);
    expect_count(eth_untagged, 1);
}

static void a_frame_that_ends_in_its_tag(void **state)
{
    (void)state;
    struct frame frame = frame_udp(FROM, TO, "x");
    frame = frame_tagged(&frame, US);
    for (uint32_t bytes = ETHERNET_HEADER_BYTES; bytes < 18; bytes++) {
        frame.len_bytes = bytes;
        inject(&frame);
    }
    expect_count(eth_untagged, 4);
    frame.len_bytes = 18;
    inject(&frame);
    expect_count(ip_truncated, 1);
}

static void without_a_vlan_tags_are_dropped(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_udp(FROM, TO, "x");
    inject_tagged(&frame, US);
    inject_tagged(&frame, 0x1000); /* the mark that it may be dropped first */
    expect_received(s, FROM, "x");
    expect_nothing();
    expect_count(eth_vlan, 1);
}

/* 802.1Q: a frame with VLAN 0 belongs where untagged ones do. */
static void without_a_vlan_a_tag_may_carry_a_priority(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    struct frame frame = frame_arp(1, PEER, OWN);
    inject_tagged(&frame, 5u << 13);
    expect_out("arp 10.0.0.1 is-at 10.0.0.1 > 10.0.0.2");
    frame = frame_udp(FROM, TO, "x");
    inject_tagged(&frame, 0);
    expect_received(s, FROM, "x");
    struct frame inner = frame_tagged(&frame, 0);
    inject_tagged(&inner, 0); /* a second one */
    inner = frame_tagged(&frame, US);
    inject_tagged(&inner, 0);
    frame = frame_tagged(&frame, 0);
    for (uint32_t bytes = ETHERNET_HEADER_BYTES; bytes < 18; bytes++) {
        frame.len_bytes = bytes;
        inject(&frame);
    }
    expect_nothing();
    expect_count(eth_vlan, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_WITH(tags_go_on_and_come_off, vlan),
        SCRIPT_WITH(an_address_is_announced_in_its_vlan, vlan_fresh),
        SCRIPT_WITH(the_senders_priority_and_mark_do_not_matter, vlan),
        SCRIPT_WITH(priority_by_tos, vlan_by_tos),
        SCRIPT_WITH(what_is_in_no_vlan_is_dropped, vlan),
        SCRIPT_WITH(what_is_in_another_vlan_is_dropped, vlan),
        SCRIPT_WITH(a_second_tag_is_dropped, vlan),
        SCRIPT_WITH(a_frame_that_ends_in_its_tag, vlan),
        SCRIPT(without_a_vlan_tags_are_dropped),
        SCRIPT(without_a_vlan_a_tag_may_carry_a_priority),
    };
    return cmocka_run_group_tests_name("vlan", tests, NULL, NULL);
}
