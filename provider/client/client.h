/*
 * The portable client core: sockets of one process on the rings of one dataplane. No Winsock type;
 * the operating system only through rings/os and only on slow paths (attach, channel open, sleep).
 * provider/spi and provider/rio are facades over this; native programs, benches and tests call it
 * directly. Any thread may call any function on any socket, unless said otherwise.
 */
#ifndef RINGSOCK_PROVIDER_CLIENT_CLIENT_H
#define RINGSOCK_PROVIDER_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/addr.h"
#include "rings/layout.h"
#include "rings/status.h"

struct client; /* one attach */
struct client_socket;

struct client_config {
    const char *instance;       /* NULL: RINGSOCK_INSTANCE, else "default" */
    uint64_t attach_timeout_ns; /* 0: 2 s */
    int64_t spin_us;            /* < 0: what the dataplane's config says */
    int yield_in_spin;          /* < 0: what the dataplane's config says */
};

/* Attaches. RS_NOT_READY, RS_VERSION_MISMATCH, RS_ATTACH_REFUSED, RS_CORRUPT, RS_NO_MEMORY,
 * RS_TIMED_OUT; why, in English, by client_last_error_text. */
RS_CHECK_RESULT enum rs_status client_open(const struct client_config *config, struct client **out);
/* Closes what is left and detaches. No other thread may be inside the client. */
void client_close(struct client *client);
const char *client_last_error_text(void); /* of the calling thread's last failed slow call */

struct client_info {
    uint64_t epoch, tsc_hz;
    uint32_t queue_count, mtu_bytes;
    uint32_t sockets_lost; /* shared ones that ended here: see client_share */
    enum rs_nic_kind nic_kind;
    char instance[32];
};
void client_get_info(const struct client *client, struct client_info *out);
/* A NIC's addresses as they are now. Any thread. */
struct client_interface {
    uint32_t ip_be32; /* the primary one; 0: none but 127.0.0.1 */
    uint8_t prefix_len;
    bool up;
    uint32_t more_count; /* the others */
    uint32_t more_be32[RS_ADDRESSES_MAX - 1];
    uint8_t more_prefix_len[RS_ADDRESSES_MAX - 1];
};
/* Fills in at most max, each NIC once; returns how many there are. */
uint32_t client_interfaces(const struct client *client, struct client_interface *out, uint32_t max);
/* Grows when addresses come or go: a NIC's link went down or came up. Any thread, a few loads.
 */
uint32_t client_address_changes(const struct client *client);
/* A TSC value (client_recv_info.rx_tsc) in ns since the UNIX epoch, by the session's calibration.
 */
uint64_t client_tsc_to_unix_ns(const struct client *client, uint64_t tsc);
bool client_alive(const struct client *client); /* false: dataplane gone or session poisoned */

/* ---- sockets ---- */

/* RS_FAMILY_IPV4 with RS_SOCK_DGRAM or RS_SOCK_STREAM; others RS_FAMILY_NOT_SUPPORTED /
 * RS_TYPE_NOT_SUPPORTED. Undecided until bind or connect: no request is made. */
RS_CHECK_RESULT enum rs_status client_socket_create(struct client *client, uint8_t family,
                                                    enum rs_socket_type type,
                                                    struct client_socket **out);
/* Ends the socket: blocked calls of other threads return RS_INTERRUPTED; what was sent still goes
 * out, by CLIENT_OPT_LINGER_MS. The handle is invalid afterwards. */
RS_CHECK_RESULT enum rs_status client_socket_close(struct client_socket *socket);

/* Port 0: an ephemeral one. RS_INVALID bound already; RS_ADDR_IN_USE; RS_ADDR_NOT_AVAILABLE;
 * RS_ACCESS. */
RS_CHECK_RESULT enum rs_status client_bind(struct client_socket *socket,
                                           const struct rs_addr *local);
