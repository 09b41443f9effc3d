/*
 * The commands that wait for a change (net_change.c): the two that wait until an address has come
 * or gone, for ioctl_net.c, and SIO_IDEAL_SEND_BACKLOG_CHANGE, for ioctl.c; and what the helper
 * does for them.
 */
#ifndef RINGSOCK_PROVIDER_SPI_NET_CHANGE_H
#define RINGSOCK_PROVIDER_SPI_NET_CHANGE_H

#include "provider/spi/spi.h"

struct spi_net_change {
    struct spi_socket *socket;
    SOCKET s;
    long event; /* FD_ADDRESS_LIST_CHANGE, FD_ROUTING_INTERFACE_CHANGE; 0: the ideal send backlog */
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    LPWSATHREADID thread;
    bool notice; /* an overlapped call */
};

/* Any thread. Waits for the next change: 0, WSAEINTR (closed), WSAENETDOWN, and what
 * spi_ideal_backlog says. With notice: WSA_IO_PENDING. Without, on a socket that does not block:
 * WSAEWOULDBLOCK, and the network event is told, where there is one. */
int spi_net_change(const struct spi_net_change *call);

/* The ideal send backlog of a connection, in bytes (ioctl.c). Any thread; asks the dataplane. 0,
 * WSAEOPNOTSUPP (a datagram socket), WSAENOTCONN, WSAENETDOWN. */
int spi_ideal_backlog(const struct spi_socket *socket, ULONG *bytes);

/* In the helper: does somebody wait? Then it looks now and then. */
bool spi_net_change_waits(void);
void spi_net_change_look(void);

#endif
