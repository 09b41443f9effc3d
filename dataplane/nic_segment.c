/*
 * Segmentation and checksums as a NIC does them, see nic_segment.h. The first frame says what all
 * have in common; of the others differ IPv4 length and identification, sequence number, and the
 * flags that mean one end of the data: FIN and PSH the last byte, CWR the first (RFC 3168, 6.1.2:
 * only one segment may carry it). Sums begin with what the stack stored in the field, so its
 * mistakes show as wrong frames.
 */
#include "dataplane/nic_segment.h"

#include <assert.h>
#include <string.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

#define VLAN_HEADER_BYTES 4u

/* Where things lie in a frame. */
struct shape {
    uint32_t ip_off;
    uint32_t l4_off;
    uint32_t l4_bytes; /* header and payload; without Ethernet's padding */
};

static struct shape shape_of(const uint8_t *frame, uint32_t len_bytes)
{
    const bool tagged = ethernet_is_vlan((const struct wire_ethernet *)frame);
    struct shape shape = {.ip_off = ETHERNET_HEADER_BYTES + (tagged ? VLAN_HEADER_BYTES : 0)};
    assert(len_bytes > shape.ip_off);
    assert(ipv4_check(frame + shape.ip_off, len_bytes - shape.ip_off) == IPV4_CHECK_OK);
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame + shape.ip_off);
    shape.l4_off = shape.ip_off + ipv4_header_bytes(ip);
    shape.l4_bytes = ipv4_total_bytes(ip) - ipv4_header_bytes(ip);
    return shape;
}

/* A super-segment. */
struct cut {
    struct shape shape;
    uint32_t header_bytes; /* Ethernet to TCP */
    uint32_t payload_bytes;
};

static struct cut cut_of(const struct pkt *pkt)
{
    struct cut cut = {.shape = shape_of(pkt->data, pkt->len_bytes)};
    const struct wire_tcp *tcp = (const struct wire_tcp *)(pkt->data + cut.shape.l4_off);
    assert(cut.shape.l4_off - cut.shape.ip_off == IPV4_HEADER_BYTES);
    assert(tcp_check(pkt->data + cut.shape.l4_off, cut.shape.l4_bytes) == TCP_CHECK_OK);
    assert((tcp->flags & (TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_URG)) == 0);
    assert(pkt->segment_bytes >= NIC_TSO_SEGMENT_BYTES_MIN);
    cut.header_bytes = cut.shape.l4_off + tcp_header_bytes(tcp);
    cut.payload_bytes = cut.shape.l4_bytes - tcp_header_bytes(tcp);
    assert(cut.payload_bytes > 0 && cut.header_bytes + cut.payload_bytes == pkt->len_bytes);
    return cut;
}

static uint32_t cut_bytes(const struct cut *cut, const struct pkt *pkt, uint32_t idx)
{
    uint32_t left_bytes = cut->payload_bytes - idx * pkt->segment_bytes;
    return left_bytes < pkt->segment_bytes ? left_bytes : pkt->segment_bytes;
}

/* The stack pads what it sends; the last of several frames it does not see. */
static uint32_t padded_bytes(uint32_t len_bytes)
{
    return len_bytes < ETHERNET_MIN_BYTES ? ETHERNET_MIN_BYTES : len_bytes;
}

uint32_t nic_segment_count(const struct pkt *pkt)
{
    if ((pkt->flags & PKT_TX_TCP_SEG) == 0) {
        return 1;
    }
    struct cut cut = cut_of(pkt);
    return (cut.payload_bytes + pkt->segment_bytes - 1) / pkt->segment_bytes;
}

uint32_t nic_segment_bytes(const struct pkt *pkt, uint32_t idx)
{
    if ((pkt->flags & PKT_TX_TCP_SEG) == 0) {
        return pkt->len_bytes;
    }
    struct cut cut = cut_of(pkt);
    return padded_bytes(cut.header_bytes + cut_bytes(&cut, pkt, idx));
}

static void emit_ip(uint8_t *ip, uint32_t idx, uint32_t l4_bytes)
{
    struct wire_ipv4 *header = (struct wire_ipv4 *)ip;
    header->total_len_be16 = rs_be16((uint16_t)(IPV4_HEADER_BYTES + l4_bytes));
    header->id_be16 = rs_be16((uint16_t)(rs_be16(header->id_be16) + idx));
    header->checksum_be16 = checksum_finish(checksum_add(0, ip, IPV4_HEADER_BYTES));
}

/* The header but its checksum. */
static void emit_tcp(struct wire_tcp *tcp, uint32_t off_bytes, bool first, bool last)
{
    const uint32_t cleared = (first ? 0 : TCP_FLAG_CWR) | (last ? 0 : TCP_FLAG_FIN | TCP_FLAG_PSH);
    tcp->seq_be32 = rs_be32(rs_be32(tcp->seq_be32) + off_bytes);
    tcp->flags = (uint8_t)(tcp->flags & ~cleared);
}

uint32_t nic_segment_emit(const struct pkt *pkt, uint32_t idx, uint8_t *out)
{
    if ((pkt->flags & PKT_TX_TCP_SEG) == 0) {
        memcpy(out, pkt->data, pkt->len_bytes);
        nic_segment_fill(out, pkt->len_bytes, pkt->flags);
        return pkt->len_bytes;
    }
    struct cut cut = cut_of(pkt);
    const uint32_t bytes = cut_bytes(&cut, pkt, idx);
    const uint32_t off = idx * pkt->segment_bytes;
    const uint32_t l4_bytes = cut.header_bytes - cut.shape.l4_off + bytes;
    struct wire_tcp *tcp = (struct wire_tcp *)(out + cut.shape.l4_off);
    memcpy(out, pkt->data, cut.header_bytes);
    emit_ip(out + cut.shape.ip_off, idx, l4_bytes);
    emit_tcp(tcp, off, idx == 0, off + bytes == cut.payload_bytes);
    uint64_t sum = checksum_add(rs_be16((uint16_t)l4_bytes), tcp, l4_bytes - bytes);
    sum = checksum_copy(sum, out + cut.header_bytes, pkt->data + cut.header_bytes + off, bytes);
    tcp->checksum_be16 = checksum_finish(sum);
    const uint32_t len_bytes = padded_bytes(cut.header_bytes + bytes);
    memset(out + cut.header_bytes + bytes, 0, len_bytes - cut.header_bytes - bytes);
    return len_bytes;
}

void nic_segment_fill(uint8_t *frame, uint32_t len_bytes, uint32_t flags)
{
    if ((flags & (PKT_TX_IP_CSUM | PKT_TX_UDP_CSUM | PKT_TX_TCP_CSUM)) == 0) {
        return;
    }
    const struct shape shape = shape_of(frame, len_bytes);
    if ((flags & PKT_TX_IP_CSUM) != 0) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame + shape.ip_off);
        ip->checksum_be16 = checksum_finish(checksum_add(0, ip, shape.l4_off - shape.ip_off));
    }
    uint8_t *l4 = frame + shape.l4_off;
    if ((flags & PKT_TX_TCP_CSUM) != 0) {
        ((struct wire_tcp *)l4)->checksum_be16 =
            checksum_finish(checksum_add(0, l4, shape.l4_bytes));
    } else if ((flags & PKT_TX_UDP_CSUM) != 0) {
        const uint16_t sum = checksum_finish(checksum_add(0, l4, shape.l4_bytes));
        ((struct wire_udp *)l4)->checksum_be16 = sum == 0 ? 0xffff : sum; /* 0 says "none" */
    }
}
