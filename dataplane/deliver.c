/*
 * What goes back to clients: datagrams into receive rings, errors and replies into their words, and
 * at the end of each iteration the hints and wake-ups for whoever asked. Queue thread. Called by
 * the stack (upcalls), request.c and queue.c; calls the rings and, for sleeping channels only,
 * os_event_signal.
 *
 * Everything a client may wait for is stored during the iteration; deliver_settle then looks who
 * sleeps, behind a fence at the latest a few iterations later. A queue with only spinning clients
 * skips the fence and the looking.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/share.h"
#include "dataplane/stream.h"
#include "rings/reply.h"
#include "rings/seq.h"

#define DELIVER_UNFENCED_POLLS   8u  /* busy iterations until the fence that misses nobody */
#define DELIVER_UNFENCED_SOCKETS 32u /* or so many sockets to look at again each time */

void deliver_touch(struct queue *queue, struct dp_socket *socket, uint32_t happened)
{
    socket->happened |= happened;
    if (!socket->touched) {
        socket->touched = true;
        queue->touched_count++;
        socket->touched_next = queue->touched;
        queue->touched = socket;
    }
    if (__builtin_expect(socket->share != NULL, 0)) {
        share_touched(queue, socket, happened);
    }
}

/* Remembers to look, after the fence, whether the channel's client sleeps. */
void deliver_wake(struct queue *queue, struct dp_channel *channel)
{
    if (!channel->wake && !session_never_sleeps(channel->session)) {
        channel->wake = true;
        channel->wake_next = queue->wake;
        queue->wake = channel;
    }
}

void deliver_wake_session(struct queue *queue, const struct dp_session *session)
{
    struct session_part *part = queue_part(queue, session);
    for (uint32_t i = 0; i < part->channel_count; i++) {
        deliver_wake(queue, part->channels[i]);
    }
}

void deliver_consumed(struct queue *queue, struct dp_channel *channel)
{
    if (!channel->consumed) {
        channel->consumed = true;
        channel->consumed_next = queue->consumed;
        queue->consumed = channel;
    }
}

void deliver_reply(struct queue *queue, const struct message_reply *reply)
{
    struct dp_channel *channel = reply->channel;
    enum rs_status status =
        reply_write(channel->replies, reply->cell_idx, reply->serial, (enum rs_status)reply->status,
                    &reply->data, sizeof(reply->data));
    assert(status == RS_OK); /* request_one checked cell and serial */
    (void)status;
    deliver_wake(queue, channel);
}

/* Parts of a socket on several queues count in the same word. Errors are rare. */
static void deliver_error_word(struct dp_socket *socket, enum rs_status error)
{
    struct rs_socket_state *state = socket->state;
    atomic_store_explicit(&state->error_code, (uint32_t)error, memory_order_relaxed);
    /* release: partner is the client's acquire of error_seq, which then reads the code */
    atomic_fetch_add_explicit(&state->error_seq, 1, memory_order_release);
}

void deliver_error(struct queue *queue, struct dp_socket *socket, enum rs_status error)
{
    if (error == RS_PORT_UNREACHABLE && !socket->surface_connreset) {
        return;
    }
    deliver_error_word(socket, error);
    deliver_touch(queue, socket, RS_LEVEL_READABLE | RS_LEVEL_ERROR);
}

static void deliver_upcall_error(void *context, struct udp_socket *udp, enum rs_status error)
{
    deliver_error(context, (struct dp_socket *)udp, error);
}

/*
 * What waits in the receive rings of the other queues. The client may have read a datagram whose
 * end that queue has not told yet, and its head may be any word: what is not inside the ring counts
 * as nothing. A bound only, so relaxed loads do.
 */
static uint32_t deliver_waiting_elsewhere(const struct queue *queue, const struct dp_socket *socket)
{
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < queue->queue_count; i++) {
        if (i != queue->idx) {
            uint32_t tail =
                atomic_load_explicit(&socket->record->parts[i]->recv_tail, memory_order_relaxed);
            uint32_t head =
                atomic_load_explicit(&socket->client->recv_head[i], memory_order_relaxed);
            uint32_t bytes = rs_seq_distance(head, tail);
            waiting += bytes <= socket->recv_ring.size_bytes ? bytes : 0;
        }
    }
    return waiting;
}

