/*
 * What a program may do with a connection: the calls of tcp.h but for listeners. Queue thread, from
 * the queue's request code. They change the connection and put it on the ready list; nothing is
 * sent from here but the reset of an abort.
 */
#include <string.h>

#include "dataplane/stack_internal.h"

static bool tcp_synchronised(const struct tcp_conn *conn)
{
    return conn->flow.state >= TCP_ESTABLISHED && conn->flow.state <= TCP_LAST_ACK;
}

static bool tcp_over(const struct tcp_conn *conn)
{
    return conn->flow.state == TCP_CLOSED || conn->flow.state == TCP_TIME_WAIT;
}

/* ---- connect ---- */

static enum rs_status tcp_connect_check(struct stack *stack, const struct tcp_connect_args *args,
                                        uint32_t *local_be32)
{
    uint32_t next_hop_be32;
    const struct tcp_rings *rings = args->rings;
    if (!rs_is_pow2(rings->send_bytes) || !rs_is_pow2(rings->recv_bytes) ||
        rings->send_bytes > RS_RING_MAX_BYTES || rings->recv_bytes > RS_RING_MAX_BYTES) {
        return RS_INVALID;
    }
    switch (route_classify(stack, args->peer_be32)) {
    case ROUTE_LOCAL:
        return RS_NOT_SUPPORTED;
    case ROUTE_MULTICAST:
    case ROUTE_BROADCAST:
    case ROUTE_INVALID:
        return RS_INVALID;
    case ROUTE_UNICAST:
        break;
    }
    if (args->peer_port_be16 == 0) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    if (!stack->wire || !route_next_hop(stack, args->peer_be32, &next_hop_be32)) {
        return RS_NET_UNREACHABLE;
    }
    if (stack->link_down) { /* Windows takes the routes of such a NIC away */
        STACK_COUNT(stack, tcp_connect_link_down);
        return RS_NET_UNREACHABLE;
    }
    *local_be32 = args->local_be32 != 0 ? args->local_be32 : route_source(stack, args->peer_be32);
    return route_is_own(stack, *local_be32) ? RS_OK : RS_ADDR_NOT_AVAILABLE;
}

/* The pair must be free, or wait in a TIME_WAIT that may end early; *iss then comes from that. */
static enum rs_status tcp_connect_claim(struct stack *stack, const struct tcp_connect_args *args,
                                        uint32_t local_be32, uint16_t *port_be16, uint32_t *iss)
{
    *port_be16 = args->local_port_be16;
    if (*port_be16 == 0) {
        *port_be16 = tcp_port_choose(stack, local_be32, args->peer_be32, args->peer_port_be16);
        if (*port_be16 == 0) {
            return RS_ADDR_IN_USE;
        }
    }
    const struct tcp_secret_flow pair = {.local_be32 = local_be32,
                                         .peer_be32 = args->peer_be32,
                                         .local_port_be16 = *port_be16,
                                         .peer_port_be16 = args->peer_port_be16};
    *iss = tcp_secret_isn(&stack->tcp.secret, &pair, stack->now_ns);
    struct tcp_flow *flow =
        tcp_flow_find(stack, local_be32, *port_be16, args->peer_be32, args->peer_port_be16);
    if (flow == NULL) {
        return RS_OK;
    }
    bool reused = flow->kind == TCP_FLOW_TIME_WAIT &&
                  tcp_time_wait_reuse(stack, (struct tcp_time_wait *)flow, iss);
    return reused ? RS_OK : RS_ADDR_IN_USE;
}

