/*
 * Packet scripts: the stream's bytes, in order and not, what SACK and D-SACK say of them, both
 * rings, sequence numbers that wrap. See tcp_script.h.
 */
#include "tcp_script.h"

/* ---- in order ---- */

/* RFC 9293 3.10.7.4, seventh step. */
static void data_in_order_is_readable_and_acknowledged(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("PA 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 win 64536 <ts>");
    expect_event(c, "READABLE");
    read_bytes(c, 1000);
}

/* RFC 9293 3.9.1: P is the sender's; data without it is delivered as well. */
static void data_without_push_is_delivered(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:11 ack 1");
    expect_tcp("A 1 ack 11");
    read_bytes(c, 10);
}

/* What one iteration brings is acknowledged once (RFC 9293 3.8.6.3: no more ACKs than segments). */
static void segments_of_one_iteration_get_one_ack(void **state)
{
    (void)state;
    conn c = established();
    in_one_iteration
    {
        inject_tcp("A 1:501 ack 1");
        inject_tcp("A 501:1001 ack 1");
        inject_tcp("A 1001:1501 ack 1");
    }
    expect_tcp("A 1 ack 1501");
    read_bytes(c, 1500);
}

/* RFC 9293 3.10.7.4, fifth step: without ACK a segment is dropped, in silence. */
static void data_without_an_ack_is_dropped(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("P 1:101");
    expect_nothing();
    expect_readable(c, 0);
    expect_count(tcp_no_ack, 1);
}

/* RFC 9293 3.1 MUST-3. */
static void data_with_a_wrong_checksum_is_dropped(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:101 ack 1 badsum");
    expect_nothing();
    expect_readable(c, 0);
    expect_count(tcp_checksum, 1);
}

/* ---- duplicates and overlaps ---- */

/* RFC 2883 4.1.1: a segment that was received before is reported by D-SACK. */
static void a_duplicate_is_acknowledged_with_a_dsack(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 <ts>");
    inject_tcp("A 1:1001 ack 1 junk");
    expect_tcp("A 1 ack 1001 <ts,sack 1:1001>");
    read_bytes(c, 1000);
    expect_info(c, duplicate_segments, 1);
}

/* RFC 9293 3.10.7.4, first step: an ACK even to what lies wholly before the window. */
static void an_old_duplicate_is_acknowledged_with_a_dsack(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 <ts>");
    inject_tcp("A 101:301 ack 1 junk");
    expect_tcp("A 1 ack 1001 <ts,sack 101:301>");
    read_bytes(c, 1000);
}

/* RFC 2883 4: each duplicate is reported once. */
static void a_dsack_is_said_once(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101 <ts>");
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101 <ts,sack 1:101>");
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 201 <ts>");
}

static void without_sack_a_duplicate_gets_a_plain_ack(void **state)
{
    (void)state;
    established(.options = "mss 1460");
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101 <>");
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 101 <>");
}

/* RFC 2883 4.2.1, RFC 9293 3.10.7.4: the new part is taken, the old one reported and not written.
 */
static void a_segment_that_overlaps_what_was_read_gives_its_new_part(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 <ts>");
    read_bytes(c, 800);
    inject_tcp("A 501:1501 ack 1");
    expect_tcp("A 1 ack 1501 <ts,sack 501:1001>");
    read_bytes(c, 700);
}

/* ---- gaps ---- */

/* RFC 2018 4, RFC 5681 4.2: reported at once; bytes ahead of the gap are not readable yet. */
static void data_ahead_of_a_gap_is_kept_and_reported(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001>");
    expect_readable(c, 0);
    expect_no_event(c, "READABLE");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 2001 <ts>");
    read_bytes(c, 2000);
}

/* RFC 2018 4: the block that holds the newest segment comes first, then the others, newest first.
 */
static void the_newest_gap_comes_first(void **state)
{
    (void)state;
    established();
    inject_tcp("A 3001:4001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 3001:4001>");
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001 3001:4001>");
    inject_tcp("A 5001:6001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 5001:6001 1001:2001 3001:4001>");
    inject_tcp("A 4001:4501 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 3001:4501 5001:6001 1001:2001>");
}

