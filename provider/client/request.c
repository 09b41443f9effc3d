/*
 * Control requests over a channel: a slot in the request ring, the answer in the reply cell it
 * names. And the rule that keeps a socket's posts in order when it moves from one thread's channel
 * to another's. Any thread; waits by wait.c.
 */
#include <assert.h>
#include <string.h>

#include "provider/client/client_internal.h"

#define CELLS_LOOK_NS 500000000u /* an answer takes less, unless nobody waits for it any more */

/* ---- moving a socket to another channel
 * -------------------------------------------------------------------------- */

/* True when the dataplane has consumed what the socket posted to the channel it used last. */
static bool move_allowed(void *context)
{
    const struct client_socket *socket = context;
    const struct client_channel *old = socket->place.channel;
    if (socket->post.last == POST_LAST_NONE) {
        return true;
    }
    /* The channel's index may have been opened again: its posts of the earlier opening were
     * consumed before that. Acquire, partner channel_set_up. */
    if (atomic_load_explicit(&old->openings, memory_order_acquire) != socket->place.opening) {
        return true;
    }
    return slot_state_consumed(old->state, socket->client->request_slots,
                               socket->post.last_position);
}

/* Spins: the old channel's posts are in the poll loop's hands already, and no event tells of a
 * consumed slot. */
static enum rs_status move_wait(struct client_socket *socket)
{
    struct client *client = socket->client;
    uint64_t next_check = os_tsc() + client->check_ticks;
    while (!move_allowed(socket)) {
        if (client->yield_in_spin) {
            os_yield();
        } else {
            os_cpu_relax();
        }
        uint64_t now = os_tsc();
        if (now >= next_check) {
            enum rs_status status = client_check(client, now);
            if (status != RS_OK) {
                return status;
            }
            next_check = now + client->check_ticks;
        }
    }
    return RS_OK;
}

enum rs_status client_socket_move(struct client_socket *socket, struct client_channel *channel)
{
    uint64_t opening = atomic_load_explicit(&channel->openings, memory_order_relaxed);
    if (socket->place.channel == channel && socket->place.opening == opening) {
        return RS_OK;
    }
    if (socket->place.channel != NULL) {
        enum rs_status status = move_wait(socket);
        if (status != RS_OK) {
            return status;
        }
    }
    socket->place = (struct client_post_place){.channel = channel, .opening = opening};
    socket->post = (struct post_socket){.level_word = socket->post.level_word};
    return RS_OK;
}

/* ---- request and reply
 * ------------------------------------------------------------------------------------------- */

struct request {
    struct client_channel *channel;
    struct client_socket *socket;
    const void *payload;
    uint32_t payload_bytes;
    enum rs_op op;
    uint32_t cell_idx;
    struct rs_tcp_info *info; /* where the answer to TCP_INFO goes; NULL: none is expected */
};

/* Channel entered, send_lock held when there is a socket. False: no cell or slot free now, ask
 * again. */
static bool request_try_post(struct request *request)
{
    struct client_channel *channel = request->channel;
    uint32_t serial;
    struct rs_request *slot = post_control_reserve(&channel->post);
    if (slot == NULL || !reply_cell_take(&channel->replies, &request->cell_idx, &serial)) {
        return false;
    }
    channel->cell_owners[request->cell_idx] = os_thread_id();
    slot->op = (uint8_t)request->op;
    slot->len_bytes = (uint8_t)request->payload_bytes;
    slot->port_be16 = 0;
    slot->socket_idx = request->socket != NULL ? request->socket->idx : RS_NO_INDEX;
    slot->generation = request->socket != NULL ? request->socket->generation : 0;
    slot->arg = request->cell_idx;
    slot->serial = serial;
    memset(slot->payload, 0, sizeof(slot->payload));
    if (request->payload_bytes != 0) {
        memcpy(slot->payload, request->payload, request->payload_bytes);
    }
    (void)slot_producer_publish(&channel->post.producer);
    return true;
}

/* Not posted yet: is it worth asking again? Looks now and then whether those who have the common
 * channel's cells live. */
