/*
 * Local connections: both ends are sockets of this queue, and bytes are copied from the one's send
 * ring to the other's receive ring, without segments. Visible to programs they behave as others:
 * backlog, refusal, half-close, reset, urgent data, full rings, orphans. Queue thread. Called by
 * stream*.c where a socket's connection is local, by queue.c once an iteration; calls deliver.c.
 *
 * A sender with news is on the queue's ready list; stream_local_run copies for each on it, bounded
 * by its session's bytes of the iteration. A receiver whose ring is full takes its sender off the
 * list; stream_local_consumed puts it on again.
 *
 * An end that is closed and has nothing left to send is gone at once; the other one keeps what it
 * has received, and its next byte finds nobody: a reset.
 *
 * Where both ends are one program's nothing is copied: an end's receive ring is the other one's
 * send ring, which the program has mapped anyway, and bytes do not travel to this processor and
 * back. recv_tail follows what is posted, send_head what is read: told when half of SO_SNDBUF is
 * unread, so that a reader has to say something (recv_notify) once in so many bytes. Who is over
 * keeps its place while the other end may still read there.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/stream.h"
#include "dataplane/wire/tcp.h"
#include "rings/seq.h"

/* ---- lists ---- */

static void stream_local_ready(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    if (local->ready_link != NULL) {
        return;
    }
    local->ready_next = NULL;
    local->ready_link = queue->local_ready_last;
    *local->ready_link = socket;
    queue->local_ready_last = &local->ready_next;
}

static void stream_local_unready(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    if (local->ready_link == NULL) {
        return;
    }
    *local->ready_link = local->ready_next;
    if (local->ready_next != NULL) {
        local->ready_next->stream->local.ready_link = local->ready_link;
    } else {
        queue->local_ready_last = local->ready_link;
    }
    local->ready_link = NULL;
}

static void stream_local_wait(struct dp_socket *socket, struct dp_socket *listener)
{
    struct stream_local *local = &socket->stream->local;
    struct dp_stream *list = listener->stream;
    local->waits_for = listener;
    local->wait_next = NULL;
    local->wait_link =
        list->local_waiting != NULL ? list->local_waiting_last : &list->local_waiting;
    *local->wait_link = socket;
    list->local_waiting_last = &local->wait_next;
    list->listener.held++; /* as many places are asked for */
}

static void stream_local_unwait(struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    if (local->waits_for == NULL) {
        return;
    }
    struct dp_stream *list = local->waits_for->stream;
    *local->wait_link = local->wait_next;
    if (local->wait_next != NULL) {
        local->wait_next->stream->local.wait_link = local->wait_link;
    } else {
        list->local_waiting_last = local->wait_link;
    }
    list->listener.held--;
    local->waits_for = NULL;
}

/* ---- one program's two ends ---- */

static void stream_local_lend(struct dp_socket *lender, struct dp_socket *borrower)
{
    lender->stream->local.borrower = borrower;
    borrower->stream->local.lender = lender;
    stream_writer_init(&borrower->stream->local.recv, lender->send_base,
                       lender->send_ring.size_bytes, lender->send_ring.size_bytes, 0);
}

/* A program that asked for a receive buffer of a size gets it, if the other end's ring is not as
 * good. */
static bool stream_local_may_borrow(const struct dp_socket *reader, const struct dp_socket *writer)
{
    uint32_t limit_bytes = reader->stream->recv_limit_bytes;
    return limit_bytes == 0 || (limit_bytes >= writer->send_ring.size_bytes &&
                                reader->recv_ring.size_bytes <= writer->send_ring.size_bytes);
}

/* Gives the place back, or keeps it while it is lent. */
static void stream_local_give_back(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    local->kept = local->borrower != NULL;
    if (!local->kept) {
        stream_give_back(queue, socket);
    }
}

