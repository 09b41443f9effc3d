/*
 * Overlapped sends and receives of datagrams, and what all overlapped calls have in common: event,
 * completion routine, completion port, the structure's words, WSPGetOverlappedResult. Rules of the
 * pages of WSPRecv, WSPRecvFrom, WSPSend, WSPSendTo, WSPIoctl, WSPGetOverlappedResult and
 * WPUCompleteOverlappedRequest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/spi/option_names.h"
#include "tests/spi/overlapped_kit.h"
/* ---- pending, and at once ---- */

CASE(WSPRecv, over_recv_pends, "overlapped without data: WSA_IO_PENDING, then the event is set")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_true(overlapped_pending(&op));
    assert_false(overlapped_is_set(&op));
    overlapped_pair_send(&pair, "late");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 4);
    assert_memory_equal(op.data, "late", 4);
    assert_int_equal(op.flags, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_at_once,
     "overlapped with data there: 0, the count, and the event is set all the same")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    overlapped_pair_send(&pair, "now");
    spi_await_readable(pair.to);
    OK(overlapped_recv(pair.to, &op));
    assert_int_equal(op.transferred, 3);
    assert_true(overlapped_is_set(&op));
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 3);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_resets_event, "the event is reset when an overlapped call starts")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    SetEvent(op.o.hEvent);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_false(overlapped_is_set(&op));
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_nonblocking, "overlapped on a non-blocking socket pends, too")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    spi_nonblocking(pair.to);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_no_timeout, "SO_RCVTIMEO does not end an overlapped receive")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(spi_set_dword(pair.to, SOL_SOCKET, SO_RCVTIMEO, 10));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 60), WAIT_TIMEOUT);
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_not_an_overlapped_socket,
     "lpOverlapped is ignored on a socket without WSA_FLAG_OVERLAPPED")
{
    struct overlapped_op op;
    overlapped_make(&op);
    SOCKET s = spi_new(0);
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    OK(spi_bind_at(s, &any));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, overlapped_recv(s, &op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_order, "overlapped receives complete in the order they were posted")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op ops[4];
    for (int i = 0; i < 4; i++) {
        overlapped_make(&ops[i]);
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &ops[i]));
    }
    overlapped_pair_send(&pair, "0");
    overlapped_pair_send(&pair, "1");
    overlapped_pair_send(&pair, "2");
    overlapped_pair_send(&pair, "3");
    for (int i = 0; i < 4; i++) {
        overlapped_ends(pair.to, &ops[i], 0);
        assert_int_equal(ops[i].data[0], '0' + i);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPRecv, over_recv_null_count, "lpNumberOfBytesRecvd may be NULL when lpOverlapped is not")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecv(pair.to, &op.buffer, 1, NULL, &op.flags, &op.o, NULL, NULL, &spi_error));
    overlapped_pair_send(&pair, "xy");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 2);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_buffers_captured,
     "the WSABUF array is captured before the call returns: the program may reuse it")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char first[2], second[4];
    overlapped_make(&op);
    WSABUF buffers[2] = {{.len = 2, .buf = first}, {.len = 4, .buf = second}};
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecv(pair.to, buffers, 2, NULL, &op.flags, &op.o, NULL, NULL, &spi_error));
    memset(buffers, 0, sizeof(buffers));
    overlapped_pair_send(&pair, "abcdef");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 6);
    assert_memory_equal(first, "ab", 2);
    assert_memory_equal(second, "cdef", 4);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_too_long,
     "a datagram longer than the buffer: completes with WSAEMSGSIZE and MSG_PARTIAL")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 2;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "long");
    overlapped_ends(pair.to, &op, WSAEMSGSIZE);
    assert_int_equal(op.o.Offset, MSG_PARTIAL);
    assert_memory_equal(op.data, "lo", 2);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_too_long_at_once,
     "an error other than WSA_IO_PENDING: the call was not started, nothing is signalled")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 2;
    overlapped_pair_send(&pair, "long");
    spi_await_readable(pair.to);
    FAILS(WSAEMSGSIZE, overlapped_recv(pair.to, &op));
    assert_int_equal(op.flags, MSG_PARTIAL);
    assert_false(overlapped_is_set(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_unbound, "overlapped on a socket that is not bound: WSAEINVAL at once")
{
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAEINVAL, overlapped_recv(spi_udp(), &op));
    assert_false(overlapped_is_set(&op));
    assert_false(overlapped_pending(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_peek, "MSG_PEEK overlapped takes nothing")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    op.flags = MSG_PEEK;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "peek");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 4);
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_int_equal(got, 4);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_bad_structure, "WSAEFAULT: lpOverlapped is not in the program's memory")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAEFAULT, TABLE->lpWSPRecv(pair.to, &op.buffer, 1, NULL, &op.flags, spi_bad_pointer(),
                                      NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPRecv(pair.to, &op.buffer, 1, NULL, &op.flags, NULL,
                                      overlapped_routine, NULL, &spi_error));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_bad_buffer, "WSAEFAULT: a buffer is not in the program's memory")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.buf = spi_bad_pointer();
    FAILS(WSAEFAULT, overlapped_recv(pair.to, &op));
    assert_false(overlapped_pending(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_memory_gone,
     "a buffer given back before the data comes: WSAEFAULT, no crash, and the data is kept")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    char *page = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    op.buffer = (WSABUF){.len = 64, .buf = page};
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    VirtualFree(page, 0, MEM_RELEASE);
    overlapped_pair_send(&pair, "kept");
    overlapped_ends(pair.to, &op, WSAEFAULT);
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_memory_equal(data, "kept", 4);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_invalid_event, "an hEvent that is no event is WSA_INVALID_HANDLE")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = (HANDLE)(uintptr_t)0x7ffffff0;
    FAILS(WSA_INVALID_HANDLE, overlapped_recv(pair.to, &op));
    op.o.hEvent = event;
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_event_again,
     "an event that was used before is reset by a call that waits, and set by one that does not")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    for (unsigned round = 0; round < 3; round++) {
        overlapped_pair_send(&pair, "once");
        spi_await_readable(pair.to);
        OK(overlapped_recv(pair.to, &op)); /* at once */
        assert_true(overlapped_is_set(&op));
        overlapped_ends(pair.to, &op, 0);
        SetEvent(op.o.hEvent); /* whatever looked at it */
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
        assert_false(overlapped_is_set(&op));
        overlapped_pair_send(&pair, "late");
        overlapped_ends(pair.to, &op, 0);
        SetEvent(op.o.hEvent);
    }
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_invalid_event_later,
     "an hEvent that is no event is WSA_INVALID_HANDLE, also when the socket's last one was")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    overlapped_pair_send(&pair, "once");
    spi_await_readable(pair.to);
    OK(overlapped_recv(pair.to, &op));
    HANDLE event = op.o.hEvent;
    op.o.hEvent = (HANDLE)(uintptr_t)0x7ffffff0;
    FAILS(WSA_INVALID_HANDLE, overlapped_recv(pair.to, &op));
    op.o.hEvent = event;
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_no_event, "hEvent may be NULL: Internal says when it is over")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = NULL;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "x");
    for (ULONGLONG end = GetTickCount64() + OVERLAPPED_SOON_MS; overlapped_pending(&op);) {
        assert_true(GetTickCount64() < end);
        Sleep(1);
    }
    assert_int_equal(op.o.InternalHigh, 1);
    op.o.hEvent = event;
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_sync_behind,
     "a blocking receive behind an overlapped one gets what comes after that one's")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "first");
    overlapped_pair_send(&pair, "second");
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_int_equal(got, 6);
    assert_memory_equal(data, "second", 6);
    overlapped_ends(pair.to, &op, 0);
    assert_memory_equal(op.data, "first", 5);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_sync_behind_times_out,
     "a blocking receive behind an overlapped one ends by SO_RCVTIMEO")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    OK(spi_set_dword(pair.to, SOL_SOCKET, SO_RCVTIMEO, 30));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    FAILS(WSAETIMEDOUT, spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_nonblocking_behind,
     "a non-blocking receive behind an overlapped one is WSAEWOULDBLOCK")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    spi_nonblocking(pair.to);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    FAILS(WSAEWOULDBLOCK, spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPShutdown, over_shutdown, "SD_RECEIVE ends an overlapped receive with WSAESHUTDOWN")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    OK(TABLE->lpWSPShutdown(pair.to, SD_RECEIVE, &spi_error));
    overlapped_ends(pair.to, &op, WSAESHUTDOWN);
    overlapped_drop(&op);
}

