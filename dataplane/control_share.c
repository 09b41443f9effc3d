/*
 * Shared sockets at the control thread, see share.h: the house, which is made with the first of
 * them; tokens, each good for one descriptor of one process; the records of sockets that move, and
 * the memory they need. Control thread; called by control_sockets.c with what the queues ask, and
 * by the clock; calls session.c and the queues by messages.
 *
 * A token keeps the connection alive as a descriptor does, so that a program may close its own one
 * before the other has opened it; for CONTROL_TOKEN_NS, or until the process that may open it ends.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/control_internal.h"
#include "dataplane/log.h"
#include "dataplane/share.h"

#define CONTROL_TOKEN_NS   60000000000u
#define CONTROL_TOKENS_MAX 64u /* of one session, not opened yet */
#define HOUSE_IDLE_WATCHES 10u /* a second */

struct control_token_entry {
    struct control_token_entry *next;
    struct rs_share_token token;
    uint64_t id;
    struct os_process process; /* who may open it; watched, unless its handle is -1 */
    uint64_t session_id;       /* who granted it */
    uint64_t expires_ns;
    struct session_socket *core; /* lives as long as the token */
    struct dp_share *share;
    bool moving;   /* the core's parts are on their way: no queue knows of the token yet */
    bool forsaken; /* its process ended meanwhile */
};

/* ---- the house ---- */

static enum rs_status house_open(struct control *control)
{
    if (control->house != NULL) {
        return RS_OK;
    }
    enum rs_status status =
        control_session_make(control, control->configs[0].limit_sessions, &control->house);
    if (status != RS_OK) {
        return status;
    }
    control->house->house = true;
    control->house->spares_max = 0;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        control_push(control, i,
                     &(struct message){.kind = CONTROL_SESSION_ADD, .session = control->house});
    }
    return RS_OK;
}

/* Of its own: the process need not have attached, and may detach before it ends. Where the system
 * does not let us, the clock decides alone. RS_INVALID: there is no such process. */
static enum rs_status token_watch(struct control *control, struct control_token_entry *entry,
                                  uint32_t pid)
{
    enum rs_status status = os_process_open(pid, &entry->process);
    if (status == RS_OK && os_poller_add(control->poller, OS_SOURCE_PROCESS, &entry->process,
                                         control_token(SOURCE_GRANTEE, entry->id)) != RS_OK) {
        os_process_close(&entry->process);
    }
    return status == RS_DATAPLANE_GONE || status == RS_INVALID ? RS_INVALID : RS_OK;
}

static void token_free(struct control *control, struct control_token_entry *entry)
{
    if (entry != NULL && entry->process.handle != -1) {
        os_poller_remove(control->poller, OS_SOURCE_PROCESS, &entry->process);
        os_process_close(&entry->process);
    }
    free(entry);
}

static void tokens_forget(struct control *control)
{
    while (control->tokens != NULL) {
        struct control_token_entry *entry = control->tokens;
        control->tokens = entry->next;
        token_free(control, entry);
    }
}

void control_house_end(struct control *control)
{
    tokens_forget(control); /* they keep nothing alive any more */
    if (control->house != NULL) {
        control_session_end(control, control->house);
    }
}

bool control_house_ended(const struct control *control)
{
    return control->house == NULL || control->house->state == SESSION_ENDED;
}

void control_house_drop(struct control *control)
{
    tokens_forget(control);
    if (control->house != NULL) {
        control_sockets_drop(control, control->house);
        session_destroy(control->house);
        control->house = NULL;
    }
}

/* ---- a socket becomes one of the house ---- */

/* A session may have so much of the house's sockets and memory, whoever has the sockets now. */
#define HOUSE_SHARE 4u

bool control_house_has_room(const struct dp_session *house, uint64_t session_id)
{
    const struct queue_config *config = house->config;
    uint32_t sockets = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < config->limit_sockets; i++) {
        const struct session_socket *record = house->records[i];
        if (record == NULL || record->payer_id != session_id) {
            continue;
        }
        sockets++;
        bytes += record->send_ring.size_bytes;
        for (uint32_t queue_idx = 0; queue_idx < RS_QUEUES_MAX; queue_idx++) {
            bytes += record->recv_rings[queue_idx].size_bytes;
        }
    }
    /* What is there stays below; the one that comes may reach beyond it. */
    return sockets < config->limit_sockets / HOUSE_SHARE + 1 &&
           bytes < config->limit_memory_bytes / HOUSE_SHARE;
}

