/*
 * How connections begin: active, passive, simultaneous; SYNs sent again, refused, given up;
 * listeners, backlog, and what an open cannot be. What is agreed on in the SYNs: tcp_options.c.
 */
#include "tcp_script.h"

#include "dataplane/wire/byteorder.h"

/* The longest that a half-open connection lives: 1 + 2 + 4 + 8 + 16 s. */
#define GIVEN_UP_MS 31000

/* ---- active ---- */

/* RFC 9293 3.5, figure 6; RFC 7323, RFC 2018: all options are offered in the SYN. */
static void active_open(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0 win 65535 <mss 1460,sackOK,ts +0:0,wscale 1>");
    expect_state(c, TCP_SYN_SENT);
    expect_no_event(c, "CONNECTED");
    inject_tcp("SA 0 ack 1 win 65535 <mss 1460,sackOK,ts 100:0,wscale 7>");
    expect_tcp("A 1 ack 1 win 65536 <ts +0:100>");
    expect_connected(c);
    expect_state(c, TCP_ESTABLISHED);
    expect_info(c, timestamps, true);
    expect_info(c, sack, true);
    expect_info(c, window_scaling, true);
    expect_info(c, mss_bytes, 1448);
    expect_info(c, snd_wnd_bytes, 65535);
}

/* RFC 9293 3.10.1: what is written before the handshake ends is sent after it. */
static void data_written_early_follows_the_handshake(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    write_bytes(c, 100);
    expect_nothing();
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("PA 1:101 ack 1");
    expect_connected(c);
}

/* RFC 6528: sequence numbers of different pairs tell nothing about each other. */
static void sequence_numbers_differ_by_pair(void **state)
{
    (void)state;
    conn a = connecting(PEER ":5000");
    expect_tcp("S 0");
    uint32_t isn_a = own_isn(a);
    conn b = connecting(PEER ":5001");
    expect_tcp("S 0");
    assert_in_range(own_isn(b) - isn_a, 1000000, UINT32_MAX - 1000000);
}

/* RFC 9293 3.4: all comparisons are modulo 2^32. */
static void numbers_wrap_around(void **state)
{
    (void)state;
    conn c = established();
    assert_int_equal(own_isn(c), 0xfffffe00u);
    write_bytes(c, 2000);
    expect_tcp_each(1448, "A 1:2001 ack 1");
    inject_tcp("A 1:1001 ack 2001");
    expect_readable(c, 1000);
    read_bytes(c, 1000);
    expect_acked(c, 2000);
    expect_tcp_after(40, "A 2001 ack 1001 <ts>");
}

