/*
 * The shared-memory contract between one client process and the dataplane: every structure both
 * sides see, byte for byte. The protocol that moves these bytes is in rings/README.md; the code
 * that obeys it in slot_ring.h, dgram_ring.h, stream_ring.h, hint_ring.h and wakeup.h. Both sides
 * link this folder and share nothing else.
 *
 * Two kinds of memory, by writer. 'dp' memory is written by the dataplane only; a client can map it
 * read-only at most. 'cl' memory is written by the client only; the dataplane loads each word of it
 * once, copies it, checks the copy and uses only the copy.
 *
 * Any change here bumps RS_LAYOUT_VERSION; tests/abi holds the golden sizes and offsets, for 64-bit
 * and 32-bit builds alike.
 */
#ifndef RINGSOCK_RINGS_LAYOUT_H
#define RINGSOCK_RINGS_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/addr.h"
#include "rings/status.h"

#define RS_MAGIC          0x4b434f53474e4952ull /* "RINGSOCK" read as little-endian */
#define RS_LAYOUT_VERSION 6u

#define RS_LINE_BYTES     64u
#define RS_PAGE_BYTES     4096u
#define RS_EXTENTS_MAX    64u    /* extents of one session */
#define RS_QUEUES_MAX     8u     /* dataplane queues a session can talk to */
#define RS_ADDRESSES_MAX  16u    /* IPv4 addresses of a NIC: the primary one and 15 more */
#define RS_CHANNELS_MAX   64u    /* channels of one session: a bit each in rs_socket_arm.channels */
#define RS_SOCKETS_MAX    65536u /* upper bound of limits.sockets */
#define RS_REPLY_CELLS    16u    /* reply cells of one channel */
#define RS_INLINE_BYTES   40u    /* payload of a request slot */
#define RS_RING_MIN_BYTES 1024u  /* a socket's send or receive ring, a power of two */
#define RS_RING_MAX_BYTES (1u << 30)
#define RS_SLOTS_MAX      (1u << 20) /* of a request or hint ring */
#define RS_NO_INDEX       0xffffffffu

/* Atomics in shared memory are lock-free 32- and 64-bit words with the layout of the plain type. */
typedef _Atomic uint32_t rs_atomic_u32;
typedef _Atomic uint64_t rs_atomic_u64;
static_assert(sizeof(rs_atomic_u32) == 4 && ATOMIC_INT_LOCK_FREE == 2, "32-bit atomics");
static_assert(sizeof(rs_atomic_u64) == 8, "64-bit atomics");

/* ---- extents and references ------------------------------------------------------------------ */

enum rs_extent_kind { RS_EXTENT_NONE = 0, RS_EXTENT_DP = 1, RS_EXTENT_CL = 2 };

/* A place in session memory: offset inside an extent. Extents never move and are never resized. */
struct rs_ref {
    uint32_t extent_idx;
    uint32_t off;
};

/* One extent in the header's table. The table only grows while the session lives. */
struct rs_extent_info {
    rs_atomic_u32 kind; /* enum rs_extent_kind, stored last (release) when an extent is added */
    uint32_t generation;
    _Alignas(8) uint64_t size_bytes; /* multiple of RS_PAGE_BYTES, at most 2^32 - RS_PAGE_BYTES */
};
static_assert(sizeof(struct rs_extent_info) == 16, "layout: rs_extent_info");

/* Fixed tables made at attach. count × stride bytes from ref. */
enum rs_region_kind {
    RS_REGION_SOCKET_STATE = 0, /* dp: struct rs_socket_state[limits.sockets] */
    RS_REGION_SOCKET_DESC,      /* dp: struct rs_socket_desc[limits.sockets] */
    RS_REGION_SOCKET_CLIENT,    /* cl: struct rs_socket_client[limits.sockets] */
    RS_REGION_CHANNEL_STATE,    /* dp: struct rs_channel_state[limits.channels] */
    RS_REGION_CHANNEL_CLIENT,   /* cl: struct rs_channel_client[limits.channels] */
    RS_REGION_QUEUE_STATE,      /* dp: struct rs_queue_state[queue_count] */
    RS_REGION_COUNT
};

struct rs_region_info {
    struct rs_ref ref;
    uint32_t stride_bytes;
    uint32_t count;
};
static_assert(sizeof(struct rs_region_info) == 16, "layout: rs_region_info");

/* ---- session header: dp, extent 0, offset 0 -------------------------------------------------- */