enum rs_status control_house_admits(const struct session_socket *record)
{
    const struct dp_session *session = record->session;
    return !session->house || control_house_has_room(session, record->payer_id) ? RS_OK
                                                                                : RS_NO_BUFFERS;
}

/* Rings that a socket is to have elsewhere: of a datagram socket one for each queue. */
struct share_rings {
    struct rs_ring_ref recv[RS_QUEUES_MAX], send; /* size 0: none */
};

static void share_rings_give(struct dp_session *session, struct share_rings *rings)
{
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        session_ring_give(session, RS_EXTENT_DP, &rings->recv[i]);
    }
    session_ring_give(session, RS_EXTENT_CL, &rings->send);
}

/* Of the sizes that *rings says; in the order of queues. */
static enum rs_status share_rings_take(struct control *control, struct dp_session *session,
                                       struct share_rings *rings)
{
    struct share_rings sizes = *rings;
    enum rs_status status = RS_OK;
    *rings = (struct share_rings){.send = {.size_bytes = 0}};
    for (uint32_t i = 0; i < RS_QUEUES_MAX && status == RS_OK; i++) {
        if (sizes.recv[i].size_bytes != 0) {
            status =
                session_ring_take(session, RS_EXTENT_DP, sizes.recv[i].size_bytes, &rings->recv[i]);
        }
    }
    if (status == RS_OK && sizes.send.size_bytes != 0) {
        status = session_ring_take(session, RS_EXTENT_CL, sizes.send.size_bytes, &rings->send);
    }
    if (status != RS_OK) {
        share_rings_give(session, rings);
        control->counts.refused_memory++;
    }
    return status;
}

/* What the queue of a part is told of its rings. */
static struct message_place share_place(const struct session_socket *record, uint32_t queue_idx)
{
    struct message_place place = {.session = record->session,
                                  .idx = record->idx,
                                  .generation = record->generation,
                                  .recv_ring = record->recv_rings[queue_idx]};
    if (place.recv_ring.size_bytes != 0) { /* else it has none yet */
        place.recv_base = session_ring_touch(place.session, &place.recv_ring);
    }
    if (queue_idx == record->home_queue_idx && record->send_ring.size_bytes != 0) {
        place.send_ring = record->send_ring;
        place.send_base = session_ring_touch(place.session, &place.send_ring);
    }
    return place;
}

/* What a LISTEN that failed left, where no queue has seen it. */
static void share_forget_parts(struct session_socket *core)
{
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if (core->parts[i] != NULL && (core->live & 1u << i) == 0) {
            free(core->parts[i]->allocation);
            core->parts[i] = NULL;
        }
    }
}

/* The core's parts on other queues go first, then home gets its answer, which tells it to. */
static void share_move_parts(struct control *control, struct session_socket *core,
                             struct message *answer)
{
    uint32_t home_idx = core->home_queue_idx;
    share_forget_parts(core);
    answer->body.share.place = share_place(core, home_idx);
    control_step_begin(core, STEP_MOVE, answer);
    for (uint32_t i = 0; i < control->queue_count; i++) {
        if (i != home_idx && core->parts[i] != NULL) {
            struct message move = {
                .kind = CONTROL_PART_MOVE, .session = core->session, .socket = core->parts[i]};
            move.body.share.place = share_place(core, i);
            core->step_waiting++;
            control_push(control, i, &move);
        }
    }
    if (core->step_waiting == 0) {
        control_step_finish(control, core);
    }
}

