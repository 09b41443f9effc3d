/*
 * The one thread that the provider makes in a program: it hears from the dataplane what other
 * calls left to be done (overlapped operations, network events, messages), and does what may take
 * long. Any thread, unless said otherwise.
 */
#ifndef RINGSOCK_PROVIDER_SPI_HELPER_H
#define RINGSOCK_PROVIDER_SPI_HELPER_H

#include "provider/spi/spi.h"

/* From here on the helper serves this attach; starts it when there is none. 0, WSAENOBUFS,
 * WSAENETDOWN, or WSANOTINITIALISED behind the last WSPCleanup. One load when it does already. */
int spi_helper_use(struct spi_session *session);
/* The helper looks at the socket when one of want (RS_LEVEL_*, CLIENT_POLL_*) is true, once; at
 * once when one is. After spi_helper_use. One system call at most, and only then. */
void spi_helper_arm(struct spi_socket *socket, uint32_t want);
/* It looks at once; where no helper serves the attach nobody needs to. */
void spi_helper_look(struct spi_socket *socket);

/* Something for the helper to do. The caller's memory until run is called, which may free it. */
struct spi_work {
    void (*run)(struct spi_work *work);
    struct spi_work *next;
};
/* After spi_helper_use. In no order with others. What is posted too late for the last WSPCleanup is
 * run by the thread that posts it. */
void spi_helper_post(struct spi_work *work);

/* The last WSPCleanup, when all sockets are closed: runs what was posted and ends the thread. Not
 * by the helper. */
void spi_helper_stop(void);

#endif
