/*
 * Reports for ringsockctl: one snapshot of queues, sessions, sockets, ports and counters, written
 * into a fresh object of shared memory (rings/report.h) whose handle goes to the asker. Control
 * thread; called by control_clients.c when a connection asks; calls rings/os.
 *
 * The queues do nothing for it but say what they were asked of connections (control_asking.c). What
 * is read else is the control thread's own, relaxed atomics of the queues, words of
 * dataplane-written memory, and each datagram socket's recv_head words, which are the client's:
 * loaded once and only believed within the ring. So the figures of one report are not of one
 * instant, and sums over them may be off by what is under way.
 *
 * A user who may only attach sees programs, sockets and ports of that user, and no trace; sums and
 * counters are of all.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/control_internal.h"
#include "dataplane/log.h"
#include "dataplane/stream.h"
#include "dataplane/trace.h"
#include "rings/report.h"
#include "rings/seq.h"

static_assert(SESSION_ENDED == 2, "enum rs_report_session_state begins as enum session_state");
static_assert((int)STEER_ONE_QUEUE == RS_REPORT_STEER_ONE &&
                  (int)STEER_SOFTWARE == RS_REPORT_STEER_SOFTWARE,
              "enum rs_report_steering is enum steer_mode");
static_assert((int)PORTS_EXCLUSIVE == 2, "rs_report_port.share is enum ports_share");

#define TRACE_FITS(id, words, a_kind_, a_words, b_kind_, b_words)                               \
    static_assert(sizeof(#id) <= sizeof(((struct rs_report_trace_event *)0)->name) &&           \
                      sizeof(words) <= sizeof(((struct rs_report_trace_event *)0)->text) &&     \
                      sizeof(a_words) <= sizeof(((struct rs_report_trace_event *)0)->a_text) && \
                      sizeof(b_words) <= sizeof(((struct rs_report_trace_event *)0)->b_text),   \
                  "a text is cut");
TRACE_EVENTS(TRACE_FITS)

#define REPORT_FIGURES_MAX   32u
#define REPORT_TRACE_RECORDS 1024u /* of each queue, the newest */

/* What a report is written into. */
struct report {
    struct rs_report_header *header;
    uint8_t *base;
    uint32_t filled[RS_REPORT_KNOWN]; /* records of each section */
    bool sees_all;                    /* the asker may see what belongs to other users than: */
    uint32_t user_id;
    uint32_t ports;    /* that it may see */
    uint8_t port_type; /* enum rs_socket_type of the table that is walked */
    uint64_t trace_counts[RS_QUEUES_MAX];
    struct nic_stats stats[RS_QUEUES_MAX];
};

static bool report_sees(const struct report *report, uint32_t user_id)
{
    return report->sees_all || report->user_id == user_id;
}

/* The next record of a section; there is room for it. */
static void *report_next(struct report *report, enum rs_report_section_id id)
{
    const struct rs_report_section *section = &report->header->sections[id];
    assert(report->filled[id] < section->count);
    return report->base + section->off + (size_t)report->filled[id]++ * section->stride_bytes;
}

static void report_text(uint8_t *out, size_t bytes, const char *text)
{
    (void)snprintf((char *)out, bytes, "%s", text);
}

#define REPORT_TEXT(field, text) report_text((field), sizeof(field), (text))

/* ---- queues
 * --------------------------------------------------------------------------------------------- */

static uint64_t report_load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void report_queue_load(struct rs_report_queue *out, struct queue *queue)
{
    const struct queue_load *load = &queue->load;
    out->polls = report_load(&load->polls);
    out->busy_polls = report_load(&load->busy_polls);
    out->busy_tsc = report_load(&load->busy_tsc);
    out->rx_bursts = report_load(&load->rx_bursts);
    out->rx_full = report_load(&load->rx_full);
    out->rx_burst_frames_max = NIC_BURST_PKTS;
    out->rx_frames = counter_get(stack_counters(queue->stack), COUNTER_rx_frames);
    out->requests = report_load(&load->requests);
}

