/*
 * Winsock's addresses to the core's and back. Pure functions; any thread.
 */
#include <string.h>

#include "provider/spi/spi.h"

int spi_sockaddr_read(const struct sockaddr *name, int name_bytes, struct rs_addr *out)
{
    SOCKADDR_IN in;
    if (name_bytes < (int)sizeof(in) || !spi_can_read(name, sizeof(in))) {
        return WSAEFAULT;
    }
    memcpy(&in, name, sizeof(in));
    if (in.sin_family != AF_INET) {
        return WSAEAFNOSUPPORT;
    }
    *out = rs_addr_v4(in.sin_addr.s_addr, in.sin_port);
    return 0;
}

int spi_sockaddr_room(struct sockaddr *name, LPINT name_bytes)
{
    if (!spi_can_write(name_bytes, sizeof(*name_bytes)) || *name_bytes < (int)sizeof(SOCKADDR_IN) ||
        !spi_can_write(name, sizeof(SOCKADDR_IN))) {
        return WSAEFAULT;
    }
    return 0;
}

void spi_sockaddr_write(const struct rs_addr *addr, struct sockaddr *name, LPINT name_bytes)
{
    SOCKADDR_IN in = {.sin_family = AF_INET, .sin_port = addr->port_be16};
    in.sin_addr.s_addr = addr->ip.v4_be32;
    memcpy(name, &in, sizeof(in));
    *name_bytes = sizeof(in);
}

bool spi_is_multicast(uint32_t ip_be32)
{
    return (ip_be32 & 0xf0u) == 0xe0u; /* the first octet is the lowest in memory */
}
