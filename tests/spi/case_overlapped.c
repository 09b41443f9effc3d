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

struct pair {
    SOCKET from, to;
    SOCKADDR_IN from_at, to_at;
};

static struct pair pair_make(void)
{
    struct pair pair;
    pair.from = spi_bound(&pair.from_at);
    pair.to = spi_bound(&pair.to_at);
    return pair;
}

static void pair_send(const struct pair *pair, const char *text)
{
    OK(spi_send_to_one(pair->from, text, (DWORD)strlen(text), &pair->to_at));
}

static bool is_set(const struct overlapped_op *op)
{
    return WaitForSingleObject(op->o.hEvent, 0) == WAIT_OBJECT_0;
}

/* ---- pending, and at once ---- */

CASE(WSPRecv, over_recv_pends, "overlapped without data: WSA_IO_PENDING, then the event is set")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_true(overlapped_pending(&op));
    assert_false(is_set(&op));
    pair_send(&pair, "late");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 4);
    assert_memory_equal(op.data, "late", 4);
    assert_int_equal(op.flags, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_at_once,
     "overlapped with data there: 0, the count, and the event is set all the same")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    pair_send(&pair, "now");
    spi_await_readable(pair.to);
    OK(overlapped_recv(pair.to, &op));
    assert_int_equal(op.transferred, 3);
    assert_true(is_set(&op));
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 3);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_resets_event, "the event is reset when an overlapped call starts")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    SetEvent(op.o.hEvent);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_false(is_set(&op));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_nonblocking, "overlapped on a non-blocking socket pends, too")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    spi_nonblocking(pair.to);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_no_timeout, "SO_RCVTIMEO does not end an overlapped receive")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(spi_set_dword(pair.to, SOL_SOCKET, SO_RCVTIMEO, 10));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 60), WAIT_TIMEOUT);
    pair_send(&pair, "x");
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
    struct pair pair = pair_make();
    struct overlapped_op ops[4];
    for (int i = 0; i < 4; i++) {
        overlapped_make(&ops[i]);
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &ops[i]));
    }
    pair_send(&pair, "0");
    pair_send(&pair, "1");
    pair_send(&pair, "2");
    pair_send(&pair, "3");
    for (int i = 0; i < 4; i++) {
        overlapped_ends(pair.to, &ops[i], 0);
        assert_int_equal(ops[i].data[0], '0' + i);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPRecv, over_recv_null_count, "lpNumberOfBytesRecvd may be NULL when lpOverlapped is not")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecv(pair.to, &op.buffer, 1, NULL, &op.flags, &op.o, NULL, NULL, &spi_error));
    pair_send(&pair, "xy");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 2);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_buffers_captured,
     "the WSABUF array is captured before the call returns: the program may reuse it")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    char first[2], second[4];
    overlapped_make(&op);
    WSABUF buffers[2] = {{.len = 2, .buf = first}, {.len = 4, .buf = second}};
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecv(pair.to, buffers, 2, NULL, &op.flags, &op.o, NULL, NULL, &spi_error));
    memset(buffers, 0, sizeof(buffers));
    pair_send(&pair, "abcdef");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 6);
    assert_memory_equal(first, "ab", 2);
    assert_memory_equal(second, "cdef", 4);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_too_long,
     "a datagram longer than the buffer: completes with WSAEMSGSIZE and MSG_PARTIAL")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 2;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "long");
    overlapped_ends(pair.to, &op, WSAEMSGSIZE);
    assert_int_equal(op.o.Offset, MSG_PARTIAL);
    assert_memory_equal(op.data, "lo", 2);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_too_long_at_once,
     "an error other than WSA_IO_PENDING: the call was not started, nothing is signalled")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 2;
    pair_send(&pair, "long");
    spi_await_readable(pair.to);
    FAILS(WSAEMSGSIZE, overlapped_recv(pair.to, &op));
    assert_int_equal(op.flags, MSG_PARTIAL);
    assert_false(is_set(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_unbound, "overlapped on a socket that is not bound: WSAEINVAL at once")
{
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAEINVAL, overlapped_recv(spi_udp(), &op));
    assert_false(is_set(&op));
    assert_false(overlapped_pending(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_peek, "MSG_PEEK overlapped takes nothing")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    op.flags = MSG_PEEK;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "peek");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 4);
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_int_equal(got, 4);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_bad_structure, "WSAEFAULT: lpOverlapped is not in the program's memory")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    char *page = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    op.buffer = (WSABUF){.len = 64, .buf = page};
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    VirtualFree(page, 0, MEM_RELEASE);
    pair_send(&pair, "kept");
    overlapped_ends(pair.to, &op, WSAEFAULT);
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_memory_equal(data, "kept", 4);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_invalid_event, "an hEvent that is no event is WSA_INVALID_HANDLE")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = (HANDLE)(uintptr_t)0x7ffffff0;
    FAILS(WSA_INVALID_HANDLE, overlapped_recv(pair.to, &op));
    op.o.hEvent = event;
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_no_event, "hEvent may be NULL: Internal says when it is over")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = NULL;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "x");
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "first");
    pair_send(&pair, "second");
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    OK(spi_set_dword(pair.to, SOL_SOCKET, SO_RCVTIMEO, 30));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    FAILS(WSAETIMEDOUT, spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_recv_nonblocking_behind,
     "a non-blocking receive behind an overlapped one is WSAEWOULDBLOCK")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    spi_nonblocking(pair.to);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    FAILS(WSAEWOULDBLOCK, spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPShutdown, over_shutdown, "SD_RECEIVE ends an overlapped receive with WSAESHUTDOWN")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    SOCKADDR_IN from = {0};
    int from_bytes = sizeof(from) + 4;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecvFrom(pair.to, &op.buffer, 1, NULL, &op.flags, (struct sockaddr *)&from,
                               &from_bytes, &op.o, NULL, NULL, &spi_error));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(from_bytes, sizeof(from));
    assert_int_equal(from.sin_port, pair.from_at.sin_port);
    assert_int_equal(from.sin_addr.s_addr, pair.from_at.sin_addr.s_addr);
    overlapped_drop(&op);
}

