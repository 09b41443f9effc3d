/*
 * A report as one line of JSON, for scripts and tests. Called by main.c; prints to stdout.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "rings/byteorder.h"
#include "rings/json.h"

static void document_u64(struct rs_json *json, const char *name, uint64_t value)
{
    if (value == RS_REPORT_UNKNOWN) {
        rs_json_null(json, name);
    } else {
        rs_json_u64(json, name, value);
    }
}

static void document_load(struct rs_json *json, const struct rs_report_view *report,
                          const struct rs_report_queue *queue)
{
    uint64_t since = report->header.tsc - report->header.started_tsc;
    rs_json_object(json, "load");
    rs_json_u64(json, "polls", queue->polls);
    rs_json_u64(json, "busy_polls", queue->busy_polls);
    rs_json_ratio(json, "busy_share", since != 0 ? (double)queue->busy_tsc / (double)since : 0);
    rs_json_u64(json, "rx_bursts", queue->rx_bursts);
    rs_json_u64(json, "rx_full_bursts", queue->rx_full);
    rs_json_ratio(json, "rx_burst_frames",
                  queue->rx_bursts != 0 ? (double)queue->rx_frames / (double)queue->rx_bursts : 0);
    rs_json_u64(json, "requests", queue->requests);
    rs_json_object_end(json);
}

static void document_nic(struct rs_json *json, const struct rs_report_queue *queue)
{
    rs_json_object(json, "nic_counters");
    rs_json_u64(json, "rx_pkts", queue->nic_rx_pkts);
    rs_json_u64(json, "rx_bytes", queue->nic_rx_bytes);
    rs_json_u64(json, "rx_missed_pkts", queue->nic_rx_missed_pkts);
    rs_json_u64(json, "rx_errors_pkts", queue->nic_rx_errors_pkts);
    rs_json_u64(json, "rx_no_buffer_pkts", queue->nic_rx_no_buffer_pkts);
    rs_json_u64(json, "tx_pkts", queue->nic_tx_pkts);
    rs_json_u64(json, "tx_bytes", queue->nic_tx_bytes);
    rs_json_u64(json, "tx_errors_pkts", queue->nic_tx_errors_pkts);
    document_u64(json, "buffers", queue->buffers);
    document_u64(json, "buffers_held", queue->buffers_held);
    rs_json_object_end(json);
}

static void document_tcp(struct rs_json *json, const struct rs_report_queue *queue)
{
    rs_json_object(json, "tcp");
    rs_json_u64(json, "connections", queue->tcp_connections);
    rs_json_u64(json, "connections_max", queue->tcp_connections_max);
    rs_json_u64(json, "half_open", queue->tcp_half_open);
    rs_json_u64(json, "half_open_max", queue->tcp_half_open_max);
    rs_json_u64(json, "time_waits", queue->tcp_time_waits);
    rs_json_u64(json, "time_waits_max", queue->tcp_time_waits_max);
    rs_json_object_end(json);
}

static void document_counters(struct rs_json *json, const struct rs_report_view *report,
                              uint32_t queue_idx)
{
    rs_json_object(json, "counters");
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_COUNTERS); i++) {
        struct rs_report_counter counter;
        rs_report_counter_get(report, i, &counter);
        rs_json_u64(json, (const char *)counter.name, rs_report_value(report, queue_idx, i));
    }
    rs_json_object_end(json);
}

static void document_queue_status(struct rs_json *json, const struct rs_report_view *report,
                                  const struct rs_report_queue *queue)
{
    static const char *const steering[] = {"one queue", "nic", "software"};
    rs_json_u64(json, "nic_queue", queue->nic_queue_idx);
    rs_json_u64(json, "nic_queues", queue->nic_queue_count);
    rs_json_text(json, "steering", queue->steering < 3 ? steering[queue->steering] : "unknown");
    if (queue->core == RS_NO_INDEX) {
        rs_json_null(json, "core");
    } else {
        rs_json_u64(json, "core", queue->core);
    }
    rs_json_text(json, "idle", queue->yields ? "yield" : "spin");
    rs_json_bool(json, "link_up", queue->link_up != 0);
    rs_json_text(json, "address", ctl_ipv4(queue->ip_be32).bytes);
    rs_json_u64(json, "prefix_len", queue->prefix_len);
    rs_json_array(json, "more_addresses");
    for (uint32_t i = 0; i < queue->more_count; i++) {
        rs_json_object(json, NULL);
        rs_json_text(json, "address", ctl_ipv4(queue->more_be32[i]).bytes);
        rs_json_u64(json, "prefix_len", queue->more_prefix_len[i]);
        rs_json_object_end(json);
    }
    rs_json_array_end(json);
    rs_json_text(json, "mac", ctl_mac(queue->mac).bytes);
    rs_json_u64(json, "mtu_bytes", queue->mtu_bytes);
    rs_json_u64(json, "mac_filters", queue->mac_filters);
    document_load(json, report, queue);
    document_nic(json, queue);
    document_tcp(json, queue);
}

static void document_queues(struct rs_json *json, const struct rs_report_view *report,
                            unsigned parts)
{
    rs_json_array(json, "queues");
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_QUEUES); i++) {
        struct rs_report_queue queue;
        rs_report_queue_get(report, i, &queue);
        rs_json_object(json, NULL);
        rs_json_text(json, "nic", (const char *)queue.nic);
        rs_json_text(json, "kind", ctl_kind(queue.kind));
        if (parts & CTL_STATUS) {
            document_queue_status(json, report, &queue);
        }
        if (parts & CTL_COUNTERS) {
            document_counters(json, report, i);
        }
        rs_json_object_end(json);
    }
    rs_json_array_end(json);
}

static void document_sessions(struct rs_json *json, const struct rs_report_view *report)
{
    rs_json_array(json, "sessions");
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_SESSIONS); i++) {
        struct rs_report_session session;
        rs_report_session_get(report, i, &session);
        rs_json_object(json, NULL);
        rs_json_u64(json, "id", session.id);
        rs_json_u64(json, "pid", session.pid);
        rs_json_u64(json, "user", session.user_id);
        rs_json_text(json, "program", (const char *)session.program);
        rs_json_text(json, "state", ctl_session_state(session.state));
        rs_json_bool(json, "never_sleeps", session.never_sleeps != 0);
        rs_json_u64(json, "sockets", session.sockets);
        rs_json_u64(json, "limit_sockets", session.limit_sockets);
        rs_json_u64(json, "channels", session.channels);
        rs_json_u64(json, "limit_channels", session.limit_channels);
        rs_json_u64(json, "extents", session.extents);
        rs_json_u64(json, "limit_extents", session.limit_extents);
        rs_json_u64(json, "memory_bytes", session.memory_bytes);
        rs_json_u64(json, "limit_memory_bytes", session.limit_memory_bytes);
        rs_json_u64(json, "budget_exhausted", session.budget_exhausted);
        rs_json_u64(json, "signals_deferred", session.signals_deferred);
        rs_json_u64(json, "hints_deferred", session.hints_deferred);
        rs_json_u64(json, "control_waits", session.control_waits);
        rs_json_u64(json, "memberships_refused", session.memberships_refused);
        rs_json_object_end(json);
    }
    rs_json_array_end(json);
}

/* What the queues of the mask have unread, by their numbers. */
static void document_unread(struct rs_json *json, const struct rs_report_socket *socket)
{
    uint64_t total = 0;
    char name[16];
    rs_json_object(json, "unread_bytes_by_queue");
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if ((socket->queue_mask & 1u << i) != 0) {
            (void)snprintf(name, sizeof(name), "%u", i);
            rs_json_u64(json, name, socket->recv_bytes[i]);
            total += socket->recv_bytes[i];
        }
    }
    rs_json_object_end(json);
    rs_json_u64(json, "unread_bytes", total);
}

