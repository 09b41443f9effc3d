/*
 * Sending datagrams: up to 40 bytes inside a request slot while the ring has slack, the others
 * through the socket's send ring and a post. Any thread; the socket's send_lock makes concurrent
 * senders take turns and is not held while one waits for room. No system call, allocation or
 * division unless it blocks.
 */
#include <string.h>

#include "provider/client/share.h"
#include "rings/byteorder.h"

/* One datagram on its way. */
struct send_call {
    const struct client_iov *iov;
    uint32_t iov_count;
    uint32_t len_bytes;
    bool addressed; /* the caller named a destination; else: the peer */
    bool warm;      /* CLIENT_MSG_WARM */
    uint32_t dst_be32;
    uint16_t dst_port_be16;
    const struct client_send_control *control; /* NULL: none */
};

static void send_gather(uint8_t *to, const struct send_call *call)
{
    for (uint32_t i = 0; i < call->iov_count; i++) {
        if (call->iov[i].len_bytes != 0) {
            client_copy(to, call->iov[i].base, call->iov[i].len_bytes);
            to += call->iov[i].len_bytes;
        }
    }
}

static bool send_is_loopback(uint32_t ip_be32)
{
    const uint8_t *octets = (const uint8_t *)&ip_be32;
    return octets[0] == 127;
}

uint32_t client_interface_of(const struct client *client, uint32_t ip_be32)
{
    for (uint32_t i = 0; i < client->queue_count; i++) {
        if (client_queue_has_address(client, i, ip_be32)) {
            return i + 1;
        }
    }
    return 0;
}

enum rs_status client_interface_addr(const struct client *client, uint32_t idx, uint32_t *ip_be32)
{
    if (idx == 0 || idx > client->queue_count) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    *ip_be32 = client->queues[idx - 1].ip_be32;
    return RS_OK;
}

/* A datagram that leaves the host must fit the NIC's MTU where its socket wants no fragments
 * (RS_OPT_DONT_FRAGMENT); one to an address of this host need not. */
static bool send_too_long(const struct client_socket *socket, uint32_t dst_be32, uint32_t len_bytes)
{
    const struct client *client = socket->client;
    if (len_bytes <= socket->wire_max_bytes) {
        return false;
    }
    if (send_is_loopback(dst_be32) || dst_be32 == socket->local_be32) {
        return len_bytes > RS_DGRAM_MAX_BYTES;
    }
    return client_interface_of(client, dst_be32) == 0 || len_bytes > RS_DGRAM_MAX_BYTES;
}

/* send_lock held: may this datagram be sent? */
static enum rs_status send_allowed(const struct client_socket *socket, const struct send_call *call)
{
    switch (client_socket_phase(socket)) {
    case CLIENT_SOCKET_LIVE:
        break;
    case CLIENT_SOCKET_UNDECIDED:
        return call->addressed ? RS_NOT_READY : RS_NOT_CONNECTED;
    case CLIENT_SOCKET_SHARED:
        return RS_IN_PROGRESS; /* goes on in send_shared */
    default:
        return RS_NOT_SOCKET;
    }
    const struct client *client = socket->client;
    if (atomic_load_explicit(&client->ended, memory_order_relaxed) != 0 ||
        atomic_load_explicit(&client->header->poisoned, memory_order_relaxed) != 0) {
        return client_check(socket->client, os_tsc());
    }
    uint32_t shut = atomic_load_explicit(&socket->shut, memory_order_relaxed);
    if ((shut & (CLIENT_SHUT_SEND | CLIENT_SHUT_BROKEN)) != 0) {
        return (shut & CLIENT_SHUT_BROKEN) != 0 ? RS_CORRUPT : RS_SHUTDOWN;
    }
    uint32_t dst_be32 = call->addressed ? call->dst_be32 : socket->peer_be32;
    if (dst_be32 == 0) {
        return RS_NOT_CONNECTED;
    }
    if (dst_be32 == UINT32_MAX && !socket->broadcast) {
        return RS_ACCESS;
    }
    return send_too_long(socket, dst_be32, call->len_bytes) ? RS_MESSAGE_SIZE : RS_OK;
}

/* Words of the post or the writer may be half changed. Nothing more is sent; CLOSE may go by any
 * channel and waits for nothing that was posted. */