/* SO_RCVBUF is for all queues together. False: the others have used it up. */
static bool deliver_share_limit(const struct queue *queue, struct dp_socket *socket)
{
    uint32_t limit_bytes =
        socket->recv_limit_bytes != 0 ? socket->recv_limit_bytes : socket->recv_ring.size_bytes;
    uint32_t elsewhere = deliver_waiting_elsewhere(queue, socket);
    socket->recv.limit_bytes = limit_bytes > elsewhere ? limit_bytes - elsewhere : 0;
    return socket->recv.limit_bytes != 0;
}

/* The receive ring or SO_RCVBUF is full. */
static void deliver_drop(struct dp_socket *socket)
{
    /* Parts on several queues count in the same word. */
    atomic_fetch_add_explicit(&socket->state->recv_dropped, 1, memory_order_relaxed);
}

/* A record for the datagram, with what the program wants to know beside the usual. One that only
 * fits the ring without that comes without. */
static __attribute__((noinline)) enum rs_status
deliver_reserve_control(const struct queue *queue, struct dp_socket *socket,
                        const struct udp_datagram *datagram, struct rs_dgram **record)
{
    enum rs_status status = RS_MESSAGE_SIZE;
    if ((socket->recv_control & RS_CONTROL_ADDRESS) != 0) {
        status =
            dgram_writer_reserve(&socket->recv, datagram->len_bytes, RS_DGRAM_LONG_OFF, record);
    }
    if (status == RS_OK) {
        struct rs_dgram_ext ext = {.interface_be32 = queue->config->stack.ip_be32};
        memcpy(ext.dst_v6, &datagram->dst_be32, sizeof(datagram->dst_be32));
        memcpy(*record + 1, &ext, sizeof(ext));
    } else if (status == RS_MESSAGE_SIZE) {
        status =
            dgram_writer_reserve(&socket->recv, datagram->len_bytes, RS_DGRAM_SHORT_OFF, record);
    }
    return status;
}

/* Apart, so that who asked for nothing has its record written without reading any of it back: the
 * loads cost 40 ns of a round trip. */
static __attribute__((noinline)) void deliver_fill_control(const struct dp_socket *socket,
                                                           const struct udp_datagram *datagram,
                                                           struct rs_dgram *record)
{
    record->flags |= datagram->flags;
    if (datagram->local && (socket->recv_control & RS_CONTROL_STAMP) != 0) {
        record->rx_tsc = os_tsc();
    }
}

static bool deliver_upcall_datagram(void *context, struct udp_socket *udp,
                                    const struct udp_datagram *datagram)
{
    struct queue *queue = context;
    struct dp_socket *socket = (struct dp_socket *)udp;
    struct rs_dgram *record;
    if (queue->queue_count > 1 && !deliver_share_limit(queue, socket)) {
        deliver_drop(socket);
        return false;
    }
    bool control = __builtin_expect(socket->recv_control != 0, 0);
    enum rs_status status = control ? deliver_reserve_control(queue, socket, datagram, &record)
                                    : dgram_writer_reserve(&socket->recv, datagram->len_bytes,
                                                           RS_DGRAM_SHORT_OFF, &record);
    if (status != RS_OK) {
        if (status == RS_POISONED) {
            request_poison(queue, socket->session, "recv_head outside the receive ring");
        }
        deliver_drop(socket);
        return false;
    }
    uint32_t payload_off = RS_DGRAM_SHORT_OFF;
    record->rx_tsc = datagram->rx_tsc;
    if (control) {
        payload_off = record->payload_off;
        deliver_fill_control(socket, datagram, record);
    } else {
        record->flags = datagram->flags;
    }
    record->src_be32 = datagram->src_be32;
    record->src_port_be16 = datagram->src_port_be16;
    record->ttl = datagram->ttl;
    record->tos = datagram->tos;
    memcpy((uint8_t *)record + payload_off, datagram->payload, datagram->len_bytes);
    dgram_writer_commit(&socket->recv);
    /* relaxed: for deliver_waiting_elsewhere and reports only */
    atomic_store_explicit(&socket->recv_tail, socket->recv.tail, memory_order_relaxed);
    if (!session_never_sleeps(socket->session)) {
        deliver_touch(queue, socket, RS_LEVEL_READABLE);
    }
    return true;
}

static void deliver_upcall_multicast(void *context)
{
    struct queue *queue = context;
    queue->multicast_dirty =
        true; /* handed over by queue_poll, when the control thread took the last set */
}

