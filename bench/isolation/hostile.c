/*
 * Programs that cost the dataplane as much as they can without breaking the protocol, and some that
 * do. They attach as anybody does, and then write slots, tails and client words themselves. Each
 * runs in a process of its own until that is ended. Main thread.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/isolation/isolation.h"
#include "provider/client/client_internal.h"
#include "rings/byteorder.h"

#define HOSTILE_GROUP 0xef010203u /* 239.1.2.3 */
#define HOSTILE_PORT  9000u
#define LOCALHOST     0x7f000001u

/* A channel whose request ring is written by hand. */
struct hostile_channel {
    struct rs_request *slots;
    const struct rs_channel_state *state;
    struct rs_channel_client *client;
    uint32_t mask, position, serial;
};

struct hostile {
    struct client *client;
    struct client_socket *sockets[ISOLATION_SOCKETS];
    uint32_t socket_count;
    struct hostile_channel channels[ISOLATION_CHANNELS];
    uint32_t channel_count;
};

static struct hostile self;

static bool hostile_fail(const char *what)
{
    (void)fprintf(stderr, "neighbour: %s: %s\n", what, client_last_error_text());
    return false;
}

/* ---- set-up ---- */

static bool hostile_channel_open(struct client *client, struct hostile_channel *out)
{
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    void *slots = NULL;
    os_mutex_lock(&client->slow_mutex);
    enum rs_status status = client_link_call(client, RS_CTL_CHANNEL_OPEN, 0, &answer, handles);
    if (status == RS_OK) {
        const struct rs_channel_state *state = &client->channel_states[answer.value];
        status = client_resolve(client, state->requests,
                                (uint64_t)client->request_slots * sizeof(struct rs_request),
                                RS_EXTENT_CL, &slots);
        *out = (struct hostile_channel){.slots = slots,
                                        .state = state,
                                        .client = &client->channel_clients[answer.value],
                                        .mask = client->request_slots - 1,
                                        .position = atomic_load(&state->request_head),
                                        .serial = 1};
    }
    os_mutex_unlock(&client->slow_mutex);
    return status == RS_OK;
}

bool hostile_channel_more(struct client *client)
{
    struct hostile_channel unused;
    return hostile_channel_open(client, &unused);
}

static bool hostile_socket_open(struct client_socket **out, uint16_t port)
{
    const struct rs_addr local = rs_addr_v4(rs_be32(LOCALHOST), rs_be16(port));
    return client_socket_create(self.client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, out) == RS_OK &&
           client_set_option(*out, CLIENT_OPT_NONBLOCKING, 1) == RS_OK &&
           (port == 0 || client_set_option(*out, RS_OPT_REUSEADDR, 1) == RS_OK) &&
           client_bind(*out, &local) == RS_OK;
}

/* Attaches with so many sockets and further channels. port 0: any, else all have it. */
static bool hostile_begin(const char *instance, uint32_t sockets, uint32_t channels, uint16_t port)
{
    self.client = neighbour_attach(instance);
    if (self.client == NULL) {
        return false;
    }
    for (self.socket_count = 0; self.socket_count < sockets; self.socket_count++) {
        if (!hostile_socket_open(&self.sockets[self.socket_count], port)) {
            return hostile_fail("socket");
        }
    }
    for (self.channel_count = 0; self.channel_count < channels; self.channel_count++) {
        if (!hostile_channel_open(self.client, &self.channels[self.channel_count])) {
            return hostile_fail("channel");
        }
    }
    return true;
}

/* ---- by hand ---- */

static uint32_t hostile_room(const struct hostile_channel *channel)
{
    uint32_t head = atomic_load_explicit(&channel->state->request_head, memory_order_acquire);
    return channel->mask + 1 - (channel->position - head);
}

static void hostile_put(struct hostile_channel *channel, const struct rs_request *request)
{
    struct rs_request *slot = &channel->slots[channel->position & channel->mask];
    memcpy((uint8_t *)slot + sizeof(slot->seq), (const uint8_t *)request + sizeof(slot->seq),
           sizeof(*slot) - sizeof(slot->seq));
    atomic_store_explicit(&slot->seq, rs_slot_seq(channel->position++), memory_order_release);
}

static struct rs_request hostile_about(const struct client_socket *socket, enum rs_op op)
{
    return (struct rs_request){
        .op = (uint8_t)op, .socket_idx = socket->idx, .generation = socket->generation};
}

static void hostile_control(struct hostile_channel *channel, struct rs_request *request)
{
    request->arg = channel->serial % RS_REPLY_CELLS;
    request->serial = channel->serial++;
    channel->serial += channel->serial == 0;
    hostile_put(channel, request);
}

/* Fills the socket's send ring with datagrams of that length, as the dataplane takes them, and
 * posts the tail. dst_be32 0: to itself. */
