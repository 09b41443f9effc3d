/*
 * The report: one snapshot of a whole dataplane, made by its control thread when somebody asks
 * (RS_CTL_REPORT, rings/control.h) and handed over as one read-only object of shared memory.
 * ringsockctl copies it, checks the copy and prints it. Fixed-width integers and offsets only; a
 * version of its own, apart from RS_LAYOUT_VERSION, because the two programs need not be of one
 * build.
 *
 * A header with a table of sections, each an array of records. Records only grow, at their end: a
 * reader takes what it knows of each and skips the rest by the stride. Counters come with their
 * names and texts, so an old ringsockctl prints the counters of a newer dataplane. A change that an
 * old reader would misread bumps RS_REPORT_VERSION; tests/abi has the golden sizes and offsets.
 *
 * report_view.h is the reader's half, dataplane/control_report.c the writer.
 */
#ifndef RINGSOCK_RINGS_REPORT_H
#define RINGSOCK_RINGS_REPORT_H

#include <assert.h>
#include <stdint.h>

#include "rings/addr.h"
#include "rings/layout.h"
#include "rings/status.h"

#define RS_REPORT_MAGIC       0x54524f5045525352ull /* "RSREPORT" read as little-endian */
#define RS_REPORT_VERSION     3u
#define RS_REPORT_SECTIONS    16u        /* places in the table */
#define RS_REPORT_BYTES_MAX   (1u << 30) /* of a whole report */
#define RS_REPORT_RECORDS_MAX (1u << 26) /* of one section */
#define RS_REPORT_UNKNOWN     UINT64_MAX /* this NIC, or this system, does not say */

enum rs_report_section_id {
    RS_REPORT_QUEUES = 0,   /* struct rs_report_queue */
    RS_REPORT_SESSIONS,     /* struct rs_report_session */
    RS_REPORT_SOCKETS,      /* struct rs_report_socket, those of a session together */
    RS_REPORT_PORTS,        /* struct rs_report_port: what the port table holds; of these three only
                               what the asker may see */
    RS_REPORT_FIGURES,      /* struct rs_report_figure: of the process */
    RS_REPORT_COUNTERS,     /* struct rs_report_counter: what the values of a queue mean */
    RS_REPORT_VALUES,       /* uint64_t[counters] for each queue */
    RS_REPORT_TRACE,        /* struct rs_report_trace: what happened last, by queue, oldest first */
    RS_REPORT_TRACE_EVENTS, /* struct rs_report_trace_event: what the records mean */
    RS_REPORT_TCP_STATES,   /* struct rs_report_name, by number */
    RS_REPORT_KNOWN         /* sections of this version */
};

struct rs_report_section {
    uint32_t off; /* from the header's start, a multiple of 8 */
    uint32_t stride_bytes;
    uint32_t count;
    uint32_t reserved;
};
static_assert(sizeof(struct rs_report_section) == 16, "report: section");

struct rs_report_header {
    _Alignas(8) uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t bytes; /* of the report, header included */
    uint64_t epoch; /* another one: the dataplane was started anew */
    uint64_t tsc;   /* when the report was made */
    uint64_t tsc_hz;
    uint64_t started_tsc;
    uint64_t unix_ns; /* when the report was made */
    uint32_t dataplane_pid;
    uint32_t layout_version; /* RS_LAYOUT_VERSION of the dataplane */
    uint32_t limit_sessions;
    uint32_t section_count;
    uint32_t hidden_sessions; /* programs of users whose sockets the asker may not see */
    uint32_t hidden_trace;    /* 1: the asker may not see it, the section is empty */
    uint8_t instance[32];     /* NUL-terminated */
    struct rs_report_section sections[RS_REPORT_SECTIONS];
};
static_assert(sizeof(struct rs_report_header) == 376, "report: header");

enum rs_report_steering {
    RS_REPORT_STEER_ONE = 0, /* one queue */
    RS_REPORT_STEER_NIC,     /* by the NIC */
    RS_REPORT_STEER_SOFTWARE /* by the queues, in the NIC's place */
};

