/*
 * nic_clock: a NIC's clock of 1 MHz (and others) beside a time-stamp counter of 2.5 GHz, by samples
 * every 100 ms: when it is known, how near the line is, what happens when somebody sets the clock,
 * times that cannot be, and that the reader never uses half of a line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/nic_clock.h"
#include "rings/os/os.h"

#define TSC_HZ      UINT64_C(2500000000)
#define TSC_100_MS  (TSC_HZ / 10)
#define TSC_1_US    (TSC_HZ / 1000000)
#define TICKS_START UINT64_C(1764130000000000) /* us since 1970 */
#define TSC_START   UINT64_C(77000000000000)

static struct nic_clock nic_clock;
static uint64_t now_ticks, now_tsc;

static void start(void)
{
    nic_clock_init(&nic_clock, TSC_HZ);
    now_ticks = TICKS_START;
    now_tsc = TSC_START;
}

/* 100 ms later; the clock goes wrong by part_per_million of that. */
static bool step(int64_t part_per_million)
{
    now_ticks += (uint64_t)(100000 + part_per_million / 10);
    now_tsc += TSC_100_MS;
    return nic_clock_sample(&nic_clock, now_ticks, now_tsc);
}

static void assert_near(uint64_t tsc, uint64_t expected, uint64_t most)
{
    const uint64_t off = tsc > expected ? tsc - expected : expected - tsc;
    if (off > most) {
        fail_msg("%llu, not %llu: %llu ticks off", (unsigned long long)tsc,
                 (unsigned long long)expected, (unsigned long long)off);
    }
}

static void test_known_from_the_second_sample_on(void **state)
{
    (void)state;
    start();
    const uint64_t later = TSC_START + 5 * TSC_100_MS;
    assert_int_equal(nic_clock_tsc(&nic_clock, TICKS_START, later), later);
    assert_true(nic_clock_sample(&nic_clock, now_ticks, now_tsc));
    assert_int_equal(nic_clock_tsc(&nic_clock, TICKS_START, later), later);
    assert_true(step(0));
    assert_near(nic_clock_tsc(&nic_clock, TICKS_START + 100000, later), TSC_START + TSC_100_MS, 1);
    /* before the sample, and behind it */
    assert_near(nic_clock_tsc(&nic_clock, TICKS_START + 40000, later), TSC_START + 40000 * TSC_1_US,
                1);
    assert_near(nic_clock_tsc(&nic_clock, TICKS_START + 170000, later),
                TSC_START + 170000 * TSC_1_US, 1);
}

static void test_other_rates(void **state)
{
    static const uint64_t rates_hz[] = {32768, 125000000, 1000000000, UINT64_C(10000000000)};
    (void)state;
    for (size_t i = 0; i < sizeof(rates_hz) / sizeof(rates_hz[0]); i++) {
        const uint64_t hz = rates_hz[i];
        nic_clock_init(&nic_clock, TSC_HZ);
        for (uint64_t at_s = 1; at_s < 40; at_s++) {
            assert_true(nic_clock_sample(&nic_clock, at_s * hz, TSC_START + at_s * TSC_HZ));
        }
        /* a quarter of a second past the newest: within a tick of the slower clock */
        assert_near(nic_clock_tsc(&nic_clock, 39 * hz + hz / 4, TSC_START + 40 * TSC_HZ),
                    TSC_START + 39 * TSC_HZ + TSC_HZ / 4, TSC_HZ / hz + 1);
    }
}

/* The system slews its clock by at most 500 us a second: never off by more than 100 us. */
static void test_a_clock_that_is_slewed(void **state)
{
    (void)state;
    start();
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(step(i < 30 || i > 70 ? 0 : 500));
        if (i > 0) {
            assert_near(nic_clock_tsc(&nic_clock, now_ticks + 50000, now_tsc + TSC_HZ),
                        now_tsc + 50000 * TSC_1_US, 100 * TSC_1_US);
        }
    }
}

/* The line is that of the last 16 samples: a rate that changed is the new one 1.5 s later. */
static void test_old_samples_are_left_behind(void **state)
{
    (void)state;
    start();
    for (uint32_t i = 0; i < 40; i++) {
        assert_true(step(i < 20 ? 0 : 200));
    }
    /* 20 ticks of 100,000 more in 100 ms: a tick is 2,499.5 of the counter's */
    assert_near(nic_clock_tsc(&nic_clock, now_ticks + 100020, now_tsc + TSC_HZ),
                now_tsc + TSC_100_MS, 4);
}

