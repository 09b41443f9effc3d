/*
 * One NIC queue: its thread, its stack, the channels it polls. queue_run is the poll loop: no
 * allocation, lock, division, log or system call in it, but a few wake-up signals to sleeping
 * channels. Made by dataplane.c; everything inside belongs to the queue's thread once it runs, but
 * for the fields marked.
 *
 *   queue.c            the loop, the tables of sessions
 *   request.c          requests of clients: datagrams, and what waits for budget or NIC
 *   request_control.c  requests that change a socket, and the control thread's messages
 *   request_warm.c     a send that is expected
 *   request_end.c      violations, and the ends of channels and sessions
 *   stream*.c          stream sockets (stream.h)
 *   exchange.c         what queues hand to each other
 *   deliver.c          what goes back to clients
 */
#ifndef RINGSOCK_DATAPLANE_QUEUE_H
#define RINGSOCK_DATAPLANE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/config.h"
#include "dataplane/egress.h"
#include "dataplane/handover.h"
#include "dataplane/message.h"
#include "dataplane/nic.h"
#include "dataplane/session.h"
#include "dataplane/stack.h"
#include "dataplane/steer.h"
#include "rings/os/os.h"

/* Multicast MACs a NIC's filter is asked for; beyond them a NIC drops to all-multicast anyway. */
#define QUEUE_MACS_MAX 128u
#define QUEUE_EXPECTED 4u
/* Ephemeral ports, and turns of local connections in an iteration. */
#define QUEUE_LOCAL_PORTS 16384u
#define QUEUE_LOCAL_TURNS 64u
/* Looking at an idle channel costs some 8 ns. With more channels than this, sessions that asked for
 * nothing in the last second are looked at in one of so many (a power of two) iterations. */
#define QUEUE_CHANNELS_EAGER 64u
#define QUEUE_QUIET_POLLS    16u

/* How the poll loop spends its time. Written by the queue's thread with relaxed stores, read by the
 * control thread when somebody asks. */
struct queue_load {
    _Atomic uint64_t polls;      /* iterations */
    _Atomic uint64_t busy_polls; /* that had something to do */
    _Atomic uint64_t busy_tsc;   /* ticks spent in those */
    _Atomic uint64_t rx_bursts;  /* that brought frames; rx_frames are in the counters */
    _Atomic uint64_t rx_full;    /* bursts as large as can be: the NIC had more */
    _Atomic uint64_t requests;   /* slots taken */
    /* levels, as of the last heartbeat */
    _Atomic uint64_t sockets;     /* in the stack's table */
    _Atomic uint64_t memberships; /* of those */
    _Atomic uint64_t tcp_connections, tcp_half_open, tcp_time_waits;
};

/* A socket that moves (share_move.c): its message waits, and all behind it, until little enough is
 * left to copy. */
struct queue_move {
    bool waits; /* message does */
    bool begun; /* bytes before these positions are in the other rings */
    uint32_t recv_pos, send_pos;
    uint32_t steps; /* iterations so far */
    struct message message;
};
/* Copied in one iteration, at most. */
#define QUEUE_MOVE_BYTES 65536u

