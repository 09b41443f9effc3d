/*
 * What the Winsock API's files share: the started provider and how results become last errors.
 */
#ifndef RINGSOCK_PROVIDER_HOST_WINSOCK_INTERNAL_H
#define RINGSOCK_PROVIDER_HOST_WINSOCK_INTERNAL_H

#include "provider/host/host.h"

/* The provider's table between WSAStartup and WSACleanup, else NULL with the last error set. */
const WSPPROC_TABLE *winsock_table(void);

/* Sets the calling thread's last error when result says so, and returns result. By address: the
 * call that makes the result and sets the error is an argument too, and which of two arguments is
 * evaluated first is not defined. */
static inline int winsock_result(int result, const int *error)
{
    if (result == SOCKET_ERROR) {
        SetLastError((DWORD)*error);
    }
    return result;
}

static inline int winsock_fail(int error)
{
    return winsock_result(SOCKET_ERROR, &error);
}

static inline SOCKET winsock_socket_result(SOCKET s, const int *error)
{
    if (s == INVALID_SOCKET) {
        SetLastError((DWORD)*error);
    }
    return s;
}

#endif