/* ---- WSPRecvFrom ---- */

CASE(WSPRecvFrom, over_recv_from, "lpFrom and lpFromlen are filled in when it completes")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    SOCKADDR_IN from = {0};
    int from_bytes = sizeof(from) + 4;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecvFrom(pair.to, &op.buffer, 1, NULL, &op.flags, (struct sockaddr *)&from,
                               &from_bytes, &op.o, NULL, NULL, &spi_error));
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(from_bytes, sizeof(from));
    assert_int_equal(from.sin_port, pair.from_at.sin_port);
    assert_int_equal(from.sin_addr.s_addr, pair.from_at.sin_addr.s_addr);
    overlapped_drop(&op);
}

CASE(WSPRecvFrom, over_recv_from_short, "WSAEFAULT: lpFrom is too small, at once")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    SOCKADDR_IN from = {0};
    int from_bytes = 4;
    overlapped_make(&op);
    FAILS(WSAEFAULT,
          TABLE->lpWSPRecvFrom(pair.to, &op.buffer, 1, NULL, &op.flags, (struct sockaddr *)&from,
                               &from_bytes, &op.o, NULL, NULL, &spi_error));
    overlapped_drop(&op);
}

CASE(WSPRecvFrom, over_recv_from_address_gone,
     "lpFrom given back before the data comes: WSAEFAULT, and the datagram is kept")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    int from_bytes = sizeof(SOCKADDR_IN);
    overlapped_make(&op);
    char *page = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecvFrom(pair.to, &op.buffer, 1, NULL, &op.flags, (struct sockaddr *)page,
                               &from_bytes, &op.o, NULL, NULL, &spi_error));
    VirtualFree(page, 0, MEM_RELEASE);
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, WSAEFAULT);
    spi_await_readable(pair.to);
    overlapped_drop(&op);
}

