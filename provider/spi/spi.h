/*
 * What the files of the provider DLL share. The DLL is a facade: it checks arguments as Winsock
 * documents them, turns Winsock's types into the client core's, and statuses into WSA codes.
 * Called by ws2_32 (or a host of ours) through the procedure table; calls provider/client and the
 * host's upcalls. Any thread, any socket.
 */
#ifndef RINGSOCK_PROVIDER_SPI_SPI_H
#define RINGSOCK_PROVIDER_SPI_SPI_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <mstcpip.h>
#include <mswsock.h>
#include <ws2spi.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "provider/client/client.h"

#define SPI_LIKELY(condition) __builtin_expect(!!(condition), 1)

/* ---- attaches (session.c) ---- */

/* One attach to a dataplane. Lives as long as a socket of it, so that an old socket fails cleanly
 * while new ones use the restarted dataplane. */
struct spi_session {
    struct client *client;
    _Atomic uint32_t refs; /* partner: the other threads that hold or drop one */
    /* helper.c's, once it serves the attach; as long-lived as client */
    struct client_watch *_Atomic watch;
};

/* The current attach, made when there is none or the dataplane of the old one is gone; the caller
 * gets a reference. Errors as client_open, why goes to the debugger's output; RS_NOT_INITIALISED
 * behind the last WSPCleanup. */
RS_CHECK_RESULT enum rs_status spi_session_get(struct spi_session **out);
void spi_session_hold(struct spi_session *session); /* one more, of a session that is held */
void spi_session_put(struct spi_session *session);
/* Forgets the current attach: WSPCleanup. */
void spi_session_drop_current(void);

/* ---- sockets (handle.c) ---- */

/* Connections that a condition function put off (accept.c). Each is linked by its user word. */
struct spi_deferred {
    SRWLOCK lock;
    struct client_socket *_Atomic first; /* changed under lock; partner: WSPSelect looks */
    bool closed;                         /* under lock: nobody will accept any more */
};

/* Overlapped operations that wait (overlapped.c), in order but for the third way. */
enum spi_way { SPI_WAY_RECV, SPI_WAY_SEND, SPI_WAY_OTHER, SPI_WAYS };
struct spi_op_queue {
    SRWLOCK lock;
    struct spi_op *first, *last; /* under lock */
    bool closed;                 /* under lock: the socket's end has begun */
};

/* What makes calls take the slow path: spi_socket.attention. */
enum {
    SPI_ATTENTION_RECV = 1 << SPI_WAY_RECV, /* overlapped operations wait */
    SPI_ATTENTION_SEND = 1 << SPI_WAY_SEND,
    SPI_ATTENTION_OTHER = 1 << SPI_WAY_OTHER,
    SPI_ATTENTION_EVENTS = 1 << SPI_WAYS, /* network events are selected */
    SPI_ATTENTION_READ = 16,              /* a disconnect waits until the program has read all */
    /* A leaf or a message size is set, or was: nothing that receives, or has a turn, looks at it.
     */
    SPI_ATTENTION_SENDS = 32
};

/* Options that no other part knows; options_kept.c. */
enum spi_kept {
    SPI_KEPT_GROUP_PRIORITY,
    SPI_KEPT_CONDITIONAL_ACCEPT,
    SPI_KEPT_PORT_SCALABILITY,
    SPI_KEPT_RANDOMIZE_PORT,
    SPI_KEPT_NO_CHECKSUM,
    SPI_KEPT_SEND_MSG_SIZE,
    SPI_KEPT_COALESCED_SIZE,
    SPI_KEPT_MTU_DISCOVER,
    SPI_KEPT_UNICAST_IF, /* an index, be32 */
    SPI_KEPT_COUNT
};

/* Type-stable: a record is reused, never freed, so a thread that is late reads a record, not freed
 * memory, and sees by the handle that it is another's. */
