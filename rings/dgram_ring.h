/*
 * Datagram rings: records that start on a cache line and never straddle the end of the ring. Two
 * pairs: dgram_writer (dataplane) -> dgram_reader (client): a receive ring. Records validate
 * themselves, so a reader touches no index of the writer, and a datagram of up to 40 bytes costs it
 * one line. dgram_send_writer (client) -> dgram_send_reader (dataplane): a send ring. Records count
 * up to the tail that a POST slot or send_level gives (post.h), and the reader believes nothing
 * else. One thread at each end (a client serialises its threads by the socket's lock). Positions
 * are free-running 32-bit byte counts, multiples of 64; both ends of a ring start at the same
 * position (0 in a session, others in tests). Calls nothing.
 */
#ifndef RINGSOCK_RINGS_DGRAM_RING_H
#define RINGSOCK_RINGS_DGRAM_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rings/fence.h"
#include "rings/layout.h"
#include "rings/seq.h"
#include "rings/status.h"

/* The seq word of a complete record at a position: never 0, and another one in each lap. */
static inline uint32_t rs_dgram_seq(uint32_t position)
{
    return position | 1u;
}

/* Ring bytes of a record whose payload starts payload_off bytes into it. */
static inline uint32_t rs_dgram_span(uint32_t payload_off, uint32_t len_bytes)
{
    return rs_align_up(payload_off + len_bytes, RS_LINE_BYTES);
}

/*
 * A record longer than half the ring is refused as RS_MESSAGE_SIZE: up to half, padding + record +
 * the line after it always fit an empty ring, wherever it starts. 65,507 bytes behind a 24-byte
 * header need 128 KiB.
 */
static inline uint32_t rs_dgram_span_max(uint32_t ring_bytes)
{
    return ring_bytes / 2;
}

/* ---- receive ring, writer: dataplane
 * ------------------------------------------------------------------------- */

struct dgram_writer {
    uint8_t *base;                  /* dp */
    const rs_atomic_u32 *head_word; /* cl: rs_socket_client.recv_head[queue] */
    uint32_t size_bytes;
    uint32_t tail;
    uint32_t head_cached;
    uint32_t pad_bytes;   /* filler before the reserved record */
    uint32_t limit_bytes; /* SO_RCVBUF: no new record while this much waits; may be changed at any
                             time */
};

/* base: size_bytes (a power of two, at least 256) of dp memory, aligned to a line. */
static inline void dgram_writer_init(struct dgram_writer *writer, uint8_t *base,
                                     uint32_t size_bytes, const rs_atomic_u32 *head_word,
                                     uint32_t limit_bytes, uint32_t start)
{
    assert(rs_is_pow2(size_bytes) && size_bytes >= 4 * RS_LINE_BYTES && start % RS_LINE_BYTES == 0);
    *writer = (struct dgram_writer){.base = base,
                                    .head_word = head_word,
                                    .size_bytes = size_bytes,
                                    .tail = start,
                                    .head_cached = start,
                                    .limit_bytes = limit_bytes};
    struct rs_dgram *first = (struct rs_dgram *)(base + (start & (size_bytes - 1)));
    atomic_store_explicit(&first->seq, 0, memory_order_relaxed);
}

/* Loads the reader's index once and checks it: between the last one seen and the tail, on a line.
 * RS_POISONED otherwise. */
RS_CHECK_RESULT static inline enum rs_status dgram_writer_refresh(struct dgram_writer *writer)
{
    /* Acquire, partner dgram_reader_consume: the reader is done with what we overwrite. */
    uint32_t head = atomic_load_explicit(writer->head_word, memory_order_acquire);
    if (!rs_seq_in_range(head, writer->head_cached, writer->tail) || head % RS_LINE_BYTES != 0) {
        return RS_POISONED;
    }
    writer->head_cached = head;
    return RS_OK;
}

static inline bool dgram_writer_fits(const struct dgram_writer *writer, uint32_t total_bytes)
{
    uint32_t used = rs_seq_distance(writer->head_cached, writer->tail);
    /* The line after the record is cleared, so it must be free as well. */
    return total_bytes + RS_LINE_BYTES <= writer->size_bytes - used && used < writer->limit_bytes;
}

static inline struct rs_dgram *dgram_writer_line(const struct dgram_writer *writer,
                                                 uint32_t position)
{
    return (struct rs_dgram *)(writer->base + (position & (writer->size_bytes - 1)));
}

