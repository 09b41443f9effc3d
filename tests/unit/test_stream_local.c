/*
 * Local connections of stream sockets through the dataplane's request path: two programs, or one
 * with itself, over 127.0.0.1 and the NIC's own address; see test_streams.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/capture.h"
#include "dataplane/session.h"
#include "dataplane/stream.h"
#include "rings/byteorder.h"
#include "tests/support/stream_rig.h"

static struct rig_program programs[2]; /* the first listens, the second connects */

static void begin(const struct stream_rig_spec *spec)
{
    stream_rig_start(spec);
    rig_attach(&programs[0]);
    rig_attach(&programs[1]);
}

static int start(void **state)
{
    (void)state;
    begin(&(struct stream_rig_spec){0});
    return 0;
}

static int start_two(void **state)
{
    (void)state;
    begin(&(struct stream_rig_spec){.queues = 2});
    return 0;
}

static int start_small(void **state)
{
    (void)state;
    begin(&(struct stream_rig_spec){.sockets = 6});
    return 0;
}

static int stop(void **state)
{
    bool clean = true;
    (void)state;
    for (uint32_t i = 0; i < rig_control->queue_count; i++) {
        rig_turns(2000); /* closed sockets have come back by then */
    }
    for (uint32_t i = 0; i < rig_control->queue_count; i++) {
        clean &= rig_queue(i)->local_orphans == NULL;
    }
    clean &= stream_rig_stop();
    return clean ? 0 : -1;
}

static uint32_t word(const rs_atomic_u32 *at)
{
    return atomic_load_explicit(at, memory_order_acquire);
}

static void fill(uint8_t *data, uint32_t len_bytes, uint32_t from)
{
    for (uint32_t i = 0; i < len_bytes; i++) {
        data[i] = (uint8_t)((from + i) * 7 + ((from + i) >> 8));
    }
}

static struct rig_socket listening(const char *address, uint32_t backlog)
{
    struct rig_socket listener = rig_open(&programs[0]);
    assert_int_equal(rig_bind(&listener, address), RS_OK);
    assert_int_equal(rig_listen(&listener, backlog), RS_OK);
    return listener;
}

struct accept_wait {
    struct rig_socket *listener, *out;
};

static bool accepted_on_any(void *context)
{
    struct accept_wait *wait = context;
    uint32_t peer_be32;
    for (uint32_t i = 0; i < rig_control->queue_count; i++) {
        if (rig_accept(wait->listener, i, wait->out, &peer_be32)) {
            return true;
        }
    }
    return false;
}

static struct rig_socket accepted(struct rig_socket *listener)
{
    struct rig_socket socket;
    struct accept_wait wait = {.listener = listener, .out = &socket};
    rig_until(accepted_on_any, &wait, "an accept record");
    return socket;
}

struct pair {
    struct rig_socket listener, a, b; /* a connects, b is accepted */
};

static struct pair joined(const char *address)
{
    struct pair pair = {.listener = listening(address, 5), .a = rig_open(&programs[1])};
    assert_int_equal(rig_connect(&pair.a, address), RS_OK);
    rig_until_level(&pair.a, RS_LEVEL_CONNECTED | RS_LEVEL_ERROR);
    assert_int_equal(rig_level(&pair.a), RS_LEVEL_CONNECTED);
    pair.b = accepted(&pair.listener);
    assert_int_equal(rig_level(&pair.b), RS_LEVEL_CONNECTED);
    assert_int_equal(pair.a.desc->local.port_be16, pair.b.desc->peer.port_be16);
    assert_int_equal(pair.a.desc->peer.port_be16, pair.b.desc->local.port_be16);
    return pair;
}

static void read_all(struct rig_socket *socket, void *data, uint32_t len_bytes)
{
    uint32_t got = 0;
    for (uint32_t i = 0; got < len_bytes; i++) {
        assert_true(i < 100000); /* the bytes do not come */
        got += rig_read(socket, (uint8_t *)data + got, len_bytes - got);
        rig_turn();
    }
}