struct rs_session_header {
    _Alignas(8) uint64_t magic;
    rs_atomic_u32
        version; /* stored last (release) by the dataplane; the client's first load (acquire) */
    uint32_t header_bytes; /* sizeof(struct rs_session_header) */
    uint64_t epoch;        /* random, new at each start of the dataplane */
    uint64_t session_id;
    /* clock: ns since the UNIX epoch = unix_base_ns + ((tsc - tsc_base) * tsc_mult >> 32), product
     * in 128 bits */
    uint64_t tsc_base;
    uint64_t unix_base_ns;
    uint64_t tsc_mult;
    uint64_t tsc_hz;
    uint32_t limit_sockets;
    uint32_t limit_channels;
    uint32_t queue_count;
    uint32_t request_slots;   /* of every request ring: a power of two, at least
                                 2 * (limit_sockets + RS_REPLY_CELLS) */
    uint32_t hint_slots;      /* slots of every hint ring, a power of two */
    uint32_t recv_ring_bytes; /* default ring sizes, powers of two */
    uint32_t send_ring_bytes;
    uint32_t spin_us; /* how long a blocking call spins before it sleeps; RS_SPIN_FOREVER: never
                         sleeps */
    uint32_t yield_in_spin; /* 1: shared-core profile, yield the processor in spin loops */
    uint32_t mtu_bytes;     /* the least of all queues */
    rs_atomic_u32 poisoned; /* enum rs_status once the dataplane has ended this session, else 0 */
    uint32_t dataplane_pid;
    uint8_t instance[32]; /* NUL-terminated */
    struct rs_extent_info extents[RS_EXTENTS_MAX];
    struct rs_region_info regions[RS_REGION_COUNT];
};
static_assert(offsetof(struct rs_session_header, extents) == 144, "layout: header");
static_assert(sizeof(struct rs_session_header) <= RS_PAGE_BYTES, "header fits a page");

#define RS_SPIN_FOREVER 0xffffffffu

/* ---- queues ---------------------------------------------------------------------------------- */

/* Per dataplane queue (dp). A spinning client that sees the heartbeat stand still asks the
 * OS. */
struct rs_queue_state {
    rs_atomic_u64 heartbeat_tsc; /* TSC, stored about every millisecond */
    uint32_t kind;               /* enum rs_nic_kind */
    uint32_t queue_idx;
    uint32_t ip_be32; /* the NIC's primary IPv4 address, 0: none; what goes there needs not fit the
                         MTU */
    uint32_t mtu_bytes;         /* of the queue's NIC; 65535 on loopback */
    uint32_t prefix_len;        /* of ip_be32 */
    rs_atomic_u32 link_changes; /* times the NIC's link went down or came up, odd: it is down;
                                   stored by the control thread, read by a client that looks */
    uint32_t more_count;        /* the NIC's further addresses, as good as the primary one */
    uint32_t more_be32[RS_ADDRESSES_MAX - 1];
    uint8_t more_prefix_len[RS_ADDRESSES_MAX - 1];
    uint8_t reserved[17];
};
static_assert(sizeof(struct rs_queue_state) == 2 * RS_LINE_BYTES, "layout: rs_queue_state");

enum rs_nic_kind { RS_NIC_LOOPBACK = 0, RS_NIC_BYPASS = 1, RS_NIC_FUNCTIONAL = 2 };

/* ---- channels -------------------------------------------------------------------------------- */

/* dp. One per client thread and queue. The cold half is written when the channel is opened. */
struct rs_channel_state {
    /* line 0: hot */
    rs_atomic_u32 request_head; /* requests consumed, published once per batch; partner: the
                                   client's room check */
    rs_atomic_u32
        hint_lost; /* counts hints that found the ring full: the client then scans all it armed */
    uint8_t reserved0[56];
    /* line 1: cold */
    uint32_t generation; /* 0: closed */
    uint32_t queue_idx;
    struct rs_ref requests; /* cl: struct rs_request[request_slots] */
    struct rs_ref hints;    /* dp: struct rs_hint[hint_slots] */
    struct rs_ref replies;  /* dp: struct rs_reply[RS_REPLY_CELLS] */
    struct rs_ref info;     /* dp: struct rs_tcp_info[RS_REPLY_CELLS]; see RS_OP_TCP_INFO */
    uint8_t reserved1[24];
};
static_assert(sizeof(struct rs_channel_state) == 2 * RS_LINE_BYTES, "layout: rs_channel_state");
static_assert(offsetof(struct rs_channel_state, generation) == RS_LINE_BYTES,
              "layout: channel lines");

/* cl. */
struct rs_channel_client {
    rs_atomic_u32 need_wakeup; /* 0: awake. Else the number of this sleep: the dataplane signals
                                  once per number */
    rs_atomic_u32 hint_head;   /* hints consumed; partner: the dataplane's room check */
    rs_atomic_u32 pressure;    /* 1: a socket may have a tail in send_level (post.h), look there */
    uint8_t reserved[52];
};
static_assert(sizeof(struct rs_channel_client) == RS_LINE_BYTES, "layout: rs_channel_client");

