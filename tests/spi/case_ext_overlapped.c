/*
 * Cases of DisconnectEx, TransmitFile and TransmitPackets as overlapped calls.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"

#define LARGE_BYTES (1u << 20)

EXT_FUNCTION(LPFN_ACCEPTEX, accept_ex, WSAID_ACCEPTEX)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)
EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)

/* ---- DisconnectEx ---- */

CASE(DisconnectEx, deo_plain, "overlapped without a flag: through when the disconnect has begun")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ext_op_make(&op);
    EXT_BEGINS(disconnect_ex()(pair.client, &op.o, 0, 0));
    ext_op_ends(pair.client, &op, 0);
    assert_int_equal(op.bytes, 0);
    stream_expect_end(pair.server);
    ext_op_drop(&op);
}

CASE(DisconnectEx, deo_pends, "overlapped with TF_REUSE_SOCKET: pends until the other side closes")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, disconnect_ex()(pair.client, &op.o, TF_REUSE_SOCKET, 0));
    stream_expect_end(pair.server);
    assert_true(ext_op_pending(&op));
    stream_close(pair.server);
    ext_op_ends(pair.client, &op, 0);
    ext_op_drop(&op);
}

CASE(DisconnectEx, deo_unread, "TF_REUSE_SOCKET: what the other side has sent is to be read first")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ext_op_make(&op);
    stream_send(pair.server, "unread");
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    stream_await_bytes(pair.client, 6);
    EXT_FAILS(WSA_IO_PENDING, disconnect_ex()(pair.client, &op.o, TF_REUSE_SOCKET, 0));
    stream_expect_end(pair.server);
    stream_expect(pair.client, "unr");
    assert_true(ext_op_pending(&op));
    stream_expect(pair.client, "ead");
    ext_op_ends(pair.client, &op, 0);
    ext_op_drop(&op);
}

CASE(DisconnectEx, deo_reset, "TF_REUSE_SOCKET: a reset meanwhile is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, disconnect_ex()(pair.client, &op.o, TF_REUSE_SOCKET, 0));
    stream_abort(pair.server);
    ext_op_ends(pair.client, &op, WSAECONNRESET);
    ext_op_drop(&op);
}

CASE(DisconnectEx, deo_close, "closing the socket meanwhile: WSA_OPERATION_ABORTED")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, disconnect_ex()(pair.client, &op.o, TF_REUSE_SOCKET, 0));
    stream_close(pair.client);
    ext_op_aborted(&op);
    ext_op_drop(&op);
}

CASE(DisconnectEx, deo_port, "a completion port of the socket gets a packet")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ULONG_PTR key = 0;
    DWORD bytes = 99;
    HANDLE port = ext_port(pair.client, 9);
    ext_op_make(&op);
    EXT_BEGINS(disconnect_ex()(pair.client, &op.o, TF_REUSE_SOCKET, 0));
    stream_close(pair.server);
    assert_ptr_equal(ext_port_next(port, &key, &bytes), &op);
    assert_int_equal(key, 9);
    assert_int_equal(bytes, 0);
    ext_op_drop(&op);
    CloseHandle(port);
}

/* ---- TransmitFile ---- */

