/*
 * The 15 upcalls, and WPUCompleteOverlappedRequest, which is not one of them but an export of
 * ws2_32. Called by the provider on any thread.
 */
#include "provider/host/host.h"

#include <string.h>

/* ntdll's, in no header of MinGW: PostQueuedCompletionStatus with a status. */
NTSYSAPI LONG NTAPI NtSetIoCompletion(HANDLE port, ULONG_PTR key, ULONG_PTR overlapped, LONG status,
                                      ULONG_PTR transferred);

static WCHAR upcalls_path[MAX_PATH];

void host_set_provider_path(const WCHAR *path)
{
    wcsncpy(upcalls_path, path, MAX_PATH - 1);
}

static int upcall_fail(LPINT error, int code)
{
    *error = code;
    return SOCKET_ERROR;
}

/* A Windows call's BOOL to an upcall's. */
static WINBOOL upcall_bool(WINBOOL done, LPINT error)
{
    if (!done) {
        *error = WSA_INVALID_HANDLE;
    }
    return done;
}

/* ---- events ---- */

WSAEVENT WSPAPI WPUCreateEvent(LPINT error)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL); /* manual reset, as WSACreateEvent's */
    if (event == NULL) {
        *error = WSA_NOT_ENOUGH_MEMORY;
    }
    return event;
}

WINBOOL WSPAPI WPUCloseEvent(WSAEVENT event, LPINT error)
{
    return upcall_bool(CloseHandle(event), error);
}

WINBOOL WSPAPI WPUSetEvent(WSAEVENT event, LPINT error)
{
    return upcall_bool(SetEvent(event), error);
}

WINBOOL WSPAPI WPUResetEvent(WSAEVENT event, LPINT error)
{
    return upcall_bool(ResetEvent(event), error);
}

/* ---- socket handles ---- */

SOCKET WSPAPI WPUCreateSocketHandle(DWORD catalog_id, DWORD_PTR context, LPINT error)
{
    return host_handle_create(catalog_id, context, error);
}

int WSPAPI WPUCloseSocketHandle(SOCKET s, LPINT error)
{
    int code = host_handle_close(s);
    return code == 0 ? 0 : upcall_fail(error, code);
}

int WSPAPI WPUQuerySocketHandleContext(SOCKET s, PDWORD_PTR context, LPINT error)
{
    int code = host_handle_context(s, context);
    return code == 0 ? 0 : upcall_fail(error, code);
}

/* For providers whose sockets are handles of the file system; ours says it has none. */
SOCKET WSPAPI WPUModifyIFSHandle(DWORD catalog_id, SOCKET proposed, LPINT error)
{
    (void)catalog_id, (void)proposed;
    *error = WSAEINVAL;
    return INVALID_SOCKET;
}

int WSPAPI WPUFDIsSet(SOCKET s, fd_set *set)
{
    for (u_int i = 0; i < set->fd_count; i++) {
        if (set->fd_array[i] == s) {
            return 1;
        }
    }
    return 0;
}

/* ---- threads ---- */

int WSPAPI WPUOpenCurrentThread(LPWSATHREADID thread, LPINT error)
{
    if (!DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(),
                         &thread->ThreadHandle, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        return upcall_fail(error, WSASYSCALLFAILURE);
    }
    thread->Reserved = 0;
    return 0;
}

int WSPAPI WPUCloseThread(LPWSATHREADID thread, LPINT error)
{
    return CloseHandle(thread->ThreadHandle) ? 0 : upcall_fail(error, WSA_INVALID_HANDLE);
}

int WSPAPI WPUQueueApc(LPWSATHREADID thread, LPWSAUSERAPC routine, DWORD_PTR context, LPINT error)
{
    /* The two function types are one: (ULONG_PTR), CALLBACK. */
    return QueueUserAPC((PAPCFUNC)routine, thread->ThreadHandle, context) != 0
               ? 0
               : upcall_fail(error, WSAENOBUFS);
}

/* ---- messages, blocking hooks, paths ---- */

WINBOOL WSPAPI WPUPostMessage(HWND window, UINT message, WPARAM w, LPARAM l)
{
    return PostMessageW(window, message, w, l);
}

