/*
 * Who may attach, on Windows: access lists in SDDL good and bad, the descriptor that the control
 * pipe really gets, and what a client hears whom it does not let in. That the system obeys the
 * descriptor is not shown: Wine does not, and has one account only.
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
                                      "S:(AU;SAFA;GA;;;WD)",
                                      "D:(A;;GRGW;;;BU)S:(AU;SAFA;GA;;;WD)",
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
    char why[216];
    bool owner_first = false;
    bool first = false;
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, &access, &listener), RS_OK);
    /* Twice: the second instance of the pipe is made by the right of the first one's list. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(os_connect(name, TEST_WAIT_NS, &client), RS_OK);
        assert_int_equal(accept_one(&listener, &conn), RS_OK);
        assert_true(os_access_allows(&access, &conn, why, sizeof why));
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

/* Wine's server asks no descriptor when a pipe is opened (a list that denies everybody is opened
 * all the same), so the system's "access denied" is had by another way here: a pipe that cannot be
 * read.
 */
static void refusal_names_the_key(void **state)
{
    (void)state;
    wchar_t path[64];
    struct os_conn client;
    const char *name = test_runtime_enter();
    (void)_snwprintf(path, 64, L"\\\\.\\pipe\\ringsock-%hs", name);
    HANDLE pipe =
        CreateNamedPipeW(path, PIPE_ACCESS_INBOUND, PIPE_TYPE_MESSAGE, 1, 4096, 4096, 0, NULL);
    assert_true(pipe != INVALID_HANDLE_VALUE);
    assert_int_equal(os_connect(name, TEST_WAIT_NS, &client), RS_ATTACH_REFUSED);
    assert_non_null(strstr(os_last_error_text(), "security descriptor of the dataplane's pipe"));
    assert_non_null(strstr(os_last_error_text(), "[access] security"));
    (void)CloseHandle(pipe);
    test_runtime_leave();
}

/* What is left of a dead dataplane can keep the pipe's name, and with it the old list, in
 * existence: here another instance of it. */
static void joined_name_gets_the_new_list(void **state)
{
    (void)state;
    const struct os_access before = access_of("D:(A;;GRGW;;;BU)");
    const struct os_access after = access_of("D:(A;;GRGW;;;BA)");
    struct os_listener listener;
    bool first = false;
    wchar_t path[64];
    const char *name = test_runtime_enter();
    assert_int_equal(os_listen(name, &before, &listener), RS_OK);
    (void)_snwprintf(path, 64, L"\\\\.\\pipe\\ringsock-%hs", name);
    HANDLE left = CreateNamedPipeW(path, PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE,
                                   PIPE_UNLIMITED_INSTANCES, 4096, 4096, 0, NULL);
    assert_true(left != INVALID_HANDLE_VALUE);
    os_listener_close(&listener);
    const struct os_conn seen = {.handle = (intptr_t)left};
    assert_int_equal(rights_of(&seen, WinBuiltinUsersSid, NULL, &first), CLIENT_RIGHTS);
    assert_int_equal(os_listen(name, &after, &listener), RS_OK);
    assert_int_equal(rights_of(&seen, WinBuiltinUsersSid, NULL, &first), 0);
    assert_int_equal(rights_of(&seen, WinBuiltinAdministratorsSid, NULL, &first), CLIENT_RIGHTS);
    os_listener_close(&listener);
    (void)CloseHandle(left);
    test_runtime_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lists),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(pipe_has_the_list),
        cmocka_unit_test(refusal_names_the_key),
        cmocka_unit_test(joined_name_gets_the_new_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
