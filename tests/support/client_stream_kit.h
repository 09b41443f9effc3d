/* What the cases of stream sockets share: sockets, bytes that say where they belong. Main thread,
 * cmocka's asserts. */
#ifndef RINGSOCK_TESTS_SUPPORT_CLIENT_STREAM_KIT_H
#define RINGSOCK_TESTS_SUPPORT_CLIENT_STREAM_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "provider/client/client.h"
#include "rings/byteorder.h"

#define STREAM_LOCALHOST rs_be32(0x7f000001u)
#define STREAM_WAIT_NS   20000000000ull /* for something that must come */
#define STREAM_POLL_ALL \
    (RS_LEVEL_READABLE | RS_LEVEL_WRITABLE | RS_LEVEL_END | RS_LEVEL_ERROR | CLIENT_POLL_URGENT)

extern struct client *stream_client;

/* A rig with its defaults, one client. */
int stream_setup(void **state);
int stream_teardown(void **state);
struct client_socket *stream_make(void);
/* Bound to a free port of 127.0.0.1; a listener has a backlog of 16. */
struct client_socket *stream_make_bound(struct rs_addr *local);
struct client_socket *stream_make_listener(struct rs_addr *local);
/* Both ends of a connection: who connects, who is accepted. */
void stream_make_pair(struct client_socket *listener, const struct rs_addr *to,
                      struct client_socket *ends[2]);
enum rs_status stream_send_flags(struct client_socket *socket, const void *data, size_t bytes,
                                 uint32_t flags, size_t *sent);
void stream_send_all(struct client_socket *socket, const void *data, size_t bytes);
enum rs_status stream_recv_flags(struct client_socket *socket, void *data, size_t bytes,
                                 uint32_t flags, size_t *got);
/* Exactly these bytes come next. */
void stream_expect(struct client_socket *socket, const char *text);
enum rs_status stream_recv_byte(struct client_socket *socket, size_t *got);
uint32_t stream_poll(struct client_socket *socket, uint32_t want, uint64_t timeout_ns);
void stream_set(struct client_socket *socket, uint32_t option, uint32_t value);
/* Bytes of a stream from a position on, made and checked. */
void stream_fill(uint8_t *data, uint32_t position, size_t bytes);
void stream_check(const uint8_t *data, uint32_t position, size_t bytes);
/* Takes and checks everything that is there; returns the new position. */
uint32_t stream_drain(struct client_socket *socket, uint32_t position, size_t chunk_bytes);

#endif
