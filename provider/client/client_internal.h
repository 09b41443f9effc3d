/*
 * What the files of the client core share: the objects and who may touch which field.
 *
 * Locks, outermost first: a socket's control_mutex (bind, connect, options, close), its recv_lock
 * or send_lock (one direction's ring), its arm_lock; a common channel's lock inside send_lock;
 * client->slow_mutex (control connection, extents, channels) inside control_mutex; slow_mutex
 * inside the registry's mutex (thread records). No lock is held while a thread sleeps, but
 * control_mutex and slow_mutex while a request is answered.
 *
 * Objects are type-stable: sockets and channels stay at their address until client_close, so that a
 * thread which comes late finds a closed socket and not freed memory.
 */
#ifndef RINGSOCK_PROVIDER_CLIENT_INTERNAL_H
#define RINGSOCK_PROVIDER_CLIENT_INTERNAL_H

#include <string.h>

#include "provider/client/client.h"
#include "rings/control.h"
#include "rings/dgram_ring.h"
#include "rings/hint_ring.h"
#include "rings/os/os.h"
#include "rings/post.h"
#include "rings/reply.h"
#include "rings/session.h"
#include "rings/slot_ring.h"
#include "rings/stream_ring.h"
#include "rings/wakeup.h"

#define CLIENT_LIKELY(condition) __builtin_expect(!!(condition), 1)

/* memcpy, without a call for what orders and quotes have: up to 64 bytes in at most four moves,
 * which overlap. The memory is not to. */
static inline void client_copy(void *to, const void *from, size_t bytes)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    if (CLIENT_LIKELY(bytes - 16 <= 48)) {
        memcpy(target, source, 16);
        if (bytes > 32) {
            memcpy(target + 16, source + 16, 16);
            memcpy(target + bytes - 32, source + bytes - 32, 16);
        }
        memcpy(target + bytes - 16, source + bytes - 16, 16);
        return;
    }
    memcpy(to, from, bytes);
}

/* ---- spin lock: one exchange when nobody else is there. The word is the holder's os_thread_id, so
 * that who waits long can ask whether the holder lives.
 * -------------------------------------------------------- */

typedef rs_atomic_u32 client_lock;

bool client_lock_contended(client_lock *lock, uint32_t self);

/* True: its holder died inside, and what it guards may be half done. */
static inline bool client_lock_take(client_lock *lock)
{
    uint32_t nobody = 0;
    uint32_t self = os_thread_id();
    /* Acquire, partner client_lock_drop in another thread of this process. */
    return !CLIENT_LIKELY(atomic_compare_exchange_strong_explicit(
               lock, &nobody, self, memory_order_acquire, memory_order_relaxed)) &&
           client_lock_contended(lock, self);
}

static inline void client_lock_drop(client_lock *lock)
{
    atomic_store_explicit(lock, 0, memory_order_release);
}

/* ---- the link to the dataplane's control thread (link.c; tests bring their own)
 * -------------------------------- */

#define CLIENT_LINK_HANDLES OS_CONN_HANDLES

struct client_link_ops {
    /* One request and its answer. handles: those that came with it, -1 where none; the caller's. */
    enum rs_status (*call)(void *context, const struct rs_ctl_request *request,
                           struct rs_ctl_answer *answer, intptr_t handles[CLIENT_LINK_HANDLES],
                           uint64_t timeout_ns);
    /* Maps an extent whose handle came with an answer; the handle is taken over. */
    enum rs_status (*map)(void *context, uint32_t extent_idx, intptr_t handle, uint64_t size_bytes,
                          bool writable, struct os_shm *out);
    void (*unmap)(void *context, struct os_shm *shm);
    bool (*alive)(void *context); /* asks the OS */
    void (*close)(void *context);
};

struct client_link {
    const struct client_link_ops *ops;
    void *context;
    const struct os_process *process; /* watched while sleeping; NULL: none */
};

/* Connects to an instance's dataplane. Errors as os_connect. */
RS_CHECK_RESULT enum rs_status client_link_connect(const char *instance, uint64_t timeout_ns,
                                                   struct client_link *out);
/* Attaches over a link that is there already; takes it over, also on failure. For tests with a
 * dataplane of their own. */
RS_CHECK_RESULT enum rs_status client_open_link(const struct client_config *config,
                                                const struct client_link *link,
                                                struct client **out);

/* ---- channels
 * ---------------------------------------------------------------------------------------------------
 */

struct client_thread;

