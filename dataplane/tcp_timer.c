/*
 * What TCP does when time passes. A connection has one entry on the wheel and a due time for each
 * of its timers: setting a later one, which nearly every ACK does, is a store, and the entry moves
 * only when it fires or when something is due sooner. Queue thread; from tcp_run. The handlers
 * change the connection and put it on the ready list; probes are sent from here.
 */
#include <stddef.h>

#include "dataplane/stack_internal.h"

#define TCP_KEEP_IDLE_MS     7200000u
#define TCP_KEEP_INTERVAL_MS 1000u
#define TCP_KEEP_COUNT       10u
/* RFC 5961 section 7: challenge ACKs of a second, all connections together, and how often one
 * connection may. */
#define TCP_CHALLENGES_PER_S  1000u
#define TCP_CHALLENGE_FLOW_NS (500 * STACK_NS_PER_MS)
/* Timeouts in a row of a full segment until smaller ones are tried: where the path has taken full
 * ones before, losses explain a few. */
#define TCP_BLACK_HOLE_TRIES        2u
#define TCP_BLACK_HOLE_TRIES_PROVEN 6u
/* RFC 1191 6.3 */
#define TCP_MTU_RAISE_NS (600 * STACK_NS_PER_S)

/* ---- the wheel ---- */

void tcp_wheel_set(struct stack *stack, struct wheel_timer *timer, enum tcp_timer_kind kind,
                   uint64_t due_ns)
{
    timer->kind = (uint8_t)kind;
    /* A handler that sets what is due already must not get it again in the same round. */
    due_ns = due_ns > stack->now_ns ? due_ns : stack->now_ns + 1;
    wheel_set(&stack->tcp.wheel, timer, due_ns);
    if (due_ns < stack->tcp.wheel_due_ns) {
        stack->tcp.wheel_due_ns = due_ns;
    }
}

void tcp_timer_set(struct stack *stack, struct tcp_conn *conn, enum tcp_timer timer,
                   uint64_t due_ns)
{
    conn->due_ns[timer] = due_ns;
    if (!wheel_is_armed(&conn->timer) || due_ns < conn->timer.due_ns) {
        tcp_wheel_set(stack, &conn->timer, TCP_WHEEL_CONN, due_ns);
    }
}

void tcp_timer_clear(struct tcp_conn *conn, enum tcp_timer timer)
{
    conn->due_ns[timer] = STACK_NEVER;
}

/* ---- retransmission ---- */

static uint8_t tcp_count_u8(uint8_t count)
{
    return count < UINT8_MAX ? (uint8_t)(count + 1) : count;
}

static uint64_t persist_ns(const struct stack *stack, const struct tcp_conn *conn)
{
    uint64_t rto_ns = conn->loss.rto_ns;
    uint64_t max_ns = stack->tcp.config.rto_max_ns;
    for (uint32_t i = 0; i < conn->persist_backoff && rto_ns < max_ns; i++) {
        rto_ns <<= 1;
    }
    return rto_ns < max_ns ? rto_ns : max_ns;
}

uint64_t tcp_user_due_ns(const struct tcp_conn *conn, uint64_t due_ns)
{
    uint64_t limit_ns = conn->settings.user_timeout_ms * STACK_NS_PER_MS;
    return limit_ns != 0 && conn->progress_ns + limit_ns < due_ns ? conn->progress_ns + limit_ns
                                                                  : due_ns;
}

static bool tcp_has_unsent(const struct tcp_conn *conn)
{
    uint32_t end = conn->iss + 1 + conn->send.tail_cached;
    return rs_seq_before(conn->snd_nxt, end) ||
           (tcp_has(conn, TCP_FEATURE_FIN_QUEUED) && !tcp_has(conn, TCP_FEATURE_FIN_SENT));
}

static void tcp_retransmit_set(struct stack *stack, struct tcp_conn *conn,
                               enum tcp_retransmit_mode mode, uint64_t due_ns)
{
    conn->loss.retransmit_mode = (uint8_t)mode;
    tcp_timer_set(stack, conn, TCP_TIMER_RETRANSMIT, due_ns);
}

