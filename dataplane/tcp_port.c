/*
 * The source port of a connection that names none. Queue thread, called by tcp_connect. Looks at
 * the flow table, at the ports that somebody has bound (config.ports_bound) and at the NIC's
 * steering, so that the answers come to this queue (DESIGN: a connection lives on one queue).
 */
#include <stdatomic.h>

#include "dataplane/stack_internal.h"
#include "dataplane/steer.h"

#define TCP_PORT_FIRST 49152u /* RFC 6335 section 6 */
#define TCP_PORT_COUNT 16384u
#define TCP_PORT_TRIES 4096u
static_assert((TCP_PORT_COUNT & (TCP_PORT_COUNT - 1)) == 0, "a position in it is masked");

static bool tcp_port_is_bound(const struct tcp_config *config, uint32_t port)
{
    if (config->ports_bound == NULL) {
        return false;
    }
    /* Relaxed, partner: the control thread. Who binds a port that was chosen just before gets along
     * with a connection that has it: they differ by the peer. */
    uint32_t word = atomic_load_explicit(&config->ports_bound[port / 32], memory_order_relaxed);
    return (word >> (port & 31) & 1) != 0;
}

uint16_t tcp_port_choose(struct stack *stack, uint32_t local_be32, uint32_t peer_be32,
                         uint16_t peer_port_be16)
{
    struct tcp_stack *tcp = &stack->tcp;
    const struct nic *nic = stack->nic;
    /* RFC 6056 algorithm 3: where one peer's ports begin tells nothing about another's. */
    uint32_t offset = tcp_secret_port_offset(&tcp->secret, local_be32, peer_be32, peer_port_be16);
    for (uint32_t i = 0; i < TCP_PORT_TRIES; i++) {
        uint32_t port = TCP_PORT_FIRST + ((offset + tcp->port_round++) & (TCP_PORT_COUNT - 1));
        uint16_t port_be16 = rs_be16((uint16_t)port);
        if (tcp_port_is_bound(&tcp->config, port) ||
            steer_flow(nic->steering, peer_be32, local_be32, peer_port_be16, port_be16) !=
                nic->queue_idx) {
            continue;
        }
        const struct tcp_flow *flow =
            tcp_flow_find(stack, local_be32, port_be16, peer_be32, peer_port_be16);
        if (flow == NULL || (flow->kind == TCP_FLOW_TIME_WAIT &&
                             tcp_time_wait_reusable(stack, (const struct tcp_time_wait *)flow))) {
            return port_be16;
        }
    }
    return 0;
}
