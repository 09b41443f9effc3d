/*
 * See fragment.h. A train is all or nothing: a part of a packet is of no use to anybody.
 */
#include "dataplane/fragment.h"

#include "dataplane/stack_internal.h"

static uint32_t fragment_piece_bytes(const struct stack *stack)
{
    return (stack->nic->mtu_bytes - IPV4_HEADER_BYTES) & ~(IPV4_FRAGMENT_UNIT_BYTES - 1u);
}

enum rs_status fragment_begin(struct stack *stack, uint32_t payload_bytes,
                              struct fragment_train *out)
{
    const struct nic_ops *ops = stack->nic->ops;
    out->piece_bytes = fragment_piece_bytes(stack);
    out->payload_bytes = payload_bytes;
    out->count = 0;
    if (payload_bytes > IPV4_TOTAL_MAX_BYTES - IPV4_HEADER_BYTES ||
        payload_bytes > out->piece_bytes * FRAGMENTS_MAX) {
        return RS_MESSAGE_SIZE;
    }
    for (uint32_t off = 0; off < payload_bytes; off += out->piece_bytes) {
        if (!stack_tx_room(stack, out->count + 1) ||
            !ops->tx_alloc(stack->nic, &out->pkts[out->count])) {
            while (out->count > 0) {
                ops->tx_free(stack->nic, &out->pkts[--out->count]);
            }
            return RS_WOULD_BLOCK;
        }
        out->count++;
    }
    return RS_OK;
}

uint8_t *fragment_head(struct fragment_train *train)
{
    return train->pkts[0].data + IPV4_PAYLOAD_OFF;
}

uint64_t fragment_fill(struct fragment_train *train, const void *head, uint32_t head_bytes,
                       const void *data)
{
    const uint8_t *from = data;
    uint64_t sum = checksum_copy(0, fragment_head(train), head, head_bytes);
    uint32_t at = head_bytes; /* in the first piece */
    uint32_t left = train->payload_bytes - head_bytes;
    for (uint32_t i = 0; i < train->count; i++) {
        uint32_t bytes = train->piece_bytes - at;
        bytes = bytes < left ? bytes : left;
        sum = checksum_copy(sum, train->pkts[i].data + IPV4_PAYLOAD_OFF + at, from, bytes);
        from += bytes;
        left -= bytes;
        at = 0;
    }
    return sum;
}

void fragment_finish(struct stack *stack, struct fragment_train *train,
                     const struct ipv4_send *send)
{
    struct ipv4_send piece = *send;
    uint16_t id = ipv4_next_id(stack);
    uint32_t off = 0;
    for (uint32_t i = 0; i < train->count; i++) {
        bool last = i + 1 == train->count;
        piece.payload_bytes = last ? train->payload_bytes - off : train->piece_bytes;
        uint16_t place = (uint16_t)((off / IPV4_FRAGMENT_UNIT_BYTES) | (last ? 0 : IPV4_FLAG_MF));
        ipv4_put_header(stack, &train->pkts[i], &piece, id, place);
        off += train->piece_bytes;
    }
    STACK_COUNT(stack, ip_fragmented);
    counter_add(&stack->counters, COUNTER_ip_fragments_out, train->count - 1);
}

void fragment_output(struct stack *stack, struct fragment_train *train, uint32_t dst_be32)
{
    ipv4_output_train(stack, train->pkts, train->count, dst_be32);
}

void fragment_output_group(struct stack *stack, struct fragment_train *train, uint32_t dst_be32)
{
    for (uint32_t i = 0; i < train->count; i++) {
        ipv4_output_group(stack, &train->pkts[i], dst_be32);
    }
}
