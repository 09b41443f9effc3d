/*
 * Stream sockets in reports: what the queues are asked and when whoever asked is answered, turn by
 * turn (tests/support/stream_rig.h). Thread of the test only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/session.h"
#include "dataplane/stream.h"
#include "rings/control.h"
#include "rings/report_view.h"
#include "tests/support/check.h"
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

static int start_two(void **state)
{
    (void)state;
    stream_rig_start(&(struct stream_rig_spec){.queues = 2});
    rig_attach(&program);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return stream_rig_stop() ? 0 : -1;
}

/* ---- ringsockctl ---- */

struct asker {
    struct os_conn conn;
    struct os_shm shm;          /* base NULL: not answered yet */
    struct rs_report_view view; /* nobody writes it any more */
};

static struct asker ask(void)
{
    const struct rs_ctl_request request = {
        .magic = RS_MAGIC, .type = RS_CTL_REPORT, .arg = RS_REPORT_VERSION};
    struct asker asker = {0};
    CHECK(os_connect(rig_control->configs[0].instance, 0, &asker.conn) == RS_OK);
    CHECK(os_conn_send(&asker.conn, &request, sizeof(request), NULL, 0) == RS_OK);
    return asker;
}

static bool answered(void *context)
{
    struct asker *asker = context;
    struct rs_ctl_answer answer = {0};
    size_t bytes = sizeof(answer);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count = 0;
    const char *why = "";
    enum rs_status status = os_conn_recv(&asker->conn, &answer, &bytes, handles, &handle_count, 0);
    if (status == RS_TIMED_OUT) {
        return false;
    }
    CHECK(status == RS_OK && answer.type == RS_CTL_REPORT && handle_count == 1);
    CHECK(os_shm_map(handles[0], answer.value, false, &asker->shm) == RS_OK);
    CHECK(rs_report_check(asker->shm.base, asker->shm.size_bytes, &asker->view, &why) == RS_OK);
    return true;
}

static void until_answered(struct asker *asker)
{
    rig_until(answered, asker, "a report");
}

static void done_with(struct asker *asker)
{
    os_conn_close(&asker->conn);
    os_shm_destroy(&asker->shm);
    *asker = (struct asker){0};
}

/* False: the report does not have it. */
static bool find(const struct asker *asker, const struct rig_socket *socket,
                 struct rs_report_socket *out)
{
    for (uint32_t i = 0; i < rs_report_count(&asker->view, RS_REPORT_SOCKETS); i++) {
        rs_report_socket_get(&asker->view, i, out);
        if (out->session_id == socket->program->session->id && out->idx == socket->idx) {
            assert_int_equal(out->generation, socket->generation);
            assert_int_equal(out->type, RS_SOCK_STREAM);
            return true;
        }
    }
    return false;
}

static struct rs_report_socket told(const struct asker *asker, const struct rig_socket *socket)
{
    struct rs_report_socket out;
    assert_true(find(asker, socket, &out));
    return out;
}

/* One report, one socket of it. */
static struct rs_report_socket report_of(const struct rig_socket *socket)
{
    struct asker asker = ask();
    until_answered(&asker);
    struct rs_report_socket out = told(&asker, socket);
    done_with(&asker);
    return out;
}

/* ---- sockets ---- */

static struct rig_socket connected(struct rig_peer **peer)
{
    struct rig_socket socket = rig_open(&program);
    rig_peer_listen(80);
    assert_int_equal(rig_connect(&socket, SERVER), RS_OK);
    rig_until_level(&socket, RS_LEVEL_CONNECTED);
    *peer = rig_peer_accepted();
    return socket;
}

/* ---- what is told ---- */

static void open_and_bound_sockets(void **state)
{
    (void)state;
    struct rig_socket socket = rig_open(&program);
    struct rs_report_socket out = report_of(&socket);
    assert_int_equal(out.state, RS_REPORT_SOCKET_OPEN);
    assert_int_equal(out.flags, 0);
    assert_int_equal(rig_bind(&socket, "10.0.0.1:8000"), RS_OK);
    out = report_of(&socket);
    assert_int_equal(out.state, RS_REPORT_SOCKET_BOUND);
    assert_int_equal(out.flags, 0);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
}

