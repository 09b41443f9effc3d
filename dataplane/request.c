/*
 * What clients ask for: takes request slots off the channels, checks every word on a copy, and
 * sends datagrams; requests that change a socket go to request_control.c. Queue thread. Called by
 * queue.c; calls udp.c, exchange.c, deliver.c and the rings.
 *
 * A request that breaks the protocol (unknown opcode, another socket's index, a tail outside the
 * ring) poisons its session. A request that is merely refused gets its status in the reply.
 *
 * Budgets. In one iteration a session gets slots_per_poll requests and datagrams and bytes_per_poll
 * bytes, or a quarter while several sessions are busy, for each waits for what the others get. Of a
 * group datagram each socket looked at costs a slot and each receiver its bytes, and what is left
 * of it waits (udp_fanout); a local CONNECT pays for the lists it looks through. First the sockets
 * that had to wait, with half of the slots; then each channel takes its turn, with an even share;
 * then channels that have more, with what is left. A datagram may overdraw the bytes; the next
 * iterations pay for it.
 */
#include <string.h>

#include "dataplane/stream.h"
#include "dataplane/wire/ipv4.h"
#include "rings/seq.h"

/* Sockets of one session that get another try in one iteration. */
#define REQUEST_RETRIES 16u
/* How far ahead lines are asked for, and up to how many sockets they are likely to be near. */
#define REQUEST_AHEAD       8u
#define REQUEST_FEW_SOCKETS 64u

void request_budget_refill(struct queue *queue, struct session_part *part)
{
    if (part->budget_poll == queue->poll_number) {
        return;
    }
    int64_t bytes_left = part->bytes_left + queue->bytes_now;
    part->budget_poll = queue->poll_number;
    part->slots_left = queue->slots_now;
    part->bytes_left = bytes_left < queue->bytes_now ? bytes_left : queue->bytes_now;
    part->signals_left = SESSION_SIGNALS_PER_POLL;
    int32_t divisor = queue->shared ? (int32_t)SESSION_BUSY_SHARE : 1;
    part->looks_left = SESSION_LOOKS_PER_POLL / divisor;
    int32_t hints = SESSION_HINTS_PER_POLL / divisor;
    part->hints_left = part->hints_left + hints < hints ? part->hints_left + hints : hints;
}

/* A turn: whoever has it may use up to this many slots. */
static void request_turn(struct session_part *part, int32_t slots)
{
    part->turn_left = slots < part->slots_left ? slots : part->slots_left;
}

static void request_charge_slot(struct session_part *part)
{
    part->turn_left--;
    part->slots_left--;
}

/* ---- waiting for budget or NIC
 * ---------------------------------------------------------------------------------- */

/* For reports. Relaxed: nothing else hangs on it. */
static void request_note_waiting(struct dp_socket *socket)
{
    uint32_t bytes = rs_seq_distance(socket->send.head, socket->send.tail);
    atomic_store_explicit(&socket->send_wait_bytes, bytes, memory_order_relaxed);
}

void request_block(struct dp_socket *socket)
{
    struct session_part *part = socket->part;
    request_note_waiting(socket);
    if (socket->blocked) {
        return;
    }
    socket->blocked = true;
    socket->blocked_next = NULL;
    if (part->blocked_last != NULL) {
        part->blocked_last->blocked_next = socket;
    } else {
        part->blocked_first = socket;
    }
    part->blocked_last = socket;
}

/* Its group datagram is under way: until it has reached all, nobody else can begin another. */
static void request_block_first(struct dp_socket *socket)
{
    struct session_part *part = socket->part;
    request_note_waiting(socket);
    if (socket->blocked) {
        return;
    }
    socket->blocked = true;
    socket->blocked_next = part->blocked_first;
    if (part->blocked_first == NULL) {
        part->blocked_last = socket;
    }
    part->blocked_first = socket;
}

static struct dp_socket *request_unblock_first(struct session_part *part)
{
    struct dp_socket *socket = part->blocked_first;
    part->blocked_first = socket->blocked_next;
    if (part->blocked_first == NULL) {
        part->blocked_last = NULL;
    }
    socket->blocked = false;
    return socket;
}

