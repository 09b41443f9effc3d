/*
 * Frames as text, see frame_text.h. Written for tests; reads headers with the wire files, but keeps
 * its own idea of what a right frame is.
 */
#include "frame_text.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/igmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

struct text {
    char *out;
    size_t size, used;
    bool checked;
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int written = vsnprintf(text->out + text->used, text->size - text->used, format, args);
    va_end(args);
    if (written > 0) {
        text->used += (size_t)written;
        text->used = text->used < text->size ? text->used : text->size - 1;
    }
}

static void say_ip(struct text *text, uint32_t ip_be32)
{
    char ip[INET_ADDRSTRLEN];
    say(text, "%s", inet_ntop(AF_INET, &ip_be32, ip, sizeof(ip)));
}

/* 02:00 and an IP: that host; a group's MAC: "group"; else the bytes. */
static void say_mac(struct text *text, const uint8_t mac[6])
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (ethernet_equal(mac, all)) {
        say(text, "all");
    } else if (mac[0] == 0x02 && mac[1] == 0x00) {
        uint32_t ip_be32;
        memcpy(&ip_be32, mac + 2, 4);
        say_ip(text, ip_be32);
    } else if (mac[0] == 0x01 && mac[1] == 0x00 && mac[2] == 0x5e) {
        say(text, "group");
    } else {
        say(text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    }
}

static void say_payload(struct text *text, const uint8_t *data, uint32_t len_bytes)
{
    if (len_bytes > 64) {
        say(text, "(%u bytes)", len_bytes);
        return;
    }
    say(text, "\"%.*s\"", (int)len_bytes, (const char *)data);
}

static void arp_text(struct text *text, const struct wire_ethernet *ethernet, const uint8_t *data,
                     uint32_t len_bytes)
{
    const struct wire_arp *arp = arp_check(data, len_bytes);
    if (arp == NULL) {
        say(text, "arp malformed");
        return;
    }
    if (text->checked && !ethernet_equal(ethernet->src, arp->sender_mac)) {
        say(text, "(sender MAC is not the frame's) ");
    }
    if (arp->op_be16 == rs_be16(ARP_REPLY)) {
        say(text, "arp ");
        say_ip(text, arp->sender_be32);
        say(text, " is-at ");
        say_mac(text, arp->sender_mac);
    } else if (arp->sender_be32 == 0) {
        say(text, "arp probe ");
        say_ip(text, arp->target_be32);
    } else if (arp->sender_be32 == arp->target_be32) {
        say(text, "arp announce ");
        say_ip(text, arp->target_be32);
    } else {
        say(text, "arp who-has ");
        say_ip(text, arp->target_be32);
        say(text, " tell ");
        say_ip(text, arp->sender_be32);
    }
    say(text, " > ");
    say_mac(text, ethernet->dst);
}

static void say_udp_ends(struct text *text, const struct wire_ipv4 *ip, const struct wire_udp *udp)
{
    say(text, "udp ");
    say_ip(text, ip->src_be32);
    say(text, ":%u > ", rs_be16(udp->src_port_be16));
    say_ip(text, ip->dst_be32);
    say(text, ":%u", rs_be16(udp->dst_port_be16));
}

static void udp_text(struct text *text, const struct wire_ipv4 *ip, const uint8_t *data,
                     uint32_t len_bytes)
{
    const struct wire_udp *udp = (const struct wire_udp *)data;
    if (udp_check(data, len_bytes) != UDP_CHECK_OK || rs_be16(udp->len_be16) != len_bytes) {
        say(text, "udp malformed");
        return;
    }
    if (text->checked &&
        (udp->checksum_be16 == 0 ||
         !udp_checksum_ok(data, (uint16_t)len_bytes, ip->src_be32, ip->dst_be32))) {
        say(text, "(bad udp checksum) ");
    }
    say_udp_ends(text, ip, udp);
    say(text, " ");
    say_payload(text, data + UDP_HEADER_BYTES, len_bytes - UDP_HEADER_BYTES);
    say(text, " ttl %u", ip->ttl);
    if (ip->tos != 0) {
        say(text, " tos %u", ip->tos);
    }
    if ((ip->fragment_be16 & rs_be16(IPV4_FLAG_DF)) != 0) {
        say(text, " df");
    }
}