static void a_connection_and_its_queues(void **state)
{
    struct rig_peer *peer;
    uint8_t data[RIG_RING] = {0};
    (void)state;
    struct rig_socket socket = connected(&peer);
    assert_int_equal(rig_peer_write(peer, data, 300), 300);
    assert_int_equal(rig_write(&socket, data, 1000), 1000);
    rig_peer_until(peer, TCP_EVENT_READABLE);
    rig_turns(200);
    assert_int_equal(rig_read(&socket, data, 100), 100);
    struct rs_report_socket out = report_of(&socket);
    assert_int_equal(out.flags, RS_REPORT_SOCKET_CONNECTION);
    assert_int_equal(out.state, RS_REPORT_SOCKET_CONNECTED);
    assert_int_equal(out.tcp.state, RS_TCP_ESTABLISHED);
    assert_int_equal(out.recv_bytes[0], 200);
    assert_int_equal(out.send_wait_bytes, 0);
    assert_int_equal(out.tcp.sent_bytes, 1000);
    assert_int_equal(out.tcp.received_bytes, 300);
    assert_true(out.tcp.cwnd_bytes != 0 && out.tcp.rtt_us != 0);
    assert_int_equal(out.recv_ring_bytes, RIG_RING);
    /* The other host does not read: its window is full, the rest waits here. */
    for (uint32_t i = 0; i < 2000; i++) {
        (void)rig_write(&socket, data, sizeof(data));
        rig_turn();
    }
    out = report_of(&socket);
    uint32_t left = out.send_wait_bytes + out.tcp.in_flight_bytes;
    assert_true(out.send_wait_bytes > 0);
    assert_int_equal(left, socket.send.tail - atomic_load(&socket.state->send_head));
    assert_true(out.tcp.send_window_bytes < out.tcp.mss_bytes);
    assert_true(out.tcp.limited[RS_TCP_LIMIT_RECEIVER].transitions != 0);
    assert_int_equal(rig_close(&socket, true, 0), RS_OK);
    rig_peer_close(peer);
    rig_until_free(&socket);
}

static void an_orphan_is_told_until_it_is_gone(void **state)
{
    struct rig_peer *peer;
    struct rs_report_socket out;
    struct rig_socket socket = connected(&peer);
    (void)state;
    rig_wire_down(true);
    assert_int_equal(rig_write(&socket, "hello", 5), 5);
    assert_int_equal(rig_close(&socket, false, 0), RS_OK);
    out = report_of(&socket);
    assert_int_equal(out.flags, RS_REPORT_SOCKET_CONNECTION | RS_REPORT_SOCKET_ORPHAN);
    assert_int_equal(out.tcp.state, RS_TCP_FIN_WAIT_1);
    assert_int_equal(out.tcp.in_flight_bytes, 6); /* and the FIN */
    assert_int_equal(out.send_wait_bytes, 0);
    rig_wire_down(false);
    rig_peer_until(peer, TCP_EVENT_END);
    rig_peer_close(peer);
    rig_until_free(&socket);
    struct asker asker = ask();
    until_answered(&asker);
    assert_false(find(&asker, &socket, &out));
    done_with(&asker);
}

