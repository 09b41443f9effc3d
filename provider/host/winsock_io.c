/*
 * The Winsock API's sending and receiving, on the provider's table. Any thread.
 */
#include "provider/host/winsock_internal.h"

/* ---- the thread that a completion routine belongs to ---- */

/* A provider keeps the identifier until the routine is queued, so it is good as long as its thread
 * is, and closed with it. */
static DWORD io_slot = FLS_OUT_OF_INDEXES;
static INIT_ONCE io_once = INIT_ONCE_STATIC_INIT;

static void CALLBACK io_thread_end(void *value)
{
    WSATHREADID thread = {.ThreadHandle = value};
    int error = 0;
    (void)WPUCloseThread(&thread, &error);
}

static BOOL CALLBACK io_make_slot(PINIT_ONCE once, void *parameter, void **context)
{
    (void)once, (void)parameter, (void)context;
    io_slot = FlsAlloc(io_thread_end);
    return io_slot != FLS_OUT_OF_INDEXES;
}

/* NULL: without a routine, or when the provider may ask the system itself. */
static LPWSATHREADID io_thread(WSATHREADID *storage, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    int error = 0;
    if (routine == NULL || !InitOnceExecuteOnce(&io_once, io_make_slot, NULL, NULL)) {
        return NULL;
    }
    *storage = (WSATHREADID){.ThreadHandle = FlsGetValue(io_slot)};
    if (storage->ThreadHandle == NULL) {
        if (WPUOpenCurrentThread(storage, &error) != 0) {
            return NULL;
        }
        if (!FlsSetValue(io_slot, storage->ThreadHandle)) {
            (void)WPUCloseThread(storage, &error);
            return NULL;
        }
    }
    return storage;
}

/* ---- send ---- */

int WSAAPI WSASend(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD sent, DWORD flags,
                   LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    WSATHREADID storage;
    if (table == NULL) {
        return SOCKET_ERROR;
    }
    LPWSATHREADID thread = io_thread(&storage, routine);
    int result = table->lpWSPSend(s, buffers, buffer_count, sent, flags, overlapped, routine,
                                  thread, &error);
    return winsock_result(result, &error);
}

int WSAAPI WSASendTo(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD sent, DWORD flags,
                     const struct sockaddr *to, int to_bytes, LPWSAOVERLAPPED overlapped,
                     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    WSATHREADID storage;
    if (table == NULL) {
        return SOCKET_ERROR;
    }
    LPWSATHREADID thread = io_thread(&storage, routine);
    int result = table->lpWSPSendTo(s, buffers, buffer_count, sent, flags, to, to_bytes, overlapped,
                                    routine, thread, &error);
    return winsock_result(result, &error);
}

int WSAAPI send(SOCKET s, const char *data, int length_bytes, int flags)
{
    return sendto(s, data, length_bytes, flags, NULL, 0);
}

int WSAAPI sendto(SOCKET s, const char *data, int length_bytes, int flags,
                  const struct sockaddr *to, int to_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    DWORD sent = 0;
    int error = 0;
    if (table == NULL) {
        return SOCKET_ERROR;
    }
    if (length_bytes < 0) {
        return winsock_fail(WSAEFAULT);
    }
    WSABUF buffer = {.len = (u_long)length_bytes, .buf = (char *)(ULONG_PTR)data};
    int result =
        to == NULL ? table->lpWSPSend(s, &buffer, 1, &sent, (DWORD)flags, NULL, NULL, NULL, &error)
                   : table->lpWSPSendTo(s, &buffer, 1, &sent, (DWORD)flags, to, to_bytes, NULL,
                                        NULL, NULL, &error);
    return result == SOCKET_ERROR ? winsock_fail(error) : (int)sent;
}

/* ---- receive ---- */

int WSAAPI WSARecv(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received, LPDWORD flags,
                   LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    WSATHREADID storage;
    if (table == NULL) {
        return SOCKET_ERROR;
    }
    LPWSATHREADID thread = io_thread(&storage, routine);
    int result = table->lpWSPRecv(s, buffers, buffer_count, received, flags, overlapped, routine,
                                  thread, &error);
    return winsock_result(result, &error);
}

