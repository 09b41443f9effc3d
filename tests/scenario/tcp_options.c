/* Packet scripts: TCP options, what the SYNs agree on, timestamps and PAWS. See tcp_script.h. */
#include "tcp_script.h"

#include <stdio.h>

#define DAY_MS 86400000ull

/* ---- MSS ---- */

/* RFC 9293 3.7.1, RFC 7323 1.3, RFC 2018 2: an active open asks for all; in Linux's order. */
static void a_syn_offers_every_option(void **state)
{
    (void)state;
    connecting(PEER ":5000");
    expect_tcp("S 0 win 65535 <mss 1460,sackOK,ts 0:0,wscale 1>");
}

/* RFC 7323 2.2 and 3.2: each of the two options is of its own; nobody stamps what was not agreed.
 */
static void the_program_may_want_no_timestamps(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.no_timestamps = true});
    expect_tcp("S 0 win 65535 <mss 1460,sackOK,wscale 1>");
    inject_tcp("SA 0 ack 1 <mss 1460,sackOK,wscale 7>");
    expect_tcp("A 1 ack 1 <>");
    expect_connected(c);
    write_bytes(c, 1460);
    expect_tcp("PA 1:1461 ack 1 <>");
}

/* RFC 7323 3.2: the answer has timestamps only when both sides want them. */
static void a_server_may_want_no_timestamps(void **state)
{
    (void)state;
    listening("any:7001", .settings = {.no_timestamps = true});
    on_flow(OWN ":7001", PEER ":5000");
    inject_tcp("S 0 <mss 1460,sackOK,ts 5:0,wscale 7>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460,sackOK,wscale 1>");
}

/* RFC 9293 3.7.1 MUST-15: a peer that names no MSS gets 536. */
static void without_an_mss_option_segments_have_536_bytes(void **state)
{
    (void)state;
    conn c = established(.options = "");
    write_bytes(c, 1200);
    expect_tcp_each(536, "PA 1:1201 ack 1 <>");
}

/* RFC 9293 3.7.1, RFC 6691: the option does not count TCP options, so they come off. */
static void timestamps_come_off_the_mss(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000,ts 0:0");
    write_bytes(c, 2000);
    expect_tcp_each(988, "PA 1:2001 ack 1 <ts>");
}

static void without_timestamps_a_segment_is_as_large_as_the_mss(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000");
    write_bytes(c, 2000);
    expect_tcp_each(1000, "PA 1:2001 ack 1 <>");
}

/* RFC 9293 3.7.1 MUST-16: the smaller of the peer's MSS and what the path takes. */
static void a_larger_mss_than_our_mtu_does_not_count(void **state)
{
    (void)state;
    conn c = established(.options = "mss 8960");
    write_bytes(c, 3000);
    expect_tcp_each(1460, "PA 1:3001 ack 1 <>");
}

/* RFC 9293 3.7.1 MUST-14: what we can receive, from our MTU. */
static void our_mss_is_that_of_our_mtu(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0 <mss 536,sackOK,ts 0:0,wscale 1>");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1 <>");
    write_bytes(c, 1000);
    expect_tcp_each(536, "PA 1:1001 ack 1");
}

static void a_jumbo_mtu_makes_jumbo_segments(void **state)
{
    (void)state;
    conn c = established(.options = "mss 8960,ts 0:0");
    write_bytes(c, 17896);
    expect_tcp_each(8948, "PA 1:17897 ack 1 <ts>");
}

/* RFC 9293 MUST-67, RFC 1122 4.2.2.6: the user's limit, announced and kept. */
static void the_program_may_want_a_smaller_mss(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.mss_max = 700});
    expect_tcp("S 0 <mss 700,sackOK,ts 0:0,wscale 1>");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1 <>");
    write_bytes(c, 1400);
    expect_tcp_each(700, "PA 1:1401 ack 1");
}

/* Linux: an MSS so small that headers outweigh the data is not believed (CVE-2019-11479). */
static void a_tiny_mss_is_taken_as_88(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1");
    write_bytes(c, 176);
    expect_tcp_each(88, "PA 1:177 ack 1");
}

/* Linux: an MSS of 0 is no MSS. */
static void an_mss_of_0_is_none(void **state)
{
    (void)state;
    conn c = established(.options = "mss 0");
    write_bytes(c, 1072);
    expect_tcp_each(536, "PA 1:1073 ack 1");
}

