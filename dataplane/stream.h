/*
 * Stream sockets of clients on a queue: what lies between their requests and state lines
 * (rings/README.md) and TCP (tcp.h). Queue thread, but for what is marked in struct dp_stream.
 *
 *   stream.c          data and what becomes of it: POST, CONSUMED, events of a connection, orphans
 *   stream_control.c  CONNECT, SHUTDOWN, CLOSE, options; messages of the control thread
 *   stream_listen.c   LISTEN and what comes of it
 *   stream_local.c    connections between two sockets here, without segments
 *   stream_local_port.c   their addresses
 *   stream_info.c     what a connection tells about itself
 *   stream_capture.c  the segments that `ringsockctl capture` shows of those
 *   stream_spare.c    closed sockets kept for the next ones
 *
 * A listening socket has a part on every queue (as a bound datagram socket has), with a receive
 * ring of accept records and a stock of places: sockets with rings, made by the control thread
 * ahead of time, that connections take without waiting. All parts share one backlog.
 *
 * Called by request*.c, queue.c, deliver.c and the stack's upcalls. A connection's rings are
 * borrowed until TCP_EVENT_GONE, so the socket's memory stays the queue's until then: closed
 * before, it is an orphan.
 */
#ifndef RINGSOCK_DATAPLANE_STREAM_H
#define RINGSOCK_DATAPLANE_STREAM_H

#include "dataplane/queue.h"
#include "dataplane/tcp.h"
#include "rings/stream_ring.h"

enum stream_phase {
    STREAM_IDLE,       /* not connected, or no more: CONNECT may come */
    STREAM_CONNECTING, /* the SYN is sent */
    STREAM_CONNECTED,  /* was connected, also when it is over */
    STREAM_LISTENING
};

/* One end of a local connection. */
struct stream_local {
    /* a line: */
    bool on;                /* the socket's connection is a local one, or is to be */
    bool shut;              /* an end follows what is in the send ring */
    bool ended;             /* and was told to the peer, if there is one */
    bool recv_shut;         /* what arrives resets the connection */
    bool over;              /* nothing comes or goes any more */
    bool port_taken;        /* own's, of the queue */
    uint8_t limit;          /* enum rs_tcp_limit, what holds the sender back now */
    struct dp_socket *peer; /* NULL: none yet, or no more */
    struct stream_reader send;
    struct stream_writer recv;
    /* a line: */
    const rs_atomic_u32 *recv_head;
    struct dp_socket *ready_next, **ready_link; /* queue's list; link NULL: not on it */
    /* Within one session: whose send ring is read as this end's receive ring, and who reads this
     * one's so. A socket that is lent keeps its place. */
    struct dp_socket *lender, *borrower;
    uint64_t sent_bytes, received_bytes;
    uint32_t freed; /* send_head, when the send ring is lent */
    bool may_lend;  /* its CONNECT is not answered yet, so its descriptor may still change */
    bool kept;      /* over and an orphan, but lent */
    bool inherits;  /* its receive ring is a send ring of another socket for good (share_move.c) */
    /* cold */
    struct rs_addr own, other;
    struct dp_socket *orphan_next, **orphan_link; /* queue's list */
    struct dp_socket *shared_next, **shared_link; /* so */
    uint64_t linger_until_tsc;                    /* 0: no limit */
    uint64_t over_tsc;                            /* 0: not yet */
    struct tcp_limits limits;                     /* TSC */
    uint32_t isn;                /* of both ends, where `ringsockctl capture` shows segments */
    struct dp_socket *waits_for; /* a listener without places */
    struct dp_socket *wait_next, **wait_link;
};