/* Its rings: the socket's, or of the usual sizes where it had none yet. */
static enum rs_status share_descriptor_rings(struct control *control, struct session_socket *record,
                                             const struct session_socket *core)
{
    struct dp_socket *part = record->parts[record->home_queue_idx];
    if (core->recv_rings[record->home_queue_idx].size_bytes == 0) {
        return control_stream_take_rings(control, record);
    }
    memcpy(record->recv_rings, core->recv_rings, sizeof(record->recv_rings));
    part->send_ring = record->send_ring;
    if (part->send_ring.size_bytes != 0) { /* else it listens */
        part->send_base = session_ring_touch(record->session, &part->send_ring);
    }
    part->recv_ring = record->recv_rings[record->home_queue_idx];
    part->recv_base = session_ring_touch(record->session, &part->recv_ring);
    return RS_OK;
}

/* The record of the descriptor that stays where the socket was, with the socket's rings; but a send
 * ring that the other end reads becomes that one's, and there is another one. */
static enum rs_status share_first_descriptor(struct control *control, struct session_socket *core,
                                             const struct dp_socket *borrower,
                                             struct session_socket **out)
{
    struct dp_session *session = core->session;
    struct rs_ring_ref send_ring = core->send_ring;
    struct dp_socket *part;
    struct session_socket *record = calloc(1, sizeof(*record));
    enum rs_status status = record != NULL ? RS_OK : RS_NO_MEMORY;
    if (status == RS_OK && borrower != NULL) {
        status = session_ring_take(session, RS_EXTENT_CL, send_ring.size_bytes, &send_ring);
    }
    if (status != RS_OK) {
        goto free_record;
    }
    record->session = session;
    record->idx = core->idx;
    record->generation = core->generation;
    record->type = core->type;
    record->home_queue_idx = core->home_queue_idx;
    record->recv_ring_bytes = core->recv_ring_bytes;
    record->send_ring_bytes = core->send_ring_bytes;
    record->send_ring = send_ring;
    status = session_socket_part(record, core->home_queue_idx, &part);
    if (status != RS_OK) {
        goto give_ring;
    }
    status = share_descriptor_rings(control, record, core);
    if (status != RS_OK) {
        goto free_part;
    }
    if (borrower != NULL) {
        /* Left from an earlier life: closed while its writer was on its way, it became a spare. */
        session_ring_give(session, RS_EXTENT_CL, &borrower->record->lent_ring);
        borrower->record->lent_ring = core->send_ring;
    }
    record->live = 1u << core->home_queue_idx;
    record->lent_ring = core->lent_ring;
    core->lent_ring = (struct rs_ring_ref){.size_bytes = 0};
    part->home = true;
    *out = record;
    return RS_OK;

free_part:
    free(part->allocation);
    session_ring_give(session, RS_EXTENT_DP, &record->recv_rings[record->home_queue_idx]);
give_ring:
    if (borrower != NULL) {
        session_ring_give(session, RS_EXTENT_CL, &send_ring);
    }
free_record:
    free(record);
    return status;
}

static void share_use_rings(struct session_socket *core, const struct share_rings *rings)
{
    memcpy(core->recv_rings, rings->recv, sizeof(core->recv_rings));
    core->send_ring = rings->send;
}

/* The record of the core in the house. */
static void share_house_enter(struct dp_session *house, struct session_socket *core,
                              const struct share_rings *rings)
{
    uint32_t idx = house->free_sockets[--house->free_socket_count];
    core->session = house;
    core->idx = idx;
    core->generation = house->generations[idx] + 1 != 0 ? house->generations[idx] + 1 : 1;
    share_use_rings(core, rings);
    house->generations[idx] = core->generation;
    house->records[idx] = core;
    /* The words of a socket that was there before; no queue knows the place yet. */
    rs_socket_client_reset((struct rs_socket_client *)(uintptr_t)&house->socket_clients[idx]);
}