CASE(TransmitFile, tfo_offset, "the OVERLAPPED's offset says where in the file it starts")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    HANDLE file = ext_file(5000, 0);
    ext_op_make(&op);
    op.o.Offset = 4000;
    EXT_BEGINS(transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    ext_op_ends(pair.client, &op, 0);
    assert_int_equal(op.bytes, 1000);
    ext_expect(pair.server, 4000, 1000);
    op.o.Offset = 100;
    op.o.OffsetHigh = 0;
    EXT_BEGINS(transmit_file()(pair.client, file, 50, 0, &op.o, NULL, 0));
    ext_op_ends(pair.client, &op, 0);
    ext_expect(pair.server, 100, 50);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_offset_outside, "an offset that is not within the file is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    HANDLE file = ext_file(5000, 0);
    ext_op_make(&op);
    op.o.Offset = 5001;
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, file, 1, 0, &op.o, NULL, 0));
    op.o.Offset = 0;
    op.o.OffsetHigh = 1;
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_offset_stays,
     "Offset and OffsetHigh are the program's: a success leaves them, beyond 4 GiB, too")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    LARGE_INTEGER at = {.HighPart = 1};
    DWORD written;
    HANDLE file = ext_file_writable();
    EXT_OK(SetFilePointerEx(file, at, NULL, FILE_BEGIN));
    EXT_OK(WriteFile(file, "far and", 7, &written, NULL));
    ext_op_make(&op);
    op.o.OffsetHigh = 1;
    EXT_BEGINS(transmit_file()(pair.client, file, 3, 0, &op.o, NULL, 0));
    ext_op_ends(pair.client, &op, 0);
    stream_expect(pair.server, "far");
    assert_int_equal(op.bytes, 3);
    assert_int_equal(op.o.Offset, 0);
    assert_int_equal(op.o.OffsetHigh, 1);
    op.o.Offset += op.bytes;
    EXT_BEGINS(transmit_file()(pair.client, file, 4, 0, &op.o, NULL, 0));
    ext_op_ends(pair.client, &op, 0);
    stream_expect(pair.server, " and");
    op.o.Offset += 5; /* not within the file */
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    assert_int_equal(op.o.Offset, 8);
    assert_int_equal(op.o.OffsetHigh, 1);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_offset_refused, "a call that fails at once leaves the offset for the next")
{
    SOCKET s = stream_new();
    struct ext_op op;
    HANDLE file = ext_file(5000, 0);
    ext_op_make(&op);
    op.o.Offset = 4000;
    EXT_FAILS(WSAENOTCONN, transmit_file()(s, file, 0, 0, &op.o, NULL, 0));
    assert_int_equal(op.o.Offset, 4000);
    assert_int_equal(op.o.OffsetHigh, 0);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_file_closed, "the file's handle may be closed while the call pends")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    HANDLE file = ext_file(LARGE_BYTES, 0);
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    CloseHandle(file);
    ext_expect(pair.server, 0, LARGE_BYTES);
    ext_op_ends(pair.client, &op, 0);
    assert_int_equal(op.bytes, LARGE_BYTES);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_large, "a file that the buffers cannot hold pends until it is sent")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    char head[] = "head", tail[] = "tail";
    TRANSMIT_FILE_BUFFERS buffers = {.Head = head, .HeadLength = 4, .Tail = tail, .TailLength = 4};
    HANDLE file = ext_file(LARGE_BYTES, 0);
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, transmit_file()(pair.client, file, 0, 0, &op.o, &buffers, 0));
    stream_expect(pair.server, "head");
    ext_expect(pair.server, 0, 100000);
    assert_true(ext_op_pending(&op));
    ext_expect(pair.server, 100000, LARGE_BYTES - 100000);
    stream_expect(pair.server, "tail");
    ext_op_ends(pair.client, &op, 0);
    assert_int_equal(op.bytes, LARGE_BYTES + 8);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_order, "one transmission is behind the other, and sends are behind both")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op ops[2];
    HANDLE file = ext_file(LARGE_BYTES / 2, FILE_FLAG_OVERLAPPED);
    struct stream_call send = {.kind = CALL_SEND, .s = pair.client, .bytes = 4};
    for (unsigned i = 0; i < 2; i++) {
        ext_op_make(&ops[i]);
        EXT_FAILS(WSA_IO_PENDING, transmit_file()(pair.client, file, 0, 0, &ops[i].o, NULL, 0));
    }
    stream_begin(&send);
    for (unsigned i = 0; i < 2; i++) {
        ext_expect(pair.server, 0, LARGE_BYTES / 2);
        ext_op_ends(pair.client, &ops[i], 0);
        ext_op_drop(&ops[i]);
    }
    assert_int_equal(stream_finish(&send), 0);
    stream_await_bytes(pair.server, 4);
    CloseHandle(file);
}

CASE(TransmitFile, tfo_close, "closing the socket meanwhile: WSA_OPERATION_ABORTED")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    HANDLE file = ext_file(LARGE_BYTES, 0);
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    stream_close(pair.client);
    ext_op_aborted(&op);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_reset, "a reset meanwhile is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    HANDLE file = ext_file(LARGE_BYTES, 0);
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    stream_abort(pair.server);
    ext_op_ends(pair.client, &op, WSAECONNRESET);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitFile, tfo_port, "a completion port of the socket gets a packet, with all bytes")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ULONG_PTR key = 0;
    DWORD bytes = 99;
    HANDLE file = ext_file(5000, 0);
    HANDLE port = ext_port(pair.client, 3);
    ext_op_make(&op);
    EXT_BEGINS(transmit_file()(pair.client, file, 0, 0, &op.o, NULL, 0));
    assert_ptr_equal(ext_port_next(port, &key, &bytes), &op);
    assert_int_equal(key, 3);
    assert_int_equal(bytes, 5000);
    CloseHandle(file);
    ext_op_drop(&op);
    CloseHandle(port);
}

CASE(TransmitFile, tfo_reuse,
     "TF_DISCONNECT | TF_REUSE_SOCKET: an accepted socket can be passed to AcceptEx again")
{
    enum { SLOT = 32 };
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    HANDLE file = ext_file(3000, 0);
    char output[2 * SLOT];
    DWORD received;
    struct ext_op op;
    ext_op_make(&op);
    for (unsigned i = 0; i < 20; i++) {
        op.o.Offset = op.o.OffsetHigh = 0;
        EXT_BEGINS(accept_ex()(listener, s, output, 0, SLOT, SLOT, &received, &op.o));
        SOCKET client = stream_new();
        OK(spi_connect_to(client, &at));
        ext_op_ends(listener, &op, 0);
        op.o.Offset = op.o.OffsetHigh = 0;
        EXT_BEGINS(transmit_file()(s, file, 0, 0, &op.o, NULL, TF_DISCONNECT | TF_REUSE_SOCKET));
        ext_expect(client, 0, 3000);
        stream_expect_end(client);
        assert_true(ext_op_pending(&op));
        stream_close(client);
        ext_op_ends(s, &op, 0);
        assert_int_equal(op.bytes, 3000);
    }
    CloseHandle(file);
    ext_op_drop(&op);
}