static void an_mss_of_0_is_none_in_a_passive_open(void **state)
{
    (void)state;
    conn c = established(.passive = true, .options = "mss 0");
    write_bytes(c, 1072);
    expect_tcp_each(536, "PA 1:1073 ack 1");
}

/* RFC 9293 3.2: only a SYN may carry it; the same of the scale and of SACK-permitted (RFC 7323 2.2,
 * RFC 2018 2). */
static void syn_options_in_later_segments_mean_nothing(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000,wscale 7");
    inject_tcp("A 101:201 ack 1 rawwin 100 <mss 500,sackOK,wscale 3>");
    expect_tcp("A 1 ack 1 <>");
    expect_info(c, snd_wnd_bytes, 12800);
    write_bytes(c, 2000);
    expect_tcp_each(1000, "PA 1:2001 ack 1");
}

/* ---- window scale ---- */

/* RFC 7323 2.2: a window of the header, shifted by what the peer's SYN said, is what may leave.
 * No more than a segment is held back as a silly one: from 2^11 on only full ones leave. */
static void each_window_scale_is_applied(void **state)
{
    (void)state;
    static const uint32_t sent[15] = {1,   2,   4,    8,    16,   32,   64,   128,
                                      256, 512, 1024, 1460, 2920, 7300, 16060};
    for (uint32_t scale = 0; scale <= 14; scale++) {
        char local[16];
        char options[32];
        (void)snprintf(local, sizeof(local), "any:%u", 7000 + scale);
        (void)snprintf(options, sizeof(options), "mss 1460,wscale %u", scale);
        conn c = established(.local = local, .options = options, .window = 1,
                             .settings = {.congestion = TCP_CONGESTION_NONE});
        inject_tcp("A 1 ack 1 rawwin 1");
        write_bytes(c, 40000);
        expect_tcp_each(1460, "A 1:%u ack 1 nopush", 1 + sent[scale]);
        expect_nothing();
    }
}

/* RFC 7323 2.3: a shift above 14 is one of 14. */
static void a_window_scale_above_14_is_14(void **state)
{
    (void)state;
    static const uint32_t scales[] = {15, 31, 255};
    for (uint32_t i = 0; i < 3; i++) {
        char local[16];
        char options[32];
        (void)snprintf(local, sizeof(local), "any:%u", 7000 + i);
        (void)snprintf(options, sizeof(options), "mss 1460,wscale %u", scales[i]);
        conn c = established(.local = local, .options = options, .window = 1,
                             .settings = {.congestion = TCP_CONGESTION_NONE});
        inject_tcp("A 1 ack 1 rawwin 1");
        expect_info(c, snd_wnd_bytes, 16384);
        write_bytes(c, 40000);
        expect_tcp_each(1460, "A 1:16061 ack 1 nopush");
        expect_nothing();
    }
}

/* RFC 7323 2.2: scaling is on when both SYNs have the option; else neither side scales. */
static void without_the_peers_window_scale_nobody_scales(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460,sackOK", .recv_bytes = 1 << 20);
    inject_tcp("A 1:101 ack 1 rawwin 100");
    expect_tcp("A 1 ack 101 rawwin 65435 <>");
    expect_info(c, snd_wnd_bytes, 100);
    expect_info(c, window_scaling, false);
}

/* RFC 7323 2.2: the window of a SYN is never scaled. */
static void the_window_of_a_syn_is_not_scaled(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460,wscale 14", .window = 1000);
    write_bytes(c, 3000);
    expect_tcp("A 1:1001 ack 1");
    expect_nothing();
}

/* The same where the peer opens: its SYN names its scale, our SYN-ACK ours. */
static void a_passive_open_scales_both_ways(void **state)
{
    (void)state;
    server s = listening("any:7000", .recv_bytes = 1 << 18);
    inject_tcp("S 0 win 10000 <mss 1460,wscale 3>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460,wscale 3>");
    inject_tcp("A 1 ack 1 rawwin 250");
    conn c = accepted(s);
    write_bytes(c, 5000);
    expect_tcp("A 1:1461 ack 1 rawwin 32768 <>"); /* 262144 of 8 */
    expect_nothing();                             /* 2000 is the window; 540 bytes would be silly */
}

/* ---- the answer to a SYN ---- */

static void syn_is_answered(const char *own, const char *syn_options, const char *answer)
{
    on_flow(own, PEER ":5000");
    inject_tcp("S 0 <%s>", syn_options);
    expect_tcp("SA 0 ack 1 win 65535 <%s>", answer);
}

