/*
 * Cases of urgent data: MSG_OOB, SO_OOBINLINE, SIOCATMARK.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

static void send_urgent(SOCKET s, const char *text)
{
    DWORD sent = 0;
    OK(spi_send_one(s, text, (DWORD)strlen(text), MSG_OOB, &sent));
    assert_int_equal(sent, strlen(text));
}

static void expect_urgent(SOCKET s, char wanted)
{
    char byte = 0;
    DWORD got;
    OK(stream_recv(s, &byte, 1, MSG_OOB, &got));
    assert_int_equal(got, 1);
    assert_int_equal(byte, wanted);
}

CASE(WSPRecv, oob_peek, "MSG_OOB with MSG_PEEK leaves the urgent byte")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    send_urgent(pair.client, "!");
    stream_await(pair.server, EXCEPT);
    for (unsigned i = 0; i < 2; i++) {
        OK(stream_recv(pair.server, &byte, 1, MSG_OOB | MSG_PEEK, &got));
        assert_int_equal(got, 1);
        assert_int_equal(byte, '!');
        assert_int_equal(stream_select(pair.server, EXCEPT, 0), EXCEPT);
    }
    expect_urgent(pair.server, '!');
}

CASE(WSPRecv, oob_once, "the urgent byte is read once")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    send_urgent(pair.client, "!");
    stream_await(pair.server, EXCEPT);
    expect_urgent(pair.server, '!');
    spi_nonblocking(pair.server);
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    FAILS(WSAEWOULDBLOCK, stream_recv(pair.server, &byte, 1, 0, &got));
}

CASE(WSPRecv, oob_blocks, "a blocking MSG_OOB receive waits for the urgent byte, past other data")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .flags = MSG_OOB};
    stream_begin(&call);
    stream_send(pair.client, "other");
    stream_await_bytes(pair.server, 5);
    assert_int_equal(WaitForSingleObject(call.thread, 0), WAIT_TIMEOUT);
    send_urgent(pair.client, "!");
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, 1);
    assert_int_equal(call.data[0], '!');
    stream_expect(pair.server, "other");
}

CASE(WSPRecv, oob_timeout, "SO_RCVTIMEO bounds it: WSAETIMEDOUT")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVTIMEO, 30));
    stream_send(pair.client, "other");
    FAILS(WSAETIMEDOUT, stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
}

CASE(WSPRecv, oob_end, "MSG_OOB at the end of the stream: 0 bytes")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got = 77;
    stream_close(pair.client);
    OK(stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    assert_int_equal(got, 0);
}

CASE(WSPRecv, oob_reset, "MSG_OOB on a reset connection: WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_abort(pair.client);
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
}

CASE(WSPRecv, oob_shut, "MSG_OOB after SD_RECEIVE: WSAESHUTDOWN; unconnected: WSAENOTCONN")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(TABLE->lpWSPShutdown(pair.server, SD_RECEIVE, &spi_error));
    FAILS(WSAESHUTDOWN, stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    FAILS(WSAENOTCONN, stream_recv(stream_new(), &byte, 1, MSG_OOB, &got));
}

CASE(WSPRecv, oob_second, "of two urgent bytes the later one counts; the first stays in the stream")
{
    struct stream_pair pair = stream_connected();
    send_urgent(pair.client, "a1");
    send_urgent(pair.client, "b2");
    stream_send(pair.client, "c");
    char text[8] = {0};
    /* Both marks may be seen, or only the second: the first byte is then one like the others. */
    for (unsigned i = 0; i < 5000 && text[0] != '2'; i++) {
        DWORD got;
        spi_nonblocking(pair.server);
        if (stream_recv(pair.server, text, 1, MSG_OOB, &got) != 0) {
            assert_int_equal(spi_error, WSAEWOULDBLOCK);
            Sleep(1);
        }
    }
    assert_int_equal(text[0], '2');
}

CASE(WSPRecv, oob_read_past, "an urgent byte that a reader skips can still be read out of band")
{
    struct stream_pair pair = stream_connected();
    send_urgent(pair.client, "ab!");
    stream_send(pair.client, "cd");
    stream_await(pair.server, EXCEPT);
    stream_expect(pair.server, "abcd");
    expect_urgent(pair.server, '!');
}

CASE(WSPRecv, oob_stops, "a read ends before the urgent byte, also MSG_WAITALL")
{
    struct stream_pair pair = stream_connected();
    char text[16];
    DWORD got;
    send_urgent(pair.client, "ab!");
    stream_send(pair.client, "cd");
    stream_await(pair.server, EXCEPT);
    OK(stream_recv(pair.server, text, 4, MSG_WAITALL, &got));
    assert_int_equal(got, 2);
    assert_memory_equal(text, "ab", 2);
    stream_expect(pair.server, "cd");
}

