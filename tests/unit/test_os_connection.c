/*
 * The control connection: messages stay whole, their handles arrive or are closed, hostile messages
 * end in RS_CORRUPT, and a name belongs to one living dataplane. Both ends are in this process but
 * where a dataplane has to die.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

struct fixture {
    const char *name;
    struct os_listener listener;
    struct os_conn dataplane;
    struct os_conn client;
    char message[OS_CONN_MESSAGE_BYTES];
    size_t bytes;
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t handle_count;
};

static void accept_one(struct os_listener *listener, struct os_conn *out)
{
    struct os_poller *poller = NULL;
    uint64_t token = 0;
    uint32_t count = 0;
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_LISTENER, listener, 1), RS_OK);
    assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
    assert_int_equal(count, 1);
    os_poller_destroy(poller);
    assert_int_equal(os_accept(listener, out), RS_OK);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture.name = test_runtime_enter();
    *state = &fixture;
    assert_int_equal(os_listen(fixture.name, NULL, &fixture.listener), RS_OK);
    assert_int_equal(os_connect(fixture.name, TEST_WAIT_NS, &fixture.client), RS_OK);
    accept_one(&fixture.listener, &fixture.dataplane);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    os_conn_close(&f->client);
    os_conn_close(&f->dataplane);
    os_listener_close(&f->listener);
    os_listener_close(&f->listener);
    test_runtime_leave();
    return 0;
}

static enum rs_status receive(struct fixture *f, struct os_conn *conn, uint64_t timeout_ns)
{
    f->bytes = sizeof f->message;
    return os_conn_recv(conn, f->message, &f->bytes, f->handles, &f->handle_count, timeout_ns);
}

static void peer_is_known(void **state)
{
    struct fixture *f = *state;
    static const struct os_access nobody_else;
    struct os_process process;
    assert_int_equal(f->client.peer_pid, os_process_id());
    assert_int_equal(f->dataplane.peer_pid, os_process_id());
    char why[216];
    assert_true(os_access_allows(&nobody_else, &f->dataplane, why, sizeof why));
    assert_int_equal(os_conn_peer_process(&f->dataplane, &process), RS_OK);
    assert_true(os_process_alive(&process));
    os_process_close(&process);
    assert_int_equal(os_conn_peer_process(&f->client, &process), RS_OK);
    assert_true(os_process_alive(&process));
    os_process_close(&process);
}

static void messages_stay_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {1, 7, OS_CONN_MESSAGE_BYTES, 512};
    char sent[OS_CONN_MESSAGE_BYTES];
    for (size_t i = 0; i < 4; i++) {
        memset(sent, (int)i + 1, sizes[i]);
        assert_int_equal(os_conn_send(&f->client, sent, sizes[i], NULL, 0), RS_OK);
        assert_int_equal(os_conn_send(&f->dataplane, sent, sizes[i], NULL, 0), RS_OK);
    }
    struct os_conn *const ends[] = {&f->dataplane, &f->client};
    for (size_t end = 0; end < 2; end++) {
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(receive(f, ends[end], TEST_WAIT_NS), RS_OK);
            memset(sent, (int)i + 1, sizes[i]);
            assert_int_equal(f->bytes, sizes[i]);
            assert_memory_equal(f->message, sent, sizes[i]);
            assert_int_equal(f->handle_count, 0);
        }
        assert_int_equal(receive(f, ends[end], 1000000), RS_TIMED_OUT);
    }
    /* A receive that timed out takes nothing away from the next. */
    assert_int_equal(os_conn_send(&f->client, "late", 4, NULL, 0), RS_OK);
    assert_int_equal(receive(f, &f->dataplane, TEST_WAIT_NS), RS_OK);
    assert_int_equal(f->bytes, 4);
}

