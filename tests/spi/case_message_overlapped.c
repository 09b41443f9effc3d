/*
 * Cases of overlapped WSARecvMsg and WSASendMsg. Rules of their pages, and of those of WSARecv and
 * WSAGetOverlappedResult for what all overlapped calls have in common.
 */
#include <stdio.h>
#include <string.h>

#include "tests/spi/message_kit.h"
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

static void is_text(const struct message *message, DWORD bytes, const char *text)
{
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(message->data, text, strlen(text));
}

static struct message message, second;
static struct overlapped_op op, other;

static void begin(void)
{
    message_clear(&message);
    message_clear(&second);
    overlapped_make(&op);
    overlapped_make(&other);
}

static void end(void)
{
    overlapped_drop(&op);
    overlapped_drop(&other);
}

/* ---- WSARecvMsg ---- */

CASE(WSARecvMsg, msg_over_recv_pends, "overlapped without data: WSA_IO_PENDING, then the event")
{
    struct pair pair = pair_make();
    begin();
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    assert_true(overlapped_pending(&op));
    assert_false(is_set(&op));
    pair_send(&pair, "late");
    overlapped_ends(pair.to, &op, 0);
    is_text(&message, op.transferred, "late");
    assert_int_equal(message.name.sin_port, pair.from_at.sin_port);
    assert_int_equal(message.msg.namelen, sizeof(SOCKADDR_IN));
    assert_int_equal(message.msg.dwFlags, 0);
    assert_int_equal(message.msg.Control.len, 0);
    end();
}

CASE(WSARecvMsg, msg_over_recv_at_once,
     "overlapped with data there: 0, the count, and the event is set all the same")
{
    struct pair pair = pair_make();
    begin();
    pair_send(&pair, "now");
    spi_await_readable(pair.to);
    OK(message_recv_over(pair.to, &message, &op.o, NULL));
    is_text(&message, message.bytes, "now");
    assert_true(is_set(&op));
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(op.transferred, 3);
    end();
}

CASE(WSARecvMsg, msg_over_recv_null_count,
     "lpdwNumberOfBytesRecvd may be NULL when lpOverlapped is not, and only then")
{
    struct pair pair = pair_make();
    begin();
    LPFN_WSARECVMSG function = message_recv_function();
    assert_int_equal(function(pair.to, &message.msg, NULL, &op.o, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSA_IO_PENDING);
    pair_send(&pair, "xy");
    overlapped_ends(pair.to, &op, 0);
    is_text(&message, op.transferred, "xy");
    assert_int_equal(function(pair.to, &second.msg, NULL, NULL, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSAEFAULT);
    end();
}

CASE(WSARecvMsg, msg_over_recv_control, "control data come with the completion")
{
    struct pair pair = pair_make();
    begin();
    OK(spi_set_dword(pair.to, IPPROTO_IP, IP_PKTINFO, TRUE));
    OK(spi_set_dword(pair.to, IPPROTO_IP, IP_RECVTTL, TRUE));
    OK(spi_set_dword(pair.from, IPPROTO_IP, IP_TTL, 77));
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    assert_int_equal(message_objects(&message), 2);
    assert_int_equal(message_pktinfo(&message).ipi_addr.s_addr, pair.to_at.sin_addr.s_addr);
    assert_int_equal(message_int(&message, IPPROTO_IP, IP_TTL), 77);
    end();
}

CASE(WSARecvMsg, msg_over_recv_too_long,
     "a datagram longer than the buffers completes with WSAEMSGSIZE and MSG_TRUNC")
{
    struct pair pair = pair_make();
    begin();
    message.buffer.len = 2;
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    pair_send(&pair, "long");
    overlapped_ends(pair.to, &op, WSAEMSGSIZE);
    assert_memory_equal(message.data, "lo", 2);
    assert_int_equal(message.msg.dwFlags, MSG_TRUNC);
    assert_int_equal(op.o.InternalHigh, 2);
    end();
}

CASE(WSARecvMsg, msg_over_recv_no_room,
     "control data that do not fit complete with WSAEMSGSIZE and MSG_CTRUNC")
{
    struct pair pair = pair_make();
    begin();
    OK(spi_set_dword(pair.to, IPPROTO_IP, IP_PKTINFO, TRUE));
    message.msg.Control.len = 4;
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, WSAEMSGSIZE);
    assert_int_equal(message.msg.dwFlags, MSG_CTRUNC);
    assert_int_equal(message.data[0], 'x');
    end();
}

CASE(WSARecvMsg, msg_over_recv_routine,
     "a completion routine runs in the thread that called, in an alertable wait")
{
    struct pair pair = pair_make();
    begin();
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, overlapped_routine));
    pair_send(&pair, "rout");
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_calls, 1);
    assert_int_equal(op.routine_thread, GetCurrentThreadId());
    assert_int_equal(op.routine_code, 0);
    assert_int_equal(op.routine_bytes, 4);
    is_text(&message, op.routine_bytes, "rout");
    end();
}

