/*
 * What WSPSelect and WSAPoll share: the sockets of one call, held, and the core's wait over them.
 * A set is its call's, one thread; no allocation up to SPI_READY_LOCAL entries.
 */
#ifndef RINGSOCK_PROVIDER_SPI_READY_H
#define RINGSOCK_PROVIDER_SPI_READY_H

#include "provider/spi/spi.h"

#define SPI_READY_LOCAL 64u

struct spi_ready {
    struct client_poll *items;   /* an item without a core socket is ready, see ready.c */
    struct spi_socket **sockets; /* per item, with a reference */
    uint32_t count;
    struct spi_session *session; /* that the wait is about; holds through its socket */
    bool immediate;              /* some are ready, whatever the core says: no waiting */
    struct client_poll local_items[SPI_READY_LOCAL];
    struct spi_socket *local_sockets[SPI_READY_LOCAL];
};

/* An empty set with room for so many. 0 or WSAENOBUFS; then there is nothing to drop. */
int spi_ready_init(struct spi_ready *set, uint32_t room);
/* Takes over the reference. want: RS_LEVEL_*, CLIENT_POLL_*. now: it is ready already. */
void spi_ready_add(struct spi_ready *set, struct spi_socket *socket, uint32_t want, bool now);
/* Fills in `ready` of the items. At least one item. RS_NOT_SOCKET: one of the sockets is closed;
 * RS_INTERRUPTED: the blocking hook ended the call; others as client_poll. */
RS_CHECK_RESULT enum rs_status spi_ready_wait(struct spi_ready *set, uint64_t timeout_ns);
/* Is a held socket still what its handle names? */
bool spi_ready_is_open(const struct spi_socket *socket);
void spi_ready_drop(struct spi_ready *set);

#endif
