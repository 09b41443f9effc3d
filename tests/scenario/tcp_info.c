/*
 * Packet scripts: what a connection tells about itself (tcp_get_info), value by value, and what
 * keeps it from sending (RFC 4898). The language is in tcp_script.h.
 */
#include "tcp_script.h"

#define RTT_MS 100
#define MS     1000000ull
#define PLAIN  "mss 1000" /* neither SACK, timestamps nor scale */

static void expect_limits(conn c, enum rs_tcp_limit limit, uint32_t transitions, uint64_t time_ms,
                          uint64_t sent_bytes)
{
    struct tcp_info info = conn_info(c);
    expect_number("transitions", info.limits.transitions[limit], transitions);
    expect_number("time_ms", info.limits.time[limit] / MS, time_ms);
    expect_number("sent_bytes", info.limits.sent_bytes[limit], sent_bytes);
}

/* ---- counts ---- */

static void a_fresh_connection_has_counted_nothing(void **state)
{
    (void)state;
    conn c = established(.rtt_ms = RTT_MS);
    struct tcp_info info = conn_info(c);
    expect_number("state", info.state, TCP_ESTABLISHED);
    expect_number("mss", info.mss_bytes, 1448);
    expect_number("timestamps", info.timestamps, 1);
    expect_number("rtt", info.rtt_ns, RTT_MS * MS);
    expect_number("rtt_min", info.rtt_min_ns, RTT_MS * MS);
    expect_number("cwnd", info.cwnd_bytes, 14480);
    expect_number("snd_wnd", info.snd_wnd_bytes, 65535);
    expect_number("rcv_wnd", info.rcv_wnd_bytes, 65536);
    expect_number("recv_limit", info.recv_limit_bytes, 65536);
    expect_number("lifetime", info.lifetime_ns, 0);
    expect_number("sent", info.sent_bytes + info.received_bytes, 0);
    expect_number("counts",
                  info.reordered_bytes + info.retransmitted_bytes + info.fast_recoveries +
                      info.dup_acks + info.timeout_episodes + info.syn_retransmits,
                  0);
}

static void it_lives_from_the_handshake_until_it_is_over(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    expect_info(c, lifetime_ns, 0);
    advance_ms(250);
    inject_tcp("SA 0 ack 1 <" PLAIN ">");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    advance_ms(1000);
    expect_info(c, lifetime_ns, 1000 * MS);
    inject_tcp("RA 1 ack 1");
    expect_error(c, RS_CONN_RESET);
    advance_ms(1000);
    expect_info(c, lifetime_ns, 1000 * MS);
}

static void repeated_syns_are_counted(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    expect_tcp_after(1000, "S 0");
    expect_tcp_after(2000, "S 0");
    expect_info(c, syn_retransmits, 2);
    inject_tcp("SA 0 ack 1 <" PLAIN ">");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, syn_retransmits, 2);
    expect_info(c, retransmitted_bytes, 0);
    expect_info(c, timeout_episodes, 0);
}

static void repeated_syn_acks_are_counted(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <" PLAIN ">");
    expect_tcp("SA 0 ack 1");
    expect_tcp_after(1000, "SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_info(accepted(s), syn_retransmits, 1);
}

static void bytes_are_counted_both_ways(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 2500);
    expect_tcp_each(1000, "PA 1:2501 ack 1");
    expect_info(c, sent_bytes, 2500);
    expect_info(c, unacked_bytes, 2500);
    inject_tcp("PA 1:301 ack 1001");
    expect_tcp_after(40, "A 2501 ack 301");
    expect_info(c, received_bytes, 300);
    expect_info(c, unacked_bytes, 1500);
    expect_info(c, rcv_wnd_bytes, 65235);
}

/* With its FIN, which is no byte. */
static void what_is_sent_again_is_counted(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 400);
    expect_tcp("PA 1:401 ack 1");
    close_conn(c);
    expect_tcp("FA 401 ack 1");
    expect_tcp_after(200, "PA 1:401 ack 1");
    expect_info(c, retransmitted_bytes, 400);
    expect_info(c, sent_bytes, 400);
    inject_tcp("A 1 ack 401");
    expect_tcp("FA 401 ack 1");
    expect_info(c, retransmitted_bytes, 400);
}

/* Three timeouts in a row are one episode; the next one after an ACK of new data is another. */
static void timeouts_in_a_row_are_one_episode(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
    expect_tcp_after(400, "PA 1:101 ack 1");
    expect_tcp_after(800, "PA 1:101 ack 1");
    expect_info(c, timeouts, 3);
    expect_info(c, timeout_episodes, 1);
    inject_tcp("A 1 ack 101");
    write_bytes(c, 100);
    expect_tcp("PA 101:201 ack 1");
    expect_tcp_after(1600, "PA 101:201 ack 1");
    expect_info(c, timeout_episodes, 2);
}

