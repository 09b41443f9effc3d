/*
 * The demux table of udp_table.h: who is bound to what. Queue thread.
 */
#include "dataplane/udp_table.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/stack_internal.h"

static inline uint32_t udp_hash(const struct udp_table *table, uint32_t local_be32,
                                uint32_t peer_be32, uint16_t local_port_be16,
                                uint16_t peer_port_be16)
{
    uint64_t hash = (((uint64_t)peer_be32 << 32) | local_be32) * table->key;
    hash ^= hash >> 29;
    hash += ((uint32_t)peer_port_be16 << 16) | local_port_be16;
    hash *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash >> table->shift);
}

static inline struct udp_socket *udp_find(const struct udp_table *table, uint32_t local_be32,
                                          uint16_t local_port_be16, uint32_t peer_be32,
                                          uint16_t peer_port_be16)
{
    struct udp_socket *socket =
        table->chains[udp_hash(table, local_be32, peer_be32, local_port_be16, peer_port_be16)];
    while (socket != NULL && !(socket->local_be32 == local_be32 && socket->peer_be32 == peer_be32 &&
                               socket->local_port_be16 == local_port_be16 &&
                               socket->peer_port_be16 == peer_port_be16)) {
        socket = socket->chain_next;
    }
    return socket;
}

struct udp_socket *udp_demux(const struct stack *stack, uint32_t local_be32,
                             uint16_t local_port_be16, uint32_t peer_be32, uint16_t peer_port_be16)
{
    const struct udp_table *table = &stack->udp;
    struct udp_socket *socket = NULL;
    if (table->connected_count > 0) {
        socket = udp_find(table, local_be32, local_port_be16, peer_be32, peer_port_be16);
    }
    if (socket == NULL && table->specific_count > 0) {
        socket = udp_find(table, local_be32, local_port_be16, 0, 0);
    }
    if (socket == NULL) {
        socket = udp_find(table, 0, local_port_be16, 0, 0);
    }
    return socket;
}

struct udp_socket **udp_first_chain(const struct stack *stack, uint32_t local_be32,
                                    uint16_t local_port_be16, uint32_t peer_be32,
                                    uint16_t peer_port_be16)
{
    const struct udp_table *table = &stack->udp;
    if (table->connected_count == 0) {
        peer_be32 = 0;
        peer_port_be16 = 0;
        local_be32 = table->specific_count > 0 ? local_be32 : 0;
    }
    return &table->chains[udp_hash(table, local_be32, peer_be32, local_port_be16, peer_port_be16)];
}

struct udp_socket **udp_port_chain(const struct udp_table *table, uint16_t port_be16)
{
    return &table->ports[(uint32_t)(port_be16 * 0x9e3779b1u) >> table->port_shift];
}

void udp_table_insert(struct udp_table *table, struct udp_socket *socket)
{
    struct udp_socket **chain =
        &table->chains[udp_hash(table, socket->local_be32, socket->peer_be32,
                                socket->local_port_be16, socket->peer_port_be16)];
    socket->chain_next = *chain;
    socket->chain_prev = chain;
    if (*chain != NULL) {
        (*chain)->chain_prev = &socket->chain_next;
    }
    *chain = socket;
    table->bound_count++;
    table->connected_count += socket->connected ? 1 : 0;
    table->specific_count += !socket->connected && socket->local_be32 != 0 ? 1 : 0;
}

void udp_table_remove(struct udp_table *table, struct udp_socket *socket)
{
    *socket->chain_prev = socket->chain_next;
    if (socket->chain_next != NULL) {
        socket->chain_next->chain_prev = socket->chain_prev;
    }
    table->bound_count--;
    table->connected_count -= socket->connected ? 1 : 0;
    table->specific_count -= !socket->connected && socket->local_be32 != 0 ? 1 : 0;
}

void udp_port_insert(struct udp_table *table, struct udp_socket *socket)
{
    struct udp_socket **chain = udp_port_chain(table, socket->local_port_be16);
    socket->port_next = *chain;
    socket->port_prev = chain;
    if (*chain != NULL) {
        (*chain)->port_prev = &socket->port_next;
    }
    *chain = socket;
}

void udp_port_remove(struct stack *stack, struct udp_socket *socket)
{
    for (struct udp_fanout *fanout = stack->fanouts; fanout != NULL; fanout = fanout->next) {
        if (fanout->receiver == socket) {
            fanout->receiver = socket->port_next;
        }
    }
    *socket->port_prev = socket->port_next;
    if (socket->port_next != NULL) {
        socket->port_next->port_prev = socket->port_prev;
    }
}

enum rs_status udp_table_init(struct stack *stack, uint32_t sockets_max)
{
    struct udp_table *table = &stack->udp;
    uint32_t bits = stack_table_bits(2 * sockets_max);
    uint32_t port_bits = bits < 16 ? bits : 16;
    table->shift = 64 - bits;
    table->port_shift = 32 - port_bits;
    table->key = stack_random(stack) | 1;
    table->chains = calloc((size_t)1 << bits, sizeof(struct udp_socket *));
    table->ports = calloc((size_t)1 << port_bits, sizeof(struct udp_socket *));
    if (table->chains == NULL || table->ports == NULL) {
        udp_table_destroy(stack);
        return RS_NO_MEMORY;
    }
    return RS_OK;
}

void udp_table_destroy(struct stack *stack)
{
    free(stack->udp.chains);
    free(stack->udp.ports);
    memset(&stack->udp, 0, sizeof(stack->udp));
}