static void talk(struct rig_socket *from, struct rig_socket *to)
{
    char text[8] = {0};
    assert_int_equal(rig_write(from, "hello", 5), 5);
    read_all(to, text, 5);
    assert_memory_equal(text, "hello", 5);
}

/* ---- cases ---- */

static void bytes_pass(void **state)
{
    (void)state;
    struct pair pair = joined("127.0.0.1:80");
    talk(&pair.a, &pair.b);
    talk(&pair.b, &pair.a);
    rig_turn();
    assert_int_equal(word(&pair.a.state->send_head), 5);
    assert_int_equal(rig_close(&pair.a, false, 0), RS_OK);
    rig_until_free(&pair.a);
    rig_until_level(&pair.b, RS_LEVEL_END);
    assert_int_equal(rig_close(&pair.b, false, 0), RS_OK);
    rig_until_free(&pair.b);
    struct pair own = joined(RIG_OWN ":81");
    talk(&own.a, &own.b);
}

static void long_streams_pass(void **state)
{
    enum { TOTAL = 300000 };
    struct pair pair = joined("127.0.0.1:80");
    struct rig_socket *ends[2] = {&pair.a, &pair.b};
    uint32_t written[2] = {0}, read[2] = {0};
    uint8_t data[3000], expected[3000];
    (void)state;
    for (uint32_t turn = 0; read[0] < TOTAL || read[1] < TOTAL; turn++) {
        assert_true(turn < 1000000); /* the streams stand still */
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t want = 1 + turn * (37 + i) % 2999;
            fill(data, want, written[i]);
            written[i] +=
                rig_write(ends[i], data, want < TOTAL - written[i] ? want : TOTAL - written[i]);
            uint32_t got = rig_read(ends[!i], data, want / 2 + 1);
            fill(expected, got, read[i]);
            assert_memory_equal(data, expected, got);
            read[i] += got;
        }
        rig_turn();
    }
}

static void a_full_ring_stalls_and_goes_on(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    uint8_t data[RIG_RING], expected[RIG_RING];
    uint32_t out = 0, in = 0;
    (void)state;
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 20; i++) {
            fill(data, sizeof(data), out);
            out += rig_write(&pair.a, data, sizeof(data));
            rig_turn();
        }
        assert_int_equal(out - in, 2 * RIG_RING);
        rig_turns(20);
        assert_true(
            rs_seq_before_eq(word(&pair.b.state->recv_notify), word(&pair.b.state->recv_tail)));
        uint32_t got = rig_read(&pair.b, data, round % 2 == 0 ? RIG_RING : RIG_RING / 2);
        fill(expected, got, in);
        assert_memory_equal(data, expected, got);
        in += got;
    }
    rig_turns(10);
    /* Without a word, but behind recv_notify: the look behind the fence sees it. */
    (void)rig_read(&pair.b, data, RIG_RING);
    rig_turns(10);
    assert_int_equal(word(&pair.b.state->recv_tail), out - RIG_RING + RIG_RING);
}

static void half_close(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    char text[4];
    (void)state;
    assert_int_equal(rig_write(&pair.a, "last", 4), 4);
    assert_int_equal(rig_shutdown(&pair.a, RS_SHUTDOWN_SEND), RS_OK);
    assert_int_equal(rig_shutdown(&pair.a, RS_SHUTDOWN_SEND), RS_OK);
    rig_until_level(&pair.b, RS_LEVEL_END);
    read_all(&pair.b, text, 4);
    assert_memory_equal(text, "last", 4);
    talk(&pair.b, &pair.a);
    assert_int_equal(rig_close(&pair.b, false, 0), RS_OK);
    rig_until_level(&pair.a, RS_LEVEL_END);
    assert_int_equal(rig_level(&pair.a), RS_LEVEL_CONNECTED | RS_LEVEL_END);
    assert_int_equal(rig_close(&pair.a, false, 0), RS_OK);
    rig_until_free(&pair.a);
    rig_until_free(&pair.b);
}

