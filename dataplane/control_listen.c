/*
 * Listening stream sockets at the control thread: their parts on all queues with rings of accept
 * records, and the places that connections take: sockets with rings, opened ahead of time, a few
 * for each queue, since the poll loop allocates nothing. Control thread; called by
 * control_sockets.c with what the queues ask; calls session.c and the queues by messages.
 */
#include "dataplane/control_internal.h"

/* Of the accept rings: a line each. */
#define CONTROL_BACKLOG_MAX 4096u
/* In stock on a queue; and of a session's sockets, one in so many on all queues together. */
#define CONTROL_PLACES_MAX   64u
#define CONTROL_PLACES_SHARE 8u

/* ---- listen ---- */

static uint32_t listen_ring_bytes(uint32_t backlog)
{
    uint32_t bytes = 1u << ARENA_ORDER_MIN;
    while (bytes / RS_LINE_BYTES - 1 < backlog) {
        bytes *= 2;
    }
    return bytes;
}

static uint32_t listen_places(const struct control *control, const struct session_socket *record,
                              uint32_t backlog)
{
    uint32_t sockets = record->session->config->limit_sockets;
    uint32_t share = sockets / (CONTROL_PLACES_SHARE * control->queue_count);
    uint32_t most = share < CONTROL_PLACES_MAX ? share : CONTROL_PLACES_MAX;
    most = most != 0 ? most : 1;
    return backlog < most ? backlog : most;
}

/* Rings and parts, which stay with the socket also when this fails. */
static enum rs_status listen_make_parts(struct session_socket *record, uint32_t queue_count,
                                        uint32_t ring_bytes)
{
    struct dp_session *session = record->session;
    for (uint32_t i = 0; i < queue_count; i++) {
        enum rs_status status = RS_OK;
        if (record->recv_rings[i].size_bytes == 0) {
            status = session_ring_take(session, RS_EXTENT_DP, ring_bytes, &record->recv_rings[i]);
        }
        if (status == RS_OK && record->parts[i] == NULL) {
            struct dp_socket *part;
            status = session_socket_part(record, i, &part);
        }
        if (status != RS_OK) {
            return status;
        }
        record->parts[i]->recv_ring = record->recv_rings[i];
        record->parts[i]->recv_base = session_ring_touch(session, &record->recv_rings[i]);
        session->socket_descs[record->idx].recv[i] = record->recv_rings[i];
    }
    return RS_OK;
}

static enum rs_status listen_prepare(struct control *control, struct session_socket *record,
                                     struct message *message)
{
    struct rs_op_listen *op = &message->body.listen.op;
    const struct queue_config *config = &control->configs[0];
    if (record->session->state != SESSION_LIVE) {
        return RS_DATAPLANE_GONE;
    }
    op->backlog = op->backlog < CONTROL_BACKLOG_MAX ? op->backlog : CONTROL_BACKLOG_MAX;
    op->backlog = op->backlog != 0 ? op->backlog : 1;
    op->recv_ring_bytes = control_ring_bytes(op->recv_ring_bytes, config->recv_ring_bytes,
                                             config->recv_ring_max_bytes);
    op->send_ring_bytes = control_ring_bytes(op->send_ring_bytes, config->send_ring_bytes,
                                             config->send_ring_max_bytes);
    record->listen = *op;
    message->body.listen.places = listen_places(control, record, op->backlog);
    enum rs_status status = control_house_admits(record);
    if (status == RS_OK) {
        status = listen_make_parts(record, control->queue_count, listen_ring_bytes(op->backlog));
    }
    control->counts.refused_memory += status == RS_NO_BUFFERS;
    return status;
}

void control_listen(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    struct message listen = *message;
    enum rs_status status = listen_prepare(control, record, &listen);
    if (status == RS_NO_BUFFERS &&
        control_spares_recall(control, record->session, record->home_queue_idx, message)) {
        return;
    }
    control_step_begin(record, STEP_LISTEN, message);
    record->step_status = status;
    record->step_message.body = listen.body;
    if (record->step_status == RS_OK) {
        listen.kind = CONTROL_PART_LISTEN;
        record->live |= (1u << control->queue_count) - 1;
        record->step_waiting =
            control_step_tell(control, record, &listen, control_step_others(record));
    }
    if (record->step_waiting == 0) {
        control_step_finish(control, record);
    }
}

/* ---- places ---- */

/* NULL: the session has no room for another socket. */
static struct dp_socket *listen_make_place(struct control *control,
                                           const struct session_socket *record, uint32_t queue_idx)
{
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                                    .type = RS_SOCK_STREAM,
                                    .recv_ring_bytes = record->listen.recv_ring_bytes,
                                    .send_ring_bytes = record->listen.send_ring_bytes};
    struct session_socket *place;
    if (record->session->state != SESSION_LIVE ||
        (record->session->house && !control_house_has_room(record->session, record->payer_id))) {
        return NULL;
    }
    enum rs_status status = session_socket_open(record->session, queue_idx, &open, &place);
    if (status == RS_OK) {
        status = control_stream_take_rings(control, place);
        if (status == RS_OK) {
            place->payer_id = record->payer_id;
            return place->parts[queue_idx];
        }
        session_socket_free(place);
    }
    /* The part asks again. */
    (void)control_spares_recall(control, record->session, queue_idx, NULL);
    return NULL;
}

static void listen_push_place(struct control *control, struct session_socket *record,
                              uint32_t queue_idx)
{
    struct message answer = {
        .kind = CONTROL_PLACE, .session = record->session, .socket = record->parts[queue_idx]};
    answer.body.place = listen_make_place(control, record, queue_idx);
    control_push(control, queue_idx, &answer);
}

void control_listen_place(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    if (!record->parts_removed) { /* else the part is gone by the time an answer is there */
        listen_push_place(control, record, message->socket->queue_idx);
        control_spares_ahead(control, record->session, message->socket->queue_idx);
    }
}

void control_listen_places(struct control *control, struct session_socket *record, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        for (uint32_t i = 0; i < control->queue_count; i++) {
            listen_push_place(control, record, i);
        }
    }
}