/* RFC 7323 1.3 and 3.2, RFC 2018 2: in a SYN-ACK only what the SYN had. */
static void a_syn_ack_has_only_what_the_syn_offered(void **state)
{
    (void)state;
    listening("any:7001");
    listening("any:7002");
    listening("any:7003");
    listening("any:7004");
    listening("any:7005");
    syn_is_answered(OWN ":7001", "", "mss 1460");
    syn_is_answered(OWN ":7002", "sackOK", "mss 1460,sackOK");
    syn_is_answered(OWN ":7003", "ts 5:0", "mss 1460,ts *:5");
    syn_is_answered(OWN ":7004", "wscale 0", "mss 1460,wscale 1");
    syn_is_answered(OWN ":7005", "mss 9,sackOK,ts 6:0,wscale 14",
                    "mss 1460,sackOK,ts *:6,wscale 1");
}

/* ---- SACK permitted ---- */

/* RFC 2018 2: SACK blocks only for a peer that has said that it understands them. */
static void without_sack_permitted_no_sack_is_sent(void **state)
{
    (void)state;
    established(.options = "mss 1460");
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <>");
}

static void with_sack_permitted_a_gap_is_reported(void **state)
{
    (void)state;
    established(.options = "mss 1460,sackOK");
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <sack 1001:2001>");
}

/* RFC 6691: options take room from the data, also of a segment that had fewer when it was new. */
static void data_sent_again_makes_room_for_sack(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1 <ts>");
    inject_tcp("A 101:111 ack 1");
    expect_tcp("A 1449 ack 1 <ts,sack 101:111>");
    (void)script_wait_for_frame(3000);
    expect_tcp("A 1:1437 ack 1 <ts,sack 101:111>");
}

/* ---- timestamps ---- */

/* RFC 7323 3.2: agreed on, every segment has them; their clock ticks each millisecond (5.4). */
static void timestamps_stand_in_every_segment(void **state)
{
    (void)state;
    conn c = established();
    advance_ms(40);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1 <ts +40:0>");
    advance_ms(7);
    inject_tcp("A 1:11 ack 11 <ts 47:40>");
    expect_tcp("A 11 ack 11 <ts +47:47>");
}

static void timestamps_that_were_not_agreed_on_are_ignored(void **state)
{
    (void)state;
    established(.options = "mss 1460");
    inject_tcp("A 1:101 ack 1 <ts 5:0>");
    expect_tcp("A 1 ack 101 <>");
    inject_tcp("A 101:201 ack 1 <ts 4:0>");
    expect_tcp("A 1 ack 201 <>");
}

/* Linux, where RFC 7323 3.2 would drop it: middleboxes strip options. */
static void a_segment_without_the_agreed_timestamps_is_taken(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 <>");
    expect_tcp("A 1 ack 101 <ts *:0>");
}

/* We have sent data just now, so ACKs are no longer quick. */
static conn in_dialogue(void)
{
    conn c = established();
    write_bytes(c, 1);
    expect_tcp("PA 1:2 ack 1");
    inject_tcp("A 1 ack 2");
    return c;
}

/* RFC 7323 4.3 (A): a delayed ACK echoes the earliest segment that it acknowledges. */
static void a_delayed_ack_echoes_the_first_segment(void **state)
{
    (void)state;
    in_dialogue();
    advance_ms(10);
    inject_tcp("A 1:101 ack 2 <ts 10:0>");
    advance_ms(10);
    inject_tcp("A 101:201 ack 2 <ts 20:0>");
    expect_tcp_after(30, "A 2 ack 201 <ts *:10>");
}

/* RFC 7323 4.3 (B): a segment ahead of a gap is not echoed, for the last in-order one counts; (C):
 * the one that fills the gap is. */
static void reordered_segments_are_echoed_in_the_streams_order(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 <ts 10:0>");
    expect_tcp("A 1 ack 101 <ts *:10>");
    inject_tcp("A 201:301 ack 1 <ts 20:0>");
    expect_tcp("A 1 ack 101 <ts *:10,sack 201:301>");
    inject_tcp("A 101:201 ack 1 <ts 15:0>");
    expect_tcp("A 1 ack 301 <ts *:15>");
}

/* RFC 7323 5.3 R1, Linux: below TS.Recent it is an old duplicate: an ACK, nothing else. */
static void a_segment_with_an_older_timestamp_is_dropped(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1 ack 1 <ts 100:0>");
    inject_tcp("A 1:101 ack 1 <ts 99:0>");
    expect_tcp("A 1 ack 1 <ts *:100>");
    expect_readable(c, 0);
    expect_count(tcp_paws, 1);
    inject_tcp("A 1:101 ack 1 <ts 100:0>");
    expect_tcp("A 1 ack 101 <ts *:100>");
    expect_readable(c, 100);
}

