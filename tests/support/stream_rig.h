/*
 * A dataplane whose stream sockets are driven slot by slot: the real control thread and queues on
 * in-memory NICs, turned by the test itself on its own thread; programs that write requests and
 * read state lines as rings/README.md says, without provider/client; and another host, a second
 * stack at the other end of the wire. One rig at a time. Every wait says what for and ends the test
 * after 20 seconds.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_STREAM_RIG_H
#define RINGSOCK_TESTS_SUPPORT_STREAM_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/control.h"
#include "dataplane/stack.h"
#include "rings/slot_ring.h"
#include "rings/stream_ring.h"

#define RIG_OWN       "10.0.0.1"
#define RIG_PEER      "10.0.0.2"
#define RIG_PROGRAMS  2u
#define RIG_PEERS_MAX 64u   /* connections of the other host */
#define RIG_RING      4096u /* bytes of each ring, by the configuration */

struct stream_rig_spec {
    uint32_t queues;   /* of the NIC; 0: one */
    uint32_t sockets;  /* of a session; 0: 64 */
    uint32_t sessions; /* 0: 4 */
    bool never_sleeps;
};

/* A connection of the other host. Its rings are RIG_RING long. */
struct rig_peer {
    struct tcp_conn *conn;
    uint8_t send_ring[RIG_RING], recv_ring[RIG_RING];
    rs_atomic_u32 send_head, recv_tail, recv_head;
    uint32_t written, read;
    uint32_t events; /* TCP_EVENT_* ever told */
    enum rs_status error;
    bool used;
};

/* A program: a session with one channel for each queue. */
struct rig_program {
    struct os_conn conn;
    struct dp_session *session;
    struct dp_channel *channels[RS_QUEUES_MAX];
    struct slot_producer producers[RS_QUEUES_MAX];
    uint32_t serial;
};

struct rig_socket {
    struct rig_program *program;
    uint32_t idx, generation, queue_idx;
    const struct rs_socket_state *state;
    const struct rs_socket_desc *desc;
    struct rs_socket_client *client;
    struct stream_writer send;
    struct stream_reader recv;
    uint32_t notified; /* recv_notify that CONSUMED was posted for */
};

extern struct control *rig_control;

void stream_rig_start(const struct stream_rig_spec *spec);
/* Ends programs, waits until no session, connection or port is left. False: the books do not
 * balance. */
bool stream_rig_stop(void);
/* One turn of the control thread, the queues and the other host. */
void rig_turn(void);
/* Turns until done(context) is true. */
void rig_until(bool (*done)(void *context), void *context, const char *what);
/* Turns without anything to wait for: so that what would wrongly happen can. */
void rig_turns(uint32_t count);
/* The next frames that the dataplane sends to the other host are lost, or not. */
void rig_wire_down(bool down);
struct queue *rig_queue(uint32_t queue_idx);

/* ---- programs ---- */

void rig_attach(struct rig_program *program);
/* The process is gone: its connection ends. */
void rig_die(struct rig_program *program);
bool rig_is_poisoned(const struct rig_program *program);
/* A control request and its answer's status. socket NULL: none. */
enum rs_status rig_request(struct rig_program *program, const struct rig_socket *socket,
                           enum rs_op op, const void *payload, uint32_t payload_bytes);
/* The same with the answer's payload. */
enum rs_status rig_request_reply(struct rig_program *program, const struct rig_socket *socket,
                                 enum rs_op op, const void *payload, uint32_t payload_bytes,
                                 void *answer, uint32_t answer_bytes);
/* SHARE for this process: the socket is a descriptor then, its rings are mapped anew. */
enum rs_status rig_share(struct rig_socket *socket, struct rs_share_token *token);
enum rs_status rig_share_open(struct rig_program *program, const struct rs_share_token *token,
                              struct rig_socket *out);
/* UNSHARE; on RS_OK its rings are mapped anew and go on where the answer says. */
enum rs_status rig_unshare(struct rig_socket *socket);
/* SHARE_SEND and SHARE_RECV. Returns how many bytes. */
uint32_t rig_share_send(struct rig_socket *socket, const void *data, uint32_t len_bytes);
uint32_t rig_share_recv(struct rig_socket *socket, void *data, uint32_t len_bytes);
/* A data request: no answer. */
void rig_post(struct rig_socket *socket, enum rs_op op, uint32_t arg);

struct rig_socket rig_open(struct rig_program *program);
struct rig_socket rig_open_on(struct rig_program *program, uint32_t queue_idx);
enum rs_status rig_option(struct rig_socket *socket, enum rs_option option, uint32_t value);
enum rs_status rig_bind(struct rig_socket *socket, const char *address); /* "10.0.0.1:80" */
/* CONNECT; on RS_OK the rings are mapped. */
enum rs_status rig_connect(struct rig_socket *socket, const char *address);
enum rs_status rig_info(struct rig_socket *socket, struct rs_tcp_info *info); /* TCP_INFO */
enum rs_status rig_shutdown(struct rig_socket *socket, uint32_t how);
enum rs_status rig_close(struct rig_socket *socket, bool abort, uint32_t linger_ms);
enum rs_status rig_listen(struct rig_socket *socket, uint32_t backlog);
/* Maps the rings that the descriptor names. */
void rig_map(struct rig_socket *socket);
/* Takes the oldest accept record of a queue; false: there is none. */
bool rig_accept(struct rig_socket *listener, uint32_t queue_idx, struct rig_socket *out,
                uint32_t *peer_be32);
uint32_t rig_level(const struct rig_socket *socket);
void rig_until_level(const struct rig_socket *socket, uint32_t bits);
/* Until the dataplane has let go of the place of one that was closed. */
void rig_until_free(struct rig_socket *socket);
/* Writes up to len bytes and posts; returns how many had room. */
uint32_t rig_write(struct rig_socket *socket, const void *data, uint32_t len_bytes);
/* Reads up to len bytes, and posts CONSUMED as the protocol says. */
uint32_t rig_read(struct rig_socket *socket, void *data, uint32_t len_bytes);

/* ---- the other host ---- */

struct stack *rig_peer_stack(void);
void rig_peer_listen(uint16_t port);      /* one port at a time, a backlog of RIG_PEERS_MAX */
struct rig_peer *rig_peer_accepted(void); /* waits for the next connection */
struct rig_peer *rig_peer_connect(uint16_t local_port, const char *address);
uint32_t rig_peer_write(struct rig_peer *peer, const void *data, uint32_t len_bytes);
uint32_t rig_peer_read(struct rig_peer *peer, void *data, uint32_t len_bytes);
void rig_peer_until(struct rig_peer *peer, uint32_t events); /* one of these was told */
void rig_peer_close(struct rig_peer *peer);
uint32_t rig_peers(void); /* connections whose memory is lent */

#endif
