/*
 * Overlapped sends and receives of streams. Rules of the pages of WSPRecv, WSPSend, WSPShutdown and
 * WSPCloseSocket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/spi/overlapped_kit.h"
#include "tests/spi/stream_kit.h"

CASE(WSPRecv, over_stream_pends, "overlapped without data: WSA_IO_PENDING, then what comes")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    stream_send(pair.client, "bytes");
    overlapped_ends(pair.server, &op, 0);
    assert_int_equal(op.transferred, 5);
    assert_memory_equal(op.data, "bytes", 5);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_order, "overlapped receives get the stream's bytes in their order")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op ops[4];
    for (int i = 0; i < 4; i++) {
        overlapped_make(&ops[i]);
        ops[i].buffer.len = 2;
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &ops[i]));
    }
    stream_send(pair.client, "00112233");
    for (int i = 0; i < 4; i++) {
        overlapped_ends(pair.server, &ops[i], 0);
        assert_int_equal(ops[i].transferred, 2);
        assert_int_equal(ops[i].data[0], '0' + i);
        assert_int_equal(ops[i].data[1], '0' + i);
        overlapped_drop(&ops[i]);
    }
}

CASE(
    WSPRecv, over_stream_nothing,
    "overlapped with buffers of 0 bytes ends when there is something to receive, and takes nothing")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 0;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 30), WAIT_TIMEOUT);
    stream_send(pair.client, "kept");
    overlapped_ends(pair.server, &op, 0);
    assert_int_equal(op.transferred, 0);
    stream_expect(pair.server, "kept");
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_end, "the peer's end completes an overlapped receive with 0 bytes")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op ops[2];
    for (int i = 0; i < 2; i++) {
        overlapped_make(&ops[i]);
        FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &ops[i]));
    }
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    for (int i = 0; i < 2; i++) {
        overlapped_ends(pair.server, &ops[i], 0);
        assert_int_equal(ops[i].transferred, 0);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPRecv, over_stream_reset, "a reset completes overlapped receives with WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    stream_abort(pair.client);
    overlapped_ends(pair.server, &op, WSAECONNRESET);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_not_connected, "overlapped without a connection: WSAENOTCONN at once")
{
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSAENOTCONN, overlapped_recv(stream_new(), &op));
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 0), WAIT_TIMEOUT);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_waitall, "MSG_WAITALL overlapped: completes when the buffer is full")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 6;
    op.flags = MSG_WAITALL;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    stream_send(pair.client, "abc");
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 30), WAIT_TIMEOUT);
    stream_send(pair.client, "defg");
    overlapped_ends(pair.server, &op, 0);
    assert_int_equal(op.transferred, 6);
    assert_memory_equal(op.data, "abcdef", 6);
    stream_expect(pair.server, "g");
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_waitall_end, "MSG_WAITALL overlapped: the peer's end completes it short")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    op.flags = MSG_WAITALL;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    stream_send(pair.client, "abc");
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    overlapped_ends(pair.server, &op, 0);
    assert_int_equal(op.transferred, 3);
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_waitall_nonblocking,
     "MSG_WAITALL on a non-blocking socket, or with MSG_PEEK: WSAEOPNOTSUPP")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    op.flags = MSG_WAITALL | MSG_PEEK;
    FAILS(WSAEOPNOTSUPP, overlapped_recv(pair.server, &op));
    spi_nonblocking(pair.server);
    op.flags = MSG_WAITALL;
    FAILS(WSAEOPNOTSUPP, overlapped_recv(pair.server, &op));
    overlapped_drop(&op);
}

CASE(WSPRecv, over_stream_urgent, "MSG_OOB overlapped gets the urgent byte, before what waits")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op plain, urgent;
    DWORD sent = 0;
    overlapped_make(&plain);
    overlapped_make(&urgent);
    urgent.flags = MSG_OOB;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &plain));
    stream_send(pair.client, "a");
    overlapped_ends(pair.server, &plain, 0);
    OK(spi_send_one(pair.client, "!", 1, MSG_OOB, &sent));
    stream_await(pair.server, EXCEPT);
    OK(overlapped_recv(pair.server, &urgent));
    assert_int_equal(urgent.transferred, 1);
    assert_int_equal(urgent.data[0], '!');
    overlapped_drop(&plain);
    overlapped_drop(&urgent);
}

CASE(WSPRecv, over_stream_sync_behind, "a blocking receive waits its turn behind overlapped ones")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    op.buffer.len = 3;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .bytes = 8};
    stream_begin(&call);
    stream_send(pair.client, "onetwo");
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, 3);
    assert_memory_equal(call.data, "two", 3);
    overlapped_ends(pair.server, &op, 0);
    assert_memory_equal(op.data, "one", 3);
    overlapped_drop(&op);
}

CASE(WSPCloseSocket, over_stream_close_sync,
     "a blocking receive behind overlapped ones ends with WSAEINTR when the socket closes")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .bytes = 8};
    stream_begin(&call);
    stream_close(pair.server);
    stream_cancelled(&call);
    overlapped_aborted(&op);
    overlapped_drop(&op);
}

CASE(WSPCloseSocket, over_stream_close, "pending sends and receives end with WSA_OPERATION_ABORTED")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op in, out;
    overlapped_make(&in);
    overlapped_make(&out);
    (void)stream_fill(pair.client);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.client, &in));
    FAILS(WSA_IO_PENDING, overlapped_send(pair.client, &out, "never"));
    stream_close(pair.client);
    overlapped_aborted(&in);
    overlapped_aborted(&out);
    overlapped_drop(&in);
    overlapped_drop(&out);
}

CASE(WSPShutdown, over_stream_shutdown, "SD_SEND ends pending sends with WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected_apart();
    struct overlapped_op op;
    overlapped_make(&op);
    (void)stream_fill(pair.client);
    FAILS(WSA_IO_PENDING, overlapped_send(pair.client, &op, "never"));
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    overlapped_ends(pair.client, &op, WSAESHUTDOWN);
    overlapped_drop(&op);
}

CASE(WSPSend, over_stream_send, "overlapped with room: 0, the count, and the event is set")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    OK(overlapped_send(pair.client, &op, "send"));
    assert_int_equal(op.transferred, 4);
    assert_int_equal(WaitForSingleObject(op.o.hEvent, 0), WAIT_OBJECT_0);
    stream_expect(pair.server, "send");
    overlapped_drop(&op);
}

CASE(WSPSend, over_stream_send_pends,
     "overlapped without room: WSA_IO_PENDING, also on a non-blocking socket, then all of it")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    size_t filled = stream_fill(pair.client);
    FAILS(WSA_IO_PENDING, overlapped_send(pair.client, &op, "behind"));
    stream_drain(pair.server, filled);
    stream_expect(pair.server, "behind");
    overlapped_ends(pair.client, &op, 0);
    assert_int_equal(op.transferred, 6);
    overlapped_drop(&op);
}

CASE(WSPSend, over_stream_send_order, "overlapped sends leave in the order they were made")
{
    enum { SENDS = 500 };
    static struct overlapped_op ops[SENDS];
    struct stream_pair pair = stream_connected();
    char text[9];
    size_t filled = stream_fill(pair.client);
    for (unsigned i = 0; i < SENDS; i++) {
        overlapped_make(&ops[i]);
        snprintf(text, sizeof(text), "%08u", i);
        FAILS(WSA_IO_PENDING, overlapped_send(pair.client, &ops[i], text));
    }
    stream_drain(pair.server, filled);
    for (unsigned i = 0; i < SENDS; i++) {
        snprintf(text, sizeof(text), "%08u", i);
        stream_expect(pair.server, text);
        overlapped_ends(pair.client, &ops[i], 0);
        assert_int_equal(ops[i].transferred, 8);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPSend, over_stream_send_large,
     "an overlapped send larger than all buffers completes when the last byte is taken")
{
    enum { BYTES = 3 << 20 };
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    char *block = malloc(BYTES);
    assert_non_null(block);
    for (size_t i = 0; i < BYTES; i++) {
        block[i] = (char)(i * 7 + (i >> 9));
    }
    op.buffer = (WSABUF){.len = BYTES, .buf = block};
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPSend(pair.client, &op.buffer, 1, NULL, 0, &op.o, NULL, NULL, &spi_error));
    for (size_t done = 0; done < BYTES;) {
        static char got[1 << 16];
        DWORD flags = 0, part = 0;
        OK(spi_recv_one(pair.server, got, sizeof(got), &flags, &part));
        assert_int_not_equal(part, 0);
        assert_memory_equal(got, block + done, part);
        done += part;
    }
    overlapped_ends(pair.client, &op, 0);
    assert_int_equal(op.transferred, BYTES);
    free(block);
    overlapped_drop(&op);
}

/* A step takes a part of the buffers at a time; their ends are others than the parts'. */
CASE(WSPSend, over_stream_send_several, "several large buffers: all of their bytes, in order")
{
    enum { BYTES = 5000001, A = 700000, B = 3500000, C = 1u << 20 };
    struct stream_pair pair = stream_connected_apart();
    struct overlapped_op send, receive;
    char *from = malloc(BYTES);
    char *to = malloc(BYTES);
    assert_true(from != NULL && to != NULL);
    for (DWORD i = 0; i < BYTES; i++) {
        from[i] = (char)(i * 7 + (i >> 8) * 13 + (i >> 16));
    }
    memset(to, 0, BYTES);
    WSABUF out[] = {{A, from}, {0, NULL}, {B, from + A}, {BYTES - A - B, from + A + B}};
    WSABUF in[] = {{1, to}, {C, to + 1}, {BYTES - C - 1, to + C + 1}};
    overlapped_make(&send);
    overlapped_make(&receive);
    receive.flags = MSG_WAITALL;
    FAILS(WSA_IO_PENDING, TABLE->lpWSPRecv(pair.server, in, 3, NULL, &receive.flags, &receive.o,
                                           NULL, NULL, &spi_error));
    FAILS(WSA_IO_PENDING,
          TABLE->lpWSPSend(pair.client, out, 4, NULL, 0, &send.o, NULL, NULL, &spi_error));
    overlapped_ends(pair.client, &send, 0);
    assert_int_equal(send.transferred, BYTES);
    overlapped_ends(pair.server, &receive, 0);
    assert_int_equal(receive.transferred, BYTES);
    assert_memory_equal(to, from, BYTES);
    free(from);
    free(to);
    overlapped_drop(&send);
    overlapped_drop(&receive);
}

