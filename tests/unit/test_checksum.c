/*
 * Unit tests of dataplane/wire/checksum.c against RFC 1071 taken word by word: random lengths,
 * alignments and pieces, copies, and a source that another thread writes to meanwhile.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdatomic.h>

#include "../support/random.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ipv4.h"

enum { LEN_MAX = 2000, ALIGN_MAX = 64, GUARD = 0xa5, RACE_BYTES = 9000, RACE_ROUNDS = 20000 };

/* RFC 1071 word by word, in network order. */
static uint16_t plain_checksum(const uint8_t *data, uint32_t len_bytes)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < len_bytes; i++) {
        sum += (i & 1) == 0 ? (uint32_t)data[i] << 8 : data[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* Every other time many 0xff, so that carries happen. */
static void fill(struct test_random *random, uint8_t *data, uint32_t len)
{
    const bool ones = test_random_below(random, 2) != 0;
    for (uint32_t i = 0; i < len; i++) {
        data[i] = ones && test_random_below(random, 16) != 0
                      ? 0xff
                      : (uint8_t)test_random_below(random, 256);
    }
}

/* Short ones mostly: each way to end must come up at each alignment. */
static uint32_t random_len(struct test_random *random)
{
    return test_random_below(random, test_random_below(random, 4) == 0 ? LEN_MAX : 200);
}

static void checksum_equals_the_plain_sum(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("checksum"));
    uint8_t data[ALIGN_MAX + LEN_MAX];
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t len = random_len(&random);
        uint32_t off = test_random_below(&random, ALIGN_MAX);
        fill(&random, data + off, len);
        uint16_t got = checksum_finish(checksum_add(0, data + off, len));
        assert_int_equal(rs_be16(got), plain_checksum(data + off, len));
    }
}

/* Nothing before and behind the copy is touched, and its sum is that of the source. */
static void copy_adds_what_it_copies(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("copy"));
    uint8_t src[ALIGN_MAX + LEN_MAX];
    uint8_t dst[ALIGN_MAX + LEN_MAX + ALIGN_MAX];
    uint8_t want[sizeof(dst)];
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t len = random_len(&random);
        uint32_t src_off = test_random_below(&random, ALIGN_MAX);
        uint32_t dst_off = test_random_below(&random, ALIGN_MAX);
        uint64_t before = test_random_u64(&random) >> 16;
        fill(&random, src + src_off, len);
        memset(dst, GUARD, sizeof(dst));
        memset(want, GUARD, sizeof(want));
        memcpy(want + dst_off, src + src_off, len);
        uint64_t sum = checksum_copy(before, dst + dst_off, src + src_off, len);
        assert_memory_equal(dst, want, sizeof(dst));
        assert_int_equal(sum, checksum_add(before, src + src_off, len));
        assert_int_equal(rs_be16(checksum_finish(sum - before)),
                         plain_checksum(src + src_off, len));
    }
}

/* Pieces of any length, each added as where it begins needs it. */
static void pieces_add_up_to_the_whole(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("pieces"));
    uint8_t data[LEN_MAX];
    uint8_t copy[LEN_MAX];
    for (uint32_t round = 0; round < 5000; round++) {
        uint32_t len = random_len(&random);
        uint64_t sum = 0;
        fill(&random, data, len);
        for (uint32_t off = 0, piece; off < len; off += piece) {
            piece = 1 + test_random_below(&random, len - off);
            uint64_t more = test_random_below(&random, 2) == 0
                                ? checksum_add(0, data + off, piece)
                                : checksum_copy(0, copy + off, data + off, piece);
            sum += (off & 1) != 0 ? checksum_shift(more) : more;
        }
        assert_int_equal(rs_be16(checksum_finish(sum)), plain_checksum(data, len));
    }
}

static void the_longest_message(void **state)
{
    (void)state;
    static uint8_t data[1 << 20];
    memset(data, 0xff, sizeof(data));
    assert_int_equal(rs_be16(checksum_finish(checksum_add(0, data, 65535))),
                     plain_checksum(data, 65535));
    assert_int_equal(checksum_finish(checksum_add(UINT32_MAX, data, 0)), 0);
    /* Wide, not folded: the exact sum of the words is there. */
    assert_int_equal(checksum_add(7, data, sizeof(data)), 7 + sizeof(data) / 4 * UINT32_MAX);
}

static void a_known_header(void **state)
{
    (void)state;
    /* computed by hand: 4500 0054 0000 4000 4001 0000 0a00 0001 0a00 0002 */
    uint8_t header[20] = {0x45, 0, 0, 0x54, 0, 0, 0x40, 0, 0x40, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    uint16_t checksum = checksum_finish(checksum_add(0, header, sizeof(header)));
    assert_int_equal(rs_be16(checksum), 0x26a7);
    memcpy(header + 10, &checksum, 2);
    assert_true(ipv4_checksum_ok((const struct wire_ipv4 *)header));
}

/* ---- a client that writes to what is being copied ---- */

static uint8_t raced[RACE_BYTES];
static _Atomic bool race_over;     /* test to writer */
static _Atomic uint32_t race_laps; /* writer to test */

static void *write_on(void *unused)
{
    volatile uint8_t *bytes = raced;
    (void)unused;
    for (uint8_t value = 0; !atomic_load(&race_over); value++) {
        for (uint32_t i = 0; i < RACE_BYTES; i += 8) {
            bytes[i] = (uint8_t)(value + i);
        }
        atomic_fetch_add(&race_laps, 1);
    }
    return NULL;
}

static void the_sum_is_that_of_the_copy(void **state)
{
    (void)state;
    static uint8_t dst[RACE_BYTES];
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    uint32_t wrong = 0;
    for (uint32_t round = 0; round < RACE_ROUNDS || atomic_load(&race_laps) < 2; round++) {
        uint32_t len = RACE_BYTES - round % 64;
        uint64_t sum = checksum_copy(0, dst, raced, len);
        wrong += sum != checksum_add(0, dst, len);
    }
    atomic_store(&race_over, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_equals_the_plain_sum),
        cmocka_unit_test(copy_adds_what_it_copies),
        cmocka_unit_test(pieces_add_up_to_the_whole),
        cmocka_unit_test(the_longest_message),
        cmocka_unit_test(a_known_header),
        cmocka_unit_test(the_sum_is_that_of_the_copy),
    };
    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
