/*
 * The Winsock API's ways to wait but select: network events and WSAPoll. Any thread.
 */
#include "provider/host/winsock_internal.h"

#include <mswsock.h>
#include <stdatomic.h>

int WSAAPI WSAEventSelect(SOCKET s, WSAEVENT event, __LONG32 network_events)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPEventSelect(s, event, network_events, &error), &error);
}

int WSAAPI WSAEnumNetworkEvents(SOCKET s, WSAEVENT event, LPWSANETWORKEVENTS network_events)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPEnumNetworkEvents(s, event, network_events, &error),
                                &error);
}

/* The provider's function, from any of the sockets, which is the same for all. NULL with *code, as
 * the function itself has it: no entry is a socket, or the array cannot be read. */
static LPFN_WSAPOLL poll_find(const WSAPOLLFD *fds, ULONG count, int *code)
{
    GUID id = WSAID_WSAPOLL;
    LPFN_WSAPOLL found = NULL;
    DWORD bytes;
    *code = WSAEINVAL;
    for (ULONG i = 0; fds != NULL && i < count; i++) {
        WSAPOLLFD entry;
        if (!ReadProcessMemory(GetCurrentProcess(), &fds[i], &entry, sizeof(entry), NULL)) {
            *code = WSAEFAULT;
            return NULL;
        }
        if (WSAIoctl(entry.fd, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &found,
                     sizeof(found), &bytes, NULL, NULL) == 0) {
            return found;
        }
    }
    return NULL;
}

int WSAAPI WSAPoll(LPWSAPOLLFD fds, ULONG count, INT timeout_ms)
{
    static _Atomic(LPFN_WSAPOLL) kept; /* any thread, the value is always the same */
    LPFN_WSAPOLL function = atomic_load_explicit(&kept, memory_order_relaxed);
    int code;
    if (winsock_table() == NULL) {
        return SOCKET_ERROR;
    }
    if (function == NULL) {
        function = poll_find(fds, count, &code);
        if (function == NULL) {
            return winsock_fail(code);
        }
        atomic_store_explicit(&kept, function, memory_order_relaxed);
    }
    return function(fds, count, timeout_ms);
}
