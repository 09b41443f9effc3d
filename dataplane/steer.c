/*
 * See steer.h.
 */
#include "dataplane/steer.h"

#include <string.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ipv4.h"
#include "rings/seq.h"

#define PORTS_BYTES 4u /* source and destination; UDP and TCP begin with them */

const struct nic_steering steer_one_queue = {.mode = STEER_ONE_QUEUE, .queue_count = 1};

enum rs_status steer_init(struct nic_steering *steering, enum steer_mode mode,
                          const uint8_t key[TOEPLITZ_KEY_BYTES], const uint16_t *table,
                          uint32_t table_size, uint32_t queue_count)
{
    if (!rs_is_pow2(table_size) || table_size > STEER_TABLE_MAX || queue_count == 0 ||
        queue_count > 256) {
        return RS_INVALID;
    }
    memset(steering, 0, sizeof(*steering));
    steering->mode = mode;
    steering->queue_count = queue_count;
    steering->table_mask = table_size - 1;
    for (uint32_t i = 0; i < table_size; i++) {
        uint32_t queue_idx = table != NULL ? table[i] : i % queue_count;
        if (queue_idx >= queue_count) {
            return RS_INVALID;
        }
        steering->table[i] = (uint8_t)queue_idx;
    }
    memcpy(steering->key, key, sizeof(steering->key));
    toeplitz_init(&steering->toeplitz, key);
    return RS_OK;
}

uint32_t steer_flow(const struct nic_steering *steering, uint32_t remote_be32, uint32_t local_be32,
                    uint16_t remote_port_be16, uint16_t local_port_be16)
{
    if (steering->mode == STEER_ONE_QUEUE) {
        return 0;
    }
    uint32_t hash = toeplitz_flow(&steering->toeplitz, remote_be32, local_be32, remote_port_be16,
                                  local_port_be16);
    return steering->table[hash & steering->table_mask];
}

uint32_t steer_quoted(const struct nic_steering *steering, const uint8_t *quote,
                      uint32_t quote_bytes)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)quote;
    /* Only the start of the packet is quoted: its total length points beyond the data. */
    enum ipv4_check_result check = ipv4_check(quote, quote_bytes);
    if ((check != IPV4_CHECK_OK && check != IPV4_CHECK_TOTAL_LENGTH) ||
        ip->protocol != IPV4_PROTOCOL_TCP || ipv4_fragment_off_bytes(ip) != 0 ||
        quote_bytes - ipv4_header_bytes(ip) < PORTS_BYTES) {
        return STEER_NO_QUEUE;
    }
    uint16_t ports_be16[2];
    memcpy(ports_be16, quote + ipv4_header_bytes(ip), sizeof(ports_be16));
    return steer_flow(steering, ip->dst_be32, ip->src_be32, ports_be16[1], ports_be16[0]);
}

/* In place of a NIC: what only one queue acts on. */
static uint32_t steer_software(const struct nic_steering *steering, const struct wire_ipv4 *ip)
{
    const uint8_t *payload = (const uint8_t *)ip + ipv4_header_bytes(ip);
    uint32_t payload_bytes = ipv4_total_bytes(ip) - ipv4_header_bytes(ip);
    if (ip->protocol == IPV4_PROTOCOL_IGMP) {
        return 0;
    }
    if (ip->protocol != IPV4_PROTOCOL_ICMP || ipv4_is_fragment(ip) ||
        payload_bytes < ICMP_HEADER_BYTES ||
        (payload[0] != ICMP_UNREACHABLE && payload[0] != ICMP_TIME_EXCEEDED)) {
        return STEER_NO_QUEUE;
    }
    return steer_quoted(steering, payload + ICMP_HEADER_BYTES, payload_bytes - ICMP_HEADER_BYTES);
}

uint32_t steer_frame(const struct nic_steering *steering, const uint8_t *frame, uint32_t len_bytes)
{
    if (steering->mode == STEER_ONE_QUEUE || len_bytes < ETHERNET_HEADER_BYTES) {
        return 0;
    }
    const struct wire_ethernet *ethernet = (const struct wire_ethernet *)frame;
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame + ETHERNET_HEADER_BYTES);
    if (ethernet->type_be16 != rs_be16(ETHERNET_TYPE_IPV4) ||
        ipv4_check(frame + ETHERNET_HEADER_BYTES, len_bytes - ETHERNET_HEADER_BYTES) !=
            IPV4_CHECK_OK) {
        return 0;
    }
    bool has_ports = (ip->protocol == IPV4_PROTOCOL_UDP || ip->protocol == IPV4_PROTOCOL_TCP) &&
                     !ipv4_is_fragment(ip);
    if (!has_ports) {
        uint32_t queue_idx =
            steering->mode == STEER_SOFTWARE ? steer_software(steering, ip) : STEER_NO_QUEUE;
        if (queue_idx != STEER_NO_QUEUE) {
            return queue_idx;
        }
        uint32_t hash = toeplitz_addresses(&steering->toeplitz, ip->src_be32, ip->dst_be32);
        return steering->table[hash & steering->table_mask];
    }
    uint32_t header_bytes = ipv4_header_bytes(ip);
    if (ipv4_total_bytes(ip) - header_bytes < PORTS_BYTES) {
        return 0;
    }
    uint16_t ports_be16[2];
    memcpy(ports_be16, frame + ETHERNET_HEADER_BYTES + header_bytes, sizeof(ports_be16));
    return steer_flow(steering, ip->src_be32, ip->dst_be32, ports_be16[0], ports_be16[1]);
}
