/*
 * One NIC queue: its thread, its stack, the channels it polls. queue_run is the poll loop: no
 * allocation, lock, division, log or system call in it, but one wake-up signal per sleeping
 * channel. Made by dataplane.c; everything inside belongs to the queue's thread once it runs, but
 * for the fields marked.
 */
#ifndef RINGSOCK_DATAPLANE_QUEUE_H
#define RINGSOCK_DATAPLANE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/config.h"
#include "dataplane/message.h"
#include "dataplane/nic.h"
#include "dataplane/session.h"
#include "dataplane/stack.h"
#include "rings/os/os.h"

/* Multicast MACs a NIC's filter is asked for; beyond them a NIC drops to all-multicast anyway. */
#define QUEUE_MACS_MAX 128u
#define QUEUE_EXPECTED 4u

struct queue {
    const struct queue_config *config;
    struct nic *nic;
    struct stack *stack;
    uint32_t idx;
    /* messages */
    struct message_ring *from_control, *to_control;
    struct os_event *control_event; /* the control thread sleeps on it */
    _Atomic uint32_t
        *control_sleeping; /* partner: control.c, store then look; here push, fence, then look */
    bool control_told;     /* messages were pushed in this iteration */
    _Atomic uint32_t stop; /* stored by the control thread */
    bool multicast_dirty;  /* the stack's set of groups changed and was not handed over yet */
    _Atomic uint32_t
        macs_ready; /* 1: macs is the control thread's (release here), 0: ours (release there) */
    uint8_t macs[QUEUE_MACS_MAX][6];
    uint32_t mac_count;
    /* who is polled */
    struct dp_channel **channels; /* dense, channel_count used, room for all that config allows */
    uint32_t channel_count;
    uint32_t sleepers;            /* channels that may sleep; 0: no fences, no looking who sleeps */
    uint32_t removing_count;      /* channels with removing set */
    struct dp_session **sessions; /* dense, session_count used */
    uint32_t session_count;
    struct dp_session **ending; /* sessions on their way out, ending_count used */
    uint32_t ending_count;
    /* this iteration */
    /* Where the next send ring record of recently heard sockets will be: for prefetching only, so
     * an address may be stale. */
    const uint8_t *expected[QUEUE_EXPECTED];
    uint64_t poll_number;
    uint64_t now_tsc;
    uint32_t touched_count;
    uint32_t unfenced_polls;   /* iterations since deliver_look_finally */
    struct dp_socket *touched; /* something new for these: wake who armed them, reread send_level */
    struct dp_socket *blocked; /* send rings the NIC, or the byte budget, had no room for */
    struct dp_channel *consumed; /* heads to publish */
    struct dp_channel *wake;     /* clients to wake if they sleep */
    uint64_t next_heartbeat_tsc, heartbeat_tsc;
    struct rs_clock clock;
    _Atomic uint32_t pin_failed; /* stored here, logged by the control thread */
    struct os_thread thread;     /* control */
    bool running;                /* control */
};

RS_CHECK_RESULT enum rs_status queue_create(const struct queue_config *config, uint32_t idx,
                                            struct nic *nic, const struct rs_clock *clock,
                                            struct os_event *control_event,
                                            _Atomic uint32_t *control_sleeping, struct queue **out);
RS_CHECK_RESULT enum rs_status queue_start(struct queue *queue); /* the thread */
void queue_stop(struct queue *queue); /* and wait for its end; harmless when not started */
void queue_destroy(struct queue *queue);
/* One iteration of the loop. True: it had something to do. Tests call it directly. */
bool queue_poll(struct queue *queue);

/* For request.c: the dense tables. */
void queue_channel_add(struct queue *queue, struct dp_channel *channel);
void queue_channel_forget(struct queue *queue, struct dp_channel *channel);
void queue_session_forget(struct queue *queue, struct dp_session *session); /* and its channels */

/* ---- request.c ---- */

/* Takes up to budget requests from a channel. Returns how many. */
uint32_t request_consume(struct queue *queue, struct dp_channel *channel, uint32_t budget);
/* Carries out a message of the control thread. */
void request_message(struct queue *queue, const struct message *message);
/* After heads were published and the fence: a tail that the client stored instead of posting it
 * (post.h). */
void request_reread_level(struct queue *queue, struct dp_socket *socket);
/* Retries send rings that had to wait. */
void request_retry_blocked(struct queue *queue);
/* Moves a channel's removal, a session's end forward. True: done and told to the control thread. */
bool request_channel_remove(struct queue *queue, struct dp_channel *channel);
bool request_session_end(struct queue *queue, struct dp_session *session);
/* Ends a session that broke the protocol: nothing of it is read any more. text: static storage. */
void request_poison(struct queue *queue, struct dp_session *session, enum rs_status status,
                    const char *text);

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
 * lists. */
void deliver_closed(struct queue *queue, struct dp_socket *socket);
void deliver_wake(struct queue *queue, struct dp_channel *channel);
void deliver_wake_session(struct queue *queue, const struct dp_session *session);

#endif
