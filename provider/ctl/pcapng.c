/*
 * Blocks of a pcapng file, see pcapng.h. One thread for each file.
 */
#include "provider/ctl/pcapng.h"

#include <assert.h>
#include <string.h>

#include "rings/seq.h"

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINK_ETHERNET = 1,
    OPTION_END = 0,
    SHB_HARDWARE = 2,
    SHB_OS = 3,
    SHB_USERAPPL = 4,
    IF_NAME = 2,
    IF_DESCRIPTION = 3,
    IF_IPV4ADDR = 4,
    IF_MACADDR = 6,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    ISB_STARTTIME = 2,
    ISB_ENDTIME = 3,
    ISB_IFRECV = 4,
    ISB_IFDROP = 5,
    TSRESOL_NS = 9
};

#define BLOCK_ENDS_BYTES 12u /* type, length, length again */

/* The body of a small block. Longer texts are cut. */
struct body {
    uint8_t bytes[1024];
    uint32_t len_bytes;
};

static void body_add(struct body *body, const void *data, uint32_t len_bytes)
{
    assert(body->len_bytes + len_bytes <= sizeof(body->bytes));
    memcpy(body->bytes + body->len_bytes, data, len_bytes);
    body->len_bytes += len_bytes;
}

static void body_add_u16(struct body *body, uint32_t value)
{
    const uint16_t half = (uint16_t)value;
    body_add(body, &half, sizeof(half)); /* the host's order, which the section's magic tells */
}

static void body_add_u32(struct body *body, uint32_t value)
{
    body_add(body, &value, sizeof(value));
}

static void body_add_option(struct body *body, uint32_t code, const void *value, uint32_t len_bytes)
{
    static const uint8_t zeros[4] = {0};
    body_add_u16(body, code);
    body_add_u16(body, len_bytes);
    body_add(body, value, len_bytes);
    body_add(body, zeros, rs_align_up(len_bytes, 4) - len_bytes);
}

static void body_add_text(struct body *body, uint32_t code, const char *text)
{
    size_t len_bytes = strlen(text);
    body_add_option(body, code, text, len_bytes < 200 ? (uint32_t)len_bytes : 200);
}

/* Times are two halves, the high one first. */
static void body_add_time(struct body *body, uint32_t code, uint64_t unix_ns)
{
    const uint32_t halves[2] = {(uint32_t)(unix_ns >> 32), (uint32_t)unix_ns};
    body_add_option(body, code, halves, sizeof(halves));
}

static void write_words(FILE *out, const uint32_t *words, size_t count)
{
    (void)fwrite(words, sizeof(words[0]), count, out);
}

/* Closes the options and writes the block. */
static void write_block(FILE *out, uint32_t type, struct body *body)
{
    body_add_u32(body, OPTION_END);
    const uint32_t length = body->len_bytes + BLOCK_ENDS_BYTES;
    write_words(out, (const uint32_t[]){type, length}, 2);
    (void)fwrite(body->bytes, 1, body->len_bytes, out);
    write_words(out, &length, 1);
}

void pcapng_write_section(FILE *out, const char *hardware, const char *system,
                          const char *application)
{
    struct body body = {.len_bytes = 0};
    body_add_u32(&body, BYTE_ORDER_MAGIC);
    body_add_u16(&body, 1); /* version 1.0 */
    body_add_u16(&body, 0);
    body_add_u32(&body, UINT32_MAX); /* the section's length: up to the file's end */
    body_add_u32(&body, UINT32_MAX);
    body_add_text(&body, SHB_HARDWARE, hardware);
    body_add_text(&body, SHB_OS, system);
    body_add_text(&body, SHB_USERAPPL, application);
    write_block(out, BLOCK_SECTION, &body);
}

void pcapng_write_interface(FILE *out, const struct pcapng_interface *interface)
{
    static const uint8_t resolution = TSRESOL_NS;
    struct body body = {.len_bytes = 0};
    body_add_u16(&body, LINK_ETHERNET);
    body_add_u16(&body, 0);
    body_add_u32(&body, interface->snap_bytes);
    body_add_text(&body, IF_NAME, interface->name);
    body_add_text(&body, IF_DESCRIPTION, interface->description);
    for (uint32_t i = 0; i < interface->address_count; i++) { /* an option each, the draft says */
        body_add_option(&body, IF_IPV4ADDR, &interface->addresses[i],
                        sizeof(interface->addresses[i]));
    }
    if (interface->mac != NULL) {
        body_add_option(&body, IF_MACADDR, interface->mac, 6);
    }
    body_add_option(&body, IF_TSRESOL, &resolution, sizeof(resolution));
    write_block(out, BLOCK_INTERFACE, &body);
}

void pcapng_write_packet(FILE *out, const struct pcapng_packet *packet)
{
    static const uint8_t zeros[4] = {0};
    const uint32_t padded = rs_align_up(packet->len_bytes, 4);
    const bool flagged = packet->direction != PCAPNG_UNKNOWN;
    const uint32_t options[] = {4u << 16 | EPB_FLAGS, (uint32_t)packet->direction, OPTION_END};
    const uint32_t length =
        BLOCK_ENDS_BYTES + 20 + padded + (flagged ? (uint32_t)sizeof(options) : 0);
    const uint32_t head[] = {BLOCK_PACKET,
                             length,
                             packet->interface_idx,
                             (uint32_t)(packet->unix_ns >> 32),
                             (uint32_t)packet->unix_ns,
                             packet->len_bytes,
                             packet->whole_bytes};
    write_words(out, head, sizeof(head) / sizeof(head[0]));
    (void)fwrite(packet->bytes, 1, packet->len_bytes, out);
    (void)fwrite(zeros, 1, padded - packet->len_bytes, out);
    if (flagged) {
        write_words(out, options, sizeof(options) / sizeof(options[0]));
    }
    write_words(out, &length, 1);
}

void pcapng_write_statistics(FILE *out, const struct pcapng_statistics *statistics)
{
    struct body body = {.len_bytes = 0};
    body_add_u32(&body, statistics->interface_idx);
    body_add_u32(&body, (uint32_t)(statistics->to_ns >> 32));
    body_add_u32(&body, (uint32_t)statistics->to_ns);
    body_add_time(&body, ISB_STARTTIME, statistics->from_ns);
    body_add_time(&body, ISB_ENDTIME, statistics->to_ns);
    body_add_option(&body, ISB_IFRECV, &statistics->frames, sizeof(statistics->frames));
    body_add_option(&body, ISB_IFDROP, &statistics->dropped, sizeof(statistics->dropped));
    write_block(out, BLOCK_STATISTICS, &body);
}