struct queue {
    const struct queue_config *config;
    struct nic *nic;
    struct stack *stack;
    struct capture *capture; /* NULL, but for `ringsockctl capture`; the stack has it too */
    uint32_t idx, queue_count;
    uint8_t siblings[RS_QUEUES_MAX]; /* idx of the queues of this NIC, by their number there */
    const struct egress *egress;     /* NULL: all queues are of one NIC */
    struct stamps *stamps;           /* transmit timestamps of the sockets at home here */
    /* To and from each other queue; NULL where there is none. */
    struct handover_ring *handover_in[RS_QUEUES_MAX], *handover_out[RS_QUEUES_MAX];
    /* messages */
    struct message_ring *from_control, *to_control;
    struct os_event *control_event; /* the control thread sleeps on it */
    _Atomic uint32_t
        *control_sleeping; /* partner: control.c, store then look; here push, fence, then look */
    struct queue_move move;
    uint32_t move_bytes;        /* QUEUE_MOVE_BYTES, but in tests */
    bool control_told;          /* messages were pushed in this iteration */
    _Atomic uint32_t stop;      /* stored by the control thread */
    _Atomic uint32_t link_down; /* so; looked at by each heartbeat */
    bool link_seen_down;
    _Atomic uint32_t hurry; /* so; the dataplane stops: orphans are not waited for */
    bool multicast_dirty;   /* the stack's set of groups changed and was not handed over yet */
    _Atomic uint32_t
        macs_ready; /* 1: macs is the control thread's (release here), 0: ours (release there) */
    uint8_t macs[QUEUE_MACS_MAX][6];
    uint32_t mac_count;
    /* who is polled */
    struct dp_session **sessions; /* dense, session_count used, room for all that config allows */
    uint32_t session_count;
    uint32_t session_first; /* whose requests come first in this iteration */
    bool shared;       /* several sessions were busy of late: each gets a part of the budget only */
    int32_t slots_now; /* what a session gets of an iteration, as of the last heartbeat */
    int64_t bytes_now;
    struct dp_session **by_slot; /* limit_sessions; NULL where none */
    uint32_t removing_count;     /* channels with removing set */
    uint32_t channel_count;      /* of all sessions */
    struct dp_session **ending;  /* sessions on their way out, ending_count used */
    uint32_t ending_count;
    /* this iteration */
    /* Where the next send ring record of recently heard sockets will be: for prefetching only, so
     * an address may be stale. */
    const uint8_t *expected[QUEUE_EXPECTED];
    uint64_t poll_number;
    uint64_t now_tsc;
    uint64_t busy_since_tsc; /* the iteration before was busy and began then; 0: it was idle */
    uint32_t taken;          /* requests in this iteration */
    uint32_t touched_count;
    uint32_t unfenced_polls;   /* iterations since deliver_look_finally */
    struct dp_socket *touched; /* something new for these: wake who armed them, reread send_level */
    struct dp_channel *consumed;    /* heads to publish */
    struct dp_channel *wake;        /* clients to wake if they sleep */
    struct session_part *hinting;   /* sessions whose sockets wait to be hinted */
    struct stream_report *report;   /* to be filled in; NULL: nobody asks */
    struct dp_socket *streams_gone; /* orphans whose connections are gone */
    uint32_t recalled_count;        /* sessions with spares_recalled set */
    struct dp_socket *listeners;    /* stream sockets, or their parts, that listen here */
    /* local connections (stream_local.c) */
    struct dp_socket *local_ready, **local_ready_last; /* senders with news, oldest first */
    struct dp_socket *local_orphans;                   /* closed, with bytes to send */
    struct dp_socket *local_shared; /* connected from ports that other sockets may have, too */
    uint32_t local_ports[QUEUE_LOCAL_PORTS / 32]; /* a bit for each that is taken here */
    uint32_t local_port_next;
    const rs_atomic_u32 *tcp_ports; /* ports_bits: bound ones */
    uint64_t next_heartbeat_tsc, heartbeat_tsc;
    uint64_t signal_tsc; /* SESSION_SIGNAL_NS */
    struct rs_clock clock;
    struct queue_load load;
    _Atomic uint32_t pin_failed; /* stored here, logged by the control thread */
    struct os_thread thread;     /* control */
    bool running;                /* control */
};

/* What a queue is made from; all borrowed until queue_destroy but config and nic, which outlive it.
 */
struct queue_input {
    const struct queue_config *config;
    struct nic *nic;
    uint32_t idx, queue_count;
    struct stack_config stack; /* config->stack with what the other queues add */
    const struct egress *egress;
    const struct rs_clock *clock;
    struct os_event *control_event;
    _Atomic uint32_t *control_sleeping;
};

/* siblings, handover_in and handover_out are filled in afterwards, before the queue runs. */
RS_CHECK_RESULT enum rs_status queue_create(const struct queue_input *input, struct queue **out);
RS_CHECK_RESULT enum rs_status queue_start(struct queue *queue); /* the thread */
void queue_stop(struct queue *queue); /* and wait for its end; harmless when not started */
void queue_destroy(struct queue *queue);
/* One iteration of the loop. True: it had something to do. Tests call it directly. */
bool queue_poll(struct queue *queue);

/* The queue's thread is the only writer; partner: whoever reads the load. */
static inline void queue_load_add(_Atomic uint64_t *word, uint64_t amount)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

/* Copies of what passes go there from now on; NULL: nowhere. */
void queue_set_capture(struct queue *queue, struct capture *capture);

/* ---- for the other files of the queue: its tables ---- */

void queue_session_add(struct queue *queue, struct dp_session *session);
void queue_session_forget(struct queue *queue, struct dp_session *session); /* and its channels */
void queue_channel_add(struct queue *queue, struct dp_channel *channel);
void queue_channel_forget(struct queue *queue, struct dp_channel *channel);
/* NULL: no session has that place now, or another one has. */
struct dp_session *queue_session_find(const struct queue *queue, uint32_t slot, uint64_t id);

static inline struct session_part *queue_part(const struct queue *queue,
                                              const struct dp_session *session)
{
    return &session->parts[queue->idx];
}