CASE(WSARecvMsg, msg_over_recv_routine_at_once,
     "done at once the routine is queued all the same, and runs in an alertable wait")
{
    struct pair pair = pair_make();
    begin();
    pair_send(&pair, "now");
    spi_await_readable(pair.to);
    OK(message_recv_over(pair.to, &message, &op.o, overlapped_routine));
    assert_int_equal(op.routine_calls, 0);
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_bytes, 3);
    end();
}

CASE(WSARecvMsg, msg_over_recv_port, "a completion port gets a packet with key, bytes, structure")
{
    struct pair pair = pair_make();
    ULONG_PTR key = 0;
    DWORD bytes = 0;
    LPOVERLAPPED done = NULL;
    begin();
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    assert_int_equal(host_handle_set_port(pair.to, port, 4711), 0);
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    pair_send(&pair, "port");
    assert_true(GetQueuedCompletionStatus(port, &bytes, &key, &done, OVERLAPPED_SOON_MS));
    assert_ptr_equal(done, &op.o);
    assert_int_equal(key, 4711);
    is_text(&message, bytes, "port");
    CloseHandle(port);
    end();
}

CASE(WSARecvMsg, msg_over_recv_order,
     "WSARecvMsg and WSARecv of one socket complete in the order in which they were posted")
{
    struct pair pair = pair_make();
    begin();
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    struct overlapped_op between;
    overlapped_make(&between);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &between));
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &second, &other.o, NULL));
    pair_send(&pair, "1");
    pair_send(&pair, "2");
    pair_send(&pair, "3");
    overlapped_ends(pair.to, &op, 0);
    overlapped_ends(pair.to, &between, 0);
    overlapped_ends(pair.to, &other, 0);
    assert_int_equal(message.data[0], '1');
    assert_int_equal(between.data[0], '2');
    assert_int_equal(second.data[0], '3');
    overlapped_drop(&between);
    end();
}

CASE(WSARecvMsg, msg_over_recv_behind,
     "a call that does not block has its turn behind an overlapped one: WSAEWOULDBLOCK")
{
    struct pair pair = pair_make();
    begin();
    spi_nonblocking(pair.to);
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    FAILS(WSAEWOULDBLOCK, message_recv(pair.to, &second));
    pair_send(&pair, "first");
    overlapped_ends(pair.to, &op, 0);
    is_text(&message, op.transferred, "first");
    end();
}

static DWORD WINAPI send_two(void *arg)
{
    const struct pair *pair = arg;
    (void)spi_send_to_one(pair->from, "1", 1, &pair->to_at);
    (void)spi_send_to_one(pair->from, "2", 1, &pair->to_at);
    return 0;
}

CASE(WSARecvMsg, msg_over_recv_waits,
     "a blocking call gets the datagram behind an overlapped one's")
{
    struct pair pair = pair_make();
    begin();
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    HANDLE thread = CreateThread(NULL, 0, send_two, &pair, 0, NULL);
    OK(message_recv(pair.to, &second));
    is_text(&second, second.bytes, "2");
    overlapped_ends(pair.to, &op, 0);
    is_text(&message, op.transferred, "1");
    assert_int_equal(WaitForSingleObject(thread, OVERLAPPED_SOON_MS), WAIT_OBJECT_0);
    CloseHandle(thread);
    end();
}

CASE(WSARecvMsg, msg_over_recv_timeout,
     "SO_RCVTIMEO ends a blocking call behind an overlapped one, not that one")
{
    struct pair pair = pair_make();
    begin();
    OK(spi_set_dword(pair.to, SOL_SOCKET, SO_RCVTIMEO, 20));
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    FAILS(WSAETIMEDOUT, message_recv(pair.to, &second));
    assert_true(overlapped_pending(&op));
    pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    end();
}

CASE(WSARecvMsg, msg_over_recv_close, "closing the socket ends it with WSA_OPERATION_ABORTED")
{
    struct pair pair = pair_make();
    begin();
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &second, &other.o, NULL));
    OK(TABLE->lpWSPCloseSocket(pair.to, &spi_error));
    spi_forget(pair.to);
    overlapped_aborted(&op);
    overlapped_aborted(&other);
    end();
}

