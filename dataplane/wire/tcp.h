/*
 * TCP header and its options (RFC 9293 section 3.1, RFC 7323, RFC 2018). Format only; what a field
 * means to a connection is decided by the caller. Pure functions; any thread.
 */
#ifndef RINGSOCK_DATAPLANE_WIRE_TCP_H
#define RINGSOCK_DATAPLANE_WIRE_TCP_H

#include <stdbool.h>

#include "dataplane/wire/byteorder.h"
#include "dataplane/wire/checksum.h"

enum {
    TCP_HEADER_BYTES = 20, /* without options */
    TCP_HEADER_MAX_BYTES = 60,
    TCP_OPTIONS_MAX_BYTES = TCP_HEADER_MAX_BYTES - TCP_HEADER_BYTES,
    TCP_OPTIONS_TIMESTAMPS_BYTES = 12, /* timestamps alone, as tcp_options_emit pads them */
    TCP_PROTOCOL = 6,
    TCP_FLAG_FIN = 1,
    TCP_FLAG_SYN = 2,
    TCP_FLAG_RST = 4,
    TCP_FLAG_PSH = 8,
    TCP_FLAG_ACK = 16,
    TCP_FLAG_URG = 32,
    TCP_FLAG_ECE = 64,
    TCP_FLAG_CWR = 128
};

struct wire_tcp {
    uint16_t src_port_be16;
    uint16_t dst_port_be16;
    uint32_t seq_be32;
    uint32_t ack_be32;
    uint8_t offset; /* high four bits: header and options in words of 4 bytes; see tcp_offset */
    uint8_t flags;
    uint16_t window_be16;
    uint16_t checksum_be16;
    uint16_t urgent_be16;
} WIRE_HEADER;
static_assert(sizeof(struct wire_tcp) == TCP_HEADER_BYTES, "wire: tcp");

enum tcp_check_result {
    TCP_CHECK_OK,
    TCP_CHECK_TRUNCATED, /* no room for the fixed header */
    TCP_CHECK_OFFSET     /* data offset below 20 bytes, or beyond the data */
};

static inline uint32_t tcp_header_bytes(const struct wire_tcp *header)
{
    return (header->offset >> 4) * 4u;
}

/* The offset field for a header of header_bytes, options included (a multiple of 4, up to 60). */
static inline uint8_t tcp_offset(uint32_t header_bytes)
{
    return (uint8_t)(header_bytes << 2);
}

/* After OK, the header and its options may be read; what follows them is payload. The checksum is
 * a question of its own. */
static inline enum tcp_check_result tcp_check(const uint8_t *data, uint32_t len_bytes)
{
    if (len_bytes < TCP_HEADER_BYTES) {
        return TCP_CHECK_TRUNCATED;
    }
    uint32_t header_bytes = tcp_header_bytes((const struct wire_tcp *)data);
    return header_bytes < TCP_HEADER_BYTES || header_bytes > len_bytes ? TCP_CHECK_OFFSET
                                                                       : TCP_CHECK_OK;
}

/* What the checksum field must hold, over a header whose field is zero, options and payload, as
 * they lie in data. A payload elsewhere: checksum_pseudo and checksum_add, header first (it is
 * even). */
static inline uint16_t tcp_checksum(const uint8_t *data, uint16_t len_bytes, uint32_t src_be32,
                                    uint32_t dst_be32)
{
    uint64_t sum = checksum_pseudo(src_be32, dst_be32, TCP_PROTOCOL, len_bytes);
    return checksum_finish(checksum_add(sum, data, len_bytes));
}

/* After tcp_check, of a whole segment. */
static inline bool tcp_checksum_ok(const uint8_t *data, uint16_t len_bytes, uint32_t src_be32,
                                   uint32_t dst_be32)
{
    return tcp_checksum(data, len_bytes, src_be32, dst_be32) == 0;
}