/* RFC 2018 3: as many blocks as there is room: three beside timestamps. */
static void three_blocks_fit_beside_timestamps(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1001:1101 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1101>");
    inject_tcp("A 2001:2101 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 2001:2101 1001:1101>");
    inject_tcp("A 3001:3101 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 3001:3101 2001:2101 1001:1101>");
    inject_tcp("A 4001:4101 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 4001:4101 3001:3101 2001:2101>");
}

/* RFC 2018 3: four without them. */
static void four_blocks_fit_without_timestamps(void **state)
{
    (void)state;
    established(.options = "mss 1460,sackOK");
    inject_tcp("A 1001:1101 ack 1");
    expect_tcp("A 1 ack 1 <sack 1001:1101>");
    inject_tcp("A 2001:2101 ack 1");
    expect_tcp("A 1 ack 1 <sack 2001:2101 1001:1101>");
    inject_tcp("A 3001:3101 ack 1");
    expect_tcp("A 1 ack 1 <sack 3001:3101 2001:2101 1001:1101>");
    inject_tcp("A 4001:4101 ack 1");
    expect_tcp("A 1 ack 1 <sack 4001:4101 3001:3101 2001:2101 1001:1101>");
    inject_tcp("A 5001:5101 ack 1");
    expect_tcp("A 1 ack 1 <sack 5001:5101 4001:4101 3001:3101 2001:2101>");
}

/* RFC 2018 4: a block is as large as what lies together. */
static void blocks_grow_on_both_sides(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001>");
    inject_tcp("A 2001:3001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:3001>");
    inject_tcp("A 501:1001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 501:3001>");
    inject_tcp("A 1:501 ack 1");
    expect_tcp("A 1 ack 3001 <ts>");
    read_bytes(c, 3000);
}

static void a_segment_between_two_blocks_joins_them(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001>");
    inject_tcp("A 3001:4001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 3001:4001 1001:2001>");
    inject_tcp("A 2001:3001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:4001>");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 4001 <ts>");
    read_bytes(c, 4000);
}

/* What fills one gap is acknowledged, the next gap is still reported. */
static void filling_one_gap_leaves_the_next(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001>");
    inject_tcp("A 3001:4001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 3001:4001 1001:2001>");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 2001 <ts,sack 3001:4001>");
    read_bytes(c, 2000);
    inject_tcp("A 2001:3001 ack 1");
    expect_tcp("A 1 ack 4001 <ts>");
    read_bytes(c, 2000);
}

/* RFC 2883 4.1.3: the D-SACK block, then the block in which it lies. */
static void a_duplicate_ahead_of_a_gap_gets_two_blocks(void **state)
{
    (void)state;
    established();
    inject_tcp("A 1001:3001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:3001>");
    inject_tcp("A 1501:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1501:2001 1001:3001>");
}

/* RFC 2883 4.2.2: also of a segment that is only partly a duplicate. */
static void an_overlap_on_the_right_of_a_block_is_reported(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001>");
    inject_tcp("A 1501:2501 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1501:2001 1001:2501>");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 2501 <ts>");
    read_bytes(c, 2500);
}

static void an_overlap_on_the_left_of_a_block_is_reported(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1001:2001 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:2001>");
    inject_tcp("A 501:1501 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1501 501:2001>");
    inject_tcp("A 1:501 ack 1");
    expect_tcp("A 1 ack 2001 <ts>");
    read_bytes(c, 2000);
}

/* RFC 2883 4: one D-SACK block tells of one contiguous piece. */
static void a_segment_over_two_blocks_reports_the_first_overlap(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    inject_tcp("A 301:401 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 301:401 101:201>");
    inject_tcp("A 51:451 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201 51:451>");
    inject_tcp("A 1:51 ack 1");
    expect_tcp("A 1 ack 451 <ts>");
    read_bytes(c, 450);
}

/* It begins where one block ends and runs into the next. */
static void a_segment_that_touches_one_block_reports_the_next(void **state)
{
    (void)state;
    established();
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    inject_tcp("A 301:401 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 301:401 101:201>");
    inject_tcp("A 201:351 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 301:351 101:401>");
}