void client_send_break(struct client_socket *socket)
{
    atomic_fetch_or_explicit(&socket->shut, CLIENT_SHUT_BROKEN, memory_order_relaxed);
    socket->place = (struct client_post_place){.channel = NULL};
    post_move(&socket->post);
}

/* The datagram inside a slot. False: no slack, or something of the socket is still in its send
 * ring. */
static bool send_inline(struct client_socket *socket, struct client_channel *channel,
                        const struct send_call *call)
{
    struct rs_request *slot =
        post_inline_reserve(&channel->post, dgram_send_writer_empty(&socket->send));
    if (slot == NULL) {
        return false;
    }
    slot->op = RS_OP_SEND_INLINE;
    slot->len_bytes = (uint8_t)call->len_bytes;
    slot->port_be16 = call->dst_port_be16;
    slot->socket_idx = socket->idx;
    slot->generation = socket->generation;
    slot->arg = call->dst_be32;
    send_gather(slot->payload, call);
    post_inline_publish(&channel->post, &socket->post);
    return true;
}

void client_post_warm(struct client_socket *socket, struct client_channel *channel,
                      uint32_t len_bytes, const void *payload)
{
    client_channel_enter(channel);
    struct rs_request *slot = post_warm_reserve(&channel->post);
    if (slot != NULL) {
        slot->op = RS_OP_WARM;
        slot->len_bytes = payload != NULL ? (uint8_t)len_bytes : 0;
        slot->socket_idx = socket->idx;
        slot->generation = socket->generation;
        slot->arg = len_bytes;
        if (payload != NULL) {
            memcpy(slot->payload, payload, len_bytes);
        }
        (void)slot_producer_publish(&channel->post.producer);
    }
    client_channel_leave(channel);
}

/* As a send would do it, but that the record is forgotten. send_lock held. */
static void send_warm(struct client_socket *socket, struct client_channel *channel,
                      const struct send_call *call)
{
    uint8_t bytes[RS_INLINE_BYTES];
    struct rs_send_dgram *record = NULL;
    if (call->len_bytes <= RS_INLINE_BYTES) {
        send_gather(bytes, call);
        client_post_warm(socket, channel, call->len_bytes, bytes);
    } else if (dgram_send_writer_reserve(&socket->send, call->len_bytes, RS_SEND_SHORT_OFF,
                                         &record) == RS_OK) {
        send_gather((uint8_t *)(record + 1), call);
        client_post_warm(socket, channel, call->len_bytes, NULL);
    }
}

enum rs_status client_post(struct client_socket *socket, struct client_channel *channel,
                           uint32_t tail, bool urgent)
{
    enum rs_status status;
    client_channel_enter(channel);
    for (;;) {
        status = urgent ? post_urgent(&channel->post, &socket->post, socket->shared, socket->idx,
                                      socket->generation, tail)
                        : post_tail(&channel->post, &socket->post, socket->shared, socket->idx,
                                    socket->generation, tail);
        if (CLIENT_LIKELY(status != RS_WOULD_BLOCK)) {
            break;
        }
        /* No slot for a moment: the poll loop frees some with its next batch. */
        status = client_check(socket->client, os_tsc());
        if (status != RS_OK) {
            break;
        }
        os_yield();
    }
    client_channel_leave(channel);
    return status;
}

/* What the socket needs before this datagram fits, for those who wait. */
static void send_note_wanted(struct client_socket *socket, uint32_t payload_off, uint32_t len_bytes)
{
    uint32_t span = rs_dgram_span(payload_off, len_bytes);
    uint32_t to_end = socket->send.size_bytes - (socket->send.tail & (socket->send.size_bytes - 1));
    atomic_store_explicit(&socket->send_wanted_bytes, span > to_end ? to_end + span : span,
                          memory_order_relaxed);
}

static void send_put_control(struct rs_send_dgram *record,
                             const struct client_send_control *control)
{
    *(struct rs_send_ext *)(record + 1) =
        (struct rs_send_ext){.src_be32 = control->src_be32,
                             .stamp_id = control->stamp_id,
                             .has = (uint8_t)((control->ttl_set ? RS_SEND_TTL : 0) |
                                              (control->stamped ? RS_SEND_STAMP : 0)),
                             .ttl = control->ttl,
                             .tos = control->tos,
                             .tos_mask = control->tos_mask,
                             .interface_idx = control->interface_idx};
}