enum rs_op {
    RS_OP_NONE = 0,
    RS_OP_NOP,         /* control: answered by the queue itself; used to measure and to flush */
    RS_OP_SEND_INLINE, /* data: one UDP datagram of len_bytes in payload; arg = IPv4 destination (0:
                          the peer), port_be16 */
    RS_OP_POST,        /* data: the socket's send ring is filled up to the absolute position arg */
    RS_OP_OPEN,        /* control: struct rs_op_open */
    RS_OP_BIND,        /* control: struct rs_addr */
    RS_OP_CONNECT,     /* control: struct rs_addr; RS_FAMILY_NONE dissolves a UDP peer */
    RS_OP_CLOSE,       /* control: struct rs_op_close */
    RS_OP_OPTION,      /* control: struct rs_op_option */
    RS_OP_MEMBER,      /* control: struct rs_op_member */
    RS_OP_LISTEN,      /* control: struct rs_op_listen */
    RS_OP_SHUTDOWN,    /* control: struct rs_op_shutdown */
    RS_OP_URGENT,      /* data: as POST, and the last byte before arg is urgent */
    RS_OP_CONSUMED,    /* data: recv_head has passed the state line's recv_notify */
    RS_OP_TCP_INFO,    /* control: when the reply says RS_OK, struct rs_tcp_info is in the channel's
                          info[], in the place of the reply cell */
    RS_OP_WARM,        /* data: a send of arg bytes is expected; they are in payload, or in the send
                          ring behind the tail. Nothing is sent and nothing changes */
    RS_OP_TX_STAMP,    /* control: struct rs_op_tx_stamp, answered by struct rs_tx_stamp_reply */
    /* of sockets that several processes have (README, "Shared sockets") */
    RS_OP_SHARE,        /* control: struct rs_op_share; replies struct rs_share_token */
    RS_OP_SHARE_OPEN,   /* control: struct rs_share_token; replies struct rs_open_reply */
    RS_OP_SHARE_SEND,   /* control: struct rs_op_share_data; replies struct rs_share_data */
    RS_OP_SHARE_RECV,   /* control: the same */
    RS_OP_SHARE_SET,    /* control: struct rs_op_share_set */
    RS_OP_SHARE_VALUES, /* control: struct rs_share_values is in the channel's info[], as for
                           TCP_INFO */
    RS_OP_UNSHARE,      /* control: the last descriptor; replies struct rs_unshared */
    RS_OP_COUNT
};

/* cl. One cache line; seq is stored last (release), the dataplane polls it (acquire). All other
 * fields are plain until then. */
struct rs_request {
    rs_atomic_u32 seq;   /* rs_slot_seq(position): never 0, differs from lap to lap */
    uint8_t op;          /* enum rs_op */
    uint8_t len_bytes;   /* bytes used in payload */
    uint16_t port_be16;  /* SEND_INLINE: destination port */
    uint32_t socket_idx; /* RS_NO_INDEX for NOP and OPEN */
    uint32_t generation; /* of the socket */
    uint32_t
        arg; /* SEND_INLINE: IPv4 destination (be32); POST: absolute tail; control: reply cell */
    uint32_t serial; /* control: echoed in the reply cell, never 0 */
    uint8_t payload[RS_INLINE_BYTES];
};
static_assert(sizeof(struct rs_request) == RS_LINE_BYTES, "layout: rs_request");
static_assert(offsetof(struct rs_request, payload) == 24, "layout: rs_request payload");

/* dp. The answer to a control request, in the cell the request named. serial is stored last
 * (release). */
struct rs_reply {
    rs_atomic_u32 serial;
    uint32_t status; /* enum rs_status */
    uint8_t payload[56];
};
static_assert(sizeof(struct rs_reply) == RS_LINE_BYTES, "layout: rs_reply");

/* dp. "Look at this socket": level words say what is true. */
struct rs_hint {
    rs_atomic_u32 seq; /* rs_slot_seq(position), stored last */
    uint32_t socket_idx;
    uint32_t generation;
    uint32_t reserved;
};
static_assert(sizeof(struct rs_hint) == 16, "layout: rs_hint");

/*
 * Reuse. A channel's positions go on when its index is opened again: the new producer starts at
 * request_head, the new hint consumer at its own hint_head. A socket's ring positions start at 0
 * with each BIND: the client stores 0 into recv_head[], send_level and channels after OPEN's reply
 * and before it posts BIND (or the CONNECT that binds).
 */