struct client_channel {
    /* The owner thread's; for a common channel whoever holds lock. */
    struct post_channel post;
    struct reply_waiter replies;
    const struct rs_tcp_info *info; /* dp: of each reply cell */
    uint32_t queue_idx;
    /* Set at attach, the same in all openings. */
    struct client *client;
    uint32_t idx;
    const struct rs_channel_state *state;
    bool common; /* several threads use it: take lock. Decided when it is opened */
    client_lock lock;
    /* Grows with each opening: what was posted in the one before is consumed. Partner: sockets that
     * move to another channel. */
    _Atomic uintptr_t openings;
    /* Sleeping: the owner's; for a common channel the leader's (channel_sleep.c). */
    struct os_event event;
    struct wakeup_waiter waiter;
    struct hint_consumer hints;
    struct os_mutex sleep_mutex; /* common: guards leader and followers */
    uint32_t leader;             /* its os_thread_id; 0: none */
    struct client_thread *followers;
    uint32_t cell_owners[RS_REPLY_CELLS]; /* common, under lock: whose request waits for the cell */
};

/* One per thread that ever needed a channel; in the process-wide TLS slot. Its own thread's, but
 * for client_close. */
struct client_thread {
    struct client_thread *next; /* registry */
    uint32_t id;                /* os_thread_id */
    uint32_t process_id;        /* a forked child has its parent's records, but not its threads */
    struct client_thread *next_follower;
    bool following;
    uint32_t spin;         /* spin.c */
    uint32_t ordinal;      /* threads before this one: shares them out over the queues */
    struct os_event nudge; /* wakes this thread as a follower on a common channel */
    char error_text[256];
    struct client_channel *channels[]; /* [CLIENTS_MAX][RS_QUEUES_MAX] */
};

#define CLIENTS_MAX 32u /* attaches of one process at a time */

extern struct os_tls client_thread_tls; /* valid once a client was opened */

enum rs_status client_channel_open(struct client *client, uint32_t queue_idx,
                                   struct client_channel **out);

/* ---- the client
 * ---------------------------------------------------------------------------------------------------
 */

#define CLIENT_WAYS_BITS 6u

struct client {
    struct rs_session_view
        view; /* checked copy of the header, and the mappings (these under slow_mutex) */
    const struct rs_session_header *header;
    const struct rs_queue_state *queues;
    const struct rs_socket_state *socket_states;
    const struct rs_socket_desc *socket_descs;
    struct rs_socket_client *socket_clients;
    const struct rs_channel_state *channel_states;
    struct rs_channel_client *channel_clients;
    uint32_t slot; /* column of client_thread.channels */
    uint32_t limit_sockets, limit_channels, queue_count, request_slots, hint_slots;
    /* Largest datagram that leaves the host in one packet, MTU less IPv4 and UDP headers: by each
     * queue's NIC, and by any. */
    uint32_t queue_max_bytes[RS_QUEUES_MAX];
    uint32_t wire_max_bytes;
    bool yield_in_spin;
    uint64_t spin_ticks; /* UINT64_MAX: never sleeps */
    /* 1: the dataplane knows that threads of the session may sleep. Stored under slow_mutex */
    rs_atomic_u32 sleeps;
    uint64_t check_ticks, stale_ticks;
    double ns_per_tick;
    rs_atomic_u32
        ended; /* enum rs_status once the dataplane is gone or the session poisoned, else 0 */
    _Atomic uint64_t next_ask_tsc; /* no question to the OS before */
    struct client_link link;
    uint64_t link_timeout_ns;
    struct os_mutex slow_mutex; /* guards what follows */
    struct os_shm extents[RS_EXTENTS_MAX];
    struct client_channel *channels; /* limit_channels, by channel index */
    struct client_channel *common[RS_QUEUES_MAX];
    uint32_t private_channels;
    struct client_socket_block *blocks;
    struct client_socket *free_sockets;
    /* watch.c: by client_watch_open; partner: client_watch_changed in other threads */
    struct client_watch *_Atomic watch;
    rs_atomic_u32 sockets_lost; /* for client_get_info; any thread adds */
    /* Destinations beyond the NICs' networks that there is a way to; any thread, each its own word
     */
    rs_atomic_u32 ways_be32[1u << CLIENT_WAYS_BITS];
};

/* This thread's channel to a queue; opens it at first use. NULL on failure with *status. */
static inline struct client_channel *client_channel_get(struct client *client, uint32_t queue_idx,
                                                        enum rs_status *status)
{
    struct client_thread *thread = os_tls_get(&client_thread_tls);
    if (CLIENT_LIKELY(thread != NULL)) {
        struct client_channel *channel = thread->channels[client->slot * RS_QUEUES_MAX + queue_idx];
        if (CLIENT_LIKELY(channel != NULL)) {
            return channel;
        }
    }
    struct client_channel *opened = NULL;
    *status = client_channel_open(client, queue_idx, &opened);
    return opened;
}

/* The same without opening one: NULL. */
static inline struct client_channel *client_channel_have(const struct client *client,
                                                         uint32_t queue_idx)
{
    struct client_thread *thread = os_tls_get(&client_thread_tls);
    return CLIENT_LIKELY(thread != NULL)
               ? thread->channels[client->slot * RS_QUEUES_MAX + queue_idx]
               : NULL;
}

