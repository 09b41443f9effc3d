/*
 * Cases of SIO_ADDRESS_LIST_CHANGE and SIO_ROUTING_INTERFACE_CHANGE, and of the network events FD_*
 * that go with them: on the fake dataplane, whose link the case switches. Rules of the pages of
 * both commands, of WSAIoctl and of WSAEventSelect.
 */
#include "tests/spi/event_kit.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/provider_fake.h"
#include "tests/spi/stream_kit.h"

static int change(SOCKET s, struct overlapped_op *op, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    DWORD returned = 77;
    int result = TABLE->lpWSPIoctl(s, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0, &returned,
                                   op != NULL ? &op->o : NULL, routine, NULL, &spi_error);
    assert_int_equal(returned, result != 0 && spi_error == WSA_IO_PENDING ? 77 : 0);
    return result;
}

static int change_route(SOCKET s, struct overlapped_op *op)
{
    SOCKADDR_IN to = spi_at("10.77.0.9", 0);
    DWORD returned = 0;
    return TABLE->lpWSPIoctl(s, SIO_ROUTING_INTERFACE_CHANGE, &to, sizeof(to), NULL, 0, &returned,
                             op != NULL ? &op->o : NULL, NULL, NULL, &spi_error);
}

static SOCKET nonblocking(void)
{
    SOCKET s = spi_udp();
    spi_nonblocking(s);
    return s;
}

/* ---- overlapped ---- */

CASE(WSPIoctl, change_pends, "SIO_ADDRESS_LIST_CHANGE overlapped pends until an address goes")
{
    SOCKET s = spi_udp();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, change(s, &op, NULL));
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 30), WAIT_TIMEOUT);
    assert_true(overlapped_pending(&op));
    fake_switch_link(spi_fake);
    overlapped_ends(s, &op, 0);
    assert_int_equal(op.transferred, 0);
    overlapped_drop(&op);
}

CASE(WSPIoctl, change_count,
     "one that pends does not update lpcbBytesReturned: its end may have been told already")
{
    SOCKET s = spi_udp();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPIoctl(s, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0, (LPDWORD)&op.o.Internal,
                            &op.o, NULL, NULL, &spi_error));
    assert_true(overlapped_pending(&op)); /* which that word says */
    fake_switch_link(spi_fake);
    overlapped_ends(s, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPIoctl, change_up, "SIO_ADDRESS_LIST_CHANGE: an address that comes is a change, too")
{
    SOCKET s = spi_udp();
    struct overlapped_op op;
    for (int i = 0; i < 2; i++) {
        overlapped_make(&op);
        FAILS(WSA_IO_PENDING, change(s, &op, NULL));
        fake_switch_link(spi_fake);
        overlapped_ends(s, &op, 0);
        overlapped_drop(&op);
    }
}

CASE(WSPIoctl, change_nonblocking_pends,
     "SIO_ADDRESS_LIST_CHANGE overlapped pends on a non-blocking socket, too")
{
    SOCKET s = nonblocking();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, change(s, &op, NULL));
    fake_switch_link(spi_fake);
    overlapped_ends(s, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPIoctl, change_routine, "SIO_ADDRESS_LIST_CHANGE: its completion routine is called once")
{
    SOCKET s = spi_udp();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, change(s, &op, overlapped_routine));
    fake_switch_link(spi_fake);
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_calls, 1);
    assert_int_equal(op.routine_code, 0);
    assert_int_equal(op.routine_bytes, 0);
    overlapped_drop(&op);
}

CASE(WSPIoctl, change_many, "SIO_ADDRESS_LIST_CHANGE: one change ends all that wait for it")
{
    SOCKET sockets[2] = {spi_udp(), stream_new()};
    struct overlapped_op ops[4];
    for (int i = 0; i < 4; i++) {
        overlapped_make(&ops[i]);
        FAILS(WSA_IO_PENDING, change(sockets[i % 2], &ops[i], NULL));
    }
    fake_switch_link(spi_fake);
    for (int i = 0; i < 4; i++) {
        overlapped_ends(sockets[i % 2], &ops[i], 0);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPIoctl, change_close,
     "SIO_ADDRESS_LIST_CHANGE: closing the socket ends it with WSA_OPERATION_ABORTED")
{
    SOCKET s = spi_udp();
    struct overlapped_op op, other;
    overlapped_make(&op);
    overlapped_make(&other);
    FAILS(WSA_IO_PENDING, change(s, &op, NULL));
    FAILS(WSA_IO_PENDING, change_route(s, &other));
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    spi_forget(s);
    overlapped_aborted(&op);
    overlapped_aborted(&other);
    fake_switch_link(spi_fake); /* nobody waits for it */
    overlapped_drop(&op);
    overlapped_drop(&other);
}

CASE(WSPIoctl, change_route_pends, "SIO_ROUTING_INTERFACE_CHANGE overlapped pends until a change")
{
    SOCKET s = spi_udp();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, change_route(s, &op));
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 30), WAIT_TIMEOUT);
    fake_switch_link(spi_fake);
    overlapped_ends(s, &op, 0);
    overlapped_drop(&op);
}

/* ---- a call that waits ---- */

struct waiter {
    SOCKET s;
    HANDLE begun;
    int result, error;
};

static DWORD WINAPI waiter_run(void *arg)
{
    struct waiter *waiter = arg;
    DWORD returned = 0;
    SetEvent(waiter->begun);
    waiter->result = TABLE->lpWSPIoctl(waiter->s, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0,
                                       &returned, NULL, NULL, NULL, &waiter->error);
    return 0;
}

