/*
 * The control thread's wait: every kind of source, more of them than one system wait takes, added
 * and removed in any order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

#define EVENTS 200u
#define PAIRS  70u

static struct os_event events[EVENTS];

/* Collects tokens until `expected` came or the time is up; every token at most once. */
static uint32_t collect(struct os_poller *poller, uint32_t expected, bool *seen,
                        uint32_t tokens_max)
{
    uint32_t got = 0;
    memset(seen, 0, tokens_max);
    while (got < expected) {
        uint64_t tokens[7];
        uint32_t count = 0;
        assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, tokens, 7, &count), RS_OK);
        if (count == 0) {
            break;
        }
        assert_true(count <= 7);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(tokens[i] < tokens_max);
            assert_false(seen[tokens[i]]);
            seen[tokens[i]] = true;
            got++;
        }
    }
    return got;
}

static void assert_silent(struct os_poller *poller)
{
    uint64_t token = 0;
    uint32_t count = 1;
    assert_int_equal(os_poller_wait(poller, 2000000, &token, 1, &count), RS_OK);
    assert_int_equal(count, 0);
}

static void two_hundred_events(void **state)
{
    (void)state;
    struct os_poller *poller = NULL;
    bool seen[EVENTS];
    assert_int_equal(os_poller_create(&poller), RS_OK);
    for (uint32_t i = 0; i < EVENTS; i++) {
        assert_int_equal(os_event_create(&events[i]), RS_OK);
        assert_int_equal(os_poller_add(poller, OS_SOURCE_EVENT, &events[i], i), RS_OK);
    }
    assert_int_equal(os_poller_add(poller, OS_SOURCE_EVENT, &events[0], 0), RS_ALREADY);
    assert_silent(poller);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < EVENTS; i++) {
            os_event_signal(&events[i]);
        }
        assert_int_equal(collect(poller, EVENTS, seen, EVENTS), EVENTS);
        assert_silent(poller); /* consumed */
    }
    /* The last of many is not forgotten behind the first. */
    os_event_signal(&events[EVENTS - 1]);
    assert_int_equal(collect(poller, 1, seen, EVENTS), 1);
    assert_true(seen[EVENTS - 1]);
    /* Removed sources are silent, also when they are signalled already. */
    for (uint32_t i = 0; i < EVENTS; i++) {
        os_event_signal(&events[i]);
    }
    for (uint32_t i = 0; i < EVENTS; i += 2) {
        os_poller_remove(poller, OS_SOURCE_EVENT, &events[i]);
        os_poller_remove(poller, OS_SOURCE_EVENT, &events[i]);
    }
    assert_int_equal(collect(poller, EVENTS / 2, seen, EVENTS), EVENTS / 2);
    for (uint32_t i = 0; i < EVENTS; i++) {
        assert_int_equal(seen[i], i % 2 == 1);
    }
    assert_silent(poller);
    os_poller_destroy(poller);
    for (uint32_t i = 0; i < EVENTS; i++) {
        os_event_destroy(&events[i]);
    }
}

static void time_out_is_not_early(void **state)
{
    (void)state;
    struct os_poller *poller = NULL;
    uint64_t token = 0;
    uint32_t count = 1;
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_wait(poller, 0, &token, 1, &count), RS_OK);
    assert_int_equal(count, 0);
    uint64_t before_ns = os_monotonic_ns();
    assert_int_equal(os_poller_wait(poller, 10500000, &token, 1, &count), RS_OK);
    assert_int_equal(count, 0);
    assert_true(os_monotonic_ns() - before_ns >= 10500000);
    assert_int_equal(os_poller_wait(poller, 0, &token, 0, &count), RS_INVALID);
    os_poller_destroy(poller);
}

static struct os_conn dataplanes[PAIRS];
static struct os_conn clients[PAIRS];

static void receive_one(struct os_conn *conn, enum rs_status expected)
{
    char message[OS_CONN_MESSAGE_BYTES];
    size_t bytes = sizeof message;
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count = 0;
    assert_int_equal(os_conn_recv(conn, message, &bytes, handles, &handle_count, 0), expected);
    if (expected == RS_OK) {
        assert_int_equal(bytes, 5);
    }
}

