/*
 * What tcp_ack.c, tcp_sack.c, tcp_rack.c and tcp_recovery.c share: the records of what is under
 * way, and what one ACK said about them. Queue thread. Nobody else includes this.
 *
 *   tcp_ack_input -> tcp_sack_input        which records the peer's SACK blocks cover
 *                 -> records off the front  what is acknowledged
 *                 -> tcp_recovery_input    what is lost, in which state that puts the sender, the
 *                                          congestion window; asks tcp_rack.c
 */
#ifndef RINGSOCK_DATAPLANE_TCP_LOSS_H
#define RINGSOCK_DATAPLANE_TCP_LOSS_H

#include "dataplane/stack_internal.h"

/* One ACK; tcp_ack_input's, filled in on the way. */
struct tcp_ack {
    const struct tcp_segment *segment;
    uint32_t prior_flight_bytes;
    uint32_t prior_fack;
    uint32_t acked_bytes;     /* snd_una moved on by */
    uint32_t delivered_bytes; /* acknowledged or SACKed for the first time */
    uint32_t sacked_bytes;    /* of these, SACKed */
    uint32_t lost_bytes;      /* deemed lost because of this ACK */
    uint32_t sack_steps;      /* records looked at to find where its SACK blocks begin */
    uint64_t acked_sent_ns;   /* when the first record acknowledged was sent; STACK_NEVER: none that
                                 was   sent once only */
    uint64_t sacked_sent_ns;  /* the same, SACKed */
    bool retransmit_acked;    /* a record acknowledged was sent again: no RTT sample (Karn) */
    bool original;            /* data sent once, before recovery_point, was delivered (RFC 5682) */
    bool duplicate;           /* RFC 5681 2 */
    bool dsack;               /* RFC 2883: something came twice */
    bool window_moved;        /* snd_wnd changed */
    bool ece;                 /* ECN-Echo on a connection with ECN */
    bool rack_advanced;       /* RACK has a newer sample: look for losses */
};

static inline struct tcp_sent *tcp_sent_at(const struct stack *stack, uint32_t idx)
{
    return &stack->tcp.sent[idx];
}

static inline uint32_t tcp_sent_bytes(const struct tcp_sent *sent)
{
    return rs_seq_distance(sent->start, sent->end);
}

static inline uint32_t tcp_outstanding(const struct tcp_conn *conn)
{
    return rs_seq_distance(conn->snd_una, conn->snd_nxt);
}

/* Was the first of two transmissions after the second (RFC 8985 RACK_sent_after)? */
static inline bool tcp_sent_after(uint64_t a_ns, uint32_t a_end, uint64_t b_ns, uint32_t b_end)
{
    return a_ns > b_ns || (a_ns == b_ns && rs_seq_before(b_end, a_end));
}

/* ---- tcp_sack.c ---- */

/* Sets and clears flags of a record and keeps byte counters, time list and hints true. */
void tcp_sent_change(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t set,
                     uint32_t clear);
/* What a record was for is over; it goes back to the pool. */
void tcp_sent_free(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx);
/* The first bytes of a record, less than all, are acknowledged. */
void tcp_sent_trim(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t bytes);
/* No record is LOST any more (the peer had it). */
void tcp_sent_unmark_lost(struct stack *stack, struct tcp_conn *conn);
/* Forgets what SACK said (RFC 2018 8: the peer has dropped it): all of that is LOST. */
void tcp_sack_forget(struct stack *stack, struct tcp_conn *conn);
void tcp_sack_input(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack);

/* ---- tcp_rack.c ---- */

/* A record is acknowledged or SACKed for the first time: RACK's newest sample, reordering, what
 * the ACK's other readers want to know. */
void tcp_rack_delivered(struct stack *stack, struct tcp_conn *conn, const struct tcp_sent *sent,
                        struct tcp_ack *ack);
/* RFC 8985 6.2 step 4: D-SACKs widen the reordering window. */
void tcp_rack_dsack(struct tcp_conn *conn, bool dsack);
void tcp_rack_recovered(struct tcp_conn *conn); /* and recoveries without one make it narrow */
/* Marks what is lost by now, and sets reorder_due_ns for what will be. Returns the bytes marked. */
uint32_t tcp_rack_detect(struct stack *stack, struct tcp_conn *conn);
/* Whether a record sent then would be lost by now. */
bool tcp_rack_overdue(const struct stack *stack, const struct tcp_conn *conn,
                      const struct tcp_sent *sent);
/* RFC 8985 7.4: was the probe's loss a congestion signal? */
bool tcp_probe_acked(struct tcp_conn *conn, const struct tcp_ack *ack);

/* ---- tcp_recovery.c ---- */

void tcp_recovery_input(struct stack *stack, struct tcp_conn *conn, struct tcp_ack *ack);
/* Losses were found outside of an ACK. */
void tcp_recovery_enter(struct stack *stack, struct tcp_conn *conn, uint32_t prior_flight_bytes);
/* RFC 6937; nothing outside of CWR and RECOVERY. */
void tcp_recovery_sent(struct tcp_conn *conn, uint32_t bytes);
void tcp_recovery_pace(struct tcp_conn *conn, uint32_t delivered_bytes, bool advanced);

#endif