/* RFC 7323 5.2: PAWS is by distance, as sequence numbers: half the space ahead is still ahead. */
static void a_timestamp_far_ahead_is_new(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 <ts 2147483647:0>");
    expect_tcp("A 1 ack 101 <ts *:2147483647>");
    inject_tcp("A 101:201 ack 1 <ts 2147483646:0>");
    expect_tcp("A 1 ack 101 <ts *:2147483647>");
}

/* The peer's clock, 512 ms before 2^32 at the start, wraps. */
static void a_timestamp_behind_the_wrap_is_new(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 <ts 500:0>");
    expect_tcp("A 1 ack 101 <ts *:500>");
    inject_tcp("A 101:201 ack 1 <ts 600:0>");
    expect_tcp("A 1 ack 201 <ts *:600>");
    inject_tcp("A 201:301 ack 1 <ts 501:0>");
    expect_tcp("A 1 ack 201 <ts *:600>");
}

/* RFC 7323 5.2: PAWS must not drop a reset. */
static void a_reset_is_not_subject_to_paws(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1 ack 1 <ts 100:0>");
    inject_tcp("R 1 <ts 50:0>");
    expect_error(c, RS_CONN_RESET);
}

/* RFC 7323 5.5: after 24 days of silence TS.Recent says nothing any more, and a new one begins. */
static void after_24_idle_days_any_timestamp_is_new(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 <ts 100:0>");
    expect_tcp("A 1 ack 101 <ts *:100>");
    advance_ms(24 * DAY_MS);
    inject_tcp("A 101:201 ack 1 <ts 50:0>");
    expect_tcp("A 1 ack 201 <ts *:50>");
    inject_tcp("A 201:301 ack 1 <ts 49:0>");
    expect_tcp("A 1 ack 201 <ts *:50>");
}

static void before_24_idle_days_an_old_timestamp_is_old(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1 <ts 100:0>");
    expect_tcp("A 1 ack 101 <ts *:100>");
    advance_ms(24 * DAY_MS - 1);
    inject_tcp("A 101:201 ack 1 <ts 50:0>");
    expect_tcp("A 1 ack 101 <ts *:100>");
}

/* ---- unknown and malformed ---- */

/* RFC 9293 MUST-6: a kind that nobody knows is skipped by its length. */
static void unknown_options_are_skipped(void **state)
{
    (void)state;
    listening("any:7000");
    /* RFC 4727's kind 253, then an MSS of 1000; RFC 6994's 254, then a window scale of 2. */
    inject_tcp("S 0 <raw fd04abcd 020403e8 fe04f989 010303 02>");
    expect_tcp("SA 0 ack 1 <mss 1460,wscale 1>");
    inject_tcp("A 1 ack 1 rawwin 500");
    inject_tcp("A 1:101 ack 1 rawwin 500 <raw fd06abcdef01>");
    expect_tcp("A 1 ack 101 <>");
    expect_count(tcp_options_bad, 0);
}

/* RFC 9293 3.1: behind End-of-options nothing is an option. */
static void what_follows_the_end_of_options_is_padding(void **state)
{
    (void)state;
    listening("any:7000");
    inject_tcp("S 0 <mss 1000,raw 00 030307>");
    expect_tcp("SA 0 ack 1 <mss 1460>");
}

/* RFC 9293 MUST-7: any length may come. What came before counts, as in Linux. */
static void a_malformed_option_ends_the_options(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "fd00", /* a length of 0 */
        "fd01", /* less than kind and length */
        "fd09", /* beyond the header */
    };
    for (uint32_t i = 0; i < 3; i++) {
        char local[16];
        char own[32];
        (void)snprintf(local, sizeof(local), "any:%u", 7000 + i);
        (void)snprintf(own, sizeof(own), OWN ":%u", 7000 + i);
        server s = listening(local);
        on_flow(own, PEER ":5000");
        inject_tcp("S 0 <mss 1000,raw %s>", malformed[i]);
        expect_tcp("SA 0 ack 1 <mss 1460>");
        inject_tcp("A 1 ack 1");
        conn c = accepted(s);
        expect_connected(c);
        inject_tcp("A 1:101 ack 1 <raw %s>", malformed[i]);
        expect_tcp("A 1 ack 101 <>");
        write_bytes(c, 1000);
        expect_tcp("PA 1:1001 ack 101");
        expect_count(tcp_options_bad, 2 * (i + 1));
    }
}

