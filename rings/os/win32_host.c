/*
 * What Windows says of the host: adapter addresses and the right to large pages. Called by
 * ringsockd's start-up.
 */
#include <winsock2.h>

#include <iphlpapi.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "rings/os/os.h"

static bool adapter_has_ipv4(const IP_ADAPTER_ADDRESSES *adapter, uint32_t ip_be32)
{
    for (const IP_ADAPTER_UNICAST_ADDRESS *each = adapter->FirstUnicastAddress; each != NULL;
         each = each->Next) {
        struct sockaddr_in v4;
        if (each->Address.lpSockaddr->sa_family == AF_INET) {
            memcpy(&v4, each->Address.lpSockaddr, sizeof v4);
            if (v4.sin_addr.s_addr == ip_be32) {
                return true;
            }
        }
    }
    return false;
}

/* mac NULL: looks for the address. */
static bool host_has(const uint8_t *mac, uint32_t ip_be32)
{
    ULONG bytes = 64 * 1024; /* what the documentation advises; grown when it says so */
    IP_ADAPTER_ADDRESSES *all = NULL;
    ULONG result = ERROR_BUFFER_OVERFLOW;
    for (int tries = 0; tries < 3 && result == ERROR_BUFFER_OVERFLOW; tries++) {
        free(all);
        all = malloc(bytes);
        if (all == NULL) {
            return false;
        }
        result = GetAdaptersAddresses(AF_INET, GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST,
                                      NULL, all, &bytes);
    }
    bool found = false;
    const IP_ADAPTER_ADDRESSES *each = result == NO_ERROR ? all : NULL;
    for (; each != NULL && !found; each = each->Next) {
        found = mac != NULL
                    ? each->PhysicalAddressLength == 6 && memcmp(each->PhysicalAddress, mac, 6) == 0
                    : adapter_has_ipv4(each, ip_be32);
    }
    free(all);
    return found;
}

bool os_host_has_ipv4(uint32_t ip_be32)
{
    return host_has(NULL, ip_be32);
}

bool os_host_has_mac(const uint8_t mac[6])
{
    return host_has(mac, 0);
}

bool os_huge_pages_usable(void)
{
    HANDLE token = NULL;
    PRIVILEGE_SET wanted = {.PrivilegeCount = 1, .Control = PRIVILEGE_SET_ALL_NECESSARY};
    TOKEN_PRIVILEGES enable = {.PrivilegeCount = 1};
    BOOL held = FALSE;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES, &token)) {
        return false;
    }
    if (LookupPrivilegeValueA(NULL, "SeLockMemoryPrivilege", &wanted.Privilege[0].Luid)) {
        /* A right is granted by the administrator and switched on by the program. */
        enable.Privileges[0].Luid = wanted.Privilege[0].Luid;
        enable.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;
        (void)AdjustTokenPrivileges(token, FALSE, &enable, 0, NULL, NULL);
        wanted.Privilege[0].Attributes = SE_PRIVILEGE_ENABLED;
        (void)PrivilegeCheck(token, &wanted, &held);
    }
    (void)CloseHandle(token);
    return held != FALSE;
}

/* Large pages need a right that programs seldom have, so there are none. */
void *os_table_alloc(size_t bytes)
{
    void *table = _aligned_malloc(bytes + 1, 64);
    if (table != NULL) {
        memset(table, 0, bytes + 1);
    }
    return table;
}

void os_table_free(void *table, size_t bytes)
{
    (void)bytes;
    _aligned_free(table);
}
