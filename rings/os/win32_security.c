/*
 * Security descriptors of the control pipe and of sections. Called by win32_connection.c and
 * win32_memory.c; calls advapi32.
 */
#include "rings/os/win32_security.h"

#include <aclapi.h>
#include <sddl.h>
#include <stdio.h>

#define SECURITY_SDDL_CHARS 448 /* two SIDs of at most 184 characters */

/* What os_connect asks for. Not FILE_APPEND_DATA, which on a pipe is the right to make instances of
 * it, nor the rights to change the list or the owner: with them a client could pose as the
 * dataplane. */
#define SECURITY_CLIENT_RIGHTS (FILE_GENERIC_READ | FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)

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

/* ---- a list from the configuration ---- */

static enum rs_status security_refuse(const char *what)
{
    (void)os_error_set(what, "right is an access list in SDDL such as D:(A;;GRGW;;;BU)");
    return RS_INVALID;
}

/* The list of a descriptor that has nothing else; NULL: refused. No list at all would let everybody
 * do everything. */
static ACL *security_only_list(PSECURITY_DESCRIPTOR descriptor)
{
    PSID owner = NULL;
    PSID group = NULL;
    ACL *audit = NULL;
    ACL *list = NULL;
    BOOL audit_present = FALSE;
    BOOL present = FALSE;
    BOOL defaulted = FALSE;
    if (!GetSecurityDescriptorOwner(descriptor, &owner, &defaulted) ||
        !GetSecurityDescriptorGroup(descriptor, &group, &defaulted) ||
        !GetSecurityDescriptorSacl(descriptor, &audit_present, &audit, &defaulted) ||
        !GetSecurityDescriptorDacl(descriptor, &present, &list, &defaulted)) {
        return NULL;
    }
    return owner || group || audit_present || !present ? NULL : list;
}

/* Takes from every entry that grants something what a client does not need. */
static bool security_limit(ACL *list)
{
    GENERIC_MAPPING files = {FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_GENERIC_EXECUTE,
                             FILE_ALL_ACCESS};
    for (DWORD i = 0; i < list->AceCount; i++) {
        void *entry = NULL;
        if (!GetAce(list, i, &entry)) {
            return false;
        }
        switch (((const ACE_HEADER *)entry)->AceType) {
        case ACCESS_DENIED_ACE_TYPE:
        case ACCESS_DENIED_OBJECT_ACE_TYPE:
        case ACCESS_DENIED_CALLBACK_ACE_TYPE:
        case ACCESS_DENIED_CALLBACK_OBJECT_ACE_TYPE:
            break;
        default: { /* the mask comes first behind the header in entries of all kinds */
            DWORD *mask = &((ACCESS_ALLOWED_ACE *)entry)->Mask;
            MapGenericMask(mask, &files);
            *mask &= SECURITY_CLIENT_RIGHTS;
        }
        }
    }
    return true;
}

/* Owner and first entry: user, with all access, so that no later entry can shut the dataplane out
 * of its own pipe. Behind it the entries of list. */
static enum rs_status security_join(PSID user, ACL *list, struct win32_security *out)
{
    SECURITY_DESCRIPTOR whole;
    void *first = NULL;
    ACL_SIZE_INFORMATION size;
    if (!GetAclInformation(list, &size, sizeof size, AclSizeInformation)) {
        return win32_error("GetAclInformation");
    }
    DWORD entries_bytes = size.AclBytesInUse - (DWORD)sizeof(ACL);
    DWORD bytes = size.AclBytesInUse + (DWORD)sizeof(ACCESS_ALLOWED_ACE) + GetLengthSid(user);
    ACL *joined = LocalAlloc(LMEM_FIXED, bytes);
    bool made =
        joined && InitializeAcl(joined, bytes, ACL_REVISION_DS) &&
        AddAccessAllowedAce(joined, ACL_REVISION_DS, GENERIC_ALL, user) &&
        (size.AceCount == 0 || (GetAce(list, 0, &first) &&
                                AddAce(joined, ACL_REVISION_DS, MAXDWORD, first, entries_bytes))) &&
        InitializeSecurityDescriptor(&whole, SECURITY_DESCRIPTOR_REVISION) &&
        SetSecurityDescriptorOwner(&whole, user, FALSE) &&
        SetSecurityDescriptorDacl(&whole, TRUE, joined, FALSE) &&
        SetSecurityDescriptorControl(&whole, SE_DACL_PROTECTED, SE_DACL_PROTECTED);
    DWORD whole_bytes = 0;
    if (made && !MakeSelfRelativeSD(&whole, NULL, &whole_bytes)) {
        out->descriptor = LocalAlloc(LMEM_FIXED, whole_bytes);
        made = out->descriptor && MakeSelfRelativeSD(&whole, out->descriptor, &whole_bytes);
    }
    enum rs_status status = made ? RS_OK : win32_error("the pipe's security descriptor");
    if (joined) {
        (void)LocalFree(joined);
    }
    if (!made) {
        win32_security_free(out);
    }
    return status;
}

enum rs_status win32_security_make_listed(const char *sddl, struct win32_security *out)
{
    union security_user buffer;
    PSID user = security_read_user(&buffer, sizeof buffer);
    PSECURITY_DESCRIPTOR parsed = NULL;
    out->descriptor = NULL;
    if (!user) {
        return RS_OS_ERROR;
    }
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorA(sddl, SDDL_REVISION_1, &parsed,
                                                              NULL)) {
        char what[48];
        (void)snprintf(what, sizeof what, "the system does not take it (error %lu)",
                       GetLastError());
        return security_refuse(what);
    }
    ACL *list = security_only_list(parsed);
    enum rs_status status = RS_OK;
    if (!list) {
        status = security_refuse("an owner, a group or an audit list, or no access list");
    } else if (!security_limit(list)) {
        status = security_refuse("an entry that cannot be read");
    } else {
        status = security_join(user, list, out);
    }
    (void)LocalFree(parsed);
    return status;
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