static void deliver_upcall_notice(void *context, enum stack_notice notice, uint32_t ip_be32,
                                  const uint8_t mac[6])
{
    struct queue *queue = context;
    struct message message = {.kind = QUEUE_NOTICE};
    message.body.notice.kind = (uint32_t)notice;
    message.body.notice.ip_be32 = ip_be32;
    memcpy(message.body.notice.mac, mac, sizeof(message.body.notice.mac));
    queue->control_told |=
        message_push(queue->to_control, &message); /* full: the counter still says it */
}

void deliver_upcalls_fill(struct queue *queue, struct stack_upcalls *out)
{
    *out = (struct stack_upcalls){.context = queue,
                                  .deliver = deliver_upcall_datagram,
                                  .error = deliver_upcall_error,
                                  .multicast_changed = deliver_upcall_multicast,
                                  .hand_over = exchange_upcall_frame,
                                  .notice = deliver_upcall_notice,
                                  .tcp_event = stream_upcall_event,
                                  .tcp_room = stream_upcall_room,
                                  .tcp_accept = stream_upcall_accept,
                                  .stamped = stamps_upcall};
}

/* ---- the end of an iteration
 * ----------------------------------------------------------------------------------- */

void deliver_hint_channels(struct queue *queue, struct dp_session *session, uint32_t socket_idx,
                           uint32_t generation, uint64_t channel_mask)
{
    while (channel_mask != 0) {
        uint32_t idx = (uint32_t)__builtin_ctzll(channel_mask);
        channel_mask &= channel_mask - 1;
        if (idx >= session->config->limit_channels) {
            break; /* a bit for a channel that cannot be: the client's own loss */
        }
        struct dp_channel *channel = &session->channels[idx];
        /* The queue first: who else has the channel writes the rest of it. Relaxed: the client knew
         * the channel when it armed, and learned of it from the thread that stored this. */
        if (atomic_load_explicit(&channel->queue_idx, memory_order_relaxed) == queue->idx &&
            channel->polled) {
            if (hint_producer_push(&channel->hints, socket_idx, generation) != RS_OK) {
                request_poison(queue, session, "hint_head outside its ring");
                return;
            }
            deliver_wake(queue, channel);
        }
    }
}

/* Hints for channels of the other queues go through those. */
static void deliver_hint_others(struct queue *queue, const struct dp_socket *socket, uint64_t mask)
{
    const struct dp_session *session = socket->session;
    uint64_t masks[RS_QUEUES_MAX] = {0};
    while (mask != 0) {
        uint32_t idx = (uint32_t)__builtin_ctzll(mask);
        mask &= mask - 1;
        if (idx < session->config->limit_channels) {
            uint32_t queue_idx =
                atomic_load_explicit(&session->channels[idx].queue_idx, memory_order_relaxed);
            if (queue_idx < queue->queue_count) {
                masks[queue_idx] |= (uint64_t)1 << idx;
            }
        }
    }
    for (uint32_t i = 0; i < queue->queue_count; i++) {
        if (i != queue->idx && masks[i] != 0) {
            exchange_hint(queue, i, socket, masks[i]);
        }
    }
}

/* Beyond its session's share of the iteration a socket waits for its turn, once, whatever else
 * happens to it: an arming is answered once, so it is not taken before. */
static void deliver_hint_later(struct queue *queue, struct dp_socket *socket, uint32_t happened)
{
    struct session_part *part = socket->part;
    QUEUE_COUNT_PART(queue, part, hints_deferred);
    socket->hint_happened = happened;
    struct dp_socket **link = part->hint_first != NULL ? part->hint_last : &part->hint_first;
    socket->hint_next = NULL;
    socket->hint_link = link;
    *link = socket;
    part->hint_last = &socket->hint_next;
    if (!part->hinting) {
        part->hinting = true;
        part->hinting_next = queue->hinting;
        queue->hinting = part;
    }
}

static void deliver_hint_unlist(struct dp_socket *socket)
{
    struct session_part *part = socket->part;
    assert(socket->hint_link != NULL); /* it waits */
    *socket->hint_link = socket->hint_next;
    if (socket->hint_next != NULL) {
        socket->hint_next->hint_link = socket->hint_link;
    } else {
        part->hint_last = socket->hint_link;
    }
    socket->hint_link = NULL;
}

static bool deliver_may_hint(const struct queue *queue, const struct session_part *part)
{
    return part->hints_left > 0 && (queue->queue_count == 1 || exchange_has_room(queue));
}

