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
/* The same, but that it is put off (CF_DEFER). */
void stream_put_off(SOCKET listener);
/* Two streams bound to one name of 127.0.0.1, by SO_REUSEADDR. */
void stream_namesakes(SOCKET *first, SOCKET *second);

struct stream_pair {
    SOCKADDR_IN at; /* where the listener is */
    SOCKET listener, client, server;
};
struct stream_pair stream_connected(void);
/* The same, but what is sent waits in the client's send buffer while the server's is full: inside
 * one program the two are one else. */
struct stream_pair stream_connected_apart(void);

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
/* Waits until one receive finds so many bytes. */
void stream_await_bytes(SOCKET s, DWORD bytes);

/* ---- calls of another thread ---- */

struct stream_call {
    enum {
        CALL_RECV,
        CALL_SEND,
        CALL_ACCEPT,
        CALL_CONNECT,
        CALL_CLOSE,
        CALL_SELECT,
        CALL_OTHER
    } kind;
    int (*other)(struct stream_call *call); /* of CALL_OTHER: 0 or the error */
    SOCKET s;
    DWORD flags;    /* of a receive or send; the set of a select: READ, WRITE or EXCEPT */
    DWORD bytes;    /* of a receive (at most 64) or a send; 0: 1, or 4 MiB */
    SOCKADDR_IN to; /* of a connect */
    /* out */
    char data[64];
    DWORD count; /* bytes, ready sockets */
    SOCKET accepted;
    int error; /* 0: success */
    HANDLE thread;
};
/* In the thread of the caller. Returns its error. */
int stream_run(struct stream_call *call);
/* Returns when the call has had time to block; that it has is no rule of a test. */
void stream_begin(struct stream_call *call);
/* Waits for its end, at most 10 s. Returns its error. */
int stream_finish(struct stream_call *call);
/* WSAEINTR, or WSAENOTSOCK where the call came too late. */
void stream_cancelled(struct stream_call *call);
void stream_close(SOCKET s);
/* SO_LINGER, then close: the peer is reset. */
void stream_abort(SOCKET s);
/* What was closed before is closed for its peer now, too; `other` is any other socket. */
void stream_behind_close(SOCKET other);
int stream_linger(SOCKET s, u_short on, u_short seconds);

/* ---- the host (handles_wrap.c) ---- */

/* While it is not 0, WPUCreateSocketHandle fails with this error. */
extern int host_refuses_handles;
/* While it is not NULL, called behind each handle that WPUCreateSocketHandle made. */
extern void (*host_handle_made)(void);

#endif
