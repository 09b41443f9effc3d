/* The stream sockets of fake_dataplane.h. All under the thread's mutex. Data moves only when
 * somebody says so (POST, CONSUMED, or a look behind the fence), as in the real dataplane: a client
 * that forgets to tell hangs. */
#include <string.h>

#include "rings/byteorder.h"
#include "tests/support/check.h"
#include "tests/support/fake_internal.h"

#define LOCALHOST rs_be32(0x7f000001u)

static struct rs_socket_state *stream_state(struct fake *fake, const struct fake_socket *socket)
{
    return &fake->states[fake_idx(fake, socket)];
}

static void stream_level(struct fake *fake, struct fake_socket *socket, uint32_t bits,
                         uint32_t events)
{
    socket->stream.level |= bits;
    atomic_store_explicit(&stream_state(fake, socket)->level, socket->stream.level,
                          memory_order_release);
    fake_happened(socket, events);
}

/* ---- windows ----------------------------------------------------------------------------------
 */

/* How far the listener's records are accepted. */
static uint32_t stream_accepted_to(struct fake *fake, const struct fake_socket *listener)
{
    return atomic_load_explicit(&fake->clients[fake_idx(fake, listener)].recv_head[0],
                                memory_order_acquire);
}

/* The client's recv_head; before it accepted the connection that word is nobody's. */
static uint32_t stream_head(struct fake *fake, struct fake_socket *socket)
{
    struct fake_stream *stream = &socket->stream;
    if (stream->listener != NULL) {
        if (!rs_seq_before(stream->accept_position, stream_accepted_to(fake, stream->listener))) {
            return 0;
        }
        stream->listener = NULL;
    }
    return atomic_load_explicit(&fake->clients[fake_idx(fake, socket)].recv_head[0],
                                memory_order_acquire);
}

/* The window's right edge moves on when half of the ring is free again. */
static void stream_window(struct fake *fake, struct fake_socket *socket)
{
    struct fake_stream *stream = &socket->stream;
    uint32_t idx = fake_idx(fake, socket);
    uint32_t size = stream->in.size_bytes;
    CHECK(stream_writer_take_head(&stream->in, stream_head(fake, socket)));
    if (stream->in.head_cached + size - stream->edge >= size / 2) {
        stream->edge = stream->in.head_cached + size;
    }
    atomic_store_explicit(&fake->states[idx].recv_notify, stream->edge - size / 2,
                          memory_order_relaxed);
    stream->notify_stored = true;
}

static void stream_rings(struct fake *fake, struct fake_socket *socket)
{
    struct fake_stream *stream = &socket->stream;
    uint32_t idx = fake_idx(fake, socket);
    struct rs_socket_state *state = &fake->states[idx];
    uint32_t recv_bytes = fake->config.recv_ring_bytes;
    uint32_t send_bytes = fake->config.send_ring_bytes;
    stream_writer_init(&stream->in, fake->extents[2] + (size_t)idx * recv_bytes, recv_bytes,
                       recv_bytes, 0);
    stream_reader_init(&stream->out, fake->extents[3] + (size_t)idx * send_bytes, send_bytes, 0);
    stream->edge = recv_bytes;
    stream->level = 0;
    atomic_store_explicit(&state->level, 0, memory_order_relaxed);
    atomic_store_explicit(&state->recv_tail, 0, memory_order_relaxed);
    atomic_store_explicit(&state->send_head, 0, memory_order_relaxed);
    atomic_store_explicit(&state->recv_notify, recv_bytes / 2, memory_order_relaxed);
    fake_publish_desc(fake, socket);
}

/* ---- ends -------------------------------------------------------------------------------------
 */

void fake_stream_fail(struct fake *fake, struct fake_socket *socket, enum rs_status error)
{
    struct fake_stream *stream = &socket->stream;
    struct fake_socket *other = stream->other;
    stream->phase = FAKE_STREAM_OVER;
    stream->other = NULL;
    if (other != NULL) {
        other->stream.other = NULL;
        fake_stream_fail(fake, other, RS_CONN_RESET);
    }
    if (stream->orphan) {
        fake_free(fake, socket);
        return;
    }
    if (error == RS_CONN_RESET) {
        atomic_store_explicit(&stream_state(fake, socket)->reset_seq, ++stream->resets,
                              memory_order_relaxed);
    }
    fake_raise(fake, socket, error);
    stream_level(fake, socket, RS_LEVEL_ERROR,
                 RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_ERROR);
}

