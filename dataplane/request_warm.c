/*
 * RS_OP_WARM: a program expects to send soon. What a send of this queue's would do is done, but
 * nothing leaves, nothing is delivered and nothing changes that a peer, a program or a timer could
 * see: frames are built and thrown away (tcp_warm, udp_warm), lines of rings are touched. Queue
 * thread; called by request.c and stream.c.
 *
 * The bytes that stand behind the tail of a send ring are nobody's yet, so they are read for their
 * lines' sake only, and none of them reaches a receive ring: its reader could see there what was
 * never sent.
 */
#include "dataplane/stream.h"

#define WARM_BYTES_MAX 65536u

/* Brings lines here for writing. Only this thread writes there. */
static void warm_written(uint8_t *base, uint32_t len_bytes)
{
    for (uint32_t off = 0; off < len_bytes; off += RS_LINE_BYTES) {
        volatile uint8_t *byte = base + off;
        uint8_t same = *byte;
        *byte = same;
    }
}

static void warm_read(const uint8_t *base, uint32_t len_bytes)
{
    for (uint32_t off = 0; off < len_bytes; off += RS_LINE_BYTES) {
        (void)*(const volatile uint8_t *)(base + off);
    }
}

/* The send ring may be read. */
static bool warm_may_read(const struct dp_socket *socket)
{
    return socket->send_ring.size_bytes != 0 &&
           (socket->send_sealed ||
            session_is_sealed(socket->session, socket->send_ring.ref.extent_idx));
}

/* Those that a send of len_bytes would copy, and where to. */
static void warm_copy(const struct stream_local *from, const struct stream_local *to,
                      uint32_t len_bytes)
{
    struct stream_region target[2];
    struct stream_reader source = from->send; /* as if the bytes were posted */
    struct stream_const_region regions[2];
    uint32_t ready = stream_reader_ready(&source);
    uint32_t room = source.size_bytes - ready;
    source.tail_cached += len_bytes < room ? len_bytes : room;
    (void)stream_reader_regions(&source, ready, len_bytes, regions);
    (void)stream_writer_regions(&to->recv, 0, len_bytes, target);
    for (uint32_t i = 0; i < 2; i++) {
        warm_read(regions[i].base, regions[i].len_bytes);
        warm_written(target[i].base, target[i].len_bytes);
    }
}

static void warm_local(struct queue *queue, struct dp_socket *socket, uint32_t len_bytes)
{
    const struct stream_local *local = &socket->stream->local;
    const struct dp_socket *to = local->peer;
    if (to == NULL || to->orphan) {
        return;
    }
    if (to->stream->local.lender ==
        NULL) { /* else nothing is copied, and the client writes there */
        warm_copy(local, &to->stream->local, len_bytes);
    }
    __builtin_prefetch(&to->state->recv_tail, 1);
    stream_local_warm(queue, socket);
}

static void warm_stream(struct queue *queue, struct dp_socket *socket, uint32_t len_bytes)
{
    const struct dp_stream *stream = socket->stream;
    if (!warm_may_read(socket) || stream->phase != STREAM_CONNECTED) {
        return;
    }
    if (stream->local.on && !stream->local.over && !stream->local.shut) {
        warm_local(queue, socket, len_bytes);
    } else if (stream->conn != NULL && !stream->leaving) {
        tcp_warm(queue->stack, stream->conn, len_bytes);
    }
    __builtin_prefetch(&socket->state->send_head, 1);
}

static void warm_datagram(struct queue *queue, const struct dp_socket *socket,
                          const struct rs_request *request, uint32_t len_bytes)
{
    const uint8_t *payload = request->payload;
    if (len_bytes > RS_INLINE_BYTES) {
        const struct dgram_send_reader *send = &socket->send;
        uint32_t off =
            (send->tail & (send->size_bytes - 1)) + (uint32_t)sizeof(struct rs_send_dgram);
        if (send->size_bytes == 0 || !warm_may_read(socket) || off + len_bytes > send->size_bytes) {
            return; /* at the ring's end it would stand elsewhere: not worth the trouble */
        }
        payload = send->base + off;
    }
    if (queue->egress != NULL &&
        egress_queue(queue->egress, queue->idx, socket->udp.local_be32, socket->multicast_if_be32,
                     socket->udp.peer_be32) != queue->idx) {
        return;
    }
    const struct dp_socket *to =
        (const struct dp_socket *)udp_warm(queue->stack, &socket->udp, payload, len_bytes);
    if (to != NULL) {
        const struct dgram_writer *recv = &to->recv;
        for (uint32_t off = 0; off <= len_bytes; off += RS_LINE_BYTES) {
            __builtin_prefetch(recv->base + ((recv->tail + off) & (recv->size_bytes - 1)), 1);
        }
    }
}

enum outcome request_warm(struct queue *queue, struct dp_socket *socket,
                          const struct rs_request *request)
{
    uint32_t len_bytes = request->arg < WARM_BYTES_MAX ? request->arg : WARM_BYTES_MAX;
    if (socket->part->bytes_left <= 0) {
        return OUTCOME_DONE; /* busy: nothing is cold */
    }
    socket->part->bytes_left -= len_bytes;
    if (socket->stream != NULL) {
        warm_stream(queue, socket, len_bytes);
    } else {
        warm_datagram(queue, socket, request, len_bytes);
    }
    return OUTCOME_DONE;
}
