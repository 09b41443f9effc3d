/* See fake_dataplane.h. The thread holds `mutex` for each iteration; link calls of client threads
 * take it too. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rings/byteorder.h"
#include "tests/support/check.h"
#include "tests/support/fake_internal.h"

#define HINT_SLOTS 64u

const struct fake_config fake_defaults = {.limit_sockets = 32,
                                          .limit_channels = 8,
                                          .recv_ring_bytes = 1u << 17,
                                          .send_ring_bytes = 1u << 17,
                                          .spin_us = 50,
                                          .mtu_bytes = 65535};

/* ---- memory ------------------------------------------------------------------------------------
 */

static void fake_layout(struct fake *fake, struct rs_session_config *session)
{
    const struct fake_config *config = &fake->config;
    CHECK(rs_session_plan(session, &fake->plan) == RS_OK);
    fake->hints_off = fake->plan.dp_bytes;
    fake->replies_off =
        fake->hints_off + config->limit_channels * HINT_SLOTS * (uint32_t)sizeof(struct rs_hint);
    fake->requests_off = fake->plan.cl_bytes;
    fake->info_off = fake->replies_off +
                     config->limit_channels * RS_REPLY_CELLS * (uint32_t)sizeof(struct rs_reply);
    fake->sizes[0] = rs_align_up(fake->info_off + config->limit_channels * RS_REPLY_CELLS *
                                                      (uint32_t)sizeof(struct rs_tcp_info),
                                 RS_PAGE_BYTES);
    fake->sizes[1] =
        rs_align_up(fake->requests_off + config->limit_channels * fake->plan.request_slots *
                                             (uint32_t)sizeof(struct rs_request),
                    RS_PAGE_BYTES);
    fake->sizes[2] = (uint64_t)config->limit_sockets * config->recv_ring_bytes;
    fake->sizes[3] = (uint64_t)config->limit_sockets * config->send_ring_bytes;
    for (int i = 0; i < 4; i++) {
        fake->blocks[i] = calloc(1, (size_t)fake->sizes[i] + RS_PAGE_BYTES);
        CHECK(fake->blocks[i] != NULL);
        /* Not aligned_alloc: MinGW has none. */
        fake->extents[i] =
            fake->blocks[i] + (RS_PAGE_BYTES - (uintptr_t)fake->blocks[i] % RS_PAGE_BYTES);
    }
    const struct rs_region_info *regions = fake->plan.regions;
#define REGION(kind) (void *)(fake->extents[regions[kind].ref.extent_idx] + regions[kind].ref.off)
    fake->header = (struct rs_session_header *)(void *)fake->extents[0];
    fake->states = REGION(RS_REGION_SOCKET_STATE);
    fake->descs = REGION(RS_REGION_SOCKET_DESC);
    fake->clients = REGION(RS_REGION_SOCKET_CLIENT);
    fake->channel_states = REGION(RS_REGION_CHANNEL_STATE);
    fake->channel_clients = REGION(RS_REGION_CHANNEL_CLIENT);
    fake->queue = REGION(RS_REGION_QUEUE_STATE);
#undef REGION
}

/* ---- requests ----------------------------------------------------------------------------------
 */

struct fake_socket *fake_by_port(struct fake *fake, uint32_t type, uint16_t port_be16)
{
    for (uint32_t i = 0; i < fake->config.limit_sockets; i++) {
        struct fake_socket *socket = &fake->sockets[i];
        if (socket->bound && socket->type == type && socket->local.port_be16 == port_be16) {
            return socket;
        }
    }
    return NULL;
}

void fake_happened(struct fake_socket *socket, uint32_t events)
{
    socket->touched = true;
    socket->happened |= events;
}

void fake_raise(struct fake *fake, struct fake_socket *socket, enum rs_status error)
{
    struct rs_socket_state *state = &fake->states[socket - fake->sockets];
    atomic_store_explicit(&state->error_code, (uint32_t)error, memory_order_relaxed);
    atomic_store_explicit(&state->error_seq, ++socket->errors, memory_order_release);
    fake_happened(socket, RS_LEVEL_ERROR);
}

