/*
 * Packet scripts: a NIC that fills in checksums and cuts segments (TSO). What it puts on the wire
 * is what the stack would have sent alone; how much the stack gave it at once is counted. The
 * script language checks every checksum. See tcp_script.h.
 */
#include "tcp_script.h"

/* Of a segment of the connection that established() makes; its handshake has sent two. */
#define HANDSHAKE 2

/* RFC 9293 3.1 MUST-2: whoever adds up, the sum is right; also of odd bytes and across the ring. */
static void checksums_are_filled_in(void **state)
{
    (void)state;
    conn c = established(.send_bytes = 1024);
    write_bytes(c, 1001);
    expect_tcp("PA 1:1002 ack 1");
    inject_tcp("A 1 ack 1002");
    write_bytes(c, 101);
    expect_tcp("PA 1002:1103 ack 1");
    inject_tcp("A 1:2 ack 1103");
    expect_tcp_after(40, "A 1103 ack 2");
    abort_conn(c);
    expect_tcp("RA 1103 ack 2");
    expect_gone(c);
}

/* Ten segments are given to the NIC as one. */
static void a_window_of_segments_is_one_frame_for_the_nic(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 14480);
    expect_tcp_each(1448, "PA 1:14481 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 1);
    inject_tcp("A 1 ack 14481");
    expect_acked(c, 14480);
}

/* The push is of the last byte, so only the last segment has it. */
static void only_the_last_cut_is_pushed(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 4344);
    expect_tcp("A 1:1449 ack 1 nopush");
    expect_tcp("A 1449:2897 ack 1 nopush");
    expect_tcp("PA 2897:4345 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 1);
}

/* RFC 9293 3.4: the FIN stands behind the last byte. */
static void only_the_last_cut_has_the_fin(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        write_bytes(c, 4344);
        shutdown_send(c);
    }
    expect_tcp_each(1448, "FPA 1:4345 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 1);
}

/* Only full segments are given together: a small end may have to wait (RFC 9293 3.7.4). */
static void the_small_end_is_a_frame_of_its_own(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 3000);
    expect_tcp_each(1448, "PA 1:3001 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 2);
    write_bytes(c, 3000);
    expect_tcp("A 3001:4449 ack 1 nopush");
    expect_tcp("A 4449:5897 ack 1 nopush");
    expect_nothing();
    expect_count(tcp_segments_out, HANDSHAKE + 3);
    inject_tcp("A 1 ack 3001");
    expect_tcp("PA 5897:6001 ack 1");
}

