/*
 * Control requests over a channel: a slot in the request ring, the answer in the reply cell it
 * names. And the rule that keeps a socket's posts in order when it moves from one thread's channel
 * to another's. Any thread; waits by wait.c.
 */
#include <assert.h>
#include <string.h>

#include "provider/client/client_internal.h"

/* Of a channel's cells: with more of them on their way the next answer is waited for. */
#define REQUESTS_LEFT_MAX 8
#define CELLS_LOOK_NS     500000000u /* an answer takes less, unless nobody waits for it any more */

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
        if (client_spinning_of(client, socket).yields) {
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

enum rs_status client_socket_move_now(struct client_socket *socket, struct client_channel *channel)
{
    if (socket->place.channel != NULL) {
        enum rs_status status = move_wait(socket);
        if (status != RS_OK) {
            return status;
        }
    }
    socket->place = (struct client_post_place){
        .channel = channel,
        .opening = atomic_load_explicit(&channel->openings, memory_order_relaxed)};
    post_move(&socket->post);
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
    bool apart; /* not in order with what the socket posted, and so waits for none of it */
    uint32_t cell_idx;
    struct rs_tcp_info *info; /* where the answer to TCP_INFO goes; NULL: none is expected */
};

/* Channel entered, send_lock held when order with a socket's posts matters. False: no cell or slot
 * free now, ask again. */
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

/* RS_WOULD_BLOCK: no cell or slot is free. */
static enum rs_status request_post_now(struct request *request)
{
    enum rs_status status = RS_OK;
    bool ordered = request->socket != NULL && !request->apart;
    if (ordered) {
        client_send_lock(request->socket);
        status = client_socket_move(request->socket, request->channel);
    }
    if (status == RS_OK) {
        client_channel_enter(request->channel);
        status = request_try_post(request) ? RS_OK : RS_WOULD_BLOCK;
        client_channel_leave(request->channel);
    }
    if (ordered) {
        client_send_unlock(request->socket);
    }
    return status;
}

static enum rs_status request_post(struct request *request)
{
    uint64_t look_tsc = 0;
    for (;;) {
        enum rs_status status = request_post_now(request);
        if (status != RS_WOULD_BLOCK) {
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

/* NULL: *status. */
static struct client_channel *request_channel(struct client *client, uint32_t queue_idx,
                                              enum rs_status *status)
{
    *status = client_check(client, os_tsc());
    return *status == RS_OK ? client_channel_get(client, queue_idx, status) : NULL;
}

/* Waits for the answer to a request that was posted. */
static enum rs_status request_finish(struct request *request, void *reply, uint32_t reply_bytes)
{
    struct client_channel *channel = request->channel;
    struct client_condition condition = {
        .ready = request_answered, .context = request, .queue_idx = channel->queue_idx};
    enum rs_status status = client_wait(channel->client, &condition, UINT64_MAX);
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

static enum rs_status request_run(struct client *client, struct request *request,
                                  uint32_t queue_idx, void *reply, uint32_t reply_bytes)
{
    assert(request->payload_bytes <= RS_INLINE_BYTES);
    enum rs_status status;
    request->channel = request_channel(client, queue_idx, &status);
    if (request->channel == NULL) {
        return status;
    }
    status = request_post(request);
    return status == RS_OK ? request_finish(request, reply, reply_bytes) : status;
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

enum rs_status client_request_stamp(struct client_socket *socket, uint32_t stamp_id,
                                    struct rs_tx_stamp_reply *reply)
{
    const struct rs_op_tx_stamp op = {.stamp_id = stamp_id};
    struct request request = {
        .socket = socket, .payload = &op, .payload_bytes = sizeof(op), .op = RS_OP_TX_STAMP};
    return request_run(socket->client, &request, socket->home_queue_idx, reply, sizeof(*reply));
}

enum rs_status client_request_reply(struct client_socket *socket, enum rs_op op,
                                    const void *payload, uint32_t payload_bytes, void *reply,
                                    uint32_t reply_bytes)
{
    struct request request = {
        .socket = socket, .payload = payload, .payload_bytes = payload_bytes, .op = op};
    return request_run(socket->client, &request, socket->home_queue_idx, reply, reply_bytes);
}

enum rs_status client_request_values(struct client_socket *socket, struct rs_share_values *values)
{
    struct rs_tcp_info info = {0};
    struct request request = {.socket = socket, .op = RS_OP_SHARE_VALUES, .info = &info};
    enum rs_status status = request_run(socket->client, &request, socket->home_queue_idx, NULL, 0);
    memcpy(values, &info, sizeof(*values)); /* as long; of no use unless RS_OK */
    return status;
}

enum rs_status client_request_share_open(struct client *client, uint32_t queue_idx,
                                         const struct rs_share_token *token,
                                         struct rs_open_reply *reply)
{
    struct request request = {
        .payload = token, .payload_bytes = sizeof(*token), .op = RS_OP_SHARE_OPEN};
    return request_run(client, &request, queue_idx, reply, sizeof(*reply));
}

/* Who has posted some of its steps waits for their answers before it waits for a cell: threads
 * that share a channel would wait for each other's. */
enum rs_status client_request_steps(struct client_socket *socket, const struct client_step *steps,
                                    uint32_t count)
{
    struct request requests[CLIENT_STEPS_MAX];
    uint32_t posted = 0;
    enum rs_status first;
    struct client_channel *channel =
        request_channel(socket->client, socket->home_queue_idx, &first);
    assert(count <= CLIENT_STEPS_MAX);
    for (uint32_t done = 0; channel != NULL && done < count; done++) {
        while (posted < count && first == RS_OK) {
            requests[posted] = (struct request){.channel = channel,
                                                .socket = socket,
                                                .payload = &steps[posted].payload,
                                                .payload_bytes = steps[posted].payload_bytes,
                                                .op = steps[posted].op};
            enum rs_status status = posted == done ? request_post(&requests[posted])
                                                   : request_post_now(&requests[posted]);
            if (status == RS_WOULD_BLOCK) {
                break;
            }
            first = status;
            posted += status == RS_OK;
        }
        if (done == posted) {
            break; /* the others were not posted */
        }
        enum rs_status status = request_finish(&requests[done], NULL, 0);
        first = first == RS_OK ? status : first;
    }
    return first;
}

static void request_leave(struct request *request)
{
    const struct client_socket *socket = request->socket;
    enum rs_status status;
    request->channel = request_channel(socket->client, socket->home_queue_idx, &status);
    if (request->channel == NULL || request_post(request) != RS_OK) {
        return;
    }
    client_channel_enter(request->channel);
    struct reply_waiter *replies = &request->channel->replies;
    bool leaves = __builtin_popcount(replies->abandoned) < REQUESTS_LEFT_MAX;
    if (leaves) {
        reply_cell_abandon(replies, request->cell_idx);
    }
    client_channel_leave(request->channel);
    if (!leaves) {
        (void)!request_finish(request, NULL, 0);
    }
}

void client_request_leave(struct client_socket *socket, enum rs_op op, const void *payload,
                          uint32_t payload_bytes)
{
    struct request request = {
        .socket = socket, .payload = payload, .payload_bytes = payload_bytes, .op = op};
    request_leave(&request);
}

void client_socket_wake(struct client_socket *socket)
{
    const struct rs_op_shutdown nothing = {.how = 0};
    struct request request = {.socket = socket,
                              .payload = &nothing,
                              .payload_bytes = sizeof(nothing),
                              .op = RS_OP_SHUTDOWN,
                              .apart = true};
    request_leave(&request);
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