/* The queue for a socket of this thread with this local address (0: any): of the NIC that has the
 * address, else of the first one; a NIC's queues are shared out by thread. (thread.c) */
uint32_t client_queue_choose(const struct client *client, uint32_t local_be32);
/* What client_interfaces says of a queue's NIC. */
void client_interface_get(const struct client *client, uint32_t queue_idx,
                          struct client_interface *out);
/* Whether it is one of the addresses of that queue's NIC. */
bool client_queue_has_address(const struct client *client, uint32_t queue_idx, uint32_t ip_be32);

void client_channel_repair(struct client_channel *channel);

static inline void client_channel_enter(struct client_channel *channel)
{
    if (channel->common && !CLIENT_LIKELY(!client_lock_take(&channel->lock))) {
        client_channel_repair(channel);
    }
}

static inline void client_channel_leave(struct client_channel *channel)
{
    if (channel->common) {
        client_lock_drop(&channel->lock);
    }
}

/* thread.c */
RS_CHECK_RESULT enum rs_status client_registry_init(void);
RS_CHECK_RESULT enum rs_status client_registry_add(struct client *client); /* gives it its slot */
void client_registry_remove(struct client *client);
RS_CHECK_RESULT enum rs_status
client_thread_get(struct client_thread **out); /* makes it at first use */
/* Takes the channels of threads that ended without a word. True: there were some. */
bool client_threads_reclaim(void);
void client_set_error_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void client_set_error_os(const char *what); /* `what` and the OS's own word */

/* channel.c */
/* One that no thread owns, for hints. RS_NO_BUFFERS: the session has too few. */
RS_CHECK_RESULT enum rs_status client_channel_open_watch(struct client *client,
                                                         struct client_channel **out);
void client_channel_close(struct client_channel *channel); /* at its thread's end */
/* Channel entered: cells for which a thread waited that died are free when their answers come.
 * False: only such cells are left. */
bool client_channel_reclaim_cells(struct client_channel *channel);

/* channel_sleep.c */
/* A thread that is no more follows nobody. */
void client_channel_unfollow(struct client_channel *channel, struct client_thread *thread);

/* session.c: client->slow_mutex held */
/* Address of a reference; fetches its extent when this process has not mapped it. RS_CORRUPT: it
 * cannot be. */
RS_CHECK_RESULT enum rs_status client_resolve(struct client *client, struct rs_ref ref,
                                              uint64_t bytes, enum rs_extent_kind kind, void **out);
RS_CHECK_RESULT enum rs_status client_resolve_ring(struct client *client,
                                                   const struct rs_ring_ref *ring,
                                                   enum rs_extent_kind kind, uint8_t **out);
RS_CHECK_RESULT enum rs_status client_link_call(struct client *client, enum rs_ctl_type type,
                                                uint32_t arg, struct rs_ctl_answer *answer,
                                                intptr_t handles[CLIENT_LINK_HANDLES]);

/* The same for a thread that ends (its record is gone, so it can have no error text). */
void client_link_tell(struct client *client, enum rs_ctl_type type, uint32_t arg);

/* Before anything sleeps: the dataplane hints and wakes only where it was told to. slow_mutex not
 * held. */
RS_CHECK_RESULT enum rs_status client_tell_sleeps(struct client *client);

/* ---- waiting (wait.c)
 * -----------------------------------------------------------------------------------------------
 */

/* What a blocked call waits for. ready: true when it is worth looking again. arm and disarm may be
 * NULL; they ask the dataplane for a hint on the channel and take that back. */
struct client_condition {
    bool (*ready)(void *context);
    void (*arm)(void *context, uint32_t channel_idx);
    void (*disarm)(void *context, uint32_t channel_idx);
    void *context;
    const struct client_socket *socket; /* whose spin policy counts; NULL: none's */
    uint32_t queue_idx;                 /* whose channel to sleep on */
    bool hooked;                        /* a call that the facade's wait hook may end */
};

/* How a wait of this thread spins, for a socket or (NULL) for several or none (spin.c). */
struct client_spinning {
    uint64_t ticks; /* UINT64_MAX: it never sleeps */
    bool yields;
};
struct client_spinning client_spinning_of(const struct client *client,
                                          const struct client_socket *socket);

uint64_t client_deadline(const struct client *client,
                         uint64_t timeout_ns); /* as a TSC value; UINT64_MAX: none */
/* That of a call on a socket with this time limit, 0: none. */
uint64_t client_call_deadline(const struct client *client, const rs_atomic_u32 *timeout_ms);
/* The same into *deadline_tsc, unless it is there already (0: it is not): the call waited before,
 * in the other way that a socket has while it is shared. */
