/*
 * What a connection tells about itself (struct rs_tcp_info), be it TCP's or a local one; see
 * stream.h. Queue thread. Called for RS_OP_TCP_INFO and for reports; calls tcp_get_info.
 *
 * A local connection has no segments: nothing is lost, sent again, under way or measured, and what
 * bounds a sender is the room in the other end's receive ring.
 */
#include "dataplane/share.h"
#include "dataplane/stream.h"
#include "rings/seq.h"

#define INFO_NS_PER_US 1000u
#define INFO_NS_PER_MS 1000000u
/* Of a local connection: what Windows' loopback has, 65,535 less headers. */
#define INFO_LOCAL_MSS 65495u
/* Of a report, in an iteration: cold ones cost a microsecond or two each. */
#define INFO_REPORT_ENTRIES 4u

static uint32_t info_word(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* ---- TCP's ---- */

static void info_of_conn(const struct stack *stack, const struct tcp_conn *conn,
                         struct rs_tcp_info *out)
{
    struct tcp_info info;
    tcp_get_info(stack, conn, &info);
    *out = (struct rs_tcp_info){.state = (uint32_t)info.state,
                                .mss_bytes = info.mss_bytes,
                                .connected_ms = info.lifetime_ns / INFO_NS_PER_MS,
                                .sent_bytes = info.sent_bytes + info.retransmitted_bytes,
                                .received_bytes = info.received_bytes,
                                .timestamps = info.timestamps,
                                .rtt_us = info_word(info.rtt_ns / INFO_NS_PER_US),
                                .rtt_min_us = info_word(info.rtt_min_ns / INFO_NS_PER_US),
                                .in_flight_bytes = info.unacked_bytes,
                                .cwnd_bytes = info.cwnd_bytes,
                                .send_window_bytes = info.snd_wnd_bytes,
                                .recv_window_bytes = info.rcv_wnd_bytes,
                                .recv_buffer_bytes = info.recv_limit_bytes,
                                .reordered_bytes = (uint32_t)info.reordered_bytes,
                                .retransmitted_bytes = (uint32_t)info.retransmitted_bytes,
                                .fast_retransmits = info.fast_recoveries,
                                .dup_acks = info.dup_acks,
                                .timeout_episodes = info.timeout_episodes,
                                .syn_retransmits = info.syn_retransmits};
    for (unsigned i = 0; i < RS_TCP_LIMIT_COUNT; i++) {
        out->limited[i] =
            (struct rs_tcp_limited){.sent_bytes = info.limits.sent_bytes[i],
                                    .transitions = info.limits.transitions[i],
                                    .time_ms = info_word(info.limits.time[i] / INFO_NS_PER_MS)};
    }
}

/* ---- local ones ---- */

/* As if its ends were acknowledged at once. */
static enum rs_tcp_state info_local_state(const struct dp_socket *socket)
{
    const struct stream_local *local = &socket->stream->local;
    bool peer_ended = (socket->stream->level & RS_LEVEL_END) != 0;
    if (local->over) {
        return RS_TCP_CLOSED;
    }
    if (socket->stream->phase == STREAM_CONNECTING) {
        return RS_TCP_SYN_SENT;
    }
    if (!local->shut) {
        return peer_ended ? RS_TCP_CLOSE_WAIT : RS_TCP_ESTABLISHED;
    }
    if (!local->ended) {
        return peer_ended ? RS_TCP_LAST_ACK : RS_TCP_FIN_WAIT_1;
    }
    return peer_ended ? RS_TCP_CLOSED : RS_TCP_FIN_WAIT_2;
}

static uint64_t info_local_ms(const struct queue *queue, uint64_t ticks)
{
    return rs_clock_interval_ns(&queue->clock, ticks) / INFO_NS_PER_MS;
}

static void info_of_local(const struct queue *queue, const struct dp_socket *socket,
                          struct rs_tcp_info *out)
{
    const struct stream_local *local = &socket->stream->local;
    const struct stream_writer *recv = &local->recv;
    const struct dp_socket *peer = local->peer;
    /* relaxed: our own word */
    uint64_t since_tsc = atomic_load_explicit(&socket->state->connected_tsc, memory_order_relaxed);
    uint64_t until_tsc = local->over_tsc != 0 ? local->over_tsc : queue->now_tsc;
    uint32_t room = peer != NULL ? stream_writer_room(&peer->stream->local.recv) : 0;
    *out =
        (struct rs_tcp_info){.state = (uint32_t)info_local_state(socket),
                             .mss_bytes = INFO_LOCAL_MSS,
                             .sent_bytes = local->sent_bytes,
                             .received_bytes = local->received_bytes,
                             .cwnd_bytes = peer != NULL ? peer->stream->local.recv.limit_bytes : 0,
                             .send_window_bytes = room,
                             .recv_window_bytes = stream_writer_room(recv),
                             .recv_buffer_bytes = recv->limit_bytes};
    if (since_tsc == 0) {
        return;
    }
    const struct tcp_limits limits = tcp_limits_now(&local->limits, (enum rs_tcp_limit)local->limit,
                                                    until_tsc, local->sent_bytes);
    out->connected_ms = info_local_ms(queue, until_tsc - since_tsc);
    for (unsigned i = 0; i < RS_TCP_LIMIT_COUNT; i++) {
        out->limited[i] =
            (struct rs_tcp_limited){.sent_bytes = limits.sent_bytes[i],
                                    .transitions = limits.transitions[i],
                                    .time_ms = info_word(info_local_ms(queue, limits.time[i]))};
    }
}

enum rs_status stream_info(const struct queue *queue, const struct dp_socket *socket,
                           struct rs_tcp_info *out)
{
    if (socket->share != NULL) { /* of a descriptor's, its core's */
        socket = socket->share->core;
    }
    const struct dp_stream *stream = socket->stream;
    bool has = stream->phase == STREAM_CONNECTING || stream->phase == STREAM_CONNECTED;
    if (has && stream->local.on) {
        info_of_local(queue, socket, out);
        return RS_OK;
    }
    if (!has || stream->conn == NULL) {
        return RS_NOT_CONNECTED;
    }
    info_of_conn(queue->stack, stream->conn, out);
    return RS_OK;
}

/* ---- for reports ---- */

/* By the program's newest word, which may be anything; before it accepted the socket that word is
 * nobody's. */
static uint32_t info_unread(const struct queue *queue, const struct dp_socket *socket)
{
    /* relaxed: ours, and a number that is old at once */
    uint32_t tail = atomic_load_explicit(&socket->state->recv_tail, memory_order_relaxed);
    uint32_t head = 0;
    if (!socket->stream->waits) {
        head = atomic_load_explicit(&socket->client->recv_head[queue->idx], memory_order_relaxed);
    }
    uint32_t bytes = rs_seq_distance(head, tail);
    const struct stream_local *local = &socket->stream->local; /* its ring may be the sender's */
    uint32_t size_bytes = local->on ? local->recv.size_bytes : socket->recv_ring.size_bytes;
    return bytes <= size_bytes ? bytes : 0;
}

static uint32_t info_unsent(const struct dp_socket *socket, const struct rs_tcp_info *info)
{
    if (socket->stream->local.on) {
        return stream_reader_ready(&socket->stream->local.send);
    }
    uint32_t head =
        atomic_load_explicit(&socket->state->send_head, memory_order_relaxed); /* ours */
    uint32_t kept = rs_seq_distance(head, socket->stream->send_tail);
    return kept > info->in_flight_bytes ? kept - info->in_flight_bytes : 0; /* a FIN is in flight */
}

static void info_report(const struct queue *queue, struct stream_report_entry *entry)
{
    const struct dp_session *session =
        queue_session_find(queue, entry->session_slot, entry->session_id);
    const struct dp_socket *socket =
        session != NULL ? queue_part(queue, session)->sockets[entry->idx] : NULL;
    if (socket == NULL || socket->stream == NULL || !socket->home) {
        return; /* gone meanwhile, or a spare */
    }
    entry->told = true;
    entry->generation = socket->generation;
    entry->local = socket->stream->local.on;
    entry->connected = stream_info(queue, socket, &entry->info) == RS_OK;
    if (entry->connected) {
        entry->unread_bytes = info_unread(queue, socket);
        entry->unsent_bytes = info_unsent(socket, &entry->info);
    } else {
        entry->info.state =
            socket->stream->phase == STREAM_LISTENING ? RS_TCP_LISTEN : RS_TCP_CLOSED;
    }
}

uint32_t stream_report_step(struct queue *queue)
{
    struct stream_report *report = queue->report;
    uint32_t count = 0;
    for (; count < INFO_REPORT_ENTRIES && report->next < report->count; count++) {
        info_report(queue, &report->entries[report->next++]);
    }
    const struct message reported = {.kind = QUEUE_REPORTED};
    if (report->next == report->count && message_push(queue->to_control, &reported)) {
        queue->report = NULL;
        queue->control_told = true;
    }
    return count;
}
