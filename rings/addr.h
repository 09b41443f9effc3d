/*
 * A transport address as it travels in shared memory and through the portable client. IPv4 today;
 * the type carries IPv6 so that no layout changes when it comes. Pure data; any thread.
 */
#ifndef RINGSOCK_RINGS_ADDR_H
#define RINGSOCK_RINGS_ADDR_H

#include <assert.h>
#include <stdint.h>

enum { RS_FAMILY_NONE = 0, RS_FAMILY_IPV4 = 4, RS_FAMILY_IPV6 = 6 };

struct rs_addr {
    uint8_t family;   /* RS_FAMILY_* */
    uint8_t reserved; /* zero */
    uint16_t port_be16;
    uint32_t scope_id; /* IPv6 only, else zero */
    union {
        uint32_t v4_be32;
        uint8_t v6[16];
    } ip;
};
static_assert(sizeof(struct rs_addr) == 24, "layout: rs_addr");

static inline struct rs_addr rs_addr_v4(uint32_t ip_be32, uint16_t port_be16)
{
    return (struct rs_addr){
        .family = RS_FAMILY_IPV4, .port_be16 = port_be16, .ip.v4_be32 = ip_be32};
}

/* The same in place, on the way of a datagram: what is put together aside and then copied is loaded
 * in wider words than it was stored in, and waits for the stores. */
static inline void rs_addr_set_v4(struct rs_addr *out, uint32_t ip_be32, uint16_t port_be16)
{
    *out = (struct rs_addr){0};
    out->family = RS_FAMILY_IPV4;
    out->port_be16 = port_be16;
    out->ip.v4_be32 = ip_be32;
}

#endif