CASE(WSARecvMsg, msg_over_recv_captured, "the WSABUF array may be given back while it is pending")
{
    struct pair pair = pair_make();
    char first[2], rest[8];
    WSABUF buffers[2] = {{.len = 2, .buf = first}, {.len = 8, .buf = rest}};
    begin();
    message.msg.lpBuffers = buffers;
    message.msg.dwBufferCount = 2;
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    memset(buffers, 0, sizeof(buffers));
    pair_send(&pair, "abcdef");
    overlapped_ends(pair.to, &op, 0);
    assert_memory_equal(first, "ab", 2);
    assert_memory_equal(rest, "cdef", 4);
    end();
}

CASE(WSARecvMsg, msg_over_recv_gone,
     "memory that was given back meanwhile ends it with WSAEFAULT; the datagram waits on")
{
    struct pair pair = pair_make();
    char data[8];
    DWORD got = 0;
    begin();
    void *page = VirtualAlloc(NULL, 4096, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    message.msg.Control = (WSABUF){64, page};
    FAILS(WSA_IO_PENDING, message_recv_over(pair.to, &message, &op.o, NULL));
    assert_true(VirtualFree(page, 0, MEM_RELEASE));
    pair_send(&pair, "kept");
    overlapped_ends(pair.to, &op, WSAEFAULT);
    OK(spi_recv_from_one(pair.to, data, sizeof(data), NULL, &got));
    assert_int_equal(got, 4);
    end();
}

CASE(WSARecvMsg, msg_over_recv_refused,
     "an error but WSA_IO_PENDING: it was not started, and nothing is signalled")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    begin();
    message.msg.dwFlags = MSG_OOB;
    FAILS(WSAEOPNOTSUPP, message_recv_over(s, &message, &op.o, NULL));
    message.msg.dwFlags = 0;
    message.buffer.buf = spi_bad_pointer();
    FAILS(WSAEFAULT, message_recv_over(s, &message, &op.o, NULL));
    message.msg.dwBufferCount = 0;
    FAILS(WSAEINVAL, message_recv_over(s, &message, &op.o, NULL));
    FAILS(WSAEFAULT, message_recv_over(s, &second, spi_bad_pointer(), NULL));
    FAILS(WSAEINVAL, message_recv_over(spi_udp(), &second, &op.o, NULL)); /* not bound */
    assert_false(is_set(&op));
    assert_false(overlapped_pending(&op));
    end();
}

CASE(WSARecvMsg, msg_over_recv_ignored,
     "lpOverlapped is ignored on a socket without WSA_FLAG_OVERLAPPED")
{
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    SOCKET s = spi_new(0);
    begin();
    OK(spi_bind_at(s, &any));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, message_recv_over(s, &message, &op.o, NULL));
    end();
}

/* ---- WSASendMsg ---- */

CASE(WSASendMsg, msg_over_send, "overlapped with room: 0, the count, and the event is set")
{
    struct pair pair = pair_make();
    begin();
    message_make(&message, "hello", 5, &pair.to_at);
    OK(message_send_over(pair.from, &message, &op.o, NULL));
    assert_int_equal(message.bytes, 5);
    assert_true(is_set(&op));
    overlapped_ends(pair.from, &op, 0);
    assert_int_equal(op.transferred, 5);
    OK(message_recv(pair.to, &second));
    is_text(&second, second.bytes, "hello");
    end();
}

CASE(WSASendMsg, msg_over_send_control, "control data are those of the overlapped datagram, too")
{
    struct pair pair = pair_make();
    begin();
    OK(spi_set_dword(pair.to, IPPROTO_IP, IP_RECVTTL, TRUE));
    message_make(&message, "x", 1, &pair.to_at);
    message_add_int(&message, IPPROTO_IP, IP_TTL, 9);
    OK(message_send_over(pair.from, &message, &op.o, NULL));
    OK(message_recv(pair.to, &second));
    assert_int_equal(message_int(&second, IPPROTO_IP, IP_TTL), 9);
    end();
}

CASE(WSASendMsg, msg_over_send_null_count,
     "lpNumberOfBytesSent may be NULL when lpOverlapped is not, and only then")
{
    struct pair pair = pair_make();
    LPFN_WSASENDMSG function = message_send_function();
    begin();
    message_make(&message, "xy", 2, &pair.to_at);
    assert_int_equal(function(pair.from, &message.msg, 0, NULL, &op.o, NULL), 0);
    overlapped_ends(pair.from, &op, 0);
    assert_int_equal(op.transferred, 2);
    assert_int_equal(function(pair.from, &message.msg, 0, NULL, NULL, NULL), SOCKET_ERROR);
    assert_int_equal(GetLastError(), WSAEFAULT);
    end();
}