struct rs_report_queue {
    _Alignas(8) uint8_t nic[64]; /* device */
    uint32_t kind;               /* enum rs_nic_kind */
    uint32_t nic_queue_idx, nic_queue_count;
    uint32_t core;     /* RS_NO_INDEX: not pinned */
    uint32_t yields;   /* 1: gives the processor away when idle */
    uint32_t steering; /* enum rs_report_steering */
    uint32_t link_up;
    uint32_t ip_be32; /* 0: none */
    uint32_t prefix_len;
    uint32_t mtu_bytes;
    uint8_t mac[8];       /* 6 used */
    uint32_t mac_filters; /* multicast MACs that the NIC was told */
    uint32_t reserved;
    /* the poll loop since its start */
    uint64_t polls, busy_polls, busy_tsc;
    uint64_t rx_bursts; /* that brought frames */
    uint64_t rx_full;   /* as large as can be */
    uint64_t rx_burst_frames_max;
    uint64_t rx_frames;
    uint64_t requests; /* slots taken */
    /* what the NIC counts by itself */
    uint64_t nic_rx_pkts, nic_rx_bytes, nic_rx_missed_pkts, nic_rx_errors_pkts,
        nic_rx_no_buffer_pkts;
    uint64_t nic_tx_pkts, nic_tx_bytes, nic_tx_errors_pkts;
    uint64_t buffers, buffers_held; /* of the NIC's pool; RS_REPORT_UNKNOWN */
    /* TCP: what there is now, and has room. All maxima 0: this queue has no segments. */
    uint32_t tcp_connections, tcp_connections_max; /* closed but not yet free included */
    uint32_t tcp_half_open, tcp_half_open_max;
    uint32_t tcp_time_waits, tcp_time_waits_max;
    /* the NIC's addresses beside ip_be32 */
    uint32_t more_count;
    uint32_t more_be32[RS_ADDRESSES_MAX - 1];
    uint8_t more_prefix_len[RS_ADDRESSES_MAX - 1];
    uint8_t reserved1[1];
};
static_assert(sizeof(struct rs_report_queue) == 368, "report: queue");

enum rs_report_session_state {
    RS_REPORT_SESSION_LIVE = 0,
    RS_REPORT_SESSION_ENDING,  /* the queues are letting go of it */
    RS_REPORT_SESSION_ENDED,   /* done, its client still has the memory */
    RS_REPORT_SESSION_POISONED /* as ENDED, for breaking the protocol */
};

struct rs_report_session {
    _Alignas(8) uint64_t id;
    uint32_t pid, user_id;
    uint8_t program[32]; /* NUL-terminated; empty: the system did not say */
    uint32_t state;      /* enum rs_report_session_state */
    uint32_t never_sleeps;
    uint32_t sockets, limit_sockets;
    uint32_t channels, limit_channels;
    uint32_t extents, limit_extents;
    uint64_t memory_bytes, limit_memory_bytes;
    /* how often it ran into its budget, over all queues (the counters of these names) */
    uint64_t budget_exhausted, signals_deferred, hints_deferred, control_waits, memberships_refused;
};
static_assert(sizeof(struct rs_report_session) == 136, "report: session");

enum rs_report_socket_state {
    RS_REPORT_SOCKET_OPEN = 0, /* no address yet */
    RS_REPORT_SOCKET_BOUND,
    RS_REPORT_SOCKET_CONNECTED,
    RS_REPORT_SOCKET_CLOSING
};

enum {                              /* rs_report_socket.flags */
       RS_REPORT_SOCKET_ORPHAN = 1, /* closed by its program, what it sent is not acknowledged */
       RS_REPORT_SOCKET_LOCAL = 2,  /* both ends of the connection are here */
       RS_REPORT_SOCKET_PLACE = 4,  /* kept ready for the next connection of a listener */
       RS_REPORT_SOCKET_CONNECTION = 8, /* a connection or an attempt: tcp is all of it */
       RS_REPORT_SOCKET_UNTOLD = 16     /* its queue said nothing of it, or not in time */
};

