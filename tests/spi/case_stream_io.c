/*
 * Cases of sending and receiving on connections.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

static int recv_vector(SOCKET s, WSABUF *buffers, DWORD count, DWORD flags, DWORD *received)
{
    *received = 0;
    return TABLE->lpWSPRecv(s, buffers, count, received, &flags, NULL, NULL, NULL, &spi_error);
}

/* ---- WSPSend ---- */

CASE(WSPSend, tcp_vector, "several buffers go out as one piece of the stream")
{
    struct stream_pair pair = stream_connected();
    WSABUF buffers[] = {{3, "one"}, {0, NULL}, {2, "tw"}, {6, "othree"}};
    DWORD sent = 0;
    OK(TABLE->lpWSPSend(pair.client, buffers, 4, &sent, 0, NULL, NULL, NULL, &spi_error));
    assert_int_equal(sent, 11);
    stream_expect(pair.server, "onetwothree");
}

CASE(WSPSend, tcp_send_state, "without a connection it is WSAENOTCONN")
{
    SOCKADDR_IN at;
    DWORD sent;
    FAILS(WSAENOTCONN, spi_send_one(stream_new(), "x", 1, 0, &sent));
    FAILS(WSAENOTCONN, spi_send_one(stream_bound(&at), "x", 1, 0, &sent));
    FAILS(WSAENOTCONN, spi_send_one(stream_listener(&at), "x", 1, 0, &sent));
}

CASE(WSPSend, tcp_connecting_send, "while it connects it is WSAENOTCONN, and so is receiving")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    DWORD count;
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    FAILS(WSAENOTCONN, spi_send_one(s, "x", 1, 0, &count));
    FAILS(WSAENOTCONN, stream_recv(s, &(char){0}, 1, 0, &count));
}

CASE(WSPSend, tcp_send_nothing, "0 bytes: success, and the peer sees nothing of it")
{
    struct stream_pair pair = stream_connected();
    DWORD sent = 77;
    OK(spi_send_one(pair.client, "", 0, 0, &sent));
    assert_int_equal(sent, 0);
    stream_send(pair.client, "x");
    stream_expect(pair.server, "x");
}

CASE(WSPSend, tcp_send_fault, "memory that cannot be read is WSAEFAULT, and nothing is sent")
{
    struct stream_pair pair = stream_connected();
    WSABUF buffers[] = {{3, "one"}, {4, spi_bad_pointer()}};
    DWORD sent = 0;
    FAILS(WSAEFAULT,
          TABLE->lpWSPSend(pair.client, buffers, 2, &sent, 0, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPSend(pair.client, spi_bad_pointer(), 1, &sent, 0, NULL, NULL, NULL,
                                      &spi_error));
    FAILS(WSAEFAULT, spi_send_one(pair.client, "x", 1, 0, NULL));
    stream_send(pair.client, "only");
    stream_expect(pair.server, "only");
}

CASE(WSPSend, tcp_send_flags,
     "MSG_PARTIAL and unknown flags are WSAEOPNOTSUPP, MSG_DONTROUTE is ignored")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    FAILS(WSAEOPNOTSUPP, spi_send_one(pair.client, "x", 1, MSG_PARTIAL, &sent));
    FAILS(WSAEOPNOTSUPP, spi_send_one(pair.client, "x", 1, 0x40000000, &sent));
    OK(spi_send_one(pair.client, "y", 1, MSG_DONTROUTE, &sent));
    stream_expect(pair.server, "y");
}

CASE(WSPSend, tcp_send_full,
     "non-blocking: a part, then WSAEWOULDBLOCK; room again when it was read")
{
    struct stream_pair pair = stream_connected();
    size_t bytes = stream_fill(pair.client);
    assert_int_equal(stream_select(pair.client, WRITE, 0), 0);
    stream_drain(pair.server, bytes);
    stream_await(pair.client, WRITE);
    stream_send(pair.client, "more");
    stream_expect(pair.server, "more");
}

CASE(WSPSend, tcp_send_timeout, "SO_SNDTIMEO bounds a blocking send: WSAETIMEDOUT")
{
    struct stream_pair pair = stream_connected();
    static char block[1 << 22];
    DWORD sent;
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_SNDTIMEO, 100));
    FAILS(WSAETIMEDOUT, spi_send_one(pair.client, block, sizeof(block), 0, &sent));
}