static void document_limited(struct rs_json *json, const char *name,
                             const struct rs_tcp_limited *limited)
{
    rs_json_object(json, name);
    rs_json_u64(json, "transitions", limited->transitions);
    rs_json_u64(json, "time_ms", limited->time_ms);
    rs_json_u64(json, "sent_bytes", limited->sent_bytes);
    rs_json_object_end(json);
}

static void document_connection(struct rs_json *json, const struct rs_tcp_info *tcp)
{
    rs_json_object(json, "tcp");
    rs_json_u64(json, "connected_ms", tcp->connected_ms);
    rs_json_u64(json, "mss_bytes", tcp->mss_bytes);
    rs_json_u64(json, "cwnd_bytes", tcp->cwnd_bytes);
    rs_json_u64(json, "in_flight_bytes", tcp->in_flight_bytes);
    rs_json_u64(json, "send_window_bytes", tcp->send_window_bytes);
    rs_json_u64(json, "recv_window_bytes", tcp->recv_window_bytes);
    rs_json_u64(json, "recv_buffer_bytes", tcp->recv_buffer_bytes);
    rs_json_bool(json, "timestamps", tcp->timestamps != 0);
    rs_json_u64(json, "rtt_us", tcp->rtt_us);
    rs_json_u64(json, "rtt_min_us", tcp->rtt_min_us);
    rs_json_u64(json, "sent_bytes", tcp->sent_bytes);
    rs_json_u64(json, "received_bytes", tcp->received_bytes);
    rs_json_u64(json, "retransmitted_bytes", tcp->retransmitted_bytes);
    rs_json_u64(json, "reordered_bytes", tcp->reordered_bytes);
    rs_json_u64(json, "fast_retransmits", tcp->fast_retransmits);
    rs_json_u64(json, "dup_acks", tcp->dup_acks);
    rs_json_u64(json, "timeout_episodes", tcp->timeout_episodes);
    rs_json_u64(json, "syn_retransmits", tcp->syn_retransmits);
    document_limited(json, "limited_by_receiver", &tcp->limited[RS_TCP_LIMIT_RECEIVER]);
    document_limited(json, "limited_by_congestion", &tcp->limited[RS_TCP_LIMIT_CONGESTION]);
    document_limited(json, "limited_by_sender", &tcp->limited[RS_TCP_LIMIT_SENDER]);
    rs_json_object_end(json);
}