void client_call_begins(const struct client *client, const rs_atomic_u32 *timeout_ms,
                        uint64_t *deadline_tsc);
/* Spins, then sleeps. RS_OK: ready; RS_TIMED_OUT; RS_INTERRUPTED (hooked); RS_DATAPLANE_GONE;
 * RS_POISONED; RS_OS_ERROR. */
RS_CHECK_RESULT enum rs_status
client_wait(struct client *client, const struct client_condition *condition, uint64_t deadline_tsc);
/* RS_OK while session and dataplane live. Asks the OS only when the heartbeat stands still, and
 * then at most every 20 ms. */
RS_CHECK_RESULT enum rs_status client_check(struct client *client, uint64_t now_tsc);
/* The session is over: from now on every call says so, whatever the heartbeat looks like. Returns
 * the status of the first one that said it. */
enum rs_status client_end(struct client *client, enum rs_status status);
/* Sleeps once on a channel (channel_sleep.c). RS_OK: look again. */
RS_CHECK_RESULT enum rs_status client_channel_sleep(struct client_channel *channel,
                                                    const struct client_condition *condition,
                                                    uint64_t timeout_ns);

/* ---- sockets
 * ----------------------------------------------------------------------------------------------------------
 */

/* What a socket is just now says which of its rings and words mean anything, also to a thread that
 * comes late and meets the object in its next life. */
enum client_socket_phase {
    CLIENT_SOCKET_FREE,
    CLIENT_SOCKET_UNDECIDED,
    CLIENT_SOCKET_CLOSED,
    CLIENT_SOCKET_LIVE,      /* datagrams, with its rings */
    CLIENT_STREAM_IDLE,      /* bound, or between two attempts to connect: no rings in use */
    CLIENT_STREAM_ACTIVE,    /* connecting, connected or over: the level word says which */
    CLIENT_STREAM_LISTENING, /* its receive rings have accept records */
    CLIENT_SOCKET_SHARED     /* other processes may have it, too (share.c) */
};

#define CLIENT_MEMBERS_MAX 64u /* memberships kept for replay on an undecided socket */

/* Where a socket posted last: it moves to another channel only when that is consumed. Under
 * send_lock. */
struct client_post_place {
    struct client_channel *channel; /* NULL: never posted */
    uintptr_t opening;              /* of the channel, when it was used */
};

/* The receiving half of a connection; under recv_lock. */
struct client_stream_in {
    struct stream_reader ring;
    struct stream_note note;
    /* The urgent mark: mark_seq is the urgent_seq that it came with. The byte before mark_pos is
     * kept when the reader has passed it. */
    bool marked, byte_kept;
    uint8_t urgent_byte;
    uint32_t mark_seq, mark_pos;
};

/* A descriptor of a shared socket; under control_mutex. */
struct client_share {
    uint8_t *send_base; /* where bytes for the dataplane are put down */
    const uint8_t *recv_base;
    uint32_t send_bytes, recv_bytes;
    bool known;     /* the values are those of seq */
    uint32_t stays; /* calls before it is asked for again whether the socket may be ours alone */
    uint32_t seq;   /* share_seq; also read by who waits, as a hint */
    /* enum rs_status: not RS_OK for good once the dataplane moved the socket to rings that are not
     * to be had here. Also read without the mutex: each call says so, nobody waits. */
    rs_atomic_u32 lost;
};

