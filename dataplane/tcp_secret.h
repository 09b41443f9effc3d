/*
 * What TCP derives from a secret: initial sequence numbers, timestamp offsets, where the search for
 * a source port begins, and SYN cookies. Pure functions of their arguments; any thread. The secret
 * is random, made at start and the same on every queue, because the queue that answers a SYN need
 * not be the one that made the earlier connection of the same addresses and ports.
 *
 * All come from SipHash-2-4 (Aumasson and Bernstein, 2012), a keyed hash made for short inputs,
 * each with a constant of its own in the input: what one of them shows to a peer says nothing about
 * the others.
 */
#ifndef RINGSOCK_DATAPLANE_TCP_SECRET_H
#define RINGSOCK_DATAPLANE_TCP_SECRET_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_secret {
    uint64_t key[2];
};

/* A connection, as this side sees it. */
struct tcp_secret_flow {
    uint32_t local_be32;
    uint32_t peer_be32;
    uint16_t local_port_be16;
    uint16_t peer_port_be16;
};

enum { TCP_COOKIE_WSCALE_NONE = 15, TCP_COOKIE_MSS_COUNT = 8 };
/* A cookie is good in the period in which it was made and the next one: for 64 to 128 s. */
#define TCP_COOKIE_PERIOD_NS 64000000000ull

/* The peer's MSS that a cookie can say, ascending. Between the IPv4 default (RFC 9293
 * section 3.7.1) and jumbo frames lie what tunnels, IPv6 and Ethernet leave. */
extern const uint16_t tcp_cookie_mss[TCP_COOKIE_MSS_COUNT];

/* SipHash-2-4 of the bytes. */
uint64_t tcp_secret_hash(const struct tcp_secret *secret, const void *data, uint32_t bytes);

/* The initial sequence number (RFC 6528 section 3): a clock of 4 µs, so that a later connection of
 * the same flow begins behind the earlier one, from a place that nobody else can know. */
uint32_t tcp_secret_isn(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                        uint64_t now_ns);

/* What to add to the timestamp clock for this flow, so that it does not tell how long this host has
 * been up (RFC 7323 section 7.1); the same for every connection of the flow, so that their
 * timestamps grow (RFC 6191). */
uint32_t tcp_secret_ts_offset(const struct tcp_secret *secret, const struct tcp_secret_flow *flow);

/* Where the search for a source port begins (RFC 6056 section 3.3.3, algorithm 3). */
uint32_t tcp_secret_port_offset(const struct tcp_secret *secret, uint32_t local_be32,
                                uint32_t peer_be32, uint16_t peer_port_be16);

/* The initial sequence number of a SYN-ACK for which no state is kept (RFC 4987 section 3.6).
 * peer_isn: the SYN's sequence number, host order. peer_mss: from its option, rounded down to one
 * of tcp_cookie_mss; below the first one it becomes that. */
uint32_t tcp_cookie_make(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                         uint32_t peer_isn, uint16_t peer_mss, uint64_t now_ns);

/* Of a segment that acknowledges a SYN-ACK nobody remembers: peer_isn is its sequence number less
 * one, cookie its acknowledgement number less one. True with the MSS when it was made here for this
 * flow in this period or the last one; a guess passes once in 2^28. mss is untouched otherwise. */
bool tcp_cookie_check(const struct tcp_secret *secret, const struct tcp_secret_flow *flow,
                      uint32_t peer_isn, uint32_t cookie, uint64_t now_ns, uint16_t *mss);

/* The timestamp of such a SYN-ACK: it comes back as TSecr and carries what else the SYN offered.
 * ts_clock: the timestamp that would be sent, the flow's offset included. The result is at most 63
 * earlier and never later, so that the next timestamps do not go back (RFC 7323 section 5.2).
 * wscale: 0 to 14, or TCP_COOKIE_WSCALE_NONE. */
uint32_t tcp_cookie_ts(uint32_t ts_clock, uint8_t wscale, bool sack_ok, bool ecn);
/* Of a TSecr as it came, beside a cookie that was good. The TSecr itself is not proved: a peer that
 * changes it changes only what it said of itself, within what a SYN may say. */
void tcp_cookie_ts_decode(uint32_t tsecr, uint8_t *wscale, bool *sack_ok, bool *ecn);

#endif
