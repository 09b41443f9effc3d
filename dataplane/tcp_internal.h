/*
 * The insides of TCP, shared by the tcp_*.c files and by nobody else. Queue thread.
 *
 * Way in:  ipv4_input -> tcp_input (tcp_input.c: which flow, RFC 9293 3.10.7 by state)
 *            -> tcp_listen.c: listeners, half-open connections, cookies; tcp_time_wait.c
 *            -> tcp_ack.c: what an ACK acknowledges (tcp_sack.c, tcp_recovery.c, tcp_congestion.c)
 *            -> tcp_receive.c: data into the receive ring, when to acknowledge
 * Way out: request code, tcp_input.c, timers -> tcp_ready -> tcp_run -> tcp_output.c
 *            -> ipv4_finish -> neighbour_send
 * Time:    tcp_timer.c, on one wheel entry per connection.
 */
#ifndef RINGSOCK_DATAPLANE_TCP_INTERNAL_H
#define RINGSOCK_DATAPLANE_TCP_INTERNAL_H

#include "dataplane/ipv4.h"
#include "dataplane/tcp.h"
#include "dataplane/tcp_congestion.h"
#include "dataplane/tcp_secret.h"
#include "dataplane/trace.h"
#include "dataplane/wheel.h"
#include "dataplane/wire/tcp.h"
#include "rings/seq.h"
#include "rings/stream_ring.h"

struct neighbour;

#define TCP_NO_INDEX         0xffffffffu
#define TCP_MSS_DEFAULT      536u   /* RFC 9293 3.7.1: of a peer that names none */
#define TCP_MTU_MIN          552u   /* as Linux: a smaller path is not believed (RFC 5927 7.2) */
#define TCP_MSS_MIN          88u    /* smaller ones are not believed */
#define TCP_RANGES_MAX       64u    /* gaps of one connection's receive ring, less one */
#define TCP_DUP_THRESHOLD    3u     /* RFC 5681, 6675 */
#define TCP_SEND_BATCH_BYTES 65536u /* of one connection in one turn of tcp_run */
#define TCP_TTL_DEFAULT      128    /* as Windows */

/* ---- flows: what the table of address pairs holds -------------------------------------------- */

enum tcp_flow_kind { TCP_FLOW_CONN, TCP_FLOW_REQUEST, TCP_FLOW_TIME_WAIT };

struct tcp_flow { /* first member of tcp_conn, tcp_request, tcp_time_wait */
    struct tcp_flow *chain_next;
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    uint8_t kind;  /* enum tcp_flow_kind */
    uint8_t state; /* enum tcp_state */
    bool in_table;
    uint8_t ttl, tos;
    uint8_t limit; /* of a connection: enum rs_tcp_limit, what holds it back now */
    uint8_t reserved[2];
};
static_assert(sizeof(struct tcp_flow) == 32, "half a line");

/* ---- segments in ----------------------------------------------------------------------------- */

/* A received segment: length and checksum are right, options are parsed. */
struct tcp_segment {
    const struct ipv4_packet *packet;
    const uint8_t *payload;
    uint32_t payload_bytes;
    uint32_t seq, ack;
    uint32_t end;    /* seq + payload + SYN + FIN */
    uint16_t window; /* as it came, not scaled */
    uint16_t urgent;
    uint16_t local_port_be16, peer_port_be16;
    uint32_t local_be32, peer_be32;
    uint8_t flags; /* TCP_FLAG_* */
    bool congestion_experienced;
    struct tcp_options options;
};

/* ---- segments sent and not acknowledged ------------------------------------------------------ */

enum {
    TCP_SENT_SACKED = 1,        /* the peer has it, says SACK */
    TCP_SENT_LOST = 2,          /* to be sent again; with RETRANS_OUT: that was done */
    TCP_SENT_RETRANS_OUT = 4,   /* sent again and under way */
    TCP_SENT_RETRANSMITTED = 8, /* was ever sent again: no RTT sample */
    TCP_SENT_FIN = 16,          /* its last sequence number is the FIN */
    TCP_SENT_JOINED = 32,       /* of several transmissions: no RTT sample, no RACK sample */
    TCP_SENT_PARTIAL = 64       /* only its first bytes were sent again: no record for the rest */
};

/* One transmission, [start, end). On two lists: by sequence number, and by the time of its newest
 * transmission (RFC 8985), on the latter only what is under way: neither SACKED, nor LOST without
 * RETRANS_OUT. Links are indices into the pool. Neighbours that are SACKED are made one. */
struct tcp_sent {
    uint64_t sent_ns; /* newest transmission */
    uint32_t start, end;
    uint32_t next, prev;
    uint32_t time_next, time_prev;
    uint8_t flags;
    uint8_t reserved;
    uint16_t segments; /* how many SACKED ones it was made of; else 1 */
};
static_assert(sizeof(struct tcp_sent) == 40, "tcp_sent");

/* A piece of the stream that lies in the receive ring ahead of a gap; index-linked, ascending. */
struct tcp_range {
    uint32_t start, end;
    uint32_t next;
};

/* ---- a connection ---------------------------------------------------------------------------- */

