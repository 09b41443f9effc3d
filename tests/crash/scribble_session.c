/* See scribble_session.h. */
#include "tests/crash/scribble_session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "rings/byteorder.h"

#define ANSWER_NS 5000000000ull
#define REPLY_NS  2000000000ull
#define LOOK_NS   20000u

bool scribble_poisoned(const struct scribble_session *session)
{
    return atomic_load(&((struct rs_session_header *)session->extents[0].base)->poisoned) != 0;
}

enum rs_status scribble_call(struct scribble_session *session, uint32_t type, uint32_t arg,
                             struct rs_ctl_answer *answer, intptr_t handles[OS_CONN_HANDLES])
{
    const struct rs_ctl_request request = {.magic = RS_MAGIC, .type = type, .arg = arg};
    size_t bytes = sizeof(*answer);
    uint32_t count = 0;
    for (uint32_t i = 0; i < OS_CONN_HANDLES; i++) {
        handles[i] = -1;
    }
    enum rs_status status = os_conn_send(&session->conn, &request, sizeof(request), NULL, 0);
    if (status == RS_OK) {
        status = os_conn_recv(&session->conn, answer, &bytes, handles, &count, ANSWER_NS);
    }
    if (status == RS_OK && (bytes != sizeof(*answer) || answer->type != type)) {
        status = RS_CORRUPT;
    }
    return status == RS_OK ? (enum rs_status)answer->status : status;
}

/* Now and then (forgetful) not said: what is written there is then not served. */
static bool scribble_mapped(struct scribble_session *session, uint32_t extent_idx)
{
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    return session->forgetful ||
           scribble_call(session, RS_CTL_MAPPED, extent_idx, &answer, handles) == RS_OK;
}

bool scribble_attach(struct scribble_session *session, const char *instance, uint32_t flags)
{
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    const char *why;
    memset(session, 0, sizeof(*session));
    if (os_connect(instance, ANSWER_NS, &session->conn) != RS_OK) {
        return false;
    }
    if (scribble_call(session, RS_CTL_ATTACH, RS_LAYOUT_VERSION | flags, &answer, handles) !=
        RS_OK) {
        os_conn_close(&session->conn);
        return false;
    }
    session->attached =
        os_shm_map(handles[0], answer.sizes_bytes[0], false, &session->extents[0]) == RS_OK &&
        os_shm_map(handles[1], answer.sizes_bytes[1], true, &session->extents[1]) == RS_OK &&
        rs_session_check(session->extents[0].base, answer.sizes_bytes[0], &session->view, &why) ==
            RS_OK &&
        rs_view_map(&session->view, 1, session->extents[1].base, answer.sizes_bytes[1]) == RS_OK &&
        scribble_mapped(session, 1);
    if (!session->attached) {
        scribble_detach(session);
    }
    return session->attached;
}

void scribble_detach(struct scribble_session *session)
{
    os_conn_close(&session->conn);
    for (uint32_t i = 0; i < RS_CHANNELS_MAX; i++) {
        if (session->channels[i].open) {
            os_handle_close(session->channels[i].event);
        }
    }
    for (uint32_t i = 0; i < RS_EXTENTS_MAX; i++) {
        os_shm_destroy(&session->extents[i]);
    }
    session->attached = false;
}

bool scribble_channel_open(struct scribble_session *session, uint32_t queue_idx, uint32_t *idx)
{
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    void *requests = NULL;
    void *replies = NULL;
    if (scribble_call(session, RS_CTL_CHANNEL_OPEN, queue_idx, &answer, handles) != RS_OK) {
        return false;
    }
    *idx = (uint32_t)answer.value;
    struct scribble_channel *channel = &session->channels[*idx];
    const struct rs_channel_state *states = rs_view_region(&session->view, RS_REGION_CHANNEL_STATE);
    const struct rs_channel_state *state = &states[*idx];
    uint32_t slots = session->view.request_slots;
    if (rs_resolve(&session->view, state->requests, (uint64_t)slots * sizeof(struct rs_request),
                   RS_LINE_BYTES, RS_EXTENT_CL, &requests) != RS_OK ||
        rs_resolve(&session->view, state->replies, RS_REPLY_CELLS * sizeof(struct rs_reply),
                   RS_LINE_BYTES, RS_EXTENT_DP, &replies) != RS_OK) {
        os_handle_close(handles[0]);
        return false;
    }
    *channel = (struct scribble_channel){.open = true, .replies = replies, .event = handles[0]};
    slot_producer_init(&channel->producer, requests, slots, state);
    return true;
}

