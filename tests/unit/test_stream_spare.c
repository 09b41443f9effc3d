/*
 * Closed stream sockets that a queue keeps for the next ones: used again they are as new, they
 * never stand in the way of a limit, and they go with their session. One program connects to
 * itself.
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

#define SOCKETS 16u /* of a session: 4 spares on one queue, 2 on each of two */

static struct rig_program program;
static struct rig_socket listener;

static void begin(uint32_t queues, bool never_sleeps)
{
    stream_rig_start(&(struct stream_rig_spec){
        .queues = queues, .sockets = SOCKETS, .never_sleeps = never_sleeps});
    rig_attach(&program);
    listener = rig_open(&program);
    assert_int_equal(rig_bind(&listener, "127.0.0.1:80"), RS_OK);
    assert_int_equal(rig_listen(&listener, 2), RS_OK);
}

static int start_one(void **state)
{
    (void)state;
    begin(1, false);
    return 0;
}

static int start_two(void **state)
{
    (void)state;
    begin(2, false);
    return 0;
}

static int start_many(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){.sockets = 200});
    rig_attach(&program);
    return 0;
}

/* Nothing has to be woken, so a session ends in fewer steps. */
static int start_awake(void **state)
{
    (void)state;
    begin(1, true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return stream_rig_stop() ? 0 : -1;
}

static uint32_t spares_on(uint32_t queue_idx)
{
    return atomic_load(&program.session->parts[queue_idx].spare_count);
}

struct accept_wait {
    uint32_t queue_idx;
    struct rig_socket socket;
};

static bool accepted(void *context)
{
    struct accept_wait *wait = context;
    uint32_t peer_be32;
    return rig_accept(&listener, wait->queue_idx, &wait->socket, &peer_be32);
}

/* Both ends of a connection on one queue. */
static void join(uint32_t queue_idx, struct rig_socket ends[2])
{
    struct accept_wait wait = {.queue_idx = queue_idx};
    ends[0] = rig_open_on(&program, queue_idx);
    assert_int_equal(rig_connect(&ends[0], "127.0.0.1:80"), RS_OK);
    rig_until_level(&ends[0], RS_LEVEL_CONNECTED);
    rig_until(accepted, &wait, "an accept record");
    ends[1] = wait.socket;
}

static bool is_spare(void *context)
{
    const struct rig_socket *socket = context;
    const struct session_socket *record = program.session->records[socket->idx];
    return record == NULL || atomic_load(&record->parts[record->home_queue_idx]->spare) != 0;
}

static void leave(struct rig_socket ends[2])
{
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rig_close(&ends[i], false, 0), RS_OK);
    }
    for (uint32_t i = 0; i < 2; i++) {
        rig_until(is_spare, &ends[i], "a closed socket to be free");
    }
}

static enum rs_status open_datagram(void)
{
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4, .type = RS_SOCK_DGRAM};
    return rig_request(&program, NULL, RS_OP_OPEN, &open, sizeof(open));
}

/* ---- tests ---- */

static void used_again_it_is_new(void **state)
{
    struct rig_socket ends[2];
    (void)state;
    join(0, ends);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rig_option(&ends[i], RS_OPT_NODELAY, 1), RS_OK);
        assert_int_equal(rig_option(&ends[i], RS_OPT_RCVBUF, 1024), RS_OK);
    }
    assert_int_equal(rig_write(&ends[0], "first", 5), 5);
    rig_turns(4);
    leave(ends);
    assert_true(spares_on(0) > 0);
    const struct dp_socket *spare = program.session->parts[0].spares;
    uint32_t idx = spare->idx;
    uint32_t generation = spare->generation;
    const struct rs_ring_ref ring = spare->send_ring;
    struct rig_socket old = ends[0].idx == idx ? ends[0] : ends[1];
    assert_int_equal(old.idx, idx);
    assert_int_not_equal(old.generation, generation);

    struct rig_socket again = rig_open(&program);
    assert_int_equal(again.idx, idx);
    assert_int_equal(again.generation, generation);
    assert_int_equal(rig_level(&again), 0);
    const struct dp_socket *socket = program.session->parts[0].sockets[idx];
    assert_ptr_equal(socket, spare);
    assert_false(socket->stream->settings.nodelay);
    assert_int_equal(socket->stream->recv_limit_bytes, 0);
    assert_int_equal(atomic_load(&socket->peer_name), 0);
    assert_int_equal(rig_close(&old, false, 0), RS_NOT_SOCKET); /* of another generation */
    assert_int_equal(rig_connect(&again, "127.0.0.1:80"), RS_OK);
    assert_memory_equal(&again.desc->send, &ring, sizeof(ring));
    rig_until_level(&again, RS_LEVEL_CONNECTED);
    struct accept_wait wait = {.queue_idx = 0};
    rig_until(accepted, &wait, "an accept record");
    char text[8] = {0};
    assert_int_equal(rig_write(&again, "other", 5), 5);
    rig_turns(4);
    assert_int_equal(rig_read(&wait.socket, text, sizeof(text)), 5);
    assert_string_equal(text, "other");
}