static enum rs_status share_make(struct control *control, struct session_socket *core,
                                 struct message *answer)
{
    struct dp_session *session = core->session;
    struct dp_session *house = control->house;
    struct share_rings rings = {.send = {.size_bytes = 0}};
    struct dp_socket *borrower = answer->body.share.borrower;
    struct session_socket *first;
    if (house->free_socket_count == 0 || !control_house_has_room(house, session->id)) {
        return RS_NO_BUFFERS;
    }
    /* Both ends were asked for: the other one goes to the house before this one, and has a ring of
     * its own by then. */
    if (borrower != NULL && borrower->record->session != session) {
        borrower = NULL;
    }
    struct dp_share *share = calloc(1, sizeof(*share));
    if (share == NULL) {
        return RS_NO_MEMORY;
    }
    if (answer->body.share.recv_bytes != 0) { /* a connection */
        rings.recv[core->home_queue_idx].size_bytes = answer->body.share.recv_bytes;
        rings.send = core->send_ring;
    } else {
        memcpy(rings.recv, core->recv_rings, sizeof(rings.recv));
    }
    enum rs_status status = share_rings_take(control, house, &rings);
    if (status != RS_OK) {
        goto free_share;
    }
    status = share_first_descriptor(control, core, borrower, &first);
    if (status != RS_OK) {
        goto give_rings;
    }
    share_house_enter(house, core, &rings);
    session->records[first->idx] = first;
    core->payer_id = session->id;
    core->share = share;
    answer->body.share.share = share;
    answer->body.share.descriptor = first->parts[first->home_queue_idx];
    return RS_OK;

give_rings:
    share_rings_give(house, &rings);
free_share:
    free(share);
    return status;
}

/* ---- and one of its last process again ---- */

void control_unshare(struct control *control, const struct message *message)
{
    struct message answer = *message;
    struct session_socket *descriptor = message->socket->record;
    struct session_socket *core = message->body.share.share->core->record;
    /* Where it was a datagram socket without rings to send from, it gets the descriptor's size. */
    struct share_rings rings = {.send = core->type == RS_SOCK_STREAM ? core->send_ring
                                                                     : descriptor->send_ring};
    memcpy(rings.recv, core->recv_rings, sizeof(rings.recv));
    answer.kind = CONTROL_UNSHARED;
    enum rs_status status = message->session->state == SESSION_LIVE
                                ? share_rings_take(control, message->session, &rings)
                                : RS_DATAPLANE_GONE;
    if (status == RS_NO_BUFFERS &&
        control_spares_recall(control, message->session, descriptor->home_queue_idx, message)) {
        return;
    }
    answer.reply.status = (uint32_t)status;
    if (status != RS_OK) {
        control_push(control, descriptor->home_queue_idx, &answer);
        return;
    }
    control->house->records[core->idx] = NULL;
    memcpy(core->share->house_rings, core->recv_rings, sizeof(core->recv_rings));
    core->session = descriptor->session;
    core->idx = descriptor->idx;
    core->generation = descriptor->generation;
    share_use_rings(core, &rings);
    core->share = NULL;
    core->session->records[core->idx] = core;
    share_move_parts(control, core, &answer);
}

void control_unshared(struct control *control, const struct message *message)
{
    struct dp_session *house = control->house;
    struct session_socket *descriptor = message->socket->record;
    struct dp_session *session = descriptor->session;
    struct dp_share *share = message->body.share.share;
    struct share_rings left = {.send = message->body.share.place.send_ring};
    memcpy(left.recv, share->house_rings, sizeof(left.recv));
    share_rings_give(house, &left);
    house->free_sockets[house->free_socket_count++] = message->body.share.place.idx;
    left.send = descriptor->send_ring;
    memcpy(left.recv, descriptor->recv_rings, sizeof(left.recv));
    share_rings_give(session, &left);
    session_ring_give(session, RS_EXTENT_CL, &descriptor->lent_ring);
    free(descriptor->parts[descriptor->home_queue_idx]->allocation);
    free(descriptor);
    free(share);
}

/* ---- a connection goes to who accepts it ---- */

static struct dp_session *accept_session(const struct control *control, uint64_t id)
{
    struct dp_session *session = control->house;
    if (session->id != id) {
        session = control->sessions;
        while (session != NULL && session->id != id) {
            session = session->next;
        }
    }
    return session;
}

static struct share_rings accept_rings(const struct session_socket *record)
{
    struct share_rings rings = {.send = record->send_ring};
    rings.recv[record->home_queue_idx] = record->recv_rings[record->home_queue_idx];
    return rings;
}

