/*
 * What the cases of stream sockets share. Sockets are closed at the end of the case; waits are
 * bounded and say what they waited for.
 */
#ifndef RINGSOCK_TESTS_SPI_STREAM_KIT_H
#define RINGSOCK_TESTS_SPI_STREAM_KIT_H

#include "tests/spi/spi_test.h"

/* An address that answers nothing: connecting stays under way. Where there is none the case ends
 * here, as skipped. */
SOCKADDR_IN stream_silent(void);

/* The broadcast address of a network there is. Where there is none likewise. */
SOCKADDR_IN stream_broadcast(void);

SOCKET stream_new(void);                 /* receives time out after 5 s */
SOCKET stream_bound(SOCKADDR_IN *at);    /* on 127.0.0.1: nobody listens there */
SOCKET stream_listener(SOCKADDR_IN *at); /* backlog of 8 */
/* Waits for a connection, at most 5 s, and accepts it. */
SOCKET stream_accept(SOCKET listener);
SOCKET stream_accept_if(SOCKET listener, LPCONDITIONPROC condition, DWORD_PTR data);

struct stream_pair {
    SOCKADDR_IN at; /* where the listener is */
    SOCKET listener, client, server;
};
struct stream_pair stream_connected(void);

/* Fails unless the call took or gave all. */
void stream_send(SOCKET s, const char *text);
void stream_expect(SOCKET s, const char *text);
void stream_expect_end(SOCKET s);
/* Receives at most length_bytes with these flags; the call's result. */
int stream_recv(SOCKET s, void *data, DWORD length_bytes, DWORD flags, DWORD *received);
/* Fills the way to a peer that does not read; the socket becomes non-blocking. Returns the bytes
 * sent: the peer's buffer has some of them, ours the others. */
size_t stream_fill(SOCKET s);
/* Reads so many bytes of stream_fill's pattern. */
void stream_drain(SOCKET s, size_t bytes);

/* Which of READ, WRITE, EXCEPT are ready, waiting at most wait_ms for one that is asked for. */
enum { READ = 1, WRITE = 2, EXCEPT = 4 };
unsigned stream_select(SOCKET s, unsigned asked, unsigned wait_ms);
/* Waits until the asked ones are ready, at most 5 s. */
void stream_await(SOCKET s, unsigned asked);
DWORD stream_ioctl_dword(SOCKET s, DWORD code);
void stream_close(SOCKET s);
/* SO_LINGER, then close: the peer is reset. */
void stream_abort(SOCKET s);
int stream_linger(SOCKET s, u_short on, u_short seconds);

#endif