struct spi_socket {
    _Atomic uint32_t refs; /* the table's and one per call inside; 0: on the free list */
    /* Grows with each socket that the record is used for. Partner: spi_socket_claim in other
     * threads, which reads core, attention and what kind of socket it is without a reference. */
    _Atomic uintptr_t life;
    /* SOCKET; partner: spi_socket_get and spi_socket_of in other threads */
    _Atomic uintptr_t handle;
    struct client_socket *_Atomic core;
    struct spi_session *session;
    /* SPI_ATTENTION_*. Relaxed: a call that misses one goes beside the other, as if it had come
     * before. */
    _Atomic uint32_t attention;
    struct spi_op_queue ops[SPI_WAYS];
    /* The event that an overlapped call was last told by, which then was one. Relaxed: a guess. */
    _Atomic uintptr_t event_known;
    _Atomic uint32_t changes_asked; /* network events that net_change.c is to tell */
    /* AcceptEx: the listener that this socket is to have a connection of; of a listener, those that
     * wait for one. Partner: the helper. */
    struct spi_socket *_Atomic accept_for;
    _Atomic uint32_t accepts_waiting;
    struct spi_socket *next_free;
    DWORD catalog_id;
    bool overlapped;               /* WSA_FLAG_OVERLAPPED */
    bool multipoint;               /* WSA_FLAG_MULTIPOINT_*_LEAF */
    _Atomic bool stream;           /* SOCK_STREAM */
    _Atomic ADDRESS_FAMILY family; /* AF_INET; AF_INET6: its IPv4 addresses are mapped ones */
    _Atomic bool v6_only;          /* IPV6_V6ONLY: an AF_INET6 socket that has no addresses here */
    _Atomic uint8_t protection_level;  /* IPV6_PROTECTION_LEVEL, without effect */
    struct spi_events *_Atomic events; /* events.c; NULL: never selected */
    _Atomic uint32_t hints;    /* SPI_HINT_*: options without effect that read back as set */
    _Atomic uint32_t controls; /* which control data WSARecvMsg gives (message.c) */
    _Atomic uint32_t kept[SPI_KEPT_COUNT]; /* options that the provider alone knows */
    _Atomic uint64_t leaf; /* WSPJoinLeaf's send destination: ip_be32 << 16 | port_be16; 0 none */
    /* streams */
    _Atomic uint32_t context;     /* enum spi_context */
    _Atomic uint32_t linger_s;    /* l_linger, also while l_onoff is 0 */
    struct spi_deferred deferred; /* of a listening one */
};

/* Connected by AcceptEx or ConnectEx, and not told SO_UPDATE_*_CONTEXT since: the program may send,
 * receive and close, but names and shutdown say that it is not connected. */
enum spi_context { SPI_CONTEXT_WHOLE, SPI_CONTEXT_ACCEPT, SPI_CONTEXT_CONNECT };

enum { SPI_HINT_DEBUG = 1, SPI_HINT_DONTROUTE = 2 };

/* A record with one reference that belongs to the table; handle and the rest are the caller's to
 * fill before spi_handle_insert. NULL: no memory. */
struct spi_socket *spi_socket_new(void);
/* RS_NO_BUFFERS: a handle no system gives, or no memory; RS_NOT_INITIALISED: the last WSPCleanup
 * came first. The record stays the caller's then. */
RS_CHECK_RESULT enum rs_status spi_handle_insert(SOCKET s, struct spi_socket *socket);
/* Lock-free. NULL: no socket of ours. Give it back with spi_socket_put. */
struct spi_socket *spi_socket_get(SOCKET s);
/* The record of a core that the caller holds, with a reference; NULL: there is none any more. */
struct spi_socket *spi_socket_of(struct client_socket *core);
void spi_socket_hold(struct spi_socket *socket); /* one more, of a record that is held */
/* The last put closes nothing any more; it recycles the record. */
void spi_socket_put(struct spi_socket *socket);
/* Takes it out of the table and hands the table's reference to the caller. NULL: another thread was
 * faster, or it is no socket. */
struct spi_socket *spi_handle_remove(SOCKET s);
/* Closes a socket that spi_handle_remove returned: calls inside end, the handle goes back. */
enum rs_status spi_socket_close(struct spi_socket *socket, SOCKET s);
/* duplicate.c: WSPSocket with what WSPDuplicateSocket filled in: the record's core. 0 or the error.
 */