enum tcp_timer {
    TCP_TIMER_RETRANSMIT, /* what it means: enum tcp_retransmit_mode */
    TCP_TIMER_ACK,        /* delayed acknowledgment */
    TCP_TIMER_KEEPALIVE,
    TCP_TIMER_LIFE, /* FIN_WAIT_2 without a program, linger */
    TCP_TIMER_COUNT
};

enum tcp_retransmit_mode {
    TCP_RETRANSMIT_TIMEOUT, /* RFC 6298 */
    TCP_RETRANSMIT_REORDER, /* RFC 8985: a segment becomes lost then */
    TCP_RETRANSMIT_PROBE,   /* RFC 8985: tail loss probe */
    TCP_RETRANSMIT_PERSIST  /* RFC 9293 3.8.6.1: probe of a closed window */
};

/* Where the sender is between losses (the names are Linux's, the rules RFC 5681, 6675, 8985). */
enum tcp_loss_state {
    TCP_LOSS_OPEN,
    TCP_LOSS_DISORDER, /* SACKs or duplicate ACKs came, nothing is deemed lost */
    TCP_LOSS_CWR,      /* window reduced for ECN */
    TCP_LOSS_RECOVERY, /* fast recovery */
    TCP_LOSS_TIMEOUT   /* after an RTO */
};

/* In the order of use: each ACK reads the first line, and the next two when it brings news. */
struct tcp_loss {
    uint8_t state; /* enum tcp_loss_state */
    uint8_t dup_acks;
    uint8_t backoff; /* timeouts in a row */
    uint8_t retransmit_mode;
    /* bytes between snd_una and snd_nxt by fate */
    uint32_t sacked_bytes, lost_bytes, retrans_bytes;
    uint32_t first, last;           /* tcp_sent by sequence number */
    uint32_t time_first, time_last; /* by newest transmission */
    uint32_t lost_hint; /* no record before it is LOST and not RETRANS_OUT; TCP_NO_INDEX: look from
                           first */
    uint32_t sack_hint; /* record at which the last SACK block ended; TCP_NO_INDEX: none */
    uint64_t reorder_due_ns; /* when RACK deems something lost; 0: nothing waits for that */
    uint64_t rto_ns;
    uint64_t idle_from_ns; /* last_sent_ns of the idle time that the window was reduced for */
    /* RTT (RFC 6298); 0: no sample yet */
    uint64_t srtt_ns, rttvar_ns, rtt_min_ns;
    uint64_t rtt_min_until_ns;
    uint64_t rto_max_ns;                 /* of the queue */
    uint64_t rtt_dev_ns, rtt_dev_max_ns; /* deviation, and its maximum in this round trip */
    /* RFC 7661: was the window the limit since snd_una passed usage_end, how much was under way */
    uint32_t usage_end, usage_bytes;
    /* RACK */
    uint64_t rack_sent_ns, rack_rtt_ns;
    uint32_t rack_end;
    uint32_t rack_fack; /* highest sequence number delivered */
    uint32_t rtt_round_end;
    uint32_t recovery_point;
    uint32_t tlp_end; /* snd_nxt at the probe; valid while tlp_outstanding */
    bool tlp_outstanding, tlp_retransmission;
    bool limited; /* see usage_end */
    bool undo_valid;
    uint8_t rack_reo_mult, rack_reo_persist;
    bool rack_reordering_seen, rack_dsack_seen;
    uint32_t rack_dsack_round_end;
    uint32_t sacked_segments;
    uint32_t records;                                /* on its lists */
    struct tcp_sack_block seen[TCP_SACK_MAX_BLOCKS]; /* the last ACK's blocks, as far as marked */
    /* proportional rate reduction, RFC 6937; ratio: ssthresh to the window before, of 2^16 */
    uint32_t prr_delivered, prr_out, prr_ratio;
    /* undo: RFC 3522 (timestamps), 3708 (D-SACK), 5682 (F-RTO) */
    uint32_t undo_marker, undo_cwnd, undo_ssthresh;
    uint32_t undo_end;        /* after recovery: no undo once snd_una has passed it */
    int32_t undo_retransmits; /* bytes not yet reported as duplicates; -1: none sent again */
    uint32_t retransmit_ts;   /* tsval of the first retransmission */
    uint8_t frto;             /* F-RTO: 1 after the timeout, 2 new data only; 0: off */
    bool retransmit_ts_valid;
    bool recover_guard; /* RFC 6582 3.2: dup ACKs mean nothing until recovery_point is passed */
};

