/*
 * The two commands that wait until an address has come or gone (net_change.c), for ioctl_net.c, and
 * what the helper does for them.
 */
#ifndef RINGSOCK_PROVIDER_SPI_NET_CHANGE_H
#define RINGSOCK_PROVIDER_SPI_NET_CHANGE_H

#include "provider/spi/spi.h"

struct spi_net_change {
    struct spi_socket *socket;
    SOCKET s;
    long event; /* FD_ADDRESS_LIST_CHANGE or FD_ROUTING_INTERFACE_CHANGE */
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    LPWSATHREADID thread;
    bool notice; /* an overlapped call */
};

/* Any thread. Waits for the next change: 0, WSAEINTR (closed), WSAENETDOWN. With notice:
 * WSA_IO_PENDING. Without, on a socket that does not block: WSAEWOULDBLOCK, and the network event
 * is told. */
int spi_net_change(const struct spi_net_change *call);

/* In the helper: does somebody wait? Then it looks now and then. */
bool spi_net_change_waits(void);
void spi_net_change_look(void);

#endif
