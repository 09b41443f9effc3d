/* Packet scripts: ARP. The language is in script.h. */
#include "script.h"

static void an_address_is_probed_three_times_then_announced_twice(void **state)
{
    (void)state;
    expect_nothing();
    advance_ms(1000); /* PROBE_WAIT: within a second */
    expect_arp_probe();
    advance_ms(2000); /* PROBE_MIN 1 s to PROBE_MAX 2 s apart */
    expect_arp_probe();
    advance_ms(2000);
    expect_arp_probe();
    advance_ms(2000); /* ANNOUNCE_WAIT */
    expect_arp_announcement();
    advance_ms(2000);
    expect_arp_announcement();
    advance_ms(60000);
    expect_nothing();
}

static void a_loopback_stack_has_nothing_to_announce(void **state)
{
    (void)state;
    advance_ms(60000);
    assert_true(stack_next_timer_ns(script_stack()) == UINT64_MAX);
}

static void a_request_for_us_is_answered_to_the_asker(void **state)
{
    (void)state;
    inject_arp_request(PEER, OWN);
    expect_arp_reply(PEER);
    expect_count(arp_requests_in, 1);
}

static void a_request_for_another_host_is_not_answered(void **state)
{
    (void)state;
    inject_arp_request(PEER, PEER2);
    expect_nothing();
    expect_count(arp_not_for_us, 1);
}

static void who_asked_us_need_not_be_asked(void **state)
{
    (void)state;
    inject_arp_request(PEER, OWN);
    expect_arp_reply(PEER);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "known");
    expect_udp(OWN ":7000", PEER ":5000", "known", PEER);
}

static void an_unsolicited_reply_makes_no_entry(void **state)
{
    (void)state;
    inject_arp_reply(PEER, OWN);
    expect_count(arp_not_for_us, 1);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
}

static void a_datagram_waits_for_the_reply(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "first");
    expect_arp_request(PEER);
    send_to(s, PEER ":5000", "second"); /* no second request */
    expect_nothing();
    expect_count(waiting_neighbour, 2);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "first", PEER);
    expect_udp(OWN ":7000", PEER ":5000", "second", PEER);
    expect_count(arp_learned_in, 1);
}

static void a_request_is_repeated_until_the_reply_comes(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_arp_request(PEER);
    advance_ms(999);
    expect_nothing();
    advance_ms(1);
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "x", PEER);
    advance_ms(10000);
    expect_nothing();
}

static void without_an_answer_the_socket_gets_an_error(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "a");
    send_to(s, PEER ":5000", "b");
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_nothing();
    expect_error(s, RS_HOST_UNREACHABLE);
    expect_error(s, RS_HOST_UNREACHABLE);
    expect_count(neighbour_no_answer, 2);
    expect_notice(STACK_NOTICE_NEIGHBOUR_DEAD, PEER);
}

static void without_an_answer_a_closed_socket_is_left_alone(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "a");
    expect_arp_request(PEER);
    close_socket(s);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_count(neighbour_no_answer, 1);
}

static void a_dead_neighbour_refuses_sends_for_a_second_then_is_asked_again(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "a");
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_error(s, RS_HOST_UNREACHABLE);
    send_fails(s, PEER ":5000", "b", RS_HOST_UNREACHABLE);
    expect_count(send_neighbour_dead, 1);
    expect_nothing();
    advance_ms(1000);
    send_to(s, PEER ":5000", "c");
    expect_arp_request(PEER);
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "c", PEER);
}

static void a_dead_neighbour_that_speaks_up_is_alive(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "a");
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    advance_ms(1000);
    expect_error(s, RS_HOST_UNREACHABLE);
    inject_arp_request(PEER, PEER); /* gratuitous */
    send_to(s, PEER ":5000", "b");
    expect_udp(OWN ":7000", PEER ":5000", "b", PEER);
}

static void the_oldest_of_seventeen_waiting_datagrams_is_dropped(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    static const char *const text[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8",
                                       "9", "A", "B", "C", "D", "E", "F", "G"};
    for (int i = 0; i < 17; i++) {
        send_to(s, PEER ":5000", text[i]);
    }
    expect_arp_request(PEER);
    expect_count(neighbour_queue_full, 1);
    expect_count(waiting_neighbour, 16);
    inject_arp_reply(PEER, OWN);
    for (int i = 1; i < 17; i++) {
        expect_udp(OWN ":7000", PEER ":5000", text[i], PEER);
    }
}

