/*
 * Stream sockets at the control thread: their ports, rings when a connection is to be made, and the
 * spares that queues keep of them. Control thread; called by control_sockets.c with what the queues
 * ask; calls session.c, ports.c and the queues by messages.
 */
#include <stdlib.h>

#include "dataplane/control_internal.h"

/* Made ahead of time at once, at most; and one for so many that the session has. */
#define CONTROL_AHEAD_MAX   32u
#define CONTROL_AHEAD_SHARE 8u

static void stream_answer(struct control *control, const struct session_socket *record,
                          const struct message *question, enum message_kind kind,
                          enum rs_status status)
{
    struct message answer = *question;
    answer.kind = kind;
    answer.reply.status = (uint32_t)status;
    control_push(control, record->home_queue_idx, &answer);
}

/* ---- bind ---- */

static enum rs_status stream_bind(struct control *control, struct session_socket *record,
                                  uint32_t user_id, struct rs_addr *local, enum ports_share share)
{
    if (local->family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (record->session->state != SESSION_LIVE) {
        return RS_DATAPLANE_GONE;
    }
    enum rs_status status = control_take_port(control, record, user_id, local, share);
    if (status == RS_OK) {
        *local = rs_addr_v4(local->ip.v4_be32, local->port_be16);
        record->session->socket_descs[record->idx] =
            (struct rs_socket_desc){.local = *local,
                                    .generation = record->generation,
                                    .home_queue_idx = record->home_queue_idx,
                                    .type = RS_SOCK_STREAM};
    }
    return status;
}

void control_stream_bind(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    struct message bind = *message;
    enum rs_status status =
        stream_bind(control, record, message->session->user_id, &bind.body.bind.addr,
                    (enum ports_share)bind.body.bind.share);
    stream_answer(control, record, &bind, CONTROL_BOUND, status);
}

/* ---- rings ---- */

enum rs_status control_stream_take_rings(struct control *control, struct session_socket *record)
{
    return control_take_rings(control, record, 1u << record->home_queue_idx);
}

void control_stream_rings(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    enum rs_status status =
        record->session->state == SESSION_LIVE ? control_house_admits(record) : RS_DATAPLANE_GONE;
    if (status == RS_OK) {
        status = control_stream_take_rings(control, record);
    }
    if (status == RS_NO_BUFFERS &&
        control_spares_recall(control, record->session, record->home_queue_idx, message)) {
        return;
    }
    stream_answer(control, record, message, CONTROL_RINGS, status);
}

/* ---- spares: of each queue's stock this thread knows only how many there are ---- */

static void spares_call(struct control *control, struct dp_session *session)
{
    for (uint32_t i = 0; i < control->queue_count; i++) {
        /* relaxed: what comes to the stock behind this look is for the next call */
        if (atomic_load_explicit(&session->parts[i].spare_count, memory_order_relaxed) != 0) {
            session->recalls_left++;
            control_push(control, i,
                         &(struct message){.kind = CONTROL_SPARES_BACK, .session = session});
        }
    }
}

/* Who opens many gets some ahead of time, so that not each of them waits for this thread, which may
 * share its processor: one in CONTROL_AHEAD_SHARE of what the session has, while it has less than
 * half of what it may have. So none of these is missed when it is recalled. */
void control_spares_ahead(struct control *control, struct dp_session *session, uint32_t queue_idx)
{
    const struct queue_config *config = session->config;
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                                    .type = RS_SOCK_STREAM,
                                    .recv_ring_bytes = config->recv_ring_bytes,
                                    .send_ring_bytes = config->send_ring_bytes};
    if (session->house) {
        return; /* it keeps none */
    }
    uint32_t taken = config->limit_sockets - session->free_socket_count;
    uint32_t count = taken / CONTROL_AHEAD_SHARE;
    count = count < CONTROL_AHEAD_MAX ? count : CONTROL_AHEAD_MAX;
    uint32_t there =
        atomic_load_explicit(&session->parts[queue_idx].spare_count, memory_order_relaxed);
    for (uint32_t i = there; i < count && session->state == SESSION_LIVE; i++) {
        struct session_socket *record;
        if (session->free_socket_count <= config->limit_sockets / 2 ||
            session->memory_bytes > config->limit_memory_bytes / 2 ||
            session_socket_open(session, queue_idx, &open, &record) != RS_OK) {
            return;
        }
        if (control_stream_take_rings(control, record) != RS_OK) {
            session_socket_free(record);
            return;
        }
        control_push(control, queue_idx,
                     &(struct message){.kind = CONTROL_SPARE,
                                       .session = session,
                                       .socket = record->parts[queue_idx]});
    }
}

bool control_spares_recall(struct control *control, struct dp_session *session, uint32_t queue_idx,
                           const struct message *message)
{
    if (session->state != SESSION_LIVE) {
        return false; /* nothing but answers is sent any more */
    }
    struct control_deferred *waiting = NULL;
    if (message != NULL) {
        waiting = malloc(sizeof(*waiting));
        if (waiting == NULL) {
            return false;
        }
        *waiting = (struct control_deferred){.queue_idx = queue_idx, .message = *message};
    }
    if (session->recalls_left == 0) {
        spares_call(control, session);
    }
    if (session->recalls_left == 0 || waiting == NULL) {
        free(waiting);
        return false;
    }
    struct control_deferred **link = &session->recall_first;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = waiting;
    return true;
}

void control_spares_given(struct control *control, struct dp_session *session)
{
    if (--session->recalls_left != 0) {
        return;
    }
    struct control_deferred *waiting = session->recall_first;
    session->recall_first = NULL; /* some may come to wait again */
    while (waiting != NULL) {
        struct control_deferred *next = waiting->next;
        control_message(control, waiting->queue_idx, &waiting->message);
        free(waiting);
        waiting = next;
    }
}

void control_spares_drop(struct dp_session *session)
{
    while (session->recall_first != NULL) {
        struct control_deferred *waiting = session->recall_first;
        session->recall_first = waiting->next;
        free(waiting);
    }
}