/* RFC 2883 4.2: in-order data that repeats a part of what lies behind the gap. */
static void what_fills_a_gap_and_more_reports_the_overlap(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 501:601 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 501:601>");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 <ts,sack 501:601>");
    read_bytes(c, 1000);
}

/* RFC 9293 3.10.7.4: a FIN ahead of a gap takes its turn. */
static void a_fin_behind_a_gap_waits_for_it(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FA 1001:1501 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1501>");
    expect_no_event(c, "END");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1502 <ts>");
    expect_end(c);
    expect_state(c, TCP_CLOSE_WAIT);
    read_bytes(c, 1500);
}

/* RFC 9293 3.10.7.4: behind the FIN is nothing. */
static void nothing_is_taken_behind_a_fin(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("FA 1001:1501 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1501>");
    inject_tcp("A 1501:1601 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1501>");
    inject_tcp("A 1601:1701 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1501>");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1502 <ts>");
    expect_end(c);
    read_bytes(c, 1500);
    expect_readable(c, 0);
}

/* ---- limits ---- */

/* Of one connection: 64 pieces ahead of gaps are kept, more come again. RFC 2018 section 8: what
 * was not reported the peer keeps. */
static void a_piece_too_many_is_not_kept(void **state)
{
    (void)state;
    conn c = established();
    for (int i = 0; i < 64; i++) {
        inject_tcp("A %d:%d ack 1", 11 + 20 * i, 21 + 20 * i);
        expect_tcp("A 1 ack 1");
    }
    expect_count(tcp_ranges_full, 0);
    inject_tcp("A 1291:1301 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1271:1281 1251:1261 1231:1241>");
    expect_count(tcp_ranges_full, 1);
    inject_tcp("A 1:1281 ack 1");
    expect_tcp("A 1 ack 1281 <ts,sack 11:21>");
    inject_tcp("A 1281:1301 ack 1");
    expect_tcp("A 1 ack 1301 <ts>");
    read_bytes(c, 1300);
}

/* What touches a piece that is there needs none. */
static void a_piece_too_many_that_joins_others_is_kept(void **state)
{
    (void)state;
    established();
    for (int i = 0; i < 64; i++) {
        inject_tcp("A %d:%d ack 1", 11 + 20 * i, 21 + 20 * i);
        expect_tcp("A 1 ack 1");
    }
    inject_tcp("A 21:31 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 11:41 1271:1281 1251:1261>");
}

static int script_setup_tcp_two_pieces(void **state)
{
    (void)state;
    struct tcp_config config = script_tcp_config();
    config.ranges_max = 2;
    return script_setup_tcp_config(&config, 0);
}

/* Of a queue: when its pool is empty, a piece of any connection is not kept; it fills again. */
static void pieces_come_from_the_queues_pool(void **state)
{
    (void)state;
    conn first = established();
    conn second = established(.local = "any:7001");
    on_conn(first);
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
    inject_tcp("A 301:401 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 301:401 101:201>");
    on_conn(second);
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts>");
    on_conn(first);
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 201 <ts,sack 301:401>");
    on_conn(second);
    inject_tcp("A 101:201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 101:201>");
}

/* RFC 9293 3.10.7.4, first step: what lies behind the window is not taken, but answered. */
static void data_beyond_the_window_is_dropped(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    inject_tcp("A 4097:4197 ack 1");
    expect_tcp("A 1 ack 1 win 4096 <ts>");
    inject_tcp("A 5000:5100 ack 1");
    expect_tcp("A 1 ack 1 win 4096 <ts>");
    expect_readable(c, 0);
    expect_count(tcp_out_of_window, 1);
}

/* RFC 9293 3.10.7.4: only the part inside. */
static void data_across_the_edge_is_cut(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    inject_tcp("A 4001:4201 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 4001:4097>");
    inject_tcp_each(1000, "A 1:4001 ack 1");
    expect_tcp("A 1 ack 1001");
    expect_tcp("A 1 ack 2001");
    expect_tcp("A 1 ack 3001");
    expect_tcp("A 1 ack 4097 win 0 <ts>");
    read_bytes(c, 4096);
    expect_tcp("A 1 ack 4097 win 4096");
}

