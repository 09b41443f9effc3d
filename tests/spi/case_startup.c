/*
 * Cases without a dataplane: WSPStartup, WSPCleanup, the table, WSPSocket's arguments, and what an
 * unknown handle gets from every entry.
 */
#include <string.h>

#include "tests/spi/spi_test.h"

static WSPUPCALLTABLE upcalls(void)
{
    WSPUPCALLTABLE table;
    host_fill_upcalls(&table);
    return table;
}

/* One more WSPStartup; balanced by the caller when it succeeds. */
static int startup(WORD version, WSPDATA *data, WSPPROC_TABLE *table)
{
    return provider.startup(version, data, &provider.info, upcalls(), table);
}

static void agree(WORD asked, WORD expected)
{
    WSPDATA data;
    WSPPROC_TABLE table;
    assert_int_equal(startup(asked, &data, &table), 0);
    assert_int_equal(data.wVersion, expected);
    assert_int_equal(data.wHighVersion, MAKEWORD(2, 2));
    OK(table.lpWSPCleanup(&spi_error));
}

CASE(WSPStartup, startup_fills, "all 30 entries of the table are filled")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    void *entries[30];
    memset(&table, 0, sizeof(table));
    assert_int_equal(sizeof(table), sizeof(entries));
    assert_int_equal(startup(MAKEWORD(2, 2), &data, &table), 0);
    memcpy(entries, &table, sizeof(entries));
    for (unsigned i = 0; i < 30; i++) {
        assert_non_null(entries[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_ptr_not_equal(entries[i], entries[k]);
        }
    }
    OK(table.lpWSPCleanup(&spi_error));
}

CASE(WSPStartup, startup_22, "version 2.2 asked, 2.2 agreed")
{
    agree(MAKEWORD(2, 2), MAKEWORD(2, 2));
}

CASE(WSPStartup, startup_20, "a lower version of the same table is agreed as asked")
{
    agree(MAKEWORD(2, 0), MAKEWORD(2, 0));
}

CASE(WSPStartup, startup_newer, "a higher version asked gets the highest there is")
{
    agree(MAKEWORD(2, 9), MAKEWORD(2, 2));
    agree(MAKEWORD(3, 0), MAKEWORD(2, 2));
}

CASE(WSPStartup, startup_11, "version 1.1 is refused with WSAVERNOTSUPPORTED")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    assert_int_equal(startup(MAKEWORD(1, 1), &data, &table), WSAVERNOTSUPPORTED);
    assert_int_equal(startup(0, &data, &table), WSAVERNOTSUPPORTED);
}

CASE(WSPStartup, startup_null_data, "no WSPDATA is WSAEFAULT, returned directly")
{
    WSPPROC_TABLE table;
    assert_int_equal(startup(MAKEWORD(2, 2), NULL, &table), WSAEFAULT);
    assert_int_equal(startup(MAKEWORD(2, 2), spi_bad_pointer(), &table), WSAEFAULT);
}

CASE(WSPStartup, startup_null_table, "no table is WSAEFAULT, returned directly")
{
    WSPDATA data;
    assert_int_equal(startup(MAKEWORD(2, 2), &data, NULL), WSAEFAULT);
    assert_int_equal(startup(MAKEWORD(2, 2), &data, spi_bad_pointer()), WSAEFAULT);
}

CASE(WSPStartup, startup_upcalls, "a host without socket handles is WSASYSNOTREADY")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    WSPUPCALLTABLE none = {0};
    assert_int_equal(provider.startup(MAKEWORD(2, 2), &data, &provider.info, none, &table),
                     WSASYSNOTREADY);
}

CASE(WSPStartup, startup_description, "WSPDATA carries a description")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    assert_int_equal(startup(MAKEWORD(2, 2), &data, &table), 0);
    assert_true(wcsstr(data.szDescription, L"Ringsock") != NULL);
    OK(table.lpWSPCleanup(&spi_error));
}

