/*
 * IPv6 addresses as text. Shared with host_winsock. Pure functions; any thread.
 */
#ifndef RINGSOCK_PROVIDER_SPI_IPV6_TEXT_H
#define RINGSOCK_PROVIDER_SPI_IPV6_TEXT_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdbool.h>

/* The longest text, with scope, port and terminator. */
#define IPV6_TEXT_CHARS (sizeof("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535"))

/* "2001:db8::1", "::ffff:192.0.2.1"; "%7" behind it for a scope, and "[...]:80" around it for a
 * port that is not 0. Returns the characters written, with the terminator. */
DWORD ipv6_text_print(const SOCKADDR_IN6 *in, WCHAR text[IPV6_TEXT_CHARS]);
/* All of those forms, and "[...]" without a port. False: it is none. Fills all of *out. */
bool ipv6_text_scan(const WCHAR *text, SOCKADDR_IN6 *out);

#endif
