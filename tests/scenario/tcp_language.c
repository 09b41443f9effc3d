/*
 * The TCP script language checked by itself: texts to frames and back, what a comparison sees, what
 * a wrong frame is called; and one conversation in each fixture.
 */
#include "tcp_script.h"

#include <string.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "tcp_text.h"

/* What a frame that we sent is read as. */
static struct tcp_line read_own(struct frame *frame, char text[512])
{
    struct tcp_line line;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
    frame_fix_ip(frame);
    assert_non_null(tcp_flow_read(frame, true, true, &line, text, 512));
    assert_int_equal(ip->protocol, IPV4_PROTOCOL_TCP);
    return line;
}

static void round_trip(const char *text)
{
    char got[512];
    struct tcp_line line = tcp_line_parse(text);
    tcp_line_print(&line, got, sizeof(got));
    assert_string_equal(got, text);
}

static void texts_come_back_as_they_were(void **state)
{
    (void)state;
    round_trip("S 0 win 65535 <mss 1460,sackOK,ts +100:0,wscale 7>");
    round_trip("SAE 0 ack 1 win 1000 <mss 536>");
    round_trip("PA 1:1001 ack -5 urg 3 ect0 ttl 1 tos 4 nodf");
    round_trip("A 1 ack 1 <sack 2001:3001 5001:*>");
    round_trip("- 7 rawwin 3 offset 15 nopush badsum junk <>");
    round_trip("R * <raw fe04abcd>");
    round_trip("FRPAUEC 1");
}

/* What the peer sends, read as what the peer sent. */
static void injected_frames_say_what_the_text_said(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "S 0 win 65535 <mss 1460,sackOK,ts +100:0,wscale 7>",
        "A 1:101 ack 1 win 4000 <>",
        "FPA -3:7 ack 2147483647 win 4000 ce tos 8 <sack 1:2 3:4 5:6>",
        "AU 5 ack 1 win 4000 urg 9 <raw fe04abcd>",
        "R 5 win 1 <>",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char got[512];
        struct tcp_line line;
        struct frame frame = frame_tcp("%s", texts[i]);
        assert_ptr_equal(tcp_flow_read(&frame, false, true, &line, got, sizeof(got)),
                         tcp_flow_selected());
        assert_string_equal(got, texts[i]);
    }
}

/* A frame of the peer's with the addresses turned round is one of ours, but for its payload. */
static struct frame own_frame(const char *text)
{
    struct frame frame = frame_tcp("%s", text);
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame.data + ETHERNET_HEADER_BYTES);
    struct wire_tcp *tcp = (struct wire_tcp *)(ip + 1);
    uint32_t ip_be32 = ip->src_be32;
    ip->src_be32 = ip->dst_be32;
    ip->dst_be32 = ip_be32;
    uint16_t port_be16 = tcp->src_port_be16;
    tcp->src_port_be16 = tcp->dst_port_be16;
    tcp->dst_port_be16 = port_be16;
    ip->ttl = 128;
    return frame;
}

static void our_isn_and_timestamps_are_learned(void **state)
{
    (void)state;
    char text[512];
    struct frame syn = own_frame("S 500 win 65535 <mss 1460,sackOK,ts 77:0,wscale 7>");
    (void)read_own(&syn, text);
    assert_string_equal(text, "S 0 win 65535 <mss 1460,sackOK,ts +0:0,wscale 7>");
    struct frame ack = own_frame("A 501 rawwin 10 <ts 79:0>");
    struct tcp_line line = read_own(&ack, text);
    assert_int_equal(line.seq, 1);
    assert_int_equal(line.ts_value, 2);
    assert_int_equal(line.window, 10); /* the peer has offered no scale */
    struct frame peer_syn = frame_tcp("S 0 <wscale 1>");
    (void)tcp_flow_read(&peer_syn, false, true, &line, text, sizeof(text));
    line = read_own(&ack, text);
    assert_int_equal(line.window, 1280);
}

static void what_is_wrong_with_our_frames_is_said(void **state)
{
    (void)state;
    char text[512];
    struct frame frame = own_frame("A 1 ack 1 <>");
    assert_string_equal(read_own(&frame, text).problem, "");
    frame = own_frame("A 1 ack 1 badsum <>");
    assert_string_equal(read_own(&frame, text).problem, "(bad TCP checksum)");
    frame = own_frame("A 1 ack 1 urg 4 <>");
    assert_string_equal(read_own(&frame, text).problem, "(urgent pointer 4 without U)");
    frame = own_frame("A 1 ack 1 <raw 0200>");
    assert_string_equal(read_own(&frame, text).problem, "(malformed options)");
    frame = own_frame("A 1:2 ack 1 <>");
    assert_non_null(strstr(read_own(&frame, text).problem, "byte"));
    frame = own_frame("A 1 ack 1 ttl 9 nodf <>");
    assert_non_null(strstr((read_own(&frame, text), text), "nodf"));
    frame.data[ETHERNET_HEADER_BYTES + 10] ^= 1; /* the IPv4 header's checksum */
    struct tcp_line line;
    (void)tcp_flow_read(&frame, true, true, &line, text, sizeof(text));
    assert_string_equal(line.problem, "(bad IP checksum)");
}

static bool matches(const char *want, const char *got)
{
    const char *why;
    struct tcp_line want_line = tcp_line_parse(want);
    struct tcp_line got_line = tcp_line_parse(got);
    return tcp_line_matches(&want_line, &got_line, &why);
}

