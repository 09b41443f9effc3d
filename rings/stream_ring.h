/*
 * Byte rings for streams: free-running positions, data wherever it belongs. A send ring is written
 * by the client and read, read again for retransmission, and consumed by the dataplane; a receive
 * ring is written by the dataplane, also ahead of a gap, and consumed by the client. Each end owns
 * one index and loads the other's; a foreign index is loaded once, checked against what is
 * possible, and cached. Only the status of a failed check differs: RS_POISONED where the client is
 * the other end, RS_CORRUPT where the dataplane is. One thread at each end. Calls nothing.
 */
#ifndef RINGSOCK_RINGS_STREAM_RING_H
#define RINGSOCK_RINGS_STREAM_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "rings/fence.h"
#include "rings/layout.h"
#include "rings/seq.h"
#include "rings/status.h"

/* A stretch of ring bytes. Two of them, because a region may wrap. */
struct stream_region {
    uint8_t *base;
    uint32_t len_bytes;
};

struct stream_const_region {
    const uint8_t *base;
    uint32_t len_bytes;
};

/* ---- writer
 * --------------------------------------------------------------------------------------------------
 */

struct stream_writer {
    uint8_t *base;
    uint32_t size_bytes;  /* power of two, at most 2^31 */
    uint32_t limit_bytes; /* SO_SNDBUF, SO_RCVBUF: at most size_bytes; may change at any time */
    uint32_t tail;        /* next byte to write */
    uint32_t head_cached;
};

static inline void stream_writer_init(struct stream_writer *writer, uint8_t *base,
                                      uint32_t size_bytes, uint32_t limit_bytes, uint32_t start)
{
    assert(rs_is_pow2(size_bytes) && size_bytes <= 1u << 31 && limit_bytes <= size_bytes);
    *writer = (struct stream_writer){
        .size_bytes = size_bytes, .limit_bytes = limit_bytes, .tail = start, .head_cached = start};
    writer->base = base;
}

/*
 * Takes the reader's index, loaded once by the caller or from the word given to
 * stream_writer_refresh. False: it lies outside what was written and not seen consumed; nothing
 * changes.
 */
RS_CHECK_RESULT static inline bool stream_writer_take_head(struct stream_writer *writer,
                                                           uint32_t head)
{
    if (!rs_seq_in_range(head, writer->head_cached, writer->tail)) {
        return false;
    }
    writer->head_cached = head;
    return true;
}

/* Loads the reader's index. bad: the status of an index that cannot be (RS_POISONED or RS_CORRUPT).
 */
RS_CHECK_RESULT static inline enum rs_status stream_writer_refresh(struct stream_writer *writer,
                                                                   const rs_atomic_u32 *head_word,
                                                                   enum rs_status bad)
{
    /* Acquire, partner stream_reader_publish: the reader is done with what we overwrite. */
    return stream_writer_take_head(writer, atomic_load_explicit(head_word, memory_order_acquire))
               ? RS_OK
               : bad;
}

/* Bytes that may be written now, by the cached index. */
static inline uint32_t stream_writer_room(const struct stream_writer *writer)
{
    uint32_t used = rs_seq_distance(writer->head_cached, writer->tail);
    return used < writer->limit_bytes ? writer->limit_bytes - used : 0;
}

/*
 * The place of len_bytes bytes that start `ahead_bytes` after the tail (0: next; more: behind a
 * gap), cut to the room. Returns the bytes in both regions.
 */
static inline uint32_t stream_writer_regions(const struct stream_writer *writer,
                                             uint32_t ahead_bytes, uint32_t len_bytes,
                                             struct stream_region regions[2])
{
    uint32_t room = stream_writer_room(writer);
    uint32_t total = ahead_bytes >= room ? 0 : room - ahead_bytes;
    total = len_bytes < total ? len_bytes : total;
    uint32_t off = (writer->tail + ahead_bytes) & (writer->size_bytes - 1);
    uint32_t first = total < writer->size_bytes - off ? total : writer->size_bytes - off;
    regions[0] = (struct stream_region){writer->base + off, first};
    regions[1] = (struct stream_region){writer->base, total - first};
    return total;
}

/* len_bytes more bytes are in order. Becomes visible by stream_writer_publish or, for a send ring,
 * by post_tail(writer->tail). */
static inline void stream_writer_commit(struct stream_writer *writer, uint32_t len_bytes)
{
    assert(len_bytes <= writer->size_bytes - rs_seq_distance(writer->head_cached, writer->tail));
    writer->tail += len_bytes;
}

static inline void stream_writer_publish(const struct stream_writer *writer,
                                         rs_atomic_u32 *tail_word)
{
    /* Release, partner stream_reader_refresh: the bytes come before the index. */
    atomic_store_explicit(tail_word, writer->tail, memory_order_release);
}