#define QUEUE_COUNT(queue, name) counter_add(stack_counters((queue)->stack), COUNTER_##name, 1)
/* The same, also for the session whose part it is: a field of session_part has the counter's name.
 */
#define QUEUE_COUNT_PART(queue, part, name) \
    do {                                    \
        QUEUE_COUNT(queue, name);           \
        queue_load_add(&(part)->name, 1);   \
    } while (0)

/* ---- request.c ---- */

/* Takes requests of all sessions, up to the budget of each. Returns how many. */
uint32_t request_consume(struct queue *queue);
/* Fills up the part's budgets when it is its first turn in this iteration. */
void request_budget_refill(struct queue *queue, struct session_part *part);
/* One entry of a list was looked at for the session whose turn it is: programs make such lists as
 * long as they like. */
#define REQUEST_LOOKS_PER_SLOT 8u
static inline void request_charge_look(struct session_part *part)
{
    if (++part->looks % REQUEST_LOOKS_PER_SLOT == 0) {
        part->turn_left--;
        part->slots_left--;
    }
}
/* After heads were published and the fence: a tail that the client stored instead of posting it
 * (post.h). */
void request_reread_level(struct queue *queue, struct dp_socket *socket);
/* The socket waits for its session's next turn; harmless when it does already. */
void request_block(struct dp_socket *socket);
/* One datagram of a socket, to the wire, to local receivers, or to the NIC it leaves by; charges
 * part, which asked, what it cost. RS_WOULD_BLOCK: not, or not all of its group, now: again with
 * the same datagram. */
enum rs_status request_send(struct queue *queue, struct dp_socket *socket,
                            struct session_part *part, uint32_t dst_be32, uint16_t port_be16,
                            const void *payload, uint32_t len_bytes,
                            const struct udp_control *control);
/* What the record wants otherwise than its socket. dst_be32: 0 for the peer. */
void request_send_control(const struct queue *queue, const struct dp_socket *socket,
                          const struct rs_send_ext *ext, uint32_t dst_be32,
                          struct udp_control *out);

/* ---- request_control.c ---- */

enum outcome {
    OUTCOME_DONE,
    OUTCOME_LATER,   /* leave the slot where it is: no room towards the control thread or the NIC */
    OUTCOME_POISONED /* the session is not polled any more */
};

/* A control request, its reply cell and socket checked. socket NULL: it names none. */
enum outcome request_control(struct queue *queue, struct dp_channel *channel,
                             struct dp_socket *socket, const struct rs_request *request);
/* The socket, or its part here, joins its session's table. */
void request_enter(struct dp_socket *socket);
/* So does a new one, and its state line says that it is there. */
void request_opened(struct dp_socket *socket);
/* 1: the channel that waits for the answer, and its session, stay; -1: not for this any more.
 * Nobody's: nothing. */
void request_pin(struct queue *queue, const struct message_reply *reply, int32_t change);
/* A close that waited for the send ring to drain. */
void request_close_finish(struct queue *queue, struct dp_socket *socket);
/* The socket, or its part here, leaves every table of this queue and goes back to the control
 * thread, or becomes a spare (then a reply is answered here). False: no room for the message, ask
 * again. */
bool request_close_now(struct queue *queue, struct dp_socket *socket,
                       const struct message_reply *reply);
/* All parts of a socket have what message->body.spread says: who else has the socket is told. */
void request_changed(struct queue *queue, const struct message *message, uint32_t status);
/* CONNECT, OPTION, MEMBER; TX_STAMP: of a datagram socket, for asker, which may be another session
 * than the socket's. */
enum outcome request_bind(struct queue *queue, struct dp_socket *socket, struct session_part *asker,
                          const struct rs_request *request, struct message_reply *reply);
enum outcome request_change(struct queue *queue, struct dp_socket *socket,
                            struct session_part *asker, const struct rs_request *request,
                            struct message_reply *reply);
enum outcome request_tx_stamp(struct queue *queue, struct dp_socket *socket,
                              struct session_part *asker, const struct rs_request *request,
                              struct message_reply *reply);
/* Carries out a message of the control thread. */
void request_message(struct queue *queue, const struct message *message);
/* Whether one more request of the session may go to the control thread: no client shall fill its
 * queue. */
bool request_may_forward(struct queue *queue, struct session_part *part);
/* A message to the control thread; counts as pending when somebody waits for its answer. */
bool request_forward(struct queue *queue, struct message *message);

/* ---- request_warm.c ---- */

/* RS_OP_WARM. */
enum outcome request_warm(struct queue *queue, struct dp_socket *socket,
                          const struct rs_request *request);

/* ---- stamps.c ---- */