static void tcp_persist_set(struct stack *stack, struct tcp_conn *conn)
{
    uint64_t due_ns = stack->now_ns + persist_ns(stack, conn);
    tcp_retransmit_set(stack, conn, TCP_RETRANSMIT_PERSIST, tcp_user_due_ns(conn, due_ns));
}

void tcp_rearm_retransmit(struct stack *stack, struct tcp_conn *conn)
{
    if (conn->snd_una == conn->snd_nxt) {
        /* Nothing is under way that an answer could come to. What waits then waits for the window:
         * unless the peer's update is lost, so it is asked. */
        bool persists = conn->loss.retransmit_mode == TCP_RETRANSMIT_PERSIST &&
                        conn->due_ns[TCP_TIMER_RETRANSMIT] != STACK_NEVER;
        if (!tcp_has_unsent(conn) || tcp_has(conn, TCP_FEATURE_BLOCKED)) {
            tcp_timer_clear(conn, TCP_TIMER_RETRANSMIT);
        } else if (!persists) {
            conn->persist_backoff = 0;
            conn->progress_ns = stack->now_ns;
            tcp_persist_set(stack, conn);
        }
        return;
    }
    uint64_t timeout_ns = tcp_user_due_ns(conn, conn->rto_base_ns + tcp_rto_ns(conn));
    uint64_t reorder_ns = conn->loss.reorder_due_ns;
    uint64_t probe_ns = tcp_loss_probe_due_ns(stack, conn);
    if (reorder_ns != 0 && reorder_ns < timeout_ns) {
        tcp_retransmit_set(stack, conn, TCP_RETRANSMIT_REORDER, reorder_ns);
    } else if (probe_ns < timeout_ns) {
        tcp_retransmit_set(stack, conn, TCP_RETRANSMIT_PROBE, probe_ns);
    } else {
        tcp_retransmit_set(stack, conn, TCP_RETRANSMIT_TIMEOUT, timeout_ns);
    }
}

static bool tcp_user_timeout(const struct stack *stack, const struct tcp_conn *conn)
{
    uint64_t limit_ns = conn->settings.user_timeout_ms * STACK_NS_PER_MS;
    return limit_ns != 0 && stack->now_ns - conn->progress_ns >= limit_ns;
}

static bool tcp_gave_up(const struct stack *stack, const struct tcp_conn *conn, uint32_t tries)
{
    const struct tcp_config *config = &stack->tcp.config;
    if (tcp_has(conn, TCP_FEATURE_ORPHAN) && tries >= config->orphan_tries) {
        return true;
    }
    return conn->settings.user_timeout_ms != 0 ? tcp_user_timeout(stack, conn)
                                               : tries >= config->data_tries;
}

uint32_t tcp_syn_tries(const struct stack *stack, const struct tcp_settings *settings)
{
    return settings->syn_sends != 0 ? settings->syn_sends - 1u : stack->tcp.config.syn_tries;
}

static void tcp_syn_timeout(struct stack *stack, struct tcp_conn *conn)
{
    if (conn->loss.backoff >= tcp_syn_tries(stack, &conn->settings) ||
        tcp_user_timeout(stack, conn)) {
        tcp_fail(stack, conn, RS_TIMED_OUT);
        return;
    }
    conn->loss.backoff++;
    conn->syn_retransmits++;
    tcp_send_syn(stack, conn);
    if (tcp_has(conn, TCP_FEATURE_BLOCKED)) {
        tcp_ready(stack, conn);
    }
}

/* Full-sized segments time out again and again while smaller ones might pass: a router drops what
 * does not fit without a word (RFC 2923). */
static void tcp_suspect_black_hole(struct stack *stack, struct tcp_conn *conn)
{
    uint32_t first = conn->loss.first;
    if (first == TCP_NO_INDEX) {
        return;
    }
    const struct tcp_sent *sent = &stack->tcp.sent[first];
    if (sent->end - sent->start < conn->mss || conn->mss <= TCP_MSS_DEFAULT || conn->snd_wnd == 0) {
        return;
    }
    uint32_t tries =
        tcp_has(conn, TCP_FEATURE_MSS_PROVEN) ? TCP_BLACK_HOLE_TRIES_PROVEN : TCP_BLACK_HOLE_TRIES;
    if (++conn->black_hole_tries >= tries) {
        conn->black_hole_tries = 0;
        conn->features &= ~(uint32_t)TCP_FEATURE_MSS_PROVEN;
        STACK_COUNT(stack, tcp_black_holes);
        tcp_lower_mtu(stack, conn, 0);
    }
}

