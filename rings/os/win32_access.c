/*
 * Who may attach, on Windows: the control pipe's security descriptor decides when a client opens
 * it, so here the list is only read for its faults. Start-up thread (parse), control thread
 * (allows).
 */
#include "rings/os/win32_security.h"

enum rs_status os_access_parse(struct os_access *access, enum os_access_key key)
{
    struct win32_security security;
    const char *unused = key == OS_ACCESS_USERS    ? access->users
                         : key == OS_ACCESS_GROUPS ? access->groups
                                                   : "";
    if (unused[0] != '\0') {
        (void)os_error_set("is for Linux; right here is [access] security, an access list in SDDL "
                           "such as D:(A;;GRGW;;;BU)",
                           NULL);
        return RS_NOT_SUPPORTED;
    }
    if (key != OS_ACCESS_SECURITY || access->security[0] == '\0') {
        return RS_OK;
    }
    enum rs_status status = win32_security_make_listed(access->security, &security);
    if (status == RS_OK) {
        win32_security_free(&security);
    }
    return status;
}

bool os_access_allows(const struct os_access *access, const struct os_conn *conn, char *why,
                      size_t why_bytes)
{
    (void)access;
    (void)conn;
    (void)why;
    (void)why_bytes;
    return true;
}

bool os_access_sees_all(const struct os_conn *conn)
{
    (void)conn;
    return true;
}
