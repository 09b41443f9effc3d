/*
 * Packet scripts: TIME_WAIT (RFC 9293 3.6.1, 3.10.7.4; RFC 1337, 6191, 7323): what it answers, how
 * long it lasts, when the pair may be used again. The language is in tcp_script.h.
 *
 * reached(TCP_TIME_WAIT) leaves both sequence numbers at 2. Our ISNs rise by 250 in a millisecond.
 */
#include "dataplane/stack_internal.h"

#include "tcp_script.h"

#define GAP 65537 /* between the last number of a connection and the ISN of its successor */

/* In TIME_WAIT, and its program is gone. */
static void waiting(const char *peer, const char *options)
{
    conn c = reached(TCP_TIME_WAIT, .peer = peer, .options = options);
    close_conn(c);
    expect_gone(c);
    expect_nothing();
    expect_flow_state(TCP_TIME_WAIT);
}

/* Linux: 60 s (RFC 9293 has two minutes for the maximum segment lifetime). */
static void it_lasts_a_minute(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    advance_ms(59900);
    expect_flow_state(TCP_TIME_WAIT);
    advance_ms(200);
    expect_flow_state(TCP_CLOSED);
    inject_tcp("FA 1 ack 2");
    expect_tcp("R 2");
}

/* RFC 9293 3.10.7.4 step 8: the FIN again is acknowledged and starts the time anew. */
static void the_fin_again_is_acknowledged_and_starts_it_anew(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    advance_ms(50000);
    inject_tcp("FA 1 ack 2");
    expect_tcp("A 2 ack 2 <ts 50000:50000>");
    advance_ms(59900);
    expect_flow_state(TCP_TIME_WAIT);
    advance_ms(200);
    expect_flow_state(TCP_CLOSED);
}

/* The peer depends on that ACK, so it does not fall under RFC 5961's limit. */
static void each_fin_is_acknowledged(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    for (int i = 0; i < 5; i++) {
        inject_tcp("FA 1 ack 2");
        expect_tcp("A 2 ack 2");
    }
}

/* RFC 1337: a reset must not end it early, wherever it stands. */
static void resets_are_ignored(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    inject_tcp("R 2");
    inject_tcp("RA 2 ack 2");
    inject_tcp("R 1000");
    expect_nothing();
    expect_flow_state(TCP_TIME_WAIT);
    expect_count(tcp_time_wait_dropped, 3);
}

static void a_bare_ack_in_order_needs_no_answer(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    inject_tcp("A 2 ack 2");
    expect_nothing();
    expect_flow_state(TCP_TIME_WAIT);
}

/* RFC 9293 3.10.7.4 step 1, limited as RFC 5961 section 7 wants it. */
static void other_segments_are_answered_at_a_limited_rate(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    inject_tcp("PA 2:102 ack 2");
    expect_tcp("A 2 ack 2");
    inject_tcp("PA 2:102 ack 2");
    inject_tcp("A 5000 ack 2");
    expect_nothing();
    expect_count(tcp_challenges_limited, 2);
    advance_ms(501);
    inject_tcp("A 5000 ack 2");
    expect_tcp("A 2 ack 2");
}

/* RFC 7323 section 5: an old FIN is no reason to wait longer. */
static void an_old_fin_does_not_start_it_anew(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    advance_ms(50000);
    inject_tcp("FA 1 ack 2 <ts -10:0>");
    expect_tcp("A 2 ack 2 <ts 50000:0>");
    advance_ms(10100);
    expect_flow_state(TCP_CLOSED);
}

/* What is ended here already was told to the program that stays; it may still read. */
static void a_program_may_stay_as_long_as_it_likes(void **state)
{
    (void)state;
    conn c = reached(TCP_TIME_WAIT);
    advance_ms(60100);
    expect_flow_state(TCP_CLOSED);
    write_fails(c, 10, RS_SHUTDOWN);
    close_conn(c);
    expect_gone(c);
    expect_nothing();
}

/* ---- a SYN for the pair (RFC 6191) ---- */

/* With a newer timestamp its sequence number does not matter; ours lies beyond the old numbers. */
static void a_syn_with_a_newer_timestamp_opens_a_connection(void **state)
{
    (void)state;
    server s = listening("any:7000");
    waiting(NULL, NULL);
    advance_ms(10);
    inject_tcp("S -5000 win 65535 <mss 1460,sackOK,ts 1000:0,wscale 7>");
    expect_tcp("SA %d ack -4999 <mss 1460,sackOK,ts 10:1000,wscale 1>", 2 + GAP);
    expect_flow_state(TCP_SYN_RECEIVED);
    inject_tcp("A -4999 ack %d", 3 + GAP);
    conn c = accepted(s);
    expect_connected(c);
    expect_state(c, TCP_ESTABLISHED);
    expect_count(tcp_time_waits_reopened, 1);
}