CASE(WSPStartup, startup_pinned, "the DLL stays when its host frees it")
{
    HMODULE module = NULL;
    for (int i = 0; i < 4; i++) {
        FreeLibrary(provider.dll);
    }
    assert_true(GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                       GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                                   (LPCWSTR)(void *)provider.dll, &module));
    assert_ptr_equal(module, provider.dll);
}

CASE(WSPCleanup, cleanup_counts, "each WSPStartup needs its WSPCleanup; the last one ends it")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    WCHAR text[32];
    DWORD chars = 32;
    SOCKADDR_IN in = spi_at("1.2.3.4", 5);
    assert_int_equal(startup(MAKEWORD(2, 2), &data, &table), 0);
    OK(TABLE->lpWSPCleanup(&spi_error));
    OK(TABLE->lpWSPAddressToString((LPSOCKADDR)&in, sizeof(in), NULL, text, &chars, &spi_error));
    OK(TABLE->lpWSPCleanup(&spi_error));
    FAILS(WSANOTINITIALISED, TABLE->lpWSPCleanup(&spi_error));
    chars = 32;
    FAILS(WSANOTINITIALISED,
          TABLE->lpWSPAddressToString((LPSOCKADDR)&in, sizeof(in), NULL, text, &chars, &spi_error));
    int in_bytes = sizeof(in);
    FAILS(WSANOTINITIALISED,
          TABLE->lpWSPStringToAddress(text, AF_INET, NULL, (LPSOCKADDR)&in, &in_bytes, &spi_error));
    FAILS(WSANOTINITIALISED,
          (int)TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, 0, &spi_error));
    FAILS(WSANOTINITIALISED, TABLE->lpWSPSelect(0, NULL, NULL, NULL, NULL, &spi_error));
    FAILS(WSANOTINITIALISED, TABLE->lpWSPCancelBlockingCall(&spi_error));
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
}

/* ---- versions and counts ---- */

CASE(WSPStartup, startup_versions,
     "of what is asked and 2.2 the lower one, from 2.0 on; below it is WSAVERNOTSUPPORTED")
{
    static const struct {
        BYTE asked[2], agreed[2]; /* agreed {0, 0}: refused */
    } versions[] = {{{0, 0}, {0, 0}},   {{0, 9}, {0, 0}},    {{1, 0}, {0, 0}}, {{1, 1}, {0, 0}},
                    {{1, 255}, {0, 0}}, {{2, 0}, {2, 0}},    {{2, 1}, {2, 1}}, {{2, 2}, {2, 2}},
                    {{2, 3}, {2, 2}},   {{2, 255}, {2, 2}},  {{3, 0}, {2, 2}}, {{3, 1}, {2, 2}},
                    {{255, 0}, {2, 2}}, {{255, 255}, {2, 2}}};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        WORD asked = MAKEWORD(versions[i].asked[0], versions[i].asked[1]);
        WORD agreed = MAKEWORD(versions[i].agreed[0], versions[i].agreed[1]);
        WSPDATA data;
        WSPPROC_TABLE table;
        if (agreed != 0) {
            agree(asked, agreed);
        } else {
            assert_int_equal(startup(asked, &data, &table), WSAVERNOTSUPPORTED);
        }
    }
}

static int text_error(void)
{
    WCHAR text[32];
    DWORD chars = 32;
    int error = 0;
    SOCKADDR_IN in = {.sin_family = AF_INET};
    return TABLE->lpWSPAddressToString((LPSOCKADDR)&in, sizeof(in), NULL, text, &chars, &error) == 0
               ? 0
               : error;
}

/* Takes away the case program's own WSPStartup, and looks whether it was the last one. */
static void was_the_last(void)
{
    int error = 0;
    int result = TABLE->lpWSPCleanup(&error);
    int after = text_error();
    while (TABLE->lpWSPCleanup(&error) == 0) { /* of a count that was wrong */
    }
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(result, 0);
    assert_int_equal(after, WSANOTINITIALISED);
}