CASE(WSPRecv, oob_zero, "0 bytes of room for it: success, nothing given")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got = 77;
    send_urgent(pair.client, "!");
    stream_await(pair.server, EXCEPT);
    OK(stream_recv(pair.server, &byte, 0, MSG_OOB, &got));
    assert_int_equal(got, 0);
}

CASE(WSPSend, oob_nothing, "MSG_OOB with 0 bytes: success, nothing is urgent")
{
    struct stream_pair pair = stream_connected();
    DWORD sent = 77;
    OK(spi_send_one(pair.client, "", 0, MSG_OOB, &sent));
    assert_int_equal(sent, 0);
    stream_send(pair.client, "x");
    stream_expect(pair.server, "x");
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
}

CASE(WSPSend, oob_vector, "MSG_OOB with several buffers: the last byte of them all")
{
    struct stream_pair pair = stream_connected();
    WSABUF buffers[] = {{2, "ab"}, {0, NULL}, {2, "c!"}, {0, NULL}};
    DWORD sent = 0;
    OK(TABLE->lpWSPSend(pair.client, buffers, 4, &sent, MSG_OOB, NULL, NULL, NULL, &spi_error));
    assert_int_equal(sent, 4);
    stream_await(pair.server, EXCEPT);
    expect_urgent(pair.server, '!');
    stream_expect(pair.server, "abc");
}

CASE(WSPSend, oob_state, "MSG_OOB unconnected: WSAENOTCONN; after SD_SEND: WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    FAILS(WSAENOTCONN, spi_send_one(stream_new(), "x", 1, MSG_OOB, &sent));
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, MSG_OOB, &sent));
}

CASE(WSPSetSockOpt, oob_inline_later,
     "SO_OOBINLINE set when the urgent byte is there puts it in line")
{
    struct stream_pair pair = stream_connected();
    send_urgent(pair.client, "ab!");
    stream_await(pair.server, EXCEPT);
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_OOBINLINE, 1));
    assert_int_equal(stream_select(pair.server, READ | EXCEPT, 0), READ);
    stream_expect(pair.server, "ab!");
}

CASE(WSPIoctl, oob_mark_apart,
     "SIOCATMARK without SO_OOBINLINE: TRUE before the byte, and when it is read")
{
    struct stream_pair pair = stream_connected();
    send_urgent(pair.client, "ab!");
    stream_send(pair.client, "cd");
    stream_await(pair.server, EXCEPT);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)SIOCATMARK), 0);
    stream_expect(pair.server, "ab");
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)SIOCATMARK), 1);
    expect_urgent(pair.server, '!');
    stream_expect(pair.server, "cd");
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)SIOCATMARK), 1);
}

CASE(WSPIoctl, oob_mark_fault,
     "SIOCATMARK without room for its answer: WSAEFAULT; on datagrams WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    DWORD value;
    DWORD returned = 77;
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(pair.client, (DWORD)SIOCATMARK, NULL, 0, &value, 3,
                                       &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(pair.client, (DWORD)SIOCATMARK, NULL, 0, spi_bad_pointer(),
                                       4, &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(pair.client, (DWORD)SIOCATMARK, NULL, 0, &value,
                                       sizeof(value), NULL, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPIoctl(spi_udp(), (DWORD)SIOCATMARK, NULL, 0, &value, sizeof(value),
                                       &returned, NULL, NULL, NULL, &spi_error));
}

CASE(WSPIoctl, oob_readable, "FIONREAD counts to the urgent byte, then what is behind it")
{
    struct stream_pair pair = stream_connected();
    send_urgent(pair.client, "ab!");
    stream_send(pair.client, "cde");
    stream_await(pair.server, EXCEPT);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)FIONREAD), 2);
    stream_expect(pair.server, "ab");
    stream_await_bytes(pair.server, 3);
    stream_expect(pair.server, "cde");
}

CASE(WSPSend, oob_inline_sends, "MSG_OOB sends urgent data also on a socket with SO_OOBINLINE")
{
    struct stream_pair pair = stream_connected();
    char byte = 0;
    DWORD count;
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_OOBINLINE, TRUE));
    OK(spi_send_one(pair.client, "!", 1, MSG_OOB, &count));
    stream_await(pair.server, EXCEPT);
    OK(stream_recv(pair.server, &byte, 1, MSG_OOB, &count));
    assert_int_equal(byte, '!');
}