/* The reader has read all, or is closed. */
static void stream_local_return(struct queue *queue, struct dp_socket *borrower)
{
    struct dp_socket *lender = borrower->stream->local.lender;
    if (lender == NULL) {
        return;
    }
    borrower->stream->local.lender = NULL;
    lender->stream->local.borrower = NULL;
    if (lender->stream->local.kept) {
        stream_local_give_back(queue, lender);
    }
}

void stream_local_given_back(struct queue *queue, struct dp_socket *borrower)
{
    stream_local_return(queue, borrower);
}

static inline bool stream_local_captured(const struct queue *queue)
{
    return __builtin_expect(queue->capture != NULL, 0);
}

/* ---- ends ---- */

static void stream_local_tell(struct queue *queue, struct dp_socket *socket, uint32_t happened)
{
    if (!session_never_sleeps(socket->session) && !socket->orphan) {
        deliver_touch(queue, socket, happened);
    }
}

/* For reports and TCP_INFO. */
static void stream_local_limited(const struct queue *queue, struct stream_local *local,
                                 enum rs_tcp_limit by)
{
    if (local->limit != by) {
        tcp_limits_change(&local->limits, (enum rs_tcp_limit)local->limit, by, queue->now_tsc,
                          local->sent_bytes);
        local->limit = (uint8_t)by;
    }
}

/* Nothing comes or goes here any more. An orphan's place goes back. */
static void stream_local_part(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    stream_local_unwait(socket);
    stream_local_unready(queue, socket);
    stream_local_port_give(queue, local);
    stream_local_unshare(local);
    if (local->orphan_link != NULL) {
        *local->orphan_link = local->orphan_next;
        if (local->orphan_next != NULL) {
            local->orphan_next->stream->local.orphan_link = local->orphan_link;
        }
        local->orphan_link = NULL;
    }
    if (local->peer != NULL) {
        local->peer->stream->local.peer = NULL;
        local->peer = NULL;
    }
    local->over = true;
    local->over_tsc = queue->now_tsc;
    socket->stream->notify_waits = false;
    if (socket->orphan) {
        stream_local_give_back(queue, socket);
    }
}

/* The other end is told of a reset; both are over. */
static void stream_local_fail(struct queue *queue, struct dp_socket *socket, enum rs_status error)
{
    if (socket->stream->local.over) {
        return;
    }
    if (stream_local_captured(queue) && error == RS_CONN_RESET) {
        stream_capture_reset(queue, socket);
    }
    stream_local_part(queue, socket);
    if (!socket->orphan) {
        stream_local_tell(queue, socket, stream_failed(socket, error));
    }
}

static void stream_local_reset_peer(struct queue *queue, struct dp_socket *socket)
{
    struct dp_socket *peer = socket->stream->local.peer;
    if (peer != NULL) {
        stream_local_fail(queue, peer, RS_CONN_RESET);
    }
}

/* ---- copying ---- */

/* The window of the receiving end: while its sender waits it is to tell when no more than
 * unread_bytes are left. */
static void stream_local_notify(struct queue *queue, struct dp_socket *to, bool waits,
                                uint32_t unread_bytes)
{
    struct dp_stream *stream = to->stream;
    const struct stream_writer *recv = &stream->local.recv;
    uint32_t notify = waits ? recv->tail - unread_bytes : recv->tail + RS_RING_MAX_BYTES;
    if (waits || stream->notify_waits) {
        stream->notify_waits = waits;
        stream_store_notify(queue, to, notify);
    }
}

/* Loads the receiver's index; in a shared ring that is the room there. False: it cannot be. */
static bool stream_local_refresh(struct queue *queue, struct dp_socket *to)
{
    struct stream_local *local = &to->stream->local;
    struct dp_socket *lender = local->lender;
    if (stream_writer_refresh(&local->recv, local->recv_head, RS_POISONED) != RS_OK) {
        request_poison(queue, to->session, "recv_head outside the receive ring");
        return false;
    }
    if (lender != NULL && lender->stream->local.freed != local->recv.head_cached) {
        lender->stream->local.freed = local->recv.head_cached;
        /* release, partner stream_writer_refresh of the sender: the reader is done with them */
        atomic_store_explicit(&lender->state->send_head, local->recv.head_cached,
                              memory_order_release);
        stream_local_tell(queue, lender, RS_LEVEL_WRITABLE);
    }
    return true;
}

