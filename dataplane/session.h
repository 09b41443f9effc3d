/*
 * One attached client as the dataplane keeps it: its extents, tables, channels and sockets. Made
 * and freed by the control thread; while it lives each field belongs to the thread named beside it.
 *
 * A session has a part on every queue (session_part), a socket has one on every queue it can be hit
 * on (dp_socket): those are the queue's. What is one for all queues (session, session_socket) is
 * the control thread's. So no queue reads what another one writes, but for the few atomics.
 *
 * Life: LIVE, until the client ends, detaches or is poisoned. Then each queue drains what was
 * published, closes the sockets and forgets the channels (ENDING); when all have said so nothing
 * refers to the memory any more, and the control thread frees it. A poisoned session keeps its
 * memory until the client is gone, so that the client can read why.
 */
#ifndef RINGSOCK_DATAPLANE_SESSION_H
#define RINGSOCK_DATAPLANE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/arena.h"
#include "dataplane/config.h"
#include "dataplane/message.h"
#include "dataplane/ports.h"
#include "dataplane/udp.h"
#include "rings/dgram_ring.h"
#include "rings/hint_ring.h"
#include "rings/layout.h"
#include "rings/os/os.h"
#include "rings/post.h"
#include "rings/session.h"
#include "rings/slot_ring.h"
#include "rings/wakeup.h"

enum session_state { SESSION_LIVE, SESSION_ENDING, SESSION_ENDED };

struct control_deferred;
struct session_part;
struct session_socket;
struct dp_stream; /* dataplane/stream.h */
struct dp_share;  /* dataplane/share.h */

/* Signals, looks at channels that may sleep, and hints a session may cost one iteration; the rest
 * waits for the next one. The hints of one arming may overdraw; the next iterations pay. */
#define SESSION_SIGNALS_PER_POLL 1
#define SESSION_LOOKS_PER_POLL   8
/* And on the whole one signal in so long, after a number of them at once: to be woken takes a
 * thread longer than that, so a program that sleeps for real is not held up. */
#define SESSION_SIGNAL_NS       2000u
#define SESSION_SIGNALS_AT_ONCE 32u
#define SESSION_HINTS_PER_POLL  16
/* Heartbeats of a millisecond after which a session no longer counts as busy, and by how much the
 * budgets shrink while several are. */
#define SESSION_QUIET_BEATS 1000u
#define SESSION_BUSY_SHARE  4u
/* Requests of one session and queue that are with the control thread at a time. */
#define SESSION_PENDING_MAX 16u
/* Closed stream sockets that the queues keep for the next OPENs: at most so many each, and one in
 * so many of the session's sockets on all of them together. */
#define SESSION_SPARES_MAX   256u
#define SESSION_SPARES_SHARE 4u

/* One channel. Its queue's but for the fields marked; handed over by CONTROL_CHANNEL_ADD and
 * QUEUE_CHANNEL_REMOVED. */
struct dp_channel {
    struct dp_session *session; /* both read */
    struct session_part *part;  /* on the channel's queue */
    uint32_t idx;               /* both read */
    _Atomic uint32_t queue_idx; /* stored by control before the client knows the channel; partner:
                                   deliver_hint of any queue */
    struct os_event event;      /* control makes it, the queue signals it */
    struct slot_consumer requests;
    struct hint_producer hints;
    struct rs_reply *replies;
    struct rs_tcp_info *info;               /* for each reply cell */
    const struct rs_channel_client *client; /* untrusted */
    struct wakeup_signaller wakeup;
    struct dp_channel
        *consumed_next; /* list of channels whose head is to be published in this iteration */
    struct dp_channel
        *wake_next; /* list of channels whose client may have to be woken in this iteration */
    bool consumed, wake;
    bool polled;              /* in its part's table */
    bool removing;            /* CONTROL_CHANNEL_REMOVE came */
    uint32_t pending_control; /* requests of it that are with the control thread */
};

/* One socket of a client on one queue: at home, where its requests come, or a part that only
 * receives, and sends what home hands over. Made by the control thread; the queue's from
 * CONTROL_OPENED until QUEUE_CLOSED, or from CONTROL_PART_ADD until QUEUE_PART_REMOVED, but for the
 * fields marked. */
