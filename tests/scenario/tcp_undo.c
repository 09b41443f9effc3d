/*
 * Packet scripts: what was sent again, and need not have been: by timestamps (Eifel, RFC 3522 and
 * 4015), by D-SACK (RFC 3708), by what arrives after a timeout (F-RTO, RFC 5682). The language is
 * in tcp_script.h.
 *
 * The peer is 100 ms away, so our timestamps of the first data are 100; a timeout is 300 ms.
 */
#include "tcp_script.h"

#define RTT_MS 100
#define SACKED "mss 1448,sackOK" /* no timestamps */
#define STAMPS "mss 1460,ts 0:0" /* no SACK */
#define PLAIN  "mss 1448"        /* neither */
#define MSS    1448

#define NO_SSTHRESH (1u << 30) /* before anything was lost */

/* Ten segments, a whole window, are under way to a peer with these options; another two wait. */
static conn under_way(const char *options)
{
    conn c = established(.rtt_ms = RTT_MS, .options = options);
    write_bytes(c, 12 * MSS);
    expect_tcp_each(MSS, "A 1:14481 ack 1");
    expect_nothing();
    return c;
}

static void expect_undone(conn c)
{
    expect_info(c, undos, 1);
    expect_ssthresh(c, NO_SSTHRESH);
    assert_true(conn_info(c).cwnd_bytes >= 10 * MSS);
}

static void expect_not_undone(conn c, uint32_t ssthresh)
{
    expect_info(c, undos, 0);
    expect_ssthresh(c, ssthresh);
}

/* ---- timestamps ---- */

/* RFC 3522 3.2: the first ACK echoes a time before the retransmission: the original was late. */
static void a_timeout_is_undone_by_the_echo_of_the_original(void **state)
{
    (void)state;
    conn c = under_way(STAMPS);
    expect_tcp_after(300, "A 1:1449 ack 1 <ts 400:0>");
    expect_cwnd(c, MSS);
    inject_tcp("A 1 ack 1449 <ts 400:100>");
    expect_undone(c);
    expect_tcp("A 14481:15929 ack 1"); /* as if nothing had been */
    expect_tcp("PA 15929:17377 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 17377 <ts 500:400>");
    expect_count(tcp_retransmits, 1);
}

static void a_timeout_is_real_when_the_retransmission_is_echoed(void **state)
{
    (void)state;
    conn c = under_way(STAMPS);
    expect_tcp_after(300, "A 1:1449 ack 1 <ts 400:0>");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 14481 <ts 500:400>");
    expect_not_undone(c, 10136);
    assert_true(conn_info(c).cwnd_bytes < 10 * MSS);
    expect_tcp("A 14481:15929 ack 1");
    expect_tcp("PA 15929:17377 ack 1");
}

/* RFC 4015: what several timeouts took is given back at once. */
static void two_timeouts_are_undone_together(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = "mss 536,ts 0:0");
    write_bytes(c, 10 * 524);
    expect_tcp_each(524, "PA 1:5241 ack 1");
    expect_tcp_after(300, "A 1:525 ack 1");
    expect_tcp_after(600, "A 1:525 ack 1");
    inject_tcp("A 1 ack 525 <ts 1000:100>");
    expect_nothing();
    expect_info(c, undos, 1);
    expect_ssthresh(c, NO_SSTHRESH);
    assert_true(conn_info(c).cwnd_bytes >= 10 * 524);
}

/* Reordering, more than RACK waits for. */
static void fast_recovery_is_undone_by_the_echo_of_the_original(void **state)
{
    (void)state;
    conn c = under_way(NULL);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <ts 200:100,sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1 <ts 200:200>");
    expect_ssthresh(c, 10136);
    inject_tcp("A 1 ack 5793 <ts 200:100>");
    expect_undone(c);
    expect_tcp("A 14481:15929 ack 1");
    expect_tcp("PA 15929:17377 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 17377 <ts 300:200>");
    expect_count(tcp_retransmits, 1);
}

static void fast_recovery_stays_when_the_retransmission_is_echoed(void **state)
{
    (void)state;
    conn c = under_way(NULL);
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <ts 200:100,sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1 <ts 200:200>");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 14481 <ts 300:200>");
    expect_not_undone(c, 10136);
    expect_tcp("A 14481:15929 ack 1");
    expect_tcp("PA 15929:17377 ack 1");
}

/* RFC 8985 6.2: from then on the path is known to reorder. */
static void an_undone_recovery_was_reordering(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS);
    write_bytes(c, 5 * MSS);
    expect_tcp_each(MSS, "PA 1:7241 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <ts 200:100,sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1");
    inject_tcp("A 1 ack 7241 <ts 200:100>");
    expect_info(c, undos, 1);
    write_bytes(c, 5 * MSS);
    expect_tcp_each(MSS, "PA 7241:14481 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 7241 <ts 300:200,sack 8689:13033>");
    expect_nothing();
    expect_tcp_after(RTT_MS / 4, "A 7241:8689 ack 1");
}

/* ---- D-SACK ---- */

/* RFC 3708: all that was sent again has come twice. */
static void recovery_is_undone_when_all_came_twice(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = SACKED);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14481 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1");
    advance_ms(5);
    inject_tcp("A 1 ack 5793"); /* of the original, but nobody can tell */
    expect_not_undone(c, 10136);
    advance_ms(RTT_MS - 5);
    inject_tcp("A 1 ack 5793 <sack 1:1449>");
    expect_undone(c);
    inject_tcp("A 1 ack 14481");
    expect_count(tcp_retransmits, 1);
}