static void fake_deliver(struct fake *fake, struct fake_socket *from, struct rs_addr to,
                         const uint8_t *payload, uint32_t len_bytes)
{
    struct fake_socket *socket = fake_by_port(fake, RS_SOCK_DGRAM, to.port_be16);
    if (socket == NULL) {
        fake_raise(fake, from, RS_PORT_UNREACHABLE);
        return;
    }
    if (socket->peer.family != RS_FAMILY_NONE && socket->peer.port_be16 != from->local.port_be16) {
        return; /* it is connected to somebody else */
    }
    struct rs_dgram *record;
    if (dgram_writer_reserve(&socket->recv, len_bytes, RS_DGRAM_SHORT_OFF, &record) != RS_OK) {
        atomic_fetch_add_explicit(&fake->states[socket - fake->sockets].recv_dropped, 1,
                                  memory_order_relaxed);
        return;
    }
    record->src_be32 = from->local.ip.v4_be32;
    record->src_port_be16 = from->local.port_be16;
    record->ttl = 64;
    record->tos = 0;
    record->rx_tsc = os_tsc();
    memcpy((uint8_t *)record + RS_DGRAM_SHORT_OFF, payload, len_bytes);
    dgram_writer_commit(&socket->recv);
    fake_happened(socket, RS_LEVEL_READABLE);
}

static void fake_drain(struct fake *fake, struct fake_socket *socket)
{
    struct dgram_send_view view;
    while (dgram_send_reader_peek(&socket->send, &view) == RS_OK) {
        struct rs_addr to = view.header.family == RS_FAMILY_NONE
                                ? socket->peer
                                : rs_addr_v4(view.header.dst_be32, view.header.port_be16);
        fake_deliver(fake, socket, to, view.payload, view.header.len_bytes);
        dgram_send_reader_advance(&socket->send, &view);
        fake->counts.ring_sends++;
    }
    dgram_send_reader_publish(&socket->send);
    fake_happened(socket, RS_LEVEL_WRITABLE);
}

enum rs_status fake_open(struct fake *fake, uint32_t type, struct rs_open_reply *reply)
{
    for (uint32_t i = 0; i < fake->config.limit_sockets; i++) {
        struct fake_socket *socket = &fake->sockets[i];
        if (socket->generation == 0) {
            uint32_t generation = socket->last_generation + 1;
            *socket = (struct fake_socket){.generation = generation,
                                           .type = type,
                                           .last_generation = generation,
                                           .errors = socket->errors};
            struct rs_socket_state *state = &fake->states[i];
            atomic_store_explicit(&state->urgent_seq, 0, memory_order_relaxed);
            atomic_store_explicit(&state->level, 0, memory_order_relaxed);
            *reply = (struct rs_open_reply){.socket_idx = i, .generation = generation};
            fake->counts.sockets_open++;
            return RS_OK;
        }
    }
    return RS_TOO_MANY_SOCKETS;
}

/* What happened to the socket goes to who armed for it; behind a fence. */
static void fake_hint(struct fake *fake, uint32_t idx)
{
    struct fake_socket *socket = &fake->sockets[idx];
    uint64_t channels = arm_take(&fake->clients[idx], &socket->arm_seen, socket->happened);
    socket->touched = false;
    socket->happened = 0;
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        if ((channels >> i & 1) != 0 && fake->channels[i].open) {
            fake->channels[i].wake = true;
            CHECK(hint_producer_push(&fake->channels[i].hints, idx, socket->last_generation) ==
                  RS_OK);
        }
    }
}

/* Its sleepers hear of it before the place is anybody else's. */
void fake_free(struct fake *fake, struct fake_socket *socket)
{
    wakeup_fence();
    fake_hint(fake, fake_idx(fake, socket));
    socket->bound = false;
    socket->generation = 0;
    fake->counts.sockets_open--;
}

void fake_publish_desc(struct fake *fake, struct fake_socket *socket)
{
    uint32_t idx = (uint32_t)(socket - fake->sockets);
    uint32_t size = fake->config.recv_ring_bytes;
    struct rs_socket_desc desc = {.local = socket->local,
                                  .peer = socket->peer,
                                  .generation = socket->generation,
                                  .type = socket->type};
    desc.recv[0] =
        (struct rs_ring_ref){.ref = {.extent_idx = 2, .off = idx * size}, .size_bytes = size};
    desc.send =
        (struct rs_ring_ref){.ref = {.extent_idx = 3, .off = idx * fake->config.send_ring_bytes},
                             .size_bytes = fake->config.send_ring_bytes};
    if (fake->corrupt_desc) {
        desc.recv[0].ref.off = (uint32_t)fake->sizes[2];
    }
    fake->descs[idx] = desc;
}

