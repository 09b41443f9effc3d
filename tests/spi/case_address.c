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
    SOCKADDR_IN in = spi_at("192.0.2.1", 80);
    in.sin_family = AF_IPX;
    FAILS(WSAEINVAL, to_string(&in, text, &chars));
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
    FAILS(WSAEINVAL, from_string(L"192.0.2.1", AF_IPX, &in, &bytes));
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

/* ---- IPv6 ---- */

static int from_string6(const WCHAR *text, int family, SOCKADDR_IN6 *in6, int *bytes)
{
    return TABLE->lpWSPStringToAddress((LPWSTR)(uintptr_t)text, family, NULL, (LPSOCKADDR)in6,
                                       bytes, &spi_error);
}

static int to_string6(const SOCKADDR_IN6 *in6, WCHAR *text, DWORD *chars)
{
    return TABLE->lpWSPAddressToString((LPSOCKADDR)(uintptr_t)in6, sizeof(*in6), NULL, text, chars,
                                       &spi_error);
}

/* Read, it is these groups; printed, it is this text. */
static void both6(const WCHAR *text, const u_short groups[8], unsigned port, ULONG scope,
                  const WCHAR *printed)
{
    SOCKADDR_IN6 in6;
    WCHAR back[80];
    DWORD chars = 80;
    int bytes = sizeof(in6);
    memset(&in6, 0xaa, sizeof(in6));
    OK(from_string6(text, AF_INET6, &in6, &bytes));
    assert_int_equal(bytes, sizeof(in6));
    assert_int_equal(in6.sin6_family, AF_INET6);
    assert_int_equal(in6.sin6_port, __builtin_bswap16((u_short)port));
    assert_int_equal(in6.sin6_scope_id, scope);
    assert_int_equal(in6.sin6_flowinfo, 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(in6.sin6_addr.s6_words[i], __builtin_bswap16(groups[i]));
    }
    OK(to_string6(&in6, back, &chars));
    if (wcscmp(back, printed) != 0) {
        fail_msg("%ls printed as %ls, %ls expected", text, back, printed);
    }
    assert_int_equal(chars, wcslen(printed) + 1);
}

CASE(WSPStringToAddress, parse6_forms, "IPv6: eight groups, any run of zeros left out")
{
    both6(L"2001:db8:1:2:3:4:5:6", (u_short[]){0x2001, 0xdb8, 1, 2, 3, 4, 5, 6}, 0, 0,
          L"2001:db8:1:2:3:4:5:6");
    both6(L"::", (u_short[8]){0}, 0, 0, L"::");
    both6(L"::1", (u_short[8]){[7] = 1}, 0, 0, L"::1");
    both6(L"FE80::", (u_short[8]){0xfe80}, 0, 0, L"fe80::");
    both6(L"1:0:0:2:0:0:0:3", (u_short[8]){1, 0, 0, 2, 0, 0, 0, 3}, 0, 0, L"1:0:0:2::3");
    both6(L"1::2:3:4:5:6:7", (u_short[8]){1, 0, 2, 3, 4, 5, 6, 7}, 0, 0, L"1:0:2:3:4:5:6:7");
}

CASE(WSPStringToAddress, parse6_mapped, "IPv6: the last 32 bits as IPv4")
{
    both6(L"::ffff:192.0.2.1", (u_short[8]){[5] = 0xffff, 0xc000, 0x201}, 0, 0,
          L"::ffff:192.0.2.1");
    both6(L"1:2:3:4:5:6:255.255.0.1", (u_short[8]){1, 2, 3, 4, 5, 6, 0xffff, 1}, 0, 0,
          L"1:2:3:4:5:6:ffff:1");
}

CASE(WSPStringToAddress, parse6_port, "IPv6: brackets around the address before a port")
{
    both6(L"[::1]:80", (u_short[8]){[7] = 1}, 80, 0, L"[::1]:80");
    both6(L"[2001:db8::5]", (u_short[8]){0x2001, 0xdb8, [7] = 5}, 0, 0, L"2001:db8::5");
    both6(L"[::ffff:1.2.3.4]:65535", (u_short[8]){[5] = 0xffff, 0x102, 0x304}, 65535, 0,
          L"[::ffff:1.2.3.4]:65535");
}