/* RFC 5681 2; the third one makes a fast retransmission. */
static void duplicate_acks_are_counted(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 5000);
    expect_tcp_each(1000, "PA 1:5001 ack 1");
    inject_tcp("A 1 ack 1");
    inject_tcp("A 1 ack 1");
    expect_info(c, dup_acks, 2);
    inject_tcp("A 1 ack 1");
    expect_tcp("A 1:1001 ack 1");
    expect_info(c, dup_acks, 3);
    expect_info(c, fast_recoveries, 1);
    expect_info(c, retransmitted_bytes, 1000);
    inject_tcp("A 1 ack 5001");
    inject_tcp("A 1 ack 5001"); /* nothing is under way: none */
    expect_info(c, dup_acks, 3);
    expect_info(c, timeout_episodes, 0);
}

static void bytes_ahead_of_a_gap_are_counted(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    inject_tcp("A 101:301 ack 1");
    expect_tcp("A 1 ack 1");
    expect_info(c, reordered_bytes, 200);
    expect_info(c, received_bytes, 0);
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 301");
    expect_info(c, reordered_bytes, 200);
    expect_info(c, received_bytes, 300);
    inject_tcp("A 301:401 ack 1");
    expect_tcp("A 1 ack 401");
    expect_info(c, reordered_bytes, 200);
}

/* ---- what holds it back ---- */

static void an_idle_program_holds_it_back(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    advance_ms(70);
    write_bytes(c, 300);
    expect_tcp("PA 1:301 ack 1");
    advance_ms(30);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 0, 100, 300);
    expect_limits(c, RS_TCP_LIMIT_RECEIVER, 0, 0, 0);
    expect_limits(c, RS_TCP_LIMIT_CONGESTION, 0, 0, 0);
}

/* What leaves at once belongs to the time before; what each ACK lets out to the limit. */
static void the_congestion_window_holds_it_back(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    advance_ms(10);
    write_bytes(c, 12000);
    expect_tcp_each(1000, "A 1:10001 ack 1");
    advance_ms(40);
    expect_limits(c, RS_TCP_LIMIT_CONGESTION, 1, 40, 0);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 0, 10, 10000);
    inject_tcp("A 1 ack 10001");
    expect_tcp_each(1000, "PA 10001:12001 ack 1");
    advance_ms(5);
    expect_limits(c, RS_TCP_LIMIT_CONGESTION, 1, 40, 2000);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 1, 15, 10000);
    expect_limits(c, RS_TCP_LIMIT_RECEIVER, 0, 0, 0);
}

static void the_peers_window_holds_it_back(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .window = 3000);
    write_bytes(c, 4000);
    expect_tcp_each(1000, "A 1:3001 ack 1");
    advance_ms(50);
    expect_limits(c, RS_TCP_LIMIT_RECEIVER, 1, 50, 0);
    inject_tcp("A 1 ack 3001 win 0");
    advance_ms(50);
    expect_limits(c, RS_TCP_LIMIT_RECEIVER, 1, 100, 0);
    inject_tcp("A 1 ack 3001 win 3000");
    expect_tcp("PA 3001:4001 ack 1");
    expect_limits(c, RS_TCP_LIMIT_RECEIVER, 1, 100, 1000);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 1, 0, 3000);
    expect_limits(c, RS_TCP_LIMIT_CONGESTION, 0, 0, 0);
}

/* A small window that would make a silly segment is the peer's doing, Nagle's wait is ours. */
static void nagle_is_the_sender(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    write_bytes(c, 10);
    expect_nothing();
    advance_ms(50);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 0, 50, 10);
}

/* Also when there is nothing else to send, until it is repaired. */
static void a_timeout_is_congestion(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
    advance_ms(100);
    expect_limits(c, RS_TCP_LIMIT_CONGESTION, 1, 100, 0);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 0, 200, 200);
    inject_tcp("A 1 ack 101");
    advance_ms(100);
    expect_limits(c, RS_TCP_LIMIT_CONGESTION, 1, 100, 0);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 1, 300, 200);
}

static void its_end_stops_the_clock(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    advance_ms(70);
    inject_tcp("RA 1 ack 1");
    expect_error(c, RS_CONN_RESET);
    advance_ms(30);
    expect_limits(c, RS_TCP_LIMIT_SENDER, 0, 70, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_fresh_connection_has_counted_nothing),
        TCP_SCRIPT(it_lives_from_the_handshake_until_it_is_over),
        TCP_SCRIPT(repeated_syns_are_counted),
        TCP_SCRIPT(repeated_syn_acks_are_counted),
        TCP_SCRIPT(bytes_are_counted_both_ways),
        TCP_SCRIPT(what_is_sent_again_is_counted),
        TCP_SCRIPT(timeouts_in_a_row_are_one_episode),
        TCP_SCRIPT(duplicate_acks_are_counted),
        TCP_SCRIPT(bytes_ahead_of_a_gap_are_counted),
        TCP_SCRIPT(an_idle_program_holds_it_back),
        TCP_SCRIPT(the_congestion_window_holds_it_back),
        TCP_SCRIPT(the_peers_window_holds_it_back),
        TCP_SCRIPT(nagle_is_the_sender),
        TCP_SCRIPT(a_timeout_is_congestion),
        TCP_SCRIPT(its_end_stops_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
