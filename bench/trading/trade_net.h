/*
 * The little that the trading programs want from a network, written once, with three
 * implementations chosen at link time: net_client.c (Ringsock's portable client), net_posix.c
 * (kernel sockets), net_winsock.c (the Winsock API, over Ringsock or over the system). Sockets are
 * UDP or TCP over IPv4 and non-blocking; a program waits with trade_net_wait. One thread.
 *
 * Errors: functions that can fail return false (or TRADE_NET_FAILED) and leave a text that says
 * which call failed and why, for trade_net_error.
 */
#ifndef RINGSOCK_BENCH_TRADING_TRADE_NET_H
#define RINGSOCK_BENCH_TRADING_TRADE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trade_net;
struct trade_socket;

struct trade_addr { /* host byte order */
    uint32_t ip;
    uint16_t port;
};

enum { TRADE_NET_NOTHING = -1, TRADE_NET_FAILED = -2 };
enum { TRADE_NET_SOCKETS_MAX = 128 };

/* instance: the dataplane's name, NULL for the default; ignored over the kernel. */
bool trade_net_open(const char *instance, struct trade_net **out);
void trade_net_close(struct trade_net *net); /* with every socket */
const char *trade_net_error(void);
/* What carries the socket's data, for people: "Ringsock client, loopback", "Linux kernel". */
const char *trade_net_path(const struct trade_socket *socket);

/* A socket bound to local (ip 0: any, port 0: ephemeral). buffer_bytes: receive buffer asked for,
 * 0: default. shared: several programs may bind the port (multicast). */
bool trade_net_udp(struct trade_net *net, struct trade_addr local, uint32_t buffer_bytes,
                   bool shared, struct trade_socket **out);
/* Joins group on the network whose address is interface_ip (0: default). */
bool trade_net_join(struct trade_socket *socket, uint32_t group, uint32_t interface_ip);
/* Where multicasts of this socket leave, and that local members get them too. */
bool trade_net_multicast_from(struct trade_socket *socket, uint32_t interface_ip);
/* Bytes sent, TRADE_NET_NOTHING when there is no room now, TRADE_NET_FAILED. */
int trade_net_send(struct trade_socket *socket, const void *data, size_t bytes,
                   struct trade_addr to);
/* Bytes of the next datagram, TRADE_NET_NOTHING, TRADE_NET_FAILED. from may be NULL. A datagram
 * longer than capacity counts as failed. */
int trade_net_recv(struct trade_socket *socket, void *data, size_t capacity,
                   struct trade_addr *from);

/* TCP, with NODELAY. A listener: backlog connections may wait. */
bool trade_net_listen(struct trade_net *net, struct trade_addr local, uint32_t backlog,
                      struct trade_socket **out);
/* 0 and the next connection that waits, TRADE_NET_NOTHING, TRADE_NET_FAILED. */
int trade_net_accept(struct trade_socket *listener, struct trade_socket **out);
/* Begins to connect; trade_net_connected tells when it is done: 0, TRADE_NET_NOTHING,
 * TRADE_NET_FAILED. */
bool trade_net_connect(struct trade_net *net, struct trade_addr peer, struct trade_socket **out);
int trade_net_connected(struct trade_socket *socket);
/* Bytes taken, maybe fewer than given; TRADE_NET_NOTHING, TRADE_NET_FAILED. */
int trade_net_write(struct trade_socket *socket, const void *data, size_t bytes);
/* Bytes read, 0 at the peer's orderly end, TRADE_NET_NOTHING, TRADE_NET_FAILED. */
int trade_net_read(struct trade_socket *socket, void *data, size_t capacity);
/* Ends the peer's stream behind what was written. */
bool trade_net_shutdown(struct trade_socket *socket);

/* Until a socket is readable (a listener: may accept) or timeout_us passed. ready[i] tells about
 * sockets[i]; at most TRADE_NET_SOCKETS_MAX. False: failed. */
bool trade_net_wait(struct trade_net *net, struct trade_socket *const *sockets, uint32_t count,
                    uint32_t timeout_us, bool *ready);
/* Datagrams this socket lost because its receive buffer was full; UINT64_MAX: the system does not
 * say. */
uint64_t trade_net_dropped(const struct trade_socket *socket);

#endif