/* ---- control payloads ------------------------------------------------------------------------ */

enum rs_socket_type { RS_SOCK_DGRAM = 1, RS_SOCK_STREAM = 2 };

struct rs_op_open { /* request of OPEN */
    uint8_t family; /* RS_FAMILY_* */
    uint8_t type;   /* enum rs_socket_type */
    uint8_t reserved[6];
    uint32_t recv_ring_bytes; /* 0: the session's default; rings are allocated at BIND or CONNECT */
    uint32_t send_ring_bytes;
};
static_assert(sizeof(struct rs_op_open) == 16, "layout: rs_op_open");

struct rs_open_reply { /* reply of OPEN */
    uint32_t socket_idx;
    uint32_t generation;
};

struct rs_op_listen { /* a stream socket that is bound; again: another backlog */
    uint32_t backlog; /* connections that may wait to be accepted, at least 1 */
    uint32_t recv_ring_bytes, send_ring_bytes; /* of accepted sockets; 0: the session's defaults */
    uint32_t flags;                            /* 0 */
};
static_assert(sizeof(struct rs_op_listen) == 16, "layout: rs_op_listen");

/* KEEP, of shared sockets, with RECV: nobody reads any more, but nothing is reset. */
enum { RS_SHUTDOWN_RECV = 1, RS_SHUTDOWN_SEND = 2, RS_SHUTDOWN_KEEP = 8 };
struct rs_op_shutdown {
    uint32_t how; /* RS_SHUTDOWN_* */
    uint32_t reserved;
};
static_assert(sizeof(struct rs_op_shutdown) == 8, "layout: rs_op_shutdown");

/* The transmit timestamp of a datagram that asked for one (RS_SEND_STAMP), once. RS_WOULD_BLOCK:
 * there is none of that number now. */
struct rs_op_tx_stamp {
    uint32_t stamp_id;
    uint32_t reserved;
};
static_assert(sizeof(struct rs_op_tx_stamp) == 8, "layout: rs_op_tx_stamp");

struct rs_tx_stamp_reply {
    _Alignas(8) uint64_t tx_tsc; /* when the dataplane handed the frame to the NIC, or the datagram
                                    to its local receivers */
};
static_assert(sizeof(struct rs_tx_stamp_reply) == 8, "layout: rs_tx_stamp_reply");

/* Of a stream socket; all zero of a datagram socket. What is in the send ring is still sent (the
 * answer comes at once, the place is free when that is over), unless abort: then the peer gets a
 * reset. linger_ms: after that long what is left is given up with a reset; 0: no limit. */
struct rs_op_close {
    uint32_t abort; /* 0 or 1 */
    uint32_t linger_ms;
};
static_assert(sizeof(struct rs_op_close) == 8, "layout: rs_op_close");

/* The payload of an accept record: a listening socket's receive rings hold datagram records, one
 * for each connection that waits, from the peer's address. What recv_head has passed is accepted.
 */
struct rs_accept {
    uint32_t socket_idx, generation; /* a connected socket, its descriptor filled in */
    uint32_t local_be32;
    uint16_t local_port_be16;
    uint16_t reserved;
};
static_assert(sizeof(struct rs_accept) == 16, "layout: rs_accept");

enum rs_tcp_state {
    RS_TCP_CLOSED = 0, /* over */
    RS_TCP_SYN_SENT,
    RS_TCP_SYN_RECEIVED,
    RS_TCP_ESTABLISHED,
    RS_TCP_FIN_WAIT_1,
    RS_TCP_FIN_WAIT_2,
    RS_TCP_CLOSE_WAIT,
    RS_TCP_CLOSING,
    RS_TCP_LAST_ACK,
    RS_TCP_TIME_WAIT,
    RS_TCP_LISTEN,
    RS_TCP_STATE_COUNT
};

/* What keeps a connection from sending more (RFC 4898: tcpEStatsPerfSndLim*). */
enum rs_tcp_limit {
    RS_TCP_LIMIT_RECEIVER = 0, /* the peer's window is full */
    RS_TCP_LIMIT_CONGESTION,   /* the congestion window is, or a time-out is being repaired */
    RS_TCP_LIMIT_SENDER,       /* the program has no more to send, or Nagle waits for it */
    RS_TCP_LIMIT_COUNT
};

struct rs_tcp_limited {
    uint64_t sent_bytes;  /* while in this state */
    uint32_t transitions; /* into this state */
    uint32_t time_ms;     /* spent in it */
};
static_assert(sizeof(struct rs_tcp_limited) == 16, "layout: rs_tcp_limited");

