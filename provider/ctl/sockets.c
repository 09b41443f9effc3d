/*
 * `ringsockctl sockets`: every socket, by program. Called by main.c; prints to stdout.
 */
#include <inttypes.h>
#include <stdio.h>

#include "provider/ctl/ctl.h"

/* By queue, where there are several and something waits. */
static void sockets_by_queue(const struct rs_report_socket *socket)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        total += socket->recv_bytes[i];
    }
    if ((socket->queue_mask & (socket->queue_mask - 1)) == 0 || total == 0) {
        return;
    }
    (void)printf("%14swaiting by queue:", "");
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if ((socket->queue_mask & 1u << i) != 0) {
            (void)printf(" %" PRIu32 ": %s", i, ctl_bytes(socket->recv_bytes[i]).bytes);
        }
    }
    (void)printf("\n");
}

/* What only TCP has, below its line: a listener's backlog, or what lies between the two ends. */
static void sockets_tcp(const struct rs_report_socket *socket)
{
    const struct rs_tcp_info *tcp = &socket->tcp;
    const char *orphan =
        (socket->flags & RS_REPORT_SOCKET_ORPHAN) != 0 ? ", closed by its program" : "";
    if ((socket->flags & RS_REPORT_SOCKET_UNTOLD) != 0) {
        (void)printf("%14sits queue did not say more in time%s\n", "", orphan);
    } else if ((socket->flags & RS_REPORT_SOCKET_LOCAL) != 0) {
        (void)printf("%14sboth ends are here%s\n", "", orphan);
    } else if ((socket->flags & RS_REPORT_SOCKET_CONNECTION) != 0) {
        (void)printf("%14sin flight %s, cwnd %s, rtt %s us, sent again %s%s\n", "",
                     ctl_bytes(tcp->in_flight_bytes).bytes, ctl_bytes(tcp->cwnd_bytes).bytes,
                     ctl_number(tcp->rtt_us).bytes, ctl_bytes(tcp->retransmitted_bytes).bytes,
                     orphan);
    } else if (tcp->state == RS_TCP_LISTEN) {
        (void)printf("%14s%" PRIu32 " of at most %" PRIu32 " wait to be accepted\n", "",
                     socket->backlog_used, socket->backlog_limit);
    }
}

static void sockets_error(const struct rs_report_socket *socket)
{
    if (socket->last_error != RS_OK) {
        (void)printf("%14slast error: %s\n", "",
                     rs_status_name((enum rs_status)socket->last_error));
    }
}

static void sockets_stream(const struct rs_report_view *report,
                           const struct rs_report_socket *socket)
{
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        waiting += socket->recv_bytes[i];
    }
    (void)printf(" %6" PRIu32 " %5" PRIu32 " %-21s %-21s %-12s %8s %8s %8s\n", socket->idx,
                 socket->home_queue_idx, ctl_address(&socket->local).bytes,
                 ctl_address(&socket->peer).bytes, ctl_stream_state(report, socket).bytes,
                 ctl_bytes(waiting).bytes, ctl_bytes(socket->recv_ring_bytes).bytes,
                 ctl_bytes(socket->send_wait_bytes).bytes);
    if ((socket->flags & RS_REPORT_SOCKET_PLACE) == 0) {
        sockets_tcp(socket);
        sockets_error(socket);
    }
}

static void sockets_line(const struct rs_report_socket *socket)
{
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        waiting += socket->recv_bytes[i];
    }
    (void)printf(" %6" PRIu32 " %5" PRIu32 " %-21s %-21s %9s %8s %8s %7" PRIu32 " %6" PRIu32 "\n",
                 socket->idx, socket->home_queue_idx, ctl_address(&socket->local).bytes,
                 ctl_address(&socket->peer).bytes, ctl_bytes(waiting).bytes,
                 ctl_bytes(socket->recv_ring_bytes).bytes, ctl_bytes(socket->send_wait_bytes).bytes,
                 socket->recv_dropped, socket->errors);
    sockets_by_queue(socket);
    sockets_error(socket);
}

/* Those of a session from `first` on that are of a type, under a heading. Returns where the next
 * session's begin. */
static uint32_t sockets_of_type(const struct ctl_view *view, uint64_t session_id, uint32_t first,
                                enum rs_socket_type type)
{
    struct rs_report_socket socket;
    bool headed = false;
    uint32_t idx = first;
    for (; idx < rs_report_count(view->now, RS_REPORT_SOCKETS); idx++) {
        rs_report_socket_get(view->now, idx, &socket);
        if (socket.session_id != session_id) {
            break;
        }
        bool stream = socket.type == RS_SOCK_STREAM;
        if (stream != (type == RS_SOCK_STREAM)) {
            continue;
        }
        if (!headed && stream) {
            (void)printf(" %6s %5s %-21s %-21s %-12s %8s %8s %8s\n", "tcp", "queue", "local",
                         "peer", "state", "unread", "ring", "unsent");
        } else if (!headed) {
            (void)printf(" %6s %5s %-21s %-21s %9s %8s %8s %7s %6s\n", "udp", "queue", "local",
                         "peer", "unread", "ring", "unsent", "dropped", "errors");
        }
        headed = true;
        if (stream) {
            sockets_stream(view->now, &socket);
        } else {
            sockets_line(&socket);
        }
    }
    return idx;
}

/* The sockets of one session stand together. Returns where the next session's begin. */
static uint32_t sockets_of(const struct ctl_view *view, const struct rs_report_session *session,
                           uint32_t first)
{
    (void)printf("%s (pid %" PRIu32 ", session %" PRIu64 ", %s): %" PRIu32 " socket%s\n",
                 session->program[0] != '\0' ? ctl_printable(session->program).bytes : "program",
                 session->pid, session->id, ctl_session_state(session->state), session->sockets,
                 session->sockets == 1 ? "" : "s");
    (void)sockets_of_type(view, session->id, first, RS_SOCK_DGRAM);
    return sockets_of_type(view, session->id, first, RS_SOCK_STREAM);
}

void ctl_show_hidden(const struct ctl_view *view)
{
    uint32_t hidden = view->now->header.hidden_sessions;
    if (hidden != 0) {
        (void)printf("%" PRIu32 " program%s of other users: root and the dataplane's user see %s\n",
                     hidden, hidden == 1 ? "" : "s", hidden == 1 ? "it" : "them");
    }
}

void ctl_show_sockets(const struct ctl_view *view)
{
    uint32_t count = rs_report_count(view->now, RS_REPORT_SESSIONS);
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct rs_report_session session;
        rs_report_session_get(view->now, i, &session);
        next = sockets_of(view, &session, next);
    }
    ctl_show_hidden(view);
    if (count == 0 && view->now->header.hidden_sessions == 0) {
        (void)printf("no program is attached to instance %s\n",
                     ctl_printable(view->now->header.instance).bytes);
    }
}
