/*
 * RS_OP_WARM through the dataplane's request path, over a wire and locally, streams and datagrams:
 * nothing leaves, nothing arrives, no byte of a connection's state, of the receive ring or of the
 * other end differs from what it is without; and the stream goes on as if it had not been. Beside:
 * that it does look at what the send will look at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/nic_memory.h"
#include "dataplane/session.h"
#include "dataplane/stack_internal.h"
#include "dataplane/stream.h"
#include "rings/byteorder.h"
#include "tests/support/stream_rig.h"

static struct rig_program programs[2];

static int start(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){0});
    rig_attach(&programs[0]);
    rig_attach(&programs[1]);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_turns(2000);
    return stream_rig_stop() ? 0 : -1;
}

static struct dp_socket *dp_socket_of(const struct rig_socket *socket)
{
    return socket->program->session->records[socket->idx]->parts[0];
}

/* Bytes behind the tail, as the client leaves them there, and the request. */
static void warm(struct rig_socket *socket, uint32_t len_bytes)
{
    struct stream_region regions[2];
    (void)stream_writer_regions(&socket->send, 0, len_bytes, regions);
    memset(regions[0].base, 0xee, regions[0].len_bytes);
    memset(regions[1].base, 0xee, regions[1].len_bytes);
    rig_post(socket, RS_OP_WARM, len_bytes);
}

static struct rig_socket connected(struct rig_peer **peer)
{
    struct rig_socket socket = rig_open(&programs[0]);
    rig_peer_listen(80);
    assert_int_equal(rig_connect(&socket, RIG_PEER ":80"), RS_OK);
    rig_until_level(&socket, RS_LEVEL_CONNECTED);
    *peer = rig_peer_accepted();
    return socket;
}

static void expect_at_peer(struct rig_peer *peer, const char *text)
{
    char got[64] = {0};
    uint32_t count = 0;
    for (int i = 0; i < 1000 && count < strlen(text); i++) {
        rig_turn();
        count += rig_peer_read(peer, got + count, (uint32_t)(sizeof(got) - count));
    }
    assert_string_equal(got, text);
}

static uint64_t frames_out(void)
{
    return counter_get(stack_counters(rig_queue(0)->stack), COUNTER_tx_frames);
}

static void a_connection_over_the_wire_does_not_change(void **state)
{
    static const uint32_t lengths[] = {0, 1, 64, 1447, 1460, 4000, 4096, UINT32_MAX};
    static struct tcp_conn before;
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    assert_int_equal(rig_write(&socket, "one", 3), 3);
    expect_at_peer(peer, "one");
    rig_turns(1000); /* all timers are as they stay */
    const struct tcp_conn *conn = dp_socket_of(&socket)->stream->conn;
    struct stack *stack = rig_queue(0)->stack;
    static struct wheel wheel;
    /* Long quiet, a connection is not on the wheel any more. */
    wheel_cancel(&stack->tcp.wheel, &dp_socket_of(&socket)->stream->conn->timer);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        static struct counters counters;
        uint16_t ip_id = stack->ip_id;
        uint32_t tx_tail = stack->tx_tail, sent_free = stack->tcp.sent_free;
        uint64_t due_ns = stack_next_timer_ns(stack);
        uint32_t level = rig_level(&socket);
        memcpy(&before, conn, sizeof(before));
        memcpy(&wheel, &stack->tcp.wheel, sizeof(wheel));
        memcpy(&counters, stack_counters(stack), sizeof(counters));
        warm(&socket, lengths[i]);
        rig_turn();
        assert_memory_equal(conn, &before, sizeof(before));
        assert_memory_equal(wheel.occupied, stack->tcp.wheel.occupied, sizeof(wheel.occupied));
        assert_false(wheel_is_armed(&conn->timer));
        assert_int_equal(stack->ip_id, ip_id);
        assert_int_equal(stack->tx_tail, tx_tail);
        assert_int_equal(stack->tcp.sent_free, sent_free);
        assert_int_equal(stack_next_timer_ns(stack), due_ns);
        assert_int_equal(rig_level(&socket), level);
        assert_memory_equal(stack_counters(stack), &counters, sizeof(counters));
    }
    assert_int_equal(rig_write(&socket, "two", 3), 3);
    expect_at_peer(peer, "two");
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
}