static enum rs_status send_by_ring(struct client_socket *socket, struct client_channel *channel,
                                   const struct send_call *call)
{
    struct rs_send_dgram *record = NULL;
    uint32_t payload_off = call->control == NULL ? RS_SEND_SHORT_OFF : RS_SEND_LONG_OFF;
    enum rs_status status =
        dgram_send_writer_reserve(&socket->send, call->len_bytes, payload_off, &record);
    if (status != RS_OK) {
        if (status == RS_WOULD_BLOCK) {
            send_note_wanted(socket, payload_off, call->len_bytes);
        }
        return status;
    }
    record->family = call->addressed ? RS_FAMILY_IPV4 : RS_FAMILY_NONE;
    record->port_be16 = call->dst_port_be16;
    record->dst_be32 = call->dst_be32;
    if (!CLIENT_LIKELY(call->control == NULL)) {
        send_put_control(record, call->control);
    }
    send_gather((uint8_t *)record + payload_off, call);
    uint32_t tail = dgram_send_writer_commit(&socket->send, record);
    atomic_store_explicit(&socket->send_tail, tail, memory_order_relaxed);
    return client_post(socket, channel, tail, false);
}

/* send_lock held. RS_NOT_READY: not bound yet; RS_WOULD_BLOCK: the send ring is full. In line with
 * its callers, as send_prepare: what it is told stays in registers. */
static inline __attribute__((always_inline)) enum rs_status
send_try(struct client_socket *socket, struct client_channel *channel, const struct send_call *call)
{
    enum rs_status status = send_allowed(socket, call);
    if (!CLIENT_LIKELY(status == RS_OK)) {
        return status;
    }
    status = client_socket_move(socket, channel);
    if (!CLIENT_LIKELY(status == RS_OK)) {
        return status;
    }
    if (!CLIENT_LIKELY(!call->warm)) {
        send_warm(socket, channel, call);
        return RS_OK;
    }
    if (call->len_bytes <= RS_INLINE_BYTES && call->control == NULL) {
        client_channel_enter(channel);
        bool sent = send_inline(socket, channel, call);
        client_channel_leave(channel);
        if (CLIENT_LIKELY(sent)) {
            return RS_OK;
        }
    }
    status = send_by_ring(socket, channel, call);
    if (status == RS_OK &&
        atomic_load_explicit(&socket->send_wanted_bytes, memory_order_relaxed) != 0) {
        atomic_store_explicit(&socket->send_wanted_bytes, 0, memory_order_relaxed);
    }
    return status;
}

/* ---- blocking
 * -----------------------------------------------------------------------------------------------------------
 */

static bool send_wait_ready(void *context)
{
    return client_send_ready(context);
}

static void send_wait_arm(void *context, uint32_t channel_idx)
{
    client_socket_arm(context, RS_LEVEL_WRITABLE | RS_LEVEL_ERROR | RS_LEVEL_END, channel_idx);
}

static void send_wait_disarm(void *context, uint32_t channel_idx)
{
    client_socket_disarm(context, channel_idx);
}

/* The socket is held. */
static enum rs_status send_block(struct client_socket *socket, struct client_channel *channel,
                                 const struct send_call *call)
{
    struct client *client = socket->client;
    uint64_t deadline_tsc = client_call_deadline(client, &socket->send_timeout_ms);
    struct client_condition condition = {.ready = send_wait_ready,
                                         .arm = send_wait_arm,
                                         .disarm = send_wait_disarm,
                                         .context = socket,
                                         .socket = socket,
                                         .queue_idx = channel->queue_idx,
                                         .hooked = true};
    for (;;) {
        enum rs_status status = client_wait(client, &condition, deadline_tsc);
        if (status != RS_OK) {
            return status;
        }
        client_send_lock(socket);
        status = send_try(socket, channel, call);
        client_send_unlock(socket);
        if (status == RS_NOT_SOCKET) {
            return RS_INTERRUPTED;
        }
        if (status != RS_WOULD_BLOCK) {
            return status;
        }
    }
}

/* The full ring may be a dead dataplane's. */
static enum rs_status send_miss(struct client_socket *socket)
{
    enum rs_status status = client_check(socket->client, os_tsc());
    return status != RS_OK ? status : RS_WOULD_BLOCK;
}

