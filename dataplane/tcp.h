/*
 * TCP (RFC 9293) of one stack: connections, listeners, what a program may do with them, what they
 * tell it. The bytes lie in the socket's rings: sent, and sent again, straight from the send ring;
 * received, also ahead of a gap, straight into the receive ring. Queue thread only, but for
 * tcp_backlog and tcp_config_default. Called by the queue's request code; the segments come from
 * ipv4_input. Nothing here allocates after stack_create.
 *
 * Nothing is sent from inside these calls: a connection that has something to send is put on the
 * stack's ready list, and stack_timers, which ends an iteration, sends for all on it. So what one
 * iteration brought, frames and posts, leaves in as few segments as can be.
 */
#ifndef RINGSOCK_DATAPLANE_TCP_H
#define RINGSOCK_DATAPLANE_TCP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp_limit.h"
#include "rings/layout.h"
#include "rings/status.h"

struct stack;
struct tcp_conn;
struct tcp_request;

enum tcp_state {             /* as enum rs_tcp_state */
                 TCP_CLOSED, /* over; the owner may still read what lies in the receive ring */
                 TCP_SYN_SENT,
                 TCP_SYN_RECEIVED,
                 TCP_ESTABLISHED,
                 TCP_FIN_WAIT_1,
                 TCP_FIN_WAIT_2,
                 TCP_CLOSE_WAIT,
                 TCP_CLOSING,
                 TCP_LAST_ACK,
                 TCP_TIME_WAIT,
                 TCP_LISTEN, /* of no connection: for texts and reports */
                 TCP_STATE_COUNT
};

const char *tcp_state_name(enum tcp_state state); /* "ESTABLISHED"; "?" for any other value */

enum tcp_congestion_kind {
    TCP_CONGESTION_DEFAULT, /* of the queue */
    TCP_CONGESTION_CUBIC,   /* RFC 9438 */
    TCP_CONGESTION_NONE,    /* for private links: no congestion window, losses are still repaired */
    TCP_CONGESTION_COUNT
};

enum tcp_ecn { TCP_ECN_OFF, TCP_ECN_PASSIVE /* when the peer asks */, TCP_ECN_ON };

/* What tcp_config_default gives, and configuration files that say nothing else. */
#define TCP_DEFAULT_INITIAL_WINDOW 10 /* RFC 6928 */
#define TCP_DEFAULT_SYN_TRIES      6
#define TCP_DEFAULT_DATA_TRIES     15
#define TCP_DEFAULT_ORPHAN_TRIES   8
#define TCP_DEFAULT_RTO_MIN_MS     200
#define TCP_DEFAULT_DELAYED_ACK_MS 40
#define TCP_DEFAULT_TIME_WAIT_S    60
#define TCP_DEFAULT_FIN_WAIT_S     60

/* Per queue; all checked by config.c before it comes here. Times 0: as tcp_config_default. */
struct tcp_config {
    uint32_t connections_max; /* 0: none, every segment is answered with a reset */
    uint32_t listeners_max;
    uint32_t requests_max;   /* connections half open by a peer's SYN; beyond these: SYN cookies */
    uint32_t time_waits_max; /* the oldest is given up for a new one */
    uint32_t records_max;    /* segments in flight, beyond one for each connection */
    uint32_t ranges_max;     /* pieces ahead of a gap, of all connections */
    uint8_t congestion;      /* enum tcp_congestion_kind, not DEFAULT */
    uint8_t ecn;             /* enum tcp_ecn */
    bool ack_immediate;      /* acknowledge each segment at once: the latency profile */
    uint8_t initial_window;  /* segments, RFC 6928: 10 */
    uint8_t syn_tries;       /* SYNs, or SYN-ACKs, sent again before giving up */
    uint8_t data_tries;      /* timeouts in a row before a connection is given up */
    uint8_t orphan_tries;    /* the same when its program is gone */
    uint64_t rto_min_ns, rto_max_ns, rto_initial_ns;
    uint64_t delayed_ack_ns;
    uint64_t time_wait_ns;
    uint64_t fin_wait_ns; /* in FIN_WAIT_2 when its program is gone */
    uint8_t secret[16];   /* of sequence numbers and cookies; the same on all queues */
    /* Ports that somebody has bound: bit (port & 31) of word [port / 32], port in host order.
     * Written by the control thread, read by tcp_connect when it chooses a port. NULL: none. */
    const rs_atomic_u32 *ports_bound;
};

