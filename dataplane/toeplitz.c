/*
 * See toeplitz.h.
 */
#include "dataplane/toeplitz.h"

const uint8_t toeplitz_published_key[TOEPLITZ_KEY_BYTES] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* The 32 bits of the key that begin at bit number `bit`, counted from the first byte's highest. */
static uint32_t key_window(const uint8_t *key, uint32_t bit)
{
    uint64_t five_bytes = 0;
    for (uint32_t i = 0; i < 5; i++) {
        five_bytes = five_bytes << 8 | key[bit / 8 + i];
    }
    return (uint32_t)(five_bytes >> (8 - bit % 8));
}

void toeplitz_init(struct toeplitz *toeplitz, const uint8_t key[TOEPLITZ_KEY_BYTES])
{
    for (uint32_t nibble = 0; nibble < TOEPLITZ_NIBBLES; nibble++) {
        for (uint32_t value = 0; value < 16; value++) {
            uint32_t hash = 0;
            for (uint32_t bit = 0; bit < 4; bit++) {
                hash ^= (value << bit & 8) != 0 ? key_window(key, 4 * nibble + bit) : 0;
            }
            toeplitz->table[nibble][value] = hash;
        }
    }
}

/* Of `bytes` input bytes, which lie in word as in memory; the first one is number `byte`. */
static inline uint32_t hash_word(const struct toeplitz *toeplitz, uint32_t byte, uint32_t word,
                                 uint32_t bytes)
{
    uint32_t hash = 0;
    for (uint32_t i = 0; i < bytes; i++, word >>= 8) {
        hash ^= toeplitz->table[2 * (byte + i)][word >> 4 & 15];
        hash ^= toeplitz->table[2 * (byte + i) + 1][word & 15];
    }
    return hash;
}

uint32_t toeplitz_addresses(const struct toeplitz *toeplitz, uint32_t src_be32, uint32_t dst_be32)
{
    return hash_word(toeplitz, 0, src_be32, 4) ^ hash_word(toeplitz, 4, dst_be32, 4);
}

uint32_t toeplitz_flow(const struct toeplitz *toeplitz, uint32_t src_be32, uint32_t dst_be32,
                       uint16_t src_port_be16, uint16_t dst_port_be16)
{
    return toeplitz_addresses(toeplitz, src_be32, dst_be32) ^
           hash_word(toeplitz, 8, src_port_be16, 2) ^ hash_word(toeplitz, 10, dst_port_be16, 2);
}
