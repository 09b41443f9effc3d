/*
 * How the end of an overlapped call is told: completion routine, completion port, and what close
 * and the last WSPCleanup end; of WSPIoctl, too. Rules of the pages of WSPRecv, WSPSend,
 * WSPCloseSocket, WSPCleanup and WPUCompleteOverlappedRequest.
 */
#include <string.h>

#include "tests/spi/overlapped_kit.h"

/* ---- completion routines ---- */

CASE(WSPRecv, over_routine,
     "a completion routine is called in an alertable wait of the issuing thread, and only there")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    overlapped_pair_send(&pair, "apc");
    for (ULONGLONG end = GetTickCount64() + OVERLAPPED_SOON_MS; overlapped_pending(&op);) {
        assert_true(GetTickCount64() < end);
        Sleep(1);
    }
    assert_int_equal(op.routine_calls, 0);
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_calls, 1);
    assert_int_equal(op.routine_thread, GetCurrentThreadId());
    assert_int_equal(op.routine_code, 0);
    assert_int_equal(op.routine_bytes, 3);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_at_once, "done at once: 0, and the routine is queued all the same")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    overlapped_pair_send(&pair, "apc");
    spi_await_readable(pair.to);
    OK(overlapped_recv_routine(pair.to, &op));
    assert_int_equal(op.routine_calls, 0);
    assert_int_equal(SleepEx(0, TRUE), WAIT_IO_COMPLETION);
    assert_int_equal(op.routine_calls, 1);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_ignores_event, "hEvent is ignored with a routine: the program's own use")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = (HANDLE)(uintptr_t)0x1234;
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    overlapped_pair_send(&pair, "x");
    overlapped_await_routine(&op);
    assert_ptr_equal(op.o.hEvent, (HANDLE)(uintptr_t)0x1234);
    op.o.hEvent = event;
    assert_false(overlapped_is_set(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_thread_id,
     "the WSATHREADID is copied: it may be gone before the operation completes")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    WSATHREADID thread = overlapped_thread();
    HANDLE kept = thread.ThreadHandle;
    FAILS(WSA_IO_PENDING, TABLE->lpWSPRecv(pair.to, &op.buffer, 1, NULL, &op.flags, &op.o,
                                           overlapped_routine, &thread, &spi_error));
    memset(&thread, 0xee, sizeof(thread));
    overlapped_pair_send(&pair, "x");
    overlapped_await_routine(&op);
    CloseHandle(kept);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_flags, "the routine is told error, bytes and flags of the result")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 2;
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    overlapped_pair_send(&pair, "long");
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_code, WSAEMSGSIZE);
    assert_int_equal(op.routine_bytes, 2);
    assert_int_equal(op.routine_flags, MSG_PARTIAL);
    overlapped_drop(&op);
}

CASE(WSPSend, over_routine_send, "a completion routine of a send")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(spi_connect_to(pair.from, &pair.to_at));
    op.buffer.len = 5;
    OK(TABLE->lpWSPSend(pair.from, &op.buffer, 1, &op.transferred, 0, &op.o, overlapped_routine,
                        NULL, &spi_error));
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_bytes, 5);
    overlapped_drop(&op);
}

/* ---- completion ports ---- */

struct packet {
    DWORD bytes;
    ULONG_PTR key;
    LPOVERLAPPED overlapped;
    DWORD error;
};

static HANDLE port_make(SOCKET s, ULONG_PTR key)
{
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    assert_non_null(port);
    assert_int_equal(host_handle_set_port(s, port, key), 0);
    return port;
}

static bool port_take(HANDLE port, DWORD wait_ms, struct packet *packet)
{
    memset(packet, 0, sizeof(*packet));
    BOOL good =
        GetQueuedCompletionStatus(port, &packet->bytes, &packet->key, &packet->overlapped, wait_ms);
    packet->error = good ? 0 : GetLastError();
    return packet->overlapped != NULL;
}

CASE(WSPRecv, over_port, "a packet goes to the socket's completion port, with its key")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 77);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "port");
    assert_true(port_take(port, OVERLAPPED_SOON_MS, &packet));
    assert_int_equal(packet.bytes, 4);
    assert_int_equal(packet.key, 77);
    assert_ptr_equal(packet.overlapped, &op.o);
    assert_int_equal(packet.error, 0);
    assert_false(port_take(port, 0, &packet));
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_port_at_once, "done at once: 0, and a packet is queued all the same")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    overlapped_pair_send(&pair, "port");
    spi_await_readable(pair.to);
    OK(overlapped_recv(pair.to, &op));
    assert_true(port_take(port, 0, &packet));
    assert_int_equal(packet.bytes, 4);
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_port_low_bit,
     "an hEvent with its lowest bit set: the event is set, no packet is queued")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    op.o.hEvent = (HANDLE)((uintptr_t)op.o.hEvent | 1);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    assert_false(port_take(port, 0, &packet));
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_port_routine, "a routine and a port: no packet, the routine alone")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    overlapped_pair_send(&pair, "x");
    overlapped_await_routine(&op);
    assert_false(port_take(port, 0, &packet));
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_port_error, "a failed receive is a packet with its error")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    op.buffer.len = 1;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "long");
    assert_true(port_take(port, OVERLAPPED_SOON_MS, &packet));
    assert_int_equal(packet.bytes, 1);
    assert_int_equal(op.o.OffsetHigh, WSAEMSGSIZE);
    CloseHandle(port);
    overlapped_drop(&op);
}