/* ---- data
 * -------------------------------------------------------------------------------------------------------
 */

enum rs_status request_send(struct queue *queue, struct dp_socket *socket,
                            struct session_part *part, uint32_t dst_be32, uint16_t port_be16,
                            const void *payload, uint32_t len_bytes,
                            const struct udp_control *control)
{
    struct udp_fanout *fanout = &part->fanout;
    enum rs_status status;
    uint32_t to_idx = queue->idx;
    if (queue->egress != NULL) {
        bool named = control != NULL && control->src_be32 != 0;
        to_idx = egress_queue(queue->egress, queue->idx,
                              named ? control->src_be32 : socket->udp.local_be32,
                              named ? 0 : socket->multicast_if_be32,
                              dst_be32 != 0 ? dst_be32 : socket->udp.peer_be32);
    }
    if (to_idx != queue->idx) {
        status =
            exchange_send(queue, to_idx, socket, dst_be32, port_be16, payload, len_bytes, control);
        part->bytes_left -= status != RS_WOULD_BLOCK ? len_bytes : 0;
        return status;
    }
    int32_t looks = part->turn_left > 0 ? part->turn_left : 1;
    fanout->looks_left = looks;
    fanout->bytes_left = part->bytes_left;
    status = udp_send_part(queue->stack, &socket->udp, dst_be32, port_be16, payload, len_bytes,
                           control, fanout);
    looks -= fanout->looks_left;
    if (looks != 0) { /* a group: each socket looked at costs a slot, each receiver its bytes */
        part->turn_left -= looks;
        part->slots_left -= looks;
        part->bytes_left = fanout->bytes_left;
    } else if (status != RS_WOULD_BLOCK) {
        part->bytes_left -= len_bytes;
    }
    return status;
}

/* What leaves by an interface that its program chose has this address. 0: as usual, where there is
 * but one NIC. */
static uint32_t request_interface_source(const struct queue *queue, const struct dp_socket *socket,
                                         uint32_t interface_idx, uint32_t dst_be32)
{
    uint32_t local_be32 = socket->udp.local_be32;
    dst_be32 = dst_be32 != 0 ? dst_be32 : socket->udp.peer_be32;
    if (interface_idx > queue->queue_count) {
        return UINT32_MAX; /* nobody's: the stack says so */
    }
    if (queue->egress != NULL) {
        return egress_source_by(queue->egress, interface_idx - 1, local_be32, dst_be32);
    }
    bool bound = local_be32 != 0 && !ipv4_is_multicast(local_be32);
    return !bound && ipv4_is_loopback(dst_be32) ? stack_source_for(queue->stack, UINT32_MAX) : 0;
}

/* Checked by dgram_send_reader_peek, but for addresses, which the stack knows. */
void request_send_control(const struct queue *queue, const struct dp_socket *socket,
                          const struct rs_send_ext *ext, uint32_t dst_be32, struct udp_control *out)
{
    uint32_t src_be32 = ext->src_be32;
    if (src_be32 == 0 && ext->interface_idx != 0) {
        src_be32 = request_interface_source(queue, socket, ext->interface_idx, dst_be32);
    }
    *out = (struct udp_control){.src_be32 = src_be32,
                                .tos = ext->tos,
                                .tos_mask = ext->tos_mask,
                                .ttl = ext->ttl,
                                .ttl_set = (ext->has & RS_SEND_TTL) != 0};
    out->stamped =
        (ext->has & RS_SEND_STAMP) != 0 && stamps_name(queue, socket, ext->stamp_id, &out->stamp);
}

/* What stands in the send ring, as far as NIC and budget go. The slot that told of it, if any, is
 * charged already and pays for the first datagram. */
