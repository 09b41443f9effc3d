/*
 * The control thread's loop of control.h: waits for clients, their messages, their deaths and the
 * queue's messages, and answers each. Called by dataplane.c on the thread that called
 * dataplane_run; calls session.c, ports.c, rings/os, and the queue by messages only.
 */
#include "dataplane/control.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/log.h"
#include "rings/byteorder.h"
#include "rings/control.h"

#define CONTROL_WATCH_NS        100000000u /* multicast filter, link */
#define CONTROL_STOP_NS         3000000000u
#define CONTROL_MESSAGE_WAIT_NS 10000u

/* What the poller gives back: a kind in the top byte, a session id below. */
enum control_source { SOURCE_LISTENER = 1, SOURCE_WAKE, SOURCE_STOP, SOURCE_CONN, SOURCE_PROCESS };

static uint64_t control_token(enum control_source source, uint64_t id)
{
    return (uint64_t)source << 56 | id;
}

static struct dp_session *control_find(const struct control *control, uint64_t id)
{
    struct dp_session *session = control->sessions;
    while (session != NULL && session->id != id) {
        session = session->next;
    }
    return session;
}

/* A queue drains its ring in every iteration, so room comes; until then this thread may wait. */
static void control_push(struct control *control, const struct message *message)
{
    while (!message_push(control->queue->from_control, message)) {
        os_sleep_ns(CONTROL_MESSAGE_WAIT_NS);
    }
}

/* ---- attach and detach
 * ----------------------------------------------------------------------------------------- */

static void control_answer(struct dp_session *session, struct os_conn *conn, uint32_t type,
                           enum rs_status status, uint64_t value,
                           const struct os_conn_handle *handles, uint32_t handle_count,
                           const char *text)
{
    assert(conn != NULL);
    struct rs_ctl_answer answer = {
        .magic = RS_MAGIC, .type = type, .status = (uint32_t)status, .value = value};
    if (session != NULL) {
        answer.sizes_bytes[0] = session->extents[0].size_bytes;
        answer.sizes_bytes[1] = session->extents[1].size_bytes;
    }
    (void)snprintf(answer.text, sizeof(answer.text), "%s", text);
    enum rs_status sent = os_conn_send(conn, &answer, sizeof(answer), handles, handle_count);
    if (sent != RS_OK) { /* the client is going; its connection's end comes to the poller */
        log_line(LOG_LEVEL_DEBUG, "control", "answer to pid %u not sent: %s", conn->peer_pid,
                 rs_status_name(sent));
    }
}

/* Tells the queue to let go of a session; harmless when it was told already. */
static void control_session_end(struct control *control, struct dp_session *session)
{
    if (session->state == SESSION_LIVE) {
        session->state = SESSION_ENDING;
        control_push(control, &(struct message){.kind = CONTROL_SESSION_END, .session = session});
    }
}