static void report_queue_nic(struct rs_report_queue *out, const struct nic *nic,
                             const struct nic_stats *stats)
{
    REPORT_TEXT(out->nic, nic->name);
    out->kind = nic->kind;
    out->nic_queue_idx = nic->queue_idx;
    out->nic_queue_count = nic->queue_count;
    out->steering = nic->steering->mode;
    out->mtu_bytes = nic->mtu_bytes;
    memcpy(out->mac, nic->mac, sizeof(nic->mac));
    out->nic_rx_pkts = stats->rx_pkts;
    out->nic_rx_bytes = stats->rx_bytes;
    out->nic_rx_missed_pkts = stats->rx_missed_pkts;
    out->nic_rx_errors_pkts = stats->rx_errors_pkts;
    out->nic_rx_no_buffer_pkts = stats->rx_no_buffer_pkts;
    out->nic_tx_pkts = stats->tx_pkts;
    out->nic_tx_bytes = stats->tx_bytes;
    out->nic_tx_errors_pkts = stats->tx_errors_pkts;
    out->buffers = stats->buffers != 0 ? stats->buffers : RS_REPORT_UNKNOWN;
    out->buffers_held = stats->buffers != 0 ? stats->buffers_held : RS_REPORT_UNKNOWN;
}

static void report_queue_tcp(struct rs_report_queue *out, struct queue *queue)
{
    const struct queue_load *load = &queue->load;
    const struct tcp_config *config = &queue->config->stack.tcp;
    out->tcp_connections = (uint32_t)report_load(&load->tcp_connections);
    out->tcp_connections_max = config->connections_max;
    out->tcp_half_open = (uint32_t)report_load(&load->tcp_half_open);
    out->tcp_half_open_max = config->requests_max;
    out->tcp_time_waits = (uint32_t)report_load(&load->tcp_time_waits);
    out->tcp_time_waits_max = config->time_waits_max;
}

static void report_queues(struct report *report, const struct control *control)
{
    for (uint32_t i = 0; i < control->queue_count; i++) {
        const struct queue_config *config = &control->configs[i];
        struct queue *queue = control->queues[i];
        struct rs_report_queue *out = report_next(report, RS_REPORT_QUEUES);
        report_queue_nic(out, control->nics[i], &report->stats[i]);
        report_queue_load(out, queue);
        report_queue_tcp(out, queue);
        out->core = config->core >= 0 ? (uint32_t)config->core : RS_NO_INDEX;
        out->yields = config->yield;
        out->link_up = control->link_was_up[i];
        out->ip_be32 = config->stack.ip_be32;
        out->prefix_len = config->stack.prefix_len;
        out->more_count = config->stack.more_count;
        for (uint32_t j = 0; j < config->stack.more_count; j++) {
            out->more_be32[j] = config->stack.more[j].ip_be32;
            out->more_prefix_len[j] = config->stack.more[j].prefix_len;
        }
        out->mac_filters = control->mac_filters[i];
        for (unsigned id = 0; id < COUNTER_COUNT; id++) {
            uint64_t *value = report_next(report, RS_REPORT_VALUES);
            *value = counter_get(stack_counters(queue->stack), (enum counter_id)id);
        }
    }
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        struct rs_report_counter *out = report_next(report, RS_REPORT_COUNTERS);
        REPORT_TEXT(out->name, counter_name((enum counter_id)id));
        REPORT_TEXT(out->group, counter_group_name(counter_group_of((enum counter_id)id)));
        REPORT_TEXT(out->text, counter_text((enum counter_id)id));
    }
}

/* ---- trace
 * ---------------------------------------------------------------------------------------------- */

static uint64_t report_trace_count(const struct report *report, const struct control *control,
                                   uint32_t queue_idx)
{
    uint64_t written = trace_written(stack_trace(control->queues[queue_idx]->stack));
    uint64_t count = written < REPORT_TRACE_RECORDS ? written : REPORT_TRACE_RECORDS;
    return report->sees_all ? count : 0;
}

/* The newest `count` of a queue, less those that it overwrites meanwhile. */
static void report_trace_queue(struct report *report, const struct trace_ring *ring,
                               uint32_t queue_idx, uint64_t count)
{
    uint64_t written = trace_written(ring);
    for (uint64_t number = written - count + 1; number <= written; number++) {
        struct trace_record record;
        if (!trace_read(ring, number, &record)) {
            continue;
        }
        struct rs_report_trace *out = report_next(report, RS_REPORT_TRACE);
        *out = (struct rs_report_trace){.number = number,
                                        .tsc = record.tsc,
                                        .queue_idx = queue_idx,
                                        .event = record.event,
                                        .local_be32 = record.local_be32,
                                        .peer_be32 = record.peer_be32,
                                        .local_port_be16 = record.local_port_be16,
                                        .peer_port_be16 = record.peer_port_be16,
                                        .a = record.a,
                                        .b = record.b};
    }
}

