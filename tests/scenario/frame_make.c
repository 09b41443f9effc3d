/*
 * Right frames for scripts to inject or to spoil, and the two at once; declared in script.h.
 */
#include "script_internal.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/igmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/udp.h"

static void frame_ethernet(struct frame *frame, const char *src, const char *dst, uint16_t type)
{
    uint8_t dst_mac[6];
    uint8_t src_mac[6];
    uint32_t dst_be32 = ip_of(dst);
    if (ipv4_is_multicast(dst_be32)) {
        ethernet_multicast_mac(dst_mac, dst_be32);
    } else if (ipv4_is_limited_broadcast(dst_be32) || dst_be32 == ip_of("10.0.0.255")) {
        ethernet_broadcast_mac(dst_mac);
    } else {
        mac_of(dst_mac, dst);
    }
    mac_of(src_mac, src);
    ethernet_emit(frame->data, dst_mac, src_mac, type);
}

void frame_ip(struct frame *frame, const char *src, const char *dst, uint8_t protocol, uint8_t ttl,
              uint32_t payload_bytes)
{
    const struct wire_ipv4 fields = {
        .version_ihl = 0x45,
        .total_len_be16 = rs_be16((uint16_t)(IPV4_HEADER_BYTES + payload_bytes)),
        .ttl = ttl,
        .protocol = protocol,
        .src_be32 = ip_of(src),
        .dst_be32 = ip_of(dst),
    };
    frame_ethernet(frame, src, dst, ETHERNET_TYPE_IPV4);
    ipv4_emit(frame->data + ETHERNET_HEADER_BYTES, &fields, true);
    frame->len_bytes = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + payload_bytes;
}

static uint8_t *frame_payload(struct frame *frame)
{
    return frame->data + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
}

/* The text without its end. */
static uint32_t put_text(uint8_t *at, const char *text)
{
    uint32_t bytes = 0;
    for (; text[bytes] != '\0'; bytes++) {
        at[bytes] = (uint8_t)text[bytes];
    }
    return bytes;
}

struct frame frame_udp(const char *src, const char *dst, const char *text)
{
    struct frame frame = {.len_bytes = 0};
    uint8_t *udp = frame_payload(&frame);
    uint16_t udp_bytes = (uint16_t)(UDP_HEADER_BYTES + put_text(udp + UDP_HEADER_BYTES, text));
    udp_emit(udp, port_of(src), port_of(dst), udp_bytes);
    ((struct wire_udp *)udp)->checksum_be16 = udp_checksum(udp, udp_bytes, ip_of(src), ip_of(dst));
    frame_ip(&frame, src, dst, IPV4_PROTOCOL_UDP, 64, udp_bytes);
    return frame;
}

struct frame frame_fragment(const char *src, const char *dst, uint32_t len_bytes, uint16_t id,
                            uint32_t off_bytes, uint32_t bytes)
{
    static uint8_t udp[65536];
    struct frame frame = {.len_bytes = 0};
    uint16_t udp_bytes = (uint16_t)(UDP_HEADER_BYTES + len_bytes);
    assert_true(off_bytes + bytes <= udp_bytes && off_bytes % IPV4_FRAGMENT_UNIT_BYTES == 0);
    for (uint32_t i = 0; i < len_bytes; i++) {
        udp[UDP_HEADER_BYTES + i] = script_pattern(i);
    }
    udp_emit(udp, port_of(src), port_of(dst), udp_bytes);
    ((struct wire_udp *)udp)->checksum_be16 = udp_checksum(udp, udp_bytes, ip_of(src), ip_of(dst));
    memcpy(frame_payload(&frame), udp + off_bytes, bytes);
    frame_ip(&frame, src, dst, IPV4_PROTOCOL_UDP, 64, bytes);
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame.data + ETHERNET_HEADER_BYTES);
    ip->id_be16 = rs_be16(id);
    ip->fragment_be16 = rs_be16((uint16_t)(off_bytes / IPV4_FRAGMENT_UNIT_BYTES |
                                           (off_bytes + bytes < udp_bytes ? IPV4_FLAG_MF : 0)));
    frame_fix_ip(&frame);
    return frame;
}

