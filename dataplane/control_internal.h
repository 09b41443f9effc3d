/*
 * What the files of the control thread share. Control thread only.
 */
#ifndef RINGSOCK_DATAPLANE_CONTROL_INTERNAL_H
#define RINGSOCK_DATAPLANE_CONTROL_INTERNAL_H

#include "dataplane/control.h"
#include "rings/control.h"

struct stream_report_entry; /* dataplane/stream.h */

/* What the poller gives back: a kind in the top byte, a session's, peer's or token's id below. */
enum control_source {
    SOURCE_LISTENER = 1,
    SOURCE_WAKE,
    SOURCE_STOP,
    SOURCE_PEER,
    SOURCE_CONN,
    SOURCE_PROCESS,
    SOURCE_GRANTEE,
    SOURCE_CAPTURE
};

static inline uint64_t control_token(enum control_source source, uint64_t id)
{
    return (uint64_t)source << 56 | id;
}

/* ---- control_messages.c ---- */

/* Sends a message to a queue; waits while its ring is full. */
void control_push(struct control *control, uint32_t queue_idx, const struct message *message);
/* Serves what the queues have told, in the order of each. True: there may be more; programs that
 * never stop asking must not keep others' connections waiting. */
bool control_messages(struct control *control);
/* Forgets what was set aside: only after the queues' threads ended. */
void control_messages_drop(struct control *control);

/* ---- control_clients.c ---- */

void control_accept(struct control *control);
void control_peer_ready(struct control *control, uint64_t id);
void control_conn_ready(struct control *control, uint64_t id);
void control_process_ended(struct control *control, uint64_t id);
/* Sends reports to those who wait for one, when the queues have said what they were asked. True:
 * some still wait. */
bool control_reports_waiting(struct control *control);
/* Closes connections that never said what they want. */
void control_peers_expire(struct control *control, uint64_t now_ns);
/* Attaches those who wait for the end of another session, when there is room. */
void control_attach_waiting(struct control *control);
/* The memory of a session in that slot, or of the house, with the next id. Errors of
 * session_create. */
RS_CHECK_RESULT enum rs_status control_session_make(struct control *control, uint32_t slot,
                                                    struct dp_session **out);
void control_tell_link(const struct control *control, struct dp_session *session, uint32_t i);
/* Tells the queues to let go of a session; harmless when they were told already. */
void control_session_end(struct control *control, struct dp_session *session);
/* A queue has let go of it. */
void control_session_ended(struct control *control, struct dp_session *session);
/* Every queue has let go of it, and nobody needs its memory any more. */
void control_session_free(struct control *control, struct dp_session *session);
void control_peers_close(struct control *control);
/* The queue has let go of a channel that its client closed. */
void control_channel_removed(struct control *control, const struct message *message);

/* Fills in and sends an answer. The client reads at most one answer late, so one that finds no room
 * is not wanted. */
enum rs_status control_answer(struct os_conn *conn, uint32_t type, enum rs_status status,
                              const struct rs_ctl_answer *fields,
                              const struct os_conn_handle *handles, uint32_t handle_count,
                              const char *text);

/* One message of a connection, checked but for its type. RS_TIMED_OUT: none there; RS_CORRUPT: it
 * is none. */
RS_CHECK_RESULT enum rs_status control_receive(struct os_conn *conn,
                                               struct rs_ctl_request *request);

/* ---- control_report.c ---- */

/* Makes a report (rings/report.h) and sends it. Any status but RS_OK: the connection is of no use
 * any more. */
RS_CHECK_RESULT enum rs_status control_report(struct control *control, struct os_conn *conn);

/* ---- control_capture.c ---- */

/* CAPTURE of a connection, which is its from then on; on failure it stays the caller's, and text
 * says why. */
RS_CHECK_RESULT enum rs_status control_capture_begin(struct control *control,
                                                     const struct os_conn *conn, uint32_t version,
                                                     const char **text);
/* Its connection says something, or ends. */
void control_capture_ready(struct control *control, uint64_t id);
/* A queue has let go of it. */
void control_capture_stopped(struct control *control);
/* Only after the queues' threads ended. */
void control_capture_drop(struct control *control);

/* ---- control_asking.c ---- */

/* The queues are asked, now, or when the round that goes on is over, they have had their rest and
 * this is called again.
 * Returns the number of the round whose answers will be as new as this call. */
uint64_t control_asking_join(struct control *control);
/* The round has all that it will get. Its answers are there until the next one begins. */
bool control_asking_done(struct control *control, uint64_t number);
void control_asking_reported(struct control *control, uint32_t queue_idx); /* QUEUE_REPORTED */
/* What the socket's queue said of it; NULL: nothing, or not in time. */
const struct stream_report_entry *control_asking_entry(const struct control *control,
                                                       const struct session_socket *record);