static void an_old_entry_is_confirmed_with_its_owner_while_it_is_used(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    advance_ms(29999);
    send_to(s, PEER ":5000", "fresh");
    expect_udp(OWN ":7000", PEER ":5000", "fresh", PEER);
    advance_ms(1);
    send_to(s, PEER ":5000", "old");
    expect_arp_request_to(PEER);
    expect_udp(OWN ":7000", PEER ":5000", "old", PEER);
    send_to(s, PEER ":5000", "still");
    expect_udp(OWN ":7000", PEER ":5000", "still", PEER);
    inject_arp_reply(PEER, OWN);
    advance_ms(20000);
    send_to(s, PEER ":5000", "again");
    expect_udp(OWN ":7000", PEER ":5000", "again", PEER);
}

static void expiry_while_sending_falls_back_to_asking_everybody(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound("any:7000");
    advance_ms(30000);
    send_to(s, PEER ":5000", "1");
    expect_arp_request_to(PEER);
    expect_udp(OWN ":7000", PEER ":5000", "1", PEER);
    advance_ms(1000);
    expect_arp_request_to(PEER);
    advance_ms(1000);
    expect_arp_request_to(PEER);
    send_to(s, PEER ":5000", "2");
    expect_udp(OWN ":7000", PEER ":5000", "2", PEER);
    advance_ms(1000);
    expect_arp_request(PEER);
    send_to(s, PEER ":5000", "3"); /* no longer trusted */
    expect_nothing();
    inject_arp_reply(PEER, OWN);
    expect_udp(OWN ":7000", PEER ":5000", "3", PEER);
}

static void an_idle_entry_causes_no_traffic(void **state)
{
    (void)state;
    script_know(PEER);
    advance_ms(600000);
    expect_nothing();
}

static void a_gratuitous_announcement_moves_a_known_host(void **state)
{
    (void)state;
    script_know(PEER);
    struct frame moved = frame_arp(1, PEER, PEER);
    mac_of(moved.data + 6, "10.0.0.77");  /* frame source */
    mac_of(moved.data + 22, "10.0.0.77"); /* ARP sender */
    inject(&moved);
    sock s = bound("any:7000");
    send_to(s, PEER ":5000", "x");
    expect_udp(OWN ":7000", PEER ":5000", "x", "10.0.0.77");
}

static void a_gratuitous_announcement_of_a_stranger_is_ignored(void **state)
{
    (void)state;
    inject_arp_request(PEER2, PEER2);
    expect_count(arp_not_for_us, 1);
    expect_nothing();
}

static void a_conflict_is_noticed_and_defended(void **state)
{
    (void)state;
    struct frame claim = frame_arp(1, OWN, OWN);
    mac_of(claim.data + 6, PEER2);
    mac_of(claim.data + 22, PEER2);
    inject(&claim);
    expect_arp_announcement();
    expect_notice(STACK_NOTICE_ADDRESS_CONFLICT, OWN);
    expect_count(arp_conflicts_in, 1);
}

static void a_second_conflict_within_ten_seconds_is_not_defended(void **state)
{
    (void)state;
    struct frame claim = frame_arp(2, OWN, PEER);
    mac_of(claim.data, OWN);
    mac_of(claim.data + 6, PEER2);
    mac_of(claim.data + 22, PEER2);
    inject(&claim);
    expect_arp_announcement();
    advance_ms(9999);
    inject(&claim);
    expect_nothing();
    advance_ms(1);
    inject(&claim);
    expect_arp_announcement();
    expect_count(arp_conflicts_in, 3);
}

static void a_rival_probe_while_we_probe_is_a_conflict(void **state)
{
    (void)state;
    advance_ms(1000);
    expect_arp_probe();
    struct frame probe = frame_arp(1, "0.0.0.0", OWN);
    mac_of(probe.data + 6, PEER2);
    mac_of(probe.data + 22, PEER2);
    inject(&probe);
    expect_notice(STACK_NOTICE_ADDRESS_CONFLICT, OWN);
    expect_arp_announcement();
}

static void a_rival_probe_later_is_answered(void **state)
{
    (void)state;
    struct frame probe = frame_arp(1, "0.0.0.0", OWN);
    mac_of(probe.data + 6, PEER2);
    mac_of(probe.data + 22, PEER2);
    inject(&probe);
    expect_arp_reply(PEER2);
}

static void a_static_entry_needs_no_request_and_cannot_be_moved(void **state)
{
    (void)state;
    struct frame moved = frame_arp(1, "10.0.0.9", "10.0.0.9");
    mac_of(moved.data + 6, "10.0.0.77");
    mac_of(moved.data + 22, "10.0.0.77");
    inject(&moved);
    sock s = bound("any:7000");
    send_to(s, "10.0.0.9:5000", "x");
    expect_udp(OWN ":7000", "10.0.0.9:5000", "x", "10.0.0.9");
    advance_ms(3600000);
    send_to(s, "10.0.0.9:5000", "y");
    expect_udp(OWN ":7000", "10.0.0.9:5000", "y", "10.0.0.9");
}