static void report_trace(struct report *report, const struct control *control)
{
    for (uint32_t i = 0; i < control->queue_count; i++) {
        report_trace_queue(report, stack_trace(control->queues[i]->stack), i,
                           report->trace_counts[i]);
    }
    report->header->sections[RS_REPORT_TRACE].count = report->filled[RS_REPORT_TRACE];
    for (uint32_t event = 0; event < TRACE_EVENT_COUNT; event++) {
        const struct trace_text *text = &trace_texts[event];
        struct rs_report_trace_event *out = report_next(report, RS_REPORT_TRACE_EVENTS);
        REPORT_TEXT(out->name, text->name);
        REPORT_TEXT(out->text, text->text);
        REPORT_TEXT(out->a_text, text->a);
        REPORT_TEXT(out->b_text, text->b);
        out->a_kind = text->a_kind;
        out->b_kind = text->b_kind;
    }
    for (unsigned state = 0; state < TCP_STATE_COUNT; state++) {
        struct rs_report_name *out = report_next(report, RS_REPORT_TCP_STATES);
        REPORT_TEXT(out->name, tcp_state_name((enum tcp_state)state));
    }
}

/* ---- sessions and sockets
 * ------------------------------------------------------------------------------- */

/* Indices that are taken. */
static uint32_t report_index_count(const struct dp_session *session)
{
    return session->config->limit_sockets - session->free_socket_count;
}

/* Those that a queue does not only keep for the next socket. The queues move on meanwhile. */
static uint32_t report_socket_count(const struct dp_session *session)
{
    uint32_t count = report_index_count(session);
    for (uint32_t i = 0; i < session->queue_count; i++) {
        uint32_t spares =
            atomic_load_explicit(&session->parts[i].spare_count, memory_order_relaxed);
        count -= spares < count ? spares : count;
    }
    return count;
}

static uint32_t report_channel_count(const struct dp_session *session)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < session->config->limit_channels; i++) {
        count += session->channel_used[i];
    }
    return count;
}

static struct rs_addr report_addr(const _Atomic uint64_t *name)
{
    uint64_t word = atomic_load_explicit(name, memory_order_relaxed);
    return word != 0 ? rs_addr_v4((uint32_t)(word >> 16), (uint16_t)word)
                     : (struct rs_addr){.family = RS_FAMILY_NONE};
}

static void report_flag(struct rs_report_socket *out, uint32_t flag, bool is)
{
    out->flags |= is ? flag : 0;
}

/* What only a stream socket has. */
static void report_stream(const struct control *control, const struct session_socket *record,
                          struct rs_report_socket *out)
{
    struct dp_socket *home = record->parts[record->home_queue_idx];
    const struct stream_report_entry *entry = control_asking_entry(control, record);
    uint32_t generation = atomic_load_explicit(&home->state->generation, memory_order_relaxed);
    uint32_t mode = atomic_load_explicit(&home->state->mode, memory_order_relaxed);
    bool orphan = mode == RS_MODE_ORPHAN; /* generation 0 */
    bool place = !orphan && generation == 0 && record->send_ring.size_bytes != 0;
    if (entry != NULL && generation != 0 && entry->generation != generation) {
        entry = NULL; /* closed, and opened again, since */
    }
    report_flag(out, RS_REPORT_SOCKET_PLACE, place);
    report_flag(out, RS_REPORT_SOCKET_UNTOLD, entry == NULL && !place);
    report_flag(out, RS_REPORT_SOCKET_ORPHAN, orphan);
    if (entry == NULL) {
        return;
    }
    out->generation = entry->generation;
    report_flag(out, RS_REPORT_SOCKET_LOCAL, entry->connected && entry->local);
    report_flag(out, RS_REPORT_SOCKET_CONNECTION, entry->connected);
    out->tcp = entry->info;
    out->recv_bytes[record->home_queue_idx] = entry->unread_bytes;
    out->send_wait_bytes = entry->unsent_bytes;
    if (entry->info.state == RS_TCP_LISTEN) {
        const struct tcp_backlog *backlog = &home->stream->backlog;
        out->backlog_used = atomic_load_explicit(&backlog->used, memory_order_relaxed);
        out->backlog_limit = atomic_load_explicit(&backlog->limit, memory_order_relaxed);
    }
}

