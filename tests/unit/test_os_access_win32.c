/*
 * Who may attach, on Windows: access lists in SDDL good and bad, the descriptor that the control
 * pipe really gets, and what a client hears whom it does not let in. The client is another user by
 * impersonating Anonymous: under Wine there is one account, so an allowed second user is not shown.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <aclapi.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

/* GENERIC_READ as the system maps it, FILE_WRITE_DATA, FILE_WRITE_ATTRIBUTES; written down again on
 * purpose. */
#define CLIENT_RIGHTS (0x00120089u | 0x2u | 0x100u)

static struct os_access access_of(const char *security)
{
    struct os_access access = {.uid_count = 0};
    (void)snprintf(access.security, sizeof access.security, "%s", security);
    return access;
}

/* ---- lists ---- */

static void good_lists(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "D:(A;;GRGW;;;BU)",
                                       "D:P(A;;GRGW;;;BU)(A;;GA;;;BA)(A;;GA;;;SY)",
                                       "D:(D;;GA;;;AN)(A;;GRGW;;;S-1-5-21-1-2-3-1001)",
                                       "D:(A;;0x120183;;;WD)",
                                       "D:"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct os_access access = access_of(good[i]);
        if (os_access_parse(&access, OS_ACCESS_SECURITY) != RS_OK) {
            fail_msg("'%s' was refused: %s", good[i], os_last_error_text());
        }
        assert_int_equal(os_access_parse(&access, OS_ACCESS_USERS), RS_OK);
        assert_int_equal(os_access_parse(&access, OS_ACCESS_GROUPS), RS_OK);
    }
}

static void bad_lists(void **state)
{
    (void)state;
    static const char *const bad[] = {"alice",
                                      "BU",
                                      "D:(A;;GRGW;;;BU",
                                      "D:(A;;GRGW;;BU)",
                                      "D:(X;;GRGW;;;BU)",
                                      "D:(A;;QQ;;;BU)",
                                      "D:(A;;GRGW;;;alice)",
                                      "D:(A;;GRGW;;;S-1-)",
                                      "O:BA",
                                      "O:BAD:(A;;GRGW;;;BU)",
                                      "G:BAD:(A;;GRGW;;;BU)"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct os_access access = access_of(bad[i]);
        if (os_access_parse(&access, OS_ACCESS_SECURITY) != RS_INVALID) {
            fail_msg("'%s' was taken", bad[i]);
        }
        if (!strstr(os_last_error_text(), "D:(A;;GRGW;;;BU)")) {
            fail_msg("'%s': '%s'", bad[i], os_last_error_text());
        }
    }
    struct os_access access = {.users = "alice"};
    assert_int_equal(os_access_parse(&access, OS_ACCESS_USERS), RS_NOT_SUPPORTED);
    assert_non_null(strstr(os_last_error_text(), "[access] security"));
    access = (struct os_access){.groups = "7"};
    assert_int_equal(os_access_parse(&access, OS_ACCESS_GROUPS), RS_NOT_SUPPORTED);
}

/* ---- the pipe ---- */

static enum rs_status accept_one(struct os_listener *listener, struct os_conn *out)
{
    struct os_poller *poller = NULL;
    uint64_t token = 0;
    uint32_t count = 0;
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_LISTENER, listener, 1), RS_OK);
    assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
    assert_int_equal(count, 1); /* a client came within TEST_WAIT_NS */
    os_poller_destroy(poller);
    return os_accept(listener, out);
}

/* The rights that the pipe's list gives sid, of its allowing entries; *first: they are the first
 * entry's. */
static DWORD rights_of(const struct os_conn *conn, WELL_KNOWN_SID_TYPE who, PSID owner, bool *first)
{
    ACL *list = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    union {
        SID sid;
        unsigned char bytes[SECURITY_MAX_SID_SIZE];
    } known;
    DWORD bytes = sizeof known;
    DWORD rights = 0;
    assert_int_equal(GetSecurityInfo((HANDLE)conn->handle, SE_KERNEL_OBJECT,
                                     DACL_SECURITY_INFORMATION, NULL, NULL, &list, NULL,
                                     &descriptor),
                     ERROR_SUCCESS);
    assert_non_null(list);
    assert_true(owner || CreateWellKnownSid(who, NULL, &known, &bytes));
    for (DWORD i = 0; i < list->AceCount; i++) {
        void *entry = NULL;
        assert_true(GetAce(list, i, &entry));
        ACCESS_ALLOWED_ACE *ace = entry;
        if (ace->Header.AceType == ACCESS_ALLOWED_ACE_TYPE &&
            EqualSid(&ace->SidStart, owner ? owner : (PSID)&known)) {
            rights |= ace->Mask;
            *first = i == 0;
        }
    }
    (void)LocalFree(descriptor);
    return rights;
}