static inline __attribute__((always_inline)) enum rs_status send_prepare(struct send_call *call,
                                                                         const struct rs_addr *to)
{
    size_t len_bytes = 0;
    for (uint32_t i = 0; i < call->iov_count; i++) {
        if (call->iov[i].len_bytes > RS_DGRAM_MAX_BYTES - len_bytes) {
            return RS_MESSAGE_SIZE;
        }
        len_bytes += call->iov[i].len_bytes;
    }
    call->len_bytes = (uint32_t)len_bytes;
    if (to != NULL) {
        if (to->family != RS_FAMILY_IPV4) {
            return RS_FAMILY_NOT_SUPPORTED;
        }
        if (to->ip.v4_be32 == 0 || to->port_be16 == 0) {
            return RS_ADDR_NOT_AVAILABLE;
        }
        call->addressed = true;
        call->dst_be32 = to->ip.v4_be32;
        call->dst_port_be16 = to->port_be16;
    }
    return RS_OK;
}

static enum rs_status send_once(struct client_socket *socket, const struct send_call *call,
                                uint32_t flags)
{
    enum rs_status status = RS_OK;
    if (client_socket_phase(socket) == CLIENT_SOCKET_UNDECIDED) {
        return call->addressed ? RS_NOT_READY : RS_NOT_CONNECTED;
    }
    struct client_channel *channel =
        client_channel_get(socket->client, socket->home_queue_idx, &status);
    if (channel == NULL) {
        return status;
    }
    client_send_lock(socket);
    status = send_try(socket, channel, call);
    bool blocks = false;
    if (!CLIENT_LIKELY(status != RS_WOULD_BLOCK)) {
        blocks = client_may_block(socket, flags);
        if (blocks) {
            client_socket_hold(socket);
        } else {
            status = send_miss(socket);
        }
    }
    client_send_unlock(socket);
    if (blocks) {
        status = send_block(socket, channel, call);
        client_socket_release(socket);
    }
    return status;
}

/* ---- a socket that others have, too: the record goes with a request ---- */

/* control_mutex held. */
static enum rs_status send_request(struct client_socket *socket, const struct send_call *call)
{
    struct rs_share_data reply = {0};
    struct rs_send_dgram *record = (struct rs_send_dgram *)socket->share.send_base;
    uint32_t payload_off = call->control == NULL ? RS_SEND_SHORT_OFF : RS_SEND_LONG_OFF;
    uint32_t span = rs_dgram_span(payload_off, call->len_bytes);
    enum rs_status status =
        call->addressed ? client_share_bind_any(socket) : client_share_refresh(socket);
    if (status != RS_OK) {
        return status;
    }
    if ((atomic_load_explicit(&socket->shut, memory_order_relaxed) & CLIENT_SHUT_SEND) != 0) {
        return RS_SHUTDOWN;
    }
    if (!call->addressed && socket->peer_be32 == 0) {
        return RS_NOT_CONNECTED;
    }
    if (span > rs_dgram_span_max(socket->share.send_bytes)) {
        return RS_MESSAGE_SIZE;
    }
    *record = (struct rs_send_dgram){
        .len_bytes = (uint16_t)call->len_bytes,
        .flags = call->control != NULL ? RS_DGRAM_EXT : 0,
        .family = call->addressed ? RS_FAMILY_IPV4 : RS_FAMILY_NONE,
        .port_be16 = call->dst_port_be16,
        .dst_be32 = call->dst_be32,
    };
    if (call->control != NULL) {
        send_put_control(record, call->control);
    }
    send_gather((uint8_t *)record + payload_off, call);
    return client_share_data(socket, RS_OP_SHARE_SEND, span, 0, &reply);
}

/* RS_IN_PROGRESS: it is shared no more. */
static enum rs_status send_shared(struct client_socket *socket, const struct send_call *call)
{
    if (call->warm) {
        return RS_OK; /* it takes another way: there is nothing to warm */
    }
    os_mutex_lock(&socket->control_mutex);
    enum rs_status status = RS_IN_PROGRESS;
    if (client_is_shared(socket)) {
        status = send_request(socket, call);
    } else if (client_socket_phase(socket) != CLIENT_SOCKET_LIVE) {
        status = RS_NOT_SOCKET;
    }
    os_mutex_unlock(&socket->control_mutex);
    return status;
}

