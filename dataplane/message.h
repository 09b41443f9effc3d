/*
 * Messages between the control thread and a queue's thread: two single-producer, single-consumer
 * rings per queue, of fixed-size messages. Everything slow or in need of one authority crosses
 * here; the data path does not. Pointers in messages hand over ownership for the time the message
 * says.
 *
 * queue -> control: QUEUE_* kinds; control -> queue: CONTROL_* kinds. The consumer polls the slot
 * itself; the queue never waits for room (it leaves the request that caused the message for its
 * next round, and takes no message that it could not answer), the control thread does, and takes in
 * what queues tell meanwhile (control_messages.c).
 */
#ifndef RINGSOCK_DATAPLANE_MESSAGE_H
#define RINGSOCK_DATAPLANE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp.h"
#include "rings/layout.h"

struct capture;
struct dp_channel;
struct dp_session;
struct dp_socket;
struct dp_share;
struct stream_report;

enum message_kind {
    MESSAGE_NONE = 0,
    /* control -> queue */
    CONTROL_SESSION_ADD,    /* session: its part on this queue is the queue's from now on */
    CONTROL_CHANNEL_ADD,    /* channel: poll it from now on */
    CONTROL_CHANNEL_REMOVE, /* channel: consume what is posted, forget it, answer
                               QUEUE_CHANNEL_REMOVED */
    CONTROL_SESSION_END,    /* session: drain its channels, close its sockets, answer
                               QUEUE_SESSION_ENDED */
    CONTROL_OPENED,   /* socket (NULL: failed), reply: enter it in the session, write the reply */
    CONTROL_BOUND,    /* socket, reply, addr: join the demux table, write the reply */
    CONTROL_CLOSED,   /* nothing refers to the socket's memory any more; write the reply */
    CONTROL_PART_ADD, /* socket (a part), bind: join the demux table, answer QUEUE_PART_DONE */
    CONTROL_PART_REMOVE, /* socket (a part): leave all tables, answer QUEUE_PART_REMOVED */
    CONTROL_PART_MOVE,   /* socket (a part), share: it goes to that place, answer QUEUE_PART_DONE */
    CONTROL_SPREAD,      /* socket (a part), spread: do it here too, answer QUEUE_PART_DONE */
    CONTROL_SPREAD_DONE, /* socket (home), reply, spread: all parts did, or none */
    CONTROL_RINGS,       /* socket (stream), reply, addr: it has rings now, go on with CONNECT */
    CONTROL_LISTENED,    /* socket (home), reply, listen: its parts listen, or none does */
    CONTROL_PART_LISTEN, /* socket (a part), listen: listen, answer QUEUE_PART_DONE */
    CONTROL_PART_UNLISTEN, /* socket (a part): no more, answer QUEUE_PART_DONE */
    CONTROL_PLACE,   /* socket (of a listener, here), place (NULL: there is none): for its stock */
    CONTROL_CAPTURE, /* capture: copies go there from now on; NULL: nowhere, answer
                        QUEUE_CAPTURE_STOPPED */
    CONTROL_REPORT,  /* report: fill it in, a few entries in each iteration, then QUEUE_REPORTED */
    CONTROL_SPARE,   /* socket: one more spare, made ahead of time */
    CONTROL_SHARED,  /* socket, reply, share: it is (share.h), and one more descriptor may come */
    CONTROL_SHARE_OPENED,   /* socket (NULL: failed), reply, share: one more descriptor */
    CONTROL_UNSHARED,       /* socket (a descriptor), reply, share: the core takes its place */
    CONTROL_ACCEPT,         /* accept: that connection goes to its place, answer QUEUE_ACCEPTED */
    CONTROL_SHARE_ACCEPTED, /* socket (a descriptor), reply, accept: its connection is there */
    CONTROL_SHARE_EXPIRED,  /* share: one that might have come does not */
    CONTROL_SPARES_BACK,    /* session: give all its spares back, answer QUEUE_SPARES_GIVEN */
    /* queue -> control */
    QUEUE_OPEN,   /* reply, open */
    QUEUE_BIND,   /* socket, reply, bind */
    QUEUE_CLOSED, /* socket, reply: out of all tables of the queue; its memory is control's again */
    QUEUE_SPREAD, /* socket, reply, spread: done at home, the other parts shall too */
    QUEUE_RINGS,  /* socket (stream), reply, addr (of the CONNECT): it needs rings */
    QUEUE_LISTEN, /* socket (home, it listens already), reply, listen: parts and places are needed
                   */
    QUEUE_PLACE,  /* socket (of a listener, here): a place was taken, it needs another one */
    QUEUE_SHARE,  /* socket, reply, share: grant one more descriptor */
    QUEUE_SHARE_OPEN,   /* reply, token */
    QUEUE_SHARE_ACCEPT, /* socket (a descriptor), reply, accept: it gets that connection */
    QUEUE_ACCEPTED,     /* reply.status, accept: it has left its place, or is gone */
    QUEUE_UNSHARE,      /* socket (the last descriptor), reply, share: a place for the core */
    QUEUE_UNSHARED,     /* socket (that descriptor), share: both and what the core had are free */
    QUEUE_SPARES_GIVEN, /* session: each spare went before this as QUEUE_CLOSED */
    QUEUE_PART_DONE,    /* socket (a part), reply.status */
    QUEUE_PART_REMOVED, /* socket (a part): its memory is control's again */
    QUEUE_CHANNEL_REMOVED, /* channel */
    QUEUE_SESSION_ENDED,   /* session */
    QUEUE_CAPTURE_STOPPED, /* its capture is control's again */
    QUEUE_POISONED,        /* session, text */
    QUEUE_REPORTED,        /* the report is filled in, and control's again */
    QUEUE_NOTICE           /* notice, ip, mac */
};

