/*
 * Stream sockets through the dataplane's request path: a program writes requests and reads state
 * lines slot by slot, another host answers with a stack of its own (tests/support/stream_rig.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/session.h"
#include "rings/byteorder.h"
#include "tests/support/stream_rig.h"

#define SERVER RIG_PEER ":80"

static struct rig_program program;

static int start(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){0});
    rig_attach(&program);
    return 0;
}

static int start_spinning(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){.never_sleeps = true});
    rig_attach(&program);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return stream_rig_stop() ? 0 : -1;
}

static uint32_t word(const rs_atomic_u32 *at)
{
    return atomic_load_explicit(at, memory_order_acquire);
}

static uint64_t word64(const rs_atomic_u64 *at)
{
    return atomic_load_explicit(at, memory_order_acquire);
}

static void fill(uint8_t *data, uint32_t len_bytes, uint32_t from)
{
    for (uint32_t i = 0; i < len_bytes; i++) {
        data[i] = (uint8_t)((from + i) * 7 + ((from + i) >> 8));
    }
}

/* A connection to the other host, both ends. */
static struct rig_socket connected(struct rig_peer **peer)
{
    struct rig_socket socket = rig_open(&program);
    rig_peer_listen(80);
    assert_int_equal(rig_connect(&socket, SERVER), RS_OK);
    rig_until_level(&socket, RS_LEVEL_CONNECTED);
    *peer = rig_peer_accepted();
    return socket;
}

/* ---- both ways ---- */

static void bytes_pass_both_ways(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    char text[64] = {0};
    (void)state;
    assert_int_equal(rig_level(&socket), RS_LEVEL_CONNECTED);
    assert_int_equal(rig_write(&socket, "hello", 5), 5);
    rig_peer_until(peer, TCP_EVENT_READABLE);
    assert_int_equal(rig_peer_read(peer, text, sizeof(text)), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(rig_peer_write(peer, "world!", 6), 6);
    uint32_t got = 0;
    for (uint32_t i = 0; got < 6 && i < 100000; i++) {
        rig_turn();
        got += rig_read(&socket, text + got, sizeof(text) - got);
    }
    assert_int_equal(got, 6);
    assert_memory_equal(text, "world!", 6);
    assert_int_equal(word(&socket.state->send_head), 5);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_END);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

/* Many times the rings, both ways at once: every byte, in order. */
static void long_streams_pass_both_ways(void **state)
{
    enum { TOTAL = 300000 };
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    uint32_t out = 0, out_read = 0, in = 0, in_read = 0;
    uint8_t data[3000], expected[3000];
    (void)state;
    for (uint32_t turn = 0; out_read < TOTAL || in_read < TOTAL; turn++) {
        uint32_t want = 1 + turn * 37 % 2999;
        assert_true(turn < 1000000); /* the streams stand still */
        fill(data, want, out);
        out += rig_write(&socket, data, want < TOTAL - out ? want : TOTAL - out);
        fill(data, want, in);
        in += rig_peer_write(peer, data, want < TOTAL - in ? want : TOTAL - in);
        rig_turn();
        uint32_t got = rig_peer_read(peer, data, want);
        fill(expected, got, out_read);
        assert_memory_equal(data, expected, got);
        out_read += got;
        got = rig_read(&socket, data, want);
        fill(expected, got, in_read);
        assert_memory_equal(data, expected, got);
        in_read += got;
    }
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_END);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

/* The peer fills the window and waits; nothing is sent by itself until the program has read. */
static void a_stalled_peer_hears_of_room(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    uint8_t data[RIG_RING], expected[RIG_RING];
    uint32_t in = 0, read = 0;
    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 2000; i++) { /* until it is stuck: window and its ring full */
            fill(data, sizeof(data), in);
            in += rig_peer_write(peer, data, sizeof(data));
            rig_turn();
        }
        assert_true(
            rs_seq_before_eq(word(&socket.state->recv_notify), word(&socket.state->recv_tail)));
        for (uint32_t got, i = 0; i < 2; i++) { /* all at once, or in two steps */
            got = rig_read(&socket, data, round % 2 == 0 ? sizeof(data) : RIG_RING / 2);
            fill(expected, got, read);
            assert_memory_equal(data, expected, got);
            read += got;
        }
    }
    assert_true(read > 19 * (RIG_RING / 2));
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

