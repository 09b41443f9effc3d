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

/* The bits of an IPv4 address that name its network; 0 to 32. */
static inline uint32_t rs_prefix_mask_be32(uint32_t prefix_len)
{
    return prefix_len == 0 ? 0 : rs_be32(UINT32_MAX << (32 - prefix_len));
}

#endif
