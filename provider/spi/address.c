/*
 * Addresses as text: "192.0.2.1:80", or "192.0.2.1" for port 0; IPv6's in ipv6_text.c. No dataplane
 * is needed. Any thread.
 */
#include <string.h>

#include "provider/spi/ipv6_text.h"
#include "provider/spi/spi.h"

#define TEXT_CHARS sizeof("255.255.255.255:65535")

/* info names the provider; NULL is how some callers say "any". */
static bool address_info_ok(const WSAPROTOCOL_INFOW *info, int family)
{
    return info == NULL || (spi_can_read(info, sizeof(*info)) && info->iAddressFamily == family);
}

/* ---- to text ---- */

static WCHAR *put_number(WCHAR *at, unsigned value)
{
    WCHAR digits[5];
    unsigned count = 0;
    do {
        digits[count++] = (WCHAR)(L'0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count != 0) {
        *at++ = digits[--count];
    }
    return at;
}

/* Returns the characters written, with the terminator. */
static DWORD address_print(const SOCKADDR_IN *in, WCHAR text[TEXT_CHARS])
{
    const unsigned char *octets = (const unsigned char *)&in->sin_addr;
    WCHAR *at = text;
    for (unsigned i = 0; i < 4; i++) {
        at = put_number(at, octets[i]);
        *at++ = L'.';
    }
    at[-1] = L':';
    if (in->sin_port == 0) {
        at--;
    } else {
        at = put_number(at, __builtin_bswap16(in->sin_port));
    }
    *at++ = L'\0';
    return (DWORD)(at - text);
}

/* Prints an address of either family. 0, or WSAEINVAL: none, or cut short. */
static int address_text(const SOCKADDR *address, DWORD address_bytes, WCHAR text[IPV6_TEXT_CHARS],
                        DWORD *chars)
{
    SOCKADDR_IN in;
    SOCKADDR_IN6 in6;
    if (address->sa_family == AF_INET6) {
        if (address_bytes < sizeof(in6)) {
            return WSAEINVAL;
        }
        memcpy(&in6, address, sizeof(in6));
        *chars = ipv6_text_print(&in6, text);
        return 0;
    }
    memcpy(&in, address, sizeof(in));
    *chars = address_print(&in, text);
    return address->sa_family == AF_INET ? 0 : WSAEINVAL;
}

INT WSPAPI spi_address_to_string(LPSOCKADDR address, DWORD address_bytes, LPWSAPROTOCOL_INFOW info,
                                 LPWSTR string, LPDWORD string_chars, LPINT error)
{
    WCHAR text[IPV6_TEXT_CHARS];
    DWORD needed_chars = 0;
    if (!spi_started()) {
        return spi_fail(error, WSANOTINITIALISED);
    }
    if (address == NULL || string_chars == NULL || address_bytes < sizeof(SOCKADDR_IN)) {
        return spi_fail(error, WSAEINVAL);
    }
    if (!spi_can_read(address, address_bytes) ||
        !spi_can_write(string_chars, sizeof(*string_chars))) {
        return spi_fail(error, WSAEFAULT);
    }
    if (!address_info_ok(info, address->sa_family) ||
        address_text(address, address_bytes, text, &needed_chars) != 0) {
        return spi_fail(error, WSAEINVAL);
    }
    if (*string_chars < needed_chars || !spi_can_write(string, needed_chars * sizeof(WCHAR))) {
        *string_chars = needed_chars;
        return spi_fail(error, WSAEFAULT);
    }
    memcpy(string, text, needed_chars * sizeof(WCHAR));
    *string_chars = needed_chars;
    return 0;
}

/* ---- from text ---- */

/* A decimal number up to most, of no more digits than a port has; leaves *text behind it. */
static bool take_number(const WCHAR **text, unsigned most, unsigned *out)
{
    const WCHAR *at = *text;
    unsigned value = 0;
    while (*at >= L'0' && *at <= L'9') {
        value = value * 10 + (unsigned)(*at - L'0');
        if (value > most || at - *text == 5) {
            return false;
        }
        at++;
    }
    if (at == *text) {
        return false;
    }
    *text = at;
    *out = value;
    return true;
}

/* Four decimal octets and, after a colon, a port. */
static bool address_scan(const WCHAR *text, SOCKADDR_IN *out)
{
    unsigned char octets[4];
    unsigned value;
    for (unsigned i = 0; i < 4; i++) {
        if (i != 0 && *text++ != L'.') {
            return false;
        }
        if (!take_number(&text, 255, &value)) {
            return false;
        }
        octets[i] = (unsigned char)value;
    }
    *out = (SOCKADDR_IN){.sin_family = AF_INET};
    memcpy(&out->sin_addr, octets, sizeof(octets));
    if (*text == L':') {
        text++;
        if (!take_number(&text, 65535, &value)) {
            return false;
        }
        out->sin_port = __builtin_bswap16((uint16_t)value);
    }
    return *text == L'\0';
}

/* Up to the terminator or to more than an address can have; false: not readable so far. */
static bool text_copy(const WCHAR *string, WCHAR copy[IPV6_TEXT_CHARS + 1])
{
    for (size_t i = 0; i < IPV6_TEXT_CHARS; i++) {
        if (!spi_can_read(string + i, sizeof(WCHAR))) {
            return false;
        }
        copy[i] = string[i];
        if (copy[i] == L'\0') {
            return true;
        }
    }
    copy[IPV6_TEXT_CHARS - 1] = L'?'; /* too long to be an address: nothing that parses */
    copy[IPV6_TEXT_CHARS] = L'\0';
    return true;
}

INT WSPAPI spi_string_to_address(LPWSTR string, INT family, LPWSAPROTOCOL_INFOW info,
                                 LPSOCKADDR address, LPINT address_bytes, LPINT error)
{
    WCHAR copy[IPV6_TEXT_CHARS + 1];
    SOCKADDR_IN in;
    SOCKADDR_IN6 in6;
    if (!spi_started()) {
        return spi_fail(error, WSANOTINITIALISED);
    }
    if (string == NULL || (family != AF_INET && family != AF_INET6 && family != AF_UNSPEC) ||
        (family != AF_UNSPEC && !address_info_ok(info, family))) {
        return spi_fail(error, WSAEINVAL);
    }
    if (!text_copy(string, copy) || !spi_can_write(address_bytes, sizeof(*address_bytes))) {
        return spi_fail(error, WSAEFAULT);
    }
    bool is_v4 = family != AF_INET6 && address_scan(copy, &in);
    if (!is_v4 && (family == AF_INET || !ipv6_text_scan(copy, &in6))) {
        return spi_fail(error, WSAEINVAL);
    }
    int needed_bytes = is_v4 ? (int)sizeof(in) : (int)sizeof(in6);
    if (*address_bytes < needed_bytes || !spi_can_write(address, (size_t)needed_bytes)) {
        *address_bytes = needed_bytes;
        return spi_fail(error, WSAEFAULT);
    }
    memcpy(address, is_v4 ? (const void *)&in : (const void *)&in6, (size_t)needed_bytes);
    *address_bytes = needed_bytes;
    return 0;
}
