/* What fake_dataplane.c and its streams (fake_stream.c) share. */
#ifndef RINGSOCK_TESTS_SUPPORT_FAKE_INTERNAL_H
#define RINGSOCK_TESTS_SUPPORT_FAKE_INTERNAL_H

#include "tests/support/fake_dataplane.h"

#define FIRST_PORT 49152u

struct fake_channel {
    bool open;
    bool wake; /* a hint or reply went there in this iteration */
    struct slot_consumer requests;
    struct hint_producer hints;
    struct rs_reply *replies;
    struct rs_tcp_info *info;
    struct wakeup_signaller wakeup;
    struct os_event event;
};

enum fake_stream_phase {
    FAKE_STREAM_IDLE,
    FAKE_STREAM_LISTENING,
    FAKE_STREAM_CONNECTING,
    FAKE_STREAM_CONNECTED,
    FAKE_STREAM_OVER
};

/* One end of a connection, or a listener (whose accept ring is fake_socket.recv). */
struct fake_stream {
    enum fake_stream_phase phase;
    struct fake_socket *other;    /* the other end; NULL: gone */
    struct fake_socket *listener; /* an accepted one's, until it was accepted */
    uint32_t accept_position;     /* of its record there */
    uint32_t backlog;
    struct stream_reader out;
    struct stream_writer in;
    uint32_t edge; /* right edge of the window that the other end knows */
    uint32_t level, connects, resets, urgents;
    bool fin_wanted, fin_sent, shut_recv, orphan;
    bool notify_stored; /* look at recv_head behind the fence */
};

struct fake_socket {
    uint32_t generation; /* 0: free */
    bool bound;
    uint32_t type; /* enum rs_socket_type */
    struct rs_addr local, peer;
    struct dgram_writer recv;
    struct dgram_send_reader send;
    bool posted, touched;
    struct fake_stream stream;
    uint32_t post_position, post_channel, happened, arm_seen, last_generation, errors;
};

struct fake {
    struct fake_config config;
    struct rs_session_plan plan;
    uint8_t *extents[4]; /* page-aligned, in blocks */
    uint8_t *blocks[4];
    uint64_t sizes[4];
    struct rs_session_header *header;
    struct rs_socket_state *states;
    struct rs_socket_desc *descs;
    struct rs_socket_client *clients;
    struct rs_channel_state *channel_states;
    struct rs_channel_client *channel_clients;
    struct rs_queue_state *queue;
    uint32_t hints_off, replies_off, info_off, requests_off;
    struct fake_channel channels[RS_CHANNELS_MAX];
    struct fake_socket *sockets;
    struct os_mutex mutex;
    struct os_thread thread;
    rs_atomic_u32 stop, pause, paused, stalled, dead;
    bool corrupt_desc, refuse_close;
    struct fake_counts counts;
    uint16_t next_port;
};

/* fake_dataplane.c */
struct fake_socket *fake_by_port(struct fake *fake, uint32_t type, uint16_t port_be16);
void fake_happened(struct fake_socket *socket, uint32_t events);
void fake_raise(struct fake *fake, struct fake_socket *socket, enum rs_status error);
enum rs_status fake_open(struct fake *fake, uint32_t type, struct rs_open_reply *reply);
void fake_free(struct fake *fake, struct fake_socket *socket);
void fake_publish_desc(struct fake *fake, struct fake_socket *socket);
enum rs_status fake_choose_port(struct fake *fake, struct fake_socket *socket);

static inline uint32_t fake_idx(const struct fake *fake, const struct fake_socket *socket)
{
    return (uint32_t)(socket - fake->sockets);
}

/* fake_stream.c */
enum rs_status fake_stream_control(struct fake *fake, struct fake_socket *socket,
                                   const struct rs_request *request);
enum rs_status fake_stream_info(struct fake *fake, const struct fake_socket *socket,
                                struct rs_tcp_info *info);
void fake_stream_tail(struct fake *fake, struct fake_socket *socket, uint32_t tail, bool urgent);
void fake_stream_consumed(struct fake *fake, struct fake_socket *socket);
void fake_stream_fail(struct fake *fake, struct fake_socket *socket, enum rs_status error);
/* Each iteration: connections that are under way, ends, what waits for room. */
void fake_stream_step(struct fake *fake);
/* Behind the fence. */
void fake_stream_settle(struct fake *fake, struct fake_socket *socket);

#endif