static enum rs_status request_retry(struct request *request, uint64_t *look_tsc)
{
    struct client_channel *channel = request->channel;
    uint64_t now = os_tsc();
    enum rs_status status = client_check(channel->client, now);
    if (status != RS_OK || !channel->common) {
        return status;
    }
    if (*look_tsc == 0) {
        *look_tsc = client_deadline(channel->client, CELLS_LOOK_NS);
    } else if (now >= *look_tsc) {
        client_channel_enter(channel);
        status = client_channel_reclaim_cells(channel) ? RS_OK : RS_NO_BUFFERS;
        client_channel_leave(channel);
        *look_tsc = client_deadline(channel->client, CELLS_LOOK_NS);
    }
    return status;
}

static enum rs_status request_post(struct request *request)
{
    uint64_t look_tsc = 0;
    for (;;) {
        enum rs_status status = RS_OK;
        bool posted = false;
        if (request->socket != NULL) {
            client_send_lock(request->socket);
            status = client_socket_move(request->socket, request->channel);
        }
        if (status == RS_OK) {
            client_channel_enter(request->channel);
            posted = request_try_post(request);
            client_channel_leave(request->channel);
        }
        if (request->socket != NULL) {
            client_send_unlock(request->socket);
        }
        if (status != RS_OK || posted) {
            return status;
        }
        /* Slots come back with the dataplane's next batch, cells with the other threads' answers.
         */
        status = request_retry(request, &look_tsc);
        if (status != RS_OK) {
            return status;
        }
        os_yield();
    }
}

static bool request_answered(void *context)
{
    const struct request *request = context;
    return reply_ready(&request->channel->replies, request->cell_idx);
}

static enum rs_status request_run(struct client *client, struct request *request,
                                  uint32_t queue_idx, void *reply, uint32_t reply_bytes)
{
    assert(request->payload_bytes <= RS_INLINE_BYTES);
    enum rs_status status = client_check(client, os_tsc());
    if (status != RS_OK) {
        return status;
    }
    struct client_channel *channel = client_channel_get(client, queue_idx, &status);
    if (channel == NULL) {
        return status;
    }
    request->channel = channel;
    status = request_post(request);
    if (status != RS_OK) {
        return status;
    }
    struct client_condition condition = {
        .ready = request_answered, .context = request, .queue_idx = queue_idx};
    status = client_wait(client, &condition, UINT64_MAX);
    client_channel_enter(channel);
    if (status == RS_OK && request->info != NULL) { /* the cell's, so before it is given back */
        memcpy(request->info, &channel->info[request->cell_idx], sizeof(*request->info));
    }
    if (status == RS_OK) {
        status = reply_cell_read(&channel->replies, request->cell_idx, reply, reply_bytes);
    } else {
        reply_cell_abandon(&channel->replies, request->cell_idx);
    }
    client_channel_leave(channel);
    return status;
}

enum rs_status client_request(struct client_socket *socket, enum rs_op op, const void *payload,
                              uint32_t payload_bytes)
{
    struct request request = {
        .socket = socket, .payload = payload, .payload_bytes = payload_bytes, .op = op};
    return request_run(socket->client, &request, socket->home_queue_idx, NULL, 0);
}

enum rs_status client_request_info(struct client_socket *socket, struct rs_tcp_info *info)
{
    struct request request = {.socket = socket, .op = RS_OP_TCP_INFO, .info = info};
    return request_run(socket->client, &request, socket->home_queue_idx, NULL, 0);
}

enum rs_status client_request_open(struct client *client, uint32_t queue_idx,
                                   const struct rs_op_open *open, struct rs_open_reply *reply)
{
    struct request request = {.payload = open, .payload_bytes = sizeof(*open), .op = RS_OP_OPEN};
    return request_run(client, &request, queue_idx, reply, sizeof(*reply));
}

enum rs_status client_ping(struct client *client)
{
    struct request request = {.op = RS_OP_NOP};
    return request_run(client, &request, client_queue_choose(client, 0), NULL, 0);
}
