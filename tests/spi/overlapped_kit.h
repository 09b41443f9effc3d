/* Overlapped calls for the cases: one operation with its buffer, and how its end is waited for.
 * Test thread. */
#ifndef RINGSOCK_TESTS_SPI_OVERLAPPED_KIT_H
#define RINGSOCK_TESTS_SPI_OVERLAPPED_KIT_H

#include "tests/spi/spi_test.h"

#define OVERLAPPED_SOON_MS 10000u

struct overlapped_op {
    WSAOVERLAPPED o; /* first: a routine or a port finds the rest by it */
    char data[64];
    WSABUF buffer;
    DWORD flags, transferred;
    /* what the routine was told */
    unsigned routine_calls;
    DWORD routine_thread, routine_code, routine_bytes, routine_flags;
};

/* With an event of its own, closed by overlapped_drop. */
void overlapped_make(struct overlapped_op *op);
void overlapped_drop(struct overlapped_op *op);
/* Into the operation's buffer (sizeof data), or from it. The call's result, error in spi_error. */
int overlapped_recv(SOCKET s, struct overlapped_op *op);
int overlapped_recv_routine(SOCKET s, struct overlapped_op *op);
int overlapped_send(SOCKET s, struct overlapped_op *op, const char *text);
int overlapped_send_to(SOCKET s, struct overlapped_op *op, const char *text, const SOCKADDR_IN *to);
/* Fails unless it has ended within OVERLAPPED_SOON_MS with this code; bytes in op->transferred. */
void overlapped_ends(SOCKET s, struct overlapped_op *op, int code);
/* The same for a socket that is closed: looks at the structure only. */
void overlapped_aborted(struct overlapped_op *op);
/* Alertable, until the routine was called, at most OVERLAPPED_SOON_MS. */
void overlapped_await_routine(struct overlapped_op *op);
bool overlapped_pending(const struct overlapped_op *op);
void CALLBACK overlapped_routine(DWORD code, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags);
/* The WSATHREADID of this thread, as ws2_32 hands it on. */
WSATHREADID overlapped_thread(void);

bool overlapped_is_set(const struct overlapped_op *op); /* its event */

/* Two datagram sockets on 127.0.0.1. */
struct overlapped_pair {
    SOCKET from, to;
    SOCKADDR_IN from_at, to_at;
};
struct overlapped_pair overlapped_pair_make(void);
void overlapped_pair_send(const struct overlapped_pair *pair, const char *text);

#endif
