/* rings/dgram_ring.h: the edges that random operations seldom meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/dgram_ring.h"

enum { RING = 128 * 1024 };

static _Alignas(64) uint8_t ring[RING];

/* The largest UDP payload fits an empty ring of 128 KiB wherever the last record ended. */
static void largest_datagram_fits_from_everywhere(void **state)
{
    (void)state;
    for (uint32_t start = 0; start < RING; start += 64 * 31) {
        rs_atomic_u32 head_word = start;
        struct dgram_writer writer;
        struct dgram_reader reader;
        struct rs_dgram *record;
        struct dgram_view view = {0};
        dgram_writer_init(&writer, ring, RING, &head_word, RING, start);
        dgram_reader_init(&reader, ring, RING, &head_word, start);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(
                dgram_writer_reserve(&writer, RS_DGRAM_MAX_BYTES, RS_DGRAM_SHORT_OFF, &record),
                RS_OK);
            memset((uint8_t *)record + RS_DGRAM_SHORT_OFF, 0xff, RS_DGRAM_MAX_BYTES);
            dgram_writer_commit(&writer);
            assert_int_equal(dgram_reader_peek(&reader, &view), RS_OK);
            assert_int_equal(view.header.len_bytes, RS_DGRAM_MAX_BYTES);
            dgram_reader_consume(&reader, &view);
            assert_int_equal(dgram_reader_peek(&reader, &view), RS_WOULD_BLOCK);
        }
    }
}

static void too_long_is_said(void **state)
{
    (void)state;
    rs_atomic_u32 head_word = 0;
    struct dgram_writer writer;
    struct rs_dgram *record;
    dgram_writer_init(&writer, ring, RING / 2, &head_word, RING / 2, 0);
    assert_int_equal(dgram_writer_reserve(&writer, 40000, RS_DGRAM_SHORT_OFF, &record),
                     RS_MESSAGE_SIZE);
    dgram_writer_init(&writer, ring, RING, &head_word, RING, 0);
    assert_int_equal(
        dgram_writer_reserve(&writer, RS_DGRAM_MAX_BYTES + 1, RS_DGRAM_SHORT_OFF, &record),
        RS_MESSAGE_SIZE);
    assert_int_equal(dgram_writer_reserve(&writer, UINT32_MAX, RS_DGRAM_SHORT_OFF, &record),
                     RS_MESSAGE_SIZE);
    struct dgram_send_writer send;
    struct rs_send_dgram *send_record;
    dgram_send_writer_init(&send, ring, RING / 2, &head_word, RING / 2, 0);
    assert_int_equal(dgram_send_writer_reserve(&send, 40000, RS_SEND_SHORT_OFF, &send_record),
                     RS_MESSAGE_SIZE);
}

/* 0 and 40 bytes take one line, 41 take two. */
static void short_datagrams_take_one_line(void **state)
{
    (void)state;
    static const uint32_t lens[] = {0, 40, 41};
    static const uint32_t tails[] = {64, 128, 256};
    rs_atomic_u32 head_word = 0;
    struct dgram_writer writer;
    struct rs_dgram *record;
    dgram_writer_init(&writer, ring, RING, &head_word, RING, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dgram_writer_reserve(&writer, lens[i], RS_DGRAM_SHORT_OFF, &record),
                         RS_OK);
        dgram_writer_commit(&writer);
        assert_int_equal(writer.tail, tails[i]);
    }
}

/* Payload that looks exactly like the record that will follow: the cleared word keeps it from
 * counting. */
