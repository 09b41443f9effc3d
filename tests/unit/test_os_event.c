/*
 * Events and process watch: a signal is never lost nor counted, time-outs hold, and a wait ends
 * with the peer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

#define MS_NS 1000000ull

static void signal_before_wait_is_remembered(void **state)
{
    (void)state;
    struct os_event event;
    assert_int_equal(os_event_create(&event), RS_OK);
    assert_int_equal(os_event_wait(&event, NULL, 0), RS_TIMED_OUT);
    os_event_signal(&event);
    assert_int_equal(os_event_wait(&event, NULL, UINT64_MAX), RS_OK);
    assert_int_equal(os_event_wait(&event, NULL, 0), RS_TIMED_OUT);
    os_event_destroy(&event);
    os_event_destroy(&event);
}

/* A waiter that never takes its signals must not stop the poll loop: this test would hang. */
static void many_signals_are_one_and_never_block(void **state)
{
    (void)state;
    struct os_event event;
    assert_int_equal(os_event_create(&event), RS_OK);
    for (uint32_t i = 0; i < 20000; i++) {
        os_event_signal(&event);
    }
    assert_int_equal(os_event_wait(&event, NULL, 0), RS_OK);
    assert_int_equal(os_event_wait(&event, NULL, 0), RS_TIMED_OUT);
    os_event_destroy(&event);
}

static void time_out_is_not_early(void **state)
{
    (void)state;
    static const uint64_t timeouts_ns[] = {1, 300000, 5 * MS_NS, 30 * MS_NS};
    struct os_event event;
    assert_int_equal(os_event_create(&event), RS_OK);
    for (size_t i = 0; i < sizeof timeouts_ns / sizeof timeouts_ns[0]; i++) {
        uint64_t before_ns = os_monotonic_ns();
        assert_int_equal(os_event_wait(&event, NULL, timeouts_ns[i]), RS_TIMED_OUT);
        uint64_t passed_ns = os_monotonic_ns() - before_ns;
        assert_true(passed_ns >= timeouts_ns[i]);
        assert_true(passed_ns < timeouts_ns[i] + TEST_WAIT_NS);
    }
    os_event_destroy(&event);
}

struct ping_pong {
    struct os_event there;
    struct os_event back;
    uint32_t rounds;
    uint32_t done;
};

static void answer_signals(void *arg)
{
    struct ping_pong *pair = arg;
    for (uint32_t i = 0; i < pair->rounds; i++) {
        if (os_event_wait(&pair->there, NULL, TEST_WAIT_NS) != RS_OK) {
            return;
        }
        pair->done++;
        os_event_signal(&pair->back);
    }
}

static void threads_wake_each_other(void **state)
{
    (void)state;
    struct ping_pong pair = {.rounds = 500};
    struct os_thread thread;
    assert_int_equal(os_event_create(&pair.there), RS_OK);
    assert_int_equal(os_event_create(&pair.back), RS_OK);
    assert_int_equal(os_thread_start(&thread, answer_signals, &pair, "answer"), RS_OK);
    for (uint32_t i = 0; i < pair.rounds; i++) {
        os_event_signal(&pair.there);
        assert_int_equal(os_event_wait(&pair.back, NULL, TEST_WAIT_NS), RS_OK);
    }
    os_thread_join(&thread);
    assert_int_equal(pair.done, pair.rounds);
    os_event_destroy(&pair.there);
    os_event_destroy(&pair.back);
}

/* ---- processes ---- */

static int child_sleep(void)
{
    struct os_event never;
    CHILD_CHECK(os_event_create(&never) == RS_OK);
    return os_event_wait(&never, NULL, 2 * TEST_WAIT_NS) == RS_TIMED_OUT ? 3 : 4;
}

static void kill_it(void *arg)
{
    test_process_kill(arg);
}

static void wait_ends_when_the_peer_is_killed(void **state)
{
    (void)state;
    struct os_event event;
    struct os_process peer;
    struct os_thread killer;
    assert_int_equal(os_event_create(&event), RS_OK);
    struct test_process child = test_process_spawn_self("sleep", NULL, NULL);
    assert_int_equal(os_process_open(child.pid, &peer), RS_OK);
    assert_int_equal(peer.pid, child.pid);
    assert_true(os_process_alive(&peer));
    assert_int_equal(os_event_wait(&event, &peer, MS_NS), RS_TIMED_OUT);
    assert_int_equal(os_thread_start(&killer, kill_it, &child, "killer"), RS_OK);
    assert_int_equal(os_event_wait(&event, &peer, TEST_WAIT_NS), RS_DATAPLANE_GONE);
    os_thread_join(&killer);
    assert_false(os_process_alive(&peer));
    /* A signal goes before the end. */
    os_event_signal(&event);
    assert_int_equal(os_event_wait(&event, &peer, 0), RS_OK);
    assert_int_equal(os_event_wait(&event, &peer, 0), RS_DATAPLANE_GONE);
    (void)test_process_wait(&child);
    os_process_close(&peer);
    os_process_close(&peer);
    assert_false(os_process_alive(&peer));
    os_event_destroy(&event);
}

static void no_process_with_that_number(void **state)
{
    (void)state;
    struct os_process process;
    assert_int_equal(os_process_open(0, &process), RS_INVALID);
    assert_int_equal(os_process_open(0x7ffffffcu, &process), RS_DATAPLANE_GONE);
    assert_int_equal(process.handle, -1);
    assert_string_not_equal(os_last_error_text(), "");
}

static int child_shutdown(void)
{
    static struct os_event event;
    CHILD_CHECK(os_event_create(&event) == RS_OK);
    CHILD_CHECK(os_on_shutdown(&event) == RS_OK);
    CHILD_CHECK(os_on_shutdown(&event) == RS_ALREADY);
    if (!test_request_shutdown()) {
        return 77;
    }
    CHILD_CHECK(os_event_wait(&event, NULL, TEST_WAIT_NS) == RS_OK);
    return 0;
}

static void shutdown_request_signals_an_event(void **state)
{
    (void)state;
    struct test_process child = test_process_spawn_self("shutdown", NULL, NULL);
    int result = test_process_wait(&child);
    if (result == 77) {
        skip();
    }
    assert_int_equal(result, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return strcmp(argv[1], "sleep") == 0 ? child_sleep() : child_shutdown();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signal_before_wait_is_remembered),
        cmocka_unit_test(many_signals_are_one_and_never_block),
        cmocka_unit_test(time_out_is_not_early),
        cmocka_unit_test(threads_wake_each_other),
        cmocka_unit_test(wait_ends_when_the_peer_is_killed),
        cmocka_unit_test(no_process_with_that_number),
        cmocka_unit_test(shutdown_request_signals_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
