/*
 * Session memory of session.h: lays out extents 0 (dp) and 1 (cl), opens channels and sockets in
 * them, hands out rings. Control thread only; called by control.c; uses arena.c and rings/os.
 */
#include "dataplane/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/stream.h"
#include "rings/seq.h"

#define SESSION_TABLE_EXTENTS      2u /* 0 and 1; the others have rings only */
#define SESSION_EXTENT_FIRST_BYTES (4u << 20)
#define SESSION_EXTENT_MOST_BYTES  (64u << 20)

#define SESSION_HINT_SLOTS 256u

/* The fixed tables (rings/session.h), and behind them in the same extents the rings of all
 * channels. */
struct session_plan {
    struct rs_session_config header;
    struct rs_session_plan tables;
    struct rs_ref requests, hints, replies, info; /* of channel 0; the others follow */
    uint64_t extent_bytes[2];
};

static RS_CHECK_RESULT enum rs_status session_plan_make(struct session_plan *plan)
{
    enum rs_status status = rs_session_plan(&plan->header, &plan->tables);
    if (status != RS_OK) {
        return status;
    }
    uint64_t channels = plan->header.limit_channels;
    uint64_t replies_bytes = channels * RS_REPLY_CELLS * sizeof(struct rs_reply);
    uint64_t info_bytes = channels * RS_REPLY_CELLS * sizeof(struct rs_tcp_info);
    uint64_t hints_bytes = channels * SESSION_HINT_SLOTS * sizeof(struct rs_hint);
    uint64_t requests_bytes = channels * plan->tables.request_slots * sizeof(struct rs_request);
    plan->replies = (struct rs_ref){0, plan->tables.dp_bytes};
    plan->info = (struct rs_ref){0, plan->replies.off + (uint32_t)replies_bytes};
    plan->hints = (struct rs_ref){0, plan->info.off + (uint32_t)info_bytes};
    plan->requests = (struct rs_ref){1, plan->tables.cl_bytes};
    plan->extent_bytes[0] = plan->hints.off + hints_bytes;
    plan->extent_bytes[1] = plan->tables.cl_bytes + requests_bytes;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t page_mask = RS_PAGE_BYTES - 1;
        plan->extent_bytes[i] = (plan->extent_bytes[i] + page_mask) & ~page_mask;
        if (plan->extent_bytes[i] > UINT32_MAX - page_mask) {
            return RS_NO_BUFFERS; /* offsets are 32-bit: config.c's ranges rule this out */
        }
    }
    return RS_OK;
}

static uint32_t session_least_mtu_bytes(const struct session_plan_input *input)
{
    uint32_t bytes = input->nics[0]->mtu_bytes;
    for (uint32_t i = 1; i < input->queue_count; i++) {
        bytes = input->nics[i]->mtu_bytes < bytes ? input->nics[i]->mtu_bytes : bytes;
    }
    return bytes;
}

static void session_plan_header(const struct session_plan_input *input,
                                struct rs_session_config *out)
{
    const struct queue_config *config = &input->configs[0];
    out->epoch = input->epoch;
    out->session_id = input->id;
    out->clock = input->clock;
    out->tsc_hz = os_tsc_hz();
    out->limit_sockets = config->limit_sockets;
    out->limit_channels = config->limit_channels;
    out->queue_count = input->queue_count;
    out->hint_slots = SESSION_HINT_SLOTS;
    out->recv_ring_bytes = config->recv_ring_bytes;
    out->send_ring_bytes = config->send_ring_bytes;
    out->spin_us = config->spin_us;
    out->yield_in_spin = config->client_yield;
    out->mtu_bytes = session_least_mtu_bytes(input);
    out->dataplane_pid = os_process_id();
    memcpy(out->instance, config->instance, sizeof(out->instance));
}

void *session_pointer(const struct dp_session *session, struct rs_ref ref)
{
    assert(ref.extent_idx < session->extent_count);
    assert(ref.off < session->extents[ref.extent_idx].size_bytes);
    return (char *)session->extents[ref.extent_idx].base + ref.off;
}

