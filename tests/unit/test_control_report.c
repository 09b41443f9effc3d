/*
 * Reports of a real dataplane in this process while its queue works: sockets come and go, datagrams
 * fly, a trace is written, and each report is whole. Under the thread sanitizer this is the proof
 * that a report reads nothing that a queue writes but atomics.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/control.h"
#include "dataplane/dataplane.h"
#include "dataplane/queue.h"
#include "dataplane/stack_internal.h"
#include "provider/ctl/ctl.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/client_rig.h"
#include "tests/support/report_sample.h"

enum {
    REPORTS = 200,
    REPORTS_MOST = 20000,
    LOCALHOST = 0x7f000001,
    ROUNDS_PER_SOCKET = 20,
    BACKLOG = 4
};

static uint32_t connections_told;

struct work {
    struct client *client;
    _Atomic uint32_t stop;
};

static void send_one(struct client_socket *socket, uint32_t seq)
{
    const struct client_iov iov = {.base = &seq, .len_bytes = sizeof(seq)};
    size_t bytes = 0;
    CHECK(client_send(socket, &iov, 1, 0, NULL, &bytes) == RS_OK);
}

static struct client_socket *make_stream(struct work *work)
{
    struct client_socket *socket = NULL;
    CHECK(client_socket_create(work->client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket) == RS_OK);
    return socket;
}

/* A connection, a few bytes one way, its end; the accepting end may still be there by then. */
static void connect_once(struct work *work, struct client_socket *listener, uint32_t round)
{
    struct rs_addr to;
    struct client_socket *accepted = NULL;
    struct client_socket *socket = make_stream(work);
    CHECK(client_local_addr(listener, &to) == RS_OK);
    CHECK(client_connect(socket, &to) == RS_OK);
    send_one(socket, round);
    CHECK(client_socket_close(socket) == RS_OK);
    CHECK(client_accept(listener, &accepted, NULL) == RS_OK);
    CHECK(client_socket_close(accepted) == RS_OK);
}

/* Sockets that are bound, connected to themselves, flooded and closed, and connections, over and
 * over. */
static void work_run(void *arg)
{
    struct work *work = arg;
    const struct rs_addr any = rs_addr_v4(rs_be32(LOCALHOST), 0);
    struct client_socket *listener = make_stream(work);
    CHECK(client_bind(listener, &any) == RS_OK);
    CHECK(client_listen(listener, BACKLOG) == RS_OK);
    for (uint32_t round = 1; atomic_load_explicit(&work->stop, memory_order_relaxed) == 0;
         round++) {
        struct client_socket *socket = NULL;
        struct rs_addr local;
        connect_once(work, listener, round);
        CHECK(client_socket_create(work->client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket) == RS_OK);
        CHECK(client_bind(socket, &any) == RS_OK);
        CHECK(client_local_addr(socket, &local) == RS_OK);
        CHECK(client_connect(socket, &local) == RS_OK);
        for (uint32_t i = 0; i < ROUNDS_PER_SOCKET; i++) {
            send_one(socket, i);
        }
        CHECK(client_socket_close(socket) == RS_OK);
    }
}

/* A loopback queue traces nothing, so this thread is its ring's one writer. b follows from a. */
static void trace_run(void *arg)
{
    struct work *work = arg;
    struct stack *stack = dataplane_control(rig_dataplane())->queues[0]->stack;
    for (uint32_t i = 1; atomic_load_explicit(&work->stop, memory_order_relaxed) == 0; i++) {
        const struct trace_record record = {.tsc = os_tsc(),
                                            .local_be32 = i,
                                            .peer_be32 = i,
                                            .event = TRACE_tcp_retransmit,
                                            .a = i,
                                            .b = ~i};
        trace_add(&stack->trace, &record);
    }
}

/* Whole records, each once, rising; returns the newest number. */
static uint64_t check_trace(const struct rs_report_view *view)
{
    uint32_t count = rs_report_count(view, RS_REPORT_TRACE);
    uint64_t last = 0;
    uint64_t tsc = 0;
    CHECK(count <= 1024);
    for (uint32_t i = 0; i < count; i++) {
        struct rs_report_trace record;
        rs_report_trace_get(view, i, &record);
        CHECK(record.number > last && record.tsc >= tsc);
        CHECK(record.a == (uint32_t)record.number && record.b == ~record.a);
        CHECK(record.local_be32 == record.a && record.peer_be32 == record.a);
        CHECK(record.event == TRACE_tcp_retransmit && record.queue_idx == 0);
        last = record.number;
        tsc = record.tsc;
    }
    return last;
}