/* All memory that it will use. */
RS_CHECK_RESULT enum rs_status stamps_create(struct stamps **out);
void stamps_destroy(struct stamps *stamps); /* NULL is none */
/* RS_OPT_TX_STAMPS of a socket at home: room for so many, 0: none; forgets what it has.
 * RS_NO_BUFFERS: the session, or the queue, has no more room, and the socket has none now. */
RS_CHECK_RESULT enum rs_status stamps_set(struct queue *queue, struct dp_socket *socket,
                                          uint32_t count);
/* For udp_control. False: the socket keeps none. */
bool stamps_name(const struct queue *queue, const struct dp_socket *socket, uint32_t stamp_id,
                 uint64_t *stamp);
/* Takes the oldest of that number; asker is charged. False: there is none. */
bool stamps_take(struct queue *queue, struct dp_socket *socket, struct session_part *asker,
                 uint32_t stamp_id, uint64_t *tx_tsc);
/* Their room is another session's from now on, as the socket is. */
void stamps_move(const struct queue *queue, const struct dp_socket *socket,
                 struct session_part *to);
/* stack_upcalls.stamped, and what another queue tells. */
void stamps_upcall(void *context, uint64_t stamp);
void stamps_add(struct queue *queue, uint64_t stamp, uint64_t tx_tsc);

/* ---- request_end.c ---- */

/* Ends a session that broke the protocol: nothing of it is read any more. text: static storage. */
void request_poison(struct queue *queue, struct dp_session *session, const char *text);
/* Moves a channel's removal, a session's end forward. True: done and told to the control thread. */
bool request_channel_remove(struct queue *queue, struct dp_channel *channel);
bool request_session_end(struct queue *queue, struct dp_session *session);

/* ---- exchange.c ---- */

/* Frames, datagrams and hints that other queues handed over. Returns how many. */
uint32_t exchange_receive(struct queue *queue);
/* Frames that the NIC steered by another rule than the queues': each goes to its queue, and what is
 * ours to stack_input. */
void exchange_sort(struct queue *queue, const struct pkt *pkts, uint32_t count);
/* A datagram that leaves by another NIC. RS_WOULD_BLOCK: no room there now, nothing was done. */
RS_CHECK_RESULT enum rs_status exchange_send(struct queue *queue, uint32_t to_idx,
                                             const struct dp_socket *socket, uint32_t dst_be32,
                                             uint16_t port_be16, const void *payload,
                                             uint32_t len_bytes, const struct udp_control *control);
/* A datagram that queue to_idx handed over was sent. */
void exchange_stamp(struct queue *queue, uint32_t to_idx, uint64_t stamp, uint64_t tx_tsc);
/* Hints for channels of other queues. False: no room, nothing was done. */
bool exchange_has_room(const struct queue *queue);
void exchange_hint(struct queue *queue, uint32_t to_idx, const struct dp_socket *socket,
                   uint64_t channel_mask);
/* The stack's upcall hand_over. */
bool exchange_upcall_frame(void *context, const struct pkt *pkt, enum stack_hand_to to,
                           uint32_t queue_idx);

/* ---- deliver.c ---- */

void deliver_upcalls_fill(struct queue *queue, struct stack_upcalls *out);
/* At the end of an iteration: publish consumed slots, reread levels, hint and wake. idle: the
 * iteration had nothing to do. */
void deliver_settle(struct queue *queue, bool idle);
/* happened: RS_LEVEL_*; the socket gets its turn in deliver_settle. */
void deliver_touch(struct queue *queue, struct dp_socket *socket, uint32_t happened);
void deliver_consumed(struct queue *queue, struct dp_channel *channel);
void deliver_error(struct queue *queue, struct dp_socket *socket, enum rs_status error);
void deliver_reply(struct queue *queue, const struct message_reply *reply);
/* The socket goes: marks its place free, wakes who waits for it, takes it off this iteration's
 * lists. A part that goes only leaves the lists. */
void deliver_closed(struct queue *queue, struct dp_socket *socket);
/* The socket leaves its session, not its program: off this iteration's lists. */
void deliver_moves(struct queue *queue, struct dp_socket *socket);
/* The same for a stream socket that becomes an orphan: its place stays taken. deliver_closed
 * follows. */
void deliver_orphaned(struct queue *queue, struct dp_socket *socket);
/* Room for those who wait for a socket on channels of other queues; before the two above. */
bool deliver_may_close(const struct queue *queue);
void deliver_wake(struct queue *queue, struct dp_channel *channel);
void deliver_wake_session(struct queue *queue, const struct dp_session *session);
/* Hints the session's channels of this queue that channel_mask names. */
void deliver_hint_channels(struct queue *queue, struct dp_session *session, uint32_t socket_idx,
                           uint32_t generation, uint64_t channel_mask);

#endif
