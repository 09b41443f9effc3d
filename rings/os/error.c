/*
 * The text behind os_last_error_text(), one buffer per thread, and the check of instance names.
 * Portable; called by every file of rings/os when a system call failed.
 */
#include <stdio.h>
#include <string.h>

#include "rings/os/internal.h"

static _Thread_local char error_text[OS_ERROR_BYTES];

const char *os_last_error_text(void)
{
    return error_text;
}

enum rs_status os_error_set(const char *call, const char *detail)
{
    (void)snprintf(error_text, sizeof error_text, "%s%s%s", call, detail ? ": " : "",
                   detail ? detail : "");
    return RS_OS_ERROR;
}

bool os_name_valid(const char *name)
{
    size_t chars = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return chars >= 1 && chars <= OS_NAME_CHARS_MAX && name[chars] == '\0';
}
