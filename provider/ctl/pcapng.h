/*
 * Writes pcapng files (draft-ietf-opsawg-pcapng: one section, little-endian, time in ns): section
 * header, interfaces, packets, statistics, in this order. Calls the C library only; whether all was
 * written ferror and fclose say.
 */
#ifndef RINGSOCK_PROVIDER_CTL_PCAPNG_H
#define RINGSOCK_PROVIDER_CTL_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Which way a packet went; as epb_flags says it. */
enum pcapng_direction { PCAPNG_UNKNOWN = 0, PCAPNG_IN = 1, PCAPNG_OUT = 2 };

#define PCAPNG_ADDRESSES_MAX 16u

struct pcapng_address {
    uint32_t ip_be32, mask_be32;
};

struct pcapng_interface { /* of Ethernet frames */
    const char *name, *description;
    uint32_t snap_bytes;    /* 0: whole frames */
    const uint8_t *mac;     /* NULL: none */
    uint32_t address_count; /* up to PCAPNG_ADDRESSES_MAX */
    struct pcapng_address addresses[PCAPNG_ADDRESSES_MAX];
};

struct pcapng_packet {
    uint32_t interface_idx; /* in the order of pcapng_write_interface */
    uint64_t unix_ns;
    const uint8_t *bytes;
    uint32_t len_bytes;   /* of them */
    uint32_t whole_bytes; /* the frame had */
    enum pcapng_direction direction;
};

struct pcapng_statistics {
    uint32_t interface_idx;
    uint64_t from_ns, to_ns;
    uint64_t frames;  /* that passed */
    uint64_t dropped; /* of these: are not in the file */
};

void pcapng_write_section(FILE *out, const char *hardware, const char *system,
                          const char *application);
void pcapng_write_interface(FILE *out, const struct pcapng_interface *interface);
void pcapng_write_packet(FILE *out, const struct pcapng_packet *packet);
void pcapng_write_statistics(FILE *out, const struct pcapng_statistics *statistics);

#endif
