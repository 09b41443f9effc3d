/*
 * `ringsockctl status`: the dataplane, its queues and how busy they are, the programs attached,
 * what is in use. Called by main.c; prints to stdout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "provider/ctl/ctl.h"

#define STATUS_INDENT 12u

static const char *status_steering(uint32_t steering)
{
    switch (steering) {
    case RS_REPORT_STEER_ONE:
        return "";
    case RS_REPORT_STEER_NIC:
        return ", steered by the NIC";
    case RS_REPORT_STEER_SOFTWARE:
        return ", steered by the queues themselves";
    default:
        return ", steered somehow";
    }
}

static void status_addresses(const struct rs_report_queue *queue)
{
    (void)printf("  address   ");
    if (queue->ip_be32 != 0) {
        (void)printf("%s/%" PRIu32 ", ", ctl_ipv4(queue->ip_be32).bytes, queue->prefix_len);
    } else {
        (void)printf("127.0.0.1, ");
    }
    if (queue->kind != RS_NIC_LOOPBACK) {
        (void)printf("%s, ", ctl_mac(queue->mac).bytes);
    }
    (void)printf("MTU %" PRIu32 ", link %s", queue->mtu_bytes, queue->link_up ? "up" : "DOWN");
    if (queue->mac_filters != 0) {
        (void)printf(", %" PRIu32 " multicast MACs", queue->mac_filters);
    }
    (void)printf("\n");
    for (uint32_t i = 0; i < queue->more_count; i++) {
        (void)printf("%s%s/%u%s", i % 4 == 0 ? "            " : ", ",
                     ctl_ipv4(queue->more_be32[i]).bytes, queue->more_prefix_len[i],
                     i % 4 == 3 || i + 1 == queue->more_count ? "\n" : "");
    }
}

static void status_load(const struct ctl_view *view, const struct rs_report_queue *queue,
                        const struct rs_report_queue *before)
{
    double hz = (double)view->now->header.tsc_hz;
    double busy = ctl_rate(view, queue->busy_tsc, before->busy_tsc) / hz * 100;
    (void)printf("  poll loop %.1f %% busy, %s polls a second, %s requests a second (%s %s)\n",
                 busy, ctl_number((uint64_t)ctl_rate(view, queue->polls, before->polls)).bytes,
                 ctl_number((uint64_t)ctl_rate(view, queue->requests, before->requests)).bytes,
                 view->before != NULL ? "in the last" : "in all its",
                 ctl_seconds(view->seconds).bytes);
    (void)printf("            ");
    if (queue->core == RS_NO_INDEX) {
        (void)printf("any core");
    } else {
        (void)printf("core %" PRIu32, queue->core);
    }
    (void)printf(", %s when idle\n", queue->yields ? "yields" : "spins");
}

static void status_bursts(const struct ctl_view *view, const struct rs_report_queue *queue,
                          const struct rs_report_queue *before)
{
    uint64_t bursts = queue->rx_bursts - (view->before != NULL ? before->rx_bursts : 0);
    uint64_t frames = queue->rx_frames - (view->before != NULL ? before->rx_frames : 0);
    uint64_t full = queue->rx_full - (view->before != NULL ? before->rx_full : 0);
    if (queue->kind == RS_NIC_LOOPBACK) {
        return; /* no frames */
    }
    (void)printf("  received  %s frames in %s bursts: %.1f on average, %s full ones of %" PRIu64
                 "\n",
                 ctl_number(frames).bytes, ctl_number(bursts).bytes,
                 bursts != 0 ? (double)frames / (double)bursts : 0.0, ctl_number(full).bytes,
                 queue->rx_burst_frames_max);
    (void)printf(
        "  NIC       in %s, out %s; missed %s, no buffer %s, errors in %s, out %s\n",
        ctl_number(queue->nic_rx_pkts).bytes, ctl_number(queue->nic_tx_pkts).bytes,
        ctl_number(queue->nic_rx_missed_pkts).bytes, ctl_number(queue->nic_rx_no_buffer_pkts).bytes,
        ctl_number(queue->nic_rx_errors_pkts).bytes, ctl_number(queue->nic_tx_errors_pkts).bytes);
    if (queue->buffers != RS_REPORT_UNKNOWN) {
        (void)printf("            %s of %s buffers out of the pool\n",
                     ctl_number(queue->buffers_held).bytes, ctl_number(queue->buffers).bytes);
    }
}

static void status_tcp(const struct rs_report_queue *queue)
{
    if (queue->tcp_connections_max == 0) {
        return; /* a loopback queue, or TCP is off */
    }
    (void)printf("  TCP       %s of %s connections, ", ctl_number(queue->tcp_connections).bytes,
                 ctl_number(queue->tcp_connections_max).bytes);
    (void)printf("%s of %s half open, ", ctl_number(queue->tcp_half_open).bytes,
                 ctl_number(queue->tcp_half_open_max).bytes);
    (void)printf("%s of %s in TIME_WAIT\n", ctl_number(queue->tcp_time_waits).bytes,
                 ctl_number(queue->tcp_time_waits_max).bytes);
}

