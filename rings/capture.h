/*
 * What a dataplane and `ringsockctl capture` share: for each queue a ring of records, a frame each,
 * that the queue's thread writes and ringsockctl reads. Not part of a session, and with a version
 * of its own. The header with all rings is dp memory; where the reader is lies in cl memory and is
 * checked like any word of a client's. A full ring costs a frame, which is counted, never time.
 *
 * Records begin at multiples of RS_CAPTURE_ALIGN_BYTES and never straddle the ring's end; what does
 * not fit there is preceded by a filler. Positions are free-running 32-bit byte counts. Queue
 * thread at one end, ringsockctl at the other; calls nothing.
 */
#ifndef RINGSOCK_RINGS_CAPTURE_H
#define RINGSOCK_RINGS_CAPTURE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rings/fence.h"
#include "rings/layout.h"
#include "rings/seq.h"
#include "rings/status.h"

#define RS_CAPTURE_MAGIC       0x5041434b434f5352ull /* "RSOCKCAP" read as little-endian */
#define RS_CAPTURE_VERSION     2u
#define RS_CAPTURE_RING_BYTES  (16u << 20) /* of each queue */
#define RS_CAPTURE_ALIGN_BYTES 32u
/* The longest frame: an Ethernet header and the longest IPv4 packet. */
#define RS_CAPTURE_FRAME_MAX_BYTES (65535u + 18u)

enum rs_capture_flag {
    RS_CAPTURE_RX = 1, /* the NIC received it */
    RS_CAPTURE_TX = 2, /* it was given to the NIC */
    RS_CAPTURE_LOCAL =
        4, /* went from socket to socket inside the dataplane; its headers are made up */
    RS_CAPTURE_PAD = 8 /* a filler up to the ring's end */
};

/* The arg of RS_CTL_CAPTURE_START: a bit for each queue whose NIC's frames are wanted, a bit for
 * each whose local traffic is, and the bytes of each frame, 0 for all. */
#define RS_CAPTURE_START_ARG(nic_mask, local_mask, snap_bytes) \
    ((nic_mask) | (local_mask) << 8 | (snap_bytes) << 16)
static_assert(RS_QUEUES_MAX <= 8, "a bit for each queue");

struct rs_capture_record {
    _Alignas(8) uint64_t unix_ns; /* when the poll loop's iteration began */
    uint32_t len_bytes;           /* that follow */
    uint32_t whole_bytes;         /* of the frame */
    uint32_t flags;               /* enum rs_capture_flag */
    uint32_t reserved[3];
};
static_assert(sizeof(struct rs_capture_record) == RS_CAPTURE_ALIGN_BYTES, "layout: capture record");

enum rs_capture_kind { RS_CAPTURE_KIND_NIC, RS_CAPTURE_KIND_LOCAL, RS_CAPTURE_KINDS };

/* One queue. The first line is written for every record. */
struct rs_capture_queue {
    _Alignas(RS_LINE_BYTES) rs_atomic_u32 tail; /* stored (release) behind the record */
    uint32_t reserved;
    /* by enum rs_capture_kind */
    _Alignas(8) rs_atomic_u64 frames[RS_CAPTURE_KINDS];  /* that were to be captured */
    _Alignas(8) rs_atomic_u64 dropped[RS_CAPTURE_KINDS]; /* of these: found the ring full */
    _Alignas(RS_LINE_BYTES) uint64_t ring_off;           /* from the header */
    uint32_t ring_bytes;                                 /* a power of two */
    uint32_t kind;                                       /* enum rs_nic_kind */
    uint32_t nic_queue_idx;
    uint32_t ip_be32;
    uint32_t prefix_len;
    uint8_t mac[6];
    uint8_t padding[2];
    uint8_t nic[64];     /* its name, NUL-terminated */
    uint32_t more_count; /* the NIC's addresses beside ip_be32 */
    uint32_t more_be32[RS_ADDRESSES_MAX - 1];
    uint8_t more_prefix_len[RS_ADDRESSES_MAX - 1];
    uint8_t reserved2[13];
};
static_assert(sizeof(struct rs_capture_queue) == 4 * RS_LINE_BYTES, "layout: capture queue");

struct rs_capture_header {
    _Alignas(RS_LINE_BYTES) uint64_t magic;
    uint32_t version;
    uint32_t queue_count;
    uint8_t instance[32];
    uint64_t reserved[2];
    struct rs_capture_queue queues[RS_QUEUES_MAX];
};

/* cl memory: where the reader of each queue is, a line each. */
struct rs_capture_reader_word {
    _Alignas(RS_LINE_BYTES) rs_atomic_u32 head;
};

static inline uint32_t rs_capture_span(uint32_t len_bytes)
{
    return rs_align_up((uint32_t)sizeof(struct rs_capture_record) + len_bytes,
                       RS_CAPTURE_ALIGN_BYTES);
}

/* ---- writer: the queue ---- */

struct capture_writer {
    uint8_t *base;
    struct rs_capture_queue *shared;
    const rs_atomic_u32 *head_word; /* cl */
    uint32_t size_bytes;
    uint32_t tail, head_cached;
    uint32_t pad_bytes; /* filler before the reserved record */
};