/* RFC 6298 2.1, 5.5: the SYN again after 1 s, then twice as long each time. */
static void syn_is_sent_again_with_backoff(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0 win 65535 <mss 1460,sackOK,ts +0:0,wscale 1>");
    expect_tcp_after(1000, "S 0 win 65535 <mss 1460,sackOK,ts +1000:0,wscale 1>");
    expect_tcp_after(2000, "S 0 <mss 1460,sackOK,ts *:0,wscale 1>");
    expect_tcp_after(4000, "S 0");
    inject_tcp("SA 0 ack 1 <mss 1460,sackOK,ts,wscale 7>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
}

/* RFC 9293 3.8.3 (R2 of a SYN): it is given up at last. */
static void connect_times_out(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    for (uint64_t ms = 1000; ms <= 8000; ms *= 2) {
        expect_tcp_after(ms, "S 0");
    }
    advance_ms(15990);
    expect_no_event(c, "ERROR");
    advance_ms(20);
    expect_error(c, RS_TIMED_OUT);
    expect_state(c, TCP_CLOSED);
    close_conn(c);
    expect_gone(c);
    expect_flow_state(TCP_CLOSED);
}

/* RFC 9293 3.10.7.3, second step. */
static void connect_is_refused(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    inject_tcp("RA 0 ack 1");
    expect_error(c, RS_CONN_REFUSED);
    advance_ms(100000);
    expect_nothing();
}

/* RFC 9293 3.10.7.3: half of a connection that one side forgot; its reset clears the way, and the
 * next SYN does not wait for long. Once: an attacker could go on for ever. */
static void half_open_of_long_ago_is_cleared(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    inject_tcp("A 7000 ack 9000");
    expect_tcp("R 9000 <>");
    expect_state(c, TCP_SYN_SENT);
    expect_tcp_after(2, "S 0");
    inject_tcp("A 7000 ack 9000");
    expect_tcp("R 9000 <>");
    expect_tcp_after(2000, "S 0");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
}

/* RFC 1122 4.2.3.9, RFC 5927 4: a port that nobody has; only about a segment that is under way. */
static void icmp_port_unreachable_refuses(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    inject_tcp_unreachable(PEER, 3, 100);
    expect_no_event(c, "ERROR");
    inject_tcp_unreachable(PEER, 3, 0);
    expect_error(c, RS_CONN_REFUSED);
}

static void icmp_host_unreachable_ends_connecting(void **state)
{
    (void)state;
    conn c = connecting(FAR ":5000");
    expect_tcp("S 0");
    inject_tcp_unreachable(ROUTER, 1, 0);
    expect_error(c, RS_HOST_UNREACHABLE);
}

/* RFC 9293 3.10.4, 3.10.5: a connection that is not there yet ends without a word. */
static void connecting_can_be_aborted(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    abort_conn(c);
    expect_nothing();
    expect_gone(c);
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("R 1");
}

static void connecting_can_be_closed(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    close_conn(c);
    expect_nothing();
    expect_gone(c);
    advance_ms(100000);
    expect_nothing();
}

/* Our ACK was lost (RFC 9293 3.10.7.4): the SYN-ACK again is answered again. */
static void syn_ack_that_comes_again_is_acknowledged(void **state)
{
    (void)state;
    conn c = established();
    inject_tcp("SA 0 ack 1 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_tcp("A 1 ack 1");
    expect_state(c, TCP_ESTABLISHED);
}

/* RFC 9293 3.10.7.3: text on a SYN-ACK is taken. */
static void data_with_the_syn_ack(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    inject_tcp("SA 0:10 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 11");
    expect_connected(c);
    expect_readable(c, 10);
}

/* ---- SYNs that cannot leave ---- */

#define STRANGER "10.0.0.9" /* whose MAC nobody knows */
enum { CROWD = 40 };        /* more than the frames that wait for one */

static void crowd_connects(conn crowd[CROWD])
{
    for (uint32_t i = 0; i < CROWD; i++) {
        crowd[i] = connecting(STRANGER ":5000", .local = "any:0");
    }
    expect_arp_request(STRANGER);
    expect_nothing();
}

/* RFC 1122 2.3.2.2 lets the latest frame wait; a connect that waited a second for nothing would be
 * a slow one. */
static void more_connects_than_frames_wait_for_a_neighbour(void **state)
{
    (void)state;
    conn crowd[CROWD];
    crowd_connects(crowd);
    abort_conn(crowd[30]);
    expect_gone(crowd[30]);
    advance_ms(20);
    inject_arp_reply(STRANGER, OWN);
    for (uint32_t i = 0; i < CROWD; i++) {
        if (i != 30) {
            on_conn(crowd[i]);
            expect_tcp("S 0 <mss 1460,sackOK,ts,wscale 1>");
        }
    }
    expect_nothing();
    expect_count(neighbour_queue_full, 0);
    on_conn(crowd[CROWD - 1]);
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(crowd[CROWD - 1]);
}

static void all_connects_to_a_dead_neighbour_fail(void **state)
{
    (void)state;
    conn crowd[CROWD];
    crowd_connects(crowd);
    for (uint32_t i = 0; i < 2; i++) {
        advance_ms(1000);
        expect_arp_request(STRANGER);
    }
    advance_ms(1000);
    for (uint32_t i = 0; i < CROWD; i++) {
        expect_error(crowd[i], RS_HOST_UNREACHABLE);
    }
    expect_nothing();
}

/* The neighbour was asked for another one, last before this connect, and came back meanwhile. */
static void a_connect_just_before_its_neighbour_is_given_up_is_asked_for(void **state)
{
    (void)state;
    conn first = connecting(STRANGER ":5000");
    expect_arp_request(STRANGER);
    for (uint32_t i = 0; i < 2; i++) {
        advance_ms(1000);
        expect_arp_request(STRANGER);
    }
    advance_ms(500);
    conn late = connecting(STRANGER ":5000", .local = "any:6001");
    advance_ms(500);
    expect_error(first, RS_HOST_UNREACHABLE);
    expect_no_event(late, "ERROR");
    advance_ms(600);
    expect_arp_request(STRANGER);
    inject_arp_reply(STRANGER, OWN);
    on_conn(late);
    expect_tcp("S 0");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(late);
}

static void a_syn_that_finds_no_buffer_leaves_when_there_is_one(void **state)
{
    (void)state;
    nic_memory_limit_alloc(script_nic(), 0);
    conn c = connecting(PEER ":5000");
    expect_nothing();
    nic_memory_limit_alloc(script_nic(), UINT32_MAX);
    advance_ms(1);
    expect_tcp("S 0 <mss 1460,sackOK,ts +0:0,wscale 1>");
    expect_tcp_after(1000, "S 0");
    inject_tcp("SA 0 ack 1 <mss 1460>");
    expect_tcp("A 1 ack 1");
    expect_connected(c);
}

/* ---- passive ---- */

/* RFC 9293 3.5, figure 6, from the other side. */
static void passive_open(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 win 65535 <mss 1460,sackOK,ts 100:0,wscale 7>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460,sackOK,ts +0:100,wscale 1>");
    expect_flow_state(TCP_SYN_RECEIVED);
    expect_no_accept(s);
    advance_ms(10);
    inject_tcp("A 1 ack 1 win 65535");
    expect_nothing();
    conn c = accepted(s);
    expect_connected(c);
    expect_state(c, TCP_ESTABLISHED);
    expect_info(c, snd_wnd_bytes, 65408); /* a multiple of 128 */
    expect_info(c, timestamps, true);
    expect_info(c, sack, true);
    expect_number("rtt", conn_info(c).rtt_ns / 1000000, 10);
}

/* RFC 7323 1.3: options that the SYN did not have are not in the SYN-ACK. */
static void passive_open_without_options(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460>");
    inject_tcp("A 1 ack 1");
    conn c = accepted(s);
    expect_info(c, mss_bytes, 536);
    expect_info(c, window_scaling, false);
}

/* The SYN-ACK says the window of the ring that the connection will have. */
static void passive_window_is_that_of_the_ring(void **state)
{
    (void)state;
    (void)listening("any:7000", .recv_bytes = 4096);
    inject_tcp("S 0 <mss 1460,wscale 7>");
    expect_tcp("SA 0 ack 1 win 4096 <mss 1460,wscale 0>");
}

/* RFC 6298 5.5: the SYN-ACK again, with backoff, and given up at last without a word. */
static void syn_ack_is_sent_again_with_backoff(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    for (uint64_t ms = 1000; ms <= 8000; ms *= 2) {
        expect_tcp_after(ms, "SA 0 ack 1");
    }
    advance_ms(15990);
    expect_flow_state(TCP_SYN_RECEIVED);
    advance_ms(20);
    expect_flow_state(TCP_CLOSED);
    expect_nothing();
    expect_no_accept(s);
}

/* RFC 9293 3.10.7.4: the peer has not seen the SYN-ACK. */
static void syn_that_comes_again_is_answered_again(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1460,ts 0:0>");
    expect_tcp("SA 0 ack 1 <mss 1460,ts +0:0>");
    advance_ms(500);
    inject_tcp("S 0 <mss 1460,ts 500:0>");
    expect_tcp("SA 0 ack 1 <mss 1460,ts +500:500>");
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s));
}

