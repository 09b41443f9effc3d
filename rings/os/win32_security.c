/*
 * Security descriptors of the control pipe and of sections. Called by win32_connection.c and
 * win32_memory.c; calls advapi32.
 */
#include "rings/os/win32_security.h"

#include <aclapi.h>
#include <sddl.h>
#include <stdio.h>

#define SECURITY_SDDL_CHARS 448 /* two SIDs of at most 184 characters */

/* The user of this process; the SID points into buffer. */
static PSID security_read_user(void *buffer, DWORD bytes)
{
    HANDLE token = NULL;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) {
        (void)win32_error("OpenProcessToken");
        return NULL;
    }
    DWORD used = 0;
    PSID user = NULL;
    if (GetTokenInformation(token, TokenUser, buffer, bytes, &used)) {
        user = ((const TOKEN_USER *)buffer)->User.Sid;
    } else {
        (void)win32_error("GetTokenInformation");
    }
    (void)CloseHandle(token);
    return user;
}

/* TOKEN_USER and the SID behind it. */
union security_user {
    TOKEN_USER user;
    unsigned char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
};

static enum rs_status security_parse(const wchar_t *sddl, struct win32_security *out)
{
    out->descriptor = NULL;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl, SDDL_REVISION_1,
                                                              &out->descriptor, NULL)) {
        return win32_error("ConvertStringSecurityDescriptorToSecurityDescriptor");
    }
    return RS_OK;
}

enum rs_status win32_security_make(struct win32_security *out)
{
    union security_user buffer;
    PSID user = security_read_user(&buffer, sizeof buffer);
    LPWSTR text = NULL;
    out->descriptor = NULL;
    if (!user) {
        return RS_OS_ERROR;
    }
    if (!ConvertSidToStringSidW(user, &text)) {
        return win32_error("ConvertSidToStringSid");
    }
    /* O: the owner, said because Wine leaves it out otherwise, and an elevated user's objects would
     * belong to all administrators. P: nothing is inherited; GA: all access; SY, BA: SYSTEM,
     * Administrators (SDDL, Windows SDK). */
    wchar_t sddl[SECURITY_SDDL_CHARS];
    (void)_snwprintf(sddl, SECURITY_SDDL_CHARS, L"O:%lsD:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;%ls)",
                     text, text);
    sddl[SECURITY_SDDL_CHARS - 1] = L'\0';
    (void)LocalFree(text);
    return security_parse(sddl, out);
}

/* OW: the owner's rights, which would else include changing the list. */
enum rs_status win32_security_make_closed(struct win32_security *out)
{
    return security_parse(L"D:P(A;;RC;;;OW)", out);
}

void win32_security_free(struct win32_security *security)
{
    if (security->descriptor) {
        (void)LocalFree(security->descriptor);
    }
    security->descriptor = NULL;
}

bool win32_security_owner_trusted(HANDLE object)
{
    union security_user buffer;
    PSID user = security_read_user(&buffer, sizeof buffer);
    PSID owner = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    if (!user || GetSecurityInfo(object, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL,
                                 NULL, NULL, &descriptor) != ERROR_SUCCESS) {
        return false;
    }
    bool trusted =
        owner && (EqualSid(owner, user) || IsWellKnownSid(owner, WinBuiltinAdministratorsSid) ||
                  IsWellKnownSid(owner, WinLocalSystemSid));
    (void)LocalFree(descriptor);
    return trusted;
}