/* When the clock of ISNs is beyond the gap already, it says what the number is. */
static void the_new_isn_is_that_of_the_clock_when_this_is_greater(void **state)
{
    (void)state;
    (void)listening("any:7000");
    waiting(NULL, NULL);
    advance_ms(1000);
    inject_tcp("S 5000 win 65535 <mss 1460,sackOK,ts 1000:0,wscale 7>");
    expect_tcp("SA 250000 ack 5001");
}

/* After wrap, too, numbers are compared by their distance. */
static void the_new_connection_carries_data(void **state)
{
    (void)state;
    server s = listening("any:7000");
    waiting(NULL, NULL);
    advance_ms(10);
    new_incarnation();
    inject_tcp("S 100000 win 65535 <mss 1460,sackOK,ts 1000:0,wscale 7>");
    expect_tcp("SA 0 ack 100001");
    inject_tcp("PA 100001:100101 ack 1");
    expect_tcp("A 1 ack 100101");
    conn c = accepted(s);
    read_bytes(c, 100);
    write_bytes(c, 50);
    expect_tcp("PA 1:51 ack 100101");
    inject_tcp("A 100101 ack 51");
}

static void a_syn_with_an_older_timestamp_is_old(void **state)
{
    (void)state;
    server s = listening("any:7000");
    waiting(NULL, NULL);
    advance_ms(10);
    inject_tcp("S 5000 win 65535 <mss 1460,sackOK,ts -1:0,wscale 7>");
    expect_tcp("A 2 ack 2");
    expect_flow_state(TCP_TIME_WAIT);
    close_server(s);
}