/* Asking again does not keep a half-open connection alive. */
static void syns_do_not_keep_a_request_alive(void **state)
{
    (void)state;
    (void)listening("any:7000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    for (uint64_t ms = 500; ms < GIVEN_UP_MS; ms += 500) {
        advance_ms(500);
        allow_tcp("SA 0 ack 1");
        expect_flow_state(TCP_SYN_RECEIVED);
        inject_tcp("S 0 <mss 1460>");
        expect_tcp("SA 0 ack 1");
    }
    advance_ms(510);
    expect_nothing();
    expect_flow_state(TCP_CLOSED);
}

/* RFC 9293 3.10.7.4: text and FIN of the last ACK count. */
static void data_and_fin_with_the_last_ack(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("FPA 1:101 ack 1");
    expect_tcp("A 1 ack 102");
    conn c = accepted(s);
    expect_event(c, "CONNECTED END");
    expect_state(c, TCP_CLOSE_WAIT);
    read_bytes(c, 100);
}

/* The ACK that ends the handshake was lost: the data behind it has one, too. */
static void first_data_completes_the_handshake(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("PA 1:11 ack 1");
    expect_tcp("A 1 ack 11");
    conn c = accepted(s);
    expect_connected(c);
    read_bytes(c, 10);
}

/* Data ahead of a lost segment completes the handshake as well. */
static void data_ahead_of_a_gap_completes_the_handshake(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1460,sackOK>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("PA 101:111 ack 1");
    expect_tcp("A 1 ack 1 <sack 101:111>");
    conn c = accepted(s);
    expect_connected(c);
    expect_readable(c, 0);
    inject_tcp("A 1:101 ack 1");
    expect_tcp("A 1 ack 111");
    read_bytes(c, 110);
}