/* What waits in the receive ring of one queue. Both ends move meanwhile, and the head is the
 * client's word. */
static uint32_t report_recv_bytes(const struct session_socket *record, uint32_t queue_idx)
{
    const struct rs_socket_client *client = &record->session->socket_clients[record->idx];
    const struct dp_socket *part = record->parts[queue_idx];
    uint32_t size_bytes = record->recv_rings[queue_idx].size_bytes;
    uint32_t head = atomic_load_explicit(&client->recv_head[queue_idx], memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&part->recv_tail, memory_order_relaxed);
    uint32_t bytes = rs_seq_distance(head, tail);
    if (bytes > UINT32_MAX / 2) {
        return 0; /* read on while we looked */
    }
    return bytes < size_bytes ? bytes : size_bytes;
}

static enum rs_report_socket_state report_socket_state(const struct session_socket *record,
                                                       const struct rs_report_socket *socket)
{
    if ((record->live & 1u << record->home_queue_idx) == 0) {
        return RS_REPORT_SOCKET_CLOSING;
    }
    if (socket->peer.family != RS_FAMILY_NONE) {
        return RS_REPORT_SOCKET_CONNECTED;
    }
    return socket->local.family != RS_FAMILY_NONE ? RS_REPORT_SOCKET_BOUND : RS_REPORT_SOCKET_OPEN;
}

static void report_socket(struct report *report, const struct control *control,
                          const struct session_socket *record)
{
    const struct dp_socket *home = record->parts[record->home_queue_idx];
    const struct rs_socket_state *state = home->state;
    if (atomic_load_explicit(&home->spare, memory_order_relaxed) != 0) {
        return;
    }
    struct rs_report_socket *out = report_next(report, RS_REPORT_SOCKETS);
    out->session_id = record->session->id;
    out->idx = record->idx;
    out->generation = record->generation;
    out->type = record->type;
    out->home_queue_idx = record->home_queue_idx;
    out->local = report_addr(&home->local_name);
    out->peer = report_addr(&home->peer_name);
    out->state = report_socket_state(record, out);
    out->recv_ring_bytes = record->recv_rings[record->home_queue_idx].size_bytes;
    out->send_ring_bytes = record->send_ring.size_bytes;
    for (uint32_t i = 0; i < control->queue_count && out->local.family != RS_FAMILY_NONE; i++) {
        if ((record->live & 1u << i) != 0) {
            out->queue_mask |= 1u << i;
            out->recv_bytes[i] = record->type == RS_SOCK_DGRAM ? report_recv_bytes(record, i) : 0;
        }
    }
    out->send_wait_bytes = atomic_load_explicit(&home->send_wait_bytes, memory_order_relaxed);
    out->recv_dropped = atomic_load_explicit(&state->recv_dropped, memory_order_relaxed);
    out->errors = atomic_load_explicit(&state->error_seq, memory_order_relaxed) -
                  atomic_load_explicit(&home->errors_at_open, memory_order_relaxed);
    out->last_error =
        out->errors != 0 ? atomic_load_explicit(&state->error_code, memory_order_relaxed) : RS_OK;
    if (record->type == RS_SOCK_STREAM) {
        report_stream(control, record, out);
    }
}

static uint32_t report_session_state(const struct dp_session *session)
{
    if (session->state != SESSION_LIVE &&
        atomic_load_explicit(&session->header->poisoned, memory_order_relaxed) == RS_POISONED) {
        return RS_REPORT_SESSION_POISONED;
    }
    return session->state;
}