static HANDLE waiter_start(struct waiter *waiter)
{
    HANDLE thread = CreateThread(NULL, 0, waiter_run, waiter, 0, NULL);
    assert_non_null(thread);
    assert_int_equal(WaitForSingleObject(waiter->begun, OVERLAPPED_SOON_MS), WAIT_OBJECT_0);
    return thread;
}

static void waiter_ends(struct waiter *waiter, HANDLE thread)
{
    assert_int_equal(WaitForSingleObject(thread, OVERLAPPED_SOON_MS), WAIT_OBJECT_0);
    CloseHandle(thread);
    CloseHandle(waiter->begun);
}

CASE(WSPIoctl, change_blocks, "SIO_ADDRESS_LIST_CHANGE of a blocking socket waits for the change")
{
    struct waiter waiter = {.s = spi_udp(), .begun = CreateEventW(NULL, TRUE, FALSE, NULL)};
    HANDLE thread = waiter_start(&waiter);
    assert_int_equal(WaitForSingleObject(thread, 30), WAIT_TIMEOUT);
    /* It may have begun only now: a change before counts for nothing. */
    for (int i = 0; i < 100 && WaitForSingleObject(thread, 200) == WAIT_TIMEOUT; i++) {
        fake_switch_link(spi_fake);
    }
    waiter_ends(&waiter, thread);
    assert_int_equal(waiter.result, 0);
}

CASE(WSPIoctl, change_blocks_close,
     "SIO_ADDRESS_LIST_CHANGE that waits ends with WSAEINTR when the socket is closed")
{
    struct waiter waiter = {.s = spi_udp(), .begun = CreateEventW(NULL, TRUE, FALSE, NULL)};
    HANDLE thread = waiter_start(&waiter);
    assert_int_equal(WaitForSingleObject(thread, 200), WAIT_TIMEOUT);
    OK(TABLE->lpWSPCloseSocket(waiter.s, &spi_error));
    spi_forget(waiter.s);
    waiter_ends(&waiter, thread);
    assert_int_equal(waiter.result, SOCKET_ERROR);
    assert_int_equal(waiter.error, WSAEINTR);
}

/* ---- network events ---- */

NOTIFY_CASE(change_event,
            "FD_ADDRESS_LIST_CHANGE: after SIO_ADDRESS_LIST_CHANGE said WSAEWOULDBLOCK")
{
    SOCKET s = nonblocking();
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    OK(notify_select(n, s, FD_ADDRESS_LIST_CHANGE));
    notify_none(n, s);
    fake_switch_link(spi_fake);
    notify_expect(n, s, FD_ADDRESS_LIST_CHANGE);
    assert_int_equal(notify_error(n, FD_ADDRESS_LIST_CHANGE), 0);
    OK(notify_select(n, s, 0));
}

NOTIFY_CASE(change_event_again,
            "FD_ADDRESS_LIST_CHANGE: not again before SIO_ADDRESS_LIST_CHANGE re-enables it")
{
    SOCKET s = nonblocking();
    OK(notify_select(n, s, FD_ADDRESS_LIST_CHANGE));
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    fake_switch_link(spi_fake);
    notify_expect(n, s, FD_ADDRESS_LIST_CHANGE);
    fake_switch_link(spi_fake);
    notify_none(n, s);
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    notify_none(n, s);
    fake_switch_link(spi_fake);
    notify_expect(n, s, FD_ADDRESS_LIST_CHANGE);
    OK(notify_select(n, s, 0));
}

NOTIFY_CASE(change_event_once, "FD_ADDRESS_LIST_CHANGE: asked for twice, it is told once a change")
{
    SOCKET s = nonblocking();
    OK(notify_select(n, s, FD_ADDRESS_LIST_CHANGE));
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    fake_switch_link(spi_fake);
    notify_expect(n, s, FD_ADDRESS_LIST_CHANGE);
    notify_none(n, s);
    OK(notify_select(n, s, 0));
}

NOTIFY_CASE(change_event_unasked,
            "FD_ADDRESS_LIST_CHANGE: nothing is told that no command asked for")
{
    SOCKET s = nonblocking();
    SOCKET other = nonblocking();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(notify_select(n, s, FD_ADDRESS_LIST_CHANGE | FD_ROUTING_INTERFACE_CHANGE));
    FAILS(WSA_IO_PENDING, change(other, &op, NULL)); /* the provider looks for changes */
    fake_switch_link(spi_fake);
    overlapped_ends(other, &op, 0);
    notify_none(n, s);
    OK(notify_select(n, s, 0));
    overlapped_drop(&op);
}

NOTIFY_CASE(change_event_route,
            "FD_ROUTING_INTERFACE_CHANGE: after SIO_ROUTING_INTERFACE_CHANGE said WSAEWOULDBLOCK")
{
    SOCKET s = nonblocking();
    OK(notify_select(n, s, FD_ADDRESS_LIST_CHANGE | FD_ROUTING_INTERFACE_CHANGE));
    FAILS(WSAEWOULDBLOCK, change_route(s, NULL));
    fake_switch_link(spi_fake);
    notify_expect(n, s, FD_ROUTING_INTERFACE_CHANGE);
    OK(notify_select(n, s, 0));
}

NOTIFY_CASE(change_event_reused,
            "a socket that asked and was closed leaves nothing to its successor")
{
    SOCKET s = nonblocking();
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    spi_forget(s);
    s = nonblocking();
    OK(notify_select(n, s, FD_ADDRESS_LIST_CHANGE));
    FAILS(WSAEWOULDBLOCK, change(s, NULL, NULL));
    fake_switch_link(spi_fake);
    notify_expect(n, s, FD_ADDRESS_LIST_CHANGE);
    OK(notify_select(n, s, 0));
}