static DWORD WINAPI send_block(void *context)
{
    static char block[1 << 22];
    WSABUF buffer = {.len = sizeof(block), .buf = block};
    DWORD sent = 0;
    int error = 0;
    (void)TABLE->lpWSPSend(*(SOCKET *)context, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error);
    return sent;
}

CASE(WSPSend, tcp_send_all,
     "a blocking send returns when all is taken, however little room there is")
{
    struct stream_pair pair = stream_connected();
    static char block[65536];
    DWORD sent = 0;
    HANDLE thread = CreateThread(NULL, 0, send_block, &pair.client, 0, NULL);
    for (DWORD done = 0; done < 1u << 22;) {
        DWORD got;
        OK(stream_recv(pair.server, block, sizeof(block), 0, &got));
        assert_int_not_equal(got, 0);
        done += got;
    }
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    GetExitCodeThread(thread, &sent);
    CloseHandle(thread);
    assert_int_equal(sent, 1u << 22);
}

CASE(WSPSendTo, tcp_sendto, "the address is ignored on a connection, also an unreadable one")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN elsewhere = spi_at("198.51.100.1", 9);
    OK(spi_send_to_one(pair.client, "here", 4, &elsewhere));
    OK(spi_send_to_one(pair.client, "too", 3, spi_bad_pointer()));
    stream_expect(pair.server, "heretoo");
}

CASE(WSPSendTo, tcp_sendto_state, "an address does not connect: WSAENOTCONN")
{
    SOCKADDR_IN at;
    (void)stream_listener(&at);
    FAILS(WSAENOTCONN, spi_send_to_one(stream_new(), "x", 1, &at));
}

/* ---- WSPRecv ---- */

CASE(WSPRecv, tcp_recv_vector, "several buffers are filled in order")
{
    struct stream_pair pair = stream_connected();
    char a[3], b[1], c[8];
    WSABUF buffers[] = {{sizeof(a), a}, {0, NULL}, {sizeof(b), b}, {sizeof(c), c}};
    DWORD got;
    stream_send(pair.client, "abcdefg");
    stream_await_bytes(pair.server, 7);
    OK(recv_vector(pair.server, buffers, 4, 0, &got));
    assert_int_equal(got, 7);
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "d", 1);
    assert_memory_equal(c, "efg", 3);
}

CASE(WSPRecv, tcp_recv_part, "a small buffer leaves the rest; the flags come back as 0")
{
    struct stream_pair pair = stream_connected();
    char text[3];
    DWORD flags = MSG_PARTIAL | MSG_PUSH_IMMEDIATE;
    DWORD got = 0;
    stream_send(pair.client, "abcdefg");
    stream_await_bytes(pair.server, 7);
    OK(spi_recv_one(pair.server, text, 3, &flags, &got));
    assert_int_equal(got, 3);
    assert_int_equal(flags, 0);
    stream_expect(pair.server, "defg");
}

CASE(WSPRecv, tcp_recv_state, "without a connection it is WSAENOTCONN")
{
    SOCKADDR_IN at;
    char byte;
    DWORD got;
    FAILS(WSAENOTCONN, stream_recv(stream_new(), &byte, 1, 0, &got));
    FAILS(WSAENOTCONN, stream_recv(stream_bound(&at), &byte, 1, 0, &got));
    FAILS(WSAENOTCONN, stream_recv(stream_listener(&at), &byte, 1, 0, &got));
}

CASE(WSPRecv, tcp_recv_nonblocking, "nothing there: WSAEWOULDBLOCK")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    spi_nonblocking(pair.server);
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.server, &byte, 1, 0, &got));
}

CASE(WSPRecv, tcp_recv_timeout, "SO_RCVTIMEO bounds a blocking receive: WSAETIMEDOUT")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVTIMEO, 50));
    FAILS(WSAETIMEDOUT, stream_recv(pair.server, &byte, 1, 0, &got));
    stream_send(pair.client, "x");
    stream_expect(pair.server, "x");
}