/* A shared ring: the sender may want room once half of what it may have unread is. */
static void stream_local_watch(struct queue *queue, const struct dp_socket *from,
                               struct dp_socket *to)
{
    const struct stream_writer *recv = &to->stream->local.recv;
    uint32_t limit_bytes = from->stream->send_limit_bytes;
    if (limit_bytes == 0 || limit_bytes > recv->size_bytes) {
        limit_bytes = recv->size_bytes;
    }
    uint32_t unread_max = (limit_bytes > RS_RING_MIN_BYTES ? limit_bytes : RS_RING_MIN_BYTES) / 2;
    if (rs_seq_distance(recv->head_cached, recv->tail) > unread_max &&
        !stream_local_refresh(queue, to)) {
        return;
    }
    stream_local_notify(queue, to, rs_seq_distance(recv->head_cached, recv->tail) > unread_max,
                        unread_max);
}

/* The sender's ring is the receiver's: what is posted may be read, up to max_bytes. Returns how
 * many. */
static uint32_t stream_local_hand_over(struct dp_socket *from, struct dp_socket *to,
                                       uint32_t max_bytes)
{
    struct stream_reader *send = &from->stream->local.send;
    struct stream_writer *recv = &to->stream->local.recv;
    uint32_t ready = stream_reader_ready(send);
    uint32_t room = stream_writer_room(recv);
    uint32_t total = ready < room ? ready : room;
    total = total < max_bytes ? total : max_bytes;
    stream_writer_commit(recv, total);
    stream_reader_consume(send, total);
    stream_writer_publish(recv, &to->state->recv_tail);
    return total;
}

/* Up to max_bytes of what is sent and has room. Returns how many. */
static uint32_t stream_local_copy(struct dp_socket *from, struct dp_socket *to, uint32_t max_bytes)
{
    struct stream_reader *send = &from->stream->local.send;
    struct stream_writer *recv = &to->stream->local.recv;
    uint32_t total = 0;
    for (uint32_t got = 1; got != 0 && total < max_bytes; total += got) {
        struct stream_const_region source[2];
        struct stream_region target[2];
        (void)stream_reader_regions(send, 0, max_bytes - total, source);
        got = stream_writer_regions(recv, 0, source[0].len_bytes, target);
        memcpy(target[0].base, source[0].base, target[0].len_bytes);
        memcpy(target[1].base, source[0].base + target[0].len_bytes, target[1].len_bytes);
        stream_writer_commit(recv, got);
        stream_reader_consume(send, got);
    }
    if (total != 0) {
        stream_writer_publish(recv, &to->state->recv_tail);
        stream_reader_publish(send, &from->state->send_head);
    }
    return total;
}

/* The end comes to this one; NULL: it is gone. */
static void stream_local_end(struct queue *queue, struct dp_socket *to)
{
    if (to == NULL) {
        return;
    }
    stream_add_level(to, RS_LEVEL_END);
    stream_local_tell(queue, to, RS_LEVEL_END | RS_LEVEL_READABLE);
    if (stream_local_captured(queue)) {
        stream_capture_segment(queue, to, TCP_FLAG_ACK, 0);
    }
}

