/*
 * One attached client as the dataplane keeps it: its extents, tables, channels and sockets. Made
 * and freed by the control thread; while it lives each field belongs to the thread named beside it.
 *
 * Life: LIVE, until the client ends, detaches or is poisoned. Then the queue drains what was
 * published, closes the sockets and forgets the channels (ENDING); when it has said so nothing
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

/* One channel. The queue's but for the fields marked; handed over by CONTROL_CHANNEL_ADD and
 * QUEUE_CHANNEL_REMOVED. */
struct dp_channel {
    struct dp_session *session; /* both read */
    uint32_t idx;               /* both read */
    struct os_event event;      /* control makes it, the queue signals it */
    bool never_sleeps; /* the client said so when it opened the channel; control stores it before
                          the queue has it */
    struct slot_consumer requests;
    struct hint_producer hints;
    struct rs_reply *replies;
    const struct rs_channel_client *client; /* untrusted */
    struct wakeup_signaller wakeup;
    struct dp_channel
        *consumed_next; /* list of channels whose head is to be published in this iteration */
    struct dp_channel
        *wake_next; /* list of channels whose client may have to be woken in this iteration */
    bool consumed, wake;
    bool polled;              /* in the queue's table */
    bool removing;            /* CONTROL_CHANNEL_REMOVE came */
    uint32_t pending_control; /* requests of it that are with the control thread */
};

/* One socket of a client. Made by the control thread at OPEN, the queue's from CONTROL_OPENED until
 * QUEUE_CLOSED but for the fields marked. */
struct dp_socket {
    struct udp_socket udp;
    struct dp_session *session;    /* both read */
    uint32_t idx, generation;      /* both read */
    struct rs_socket_state *state; /* dp memory of this socket */
    struct rs_socket_desc *desc;
    const struct rs_socket_client *client; /* untrusted */
    /* the queue's */
    struct dgram_send_reader send; /* size 0: no rings yet */
    struct dgram_writer recv;
    uint32_t happened; /* RS_LEVEL_* that came true in this iteration */
    uint32_t arm_seen; /* arm_seq last hinted */
    uint32_t error_count, dropped_count;
    struct dp_socket *touched_next; /* list of sockets with something new in this iteration */
    struct dp_socket *blocked_next; /* list of sockets with datagrams the NIC had no room for */
    bool touched, blocked;
    bool posted; /* a POST was consumed in this iteration, at: */
    uint32_t post_position;
    const struct dp_channel *post_channel;
    bool closing;   /* CLOSE came while blocked: its answer waits in close_reply */
    bool bind_sent; /* QUEUE_BIND is with the control thread */
    struct message_reply close_reply;
    bool reuse, exclusive, surface_connreset;
    uint32_t recv_limit_bytes; /* SO_RCVBUF; 0: the whole ring */
    /* the control thread's */
    void *allocation; /* what free wants */
    struct ports_entry port;
    uint32_t recv_ring_bytes, send_ring_bytes; /* asked for at OPEN, checked */
    struct rs_ring_ref recv_ring, send_ring;   /* size 0: none yet */
    uint8_t *recv_base, *send_base; /* their memory, for the queue from CONTROL_BOUND on */
};

struct dp_session {
    struct dp_session *next; /* control: list of sessions */
    uint64_t id;
    const struct queue_config *config; /* both read */
    enum session_state state;          /* control */
    bool client_gone;                  /* control: its process ended or it closed the connection */
    struct os_conn conn;               /* control */
    struct os_process process;         /* control */
    uint32_t user_id;                  /* control: who runs the client */
    struct os_shm
        extents[RS_EXTENTS_MAX]; /* control adds, the queue reads entries named in messages */
    uint8_t extent_kinds[RS_EXTENTS_MAX]; /* control: enum rs_extent_kind */
    uint32_t extent_count;                /* control */
    struct arena arena_dp, arena_cl;      /* control */
    struct rs_session_header *header;
    struct rs_socket_state *socket_states;
    struct rs_socket_desc *socket_descs;
    const struct rs_socket_client *socket_clients; /* untrusted */
    struct rs_channel_state *channel_states;
    const struct rs_channel_client *channel_clients; /* untrusted */
    struct dp_channel *channels;  /* limit_channels; control opens and frees entries */
    uint8_t *channel_used;        /* control */
    uint32_t channel_closing_idx; /* control: RS_CTL_CHANNEL_CLOSE waits for its answer;
                                     RS_NO_INDEX: none */
    uint32_t *free_sockets;       /* control: stack of free socket indices */
    uint32_t free_socket_count;
    uint32_t *generations;      /* control: last generation of each index */
    struct dp_socket **sockets; /* queue: by index, NULL where none */
    uint32_t open_sockets;      /* queue: entries in sockets[] */
    uint32_t membership_count;  /* queue */
    uint32_t pending_control;   /* queue: requests that are with the control thread */
    uint32_t budget_bytes;      /* queue: what is left of bytes_per_poll in iteration budget_poll */
    uint64_t budget_poll;       /* queue */
    uint64_t end_deadline_tsc;  /* queue: from here on an ending session is not drained any more */
    enum rs_status poison_status;       /* queue: RS_OK while all is well */
    struct rs_queue_state *queue_state; /* the queue stores its heartbeat there */
    _Atomic uint32_t faulted; /* set by the fault guard (os_guard_add), read by the queue once an
                                 iteration with traffic */
};

/* Makes the memory of a session: extents 0 and 1 with header and tables, guards, index lists. conn
 * and process are taken over on success only. RS_NO_MEMORY, RS_OS_ERROR, RS_NO_BUFFERS. */
RS_CHECK_RESULT enum rs_status session_create(const struct queue_config *config, uint64_t id,
                                              uint64_t epoch, const struct rs_clock *clock,
                                              const struct nic *nic, struct dp_session **out);
/* Frees all of it; nothing may refer to it. Sockets must be gone. */
void session_destroy(struct dp_session *session);
/* A ring of `kind` memory; adds an extent when the others are full. RS_NO_BUFFERS: limit_extents
 * reached. */
RS_CHECK_RESULT enum rs_status session_ring_take(struct dp_session *session,
                                                 enum rs_extent_kind kind, uint32_t size_bytes,
                                                 struct rs_ring_ref *out);
void session_ring_give(struct dp_session *session, enum rs_extent_kind kind,
                       struct rs_ring_ref *ring); /* harmless when size is 0 */
/* The ring's memory here, with its pages mapped: the poll loop shall not take page faults for them.
 */
uint8_t *session_ring_touch(const struct dp_session *session, const struct rs_ring_ref *ring);
void *session_pointer(const struct dp_session *session, struct rs_ref ref);

/* Opens a channel on a queue: event, positions, cold words. RS_NO_BUFFERS: limit_channels. */
RS_CHECK_RESULT enum rs_status session_channel_open(struct dp_session *session, uint32_t queue_idx,
                                                    struct dp_channel **out);
void session_channel_close(struct dp_session *session, struct dp_channel *channel);

/* A socket in a free place. RS_TOO_MANY_SOCKETS, RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status session_socket_open(struct dp_session *session,
                                                   const struct rs_op_open *open,
                                                   struct dp_socket **out);
/* Gives rings and index back and frees it; its port is released by the caller. */
void session_socket_free(struct dp_session *session, struct dp_socket *socket);

#endif
