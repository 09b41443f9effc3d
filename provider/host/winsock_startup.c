/*
 * WSAStartup, WSACleanup and the last error. The provider is loaded at the first WSAStartup and
 * started anew each time the count leaves zero. Any thread, by startup_lock.
 */
#include "provider/host/winsock_internal.h"

#include <stdatomic.h>
#include <string.h>

#define WINSOCK_VERSION_HIGHEST MAKEWORD(2, 2)

static SRWLOCK startup_lock = SRWLOCK_INIT;
static struct host_provider startup_provider;
static _Atomic unsigned startup_count; /* written under startup_lock */

const WSPPROC_TABLE *winsock_table(void)
{
    /* Acquire, partner startup_begin: the table is filled when the count says so. */
    if (atomic_load_explicit(&startup_count, memory_order_acquire) == 0) {
        SetLastError(WSANOTINITIALISED);
        return NULL;
    }
    return &startup_provider.table;
}

static int startup_begin(void)
{
    unsigned count = atomic_load_explicit(&startup_count, memory_order_relaxed);
    int error = 0;
    if (count == 0 && startup_provider.dll == NULL && host_load(NULL, &startup_provider) != 0) {
        startup_provider.dll = NULL;
        error = WSASYSNOTREADY;
    }
    if (count == 0 && error == 0) {
        error = host_startup(&startup_provider, WINSOCK_VERSION_HIGHEST);
    }
    if (error == 0) {
        atomic_store_explicit(&startup_count, count + 1, memory_order_release);
    }
    return error;
}

int WSAAPI WSAStartup(WORD version, LPWSADATA data)
{
    if (data == NULL) {
        return WSAEFAULT;
    }
    if (LOBYTE(version) == 0) {
        return WSAVERNOTSUPPORTED;
    }
    AcquireSRWLockExclusive(&startup_lock);
    int error = startup_begin();
    ReleaseSRWLockExclusive(&startup_lock);
    if (error != 0) {
        return error;
    }
    memset(data, 0, sizeof(*data));
    bool newer = LOBYTE(version) > 2 || (LOBYTE(version) == 2 && HIBYTE(version) > 2);
    data->wVersion = newer ? WINSOCK_VERSION_HIGHEST : version;
    data->wHighVersion = WINSOCK_VERSION_HIGHEST;
    strcpy(data->szDescription, "WinSock 2.0");
    strcpy(data->szSystemStatus, "Running");
    return 0;
}

int WSAAPI WSACleanup(void)
{
    int error = 0;
    int result = 0;
    AcquireSRWLockExclusive(&startup_lock);
    unsigned count = atomic_load_explicit(&startup_count, memory_order_relaxed);
    if (count == 0) {
        result = SOCKET_ERROR;
        error = WSANOTINITIALISED;
    } else {
        atomic_store_explicit(&startup_count, count - 1, memory_order_release);
        if (count == 1) {
            result = startup_provider.table.lpWSPCleanup(&error);
        }
    }
    ReleaseSRWLockExclusive(&startup_lock);
    return winsock_result(result, &error);
}

int WSAAPI WSAGetLastError(void)
{
    return (int)GetLastError();
}

void WSAAPI WSASetLastError(int error)
{
    SetLastError((DWORD)error);
}
