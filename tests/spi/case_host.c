/*
 * Cases of the host: the 15 upcalls and WPUCompleteOverlappedRequest, as a provider meets them.
 */
#include <string.h>

#include "tests/spi/spi_test.h"

static WSPUPCALLTABLE up(void)
{
    WSPUPCALLTABLE table;
    host_fill_upcalls(&table);
    return table;
}

CASE(host, upcalls_15, "the upcall table has 15 members and none is missing")
{
    WSPUPCALLTABLE table = up();
    void *members[15];
    assert_int_equal(sizeof(table), sizeof(members));
    memcpy(members, &table, sizeof(members));
    for (unsigned i = 0; i < 15; i++) {
        assert_non_null(members[i]);
    }
}

CASE(host, upcalls_events, "events: created unset, set, reset, closed; a bad one is an error")
{
    WSPUPCALLTABLE table = up();
    WSAEVENT event = table.lpWPUCreateEvent(&spi_error);
    assert_non_null(event);
    assert_int_equal(WaitForSingleObject(event, 0), WAIT_TIMEOUT);
    assert_true(table.lpWPUSetEvent(event, &spi_error));
    assert_int_equal(WaitForSingleObject(event, 0), WAIT_OBJECT_0);
    assert_int_equal(WaitForSingleObject(event, 0), WAIT_OBJECT_0); /* manual reset */
    assert_true(table.lpWPUResetEvent(event, &spi_error));
    assert_int_equal(WaitForSingleObject(event, 0), WAIT_TIMEOUT);
    assert_true(table.lpWPUCloseEvent(event, &spi_error));
    assert_false(table.lpWPUSetEvent(NULL, &spi_error));
    assert_int_equal(spi_error, WSA_INVALID_HANDLE);
}

CASE(host, upcalls_handle, "a socket handle is a kernel handle with the provider's context")
{
    WSPUPCALLTABLE table = up();
    DWORD_PTR context = 0;
    DWORD flags = 0;
    SOCKET s = table.lpWPUCreateSocketHandle(HOST_CATALOG_ID, 4711, &spi_error);
    assert_true(s != INVALID_SOCKET);
    assert_true(GetHandleInformation((HANDLE)s, &flags));
    OK(table.lpWPUQuerySocketHandleContext(s, &context, &spi_error));
    assert_int_equal(context, 4711);
    OK(table.lpWPUCloseSocketHandle(s, &spi_error));
    FAILS(WSAENOTSOCK, table.lpWPUQuerySocketHandleContext(s, &context, &spi_error));
    FAILS(WSAENOTSOCK, table.lpWPUCloseSocketHandle(s, &spi_error));
}

CASE(host, upcalls_handles, "5000 handles are found again, and none is left")
{
    enum { COUNT = 5000 };
    WSPUPCALLTABLE table = up();
    static SOCKET all[COUNT];
    unsigned before = host_handle_count();
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = table.lpWPUCreateSocketHandle(HOST_CATALOG_ID, i, &spi_error);
        assert_true(all[i] != INVALID_SOCKET);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        DWORD_PTR context = 0;
        OK(table.lpWPUQuerySocketHandleContext(all[i], &context, &spi_error));
        assert_int_equal(context, i);
        OK(table.lpWPUCloseSocketHandle(all[i], &spi_error));
    }
    assert_int_equal(host_handle_count(), before);
}

CASE(host, upcalls_fdisset, "FDIsSet finds a socket by the set's count")
{
    WSPUPCALLTABLE table = up();
    fd_set set = {.fd_count = 2, .fd_array = {8, 12, 16}};
    assert_true(table.lpWPUFDIsSet(12, &set));
    assert_false(table.lpWPUFDIsSet(16, &set));
}

static DWORD_PTR apc_seen;
static void CALLBACK apc_routine(DWORD_PTR context)
{
    apc_seen = context;
}

CASE(host, upcalls_apc, "a queued routine runs in the thread's alertable wait, not before")
{
    WSPUPCALLTABLE table = up();
    WSATHREADID thread;
    apc_seen = 0;
    OK(table.lpWPUOpenCurrentThread(&thread, &spi_error));
    OK(table.lpWPUQueueApc(&thread, apc_routine, 77, &spi_error));
    assert_int_equal(apc_seen, 0);
    assert_int_equal(SleepEx(1000, TRUE), WAIT_IO_COMPLETION);
    assert_int_equal(apc_seen, 77);
    OK(table.lpWPUCloseThread(&thread, &spi_error));
}

CASE(host, upcalls_path, "the provider's path, and WSAEFAULT with the length when it is too small")
{
    WSPUPCALLTABLE table = up();
    WCHAR path[MAX_PATH];
    int chars = 1;
    FAILS(WSAEFAULT,
          table.lpWPUGetProviderPath(&provider.info.ProviderId, path, &chars, &spi_error));
    assert_int_equal(chars, wcslen(provider.path) + 1);
    OK(table.lpWPUGetProviderPath(&provider.info.ProviderId, path, &chars, &spi_error));
    assert_int_equal(wcscmp(path, provider.path), 0);
}

