/*
 * Packet scripts: what one datagram wants otherwise than its socket (struct udp_control), what its
 * header brings, and when it was sent. The language is in script.h.
 */
#include "dataplane/stack_internal.h"
#include "script.h"

#define OUT_UDP(text, header) "udp " OWN ":7000 > " PEER ":5000 \"" text "\" " header " via " PEER

static void ttl_and_tos_are_one_datagrams(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_with(s, PEER ":5000", "other", RS_OK, .ttl_set = true, .ttl = 7, .tos = 0x20,
              .tos_mask = 0xff);
    expect_out(OUT_UDP("other", "ttl 7 tos 32"));
    send_to(s, PEER ":5000", "usual");
    expect_udp(OWN ":7000", PEER ":5000", "usual", PEER);
}

static void ecn_bits_leave_the_others_alone(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    udp_of(s)->tos = 0xb8;
    send_with(s, PEER ":5000", "ect0", RS_OK, .tos = 2, .tos_mask = 3);
    expect_out(OUT_UDP("ect0", "ttl 128 tos 186"));
    send_with(s, PEER ":5000", "ect1", RS_OK, .tos = 1, .tos_mask = 3);
    expect_out(OUT_UDP("ect1", "ttl 128 tos 185"));
    send_to(s, PEER ":5000", "none");
    expect_out(OUT_UDP("none", "ttl 128 tos 184"));
}

static void what_the_header_says_arrives(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    for (unsigned tos = 0; tos < 4; tos++) {
        struct frame frame = frame_udp(PEER ":5000", OWN ":7000", "hello");
        frame.data[15] = (uint8_t)tos;
        frame.data[22] = (uint8_t)(60 + tos);
        frame_fix_ip(&frame);
        inject(&frame);
        expect_header(s, 60 + tos, tos);
        expect_received(s, PEER ":5000", "hello");
    }
    sock here = bound("any:7001");
    send_with(here, OWN ":7000", "local", RS_OK, .ttl_set = true, .ttl = 3, .tos = 2,
              .tos_mask = 3);
    expect_header(s, 3, 2);
    expect_received(s, OWN ":7001", "local");
}

/* RFC 1122 3.2.1.7: nothing leaves with a TTL of 0. */
static void a_ttl_of_nothing(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    send_with(s, PEER ":5000", "none", RS_INVALID, .ttl_set = true, .ttl = 0);
    expect_nothing();
    send_with(s, OWN ":7000", "local", RS_OK, .ttl_set = true, .ttl = 0);
    expect_received(s, OWN ":7000", "local");
}

static void a_groups_ttl(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock member = bound("any:5000");
    join(member, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    send_with(s, GROUP ":5000", "far", RS_OK, .ttl_set = true, .ttl = 5);
    expect_out("udp " OWN ":7000 > " GROUP ":5000 \"far\" ttl 5 via group");
    expect_header(member, 5, 0);
    expect_received(member, OWN ":7000", "far");
    send_with(s, GROUP ":5000", "here", RS_OK, .ttl_set = true, .ttl = 0);
    expect_nothing();
    expect_header(member, 0, 0);
    expect_received(member, OWN ":7000", "here");
}

static void a_named_source(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    sock to = bound("any:5000");
    send_with(s, OWN ":5000", "alias", RS_OK, .src_be32 = ip_of("127.0.0.5"));
    expect_received(to, "127.0.0.5:7000", "alias");
    send_with(s, PEER ":5000", "out", RS_OK, .src_be32 = ip_of(OWN));
    expect_udp(OWN ":7000", PEER ":5000", "out", PEER);
    /* Also of a socket that is bound to another one. */
    sock loop = bound("127.0.0.1:7001");
    send_with(loop, PEER ":5000", "out", RS_OK, .src_be32 = ip_of(OWN));
    expect_udp(OWN ":7001", PEER ":5000", "out", PEER);
}

static void a_source_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    script_know(PEER);
    static const char *const wrong[] = {PEER, PEER2, GROUP, "255.255.255.255", "0.0.0.9"};
    sock s = bound("any:7000");
    sock to = bound("any:5000");
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        send_with(s, PEER ":5000", "no", RS_ADDR_NOT_AVAILABLE, .src_be32 = ip_of(wrong[i]));
        send_with(s, OWN ":5000", "no", RS_ADDR_NOT_AVAILABLE, .src_be32 = ip_of(wrong[i]));
    }
    send_with(s, PEER ":5000", "no", RS_ADDR_NOT_AVAILABLE, .src_be32 = ip_of("127.0.0.1"));
    expect_nothing();
    expect_no_datagram(to);
    expect_count(send_bad_source, 11);
}

