/*
 * Packet scripts: flow control. What we announce and when, SO_RCVBUF, silly windows on both sides,
 * closed windows and their probes. See tcp_script.h.
 */
#include "tcp_script.h"

/* No timestamps, no SACK, no scale: windows are as they stand, and there are no tail loss probes.
 */
#define PLAIN "mss 1000"

/* ---- what we announce ---- */

/* RFC 7323 2.2: 65535 at most in a SYN, scaled from then on. */
static void a_large_window_opens_after_the_handshake(void **state)
{
    (void)state;
    connecting(PEER ":5000", .recv_bytes = 1 << 20);
    expect_tcp("S 0 win 65535 <mss 1460,sackOK,ts 0:0,wscale 5>");
    inject_tcp("SA 0 ack 1 <mss 1460,wscale 7>");
    expect_tcp("A 1 ack 1 win 1048576");
}

static void a_passive_opens_large_window_opens_too(void **state)
{
    (void)state;
    server s = listening("any:7000", .recv_bytes = 1 << 20);
    inject_tcp("S 0 <mss 1460,wscale 7>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460,wscale 5>");
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 win 1047552"); /* 1047576, in units of 32 */
}

/* RFC 9293 3.8.6 SHLD-14: the right edge stays where it was announced; the window closes. */
static void unread_data_closes_the_window(void **state)
{
    (void)state;
    established(.recv_bytes = 4096);
    inject_tcp_each(1000, "A 1:4001 ack 1");
    expect_tcp("A 1 ack 1001 win 3096");
    expect_tcp("A 1 ack 2001 win 2096");
    expect_tcp("A 1 ack 3001 win 1096");
    expect_tcp("A 1 ack 4001 win 96");
    inject_tcp("A 4001:4097 ack 1");
    expect_tcp("A 1 ack 4097 win 0");
}

/* RFC 7323 2.4, Linux: low bits that the header has no room for are rounded up, or the edge would
 * move back. */
static void rounding_does_not_move_the_edge_back(void **state)
{
    (void)state;
    connecting(PEER ":5000", .recv_bytes = 1 << 20);
    expect_tcp("S 0 win 65535");
    inject_tcp("SA 0 ack 1 <mss 1460,wscale 7>");
    expect_tcp("A 1 ack 1 win 1048576");
    inject_tcp("A 1:2 ack 1");
    expect_tcp("A 1 ack 2 win 1048576");
    inject_tcp("A 2:33 ack 1");
    expect_tcp("A 1 ack 33 win 1048544");
    inject_tcp("A 33:34 ack 1");
    expect_tcp("A 1 ack 34 win 1048544");
}

/* What was announced is taken, also the last byte that only rounding has promised. */
static void every_byte_of_a_rounded_window_is_taken(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.ack_immediate = true});
    expect_tcp("S 0 win 65535 <mss 1460,sackOK,ts 0:0,wscale 1>");
    inject_tcp("SA 0 ack 1 <mss 1460,wscale 7>");
    expect_tcp("A 1 ack 1 win 65536");
    expect_connected(c);
    for (int at = 0; at < 65536; at += 1024) {
        inject_tcp("A %d:%d ack 1", 1 + at, 1025 + at);
        expect_tcp("A 1 ack %d win %d", 1025 + at, 65536 - 1024 - at);
    }
    read_bytes(c, 65536);
    expect_tcp("A 1 ack 65537 win 65536");
}

/* RFC 9293 3.8.6.2.2 MUST-39, SHLD-27: the edge moves on by a segment or half the buffer. */
static void a_window_update_is_not_sent_for_less_than_a_segment(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 8192);
    inject_tcp_each(1024, "A 1:8193 ack 1");
    for (int at = 1024; at <= 8192; at += 1024) {
        expect_tcp("A 1 ack %d win %d", 1 + at, 8192 - at);
    }
    read_bytes(c, 1000);
    read_bytes(c, 23);
    expect_nothing();
    read_bytes(c, 1);
    expect_tcp("A 1 ack 8193 win 1024");
}

static void half_of_a_small_buffer_is_worth_an_update(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 1024);
    inject_tcp("A 1:1025 ack 1");
    expect_tcp("A 1 ack 1025 win 0");
    read_bytes(c, 511);
    expect_nothing();
    read_bytes(c, 1);
    expect_tcp("A 1 ack 1025 win 512");
}

/* The same rule for ACKs that leave anyway: a little room is not announced. */
static void an_ack_does_not_tell_of_a_little_room(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    inject_tcp_each(1024, "A 1:4097 ack 1");
    expect_tcp("A 1 ack 1025 win 3072");
    expect_tcp("A 1 ack 2049 win 2048");
    expect_tcp("A 1 ack 3073 win 1024");
    expect_tcp("A 1 ack 4097 win 0");
    read_bytes(c, 500);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 4097 win 0");
    inject_tcp("A 4097:4098 ack 11");
    expect_tcp("A 11 ack 4097 win 0");
    read_bytes(c, 524);
    expect_tcp("A 11 ack 4097 win 1024");
}