static void hostile_fill(struct client_socket *socket, struct hostile_channel *channel,
                         uint32_t len_bytes, uint32_t dst_be32, uint16_t port_be16)
{
    struct rs_send_dgram *record = NULL;
    bool any = false;
    while (dgram_send_writer_reserve(&socket->send, len_bytes, RS_SEND_SHORT_OFF, &record) ==
           RS_OK) {
        record->family = RS_FAMILY_IPV4;
        record->dst_be32 = dst_be32;
        record->port_be16 = port_be16;
        (void)dgram_send_writer_commit(&socket->send, record);
        any = true;
    }
    if (any && hostile_room(channel) != 0) {
        struct rs_request request = hostile_about(socket, RS_OP_POST);
        request.arg = socket->send.tail;
        hostile_put(channel, &request);
    }
}

/* All that is there, by moving the head. */
static void hostile_consume(struct client_socket *socket)
{
    struct dgram_view view;
    while (dgram_reader_peek(&socket->recv[0], &view) == RS_OK) {
        dgram_reader_consume(&socket->recv[0], &view);
    }
}

static uint16_t hostile_port_be16(const struct client_socket *socket)
{
    return socket->local.port_be16;
}

/* ---- data ---- */

void hostile_slots(const char *instance)
{
    if (!hostile_begin(instance, 64, ISOLATION_CHANNELS - 2, 0)) {
        return;
    }
    for (uint32_t turn = 0;; turn++) {
        for (uint32_t i = 0; i < self.channel_count; i++) {
            for (uint32_t room = hostile_room(&self.channels[i]); room != 0; room--) {
                const struct client_socket *socket = self.sockets[(turn + i + room) % 64];
                struct rs_request request = hostile_about(socket, RS_OP_SEND_INLINE);
                request.arg = rs_be32(LOCALHOST);
                request.port_be16 = hostile_port_be16(self.sockets[room % 64]);
                request.len_bytes = RS_INLINE_BYTES;
                hostile_put(&self.channels[i], &request);
            }
        }
        for (uint32_t i = 0; i < self.socket_count; i++) {
            hostile_consume(self.sockets[i]);
        }
        neighbour_ready();
    }
}

/* Send rings of all sockets full of datagrams to the next one. */
static void hostile_rings(const char *instance, uint32_t sockets, uint32_t len_bytes, bool consume)
{
    if (!hostile_begin(instance, sockets, ISOLATION_CHANNELS - 2, 0)) {
        return;
    }
    for (;;) {
        for (uint32_t i = 0; i < sockets; i++) {
            hostile_fill(self.sockets[i], &self.channels[i % self.channel_count], len_bytes,
                         rs_be32(LOCALHOST), hostile_port_be16(self.sockets[(i + 1) % sockets]));
            if (consume) {
                hostile_consume(self.sockets[i]);
            }
        }
        neighbour_ready();
    }
}

void hostile_zero(const char *instance)
{
    hostile_rings(instance, 256, 0, true);
}

void hostile_large(const char *instance)
{
    hostile_rings(instance, 64, 60 * 1024, true);
}

void hostile_hoard(const char *instance)
{
    hostile_rings(instance, 256, 64, false);
}

/* ---- multicast ---- */

static void hostile_group(const char *instance, uint32_t len_bytes, bool consume)
{
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN,
                                      .group_be32 = rs_be32(HOSTILE_GROUP)};
    if (!hostile_begin(instance, ISOLATION_MEMBERSHIPS, 8, HOSTILE_PORT)) {
        return;
    }
    for (uint32_t i = 0; i < self.socket_count; i++) {
        if (client_member(self.sockets[i], &join) != RS_OK) {
            (void)hostile_fail("join");
            return;
        }
    }
    for (;;) {
        for (uint32_t i = 0; i < self.socket_count; i++) {
            if (i < 64) {
                hostile_fill(self.sockets[i], &self.channels[i % self.channel_count], len_bytes,
                             join.group_be32, rs_be16(HOSTILE_PORT));
            }
            if (consume) {
                hostile_consume(self.sockets[i]);
            }
        }
        neighbour_ready();
    }
}

void hostile_group_large(const char *instance)
{
    hostile_group(instance, 60 * 1024, true);
}

void hostile_group_small(const char *instance)
{
    hostile_group(instance, 0, true);
}

void hostile_group_full(const char *instance)
{
    hostile_group(instance, 0, false);
}

/* ---- sleeping ---- */

