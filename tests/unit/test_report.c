/* rings/report_view.c: a report that is right, one wrong field at a time, random bytes, and a
 * longer one of a newer dataplane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/random.h"
#include "tests/support/report_sample.h"

static uint8_t sample[REPORT_SAMPLE_BYTES];
static const char *why;

static int make_sample(void **state)
{
    (void)state;
    report_sample_make(sample, 0);
    return 0;
}

static struct rs_report_header *header(void)
{
    return (struct rs_report_header *)(void *)sample;
}

static enum rs_status check(struct rs_report_view *view)
{
    return rs_report_check(sample, sizeof(sample), view, &why);
}

static void a_good_report_is_read(void **state)
{
    (void)state;
    struct rs_report_view view;
    struct rs_report_queue queue;
    struct rs_report_session session;
    struct rs_report_counter counter;
    assert_int_equal(check(&view), RS_OK);
    assert_int_equal(rs_report_count(&view, RS_REPORT_SOCKETS), 2);
    rs_report_queue_get(&view, 1, &queue);
    assert_int_equal(queue.polls, 101);
    rs_report_session_get(&view, 0, &session);
    assert_string_equal((const char *)session.program, "feed");
    rs_report_counter_get(&view, 1, &counter);
    assert_string_equal((const char *)counter.name, "bx_frames");
    assert_int_equal(rs_report_value(&view, 1, 1), 1003);
    assert_int_equal(rs_report_value(&view, 0, 1), 1001);
    struct rs_report_trace trace;
    struct rs_report_trace_event event;
    struct rs_report_name tcp_state;
    assert_int_equal(rs_report_count(&view, RS_REPORT_TRACE), 3);
    rs_report_trace_get(&view, 1, &trace);
    assert_int_equal(trace.number, 8);
    rs_report_trace_event_get(&view, trace.event, &event);
    assert_string_equal((const char *)event.text, "it was dropped");
    rs_report_tcp_state_get(&view, 1, &tcp_state);
    assert_string_equal((const char *)tcp_state.name, "OPEN");
}

static void longer_records_and_more_sections_are_read(void **state)
{
    (void)state;
    struct rs_report_view view;
    report_sample_make(sample, 16);
    header()->section_count = RS_REPORT_SECTIONS + 3;
    assert_int_equal(check(&view), RS_OK);
    struct rs_report_queue queue;
    rs_report_queue_get(&view, 1, &queue);
    assert_int_equal(queue.polls, 101);
    assert_string_equal((const char *)queue.nic, "nic0");
    assert_int_equal(rs_report_value(&view, 1, 1), 1003);
}

static void texts_end_whatever_they_hold(void **state)
{
    (void)state;
    struct rs_report_view view;
    struct rs_report_session session;
    struct rs_report_session *there =
        (struct rs_report_session *)(void *)(sample + header()->sections[RS_REPORT_SESSIONS].off);
    memset(there->program, 'x', sizeof(there->program));
    assert_int_equal(check(&view), RS_OK);
    rs_report_session_get(&view, 0, &session);
    assert_int_equal(strlen((const char *)session.program), sizeof(session.program) - 1);
}

#define WRONG(statement, status)                  \
    do {                                          \
        struct rs_report_view view;               \
        report_sample_make(sample, 0);            \
        statement;                                \
        assert_int_equal(check(&view), (status)); \
        assert_non_null(why);                     \
    } while (0)

static void one_wrong_field_is_found(void **state)
{
    (void)state;
    struct rs_report_header *h = header();
    WRONG(h->magic++, RS_CORRUPT);
    WRONG(h->version++, RS_VERSION_MISMATCH);
    WRONG(h->header_bytes -= 8, RS_CORRUPT);
    WRONG(h->header_bytes += 4, RS_CORRUPT);
    WRONG(h->header_bytes += 8, RS_CORRUPT); /* into the first section */
    WRONG(h->bytes = sizeof(sample) + 1, RS_CORRUPT);
    WRONG(h->bytes -= 1, RS_CORRUPT); /* the last section sticks out */
    WRONG(h->bytes = 8, RS_CORRUPT);
    WRONG(h->tsc_hz = 0, RS_CORRUPT);
    WRONG(h->tsc = 0, RS_CORRUPT);
    WRONG(memset(h->instance, 'x', sizeof(h->instance)), RS_CORRUPT);
    WRONG(h->section_count = RS_REPORT_KNOWN - 1, RS_CORRUPT);
    WRONG(h->sections[RS_REPORT_QUEUES].count = RS_QUEUES_MAX + 1, RS_CORRUPT);
    WRONG(h->sections[RS_REPORT_VALUES].count--, RS_CORRUPT);
    WRONG(h->sections[RS_REPORT_COUNTERS].count++, RS_CORRUPT);
    for (uint32_t i = 0; i < RS_REPORT_KNOWN; i++) {
        WRONG(h->sections[i].stride_bytes -= 8, RS_CORRUPT);
        WRONG(h->sections[i].stride_bytes += 4, RS_CORRUPT);
        WRONG(h->sections[i].stride_bytes = UINT32_MAX - 7, RS_CORRUPT);
        WRONG(h->sections[i].off += 4, RS_CORRUPT);
        WRONG(h->sections[i].off = 0, RS_CORRUPT);
        WRONG(h->sections[i].off = UINT32_MAX - 7, RS_CORRUPT);
        WRONG(h->sections[i].count = UINT32_MAX, RS_CORRUPT);
    }
}

static void a_short_one_is_refused(void **state)
{
    (void)state;
    struct rs_report_view view;
    for (uint64_t bytes = 0; bytes < header()->bytes; bytes++) {
        uint8_t *exact = malloc(bytes != 0 ? bytes : 1); /* a sanitizer sees reads behind it */
        assert_non_null(exact);
        memcpy(exact, sample, bytes);
        assert_int_equal(rs_report_check(exact, bytes, &view, &why), RS_CORRUPT);
        free(exact);
    }
}

/* Whatever passes the check can be read. */
static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct test_random random = test_random_make(test_random_seed("report"));
    uint32_t passed = 0;
    for (uint32_t round = 0; round < 200000; round++) {
        struct rs_report_view view;
        report_sample_make(sample, 8 * test_random_below(&random, 3));
        uint64_t bytes = header()->bytes;
        for (uint32_t n = test_random_below(&random, 4); n != 0; n--) {
            uint32_t values[] = {0, 8, UINT32_MAX, (uint32_t)test_random_u64(&random),
                                 test_random_below(&random, 4096)};
            uint32_t value = values[test_random_below(&random, 5)];
            uint32_t off = 4 * test_random_below(&random, sizeof(struct rs_report_header) / 4);
            memcpy(sample + off, &value, sizeof(value));
        }
        if (rs_report_check(sample, bytes, &view, &why) == RS_OK) {
            (void)report_sample_read(&view);
            passed++;
        }
    }
    assert_in_range(passed, 1000, 199000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_report_is_read, make_sample),
        cmocka_unit_test_setup(longer_records_and_more_sections_are_read, make_sample),
        cmocka_unit_test_setup(texts_end_whatever_they_hold, make_sample),
        cmocka_unit_test_setup(one_wrong_field_is_found, make_sample),
        cmocka_unit_test_setup(a_short_one_is_refused, make_sample),
        cmocka_unit_test_setup(random_bytes_do_no_harm, make_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
