/*
 * Sockets that several processes have (WSPDuplicateSocket). The connection then belongs to the
 * dataplane: its socket, the *core*, moves with its rings into a session of the dataplane's own,
 * the house, whose memory nobody else maps. Each process has a *descriptor* in its place: a socket
 * of its session without a connection, whose rings are a place to put bytes down. SHARE_SEND and
 * SHARE_RECV move bytes between the two, each when it is asked for and not ahead of time: so bytes
 * go to one descriptor, in the order of the requests, and nothing is under way that a death could
 * lose.
 *
 *   share.c          descriptors, their requests, what they are told. Queue thread
 *   share_data.c     their bytes. Queue thread
 *   share_dgram.c    their datagrams, and what all parts of a datagram socket do. Queue thread
 *   share_accept.c   connections of a shared listener. Queue thread
 *   share_move.c     a socket goes from one session to another. Queue thread
 *   control_share.c  the house, descriptors to come (tokens), memory. Control thread
 *
 * The core is an ordinary socket: to tcp*.c, stream*.c and the control thread it is one of the
 * house's, and the connection ends as any other when the last descriptor is closed.
 */
#ifndef RINGSOCK_DATAPLANE_SHARE_H
#define RINGSOCK_DATAPLANE_SHARE_H

#include "dataplane/stream.h"

/* Of one socket: each is told of what happens to it. */
#define SHARE_DESCRIPTORS_MAX 64u

/* Made by the control thread, then the queue's until it has closed the core. */
struct dp_share {
    struct dp_socket *core;
    struct dp_socket *first; /* descriptors, by share_next */
    uint32_t descriptors;
    uint32_t asked;                /* SHAREs that are with the control thread */
    uint32_t tokens;               /* granted and not opened yet: each counts as a descriptor */
    struct rs_op_close close;      /* what the last one that left said */
    struct rs_share_values values; /* seq is the word that descriptors see */
    uint32_t errors_told, resets_told, drops_told; /* of the core's counters */
    /* Of a datagram socket: over the core's receive rings, by queue; and where the next look
     * starts.
     */
    struct dgram_reader records[RS_QUEUES_MAX];
    uint32_t next_queue;
    /* Records that came before the move end here, each queue's own word until it has answered; and
     * the queues, by bit, that have some left. */
    uint32_t early_end[RS_QUEUES_MAX], early_queues;
    struct rs_ring_ref house_rings[RS_QUEUES_MAX]; /* control: those rings, on the way home */
    uint32_t send_tail;                            /* the core's */
    struct stream_reader in;                       /* over the core's receive ring */
    /* The urgent mark, as provider/client/stream_recv.c keeps it for a socket of its own. */
    bool marked, byte_kept, urgent_taken;
    uint8_t urgent_byte;
    uint32_t mark_seq, mark_pos;
};

/* Its receive rings hold records: datagrams, or connections that wait. Else it is a connection, or
 * may become one. */
static inline bool share_has_records(const struct dp_socket *core)
{
    return core->stream == NULL || core->stream->phase == STREAM_LISTENING;
}

/* A stream that was connected, also when that is over: what descriptors read and write. */
static inline bool share_has_bytes(const struct dp_socket *core)
{
    return core->stream != NULL && core->stream->phase == STREAM_CONNECTED;
}

static inline bool share_is_core(const struct dp_socket *socket)
{
    return socket->share != NULL && socket->share->core == socket;
}

/* ---- share.c ---- */

/* Something happened to a socket that has a share, its words are stored: the descriptors of a core
 * are told. */
void share_touched(struct queue *queue, struct dp_socket *socket, uint32_t happened);
/* RS_OP_SHARE of a socket that is not shared yet; and any control request of a descriptor. */
enum outcome share_begin(struct queue *queue, struct dp_socket *socket,
                         const struct rs_request *request, struct message_reply *reply);
enum outcome share_control(struct queue *queue, struct dp_socket *socket,
                           const struct rs_request *request, struct message_reply *reply);
enum outcome share_open(struct queue *queue, struct dp_channel *channel,
                        const struct rs_request *request, struct message_reply *reply);
/* CONTROL_SHARED, CONTROL_SHARE_OPENED, CONTROL_SHARE_EXPIRED came. */
enum rs_status share_shared(struct queue *queue, const struct message *message);
void share_opened(const struct message *message);
enum rs_status share_unshared(struct queue *queue, const struct message *message,
                              struct rs_unshared *reply); /* CONTROL_UNSHARED */