/* Linux's values, and limits for `connections` connections. The secret is not set. */
struct tcp_config tcp_config_default(uint32_t connections);

/* A socket's options. All zero: the queue's and the protocol's defaults. */
struct tcp_settings {
    bool nodelay : 1;       /* no Nagle (RFC 9293 3.7.4) */
    bool ack_immediate : 1; /* as tcp_config, for this socket */
    bool keepalive : 1;     /* RFC 9293 3.8.4 */
    bool
        no_timestamps : 1; /* none of RFC 7323's, scaling stays; taken at connect and listen only */
    uint8_t congestion;    /* enum tcp_congestion_kind; taken at connect and listen only */
    uint8_t ttl, tos;      /* 0: 128 and 0; the two low bits of tos are ECN's, ignored */
    uint16_t mss_max;      /* 0: by the MTU */
    uint8_t keep_count;    /* 0: 10, as Windows */
    /* of the handshake */
    uint8_t syn_sends;         /* SYNs, or SYN-ACKs, in all; 0: the queue's syn_tries and one */
    uint16_t syn_rto_ms;       /* until one is sent again, before the backoff; 0: the queue's */
    uint32_t keep_idle_ms;     /* 0: 2 hours */
    uint32_t keep_interval_ms; /* 0: 1 s, as Windows */
    uint32_t
        user_timeout_ms; /* RFC 5482: longest time data may wait for an ACK; 0: by data_tries */
};
static_assert(sizeof(struct tcp_settings) == 24, "lies in a hot line of tcp_conn");

/*
 * Where a connection's bytes and words lie: session memory, borrowed until TCP_EVENT_GONE. Ring
 * positions start at 0. recv_head is client-written and checked at each look.
 */
struct tcp_rings {
    uint8_t *send_base, *recv_base;
    uint32_t send_bytes, recv_bytes; /* powers of two */
    uint32_t recv_limit_bytes;       /* SO_RCVBUF: what the peer may have on the way */
    rs_atomic_u32 *send_head;        /* stored: all before it is acknowledged */
    rs_atomic_u32 *recv_tail;        /* stored: all before it may be read */
    const rs_atomic_u32 *recv_head;  /* loaded: all before it is consumed */
    /* Stored before the recv_tail that passes the byte: the position after it, then a count of such
     * marks. NULL: nobody wants to know but by TCP_EVENT_URGENT. */
    rs_atomic_u32 *urgent_pos, *urgent_seq;
};

/* What stack_upcalls.tcp_event tells, several at a time. */
enum {
    TCP_EVENT_CONNECTED = 1, /* the handshake is complete */
    TCP_EVENT_READABLE = 2,  /* recv_tail moved on */
    TCP_EVENT_WRITABLE = 4,  /* send_head moved on */
    TCP_EVENT_END = 8,       /* the peer has sent its last byte */
    TCP_EVENT_URGENT = 16,   /* tcp_info.urgent_pos is new (BSD's meaning: one past the byte) */
    TCP_EVENT_ERROR = 32,    /* it is over, tcp_error says why; the rings' contents stay */
    TCP_EVENT_FINISHED = 64, /* both directions ended, all is acknowledged */
    TCP_EVENT_GONE = 128     /* after tcp_close: rings and conn are free from now on. Always last */
};

/* Places in the queue of connections that a program has not accepted yet: one for the parts that a
 * listener has on all queues. */
struct tcp_backlog {
    rs_atomic_u32 used;  /* partner: the other queues, and who accepts */
    rs_atomic_u32 limit; /* the same; may change at any time */
};

