/*
 * Who may attach, on Linux: the lists of [access] become ids, and what the kernel says of a real
 * process with another user, group or supplementary group decides. Processes of other users need
 * root; without it those cases are skipped.
 */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/os_support.h"

/* Ids that no user database has. */
#define USER_A  41001u
#define USER_B  41002u
#define GROUP_A 42001u
#define GROUP_B 42002u
#define GROUP_C 42003u

#define MANY_GROUPS 300 /* more than a first try of SO_PEERGROUPS has room for */

/* ---- lists ---- */

static struct os_access access_of(const char *users, const char *groups)
{
    struct os_access access = {.uid_count = 0};
    (void)snprintf(access.users, sizeof access.users, "%s", users);
    (void)snprintf(access.groups, sizeof access.groups, "%s", groups);
    assert_int_equal(os_access_parse(&access, OS_ACCESS_USERS), RS_OK);
    assert_int_equal(os_access_parse(&access, OS_ACCESS_GROUPS), RS_OK);
    assert_int_equal(os_access_parse(&access, OS_ACCESS_SECURITY), RS_OK);
    return access;
}

static void good_lists(void **state)
{
    (void)state;
    struct os_access access = access_of("", "");
    assert_int_equal(access.uid_count, 0);
    assert_int_equal(access.gid_count, 0);
    access = access_of("root", "root , 7");
    assert_int_equal(access.uid_count, 1);
    assert_int_equal(access.uids[0], 0);
    assert_int_equal(access.gid_count, 2);
    assert_int_equal(access.gids[0], 0);
    assert_int_equal(access.gids[1], 7);
    access = access_of("\t41001,root,4294967294 ", "");
    assert_int_equal(access.uid_count, 3);
    assert_int_equal(access.uids[0], USER_A);
    assert_int_equal(access.uids[1], 0);
    assert_int_equal(access.uids[2], 4294967294u);
    /* As many as there is room for in the text. */
    char list[OS_ACCESS_TEXT_BYTES];
    for (size_t i = 0; i < sizeof list; i += 2) {
        list[i] = '7';
        list[i + 1] = ',';
    }
    list[sizeof list - 1] = '\0';
    access = access_of(list, list);
    assert_int_equal(access.uid_count, OS_ACCESS_IDS_MAX);
    assert_int_equal(access.gid_count, OS_ACCESS_IDS_MAX);
    assert_int_equal(access.uids[OS_ACCESS_IDS_MAX - 1], 7);
}

static void bad_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *needle;
    } cases[] = {{"no-such-name-x", "'no-such-name-x'"},
                 {"root,no-such-name-x", "'no-such-name-x'"},
                 {"root,", "empty name"},
                 {",", "empty name"},
                 {"root,,7", "empty name"},
                 {" ", "empty name"},
                 {"root 7", "'root 7'"},
                 {"-1", "'-1'"},
                 {"0x10", "'0x10'"},
                 {"4294967295", "0 to 4294967294"},
                 {"99999999999999999999999", "0 to 4294967294"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int group = 0; group < 2; group++) {
            struct os_access access = {.uid_count = 0};
            (void)snprintf(group ? access.groups : access.users, OS_ACCESS_TEXT_BYTES, "%s",
                           cases[i].list);
            if (os_access_parse(&access, group ? OS_ACCESS_GROUPS : OS_ACCESS_USERS) !=
                RS_INVALID) {
                fail_msg("'%s' was taken", cases[i].list);
            }
            if (!strstr(os_last_error_text(), cases[i].needle) ||
                !strstr(os_last_error_text(), "right is")) {
                fail_msg("'%s': '%s'", cases[i].list, os_last_error_text());
            }
        }
    }
    struct os_access access = {.security = "D:(A;;GRGW;;;BU)"};
    assert_int_equal(os_access_parse(&access, OS_ACCESS_SECURITY), RS_NOT_SUPPORTED);
    assert_non_null(strstr(os_last_error_text(), "users and groups"));
}

/* ---- processes of other users ---- */

struct who {
    uint32_t uid, gid;
    const gid_t *groups;
    size_t group_count;
};

