/*
 * Packet scripts: small segments wait (RFC 9293 3.7.4) in Minshall's form, as Linux does it: not
 * for any data under way, but for another small segment. See tcp_script.h.
 */
#include "tcp_script.h"

/* RFC 9293 3.7.4: nothing is under way, so nothing is waited for. */
static void a_small_segment_leaves_an_idle_connection_at_once(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
}

/* RFC 9293 3.7.4 SHLD-7: what is written meanwhile leaves together when the first is acknowledged.
 */
static void small_writes_wait_and_leave_together(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 20);
    write_bytes(c, 30);
    expect_nothing();
    inject_tcp("A 1 ack 11");
    expect_tcp("PA 11:61 ack 1");
    expect_nothing();
}

/* Full segments never wait. */
static void a_full_segment_does_not_wait(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 1448);
    expect_tcp("PA 11:1459 ack 1");
    write_bytes(c, 2896);
    expect_tcp_each(1448, "PA 1459:4355 ack 1");
}

/* Small writes that make a full segment leave as one. */
static void what_becomes_a_full_segment_leaves(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 1000);
    expect_nothing();
    write_bytes(c, 447);
    expect_nothing();
    write_bytes(c, 1);
    expect_tcp("PA 11:1459 ack 1");
}

/* Minshall (Linux): the small end of a large write does not wait for the full segments before it.
 */
static void the_small_end_of_a_large_write_leaves_with_it(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 3000);
    expect_tcp_each(1448, "PA 1:3001 ack 1");
}

/* Minshall: but the next small one waits until that end is acknowledged, not only what is before.
 */
static void after_a_small_end_the_next_small_segment_waits(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 3000);
    expect_tcp_each(1448, "PA 1:3001 ack 1");
    write_bytes(c, 10);
    expect_nothing();
    inject_tcp("A 1 ack 2897");
    expect_nothing();
    inject_tcp("A 1 ack 3001");
    expect_tcp("PA 3001:3011 ack 1");
}

/* Minshall: full segments under way hold nothing back. */
static void full_segments_under_way_hold_nothing_back(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 2896);
    expect_tcp_each(1448, "PA 1:2897 ack 1");
    write_bytes(c, 10);
    expect_tcp("PA 2897:2907 ack 1");
    write_bytes(c, 10);
    expect_nothing();
}

/* In a large write behind a small one only the end waits. */
static void only_the_small_part_waits(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 3000);
    expect_tcp("A 11:1459 ack 1 nopush");
    expect_tcp("A 1459:2907 ack 1 nopush");
    expect_nothing();
    inject_tcp("A 1 ack 11");
    expect_tcp("PA 2907:3011 ack 1");
}

/* RFC 9293 3.7.4 MUST-17: it can be switched off. */
static void with_nodelay_each_write_leaves(void **state)
{
    (void)state;
    conn c = established(.settings = {.nodelay = true});
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 10);
    expect_tcp("PA 11:21 ack 1");
    write_bytes(c, 10);
    expect_tcp("PA 21:31 ack 1");
}

/* Linux: TCP_NODELAY pushes what waits. */
static void switching_to_nodelay_releases_what_waits(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 20);
    expect_nothing();
    set_settings(c, .nodelay = true);
    expect_tcp("PA 11:31 ack 1");
    set_settings(c, .nodelay = false);
    write_bytes(c, 20);
    expect_nothing();
}

/* Linux: nothing follows a FIN, so waiting would gain nothing. */
static void a_fin_releases_what_waits(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 20);
    expect_nothing();
    shutdown_send(c);
    expect_tcp("FPA 11:31 ack 1");
}

static void closing_releases_what_waits(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 20);
    close_conn(c);
    expect_tcp("FPA 11:31 ack 1");
}

/* RFC 9293 3.8.5, Linux: urgent data does not wait. */
static void urgent_data_does_not_wait(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    send_urgent(c, 1);
    expect_tcp("PAU 11:12 ack 1 urg 1");
}

/* What is small depends on the segment size that was agreed on. */
static void a_segment_is_full_by_the_agreed_mss(void **state)
{
    (void)state;
    conn c = established(.options = "mss 500");
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 499);
    expect_nothing();
    write_bytes(c, 1);
    expect_tcp("PA 11:511 ack 1");
}

/* SACK blocks take room from the payload; such a segment is full nevertheless. */
static void a_segment_with_sack_blocks_is_full_when_nothing_more_fits(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1 <ts,sack 101:201>");
    write_bytes(c, 1436);
    expect_tcp("PA 11:1447 ack 1 <ts,sack 101:201>");
    write_bytes(c, 1435);
    expect_nothing();
    inject_tcp("A 1 ack 11"); /* so no small one is under way any more */
    expect_tcp("PA 1447:2882 ack 1 <ts,sack 101:201>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_small_segment_leaves_an_idle_connection_at_once),
        TCP_SCRIPT(small_writes_wait_and_leave_together),
        TCP_SCRIPT(a_full_segment_does_not_wait),
        TCP_SCRIPT(what_becomes_a_full_segment_leaves),
        TCP_SCRIPT(the_small_end_of_a_large_write_leaves_with_it),
        TCP_SCRIPT(after_a_small_end_the_next_small_segment_waits),
        TCP_SCRIPT(full_segments_under_way_hold_nothing_back),
        TCP_SCRIPT(only_the_small_part_waits),
        TCP_SCRIPT(with_nodelay_each_write_leaves),
        TCP_SCRIPT(switching_to_nodelay_releases_what_waits),
        TCP_SCRIPT(a_fin_releases_what_waits),
        TCP_SCRIPT(closing_releases_what_waits),
        TCP_SCRIPT(urgent_data_does_not_wait),
        TCP_SCRIPT(a_segment_is_full_by_the_agreed_mss),
        TCP_SCRIPT(a_segment_with_sack_blocks_is_full_when_nothing_more_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