/* Makes the next extent; enters it in the header's table when there is a header already. */
static enum rs_status session_extent_add(struct dp_session *session, enum rs_extent_kind kind,
                                         uint64_t size_bytes)
{
    uint32_t limit = session->config->limit_extents;
    if (session->extent_count >= (limit < RS_EXTENTS_MAX ? limit : RS_EXTENTS_MAX)) {
        return RS_NO_BUFFERS;
    }
    /* The first two are the session itself; config.c sees that they fit. */
    if (session->extent_count >= 2 &&
        size_bytes > session->config->limit_memory_bytes - session->memory_bytes) {
        return RS_NO_BUFFERS;
    }
    struct os_shm *shm = &session->extents[session->extent_count];
    enum rs_status status =
        os_shm_create(kind == RS_EXTENT_DP ? OS_SHM_DP : OS_SHM_CL, size_bytes, shm);
    if (status != RS_OK) {
        return status;
    }
    if (kind == RS_EXTENT_CL) {
        status = os_guard_add(shm->base, shm->size_bytes, &session->faulted);
        if (status != RS_OK) {
            os_shm_destroy(shm);
            return status;
        }
    }
    uint32_t idx = session->extent_count++;
    session->extent_kinds[idx] = (uint8_t)kind;
    session->memory_bytes += size_bytes;
    return session->header == NULL
               ? RS_OK
               : rs_session_add_extent(session->header, idx, kind, shm->size_bytes, 1);
}

static void session_extents_destroy(struct dp_session *session, uint32_t kept)
{
    while (session->extent_count > kept) {
        const uint32_t idx = --session->extent_count;
        if (session->extent_kinds[idx] == RS_EXTENT_CL) {
            os_guard_remove(session->extents[idx].base);
        }
        session->memory_bytes -= session->extents[idx].size_bytes;
        os_shm_destroy(&session->extents[idx]);
    }
}

static enum rs_status session_part_create(struct session_part *part, struct dp_session *session)
{
    part->session = session;
    part->sockets = calloc(session->config->limit_sockets, sizeof(struct dp_socket *));
    part->channels = calloc(session->config->limit_channels, sizeof(struct dp_channel *));
    return part->sockets != NULL && part->channels != NULL ? RS_OK : RS_NO_MEMORY;
}