/* A child becomes who, connects, and waits until the end of the connection. */
static pid_t start_client(const char *name, const struct who *who)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        return pid;
    }
    struct os_conn conn;
    char byte = 0;
    size_t bytes = 1;
    intptr_t handles[OS_CONN_HANDLES];
    uint32_t count = 0;
    if (setgroups(who->group_count, who->groups) != 0 ||
        setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0) {
        _exit(2);
    }
    enum rs_status status = os_connect(name, TEST_WAIT_NS, &conn);
    if (status != RS_OK) {
        (void)fprintf(stderr, "client of user %u: %s: %s\n", who->uid, rs_status_name(status),
                      os_last_error_text());
        _exit(3);
    }
    _exit(os_conn_recv(&conn, &byte, &bytes, handles, &count, TEST_WAIT_NS) == RS_DATAPLANE_GONE
              ? 0
              : 4);
}

static void accept_one(struct os_listener *listener, struct os_conn *out)
{
    struct os_poller *poller = NULL;
    uint64_t token = 0;
    uint32_t count = 0;
    assert_int_equal(os_poller_create(&poller), RS_OK);
    assert_int_equal(os_poller_add(poller, OS_SOURCE_LISTENER, listener, 1), RS_OK);
    assert_int_equal(os_poller_wait(poller, TEST_WAIT_NS, &token, 1, &count), RS_OK);
    assert_int_equal(count, 1); /* a client came within TEST_WAIT_NS */
    os_poller_destroy(poller);
    assert_int_equal(os_accept(listener, out), RS_OK);
}

/* Of the folder that test_runtime_enter made with 0700. */
static void set_folder_mode(mode_t mode)
{
    const char *folder = getenv("RINGSOCK_RUNTIME_DIR");
    CHILD_CHECK(folder && chmod(folder, mode) == 0);
}

/* What is said of who; why is "" when it may. */
static bool ask(const struct os_access *access, const struct who *who, char *why, size_t bytes)
{
    struct os_listener listener;
    struct os_conn conn;
    const char *name = test_runtime_enter();
    set_folder_mode(0755);
    assert_int_equal(os_listen(name, access, &listener), RS_OK);
    pid_t pid = start_client(name, who);
    accept_one(&listener, &conn);
    assert_int_equal(conn.peer_uid, who->uid);
    memset(why, 'x', bytes);
    bool allowed = os_access_allows(access, &conn, why, bytes);
    if (allowed) {
        why[0] = '\0';
    }
    os_conn_close(&conn);
    int result = 0;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
    os_listener_close(&listener);
    test_runtime_leave();
    return allowed;
}

static void expect_allowed(const struct os_access *access, const struct who *who)
{
    char why[216];
    if (!ask(access, who, why, sizeof why)) {
        fail_msg("refused: %s", why);
    }
}

static void expect_refused(const struct os_access *access, const struct who *who,
                           const char *needle)
{
    char why[216];
    if (ask(access, who, why, sizeof why)) {
        fail_msg("user %u was allowed", who->uid);
    }
    assert_non_null(memchr(why, '\0', sizeof why));
    if (!strstr(why, needle)) {
        fail_msg("'%s' is not in '%s'", needle, why);
    }
}

static const struct who plain_a = {.uid = USER_A, .gid = GROUP_A};
static const struct who plain_b = {.uid = USER_B, .gid = GROUP_B};

static void root_or_skip(void)
{
    if (geteuid() != 0) {
        print_message("needs root: processes of other users\n");
        skip();
    }
}

static void nobody_is_listed(void **state)
{
    (void)state;
    root_or_skip();
    const struct os_access access = access_of("", "");
    const struct who root = {.uid = 0, .gid = 0};
    const struct who root_group = {.uid = USER_A, .gid = 0};
    expect_allowed(&access, &root);
    expect_refused(&access, &plain_a,
                   "user 41001 is neither root nor the dataplane's user 0; [access] users "
                   "or groups would let others in");
    expect_refused(&access, &root_group, "user 41001 ");
}