struct client_socket {
    /* receiving: under recv_lock, but what is set once before phase becomes LIVE */
    _Alignas(RS_LINE_BYTES) client_lock recv_lock;
    rs_atomic_u32 phase;      /* enum client_socket_phase; changed under control_mutex */
    uint32_t recv_queue;      /* where the next look starts */
    uint32_t recv_queues;     /* receive rings; set once */
    uint32_t recv_misses;     /* looks that found nothing */
    rs_atomic_u32 error_seen; /* error_seq reported */
    rs_atomic_u32 nonblocking;
    rs_atomic_u32 shut;                  /* CLIENT_SHUT_* */
    struct client *client;               /* set once */
    const struct rs_socket_state *state; /* dp; set once */
    struct rs_socket_client *shared;     /* cl; set once */
    uint32_t home_queue_idx;             /* set once */
    rs_atomic_u32 type;                  /* enum rs_socket_type; changed under control_mutex */
    /* the first line ends here: what a look at the socket needs of it */
    struct dgram_reader recv[RS_QUEUES_MAX]; /* base, size_bytes, head_word: set once */
    uint8_t recv_queue_idx[RS_QUEUES_MAX];   /* whose ring it is; set once */
    struct client_stream_in in;
    /* urgent_seq when the connection began, and when its urgent byte was last read out of band */
    rs_atomic_u32 urgent_base, urgent_taken;
    rs_atomic_u32 oob_inline;
    /* sending: under send_lock */
    _Alignas(RS_LINE_BYTES) client_lock send_lock;
    uint32_t idx, generation; /* set once */
    uint32_t peer_be32;       /* 0: none */
    uint16_t peer_port_be16;
    bool broadcast;
    uint32_t local_be32;     /* 0: any */
    uint32_t wire_max_bytes; /* largest datagram that leaves the host */
    struct client_post_place place;
    struct dgram_send_writer send; /* head_word, size_bytes: set once */
    struct stream_writer out;
    struct post_socket post;
    /* what others may know of it without the lock; written under it */
    rs_atomic_u32 send_tail, send_limit_bytes;
    rs_atomic_u32 ring_lent;         /* 1: the other end reads the send ring itself */
    rs_atomic_u32 send_wanted_bytes; /* what the newest send found no room for; 0: it found room */
    /* cold */
    _Alignas(RS_LINE_BYTES) client_lock arm_lock; /* serialises arm_set and arm_clear */
    rs_atomic_u32 refs;                           /* the handle and each blocked call */
    rs_atomic_u32 recv_timeout_ms, send_timeout_ms, linger_ms;
    rs_atomic_u32 user_values[4]; /* CLIENT_OPT_USER_* */
    rs_atomic_u32 spin;           /* spin.c */
    void *_Atomic user;
    /* watch.c: what it is armed for, and whether it is listed; each holds a reference unless 0 */
    rs_atomic_u32 watch_want, watch_listed;
    struct client_socket *watch_next; /* while it is listed */
    struct os_mutex control_mutex;    /* guards what follows */
    bool bound;                       /* by client_bind */
    bool accepted;                    /* its connection was */
    bool rebind;                      /* undecided, but bound to `local` as soon as that matters */
    struct rs_addr bound_to;          /* what client_bind got; local has the connection's address */
    bool
        late_send_limit; /* SO_SNDBUF was set while it listened: connections may have come before */
    struct rs_addr local, peer;
    uint32_t option_values[RS_OPT_COUNT];
    uint32_t options_set;         /* a bit each: given by the program */
    struct rs_op_member *members; /* CLIENT_MEMBERS_MAX of them, or NULL */
    uint32_t member_count;
    struct client_share share;
    struct client_socket *next_free; /* guarded by client->slow_mutex */
};

static_assert(offsetof(struct client_socket, recv) == RS_LINE_BYTES || sizeof(void *) != 8,
              "the first line of client_socket");

static inline enum client_socket_phase client_socket_phase(const struct client_socket *socket)
{
    /* Acquire, partner client_socket_go_live: LIVE comes after the rings. */
    return (enum client_socket_phase)atomic_load_explicit(&socket->phase, memory_order_acquire);
}

/* The dataplane has a place for it. */
static inline bool client_phase_known(enum client_socket_phase phase)
{
    return phase >= CLIENT_SOCKET_LIVE;
}

static inline bool client_phase_open(enum client_socket_phase phase)
{
    return phase == CLIENT_SOCKET_UNDECIDED || client_phase_known(phase);
}

static inline bool client_is_stream(const struct client_socket *socket)
{
    return atomic_load_explicit(&socket->type, memory_order_relaxed) == RS_SOCK_STREAM;
}

/* RS_LEVEL_* of a stream socket that is known. */
static inline uint32_t client_stream_level(const struct client_socket *socket)
{
    /* Acquire, partner the dataplane's release: what a level announces comes before it. */
    return atomic_load_explicit(&socket->state->level, memory_order_acquire);
}

/* May this call wait? By its flags, else by the socket's mode. */
static inline bool client_may_block(const struct client_socket *socket, uint32_t flags)
{
    if ((flags & (CLIENT_MSG_DONTWAIT | CLIENT_MSG_WAIT)) != 0) {
        return (flags & CLIENT_MSG_WAIT) != 0;
    }
    return atomic_load_explicit(&socket->nonblocking, memory_order_relaxed) == 0;
}

/* What client_shutdown stores in `shut`, and one more: a thread died inside send_lock. */
#define CLIENT_SHUT_BROKEN 4u

/* send.c */
/* RS_OP_WARM for len_bytes, which are at payload (RS_INLINE_BYTES at most) or, NULL, in the send
 * ring behind the tail; only while there is slack. send_lock held. */
void client_post_warm(struct client_socket *socket, struct client_channel *channel,
                      uint32_t len_bytes, const void *payload);
/* send_lock held, the socket is the channel's (client_socket_move): the tail goes to the dataplane,
 * whatever it takes; the bytes are in the ring already. */
RS_CHECK_RESULT enum rs_status client_post(struct client_socket *socket,
                                           struct client_channel *channel, uint32_t tail,
                                           bool urgent);
/* recv.c: nothing there and a caller that will not wait: is there still a dataplane? recv_lock
 * held. RS_WOULD_BLOCK: yes. */