/* By lines of 64 bytes, in the order of use: with many connections each line is a cache miss. */
struct tcp_conn {
    _Alignas(RS_LINE_BYTES) struct tcp_flow flow;
    uint32_t features; /* TCP_FEATURE_* */
    uint32_t events;   /* TCP_EVENT_*, told at the end of a turn */
    uint32_t rcv_nxt;
    uint32_t rcv_adv; /* right edge announced: never moves back */
    uint32_t snd_una, snd_nxt;
    uint32_t last_ack_sent;
    uint32_t ts_recent;
    /* ---- receiving */
    struct stream_writer
        recv; /* limit_bytes is the ring's size; tail == rcv_nxt - irs - 1 before FIN */
    uint32_t recv_limit_bytes;
    uint32_t unacked_bytes; /* received since the last ACK sent */
    uint32_t ranges;        /* first tcp_range; TCP_NO_INDEX: no gap */
    uint16_t range_count;
    uint16_t rcv_mss;   /* the largest segment seen: what counts as full-sized */
    uint8_t quick_acks; /* that many more at once */
    uint8_t recv_wscale, send_wscale;
    uint8_t ack_now;  /* 1: an ACK must go out in this turn */
    uint32_t snd_wnd; /* bytes */
    uint32_t snd_wnd_max;
    uint32_t snd_wl1, snd_wl2;
    uint8_t keep_probes;
    uint8_t persist_tries;    /* unanswered */
    uint8_t persist_backoff;  /* probes since the window closed */
    uint8_t black_hole_tries; /* full-sized segments that timed out in a row */
    /* ---- sending */
    struct stream_reader send; /* head == snd_una - iss - 1 while there is data */
    rs_atomic_u32 *send_head_word, *recv_tail_word;
    const rs_atomic_u32 *recv_head_word;
    uint32_t iss;
    uint32_t ts_offset;
    uint32_t next_hop_be32;
    uint16_t mss; /* payload of a full segment, timestamps taken off, SACK blocks not */
    uint16_t path_mtu;
    /* ---- time */
    uint64_t ts_recent_ns;
    uint64_t last_received_ns;
    uint64_t received_bytes;
    uint64_t due_ns[TCP_TIMER_COUNT]; /* UINT64_MAX: off */
    struct neighbour *neighbour;
    struct wheel_timer timer; /* moved lazily */
    struct tcp_settings settings;
    uint64_t sent_bytes;
    /* ---- what sending and ACKs of it need besides */
    uint64_t last_sent_ns;       /* data */
    uint64_t rto_base_ns;        /* what the retransmission timeout counts from */
    uint64_t progress_ns;        /* when snd_una moved last, or data was first sent after all was
                                    acknowledged */
    uint64_t mtu_raise_ns;       /* when a lowered path MTU is tried again */
    uint32_t snd_sml;            /* end of the last small segment sent (Minshall's Nagle) */
    uint32_t cwr_point;          /* ECN: no second reduction before snd_una passes this */
    uint32_t fin_seq;            /* of our FIN once it is queued */
    uint32_t snd_up;             /* urgent: sequence number after the last urgent byte */
    struct tcp_sack_block dsack; /* to report in the next ACK; start == end: none */
    void *owner;
    struct tcp_loss loss;
    struct tcp_congestion congestion;

    /* the rest */
    struct tcp_conn *blocked_next;
    struct tcp_conn *waiting_next, **waiting_link; /* link NULL: it does not wait for a neighbour */
    uint32_t irs;
    uint32_t rcv_up;                                  /* urgent data of the peer */
    uint32_t rcv_up_pos;                              /* as ring position */
    rs_atomic_u32 *urgent_pos_word, *urgent_seq_word; /* or NULL */
    uint32_t peer_fin_seq;                       /* of a FIN that came ahead of a gap or in order */
    uint16_t mss_peer;                           /* what the peer offered */
    uint32_t recent_ranges[TCP_SACK_MAX_BLOCKS]; /* start of those that changed last, for SACK;
                                                    newest first */
    uint32_t error;                              /* enum rs_status */
    uint64_t challenge_ns;          /* when the next challenge ACK is allowed (RFC 5961) */
    uint64_t connected_ns, over_ns; /* 0: not yet */
    uint64_t syn_sent_ns;
    uint64_t retransmitted_bytes, reordered_bytes;
    uint32_t retransmits, timeouts, fast_recoveries, undos, duplicate_segments;
    uint32_t dup_acks, timeout_episodes, syn_retransmits;
    struct tcp_limits limits; /* ns */
    struct tcp_conn *free_next;
};
static_assert(offsetof(struct tcp_conn, recv) == 64 && offsetof(struct tcp_conn, send) == 128 &&
                  offsetof(struct tcp_conn, ts_recent_ns) == 192 &&
                  offsetof(struct tcp_conn, timer) == 256 &&
                  offsetof(struct tcp_conn, last_sent_ns) == 320 &&
                  offsetof(struct tcp_conn, loss) == 384,
              "tcp_conn: lines");

/* What every segment of a connection touches, and how far what a sender needs goes. */
#define TCP_HOT_BYTES  384u
#define TCP_WARM_BYTES 768u
static_assert(offsetof(struct tcp_conn, loss) == TCP_HOT_BYTES &&
                  offsetof(struct tcp_conn, congestion) < TCP_WARM_BYTES,
              "tcp_conn: warm lines");

/* Fetches lines of a connection that will be worked on soon. By loads that nobody waits for, not by
 * prefetches: processors drop those when too many are under way (measured here, bursts of 32
 * connections of 100,000: 398 cycles a line for one prefetched line each, nothing gained for seven;
 * 610 cycles for a received segment with prefetches, 390 with loads). */
static inline void tcp_conn_fetch(const struct tcp_conn *conn, uint32_t from, uint32_t to)
{
    for (uint32_t off = from; off < to; off += RS_LINE_BYTES) {
        (void)*((const volatile char *)conn + off);
    }
}