static void check_set(int64_t by_us)
{
    start();
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(step(0));
    }
    now_ticks += (uint64_t)by_us;
    assert_false(step(0));
    const uint64_t later = now_tsc + TSC_1_US;
    assert_int_equal(nic_clock_tsc(&nic_clock, now_ticks - 5, later), later); /* not known */
    assert_true(step(0));
    assert_near(nic_clock_tsc(&nic_clock, now_ticks - 5, now_tsc), now_tsc - 5 * TSC_1_US, 1);
}

static void test_a_clock_that_is_set(void **state)
{
    (void)state;
    check_set(150);
    check_set(-150);
    check_set(INT64_C(3600) * 1000000);
    check_set(INT64_C(-3600) * 1000000);
    check_set(-100000); /* stands still */
}

static void test_times_that_cannot_be(void **state)
{
    (void)state;
    start();
    assert_true(step(0));
    assert_true(step(0));
    const uint64_t now = now_tsc + TSC_HZ;
    assert_int_equal(nic_clock_tsc(&nic_clock, now_ticks + 1000001, now), now); /* not yet */
    assert_int_equal(nic_clock_tsc(&nic_clock, 0, now), now);
    assert_int_equal(nic_clock_tsc(&nic_clock, UINT64_MAX, now), now);
    assert_int_equal(nic_clock_tsc(&nic_clock, UINT64_C(1) << 63, now), now);
    /* a dataplane that stood still for 59 s finds frames of that age, 61 s are not believed */
    assert_near(nic_clock_tsc(&nic_clock, now_ticks, now_tsc + 59 * TSC_HZ), now_tsc, 1);
    const uint64_t much = now_tsc + 61 * TSC_HZ;
    assert_int_equal(nic_clock_tsc(&nic_clock, now_ticks, much), much);
}

/* While the control thread is in the middle of it, the last line serves. */
static void test_half_a_line(void **state)
{
    (void)state;
    start();
    assert_true(step(0));
    assert_true(step(0));
    const uint64_t expected = now_tsc - 7 * TSC_1_US;
    assert_near(nic_clock_tsc(&nic_clock, now_ticks - 7, now_tsc), expected, 1);
    atomic_fetch_add(&nic_clock.version, 1);
    atomic_store(&nic_clock.base_tsc, 12345);
    assert_near(nic_clock_tsc(&nic_clock, now_ticks - 7, now_tsc), expected, 1);
}

enum { RACE_LINES = 200000 };
static struct nic_clock race_clock;
static _Atomic bool race_over;

static void race_main(void *arg)
{
    (void)arg;
    /* one line with ever other bases: each pair lies on tsc = 4 * ticks */
    for (uint64_t i = 1; i <= RACE_LINES; i++) {
        if (!nic_clock_sample(&race_clock, i * 1000, i * 4000)) {
            fprintf(stderr, "a sample on the line is off it\n");
            break;
        }
    }
    atomic_store(&race_over, true);
}

/* A mixture of two lines would be off by at least 3,000. */
static void test_two_threads(void **state)
{
    struct os_thread thread;
    (void)state;
    nic_clock_init(&race_clock, 100000 * UINT64_C(1000000));
    assert_int_equal(os_thread_start(&thread, race_main, NULL, "samples"), RS_OK);
    uint64_t asked = 0;
    while (!atomic_load(&race_over) || asked < 1000) {
        const uint64_t now = UINT64_C(4000) * (RACE_LINES + 1);
        const uint64_t tsc = nic_clock_tsc(&race_clock, 400, now);
        assert_true(tsc == 1600 || (tsc == now && race_clock.seen_version <= 2));
        asked++;
    }
    os_thread_join(&thread);
    assert_int_equal(atomic_load(&race_clock.version), 2 * RACE_LINES);
    assert_int_equal(nic_clock_tsc(&race_clock, 400, UINT64_C(4000) * RACE_LINES), 1600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_from_the_second_sample_on),
        cmocka_unit_test(test_other_rates),
        cmocka_unit_test(test_a_clock_that_is_slewed),
        cmocka_unit_test(test_old_samples_are_left_behind),
        cmocka_unit_test(test_a_clock_that_is_set),
        cmocka_unit_test(test_times_that_cannot_be),
        cmocka_unit_test(test_half_a_line),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
