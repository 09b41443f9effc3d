/* spi_test.h's provider: the DLL, against the dataplane that the environment names. */
#include "tests/spi/stream_kit.h"

int spi_load(struct host_provider *out)
{
    return host_load(NULL, out);
}

void spi_unload(void) {}

/* On the wire of the loopback NIC that tests/spi/run starts, and nobody's. */
SOCKADDR_IN stream_silent(void)
{
    return spi_at("10.77.0.99", 9);
}
