/*
 * The fault guard: a fault in a registered mapping gives zeros and a flag, from one thread and from
 * several at once; a fault anywhere else still ends the process (seen in a child).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

#define BYTES      (4 * 65536u)
#define THREADS    3u
#define RANGES_MAX 65536u /* guard_table.h */

static bool all_zero(const volatile unsigned char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] != 0) {
            return false;
        }
    }
    return true;
}

static void fault_gives_zeros_and_the_flag(void **state)
{
    (void)state;
    _Atomic uint32_t faulted = 0;
    _Atomic uint32_t unrelated = 0;
    _Atomic uint32_t faulted2 = 0;
    unsigned char *broken = test_memory_make_broken(BYTES);
    unsigned char *broken2 = test_memory_make_broken(BYTES);
    struct os_shm whole;
    assert_int_equal(os_shm_create(OS_SHM_CL, BYTES, &whole), RS_OK);
    memset(whole.base, 7, BYTES);
    assert_int_equal(os_guard_add(whole.base, BYTES, &unrelated), RS_OK);
    assert_int_equal(os_guard_add(broken, BYTES, &faulted), RS_OK);
    assert_int_equal(os_guard_add(broken2, BYTES, &faulted2), RS_OK);

    assert_int_equal(broken[0], 0x5a); /* the first half is there */
    assert_int_equal(atomic_load(&faulted), 0);
    assert_true(all_zero(broken + BYTES / 2, BYTES / 2));
    assert_int_equal(atomic_load(&faulted), 1);
    /* The guard goes on with the next one. */
    assert_int_equal(broken2[BYTES - 1], 0);
    assert_int_equal(atomic_load(&faulted2), 1);
    assert_int_equal(broken2[0], 0);
    /* Still usable, and writing to it harms nobody. */
    memset(broken, 1, BYTES);
    assert_int_equal(broken[BYTES - 1], 1);
    /* The neighbour's session is as before. */
    assert_int_equal(atomic_load(&unrelated), 0);
    assert_int_equal(((unsigned char *)whole.base)[BYTES - 1], 7);

    os_guard_remove(broken);
    os_guard_remove(broken);
    os_guard_remove(broken2);
    os_guard_remove(whole.base);
    struct os_shm replaced = {.base = broken, .size_bytes = BYTES, .handle = -1};
    os_shm_destroy(&replaced);
    replaced = (struct os_shm){.base = broken2, .size_bytes = BYTES, .handle = -1};
    os_shm_destroy(&replaced);
    os_shm_destroy(&whole);
}

struct reader {
    const unsigned char *base;
    struct os_thread thread;
    bool zero;
};

static void read_broken_half(void *arg)
{
    struct reader *reader = arg;
    reader->zero = all_zero(reader->base + BYTES / 2, BYTES / 2);
}

static void threads_fault_together(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 10; round++) {
        _Atomic uint32_t faulted = 0;
        struct reader readers[THREADS];
        unsigned char *broken = test_memory_make_broken(BYTES);
        assert_int_equal(os_guard_add(broken, BYTES, &faulted), RS_OK);
        for (uint32_t i = 0; i < THREADS; i++) {
            readers[i].base = broken;
            assert_int_equal(
                os_thread_start(&readers[i].thread, read_broken_half, &readers[i], "reader"),
                RS_OK);
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            os_thread_join(&readers[i].thread);
            assert_true(readers[i].zero);
        }
        assert_int_equal(atomic_load(&faulted), 1);
        os_guard_remove(broken);
        struct os_shm replaced = {.base = broken, .size_bytes = BYTES, .handle = -1};
        os_shm_destroy(&replaced);
    }
}

static void table_has_an_end(void **state)
{
    (void)state;
    static unsigned char pages[RANGES_MAX + 1][1];
    static _Atomic uint32_t faulted; /* the table keeps its address: this is the last test */
    assert_int_equal(os_guard_add(NULL, 1, &faulted), RS_INVALID);
    assert_int_equal(os_guard_add(pages, 0, &faulted), RS_INVALID);
    for (uint32_t i = 0; i < RANGES_MAX; i++) {
        assert_int_equal(os_guard_add(pages[i], 1, &faulted), RS_OK);
    }
    assert_int_equal(os_guard_add(pages[RANGES_MAX], 1, &faulted), RS_NO_BUFFERS);
    os_guard_remove(pages[500]);
    assert_int_equal(os_guard_add(pages[RANGES_MAX], 1, &faulted), RS_OK);
    assert_int_equal(os_guard_add(pages[500], 1, &faulted), RS_NO_BUFFERS);
}

/* argument "elsewhere": a range that was never registered; "removed": one that no longer is. */
static int child_fault(const char *where)
{
    _Atomic uint32_t faulted = 0;
    unsigned char *registered = test_memory_make_broken(BYTES);
    unsigned char *other = test_memory_make_broken(BYTES);
    CHILD_CHECK(os_guard_add(registered, BYTES, &faulted) == RS_OK);
    if (strcmp(where, "removed") == 0) {
        os_guard_remove(registered);
        other = registered;
    }
    test_quiet_crash();
    unsigned char byte = ((volatile unsigned char *)other)[BYTES - 1];
    return byte == 0 ? 0 : 2;
}

static void fault_elsewhere_still_kills(void **state)
{
    (void)state;
    static const char *const where[] = {"elsewhere", "removed"};
    for (size_t i = 0; i < 2; i++) {
        struct test_process child = test_process_spawn_self("fault", where[i], NULL);
        /* -1, or a sanitizer's status when its handler was there first; never an ordered end. */
        int result = test_process_wait(&child);
        assert_true(result != 0 && result != 2);
    }
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        return child_fault(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_gives_zeros_and_the_flag),
        cmocka_unit_test(threads_fault_together),
        cmocka_unit_test(fault_elsewhere_still_kills),
        cmocka_unit_test(table_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