enum { /* tcp_conn.features */
       TCP_FEATURE_TIMESTAMPS = 1,
       TCP_FEATURE_SACK = 2,
       TCP_FEATURE_WSCALE = 4,
       TCP_FEATURE_ECN = 8,         /* negotiated */
       TCP_FEATURE_ECE = 16,        /* say ECE until the peer's CWR */
       TCP_FEATURE_CWR = 32,        /* say CWR in the next new data */
       TCP_FEATURE_FIN_QUEUED = 64, /* fin_seq is valid */
       TCP_FEATURE_FIN_SENT = 128,
       TCP_FEATURE_PEER_FIN = 256,   /* peer_fin_seq is valid */
       TCP_FEATURE_URGENT_OUT = 512, /* snd_up is valid */
       TCP_FEATURE_URGENT_IN = 1024, /* rcv_up is valid */
       TCP_FEATURE_ORPHAN = 2048,    /* tcp_close was called */
       TCP_FEATURE_RECV_SHUT = 4096,
       TCP_FEATURE_READY = 8192,        /* on the ready list */
       TCP_FEATURE_GONE = 16384,        /* TCP_EVENT_GONE is told in this turn */
       TCP_FEATURE_BLOCKED = 32768,     /* no transmit buffer: go on when there is one */
       TCP_FEATURE_SYN_DUE = 65536,     /* the SYN could not leave: in the next turn */
       TCP_FEATURE_MSS_PROVEN = 131072, /* a full segment was acknowledged */
       TCP_FEATURE_DRY = 524288,        /* a copy (tcp_warm): its frames go nowhere */
       TCP_FEATURE_RESET_DUE = 262144   /* over, but its reset found no buffer yet */
};

/* ---- half open, and waiting ------------------------------------------------------------------ */

/* A connection that a SYN has made, until the handshake's last ACK. What a cookie gives back as
 * well, then on the stack of the call. */
struct tcp_request {
    struct tcp_flow flow;
    struct tcp_listener *listener;
    struct tcp_request *next, *prev; /* of its listener, newest first; the pool's by next */
    struct wheel_timer timer;
    uint64_t sent_ns;      /* the SYN-ACK, if it was sent once: an RTT sample; else 0 */
    uint64_t challenge_ns; /* as tcp_conn's */
    uint32_t irs, iss;
    uint32_t ts_recent, ts_offset;
    uint16_t mss_peer;
    uint16_t window; /* as the SYN-ACK has it: bytes */
    uint8_t send_wscale;
    uint8_t recv_wscale;
    uint8_t tries; /* SYN-ACKs sent again because no answer came */
    bool timestamps, sack, wscale, ecn;
    bool held; /* the handshake is complete, but its owner could not take it */
};

struct tcp_time_wait {
    struct tcp_flow flow;
    struct tcp_time_wait *next, *prev; /* all, oldest first */
    struct wheel_timer timer;
    uint32_t rcv_nxt, snd_nxt;
    uint32_t ts_recent, ts_offset;
    uint64_t ts_recent_ns;
    uint64_t challenge_ns;
    uint16_t window; /* as the last ACK had it */
    bool timestamps;
};

/* Several kinds of things hang on one wheel. */
enum tcp_timer_kind { TCP_WHEEL_CONN, TCP_WHEEL_REQUEST, TCP_WHEEL_TIME_WAIT };

struct tcp_stack { /* stack->tcp */
    struct tcp_config config;
    struct tcp_secret secret;
    struct wheel wheel;
    uint64_t wheel_due_ns; /* not after the wheel's first timer */
    /* a ring of those that have something to do: positions, free-running; never overflows, as each
     * connection is in it once */
    struct tcp_conn **ready;
    uint32_t ready_head, ready_tail, ready_mask;
    struct tcp_flow **chains;
    uint32_t shift;
    uint64_t key;
    /* pools */
    struct tcp_conn *conns, *conn_free;
    uint32_t conn_count;
    uint32_t conns_used; /* of the array, ever: what lies behind has never been touched */
    struct tcp_conn *blocked,
        *blocked_last; /* found no transmit buffer; the oldest goes on first */
    struct tcp_conn *waiting, **waiting_end; /* their SYNs wait for the MAC of a neighbour */
    struct tcp_sent *sent;
    uint32_t sent_free, sent_free_count;
    uint32_t sent_holders; /* connections that have records */
    struct tcp_range *ranges;
    uint32_t range_free, range_free_count;
    struct tcp_request *requests, *request_free;
    uint32_t request_count;
    struct tcp_time_wait *time_waits, *time_wait_free, *time_wait_first, *time_wait_last;
    uint32_t time_wait_count;
    struct tcp_listener **listener_chains;
    uint32_t listener_shift, listener_count;
    /* Set by tcp_time_wait_input for the tcp_listen_input that follows with the same SYN. */
    bool iss_min_valid;
    uint32_t iss_min;
    uint64_t
        cookies_until_ns; /* SYN cookies were sent lately: their ACKs are looked at till then */
    uint64_t challenge_second_ns; /* RFC 5961 section 7 */
    uint32_t challenge_left;
    uint32_t port_round; /* RFC 6056 */
};