/* RFC 9293 3.9.2.3, MUST-57: no SYN to a group or broadcast address. */
static void syn_to_a_broadcast_address_is_ignored(void **state)
{
    (void)state;
    (void)listening("any:7000");
    on_flow("10.0.0.255:7000", PEER ":5000");
    inject_tcp("S 0 <mss 1460>");
    expect_nothing();
    on_flow("255.255.255.255:7000", PEER ":5000");
    inject_tcp("S 0 <mss 1460>");
    expect_nothing();
}

/* A listener of one address comes before one of any. */
static void listener_of_the_address_comes_first(void **state)
{
    (void)state;
    server any = listening("any:7000");
    server own = listening(OWN ":7000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_no_accept(any);
    expect_connected(accepted(own));
}

/* Two peers at once, and two ports of one peer. */
static void handshakes_do_not_mix(void **state)
{
    (void)state;
    server s = listening("any:7000");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    on_flow(OWN ":7000", PEER2 ":5000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("A 1 ack 1");
    conn first = accepted(s);
    expect_number("peer", conn_info(first).peer_be32, ip_of(PEER2));
    expect_connected(first);
    conn second = accepted(s);
    expect_number("port", conn_info(second).peer_port_be16, port_of(":5000"));
    expect_connected(second);
    expect_no_accept(s);
}

/* ---- simultaneous ---- */

/* RFC 9293 3.5, figure 7. */
static void simultaneous_open(void **state)
{
    (void)state;
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    inject_tcp("S 0 win 65535 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_tcp("SA 0 ack 1 win 65535 <mss 1460,sackOK,ts +0:0,wscale 1>");
    expect_state(c, TCP_SYN_RECEIVED);
    expect_no_event(c, "CONNECTED");
    inject_tcp("SA 0 ack 1 win 65535 <mss 1460,sackOK,ts 0:0,wscale 7>");
    expect_nothing();
    expect_connected(c);
    write_bytes(c, 10);
    expect_tcp("PA 1:11 ack 1");
    inject_tcp("A 1:11 ack 11");
    expect_tcp_after(40, "A 11 ack 11");
    read_bytes(c, 10);
}

static void simultaneous_open_sends_its_syn_ack_again(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_RECEIVED);
    expect_tcp_after(1000, "SA 0 ack 1");
    expect_tcp_after(2000, "SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_connected(c);
}

/* RFC 9293 3.10.5: in SYN-RECEIVED the peer must be told. */
static void simultaneous_open_can_be_aborted(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_RECEIVED);
    abort_conn(c);
    expect_tcp("RA 1 ack 1");
    expect_gone(c);
}

/* RFC 9293 3.10.4: the FIN waits for the end of the handshake. */
static void simultaneous_open_closed_early(void **state)
{
    (void)state;
    conn c = reached(TCP_SYN_RECEIVED);
    shutdown_send(c);
    expect_nothing();
    inject_tcp("A 1 ack 1");
    expect_tcp("FA 1 ack 1");
    expect_connected(c);
    expect_state(c, TCP_FIN_WAIT_1);
}

/* ---- listeners' limits ---- */

/* As Linux: with all places taken a SYN is not answered, so that the peer tries again. */
static void full_backlog_leaves_syns_unanswered(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 <mss 1460>");
    expect_nothing();
    expect_connected(accepted(s));
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
}

/* The place went to another one while this one shook hands: its data makes it good later. */
static void handshake_that_finds_no_place_can_end_later(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("A 1 ack 1");
    expect_nothing();
    expect_connected(accepted(s));
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("PA 1:11 ack 1");
    expect_tcp("A 1 ack 11");
    conn c = accepted(s);
    expect_connected(c);
    read_bytes(c, 10);
}

/* As Windows: refused at once. */
static void full_backlog_can_refuse(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1, .reset_when_full = true);
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("RA 0 ack 1");
    expect_connected(accepted(s));
}

/* Who has shaken hands is no stranger: the limit of resets to those does not hold it back. */
static void refused_behind_the_handshake_is_always_told(void **state)
{
    (void)state;
    server s = listening("any:7000");
    accept_memory(s, false);
    on_flow(OWN ":7001", PEER ":5000");
    for (uint32_t i = 0; i < 50; i++) { /* as many as the limit lets pass at once */
        inject_tcp("A 1 ack 1");
        expect_tcp("R 1");
    }
    inject_tcp("A 1 ack 1");
    expect_nothing();
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_tcp("RA 1 ack 1");
    expect_no_accept(s);
}

static void accept_without_memory_resets(void **state)
{
    (void)state;
    server s = listening("any:7000");
    accept_memory(s, false);
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    expect_tcp("RA 1 ack 1");
    expect_no_accept(s);
    expect_flow_state(TCP_CLOSED);
}

/* What is half open goes with its listener, and is told so (RFC 9293 3.10.5): the peer may think
 * that it is connected. */
static void closed_listener_resets_its_requests(void **state)
{
    (void)state;
    server s = listening("any:7000");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    close_server(s);
    expect_tcp("RA 1 ack 1");
    expect_flow_state(TCP_CLOSED);
    inject_tcp("A 1 ack 1");
    expect_tcp("R 1");
}

/* The peer has said its last ACK, and there was no place: it would wait for ever. */
static void closed_listener_resets_whom_it_could_not_take(void **state)
{
    (void)state;
    server s = listening("any:7000", .backlog = 1);
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    on_flow(OWN ":7000", PEER ":5001");
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("SA 0 ack 1");
    inject_tcp("A 1 ack 1");
    on_flow(OWN ":7000", PEER ":5000");
    inject_tcp("A 1 ack 1");
    expect_nothing();
    expect_connected(accepted(s));
    on_flow(OWN ":7000", PEER ":5000");
    close_server(s);
    expect_tcp("RA 1 ack 1");
    expect_flow_state(TCP_CLOSED);
}

static void two_listeners_of_one_address_cannot_be(void **state)
{
    (void)state;
    server s = listening("any:7000");
    listening_fails(RS_ADDR_IN_USE, "any:7000");
    close_server(s);
    (void)listening("any:7000");
}

/* ---- what cannot be opened ---- */

static void connects_that_cannot_be(void **state)
{
    (void)state;
    connecting_fails(RS_INVALID, GROUP ":5000");
    connecting_fails(RS_INVALID, "255.255.255.255:5000");
    connecting_fails(RS_INVALID, "any:5000");
    connecting_fails(RS_ADDR_NOT_AVAILABLE, PEER ":0");
    connecting_fails(RS_ADDR_NOT_AVAILABLE, PEER ":5000", .local = "10.0.0.9:7000");
    connecting_fails(RS_NOT_SUPPORTED, OWN ":5000");
    connecting_fails(RS_NOT_SUPPORTED, "127.0.0.1:5000");
    connecting_fails(RS_INVALID, PEER ":5000", .recv_bytes = 5000);
    conn c = connecting(PEER ":5000");
    expect_tcp("S 0");
    connecting_fails(RS_ADDR_IN_USE, PEER ":5000");
    expect_state(c, TCP_SYN_SENT);
}

static void connections_have_a_limit(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        static const char *const peers[] = {PEER ":1", PEER ":2", PEER ":3", PEER ":4"};
        (void)connecting(peers[i]);
        expect_tcp("S 0");
    }
    connecting_fails(RS_NO_BUFFERS, PEER ":5");
    expect_count(tcp_connections_full, 1);
}

