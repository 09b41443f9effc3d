/*
 * The Internet checksum (RFC 1071): one's complement sum of 16-bit words. A sum is kept wide while
 * it grows and folded once. Pure functions; any thread.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_CHECKSUM_H
#define RINGSOCK_DATAPLANE_WIRE_CHECKSUM_H

#include <stdint.h>
#include <string.h>

/* Adds len_bytes of data (any alignment; an odd last byte is padded with zero) to sum. The data
 * begin at an even offset of the message; checksum_shift is for those that do not. */
uint64_t checksum_add(uint64_t sum, const void *data, uint32_t len_bytes);

/* Copies and adds in one pass. Each byte of src is loaded once, so the sum is that of what dst has
 * afterwards, whatever a client writes to src meanwhile. The two do not overlap. */
uint64_t checksum_copy(uint64_t sum, void *dst, const void *src, uint32_t len_bytes);

/* A wide sum folded to 16 bits, not complemented, in network order. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffu) + (sum >> 16);
    sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)sum;
}

/* The sum of a piece, taken by itself from 0, as it counts in a message where the piece begins at
 * an odd offset (RFC 1071 section 2, parts A and B): there each byte is the other half of its word.
 */
static inline uint64_t checksum_shift(uint64_t sum)
{
    return __builtin_bswap16(checksum_fold(sum));
}

/* What a header field stores; over a message with a right checksum in it the result is 0. */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

/* Pseudo header of UDP and TCP (RFC 768). len_bytes: header and payload. */
static inline uint64_t checksum_pseudo(uint32_t src_be32, uint32_t dst_be32, uint8_t protocol,
                                       uint16_t len_bytes)
{
    return (uint64_t)src_be32 + dst_be32 + ((uint64_t)protocol << 8) + __builtin_bswap16(len_bytes);
}

#endif
