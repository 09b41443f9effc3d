/*
 * Connections and sessions: who attaches, what a client asks for on its control connection, how it
 * ends. A connection is a peer until it says ATTACH; then a session is made for it, and every queue
 * is told. The end of a process or of its connection ends the session: each queue lets go of it and
 * says so, then its memory is freed. Control thread; called by control.c; calls session.c, rings/os
 * and the queues by messages.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/control_internal.h"
#include "dataplane/log.h"
#include "rings/control.h"

/* Connections that have not attached: a program says ATTACH at once. */
#define CONTROL_PEERS_MAX          64u
#define CONTROL_PEERS_PER_USER_MAX 16u
#define CONTROL_PEER_NS            5000000000u
#define CONTROL_REFUSALS_MAX       10u /* lines in the log, in each period */
#define CONTROL_REFUSALS_NS        1000000000u

static struct dp_session *control_find_session(const struct control *control, uint64_t id)
{
    struct dp_session *session = control->sessions;
    while (session != NULL && session->id != id) {
        session = session->next;
    }
    return session;
}

enum rs_status control_answer(struct os_conn *conn, uint32_t type, enum rs_status status,
                              const struct rs_ctl_answer *fields,
                              const struct os_conn_handle *handles, uint32_t handle_count,
                              const char *text)
{
    struct rs_ctl_answer answer = fields != NULL ? *fields : (struct rs_ctl_answer){0};
    answer.magic = RS_MAGIC;
    answer.type = type;
    answer.status = (uint32_t)status;
    (void)snprintf(answer.text, sizeof(answer.text), "%s", text);
    return os_conn_send(conn, &answer, sizeof(answer), handles, handle_count);
}

/* The same for an attached client: one that does not read its answers is let go. */
static void control_reply(struct control *control, struct dp_session *session, uint32_t type,
                          enum rs_status status, uint64_t value,
                          const struct os_conn_handle *handle, const char *text)
{
    const struct rs_ctl_answer fields = {.value = value};
    if (session->conn.handle == -1) {
        return; /* gone meanwhile */
    }
    enum rs_status sent =
        control_answer(&session->conn, type, status, &fields, handle, handle != NULL ? 1 : 0, text);
    if (sent == RS_WOULD_BLOCK) {
        control->counts.answers_unsent++;
        log_line(LOG_LEVEL_WARNING, "session",
                 "%llu: pid %u does not read the answers on its control connection; ended",
                 (unsigned long long)session->id, session->process.pid);
        control_session_end(control, session);
    } else if (sent != RS_OK) { /* the client is going; its connection's end comes to the poller */
        log_line(LOG_LEVEL_DEBUG, "control", "answer to pid %u not sent: %s", session->process.pid,
                 rs_status_name(sent));
    }
}

/* ---- the end of a session
 * -------------------------------------------------------------------------------------- */

/* What a request is told that comes when the session is over: the same word as the header's.
 * Nothing stands there yet when a queue still has to say that the dataplane stops. */
static void control_reply_ended(struct control *control, struct dp_session *session, uint32_t type)
{
    /* relaxed: the word alone matters */
    bool poisoned =
        atomic_load_explicit(&session->header->poisoned, memory_order_relaxed) == RS_POISONED;
    control_reply(control, session, type, poisoned ? RS_POISONED : RS_DATAPLANE_GONE, 0, NULL,
                  poisoned ? "the session has ended" : "the dataplane is stopping");
}

void control_session_end(struct control *control, struct dp_session *session)
{
    if (session->state != SESSION_LIVE) {
        return;
    }
    session->state = SESSION_ENDING;
    session->queues_left = control->queue_count;
    if (session->channel_closing_idx != RS_NO_INDEX) { /* the queue will not say so any more */
        session->channel_closing_idx = RS_NO_INDEX;
        control_reply_ended(control, session, RS_CTL_CHANNEL_CLOSE);
    }
    for (uint32_t i = 0; i < control->queue_count; i++) {
        control_push(control, i,
                     &(struct message){.kind = CONTROL_SESSION_END, .session = session});
    }
}

