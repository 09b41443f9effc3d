/*
 * The Winsock API's byte order, address texts and numeric names. Names that are not numbers are
 * nobody's business here: they say WSAHOST_NOT_FOUND. Any thread.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "provider/host/winsock_internal.h"
#include "provider/spi/ipv6_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

u_long WSAAPI htonl(u_long value)
{
    return __builtin_bswap32(value);
}

u_long WSAAPI ntohl(u_long value)
{
    return __builtin_bswap32(value);
}

u_short WSAAPI htons(u_short value)
{
    return __builtin_bswap16(value);
}

u_short WSAAPI ntohs(u_short value)
{
    return __builtin_bswap16(value);
}

/* ---- texts ---- */

/* Four decimal octets and nothing behind them. */
static bool text_to_ip(const char *text, unsigned char octets[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned value = 0;
        int digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++) {
            value = value * 10 + (unsigned)(*text - '0');
        }
        if (digits == 0 || value > 255 || *text != (i == 3 ? '\0' : '.')) {
            return false;
        }
        octets[i] = (unsigned char)value;
        text += i != 3;
    }
    return true;
}

unsigned long WSAAPI inet_addr(const char *text)
{
    unsigned char octets[4];
    unsigned long value = INADDR_NONE;
    if (text_to_ip(text, octets)) {
        memcpy(&value, octets, sizeof(octets));
    }
    return value;
}

char *WSAAPI inet_ntoa(struct in_addr in)
{
    static _Thread_local char text[INET_ADDRSTRLEN];
    const unsigned char *octets = (const unsigned char *)&in;
    snprintf(text, sizeof(text), "%u.%u.%u.%u", octets[0], octets[1], octets[2], octets[3]);
    return text;
}

/* An address alone, no port. */
static bool text_to_ip6(const char *text, SOCKADDR_IN6 *in6)
{
    WCHAR wide[IPV6_TEXT_CHARS];
    size_t i = 0;
    for (; text[i] != '\0'; i++) {
        if (i + 1 == IPV6_TEXT_CHARS || text[i] == '[') {
            return false;
        }
        wide[i] = (unsigned char)text[i];
    }
    wide[i] = L'\0';
    return ipv6_text_scan(wide, in6);
}

INT WSAAPI inet_pton(INT family, LPCSTR text, PVOID out)
{
    unsigned char octets[4];
    SOCKADDR_IN6 in6;
    if (family == AF_INET6) {
        bool is_address = strchr(text, '%') == NULL && text_to_ip6(text, &in6);
        if (is_address) {
            memcpy(out, &in6.sin6_addr, sizeof(in6.sin6_addr));
        }
        return is_address;
    }
    if (family != AF_INET) {
        return winsock_fail(WSAEAFNOSUPPORT);
    }
    if (!text_to_ip(text, octets)) {
        return 0;
    }
    memcpy(out, octets, sizeof(octets));
    return 1;
}

static LPCSTR ip6_to_text(LPCVOID in, LPSTR text, size_t text_chars)
{
    WCHAR wide[IPV6_TEXT_CHARS];
    SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, in, sizeof(in6.sin6_addr));
    DWORD chars = ipv6_text_print(&in6, wide);
    if (text_chars < chars) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return NULL;
    }
    for (DWORD i = 0; i < chars; i++) {
        text[i] = (char)wide[i];
    }
    return text;
}

LPCSTR WSAAPI inet_ntop(INT family, LPCVOID in, LPSTR text, size_t text_chars)
{
    const unsigned char *octets = in;
    if (family == AF_INET6) {
        return ip6_to_text(in, text, text_chars);
    }
    if (family != AF_INET) {
        SetLastError(WSAEAFNOSUPPORT);
        return NULL;
    }
    if (text_chars < INET_ADDRSTRLEN) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return NULL;
    }
    snprintf(text, text_chars, "%u.%u.%u.%u", octets[0], octets[1], octets[2], octets[3]);
    return text;
}

/* ---- addresses as text, by the provider ---- */

INT WSAAPI WSAAddressToStringW(LPSOCKADDR address, DWORD address_bytes, LPWSAPROTOCOL_INFOW info,
                               LPWSTR string, LPDWORD string_chars)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    if (address == NULL) {
        return winsock_fail(WSAEINVAL);
    }
    WSAPROTOCOL_INFOW ours = host_catalog_entry(address->sa_family, 0, 0);
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPAddressToString(address, address_bytes,
                                                                      info != NULL ? info : &ours,
                                                                      string, string_chars, &error),
                                          &error);
}

INT WSAAPI WSAAddressToStringA(LPSOCKADDR address, DWORD address_bytes, LPWSAPROTOCOL_INFOA info,
                               LPSTR string, LPDWORD string_chars)
{
    WCHAR wide[IPV6_TEXT_CHARS];
    DWORD needed_chars = sizeof(wide) / sizeof(wide[0]);
    (void)info;
    if (string_chars == NULL) {
        return winsock_fail(WSAEINVAL);
    }
    int result = WSAAddressToStringW(address, address_bytes, NULL, wide, &needed_chars);
    if (result != 0) {
        return result;
    }
    if (string == NULL || *string_chars < needed_chars) {
        *string_chars = needed_chars;
        return winsock_fail(WSAEFAULT);
    }
    for (DWORD i = 0; i < needed_chars; i++) {
        string[i] = (char)wide[i];
    }
    *string_chars = needed_chars;
    return 0;
}

