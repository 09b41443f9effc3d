/*
 * A session attached by hand, for a program that obeys no rule: control messages and memory as they
 * are, without provider/client. Called by scribble.c on its main thread; calls rings/ only.
 */
#ifndef RINGSOCK_TESTS_CRASH_SCRIBBLE_SESSION_H
#define RINGSOCK_TESTS_CRASH_SCRIBBLE_SESSION_H

#include "rings/control.h"
#include "rings/dgram_ring.h"
#include "rings/os/os.h"
#include "rings/session.h"
#include "rings/slot_ring.h"
#include "tests/support/random.h"

#define SCRIBBLE_SOCKETS 256u
#define SCRIBBLE_STAMP   16u

struct scribble_channel {
    bool open;
    struct slot_producer producer;
    const struct rs_reply *replies;
    intptr_t event;
};

struct scribble_socket {
    uint32_t idx, generation;
    uint32_t channel; /* its home's */
    uint8_t *send_base;
    uint32_t send_bytes, send_tail;
};

struct scribble_session {
    struct os_conn conn;
    struct os_shm extents[RS_EXTENTS_MAX];
    struct rs_session_view view;
    struct scribble_channel channels[RS_CHANNELS_MAX];
    struct scribble_socket sockets[SCRIBBLE_SOCKETS];
    uint32_t socket_count;
    uint32_t serial;
    bool attached;
    bool forgetful; /* does not say that it has mapped further extents */
};

/* The dataplane has ended this session. */
bool scribble_poisoned(const struct scribble_session *session);
/* False: refused, or the dataplane did not answer within 5 s. flags: RS_CTL_ATTACH_* or 0. */
bool scribble_attach(struct scribble_session *session, const char *instance, uint32_t flags);
/* Closes the connection and unmaps everything. */
void scribble_detach(struct scribble_session *session);
/* One control message and its answer; handles are the caller's. */
enum rs_status scribble_call(struct scribble_session *session, uint32_t type, uint32_t arg,
                             struct rs_ctl_answer *answer, intptr_t handles[OS_CONN_HANDLES]);
bool scribble_channel_open(struct scribble_session *session, uint32_t queue_idx, uint32_t *idx);
/* Maps an extent when it is not mapped yet. False: refused. */
bool scribble_extent(struct scribble_session *session, uint32_t extent_idx);
/* Posts a slot as it is, but for seq. False: no room. */
bool scribble_post(struct scribble_session *session, uint32_t channel,
                   const struct rs_request *request);
/* A control request with its answer in *reply. RS_TIMED_OUT: none within 2 s, or the session is
 * poisoned. */
enum rs_status scribble_request(struct scribble_session *session, uint32_t channel, uint8_t op,
                                const struct scribble_socket *socket, const void *payload,
                                size_t bytes, struct rs_reply *reply);
/* A socket, bound to port (host order; 0: any) with rings of that size; its send ring is mapped.
 * NULL: refused. */
struct scribble_socket *scribble_socket_make(struct scribble_session *session, uint32_t channel,
                                             uint32_t ip_be32, uint16_t port, uint32_t ring_bytes);
/* A stream socket: listening on the port, or (listens false) connected to it, on 127.0.0.1. NULL:
 * the dataplane refused. */
struct scribble_socket *scribble_stream_make(struct scribble_session *session, uint32_t channel,
                                             bool listens, uint16_t port);
/* How often the stamp stands in memory that this program shares with the dataplane; adds what was
 * looked at to *bytes. Pages that nobody has touched are left alone. */
uint32_t scribble_find(const struct scribble_session *session, const uint8_t stamp[SCRIBBLE_STAMP],
                       uint64_t *bytes);

#endif
