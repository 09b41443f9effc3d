/*
 * UDP datagrams that are larger than the link. Queue thread, from udp.c's sends.
 */
#include "dataplane/stack_internal.h"
#include "dataplane/wire/udp.h"

enum rs_status udp_build_train(struct stack *stack, const struct udp_socket *socket,
                               const struct udp_out *out, struct fragment_train *train)
{
    uint16_t udp_bytes = (uint16_t)(UDP_HEADER_BYTES + out->len_bytes);
    uint8_t header[UDP_HEADER_BYTES];
    enum rs_status status = fragment_begin(stack, udp_bytes, train);
    if (status != RS_OK) {
        return status;
    }
    /* A NIC sums one frame, so this checksum is ours whatever it can do. */
    udp_emit(header, socket->local_port_be16, out->dst_port_be16, udp_bytes);
    uint64_t sum = fragment_fill(train, header, sizeof(header), out->payload);
    sum += checksum_pseudo(out->src_be32, out->dst_be32, IPV4_PROTOCOL_UDP, udp_bytes);
    uint16_t checksum = checksum_finish(sum);
    ((struct wire_udp *)fragment_head(train))->checksum_be16 = checksum == 0 ? 0xffff : checksum;
    fragment_finish(stack, train,
                    &(struct ipv4_send){
                        .src_be32 = out->src_be32,
                        .dst_be32 = out->dst_be32,
                        .protocol = IPV4_PROTOCOL_UDP,
                        .ttl = out->ttl,
                        .tos = out->tos,
                        .header_bytes = IPV4_HEADER_BYTES,
                        .payload_bytes = udp_bytes,
                    });
    udp_out_mark(out, &train->pkts[train->count - 1]);
    return RS_OK;
}

enum rs_status udp_group_train(struct stack *stack, const struct udp_socket *socket,
                               const struct udp_out *out)
{
    struct fragment_train train;
    enum rs_status status = udp_build_train(stack, socket, out, &train);
    if (status == RS_OK) {
        fragment_output_group(stack, &train, out->dst_be32);
    }
    return status;
}