/* All is sent: the end behind it, and the place of an orphan. */
static void stream_local_drained(struct queue *queue, struct dp_socket *from)
{
    struct stream_local *local = &from->stream->local;
    if (local->shut && !local->ended) {
        if (stream_local_captured(queue)) {
            stream_capture_segment(queue, from, TCP_FLAG_FIN | TCP_FLAG_ACK, 0);
        }
        local->ended = true;
        stream_local_end(queue, local->peer);
    }
    if (from->orphan && !local->over) {
        if (local->borrower != NULL) { /* its reader is to tell when it has read all */
            stream_local_notify(queue, local->borrower, true, 0);
        }
        stream_local_part(queue, from);
    }
}

/* Moves bytes to the other end. False: the session is poisoned. */
static bool stream_local_move(struct queue *queue, struct dp_socket *from, struct dp_socket *to)
{
    struct session_part *part = from->part;
    const struct stream_reader *send = &from->stream->local.send;
    const struct stream_writer *recv = &to->stream->local.recv;
    uint32_t tail = recv->tail;
    if (stream_writer_room(recv) < stream_reader_ready(send) && !stream_local_refresh(queue, to)) {
        return false;
    }
    if (to->stream->local.lender != NULL) {
        if (stream_local_captured(queue)) { /* which copies them */
            part->bytes_left -= stream_local_hand_over(from, to, (uint32_t)part->bytes_left);
        } else {
            (void)stream_local_hand_over(from, to, UINT32_MAX);
        }
        stream_local_watch(queue, from, to);
    } else {
        part->bytes_left -= stream_local_copy(from, to, (uint32_t)part->bytes_left);
        stream_local_notify(queue, to,
                            stream_reader_ready(send) != 0 && stream_writer_room(recv) == 0,
                            recv->limit_bytes / 2);
        if (recv->tail != tail) {
            stream_local_tell(queue, from, RS_LEVEL_WRITABLE);
        }
    }
    if (stream_local_captured(queue) && recv->tail != tail) {
        stream_capture_segment(queue, from, TCP_FLAG_PSH | TCP_FLAG_ACK,
                               rs_seq_distance(tail, recv->tail));
        stream_capture_segment(queue, to, TCP_FLAG_ACK, 0);
    }
    if (recv->tail != tail) {
        from->stream->local.sent_bytes += rs_seq_distance(tail, recv->tail);
        to->stream->local.received_bytes += rs_seq_distance(tail, recv->tail);
        stream_local_tell(queue, to, RS_LEVEL_READABLE);
    }
    return part->poison_status != RS_POISONED;
}

/* One sender's turn. True: it has more to do in the next iteration. */
static bool stream_local_turn(struct queue *queue, struct dp_socket *from)
{
    struct stream_local *local = &from->stream->local;
    struct session_part *part = from->part;
    struct dp_socket *to = local->peer;
    if (local->over || part->poison_status == RS_POISONED) {
        return false;
    }
    bool unsent = stream_reader_ready(&local->send) != 0;
    if (unsent && (to == NULL || to->orphan || to->stream->local.recv_shut)) {
        if (to != NULL) { /* nobody will read it */
            stream_local_fail(queue, to, RS_CONN_ABORTED);
        }
        stream_local_fail(queue, from, RS_CONN_RESET);
        return false;
    }
    request_budget_refill(queue, part);
    if (unsent && part->bytes_left <= 0) {
        return true;
    }
    if (unsent) {
        if (!stream_local_move(queue, from, to)) {
            return false;
        }
        unsent = stream_reader_ready(&local->send) != 0;
    }
    if (!unsent) {
        stream_local_limited(queue, local, RS_TCP_LIMIT_SENDER);
        stream_local_drained(queue, from);
        return false;
    }
    if (stream_writer_room(&to->stream->local.recv) == 0) {
        stream_local_limited(queue, local, RS_TCP_LIMIT_RECEIVER);
        return false;
    }
    return true;
}

