/*
 * Stream sockets at the control thread: their ports, and rings when a connection is to be made.
 * Control thread; called by control_sockets.c with what the queues ask; calls session.c, ports.c
 * and the queues by messages.
 */
#include "dataplane/control_internal.h"

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
                                  struct rs_addr *local, enum ports_share share)
{
    if (local->family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (record->session->state != SESSION_LIVE) {
        return RS_DATAPLANE_GONE;
    }
    enum rs_status status = control_take_port(control, record, local, share);
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
        stream_bind(control, record, &bind.body.bind.addr, (enum ports_share)bind.body.bind.share);
    stream_answer(control, record, &bind, CONTROL_BOUND, status);
}

/* ---- rings ---- */

enum rs_status control_stream_take_rings(struct control *control, struct session_socket *record)
{
    struct dp_session *session = record->session;
    struct dp_socket *home = record->parts[record->home_queue_idx];
    struct rs_ring_ref *recv_ring = &record->recv_rings[record->home_queue_idx];
    enum rs_status status = RS_OK;
    if (recv_ring->size_bytes == 0) {
        status = session_ring_take(session, RS_EXTENT_DP, record->recv_ring_bytes, recv_ring);
    }
    if (status == RS_OK && record->send_ring.size_bytes == 0) {
        status =
            session_ring_take(session, RS_EXTENT_CL, record->send_ring_bytes, &record->send_ring);
    }
    if (status != RS_OK) {
        control->counts.refused_memory++;
        return status;
    }
    home->send_ring = record->send_ring;
    home->send_base = session_ring_touch(session, &record->send_ring);
    home->recv_ring = *recv_ring;
    home->recv_base = session_ring_touch(session, recv_ring);
    return RS_OK;
}

void control_stream_rings(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    enum rs_status status = record->session->state == SESSION_LIVE
                                ? control_stream_take_rings(control, record)
                                : RS_DATAPLANE_GONE;
    stream_answer(control, record, message, CONTROL_RINGS, status);
}