static void document_stream(struct rs_json *json, const struct rs_report_socket *socket)
{
    rs_json_bool(json, "told", (socket->flags & RS_REPORT_SOCKET_UNTOLD) == 0);
    rs_json_bool(json, "orphan", (socket->flags & RS_REPORT_SOCKET_ORPHAN) != 0);
    rs_json_bool(json, "both_ends_here", (socket->flags & RS_REPORT_SOCKET_LOCAL) != 0);
    if ((socket->flags & RS_REPORT_SOCKET_CONNECTION) != 0) {
        document_connection(json, &socket->tcp);
    } else if (socket->tcp.state == RS_TCP_LISTEN) {
        rs_json_object(json, "backlog");
        rs_json_u64(json, "waiting", socket->backlog_used);
        rs_json_u64(json, "limit", socket->backlog_limit);
        rs_json_object_end(json);
    }
}

static const char *document_type(uint32_t type)
{
    return type == RS_SOCK_DGRAM ? "udp" : type == RS_SOCK_STREAM ? "tcp" : "unknown";
}

static void document_sockets(struct rs_json *json, const struct rs_report_view *report)
{
    rs_json_array(json, "sockets");
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_SOCKETS); i++) {
        struct rs_report_socket socket;
        rs_report_socket_get(report, i, &socket);
        rs_json_object(json, NULL);
        rs_json_u64(json, "session", socket.session_id);
        rs_json_u64(json, "idx", socket.idx);
        rs_json_u64(json, "generation", socket.generation);
        rs_json_text(json, "type", document_type(socket.type));
        rs_json_text(json, "state",
                     socket.type == RS_SOCK_STREAM ? ctl_stream_state(report, &socket).bytes
                                                   : ctl_socket_state(socket.state));
        rs_json_u64(json, "queue", socket.home_queue_idx);
        rs_json_text(json, "local", ctl_address(&socket.local).bytes);
        rs_json_text(json, "peer", ctl_address(&socket.peer).bytes);
        document_unread(json, &socket);
        rs_json_u64(json, "recv_ring_bytes", socket.recv_ring_bytes);
        rs_json_u64(json, "send_ring_bytes", socket.send_ring_bytes);
        rs_json_u64(json, "unsent_bytes", socket.send_wait_bytes);
        rs_json_object(json, "dropped");
        rs_json_u64(json, "receive_full", socket.recv_dropped);
        rs_json_u64(json, "errors", socket.errors);
        rs_json_object_end(json);
        rs_json_text(json, "last_error", rs_status_name((enum rs_status)socket.last_error));
        if (socket.type == RS_SOCK_STREAM) {
            document_stream(json, &socket);
        }
        rs_json_object_end(json);
    }
    rs_json_array_end(json);
}

