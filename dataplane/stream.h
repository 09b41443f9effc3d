/*
 * Stream sockets of clients on a queue: what lies between their requests and state lines
 * (rings/README.md) and TCP (tcp.h). Queue thread, but for what is marked in struct dp_stream.
 *
 *   stream.c          data and what becomes of it: POST, CONSUMED, events of a connection, orphans
 *   stream_control.c  CONNECT, SHUTDOWN, CLOSE, options; messages of the control thread
 *
 * Called by request*.c, queue.c, deliver.c and the stack's upcalls. A connection's rings are
 * borrowed until TCP_EVENT_GONE, so the socket's memory stays the queue's until then: closed
 * before, it is an orphan.
 */
#ifndef RINGSOCK_DATAPLANE_STREAM_H
#define RINGSOCK_DATAPLANE_STREAM_H

#include "dataplane/queue.h"
#include "dataplane/tcp.h"

enum stream_phase {
    STREAM_IDLE,       /* not connected, or no more: CONNECT may come */
    STREAM_CONNECTING, /* the SYN is sent */
    STREAM_CONNECTED,  /* was connected, also when it is over */
    STREAM_LISTENING
};

/* The stream half of a dp_socket. Zeroed by the control thread, then the queue's. */
struct dp_stream {
    struct tcp_conn *conn; /* from CONNECT on until TCP_EVENT_GONE; NULL: none */
    enum stream_phase phase;
    bool leaving; /* conn was closed or aborted, TCP_EVENT_GONE is to come */
    bool bound;   /* by BIND */
    bool send_shut;
    bool notify_waits; /* notify can be reached */
    uint32_t local_be32;
    uint16_t local_port_be16;
    uint32_t level;     /* as in the state line */
    uint32_t notify;    /* recv_notify there */
    uint32_t send_tail; /* the newest that TCP was told */
    struct tcp_settings settings;
    uint32_t recv_limit_bytes;   /* SO_RCVBUF; 0: the whole ring */
    struct dp_socket *gone_next; /* queue's list of orphans whose connection is gone */
};

/* ---- stream.c ---- */

/* POST, URGENT, CONSUMED of a stream socket; anything else breaks the protocol. */
enum outcome stream_data(struct queue *queue, struct dp_channel *channel, struct dp_socket *socket,
                         const struct rs_request *request);
/* A tail that the client left in send_level (post.h). */
void stream_take_level(struct queue *queue, struct dp_socket *socket);
/* Has the client read past recv_notify? Behind the fence nobody is missed. */
void stream_look(struct queue *queue, struct dp_socket *socket);
/* The program may have read, or its limit is another: looks at recv_head, announces, says from
 * where on it wants to hear of it again. */
void stream_consumed(struct queue *queue, struct dp_socket *socket);
/* What TCP tells (stack_upcalls.tcp_event). */
void stream_upcall_event(void *context, struct tcp_conn *conn, uint32_t events);
/* Gives orphans whose connections are gone back to the control thread, as far as there is room. */
void stream_settle(struct queue *queue);

/* ---- stream_control.c ---- */

/* A control request of a stream socket but BIND. */
enum outcome stream_control(struct queue *queue, struct dp_socket *socket,
                            const struct rs_request *request, struct message_reply *reply);
/* OPEN is answered: the state line of a new socket. */
void stream_opened(struct dp_socket *socket);
/* CONTROL_BOUND came: the port is granted. */
void stream_bound(struct dp_socket *socket, const struct rs_addr *local);
/* CONTROL_RINGS came: goes on with CONNECT. Returns its status. */
enum rs_status stream_rings(struct queue *queue, struct dp_socket *socket,
                            const struct rs_addr *peer);
/* The session ends. aborts: connections are reset, whatever the program did before; else those that
 * it had closed go on. The socket stays for now if it has a connection, or for want of room. */
void stream_session_ends(struct queue *queue, struct dp_socket *socket, bool aborts);

#endif
