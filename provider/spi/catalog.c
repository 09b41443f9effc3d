/*
 * The catalog entries of catalog.h. Constant data; any thread.
 */
#include "provider/spi/catalog.h"

#include "rings/layout.h"

/* Flags as a base provider of UDP without installable-file-system handles has them. */
const WSAPROTOCOL_INFOW spi_catalog_entries[] = {
    {.dwServiceFlags1 =
         XP1_CONNECTIONLESS | XP1_MESSAGE_ORIENTED | XP1_SUPPORT_BROADCAST | XP1_SUPPORT_MULTIPOINT,
     .dwProviderFlags = PFL_MATCHES_PROTOCOL_ZERO,
     .ProviderId = {0x6f2c41d8, 0x9a37, 0x4b5e, {0x8d, 0x12, 0x52, 0x49, 0x4e, 0x47, 0x53, 0x4b}},
     .ProtocolChain = {.ChainLen = BASE_PROTOCOL},
     .iVersion = 2,
     .iAddressFamily = AF_INET,
     .iMaxSockAddr = sizeof(SOCKADDR_IN),
     .iMinSockAddr = sizeof(SOCKADDR_IN),
     .iSocketType = SOCK_DGRAM,
     .iProtocol = IPPROTO_UDP,
     .iNetworkByteOrder = BIGENDIAN,
     .iSecurityScheme = SECURITY_PROTOCOL_NONE,
     .dwMessageSize = RS_DGRAM_MAX_BYTES,
     .szProtocol = L"Ringsock UDP/IPv4"},
};
const unsigned spi_catalog_count = sizeof(spi_catalog_entries) / sizeof(spi_catalog_entries[0]);

const WSAPROTOCOL_INFOW *spi_catalog_find(int family, int type, int protocol)
{
    for (unsigned i = 0; i < spi_catalog_count; i++) {
        const WSAPROTOCOL_INFOW *entry = &spi_catalog_entries[i];
        if (entry->iAddressFamily == family && (type == 0 || entry->iSocketType == type) &&
            (protocol == 0 || entry->iProtocol == protocol)) {
            return entry;
        }
    }
    return NULL;
}