void control_session_free(struct control *control, struct dp_session *session)
{
    struct dp_session **link = &control->sessions;
    while (*link != session) {
        link = &(*link)->next;
    }
    *link = session->next;
    control->session_count--;
    control->counts.ended++;
    os_poller_remove(control->poller, OS_SOURCE_PROCESS, &session->process);
    if (session->conn.handle != -1) {
        os_poller_remove(control->poller, OS_SOURCE_CONN, &session->conn);
    }
    log_line(LOG_LEVEL_INFO, "session", "%llu: pid %u detached", (unsigned long long)session->id,
             session->process.pid);
    session_destroy(session);
}

void control_session_ended(struct control *control, struct dp_session *session)
{
    session->queues_left--;
    if (session->queues_left == 0) {
        session->state = SESSION_ENDED;
        if (session->client_gone) {
            control_session_free(control, session);
        }
    }
}

/* The client's process ended, or it closed its connection. */
static void control_client_gone(struct control *control, struct dp_session *session)
{
    if (session->client_gone) {
        return;
    }
    session->client_gone = true;
    if (session->conn.handle != -1) { /* a closed connection stays readable: take it out */
        os_poller_remove(control->poller, OS_SOURCE_CONN, &session->conn);
        os_conn_close(&session->conn);
        session->conn.handle = -1;
    }
    if (session->state == SESSION_ENDED) {
        control_session_free(control, session);
    } else {
        control_session_end(control, session);
    }
}

/* ---- connections
 * ------------------------------------------------------------------------------------------------
 */

static uint32_t control_peers_of(const struct control *control, uint32_t user_id)
{
    uint32_t count = 0;
    for (const struct control_peer *peer = control->peers; peer != NULL; peer = peer->next) {
        count += peer->conn.peer_uid == user_id;
    }
    return count;
}

static enum rs_status control_peer_enter(struct control *control, const struct os_conn *conn)
{
    struct control_peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return RS_NO_MEMORY;
    }
    peer->id = control->next_id++;
    peer->conn = *conn;
    peer->expires_ns = os_monotonic_ns() + CONTROL_PEER_NS;
    enum rs_status status = os_poller_add(control->poller, OS_SOURCE_CONN, &peer->conn,
                                          control_token(SOURCE_PEER, peer->id));
    if (status != RS_OK) {
        free(peer);
        return status;
    }
    peer->next = control->peers;
    control->peers = peer;
    control->peer_count++;
    return RS_OK;
}

/* Takes the peer out of the list and the poller; its connection is the caller's. */
static struct os_conn control_peer_take(struct control *control, struct control_peer *peer)
{
    struct control_peer **link = &control->peers;
    while (*link != peer) {
        link = &(*link)->next;
    }
    *link = peer->next;
    control->peer_count--;
    os_poller_remove(control->poller, OS_SOURCE_CONN, &peer->conn);
    struct os_conn conn = peer->conn;
    free(peer);
    return conn;
}

static void control_peer_close(struct control *control, struct control_peer *peer)
{
    struct os_conn conn = control_peer_take(control, peer);
    os_conn_close(&conn);
}

void control_peers_close(struct control *control)
{
    while (control->peers != NULL) {
        control_peer_close(control, control->peers);
    }
}

void control_peers_expire(struct control *control, uint64_t now_ns)
{
    for (struct control_peer *next, *peer = control->peers; peer != NULL; peer = next) {
        next = peer->next;
        if (now_ns >= peer->expires_ns) {
            log_line(LOG_LEVEL_WARNING, "control", "pid %u connected and said nothing; closed",
                     peer->conn.peer_pid);
            control_peer_close(control, peer);
        }
    }
}

/* Tells the client why, and the log, which nobody who is refused can fill; closes the connection.
 */
static void control_refuse(struct control *control, struct os_conn *conn, enum rs_status status,
                           const char *text)
{
    uint64_t now_ns = os_monotonic_ns();
    if (now_ns >= control->refusals_until_ns) {
        control->refusals_until_ns = now_ns + CONTROL_REFUSALS_NS;
        control->refusals_logged = 0;
    }
    control->refusals_logged++;
    if (control->refusals_logged <= CONTROL_REFUSALS_MAX) {
        log_line(LOG_LEVEL_WARNING, "session", "pid %u refused: %s (%s)%s", conn->peer_pid,
                 rs_status_name(status), text,
                 control->refusals_logged == CONTROL_REFUSALS_MAX ? "; more are only counted" : "");
    }
    (void)control_answer(conn, RS_CTL_ATTACH, status, NULL, NULL, 0, text);
    os_conn_close(conn);
}

