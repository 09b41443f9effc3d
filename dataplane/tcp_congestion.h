/*
 * Congestion control behind one small interface: what a connection does with its window when data
 * is delivered, lost, marked, or when it was idle. CUBIC (RFC 9438, with HyStart++, RFC
 * 9406) and `none`. Loss detection and the amount to send in recovery are tcp_recovery.c's. Queue
 * thread; pure arithmetic on the struct, no stack inside.
 */
#ifndef RINGSOCK_DATAPLANE_TCP_CONGESTION_H
#define RINGSOCK_DATAPLANE_TCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp.h"

/* Where CUBIC stands since the last reduction, in bytes. */
struct tcp_cubic {
    uint64_t epoch_ns;       /* begin of congestion avoidance; 0: none yet */
    uint32_t w_max_bytes;    /* window before the last reduction, or less (fast convergence) */
    uint32_t w_prior_bytes;  /* the same, never less: from there on W_est grows as Reno's window */
    uint32_t w_est_bytes;    /* window of a Reno flow in our place */
    uint32_t w_est_fraction; /* of a byte, 32 bits */
    uint32_t origin_bytes;   /* plateau of the curve */
    uint32_t k_ms;           /* from the epoch to the plateau */
};

/* The first slow start (RFC 9406): is the round trip growing because a buffer fills? */
struct tcp_hystart {
    uint64_t round_min_ns, last_min_ns; /* round trips of this round and the one before; 0: none */
    uint64_t baseline_ns;               /* when conservative slow start began */
    uint32_t round_end;                 /* the round is over when this is acknowledged */
    uint8_t samples;                    /* of this round, saturating */
    uint8_t conservative_rounds;
    bool conservative; /* the window grows by a quarter of what it would */
};

struct tcp_congestion {
    uint32_t cwnd_bytes, ssthresh_bytes;
    uint16_t mss_bytes;
    uint8_t kind;           /* enum tcp_congestion_kind, not DEFAULT */
    bool friendly;          /* in the Reno-friendly region */
    uint32_t curve_bytes;   /* CUBIC's window at the last look, */
    uint32_t target_bytes;  /* and a round trip later */
    uint32_t look_bytes;    /* a window of this size is looked at again before target_due_ns */
    uint32_t gain;          /* window per byte delivered, of 2^32; up to target_bytes */
    uint32_t gain_fraction; /* of a byte, 32 bits */
    uint32_t est_gain;      /* of w_est_bytes, of 2^32 */
    uint64_t target_due_ns;
    uint64_t last_acked_ns;
    struct tcp_hystart hystart; /* before the rest, which slow start does not touch */
    struct tcp_cubic cubic;
    struct tcp_cubic before; /* the last reduction, for undo */
};

void tcp_congestion_init(struct tcp_congestion *congestion, enum tcp_congestion_kind kind,
                         uint32_t mss_bytes, uint32_t initial_segments);
/* The segment size changed: windows keep their bytes, at least one segment. */
void tcp_congestion_set_mss(struct tcp_congestion *congestion, uint32_t mss_bytes);
/* acked_bytes were delivered outside of recovery. limited: the window was what held the sender back
 * (RFC 7661, 5681: else it does not grow). */
void tcp_congestion_acked(struct tcp_congestion *congestion, uint32_t acked_bytes, uint64_t now_ns,
                          uint64_t srtt_ns, bool limited);
/* A round trip was measured. snd_una, snd_nxt: the connection's, of this moment. */
void tcp_congestion_rtt(struct tcp_congestion *congestion, uint64_t rtt_ns, uint32_t snd_una,
                        uint32_t snd_nxt);
/* A loss, or an ECN mark, once per window: ssthresh goes down; the caller brings cwnd there. */
void tcp_congestion_reduce(struct tcp_congestion *congestion, uint32_t in_flight_bytes);
/* A timeout: the same, and one segment of window. */
void tcp_congestion_timeout(struct tcp_congestion *congestion, uint32_t in_flight_bytes);
/* The reduction was not needed. */
void tcp_congestion_undo(struct tcp_congestion *congestion, uint32_t cwnd_bytes,
                         uint32_t ssthresh_bytes);
/* Nothing was sent for idle_ns (RFC 5681 4.1: at least an RTO): the window falls, not below the
 * initial one. */
void tcp_congestion_idle(struct tcp_congestion *congestion, uint64_t idle_ns, uint64_t rto_ns,
                         uint32_t initial_segments);
static inline bool tcp_congestion_unlimited(const struct tcp_congestion *congestion)
{
    return congestion->kind == TCP_CONGESTION_NONE;
}
const char *tcp_congestion_name(enum tcp_congestion_kind kind);

#endif