/*
 * The answer to TCP_INFO, too long for a reply cell. dp, written before the reply's serial; a
 * cell's place is not written again before the client has given the cell back. 32-bit counts stop
 * at their maximum, but for retransmitted and reordered bytes, which wrap.
 */
struct rs_tcp_info {
    uint32_t state; /* enum rs_tcp_state */
    uint32_t mss_bytes;
    uint64_t connected_ms; /* since the handshake was complete; 0 before */
    uint64_t sent_bytes;   /* first transmissions and retransmissions, payload */
    uint64_t received_bytes;
    uint32_t timestamps; /* 1: in use */
    uint32_t rtt_us, rtt_min_us;
    uint32_t in_flight_bytes; /* sent, not acknowledged */
    uint32_t cwnd_bytes, send_window_bytes, recv_window_bytes;
    uint32_t recv_buffer_bytes;   /* SO_RCVBUF as it counts */
    uint32_t reordered_bytes;     /* received ahead of a gap */
    uint32_t retransmitted_bytes; /* SYNs apart */
    uint32_t fast_retransmits;    /* loss recoveries entered by ACKs, not by a time-out */
    uint32_t dup_acks;            /* received */
    uint32_t timeout_episodes;    /* time-outs in a row count as one */
    uint32_t syn_retransmits;
    struct rs_tcp_limited limited[RS_TCP_LIMIT_COUNT];
    uint8_t reserved[56];
};
static_assert(sizeof(struct rs_tcp_info) == 3 * RS_LINE_BYTES, "layout: rs_tcp_info");

/* Options the dataplane has to know. Values are 32-bit. */
enum rs_option {
    RS_OPT_NONE = 0,
    RS_OPT_RCVBUF,        /* bytes, limit inside the ring */
    RS_OPT_SNDBUF,        /* bytes, limit inside the ring */
    RS_OPT_REUSEADDR,     /* 0 or 1, before BIND */
    RS_OPT_EXCLUSIVEADDR, /* 0 or 1, before BIND */
    RS_OPT_BROADCAST,     /* 0 or 1 */
    RS_OPT_TTL,           /* 1..255 */
    RS_OPT_TOS,           /* 0..255 */
    RS_OPT_MCAST_TTL,     /* 0..255 */
    RS_OPT_MCAST_IF,      /* IPv4 address (be32) of a NIC, 0: default */
    RS_OPT_MCAST_LOOP,    /* 0 or 1 */
    RS_OPT_CONNRESET,     /* 0 or 1: surface ICMP port unreachable on UDP receives */
    /* of stream sockets */
    RS_OPT_NODELAY,          /* 0 or 1 */
    RS_OPT_KEEPALIVE,        /* 0 or 1 */
    RS_OPT_KEEP_IDLE_MS,     /* 0: 2 hours */
    RS_OPT_KEEP_INTERVAL_MS, /* 0: 1 s */
    RS_OPT_KEEP_COUNT,       /* 0: 10 */
    RS_OPT_USER_TIMEOUT_MS,  /* 0: by retries */
    RS_OPT_MSS_MAX,          /* before CONNECT or LISTEN; 0: by the MTU */
    RS_OPT_CONGESTION,       /* before CONNECT or LISTEN: 0 the queue's, 1 CUBIC, 2 none */
    RS_OPT_ACK_IMMEDIATE,    /* 0 or 1 */
    RS_OPT_TIMESTAMPS,       /* 0 or 1, before CONNECT or LISTEN: RFC 7323's */
    RS_OPT_SYN_RTO_MS,       /* before CONNECT or LISTEN: the first time-out, 16 bits; 0: 1 s */
    RS_OPT_SYN_SENDS,        /* before CONNECT or LISTEN: SYNs sent in all; 0: the queue's */
    /* of datagram sockets again */
    RS_OPT_RECV_CONTROL,  /* RS_CONTROL_*: what records shall say beside the usual */
    RS_OPT_TX_STAMPS,     /* transmit timestamps kept until they are asked for, 0..RS_TX_STAMPS_MAX;
                             a change forgets those that are */
    RS_OPT_DONT_FRAGMENT, /* 0 or 1 */
    RS_OPT_COUNT
};

enum {
    RS_CONTROL_ADDRESS = 1, /* RS_DGRAM_EXT: destination and interface */
    RS_CONTROL_STAMP = 2,   /* rx_tsc of a local datagram is its delivery's, not the iteration's */
    RS_CONTROL_ALL = 3
};

#define RS_TX_STAMPS_MAX 1024u

struct rs_op_option {
    uint32_t option; /* enum rs_option */
    uint32_t value;
};
static_assert(sizeof(struct rs_op_option) == 8, "layout: rs_op_option");

/* ---- shared sockets ---- */

