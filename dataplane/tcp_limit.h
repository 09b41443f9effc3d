/*
 * What keeps a connection from sending more, how often, how long, and how much was sent meanwhile
 * (RFC 4898's SndLim). A change of it costs a line or two; a connection that stays as it is costs
 * one comparison. Of TCP (tcp_output.c) and of local connections (stream_local.c); queue thread.
 */
#ifndef RINGSOCK_DATAPLANE_TCP_LIMIT_H
#define RINGSOCK_DATAPLANE_TCP_LIMIT_H

#include <stdint.h>

#include "rings/layout.h"

/* All zero until tcp_limits_begin. Which one holds now is the owner's to remember. */
struct tcp_limits {
    uint64_t since; /* in the owner's unit of time */
    uint64_t sent_before;
    uint64_t time[RS_TCP_LIMIT_COUNT], sent_bytes[RS_TCP_LIMIT_COUNT];
    uint32_t transitions[RS_TCP_LIMIT_COUNT];
};

/* now: any clock that does not go back. */
static inline void tcp_limits_begin(struct tcp_limits *limits, uint64_t now)
{
    limits->since = now;
}

/* From `from` to another one. sent_bytes: so far, on the whole. What was sent since the last change
 * counts for `from`: it was sent before the new one held. */
static inline void tcp_limits_change(struct tcp_limits *limits, enum rs_tcp_limit from,
                                     enum rs_tcp_limit to, uint64_t now, uint64_t sent_bytes)
{
    limits->time[from] += now - limits->since;
    limits->sent_bytes[from] += sent_bytes - limits->sent_before;
    limits->since = now;
    limits->sent_before = sent_bytes;
    limits->transitions[to]++;
}

/* As of now, when `at` holds. */
static inline struct tcp_limits tcp_limits_now(const struct tcp_limits *limits,
                                               enum rs_tcp_limit at, uint64_t now,
                                               uint64_t sent_bytes)
{
    struct tcp_limits sum = *limits;
    tcp_limits_change(&sum, at, at, now, sent_bytes);
    sum.transitions[at]--;
    return sum;
}

#endif
