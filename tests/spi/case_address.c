/*
 * Cases of WSPAddressToString and WSPStringToAddress; no dataplane is needed.
 */
#include <stdio.h>
#include <string.h>

#include "tests/spi/spi_test.h"

static int to_string(const SOCKADDR_IN *in, WCHAR *text, DWORD *chars)
{
    return TABLE->lpWSPAddressToString((LPSOCKADDR)(uintptr_t)in, sizeof(*in), &provider.info, text,
                                       chars, &spi_error);
}

static void prints(const char *ip, unsigned port, const WCHAR *expected)
{
    WCHAR text[32];
    DWORD chars = 32;
    SOCKADDR_IN in = spi_at(ip, port);
    OK(to_string(&in, text, &chars));
    assert_int_equal(wcscmp(text, expected), 0);
    assert_int_equal(chars, wcslen(expected) + 1);
}

CASE(WSPAddressToString, print_port, "address and port, separated by a colon")
{
    prints("192.0.2.1", 80, L"192.0.2.1:80");
}

CASE(WSPAddressToString, print_no_port, "port 0 is left out")
{
    prints("192.0.2.1", 0, L"192.0.2.1");
}

CASE(WSPAddressToString, print_ends, "smallest and largest address")
{
    prints("0.0.0.0", 0, L"0.0.0.0");
    prints("255.255.255.255", 65535, L"255.255.255.255:65535");
}

CASE(WSPAddressToString, print_small, "a small buffer is WSAEFAULT and told the length it needs")
{
    WCHAR text[32] = L"untouched";
    DWORD chars = 12;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    FAILS(WSAEFAULT, to_string(&in, text, &chars));
    assert_int_equal(chars, 13);
    assert_int_equal(wcscmp(text, L"untouched"), 0);
}

CASE(WSPAddressToString, print_exact,
     "a buffer of exactly the length serves, the terminator counts")
{
    WCHAR text[13];
    DWORD chars = 13;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    OK(to_string(&in, text, &chars));
    assert_int_equal(chars, 13);
}

CASE(WSPAddressToString, print_query, "length 0 without a buffer asks for the length")
{
    DWORD chars = 0;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    FAILS(WSAEFAULT, to_string(&in, NULL, &chars));
    assert_int_equal(chars, 13);
}

CASE(WSPAddressToString, print_family, "an address of another family is WSAEINVAL")
{
    WCHAR text[64];
    DWORD chars = 64;
    SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6};
    FAILS(WSAEINVAL, TABLE->lpWSPAddressToString((LPSOCKADDR)&in6, sizeof(in6), NULL, text, &chars,
                                                 &spi_error));
}

CASE(WSPAddressToString, print_short, "an address cut short is WSAEINVAL")
{
    WCHAR text[64];
    DWORD chars = 64;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    FAILS(WSAEINVAL, TABLE->lpWSPAddressToString((LPSOCKADDR)&in, sizeof(in) - 1, NULL, text,
                                                 &chars, &spi_error));
}

CASE(WSPAddressToString, print_null, "no address, or no length, is WSAEINVAL")
{
    WCHAR text[64];
    DWORD chars = 64;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    FAILS(WSAEINVAL, TABLE->lpWSPAddressToString(NULL, 16, NULL, text, &chars, &spi_error));
    FAILS(WSAEINVAL, to_string(&in, text, NULL));
}

CASE(WSPAddressToString, print_info, "another provider's protocol information is WSAEINVAL")
{
    WCHAR text[64];
    DWORD chars = 64;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    WSAPROTOCOL_INFOW other = {.iAddressFamily = AF_INET6};
    FAILS(WSAEINVAL, TABLE->lpWSPAddressToString((LPSOCKADDR)&in, sizeof(in), &other, text, &chars,
                                                 &spi_error));
}

CASE(WSPAddressToString, print_fault, "memory that cannot be used is WSAEFAULT")
{
    WCHAR text[64];
    DWORD chars = 64;
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    FAILS(WSAEFAULT, to_string(spi_bad_pointer(), text, &chars));
    FAILS(WSAEFAULT, to_string(&in, spi_bad_pointer(), &chars));
    FAILS(WSAEFAULT, to_string(&in, spi_read_only_page(), &chars));
    FAILS(WSAEFAULT, to_string(&in, text, spi_bad_pointer()));
}

/* ---- from text ---- */

static int from_string(const WCHAR *text, int family, SOCKADDR_IN *in, int *bytes)
{
    return TABLE->lpWSPStringToAddress((LPWSTR)(uintptr_t)text, family, &provider.info,
                                       (LPSOCKADDR)in, bytes, &spi_error);
}

