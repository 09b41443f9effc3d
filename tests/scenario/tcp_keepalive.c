/*
 * Packet scripts: keep-alive (RFC 9293 3.8.4, RFC 1122 4.2.3.6), ours and the peer's, and the user
 * timeout (RFC 9293 3.8.3, RFC 5482). See tcp_script.h.
 */
#include "tcp_script.h"

#define HOURS_MS(hours) ((hours)*3600000ull)
/* No SACK, so no tail loss probes come between. */
#define PLAIN "mss 1000"

/* ---- keep-alive ---- */

/* RFC 9293 3.8.4 MUST-25. */
static void keep_alive_is_off_by_default(void **state)
{
    (void)state;
    conn c = established();
    advance_ms(HOURS_MS(24));
    expect_nothing();
    expect_state(c, TCP_ESTABLISHED);
}

/* RFC 9293 3.8.4 MUST-28: two hours; MUST-24, Linux: one below SND.NXT, without data. */
static void the_default_idle_time_is_two_hours(void **state)
{
    (void)state;
    established(.settings = {.keepalive = true});
    expect_tcp_after(HOURS_MS(2), "A 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_count(tcp_keepalives, 1);
}

/* RFC 9293 3.8.4 MUST-29: one without answer proves nothing. Windows: each second, ten times, then
 * a reset; the program sees WSAENETRESET. */
static void ten_unanswered_probes_end_the_connection(void **state)
{
    (void)state;
    conn c = established(.settings = {.keepalive = true});
    expect_tcp_after(HOURS_MS(2), "A 0 ack 1");
    for (int i = 1; i < 10; i++) {
        expect_tcp_after(1000, "A 0 ack 1");
    }
    expect_state(c, TCP_ESTABLISHED);
    expect_tcp_after(1000, "RA 1 ack 1");
    expect_error(c, RS_NET_RESET);
    advance_ms(HOURS_MS(3));
    expect_nothing();
}

static void idle_interval_and_count_can_be_set(void **state)
{
    (void)state;
    conn c = established(.settings = {.keepalive = true,
                                      .keep_idle_ms = 5000,
                                      .keep_interval_ms = 700,
                                      .keep_count = 2});
    expect_tcp_after(5000, "A 0 ack 1");
    expect_tcp_after(700, "A 0 ack 1");
    expect_tcp_after(700, "RA 1 ack 1");
    expect_error(c, RS_NET_RESET);
}

/* RFC 9293 3.8.4: an answer begins a new idle time, and the count. */
static void an_answer_begins_a_new_idle_time(void **state)
{
    (void)state;
    established(.settings = {.keepalive = true, .keep_idle_ms = 5000, .keep_count = 2});
    for (int i = 0; i < 5; i++) {
        expect_tcp_after(5000, "A 0 ack 1");
        expect_tcp_after(1000, "A 0 ack 1");
        inject_tcp("A 1 ack 1");
    }
}

/* RFC 9293 3.8.4 MUST-27: only when nothing came for the idle time. */
static void what_the_peer_sends_puts_probes_off(void **state)
{
    (void)state;
    established(.settings = {.keepalive = true, .keep_idle_ms = 5000});
    advance_ms(4000);
    inject_tcp("A 1:11 ack 1");
    expect_tcp("A 1 ack 11");
    expect_tcp_after(5000, "A 0 ack 11");
    inject_tcp("A 11 ack 1");
}

/* RFC 9293 3.8.4 MUST-27: nor while data is under way, for that finds out by itself. */
static void data_under_way_needs_no_probes(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN,
                         .settings = {.keepalive = true, .keep_idle_ms = 500, .keep_count = 1});
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
    expect_tcp_after(400, "PA 1:101 ack 1");
    expect_tcp_after(800, "PA 1:101 ack 1");
    expect_tcp_after(1600, "PA 1:101 ack 1");
    inject_tcp("A 1 ack 101");
    expect_state(c, TCP_ESTABLISHED);
}

