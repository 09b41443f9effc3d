/*
 * Who may attach, on Linux: the user and group names of the configuration as numbers, and the
 * kernel's word on who connected. Start-up thread (parse), control thread (allows).
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rings/os/posix_internal.h"

#define ACCESS_NAME_BYTES     21u   /* of the name of a user who is refused */
#define ACCESS_LOCAL_USERS    4096u /* of /etc/passwd, looked through for it */
#define ACCESS_LIST_CHARS     27    /* of [access] users or groups within a refusal */
#define ACCESS_RECORD_BYTES   1024u /* of a user's or group's entry, doubled until it fits */
#define ACCESS_RECORD_MAX     (1u << 20)
#define ACCESS_PEER_GROUPS    64u    /* room at the first try */
#define ACCESS_PEER_GROUP_MAX 65536u /* NGROUPS_MAX, linux/limits.h */

/* ---- names and numbers ---- */

/* getpwnam_r and getgrnam_r as one call: RS_OK found, RS_INVALID there is none, RS_WOULD_BLOCK the
 * buffer is too small. */
static enum rs_status access_ask(bool group, const char *name, uint32_t *id, char *buffer,
                                 size_t bytes)
{
    struct passwd user;
    struct passwd *user_found = NULL;
    struct group members;
    struct group *group_found = NULL;
    int error = group ? getgrnam_r(name, &members, buffer, bytes, &group_found)
                      : getpwnam_r(name, &user, buffer, bytes, &user_found);
    if (error == ERANGE) {
        return RS_WOULD_BLOCK;
    }
    if (!user_found && !group_found) {
        return RS_INVALID;
    }
    *id = group ? group_found->gr_gid : user_found->pw_uid;
    return RS_OK;
}

/* The same with a buffer of the size it takes: a group's entry lists all its members. */
static enum rs_status access_look_up(bool group, const char *name, uint32_t *id)
{
    enum rs_status status = RS_WOULD_BLOCK;
    for (size_t bytes = ACCESS_RECORD_BYTES; status == RS_WOULD_BLOCK && bytes <= ACCESS_RECORD_MAX;
         bytes *= 2) {
        char *buffer = malloc(bytes);
        if (!buffer) {
            return RS_NO_MEMORY;
        }
        status = access_ask(group, name, id, buffer, bytes);
        free(buffer);
    }
    return status;
}

static enum rs_status access_complain(const char *what, const char *item, const char *right)
{
    char text[OS_ERROR_BYTES];
    (void)snprintf(text, sizeof text, "%s '%.40s'; right is %s", what, item, right);
    (void)os_error_set(text, NULL);
    return RS_INVALID;
}

/* Digits only are a number, whether or not somebody has it; 4294967295 is nobody's, setuid(2). */
static enum rs_status access_parse_item(bool group, const char *item, uint32_t *id)
{
    if (item[strspn(item, "0123456789")] == '\0') {
        char *end = NULL;
        errno = 0;
        unsigned long long number = strtoull(item, &end, 10);
        if (errno != 0 || number >= UINT32_MAX) {
            return access_complain("no id", item, "0 to 4294967294");
        }
        *id = (uint32_t)number;
        return RS_OK;
    }
    if (access_look_up(group, item, id) != RS_OK) {
        return access_complain(group ? "this host has no group" : "this host has no user", item,
                               group ? "a name that 'getent group' shows, or a numeric id"
                                     : "a name that 'getent passwd' shows, or a numeric id");
    }
    return RS_OK;
}

/* "alice, 1001" into ids. */
static enum rs_status access_parse_list(bool group, const char *text, uint32_t *ids,
                                        uint32_t *count)
{
    *count = 0;
    for (const char *next = text; next; text = next) {
        char item[OS_ACCESS_TEXT_BYTES];
        text += strspn(text, " \t");
        size_t chars = strcspn(text, ",");
        next = text[chars] == ',' ? text + chars + 1 : NULL;
        while (chars > 0 && (text[chars - 1] == ' ' || text[chars - 1] == '\t')) {
            chars--;
        }
        (void)snprintf(item, sizeof item, "%.*s", (int)chars, text);
        if (chars == 0 || *count == OS_ACCESS_IDS_MAX) {
            return access_complain(chars == 0 ? "an empty name" : "too many names, from", item,
                                   "a list such as alice, 1001");
        }
        enum rs_status status = access_parse_item(group, item, &ids[*count]);
        if (status != RS_OK) {
            return status;
        }
        (*count)++;
    }
    return RS_OK;
}