/* Linux: while much is left the peer needs no update; the next ACK tells it. */
static void an_update_is_not_sent_while_half_the_window_is_left(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 8192);
    inject_tcp_each(1024, "A 1:4097 ack 1");
    expect_tcp("A 1 ack 1025 win 7168");
    expect_tcp("A 1 ack 2049 win 6144");
    expect_tcp("A 1 ack 3073 win 5120");
    expect_tcp("A 1 ack 4097 win 4096");
    read_bytes(c, 3072);
    expect_nothing();
    inject_tcp("A 4097:5121 ack 1");
    expect_tcp("A 1 ack 5121 win 6144");
    read_bytes(c, 2048);
    expect_nothing();
}

/* RFC 9293 3.8.6.1 MUST-36: a probe of our closed window is answered; without data, as Linux's, or
 * with a byte. */
static void probes_of_our_closed_window_are_answered(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 1024);
    inject_tcp("A 1:1025 ack 1");
    expect_tcp("A 1 ack 1025 win 0");
    inject_tcp("A 1024 ack 1");
    expect_tcp("A 1 ack 1025 win 0 <ts>");
    inject_tcp("A 1025:1026 ack 1");
    expect_tcp("A 1 ack 1025 win 0 <ts>");
    read_bytes(c, 1024);
    expect_tcp("A 1 ack 1025 win 1024");
    inject_tcp("A 1025:1026 ack 1");
    expect_tcp("A 1 ack 1026");
}

/* Linux: nothing more will come, so the room is of no interest to the peer. */
static void after_the_peers_fin_no_update_is_sent(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    inject_tcp_each(1000, "FA 1:4001 ack 1");
    expect_tcp("A 1 ack 1001");
    expect_tcp("A 1 ack 2001");
    expect_tcp("A 1 ack 3001");
    expect_tcp("A 1 ack 4002");
    expect_end(c);
    read_bytes(c, 4000);
    expect_nothing();
}

/* ---- SO_RCVBUF ---- */

static void the_receive_limit_is_what_the_syn_announces(void **state)
{
    (void)state;
    connecting(PEER ":5000", .recv_limit_bytes = 3000);
    expect_tcp("S 0 win 3000");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1 win 3000");
}

/* RFC 9293 3.8.6 SHLD-14: what is announced stays, and is taken; then the lower limit holds. */
static void a_lower_limit_does_not_shrink_the_window(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    set_recv_limit(c, 1000);
    expect_nothing();
    inject_tcp_each(1024, "A 1:4097 ack 1");
    expect_tcp("A 1 ack 1025 win 3072");
    expect_tcp("A 1 ack 2049 win 2048");
    expect_tcp("A 1 ack 3073 win 1024");
    expect_tcp("A 1 ack 4097 win 0");
    read_bytes(c, 3000);
    expect_nothing();
    read_bytes(c, 1096);
    expect_tcp("A 1 ack 4097 win 1000");
}

static void a_higher_limit_opens_the_window_at_once(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 8192, .recv_limit_bytes = 1000);
    set_recv_limit(c, 8192);
    expect_tcp("A 1 ack 1 win 8192");
}

/* RFC 9293 3.8.6.2.2 holds for it as well. */
static void a_little_higher_limit_is_not_worth_an_update(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 8192, .recv_limit_bytes = 1000);
    set_recv_limit(c, 1400);
    expect_nothing();
}

/* ---- what we may send ---- */

/* RFC 9293 3.8.6: no more than the window, whatever was written. */
static void no_more_is_sent_than_the_window_takes(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 3000);
    write_bytes(c, 10000);
    expect_tcp_each(1000, "A 1:3001 ack 1 nopush");
    expect_nothing();
    inject_tcp("A 1 ack 1001 win 3000");
    expect_tcp("A 3001:4001 ack 1");
    inject_tcp("A 1 ack 4001 win 3000");
    expect_tcp_each(1000, "A 4001:7001 ack 1 nopush");
}

/* RFC 9293 3.8.6.2.1 (2)-(4): a part of a segment leaves when the window takes half of the largest
 * one it ever was. */
static void half_the_largest_window_may_be_used(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1600);
    write_bytes(c, 5000);
    expect_tcp("A 1:1001 ack 1");
    expect_nothing(); /* 600 are left: less than half of 1600 */
    inject_tcp("A 1 ack 1001 win 800");
    expect_tcp("A 1001:1801 ack 1");
    expect_nothing();
}

