/*
 * Calling WSAPoll, the extension function. Test thread.
 */
#ifndef RINGSOCK_TESTS_SPI_POLL_KIT_H
#define RINGSOCK_TESTS_SPI_POLL_KIT_H

#include "tests/spi/spi_test.h"

/* Fetches the function through a socket; poll_call needs that once. */
LPFN_WSAPOLL poll_function(SOCKET s);
/* Its result; an error is in spi_error. */
int poll_call(WSAPOLLFD *fds, ULONG count, INT timeout_ms);
/* The same for one entry, through whose socket the function is fetched. */
int poll_one(WSAPOLLFD *fd, INT timeout_ms);

#endif
