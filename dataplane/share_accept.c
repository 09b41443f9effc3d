/*
 * Listening sockets that several processes have, see share.h: the core listens, in the house, with
 * places there. Who accepts (SHARE_RECV) gets the connection of the next accept record: the control
 * thread finds a place in the asker's session, the connection's queue moves it there, home answers.
 * One at a time for each listener. Queue thread; called by share.c and request_control.c; calls
 * share_move.c and stream*.c.
 *
 * Connections that waited when the listener was shared are sockets of the session that shared it,
 * until somebody accepts them; to that session they go without a move.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/share.h"

static struct message_accept accept_meant(const struct dp_share *share,
                                          const struct dgram_view *view, uint32_t queue_idx)
{
    const struct dp_socket *part = share->core->record->parts[queue_idx];
    const struct dp_stream *stream = part->stream;
    const struct dp_session *house = share->core->session;
    struct rs_accept accept;
    memcpy(&accept, view->payload, sizeof(accept));
    /* The part's queue wrote early_* before it answered the move, and does again when it has seen
     * that the last one of them is taken. */
    bool early = (share->early_queues & 1u << queue_idx) != 0;
    return (struct message_accept){.share = NULL,
                                   .session_id = early ? stream->early_id : house->id,
                                   .session_slot = early ? stream->early_slot : house->slot,
                                   .idx = accept.socket_idx,
                                   .generation = accept.generation,
                                   .queue_idx = queue_idx};
}

struct dp_socket *share_accept_find(const struct queue *queue, const struct message_accept *accept)
{
    const struct dp_session *session =
        queue_session_find(queue, accept->session_slot, accept->session_id);
    struct dp_socket *socket =
        session != NULL ? queue_part(queue, session)->sockets[accept->idx] : NULL;
    bool there = socket != NULL && socket->generation == accept->generation && !socket->closing &&
                 socket->stream != NULL && socket->stream->waits;
    return there ? socket : NULL;
}

enum outcome share_accept(struct queue *queue, struct dp_socket *socket,
                          struct message_reply *reply)
{
    struct dp_share *share = socket->share;
    struct message message = {
        .kind = QUEUE_SHARE_ACCEPT, .session = socket->session, .socket = socket, .reply = *reply};
    struct dgram_view view;
    uint32_t queue_idx;
    const struct dgram_reader *reader = share_dgram_next(share, &view, &queue_idx);
    if (reader == NULL) {
        reply->accept = (struct rs_accept){.generation = 0};
        return stream_answer(queue, reply, RS_OK);
    }
    message.body.accept = accept_meant(share, &view, queue_idx);
    message.body.accept.share = share;
    const struct dp_socket *meant =
        queue_idx == queue->idx ? share_accept_find(queue, &message.body.accept) : NULL;
    if (meant != NULL && meant->stream->local.on) { /* it may read where the other end writes */
        message.body.accept.recv_bytes = meant->stream->local.recv.size_bytes;
    }
    if (socket->part->bytes_left <= 0 || !request_may_forward(queue, socket->part) ||
        !request_forward(queue, &message)) {
        return OUTCOME_LATER;
    }
    share->core->with_control = true;
    return OUTCOME_DONE;
}

void share_accept_move(struct queue *queue, const struct message *message)
{
    const struct message_accept *accept = &message->body.accept;
    struct message done = *message;
    struct dp_socket *socket = share_accept_find(queue, accept);
    done.kind = QUEUE_ACCEPTED;
    done.reply.status = socket != NULL ? RS_OK : RS_NOT_SOCKET;
    const struct stream_local *local = socket != NULL ? &socket->stream->local : NULL;
    if (local != NULL && local->on &&
        local->recv.size_bytes != accept->place.recv_ring.size_bytes) {
        /* Both ends are of the program that shared the listener, with one ring of another size than
         * its own, on another queue than the listener's home: there is no place for it. */
        stream_orphan(queue, socket);
        stream_local_leave(queue, socket, true, 0);
        done.reply.status = RS_NOT_SOCKET;
    } else if (socket != NULL) {
        done.body.accept.borrower = share_is_lent(socket) ? local->borrower : NULL;
        share_move(queue, socket, &accept->place, queue_part(queue, accept->place.session), true);
        socket->stream->waits = false;
        stream_consumed(queue, socket);
    }
    bool told = message_push(queue->to_control, &done);
    assert(told); /* queue_messages takes a message only when there is room for its answer */
    queue->control_told |= told;
}

void share_accepted(struct queue *queue, const struct message *message, struct message_reply *reply)
{
    const struct message_accept *accept = &message->body.accept;
    struct dp_share *share = accept->share;
    struct dgram_reader *reader = &share->records[accept->queue_idx];
    bool stays = accept->place.session == NULL;
    share->core->with_control = false;
    if (reply->status == RS_OK || reply->status == RS_NOT_SOCKET) {
        struct dgram_view view;
        enum rs_status status = dgram_reader_peek(reader, &view);
        assert(status == RS_OK); /* it is still there: accepts take turns */
        (void)status;
        share_dgram_consume(queue, share, &view, accept->queue_idx);
        share_mirror(share);
    }
    reply->accept = (struct rs_accept){.generation = 0}; /* gone: look again */
    if (reply->status == RS_OK) {
        reply->accept.socket_idx = stays ? accept->idx : accept->place.idx;
        reply->accept.generation = stays ? accept->generation : accept->place.generation;
    } else if (reply->status == RS_NOT_SOCKET) {
        reply->status = RS_OK;
    }
}
