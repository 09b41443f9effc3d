/*
 * The differential test: one program that plays random Winsock calls from a seed, linked with
 * host_winsock (Ringsock's provider) and with the system's ws2_32, and what its files share. Every
 * call is one line of the trace; diff_compare.py finds the first line that differs. One thread.
 *
 * What a sequence does depends on the seed alone: each call draws what it needs from a generator of
 * its own, so that the calls that stay do the same when others are left out. A model of the sockets
 * says what has to be visible before a call looks; that is waited for, by name and for a bounded
 * time.
 */
#ifndef RINGSOCK_TESTS_SPI_DIFF_H
#define RINGSOCK_TESTS_SPI_DIFF_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <mstcpip.h>
#include <mswsock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/random.h"

#define DIFF_SLOTS     8u
#define DIFF_CALLS_MAX 112u
#define DIFF_PENDING   4u
#define DIFF_GROUPS    2u
#define DIFF_WAIT_MS   2000
#define DIFF_MUST_MS   20000 /* for what comes in any sequence */

/* ---- the model of a sequence's sockets (diff_model.c) ---- */

/* One direction of a connection. */
struct diff_pipe {
    uint32_t sent, taken; /* bytes */
    bool fin, reset;      /* behind what was sent */
    bool urgent;          /* had urgent data: what can be read is not counted any more */
    bool urgent_waits;    /* the last of it was not received as such */
};

/* A connection: end 0 connected, end 1 was accepted. pipes[n] is what end n sends. */
struct diff_link {
    struct diff_pipe pipes[2];
    bool gone[2]; /* that end is closed */
    bool deaf[2]; /* that end did SD_RECEIVE: what arrives there resets */
};

enum diff_type { DIFF_NONE, DIFF_UDP, DIFF_TCP };

struct diff_slot {
    SOCKET s;
    enum diff_type type;
    bool bound, listening, connected, failed, shut_recv, shut_send, aborts, strange;
    bool watched;       /* has a mask of network events: stays non-blocking */
    bool six;           /* AF_INET6, in dual mode */
    bool no_context;    /* ConnectEx without SO_UPDATE_CONNECT_CONTEXT */
    ULONG_PTR port_key; /* of its completion port; 0: none */
    bool specific;      /* bound to an address, not to any */
    /* UDP: bit n: a member of the group n of diff_group, for any source, and for each of two. */
    unsigned joined_any, joined_from[2];
    bool sourced;    /* UDP: has sources that it wants or not */
    unsigned held;   /* UDP: the same while it was one, and bound to an address */
    unsigned strays; /* UDP: something went to its port and group n while it was no member */
    u_short port_be16, peer_port_be16;
    struct diff_link *link; /* TCP, connected */
    unsigned side;
    struct diff_link *pending[DIFF_PENDING]; /* listener: not yet accepted, in order */
    unsigned pending_count;
    unsigned queued;   /* UDP: datagrams that wait */
    unsigned messages; /* UDP: sent so far, for their contents */
};

extern struct diff_slot diff_slots[DIFF_SLOTS];
extern unsigned
    diff_made[DIFF_SLOTS]; /* sockets that were made for the slot, or should have been */
/* Where multicast sent on the loopback interface comes from: $DIFF_OWN, else 127.0.0.1. For
 * Ringsock that interface is its NIC. */
extern uint32_t diff_own;

void diff_model_reset(void); /* closes what is open */
struct diff_link *diff_link_new(void);
struct diff_pipe *diff_pipe_in(const struct diff_slot *slot); /* NULL without a connection */
struct diff_pipe *diff_pipe_out(const struct diff_slot *slot);
uint32_t diff_unread(const struct diff_slot *slot);
/* Updates bound and the port from getsockname, which changes nothing. */
void diff_learn_name(unsigned slot);
/* The slot's end of its connection is over; the slot is closed: what its peer will see. */
void diff_link_ends(struct diff_slot *slot);
void diff_model_closed(struct diff_slot *slot);
/* Exactly one UDP slot has the port: with more, who receives is nobody's promise, and a closed port
 * answers when it likes. */