CASE(WSASendMsg, msg_over_send_routine, "a completion routine runs in an alertable wait")
{
    struct pair pair = pair_make();
    begin();
    message_make(&message, "abc", 3, &pair.to_at);
    OK(message_send_over(pair.from, &message, &op.o, overlapped_routine));
    assert_int_equal(op.routine_calls, 0);
    overlapped_await_routine(&op);
    assert_int_equal(op.routine_code, 0);
    assert_int_equal(op.routine_bytes, 3);
    end();
}

CASE(WSASendMsg, msg_over_send_refused,
     "an error but WSA_IO_PENDING: it was not started, and nothing is signalled")
{
    struct pair pair = pair_make();
    begin();
    message_make(&message, "x", 1, NULL);
    FAILS(WSAENOTCONN, message_send_over(pair.from, &message, &op.o, NULL));
    message_make(&message, "x", 1, &pair.to_at);
    message_add_int(&message, IPPROTO_IP, IP_TTL, 0);
    FAILS(WSAEINVAL, message_send_over(pair.from, &message, &op.o, NULL));
    message_make(&message, "x", 1, &pair.to_at);
    FAILS(WSAEFAULT, message_send_over(pair.from, &message, spi_bad_pointer(), NULL));
    message.buffer.buf = spi_bad_pointer();
    FAILS(WSAEFAULT, message_send_over(pair.from, &message, &op.o, NULL));
    assert_false(is_set(&op));
    assert_false(overlapped_pending(&op));
    end();
}

#define MANY_OPS   100
#define MANY_BYTES MESSAGE_BYTES

CASE(WSASendMsg, msg_over_send_many,
     "more than fits at once: those that pend are sent in their order, none is lost")
{
    static struct message out[MANY_OPS];
    static struct overlapped_op ops[MANY_OPS];
    struct pair pair = pair_make();
    LPFN_WSASENDMSG function = message_send_function();
    unsigned pending = 0;
    begin();
    OK(spi_set_dword(pair.from, SOL_SOCKET, SO_SNDBUF, 4096));
    OK(spi_set_dword(pair.to, SOL_SOCKET, SO_RCVBUF, 1 << 20));
    for (unsigned i = 0; i < MANY_OPS; i++) {
        message_make(&out[i], "", 0, &pair.to_at);
        memset(out[i].data, (int)i, MANY_BYTES);
        out[i].buffer.len = MANY_BYTES;
        overlapped_make(&ops[i]);
        if (function(pair.from, &out[i].msg, 0, NULL, &ops[i].o, NULL) == SOCKET_ERROR) {
            assert_int_equal(GetLastError(), WSA_IO_PENDING);
            pending++;
        }
    }
    for (unsigned i = 0; i < MANY_OPS; i++) {
        overlapped_ends(pair.from, &ops[i], 0);
        assert_int_equal(ops[i].transferred, MANY_BYTES);
        message_clear(&message);
        OK(message_recv(pair.to, &message));
        assert_int_equal((unsigned char)message.data[MANY_BYTES - 1], i);
        overlapped_drop(&ops[i]);
    }
    print_message("%u of %u pended\n", pending, MANY_OPS);
    end();
}

/* ---- behind the last WSPCleanup ---- */

static void cleaned(SOCKET s)
{
    LPFN_WSARECVMSG recv_msg = message_recv_function();
    LPFN_WSASENDMSG send_msg = message_send_function();
    message_clear(&message);
    spi_forget(s);
    OK(TABLE->lpWSPCleanup(&spi_error));
    SetLastError(0);
    int received = recv_msg(s, &message.msg, &message.bytes, NULL, NULL);
    DWORD recv_error = GetLastError();
    SetLastError(0);
    int sent = send_msg(s, &message.msg, 0, &message.bytes, NULL, NULL);
    DWORD send_error = GetLastError();
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(received, SOCKET_ERROR);
    assert_int_equal(recv_error, WSANOTINITIALISED);
    assert_int_equal(sent, SOCKET_ERROR);
    assert_int_equal(send_error, WSANOTINITIALISED);
}

CASE(WSARecvMsg, msg_cleaned, "WSANOTINITIALISED behind the last WSPCleanup, WSASendMsg, too")
{
    cleaned(spi_bound(NULL));
}