struct dp_socket {
    _Alignas(RS_LINE_BYTES) struct udp_socket udp; /* of a datagram socket */
    /* a line: what every request and datagram looks at */
    struct dp_stream *stream;   /* of a stream socket; NULL: a datagram socket. Both read */
    struct dp_session *session; /* both read */
    struct session_part *part;
    struct rs_socket_state *state;         /* dp memory of this socket */
    const struct rs_socket_client *client; /* untrusted */
    struct dp_socket *touched_next; /* list of sockets with something new in this iteration */
    uint32_t idx, generation;       /* both read */
    bool home;
    bool touched, blocked;
    bool send_sealed;  /* the send ring's extent is: its records may be read */
    bool posted;       /* a POST was consumed in this iteration, at post_position */
    bool closing;      /* CLOSE came while blocked: its answer waits in close_reply */
    bool orphan;       /* a stream socket whose CLOSE is answered and whose connection lives on */
    bool with_control; /* QUEUE_BIND or QUEUE_SPREAD is with the control thread */
    /* a line: who sends */
    const struct dp_channel *post_channel;
    uint32_t post_position;
    uint32_t happened;             /* RS_LEVEL_* that came true in this iteration */
    struct dp_share *share;        /* share.h; NULL: it has one descriptor, itself */
    struct dgram_send_reader send; /* size 0: no rings yet, or not at home */
    struct rs_ring_ref send_ring;  /* as recv_ring below */
    /* a line: who receives */
    struct dgram_writer recv;
    _Atomic uint32_t recv_tail; /* how far recv is filled; partners: the other parts' look at
                                   SO_RCVBUF, ringsockctl */
    uint32_t arm_seen;          /* arm_seq last hinted */
    uint32_t recv_limit_bytes;  /* SO_RCVBUF; 0: the whole ring */
    uint32_t multicast_if_be32; /* 0: the NIC of the home queue */
    uint16_t stamps_idx;        /* its transmit timestamps in queue->stamps, plus 1; 0: none */
    uint8_t recv_control;       /* RS_CONTROL_* */
    /* cold */
    struct session_socket *record; /* control's; read here for the other parts */
    struct rs_socket_desc *desc;
    struct dp_socket *hint_next;    /* the part's queue of sockets that wait to be hinted */
    struct dp_socket **hint_link;   /* what points at it there; NULL: it does not wait */
    uint32_t hint_happened;         /* RS_LEVEL_* it waits with */
    struct dp_socket *share_next;   /* descriptors of one share */
    struct dp_socket *blocked_next; /* the part's queue of sockets that wait for budget or NIC */
    struct message_reply close_reply;
    bool reuse, exclusive, surface_connreset;
    bool fanning; /* a descriptor: its session's fanout is its SHARE_SEND's */
    /* At home, for reports: relaxed stores where things change that change rarely. */
    _Atomic uint64_t local_name, peer_name; /* dp_socket_name; 0: none */
    _Atomic uint32_t send_wait_bytes;       /* of the send ring, known of and not sent yet */
    _Atomic uint32_t errors_at_open; /* error_seq of its place goes on from socket to socket */
    _Atomic uint32_t spare;          /* 1: of no program now (stream_spare.c) */
    /* for the queue from CONTROL_BOUND or CONTROL_PART_ADD on */
    uint8_t *recv_base, *send_base;
    struct rs_ring_ref recv_ring;
    void *allocation;   /* control: what free wants */
    uint32_t queue_idx; /* control */
};
static_assert(offsetof(struct dp_socket, stream) == RS_LINE_BYTES &&
                  offsetof(struct dp_socket, post_channel) == 2 * RS_LINE_BYTES,
              "lines of dp_socket");

/* Address and port in one word, so that a report never has half of one; 0 only for no port. */
static inline uint64_t dp_socket_name(uint32_t ip_be32, uint16_t port_be16)
{
    return (uint64_t)ip_be32 << 16 | port_be16;
}

/* What the control thread is doing for a socket with all its parts. */
enum socket_step { STEP_NONE, STEP_BIND, STEP_SPREAD, STEP_LISTEN, STEP_MOVE, STEP_UNDO };

/* One socket of a client, for all queues. The control thread's; parts[] no longer change once a
 * queue has the socket bound. */
struct session_socket {
    struct dp_session *session;
    uint32_t idx;
    uint32_t generation; /* its part at home may be ahead of it (stream_spare.c) */
    uint32_t type;       /* enum rs_socket_type */
    uint32_t home_queue_idx;
    struct dp_socket *parts[RS_QUEUES_MAX]; /* NULL: not made yet */
    uint32_t live;                          /* the queues that have theirs, a bit each */
    struct ports_entry port;
    uint32_t recv_ring_bytes, send_ring_bytes;               /* asked for at OPEN, checked */
    struct rs_ring_ref recv_rings[RS_QUEUES_MAX], send_ring; /* size 0: none yet */
    enum socket_step step;
    uint32_t step_waiting; /* QUEUE_PART_DONE to come */
    uint32_t step_done;    /* a bit for each queue where it succeeded */
    enum rs_status step_status;
    struct message step_message;  /* what home asked for */
    bool parts_removed;           /* CONTROL_PART_REMOVE is on its way to its parts */
    struct rs_op_listen listen;   /* of a listener: ring sizes of its places */
    uint64_t payer_id;            /* in the house: the session whose part of it this is */
    struct dp_share *share;       /* of a core, freed with it; NULL: it is none */
    struct rs_ring_ref lent_ring; /* a send ring that its other end reads for good (share_move.c) */
    uint32_t report_idx;          /* its entry in the newest list of its home (control_asking.c) */
    struct message_reply close_reply;
};

