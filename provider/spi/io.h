/*
 * What io.c (calls that are done when they return), overlapped_io.c (those that may be done later)
 * and message.c (both) share.
 */
#ifndef RINGSOCK_PROVIDER_SPI_IO_H
#define RINGSOCK_PROVIDER_SPI_IO_H

#include "provider/spi/overlapped.h"

/* A send or a receive, its flags and addresses checked. */
struct spi_io_call {
    struct spi_socket *socket;
    SOCKET s;
    const WSABUF *buffers;
    DWORD count;
    DWORD flags;
    LPDWORD transferred;      /* NULL only for an overlapped call */
    LPDWORD out_flags;        /* receiving */
    const struct rs_addr *to; /* sending; NULL: the peer */
    struct sockaddr *from;    /* receiving; NULL: not asked for */
    LPINT from_bytes;
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    LPWSATHREADID thread;
    bool notice; /* an overlapped call; else one that has overlapped ones before it */
};

/* 0 or SOCKET_ERROR with *error, as WSPSend and WSPRecv return. */
int spi_io_send(const struct spi_io_call *call, LPINT error);
int spi_io_recv(const struct spi_io_call *call, LPINT error);

/* Overlapped operations wait, behind which a call has its turn. */
static inline bool spi_io_has_before(const struct spi_socket *socket, uint32_t attention)
{
    return (atomic_load_explicit(&socket->attention, memory_order_relaxed) & attention) != 0;
}

/* How an operation's caller hears of it. */
struct spi_io_way {
    bool notice;         /* overlapped; else the call waits */
    LPDWORD transferred; /* NULL only with notice */
    LPDWORD out_flags;   /* NULL: not wanted */
};
/* Starts the operation, whose memory mi_free gives back, or, without notice, waits for it: as long
 * as the socket's time-out says, and not on a socket that does not block. 0 or SOCKET_ERROR. */
int spi_io_begin(struct spi_socket *socket, struct spi_op *op, const struct spi_io_way *way,
                 LPINT error);
/* Can they still be written (read)? */
bool spi_buffers_are_there(const struct client_iov *items, uint32_t count, bool write);

/* io.c: how many buffers a call may have: 0, WSAEINVAL, WSAENOBUFS or WSAEFAULT. */
int spi_buffers_count(const WSABUF *buffers, DWORD count);
/* Copies so many WSABUFs once and checks what they name: can be written (or read). 0 or WSAEFAULT.
 */
int spi_buffers_take(const WSABUF *buffers, DWORD count, bool write, struct client_iov *items);
#endif