/* UDP: sets the peer (binds first when needed); family RS_FAMILY_NONE or address 0 dissolves it.
 * TCP: a blocking socket waits for the outcome: RS_OK, RS_CONN_REFUSED, RS_TIMED_OUT,
 * RS_HOST_UNREACHABLE ...; another one gets RS_WOULD_BLOCK and is then WRITABLE, or ERROR with the
 * reason in client_take_error. RS_ALREADY while under way, RS_IS_CONNECTED afterwards, RS_INVALID
 * listening. After a failure it may be tried again. */
RS_CHECK_RESULT enum rs_status client_connect(struct client_socket *socket,
                                              const struct rs_addr *peer);
/* TCP, bound. At most `backlog` connections wait to be accepted (0: one); again: a new limit.
 * RS_INVALID not bound or connecting; RS_IS_CONNECTED; RS_ADDR_IN_USE; RS_NO_BUFFERS. */
RS_CHECK_RESULT enum rs_status client_listen(struct client_socket *socket, uint32_t backlog);
/* Whoever of those that share it said so. */
bool client_is_listening(const struct client_socket *socket);
/* The oldest connection that waits, as a socket with the listener's options and modes. peer may be
 * NULL. No request is made. RS_INVALID not listening; RS_WOULD_BLOCK; RS_INTERRUPTED;
 * RS_NO_MEMORY; RS_DATAPLANE_GONE; RS_POISONED. No time-out bounds it. */
RS_CHECK_RESULT enum rs_status client_accept(struct client_socket *listener,
                                             struct client_socket **out, struct rs_addr *peer);
/* The same without waiting, whatever the socket's mode: RS_OK, the attempt is under way. */
RS_CHECK_RESULT enum rs_status client_connect_begin(struct client_socket *socket,
                                                    const struct rs_addr *peer);
/* What became of it, a look: RS_WOULD_BLOCK, RS_OK, or why it failed, which counts as reported. */
RS_CHECK_RESULT enum rs_status client_connect_result(struct client_socket *socket);
/* The oldest connection that waits becomes that of `socket`, a stream that is neither bound nor
 * connected; its options and modes stay its own until client_inherit. Never blocks. RS_INVALID: not
 * listening, or not such a socket; RS_WOULD_BLOCK; the other errors of client_accept. */
RS_CHECK_RESULT enum rs_status client_accept_into(struct client_socket *listener,
                                                  struct client_socket *socket,
                                                  struct rs_addr *peer);
/* `socket` was accepted by one of those: options and modes of the listener become its own.
 * RS_INVALID: the other is no listener; RS_NOT_CONNECTED: not accepted. */
RS_CHECK_RESULT enum rs_status client_inherit(struct client_socket *socket,
                                              struct client_socket *listener);
/* Has the peer ended its side, and is all read that it sent? A look. RS_OK; RS_WOULD_BLOCK;
 * RS_NOT_CONNECTED; why the connection is over. */
RS_CHECK_RESULT enum rs_status client_stream_finished(struct client_socket *socket);
/* Leaves the connection to the dataplane, as a close does that does not linger: what was sent still
 * goes out. The socket keeps its options. If it was accepted it is as created; if it connected, it
 * is bound where it was, in effect at the next connect or listen. RS_NOT_CONNECTED. */
RS_CHECK_RESULT enum rs_status client_stream_reuse(struct client_socket *socket);
/* RS_INVALID when not bound. */
RS_CHECK_RESULT enum rs_status client_local_addr(struct client_socket *socket, struct rs_addr *out);
/* Of the NIC that has the socket's local address; without one, or with a group's or 127.x.x.x, the
 * least of all NICs. Of a NIC, not of the path. */
uint32_t client_mtu_bytes(struct client_socket *socket);
RS_CHECK_RESULT enum rs_status client_peer_addr(struct client_socket *socket,
                                                struct rs_addr *out); /* RS_NOT_CONNECTED */

struct client_iov {
    void *base;
    size_t len_bytes;
};

