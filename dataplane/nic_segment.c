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
#include "dataplane/wire/udp.h"

#define TCP_SEQUENCE_OFF  4u
#define TCP_OFFSET_OFF    12u
#define TCP_FLAGS_OFF     13u
#define TCP_CHECKSUM_OFF  16u
#define UDP_CHECKSUM_OFF  6u
#define TCP_FIN           0x01u
#define TCP_SYN           0x02u
#define TCP_RST           0x04u
#define TCP_PSH           0x08u
#define TCP_URG           0x20u
#define TCP_CWR           0x80u
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
    const uint8_t *tcp = pkt->data + cut.shape.l4_off;
    const uint32_t tcp_header_bytes = (uint32_t)(tcp[TCP_OFFSET_OFF] >> 4) * 4;
    cut.header_bytes = cut.shape.l4_off + tcp_header_bytes;
    cut.payload_bytes = cut.shape.l4_bytes - tcp_header_bytes;
    assert(cut.shape.l4_off - cut.shape.ip_off == IPV4_HEADER_BYTES);
    assert(tcp_header_bytes >= 20 && tcp_header_bytes < cut.shape.l4_bytes);
    assert((tcp[TCP_FLAGS_OFF] & (TCP_SYN | TCP_RST | TCP_URG)) == 0);
    assert(cut.header_bytes + cut.payload_bytes == pkt->len_bytes);
    assert(pkt->segment_bytes >= NIC_TSO_SEGMENT_BYTES_MIN);
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

static void store16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void emit_ip(uint8_t *ip, uint32_t idx, uint32_t l4_bytes)
{
    struct wire_ipv4 *header = (struct wire_ipv4 *)ip;
    header->total_len_be16 = rs_be16((uint16_t)(IPV4_HEADER_BYTES + l4_bytes));
    header->id_be16 = rs_be16((uint16_t)(rs_be16(header->id_be16) + idx));
    header->checksum_be16 = checksum_finish(checksum_add(0, ip, IPV4_HEADER_BYTES));
}

/* The header but its checksum. */
static void emit_tcp(uint8_t *tcp, uint32_t off_bytes, bool first, bool last)
{
    uint32_t sequence_be32;
    memcpy(&sequence_be32, tcp + TCP_SEQUENCE_OFF, sizeof(sequence_be32));
    sequence_be32 = rs_be32(rs_be32(sequence_be32) + off_bytes);
    memcpy(tcp + TCP_SEQUENCE_OFF, &sequence_be32, sizeof(sequence_be32));
    uint32_t cleared = (first ? 0 : TCP_CWR) | (last ? 0 : TCP_FIN | TCP_PSH);
    tcp[TCP_FLAGS_OFF] = (uint8_t)(tcp[TCP_FLAGS_OFF] & ~cleared);
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
    uint8_t *tcp = out + cut.shape.l4_off;
    memcpy(out, pkt->data, cut.header_bytes);
    emit_ip(out + cut.shape.ip_off, idx, l4_bytes);
    emit_tcp(tcp, off, idx == 0, off + bytes == cut.payload_bytes);
    uint64_t sum = checksum_add(rs_be16((uint16_t)l4_bytes), tcp, l4_bytes - bytes);
    sum = checksum_copy(sum, out + cut.header_bytes, pkt->data + cut.header_bytes + off, bytes);
    store16(tcp + TCP_CHECKSUM_OFF, checksum_finish(sum));
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
    if ((flags & (PKT_TX_UDP_CSUM | PKT_TX_TCP_CSUM)) != 0) {
        const bool tcp = (flags & PKT_TX_TCP_CSUM) != 0;
        uint16_t sum = checksum_finish(checksum_add(0, frame + shape.l4_off, shape.l4_bytes));
        /* Of UDP zero says "no checksum". */
        store16(frame + shape.l4_off + (tcp ? TCP_CHECKSUM_OFF : UDP_CHECKSUM_OFF),
                sum == 0 && !tcp ? 0xffff : sum);
    }
}
