/*
 * What the cases of AF_INET6 sockets share.
 */
#ifndef RINGSOCK_TESTS_SPI_IPV6_KIT_H
#define RINGSOCK_TESTS_SPI_IPV6_KIT_H

#include <string.h>

#include "tests/spi/spi_test.h"

/* Overlapped flag, receives time out after 5 s; closed at the end of the case. */
static inline SOCKET ipv6_new(int type, int protocol)
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET6, type, protocol);
    SOCKET s =
        TABLE->lpWSPSocket(AF_INET6, type, protocol, &info, 0, WSA_FLAG_OVERLAPPED, &spi_error);
    if (s == INVALID_SOCKET) {
        fail_msg("WSPSocket failed with error %d", spi_error);
    }
    spi_keep(s);
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, 5000));
    return s;
}

/* In dual mode. */
static inline SOCKET ipv6_dual(int type, int protocol)
{
    SOCKET s = ipv6_new(type, protocol);
    OK(spi_set_dword(s, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    return s;
}

/* ::ffff:ip */
static inline SOCKADDR_IN6 ipv6_mapped(const char *ip, unsigned port)
{
    SOCKADDR_IN in = spi_at(ip, port);
    SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6,
                        .sin6_port = in.sin_port,
                        .sin6_addr.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(in6.sin6_addr.s6_addr + 12, &in.sin_addr, 4);
    return in6;
}

static inline SOCKADDR_IN6 ipv6_name(SOCKET s)
{
    SOCKADDR_IN6 in6;
    int bytes = sizeof(in6);
    OK(TABLE->lpWSPGetSockName(s, (struct sockaddr *)&in6, &bytes, &spi_error));
    assert_int_equal(bytes, sizeof(in6));
    return in6;
}

static inline int ipv6_bind(SOCKET s, const SOCKADDR_IN6 *at)
{
    return TABLE->lpWSPBind(s, (const struct sockaddr *)at, sizeof(*at), &spi_error);
}

static inline int ipv6_connect(SOCKET s, const SOCKADDR_IN6 *to)
{
    return TABLE->lpWSPConnect(s, (const struct sockaddr *)to, sizeof(*to), NULL, NULL, NULL, NULL,
                               &spi_error);
}

#endif