/* ---- what the program chooses of the handshake ---- */

/* SIO_TCP_INITIAL_RTO: another first time-out, and another number of tries. */
static void a_program_chooses_when_a_syn_is_sent_again(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.syn_rto_ms = 300, .syn_sends = 3});
    expect_tcp("S 0");
    expect_tcp_after(300, "S 0");
    expect_tcp_after(600, "S 0");
    advance_ms(1190);
    expect_no_event(c, "ERROR");
    advance_ms(20);
    expect_error(c, RS_TIMED_OUT);
    close_conn(c);
    expect_gone(c);
}

static void a_program_may_want_one_syn(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.syn_sends = 1});
    expect_tcp("S 0");
    advance_ms(1010);
    expect_error(c, RS_TIMED_OUT);
    close_conn(c);
    expect_gone(c);
}

/* The same for the answer to a SYN. */
static void a_server_chooses_when_a_syn_ack_is_sent_again(void **state)
{
    (void)state;
    listening("any:7001", .settings = {.syn_rto_ms = 300, .syn_sends = 2});
    on_flow(OWN ":7001", PEER ":5000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    expect_tcp_after(300, "SA 0 ack 1");
    advance_ms(5000);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(a_syn_offers_every_option),
        TCP_SCRIPT(a_program_chooses_when_a_syn_is_sent_again),
        TCP_SCRIPT(a_program_may_want_one_syn),
        TCP_SCRIPT(a_server_chooses_when_a_syn_ack_is_sent_again),
        TCP_SCRIPT(the_program_may_want_no_timestamps),
        TCP_SCRIPT(a_server_may_want_no_timestamps),
        TCP_SCRIPT(without_an_mss_option_segments_have_536_bytes),
        TCP_SCRIPT(timestamps_come_off_the_mss),
        TCP_SCRIPT(without_timestamps_a_segment_is_as_large_as_the_mss),
        TCP_SCRIPT(a_larger_mss_than_our_mtu_does_not_count),
        TCP_SCRIPT_WITH(our_mss_is_that_of_our_mtu, small_mtu),
        TCP_SCRIPT_WITH(a_jumbo_mtu_makes_jumbo_segments, jumbo),
        TCP_SCRIPT(the_program_may_want_a_smaller_mss),
        TCP_SCRIPT(a_tiny_mss_is_taken_as_88),
        TCP_SCRIPT(an_mss_of_0_is_none),
        TCP_SCRIPT(an_mss_of_0_is_none_in_a_passive_open),
        TCP_SCRIPT(syn_options_in_later_segments_mean_nothing),
        TCP_SCRIPT(each_window_scale_is_applied),
        TCP_SCRIPT(a_window_scale_above_14_is_14),
        TCP_SCRIPT(without_the_peers_window_scale_nobody_scales),
        TCP_SCRIPT(the_window_of_a_syn_is_not_scaled),
        TCP_SCRIPT(a_passive_open_scales_both_ways),
        TCP_SCRIPT(a_syn_ack_has_only_what_the_syn_offered),
        TCP_SCRIPT(without_sack_permitted_no_sack_is_sent),
        TCP_SCRIPT(with_sack_permitted_a_gap_is_reported),
        TCP_SCRIPT(data_sent_again_makes_room_for_sack),
        TCP_SCRIPT(timestamps_stand_in_every_segment),
        TCP_SCRIPT(timestamps_that_were_not_agreed_on_are_ignored),
        TCP_SCRIPT(a_segment_without_the_agreed_timestamps_is_taken),
        TCP_SCRIPT(a_delayed_ack_echoes_the_first_segment),
        TCP_SCRIPT(reordered_segments_are_echoed_in_the_streams_order),
        TCP_SCRIPT(a_segment_with_an_older_timestamp_is_dropped),
        TCP_SCRIPT(a_timestamp_far_ahead_is_new),
        TCP_SCRIPT_WITH(a_timestamp_behind_the_wrap_is_new, wrap),
        TCP_SCRIPT(a_reset_is_not_subject_to_paws),
        TCP_SCRIPT(after_24_idle_days_any_timestamp_is_new),
        TCP_SCRIPT(before_24_idle_days_an_old_timestamp_is_old),
        TCP_SCRIPT(unknown_options_are_skipped),
        TCP_SCRIPT(what_follows_the_end_of_options_is_padding),
        TCP_SCRIPT(a_malformed_option_ends_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