/* A session on one queue. That queue's, from CONTROL_SESSION_ADD until QUEUE_SESSION_ENDED. */
struct session_part {
    struct dp_session *session;
    struct dp_socket **sockets;   /* by index, NULL where none */
    uint32_t open_sockets;        /* entries in sockets[] */
    uint32_t orphan_count;        /* of those */
    struct dp_channel **channels; /* dense, channel_count used */
    uint32_t channel_count;
    uint32_t channel_first;    /* whose turn it is to get what the others left of the budget */
    uint32_t removing_count;   /* channels with removing set */
    uint32_t quiet_beats;      /* heartbeats since its last request; stops at SESSION_QUIET_BEATS */
    int32_t slots_per_channel; /* slots_per_poll shared out evenly, at least 1 */
    uint32_t membership_count;
    uint32_t stamp_sockets, stamps_reserved; /* of queue->stamps */
    uint32_t pending_control;                /* requests that are with the control thread */
    /* what is left for iteration budget_poll */
    uint64_t budget_poll;
    uint64_t signals_until_tsc; /* what the signals so far have used up of the session's time */
    int32_t slots_left, signals_left, looks_left, hints_left;
    int32_t turn_left;  /* of slots_left, for whoever has the turn */
    uint32_t looks;     /* at entries of lists; some of them cost a slot */
    int64_t bytes_left; /* below 0: to be worked off in the next iterations */
    struct dp_socket *blocked_first, *blocked_last; /* oldest first */
    struct dp_socket *spares;     /* stream sockets ready for OPEN, by place_next */
    _Atomic uint32_t spare_count; /* the queue's; partner: control_spares_recall */
    bool spares_recalled;         /* QUEUE_SPARES_GIVEN is due */
    uint32_t end_idx;             /* sockets before it are closed: the session is ending */
    struct udp_fanout fanout;     /* the group datagram that has not reached all yet */
    struct dp_socket *hint_first, **hint_last; /* beyond hints_left, oldest first; hint_last is
                                                  valid while there are any */
    struct session_part *hinting_next;         /* list of parts with such sockets */
    bool hinting;
    uint64_t end_deadline_tsc;    /* from here on an ending session is not drained any more */
    uint64_t orphans_until_tsc;   /* from here on its orphans are reset; 0: it is not ending */
    enum rs_status poison_status; /* RS_OK while all is well */
    /* Counted beside the queue's counters of these names; the queue is the only writer, partner: a
     * report. */
    _Atomic uint64_t budget_exhausted, signals_deferred, hints_deferred, control_waits,
        memberships_refused;
    struct rs_queue_state *state; /* the queue stores its heartbeat there */
    bool listed;                  /* in the queue's table */
};

struct dp_session {
    struct dp_session *next; /* control: list of sessions */
    uint64_t id;
    bool house;                        /* both read: the dataplane's own (share.h) */
    uint32_t slot;                     /* place in every queue's table, below limit_sessions */
    const struct queue_config *config; /* of queue 0, both read; limits are the same in all */
    uint32_t queue_count;              /* both read */
    /* Both read: the client said so at ATTACH, and has not taken it back since, as it can once.
     * Relaxed: the client hears that control has stored it by an answer, later than a queue sees
     * it. */
    _Atomic bool never_sleeps;
    enum session_state state;              /* control */
    uint32_t queues_left;                  /* control: that have not said QUEUE_SESSION_ENDED */
    uint32_t spares_max;                   /* both read: a queue keeps at most so many */
    uint32_t recalls_left;                 /* control: queues that owe a QUEUE_SPARES_GIVEN */
    struct control_deferred *recall_first; /* control: what waits for that, in its order */
    bool client_gone;          /* control: its process ended or it closed the connection */
    struct os_conn conn;       /* control */
    struct os_process process; /* control */
    uint32_t user_id;          /* control: who runs the client */
    char program[32];          /* control: its name, for reports */
    struct os_shm
        extents[RS_EXTENTS_MAX]; /* control adds, the queue reads entries named in messages */
    uint8_t extent_kinds[RS_EXTENTS_MAX]; /* control: enum rs_extent_kind */
    uint32_t extent_count;                /* control */
    uint64_t memory_bytes;                /* control: of all extents */
    uint32_t rings_out;                   /* control: taken and not given back */
    _Atomic uint64_t sealed; /* a bit for each cl extent that may be read; stored by control,
                                partner: session_is_sealed of the queues */
    struct arena arena_dp, arena_cl; /* control */
    struct rs_session_header *header;
    struct rs_socket_state *socket_states;
    struct rs_socket_desc *socket_descs;
    const struct rs_socket_client *socket_clients; /* untrusted */
    struct rs_channel_state *channel_states;
    const struct rs_channel_client *channel_clients; /* untrusted */
    struct dp_channel *channels;     /* limit_channels; control opens and frees entries */
    uint8_t *channel_used;           /* control */
    uint32_t channel_closing_idx;    /* control: RS_CTL_CHANNEL_CLOSE waits for its answer;
                                        RS_NO_INDEX: none */
    struct session_socket **records; /* control: by index, NULL where none */
    uint32_t *free_sockets;          /* control: stack of free socket indices */
    uint32_t free_socket_count;
    uint32_t *generations;      /* control: last generation of each index */
    struct session_part *parts; /* queue_count; each its queue's */
    _Atomic uint32_t faulted;   /* set by the fault guard (os_guard_add), read by the queues once a
                                   heartbeat */
};