enum rs_status fake_choose_port(struct fake *fake, struct fake_socket *socket)
{
    if (socket->local.port_be16 != 0) {
        return fake_by_port(fake, socket->type, socket->local.port_be16) == NULL ? RS_OK
                                                                                 : RS_ADDR_IN_USE;
    }
    do {
        socket->local.port_be16 = rs_be16((uint16_t)(FIRST_PORT + fake->next_port++ % 16384u));
    } while (fake_by_port(fake, socket->type, socket->local.port_be16) != NULL);
    return RS_OK;
}

static enum rs_status fake_bind(struct fake *fake, struct fake_socket *socket,
                                const struct rs_request *request)
{
    uint32_t idx = fake_idx(fake, socket);
    memcpy(&socket->local, request->payload, sizeof(socket->local));
    enum rs_status status = fake_choose_port(fake, socket);
    if (status != RS_OK) {
        return status;
    }
    dgram_writer_init(&socket->recv, fake->extents[2] + (size_t)idx * fake->config.recv_ring_bytes,
                      fake->config.recv_ring_bytes, &fake->clients[idx].recv_head[0],
                      fake->config.recv_ring_bytes, 0);
    dgram_send_reader_init(&socket->send,
                           fake->extents[3] + (size_t)idx * fake->config.send_ring_bytes,
                           fake->config.send_ring_bytes, &fake->states[idx].send_head, 0);
    socket->bound = true;
    fake_publish_desc(fake, socket);
    return RS_OK;
}