struct rs_report_socket {
    _Alignas(8) uint64_t session_id;
    uint32_t idx, generation;
    uint32_t type;              /* enum rs_socket_type */
    uint32_t state;             /* enum rs_report_socket_state */
    uint32_t home_queue_idx;    /* its requests and its own sends go there */
    uint32_t queue_mask;        /* the queues that have a receive ring of it, a bit each */
    struct rs_addr local, peer; /* family RS_FAMILY_NONE: none */
    uint32_t recv_ring_bytes;   /* of each queue; 0: none yet */
    uint32_t send_ring_bytes;
    uint32_t recv_bytes[RS_QUEUES_MAX]; /* what waits for the program, by queue */
    /* What the queue was told of and could not send yet, for budget or NIC. A post that it has not
     * taken from its channel is not in it. */
    uint32_t send_wait_bytes;
    uint32_t recv_dropped; /* datagrams: the receive ring or SO_RCVBUF was full; wraps */
    uint32_t errors;       /* sends refused and ICMP errors told to the program; wraps */
    uint32_t last_error;   /* enum rs_status of the newest, 0: none */
    /* of a stream socket; recv_bytes is what its receive ring has, send_wait_bytes what was written
     * and not sent yet */
    uint32_t flags;                       /* RS_REPORT_SOCKET_* */
    uint32_t backlog_used, backlog_limit; /* of a listener: connections not accepted yet */
    uint32_t reserved;
    struct rs_tcp_info tcp; /* without CONNECTION its state only: LISTEN or CLOSED */
};
static_assert(sizeof(struct rs_report_socket) == 344, "report: socket");

struct rs_report_port {
    uint32_t ip_be32; /* 0: any */
    uint16_t port_be16;
    uint8_t share; /* 0: default, 1: SO_REUSEADDR, 2: SO_EXCLUSIVEADDRUSE */
    uint8_t type;  /* enum rs_socket_type */
    uint32_t user_id;
    uint32_t reserved2;
};
static_assert(sizeof(struct rs_report_port) == 16, "report: port");

/* Groups of figures: "in_use" must be back where it was once all programs have gone, "control"
 * counts what the control thread did, "process" is what the system says of the process. */
struct rs_report_figure {
    _Alignas(8) uint64_t value;
    uint8_t name[32];
    uint8_t group[16];
    uint8_t text[112];
};
static_assert(sizeof(struct rs_report_figure) == 168, "report: figure");

struct rs_report_counter {
    _Alignas(8) uint8_t name[32];
    uint8_t group[16];
    uint8_t text[112];
};
static_assert(sizeof(struct rs_report_counter) == 160, "report: counter");

struct rs_report_trace {
    _Alignas(8) uint64_t number; /* of the queue's records, from 1; those that are missing were
                                    overwritten while they were read */
    uint64_t tsc;
    uint32_t queue_idx;
    uint32_t event; /* index into RS_REPORT_TRACE_EVENTS */
    uint32_t local_be32, peer_be32;
    uint16_t local_port_be16, peer_port_be16;
    uint32_t a, b; /* the event says what they are */
    uint32_t reserved;
};
static_assert(sizeof(struct rs_report_trace) == 48, "report: trace");

enum rs_report_value {
    RS_REPORT_VALUE_NONE = 0,
    RS_REPORT_VALUE_NUMBER,
    RS_REPORT_VALUE_TCP_STATE, /* index into RS_REPORT_TCP_STATES */
    RS_REPORT_VALUE_COUNTER,   /* index into RS_REPORT_COUNTERS */
    RS_REPORT_VALUE_STATUS     /* enum rs_status */
};

struct rs_report_trace_event {
    _Alignas(8) uint8_t name[32];
    uint8_t text[64];
    uint8_t a_text[32], b_text[32];
    uint32_t a_kind, b_kind; /* enum rs_report_value */
};
static_assert(sizeof(struct rs_report_trace_event) == 168, "report: trace event");

struct rs_report_name {
    _Alignas(8) uint8_t name[32];
};
static_assert(sizeof(struct rs_report_name) == 32, "report: name");

#endif