static enum rs_status session_tables_create(struct dp_session *session)
{
    uint32_t sockets = session->config->limit_sockets;
    uint32_t channels = session->config->limit_channels;
    session->channels = calloc(channels, sizeof(*session->channels));
    session->channel_used = calloc(channels, 1);
    session->free_sockets = calloc(sockets, sizeof(*session->free_sockets));
    session->generations = calloc(sockets, sizeof(*session->generations));
    session->records = calloc(sockets, sizeof(struct session_socket *));
    session->parts = calloc(session->queue_count, sizeof(*session->parts));
    if (session->channels == NULL || session->channel_used == NULL ||
        session->free_sockets == NULL || session->generations == NULL || session->records == NULL ||
        session->parts == NULL) {
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < session->queue_count; i++) {
        enum rs_status status = session_part_create(&session->parts[i], session);
        if (status != RS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < sockets; i++) {
        session->free_sockets[i] = sockets - 1 - i; /* low indices first */
    }
    session->free_socket_count = sockets;
    return RS_OK;
}

static void session_tables_free(struct dp_session *session)
{
    for (uint32_t i = 0; session->parts != NULL && i < session->queue_count; i++) {
        free(session->parts[i].sockets);
        free(session->parts[i].channels);
    }
    free(session->parts);
    free(session->channels);
    free(session->channel_used);
    free(session->free_sockets);
    free(session->generations);
    free(session->records);
}

/* Channel i's rings lie at fixed places; only the cold words say so to the client, when it is
 * opened. */
static void session_channels_place(struct dp_session *session, const struct session_plan *plan)
{
    for (uint32_t i = 0; i < session->config->limit_channels; i++) {
        struct rs_channel_state *state = &session->channel_states[i];
        struct dp_channel *channel = &session->channels[i];
        state->requests = plan->requests;
        state->requests.off += i * plan->tables.request_slots * (uint32_t)sizeof(struct rs_request);
        state->hints = plan->hints;
        state->hints.off += i * SESSION_HINT_SLOTS * (uint32_t)sizeof(struct rs_hint);
        state->replies = plan->replies;
        state->replies.off += i * RS_REPLY_CELLS * (uint32_t)sizeof(struct rs_reply);
        state->info = plan->info;
        state->info.off += i * RS_REPLY_CELLS * (uint32_t)sizeof(struct rs_tcp_info);
        channel->session = session;
        channel->idx = i;
        atomic_store_explicit(&channel->queue_idx, RS_NO_INDEX, memory_order_relaxed);
        channel->event.handle = -1;
        channel->client = &session->channel_clients[i];
        channel->replies = session_pointer(session, state->replies);
        channel->info = session_pointer(session, state->info);
        slot_consumer_init(&channel->requests, session_pointer(session, state->requests),
                           plan->tables.request_slots, state, 0);
        hint_producer_init(&channel->hints, session_pointer(session, state->hints),
                           SESSION_HINT_SLOTS, state, channel->client, 0);
    }
}

static void session_tables_place(struct dp_session *session, const struct rs_region_info *regions)
{
    session->header = session->extents[0].base;
    session->socket_states = session_pointer(session, regions[RS_REGION_SOCKET_STATE].ref);
    session->socket_descs = session_pointer(session, regions[RS_REGION_SOCKET_DESC].ref);
    session->socket_clients = session_pointer(session, regions[RS_REGION_SOCKET_CLIENT].ref);
    session->channel_states = session_pointer(session, regions[RS_REGION_CHANNEL_STATE].ref);
    session->channel_clients = session_pointer(session, regions[RS_REGION_CHANNEL_CLIENT].ref);
}

static void session_queues_place(struct dp_session *session, const struct session_plan *plan,
                                 const struct session_plan_input *input)
{
    struct rs_queue_state *states =
        session_pointer(session, plan->tables.regions[RS_REGION_QUEUE_STATE].ref);
    for (uint32_t i = 0; i < session->queue_count; i++) {
        session->parts[i].state = &states[i];
        states[i].kind = input->nics[i]->kind;
        states[i].queue_idx = i;
        states[i].ip_be32 = input->configs[i].stack.ip_be32;
        states[i].mtu_bytes = input->nics[i]->mtu_bytes;
        states[i].prefix_len = input->configs[i].stack.prefix_len;
        states[i].more_count = input->configs[i].stack.more_count;
        for (uint32_t j = 0; j < states[i].more_count; j++) {
            states[i].more_be32[j] = input->configs[i].stack.more[j].ip_be32;
            states[i].more_prefix_len[j] = input->configs[i].stack.more[j].prefix_len;
        }
        /* Until the queue has the session its heart beats by our word. */
        atomic_store_explicit(&states[i].heartbeat_tsc, os_tsc(), memory_order_relaxed);
    }
}

static struct dp_session *session_alloc(const struct session_plan_input *input)
{
    struct dp_session *session = calloc(1, sizeof(*session));
    if (session != NULL) {
        session->id = input->id;
        session->slot = input->slot;
        session->config = &input->configs[0];
        session->queue_count = input->queue_count;
        uint32_t share =
            session->config->limit_sockets / (SESSION_SPARES_SHARE * session->queue_count);
        session->spares_max = share < SESSION_SPARES_MAX ? share : SESSION_SPARES_MAX;
        session->channel_closing_idx = RS_NO_INDEX;
        session->conn.handle = -1;
        session->process.handle = -1;
    }
    return session;
}

enum rs_status session_create(const struct session_plan_input *input, struct dp_session **out)
{
    struct session_plan plan = {0};
    session_plan_header(input, &plan.header);
    enum rs_status status = session_plan_make(&plan);
    if (status != RS_OK) {
        return status;
    }
    struct dp_session *session = session_alloc(input);
    if (session == NULL) {
        return RS_NO_MEMORY;
    }
    status = session_tables_create(session);
    if (status != RS_OK) {
        goto free_tables;
    }
    status = session_extent_add(session, RS_EXTENT_DP, plan.extent_bytes[0]);
    if (status != RS_OK) {
        goto free_tables;
    }
    status = session_extent_add(session, RS_EXTENT_CL, plan.extent_bytes[1]);
    if (status != RS_OK) {
        goto free_extents;
    }
    session_tables_place(session, plan.tables.regions);
    session_channels_place(session, &plan);
    session_queues_place(session, &plan, input);
    status = rs_session_init(session->header, &plan.header, session->extents[0].size_bytes,
                             session->extents[1].size_bytes);
    if (status != RS_OK) {
        goto free_extents;
    }
    *out = session;
    return RS_OK;

free_extents:
    session_extents_destroy(session, 0);
free_tables:
    session_tables_free(session);
    free(session);
    return status;
}

void session_destroy(struct dp_session *session)
{
    assert(session->free_socket_count == session->config->limit_sockets);
    for (uint32_t i = 0; i < session->config->limit_channels; i++) {
        if (session->channel_used[i]) {
            session_channel_close(session, &session->channels[i]);
        }
    }
    arena_destroy(&session->arena_dp);
    arena_destroy(&session->arena_cl);
    session_extents_destroy(session, 0);
    os_process_close(&session->process);
    os_conn_close(&session->conn);
    session_tables_free(session);
    free(session);
}

/* Extents double, so that a thousand sockets need a handful of them. */
static uint32_t session_next_extent_bytes(const struct dp_session *session, uint32_t at_least)
{
    uint32_t bytes = SESSION_EXTENT_FIRST_BYTES;
    for (uint32_t i = 2; i < session->extent_count && bytes < SESSION_EXTENT_MOST_BYTES; i += 2) {
        bytes *= 2;
    }
    return bytes > at_least ? bytes : at_least;
}

enum rs_status session_ring_take(struct dp_session *session, enum rs_extent_kind kind,
                                 uint32_t size_bytes, struct rs_ring_ref *out)
{
    struct arena *arena = kind == RS_EXTENT_DP ? &session->arena_dp : &session->arena_cl;
    struct rs_ref ref;
    enum rs_status status = arena_take(arena, size_bytes, &ref);
    if (status == RS_NO_BUFFERS) {
        uint32_t bytes = session_next_extent_bytes(session, size_bytes);
        status = session_extent_add(session, kind, bytes);
        if (status != RS_OK) {
            return status;
        }
        status = arena_add(arena, (struct rs_ref){session->extent_count - 1, 0}, bytes);
        if (status != RS_OK) {
            return status;
        }
        status = arena_take(arena, size_bytes, &ref);
    }
    if (status == RS_OK) {
        *out = (struct rs_ring_ref){.ref = ref, .size_bytes = size_bytes, .generation = 1};
        session->rings_out++;
    }
    return status;
}

void session_ring_give(struct dp_session *session, enum rs_extent_kind kind,
                       struct rs_ring_ref *ring)
{
    if (ring->size_bytes == 0) {
        return;
    }
    struct arena *arena = kind == RS_EXTENT_DP ? &session->arena_dp : &session->arena_cl;
    /* Without memory for the list node the chunk stays out of use until the session ends, which is
     * safe. */
    (void)arena_give(arena, ring->size_bytes, ring->ref);
    ring->size_bytes = 0;
    session->rings_out--;
}

uint64_t session_rings_bytes(const struct dp_session *session)
{
    uint64_t bytes = 0;
    for (uint32_t i = SESSION_TABLE_EXTENTS; i < session->extent_count; i++) {
        bytes += session->extents[i].size_bytes;
    }
    return bytes;
}

void session_rings_trim(struct dp_session *session)
{
    assert(session->rings_out == 0);
    arena_destroy(&session->arena_dp);
    arena_destroy(&session->arena_cl);
    for (uint32_t i = SESSION_TABLE_EXTENTS; i < session->extent_count; i++) {
        /* relaxed: nobody maps this session */
        atomic_store_explicit(&session->header->extents[i].kind, RS_EXTENT_NONE,
                              memory_order_relaxed);
    }
    session_extents_destroy(session, SESSION_TABLE_EXTENTS);
    atomic_fetch_and_explicit(&session->sealed, (UINT64_C(1) << SESSION_TABLE_EXTENTS) - 1,
                              memory_order_relaxed);
}

/* Reading maps a page, and makes it where there is none yet; it changes nothing for whoever writes
 * there. */
static void session_touch(const void *memory, size_t bytes)
{
    const volatile uint8_t *page = memory;
    for (size_t off = 0; off < bytes; off += RS_PAGE_BYTES) {
        (void)page[off];
    }
}

uint8_t *session_ring_touch(const struct dp_session *session, const struct rs_ring_ref *ring)
{
    uint8_t *base = session_pointer(session, ring->ref);
    session_touch(base, ring->size_bytes);
    return base;
}

enum rs_status session_seal(struct dp_session *session, uint32_t extent_idx)
{
    if (extent_idx >= session->extent_count || session->extent_kinds[extent_idx] != RS_EXTENT_CL) {
        return RS_INVALID;
    }
    const struct os_shm *shm = &session->extents[extent_idx];
    if (session_is_sealed(session, extent_idx)) {
        return RS_OK;
    }
    enum rs_status status = os_shm_seal(shm);
    if (status != RS_OK) {
        return status;
    }
    if (extent_idx == 1) { /* the tables; request rings are touched when their channel is opened */
        session_touch(shm->base, (size_t)((const uint8_t *)session->channels[0].requests.slots -
                                          (const uint8_t *)shm->base));
    }
    for (uint32_t i = 0; i < session->config->limit_sockets; i++) {
        const struct session_socket *record = session->records[i];
        if (record != NULL && record->send_ring.size_bytes != 0 &&
            record->send_ring.ref.extent_idx == extent_idx) {
            (void)session_ring_touch(session, &record->send_ring);
        }
    }
    /* release: partner is session_is_sealed */
    atomic_fetch_or_explicit(&session->sealed, (uint64_t)1 << extent_idx, memory_order_release);
    return RS_OK;
}

enum rs_status session_channel_open(struct dp_session *session, uint32_t queue_idx,
                                    struct dp_channel **out)
{
    uint32_t idx = 0;
    while (idx < session->config->limit_channels && session->channel_used[idx]) {
        idx++;
    }
    if (idx == session->config->limit_channels) {
        return RS_NO_BUFFERS;
    }
    struct dp_channel *channel = &session->channels[idx];
    enum rs_status status = os_event_create(&channel->event);
    if (status != RS_OK) {
        return status;
    }
    session->channel_used[idx] = 1;
    channel->removing = false;
    channel->part = &session->parts[queue_idx];
    atomic_store_explicit(&channel->queue_idx, queue_idx, memory_order_relaxed);
    channel->wakeup = (struct wakeup_signaller){.shared = channel->client};
    struct rs_channel_state *state = &session->channel_states[idx];
    state->queue_idx = queue_idx;
    state->generation++;
    session_touch(channel->requests.slots,
                  ((size_t)channel->requests.mask + 1) * sizeof(struct rs_request));
    session_touch(channel->hints.slots, SESSION_HINT_SLOTS * sizeof(struct rs_hint));
    *out = channel;
    return RS_OK;
}

void session_channel_close(struct dp_session *session, struct dp_channel *channel)
{
    atomic_store_explicit(&channel->queue_idx, RS_NO_INDEX, memory_order_relaxed);
    os_event_destroy(&channel->event);
    session->channel_used[channel->idx] = 0;
}

/* On a line of its own: udp_socket is one line, and the demux touches nothing else of a socket. Not
 * every C library has aligned_alloc. */
static struct dp_socket *session_part_alloc(uint32_t type)
{
    size_t stream_bytes = type == RS_SOCK_STREAM ? sizeof(struct dp_stream) : 0;
    void *allocation = calloc(1, sizeof(struct dp_socket) + stream_bytes + RS_LINE_BYTES - 1);
    if (allocation == NULL) {
        return NULL;
    }
    uintptr_t line = ((uintptr_t)allocation + RS_LINE_BYTES - 1) & ~(uintptr_t)(RS_LINE_BYTES - 1);
    struct dp_socket *socket = (struct dp_socket *)line;
    socket->allocation = allocation;
    socket->stream = type == RS_SOCK_STREAM ? (struct dp_stream *)(socket + 1) : NULL;
    return socket;
}

enum rs_status session_socket_part(struct session_socket *record, uint32_t queue_idx,
                                   struct dp_socket **out)
{
    struct dp_session *session = record->session;
    struct dp_socket *socket = session_part_alloc(record->type);
    if (socket == NULL) {
        return RS_NO_MEMORY;
    }
    udp_socket_init(&socket->udp);
    socket->session = session;
    socket->part = &session->parts[queue_idx];
    socket->record = record;
    socket->queue_idx = queue_idx;
    socket->idx = record->idx;
    socket->generation = record->generation;
    socket->state = &session->socket_states[record->idx];
    socket->desc = &session->socket_descs[record->idx];
    socket->client = &session->socket_clients[record->idx];
    socket->surface_connreset = true;
    record->parts[queue_idx] = socket;
    *out = socket;
    return RS_OK;
}

enum rs_status session_socket_open(struct dp_session *session, uint32_t home_queue_idx,
                                   const struct rs_op_open *open, struct session_socket **out)
{
    if (session->free_socket_count == 0) {
        return RS_TOO_MANY_SOCKETS;
    }
    struct session_socket *record = calloc(1, sizeof(*record));
    if (record == NULL) {
        return RS_NO_MEMORY;
    }
    uint32_t idx = session->free_sockets[session->free_socket_count - 1];
    record->session = session;
    record->idx = idx;
    record->type = open->type;
    /* 0 means free */
    record->generation = session->generations[idx] + 1 != 0 ? session->generations[idx] + 1 : 1;
    record->home_queue_idx = home_queue_idx;
    record->recv_ring_bytes = open->recv_ring_bytes;
    record->send_ring_bytes = open->send_ring_bytes;
    struct dp_socket *home;
    enum rs_status status = session_socket_part(record, home_queue_idx, &home);
    if (status != RS_OK) {
        free(record);
        return status;
    }
    home->home = true;
    record->live = 1u << home_queue_idx;
    session->generations[idx] = record->generation;
    session->free_socket_count--;
    session->records[idx] = record;
    *out = record;
    return RS_OK;
}

void session_socket_free(struct session_socket *record)
{
    struct dp_session *session = record->session;
    for (uint32_t i = 0; i < RS_QUEUES_MAX; i++) {
        session_ring_give(session, RS_EXTENT_DP, &record->recv_rings[i]);
        if (record->parts[i] != NULL) {
            free(record->parts[i]->allocation);
        }
    }
    session_ring_give(session, RS_EXTENT_CL, &record->send_ring);
    session_ring_give(session, RS_EXTENT_CL, &record->lent_ring);
    free(record->share);
    session->generations[record->idx] = record->generation;
    session->records[record->idx] = NULL;
    session->free_sockets[session->free_socket_count++] = record->idx;
    free(record);
}