static void users_are_listed(void **state)
{
    (void)state;
    root_or_skip();
    const struct os_access access = access_of("7, 41001", "");
    const struct who root = {.uid = 0, .gid = GROUP_C};
    const struct who named = {.uid = 65534, .gid = GROUP_C};
    expect_allowed(&access, &plain_a);
    expect_allowed(&access, &root);
    expect_refused(&access, &plain_b, "user 41002 is neither root");
    expect_refused(&access, &plain_b, "[access] users = 7, 41001");
    expect_refused(&access, &named, "user 65534 (nobody) ");
    /* An id is a user's here and a group's there. */
    const struct who other_kind = {.uid = USER_B, .gid = USER_A};
    expect_refused(&access, &other_kind, "user 41002 ");
}

static void groups_are_listed(void **state)
{
    (void)state;
    root_or_skip();
    const struct os_access access = access_of("", "42003, 42001");
    const gid_t with[] = {7, GROUP_A};
    const gid_t without[] = {7, GROUP_B};
    const struct who member = {.uid = USER_B, .gid = GROUP_B, .groups = with, .group_count = 2};
    const struct who stranger = {.uid = USER_B, .gid = 8, .groups = without, .group_count = 2};
    const struct who other_kind = {.uid = GROUP_A, .gid = 8};
    expect_allowed(&access, &plain_a); /* its primary group */
    expect_allowed(&access, &member);
    expect_refused(&access, &stranger, "nor in one of [access] groups = 42003, 42001");
    expect_refused(&access, &other_kind, "user 42001 ");
}

static void many_groups(void **state)
{
    (void)state;
    root_or_skip();
    gid_t groups[MANY_GROUPS];
    for (size_t i = 0; i < MANY_GROUPS; i++) {
        groups[i] = 50000u + (gid_t)i;
    }
    const struct who who = {
        .uid = USER_B, .gid = GROUP_B, .groups = groups, .group_count = MANY_GROUPS};
    const struct os_access last = access_of("", "50299");
    const struct os_access none = access_of("", "50300");
    expect_allowed(&last, &who);
    expect_refused(&none, &who, "user 41002 ");
}

/* All of it stays within an answer's text, the longest lists included. */
static void long_lists_are_cut(void **state)
{
    (void)state;
    root_or_skip();
    char list[OS_ACCESS_TEXT_BYTES];
    (void)snprintf(list, sizeof list, "%0255d", 5);
    for (size_t i = 3; i < sizeof list - 1; i += 4) {
        list[i] = ',';
    }
    list[sizeof list - 2] = '5';
    const struct os_access access = access_of(list, list);
    char why[216];
    assert_false(ask(&access, &plain_b, why, sizeof why));
    assert_non_null(strstr(why, "..., nor in one of [access] groups = 000,"));
    assert_string_equal(why + strlen(why) - 3, "...");
}

/* The user is the one of the moment of the connect, not of the look. */
static void user_of_the_connect_counts(void **state)
{
    (void)state;
    root_or_skip();
    const struct os_access access = access_of("41001", "");
    struct os_listener listener;
    struct os_conn client;
    struct os_conn conn;
    char why[216];
    const char *name = test_runtime_enter();
    set_folder_mode(0755);
    assert_int_equal(os_listen(name, &access, &listener), RS_OK);
    assert_int_equal(seteuid(USER_B), 0);
    enum rs_status status = os_connect(name, TEST_WAIT_NS, &client);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, RS_OK);
    accept_one(&listener, &conn);
    assert_false(os_access_allows(&access, &conn, why, sizeof why));
    os_conn_close(&conn);
    os_conn_close(&client);
    os_listener_close(&listener);
    test_runtime_leave();
}

/* ---- the folder ---- */

/* Connects as uid to the dataplane of this process, which is USER_A's. */
static bool ask_as(uint32_t uid, struct os_listener *listener, char *why, size_t bytes)
{
    const struct os_access nobody = {.uid_count = 0};
    struct os_conn client;
    struct os_conn conn;
    CHILD_CHECK(seteuid(0) == 0 && seteuid(uid) == 0);
    CHILD_CHECK(os_connect("other", TEST_WAIT_NS, &client) == RS_OK);
    CHILD_CHECK(seteuid(0) == 0 && seteuid(USER_A) == 0);
    CHILD_CHECK(os_accept(listener, &conn) == RS_OK);
    bool allowed = os_access_allows(&nobody, &conn, why, bytes);
    os_conn_close(&client);
    os_conn_close(&conn);
    return allowed;
}