CASE(WSPStringToAddress, parse6_scope, "IPv6: the scope behind a percent sign")
{
    both6(L"fe80::1%7", (u_short[8]){0xfe80, [7] = 1}, 0, 7, L"fe80::1%7");
    both6(L"[fe80::1%4294967295]:9", (u_short[8]){0xfe80, [7] = 1}, 9, UINT32_MAX,
          L"[fe80::1%4294967295]:9");
}

CASE(WSPStringToAddress, parse6_refused, "IPv6: what is none is WSAEINVAL")
{
    static const WCHAR *const texts[] = {L"",
                                         L":",
                                         L":::",
                                         L"1:2:3:4:5:6:7",
                                         L"1:2:3:4:5:6:7:8:9",
                                         L"1::2::3",
                                         L"12345::",
                                         L"::g",
                                         L"::1:",
                                         L"1:2:3:4:5:6:7:8::",
                                         L"::1.2.3",
                                         L"::1.2.3.4.5",
                                         L"::1.2.3.256",
                                         L"[::1",
                                         L"[::1]:",
                                         L"[::1]:65536",
                                         L"[::1]80",
                                         L"::1%",
                                         L"::1%4294967296",
                                         L"::1:80:",
                                         L"1:2:3:4:5:6:7:1.2.3.4",
                                         L"::1 ",
                                         L" ::1",
                                         L"[[::1]]"};
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        SOCKADDR_IN6 in6;
        int bytes = sizeof(in6);
        spi_error = 0;
        if (from_string6(texts[i], AF_INET6, &in6, &bytes) == 0 || spi_error != WSAEINVAL) {
            fail_msg("'%ls': error %d, WSAEINVAL expected", texts[i], spi_error);
        }
    }
}

CASE(WSPStringToAddress, parse6_family, "a text of the other family is WSAEINVAL")
{
    SOCKADDR_IN6 in6;
    int bytes = sizeof(in6);
    FAILS(WSAEINVAL, from_string6(L"192.0.2.1", AF_INET6, &in6, &bytes));
    FAILS(WSAEINVAL, from_string6(L"::1", AF_INET, &in6, &bytes));
    OK(from_string6(L"::1", AF_UNSPEC, &in6, &bytes));
    assert_int_equal(in6.sin6_family, AF_INET6);
}

CASE(WSPStringToAddress, parse6_small, "IPv6: a small buffer is WSAEFAULT and told the size")
{
    SOCKADDR_IN6 in6;
    int bytes = sizeof(SOCKADDR_IN);
    FAILS(WSAEFAULT, from_string6(L"::1", AF_INET6, &in6, &bytes));
    assert_int_equal(bytes, sizeof(in6));
}

CASE(WSPAddressToString, print6_short, "an IPv6 address cut short is WSAEINVAL")
{
    WCHAR text[80];
    DWORD chars = 80;
    SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6};
    FAILS(WSAEINVAL, TABLE->lpWSPAddressToString((LPSOCKADDR)&in6, sizeof(in6) - 1, NULL, text,
                                                 &chars, &spi_error));
}

CASE(WSPAddressToString, print6_round, "IPv6: what was printed comes back, 1000 of them")
{
    uint32_t random = 21;
    for (unsigned i = 0; i < 1000; i++) {
        WCHAR text[80];
        DWORD chars = 80;
        SOCKADDR_IN6 in6 = {.sin6_family = AF_INET6};
        SOCKADDR_IN6 back;
        int bytes = sizeof(back);
        for (unsigned k = 0; k < 8; k++) {
            random = random * 1664525u + 1013904223u;
            in6.sin6_addr.s6_words[k] = (random & 0x300000u) != 0 ? 0 : (u_short)(random >> 16);
        }
        in6.sin6_port = (u_short)(random >> 8);
        in6.sin6_scope_id = (random & 0x100u) != 0 ? random : 0;
        OK(to_string6(&in6, text, &chars));
        OK(from_string6(text, AF_INET6, &back, &bytes));
        assert_memory_equal(&in6, &back, sizeof(in6));
    }
}