/* Hints for the channels that armed the socket. */
static void deliver_hint_now(struct queue *queue, struct dp_socket *socket, uint32_t happened)
{
    if (__builtin_expect(socket->session->house, 0)) {
        if (!socket->home) { /* home tells who has it (share.h) */
            socket->part->hints_left--;
            exchange_hint(queue, socket->record->home_queue_idx, socket, 1);
        }
        return;
    }
    uint64_t mask = arm_take(socket->client, &socket->arm_seen, happened);
    if (mask == 0) {
        return;
    }
    socket->part->hints_left -= __builtin_popcountll(mask);
    deliver_hint_channels(queue, socket->session, socket->idx, socket->generation, mask);
    if (queue->queue_count > 1) {
        deliver_hint_others(queue, socket, mask);
    }
}

static void deliver_hint(struct queue *queue, struct dp_socket *socket, uint32_t happened)
{
    if (socket->hint_link != NULL) {
        socket->hint_happened |= happened;
        return;
    }
    request_budget_refill(queue, socket->part);
    if (deliver_may_hint(queue, socket->part)) {
        deliver_hint_now(queue, socket, happened);
    } else {
        deliver_hint_later(queue, socket, happened);
    }
}

/* Those that waited, behind the fence. */
static void deliver_hint_waiting(struct queue *queue)
{
    struct session_part *part = queue->hinting;
    queue->hinting = NULL;
    while (part != NULL) {
        struct session_part *next = part->hinting_next;
        part->hinting = false;
        request_budget_refill(queue, part);
        while (part->hint_first != NULL && deliver_may_hint(queue, part)) {
            struct dp_socket *socket = part->hint_first;
            deliver_hint_unlist(socket);
            deliver_hint_now(queue, socket, socket->hint_happened);
        }
        if (part->hint_first != NULL) {
            part->hinting = true;
            part->hinting_next = queue->hinting;
            queue->hinting = part;
        }
        part = next;
    }
}

/* False: the session has had its signals, or its looks, of this iteration. */
static bool deliver_signal(struct queue *queue, struct dp_channel *channel)
{
    struct session_part *part = channel->part;
    request_budget_refill(queue, part);
    if (part->signals_left <= 0 || part->looks_left <= 0 ||
        part->signals_until_tsc > queue->now_tsc + queue->signal_tsc * SESSION_SIGNALS_AT_ONCE) {
        QUEUE_COUNT_PART(queue, part, signals_deferred);
        return false;
    }
    part->looks_left--;
    if (wakeup_needed(&channel->wakeup)) {
        uint64_t from_tsc = part->signals_until_tsc;
        part->signals_left--;
        part->signals_until_tsc =
            (from_tsc > queue->now_tsc ? from_tsc : queue->now_tsc) + queue->signal_tsc;
        os_event_signal(&channel->event);
    }
    return true;
}

static void deliver_untouch(struct queue *queue, struct dp_socket *socket)
{
    struct dp_socket **link = &queue->touched;
    while (socket->touched && *link != socket) {
        link = &(*link)->touched_next;
    }
    if (socket->touched) {
        *link = socket->touched_next;
        socket->touched = false;
        queue->touched_count--;
    }
}

bool deliver_may_close(const struct queue *queue)
{
    return queue->queue_count == 1 || exchange_has_room(queue);
}

static void deliver_unlist(struct queue *queue, struct dp_socket *socket)
{
    deliver_untouch(queue, socket);
    if (socket->hint_link != NULL) {
        deliver_hint_unlist(socket);
    }
}

void deliver_moves(struct queue *queue, struct dp_socket *socket)
{
    deliver_unlist(queue, socket);
    socket->happened = 0;
}

/* For its program the socket is no more. */
static void deliver_ended(struct queue *queue, struct dp_socket *socket, enum rs_socket_mode mode)
{
    /* relaxed: the fence orders them before the arm words are read; a waiter that looks again finds
     * the socket gone */
    atomic_store_explicit(&socket->state->generation, 0, memory_order_relaxed);
    atomic_store_explicit(&socket->state->mode, mode, memory_order_relaxed);
    if (!session_never_sleeps(socket->session)) {
        /* It has no turn after this one, so it needs no budget; and a program may wait for it on
         * channels of other queues, which only look when they are woken. */
        wakeup_fence();
        uint64_t mask = arm_take(socket->client, &socket->arm_seen,
                                 RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_END |
                                     RS_LEVEL_ERROR | RS_LEVEL_CONNECTED);
        deliver_hint_channels(queue, socket->session, socket->idx, socket->generation, mask);
        if (queue->queue_count > 1) {
            deliver_hint_others(queue, socket, mask);
        }
    }
}

