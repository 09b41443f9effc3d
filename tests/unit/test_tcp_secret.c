/*
 * Unit tests of dataplane/tcp_secret: the hash against its published vectors, what each number
 * depends on and what not, cookies over time and bit by bit, and the bits of a cookie's timestamp.
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
#include "dataplane/tcp_secret.h"

#define SECOND 1000000000ull

static const struct tcp_secret secret = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
static const struct tcp_secret_flow flow = {0x0100000a, 0x0200000a, 0x5000, 0x3412};

/* Of the designers' reference implementation: key 00 01 .. 0f, input of length i 00 01 .. i-1. */
static const uint64_t siphash_vectors[64] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
    0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
    0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
    0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
    0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
    0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
    0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
    0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
    0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
    0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
    0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
    0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572};

static void the_hash_is_siphash_2_4(void **state)
{
    (void)state;
    for (uint32_t len = 0; len < 64; len++) {
        uint8_t *input = malloc(len + 1); /* exact, but one, for the address sanitizer */
        assert_non_null(input);
        for (uint32_t i = 0; i < len; i++) {
            input[i + 1] = (uint8_t)i;
        }
        assert_true(tcp_secret_hash(&secret, input + 1, len) == siphash_vectors[len]);
        free(input);
    }
}

/* Each of them, to be compared over flows. */
static void all_of(const struct tcp_secret *key, const struct tcp_secret_flow *of, uint32_t out[4])
{
    out[0] = tcp_secret_isn(key, of, 0);
    out[1] = tcp_secret_ts_offset(key, of);
    out[2] = tcp_cookie_make(key, of, 1, 1460, 0) & ~15u;
    out[3] = tcp_secret_port_offset(key, of->local_be32, of->peer_be32, of->peer_port_be16);
}

static void every_part_of_the_flow_and_the_key_counts(void **state)
{
    (void)state;
    uint32_t plain[4];
    uint32_t other[4];
    all_of(&secret, &flow, plain);
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t j = 0; j < i; j++) {
            assert_true(plain[i] >> 4 != plain[j] >> 4); /* domains are apart */
        }
    }
    for (uint32_t bit = 0; bit < 8 * sizeof(flow); bit++) {
        struct tcp_secret_flow changed = flow;
        ((uint8_t *)&changed)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        all_of(&secret, &changed, other);
        bool local_port = changed.local_port_be16 != flow.local_port_be16;
        for (uint32_t i = 0; i < 4; i++) {
            /* the port is what algorithm 3 looks for */
            assert_int_equal(plain[i] == other[i], i == 3 && local_port);
        }
    }
    for (uint32_t bit = 0; bit < 128; bit++) {
        struct tcp_secret changed = secret;
        changed.key[bit / 64] ^= 1ull << bit % 64;
        all_of(&changed, &flow, other);
        for (uint32_t i = 0; i < 4; i++) {
            assert_true(plain[i] != other[i]);
        }
    }
}

static void sequence_numbers_follow_a_clock_of_4_us(void **state)
{
    (void)state;
    uint32_t first = tcp_secret_isn(&secret, &flow, 0);
    assert_int_equal(tcp_secret_isn(&secret, &flow, 3999) - first, 0);
    assert_int_equal(tcp_secret_isn(&secret, &flow, 4000) - first, 1);
    assert_int_equal(tcp_secret_isn(&secret, &flow, SECOND) - first, 250000);
    /* 4.77 hours */
    assert_int_equal(tcp_secret_isn(&secret, &flow, 4000ull << 32) - first, 0);
}

static void cookies_carry_the_mss_rounded_down(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < TCP_COOKIE_MSS_COUNT; i++) {
        assert_true(tcp_cookie_mss[i] > tcp_cookie_mss[i - 1]);
    }
    assert_int_equal(tcp_cookie_mss[0], 536);
    assert_int_equal(tcp_cookie_mss[TCP_COOKIE_MSS_COUNT - 1], 8960);
    for (uint32_t mss = 0; mss < 65536; mss++) {
        uint16_t want = tcp_cookie_mss[0];
        for (uint32_t i = 0; i < TCP_COOKIE_MSS_COUNT; i++) {
            want = tcp_cookie_mss[i] <= mss ? tcp_cookie_mss[i] : want;
        }
        uint32_t cookie = tcp_cookie_make(&secret, &flow, mss, (uint16_t)mss, SECOND);
        uint16_t got = 0;
        assert_true(tcp_cookie_check(&secret, &flow, mss, cookie, SECOND, &got));
        assert_int_equal(got, want);
    }
}

