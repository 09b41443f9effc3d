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

/* The provider's function, from any of the sockets; kept, for a call that names none. */
static LPFN_WSAPOLL poll_function(const WSAPOLLFD *fds, ULONG count)
{
    static _Atomic(LPFN_WSAPOLL) kept; /* any thread, the value is always the same */
    LPFN_WSAPOLL found = atomic_load_explicit(&kept, memory_order_relaxed);
    GUID id = WSAID_WSAPOLL;
    DWORD bytes;
    for (ULONG i = 0; found == NULL && fds != NULL && i < count; i++) {
        if (WSAIoctl(fds[i].fd, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &found,
                     sizeof(found), &bytes, NULL, NULL) == 0) {
            atomic_store_explicit(&kept, found, memory_order_relaxed);
        }
    }
    return found;
}

int WSAAPI WSAPoll(LPWSAPOLLFD fds, ULONG count, INT timeout_ms)
{
    LPFN_WSAPOLL function = poll_function(fds, count);
    return function == NULL ? winsock_fail(WSAENOTSOCK) : function(fds, count, timeout_ms);
}
