/*
 * Packet scripts: TCP on several queues of one NIC (DESIGN section 2): a connection lives on one
 * queue, a listener on all. The language is in tcp_script.h; the NIC steers by Toeplitz.
 */
/* For struct tcp_conn. */
#include "dataplane/stack_internal.h"

#include "tcp_script.h"

#include "dataplane/steer.h"

#include <stdio.h>

#define QUEUES 3

/* To which queue the NIC gives this frame. */
static uint32_t queue_of(const struct frame *frame)
{
    return steer_frame(script_nic()->steering, frame->data, frame->len_bytes);
}

/* A connection of that queue's, to a port that a program named or the stack chose. */
static conn connected_on(uint32_t queue_idx)
{
    on_queue(queue_idx);
    return established(.local = "any:0", .rtt_ms = 1);
}

/* "Fragmentation needed", about a segment of this connection to PEER:5000. */
static struct frame error_about(conn c)
{
    char own[32];
    (void)snprintf(own, sizeof(own), OWN ":%u", rs_be16(conn_info(c).local_port_be16));
    struct frame frame = frame_icmp_error(ROUTER, 3, 4, own, PEER ":5000");
    frame.data[14 + 20 + 8 + 9] = 6; /* the quote is TCP */
    frame_fix_payload(&frame);
    return frame;
}

/* ---- connect ---- */

/* RFC 6056's random ports, but only those whose answers the NIC gives to the queue that connects.
 */
static void the_answers_to_a_chosen_port_come_to_its_queue(void **state)
{
    (void)state;
    for (uint32_t queue_idx = 0; queue_idx < QUEUES; queue_idx++) {
        on_queue(queue_idx);
        for (uint32_t i = 0; i < 10; i++) {
            char peer[32];
            (void)snprintf(peer, sizeof(peer), PEER ":%u", 5000 + i);
            conn c = connecting(peer, .local = "any:0");
            expect_tcp("S 0");
            struct frame answer = frame_tcp("SA 0 ack 1 <mss 1460>");
            assert_int_equal(queue_of(&answer), queue_idx);
            assert_in_range(rs_be16(conn_info(c).local_port_be16), 49152, 65535);
            inject(&answer);
            expect_tcp("A 1 ack 1");
            expect_connected(c);
        }
    }
}

/* Each queue has a part of the ports, so two never choose the same pair, though they do not ask
 * each other. */
static void two_queues_do_not_choose_the_same_port(void **state)
{
    (void)state;
    uint16_t ports[QUEUES * 8];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 8; i++) {
        for (uint32_t queue_idx = 0; queue_idx < QUEUES; queue_idx++) {
            on_queue(queue_idx);
            conn c = connecting(PEER ":5000", .local = "any:0");
            expect_tcp("S 0");
            ports[count++] = conn_info(c).local_port_be16;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            assert_int_not_equal(ports[i], ports[j]);
        }
    }
}

/* ---- listeners ---- */

/* Wherever the NIC brings a peer's SYN, there the connection is made. */
static void a_connection_is_made_where_its_syn_arrives(void **state)
{
    (void)state;
    server s[QUEUES];
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        s[i] = listening("any:7000", .part_of = i > 0 ? s[0] : NULL);
    }
    for (uint32_t port = 5000; port < 5010; port++) {
        char peer[32];
        (void)snprintf(peer, sizeof(peer), PEER ":%u", port);
        on_flow(OWN ":7000", peer);
        struct frame syn = frame_tcp("S 0 win 65535 <mss 1460>");
        on_queue(queue_of(&syn));
        inject(&syn);
        expect_tcp("SA 0 ack 1");
        inject_tcp("PA 1:101 ack 1");
        conn c = accepted(s[queue_of(&syn)]);
        expect_tcp("A 1 ack 101");
        read_bytes(c, 100);
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        close_server(s[i]);
    }
}

/* One count of free places for all; one that is taken back on one queue serves another. */
static void all_queues_share_one_backlog(void **state)
{
    (void)state;
    server s[QUEUES];
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        s[i] = listening("any:7000", .backlog = 2, .part_of = i > 0 ? s[0] : NULL);
    }
    for (uint32_t i = 0; i < QUEUES; i++) { /* half-open ones take no place */
        char peer[32];
        (void)snprintf(peer, sizeof(peer), PEER ":%u", 5000 + i);
        on_queue(i);
        on_flow(OWN ":7000", peer);
        inject_tcp("S 0 win 65535 <mss 1460>");
        expect_tcp("SA 0 ack 1");
    }
    for (uint32_t i = 0; i < QUEUES; i++) { /* those that are complete first do */
        char peer[32];
        (void)snprintf(peer, sizeof(peer), PEER ":%u", 5000 + i);
        on_queue(i);
        on_flow(OWN ":7000", peer);
        inject_tcp("A 1 ack 1");
        expect_count(tcp_listen_overflow, i == 2 ? 1 : 0);
    }
    expect_no_accept(s[2]);
    on_flow(OWN ":7000", PEER ":5003");
    inject_tcp("S 0 win 65535 <mss 1460>");
    expect_nothing();
    expect_connected(accepted(s[0]));
    on_queue(2);
    on_flow(OWN ":7000", PEER ":5002");
    inject_tcp("A 1 ack 1");
    expect_connected(accepted(s[2]));
    expect_connected(accepted(s[1]));
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        close_server(s[i]);
    }
}

/* ---- ICMP errors: the NIC steers them by the router's address ---- */