enum rs_status client_recv_miss(struct client_socket *socket);
/* send_lock held, its last holder died: the sending side is not used any more but for CLOSE. */
void client_send_break(struct client_socket *socket);

static inline void client_send_lock(struct client_socket *socket)
{
    if (!CLIENT_LIKELY(!client_lock_take(&socket->send_lock))) {
        client_send_break(socket);
    }
}

static inline void client_send_unlock(struct client_socket *socket)
{
    client_lock_drop(&socket->send_lock);
}

/* The other two locks guard what is whole at every moment: a reader's position, arm words. */
static inline void client_recv_lock(struct client_socket *socket)
{
    (void)client_lock_take(&socket->recv_lock);
}

static inline void client_recv_unlock(struct client_socket *socket)
{
    client_lock_drop(&socket->recv_lock);
}

/* A direction's lock is held, which was taken without knowing whose socket this is. */
static inline bool client_claim_holds(const struct client_claim *claim)
{
    /* Acquire, partner the facade's store of the place: with `life` unchanged behind it, all that
     * was read of the record is the present socket's. */
    return atomic_load_explicit(claim->place, memory_order_acquire) == claim->record &&
           atomic_load_explicit(claim->life, memory_order_relaxed) == claim->life_seen;
}

/* socket.c */
/* control_mutex held. OPEN on the queue for this local address (0: any), of the socket's type;
 * client words and counters as for a new socket. */
RS_CHECK_RESULT enum rs_status client_socket_open(struct client_socket *socket,
                                                  uint32_t local_be32);
/* OPEN, options, BIND, and for datagrams rings and memberships; then the socket is known. When a
 * step fails the dataplane forgets it again and it stays undecided. */
/* OPEN and the options: the dataplane knows the socket, which stays undecided. By a queue of the
 * NIC with that address; 0: of any. Where it fails the dataplane has forgotten it. */
RS_CHECK_RESULT enum rs_status client_socket_introduce(struct client_socket *socket,
                                                       uint32_t local_be32);
RS_CHECK_RESULT enum rs_status client_socket_go_live(struct client_socket *socket,
                                                     const struct rs_addr *local);
/* The place that OPEN or an accept record gave. level_word and error_seen are set, the client words
 * are not touched. */
void client_socket_take_place(struct client_socket *socket, uint32_t idx, uint32_t generation,
                              uint32_t queue_idx);
/* send_lock held: how large a datagram that leaves the host may be. */
void client_socket_set_wire_max(struct client_socket *socket, bool dont_fragment);
/* Copies and checks the descriptor; its addresses become the socket's. */
RS_CHECK_RESULT enum rs_status client_socket_read_desc(struct client_socket *socket,
                                                       struct rs_socket_desc *desc);
/* control_mutex held: who waits on the socket looks once more, soon; this is not waited for. */
void client_socket_wake(struct client_socket *socket);
/* control_mutex held, datagrams: rings that the descriptor names, read from where the client words
 * say. The phase becomes LIVE. */
RS_CHECK_RESULT enum rs_status client_socket_resume(struct client_socket *socket,
                                                    const struct rs_socket_desc *desc);
/* The ring to ask for, by the buffer that the program wants; 0: the session's default. */
uint32_t client_ring_bytes(const struct client_socket *socket, enum rs_option option);
/* Maps the receive rings of datagrams or accept records, read from where the client words say.
 * slow_mutex held. */
RS_CHECK_RESULT enum rs_status client_map_records(struct client_socket *socket,
                                                  const struct rs_socket_desc *desc);
/* A socket from the pool, undecided. */
RS_CHECK_RESULT enum rs_status client_socket_make(struct client *client, enum rs_socket_type type,
                                                  struct client_socket **out);
void client_socket_release(struct client_socket *socket); /* the last one gives the memory back */
/* For a datagram to dst_be32, 0: to whoever. RS_OK also when it is bound. A socket that is bound by
 * it is also told when there is no way to dst: RS_NET_UNREACHABLE, and it is bound all the same. */
RS_CHECK_RESULT enum rs_status client_bind_any(struct client_socket *socket, uint32_t dst_be32);
void client_sockets_close_all(struct client *client);

/* One more call that blocks on the socket, while the handle is known to be open. */
static inline void client_socket_hold(struct client_socket *socket)
{
    atomic_fetch_add_explicit(&socket->refs, 1, memory_order_relaxed);
}

/* stream.c */
/* control_mutex held, the descriptor names the rings of a connection. urgent_base: urgent_seq when
 * it began. The phase becomes ACTIVE. */
RS_CHECK_RESULT enum rs_status client_stream_start(struct client_socket *socket,
                                                   const struct rs_socket_desc *desc,
                                                   uint32_t urgent_base);
