/*
 * The functions that mswsock.dll exports: each asks the provider of the socket for its own and
 * calls it. Any thread.
 */
#include "provider/host/winsock_internal.h"

#include <mswsock.h>

#include <stdatomic.h>

/* Stores the function's address. False: the last error is set. */
static bool mswsock_find(SOCKET s, GUID id, void *function, DWORD function_bytes)
{
    DWORD returned_bytes = 0;
    return WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), function,
                    function_bytes, &returned_bytes, NULL, NULL) == 0;
}

WINBOOL WINAPI AcceptEx(SOCKET listener, SOCKET accepting, PVOID output, DWORD data_bytes,
                        DWORD local_bytes, DWORD remote_bytes, LPDWORD received,
                        LPOVERLAPPED overlapped)
{
    LPFN_ACCEPTEX function = NULL;
    return mswsock_find(listener, (GUID)WSAID_ACCEPTEX, &function, sizeof(function)) &&
           function(listener, accepting, output, data_bytes, local_bytes, remote_bytes, received,
                    overlapped);
}

WINBOOL WINAPI TransmitFile(SOCKET s, HANDLE file, DWORD file_bytes, DWORD send_bytes,
                            LPOVERLAPPED overlapped, LPTRANSMIT_FILE_BUFFERS buffers, DWORD flags)
{
    LPFN_TRANSMITFILE function = NULL;
    return mswsock_find(s, (GUID)WSAID_TRANSMITFILE, &function, sizeof(function)) &&
           function(s, file, file_bytes, send_bytes, overlapped, buffers, flags);
}

/* It names no socket, so it is asked for once, by one made for the question. The provider's code
 * stays where it is as long as the process lives. */
static LPFN_GETACCEPTEXSOCKADDRS mswsock_get_sockaddrs(void)
{
    static _Atomic(LPFN_GETACCEPTEXSOCKADDRS) found; /* partner: other threads that ask */
    LPFN_GETACCEPTEXSOCKADDRS function = atomic_load_explicit(&found, memory_order_relaxed);
    if (function == NULL) {
        SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
        if (s != INVALID_SOCKET) {
            (void)mswsock_find(s, (GUID)WSAID_GETACCEPTEXSOCKADDRS, &function, sizeof(function));
            (void)closesocket(s);
        }
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    return function;
}

VOID WINAPI GetAcceptExSockaddrs(PVOID output, DWORD data_bytes, DWORD local_bytes,
                                 DWORD remote_bytes, struct sockaddr **local, LPINT local_length,
                                 struct sockaddr **remote, LPINT remote_length)
{
    LPFN_GETACCEPTEXSOCKADDRS function = mswsock_get_sockaddrs();
    if (function != NULL) {
        function(output, data_bytes, local_bytes, remote_bytes, local, local_length, remote,
                 remote_length);
    }
}