static void document_ports(struct rs_json *json, const struct rs_report_view *report)
{
    static const char *const share[] = {"default", "reuse", "exclusive"};
    rs_json_array(json, "ports");
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_PORTS); i++) {
        struct rs_report_port port;
        rs_report_port_get(report, i, &port);
        rs_json_object(json, NULL);
        rs_json_text(json, "address", ctl_ipv4(port.ip_be32).bytes);
        rs_json_u64(json, "port", rs_be16(port.port_be16));
        rs_json_text(json, "type", port.type == RS_SOCK_STREAM ? "tcp" : "udp");
        rs_json_text(json, "share", port.share < 3 ? share[port.share] : "unknown");
        rs_json_u64(json, "user", port.user_id);
        rs_json_object_end(json);
    }
    rs_json_array_end(json);
}

static void document_trace(struct rs_json *json, const struct rs_report_view *report)
{
    rs_json_array(json, "trace");
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_TRACE); i++) {
        struct rs_report_trace record;
        struct rs_report_trace_event event;
        char detail[CTL_TRACE_DETAIL_BYTES];
        rs_report_trace_get(report, i, &record);
        ctl_trace_event(report, &record, &event);
        ctl_trace_detail(report, &event, &record, detail, sizeof(detail));
        const struct rs_addr local = rs_addr_v4(record.local_be32, record.local_port_be16);
        const struct rs_addr peer = rs_addr_v4(record.peer_be32, record.peer_port_be16);
        rs_json_object(json, NULL);
        rs_json_u64(json, "queue", record.queue_idx);
        rs_json_u64(json, "number", record.number);
        rs_json_u64(json, "unix_ns", ctl_trace_unix_ns(report, &record));
        rs_json_text(json, "local", ctl_address(&local).bytes);
        rs_json_text(json, "peer", ctl_address(&peer).bytes);
        rs_json_text(json, "event", (const char *)event.name);
        rs_json_text(json, "text", (const char *)event.text);
        rs_json_text(json, "detail", detail);
        rs_json_u64(json, "a", record.a);
        rs_json_u64(json, "b", record.b);
        rs_json_object_end(json);
    }
    rs_json_array_end(json);
}

/* An object for each group: in_use, control, process, and what a newer dataplane may have. */
static void document_figures(struct rs_json *json, const struct rs_report_view *report)
{
    uint8_t group[sizeof(((struct rs_report_figure *)0)->group)] = "";
    bool open = false;
    for (uint32_t i = 0; i < rs_report_count(report, RS_REPORT_FIGURES); i++) {
        struct rs_report_figure figure;
        rs_report_figure_get(report, i, &figure);
        if (!open || memcmp(group, figure.group, sizeof(group)) != 0) {
            if (open) {
                rs_json_object_end(json);
            }
            memcpy(group, figure.group, sizeof(group));
            rs_json_object(json, (const char *)group);
            open = true;
        }
        document_u64(json, (const char *)figure.name, figure.value);
    }
    if (open) {
        rs_json_object_end(json);
    }
}

void ctl_show_document(const struct rs_report_view *report, unsigned parts)
{
    const struct rs_report_header *header = &report->header;
    struct rs_json json = rs_json_start(stdout);
    char epoch[24];
    rs_json_object(&json, NULL);
    rs_json_text(&json, "instance", (const char *)header->instance);
    rs_json_u64(&json, "pid", header->dataplane_pid);
    (void)snprintf(epoch, sizeof(epoch), "%016" PRIx64, header->epoch);
    rs_json_text(&json, "epoch", epoch); /* not every reader of JSON has 64 bits for a number */
    rs_json_u64(&json, "report_version", header->version);
    rs_json_u64(&json, "layout_version", header->layout_version);
    rs_json_u64(&json, "unix_ns", header->unix_ns);
    rs_json_ratio(&json, "uptime_s",
                  (double)(header->tsc - header->started_tsc) / (double)header->tsc_hz);
    rs_json_u64(&json, "limit_sessions", header->limit_sessions);
    rs_json_u64(&json, "hidden_sessions", header->hidden_sessions);
    if (parts & (CTL_STATUS | CTL_COUNTERS)) {
        document_queues(&json, report, parts);
    }
    if (parts & (CTL_STATUS | CTL_SOCKETS)) {
        document_sessions(&json, report);
    }
    if (parts & CTL_SOCKETS) {
        document_sockets(&json, report);
        document_ports(&json, report);
    }
    if (parts & CTL_STATUS) {
        document_figures(&json, report);
    }
    if (parts & CTL_TRACE) {
        rs_json_bool(&json, "hidden_trace", header->hidden_trace != 0);
        document_trace(&json, report);
    }
    rs_json_object_end(&json);
    (void)fputc('\n', stdout);
}
