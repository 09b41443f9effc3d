/*
 * Where a client's sockets live: blocks that are freed with the client only. A socket keeps its
 * address and its locks through all its lives, so a thread that is late finds a closed socket, not
 * freed memory. Slow paths; by client->slow_mutex.
 */
#include "provider/client/client_alloc.h"
#include "provider/client/client_internal.h"

#define BLOCK_SOCKETS 32u

struct client_socket_block {
    struct client_socket_block *next;
    struct client_socket sockets[BLOCK_SOCKETS];
};

/* slow_mutex held. */
static enum rs_status pool_grow(struct client *client)
{
    struct client_socket_block *block = client_alloc(1, sizeof(*block));
    if (block == NULL) {
        return RS_NO_MEMORY;
    }
    block->next = client->blocks;
    client->blocks = block;
    for (uint32_t i = 0; i < BLOCK_SOCKETS; i++) {
        struct client_socket *socket = &block->sockets[i];
        socket->client = client;
        os_mutex_init(&socket->control_mutex);
        socket->next_free = client->free_sockets;
        client->free_sockets = socket;
    }
    return RS_OK;
}

enum rs_status client_pool_take(struct client *client, struct client_socket **out)
{
    enum rs_status status = RS_OK;
    os_mutex_lock(&client->slow_mutex);
    if (client->free_sockets == NULL) {
        status = pool_grow(client);
    }
    if (status == RS_OK) {
        *out = client->free_sockets;
        client->free_sockets = (*out)->next_free;
    }
    os_mutex_unlock(&client->slow_mutex);
    return status;
}

void client_pool_give(struct client_socket *socket)
{
    struct client *client = socket->client;
    os_mutex_lock(&client->slow_mutex);
    socket->next_free = client->free_sockets;
    client->free_sockets = socket;
    os_mutex_unlock(&client->slow_mutex);
}

void client_pool_visit(struct client *client, void (*visit)(struct client_socket *socket))
{
    /* New blocks come in front, none leaves. */
    os_mutex_lock(&client->slow_mutex);
    struct client_socket_block *first = client->blocks;
    os_mutex_unlock(&client->slow_mutex);
    for (struct client_socket_block *block = first; block != NULL; block = block->next) {
        for (uint32_t i = 0; i < BLOCK_SOCKETS; i++) {
            visit(&block->sockets[i]);
        }
    }
}

static void pool_wipe(struct client_socket *socket)
{
    os_mutex_destroy(&socket->control_mutex);
    client_free(socket->members);
}

void client_pool_destroy(struct client *client)
{
    client_pool_visit(client, pool_wipe);
    while (client->blocks != NULL) {
        struct client_socket_block *block = client->blocks;
        client->blocks = block->next;
        client_free(block);
    }
}