static void request_drain(struct queue *queue, struct dp_socket *socket, bool paid)
{
    struct session_part *part = socket->part;
    struct dgram_send_view record;
    struct udp_control control;
    for (;;) {
        enum rs_status status = dgram_send_reader_peek(&socket->send, &record);
        if (status == RS_WOULD_BLOCK) {
            break;
        }
        if (status != RS_OK) {
            request_poison(queue, socket->session, "a send ring record leaves its ring");
            break;
        }
        if ((!paid && part->turn_left <= 0) || part->bytes_left <= 0) {
            QUEUE_COUNT_PART(queue, part, budget_exhausted);
            request_block(socket);
            break;
        }
        uint32_t dst_be32 = record.header.family == RS_FAMILY_NONE ? 0 : record.header.dst_be32;
        bool controlled = (record.header.flags & RS_DGRAM_EXT) != 0;
        if (__builtin_expect(controlled, 0)) {
            request_send_control(queue, socket, &record.ext, dst_be32, &control);
        }
        status =
            request_send(queue, socket, part, dst_be32, record.header.port_be16, record.payload,
                         record.header.len_bytes, controlled ? &control : NULL);
        if (status == RS_WOULD_BLOCK) {
            if (part->fanout.sender == &socket->udp) {
                request_block_first(socket);
            } else {
                request_block(socket);
            }
            break;
        }
        if (status != RS_OK) {
            deliver_error(queue, socket, status);
        }
        dgram_send_reader_advance(&socket->send, &record);
        if (!paid) {
            request_charge_slot(part);
        }
        paid = false;
    }
    queue->expected[socket->idx % QUEUE_EXPECTED] = dgram_send_reader_next(&socket->send);
    deliver_touch(queue, socket, RS_LEVEL_WRITABLE);
}

static enum outcome request_post(struct queue *queue, struct dp_channel *channel,
                                 struct dp_socket *socket, const struct rs_request *request)
{
    struct session_part *part = socket->part;
    if (socket->send.size_bytes == 0) {
        request_poison(queue, socket->session, "POST on a socket without a send ring");
        return OUTCOME_POISONED;
    }
    if (!socket->send_sealed) { /* once in the socket's life */
        socket->send_sealed = session_is_sealed(socket->session, socket->send_ring.ref.extent_idx);
    }
    if (!socket->send_sealed) {
        request_poison(queue, socket->session, "POST before the ring's extent was mapped");
        return OUTCOME_POISONED;
    }
    if (dgram_send_reader_extend(&socket->send, request->arg) != RS_OK) {
        request_poison(queue, socket->session, "POST with a tail outside the ring");
        return OUTCOME_POISONED;
    }
    socket->posted = true;
    socket->post_position = channel->requests.head; /* of the slot in hand */
    socket->post_channel = channel;
    if (socket->blocked) {
        request_note_waiting(socket);
        deliver_touch(queue, socket, 0); /* drained in its turn, after what blocks */
    } else {
        request_drain(queue, socket, true);
    }
    return part->poison_status == RS_OK ? OUTCOME_DONE : OUTCOME_POISONED;
}

void request_reread_level(struct queue *queue, struct dp_socket *socket)
{
    uint32_t tail;
    if (socket->stream != NULL) {
        stream_take_level(queue, socket);
        return;
    }
    if (socket->part->poison_status != RS_OK || !post_pressure(socket->post_channel->client) ||
        !post_level_take(socket->client, socket->post_position, &tail)) {
        return;
    }
    if (dgram_send_reader_extend(&socket->send, tail) != RS_OK) {
        request_poison(queue, socket->session, "send_level outside the ring");
    } else if (!socket->blocked) {
        request_budget_refill(queue, socket->part);
        request_turn(socket->part, socket->part->slots_left);
        request_drain(queue, socket, false);
    }
}

static enum outcome request_send_inline(struct queue *queue, struct dp_socket *socket,
                                        const struct rs_request *request)
{
    if (request->len_bytes > RS_INLINE_BYTES) {
        request_poison(queue, socket->session, "inline send longer than its slot");
        return OUTCOME_POISONED;
    }
    if (socket->blocked || socket->part->bytes_left <= 0) {
        return OUTCOME_LATER; /* order: its send ring goes first */
    }
    enum rs_status status =
        request_send(queue, socket, socket->part, request->arg, request->port_be16,
                     request->payload, request->len_bytes, NULL);
    if (status == RS_WOULD_BLOCK) {
        return OUTCOME_LATER;
    }
    if (status != RS_OK) {
        deliver_error(queue, socket, status);
    }
    return OUTCOME_DONE;
}