/* ---- sending ---- */

CASE(WSPSend, over_send, "overlapped with room: 0, the count, and the event is set")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    OK(spi_connect_to(pair.from, &pair.to_at));
    OK(overlapped_send(pair.from, &op, "sent"));
    assert_int_equal(op.transferred, 4);
    assert_true(overlapped_is_set(&op));
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_memory_equal(data, "sent", 4);
    overlapped_drop(&op);
}

CASE(WSPSend, over_send_not_connected, "overlapped without a peer: WSAENOTCONN at once")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAENOTCONN, overlapped_send(pair.from, &op, "sent"));
    assert_false(overlapped_is_set(&op));
    overlapped_drop(&op);
}

CASE(WSPSendTo, over_send_to, "overlapped to an address, from a socket that is not bound yet")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    OK(overlapped_send_to(spi_udp(), &op, "to", &pair.to_at));
    assert_int_equal(op.transferred, 2);
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_memory_equal(data, "to", 2);
    overlapped_drop(&op);
}

CASE(WSPSendTo, over_send_to_many, "thousands of overlapped sends: each completes, in order")
{
    enum { SENDS = 3000, BURST = 60 };
    static struct overlapped_op ops[BURST];
    struct overlapped_pair pair = overlapped_pair_make();
    for (unsigned i = 0; i < SENDS; i += BURST) {
        for (unsigned k = 0; k < BURST; k++) {
            char text[16];
            snprintf(text, sizeof(text), "%08u", i + k);
            overlapped_make(&ops[k]);
            spi_error = 0;
            assert_true(overlapped_send_to(pair.from, &ops[k], text, &pair.to_at) == 0 ||
                        spi_error == WSA_IO_PENDING);
        }
        for (unsigned k = 0; k < BURST; k++) {
            char data[16] = {0};
            DWORD flags = 0, got = 0;
            overlapped_ends(pair.from, &ops[k], 0);
            assert_int_equal(ops[k].transferred, 8);
            overlapped_drop(&ops[k]);
            OK(spi_recv_one(pair.to, data, sizeof(data) - 1, &flags, &got));
            assert_int_equal(strtoul(data, NULL, 10), i + k);
        }
    }
}

CASE(WSPSendTo, over_send_to_segments, "UDP_SEND_MSG_SIZE: an overlapped send is cut as others are")
{
    static const char *const parts[] = {"abcd", "efgh", "ij"};
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(spi_set_dword(pair.from, IPPROTO_UDP, UDP_SEND_MSG_SIZE, 4));
    OK(overlapped_send_to(pair.from, &op, "abcdefghij", &pair.to_at));
    assert_int_equal(op.transferred, 10);
    for (unsigned i = 0; i < 3; i++) {
        char data[16];
        DWORD flags = 0, got = 0;
        OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
        assert_int_equal(got, strlen(parts[i]));
        assert_memory_equal(data, parts[i], got);
    }
    overlapped_drop(&op);
}

/* ---- WSPGetOverlappedResult ---- */

CASE(WSPGetOverlappedResult, over_result_incomplete, "fWait FALSE and pending: WSA_IO_INCOMPLETE")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.transferred = 1234;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    DWORD bytes = 1234, flags = 5678;
    assert_false(
        TABLE->lpWSPGetOverlappedResult(pair.to, &op.o, &bytes, FALSE, &flags, &spi_error));
    assert_int_equal(spi_error, WSA_IO_INCOMPLETE);
    assert_int_equal(bytes, 1234); /* not updated */
    assert_int_equal(flags, 5678);
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

