/*
 * Where a client's sockets live: blocks that the next client gets, and nobody else. A socket keeps
 * its address and its locks through all its lives, so a thread that is late finds a closed socket,
 * not freed memory, also when the client is gone (client_claim). Slow paths; by client->slow_mutex.
 */
#include "provider/client/client_alloc.h"
#include "provider/client/client_internal.h"

#define BLOCK_SOCKETS 32u

struct client_socket_block {
    struct client_socket_block *next;
    struct client_socket sockets[BLOCK_SOCKETS];
};

/* Of clients that are gone; by the lock. */
static struct client_socket_block *blocks_left;
static client_lock blocks_left_lock;

static struct client_socket_block *pool_block_take(void)
{
    (void)client_lock_take(&blocks_left_lock);
    struct client_socket_block *block = blocks_left;
    if (block != NULL) {
        blocks_left = block->next;
    }
    client_lock_drop(&blocks_left_lock);
    if (block != NULL) {
        return block;
    }
    block = client_alloc(1, sizeof(*block));
    for (uint32_t i = 0; block != NULL && i < BLOCK_SOCKETS; i++) {
        os_mutex_init(&block->sockets[i].control_mutex);
    }
    return block;
}

/* slow_mutex held. */
static enum rs_status pool_grow(struct client *client)
{
    struct client_socket_block *block = pool_block_take();
    if (block == NULL) {
        return RS_NO_MEMORY;
    }
    block->next = client->blocks;
    client->blocks = block;
    for (uint32_t i = 0; i < BLOCK_SOCKETS; i++) {
        struct client_socket *socket = &block->sockets[i];
        socket->client = client;
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

/* What refers to the client, and what only a new socket has at 0. The two locks stay as they are:
 * somebody late may be in one. */
static void pool_wipe(struct client_socket *socket)
{
    client_free(socket->members);
    socket->members = NULL;
    socket->place = (struct client_post_place){.channel = NULL};
    socket->watch_next = NULL;
    atomic_store_explicit(&socket->watch_want, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->watch_listed, 0, memory_order_relaxed);
}

void client_pool_destroy(struct client *client)
{
    client_pool_visit(client, pool_wipe);
    (void)client_lock_take(&blocks_left_lock);
    while (client->blocks != NULL) {
        struct client_socket_block *block = client->blocks;
        client->blocks = block->next;
        block->next = blocks_left;
        blocks_left = block;
    }
    client_lock_drop(&blocks_left_lock);
}