static void is_reset(struct rig_socket *socket)
{
    rig_until_level(socket, RS_LEVEL_ERROR);
    assert_int_equal(word(&socket->state->error_code), RS_CONN_RESET);
    assert_int_equal(rig_close(socket, false, 0), RS_OK);
    rig_until_free(socket);
}

static void resets(void **state)
{
    (void)state;
    struct pair pair = joined("127.0.0.1:80");
    assert_int_equal(rig_close(&pair.a, true, 0), RS_OK); /* abortive */
    rig_until_free(&pair.a);
    is_reset(&pair.b);
    pair = joined("127.0.0.1:81");
    assert_int_equal(rig_write(&pair.a, "x", 1), 1); /* unread at the close */
    rig_turns(4);
    assert_int_equal(rig_close(&pair.b, false, 0), RS_OK);
    is_reset(&pair.a);
    rig_until_free(&pair.b);
    pair = joined("127.0.0.1:82");
    assert_int_equal(rig_close(&pair.b, false, 0), RS_OK); /* nobody is there any more */
    rig_until_free(&pair.b);
    rig_until_level(&pair.a, RS_LEVEL_END);
    assert_int_equal(rig_level(&pair.a), RS_LEVEL_CONNECTED | RS_LEVEL_END);
    assert_int_equal(rig_write(&pair.a, "x", 1), 1);
    is_reset(&pair.a);
    pair = joined("127.0.0.1:83");
    assert_int_equal(rig_shutdown(&pair.b, RS_SHUTDOWN_RECV), RS_OK);
    talk(&pair.b, &pair.a);
    assert_int_equal(rig_write(&pair.a, "x", 1), 1);
    is_reset(&pair.a);
    rig_until_level(&pair.b, RS_LEVEL_ERROR);
    assert_int_equal(rig_close(&pair.b, false, 0), RS_OK);
    pair = joined("127.0.0.1:84"); /* what waits already will not be read either */
    assert_int_equal(rig_write(&pair.a, "x", 1), 1);
    rig_turns(4);
    assert_int_equal(rig_shutdown(&pair.b, 0), RS_OK); /* only wakes */
    assert_int_equal(rig_level(&pair.a), RS_LEVEL_CONNECTED);
    assert_int_equal(rig_shutdown(&pair.b, RS_SHUTDOWN_RECV), RS_OK);
    is_reset(&pair.a);
    rig_until_level(&pair.b, RS_LEVEL_ERROR);
    assert_int_equal(word(&pair.b.state->error_code), RS_CONN_ABORTED);
    assert_int_equal(rig_close(&pair.b, false, 0), RS_OK);
}

static void close_delivers(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    uint8_t data[RIG_RING], got[2 * RIG_RING];
    (void)state;
    fill(data, sizeof(data), 0);
    assert_int_equal(rig_write(&pair.a, data, sizeof(data)), sizeof(data));
    rig_turns(4);
    fill(data, sizeof(data), RIG_RING);
    assert_int_equal(rig_write(&pair.a, data, sizeof(data)), sizeof(data));
    assert_int_equal(rig_close(&pair.a, false, 0), RS_OK);
    assert_int_equal(word(&pair.a.state->mode), RS_MODE_ORPHAN);
    rig_turns(100);
    assert_int_equal(rig_level(&pair.b), RS_LEVEL_CONNECTED);
    rig_die(&programs[1]);
    rig_turns(100);
    read_all(&pair.b, got, 2 * RIG_RING);
    for (uint32_t i = 0; i < 2; i++) {
        fill(data, sizeof(data), i * RIG_RING);
        assert_memory_equal(got + i * RIG_RING, data, RIG_RING);
    }
    rig_until_level(&pair.b, RS_LEVEL_END);
    assert_int_equal(rig_level(&pair.b), RS_LEVEL_CONNECTED | RS_LEVEL_END);
}

static void linger_gives_up(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    uint8_t data[RIG_RING] = {0};
    (void)state;
    assert_int_equal(rig_write(&pair.a, data, sizeof(data)), sizeof(data));
    rig_turns(4);
    assert_int_equal(rig_write(&pair.a, data, sizeof(data)), sizeof(data));
    assert_int_equal(rig_close(&pair.a, false, 20), RS_OK);
    rig_until_free(&pair.a);
    is_reset(&pair.b);
}