int WSAAPI WSARecvFrom(SOCKET s, LPWSABUF buffers, DWORD buffer_count, LPDWORD received,
                       LPDWORD flags, struct sockaddr *from, LPINT from_bytes,
                       LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    WSATHREADID storage;
    if (table == NULL) {
        return SOCKET_ERROR;
    }
    LPWSATHREADID thread = io_thread(&storage, routine);
    int result = table->lpWSPRecvFrom(s, buffers, buffer_count, received, flags, from, from_bytes,
                                      overlapped, routine, thread, &error);
    return winsock_result(result, &error);
}

int WSAAPI recv(SOCKET s, char *data, int length_bytes, int flags)
{
    return recvfrom(s, data, length_bytes, flags, NULL, NULL);
}

int WSAAPI recvfrom(SOCKET s, char *data, int length_bytes, int flags, struct sockaddr *from,
                    int *from_bytes)
{
    const WSPPROC_TABLE *table = winsock_table();
    DWORD received = 0;
    DWORD flag_word = (DWORD)flags;
    int error = 0;
    if (table == NULL) {
        return SOCKET_ERROR;
    }
    if (length_bytes < 0) {
        return winsock_fail(WSAEFAULT);
    }
    WSABUF buffer = {.len = (u_long)length_bytes, .buf = data};
    int result = from == NULL ? table->lpWSPRecv(s, &buffer, 1, &received, &flag_word, NULL, NULL,
                                                 NULL, &error)
                              : table->lpWSPRecvFrom(s, &buffer, 1, &received, &flag_word, from,
                                                     from_bytes, NULL, NULL, NULL, &error);
    return result == SOCKET_ERROR ? winsock_fail(error) : (int)received;
}

WINBOOL WSAAPI WSAGetOverlappedResult(SOCKET s, LPWSAOVERLAPPED overlapped, LPDWORD transferred,
                                      WINBOOL wait, LPDWORD flags)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    if (table == NULL) {
        return FALSE;
    }
    if (!table->lpWSPGetOverlappedResult(s, overlapped, transferred, wait, flags, &error)) {
        SetLastError((DWORD)error);
        return FALSE;
    }
    return TRUE;
}

HANDLE WINAPI host_completion_port(HANDLE file, HANDLE existing, ULONG_PTR key, DWORD threads)
{
    DWORD_PTR context;
    if (host_handle_context((SOCKET)file, &context) != 0) {
        return CreateIoCompletionPort(file, existing, key, threads);
    }
    HANDLE port = existing != NULL ? existing
                                   : CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, threads);
    if (port == NULL) {
        return NULL;
    }
    if (host_handle_set_port((SOCKET)file, port, key) != 0) {
        if (existing == NULL) {
            CloseHandle(port);
        }
        SetLastError(ERROR_INVALID_PARAMETER); /* as for any handle that has a port */
        return NULL;
    }
    return port;
}

/* ---- event objects: the system's, with Winsock's results ---- */

WSAEVENT WSAAPI WSACreateEvent(void)
{
    int error = 0;
    WSAEVENT event = WPUCreateEvent(&error);
    if (event == WSA_INVALID_EVENT) {
        SetLastError((DWORD)error);
    }
    return event;
}

WINBOOL WSAAPI WSACloseEvent(WSAEVENT event)
{
    return CloseHandle(event);
}

WINBOOL WSAAPI WSASetEvent(WSAEVENT event)
{
    return SetEvent(event);
}

WINBOOL WSAAPI WSAResetEvent(WSAEVENT event)
{
    return ResetEvent(event);
}

DWORD WSAAPI WSAWaitForMultipleEvents(DWORD count, const WSAEVENT *events, WINBOOL all,
                                      DWORD timeout_ms, WINBOOL alertable)
{
    return WaitForMultipleObjectsEx(count, events, all, timeout_ms, alertable);
}