static void status_queues(const struct ctl_view *view)
{
    for (uint32_t i = 0; i < rs_report_count(view->now, RS_REPORT_QUEUES); i++) {
        struct rs_report_queue queue, before = {.polls = 0};
        rs_report_queue_get(view->now, i, &queue);
        if (view->before != NULL && i < rs_report_count(view->before, RS_REPORT_QUEUES)) {
            rs_report_queue_get(view->before, i, &before);
        }
        (void)printf("queue %" PRIu32 " on %s (%s)", i, ctl_printable(queue.nic).bytes,
                     ctl_kind(queue.kind));
        if (queue.nic_queue_count > 1) {
            (void)printf(", its queue %" PRIu32 " of %" PRIu32 "%s", queue.nic_queue_idx,
                         queue.nic_queue_count, status_steering(queue.steering));
        }
        (void)printf("\n");
        status_addresses(&queue);
        status_load(view, &queue, &before);
        status_bursts(view, &queue, &before);
        status_tcp(&queue);
    }
}

/* What a program's budget held back; a line only where there is something to say. */
static void status_budget(const struct rs_report_session *session)
{
    const struct {
        const char *text;
        uint64_t value;
    } held[] = {{"out of budget", session->budget_exhausted},
                {"signals deferred", session->signals_deferred},
                {"hints deferred", session->hints_deferred},
                {"control waits", session->control_waits},
                {"joins refused", session->memberships_refused}};
    uint32_t column = 0;
    char words[96];
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        if (held[i].value != 0) {
            if (column == 0) {
                (void)printf("%*s", (int)STATUS_INDENT, "");
                column = STATUS_INDENT;
            }
            (void)snprintf(words, sizeof(words), "%s %s", held[i].text,
                           ctl_number(held[i].value).bytes);
            column = ctl_item(words, ",", column, STATUS_INDENT);
        }
    }
    if (column != 0) {
        (void)printf("\n");
    }
}

static void status_programs(const struct ctl_view *view)
{
    uint32_t count = rs_report_count(view->now, RS_REPORT_SESSIONS);
    (void)printf("programs: %" PRIu64 " of at most %" PRIu32 "\n",
                 (uint64_t)count + view->now->header.hidden_sessions,
                 view->now->header.limit_sessions);
    if (count != 0) {
        (void)printf("  %7s %8s %6s  %-15s %-8s %11s %8s %7s %18s\n", "session", "pid", "user",
                     "program", "state", "sockets", "channels", "extents", "memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct rs_report_session session;
        char sockets[24], channels[24], extents[24], memory[sizeof(struct ctl_text) * 2];
        rs_report_session_get(view->now, i, &session);
        (void)snprintf(sockets, sizeof(sockets), "%" PRIu32 "/%" PRIu32, session.sockets,
                       session.limit_sockets);
        (void)snprintf(channels, sizeof(channels), "%" PRIu32 "/%" PRIu32, session.channels,
                       session.limit_channels);
        (void)snprintf(extents, sizeof(extents), "%" PRIu32 "/%" PRIu32, session.extents,
                       session.limit_extents);
        (void)snprintf(memory, sizeof(memory), "%s/%s", ctl_bytes(session.memory_bytes).bytes,
                       ctl_bytes(session.limit_memory_bytes).bytes);
        (void)printf("  %7" PRIu64 " %8" PRIu32 " %6" PRIu32 "  %-15.15s %-8s %11s %8s %7s %18s\n",
                     session.id, session.pid, session.user_id, ctl_printable(session.program).bytes,
                     ctl_session_state(session.state), sockets, channels, extents, memory);
        status_budget(&session);
    }
    ctl_show_hidden(view);
}

static struct ctl_text status_figure_value(const struct rs_report_figure *figure)
{
    size_t length = strlen((const char *)figure->name);
    bool bytes = length > 6 && strcmp((const char *)figure->name + length - 6, "_bytes") == 0;
    return bytes || figure->value == RS_REPORT_UNKNOWN ? ctl_bytes(figure->value)
                                                       : ctl_number(figure->value);
}

/* All figures, a paragraph for each group. Of what the control thread counts only what is not 0. */
static void status_figures(const struct ctl_view *view)
{
    char group[sizeof(((struct rs_report_figure *)0)->group)] = "";
    uint32_t column = 0;
    for (uint32_t i = 0; i < rs_report_count(view->now, RS_REPORT_FIGURES); i++) {
        struct rs_report_figure figure;
        char words[2 * sizeof(struct ctl_text)];
        rs_report_figure_get(view->now, i, &figure);
        if (strcmp(group, (const char *)figure.group) != 0) {
            memcpy(group, figure.group, sizeof(group));
            (void)printf("%s%-*s", i != 0 ? "\n" : "", (int)STATUS_INDENT,
                         ctl_printable(figure.group).bytes);
            column = STATUS_INDENT;
        }
        if (figure.value != 0 || strcmp(group, "control") != 0) {
            (void)snprintf(words, sizeof(words), "%.40s %s", ctl_printable(figure.name).bytes,
                           status_figure_value(&figure).bytes);
            column = ctl_item(words, ",", column, STATUS_INDENT);
        }
    }
    (void)printf("\n");
}

void ctl_show_status(const struct ctl_view *view)
{
    const struct rs_report_header *header = &view->now->header;
    double up = (double)(header->tsc - header->started_tsc) / (double)header->tsc_hz;
    (void)printf("instance %s: pid %" PRIu32 ", up %s, layout version %" PRIu32 "\n",
                 ctl_printable(header->instance).bytes, header->dataplane_pid,
                 ctl_seconds(up).bytes, header->layout_version);
    status_queues(view);
    status_programs(view);
    status_figures(view);
}
