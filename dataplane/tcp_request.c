/*
 * Half-open connections: what a listener keeps between a peer's SYN and the handshake's last ACK
 * (RFC 9293 3.10.7.4 for SYN-RECEIVED after a passive open). Small records without rings; the
 * connection is made when the handshake is complete and the backlog has a place for it. Queue
 * thread; called by tcp_listen.c, tcp_input.c and the timers of tcp_timer.c.
 */
#include <assert.h>

#include "dataplane/stack_internal.h"

/* rto_initial_ns shifted so far still fits, and rto_max_ns is far below. */
#define TCP_REQUEST_BACKOFF_MAX 16u

void tcp_request_init(struct stack *stack, struct tcp_listener *listener,
                      const struct tcp_segment *segment, uint32_t irs, struct tcp_request *out)
{
    const struct tcp_settings *settings = &listener->settings;
    *out =
        (struct tcp_request){.flow = {.local_be32 = segment->local_be32,
                                      .peer_be32 = segment->peer_be32,
                                      .local_port_be16 = segment->local_port_be16,
                                      .peer_port_be16 = segment->peer_port_be16,
                                      .kind = TCP_FLOW_REQUEST,
                                      .state = TCP_SYN_RECEIVED,
                                      .ttl = settings->ttl != 0 ? settings->ttl : TCP_TTL_DEFAULT,
                                      .tos = settings->tos & 0xfcu},
                             .listener = listener,
                             .irs = irs,
                             .mss_peer = TCP_MSS_DEFAULT,
                             .window = (uint16_t)tcp_min_u32(listener->recv_window_bytes, 65535)};
    const struct tcp_secret_flow flow = tcp_secret_flow_of(&out->flow);
    out->ts_offset = tcp_secret_ts_offset(&stack->tcp.secret, &flow);
}

/* ---- segments out ---- */

static struct tcp_control tcp_request_control(const struct tcp_request *request, uint8_t flags)
{
    const struct tcp_flow *flow = &request->flow;
    return (struct tcp_control){.local_be32 = flow->local_be32,
                                .peer_be32 = flow->peer_be32,
                                .local_port_be16 = flow->local_port_be16,
                                .peer_port_be16 = flow->peer_port_be16,
                                .ack = request->irs + 1,
                                .flags = flags,
                                .ttl = flow->ttl,
                                .tos = flow->tos};
}

static void tcp_request_stamp(const struct tcp_request *request, uint32_t tsval,
                              struct tcp_options *options)
{
    if (request->timestamps) {
        options->present |= TCP_OPTION_TIMESTAMPS;
        options->tsval = tsval;
        options->tsecr = request->ts_recent;
    }
}

bool tcp_request_send(struct stack *stack, const struct tcp_request *request, uint32_t tsval)
{
    struct tcp_control control = tcp_request_control(
        request, (uint8_t)(TCP_FLAG_SYN | TCP_FLAG_ACK | (request->ecn ? TCP_FLAG_ECE : 0)));
    struct tcp_options *options = &control.options;
    control.seq = request->iss;
    control.window = request->window;
    options->present = TCP_OPTION_MSS;
    options->mss = tcp_mss_offered(stack->nic->mtu_bytes, &request->listener->settings);
    if (request->wscale) {
        options->present |= TCP_OPTION_WSCALE;
        options->wscale = request->recv_wscale;
    }
    if (request->sack) {
        options->present |= TCP_OPTION_SACK_OK;
    }
    tcp_request_stamp(request, tsval, options);
    return tcp_send_control(stack, &control);
}

static bool tcp_request_send_now(struct stack *stack, const struct tcp_request *request)
{
    return tcp_request_send(stack, request, tcp_ts_clock(stack) + request->ts_offset);
}

/* An ACK to a segment that is not acceptable (RFC 9293 3.10.7.4, 5961). Its window is scaled, and
 * not larger than what the SYN-ACK has announced. */
static void tcp_request_challenge(struct stack *stack, struct tcp_request *request)
{
    if (!tcp_challenge_pass(stack, &request->challenge_ns)) {
        return;
    }
    struct tcp_control control = tcp_request_control(request, TCP_FLAG_ACK);
    control.seq = request->iss + 1;
    control.window = (uint16_t)(request->window >> request->recv_wscale);
    tcp_request_stamp(request, tcp_ts_clock(stack) + request->ts_offset, &control.options);
    (void)tcp_send_control(stack, &control);
}

