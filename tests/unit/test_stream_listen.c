/*
 * Listening stream sockets through the dataplane's request path, on one queue and on two; see
 * test_streams.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/session.h"
#include "dataplane/stream.h"
#include "rings/byteorder.h"
#include "tests/support/stream_rig.h"

#define ANY80 "0.0.0.0:80"
#define OWN80 RIG_OWN ":80"

static struct rig_program program;

static int start(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){0});
    rig_attach(&program);
    return 0;
}

static int start_two(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){.queues = 2});
    rig_attach(&program);
    return 0;
}

static int start_small(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){.sockets = 6});
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

static struct rig_socket listening(const char *address, uint32_t backlog)
{
    struct rig_socket listener = rig_open(&program);
    assert_int_equal(rig_bind(&listener, address), RS_OK);
    assert_int_equal(rig_listen(&listener, backlog), RS_OK);
    return listener;
}

static struct rig_peer *peer_connected(uint16_t port)
{
    struct rig_peer *peer = rig_peer_connect(port, OWN80);
    rig_peer_until(peer, TCP_EVENT_CONNECTED | TCP_EVENT_ERROR);
    return peer;
}

struct accept_wait {
    struct rig_socket *listener, *out;
    uint32_t queue_idx;
};

static bool accepted_on_any(void *context)
{
    struct accept_wait *wait = context;
    uint32_t peer_be32;
    for (uint32_t i = 0; i < rig_control->queue_count; i++) {
        if (rig_accept(wait->listener, i, wait->out, &peer_be32)) {
            wait->queue_idx = i;
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

static bool peers_are_gone(void *context)
{
    (void)context;
    return rig_peers() == 0;
}

static void until_peers_are_gone(void)
{
    rig_until(peers_are_gone, NULL, "the other host's connections to be gone");
}

/* One byte each way. */
static void talk(struct rig_socket *socket, struct rig_peer *peer)
{
    char byte = 0;
    assert_int_equal(rig_write(socket, "a", 1), 1);
    rig_peer_until(peer, TCP_EVENT_READABLE);
    assert_int_equal(rig_peer_read(peer, &byte, 1), 1);
    assert_int_equal(byte, 'a');
    assert_int_equal(rig_peer_write(peer, "b", 1), 1);
    for (uint32_t i = 0; i < 100000 && rig_read(socket, &byte, 1) == 0; i++) {
        rig_turn();
    }
    assert_int_equal(byte, 'b');
}

static void part_from(struct rig_socket *socket, struct rig_peer *peer)
{
    assert_int_equal(rig_close(socket, true, 0), RS_OK);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    rig_peer_close(peer);
}

/* ---- cases ---- */

static void a_connection_is_accepted(void **state)
{
    struct rig_socket listener = listening(ANY80, 5);
    (void)state;
    struct rig_peer *peer = peer_connected(7000); /* before anybody accepts it */
    assert_true((peer->events & TCP_EVENT_CONNECTED) != 0);
    assert_int_equal(rig_peer_write(peer, "early", 5), 5);
    rig_turns(100);
    assert_int_equal(word(&listener.state->accept_seq), 1);
    struct rig_socket socket = accepted(&listener);
    assert_int_equal(rig_level(&socket), RS_LEVEL_CONNECTED);
    assert_int_equal(word(&socket.state->generation), socket.generation);
    assert_int_equal(socket.desc->peer.port_be16, rs_be16(7000));
    assert_int_equal(socket.desc->local.port_be16, rs_be16(80));
    char text[8];
    assert_int_equal(rig_read(&socket, text, sizeof(text)), 5);
    assert_memory_equal(text, "early", 5);
    talk(&socket, peer);
    part_from(&socket, peer);
    until_peers_are_gone();
}

