/*
 * Thread-local slots on Windows are the fiber's: they go with it to another thread, and what a
 * thread keeps of them is not an earlier fiber's. Test thread and one helper, which only run one
 * after the other.
 */
#include <windows.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

static struct os_tls slot;
static void *value_seen;   /* by the fiber that ran last */
static void *value_to_set; /* by the fiber that runs next; NULL: none */
static void *fiber_home;   /* to return to */
static unsigned destroyed;

static void note_destruction(void *value)
{
    (void)value;
    destroyed++;
}

static void CALLBACK fiber_run(void *arg)
{
    (void)arg;
    for (;;) {
        value_seen = os_tls_get(&slot);
        if (value_to_set != NULL) {
            os_tls_set(&slot, value_to_set);
        }
        SwitchToFiber(fiber_home);
    }
}

/* What the fiber finds; it sets the slot to `set` then. */
static void *run_in(void *fiber, void *set)
{
    value_to_set = set;
    SwitchToFiber(fiber);
    return value_seen;
}

static int setup(void **state)
{
    (void)state;
    destroyed = 0;
    fiber_home = ConvertThreadToFiber(NULL);
    return fiber_home == NULL || os_tls_create(note_destruction, &slot) != RS_OK;
}

static int teardown(void **state)
{
    (void)state;
    os_tls_destroy(&slot);
    return ConvertFiberToThread() ? 0 : -1;
}

static void each_fiber_has_its_value(void **state)
{
    (void)state;
    int values[3];
    void *one = CreateFiber(0, fiber_run, NULL);
    void *two = CreateFiber(0, fiber_run, NULL);
    os_tls_set(&slot, &values[0]);
    assert_null(run_in(one, &values[1]));
    assert_null(run_in(two, &values[2]));
    assert_ptr_equal(os_tls_get(&slot), &values[0]);
    assert_ptr_equal(run_in(one, NULL), &values[1]);
    assert_ptr_equal(run_in(two, NULL), &values[2]);
    assert_ptr_equal(os_tls_get(&slot), &values[0]);
    DeleteFiber(one);
    DeleteFiber(two);
    assert_int_equal(destroyed, 2);
}

/* Another thread that runs a fiber; says what it found. */
struct elsewhere {
    void *fiber;
    void *set;
    void *seen;
};

static void run_elsewhere(void *arg)
{
    struct elsewhere *call = arg;
    fiber_home = ConvertThreadToFiber(NULL);
    CHILD_CHECK(fiber_home != NULL);
    call->seen = run_in(call->fiber, call->set);
    CHILD_CHECK(ConvertFiberToThread());
}

static void *seen_elsewhere(void *fiber, void *set)
{
    struct elsewhere call = {.fiber = fiber, .set = set};
    void *home = fiber_home;
    struct os_thread thread;
    assert_int_equal(os_thread_start(&thread, run_elsewhere, &call, "elsewhere"), RS_OK);
    os_thread_join(&thread);
    fiber_home = home;
    return call.seen;
}

static void values_go_with_the_fiber(void **state)
{
    (void)state;
    int values[2];
    void *fiber = CreateFiber(0, fiber_run, NULL);
    assert_null(run_in(fiber, NULL)); /* this thread has seen it without one */
    assert_null(seen_elsewhere(fiber, &values[0]));
    assert_ptr_equal(run_in(fiber, &values[1]), &values[0]);
    assert_ptr_equal(seen_elsewhere(fiber, NULL), &values[1]);
    DeleteFiber(fiber);
    assert_int_equal(destroyed, 1);
}

/* Also when the new one has the address of one that is gone, as it mostly has. */
static void a_new_fiber_has_no_value(void **state)
{
    (void)state;
    int value;
    unsigned again = 0;
    void *before = NULL;
    for (unsigned i = 0; i < 20; i++) {
        void *fiber = CreateFiber(0, fiber_run, NULL);
        again += fiber == before;
        assert_null(run_in(fiber, &value));
        assert_ptr_equal(run_in(fiber, NULL), &value);
        before = fiber;
        DeleteFiber(fiber);
    }
    assert_int_equal(destroyed, 20);
    print_message("addresses met again: %u\n", again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_fiber_has_its_value, setup, teardown),
        cmocka_unit_test_setup_teardown(values_go_with_the_fiber, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_fiber_has_no_value, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