enum {
    CLIENT_MSG_PEEK = 1,
    CLIENT_MSG_DONTWAIT = 2,
    CLIENT_MSG_WAIT = 4, /* block even when the socket is non-blocking */
    /* Sending, with the bytes that a send is expected to have: all that a send does but to send, so
     * that the next one finds code and data in the caches of both sides. Connected sockets; never
     * blocks; *sent_bytes is 0. */
    CLIENT_MSG_WARM = 32,
    /* streams */
    CLIENT_MSG_WAITALL = 8, /* fill the buffers; not with PEEK, OOB or a call that does not block:
                               RS_NOT_SUPPORTED */
    CLIENT_MSG_OOB = 16     /* sending: the last byte is urgent; receiving: the urgent byte */
};

/*
 * Streams: bytes from several buffers; `to` is not looked at. A blocking call sends all of them,
 * one that does not block what there is room for. *sent_bytes counts also when a call fails behind
 * a part. RS_NOT_CONNECTED; RS_SHUTDOWN; RS_CONN_RESET, RS_CONN_ABORTED (the peer was silent too
 * long) and whatever else ended the connection, each time, but RS_NET_RESET (keep-alive) once and
 * then RS_NOT_CONNECTED; RS_WOULD_BLOCK, RS_TIMED_OUT, RS_INTERRUPTED, RS_DATAPLANE_GONE,
 * RS_POISONED.
 *
 * Datagrams: one from several buffers. to NULL: the peer. Binds an unbound socket when `to` is
 * given. Blocking sockets wait (spin, then sleep) for room up to the send time-out. RS_WOULD_BLOCK,
 * RS_TIMED_OUT, RS_MESSAGE_SIZE, RS_DEST_REQUIRED, RS_NOT_CONNECTED, RS_ACCESS, RS_INTERRUPTED,
 * RS_DATAPLANE_GONE, RS_POISONED. */
RS_CHECK_RESULT enum rs_status client_send(struct client_socket *socket,
                                           const struct client_iov *iov, uint32_t iov_count,
                                           uint32_t flags, const struct rs_addr *to,
                                           size_t *sent_bytes);

/* What one datagram wants otherwise than its socket. */
struct client_send_control {
    uint32_t src_be32;      /* an address of this dataplane's, 0: as usual, or of interface_idx */
    uint32_t interface_idx; /* without src_be32: by this interface and from its address, that of the
                               route it has to there, or what the socket is bound to; 0: as usual */
    uint8_t tos, tos_mask;  /* these bits instead of RS_OPT_TOS's */
    uint8_t ttl;            /* when ttl_set */
    bool ttl_set;
    bool stamped;      /* keep its transmit timestamp (RS_OPT_TX_STAMPS) */
    uint32_t stamp_id; /* under this number */
};
/* client_send of a datagram with control; never inside a slot. Also RS_ADDR_NOT_AVAILABLE: a source
 * that is not ours, known at once; one that cannot go where it shall is an error that comes later.
 * RS_MESSAGE_SIZE when it fits the send ring only without. RS_NOT_SUPPORTED: a stream. */
RS_CHECK_RESULT enum rs_status client_send_with(struct client_socket *socket,
                                                const struct client_iov *iov, uint32_t iov_count,
                                                uint32_t flags, const struct rs_addr *to,
                                                const struct client_send_control *control,
                                                size_t *sent_bytes);
/* When the dataplane handed the datagram of that number to the NIC, or to its local receivers;
 * once. Asks the dataplane. RS_WOULD_BLOCK: there is none now; RS_NOT_SUPPORTED: a stream. */
RS_CHECK_RESULT enum rs_status client_tx_stamp(struct client_socket *socket, uint32_t stamp_id,
                                               uint64_t *tx_tsc);

/* Interfaces by number, the same for all sockets of an attach: 1 and up, in the order of the
 * dataplane's configuration files. RS_ADDR_NOT_AVAILABLE: no such interface. *ip_be32: its primary
 * address, 0 for one without an address (`device = loopback`). */
RS_CHECK_RESULT enum rs_status client_interface_addr(const struct client *client, uint32_t idx,
                                                     uint32_t *ip_be32);