/* A listener, what waits in its backlog, what is kept ready for more, and both ends here. */
static void a_listener_and_what_it_keeps(void **state)
{
    struct rig_socket listener = rig_open(&program);
    struct rig_socket a = rig_open(&program), server;
    uint32_t places = 0, waiting = 0, peer_be32;
    (void)state;
    assert_int_equal(rig_bind(&listener, "127.0.0.1:80"), RS_OK);
    assert_int_equal(rig_listen(&listener, 3), RS_OK);
    for (uint32_t i = a.idx + 1; i < program.session->config->limit_sockets; i++) {
        struct rs_socket_client *left =
            (struct rs_socket_client *)(uintptr_t)(&program.session->socket_clients[i]);
        atomic_store(&left->recv_head[0], 3); /* by an index's last user */
    }
    assert_int_equal(rig_connect(&a, "127.0.0.1:80"), RS_OK);
    rig_until_level(&a, RS_LEVEL_CONNECTED);
    assert_int_equal(rig_write(&a, "hello", 5), 5);
    rig_turns(100);
    struct asker asker = ask();
    until_answered(&asker);
    struct rs_report_socket out = told(&asker, &listener);
    assert_int_equal(out.flags, 0);
    assert_int_equal(out.tcp.state, RS_TCP_LISTEN);
    assert_int_equal(out.backlog_used, 1);
    assert_int_equal(out.backlog_limit, 3);
    assert_int_equal(out.recv_bytes[0], 0);
    out = told(&asker, &a);
    assert_int_equal(out.flags, RS_REPORT_SOCKET_CONNECTION | RS_REPORT_SOCKET_LOCAL);
    assert_int_equal(out.tcp.sent_bytes, 5);
    for (uint32_t i = 0; i < rs_report_count(&asker.view, RS_REPORT_SOCKETS); i++) {
        rs_report_socket_get(&asker.view, i, &out);
        places += (out.flags & RS_REPORT_SOCKET_PLACE) != 0;
        if (out.idx != a.idx && (out.flags & RS_REPORT_SOCKET_LOCAL) != 0) {
            waiting++;
            assert_int_equal(out.recv_bytes[0], 5); /* whatever the index's last user left */
        }
    }
    assert_int_equal(waiting, 1);
    assert_true(places >= 1);
    done_with(&asker);
    assert_true(rig_accept(&listener, 0, &server, &peer_be32));
    rig_turns(5);
    assert_int_equal(report_of(&server).recv_bytes[0], 5);
    assert_int_equal(rig_close(&server, true, 0), RS_OK);
    assert_int_equal(rig_close(&a, true, 0), RS_OK);
    assert_int_equal(rig_close(&listener, false, 0), RS_OK);
    rig_turns(2000);
}

/* ---- when it is told ---- */

static void until_asked(const struct queue *queue)
{
    for (uint32_t i = 0; queue->report == NULL; i++) {
        assert_true(i < 1000); /* the queue is never asked */
        rig_turn();
    }
}

/* Four sockets in an iteration, whoever else works meanwhile; no more while nobody asks. */
static void an_iteration_looks_at_a_few(void **state)
{
    struct rig_socket sockets[20];
    struct queue *queue = rig_queue(0);
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        sockets[i] = rig_open(&program);
    }
    struct asker asker = ask();
    until_asked(queue);
    struct stream_report *report = queue->report;
    assert_true(report->count >= 20); /* and what the queue keeps for the next ones */
    assert_int_equal(report->next, 4);
    (void)queue_poll(queue);
    assert_int_equal(report->next, 8);
    assert_false(answered(&asker));
    until_answered(&asker);
    assert_null(queue->report);
    assert_int_equal(told(&asker, &sockets[19]).flags, 0);
    done_with(&asker);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(rig_close(&sockets[i], false, 0), RS_OK);
    }
}

/* A socket that goes while the queue is at it: what is told is of its index's next user. */
static void a_socket_goes_meanwhile(void **state)
{
    struct rs_report_socket out;
    struct rig_socket sockets[20];
    struct queue *queue = rig_queue(0);
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        sockets[i] = rig_open(&program);
    }
    struct asker asker = ask();
    until_asked(queue);
    queue->report->next = 0; /* as if it had not begun */
    struct stream_report *held = queue->report;
    queue->report = NULL;
    assert_int_equal(rig_close(&sockets[7], false, 0), RS_OK);
    rig_until_free(&sockets[7]);
    uint32_t idx = sockets[7].idx;
    sockets[7] = rig_open(&program);
    queue->report = held;
    until_answered(&asker);
    assert_true(find(&asker, &sockets[7], &out));
    /* It may have been a spare, which the queue was not asked about. */
    assert_int_equal(out.flags, sockets[7].idx == idx ? 0 : RS_REPORT_SOCKET_UNTOLD);
    assert_int_equal(told(&asker, &sockets[8]).flags, 0);
    done_with(&asker);
}