bool scribble_extent(struct scribble_session *session, uint32_t extent_idx)
{
    struct rs_ctl_answer answer;
    intptr_t handles[OS_CONN_HANDLES];
    enum rs_extent_kind kind;
    uint64_t bytes;
    if (extent_idx < RS_EXTENTS_MAX && session->extents[extent_idx].base != NULL) {
        return true;
    }
    if (rs_view_extent(&session->view, extent_idx, &kind, &bytes) != RS_OK ||
        scribble_call(session, RS_CTL_EXTENT, extent_idx, &answer, handles) != RS_OK) {
        return false;
    }
    if (os_shm_map(handles[0], bytes, kind == RS_EXTENT_CL, &session->extents[extent_idx]) !=
            RS_OK ||
        rs_view_map(&session->view, extent_idx, session->extents[extent_idx].base, bytes) !=
            RS_OK) {
        return false;
    }
    return kind != RS_EXTENT_CL || scribble_mapped(session, extent_idx);
}

bool scribble_post(struct scribble_session *session, uint32_t channel,
                   const struct rs_request *request)
{
    struct slot_producer *producer = &session->channels[channel].producer;
    struct rs_request *slot = slot_producer_reserve(producer);
    if (slot == NULL) {
        return false;
    }
    memcpy((uint8_t *)slot + sizeof(slot->seq), (const uint8_t *)request + sizeof(request->seq),
           sizeof(*request) - sizeof(request->seq));
    (void)slot_producer_publish(producer);
    return true;
}

enum rs_status scribble_request(struct scribble_session *session, uint32_t channel, uint8_t op,
                                const struct scribble_socket *socket, const void *payload,
                                size_t bytes, struct rs_reply *reply)
{
    uint32_t serial = ++session->serial;
    uint32_t cell = serial % RS_REPLY_CELLS;
    struct rs_request request = {.op = op,
                                 .len_bytes = (uint8_t)bytes,
                                 .socket_idx = socket != NULL ? socket->idx : RS_NO_INDEX,
                                 .generation = socket != NULL ? socket->generation : 0,
                                 .arg = cell,
                                 .serial = serial};
    memcpy(request.payload, payload, bytes);
    uint64_t give_up_ns = os_monotonic_ns() + REPLY_NS;
    bool posted = scribble_post(session, channel, &request);
    const struct rs_reply *from = &session->channels[channel].replies[cell];
    while (!posted || atomic_load(&from->serial) != serial) {
        if (scribble_poisoned(session) || os_monotonic_ns() >= give_up_ns) {
            return RS_TIMED_OUT;
        }
        os_sleep_ns(LOOK_NS);
        posted = posted || scribble_post(session, channel, &request);
    }
    memcpy(reply, from, sizeof(*reply));
    return (enum rs_status)reply->status;
}

struct scribble_socket *scribble_socket_make(struct scribble_session *session, uint32_t channel,
                                             uint32_t ip_be32, uint16_t port, uint32_t ring_bytes)
{
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                                    .type = RS_SOCK_DGRAM,
                                    .recv_ring_bytes = ring_bytes,
                                    .send_ring_bytes = ring_bytes};
    const struct rs_addr local = rs_addr_v4(ip_be32, rs_be16(port));
    struct rs_reply reply;
    struct rs_open_reply opened;
    if (session->socket_count >= SCRIBBLE_SOCKETS ||
        scribble_request(session, channel, RS_OP_OPEN, NULL, &open, sizeof(open), &reply) !=
            RS_OK) {
        return NULL;
    }
    memcpy(&opened, reply.payload, sizeof(opened));
    struct scribble_socket *socket = &session->sockets[session->socket_count];
    *socket = (struct scribble_socket){
        .idx = opened.socket_idx, .generation = opened.generation, .channel = channel};
    if (opened.socket_idx >= session->view.limit_sockets) {
        abort(); /* the dataplane's memory: never wrong */
    }
    session->socket_count++;
    const struct rs_socket_desc *descs = rs_view_region(&session->view, RS_REGION_SOCKET_DESC);
    if (scribble_request(session, channel, RS_OP_BIND, socket, &local, sizeof(local), &reply) !=
        RS_OK) {
        return NULL;
    }
    const struct rs_socket_desc desc = descs[socket->idx];
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if (desc.recv[i].size_bytes != 0 &&
            !scribble_extent(session, desc.recv[i].ref.extent_idx)) {
            return NULL;
        }
    }
    if (!scribble_extent(session, desc.send.ref.extent_idx) ||
        rs_resolve_ring(&session->view, &desc.send, RS_EXTENT_CL, &socket->send_base) != RS_OK) {
        return NULL;
    }
    socket->send_bytes = desc.send.size_bytes;
    return socket;
}

