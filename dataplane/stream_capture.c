/*
 * Local connections as `ringsockctl capture` shows them: the segments that would have gone between
 * the two ends. Positions of the rings are the sequence numbers, behind an initial one that both
 * ends have; each copy is acknowledged at once; the window is the receive ring's limit, whatever
 * waits in it. Urgent data shows as plain data. Queue thread; called by stream_local.c; calls
 * capture.c.
 */
#include "dataplane/capture.h"
#include "dataplane/stream.h"
#include "dataplane/wire/tcp.h"

/* The next sequence number of this end, and of what it has received. */
static uint32_t stream_capture_next(const struct dp_stream *stream)
{
    return stream->local.isn + 1 + stream->local.send.head + (stream->local.ended ? 1 : 0);
}

static uint32_t stream_capture_received(const struct dp_stream *stream)
{
    return stream->local.isn + 1 + stream->local.recv.tail +
           ((stream->level & RS_LEVEL_END) != 0 ? 1 : 0);
}

static struct capture_segment stream_capture_between(const struct rs_addr *src,
                                                     const struct rs_addr *dst)
{
    return (struct capture_segment){.src_be32 = src->ip.v4_be32,
                                    .src_port_be16 = src->port_be16,
                                    .dst_be32 = dst->ip.v4_be32,
                                    .dst_port_be16 = dst->port_be16};
}

static void stream_capture_emit(const struct queue *queue, const struct capture_segment *segment)
{
    capture_tcp(queue->capture, rs_clock_unix_ns(&queue->clock, queue->now_tsc), segment);
}

void stream_capture_segment(const struct queue *queue, const struct dp_socket *from, uint8_t flags,
                            uint32_t len_bytes)
{
    const struct stream_local *local = &from->stream->local;
    struct capture_segment segment = stream_capture_between(&local->own, &local->other);
    segment.flags = flags;
    segment.seq =
        (flags & TCP_FLAG_SYN) != 0 ? local->isn : stream_capture_next(from->stream) - len_bytes;
    segment.ack = (flags & TCP_FLAG_ACK) != 0 ? stream_capture_received(from->stream) : 0;
    segment.window_bytes = local->recv.limit_bytes;
    if (len_bytes != 0) { /* as the receiver has it */
        const struct stream_writer *recv = &local->peer->stream->local.recv;
        uint32_t off = (recv->tail - len_bytes) & (recv->size_bytes - 1);
        uint32_t first = recv->size_bytes - off;
        segment.pieces[0].base = recv->base + off;
        segment.pieces[0].len_bytes = len_bytes < first ? len_bytes : first;
        segment.pieces[1].base = recv->base;
        segment.pieces[1].len_bytes = len_bytes - segment.pieces[0].len_bytes;
    }
    stream_capture_emit(queue, &segment);
}

void stream_capture_reset(const struct queue *queue, const struct dp_socket *to)
{
    const struct stream_local *local = &to->stream->local;
    struct capture_segment segment = stream_capture_between(&local->other, &local->own);
    segment.flags = TCP_FLAG_RST | TCP_FLAG_ACK;
    segment.seq = stream_capture_received(to->stream);
    segment.ack = stream_capture_next(to->stream);
    stream_capture_emit(queue, &segment);
}
