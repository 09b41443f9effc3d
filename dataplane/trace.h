/*
 * What happened last on a queue, always on: a ring of small records that the queue's thread writes
 * (a few plain stores, no system call) and the control thread reads for `ringsockctl trace`. A
 * record that is overwritten while it is read is recognised by its number and left out.
 */
#ifndef RINGSOCK_DATAPLANE_TRACE_H
#define RINGSOCK_DATAPLANE_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TRACE_RECORDS 4096u /* a power of two */

/* clang-format off */
/* X(name, "what it means", kind of a, "meaning of a", kind of b, "meaning of b"); the kinds are those
 * of enum rs_report_value (rings/report.h) */
#define TRACE_EVENTS(X)                                                                            \
    X(tcp_state, "connection changed its state", TCP_STATE, "from", TCP_STATE, "to")               \
    X(tcp_retransmit, "segment sent again", NUMBER, "sequence number", NUMBER, "bytes")            \
    X(tcp_timeout, "retransmission timeout", NUMBER, "times in a row", NUMBER, "RTO in us")        \
    X(tcp_probe_tail, "tail loss probe", NUMBER, "sequence number", NUMBER, "bytes")               \
    X(tcp_recovery, "loss recovery begins", NUMBER, "snd_una", NUMBER, "recovery point")           \
    X(tcp_undo, "retransmission was not needed, window restored", NUMBER, "cwnd before", NUMBER, "after") \
    X(tcp_ecn, "peer reports congestion", NUMBER, "cwnd before", NUMBER, "after")                  \
    X(tcp_window_probe, "probe of a closed window", NUMBER, "times in a row", NUMBER, "bytes unsent") \
    X(tcp_keepalive, "keep-alive probe", NUMBER, "times in a row", NONE, "")                       \
    X(tcp_mss, "segment size changed", NUMBER, "from", NUMBER, "to")                               \
    X(tcp_drop, "segment dropped", COUNTER, "reason", NUMBER, "sequence number")                   \
    X(tcp_reset_in, "reset by the peer", TCP_STATE, "state", NONE, "")                             \
    X(tcp_reset_out, "reset sent", TCP_STATE, "state", STATUS, "status")                           \
    X(tcp_error, "connection failed", TCP_STATE, "state", STATUS, "status")                        \
    X(tcp_cookie, "half-open connections full, SYN cookie sent", NUMBER, "peer's sequence number", NONE, "")
/* clang-format on */

enum trace_event {
    TRACE_none,
#define TRACE_ENUM(name, text, a_kind, a, b_kind, b) TRACE_##name,
    TRACE_EVENTS(TRACE_ENUM)
#undef TRACE_ENUM
        TRACE_EVENT_COUNT
};

struct trace_record {
    uint64_t tsc;
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    uint32_t event; /* enum trace_event */
    uint32_t a, b;
};

/* A record in words that two threads may touch. */
struct trace_slot {
    _Atomic uint64_t number; /* of the record, from 1; 0: none, or it changes. Stored first and
                                last; partner: trace_read */
    _Atomic uint64_t tsc;
    _Atomic uint64_t addresses; /* local, peer */
    _Atomic uint64_t what;      /* event, local port, peer port */
    _Atomic uint64_t values;    /* a, b */
};

struct trace_ring {
    _Atomic uint64_t written; /* records so far; partner: trace_written */
    struct trace_slot slots[TRACE_RECORDS];
};

/* Queue thread. Each store of a field releases the zero before it: whoever loads the new field will
 * see that the number is no longer the old one. On x86 they are plain stores. */
static inline void trace_add(struct trace_ring *ring, const struct trace_record *record)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    struct trace_slot *slot = &ring->slots[written & (TRACE_RECORDS - 1)];
    atomic_store_explicit(&slot->number, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->tsc, record->tsc, memory_order_release);
    atomic_store_explicit(&slot->addresses, (uint64_t)record->local_be32 << 32 | record->peer_be32,
                          memory_order_release);
    atomic_store_explicit(&slot->what,
                          (uint64_t)record->event << 32 | (uint32_t)record->local_port_be16 << 16 |
                              record->peer_port_be16,
                          memory_order_release);
    atomic_store_explicit(&slot->values, (uint64_t)record->a << 32 | record->b,
                          memory_order_release);
    atomic_store_explicit(&slot->number, written + 1, memory_order_release);
    atomic_store_explicit(&ring->written, written + 1, memory_order_release);
}

/* ---- trace.c: any thread ---- */

/* The newest record's number; 0: none yet. */
uint64_t trace_written(const struct trace_ring *ring);
/* The record of that number, whole. False: it has been overwritten, or is not there yet. */
bool trace_read(const struct trace_ring *ring, uint64_t number, struct trace_record *out);

struct trace_text {
    const char *name, *text;
    const char *a, *b;       /* meanings, "" for none */
    uint32_t a_kind, b_kind; /* enum rs_report_value */
};

extern const struct trace_text trace_texts[TRACE_EVENT_COUNT];

#endif
