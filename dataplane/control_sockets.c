/*
 * What the queues ask of the control thread: indices, ports and ring memory for sockets; and what
 * they tell: violations, notices. A socket lives on its home queue, where its requests come; bind
 * gives it a part on every other queue, and what home changes (peer, options, memberships) is
 * spread to the parts before the client has its answer. Control thread; called by control.c; calls
 * session.c, ports.c and the queues by messages.
 *
 * A socket has one step at a time (enum socket_step): home asks for the next one, or closes, only
 * when it has its answer. Once a session is ending its parts leave the queues by themselves, so
 * from then on nothing but answers is sent to them.
 */
#include <assert.h>

#include "dataplane/control_internal.h"
#include "dataplane/log.h"
#include "rings/byteorder.h"

uint32_t control_ring_bytes(uint32_t asked, uint32_t usual, uint32_t most)
{
    if (asked == 0) {
        return usual;
    }
    uint32_t bytes = 1u << ARENA_ORDER_MIN;
    while (bytes < asked && bytes < most) {
        bytes *= 2;
    }
    return bytes;
}

/* ---- open
 * -----------------------------------------------------------------------------------------------
 */

static enum rs_status socket_open(const struct control *control, uint32_t queue_idx,
                                  const struct message *message, struct session_socket **out)
{
    struct rs_op_open open = message->body.open;
    const struct queue_config *config = &control->configs[0];
    if (open.family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (open.type != RS_SOCK_DGRAM && open.type != RS_SOCK_STREAM) {
        return RS_TYPE_NOT_SUPPORTED;
    }
    open.recv_ring_bytes = control_ring_bytes(open.recv_ring_bytes, config->recv_ring_bytes,
                                              config->recv_ring_max_bytes);
    open.send_ring_bytes = control_ring_bytes(open.send_ring_bytes, config->send_ring_bytes,
                                              config->send_ring_max_bytes);
    return session_socket_open(message->session, queue_idx, &open, out);
}

static void socket_message_open(struct control *control, uint32_t queue_idx,
                                const struct message *message)
{
    struct message answer = {
        .kind = CONTROL_OPENED, .session = message->session, .reply = message->reply};
    struct session_socket *record = NULL;
    enum rs_status status = socket_open(control, queue_idx, message, &record);
    if (status == RS_TOO_MANY_SOCKETS &&
        control_spares_recall(control, message->session, queue_idx, message)) {
        return;
    }
    answer.reply.status = (uint32_t)status;
    if (record != NULL) {
        answer.socket = record->parts[queue_idx];
        answer.reply.open.socket_idx = record->idx;
        answer.reply.open.generation = record->generation;
    }
    control_push(control, queue_idx, &answer);
    if (record != NULL && record->type == RS_SOCK_STREAM) {
        control_spares_ahead(control, message->session, queue_idx);
    }
}

/* ---- steps: bind, spread
 * -------------------------------------------------------------------------------- */

static uint32_t socket_bit(uint32_t queue_idx)
{
    return 1u << queue_idx;
}

uint32_t control_step_others(const struct session_socket *record)
{
    return record->live & ~socket_bit(record->home_queue_idx);
}

uint32_t control_step_tell(struct control *control, struct session_socket *record,
                           const struct message *message, uint32_t queues)
{
    uint32_t told = 0;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        if ((queues & socket_bit(i)) != 0) {
            struct message copy = *message;
            copy.session = record->session;
            copy.socket = record->parts[i];
            control_push(control, i, &copy);
            told++;
        }
    }
    return told;
}

void control_step_finish(struct control *control, struct session_socket *record)
{
    struct message answer = record->step_message;
    if (record->step == STEP_MOVE) { /* it says all, and of which session */
        record->step = STEP_NONE;
        control_push(control, record->home_queue_idx, &answer);
        control_share_moved(control, record);
        return;
    }
    answer.kind = answer.kind == QUEUE_BIND     ? CONTROL_BOUND
                  : answer.kind == QUEUE_LISTEN ? CONTROL_LISTENED
                                                : CONTROL_SPREAD_DONE;
    answer.socket = record->parts[record->home_queue_idx];
    answer.reply.status = (uint32_t)record->step_status;
    record->step = STEP_NONE;
    control_push(control, record->home_queue_idx, &answer);
    if (answer.kind == CONTROL_LISTENED && record->step_status == RS_OK) {
        control_listen_places(control, record, answer.body.listen.places);
    }
}