bool spi_duplicate_is(const WSAPROTOCOL_INFOW *info);
int spi_duplicate_open(struct spi_socket *socket, const WSAPROTOCOL_INFOW *info);
/* What this provider keeps of a socket for all that share it, as options of the core. */
#define SPI_SHARED_LINGER_S CLIENT_OPT_USER_0
#define SPI_SHARED_HINTS    CLIENT_OPT_USER_1
#define SPI_SHARED_V6_ONLY  CLIENT_OPT_USER_2
/* socket.c: gives a record that is filled in its handle and shows it to all. 0 or the error; the
 * record stays the caller's then. */
int spi_socket_publish(struct spi_socket *socket, SOCKET *out);
/* The last WSPCleanup, and spi_started is false: all that are left; none is inserted any more. */
void spi_sockets_close_all(void);

/* ---- errors (wsa_error.c) ---- */

int spi_wsa_error(enum rs_status status);
/* Stores code through lpErrno (nowhere, if that cannot be written) and returns SOCKET_ERROR.
 * WSAENOTSOCK of a call from inside a blocking hook, which spi_socket_get gives no socket, becomes
 * WSAEINPROGRESS. */
int spi_fail(LPINT error, int code);
int spi_fail_status(LPINT error, enum rs_status status);

/* ---- the program's memory (probe.c) ---- */

void spi_probe_init(void);
/* Can length bytes be read (written) there? false also for NULL and for a range that wraps; true
 * for 0 bytes. */
bool spi_can_read(const void *memory, size_t length_bytes);
bool spi_can_write(void *memory, size_t length_bytes);

#define SPI_PAGE_BYTES 4096u
/* 1: the byte at memory cannot be read (written). Not atomic: only bytes that a call or a pending
 * operation may write are touched, which are its own until it ends, and a store of one byte leaves
 * its neighbours alone, whoever writes those. Windows' own probe of a buffer does the same. A
 * locked instruction costs as much as all other checks of a send. */
int spi_touch_read(void *memory) __asm__("spi_touch_read");
int spi_touch_write(void *memory) __asm__("spi_touch_write");
/* All that a usual call names but its buffers: two words written, as words, for a load of one would
 * wait for a store of a byte, and the first and last byte of what is read. */
int spi_touch_call(LPDWORD written, LPDWORD written_too, const void *read,
                   const void *read_too) __asm__("spi_touch_call");

/* ioctl_net.c: addresses, interfaces, routes. */
struct spi_net_call {
    struct spi_socket *socket;
    SOCKET s;
    const void *in;
    DWORD in_bytes;
    void *out;
    DWORD out_bytes;
    DWORD *returned_bytes;
    /* How commands that wait give notice; the others do not look. */
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    LPWSATHREADID thread;
    bool notice;
};
/* 0 or a WSA code; WSA_IO_PENDING: notice comes. */
int spi_ioctl_net(const struct spi_net_call *call, DWORD code);

/* ---- addresses (sockaddr.c) ---- */

/* An address of the socket's family, of a peer or group; an AF_INET6 socket's becomes the IPv4
 * address that it maps, :: becomes 0.0.0.0. 0, WSAEFAULT (memory, too short), WSAEAFNOSUPPORT,
 * WSAENETUNREACH (native IPv6) or WSAEADDRNOTAVAIL (mapped, and the socket is for IPv6 only). */
int spi_sockaddr_read(const struct spi_socket *socket, const struct sockaddr *name, int name_bytes,
                      struct rs_addr *out);
/* The same for an address to bind to; what is IPv6 is WSAEADDRNOTAVAIL: this host has no such. */
int spi_sockaddr_read_local(const struct spi_socket *socket, const struct sockaddr *name,
                            int name_bytes, struct rs_addr *out);