/* A place in the session, of the sizes that the connection's rings have. */
static enum rs_status accept_place(struct control *control, struct dp_session *session,
                                   const struct session_socket *record, uint32_t recv_bytes,
                                   struct message_place *place)
{
    struct share_rings rings = accept_rings(record);
    if (recv_bytes != 0) {
        rings.recv[record->home_queue_idx].size_bytes = recv_bytes;
    }
    if (session->free_socket_count == 0) {
        return RS_TOO_MANY_SOCKETS;
    }
    enum rs_status status = share_rings_take(control, session, &rings);
    if (status != RS_OK) {
        return status;
    }
    uint32_t idx = session->free_sockets[--session->free_socket_count];
    uint32_t generation = session->generations[idx] + 1;
    session->generations[idx] = generation != 0 ? generation : 1;
    *place = (struct message_place){.session = session,
                                    .idx = idx,
                                    .generation = session->generations[idx],
                                    .send_ring = rings.send,
                                    .recv_ring = rings.recv[record->home_queue_idx]};
    place->send_base = session_ring_touch(session, &place->send_ring);
    place->recv_base = session_ring_touch(session, &place->recv_ring);
    return RS_OK;
}

static void accept_answer(struct control *control, struct message *answer, enum rs_status status)
{
    answer->kind = CONTROL_SHARE_ACCEPTED;
    answer->reply.status = (uint32_t)status;
    control_push(control, answer->body.accept.share->core->record->home_queue_idx, answer);
}

void control_share_accept(struct control *control, uint32_t queue_idx,
                          const struct message *message)
{
    struct message answer = *message;
    struct message_accept *accept = &answer.body.accept;
    struct dp_session *session = message->session;
    const struct dp_session *from = accept_session(control, accept->session_id);
    struct session_socket *record = from != NULL ? from->records[accept->idx] : NULL;
    enum rs_status status = session->state == SESSION_LIVE ? RS_OK : RS_DATAPLANE_GONE;
    accept->place = (struct message_place){.session = NULL};
    if (record == NULL || record->home_queue_idx != accept->queue_idx ||
        record->type != RS_SOCK_STREAM) {
        status = RS_NOT_SOCKET;
    }
    if (status != RS_OK || from == session) {
        accept_answer(control, &answer, status);
        return;
    }
    status = accept_place(control, session, record, accept->recv_bytes, &accept->place);
    if ((status == RS_TOO_MANY_SOCKETS || status == RS_NO_BUFFERS) &&
        control_spares_recall(control, session, queue_idx, message)) {
        return;
    }
    if (status != RS_OK) {
        accept_answer(control, &answer, status);
        return;
    }
    accept->record = record;
    answer.kind = CONTROL_ACCEPT;
    control_push(control, accept->queue_idx, &answer);
}

void control_accepted(struct control *control, const struct message *message)
{
    struct message answer = *message;
    const struct message_accept *accept = &message->body.accept;
    const struct message_place *place = &accept->place;
    struct session_socket *record = accept->record;
    struct dp_session *session = place->session;
    struct dp_session *left = session;
    uint32_t left_idx = place->idx;
    struct share_rings rings = {.send = place->send_ring};
    rings.recv[accept->queue_idx] = place->recv_ring;
    if (message->reply.status == RS_OK) {
        struct share_rings old = accept_rings(record);
        left = record->session;
        left_idx = record->idx;
        session_ring_give(left, RS_EXTENT_CL, &record->lent_ring);
        if (accept->borrower != NULL) {
            session_ring_give(left, RS_EXTENT_CL, &accept->borrower->record->lent_ring);
            accept->borrower->record->lent_ring = old.send;
            old.send.size_bytes = 0;
        }
        left->records[left_idx] = NULL;
        left->generations[left_idx] = accept->generation;
        share_use_rings(record, &rings);
        record->session = session;
        record->idx = place->idx;
        record->generation = place->generation;
        session->records[place->idx] = record;
        rings = old;
    }
    share_rings_give(left, &rings);
    left->free_sockets[left->free_socket_count++] = left_idx;
    accept_answer(control, &answer, (enum rs_status)message->reply.status);
}

/* ---- tokens ---- */