enum rs_status tcp_connect(struct stack *stack, const struct tcp_connect_args *args,
                           struct tcp_conn **out)
{
    static const struct tcp_settings defaults;
    const struct tcp_settings *settings = args->settings != NULL ? args->settings : &defaults;
    uint32_t local_be32;
    uint32_t iss;
    uint16_t port_be16;
    enum rs_status status = tcp_connect_check(stack, args, &local_be32);
    if (status != RS_OK) {
        return status;
    }
    struct tcp_conn *conn = tcp_conn_new(stack, settings, local_be32, args->peer_be32);
    if (conn == NULL) {
        return RS_NO_BUFFERS;
    }
    status = tcp_connect_claim(stack, args, local_be32, &port_be16, &iss);
    if (status != RS_OK) {
        tcp_conn_free(stack, conn);
        return status;
    }
    conn->flow.local_port_be16 = port_be16;
    conn->flow.peer_port_be16 = args->peer_port_be16;
    conn->owner = args->owner;
    tcp_conn_set_rings(conn, args->rings);
    tcp_conn_start(stack, conn, iss);
    conn->recv_wscale = tcp_wscale_for(conn->recv.size_bytes);
    conn->features |= TCP_FEATURE_SACK | TCP_FEATURE_WSCALE;
    conn->features |= conn->settings.no_timestamps ? 0u : TCP_FEATURE_TIMESTAMPS;
    conn->features |= stack->tcp.config.ecn == TCP_ECN_ON ? TCP_FEATURE_ECN : 0u;
    tcp_flow_insert(stack, &conn->flow);
    tcp_set_state(stack, conn, TCP_SYN_SENT);
    tcp_send_syn(stack, conn);
    if (tcp_has(conn, TCP_FEATURE_BLOCKED)) {
        tcp_ready(stack, conn);
    }
    *out = conn;
    return RS_OK;
}

/* ---- sending ---- */

static enum rs_status tcp_send_check(const struct tcp_conn *conn)
{
    if (tcp_has(conn, TCP_FEATURE_FIN_QUEUED)) {
        return RS_SHUTDOWN;
    }
    return tcp_over(conn) ? RS_NOT_CONNECTED : RS_OK;
}

enum rs_status tcp_send_tail(struct stack *stack, struct tcp_conn *conn, uint32_t tail)
{
    enum rs_status status = tcp_send_check(conn);
    if (status != RS_OK) {
        return status;
    }
    if (!stream_reader_take_tail(&conn->send, tail)) {
        return RS_POISONED;
    }
    tcp_ready(stack, conn);
    return RS_OK;
}

enum rs_status tcp_send_urgent(struct stack *stack, struct tcp_conn *conn, uint32_t tail)
{
    enum rs_status status = tcp_send_tail(stack, conn, tail);
    if (status == RS_OK) {
        conn->snd_up = conn->iss + 1 + tail;
        conn->features |= TCP_FEATURE_URGENT_OUT;
    }
    return status;
}

enum rs_status tcp_shutdown_send(struct stack *stack, struct tcp_conn *conn)
{
    if (tcp_over(conn) || conn->flow.state == TCP_SYN_SENT) {
        return RS_NOT_CONNECTED;
    }
    if (tcp_has(conn, TCP_FEATURE_FIN_QUEUED)) {
        return RS_OK;
    }
    conn->features |= TCP_FEATURE_FIN_QUEUED;
    conn->fin_seq = conn->iss + 1 + conn->send.tail_cached;
    if (conn->flow.state == TCP_ESTABLISHED) {
        tcp_set_state(stack, conn, TCP_FIN_WAIT_1);
    } else if (conn->flow.state == TCP_CLOSE_WAIT) {
        tcp_set_state(stack, conn, TCP_LAST_ACK);
    } /* in SYN_RECEIVED: when the handshake is complete */
    tcp_ready(stack, conn);
    return RS_OK;
}

/* ---- receiving ---- */

enum rs_status tcp_recv_consumed(struct stack *stack, struct tcp_conn *conn)
{
    if (!tcp_receive_refresh(conn)) {
        return RS_POISONED;
    }
    if (tcp_synchronised(conn) && tcp_receive_update_due(conn)) {
        conn->ack_now = 1;
        tcp_ready(stack, conn);
    }
    return RS_OK;
}

/* Bytes that nobody will read must not look delivered (RFC 2525 2.17). A recv_head that cannot be
 * counts as that. */
static bool tcp_leaves_unread(struct tcp_conn *conn)
{
    return !tcp_receive_refresh(conn) || conn->recv.head_cached != conn->recv.tail ||
           conn->range_count > 0;
}

void tcp_shutdown_recv(struct stack *stack, struct tcp_conn *conn)
{
    conn->features |= TCP_FEATURE_RECV_SHUT;
    if (!tcp_over(conn) && tcp_leaves_unread(conn)) {
        tcp_send_reset(stack, conn);
        tcp_fail(stack, conn, RS_CONN_ABORTED);
    }
}

