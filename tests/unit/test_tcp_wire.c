/*
 * Unit tests of dataplane/wire/tcp: the header at every length, its checksum, options byte by byte,
 * emit read back, and random bytes against a plain reader.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "../support/random.h"
#include "dataplane/wire/tcp.h"

enum { ALL_SYN = TCP_OPTION_MSS | TCP_OPTION_SACK_OK | TCP_OPTION_TIMESTAMPS | TCP_OPTION_WSCALE };

static const struct tcp_options sample = {
    .wscale = 7,
    .sack_count = 4,
    .mss = 1460,
    .tsval = 0x11223344,
    .tsecr = 0x55667788,
    .sack = {{0xfffffff0, 0x10}, {0x01020304, 0x05060708}, {1, 2}, {0x80000000, 0x80000001}}};

static void header_is_checked_at_every_length(void **state)
{
    (void)state;
    uint8_t data[64] = {0};
    for (uint32_t header_bytes = 0; header_bytes <= 60; header_bytes += 4) {
        const struct wire_tcp fields = {.offset = tcp_offset(header_bytes)};
        tcp_emit(data, &fields);
        assert_int_equal(tcp_header_bytes((const struct wire_tcp *)data), header_bytes);
        for (uint32_t len = 0; len < sizeof(data); len++) {
            enum tcp_check_result want = len < 20 ? TCP_CHECK_TRUNCATED
                                         : header_bytes < 20 || len < header_bytes
                                             ? TCP_CHECK_OFFSET
                                             : TCP_CHECK_OK;
            assert_int_equal(tcp_check(data, len), want);
        }
    }
}

static void header_lies_as_the_rfc_draws_it(void **state)
{
    (void)state;
    const struct wire_tcp fields = {.src_port_be16 = rs_be16(0x0102),
                                    .dst_port_be16 = rs_be16(0x0304),
                                    .seq_be32 = rs_be32(0x05060708),
                                    .ack_be32 = rs_be32(0x090a0b0c),
                                    .offset = tcp_offset(20),
                                    .flags = TCP_FLAG_CWR | TCP_FLAG_ACK | TCP_FLAG_SYN,
                                    .window_be16 = rs_be16(0x0d0e),
                                    .checksum_be16 = 0xffff,
                                    .urgent_be16 = rs_be16(0x0f10)};
    static const uint8_t want[20] = {1,  2,  3,    4,    5,  6,  7, 8, 9,  10,
                                     11, 12, 0x50, 0x92, 13, 14, 0, 0, 15, 16};
    uint8_t data[20];
    tcp_emit(data, &fields);
    assert_memory_equal(data, want, 20);
}

static void checksum_covers_the_pseudo_header(void **state)
{
    (void)state;
    /* By hand: 0a00 0001 0a00 0002 0006 0016, then 0050 0051 0000 0001 0000 0000 5010 ffff 0000
     * 0000 6869; they add up to 0x1cd39, folded 0xcd3a. */
    uint8_t data[22] = {0, 0x50, 0,    0x51, 0,    0, 0, 1, 0, 0,   0,
                        0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0, 'h', 'i'};
    uint16_t checksum = tcp_checksum(data, 22, rs_be32(0x0a000001), rs_be32(0x0a000002));
    assert_int_equal(rs_be16(checksum), 0x32c5);
    memcpy(data + 16, &checksum, 2);
    assert_true(tcp_checksum_ok(data, 22, rs_be32(0x0a000001), rs_be32(0x0a000002)));
    assert_false(tcp_checksum_ok(data, 22, rs_be32(0x0a000001), rs_be32(0x0a000003)));
    assert_false(tcp_checksum_ok(data, 21, rs_be32(0x0a000001), rs_be32(0x0a000002)));
    data[21] ^= 1;
    assert_false(tcp_checksum_ok(data, 22, rs_be32(0x0a000001), rs_be32(0x0a000002)));
}

static void checksum_of_zero_stays_zero(void **state)
{
    (void)state;
    uint8_t data[20] = {0};
    uint16_t checksum = tcp_checksum(data, 20, 0, 0);
    memcpy(data + 4, &checksum, 2); /* now the rest adds up to 0xffff */
    assert_int_equal(tcp_checksum(data, 20, 0, 0), 0);
}

static void parses(const uint8_t *bytes, uint32_t len, bool want, uint8_t present,
                   struct tcp_options *out)
{
    /* Of exact size, so that the address sanitizer sees a byte too many. */
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    memset(out, 0xa5, sizeof(*out));
    assert_int_equal(tcp_options_parse(copy, len, out), want);
    assert_int_equal(out->present, present);
    free(copy);
}

#define PARSES(want, present, out, ...)                     \
    do {                                                    \
        static const uint8_t bytes_[] = {__VA_ARGS__};      \
        parses(bytes_, sizeof(bytes_), want, present, out); \
    } while (0)