CASE(WSPRecvFrom, over_recv_from_short, "WSAEFAULT: lpFrom is too small, at once")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    int from_bytes = sizeof(SOCKADDR_IN);
    overlapped_make(&op);
    char *page = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPRecvFrom(pair.to, &op.buffer, 1, NULL, &op.flags, (struct sockaddr *)page,
                               &from_bytes, &op.o, NULL, NULL, &spi_error));
    VirtualFree(page, 0, MEM_RELEASE);
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, WSAEFAULT);
    spi_await_readable(pair.to);
    overlapped_drop(&op);
}

/* ---- sending ---- */

CASE(WSPSend, over_send, "overlapped with room: 0, the count, and the event is set")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    char data[8];
    DWORD flags = 0, got = 0;
    overlapped_make(&op);
    OK(spi_connect_to(pair.from, &pair.to_at));
    OK(overlapped_send(pair.from, &op, "sent"));
    assert_int_equal(op.transferred, 4);
    assert_true(is_set(&op));
    OK(spi_recv_one(pair.to, data, sizeof(data), &flags, &got));
    assert_memory_equal(data, "sent", 4);
    overlapped_drop(&op);
}

CASE(WSPSend, over_send_not_connected, "overlapped without a peer: WSAENOTCONN at once")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAENOTCONN, overlapped_send(pair.from, &op, "sent"));
    assert_false(is_set(&op));
    overlapped_drop(&op);
}

CASE(WSPSendTo, over_send_to, "overlapped to an address, from a socket that is not bound yet")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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

/* ---- completion routines ---- */

CASE(WSPRecv, over_routine,
     "a completion routine is called in an alertable wait of the issuing thread, and only there")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    pair_send(&pair, "apc");
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    pair_send(&pair, "apc");
    spi_await_readable(pair.to);
    OK(overlapped_recv_routine(pair.to, &op));
    assert_int_equal(op.routine_calls, 0);
    assert_int_equal(SleepEx(0, TRUE), WAIT_IO_COMPLETION);
    assert_int_equal(op.routine_calls, 1);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_ignores_event, "hEvent is ignored with a routine: the program's own use")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    op.o.hEvent = (HANDLE)(uintptr_t)0x1234;
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    pair_send(&pair, "x");
    overlapped_await_routine(&op);
    assert_ptr_equal(op.o.hEvent, (HANDLE)(uintptr_t)0x1234);
    op.o.hEvent = event;
    assert_false(is_set(&op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_thread_id,
     "the WSATHREADID is copied: it may be gone before the operation completes")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    WSATHREADID thread = overlapped_thread();
    HANDLE kept = thread.ThreadHandle;
    FAILS(WSA_IO_PENDING, TABLE->lpWSPRecv(pair.to, &op.buffer, 1, NULL, &op.flags, &op.o,
                                           overlapped_routine, &thread, &spi_error));
    memset(&thread, 0xee, sizeof(thread));
    pair_send(&pair, "x");
    overlapped_await_routine(&op);
    CloseHandle(kept);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_routine_flags, "the routine is told error, bytes and flags of the result")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 2;
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    pair_send(&pair, "long");
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_code, WSAEMSGSIZE);
    assert_int_equal(op.routine_bytes, 2);
    assert_int_equal(op.routine_flags, MSG_PARTIAL);
    overlapped_drop(&op);
}