/* Is there room for an address of the socket's family? 0 or WSAEFAULT. */
int spi_sockaddr_room(const struct spi_socket *socket, struct sockaddr *name, LPINT name_bytes);
/* An IPv4 socket's, a room that was checked. */
void spi_sockaddr_write_v4(const struct rs_addr *addr, struct sockaddr *name, LPINT name_bytes);
/* In the socket's family, a room that was checked. */
void spi_sockaddr_write(const struct spi_socket *socket, const struct rs_addr *addr,
                        struct sockaddr *name, LPINT name_bytes);
/* An AF_INET6 socket without IPV4's addresses; whoever of those that share it said so. */
bool spi_is_v6_only(const struct spi_socket *socket);
/* What a mapped address maps; 0 for ::. 0, WSAENETUNREACH or, only for IPv6 only,
 * WSAEADDRNOTAVAIL. */
int spi_ipv6_to_ipv4(const IN6_ADDR *in6, bool only, uint32_t *ip_be32);
bool spi_is_multicast(uint32_t ip_be32);

/* ---- blocking hooks (hook.c) ---- */

void spi_hook_install(void); /* at load */
/* Until the event is set, at most timeout_ms (0: for ever), with the hook's turns. 0, WSAETIMEDOUT
 * or WSAEINTR: the hook ends the call. */
int spi_hook_wait(HANDLE event, DWORD timeout_ms);
/* How many threads are inside a blocking hook. Relaxed: each asks about itself only. */
extern _Atomic uint32_t spi_hooks_inside;
bool spi_hook_is_inside_slow(void);
/* Is this thread? Then it may call nothing but WSPCancelBlockingCall. */
static inline bool spi_hook_is_inside(void)
{
    return __builtin_expect(atomic_load_explicit(&spi_hooks_inside, memory_order_relaxed) != 0,
                            0) &&
           spi_hook_is_inside_slow();
}

/* ---- from a SOCKET to its record (handle.c) ---- */

#define SPI_HANDLE_CHUNK_SLOTS 4096u
#define SPI_HANDLE_CHUNKS      4096u /* 2^24 handles, as many as Windows gives one process */
#define SPI_HANDLE_STRIDE      4u

/* struct spi_socket *; partner: spi_handle_find in other threads */
typedef void *_Atomic spi_handle_slot;
extern _Atomic(spi_handle_slot *) spi_handle_chunks[SPI_HANDLE_CHUNKS];

/* NULL: a handle that never was a socket of ours. */
static inline spi_handle_slot *spi_handle_find(SOCKET s)
{
    uintptr_t index = (uintptr_t)s / SPI_HANDLE_STRIDE;
    if (s % SPI_HANDLE_STRIDE != 0 ||
        index >= (uintptr_t)SPI_HANDLE_CHUNKS * SPI_HANDLE_CHUNK_SLOTS) {
        return NULL;
    }
    spi_handle_slot *chunk = atomic_load_explicit(
        &spi_handle_chunks[index / SPI_HANDLE_CHUNK_SLOTS], memory_order_acquire);
    return chunk == NULL ? NULL : &chunk[index % SPI_HANDLE_CHUNK_SLOTS];
}

struct spi_claimed {
    struct spi_socket *socket;
    struct client_socket *core;
    struct client_claim claim;
};
/* The record without a reference, for client_send_claimed and client_recv_claimed; false: no socket
 * of ours. Its words are a socket's, and those of s if the claim turns out to hold.
 * Inline: the lock that follows waits for whatever was stored before it, also for what a function
 * would hand over through memory. */
static inline bool spi_socket_claim(SOCKET s, struct spi_claimed *out)
{
    spi_handle_slot *slot = spi_hook_is_inside() ? NULL : spi_handle_find(s);
    struct spi_socket *socket =
        slot == NULL ? NULL : atomic_load_explicit(slot, memory_order_acquire);
    if (socket == NULL) {
        return false;
    }
    uintptr_t life = atomic_load_explicit(&socket->life, memory_order_acquire);
    *out = (struct spi_claimed){
        .socket = socket,
        .core = atomic_load_explicit(&socket->core, memory_order_acquire),
        .claim = {.place = slot, .record = socket, .life = &socket->life, .life_seen = life}};
    return out->core != NULL;
}