static void cookies_last_for_their_period_and_the_next(void **state)
{
    (void)state;
    for (uint64_t period = 0; period < 5; period++) {
        for (uint32_t part = 0; part < 3; part++) {
            static const uint64_t parts[3] = {0, 31 * SECOND, TCP_COOKIE_PERIOD_NS - 1};
            uint64_t made_ns = period * TCP_COOKIE_PERIOD_NS + parts[part];
            uint32_t cookie = tcp_cookie_make(&secret, &flow, 5, 1460, made_ns);
            uint64_t end_ns = (period + 2) * TCP_COOKIE_PERIOD_NS;
            uint16_t mss = 1;
            assert_true(tcp_cookie_check(&secret, &flow, 5, cookie, made_ns, &mss));
            assert_true(tcp_cookie_check(&secret, &flow, 5, cookie, end_ns - 1, &mss));
            mss = 1;
            for (uint64_t later = 0; later < 9; later++) {
                uint64_t at_ns = end_ns + later * TCP_COOKIE_PERIOD_NS;
                assert_false(tcp_cookie_check(&secret, &flow, 5, cookie, at_ns, &mss));
            }
            if (period > 0) { /* nor before it was made */
                uint64_t before_ns = period * TCP_COOKIE_PERIOD_NS - 1;
                assert_false(tcp_cookie_check(&secret, &flow, 5, cookie, before_ns, &mss));
            }
            assert_int_equal(mss, 1);
        }
    }
}

static void a_cookie_is_good_for_nothing_else(void **state)
{
    (void)state;
    uint64_t now = 1000 * SECOND;
    uint16_t mss;
    uint32_t cookie = tcp_cookie_make(&secret, &flow, 77, 1460, now);
    for (uint32_t bit = 0; bit < 32; bit++) {
        assert_false(tcp_cookie_check(&secret, &flow, 77, cookie ^ 1u << bit, now, &mss));
        assert_false(tcp_cookie_check(&secret, &flow, 77 ^ 1u << bit, cookie, now, &mss));
    }
    for (uint32_t bit = 0; bit < 8 * sizeof(flow); bit++) {
        struct tcp_secret_flow other = flow;
        ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(tcp_cookie_check(&secret, &other, 77, cookie, now, &mss));
    }
    /* 16 of 2^32 are good: of this many guesses hardly one. */
    struct test_random random = test_random_make(test_random_seed("tcp_secret"));
    uint32_t good = 0;
    for (uint32_t guess = 0; guess < 2000000; guess++) {
        uint32_t any = (uint32_t)test_random_u64(&random);
        good += tcp_cookie_check(&secret, &flow, 77, any, now, &mss) ? 1 : 0;
    }
    assert_true(good <= 2);
}

static void timestamps_carry_the_offer_and_are_never_late(void **state)
{
    (void)state;
    for (uint32_t low = 0; low < 256; low++) {
        for (uint32_t offer = 0; offer < 64; offer++) {
            uint32_t clock = low - 128; /* around the wrap */
            uint8_t wscale = 99;
            bool sack_ok;
            bool ecn;
            uint32_t ts = tcp_cookie_ts(clock, offer & 15, (offer & 16) != 0, (offer & 32) != 0);
            assert_true(clock - ts <= 63);
            tcp_cookie_ts_decode(ts, &wscale, &sack_ok, &ecn);
            assert_int_equal(wscale, offer & 15);
            assert_int_equal(sack_ok, (offer & 16) != 0);
            assert_int_equal(ecn, (offer & 32) != 0);
        }
    }
    assert_int_equal(tcp_cookie_ts(0x12345678, TCP_COOKIE_WSCALE_NONE, false, false), 0x1234564f);
    assert_int_equal(tcp_cookie_ts(0x12345670, 0, true, true), 0x12345670);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(every_part_of_the_flow_and_the_key_counts),
        cmocka_unit_test(sequence_numbers_follow_a_clock_of_4_us),
        cmocka_unit_test(cookies_carry_the_mss_rounded_down),
        cmocka_unit_test(cookies_last_for_their_period_and_the_next),
        cmocka_unit_test(a_cookie_is_good_for_nothing_else),
        cmocka_unit_test(timestamps_carry_the_offer_and_are_never_late),
    };
    return cmocka_run_group_tests_name("tcp_secret", tests, NULL, NULL);
}