void control_accept(struct control *control)
{
    struct os_conn conn;
    enum rs_status status = os_accept(&control->listener, &conn);
    if (status != RS_OK) {
        if (status != RS_WOULD_BLOCK) {
            log_line(LOG_LEVEL_WARNING, "control", "accept: %s", os_last_error_text());
        }
        return;
    }
    char why[sizeof(((struct rs_ctl_answer *)0)->text)];
    const char *text = "";
    if (!os_access_allows(&control->configs[0].access, &conn, why, sizeof(why))) {
        control->counts.refused_access++;
        status = RS_ATTACH_REFUSED;
        text = why;
    } else if (control->peer_count >= CONTROL_PEERS_MAX ||
               control_peers_of(control, conn.peer_uid) >= CONTROL_PEERS_PER_USER_MAX) {
        control->counts.refused_limit++;
        status = RS_NO_BUFFERS;
        text = "too many connections that have not attached";
    } else {
        status = control_peer_enter(control, &conn);
        text = status == RS_OK ? "" : "the dataplane could not take the connection";
    }
    if (status != RS_OK) {
        control_refuse(control, &conn, status, text);
    }
}

/* ---- attach
 * -----------------------------------------------------------------------------------------------------
 */

/* The least place in the queues' tables that no session has. */
static uint32_t control_free_slot(const struct control *control)
{
    uint32_t slot = 0;
    const struct dp_session *session = control->sessions;
    while (session != NULL) {
        if (session->slot == slot) {
            slot++;
            session = control->sessions;
        } else {
            session = session->next;
        }
    }
    return slot;
}

static enum rs_status control_watch_session(struct control *control, struct dp_session *session)
{
    enum rs_status status = os_poller_add(control->poller, OS_SOURCE_PROCESS, &session->process,
                                          control_token(SOURCE_PROCESS, session->id));
    if (status != RS_OK) {
        return status;
    }
    status = os_poller_add(control->poller, OS_SOURCE_CONN, &session->conn,
                           control_token(SOURCE_CONN, session->id));
    if (status != RS_OK) {
        os_poller_remove(control->poller, OS_SOURCE_PROCESS, &session->process);
    }
    return status;
}

enum rs_status control_session_make(struct control *control, uint32_t slot, struct dp_session **out)
{
    const struct session_plan_input input = {.configs = control->configs,
                                             .nics = control->nics,
                                             .queue_count = control->queue_count,
                                             .epoch = control->epoch,
                                             .clock = control->clock,
                                             .id = control->next_id++,
                                             .slot = slot};
    return session_create(&input, out);
}

/* Makes the session of a connection, which is the session's from then on; on failure it stays the
 * caller's. */
static enum rs_status control_session_enter(struct control *control, const struct os_conn *conn,
                                            bool never_sleeps, struct dp_session **out)
{
    struct dp_session *session;
    struct os_process process;
    enum rs_status status = os_conn_peer_process(conn, &process);
    if (status != RS_OK) {
        return status;
    }
    status = control_session_make(control, control_free_slot(control), &session);
    if (status != RS_OK) {
        goto close_process;
    }
    session->process = process;
    session->conn = *conn;
    session->user_id = conn->peer_uid;
    os_process_name(&session->process, session->program, sizeof(session->program));
    atomic_store_explicit(&session->never_sleeps, never_sleeps, memory_order_relaxed);
    status = control_watch_session(control, session);
    if (status != RS_OK) {
        goto destroy_session;
    }
    session->next = control->sessions;
    control->sessions = session;
    control->session_count++;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        control_tell_link(control, session, i);
    }
    control->counts.attached++;
    for (uint32_t i = 0; i < control->queue_count; i++) {
        control_push(control, i,
                     &(struct message){.kind = CONTROL_SESSION_ADD, .session = session});
    }
    *out = session;
    return RS_OK;

destroy_session:
    session->process.handle = -1; /* still ours */
    session->conn.handle = -1;
    session_destroy(session);
close_process:
    os_process_close(&process);
    return status;
}

