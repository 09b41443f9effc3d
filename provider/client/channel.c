/*
 * Channels: a thread's request ring, reply cells and event towards one queue. Opened when a thread
 * first needs one, closed by the thread's end. One channel of the session's limit is kept back for
 * each queue: the common channel, which all threads share under its lock that find no other. So a
 * channel is private or common from its first day, and a private one needs no lock. Slow paths
 * only.
 */
#include <assert.h>

#include "provider/client/client_internal.h"

/* Checks what the dataplane says of the channel and takes it into use. slow_mutex held. */
static enum rs_status channel_set_up(struct client *client, uint32_t channel_idx,
                                     uint32_t queue_idx, bool common,
                                     struct client_channel *channel)
{
    struct rs_channel_client *shared = &client->channel_clients[channel_idx];
    const struct rs_channel_state *state = &client->channel_states[channel_idx];
    /* Field by field: the hot line changes while we look. */
    uint32_t generation = state->generation;
    uint32_t state_queue_idx = state->queue_idx;
    struct rs_ref requests_ref = state->requests;
    struct rs_ref hints_ref = state->hints;
    struct rs_ref replies_ref = state->replies;
    struct rs_ref info_ref = state->info;
    rs_fence_copied();
    if (generation == 0 || state_queue_idx != queue_idx) {
        return RS_CORRUPT;
    }
    void *requests = NULL;
    void *hints = NULL;
    void *replies = NULL;
    void *info = NULL;
    enum rs_status status = client_resolve(
        client, requests_ref, (uint64_t)client->request_slots * sizeof(struct rs_request),
        RS_EXTENT_CL, &requests);
    if (status == RS_OK) {
        status =
            client_resolve(client, hints_ref, (uint64_t)client->hint_slots * sizeof(struct rs_hint),
                           RS_EXTENT_DP, &hints);
    }
    if (status == RS_OK) {
        status = client_resolve(client, replies_ref, RS_REPLY_CELLS * sizeof(struct rs_reply),
                                RS_EXTENT_DP, &replies);
    }
    if (status == RS_OK) {
        status = client_resolve(client, info_ref, RS_REPLY_CELLS * sizeof(struct rs_tcp_info),
                                RS_EXTENT_DP, &info);
    }
    if (status != RS_OK) {
        return status;
    }
    channel->queue_idx = queue_idx;
    channel->common = common;
    wakeup_cancel(&channel->waiter); /* the number of the newest sleep goes on */
    post_channel_init(&channel->post, requests, client->request_slots, state, shared,
                      client->limit_sockets);
    hint_consumer_init(&channel->hints, hints, client->hint_slots, state, shared,
                       atomic_load_explicit(&shared->hint_head, memory_order_relaxed));
    reply_waiter_init(&channel->replies, replies);
    channel->info = info;
    /* Release, partner client_socket_move: the dataplane gives an index out again only when it has
     * consumed every post of the opening before. That it answered the close says less: it also
     * answers, with a refusal, when the session is ending and posts still wait. */
    atomic_fetch_add_explicit(&channel->openings, 1, memory_order_release);
    return RS_OK;
}

/* Asks the dataplane for a channel. slow_mutex held. */
static enum rs_status channel_request(struct client *client, uint32_t queue_idx, bool common,
                                      struct client_channel **out)
{
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    enum rs_status status =
        client_link_call(client, RS_CTL_CHANNEL_OPEN, queue_idx, &answer, handles);
    if (status != RS_OK) {
        return status;
    }
    if (answer.value >= client->limit_channels || handles[0] == -1) {
        os_handle_close(handles[0]);
        return RS_CORRUPT;
    }
    uint32_t channel_idx = (uint32_t)answer.value;
    struct client_channel *channel = &client->channels[channel_idx];
    if (channel->event.handle != -1) { /* an index that is in use */
        os_handle_close(handles[0]);
        return RS_CORRUPT;
    }
    status = channel_set_up(client, channel_idx, queue_idx, common, channel);
    if (status != RS_OK) {
        os_handle_close(handles[0]);
        return status;
    }
    channel->event = (struct os_event){.handle = handles[0]};
    *out = channel;
    return RS_OK;
}

/* slow_mutex held. */
static enum rs_status channel_open_common(struct client *client, uint32_t queue_idx,
                                          struct client_channel **out)
{
    if (client->common[queue_idx] == NULL) {
        enum rs_status status =
            channel_request(client, queue_idx, true, &client->common[queue_idx]);
        if (status != RS_OK) {
            return status;
        }
    }
    *out = client->common[queue_idx];
    return RS_OK;
}

