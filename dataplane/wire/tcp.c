/*
 * TCP options beyond the fast paths of tcp.h: handshakes, SACK, and whatever a peer may send.
 */
#include "dataplane/wire/tcp.h"

enum {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WSCALE = 3,
    KIND_SACK_OK = 4,
    KIND_SACK = 5,
    KIND_TIMESTAMPS = 8,
    MSS_BYTES = 4,
    WSCALE_BYTES = 3,
    SACK_OK_BYTES = 2,
    SACK_HEAD_BYTES = 2,
    SACK_BLOCK_BYTES = 8,
    TIMESTAMPS_BYTES = 10
};

static bool parse_sack(const uint8_t *option, uint32_t len, struct tcp_options *out)
{
    uint32_t count = (len - SACK_HEAD_BYTES) / SACK_BLOCK_BYTES;
    if (count == 0 || count > TCP_SACK_MAX_BLOCKS ||
        len != SACK_HEAD_BYTES + count * SACK_BLOCK_BYTES) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *block = option + SACK_HEAD_BYTES + (size_t)i * SACK_BLOCK_BYTES;
        out->sack[i].start = tcp_load_be32(block);
        out->sack[i].end = tcp_load_be32(block + 4);
    }
    out->sack_count = (uint8_t)count;
    out->present |= TCP_OPTION_SACK;
    return true;
}

/* One option of len bytes, all of them there. False: not a length that its kind can have. */
static bool parse_one(const uint8_t *option, uint32_t len, struct tcp_options *out)
{
    switch (option[0]) {
    case KIND_MSS:
        if (len != MSS_BYTES) {
            return false;
        }
        out->mss = (uint16_t)(option[2] << 8 | option[3]);
        out->present |= TCP_OPTION_MSS;
        return true;
    case KIND_WSCALE:
        if (len != WSCALE_BYTES) {
            return false;
        }
        out->wscale = option[2] < TCP_WSCALE_MAX ? option[2] : TCP_WSCALE_MAX;
        out->present |= TCP_OPTION_WSCALE;
        return true;
    case KIND_SACK_OK:
        if (len != SACK_OK_BYTES) {
            return false;
        }
        out->present |= TCP_OPTION_SACK_OK;
        return true;
    case KIND_SACK:
        return parse_sack(option, len, out);
    case KIND_TIMESTAMPS:
        if (len != TIMESTAMPS_BYTES) {
            return false;
        }
        out->tsval = tcp_load_be32(option + 2);
        out->tsecr = tcp_load_be32(option + 6);
        out->present |= TCP_OPTION_TIMESTAMPS;
        return true;
    default:
        return true;
    }
}

bool tcp_options_parse_any(const uint8_t *options, uint32_t bytes, struct tcp_options *out)
{
    out->present = 0;
    out->sack_count = 0;
    for (uint32_t off = 0; off < bytes && options[off] != KIND_END;) {
        if (options[off] == KIND_NOP) {
            off++;
            continue;
        }
        if (bytes - off < 2) {
            return false;
        }
        uint32_t len = options[off + 1];
        if (len < 2 || len > bytes - off || !parse_one(options + off, len, out)) {
            return false;
        }
        off += len;
    }
    return true;
}

static uint32_t emit_sack(uint8_t *at, const struct tcp_options *options, uint32_t room_bytes)
{
    uint32_t count = (room_bytes - 4) / SACK_BLOCK_BYTES;
    count = options->sack_count < count ? options->sack_count : count;
    if (count == 0) {
        return 0;
    }
    tcp_store_be32(at, TCP_OPTION_WORD(KIND_SACK, SACK_HEAD_BYTES + count * SACK_BLOCK_BYTES));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *block = at + 4 + (size_t)i * SACK_BLOCK_BYTES;
        tcp_store_be32(block, options->sack[i].start);
        tcp_store_be32(block + 4, options->sack[i].end);
    }
    return 4 + count * SACK_BLOCK_BYTES;
}

uint32_t tcp_options_emit_any(uint8_t *at, const struct tcp_options *options)
{
    uint8_t present = options->present;
    uint32_t off = 0;
    assert(options->sack_count <= TCP_SACK_MAX_BLOCKS || (present & TCP_OPTION_SACK) == 0);
    if ((present & TCP_OPTION_MSS) != 0) {
        tcp_store_be32(at, KIND_MSS << 24 | MSS_BYTES << 16 | (uint32_t)options->mss);
        off += 4;
    }
    if ((present & TCP_OPTION_TIMESTAMPS) != 0) {
        /* SACK_OK stands where the padding would be. */
        tcp_store_be32(at + off, (present & TCP_OPTION_SACK_OK) != 0
                                     ? KIND_SACK_OK << 24 | SACK_OK_BYTES << 16 |
                                           KIND_TIMESTAMPS << 8 | TIMESTAMPS_BYTES
                                     : TCP_OPTION_WORD(KIND_TIMESTAMPS, TIMESTAMPS_BYTES));
        tcp_store_be32(at + off + 4, options->tsval);
        tcp_store_be32(at + off + 8, options->tsecr);
        off += TCP_OPTIONS_TIMESTAMPS_BYTES;
    } else if ((present & TCP_OPTION_SACK_OK) != 0) {
        tcp_store_be32(at + off, TCP_OPTION_WORD(KIND_SACK_OK, SACK_OK_BYTES));
        off += 4;
    }
    if ((present & TCP_OPTION_WSCALE) != 0) {
        tcp_store_be32(at + off, KIND_NOP << 24 | KIND_WSCALE << 16 | WSCALE_BYTES << 8 |
                                     (uint32_t)options->wscale);
        off += 4;
    }
    if ((present & TCP_OPTION_SACK) != 0) {
        off += emit_sack(at + off, options, TCP_OPTIONS_MAX_BYTES - off);
    }
    return off;
}