/* ---- tcp.c: pools, flow table, life ---------------------------------------------------------- */

RS_CHECK_RESULT enum rs_status tcp_stack_init(struct stack *stack, const struct tcp_config *config);
void tcp_stack_destroy(struct stack *stack);
struct tcp_flow **tcp_flow_chain(const struct stack *stack, uint32_t local_be32,
                                 uint16_t local_port_be16, uint32_t peer_be32,
                                 uint16_t peer_port_be16);
struct tcp_flow *tcp_flow_find(const struct stack *stack, uint32_t local_be32,
                               uint16_t local_port_be16, uint32_t peer_be32,
                               uint16_t peer_port_be16);
void tcp_flow_insert(struct stack *stack, struct tcp_flow *flow);
void tcp_flow_remove(struct stack *stack,
                     struct tcp_flow *flow); /* harmless when not in the table */
/* A connection from the pool, all zero but for its empty lists, settings, route and timers; not in
 * the table. NULL: none left (counted). */
struct tcp_conn *tcp_conn_new(struct stack *stack, const struct tcp_settings *settings,
                              uint32_t local_be32, uint32_t peer_be32);
/* Back to the pool; nothing may refer to it any more. */
void tcp_conn_free(struct stack *stack, struct tcp_conn *conn);
/* Sequence numbers of a connection whose SYN (or SYN-ACK) has the number iss, and the offset of its
 * timestamps. */
void tcp_conn_start(struct stack *stack, struct tcp_conn *conn, uint32_t iss);
void tcp_conn_set_rings(struct tcp_conn *conn, const struct tcp_rings *rings);
void tcp_set_state(struct stack *stack, struct tcp_conn *conn, enum tcp_state state);
/* The connection is over with an error: no timer, no segment any more, TCP_EVENT_ERROR. */
void tcp_fail(struct stack *stack, struct tcp_conn *conn, enum rs_status error);
/* Over in order: the flow goes on as a tcp_time_wait (time_wait), or at once. */
void tcp_finish(struct stack *stack, struct tcp_conn *conn, bool time_wait);
/* The connection has something to do in the next tcp_run. */
void tcp_ready(struct stack *stack, struct tcp_conn *conn);
/* Ends an iteration: timers that are due, then segments and events of all that are ready. */
void tcp_run(struct stack *stack);
/* No timer or turn of a connection is due before. */
uint64_t tcp_next_ns(const struct stack *stack);
/* The connection and its owner part: TCP_EVENT_GONE in this turn. */
void tcp_let_go(struct stack *stack, struct tcp_conn *conn);

#define TCP_TRACE(stack, flow_at, event_name, value_a, value_b)                     \
    trace_add(&(stack)->trace,                                                      \
              &(struct trace_record){.tsc = (stack)->now_tsc,                       \
                                     .local_be32 = (flow_at)->local_be32,           \
                                     .peer_be32 = (flow_at)->peer_be32,             \
                                     .local_port_be16 = (flow_at)->local_port_be16, \
                                     .peer_port_be16 = (flow_at)->peer_port_be16,   \
                                     .event = TRACE_##event_name,                   \
                                     .a = (uint32_t)(value_a),                      \
                                     .b = (uint32_t)(value_b)})

static inline bool tcp_has(const struct tcp_conn *conn, uint32_t feature)
{
    return (conn->features & feature) != 0;
}

/* Whether one that has `held` of a pool may have another one: three times of what is still free, so
 * that however many others hold what they have for ever there is some for the next. */
static inline bool tcp_pool_share(uint32_t held, uint32_t free_count)
{
    return held / 3 < free_count;
}

static inline uint32_t tcp_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* RFC 9293 3.10.7.4, first step: some of the segment lies in the window, or, when it takes no
 * sequence number, it stands where the window is. */
static inline bool tcp_seq_acceptable(uint32_t rcv_nxt, uint32_t window_bytes, uint32_t seq,
                                      uint32_t end)
{
    if (seq == end) {
        return seq == rcv_nxt || rs_seq_distance(rcv_nxt, seq) < window_bytes;
    }
    return rs_seq_before(seq, rcv_nxt + window_bytes) && rs_seq_before(rcv_nxt, end);
}

/* The MSS that we announce (RFC 9293 3.7.1, 6691: IP and TCP headers without options taken off). */
static inline uint16_t tcp_mss_offered(uint32_t mtu_bytes, const struct tcp_settings *settings)
{
    uint32_t mss = tcp_min_u32(mtu_bytes, 65535) - IPV4_HEADER_BYTES - TCP_HEADER_BYTES;
    return (uint16_t)(settings->mss_max != 0 ? tcp_min_u32(mss, settings->mss_max) : mss);
}

/* The smallest scale by which a window of that size can be announced (RFC 7323 section 2). */
static inline uint8_t tcp_wscale_for(uint32_t window_bytes)
{
    uint8_t shift = 0;
    while (shift < TCP_WSCALE_MAX && 65535u << shift < window_bytes) {
        shift++;
    }
    return shift;
}