/* The sockets of a session that waited, oldest first. */
static void request_retry_part(struct queue *queue, struct session_part *part, int32_t slots)
{
    request_turn(part, slots);
    for (uint32_t tries = 0; tries < REQUEST_RETRIES && part->blocked_first != NULL; tries++) {
        bool reads = part->poison_status == RS_OK;
        if (reads && (part->turn_left <= 0 || part->bytes_left <= 0)) {
            return;
        }
        struct dp_socket *socket = request_unblock_first(part);
        if (reads && socket->send.size_bytes != 0) {
            request_drain(queue, socket, false); /* may put it at the end again */
        } else if (reads) {
            deliver_touch(queue, socket, RS_LEVEL_WRITABLE); /* shared: its requests try again */
        }
        if (!socket->blocked) {
            request_note_waiting(socket);
        }
        if (!socket->blocked && socket->closing) {
            request_close_finish(queue, socket);
        }
    }
}

/* ---- slots
 * ---------------------------------------------------------------------------------------------- */

static bool request_names_socket(uint8_t op)
{
    return op != RS_OP_NOP && op != RS_OP_OPEN && op != RS_OP_SHARE_OPEN;
}

/* The socket a request is about. A session's table has its parts here, too: requests come home. */
static struct dp_socket *request_socket(const struct session_part *part,
                                        const struct rs_request *request)
{
    struct dp_socket *socket = part->sockets[request->socket_idx];
    bool there = socket != NULL && socket->home && socket->generation == request->generation &&
                 !socket->closing;
    return there ? socket : NULL;
}

static enum outcome request_one(struct queue *queue, struct dp_channel *channel,
                                const struct rs_request *request)
{
    struct dp_session *session = channel->session;
    bool data = request->op == RS_OP_SEND_INLINE || request->op == RS_OP_POST ||
                request->op == RS_OP_URGENT || request->op == RS_OP_CONSUMED ||
                request->op == RS_OP_WARM;
    if (request->op == RS_OP_NONE || request->op >= RS_OP_COUNT) {
        request_poison(queue, session, "unknown opcode");
        return OUTCOME_POISONED;
    }
    if (!data && (request->arg >= RS_REPLY_CELLS || request->serial == 0)) {
        request_poison(queue, session, "control request without a valid reply cell");
        return OUTCOME_POISONED;
    }
    struct dp_socket *socket = NULL;
    if (request_names_socket(request->op)) {
        if (request->socket_idx >= session->config->limit_sockets) {
            request_poison(queue, session, "socket index outside the table");
            return OUTCOME_POISONED;
        }
        socket = request_socket(channel->part, request);
        if (socket == NULL) {
            /* Closed by another thread of the program meanwhile: no violation. */
            if (!data) {
                struct message_reply reply = {.channel = channel,
                                              .cell_idx = request->arg,
                                              .serial = request->serial,
                                              .status = RS_NOT_SOCKET};
                deliver_reply(queue, &reply);
            }
            return OUTCOME_DONE;
        }
        if (data && socket->stream != NULL) {
            return stream_data(queue, channel, socket, request);
        }
    }
    switch (request->op) {
    case RS_OP_SEND_INLINE:
        return request_send_inline(queue, socket, request);
    case RS_OP_POST:
        return request_post(queue, channel, socket, request);
    case RS_OP_WARM:
        return request_warm(queue, socket, request);
    case RS_OP_URGENT:
    case RS_OP_CONSUMED:
        request_poison(queue, session, "a stream's request for a datagram socket");
        return OUTCOME_POISONED;
    default:
        return request_control(queue, channel, socket, request);
    }
}

static struct dp_socket *request_ahead(const struct dp_channel *channel, uint32_t ahead)
{
    uint32_t idx = slot_consumer_ahead(&channel->requests, ahead);
    return idx < channel->session->config->limit_sockets ? channel->part->sockets[idx] : NULL;
}

/* With many sockets the lines of each come from memory, a dozen of them one after the other. So
 * while one request is worked on those of later ones are asked for: first the socket's own, then
 * what hangs on these. */