/* info: the place of the request's reply cell. */
static enum rs_status fake_control(struct fake *fake, const struct rs_request *request,
                                   struct rs_open_reply *reply, struct rs_tcp_info *info)
{
    if (request->op == RS_OP_NOP) {
        return RS_OK;
    }
    if (request->op == RS_OP_OPEN) {
        struct rs_op_open open;
        memcpy(&open, request->payload, sizeof(open));
        return fake_open(fake, open.type, reply);
    }
    CHECK(request->socket_idx < fake->config.limit_sockets);
    struct fake_socket *socket = &fake->sockets[request->socket_idx];
    if (socket->generation != request->generation) {
        return RS_NOT_SOCKET;
    }
    if (request->op == RS_OP_BIND) {
        return fake_bind(fake, socket, request);
    }
    if (socket->type == RS_SOCK_STREAM && request->op == RS_OP_TCP_INFO) {
        return fake_stream_info(fake, socket, info);
    }
    if (socket->type == RS_SOCK_STREAM) {
        return fake_stream_control(fake, socket, request);
    }
    switch (request->op) {
    case RS_OP_CONNECT:
        memcpy(&socket->peer, request->payload, sizeof(socket->peer));
        fake_publish_desc(fake, socket);
        return RS_OK;
    case RS_OP_SHUTDOWN:
        fake_happened(socket, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
        return RS_OK;
    case RS_OP_CLOSE:
        fake_happened(socket, UINT32_MAX);
        fake_free(fake, socket);
        return RS_OK;
    default:
        return RS_OK;
    }
}

static void fake_stream_data(struct fake *fake, struct fake_socket *socket, uint32_t channel_idx,
                             uint32_t position, const struct rs_request *request)
{
    if (request->op == RS_OP_CONSUMED) {
        fake->counts.consumed++;
        fake_stream_consumed(fake, socket);
        return;
    }
    CHECK(request->op == RS_OP_POST || request->op == RS_OP_URGENT);
    fake->counts.posts++;
    socket->posted = true;
    socket->post_position = position;
    socket->post_channel = channel_idx;
    fake_stream_tail(fake, socket, request->arg, request->op == RS_OP_URGENT);
}

static void fake_data(struct fake *fake, uint32_t channel_idx, uint32_t position,
                      const struct rs_request *request)
{
    CHECK(request->socket_idx < fake->config.limit_sockets);
    struct fake_socket *socket = &fake->sockets[request->socket_idx];
    if (socket->generation != request->generation) {
        return;
    }
    if (request->op == RS_OP_WARM) {
        CHECK(request->len_bytes <= RS_INLINE_BYTES);
        return; /* it has no caches to fill */
    }
    if (socket->type == RS_SOCK_STREAM) {
        fake_stream_data(fake, socket, channel_idx, position, request);
        return;
    }
    if (!socket->bound) {
        return;
    }
    if (request->op == RS_OP_SEND_INLINE) {
        struct rs_addr to =
            request->arg == 0 ? socket->peer : rs_addr_v4(request->arg, request->port_be16);
        fake->counts.inline_sends++;
        fake_deliver(fake, socket, to, request->payload, request->len_bytes);
        return;
    }
    fake->counts.posts++;
    CHECK(dgram_send_reader_extend(&socket->send, request->arg) == RS_OK);
    socket->posted = true;
    socket->post_position = position;
    socket->post_channel = channel_idx;
    fake_drain(fake, socket);
}

static uint32_t fake_consume(struct fake *fake, uint32_t channel_idx)
{
    struct fake_channel *channel = &fake->channels[channel_idx];
    struct rs_request request;
    uint32_t taken = 0;
    while (taken < 16 && slot_consumer_peek(&channel->requests, &request)) {
        if (request.op == RS_OP_SEND_INLINE || request.op == RS_OP_POST ||
            request.op == RS_OP_URGENT || request.op == RS_OP_CONSUMED ||
            request.op == RS_OP_WARM) {
            fake_data(fake, channel_idx, channel->requests.head, &request);
        } else {
            union {
                struct rs_open_reply open;
                struct rs_share_data data;
            } reply = {.data = {0}};
            CHECK(request.arg < RS_REPLY_CELLS);
            enum rs_status status =
                fake_control(fake, &request, &reply.open, &channel->info[request.arg]);
            if (request.op == RS_OP_SHARE_RECV) { /* nothing there */
                reply.data.level = atomic_load_explicit(&fake->states[request.socket_idx].level,
                                                        memory_order_relaxed);
            }
            channel->wake = true;
            CHECK(reply_write(channel->replies, request.arg, request.serial, status, &reply,
                              sizeof(reply)) == RS_OK);
        }
        slot_consumer_advance(&channel->requests);
        taken++;
    }
    slot_consumer_publish(&channel->requests);
    return taken;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static void fake_take_level(struct fake *fake, struct fake_socket *socket)
{
    uint32_t tail;
    if (!socket->posted || !post_pressure(&fake->channel_clients[socket->post_channel]) ||
        !post_level_take(&fake->clients[fake_idx(fake, socket)], socket->post_position, &tail)) {
        return;
    }
    if (socket->type == RS_SOCK_STREAM) {
        fake->counts.level_takes++;
        fake_stream_tail(fake, socket, tail, false);
    } else if (socket->bound) {
        CHECK(dgram_send_reader_extend(&socket->send, tail) == RS_OK);
        fake->counts.level_takes++;
        fake_drain(fake, socket);
    }
}

static void fake_settle_socket(struct fake *fake, uint32_t idx)
{
    struct fake_socket *socket = &fake->sockets[idx];
    fake_take_level(fake, socket);
    socket->posted = false;
    fake_stream_settle(fake, socket);
    if (fake->config.stale_events && socket->bound && fake->counts.iterations % 3 == 0) {
        fake_happened(socket, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
    }
    if (!socket->touched) {
        return;
    }
    fake_hint(fake, idx);
}

static bool fake_iterate(struct fake *fake)
{
    uint32_t taken = 0;
    fake->counts.iterations++;
    atomic_store_explicit(&fake->queue->heartbeat_tsc, os_tsc(), memory_order_relaxed);
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        if (fake->channels[i].open) {
            taken += fake_consume(fake, i);
        }
    }
    fake_stream_step(fake);
    wakeup_fence();
    for (uint32_t i = 0; i < fake->config.limit_sockets; i++) {
        fake_settle_socket(fake, i);
    }
    wakeup_fence();
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        bool wake = fake->channels[i].wake;
        fake->channels[i].wake = false;
        if (wake && fake->channels[i].open && wakeup_needed(&fake->channels[i].wakeup)) {
            fake->counts.signals++;
            os_event_signal(&fake->channels[i].event);
        }
    }
    return taken != 0;
}

static void fake_run(void *arg)
{
    struct fake *fake = arg;
    while (atomic_load_explicit(&fake->stop, memory_order_acquire) == 0) {
        bool busy = false;
        if (atomic_load_explicit(&fake->dead, memory_order_acquire) == 0) {
            os_mutex_lock(&fake->mutex);
            if (atomic_load_explicit(&fake->pause, memory_order_acquire) == 0) {
                atomic_store_explicit(&fake->paused, 0, memory_order_release);
                busy = fake_iterate(fake);
            } else {
                if (atomic_load_explicit(&fake->stalled, memory_order_relaxed) == 0) {
                    atomic_store_explicit(&fake->queue->heartbeat_tsc, os_tsc(),
                                          memory_order_relaxed);
                }
                atomic_store_explicit(&fake->paused, 1, memory_order_release);
            }
            os_mutex_unlock(&fake->mutex);
        }
        if (!busy) {
            os_yield();
        }
    }
}

/* ---- the link ----------------------------------------------------------------------------------
 */

static enum rs_status fake_channel_open(struct fake *fake, struct rs_ctl_answer *answer,
                                        intptr_t *handle)
{
    uint32_t idx = 0;
    if (fake->config.channels_refused != 0 &&
        fake->counts.channels_open >= fake->config.channels_refused) {
        return RS_NO_BUFFERS;
    }
    while (idx < fake->config.limit_channels && fake->channels[idx].open) {
        idx++;
    }
    if (idx == fake->config.limit_channels) {
        return RS_NO_BUFFERS;
    }
    struct fake_channel *channel = &fake->channels[idx];
    struct rs_channel_state *state = &fake->channel_states[idx];
    uint32_t requests_off =
        fake->requests_off + idx * fake->plan.request_slots * (uint32_t)sizeof(struct rs_request);
    uint32_t hints_off = fake->hints_off + idx * HINT_SLOTS * (uint32_t)sizeof(struct rs_hint);
    uint32_t replies_off =
        fake->replies_off + idx * RS_REPLY_CELLS * (uint32_t)sizeof(struct rs_reply);
    state->generation++;
    state->queue_idx = 0;
    state->requests = (struct rs_ref){.extent_idx = 1, .off = requests_off};
    state->hints = (struct rs_ref){.extent_idx = 0, .off = hints_off};
    uint32_t info_off =
        fake->info_off + idx * RS_REPLY_CELLS * (uint32_t)sizeof(struct rs_tcp_info);
    state->replies = (struct rs_ref){.extent_idx = 0, .off = replies_off};
    state->info = (struct rs_ref){.extent_idx = 0, .off = info_off};
    channel->info = (void *)(fake->extents[0] + info_off);
    channel->replies = (void *)(fake->extents[0] + replies_off);
    slot_consumer_init(&channel->requests, (void *)(fake->extents[1] + requests_off),
                       fake->plan.request_slots, state, channel->requests.head);
    hint_producer_init(&channel->hints, (void *)(fake->extents[0] + hints_off), HINT_SLOTS, state,
                       &fake->channel_clients[idx], channel->hints.tail);
    channel->wakeup = (struct wakeup_signaller){.shared = &fake->channel_clients[idx]};
    CHECK(os_event_create(&channel->event) == RS_OK);
    channel->open = true;
    channel->wake = true;
    fake->counts.channels_open++;
    *handle = dup((int)channel->event.handle);
    answer->value = idx;
    return RS_OK;
}

static enum rs_status fake_call(void *context, const struct rs_ctl_request *request,
                                struct rs_ctl_answer *answer, intptr_t handles[CLIENT_LINK_HANDLES],
                                uint64_t timeout_ns)
{
    struct fake *fake = context;
    (void)timeout_ns;
    for (uint32_t i = 0; i < CLIENT_LINK_HANDLES; i++) {
        handles[i] = -1;
    }
    if (atomic_load_explicit(&fake->dead, memory_order_acquire) != 0) {
        return RS_DATAPLANE_GONE;
    }
    *answer = (struct rs_ctl_answer){.magic = RS_MAGIC, .type = request->type};
    os_mutex_lock(&fake->mutex);
    switch (request->type) {
    case RS_CTL_ATTACH:
        answer->sizes_bytes[0] = fake->sizes[0];
        answer->sizes_bytes[1] = fake->sizes[1];
        break;
    case RS_CTL_CHANNEL_OPEN:
        answer->status = (uint32_t)fake_channel_open(fake, answer, &handles[0]);
        break;
    case RS_CTL_CHANNEL_CLOSE:
        if (fake->refuse_close) {
            answer->status = RS_POISONED;
            break;
        }
        while (fake_consume(fake, request->arg) != 0) {
        }
        fake->channels[request->arg].open = false;
        fake->counts.channels_open--;
        os_event_destroy(&fake->channels[request->arg].event);
        break;
    case RS_CTL_SLEEPS:
        break;
    case RS_CTL_MAPPED:
        CHECK(request->arg == 1 || request->arg == 3);
        break;
    default: /* RS_CTL_EXTENT */
        CHECK(request->arg == 2 || request->arg == 3);
        answer->value = fake->sizes[request->arg];
        break;
    }
    os_mutex_unlock(&fake->mutex);
    return RS_OK;
}

static enum rs_status fake_map(void *context, uint32_t extent_idx, intptr_t handle,
                               uint64_t size_bytes, bool writable, struct os_shm *out)
{
    struct fake *fake = context;
    (void)handle;
    CHECK(extent_idx < 4 && size_bytes == fake->sizes[extent_idx] &&
          writable == ((extent_idx & 1) != 0));
    *out =
        (struct os_shm){.base = fake->extents[extent_idx], .size_bytes = size_bytes, .handle = -1};
    return RS_OK;
}

static void fake_unmap(void *context, struct os_shm *shm)
{
    (void)context;
    shm->base = NULL;
}

static bool fake_alive(void *context)
{
    struct fake *fake = context;
    return atomic_load_explicit(&fake->dead, memory_order_acquire) == 0;
}

/* The session ends; another attach finds all channels free. */
static void fake_close(void *context)
{
    struct fake *fake = context;
    os_mutex_lock(&fake->mutex);
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        if (fake->channels[i].open) {
            while (fake_consume(fake, i) != 0) {
            }
            fake->channels[i].open = false;
            fake->counts.channels_open--;
            os_event_destroy(&fake->channels[i].event);
        }
    }
    os_mutex_unlock(&fake->mutex);
}