static bool ack_is_due(void *context)
{
    return ((const struct tcp_conn *)context)->unacked_bytes != 0;
}

/* A send carries the ACK that is due; a warm one carries nothing. */
static void a_delayed_ack_stays_due(void **state)
{
    static struct tcp_conn before;
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    struct tcp_conn *conn = dp_socket_of(&socket)->stream->conn;
    conn->quick_acks = 0;
    assert_int_equal(rig_peer_write(peer, "x", 1), 1);
    rig_until(ack_is_due, conn, "a byte of the peer, not acknowledged yet");
    memcpy(&before, conn, sizeof(before));
    warm(&socket, 64);
    rig_turn();
    assert_memory_equal(conn, &before, sizeof(before));
    assert_int_not_equal(conn->due_ns[TCP_TIMER_ACK], UINT64_MAX);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
}

/* Long idle, the first send restarts slow start; a warm one is no send. */
static void idle_restart_is_the_sends(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    assert_int_equal(rig_write(&socket, "one", 3), 3);
    expect_at_peer(peer, "one");
    struct tcp_conn *conn = dp_socket_of(&socket)->stream->conn;
    conn->congestion.cwnd_bytes = 1000000;
    conn->last_sent_ns -= 100 * conn->loss.rto_ns;
    warm(&socket, 64);
    rig_turns(3);
    assert_int_equal(conn->congestion.cwnd_bytes, 1000000);
    assert_int_equal(rig_write(&socket, "two", 3), 3);
    expect_at_peer(peer, "two");
    assert_true(conn->congestion.cwnd_bytes < 1000000);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
}

/* With bytes that wait, behind a FIN, over: it does nothing, or no harm. */
static void at_any_time(void **state)
{
    char data[RIG_RING] = {0};
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    uint32_t total = 0;
    (void)state;
    uint64_t end = (uint64_t)RIG_RING * 3;
    while (total < end) { /* warm between all writes, with the ring full and less full */
        total += rig_write(&socket, data, RIG_RING);
        warm(&socket, 1000);
        rig_turn();
        (void)rig_peer_read(peer, data, RIG_RING / 3);
    }
    for (int i = 0; i < 100; i++) {
        rig_turn();
        (void)rig_peer_read(peer, data, RIG_RING);
    }
    assert_int_equal(peer->read, total);
    assert_int_equal(rig_shutdown(&socket, RS_SHUTDOWN_SEND), RS_OK);
    warm(&socket, 100);
    rig_turns(50);
    assert_false(rig_is_poisoned(&programs[0]));
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_post(&socket, RS_OP_WARM, 100); /* late */
    struct rig_socket idle = rig_open(&programs[0]);
    rig_post(&idle, RS_OP_WARM, 100); /* early */
    rig_turns(10);
    assert_false(rig_is_poisoned(&programs[0]));
    assert_int_equal(rig_close(&idle, false, 0), RS_OK);
}

static void a_local_connection_does_not_change(void **state)
{
    static uint8_t before[RIG_RING];
    static struct rs_socket_state a_state, b_state;
    struct rig_socket listener = rig_open(&programs[0]), a = rig_open(&programs[1]), b;
    uint32_t peer_be32;
    char got[8] = {0};
    (void)state;
    assert_int_equal(rig_bind(&listener, "127.0.0.1:80"), RS_OK);
    assert_int_equal(rig_listen(&listener, 5), RS_OK);
    assert_int_equal(rig_connect(&a, "127.0.0.1:80"), RS_OK);
    rig_until_level(&a, RS_LEVEL_CONNECTED);
    assert_true(rig_accept(&listener, 0, &b, &peer_be32));
    assert_int_equal(rig_write(&a, "one", 3), 3);
    rig_turns(10);
    memcpy(before, b.recv.base, RIG_RING);
    memcpy(&a_state, a.state, sizeof(a_state));
    memcpy(&b_state, b.state, sizeof(b_state));
    for (uint32_t len_bytes = 0; len_bytes < 2 * RIG_RING; len_bytes += 333) {
        warm(&a, len_bytes);
        rig_turns(2);
    }
    assert_memory_equal(b.recv.base, before, RIG_RING); /* nobody can see what is not sent */
    assert_memory_equal(a.state, &a_state, sizeof(a_state));
    assert_memory_equal(b.state, &b_state, sizeof(b_state));
    assert_int_equal(rig_write(&a, "two", 3), 3);
    rig_turns(10);
    assert_int_equal(rig_read(&b, got, 8), 6);
    assert_string_equal(got, "onetwo");
    assert_int_equal(rig_close(&b, false, 0), RS_OK);
    rig_turns(10);
    warm(&a, 100);
    rig_turns(10);
    assert_int_equal(rig_close(&a, false, 0), RS_OK);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    assert_false(rig_is_poisoned(&programs[1]));
}