CASE(WSPRecv, tcp_recv_fault, "memory that cannot be written is WSAEFAULT, and nothing is lost")
{
    struct stream_pair pair = stream_connected();
    DWORD flags = 0;
    DWORD got;
    char byte;
    stream_send(pair.client, "kept");
    FAILS(WSAEFAULT, spi_recv_one(pair.server, spi_bad_pointer(), 4, &flags, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.server, spi_read_only_page(), 4, &flags, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.server, &byte, 1, NULL, &got));
    FAILS(WSAEFAULT, spi_recv_one(pair.server, &byte, 1, &flags, NULL));
    stream_expect(pair.server, "kept");
}

CASE(WSPRecv, tcp_recv_peek, "MSG_PEEK reads without taking")
{
    struct stream_pair pair = stream_connected();
    char text[4];
    DWORD got;
    stream_send(pair.client, "peek");
    stream_await_bytes(pair.server, 4);
    for (unsigned i = 0; i < 2; i++) {
        OK(stream_recv(pair.server, text, 4, MSG_PEEK, &got));
        assert_int_equal(got, 4);
        assert_memory_equal(text, "peek", 4);
    }
    stream_expect(pair.server, "peek");
}

CASE(WSPRecv, tcp_recv_zero, "0 bytes of room wait for data and take none")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got = 77;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVTIMEO, 50));
    FAILS(WSAETIMEDOUT, stream_recv(pair.server, &byte, 0, 0, &got));
    stream_send(pair.client, "x");
    OK(stream_recv(pair.server, &byte, 0, 0, &got));
    assert_int_equal(got, 0);
    stream_expect(pair.server, "x");
}

static DWORD WINAPI send_halves(void *context)
{
    SOCKET s = *(SOCKET *)context;
    DWORD sent;
    int error;
    WSABUF first = {5, "first"}, second = {6, "second"};
    (void)TABLE->lpWSPSend(s, &first, 1, &sent, 0, NULL, NULL, NULL, &error);
    Sleep(50); /* not a rule of the test: the receiver has the first part by then */
    return (DWORD)TABLE->lpWSPSend(s, &second, 1, &sent, 0, NULL, NULL, NULL, &error);
}

CASE(WSPRecv, tcp_recv_waitall, "MSG_WAITALL fills the buffers")
{
    struct stream_pair pair = stream_connected();
    char text[11];
    DWORD got;
    HANDLE thread = CreateThread(NULL, 0, send_halves, &pair.client, 0, NULL);
    OK(stream_recv(pair.server, text, sizeof(text), MSG_WAITALL, &got));
    assert_int_equal(got, sizeof(text));
    assert_memory_equal(text, "firstsecond", sizeof(text));
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

CASE(WSPRecv, tcp_recv_waitall_end, "MSG_WAITALL gives less at the end of the stream")
{
    struct stream_pair pair = stream_connected();
    char text[100];
    DWORD got;
    stream_send(pair.client, "short");
    stream_close(pair.client);
    OK(stream_recv(pair.server, text, sizeof(text), MSG_WAITALL, &got));
    assert_int_equal(got, 5);
}

CASE(WSPRecv, tcp_recv_waitall_with,
     "MSG_WAITALL with PEEK, OOB or without blocking: WSAEOPNOTSUPP")
{
    struct stream_pair pair = stream_connected();
    char text[4];
    DWORD got;
    FAILS(WSAEOPNOTSUPP, stream_recv(pair.server, text, 4, MSG_WAITALL | MSG_PEEK, &got));
    FAILS(WSAEOPNOTSUPP, stream_recv(pair.server, text, 4, MSG_WAITALL | MSG_OOB, &got));
    spi_nonblocking(pair.server);
    FAILS(WSAEOPNOTSUPP, stream_recv(pair.server, text, 4, MSG_WAITALL, &got));
}

CASE(WSPRecv, tcp_recv_flags, "unknown flags are WSAEOPNOTSUPP")
{
    struct stream_pair pair = stream_connected();
    char text[4];
    DWORD got;
    FAILS(WSAEOPNOTSUPP, stream_recv(pair.server, text, 4, MSG_DONTROUTE, &got));
    FAILS(WSAEOPNOTSUPP, stream_recv(pair.server, text, 4, 0x40000000, &got));
}

CASE(WSPRecv, tcp_recv_before_reset, "an orderly end is 0 bytes, again and again")
{
    struct stream_pair pair = stream_connected();
    stream_close(pair.client);
    stream_expect_end(pair.server);
    stream_expect_end(pair.server);
}

CASE(WSPRecvFrom, tcp_recvfrom, "the address is not given, its pointers are not looked at")
{
    struct stream_pair pair = stream_connected();
    char text[4];
    WSABUF buffer = {.len = 4, .buf = text};
    SOCKADDR_IN from;
    DWORD got = 0;
    DWORD flags = 0;
    memset(&from, 0x5a, sizeof(from));
    stream_send(pair.client, "from");
    stream_await_bytes(pair.server, 4);
    OK(TABLE->lpWSPRecvFrom(pair.server, &buffer, 1, &got, &flags, (struct sockaddr *)&from, NULL,
                            NULL, NULL, NULL, &spi_error));
    assert_int_equal(got, 4);
    assert_int_equal(from.sin_family, 0x5a5a);
}

/* ---- urgent data ---- */

CASE(WSPSend, tcp_oob, "MSG_OOB: the last byte is urgent, read apart from the others")
{
    struct stream_pair pair = stream_connected();
    char text[8];
    DWORD sent = 0;
    DWORD got;
    OK(spi_send_one(pair.client, "ab!", 3, MSG_OOB, &sent));
    stream_send(pair.client, "cd");
    stream_await(pair.server, EXCEPT);
    OK(stream_recv(pair.server, text, sizeof(text), MSG_OOB, &got));
    assert_int_equal(got, 1);
    assert_int_equal(text[0], '!');
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
    stream_expect(pair.server, "abcd");
}

CASE(WSPRecv, tcp_oob_none, "MSG_OOB without an urgent byte: WSAEWOULDBLOCK when non-blocking")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    spi_nonblocking(pair.server);
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
}