static __thread LPBLOCKINGCALLBACK upcalls_hook;
static __thread DWORD_PTR upcalls_hook_context;

LPBLOCKINGCALLBACK host_set_blocking_hook(LPBLOCKINGCALLBACK hook, DWORD_PTR context)
{
    LPBLOCKINGCALLBACK before = upcalls_hook;
    upcalls_hook = hook;
    upcalls_hook_context = context;
    return before;
}

int WSPAPI WPUQueryBlockingCallback(DWORD catalog_id, LPBLOCKINGCALLBACK *callback,
                                    PDWORD_PTR context, LPINT error)
{
    (void)catalog_id, (void)error;
    *callback = upcalls_hook;
    *context = upcalls_hook_context;
    return 0;
}

int WSPAPI WPUGetProviderPath(LPGUID provider, WCHAR *path, LPINT path_chars, LPINT error)
{
    (void)provider;
    int needed = (int)wcslen(upcalls_path) + 1;
    int room = *path_chars;
    *path_chars = needed;
    if (room < needed) {
        return upcall_fail(error, WSAEFAULT);
    }
    memcpy(path, upcalls_path, (size_t)needed * sizeof(WCHAR));
    return 0;
}

/* ---- overlapped completion ---- */

/* The status that GetOverlappedResult and the port's dequeue turn back into the same error: the
 * facility NTWIN32. */
static ULONG_PTR complete_status(DWORD error)
{
    return error == 0 ? 0 : (ULONG_PTR)(0xC0070000u | (error & 0xffffu));
}

/* The provider has set Offset (flags) and OffsetHigh (error). Internal is stored last, release: who
 * polls it finds the rest done. An event with its lowest bit set keeps the packet from the port. */
__declspec(dllexport) int WSPAPI
    WPUCompleteOverlappedRequest(SOCKET s, LPWSAOVERLAPPED overlapped, DWORD error_code,
                                 DWORD transferred, LPINT error)
{
    HANDLE port = NULL;
    ULONG_PTR key = 0;
    DWORD_PTR context;
    if (host_handle_context(s, &context) != 0) {
        return upcall_fail(error, WSAENOTSOCK);
    }
    ULONG_PTR event = (ULONG_PTR)overlapped->hEvent;
    bool to_port = host_handle_port(s, &port, &key) && (event & 1u) == 0;
    overlapped->InternalHigh = transferred;
    __atomic_store_n(&overlapped->Internal, complete_status(error_code), __ATOMIC_RELEASE);
    if ((event & ~(ULONG_PTR)1) != 0) {
        SetEvent((HANDLE)(event & ~(ULONG_PTR)1));
    }
    if (to_port && NtSetIoCompletion(port, key, (ULONG_PTR)overlapped,
                                     (LONG)complete_status(error_code), transferred) < 0) {
        return upcall_fail(error, WSAENOBUFS);
    }
    return 0;
}

void host_fill_upcalls(WSPUPCALLTABLE *out)
{
    *out = (WSPUPCALLTABLE){
        .lpWPUCloseEvent = WPUCloseEvent,
        .lpWPUCloseSocketHandle = WPUCloseSocketHandle,
        .lpWPUCreateEvent = WPUCreateEvent,
        .lpWPUCreateSocketHandle = WPUCreateSocketHandle,
        .lpWPUFDIsSet = WPUFDIsSet,
        .lpWPUGetProviderPath = WPUGetProviderPath,
        .lpWPUModifyIFSHandle = WPUModifyIFSHandle,
        .lpWPUPostMessage = WPUPostMessage,
        .lpWPUQueryBlockingCallback = WPUQueryBlockingCallback,
        .lpWPUQuerySocketHandleContext = WPUQuerySocketHandleContext,
        .lpWPUQueueApc = WPUQueueApc,
        .lpWPUResetEvent = WPUResetEvent,
        .lpWPUSetEvent = WPUSetEvent,
        .lpWPUOpenCurrentThread = WPUOpenCurrentThread,
        .lpWPUCloseThread = WPUCloseThread,
    };
}