/* A descriptor for another process, or the same, may be opened once. The socket is shared from the
 * first SHARE on; the state of its reader goes along (only then it counts). */
struct rs_op_share {
    uint32_t process_id;   /* of who may open it */
    uint32_t flags;        /* RS_SHARE_BYTE_KEPT */
    uint32_t shut;         /* RS_SHUTDOWN_* that were done */
    uint32_t urgent_taken; /* urgent_seq whose byte was read, or passed */
    uint32_t urgent_byte;  /* with BYTE_KEPT: the byte that was put aside */
    uint32_t reserved;
};
static_assert(sizeof(struct rs_op_share) == 24, "layout: rs_op_share");
enum { RS_SHARE_BYTE_KEPT = 1 };

/* Random, but for the low bits of the first word: RS_SHARE_TOKEN, and the queue that the socket is
 * at home on. So no part of that is 0 in a token. */
struct rs_share_token {
    uint64_t words[2];
};
static_assert(sizeof(struct rs_share_token) == 16, "layout: rs_share_token");
enum { RS_SHARE_TOKEN = 8, RS_SHARE_TOKEN_QUEUE = 7 };
static_assert(RS_QUEUES_MAX <= (uint32_t)RS_SHARE_TOKEN_QUEUE + 1, "a queue fits a token");

/* SEND: len_bytes bytes at the start of the descriptor's send ring. RECV: as many at most, to the
 * start of its receive ring. */
struct rs_op_share_data {
    uint32_t len_bytes;
    uint32_t flags; /* RS_SHARE_PEEK and so on */
};
static_assert(sizeof(struct rs_op_share_data) == 8, "layout: rs_op_share_data");
enum {
    RS_SHARE_PEEK = 1,   /* RECV: they stay */
    RS_SHARE_URGENT = 2, /* SEND: the last one is urgent; RECV: the urgent byte */
    /* in the answer */
    RS_SHARE_OVER = 4,   /* RECV: a longer read would end here: the end, or a mark */
    RS_SHARE_AT_MARK = 8 /* RECV: before the urgent byte, or there is none */
};

struct rs_share_data {
    uint32_t len_bytes;    /* taken, or there */
    uint32_t flags;        /* RS_SHARE_OVER, RS_SHARE_AT_MARK */
    uint32_t level;        /* of the connection, as of this answer */
    uint32_t unread_bytes; /* a read gets at most so many now */
};
static_assert(sizeof(struct rs_share_data) == 16, "layout: rs_share_data");

/* The socket is its process's again, its rings are those of the descriptor: where it goes on. */
struct rs_unshared {
    uint32_t recv_head, send_tail, send_head;
    uint32_t urgent_seq; /* whose byte is done with */
};
static_assert(sizeof(struct rs_unshared) == 16, "layout: rs_unshared");

/* What all descriptors of a socket have in common, and the dataplane keeps for them: the values of
 * enum rs_option, and behind them those. */
enum rs_share_value {
    RS_SHARE_NONBLOCKING = RS_OPT_COUNT,
    RS_SHARE_RECV_TIMEOUT_MS,
    RS_SHARE_SEND_TIMEOUT_MS,
    RS_SHARE_LINGER_MS,
    RS_SHARE_OOB_INLINE,
    RS_SHARE_USER_0, /* the facade's */
    RS_SHARE_USER_1,
    RS_SHARE_USER_2,
    RS_SHARE_USER_3,
    RS_SHARE_EVENTS, /* grows with each SET: who registered for events is the last that set it */
    RS_SHARE_VALUES
};

struct rs_op_share_set {
    uint32_t name; /* enum rs_share_value; RS_SHARE_VALUES: nothing */
    uint32_t value;
};
static_assert(sizeof(struct rs_op_share_set) == 8, "layout: rs_op_share_set");

struct rs_share_values {
    uint32_t seq;         /* the state line's share_seq that they belong to */
    uint32_t shut;        /* RS_SHUTDOWN_* */
    uint32_t options_set; /* a bit for each enum rs_option that was given */
    uint32_t values[45];
};
static_assert(sizeof(struct rs_share_values) == sizeof(struct rs_tcp_info), "layout: share values");
static_assert((uint32_t)RS_SHARE_VALUES <= 45, "share values have room");

enum rs_member_action {
    RS_MEMBER_JOIN = 1,    /* any source */
    RS_MEMBER_LEAVE,       /* the group, all sources */
    RS_MEMBER_JOIN_SOURCE, /* source-specific: allow */
    RS_MEMBER_LEAVE_SOURCE,
    RS_MEMBER_BLOCK_SOURCE,
    RS_MEMBER_UNBLOCK_SOURCE
};