/* The peer has closed its window over what is under way: that is its probe then, and as with others
 * answers count (RFC 9293 3.8.6 SHLD-17; the time is Linux's). */
static bool tcp_shut_but_alive(const struct stack *stack, const struct tcp_conn *conn)
{
    return conn->snd_wnd == 0 && conn->settings.user_timeout_ms == 0 &&
           !tcp_has(conn, TCP_FEATURE_ORPHAN) &&
           stack->now_ns - conn->last_received_ns <= 2 * stack->tcp.config.rto_max_ns;
}

static void tcp_data_timeout(struct stack *stack, struct tcp_conn *conn)
{
    if (!tcp_shut_but_alive(stack, conn) && tcp_gave_up(stack, conn, conn->loss.backoff)) {
        tcp_fail(stack, conn, RS_TIMED_OUT);
        return;
    }
    TCP_TRACE(stack, &conn->flow, tcp_timeout, conn->loss.backoff + 1u, tcp_rto_ns(conn) / 1000);
    tcp_suspect_black_hole(stack, conn);
    tcp_loss_timeout(stack, conn);
    conn->rto_base_ns = stack->now_ns;
    tcp_rearm_retransmit(stack, conn);
    tcp_ready(stack, conn);
}

/* RFC 9293 3.8.6.1. As long as the peer answers the window may stay closed for ever, but not when
 * the program is gone: then no answer counts (as Linux). */
static void tcp_persist(struct stack *stack, struct tcp_conn *conn)
{
    bool orphan = tcp_has(conn, TCP_FEATURE_ORPHAN);
    if (tcp_gave_up(stack, conn, orphan ? conn->persist_backoff : conn->persist_tries)) {
        tcp_fail(stack, conn, RS_TIMED_OUT);
        return;
    }
    TCP_TRACE(stack, &conn->flow, tcp_window_probe, conn->persist_tries + 1u,
              conn->iss + 1 + conn->send.tail_cached - conn->snd_nxt);
    STACK_COUNT(stack, tcp_window_probes);
    conn->persist_tries = tcp_count_u8(conn->persist_tries);
    conn->persist_backoff = tcp_count_u8(conn->persist_backoff);
    if (conn->snd_wnd > 0 && tcp_send_forced(stack, conn, conn->mss)) {
        tcp_rearm_retransmit(stack, conn);
        return;
    }
    tcp_send_probe(stack, conn);
    tcp_persist_set(stack, conn);
}

static void tcp_retransmit_timer(struct stack *stack, struct tcp_conn *conn)
{
    if (conn->flow.state == TCP_SYN_SENT || conn->flow.state == TCP_SYN_RECEIVED) {
        tcp_syn_timeout(stack, conn);
        return;
    }
    switch ((enum tcp_retransmit_mode)conn->loss.retransmit_mode) {
    case TCP_RETRANSMIT_TIMEOUT:
        tcp_data_timeout(stack, conn);
        break;
    case TCP_RETRANSMIT_REORDER:
        conn->loss.reorder_due_ns = 0;
        tcp_loss_reorder_timer(stack, conn);
        tcp_ready(stack, conn);
        tcp_rearm_retransmit(stack, conn);
        break;
    case TCP_RETRANSMIT_PROBE:
        tcp_loss_probe_timer(stack, conn);
        tcp_ready(stack, conn);
        tcp_rearm_retransmit(stack, conn);
        break;
    case TCP_RETRANSMIT_PERSIST:
        tcp_persist(stack, conn);
        break;
    }
}

/* ---- keep-alive (RFC 9293 3.8.4) and the end ---- */