/* The program reads between the dataplane's store of recv_notify and its look behind the fence, and
 * still sees the old value: that look finds it. Here it is made to last by a second look. */
static void a_read_without_a_word_is_seen(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    struct queue *queue = rig_queue(0);
    uint8_t data[RIG_RING];
    uint32_t in = 0;
    (void)state;
    fill(data, sizeof(data), 0);
    for (uint32_t i = 0; i < 2000; i++) {
        in += rig_peer_write(peer, data, sizeof(data));
        rig_turn();
    }
    assert_int_equal(in, 2 * RIG_RING);
    for (uint32_t i = 0; i < 10; i++) { /* a probe of the window, if one is under way */
        (void)queue_poll(queue);
    }
    atomic_store(&socket.client->recv_head[0], word(&socket.state->recv_tail));
    /* Not the other host's turns: a probe, sent by the clock, would be told of the room. */
    const struct counters *counters = stack_counters(queue->stack);
    const uint64_t frames = counter_get(counters, COUNTER_tx_frames);
    for (uint32_t i = 0; i < 2000; i++) {
        (void)queue_poll(queue);
    }
    assert_int_equal(counter_get(counters, COUNTER_tx_frames), frames);
    deliver_touch(queue, queue_part(queue, program.session)->sockets[socket.idx], 0);
    for (uint32_t i = 0; i < 10; i++) {
        (void)queue_poll(queue);
    }
    assert_int_equal(counter_get(counters, COUNTER_tx_frames), frames + 1);
    for (uint32_t i = 0; i < 100000 && in < 3 * RIG_RING; i++) {
        rig_turn();
        in += rig_peer_write(peer, data, 3 * RIG_RING - in);
    }
    assert_int_equal(in, 3 * RIG_RING);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

/* ---- ends ---- */

static void half_close(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    char text[8];
    (void)state;
    assert_int_equal(rig_write(&socket, "last", 4), 4);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_SEND), RS_OK);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_SEND), RS_OK);
    rig_peer_until(peer, TCP_EVENT_END);
    assert_int_equal(rig_peer_read(peer, text, sizeof(text)), 4);
    assert_int_equal(rig_level(&socket), RS_LEVEL_CONNECTED);
    assert_int_equal(rig_peer_write(peer, "more", 4), 4);
    rig_peer_close(peer);
    rig_until_level(&socket, RS_LEVEL_END);
    assert_int_equal(word(&socket.state->recv_tail), 4);
    assert_int_equal(rig_read(&socket, text, sizeof(text)), 4);
    assert_memory_equal(text, "more", 4);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_until_free(&socket);
}

static void shutdown_of_receiving_resets_what_comes(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    assert_int_equal(rig_shutdown(&socket, 0), RS_OK); /* wakes the program's threads */
    assert_int_equal(rig_shutdown(&socket, 4), RS_INVALID);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_RECV), RS_OK);
    (void)rig_peer_write(peer, "x", 1);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    assert_int_equal(peer->error, RS_CONN_RESET);
    rig_until_level(&socket, RS_LEVEL_ERROR);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_SEND), RS_NOT_CONNECTED);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

static void shutdown_of_receiving_resets_what_waits(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    (void)rig_peer_write(peer, "x", 1);
    rig_turns(4);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_RECV), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    assert_int_equal(peer->error, RS_CONN_RESET);
    rig_until_level(&socket, RS_LEVEL_ERROR);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

static void a_reset_is_told(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    uint32_t resets = word(&socket.state->reset_seq);
    uint32_t errors = word(&socket.state->error_seq);
    (void)state;
    tcp_abort(rig_peer_stack(), peer->conn);
    rig_until_level(&socket, RS_LEVEL_ERROR);
    assert_int_equal(word(&socket.state->error_code), RS_CONN_RESET);
    assert_int_equal(word(&socket.state->error_seq), errors + 1);
    assert_int_equal(word(&socket.state->reset_seq), resets + 1);
    assert_int_equal(rig_connect(&socket, SERVER), RS_IS_CONNECTED);
    rig_post(&socket, RS_OP_POST, 10); /* late, no violation */
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_until_free(&socket);
    assert_false(rig_is_poisoned(&program));
}

