/* Packet scripts: explicit congestion notification (RFC 3168). See tcp_script.h. */
#include "tcp_script.h"

/* ---- agreeing on it ---- */

/* Linux tcp_ecn 2, `ecn = passive`: our SYN does not ask. */
static void by_default_a_syn_does_not_ask(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    inject_tcp("SAE 0 ack 1"); /* nor does an answer matter that nobody asked for */
    expect_tcp("A 1 ack 1");
    expect_info(c, ecn, false);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
}

/* RFC 3168 6.1.1: ECE and CWR in the SYN, ECE alone in the SYN-ACK; from then on data is ECT(0). No
 * SYN, and no pure ACK, ever is (6.1.4). */
static void a_syn_that_asks_and_an_answer_that_agrees(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("SEC 0");
    inject_tcp("SAE 0 ack 1 win 65535");
    expect_tcp("A 1 ack 1");
    expect_info(c, ecn, true);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1 ect0");
}

/* RFC 3168 6.1.1: a SYN-ACK without ECE declines. */
static void an_answer_without_ece_declines(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("SEC 0");
    inject_tcp("SA 0 ack 1");
    expect_tcp("A 1 ack 1");
    expect_info(c, ecn, false);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
}

/* RFC 3168 6.1.1: with CWR as well it is a broken host that reflects flags. */
static void an_answer_with_both_flags_declines(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("SEC 0");
    inject_tcp("SAEC 0 ack 1");
    expect_tcp("A 1 ack 1");
    expect_info(c, ecn, false);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
}

/* RFC 3168 6.1.1.1: what dropped the first SYN may be what dislikes ECN. */
static void a_syn_sent_again_does_not_ask(void **state)
{
    (void)state;
    connecting(PEER ":5000");
    expect_tcp("SEC 0");
    expect_tcp_after(1000, "S 0");
    inject_tcp("SA 0 ack 1");
    expect_tcp("A 1 ack 1");
}

/* RFC 3168 6.1.1: passive agrees when asked. */
static void a_listener_agrees_when_asked(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("SEC 0 <mss 1460>");
    expect_tcp("SAE 0 ack 1");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, ecn, true);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1 ect0");
}