struct client_link fake_link(struct fake *fake)
{
    static const struct client_link_ops ops = {.call = fake_call,
                                               .map = fake_map,
                                               .unmap = fake_unmap,
                                               .alive = fake_alive,
                                               .close = fake_close};
    return (struct client_link){.ops = &ops, .context = fake, .process = NULL};
}

/* ---- made and steered by tests -----------------------------------------------------------------
 */

struct fake *fake_create(const struct fake_config *config)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    CHECK(fake != NULL);
    fake->config = *config;
    os_mutex_init(&fake->mutex);
    struct rs_session_config session = {.epoch = 7,
                                        .session_id = 1,
                                        .clock = rs_clock_make(os_tsc(), os_unix_ns(), os_tsc_hz()),
                                        .tsc_hz = os_tsc_hz(),
                                        .limit_sockets = config->limit_sockets,
                                        .limit_channels = config->limit_channels,
                                        .queue_count = 1,
                                        .hint_slots = HINT_SLOTS,
                                        .recv_ring_bytes = config->recv_ring_bytes,
                                        .send_ring_bytes = config->send_ring_bytes,
                                        .spin_us = config->spin_us,
                                        .yield_in_spin = 1,
                                        .mtu_bytes = config->mtu_bytes,
                                        .dataplane_pid = os_process_id(),
                                        .instance = "fake"};
    fake_layout(fake, &session);
    fake->sockets = calloc(config->limit_sockets, sizeof(*fake->sockets));
    CHECK(fake->sockets != NULL);
    CHECK(rs_session_init(fake->header, &session, fake->sizes[0], fake->sizes[1]) == RS_OK);
    CHECK(rs_session_add_extent(fake->header, 2, RS_EXTENT_DP, fake->sizes[2], 1) == RS_OK);
    CHECK(rs_session_add_extent(fake->header, 3, RS_EXTENT_CL, fake->sizes[3], 1) == RS_OK);
    fake->queue->ip_be32 = config->ip_be32;
    fake->queue->mtu_bytes = config->mtu_bytes;
    atomic_store_explicit(&fake->queue->heartbeat_tsc, os_tsc(), memory_order_relaxed);
    CHECK(os_thread_start(&fake->thread, fake_run, fake, "fake-dataplane") == RS_OK);
    return fake;
}

