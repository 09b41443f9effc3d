/*
 * dataplane/trace.h: what is read is what was written, the oldest records go first, and a reader
 * beside the writing thread gets whole records only. The thread sanitizer sees that nothing but
 * atomics is shared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/trace.h"
#include "rings/os/os.h"

#define WRITTEN 10000000u /* by the writing thread; more than the reader can follow */

static struct trace_ring *ring;

static int make_ring(void **state)
{
    (void)state;
    ring = calloc(1, sizeof(*ring));
    return ring != NULL ? 0 : -1;
}

static int free_ring(void **state)
{
    (void)state;
    free(ring);
    return 0;
}

/* Every field of a record follows from its number. */
static struct trace_record record_of(uint64_t number)
{
    uint32_t low = (uint32_t)number;
    return (struct trace_record){.tsc = number * 3,
                                 .local_be32 = ~low,
                                 .peer_be32 = low * 5,
                                 .local_port_be16 = (uint16_t)low,
                                 .peer_port_be16 = (uint16_t)(low * 7),
                                 .event = low * 11,
                                 .a = low * 13,
                                 .b = low * 17};
}

static bool is_record_of(const struct trace_record *record, uint64_t number)
{
    const struct trace_record want = record_of(number);
    return record->tsc == want.tsc && record->local_be32 == want.local_be32 &&
           record->peer_be32 == want.peer_be32 && record->local_port_be16 == want.local_port_be16 &&
           record->peer_port_be16 == want.peer_port_be16 && record->event == want.event &&
           record->a == want.a && record->b == want.b;
}

static void write_up_to(uint64_t number)
{
    for (uint64_t next = trace_written(ring) + 1; next <= number; next++) {
        const struct trace_record record = record_of(next);
        trace_add(ring, &record);
    }
}

static void an_empty_ring_has_nothing(void **state)
{
    (void)state;
    struct trace_record record;
    assert_int_equal(trace_written(ring), 0);
    assert_false(trace_read(ring, 0, &record));
    assert_false(trace_read(ring, 1, &record));
    assert_false(trace_read(ring, UINT64_MAX, &record));
}

static void the_newest_are_there(void **state)
{
    (void)state;
    struct trace_record record;
    const uint64_t counts[] = {1, 2, TRACE_RECORDS - 1, TRACE_RECORDS, TRACE_RECORDS + 1, 9999};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint64_t count = counts[i];
        uint64_t oldest = count > TRACE_RECORDS ? count - TRACE_RECORDS + 1 : 1;
        write_up_to(count);
        assert_int_equal(trace_written(ring), count);
        for (uint64_t number = 0; number <= count + 2; number++) {
            bool there = trace_read(ring, number, &record);
            assert_int_equal(there, number >= oldest && number <= count);
            assert_true(!there || is_record_of(&record, number));
        }
    }
}

static void write_run(void *arg)
{
    (void)arg;
    write_up_to(WRITTEN);
}

/* The reader stays where the writer is about to overwrite, and where it writes. */
static void a_reader_gets_whole_records_only(void **state)
{
    (void)state;
    struct os_thread thread;
    uint32_t whole = 0;
    uint64_t written;
    assert_int_equal(os_thread_start(&thread, write_run, NULL, "writer"), RS_OK);
    do {
        struct trace_record record;
        written = trace_written(ring);
        uint64_t oldest = written > TRACE_RECORDS ? written - TRACE_RECORDS + 1 : 1;
        for (uint64_t number = oldest; number < oldest + 64; number++) {
            if (trace_read(ring, number, &record)) {
                assert_true(is_record_of(&record, number));
                whole++;
            }
        }
        for (uint64_t number = written; number <= written + 2; number++) {
            if (trace_read(ring, number, &record)) {
                assert_true(is_record_of(&record, number));
                whole++;
            }
        }
    } while (written < WRITTEN);
    os_thread_join(&thread);
    print_message("%u records read beside the writer\n", whole);
    assert_true(whole > 0);
}

static void events_have_texts(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRACE_EVENT_COUNT; i++) {
        assert_non_null(trace_texts[i].name);
        assert_non_null(trace_texts[i].text);
        assert_int_equal(trace_texts[i].a_kind == 0, trace_texts[i].a[0] == '\0');
        assert_int_equal(trace_texts[i].b_kind == 0, trace_texts[i].b[0] == '\0');
    }
    assert_string_equal(trace_texts[TRACE_tcp_drop].name, "tcp_drop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_ring_has_nothing, make_ring, free_ring),
        cmocka_unit_test_setup_teardown(the_newest_are_there, make_ring, free_ring),
        cmocka_unit_test_setup_teardown(a_reader_gets_whole_records_only, make_ring, free_ring),
        cmocka_unit_test(events_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
