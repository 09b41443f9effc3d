/*
 * What tcp_listen.c, tcp_request.c, tcp_time_wait.c and tcp_port.c call of the other TCP files, as
 * little as test_tcp_listen.c needs: a flow table and pools. Goes away with the commit that brings
 * dataplane/tcp.c.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"

enum rs_status tcp_stack_init(struct stack *stack, const struct tcp_config *config)
{
    struct tcp_stack *tcp = &stack->tcp;
    tcp->config = *config;
    memcpy(tcp->secret.key, config->secret, sizeof(tcp->secret.key));
    wheel_init(&tcp->wheel, stack->now_ns);
    tcp->shift = 64 - 12;
    tcp->listener_shift = 32 - 4;
    tcp->chains = calloc(1u << 12, sizeof(*tcp->chains));
    tcp->listener_chains = calloc(1u << 4, sizeof(*tcp->listener_chains));
    return tcp->chains != NULL && tcp->listener_chains != NULL ? RS_OK : RS_NO_MEMORY;
}

void tcp_stack_destroy(struct stack *stack)
{
    free((void *)stack->tcp.chains);
    free((void *)stack->tcp.listener_chains);
}

struct tcp_flow **tcp_flow_chain(const struct stack *stack, uint32_t local_be32,
                                 uint16_t local_port_be16, uint32_t peer_be32,
                                 uint16_t peer_port_be16)
{
    uint64_t hash = (((uint64_t)peer_be32 << 32) ^ local_be32 ^ ((uint64_t)local_port_be16 << 16) ^
                     peer_port_be16) *
                    0x9e3779b97f4a7c15ull;
    return &stack->tcp.chains[hash >> stack->tcp.shift];
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
    flow->chain_next = *chain;
    *chain = flow;
    flow->in_table = true;
}

void tcp_flow_remove(struct stack *stack, struct tcp_flow *flow)
{
    struct tcp_flow **link = tcp_flow_chain(stack, flow->local_be32, flow->local_port_be16,
                                            flow->peer_be32, flow->peer_port_be16);
    while (flow->in_table && *link != flow) {
        link = &(*link)->chain_next;
    }
    if (flow->in_table) {
        *link = flow->chain_next;
        flow->in_table = false;
    }
}

/* ---- never called by these tests ---- */
#pragma GCC diagnostic ignored "-Wunused-parameter"

__attribute__((noreturn)) void tcp_wheel_set(struct stack *s, struct wheel_timer *t,
                                             enum tcp_timer_kind k, uint64_t d)
{
    abort();
}

__attribute__((noreturn)) bool tcp_challenge_pass(struct stack *s, uint64_t *c)
{
    abort();
}

__attribute__((noreturn)) bool tcp_send_control(struct stack *s, const struct tcp_control *c)
{
    abort();
}

__attribute__((noreturn)) void tcp_refuse(struct stack *s, const struct tcp_segment *g)
{
    abort();
}

__attribute__((noreturn)) uint32_t tcp_ts_clock(const struct stack *s)
{
    abort();
}

__attribute__((noreturn)) struct tcp_conn *
tcp_conn_new(struct stack *s, const struct tcp_settings *t, uint32_t l, uint32_t p)
{
    abort();
}

__attribute__((noreturn)) void tcp_conn_free(struct stack *s, struct tcp_conn *c)
{
    abort();
}

__attribute__((noreturn)) void tcp_conn_start(struct stack *s, struct tcp_conn *c, uint32_t i)
{
    abort();
}

__attribute__((noreturn)) void tcp_conn_set_rings(struct tcp_conn *c, const struct tcp_rings *r)
{
    abort();
}

__attribute__((noreturn)) void tcp_set_state(struct stack *s, struct tcp_conn *c, enum tcp_state t)
{
    abort();
}

__attribute__((noreturn)) void tcp_take_options(struct stack *s, struct tcp_conn *c,
                                                const struct tcp_options *o)
{
    abort();
}

__attribute__((noreturn)) void tcp_rtt_sample(struct stack *s, struct tcp_conn *c, uint64_t r)
{
    abort();
}

__attribute__((noreturn)) void tcp_ready(struct stack *s, struct tcp_conn *c)
{
    abort();
}

__attribute__((noreturn)) enum counter_id tcp_conn_input(struct stack *s, struct tcp_conn *c,
                                                         const struct tcp_segment *g)
{
    abort();
}