/* For stack_prefetch: what a segment of the flow will touch, */
static inline void tcp_flow_fetch(const struct tcp_flow *flow)
{
    if (flow->kind == TCP_FLOW_CONN) {
        tcp_conn_fetch((const struct tcp_conn *)(const void *)flow, RS_LINE_BYTES, TCP_HOT_BYTES);
    }
}

/* and then, once that is there, what it points to, and what an ACK of data needs. */
static inline void tcp_flow_fetch_more(const struct tcp_flow *flow)
{
    const struct tcp_conn *conn = (const struct tcp_conn *)(const void *)flow;
    if (flow->kind == TCP_FLOW_CONN) {
        __builtin_prefetch(conn->recv_tail_word, 1);
        __builtin_prefetch(conn->recv_head_word);
        __builtin_prefetch(conn->recv.base + (conn->recv.tail & (conn->recv.size_bytes - 1)), 1);
        if (conn->snd_una != conn->snd_nxt) {
            tcp_conn_fetch(conn, TCP_HOT_BYTES, TCP_WARM_BYTES);
        }
    }
}

/* The timestamp clock, 1 ms (RFC 7323 5.4), without a connection's offset. */
uint32_t tcp_ts_clock(const struct stack *stack);

/* ---- tcp_input.c ----------------------------------------------------------------------------- */

void tcp_input(struct stack *stack, const struct ipv4_packet *packet);
/* An ICMP error quotes a segment of ours (RFC 5927: its sequence number must be under way). mtu: of
 * "fragmentation needed", else 0. False: no such connection. */
bool tcp_icmp_error(struct stack *stack, const uint8_t *quote, uint32_t quote_bytes,
                    uint32_t local_be32, uint32_t peer_be32, enum rs_status error, uint32_t mtu);
/* The SYN waits until the next hop's MAC is known, once however often it is said. */
void tcp_neighbour_wait(struct stack *stack, struct tcp_conn *conn);
/* The MAC is there (RS_OK), or the neighbour is given up. */
void tcp_neighbour_known(struct stack *stack, uint32_t ip_be32, enum rs_status status);
/* A packet of ours, IPv4 header in place, will not be sent. */
void tcp_report_unsent(struct stack *stack, const struct pkt *pkt, enum rs_status error);
/* The handshake's answers of an active or passive open, in one place: what was agreed on. */
void tcp_take_options(struct stack *stack, struct tcp_conn *conn,
                      const struct tcp_options *options);

/* ---- tcp_receive.c --------------------------------------------------------------------------- */

/* The payload of an acceptable segment, any part of it inside the window: into the ring, and what
 * that means for ACKs. True: data, or a FIN, came in order. */
void tcp_receive_data(struct stack *stack, struct tcp_conn *conn,
                      const struct tcp_segment *segment);
void tcp_receive_forget(struct stack *stack, struct tcp_conn *conn); /* gives the ranges back */
/* The window to announce now, in bytes; moves rcv_adv on. */
uint32_t tcp_receive_window(struct tcp_conn *conn);
/* SACK blocks for the next ACK: D-SACK first, then the newest. Returns the count, at most max. */
uint32_t tcp_receive_sack(const struct stack *stack, struct tcp_conn *conn,
                          struct tcp_sack_block *blocks, uint32_t max);
void tcp_receive_dsack(struct tcp_conn *conn, uint32_t start, uint32_t end);
/* The window has opened by so much that the peer should hear of it (RFC 9293 3.8.6.2.2). */
bool tcp_receive_update_due(const struct tcp_conn *conn);
/* Looks at the client's recv_head. False: it cannot be; the owner will hear RS_POISONED. */
RS_CHECK_RESULT bool tcp_receive_refresh(struct tcp_conn *conn);

/* ---- tcp_output.c ---------------------------------------------------------------------------- */

/* All that may leave now: retransmissions, new data, FIN, an ACK if one is due. */
void tcp_output(struct stack *stack, struct tcp_conn *conn);
/* An ACK now; also dup and challenge ACKs. */
void tcp_send_ack(struct stack *stack, struct tcp_conn *conn);
/* Or SYN-ACK, by the state. A SYN that finds no buffer leaves BLOCKED set: outside of a turn the
 * caller puts the connection on the ready list then. */
void tcp_send_syn(struct stack *stack, struct tcp_conn *conn);
/* Of a synchronised connection, which the caller ends. Without a buffer RESET_DUE is set and it is
 * sent in a later turn; GONE waits for that, unless the NIC is stuck. */
void tcp_send_reset(struct stack *stack, struct tcp_conn *conn);
/* RFC 9293 3.8.4, 3.8.6.1: a segment with no or one byte that the peer must answer. */
void tcp_send_probe(struct stack *stack, struct tcp_conn *conn);
/* Sends again: [start of record, at most bytes); splits the record. False: no buffer. */
bool tcp_retransmit(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx,
                    uint32_t max_bytes);
/* New data whatever the windows' rules of silliness say, up to one segment (tail loss probe,
 * persist); false: none could be sent. */
bool tcp_send_forced(struct stack *stack, struct tcp_conn *conn, uint32_t max_bytes);