struct rs_op_member {
    uint32_t action; /* enum rs_member_action */
    uint32_t group_be32;
    uint32_t source_be32;    /* 0 unless the action names a source */
    uint32_t interface_be32; /* address of a NIC, 0: default */
};
static_assert(sizeof(struct rs_op_member) == 16, "layout: rs_op_member");

/* ---- sockets --------------------------------------------------------------------------------- */

/* dp, two lines. Level words; where an edge matters, a counter that only grows, so that reading
 * clears nothing for another reader. */
struct rs_socket_state {
    rs_atomic_u32 generation; /* of the socket now in this place; 0: free */
    rs_atomic_u32
        level; /* RS_LEVEL_* of stream sockets; datagram sockets read their ring instead (README) */
    uint32_t reserved0;
    rs_atomic_u32 recv_tail; /* stream receive ring filled (absolute position) */
    rs_atomic_u32
        error_seq; /* grows with each asynchronous error; error_code stored before it (release) */
    rs_atomic_u32 error_code; /* enum rs_status of the newest */
    rs_atomic_u32 reset_seq;
    rs_atomic_u32 urgent_seq;
    rs_atomic_u32 connect_seq;
    rs_atomic_u32 accept_seq;
    rs_atomic_u32
        recv_dropped;   /* datagrams dropped because the receive ring or SO_RCVBUF was full */
    rs_atomic_u32 mode; /* enum rs_socket_mode */
    /* stream: the ring position of recv_head from which on the dataplane wants to hear of it, once
     * (RS_OP_CONSUMED): the peer waits for room. Stored before recv_tail. */
    rs_atomic_u32 recv_notify;
    rs_atomic_u32 urgent_pos; /* stream: position after the urgent byte; before urgent_seq */
    /* stream: when the handshake was complete; before RS_LEVEL_CONNECTED, or the accept record */
    rs_atomic_u64 connected_tsc;
    /* line 1: a client looks at it only when its send ring seems full, so sending does not take the
     * first line, which says whether the socket is well, from it again and again */
    rs_atomic_u32
        send_head; /* send ring consumed (absolute position); partner: the client's room check */
    /* shared sockets: grow with a change of the values, and of who has the events; the number of
     * descriptors, those not opened yet included */
    rs_atomic_u32 share_seq, share_events, share_count;
    uint8_t reserved1[48];
};
static_assert(sizeof(struct rs_socket_state) == 2 * RS_LINE_BYTES, "layout: rs_socket_state");
static_assert(offsetof(struct rs_socket_state, send_head) == RS_LINE_BYTES,
              "layout: socket state lines");

/* In a stream's level word: END, the peer has sent its last byte (what is in the ring comes before
 * it); ERROR, the connection is over and error_code says why; CONNECTED. READABLE and WRITABLE are
 * in the ring indices, and stand for arming only. */
enum {
    RS_LEVEL_READABLE = 1,
    RS_LEVEL_WRITABLE = 2,
    RS_LEVEL_END = 4,
    RS_LEVEL_ERROR = 8,
    RS_LEVEL_CONNECTED = 16,
    /* Of shared sockets, as READABLE and WRITABLE are there: an urgent byte; it listens. */
    RS_LEVEL_URGENT = 32,
    RS_LEVEL_LISTENING = 64
};
enum rs_socket_mode { RS_MODE_FREE = 0, RS_MODE_LIVE, RS_MODE_SHARED, RS_MODE_ORPHAN };

/* A ring in session memory; size 0: none. */
struct rs_ring_ref {
    struct rs_ref ref;
    uint32_t size_bytes; /* power of two */
    uint32_t generation;
};
static_assert(sizeof(struct rs_ring_ref) == 16, "layout: rs_ring_ref");

/* dp, cold. Written before the reply that makes it valid (BIND, CONNECT), copied and checked by the
 * client after that reply. */
struct rs_socket_desc {
    struct rs_addr local;
    struct rs_addr peer;
    uint32_t generation;
    uint32_t home_queue_idx;
    uint32_t type;                          /* enum rs_socket_type */
    uint32_t flags;                         /* RS_DESC_* */
    struct rs_ring_ref send;                /* cl */
    struct rs_ring_ref recv[RS_QUEUES_MAX]; /* dp, one per queue the socket can be hit on */
    uint8_t pad[48];
};
static_assert(sizeof(struct rs_socket_desc) == 256, "layout: rs_socket_desc");

/* The connection's other end is a socket of this session, too: recv is that one's send ring (cl),
 * and bytes are read where they were written. */
#define RS_DESC_RECV_SHARED 1u