static void close_sends_what_was_written(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    uint8_t data[RIG_RING], got[RIG_RING];
    uint32_t read = 0;
    (void)state;
    fill(data, sizeof(data), 0);
    assert_int_equal(rig_write(&socket, data, sizeof(data)), sizeof(data));
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    assert_int_equal(word(&socket.state->generation), 0);
    assert_int_equal(word(&socket.state->mode), RS_MODE_ORPHAN);
    for (uint32_t i = 0; i < 100000 && read < sizeof(data); i++) {
        rig_turn();
        read += rig_peer_read(peer, got + read, sizeof(got) - read);
    }
    assert_int_equal(read, sizeof(data));
    assert_memory_equal(got, data, sizeof(data));
    rig_peer_until(peer, TCP_EVENT_END);
    assert_int_equal(word(&socket.state->mode), RS_MODE_ORPHAN);
    rig_peer_close(peer);
    rig_until_free(&socket);
    assert_int_equal(word(&socket.state->mode), RS_MODE_FREE);
}

static void abortive_close_resets(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    assert_int_equal(peer->error, RS_CONN_RESET);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

static void linger_gives_up(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    rig_wire_down(true);
    assert_int_equal(rig_write(&socket, "never heard", 11), 11);
    assert_int_equal(rig_close(&socket, false, 20), RS_OK);
    rig_until_free(&socket);
    rig_wire_down(false);
    rig_peer_close(peer);
}

/* ---- connecting ---- */

static void a_refused_connect_can_be_tried_again(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = rig_open(&program);
    uint32_t errors = word(&socket.state->error_seq);
    (void)state;
    rig_peer_listen(80);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(rig_connect(&socket, RIG_PEER ":81"), RS_OK);
        rig_until_level(&socket, RS_LEVEL_ERROR);
        assert_int_equal(rig_level(&socket), RS_LEVEL_ERROR);
        assert_int_equal(word(&socket.state->error_code), RS_CONN_REFUSED);
        assert_int_equal(word(&socket.state->error_seq), errors + i);
        assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_SEND), RS_NOT_CONNECTED);
    }
    uint32_t connects = word(&socket.state->connect_seq);
    assert_int_equal(rig_connect(&socket, SERVER), RS_OK);
    rig_until_level(&socket, RS_LEVEL_CONNECTED | RS_LEVEL_ERROR);
    assert_int_equal(rig_level(&socket), RS_LEVEL_CONNECTED);
    assert_int_equal(word(&socket.state->connect_seq), connects + 1);
    assert_int_equal(rig_connect(&socket, SERVER), RS_IS_CONNECTED);
    peer = rig_peer_accepted();
    assert_int_equal(rig_write(&socket, "abc", 3), 3);
    rig_peer_until(peer, TCP_EVENT_READABLE);
    rig_peer_close(peer); /* unread: a reset */
    rig_until_level(&socket, RS_LEVEL_ERROR);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_until_free(&socket);
}

static void connects_that_cannot_be(void **state)
{
    struct rig_socket socket = rig_open(&program);
    const struct rs_addr none = {.family = RS_FAMILY_NONE};
    (void)state;
    assert_int_equal(rig_request(&program, &socket, RS_OP_CONNECT, &none, sizeof(none)),
                     RS_FAMILY_NOT_SUPPORTED);
    assert_int_equal(rig_connect(&socket, "224.0.0.5:80"), RS_INVALID);
    assert_int_equal(rig_connect(&socket, "192.0.2.1:80"), RS_NET_UNREACHABLE);
    assert_int_equal(rig_connect(&socket, RIG_PEER ":0"), RS_ADDR_NOT_AVAILABLE);
    assert_int_equal(rig_connect(&socket, RIG_PEER ":81"), RS_OK);
    rig_until_level(&socket, RS_LEVEL_ERROR);
    rig_wire_down(true);
    assert_int_equal(rig_connect(&socket, SERVER), RS_OK);
    assert_int_equal(rig_level(&socket), 0);
    assert_int_equal(rig_connect(&socket, SERVER), RS_ALREADY);
    assert_int_equal(rig_bind(&socket, RIG_OWN ":6000"), RS_INVALID);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_SEND), RS_NOT_CONNECTED);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_until_free(&socket);
    rig_wire_down(false);
}