static uint32_t tokens_of(const struct control *control, uint64_t session_id)
{
    uint32_t count = 0;
    for (const struct control_token_entry *entry = control->tokens; entry != NULL;
         entry = entry->next) {
        count += entry->session_id == session_id;
    }
    return count;
}

static enum rs_status token_make(struct control *control, uint32_t queue_idx,
                                 const struct message *message, struct control_token_entry **out)
{
    if (tokens_of(control, message->session->id) >= CONTROL_TOKENS_MAX) {
        return RS_NO_BUFFERS;
    }
    struct control_token_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return RS_NO_MEMORY;
    }
    enum rs_status status = os_random(&entry->token, sizeof(entry->token));
    entry->id = control->next_id++;
    if (status == RS_OK) {
        status = token_watch(control, entry, message->body.share.op.process_id);
    }
    if (status != RS_OK) {
        free(entry);
        return status;
    }
    entry->token.words[0] &= ~(uint64_t)(RS_SHARE_TOKEN | RS_SHARE_TOKEN_QUEUE);
    entry->token.words[0] |= RS_SHARE_TOKEN | queue_idx;
    entry->session_id = message->session->id;
    entry->expires_ns = os_monotonic_ns() + CONTROL_TOKEN_NS;
    *out = entry;
    return RS_OK;
}

/* Nobody's any more. */
static void token_drop(struct control *control, struct control_token_entry **link)
{
    struct control_token_entry *entry = *link;
    struct message expired = {.kind = CONTROL_SHARE_EXPIRED, .body.share.share = entry->share};
    *link = entry->next;
    control_push(control, entry->core->home_queue_idx, &expired);
    token_free(control, entry);
}

/* The newest grant of the socket that the session has made. */
static void token_take_back(struct control *control, const struct session_socket *core,
                            uint64_t session_id)
{
    struct control_token_entry **link = &control->tokens;
    while (*link != NULL && ((*link)->core != core || (*link)->session_id != session_id)) {
        link = &(*link)->next;
    }
    if (*link != NULL && !(*link)->moving) {
        token_drop(control, link);
    }
}

/* The core's record, of whichever descriptor asks. */
static struct session_socket *share_core_record(const struct message *message)
{
    const struct dp_share *share = message->body.share.share;
    return share != NULL ? share->core->record : message->socket->record;
}

void control_share(struct control *control, const struct message *message)
{
    struct message answer = *message;
    struct session_socket *core = share_core_record(message);
    uint32_t queue_idx = core->home_queue_idx;
    struct control_token_entry *entry = NULL;
    answer.kind = CONTROL_SHARED;
    enum rs_status status =
        message->session->state == SESSION_LIVE ? house_open(control) : RS_DATAPLANE_GONE;
    if (message->body.share.op.process_id == 0) { /* nobody's: token_watch refuses it */
        token_take_back(control, core, message->session->id);
    }
    if (status == RS_OK) {
        status = token_make(control, queue_idx, message, &entry);
    }
    bool first = message->body.share.share == NULL;
    if (status == RS_OK && first) {
        status = share_make(control, core, &answer);
    }
    answer.reply.status = (uint32_t)status;
    if (status != RS_OK) {
        token_free(control, entry);
        control_push(control, queue_idx, &answer);
        return;
    }
    entry->core = core;
    entry->share = answer.body.share.share;
    entry->moving = first;
    entry->next = control->tokens;
    control->tokens = entry;
    answer.reply.token = entry->token;
    if (first) {
        share_move_parts(control, core, &answer);
    } else {
        control_push(control, queue_idx, &answer);
    }
}

/* Takes it out of the list; the caller frees it. RS_NOT_SOCKET: there is none, or no more.
 * RS_ACCESS: it is another process's. */
static enum rs_status token_take(struct control *control, uint32_t queue_idx,
                                 const struct message *message, struct control_token_entry **out)
{
    const struct rs_share_token *token = &message->body.token;
    struct control_token_entry **link = &control->tokens;
    while (*link != NULL && ((*link)->token.words[0] != token->words[0] ||
                             (*link)->token.words[1] != token->words[1])) {
        link = &(*link)->next;
    }
    struct control_token_entry *entry = *link;
    if (entry == NULL) {
        return RS_NOT_SOCKET;
    }
    if (entry->process.pid != message->session->process.pid) {
        return RS_ACCESS;
    }
    if (entry->core->home_queue_idx != queue_idx) {
        return RS_INVALID;
    }
    *link = entry->next;
    *out = entry;
    return RS_OK;
}

