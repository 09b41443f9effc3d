/*
 * Numbers, addresses and names as text for a person. Pure but for ctl_item and ctl_words,
 * which print.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "provider/ctl/ctl.h"
#include "rings/byteorder.h"

struct ctl_text ctl_number(uint64_t value)
{
    char digits[24];
    struct ctl_text out;
    int count = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0) {
            out.bytes[used++] = ',';
        }
        out.bytes[used++] = digits[i];
    }
    out.bytes[used] = '\0';
    return out;
}

struct ctl_text ctl_bytes(uint64_t value)
{
    static const char *const units[] = {"", " KiB", " MiB", " GiB", " TiB"};
    struct ctl_text out;
    double scaled = (double)value;
    size_t unit = 0;
    if (value == RS_REPORT_UNKNOWN) {
        (void)snprintf(out.bytes, sizeof(out.bytes), "unknown");
        return out;
    }
    while (scaled >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        scaled /= 1024;
        unit++;
    }
    bool whole = scaled == (double)(uint64_t)scaled;
    (void)snprintf(out.bytes, sizeof(out.bytes), "%.*f%s", whole ? 0 : 1, scaled, units[unit]);
    return out;
}

struct ctl_text ctl_seconds(double seconds)
{
    struct ctl_text out;
    uint64_t whole = (uint64_t)seconds;
    if (whole < 60) {
        (void)snprintf(out.bytes, sizeof(out.bytes), "%.1f s", seconds);
    } else if (whole < 3600) {
        (void)snprintf(out.bytes, sizeof(out.bytes), "%" PRIu64 " min %" PRIu64 " s", whole / 60,
                       whole % 60);
    } else if (whole < 86400) {
        (void)snprintf(out.bytes, sizeof(out.bytes), "%" PRIu64 " h %" PRIu64 " min", whole / 3600,
                       whole % 3600 / 60);
    } else {
        (void)snprintf(out.bytes, sizeof(out.bytes), "%" PRIu64 " d %" PRIu64 " h", whole / 86400,
                       whole % 86400 / 3600);
    }
    return out;
}

struct ctl_text ctl_time(uint64_t unix_ns)
{
    static const uint8_t days_of[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct ctl_text out;
    uint64_t second = unix_ns / 1000000000 % 86400;
    uint32_t day = (uint32_t)(unix_ns / 1000000000 / 86400); /* in the end, of the month */
    uint32_t year = 1970, month = 0;
    bool leap;
    for (;; year++) { /* up to 2554, the last that 64 bits of ns can name */
        leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        if (day < 365u + leap) {
            break;
        }
        day -= 365u + leap;
    }
    for (; day >= days_of[month] + (month == 1 && leap ? 1u : 0u); month++) {
        day -= days_of[month] + (month == 1 && leap ? 1u : 0u);
    }
    (void)snprintf(out.bytes, sizeof(out.bytes),
                   "%" PRIu32 "-%02" PRIu32 "-%02" PRIu32 " %02u:%02u:%02u.%09u", year, month + 1,
                   day + 1, (unsigned)(second / 3600), (unsigned)(second / 60 % 60),
                   (unsigned)(second % 60), (unsigned)(unix_ns % 1000000000));
    return out;
}

struct ctl_text ctl_ipv4(uint32_t ip_be32)
{
    struct ctl_text out;
    uint8_t bytes[4];
    memcpy(bytes, &ip_be32, sizeof(bytes));
    (void)snprintf(out.bytes, sizeof(out.bytes), "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2],
                   bytes[3]);
    return out;
}

struct ctl_text ctl_address(const struct rs_addr *addr)
{
    struct ctl_text out;
    if (addr->family == RS_FAMILY_IPV4 && addr->ip.v4_be32 != 0) {
        (void)snprintf(out.bytes, sizeof(out.bytes), "%.15s:%u", ctl_ipv4(addr->ip.v4_be32).bytes,
                       rs_be16(addr->port_be16));
    } else if (addr->family == RS_FAMILY_IPV4) {
        (void)snprintf(out.bytes, sizeof(out.bytes), "*:%u", rs_be16(addr->port_be16));
    } else {
        (void)snprintf(out.bytes, sizeof(out.bytes), "%s",
                       addr->family == RS_FAMILY_NONE ? "-" : "?");
    }
    return out;
}

struct ctl_text ctl_mac(const uint8_t mac[6])
{
    struct ctl_text out;
    (void)snprintf(out.bytes, sizeof(out.bytes), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                   mac[2], mac[3], mac[4], mac[5]);
    return out;
}

void ctl_clean(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)(*text >= 0x20 && *text < 0x7f ? *text : '?');
    }
}

struct ctl_text ctl_printable(const uint8_t *text)
{
    struct ctl_text out;
    (void)snprintf(out.bytes, sizeof(out.bytes), "%s", (const char *)text);
    ctl_clean(out.bytes);
    return out;
}

const char *ctl_kind(uint32_t kind)
{
    switch (kind) {
    case RS_NIC_LOOPBACK:
        return "loopback";
    case RS_NIC_BYPASS:
        return "bypass";
    case RS_NIC_FUNCTIONAL:
        return "functional, not bypass";
    default:
        return "unknown";
    }
}

const char *ctl_session_state(uint32_t state)
{
    static const char *const names[] = {"live", "ending", "ended", "poisoned"};
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *ctl_socket_state(uint32_t state)
{
    static const char *const names[] = {"open", "bound", "connected", "closing"};
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

struct ctl_text ctl_stream_state(const struct rs_report_view *report,
                                 const struct rs_report_socket *socket)
{
    struct ctl_text text = {""};
    struct rs_report_name name = {""};
    bool has = (socket->flags & RS_REPORT_SOCKET_CONNECTION) != 0 ||
               ((socket->flags & (RS_REPORT_SOCKET_UNTOLD | RS_REPORT_SOCKET_PLACE)) == 0 &&
                socket->tcp.state == RS_TCP_LISTEN);
    if (has && socket->tcp.state < rs_report_count(report, RS_REPORT_TCP_STATES)) {
        rs_report_tcp_state_get(report, socket->tcp.state, &name);
        return ctl_printable(name.name);
    }
    (void)snprintf(text.bytes, sizeof(text.bytes), "%s",
                   (socket->flags & RS_REPORT_SOCKET_PLACE) != 0 ? "place"
                                                                 : ctl_socket_state(socket->state));
    return text;
}

uint32_t ctl_item(const char *words, const char *separator, uint32_t column, uint32_t indent)
{
    uint32_t separated = (uint32_t)strlen(separator);
    uint32_t length = (uint32_t)strlen(words);
    if (column > indent) {
        bool fits = column + separated + 1 + length < CTL_WIDTH;
        (void)printf("%s%s%*s", separator, fits ? " " : "\n", fits ? 0 : (int)indent, "");
        column = fits ? column + separated + 1 : indent;
    }
    (void)fputs(words, stdout);
    return column + length;
}

void ctl_words(char *words, uint32_t indent)
{
    uint32_t column = indent;
    for (char *next, *word = words; *word != '\0'; word = next) {
        next = word + strcspn(word, " ");
        if (*next == ' ') {
            *next++ = '\0';
        }
        column = ctl_item(word, "", column, indent);
    }
}

double ctl_rate(const struct ctl_view *view, uint64_t now, uint64_t before)
{
    uint64_t grown = now - (view->before != NULL ? before : 0);
    return view->seconds > 0 ? (double)grown / view->seconds : 0;
}
