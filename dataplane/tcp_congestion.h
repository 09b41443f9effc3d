/*
 * Congestion control behind one small interface: what a connection does with its window when data
 * is delivered, lost, marked, or when it was idle. CUBIC (RFC 9438, with HyStart++ RFC 9406 left
 * out) and `none`. Loss detection and the amount to send in recovery are tcp_recovery.c's. Queue
 * thread; pure arithmetic on the struct, no stack inside.
 */
#ifndef RINGSOCK_DATAPLANE_TCP_CONGESTION_H
#define RINGSOCK_DATAPLANE_TCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp.h"

struct tcp_congestion {
    uint32_t cwnd_bytes, ssthresh_bytes;
    uint16_t mss_bytes;
    uint8_t kind;         /* enum tcp_congestion_kind, not DEFAULT */
    bool friendly;        /* in the Reno-friendly region */
    uint32_t acked_bytes; /* not yet turned into window */
    /* CUBIC, in its own units (tcp_cubic.c) */
    uint64_t epoch_ns; /* 0: no epoch */
    uint32_t w_max_bytes, w_last_max_bytes, w_est_bytes, origin_bytes;
    uint32_t k_ms;
    uint32_t target_bytes;
    uint64_t target_due_ns;
};

void tcp_congestion_init(struct tcp_congestion *congestion, enum tcp_congestion_kind kind,
                         uint32_t mss_bytes, uint32_t initial_segments);
/* The segment size changed: windows keep their bytes, at least one segment. */
void tcp_congestion_set_mss(struct tcp_congestion *congestion, uint32_t mss_bytes);
/* acked_bytes were delivered outside of recovery. limited: the window was what held the sender back
 * (RFC 7661, 5681: else it does not grow). */
void tcp_congestion_acked(struct tcp_congestion *congestion, uint32_t acked_bytes, uint64_t now_ns,
                          uint64_t srtt_ns, bool limited);
/* A loss, or an ECN mark, once per window: ssthresh goes down; the caller brings cwnd there. */
void tcp_congestion_reduce(struct tcp_congestion *congestion, uint32_t in_flight_bytes,
                           uint64_t now_ns);
/* A timeout: the same, and one segment of window. */
void tcp_congestion_timeout(struct tcp_congestion *congestion, uint32_t in_flight_bytes,
                            uint64_t now_ns);
/* The reduction was not needed. */
void tcp_congestion_undo(struct tcp_congestion *congestion, uint32_t cwnd_bytes,
                         uint32_t ssthresh_bytes);
/* Nothing was sent for idle_ns (RFC 5681 4.1: at least an RTO): the window falls, not below the
 * initial one. */
void tcp_congestion_idle(struct tcp_congestion *congestion, uint64_t idle_ns, uint64_t rto_ns,
                         uint32_t initial_segments, uint64_t now_ns);
static inline bool tcp_congestion_unlimited(const struct tcp_congestion *congestion)
{
    return congestion->kind == TCP_CONGESTION_NONE;
}
const char *tcp_congestion_name(enum tcp_congestion_kind kind);

#endif