uint32_t stream_local_run(struct queue *queue)
{
    const struct dp_socket *again = NULL; /* the first that is on the list again: all had a turn */
    uint32_t count = 0;
    while (queue->local_ready != again && count < QUEUE_LOCAL_TURNS) {
        struct dp_socket *socket = queue->local_ready;
        if (socket == NULL) {
            break;
        }
        const struct dp_socket *next = socket->stream->local.ready_next;
        stream_prefetch_target(next != NULL ? next->stream->local.ready_next : NULL);
        stream_local_unready(queue, socket);
        if (stream_local_turn(queue, socket)) {
            stream_local_ready(queue, socket);
            again = again != NULL ? again : socket;
        }
        count++;
    }
    return count;
}

/* ---- what programs do ---- */

bool stream_local_tail(struct queue *queue, struct dp_socket *socket, uint32_t tail, bool urgent)
{
    struct stream_local *local = &socket->stream->local;
    if (local->over || local->shut || socket->stream->phase != STREAM_CONNECTED) {
        return true; /* its bytes go nowhere */
    }
    if (!stream_reader_take_tail(&local->send, tail)) {
        return false;
    }
    if (urgent && local->peer != NULL && !local->peer->orphan) {
        stream_urgent(local->peer, tail); /* positions are the same at both ends */
        stream_local_tell(queue, local->peer, RS_LEVEL_READABLE);
    }
    stream_local_ready(queue, socket);
    return true;
}

void stream_local_warm(struct queue *queue, struct dp_socket *socket)
{
    stream_local_ready(queue, socket); /* a turn without news changes nothing */
    (void)stream_local_refresh(queue, socket->stream->local.peer);
}

void stream_local_consumed(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    if (local->over || !stream_local_refresh(queue, socket)) {
        return;
    }
    if (local->lender != NULL && local->lender->stream->local.kept) {
        if (local->recv.head_cached == local->recv.tail) {
            stream_local_return(queue, socket);
        }
        return;
    }
    if (local->lender != NULL) {
        stream_local_watch(queue, local->lender, socket);
    }
    if (local->peer != NULL && stream_reader_ready(&local->peer->stream->local.send) != 0) {
        stream_local_ready(queue, local->peer);
    }
}

void stream_local_limit(struct queue *queue, struct dp_socket *socket)
{
    struct stream_local *local = &socket->stream->local;
    uint32_t limit = socket->stream->recv_limit_bytes;
    if (local->lender == NULL) {
        local->recv.limit_bytes =
            limit != 0 && limit < local->recv.size_bytes ? limit : local->recv.size_bytes;
    }
    stream_local_consumed(queue, socket);
    if (local->borrower != NULL && !local->over) {
        stream_local_watch(queue, socket, local->borrower);
    }
}

enum rs_status stream_local_shutdown(struct queue *queue, struct dp_socket *socket, uint32_t how)
{
    struct stream_local *local = &socket->stream->local;
    if (local->over) {
        return (how & RS_SHUTDOWN_SEND) != 0 && !local->shut ? RS_NOT_CONNECTED : RS_OK;
    }
    if ((how & RS_SHUTDOWN_SEND) != 0 && !local->shut) {
        stream_take_level(queue, socket);
        local->shut = true;
        stream_local_ready(queue, socket);
    }
    if ((how & RS_SHUTDOWN_RECV) != 0) {
        local->recv_shut = true;
        if (!stream_local_refresh(queue, socket) || local->recv.head_cached != local->recv.tail) {
            stream_local_reset_peer(queue, socket); /* as TCP: bytes that nobody will read */
            stream_local_fail(queue, socket, RS_CONN_ABORTED);
        }
    }
    return RS_OK;
}