/* ---- life ---- */

static void tcp_request_arm(struct stack *stack, struct tcp_request *request)
{
    const struct tcp_config *config = &stack->tcp.config;
    uint32_t backoff = tcp_min_u32(request->tries, TCP_REQUEST_BACKOFF_MAX);
    uint64_t rto_ns = tcp_syn_rto_ns(stack, &request->listener->settings) << backoff;
    rto_ns = rto_ns < config->rto_max_ns ? rto_ns : config->rto_max_ns;
    tcp_wheel_set(stack, &request->timer, TCP_WHEEL_REQUEST, stack->now_ns + rto_ns);
}

void tcp_request_keep(struct stack *stack, const struct tcp_request *made)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_listener *listener = made->listener;
    struct tcp_request *request = tcp->request_free;
    assert(request != NULL);
    tcp->request_free = request->next;
    tcp->request_count++;
    *request = *made;
    request->next = listener->request_first;
    if (request->next != NULL) {
        request->next->prev = request;
    }
    listener->request_first = request;
    listener->requests++;
    tcp_flow_insert(stack, &request->flow);
    request->sent_ns = tcp_request_send_now(stack, request) ? stack->now_ns : 0;
    tcp_request_arm(stack, request);
}

/* Without a word to the peer. One that is not kept (a cookie's): nothing. */
static void request_drop(struct stack *stack, struct tcp_request *request)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_listener *listener = request->listener;
    if (!request->flow.in_table) {
        return;
    }
    tcp_flow_remove(stack, &request->flow);
    wheel_cancel(&tcp->wheel, &request->timer);
    if (request->next != NULL) {
        request->next->prev = request->prev;
    }
    if (request->prev != NULL) {
        request->prev->next = request->next;
    } else {
        listener->request_first = request->next;
    }
    listener->requests--;
    listener->held -= request->held;
    request->next = tcp->request_free;
    tcp->request_free = request;
    tcp->request_count--;
}

/* Not limited as other resets to strangers are: each has had SYN-ACKs, which are not either, and
 * one that has said its last ACK would wait for ever. */
void tcp_request_reset(struct stack *stack, struct tcp_request *request)
{
    struct tcp_control control = tcp_request_control(request, TCP_FLAG_RST | TCP_FLAG_ACK);
    control.seq = request->iss + 1;
    tcp_request_stamp(request, tcp_ts_clock(stack) + request->ts_offset, &control.options);
    if (tcp_send_control(stack, &control)) {
        STACK_COUNT(stack, tcp_resets_out);
    }
    request_drop(stack, request);
}

/* Ends one that becomes no connection. */
static void tcp_request_end(struct stack *stack, struct tcp_request *request)
{
    STACK_COUNT(stack, tcp_requests_dropped);
    request_drop(stack, request);
}

void tcp_request_timer(struct stack *stack, struct tcp_request *request)
{
    if (request->tries >= tcp_syn_tries(stack, &request->listener->settings)) {
        STACK_COUNT(stack, tcp_requests_timed_out);
        request_drop(stack, request);
        return;
    }
    request->tries++;
    request->sent_ns = 0; /* Karn: nobody could say which of them an ACK answers */
    STACK_COUNT(stack, tcp_syn_acks_again);
    TCP_TRACE(stack, &request->flow, tcp_retransmit, request->iss, 0);
    (void)tcp_request_send_now(stack, request);
    tcp_request_arm(stack, request);
}

void tcp_request_icmp(struct stack *stack, struct tcp_request *request, enum rs_status error)
{
    /* RFC 1122 4.2.3.9: the other errors may pass, and the timer goes on. */
    if (error == RS_PORT_UNREACHABLE) {
        tcp_request_end(stack, request);
    }
}

/* ---- the connection ---- */