static void known_options_are_read(void **state)
{
    (void)state;
    struct tcp_options out;
    parses((const uint8_t *)"", 0, true, 0, &out);
    assert_int_equal(out.sack_count, 0);
    PARSES(true, TCP_OPTION_TIMESTAMPS, &out, 1, 1, 8, 10, 0, 1, 2, 3, 4, 5, 6, 7);
    assert_true(out.tsval == 0x00010203 && out.tsecr == 0x04050607 && out.sack_count == 0);
    PARSES(true, TCP_OPTION_TIMESTAMPS, &out, 8, 10, 0xf0, 1, 2, 3, 4, 5, 6, 7, 1, 1);
    assert_true(out.tsval == 0xf0010203 && out.tsecr == 0x04050607);
    PARSES(true, ALL_SYN, &out, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7);
    assert_true(out.mss == 1460 && out.wscale == 7 && out.tsval == 1 && out.tsecr == 0);
    PARSES(true, TCP_OPTION_SACK, &out, 1, 1, 5, 18, 0xff, 0, 0, 1, 0, 0, 0, 2, 3, 0, 0, 0, 4, 0, 0,
           0);
    assert_int_equal(out.sack_count, 2);
    assert_true(out.sack[0].start == 0xff000001 && out.sack[0].end == 2);
    assert_true(out.sack[1].start == 0x03000000 && out.sack[1].end == 0x04000000);
}

static void window_scale_is_at_most_fourteen(void **state)
{
    (void)state;
    struct tcp_options out;
    for (uint32_t shift = 0; shift < 256; shift++) {
        const uint8_t bytes[4] = {1, 3, 3, (uint8_t)shift};
        parses(bytes, 4, true, TCP_OPTION_WSCALE, &out);
        assert_int_equal(out.wscale, shift < 14 ? shift : 14);
    }
}

static void unknown_options_are_skipped(void **state)
{
    (void)state;
    struct tcp_options out;
    PARSES(true, TCP_OPTION_MSS, &out, 254, 5, 2, 4, 9, 30, 2, 2, 4, 2, 0);
    assert_int_equal(out.mss, 512);
    PARSES(true, TCP_OPTION_SACK_OK, &out, 4, 2, 0, 2, 4, 1, 1); /* behind the end of options */
    PARSES(true, 0, &out, 34, 2);
}

static void malformed_lengths_end_the_options(void **state)
{
    (void)state;
    struct tcp_options out;
    PARSES(false, TCP_OPTION_SACK_OK, &out, 4, 2, 254, 0, 2, 4, 1, 1);
    PARSES(false, TCP_OPTION_SACK_OK, &out, 4, 2, 254, 1, 2, 4, 1, 1);
    PARSES(false, TCP_OPTION_SACK_OK, &out, 4, 2, 254, 7, 2, 4, 1, 1);
    PARSES(true, TCP_OPTION_SACK_OK, &out, 4, 2, 254, 6, 2, 4, 1, 1);
    PARSES(false, TCP_OPTION_SACK_OK, &out, 4, 2, 1, 8);
    PARSES(false, 0, &out, 2, 4, 1);
    PARSES(false, 0, &out, 2, 3, 1, 1);
    PARSES(false, 0, &out, 3, 4, 1, 1);
    PARSES(false, 0, &out, 3, 2, 1, 1);
    PARSES(false, 0, &out, 4, 3, 1, 1);
    PARSES(false, 0, &out, 1, 1, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7);
    PARSES(false, 0, &out, 8, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1);
    PARSES(false, 0, &out, 5, 2, 1, 1);
    assert_int_equal(out.sack_count, 0);
    PARSES(false, 0, &out, 5, 9, 0, 1, 2, 3, 4, 5, 6, 1, 1, 1);
    PARSES(false, 0, &out, 5, 11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1);
    static const uint8_t five_blocks[44] = {5, 42};
    parses(five_blocks, 44, false, 0, &out);
}

static void emits(uint8_t present, uint8_t blocks, const uint8_t *want, uint32_t len)
{
    struct tcp_options options = sample;
    options.present = present;
    options.sack_count = blocks;
    uint8_t at[TCP_OPTIONS_MAX_BYTES];
    assert_int_equal(tcp_options_emit(at, &options), len);
    assert_memory_equal(at, want, len);
}