/* RFC 9293 3.8.6.2.1 (4): less waits, but not for ever. */
static void a_silly_window_is_used_after_a_while(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 10000);
    inject_tcp("A 1 ack 1 win 100");
    write_bytes(c, 1000);
    expect_nothing();
    expect_tcp_after(200, "A 1:101 ack 1");
    inject_tcp("A 1 ack 101 win 10000");
    expect_tcp("PA 101:1001 ack 1");
}

/* RFC 9293 3.10.7.4: an update is one by WL1, so of two segments that overtook each other the later
 * one counts. */
static void the_window_is_that_of_the_newest_segment(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 4000);
    inject_tcp("A 101:201 ack 1 win 1000");
    expect_tcp("A 1 ack 1");
    inject_tcp("A 1:101 ack 1 win 4000");
    expect_tcp("A 1 ack 201");
    write_bytes(c, 3000);
    expect_tcp("A 1:1001 ack 201");
    expect_nothing();
}

/* And by WL2: an older ACK changes nothing. */
static void an_older_ack_does_not_change_the_window(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 4000);
    write_bytes(c, 3000);
    expect_tcp_each(1000, "PA 1:3001 ack 1");
    inject_tcp("A 1 ack 3001 win 1000");
    inject_tcp("A 1 ack 1001 win 4000");
    expect_info(c, snd_wnd_bytes, 1000);
    write_bytes(c, 3000);
    expect_tcp("A 3001:4001 ack 1");
    expect_nothing();
}

/* ---- the closed window ---- */

/* RFC 9293 3.8.6.1 MUST-35, 37, SHLD-29, 30; Linux: a probe is the byte before, without data; the
 * time doubles from the RTO to its maximum. As long as the peer answers this goes on for ever. */
static void a_closed_window_is_probed_less_and_less_often(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1000);
    inject_tcp("A 1 ack 1 win 0");
    write_bytes(c, 500);
    expect_nothing();
    uint64_t wait_ms = 200;
    for (int i = 0; i < 30; i++) {
        expect_tcp_after(wait_ms, "A 0 ack 1 <>");
        inject_tcp("A 1 ack 1 win 0");
        wait_ms = wait_ms < 60000 ? 2 * wait_ms : 120000;
    }
    expect_count(tcp_window_probes, 30);
    inject_tcp("A 1 ack 1 win 1000");
    expect_tcp("PA 1:501 ack 1");
}

/* RFC 9293 3.8.6.1: an update needs no probe. */
static void an_update_opens_the_window(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1000);
    write_bytes(c, 3000);
    expect_tcp("A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001 win 0");
    expect_nothing();
    inject_tcp("A 1 ack 1001 win 2000");
    expect_tcp_each(1000, "PA 1001:3001 ack 1");
    inject_tcp("A 1 ack 3001 win 2000");
    advance_ms(5000);
    expect_nothing();
}

/* RFC 9293 3.8.6.1: the update was lost; the probe's answer is as good. */
static void a_lost_update_is_found_by_a_probe(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1000);
    write_bytes(c, 2000);
    expect_tcp("A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001 win 0");
    expect_tcp_after(200, "A 1000 ack 1");
    inject_tcp("A 1 ack 1001 win 1000");
    expect_tcp("PA 1001:2001 ack 1");
}

/* The time between probes begins anew when the window closes again. */
static void each_closing_begins_with_the_short_time(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1000);
    write_bytes(c, 3000);
    expect_tcp("A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001 win 0");
    expect_tcp_after(200, "A 1000 ack 1");
    expect_tcp_after(400, "A 1000 ack 1");
    inject_tcp("A 1 ack 1001 win 1000");
    expect_tcp("A 1001:2001 ack 1");
    inject_tcp("A 1 ack 2001 win 0");
    expect_tcp_after(200, "A 2000 ack 1");
    expect_tcp_after(400, "A 2000 ack 1");
}

/* Nothing to send: a closed window is no concern. */
static void an_idle_connection_does_not_probe(void **state)
{
    (void)state;
    established(.options = PLAIN, .window = 1000);
    inject_tcp("A 1 ack 1 win 0");
    advance_ms(600000);
    expect_nothing();
}

/* RFC 9293 3.4: a FIN has a sequence number, so it waits for the window. */
static void a_fin_waits_for_the_window(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1000);
    inject_tcp("A 1 ack 1 win 0");
    shutdown_send(c);
    expect_tcp_after(200, "A 0 ack 1");
    inject_tcp("A 1 ack 1 win 1");
    expect_tcp("FA 1 ack 1");
}