/* The stream half of a dp_socket. Zeroed by the control thread, then the queue's. */
struct dp_stream {
    struct tcp_conn *conn; /* from CONNECT on until TCP_EVENT_GONE; NULL: none */
    enum stream_phase phase;
    bool leaving; /* conn was closed or aborted, TCP_EVENT_GONE is to come */
    bool bound;   /* by BIND */
    bool send_shut;
    bool notify_waits;         /* notify can be reached */
    uint32_t level;            /* as in the state line */
    uint32_t notify;           /* recv_notify there */
    uint32_t send_tail;        /* the newest that TCP was told */
    uint32_t recv_limit_bytes; /* SO_RCVBUF; 0: the whole ring */
    uint32_t send_limit_bytes; /* SO_SNDBUF; 0: the whole ring */
    bool waits; /* came by a listener and is not accepted yet: recv_head is no_head, not the
                   client's */
    rs_atomic_u32 no_head;       /* 0 */
    struct dp_socket *gone_next; /* queue's list of orphans whose connection is gone */
    _Alignas(RS_LINE_BYTES) struct stream_local local;
    uint32_t local_be32;
    uint16_t local_port_be16;
    struct tcp_settings settings;
    /* of a listening socket and its parts */
    struct tcp_listener listener;
    struct tcp_backlog backlog; /* at home, for all parts */
    uint32_t place_bytes;       /* receive ring of a place */
    bool places_usual;          /* its rings are of the sizes that spares have */
    uint32_t accept_seen;       /* records before it gave their places of the backlog back */
    /* It moved (share.h): records before early_end name sockets of the session it came from. */
    uint32_t early_end, early_slot;
    uint64_t early_id;        /* 0: it did not, or they are taken */
    uint32_t places_wanted;   /* in stock and coming, unless connections wait */
    uint32_t places_count;    /* in stock */
    uint32_t places_coming;   /* CONTROL_PLACE messages */
    struct dp_socket *places; /* the stock, by place_next */
    struct dp_socket *place_next;
    struct dp_socket *listen_next; /* queue's list */
    /* local connections that wait for a place, oldest first; last is valid while there are any */
    struct dp_socket *local_waiting, **local_waiting_last;
};
static_assert(offsetof(struct dp_stream, local) == RS_LINE_BYTES &&
                  offsetof(struct dp_stream, local.recv_head) == 2 * RS_LINE_BYTES &&
                  offsetof(struct dp_stream, local.own) <= 3 * RS_LINE_BYTES,
              "lines of dp_stream");

/* A stream's half lies behind its socket (session.c), so its lines can be asked for before the
 * socket's are there. */
static inline void stream_prefetch(const struct dp_socket *socket)
{
    const uint8_t *lines = (const uint8_t *)socket;
    const uint8_t *stream = (const uint8_t *)(socket + 1);
    __builtin_prefetch(lines + RS_LINE_BYTES, 1);
    __builtin_prefetch(lines + 2 * RS_LINE_BYTES, 1);
    for (uint32_t i = 0; i < 3; i++) {
        __builtin_prefetch(stream + i * RS_LINE_BYTES, 1);
    }
}

/* Where the bytes of a local connection will go, of one whose turn comes soon; NULL: none. */
static inline void stream_prefetch_target(const struct dp_socket *from)
{
    const struct dp_socket *to = from != NULL ? from->stream->local.peer : NULL;
    if (to != NULL) {
        const struct stream_writer *recv = &to->stream->local.recv;
        __builtin_prefetch(to->state, 1);
        if (to->stream->local.lender == NULL) {
            __builtin_prefetch(recv->base + (recv->tail & (recv->size_bytes - 1)), 1);
        }
    }
}

/* ---- stream.c ---- */

/* POST, URGENT, CONSUMED of a stream socket; anything else breaks the protocol. */
enum outcome stream_data(struct queue *queue, struct dp_channel *channel, struct dp_socket *socket,
                         const struct rs_request *request);
/* All before tail is in the send ring. False: it cannot be, the session is poisoned. */
bool stream_take_tail(struct queue *queue, struct dp_socket *socket, uint32_t tail, bool urgent);
/* A tail that the client left in send_level (post.h). */
void stream_take_level(struct queue *queue, struct dp_socket *socket);
/* Has the client read past recv_notify? Behind the fence nobody is missed. */
void stream_look(struct queue *queue, struct dp_socket *socket);
/* The program may have read, or its limit is another: looks at recv_head, announces, says from
 * where on it wants to hear of it again. */
void stream_consumed(struct queue *queue, struct dp_socket *socket);
/* Bits of the level word; all they announce is stored. */
void stream_add_level(struct dp_socket *socket, uint32_t bits);
/* Error words and level. Returns what to tell, RS_LEVEL_*. */
uint32_t stream_failed(struct dp_socket *socket, enum rs_status error);
void stream_urgent(struct dp_socket *socket, uint32_t position);
/* recv_notify, looked at again behind the fence when notify_waits. */
void stream_store_notify(struct queue *queue, struct dp_socket *socket, uint32_t notify);
/* level, connect_seq and connected_tsc say that it is connected. */
void stream_connected(const struct queue *queue, struct dp_socket *socket);
/* Its place goes back to the control thread when there is room (stream_settle). */
void stream_give_back(struct queue *queue, struct dp_socket *socket);
/* What TCP tells (stack_upcalls.tcp_event). */
void stream_upcall_event(void *context, struct tcp_conn *conn, uint32_t events);
/* Gives orphans whose connections are gone back to the control thread, as far as there is room. */
void stream_settle(struct queue *queue);

/* ---- stream_listen.c ---- */