static void an_icmp_error_reaches_the_queue_of_its_connection(void **state)
{
    (void)state;
    conn c = connected_on(1);
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    on_queue(2);
    inject_frag_needed(ROUTER, 1300, 1);
    expect_tcp("A 1:1249 ack 1");
    expect_tcp("PA 1249:1449 ack 1");
    expect_count(handed_out, 1);
    expect_count(icmp_errors_in, 0);
    on_queue(1);
    expect_count(handed_in, 1);
    expect_count(icmp_errors_in, 1);
    expect_info(c, mss_bytes, 1248);
    inject_frag_needed(ROUTER, 1200, 1); /* where it belongs it goes nowhere else */
    expect_tcp("A 1:1149 ack 1");
    expect_tcp("A 1149:1249 ack 1");
    expect_count(handed_out, 0);
}

static void a_refusal_reaches_the_queue_that_connects(void **state)
{
    (void)state;
    on_queue(2);
    conn c = connecting(PEER ":5000", .local = "any:0");
    expect_tcp("S 0");
    on_queue(0);
    inject_tcp_unreachable(PEER, 3, 0);
    expect_count(handed_out, 1);
    expect_error(c, RS_CONN_REFUSED);
}

/* About a connection that is nowhere, or from outside the window: it ends where that would be. */
static void an_icmp_error_about_nothing_is_handed_over_once(void **state)
{
    (void)state;
    conn c = connected_on(1);
    on_queue(0);
    inject_frag_needed(ROUTER, 1300, 7777);
    expect_count(handed_out, 1);
    expect_count(icmp_no_socket, 0);
    on_queue(1);
    expect_count(handed_in, 1);
    expect_count(icmp_no_socket, 1);
    inject_frag_needed(ROUTER, 1300, 7777);
    expect_count(icmp_no_socket, 2);
    expect_count(handed_out, 0);
    expect_info(c, mss_bytes, 1448);
}

/* Two queues that steer differently would else send it to and fro. */
static void an_icmp_error_that_was_handed_over_goes_no_further(void **state)
{
    (void)state;
    struct frame frame = error_about(connected_on(1));
    on_queue(0);
    inject_handed(&frame);
    expect_count(handed_out, 0);
    expect_count(icmp_no_socket, 1);
}

/* Of somebody else's segments, and of datagrams, which every queue knows, nothing is handed on. */
static void other_icmp_errors_stay(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < QUEUES; i++) {
        on_queue(i);
        inject_unreachable(ROUTER, 3, OWN ":7000", PEER ":9");
        expect_count(icmp_no_socket, 1);
        struct frame frame = frame_icmp_error(ROUTER, 3, 3, PEER2 ":7000", PEER ":9");
        frame.data[14 + 20 + 8 + 9] = 6; /* the quote is TCP */
        frame_fix_payload(&frame);
        inject(&frame);
        expect_count(icmp_no_socket, 2);
        expect_count(handed_out, 0);
    }
}

static void without_room_an_icmp_error_is_lost(void **state)
{
    (void)state;
    conn c = connected_on(1);
    write_bytes(c, 1448);
    expect_tcp("PA 1:1449 ack 1");
    hand_over_room(0);
    on_queue(0);
    inject_frag_needed(ROUTER, 1300, 1);
    expect_nothing();
    expect_count(hand_over_full, 1);
    expect_info(c, mss_bytes, 1448);
}

/* ---- a NIC that steers by something else: the queues do it (STEER_SOFTWARE) ---- */

/* The queue that got a segment asks steer.c and gives it to the connection's; that takes it as any
 * other. */
static void a_segment_that_was_handed_over_is_taken_as_any_other(void **state)
{
    (void)state;
    conn c = connected_on(1);
    struct frame data = frame_tcp("PA 1:101 ack 1");
    assert_int_equal(queue_of(&data), 1);
    inject_handed(&data);
    expect_tcp("A 1 ack 101");
    read_bytes(c, 100);
    expect_count(handed_in, 1);
    expect_count(tcp_segments_in, 2); /* and the SYN-ACK */
}

/* Then ICMP errors are given to the right queue at once, because a frame is handed over once. */
static void software_steers_icmp_errors_by_what_they_quote(void **state)
{
    (void)state;
    for (uint32_t queue_idx = 0; queue_idx < QUEUES; queue_idx++) {
        conn c = connected_on(queue_idx);
        struct nic_steering software = *script_nic()->steering;
        software.mode = STEER_SOFTWARE;
        struct frame frame = error_about(c);
        assert_int_equal(steer_frame(&software, frame.data, frame.len_bytes), queue_idx);
        frame.data[14 + 20] = 8; /* a ping goes by its addresses */
        assert_int_equal(steer_frame(&software, frame.data, frame.len_bytes), queue_of(&frame));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_SCRIPT_WITH(the_answers_to_a_chosen_port_come_to_its_queue, queues),
        TCP_SCRIPT_WITH(two_queues_do_not_choose_the_same_port, queues),
        TCP_SCRIPT_WITH(a_connection_is_made_where_its_syn_arrives, queues),
        TCP_SCRIPT_WITH(all_queues_share_one_backlog, queues),
        TCP_SCRIPT_WITH(an_icmp_error_reaches_the_queue_of_its_connection, queues),
        TCP_SCRIPT_WITH(a_refusal_reaches_the_queue_that_connects, queues),
        TCP_SCRIPT_WITH(an_icmp_error_about_nothing_is_handed_over_once, queues),
        TCP_SCRIPT_WITH(an_icmp_error_that_was_handed_over_goes_no_further, queues),
        TCP_SCRIPT_WITH(other_icmp_errors_stay, queues),
        TCP_SCRIPT_WITH(without_room_an_icmp_error_is_lost, queues),
        TCP_SCRIPT_WITH(a_segment_that_was_handed_over_is_taken_as_any_other, queues),
        TCP_SCRIPT_WITH(software_steers_icmp_errors_by_what_they_quote, queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
