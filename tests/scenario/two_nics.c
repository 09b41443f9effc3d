/* Packet scripts: one NIC of a process with several. The language is in script.h. */
#include "script.h"

static void the_other_nics_address_is_local(void **state)
{
    (void)state;
    sock receiver = bound(OTHER_NIC ":5000");
    sock s = bound("any:7000");
    send_to(s, OTHER_NIC ":5000", "inside");
    expect_nothing(); /* not even a question for its MAC */
    expect_received(receiver, OTHER_NIC ":7000", "inside");
    expect_count(local_delivered, 1);
    assert_true(stack_is_own_address(script_stack(), ip_of(OTHER_NIC)));
    assert_false(stack_is_own_address(script_stack(), ip_of("10.1.0.2")));
}

static void an_answer_comes_from_where_the_question_went(void **state)
{
    (void)state;
    sock server = bound("any:5000");
    sock client = bound("any:7000");
    connect_to(client, OTHER_NIC ":5000");
    send_to(client, NULL, "question");
    expect_received(server, OTHER_NIC ":7000", "question");
    send_to(server, OTHER_NIC ":7000", "answer");
    expect_received(client, OTHER_NIC ":5000", "answer");
}

static void to_a_closed_port_there_the_error_is_at_once(void **state)
{
    (void)state;
    sock s = bound("any:7000");
    send_to(s, OTHER_NIC ":5000", "nobody");
    expect_error(s, RS_PORT_UNREACHABLE);
    expect_count(local_no_socket, 1);
    expect_nothing();
}

static void the_loopback_address_may_talk_to_it(void **state)
{
    (void)state;
    sock receiver = bound("any:5000");
    sock s = bound("127.0.0.1:7000");
    send_to(s, OTHER_NIC ":5000", "inside");
    expect_received(receiver, "127.0.0.1:7000", "inside");
}

static void a_frame_to_the_other_nics_address_is_refused(void **state)
{
    (void)state;
    sock receiver = bound(OTHER_NIC ":5000");
    sock any = bound("any:5000");
    struct frame frame = frame_udp(PEER ":5000", OTHER_NIC ":5000", "astray");
    mac_of(frame.data, OWN);
    inject(&frame);
    expect_no_datagram(receiver);
    expect_no_datagram(any);
    expect_count(ip_not_for_us, 1);
}

static void a_frame_from_the_other_nics_address_is_refused(void **state)
{
    (void)state;
    sock receiver = bound("any:5000");
    inject_udp(OTHER_NIC ":5000", OWN ":5000", "spoofed");
    expect_no_datagram(receiver);
    expect_count(ip_source_own, 1);
}

static void its_address_does_not_leave_by_this_nic(void **state)
{
    (void)state;
    script_know(PEER);
    sock s = bound(OTHER_NIC ":7000");
    send_fails(s, PEER ":5000", "x", RS_ADDR_NOT_AVAILABLE);
    expect_count(send_bad_source, 1);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_WITH(the_other_nics_address_is_local, two_nics),
        SCRIPT_WITH(an_answer_comes_from_where_the_question_went, two_nics),
        SCRIPT_WITH(to_a_closed_port_there_the_error_is_at_once, two_nics),
        SCRIPT_WITH(the_loopback_address_may_talk_to_it, two_nics),
        SCRIPT_WITH(a_frame_to_the_other_nics_address_is_refused, two_nics),
        SCRIPT_WITH(a_frame_from_the_other_nics_address_is_refused, two_nics),
        SCRIPT_WITH(its_address_does_not_leave_by_this_nic, two_nics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
