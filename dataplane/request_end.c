/*
 * How channels and sessions end on a queue: violations, removal of a channel, the last draining of
 * a session. Queue thread. Called by queue.c, request*.c and deliver.c; calls request_control.c and
 * deliver.c.
 */
#include "dataplane/share.h"
#include "dataplane/stream.h"

#define REQUEST_END_HEARTBEATS 1000u /* of a millisecond each */
/* Of a session that ends, in one iteration: a program may have thousands of sockets. */
#define REQUEST_END_CLOSES 16u
#define REQUEST_END_LOOKS  1024u
/* So long it waits for its orphans to be acknowledged. */
#define REQUEST_ORPHAN_HEARTBEATS 60000u

void request_poison(struct queue *queue, struct dp_session *session, const char *text)
{
    struct session_part *part = queue_part(queue, session);
    if (part->poison_status != RS_OK) {
        return;
    }
    part->poison_status = RS_POISONED;
    rs_session_poison(session->header, RS_POISONED);
    struct message message = {.kind = QUEUE_POISONED, .session = session};
    message.body.poison_text = text;
    /* When the ring to the control thread is full the session is still ended: control sees
     * header->poisoned when the client leaves. */
    queue->control_told |= message_push(queue->to_control, &message);
    deliver_wake_session(queue, session);
}

/* What a dying client published is still sent, for at most a second: a live one that goes on
 * posting must not hold its session open. */
static void request_end_overdue(struct queue *queue, struct dp_session *session)
{
    struct session_part *part = queue_part(queue, session);
    if (part->end_deadline_tsc == 0) {
        part->end_deadline_tsc = queue->now_tsc + queue->heartbeat_tsc * REQUEST_END_HEARTBEATS;
        part->orphans_until_tsc = queue->now_tsc + queue->heartbeat_tsc * REQUEST_ORPHAN_HEARTBEATS;
    }
    if (queue->now_tsc >= part->end_deadline_tsc && part->poison_status == RS_OK) {
        part->poison_status =
            RS_DATAPLANE_GONE; /* read nothing more; the next turn lets go of what waits */
    }
}

/* This iteration's lists still hold the channel: it may go to the control thread when
 * deliver_settle is through. */
static bool request_channel_listed(const struct dp_channel *channel)
{
    return channel->wake || channel->consumed;
}

/* True: published posts of a channel are still to be taken, or its lists to be worked off. */
static bool request_channel_busy(const struct dp_channel *channel)
{
    return request_channel_listed(channel) ||
           (channel->part->poison_status == RS_OK && slot_consumer_pending(&channel->requests));
}

/* Whether what is left of an ending session's connections is to be reset now. */
static bool request_end_aborts(const struct queue *queue, const struct session_part *part)
{
    /* relaxed: a word that changes once */
    bool hurry = atomic_load_explicit(&queue->hurry, memory_order_relaxed) != 0;
    return part->poison_status == RS_POISONED ||
           queue->now_tsc >= (hurry ? part->end_deadline_tsc : part->orphans_until_tsc);
}

/* False: not closed, as there is no room to tell. A connection is on its way out then, or goes on
 * without its program. */
static bool request_end_socket(struct queue *queue, struct dp_socket *socket, bool aborts)
{
    const struct message_reply nobody = {.channel = NULL};
    if (socket->share != NULL && !share_is_core(socket)) {
        share_session_ends(queue, socket);
        return true;
    }
    if (socket->stream != NULL && socket->blocked) {
        return false; /* a listener of the house, on its way out */
    }
    if (socket->stream != NULL) {
        stream_session_ends(queue, socket, aborts);
        return true;
    }
    return !socket->blocked && request_close_now(queue, socket, &nobody);
}

/* The next few sockets of a session that ends, from where the last call stopped. True: none is
 * left.
 */
static bool request_close_some(struct queue *queue, struct dp_session *session)
{
    struct session_part *part = queue_part(queue, session);
    bool aborts = request_end_aborts(queue, part);
    uint32_t closes = 0;
    if (!aborts && part->orphan_count == part->open_sockets) {
        return part->open_sockets == 0; /* they come to an end by themselves */
    }
    for (uint32_t looks = 0; part->open_sockets != 0 && looks < REQUEST_END_LOOKS; looks++) {
        if (part->end_idx >= session->config->limit_sockets) {
            part->end_idx = 0; /* the client opened another one behind our back */
        }
        struct dp_socket *socket = part->sockets[part->end_idx];
        if (socket != NULL) {
            if (closes == REQUEST_END_CLOSES || !request_end_socket(queue, socket, aborts)) {
                return false;
            }
            closes++;
        }
        part->end_idx++;
    }
    return part->open_sockets == 0;
}

bool request_session_end(struct queue *queue, struct dp_session *session)
{
    struct session_part *part = queue_part(queue, session);
    if (part->pending_control != 0 || part->spares_recalled) {
        return false;
    }
    request_end_overdue(queue, session);
    if (!stream_spares_give(queue, part)) {
        return false;
    }
    for (uint32_t i = 0; i < part->channel_count; i++) {
        if (part->poison_status == RS_OK && slot_consumer_pending(&part->channels[i]->requests)) {
            return false;
        }
    }
    if (!request_close_some(queue, session)) {
        return false;
    }
    for (uint32_t i = 0; i < part->channel_count; i++) {
        if (request_channel_listed(part->channels[i])) {
            return false;
        }
    }
    struct message message = {.kind = QUEUE_SESSION_ENDED, .session = session};
    if (!message_has_room(queue->to_control)) {
        return false;
    }
    queue_session_forget(queue, session);
    return request_forward(queue, &message);
}

bool request_channel_remove(struct queue *queue, struct dp_channel *channel)
{
    if (channel->pending_control != 0 || request_channel_busy(channel)) {
        return false;
    }
    struct message message = {
        .kind = QUEUE_CHANNEL_REMOVED, .session = channel->session, .channel = channel};
    if (!message_has_room(queue->to_control)) {
        return false;
    }
    queue_channel_forget(queue, channel);
    return request_forward(queue, &message);
}