static void the_dead_are_reset(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    struct pair other = joined("127.0.0.1:81");
    (void)state;
    (void)other;
    talk(&pair.a, &pair.b);
    rig_die(&programs[1]);
    is_reset(&pair.b);
}

static void refusals(void **state)
{
    struct rig_socket socket = rig_open(&programs[1]);
    struct rig_socket more[3] = {rig_open(&programs[1]), rig_open(&programs[1]),
                                 rig_open(&programs[1])};
    (void)state;
    for (uint32_t i = 0; i < 3; i++) { /* and again */
        assert_int_equal(rig_connect(&socket, "127.0.0.1:80"), RS_OK);
        rig_until_level(&socket, RS_LEVEL_ERROR | RS_LEVEL_CONNECTED);
        assert_int_equal(rig_level(&socket), RS_LEVEL_ERROR);
        assert_int_equal(word(&socket.state->error_code), RS_CONN_REFUSED);
    }
    assert_int_equal(rig_connect(&socket, "127.0.0.1:0"), RS_ADDR_NOT_AVAILABLE);
    struct rig_socket listener = listening(RIG_OWN ":80", 2);
    assert_int_equal(rig_connect(&socket, "127.0.0.1:80"), RS_OK); /* not that address */
    rig_until_level(&socket, RS_LEVEL_ERROR | RS_LEVEL_CONNECTED);
    assert_int_equal(rig_level(&socket), RS_LEVEL_ERROR);
    assert_int_equal(rig_connect(&socket, RIG_OWN ":80"), RS_OK);
    rig_until_level(&socket, RS_LEVEL_ERROR | RS_LEVEL_CONNECTED);
    assert_int_equal(rig_level(&socket), RS_LEVEL_CONNECTED);
    assert_int_equal(rig_connect(&socket, RIG_OWN ":80"), RS_IS_CONNECTED);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(rig_connect(&more[i], RIG_OWN ":80"), RS_OK);
        rig_until_level(&more[i], RS_LEVEL_ERROR | RS_LEVEL_CONNECTED);
        assert_int_equal(rig_level(&more[i]),
                         i == 0 ? RS_LEVEL_CONNECTED : (uint32_t)RS_LEVEL_ERROR);
    }
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    is_reset(&socket); /* nobody accepted it */
    is_reset(&more[0]);
}

/* Of the listener's six sockets three are connections, the rest waits for places. */
static void without_places_connections_wait(void **state)
{
    struct rig_socket listener = listening("127.0.0.1:80", 100);
    struct rig_socket a[5], b[5];
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        a[i] = rig_open(&programs[1]);
        assert_int_equal(rig_connect(&a[i], "127.0.0.1:80"), RS_OK);
    }
    for (uint32_t i = 0; i < 5; i++) {
        rig_until_level(&a[i], RS_LEVEL_CONNECTED);
        b[i] = accepted(&listener);
    }
    talk(&a[4], &b[4]);
    struct rig_socket late = rig_open(&programs[1]);
    assert_int_equal(rig_connect(&late, "127.0.0.1:80"), RS_OK);
    rig_turns(2000);
    assert_int_equal(rig_level(&late), 0);
    assert_int_equal(rig_connect(&late, "127.0.0.1:80"), RS_ALREADY);
    rig_post(&late, RS_OP_POST, 1); /* too early: it goes nowhere */
    rig_turns(4);
    assert_int_equal(rig_close(&b[0], true, 0), RS_OK); /* makes room */
    rig_until_level(&late, RS_LEVEL_CONNECTED);
    b[0] = accepted(&listener);
    assert_int_equal(rig_close(&a[0], false, 0), RS_OK);
    rig_until_free(&a[0]);
    a[0] = rig_open(&programs[1]);
    assert_int_equal(rig_connect(&a[0], "127.0.0.1:80"), RS_OK); /* waits, and gives up */
    rig_turns(10);
    assert_int_equal(rig_close(&a[0], false, 0), RS_OK);
    a[0] = rig_open(&programs[1]);
    assert_int_equal(rig_connect(&a[0], "127.0.0.1:80"), RS_OK); /* waits for nothing */
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    rig_until_level(&a[0], RS_LEVEL_ERROR);
    assert_int_equal(word(&a[0].state->error_code), RS_CONN_REFUSED);
}