/* Any thread. False: all places are taken. */
bool tcp_backlog_reserve(struct tcp_backlog *backlog);
void tcp_backlog_release(struct tcp_backlog *backlog);

/* A queue's part of a listening socket; embedded in its owner. */
struct tcp_listener {
    struct tcp_listener *chain_next;   /* tcp_listen.c only, as all in this block */
    struct tcp_request *request_first; /* half-open connections, newest first */
    uint32_t requests;                 /* their number */
    uint32_t held;                     /* of those: complete, but tcp_room said no */
    bool listening;
    uint32_t local_be32; /* 0: any */
    uint16_t local_port_be16;
    bool reset_when_full; /* refuse at once (Windows) instead of letting the peer try again (Linux)
                           */
    struct tcp_settings settings; /* of its connections */
    struct tcp_backlog *backlog;
    uint32_t recv_window_bytes; /* of a fresh receive ring: what SYN-ACKs announce */
    void *owner;
};

struct tcp_connect_args {
    uint32_t local_be32;      /* 0: by the route */
    uint16_t local_port_be16; /* 0: an ephemeral one whose answers the NIC gives to this queue */
    uint16_t peer_port_be16;
    uint32_t peer_be32;
    const struct tcp_rings *rings;
    const struct tcp_settings *settings; /* NULL: all zero */
    void *owner;
};

struct tcp_info {
    enum tcp_state state;
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    uint32_t mss_bytes;
    uint32_t cwnd_bytes, ssthresh_bytes, in_flight_bytes, snd_wnd_bytes, rcv_wnd_bytes;
    uint32_t recv_limit_bytes;
    uint32_t unsent_bytes, unacked_bytes, unread_bytes, ahead_bytes; /* ahead: behind a gap */
    uint64_t rtt_ns, rtt_var_ns, rtt_min_ns, rto_ns;
    uint64_t sent_bytes; /* for the first time */
    uint64_t received_bytes, retransmitted_bytes, reordered_bytes;
    uint32_t retransmits, timeouts, fast_recoveries, undos, duplicate_segments;
    uint32_t dup_acks, timeout_episodes, syn_retransmits;
    struct tcp_limits limits; /* in ns; retransmissions count as sent */
    uint32_t urgent_pos;      /* ring position of the newest urgent mark received */
    bool timestamps, sack, window_scaling, ecn;
    uint8_t send_wscale, recv_wscale;
    const char *congestion;
    uint64_t connected_ns; /* the clock of stack_set_now; 0: not yet */
    uint64_t lifetime_ns;  /* from then until now, or until it was over */
};

/*
 * Opens a connection; TCP_EVENT_CONNECTED or _ERROR follow. RS_INVALID: ring sizes, group or zero
 * address; RS_NET_UNREACHABLE: no route, or no link; RS_ADDR_NOT_AVAILABLE: local_be32 is not ours,
 * or port 0 of the peer; RS_ADDR_IN_USE: that connection exists, or no ephemeral port is left;
 * RS_NO_BUFFERS: connections_max reached; RS_NOT_SUPPORTED: an own address (local connections need
 * no segments).
 */
RS_CHECK_RESULT enum rs_status tcp_connect(struct stack *stack, const struct tcp_connect_args *args,
                                           struct tcp_conn **out);
/* From now on SYNs to its address and port make connections, given to stack_upcalls.tcp_accept. The
 * caller filled in the second block. RS_ADDR_IN_USE: another one here has both the same;
 * RS_NO_BUFFERS: listeners_max. */
RS_CHECK_RESULT enum rs_status tcp_listen(struct stack *stack, struct tcp_listener *listener);
/* tcp_room would say yes again, for one connection: the one that waits longest is asked to say its
 * ACK once more, at once and not when its timer is due. */
void tcp_listener_resume(struct stack *stack, struct tcp_listener *listener);
/* Half-open connections are reset with it; harmless when it does not listen. */
void tcp_listener_close(struct stack *stack, struct tcp_listener *listener);