static void handles_arrive_and_can_be_closed(void **state)
{
    struct fixture *f = *state;
    struct os_event event;
    uint32_t before = 0;
    for (uint32_t round = 0; round < 3; round++) {
        assert_int_equal(os_event_create(&event), RS_OK);
        struct os_conn_handle sent[OS_CONN_HANDLES];
        for (uint32_t i = 0; i < OS_CONN_HANDLES; i++) {
            sent[i] = (struct os_conn_handle){event.handle, OS_HANDLE_EVENT_WAIT};
        }
        assert_int_equal(os_conn_send(&f->dataplane, "four", 4, sent, OS_CONN_HANDLES), RS_OK);
        assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_OK);
        assert_int_equal(f->handle_count, OS_CONN_HANDLES);
        os_event_signal(&event);
        struct os_event received = {.handle = f->handles[OS_CONN_HANDLES - 1]};
        assert_int_equal(os_event_wait(&received, NULL, TEST_WAIT_NS), RS_OK);
        for (uint32_t i = 0; i < OS_CONN_HANDLES; i++) {
            os_handle_close(f->handles[i]);
        }
        os_event_destroy(&event);
        before = round == 0 ? test_handle_count() : before;
    }
    assert_int_equal(test_handle_count(), before);
}

static void bad_arguments_send_nothing(void **state)
{
    struct fixture *f = *state;
    static const char long_message[OS_CONN_MESSAGE_BYTES + 1];
    const struct os_conn_handle handles[OS_CONN_HANDLES + 1] = {{0, OS_HANDLE_EVENT_WAIT}};
    assert_int_equal(os_conn_send(&f->client, long_message, sizeof long_message, NULL, 0),
                     RS_MESSAGE_SIZE);
    assert_int_equal(os_conn_send(&f->client, "", 0, NULL, 0), RS_INVALID);
    assert_int_equal(os_conn_send(&f->client, "x", 1, handles, 1), RS_INVALID);
    assert_int_equal(os_conn_send(&f->dataplane, "x", 1, handles, OS_CONN_HANDLES + 1), RS_INVALID);
    assert_int_equal(receive(f, &f->dataplane, 0), RS_TIMED_OUT);
    assert_int_equal(receive(f, &f->client, 0), RS_TIMED_OUT);
}

static void too_long_message_is_corrupt(void **state)
{
    struct fixture *f = *state;
    test_conn_send_too_long(&f->client);
    assert_int_equal(receive(f, &f->dataplane, TEST_WAIT_NS), RS_CORRUPT);
    /* Longer than the caller's buffer, its handle closed. */
    struct os_event event;
    assert_int_equal(os_event_create(&event), RS_OK);
    assert_int_equal(os_conn_send(&f->dataplane, "warm", 4, NULL, 0), RS_OK);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_OK);
    uint32_t before = test_handle_count();
    const struct os_conn_handle handle = {event.handle, OS_HANDLE_EVENT_WAIT};
    assert_int_equal(os_conn_send(&f->dataplane, "12345", 5, &handle, 1), RS_OK);
    f->bytes = 4;
    assert_int_equal(
        os_conn_recv(&f->client, f->message, &f->bytes, f->handles, &f->handle_count, TEST_WAIT_NS),
        RS_CORRUPT);
    assert_int_equal(f->handle_count, 0);
    assert_int_equal(test_handle_count(), before);
    os_event_destroy(&event);
}

static void handles_to_the_dataplane_are_refused(void **state)
{
    struct fixture *f = *state;
    uint32_t before = test_handle_count();
    if (test_conn_send_handle_to_dataplane(&f->client)) {
        assert_int_equal(receive(f, &f->dataplane, TEST_WAIT_NS), RS_CORRUPT);
    }
    assert_int_equal(f->handle_count, 0);
    assert_int_equal(test_handle_count(), before);
}

static void too_many_handles_are_all_closed(void **state)
{
    struct fixture *f = *state;
    uint32_t before = test_handle_count();
    test_conn_send_too_many_handles(&f->dataplane);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_CORRUPT);
    assert_int_equal(test_handle_count(), before);
}