/* ---- the provider's state (startup.c) ---- */

extern WSPUPCALLTABLE spi_upcalls;     /* set by the first WSPStartup, then constant */
extern WSAPROTOCOL_INFOW spi_protocol; /* likewise: the entry that we were started as */
bool spi_started(void);

/* ---- the table (table.c) ---- */

void spi_table_fill(LPWSPPROC_TABLE table);

/* An overlapped call is one that names a completion, on a socket made for it. */
static inline bool spi_is_overlapped(const struct spi_socket *socket, const void *overlapped,
                                     bool has_routine)
{
    return socket->overlapped && (overlapped != NULL || has_routine);
}

/* The entries, by their files. Arguments and errors are those of the WSP pages of the Windows
 * documentation. */
int WSPAPI spi_cleanup(LPINT error);
int WSPAPI spi_cancel_blocking_call(LPINT error);

SOCKET WSPAPI spi_socket_entry(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info,
                               GROUP group, DWORD flags, LPINT error);
int WSPAPI spi_duplicate_socket(SOCKET s, DWORD process_id, LPWSAPROTOCOL_INFOW info, LPINT error);
int WSPAPI spi_bind(SOCKET s, const struct sockaddr *name, int name_bytes, LPINT error);
int WSPAPI spi_connect(SOCKET s, const struct sockaddr *name, int name_bytes, LPWSABUF caller_data,
                       LPWSABUF callee_data, LPQOS socket_qos, LPQOS group_qos, LPINT error);
int WSPAPI spi_close(SOCKET s, LPINT error);
int WSPAPI spi_listen(SOCKET s, int backlog, LPINT error);
SOCKET WSPAPI spi_accept(SOCKET s, struct sockaddr *addr, LPINT addr_bytes,
                         LPCONDITIONPROC condition, DWORD_PTR callback_data, LPINT error);
int WSPAPI spi_send_disconnect(SOCKET s, LPWSABUF data, LPINT error);
int WSPAPI spi_recv_disconnect(SOCKET s, LPWSABUF data, LPINT error);
int WSPAPI spi_shutdown(SOCKET s, int how, LPINT error);
int WSPAPI spi_get_sock_name(SOCKET s, struct sockaddr *name, LPINT name_bytes, LPINT error);
int WSPAPI spi_get_peer_name(SOCKET s, struct sockaddr *name, LPINT name_bytes, LPINT error);
SOCKET WSPAPI spi_join_leaf(SOCKET s, const struct sockaddr *name, int name_bytes,
                            LPWSABUF caller_data, LPWSABUF callee_data, LPQOS socket_qos,
                            LPQOS group_qos, DWORD flags, LPINT error);

int WSPAPI spi_send(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD sent, DWORD flags,
                    LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                    LPWSATHREADID thread, LPINT error);
int WSPAPI spi_send_to(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD sent, DWORD flags,
                       const struct sockaddr *to, int to_bytes, LPWSAOVERLAPPED overlapped,
                       LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread,
                       LPINT error);
int WSPAPI spi_recv(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received, LPDWORD flags,
                    LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                    LPWSATHREADID thread, LPINT error);
int WSPAPI spi_recv_from(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received,
                         LPDWORD flags, struct sockaddr *from, LPINT from_bytes,
                         LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine,
                         LPWSATHREADID thread, LPINT error);

WINBOOL WSPAPI spi_get_overlapped_result(SOCKET s, LPWSAOVERLAPPED overlapped, LPDWORD transferred,
                                         WINBOOL wait, LPDWORD flags, LPINT error);

int WSPAPI spi_select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
                      const PTIMEVAL timeout, LPINT error);
int WSPAPI spi_event_select(SOCKET s, WSAEVENT event, long mask, LPINT error);
int WSPAPI spi_enum_network_events(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS out, LPINT error);
int WSPAPI spi_async_select(SOCKET s, HWND window, unsigned int message, long mask, LPINT error);
INT WSAAPI spi_poll(LPWSAPOLLFD fds, ULONG count, INT timeout_ms); /* WSAPoll */
int WSPAPI spi_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes,
                     LPDWORD returned_bytes, LPWSAOVERLAPPED overlapped,
                     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error);