static DWORD WINAPI send_later(void *arg)
{
    Sleep(40);
    int error = 0;
    DWORD sent = 0;
    const struct overlapped_pair *pair = arg;
    WSABUF buffer = {.len = 4, .buf = "wait"};
    return (DWORD)TABLE->lpWSPSendTo(pair->from, &buffer, 1, &sent, 0,
                                     (const struct sockaddr *)&pair->to_at, sizeof(pair->to_at),
                                     NULL, NULL, NULL, &error);
}

CASE(WSPGetOverlappedResult, over_result_wait, "fWait TRUE: waits for the event")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    DWORD bytes = 0, flags = 1;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    HANDLE thread = CreateThread(NULL, 0, send_later, &pair, 0, NULL);
    assert_true(TABLE->lpWSPGetOverlappedResult(pair.to, &op.o, &bytes, TRUE, &flags, &spi_error));
    assert_int_equal(bytes, 4);
    assert_int_equal(flags, 0);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_no_event,
     "fWait TRUE without an event: WSA_INVALID_HANDLE")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    DWORD bytes, flags;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = NULL;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_false(TABLE->lpWSPGetOverlappedResult(pair.to, &op.o, &bytes, TRUE, &flags, &spi_error));
    assert_int_equal(spi_error, WSA_INVALID_HANDLE);
    spi_forget(pair.to);
    OK(TABLE->lpWSPCloseSocket(pair.to, &spi_error));
    op.o.hEvent = event;
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_not_socket, "WSAENOTSOCK")
{
    struct overlapped_op op;
    DWORD bytes, flags;
    overlapped_make(&op);
    assert_false(TABLE->lpWSPGetOverlappedResult((SOCKET)op.o.hEvent, &op.o, &bytes, FALSE, &flags,
                                                 &spi_error));
    assert_int_equal(spi_error, WSAENOTSOCK);
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_bad_pointers,
     "a pointer that is not in the program's memory is WSAEFAULT")
{
    struct overlapped_op op;
    DWORD value;
    SOCKET s = spi_udp();
    overlapped_make(&op);
    assert_false(
        TABLE->lpWSPGetOverlappedResult(s, spi_bad_pointer(), &value, FALSE, &value, &spi_error));
    assert_int_equal(spi_error, WSAEFAULT);
    assert_false(TABLE->lpWSPGetOverlappedResult(s, &op.o, NULL, FALSE, &value, &spi_error));
    assert_int_equal(spi_error, WSAEFAULT);
    assert_false(TABLE->lpWSPGetOverlappedResult(s, &op.o, &value, FALSE, NULL, &spi_error));
    assert_int_equal(spi_error, WSAEFAULT);
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_error,
     "FALSE and the operation's error when it completed with one")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 1;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "ab");
    overlapped_ends(pair.to, &op, WSAEMSGSIZE);
    overlapped_ends(pair.to, &op, WSAEMSGSIZE); /* as often as it is asked */
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_again,
     "the structure can be used again: the result is that of its last operation")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    for (int i = 1; i < 4; i++) {
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
        overlapped_pair_send(&pair, i == 1 ? "a" : i == 2 ? "ab" : "abc");
        overlapped_ends(pair.to, &op, 0);
        assert_int_equal(op.transferred, i);
    }
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_flags, "lpdwFlags gets the receive's resulting lpFlags")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    DWORD bytes = 0, flags = 0;
    overlapped_make(&op);
    op.buffer.len = 1;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    overlapped_pair_send(&pair, "ab");
    assert_int_equal(WaitForSingleObject(op.o.hEvent, OVERLAPPED_SOON_MS), WAIT_OBJECT_0);
    assert_false(
        TABLE->lpWSPGetOverlappedResult(pair.to, &op.o, &bytes, FALSE, &flags, &spi_error));
    assert_int_equal(flags, MSG_PARTIAL);
    assert_int_equal(bytes, 1);
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_other_structure,
     "two operations of one socket have each their own result")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op first, second;
    overlapped_make(&first);
    overlapped_make(&second);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &first));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &second));
    overlapped_pair_send(&pair, "abc");
    overlapped_ends(pair.to, &first, 0);
    assert_true(overlapped_pending(&second));
    overlapped_pair_send(&pair, "d");
    overlapped_ends(pair.to, &second, 0);
    assert_int_equal(first.o.InternalHigh, 3);
    assert_int_equal(second.o.InternalHigh, 1);
    overlapped_drop(&first);
    overlapped_drop(&second);
}
