/*
 * TIME_WAIT (RFC 9293 3.10.7.4): what is left of a connection that this side has closed, so that
 * the peer's FIN is acknowledged again when it comes again, and old segments disturb no successor.
 * Small records without rings, oldest first, in a pool; when it is empty the oldest one is given
 * up. Queue thread; called by tcp.c (tcp_finish, tcp_connect), tcp_port.c, tcp_input.c and the
 * timers.
 */
#include "dataplane/stack_internal.h"

/* How far a successor's first sequence number lies beyond the last one: a window that needs no
 * scaling, and the SYN and FIN. */
#define TCP_TIME_WAIT_ISS_GAP 65537u

/* ---- life ---- */

static void tcp_time_wait_append(struct tcp_stack *tcp, struct tcp_time_wait *wait)
{
    wait->next = NULL;
    wait->prev = tcp->time_wait_last;
    if (wait->prev != NULL) {
        wait->prev->next = wait;
    } else {
        tcp->time_wait_first = wait;
    }
    tcp->time_wait_last = wait;
}

static void tcp_time_wait_unlink(struct tcp_stack *tcp, struct tcp_time_wait *wait)
{
    if (wait->prev != NULL) {
        wait->prev->next = wait->next;
    } else {
        tcp->time_wait_first = wait->next;
    }
    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    } else {
        tcp->time_wait_last = wait->prev;
    }
}

static void tcp_time_wait_free(struct stack *stack, struct tcp_time_wait *wait)
{
    struct tcp_stack *tcp = &stack->tcp;
    tcp_flow_remove(stack, &wait->flow);
    wheel_cancel(&tcp->wheel, &wait->timer);
    tcp_time_wait_unlink(tcp, wait);
    wait->next = tcp->time_wait_free;
    tcp->time_wait_free = wait;
    tcp->time_wait_count--;
}

static void tcp_time_wait_arm(struct stack *stack, struct tcp_time_wait *wait)
{
    tcp_wheel_set(stack, &wait->timer, TCP_WHEEL_TIME_WAIT,
                  stack->now_ns + stack->tcp.config.time_wait_ns);
}

/* The window as the last segment announced it, as it stands in a header. */
static uint16_t tcp_time_wait_window(const struct tcp_conn *conn)
{
    uint32_t bytes = rs_seq_before(conn->rcv_nxt, conn->rcv_adv)
                         ? rs_seq_distance(conn->rcv_nxt, conn->rcv_adv)
                         : 0;
    return (uint16_t)tcp_min_u32(bytes >> conn->recv_wscale, 65535);
}

void tcp_time_wait_enter(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_stack *tcp = &stack->tcp;
    tcp_flow_remove(stack, &conn->flow);
    if (tcp->time_wait_free == NULL) {
        STACK_COUNT(stack, tcp_time_waits_recycled);
        if (tcp->time_wait_first == NULL) {
            return; /* none at all: time_waits_max is 0 */
        }
        tcp_time_wait_free(stack, tcp->time_wait_first);
    }
    struct tcp_time_wait *wait = tcp->time_wait_free;
    tcp->time_wait_free = wait->next;
    tcp->time_wait_count++;
    *wait = (struct tcp_time_wait){.flow = conn->flow,
                                   .rcv_nxt = conn->rcv_nxt,
                                   .snd_nxt = conn->snd_nxt,
                                   .ts_recent = conn->ts_recent,
                                   .ts_offset = conn->ts_offset,
                                   .ts_recent_ns = conn->ts_recent_ns,
                                   .challenge_ns = conn->challenge_ns,
                                   .window = tcp_time_wait_window(conn),
                                   .timestamps = tcp_has(conn, TCP_FEATURE_TIMESTAMPS)};
    wait->flow.kind = TCP_FLOW_TIME_WAIT;
    wait->flow.state = TCP_TIME_WAIT;
    tcp_time_wait_append(tcp, wait);
    tcp_flow_insert(stack, &wait->flow);
    tcp_time_wait_arm(stack, wait);
}

void tcp_time_wait_timer(struct stack *stack, struct tcp_time_wait *wait)
{
    tcp_time_wait_free(stack, wait);
}

/* Returns the least first sequence number of what comes after it. */
static uint32_t tcp_time_wait_end(struct stack *stack, struct tcp_time_wait *wait)
{
    uint32_t iss = wait->snd_nxt + TCP_TIME_WAIT_ISS_GAP;
    STACK_COUNT(stack, tcp_time_waits_reopened);
    tcp_time_wait_free(stack, wait);
    return iss;
}

bool tcp_time_wait_reusable(const struct stack *stack, const struct tcp_time_wait *wait)
{
    /* A second is what the coarsest timestamp clock of a peer needs for a new value (RFC 7323
     * section 5.4), so its old segments are recognised; ours grow with the flow's own offset. */
    return wait->timestamps && stack->now_ns - wait->ts_recent_ns > STACK_NS_PER_S;
}