static void emission_is_that_of_linux(void **state)
{
    (void)state;
    static const uint8_t ts[] = {1, 1, 8, 10, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    static const uint8_t syn[] = {2,    4,    5,    0xb4, 4,    2,    8, 10, 0x11, 0x22,
                                  0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 1, 3,  3,    7};
    static const uint8_t plain_syn[] = {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7};
    static const uint8_t sack[] = {1, 1, 5, 10, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0x10};
    emits(0, 0, ts, 0);
    emits(TCP_OPTION_TIMESTAMPS, 0, ts, sizeof(ts));
    emits(ALL_SYN, 0, syn, sizeof(syn));
    emits(ALL_SYN & ~TCP_OPTION_TIMESTAMPS, 0, plain_syn, sizeof(plain_syn));
    emits(TCP_OPTION_SACK, 1, sack, sizeof(sack));
    emits(TCP_OPTION_SACK, 0, sack, 0);
}

/* Every set of options and number of blocks: what comes back is what fits. */
static void emission_is_read_back(void **state)
{
    (void)state;
    for (uint32_t set = 0; set < 32; set++) {
        for (uint32_t blocks = 0; blocks <= 4; blocks++) {
            struct tcp_options options = sample;
            options.present = (uint8_t)set;
            options.sack_count = (uint8_t)blocks;
            uint8_t at[TCP_OPTIONS_MAX_BYTES + 1];
            memset(at, 0xee, sizeof(at));
            uint32_t len = tcp_options_emit(at, &options);
            assert_true(len <= TCP_OPTIONS_MAX_BYTES && len % 4 == 0);
            for (uint32_t i = len; i < sizeof(at); i++) {
                assert_int_equal(at[i], 0xee);
            }
            uint32_t others = ((set & TCP_OPTION_MSS) != 0 ? 4u : 0u) +
                              ((set & TCP_OPTION_WSCALE) != 0 ? 4u : 0u) +
                              ((set & TCP_OPTION_TIMESTAMPS) != 0 ? 12u
                               : (set & TCP_OPTION_SACK_OK) != 0  ? 4u
                                                                  : 0u);
            uint32_t fit = (36 - others) / 8 < blocks ? (36 - others) / 8 : blocks;
            bool has_sack = (set & TCP_OPTION_SACK) != 0 && fit > 0;
            assert_int_equal(len, others + (has_sack ? 4 + 8 * fit : 0));
            struct tcp_options back;
            parses(at, len, true, (uint8_t)(has_sack ? set : set & ~(uint32_t)TCP_OPTION_SACK),
                   &back);
            assert_int_equal(back.sack_count, has_sack ? fit : 0);
            assert_memory_equal(back.sack, sample.sack, back.sack_count * sizeof(sample.sack[0]));
            assert_true((set & TCP_OPTION_MSS) == 0 || back.mss == sample.mss);
            assert_true((set & TCP_OPTION_WSCALE) == 0 || back.wscale == sample.wscale);
            assert_true((set & TCP_OPTION_TIMESTAMPS) == 0 ||
                        (back.tsval == sample.tsval && back.tsecr == sample.tsecr));
        }
    }
}

/* Where a plain reader, which knows only kinds and lengths, comes to an end, and with what. */
static bool plain_read(const uint8_t *bytes, uint32_t len, uint8_t *present)
{
    static const uint8_t bits[9] = {[2] = TCP_OPTION_MSS,
                                    [3] = TCP_OPTION_WSCALE,
                                    [4] = TCP_OPTION_SACK_OK,
                                    [5] = TCP_OPTION_SACK,
                                    [8] = TCP_OPTION_TIMESTAMPS};
    static const uint8_t lengths[9] = {[2] = 4, [3] = 3, [4] = 2, [8] = 10};
    *present = 0;
    while (len > 0 && bytes[0] != 0) {
        uint32_t step = bytes[0] == 1 ? 1 : len < 2 ? 0 : bytes[1];
        uint8_t bit = bytes[0] < 9 ? bits[bytes[0]] : 0;
        if (step == 0 || step > len || (bytes[0] != 1 && step < 2) ||
            (bit == TCP_OPTION_SACK && (step < 10 || step > 34 || step % 8 != 2)) ||
            (bit != 0 && bit != TCP_OPTION_SACK && step != lengths[bytes[0]])) {
            return false;
        }
        *present |= bit;
        bytes += step;
        len -= step;
    }
    return true;
}

static void random_options_are_read_as_a_plain_reader_does(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("tcp_wire"));
    static const uint8_t likely[] = {0, 1, 1, 2, 4, 3, 3, 4, 2, 5, 10, 18, 8, 10, 10, 34, 26, 254};
    uint32_t good = 0;
    for (uint32_t round = 0; round < 200000; round++) {
        uint8_t bytes[TCP_OPTIONS_MAX_BYTES];
        uint32_t len = test_random_below(&random, TCP_OPTIONS_MAX_BYTES + 1);
        for (uint32_t i = 0; i < len; i++) {
            bytes[i] = test_random_below(&random, 4) == 0
                           ? (uint8_t)test_random_below(&random, 256)
                           : likely[test_random_below(&random, sizeof(likely))];
        }
        uint8_t present;
        bool want = plain_read(bytes, len, &present);
        struct tcp_options out;
        parses(bytes, len, want, present, &out);
        good += want && present != 0 ? 1 : 0;
    }
    assert_true(good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_checked_at_every_length),
        cmocka_unit_test(header_lies_as_the_rfc_draws_it),
        cmocka_unit_test(checksum_covers_the_pseudo_header),
        cmocka_unit_test(checksum_of_zero_stays_zero),
        cmocka_unit_test(known_options_are_read),
        cmocka_unit_test(window_scale_is_at_most_fourteen),
        cmocka_unit_test(unknown_options_are_skipped),
        cmocka_unit_test(malformed_lengths_end_the_options),
        cmocka_unit_test(emission_is_that_of_linux),
        cmocka_unit_test(emission_is_read_back),
        cmocka_unit_test(random_options_are_read_as_a_plain_reader_does),
    };
    return cmocka_run_group_tests_name("tcp_wire", tests, NULL, NULL);
}