/* 16 KiB of payload are the most: eleven segments of 1448 bytes. */
static void a_frame_for_the_nic_has_an_upper_limit(void **state)
{
    (void)state;
    conn c = established(.settings = {.congestion = TCP_CONGESTION_NONE});
    write_bytes(c, 28960);
    expect_tcp_each(1448, "PA 1:28961 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 2);
}

/* RFC 9293 3.8.6, RFC 5681 3.1: both windows hold for all of a frame. */
static void windows_hold_for_what_is_given_together(void **state)
{
    (void)state;
    conn c = established(.window = 5000);
    write_bytes(c, 30000);
    expect_tcp_each(1448, "A 1:4345 ack 1 nopush");
    expect_nothing();
    inject_tcp("A 1 ack 4345 win 60000");
    /* Ten segments: a window that was not used has not grown (RFC 7661). */
    expect_tcp_each(1448, "A 4345:18825 ack 1 nopush");
    expect_nothing();
}

/* RFC 2018 3: SACK blocks take room from each segment, so each is made by itself. */
static void beside_sack_blocks_segments_are_single(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    write_bytes(c, 4308);
    expect_tcp_each(1436, "PA 1:4309 ack 1 <ts,sack 101:201>");
    expect_count(tcp_segments_out, HANDSHAKE + 1 + 3);
}

/* RFC 9293 3.8.5: the urgent pointer differs from segment to segment. */
static void urgent_segments_are_single(void **state)
{
    (void)state;
    conn c = established();
    send_urgent(c, 2896);
    expect_tcp("AU 1:1449 ack 1 urg 2896");
    expect_tcp("PAU 1449:2897 ack 1 urg 1448");
    expect_count(tcp_segments_out, HANDSHAKE + 2);
}

/* NICs refuse to cut into pieces that small. */
static void tiny_segments_are_single(void **state)
{
    (void)state;
    conn c = established(.options = "mss 200");
    write_bytes(c, 1000);
    expect_tcp_each(200, "PA 1:1001 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 5);
}

/* RFC 3168 6.1.2: one segment says CWR, though the frame has seven. */
static void only_the_first_cut_says_cwr(void **state)
{
    (void)state;
    conn c = established(.passive = true, .ecn = true);
    write_bytes(c, 14480);
    expect_tcp_each(1448, "PA 1:14481 ack 1 ect0");
    inject_tcp("AE 1 ack 14481");
    write_bytes(c, 14480);
    expect_tcp("AC 14481:15929 ack 1 ect0");
    expect_tcp_each(1448, "A 15929:24617 ack 1 ect0");
    expect_count(tcp_segments_out, 1 + 2);
}

/* RFC 6298 5.4: of what was given together only the first segment is sent again. */
static void a_retransmission_is_one_segment(void **state)
{
    (void)state;
    conn c = established(.options = "mss 1000");
    write_bytes(c, 5000);
    expect_tcp_each(1000, "PA 1:5001 ack 1");
    inject_tcp("A 1 ack 1001");
    expect_tcp_after(200, "A 1001:2001 ack 1");
    expect_nothing();
    inject_tcp("A 1 ack 5001");
    expect_acked(c, 5000);
}

/* ---- buffers run out ---- */

static bool no_buffer(struct nic *nic, struct pkt *out)
{
    (void)nic;
    (void)out;
    return false;
}

static struct nic_ops short_of(bool big, bool plain)
{
    struct nic_ops ops = *script_nic()->ops;
    ops.tx_alloc_big = big ? no_buffer : ops.tx_alloc_big;
    ops.tx_alloc = plain ? no_buffer : ops.tx_alloc;
    return ops;
}

/* Without a large buffer small ones do. */
static void without_a_large_buffer_segments_are_single(void **state)
{
    (void)state;
    const struct nic_ops *whole = script_nic()->ops;
    const struct nic_ops ops = short_of(true, false);
    conn c = established();
    script_nic()->ops = &ops;
    write_bytes(c, 4344);
    expect_tcp_each(1448, "PA 1:4345 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 3);
    script_nic()->ops = whole;
    write_bytes(c, 4344);
    expect_tcp_each(1448, "PA 4345:8689 ack 1");
    expect_count(tcp_segments_out, HANDSHAKE + 4);
}

/* Without any the connection waits, and goes on in the order in which it would have. */
static void without_any_buffer_segments_wait(void **state)
{
    (void)state;
    const struct nic_ops *whole = script_nic()->ops;
    const struct nic_ops ops = short_of(true, true);
    conn c = established();
    script_nic()->ops = &ops;
    write_bytes(c, 4344);
    expect_nothing();
    script_nic()->ops = whole;
    advance_ms(1);
    expect_tcp_each(1448, "PA 1:4345 ack 1");
    inject_tcp("A 1 ack 4345");
    advance_ms(1000);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT_WITH(checksums_are_filled_in, offload),
        TCP_SCRIPT_WITH(a_window_of_segments_is_one_frame_for_the_nic, offload),
        TCP_SCRIPT_WITH(only_the_last_cut_is_pushed, offload),
        TCP_SCRIPT_WITH(only_the_last_cut_has_the_fin, offload),
        TCP_SCRIPT_WITH(the_small_end_is_a_frame_of_its_own, offload),
        TCP_SCRIPT_WITH(a_frame_for_the_nic_has_an_upper_limit, offload),
        TCP_SCRIPT_WITH(windows_hold_for_what_is_given_together, offload),
        TCP_SCRIPT_WITH(beside_sack_blocks_segments_are_single, offload),
        TCP_SCRIPT_WITH(urgent_segments_are_single, offload),
        TCP_SCRIPT_WITH(tiny_segments_are_single, offload),
        TCP_SCRIPT_WITH(only_the_first_cut_says_cwr, offload),
        TCP_SCRIPT_WITH(a_retransmission_is_one_segment, offload),
        TCP_SCRIPT_WITH(without_a_large_buffer_segments_are_single, offload),
        TCP_SCRIPT_WITH(without_any_buffer_segments_wait, offload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