static void a_full_table_forgets_a_host_nobody_talks_to(void **state)
{
    (void)state;
    script_know("10.0.0.20");
    script_know("10.0.0.21");
    script_know("10.0.0.22"); /* two entries and a static one */
    expect_count(neighbours_evicted, 1);
    sock s = bound("any:7000");
    send_to(s, "10.0.0.22:5000", "x");
    expect_udp(OWN ":7000", "10.0.0.22:5000", "x", "10.0.0.22");
    send_to(s, "10.0.0.9:5000", "static stays");
    expect_udp(OWN ":7000", "10.0.0.9:5000", "static stays", "10.0.0.9");
}

static void a_table_full_of_questions_refuses_a_send(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, "10.0.0.20:5000", "x");
    expect_arp_request("10.0.0.20");
    send_to(s, "10.0.0.21:5000", "x");
    expect_arp_request("10.0.0.21");
    send_fails(s, "10.0.0.22:5000", "x", RS_NO_BUFFERS);
    expect_count(neighbour_table_full, 1);
    inject_arp_reply("10.0.0.20", OWN);
    expect_udp(OWN ":7000", "10.0.0.20:5000", "x", "10.0.0.20");
    inject_arp_reply("10.0.0.21", OWN);
    expect_udp(OWN ":7000", "10.0.0.21:5000", "x", "10.0.0.21");
}

static void malformed_arp_is_counted(void **state)
{
    (void)state;
    struct frame frame;
    for (uint32_t len = 14; len < 42; len++) { /* truncated at every length */
        frame = frame_arp(1, PEER, OWN);
        frame.len_bytes = len;
        inject(&frame);
    }
    expect_count(arp_malformed, 28);
    for (int i = 14; i < 22; i++) { /* each byte of the fixed part */
        frame = frame_arp(1, PEER, OWN);
        frame.data[i] ^= 0x40;
        inject(&frame);
    }
    expect_count(arp_malformed, 36);
    frame = frame_arp(1, PEER, OWN);
    frame.data[22] = 0x01; /* a group as sender */
    inject(&frame);
    frame = frame_arp(1, "224.0.0.5", OWN);
    mac_of(frame.data + 6, PEER);
    inject(&frame);
    expect_count(arp_malformed, 38);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest scripts[] = {
        SCRIPT_WITH(an_address_is_probed_three_times_then_announced_twice, fresh),
        SCRIPT_WITH(a_loopback_stack_has_nothing_to_announce, loopback),
        SCRIPT(a_request_for_us_is_answered_to_the_asker),
        SCRIPT(a_request_for_another_host_is_not_answered),
        SCRIPT(who_asked_us_need_not_be_asked),
        SCRIPT(an_unsolicited_reply_makes_no_entry),
        SCRIPT(a_datagram_waits_for_the_reply),
        SCRIPT(a_request_is_repeated_until_the_reply_comes),
        SCRIPT(without_an_answer_the_socket_gets_an_error),
        SCRIPT(without_an_answer_a_closed_socket_is_left_alone),
        SCRIPT(a_dead_neighbour_refuses_sends_for_a_second_then_is_asked_again),
        SCRIPT(a_dead_neighbour_that_speaks_up_is_alive),
        SCRIPT(the_oldest_of_seventeen_waiting_datagrams_is_dropped),
        SCRIPT(an_old_entry_is_confirmed_with_its_owner_while_it_is_used),
        SCRIPT(expiry_while_sending_falls_back_to_asking_everybody),
        SCRIPT(an_idle_entry_causes_no_traffic),
        SCRIPT(a_gratuitous_announcement_moves_a_known_host),
        SCRIPT(a_gratuitous_announcement_of_a_stranger_is_ignored),
        SCRIPT(a_conflict_is_noticed_and_defended),
        SCRIPT(a_second_conflict_within_ten_seconds_is_not_defended),
        SCRIPT_WITH(a_rival_probe_while_we_probe_is_a_conflict, fresh),
        SCRIPT(a_rival_probe_later_is_answered),
        SCRIPT_WITH(a_static_entry_needs_no_request_and_cannot_be_moved, small),
        SCRIPT_WITH(a_full_table_forgets_a_host_nobody_talks_to, small),
        SCRIPT_WITH(a_table_full_of_questions_refuses_a_send, small),
        SCRIPT(malformed_arp_is_counted),
    };
    return cmocka_run_group_tests_name("arp", scripts, NULL, NULL);
}