static enum rs_status send_dgram(struct client_socket *socket, struct send_call *call,
                                 uint32_t flags, const struct rs_addr *to, size_t *sent_bytes)
{
    enum rs_status status = send_prepare(call, to);
    if (CLIENT_LIKELY(status == RS_OK)) {
        status = send_once(socket, call, flags);
    }
    if (status == RS_NOT_READY) {
        status = client_bind_any(socket, call->dst_be32);
        if (status == RS_OK) {
            status = send_once(socket, call, flags);
        }
    }
    while (!CLIENT_LIKELY(status != RS_IN_PROGRESS)) { /* shared, or no more */
        status = send_shared(socket, call);
        if (status == RS_IN_PROGRESS) {
            status = send_once(socket, call, flags);
        }
    }
    *sent_bytes = status == RS_OK && !call->warm ? call->len_bytes : 0;
    return status;
}

enum rs_status client_send(struct client_socket *socket, const struct client_iov *iov,
                           uint32_t iov_count, uint32_t flags, const struct rs_addr *to,
                           size_t *sent_bytes)
{
    struct send_call call = {
        .iov = iov, .iov_count = iov_count, .warm = (flags & CLIENT_MSG_WARM) != 0};
    if (client_is_stream(socket)) {
        return client_stream_send(socket, iov, iov_count, flags, sent_bytes);
    }
    if (call.warm && to != NULL) {
        *sent_bytes = 0;
        return RS_NOT_SUPPORTED;
    }
    return send_dgram(socket, &call, flags, to, sent_bytes);
}

bool client_send_claimed(struct client_socket *socket, const struct client_claim *claim,
                         const struct client_iov *iov, uint32_t iov_count, const struct rs_addr *to,
                         size_t *sent_bytes, enum rs_status *status)
{
    enum rs_status result = RS_NOT_READY; /* not done */
    client_send_lock(socket);
    if (!CLIENT_LIKELY(client_claim_holds(claim))) {
        goto out;
    }
    if (client_is_stream(socket)) {
        result = client_stream_send_claimed(socket, iov, iov_count, sent_bytes);
        goto out;
    }
    struct send_call call = {.iov = iov, .iov_count = iov_count};
    struct client_channel *channel = client_channel_have(socket->client, socket->home_queue_idx);
    if (CLIENT_LIKELY(channel != NULL && send_prepare(&call, to) == RS_OK)) {
        result = send_try(socket, channel, &call);
        *sent_bytes = call.len_bytes;
    }
out:
    client_send_unlock(socket);
    *status = result;
    return CLIENT_LIKELY(result == RS_OK) ||
           (result != RS_NOT_READY && result != RS_WOULD_BLOCK && result != RS_IN_PROGRESS);
}

enum rs_status client_send_with(struct client_socket *socket, const struct client_iov *iov,
                                uint32_t iov_count, uint32_t flags, const struct rs_addr *to,
                                const struct client_send_control *control, size_t *sent_bytes)
{
    struct send_call call = {.iov = iov, .iov_count = iov_count, .control = control};
    uint32_t any_be32;
    *sent_bytes = 0;
    if (client_is_stream(socket) || (flags & CLIENT_MSG_WARM) != 0) {
        return RS_NOT_SUPPORTED;
    }
    if (control->src_be32 != 0 && !send_is_loopback(control->src_be32) &&
        client_interface_of(socket->client, control->src_be32) == 0) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    if (control->interface_idx != 0 &&
        client_interface_addr(socket->client, control->interface_idx, &any_be32) != RS_OK) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    return send_dgram(socket, &call, flags, to, sent_bytes);
}

enum rs_status client_tx_stamp(struct client_socket *socket, uint32_t stamp_id, uint64_t *tx_tsc)
{
    struct rs_tx_stamp_reply reply;
    if (client_is_stream(socket)) {
        return RS_NOT_SUPPORTED;
    }
    os_mutex_lock(&socket->control_mutex);
    enum client_socket_phase phase = client_socket_phase(socket);
    enum rs_status status = phase == CLIENT_SOCKET_LIVE || phase == CLIENT_SOCKET_SHARED
                                ? client_request_stamp(socket, stamp_id, &reply)
                            : phase == CLIENT_SOCKET_UNDECIDED ? RS_WOULD_BLOCK
                                                               : RS_NOT_SOCKET;
    os_mutex_unlock(&socket->control_mutex);
    if (status == RS_OK) {
        *tx_tsc = reply.tx_tsc;
    }
    return status;
}