/* A CONNECT looks at listeners, and programs make as many as they like: each few looks cost what a
 * request does. */
static void looks_at_listeners_cost(void **state)
{
    enum { LISTENERS = 24, CONNECTS = 10, SLOTS = 16 };
    struct rig_program *program = &programs[1];
    struct rig_socket sockets[CONNECTS];
    char address[] = "127.0.0.1:2000";
    (void)state;
    for (uint32_t i = 0; i < CONNECTS; i++) {
        sockets[i] = rig_open(program);
        assert_int_equal(rig_connect(&sockets[i], "127.0.0.1:9"), RS_OK); /* it has rings then */
        rig_until_level(&sockets[i], RS_LEVEL_ERROR);
    }
    for (uint32_t i = 0; i < LISTENERS; i++) {
        address[12] = (char)('0' + i / 10);
        address[13] = (char)('0' + i % 10);
        (void)listening(address, 1);
    }
    rig_turns(20);
    rig_queue(0)->slots_now = SLOTS;
    program->channels[0]->part->slots_per_channel = SLOTS;
    const struct rs_addr peer = rs_addr_v4(rs_be32(0x7f000001u), rs_be16(9));
    uint32_t first = (uint32_t)program->channels[0]->requests.head;
    for (uint32_t i = 0; i < CONNECTS; i++) {
        struct rs_request *slot = slot_producer_reserve(&program->producers[0]);
        slot->op = RS_OP_CONNECT;
        slot->len_bytes = sizeof(peer);
        slot->socket_idx = sockets[i].idx;
        slot->generation = sockets[i].generation;
        slot->arg = 0;
        slot->serial = ++program->serial;
        memcpy(slot->payload, &peer, sizeof(peer));
        (void)slot_producer_publish(&program->producers[0]);
    }
    uint32_t most = 0, taken = 0;
    for (uint32_t turns = 0; taken < CONNECTS; turns++) {
        assert_true(turns < 1000); /* the requests are not taken */
        (void)queue_poll(rig_queue(0));
        uint32_t now = (uint32_t)program->channels[0]->requests.head - first - taken;
        most = now > most ? now : most;
        taken += now;
    }
    assert_true(most <= SLOTS / (1 + LISTENERS / REQUEST_LOOKS_PER_SLOT) + 1);
}

static void urgent_data(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    struct stream_region regions[2];
    uint32_t before = word(&pair.b.state->urgent_seq);
    (void)state;
    talk(&pair.a, &pair.b);
    assert_int_equal(stream_writer_regions(&pair.a.send, 0, 1, regions), 1);
    regions[0].base[0] = '!';
    stream_writer_commit(&pair.a.send, 1);
    rig_post(&pair.a, RS_OP_URGENT, pair.a.send.tail);
    rig_turns(4);
    assert_int_equal(word(&pair.b.state->urgent_seq), before + 1);
    assert_int_equal(word(&pair.b.state->urgent_pos), 6);
    assert_int_equal(word(&pair.b.state->recv_tail), 6);
}

static void receive_limit(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    uint8_t data[RIG_RING] = {0};
    (void)state;
    assert_int_equal(rig_option(&pair.b, RS_OPT_RCVBUF, 1000), RS_OK);
    assert_int_equal(rig_write(&pair.a, data, sizeof(data)), sizeof(data));
    rig_turns(10);
    assert_int_equal(word(&pair.b.state->recv_tail), 1000);
    assert_int_equal(rig_option(&pair.b, RS_OPT_RCVBUF, 3000), RS_OK);
    rig_turns(10);
    assert_int_equal(word(&pair.b.state->recv_tail), 3000);
}

