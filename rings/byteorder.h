/*
 * Network byte order for 16- and 32-bit values held in variables; wire formats have their own
 * accessors. Ringsock runs on x86 only (rings/os/os.h), which is little-endian. Pure functions; any
 * thread.
 */
#ifndef RINGSOCK_RINGS_BYTEORDER_H
#define RINGSOCK_RINGS_BYTEORDER_H

#include <stdint.h>

/* Each is its own inverse: host to network order and back. */
static inline uint16_t rs_be16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint32_t rs_be32(uint32_t value)
{
    return __builtin_bswap32(value);
}

#endif