static void wrong_listens(void **state)
{
    struct rig_socket a = rig_open(&program), b = rig_open(&program);
    struct rig_peer *peer;
    (void)state;
    assert_int_equal(rig_listen(&a, 5), RS_INVALID); /* not bound */
    assert_int_equal(rig_bind(&a, ANY80), RS_OK);
    assert_int_equal(rig_listen(&a, 5), RS_OK);
    assert_int_equal(rig_listen(&a, 6), RS_OK);
    assert_int_equal(rig_connect(&a, RIG_PEER ":80"), RS_INVALID);
    assert_int_equal(rig_shutdown(&a, RS_SHUTDOWN_SEND), RS_NOT_CONNECTED);
    assert_int_equal(rig_bind(&a, RIG_OWN ":81"), RS_INVALID);
    assert_int_equal(rig_bind(&b, ANY80), RS_ADDR_IN_USE);
    peer = rig_peer_connect(7000, RIG_OWN ":81"); /* nobody listens there */
    rig_peer_until(peer, TCP_EVENT_ERROR);
    assert_int_equal(peer->error, RS_CONN_REFUSED);
    rig_peer_close(peer);
    assert_int_equal(rig_close(&a, false, 0), RS_OK);
    assert_int_equal(rig_bind(&b, ANY80), RS_OK);
    assert_int_equal(rig_listen(&b, 5), RS_OK);
    assert_int_equal(rig_close(&b, false, 0), RS_OK);
    until_peers_are_gone();
}

static void two_listeners_of_one_address(void **state)
{
    struct rig_socket a = rig_open(&program), b = rig_open(&program);
    (void)state;
    assert_int_equal(rig_option(&a, RS_OPT_REUSEADDR, 1), RS_OK);
    assert_int_equal(rig_option(&b, RS_OPT_REUSEADDR, 1), RS_OK);
    assert_int_equal(rig_bind(&a, ANY80), RS_OK);
    assert_int_equal(rig_bind(&b, ANY80), RS_OK);
    assert_int_equal(rig_listen(&a, 5), RS_OK);
    assert_int_equal(rig_listen(&b, 5), RS_ADDR_IN_USE);
    assert_int_equal(rig_close(&a, false, 0), RS_OK);
    assert_int_equal(rig_listen(&b, 5), RS_OK);
    struct rig_peer *peer = peer_connected(7000);
    struct rig_socket socket = accepted(&b);
    talk(&socket, peer);
    part_from(&socket, peer);
    until_peers_are_gone();
}

static void a_full_backlog_refuses(void **state)
{
    struct rig_socket listener = listening(ANY80, 2);
    struct rig_peer *peers[4];
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        peers[i] = peer_connected((uint16_t)(7000 + i));
    }
    assert_int_equal(peers[0]->error, RS_OK);
    assert_int_equal(peers[1]->error, RS_OK);
    assert_int_equal(peers[2]->error, RS_CONN_REFUSED);
    struct rig_socket first = accepted(&listener);
    peers[3] = peer_connected(7003); /* at once: no time for a heartbeat */
    assert_int_equal(peers[3]->error, RS_OK);
    struct rig_socket second = accepted(&listener), third = accepted(&listener);
    rig_peer_close(peers[2]);
    part_from(&first, peers[0]);
    part_from(&second, peers[1]);
    part_from(&third, peers[3]);
    assert_int_equal(rig_listen(&listener, 3), RS_OK); /* the limit moves */
    for (uint32_t i = 0; i < 4; i++) {
        peers[i] = peer_connected((uint16_t)(7100 + i));
        assert_int_equal(peers[i]->error, i < 3 ? RS_OK : RS_CONN_REFUSED);
    }
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    for (uint32_t i = 0; i < 4; i++) {
        rig_peer_until(peers[i], TCP_EVENT_ERROR);
        rig_peer_close(peers[i]);
    }
    until_peers_are_gone();
}

/* More at once than there are places in stock: the rest comes when there are new ones. */
static void places_are_refilled(void **state)
{
    enum { COUNT = 30 };
    struct rig_socket listener = listening(ANY80, 100);
    struct rig_peer *peers[COUNT];
    struct rig_socket sockets[COUNT];
    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            peers[i] = rig_peer_connect((uint16_t)(7000 + round * 100 + i), OWN80);
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            sockets[i] = accepted(&listener);
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t k = rs_be16(sockets[i].desc->peer.port_be16) - 7000u - round * 100;
            assert_true(k < COUNT);
            rig_peer_until(peers[k], TCP_EVENT_CONNECTED);
            talk(&sockets[i], peers[k]);
            part_from(&sockets[i], peers[k]);
        }
        until_peers_are_gone();
    }
}