CASE(host, upcalls_blocking, "there is no blocking hook")
{
    WSPUPCALLTABLE table = up();
    LPBLOCKINGCALLBACK callback = (LPBLOCKINGCALLBACK)(void *)8;
    DWORD_PTR context = 8;
    OK(table.lpWPUQueryBlockingCallback(HOST_CATALOG_ID, &callback, &context, &spi_error));
    assert_true(callback == NULL);
    assert_int_equal(context, 0);
}

CASE(host, upcalls_ifs, "a provider without file system handles cannot modify one")
{
    WSPUPCALLTABLE table = up();
    FAILS(WSAEINVAL, (int)table.lpWPUModifyIFSHandle(HOST_CATALOG_ID, 8, &spi_error));
}

/* ---- overlapped completion ---- */

CASE(WPUCompleteOverlappedRequest, complete_event, "results are stored and the event is set")
{
    SOCKET s = WPUCreateSocketHandle(HOST_CATALOG_ID, 0, &spi_error);
    WSAOVERLAPPED overlapped = {.Internal = WSS_OPERATION_IN_PROGRESS,
                                .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    OK(WPUCompleteOverlappedRequest(s, &overlapped, 0, 1234, &spi_error));
    assert_int_equal(overlapped.Internal, 0);
    assert_int_equal(overlapped.InternalHigh, 1234);
    assert_int_equal(WaitForSingleObject(overlapped.hEvent, 0), WAIT_OBJECT_0);
    CloseHandle(overlapped.hEvent);
    OK(WPUCloseSocketHandle(s, &spi_error));
}

CASE(WPUCompleteOverlappedRequest, complete_port, "a packet with bytes and key goes to the port")
{
    DWORD bytes = 0;
    ULONG_PTR key = 0;
    LPOVERLAPPED back = NULL;
    WSAOVERLAPPED overlapped = {.Internal = WSS_OPERATION_IN_PROGRESS};
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    SOCKET s = WPUCreateSocketHandle(HOST_CATALOG_ID, 0, &spi_error);
    assert_int_equal(host_handle_set_port(s, port, 99), 0);
    assert_int_equal(host_handle_set_port(s, port, 98), WSAEINVAL);
    OK(WPUCompleteOverlappedRequest(s, &overlapped, 0, 55, &spi_error));
    assert_true(GetQueuedCompletionStatus(port, &bytes, &key, &back, 1000));
    assert_int_equal(bytes, 55);
    assert_int_equal(key, 99);
    assert_ptr_equal(back, &overlapped);
    CloseHandle(port);
    OK(WPUCloseSocketHandle(s, &spi_error));
}

CASE(WPUCompleteOverlappedRequest, complete_tagged, "an event with its low bit set bars the port")
{
    DWORD bytes = 0;
    ULONG_PTR key = 0;
    LPOVERLAPPED back = NULL;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    WSAOVERLAPPED overlapped = {.Internal = WSS_OPERATION_IN_PROGRESS,
                                .hEvent = (HANDLE)((ULONG_PTR)event | 1)};
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    SOCKET s = WPUCreateSocketHandle(HOST_CATALOG_ID, 0, &spi_error);
    assert_int_equal(host_handle_set_port(s, port, 99), 0);
    OK(WPUCompleteOverlappedRequest(s, &overlapped, 0, 55, &spi_error));
    assert_int_equal(WaitForSingleObject(event, 0), WAIT_OBJECT_0);
    assert_false(GetQueuedCompletionStatus(port, &bytes, &key, &back, 0));
    CloseHandle(port);
    CloseHandle(event);
    OK(WPUCloseSocketHandle(s, &spi_error));
}

CASE(WPUCompleteOverlappedRequest, complete_error, "an error is told as a status, never as success")
{
    SOCKET s = WPUCreateSocketHandle(HOST_CATALOG_ID, 0, &spi_error);
    WSAOVERLAPPED overlapped = {.Internal = WSS_OPERATION_IN_PROGRESS};
    OK(WPUCompleteOverlappedRequest(s, &overlapped, WSAECONNRESET, 0, &spi_error));
    assert_int_equal(overlapped.Internal & 0xffffu, WSAECONNRESET);
    assert_true((overlapped.Internal & 0xc0000000u) == 0xc0000000u);
    OK(WPUCloseSocketHandle(s, &spi_error));
    FAILS(WSAENOTSOCK, WPUCompleteOverlappedRequest(s, &overlapped, 0, 0, &spi_error));
}

CASE(WPUCompleteOverlappedRequest, complete_port_error, "a failed request's packet says so")
{
    DWORD bytes = 77;
    ULONG_PTR key = 0;
    LPOVERLAPPED back = NULL;
    WSAOVERLAPPED overlapped = {.Internal = WSS_OPERATION_IN_PROGRESS};
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    SOCKET s = WPUCreateSocketHandle(HOST_CATALOG_ID, 0, &spi_error);
    assert_int_equal(host_handle_set_port(s, port, 99), 0);
    OK(WPUCompleteOverlappedRequest(s, &overlapped, WSA_OPERATION_ABORTED, 5, &spi_error));
    assert_false(GetQueuedCompletionStatus(port, &bytes, &key, &back, 1000));
    assert_int_equal(GetLastError(), WSA_OPERATION_ABORTED);
    assert_int_equal(bytes, 5);
    assert_int_equal(key, 99);
    assert_ptr_equal(back, &overlapped);
    CloseHandle(port);
    OK(WPUCloseSocketHandle(s, &spi_error));
}