static uint64_t tcp_keep_idle_ns(const struct tcp_conn *conn)
{
    uint32_t ms = conn->settings.keep_idle_ms;
    return (ms != 0 ? ms : TCP_KEEP_IDLE_MS) * STACK_NS_PER_MS;
}

static uint64_t tcp_keep_interval_ns(const struct tcp_conn *conn)
{
    uint32_t ms = conn->settings.keep_interval_ms;
    return (ms != 0 ? ms : TCP_KEEP_INTERVAL_MS) * STACK_NS_PER_MS;
}

/* Cheap enough for every segment: the timer itself finds out that something came since. */
void tcp_keepalive_touch(struct stack *stack, struct tcp_conn *conn)
{
    conn->last_received_ns = stack->now_ns;
    conn->keep_probes = 0;
    if (conn->settings.keepalive && conn->due_ns[TCP_TIMER_KEEPALIVE] == STACK_NEVER) {
        tcp_timer_set(stack, conn, TCP_TIMER_KEEPALIVE, stack->now_ns + tcp_keep_idle_ns(conn));
    }
}

void tcp_keepalive_reset(struct stack *stack, struct tcp_conn *conn)
{
    tcp_timer_set(stack, conn, TCP_TIMER_KEEPALIVE,
                  conn->last_received_ns + tcp_keep_idle_ns(conn));
}

static void tcp_keepalive_timer(struct stack *stack, struct tcp_conn *conn)
{
    uint64_t idle_due_ns = conn->last_received_ns + tcp_keep_idle_ns(conn);
    uint32_t count = conn->settings.keep_count != 0 ? conn->settings.keep_count : TCP_KEEP_COUNT;
    /* Data under way finds out by itself whether the peer lives. */
    if (conn->snd_una != conn->snd_nxt || tcp_has_unsent(conn)) {
        tcp_timer_set(stack, conn, TCP_TIMER_KEEPALIVE, stack->now_ns + tcp_keep_idle_ns(conn));
        return;
    }
    if (conn->keep_probes == 0 && stack->now_ns < idle_due_ns) {
        tcp_timer_set(stack, conn, TCP_TIMER_KEEPALIVE, idle_due_ns);
        return;
    }
    bool timed_out =
        conn->settings.user_timeout_ms != 0
            ? conn->keep_probes > 0 && stack->now_ns - conn->last_received_ns >=
                                           conn->settings.user_timeout_ms * STACK_NS_PER_MS
            : conn->keep_probes >= tcp_min_u32(count, UINT8_MAX);
    if (timed_out) {
        tcp_send_reset(stack, conn);
        tcp_fail(stack, conn, RS_NET_RESET);
        return;
    }
    conn->keep_probes = tcp_count_u8(conn->keep_probes);
    TCP_TRACE(stack, &conn->flow, tcp_keepalive, conn->keep_probes, 0);
    STACK_COUNT(stack, tcp_keepalives);
    tcp_send_probe(stack, conn);
    tcp_timer_set(stack, conn, TCP_TIMER_KEEPALIVE, stack->now_ns + tcp_keep_interval_ns(conn));
}

/* Linger is over, or an orphan's peer never closes its side. */
static void tcp_life_timer(struct stack *stack, struct tcp_conn *conn)
{
    if (conn->flow.state == TCP_FIN_WAIT_2) {
        /* As Linux: all is acknowledged, so no reset; what the peer still sends will be refused. */
        tcp_finish(stack, conn, false);
        return;
    }
    tcp_send_reset(stack, conn);
    tcp_fail(stack, conn, RS_TIMED_OUT);
}

/* ---- what is due ---- */