/*
 * Takes room for a datagram of len_bytes. payload_off: RS_DGRAM_SHORT_OFF or RS_DGRAM_LONG_OFF. On
 * RS_OK the caller fills the fields of *record from flags on (len_bytes and payload_off are set,
 * flags is 0 or RS_DGRAM_EXT) and the payload at (uint8_t *)*record + payload_off, then commits; or
 * forgets it. RS_WOULD_BLOCK: no room; RS_MESSAGE_SIZE: never fits this ring; RS_POISONED: the
 * client's index cannot be.
 */
RS_CHECK_RESULT static inline enum rs_status dgram_writer_reserve(struct dgram_writer *writer,
                                                                  uint32_t len_bytes,
                                                                  uint8_t payload_off,
                                                                  struct rs_dgram **record)
{
    if (len_bytes > RS_DGRAM_MAX_BYTES ||
        rs_dgram_span(payload_off, len_bytes) > rs_dgram_span_max(writer->size_bytes)) {
        return RS_MESSAGE_SIZE;
    }
    uint32_t span = rs_dgram_span(payload_off, len_bytes);
    uint32_t to_end = writer->size_bytes - (writer->tail & (writer->size_bytes - 1));
    uint32_t pad = span > to_end ? to_end : 0;
    if (!dgram_writer_fits(writer, pad + span)) {
        enum rs_status status = dgram_writer_refresh(writer);
        if (status != RS_OK) {
            return status;
        }
        if (!dgram_writer_fits(writer, pad + span)) {
            return RS_WOULD_BLOCK;
        }
    }
    uint32_t position = writer->tail + pad;
    /* First of all, so that the store has the whole copy to complete: the commit's release waits
     * for it. */
    atomic_store_explicit(&dgram_writer_line(writer, position + span)->seq, 0,
                          memory_order_relaxed);
    if (pad != 0) {
        struct rs_dgram *filler = dgram_writer_line(writer, writer->tail);
        atomic_store_explicit(&dgram_writer_line(writer, position)->seq, 0, memory_order_relaxed);
        filler->len_bytes = 0;
        filler->payload_off = RS_DGRAM_SHORT_OFF;
        filler->flags = RS_DGRAM_PAD;
    }
    writer->pad_bytes = pad;
    *record = dgram_writer_line(writer, position);
    (*record)->len_bytes = (uint16_t)len_bytes;
    (*record)->payload_off = payload_off;
    (*record)->flags = payload_off == RS_DGRAM_LONG_OFF ? RS_DGRAM_EXT : 0;
    return RS_OK;
}

/* Makes the reserved record valid. */
static inline void dgram_writer_commit(struct dgram_writer *writer)
{
    uint32_t position = writer->tail + writer->pad_bytes;
    struct rs_dgram *record = dgram_writer_line(writer, position);
    uint32_t span = rs_dgram_span(record->payload_off, record->len_bytes);
    /* Release, partner dgram_reader_peek_at: header, payload and the cleared word of the next line
     * come before seq. */
    atomic_store_explicit(&record->seq, rs_dgram_seq(position), memory_order_release);
    if (writer->pad_bytes != 0) {
        /* Release, same partner: the filler's fields, and all of the record that it leads to, come
         * first. */
        atomic_store_explicit(&dgram_writer_line(writer, writer->tail)->seq,
                              rs_dgram_seq(writer->tail), memory_order_release);
    }
    writer->tail = position + span;
    /* The line after the next record gets its seq cleared first thing; have it here by then, for
     * writing. */
    __builtin_prefetch(dgram_writer_line(writer, writer->tail + RS_LINE_BYTES), 1);
}

/* ---- receive ring, reader: client
 * ---------------------------------------------------------------------------- */

struct dgram_reader {
    const uint8_t *base;      /* dp, mapped read-only */
    rs_atomic_u32 *head_word; /* cl: rs_socket_client.recv_head[queue] */
    uint32_t size_bytes;
    uint32_t head;
};

/* A record as the reader found it. */
struct dgram_view {
    struct rs_dgram header;         /* private copy; seq is not meaningful */
    const struct rs_dgram_ext *ext; /* in the ring, or NULL */
    const uint8_t *payload;         /* in the ring, header.len_bytes long, until it is consumed */
};