/* What was agreed on, by options as an active open would see them and by what they cannot say. */
static void tcp_request_hand_over(struct stack *stack, const struct tcp_request *request,
                                  const struct tcp_segment *segment, struct tcp_conn *conn)
{
    struct tcp_options options = {.present = TCP_OPTION_MSS, .mss = request->mss_peer};
    conn->flow.local_port_be16 = request->flow.local_port_be16;
    conn->flow.peer_port_be16 = request->flow.peer_port_be16;
    conn->flow.state = TCP_SYN_RECEIVED;
    tcp_conn_start(stack, conn, request->iss);
    conn->snd_una = conn->snd_nxt; /* the SYN-ACK is acknowledged */
    conn->snd_sml = conn->snd_nxt;
    conn->irs = request->irs;
    conn->rcv_nxt = request->irs + 1;
    conn->rcv_adv = conn->rcv_nxt + request->window;
    conn->last_ack_sent = conn->rcv_nxt;
    conn->last_received_ns = stack->now_ns;
    conn->snd_wl1 = segment->seq;
    conn->snd_wl2 = segment->ack;
    conn->snd_wnd = (uint32_t)segment->window << request->send_wscale;
    conn->snd_wnd_max = conn->snd_wnd;
    conn->progress_ns = stack->now_ns;
    conn->rto_base_ns = stack->now_ns;
    conn->recv_wscale = request->recv_wscale;
    conn->features = request->ecn ? TCP_FEATURE_ECN : 0u;
    if (request->timestamps) {
        conn->features |= TCP_FEATURE_TIMESTAMPS;
        options.present |= TCP_OPTION_TIMESTAMPS;
        options.tsval = request->ts_recent;
    }
    if (request->wscale) {
        conn->features |= TCP_FEATURE_WSCALE;
        options.present |= TCP_OPTION_WSCALE;
        options.wscale = request->send_wscale;
    }
    if (request->sack) {
        conn->features |= TCP_FEATURE_SACK;
        options.present |= TCP_OPTION_SACK_OK;
    }
    conn->syn_retransmits = request->tries;
    conn->loss.backoff = request->tries; /* which tcp_take_options wants to know */
    tcp_take_options(stack, conn, &options);
    conn->loss.backoff = 0;
}

void tcp_listener_resume(struct stack *stack, struct tcp_listener *listener)
{
    struct tcp_request *oldest = NULL;
    for (struct tcp_request *each = listener->request_first; listener->held != 0 && each != NULL;
         each = each->next) {
        oldest = each->held ? each : oldest;
    }
    if (oldest != NULL) {
        oldest->held = false;
        oldest->sent_ns = 0; /* Karn */
        listener->held--;
        STACK_COUNT(stack, tcp_syn_acks_again);
        (void)tcp_request_send_now(stack, oldest);
    }
}

/* NULL: no connection, or its owner had no memory. The backlog's place is reserved. */
static struct tcp_conn *tcp_request_accept(struct stack *stack, const struct tcp_request *request,
                                           const struct tcp_segment *segment)
{
    struct tcp_listener *listener = request->listener;
    struct tcp_rings rings;
    void *owner = NULL;
    struct tcp_conn *conn =
        tcp_conn_new(stack, &listener->settings, request->flow.local_be32, request->flow.peer_be32);
    if (conn == NULL) {
        return NULL;
    }
    tcp_request_hand_over(stack, request, segment, conn);
    if (!stack->upcalls.tcp_accept(stack->upcalls.context, listener, conn, &rings, &owner)) {
        tcp_conn_free(stack, conn);
        return NULL;
    }
    tcp_conn_set_rings(conn, &rings);
    conn->owner = owner;
    return conn;
}

