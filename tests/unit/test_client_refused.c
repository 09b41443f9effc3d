/*
 * A client that the dataplane refuses: whatever the order of the dataplane's answer and close and
 * the client's request, the client hears why. The dataplane here is a thread that refuses everybody
 * as soon as they connect, and does not read what they say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "provider/client/client_internal.h"
#include "rings/control.h"
#include "tests/support/os_support.h"

#define ROUNDS 300u
#define REASON "user 41001 is neither root nor anybody else"

static const struct rs_ctl_answer refusal = {
    .magic = RS_MAGIC, .type = RS_CTL_ATTACH, .status = RS_ATTACH_REFUSED, .text = REASON};

/* ---- both sides in one thread ---- */

/* Takes the client that waits, answers and closes. */
static void refuse_one(struct os_listener *listener)
{
    struct os_poller *poller = NULL;
    uint64_t token = 0;
    uint32_t count = 0;
    struct os_conn conn;
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_LISTENER, listener, 1), RS_OK);
    assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
    assert_int_equal(count, 1); /* the client came within TEST_WAIT_NS */
    os_poller_destroy(poller);
    assert_int_equal(os_accept(listener, &conn), RS_OK);
    assert_int_equal(os_conn_send(&conn, &refusal, sizeof refusal, NULL, 0), RS_OK);
    os_conn_close(&conn);
}

static void refused_before_it_asked(void **state)
{
    (void)state;
    struct os_listener listener;
    struct client_link link;
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    const struct rs_ctl_request request = {
        .magic = RS_MAGIC, .type = RS_CTL_ATTACH, .arg = RS_LAYOUT_VERSION};
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, NULL, &listener), RS_OK);
    assert_int_equal(client_link_connect(name, TEST_WAIT_NS, &link), RS_OK);
    refuse_one(&listener);
    assert_int_equal(link.ops->call(link.context, &request, &answer, handles, TEST_WAIT_NS), RS_OK);
    assert_memory_equal(&answer, &refusal, sizeof answer);
    /* And nothing more. */
    assert_int_equal(link.ops->call(link.context, &request, &answer, handles, TEST_WAIT_NS),
                     RS_DATAPLANE_GONE);
    link.ops->close(link.context);
    os_listener_close(&listener);
    test_runtime_leave();
}

/* ---- a refusing thread ---- */

struct refuser {
    struct os_listener listener;
    uint32_t refused;
};

static void refuse_all(void *arg)
{
    struct refuser *refuser = arg;
    struct os_poller *poller = NULL;
    uint64_t token = 0;
    uint32_t count = 0;
    struct os_conn conn;
    CHILD_CHECK(os_poller_create(&poller) == RS_OK);
    CHILD_CHECK(os_poller_add(poller, OS_SOURCE_LISTENER, &refuser->listener, 1) == RS_OK);
    while (refuser->refused < ROUNDS) {
        CHILD_CHECK(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count) == RS_OK);
        CHILD_CHECK(count == 1); /* the next client came within TEST_WAIT_NS */
        if (os_accept(&refuser->listener, &conn) == RS_OK) {
            /* Every other round gives the client time to ask before it is answered. */
            os_sleep_ns(refuser->refused % 2 * 100000u);
            CHILD_CHECK(os_conn_send(&conn, &refusal, sizeof refusal, NULL, 0) == RS_OK);
            os_conn_close(&conn);
            refuser->refused++;
        }
    }
    os_poller_destroy(poller);
}

static void refusal_is_always_heard(void **state)
{
    (void)state;
    struct refuser refuser = {.refused = 0};
    struct os_thread thread;
    struct client *client = NULL;
    const struct client_config config = {
        .instance = test_runtime_enter(), .spin_us = -1, .yield_in_spin = -1};
    assert_int_equal(os_listen(config.instance, NULL, &refuser.listener), RS_OK);
    assert_int_equal(os_thread_start(&thread, refuse_all, &refuser, "refuser"), RS_OK);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        enum rs_status status = client_open(&config, &client);
        if (status != RS_ATTACH_REFUSED || !strstr(client_last_error_text(), REASON)) {
            fail_msg("round %u: %s: %s", i, rs_status_name(status), client_last_error_text());
        }
    }
    os_thread_join(&thread);
    os_listener_close(&refuser.listener);
    test_runtime_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_before_it_asked),
        cmocka_unit_test(refusal_is_always_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