/* ---- done at once ---- */

/* The count lies where the end is told: what is there is what was stored last. */
CASE(WSPRecv, over_count_before_notice,
     "done at once: the count is stored before notice, when its memory may be the program's again")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    overlapped_pair_send(&pair, "now");
    spi_await_readable(pair.to);
    OK(TABLE->lpWSPRecv(pair.to, &op.buffer, 1, (LPDWORD)&op.o.Internal, &op.flags, &op.o, NULL,
                        NULL, &spi_error));
    assert_int_equal(op.o.Internal, 0);
    assert_int_equal(op.o.InternalHigh, 3);
    overlapped_drop(&op);
}

CASE(WSPSend, over_sent_before_notice,
     "done at once: the count is stored before notice, when its memory may be the program's again")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(spi_connect_to(pair.from, &pair.to_at));
    op.buffer.len = 5;
    OK(TABLE->lpWSPSend(pair.from, &op.buffer, 1, (LPDWORD)&op.o.Internal, 0, &op.o, NULL, NULL,
                        &spi_error));
    assert_int_equal(op.o.Internal, 0);
    assert_int_equal(op.o.InternalHigh, 5);
    overlapped_drop(&op);
}

/* ---- close, cleanup ---- */

CASE(WSPCloseSocket, over_close, "pending overlapped calls end with WSA_OPERATION_ABORTED")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op ops[3];
    for (int i = 0; i < 3; i++) {
        overlapped_make(&ops[i]);
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &ops[i]));
    }
    spi_forget(pair.to);
    OK(TABLE->lpWSPCloseSocket(pair.to, &spi_error));
    for (int i = 0; i < 3; i++) {
        overlapped_aborted(&ops[i]);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPCloseSocket, over_close_routine, "completion routines run for what close ends, too")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    spi_forget(pair.to);
    OK(TABLE->lpWSPCloseSocket(pair.to, &spi_error));
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_code, WSA_OPERATION_ABORTED);
    overlapped_drop(&op);
}

CASE(WSPCloseSocket, over_close_port, "packets go to the port for what close ends, too")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 5);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    spi_forget(pair.to);
    OK(TABLE->lpWSPCloseSocket(pair.to, &spi_error));
    assert_true(port_take(port, OVERLAPPED_SOON_MS, &packet));
    assert_int_equal(packet.key, 5);
    assert_int_equal(op.o.OffsetHigh, WSA_OPERATION_ABORTED);
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPCleanup, over_cleanup, "the last one ends pending overlapped calls")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    int error = 0;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    spi_forget(pair.to);
    spi_forget(pair.from);
    assert_int_equal(TABLE->lpWSPCleanup(&error), 0);
    overlapped_aborted(&op);
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    overlapped_drop(&op);
}

/* ---- WSPIoctl ---- */

static int ioctl_over(SOCKET s, struct overlapped_op *op, bool routine)
{
    return TABLE->lpWSPIoctl(s, (DWORD)FIONREAD, NULL, 0, op->data, sizeof(DWORD), &op->transferred,
                             &op->o, routine ? overlapped_routine : NULL, NULL, &spi_error);
}

CASE(WSPIoctl, over_ioctl, "overlapped and done at once: 0, and the event is set")
{
    SOCKET s = spi_bound(NULL);
    struct overlapped_op op;
    overlapped_make(&op);
    OK(ioctl_over(s, &op, false));
    assert_int_equal(op.transferred, sizeof(DWORD));
    overlapped_ends(s, &op, 0);
    assert_int_equal(op.transferred, sizeof(DWORD));
    overlapped_drop(&op);
}

CASE(WSPIoctl, over_ioctl_routine, "overlapped and done at once: the routine is queued")
{
    SOCKET s = spi_bound(NULL);
    struct overlapped_op op;
    overlapped_make(&op);
    OK(ioctl_over(s, &op, true));
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_bytes, sizeof(DWORD));
    overlapped_drop(&op);
}

CASE(WSPIoctl, over_ioctl_port, "overlapped and done at once: a packet is queued")
{
    SOCKET s = spi_bound(NULL);
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(s, 9);
    OK(ioctl_over(s, &op, false));
    assert_true(port_take(port, 0, &packet));
    assert_int_equal(packet.bytes, sizeof(DWORD));
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPIoctl, over_ioctl_fails, "overlapped and refused: the error, and nothing is signalled")
{
    SOCKET s = spi_bound(NULL);
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAEOPNOTSUPP,
          TABLE->lpWSPIoctl(s, 0x12345678, NULL, 0, NULL, 0, NULL, &op.o, NULL, NULL, &spi_error));
    assert_false(overlapped_is_set(&op));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, (DWORD)FIONREAD, NULL, 0, op.data, sizeof(DWORD), NULL,
                                       spi_bad_pointer(), NULL, NULL, &spi_error));
    overlapped_drop(&op);
}