static void icmp_text(struct text *text, const struct wire_ipv4 *ip, const uint8_t *data,
                      uint32_t len_bytes)
{
    const struct wire_icmp *icmp = icmp_check(data, len_bytes);
    if (icmp == NULL || !icmp_checksum_ok(data, len_bytes)) {
        say(text, "icmp malformed");
        return;
    }
    if (icmp->type == ICMP_ECHO_REPLY) {
        say(text, "icmp echo-reply ");
    } else if (icmp->type == ICMP_UNREACHABLE) {
        say(text, "icmp unreachable %u ", icmp->code);
    } else if (icmp->type == ICMP_TIME_EXCEEDED) {
        say(text, "icmp time-exceeded %u ", icmp->code);
    } else {
        say(text, "icmp type %u ", icmp->type);
    }
    say_ip(text, ip->src_be32);
    say(text, " > ");
    say_ip(text, ip->dst_be32);
    say(text, " ");
    uint32_t rest_bytes = len_bytes - ICMP_HEADER_BYTES;
    bool quotes = icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED;
    if (quotes && rest_bytes >= IPV4_HEADER_BYTES + UDP_HEADER_BYTES) {
        const struct wire_ipv4 *quoted = (const struct wire_ipv4 *)(data + ICMP_HEADER_BYTES);
        uint32_t header_bytes = ipv4_header_bytes(quoted);
        say(text, "[");
        if (quoted->protocol == IPV4_PROTOCOL_UDP &&
            rest_bytes >= header_bytes + UDP_HEADER_BYTES) {
            say_udp_ends(text, quoted,
                         (const struct wire_udp *)((const uint8_t *)quoted + header_bytes));
        } else {
            say(text, "protocol %u", quoted->protocol);
        }
        say(text, "]");
    } else {
        say_payload(text, data + ICMP_HEADER_BYTES, rest_bytes);
    }
}

static int compare_ip(const void *a, const void *b)
{
    uint32_t x;
    uint32_t y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    x = rs_be32(x);
    y = rs_be32(y);
    return x < y ? -1 : x > y;
}

/* Sources in rising order, so that a script need not know how the stack keeps them. */
static uint32_t record_text(struct text *text, const uint8_t *data, uint32_t len_bytes)
{
    static const char *const names[] = {"?", "IS_IN", "IS_EX", "TO_IN", "TO_EX", "ALLOW", "BLOCK"};
    const struct wire_igmp_record *record = (const struct wire_igmp_record *)data;
    uint32_t count = len_bytes >= IGMP_RECORD_BYTES ? rs_be16(record->source_count_be16) : 0;
    if (len_bytes < IGMP_RECORD_BYTES + 4 * count || record->type > 6 || count > 512) {
        say(text, " malformed record");
        return len_bytes;
    }
    say(text, " %s ", names[record->type]);
    say_ip(text, record->group_be32);
    say(text, " {");
    uint32_t sources[512];
    memcpy(sources, data + IGMP_RECORD_BYTES, 4 * (size_t)count);
    qsort(sources, count, 4, compare_ip);
    for (uint32_t i = 0; i < count && count <= 16; i++) {
        say(text, i == 0 ? "" : " ");
        say_ip(text, sources[i]);
    }
    if (count > 16) {
        say(text, "%u sources", count);
    }
    say(text, "}");
    return IGMP_RECORD_BYTES + 4 * count;
}

/* Version 3 reports go to 224.0.0.22, leaves to 224.0.0.2, v2 reports to their group; all with TTL
 * 1 and router alert. */
