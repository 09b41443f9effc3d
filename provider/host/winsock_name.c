/*
 * The Winsock API's byte order, address texts and numeric names. Names that are not numbers are
 * nobody's business here: they say WSAHOST_NOT_FOUND. Any thread.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "provider/host/winsock_internal.h"

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

/* ---- IPv4 texts ---- */

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

INT WSAAPI inet_pton(INT family, LPCSTR text, PVOID out)
{
    if (family != AF_INET) {
        return winsock_fail(WSAEAFNOSUPPORT);
    }
    unsigned char octets[4];
    if (!text_to_ip(text, octets)) {
        return 0;
    }
    memcpy(out, octets, sizeof(octets));
    return 1;
}

LPCSTR WSAAPI inet_ntop(INT family, LPCVOID in, LPSTR text, size_t text_chars)
{
    const unsigned char *octets = in;
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
    WSAPROTOCOL_INFOW ours = *winsock_protocol();
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPAddressToString(address, address_bytes,
                                                                      info != NULL ? info : &ours,
                                                                      string, string_chars, &error),
                                          &error);
}

INT WSAAPI WSAAddressToStringA(LPSOCKADDR address, DWORD address_bytes, LPWSAPROTOCOL_INFOA info,
                               LPSTR string, LPDWORD string_chars)
{
    WCHAR wide[64];
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
    WSAPROTOCOL_INFOW ours = *winsock_protocol();
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
    WCHAR wide[64];
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

INT WSAAPI getaddrinfo(PCSTR node, PCSTR service, const ADDRINFOA *hints, PADDRINFOA *out)
{
    struct found {
        ADDRINFOA info;
        SOCKADDR_IN in;
    };
    int flags = hints != NULL ? hints->ai_flags : 0;
    SOCKADDR_IN in = {.sin_family = AF_INET};
    if (node == NULL && service == NULL) {
        return WSAHOST_NOT_FOUND;
    }
    if (hints != NULL && hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET) {
        return WSAEAFNOSUPPORT;
    }
    if (!service_to_port(service, &in.sin_port)) {
        return WSATYPE_NOT_FOUND;
    }
    if (node == NULL) {
        in.sin_addr.s_addr = (flags & AI_PASSIVE) != 0 ? INADDR_ANY : htonl(INADDR_LOOPBACK);
    } else if (inet_pton(AF_INET, node, &in.sin_addr) != 1) {
        return WSAHOST_NOT_FOUND;
    }
    struct found *found = calloc(1, sizeof(*found));
    if (found == NULL) {
        return WSA_NOT_ENOUGH_MEMORY;
    }
    found->in = in;
    found->info = (ADDRINFOA){.ai_family = AF_INET,
                              .ai_socktype = hints != NULL ? hints->ai_socktype : 0,
                              .ai_protocol = hints != NULL ? hints->ai_protocol : 0,
                              .ai_addrlen = sizeof(found->in),
                              .ai_addr = (struct sockaddr *)&found->in};
    *out = &found->info;
    return 0;
}

void WSAAPI freeaddrinfo(PADDRINFOA info)
{
    free(info); /* one result, its address in the same block */
}