/* waits: as the socket's mode says; else RS_OK, under way. */
/* The same for a connection that goes on where `at` says. */
RS_CHECK_RESULT enum rs_status client_stream_resume(struct client_socket *socket,
                                                    const struct rs_socket_desc *desc,
                                                    const struct rs_unshared *at);
RS_CHECK_RESULT enum rs_status client_stream_connect(struct client_socket *socket,
                                                     const struct rs_addr *peer, bool waits);
RS_CHECK_RESULT enum rs_status client_stream_shutdown(struct client_socket *socket, uint32_t how);
/* stream_reuse.c: control_mutex held, `rebind` is set: bound again to `local`. */
RS_CHECK_RESULT enum rs_status client_stream_rebind(struct client_socket *socket);
/* Before CLOSE: waits for what a blocking socket with a linger time has sent. Returns what CLOSE is
 * to say. */
struct rs_op_close client_stream_linger(struct client_socket *socket);
/* SO_SNDBUF of a ring: at least RS_RING_MIN_BYTES, a limit below it would only cost slots. */
uint32_t client_stream_send_limit(uint32_t wanted_bytes, uint32_t ring_bytes);
/* The reason why a connection ended, as its program hears it: RS_TIMED_OUT means its own call's. */
static inline enum rs_status client_stream_lost(enum rs_status code)
{
    return code == RS_TIMED_OUT ? RS_CONN_ABORTED : code;
}
/* What a call on a connection without data or room finds: RS_NOT_CONNECTED, or why it is over;
 * RS_WOULD_BLOCK: neither. _over: the level says that it is. */
enum rs_status client_stream_state_over(struct client_socket *socket, uint32_t level);
static inline enum rs_status client_stream_state(struct client_socket *socket, uint32_t level)
{
    return CLIENT_LIKELY((level & (RS_LEVEL_CONNECTED | RS_LEVEL_ERROR)) == RS_LEVEL_CONNECTED)
               ? RS_WOULD_BLOCK
               : client_stream_state_over(socket, level);
}
/* For a call that was blocked: that the keep-alive gave up is news to each of them. */
static inline enum rs_status client_stream_met(enum rs_status status)
{
    return status == RS_NOT_CONNECTED ? RS_NET_RESET : status;
}

/* stream_send.c, stream_recv.c: client_send_claimed and client_recv_claimed, the claim holds.
 * RS_WOULD_BLOCK, RS_IN_PROGRESS: nothing was done. */
RS_CHECK_RESULT enum rs_status client_stream_send_claimed(struct client_socket *socket,
                                                          const struct client_iov *iov,
                                                          uint32_t iov_count, size_t *sent_bytes);
bool client_stream_recv_claimed(struct client_socket *socket, const struct client_iov *iov,
                                uint32_t iov_count, size_t *received_bytes, enum rs_status *status);

RS_CHECK_RESULT enum rs_status client_stream_send(struct client_socket *socket,
                                                  const struct client_iov *iov, uint32_t iov_count,
                                                  uint32_t flags, size_t *sent_bytes);
RS_CHECK_RESULT enum rs_status client_stream_recv(struct client_socket *socket,
                                                  const struct client_iov *iov, uint32_t iov_count,
                                                  uint32_t flags, size_t *received_bytes);
RS_CHECK_RESULT enum rs_status client_stream_readable(struct client_socket *socket,
                                                      uint32_t *bytes);

/* poll.c: RS_LEVEL_* to arm for what a poll wants. */
uint32_t client_poll_events(uint32_t want);

/* watch.c: the phase of the socket, or a word that is looked at, has changed without the dataplane.
 */
void client_watch_changed(struct client_socket *socket);

/* pool.c */
RS_CHECK_RESULT enum rs_status client_pool_take(struct client *client, struct client_socket **out);
void client_pool_give(struct client_socket *socket);
void client_pool_destroy(struct client *client);
/* Calls visit for every socket of the pool, in use or not. No lock is held then. */
void client_pool_visit(struct client *client, void (*visit)(struct client_socket *socket));

/* ready.c: readiness without a socket's locks */
bool client_recv_ready(
    const struct client_socket *socket); /* a record, an unseen error, or the end of the socket */
bool client_recv_data(const struct client_socket *socket); /* datagrams: a record or an error */
bool client_send_ready(
    const struct client_socket *socket); /* room for what the newest send wanted, or the end */
/* RS_LEVEL_* and CLIENT_POLL_* of a stream socket, or one that is shared. */
uint32_t client_stream_ready(const struct client_socket *socket, enum client_socket_phase phase,
                             uint32_t want);
bool client_urgent_ready(const struct client_socket *socket); /* an urgent byte has arrived */
/* Room for so many bytes, or for a fair part of the send buffer: worth a send. */
bool client_stream_room(const struct client_socket *socket, size_t wanted_bytes);
bool client_error_pending(const struct client_socket *socket);
enum rs_status client_error_take(struct client_socket *socket); /* RS_OK: none */
void client_socket_arm(struct client_socket *socket, uint32_t events, uint32_t channel_idx);
void client_socket_disarm(struct client_socket *socket, uint32_t channel_idx);