static void control_attached(struct control *control, struct dp_session *session)
{
    const struct os_conn_handle handles[2] = {
        {.handle = session->extents[0].handle, .kind = OS_HANDLE_SHM_READ},
        {.handle = session->extents[1].handle, .kind = OS_HANDLE_SHM_WRITE}};
    const struct rs_ctl_answer fields = {
        .value = session->id,
        .sizes_bytes = {session->extents[0].size_bytes, session->extents[1].size_bytes}};
    enum rs_status sent =
        control_answer(&session->conn, RS_CTL_ATTACH, RS_OK, &fields, handles, 2, "");
    log_line(LOG_LEVEL_INFO, "session", "%llu: pid %u attached", (unsigned long long)session->id,
             session->process.pid);
    if (sent != RS_OK) {
        control_client_gone(control, session);
    }
}

static bool control_never_sleeps(const struct control *control, uint32_t arg)
{
    bool usual = control->configs[0].spin_us == RS_SPIN_FOREVER;
    return (arg & RS_CTL_ATTACH_SLEEPS) == 0 && (usual || (arg & RS_CTL_ATTACH_NEVER_SLEEPS) != 0);
}

/* A session whose program is gone takes its place for as long as a queue drains it, a second at
 * most: whoever comes meanwhile waits and is not refused. A program that is started again at once
 * finds its own old session there. */
static bool control_attach_defer(const struct control *control, struct control_peer *peer,
                                 uint32_t arg)
{
    if (control->stopping || control->session_count < control->configs[0].limit_sessions) {
        return false;
    }
    for (const struct dp_session *session = control->sessions; session != NULL;
         session = session->next) {
        if (session->client_gone) {
            peer->waits = true;
            peer->attach_arg = arg;
            return true;
        }
    }
    return false;
}

/* ATTACH of a peer, which ends as a session or refused, or waits. */
static void control_attach(struct control *control, struct control_peer *peer, uint32_t arg)
{
    uint32_t version = arg & ~(RS_CTL_ATTACH_NEVER_SLEEPS | RS_CTL_ATTACH_SLEEPS);
    if (version == RS_LAYOUT_VERSION && control_attach_defer(control, peer, arg)) {
        return;
    }
    struct os_conn conn = control_peer_take(control, peer);
    struct dp_session *session = NULL;
    char text[128];
    enum rs_status status = RS_OK;
    if (version != RS_LAYOUT_VERSION) {
        control->counts.refused_version++;
        status = RS_VERSION_MISMATCH;
        (void)snprintf(text, sizeof(text), "the dataplane speaks layout %u, the client %u",
                       RS_LAYOUT_VERSION, version);
    } else if (control->stopping) {
        status = RS_NOT_READY;
        (void)snprintf(text, sizeof(text), "the dataplane is stopping");
    } else if (control->session_count >= control->configs[0].limit_sessions) {
        control->counts.refused_limit++;
        status = RS_NO_BUFFERS;
        (void)snprintf(text, sizeof(text),
                       "the dataplane serves %u programs, as many as [limits] "
                       "sessions allows",
                       control->session_count);
    } else {
        status =
            control_session_enter(control, &conn, control_never_sleeps(control, arg), &session);
        (void)snprintf(text, sizeof(text), "the dataplane could not make the session: %s",
                       rs_status_name(status));
    }
    if (status == RS_OK) {
        control_attached(control, session);
        return;
    }
    control_refuse(control, &conn, status, text);
}

/* The one that has waited longest. */
static struct control_peer *control_peer_waiting(const struct control *control)
{
    struct control_peer *oldest = NULL;
    for (struct control_peer *peer = control->peers; peer != NULL; peer = peer->next) {
        if (peer->waits && (oldest == NULL || peer->id < oldest->id)) {
            oldest = peer;
        }
    }
    return oldest;
}

void control_attach_waiting(struct control *control)
{
    struct control_peer *peer;
    while ((peer = control_peer_waiting(control)) != NULL &&
           !control_attach_defer(control, peer, peer->attach_arg)) {
        control_attach(control, peer, peer->attach_arg);
    }
}

