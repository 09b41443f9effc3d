/*
 * Cases of SIO_IDEAL_SEND_BACKLOG_QUERY and SIO_IDEAL_SEND_BACKLOG_CHANGE, by their pages: on a
 * local connection, whose ideal send backlog is the room the other end has; a send that nobody
 * reads makes it less.
 */
#include "provider/spi/option_names.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/stream_kit.h"

static int ideal_backlog(SOCKET s, void *out, DWORD bytes, DWORD *returned)
{
    return TABLE->lpWSPIoctl(s, SIO_IDEAL_SEND_BACKLOG_QUERY, NULL, 0, out, bytes, returned, NULL,
                             NULL, NULL, &spi_error);
}

static int change(SOCKET s, struct overlapped_op *op, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    DWORD returned = 77;
    WSATHREADID thread = overlapped_thread();
    int result = TABLE->lpWSPIoctl(s, SIO_IDEAL_SEND_BACKLOG_CHANGE, NULL, 0, NULL, 0, &returned,
                                   op != NULL ? &op->o : NULL, routine,
                                   routine != NULL ? &thread : NULL, &spi_error);
    assert_int_equal(returned, result != 0 && spi_error == WSA_IO_PENDING ? 77 : 0);
    return result;
}

static void change_waits(SOCKET s, struct overlapped_op *op,
                         LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    overlapped_make(op);
    FAILS(WSA_IO_PENDING, change(s, op, routine));
}

CASE(WSPIoctl, tcp_ideal_backlog, "SIO_IDEAL_SEND_BACKLOG_QUERY: bytes, of a connection only")
{
    ULONG bytes = 0;
    DWORD returned = 0;
    struct stream_pair pair = stream_connected();
    OK(ideal_backlog(pair.client, &bytes, sizeof(bytes), &returned));
    assert_int_equal(returned, sizeof(bytes));
    assert_true(bytes > 0 && bytes <= 16u << 20);
    FAILS(WSAENOTCONN, ideal_backlog(stream_new(), &bytes, sizeof(bytes), &returned));
    FAILS(WSAENOTCONN, ideal_backlog(pair.listener, &bytes, sizeof(bytes), &returned));
    FAILS(WSAEINVAL, ideal_backlog(pair.client, &bytes, sizeof(bytes) - 1, &returned));
    FAILS(WSAEFAULT, ideal_backlog(pair.client, spi_bad_pointer(), sizeof(bytes), &returned));
}

CASE(WSPIoctl, tcp_ideal_backlog_change,
     "SIO_IDEAL_SEND_BACKLOG_CHANGE overlapped pends until the value changes")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    ULONG before = 0;
    ULONG after = 0;
    DWORD returned = 0;
    overlapped_make(&op);
    OK(ideal_backlog(pair.client, &before, sizeof(before), &returned));
    FAILS(WSA_IO_PENDING, change(pair.client, &op, NULL));
    /* the helper looks every 100 ms: two looks find nothing */
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 250), WAIT_TIMEOUT);
    assert_true(overlapped_pending(&op));
    stream_send(pair.client, "not read");
    overlapped_ends(pair.client, &op, 0);
    assert_int_equal(op.transferred, 0);
    OK(ideal_backlog(pair.client, &after, sizeof(after), &returned));
    assert_int_not_equal(before, after);
    overlapped_drop(&op);
}

CASE(WSPIoctl, tcp_ideal_backlog_routine,
     "SIO_IDEAL_SEND_BACKLOG_CHANGE: its completion routine is called once")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    change_waits(pair.client, &op, overlapped_routine);
    stream_send(pair.client, "not read");
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_calls, 1);
    assert_int_equal(op.routine_code, 0);
    assert_int_equal(op.routine_bytes, 0);
    overlapped_drop(&op);
}

struct waiter {
    SOCKET s;
    int result;
};

static DWORD WINAPI waiter_run(void *arg)
{
    struct waiter *waiter = arg;
    DWORD returned = 0;
    INT error = 0;
    waiter->result = TABLE->lpWSPIoctl(waiter->s, SIO_IDEAL_SEND_BACKLOG_CHANGE, NULL, 0, NULL, 0,
                                       &returned, NULL, NULL, NULL, &error);
    return 0;
}

CASE(WSPIoctl, tcp_ideal_backlog_blocks,
     "SIO_IDEAL_SEND_BACKLOG_CHANGE that is not overlapped waits")
{
    struct stream_pair pair = stream_connected();
    struct waiter waiter = {.s = pair.client, .result = SOCKET_ERROR};
    HANDLE thread = CreateThread(NULL, 0, waiter_run, &waiter, 0, NULL);
    assert_non_null(thread);
    assert_int_equal(WaitForSingleObject(thread, 250), WAIT_TIMEOUT);
    /* It may have begun only now: a change before counts for nothing. */
    for (int i = 0; i < 50 && WaitForSingleObject(thread, 200) == WAIT_TIMEOUT; i++) {
        stream_send(pair.client, "not read");
    }
    assert_int_equal(WaitForSingleObject(thread, OVERLAPPED_SOON_MS), WAIT_OBJECT_0);
    CloseHandle(thread);
    assert_int_equal(waiter.result, 0);
}

CASE(WSPIoctl, tcp_ideal_backlog_nonblocking,
     "SIO_IDEAL_SEND_BACKLOG_CHANGE of a non-blocking socket is WSAEWOULDBLOCK")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    spi_nonblocking(pair.client);
    FAILS(WSAEWOULDBLOCK, change(pair.client, NULL, NULL));
    change_waits(pair.client, &op, NULL);
    stream_send(pair.client, "not read");
    overlapped_ends(pair.client, &op, 0);
    overlapped_drop(&op);
}

CASE(
    WSPIoctl, tcp_ideal_backlog_refused,
    "SIO_IDEAL_SEND_BACKLOG_CHANGE: WSAENOTCONN without a connection, WSAEOPNOTSUPP for datagrams, "
    "WSAEINVAL with an output buffer")
{
    ULONG bytes = 0;
    DWORD returned = 0;
    struct stream_pair pair = stream_connected();
    FAILS(WSAENOTCONN, change(stream_new(), NULL, NULL));
    FAILS(WSAENOTCONN, change(pair.listener, NULL, NULL));
    FAILS(WSAEOPNOTSUPP, change(spi_udp(), NULL, NULL));
    FAILS(WSAEINVAL, TABLE->lpWSPIoctl(pair.client, SIO_IDEAL_SEND_BACKLOG_CHANGE, NULL, 0, &bytes,
                                       sizeof(bytes), &returned, NULL, NULL, NULL, &spi_error));
}

CASE(WSPIoctl, tcp_ideal_backlog_closed,
     "SIO_IDEAL_SEND_BACKLOG_CHANGE: closing the socket is WSA_OPERATION_ABORTED")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    change_waits(pair.client, &op, NULL);
    stream_close(pair.client);
    overlapped_aborted(&op);
    overlapped_drop(&op);
}

CASE(WSPIoctl, tcp_ideal_backlog_lost,
     "SIO_IDEAL_SEND_BACKLOG_CHANGE: a connection that ends has none: WSAENOTCONN")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    change_waits(pair.client, &op, NULL);
    stream_abort(pair.server);
    overlapped_ends(pair.client, &op, WSAENOTCONN);
    overlapped_drop(&op);
}