/* Orderly: this end's bytes and FIN have gone, its program too. The other end goes on alone. */
static void stream_gone(struct fake *fake, struct fake_socket *socket)
{
    if (socket->stream.other != NULL) {
        socket->stream.other->stream.other = NULL;
    }
    fake_free(fake, socket);
}

/* ---- data -------------------------------------------------------------------------------------
 */

static void stream_copy(struct fake_stream *from, struct fake_stream *to, uint32_t bytes)
{
    while (bytes != 0) {
        struct stream_const_region source[2];
        struct stream_region place[2];
        (void)stream_reader_regions(&from->out, 0, bytes, source);
        (void)stream_writer_regions(&to->in, 0, source[0].len_bytes, place);
        memcpy(place[0].base, source[0].base, place[0].len_bytes);
        stream_writer_commit(&to->in, place[0].len_bytes);
        stream_reader_consume(&from->out, place[0].len_bytes);
        bytes -= place[0].len_bytes;
    }
}

static void stream_move(struct fake *fake, struct fake_socket *socket)
{
    struct fake_stream *from = &socket->stream;
    struct fake_socket *other = from->other;
    uint32_t ready = stream_reader_ready(&from->out);
    if (from->phase != FAKE_STREAM_CONNECTED) {
        return;
    }
    if (ready != 0 && (other == NULL || other->stream.orphan || other->stream.shut_recv)) {
        fake_stream_fail(fake, socket, RS_CONN_RESET); /* nobody will read it */
        return;
    }
    if (ready != 0) {
        struct fake_stream *to = &other->stream;
        uint32_t window = to->edge - to->in.tail;
        uint32_t bytes = ready < window ? ready : window;
        if (bytes != 0) {
            stream_copy(from, to, bytes);
            stream_window(fake, other);
            stream_writer_publish(&to->in, &stream_state(fake, other)->recv_tail);
            stream_reader_publish(&from->out, &stream_state(fake, socket)->send_head);
            fake_happened(other, RS_LEVEL_READABLE);
            fake_happened(socket, RS_LEVEL_WRITABLE);
        }
    }
    if (from->fin_wanted && !from->fin_sent && stream_reader_ready(&from->out) == 0) {
        from->fin_sent = true;
        if (other != NULL) {
            stream_level(fake, other, RS_LEVEL_END, RS_LEVEL_READABLE | RS_LEVEL_END);
        }
    }
    if (from->orphan && from->fin_sent) {
        stream_gone(fake, socket);
    }
}

void fake_stream_tail(struct fake *fake, struct fake_socket *socket, uint32_t tail, bool urgent)
{
    struct fake_stream *stream = &socket->stream;
    if (stream->phase != FAKE_STREAM_CONNECTED) {
        return;
    }
    CHECK(!stream->fin_wanted && stream_reader_take_tail(&stream->out, tail));
    if (urgent && stream->other != NULL) {
        struct rs_socket_state *state = stream_state(fake, stream->other);
        atomic_store_explicit(&state->urgent_pos, tail, memory_order_relaxed);
        atomic_store_explicit(&state->urgent_seq, ++stream->other->stream.urgents,
                              memory_order_release);
        fake_happened(stream->other, RS_LEVEL_READABLE);
    }
    stream_move(fake, socket);
}

void fake_stream_consumed(struct fake *fake, struct fake_socket *socket)
{
    struct fake_stream *stream = &socket->stream;
    if (stream->phase != FAKE_STREAM_CONNECTED || stream->orphan) {
        return;
    }
    stream_window(fake, socket);
    if (stream->other != NULL) {
        stream_move(fake, stream->other);
    }
}