INT WSAAPI WSAStringToAddressW(LPWSTR string, INT family, LPWSAPROTOCOL_INFOW info,
                               LPSOCKADDR address, LPINT address_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    WSAPROTOCOL_INFOW ours = host_catalog_entry(family, 0, 0);
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPStringToAddress(string, family,
                                                            info != NULL ? info : &ours, address,
                                                            address_bytes, &error),
                                &error);
}

INT WSAAPI WSAStringToAddressA(LPSTR string, INT family, LPWSAPROTOCOL_INFOA info,
                               LPSOCKADDR address, LPINT address_bytes)
{
    WCHAR wide[IPV6_TEXT_CHARS];
    size_t i = 0;
    (void)info;
    if (string == NULL) {
        return winsock_fail(WSAEINVAL);
    }
    for (; i + 1 < sizeof(wide) / sizeof(wide[0]) && string[i] != '\0'; i++) {
        wide[i] = (unsigned char)string[i];
    }
    wide[i] = L'\0';
    return WSAStringToAddressW(wide, family, NULL, address, address_bytes);
}

/* ---- getaddrinfo: numbers only ---- */

static bool service_to_port(const char *service, u_short *port_be16)
{
    unsigned long value = 0;
    for (const char *at = service; at != NULL && *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || (value = value * 10 + (unsigned long)(*at - '0')) > 65535) {
            return false;
        }
    }
    *port_be16 = htons((u_short)value);
    return true;
}

struct found {
    ADDRINFOA info;
    union {
        SOCKADDR_IN in;
        SOCKADDR_IN6 in6;
    } addr;
};

static void map_ipv4(SOCKADDR_IN6 *in6, const void *ip)
{
    in6->sin6_addr.s6_addr[10] = 0xff;
    in6->sin6_addr.s6_addr[11] = 0xff;
    memcpy(in6->sin6_addr.s6_addr + 12, ip, 4);
}

/* An address of the family, or of IPv4's for AF_UNSPEC. Node NULL: any, or this host's. */
static bool node_to_addr(PCSTR node, int family, int flags, u_short port_be16, struct found *found)
{
    unsigned char octets[4];
    SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6};
    bool passive = (flags & AI_PASSIVE) != 0;
    u_long any = passive ? INADDR_ANY : htonl(INADDR_LOOPBACK);
    bool is_ip4 = node == NULL || text_to_ip(node, octets);
    const void *ip4 = node == NULL ? (const void *)&any : octets;
    if (family != AF_INET6 && is_ip4) {
        found->addr.in = (SOCKADDR_IN){.sin_family = AF_INET, .sin_port = port_be16};
        memcpy(&found->addr.in.sin_addr, ip4, 4);
        found->info.ai_addrlen = sizeof(found->addr.in);
        found->info.ai_family = AF_INET;
        return true;
    }
    if (family == AF_INET) {
        return false;
    }
    if (node == NULL) {
        in6.sin6_addr.s6_addr[15] = passive ? 0 : 1;
    } else if (is_ip4 && (flags & AI_V4MAPPED) != 0) {
        map_ipv4(&in6, ip4);
    } else if (!text_to_ip6(node, &in6)) {
        return false;
    }
    in6.sin6_port = port_be16;
    found->addr.in6 = in6;
    found->info.ai_addrlen = sizeof(found->addr.in6);
    found->info.ai_family = AF_INET6;
    return true;
}

INT WSAAPI getaddrinfo(PCSTR node, PCSTR service, const ADDRINFOA *hints, PADDRINFOA *out)
{
    int family = hints != NULL ? hints->ai_family : AF_UNSPEC;
    u_short port_be16;
    if (node == NULL && service == NULL) {
        return WSAHOST_NOT_FOUND;
    }
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6) {
        return WSAEAFNOSUPPORT;
    }
    if (!service_to_port(service, &port_be16)) {
        return WSATYPE_NOT_FOUND;
    }
    struct found *found = calloc(1, sizeof(*found));
    if (found == NULL) {
        return WSA_NOT_ENOUGH_MEMORY;
    }
    if (!node_to_addr(node, family, hints != NULL ? hints->ai_flags : 0, port_be16, found)) {
        free(found);
        return WSAHOST_NOT_FOUND;
    }
    found->info.ai_socktype = hints != NULL ? hints->ai_socktype : 0;
    found->info.ai_protocol = hints != NULL ? hints->ai_protocol : 0;
    found->info.ai_addr = (struct sockaddr *)&found->addr;
    *out = &found->info;
    return 0;
}

void WSAAPI freeaddrinfo(PADDRINFOA info)
{
    free(info); /* one result, its address in the same block */
}