/* By any of its addresses. 0: none has that address. */
uint32_t client_interface_of(const struct client *client, uint32_t ip_be32);

struct client_recv_info { /* about the datagram received */
    struct rs_addr from;
    uint64_t rx_tsc;
    uint32_t len_bytes;      /* of the whole datagram, also when it was cut */
    uint8_t ttl, tos, flags; /* flags: RS_DGRAM_MULTICAST, RS_DGRAM_BROADCAST; RS_DGRAM_EXT: what
                                follows is known */
    /* with RS_CONTROL_ADDRESS in RS_OPT_RECV_CONTROL, unless the datagram filled half of the ring
     */
    uint32_t to_be32;
    uint32_t interface_be32; /* address of the NIC it came by, 0: one without */
};

/*
 * Streams: what there is, at least a byte; RS_OK with 0 bytes at the end. info is not filled in. A
 * read ends before an urgent byte, and leaves it out unless CLIENT_OPT_OOB_INLINE is on. What had
 * arrived is read before the error that ended the connection is seen. With CLIENT_MSG_OOB: the
 * urgent byte, once; RS_INVALID when it is inline. Errors as above.
 *
 * Datagrams: one into several buffers. info may be NULL. RS_MESSAGE_SIZE: it was longer than the
 * buffers; they are filled, the rest is gone (not with PEEK). RS_PORT_UNREACHABLE once per ICMP
 * error when RS_OPT_CONNRESET is on. RS_INVALID not bound; RS_WOULD_BLOCK; RS_TIMED_OUT;
 * RS_SHUTDOWN; RS_INTERRUPTED; RS_DATAPLANE_GONE; RS_POISONED. */
RS_CHECK_RESULT enum rs_status client_recv(struct client_socket *socket,
                                           const struct client_iov *iov, uint32_t iov_count,
                                           uint32_t flags, struct client_recv_info *info,
                                           size_t *received_bytes);

enum { CLIENT_SHUT_RECV = 1, CLIENT_SHUT_SEND = 2, CLIENT_SHUT_KEEP = 8 };
/* Streams: SEND ends the peer's stream behind what was sent. Data that waits at RECV, or arrives
 * afterwards, resets the connection; with KEEP it is taken as long as there is room, and the peer
 * hears nothing of it. RS_NOT_CONNECTED. */
RS_CHECK_RESULT enum rs_status client_shutdown(struct client_socket *socket, uint32_t how);

/* ---- several processes with one socket ---- */

/* What another process, or this one, needs to open a socket that it was granted. */
struct client_share_info {
    struct rs_share_token token;
    uint32_t type; /* enum rs_socket_type */
};
/* Grants the process one more descriptor of the socket, to be opened once, within a minute; until
 * then it counts as one. In any state: whoever binds, connects or makes it listen later does so for
 * all; its home queue is chosen now. From the first time on all descriptors' calls are requests to
 * the dataplane, until there is one left. RS_INVALID: no such process; RS_NOT_SUPPORTED: a datagram
 * socket with memberships that is not bound; a connection that is on its way out; RS_NO_BUFFERS,
 * RS_TOO_MANY_SOCKETS; RS_DATAPLANE_GONE; RS_POISONED. A socket whose memory cannot be read or
 * mapped behind a move (there, or back) is lost: RS_CORRUPT, RS_NO_MEMORY or RS_OS_ERROR from every
 * call, ready for all, counted in client_info; to be closed.
 */
RS_CHECK_RESULT enum rs_status client_share(struct client_socket *socket, uint32_t process_id,
                                            struct client_share_info *info);
/* RS_NOT_SOCKET: granted to nobody, opened already or too late; RS_ACCESS: to another process;
 * RS_TOO_MANY_SOCKETS; RS_NO_BUFFERS; RS_NO_MEMORY. */
RS_CHECK_RESULT enum rs_status client_share_open(struct client *client,
                                                 const struct client_share_info *info,
                                                 struct client_socket **out);