/* request.c */
/* A control request of a socket and its answer, in the order of this thread's calls and behind the
 * socket's data; control_mutex is held. The status is the dataplane's, or RS_DATAPLANE_GONE,
 * RS_POISONED, RS_NO_BUFFERS (no channel). */
RS_CHECK_RESULT enum rs_status client_request(struct client_socket *socket, enum rs_op op,
                                              const void *payload, uint32_t payload_bytes);
/* TCP_INFO of a socket that has a connection. The same errors, and the dataplane's. */
RS_CHECK_RESULT enum rs_status client_request_info(struct client_socket *socket,
                                                   struct rs_tcp_info *info);
/* TX_STAMP of a datagram socket that is known. The same errors, and the dataplane's. */
RS_CHECK_RESULT enum rs_status client_request_stamp(struct client_socket *socket, uint32_t stamp_id,
                                                    struct rs_tx_stamp_reply *reply);

/* The same with the answer's payload; those of a shared socket; SHARE_OPEN on a queue. */
RS_CHECK_RESULT enum rs_status client_request_reply(struct client_socket *socket, enum rs_op op,
                                                    const void *payload, uint32_t payload_bytes,
                                                    void *reply, uint32_t reply_bytes);
RS_CHECK_RESULT enum rs_status client_request_values(struct client_socket *socket,
                                                     struct rs_share_values *values);
RS_CHECK_RESULT enum rs_status client_request_share_open(struct client *client, uint32_t queue_idx,
                                                         const struct rs_share_token *token,
                                                         struct rs_open_reply *reply);
/* Several, posted together and answered in their order, so that they take the time of one. A step
 * that fails does not keep the next one from being carried out. The first error, as above. */
struct client_step {
    enum rs_op op;
    uint32_t payload_bytes;
    union {
        struct rs_op_option option;
        struct rs_addr addr;
        struct rs_op_share_set share_set;
    } payload;
};
#define CLIENT_STEPS_MAX ((uint32_t)RS_OPT_COUNT + 1)
RS_CHECK_RESULT enum rs_status
client_request_steps(struct client_socket *socket, const struct client_step *steps, uint32_t count);
/* One whose answer says nothing: it is seldom waited for. */
void client_request_leave(struct client_socket *socket, enum rs_op op, const void *payload,
                          uint32_t payload_bytes);
/* OPEN of a socket that will live on this queue. The same errors. */
RS_CHECK_RESULT enum rs_status client_request_open(struct client *client, uint32_t queue_idx,
                                                   const struct rs_op_open *open,
                                                   struct rs_open_reply *reply);
/* send_lock held: makes `channel` the one the socket posts to; waits for what it posted to another.
 * _now: it is another one. */
RS_CHECK_RESULT enum rs_status client_socket_move_now(struct client_socket *socket,
                                                      struct client_channel *channel);
RS_CHECK_RESULT static inline enum rs_status client_socket_move(struct client_socket *socket,
                                                                struct client_channel *channel)
{
    return CLIENT_LIKELY(socket->place.channel == channel &&
                         socket->place.opening ==
                             atomic_load_explicit(&channel->openings, memory_order_relaxed))
               ? RS_OK
               : client_socket_move_now(socket, channel);
}

/* options.c: control_mutex held */
RS_CHECK_RESULT enum rs_status client_options_replay(struct client_socket *socket);
/* The same as steps for client_request_steps. Returns how many, below CLIENT_STEPS_MAX. */
uint32_t client_options_steps(const struct client_socket *socket, struct client_step *steps);
/* An option whose value here the dataplane may not have. */
RS_CHECK_RESULT enum rs_status client_option_retell(struct client_socket *socket,
                                                    enum rs_option option);
RS_CHECK_RESULT enum rs_status client_members_replay(struct client_socket *socket);
/* What one stream socket's program has set, for another one. */
struct client_inherited {
    uint32_t values[RS_OPT_COUNT]; /* given or default */
    uint32_t set;                  /* a bit each: given */
    bool late_send_limit;
};
void client_options_take(const struct client_socket *socket, struct client_inherited *out);
/* A connection whose place has the options of the listener: tells those that are others here. */
RS_CHECK_RESULT enum rs_status client_options_differ(struct client_socket *socket,
                                                     const struct client_inherited *listener);
/* A connection: they become its own. */
RS_CHECK_RESULT enum rs_status client_options_adopt(struct client_socket *socket,
                                                    const struct client_inherited *listener);
uint32_t client_option_value(const struct client_socket *socket,
                             enum rs_option option); /* given or default */

#endif
