/*
 * provider/ctl/fetch.c against a dataplane that lies: each wrong answer gives its status, and no
 * handle stays open. The other end is a thread of this program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "provider/ctl/ctl.h"
#include "rings/control.h"
#include "tests/support/os_support.h"
#include "tests/support/report_sample.h"

enum lie {
    LIE_NONE,
    LIE_SILENT,    /* closes without an answer */
    LIE_REFUSED,   /* before it was asked, as one that may not attach is */
    LIE_SHORT,     /* half an answer */
    LIE_MAGIC,     /* of another protocol */
    LIE_TYPE,      /* an answer to something else */
    LIE_NO_HANDLE, /* no object */
    LIE_SIZE,      /* an object of another size */
    LIE_HUGE,      /* a size that cannot be */
    LIE_BYTES,     /* an object that holds no report */
    LIE_VERSION    /* a report of another version */
};

struct liar {
    const char *name;
    struct os_listener listener;
    struct os_thread thread;
    enum lie lie;
    bool asked; /* for a report of our version */
};

static void liar_answer(const struct liar *liar, struct os_conn *conn)
{
    struct rs_ctl_answer answer = {.magic = RS_MAGIC, .type = RS_CTL_REPORT};
    struct os_shm shm;
    CHILD_CHECK(os_shm_create(OS_SHM_DP, 65536, &shm) == RS_OK);
    report_sample_make(shm.base, 0);
    answer.value = shm.size_bytes;
    struct rs_report_header *header = shm.base;
    switch (liar->lie) {
    case LIE_REFUSED:
        answer.type = RS_CTL_ATTACH;
        answer.status = RS_ATTACH_REFUSED;
        memset(answer.text, 0x1b, sizeof(answer.text)); /* escapes, and no end */
        break;
    case LIE_MAGIC:
        answer.magic++;
        break;
    case LIE_TYPE:
        answer.type = RS_CTL_EXTENT;
        break;
    case LIE_SIZE:
        answer.value += 65536;
        break;
    case LIE_HUGE:
        answer.value = UINT64_MAX - 4095;
        break;
    case LIE_BYTES:
        memset(shm.base, 0xff, shm.size_bytes);
        break;
    case LIE_VERSION:
        header->version++;
        break;
    default:
        break;
    }
    const struct os_conn_handle handle = {.handle = shm.handle, .kind = OS_HANDLE_SHM_READ};
    bool none = liar->lie == LIE_REFUSED || liar->lie == LIE_NO_HANDLE;
    (void)!os_conn_send(conn, &answer, liar->lie == LIE_SHORT ? 128 : sizeof(answer),
                        none ? NULL : &handle, none ? 0 : 1);
    os_shm_destroy(&shm);
}

static void liar_run(void *arg)
{
    struct liar *liar = arg;
    struct os_poller *poller = NULL;
    struct os_conn conn;
    struct rs_ctl_request request = {0};
    size_t bytes = sizeof(request);
    intptr_t handles[OS_CONN_HANDLES];
    uint64_t token = 0;
    uint32_t count = 0;
    CHILD_CHECK(os_poller_create(&poller) == RS_OK);
    CHILD_CHECK(os_poller_add(poller, OS_SOURCE_LISTENER, &liar->listener, 1) == RS_OK);
    CHILD_CHECK(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count) == RS_OK && count == 1);
    os_poller_destroy(poller);
    CHILD_CHECK(os_accept(&liar->listener, &conn) == RS_OK);
    if (liar->lie != LIE_REFUSED) {
        CHILD_CHECK(os_conn_recv(&conn, &request, &bytes, handles, &count, TEST_WAIT_NS) == RS_OK);
        liar->asked = bytes == sizeof(request) && request.magic == RS_MAGIC &&
                      request.type == RS_CTL_REPORT && request.arg == RS_REPORT_VERSION;
    }
    if (liar->lie != LIE_SILENT) {
        liar_answer(liar, &conn);
    }
    os_conn_close(&conn);
}

static enum rs_status fetch_from(struct liar *liar, enum lie lie, struct ctl_report *report)
{
    liar->lie = lie;
    assert_int_equal(os_listen(liar->name, NULL, &liar->listener), RS_OK);
    assert_int_equal(os_thread_start(&liar->thread, liar_run, liar, "liar"), RS_OK);
    enum rs_status status = ctl_fetch(liar->name, report);
    os_thread_join(&liar->thread);
    os_listener_close(&liar->listener);
    return status;
}

static void an_honest_answer_is_a_report(void **state)
{
    struct liar *liar = *state;
    struct ctl_report report;
    assert_int_equal(fetch_from(liar, LIE_NONE, &report), RS_OK);
    assert_true(liar->asked);
    assert_int_equal(rs_report_value(&report.view, 1, 1), 1003);
    ctl_report_free(&report);
}

static void lies_are_found(void **state)
{
    static const struct {
        enum lie lie;
        enum rs_status status;
    } cases[] = {
        {LIE_SILENT, RS_DATAPLANE_GONE},
        {LIE_REFUSED, RS_ATTACH_REFUSED},
        {LIE_SHORT, RS_CORRUPT},
        {LIE_MAGIC, RS_CORRUPT},
        {LIE_TYPE, RS_CORRUPT},
        {LIE_NO_HANDLE, RS_CORRUPT},
        {LIE_HUGE, RS_CORRUPT},
        {LIE_BYTES, RS_CORRUPT},
        {LIE_VERSION, RS_VERSION_MISMATCH},
    };
    struct liar *liar = *state;
    struct ctl_report report;
    assert_int_not_equal(fetch_from(liar, LIE_SIZE, &report), RS_OK); /* each system says it so */
    uint32_t open_before = test_handle_count();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum rs_status status = fetch_from(liar, cases[i].lie, &report);
        if (status != cases[i].status) {
            print_error("lie %d: %s\n", (int)cases[i].lie, rs_status_name(status));
        }
        assert_int_equal(status, cases[i].status);
        assert_null(report.copy);
    }
    assert_int_equal(test_handle_count(), open_before);
}

static void nobody_there_is_not_ready(void **state)
{
    const struct liar *liar = *state;
    struct ctl_report report;
    assert_int_equal(ctl_fetch(liar->name, &report), RS_NOT_READY);
    assert_int_equal(ctl_fetch("no name", &report), RS_INVALID);
}

static int setup(void **state)
{
    static struct liar liar;
    liar.name = test_runtime_enter();
    *state = &liar;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_runtime_leave();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_answer_is_a_report),
        cmocka_unit_test(lies_are_found),
        cmocka_unit_test(nobody_there_is_not_ready),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
