/*
 * Addresses as text: "192.0.2.1:80", or "192.0.2.1" for port 0. No dataplane is needed. Any thread.
 */
#include <string.h>

#include "provider/spi/spi.h"

#define TEXT_CHARS sizeof("255.255.255.255:65535")

/* info names the provider; NULL is how some callers say "any". */
static bool address_info_ok(const WSAPROTOCOL_INFOW *info)
{
    return info == NULL || (spi_can_read(info, sizeof(*info)) && info->iAddressFamily == AF_INET);
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
static DWORD address_print(const struct rs_addr *addr, WCHAR text[TEXT_CHARS])
{
    const unsigned char *octets = (const unsigned char *)&addr->ip.v4_be32;
    WCHAR *at = text;
    for (unsigned i = 0; i < 4; i++) {
        at = put_number(at, octets[i]);
        *at++ = L'.';
    }
    at[-1] = L':';
    if (addr->port_be16 == 0) {
        at--;
    } else {
        at = put_number(at, __builtin_bswap16(addr->port_be16));
    }
    *at++ = L'\0';
    return (DWORD)(at - text);
}

INT WSPAPI spi_address_to_string(LPSOCKADDR address, DWORD address_bytes, LPWSAPROTOCOL_INFOW info,
                                 LPWSTR string, LPDWORD string_chars, LPINT error)
{
    struct rs_addr addr;
    WCHAR text[TEXT_CHARS];
    if (!spi_started()) {
        return spi_fail(error, WSANOTINITIALISED);
    }
    if (address == NULL || string_chars == NULL || address_bytes > INT_MAX ||
        address_bytes < sizeof(SOCKADDR_IN) || !address_info_ok(info)) {
        return spi_fail(error, WSAEINVAL);
    }
    int code = spi_sockaddr_read(address, (int)address_bytes, &addr);
    if (code != 0 || !spi_can_write(string_chars, sizeof(*string_chars))) {
        return spi_fail(error, code == WSAEAFNOSUPPORT ? WSAEINVAL : WSAEFAULT);
    }
    DWORD needed_chars = address_print(&addr, text);
    if (*string_chars < needed_chars || !spi_can_write(string, needed_chars * sizeof(WCHAR))) {
        *string_chars = needed_chars;
        return spi_fail(error, WSAEFAULT);
    }
    memcpy(string, text, needed_chars * sizeof(WCHAR));
    *string_chars = needed_chars;
    return 0;
}

/* ---- from text ---- */

/* A decimal number up to most; leaves *text behind it. */
static bool take_number(const WCHAR **text, unsigned most, unsigned *out)
{
    const WCHAR *at = *text;
    unsigned value = 0;
    while (*at >= L'0' && *at <= L'9') {
        value = value * 10 + (unsigned)(*at - L'0');
        if (value > most) {
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
static bool address_scan(const WCHAR *text, struct rs_addr *out)
{
    unsigned char octets[4];
    unsigned value;
    uint32_t ip_be32;
    for (unsigned i = 0; i < 4; i++) {
        if (i != 0 && *text++ != L'.') {
            return false;
        }
        if (!take_number(&text, 255, &value)) {
            return false;
        }
        octets[i] = (unsigned char)value;
    }
    memcpy(&ip_be32, octets, sizeof(ip_be32));
    *out = rs_addr_v4(ip_be32, 0);
    if (*text == L':') {
        text++;
        if (!take_number(&text, 65535, &value)) {
            return false;
        }
        out->port_be16 = __builtin_bswap16((uint16_t)value);
    }
    return *text == L'\0';
}

/* Up to the terminator or to more than an address can have; false: not readable so far. */
static bool text_copy(const WCHAR *string, WCHAR copy[TEXT_CHARS + 1])
{
    for (size_t i = 0; i < TEXT_CHARS; i++) {
        if (!spi_can_read(string + i, sizeof(WCHAR))) {
            return false;
        }
        copy[i] = string[i];
        if (copy[i] == L'\0') {
            return true;
        }
    }
    copy[TEXT_CHARS - 1] = L'?'; /* too long to be an address: nothing that parses */
    copy[TEXT_CHARS] = L'\0';
    return true;
}

INT WSPAPI spi_string_to_address(LPWSTR string, INT family, LPWSAPROTOCOL_INFOW info,
                                 LPSOCKADDR address, LPINT address_bytes, LPINT error)
{
    WCHAR copy[TEXT_CHARS + 1];
    struct rs_addr addr;
    if (!spi_started()) {
        return spi_fail(error, WSANOTINITIALISED);
    }
    if (string == NULL || (family != AF_INET && family != AF_UNSPEC) || !address_info_ok(info)) {
        return spi_fail(error, WSAEINVAL);
    }
    if (!text_copy(string, copy) || !spi_can_write(address_bytes, sizeof(*address_bytes))) {
        return spi_fail(error, WSAEFAULT);
    }
    if (!address_scan(copy, &addr)) {
        return spi_fail(error, WSAEINVAL);
    }
    if (*address_bytes < (int)sizeof(SOCKADDR_IN) || !spi_can_write(address, sizeof(SOCKADDR_IN))) {
        *address_bytes = sizeof(SOCKADDR_IN);
        return spi_fail(error, WSAEFAULT);
    }
    spi_sockaddr_write(&addr, address, address_bytes);
    return 0;
}