static void tcp_conn_timer(struct stack *stack, struct tcp_conn *conn)
{
    static void (*const handlers[TCP_TIMER_COUNT])(struct stack *, struct tcp_conn *) = {
        [TCP_TIMER_RETRANSMIT] = tcp_retransmit_timer,
        [TCP_TIMER_KEEPALIVE] = tcp_keepalive_timer,
        [TCP_TIMER_LIFE] = tcp_life_timer,
    };
    if (conn->due_ns[TCP_TIMER_ACK] <= stack->now_ns) {
        conn->due_ns[TCP_TIMER_ACK] = STACK_NEVER;
        conn->ack_now = 1;
        conn->quick_acks = 0;
        STACK_COUNT(stack, tcp_delayed_acks);
        tcp_ready(stack, conn);
    }
    for (unsigned i = 0; i < TCP_TIMER_COUNT; i++) {
        if (handlers[i] != NULL && conn->due_ns[i] <= stack->now_ns) {
            conn->due_ns[i] = STACK_NEVER;
            handlers[i](stack, conn); /* a failed connection has no timer left */
        }
    }
    uint64_t least_ns = STACK_NEVER;
    for (unsigned i = 0; i < TCP_TIMER_COUNT; i++) {
        least_ns = conn->due_ns[i] < least_ns ? conn->due_ns[i] : least_ns;
    }
    /* A handler may have set a later one of its own. */
    if (least_ns != STACK_NEVER &&
        (!wheel_is_armed(&conn->timer) || least_ns < conn->timer.due_ns)) {
        tcp_wheel_set(stack, &conn->timer, TCP_WHEEL_CONN, least_ns);
    }
}

#define TCP_TIMER_OWNER(type, timer_at) \
    ((struct type *)(void *)((char *)(timer_at)-offsetof(struct type, timer)))

void tcp_timers(struct stack *stack)
{
    struct wheel_timer *timer;
    while ((timer = wheel_take_due(&stack->tcp.wheel, stack->now_ns)) != NULL) {
        switch ((enum tcp_timer_kind)timer->kind) {
        case TCP_WHEEL_CONN:
            tcp_conn_timer(stack, TCP_TIMER_OWNER(tcp_conn, timer));
            break;
        case TCP_WHEEL_REQUEST:
            tcp_request_timer(stack, TCP_TIMER_OWNER(tcp_request, timer));
            break;
        case TCP_WHEEL_TIME_WAIT:
            tcp_time_wait_timer(stack, TCP_TIMER_OWNER(tcp_time_wait, timer));
            break;
        }
    }
    stack->tcp.wheel_due_ns = wheel_next_ns(&stack->tcp.wheel);
}

/* ---- RFC 5961 section 7, and path MTU ---- */

bool tcp_challenge_pass(struct stack *stack, uint64_t *challenge_ns)
{
    struct tcp_stack *tcp = &stack->tcp;
    if (stack->now_ns < *challenge_ns) {
        STACK_COUNT(stack, tcp_challenges_limited);
        return false;
    }
    if (stack->now_ns >= tcp->challenge_second_ns) {
        tcp->challenge_second_ns = stack->now_ns + STACK_NS_PER_S;
        /* Not the same number each second: it must not be possible to count what is left
         * (CVE-2016-5696). */
        tcp->challenge_left =
            TCP_CHALLENGES_PER_S / 2 + (uint32_t)stack_random_below(stack, TCP_CHALLENGES_PER_S);
    }
    if (tcp->challenge_left == 0) {
        STACK_COUNT(stack, tcp_challenges_limited);
        return false;
    }
    tcp->challenge_left--;
    *challenge_ns = stack->now_ns + TCP_CHALLENGE_FLOW_NS;
    return true;
}

/* RFC 1191 section 7: what routers that name no MTU may mean. */
static uint32_t tcp_mtu_plateau(uint32_t below)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1280, 1006, 576};
    for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++) {
        if (plateaus[i] < below) {
            return plateaus[i];
        }
    }
    return TCP_MTU_MIN;
}

void tcp_lower_mtu(struct stack *stack, struct tcp_conn *conn, uint32_t mtu)
{
    if (mtu == 0) {
        mtu = tcp_mtu_plateau(conn->path_mtu);
    }
    if (mtu < TCP_MTU_MIN) {
        mtu = TCP_MTU_MIN;
    }
    if (mtu >= conn->path_mtu) {
        return;
    }
    uint32_t mss_before = conn->mss;
    conn->path_mtu = (uint16_t)mtu;
    conn->mtu_raise_ns = stack->now_ns + TCP_MTU_RAISE_NS;
    tcp_update_mss(conn);
    TCP_TRACE(stack, &conn->flow, tcp_mss, mss_before, conn->mss);
}