/* RFC 6056, RFC 6335 6: ephemeral ports, a different one for each. */
static void ports_are_chosen(void **state)
{
    (void)state;
    conn a = connecting(PEER ":5000", .local = "any:0");
    expect_tcp("S 0");
    conn b = connecting(PEER ":5000", .local = "any:0");
    expect_tcp("S 0");
    uint16_t port_a = rs_be16(conn_info(a).local_port_be16);
    uint16_t port_b = rs_be16(conn_info(b).local_port_be16);
    assert_in_range(port_a, 49152, 65535);
    assert_in_range(port_b, 49152, 65535);
    assert_int_not_equal(port_a, port_b);
}

/* Without TCP every segment is answered with a reset (RFC 9293 3.10.7.1). */
static void a_stack_without_tcp_refuses(void **state)
{
    (void)state;
    inject_tcp("S 0 <mss 1460>");
    expect_tcp("RA 0 ack 1");
    connecting_fails(RS_NO_BUFFERS, PEER ":5000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT(active_open),
        TCP_SCRIPT(data_written_early_follows_the_handshake),
        TCP_SCRIPT(sequence_numbers_differ_by_pair),
        TCP_SCRIPT_WITH(numbers_wrap_around, wrap),
        TCP_SCRIPT(syn_is_sent_again_with_backoff),
        TCP_SCRIPT(connect_times_out),
        TCP_SCRIPT(more_connects_than_frames_wait_for_a_neighbour),
        TCP_SCRIPT(all_connects_to_a_dead_neighbour_fail),
        TCP_SCRIPT(a_connect_just_before_its_neighbour_is_given_up_is_asked_for),
        TCP_SCRIPT(a_syn_that_finds_no_buffer_leaves_when_there_is_one),
        TCP_SCRIPT(connect_is_refused),
        TCP_SCRIPT(half_open_of_long_ago_is_cleared),
        TCP_SCRIPT(icmp_port_unreachable_refuses),
        TCP_SCRIPT(icmp_host_unreachable_ends_connecting),
        TCP_SCRIPT(connecting_can_be_aborted),
        TCP_SCRIPT(connecting_can_be_closed),
        TCP_SCRIPT(syn_ack_that_comes_again_is_acknowledged),
        TCP_SCRIPT(data_with_the_syn_ack),
        TCP_SCRIPT(passive_open),
        TCP_SCRIPT(passive_open_without_options),
        TCP_SCRIPT(passive_window_is_that_of_the_ring),
        TCP_SCRIPT(syn_ack_is_sent_again_with_backoff),
        TCP_SCRIPT(syn_that_comes_again_is_answered_again),
        TCP_SCRIPT(syns_do_not_keep_a_request_alive),
        TCP_SCRIPT(data_and_fin_with_the_last_ack),
        TCP_SCRIPT(first_data_completes_the_handshake),
        TCP_SCRIPT(data_ahead_of_a_gap_completes_the_handshake),
        TCP_SCRIPT(syn_to_a_broadcast_address_is_ignored),
        TCP_SCRIPT(listener_of_the_address_comes_first),
        TCP_SCRIPT(handshakes_do_not_mix),
        TCP_SCRIPT(simultaneous_open),
        TCP_SCRIPT(simultaneous_open_sends_its_syn_ack_again),
        TCP_SCRIPT(simultaneous_open_can_be_aborted),
        TCP_SCRIPT(simultaneous_open_closed_early),
        TCP_SCRIPT(full_backlog_leaves_syns_unanswered),
        TCP_SCRIPT(handshake_that_finds_no_place_can_end_later),
        TCP_SCRIPT(full_backlog_can_refuse),
        TCP_SCRIPT(accept_without_memory_resets),
        TCP_SCRIPT(refused_behind_the_handshake_is_always_told),
        TCP_SCRIPT(closed_listener_resets_its_requests),
        TCP_SCRIPT(closed_listener_resets_whom_it_could_not_take),
        TCP_SCRIPT(two_listeners_of_one_address_cannot_be),
        TCP_SCRIPT(connects_that_cannot_be),
        TCP_SCRIPT_WITH(connections_have_a_limit, few),
        TCP_SCRIPT(ports_are_chosen),
        TCP_SCRIPT_WITH(a_stack_without_tcp_refuses, off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
