/* spi_test.h's provider: the DLL, against the dataplane that the environment names. */
#include "tests/spi/stream_kit.h"

int spi_load(struct host_provider *out)
{
    return host_load(NULL, out);
}

void spi_unload(void) {}

/* The loopback NIC that tests/spi/run starts reaches nobody else. */
SOCKADDR_IN stream_silent(void)
{
    skip();
    return spi_at("0.0.0.0", 0);
}

SOCKADDR_IN stream_broadcast(void)
{
    return spi_at("10.77.0.255", 9);
}