void fake_destroy(struct fake *fake)
{
    atomic_store_explicit(&fake->stop, 1, memory_order_release);
    os_thread_join(&fake->thread);
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        if (fake->channels[i].open) {
            os_event_destroy(&fake->channels[i].event);
        }
    }
    for (int i = 0; i < 4; i++) {
        free(fake->blocks[i]);
    }
    os_mutex_destroy(&fake->mutex);
    free(fake->sockets);
    free(fake);
}

void fake_pause(struct fake *fake)
{
    /* Under the lock: what the thread said in an earlier pause, which it may not have left yet, is
     * not about this one. */
    os_mutex_lock(&fake->mutex);
    atomic_store_explicit(&fake->pause, 1, memory_order_release);
    atomic_store_explicit(&fake->paused, 0, memory_order_relaxed);
    os_mutex_unlock(&fake->mutex);
    while (atomic_load_explicit(&fake->paused, memory_order_acquire) == 0) {
        os_yield();
    }
}

void fake_stall(struct fake *fake)
{
    atomic_store_explicit(&fake->stalled, 1, memory_order_relaxed);
    fake_pause(fake);
}

void fake_resume(struct fake *fake)
{
    atomic_store_explicit(&fake->stalled, 0, memory_order_relaxed);
    atomic_store_explicit(&fake->pause, 0, memory_order_release);
}