void tcp_set_recv_head(struct tcp_conn *conn, const rs_atomic_u32 *recv_head)
{
    assert(conn->recv.head_cached == 0);
    conn->recv_head_word = recv_head;
}

uint32_t tcp_recv_ahead_bytes(const struct stack *stack, const struct tcp_conn *conn)
{
    uint32_t end = conn->rcv_nxt;
    for (uint32_t idx = conn->ranges; idx != TCP_NO_INDEX; idx = stack->tcp.ranges[idx].next) {
        end = stack->tcp.ranges[idx].end;
    }
    return rs_seq_distance(conn->rcv_nxt, end);
}

uint32_t tcp_recv_head(const struct tcp_conn *conn)
{
    return conn->recv.head_cached;
}

void tcp_move_rings(struct tcp_conn *conn, const struct tcp_rings *rings)
{
    conn->send.base = rings->send_base;
    conn->recv.base = rings->recv_base;
    conn->send_head_word = rings->send_head;
    conn->recv_tail_word = rings->recv_tail;
    conn->recv_head_word = rings->recv_head;
    conn->urgent_pos_word = rings->urgent_pos;
    conn->urgent_seq_word = rings->urgent_seq;
}

void tcp_set_recv_limit(struct stack *stack, struct tcp_conn *conn, uint32_t limit_bytes)
{
    conn->recv_limit_bytes = tcp_min_u32(limit_bytes, conn->recv.size_bytes);
    if (tcp_synchronised(conn) && tcp_receive_update_due(conn)) {
        conn->ack_now = 1;
        tcp_ready(stack, conn);
    }
}

void tcp_set_settings(struct stack *stack, struct tcp_conn *conn,
                      const struct tcp_settings *settings)
{
    bool kept_alive = conn->settings.keepalive;
    uint8_t congestion = conn->settings.congestion;
    conn->settings = *settings;
    conn->settings.congestion = congestion;
    conn->flow.ttl = settings->ttl != 0 ? settings->ttl : TCP_TTL_DEFAULT;
    conn->flow.tos = settings->tos & 0xfcu;
    if (!tcp_synchronised(conn)) {
        return;
    }
    tcp_update_mss(conn);
    if (settings->keepalive && kept_alive) {
        tcp_keepalive_reset(stack, conn);
    } else if (settings->keepalive) {
        tcp_keepalive_touch(stack, conn);
    } else if (kept_alive) {
        tcp_timer_clear(conn, TCP_TIMER_KEEPALIVE);
    }
    tcp_ready(stack, conn); /* without Nagle more may leave */
}

/* ---- the end ---- */

void tcp_abort(struct stack *stack, struct tcp_conn *conn)
{
    conn->features |= TCP_FEATURE_ORPHAN;
    if (tcp_over(conn)) {
        tcp_let_go(stack, conn);
        return;
    }
    if (conn->flow.state != TCP_SYN_SENT) { /* RFC 9293 3.10.5 */
        tcp_send_reset(stack, conn);
    }
    tcp_fail(stack, conn, RS_CONN_ABORTED);
}

void tcp_close(struct stack *stack, struct tcp_conn *conn, uint64_t linger_ns)
{
    if (tcp_over(conn) || conn->flow.state == TCP_SYN_SENT) {
        tcp_abort(stack, conn);
        return;
    }
    if (tcp_leaves_unread(conn)) {
        tcp_abort(stack, conn);
        return;
    }
    enum rs_status status = tcp_shutdown_send(stack, conn);
    assert(status == RS_OK);
    (void)status;
    conn->features |= TCP_FEATURE_ORPHAN;
    if (conn->flow.state == TCP_FIN_WAIT_2) {
        tcp_timer_set(stack, conn, TCP_TIMER_LIFE, stack->now_ns + stack->tcp.config.fin_wait_ns);
    } else if (linger_ns != 0) {
        tcp_timer_set(stack, conn, TCP_TIMER_LIFE, stack->now_ns + linger_ns);
    }
}

/* ---- questions ---- */

void *tcp_owner(const struct tcp_conn *conn)
{
    return conn->owner;
}