static void request_prefetch(const struct dp_channel *channel)
{
    const struct dp_socket *socket = request_ahead(channel, REQUEST_AHEAD);
    if (socket != NULL) {
        stream_prefetch(socket);
    }
    socket = request_ahead(channel, REQUEST_AHEAD / 2);
    if (socket == NULL || socket->stream == NULL) {
        return;
    }
    const struct dp_stream *stream = socket->stream;
    if (stream->local.on) {
        const struct stream_reader *send = &stream->local.send;
        __builtin_prefetch(send->base + (send->tail_cached & (send->size_bytes - 1)));
        if (stream->local.peer != NULL) {
            stream_prefetch(stream->local.peer);
        }
    } else if (stream->conn != NULL) {
        tcp_prefetch(stream->conn);
    }
}

/* One channel's turn. True: it used all of it. */
static bool request_take_turn(struct queue *queue, struct dp_channel *channel, int32_t slots)
{
    struct session_part *part = channel->part;
    struct rs_request request;
    uint32_t taken = 0;
    bool prefetches = part->open_sockets > REQUEST_FEW_SOCKETS;
    request_turn(part, slots);
    while (part->turn_left > 0 && part->poison_status == RS_OK &&
           slot_consumer_peek(&channel->requests, &request)) {
        if (prefetches) {
            request_prefetch(channel);
        }
        if (request_one(queue, channel, &request) != OUTCOME_DONE) {
            break;
        }
        slot_consumer_advance(&channel->requests);
        request_charge_slot(part);
        taken++;
    }
    if (taken != 0) {
        deliver_consumed(queue, channel);
        queue->taken += taken;
    }
    return part->turn_left <= 0;
}

/* A turn for each channel of the session, from channel_first on. True: one of them may have more.
 * When the slots do not go round, the next iteration begins where they ended. */
static bool request_round(struct queue *queue, struct session_part *part, int32_t slots)
{
    bool more = false;
    uint32_t idx = part->channel_first;
    for (uint32_t i = 0; i < part->channel_count; i++) {
        more |= request_take_turn(queue, part->channels[idx], slots);
        idx = idx + 1 < part->channel_count ? idx + 1 : 0;
        if (part->slots_left <= 0) {
            part->channel_first = idx;
            return true;
        }
    }
    return more;
}

static void request_consume_part(struct queue *queue, struct session_part *part)
{
    uint32_t before = queue->taken;
    request_budget_refill(queue, part);
    if (part->blocked_first != NULL) {
        request_retry_part(queue, part, (part->slots_left + 1) / 2);
    }
    bool more = request_round(queue, part, part->slots_per_channel);
    if (more && part->slots_left > 0) {
        more = request_round(queue, part, part->slots_left);
    }
    if (part->blocked_first != NULL) {
        request_retry_part(queue, part, part->slots_left);
    }
    if (queue->taken != before || part->blocked_first != NULL) {
        part->quiet_beats = 0;
    }
    if (queue->taken != before && part->slots_left > 0) { /* next time another one has the bytes */
        part->channel_first =
            part->channel_first + 1 < part->channel_count ? part->channel_first + 1 : 0;
    }
    if (more && part->slots_left <= 0) {
        QUEUE_COUNT_PART(queue, part, budget_exhausted);
    }
}

/* True: the session is quiet, there are many channels, and it is not its turn to be looked at. */
static bool request_may_skip(const struct queue *queue, const struct dp_session *session)
{
    return queue->channel_count > QUEUE_CHANNELS_EAGER &&
           queue_part(queue, session)->quiet_beats >= SESSION_QUIET_BEATS &&
           ((queue->poll_number + session->slot) & (QUEUE_QUIET_POLLS - 1)) != 0;
}

uint32_t request_consume(struct queue *queue)
{
    uint32_t idx = queue->session_first;
    queue->taken = 0;
    for (uint32_t i = 0; i < queue->session_count; i++) {
        struct dp_session *session = queue->sessions[idx];
        if (!request_may_skip(queue, session)) {
            request_consume_part(queue, queue_part(queue, session));
        }
        idx = idx + 1 < queue->session_count ? idx + 1 : 0;
    }
    if (queue->taken != 0) {
        /* Who comes first has the first choice of what the NIC can take. */
        queue->session_first = idx + 1 < queue->session_count ? idx + 1 : 0;
        queue_load_add(&queue->load.requests, queue->taken);
    }
    return queue->taken;
}
