/*
 * Threads, locks, thread-local slots, clocks, random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

#define THREADS    4u
#define INCREMENTS 20000u

static struct os_mutex mutex;
static uint64_t guarded_count;

static void count_up(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < INCREMENTS; i++) {
        os_mutex_lock(&mutex);
        guarded_count++;
        os_mutex_unlock(&mutex);
    }
}

static void mutex_excludes(void **state)
{
    (void)state;
    struct os_thread threads[THREADS];
    os_mutex_init(&mutex);
    guarded_count = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(os_thread_start(&threads[i], count_up, NULL, "a-name-longer-than-15"),
                         RS_OK);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        os_thread_join(&threads[i]);
    }
    assert_int_equal(guarded_count, THREADS * INCREMENTS);
    os_mutex_destroy(&mutex);
}

static struct os_tls slot;
static struct os_tls other_slot;
static _Atomic uint32_t destroyed; /* partner: the thread that ends */

static void note_destruction(void *value)
{
    (void)value;
    atomic_fetch_add(&destroyed, 1);
}

static void set_and_end(void *arg)
{
    CHILD_CHECK(os_tls_get(&slot) == NULL); /* another thread's value is not seen */
    os_tls_set(&slot, arg);
    CHILD_CHECK(os_tls_get(&slot) == arg);
    CHILD_CHECK(os_tls_get(&other_slot) == NULL);
}

static void tls_destructor_runs_at_the_end_of_a_thread(void **state)
{
    (void)state;
    int value = 0;
    struct os_thread thread;
    atomic_store(&destroyed, 0);
    assert_int_equal(os_tls_create(note_destruction, &slot), RS_OK);
    assert_int_equal(os_tls_create(NULL, &other_slot), RS_OK);
    os_tls_set(&slot, &slot);
    assert_int_equal(os_thread_start(&thread, set_and_end, &value, "tls"), RS_OK);
    os_thread_join(&thread);
    assert_int_equal(atomic_load(&destroyed), 1);
    /* Not for NULL. */
    assert_int_equal(os_thread_start(&thread, set_and_end, NULL, "tls"), RS_OK);
    os_thread_join(&thread);
    assert_int_equal(atomic_load(&destroyed), 1);
    assert_ptr_equal(os_tls_get(&slot), &slot);
    /* Destroying the slot runs nothing. */
    os_tls_destroy(&slot);
    os_tls_destroy(&other_slot);
    assert_int_equal(atomic_load(&destroyed), 1);
    /* Slots come back. */
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(os_tls_create(note_destruction, &slot), RS_OK);
        assert_null(os_tls_get(&slot));
        os_tls_destroy(&slot);
    }
}

static void pin_here(void *arg)
{
    enum rs_status *status = arg;
    status[0] = os_thread_pin(0);
    status[1] = os_thread_pin(100000);
}

static void pinning_knows_the_processors(void **state)
{
    (void)state;
    enum rs_status status[2] = {RS_OS_ERROR, RS_OS_ERROR};
    struct os_thread thread;
    assert_int_equal(os_thread_start(&thread, pin_here, status, "pin"), RS_OK);
    os_thread_join(&thread);
    assert_int_equal(status[0], RS_OK);
    assert_int_equal(status[1], RS_INVALID);
}

static void clocks_agree(void **state)
{
    (void)state;
    const uint64_t hz = os_tsc_hz();
    print_message("TSC: %llu Hz\n", (unsigned long long)hz);
    assert_true(hz > 500000000ull && hz < 10000000000ull);
    assert_true(os_tsc_hz() == hz);
    assert_true(os_unix_ns() > 1600000000ull * 1000000000ull);
    uint64_t tsc = os_tsc();
    uint64_t ns = os_monotonic_ns();
    os_sleep_ns(50000000);
    uint64_t tsc_ns = (uint64_t)((double)(os_tsc() - tsc) / (double)hz * 1e9);
    uint64_t slept_ns = os_monotonic_ns() - ns;
    assert_true(slept_ns >= 50000000);
    uint64_t apart_ns = tsc_ns > slept_ns ? tsc_ns - slept_ns : slept_ns - tsc_ns;
    assert_true(apart_ns <
                slept_ns / 100); /* 1 %: a thread can lose the processor between the two reads */
    os_yield();
}

static void random_bytes_differ(void **state)
{
    (void)state;
    unsigned char a[64] = {0};
    unsigned char b[64] = {0};
    assert_int_equal(os_random(a, sizeof a), RS_OK);
    assert_int_equal(os_random(b, sizeof b), RS_OK);
    assert_int_not_equal(memcmp(a, b, sizeof a), 0);
    assert_int_equal(os_random(a, 0), RS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_excludes),
        cmocka_unit_test(tls_destructor_runs_at_the_end_of_a_thread),
        cmocka_unit_test(pinning_knows_the_processors),
        cmocka_unit_test(clocks_agree),
        cmocka_unit_test(random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