static void comparisons_see_what_is_said(void **state)
{
    (void)state;
    static const char got[] = "PA 1:11 ack 5 win 100 <ts +3:4,sack 1:2>";
    assert_true(matches("A 1:11", got));
    assert_true(matches("PA 1:11 ack 5 win 100 <ts +3:4,sack 1:2>", got));
    assert_true(matches("A 1:* ack * win * <ts *:*,sack *:2>", got));
    assert_true(matches("A 1:11 <ts,sack 1:2>", got));
    static const char *const wrong[] = {
        "A 1:12",
        "A 2:11",
        "SA 1:11",
        "A 1:11 ack 6",
        "A 1:11 win 99",
        "A 1:11 nopush",
        "A 1:11 <>",
        "A 1:11 <ts>",
        "A 1:11 ce",
        "A 1:11 ttl 3",
        "A 1:11 tos 4",
        "A 1:11 nodf",
        "AU 1:11 urg 1",
        "A 1:11 urg 1",
        "A 1:11 <ts +3:5,sack 1:2>",
        "A 1:11 <ts +3:4,sack 1:2 3:4>",
        "A 1:11 <ts +3:4,sack 1:3>",
        "A 1:11 <mss 4,ts,sack 1:2>",
        "A 1:11 <ts,wscale 1,sack 1:2>",
        "A 1:11 <sackOK,ts,sack 1:2>",
        "A 1:11 <ts,sack 1:2,raw fe02>",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (matches(wrong[i], got)) {
            fail_msg("\"%s\" matches", wrong[i]);
        }
    }
    assert_false(matches("PA 1:11", "A 1:11"));
    assert_true(matches("A 1:11 nopush", "A 1:11"));
}

/* ---- a conversation, in each fixture ---- */

static void converse(conn c, uint32_t mss)
{
    uint32_t bytes = 5 * mss;
    uint32_t peer_segment = mss < 1400 ? mss : 1400;
    assert_int_equal(write_bytes(c, bytes), bytes);
    expect_tcp_each(mss, "A 1:%u ack 1", bytes + 1);
    in_one_iteration
    {
        inject_tcp("A 1 ack %u", bytes + 1);
        inject_tcp_each(peer_segment, "PA 1:3001 ack %u", bytes + 1);
        expect_nothing();
    }
    expect_acked(c, bytes);
    expect_readable(c, 3000);
    read_bytes(c, 3000);
    (void)script_wait_for_frame(40);
    allow_tcp("A %u ack 3001", bytes + 1);
    send_urgent(c, 2);
    expect_tcp("PUA %u:%u ack 3001 urg 2", bytes + 1, bytes + 3);
    inject_tcp("UA 3001:3011 ack %u urg 10", bytes + 3);
    expect_event(c, "URGENT");
    expect_info(c, urgent_pos, 3010);
    read_bytes(c, 10);
    (void)script_wait_for_frame(40);
    allow_tcp("A %u ack 3011", bytes + 3);
    inject_tcp("FA 3011 ack %u", bytes + 3);
    expect_tcp("A %u ack 3012", bytes + 3);
    expect_end(c);
    close_conn(c);
    expect_tcp("FA %u ack 3012", bytes + 3);
    inject_tcp("A 3012 ack %u", bytes + 4);
    expect_gone(c);
    expect_state(c, TCP_CLOSED);
}

static void active_and_passive(uint32_t mss)
{
    converse(established(), mss);
    new_incarnation();
    converse(established(.passive = true, .peer = PEER ":5001"), mss);
    converse(established(.peer = PEER2 ":5000", .local = "any:0"), mss);
    converse(established(.peer = FAR ":5000"), mss);
}

static void conversation_of_1460(void **state)
{
    (void)state;
    active_and_passive(1448);
}

static void conversation_of_536(void **state)
{
    (void)state;
    active_and_passive(524);
}

/* Each queue has its own connections; what comes out of the NIC comes out for all of them. */
static void conversation_of_queues(void **state)
{
    (void)state;
    static const char *const peers[] = {PEER ":5000", PEER ":5001", PEER ":5002"};
    for (uint32_t i = 0; i < 3; i++) {
        on_queue(i);
        converse(established(.peer = peers[i]), 1448);
        server s = listening("any:8000");
        on_flow(OWN ":8000", peers[i]);
        inject_tcp("S 0 <mss 1460>");
        expect_tcp("SA 0 ack 1");
        inject_tcp("A 1 ack 1");
        expect_connected(accepted(s));
    }
}

static void conversation_with_ecn(void **state)
{
    (void)state;
    conn c = established(.ecn = true);
    expect_info(c, ecn, true);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1 ect0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(texts_come_back_as_they_were),
        TCP_SCRIPT(injected_frames_say_what_the_text_said),
        TCP_SCRIPT(our_isn_and_timestamps_are_learned),
        TCP_SCRIPT(what_is_wrong_with_our_frames_is_said),
        TCP_SCRIPT(comparisons_see_what_is_said),
        TCP_SCRIPT(conversation_of_1460),
        TCP_SCRIPT_WITH(conversation_of_1460, wrap),
        TCP_SCRIPT_WITH(conversation_of_1460, jumbo),
        TCP_SCRIPT_WITH(conversation_of_1460, no_ecn),
        TCP_SCRIPT_WITH(conversation_of_1460, ecn),
        TCP_SCRIPT_WITH(conversation_of_1460, ack_now),
        TCP_SCRIPT_WITH(conversation_of_1460, none),
        TCP_SCRIPT_WITH(conversation_of_1460, few),
        TCP_SCRIPT_WITH(conversation_of_1460, many),
        TCP_SCRIPT_WITH(conversation_of_1460, offload),
        TCP_SCRIPT_WITH(conversation_of_536, small_mtu),
        TCP_SCRIPT_WITH(conversation_of_queues, queues),
        TCP_SCRIPT_WITH(conversation_with_ecn, ecn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