/* Who asks while others are being answered hears of what there is now. */
static void several_ask(void **state)
{
    struct rig_socket first = rig_open(&program), later;
    struct rs_report_socket out;
    (void)state;
    struct queue *queue = rig_queue(0);
    for (int i = 0; i < 4; i++) { /* for the round to take a while */
        (void)rig_open(&program);
    }
    struct asker askers[3] = {ask(), ask()};
    until_asked(queue);
    struct stream_report *held = queue->report;
    queue->report = NULL;
    later = rig_open(&program);
    askers[2] = ask();
    rig_turns(5);
    assert_true(rig_control->asking.running);
    queue->report = held;
    for (int i = 0; i < 3; i++) {
        until_answered(&askers[i]);
        assert_int_equal(told(&askers[i], &first).flags, 0);
    }
    assert_true(find(&askers[2], &later, &out));
    assert_int_equal(out.flags, 0);
    for (int i = 0; i < 3; i++) {
        done_with(&askers[i]);
    }
    assert_false(rig_control->asking.running);
    assert_int_equal(rig_control->asking.lent, 0);
}

static bool answered_without_queues(struct asker *asker, uint64_t *took_ns)
{
    uint64_t before_ns = os_monotonic_ns();
    do {
        CHECK(control_round(rig_control, 10000000) == RS_OK);
        *took_ns = os_monotonic_ns() - before_ns;
    } while (!answered(asker) && *took_ns < 20000000000u);
    return asker->shm.base != NULL;
}

/* A queue that stands still holds nobody up for long, and the next reports not at all. */
static void a_queue_stands_still(void **state)
{
    struct rig_socket socket = rig_open(&program);
    uint64_t took_ns;
    (void)state;
    struct asker asker = ask();
    assert_true(answered_without_queues(&asker, &took_ns));
    assert_true(took_ns >= 400000000u);
    assert_int_equal(rig_control->asking.waited, 1);
    assert_int_equal(told(&asker, &socket).flags, RS_REPORT_SOCKET_UNTOLD);
    done_with(&asker);
    asker = ask();
    assert_true(answered_without_queues(&asker, &took_ns));
    assert_int_equal(rig_control->asking.waited, 0); /* else it was waited for again */
    assert_int_equal(told(&asker, &socket).flags, RS_REPORT_SOCKET_UNTOLD);
    done_with(&asker);
    rig_turns(10); /* it goes on, and gives its list back */
    assert_int_equal(rig_control->asking.lent, 0);
    assert_int_equal(report_of(&socket).flags, 0);
}

/* However often one asks, the queues have their rest. */
static void the_queues_have_their_rest(void **state)
{
    struct rig_socket socket = rig_open(&program);
    struct queue *queue = rig_queue(0);
    (void)state;
    assert_int_equal(report_of(&socket).flags, 0);
    assert_true(rig_control->asking.rest_until_ns > rig_control->asking.began_ns);
    uint64_t rest_until_ns = os_monotonic_ns() + 50000000;
    rig_control->asking.rest_until_ns = rest_until_ns;
    struct asker asker = ask();
    while (os_monotonic_ns() < rest_until_ns) {
        uint64_t number = rig_control->asking.number;
        rig_turn();
        bool begun = queue->report != NULL || rig_control->asking.number != number;
        assert_true(!begun || os_monotonic_ns() >= rest_until_ns);
    }
    until_answered(&asker);
    assert_int_equal(told(&asker, &socket).flags, 0);
    done_with(&asker);
}

/* Who asked and went away is forgotten. */
static void an_asker_goes(void **state)
{
    struct rig_socket socket = rig_open(&program);
    (void)state;
    struct asker asker = ask();
    for (uint32_t i = 0; rig_control->asking.number == 0; i++) {
        assert_true(i < 1000); /* nobody hears the asker */
        rig_turn();
    }
    os_conn_close(&asker.conn);
    rig_turns(50);
    assert_null(rig_control->peers);
    assert_int_equal(report_of(&socket).flags, 0);
}