/* The send ring is filled up to `tail`. RS_POISONED: that cannot be; RS_SHUTDOWN after
 * tcp_shutdown_send; RS_NOT_CONNECTED. */
RS_CHECK_RESULT enum rs_status tcp_send_tail(struct stack *stack, struct tcp_conn *conn,
                                             uint32_t tail);
/* The same, and the last byte is urgent. */
RS_CHECK_RESULT enum rs_status tcp_send_urgent(struct stack *stack, struct tcp_conn *conn,
                                               uint32_t tail);
/* The program may have read: looks at recv_head, opens the window. RS_POISONED: it cannot be. */
RS_CHECK_RESULT enum rs_status tcp_recv_consumed(struct stack *stack, struct tcp_conn *conn);
/* The position of recv_head from which on tcp_recv_consumed would have something to announce, by
 * what is announced now. False: there is none before more has arrived, or ever; the position is one
 * that cannot be reached. */
bool tcp_recv_notify(const struct tcp_conn *conn, uint32_t *position);
/* FIN behind what is in the send ring. RS_NOT_CONNECTED. Twice is fine. */
RS_CHECK_RESULT enum rs_status tcp_shutdown_send(struct stack *stack, struct tcp_conn *conn);
/* What arrives from now on resets the connection (Windows' SD_RECEIVE). */
void tcp_shutdown_recv(struct stack *stack, struct tcp_conn *conn);
void tcp_set_settings(struct stack *stack, struct tcp_conn *conn,
                      const struct tcp_settings *settings);
/* Looks there from now on instead; so far nothing was consumed by the old word. */
/* Bytes and words lie elsewhere from now on: in rings of the same sizes, at the same positions.
 * recv_limit_bytes and the sizes are not looked at. */
/* How far behind the tail there may be bytes that came ahead of a gap. */
uint32_t tcp_recv_ahead_bytes(const struct stack *stack, const struct tcp_conn *conn);
uint32_t tcp_recv_head(const struct tcp_conn *conn); /* as of the last look at that word */
void tcp_move_rings(struct tcp_conn *conn, const struct tcp_rings *rings);
void tcp_set_recv_head(struct tcp_conn *conn, const rs_atomic_u32 *recv_head);
/* SO_RCVBUF; at most the ring. What is announced already stays announced. */
void tcp_set_recv_limit(struct stack *stack, struct tcp_conn *conn, uint32_t limit_bytes);
/*
 * The owner goes. What is in the send ring is still sent, then FIN; after linger_ns (0: no limit
 * but orphan_tries) what is left is given up with a reset. With unread or still arriving data: a
 * reset at once (RFC 2525 2.17). conn may be used no more, but for tcp_abort; TCP_EVENT_GONE
 * follows, at the earliest in the next stack_timers, and until then the rings are read.
 */
void tcp_close(struct stack *stack, struct tcp_conn *conn, uint64_t linger_ns);
/* Reset (also linger 0); nothing is sent any more. As tcp_close otherwise. A reset without a
 * transmit buffer waits for one, and GONE with it, unless the NIC is stuck. */
void tcp_abort(struct stack *stack, struct tcp_conn *conn);

/* On a quiet connection: does what sending len_bytes behind the newest tail would, up to a whole
 * frame, and throws that away, so that their send finds code and data in the cache. Changes
 * nothing. */
void tcp_warm(struct stack *stack, const struct tcp_conn *conn, uint32_t len_bytes);
/* Before several calls for different connections: lets their cache misses overlap. */
void tcp_prefetch(const struct tcp_conn *conn);
void *tcp_owner(const struct tcp_conn *conn);          /* until TCP_EVENT_GONE, that included */
enum rs_status tcp_error(const struct tcp_conn *conn); /* RS_OK, or why it is over */
void tcp_get_info(const struct stack *stack, const struct tcp_conn *conn, struct tcp_info *out);
uint32_t tcp_connection_count(const struct stack *stack); /* closed but not yet free included */

#endif