int WSPAPI spi_get_sock_opt(SOCKET s, int level, int name, char *value, LPINT value_bytes,
                            LPINT error);
int WSPAPI spi_set_sock_opt(SOCKET s, int level, int name, const char *value, int value_bytes,
                            LPINT error);
WINBOOL WSPAPI spi_get_qos_by_name(SOCKET s, LPWSABUF name, LPQOS qos, LPINT error);
INT WSPAPI spi_address_to_string(LPSOCKADDR address, DWORD address_bytes, LPWSAPROTOCOL_INFOW info,
                                 LPWSTR string, LPDWORD string_chars, LPINT error);
INT WSPAPI spi_string_to_address(LPWSTR string, INT family, LPWSAPROTOCOL_INFOW info,
                                 LPSOCKADDR address, LPINT address_bytes, LPINT error);

/* options.c, for ioctl.c, options_stream.c */
int spi_option_set(struct spi_socket *socket, uint32_t option, uint32_t value);
/* Stores an answer of bytes; a buffer that is too small is told the size it needs. */
int spi_option_answer(char *value, LPINT value_bytes, const void *result, int bytes);
/* Memberships, by their names at level IPPROTO_IP; WSAENOPROTOOPT: none of them. */
int spi_member_set(struct spi_socket *socket, int name, const char *value, int value_bytes);
uint32_t spi_interface_by_index(ULONG index); /* in the form 0.x.x.x */
/* Puts an interface's primary address in the place of its index in that form; an address, and 0,
 * stay. WSAEADDRNOTAVAIL: there is no such interface. */
int spi_interface_resolve(const struct spi_socket *socket, uint32_t *interface_be32);
/* options_stream.c: options that only streams have. WSAENOPROTOOPT: none of them. */
int spi_stream_option_set(struct spi_socket *socket, int level, int name, const char *value,
                          int value_bytes);
int spi_stream_option_get(struct spi_socket *socket, int level, int name, char *value,
                          LPINT value_bytes);
/* options_kept.c: options that only the provider knows, or that have one value; WSAENOPROTOOPT:
 * none of them. */
int spi_kept_option_set(struct spi_socket *socket, int level, int name, const char *value,
                        int value_bytes);
int spi_kept_option_get(struct spi_socket *socket, int level, int name, char *value,
                        LPINT value_bytes);
/* What the core does not know of a listener's options becomes the accepted socket's. */
void spi_options_inherit(struct spi_socket *socket, const struct spi_socket *listener);
static inline uint32_t spi_kept(const struct spi_socket *socket, enum spi_kept which)
{
    return atomic_load_explicit(&socket->kept[which], memory_order_relaxed);
}
/* options_state.c: what is read from the socket's state; WSAENOPROTOOPT: none of them. */
int spi_state_option_get(struct spi_socket *socket, int level, int name, char *value,
                         LPINT value_bytes);
bool spi_is_bound(struct spi_socket *socket);
/* options_ipv6.c: level IPPROTO_IPV6 of AF_INET6 sockets. */
int spi_ipv6_option_set(struct spi_socket *socket, int name, const char *value, int value_bytes);
int spi_ipv6_option_get(struct spi_socket *socket, int name, char *value, LPINT value_bytes);
/* extension_context.c: SO_UPDATE_ACCEPT_CONTEXT and SO_UPDATE_CONNECT_CONTEXT. */
int spi_context_update(struct spi_socket *socket, int name, const char *value, int value_bytes);
static inline enum spi_context spi_context(const struct spi_socket *socket)
{
    /* Acquire, partner extension_*.c in the helper: the connection was there before. */
    return (enum spi_context)atomic_load_explicit(&socket->context, memory_order_acquire);
}
/* accept.c, for select.c and handle.c: a connection waits that was put off; no other will be, those
 * that were are reset. */
bool spi_accept_waits(const struct spi_socket *listener);
void spi_accept_close(struct spi_socket *listener);

#endif
