/* The fake dataplane behind provider_fake.c, for cases that tell it what to do. */
#ifndef RINGSOCK_TESTS_SPI_PROVIDER_FAKE_H
#define RINGSOCK_TESTS_SPI_PROVIDER_FAKE_H

#include "tests/spi/spi_test.h"
#include "tests/support/fake_dataplane.h"

extern struct fake *spi_fake;
/* Called when the provider makes a thread, which is refused unless it says RS_OK. NULL: none. */
extern enum rs_status (*spi_fake_thread)(void);
/* fake_die, and who sleeps hears of it, as of a process that ends. */
void spi_fake_die(void);

#endif