/* The fixed header with a zero checksum, whatever the field says. */
static inline void tcp_emit(uint8_t *at, const struct wire_tcp *fields)
{
    struct wire_tcp *header = (struct wire_tcp *)at;
    *header = *fields;
    header->checksum_be16 = 0;
}

enum {
    TCP_OPTION_MSS = 1, /* bits of tcp_options.present */
    TCP_OPTION_WSCALE = 2,
    TCP_OPTION_SACK_OK = 4,
    TCP_OPTION_TIMESTAMPS = 8,
    TCP_OPTION_SACK = 16,
    TCP_SACK_MAX_BLOCKS = 4,
    TCP_WSCALE_MAX = 14 /* RFC 7323 section 2.3 */
};

struct tcp_sack_block {
    uint32_t start; /* sequence number, host order */
    uint32_t end;   /* behind the last byte */
};

/* Host order. A value is set only where present says so; sack_count is zero without SACK. */
struct tcp_options {
    uint8_t present;
    uint8_t wscale;
    uint8_t sack_count;
    uint16_t mss;
    uint32_t tsval;
    uint32_t tsecr;
    struct tcp_sack_block sack[TCP_SACK_MAX_BLOCKS];
};

/* The four bytes NOP, NOP, kind, length with which options begin that are padded in front. */
#define TCP_OPTION_WORD(kind, len) (0x01010000u | (uint32_t)(kind) << 8 | (uint32_t)(len))

static inline uint32_t tcp_load_be32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return rs_be32(value);
}

static inline void tcp_store_be32(uint8_t *at, uint32_t value)
{
    value = rs_be32(value);
    memcpy(at, &value, sizeof(value));
}

/* See tcp_options_parse and tcp_options_emit, which call these where their fast path ends. */
bool tcp_options_parse_any(const uint8_t *options, uint32_t bytes, struct tcp_options *out);
uint32_t tcp_options_emit_any(uint8_t *at, const struct tcp_options *options);

/* Reads the option bytes behind a header. Unknown kinds are skipped (RFC 9293 MUST-6); a window
 * scale above 14 is read as 14 (RFC 7323 section 2.3); of an option that comes twice the last one
 * counts. False when a length is malformed (MUST-7): below 2, beyond the end, or not that of a
 * known kind; what came before it is in out, the rest was not read. Options that only a SYN may
 * carry are reported wherever they are. */
static inline bool tcp_options_parse(const uint8_t *options, uint32_t bytes,
                                     struct tcp_options *out)
{
    /* What an established connection sends with every segment (RFC 7323 appendix A). */
    if (bytes == TCP_OPTIONS_TIMESTAMPS_BYTES && tcp_load_be32(options) == TCP_OPTION_WORD(8, 10)) {
        out->present = TCP_OPTION_TIMESTAMPS;
        out->sack_count = 0;
        out->tsval = tcp_load_be32(options + 4);
        out->tsecr = tcp_load_be32(options + 8);
        return true;
    }
    return tcp_options_parse_any(options, bytes, out);
}

/* Writes the options that are present, each padded with NOPs to words of four bytes, in the order
 * and packing of Linux: MSS; SACK_OK and timestamps in one; window scale; SACK. at: room for
 * TCP_OPTIONS_MAX_BYTES. SACK blocks beyond the room that the others leave (3 beside timestamps)
 * are left out, from the last one. Returns the bytes written, a multiple of 4, at most 40. */
static inline uint32_t tcp_options_emit(uint8_t *at, const struct tcp_options *options)
{
    if (options->present == TCP_OPTION_TIMESTAMPS) {
        tcp_store_be32(at, TCP_OPTION_WORD(8, 10));
        tcp_store_be32(at + 4, options->tsval);
        tcp_store_be32(at + 8, options->tsecr);
        return TCP_OPTIONS_TIMESTAMPS_BYTES;
    }
    return tcp_options_emit_any(at, options);
}

#endif