void deliver_orphaned(struct queue *queue, struct dp_socket *socket)
{
    deliver_unlist(queue, socket);
    deliver_ended(queue, socket, RS_MODE_ORPHAN);
}

void deliver_closed(struct queue *queue, struct dp_socket *socket)
{
    deliver_unlist(queue, socket);
    if (!socket->home) {
        return;
    }
    if (socket->orphan) {
        atomic_store_explicit(&socket->state->mode, RS_MODE_FREE, memory_order_relaxed);
    } else {
        deliver_ended(queue, socket, RS_MODE_FREE);
    }
}

static void deliver_publish_heads(struct queue *queue)
{
    struct dp_channel *channel = queue->consumed;
    queue->consumed = NULL;
    while (channel != NULL) {
        struct dp_channel *next = channel->consumed_next;
        channel->consumed = false;
        slot_consumer_publish(&channel->requests);
        channel = next;
    }
}

/* What the socket's client may want to hear: a tail it stored while its post was on its way, then
 * who armed it. */
static void deliver_look(struct queue *queue, struct dp_socket *socket, bool posted,
                         uint32_t happened)
{
    if (posted) {
        request_reread_level(queue, socket);
    }
    if (socket->stream != NULL) {
        stream_look(queue, socket);
    }
    if (!session_never_sleeps(socket->session)) {
        deliver_hint(queue, socket, happened);
    }
}

/* Without a fence: whoever armed, or left a tail, some time ago is seen; who does so just now is
 * not, so the list stays. */
static void deliver_look_early(struct queue *queue)
{
    for (struct dp_socket *socket = queue->touched; socket != NULL; socket = socket->touched_next) {
        deliver_look(queue, socket, socket->posted, socket->happened);
    }
    for (struct dp_channel *channel = queue->wake; channel != NULL; channel = channel->wake_next) {
        (void)deliver_signal(queue, channel);
    }
}

/* Behind a fence nobody is missed, and the lists are done with. What this look touches again waits
 * for the next one. */
static void deliver_look_finally(struct queue *queue)
{
    struct dp_socket *socket = queue->touched;
    queue->touched = NULL;
    queue->touched_count = 0;
    /* Between the stores of all iterations since the last fence (records, level words,
     * request_head, send_head, replies) and the loads of send_level, the arm words and need_wakeup.
     */
    wakeup_fence();
    while (socket != NULL) {
        struct dp_socket *next = socket->touched_next;
        bool posted = socket->posted;
        uint32_t happened = socket->happened;
        socket->touched = socket->posted = false;
        socket->happened = 0;
        deliver_look(queue, socket, posted, happened);
        socket = next;
    }
    deliver_hint_waiting(queue);
    struct dp_channel *channel = queue->wake;
    queue->wake = NULL;
    if (channel != NULL) {
        wakeup_fence(); /* between the hints just posted and need_wakeup */
    }
    while (channel != NULL) {
        struct dp_channel *next = channel->wake_next;
        channel->wake = false;
        if (!deliver_signal(queue, channel)) {
            deliver_wake(queue, channel);
        }
        channel = next;
    }
}

static void deliver_publish_sends(struct queue *queue)
{
    for (struct dp_socket *socket = queue->touched; socket != NULL; socket = socket->touched_next) {
        if (socket->send.size_bytes != 0) {
            dgram_send_reader_publish(&socket->send);
        }
    }
}

void deliver_settle(struct queue *queue, bool idle)
{
    deliver_publish_heads(queue);
    if (queue->touched == NULL && queue->wake == NULL && queue->hinting == NULL) {
        queue->unfenced_polls = 0;
        return;
    }
    deliver_publish_sends(queue);
    /*
     * A fence waits until all our stores have reached the caches of others, which costs a line
     * transfer or more (80 ns measured on one channel). So the loop fences when it is idle, or
     * after a few iterations.
     */
    if (idle || queue->hinting != NULL || ++queue->unfenced_polls >= DELIVER_UNFENCED_POLLS ||
        queue->touched_count >= DELIVER_UNFENCED_SOCKETS) {
        queue->unfenced_polls = 0;
        deliver_look_finally(queue);
    } else {
        deliver_look_early(queue);
    }
}