/* The head word itself was reset before the ring existed (rs_socket_client_reset). size_bytes:
 * checked by the caller (rs_resolve). */
static inline void dgram_reader_init(struct dgram_reader *reader, const uint8_t *base,
                                     uint32_t size_bytes, rs_atomic_u32 *head_word, uint32_t start)
{
    assert(rs_is_pow2(size_bytes) && size_bytes >= 4 * RS_LINE_BYTES && start % RS_LINE_BYTES == 0);
    *reader = (struct dgram_reader){
        .base = base, .head_word = head_word, .size_bytes = size_bytes, .head = start};
}

/*
 * Looks at the record at *position without consuming; skips padding, moving *position. Start with
 * reader->head; add dgram_view_span() to go on to the record after it. RS_WOULD_BLOCK: none there
 * yet; RS_CORRUPT: a record that fails its check.
 */
RS_CHECK_RESULT static inline enum rs_status
dgram_reader_peek_at(const struct dgram_reader *reader, uint32_t *position, struct dgram_view *view)
{
    for (;;) {
        uint32_t off = *position & (reader->size_bytes - 1);
        const struct rs_dgram *record = (const struct rs_dgram *)(reader->base + off);
        uint32_t to_end = reader->size_bytes - off;
        /* Acquire, partner dgram_writer_commit: header and payload are complete when seq says so.
         */
        if (atomic_load_explicit(&record->seq, memory_order_acquire) != rs_dgram_seq(*position)) {
            return RS_WOULD_BLOCK;
        }
        memcpy(&view->header, record, sizeof(view->header));
        rs_fence_copied();
        if ((view->header.flags & RS_DGRAM_PAD) != 0) {
            if (off == 0) {
                return RS_CORRUPT; /* a filler ends a lap, it never is one */
            }
            *position += to_end;
            continue;
        }
        bool has_ext = (view->header.flags & RS_DGRAM_EXT) != 0;
        if (view->header.payload_off != (has_ext ? RS_DGRAM_LONG_OFF : RS_DGRAM_SHORT_OFF) ||
            rs_dgram_span(view->header.payload_off, view->header.len_bytes) > to_end) {
            return RS_CORRUPT;
        }
        view->ext =
            has_ext ? (const struct rs_dgram_ext *)(reader->base + off + sizeof(struct rs_dgram))
                    : NULL;
        view->payload = reader->base + off + view->header.payload_off;
        return RS_OK;
    }
}

static inline uint32_t dgram_view_span(const struct dgram_view *view)
{
    return rs_dgram_span(view->header.payload_off, view->header.len_bytes);
}

/* The oldest record; see dgram_reader_peek_at for the results. */
RS_CHECK_RESULT static inline enum rs_status dgram_reader_peek(struct dgram_reader *reader,
                                                               struct dgram_view *view)
{
    return dgram_reader_peek_at(reader, &reader->head, view);
}

/* True when a record waits; reads one word. (A filler counts, and a datagram follows it at once.)
 */
static inline bool dgram_reader_ready(const struct dgram_reader *reader)
{
    const struct rs_dgram *record =
        (const struct rs_dgram *)(reader->base + (reader->head & (reader->size_bytes - 1)));
    return atomic_load_explicit(&record->seq, memory_order_acquire) == rs_dgram_seq(reader->head);
}

/* Done with the record that the last dgram_reader_peek gave. */
static inline void dgram_reader_consume(struct dgram_reader *reader, const struct dgram_view *view)
{
    reader->head += dgram_view_span(view);
    /* Release, partner dgram_writer_refresh: what we read of the record is read before it may be
     * overwritten. */
    atomic_store_explicit(reader->head_word, reader->head, memory_order_release);
}

/* ---- send ring, writer: client
 * ------------------------------------------------------------------------------- */

struct dgram_send_writer {
    uint8_t *base;                  /* cl */
    const rs_atomic_u32 *head_word; /* dp: rs_socket_state.send_head */
    uint32_t size_bytes;
    uint32_t tail;
    uint32_t head_cached;
    uint32_t pad_bytes;   /* filler before the reserved record */
    uint32_t limit_bytes; /* SO_SNDBUF: no new record while this much waits */
};