/* Its rings, as the descriptor has them now. */
static bool scribble_rings(struct scribble_session *session, struct scribble_socket *socket)
{
    const struct rs_socket_desc *descs = rs_view_region(&session->view, RS_REGION_SOCKET_DESC);
    const struct rs_socket_desc desc = descs[socket->idx];
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        if (desc.recv[i].size_bytes != 0 &&
            !scribble_extent(session, desc.recv[i].ref.extent_idx)) {
            return false;
        }
    }
    socket->send_bytes = desc.send.size_bytes;
    return desc.send.size_bytes == 0 ||
           (scribble_extent(session, desc.send.ref.extent_idx) &&
            rs_resolve_ring(&session->view, &desc.send, RS_EXTENT_CL, &socket->send_base) == RS_OK);
}

static bool scribble_connected(const struct scribble_session *session, uint32_t idx)
{
    const struct rs_socket_state *states = rs_view_region(&session->view, RS_REGION_SOCKET_STATE);
    uint64_t give_up_ns = os_monotonic_ns() + REPLY_NS;
    while ((atomic_load(&states[idx].level) & RS_LEVEL_CONNECTED) == 0) {
        if (scribble_poisoned(session) || os_monotonic_ns() >= give_up_ns) {
            return false;
        }
        os_sleep_ns(LOOK_NS);
    }
    return true;
}

struct scribble_socket *scribble_stream_make(struct scribble_session *session, uint32_t channel,
                                             bool listens, uint16_t port)
{
    const struct rs_op_open open = {.family = RS_FAMILY_IPV4,
                                    .type = RS_SOCK_STREAM,
                                    .recv_ring_bytes = 8192,
                                    .send_ring_bytes = 8192};
    const struct rs_op_listen listen = {.backlog = 8};
    const struct rs_addr at = rs_addr_v4(rs_be32(0x7f000001u), rs_be16(port));
    struct rs_reply reply;
    struct rs_open_reply opened;
    if (session->socket_count >= SCRIBBLE_SOCKETS ||
        scribble_request(session, channel, RS_OP_OPEN, NULL, &open, sizeof(open), &reply) !=
            RS_OK) {
        return NULL;
    }
    memcpy(&opened, reply.payload, sizeof(opened));
    struct scribble_socket *socket = &session->sockets[session->socket_count++];
    *socket = (struct scribble_socket){
        .idx = opened.socket_idx, .generation = opened.generation, .channel = channel};
    bool made = listens ? scribble_request(session, channel, RS_OP_BIND, socket, &at, sizeof(at),
                                           &reply) == RS_OK &&
                              scribble_request(session, channel, RS_OP_LISTEN, socket, &listen,
                                               sizeof(listen), &reply) == RS_OK
                        : scribble_request(session, channel, RS_OP_CONNECT, socket, &at, sizeof(at),
                                           &reply) == RS_OK &&
                              scribble_connected(session, socket->idx);
    return made && scribble_rings(session, socket) ? socket : NULL;
}

uint32_t scribble_find(const struct scribble_session *session, const uint8_t stamp[SCRIBBLE_STAMP],
                       uint64_t *bytes)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < RS_EXTENTS_MAX; i++) {
        const struct os_shm *shm = &session->extents[i];
        size_t pages = shm->base != NULL ? (size_t)shm->size_bytes / RS_PAGE_BYTES : 0;
        unsigned char *resident = pages != 0 ? malloc(pages) : NULL;
        if (resident == NULL || mincore(shm->base, (size_t)shm->size_bytes, resident) != 0) {
            free(resident);
            continue;
        }
        for (size_t page = 0; page < pages; page++) {
            const uint8_t *at = (const uint8_t *)shm->base + page * RS_PAGE_BYTES;
            size_t look = RS_PAGE_BYTES;
            if ((resident[page] & 1) == 0) {
                continue;
            }
            look += page + 1 < pages && (resident[page + 1] & 1) != 0 ? SCRIBBLE_STAMP - 1 : 0;
            found += memmem(at, look, stamp, SCRIBBLE_STAMP) != NULL;
            *bytes += RS_PAGE_BYTES;
        }
        free(resident);
    }
    return found;
}
