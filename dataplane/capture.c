/*
 * Copies of frames for ringsockctl, and frames around traffic that has none; see capture.h. Queue
 * thread.
 */
#include "dataplane/capture.h"

#include <string.h>

#include "dataplane/ipv4.h"
#include "dataplane/nic_segment.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

#define CAPTURE_LOCAL_TTL     64u
#define CAPTURE_SEGMENT_BYTES 32768u /* payload of a made-up segment */
#define CAPTURE_WSCALE        14u    /* windows of up to 1 GiB */

#define PKT_TX_HELP (PKT_TX_IP_CSUM | PKT_TX_UDP_CSUM | PKT_TX_TCP_CSUM | PKT_TX_TCP_SEG)

void capture_init(struct capture *capture, uint8_t *base, uint32_t size_bytes,
                  struct rs_capture_queue *shared, const rs_atomic_u32 *head_word,
                  uint32_t snap_bytes)
{
    capture_writer_init(&capture->writer, base, size_bytes, shared, head_word);
    capture->snap_bytes = snap_bytes != 0 ? snap_bytes : RS_CAPTURE_FRAME_MAX_BYTES;
    capture->broken = false;
}

/* This thread is the word's only writer; partner: ringsockctl's statistics. */
static void capture_count(rs_atomic_u64 *words, uint32_t flags)
{
    rs_atomic_u64 *word =
        &words[(flags & RS_CAPTURE_LOCAL) != 0 ? RS_CAPTURE_KIND_LOCAL : RS_CAPTURE_KIND_NIC];
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* A record for a frame; NULL: there is no room, it is counted. */
static struct rs_capture_record *capture_begin(struct capture *capture, uint64_t now_ns,
                                               uint32_t whole_bytes, uint32_t flags)
{
    struct rs_capture_record *record;
    uint32_t len_bytes = whole_bytes < capture->snap_bytes ? whole_bytes : capture->snap_bytes;
    enum rs_status status = capture->broken
                                ? RS_POISONED
                                : capture_writer_reserve(&capture->writer, len_bytes, &record);
    capture->broken = status == RS_POISONED;
    capture_count(capture->writer.shared->frames, flags);
    if (status != RS_OK) {
        capture_count(capture->writer.shared->dropped, flags);
        return NULL;
    }
    record->unix_ns = now_ns;
    record->whole_bytes = whole_bytes;
    record->flags = flags;
    return record;
}

/* pkt_flags: for the tag, which is not in the frame. */
static void capture_bytes(struct capture *capture, uint64_t now_ns, const uint8_t *frame,
                          uint32_t len_bytes, uint32_t pkt_flags, uint32_t flags)
{
    uint32_t tag_bytes = (pkt_flags & PKT_VLAN) != 0 ? ETHERNET_TAG_BYTES : 0;
    struct rs_capture_record *record = capture_begin(capture, now_ns, len_bytes + tag_bytes, flags);
    if (record != NULL) {
        (void)nic_vlan_copy(frame, len_bytes, pkt_flags, (uint8_t *)(record + 1),
                            record->len_bytes);
        capture_writer_commit(&capture->writer, record);
    }
}

/* ---- frames of the NIC ---- */

void capture_rx(struct capture *capture, uint64_t now_ns, const struct pkt *pkts, uint32_t count)
{
    for (uint32_t i = 0; capture->nic && i < count; i++) {
        capture_bytes(capture, now_ns, pkts[i].data, pkts[i].len_bytes, pkts[i].flags,
                      RS_CAPTURE_RX);
    }
}

/* As the NIC will send it: checksums filled in, cut. */
static void capture_helped(struct capture *capture, uint64_t now_ns, const struct pkt *pkt)
{
    uint32_t count = nic_segment_count(pkt);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len_bytes = nic_segment_emit(pkt, i, capture->scratch);
        capture_bytes(capture, now_ns, capture->scratch, len_bytes, pkt->flags, RS_CAPTURE_TX);
    }
}

void capture_tx(struct capture *capture, uint64_t now_ns, const struct pkt *pkts, uint32_t count)
{
    for (uint32_t i = 0; capture->nic && i < count; i++) {
        if ((pkts[i].flags & PKT_TX_HELP) != 0) {
            capture_helped(capture, now_ns, &pkts[i]);
        } else {
            capture_bytes(capture, now_ns, pkts[i].data, pkts[i].len_bytes, pkts[i].flags,
                          RS_CAPTURE_TX);
        }
    }
}

/* ---- local traffic ---- */

/* Ethernet and IPv4 in front of bytes already at scratch + IPV4_PAYLOAD_OFF. */
static void capture_local(struct capture *capture, uint64_t now_ns, const struct wire_ipv4 *ip)
{
    static const uint8_t nobody[ETHERNET_MAC_BYTES] = {0};
    uint32_t ip_bytes = ipv4_total_bytes(ip);
    ethernet_emit(capture->scratch, nobody, nobody, ETHERNET_TYPE_IPV4);
    ipv4_emit(capture->scratch + ETHERNET_HEADER_BYTES, ip, true);
    capture_bytes(capture, now_ns, capture->scratch, ETHERNET_HEADER_BYTES + ip_bytes, 0,
                  RS_CAPTURE_LOCAL);
}