bool client_is_shared(const struct client_socket *socket);
/* Who has the events of a shared socket: take makes it the caller, with a new number; as long as
 * client_share_events says that number, it is. A socket that is not shared: 0. */
RS_CHECK_RESULT enum rs_status client_share_take_events(struct client_socket *socket,
                                                        uint32_t *number);
uint32_t client_share_events(const struct client_socket *socket);

/* ---- readiness ---- */

/*
 * READABLE: a receive, or accept, does not block. WRITABLE: nor does a send; of a stream only once
 * it is connected. ERROR: an error waits; of a stream: the attempt to connect failed, or the
 * connection is over. Streams also: CONNECTED, END (the peer has sent its last byte), URGENT (an
 * urgent byte waits to be read out of band), FAILED (the attempt to connect failed). DATA: a
 * receive would take bytes or a datagram (or its error), or accept a connection; at a stream's end
 * it is false, where READABLE is true.
 */
#define CLIENT_POLL_URGENT 0x10000u
#define CLIENT_POLL_FAILED 0x20000u
#define CLIENT_POLL_DATA   0x40000u
struct client_poll {
    struct client_socket *socket; /* NULL: skipped */
    uint32_t want;                /* RS_LEVEL_*, CLIENT_POLL_* */
    uint32_t ready;               /* out */
};
/* Waits until one is ready or timeout_ns passed (0: only look, UINT64_MAX: for ever). *ready_count
 * items have ready != 0. Reads state lines and ring heads only; no system call while it spins.
 * Time-out: RS_OK with *ready_count 0. RS_INTERRUPTED when one of the sockets is closed while it
 * waits. */
RS_CHECK_RESULT enum rs_status client_poll(struct client *client, struct client_poll *items,
                                           uint32_t count, uint64_t timeout_ns,
                                           uint32_t *ready_count);
/* A look, without the dataplane's help: what of want is true. All of it when the socket is closed
 * or the session is over. */
uint32_t client_socket_ready(struct client_socket *socket, uint32_t want);
/* A send would not block but fail: client_shutdown ended sending, here. */
bool client_send_is_shut(const struct client_socket *socket);

/*
 * The watch: one thread hears of any number of sockets, at the cost of an event each. One per
 * client, until client_close, which closes it if nobody has. Reports say "look": there may be
 * nothing.
 */
struct client_watch;
/* RS_NO_BUFFERS: the session's channels are taken ([limits] channels); RS_NO_MEMORY; RS_ALREADY;
 * RS_DATAPLANE_GONE. From then on the dataplane treats the session as one that sleeps. */
RS_CHECK_RESULT enum rs_status client_watch_open(struct client *client, struct client_watch **out);
/* No thread may wait, arm, or be inside a socket that is armed. Nothing when there is none. */
void client_watch_close(struct client *client);
/* Any thread, no system call: one report when one of want (RS_LEVEL_*, CLIENT_POLL_*; not 0)
 * becomes true. Several armings are joined in one report. True: one is true already, and no report
 * comes for this call, though one may for an earlier one. Whoever got a report arms again. A socket
 * need not be bound. */
bool client_watch_arm(struct client_watch *watch, struct client_socket *socket, uint32_t want);
/* Any thread: the socket is reported at once. One system call when the watching thread sleeps. */
void client_watch_look(struct client_watch *watch, struct client_socket *socket);
void client_watch_nudge(struct client_watch *watch); /* likewise; the wait returns */
/* The watching thread: up to max sockets, each with a reference (client_socket_unref). RS_OK with 0
 * of them after a nudge; RS_TIMED_OUT; RS_DATAPLANE_GONE or RS_POISONED with all that were armed,
 * max at a time; with 0 of them: there are no more, and later waits are for looks and nudges. Spins
 * only while a socket is armed. */
RS_CHECK_RESULT enum rs_status client_watch_wait(struct client_watch *watch,
                                                 struct client_socket **out, uint32_t max,
                                                 uint64_t timeout_ns, uint32_t *count);