/* Of six sockets the listener has one, a place one; when all are taken, who connects waits. */
static void without_sockets_connections_wait(void **state)
{
    struct rig_socket listener = listening(ANY80, 100);
    struct rig_socket sockets[6];
    struct rig_peer *peers[6];
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        peers[i] = rig_peer_connect((uint16_t)(7000 + i), OWN80);
    }
    for (uint32_t i = 0; i < 5; i++) {
        sockets[i] = accepted(&listener);
    }
    rig_turns(1000);
    uint32_t peer_be32;
    assert_false(rig_accept(&listener, 0, &sockets[5], &peer_be32));
    for (uint32_t i = 0; i < 6; i++) { /* nobody was refused */
        assert_int_equal(peers[i]->error, RS_OK);
    }
    uint32_t k = rs_be16(sockets[0].desc->peer.port_be16) - 7000u;
    part_from(&sockets[0], peers[k]);
    sockets[0] = accepted(&listener);
    talk(&sockets[0], peers[rs_be16(sockets[0].desc->peer.port_be16) - 7000u]);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    for (uint32_t i = 0; i < 5; i++) {
        part_from(&sockets[i], peers[rs_be16(sockets[i].desc->peer.port_be16) - 7000u]);
    }
    until_peers_are_gone();
}

static void closing_resets_what_nobody_accepted(void **state)
{
    struct rig_socket listener = listening(ANY80, 5);
    struct rig_peer *peers[3];
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        peers[i] = peer_connected((uint16_t)(7000 + i));
    }
    struct rig_socket socket = accepted(&listener);
    uint32_t k = rs_be16(socket.desc->peer.port_be16) - 7000u;
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        if (i != k) {
            rig_peer_until(peers[i], TCP_EVENT_ERROR);
            assert_int_equal(peers[i]->error, RS_CONN_RESET);
            rig_peer_close(peers[i]);
        }
    }
    talk(&socket, peers[k]);
    part_from(&socket, peers[k]);
    until_peers_are_gone();
}

/* The words of the index's last user lie inside what has arrived: they mean nothing. */
static void words_of_the_last_user_mean_nothing(void **state)
{
    struct rig_socket listener = listening(ANY80, 5);
    uint8_t data[RIG_RING];
    (void)state;
    for (uint32_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    for (uint32_t i = 0; i < 64; i++) { /* whichever place comes next */
        atomic_store((rs_atomic_u32 *)(uintptr_t)&program.session->socket_clients[i].recv_head[0],
                     i == listener.idx ? 0 : 100);
    }
    struct rig_peer *peer = peer_connected(7000);
    for (uint32_t i = 0, sent = 0; i < 2000; i++) {
        sent += rig_peer_write(peer, data + sent % RIG_RING, sent < RIG_RING ? RIG_RING - sent : 0);
        rig_turn();
    }
    struct rig_socket socket = accepted(&listener);
    uint8_t got[RIG_RING];
    uint32_t read = 0;
    for (uint32_t i = 0; i < 100000 && read < RIG_RING; i++) {
        read += rig_read(&socket, got + read, RIG_RING - read);
        rig_turn();
    }
    assert_int_equal(read, RIG_RING);
    assert_memory_equal(got, data, RIG_RING);
    rig_turns(10);
    assert_false(rig_is_poisoned(&program));
    part_from(&socket, peer);
    until_peers_are_gone();
}

static void options_are_inherited(void **state)
{
    struct rig_socket listener = rig_open(&program);
    (void)state;
    assert_int_equal(rig_bind(&listener, ANY80), RS_OK);
    assert_int_equal(rig_option(&listener, RS_OPT_RCVBUF, 1000), RS_OK);
    assert_int_equal(rig_listen(&listener, 5), RS_OK);
    assert_int_equal(rig_option(&listener, RS_OPT_NODELAY, 1), RS_OK); /* also afterwards */
    for (uint16_t i = 0; i < 16; i++) {
        struct rig_peer *peer = peer_connected((uint16_t)(7000 + i));
        uint8_t data[3000] = {0};
        struct rig_socket socket = accepted(&listener);
        (void)rig_peer_write(peer, data, sizeof(data));
        rig_turns(200);
        assert_true(word(&socket.state->recv_tail) >= 500);
        assert_true(word(&socket.state->recv_tail) <= 1000);
        const struct dp_session *session = program.session;
        const struct dp_socket *place = session->parts[socket.queue_idx].sockets[socket.idx];
        assert_true(place->stream->settings.nodelay);
        part_from(&socket, peer);
    }
    until_peers_are_gone();
}

static void both_queues_accept(void **state)
{
    enum { COUNT = 24 };
    struct rig_socket listener = listening(ANY80, 100);
    struct rig_socket sockets[COUNT];
    struct rig_peer *peers[COUNT];
    uint32_t by_queue[2] = {0};
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        peers[i] = peer_connected((uint16_t)(7000 + i));
        assert_int_equal(peers[i]->error, RS_OK);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        sockets[i] = accepted(&listener);
        by_queue[sockets[i].queue_idx]++;
    }
    assert_true(by_queue[0] >= 3 && by_queue[1] >= 3);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t k = rs_be16(sockets[i].desc->peer.port_be16) - 7000u;
        talk(&sockets[i], peers[k]);
        part_from(&sockets[i], peers[k]);
    }
    until_peers_are_gone();
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    struct rig_peer *late = peer_connected(8000);
    struct rig_peer *later = peer_connected(8001);
    assert_int_equal(late->error, RS_CONN_REFUSED);
    assert_int_equal(later->error, RS_CONN_REFUSED);
    rig_peer_close(late);
    rig_peer_close(later);
    until_peers_are_gone();
}