static void igmp_text(struct text *text, const struct wire_ipv4 *ip, const uint8_t *data,
                      uint32_t len_bytes)
{
    static const uint8_t router_alert[4] = {0x94, 0x04, 0, 0};
    const struct wire_igmp *igmp = (const struct wire_igmp *)data;
    if (len_bytes < IGMP_BYTES || !igmp_checksum_ok(data, len_bytes)) {
        say(text, "igmp malformed");
        return;
    }
    bool alert = ipv4_header_bytes(ip) == 24 && memcmp(ip + 1, router_alert, 4) == 0;
    if (text->checked && (ip->ttl != 1 || ip->tos != 0xc0 || !alert)) {
        say(text, "(wrong ttl, tos or options) ");
    }
    uint32_t dst_be32 = ip->dst_be32;
    if (igmp->type == IGMP_REPORT_V3) {
        const struct wire_igmp_report_v3 *report = (const struct wire_igmp_report_v3 *)data;
        say(text, "igmp v3%s", dst_be32 == 0x160000e0u ? "" : " (wrong destination)");
        uint32_t off = IGMP_REPORT_V3_BYTES;
        uint32_t records = rs_be16(report->record_count_be16);
        for (uint32_t i = 0; i < records; i++) {
            say(text, "%s", i == 0 ? "" : ",");
            off += record_text(text, data + off, len_bytes - off);
        }
        say(text, "%s", off == len_bytes ? "" : " (trailing bytes)");
    } else if (igmp->type == IGMP_REPORT_V2) {
        say(text, "igmp v2 report%s ", dst_be32 == igmp->group_be32 ? "" : " (wrong destination)");
        say_ip(text, igmp->group_be32);
    } else if (igmp->type == IGMP_LEAVE) {
        say(text, "igmp v2 leave%s ", dst_be32 == 0x020000e0u ? "" : " (wrong destination)");
        say_ip(text, igmp->group_be32);
    } else {
        say(text, "igmp type 0x%02x ", igmp->type);
        say_ip(text, igmp->group_be32);
    }
}

static void ipv4_text(struct text *text, const struct wire_ethernet *ethernet, const uint8_t *data,
                      uint32_t len_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;
    if (ipv4_check(data, len_bytes) != IPV4_CHECK_OK) {
        say(text, "ip malformed");
        return;
    }
    if (text->checked && !ipv4_checksum_ok(ip)) {
        say(text, "(bad ip checksum) ");
    }
    const uint8_t *payload = data + ipv4_header_bytes(ip);
    uint32_t payload_bytes = ipv4_total_bytes(ip) - ipv4_header_bytes(ip);
    if (ipv4_is_fragment(ip)) {
        say(text, "fragment %u ", ip->protocol);
        say_ip(text, ip->src_be32);
        say(text, " > ");
        say_ip(text, ip->dst_be32);
        say(text, " at %u + %u%s", ipv4_fragment_off_bytes(ip), payload_bytes,
            ipv4_fragment_is_last(ip) ? "" : " more");
    } else if (ip->protocol == IPV4_PROTOCOL_UDP) {
        udp_text(text, ip, payload, payload_bytes);
    } else if (ip->protocol == IPV4_PROTOCOL_ICMP) {
        icmp_text(text, ip, payload, payload_bytes);
    } else if (ip->protocol == IPV4_PROTOCOL_IGMP) {
        igmp_text(text, ip, payload, payload_bytes);
        return; /* the destination says it all */
    } else {
        say(text, "ip protocol %u", ip->protocol);
    }
    say(text, " via ");
    say_mac(text, ethernet->dst);
}

void frame_text(const uint8_t *data, uint32_t len_bytes, bool checked, char *out, size_t size)
{
    struct text text = {.out = out, .size = size, .checked = checked};
    const struct wire_ethernet *ethernet = ethernet_check(data, len_bytes);
    out[0] = '\0';
    if (ethernet == NULL) {
        say(&text, "%u bytes, no frame", len_bytes);
        return;
    }
    if (checked && len_bytes < ETHERNET_MIN_BYTES) {
        say(&text, "(short frame) ");
    }
    uint16_t type_be16 = ethernet->type_be16;
    uint32_t header_bytes = ETHERNET_HEADER_BYTES;
    if (type_be16 == rs_be16(ETHERNET_TYPE_VLAN) &&
        len_bytes >= ETHERNET_HEADER_BYTES + ETHERNET_TAG_BYTES) {
        say(&text, "vlan %u priority %u: ", (data[14] & 0xfu) << 8 | data[15], data[14] >> 5);
        memcpy(&type_be16, data + ETHERNET_HEADER_BYTES + 2, sizeof(type_be16));
        header_bytes += ETHERNET_TAG_BYTES;
    }
    const uint8_t *payload = data + header_bytes;
    uint32_t payload_bytes = len_bytes - header_bytes;
    if (type_be16 == rs_be16(ETHERNET_TYPE_ARP)) {
        arp_text(&text, ethernet, payload, payload_bytes);
    } else if (type_be16 == rs_be16(ETHERNET_TYPE_IPV4)) {
        ipv4_text(&text, ethernet, payload, payload_bytes);
    } else {
        say(&text, "ethertype 0x%04x", rs_be16(type_be16));
    }
}