CASE(WSPStartup, startup_failed, "one that fails counts for nothing")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    WSPUPCALLTABLE none = {0};
    assert_int_equal(startup(MAKEWORD(1, 1), &data, &table), WSAVERNOTSUPPORTED);
    assert_int_equal(startup(MAKEWORD(2, 2), NULL, &table), WSAEFAULT);
    assert_int_equal(startup(MAKEWORD(2, 2), &data, spi_read_only_page()), WSAEFAULT);
    assert_int_equal(startup(MAKEWORD(2, 2), spi_read_only_page(), &table), WSAEFAULT);
    assert_int_equal(provider.startup(MAKEWORD(2, 2), &data, spi_bad_pointer(), upcalls(), &table),
                     WSAEFAULT);
    assert_int_equal(provider.startup(MAKEWORD(2, 2), &data, &provider.info, none, &table),
                     WSASYSNOTREADY);
    was_the_last();
}

CASE(WSPStartup, startup_no_info, "without protocol information it starts as its first entry")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    assert_int_equal(provider.startup(MAKEWORD(2, 2), &data, NULL, upcalls(), &table), 0);
    OK(table.lpWSPCleanup(&spi_error));
}

CASE(WSPStartup, startup_deep, "a thousand deep, with different versions, and back")
{
    WSPDATA data;
    WSPPROC_TABLE table;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(startup(MAKEWORD(2, i % 3), &data, &table), 0);
        assert_int_equal(data.wVersion, MAKEWORD(2, i % 3));
    }
    for (unsigned i = 0; i < 1000; i++) {
        OK(table.lpWSPCleanup(&spi_error));
        assert_int_equal(text_error(), 0);
    }
    was_the_last();
}

static DWORD WINAPI start_and_clean(void *errors)
{
    for (unsigned i = 0; i < 300; i++) {
        WSPDATA data;
        WSPPROC_TABLE table;
        int ignored = 0;
        if (startup(MAKEWORD(2, 2), &data, &table) != 0 || text_error() != 0 ||
            table.lpWSPCleanup(&ignored) != 0) {
            InterlockedIncrement(errors);
        }
    }
    return 0;
}