static void stale_payload_is_no_record(void **state)
{
    (void)state;
    enum { SMALL = 1024 };
    rs_atomic_u32 head_word = 0;
    struct dgram_writer writer;
    struct dgram_reader reader;
    struct rs_dgram *record;
    struct dgram_view view = {0};
    memset(ring, 0, SMALL);
    dgram_writer_init(&writer, ring, SMALL, &head_word, SMALL, 0);
    dgram_reader_init(&reader, ring, SMALL, &head_word, 0);
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t len = i * 37 % 300; /* boundaries differ from lap to lap */
        assert_int_equal(dgram_writer_reserve(&writer, len, RS_DGRAM_SHORT_OFF, &record), RS_OK);
        uint8_t *bytes = (uint8_t *)record;
        for (uint32_t off = 64; off + 4 <= RS_DGRAM_SHORT_OFF + len; off += 64) {
            uint32_t place = (uint32_t)(bytes + off - ring);
            uint32_t next_lap = (writer.tail & ~(uint32_t)(SMALL - 1)) + SMALL + place;
            uint32_t seq = rs_dgram_seq(next_lap);
            memcpy(bytes + off, &seq, sizeof(seq));
        }
        dgram_writer_commit(&writer);
        assert_int_equal(dgram_reader_peek(&reader, &view), RS_OK);
        assert_int_equal(view.header.len_bytes, len);
        dgram_reader_consume(&reader, &view);
        assert_int_equal(dgram_reader_peek(&reader, &view), RS_WOULD_BLOCK);
    }
}

static void limit_is_a_level(void **state)
{
    (void)state;
    rs_atomic_u32 head_word = 0;
    struct dgram_writer writer;
    struct rs_dgram *record;
    dgram_writer_init(&writer, ring, RING, &head_word, 1, 0);
    assert_int_equal(dgram_writer_reserve(&writer, 1000, RS_DGRAM_SHORT_OFF, &record), RS_OK);
    dgram_writer_commit(&writer);
    assert_int_equal(dgram_writer_reserve(&writer, 1, RS_DGRAM_SHORT_OFF, &record), RS_WOULD_BLOCK);
    writer.limit_bytes = 4096;
    assert_int_equal(dgram_writer_reserve(&writer, 1, RS_DGRAM_SHORT_OFF, &record), RS_OK);
}

static void impossible_indices_poison(void **state)
{
    (void)state;
    rs_atomic_u32 head_word = 0;
    struct dgram_writer writer;
    struct rs_dgram *record;
    dgram_writer_init(&writer, ring, 1024, &head_word, 1024, 0);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(dgram_writer_reserve(&writer, 100, RS_DGRAM_SHORT_OFF, &record), RS_OK);
        dgram_writer_commit(&writer);
    }
    static const uint32_t wrong[] = {7 * 128 + 64, 33, 0xffffffc0u, 1u << 31};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        head_word = wrong[i];
        assert_int_equal(dgram_writer_reserve(&writer, 100, RS_DGRAM_SHORT_OFF, &record),
                         RS_POISONED);
    }
    head_word = 128;
    assert_int_equal(dgram_writer_reserve(&writer, 100, RS_DGRAM_SHORT_OFF, &record), RS_OK);
    dgram_writer_commit(&writer);
    head_word = 64; /* behind what was seen */
    assert_int_equal(dgram_writer_reserve(&writer, 100, RS_DGRAM_SHORT_OFF, &record), RS_POISONED);

    rs_atomic_u32 send_head;
    struct dgram_send_reader reader;
    dgram_send_reader_init(&reader, ring, 1024, &send_head, 0xffffff00u);
    assert_int_equal(dgram_send_reader_extend(&reader, 0xffffff00u + 1024 + 64), RS_POISONED);
    assert_int_equal(dgram_send_reader_extend(&reader, 0xffffff00u - 64), RS_POISONED);
    assert_int_equal(dgram_send_reader_extend(&reader, 1), RS_POISONED);
    assert_int_equal(dgram_send_reader_extend(&reader, 0xffffff00u + 1024), RS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_datagram_fits_from_everywhere),
        cmocka_unit_test(too_long_is_said),
        cmocka_unit_test(short_datagrams_take_one_line),
        cmocka_unit_test(stale_payload_is_no_record),
        cmocka_unit_test(limit_is_a_level),
        cmocka_unit_test(impossible_indices_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