void control_asking_drop(struct control *control); /* after the queues' threads ended */

/* ---- control_share.c ---- */

void control_share(struct control *control, const struct message *message); /* QUEUE_SHARE */
void control_share_open(struct control *control, uint32_t queue_idx,
                        const struct message *message);                       /* QUEUE_SHARE_OPEN */
void control_unshare(struct control *control, const struct message *message); /* QUEUE_UNSHARE */
void control_unshared(struct control *control, const struct message *message);
/* QUEUE_SHARE_ACCEPT, QUEUE_ACCEPTED */
void control_share_accept(struct control *control, uint32_t queue_idx,
                          const struct message *message);
void control_accepted(struct control *control, const struct message *message);
void control_share_expire(struct control *control, uint64_t now_ns);
/* SOURCE_GRANTEE: a process has ended; what it was granted and did not open is nobody's. */
void control_share_forsaken(struct control *control, uint64_t id);
/* The parts of a core have moved, and home has been told to. */
void control_share_moved(struct control *control, const struct session_socket *core);
/* Whether one more of the house's sockets may be this session's. */
bool control_house_has_room(const struct dp_session *house, uint64_t session_id);
/* RS_NO_BUFFERS: the record is of the house, where who shared it has all it may have. */
RS_CHECK_RESULT enum rs_status control_house_admits(const struct session_socket *record);
/* The session that shared sockets live in, which is not among control->sessions: ends behind all
 * others; is freed when every queue has let go of it. */
void control_house_end(struct control *control);
bool control_house_ended(const struct control *control);
void control_house_drop(struct control *control);

/* ---- control_sockets.c ---- */

/* Carries out one message of a queue. */
void control_message(struct control *control, uint32_t queue_idx, const struct message *message);
/* A ring size a client may ask for: 0 is the default; else the next power of two within the
 * config's bounds. */
uint32_t control_ring_bytes(uint32_t asked, uint32_t usual, uint32_t most);
/* A receive ring for each of these queues (a bit each), home among them, and a send ring; home's
 * part knows its own two then. What was taken stays with the socket for the next try, also when
 * the rest, or what the rings are for, fails. */
RS_CHECK_RESULT enum rs_status control_take_rings(struct control *control,
                                                  struct session_socket *record, uint32_t queues);
/* A step (enum socket_step) that a socket's parts take for its home, which asked for it. */
void control_step_begin(struct session_socket *record, enum socket_step step,
                        const struct message *message);
/* The queues but home that have a part of the socket, a bit each. */
uint32_t control_step_others(const struct session_socket *record);
/* Sends a message of this kind to the parts on these queues. Returns how many. */
uint32_t control_step_tell(struct control *control, struct session_socket *record,
                           const struct message *message, uint32_t queues);
/* The step is over: home gets its answer. */
void control_step_finish(struct control *control, struct session_socket *record);
/* Enters the address, found free if its port is 0, as the socket's. */
RS_CHECK_RESULT enum rs_status control_take_port(struct control *control,
                                                 struct session_socket *record, uint32_t user_id,
                                                 struct rs_addr *local, enum ports_share share);
/* Frees what a session still has of sockets: only after the queues' threads ended. */
void control_sockets_drop(struct control *control, struct dp_session *session);

/* ---- control_streams.c ---- */

/* Indices or memory of the session are short: has its queues give their spares back. True: the
 * message, of this queue, is carried out again when they have; false: there are none, or no memory
 * to keep it. NULL: nothing waits for them. */
bool control_spares_recall(struct control *control, struct dp_session *session, uint32_t queue_idx,
                           const struct message *message);
/* A socket was opened on this queue, or a place made, of the sizes that spares have: more of them
 * may be needed. */
void control_spares_ahead(struct control *control, struct dp_session *session, uint32_t queue_idx);
/* QUEUE_SPARES_GIVEN. */
void control_spares_given(struct control *control, struct dp_session *session);
/* What still waits is forgotten: only after the queues' threads ended. */
void control_spares_drop(struct dp_session *session);
/* QUEUE_BIND of a stream socket, QUEUE_RINGS. */
void control_stream_bind(struct control *control, const struct message *message);
void control_stream_rings(struct control *control, const struct message *message);
/* control_take_rings of the home queue alone. */
RS_CHECK_RESULT enum rs_status control_stream_take_rings(struct control *control,
                                                         struct session_socket *record);

/* ---- control_listen.c ---- */

/* QUEUE_LISTEN, QUEUE_PLACE. */
void control_listen(struct control *control, const struct message *message);
void control_listen_place(struct control *control, const struct message *message);
/* The first places of a listener, on each queue. */
void control_listen_places(struct control *control, struct session_socket *record, uint32_t count);

#endif