enum counter_id tcp_request_complete(struct stack *stack, struct tcp_request *request,
                                     const struct tcp_segment *segment)
{
    struct tcp_listener *listener = request->listener;
    bool cookie = !request->flow.in_table;
    if (!tcp_listener_may_accept(stack, listener)) {
        if (!cookie && !request->held) {
            request->held = true;
            listener->held++;
        }
        return COUNTER_tcp_listen_overflow;
    }
    if (!tcp_backlog_reserve(listener->backlog)) {
        /* The peer sends what it has again, or our SYN-ACK makes it say so; then there may be a
         * place. A cookie's peer as well, but only what it has to send. */
        if (listener->reset_when_full) {
            tcp_request_reset(stack, request);
        }
        return COUNTER_tcp_listen_overflow;
    }
    struct tcp_conn *conn = tcp_request_accept(stack, request, segment);
    if (conn == NULL) {
        tcp_backlog_release(listener->backlog);
        tcp_request_reset(stack, request);
        return COUNTER_tcp_accept_failed;
    }
    uint64_t sent_ns = request->sent_ns;
    request_drop(stack, request);
    tcp_flow_insert(stack, &conn->flow);
    tcp_set_state(stack, conn, TCP_ESTABLISHED);
    tcp_rtt_handshake(stack, conn, sent_ns, &segment->options);
    STACK_COUNT(stack, tcp_accepted);
    if (cookie) {
        STACK_COUNT(stack, tcp_cookies_accepted);
    }
    tcp_ready(stack, conn);
    return tcp_conn_input(stack, conn, segment);
}

/* ---- segments in ---- */

/* The peer has not seen our SYN-ACK, or its SYN was duplicated: the same again, by the state that
 * we have. The timer goes its way, so that nobody keeps a request alive by asking. */
static enum counter_id tcp_request_again(struct stack *stack, struct tcp_request *request,
                                         const struct tcp_segment *segment)
{
    const uint8_t ecn_setup = TCP_FLAG_ECE | TCP_FLAG_CWR;
    if ((segment->flags & ecn_setup) != ecn_setup) {
        request->ecn = false; /* RFC 3168 6.1.1: after a SYN without, nobody may set ECT */
    }
    if (request->timestamps && (segment->options.present & TCP_OPTION_TIMESTAMPS) != 0 &&
        rs_seq_before(request->ts_recent, segment->options.tsval)) {
        request->ts_recent = segment->options.tsval;
    }
    request->sent_ns = 0;
    STACK_COUNT(stack, tcp_syn_acks_again);
    (void)tcp_request_send_now(stack, request);
    return COUNTER_tcp_segments_in;
}

/* In the window, and not older than what we have seen (PAWS, RFC 7323 section 5, not of resets). */
static bool tcp_request_acceptable(const struct tcp_request *request,
                                   const struct tcp_segment *segment)
{
    if (!tcp_seq_acceptable(request->irs + 1, request->window, segment->seq, segment->end)) {
        return false;
    }
    return (segment->flags & TCP_FLAG_RST) != 0 || !request->timestamps ||
           (segment->options.present & TCP_OPTION_TIMESTAMPS) == 0 ||
           rs_seq_before_eq(request->ts_recent, segment->options.tsval);
}

enum counter_id tcp_request_input(struct stack *stack, struct tcp_request *request,
                                  const struct tcp_segment *segment)
{
    const uint8_t flags = segment->flags;
    const uint8_t kinds = TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST;
    if ((flags & kinds) == TCP_FLAG_SYN && segment->seq == request->irs) {
        return tcp_request_again(stack, request, segment);
    }
    if (!tcp_request_acceptable(request, segment)) {
        if ((flags & TCP_FLAG_RST) == 0) {
            tcp_request_challenge(stack, request);
        }
        return COUNTER_tcp_request_bad;
    }
    if ((flags & TCP_FLAG_RST) != 0) {
        if (segment->seq != request->irs + 1) { /* RFC 5961 3.2 */
            tcp_request_challenge(stack, request);
            return COUNTER_tcp_request_bad;
        }
        TCP_TRACE(stack, &request->flow, tcp_reset_in, TCP_SYN_RECEIVED, 0);
        tcp_request_end(stack, request);
        return COUNTER_tcp_segments_in;
    }
    if ((flags & TCP_FLAG_SYN) != 0) { /* fourth step: back to LISTEN */
        tcp_request_end(stack, request);
        return COUNTER_tcp_segments_in;
    }
    if ((flags & TCP_FLAG_ACK) == 0) {
        return COUNTER_tcp_request_bad;
    }
    if (segment->ack != request->iss + 1) {
        tcp_refuse(stack, segment);
        return COUNTER_tcp_request_bad;
    }
    return tcp_request_complete(stack, request, segment);
}
