/*
 * What the interop programs say to each other: commands in UDP datagrams from the program on
 * Ringsock to the kernel's peer, and the payload pattern both can check. Host byte order: both run
 * on one machine.
 */
#ifndef RINGSOCK_TESTS_INTEROP_WIRE_H
#define RINGSOCK_TESTS_INTEROP_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WIRE_MAGIC        0x52534950u
#define WIRE_PORT_ECHO    7007u       /* every datagram comes back */
#define WIRE_PORT_SINK    7009u       /* datagrams are checked and counted */
#define WIRE_PORT_COMMAND 7019u       /* struct wire_command, answered by struct wire_answer */
#define WIRE_PORT_CLOSED  7999u       /* nobody */
#define WIRE_GROUP        0xef010203u /* 239.1.2.3 */
#define WIRE_MAX_BYTES    65536u

enum wire_op {
    WIRE_HELLO = 1,   /* answered; proves the way */
    WIRE_SINK_RESET,  /* counts to zero; seed of the pattern that is to come */
    WIRE_SINK_REPORT, /* waits until count datagrams came, 3 s at most; good, bad */
    WIRE_BLAST, /* count datagrams of min_bytes..max_bytes to dst:port, one each interval_us */
    WIRE_CLOSED_PORT, /* sends to dst:port; good 1 when ICMP port unreachable came back within 2 s
                       */
    WIRE_PING,  /* count pings with min_bytes..max_bytes of data; good = answered with the same data
                 */
    WIRE_FORGET /* deletes the kernel's ARP entry of dst */
};

struct wire_command {
    uint32_t magic;
    uint32_t serial; /* the answer carries it */
    uint32_t op;
    uint32_t seed;
    uint32_t count;
    uint32_t min_bytes, max_bytes;
    uint32_t interval_us;
    uint32_t dst_be32;
    uint32_t port;
};

struct wire_answer {
    uint32_t magic;
    uint32_t serial;
    uint32_t good, bad;
    char text[64]; /* what went wrong, or "" */
};

/* Size of datagram number `seq`: walks from min to max with a stride that meets every size. */
static inline uint32_t wire_size(uint32_t min_bytes, uint32_t max_bytes, uint32_t seq)
{
    return min_bytes + (uint32_t)((uint64_t)seq * 37 % (max_bytes - min_bytes + 1));
}

static inline uint8_t wire_byte(uint32_t seed, uint32_t seq, uint32_t i)
{
    uint32_t x = seed ^ seq * 0x9e3779b9u ^ (i + 1) * 0x85ebca6bu;
    return (uint8_t)((x ^ x >> 15) * 0x2c1b3c6du >> 24);
}

/* Number first (where it fits), pattern behind it. */
static inline void wire_fill(uint8_t *out, uint32_t bytes, uint32_t seed, uint32_t seq)
{
    uint32_t i = 0;
    if (bytes >= sizeof(seq)) {
        memcpy(out, &seq, sizeof(seq));
        i = sizeof(seq);
    }
    for (; i < bytes; i++) {
        out[i] = wire_byte(seed, seq, i);
    }
}

static inline bool wire_check(const uint8_t *data, uint32_t bytes, uint32_t seed, uint32_t seq)
{
    uint32_t i = 0;
    uint32_t number = seq;
    if (bytes >= sizeof(seq)) {
        memcpy(&number, data, sizeof(number));
        i = sizeof(seq);
    }
    for (; i < bytes && number == seq; i++) {
        if (data[i] != wire_byte(seed, seq, i)) {
            return false;
        }
    }
    return number == seq;
}

#endif