/* In a child with a strict umask: a dataplane of USER_A makes its folder; all others reach it. */
static int folder_of_other_user(const char *folder)
{
    struct os_listener listener;
    char why[216];
    (void)umask(077);
    CHILD_CHECK(setgroups(0, NULL) == 0 && setresgid(GROUP_A, GROUP_A, GROUP_A) == 0);
    CHILD_CHECK(seteuid(USER_A) == 0);
    CHILD_CHECK(setenv("RINGSOCK_RUNTIME_DIR", folder, 1) == 0);
    CHILD_CHECK(os_listen("other", NULL, &listener) == RS_OK);
    CHILD_CHECK(!ask_as(USER_B, &listener, why, sizeof why));
    CHILD_CHECK(strstr(why, "user 41002 is neither root nor the dataplane's user 41001;"));
    CHILD_CHECK(ask_as(USER_A, &listener, why, sizeof why));
    CHILD_CHECK(ask_as(0, &listener, why, sizeof why));
    os_listener_close(&listener);
    CHILD_CHECK(seteuid(0) == 0);
    return 0;
}

static void other_users_reach_the_socket(void **state)
{
    (void)state;
    root_or_skip();
    char folder[80];
    char lock[96];
    (void)test_runtime_enter();
    set_folder_mode(0777);
    (void)snprintf(folder, sizeof folder, "%s/made", getenv("RINGSOCK_RUNTIME_DIR"));
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(folder_of_other_user(folder));
    }
    int result = 0;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
    (void)snprintf(lock, sizeof lock, "%s/other.lock", folder);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(folder), 0);
    test_runtime_leave();
}

/* Another user's lock file says nothing about whether its dataplane lives. */
static void lock_of_another_user(void **state)
{
    (void)state;
    root_or_skip();
    struct os_listener live;
    struct os_listener other;
    const char *name = test_runtime_enter();
    set_folder_mode(0777);
    assert_int_equal(os_listen(name, NULL, &live), RS_OK);
    assert_int_equal(seteuid(USER_A), 0);
    enum rs_status while_alive = os_listen(name, NULL, &other);
    assert_int_equal(seteuid(0), 0);
    os_listener_close(&live);
    assert_int_equal(seteuid(USER_A), 0);
    enum rs_status while_dead = os_listen(name, NULL, &other);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(while_alive, RS_ADDR_IN_USE);
    assert_int_equal(while_dead, RS_OS_ERROR);
    assert_non_null(strstr(os_last_error_text(), "permission denied, it belongs to user 0"));
    /* A folder that cannot be written to holds no dataplane either. */
    test_runtime_forget(name);
    set_folder_mode(0755);
    assert_int_equal(seteuid(USER_A), 0);
    enum rs_status foreign_folder = os_listen(name, NULL, &other);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(foreign_folder, RS_OS_ERROR);
    assert_non_null(strstr(os_last_error_text(), "permission denied"));
    test_runtime_leave();
}

/* A folder that does not let a user in is not taken for a dataplane that is not there. */
static void closed_folder_is_named(void **state)
{
    (void)state;
    root_or_skip();
    struct os_listener listener;
    struct os_conn conn;
    const char *name = test_runtime_enter(); /* 0700 */
    assert_int_equal(os_listen(name, NULL, &listener), RS_OK);
    assert_int_equal(seteuid(USER_A), 0);
    enum rs_status status = os_connect(name, TEST_WAIT_NS, &conn);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, RS_ATTACH_REFUSED);
    assert_non_null(strstr(os_last_error_text(), "folder"));
    os_listener_close(&listener);
    test_runtime_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lists),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(nobody_is_listed),
        cmocka_unit_test(users_are_listed),
        cmocka_unit_test(groups_are_listed),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(long_lists_are_cut),
        cmocka_unit_test(user_of_the_connect_counts),
        cmocka_unit_test(other_users_reach_the_socket),
        cmocka_unit_test(lock_of_another_user),
        cmocka_unit_test(closed_folder_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