/* Payload bytes of the next datagram (0: none), as FIONREAD for datagram sockets gives;
 * *total_bytes (may be NULL): of all queued. Streams: what waits, twice. */
RS_CHECK_RESULT enum rs_status client_readable_bytes(struct client_socket *socket,
                                                     uint32_t *next_bytes, uint64_t *total_bytes);

/* ---- calls that block ---- */

/*
 * For facades that promise to call somebody while a call blocks. In the blocked thread, with no
 * lock held: `ask` once per call of connect, accept, send, receive or poll that has waited for a
 * millisecond or goes to sleep; if it says true, `turn` there and then, and every few milliseconds,
 * until it says false: the call ends with RS_INTERRUPTED.
 */
struct client_wait_turn {
    void *function; /* ask's to fill in, turn's to use */
    uintptr_t context;
};
struct client_wait_hook {
    bool (*ask)(struct client_wait_turn *turn);
    bool (*turn)(const struct client_wait_turn *turn);
};
/* For the whole process, before anything blocks; constant from then on. */
void client_set_wait_hook(const struct client_wait_hook *hook);

/*
 * How long a call that waits spins before it sleeps, and whether it yields the processor meanwhile:
 * each member by what the socket says, else the thread, else client_config or the dataplane's
 * config. client_poll and client_watch_wait, which wait for many, and requests to the dataplane
 * (bind, most options) go by the thread's. In effect from the next wait.
 */
#define CLIENT_SPIN_MOST_US 1000000
struct client_spin {
    int64_t spin_us; /* to CLIENT_SPIN_MOST_US; RS_SPIN_FOREVER: never sleeps; < 0: not said here */
    int yield_in_spin; /* 0 or 1; < 0: not said here */
};
/* RS_INVALID: out of range; nothing is changed. At first a socket says nothing; an accepted one
 * what its listener does. Other descriptors of a shared socket have their own. */
RS_CHECK_RESULT enum rs_status client_socket_set_spin(struct client_socket *socket,
                                                      const struct client_spin *spin);
struct client_spin client_socket_get_spin(const struct client_socket *socket);
/* The calling thread's, in all attaches, also before the first. Also RS_NO_MEMORY, RS_OS_ERROR. */
RS_CHECK_RESULT enum rs_status client_thread_set_spin(const struct client_spin *spin);
struct client_spin client_thread_get_spin(void);

/* ---- options ---- */

#define CLIENT_LINGER_OFF UINT32_MAX
enum client_option {
    CLIENT_OPT_NONBLOCKING = 1000, /* 0 or 1; client side only */
    CLIENT_OPT_RECV_TIMEOUT_MS,    /* 0: for ever */
    CLIENT_OPT_SEND_TIMEOUT_MS,
    /* Streams. What happens at close to bytes that the peer has not acknowledged: CLIENT_LINGER_OFF
     * (the default): close returns at once, they are still sent. 0: the connection is reset. Else:
     * as off, and a blocking socket's close waits for them that long; then it is reset. */
    CLIENT_OPT_LINGER_MS,
    CLIENT_OPT_OOB_INLINE, /* 0 or 1 */
    /* Without a meaning here: what a facade keeps with the socket, so that whoever shares it has
     * it, too. 0 at first. */
    CLIENT_OPT_USER_0,
    CLIENT_OPT_USER_1,
    CLIENT_OPT_USER_2,
    CLIENT_OPT_USER_3
    /* and every enum rs_option: kept on the client while the socket is undecided, replayed at bind,
       sent to the dataplane afterwards */
};
RS_CHECK_RESULT enum rs_status client_set_option(struct client_socket *socket, uint32_t option,
                                                 uint32_t value);
RS_CHECK_RESULT enum rs_status client_get_option(struct client_socket *socket, uint32_t option,
                                                 uint32_t *value);
/* Membership; binds nothing, works before bind (kept and replayed) and after. */
RS_CHECK_RESULT enum rs_status client_member(struct client_socket *socket,
                                             const struct rs_op_member *op);