static inline void dgram_send_writer_init(struct dgram_send_writer *writer, uint8_t *base,
                                          uint32_t size_bytes, const rs_atomic_u32 *head_word,
                                          uint32_t limit_bytes, uint32_t start)
{
    assert(rs_is_pow2(size_bytes) && size_bytes >= 4 * RS_LINE_BYTES && start % RS_LINE_BYTES == 0);
    *writer = (struct dgram_send_writer){.head_word = head_word,
                                         .size_bytes = size_bytes,
                                         .tail = start,
                                         .head_cached = start,
                                         .limit_bytes = limit_bytes};
    writer->base = base;
}

/* RS_CORRUPT: the dataplane's index cannot be. */
RS_CHECK_RESULT static inline enum rs_status
dgram_send_writer_refresh(struct dgram_send_writer *writer)
{
    /* Acquire, partner dgram_send_reader_publish: the dataplane has read what we overwrite. */
    uint32_t head = atomic_load_explicit(writer->head_word, memory_order_acquire);
    if (!rs_seq_in_range(head, writer->head_cached, writer->tail) || head % RS_LINE_BYTES != 0) {
        return RS_CORRUPT;
    }
    writer->head_cached = head;
    return RS_OK;
}

static inline bool dgram_send_writer_fits(const struct dgram_send_writer *writer,
                                          uint32_t total_bytes)
{
    uint32_t used = rs_seq_distance(writer->head_cached, writer->tail);
    return total_bytes <= writer->size_bytes - used && used < writer->limit_bytes;
}

/* True when the dataplane has taken all that was written; loads its index only when the cached one
 * says otherwise. */
static inline bool dgram_send_writer_empty(struct dgram_send_writer *writer)
{
    if (writer->head_cached == writer->tail) {
        return true;
    }
    return dgram_send_writer_refresh(writer) == RS_OK && writer->head_cached == writer->tail;
}

/*
 * Takes room for a datagram of len_bytes. payload_off: RS_SEND_SHORT_OFF, or RS_SEND_LONG_OFF with
 * a struct rs_send_ext. On RS_OK the caller fills family, port_be16 and dst_be32 of *record, the
 * rs_send_ext behind it (record + 1) if there is one, and the payload at payload_off, then commits;
 * or forgets it. RS_WOULD_BLOCK: full; RS_MESSAGE_SIZE: never fits; RS_CORRUPT as above.
 */
RS_CHECK_RESULT static inline enum rs_status
dgram_send_writer_reserve(struct dgram_send_writer *writer, uint32_t len_bytes,
                          uint32_t payload_off, struct rs_send_dgram **record)
{
    uint32_t span = rs_dgram_span(payload_off, len_bytes);
    if (len_bytes > RS_DGRAM_MAX_BYTES || span > rs_dgram_span_max(writer->size_bytes)) {
        return RS_MESSAGE_SIZE;
    }
    uint32_t off = writer->tail & (writer->size_bytes - 1);
    uint32_t to_end = writer->size_bytes - off;
    uint32_t pad = span > to_end ? to_end : 0;
    if (!dgram_send_writer_fits(writer, pad + span)) {
        enum rs_status status = dgram_send_writer_refresh(writer);
        if (status != RS_OK) {
            return status;
        }
        if (!dgram_send_writer_fits(writer, pad + span)) {
            return RS_WOULD_BLOCK;
        }
    }
    if (pad != 0) {
        *(struct rs_send_dgram *)(writer->base + off) =
            (struct rs_send_dgram){.flags = RS_DGRAM_PAD};
        off = 0;
    }
    writer->pad_bytes = pad;
    *record = (struct rs_send_dgram *)(writer->base + off);
    **record = (struct rs_send_dgram){.len_bytes = (uint16_t)len_bytes,
                                      .flags = payload_off == RS_SEND_LONG_OFF ? RS_DGRAM_EXT : 0};
    return RS_OK;
}

/* Ring bytes of a send record. */
static inline uint32_t rs_send_dgram_span(const struct rs_send_dgram *header)
{
    return rs_dgram_span((header->flags & RS_DGRAM_EXT) != 0 ? RS_SEND_LONG_OFF : RS_SEND_SHORT_OFF,
                         header->len_bytes);
}

/* Counts the reserved record in. Returns the new tail, to be posted (post_tail); visible to the
 * dataplane only then. */