/* base: size_bytes (a power of two) of dp memory. */
static inline void capture_writer_init(struct capture_writer *writer, uint8_t *base,
                                       uint32_t size_bytes, struct rs_capture_queue *shared,
                                       const rs_atomic_u32 *head_word)
{
    assert(rs_is_pow2(size_bytes) && size_bytes >= 2 * RS_CAPTURE_ALIGN_BYTES);
    *writer = (struct capture_writer){
        .base = base, .shared = shared, .head_word = head_word, .size_bytes = size_bytes};
}

/* Takes room for len_bytes of a frame, whose record's fields but len_bytes, and the bytes behind
 * it, the caller fills in before the commit. RS_WOULD_BLOCK: full. RS_POISONED: the reader's index
 * cannot be. */
RS_CHECK_RESULT static inline enum rs_status capture_writer_reserve(struct capture_writer *writer,
                                                                    uint32_t len_bytes,
                                                                    struct rs_capture_record **out)
{
    uint32_t span = rs_capture_span(len_bytes);
    uint32_t off = writer->tail & (writer->size_bytes - 1);
    uint32_t pad = span > writer->size_bytes - off ? writer->size_bytes - off : 0;
    if (rs_seq_distance(writer->head_cached, writer->tail) + pad + span > writer->size_bytes) {
        /* Acquire, partner capture_reader_consume: it is done with what is overwritten. */
        uint32_t head = atomic_load_explicit(writer->head_word, memory_order_acquire);
        if (!rs_seq_in_range(head, writer->head_cached, writer->tail) ||
            head % RS_CAPTURE_ALIGN_BYTES != 0) {
            return RS_POISONED;
        }
        writer->head_cached = head;
        if (rs_seq_distance(head, writer->tail) + pad + span > writer->size_bytes) {
            return RS_WOULD_BLOCK;
        }
    }
    if (pad != 0) {
        struct rs_capture_record *filler = (struct rs_capture_record *)(writer->base + off);
        *filler = (struct rs_capture_record){.flags = RS_CAPTURE_PAD};
        off = 0;
    }
    writer->pad_bytes = pad;
    *out = (struct rs_capture_record *)(writer->base + off);
    **out = (struct rs_capture_record){.len_bytes = len_bytes};
    return RS_OK;
}

static inline void capture_writer_commit(struct capture_writer *writer,
                                         const struct rs_capture_record *record)
{
    writer->tail += writer->pad_bytes + rs_capture_span(record->len_bytes);
    /* Release, partner capture_reader_peek: the record, and the filler before it, are complete. */
    atomic_store_explicit(&writer->shared->tail, writer->tail, memory_order_release);
}

/* ---- reader: ringsockctl ---- */

struct capture_reader {
    const uint8_t *base;
    const struct rs_capture_queue *shared;
    rs_atomic_u32 *head_word;
    uint32_t size_bytes;
    uint32_t head;
};

static inline void capture_reader_init(struct capture_reader *reader, const uint8_t *base,
                                       uint32_t size_bytes, const struct rs_capture_queue *shared,
                                       rs_atomic_u32 *head_word)
{
    assert(rs_is_pow2(size_bytes) && size_bytes >= 2 * RS_CAPTURE_ALIGN_BYTES);
    *reader = (struct capture_reader){
        .base = base, .shared = shared, .head_word = head_word, .size_bytes = size_bytes};
}

/* The oldest record; the frame's bytes stay where they are until it is consumed. RS_WOULD_BLOCK:
 * none; RS_CORRUPT: what stands there is none. */
RS_CHECK_RESULT static inline enum rs_status capture_reader_peek(struct capture_reader *reader,
                                                                 struct rs_capture_record *out,
                                                                 const uint8_t **bytes)
{
    /* Acquire, partner capture_writer_commit. */
    uint32_t tail = atomic_load_explicit(&reader->shared->tail, memory_order_acquire);
    for (;;) {
        uint32_t filled = rs_seq_distance(reader->head, tail);
        uint32_t off = reader->head & (reader->size_bytes - 1);
        if (filled == 0) {
            return RS_WOULD_BLOCK;
        }
        if (filled > reader->size_bytes || filled % RS_CAPTURE_ALIGN_BYTES != 0) {
            return RS_CORRUPT;
        }
        memcpy(out, reader->base + off, sizeof(*out));
        rs_fence_copied();
        if ((out->flags & RS_CAPTURE_PAD) == 0) {
            break;
        }
        if (off == 0 || filled <= reader->size_bytes - off) {
            return RS_CORRUPT; /* a filler ends a lap, and leads to a record */
        }
        reader->head += reader->size_bytes - off;
    }
    uint32_t room = reader->size_bytes - (reader->head & (reader->size_bytes - 1));
    uint32_t filled = rs_seq_distance(reader->head, tail);
    room = filled < room ? filled : room;
    if (out->len_bytes > room || rs_capture_span(out->len_bytes) > room) {
        return RS_CORRUPT;
    }
    *bytes = reader->base + (reader->head & (reader->size_bytes - 1)) + sizeof(*out);
    return RS_OK;
}

/* Done with the record that the last capture_reader_peek gave. */
static inline void capture_reader_consume(struct capture_reader *reader,
                                          const struct rs_capture_record *record)
{
    reader->head += rs_capture_span(record->len_bytes);
    /* Release, partner capture_writer_reserve. */
    atomic_store_explicit(reader->head_word, reader->head, memory_order_release);
}

#endif