static struct rs_report_session *report_session(struct report *report,
                                                const struct dp_session *session)
{
    struct rs_report_session *out = report_next(report, RS_REPORT_SESSIONS);
    const struct queue_config *config = session->config;
    out->id = session->id;
    out->pid = session->process.pid;
    out->user_id = session->user_id;
    REPORT_TEXT(out->program, session->program);
    out->state = report_session_state(session);
    out->never_sleeps = session_never_sleeps(session);
    out->limit_sockets = config->limit_sockets;
    out->channels = report_channel_count(session);
    out->limit_channels = config->limit_channels;
    out->extents = session->extent_count;
    out->limit_extents = config->limit_extents;
    out->memory_bytes = session->memory_bytes;
    out->limit_memory_bytes = config->limit_memory_bytes;
    for (uint32_t i = 0; i < session->queue_count; i++) {
        const struct session_part *part = &session->parts[i];
        out->budget_exhausted += report_load(&part->budget_exhausted);
        out->signals_deferred += report_load(&part->signals_deferred);
        out->hints_deferred += report_load(&part->hints_deferred);
        out->control_waits += report_load(&part->control_waits);
        out->memberships_refused += report_load(&part->memberships_refused);
    }
    return out;
}

static void report_sessions(struct report *report, const struct control *control)
{
    for (const struct dp_session *session = control->sessions; session != NULL;
         session = session->next) {
        if (!report_sees(report, session->user_id)) {
            report->header->hidden_sessions++;
            continue;
        }
        struct rs_report_session *out = report_session(report, session);
        const uint32_t before = report->filled[RS_REPORT_SOCKETS];
        uint32_t left = report_index_count(session);
        for (uint32_t i = 0; i < session->config->limit_sockets && left != 0; i++) {
            if (session->records[i] != NULL) {
                report_socket(report, control, session->records[i]);
                left--;
            }
        }
        /* Those that are told: queues make spares of sockets meanwhile, and sockets of spares. */
        out->sockets = report->filled[RS_REPORT_SOCKETS] - before;
    }
    report->header->sections[RS_REPORT_SOCKETS].count = report->filled[RS_REPORT_SOCKETS];
}

static void report_count_port(void *context, const struct ports_entry *entry)
{
    struct report *report = context;
    report->ports += report_sees(report, entry->uid);
}

static void report_port(void *context, const struct ports_entry *entry)
{
    struct report *report = context;
    if (!report_sees(report, entry->uid)) {
        return;
    }
    struct rs_report_port *out = report_next(report, RS_REPORT_PORTS);
    out->ip_be32 = entry->ip_be32;
    out->port_be16 = entry->port_be16;
    out->share = entry->share;
    out->type = report->port_type;
    out->user_id = entry->uid;
}

static void report_each_port(struct report *report, const struct control *control,
                             void (*visit)(void *report, const struct ports_entry *entry))
{
    report->port_type = RS_SOCK_DGRAM;
    ports_each(control->ports, visit, report);
    report->port_type = RS_SOCK_STREAM;
    ports_each(control->tcp_ports, visit, report);
}

/* ---- figures
 * -------------------------------------------------------------------------------------------- */

static void report_figure(struct report *report, const char *group, const char *name,
                          uint64_t value, const char *text)
{
    struct rs_report_figure *out = report_next(report, RS_REPORT_FIGURES);
    out->value = value;
    REPORT_TEXT(out->name, name);
    REPORT_TEXT(out->group, group);
    REPORT_TEXT(out->text, text);
}

static void report_in_use_sessions(struct report *report, const struct control *control)
{
    const struct dp_session *house = control->house;
    uint64_t sockets = 0, channels = 0, extents = 0, bytes = 0;
    for (const struct dp_session *session = control->sessions; session != NULL;
         session = session->next) {
        sockets += report_socket_count(session);
        channels += report_channel_count(session);
        extents += session->extent_count;
        bytes += session->memory_bytes;
    }
    report_figure(report, "in_use", "sessions", control->session_count, "programs attached");
    report_figure(report, "in_use", "peers", control->peer_count - 1,
                  "connections that have not attached, this one not counted");
    report_figure(report, "in_use", "captures", control->capture != NULL ? 1 : 0,
                  "ringsockctl capture at work, or on its way out");
    report_figure(report, "in_use", "sockets", sockets, "sockets of all programs");
    report_figure(report, "in_use", "channels", channels, "channels of all programs");
    report_figure(report, "in_use", "extents", extents, "extents of session memory");
    report_figure(report, "in_use", "session_bytes", bytes, "session memory, mapped or not");
    report_figure(report, "in_use", "shared_sockets", house != NULL ? report_index_count(house) : 0,
                  "sockets that several programs have, or had until one is left");
    report_figure(report, "in_use", "shared_ring_bytes",
                  house != NULL ? session_rings_bytes(house) : 0, "memory of their rings");
    report_figure(report, "in_use", "ports", ports_count(control->ports), "UDP addresses bound");
    report_figure(report, "in_use", "tcp_ports", ports_count(control->tcp_ports),
                  "TCP addresses bound");
    report_figure(report, "in_use", "guards", os_guard_count(),
                  "extents whose faults are caught; as many as client-written ones");
}