CASE(WSPRecv, tcp_oob_inline, "SO_OOBINLINE: the byte stays in the stream, MSG_OOB is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD sent = 0;
    DWORD got;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_OOBINLINE, 1));
    OK(spi_send_one(pair.client, "ab!", 3, MSG_OOB, &sent));
    FAILS(WSAEINVAL, stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    stream_expect(pair.server, "ab!");
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
}

CASE(WSPIoctl, tcp_mark, "SIOCATMARK: FALSE while bytes lie before the mark, a read stops there")
{
    struct stream_pair pair = stream_connected();
    char text[8];
    DWORD sent = 0;
    DWORD got;
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)SIOCATMARK), 1);
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_OOBINLINE, 1));
    OK(spi_send_one(pair.client, "ab!", 3, MSG_OOB, &sent));
    stream_send(pair.client, "cd");
    stream_await_bytes(pair.server, 2);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)SIOCATMARK), 0);
    OK(stream_recv(pair.server, text, sizeof(text), 0, &got));
    assert_int_equal(got, 2);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)SIOCATMARK), 1);
    stream_expect(pair.server, "!cd");
}

/* ---- shapes of buffers, and ends ---- */

CASE(WSPSend, tcp_many_buffers, "a thousand buffers each way are one piece each")
{
    enum { COUNT = 1000 };
    static WSABUF out[COUNT], in[COUNT];
    static char sent_bytes[COUNT], got_bytes[COUNT];
    struct stream_pair pair = stream_connected();
    DWORD count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        sent_bytes[i] = (char)(i * 7);
        out[i] = (WSABUF){1, &sent_bytes[i]};
        in[i] = (WSABUF){1, &got_bytes[i]};
    }
    OK(TABLE->lpWSPSend(pair.client, out, COUNT, &count, 0, NULL, NULL, NULL, &spi_error));
    assert_int_equal(count, COUNT);
    stream_await_bytes(pair.server, COUNT);
    OK(recv_vector(pair.server, in, COUNT, 0, &count));
    assert_int_equal(count, COUNT);
    assert_memory_equal(sent_bytes, got_bytes, COUNT);
}