/* A FIN behind the edge goes with the bytes that were cut off. */
static void a_fin_behind_the_edge_is_not_taken(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 1024);
    inject_tcp("FA 1:1101 ack 1");
    expect_tcp("A 1 ack 1025 win 0");
    expect_state(c, TCP_ESTABLISHED);
    read_bytes(c, 1024);
    expect_tcp("A 1 ack 1025 win 1024");
    inject_tcp("FA 1025:1101 ack 1");
    expect_tcp("A 1 ack 1102");
    expect_end(c);
}

/* RFC 9293 3.4: a FIN right at the edge of a closed window needs no room. */
static void a_fin_at_the_edge_is_taken(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 1024);
    inject_tcp("FA 1:1025 ack 1");
    expect_tcp("A 1 ack 1026");
    expect_end(c);
    read_bytes(c, 1024);
}

/* ---- wraps ---- */

static void received_bytes_lie_across_the_rings_end(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 4096);
    inject_tcp_each(1000, "A 1:3001 ack 1");
    expect_tcp("A 1 ack 1001 win 3096");
    expect_tcp("A 1 ack 2001 win 2096");
    expect_tcp("A 1 ack 3001 win 1096");
    read_bytes(c, 3000);
    expect_tcp("A 1 ack 3001 win 4096");
    /* Ahead of a gap, with its first byte before the ring's end and its last one behind. */
    inject_tcp("A 4001:5001 ack 1");
    expect_tcp("A 1 ack 3001 <ts,sack 4001:5001>");
    inject_tcp("A 3001:4001 ack 1");
    expect_tcp("A 1 ack 5001 win 2096 <ts>");
    read_bytes(c, 2000);
    inject_tcp("A 5001:5601 ack 1");
    expect_tcp("A 1 ack 5601");
    read_bytes(c, 600);
}

static void sent_bytes_lie_across_the_rings_end(void **state)
{
    (void)state;
    conn c = established(.send_bytes = 4096);
    write_bytes(c, 3000);
    expect_tcp_each(1448, "PA 1:3001 ack 1");
    inject_tcp("A 1 ack 3001");
    expect_acked(c, 3000);
    write_bytes(c, 4096);
    expect_tcp_each(1448, "PA 3001:7097 ack 1");
    inject_tcp("A 1 ack 7097");
    expect_acked(c, 7096);
}

/* RFC 9293 3.4: all arithmetic is modulo 2^32. Both ISNs lie 512 before. */
static void sequence_numbers_wrap(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1001 <ts>");
    read_bytes(c, 1000);
    write_bytes(c, 2000);
    expect_tcp_each(1448, "PA 1:2001 ack 1001");
    inject_tcp("A 1001 ack 1449");
    expect_acked(c, 1448);
    inject_tcp("A 1001 ack 2001");
    expect_acked(c, 2000);
}

static void gaps_lie_across_the_wrap(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("A 401:601 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 401:601>");
    inject_tcp("A 801:901 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 801:901 401:601>");
    inject_tcp("A 201:401 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 201:601 801:901>");
    inject_tcp("A 501:801 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 501:601 201:901>");
    inject_tcp("A 1:201 ack 1");
    expect_tcp("A 1 ack 901 <ts>");
    inject_tcp("A 401:601 ack 1 junk");
    expect_tcp("A 1 ack 901 <ts,sack 401:601>");
    read_bytes(c, 900);
}

static void a_window_across_the_wrap_has_an_edge(void **state)
{
    (void)state;
    conn c = established(.recv_bytes = 1024);
    inject_tcp("A 1001:1101 ack 1");
    expect_tcp("A 1 ack 1 <ts,sack 1001:1025>");
    inject_tcp("A 1:1001 ack 1");
    expect_tcp("A 1 ack 1025 win 0 <ts>");
    read_bytes(c, 1024);
    expect_tcp("A 1 ack 1025 win 1024");
}

/* ---- sending ---- */

/* RFC 9293 3.9.1: P says that no more waits. */
static void only_the_last_byte_written_is_pushed(void **state)
{
    (void)state;
    conn c = established();
    write_bytes(c, 3000);
    expect_tcp("A 1:1449 ack 1 nopush");
    expect_tcp("A 1449:2897 ack 1 nopush");
    expect_tcp("PA 2897:3001 ack 1");
}