/* RFC 6191 section 2: with the same timestamp the sequence number decides. */
static void with_the_same_timestamp_the_sequence_number_decides(void **state)
{
    (void)state;
    (void)listening("any:7000");
    waiting(NULL, NULL);
    inject_tcp("S 1 win 65535 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_tcp("A 2 ack 2");
    inject_tcp("S 3 win 65535 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_tcp("SA %d ack 4", 2 + GAP);
}

/* RFC 1122 4.2.2.13: without timestamps it must be greater than all of the old ones. */
static void without_timestamps_the_sequence_number_decides(void **state)
{
    (void)state;
    (void)listening("any:7000");
    waiting(NULL, "mss 1460");
    inject_tcp("S 1 win 65535 <mss 1460>");
    expect_tcp("A 2 ack 2 <>");
    expect_flow_state(TCP_TIME_WAIT);
    inject_tcp("S 3 win 65535 <mss 1460>");
    expect_tcp("SA %d ack 4 <mss 1460>", 2 + GAP);
}

/* Old segments carry no timestamps, and then could not be told from new ones: stricter than RFC
 * 6191, which lets any number pass. */
static void timestamps_that_are_new_do_not_excuse_a_lower_number(void **state)
{
    (void)state;
    server s = listening("any:7000");
    waiting(NULL, "mss 1460");
    inject_tcp("S -5000 win 65535 <mss 1460,ts 9000:0>");
    expect_tcp("A 2 ack 2 <>");
    expect_flow_state(TCP_TIME_WAIT);
    close_server(s);
}

/* A SYN that nobody would take ends nothing. */
static void without_a_listener_a_syn_is_old(void **state)
{
    (void)state;
    waiting(NULL, NULL);
    inject_tcp("S 5000 win 65535 <mss 1460,sackOK,ts 1000:0,wscale 7>");
    expect_tcp("A 2 ack 2");
    expect_flow_state(TCP_TIME_WAIT);
}

static void with_a_full_backlog_a_syn_is_old(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    waiting(NULL, NULL);
    inject_tcp("S 5000 win 65535 <mss 1460,sackOK,ts 1000:0,wscale 7>");
    expect_tcp("A 2 ack 2");
    expect_flow_state(TCP_TIME_WAIT);
    conn c = accepted(s);
    expect_connected(c);
}

/* An ACK, or a FIN, in it: that is no attempt to open anything. */
static void a_syn_with_ack_opens_nothing(void **state)
{
    (void)state;
    server s = listening("any:7000");
    waiting(NULL, NULL);
    inject_tcp("SA 5000 ack 2 <mss 1460,sackOK,ts 1000:0,wscale 7>");
    expect_tcp("A 2 ack 2");
    advance_ms(501);
    inject_tcp("SF 5000 <mss 1460,sackOK,ts 2000:0,wscale 7>");
    expect_tcp("A 2 ack 2");
    expect_flow_state(TCP_TIME_WAIT);
    close_server(s);
}

/* ---- connect ---- */

/* As Linux's tcp_tw_reuse: a second later timestamps tell old segments from new ones. */
static void connect_may_use_the_pair_again_after_a_second(void **state)
{
    (void)state;
    conn c = reached(TCP_TIME_WAIT);
    uint32_t last = tcp_of(c)->snd_nxt;
    close_conn(c);
    expect_gone(c);
    connecting_fails(RS_ADDR_IN_USE, PEER ":5000");
    advance_ms(1000);
    connecting_fails(RS_ADDR_IN_USE, PEER ":5000");
    advance_ms(1);
    conn d = connecting(PEER ":5000");
    expect_tcp("S 0 <mss 1460,sackOK,ts,wscale 1>");
    expect_number("distance of the new ISN", tcp_of(d)->iss - last, GAP);
    inject_tcp("SA 9000 ack 1 <mss 1460,sackOK,ts 2000:0,wscale 7>");
    expect_tcp("A 1 ack 9001");
    expect_connected(d);
}

static void without_timestamps_connect_waits_the_whole_time(void **state)
{
    (void)state;
    waiting(NULL, "mss 1460");
    advance_ms(59900);
    connecting_fails(RS_ADDR_IN_USE, PEER ":5000");
    advance_ms(200);
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    expect_state(c, TCP_SYN_SENT);
}

/* ---- the pool: fixture few has two places ---- */

static void the_oldest_gives_way(void **state)
{
    (void)state;
    waiting(PEER ":5001", NULL);
    waiting(PEER ":5002", NULL);
    waiting(PEER ":5003", NULL);
    on_flow(OWN ":7000", PEER ":5001");
    expect_flow_state(TCP_CLOSED);
    inject_tcp("FA 1 ack 2");
    expect_tcp("R 2");
    on_flow(OWN ":7000", PEER ":5002");
    expect_flow_state(TCP_TIME_WAIT);
    expect_count(tcp_time_waits_recycled, 1);
}

/* Whose FIN came again has its time anew, and so is not the oldest. */
static void whose_fin_came_again_is_not_the_oldest(void **state)
{
    (void)state;
    waiting(PEER ":5001", NULL);
    waiting(PEER ":5002", NULL);
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("FA 1 ack 2");
    expect_tcp("A 2 ack 2");
    waiting(PEER ":5003", NULL);
    on_flow(OWN ":7000", PEER ":5002");
    expect_flow_state(TCP_CLOSED);
    on_flow(OWN ":7000", PEER ":5001");
    expect_flow_state(TCP_TIME_WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(it_lasts_a_minute),
        TCP_SCRIPT(the_fin_again_is_acknowledged_and_starts_it_anew),
        TCP_SCRIPT_WITH(the_fin_again_is_acknowledged_and_starts_it_anew, wrap),
        TCP_SCRIPT(each_fin_is_acknowledged),
        TCP_SCRIPT(resets_are_ignored),
        TCP_SCRIPT(a_bare_ack_in_order_needs_no_answer),
        TCP_SCRIPT(other_segments_are_answered_at_a_limited_rate),
        TCP_SCRIPT(an_old_fin_does_not_start_it_anew),
        TCP_SCRIPT(a_program_may_stay_as_long_as_it_likes),
        TCP_SCRIPT(a_syn_with_a_newer_timestamp_opens_a_connection),
        TCP_SCRIPT_WITH(a_syn_with_a_newer_timestamp_opens_a_connection, wrap),
        TCP_SCRIPT(the_new_isn_is_that_of_the_clock_when_this_is_greater),
        TCP_SCRIPT(the_new_connection_carries_data),
        TCP_SCRIPT_WITH(the_new_connection_carries_data, wrap),
        TCP_SCRIPT(a_syn_with_an_older_timestamp_is_old),
        TCP_SCRIPT(with_the_same_timestamp_the_sequence_number_decides),
        TCP_SCRIPT(without_timestamps_the_sequence_number_decides),
        TCP_SCRIPT(timestamps_that_are_new_do_not_excuse_a_lower_number),
        TCP_SCRIPT(without_a_listener_a_syn_is_old),
        TCP_SCRIPT(with_a_full_backlog_a_syn_is_old),
        TCP_SCRIPT(a_syn_with_ack_opens_nothing),
        TCP_SCRIPT(connect_may_use_the_pair_again_after_a_second),
        TCP_SCRIPT(without_timestamps_connect_waits_the_whole_time),
        TCP_SCRIPT_WITH(the_oldest_gives_way, few),
        TCP_SCRIPT_WITH(whose_fin_came_again_is_not_the_oldest, few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