/* Where the answer to a control request goes, and what it says. channel NULL: nobody waits. */
struct message_reply {
    struct dp_channel *channel;
    uint32_t cell_idx;
    uint32_t serial;
    uint32_t status;               /* enum rs_status */
    union {                        /* the answer's payload */
        struct rs_share_data data; /* the longest */
        struct rs_share_token token;
        struct rs_unshared unshared;
        struct rs_open_reply open;
        struct rs_tx_stamp_reply stamp;
        struct rs_accept accept;
    };
};

/* Where a socket is to live: a free index of a session, and rings (share_move.c). */
struct message_place {
    struct dp_session *session;
    uint32_t idx, generation;
    struct rs_ring_ref send_ring, recv_ring;
    uint8_t *send_base, *recv_base;
};

/* A connection that waits at a shared listener: who it is, and where it goes. */
struct message_accept {
    struct dp_share *share;
    uint64_t session_id; /* of its session, and its place there */
    uint32_t session_slot, idx, generation;
    uint32_t queue_idx;            /* where it is at home */
    uint32_t recv_bytes;           /* of the ring that it needs; 0: of the one that it has */
    struct dp_socket *borrower;    /* ACCEPTED: that other end reads its old send ring for good */
    struct session_socket *record; /* control: it */
    struct message_place place;    /* session NULL: it stays */
};

/* What a socket's parts must agree on. */
struct message_options {
    uint32_t recv_limit_bytes;  /* SO_RCVBUF; 0: the whole ring */
    uint32_t multicast_if_be32; /* 0: the NIC of the home queue */
    uint8_t ttl, tos, multicast_ttl;
    uint8_t recv_control; /* RS_CONTROL_* */
    bool broadcast, multicast_loop, surface_connreset;
};

struct message {
    _Atomic uint32_t
        seq;       /* position of the slot, odd when full; partner: the other thread's load */
    uint32_t kind; /* enum message_kind */
    struct dp_session *session;
    struct dp_channel *channel;
    struct dp_socket *socket;
    struct message_reply reply;
    union {
        struct rs_addr addr;
        struct rs_op_open open;
        struct {
            struct rs_addr addr;
            struct message_options options;
            uint32_t share; /* enum ports_share */
        } bind;
        struct {
            uint32_t op;         /* RS_OP_CONNECT, RS_OP_OPTION, RS_OP_MEMBER */
            uint32_t local_be32; /* CONNECT: the address that home chose */
            union {
                struct rs_addr peer;
                struct rs_op_option option;
                struct rs_op_member member;
            };
        } spread;
        struct {
            struct rs_op_listen op;
            struct rs_addr local;
            struct tcp_settings settings; /* of its connections */
            uint32_t recv_limit_bytes;    /* so */
            uint32_t send_limit_bytes;    /* so */
            struct tcp_backlog *backlog;  /* of all parts */
            uint32_t places;              /* for each queue; that many CONTROL_PLACE follow */
        } listen;
        struct {
            struct rs_op_share op;
            struct dp_socket *borrower;   /* that other end reads its send ring for good; or NULL */
            uint32_t recv_bytes;          /* of the receive ring that it needs there */
            struct dp_share *share;       /* QUEUE_SHARE: NULL: it is not shared yet */
            struct dp_socket *descriptor; /* its first one, then; else NULL */
            struct message_place place;   /* where it goes, then; UNSHARED: where it was */
        } share;
        struct message_accept accept;
        struct rs_share_token token;
        struct dp_socket *place;
        struct capture *capture;
        struct stream_report *report;
        const char *poison_text; /* static storage */
        struct {
            uint32_t kind; /* enum stack_notice */
            uint32_t ip_be32;
            uint8_t mac[6];
        } notice;
    } body;
};

#define MESSAGE_RING_SLOTS 1024u

/* Padding, not alignment, keeps the two ends on lines of their own: the ring comes from plain
 * calloc. */
struct message_ring {
    uint32_t tail; /* producer's own */
    uint8_t pad0[124];
    uint32_t head; /* consumer's own */
    uint8_t pad1[124];
    struct message slots[MESSAGE_RING_SLOTS];
};

/* Turns a membership request into the one that takes it back. False: none does. Any thread. */
bool message_member_inverse(struct rs_op_member *member);

/* Makes an empty ring; before either thread uses it. */
void message_ring_init(struct message_ring *ring);
/* Producer thread. False: full. The message is copied. */
bool message_push(struct message_ring *ring, const struct message *message);
/* Producer thread: true when message_push would succeed. */
bool message_has_room(const struct message_ring *ring);
/* Consumer thread. False: nothing there. */
bool message_pop(struct message_ring *ring, struct message *out);

#endif
