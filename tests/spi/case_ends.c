/*
 * Cases of calls that wait and end before their time: every one of ends_kit.c's table, and each way
 * to end that needs nothing of the dataplane.
 */
#include "tests/spi/ends_kit.h"
#include "tests/spi/overlapped_kit.h"

/* ---- another thread closes, cleans up, shuts down ---- */

static void closed(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    stream_begin(&call);
    stream_close(call.s);
    ends_with(&call, ENDS_ROW, ENDS_ROW->closed);
}

static void cleaned(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    stream_begin(&call);
    int error = 0;
    int cleaned_up = TABLE->lpWSPCleanup(&error);
    unsigned handles = host_handle_count();
    spi_forget_all();
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(cleaned_up, 0);
    assert_int_equal(handles, 0);
    error = stream_finish(&call);
    /* The other end of a connection is closed, too, maybe before. */
    if (error != ENDS_ROW->cleaned && !ends_late(ENDS_ROW, error) && error != 0 &&
        error != WSAECONNRESET) {
        fail_msg("the call ended with error %d, %d expected", error, ENDS_ROW->cleaned);
    }
}

static void shut(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    stream_begin(&call);
    (void)TABLE->lpWSPShutdown(call.s, SD_BOTH, &spi_error);
    if (ENDS_ROW->shut >= 0) {
        assert_int_equal(stream_finish(&call), ENDS_ROW->shut);
        if (call.kind == CALL_SELECT) {
            assert_int_equal(call.count, 1); /* not its time-out */
        }
        return;
    }
    DWORD early = WaitForSingleObject(call.thread, 30);
    stream_close(call.s);
    ends_with(&call, ENDS_ROW, ENDS_ROW->closed);
    assert_int_equal(early, WAIT_TIMEOUT);
}

/* ---- WSPCancelBlockingCall ---- */

static unsigned hook_calls;

static BOOL CALLBACK hook_run(DWORD_PTR context)
{
    int error;
    (void)context;
    return ++hook_calls < 2 || TABLE->lpWSPCancelBlockingCall(&error) == 0;
}

static void cancelled(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    hook_calls = 0;
    (void)host_set_blocking_hook(hook_run, 0);
    int error = stream_run(&call);
    (void)host_set_blocking_hook(NULL, 0);
    assert_int_equal(error, ENDS_ROW->cancelled);
    assert_int_equal(hook_calls, 2);
}

__attribute__((constructor)) static void register_all(void)
{
    enum { ROWS_MOST = 64 };
    static struct ends_row hooked[ROWS_MOST];
    unsigned hooked_count = 0;
    for (unsigned i = 0; i < ends_row_count && i < ROWS_MOST; i++) {
        if (ends_rows[i].cancelled != ENDS_NOT) {
            hooked[hooked_count++] = ends_rows[i];
        }
    }
    ends_add(ends_rows, ends_row_count, "and another thread closes its socket", closed);
    ends_add(ends_rows, ends_row_count, "and another thread calls the last WSPCleanup", cleaned);
    ends_add(ends_rows, ends_row_count, "and another thread shuts its socket down", shut);
    ends_add(hooked, hooked_count, "and its hook calls WSPCancelBlockingCall", cancelled);
}

/* ---- closing that waits: SO_LINGER ---- */

static struct stream_call lingering(SOCKET *peer)
{
    struct stream_pair pair = stream_connected_apart();
    (void)stream_fill(pair.client);
    OK(spi_ioctl_in(pair.client, (DWORD)FIONBIO, 0));
    OK(stream_linger(pair.client, 1, 60));
    spi_forget(pair.client);
    *peer = pair.server;
    return (struct stream_call){.kind = CALL_CLOSE, .s = pair.client};
}

CASE(WSPCloseSocket, linger_again, "one that lingers: the socket is none any more, for all others")
{
    SOCKET peer;
    char byte;
    DWORD got;
    struct stream_call call = lingering(&peer);
    stream_begin(&call);
    FAILS(WSAENOTSOCK, TABLE->lpWSPCloseSocket(call.s, &spi_error));
    FAILS(WSAENOTSOCK, TABLE->lpWSPShutdown(call.s, SD_BOTH, &spi_error));
    FAILS(WSAENOTSOCK, stream_recv(call.s, &byte, 1, 0, &got));
    stream_abort(peer);
    assert_int_equal(stream_finish(&call), 0);
}

CASE(WSPCleanup, linger_cleaned, "a close that lingers in another thread ends, and leaves nothing")
{
    SOCKET peer;
    struct stream_call call = lingering(&peer);
    stream_begin(&call);
    int cleaned_up = TABLE->lpWSPCleanup(&spi_error); /* closes the peer, too */
    spi_forget_all();
    int error = stream_finish(&call);
    unsigned handles = host_handle_count();
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(cleaned_up, 0);
    assert_int_equal(error, 0);
    assert_int_equal(handles, 0);
}

/* ---- what a receive has got ---- */

CASE(WSPRecv, waitall_kept, "MSG_WAITALL behind an overlapped one: what it has got is not lost")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op before;
    struct stream_call call = {
        .kind = CALL_RECV, .s = pair.server, .flags = MSG_WAITALL, .bytes = 8};
    overlapped_make(&before);
    before.buffer.len = 1;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVTIMEO, 300));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &before));
    stream_begin(&call);
    stream_send(pair.client, "1234");
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, 3);
    assert_memory_equal(call.data, "234", 3);
    overlapped_ends(pair.server, &before, 0);
    overlapped_drop(&before);
}

/* ---- the last WSPCleanup while a socket is being made ---- */

static DWORD WINAPI cleanup_thread(void *error)
{
    return (DWORD)TABLE->lpWSPCleanup(error);
}

static DWORD cleanup_result;

/* Inside the call: its handle is made, and not known yet. */
static void cleanup_now(void)
{
    int error = 0;
    host_handle_made = NULL;
    HANDLE thread = CreateThread(NULL, 0, cleanup_thread, &error, 0, NULL);
    cleanup_result = WaitForSingleObject(thread, 10000);
    if (cleanup_result == WAIT_OBJECT_0) {
        GetExitCodeThread(thread, &cleanup_result);
    }
    CloseHandle(thread);
}

/* Behind the call. */
static void nothing_is_left(SOCKET made, int error)
{
    unsigned handles = host_handle_count();
    spi_forget_all();
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(cleanup_result, 0);
    assert_true(made == INVALID_SOCKET);
    assert_int_equal(error, WSANOTINITIALISED);
    assert_int_equal(handles, 0);
}

CASE(WSPSocket, cleaned_between, "the last WSPCleanup comes first: WSANOTINITIALISED, no socket")
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    int error = 0;
    host_handle_made = cleanup_now;
    SOCKET s = TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0, WSA_FLAG_OVERLAPPED,
                                  &error);
    nothing_is_left(s, error);
}

CASE(WSPAccept, cleaned_between_accept,
     "the last WSPCleanup comes first: WSANOTINITIALISED, no socket")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    int error = 0;
    OK(spi_connect_to(stream_new(), &at));
    stream_await(listener, READ);
    host_handle_made = cleanup_now;
    SOCKET s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &error);
    nothing_is_left(s, error);
}

CASE(WSPCleanup, nested_sockets, "one that is not the last leaves sockets and calls as they are")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server};
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    SOCKET inner = stream_new();
    stream_begin(&call);
    OK(TABLE->lpWSPCleanup(&spi_error));
    stream_send(pair.client, "x");
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.data[0], 'x');
    OK(spi_connect_to(inner, &pair.at)); /* nor those of the inner WSPStartup */
}