/* cl, two lines: what changes with each message, and what changes only around a sleep. */
struct rs_socket_client {
    rs_atomic_u32 recv_head[RS_QUEUES_MAX]; /* receive ring consumed (absolute), per queue; partner:
                                               the dataplane's room check */
    /* A send ring tail that has no slot of its own (post.h): low half the tail, high half the
     * position of the POST slot that it extends. Stale unless that slot is the socket's newest. */
    rs_atomic_u64 send_level;
    uint8_t reserved0[24];
    rs_atomic_u32 arm_seq;    /* bumped by each arming; the dataplane hints once per value */
    rs_atomic_u32 arm_events; /* RS_LEVEL_* bits asked for */
    rs_atomic_u64 channels;   /* bit i: channel i wants the hint */
    uint8_t reserved1[48];
};
static_assert(sizeof(struct rs_socket_client) == 2 * RS_LINE_BYTES, "layout: rs_socket_client");
static_assert(offsetof(struct rs_socket_client, arm_seq) == RS_LINE_BYTES,
              "layout: socket client lines");

/* ---- datagram records ------------------------------------------------------------------------ */

/*
 * dp: a record of a receive ring. Starts on a line, never straddles the end of the ring, and
 * validates itself: seq equals rs_dgram_seq(position) once the record is complete (stored last,
 * release). Before a record becomes valid, the seq word of the line after it is cleared, so that
 * stale payload can never look like a record. 40 bytes of payload fit the first line.
 */
struct rs_dgram {
    rs_atomic_u32 seq;
    uint16_t len_bytes; /* payload */
    uint8_t
        payload_off; /* RS_DGRAM_SHORT_OFF, or RS_DGRAM_LONG_OFF when struct rs_dgram_ext follows */
    uint8_t flags;   /* RS_DGRAM_* */
    uint32_t src_be32;
    uint16_t src_port_be16;
    uint8_t ttl;
    uint8_t tos;
    _Alignas(8) uint64_t rx_tsc; /* when the dataplane (or the NIC) received it */
};
static_assert(sizeof(struct rs_dgram) == 24, "layout: rs_dgram");

struct rs_dgram_ext { /* with RS_DGRAM_EXT: control data, and IPv6 addresses */
    uint8_t src_v6[16];
    uint8_t dst_v6[16];      /* IPv4 in the first four bytes */
    uint32_t interface_be32; /* address of the NIC it came by; 0: a queue without one */
    uint32_t reserved;
};
static_assert(sizeof(struct rs_dgram_ext) == 40, "layout: rs_dgram_ext");

enum {
    RS_DGRAM_SHORT_OFF = 24,
    RS_DGRAM_LONG_OFF = 64,
    RS_DGRAM_PAD = 1, /* no datagram: skip to the start of the ring */
    RS_DGRAM_EXT = 2,
    RS_DGRAM_MULTICAST = 4,
    RS_DGRAM_BROADCAST = 8
};

/*
 * cl: a record of a send ring. Starts on a line, never straddles the end of the ring; valid up to
 * the tail that a POST slot (or send_level) gives. The dataplane copies the header before it
 * believes any of it.
 */
struct rs_send_dgram {
    uint16_t len_bytes;
    uint8_t flags;  /* RS_DGRAM_PAD; RS_DGRAM_EXT: struct rs_send_ext follows, then the payload */
    uint8_t family; /* RS_FAMILY_NONE: to the peer */
    uint16_t port_be16;
    uint16_t reserved;
    uint32_t dst_be32;
    uint32_t reserved2;
};
static_assert(sizeof(struct rs_send_dgram) == 16, "layout: rs_send_dgram");

/* What one datagram wants otherwise than its socket. */
struct rs_send_ext {
    uint32_t src_be32; /* an address of ours, 0: as usual */
    uint32_t stamp_id; /* RS_SEND_STAMP: its transmit timestamp shall be kept under this number */
    uint8_t has;       /* RS_SEND_* */
    uint8_t ttl;
    uint8_t tos, tos_mask;  /* these bits instead of the socket's */
    uint32_t interface_idx; /* without src_be32: by the NIC of this queue, counted from 1, and from
                               its address; 0: as usual */
};
static_assert(sizeof(struct rs_send_ext) == 16, "layout: rs_send_ext");

enum { RS_SEND_TTL = 1, RS_SEND_STAMP = 2, RS_SEND_ALL = 3 };

enum {
    RS_SEND_SHORT_OFF = sizeof(struct rs_send_dgram),
    RS_SEND_LONG_OFF = sizeof(struct rs_send_dgram) + sizeof(struct rs_send_ext)
};

#define RS_DGRAM_MAX_BYTES 65507u /* largest UDP payload over IPv4: 65535 - 20 - 8 */

#endif
