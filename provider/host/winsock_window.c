/*
 * What the Winsock API has from Winsock 1.1 for programs with one thread and a window: network
 * events as messages, and blocking hooks. Any thread.
 */
#include "provider/host/winsock_internal.h"

#include <string.h>

/* ---- messages ---- */

int WSAAPI WSAAsyncSelect(SOCKET s, HWND window, u_int message, __LONG32 mask)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL
               ? SOCKET_ERROR
               : winsock_result(table->lpWSPAsyncSelect(s, window, message, mask, &error), &error);
}

/* ---- blocking hooks ---- */

static __thread unsigned event_blocking; /* hooks under way */

/* A hook of 1.1 is called until it says that it has nothing more to do. */
static WINBOOL CALLBACK event_hook(DWORD_PTR context)
{
    WINBOOL(WINAPI * hook)(void);
    memcpy(&hook, &context, sizeof(hook));
    event_blocking++;
    while (hook()) {
    }
    event_blocking--;
    return TRUE; /* WSACancelBlockingCall has told the provider */
}

static __thread FARPROC event_hook_set;

FARPROC WSAAPI WSASetBlockingHook(FARPROC hook)
{
    FARPROC before = event_hook_set;
    DWORD_PTR context;
    memcpy(&context, &hook, sizeof(context));
    event_hook_set = hook;
    (void)host_set_blocking_hook(hook != NULL ? event_hook : NULL, context);
    return before;
}

int WSAAPI WSAUnhookBlockingHook(void)
{
    (void)WSASetBlockingHook(NULL);
    return 0;
}

WINBOOL WSAAPI WSAIsBlocking(void)
{
    return event_blocking != 0;
}

int WSAAPI WSACancelBlockingCall(void)
{
    const WSPPROC_TABLE *table = winsock_table();
    int error = 0;
    return table == NULL ? SOCKET_ERROR
                         : winsock_result(table->lpWSPCancelBlockingCall(&error), &error);
}