/* Several posts of an iteration leave as one segment. */
static void writes_of_one_iteration_leave_together(void **state)
{
    (void)state;
    conn c = established(.settings = {.nodelay = true});
    in_one_iteration
    {
        write_bytes(c, 100);
        write_bytes(c, 200);
        write_bytes(c, 300);
    }
    expect_tcp("PA 1:601 ack 1");
    write_bytes(c, 10);
    expect_tcp("PA 601:611 ack 1");
    write_bytes(c, 10);
    expect_tcp("PA 611:621 ack 1");
}

/* Its FIN as well. */
static void data_and_fin_of_one_iteration_leave_together(void **state)
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
    expect_state(c, TCP_FIN_WAIT_2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(data_in_order_is_readable_and_acknowledged),
        TCP_SCRIPT(data_without_push_is_delivered),
        TCP_SCRIPT(segments_of_one_iteration_get_one_ack),
        TCP_SCRIPT(data_without_an_ack_is_dropped),
        TCP_SCRIPT(data_with_a_wrong_checksum_is_dropped),
        TCP_SCRIPT(a_duplicate_is_acknowledged_with_a_dsack),
        TCP_SCRIPT(an_old_duplicate_is_acknowledged_with_a_dsack),
        TCP_SCRIPT(a_dsack_is_said_once),
        TCP_SCRIPT(without_sack_a_duplicate_gets_a_plain_ack),
        TCP_SCRIPT(a_segment_that_overlaps_what_was_read_gives_its_new_part),
        TCP_SCRIPT(data_ahead_of_a_gap_is_kept_and_reported),
        TCP_SCRIPT(the_newest_gap_comes_first),
        TCP_SCRIPT(three_blocks_fit_beside_timestamps),
        TCP_SCRIPT(four_blocks_fit_without_timestamps),
        TCP_SCRIPT(blocks_grow_on_both_sides),
        TCP_SCRIPT(a_segment_between_two_blocks_joins_them),
        TCP_SCRIPT(filling_one_gap_leaves_the_next),
        TCP_SCRIPT(a_duplicate_ahead_of_a_gap_gets_two_blocks),
        TCP_SCRIPT(an_overlap_on_the_right_of_a_block_is_reported),
        TCP_SCRIPT(an_overlap_on_the_left_of_a_block_is_reported),
        TCP_SCRIPT(a_segment_over_two_blocks_reports_the_first_overlap),
        TCP_SCRIPT(a_segment_that_touches_one_block_reports_the_next),
        TCP_SCRIPT(what_fills_a_gap_and_more_reports_the_overlap),
        TCP_SCRIPT(a_fin_behind_a_gap_waits_for_it),
        TCP_SCRIPT(nothing_is_taken_behind_a_fin),
        TCP_SCRIPT(a_piece_too_many_is_not_kept),
        TCP_SCRIPT(a_piece_too_many_that_joins_others_is_kept),
        TCP_SCRIPT_WITH(pieces_come_from_the_queues_pool, two_pieces),
        TCP_SCRIPT(data_beyond_the_window_is_dropped),
        TCP_SCRIPT(data_across_the_edge_is_cut),
        TCP_SCRIPT(a_fin_behind_the_edge_is_not_taken),
        TCP_SCRIPT(a_fin_at_the_edge_is_taken),
        TCP_SCRIPT(received_bytes_lie_across_the_rings_end),
        TCP_SCRIPT(sent_bytes_lie_across_the_rings_end),
        TCP_SCRIPT_WITH(sequence_numbers_wrap, wrap),
        TCP_SCRIPT_WITH(gaps_lie_across_the_wrap, wrap),
        TCP_SCRIPT_WITH(a_window_across_the_wrap_has_an_edge, wrap),
        TCP_SCRIPT(only_the_last_byte_written_is_pushed),
        TCP_SCRIPT(writes_of_one_iteration_leave_together),
        TCP_SCRIPT(data_and_fin_of_one_iteration_leave_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