/* RFC 9293 3.8.6.1, Linux tcp_retries2: 15 probes without any answer are enough. */
static void a_peer_that_answers_no_probe_is_given_up(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 1000);
    inject_tcp("A 1 ack 1 win 0");
    write_bytes(c, 500);
    uint64_t wait_ms = 200;
    for (int i = 0; i < 15; i++) {
        expect_tcp_after(wait_ms, "A 0 ack 1");
        wait_ms = wait_ms < 60000 ? 2 * wait_ms : 120000;
    }
    advance_ms(119999);
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(2);
    expect_error(c, RS_TIMED_OUT);
    expect_nothing();
}

/* ---- the window that shrinks ---- */

/* RFC 9293 3.8.6 MUST-34, SHLD-15, 16: no new data; what is under way inside is sent again. */
static void a_window_that_shrinks_stops_new_data(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 4000);
    write_bytes(c, 6000);
    expect_tcp_each(1000, "A 1:4001 ack 1 nopush");
    inject_tcp("A 1 ack 1001 win 1000");
    expect_nothing();
    expect_tcp_after(200, "A 1001:2001 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 4001 win 4000");
    expect_tcp_each(1000, "PA 4001:6001 ack 1");
}

/* RFC 9293 3.8.6 SHLD-16: nor is more sent again than the window takes. */
static void what_lies_beyond_a_window_that_shrank_waits(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 4000);
    write_bytes(c, 4000);
    expect_tcp_each(1000, "PA 1:4001 ack 1");
    inject_tcp("A 1 ack 1 win 1000");
    expect_tcp_after(200, "A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001 win 1000");
    expect_tcp("A 1001:2001 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 2001 win 4000");
    expect_tcp_each(1000, "PA 2001:4001 ack 1");
}

/* RFC 9293 3.8.6 MUST-35, SHLD-17; Linux: what was under way into a window that closed is its
 * probe, and the connection lasts as long as the peer answers. */
static void data_beyond_a_window_that_closed_does_not_time_out(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 3000);
    write_bytes(c, 3000);
    expect_tcp_each(1000, "PA 1:3001 ack 1");
    inject_tcp("A 1 ack 1001 win 0");
    uint64_t wait_ms = 200;
    for (int i = 0; i < 30; i++) {
        expect_tcp_after(wait_ms, "A 1001:2001 ack 1");
        inject_tcp("A 1 ack 1001 win 0");
        wait_ms = wait_ms < 60000 ? 2 * wait_ms : 120000;
    }
    inject_tcp("A 1 ack 3001 win 3000");
    expect_acked(c, 3000);
    advance_ms(1000);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_large_window_opens_after_the_handshake),
        TCP_SCRIPT(a_passive_opens_large_window_opens_too),
        TCP_SCRIPT(unread_data_closes_the_window),
        TCP_SCRIPT(rounding_does_not_move_the_edge_back),
        TCP_SCRIPT(every_byte_of_a_rounded_window_is_taken),
        TCP_SCRIPT(a_window_update_is_not_sent_for_less_than_a_segment),
        TCP_SCRIPT(half_of_a_small_buffer_is_worth_an_update),
        TCP_SCRIPT(an_ack_does_not_tell_of_a_little_room),
        TCP_SCRIPT(an_update_is_not_sent_while_half_the_window_is_left),
        TCP_SCRIPT(probes_of_our_closed_window_are_answered),
        TCP_SCRIPT(after_the_peers_fin_no_update_is_sent),
        TCP_SCRIPT(the_receive_limit_is_what_the_syn_announces),
        TCP_SCRIPT(a_lower_limit_does_not_shrink_the_window),
        TCP_SCRIPT(a_higher_limit_opens_the_window_at_once),
        TCP_SCRIPT(a_little_higher_limit_is_not_worth_an_update),
        TCP_SCRIPT(no_more_is_sent_than_the_window_takes),
        TCP_SCRIPT(half_the_largest_window_may_be_used),
        TCP_SCRIPT(a_silly_window_is_used_after_a_while),
        TCP_SCRIPT(the_window_is_that_of_the_newest_segment),
        TCP_SCRIPT(an_older_ack_does_not_change_the_window),
        TCP_SCRIPT(a_closed_window_is_probed_less_and_less_often),
        TCP_SCRIPT(an_update_opens_the_window),
        TCP_SCRIPT(a_lost_update_is_found_by_a_probe),
        TCP_SCRIPT(each_closing_begins_with_the_short_time),
        TCP_SCRIPT(an_idle_connection_does_not_probe),
        TCP_SCRIPT(a_fin_waits_for_the_window),
        TCP_SCRIPT(a_peer_that_answers_no_probe_is_given_up),
        TCP_SCRIPT(a_window_that_shrinks_stops_new_data),
        TCP_SCRIPT(what_lies_beyond_a_window_that_shrank_waits),
        TCP_SCRIPT(data_beyond_a_window_that_closed_does_not_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