static void parses(const WCHAR *text, const char *ip, unsigned port)
{
    SOCKADDR_IN in;
    SOCKADDR_IN expected = spi_at(ip, port);
    int bytes = sizeof(in);
    memset(&in, 0xaa, sizeof(in));
    OK(from_string(text, AF_INET, &in, &bytes));
    assert_int_equal(bytes, sizeof(in));
    assert_memory_equal(&in, &expected, sizeof(in));
}

static void refuses(const WCHAR *text)
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEINVAL, from_string(text, AF_INET, &in, &bytes));
}

CASE(WSPStringToAddress, parse_port, "address and port")
{
    parses(L"192.0.2.1:80", "192.0.2.1", 80);
    parses(L"255.255.255.255:65535", "255.255.255.255", 65535);
}

CASE(WSPStringToAddress, parse_default_port, "a missing port is 0")
{
    parses(L"192.0.2.1", "192.0.2.1", 0);
}

CASE(WSPStringToAddress, parse_unspec, "AF_UNSPEC: the family is known from the text")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    OK(from_string(L"192.0.2.1:7", AF_UNSPEC, &in, &bytes));
    assert_int_equal(in.sin_family, AF_INET);
}

CASE(WSPStringToAddress, parse_family, "a family it does not serve is WSAEINVAL")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEINVAL, from_string(L"192.0.2.1", AF_INET6, &in, &bytes));
}

CASE(WSPStringToAddress, parse_octet, "an octet over 255 is WSAEINVAL")
{
    refuses(L"192.0.2.256");
    refuses(L"192.0.2.99999999999");
}

CASE(WSPStringToAddress, parse_parts, "fewer or more than four octets are WSAEINVAL")
{
    refuses(L"192.0.2");
    refuses(L"192.0.2.");
    refuses(L"192.0.2.1.1");
    refuses(L"");
}

CASE(WSPStringToAddress, parse_bad_port, "a port over 65535 or no number is WSAEINVAL")
{
    refuses(L"192.0.2.1:65536");
    refuses(L"192.0.2.1:");
    refuses(L"192.0.2.1:8x");
}

CASE(WSPStringToAddress, parse_garbage, "anything else is WSAEINVAL, whatever its length")
{
    refuses(L"localhost");
    refuses(L" 192.0.2.1");
    refuses(L"192.0.2.1 ");
    refuses(L"192.000000000000000000000000000000000000000000000000.2.1");
}

CASE(WSPStringToAddress, parse_small, "a small buffer is WSAEFAULT and told the size it needs")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in) - 1;
    FAILS(WSAEFAULT, from_string(L"192.0.2.1", AF_INET, &in, &bytes));
    assert_int_equal(bytes, sizeof(in));
}

CASE(WSPStringToAddress, parse_null, "no text is WSAEINVAL")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEINVAL, from_string(NULL, AF_INET, &in, &bytes));
}

CASE(WSPStringToAddress, parse_fault, "memory that cannot be used is WSAEFAULT")
{
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEFAULT, from_string(spi_bad_pointer(), AF_INET, &in, &bytes));
    FAILS(WSAEFAULT, from_string(L"192.0.2.1", AF_INET, spi_bad_pointer(), &bytes));
    FAILS(WSAEFAULT, from_string(L"192.0.2.1", AF_INET, &in, NULL));
}

CASE(WSPStringToAddress, parse_edge, "a text that ends with its page is read no further")
{
    char *pages = VirtualAlloc(NULL, 8192, MEM_RESERVE, PAGE_NOACCESS);
    assert_non_null(VirtualAlloc(pages, 4096, MEM_COMMIT, PAGE_READWRITE));
    static const WCHAR text[] = L"192.0.2.1:80";
    WCHAR *at = (WCHAR *)(void *)(pages + 4096 - sizeof(text));
    memcpy(at, text, sizeof(text));
    parses(at, "192.0.2.1", 80);
    memcpy(pages + 4096 - 4, L"1.", 4);
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    FAILS(WSAEFAULT, from_string((WCHAR *)(void *)(pages + 4096 - 4), AF_INET, &in, &bytes));
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(WSPStringToAddress, parse_round, "what WSPAddressToString printed comes back, 1000 of them")
{
    uint32_t random = 20;
    for (unsigned i = 0; i < 1000; i++) {
        WCHAR text[32];
        DWORD chars = 32;
        SOCKADDR_IN in = {.sin_family = AF_INET};
        SOCKADDR_IN back;
        int bytes = sizeof(back);
        random = random * 1664525u + 1013904223u;
        in.sin_addr.s_addr = random;
        random = random * 1664525u + 1013904223u;
        in.sin_port = (u_short)(random >> 16);
        OK(to_string(&in, text, &chars));
        OK(from_string(text, AF_INET, &back, &bytes));
        assert_memory_equal(&in, &back, sizeof(in));
    }
}
