/*
 * Shared memory between two processes: who can write what, sizes, forks. The child is this program
 * again, in the role "attach".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

#define DP_BYTES   (64 * 1024u)
#define CL_BYTES   8192u
#define DP_PATTERN 0xd1
#define CL_PATTERN 0xc1

static void receive(struct os_conn *conn, const char *expected, uint32_t handle_count,
                    intptr_t handles[OS_CONN_HANDLES])
{
    char message[OS_CONN_MESSAGE_BYTES];
    size_t bytes = sizeof message;
    uint32_t count = 0;
    CHILD_CHECK(os_conn_recv(conn, message, &bytes, handles, &count, TEST_WAIT_NS) == RS_OK);
    CHILD_CHECK(bytes == strlen(expected) && memcmp(message, expected, bytes) == 0);
    CHILD_CHECK(count == handle_count);
}

static bool all_bytes_are(const void *base, size_t bytes, unsigned char value)
{
    const unsigned char *at = base;
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] != value) {
            return false;
        }
    }
    return true;
}

static int child_attach(const char *name)
{
    struct os_conn conn;
    struct os_shm dp;
    struct os_shm cl;
    struct os_shm other;
    intptr_t handles[OS_CONN_HANDLES];
    CHILD_CHECK(os_connect(name, TEST_WAIT_NS, &conn) == RS_OK);

    receive(&conn, "map", 3, handles);
    CHILD_CHECK(os_shm_map(handles[0], DP_BYTES, false, &dp) == RS_OK);
    CHILD_CHECK(os_shm_map(handles[1], CL_BYTES, true, &cl) == RS_OK);
    struct os_event event = {.handle = handles[2]};
    CHILD_CHECK(all_bytes_are(dp.base, DP_BYTES, DP_PATTERN));
    CHILD_CHECK(all_bytes_are(cl.base, CL_BYTES, 0));
    const char *worked = test_memory_attack(&dp);
    if (worked) {
        test_fail(__FILE__, __LINE__, worked);
    }
    memset(cl.base, CL_PATTERN, CL_BYTES);

    /* What must not be mapped: read-only memory for writing, other sizes. */
    receive(&conn, "wrong", 4, handles);
    CHILD_CHECK(os_shm_map(handles[0], DP_BYTES, true, &other) != RS_OK);
    CHILD_CHECK(os_shm_map(handles[1], 2 * DP_BYTES, false, &other) == RS_CORRUPT);
    CHILD_CHECK(os_shm_map(handles[2], CL_BYTES / 2, true, &other) == RS_CORRUPT);
    CHILD_CHECK(os_shm_map(handles[3], DP_BYTES + 1, false, &other) == RS_INVALID);
    CHILD_CHECK(!other.base);

    CHILD_CHECK(os_conn_send(&conn, "done", 4, NULL, 0) == RS_OK);
    /* The creator's own mapping goes on working, and what it writes is seen here. */
    CHILD_CHECK(os_event_wait(&event, NULL, TEST_WAIT_NS) == RS_OK);
    CHILD_CHECK(((const unsigned char *)dp.base)[0] == 0x77);
    os_event_signal(&event); /* on a received event: nothing */
    CHILD_CHECK(os_event_wait(&event, NULL, 0) == RS_TIMED_OUT);
    os_event_destroy(&event);
    os_shm_destroy(&dp);
    os_shm_destroy(&cl);
    os_shm_destroy(&cl);
    os_conn_close(&conn);
    return 0;
}