static void report_in_use_queues(struct report *report, const struct control *control)
{
    uint64_t sockets = 0, memberships = 0, macs = 0, buffers = 0;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        sockets += report_load(&control->queues[i]->load.sockets);
        memberships += report_load(&control->queues[i]->load.memberships);
        macs += control->mac_filters[i];
        buffers += report->stats[i].buffers_held;
    }
    report_figure(report, "in_use", "bound_sockets", sockets,
                  "sockets in the tables of the queues, once for each queue");
    report_figure(report, "in_use", "memberships", memberships,
                  "multicast memberships in the tables of the queues, once for each queue");
    report_figure(report, "in_use", "mac_filters", macs, "multicast MACs that the NICs were told");
    report_figure(report, "in_use", "nic_buffers", buffers,
                  "packet buffers out of the NICs' pools; receive descriptors hold most");
}

static void report_control_counts(struct report *report, const struct control_counts *counts)
{
    report_figure(report, "control", "attached", counts->attached, "sessions made");
    report_figure(report, "control", "ended", counts->ended, "sessions freed");
    report_figure(report, "control", "poisoned", counts->poisoned,
                  "sessions ended because they broke the protocol");
    report_figure(report, "control", "refused_access", counts->refused_access,
                  "programs refused: their user may not attach");
    report_figure(report, "control", "refused_limit", counts->refused_limit,
                  "programs refused: [limits] sessions, or too many silent connections");
    report_figure(report, "control", "refused_version", counts->refused_version,
                  "programs refused: another layout version");
    report_figure(report, "control", "refused_memory", counts->refused_memory,
                  "binds refused: [limits] extents or memory");
    report_figure(report, "control", "malformed", counts->malformed,
                  "control messages that were none");
    report_figure(report, "control", "answers_unsent", counts->answers_unsent,
                  "sessions ended because they did not read their answers");
    report_figure(report, "control", "captures", counts->captures, "captures begun");
    report_figure(report, "control", "reports", counts->reports, "reports made, this one included");
}

static void report_figures(struct report *report, const struct control *control)
{
    struct os_usage usage;
    os_process_usage(&usage);
    report_in_use_sessions(report, control);
    report_in_use_queues(report, control);
    report_control_counts(report, &control->counts);
    report_figure(report, "process", "resident_bytes", usage.resident_bytes,
                  "memory of the dataplane that is in RAM");
    report_figure(report, "process", "handles", usage.handles,
                  "descriptors or handles it has open, this report's two included");
    report->header->sections[RS_REPORT_FIGURES].count = report->filled[RS_REPORT_FIGURES];
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------ */

/* Fills in the table of sections. Returns the report's length. */
static uint64_t report_plan(struct report *report, const struct control *control,
                            struct rs_report_section *sections)
{
    uint64_t sessions = 0, sockets = 0;
    for (const struct dp_session *session = control->sessions; session != NULL;
         session = session->next) {
        if (report_sees(report, session->user_id)) {
            sessions++;
            sockets += report_index_count(session);
        }
    }
    uint64_t traced = 0;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        report->trace_counts[i] = report_trace_count(report, control, i);
        traced += report->trace_counts[i];
    }
    report_each_port(report, control, report_count_port);
    const struct {
        uint32_t stride_bytes;
        uint64_t count;
    } plan[RS_REPORT_KNOWN] = {
        [RS_REPORT_QUEUES] = {sizeof(struct rs_report_queue), control->queue_count},
        [RS_REPORT_SESSIONS] = {sizeof(struct rs_report_session), sessions},
        [RS_REPORT_SOCKETS] = {sizeof(struct rs_report_socket), sockets},
        [RS_REPORT_PORTS] = {sizeof(struct rs_report_port), report->ports},
        [RS_REPORT_FIGURES] = {sizeof(struct rs_report_figure), REPORT_FIGURES_MAX},
        [RS_REPORT_COUNTERS] = {sizeof(struct rs_report_counter), COUNTER_COUNT},
        [RS_REPORT_VALUES] = {sizeof(uint64_t), (uint64_t)COUNTER_COUNT * control->queue_count},
        [RS_REPORT_TRACE] = {sizeof(struct rs_report_trace), traced},
        [RS_REPORT_TRACE_EVENTS] = {sizeof(struct rs_report_trace_event), TRACE_EVENT_COUNT},
        [RS_REPORT_TCP_STATES] = {sizeof(struct rs_report_name), TCP_STATE_COUNT},
    };
    uint64_t off = sizeof(struct rs_report_header);
    for (uint32_t i = 0; i < RS_REPORT_KNOWN; i++) {
        sections[i].off = (uint32_t)off;
        sections[i].stride_bytes = plan[i].stride_bytes;
        sections[i].count = (uint32_t)plan[i].count;
        off += plan[i].stride_bytes * plan[i].count;
    }
    return off;
}

