/*
 * Packet scripts: urgent data (RFC 9293 3.8.5) in the meaning that all systems share: the pointer
 * is one behind the urgent byte (RFC 6093), and the byte stays in the stream. See tcp_script.h.
 */
#include "tcp_script.h"

/* ---- sending ---- */

static void an_urgent_byte_leaves_with_its_mark(void **state)
{
    (void)state;
    conn c = established();
    send_urgent(c, 1);
    expect_tcp("PAU 1:2 ack 1 urg 1");
}

/* RFC 6093 2.1: the pointer counts from the segment's own sequence number. */
static void the_mark_is_behind_the_last_byte_written(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        write_bytes(c, 100);
        send_urgent(c, 10);
        write_bytes(c, 50);
    }
    expect_tcp("PAU 1:161 ack 1 urg 110");
}

/* RFC 9293 3.8.5: each segment before the mark tells of it, none behind it does. */
static void segments_up_to_the_mark_are_urgent(void **state)
{
    (void)state;
    conn c = established();
    send_urgent(c, 3000);
    expect_tcp("AU 1:1449 ack 1 urg 3000");
    expect_tcp("AU 1449:2897 ack 1 urg 1552");
    expect_tcp("PAU 2897:3001 ack 1 urg 104");
    inject_tcp("A 1 ack 3001");
    write_bytes(c, 100);
    expect_tcp("PA 3001:3101 ack 1");
}

/* Also while what is urgent is under way. */
static void what_follows_the_mark_is_not_urgent(void **state)
{
    (void)state;
    conn c = established(.settings = {.nodelay = true});
    send_urgent(c, 1);
    expect_tcp("PAU 1:2 ack 1 urg 1");
    write_bytes(c, 100);
    expect_tcp("PA 2:102 ack 1");
}

/* A later mark takes the place of the one before. */
static void a_later_mark_replaces_the_first(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000", .window = 100);
    in_one_iteration
    {
        send_urgent(c, 50);
        send_urgent(c, 100);
    }
    expect_tcp("AU 1:101 ack 1 urg 150");
    inject_tcp("A 1 ack 101 win 1000");
    expect_tcp("PAU 101:151 ack 1 urg 50");
}

/* RFC 9293 3.8.5: the mark is 16 bits wide; what lies further away is announced as far as it goes.
 */
static void a_mark_far_away_is_65535(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460", .send_bytes = 131072, .window = 1460);
    send_urgent(c, 70000);
    expect_tcp("AU 1:1461 ack 1 urg 65535");
    inject_tcp("A 1 ack 1461 win 1460");
    expect_tcp("AU 1461:2921 ack 1 urg 65535");
}

/* RFC 9293 3.8.5 (RFC 793): a closed window stops data, not the news that some is urgent; Linux
 * says so with the probe. */
static void a_probe_tells_that_urgent_data_waits(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000", .window = 100);
    inject_tcp("A 1 ack 1 win 0");
    send_urgent(c, 1);
    expect_tcp_after(200, "AU 0 ack 1 urg 2");
    inject_tcp("A 1 ack 1 win 100");
    expect_tcp("PAU 1:2 ack 1 urg 1");
}

/* Sent again it is still urgent. */
static void a_retransmission_keeps_its_mark(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000");
    send_urgent(c, 1);
    expect_tcp("PAU 1:2 ack 1 urg 1");
    expect_tcp_after(200, "PAU 1:2 ack 1 urg 1");
}

/* ---- receiving ---- */

/* RFC 9293 3.8.5 MUST-32: the program learns of it; the byte is read like the others. */
static void the_program_is_told_where_the_mark_is(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    expect_no_event(c, "URGENT");
    inject_tcp("PAU 101:111 ack 1 urg 10");
    expect_tcp("A 1 ack 111");
    expect_event(c, "URGENT");
    expect_info(c, urgent_pos, 110);
    read_bytes(c, 110);
}

/* RFC 9293 3.8.5: the news may come long before the data. */
static void the_mark_may_come_before_its_data(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("AU 1 ack 1 urg 2000");
    expect_nothing();
    expect_event(c, "URGENT");
    expect_info(c, urgent_pos, 2000);
    expect_readable(c, 0);
    inject_tcp_each(1000, "PA 1:2001 ack 1");
    expect_tcp("A 1 ack 1001");
    expect_tcp("A 1 ack 2001");
    read_bytes(c, 2000);
}

/* RFC 9293 3.10.7.4, sixth step: RCV.UP only moves on. */
static void a_mark_is_told_once_and_only_moves_on(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("AU 1:11 ack 1 urg 100");
    expect_tcp("A 1 ack 11");
    expect_event(c, "URGENT");
    inject_tcp("AU 11:21 ack 1 urg 90");
    expect_tcp("A 1 ack 21");
    inject_tcp("AU 21:31 ack 1 urg 50");
    expect_tcp("A 1 ack 31");
    expect_no_event(c, "URGENT");
    expect_info(c, urgent_pos, 100);
    inject_tcp("AU 31:41 ack 1 urg 71");
    expect_tcp("A 1 ack 41");
    expect_event(c, "URGENT");
    expect_info(c, urgent_pos, 101);
}

/* A mark in what has arrived already is old. */
static void a_mark_behind_what_is_received_is_ignored(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    inject_tcp("AU 1:101 ack 1 urg 50");
    expect_tcp("A 1 ack 101");
    inject_tcp("AU 101 ack 1 urg 0");
    expect_nothing();
    expect_no_event(c, "URGENT");
}

/* RFC 9293 3.10.7.4, sixth step: behind the peer's FIN nothing can be urgent. */
static void after_the_peers_fin_a_mark_is_ignored(void **state)
{
    (void)state;
    conn c = reached(TCP_CLOSE_WAIT);
    inject_tcp("AU 2 ack 1 urg 10");
    expect_no_event(c, "URGENT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(an_urgent_byte_leaves_with_its_mark),
        TCP_SCRIPT(the_mark_is_behind_the_last_byte_written),
        TCP_SCRIPT(segments_up_to_the_mark_are_urgent),
        TCP_SCRIPT(what_follows_the_mark_is_not_urgent),
        TCP_SCRIPT(a_later_mark_replaces_the_first),
        TCP_SCRIPT(a_mark_far_away_is_65535),
        TCP_SCRIPT(a_probe_tells_that_urgent_data_waits),
        TCP_SCRIPT(a_retransmission_keeps_its_mark),
        TCP_SCRIPT(the_program_is_told_where_the_mark_is),
        TCP_SCRIPT(the_mark_may_come_before_its_data),
        TCP_SCRIPT(a_mark_is_told_once_and_only_moves_on),
        TCP_SCRIPT(a_mark_behind_what_is_received_is_ignored),
        TCP_SCRIPT(after_the_peers_fin_a_mark_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