static void two_processes_share_two_kinds(void **state)
{
    (void)state;
    struct os_listener listener;
    struct os_poller *poller = NULL;
    struct os_conn conn;
    struct os_shm dp;
    struct os_shm cl;
    struct os_event event;
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, NULL, &listener), RS_OK);
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_LISTENER, &listener, 1), RS_OK);
    struct test_process child = test_process_spawn_self("attach", name, NULL);
    uint64_t token = 0;
    uint32_t count = 0;
    assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(os_accept(&listener, &conn), RS_OK);
    assert_int_equal(conn.peer_pid, child.pid);

    assert_int_equal(os_shm_create(OS_SHM_DP, DP_BYTES, &dp), RS_OK);
    assert_int_equal(os_shm_create(OS_SHM_CL, CL_BYTES, &cl), RS_OK);
    assert_int_equal(os_event_create(&event), RS_OK);
    assert_true(all_bytes_are(dp.base, DP_BYTES, 0));
    memset(dp.base, DP_PATTERN, DP_BYTES);

    const struct os_conn_handle map[] = {{dp.handle, OS_HANDLE_SHM_READ},
                                         {cl.handle, OS_HANDLE_SHM_WRITE},
                                         {event.handle, OS_HANDLE_EVENT_WAIT}};
    assert_int_equal(os_conn_send(&conn, "map", 3, map, 3), RS_OK);
    const struct os_conn_handle wrong[] = {{dp.handle, OS_HANDLE_SHM_READ},
                                           {dp.handle, OS_HANDLE_SHM_READ},
                                           {cl.handle, OS_HANDLE_SHM_WRITE},
                                           {dp.handle, OS_HANDLE_SHM_READ}};
    assert_int_equal(os_conn_send(&conn, "wrong", 5, wrong, 4), RS_OK);

    char message[OS_CONN_MESSAGE_BYTES];
    size_t bytes = sizeof message;
    intptr_t handles[OS_CONN_HANDLES];
    assert_int_equal(os_conn_recv(&conn, message, &bytes, handles, &count, TEST_WAIT_NS), RS_OK);
    assert_int_equal(bytes, 4);
    assert_true(all_bytes_are(cl.base, CL_BYTES, CL_PATTERN));
    assert_true(all_bytes_are(dp.base, DP_BYTES, DP_PATTERN));
    ((unsigned char *)dp.base)[0] = 0x77;
    os_event_signal(&event);
    assert_int_equal(test_process_wait(&child), 0);

    os_event_destroy(&event);
    os_shm_destroy(&cl);
    os_shm_destroy(&dp);
    os_conn_close(&conn);
    os_poller_destroy(poller);
    os_listener_close(&listener);
    test_runtime_leave();
}

static void sizes_are_checked(void **state)
{
    (void)state;
    struct os_shm shm;
    assert_int_equal(os_shm_create(OS_SHM_CL, 0, &shm), RS_INVALID);
    assert_int_equal(os_shm_create(OS_SHM_CL, 4095, &shm), RS_INVALID);
    assert_int_equal(os_shm_create(OS_SHM_CL, UINT64_MAX - 4095, &shm), RS_INVALID);
    assert_null(shm.base);
    os_shm_destroy(&shm);
    struct os_shm zeroed = {0};
    os_shm_destroy(&zeroed); /* must not close descriptor 0 */
}

static void memory_is_returned(void **state)
{
    (void)state;
    uint32_t before = 0;
    for (uint32_t i = 0; i < 20; i++) {
        struct os_shm shm;
        struct os_event event;
        assert_int_equal(os_shm_create(i % 2 ? OS_SHM_CL : OS_SHM_DP, 1u << 20, &shm), RS_OK);
        assert_int_equal(os_event_create(&event), RS_OK);
        memset(shm.base, 1, 1u << 20);
        os_event_destroy(&event);
        os_shm_destroy(&shm);
        before = i == 0 ? test_handle_count() : before;
    }
    assert_int_equal(test_handle_count(), before);
}

static void forked_child_has_no_access(void **state)
{
    (void)state;
    struct os_shm shm;
    assert_int_equal(os_shm_create(OS_SHM_CL, CL_BYTES, &shm), RS_OK);
    memset(shm.base, 1, CL_BYTES);
    assert_true(test_memory_hidden_from_fork(shm.base));
    os_shm_destroy(&shm);
}

static void sealed_memory_keeps_its_pages(void **state)
{
    (void)state;
    struct os_shm cl;
    assert_int_equal(os_shm_create(OS_SHM_CL, CL_BYTES, &cl), RS_OK);
    assert_int_equal(test_memory_holes(&cl), test_memory_holes_unsealed);
    assert_int_equal(os_shm_seal(&cl), RS_OK);
    memset(cl.base, CL_PATTERN, CL_BYTES); /* the mapping that was there can still be written */
    assert_int_equal(test_memory_holes(&cl), 0);
    assert_true(all_bytes_are(cl.base, CL_BYTES, CL_PATTERN));
    assert_int_equal(os_shm_seal(&cl), RS_OK); /* again */
    os_shm_destroy(&cl);

    assert_int_equal(os_shm_create(OS_SHM_CL, CL_BYTES, &cl), RS_OK);
    enum rs_status expected = test_memory_deny_seal(&cl) ? RS_CORRUPT : RS_OK;
    assert_int_equal(os_shm_seal(&cl), expected);
    os_shm_destroy(&cl);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "attach") == 0) {
        return child_attach(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_processes_share_two_kinds),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(memory_is_returned),
        cmocka_unit_test(forked_child_has_no_access),
        cmocka_unit_test(sealed_memory_keeps_its_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
