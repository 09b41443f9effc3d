/*
 * Winsock's addresses to the core's and back. The core has IPv4 only: an AF_INET6 socket in dual
 * mode speaks of it in mapped addresses (::ffff:192.0.2.1), and what is native IPv6 has no address
 * here. Pure functions; any thread.
 */
#include <string.h>

#include "provider/spi/spi.h"

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static int name_bytes_of(const struct spi_socket *socket)
{
    return socket->family == AF_INET6 ? (int)sizeof(SOCKADDR_IN6) : (int)sizeof(SOCKADDR_IN);
}

bool spi_is_v6_only(const struct spi_socket *socket)
{
    uint32_t only = atomic_load_explicit(&socket->v6_only, memory_order_relaxed);
    if (socket->family == AF_INET6 && client_is_shared(socket->core)) {
        (void)!client_get_option(socket->core, SPI_SHARED_V6_ONLY, &only);
    }
    return only != 0;
}

int spi_ipv6_to_ipv4(const IN6_ADDR *in6, bool only, uint32_t *ip_be32)
{
    static const IN6_ADDR any = {0};
    if (memcmp(in6, &any, sizeof(any)) == 0) {
        *ip_be32 = 0;
        return 0;
    }
    if (memcmp(in6, mapped_prefix, sizeof(mapped_prefix)) != 0) {
        return WSAENETUNREACH;
    }
    memcpy(ip_be32, (const char *)in6 + sizeof(mapped_prefix), sizeof(*ip_be32));
    return only ? WSAEADDRNOTAVAIL : 0;
}

static int sockaddr_read_v6(const struct spi_socket *socket, const struct sockaddr *name,
                            struct rs_addr *out)
{
    SOCKADDR_IN6 in6;
    uint32_t ip_be32;
    memcpy(&in6, name, sizeof(in6));
    if (in6.sin6_family != AF_INET6) {
        return WSAEAFNOSUPPORT;
    }
    int code = spi_ipv6_to_ipv4(&in6.sin6_addr, spi_is_v6_only(socket), &ip_be32);
    if (code == 0) {
        *out = rs_addr_v4(ip_be32, in6.sin6_port);
    }
    return code;
}

int spi_sockaddr_read(const struct spi_socket *socket, const struct sockaddr *name, int name_bytes,
                      struct rs_addr *out)
{
    int bytes = name_bytes_of(socket);
    if (name_bytes < bytes || !spi_can_read(name, (size_t)bytes)) {
        return WSAEFAULT;
    }
    if (socket->family == AF_INET6) {
        return sockaddr_read_v6(socket, name, out);
    }
    SOCKADDR_IN in;
    memcpy(&in, name, sizeof(in));
    if (in.sin_family != AF_INET) {
        return WSAEAFNOSUPPORT;
    }
    rs_addr_set_v4(out, in.sin_addr.s_addr, in.sin_port);
    return 0;
}

int spi_sockaddr_read_local(const struct spi_socket *socket, const struct sockaddr *name,
                            int name_bytes, struct rs_addr *out)
{
    int code = spi_sockaddr_read(socket, name, name_bytes, out);
    /* :: of a socket that is for IPv6 only is one of the addresses that there are not. */
    bool none = code == WSAENETUNREACH || (code == 0 && spi_is_v6_only(socket));
    return none ? WSAEADDRNOTAVAIL : code;
}

int spi_sockaddr_room(const struct spi_socket *socket, struct sockaddr *name, LPINT name_bytes)
{
    int bytes = name_bytes_of(socket);
    if (!spi_can_write(name_bytes, sizeof(*name_bytes)) || *name_bytes < bytes ||
        !spi_can_write(name, (size_t)bytes)) {
        return WSAEFAULT;
    }
    return 0;
}

void spi_sockaddr_write_v4(const struct rs_addr *addr, struct sockaddr *name, LPINT name_bytes)
{
    const SOCKADDR_IN in = {.sin_family = AF_INET};
    char *bytes = (char *)name;
    memcpy(bytes, &in, sizeof(in));
    memcpy(bytes + offsetof(SOCKADDR_IN, sin_port), &addr->port_be16, sizeof(in.sin_port));
    memcpy(bytes + offsetof(SOCKADDR_IN, sin_addr), &addr->ip.v4_be32, sizeof(in.sin_addr));
    *name_bytes = sizeof(in);
}

void spi_sockaddr_write(const struct spi_socket *socket, const struct rs_addr *addr,
                        struct sockaddr *name, LPINT name_bytes)
{
    if (socket->family == AF_INET6) {
        SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6, .sin6_port = addr->port_be16};
        if (addr->ip.v4_be32 != 0) {
            memcpy(&in6.sin6_addr, mapped_prefix, sizeof(mapped_prefix));
            memcpy((char *)&in6.sin6_addr + sizeof(mapped_prefix), &addr->ip.v4_be32,
                   sizeof(addr->ip.v4_be32));
        }
        memcpy(name, &in6, sizeof(in6));
        *name_bytes = sizeof(in6);
        return;
    }
    spi_sockaddr_write_v4(addr, name, name_bytes);
}

bool spi_is_multicast(uint32_t ip_be32)
{
    return (ip_be32 & 0xf0u) == 0xe0u; /* the first octet is the lowest in memory */
}
