/*
 * rings/capture.h: records arrive whole, in order and once, also with two threads; a full ring
 * refuses; a reader's index or a writer's record that cannot be is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rings/capture.h"
#include "rings/os/os.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

enum { SIZE = 4096, LONGEST = 700, THREADED = 200000 };

struct ring {
    _Alignas(64) uint8_t bytes[SIZE];
    struct rs_capture_queue shared;
    struct rs_capture_reader_word word;
    struct capture_writer writer;
    struct capture_reader reader;
};

static struct ring ring;

static int setup(void **state)
{
    (void)state;
    memset(&ring, 0, sizeof(ring));
    capture_writer_init(&ring.writer, ring.bytes, SIZE, &ring.shared, &ring.word.head);
    capture_reader_init(&ring.reader, ring.bytes, SIZE, &ring.shared, &ring.word.head);
    return 0;
}

static bool put(uint32_t number, uint32_t len_bytes)
{
    struct rs_capture_record *record;
    if (capture_writer_reserve(&ring.writer, len_bytes, &record) != RS_OK) {
        return false;
    }
    record->unix_ns = number;
    record->whole_bytes = len_bytes + 1;
    record->flags = RS_CAPTURE_TX;
    memset(record + 1, (int)(number & 0xff), len_bytes);
    capture_writer_commit(&ring.writer, record);
    return true;
}

/* Its length; -1: there is none. */
static int take(uint32_t number)
{
    struct rs_capture_record record;
    const uint8_t *bytes;
    if (capture_reader_peek(&ring.reader, &record, &bytes) != RS_OK) {
        return -1;
    }
    CHECK(record.unix_ns == number && record.whole_bytes == record.len_bytes + 1);
    CHECK(record.flags == RS_CAPTURE_TX);
    for (uint32_t i = 0; i < record.len_bytes; i++) {
        CHECK(bytes[i] == (uint8_t)number);
    }
    capture_reader_consume(&ring.reader, &record);
    return (int)record.len_bytes;
}

static void what_goes_in_comes_out(void **state)
{
    uint32_t in = 0, out = 0, refused = 0;
    struct test_random random = test_random_make(test_random_seed("capture ring"));
    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        if (test_random_below(&random, 2) == 0) {
            if (put(in, test_random_below(&random, LONGEST))) {
                in++;
            } else {
                refused++;
            }
        } else if (take(out) >= 0) {
            out++;
        }
    }
    while (take(out) >= 0) {
        out++;
    }
    assert_int_equal(in, out);
    assert_true(in > 10000 && refused > 100);
}

static void a_full_ring_refuses_and_keeps_what_it_has(void **state)
{
    uint32_t in = 0;
    (void)state;
    while (put(in, 32)) {
        in++;
    }
    assert_int_equal(in, SIZE / 64);
    assert_false(put(in, 0));
    assert_int_equal(take(0), 32);
    assert_true(put(in, 32));
    for (uint32_t i = 1; i <= in; i++) {
        assert_int_equal(take(i), 32);
    }
    assert_int_equal(take(in + 1), -1);
}

static void a_head_that_cannot_be_is_found(void **state)
{
    static const uint32_t heads[] = {SIZE + 32, 0xffffffe0u, 7};
    struct rs_capture_record *record;
    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        setup(NULL);
        while (put(0, 32)) {
        }
        atomic_store_explicit(&ring.word.head, heads[i], memory_order_relaxed);
        assert_int_equal(capture_writer_reserve(&ring.writer, 32, &record), RS_POISONED);
    }
}

static void a_record_that_cannot_be_is_found(void **state)
{
    struct rs_capture_record record;
    const uint8_t *bytes;
    struct rs_capture_record *first = (struct rs_capture_record *)ring.bytes;
    (void)state;
    assert_true(put(0, 100));
    first->len_bytes = 200; /* beyond what is filled */
    assert_int_equal(capture_reader_peek(&ring.reader, &record, &bytes), RS_CORRUPT);
    first->len_bytes = UINT32_MAX;
    assert_int_equal(capture_reader_peek(&ring.reader, &record, &bytes), RS_CORRUPT);
    first->flags = RS_CAPTURE_PAD; /* a whole lap of nothing */
    assert_int_equal(capture_reader_peek(&ring.reader, &record, &bytes), RS_CORRUPT);
    atomic_store_explicit(&ring.shared.tail, SIZE + 32, memory_order_relaxed);
    assert_int_equal(capture_reader_peek(&ring.reader, &record, &bytes), RS_CORRUPT);
    atomic_store_explicit(&ring.shared.tail, 33, memory_order_relaxed);
    assert_int_equal(capture_reader_peek(&ring.reader, &record, &bytes), RS_CORRUPT);
}

/* Ends the test when the other thread does nothing for too long. */
static void wait_for_other(uint64_t *give_up_ns, bool moved)
{
    uint64_t now_ns = os_monotonic_ns();
    if (moved || *give_up_ns == 0) {
        *give_up_ns = now_ns + 10000000000u;
    }
    CHECK(now_ns < *give_up_ns); /* waited 10 s for the other end of the ring */
    os_yield();
}

static void writes(void *arg)
{
    uint64_t give_up_ns = 0;
    (void)arg;
    for (uint32_t i = 0, before = 0; i < THREADED;) {
        if (put(i, i * 7 % LONGEST)) {
            i++;
        } else {
            wait_for_other(&give_up_ns, i != before);
            before = i;
        }
    }
}

static void two_threads(void **state)
{
    struct os_thread thread;
    uint64_t give_up_ns = 0;
    (void)state;
    assert_int_equal(os_thread_start(&thread, writes, NULL, "writer"), RS_OK);
    for (uint32_t i = 0, before = 0; i < THREADED;) {
        int len = take(i);
        if (len >= 0) {
            CHECK((uint32_t)len == i * 7 % LONGEST);
            i++;
        } else {
            wait_for_other(&give_up_ns, i != before);
            before = i;
        }
    }
    os_thread_join(&thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_goes_in_comes_out, setup),
        cmocka_unit_test_setup(a_full_ring_refuses_and_keeps_what_it_has, setup),
        cmocka_unit_test_setup(a_head_that_cannot_be_is_found, setup),
        cmocka_unit_test_setup(a_record_that_cannot_be_is_found, setup),
        cmocka_unit_test_setup(two_threads, setup),
    };
    return cmocka_run_group_tests_name("capture_ring", tests, NULL, NULL);
}