/* ---- TransmitPackets ---- */

CASE(TransmitPackets, tpo_pends, "more than the buffers hold pends until it is sent")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    char text[] = "text";
    HANDLE file = ext_file(LARGE_BYTES, 0);
    TRANSMIT_PACKETS_ELEMENT elements[] = {
        {.dwElFlags = TP_ELEMENT_MEMORY, .cLength = 4, .pBuffer = text},
        {.dwElFlags = TP_ELEMENT_FILE, .hFile = file},
        {.dwElFlags = TP_ELEMENT_MEMORY, .cLength = 4, .pBuffer = text}};
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, transmit_packets()(pair.client, elements, 3, 0, &op.o, 0));
    memset(elements, 0, sizeof(elements)); /* they were copied */
    stream_expect(pair.server, "text");
    ext_expect(pair.server, 0, LARGE_BYTES);
    stream_expect(pair.server, "text");
    ext_op_ends(pair.client, &op, 0);
    assert_int_equal(op.bytes, LARGE_BYTES + 8);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitPackets, tpo_file_closed, "files' handles may be closed while the call pends")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    TRANSMIT_PACKETS_ELEMENT elements[4];
    ext_op_make(&op);
    for (unsigned i = 0; i < 4; i++) {
        elements[i] = (TRANSMIT_PACKETS_ELEMENT){.dwElFlags = TP_ELEMENT_FILE,
                                                 .hFile = ext_file(LARGE_BYTES / 4, 0)};
    }
    EXT_FAILS(WSA_IO_PENDING, transmit_packets()(pair.client, elements, 4, 0, &op.o, 0));
    for (unsigned i = 0; i < 4; i++) {
        CloseHandle(elements[i].hFile);
    }
    for (unsigned i = 0; i < 4; i++) {
        ext_expect(pair.server, 0, LARGE_BYTES / 4);
    }
    ext_op_ends(pair.client, &op, 0);
    assert_int_equal(op.bytes, LARGE_BYTES);
    ext_op_drop(&op);
}

CASE(TransmitPackets, tpo_close, "closing the socket meanwhile: WSA_OPERATION_ABORTED")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_op op;
    HANDLE file = ext_file(LARGE_BYTES, 0);
    TRANSMIT_PACKETS_ELEMENT element = {.dwElFlags = TP_ELEMENT_FILE, .hFile = file};
    ext_op_make(&op);
    EXT_FAILS(WSA_IO_PENDING, transmit_packets()(pair.client, &element, 1, 0, &op.o, 0));
    stream_close(pair.client);
    ext_op_aborted(&op);
    CloseHandle(file);
    ext_op_drop(&op);
}

CASE(TransmitPackets, tpo_port, "a completion port of the socket gets a packet, with the bytes")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ULONG_PTR key = 0;
    DWORD bytes = 99;
    char text[] = "text";
    TRANSMIT_PACKETS_ELEMENT element = {
        .dwElFlags = TP_ELEMENT_MEMORY, .cLength = 4, .pBuffer = text};
    HANDLE port = ext_port(pair.client, 3);
    ext_op_make(&op);
    EXT_BEGINS(transmit_packets()(pair.client, &element, 1, 0, &op.o, 0));
    assert_ptr_equal(ext_port_next(port, &key, &bytes), &op);
    assert_int_equal(bytes, 4);
    ext_op_drop(&op);
    CloseHandle(port);
}

CASE(TransmitPackets, tpo_datagrams, "datagrams, too, are sent by an overlapped call")
{
    SOCKADDR_IN at;
    SOCKET receiver = spi_bound(&at);
    SOCKET s = spi_udp();
    struct ext_op op;
    char text[] = "text", data[16];
    DWORD flags = 0, got = 0;
    TRANSMIT_PACKETS_ELEMENT element = {
        .dwElFlags = TP_ELEMENT_MEMORY | TP_ELEMENT_EOP, .cLength = 4, .pBuffer = text};
    OK(spi_connect_to(s, &at));
    ext_op_make(&op);
    EXT_BEGINS(transmit_packets()(s, &element, 1, 0xffffffffu, &op.o, 0));
    ext_op_ends(s, &op, 0);
    OK(spi_recv_one(receiver, data, sizeof(data), &flags, &got));
    assert_int_equal(got, 4);
    ext_op_drop(&op);
}