void stream_local_leave(struct queue *queue, struct dp_socket *socket, bool abort,
                        uint64_t linger_ns)
{
    struct stream_local *local = &socket->stream->local;
    assert(socket->orphan);
    bool unread =
        !stream_local_refresh(queue, socket) || local->recv.head_cached != local->recv.tail ||
        (local->peer != NULL && stream_reader_ready(&local->peer->stream->local.send) != 0);
    stream_local_return(queue, socket);
    if (local->over) {
        stream_local_give_back(queue, socket);
        return;
    }
    if (abort || unread) {
        stream_local_reset_peer(queue, socket);
        if (!local->over) {
            stream_local_part(queue, socket);
        }
        return;
    }
    local->shut = true;
    local->linger_until_tsc =
        linger_ns != 0 ? queue->now_tsc + linger_ns / 1000000 * queue->heartbeat_tsc : 0;
    local->orphan_next = queue->local_orphans;
    local->orphan_link = &queue->local_orphans;
    if (local->orphan_next != NULL) {
        local->orphan_next->stream->local.orphan_link = &local->orphan_next;
    }
    queue->local_orphans = socket;
    stream_local_ready(queue, socket);
}

void stream_local_abort(struct queue *queue, struct dp_socket *socket)
{
    if (!socket->stream->local.over) {
        stream_local_reset_peer(queue, socket);
    }
    if (!socket->stream->local.over) {
        stream_local_part(queue, socket);
    }
}

void stream_local_heartbeat(struct queue *queue)
{
    struct dp_socket *socket = queue->local_orphans;
    while (socket != NULL) {
        struct dp_socket *next = socket->stream->local.orphan_next;
        uint64_t until_tsc = socket->stream->local.linger_until_tsc;
        if (until_tsc != 0 && queue->now_tsc >= until_tsc) {
            stream_local_abort(queue, socket);
        }
        socket = next;
    }
}

/* ---- connecting ---- */

static void stream_local_init(const struct queue *queue, struct dp_socket *socket,
                              const struct rs_addr *own, const struct rs_addr *other)
{
    struct dp_stream *stream = socket->stream;
    struct stream_local *local = &stream->local;
    const struct tcp_rings rings = stream_tcp_rings(queue, socket);
    *local = (struct stream_local){.on = true,
                                   .own = *own,
                                   .other = *other,
                                   .recv_head = rings.recv_head,
                                   .isn = (uint32_t)queue->now_tsc,
                                   .limit = RS_TCP_LIMIT_SENDER};
    tcp_limits_begin(&local->limits, queue->now_tsc);
    stream_reader_init(&local->send, rings.send_base, rings.send_bytes, 0);
    uint32_t limit =
        rings.recv_limit_bytes < rings.recv_bytes ? rings.recv_limit_bytes : rings.recv_bytes;
    stream_writer_init(&local->recv, rings.recv_base, rings.recv_bytes, limit, 0);
}

static void stream_local_refuse(struct queue *queue, struct dp_socket *socket)
{
    if (stream_local_captured(queue)) {
        stream_capture_reset(queue, socket);
    }
    stream_local_part(queue, socket);
    stream_local_tell(queue, socket, stream_failed(socket, RS_CONN_REFUSED));
    socket->stream->local.on = false; /* CONNECT may come again */
}

/* Takes a place; the two are connected. */
static void stream_local_join(struct queue *queue, struct dp_socket *socket,
                              struct dp_socket *listener)
{
    struct dp_socket *place = listener->stream->places;
    if (!stream_accept_place(queue, listener, NULL, socket)) {
        tcp_backlog_release(listener->stream->listener.backlog);
        stream_local_refuse(queue, socket);
        return;
    }
    place->stream->local.peer = socket;
    socket->stream->local.peer = place;
    if (stream_local_captured(queue)) {
        stream_capture_segment(queue, place, TCP_FLAG_SYN | TCP_FLAG_ACK, 0);
        stream_capture_segment(queue, socket, TCP_FLAG_ACK, 0);
    }
    stream_connected(queue, socket);
    stream_local_tell(queue, socket, RS_LEVEL_CONNECTED | RS_LEVEL_WRITABLE);
    stream_local_ready(queue, socket);
}