static void report_header(struct rs_report_header *header, const struct control *control,
                          const struct rs_report_section *sections, uint64_t bytes)
{
    *header = (struct rs_report_header){.magic = RS_REPORT_MAGIC,
                                        .version = RS_REPORT_VERSION,
                                        .header_bytes = sizeof(*header),
                                        .bytes = bytes,
                                        .epoch = control->epoch,
                                        .tsc = os_tsc(),
                                        .tsc_hz = os_tsc_hz(),
                                        .started_tsc = control->clock.tsc_base,
                                        .unix_ns = os_unix_ns(),
                                        .dataplane_pid = os_process_id(),
                                        .layout_version = RS_LAYOUT_VERSION,
                                        .limit_sessions = control->configs[0].limit_sessions,
                                        .section_count = RS_REPORT_KNOWN};
    REPORT_TEXT(header->instance, control->configs[0].instance);
    memcpy(header->sections, sections, RS_REPORT_KNOWN * sizeof(*sections));
}

/* The object is the caller's to destroy. RS_NO_BUFFERS: too many sockets for one report. */
static enum rs_status report_make(struct control *control, const struct os_conn *conn,
                                  struct os_shm *out)
{
    struct rs_report_section sections[RS_REPORT_KNOWN] = {{0}};
    struct report report = {.sees_all = os_access_sees_all(conn), .user_id = conn->peer_uid};
    uint64_t bytes = report_plan(&report, control, sections);
    if (bytes > RS_REPORT_BYTES_MAX - RS_PAGE_BYTES) {
        return RS_NO_BUFFERS;
    }
    uint64_t page_mask = RS_PAGE_BYTES - 1;
    enum rs_status status = os_shm_create(OS_SHM_DP, (bytes + page_mask) & ~page_mask, out);
    if (status != RS_OK) {
        return status;
    }
    control->counts.reports++;
    report.base = out->base;
    report.header = out->base;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        control->nics[i]->ops->stats(control->nics[i], &report.stats[i]);
    }
    report_header(report.header, control, sections, bytes);
    report.header->hidden_trace = !report.sees_all;
    report_queues(&report, control);
    report_sessions(&report, control);
    report_each_port(&report, control, report_port);
    report_figures(&report, control);
    report_trace(&report, control);
    return RS_OK;
}

enum rs_status control_report(struct control *control, struct os_conn *conn)
{
    struct os_shm shm;
    enum rs_status status = report_make(control, conn, &shm);
    if (status != RS_OK) {
        log_line(LOG_LEVEL_WARNING, "control", "no report for pid %u: %s (%s)", conn->peer_pid,
                 rs_status_name(status), os_last_error_text());
        return control_answer(conn, RS_CTL_REPORT, status, NULL, NULL, 0,
                              "the dataplane could not make the report");
    }
    const struct os_conn_handle handle = {.handle = shm.handle, .kind = OS_HANDLE_SHM_READ};
    const struct rs_ctl_answer fields = {.value = shm.size_bytes};
    status = control_answer(conn, RS_CTL_REPORT, RS_OK, &fields, &handle, 1, "");
    os_shm_destroy(&shm); /* the asker has a handle of its own now */
    return status;
}