CASE(WSPSend, tcp_no_buffers, "no buffers at all are WSAEINVAL, more than 65536 WSAENOBUFS")
{
    struct stream_pair pair = stream_connected();
    WSABUF buffer = {1, "x"};
    DWORD count = 0;
    DWORD flags = 0;
    FAILS(WSAEINVAL,
          TABLE->lpWSPSend(pair.client, &buffer, 0, &count, 0, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEINVAL,
          TABLE->lpWSPRecv(pair.client, &buffer, 0, &count, &flags, NULL, NULL, NULL, &spi_error));
    FAILS(WSAENOBUFS,
          TABLE->lpWSPSend(pair.client, &buffer, 65537, &count, 0, NULL, NULL, NULL, &spi_error));
}

CASE(WSPSend, tcp_overlapped_ignored, "without WSA_FLAG_OVERLAPPED an OVERLAPPED is ignored")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = spi_new_of(SOCK_STREAM, IPPROTO_TCP, 0);
    WSAOVERLAPPED overlapped = {0};
    WSABUF buffer = {2, "in"};
    DWORD sent = 0;
    OK(spi_connect_to(s, &at));
    OK(TABLE->lpWSPSend(s, &buffer, 1, &sent, 0, &overlapped, NULL, NULL, &spi_error));
    assert_int_equal(sent, 2);
    stream_expect(stream_accept(listener), "in");
}

CASE(WSPRecv, tcp_waitall_long, "MSG_WAITALL fills more than the receive buffer has room for")
{
    struct stream_pair pair = stream_connected();
    static char block[1 << 22];
    struct stream_call call = {.kind = CALL_SEND, .s = pair.client};
    DWORD got;
    stream_begin(&call);
    OK(stream_recv(pair.server, block, sizeof(block), MSG_WAITALL, &got));
    assert_int_equal(got, sizeof(block));
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, sizeof(block));
}

CASE(WSPRecv, tcp_waitall_timeout, "SO_RCVTIMEO and MSG_WAITALL: what there is, or WSAETIMEDOUT")
{
    struct stream_pair pair = stream_connected();
    char text[16];
    DWORD got;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVTIMEO, 50));
    FAILS(WSAETIMEDOUT, stream_recv(pair.server, text, sizeof(text), MSG_WAITALL, &got));
    stream_send(pair.client, "part");
    stream_await_bytes(pair.server, 4);
    OK(stream_recv(pair.server, text, sizeof(text), MSG_WAITALL, &got));
    assert_int_equal(got, 4);
}

CASE(WSPRecv, tcp_waitall_reset, "MSG_WAITALL and a reset: what there was, then WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {
        .kind = CALL_RECV, .s = pair.server, .flags = MSG_WAITALL, .bytes = 16};
    char byte;
    DWORD got;
    stream_send(pair.client, "part");
    stream_begin(&call);
    stream_abort(pair.client);
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, 4);
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, 0, &got));
}

CASE(WSPRecv, tcp_peek_ends, "MSG_PEEK at the end: 0; on a reset connection: WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got = 77;
    stream_close(pair.client);
    for (unsigned i = 0; i < 2; i++) {
        OK(stream_recv(pair.server, &byte, 1, MSG_PEEK, &got));
        assert_int_equal(got, 0);
    }
    pair = stream_connected();
    stream_abort(pair.client);
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, MSG_PEEK, &got));
}

CASE(WSPRecv, tcp_peek_room, "MSG_PEEK of all there is opens no window, and loses nothing")
{
    struct stream_pair pair = stream_connected();
    static char block[1 << 20];
    DWORD got;
    size_t bytes = stream_fill(pair.client);
    OK(stream_recv(pair.server, block, sizeof(block), MSG_PEEK, &got));
    assert_int_equal(stream_select(pair.client, WRITE, 20), 0);
    stream_drain(pair.server, bytes);
    stream_await(pair.client, WRITE);
}

CASE(WSPRecv, tcp_zero_ends, "0 bytes of room: success at the end, WSAECONNRESET on a reset one")
{
    struct stream_pair pair = stream_connected();
    DWORD got;
    stream_close(pair.client);
    OK(stream_recv(pair.server, NULL, 0, 0, &got));
    pair = stream_connected();
    stream_abort(pair.client);
    FAILS(WSAECONNRESET, stream_recv(pair.server, NULL, 0, 0, &got));
}

CASE(WSPGetSockOpt, tcp_error_after, "SO_ERROR of a reset connection: once; calls fail on")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    assert_int_equal(spi_get_dword(pair.client, SOL_SOCKET, SO_ERROR), WSAECONNRESET);
    assert_int_equal(spi_get_dword(pair.client, SOL_SOCKET, SO_ERROR), 0);
    FAILS(WSAECONNRESET, stream_recv(pair.client, &byte, 1, 0, &got));
    FAILS(WSAECONNRESET, spi_send_one(pair.client, "x", 1, 0, &got));
}