/* RFC 3168 6.1.1: one flag alone does not ask. */
static void a_syn_with_one_flag_does_not_ask(void **state)
{
    (void)state;
    listening("any:7000");
    listening("any:7001");
    inject_tcp("SE 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    on_flow(OWN ":7001", PEER ":5000");
    inject_tcp("SC 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
}

/* RFC 3168 6.1.1: a SYN that comes again without is of a peer for which ECN failed. */
static void a_syn_that_comes_again_without_takes_it_back(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("SEC 0 <mss 1460>");
    expect_tcp("SAE 0 ack 1");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, ecn, false);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
}

static void switched_off_a_listener_declines(void **state)
{
    (void)state;
    listening("any:7000");
    inject_tcp("SEC 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
}

static void switched_off_a_syn_does_not_ask(void **state)
{
    (void)state;
    connecting(PEER ":5000");
    expect_tcp("S 0");
}

/* ---- receiving marks ---- */

/* RFC 3168 6.1.3: every ACK has ECE, data as well, until the peer says CWR. */
static void a_mark_is_echoed_until_the_peer_has_slowed_down(void **state)
{
    (void)state;
    conn c = established(.ecn = true);
    inject_tcp("A 1:101 ack 1 ect0");
    expect_tcp("A 1 ack 101");
    inject_tcp("A 101:201 ack 1 ce");
    expect_tcp("AE 1 ack 201");
    inject_tcp("A 201:301 ack 1 ect0");
    expect_tcp("AE 1 ack 301");
    write_bytes(c, 50);
    expect_tcp("PAE 1:51 ack 301 ect0");
    in_one_iteration
    {
        inject_tcp("AC 301:401 ack 51 ect0");
        write_bytes(c, 50);
    }
    expect_tcp("PA 51:101 ack 401 ect0");
    expect_count(tcp_ecn_marks, 1);
}

/* RFC 3168 6.1.3: a mark on the segment that brings CWR is a new one. */
static void a_mark_on_the_answer_is_a_new_one(void **state)
{
    (void)state;
    established(.ecn = true);
    inject_tcp("A 1:101 ack 1 ce");
    expect_tcp("AE 1 ack 101");
    inject_tcp("AC 101:201 ack 1 ce");
    expect_tcp("AE 1 ack 201");
    inject_tcp("AC 201:301 ack 1 ect0");
    expect_tcp("A 1 ack 301");
}

/* Linux: the peer should know soon, so a mark is not held back by the delay. */
static void a_mark_is_echoed_at_once(void **state)
{
    (void)state;
    conn c = established(.ecn = true);
    write_bytes(c, 1);
    expect_tcp("PA 1:2 ack 1 ect0");
    inject_tcp("A 1 ack 2");
    inject_tcp("A 1:101 ack 2 ect0");
    expect_tcp_after(40, "A 2 ack 101");
    inject_tcp("A 101:201 ack 2 ce");
    expect_tcp("AE 2 ack 201");
}

/* RFC 3168 6.1.1: without the agreement a codepoint means nothing. */
static void a_mark_without_an_agreement_is_ignored(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 ce");
    expect_tcp("A 1 ack 101");
    expect_count(tcp_ecn_marks, 0);
}

/* ---- being told of marks ---- */

/* RFC 3168 6.1.2: the window is reduced as for a loss, once for all ECEs of a window of data, and
 * the next new data says CWR, once. CUBIC: to 0.7, RFC 9438 4.6: seven segments of ten. */
static void ece_reduces_the_window_once_and_cwr_says_so_once(void **state)
{
    (void)state;
    conn c = established(.ecn = true);
    write_bytes(c, 14480);
    expect_tcp_each(1448, "PA 1:14481 ack 1 ect0");
    inject_tcp("AE 1 ack 2897");
    inject_tcp("AE 1 ack 5793");
    inject_tcp("AE 1 ack 8689");
    inject_tcp("AE 1 ack 11585");
    inject_tcp("AE 1 ack 14481");
    expect_nothing();
    write_bytes(c, 28960);
    expect_tcp("AC 14481:15929 ack 1 ect0");
    expect_tcp_each(1448, "A 15929:24617 ack 1 ect0");
    expect_nothing();
}

/* RFC 3168 6.1.2: a mark in the next window of data reduces again: to four segments. */
static void ece_of_the_next_window_reduces_again(void **state)
{
    (void)state;
    conn c = established(.ecn = true);
    write_bytes(c, 14480);
    expect_tcp_each(1448, "PA 1:14481 ack 1 ect0");
    inject_tcp("AE 1 ack 14481");
    write_bytes(c, 28960);
    expect_tcp("AC 14481:15929 ack 1 ect0");
    expect_tcp_each(1448, "A 15929:24617 ack 1 ect0");
    inject_tcp("AE 1 ack 24617");
    expect_tcp("AC 24617:26065 ack 1 ect0");
    expect_tcp_each(1448, "A 26065:30409 ack 1 ect0");
    expect_nothing();
}

/* RFC 3168 6.1.2: the window has been reduced for a loss, so its marks change nothing more. */
static void ece_at_the_end_of_a_recovery_does_not_reduce_again(void **state)
{
    (void)state;
    conn c = established(.ecn = true);
    write_bytes(c, 14480);
    expect_tcp_each(1448, "PA 1:14481 ack 1 ect0");
    advance_ms(1);
    inject_tcp("A 1 ack 1 <ts,sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1");
    inject_tcp("AE 1 ack 14481");
    write_bytes(c, 28960);
    expect_tcp("AC 14481:15929 ack 1 ect0");
    expect_tcp_each(1448, "A 15929:24617 ack 1 ect0");
    expect_nothing();
}

/* RFC 3168 6.1.1: without the agreement ECE means nothing: the window grows (RFC 5681 3.1). */
static void ece_without_an_agreement_is_ignored(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 40000);
    expect_tcp_each(1448, "A 1:14481 ack 1");
    inject_tcp("AE 1 ack 1449");
    expect_tcp_each(1448, "A 14481:17377 ack 1");
    expect_nothing();
}

/* RFC 3168 6.1.5: what is sent again is not ECT; 6.1.2: any reduction is followed by CWR, on new
 * data only. */
static void a_retransmission_is_not_ect(void **state)
{
    (void)state;
    conn c = established(.ecn = true, .options = "mss 1000");
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1 ect0");
    expect_tcp_after(200, "PA 1:101 ack 1");
    expect_tcp_after(400, "PA 1:101 ack 1");
    inject_tcp("A 1 ack 101");
    write_bytes(c, 100);
    expect_tcp("PAC 101:201 ack 1 ect0");
    inject_tcp("A 1 ack 201");
    write_bytes(c, 100);
    expect_tcp("PA 201:301 ack 1 ect0");
}

/* RFC 3168 6.1.6: nor is a window probe; nor a keep-alive, a FIN alone, a reset. */
static void segments_without_data_are_not_ect(void **state)
{
    (void)state;
    conn c = established(.ecn = true, .options = "mss 1000", .window = 1000,
                         .settings = {.keepalive = true, .keep_idle_ms = 5000, .keep_count = 1});
    expect_tcp_after(5000, "A 0 ack 1");
    inject_tcp("A 1 ack 1 win 0");
    write_bytes(c, 100);
    expect_tcp_after(200, "A 0 ack 1");
    inject_tcp("A 1 ack 1 win 1000");
    expect_tcp("PA 1:101 ack 1 ect0");
    inject_tcp("A 1 ack 101");
    shutdown_send(c);
    expect_tcp("FA 101 ack 1");
    abort_conn(c);
    expect_tcp("RA 102 ack 1");
    expect_gone(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(by_default_a_syn_does_not_ask),
        TCP_SCRIPT_WITH(a_syn_that_asks_and_an_answer_that_agrees, ecn),
        TCP_SCRIPT_WITH(an_answer_without_ece_declines, ecn),
        TCP_SCRIPT_WITH(an_answer_with_both_flags_declines, ecn),
        TCP_SCRIPT_WITH(a_syn_sent_again_does_not_ask, ecn),
        TCP_SCRIPT(a_listener_agrees_when_asked),
        TCP_SCRIPT(a_syn_with_one_flag_does_not_ask),
        TCP_SCRIPT(a_syn_that_comes_again_without_takes_it_back),
        TCP_SCRIPT_WITH(switched_off_a_listener_declines, no_ecn),
        TCP_SCRIPT_WITH(switched_off_a_syn_does_not_ask, no_ecn),
        TCP_SCRIPT_WITH(a_mark_is_echoed_until_the_peer_has_slowed_down, ecn),
        TCP_SCRIPT_WITH(a_mark_on_the_answer_is_a_new_one, ecn),
        TCP_SCRIPT_WITH(a_mark_is_echoed_at_once, ecn),
        TCP_SCRIPT(a_mark_without_an_agreement_is_ignored),
        TCP_SCRIPT_WITH(ece_reduces_the_window_once_and_cwr_says_so_once, ecn),
        TCP_SCRIPT_WITH(ece_of_the_next_window_reduces_again, ecn),
        TCP_SCRIPT_WITH(ece_at_the_end_of_a_recovery_does_not_reduce_again, ecn),
        TCP_SCRIPT(ece_without_an_agreement_is_ignored),
        TCP_SCRIPT_WITH(a_retransmission_is_not_ect, ecn),
        TCP_SCRIPT_WITH(segments_without_data_are_not_ect, ecn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
