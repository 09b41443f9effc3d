/*
 * IPv4 packets that are larger than the link: made as a train of fragments (RFC 791 section 3.2),
 * each in a transmit buffer of its own. Queue thread. Called by UDP and by ICMP's echo; the way is
 *
 *   fragment_begin -> fragment_fill -> (the caller stores its checksum) -> fragment_finish
 *   -> fragment_output | fragment_output_group
 */
#ifndef RINGSOCK_DATAPLANE_FRAGMENT_H
#define RINGSOCK_DATAPLANE_FRAGMENT_H

#include "dataplane/ipv4.h"
#include "dataplane/nic.h"

/* Of 65,515 bytes at the smallest MTU that a configuration may name (576: 552 bytes each). */
#define FRAGMENTS_MAX 119u

struct fragment_train {
    uint32_t count;
    uint32_t piece_bytes; /* payload of each but the last */
    uint32_t payload_bytes;
    struct pkt pkts[FRAGMENTS_MAX];
};

/* Takes the buffers for a packet with so much payload. RS_WOULD_BLOCK: not all are to be had now,
 * or the transmit queue has no room for all; none is held. RS_MESSAGE_SIZE: more than IPv4, or the
 * train, has room for. */
RS_CHECK_RESULT enum rs_status fragment_begin(struct stack *stack, uint32_t payload_bytes,
                                              struct fragment_train *out);
/* Lays head_bytes (at most one piece, even) and then the rest of the payload into the buffers.
 * Returns the sum of what they hold: data may be client-written, and is read once. */
uint64_t fragment_fill(struct fragment_train *train, const void *head, uint32_t head_bytes,
                       const void *data);
/* Where the payload begins: for the checksum of what fragment_fill laid there. */
uint8_t *fragment_head(struct fragment_train *train);
/* The IPv4 headers. send->payload_bytes is the whole packet's; DF is not set. */
void fragment_finish(struct stack *stack, struct fragment_train *train,
                     const struct ipv4_send *send);
/* They take over the frames. */
void fragment_output(struct stack *stack, struct fragment_train *train, uint32_t dst_be32);
void fragment_output_group(struct stack *stack, struct fragment_train *train, uint32_t dst_be32);

#endif