/* Returns how many still wait. */
static uint32_t control_reports_send(struct control *control)
{
    uint32_t waiting = 0;
    for (struct control_peer *next, *peer = control->peers; peer != NULL; peer = next) {
        next = peer->next;
        if (peer->report_number == 0) {
            continue;
        }
        if (!control_asking_done(control, peer->report_number)) {
            waiting++;
            continue;
        }
        peer->report_number = 0;
        if (control_report(control, &peer->conn) != RS_OK) {
            control_peer_close(control, peer);
        }
    }
    return waiting;
}

/* All who can have theirs have it before the next round begins, which takes the answers' place. */
bool control_reports_waiting(struct control *control)
{
    if (control_reports_send(control) == 0) {
        return false;
    }
    (void)control_asking_join(control);
    return control_reports_send(control) != 0;
}

/* ---- a client's control messages
 * -------------------------------------------------------------------------------- */

static void control_channel_open(struct control *control, struct dp_session *session,
                                 uint32_t queue_idx)
{
    struct dp_channel *channel;
    enum rs_status status = queue_idx >= control->queue_count ? RS_INVALID
                            : !session_is_sealed(session, 1)
                                ? RS_NOT_READY
                                : session_channel_open(session, queue_idx, &channel);
    if (status != RS_OK) {
        control_reply(control, session, RS_CTL_CHANNEL_OPEN, status, 0, NULL,
                      status == RS_NO_BUFFERS  ? "all channels of the session are open"
                      : status == RS_INVALID   ? "no such queue"
                      : status == RS_NOT_READY ? "extent 1 is not said to be mapped"
                                               : "the channel could not be made");
        return;
    }
    control_push(
        control, queue_idx,
        &(struct message){.kind = CONTROL_CHANNEL_ADD, .session = session, .channel = channel});
    const struct os_conn_handle handle = {.handle = channel->event.handle,
                                          .kind = OS_HANDLE_EVENT_WAIT};
    control_reply(control, session, RS_CTL_CHANNEL_OPEN, RS_OK, channel->idx, &handle, "");
}

static void control_channel_close(struct control *control, struct dp_session *session, uint32_t idx)
{
    if (idx >= session->config->limit_channels || !session->channel_used[idx] ||
        session->channel_closing_idx != RS_NO_INDEX) {
        control_reply(control, session, RS_CTL_CHANNEL_CLOSE, RS_INVALID, 0, NULL,
                      "no such open channel");
        return;
    }
    struct dp_channel *channel = &session->channels[idx];
    session->channel_closing_idx = idx; /* answered when the queue has let go of it */
    control_push(
        control, atomic_load_explicit(&channel->queue_idx, memory_order_relaxed),
        &(struct message){.kind = CONTROL_CHANNEL_REMOVE, .session = session, .channel = channel});
}

void control_channel_removed(struct control *control, const struct message *message)
{
    struct dp_session *session = message->session;
    uint32_t idx = message->channel->idx;
    session_channel_close(session, message->channel);
    if (session->channel_closing_idx == idx) {
        session->channel_closing_idx = RS_NO_INDEX;
        control_reply(control, session, RS_CTL_CHANNEL_CLOSE, RS_OK, idx, NULL, "");
    }
}

static void control_extent(struct control *control, struct dp_session *session, uint32_t idx)
{
    if (idx < 2 || idx >= session->extent_count) {
        control_reply(control, session, RS_CTL_EXTENT, RS_INVALID, 0, NULL, "no such extent");
        return;
    }
    bool dp = session->extent_kinds[idx] == RS_EXTENT_DP;
    const struct os_conn_handle handle = {.handle = session->extents[idx].handle,
                                          .kind = dp ? OS_HANDLE_SHM_READ : OS_HANDLE_SHM_WRITE};
    control_reply(control, session, RS_CTL_EXTENT, RS_OK, session->extents[idx].size_bytes, &handle,
                  "");
}

static enum rs_status control_mapped(struct control *control, struct dp_session *session,
                                     uint32_t idx)
{
    enum rs_status status = session_seal(session, idx);
    if (status != RS_CORRUPT) {
        control_reply(control, session, RS_CTL_MAPPED, status, 0, NULL,
                      status == RS_OK ? "" : "no such extent");
        return RS_OK;
    }
    return status;
}