/* ---- reader
 * --------------------------------------------------------------------------------------------------
 */

struct stream_reader {
    const uint8_t *base;
    uint32_t size_bytes;
    uint32_t head; /* all before it is consumed */
    uint32_t tail_cached;
};

static inline void stream_reader_init(struct stream_reader *reader, const uint8_t *base,
                                      uint32_t size_bytes, uint32_t start)
{
    assert(rs_is_pow2(size_bytes) && size_bytes <= 1u << 31);
    *reader = (struct stream_reader){
        .base = base, .size_bytes = size_bytes, .head = start, .tail_cached = start};
}

/* Takes the writer's index: from a word by stream_reader_refresh, or from a POST's arg. False:
 * behind the last one or further than the ring is long. */
RS_CHECK_RESULT static inline bool stream_reader_take_tail(struct stream_reader *reader,
                                                           uint32_t tail)
{
    if (!rs_seq_in_range(tail, reader->tail_cached, reader->head + reader->size_bytes)) {
        return false;
    }
    reader->tail_cached = tail;
    return true;
}

/* Loads the writer's index. bad: the status of an index that cannot be. */
RS_CHECK_RESULT static inline enum rs_status stream_reader_refresh(struct stream_reader *reader,
                                                                   const rs_atomic_u32 *tail_word,
                                                                   enum rs_status bad)
{
    /* Acquire, partner stream_writer_publish. */
    return stream_reader_take_tail(reader, atomic_load_explicit(tail_word, memory_order_acquire))
               ? RS_OK
               : bad;
}

/* Bytes that wait, by the cached index. */
static inline uint32_t stream_reader_ready(const struct stream_reader *reader)
{
    return rs_seq_distance(reader->head, reader->tail_cached);
}

/* len_bytes bytes that start `ahead_bytes` after the head (0: the oldest), cut to what is there.
 * Returns the bytes in both regions. */
static inline uint32_t stream_reader_regions(const struct stream_reader *reader,
                                             uint32_t ahead_bytes, uint32_t len_bytes,
                                             struct stream_const_region regions[2])
{
    uint32_t ready = stream_reader_ready(reader);
    uint32_t total = ahead_bytes >= ready ? 0 : ready - ahead_bytes;
    total = len_bytes < total ? len_bytes : total;
    uint32_t off = (reader->head + ahead_bytes) & (reader->size_bytes - 1);
    uint32_t first = total < reader->size_bytes - off ? total : reader->size_bytes - off;
    regions[0] = (struct stream_const_region){reader->base + off, first};
    regions[1] = (struct stream_const_region){reader->base, total - first};
    return total;
}

/* The oldest len_bytes bytes are done with (for a send ring: acknowledged). */
static inline void stream_reader_consume(struct stream_reader *reader, uint32_t len_bytes)
{
    assert(len_bytes <= stream_reader_ready(reader));
    reader->head += len_bytes;
}

static inline void stream_reader_publish(const struct stream_reader *reader,
                                         rs_atomic_u32 *head_word)
{
    /* Release, partner stream_writer_refresh: what we read is read before it may be overwritten. */
    atomic_store_explicit(head_word, reader->head, memory_order_release);
}

/* ---- news of room: the client's half (rings/README.md, "Stream sockets") ----------------------
 */

/* Zero-initialise. */
struct stream_note {
    uint32_t seen; /* recv_notify when it was last loaded */
    uint32_t told; /* the newest value that was answered, if any */
    uint32_t
        unfenced_bytes; /* read since it was last loaded behind a fence; the reader adds to it */
    bool any_told;
};

/* Less than a dataplane thinks worth an announcement. */
#define STREAM_NOTE_BYTES 2048u

/*
 * True: the dataplane waits for room that there is now, post RS_OP_CONSUMED. Asked after each read,
 * with recv_head stored, and after a look. stays: the reader may not come again before more arrives
 * (nothing is left, or it only looked); else the words are compared only now and then, for a fence
 * would cost a small read a tenth of its time.
 */
static inline bool stream_note_due(struct stream_note *note, const struct stream_reader *reader,
                                   const rs_atomic_u32 *notify_word, bool stays)
{
    if (!stays && note->unfenced_bytes < STREAM_NOTE_BYTES &&
        rs_seq_before(reader->head, note->seen)) {
        return false;
    }
    note->unfenced_bytes = 0;
    /* recv_head before recv_notify. Partner: the dataplane's fence between its store of recv_notify
     * and its load of recv_head. */
    rs_fence_full();
    note->seen = atomic_load_explicit(notify_word, memory_order_relaxed);
    if (rs_seq_before(reader->head, note->seen) || (note->any_told && note->told == note->seen)) {
        return false;
    }
    note->any_told = true;
    note->told = note->seen;
    return true;
}

#endif