/* Streams: true when no bytes lie before an urgent mark (SIOCATMARK). */
RS_CHECK_RESULT enum rs_status client_at_mark(struct client_socket *socket, bool *at_mark);
/* Streams: what the connection, or the attempt to connect, tells about itself; asks the dataplane.
 * RS_NOT_CONNECTED: there is none, or the attempt failed; RS_NOT_SUPPORTED: a datagram socket. */
RS_CHECK_RESULT enum rs_status client_tcp_info(struct client_socket *socket,
                                               struct rs_tcp_info *info);
/* Streams: how long ago the handshake was complete, also when the connection is over since. A look.
 * RS_NOT_CONNECTED: it never was. */
RS_CHECK_RESULT enum rs_status client_connected_ns(struct client_socket *socket, uint64_t *ns);
/* What setting SO_KEEPALIVE finds, by its page: RS_NOT_CONNECTED of a connection that was reset,
 * RS_NET_RESET of one that timed out; RS_OK of all others. A look, which takes no error. */
RS_CHECK_RESULT enum rs_status client_keepalive_state(const struct client_socket *socket);
/* Streams: bytes were sent that the peer has not acknowledged and still may, and nobody has ended
 * the sending side. A look, without waiting. */
bool client_unacknowledged(const struct client_socket *socket);
/* The pending asynchronous error (SO_ERROR): returned and cleared for this socket; RS_OK when none.
 */
enum rs_status client_take_error(struct client_socket *socket);
/* Why a stream's connection is over, or the attempt to connect failed; nothing is cleared. A look.
 * RS_OK: it is not. */
enum rs_status client_socket_error(const struct client_socket *socket);
enum rs_socket_type client_socket_type(const struct client_socket *socket);
uint64_t
client_socket_dropped(const struct client_socket *socket); /* datagrams its full ring lost */

/* For facades that find sockets without a lock: while referenced, a closed socket's object stays
 * closed and is not given to a new socket, so a call that comes late meets RS_NOT_SOCKET. Any
 * thread. */
void client_socket_ref(struct client_socket *socket);
void client_socket_unref(struct client_socket *socket);
/* For facades: a word of their own on each socket. */
void client_socket_set_user(struct client_socket *socket, void *user);
void *client_socket_user(const struct client_socket *socket);

/*
 * For facades that find sockets by a handle: the same calls, once, without a reference. The memory
 * of a socket is a socket's for the life of the process, so a call takes the direction's lock
 * before it knows whose socket that is, and then looks at the claim. A close takes the lock, too:
 * who finds the claim true under it has the socket as with a reference, until it lets go of the
 * lock. (tests/model/claim.c has the interleavings.)
 */
struct client_claim {
    /* Where the facade keeps its record as long as the handle is open: cleared before the close. */
    void *const _Atomic *place;
    void *record;
    /* Grows when the record is given to another socket, or to the same handle's next one. `life`
     * was loaded, acquire, before the record's word of its socket, and that acquire, too. */
    const _Atomic uintptr_t *life;
    uintptr_t life_seen;
};
/* No flags, `to` as in client_send and client_recv. They neither block nor bind; a channel is
 * opened only to tell the dataplane of room in a stream's receive ring. False: nothing was done,
 * the other function will do it; true: *status is the call's. */
bool client_send_claimed(struct client_socket *socket, const struct client_claim *claim,
                         const struct client_iov *iov, uint32_t iov_count, const struct rs_addr *to,
                         size_t *sent_bytes, enum rs_status *status);
bool client_recv_claimed(struct client_socket *socket, const struct client_claim *claim,
                         const struct client_iov *iov, uint32_t iov_count,
                         struct client_recv_info *info, size_t *received_bytes,
                         enum rs_status *status);

/* A request to the queue and back, nothing else (RS_OP_NOP): measures, and flushes all this thread
 * posted before. */
RS_CHECK_RESULT enum rs_status client_ping(struct client *client);

#endif