/* Bound afterwards it has the generation that its queue has counted to. */
static void bound_and_closed_it_is_no_spare(void **state)
{
    struct rig_socket ends[2];
    (void)state;
    join(0, ends);
    leave(ends);
    uint32_t before = spares_on(0);
    struct rig_socket again = rig_open(&program);
    assert_int_equal(spares_on(0), before - 1);
    assert_int_equal(rig_bind(&again, "127.0.0.1:81"), RS_OK);
    assert_int_equal(again.desc->generation, again.generation);
    assert_int_equal(rig_close(&again, false, 0), RS_OK);
    assert_int_equal(spares_on(0), before - 1);
    assert_null(program.session->records[again.idx]);
    assert_int_equal(program.session->generations[again.idx], again.generation);
    struct rig_socket fresh = rig_open(&program);
    assert_int_equal(rig_bind(&fresh, "127.0.0.1:81"), RS_OK); /* the port is free again */
}

static void not_more_than_its_share(void **state)
{
    struct rig_socket ends[6][2];
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        join(0, ends[i]);
    }
    for (uint32_t i = 0; i < 6; i++) {
        leave(ends[i]);
    }
    assert_true(spares_on(0) <= SOCKETS / SESSION_SPARES_SHARE);
    assert_true(spares_on(0) > 0);
}

/* As many sockets as the limit allows, whatever is kept; and one more is refused. */
static void no_limit_is_lower_for_them(void **state)
{
    struct rig_socket ends[3][2];
    uint32_t queues = rig_control->queue_count;
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        join(i % queues, ends[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        leave(ends[i]);
    }
    uint32_t spares = 0;
    for (uint32_t i = 0; i < queues; i++) {
        spares += spares_on(i);
    }
    assert_true(spares > 0);
    uint32_t room = program.session->free_socket_count + spares;
    for (uint32_t i = 0; i < room; i++) {
        assert_int_equal(open_datagram(), RS_OK);
    }
    assert_int_equal(open_datagram(), RS_TOO_MANY_SOCKETS);
    assert_int_equal(program.session->free_socket_count, 0);
}

/* Who opens many gets some ahead of time, up to half of what it may have. */
static void made_ahead(void **state)
{
    uint32_t half = program.session->config->limit_sockets / 2;
    uint32_t made = 0;
    (void)state;
    while (program.session->free_socket_count > half) {
        const struct dp_socket *spare = program.session->parts[0].spares;
        struct rig_socket socket = rig_open(&program);
        if (spare != NULL) {
            assert_int_equal(socket.idx, spare->idx);
            assert_int_not_equal(spare->recv_ring.size_bytes, 0);
            made++;
        }
        assert_int_equal(rig_level(&socket), 0);
        rig_turn();
    }
    assert_true(made > half / 2);
    while (program.session->parts[0].spares != NULL) {
        (void)rig_open(&program);
    }
    (void)rig_open(&program);
    rig_turn();
    assert_int_equal(spares_on(0), 0);
}

/* The program dies while its queues are asked for their spares. */
static void dead_meanwhile(void **state)
{
    struct rig_socket ends[2];
    uint32_t last = rig_control->queue_count - 1;
    (void)state;
    join(last, ends);
    leave(ends);
    while (program.session->free_socket_count != 0) {
        assert_int_equal(open_datagram(), RS_OK);
    }
    assert_true(spares_on(last) > 0);
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4, .type = RS_SOCK_DGRAM};
    struct rs_request *slot = slot_producer_reserve(&program.producers[0]);
    assert_non_null(slot);
    *slot = (struct rs_request){
        .op = RS_OP_OPEN, .socket_idx = RS_NO_INDEX, .arg = 3, .serial = program.serial + 1000};
    memcpy(slot->payload, &open, sizeof(open));
    (void)slot_producer_publish(&program.producers[0]);
    (void)queue_poll(rig_queue(0));
    assert_int_equal(control_round(rig_control, 0), RS_OK); /* asks for them */
    assert_non_null(program.session->recall_first);
    rig_die(&program);
}

/* One that was a spare, and never connected, is none again when its program dies. */
static void dead_with_an_idle_one(void **state)
{
    struct rig_socket ends[2];
    (void)state;
    join(0, ends);
    leave(ends);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    rig_turns(20); /* nothing else is left that its end would wait for */
    struct rig_socket idle = rig_open(&program);
    assert_int_not_equal(program.session->parts[0].sockets[idle.idx]->recv_ring.size_bytes, 0);
    rig_die(&program);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, start_one, stop)
#define TWO(test) cmocka_unit_test_setup_teardown(test, start_two, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(used_again_it_is_new),
        ONE(bound_and_closed_it_is_no_spare),
        ONE(not_more_than_its_share),
        TWO(not_more_than_its_share),
        ONE(no_limit_is_lower_for_them),
        TWO(no_limit_is_lower_for_them),
        cmocka_unit_test_setup_teardown(made_ahead, start_many, stop),
        ONE(dead_meanwhile),
        TWO(dead_meanwhile),
        cmocka_unit_test_setup_teardown(dead_with_an_idle_one, start_awake, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