static struct wire_ipv4 capture_ipv4(uint32_t src_be32, uint32_t dst_be32, uint8_t protocol,
                                     uint32_t payload_bytes)
{
    return (struct wire_ipv4){.version_ihl = 0x45,
                              .total_len_be16 =
                                  rs_be16((uint16_t)(IPV4_HEADER_BYTES + payload_bytes)),
                              .fragment_be16 = rs_be16(IPV4_FLAG_DF),
                              .ttl = CAPTURE_LOCAL_TTL,
                              .protocol = protocol,
                              .src_be32 = src_be32,
                              .dst_be32 = dst_be32};
}

void capture_udp(struct capture *capture, uint64_t now_ns, const struct udp_datagram *datagram)
{
    uint8_t *udp = capture->scratch + IPV4_PAYLOAD_OFF;
    uint16_t udp_bytes = (uint16_t)(UDP_HEADER_BYTES + datagram->len_bytes);
    struct wire_ipv4 ip =
        capture_ipv4(datagram->src_be32, datagram->dst_be32, IPV4_PROTOCOL_UDP, udp_bytes);
    if (!capture->local) {
        return;
    }
    ip.ttl = datagram->ttl;
    ip.tos = datagram->tos;
    udp_emit(udp, datagram->src_port_be16, datagram->dst_port_be16, udp_bytes);
    if (datagram->len_bytes != 0) {
        memcpy(udp + UDP_HEADER_BYTES, datagram->payload, datagram->len_bytes);
    }
    /* over the copy: the client may change its memory meanwhile */
    ((struct wire_udp *)udp)->checksum_be16 =
        udp_checksum(udp, udp_bytes, datagram->src_be32, datagram->dst_be32);
    capture_local(capture, now_ns, &ip);
}

/* One that fits a packet, its payload in place behind header_bytes of headers. */
static void capture_tcp_emit(struct capture *capture, uint64_t now_ns,
                             const struct capture_segment *segment, uint32_t seq,
                             const struct tcp_options *options, uint32_t payload_bytes)
{
    uint8_t *tcp = capture->scratch + IPV4_PAYLOAD_OFF;
    bool syn = (segment->flags & TCP_FLAG_SYN) != 0;
    uint32_t window = syn ? segment->window_bytes : segment->window_bytes >> CAPTURE_WSCALE;
    uint32_t header_bytes =
        TCP_HEADER_BYTES + (syn ? tcp_options_emit(tcp + TCP_HEADER_BYTES, options) : 0);
    uint32_t tcp_bytes = header_bytes + payload_bytes;
    const struct wire_ipv4 ip =
        capture_ipv4(segment->src_be32, segment->dst_be32, IPV4_PROTOCOL_TCP, tcp_bytes);
    tcp_emit(tcp, &(struct wire_tcp){.src_port_be16 = segment->src_port_be16,
                                     .dst_port_be16 = segment->dst_port_be16,
                                     .seq_be32 = rs_be32(seq),
                                     .ack_be32 = rs_be32(segment->ack),
                                     .offset = tcp_offset(header_bytes),
                                     .flags = segment->flags,
                                     .window_be16 =
                                         rs_be16((uint16_t)(window < 65535 ? window : 65535))});
    ((struct wire_tcp *)tcp)->checksum_be16 =
        tcp_checksum(tcp, (uint16_t)tcp_bytes, segment->src_be32, segment->dst_be32);
    capture_local(capture, now_ns, &ip);
}

void capture_tcp(struct capture *capture, uint64_t now_ns, const struct capture_segment *segment)
{
    static const struct tcp_options options = {.present = TCP_OPTION_MSS | TCP_OPTION_WSCALE,
                                               .mss = CAPTURE_SEGMENT_BYTES,
                                               .wscale = CAPTURE_WSCALE};
    uint8_t *payload = capture->scratch + IPV4_PAYLOAD_OFF + TCP_HEADER_BYTES;
    uint32_t seq = segment->seq;
    bool none = segment->pieces[0].len_bytes + segment->pieces[1].len_bytes == 0;
    if (capture->local && none) {
        capture_tcp_emit(capture, now_ns, segment, seq, &options, 0);
    }
    for (uint32_t i = 0; capture->local && i < 2; i++) {
        uint32_t left_bytes = segment->pieces[i].len_bytes;
        const uint8_t *from = segment->pieces[i].base;
        while (left_bytes != 0) {
            uint32_t bytes =
                left_bytes < CAPTURE_SEGMENT_BYTES ? left_bytes : CAPTURE_SEGMENT_BYTES;
            memcpy(payload, from, bytes);
            capture_tcp_emit(capture, now_ns, segment, seq, &options, bytes);
            from += bytes;
            seq += bytes;
            left_bytes -= bytes;
        }
    }
}