static void bound_ports_are_tcps_own(void **state)
{
    struct rig_peer *peer;
    struct rig_socket a = rig_open(&program), b = rig_open(&program), c = rig_open(&program);
    struct rs_addr local = {.family = RS_FAMILY_IPV4};
    (void)state;
    assert_int_equal(rig_bind(&a, "0.0.0.0:6000"), RS_OK);
    assert_int_equal(rig_bind(&a, "0.0.0.0:6001"), RS_INVALID);
    assert_int_equal(rig_bind(&b, "0.0.0.0:6000"), RS_ADDR_IN_USE);
    assert_int_equal(rig_bind(&b, "224.0.0.5:6001"), RS_ADDR_NOT_AVAILABLE);
    assert_int_equal(rig_bind(&b, RIG_PEER ":6001"), RS_ADDR_NOT_AVAILABLE);
    assert_int_equal(rig_request(&program, &c, RS_OP_BIND, &local, sizeof(local)), RS_OK);
    assert_int_not_equal(c.desc->local.port_be16, 0);
    assert_int_equal(ports_count(rig_control->tcp_ports), 2);
    assert_int_equal(ports_count(rig_control->ports), 0);
    rig_peer_listen(80);
    assert_int_equal(rig_connect(&a, SERVER), RS_OK);
    assert_int_equal(a.desc->local.port_be16, rs_be16(6000));
    rig_until_level(&a, RS_LEVEL_CONNECTED);
    peer = rig_peer_accepted();
    assert_int_equal(rig_close(&a, true, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
    rig_until_free(&a);
    assert_int_equal(rig_bind(&b, "0.0.0.0:6000"), RS_OK);
    assert_int_equal(rig_close(&b, false, 0), RS_OK);
    assert_int_equal(rig_close(&c, false, 0), RS_OK);
}

/* ---- options, urgent data ---- */

static void options_are_checked(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = rig_open(&program);
    (void)state;
    assert_int_equal(rig_option(&socket, RS_OPT_NODELAY, 1), RS_OK);
    assert_int_equal(rig_option(&socket, RS_OPT_NODELAY, 2), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_TTL, 0), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_TTL, 256), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_TOS, 256), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_MSS_MAX, 65536), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_MSS_MAX, 1000), RS_OK);
    assert_int_equal(rig_option(&socket, RS_OPT_CONGESTION, TCP_CONGESTION_COUNT), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_BROADCAST, 1), RS_BAD_OPTION);
    assert_int_equal(rig_option(&socket, RS_OPT_RCVBUF, 2000), RS_OK);
    rig_peer_listen(80);
    assert_int_equal(rig_connect(&socket, SERVER), RS_OK);
    rig_until_level(&socket, RS_LEVEL_CONNECTED);
    peer = rig_peer_accepted();
    struct tcp_info info;
    tcp_get_info(rig_peer_stack(), peer->conn, &info);
    assert_true(info.mss_bytes <= 1000);
    uint8_t data[RIG_RING] = {0};
    (void)rig_peer_write(peer, data, sizeof(data));
    rig_turns(2000);
    assert_true(word(&socket.state->recv_tail) <= 2000);
    assert_int_equal(rig_option(&socket, RS_OPT_RCVBUF, 4096), RS_OK);
    rig_turns(2000);
    assert_true(word(&socket.state->recv_tail) > 2000);
    assert_int_equal(rig_option(&socket, RS_OPT_MSS_MAX, 900), RS_INVALID);
    assert_int_equal(rig_option(&socket, RS_OPT_KEEPALIVE, 1), RS_OK);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

/* ---- what a connection tells about itself ---- */