enum outcome stream_listen(struct queue *queue, struct dp_socket *socket,
                           struct session_part *asker, const struct rs_request *request,
                           struct message_reply *reply);
/* CONTROL_LISTENED, CONTROL_PART_LISTEN, CONTROL_PART_UNLISTEN and CONTROL_PLACE came. */
enum rs_status stream_listened(struct queue *queue, const struct message *message);
enum rs_status stream_part_listen(struct queue *queue, const struct message *message);
void stream_part_unlisten(struct queue *queue, struct dp_socket *part);
/* Who listens to this address here; NULL: nobody. Charged to who asks. */
struct dp_socket *stream_listen_find(const struct queue *queue, struct session_part *asker,
                                     uint32_t ip_be32, uint16_t port_be16);
void stream_place(struct queue *queue, const struct message *message);
/* SO_RCVBUF changed: what SYN-ACKs announce. */
void stream_listen_limit(struct dp_stream *stream);
/* What the program has accepted, or was told of and did not. Once a heartbeat for each listener. */
/* The part is about to leave its session (share.h): its places stay behind. */
void stream_listen_moves(struct queue *queue, struct dp_socket *part);
void stream_listen_look(struct queue *queue, struct dp_socket *part);
/* The program has the socket: from now on its words count. */
void stream_taken(struct queue *queue, struct dp_socket *socket);
/* The listener, or its part here, goes: what nobody accepted is reset, the stock goes back. */
void stream_listen_end(struct queue *queue, struct dp_socket *part);
/* stack_upcalls.tcp_room and .tcp_accept */
bool stream_upcall_room(void *context, struct tcp_listener *listener);
bool stream_upcall_accept(void *context, struct tcp_listener *listener, struct tcp_conn *conn,
                          struct tcp_rings *rings, void **owner);

/* A connection takes the first place in stock: by `conn`, or to the other end `from` of a local
 * one. False: the session is poisoned. */
bool stream_accept_place(struct queue *queue, struct dp_socket *part, struct tcp_conn *conn,
                         struct dp_socket *from);

/* ---- stream_local.c ---- */

/* CONNECT to an address of ours: as tcp_connect, but that the answer is there at once. */
enum rs_status stream_local_connect(struct queue *queue, struct dp_socket *socket,
                                    const struct rs_addr *peer);
/* The accepted end of a connection from there. */
void stream_local_place(const struct queue *queue, struct dp_socket *place, struct dp_socket *from);
/* That place was not taken after all. */
void stream_local_untake(struct dp_socket *place);
/* The listener has a place again, for one that waits; it has none any more, for nobody. */
void stream_local_resume(struct queue *queue, struct dp_socket *listener);
void stream_local_refuse_all(struct queue *queue, struct dp_socket *listener);
/* False: the tail cannot be. */
bool stream_local_tail(struct queue *queue, struct dp_socket *socket, uint32_t tail, bool urgent);
/* With a peer, not shut and not over: goes the way of a tail that brings nothing. */
void stream_local_warm(struct queue *queue, struct dp_socket *socket);
void stream_local_consumed(struct queue *queue, struct dp_socket *socket);
/* SO_RCVBUF or SO_SNDBUF changed. */
void stream_local_limit(struct queue *queue, struct dp_socket *socket);
enum rs_status stream_local_shutdown(struct queue *queue, struct dp_socket *socket, uint32_t how);
/* Not connected yet: as if CONNECT had not come. */
void stream_local_forget(struct queue *queue, struct dp_socket *socket);
/* What the socket read in the other end's ring is copied: it reads there no more. */
void stream_local_given_back(struct queue *queue, struct dp_socket *borrower);
/* The socket has become an orphan: tcp_close, tcp_abort. */
void stream_local_leave(struct queue *queue, struct dp_socket *socket, bool abort,
                        uint64_t linger_ns);
void stream_local_abort(struct queue *queue, struct dp_socket *socket);
/* Turns of those with news. Returns how many. */
uint32_t stream_local_run(struct queue *queue);
void stream_local_heartbeat(struct queue *queue);

/* ---- stream_local_port.c ---- */

/* 0: none is free. Each queue has its own ones, so no two of them choose the same pair. What it
 * looks through is charged to part. */
uint16_t stream_local_port_take(struct queue *queue, struct session_part *part);
void stream_local_port_give(struct queue *queue, struct stream_local *local);
/* A port that is shared (SO_REUSEADDR) connects once to each address: those that have one are on a
 * list, which is as long as programs make it by that option. */
bool stream_local_pair_taken(const struct queue *queue, struct session_part *part,
                             const struct rs_addr *own, const struct rs_addr *other);
void stream_local_share(struct queue *queue, struct dp_socket *socket);
void stream_local_unshare(struct stream_local *local);