static void peer_that_does_not_read_cannot_block(void **state)
{
    struct fixture *f = *state;
    static const char message[OS_CONN_MESSAGE_BYTES];
    enum rs_status status = RS_OK;
    uint32_t sent = 0;
    while (status == RS_OK && sent < 100000) {
        status = os_conn_send(&f->dataplane, message, sizeof message, NULL, 0);
        sent++;
    }
    assert_int_equal(status, RS_WOULD_BLOCK);
    for (uint32_t i = 0; i + 1 < sent; i++) {
        assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_OK);
        assert_int_equal(f->bytes, sizeof message);
    }
    assert_int_equal(receive(f, &f->client, 0), RS_TIMED_OUT);
    assert_int_equal(os_conn_send(&f->dataplane, "again", 5, NULL, 0), RS_OK);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_OK);
}

static void close_is_seen_after_the_messages(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(os_conn_send(&f->dataplane, "bye", 3, NULL, 0), RS_OK);
    os_conn_close(&f->dataplane);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_OK);
    assert_int_equal(f->bytes, 3);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_DATAPLANE_GONE);
    assert_int_equal(receive(f, &f->client, 0), RS_DATAPLANE_GONE);
    assert_int_equal(os_conn_send(&f->client, "x", 1, NULL, 0), RS_DATAPLANE_GONE);
}

/* What the other side sent before it closed arrives also if it left something unread. */
static void close_with_unread_messages(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(os_conn_send(&f->client, "unread", 6, NULL, 0), RS_OK);
    assert_int_equal(os_conn_send(&f->dataplane, "bye", 3, NULL, 0), RS_OK);
    os_conn_close(&f->dataplane);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_OK);
    assert_int_equal(f->bytes, 3);
    assert_int_equal(receive(f, &f->client, TEST_WAIT_NS), RS_DATAPLANE_GONE);
    assert_int_equal(receive(f, &f->client, 0), RS_DATAPLANE_GONE);
}

static void close_of_the_client_is_seen(void **state)
{
    struct fixture *f = *state;
    os_conn_close(&f->client);
    assert_int_equal(receive(f, &f->dataplane, TEST_WAIT_NS), RS_DATAPLANE_GONE);
    assert_int_equal(os_conn_send(&f->dataplane, "x", 1, NULL, 0), RS_DATAPLANE_GONE);
}

static void client_gone_before_accept(void **state)
{
    struct fixture *f = *state;
    struct os_conn early;
    struct os_conn accepted;
    assert_int_equal(os_connect(f->name, TEST_WAIT_NS, &early), RS_OK);
    os_conn_close(&early);
    enum rs_status status = os_accept(&f->listener, &accepted);
    if (status == RS_OK) {
        assert_int_equal(receive(f, &accepted, TEST_WAIT_NS), RS_DATAPLANE_GONE);
        os_conn_close(&accepted);
    } else {
        assert_int_equal(status, RS_WOULD_BLOCK);
    }
    /* The listener still serves. */
    assert_int_equal(os_accept(&f->listener, &accepted), RS_WOULD_BLOCK);
    assert_int_equal(os_connect(f->name, TEST_WAIT_NS, &early), RS_OK);
    accept_one(&f->listener, &accepted);
    os_conn_close(&accepted);
    os_conn_close(&early);
}

/* ---- names ---- */

static void live_listener_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    struct os_listener second;
    assert_int_equal(os_listen(f->name, NULL, &second), RS_ADDR_IN_USE);
    assert_int_equal(second.handle, -1);
    os_listener_close(&second);
    /* The first one was not hurt. */
    struct os_conn client;
    struct os_conn accepted;
    assert_int_equal(os_connect(f->name, TEST_WAIT_NS, &client), RS_OK);
    accept_one(&f->listener, &accepted);
    os_conn_close(&client);
    os_conn_close(&accepted);
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "../x",     "a b",
                                      "a.b", "\xc3\xa4", "0123456789012345678901234567890x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct os_listener listener;
        struct os_conn conn;
        assert_int_equal(os_listen(bad[i], NULL, &listener), RS_INVALID);
        assert_int_equal(os_connect(bad[i], 0, &conn), RS_INVALID);
    }
}