/* A segment without payload, of no connection or for one. */
struct tcp_control {
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    uint32_t seq, ack;
    uint16_t window; /* as it stands in the header */
    uint8_t flags;
    uint8_t ttl, tos;
    struct tcp_options options;
};
/* False: no buffer (counted). */
bool tcp_send_control(struct stack *stack, const struct tcp_control *control);
/* RFC 9293 3.10.7.1: the answer to a segment that belongs to nothing. Not to a reset, not to a
 * group; at a bounded rate. */
void tcp_refuse(struct stack *stack, const struct tcp_segment *segment);
void tcp_update_mss(struct tcp_conn *conn); /* from path_mtu, mss_peer, options */

/* ---- tcp_timer.c ----------------------------------------------------------------------------- */

void tcp_timer_set(struct stack *stack, struct tcp_conn *conn, enum tcp_timer timer,
                   uint64_t due_ns);
void tcp_timer_clear(struct tcp_conn *conn, enum tcp_timer timer);
/* The wheel's: also of requests and TIME_WAITs, whose timers this keeps wheel_due_ns true for. */
void tcp_wheel_set(struct stack *stack, struct wheel_timer *timer, enum tcp_timer_kind kind,
                   uint64_t due_ns);
void tcp_timers(struct stack *stack); /* runs what is due */
/* How often a SYN or SYN-ACK is sent again, and when for the first time: the socket's, else the
 * queue's. */
uint32_t tcp_syn_tries(const struct stack *stack, const struct tcp_settings *settings);
uint64_t tcp_syn_rto_ns(const struct stack *stack, const struct tcp_settings *settings);
/* After an ACK or a send: timeout, probe, persist or nothing. */
void tcp_rearm_retransmit(struct stack *stack, struct tcp_conn *conn);
/* Something came from the peer: keep-alive starts again. */
void tcp_keepalive_touch(struct stack *stack, struct tcp_conn *conn);
/* due_ns, or when the user timeout (RFC 5482) is over, if that is sooner: it ends a connection at
 * its time, not at the next try. */
uint64_t tcp_user_due_ns(const struct tcp_conn *conn, uint64_t due_ns);
/* Its settings were changed while it was on: they count from what came last. */
void tcp_keepalive_reset(struct stack *stack, struct tcp_conn *conn);
/* The path takes packets of mtu bytes only; 0: less than now. */
void tcp_lower_mtu(struct stack *stack, struct tcp_conn *conn, uint32_t mtu);
/* RFC 5961: true when a challenge ACK may be sent now. challenge_ns: the flow's own. */
bool tcp_challenge_pass(struct stack *stack, uint64_t *challenge_ns);

/* ---- tcp_ack.c, tcp_sack.c, tcp_recovery.c --------------------------------------------------- */

/* conn->loss as of a fresh connection; the congestion window too once mss is known. */
void tcp_loss_init(struct stack *stack, struct tcp_conn *conn);
void tcp_loss_forget(struct stack *stack, struct tcp_conn *conn); /* gives the records back */
/* A segment's acknowledgment, its ack in [snd_una - snd_wnd_max, snd_nxt]: window, records, RTT,
 * SACK, loss recovery, congestion window, timers, send_head. Does not send; marks ready. */
void tcp_ack_input(struct stack *stack, struct tcp_conn *conn, const struct tcp_segment *segment);
/* [start, end) was sent for the first time, now. */
void tcp_sent_append(struct stack *stack, struct tcp_conn *conn, uint32_t start, uint32_t end,
                     bool fin);
/* The record with bytes at its start was sent again, now. Splits it when bytes is less than it has.
 */
void tcp_sent_again(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t bytes);
/* Cuts a record in two behind its first `bytes`. False: no record left. */
bool tcp_sent_split(struct stack *stack, struct tcp_conn *conn, uint32_t sent_idx, uint32_t bytes);
/* The next record to send again, TCP_NO_INDEX: none. */
uint32_t tcp_loss_next(struct stack *stack, struct tcp_conn *conn);
uint32_t tcp_in_flight(const struct tcp_conn *conn); /* RFC 6675 pipe, bytes */
/* Bytes that the congestion window lets out now, PRR, limited transmit (RFC 3042), idle restart
 * (RFC 5681 4.1, 2861) included. */
uint32_t tcp_loss_allowance(struct stack *stack, struct tcp_conn *conn);
/* Timer TCP_TIMER_RETRANSMIT fired in this mode; do not send, mark ready (a probe is sent). */
void tcp_loss_timeout(struct stack *stack, struct tcp_conn *conn);
void tcp_loss_reorder_timer(struct stack *stack, struct tcp_conn *conn);
void tcp_loss_probe_timer(struct stack *stack, struct tcp_conn *conn);
/* ICMP says that large segments do not fit: marks those as lost that are larger than the segment
 * size is now, without touching the congestion window (it was no congestion). */
void tcp_loss_resend_too_large(struct stack *stack, struct tcp_conn *conn);
/* A round trip measured (RFC 6298). */
void tcp_rtt_sample(struct stack *stack, struct tcp_conn *conn, uint64_t rtt_ns);
/* The round trip of the handshake: by when our SYN was sent, 0 when it was more than once; then by
 * the timestamp that the answer echoes (RFC 7323 4.1), if there is one. */
