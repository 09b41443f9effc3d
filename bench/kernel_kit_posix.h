/*
 * What the baselines over the kernel's TCP share: sockets with the options that both sides have
 * (NODELAY), CUBIC said, and the payloads of payload.h. Any thread.
 */
#ifndef RINGSOCK_BENCH_KERNEL_KIT_POSIX_H
#define RINGSOCK_BENCH_KERNEL_KIT_POSIX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"

enum { KERNEL_TIMEOUT_S = 5 };

/* Writes why into context->error, with errno. Returns false. */
bool kernel_tcp_fail(struct bench_context *context, const char *call);
/* A listener on 127.0.0.1 and where it is. -1: errno. */
int kernel_tcp_listen(int backlog, struct sockaddr_in *addr);
/* A connection, with options; it blocks until it is there. -1: errno. */
int kernel_tcp_connect(const struct sockaddr_in *addr);
/* The next one of a listener, with options. -1: errno. */
int kernel_tcp_accept(int listener);
/* Both ends of a connection, ends[0] the connecting one. False: errno. */
bool kernel_tcp_pair(int ends[2]);
/* One payload in one send call. */
bool kernel_tcp_put(int fd, uint64_t seq);
/* Receives 64 bytes, in one call unless they came in pieces, and checks them. flags: MSG_DONTWAIT
 * polls. */
bool kernel_tcp_get(int fd, uint64_t seq, int flags);

#endif