enum rs_status tcp_error(const struct tcp_conn *conn)
{
    return (enum rs_status)conn->error;
}

uint32_t tcp_connection_count(const struct stack *stack)
{
    return stack->tcp.conn_count;
}

static void tcp_info_flow(const struct tcp_conn *conn, struct tcp_info *out)
{
    out->state = (enum tcp_state)conn->flow.state;
    out->local_be32 = conn->flow.local_be32;
    out->peer_be32 = conn->flow.peer_be32;
    out->local_port_be16 = conn->flow.local_port_be16;
    out->peer_port_be16 = conn->flow.peer_port_be16;
    out->timestamps = tcp_has(conn, TCP_FEATURE_TIMESTAMPS);
    out->sack = tcp_has(conn, TCP_FEATURE_SACK);
    out->window_scaling = tcp_has(conn, TCP_FEATURE_WSCALE);
    out->ecn = tcp_has(conn, TCP_FEATURE_ECN);
    out->send_wscale = conn->send_wscale;
    out->recv_wscale = conn->recv_wscale;
    out->congestion = tcp_congestion_name((enum tcp_congestion_kind)conn->congestion.kind);
    out->connected_ns = conn->connected_ns;
}

static void tcp_info_counts(const struct tcp_conn *conn, uint64_t now_ns, struct tcp_info *out)
{
    out->sent_bytes = conn->sent_bytes;
    out->received_bytes = conn->received_bytes;
    out->retransmitted_bytes = conn->retransmitted_bytes;
    out->reordered_bytes = conn->reordered_bytes;
    out->retransmits = conn->retransmits;
    out->timeouts = conn->timeouts;
    out->fast_recoveries = conn->fast_recoveries;
    out->undos = conn->undos;
    out->duplicate_segments = conn->duplicate_segments;
    out->dup_acks = conn->dup_acks;
    out->timeout_episodes = conn->timeout_episodes;
    out->syn_retransmits = conn->syn_retransmits;
    if (conn->connected_ns != 0) {
        uint64_t until_ns = conn->over_ns != 0 ? conn->over_ns : now_ns;
        out->lifetime_ns = until_ns - conn->connected_ns;
        out->limits = tcp_limits_now(&conn->limits, (enum rs_tcp_limit)conn->flow.limit, until_ns,
                                     conn->sent_bytes + conn->retransmitted_bytes);
    }
}

void tcp_get_info(const struct stack *stack, const struct tcp_conn *conn, struct tcp_info *out)
{
    memset(out, 0, sizeof(*out));
    tcp_info_flow(conn, out);
    out->mss_bytes = conn->mss;
    out->cwnd_bytes = conn->congestion.cwnd_bytes;
    out->ssthresh_bytes = conn->congestion.ssthresh_bytes;
    out->in_flight_bytes = tcp_in_flight(conn);
    out->snd_wnd_bytes = conn->snd_wnd;
    out->recv_limit_bytes = conn->recv_limit_bytes;
    if (rs_seq_before(conn->rcv_nxt, conn->rcv_adv)) { /* a FIN may lie behind the window's end */
        out->rcv_wnd_bytes = rs_seq_distance(conn->rcv_nxt, conn->rcv_adv);
    }
    uint32_t written_seq = conn->iss + 1 + conn->send.tail_cached;
    if (tcp_synchronised(conn)) {
        out->unsent_bytes =
            rs_seq_before(conn->snd_nxt, written_seq) ? written_seq - conn->snd_nxt : 0;
        out->unacked_bytes = conn->snd_nxt - conn->snd_una;
    }
    out->unread_bytes = rs_seq_distance(conn->recv.head_cached, conn->recv.tail);
    for (uint32_t i = conn->ranges; i != TCP_NO_INDEX; i = stack->tcp.ranges[i].next) {
        out->ahead_bytes += stack->tcp.ranges[i].end - stack->tcp.ranges[i].start;
    }
    out->rtt_ns = conn->loss.srtt_ns;
    out->rtt_var_ns = conn->loss.rttvar_ns;
    out->rtt_min_ns = conn->loss.rtt_min_ns;
    out->rto_ns = tcp_rto_ns(conn);
    out->urgent_pos = conn->rcv_up_pos;
    tcp_info_counts(conn, stack->now_ns, out);
}
