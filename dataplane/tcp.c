/*
 * TCP connections as things that live: their pools, the flow table, the ready list that ends an
 * iteration, and the calls of tcp.h. Queue thread; tcp_stack_init and tcp_stack_destroy by the
 * control thread while the queue does not run. Calls tcp_output.c to send and stack_upcalls to
 * tell.
 */
#include "dataplane/tcp.h"

#include <string.h>

#include "dataplane/stack_internal.h"
#include "rings/os/os.h"

/* The timeout of a connection whose handshake gave no sample. */
#define TCP_RTO_UNSAMPLED_NS (3 * STACK_NS_PER_S)

#define TCP_STATE_SAME(name) \
    static_assert((int)TCP_##name == (int)RS_TCP_##name, "enum rs_tcp_state: " #name)
TCP_STATE_SAME(CLOSED);
TCP_STATE_SAME(SYN_SENT);
TCP_STATE_SAME(SYN_RECEIVED);
TCP_STATE_SAME(ESTABLISHED);
TCP_STATE_SAME(FIN_WAIT_1);
TCP_STATE_SAME(FIN_WAIT_2);
TCP_STATE_SAME(CLOSE_WAIT);
TCP_STATE_SAME(CLOSING);
TCP_STATE_SAME(LAST_ACK);
TCP_STATE_SAME(TIME_WAIT);
TCP_STATE_SAME(LISTEN);

const char *tcp_state_name(enum tcp_state state)
{
    static const char *const names[TCP_STATE_COUNT] = {[TCP_CLOSED] = "CLOSED",
                                                       [TCP_SYN_SENT] = "SYN_SENT",
                                                       [TCP_SYN_RECEIVED] = "SYN_RECEIVED",
                                                       [TCP_ESTABLISHED] = "ESTABLISHED",
                                                       [TCP_FIN_WAIT_1] = "FIN_WAIT_1",
                                                       [TCP_FIN_WAIT_2] = "FIN_WAIT_2",
                                                       [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
                                                       [TCP_CLOSING] = "CLOSING",
                                                       [TCP_LAST_ACK] = "LAST_ACK",
                                                       [TCP_TIME_WAIT] = "TIME_WAIT",
                                                       [TCP_LISTEN] = "LISTEN"};
    return (unsigned)state < TCP_STATE_COUNT ? names[state] : "?";
}

struct tcp_config tcp_config_default(uint32_t connections)
{
    return (struct tcp_config){
        .connections_max = connections,
        .listeners_max = connections < 1024 ? connections : 1024,
        .requests_max = connections < 1024 ? connections : 1024,
        .time_waits_max = connections,
        .records_max = 16384,
        .ranges_max = 4096,
        .congestion = TCP_CONGESTION_CUBIC,
        .ecn = TCP_ECN_PASSIVE,
        .initial_window = TCP_DEFAULT_INITIAL_WINDOW,
        .syn_tries = TCP_DEFAULT_SYN_TRIES,
        .data_tries = TCP_DEFAULT_DATA_TRIES,
        .orphan_tries = TCP_DEFAULT_ORPHAN_TRIES,
        .rto_min_ns = TCP_DEFAULT_RTO_MIN_MS * STACK_NS_PER_MS,
        .rto_max_ns = 120 * STACK_NS_PER_S,
        .rto_initial_ns = STACK_NS_PER_S,
        .delayed_ack_ns = TCP_DEFAULT_DELAYED_ACK_MS * STACK_NS_PER_MS,
        .time_wait_ns = TCP_DEFAULT_TIME_WAIT_S * STACK_NS_PER_S,
        .fin_wait_ns = TCP_DEFAULT_FIN_WAIT_S * STACK_NS_PER_S,
    };
}

/* ---- pools ---- */

/* Connections that go on in a turn after they found no transmit buffer. */
#define TCP_UNBLOCK_MAX 64u

/* Connections that tcp_run fetches at once before their turns: as many as stay in the first cache.
 */
#define TCP_RUN_BURST 16u

/* The tables of a stack's TCP. */
enum { TCP_TABLES = 8 };
struct tcp_table {
    void **at;
    size_t bytes;
};

static void tcp_tables(struct tcp_stack *tcp, struct tcp_table tables[TCP_TABLES])
{
    const struct tcp_config *config = &tcp->config;
    size_t connections = config->connections_max;
    const struct tcp_table all[TCP_TABLES] = {
        {(void **)&tcp->chains, sizeof(*tcp->chains) << (64 - tcp->shift)},
        {(void **)&tcp->listener_chains, sizeof(*tcp->listener_chains)
                                             << (32 - tcp->listener_shift)},
        {(void **)&tcp->conns, connections * sizeof(*tcp->conns)},
        {(void **)&tcp->ready, (tcp->ready_mask + (size_t)1) * sizeof(*tcp->ready)},
        {(void **)&tcp->sent, (connections + config->records_max) * sizeof(*tcp->sent)},
        {(void **)&tcp->ranges, config->ranges_max * sizeof(*tcp->ranges)},
        {(void **)&tcp->requests, config->requests_max * sizeof(*tcp->requests)},
        {(void **)&tcp->time_waits, config->time_waits_max * sizeof(*tcp->time_waits)}};
    memcpy(tables, all, sizeof(all));
}

static void tcp_link_free_lists(struct tcp_stack *tcp)
{
    tcp->sent_free = TCP_NO_INDEX;
    tcp->sent_free_count = tcp->config.connections_max + tcp->config.records_max;
    for (uint32_t i = tcp->sent_free_count; i > 0; i--) {
        tcp->sent[i - 1].next = tcp->sent_free;
        tcp->sent_free = i - 1;
    }
    tcp->range_free = TCP_NO_INDEX;
    tcp->range_free_count = tcp->config.ranges_max;
    for (uint32_t i = tcp->config.ranges_max; i > 0; i--) {
        tcp->ranges[i - 1].next = tcp->range_free;
        tcp->range_free = i - 1;
    }
    for (uint32_t i = tcp->config.requests_max; i > 0; i--) {
        tcp->requests[i - 1].next = tcp->request_free;
        tcp->request_free = &tcp->requests[i - 1];
    }
    for (uint32_t i = tcp->config.time_waits_max; i > 0; i--) {
        tcp->time_waits[i - 1].next = tcp->time_wait_free;
        tcp->time_wait_free = &tcp->time_waits[i - 1];
    }
}

static void tcp_config_complete(struct tcp_config *config)
{
    struct tcp_config defaults = tcp_config_default(config->connections_max);
#define TCP_COMPLETE(field) config->field = config->field != 0 ? config->field : defaults.field
    TCP_COMPLETE(rto_min_ns);
    TCP_COMPLETE(rto_max_ns);
    TCP_COMPLETE(rto_initial_ns);
    TCP_COMPLETE(delayed_ack_ns);
    TCP_COMPLETE(time_wait_ns);
    TCP_COMPLETE(fin_wait_ns);
    TCP_COMPLETE(initial_window);
    TCP_COMPLETE(congestion);
#undef TCP_COMPLETE
}

enum rs_status tcp_stack_init(struct stack *stack, const struct tcp_config *config)
{
    struct tcp_stack *tcp = &stack->tcp;
    tcp->config = *config;
    tcp_config_complete(&tcp->config);
    memcpy(tcp->secret.key, config->secret, sizeof(tcp->secret.key));
    wheel_init(&tcp->wheel, stack->now_ns);
    tcp->wheel_due_ns = STACK_NEVER;
    tcp->waiting_end = &tcp->waiting;
    tcp->key = stack_random(stack) | 1;
    uint32_t flows = config->connections_max + config->requests_max + config->time_waits_max;
    tcp->shift = 64 - stack_table_bits(flows);
    tcp->listener_shift = 32 - stack_table_bits(config->listeners_max);
    tcp->ready_mask = (1u << stack_table_bits(config->connections_max)) - 1;
    struct tcp_table tables[TCP_TABLES];
    tcp_tables(tcp, tables);
    for (unsigned i = 0; i < TCP_TABLES; i++) {
        *tables[i].at = os_table_alloc(tables[i].bytes);
        if (*tables[i].at == NULL) {
            tcp_stack_destroy(stack);
            return RS_NO_MEMORY;
        }
    }
    tcp_link_free_lists(tcp);
    return RS_OK;
}

void tcp_stack_destroy(struct stack *stack)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_table tables[TCP_TABLES];
    tcp_tables(tcp, tables);
    for (unsigned i = 0; i < TCP_TABLES; i++) {
        os_table_free(*tables[i].at, tables[i].bytes);
    }
    memset(tcp, 0, sizeof(*tcp));
}

struct tcp_conn *tcp_conn_new(struct stack *stack, const struct tcp_settings *settings,
                              uint32_t local_be32, uint32_t peer_be32)
{
    struct tcp_stack *tcp = &stack->tcp;
    struct tcp_conn *conn = tcp->conn_free;
    if (conn != NULL) {
        tcp->conn_free = conn->free_next;
    } else if (tcp->conns_used < tcp->config.connections_max) {
        conn = &tcp->conns[tcp->conns_used++];
    } else {
        STACK_COUNT(stack, tcp_connections_full);
        return NULL;
    }
    tcp->conn_count++;
    memset(conn, 0, sizeof(*conn));
    conn->flow.kind = TCP_FLOW_CONN;
    conn->flow.local_be32 = local_be32;
    conn->flow.peer_be32 = peer_be32;
    conn->settings = *settings;
    conn->flow.ttl = settings->ttl != 0 ? settings->ttl : TCP_TTL_DEFAULT;
    conn->flow.tos = settings->tos & 0xfcu;
    conn->ranges = TCP_NO_INDEX;
    conn->mss_peer = TCP_MSS_DEFAULT;
    conn->path_mtu = (uint16_t)tcp_min_u32(stack->nic->mtu_bytes, 65535);
    for (unsigned i = 0; i < TCP_TIMER_COUNT; i++) {
        conn->due_ns[i] = STACK_NEVER;
    }
    if (!route_next_hop(stack, peer_be32, &conn->next_hop_be32)) {
        conn->next_hop_be32 =
            0; /* a listener's peer without a route back: its segments are counted */
    }
    tcp_update_mss(conn);
    return conn;
}

static void neighbour_unwait(struct stack *stack, struct tcp_conn *conn)
{
    if (conn->waiting_link == NULL) {
        return;
    }
    *conn->waiting_link = conn->waiting_next;
    *(conn->waiting_next != NULL ? &conn->waiting_next->waiting_link : &stack->tcp.waiting_end) =
        conn->waiting_link;
    conn->waiting_link = NULL;
}

void tcp_conn_free(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_stack *tcp = &stack->tcp;
    wheel_cancel(&tcp->wheel, &conn->timer);
    neighbour_unwait(stack, conn);
    conn->free_next = tcp->conn_free;
    tcp->conn_free = conn;
    tcp->conn_count--;
}

void tcp_conn_start(struct stack *stack, struct tcp_conn *conn, uint32_t iss)
{
    const struct tcp_secret_flow pair = {.local_be32 = conn->flow.local_be32,
                                         .peer_be32 = conn->flow.peer_be32,
                                         .local_port_be16 = conn->flow.local_port_be16,
                                         .peer_port_be16 = conn->flow.peer_port_be16};
    conn->ts_offset = tcp_secret_ts_offset(&stack->tcp.secret, &pair);
    conn->iss = iss;
    conn->snd_una = iss;
    conn->snd_nxt = iss + 1;
    conn->snd_sml = iss;
    tcp_loss_init(stack, conn);
}

void tcp_conn_set_rings(struct tcp_conn *conn, const struct tcp_rings *rings)
{
    stream_reader_init(&conn->send, rings->send_base, rings->send_bytes, 0);
    stream_writer_init(&conn->recv, rings->recv_base, rings->recv_bytes, rings->recv_bytes, 0);
    conn->recv_limit_bytes = tcp_min_u32(rings->recv_limit_bytes, rings->recv_bytes);
    conn->send_head_word = rings->send_head;
    conn->recv_tail_word = rings->recv_tail;
    conn->recv_head_word = rings->recv_head;
    conn->urgent_pos_word = rings->urgent_pos;
    conn->urgent_seq_word = rings->urgent_seq;
}

/* ---- flow table ---- */

struct tcp_flow **tcp_flow_chain(const struct stack *stack, uint32_t local_be32,
                                 uint16_t local_port_be16, uint32_t peer_be32,
                                 uint16_t peer_port_be16)
{
    const struct tcp_stack *tcp = &stack->tcp;
    uint64_t hash = (((uint64_t)peer_be32 << 32) | local_be32) * tcp->key;
    hash ^= hash >> 29;
    hash += ((uint32_t)peer_port_be16 << 16) | local_port_be16;
    hash *= 0x9e3779b97f4a7c15ull;
    return &tcp->chains[hash >> tcp->shift];
}

struct tcp_flow *tcp_flow_find(const struct stack *stack, uint32_t local_be32,
                               uint16_t local_port_be16, uint32_t peer_be32,
                               uint16_t peer_port_be16)
{
    struct tcp_flow *flow =
        *tcp_flow_chain(stack, local_be32, local_port_be16, peer_be32, peer_port_be16);
    while (flow != NULL &&
           !(flow->peer_be32 == peer_be32 && flow->local_be32 == local_be32 &&
             flow->peer_port_be16 == peer_port_be16 && flow->local_port_be16 == local_port_be16)) {
        flow = flow->chain_next;
    }
    return flow;
}

void tcp_flow_insert(struct stack *stack, struct tcp_flow *flow)
{
    struct tcp_flow **chain = tcp_flow_chain(stack, flow->local_be32, flow->local_port_be16,
                                             flow->peer_be32, flow->peer_port_be16);
    assert(!flow->in_table);
    flow->chain_next = *chain;
    *chain = flow;
    flow->in_table = true;
}

void tcp_flow_remove(struct stack *stack, struct tcp_flow *flow)
{
    if (!flow->in_table) {
        return;
    }
    struct tcp_flow **link = tcp_flow_chain(stack, flow->local_be32, flow->local_port_be16,
                                            flow->peer_be32, flow->peer_port_be16);
    while (*link != flow) {
        link = &(*link)->chain_next;
    }
    *link = flow->chain_next;
    flow->in_table = false;
}

/* ---- life ---- */

void tcp_set_state(struct stack *stack, struct tcp_conn *conn, enum tcp_state state)
{
    TCP_TRACE(stack, &conn->flow, tcp_state, conn->flow.state, state);
    conn->flow.state = (uint8_t)state;
    if (state == TCP_ESTABLISHED && conn->connected_ns == 0) {
        conn->connected_ns = stack->now_ns;
        conn->flow.limit = RS_TCP_LIMIT_SENDER;
        tcp_limits_begin(&conn->limits, stack->now_ns);
        conn->events |= TCP_EVENT_CONNECTED;
        if (conn->loss.srtt_ns == 0) { /* RFC 6298 5.7, and as Linux without a SYN lost */
            uint64_t rto_ns = conn->loss.rto_ns;
            conn->loss.rto_ns = rto_ns > TCP_RTO_UNSAMPLED_NS ? rto_ns : TCP_RTO_UNSAMPLED_NS;
        }
        tcp_keepalive_touch(stack, conn);
    }
    if (state == TCP_FIN_WAIT_2 && tcp_has(conn, TCP_FEATURE_ORPHAN)) {
        tcp_timer_set(stack, conn, TCP_TIMER_LIFE, stack->now_ns + stack->tcp.config.fin_wait_ns);
    }
}

/* No segment, no timer, no record any more. */
static void tcp_stop(struct stack *stack, struct tcp_conn *conn)
{
    conn->over_ns = stack->now_ns;
    tcp_flow_remove(stack, &conn->flow);
    tcp_loss_forget(stack, conn);
    tcp_receive_forget(stack, conn);
    for (unsigned i = 0; i < TCP_TIMER_COUNT; i++) {
        conn->due_ns[i] = STACK_NEVER;
    }
    wheel_cancel(&stack->tcp.wheel, &conn->timer);
    conn->ack_now = 0;
}

void tcp_let_go(struct stack *stack, struct tcp_conn *conn)
{
    conn->features |= TCP_FEATURE_GONE;
    tcp_ready(stack, conn);
}

void tcp_fail(struct stack *stack, struct tcp_conn *conn, enum rs_status error)
{
    TCP_TRACE(stack, &conn->flow, tcp_error, conn->flow.state, error);
    tcp_stop(stack, conn);
    tcp_set_state(stack, conn, TCP_CLOSED);
    conn->error = (uint32_t)error;
    conn->events |= TCP_EVENT_ERROR;
    if (tcp_has(conn, TCP_FEATURE_ORPHAN)) {
        tcp_let_go(stack, conn);
    }
    tcp_ready(stack, conn);
}

void tcp_finish(struct stack *stack, struct tcp_conn *conn, bool time_wait)
{
    if (time_wait) {
        tcp_time_wait_enter(stack, conn);
    }
    tcp_stop(stack, conn);
    tcp_set_state(stack, conn, time_wait ? TCP_TIME_WAIT : TCP_CLOSED);
    conn->events |= TCP_EVENT_FINISHED;
    if (tcp_has(conn, TCP_FEATURE_ORPHAN)) {
        tcp_let_go(stack, conn);
    }
    tcp_ready(stack, conn);
}

/* ---- the end of an iteration ---- */

void tcp_ready(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_stack *tcp = &stack->tcp;
    if (tcp_has(conn, TCP_FEATURE_READY)) {
        return;
    }
    conn->features |= TCP_FEATURE_READY;
    tcp->ready[tcp->ready_tail++ & tcp->ready_mask] = conn;
}

static void tcp_block(struct tcp_stack *tcp, struct tcp_conn *conn)
{
    conn->features |= TCP_FEATURE_READY; /* so that it is in one place only */
    conn->blocked_next = NULL;
    if (tcp->blocked == NULL) {
        tcp->blocked = conn;
    } else {
        tcp->blocked_last->blocked_next = conn;
    }
    tcp->blocked_last = conn;
}

/* So many that a full transmit queue can serve, not all: what finds no buffer again has cost a turn
 * in vain. */
static void tcp_unblock(struct stack *stack)
{
    struct tcp_stack *tcp = &stack->tcp;
    for (uint32_t i = 0; i < TCP_UNBLOCK_MAX && tcp->blocked != NULL; i++) {
        struct tcp_conn *conn = tcp->blocked;
        tcp->blocked = conn->blocked_next;
        conn->features &= ~(uint32_t)TCP_FEATURE_READY;
        tcp_ready(stack, conn);
    }
}

static void tcp_tell(struct stack *stack, struct tcp_conn *conn)
{
    uint32_t events = conn->events;
    bool gone = tcp_has(conn, TCP_FEATURE_GONE) && !tcp_has(conn, TCP_FEATURE_RESET_DUE);
    conn->events = 0;
    if (gone) {
        events = TCP_EVENT_GONE; /* there is nobody left for the others */
    } else if (tcp_has(conn, TCP_FEATURE_ORPHAN)) {
        return;
    }
    if (events != 0) {
        stack->upcalls.tcp_event(stack->upcalls.context, conn, events);
    }
    if (gone) {
        tcp_conn_free(stack, conn);
    }
}

static bool tcp_sends(const struct tcp_conn *conn)
{
    return conn->flow.state >= TCP_ESTABLISHED && conn->flow.state <= TCP_LAST_ACK;
}

/* A sender's turn needs all, a receiver's what its segment has fetched already. */
static void tcp_turn_fetch(const struct tcp_conn *conn)
{
    if (conn->snd_una != conn->snd_nxt || conn->send.head != conn->send.tail_cached) {
        tcp_conn_fetch(conn, 0, TCP_WARM_BYTES);
    }
}

/* Of a connection that is over, with whose reset the NIC was not ready: else its peer, when it has
 * nothing to send, would keep it for ever. */
static void tcp_reset_again(struct stack *stack, struct tcp_conn *conn)
{
    if (!tcp_has(conn, TCP_FEATURE_RESET_DUE)) {
        return;
    }
    tcp_send_reset(stack, conn);
    if (tcp_has(conn, TCP_FEATURE_RESET_DUE) && stack_tx_missed(stack)) {
        conn->features &= ~(uint32_t)(TCP_FEATURE_RESET_DUE | TCP_FEATURE_BLOCKED);
    }
}

/* ---- SYNs that wait for a neighbour ---- */

void tcp_neighbour_wait(struct stack *stack, struct tcp_conn *conn)
{
    struct tcp_stack *tcp = &stack->tcp;
    if (conn->waiting_link != NULL) {
        return;
    }
    conn->waiting_next = NULL;
    conn->waiting_link = tcp->waiting_end;
    *tcp->waiting_end = conn;
    tcp->waiting_end = &conn->waiting_next;
}

void tcp_neighbour_known(struct stack *stack, uint32_t ip_be32, enum rs_status status)
{
    struct tcp_conn *next;
    for (struct tcp_conn *conn = stack->tcp.waiting; conn != NULL; conn = next) {
        next = conn->waiting_next;
        if (conn->next_hop_be32 != ip_be32) {
            continue;
        }
        neighbour_unwait(stack, conn);
        if (conn->flow.state != TCP_SYN_SENT) {
            continue; /* closed, or the peer was quicker */
        }
        if (status == RS_OK) {
            conn->features |= TCP_FEATURE_SYN_DUE;
            tcp_ready(stack, conn);
        } else {
            tcp_fail(stack, conn, status);
        }
    }
}

/* One connection's turn: what may leave leaves, what happened is told. */
static void tcp_turn(struct stack *stack, struct tcp_conn *conn)
{
    /* Whatever found no buffer before, outside of a turn, is tried again in this one. */
    conn->features &= ~(uint32_t)(TCP_FEATURE_READY | TCP_FEATURE_BLOCKED);
    if (tcp_sends(conn)) {
        tcp_output(stack, conn);
    } else if (conn->flow.state == TCP_SYN_SENT && tcp_has(conn, TCP_FEATURE_SYN_DUE)) {
        tcp_send_syn(stack, conn);
    } else {
        tcp_reset_again(stack, conn);
    }
    if (tcp_has(conn, TCP_FEATURE_BLOCKED) && !tcp_has(conn, TCP_FEATURE_READY)) {
        tcp_block(&stack->tcp, conn);
    }
    if (conn->events != 0 || tcp_has(conn, TCP_FEATURE_GONE)) {
        tcp_tell(stack, conn);
    }
}

/* What gets ready meanwhile waits for the next turn, so a turn is as long as its list was. */
void tcp_run(struct stack *stack)
{
    struct tcp_stack *tcp = &stack->tcp;
    if (stack->now_ns >= tcp->wheel_due_ns) {
        tcp_timers(stack);
    }
    if (tcp->blocked != NULL && stack_tx_ready(stack)) {
        tcp_unblock(stack);
    }
    uint32_t end = tcp->ready_tail;
    while (tcp->ready_head != end) {
        uint32_t left = end - tcp->ready_head;
        uint32_t count = left < TCP_RUN_BURST ? left : TCP_RUN_BURST;
        for (uint32_t i = 0; count > 1 && i < count; i++) {
            tcp_turn_fetch(tcp->ready[(tcp->ready_head + i) & tcp->ready_mask]);
        }
        for (uint32_t i = 0; i < count; i++) {
            tcp_turn(stack, tcp->ready[tcp->ready_head++ & tcp->ready_mask]);
        }
    }
}

uint64_t tcp_next_ns(const struct stack *stack)
{
    return stack->tcp.ready_head != stack->tcp.ready_tail ? stack->now_ns : stack->tcp.wheel_due_ns;
}

void tcp_prefetch(const struct tcp_conn *conn)
{
    tcp_conn_fetch(conn, 0, TCP_HOT_BYTES);
}

uint32_t tcp_ts_clock(const struct stack *stack)
{
    return (uint32_t)(stack->now_ns / STACK_NS_PER_MS); /* by a constant: a multiplication */
}