/* A connection lives on the queue that its frames come to. */
static void connects_from_both_queues(void **state)
{
    (void)state;
    rig_peer_listen(90);
    for (uint32_t i = 0; i < 8; i++) {
        struct rig_socket socket = rig_open_on(&program, i % 2);
        assert_int_equal(rig_connect(&socket, RIG_PEER ":90"), RS_OK);
        rig_until_level(&socket, RS_LEVEL_CONNECTED);
        struct rig_peer *peer = rig_peer_accepted();
        talk(&socket, peer);
        part_from(&socket, peer);
    }
    until_peers_are_gone();
}

static void a_head_outside_the_ring_is_poison(void **state)
{
    struct rig_socket listener = listening(ANY80, 5);
    struct rig_peer *peer = peer_connected(7000);
    (void)state;
    rig_turns(10);
    atomic_store(&listener.client->recv_head[0], 2 * RS_LINE_BYTES);
    rig_post(&listener, RS_OP_CONSUMED, 0);
    rig_peer_until(peer, TCP_EVENT_ERROR);
    assert_true(rig_is_poisoned(&program));
    rig_peer_close(peer);
}

/* The session ends with all of it: stop() looks that nothing is left. */
static void a_dead_program_leaves_nothing(void **state)
{
    (void)state;
    struct rig_socket listener = listening(ANY80, 5);
    struct rig_peer *peers[4];
    for (uint32_t i = 0; i < 4; i++) {
        peers[i] = peer_connected((uint16_t)(7000 + i));
    }
    struct rig_socket socket = accepted(&listener);
    (void)socket;
    rig_die(&program);
    for (uint32_t i = 0; i < 4; i++) {
        rig_peer_until(peers[i], TCP_EVENT_ERROR);
        rig_peer_close(peers[i]);
    }
    until_peers_are_gone();
}

int main(void)
{
#define ONE(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define TWO(name) cmocka_unit_test_setup_teardown(name, start_two, stop)
    const struct CMUnitTest tests[] = {
        ONE(a_connection_is_accepted),
        TWO(a_connection_is_accepted),
        ONE(wrong_listens),
        TWO(wrong_listens),
        ONE(two_listeners_of_one_address),
        TWO(two_listeners_of_one_address),
        ONE(a_full_backlog_refuses),
        ONE(places_are_refilled),
        TWO(places_are_refilled),
        cmocka_unit_test_setup_teardown(without_sockets_connections_wait, start_small, stop),
        ONE(closing_resets_what_nobody_accepted),
        TWO(closing_resets_what_nobody_accepted),
        ONE(words_of_the_last_user_mean_nothing),
        ONE(options_are_inherited),
        TWO(options_are_inherited),
        TWO(both_queues_accept),
        TWO(connects_from_both_queues),
        ONE(a_head_outside_the_ring_is_poison),
        ONE(a_dead_program_leaves_nothing),
        TWO(a_dead_program_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
