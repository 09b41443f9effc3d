/*
 * The control thread: attaches and detaches clients, opens channels, grants ports and rings,
 * watches processes, programs the NICs' multicast filters, logs, reports. Slow by design and the
 * only authority; the queues ask it by messages. Called by dataplane.c.
 *
 *   control.c          its loop, and what it does by the clock
 *   control_clients.c  connections, sessions from attach to end, channels, extents
 *   control_messages.c messages to and from the queues
 *   control_sockets.c  what the queues ask: sockets, ports, rings; what they tell
 *   control_streams.c  the same of stream sockets
 *   control_listen.c   and of those that listen
 *   control_share.c    and of those that several processes have
 *   control_capture.c  `ringsockctl capture`
 *   control_report.c   a snapshot of all of it for ringsockctl
 *   control_asking.c   what the queues are asked for it
 */
#ifndef RINGSOCK_DATAPLANE_CONTROL_H
#define RINGSOCK_DATAPLANE_CONTROL_H

#include "dataplane/ports.h"
#include "dataplane/queue.h"

struct control_token_entry; /* control_share.c */

/* A connection without a session: a program that has not said ATTACH yet, or ringsockctl. */
struct control_peer {
    struct control_peer *next;
    uint64_t id;
    struct os_conn conn;
    uint64_t expires_ns; /* closed then, unless it says something */
    bool waits;          /* it said ATTACH, and there will be room when another session has ended */
    uint32_t attach_arg; /* of that ATTACH */
    uint64_t report_number; /* it said REPORT, and waits for what the queues are asked; 0: not */
};

/* A message of a queue that waits for its turn (control_messages.c). */
struct control_deferred {
    struct control_deferred *next;
    uint32_t queue_idx;
    struct message message;
};

/* What the queues are asked for reports, one round after the other (control_asking.c). */
struct control_asking {
    struct stream_report *lists[RS_QUEUES_MAX]; /* NULL: none */
    uint32_t lent;                              /* the queues that have theirs, a bit each */
    uint32_t waited;                            /* of those: whom this round waits for */
    uint64_t number;                            /* of the round, the first is 1 */
    uint64_t began_ns;
    uint64_t rest_until_ns; /* the next one does not begin before */
    bool running;
};

/* What the control thread counts; its own, read by nobody else. */
struct control_counts {
    uint64_t attached;        /* sessions made */
    uint64_t ended;           /* sessions freed */
    uint64_t poisoned;        /* sessions ended because they broke the protocol */
    uint64_t refused_access;  /* who may not attach */
    uint64_t refused_limit;   /* [limits] sessions, or too many silent connections */
    uint64_t refused_version; /* another layout version */
    uint64_t refused_memory;  /* rings refused: [limits] extents or memory reached */
    uint64_t malformed;       /* control messages that are none */
    uint64_t answers_unsent;  /* a client does not read its answers: its session is ended */
    uint64_t reports;         /* made for ringsockctl */
    uint64_t captures;        /* begun for ringsockctl */
};

struct control {
    const struct queue_config *configs; /* queue_count of them, as the next two */
    struct queue *queues[RS_QUEUES_MAX];
    struct nic *nics[RS_QUEUES_MAX];
    uint32_t queue_count;
    struct rs_clock clock;
    uint64_t epoch;
    struct os_listener listener;
    struct os_poller *poller;
    struct os_event wake;      /* queues signal it */
    _Atomic uint32_t sleeping; /* partner: queue_tell_control */
    struct ports *ports, *tcp_ports;
    struct dp_session *sessions;
    uint32_t session_count;
    struct control_peer *peers;
    uint32_t peer_count;
    struct dp_session *house;           /* control_share.c; NULL: nothing was shared yet */
    uint32_t house_idle_watches;        /* that it has been without a socket for */
    struct control_token_entry *tokens; /* so */
    uint64_t next_id;                   /* of sessions and peers */
    struct control_deferred *deferred_first, *deferred_last;
    struct control_counts counts;
    struct control_capture *capture; /* control_capture.c's; NULL: none */
    struct control_asking asking;
    uint64_t refusals_until_ns; /* end of the period that refusals_logged counts in */
    uint32_t refusals_logged;
    bool stopping;
    uint64_t next_watch_ns;
    bool link_was_up[RS_QUEUES_MAX];
    uint32_t link_changes[RS_QUEUES_MAX]; /* as in rs_queue_state */
    uint32_t mac_filters[RS_QUEUES_MAX];  /* multicast MACs that the NIC was last told */
};

/* nics[i] serves configs[i]; both stay the caller's. The queues are entered by the caller before
 * control_run. */
RS_CHECK_RESULT enum rs_status control_create(const struct queue_config *configs,
                                              struct nic *const *nics, uint32_t queue_count,
                                              struct control *out);
/* Serves until stop is signalled, then ends every session in order. The queues run meanwhile. */
RS_CHECK_RESULT enum rs_status control_run(struct control *control, struct os_event *stop);
/* One round of the loop: serves what is there, waits at most timeout_ns for it. Tests call it
 * directly. */
RS_CHECK_RESULT enum rs_status control_round(struct control *control, uint64_t timeout_ns);
void control_destroy(struct control *control); /* after the queues' threads ended */

#endif