void hostile_arm(const char *instance)
{
    uint32_t sleep_number = 0;
    if (!hostile_begin(instance, 512, ISOLATION_CHANNELS - 2, 0)) {
        return;
    }
    for (;;) {
        for (uint32_t i = 0; i < self.socket_count; i++) {
            struct client_socket *socket = self.sockets[i];
            struct hostile_channel *channel = &self.channels[i % self.channel_count];
            atomic_store_explicit(&socket->shared->channels, UINT64_MAX, memory_order_relaxed);
            atomic_store_explicit(&socket->shared->arm_events, UINT32_MAX, memory_order_relaxed);
            atomic_fetch_add_explicit(&socket->shared->arm_seq, 1, memory_order_release);
            sleep_number += sleep_number + 1 == 0 ? 2 : 1;
            atomic_store_explicit(&channel->client->need_wakeup, sleep_number,
                                  memory_order_relaxed);
            hostile_fill(socket, channel, 0, rs_be32(LOCALHOST),
                         hostile_port_be16(self.sockets[(i + 1) % self.socket_count]));
            hostile_consume(socket);
        }
        neighbour_ready();
    }
}

/* ---- controls ---- */

static void hostile_open(struct hostile_channel *channel)
{
    struct rs_request request = {.op = RS_OP_OPEN, .socket_idx = RS_NO_INDEX};
    struct rs_op_open open = {.family = RS_FAMILY_IPV4, .type = RS_SOCK_DGRAM};
    memcpy(request.payload, &open, sizeof(open));
    request.len_bytes = sizeof(open);
    hostile_control(channel, &request);
}

/* BIND of whichever socket has that index: the table says which generation. */
static void hostile_bind(struct hostile_channel *channel, uint32_t idx)
{
    struct rs_request request = {.op = RS_OP_BIND, .socket_idx = idx};
    struct rs_addr any = rs_addr_v4(rs_be32(LOCALHOST), 0);
    request.generation = atomic_load(&self.client->socket_states[idx].generation);
    request.len_bytes = sizeof(any);
    memcpy(request.payload, &any, sizeof(any));
    rs_socket_client_reset(&self.client->socket_clients[idx]);
    hostile_control(channel, &request);
}

static void hostile_member(struct hostile_channel *channel, uint32_t idx, uint32_t action)
{
    struct rs_request request = {.op = RS_OP_MEMBER, .socket_idx = idx};
    const struct rs_op_member member = {.action = action, .group_be32 = rs_be32(HOSTILE_GROUP)};
    request.generation = atomic_load(&self.client->socket_states[idx].generation);
    request.len_bytes = sizeof(member);
    memcpy(request.payload, &member, sizeof(member));
    hostile_control(channel, &request);
}

static void hostile_close(struct hostile_channel *channel, uint32_t idx)
{
    struct rs_request request = {.op = RS_OP_CLOSE, .socket_idx = idx};
    request.generation = atomic_load(&self.client->socket_states[idx].generation);
    hostile_control(channel, &request);
}

void hostile_controls(const char *instance)
{
    if (!hostile_begin(instance, 0, ISOLATION_CHANNELS - 1, 0)) {
        return;
    }
    for (uint32_t turn = 0;; turn++) {
        for (uint32_t i = 0; i < self.channel_count; i++) {
            struct hostile_channel *channel = &self.channels[i];
            uint32_t idx = (turn * self.channel_count + i) % ISOLATION_SOCKETS;
            if (hostile_room(channel) < 8) {
                continue;
            }
            hostile_open(channel);
            hostile_bind(channel, idx);
            hostile_member(channel, idx, RS_MEMBER_JOIN);
            hostile_member(channel, idx, RS_MEMBER_LEAVE);
            hostile_close(channel, idx);
        }
        neighbour_ready();
    }
}

/* ---- sessions ---- */

void hostile_attach(const char *instance)
{
    while (hostile_begin(instance, 1, 1, 0)) {
        client_close(self.client);
        neighbour_ready();
    }
}

void hostile_poison(const char *instance)
{
    while (hostile_begin(instance, 1, 1, 0)) {
        struct rs_request request = {.op = 0xff};
        hostile_put(&self.channels[0], &request);
        while (client_alive(self.client)) {
            os_yield();
        }
        client_close(self.client);
        neighbour_ready();
    }
}

void hostile_holes(const char *instance)
{
    while (hostile_begin(instance, 8, 8, 0)) {
        for (uint32_t i = 0; i < self.socket_count; i++) {
            hostile_fill(self.sockets[i], &self.channels[i], 0, rs_be32(LOCALHOST),
                         hostile_port_be16(self.sockets[i]));
        }
        for (uint32_t i = 0; i < RS_EXTENTS_MAX; i++) {
            const struct os_shm *extent = &self.client->extents[i];
            if (extent->base != NULL && i != 0) {
                (void)madvise(extent->base, extent->size_bytes, MADV_REMOVE);
            }
        }
        client_close(self.client);
        neighbour_ready();
    }
}