static inline uint32_t dgram_send_writer_commit(struct dgram_send_writer *writer,
                                                const struct rs_send_dgram *record)
{
    writer->tail += writer->pad_bytes + rs_send_dgram_span(record);
    return writer->tail;
}

/* ---- send ring, reader: dataplane
 * ---------------------------------------------------------------------------- */

struct dgram_send_reader {
    const uint8_t *base;      /* cl: every word is copied once and checked */
    rs_atomic_u32 *head_word; /* dp: rs_socket_state.send_head */
    uint32_t size_bytes;
    uint32_t head;
    uint32_t tail; /* checked */
};

/* A send record: a private, checked header; the payload lies in client memory and may change under
 * the reader: read it once. */
struct dgram_send_view {
    struct rs_send_dgram header;
    struct rs_send_ext ext; /* a private copy, when header.flags has RS_DGRAM_EXT */
    const uint8_t *payload;
};

static inline void dgram_send_reader_init(struct dgram_send_reader *reader, const uint8_t *base,
                                          uint32_t size_bytes, rs_atomic_u32 *head_word,
                                          uint32_t start)
{
    assert(rs_is_pow2(size_bytes) && size_bytes >= 4 * RS_LINE_BYTES && start % RS_LINE_BYTES == 0);
    *reader = (struct dgram_send_reader){.base = base,
                                         .head_word = head_word,
                                         .size_bytes = size_bytes,
                                         .head = start,
                                         .tail = start};
    atomic_store_explicit(head_word, start, memory_order_release);
}

/* Takes a tail that the client gave (POST's arg or send_level). RS_POISONED: behind the last one,
 * further than the ring is long, or off a line. */
RS_CHECK_RESULT static inline enum rs_status
dgram_send_reader_extend(struct dgram_send_reader *reader, uint32_t tail)
{
    if (!rs_seq_in_range(tail, reader->tail, reader->head + reader->size_bytes) ||
        tail % RS_LINE_BYTES != 0) {
        return RS_POISONED;
    }
    reader->tail = tail;
    return RS_OK;
}

/* The oldest record; skips padding. RS_WOULD_BLOCK: none; RS_POISONED: a record that cannot be. */
RS_CHECK_RESULT static inline enum rs_status
dgram_send_reader_peek(struct dgram_send_reader *reader, struct dgram_send_view *view)
{
    while (reader->head != reader->tail) {
        uint32_t off = reader->head & (reader->size_bytes - 1);
        uint32_t to_end = reader->size_bytes - off;
        uint32_t available = rs_seq_distance(reader->head, reader->tail);
        memcpy(&view->header, reader->base + off, sizeof(view->header));
        rs_fence_copied();
        if ((view->header.flags & RS_DGRAM_PAD) != 0) {
            if (off == 0 || to_end > available) {
                return RS_POISONED;
            }
            reader->head += to_end;
            continue;
        }
        uint32_t span = rs_send_dgram_span(&view->header);
        if (span > available || span > to_end || view->header.len_bytes > RS_DGRAM_MAX_BYTES) {
            return RS_POISONED;
        }
        view->payload = reader->base + off + RS_SEND_SHORT_OFF;
        if (__builtin_expect((view->header.flags & RS_DGRAM_EXT) != 0, 0)) {
            memcpy(&view->ext, view->payload, sizeof(view->ext));
            rs_fence_copied();
            if ((view->ext.has & ~RS_SEND_ALL) != 0) {
                return RS_POISONED;
            }
            view->payload += sizeof(view->ext);
        }
        return RS_OK;
    }
    return RS_WOULD_BLOCK;
}

/* Done with the record that dgram_send_reader_peek gave. */
static inline void dgram_send_reader_advance(struct dgram_send_reader *reader,
                                             const struct dgram_send_view *view)
{
    reader->head += rs_send_dgram_span(&view->header);
}

/* Where the next record will start, unless it has to be padded: for prefetching. */
static inline const uint8_t *dgram_send_reader_next(const struct dgram_send_reader *reader)
{
    return reader->base + (reader->head & (reader->size_bytes - 1));
}

/* Tells the client what was consumed; once per batch and socket. */
static inline void dgram_send_reader_publish(struct dgram_send_reader *reader)
{
    /* Release, partner dgram_send_writer_refresh: we have read what the client may now overwrite.
     */
    atomic_store_explicit(reader->head_word, reader->head, memory_order_release);
}

#endif
