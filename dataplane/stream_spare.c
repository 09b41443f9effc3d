/*
 * Spares: closed stream sockets that a queue keeps, a bounded number for each session, with index,
 * rings of the usual size and all; and a few that the control thread made ahead of time. OPEN and a
 * listener's places take them, so a program that opens and closes connections again and again has
 * nothing of it go by the control thread. Queue thread. Called by request_control.c, request_end.c,
 * stream_listen.c, queue.c.
 *
 * To the control thread a spare is a socket at home here, as before, but for its generation, which
 * this queue counts on (control_message takes it over with the next message about the socket). It
 * asks for them all back (CONTROL_SPARES_BACK) when a session's indices or memory are short, and a
 * session's end gives them back.
 */
#include "dataplane/stream.h"

/* As a fresh one, but for what stays: index, memory, rings. Whatever is looked at by other threads
 * is an atomic. */
static void spare_refresh(struct dp_socket *socket)
{
    socket->generation = socket->generation + 1 != 0 ? socket->generation + 1 : 1;
    socket->happened = socket->hint_happened = 0;
    socket->posted = false;
    socket->post_position = 0;
    socket->post_channel = NULL;
    socket->closing = socket->orphan = socket->with_control = false;
    socket->reuse = socket->exclusive = false;
    socket->recv_limit_bytes = 0;
    atomic_store_explicit(&socket->local_name, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->peer_name, 0, memory_order_relaxed);
    *socket->stream = (struct dp_stream){.conn = NULL};
}

static void spare_count(struct session_part *part, uint32_t count)
{
    /* relaxed: partner is the control thread, which only asks whether there are any */
    atomic_store_explicit(&part->spare_count, count, memory_order_relaxed);
}

void stream_spare_add(struct dp_socket *socket)
{
    struct session_part *part = socket->part;
    socket->stream->place_next = part->spares;
    part->spares = socket;
    spare_count(part, atomic_load_explicit(&part->spare_count, memory_order_relaxed) + 1);
    atomic_store_explicit(&socket->spare, 1, memory_order_relaxed);
}

bool stream_spare_keep(const struct queue *queue, struct dp_socket *socket)
{
    struct session_part *part = socket->part;
    uint32_t count = atomic_load_explicit(&part->spare_count, memory_order_relaxed);
    if (socket->stream == NULL || !socket->home || socket->stream->bound ||
        socket->stream->local.inherits || count >= socket->session->spares_max ||
        part->spares_recalled || part->orphans_until_tsc != 0 || part->poison_status != RS_OK ||
        socket->recv_ring.size_bytes != queue->config->recv_ring_bytes ||
        socket->send_ring.size_bytes != queue->config->send_ring_bytes) {
        return false;
    }
    spare_refresh(socket);
    stream_spare_add(socket);
    return true;
}

struct dp_socket *stream_spare_take(struct session_part *part)
{
    struct dp_socket *socket = part->spares;
    if (socket != NULL) {
        part->spares = socket->stream->place_next;
        socket->stream->place_next = NULL;
        spare_count(part, atomic_load_explicit(&part->spare_count, memory_order_relaxed) - 1);
        atomic_store_explicit(&socket->spare, 0, memory_order_relaxed);
    }
    return socket;
}

bool stream_spares_give(struct queue *queue, struct session_part *part)
{
    while (part->spares != NULL && message_has_room(queue->to_control)) {
        struct dp_socket *socket = stream_spare_take(part);
        struct message message = {.kind = QUEUE_CLOSED, .session = part->session, .socket = socket};
        (void)request_forward(queue, &message); /* there was room */
    }
    return part->spares == NULL;
}

void stream_spares_recall(struct queue *queue, struct session_part *part)
{
    part->spares_recalled = true;
    queue->recalled_count++;
}

void stream_spares_settle(struct queue *queue)
{
    for (uint32_t i = 0; queue->recalled_count != 0 && i < queue->session_count; i++) {
        struct session_part *part = queue_part(queue, queue->sessions[i]);
        struct message message = {.kind = QUEUE_SPARES_GIVEN, .session = part->session};
        if (part->spares_recalled && stream_spares_give(queue, part) &&
            request_forward(queue, &message)) {
            part->spares_recalled = false;
            queue->recalled_count--;
        }
    }
}