static void a_connection_tells_about_itself(void **state)
{
    struct rs_tcp_info info;
    struct rig_peer *peer;
    (void)state;
    struct rig_socket socket = rig_open(&program);
    assert_int_equal(rig_info(&socket, &info), RS_NOT_CONNECTED);
    assert_int_equal(word64(&socket.state->connected_tsc), 0);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_until_free(&socket);
    uint64_t before_tsc = os_tsc();
    socket = connected(&peer);
    uint64_t since_tsc = word64(&socket.state->connected_tsc);
    assert_true(since_tsc >= before_tsc && since_tsc <= os_tsc());
    assert_int_equal(rig_write(&socket, "hello", 5), 5);
    assert_int_equal(rig_peer_write(peer, "abc", 3), 3);
    uint8_t data[8];
    for (uint32_t got = 0; got < 3;) {
        got += rig_read(&socket, data, sizeof(data));
        rig_turn();
    }
    rig_turns(200);
    assert_int_equal(rig_info(&socket, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_ESTABLISHED);
    assert_int_equal(info.sent_bytes, 5 + info.retransmitted_bytes);
    assert_int_equal(info.received_bytes, 3);
    assert_int_equal(info.recv_buffer_bytes, RIG_RING);
    assert_int_equal(info.timestamps, 1);
    assert_true(info.mss_bytes > 1000 && info.cwnd_bytes >= info.mss_bytes);
    assert_true(info.rtt_us > 0 && info.rtt_min_us > 0);
    assert_int_equal(info.limited[RS_TCP_LIMIT_SENDER].sent_bytes, info.sent_bytes);
    assert_int_equal(rig_peer_read(peer, data, sizeof(data)), 5);
    rig_peer_close(peer);
    rig_until_level(&socket, RS_LEVEL_END);
    assert_int_equal(rig_info(&socket, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_CLOSE_WAIT);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_until_free(&socket);
    struct rig_socket again = rig_open(&program);
    assert_int_equal(again.idx, socket.idx);
    assert_int_equal(word64(&again.state->connected_tsc), 0);
    rig_wire_down(true);
    assert_int_equal(rig_connect(&again, SERVER), RS_OK);
    assert_int_equal(rig_info(&again, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_SYN_SENT);
    assert_int_equal(info.connected_ms, 0);
    assert_int_equal(word64(&again.state->connected_tsc), 0);
    rig_wire_down(false);
    assert_int_equal(rig_close(&again, true, 0), RS_OK);
    rig_until_free(&again);
}

static bool urgent_came(void *context)
{
    const struct rig_socket *socket = context;
    return word(&socket->state->urgent_seq) != 0;
}

static void urgent_data(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    assert_int_equal(rig_peer_write(peer, "abcd", 4), 4);
    assert_int_equal(tcp_send_urgent(rig_peer_stack(), peer->conn, peer->written), RS_OK);
    rig_until(urgent_came, &socket, "an urgent mark");
    assert_int_equal(word(&socket.state->urgent_pos), 4);
    struct stream_region regions[2];
    assert_int_equal(stream_writer_regions(&socket.send, 0, 1, regions), 1);
    regions[0].base[0] = '!';
    stream_writer_commit(&socket.send, 1);
    rig_post(&socket, RS_OP_URGENT, socket.send.tail);
    rig_peer_until(peer, TCP_EVENT_URGENT);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

/* ---- the client is hostile ---- */

static void is_poison(struct rig_socket *socket, enum rs_op op, uint32_t arg)
{
    rig_post(socket, op, arg);
    rig_turns(4);
    assert_true(rig_is_poisoned(&program));
}

static void a_tail_outside_the_ring_is_poison(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    is_poison(&socket, RS_OP_POST, RIG_RING + 1);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
}

static void a_head_outside_the_ring_is_poison(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    atomic_store(&socket.client->recv_head[0], 1);
    is_poison(&socket, RS_OP_CONSUMED, 0);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
}

static void an_inline_send_is_poison(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    is_poison(&socket, RS_OP_SEND_INLINE, 0);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
}

static void a_post_without_rings_is_poison(void **state)
{
    struct rig_socket socket = rig_open(&program);
    (void)state;
    is_poison(&socket, RS_OP_POST, 0);
}

/* ---- the session ends ---- */

static bool no_session_is_left(void *context)
{
    (void)context;
    return rig_control->sessions == NULL;
}

static void what_was_closed_is_delivered_after_death(void **state)
{
    struct rig_peer *peer, *other;
    struct rig_socket socket = connected(&peer);
    struct rig_socket open = connected(&other);
    uint8_t data[RIG_RING], got[RIG_RING];
    uint32_t read = 0;
    (void)state;
    fill(data, sizeof(data), 0);
    rig_wire_down(true);
    assert_int_equal(rig_write(&socket, data, sizeof(data)), sizeof(data));
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    assert_int_equal(rig_write(&open, "lost", 4), 4);
    rig_turns(100);
    rig_wire_down(false);
    rig_die(&program);
    rig_peer_until(other, TCP_EVENT_ERROR);
    assert_int_equal(other->error, RS_CONN_RESET);
    rig_peer_close(other);
    while (read < sizeof(data)) {
        rig_peer_until(peer, TCP_EVENT_READABLE);
        peer->events &= ~(uint32_t)TCP_EVENT_READABLE;
        read += rig_peer_read(peer, got + read, sizeof(got) - read);
    }
    assert_memory_equal(got, data, sizeof(data));
    rig_peer_until(peer, TCP_EVENT_END);
    assert_non_null(rig_control->sessions); /* with the memory of the connection */
    rig_peer_close(peer);
    rig_until(no_session_is_left, NULL, "the end of the session");
}

static void orphans_are_given_up(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    struct session_part *part = &program.session->parts[0];
    (void)state;
    rig_wire_down(true);
    assert_int_equal(rig_write(&socket, "never heard", 11), 11);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_die(&program);
    rig_turns(2000);
    assert_non_null(rig_control->sessions);
    assert_int_equal(part->orphan_count, 1);
    assert_true(part->orphans_until_tsc > rig_queue(0)->now_tsc);
    part->orphans_until_tsc = rig_queue(0)->now_tsc; /* a minute later */
    rig_until(no_session_is_left, NULL, "the end of the session");
    rig_wire_down(false);
    rig_peer_close(peer);
}

static void a_stopping_dataplane_does_not_wait_long(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    rig_wire_down(true);
    assert_int_equal(rig_write(&socket, "never heard", 11), 11);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_die(&program);
    atomic_store(&rig_queue(0)->hurry, 1);
    rig_until(no_session_is_left, NULL, "the end of the session");
    rig_wire_down(false);
    rig_peer_close(peer);
}

static void poison_ends_orphans(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    struct rig_socket bad = rig_open(&program);
    (void)state;
    rig_wire_down(true);
    assert_int_equal(rig_write(&socket, "never heard", 11), 11);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    is_poison(&bad, RS_OP_POST, 0);
    rig_wire_down(false);
    rig_die(&program);
    rig_until(no_session_is_left, NULL, "the end of the session");
    rig_peer_close(peer);
}

/* The index of an orphan is nobody else's. */
static void an_orphans_place_stays_taken(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_END);
    struct rig_socket next = rig_open(&program);
    assert_int_not_equal(next.idx, socket.idx);
    rig_post(&socket, RS_OP_POST, 1); /* of the old generation: nothing */
    rig_turns(10);
    assert_false(rig_is_poisoned(&program));
    rig_peer_close(peer);
    rig_until_free(&socket);
    struct rig_socket again = rig_open(&program);
    assert_int_equal(again.idx, socket.idx);
    assert_int_not_equal(again.generation, socket.generation);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        CASE(bytes_pass_both_ways),
        CASE(long_streams_pass_both_ways),
        cmocka_unit_test_setup_teardown(long_streams_pass_both_ways, start_spinning, stop),
        CASE(a_stalled_peer_hears_of_room),
        cmocka_unit_test_setup_teardown(a_stalled_peer_hears_of_room, start_spinning, stop),
        CASE(a_read_without_a_word_is_seen),
        cmocka_unit_test_setup_teardown(a_read_without_a_word_is_seen, start_spinning, stop),
        CASE(half_close),
        CASE(shutdown_of_receiving_resets_what_comes),
        CASE(shutdown_of_receiving_resets_what_waits),
        CASE(a_reset_is_told),
        CASE(close_sends_what_was_written),
        CASE(abortive_close_resets),
        CASE(linger_gives_up),
        CASE(a_refused_connect_can_be_tried_again),
        CASE(connects_that_cannot_be),
        CASE(bound_ports_are_tcps_own),
        CASE(options_are_checked),
        CASE(a_connection_tells_about_itself),
        CASE(urgent_data),
        CASE(a_tail_outside_the_ring_is_poison),
        CASE(a_head_outside_the_ring_is_poison),
        CASE(an_inline_send_is_poison),
        CASE(a_post_without_rings_is_poison),
        CASE(what_was_closed_is_delivered_after_death),
        CASE(orphans_are_given_up),
        CASE(a_stopping_dataplane_does_not_wait_long),
        CASE(poison_ends_orphans),
        CASE(an_orphans_place_stays_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