enum rs_status os_access_parse(struct os_access *access, enum os_access_key key)
{
    switch (key) {
    case OS_ACCESS_USERS:
        return access->users[0] == '\0'
                   ? RS_OK
                   : access_parse_list(false, access->users, access->uids, &access->uid_count);
    case OS_ACCESS_GROUPS:
        return access->groups[0] == '\0'
                   ? RS_OK
                   : access_parse_list(true, access->groups, access->gids, &access->gid_count);
    case OS_ACCESS_SECURITY:
        break;
    }
    if (access->security[0] == '\0') {
        return RS_OK;
    }
    (void)os_error_set("is for Windows; right here are [access] users and groups", NULL);
    return RS_NOT_SUPPORTED;
}

/* ---- the peer ---- */

static bool access_listed(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* The peer's supplementary groups, socket(7) SO_PEERGROUPS (Linux 4.13): those it had when it
 * connected. On any failure it is in none. */
static bool access_peer_in_group(const struct os_access *access, int fd)
{
    gid_t few[ACCESS_PEER_GROUPS];
    gid_t *groups = few;
    bool listed = false;
    socklen_t bytes = sizeof few;
    int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes);
    if (result != 0 && errno == ERANGE && bytes <= ACCESS_PEER_GROUP_MAX * sizeof(gid_t)) {
        groups = malloc(bytes);
        if (!groups) {
            return false;
        }
        result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes);
    }
    for (size_t i = 0; result == 0 && !listed && i < bytes / sizeof(gid_t); i++) {
        listed = access_listed(access->gids, access->gid_count, groups[i]);
    }
    if (groups != few) {
        free(groups);
    }
    return listed;
}

/* The name of a user of this host, "" if it has none. Of the file alone: another source of names
 * may be far away and slow, and whoever may not attach must not be able to hold the control thread
 * up. */
static void access_local_name(uint32_t uid, char *name, size_t name_bytes)
{
    char buffer[ACCESS_RECORD_BYTES];
    struct passwd user;
    struct passwd *found = NULL;
    FILE *file = fopen("/etc/passwd", "re");
    name[0] = '\0';
    if (!file) {
        return;
    }
    for (uint32_t i = 0; i < ACCESS_LOCAL_USERS && name[0] == '\0' &&
                         fgetpwent_r(file, &user, buffer, sizeof buffer, &found) == 0;
         i++) {
        if (user.pw_uid == uid) {
            (void)snprintf(name, name_bytes, "%s", user.pw_name);
        }
    }
    (void)fclose(file);
}

/* "1001 (alice)"; the number alone if it has no name. */
static void access_describe(uint32_t uid, char *out, size_t bytes)
{
    char name[ACCESS_NAME_BYTES];
    access_local_name(uid, name, sizeof name);
    (void)snprintf(out, bytes, name[0] != '\0' ? "%u (%s)" : "%u", uid, name);
}

/* ", nor one of [access] users = alice,bob", cut where it would fill the refusal. */
static size_t access_describe_list(char *out, size_t bytes, const char *before, const char *list)
{
    if (list[0] == '\0') {
        return 0;
    }
    int chars = snprintf(out, bytes, "%s%.*s%s", before, ACCESS_LIST_CHARS, list,
                         strlen(list) > ACCESS_LIST_CHARS ? "..." : "");
    return chars < 0 ? 0 : (size_t)chars < bytes ? (size_t)chars : bytes - 1;
}

/* At most 214 characters: an answer's text has 215. */
static void access_explain(const struct os_access *access, uint32_t uid, char *why, size_t bytes)
{
    char who[48];
    access_describe(uid, who, sizeof who);
    int chars = snprintf(why, bytes, "user %s is neither root nor the dataplane's user %u", who,
                         (unsigned int)geteuid());
    size_t used = chars < 0 ? 0 : (size_t)chars < bytes ? (size_t)chars : bytes - 1;
    used += access_describe_list(why + used, bytes - used,
                                 ", nor one of [access] users = ", access->users);
    used += access_describe_list(why + used, bytes - used,
                                 ", nor in one of [access] groups = ", access->groups);
    if (access->users[0] == '\0' && access->groups[0] == '\0') {
        (void)snprintf(why + used, bytes - used, "; [access] users or groups would let others in");
    }
}

bool os_access_allows(const struct os_access *access, const struct os_conn *conn, char *why,
                      size_t why_bytes)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt((int)conn->handle, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
        (void)posix_error("getsockopt(SO_PEERCRED)");
        (void)snprintf(why, why_bytes, "the system does not say which user asks");
        return false;
    }
    if (peer.uid == 0 || peer.uid == geteuid() ||
        access_listed(access->uids, access->uid_count, peer.uid) ||
        access_listed(access->gids, access->gid_count, peer.gid) ||
        (access->gid_count > 0 && access_peer_in_group(access, (int)conn->handle))) {
        return true;
    }
    access_explain(access, peer.uid, why, why_bytes);
    return false;
}

bool os_access_sees_all(const struct os_conn *conn)
{
    return conn->peer_uid == 0 || conn->peer_uid == geteuid();
}