/* ---- stream_info.c ---- */

/* As of now. RS_NOT_CONNECTED: there is no connection, nor one that begins. */
RS_CHECK_RESULT enum rs_status stream_info(const struct queue *queue,
                                           const struct dp_socket *socket, struct rs_tcp_info *out);
/* ---- stream_capture.c ---- */

/* The segment that would carry what `from` did: flags (TCP_FLAG_*), and the len_bytes that were
 * copied last. */
void stream_capture_segment(const struct queue *queue, const struct dp_socket *from, uint8_t flags,
                            uint32_t len_bytes);
/* The reset that would come to the socket from its other end, or for want of one. */
void stream_capture_reset(const struct queue *queue, const struct dp_socket *to);

/* A stream socket in a report: the control thread names it, the queue that has it says the rest. */
struct stream_report_entry {
    uint64_t session_id;
    uint32_t session_slot, idx;
    bool told;           /* the socket was found: what follows is true */
    uint32_t generation; /* the control thread's own may be behind */
    bool connected;      /* it has a connection, or tries: info is all of it, else the state only */
    bool local;
    uint32_t unread_bytes, unsent_bytes;
    struct rs_tcp_info info;
};

/* The queue's from CONTROL_REPORT until QUEUE_REPORTED, else the control thread's. */
struct stream_report {
    uint32_t count;
    uint32_t next; /* to be looked at */
    struct stream_report_entry entries[];
};

/* Goes on with queue->report, a few entries. Returns how many, so that it counts as work. */
uint32_t stream_report_step(struct queue *queue);
/* ---- stream_spare.c ---- */

/* A socket that has left all tables. True: it is kept, nobody else has it. */
bool stream_spare_keep(const struct queue *queue, struct dp_socket *socket);
/* CONTROL_SPARE came. */
void stream_spare_add(struct dp_socket *socket);
/* One with rings of the usual sizes, as fresh as from the control thread. NULL: none. */
struct dp_socket *stream_spare_take(struct session_part *part);
/* Gives all back to the control thread. False: as far as there is room. */
bool stream_spares_give(struct queue *queue, struct session_part *part);
/* CONTROL_SPARES_BACK came; and what follows from it, once an iteration. */
void stream_spares_recall(struct queue *queue, struct session_part *part);
void stream_spares_settle(struct queue *queue);

/* ---- stream_control.c ---- */

/* OPTION of a socket, for asker, which may be another session than its own. */
enum outcome stream_change(struct queue *queue, struct dp_socket *socket,
                           struct session_part *asker, const struct rs_request *request,
                           struct message_reply *reply);
/* A listener that nobody has any more. False: places are on their way to it, again later. */
bool stream_end_listening(struct queue *queue, struct dp_socket *socket);
enum outcome stream_answer(struct queue *queue, struct message_reply *reply, enum rs_status status);
/* Descriptor and names of a socket with a connection. */
void stream_describe(const struct queue *queue, struct dp_socket *socket);
/* Where its connection's bytes go. */
struct tcp_rings stream_tcp_rings(const struct queue *queue, struct dp_socket *socket);
/* tcp_abort or tcp_close, once. */
void stream_leave(struct queue *queue, struct dp_socket *socket, bool abort, uint64_t linger_ns);
/* Its program has nothing more to do with it. */
void stream_orphan(struct queue *queue, struct dp_socket *socket);
/* OPTION, at home and at a listener's parts. */
enum rs_status stream_option(struct queue *queue, struct dp_socket *socket,
                             const struct rs_op_option *op);

/* A control request of a stream socket, for asker, which may be another session than its own. */
enum outcome stream_control(struct queue *queue, struct dp_socket *socket,
                            struct session_part *asker, const struct rs_request *request,
                            struct message_reply *reply);
/* OPEN is answered: the state line of a new socket. */
void stream_opened(struct dp_socket *socket);
/* CONTROL_BOUND came: the port is granted. */
void stream_bound(struct dp_socket *socket, const struct rs_addr *local);
/* CONTROL_RINGS came: goes on with CONNECT. Returns its status. */
enum rs_status stream_rings(struct queue *queue, struct dp_socket *socket,
                            const struct rs_addr *peer);
/* Of a socket that is not connected: false, an attempt that failed still has its rings; it lets go
 * of them, ask again. */
bool stream_may_begin(struct queue *queue, struct dp_stream *stream);
/* The session ends. aborts: connections are reset, whatever the program did before; else those that
 * it had closed go on. The socket stays while it has a connection, or for want of room. */
void stream_session_ends(struct queue *queue, struct dp_socket *socket, bool aborts);

#endif