static void a_stamp_comes_when_the_nic_has_the_frame(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_tx(script_nic(), 1);
    send_with(s, PEER ":5000", "1", RS_OK, .stamped = true, .stamp = 11);
    expect_stamp(11);
    send_to(s, PEER ":5000", "2");
    send_with(s, PEER ":5000", "3", RS_OK, .stamped = true, .stamp = 13);
    expect_no_stamp();
    nic_memory_limit_tx(script_nic(), 1);
    stack_flush(script_stack());
    expect_no_stamp();
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    stack_flush(script_stack());
    expect_stamp(13);
    expect_udp(OWN ":7000", PEER ":5000", "1", PEER);
    expect_udp(OWN ":7000", PEER ":5000", "2", PEER);
    expect_udp(OWN ":7000", PEER ":5000", "3", PEER);
}

static void a_frame_that_waits_for_its_neighbour_is_stamped_later(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_with(s, PEER ":5000", "hello", RS_OK, .stamped = true, .stamp = 5);
    expect_arp_request(PEER);
    expect_no_stamp();
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "hello", PEER);
    expect_stamp(5);
}

static void a_dropped_frame_has_no_stamp(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    nic_memory_limit_tx(script_nic(), 0);
    send_with(s, PEER ":5000", "lost", RS_OK, .stamped = true, .stamp = 1);
    advance_ms(2001);
    stack_flush(script_stack());
    expect_count(tx_stuck, 1);
    assert_int_equal(script_stack()->tx_stamps, 0); /* nothing to look for any more */
    nic_memory_limit_tx(script_nic(), UINT32_MAX);
    send_to(s, PEER ":5000", "x");
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
    expect_no_stamp();
    send_with(s, PEER ":5000", "y", RS_OK, .stamped = true, .stamp = 2);
    expect_udp(OWN ":7000", PEER ":5000", "y", PEER);
    expect_stamp(2);
}

static void a_local_send_is_stamped_at_once(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock to = bound("any:5000");
    send_with(s, OWN ":5000", "hello", RS_OK, .stamped = true, .stamp = 3);
    expect_stamp(3);
    expect_received(to, OWN ":7000", "hello");
    send_with(s, OWN ":5001", "nobody", RS_OK, .stamped = true, .stamp = 4);
    expect_stamp(4);
    expect_error(s, RS_PORT_UNREACHABLE);
    send_with(s, OWN ":5000", "no", RS_ADDR_NOT_AVAILABLE, .src_be32 = ip_of(PEER), .stamped = true,
              .stamp = 6);
    expect_no_stamp();
}

static void a_group_is_stamped_once(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    sock member = bound("any:5000");
    join(member, GROUP);
    expect_igmp("v3 TO_EX 239.1.1.1 {}");
    send_with(s, GROUP ":5000", "out", RS_OK, .stamped = true, .stamp = 7, .ttl_set = true,
              .ttl = 128);
    expect_stamp(7);
    expect_udp(OWN ":7000", GROUP ":5000", "out", "group");
    expect_received(member, OWN ":7000", "out");
    send_with(s, GROUP ":5000", "in", RS_OK, .stamped = true, .stamp = 8, .ttl_set = true);
    expect_stamp(8);
    expect_received(member, OWN ":7000", "in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT(ttl_and_tos_are_one_datagrams),
        SCRIPT(ecn_bits_leave_the_others_alone),
        SCRIPT(what_the_header_says_arrives),
        SCRIPT(a_ttl_of_nothing),
        SCRIPT(a_groups_ttl),
        SCRIPT(a_named_source),
        SCRIPT(a_source_that_is_not_ours_is_refused),
        SCRIPT(a_stamp_comes_when_the_nic_has_the_frame),
        SCRIPT(a_frame_that_waits_for_its_neighbour_is_stamped_later),
        SCRIPT(a_dropped_frame_has_no_stamp),
        SCRIPT(a_local_send_is_stamped_at_once),
        SCRIPT(a_group_is_stamped_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