/* 70 clients of one listener, as the control thread has them. */
static void many_connections(void **state)
{
    (void)state;
    struct os_listener listener;
    struct os_poller *poller = NULL;
    bool seen[PAIRS + 1];
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, NULL, &listener), RS_OK);
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_LISTENER, &listener, PAIRS), RS_OK);
    for (uint32_t i = 0; i < PAIRS; i++) {
        assert_int_equal(os_connect(name, TEST_WAIT_NS, &clients[i]), RS_OK);
        assert_int_equal(collect(poller, 1, seen, PAIRS + 1), 1);
        assert_true(seen[PAIRS]);
        assert_int_equal(os_accept(&listener, &dataplanes[i]), RS_OK);
        assert_int_equal(os_poller_add(poller, OS_SOURCE_CONN, &dataplanes[i], i), RS_OK);
    }
    assert_silent(poller);
    for (uint32_t i = 0; i < PAIRS; i++) {
        assert_int_equal(os_conn_send(&clients[i], "first", 5, NULL, 0), RS_OK);
        assert_int_equal(os_conn_send(&clients[i], "again", 5, NULL, 0), RS_OK);
    }
    /* Level-triggered: one message taken, one left. */
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t left = PAIRS; left > 0; left--) {
            uint64_t token = 0;
            uint32_t count = 0;
            assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
            assert_int_equal(count, 1);
            receive_one(&dataplanes[token], RS_OK);
        }
    }
    assert_silent(poller);
    for (uint32_t i = 0; i < PAIRS; i++) {
        receive_one(&dataplanes[i], RS_TIMED_OUT);
    }
    /* A receive past its time-out leaves the watch in place. */
    assert_int_equal(os_conn_send(&clients[3], "first", 5, NULL, 0), RS_OK);
    assert_int_equal(collect(poller, 1, seen, PAIRS + 1), 1);
    assert_true(seen[3]);
    receive_one(&dataplanes[3], RS_OK);
    for (uint32_t i = 0; i < PAIRS; i++) {
        os_conn_close(&clients[i]);
    }
    for (uint32_t ended = 0; ended < PAIRS; ended++) {
        uint64_t token = 0;
        uint32_t count = 0;
        assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
        assert_int_equal(count, 1);
        receive_one(&dataplanes[token], RS_DATAPLANE_GONE);
        os_poller_remove(poller, OS_SOURCE_CONN, &dataplanes[token]);
        os_conn_close(&dataplanes[token]);
    }
    assert_silent(poller);
    os_poller_remove(poller, OS_SOURCE_LISTENER, &listener);
    os_poller_destroy(poller);
    os_listener_close(&listener);
    test_runtime_leave();
}

static int child_sleep(void)
{
    struct os_event never;
    CHILD_CHECK(os_event_create(&never) == RS_OK);
    return os_event_wait(&never, NULL, 2 * TEST_WAIT_NS) == RS_TIMED_OUT ? 3 : 4;
}

static void end_of_a_process(void **state)
{
    (void)state;
    struct os_poller *poller = NULL;
    struct os_process process;
    struct test_process child = test_process_spawn_self("sleep", NULL, NULL);
    assert_int_equal(os_process_open(child.pid, &process), RS_OK);
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_PROCESS, &process, 42), RS_OK);
    assert_silent(poller);
    test_process_kill(&child);
    for (uint32_t round = 0; round < 2; round++) {
        uint64_t token = 0;
        uint32_t count = 0;
        assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
        assert_int_equal(count, 1);
        assert_int_equal(token, 42);
    }
    (void)test_process_wait(&child);
    os_poller_remove(poller, OS_SOURCE_PROCESS, &process);
    os_process_close(&process);
    assert_silent(poller);
    os_poller_destroy(poller);
}

/* The second half of the tests' handles comes back: nothing stays behind in the system. */
static void nothing_leaks(void **state)
{
    uint32_t before = 0;
    for (uint32_t round = 0; round < 3; round++) {
        many_connections(state);
        before = round == 1 ? test_handle_count() : before;
    }
    assert_true(test_handle_count() <= before);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return child_sleep();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_events), cmocka_unit_test(time_out_is_not_early),
        cmocka_unit_test(many_connections),   cmocka_unit_test(end_of_a_process),
        cmocka_unit_test(nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