/* Without a place in stock it waits for one; without one in the backlog it is refused. */
static void stream_local_try(struct queue *queue, struct dp_socket *socket,
                             struct dp_socket *listener)
{
    struct tcp_listener *part = &listener->stream->listener;
    bool room = stream_upcall_room(queue, part);
    if (!room && listener->part->poison_status == RS_OK) {
        stream_local_wait(socket, listener);
        return;
    }
    if (!room || !tcp_backlog_reserve(part->backlog)) {
        stream_local_refuse(queue, socket);
        return;
    }
    stream_local_join(queue, socket, listener);
}

void stream_local_resume(struct queue *queue, struct dp_socket *listener)
{
    struct dp_socket *socket = listener->stream->local_waiting;
    if (socket != NULL) {
        stream_local_unwait(socket);
        stream_local_try(queue, socket, listener);
    }
}

void stream_local_refuse_all(struct queue *queue, struct dp_socket *listener)
{
    while (listener->stream->local_waiting != NULL) {
        struct dp_socket *socket = listener->stream->local_waiting;
        stream_local_unwait(socket);
        stream_local_refuse(queue, socket);
    }
}

void stream_local_forget(struct queue *queue, struct dp_socket *socket)
{
    stream_local_part(queue, socket);
    socket->stream->local.on = false;
}

void stream_local_place(const struct queue *queue, struct dp_socket *place, struct dp_socket *from)
{
    const struct stream_local *local = &from->stream->local;
    stream_local_init(queue, place, &local->other, &local->own);
    place->stream->local.isn = local->isn;
    if (local->may_lend && from->session == place->session && !place->session->house &&
        stream_local_may_borrow(place, from) && stream_local_may_borrow(from, place)) {
        stream_local_lend(from, place);
        stream_local_lend(place, from);
    }
}

void stream_local_untake(struct dp_socket *place)
{
    struct stream_local *local = &place->stream->local;
    local->on = false;
    if (local->lender != NULL) {
        local->lender->stream->local.lender = local->lender->stream->local.borrower = NULL;
        local->lender = local->borrower = NULL;
    }
}

enum rs_status stream_local_connect(struct queue *queue, struct dp_socket *socket,
                                    const struct rs_addr *peer)
{
    struct dp_stream *stream = socket->stream;
    uint32_t own_be32 = stream->local_be32 != 0 ? stream->local_be32 : peer->ip.v4_be32;
    struct rs_addr own = rs_addr_v4(own_be32, stream->local_port_be16);
    bool takes = own.port_be16 == 0;
    if (peer->port_be16 == 0) {
        return RS_ADDR_NOT_AVAILABLE;
    }
    if (takes) {
        own.port_be16 = stream_local_port_take(queue, socket->part);
    }
    if (own.port_be16 == 0) {
        return RS_ADDR_IN_USE;
    }
    const struct rs_addr other = rs_addr_v4(peer->ip.v4_be32, peer->port_be16);
    if (socket->reuse && !takes && stream_local_pair_taken(queue, socket->part, &own, &other)) {
        return RS_ADDR_IN_USE;
    }
    stream_local_init(queue, socket, &own, &other);
    stream->local.port_taken = takes;
    stream->local.may_lend = true;
    if (socket->reuse && !takes) {
        stream_local_share(queue, socket);
    }
    stream->phase = STREAM_CONNECTING;
    stream_describe(queue, socket);
    if (stream_local_captured(queue)) {
        stream_capture_segment(queue, socket, TCP_FLAG_SYN, 0);
    }
    struct dp_socket *listener =
        stream_listen_find(queue, socket->part, other.ip.v4_be32, other.port_be16);
    if (listener != NULL) {
        stream_local_try(queue, socket, listener);
    } else {
        stream_local_refuse(queue, socket);
    }
    stream->local.may_lend = false;
    if (stream->local.lender != NULL) {
        stream_describe(queue, socket);
    }
    return RS_OK;
}