void tcp_rtt_handshake(struct stack *stack, struct tcp_conn *conn, uint64_t sent_ns,
                       const struct tcp_options *options);
uint64_t tcp_rto_ns(const struct tcp_conn *conn); /* with backoff */
/* RFC 8985 7.2: when to probe; UINT64_MAX: not now. */
uint64_t tcp_loss_probe_due_ns(const struct stack *stack, const struct tcp_conn *conn);

/* ---- tcp_listen.c, tcp_request.c --------------------------------------------------------------
 */

/* NULL: nobody listens there. A listener with that address comes before one with any. */
struct tcp_listener *tcp_listener_find(const struct stack *stack, uint32_t local_be32,
                                       uint16_t local_port_be16);
/* A SYN now would be kept: there is a place for it in the backlog and among the half-open. */
/* False: the owner cannot take a connection now (stack_upcalls.tcp_room). */
bool tcp_listener_may_accept(struct stack *stack, struct tcp_listener *listener);
bool tcp_listener_takes_syn(const struct stack *stack, const struct tcp_listener *listener);
/* A segment to a listener's address that belongs to no flow; what became of it is a counter's id,
 * of the groups USED and DROP_IN. */
enum counter_id tcp_listen_input(struct stack *stack, struct tcp_listener *listener,
                                 const struct tcp_segment *segment);

/* What all requests have: names, irs, window, offsets; no options agreed on yet. Not in the table,
 * not on a list. */
void tcp_request_init(struct stack *stack, struct tcp_listener *listener,
                      const struct tcp_segment *segment, uint32_t irs, struct tcp_request *out);
/* Takes one from the pool, which must have one, as a copy of `made`; into the table, its SYN-ACK
 * sent, its timer set. */
void tcp_request_keep(struct stack *stack, const struct tcp_request *made);
/* The SYN-ACK. False: no buffer (counted). */
bool tcp_request_send(struct stack *stack, const struct tcp_request *request, uint32_t tsval);
/* It becomes no connection: tells the peer, which may think that it is connected, and drops. */
void tcp_request_reset(struct stack *stack, struct tcp_request *request);
/* The handshake's last ACK came: makes the connection, which gets the segment. The request is gone
 * afterwards, unless the backlog has no place and the peer may try again. */
enum counter_id tcp_request_complete(struct stack *stack, struct tcp_request *request,
                                     const struct tcp_segment *segment);
/* For a half-open connection. */
enum counter_id tcp_request_input(struct stack *stack, struct tcp_request *request,
                                  const struct tcp_segment *segment);
void tcp_request_timer(struct stack *stack, struct tcp_request *request);
/* An ICMP error that quotes its SYN-ACK, the sequence number checked. */
void tcp_request_icmp(struct stack *stack, struct tcp_request *request, enum rs_status error);
/* tcp_input.c's: a segment for a connection in SYN_RECEIVED or later. */
enum counter_id tcp_conn_input(struct stack *stack, struct tcp_conn *conn,
                               const struct tcp_segment *segment);

static inline struct tcp_secret_flow tcp_secret_flow_of(const struct tcp_flow *flow)
{
    return (struct tcp_secret_flow){.local_be32 = flow->local_be32,
                                    .peer_be32 = flow->peer_be32,
                                    .local_port_be16 = flow->local_port_be16,
                                    .peer_port_be16 = flow->peer_port_be16};
}

/* ---- tcp_time_wait.c ------------------------------------------------------------------------- */

/* The connection's flow is taken over by a time-wait record; conn leaves the table. */
void tcp_time_wait_enter(struct stack *stack, struct tcp_conn *conn);
/* RFC 9293 3.10.7.4, 1337, 6191. A SYN that may open a new connection ends it: *reopen true, then
 * the same segment goes to tcp_listen_input of the listener at its address (there is one), and what
 * was returned counts nothing. */
enum counter_id tcp_time_wait_input(struct stack *stack, struct tcp_time_wait *wait,
                                    const struct tcp_segment *segment, bool *reopen);
void tcp_time_wait_timer(struct stack *stack, struct tcp_time_wait *wait);
/* The pair may be used again for a connect: timestamps tell the peer old segments from new ones,
 * and the last one it sent is a second old. */
bool tcp_time_wait_reusable(const struct stack *stack, const struct tcp_time_wait *wait);
/* For connect: true when the pair may be used again; then it is gone and *iss is above its last
 * sequence number. */
bool tcp_time_wait_reuse(struct stack *stack, struct tcp_time_wait *wait, uint32_t *iss);

/* ---- tcp_port.c ------------------------------------------------------------------------------ */

/* An ephemeral port (49152 to 65535, RFC 6335, 6056) for this pair, network order, that is bound by
 * nobody, makes no known flow, and whose answers the NIC gives to this queue; a TIME_WAIT that may
 * be reused does not count as a flow. At most 4096 ports are tried, because the poll loop waits;
 * the next call goes on behind them. 0: none found. */
uint16_t tcp_port_choose(struct stack *stack, uint32_t local_be32, uint32_t peer_be32,
                         uint16_t peer_port_be16);

#endif
