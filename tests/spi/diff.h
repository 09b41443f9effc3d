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
#define DIFF_CALLS_MAX 96u
#define DIFF_PENDING   4u
#define DIFF_WAIT_MS   2000

/* ---- the model of a sequence's sockets (diff_model.c) ---- */

/* One direction of a connection. */
struct diff_pipe {
    uint32_t sent, taken; /* bytes */
    bool fin, reset;      /* behind what was sent */
    bool urgent;          /* had urgent data: what can be read is not counted any more */
};

/* A connection: end 0 connected, end 1 was accepted. pipes[n] is what end n sends. */
struct diff_link {
    struct diff_pipe pipes[2];
    bool gone[2]; /* that end is closed */
};

enum diff_type { DIFF_NONE, DIFF_UDP, DIFF_TCP };

struct diff_slot {
    SOCKET s;
    enum diff_type type;
    bool bound, listening, connected, failed, shut_recv, shut_send, aborts, strange;
    bool watched; /* has a mask of network events: stays non-blocking */
    u_short port_be16, peer_port_be16;
    struct diff_link *link; /* TCP, connected */
    unsigned side;
    struct diff_link *pending[DIFF_PENDING]; /* listener: not yet accepted, in order */
    u_short pending_port[DIFF_PENDING];
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
/* The slot is closed: what its peer will see. */
void diff_model_closed(struct diff_slot *slot);
/* Exactly one UDP slot has the port: with more, who receives is nobody's promise, and a closed port
 * answers when it likes. */
bool diff_port_served(u_short port_be16);
/* A datagram from `from` went to port `to`. */
void diff_model_datagram(const struct diff_slot *from, u_short to_be16);

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

/* Which slot a call is for. */
enum diff_wants { WANTS_ANY, WANTS_TCP, WANTS_LISTENER, WANTS_UDP };

struct diff_kind {
    const char *name;
    void (*run)(unsigned slot, unsigned other);
    enum diff_wants wants;
    uint8_t weights[4]; /* how often in a plan about UDP, TCP, options, multicast */
};

extern const struct diff_kind diff_kinds_socket[], diff_kinds_io[], diff_kinds_option[],
    diff_kinds_event[];
extern const unsigned diff_kinds_socket_count, diff_kinds_io_count, diff_kinds_option_count,
    diff_kinds_event_count;

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
void diff_listen(unsigned slot, unsigned other);
void diff_connect(unsigned slot, unsigned other);
void diff_accept(unsigned slot, unsigned other);

SOCKADDR_IN diff_at(uint32_t ip, u_short port_be16); /* ip in host order */
SOCKET diff_handle(unsigned slot); /* what a call is given: INVALID_SOCKET when empty */
void diff_nonblocking(SOCKET s, u_long on);

#endif
