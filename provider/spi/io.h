/*
 * What io.c (calls that are done when they return) and overlapped_io.c (those that may be done
 * later) share.
 */
#ifndef RINGSOCK_PROVIDER_SPI_IO_H
#define RINGSOCK_PROVIDER_SPI_IO_H

#include "provider/spi/spi.h"

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

/* io.c: how many buffers a call may have: 0, WSAEINVAL, WSAENOBUFS or WSAEFAULT. */
int spi_buffers_count(const WSABUF *buffers, DWORD count);
/* Copies so many WSABUFs once and checks what they name: can be written (or read). 0 or WSAEFAULT.
 */
int spi_buffers_take(const WSABUF *buffers, DWORD count, bool write, struct client_iov *items);
#endif
