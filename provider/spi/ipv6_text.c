/*
 * IPv6 addresses as text: the forms of RFC 4291 read, those of RFC 5952 written, with scope and
 * port as Windows writes them. Pure functions; any thread.
 */
#include "provider/spi/ipv6_text.h"

#include <stdint.h>
#include <string.h>

#define GROUPS 8u

/* ---- to text ---- */

static WCHAR *put_number(WCHAR *at, unsigned long value, unsigned base)
{
    WCHAR digits[10];
    unsigned count = 0;
    do {
        digits[count++] = L"0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count != 0) {
        *at++ = digits[--count];
    }
    return at;
}

static WCHAR *put_dotted(WCHAR *at, const unsigned char *octets)
{
    for (unsigned i = 0; i < 4; i++) {
        at = put_number(at, octets[i], 10);
        *at++ = L'.';
    }
    return at - 1;
}

static unsigned group_of(const unsigned char *octets, unsigned i)
{
    return (unsigned)octets[2 * i] << 8 | octets[2 * i + 1];
}

/* The first of the longest runs of at least two groups of zeros among the first `groups`. */
static unsigned longest_zeros(const unsigned char *octets, unsigned groups, unsigned *count)
{
    unsigned best = groups;
    *count = 1;
    for (unsigned i = 0, run; i < groups; i += run + 1) {
        for (run = 0; i + run < groups && group_of(octets, i + run) == 0; run++) {
        }
        if (run > *count) {
            best = i;
            *count = run;
        }
    }
    return best;
}

static bool is_mapped(const unsigned char *octets)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(octets, prefix, sizeof(prefix)) == 0;
}

static WCHAR *put_address(WCHAR *at, const unsigned char *octets)
{
    unsigned groups = is_mapped(octets) ? GROUPS - 2 : GROUPS;
    unsigned zeros;
    unsigned first = longest_zeros(octets, groups, &zeros);
    for (unsigned i = 0; i < groups; i++) {
        if (i == first) {
            *at++ = L':';
            i += zeros - 1;
            if (i + 1 == groups) {
                *at++ = L':';
            }
            continue;
        }
        if (i != 0) {
            *at++ = L':';
        }
        at = put_number(at, group_of(octets, i), 16);
    }
    if (groups != GROUPS) {
        *at++ = L':';
        at = put_dotted(at, octets + 12);
    }
    return at;
}

DWORD ipv6_text_print(const SOCKADDR_IN6 *in, WCHAR text[IPV6_TEXT_CHARS])
{
    WCHAR *at = text;
    if (in->sin6_port != 0) {
        *at++ = L'[';
    }
    at = put_address(at, (const unsigned char *)&in->sin6_addr);
    if (in->sin6_scope_id != 0) {
        *at++ = L'%';
        at = put_number(at, in->sin6_scope_id, 10);
    }
    if (in->sin6_port != 0) {
        *at++ = L']';
        *at++ = L':';
        at = put_number(at, __builtin_bswap16(in->sin6_port), 10);
    }
    *at++ = L'\0';
    return (DWORD)(at - text);
}

/* ---- from text ---- */

static unsigned digit_value(WCHAR digit)
{
    if (digit >= L'0' && digit <= L'9') {
        return (unsigned)(digit - L'0');
    }
    WCHAR lower = digit | 0x20;
    return lower >= L'a' && lower <= L'f' ? (unsigned)(lower - L'a') + 10 : 16;
}

/* At least one digit, at most `most`; leaves *text behind it. */
static bool take_number(const WCHAR **text, unsigned base, unsigned long most, unsigned long *out)
{
    const WCHAR *at = *text;
    unsigned long long value = 0;
    for (; digit_value(*at) < base; at++) {
        value = value * base + digit_value(*at);
        if (value > most) {
            return false;
        }
    }
    if (at == *text || (base == 16 && at - *text > 4)) {
        return false;
    }
    *text = at;
    *out = (unsigned long)value;
    return true;
}

static bool take_dotted(const WCHAR **text, unsigned char octets[4])
{
    unsigned long value;
    for (unsigned i = 0; i < 4; i++) {
        if (i != 0 && *(*text)++ != L'.') {
            return false;
        }
        if (!take_number(text, 10, 255, &value)) {
            return false;
        }
        octets[i] = (unsigned char)value;
    }
    return true;
}

static bool dotted_follows(const WCHAR *text)
{
    while (*text >= L'0' && *text <= L'9') {
        text++;
    }
    return *text == L'.';
}

/* Groups up to the end of the address; *gap is where "::" was, GROUPS when nowhere. Returns how
 * many, more than GROUPS for what is none. */
static unsigned take_groups(const WCHAR **text, unsigned char octets[16], unsigned *gap)
{
    unsigned count = 0;
    unsigned long value;
    *gap = GROUPS;
    if ((*text)[0] == L':' && (*text)[1] == L':') {
        *gap = 0;
        *text += 2;
    }
    while (digit_value(**text) < 16) {
        if (count + 2 <= GROUPS && dotted_follows(*text)) {
            return take_dotted(text, octets + (size_t)2 * count) ? count + 2 : GROUPS + 1;
        }
        if (count == GROUPS || !take_number(text, 16, 0xffff, &value)) {
            return GROUPS + 1;
        }
        octets[2 * count] = (unsigned char)(value >> 8);
        octets[2 * count + 1] = (unsigned char)value;
        count++;
        if (**text != L':') {
            return count;
        }
        (*text)++;
        if (**text == L':') {
            if (*gap != GROUPS || count == GROUPS) {
                return GROUPS + 1;
            }
            *gap = count;
            (*text)++;
        } else if (digit_value(**text) >= 16) {
            return GROUPS + 1; /* a colon at the end */
        }
    }
    return count;
}

static bool take_address(const WCHAR **text, unsigned char octets[16])
{
    unsigned gap;
    memset(octets, 0, 16);
    unsigned count = take_groups(text, octets, &gap);
    if (gap == GROUPS) {
        return count == GROUPS;
    }
    if (count >= GROUPS) {
        return false;
    }
    size_t behind = (size_t)2 * (count - gap);
    memmove(octets + 16 - behind, octets + (size_t)2 * gap, behind);
    memset(octets + (size_t)2 * gap, 0, 16 - behind - (size_t)2 * gap);
    return true;
}

bool ipv6_text_scan(const WCHAR *text, SOCKADDR_IN6 *out)
{
    bool bracket = *text == L'[';
    unsigned long value;
    memset(out, 0, sizeof(*out));
    out->sin6_family = AF_INET6;
    text += bracket;
    if (!take_address(&text, (unsigned char *)&out->sin6_addr)) {
        return false;
    }
    if (*text == L'%') {
        text++;
        if (!take_number(&text, 10, UINT32_MAX, &value)) {
            return false;
        }
        out->sin6_scope_id = value;
    }
    if (bracket) {
        if (*text++ != L']') {
            return false;
        }
        if (*text == L':') {
            text++;
            if (!take_number(&text, 10, 65535, &value)) {
                return false;
            }
            out->sin6_port = __builtin_bswap16((u_short)value);
        }
    }
    return *text == L'\0';
}