/* The pipe of a dataplane whose configuration says `security`, seen from a client. */
static void look_at_pipe(const char *security, DWORD *owner, DWORD *users, DWORD *administrators)
{
    const struct os_access access = access_of(security);
    struct os_listener listener;
    struct os_conn client;
    struct os_conn conn;
    PSID owner_sid = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    bool owner_first = false;
    bool first = false;
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, &access, &listener), RS_OK);
    /* Twice: the second instance of the pipe is made by the right of the first one's list. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(os_connect(name, TEST_WAIT_NS, &client), RS_OK);
        assert_int_equal(accept_one(&listener, &conn), RS_OK);
        assert_int_equal(GetSecurityInfo((HANDLE)client.handle, SE_KERNEL_OBJECT,
                                         OWNER_SECURITY_INFORMATION, &owner_sid, NULL, NULL, NULL,
                                         &descriptor),
                         ERROR_SUCCESS);
        *owner = rights_of(&client, WinNullSid, owner_sid, &owner_first);
        *users = rights_of(&client, WinBuiltinUsersSid, NULL, &first);
        *administrators = rights_of(&client, WinBuiltinAdministratorsSid, NULL, &first);
        (void)LocalFree(descriptor);
        os_conn_close(&conn);
        os_conn_close(&client);
    }
    if (security[0] != '\0') {
        assert_true(owner_first);
    }
    os_listener_close(&listener);
    test_runtime_leave();
}

static void pipe_has_the_list(void **state)
{
    (void)state;
    DWORD owner = 0;
    DWORD users = 0;
    DWORD administrators = 0;
    look_at_pipe("", &owner, &users, &administrators);
    assert_true((owner & FILE_APPEND_DATA) || (owner & GENERIC_ALL));
    assert_int_equal(users, 0);
    assert_true((administrators & FILE_APPEND_DATA) || (administrators & GENERIC_ALL));
    look_at_pipe("D:(A;;GRGW;;;BU)", &owner, &users, &administrators);
    assert_true((owner & FILE_APPEND_DATA) || (owner & GENERIC_ALL));
    assert_int_equal(users, CLIENT_RIGHTS);
    assert_int_equal(administrators, 0);
    /* All access is more than a client needs; read alone stays that. */
    look_at_pipe("D:(A;;GA;;;BU)(A;;GR;;;BA)", &owner, &users, &administrators);
    assert_int_equal(users, CLIENT_RIGHTS);
    assert_int_equal(administrators, 0x00120089u);
    /* Nothing shuts out the dataplane's own user. */
    look_at_pipe("D:(D;;GA;;;WD)(D;;GA;;;BU)", &owner, &users, &administrators);
    assert_true((owner & FILE_APPEND_DATA) || (owner & GENERIC_ALL));
    assert_int_equal(users, 0);
}

/* ---- the refusal ---- */

static void anonymous_is_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"", "D:(A;;GRGW;;;BU)", "D:(D;;GA;;;AN)(A;;GRGW;;;WD)",
                                        "D:"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct os_access access = access_of(lists[i]);
        struct os_listener listener;
        struct os_conn client;
        const char *name = test_runtime_enter();
        assert_int_equal(os_listen(name, &access, &listener), RS_OK);
        if (!ImpersonateAnonymousToken(GetCurrentThread())) {
            fail_msg("ImpersonateAnonymousToken: error %lu", GetLastError());
        }
        enum rs_status status = os_connect(name, TEST_WAIT_NS, &client);
        assert_true(RevertToSelf());
        if (status != RS_ATTACH_REFUSED) {
            fail_msg("'%s' lets Anonymous in: %s: %s", lists[i], rs_status_name(status),
                     os_last_error_text());
        }
        assert_non_null(strstr(os_last_error_text(), "security descriptor"));
        assert_non_null(strstr(os_last_error_text(), "[access] security"));
        /* The dataplane's own user still gets in. */
        struct os_conn conn;
        assert_int_equal(os_connect(name, TEST_WAIT_NS, &client), RS_OK);
        assert_int_equal(accept_one(&listener, &conn), RS_OK);
        char why[216];
        assert_true(os_access_allows(&access, &conn, why, sizeof why));
        os_conn_close(&conn);
        os_conn_close(&client);
        os_listener_close(&listener);
        test_runtime_leave();
    }
}

/* A client of a dead dataplane keeps the pipe's name, and with it the old list, in existence. */
static void restart_brings_its_own_list(void **state)
{
    (void)state;
    const struct os_access before = access_of("D:(A;;GRGW;;;BU)");
    const struct os_access after = access_of("D:(A;;GRGW;;;BA)");
    struct os_listener listener;
    struct os_conn kept;
    struct os_conn conn;
    struct os_conn client;
    bool first = false;
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, &before, &listener), RS_OK);
    assert_int_equal(os_connect(name, TEST_WAIT_NS, &kept), RS_OK);
    assert_int_equal(accept_one(&listener, &conn), RS_OK);
    os_conn_close(&conn);
    os_listener_close(&listener);
    assert_int_equal(os_listen(name, &after, &listener), RS_OK);
    assert_int_equal(os_connect(name, TEST_WAIT_NS, &client), RS_OK);
    assert_int_equal(accept_one(&listener, &conn), RS_OK);
    assert_int_equal(rights_of(&client, WinBuiltinUsersSid, NULL, &first), 0);
    assert_int_equal(rights_of(&client, WinBuiltinAdministratorsSid, NULL, &first), CLIENT_RIGHTS);
    os_conn_close(&conn);
    os_conn_close(&client);
    os_conn_close(&kept);
    os_listener_close(&listener);
    test_runtime_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lists),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(pipe_has_the_list),
        cmocka_unit_test(anonymous_is_refused),
        cmocka_unit_test(restart_brings_its_own_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