bool diff_port_served(u_short port_be16);
/* A datagram from `from` went to port `to`. */
void diff_model_datagram(const struct diff_slot *from, u_short to_be16);

/* Group n < DIFF_GROUPS, in host order. */
uint32_t diff_group(unsigned n);
unsigned diff_joined(const struct diff_slot *slot); /* bit n: in one way or another */

/* ---- waits (diff_model.c) ---- */

void diff_barrier_open(void);
void diff_barrier_close(void);
/* All that earlier calls caused is there, as far as the model knows; a wait that ends without it
 * is noted in the trace. */
void diff_settle(struct diff_slot *slot);
bool diff_selects(SOCKET s, int set, int most_ms); /* 0 read, 1 write, 2 except */

/* What the sender did, and what the receiver has taken. */
void diff_model_sent(struct diff_slot *slot, uint32_t bytes, DWORD flags);
void diff_model_received(struct diff_slot *slot, uint32_t bytes);

/* ---- the trace (diff_trace.c) ---- */

void diff_trace_open(const char *path);
void diff_trace_close(void);
void diff_trace_seed(uint64_t seed); /* forgets the ports */
/* From now on the port is called after the slot and how many sockets it has had. */
void diff_name_port(u_short port_be16, unsigned slot);
void diff_line_begin(unsigned index);
void diff_line_end(void);
void diff_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Goes to the line's end: what was waited for and did not come. */
void diff_note_wait(const char *what);
/* The line is about this slot and the other end of its connection; says its name and state. */
void diff_say_slot(unsigned slot);
void diff_touch(unsigned slot);
void diff_say_error(int error);
/* " => ok", " => 12" or " => WSAE..."; returns whether it succeeded. */
bool diff_say_result(int result);
void diff_say_flags(DWORD flags);
void diff_say_addr(const SOCKADDR_IN *in, int bytes);
void diff_say_bytes(const void *data, size_t bytes); /* their number and sum */

/* ---- the calls ---- */

/* An overlapped operation, and who tells of its end (diff_overlapped.c). */
enum diff_way { DIFF_BY_EVENT, DIFF_BY_PORT, DIFF_BY_ROUTINE };

struct diff_op {
    WSAOVERLAPPED overlapped;
    unsigned slot; /* whose port tells */
    enum diff_way way;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
};

/* By the port of the slot's socket if it has one, else by an event. */
struct diff_op *diff_op_make(unsigned slot);
/* One that has not ended, which the model did not expect, keeps its memory. */
void diff_op_drop(struct diff_op *op);
const char *diff_way_name(const struct diff_op *op);
/* Says what the call returned; whether there will be an end to wait for. */
bool diff_op_begun(bool done);
/* Waits for the end and says it, then asks. True: it succeeded, with so many bytes. */
bool diff_op_ends(struct diff_op *op, SOCKET s, DWORD *bytes);
/* CreateIoCompletionPort, for sockets (diff_port.c). */
HANDLE diff_completion_port(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);

/* ---- between the calls' files ---- */

/* An address as a slot's socket has it (diff_name.c). */
struct diff_name {
    union {
        struct sockaddr any;
        SOCKADDR_IN in;
        SOCKADDR_IN6 six;
        char room[64];
    } is;
};

/* The address in the socket's family; the bytes to pass for `bytes` of an IPv4 one. */
int diff_name_to(unsigned slot, const SOCKADDR_IN *in, int bytes, struct diff_name *out);
int diff_name_room(unsigned slot, int bytes); /* the same, of room for one */
/* Back; AF_UNSPEC for what is neither mapped nor any. Returns what `bytes` are of an IPv4 one. */
int diff_name_from(unsigned slot, const struct diff_name *name, int bytes, SOCKADDR_IN *in);
/* Where a socket is told: as getsockname, getpeername say it. */
typedef int(WSAAPI *diff_namer)(SOCKET s, struct sockaddr *name, int *bytes);
/* Says the result and the name, for `room` bytes of an IPv4 one; whether it succeeded. */
bool diff_say_name(unsigned slot, diff_namer namer, int room);
/* The socket for the slot: of AF_INET6 now and then, when the plan has such. */
SOCKET diff_socket(unsigned slot, int type, int protocol);
extern bool diff_plan_six;

