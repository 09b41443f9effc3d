/*
 * The Winsock API's sending and receiving, on the provider's table. Any thread.
 */
#include "provider/host/winsock_internal.h"

/* The thread that a completion routine belongs to, for calls that name one. */
static LPWSATHREADID io_thread(WSATHREADID *storage, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    int error = 0;
    return routine != NULL && WPUOpenCurrentThread(storage, &error) == 0 ? storage : NULL;
}

static void io_thread_done(LPWSATHREADID thread)
{
    int error = 0;
    if (thread != NULL) {
        (void)WPUCloseThread(thread, &error);
    }
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
    io_thread_done(thread);
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
    io_thread_done(thread);
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
    io_thread_done(thread);
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
    io_thread_done(thread);
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