static void both_queues_tell(void **state)
{
    struct rig_socket a = rig_open_on(&program, 0), b = rig_open_on(&program, 1);
    (void)state;
    struct asker asker = ask();
    until_answered(&asker);
    assert_int_equal(told(&asker, &a).home_queue_idx, 0);
    assert_int_equal(told(&asker, &b).home_queue_idx, 1);
    assert_int_equal(told(&asker, &a).flags + told(&asker, &b).flags, 0);
    done_with(&asker);
}

/* ---- an index without a record ---- */

static void post_accept(const struct rig_socket *socket)
{
    struct rig_program *by = socket->program;
    struct rs_request *slot = slot_producer_reserve(&by->producers[0]);
    slot->op = RS_OP_SHARE_RECV;
    slot->len_bytes = sizeof(struct rs_op_share_data);
    slot->socket_idx = socket->idx;
    slot->generation = socket->generation;
    slot->arg = 0;
    slot->serial = ++by->serial;
    memset(slot->payload, 0, sizeof(slot->payload));
    (void)slot_producer_publish(&by->producers[0]);
}

static bool is_accepted(void *context)
{
    struct rig_program *by = context;
    return atomic_load(&by->channels[0]->replies[0].serial) == by->serial;
}

/* What a program accepts of a shared listener has an index of its session before it has a record
 * there: the lists and the report are not to look for one behind the table's end. */
static void an_accept_is_under_way(void **state)
{
    const struct rs_op_share op = {.process_id = os_process_id()};
    struct rig_program other;
    struct rs_share_token token;
    struct rig_socket listener = rig_open(&program), twin;
    uint64_t took_ns;
    (void)state;
    rig_attach(&other);
    assert_int_equal(rig_bind(&listener, RIG_OWN ":81"), RS_OK);
    assert_int_equal(rig_listen(&listener, 2), RS_OK);
    assert_int_equal(
        rig_request_reply(&program, &listener, RS_OP_SHARE, &op, sizeof(op), &token, sizeof(token)),
        RS_OK);
    assert_int_equal(rig_share_open(&other, &token, &twin), RS_OK);
    (void)rig_peer_connect(2000, RIG_OWN ":81");
    rig_until_level(&twin, RS_LEVEL_READABLE);
    const uint32_t free_before = other.session->free_socket_count;
    post_accept(&twin);
    for (uint32_t i = 0; other.session->free_socket_count == free_before; i++) {
        assert_true(i < 1000); /* the control thread does not hear of it */
        (void)queue_poll(rig_queue(0));
        CHECK(control_round(rig_control, 0) == RS_OK);
    }
    struct asker asker = ask();
    assert_true(answered_without_queues(&asker, &took_ns));
    assert_int_equal(other.session->free_socket_count, free_before - 1);
    assert_int_equal(told(&asker, &listener).flags, RS_REPORT_SOCKET_UNTOLD);
    assert_int_equal(told(&asker, &twin).flags, RS_REPORT_SOCKET_UNTOLD);
    assert_int_equal(rs_report_count(&asker.view, RS_REPORT_SOCKETS), 2);
    done_with(&asker);
    rig_until(is_accepted, &other, "the answer to an accept");
    rig_die(&other);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        CASE(open_and_bound_sockets),
        CASE(a_connection_and_its_queues),
        CASE(an_orphan_is_told_until_it_is_gone),
        CASE(a_listener_and_what_it_keeps),
        CASE(an_iteration_looks_at_a_few),
        CASE(a_socket_goes_meanwhile),
        CASE(several_ask),
        CASE(a_queue_stands_still),
        CASE(the_queues_have_their_rest),
        CASE(an_asker_goes),
        CASE(an_accept_is_under_way),
        cmocka_unit_test_setup_teardown(both_queues_tell, start_two, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