/* Each thread's calls between its own WSPStartup and WSPCleanup work, whatever the others do. */
static LONG started_by_threads(void)
{
    volatile LONG errors = 0;
    HANDLE threads[4];
    for (unsigned i = 0; i < 4; i++) {
        threads[i] = CreateThread(NULL, 0, start_and_clean, (void *)(uintptr_t)&errors, 0, NULL);
        assert_non_null(threads[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(WaitForSingleObject(threads[i], 20000), WAIT_OBJECT_0);
        CloseHandle(threads[i]);
    }
    return errors;
}

CASE(WSPStartup, startup_threads, "threads start and clean up as they like: the count is right")
{
    assert_int_equal(started_by_threads(), 0);
    assert_int_equal(text_error(), 0);
    was_the_last();
}

CASE(WSPCleanup, cleanup_threads,
     "the last one of a thread may meet the first WSPStartup of another")
{
    OK(TABLE->lpWSPCleanup(&spi_error));
    LONG errors = started_by_threads();
    int after = text_error();
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(errors, 0);
    assert_int_equal(after, WSANOTINITIALISED);
}

/* ---- WSPSocket's arguments, checked before any dataplane is looked for ---- */

static void refused(int code, int family, int type, int protocol, DWORD flags)
{
    SOCKET s = TABLE->lpWSPSocket(family, type, protocol, &provider.info, 0, flags, &spi_error);
    assert_true(s == INVALID_SOCKET);
    assert_int_equal(spi_error, code);
}

CASE(WSPSocket, socket_family, "an address family it does not serve is WSAEAFNOSUPPORT")
{
    refused(WSAEAFNOSUPPORT, AF_IPX, SOCK_DGRAM, IPPROTO_UDP, 0);
    refused(WSAEAFNOSUPPORT, 4711, SOCK_DGRAM, 0, 0);
}

CASE(WSPSocket, socket_type, "a socket type it does not serve is WSAESOCKTNOSUPPORT")
{
    refused(WSAESOCKTNOSUPPORT, AF_INET, SOCK_RAW, IPPROTO_ICMP, 0);
    refused(WSAESOCKTNOSUPPORT, AF_INET, 4711, 0, 0);
}

CASE(WSPSocket, socket_prototype, "a protocol of another type is WSAEPROTOTYPE")
{
    refused(WSAEPROTOTYPE, AF_INET, SOCK_DGRAM, IPPROTO_TCP, 0);
    refused(WSAEPROTOTYPE, AF_INET, SOCK_STREAM, IPPROTO_UDP, 0);
}

CASE(WSPSocket, socket_protocol, "an unknown protocol is WSAEPROTONOSUPPORT")
{
    refused(WSAEPROTONOSUPPORT, AF_INET, SOCK_DGRAM, 99, 0);
    refused(WSAEPROTONOSUPPORT, AF_INET, SOCK_STREAM, IPPROTO_ICMP, 0);
}

CASE(WSPSocket, socket_root, "a multipoint root, which IP has none of, is WSAEINVAL")
{
    refused(WSAEINVAL, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSA_FLAG_MULTIPOINT_C_ROOT);
    refused(WSAEINVAL, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSA_FLAG_MULTIPOINT_D_ROOT);
}

CASE(WSPSocket, socket_stream_leaf, "a multipoint leaf of TCP is WSAEINVAL")
{
    refused(WSAEINVAL, AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_MULTIPOINT_C_LEAF);
    refused(WSAEINVAL, AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_MULTIPOINT_D_LEAF);
}

CASE(WSPSocket, socket_flags, "an unknown flag is WSAEINVAL")
{
    refused(WSAEINVAL, AF_INET, SOCK_DGRAM, IPPROTO_UDP, 0x80000000u);
}

CASE(WSPSocket, socket_rio, "registered I/O, not there yet, is WSAEOPNOTSUPP")
{
    refused(WSAEOPNOTSUPP, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSA_FLAG_REGISTERED_IO);
}

CASE(WSPSocket, socket_info_fault, "protocol information that cannot be read is WSAEFAULT")
{
    SOCKET s = TABLE->lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                                  spi_bad_pointer(), 0, 0, &spi_error);
    assert_true(s == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEFAULT);
}

CASE(WSPSocket, socket_duplicate,
     "a protocol information that no WSPDuplicateSocket gave is WSAEINVAL")
{
    WSAPROTOCOL_INFOW info = provider.info;
    info.dwProviderReserved = 1;
    SOCKET s = TABLE->lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info,
                                  0, 0, &spi_error);
    assert_true(s == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
}

CASE(WSPSocket, socket_net_down, "without a dataplane it is WSAENETDOWN, and nothing is left")
{
    unsigned handles = host_handle_count();
    refused(WSAENETDOWN, AF_INET, SOCK_DGRAM, IPPROTO_UDP, WSA_FLAG_OVERLAPPED);
    refused(WSAENETDOWN, AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED);
    assert_int_equal(host_handle_count(), handles);
}

/* ---- no socket ---- */

/* Every entry that takes a socket, on a handle that is none of ours. */
static void not_a_socket_alone(SOCKET s)
{
    DWORD dword = 0;
    int bytes = sizeof(dword);
    SOCKADDR_IN in = spi_at("127.0.0.1", 9);
    struct sockaddr *name = (struct sockaddr *)&in;
    int name_bytes = sizeof(in);
    WSABUF buffer = {.len = 4, .buf = (char *)&dword};
    WSAPROTOCOL_INFOW info;
    WSANETWORKEVENTS events;
    WSAOVERLAPPED overlapped = {0};
    DWORD flags = 0;
    FAILS(WSAENOTSOCK, (int)TABLE->lpWSPAccept(s, NULL, NULL, NULL, 0, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPAsyncSelect(s, NULL, 0, 0, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPBind(s, name, name_bytes, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPCloseSocket(s, &spi_error));
    FAILS(WSAENOTSOCK,
          TABLE->lpWSPConnect(s, name, name_bytes, NULL, NULL, NULL, NULL, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPDuplicateSocket(s, 1, &info, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPEnumNetworkEvents(s, NULL, &events, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPEventSelect(s, NULL, 0, &spi_error));
    FAILS(WSAENOTSOCK,
          TABLE->lpWSPGetOverlappedResult(s, &overlapped, &dword, FALSE, &flags, &spi_error) - 1);
    FAILS(WSAENOTSOCK, TABLE->lpWSPGetPeerName(s, name, &name_bytes, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPGetSockName(s, name, &name_bytes, &spi_error));
    FAILS(WSAENOTSOCK,
          TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_TYPE, (char *)&dword, &bytes, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPGetQOSByName(s, &buffer, NULL, &spi_error) - 1);
    FAILS(WSAENOTSOCK, TABLE->lpWSPIoctl(s, (DWORD)FIONBIO, &dword, 4, NULL, 0, &flags, NULL, NULL,
                                         NULL, &spi_error));
    FAILS(WSAENOTSOCK, (int)TABLE->lpWSPJoinLeaf(s, name, name_bytes, NULL, NULL, NULL, NULL,
                                                 JL_BOTH, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPListen(s, 1, &spi_error));
    FAILS(WSAENOTSOCK, spi_recv_one(s, &dword, 4, &flags, &dword));
    FAILS(WSAENOTSOCK, TABLE->lpWSPRecvDisconnect(s, NULL, &spi_error));
    FAILS(WSAENOTSOCK, spi_recv_from_one(s, &dword, 4, &in, &dword));
    FAILS(WSAENOTSOCK, spi_send_one(s, &dword, 4, 0, &dword));
    FAILS(WSAENOTSOCK, TABLE->lpWSPSendDisconnect(s, NULL, &spi_error));
    FAILS(WSAENOTSOCK, spi_send_to_one(s, &dword, 4, &in));
    FAILS(WSAENOTSOCK, spi_set_dword(s, SOL_SOCKET, SO_RCVBUF, 1));
    FAILS(WSAENOTSOCK, TABLE->lpWSPShutdown(s, SD_BOTH, &spi_error));
}

static void not_a_socket(SOCKET s)
{
    fd_set set = {.fd_count = 1, .fd_array = {s}};
    struct timeval now = {0};
    not_a_socket_alone(s);
    FAILS(WSAENOTSOCK, TABLE->lpWSPSelect(0, &set, NULL, NULL, &now, &spi_error));
}

CASE(table, notsock_invalid, "INVALID_SOCKET is WSAENOTSOCK in every entry that takes one")
{
    not_a_socket(INVALID_SOCKET);
}

CASE(WSPCleanup, cleanup_all,
     "behind the last WSPCleanup no entry works: no socket, and WSANOTINITIALISED without one")
{
    fd_set set = {.fd_count = 1, .fd_array = {4}};
    OK(TABLE->lpWSPCleanup(&spi_error));
    not_a_socket_alone(4);
    FAILS(WSANOTINITIALISED, TABLE->lpWSPSelect(0, &set, NULL, NULL, NULL, &spi_error));
    FAILS(WSANOTINITIALISED, TABLE->lpWSPCancelBlockingCall(&spi_error));
    FAILS(WSANOTINITIALISED, TABLE->lpWSPCleanup(&spi_error));
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
}

CASE(table, notsock_zero, "handle 0 is WSAENOTSOCK in every entry")
{
    not_a_socket(0);
}

CASE(table, notsock_foreign, "a handle that is something else is WSAENOTSOCK in every entry")
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    not_a_socket((SOCKET)event);
    not_a_socket((SOCKET)event | 1);
    CloseHandle(event);
}

CASE(table, export_one, "the DLL exports WSPStartup under its plain name")
{
    assert_non_null(GetProcAddress(provider.dll, "WSPStartup"));
    assert_null(GetProcAddress(provider.dll, "WSPStartup@76"));
    assert_null(GetProcAddress(provider.dll, (LPCSTR)2));
}