enum rs_status control_receive(struct os_conn *conn, struct rs_ctl_request *request)
{
    size_t bytes = sizeof(*request);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count = 0;
    enum rs_status status = os_conn_recv(conn, request, &bytes, handles, &handle_count, 0);
    for (uint32_t i = 0; status == RS_OK && i < handle_count; i++) {
        os_handle_close(handles[i]);
    }
    bool whole = bytes == sizeof(*request) && handle_count == 0 && request->magic == RS_MAGIC;
    return status == RS_OK && !whole ? RS_CORRUPT : status;
}

static enum rs_status control_request(struct control *control, struct dp_session *session,
                                      const struct rs_ctl_request *request)
{
    switch (request->type) {
    case RS_CTL_CHANNEL_OPEN:
    case RS_CTL_CHANNEL_CLOSE:
    case RS_CTL_EXTENT:
    case RS_CTL_MAPPED:
    case RS_CTL_SLEEPS:
        break;
    default: /* ATTACH a second time, too */
        return RS_CORRUPT;
    }
    if (session->state != SESSION_LIVE) {
        control_reply_ended(control, session, request->type);
    } else if (request->type == RS_CTL_CHANNEL_OPEN) {
        control_channel_open(control, session, request->arg);
    } else if (request->type == RS_CTL_CHANNEL_CLOSE) {
        control_channel_close(control, session, request->arg);
    } else if (request->type == RS_CTL_MAPPED) {
        return control_mapped(control, session, request->arg);
    } else if (request->type == RS_CTL_SLEEPS) {
        atomic_store_explicit(&session->never_sleeps, false, memory_order_relaxed);
        control_reply(control, session, RS_CTL_SLEEPS, RS_OK, 0, NULL, "");
    } else {
        control_extent(control, session, request->arg);
    }
    return RS_OK;
}

void control_conn_ready(struct control *control, uint64_t id)
{
    struct dp_session *session = control_find_session(control, id);
    struct rs_ctl_request request;
    if (session == NULL || session->client_gone) {
        return; /* gone already by its other source */
    }
    enum rs_status status = control_receive(&session->conn, &request);
    if (status == RS_OK) {
        status = control_request(control, session, &request);
    }
    if (status == RS_OK || status == RS_TIMED_OUT) {
        return;
    }
    if (status == RS_CORRUPT) {
        control->counts.malformed++;
        log_line(LOG_LEVEL_WARNING, "session",
                 "%llu: pid %u sent a malformed control message; ended",
                 (unsigned long long)session->id, session->process.pid);
    }
    control_client_gone(control, session);
}

void control_process_ended(struct control *control, uint64_t id)
{
    struct dp_session *session = control_find_session(control, id);
    if (session != NULL) {
        control_client_gone(control, session);
    }
}

/* CAPTURE of a peer, which ends as the capture's connection or refused. */
static void control_capture_ask(struct control *control, struct control_peer *peer,
                                uint32_t version)
{
    const char *text = "";
    struct os_conn conn = control_peer_take(control, peer);
    enum rs_status status = control_capture_begin(control, &conn, version, &text);
    if (status != RS_OK) {
        control_refuse(control, &conn, status, text);
    }
}

void control_peer_ready(struct control *control, uint64_t id)
{
    struct control_peer *peer = control->peers;
    struct rs_ctl_request request;
    while (peer != NULL && peer->id != id) {
        peer = peer->next;
    }
    if (peer == NULL) {
        return;
    }
    enum rs_status status = control_receive(&peer->conn, &request);
    if (status == RS_TIMED_OUT) {
        return;
    }
    if (status == RS_OK && request.type == RS_CTL_ATTACH && !peer->waits) {
        control_attach(control, peer, request.arg);
        return;
    }
    if (status == RS_OK && request.type == RS_CTL_REPORT && !peer->waits) {
        peer->expires_ns = os_monotonic_ns() + CONTROL_PEER_NS;
        peer->report_number = control_asking_join(control);
        (void)control_reports_waiting(control);
        return;
    }
    if (status == RS_OK && request.type == RS_CTL_CAPTURE && !peer->waits) {
        control_capture_ask(control, peer, request.arg);
        return;
    }
    if (status == RS_OK || status == RS_CORRUPT) {
        control->counts.malformed++;
        log_line(LOG_LEVEL_WARNING, "control",
                 "pid %u began neither with ATTACH nor with REPORT or CAPTURE; closed",
                 peer->conn.peer_pid);
    }
    control_peer_close(control, peer);
}