CASE(WSPSend, over_stream_send_urgent, "MSG_OOB overlapped: the last byte is the urgent one")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    char byte = 0;
    DWORD got = 0;
    overlapped_make(&op);
    memcpy(op.data, "abc!", 4);
    op.buffer.len = 4;
    OK(TABLE->lpWSPSend(pair.client, &op.buffer, 1, &op.transferred, MSG_OOB, &op.o, NULL, NULL,
                        &spi_error));
    assert_int_equal(op.transferred, 4);
    stream_await(pair.server, EXCEPT);
    OK(stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    assert_int_equal(byte, '!');
    stream_expect(pair.server, "abc");
    overlapped_drop(&op);
}

CASE(WSPSend, over_stream_send_reset, "a reset completes pending sends with WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    (void)stream_fill(pair.client);
    FAILS(WSA_IO_PENDING, overlapped_send(pair.client, &op, "never"));
    stream_abort(pair.server);
    overlapped_ends(pair.client, &op, WSAECONNRESET);
    overlapped_drop(&op);
}

CASE(WSPSend, over_stream_send_sync_behind,
     "a non-blocking send behind overlapped ones is WSAEWOULDBLOCK, though there were room")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    DWORD sent = 0;
    overlapped_make(&op);
    size_t filled = stream_fill(pair.client);
    FAILS(WSA_IO_PENDING, overlapped_send(pair.client, &op, "first"));
    FAILS(WSAEWOULDBLOCK, spi_send_one(pair.client, "x", 1, 0, &sent));
    stream_drain(pair.server, filled);
    stream_expect(pair.server, "first");
    overlapped_ends(pair.client, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPSend, over_stream_both_ways, "sends and receives of one socket do not wait for each other")
{
    struct stream_pair pair = stream_connected();
    struct overlapped_op in, out;
    overlapped_make(&in);
    overlapped_make(&out);
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.client, &in));
    OK(overlapped_send(pair.client, &out, "there"));
    stream_expect(pair.server, "there");
    assert_true(overlapped_pending(&in));
    stream_send(pair.server, "back");
    overlapped_ends(pair.client, &in, 0);
    assert_memory_equal(in.data, "back", 4);
    overlapped_drop(&in);
    overlapped_drop(&out);
}
