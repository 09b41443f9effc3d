/*
 * Listening: who listens where, the places of a backlog, and what becomes of a segment to a
 * listener that belongs to no connection (RFC 9293 3.10.7.2). A SYN becomes a request
 * (tcp_request.c) or, when too many are half open, is answered with a cookie (RFC 4987 3.6) from
 * which the last ACK makes the connection. Queue thread, called by tcp.h's users and tcp_input.c;
 * tcp_backlog_reserve and _release by any thread.
 *
 * A listener alone may fill the pool of half-open connections. Where there are several, one may
 * have three times of what is still free: a flood on one port then leaves a part of the pool, a
 * quarter at first, to the others, whose peers keep their window scaling and get their SYN-ACK
 * again when it was lost, which a cookie cannot do for them.
 */
#include <assert.h>
#include <stdatomic.h>

#include "dataplane/stack_internal.h"

/* ---- backlog ---- */

bool tcp_backlog_reserve(struct tcp_backlog *backlog)
{
    /* Relaxed: it only counts; what a place is for travels by other ways, with their own order. */
    uint32_t used = atomic_load_explicit(&backlog->used, memory_order_relaxed);
    do {
        if (used >= atomic_load_explicit(&backlog->limit, memory_order_relaxed)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&backlog->used, &used, used + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void tcp_backlog_release(struct tcp_backlog *backlog)
{
    uint32_t used = atomic_fetch_sub_explicit(&backlog->used, 1, memory_order_relaxed);
    assert(used > 0);
    (void)used;
}

static bool tcp_backlog_is_full(const struct tcp_backlog *backlog)
{
    return atomic_load_explicit(&backlog->used, memory_order_relaxed) >=
           atomic_load_explicit(&backlog->limit, memory_order_relaxed);
}

/* ---- the table of listeners ---- */

static struct tcp_listener **tcp_listener_chain(const struct stack *stack, uint16_t port_be16)
{
    uint32_t hash = (uint32_t)(port_be16 * 0x9e3779b1u);
    return &stack->tcp.listener_chains[hash >> stack->tcp.listener_shift];
}

struct tcp_listener *tcp_listener_find(const struct stack *stack, uint32_t local_be32,
                                       uint16_t local_port_be16)
{
    struct tcp_listener *any = NULL;
    if (stack->tcp.listener_count == 0) {
        return NULL;
    }
    for (struct tcp_listener *listener = *tcp_listener_chain(stack, local_port_be16);
         listener != NULL; listener = listener->chain_next) {
        if (listener->local_port_be16 != local_port_be16) {
            continue;
        }
        if (listener->local_be32 == local_be32) {
            return listener;
        }
        if (listener->local_be32 == 0) {
            any = listener;
        }
    }
    return any;
}

enum rs_status tcp_listen(struct stack *stack, struct tcp_listener *listener)
{
    struct tcp_stack *tcp = &stack->tcp;
    if (tcp->listener_count >= tcp->config.listeners_max) {
        return RS_NO_BUFFERS;
    }
    struct tcp_listener *found =
        tcp_listener_find(stack, listener->local_be32, listener->local_port_be16);
    if (found != NULL && found->local_be32 == listener->local_be32) {
        return RS_ADDR_IN_USE;
    }
    struct tcp_listener **chain = tcp_listener_chain(stack, listener->local_port_be16);
    listener->request_first = NULL;
    listener->requests = 0;
    listener->held = 0;
    listener->listening = true;
    listener->chain_next = *chain;
    *chain = listener;
    tcp->listener_count++;
    return RS_OK;
}

void tcp_listener_close(struct stack *stack, struct tcp_listener *listener)
{
    if (!listener->listening) {
        return;
    }
    counter_add(&stack->counters, COUNTER_tcp_requests_dropped, listener->requests);
    while (listener->request_first != NULL) {
        tcp_request_reset(stack, listener->request_first);
    }
    struct tcp_listener **link = tcp_listener_chain(stack, listener->local_port_be16);
    while (*link != listener) {
        link = &(*link)->chain_next;
    }
    *link = listener->chain_next;
    listener->listening = false;
    stack->tcp.listener_count--;
}

/* ---- segments ---- */

/* See the opening comment; false also when the pool is empty. */
static bool tcp_listener_has_room(const struct stack *stack, const struct tcp_listener *listener)
{
    const struct tcp_stack *tcp = &stack->tcp;
    uint32_t free_count = tcp->config.requests_max - tcp->request_count;
    return free_count > 0 && (tcp->listener_count == 1 || listener->requests / 3 < free_count);
}

bool tcp_listener_takes_syn(const struct stack *stack, const struct tcp_listener *listener)
{
    return !tcp_backlog_is_full(listener->backlog) && tcp_listener_has_room(stack, listener);
}

/* What both sides want. */
static void tcp_listen_agree(const struct stack *stack, const struct tcp_segment *segment,
                             struct tcp_request *request)
{
    const struct tcp_options *options = &segment->options;
    const uint8_t ecn_setup = TCP_FLAG_ECE | TCP_FLAG_CWR;               /* RFC 3168 6.1.1 */
    if ((options->present & TCP_OPTION_MSS) != 0 && options->mss != 0) { /* as Linux */
        request->mss_peer = options->mss > TCP_MSS_MIN ? options->mss : TCP_MSS_MIN;
    }
    request->timestamps = (options->present & TCP_OPTION_TIMESTAMPS) != 0 &&
                          !request->listener->settings.no_timestamps;
    request->ts_recent = request->timestamps ? options->tsval : 0;
    request->sack = (options->present & TCP_OPTION_SACK_OK) != 0;
    request->wscale = (options->present & TCP_OPTION_WSCALE) != 0;
    if (request->wscale) {
        request->send_wscale = options->wscale;
        request->recv_wscale = tcp_wscale_for(request->listener->recv_window_bytes);
    }
    request->ecn =
        stack->tcp.config.ecn != TCP_ECN_OFF && (segment->flags & ecn_setup) == ecn_setup;
}

/* Answers without keeping anything. What does not fit into the sequence number travels in the
 * timestamp; without one, the connection goes without. */
static void tcp_listen_send_cookie(struct stack *stack, struct tcp_request *request)
{
    struct tcp_stack *tcp = &stack->tcp;
    const struct tcp_secret_flow flow = tcp_secret_flow_of(&request->flow);
    uint32_t tsval = 0;
    if (request->timestamps) {
        uint8_t wscale = request->wscale ? request->send_wscale : TCP_COOKIE_WSCALE_NONE;
        tsval = tcp_cookie_ts(tcp_ts_clock(stack) + request->ts_offset, wscale, request->sack,
                              request->ecn);
    } else {
        request->wscale = false;
        request->sack = false;
        request->ecn = false;
    }
    request->iss =
        tcp_cookie_make(&tcp->secret, &flow, request->irs, request->mss_peer, stack->now_ns);
    tcp->cookies_until_ns = stack->now_ns + 2 * TCP_COOKIE_PERIOD_NS;
    STACK_COUNT(stack, tcp_cookies_sent);
    TCP_TRACE(stack, &request->flow, tcp_cookie, request->irs, 0);
    (void)tcp_request_send(stack, request, tsval); /* lost: the peer sends its SYN again */
}

bool tcp_listener_may_accept(struct stack *stack, struct tcp_listener *listener)
{
    return stack->upcalls.tcp_room == NULL ||
           stack->upcalls.tcp_room(stack->upcalls.context, listener);
}

static enum counter_id tcp_listen_syn(struct stack *stack, struct tcp_listener *listener,
                                      const struct tcp_segment *segment, bool reopened)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_request request;
    if (tcp_backlog_is_full(listener->backlog)) {
        (void)tcp_listener_may_accept(stack, listener); /* some may be free again */
    }
    if (tcp_backlog_is_full(listener->backlog)) {
        if (listener->reset_when_full) {
            tcp_refuse(stack, segment);
        }
        return COUNTER_tcp_listen_overflow;
    }
    tcp_request_init(stack, listener, segment, segment->seq, &request);
    tcp_listen_agree(stack, segment, &request);
    if (!tcp_listener_has_room(stack, listener)) {
        tcp_listen_send_cookie(stack, &request);
        return COUNTER_tcp_segments_in;
    }
    const struct tcp_secret_flow flow = tcp_secret_flow_of(&request.flow);
    request.iss = tcp_secret_isn(&tcp->secret, &flow, stack->now_ns);
    if (reopened && rs_seq_before(request.iss, tcp->iss_min)) {
        request.iss = tcp->iss_min;
    }
    tcp_request_keep(stack, &request);
    return COUNTER_tcp_segments_in;
}

/* May be the answer to a cookie. */
static enum counter_id tcp_listen_ack(struct stack *stack, struct tcp_listener *listener,
                                      const struct tcp_segment *segment)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_request request;
    if ((segment->flags & TCP_FLAG_SYN) != 0 || stack->now_ns >= tcp->cookies_until_ns) {
        tcp_refuse(stack, segment);
        return COUNTER_tcp_listen_refused;
    }
    tcp_request_init(stack, listener, segment, segment->seq - 1, &request);
    request.iss = segment->ack - 1;
    const struct tcp_secret_flow flow = tcp_secret_flow_of(&request.flow);
    if (!tcp_cookie_check(&tcp->secret, &flow, request.irs, request.iss, stack->now_ns,
                          &request.mss_peer)) {
        tcp_refuse(stack, segment);
        return COUNTER_tcp_cookie_bad;
    }
    if ((segment->options.present & TCP_OPTION_TIMESTAMPS) != 0 &&
        !listener->settings.no_timestamps) {
        request.timestamps = true;
        request.ts_recent = segment->options.tsval;
        tcp_cookie_ts_decode(segment->options.tsecr, &request.send_wscale, &request.sack,
                             &request.ecn);
        request.wscale = request.send_wscale <= TCP_WSCALE_MAX;
        request.send_wscale = request.wscale ? request.send_wscale : 0;
        request.recv_wscale = request.wscale ? tcp_wscale_for(listener->recv_window_bytes) : 0;
        request.ecn = request.ecn && tcp->config.ecn != TCP_ECN_OFF;
    }
    return tcp_request_complete(stack, &request, segment);
}

enum counter_id tcp_listen_input(struct stack *stack, struct tcp_listener *listener,
                                 const struct tcp_segment *segment)
{
    bool reopened = stack->tcp.iss_min_valid;
    stack->tcp.iss_min_valid = false;
    if ((segment->flags & TCP_FLAG_RST) != 0) {
        return COUNTER_tcp_listen_ignored;
    }
    if ((segment->flags & TCP_FLAG_ACK) != 0) {
        return tcp_listen_ack(stack, listener, segment);
    }
    /* A SYN with a FIN opens nothing: only scanners send it. */
    if ((segment->flags & (TCP_FLAG_SYN | TCP_FLAG_FIN)) != TCP_FLAG_SYN) {
        return COUNTER_tcp_listen_ignored;
    }
    return tcp_listen_syn(stack, listener, segment, reopened);
}