/* The texts that travel with it. */
static void check_trace_texts(const struct rs_report_view *view)
{
    struct rs_report_trace_event event;
    struct rs_report_name state;
    CHECK(rs_report_count(view, RS_REPORT_TRACE_EVENTS) == TRACE_EVENT_COUNT);
    CHECK(rs_report_count(view, RS_REPORT_TCP_STATES) == TCP_STATE_COUNT);
    CHECK(view->header.hidden_trace == 0);
    rs_report_trace_event_get(view, TRACE_tcp_drop, &event);
    CHECK(strcmp((const char *)event.name, "tcp_drop") == 0);
    CHECK(strcmp((const char *)event.text, "segment dropped") == 0);
    CHECK(strcmp((const char *)event.a_text, "reason") == 0);
    CHECK(event.a_kind == RS_REPORT_VALUE_COUNTER && event.b_kind == RS_REPORT_VALUE_NUMBER);
    rs_report_tcp_state_get(view, TCP_ESTABLISHED, &state);
    CHECK(strcmp((const char *)state.name, "ESTABLISHED") == 0);
}

/* What a stream socket's queue says of it is of one socket, and of one moment. */
static void check_stream(const struct rs_report_socket *socket)
{
    if ((socket->flags & RS_REPORT_SOCKET_CONNECTION) == 0) {
        return;
    }
    CHECK((socket->flags & RS_REPORT_SOCKET_LOCAL) != 0);
    CHECK(socket->tcp.state < RS_TCP_STATE_COUNT);
    CHECK(socket->tcp.sent_bytes + socket->tcp.received_bytes <= sizeof(uint32_t));
    CHECK(socket->recv_bytes[0] <= socket->tcp.received_bytes);
    connections_told++;
}

/* The tables of one report agree: they are the control thread's, which wrote them in one go. */
static void check_report(const struct rs_report_view *view)
{
    struct rs_report_session session;
    struct rs_report_queue queue;
    uint32_t sockets = rs_report_count(view, RS_REPORT_SOCKETS);
    (void)report_sample_read(view);
    CHECK(rs_report_count(view, RS_REPORT_SESSIONS) == 1);
    CHECK(rs_report_count(view, RS_REPORT_QUEUES) == 1);
    rs_report_session_get(view, 0, &session);
    rs_report_queue_get(view, 0, &queue);
    CHECK(session.sockets == sockets && sockets <= rig_defaults.limit_sockets);
    CHECK(session.pid == os_process_id() && session.state == RS_REPORT_SESSION_LIVE);
    CHECK(queue.polls >= queue.busy_polls);
    for (uint32_t i = 0; i < sockets; i++) {
        struct rs_report_socket socket;
        rs_report_socket_get(view, i, &socket);
        CHECK(socket.session_id == session.id);
        CHECK(socket.recv_bytes[0] <= socket.recv_ring_bytes);
        if (socket.type == RS_SOCK_STREAM) {
            check_stream(&socket);
            continue;
        }
        CHECK(socket.peer.family == RS_FAMILY_NONE ||
              (socket.peer.ip.v4_be32 == rs_be32(LOCALHOST) &&
               socket.peer.port_be16 == socket.local.port_be16));
    }
}

int main(void)
{
    struct client_info info;
    struct os_thread thread, tracer;
    uint64_t traced = 0, whole = 0;
    struct work work = {.stop = 0};
    uint64_t polls_before = 0;
    rig_start(&rig_defaults);
    work.client = rig_attach();
    client_get_info(work.client, &info);
    CHECK(os_thread_start(&thread, work_run, &work, "worker") == RS_OK);
    CHECK(os_thread_start(&tracer, trace_run, &work, "tracer") == RS_OK);
    uint32_t reports = 0;
    /* Connections live briefly here: which report meets one is chance. */
    for (; reports < REPORTS || (connections_told == 0 && reports < REPORTS_MOST); reports++) {
        struct ctl_report report;
        struct rs_report_queue queue;
        CHECK(ctl_fetch(info.instance, &report) == RS_OK);
        check_report(&report.view);
        check_trace_texts(&report.view);
        uint64_t newest = check_trace(&report.view);
        traced = newest > traced ? newest : traced;
        whole += rs_report_count(&report.view, RS_REPORT_TRACE);
        rs_report_queue_get(&report.view, 0, &queue);
        CHECK(queue.polls >= polls_before);
        polls_before = queue.polls;
        ctl_report_free(&report);
    }
    atomic_store_explicit(&work.stop, 1, memory_order_relaxed);
    os_thread_join(&thread);
    os_thread_join(&tracer);
    /* Nobody writes any more: the newest 1024 are there, to the last. */
    struct ctl_report last;
    CHECK(ctl_fetch(info.instance, &last) == RS_OK);
    CHECK(rs_report_count(&last.view, RS_REPORT_TRACE) == 1024);
    CHECK(check_trace(&last.view) >= traced && whole > 0);
    ctl_report_free(&last);
    client_close(work.client);
    rig_stop();
    CHECK(connections_told != 0);
    printf("%u reports, %llu trace records, %u times a connection\n", reports,
           (unsigned long long)whole, connections_told);
    return 0;
}