/* What a session is made from: the same for all sessions of a dataplane but id and slot. */
struct session_plan_input {
    const struct queue_config *configs; /* queue_count of them, as nics */
    struct nic *const *nics;
    uint32_t queue_count;
    uint64_t epoch;
    struct rs_clock clock;
    uint64_t id;
    uint32_t slot;
};

/* Makes the memory of a session: extents 0 and 1 with header and tables, guards, index lists. conn
 * and process are the caller's to fill in. RS_NO_MEMORY, RS_OS_ERROR, RS_NO_BUFFERS. */
RS_CHECK_RESULT enum rs_status session_create(const struct session_plan_input *input,
                                              struct dp_session **out);
/* Frees all of it; nothing may refer to it. Sockets must be gone. */
void session_destroy(struct dp_session *session);
/* A ring of `kind` memory; adds an extent when the others are full. RS_NO_BUFFERS: limit_extents or
 * limit_memory reached. */
RS_CHECK_RESULT enum rs_status session_ring_take(struct dp_session *session,
                                                 enum rs_extent_kind kind, uint32_t size_bytes,
                                                 struct rs_ring_ref *out);
void session_ring_give(struct dp_session *session, enum rs_extent_kind kind,
                       struct rs_ring_ref *ring); /* harmless when size is 0 */
/* The ring's memory here, with its pages mapped: the poll loop shall not take page faults for them.
 */
uint8_t *session_ring_touch(const struct dp_session *session, const struct rs_ring_ref *ring);
void *session_pointer(const struct dp_session *session, struct rs_ref ref);
/* Of the extents that rings are in. Control thread. */
uint64_t session_rings_bytes(const struct dp_session *session);
/* Gives the extents of rings back to the system: for a session that no client maps (the house),
 * when no ring is taken. Control thread. */
void session_rings_trim(struct dp_session *session);
/* The client has mapped a cl extent: seals it (os_shm_seal), and maps the pages of what is in use
 * there, which the client may have taken away until now. RS_INVALID: no such extent; RS_CORRUPT:
 * the client has seen to it that it cannot be sealed. */
RS_CHECK_RESULT enum rs_status session_seal(struct dp_session *session, uint32_t extent_idx);
/* Whether client-written memory of the extent may be read. Any thread. */
static inline bool session_is_sealed(const struct dp_session *session, uint32_t extent_idx)
{
    /* acquire: partner is session_seal's release, after it mapped the pages */
    uint64_t sealed = atomic_load_explicit(&session->sealed, memory_order_acquire);
    return (sealed >> extent_idx & 1) != 0;
}

static inline bool session_never_sleeps(const struct dp_session *session)
{
    return atomic_load_explicit(&session->never_sleeps, memory_order_relaxed);
}

/* Opens a channel on a queue: event, positions, cold words. RS_NO_BUFFERS: limit_channels. */
RS_CHECK_RESULT enum rs_status session_channel_open(struct dp_session *session, uint32_t queue_idx,
                                                    struct dp_channel **out);
void session_channel_close(struct dp_session *session, struct dp_channel *channel);

/* A socket in a free place, with its part at home. RS_TOO_MANY_SOCKETS, RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status session_socket_open(struct dp_session *session,
                                                   uint32_t home_queue_idx,
                                                   const struct rs_op_open *open,
                                                   struct session_socket **out);
/* A further part of a socket, for another queue. RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status session_socket_part(struct session_socket *record,
                                                   uint32_t queue_idx, struct dp_socket **out);
/* Gives rings and index back and frees it with its parts; its port is released by the caller. */
void session_socket_free(struct session_socket *record);

#endif