/* Find the extension functions. */
void diff_ext_open(void);
void diff_message_open(void);
void diff_ext_find(SOCKET s, GUID id, void *function, DWORD bytes);
/* Closes what stands there, in the same line. */
void diff_vacate(unsigned slot);
/* What connect's and accept's ends mean to the model; the first waits for it. */
void diff_connect_ends(unsigned slot, unsigned listener_slot);
void diff_model_connected(unsigned slot, unsigned listener_slot);
void diff_model_accepted(unsigned slot, unsigned listener_slot, SOCKET s);
/* What the slot sends next (diff_io.c), and who has the connection's other end, or NULL. */
void diff_fill_stream(const struct diff_slot *slot, void *data, uint32_t bytes);
struct diff_slot *diff_stream_peer(const struct diff_slot *slot);

/* Which slot a call is for. */
enum diff_wants { WANTS_ANY, WANTS_TCP, WANTS_LISTENER, WANTS_UDP };

struct diff_kind {
    const char *name;
    void (*run)(unsigned slot, unsigned other);
    enum diff_wants wants;
    uint8_t weights[4]; /* how often in a plan about UDP, TCP, options, multicast */
};

extern const struct diff_kind diff_kinds_socket[], diff_kinds_io[], diff_kinds_option[],
    diff_kinds_event[], diff_kinds_overlapped[], diff_kinds_ext[], diff_kinds_message[];
extern const unsigned diff_kinds_socket_count, diff_kinds_io_count, diff_kinds_option_count,
    diff_kinds_event_count, diff_kinds_overlapped_count, diff_kinds_ext_count,
    diff_kinds_message_count;

/* A number below bound from the running call's own generator. */
uint32_t diff_pick(uint32_t bound);
/* One of the arguments. */
#define DIFF_ONE_OF(type, ...) \
    (((const type[]){          \
        __VA_ARGS__})[diff_pick((uint32_t)(sizeof((const type[]){__VA_ARGS__}) / sizeof(type)))])

/* What a set-up calls directly, as a plan's calls do. */
void diff_new_udp(unsigned slot, unsigned other);
void diff_new_tcp(unsigned slot, unsigned other);
void diff_bind_loopback(unsigned slot, unsigned other);
void diff_bind_any(unsigned slot, unsigned other);
void diff_join(unsigned slot, unsigned other);
void diff_event_select(unsigned slot, unsigned other);
void diff_enum_events(unsigned slot, unsigned other);
void diff_select_accept(unsigned slot, unsigned other);
void diff_poll(unsigned slot, unsigned other);
void diff_name(unsigned slot, unsigned other);
void diff_shutdown(unsigned slot, unsigned other);
void diff_send_to(unsigned slot, unsigned other);
void diff_send(unsigned slot, unsigned other);
void diff_recv(unsigned slot, unsigned other);
void diff_connect_ex(unsigned slot, unsigned other);
void diff_disconnect_ex(unsigned slot, unsigned other);
void diff_abort(unsigned slot, unsigned other);
void diff_get_error(unsigned slot, unsigned other);
void diff_send_urgent(unsigned slot, unsigned other);
void diff_at_mark(unsigned slot, unsigned other);
void diff_listen(unsigned slot, unsigned other);
void diff_connect(unsigned slot, unsigned other);
void diff_accept(unsigned slot, unsigned other);

SOCKADDR_IN diff_at(uint32_t ip, u_short port_be16); /* ip in host order */
SOCKET diff_handle(unsigned slot); /* what a call is given: INVALID_SOCKET when empty */
void diff_nonblocking(SOCKET s, u_long on);

#endif
