/*
 * WSPAsyncSelect: network events (events.c) as window messages. Any thread.
 */
#include <string.h>

#include "provider/spi/events.h"

/* A program that has windows has loaded user32; the DLL itself must not load it for those that have
 * none. */
static bool async_is_window(HWND window)
{
    BOOL(WINAPI * is_window)(HWND);
    HMODULE user = GetModuleHandleW(L"user32.dll");
    FARPROC found = user != NULL ? GetProcAddress(user, "IsWindow") : NULL;
    if (found == NULL) {
        return false;
    }
    memcpy(&is_window, &found, sizeof(found));
    return is_window(window);
}

int WSPAPI spi_async_select(SOCKET s, HWND window, unsigned int message, long mask, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    const struct spi_event_target target = {.window = window, .message = message};
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = WSAEINVAL;
    if ((mask & ~(long)FD_ALL_EVENTS) == 0 && (mask == 0 || async_is_window(window))) {
        code = spi_events_select(socket, mask, &target);
    }
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}
