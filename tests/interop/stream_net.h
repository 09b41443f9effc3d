/*
 * What stream_side wants from stream sockets, written once: stream_net_client.c over Ringsock's
 * portable client (native), stream_net_winsock.c over the Winsock API on ringsock.dll. One thread.
 *
 * A call that fails returns NET_FAILED (or NULL) and leaves the error's name as Winsock spells it
 * for net_error.
 */
#ifndef RINGSOCK_TESTS_INTEROP_STREAM_NET_H
#define RINGSOCK_TESTS_INTEROP_STREAM_NET_H

#include <stdbool.h>
#include <stdint.h>

struct net_socket;

enum { NET_OK = 0, NET_FAILED = -1, NET_WAIT = -2 };

enum net_option {
    NET_BLOCKING, /* 0 or 1; a new socket does not block */
    NET_RECV_BYTES,
    NET_SEND_BYTES,
    NET_NODELAY,
    NET_LINGER_S, /* 0: close resets */
    NET_KEEPALIVE,
    NET_KEEP_IDLE_S,
    NET_KEEP_INTERVAL_S,
    NET_KEEP_COUNT,
    NET_USER_TIMEOUT_MS, /* unacknowledged data, or a SYN, for so long ends the connection */
    NET_OOB_INLINE,
    NET_OPTIONS
};

enum { NET_SHUT_RECV = 1, NET_SHUT_SEND = 2, NET_SHUT_BOTH = 3 };
enum { NET_READ = 1, NET_WRITE = 2, NET_EXCEPT = 4 };

struct net_item {
    struct net_socket *socket;
    uint32_t want, ready; /* NET_READ ... */
};

int net_open(void);
void net_close(void);
const char *net_error(void); /* of the last call that failed: "WSAECONNRESET" */

struct net_socket *net_socket_new(void);
int net_socket_close(struct net_socket *socket);
int net_set(struct net_socket *socket, enum net_option option, uint32_t value);
int net_bind(struct net_socket *socket, uint16_t port);
/* One that does not block: NET_WAIT; then NET_WRITE or NET_EXCEPT, and net_connect_result. */
int net_connect(struct net_socket *socket, uint32_t ip_be32, uint16_t port);
/* NET_OK when it succeeded, else NET_FAILED. */
int net_connect_result(struct net_socket *socket);
int net_listen(struct net_socket *socket, uint32_t backlog);
int net_accept(struct net_socket *listener, struct net_socket **out);
/* Bytes, NET_WAIT, NET_FAILED. Receiving 0: the peer's end. urgent: one byte, out of band. */
int net_send(struct net_socket *socket, const void *data, uint32_t bytes, bool urgent);
int net_recv(struct net_socket *socket, void *data, uint32_t bytes, bool urgent);
int net_shutdown(struct net_socket *socket, uint32_t how);
int net_at_mark(struct net_socket *socket); /* 0, 1 or NET_FAILED */
int net_local_port(struct net_socket *socket);
/* Until an item is ready or the time has passed. */
int net_wait(struct net_item *items, uint32_t count, uint32_t timeout_ms);

#endif