void fake_die(struct fake *fake)
{
    os_mutex_lock(&fake->mutex);
    atomic_store_explicit(&fake->dead, 1, memory_order_release);
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        if (fake->channels[i].open) {
            fake->channels[i].open = false;
            os_event_destroy(&fake->channels[i].event);
        }
    }
    os_mutex_unlock(&fake->mutex);
}

void fake_poison(struct fake *fake, enum rs_status why)
{
    os_mutex_lock(&fake->mutex);
    rs_session_poison(fake->header, why);
    wakeup_fence();
    for (uint32_t i = 0; i < fake->config.limit_channels; i++) {
        if (fake->channels[i].open && wakeup_needed(&fake->channels[i].wakeup)) {
            os_event_signal(&fake->channels[i].event);
        }
    }
    os_mutex_unlock(&fake->mutex);
}

void fake_switch_link(struct fake *fake)
{
    atomic_fetch_add_explicit(&fake->queue->link_changes, 1, memory_order_relaxed);
}

void fake_error(struct fake *fake, uint16_t port_be16, enum rs_status error)
{
    os_mutex_lock(&fake->mutex);
    struct fake_socket *socket = fake_by_port(fake, RS_SOCK_DGRAM, port_be16);
    CHECK(socket != NULL);
    fake_raise(fake, socket, error);
    os_mutex_unlock(&fake->mutex);
}

void fake_stream_error(struct fake *fake, uint16_t port_be16, enum rs_status error)
{
    os_mutex_lock(&fake->mutex);
    struct fake_socket *socket = fake_by_port(fake, RS_SOCK_STREAM, port_be16);
    CHECK(socket != NULL);
    fake_stream_fail(fake, socket, error);
    os_mutex_unlock(&fake->mutex);
}

void fake_refuse_close(struct fake *fake)
{
    os_mutex_lock(&fake->mutex);
    fake->refuse_close = true;
    os_mutex_unlock(&fake->mutex);
}

void fake_corrupt_desc(struct fake *fake)
{
    os_mutex_lock(&fake->mutex);
    fake->corrupt_desc = true;
    os_mutex_unlock(&fake->mutex);
}

void fake_count(struct fake *fake, struct fake_counts *out)
{
    os_mutex_lock(&fake->mutex);
    *out = fake->counts;
    os_mutex_unlock(&fake->mutex);
}