/* All parts have answered. A membership that one queue had no room for is taken back on the others,
 * and by home when it gets the answer. */
static void socket_step_answered(struct control *control, struct session_socket *record)
{
    struct message undo = record->step_message;
    bool failed = record->step_status != RS_OK && record->session->state == SESSION_LIVE;
    if (failed && record->step == STEP_SPREAD && undo.body.spread.op == RS_OP_MEMBER &&
        message_member_inverse(&undo.body.spread.member)) {
        undo.kind = CONTROL_SPREAD;
        record->step = STEP_UNDO;
        record->step_waiting = control_step_tell(control, record, &undo, record->step_done);
        if (record->step_waiting != 0) {
            return;
        }
    }
    if (failed && record->step == STEP_LISTEN) {
        undo.kind = CONTROL_PART_UNLISTEN;
        record->step = STEP_UNDO;
        record->step_waiting = control_step_tell(control, record, &undo, record->step_done);
        if (record->step_waiting != 0) {
            return;
        }
    }
    control_step_finish(control, record);
}

static void socket_message_part_done(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    if (record->step != STEP_UNDO) {
        if (message->reply.status == RS_OK) {
            record->step_done |= socket_bit(message->socket->queue_idx);
        } else if (record->step_status == RS_OK) {
            record->step_status = (enum rs_status)message->reply.status;
        }
    }
    if (--record->step_waiting == 0) {
        socket_step_answered(control, record);
    }
}

void control_step_begin(struct session_socket *record, enum socket_step step,
                        const struct message *message)
{
    assert(record->step == STEP_NONE);
    record->step = step;
    record->step_message = *message;
    record->step_status = RS_OK;
    record->step_waiting = 0;
    record->step_done = 0;
}

static void socket_message_spread(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    control_step_begin(record, STEP_SPREAD, message);
    if (record->session->state == SESSION_LIVE) {
        struct message spread = *message;
        spread.kind = CONTROL_SPREAD;
        record->step_waiting =
            control_step_tell(control, record, &spread, control_step_others(record));
    }
    if (record->step_waiting == 0) {
        control_step_finish(control, record);
    }
}

/* ---- bind
 * -----------------------------------------------------------------------------------------------
 */

enum rs_status control_take_rings(struct control *control, struct session_socket *record,
                                  uint32_t queues)
{
    struct dp_session *session = record->session;
    struct dp_socket *home = record->parts[record->home_queue_idx];
    enum rs_status status = RS_OK;
    /* Of a shared datagram socket each descriptor has one (share_dgram.c). */
    bool sends = !(session->house && record->type == RS_SOCK_DGRAM);
    for (uint32_t i = 0; i < control->queue_count && status == RS_OK; i++) {
        if ((queues & socket_bit(i)) != 0 && record->recv_rings[i].size_bytes == 0) {
            status = session_ring_take(session, RS_EXTENT_DP, record->recv_ring_bytes,
                                       &record->recv_rings[i]);
        }
    }
    if (status == RS_OK && record->send_ring.size_bytes == 0 && sends) {
        status =
            session_ring_take(session, RS_EXTENT_CL, record->send_ring_bytes, &record->send_ring);
    }
    if (status != RS_OK) {
        control->counts.refused_memory++;
        return status;
    }
    if (sends) {
        home->send_ring = record->send_ring;
        home->send_base = session_ring_touch(session, &record->send_ring);
    }
    home->recv_ring = record->recv_rings[record->home_queue_idx];
    home->recv_base = session_ring_touch(session, &home->recv_ring);
    return RS_OK;
}

static enum rs_status socket_make_parts(struct control *control, struct session_socket *record)
{
    for (uint32_t i = 0; i < control->queue_count; i++) {
        if (record->parts[i] == NULL) {
            struct dp_socket *part;
            enum rs_status status = session_socket_part(record, i, &part);
            if (status != RS_OK) {
                return status;
            }
            part->recv_ring = record->recv_rings[i];
            part->recv_base = session_ring_touch(record->session, &part->recv_ring);
        }
    }
    return RS_OK;
}

/* The table that the socket's port is in. */
static struct ports *socket_ports(const struct control *control,
                                  const struct session_socket *record)
{
    return record->type == RS_SOCK_STREAM ? control->tcp_ports : control->ports;
}

