/*
 * What happened last on a queue, always on: a ring of small records that the queue's thread writes
 * (a few plain stores, no system call) and the control thread reads for `ringsockctl trace`. A
 * record that is overwritten while it is read is recognised by its number and left out.
 */
#ifndef RINGSOCK_DATAPLANE_TRACE_H
#define RINGSOCK_DATAPLANE_TRACE_H

#include <stdatomic.h>
#include <stdint.h>

#define TRACE_RECORDS 4096u /* a power of two */

/* clang-format off */
/* X(name, "what it means", "meaning of a", "meaning of b") */
#define TRACE_EVENTS(X)                                                                  \
    X(tcp_state, "connection changed its state", "from (enum tcp_state)", "to")          \
    X(tcp_retransmit, "segment sent again", "sequence number", "bytes")                  \
    X(tcp_timeout, "retransmission timeout", "times in a row", "RTO in us")              \
    X(tcp_probe_tail, "tail loss probe", "sequence number", "bytes")                     \
    X(tcp_recovery, "loss recovery begins", "snd_una", "recovery point")                 \
    X(tcp_undo, "retransmission was not needed, window restored", "cwnd before", "after") \
    X(tcp_ecn, "peer reports congestion", "cwnd before", "after")                        \
    X(tcp_window_probe, "probe of a closed window", "times in a row", "bytes unsent")    \
    X(tcp_keepalive, "keep-alive probe", "times in a row", "")                           \
    X(tcp_mss, "segment size changed", "from", "to")                                     \
    X(tcp_drop, "segment dropped", "reason (counter)", "sequence number")                \
    X(tcp_reset_in, "reset by the peer", "state", "")                                    \
    X(tcp_reset_out, "reset sent", "state", "status")                                    \
    X(tcp_error, "connection failed", "state", "status")                                 \
    X(tcp_cookie, "half-open connections full, SYN cookie sent", "peer's sequence number", "")
/* clang-format on */

enum trace_event {
    TRACE_none,
#define TRACE_ENUM(name, text, a, b) TRACE_##name,
    TRACE_EVENTS(TRACE_ENUM)
#undef TRACE_ENUM
        TRACE_EVENT_COUNT
};

struct trace_record {
    _Atomic uint64_t number; /* of the record, from 1, stored last (release); partner: the reader */
    uint64_t tsc;
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    uint32_t event; /* enum trace_event */
    uint32_t a, b;
};

struct trace_ring {
    uint64_t next; /* records written */
    struct trace_record records[TRACE_RECORDS];
};

/* Queue thread. */
static inline void trace_add(struct trace_ring *ring, const struct trace_record *record)
{
    struct trace_record *slot = &ring->records[ring->next & (TRACE_RECORDS - 1)];
    /* Invalid while it changes. */
    atomic_store_explicit(&slot->number, 0, memory_order_relaxed);
    /* The zero comes before the fields for whoever sees one of them. */
    atomic_thread_fence(memory_order_release);
    slot->tsc = record->tsc;
    slot->local_be32 = record->local_be32;
    slot->peer_be32 = record->peer_be32;
    slot->local_port_be16 = record->local_port_be16;
    slot->peer_port_be16 = record->peer_port_be16;
    slot->event = record->event;
    slot->a = record->a;
    slot->b = record->b;
    atomic_store_explicit(&slot->number, ++ring->next, memory_order_release);
}

#endif