/* Nor while data waits for the window: that has probes of its own. */
static void data_that_waits_for_the_window_needs_no_probes(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN,
                         .settings = {.keepalive = true, .keep_idle_ms = 500, .keep_count = 1});
    inject_tcp("A 1 ack 1 win 0");
    write_bytes(c, 100);
    expect_tcp_after(200, "A 0 ack 1");
    expect_tcp_after(400, "A 0 ack 1");
    expect_tcp_after(800, "A 0 ack 1");
    expect_count(tcp_window_probes, 3);
    expect_count(tcp_keepalives, 0);
}

/* RFC 9293 3.8.4 MUST-25, 26: each connection's own, at any time. */
static void keep_alive_can_be_switched(void **state)
{
    (void)state;
    conn c = established();
    advance_ms(10000);
    set_settings(c, .keepalive = true, .keep_idle_ms = 5000);
    expect_tcp_after(5000, "A 0 ack 1");
    inject_tcp("A 1 ack 1");
    advance_ms(4000);
    set_settings(c, .keepalive = false);
    advance_ms(HOURS_MS(3));
    expect_nothing();
}

/* Linux: a new idle time counts at once, from what came last. */
static void a_shorter_idle_time_counts_at_once(void **state)
{
    (void)state;
    conn c = established(.settings = {.keepalive = true});
    advance_ms(3000);
    set_settings(c, .keepalive = true, .keep_idle_ms = 5000);
    expect_tcp_after(2000, "A 0 ack 1");
    inject_tcp("A 1 ack 1");
    advance_ms(4000);
    set_settings(c, .keepalive = true, .keep_idle_ms = 1000);
    expect_tcp_after(0, "A 0 ack 1");
    inject_tcp("A 1 ack 1");
}

static void a_longer_idle_time_counts_at_once(void **state)
{
    (void)state;
    conn c = established(.settings = {.keepalive = true, .keep_idle_ms = 1000});
    advance_ms(500);
    set_settings(c, .keepalive = true, .keep_idle_ms = 10000);
    expect_tcp_after(9500, "A 0 ack 1");
    inject_tcp("A 1 ack 1");
}

/* The settings of an accepted connection are its listener's. */
static void a_listeners_connections_are_kept_alive(void **state)
{
    (void)state;
    established(.passive = true, .settings = {.keepalive = true, .keep_idle_ms = 5000});
    expect_tcp_after(5000, "A 0 ack 1");
    inject_tcp("A 1 ack 1");
}

/* A half-closed connection is kept alive too. */
static void after_the_peers_fin_probes_go_on(void **state)
{
    (void)state;
    conn c = reached(TCP_CLOSE_WAIT,
                     .settings = {.keepalive = true, .keep_idle_ms = 5000, .keep_count = 1});
    expect_tcp_after(5000, "A 0 ack 2");
    expect_tcp_after(1000, "RA 1 ack 2");
    expect_error(c, RS_NET_RESET);
}

static void after_our_fin_probes_go_on(void **state)
{
    (void)state;
    conn c = reached(TCP_FIN_WAIT_2,
                     .settings = {.keepalive = true, .keep_idle_ms = 5000, .keep_count = 1});
    expect_tcp_after(5000, "A 1 ack 1");
    inject_tcp("A 1 ack 2");
    expect_tcp_after(5000, "A 1 ack 1");
    expect_tcp_after(1000, "RA 2 ack 1");
    expect_error(c, RS_NET_RESET);
}

/* ---- the peer's ---- */

/* RFC 9293 3.10.7.4, first step: what stands one before the window is answered, which is what the
 * peer wants. */
static void the_peers_keep_alive_is_answered(void **state)
{
    (void)state;
    established();
    inject_tcp("A 0 ack 1");
    expect_tcp("A 1 ack 1 <ts>");
    advance_ms(1000);
    inject_tcp("A 0 ack 1");
    expect_tcp("A 1 ack 1 <ts>");
}

/* RFC 9293 3.8.4 MAY-6: old systems send one byte of garbage. */
static void a_keep_alive_with_a_byte_is_answered(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101");
    inject_tcp("A 100:101 ack 1 junk");
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
}

static void keep_alives_are_answered_in_every_synchronised_state(void **state)
{
    (void)state;
    reached(TCP_FIN_WAIT_2);
    inject_tcp("A 0 ack 2");
    expect_tcp("A 2 ack 1");
    reached(TCP_CLOSE_WAIT, .local = "any:7001");
    inject_tcp("A 1 ack 1");
    expect_tcp("A 1 ack 2");
    reached(TCP_TIME_WAIT, .local = "any:7002");
    inject_tcp("A 1 ack 2");
    expect_tcp("A 2 ack 2");
}