bool tcp_time_wait_reuse(struct stack *stack, struct tcp_time_wait *wait, uint32_t *iss)
{
    if (!tcp_time_wait_reusable(stack, wait)) {
        return false;
    }
    *iss = tcp_time_wait_end(stack, wait);
    return true;
}

/* ---- segments ---- */

static void tcp_time_wait_ack(struct stack *stack, const struct tcp_time_wait *wait)
{
    const struct tcp_flow *flow = &wait->flow;
    struct tcp_control control = {.local_be32 = flow->local_be32,
                                  .peer_be32 = flow->peer_be32,
                                  .local_port_be16 = flow->local_port_be16,
                                  .peer_port_be16 = flow->peer_port_be16,
                                  .seq = wait->snd_nxt,
                                  .ack = wait->rcv_nxt,
                                  .window = wait->window,
                                  .flags = TCP_FLAG_ACK,
                                  .ttl = flow->ttl,
                                  .tos = flow->tos};
    if (wait->timestamps) {
        control.options.present = TCP_OPTION_TIMESTAMPS;
        control.options.tsval = tcp_ts_clock(stack) + wait->ts_offset;
        control.options.tsecr = wait->ts_recent;
    }
    (void)tcp_send_control(stack, &control);
}

/*
 * RFC 6191 section 2, but for one of its cases: a SYN with timestamps after a connection without
 * them must have a greater sequence number as well. Old segments carry none then, and the new
 * connection, which takes segments without (as Linux does), could not tell them from its own.
 */
static bool tcp_time_wait_syn_is_new(const struct tcp_time_wait *wait,
                                     const struct tcp_segment *segment)
{
    bool greater = rs_seq_before_eq(wait->rcv_nxt, segment->seq);
    if (!wait->timestamps || (segment->options.present & TCP_OPTION_TIMESTAMPS) == 0 ||
        segment->options.tsval == wait->ts_recent) {
        return greater;
    }
    return rs_seq_before(wait->ts_recent, segment->options.tsval);
}

/* Only where a listener will keep the SYN: a cookie could not begin at iss_min, and a connection
 * that nobody takes must not end what this one is for. */
static bool tcp_time_wait_reopens(const struct stack *stack, const struct tcp_time_wait *wait,
                                  const struct tcp_segment *segment)
{
    const uint8_t kinds = TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_FIN;
    if ((segment->flags & kinds) != TCP_FLAG_SYN || !tcp_time_wait_syn_is_new(wait, segment)) {
        return false;
    }
    const struct tcp_listener *listener =
        tcp_listener_find(stack, segment->local_be32, segment->local_port_be16);
    return listener != NULL && tcp_listener_takes_syn(stack, listener);
}

/* PAWS, RFC 7323 section 5. */
static bool tcp_time_wait_is_old(const struct tcp_time_wait *wait,
                                 const struct tcp_segment *segment)
{
    return wait->timestamps && (segment->options.present & TCP_OPTION_TIMESTAMPS) != 0 &&
           rs_seq_before(segment->options.tsval, wait->ts_recent);
}

/* Its clock is a little newer now. */
static void tcp_time_wait_seen(struct stack *stack, struct tcp_time_wait *wait,
                               const struct tcp_segment *segment)
{
    if (wait->timestamps && (segment->options.present & TCP_OPTION_TIMESTAMPS) != 0) {
        wait->ts_recent = segment->options.tsval;
        wait->ts_recent_ns = stack->now_ns;
    }
}

enum counter_id tcp_time_wait_input(struct stack *stack, struct tcp_time_wait *wait,
                                    const struct tcp_segment *segment, bool *reopen)
{
    *reopen = false;
    if ((segment->flags & TCP_FLAG_RST) != 0) {
        return COUNTER_tcp_time_wait_dropped; /* RFC 1337: it could end TIME_WAIT too early */
    }
    if (tcp_time_wait_reopens(stack, wait, segment)) {
        stack->tcp.iss_min = tcp_time_wait_end(stack, wait);
        stack->tcp.iss_min_valid = true;
        *reopen = true;
        return COUNTER_tcp_segments_in;
    }
    bool fin = (segment->flags & TCP_FLAG_FIN) != 0 && segment->end == wait->rcv_nxt;
    bool bare = segment->seq == wait->rcv_nxt && segment->end == segment->seq;
    if (!tcp_time_wait_is_old(wait, segment) && (fin || bare)) {
        tcp_time_wait_seen(stack, wait, segment);
        if (fin) {
            /* The peer waits for this ACK, so it is not held back by the limit of others. */
            tcp_time_wait_ack(stack, wait);
            tcp_time_wait_arm(stack, wait);
            tcp_time_wait_unlink(&stack->tcp, wait);
            tcp_time_wait_append(&stack->tcp, wait);
        }
        return COUNTER_tcp_segments_in;
    }
    if (tcp_challenge_pass(stack, &wait->challenge_ns)) {
        tcp_time_wait_ack(stack, wait);
    }
    return COUNTER_tcp_time_wait_dropped;
}
