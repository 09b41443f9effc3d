/*
 * The Toeplitz hash by which NICs spread flows over their queues (receive side scaling), for IPv4
 * with and without ports. Computed here as well, to know on which queue a flow will arrive, and to
 * spread in software where a NIC does not. Pure functions on a prepared table; any thread.
 *
 * The input is the addresses, source first, then the ports, source first, as they lie in the
 * packet. Each of its bits that is set adds (by exclusive or) the 32 bits of the key that begin at
 * the bit's own position. Four bits at a time are looked up: 1.5 KiB of table, 24 loads.
 */
#ifndef RINGSOCK_DATAPLANE_TOEPLITZ_H
#define RINGSOCK_DATAPLANE_TOEPLITZ_H

#include <stdint.h>

#define TOEPLITZ_KEY_BYTES 40u
#define TOEPLITZ_NIBBLES   24u /* two addresses, two ports */

struct toeplitz {
    uint32_t table[TOEPLITZ_NIBBLES][16];
};

/* The key of Microsoft's verification suite. Known to all, so for tests only (see steer.h). */
extern const uint8_t toeplitz_published_key[TOEPLITZ_KEY_BYTES];

void toeplitz_init(struct toeplitz *toeplitz, const uint8_t key[TOEPLITZ_KEY_BYTES]);
/* Addresses and ports in network order, of the packet as it is received. */
uint32_t toeplitz_addresses(const struct toeplitz *toeplitz, uint32_t src_be32, uint32_t dst_be32);
uint32_t toeplitz_flow(const struct toeplitz *toeplitz, uint32_t src_be32, uint32_t dst_be32,
                       uint16_t src_port_be16, uint16_t dst_port_be16);

#endif