static void control_session_free(struct control *control, struct dp_session *session)
{
    struct dp_session **link = &control->sessions;
    while (*link != session) {
        link = &(*link)->next;
    }
    *link = session->next;
    control->session_count--;
    os_poller_remove(control->poller, OS_SOURCE_PROCESS, &session->process);
    if (session->conn.handle != -1) {
        os_poller_remove(control->poller, OS_SOURCE_CONN, &session->conn);
    }
    log_line(LOG_LEVEL_INFO, "session", "%llu: pid %u detached", (unsigned long long)session->id,
             session->process.pid);
    session_destroy(session);
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

/* Same user as the dataplane, or the superuser, may attach (SECURITY.md). On Windows the pipe's
 * security descriptor has decided already. */
static bool control_may_attach(const struct os_conn *conn)
{
    return conn->peer_uid == 0 || conn->peer_uid == os_user_id();
}

static enum rs_status control_session_enter(struct control *control, struct os_conn *conn,
                                            struct dp_session **out)
{
    struct dp_session *session;
    struct os_process process;
    enum rs_status status = os_conn_peer_process(conn, &process);
    if (status != RS_OK) {
        return status;
    }
    status = session_create(control->config, control->next_session_id, control->epoch,
                            &control->clock, control->nic, &session);
    if (status != RS_OK) {
        goto close_process;
    }
    session->process = process;
    session->conn = *conn;
    session->user_id = conn->peer_uid;
    uint64_t id = session->id;
    status = os_poller_add(control->poller, OS_SOURCE_PROCESS, &session->process,
                           control_token(SOURCE_PROCESS, id));
    if (status != RS_OK) {
        goto destroy_session;
    }
    status = os_poller_add(control->poller, OS_SOURCE_CONN, &session->conn,
                           control_token(SOURCE_CONN, id));
    if (status != RS_OK) {
        os_poller_remove(control->poller, OS_SOURCE_PROCESS, &session->process);
        goto destroy_session;
    }
    control->next_session_id++;
    session->next = control->sessions;
    control->sessions = session;
    control->session_count++;
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

/* A client connected: it becomes a session at once; its first message must be ATTACH. */
static void control_accept(struct control *control)
{
    struct os_conn conn;
    enum rs_status status = os_accept(&control->listener, &conn);
    if (status != RS_OK) {
        if (status != RS_WOULD_BLOCK) {
            log_line(LOG_LEVEL_WARNING, "control", "accept: %s", os_last_error_text());
        }
        return;
    }
    const char *text = "";
    struct dp_session *session = NULL;
    if (!control_may_attach(&conn)) {
        status = RS_ATTACH_REFUSED;
        text = "only the user who runs the dataplane, and the superuser, may attach";
    } else if (control->session_count >= control->config->limit_sessions) {
        status = RS_NO_BUFFERS;
        text = "the dataplane serves as many programs as [limits] sessions allows";
    } else {
        status = control_session_enter(control, &conn, &session);
        text = status == RS_OK ? "" : "the dataplane could not make the session";
    }
    if (status != RS_OK) {
        log_line(LOG_LEVEL_WARNING, "session", "pid %u refused: %s (%s)", conn.peer_pid,
                 rs_status_name(status), text);
        control_answer(NULL, &conn, RS_CTL_ATTACH, status, 0, NULL, 0, text);
        os_conn_close(&conn);
    }
}

/* ---- a client's control messages
 * -------------------------------------------------------------------------------- */

static void control_attach(struct dp_session *session, uint32_t version)
{
    if (version != RS_LAYOUT_VERSION) {
        char text[96];
        (void)snprintf(text, sizeof(text), "the dataplane speaks layout %u, the client %u",
                       RS_LAYOUT_VERSION, version);
        control_answer(session, &session->conn, RS_CTL_ATTACH, RS_VERSION_MISMATCH, 0, NULL, 0,
                       text);
        return;
    }
    const struct os_conn_handle handles[2] = {
        {.handle = session->extents[0].handle, .kind = OS_HANDLE_SHM_READ},
        {.handle = session->extents[1].handle, .kind = OS_HANDLE_SHM_WRITE}};
    log_line(LOG_LEVEL_INFO, "session", "%llu: pid %u attached", (unsigned long long)session->id,
             session->process.pid);
    control_answer(session, &session->conn, RS_CTL_ATTACH, RS_OK, session->id, handles, 2, "");
}

static void control_channel_open(struct control *control, struct dp_session *session, uint32_t arg)
{
    uint32_t queue_idx = arg & ~RS_CTL_CHANNEL_NEVER_SLEEPS;
    struct dp_channel *channel;
    enum rs_status status =
        queue_idx == 0 ? session_channel_open(session, queue_idx, &channel) : RS_INVALID;
    if (status != RS_OK) {
        control_answer(session, &session->conn, RS_CTL_CHANNEL_OPEN, status, 0, NULL, 0,
                       status == RS_NO_BUFFERS ? "all channels of the session are open"
                                               : "the channel could not be made");
        return;
    }
    channel->never_sleeps = (arg & RS_CTL_CHANNEL_NEVER_SLEEPS) != 0;
    control_push(control, &(struct message){
                              .kind = CONTROL_CHANNEL_ADD, .session = session, .channel = channel});
    const struct os_conn_handle handle = {.handle = channel->event.handle,
                                          .kind = OS_HANDLE_EVENT_WAIT};
    control_answer(session, &session->conn, RS_CTL_CHANNEL_OPEN, RS_OK, channel->idx, &handle, 1,
                   "");
}

static void control_channel_close(struct control *control, struct dp_session *session, uint32_t idx)
{
    if (idx >= session->config->limit_channels || !session->channel_used[idx] ||
        session->channel_closing_idx != RS_NO_INDEX || session->state != SESSION_LIVE) {
        control_answer(session, &session->conn, RS_CTL_CHANNEL_CLOSE, RS_INVALID, 0, NULL, 0,
                       "no such open channel");
        return;
    }
    session->channel_closing_idx = idx; /* answered when the queue has let go of it */
    control_push(control, &(struct message){.kind = CONTROL_CHANNEL_REMOVE,
                                            .session = session,
                                            .channel = &session->channels[idx]});
}

static void control_extent(struct dp_session *session, uint32_t idx)
{
    if (idx < 2 || idx >= session->extent_count) {
        control_answer(session, &session->conn, RS_CTL_EXTENT, RS_INVALID, 0, NULL, 0,
                       "no such extent");
        return;
    }
    bool dp = session->extent_kinds[idx] == RS_EXTENT_DP;
    const struct os_conn_handle handle = {.handle = session->extents[idx].handle,
                                          .kind = dp ? OS_HANDLE_SHM_READ : OS_HANDLE_SHM_WRITE};
    control_answer(session, &session->conn, RS_CTL_EXTENT, RS_OK, session->extents[idx].size_bytes,
                   &handle, 1, "");
}

static void control_request(struct control *control, struct dp_session *session,
                            const struct rs_ctl_request *request)
{
    if (request->type != RS_CTL_ATTACH && session->state != SESSION_LIVE) {
        control_answer(session, &session->conn, request->type, RS_POISONED, 0, NULL, 0,
                       "the session has ended");
        return;
    }
    switch (request->type) {
    case RS_CTL_ATTACH:
        control_attach(session, request->arg);
        break;
    case RS_CTL_CHANNEL_OPEN:
        control_channel_open(control, session, request->arg);
        break;
    case RS_CTL_CHANNEL_CLOSE:
        control_channel_close(control, session, request->arg);
        break;
    case RS_CTL_EXTENT:
        control_extent(session, request->arg);
        break;
    default:
        assert(!"control_conn_ready checks the type");
    }
}

static void control_conn_ready(struct control *control, struct dp_session *session)
{
    struct rs_ctl_request request;
    size_t bytes = sizeof(request);
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count = 0;
    enum rs_status status =
        os_conn_recv(&session->conn, &request, &bytes, handles, &handle_count, 0);
    if (status == RS_TIMED_OUT) {
        return;
    }
    for (uint32_t i = 0; status == RS_OK && i < handle_count; i++) {
        os_handle_close(handles[i]);
    }
    bool valid = status == RS_OK && bytes == sizeof(request) && handle_count == 0 &&
                 request.magic == RS_MAGIC && request.type >= RS_CTL_ATTACH &&
                 request.type <= RS_CTL_EXTENT;
    if (valid) {
        control_request(control, session, &request);
        return;
    }
    if (status == RS_OK || status == RS_CORRUPT) {
        log_line(LOG_LEVEL_WARNING, "session",
                 "%llu: pid %u sent a malformed control message; ended",
                 (unsigned long long)session->id, session->process.pid);
    }
    control_client_gone(control, session);
}

/* ---- the queue's messages
 * --------------------------------------------------------------------------------------- */

/* A ring size a client may ask for: 0 is the default; else the next power of two within the
 * config's bounds. */
static uint32_t control_ring_bytes(uint32_t asked, uint32_t usual, uint32_t most)
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

static enum rs_status control_open(struct control *control, const struct message *message,
                                   struct dp_socket **out)
{
    struct rs_op_open open = message->body.open;
    const struct queue_config *config = control->config;
    if (open.family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    if (open.type != RS_SOCK_DGRAM) {
        return RS_TYPE_NOT_SUPPORTED;
    }
    open.recv_ring_bytes = control_ring_bytes(open.recv_ring_bytes, config->recv_ring_bytes,
                                              config->recv_ring_max_bytes);
    open.send_ring_bytes = control_ring_bytes(open.send_ring_bytes, config->send_ring_bytes,
                                              config->send_ring_max_bytes);
    return session_socket_open(message->session, &open, out);
}

static void control_message_open(struct control *control, const struct message *message)
{
    struct message answer = {
        .kind = CONTROL_OPENED, .session = message->session, .reply = message->reply};
    answer.reply.status = (uint32_t)control_open(control, message, &answer.socket);
    if (answer.socket != NULL) {
        answer.reply.open.socket_idx = answer.socket->idx;
        answer.reply.open.generation = answer.socket->generation;
    }
    control_push(control, &answer);
}

/* Rings are taken once and stay with the socket, also when the bind itself fails and is tried
 * again. */
static enum rs_status control_take_rings(struct dp_socket *socket)
{
    struct dp_session *session = socket->session;
    enum rs_status status = RS_OK;
    if (socket->recv_ring.size_bytes == 0) {
        status =
            session_ring_take(session, RS_EXTENT_DP, socket->recv_ring_bytes, &socket->recv_ring);
    }
    if (status == RS_OK && socket->send_ring.size_bytes == 0) {
        status =
            session_ring_take(session, RS_EXTENT_CL, socket->send_ring_bytes, &socket->send_ring);
    }
    if (status == RS_OK) {
        socket->recv_base = session_ring_touch(session, &socket->recv_ring);
        socket->send_base = session_ring_touch(session, &socket->send_ring);
    }
    return status;
}

static enum rs_status control_bind(struct control *control, struct dp_socket *socket,
                                   struct rs_addr *local)
{
    if (local->family != RS_FAMILY_IPV4) {
        return RS_FAMILY_NOT_SUPPORTED;
    }
    uint32_t ip_be32 = local->ip.v4_be32;
    if (ip_be32 != 0 && !stack_is_own_address(control->queue->stack, ip_be32) &&
        (rs_be32(ip_be32) >> 28) != 14 /* 224.0.0.0/4 */) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    enum rs_status status = control_take_rings(socket);
    if (status != RS_OK) {
        return status;
    }
    ports_release(control->ports, &socket->port);
    enum ports_share share = socket->exclusive ? PORTS_EXCLUSIVE
                             : socket->reuse   ? PORTS_REUSE
                                               : PORTS_DEFAULT;
    status = ports_bind(control->ports, &socket->port, ip_be32, &local->port_be16, share,
                        socket->session->user_id);
    if (status != RS_OK) {
        return status;
    }
    struct rs_socket_desc *desc = socket->desc;
    *desc = (struct rs_socket_desc){.local = rs_addr_v4(ip_be32, local->port_be16),
                                    .generation = socket->generation,
                                    .type = RS_SOCK_DGRAM,
                                    .send = socket->send_ring};
    desc->recv[0] = socket->recv_ring;
    return RS_OK;
}

static void control_message_bind(struct control *control, const struct message *message)
{
    struct message answer = {.kind = CONTROL_BOUND,
                             .session = message->session,
                             .socket = message->socket,
                             .reply = message->reply};
    answer.body.addr = message->body.addr;
    answer.reply.status = (uint32_t)control_bind(control, message->socket, &answer.body.addr);
    control_push(control, &answer);
}

static void control_message_closed(struct control *control, const struct message *message)
{
    ports_release(control->ports, &message->socket->port);
    session_socket_free(message->session, message->socket);
    if (message->reply.channel != NULL) {
        control_push(control, &(struct message){.kind = CONTROL_CLOSED,
                                                .session = message->session,
                                                .reply = message->reply});
    }
}

static void control_message_channel_removed(const struct message *message)
{
    struct dp_session *session = message->session;
    uint32_t idx = message->channel->idx;
    session_channel_close(session, message->channel);
    if (session->channel_closing_idx == idx) {
        session->channel_closing_idx = RS_NO_INDEX;
        if (session->conn.handle != -1) {
            control_answer(session, &session->conn, RS_CTL_CHANNEL_CLOSE, RS_OK, idx, NULL, 0, "");
        }
    }
}

static void control_message_notice(const struct message *message)
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

static void control_message(struct control *control, const struct message *message)
{
    struct dp_session *session = message->session;
    switch (message->kind) {
    case QUEUE_OPEN:
        control_message_open(control, message);
        break;
    case QUEUE_BIND:
        control_message_bind(control, message);
        break;
    case QUEUE_CLOSED:
        control_message_closed(control, message);
        break;
    case QUEUE_CHANNEL_REMOVED:
        control_message_channel_removed(message);
        break;
    case QUEUE_SESSION_ENDED:
        session->state = SESSION_ENDED;
        if (session->client_gone) {
            control_session_free(control, session);
        }
        break;
    case QUEUE_POISONED:
        log_line(LOG_LEVEL_WARNING, "session",
                 "%llu: pid %u broke the protocol: %s; its session is ended",
                 (unsigned long long)session->id, session->process.pid, message->body.poison.text);
        control_session_end(control, session);
        break;
    case QUEUE_NOTICE:
        control_message_notice(message);
        break;
    default:
        assert(!"a message for a queue came to the control thread");
    }
}

static void control_messages(struct control *control)
{
    struct message message;
    while (message_pop(control->queue->to_control, &message)) {
        control_message(control, &message);
    }
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------------------
 */

/* Takes over the MACs the queue left, then lets it leave the next ones. */
static void control_multicast(struct control *control)
{
    struct queue *queue = control->queue;
    /* acquire: partner is the queue's release after it filled the list */
    if (atomic_load_explicit(&queue->macs_ready, memory_order_acquire) == 0) {
        return;
    }
    enum rs_status status = control->nic->ops->multicast_set(
        control->nic, (const uint8_t(*)[6])queue->macs, queue->mac_count);
    if (status != RS_OK) {
        log_line(LOG_LEVEL_WARNING, "nic", "%s: multicast filter not set: %s", control->nic->name,
                 rs_status_name(status));
    }
    /* release: our reads of the list come before the queue fills it again */
    atomic_store_explicit(&queue->macs_ready, 0, memory_order_release);
}

static void control_watch(struct control *control, uint64_t now_ns)
{
    control->next_watch_ns = now_ns + CONTROL_WATCH_NS;
    struct nic *nic = control->nic;
    bool up = nic->ops->link_up(nic);
    if (up != control->link_was_up) {
        control->link_was_up = up;
        log_line(up ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "nic", "%s: link %s", nic->name,
                 up ? "up" : "down: nothing is sent or received until the cable or peer is back");
    }
    if (atomic_exchange_explicit(&control->queue->pin_failed, 0, memory_order_relaxed) != 0) {
        log_line(LOG_LEVEL_WARNING, "queue", "cannot run on core %d; running unpinned",
                 control->config->core);
    }
}

static void control_dispatch(struct control *control, uint64_t token)
{
    uint64_t id = token & ~(0xffull << 56);
    switch (token >> 56) {
    case SOURCE_LISTENER:
        if (!control->stopping) {
            control_accept(control);
        }
        return;
    case SOURCE_STOP:
        control->stopping = true;
        return;
    case SOURCE_CONN:
    case SOURCE_PROCESS: {
        /* Gone already when its other source came earlier in the same batch. */
        struct dp_session *session = control_find(control, id);
        if (session == NULL) {
            return;
        }
        if (token >> 56 == SOURCE_PROCESS) {
            control_client_gone(control, session);
        } else if (!session->client_gone) {
            control_conn_ready(control, session);
        }
        return;
    }
    default: /* SOURCE_WAKE: messages are taken in every round */
        return;
    }
}

/* One round: sleep until something is there, then serve it. */
static enum rs_status control_round(struct control *control)
{
    uint64_t tokens[32];
    uint32_t count = 0;
    /* Stored before the look for messages; partner: queue_tell_control pushes, fences, and looks at
     * this word. */
    atomic_store_explicit(&control->sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    control_messages(control);
    control_multicast(control);
    enum rs_status status = os_poller_wait(control->poller, CONTROL_WATCH_NS, tokens, 32, &count);
    atomic_store_explicit(&control->sleeping, 0, memory_order_relaxed);
    if (status != RS_OK && status != RS_TIMED_OUT) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        control_dispatch(control, tokens[i]);
    }
    uint64_t now_ns = os_monotonic_ns();
    if (now_ns >= control->next_watch_ns) {
        control_watch(control, now_ns);
    }
    return RS_OK;
}

enum rs_status control_run(struct control *control, struct os_event *stop)
{
    enum rs_status status =
        os_poller_add(control->poller, OS_SOURCE_EVENT, stop, control_token(SOURCE_STOP, 0));
    while (status == RS_OK && !control->stopping) {
        status = control_round(control);
    }
    os_poller_remove(control->poller, OS_SOURCE_EVENT, stop);
    control->stopping = true;
    for (struct dp_session *session = control->sessions; session != NULL; session = session->next) {
        control_session_end(control, session);
    }
    uint64_t give_up_ns = os_monotonic_ns() + CONTROL_STOP_NS;
    while (status == RS_OK && control->sessions != NULL && os_monotonic_ns() < give_up_ns) {
        for (struct dp_session *next, *session = control->sessions; session != NULL;
             session = next) {
            next = session->next;
            if (session->state == SESSION_ENDED) {
                control_session_free(control, session);
            }
        }
        if (control->sessions != NULL) {
            status = control_round(control);
        }
    }
    if (control->sessions != NULL) {
        log_line(LOG_LEVEL_WARNING, "control", "%u sessions did not end within 3 s",
                 control->session_count);
    }
    return status;
}

enum rs_status control_create(const struct queue_config *config, struct nic *nic,
                              struct control *out)
{
    *out =
        (struct control){.config = config, .nic = nic, .next_session_id = 1, .link_was_up = true};
    uint64_t random[2];
    out->clock = rs_clock_make(os_tsc(), os_unix_ns(), os_tsc_hz());
    enum rs_status status = os_random(random, sizeof(random));
    if (status != RS_OK) {
        return status;
    }
    out->epoch = random[0] | 1; /* never 0 */
    status = ports_create((uint32_t)random[1], &out->ports);
    if (status != RS_OK) {
        return status;
    }
    status = os_event_create(&out->wake);
    if (status != RS_OK) {
        goto destroy_ports;
    }
    status = os_listen(config->instance, &out->listener);
    if (status != RS_OK) {
        log_line(LOG_LEVEL_ERROR, "control", "instance %s: %s (%s)", config->instance,
                 status == RS_ADDR_IN_USE ? "another dataplane serves it" : "cannot listen",
                 os_last_error_text());
        goto destroy_wake;
    }
    status = os_poller_create(&out->poller);
    if (status != RS_OK) {
        goto close_listener;
    }
    status = os_poller_add(out->poller, OS_SOURCE_LISTENER, &out->listener,
                           control_token(SOURCE_LISTENER, 0));
    if (status == RS_OK) {
        status =
            os_poller_add(out->poller, OS_SOURCE_EVENT, &out->wake, control_token(SOURCE_WAKE, 0));
    }
    if (status != RS_OK) {
        goto destroy_poller;
    }
    return RS_OK;

destroy_poller:
    os_poller_destroy(out->poller);
close_listener:
    os_listener_close(&out->listener);
destroy_wake:
    os_event_destroy(&out->wake);
destroy_ports:
    ports_destroy(out->ports);
    return status;
}

void control_destroy(struct control *control)
{
    while (control->sessions !=
           NULL) { /* only those that did not end in time: the queue has stopped */
        struct dp_session *session = control->sessions;
        for (uint32_t i = 0; i < session->config->limit_sockets; i++) {
            if (session->sockets[i] != NULL) {
                ports_release(control->ports, &session->sockets[i]->port);
                session_socket_free(session, session->sockets[i]);
            }
        }
        control_session_free(control, session);
    }
    os_poller_destroy(control->poller);
    os_listener_close(&control->listener);
    os_event_destroy(&control->wake);
    ports_destroy(control->ports);
}