/* ---- user timeout ---- */

/* RFC 5482 2, Linux TCP_USER_TIMEOUT: so long may data wait for an ACK, to the millisecond; it ends
 * without a reset, as RFC 9293 3.10.8 says. */
static void data_that_is_not_acknowledged_in_time_ends_the_connection(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .settings = {.user_timeout_ms = 1000});
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
    expect_tcp_after(400, "PA 1:101 ack 1");
    advance_ms(398);
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(3);
    expect_error(c, RS_TIMED_OUT);
    expect_nothing();
}

/* A longer one than the retransmissions would last. */
static void a_long_user_timeout_outlasts_the_tries(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .settings = {.user_timeout_ms = 3600000});
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    uint64_t wait_ms = 200;
    uint64_t sum_ms = 0;
    while (sum_ms + wait_ms < 3600000) {
        expect_tcp_after(wait_ms, "PA 1:101 ack 1");
        sum_ms += wait_ms;
        wait_ms = wait_ms < 60000 ? 2 * wait_ms : 120000;
    }
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(3600000 - sum_ms + 1);
    expect_error(c, RS_TIMED_OUT);
}

/* RFC 5482 2: the time is that of the oldest data; an ACK for a part begins it anew. */
static void progress_begins_the_user_timeout_anew(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .settings = {.user_timeout_ms = 500});
    write_bytes(c, 2000);
    expect_tcp_each(1000, "PA 1:2001 ack 1");
    expect_tcp_after(200, "A 1:1001 ack 1");
    inject_tcp("A 1 ack 1001");
    expect_tcp("PA 1001:2001 ack 1");
    expect_tcp_after(400, "PA 1001:2001 ack 1"); /* 600 ms after the first transmission */
    advance_ms(98);
    expect_state(c, TCP_ESTABLISHED);
    inject_tcp("A 1 ack 2001");
    advance_ms(10000);
    expect_state(c, TCP_ESTABLISHED);
}

/* An old connection's time begins with the data, not with what was acknowledged last. */
static void the_user_timeout_counts_from_when_data_was_sent(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .settings = {.user_timeout_ms = 1000});
    advance_ms(60000);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
    expect_tcp_after(400, "PA 1:101 ack 1");
    advance_ms(401);
    expect_error(c, RS_TIMED_OUT);
}

/* RFC 5482 2: it may be changed at any time, and holds for what waits already. */
static void a_user_timeout_that_is_set_later_holds_for_what_waits(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    expect_tcp_after(200, "PA 1:101 ack 1");
    set_settings(c, .user_timeout_ms = 450);
    advance_ms(248);
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(3);
    expect_error(c, RS_TIMED_OUT);
    expect_nothing();
}

/* Linux: it limits a closed window too, even though the peer answers the probes. */
static void a_window_closed_for_longer_than_the_user_timeout_ends_it(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN, .settings = {.user_timeout_ms = 1000});
    inject_tcp("A 1 ack 1 win 0");
    advance_ms(60000);
    write_bytes(c, 100);
    expect_tcp_after(200, "A 0 ack 1");
    inject_tcp("A 1 ack 1 win 0");
    expect_tcp_after(400, "A 0 ack 1");
    inject_tcp("A 1 ack 1 win 0");
    advance_ms(401);
    expect_error(c, RS_TIMED_OUT);
    expect_nothing();
}

/* RFC 9293 3.8.3: it holds for an open as well. */
static void a_syn_that_is_not_answered_in_time_ends_the_open(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.user_timeout_ms = 2500});
    expect_tcp("S 0");
    expect_tcp_after(1000, "S 0");
    advance_ms(1498);
    expect_state(c, TCP_SYN_SENT);
    advance_ms(3);
    expect_error(c, RS_TIMED_OUT);
    expect_nothing();
}

