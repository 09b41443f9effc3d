/*
 * Addresses of local connections: a port of the queue's own for each connecting end, and the pairs
 * of those that connect from a port of SO_REUSEADDR. Queue thread. Called by stream_local.c.
 */
#include "dataplane/stream.h"
#include "rings/byteorder.h"

#define STREAM_LOCAL_PORT_FIRST 49152u /* RFC 6335, as TCP's */

static bool stream_local_port_taken(const struct queue *queue, uint32_t n)
{
    uint32_t port = STREAM_LOCAL_PORT_FIRST + n;
    /* relaxed, partner: the control thread; as tcp_port_is_bound */
    uint32_t bound =
        atomic_load_explicit(&queue->tcp_ports[port / 32], memory_order_relaxed) >> port % 32;
    return ((bound | queue->local_ports[n / 32] >> n % 32) & 1) != 0;
}

uint16_t stream_local_port_take(struct queue *queue, struct session_part *part)
{
    for (uint32_t tries = 0; tries < QUEUE_LOCAL_PORTS; tries++) {
        uint32_t n = queue->local_port_next;
        uint32_t next = n + queue->queue_count;
        queue->local_port_next = next < QUEUE_LOCAL_PORTS ? next : queue->idx;
        request_charge_look(part);
        if (!stream_local_port_taken(queue, n)) {
            queue->local_ports[n / 32] |= 1u << n % 32;
            return rs_be16((uint16_t)(STREAM_LOCAL_PORT_FIRST + n));
        }
    }
    return 0;
}

void stream_local_port_give(struct queue *queue, struct stream_local *local)
{
    if (local->port_taken) {
        uint32_t n = rs_be16(local->own.port_be16) - STREAM_LOCAL_PORT_FIRST;
        queue->local_ports[n / 32] &= ~(1u << n % 32);
        local->port_taken = false;
    }
}

bool stream_local_pair_taken(const struct queue *queue, struct session_part *part,
                             const struct rs_addr *own, const struct rs_addr *other)
{
    for (const struct dp_socket *each = queue->local_shared; each != NULL;
         each = each->stream->local.shared_next) {
        const struct stream_local *local = &each->stream->local;
        request_charge_look(part);
        if (local->own.port_be16 == own->port_be16 && local->other.port_be16 == other->port_be16 &&
            local->own.ip.v4_be32 == own->ip.v4_be32 &&
            local->other.ip.v4_be32 == other->ip.v4_be32) {
            return true;
        }
    }
    return false;
}

void stream_local_share(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    local->shared_next = queue->local_shared;
    local->shared_link = &queue->local_shared;
    if (local->shared_next != NULL) {
        local->shared_next->stream->local.shared_link = &local->shared_next;
    }
    queue->local_shared = socket;
}

void stream_local_unshare(struct stream_local *local)
{
    if (local->shared_link != NULL) {
        *local->shared_link = local->shared_next;
        if (local->shared_next != NULL) {
            local->shared_next->stream->local.shared_link = local->shared_link;
        }
        local->shared_link = NULL;
    }
}