enum rs_status control_take_port(struct control *control, struct session_socket *record,
                                 uint32_t user_id, struct rs_addr *local, enum ports_share share)
{
    struct ports *ports = socket_ports(control, record);
    uint32_t ip_be32 = local->ip.v4_be32;
    bool group = record->type == RS_SOCK_DGRAM && (rs_be32(ip_be32) >> 28) == 14 /* 224.0.0.0/4 */;
    if (ip_be32 != 0 && !group && !stack_is_own_address(control->queues[0]->stack, ip_be32)) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    ports_release(ports, &record->port);
    return ports_bind(ports, &record->port, ip_be32, &local->port_be16, share, user_id);
}

static void socket_describe(const struct control *control, const struct session_socket *record,
                            const struct rs_addr *local)
{
    struct rs_socket_desc *desc = &record->session->socket_descs[record->idx];
    *desc = (struct rs_socket_desc){.local = *local,
                                    .generation = record->generation,
                                    .home_queue_idx = record->home_queue_idx,
                                    .type = RS_SOCK_DGRAM,
                                    .send = record->send_ring};
    for (uint32_t i = 0; i < control->queue_count; i++) {
        desc->recv[i] = record->recv_rings[i];
    }
}

static enum rs_status socket_bind(struct control *control, struct session_socket *record,
                                  struct message *message)
{
    struct rs_addr *local = &message->body.bind.addr;
    if (local->family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (record->session->state != SESSION_LIVE) {
        return RS_DATAPLANE_GONE;
    }
    enum rs_status status = control_house_admits(record);
    if (status == RS_OK) {
        status = control_take_rings(control, record, socket_bit(control->queue_count) - 1);
    }
    if (status == RS_OK) {
        status = socket_make_parts(control, record);
    }
    if (status == RS_OK) {
        status = control_take_port(control, record, message->session->user_id, local,
                                   (enum ports_share)message->body.bind.share);
    }
    if (status != RS_OK) {
        return status;
    }
    *local = rs_addr_v4(local->ip.v4_be32, local->port_be16);
    socket_describe(control, record, local);
    return RS_OK;
}

static void socket_message_bind(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    struct message bind = *message;
    enum rs_status status = socket_bind(control, record, &bind);
    if (status == RS_NO_BUFFERS &&
        control_spares_recall(control, record->session, record->home_queue_idx, message)) {
        return;
    }
    control_step_begin(record, STEP_BIND, message);
    record->step_status = status;
    record->step_message.body = bind.body; /* with the port that was found */
    if (record->step_status == RS_OK) {
        bind.kind = CONTROL_PART_ADD;
        record->live |= socket_bit(control->queue_count) - 1;
        record->step_waiting =
            control_step_tell(control, record, &bind, control_step_others(record));
    }
    if (record->step_waiting == 0) {
        control_step_finish(control, record);
    }
}

/* ---- close
 * ---------------------------------------------------------------------------------------------- */

/* No queue has a part of the socket any more. */
static void socket_gone(struct control *control, struct session_socket *record)
{
    struct message answer = {.kind = CONTROL_CLOSED, .reply = record->close_reply};
    uint32_t home_queue_idx = record->home_queue_idx;
    ports_release(socket_ports(control, record), &record->port);
    session_socket_free(record);
    if (answer.reply.channel != NULL) {
        answer.session = answer.reply.channel->session; /* which may be another than the socket's */
        control_push(control, home_queue_idx, &answer);
    }
}

static void socket_part_left(struct control *control, const struct dp_socket *part)
{
    struct session_socket *record = part->record;
    record->live &= ~socket_bit(part->queue_idx);
    if (record->live == 0) {
        socket_gone(control, record);
    }
}

static void socket_message_closed(struct control *control, const struct message *message)
{
    struct session_socket *record = message->socket->record;
    assert(record->step == STEP_NONE);
    record->close_reply = message->reply;
    if (record->session->state == SESSION_LIVE) {
        record->parts_removed = true;
        (void)control_step_tell(control, record, &(struct message){.kind = CONTROL_PART_REMOVE},
                                control_step_others(record));
    }
    socket_part_left(control, message->socket);
}

void control_sockets_drop(struct control *control, struct dp_session *session)
{
    control_spares_drop(session);
    for (uint32_t i = 0; i < session->config->limit_sockets; i++) {
        if (session->records[i] != NULL) {
            ports_release(socket_ports(control, session->records[i]), &session->records[i]->port);
            session_socket_free(session->records[i]);
        }
    }
}

/* ---- what queues tell
 * ------------------------------------------------------------------------------------ */

static void queue_message_notice(const struct message *message)
{
    const uint8_t *ip = (const uint8_t *)&message->body.notice.ip_be32;
    const uint8_t *mac = message->body.notice.mac;
    const char *text = "";
    switch (message->body.notice.kind) {
    case STACK_NOTICE_ADDRESS_CONFLICT:
        text = "another host uses our address; give this queue an [ip] address of its own";
        break;
    case STACK_NOTICE_NEIGHBOUR_DEAD:
        text = "neighbour does not answer ARP; datagrams to it are dropped";
        break;
    case STACK_NOTICE_SPOOFED_SOURCE:
        text = "a host sends packets with our address as source; they are dropped";
        break;
    default:
        text = "the stack noticed something it has no word for";
    }
    log_line(LOG_LEVEL_WARNING, "stack", "%s (%u.%u.%u.%u at %02x:%02x:%02x:%02x:%02x:%02x)", text,
             ip[0], ip[1], ip[2], ip[3], mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void queue_message_poisoned(struct control *control, const struct message *message)
{
    struct dp_session *session = message->session;
    control->counts.poisoned++;
    log_line(LOG_LEVEL_WARNING, "session",
             "%llu: pid %u broke the protocol: %s; its session is ended",
             (unsigned long long)session->id, session->process.pid, message->body.poison_text);
    control_session_end(control, session);
}

/* The part at home counts the generations of a socket that was a spare (stream_spare.c). */
static void queue_message_learn(const struct message *message)
{
    if (message->socket != NULL && message->socket->home) {
        message->socket->record->generation = message->socket->generation;
    }
}

static void socket_message(struct control *control, uint32_t queue_idx,
                           const struct message *message)
{
    switch (message->kind) {
    case QUEUE_OPEN:
        socket_message_open(control, queue_idx, message);
        break;
    case QUEUE_BIND:
        if (message->socket->record->type == RS_SOCK_STREAM) {
            control_stream_bind(control, message);
        } else {
            socket_message_bind(control, message);
        }
        break;
    case QUEUE_LISTEN:
        control_listen(control, message);
        break;
    case QUEUE_PLACE:
        control_listen_place(control, message);
        break;
    case QUEUE_RINGS:
        control_stream_rings(control, message);
        break;
    case QUEUE_ACCEPTED:
        control_accepted(control, message);
        break;
    case QUEUE_SPREAD:
        socket_message_spread(control, message);
        break;
    case QUEUE_PART_DONE:
        socket_message_part_done(control, message);
        break;
    case QUEUE_CLOSED:
        socket_message_closed(control, message);
        break;
    case QUEUE_PART_REMOVED:
        socket_part_left(control, message->socket);
        break;
    default:
        assert(!"a message for a queue came to the control thread");
    }
}

void control_message(struct control *control, uint32_t queue_idx, const struct message *message)
{
    queue_message_learn(message);
    switch (message->kind) {
    case QUEUE_SHARE:
        control_share(control, message);
        break;
    case QUEUE_SHARE_OPEN:
        control_share_open(control, queue_idx, message);
        break;
    case QUEUE_SHARE_ACCEPT:
        control_share_accept(control, queue_idx, message);
        break;
    case QUEUE_UNSHARE:
        control_unshare(control, message);
        break;
    case QUEUE_UNSHARED:
        control_unshared(control, message);
        break;
    case QUEUE_SPARES_GIVEN:
        control_spares_given(control, message->session);
        break;
    case QUEUE_CHANNEL_REMOVED:
        control_channel_removed(control, message);
        break;
    case QUEUE_SESSION_ENDED:
        control_session_ended(control, message->session);
        break;
    case QUEUE_CAPTURE_STOPPED:
        control_capture_stopped(control);
        break;
    case QUEUE_POISONED:
        queue_message_poisoned(control, message);
        break;
    case QUEUE_REPORTED:
        control_asking_reported(control, queue_idx);
        break;
    case QUEUE_NOTICE:
        queue_message_notice(message);
        break;
    default:
        socket_message(control, queue_idx, message);
    }
}