/* There the receive ring is the sender's own, which its program may be writing: a byte that is read
 * and written back would undo what it wrote meanwhile. The rings are out of reach meanwhile. */
static void a_shared_ring_is_not_touched(void **state)
{
    struct rig_socket listener = rig_open(&programs[0]), a = rig_open(&programs[0]), b;
    uint32_t peer_be32;
    char got[8] = {0};
    (void)state;
    assert_int_equal(rig_bind(&listener, "127.0.0.1:80"), RS_OK);
    assert_int_equal(rig_listen(&listener, 5), RS_OK);
    assert_int_equal(rig_connect(&a, "127.0.0.1:80"), RS_OK);
    rig_until_level(&a, RS_LEVEL_CONNECTED);
    assert_true(rig_accept(&listener, 0, &b, &peer_be32));
    assert_int_equal(b.desc->flags, RS_DESC_RECV_SHARED);
    assert_int_equal(rig_write(&a, "one", 3), 3);
    rig_turns(10);
    struct stream_local *from = &dp_socket_of(&a)->stream->local;
    struct stream_local *to = &dp_socket_of(&b)->stream->local;
    uint8_t *base = to->recv.base;
    assert_ptr_equal(from->send.base, base);
    from->send.base = to->recv.base = (uint8_t *)(uintptr_t)RS_PAGE_BYTES; /* nobody's */
    warm(&a, 1000);
    rig_turns(2);
    from->send.base = to->recv.base = base;
    assert_int_equal(rig_write(&a, "two", 3), 3);
    rig_turns(10);
    assert_int_equal(rig_read(&b, got, 8), 6);
    assert_string_equal(got, "onetwo");
    assert_int_equal(rig_close(&a, false, 0), RS_OK);
    assert_int_equal(rig_close(&b, false, 0), RS_OK);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    assert_false(rig_is_poisoned(&programs[0]));
}

/* The frame that it builds is thrown away, so the test NIC counts the buffers. */
static void it_goes_as_far_as_a_frame(void **state)
{
    struct rig_peer *peer;
    struct rig_socket socket = connected(&peer);
    (void)state;
    rig_turns(1000);
    struct stack *stack = rig_queue(0)->stack;
    uint32_t held = nic_memory_held(stack->nic);
    uint64_t frames = frames_out();
    nic_memory_limit_alloc(stack->nic, 1); /* the first takes it, the send after it finds none */
    warm(&socket, 100);
    rig_turn();
    assert_int_equal(rig_write(&socket, "one", 3), 3);
    rig_turn();
    assert_int_equal(frames_out(), frames);
    assert_true(counter_get(stack_counters(stack), COUNTER_tcp_blocked) > 0);
    nic_memory_limit_alloc(stack->nic, UINT32_MAX);
    expect_at_peer(peer, "one");
    rig_turns(100);
    assert_int_equal(nic_memory_held(stack->nic), held);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_over_the_wire_does_not_change, start, stop),
        cmocka_unit_test_setup_teardown(a_delayed_ack_stays_due, start, stop),
        cmocka_unit_test_setup_teardown(idle_restart_is_the_sends, start, stop),
        cmocka_unit_test_setup_teardown(at_any_time, start, stop),
        cmocka_unit_test_setup_teardown(a_local_connection_does_not_change, start, stop),
        cmocka_unit_test_setup_teardown(a_shared_ring_is_not_touched, start, stop),
        cmocka_unit_test_setup_teardown(it_goes_as_far_as_a_frame, start, stop),
    };
    return cmocka_run_group_tests_name("warm", tests, NULL, NULL);
}