/* RS_NO_BUFFERS: there is none but the common one. */
static enum rs_status channel_open_private(struct client *client, uint32_t queue_idx,
                                           bool for_watch, struct client_channel **out)
{
    enum rs_status status = RS_NO_BUFFERS;
    /* One is kept back for the watch, which can share none: where there is more than one. */
    uint32_t kept = client->queue_count + 1 < client->limit_channels && !for_watch &&
                            atomic_load_explicit(&client->watch, memory_order_relaxed) == NULL
                        ? 1
                        : 0;
    os_mutex_lock(&client->slow_mutex);
    if (client->private_channels + client->queue_count + kept < client->limit_channels) {
        status = channel_request(client, queue_idx, false, out);
        client->private_channels += status == RS_OK;
    }
    os_mutex_unlock(&client->slow_mutex);
    return status;
}

enum rs_status client_channel_open_watch(struct client *client, struct client_channel **out)
{
    const uint32_t queue_idx = client_queue_choose(client, 0);
    enum rs_status status = client_tell_sleeps(client);
    if (status == RS_OK) {
        status = channel_open_private(client, queue_idx, true, out);
    }
    if (status == RS_NO_BUFFERS && client_threads_reclaim()) {
        status = channel_open_private(client, queue_idx, true, out);
    }
    return status;
}

enum rs_status client_channel_open(struct client *client, uint32_t queue_idx,
                                   struct client_channel **out)
{
    struct client_thread *thread = NULL;
    enum rs_status status = client_thread_get(&thread);
    if (status != RS_OK) {
        return status;
    }
    assert(thread->channels[client->slot * RS_QUEUES_MAX + queue_idx] == NULL);
    status = channel_open_private(client, queue_idx, false, out);
    if (status == RS_NO_BUFFERS && client_threads_reclaim()) {
        status = channel_open_private(client, queue_idx, false, out);
    }
    if (status == RS_NO_BUFFERS) {
        os_mutex_lock(&client->slow_mutex);
        status = channel_open_common(client, queue_idx, out);
        os_mutex_unlock(&client->slow_mutex);
    }
    if (status == RS_OK) {
        thread->channels[client->slot * RS_QUEUES_MAX + queue_idx] = *out;
    }
    return status;
}

/*
 * A common channel whose lock was held by a thread that died. It was somewhere in post.h,
 * slot_ring.h or reply.h: a slot counted and not yet published would stop the channel for ever,
 * pressure counted and not yet stored would lose a tail. A reply cell that was just being given out
 * stays lost, one of RS_REPLY_CELLS. The socket it sent on is the business of send_lock.
 */
void client_channel_repair(struct client_channel *channel)
{
    struct slot_producer *producer = &channel->post.producer;
    uint32_t last = (uint32_t)producer->tail - 1;
    const struct rs_request *slot = &producer->slots[last & producer->mask];
    if (producer->tail != producer->head_cached &&
        !slot_state_consumed(channel->state, producer->mask + 1, last) &&
        atomic_load_explicit(&slot->seq, memory_order_relaxed) != rs_slot_seq(last)) {
        producer->tail--;
    }
    if (channel->post.levelled != 0) {
        atomic_store_explicit(&channel->post.shared->pressure, 1, memory_order_relaxed);
    }
}

bool client_channel_reclaim_cells(struct client_channel *channel)
{
    struct reply_waiter *replies = &channel->replies;
    for (uint32_t cell_idx = 0; cell_idx < RS_REPLY_CELLS; cell_idx++) {
        uint32_t bit = 1u << cell_idx;
        if (((replies->free | replies->abandoned) & bit) == 0 &&
            !os_thread_alive(channel->cell_owners[cell_idx])) {
            reply_cell_abandon(replies, cell_idx);
        }
    }
    return replies->abandoned != (1u << RS_REPLY_CELLS) - 1;
}

void client_channel_close(struct client_channel *channel)
{
    struct client *client = channel->client;
    os_mutex_lock(&client->slow_mutex);
    client_link_tell(client, RS_CTL_CHANNEL_CLOSE, channel->idx);
    os_event_destroy(&channel->event);
    channel->event.handle = -1;
    client->private_channels--;
    os_mutex_unlock(&client->slow_mutex);
}
