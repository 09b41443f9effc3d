/*
 * What the two sides agree on in their SYNs: MSS, timestamps, SACK, window scale, ECN; and what
 * each of them does without.
 */
#include "tcp_script.h"

/* RFC 9293 3.7.1: 536 where the peer says nothing; no other option may be used then. */
static void peer_without_options(void **state)
{
    (void)state;
    conn c = established(.options = "");
    expect_info(c, mss_bytes, 536);
    expect_info(c, timestamps, false);
    expect_info(c, sack, false);
    expect_info(c, window_scaling, false);
    write_bytes(c, 1000);
    expect_tcp("A 1:537 ack 1 win 65535 <>");
    inject_tcp("A 1 ack 537 <>");
    expect_tcp("PA 537:1001 ack 1 <>");
}

/* RFC 7323 3.2: timestamps only when both SYNs have them; the others do not depend on them. */
static void peer_without_timestamps(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460,sackOK,wscale 7");
    expect_info(c, mss_bytes, 1460);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1 <>");
    inject_tcp("A 101:111 ack 11 <>");
    expect_tcp("A 11 ack 1 <sack 101:111>");
}

/* RFC 2018 3: no SACK without SACK-permitted. */
static void peer_without_sack(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460,ts 0:0,wscale 7");
    inject_tcp("A 101:111 ack 1");
    expect_tcp("A 1 ack 1 <ts>");
    expect_info(c, sack, false);
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

/* RFC 7323 2.2: no scale in either direction when one side did not offer it. */
static void peer_without_window_scaling(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460,sackOK,ts 0:0", .recv_bytes = 1 << 20);
    expect_info(c, recv_wscale, 0);
    expect_info(c, send_wscale, 0);
    inject_tcp("A 1 ack 1 rawwin 1500");
    expect_info(c, snd_wnd_bytes, 1500);
    write_bytes(c, 3000);
    expect_tcp("A 1:1449 ack 1 rawwin 65535");
}

/* RFC 7323 2.2: the window in a SYN is never scaled, all others are. */
static void window_of_a_syn_is_not_scaled(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .recv_bytes = 1 << 20);
    expect_tcp("S 0 rawwin 65535 <mss 1460,sackOK,ts,wscale 5>");
    inject_tcp("SA 0 ack 1 rawwin 1000 <mss 1460,wscale 7>");
    expect_info(c, snd_wnd_bytes, 1000);
    expect_tcp("A 1 ack 1 rawwin 32768"); /* all of the 1 MiB */
    inject_tcp("A 1 ack 1 rawwin 1000 <>");
    expect_info(c, snd_wnd_bytes, 128000);
    expect_connected(c);
}

/* RFC 7323 2.3: a scale above 14 is taken as 14. */
static void window_scale_above_14(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1460,wscale 15");
    expect_info(c, send_wscale, 14);
    inject_tcp("A 1 ack 1 rawwin 2 <>");
    expect_info(c, snd_wnd_bytes, 32768);
}

/* RFC 9293 3.7.1, RFC 6691: the peer's MSS, less the options of each segment. */
static void peer_with_a_small_mss(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000,sackOK,ts 0:0,wscale 7");
    expect_info(c, mss_bytes, 988);
    write_bytes(c, 2000);
    expect_tcp_each(988, "A 1:2001 ack 1 <ts>");
}

/* An MSS of nothing would make a segment of each byte. */
static void peer_with_a_tiny_mss(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1");
    expect_info(c, mss_bytes, 88);
}

/* RFC 9293 3.7.1: ours comes from the MTU, and so does the most that we send. */
static void mss_of_a_small_mtu(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0 <mss 536,sackOK,ts +0:0,wscale 1>");
    inject_tcp("SA 0 ack 1 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, mss_bytes, 524);
}

static void mss_of_a_jumbo_mtu(void **state)
{
    (void)state;
    (void)connecting(PEER ":5000");
    expect_tcp("S 0 <mss 8960,sackOK,ts +0:0,wscale 1>");
}

/* TCP_MAXSEG */
static void mss_of_the_settings(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000", .settings = {.mss_max = 700});
    expect_tcp("S 0 <mss 700,sackOK,ts +0:0,wscale 1>");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, mss_bytes, 700);
}

/* RFC 9293 3.1: unknown options are skipped; RFC 9293 MUST-7: a wrong length ends them. */
static void odd_options_do_no_harm(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1000,raw fd0611223344>");
    expect_tcp("SA 0 ack 1 <mss 1460>");
    inject_tcp("A 1 ack 1 <raw fd00>");
    conn c = accepted(s);
    expect_info(c, mss_bytes, 1000);
}

/* RFC 3168 6.1.1 */
static void ecn_is_agreed_on_when_both_ask(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("SEC 0");
    inject_tcp("SAE 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, ecn, true);
}

static void ecn_of_a_peer_that_reflects_flags_is_not_believed(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("SEC 0");
    inject_tcp("SAEC 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
    expect_info(c, ecn, false);
}

static void ecn_is_agreed_to_when_the_peer_asks(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("SEC 0 <mss 1460>");
    expect_tcp("SAE 0 ack 1");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, ecn, true);
}

/* RFC 3168 6.1.1.1: a SYN that comes again without ECN is that of a peer for which it failed. */
static void ecn_is_forgotten_when_the_syn_comes_without(void **state)
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
}

static void ecn_that_is_off_is_not_agreed_to(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("SEC 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, ecn, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(peer_without_options),
        TCP_SCRIPT(peer_without_timestamps),
        TCP_SCRIPT(peer_without_sack),
        TCP_SCRIPT(data_sent_again_makes_room_for_sack),
        TCP_SCRIPT(peer_without_window_scaling),
        TCP_SCRIPT(window_of_a_syn_is_not_scaled),
        TCP_SCRIPT(window_scale_above_14),
        TCP_SCRIPT(peer_with_a_small_mss),
        TCP_SCRIPT(peer_with_a_tiny_mss),
        TCP_SCRIPT_WITH(mss_of_a_small_mtu, small_mtu),
        TCP_SCRIPT_WITH(mss_of_a_jumbo_mtu, jumbo),
        TCP_SCRIPT(mss_of_the_settings),
        TCP_SCRIPT(odd_options_do_no_harm),
        TCP_SCRIPT_WITH(ecn_is_agreed_on_when_both_ask, ecn),
        TCP_SCRIPT_WITH(ecn_of_a_peer_that_reflects_flags_is_not_believed, ecn),
        TCP_SCRIPT(ecn_is_agreed_to_when_the_peer_asks),
        TCP_SCRIPT(ecn_is_forgotten_when_the_syn_comes_without),
        TCP_SCRIPT_WITH(ecn_that_is_off_is_not_agreed_to, no_ecn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