static int child_listen(const char *name, const char *back_name)
{
    struct os_listener listener;
    struct os_conn back;
    struct os_event never;
    CHILD_CHECK(os_listen(name, NULL, &listener) == RS_OK);
    CHILD_CHECK(os_connect(back_name, TEST_WAIT_NS, &back) == RS_OK);
    CHILD_CHECK(os_event_create(&never) == RS_OK);
    return os_event_wait(&never, NULL, 2 * TEST_WAIT_NS) == RS_TIMED_OUT ? 3 : 4;
}

/* The child listens on a second name and is killed. keep: a client of it stays connected, as an
 * idle program would. */
static void replace_dead_dataplane(struct fixture *f, bool keep)
{
    char dead_name[32];
    (void)snprintf(dead_name, sizeof dead_name, "%s-dead", f->name);
    struct os_conn ready;
    struct os_conn kept = {.handle = -1};
    struct os_conn fresh;
    struct os_conn accepted;
    struct os_listener listener;
    assert_int_equal(os_connect(dead_name, 0, &fresh), RS_NOT_READY);
    struct test_process child = test_process_spawn_self("listen", dead_name, f->name);
    accept_one(&f->listener, &ready);
    if (keep) {
        assert_int_equal(os_connect(dead_name, TEST_WAIT_NS, &kept), RS_OK);
    }
    assert_int_equal(os_listen(dead_name, NULL, &listener), RS_ADDR_IN_USE);
    test_process_kill(&child);
    (void)test_process_wait(&child);
    if (keep) {
        assert_int_equal(receive(f, &kept, TEST_WAIT_NS), RS_DATAPLANE_GONE);
    }
    enum rs_status dead = os_connect(dead_name, 1000000, &fresh);
    assert_true(dead == RS_NOT_READY || dead == RS_TIMED_OUT);
    assert_int_equal(os_listen(dead_name, NULL, &listener), RS_OK);
    assert_int_equal(os_connect(dead_name, TEST_WAIT_NS, &fresh), RS_OK);
    accept_one(&listener, &accepted);
    os_conn_close(&accepted);
    os_conn_close(&fresh);
    os_conn_close(&kept);
    os_conn_close(&ready);
    os_listener_close(&listener);
    assert_int_equal(os_connect(dead_name, 0, &fresh), RS_NOT_READY);
    test_runtime_forget(dead_name);
}

static void dead_dataplane_is_replaced(void **state)
{
    replace_dead_dataplane(*state, false);
}

static void dead_dataplane_with_a_client_is_replaced(void **state)
{
    replace_dead_dataplane(*state, true);
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 3) {
        return child_listen(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        WITH_PAIR(peer_is_known),
        WITH_PAIR(messages_stay_whole_and_in_order),
        WITH_PAIR(handles_arrive_and_can_be_closed),
        WITH_PAIR(bad_arguments_send_nothing),
        WITH_PAIR(too_long_message_is_corrupt),
        WITH_PAIR(handles_to_the_dataplane_are_refused),
        WITH_PAIR(too_many_handles_are_all_closed),
        WITH_PAIR(peer_that_does_not_read_cannot_block),
        WITH_PAIR(close_is_seen_after_the_messages),
        WITH_PAIR(close_with_unread_messages),
        WITH_PAIR(close_of_the_client_is_seen),
        WITH_PAIR(client_gone_before_accept),
        WITH_PAIR(live_listener_is_not_replaced),
        WITH_PAIR(names_are_checked),
        WITH_PAIR(dead_dataplane_is_replaced),
        WITH_PAIR(dead_dataplane_with_a_client_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
