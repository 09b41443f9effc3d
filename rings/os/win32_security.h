/*
 * Who may use what: sections that nobody can reopen, the descriptor that the dataplane puts on it,
 * and the client's check that the pipe was not made by somebody else first. Any thread.
 */
#ifndef RINGSOCK_RINGS_OS_WIN32_SECURITY_H
#define RINGSOCK_RINGS_OS_WIN32_SECURITY_H

#include "rings/os/win32_internal.h"

struct win32_security {
    PSECURITY_DESCRIPTOR descriptor; /* LocalAlloc'ed, NULL if none */
};

/* Access for the current user, Administrators and SYSTEM, nobody else. */
RS_CHECK_RESULT enum rs_status win32_security_make(struct win32_security *out);
/* All access for the current user, and a client's rights for those whom an access list in SDDL
 * names. RS_INVALID: it is none; os_last_error_text() says what would be right. */
RS_CHECK_RESULT enum rs_status win32_security_make_listed(const char *sddl,
                                                          struct win32_security *out);
/* Access for nobody: the object lives by the handles that its maker hands out. */
RS_CHECK_RESULT enum rs_status win32_security_make_closed(struct win32_security *out);
void win32_security_free(struct win32_security *security);

/* True if the object's owner is this user, Administrators or SYSTEM. */
bool win32_security_owner_trusted(HANDLE object);

#endif