void share_expired(struct queue *queue, struct dp_share *share);
/* The session of a descriptor ends. */
void share_session_ends(struct queue *queue, struct dp_socket *socket);
/* State lines of the descriptors, after the core's words, the values or the bytes changed. */
void share_mirror(struct dp_share *share);
/* CONTROL_BOUND, CONTROL_LISTENED came to a core. */
void share_bound(struct queue *queue, struct dp_share *share);
void share_listened(struct queue *queue, struct dp_share *share);
/* The core's names are others. */
void share_named(struct queue *queue, struct dp_share *share);
/* A value of all changed, or what they wait for may be another. */
void share_changed(struct queue *queue, struct dp_share *share);

/* ---- share_data.c ---- */

/* From where on the core's bytes are read. */
void share_data_begin(const struct queue *queue, struct dp_share *share,
                      const struct rs_op_share *op);
/* The core connects: its rings begin at 0, and nothing is known of an urgent byte. */
void share_data_restart(const struct queue *queue, struct dp_share *share);
enum outcome share_send(struct queue *queue, struct dp_socket *socket,
                        const struct rs_op_share_data *op, struct message_reply *reply);
enum outcome share_recv(struct queue *queue, struct dp_socket *socket,
                        const struct rs_op_share_data *op, struct message_reply *reply);
/* Where its bytes go on without descriptors. False: there is an urgent byte to be taken first. */
bool share_data_rests(struct dp_share *share);
void share_data_end(struct dp_share *share, struct rs_unshared *out);
/* RS_LEVEL_* of the core, READABLE, WRITABLE and URGENT among them. */
uint32_t share_level(struct dp_share *share);

/* ---- share_dgram.c: the same for datagram sockets ---- */

void share_dgram_begin(struct queue *queue, struct dp_share *share);
enum outcome share_dgram_send(struct queue *queue, struct dp_socket *socket,
                              const struct rs_op_share_data *op, struct message_reply *reply);
enum outcome share_dgram_recv(struct queue *queue, struct dp_socket *socket,
                              const struct rs_op_share_data *op, struct message_reply *reply);
uint32_t share_dgram_level(const struct dp_share *share);
/* Carried out on the core, by all its parts where told: the descriptors are to know. */
void share_dgram_changed(struct queue *queue, struct dp_share *share,
                         const struct message *message);
/* The descriptor leaves: what it was sending to a group reaches nobody more. */
void share_dgram_leave(struct queue *queue, struct dp_socket *socket);
/* CONTROL_PART_MOVE, and home's part: it leaves its session's table. */
bool share_dgram_may_move(struct queue *queue, struct dp_socket *socket);
void share_dgram_move(struct queue *queue, struct dp_socket *socket,
                      const struct message_place *place, struct session_part *payer);

/* The next record in the order that a program reads its rings in, of queue *queue_idx; NULL: there
 * is none. */
struct dgram_reader *share_dgram_next(struct dp_share *share, struct dgram_view *view,
                                      uint32_t *queue_idx);
/* Done with it. */
void share_dgram_consume(struct queue *queue, struct dp_share *share, const struct dgram_view *view,
                         uint32_t queue_idx);

/* ---- share_accept.c ---- */

/* SHARE_RECV of a listener. */
enum outcome share_accept(struct queue *queue, struct dp_socket *socket,
                          struct message_reply *reply);
/* The connection that a message means; NULL: it waits no more. */
struct dp_socket *share_accept_find(const struct queue *queue, const struct message_accept *accept);
/* CONTROL_ACCEPT, CONTROL_SHARE_ACCEPTED. */
void share_accept_move(struct queue *queue, const struct message *message);
void share_accepted(struct queue *queue, const struct message *message,
                    struct message_reply *reply);

/* ---- share_move.c ---- */

/* Whether the client's word is what can be; else its session is poisoned. Before share_move. */
bool share_may_move(struct queue *queue, struct dp_socket *socket);
/* A message of the control thread has come: true, it can be carried out now. Of a large socket that
 * moves a part is copied, and it is asked for again in the next iteration. */
bool share_move_ready(struct queue *queue, const struct message *message);
/* The bytes of a ring that are still to be copied begin here; head: those that there are do. */
uint32_t share_move_from(const struct queue *queue, uint32_t done_pos, uint32_t head);
/* The bytes at positions [from, to) of one ring to the same positions of another one. */
void share_move_bytes(uint8_t *target, const uint8_t *source, uint32_t size_bytes, uint32_t from,
                      uint32_t to);
/* Its other end reads its send ring: the memory stays with that. */
bool share_is_lent(const struct dp_socket *socket);
/* The socket with all that it has goes to another place: rings of the same sizes, the same
 * positions in them. It leaves its session's table. payer: who asked, charged with what is copied.
 * counts: those of errors go along; the place of a descriptor has them already. */
void share_move(struct queue *queue, struct dp_socket *socket, const struct message_place *place,
                struct session_part *payer, bool counts);

#endif