CASE(WSPSend, over_routine_send, "a completion routine of a send")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 77);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "port");
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    pair_send(&pair, "port");
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    op.o.hEvent = (HANDLE)((uintptr_t)op.o.hEvent | 1);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    assert_false(port_take(port, 0, &packet));
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_port_routine, "a routine and a port: no packet, the routine alone")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    FAILS(WSA_IO_PENDING, overlapped_recv_routine(pair.to, &op));
    pair_send(&pair, "x");
    overlapped_await_routine(&op);
    assert_false(port_take(port, 0, &packet));
    CloseHandle(port);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_port_error, "a failed receive is a packet with its error")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    struct packet packet;
    overlapped_make(&op);
    HANDLE port = port_make(pair.to, 1);
    op.buffer.len = 1;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "long");
    assert_true(port_take(port, OVERLAPPED_SOON_MS, &packet));
    assert_int_equal(packet.bytes, 1);
    assert_int_equal(op.o.OffsetHigh, WSAEMSGSIZE);
    CloseHandle(port);
    overlapped_drop(&op);
}

/* ---- close, cleanup ---- */

CASE(WSPCloseSocket, over_close, "pending overlapped calls end with WSA_OPERATION_ABORTED")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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

/* ---- WSPGetOverlappedResult ---- */

CASE(WSPGetOverlappedResult, over_result_incomplete, "fWait FALSE and pending: WSA_IO_INCOMPLETE")
{
    struct pair pair = pair_make();
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
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

static DWORD WINAPI send_later(void *arg)
{
    Sleep(40);
    int error = 0;
    DWORD sent = 0;
    const struct pair *pair = arg;
    WSABUF buffer = {.len = 4, .buf = "wait"};
    return (DWORD)TABLE->lpWSPSendTo(pair->from, &buffer, 1, &sent, 0,
                                     (const struct sockaddr *)&pair->to_at, sizeof(pair->to_at),
                                     NULL, NULL, NULL, &error);
}

CASE(WSPGetOverlappedResult, over_result_wait, "fWait TRUE: waits for the event")
{
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
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
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 1;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "ab");
    overlapped_ends(pair.to, &op, WSAEMSGSIZE);
    overlapped_ends(pair.to, &op, WSAEMSGSIZE); /* as often as it is asked */
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_again,
     "the structure can be used again: the result is that of its last operation")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    for (int i = 1; i < 4; i++) {
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
        pair_send(&pair, i == 1 ? "a" : i == 2 ? "ab" : "abc");
        overlapped_ends(pair.to, &op, 0);
        assert_int_equal(op.transferred, i);
    }
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, over_result_flags, "lpdwFlags gets the receive's resulting lpFlags")
{
    struct pair pair = pair_make();
    struct overlapped_op op;
    DWORD bytes = 0, flags = 0;
    overlapped_make(&op);
    op.buffer.len = 1;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    pair_send(&pair, "ab");
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
    struct pair pair = pair_make();
    struct overlapped_op first, second;
    overlapped_make(&first);
    overlapped_make(&second);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &first));
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &second));
    pair_send(&pair, "abc");
    overlapped_ends(pair.to, &first, 0);
    assert_true(overlapped_pending(&second));
    pair_send(&pair, "d");
    overlapped_ends(pair.to, &second, 0);
    assert_int_equal(first.o.InternalHigh, 3);
    assert_int_equal(second.o.InternalHigh, 1);
    overlapped_drop(&first);
    overlapped_drop(&second);
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
    assert_false(is_set(&op));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, (DWORD)FIONREAD, NULL, 0, op.data, sizeof(DWORD), NULL,
                                       spi_bad_pointer(), NULL, NULL, &spi_error));
    overlapped_drop(&op);
}