static void with_itself_on_another_queue(void **state)
{
    struct rig_socket listener = listening("0.0.0.0:80", 50);
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        struct rig_socket a = rig_open_on(&programs[0], i % rig_control->queue_count);
        assert_int_equal(rig_connect(&a, RIG_OWN ":80"), RS_OK);
        rig_until_level(&a, RS_LEVEL_CONNECTED);
        struct rig_socket b = accepted(&listener);
        assert_int_equal(b.queue_idx, a.queue_idx);
        talk(&a, &b);
        talk(&b, &a);
        assert_int_equal(rig_close(&a, false, 0), RS_OK);
        assert_int_equal(rig_close(&b, false, 0), RS_OK);
        rig_until_free(&a);
        rig_until_free(&b);
    }
}

/* What is true without segments; and who holds the sender back. */
static void it_tells_about_itself(void **state)
{
    static uint8_t data[RIG_RING + 1000];
    struct rs_tcp_info info;
    struct pair pair = joined("127.0.0.1:80");
    (void)state;
    assert_int_equal(rig_write(&pair.a, data, RIG_RING), RIG_RING);
    rig_turns(20);
    assert_int_equal(rig_write(&pair.a, data, 1000), 1000);
    rig_turns(20);
    assert_int_equal(rig_info(&pair.a, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_ESTABLISHED);
    assert_int_equal(info.sent_bytes, RIG_RING);
    assert_int_equal(info.cwnd_bytes, RIG_RING);
    assert_int_equal(info.send_window_bytes, 0);
    assert_int_equal(info.recv_window_bytes, RIG_RING);
    assert_int_equal(info.rtt_us + info.in_flight_bytes + info.retransmitted_bytes, 0);
    assert_int_equal(info.limited[RS_TCP_LIMIT_SENDER].sent_bytes, RIG_RING);
    assert_int_equal(info.limited[RS_TCP_LIMIT_RECEIVER].transitions, 1);
    assert_int_equal(rig_info(&pair.b, &info), RS_OK);
    assert_int_equal(info.received_bytes, RIG_RING);
    assert_int_equal(info.recv_window_bytes, 0);
    assert_int_equal(info.send_window_bytes, RIG_RING);
    assert_int_equal(info.recv_buffer_bytes, RIG_RING);
    for (uint32_t got = 0; got < sizeof(data);) {
        got += rig_read(&pair.b, data, sizeof(data) - got);
        rig_turn();
    }
    rig_turns(20);
    assert_int_equal(rig_info(&pair.a, &info), RS_OK);
    assert_int_equal(info.sent_bytes, sizeof(data));
    assert_int_equal(info.limited[RS_TCP_LIMIT_RECEIVER].sent_bytes, 1000);
    assert_int_equal(info.limited[RS_TCP_LIMIT_SENDER].transitions, 1);
    assert_int_equal(rig_shutdown(&pair.a, RS_SHUTDOWN_SEND), RS_OK);
    rig_until_level(&pair.b, RS_LEVEL_END);
    assert_int_equal(rig_info(&pair.a, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_FIN_WAIT_2);
    assert_int_equal(rig_info(&pair.b, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_CLOSE_WAIT);
    assert_int_equal(rig_close(&pair.b, true, 0), RS_OK);
    rig_until_level(&pair.a, RS_LEVEL_ERROR);
    assert_int_equal(rig_info(&pair.a, &info), RS_OK);
    assert_int_equal(info.state, RS_TCP_CLOSED);
    uint64_t lived_ms = info.connected_ms;
    for (uint64_t from_tsc = os_tsc(); os_tsc() - from_tsc < os_tsc_hz() / 100;) { /* 10 ms */
        rig_turn();
    }
    assert_int_equal(rig_info(&pair.a, &info), RS_OK);
    assert_int_equal(info.connected_ms, lived_ms);
    assert_int_equal(rig_close(&pair.a, true, 0), RS_OK);
}

/* Bytes that only change hands cost nothing, but a capture copies them: then they cost what a copy
 * to another program does. */
static void captured_bytes_are_bounded(void **state)
{
    enum { BYTES = 1000 };
    static struct capture capture;
    static struct rs_capture_queue shared;
    static struct rs_capture_reader_word reader;
    static _Alignas(RS_LINE_BYTES) uint8_t ring[1u << 16], data[RIG_RING];
    struct queue *queue = rig_queue(0);
    struct rig_socket listener = listening("127.0.0.1:80", 5), a = rig_open(&programs[0]);
    (void)state;
    assert_int_equal(rig_connect(&a, "127.0.0.1:80"), RS_OK);
    struct rig_socket b = accepted(&listener);
    assert_int_equal(b.desc->flags, RS_DESC_RECV_SHARED);
    rig_turns(20);
    queue->bytes_now = BYTES;
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t turns = 0, tail = word(&b.state->recv_tail);
        assert_int_equal(rig_write(&a, data, RIG_RING), RIG_RING);
        for (uint32_t moved = 0; moved < RIG_RING; turns++) {
            assert_true(turns < 1000); /* the bytes do not come */
            (void)queue_poll(queue);
            uint32_t now = word(&b.state->recv_tail) - tail - moved;
            assert_true(round == 0 || now <= BYTES);
            moved += now;
        }
        assert_true(round == 0 ? turns == 1 : turns > RIG_RING / BYTES);
        assert_int_equal(rig_read(&b, data, RIG_RING), RIG_RING);
        rig_turns(20);
        capture_init(&capture, ring, sizeof(ring), &shared, &reader.head, 0);
        capture.local = true;
        queue_set_capture(queue, &capture);
    }
    queue_set_capture(queue, NULL);
    assert_true(atomic_load(&shared.frames[RS_CAPTURE_KIND_LOCAL]) >= RIG_RING / BYTES);
    assert_int_equal(rig_close(&a, false, 0), RS_OK);
    assert_int_equal(rig_close(&b, false, 0), RS_OK);
}

static void bad_words_are_poison(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    (void)state;
    rig_post(&pair.a, RS_OP_POST, RIG_RING + 1);
    rig_turns(4);
    assert_true(rig_is_poisoned(&programs[1]));
    is_reset(&pair.b);
    assert_false(rig_is_poisoned(&programs[0]));
}

static bool first_is_poisoned(void *context)
{
    (void)context;
    return rig_is_poisoned(&programs[0]);
}

static void bad_heads_are_poison(void **state)
{
    struct pair pair = joined("127.0.0.1:80");
    (void)state;
    atomic_store(&pair.b.client->recv_head[pair.b.queue_idx], 7);
    assert_int_equal(rig_write(&pair.a, "x", 1), 1);
    /* A heartbeat may have looked at the accepted socket's head before it was this one. */
    rig_post(&pair.b, RS_OP_CONSUMED, 0);
    rig_until(first_is_poisoned, NULL, "the first program's session to be poisoned");
    is_reset(&pair.a);
}

int main(void)
{
#define ONE(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define TWO(name) cmocka_unit_test_setup_teardown(name, start_two, stop)
    const struct CMUnitTest tests[] = {
        ONE(bytes_pass),
        TWO(bytes_pass),
        ONE(long_streams_pass),
        ONE(a_full_ring_stalls_and_goes_on),
        ONE(half_close),
        ONE(resets),
        TWO(resets),
        ONE(close_delivers),
        ONE(linger_gives_up),
        ONE(the_dead_are_reset),
        TWO(the_dead_are_reset),
        ONE(refusals),
        cmocka_unit_test_setup_teardown(without_places_connections_wait, start_small, stop),
        ONE(looks_at_listeners_cost),
        ONE(urgent_data),
        ONE(receive_limit),
        ONE(with_itself_on_another_queue),
        TWO(with_itself_on_another_queue),
        ONE(it_tells_about_itself),
        ONE(captured_bytes_are_bounded),
        ONE(bad_words_are_poison),
        ONE(bad_heads_are_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