struct frame frame_tagged(const struct frame *frame, uint16_t tci)
{
    struct frame tagged = *frame;
    const uint32_t macs_bytes = 2 * ETHERNET_MAC_BYTES;
    ethernet_put_tag(tagged.data + macs_bytes, tci);
    memcpy(tagged.data + macs_bytes + ETHERNET_TAG_BYTES, frame->data + macs_bytes,
           frame->len_bytes - macs_bytes);
    tagged.len_bytes += ETHERNET_TAG_BYTES;
    return tagged;
}

struct frame frame_arp(uint16_t op, const char *sender, const char *target)
{
    struct frame frame = {.len_bytes = ETHERNET_HEADER_BYTES + ARP_BYTES};
    static const uint8_t no_mac[6] = {0};
    uint8_t sender_mac[6];
    uint8_t target_mac[6];
    mac_of(sender_mac, sender);
    mac_of(target_mac, target);
    frame_ethernet(&frame, sender, op == ARP_REQUEST ? "255.255.255.255" : target,
                   ETHERNET_TYPE_ARP);
    arp_emit(frame.data + ETHERNET_HEADER_BYTES, op, sender_mac, ip_of(sender),
             op == ARP_REQUEST ? no_mac : target_mac, ip_of(target));
    return frame;
}

struct frame frame_echo(const char *src, const char *dst, const char *text)
{
    struct frame frame = {.len_bytes = 0};
    uint32_t bytes = ICMP_HEADER_BYTES + put_text(frame_payload(&frame) + ICMP_HEADER_BYTES, text);
    icmp_emit(frame_payload(&frame), ICMP_ECHO, 0, 0x01000100u, bytes);
    frame_ip(&frame, src, dst, IPV4_PROTOCOL_ICMP, 64, bytes);
    return frame;
}

struct frame frame_icmp_error(const char *router, uint8_t type, uint8_t code,
                              const char *quoted_src, const char *quoted_dst)
{
    struct frame frame = {.len_bytes = 0};
    struct frame quoted = frame_udp(quoted_src, quoted_dst, "lost");
    uint32_t quote_bytes = IPV4_HEADER_BYTES + UDP_HEADER_BYTES;
    memcpy(frame_payload(&frame) + ICMP_HEADER_BYTES, quoted.data + ETHERNET_HEADER_BYTES,
           quote_bytes);
    icmp_emit(frame_payload(&frame), type, code, 0, ICMP_HEADER_BYTES + quote_bytes);
    frame_ip(&frame, router, OWN, IPV4_PROTOCOL_ICMP, 64, ICMP_HEADER_BYTES + quote_bytes);
    return frame;
}

struct frame frame_igmp_v2(const char *src, const char *dst, uint8_t type, uint8_t max_response,
                           const char *group)
{
    struct frame frame = {.len_bytes = 0};
    igmp_emit(frame_payload(&frame), type, ip_of(group));
    ((struct wire_igmp *)frame_payload(&frame))->max_response = max_response;
    frame_ip(&frame, src, dst, IPV4_PROTOCOL_IGMP, 1, IGMP_BYTES);
    frame_fix_payload(&frame);
    return frame;
}

struct frame frame_igmp_v3_query(const char *src, const char *group, uint8_t max_response,
                                 const char *sources)
{
    struct frame frame = {.len_bytes = 0};
    uint32_t group_be32 = ip_of(group);
    uint32_t count = 0;
    uint8_t *data = frame_payload(&frame);
    for (const char *at = sources; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        char one[32];
        (void)snprintf(one, sizeof(one), "%.*s", (int)strcspn(at, " "), at);
        uint32_t source_be32 = ip_of(one);
        memcpy(data + IGMP_QUERY_V3_BYTES + 4 * count++, &source_be32, 4);
    }
    struct wire_igmp_query_v3 *query = (struct wire_igmp_query_v3 *)data;
    query->common = (struct wire_igmp){IGMP_QUERY, max_response, 0, group_be32};
    query->s_qrv = 2;
    query->qqic = 125;
    query->source_count_be16 = rs_be16((uint16_t)count);
    frame_ip(&frame, src, group_be32 == 0 ? "224.0.0.1" : group, IPV4_PROTOCOL_IGMP, 1,
             IGMP_QUERY_V3_BYTES + 4 * count);
    frame_fix_payload(&frame);
    return frame;
}

