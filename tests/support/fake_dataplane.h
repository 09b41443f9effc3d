/*
 * A small dataplane for tests of provider/client: one thread that serves the rings with the real
 * ring code, and a link that hands its memory to the client as it is. One mapping for both sides,
 * so that thread sanitizers see every access; and it can be told to do what a healthy dataplane
 * never does. Datagrams go from socket to socket by port, whatever the address; nothing else of UDP
 * is here. Streams are joined end to end, with windows, orphans and resets, but no segments; a
 * connection to FAKE_SILENT_BE32 stays under way for ever.
 */
#ifndef RINGSOCK_TESTS_SUPPORT_FAKE_DATAPLANE_H
#define RINGSOCK_TESTS_SUPPORT_FAKE_DATAPLANE_H

#include "provider/client/client_internal.h"

#define FAKE_SILENT_BE32 0x0100000au /* 10.0.0.1 */
#define FAKE_MSS         1234u       /* of any connection, as TCP_INFO has it */

struct fake_config {
    uint32_t limit_sockets, limit_channels;
    uint32_t recv_ring_bytes, send_ring_bytes;
    uint32_t spin_us;
    uint32_t mtu_bytes;
    uint32_t ip_be32;
    bool stale_events; /* every third iteration answers every arming, whether anything happened or
                          not */
    uint32_t channels_refused; /* CHANNEL_OPEN is answered RS_NO_BUFFERS while this many are open;
                                  0: never */
};

struct fake;

extern const struct fake_config fake_defaults;

struct fake *fake_create(const struct fake_config *config);
/* The client must be closed. */
void fake_destroy(struct fake *fake);
/* One attach. */
struct client_link fake_link(struct fake *fake);
/* Stops consuming (the heartbeat goes on) until fake_resume. Returns when the thread has stopped.
 */
void fake_pause(struct fake *fake);
/* The same, and the heartbeat stops too. */
void fake_stall(struct fake *fake);
void fake_resume(struct fake *fake);
/* The process "ends": heartbeat and service stop, the OS says it is gone, events break. */
void fake_die(struct fake *fake);
void fake_poison(struct fake *fake, enum rs_status why);
/* The NIC's link goes down, or comes up again: its address does. */
void fake_switch_link(struct fake *fake);
/* An asynchronous error for the socket bound to a port. */
void fake_error(struct fake *fake, uint16_t port_be16, enum rs_status error);
/* The connection, or the attempt, of the stream socket that holds a port is over. */
void fake_stream_error(struct fake *fake, uint16_t port_be16, enum rs_status error);
/* Answers CHANNEL_CLOSE with a refusal from now on and keeps the channel, as a dataplane does that
 * is ending the session. */
void fake_refuse_close(struct fake *fake);
/* Damages what BIND's descriptor says from now on. */
void fake_corrupt_desc(struct fake *fake);

struct fake_counts {
    uint64_t inline_sends, ring_sends, posts, level_takes, signals, consumed, take_backs;
    uint64_t iterations;
    uint32_t channels_open, sockets_open;
};
/* Of now; the thread is stopped while they are copied. */
void fake_count(struct fake *fake, struct fake_counts *out);

#endif