/* And for a FIN, by whatever side it was sent first. */
static void a_fin_that_is_not_acknowledged_in_time_ends_the_connection(void **state)
{
    (void)state;
    static const enum tcp_state states[] = {TCP_FIN_WAIT_1, TCP_CLOSING, TCP_LAST_ACK};
    static const int acks[] = {1, 2, 2};
    static const char *const locals[] = {"any:7000", "any:7001", "any:7002"};
    for (int i = 0; i < 3; i++) {
        conn c = reached(states[i], .local = locals[i], .options = PLAIN,
                         .settings = {.user_timeout_ms = 500});
        expect_tcp_after(200, "FA 1 ack %d", acks[i]);
        advance_ms(298);
        expect_state(c, states[i]);
        advance_ms(3);
        expect_error(c, RS_TIMED_OUT);
        expect_nothing();
    }
}

/* Linux: with one, keep-alive ends by time and not by count. */
static void the_user_timeout_takes_the_place_of_the_keep_alive_count(void **state)
{
    (void)state;
    conn c = established(.settings = {.keepalive = true,
                                      .keep_idle_ms = 1000,
                                      .keep_interval_ms = 300,
                                      .keep_count = 1,
                                      .user_timeout_ms = 2000});
    expect_tcp_after(1000, "A 0 ack 1");
    expect_tcp_after(300, "A 0 ack 1");
    expect_tcp_after(300, "A 0 ack 1");
    expect_tcp_after(300, "A 0 ack 1");
    expect_tcp_after(300, "RA 1 ack 1");
    expect_error(c, RS_NET_RESET);
}

/* Without one data has 15 tries (Linux tcp_retries2, RFC 9293 3.8.3 R2). */
static void without_a_user_timeout_data_has_15_tries(void **state)
{
    (void)state;
    conn c = established(.options = PLAIN);
    write_bytes(c, 100);
    expect_tcp("PA 1:101 ack 1");
    uint64_t wait_ms = 200;
    for (int i = 0; i < 15; i++) {
        expect_tcp_after(wait_ms, "PA 1:101 ack 1");
        wait_ms = wait_ms < 60000 ? 2 * wait_ms : 120000;
    }
    advance_ms(119998);
    expect_state(c, TCP_ESTABLISHED);
    advance_ms(3);
    expect_error(c, RS_TIMED_OUT);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(keep_alive_is_off_by_default),
        TCP_SCRIPT(the_default_idle_time_is_two_hours),
        TCP_SCRIPT(ten_unanswered_probes_end_the_connection),
        TCP_SCRIPT(idle_interval_and_count_can_be_set),
        TCP_SCRIPT(an_answer_begins_a_new_idle_time),
        TCP_SCRIPT(what_the_peer_sends_puts_probes_off),
        TCP_SCRIPT(data_under_way_needs_no_probes),
        TCP_SCRIPT(data_that_waits_for_the_window_needs_no_probes),
        TCP_SCRIPT(keep_alive_can_be_switched),
        TCP_SCRIPT(a_shorter_idle_time_counts_at_once),
        TCP_SCRIPT(a_longer_idle_time_counts_at_once),
        TCP_SCRIPT(a_listeners_connections_are_kept_alive),
        TCP_SCRIPT(after_the_peers_fin_probes_go_on),
        TCP_SCRIPT(after_our_fin_probes_go_on),
        TCP_SCRIPT(the_peers_keep_alive_is_answered),
        TCP_SCRIPT(a_keep_alive_with_a_byte_is_answered),
        TCP_SCRIPT(keep_alives_are_answered_in_every_synchronised_state),
        TCP_SCRIPT(data_that_is_not_acknowledged_in_time_ends_the_connection),
        TCP_SCRIPT(a_long_user_timeout_outlasts_the_tries),
        TCP_SCRIPT(progress_begins_the_user_timeout_anew),
        TCP_SCRIPT(the_user_timeout_counts_from_when_data_was_sent),
        TCP_SCRIPT(a_user_timeout_that_is_set_later_holds_for_what_waits),
        TCP_SCRIPT(a_window_closed_for_longer_than_the_user_timeout_ends_it),
        TCP_SCRIPT(a_syn_that_is_not_answered_in_time_ends_the_open),
        TCP_SCRIPT(a_fin_that_is_not_acknowledged_in_time_ends_the_connection),
        TCP_SCRIPT(the_user_timeout_takes_the_place_of_the_keep_alive_count),
        TCP_SCRIPT(without_a_user_timeout_data_has_15_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