static enum rs_status share_next_descriptor(struct control *control, struct dp_session *session,
                                            const struct session_socket *core,
                                            struct session_socket **out)
{
    const struct queue_config *config = session->config;
    struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                              .type = (uint8_t)core->type,
                              .recv_ring_bytes = config->recv_ring_bytes,
                              .send_ring_bytes = config->send_ring_bytes};
    if (core->type == RS_SOCK_DGRAM) { /* each datagram has to fit */
        open.recv_ring_bytes = core->recv_ring_bytes;
        open.send_ring_bytes = core->send_ring_bytes;
    }
    enum rs_status status = session_socket_open(session, core->home_queue_idx, &open, out);
    if (status != RS_OK) {
        return status;
    }
    status = control_stream_take_rings(control, *out);
    if (status != RS_OK) {
        session_socket_free(*out);
        *out = NULL;
    }
    return status;
}

void control_share_open(struct control *control, uint32_t queue_idx, const struct message *message)
{
    struct dp_session *session = message->session;
    struct control_token_entry *entry = NULL;
    struct session_socket *record = NULL;
    struct message answer = {
        .kind = CONTROL_SHARE_OPENED, .session = session, .reply = message->reply};
    enum rs_status status = session->state == SESSION_LIVE
                                ? token_take(control, queue_idx, message, &entry)
                                : RS_DATAPLANE_GONE;
    if (status == RS_OK) {
        status = share_next_descriptor(control, session, entry->core, &record);
    }
    if ((status == RS_TOO_MANY_SOCKETS || status == RS_NO_BUFFERS) &&
        control_spares_recall(control, session, queue_idx, message)) {
        entry->next = control->tokens; /* it is opened when they are back */
        control->tokens = entry;
        return;
    }
    if (status == RS_OK) {
        answer.socket = record->parts[queue_idx];
        answer.body.share.share = entry->share;
        answer.reply.open.socket_idx = record->idx;
        answer.reply.open.generation = record->generation;
        token_free(control, entry);
    } else if (entry != NULL) { /* it may be tried again */
        entry->next = control->tokens;
        control->tokens = entry;
    }
    answer.reply.status = (uint32_t)status;
    control_push(control, queue_idx, &answer);
}

/* An empty house gives its ring memory back, but not between one shared socket and the next. */
static void house_trim(struct control *control)
{
    struct dp_session *house = control->house;
    if (house == NULL || house->rings_out != 0 ||
        house->free_socket_count != house->config->limit_sockets) {
        control->house_idle_watches = 0;
    } else if (++control->house_idle_watches == HOUSE_IDLE_WATCHES) {
        session_rings_trim(house);
        control->house_idle_watches = 0; /* a socket may come and go between two looks */
    }
}

void control_share_expire(struct control *control, uint64_t now_ns)
{
    house_trim(control);
    struct control_token_entry **link = &control->tokens;
    while (*link != NULL) {
        if (now_ns >= (*link)->expires_ns && !(*link)->moving) {
            token_drop(control, link);
        } else {
            link = &(*link)->next;
        }
    }
}

void control_share_forsaken(struct control *control, uint64_t id)
{
    for (struct control_token_entry **link = &control->tokens; *link != NULL;
         link = &(*link)->next) {
        if ((*link)->id == id) {
            (*link)->forsaken = true;
            if (!(*link)->moving) {
                token_drop(control, link);
            }
            return;
        }
    }
}

void control_share_moved(struct control *control, const struct session_socket *core)
{
    for (struct control_token_entry **link = &control->tokens; *link != NULL;
         link = &(*link)->next) {
        if ((*link)->core == core && (*link)->moving) {
            (*link)->moving = false;
            if ((*link)->forsaken) {
                token_drop(control, link);
            }
            return;
        }
    }
}
