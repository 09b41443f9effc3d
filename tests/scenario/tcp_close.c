/*
 * Packet scripts: how connections end (RFC 9293 3.6, 3.10.4, 3.10.7.4): FINs and their ACKs in
 * every order, half-close, linger, what a program leaves behind. The language is in tcp_script.h.
 */
#include "tcp_script.h"

/* ---- who closes first ---- */

/* RFC 9293 3.6, figure 12: FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT. */
static void who_closes_first_waits(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    expect_state(c, TCP_FIN_WAIT_1);
    inject_tcp("A 1 ack 2");
    expect_nothing();
    expect_state(c, TCP_FIN_WAIT_2);
    inject_tcp("FA 1 ack 2");
    expect_tcp("A 2 ack 2");
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

/* The same with the ACK of our FIN and the peer's FIN in one segment. */
static void fin_and_its_ack_may_come_together(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("FA 1 ack 2");
    expect_tcp("A 2 ack 2");
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

/* CLOSE_WAIT, LAST_ACK, CLOSED: who closes second does not wait. */
static void who_closes_second_does_not_wait(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FA 1 ack 1");
    expect_tcp("A 1 ack 2");
    expect_end(c);
    expect_state(c, TCP_CLOSE_WAIT);
    close_conn(c);
    expect_tcp("FA 1 ack 2");
    expect_state(c, TCP_LAST_ACK);
    inject_tcp("A 2 ack 2");
    expect_nothing();
    expect_gone(c);
    expect_flow_state(TCP_CLOSED);
}

/* RFC 9293 3.6, figure 13. */
static void both_close_at_the_same_time(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("FA 1 ack 1");
    expect_tcp("A 2 ack 2");
    expect_state(c, TCP_CLOSING);
    inject_tcp("A 2 ack 2");
    expect_nothing();
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

/* RFC 9293 3.10.7.4: a FIN is acknowledged, also when ours is in the same burst. */
static void both_close_and_all_comes_in_one_burst(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    in_one_iteration
    {
        inject_tcp("FA 1 ack 1");
        inject_tcp("A 2 ack 2");
    }
    expect_tcp("A 2 ack 2");
    expect_nothing();
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

/* A program that stays hears of both ends, and may read after them. */
static void a_program_that_stays_hears_of_both_ends(void **state)
{
    (void)state;
    conn c = established();
    shutdown_send(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("A 1:101 ack 2");
    expect_tcp("A 2 ack 101");
    expect_no_event(c, "END FINISHED");
    inject_tcp("FA 101 ack 2");
    expect_tcp("A 2 ack 102");
    expect_event(c, "END FINISHED");
    expect_state(c, TCP_TIME_WAIT);
    read_bytes(c, 100);
    expect_nothing();
    close_conn(c);
    expect_gone(c);
    expect_nothing();
}

/* ---- half-close (RFC 9293 3.6: the other side may go on sending) ---- */

static void after_our_fin_data_still_comes_in(void **state)
{
    (void)state;
    conn c = reached(TCP_FIN_WAIT_2);
    inject_tcp("A 1:1001 ack 2");
    expect_tcp("A 2 ack 1001");
    read_bytes(c, 1000);
    inject_tcp("PA 1001:2001 ack 2");
    expect_tcp("A 2 ack 2001");
    read_bytes(c, 1000);
    expect_state(c, TCP_FIN_WAIT_2);
}

static void after_the_peers_fin_data_still_goes_out(void **state)
{
    (void)state;
    conn c = reached(TCP_CLOSE_WAIT);
    write_bytes(c, 1000);
    expect_tcp("PA 1:1001 ack 2");
    inject_tcp("A 2 ack 1001");
    expect_acked(c, 1000);
    write_bytes(c, 500);
    expect_tcp("PA 1001:1501 ack 2");
    inject_tcp("A 2 ack 1501");
    expect_state(c, TCP_CLOSE_WAIT);
    shutdown_send(c);
    expect_tcp("FA 1501 ack 2");
    inject_tcp("A 2 ack 1502");
    expect_finished(c);
    expect_state(c, TCP_CLOSED);
}

/* RFC 9293 3.9.1: no send after CLOSE. */
static void nothing_may_be_sent_after_our_fin(void **state)
{
    (void)state;
    conn c = reached(TCP_FIN_WAIT_1);
    write_fails(c, 10, RS_SHUTDOWN);
    shutdown_send(c); /* once more does nothing */
    expect_nothing();
}

static void without_a_connection_there_is_nothing_to_shut_down(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_SENT);
    shutdown_send_fails(c, RS_NOT_CONNECTED);
    expect_nothing();
}

/* ---- data and FIN ---- */

static void fin_rides_on_the_last_data(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        write_bytes(c, 100);
        shutdown_send(c);
    }
    expect_tcp("FPA 1:101 ack 1");
    inject_tcp("A 1 ack 102");
    expect_acked(c, 100);
    expect_state(c, TCP_FIN_WAIT_2);
}

/* An ACK of all the data but not of the FIN leaves FIN_WAIT_1. */
static void an_ack_of_the_data_only_is_not_one_of_the_fin(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        write_bytes(c, 100);
        shutdown_send(c);
    }
    expect_tcp("FPA 1:101 ack 1");
    inject_tcp("A 1 ack 101");
    expect_acked(c, 100);
    expect_state(c, TCP_FIN_WAIT_1);
    inject_tcp("A 1 ack 102");
    expect_state(c, TCP_FIN_WAIT_2);
}

static void the_peers_fin_comes_with_data(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FPA 1:101 ack 1");
    expect_tcp("A 1 ack 102");
    expect_event(c, "READABLE END");
    read_bytes(c, 100);
    expect_state(c, TCP_CLOSE_WAIT);
}

/* RFC 9293 3.10.7.4 step 8: a FIN is processed in order; what comes ahead of a gap waits. */
static void a_fin_ahead_of_a_gap_waits_for_what_is_missing(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FA 101 ack 1");
    expect_tcp("A 1 ack 1");
    expect_no_event(c, "END");
    expect_state(c, TCP_ESTABLISHED);
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 102");
    expect_event(c, "READABLE END");
    expect_state(c, TCP_CLOSE_WAIT);
    read_bytes(c, 100);
}

static void a_fin_with_data_ahead_of_a_gap_is_kept(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FPA 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    expect_state(c, TCP_ESTABLISHED);
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 202");
    expect_end(c);
    read_bytes(c, 200);
}

/* The peer sends its FIN again: our ACK was lost. */
static void a_repeated_fin_is_acknowledged_again(void **state)
{
    (void)state;
    conn c = reached(TCP_CLOSE_WAIT);
    inject_tcp("FA 1 ack 1");
    expect_tcp("A 1 ack 2");
    shutdown_send(c);
    expect_tcp("FA 1 ack 2");
    advance_ms(50);
    inject_tcp("FA 1 ack 1"); /* crossed our FIN */
    expect_tcp("A 2 ack 2");
    expect_state(c, TCP_LAST_ACK);
    inject_tcp("A 2 ack 2");
    expect_finished(c);
}

static void in_closing_the_peers_fin_may_come_again(void **state)
{
    (void)state;
    conn c = reached(TCP_CLOSING);
    inject_tcp("FA 1 ack 1");
    expect_tcp("A 2 ack 2");
    expect_state(c, TCP_CLOSING);
    inject_tcp("FA 1 ack 2"); /* and now with what was missing */
    expect_state(c, TCP_TIME_WAIT);
    expect_finished(c);
}

/* RFC 6298 5.4: a FIN is sent again like data, with twice the wait each time. */
static void a_lost_fin_is_sent_again(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460");
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    expect_tcp_after(200, "FA 1 ack 1 nopush");
    expect_tcp_after(400, "FA 1 ack 1 nopush");
    inject_tcp("A 1 ack 2");
    expect_state(c, TCP_FIN_WAIT_2);
    advance_ms(2000);
    expect_nothing();
}

static void in_last_ack_a_lost_fin_is_sent_again(void **state)
{
    (void)state;
    conn c = reached(TCP_LAST_ACK, .options = "mss 1460");
    expect_tcp_after(200, "FA 1 ack 2");
    inject_tcp("A 2 ack 2");
    expect_finished(c);
    expect_state(c, TCP_CLOSED);
}

/* ---- a program goes while bytes are on the way ---- */

/* RFC 9293 3.6: what was written is sent, then the FIN. */
static void what_waits_for_the_window_is_sent_after_close(void **state)
{
    (void)state;
    conn c = established(.window = 1024);
    write_bytes(c, 3000);
    expect_tcp("A 1:1025 ack 1");
    close_conn(c);
    expect_nothing();
    expect_state(c, TCP_FIN_WAIT_1);
    inject_tcp("A 1 ack 1025 win 2560");
    expect_tcp("A 1025:2473 ack 1");
    expect_tcp("FPA 2473:3001 ack 1");
    inject_tcp("A 1 ack 3002");
    expect_state(c, TCP_FIN_WAIT_2);
    inject_tcp("FA 1 ack 3002");
    expect_tcp("A 3002 ack 2");
    expect_gone(c);
}

/* RFC 2525 2.17: bytes that nobody will read must not look delivered. */
static void close_with_unread_data_resets(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    close_conn(c);
    expect_tcp("RA 1 ack 101");
    expect_gone(c);
    expect_flow_state(TCP_CLOSED);
}

static void close_after_the_last_byte_was_read_does_not_reset(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
    close_conn(c);
    expect_tcp("FA 1 ack 101");
}

static void close_with_data_ahead_of_a_gap_resets(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    close_conn(c);
    expect_tcp("RA 1 ack 1");
    expect_gone(c);
}

static void close_with_unread_data_resets_after_both_fins(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FPA 1:101 ack 1");
    expect_tcp("A 1 ack 102");
    expect_end(c);
    shutdown_send(c);
    expect_tcp("FA 1 ack 102");
    close_conn(c);
    expect_tcp("RA 2 ack 102");
    expect_gone(c);
}

/* RFC 9293 3.6.1: data after CLOSE resets the connection. */
static void data_after_close_resets(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("A 1 ack 2");
    expect_state(c, TCP_FIN_WAIT_2);
    inject_tcp("PA 1:101 ack 2");
    expect_tcp("RA 2 ack 1");
    expect_gone(c);
    expect_flow_state(TCP_CLOSED);
}

static void data_that_crosses_our_fin_resets(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("RA 2 ack 1");
    expect_gone(c);
}

/* Linux: what was received before the close and comes again tells of nothing lost. */
static void old_data_after_close_does_not_reset(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
    close_conn(c);
    expect_tcp("FA 1 ack 101");
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("A 2 ack 101 <ts,sack 1:101>");
    expect_state(c, TCP_FIN_WAIT_1);
}

/* Windows' SD_RECEIVE: what arrives from then on resets, an end does not. */
static void data_after_shutdown_of_receiving_resets(void **state)
{
    (void)state;
    conn c = established();
    shutdown_recv(c);
    expect_nothing();
    inject_tcp("PA 1:101 ack 1");
    expect_tcp("RA 1 ack 1");
    expect_error(c, RS_CONN_ABORTED);
    expect_readable(c, 0);
}

static void a_fin_after_shutdown_of_receiving_is_taken(void **state)
{
    (void)state;
    conn c = established();
    shutdown_recv(c);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    inject_tcp("FA 1 ack 101");
    expect_tcp("A 101 ack 2");
    expect_end(c);
    expect_state(c, TCP_CLOSE_WAIT);
}

/* ---- linger ---- */

/* RFC 9293 3.10.5 ABORT; SO_LINGER with time 0. */
static void abort_resets_and_forgets_what_was_not_sent(void **state)
{
    (void)state;
    conn c = established(.window = 1024);
    write_bytes(c, 3000);
    expect_tcp("A 1:1025 ack 1");
    abort_conn(c);
    expect_tcp("RA 1025 ack 1");
    expect_gone(c);
    advance_ms(5000);
    expect_nothing();
}

static void abort_of_what_is_finished_says_nothing(void **state)
{
    (void)state;
    conn c = reached(TCP_TIME_WAIT);
    abort_conn(c);
    expect_nothing();
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

/* Linger's time is over while data waits for its ACK: what is left is given up. */
static void when_lingers_time_is_over_the_peer_is_reset(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460");
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    close_linger(c, 150);
    expect_tcp("FA 101 ack 1");
    expect_tcp_after(150, "RA 102 ack 1");
    expect_gone(c);
}

static void linger_ends_when_all_is_acknowledged(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460");
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    close_linger(c, 150);
    expect_tcp("FA 101 ack 1");
    advance_ms(100);
    inject_tcp("A 1 ack 102");
    advance_ms(1000);
    expect_nothing();
    expect_state(c, TCP_FIN_WAIT_2);
    inject_tcp("FA 1 ack 102");
    expect_tcp("A 102 ack 2");
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

static void linger_holds_in_last_ack_too(void **state)
{
    (void)state;
    conn c = reached(TCP_CLOSE_WAIT, .options = "mss 1460");
    close_linger(c, 150);
    expect_tcp("FA 1 ack 2");
    expect_tcp_after(150, "RA 2 ack 2");
    expect_gone(c);
}

/* ---- orphans: nobody waits for them any more, so they are bounded ---- */

/* Linux tcp_orphan_retries: 8 timeouts, and nothing is said. */
static void an_orphan_gives_up_after_orphan_tries(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460");
    in_one_iteration
    {
        write_bytes(c, 100);
        close_conn(c);
    }
    expect_tcp("FPA 1:101 ack 1");
    for (unsigned i = 0; i < 8; i++) {
        expect_tcp_after(200u << i, "FPA 1:101 ack 1");
    }
    expect_no_event(c, "GONE");
    advance_ms((200 << 8) + 1);
    expect_nothing();
    expect_gone(c);
}

/* A window that stays closed without an answer to the probes holds an orphan as long. */
static void an_orphan_gives_up_probing_a_closed_window(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460", .window = 1000);
    write_bytes(c, 1500);
    expect_tcp("A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001 win 0");
    close_conn(c);
    for (unsigned i = 0; i < 8; i++) {
        expect_tcp_after(200u << i, "A 1000 ack 1");
    }
    advance_ms((200 << 8) + 1);
    expect_nothing();
    expect_gone(c);
}

/* Linux: nor does a peer that answers and keeps it closed, or it could hold what it likes. */
static void a_peer_that_keeps_its_window_closed_does_not_hold_an_orphan(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460", .window = 1000);
    write_bytes(c, 1500);
    expect_tcp("A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001 win 0");
    close_conn(c);
    for (unsigned i = 0; i < 8; i++) {
        expect_tcp_after(200u << i, "A 1000 ack 1");
        inject_tcp("A 1 ack 1001 win 0");
    }
    advance_ms((200 << 8) + 1);
    expect_nothing();
    expect_gone(c);
}

/* Linux tcp_fin_timeout: the peer never closes its side. All is acknowledged, so nothing is said;
 * what it sends later belongs to nothing. */
static void an_orphan_waits_a_minute_for_the_peers_fin(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("A 1 ack 2");
    advance_ms(59900);
    expect_state(c, TCP_FIN_WAIT_2);
    advance_ms(200);
    expect_nothing();
    expect_gone(c);
    expect_flow_state(TCP_CLOSED);
    inject_tcp("FA 1 ack 2");
    expect_tcp("R 2");
}

static void close_in_fin_wait_2_starts_the_minute(void **state)
{
    (void)state;
    conn c = reached(TCP_FIN_WAIT_2);
    advance_ms(3600000); /* a program may wait for ever */
    expect_state(c, TCP_FIN_WAIT_2);
    close_conn(c);
    advance_ms(59900);
    expect_state(c, TCP_FIN_WAIT_2);
    advance_ms(200);
    expect_gone(c);
}

/* Linux counts the minute from FIN_WAIT_2 on, not from each ACK. */
static void acks_do_not_prolong_the_minute(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("A 1 ack 2");
    advance_ms(50000);
    inject_tcp("A 1 ack 2");
    advance_ms(10200);
    expect_nothing();
    expect_gone(c);
}

static void a_reset_ends_an_orphan(void **state)
{
    (void)state;
    conn c = established();
    close_conn(c);
    expect_tcp("FA 1 ack 1");
    inject_tcp("R 1");
    expect_nothing();
    expect_gone(c);
}

/* ---- before the connection is there ---- */

/* RFC 9293 3.10.4: in SYN_SENT CLOSE deletes the connection. */
static void close_in_syn_sent_says_nothing(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_SENT);
    close_conn(c);
    expect_gone(c);
    expect_nothing();
    inject_tcp("SA 0 ack 1 <mss 1460>"); /* the answer belongs to nothing now */
    expect_tcp("R 1");
    advance_ms(5000);
    expect_nothing();
}

/* RFC 9293 3.10.4: in SYN_RECEIVED the FIN waits for the handshake (or goes at once: Linux waits).
 */
static void close_in_syn_received_waits_for_the_handshake(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_RECEIVED);
    close_conn(c);
    expect_nothing();
    inject_tcp("SA 0 ack 1");
    expect_tcp("FA 1 ack 1");
    expect_state(c, TCP_FIN_WAIT_1);
    inject_tcp("FA 1 ack 2");
    expect_tcp("A 2 ack 2");
    expect_gone(c);
    expect_flow_state(TCP_TIME_WAIT);
}

static void abort_in_syn_received_resets(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_RECEIVED);
    abort_conn(c);
    expect_tcp("RA 1 ack 1");
    expect_gone(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(who_closes_first_waits),
        TCP_SCRIPT_WITH(who_closes_first_waits, wrap),
        TCP_SCRIPT(fin_and_its_ack_may_come_together),
        TCP_SCRIPT(who_closes_second_does_not_wait),
        TCP_SCRIPT_WITH(who_closes_second_does_not_wait, wrap),
        TCP_SCRIPT(both_close_at_the_same_time),
        TCP_SCRIPT(both_close_and_all_comes_in_one_burst),
        TCP_SCRIPT(a_program_that_stays_hears_of_both_ends),
        TCP_SCRIPT(after_our_fin_data_still_comes_in),
        TCP_SCRIPT(after_the_peers_fin_data_still_goes_out),
        TCP_SCRIPT(nothing_may_be_sent_after_our_fin),
        TCP_SCRIPT(without_a_connection_there_is_nothing_to_shut_down),
        TCP_SCRIPT(fin_rides_on_the_last_data),
        TCP_SCRIPT(an_ack_of_the_data_only_is_not_one_of_the_fin),
        TCP_SCRIPT(the_peers_fin_comes_with_data),
        TCP_SCRIPT(a_fin_ahead_of_a_gap_waits_for_what_is_missing),
        TCP_SCRIPT(a_fin_with_data_ahead_of_a_gap_is_kept),
        TCP_SCRIPT(a_repeated_fin_is_acknowledged_again),
        TCP_SCRIPT(in_closing_the_peers_fin_may_come_again),
        TCP_SCRIPT(a_lost_fin_is_sent_again),
        TCP_SCRIPT(in_last_ack_a_lost_fin_is_sent_again),
        TCP_SCRIPT(what_waits_for_the_window_is_sent_after_close),
        TCP_SCRIPT(close_with_unread_data_resets),
        TCP_SCRIPT(close_after_the_last_byte_was_read_does_not_reset),
        TCP_SCRIPT(close_with_data_ahead_of_a_gap_resets),
        TCP_SCRIPT(close_with_unread_data_resets_after_both_fins),
        TCP_SCRIPT(data_after_close_resets),
        TCP_SCRIPT(data_that_crosses_our_fin_resets),
        TCP_SCRIPT(old_data_after_close_does_not_reset),
        TCP_SCRIPT(data_after_shutdown_of_receiving_resets),
        TCP_SCRIPT(a_fin_after_shutdown_of_receiving_is_taken),
        TCP_SCRIPT(abort_resets_and_forgets_what_was_not_sent),
        TCP_SCRIPT(abort_of_what_is_finished_says_nothing),
        TCP_SCRIPT(when_lingers_time_is_over_the_peer_is_reset),
        TCP_SCRIPT(linger_ends_when_all_is_acknowledged),
        TCP_SCRIPT(linger_holds_in_last_ack_too),
        TCP_SCRIPT(an_orphan_gives_up_after_orphan_tries),
        TCP_SCRIPT(an_orphan_gives_up_probing_a_closed_window),
        TCP_SCRIPT(a_peer_that_keeps_its_window_closed_does_not_hold_an_orphan),
        TCP_SCRIPT(an_orphan_waits_a_minute_for_the_peers_fin),
        TCP_SCRIPT(close_in_fin_wait_2_starts_the_minute),
        TCP_SCRIPT(acks_do_not_prolong_the_minute),
        TCP_SCRIPT(a_reset_ends_an_orphan),
        TCP_SCRIPT(close_in_syn_sent_says_nothing),
        TCP_SCRIPT(close_in_syn_received_waits_for_the_handshake),
        TCP_SCRIPT(abort_in_syn_received_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