void fake_stream_settle(struct fake *fake, struct fake_socket *socket)
{
    struct fake_stream *stream = &socket->stream;
    while (socket->generation != 0 && stream->phase == FAKE_STREAM_CONNECTED && !stream->orphan &&
           stream->notify_stored) {
        stream->notify_stored = false;
        if (rs_seq_before(stream_head(fake, socket), stream->edge - stream->in.size_bytes / 2)) {
            return;
        }
        fake_stream_consumed(fake, socket);
        wakeup_fence();
    }
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void stream_record(struct fake *fake, struct fake_socket *listener,
                          struct fake_socket *socket, const struct fake_socket *peer)
{
    struct rs_dgram *record;
    const struct rs_accept accept = {.socket_idx = fake_idx(fake, socket),
                                     .generation = socket->generation,
                                     .local_be32 = socket->local.ip.v4_be32,
                                     .local_port_be16 = socket->local.port_be16};
    CHECK(dgram_writer_reserve(&listener->recv, sizeof(accept), RS_DGRAM_SHORT_OFF, &record) ==
          RS_OK);
    socket->stream.listener = listener;
    socket->stream.accept_position = listener->recv.tail;
    record->src_be32 = peer->local.ip.v4_be32;
    record->src_port_be16 = peer->local.port_be16;
    record->rx_tsc = os_tsc();
    memcpy((uint8_t *)record + RS_DGRAM_SHORT_OFF, &accept, sizeof(accept));
    dgram_writer_commit(&listener->recv);
    fake_happened(listener, RS_LEVEL_READABLE);
}

static void stream_established(struct fake *fake, struct fake_socket *socket,
                               struct fake_socket *other)
{
    socket->stream.phase = FAKE_STREAM_CONNECTED;
    socket->stream.other = other;
    atomic_store_explicit(&stream_state(fake, socket)->connected_tsc, os_tsc(),
                          memory_order_relaxed);
    atomic_store_explicit(&stream_state(fake, socket)->connect_seq, ++socket->stream.connects,
                          memory_order_relaxed);
    stream_level(fake, socket, RS_LEVEL_CONNECTED, RS_LEVEL_CONNECTED | RS_LEVEL_WRITABLE);
}

/* A SYN arrives; a full backlog is silent, the next iteration tries again. */
static void stream_syn(struct fake *fake, struct fake_socket *socket)
{
    struct rs_open_reply place;
    if (socket->peer.ip.v4_be32 == FAKE_SILENT_BE32) {
        return;
    }
    struct fake_socket *listener = fake_by_port(fake, RS_SOCK_STREAM, socket->peer.port_be16);
    if (listener == NULL || listener->stream.phase != FAKE_STREAM_LISTENING) {
        fake_stream_fail(fake, socket, RS_CONN_REFUSED);
        return;
    }
    uint32_t waiting =
        rs_seq_distance(stream_accepted_to(fake, listener), listener->recv.tail) / RS_LINE_BYTES;
    if (waiting >= listener->stream.backlog || fake_open(fake, RS_SOCK_STREAM, &place) != RS_OK) {
        return;
    }
    struct fake_socket *other = &fake->sockets[place.socket_idx];
    other->local = rs_addr_v4(socket->peer.ip.v4_be32, socket->peer.port_be16);
    other->peer = socket->local;
    stream_rings(fake, other);
    stream_established(fake, other, socket);
    stream_established(fake, socket, other);
    stream_record(fake, listener, other, socket);
}

void fake_stream_step(struct fake *fake)
{
    for (uint32_t i = 0; i < fake->config.limit_sockets; i++) {
        struct fake_socket *socket = &fake->sockets[i];
        if (socket->generation != 0 && socket->stream.phase == FAKE_STREAM_CONNECTING) {
            stream_syn(fake, socket);
        }
    }
}

static enum rs_status stream_connect(struct fake *fake, struct fake_socket *socket,
                                     const struct rs_request *request)
{
    uint32_t idx = fake_idx(fake, socket);
    CHECK(socket->stream.phase == FAKE_STREAM_IDLE || socket->stream.phase == FAKE_STREAM_OVER);
    CHECK(atomic_load_explicit(&fake->clients[idx].recv_head[0], memory_order_relaxed) == 0);
    memcpy(&socket->peer, request->payload, sizeof(socket->peer));
    if (socket->peer.port_be16 == rs_be16(7)) {
        return RS_NET_UNREACHABLE;
    }
    if (!socket->bound) {
        socket->local = rs_addr_v4(LOCALHOST, 0);
        CHECK(fake_choose_port(fake, socket) == RS_OK);
        socket->bound = true;
    }
    stream_rings(fake, socket);
    socket->stream.phase = FAKE_STREAM_CONNECTING;
    return RS_OK;
}

static enum rs_status stream_listen(struct fake *fake, struct fake_socket *socket,
                                    const struct rs_request *request)
{
    struct rs_op_listen op;
    memcpy(&op, request->payload, sizeof(op));
    CHECK(socket->bound && op.backlog != 0);
    socket->stream.backlog = op.backlog;
    socket->stream.phase = FAKE_STREAM_LISTENING;
    fake_publish_desc(fake, socket);
    return RS_OK;
}

static void stream_close_listener(struct fake *fake, struct fake_socket *listener)
{
    for (uint32_t i = 0; i < fake->config.limit_sockets; i++) {
        struct fake_socket *socket = &fake->sockets[i];
        if (socket->generation == 0 || socket->stream.listener != listener) {
            continue;
        }
        (void)stream_head(fake, socket);
        if (socket->stream.listener != NULL) {
            socket->stream.listener = NULL;
            socket->stream.orphan = true; /* nobody knows it */
            fake_stream_fail(fake, socket, RS_CONN_RESET);
        }
    }
    fake_free(fake, listener);
}

static enum rs_status stream_close(struct fake *fake, struct fake_socket *socket,
                                   const struct rs_request *request)
{
    struct fake_stream *stream = &socket->stream;
    struct rs_op_close op;
    memcpy(&op, request->payload, sizeof(op));
    fake_happened(socket, UINT32_MAX);
    if (stream->phase == FAKE_STREAM_LISTENING) {
        stream_close_listener(fake, socket);
        return RS_OK;
    }
    if (stream->phase != FAKE_STREAM_CONNECTED) {
        fake_free(fake, socket);
        return RS_OK;
    }
    stream->orphan = true;
    if (op.abort != 0 || stream_head(fake, socket) != stream->in.tail) {
        fake_stream_fail(fake, socket, RS_CONN_RESET);
        return RS_OK;
    }
    stream->fin_wanted = true;
    stream_move(fake, socket);
    return RS_OK;
}

static enum rs_status stream_shutdown(struct fake *fake, struct fake_socket *socket,
                                      const struct rs_request *request)
{
    struct rs_op_shutdown op;
    memcpy(&op, request->payload, sizeof(op));
    if (socket->stream.phase != FAKE_STREAM_CONNECTED) {
        return RS_NOT_CONNECTED;
    }
    socket->stream.shut_recv = socket->stream.shut_recv || (op.how & RS_SHUTDOWN_RECV) != 0;
    if ((op.how & RS_SHUTDOWN_RECV) != 0 && stream_head(fake, socket) != socket->stream.in.tail) {
        fake_stream_fail(fake, socket, RS_CONN_ABORTED); /* bytes that nobody will read */
        return RS_OK;
    }
    socket->stream.fin_wanted = socket->stream.fin_wanted || (op.how & RS_SHUTDOWN_SEND) != 0;
    fake_happened(socket, RS_LEVEL_READABLE | RS_LEVEL_WRITABLE);
    stream_move(fake, socket);
    return RS_OK;
}

/* Enough to tell one connection, and one field, from another. */
enum rs_status fake_stream_info(struct fake *fake, const struct fake_socket *socket,
                                struct rs_tcp_info *info)
{
    const struct fake_stream *stream = &socket->stream;
    uint64_t since_tsc =
        atomic_load_explicit(&stream_state(fake, socket)->connected_tsc, memory_order_relaxed);
    if (stream->phase != FAKE_STREAM_CONNECTING && stream->phase != FAKE_STREAM_CONNECTED) {
        return RS_NOT_CONNECTED;
    }
    bool connected = stream->phase == FAKE_STREAM_CONNECTED;
    *info = (struct rs_tcp_info){.state = connected ? RS_TCP_ESTABLISHED : RS_TCP_SYN_SENT,
                                 .mss_bytes = FAKE_MSS,
                                 .connected_ms =
                                     connected ? (os_tsc() - since_tsc) / (os_tsc_hz() / 1000) : 0,
                                 .sent_bytes = stream->out.head,
                                 .received_bytes = stream->in.tail,
                                 .recv_buffer_bytes = stream->in.limit_bytes};
    for (uint32_t i = 0; i < RS_TCP_LIMIT_COUNT; i++) {
        info->limited[i] = (struct rs_tcp_limited){.transitions = i + 1};
    }
    return RS_OK;
}

enum rs_status fake_stream_control(struct fake *fake, struct fake_socket *socket,
                                   const struct rs_request *request)
{
    struct rs_op_share share;
    switch (request->op) {
    case RS_OP_CONNECT:
        return stream_connect(fake, socket, request);
    case RS_OP_LISTEN:
        return stream_listen(fake, socket, request);
    case RS_OP_CLOSE:
        return stream_close(fake, socket, request);
    case RS_OP_SHUTDOWN:
        return stream_shutdown(fake, socket, request);
    case RS_OP_SHARE: /* to anybody: one descriptor, in the rings that were the socket's */
        memcpy(&share, request->payload, sizeof(share));
        if (share.process_id == 0) {
            fake->counts.take_backs++;
            return RS_INVALID;
        }
        /* fallthrough */
    case RS_OP_UNSHARE:
        atomic_store_explicit(&stream_state(fake, socket)->share_count, request->op == RS_OP_SHARE,
                              memory_order_relaxed);
        fake_publish_desc(fake, socket);
        return RS_OK;
    default:
        return RS_OK;
    }
}