/* Also when nothing is under way any more: the D-SACK is the last that comes of a short answer. */
static void it_is_undone_after_the_last_ack_too(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = SACKED);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14481 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <sack 1449:5793>");
    expect_tcp("A 1:1449 ack 1");
    advance_ms(5);
    inject_tcp("A 1 ack 14481");
    expect_not_undone(c, 10136);
    advance_ms(RTT_MS - 5);
    inject_tcp("A 1 ack 14481 <sack 1:1449>");
    expect_undone(c);
}

/* One of two was needed. */
static void recovery_stays_when_not_all_came_twice(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = SACKED);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14481 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1 <sack 2897:7241>");
    expect_tcp("A 1:1449 ack 1");
    inject_tcp("A 1 ack 1 <sack 2897:14481>");
    expect_tcp("A 1449:2897 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 14481 <sack 1:1449>");
    expect_not_undone(c, 10136);
}

/* RFC 3708: what was not sent again cannot come twice because of us. */
static void a_dsack_of_something_else_undoes_nothing(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = SACKED);
    write_bytes(c, 2 * MSS);
    expect_tcp_each(MSS, "PA 1:2897 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 2897");
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 2897:17377 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 2897 <sack 4345:8689>");
    expect_tcp("A 2897:4345 ack 1");
    uint32_t ssthresh = conn_info(c).ssthresh_bytes;
    inject_tcp("A 1 ack 2897 <sack 1:1449 4345:8689>"); /* the network duplicated it */
    expect_not_undone(c, ssthresh);
}

/* ---- F-RTO ---- */

/* RFC 5682 2.1: after a timeout new data instead of retransmissions; when old data arrives then
 * that was not sent again, it was only late. */
static void a_timeout_is_undone_when_old_data_arrives(void **state)
{
    (void)state;
    conn c = under_way(PLAIN);
    expect_tcp_after(300, "A 1:1449 ack 1");
    inject_tcp("A 1 ack 1449");
    expect_tcp("A 14481:15929 ack 1"); /* step 2b */
    expect_tcp("PA 15929:17377 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 2897"); /* step 3b */
    expect_undone(c);
    expect_nothing();
    inject_tcp("A 1 ack 17377");
    expect_count(tcp_retransmits, 1);
}

/* Step 3a: a duplicate ACK: it was lost, and what follows is sent again. */
static void a_timeout_is_real_when_a_duplicate_ack_comes(void **state)
{
    (void)state;
    conn c = under_way(PLAIN);
    expect_tcp_after(300, "A 1:1449 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1449");
    expect_tcp("A 14481:15929 ack 1");
    expect_tcp("PA 15929:17377 ack 1");
    advance_ms(RTT_MS);
    inject_tcp("A 1 ack 1449");
    expect_tcp("A 1449:2897 ack 1");
    expect_not_undone(c, 10136);
}

/* RFC 5682 section 3: with SACK the first ACK may tell: it has more than what was sent again. */
static void with_sack_the_first_ack_may_tell(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = SACKED);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14481 ack 1");
    expect_tcp_after(202, "PA 13033:14481 ack 1"); /* the tail loss probe */
    expect_tcp_after(300, "A 1:1449 ack 1");
    expect_cwnd(c, MSS);
    inject_tcp("A 1 ack 4345");
    expect_undone(c);
    expect_nothing();
    expect_count(tcp_retransmits, 2);
}

/* Without new data to send there is nothing to find out by: RFC 5681's slow start. */
static void without_new_data_what_follows_is_sent_again(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS, .options = PLAIN);
    write_bytes(c, 10 * MSS);
    expect_tcp_each(MSS, "PA 1:14481 ack 1");
    expect_tcp_after(300, "A 1:1449 ack 1");
    inject_tcp("A 1 ack 1449");
    expect_tcp_each(MSS, "A 1449:4345 ack 1");
    expect_nothing();
    expect_not_undone(c, 10136);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_timeout_is_undone_by_the_echo_of_the_original),
        TCP_SCRIPT_WITH(a_timeout_is_undone_by_the_echo_of_the_original, wrap),
        TCP_SCRIPT(a_timeout_is_real_when_the_retransmission_is_echoed),
        TCP_SCRIPT(two_timeouts_are_undone_together),
        TCP_SCRIPT(fast_recovery_is_undone_by_the_echo_of_the_original),
        TCP_SCRIPT_WITH(fast_recovery_is_undone_by_the_echo_of_the_original, wrap),
        TCP_SCRIPT(fast_recovery_stays_when_the_retransmission_is_echoed),
        TCP_SCRIPT(an_undone_recovery_was_reordering),
        TCP_SCRIPT(recovery_is_undone_when_all_came_twice),
        TCP_SCRIPT_WITH(recovery_is_undone_when_all_came_twice, wrap),
        TCP_SCRIPT(it_is_undone_after_the_last_ack_too),
        TCP_SCRIPT(recovery_stays_when_not_all_came_twice),
        TCP_SCRIPT(a_dsack_of_something_else_undoes_nothing),
        TCP_SCRIPT(a_timeout_is_undone_when_old_data_arrives),
        TCP_SCRIPT_WITH(a_timeout_is_undone_when_old_data_arrives, wrap),
        TCP_SCRIPT(a_timeout_is_real_when_a_duplicate_ack_comes),
        TCP_SCRIPT(with_sack_the_first_ack_may_tell),
        TCP_SCRIPT(without_new_data_what_follows_is_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
