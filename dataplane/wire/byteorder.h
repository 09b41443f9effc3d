/*
 * Network byte order, for the header formats beside this file. Pure functions; any thread.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_BYTEORDER_H
#define RINGSOCK_DATAPLANE_WIRE_BYTEORDER_H

#include <assert.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "x86 only; the swaps below assume it");

/* Each is its own inverse: host to network and back. */
static inline uint16_t wire_be16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint32_t wire_be32(uint32_t value)
{
    return __builtin_bswap32(value);
}

/* A header laid over frame bytes: any alignment, and it may alias the byte buffer. */
#define WIRE_HEADER __attribute__((packed, may_alias))

#endif
