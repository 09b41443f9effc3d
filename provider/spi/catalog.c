/*
 * The catalog entries of catalog.h. Constant data; any thread.
 */
#include "provider/spi/catalog.h"

#include <ws2tcpip.h>

#include "rings/layout.h"

#define PROVIDER_ID                                        \
    {                                                      \
        0x6f2c41d8, 0x9a37, 0x4b5e,                        \
        {                                                  \
            0x8d, 0x12, 0x52, 0x49, 0x4e, 0x47, 0x53, 0x4b \
        }                                                  \
    }

/* A text that fills an array may not be in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
/* Flags as base providers without installable-file-system handles have them. */
#define ENTRY_UDP(family, address, name)                                                         \
    {                                                                                            \
        .dwServiceFlags1 = XP1_CONNECTIONLESS | XP1_MESSAGE_ORIENTED | XP1_SUPPORT_BROADCAST |   \
                           XP1_SUPPORT_MULTIPOINT,                                               \
        .dwProviderFlags = PFL_MATCHES_PROTOCOL_ZERO, .ProviderId = PROVIDER_ID,                 \
        .ProtocolChain = {.ChainLen = BASE_PROTOCOL}, .iVersion = 2, .iAddressFamily = (family), \
        .iMaxSockAddr = sizeof(address), .iMinSockAddr = sizeof(address),                        \
        .iSocketType = SOCK_DGRAM, .iProtocol = IPPROTO_UDP, .iNetworkByteOrder = BIGENDIAN,     \
        .iSecurityScheme = SECURITY_PROTOCOL_NONE, .dwMessageSize = RS_DGRAM_MAX_BYTES,          \
        .szProtocol = name                                                                       \
    }
/* The size of a message means nothing to a stream: 0. */
#define ENTRY_TCP(family, address, name)                                                         \
    {                                                                                            \
        .dwServiceFlags1 = XP1_GUARANTEED_DELIVERY | XP1_GUARANTEED_ORDER | XP1_GRACEFUL_CLOSE | \
                           XP1_EXPEDITED_DATA,                                                   \
        .dwProviderFlags = PFL_MATCHES_PROTOCOL_ZERO, .ProviderId = PROVIDER_ID,                 \
        .ProtocolChain = {.ChainLen = BASE_PROTOCOL}, .iVersion = 2, .iAddressFamily = (family), \
        .iMaxSockAddr = sizeof(address), .iMinSockAddr = sizeof(address),                        \
        .iSocketType = SOCK_STREAM, .iProtocol = IPPROTO_TCP, .iNetworkByteOrder = BIGENDIAN,    \
        .iSecurityScheme = SECURITY_PROTOCOL_NONE, .dwMessageSize = 0, .szProtocol = name        \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
const WSAPROTOCOL_INFOW spi_catalog_entries[] = {
    ENTRY_UDP(AF_INET, SOCKADDR_IN, L"Ringsock UDP/IPv4"),
    ENTRY_TCP(AF_INET, SOCKADDR_IN, L"Ringsock TCP/IPv4"),
    /* Sockets in dual mode: IPv4 in mapped addresses. */
    ENTRY_UDP(AF_INET6, SOCKADDR_IN6, L"Ringsock UDP/IPv6"),
    ENTRY_TCP(AF_INET6, SOCKADDR_IN6, L"Ringsock TCP/IPv6"),
};
enum { CATALOG_COUNT = sizeof(spi_catalog_entries) / sizeof(spi_catalog_entries[0]) };

const WSAPROTOCOL_INFOW *spi_catalog_find(int family, int type, int protocol)
{
    for (unsigned i = 0; i < CATALOG_COUNT; i++) {
        const WSAPROTOCOL_INFOW *entry = &spi_catalog_entries[i];
        if (entry->iAddressFamily == family && (type == 0 || entry->iSocketType == type) &&
            (protocol == 0 || entry->iProtocol == protocol)) {
            return entry;
        }
    }
    return NULL;
}