void frame_fix_ip(struct frame *frame)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
    ip->checksum_be16 = 0;
    ip->checksum_be16 = checksum_finish(checksum_add(0, ip, ipv4_header_bytes(ip)));
}

void frame_fix_payload(struct frame *frame)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
    uint8_t *payload = (uint8_t *)ip + ipv4_header_bytes(ip);
    uint32_t bytes = ipv4_total_bytes(ip) - ipv4_header_bytes(ip);
    if (ip->protocol == IPV4_PROTOCOL_UDP) {
        struct wire_udp *udp = (struct wire_udp *)payload;
        udp->checksum_be16 = 0;
        udp->checksum_be16 = udp_checksum(payload, (uint16_t)bytes, ip->src_be32, ip->dst_be32);
        return;
    }
    /* ICMP and IGMP keep it in the same place. */
    struct wire_icmp *message = (struct wire_icmp *)payload;
    message->checksum_be16 = 0;
    message->checksum_be16 = checksum_finish(checksum_add(0, payload, bytes));
}

void frame_add_options(struct frame *frame, uint32_t bytes)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame->data + ETHERNET_HEADER_BYTES);
    uint8_t *payload = frame_payload(frame);
    memmove(payload + bytes, payload, frame->len_bytes - ETHERNET_HEADER_BYTES - IPV4_HEADER_BYTES);
    memset(payload, 1, bytes);
    ip->version_ihl = (uint8_t)(0x40 | (IPV4_HEADER_BYTES + bytes) / 4);
    ip->total_len_be16 = rs_be16((uint16_t)(ipv4_total_bytes(ip) + bytes));
    frame->len_bytes += bytes;
    frame_fix_ip(frame);
}

/* ---- made and injected ---- */

void script_inject_fragment(const char *src, const char *dst, uint32_t len_bytes, uint16_t id,
                            uint32_t off_bytes, uint32_t bytes)
{
    struct frame frame = frame_fragment(src, dst, len_bytes, id, off_bytes, bytes);
    script_inject(&frame);
}

void script_inject_udp(const char *src, const char *dst, const char *text)
{
    struct frame frame = frame_udp(src, dst, text);
    script_inject(&frame);
}

void script_inject_arp(uint16_t op, const char *sender, const char *target)
{
    struct frame frame = frame_arp(op, sender, target);
    script_inject(&frame);
}

void script_inject_echo(const char *src, const char *dst, const char *text)
{
    struct frame frame = frame_echo(src, dst, text);
    script_inject(&frame);
}

void script_inject_icmp_error(const char *router, uint8_t type, uint8_t code,
                              const char *quoted_src, const char *quoted_dst)
{
    struct frame frame = frame_icmp_error(router, type, code, quoted_src, quoted_dst);
    script_inject(&frame);
}

void script_inject_query_v3(const char *group, uint8_t max_response, const char *sources)
{
    struct frame frame = frame_igmp_v3_query(ROUTER, group, max_response, sources);
    script_inject(&frame);
}

void script_inject_query_v2(const char *group, uint8_t max_response)
{
    bool general = ip_of(group) == 0;
    struct frame frame =
        frame_igmp_v2(ROUTER, general ? "224.0.0.1" : group, IGMP_QUERY, max_response, group);
    script_inject(&frame);
}

void script_inject_report_v2(const char *src, const char *group)
{
    struct frame frame = frame_igmp_v2(src, group, IGMP_REPORT_V2, 0, group);
    script_inject(&frame);
}
