/*
 * Cases of TransmitFile and TransmitPackets that return when they are through.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"

#define MOST_BYTES 2147483646u

EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)

/* ---- TransmitFile: what is sent ---- */

CASE(TransmitFile, tf_whole, "a count of 0 transmits the whole file")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, NULL, 0));
    ext_expect(pair.server, 0, 5000);
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
    CloseHandle(file);
}

CASE(TransmitFile, tf_count, "as many bytes as asked for, and no more")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    EXT_OK(transmit_file()(pair.client, file, 1234, 0, NULL, NULL, 0));
    ext_expect(pair.server, 0, 1234);
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
    CloseHandle(file);
}

CASE(TransmitFile, tf_position, "without an OVERLAPPED it starts at the file's current offset")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    assert_int_equal(SetFilePointer(file, 1000, NULL, FILE_BEGIN), 1000);
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, NULL, 0));
    ext_expect(pair.server, 1000, 4000);
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
    CloseHandle(file);
}

CASE(TransmitFile, tf_buffers, "the head goes before the file, the tail behind it")
{
    struct stream_pair pair = stream_connected();
    char head[] = "head", tail[] = "tail";
    TRANSMIT_FILE_BUFFERS buffers = {.Head = head, .HeadLength = 4, .Tail = tail, .TailLength = 4};
    HANDLE file = ext_file(5000, 0);
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, &buffers, 0));
    stream_expect(pair.server, "head");
    ext_expect(pair.server, 0, 5000);
    stream_expect(pair.server, "tail");
    CloseHandle(file);
}

CASE(TransmitFile, tf_no_file, "without a file only the buffers are sent")
{
    struct stream_pair pair = stream_connected();
    char head[] = "head", tail[] = "tail";
    TRANSMIT_FILE_BUFFERS buffers = {.Head = head, .HeadLength = 4, .Tail = tail, .TailLength = 4};
    EXT_OK(transmit_file()(pair.client, NULL, 0, 0, NULL, &buffers, 0));
    stream_expect(pair.server, "headtail");
    buffers.HeadLength = 0;
    EXT_OK(transmit_file()(pair.client, NULL, 0, 0, NULL, &buffers, 0));
    stream_expect(pair.server, "tail");
    buffers = (TRANSMIT_FILE_BUFFERS){.Head = head, .HeadLength = 4};
    EXT_OK(transmit_file()(pair.client, NULL, 0, 0, NULL, &buffers, 0));
    stream_expect(pair.server, "head");
}

CASE(TransmitFile, tf_large, "it does not complete before all is sent")
{
    struct stream_pair pair = stream_connected_apart();
    struct ext_peer peer = {.s = pair.server};
    HANDLE file = ext_file(1u << 20, FILE_FLAG_SEQUENTIAL_SCAN);
    ext_peer_begin(&peer);
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, NULL, TF_DISCONNECT));
    ext_peer_finish(&peer);
    assert_int_equal(peer.bytes, 1u << 20);
    assert_int_equal(peer.error, 0);
    CloseHandle(file);
}

CASE(TransmitFile, tf_async_file, "a file that was opened for overlapped reads is transmitted, too")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, FILE_FLAG_OVERLAPPED);
    EXT_OK(transmit_file()(pair.client, file, 5000, 0, NULL, NULL, 0));
    ext_expect(pair.server, 0, 5000);
    CloseHandle(file);
}

CASE(TransmitFile, tf_send_size, "the size of a send changes nothing of a stream")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    EXT_OK(transmit_file()(pair.client, file, 0, 100, NULL, NULL, TF_USE_DEFAULT_WORKER));
    ext_expect(pair.server, 0, 5000);
    EXT_OK(transmit_file()(pair.client, NULL, 0, 1, NULL, NULL,
                           TF_USE_SYSTEM_THREAD | TF_USE_KERNEL_APC | TF_WRITE_BEHIND));
    CloseHandle(file);
}

CASE(TransmitFile, tf_empty, "an empty file is no error")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(0, 0);
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, NULL, 0));
    EXT_OK(transmit_file()(pair.client, NULL, 0, 0, NULL, NULL, 0));
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
    CloseHandle(file);
}

CASE(TransmitFile, tf_disconnect, "TF_DISCONNECT ends the stream behind the data")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    DWORD sent;
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, NULL, TF_DISCONNECT));
    ext_expect(pair.server, 0, 5000);
    stream_expect_end(pair.server);
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, 0, &sent));
    CloseHandle(file);
}

CASE(TransmitFile, tf_reuse,
     "TF_DISCONNECT | TF_REUSE_SOCKET: through when the other side has closed; not connected then")
{
    struct stream_pair pair = stream_connected();
    struct ext_peer peer = {.s = pair.server, .closes = true};
    HANDLE file = ext_file(5000, 0);
    DWORD sent;
    ext_peer_begin(&peer);
    EXT_OK(transmit_file()(pair.client, file, 0, 0, NULL, NULL, TF_DISCONNECT | TF_REUSE_SOCKET));
    ext_peer_finish(&peer);
    assert_int_equal(peer.bytes, 5000);
    FAILS(WSAENOTCONN, spi_send_one(pair.client, "x", 1, 0, &sent));
    CloseHandle(file);
}

/* ---- TransmitFile: errors ---- */

CASE(TransmitFile, tf_not_socket, "no socket is WSAENOTSOCK")
{
    EXT_FAILS(WSAENOTSOCK, transmit_file()((SOCKET)GetCurrentThread(), NULL, 0, 0, NULL, NULL, 0));
}

CASE(TransmitFile, tf_datagram, "a datagram socket is WSAEINVAL")
{
    EXT_FAILS(WSAEINVAL, transmit_file()(spi_bound(NULL), NULL, 0, 0, NULL, NULL, 0));
}

CASE(TransmitFile, tf_flags, "TF_REUSE_SOCKET without TF_DISCONNECT, an unknown flag: WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, NULL, 0, 0, NULL, NULL, TF_REUSE_SOCKET));
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, NULL, 0, 0, NULL, NULL, 0x80));
}

CASE(TransmitFile, tf_too_much, "more than 2,147,483,646 bytes, buffers included: WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    char head[] = "head";
    TRANSMIT_FILE_BUFFERS buffers = {.Head = head, .HeadLength = 4};
    HANDLE file = ext_file(10, 0);
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, file, MOST_BYTES + 1, 0, NULL, NULL, 0));
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, file, MOST_BYTES - 3, 0, NULL, &buffers, 0));
    CloseHandle(file);
}

CASE(TransmitFile, tf_not_connected, "a socket that is not connected is WSAENOTCONN")
{
    SOCKADDR_IN at;
    char tail[] = "tail";
    TRANSMIT_FILE_BUFFERS buffers = {.Tail = tail, .TailLength = 4};
    EXT_FAILS(WSAENOTCONN, transmit_file()(stream_new(), NULL, 0, 0, NULL, &buffers, 0));
    EXT_FAILS(WSAENOTCONN, transmit_file()(stream_listener(&at), NULL, 0, 0, NULL, &buffers, 0));
    EXT_FAILS(WSAENOTCONN, transmit_file()(stream_bound(&at), NULL, 0, 0, NULL, NULL, 0));
}

CASE(TransmitFile, tf_shutdown, "behind a shutdown of the sending side: WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(10, 0);
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    EXT_FAILS(WSAESHUTDOWN, transmit_file()(pair.client, file, 0, 0, NULL, NULL, 0));
    CloseHandle(file);
}

CASE(TransmitFile, tf_reset, "a connection that was reset is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(10, 0);
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    EXT_FAILS(WSAECONNRESET, transmit_file()(pair.client, file, 0, 0, NULL, NULL, 0));
    CloseHandle(file);
}

CASE(TransmitFile, tf_fault, "bad pointers are WSAEFAULT")
{
    struct stream_pair pair = stream_connected();
    TRANSMIT_FILE_BUFFERS buffers = {.Head = spi_bad_pointer(), .HeadLength = 4};
    EXT_FAILS(WSAEFAULT, transmit_file()(pair.client, NULL, 0, 0, NULL, spi_bad_pointer(), 0));
    EXT_FAILS(WSAEFAULT, transmit_file()(pair.client, NULL, 0, 0, NULL, &buffers, 0));
    buffers = (TRANSMIT_FILE_BUFFERS){.Tail = NULL, .TailLength = 4};
    EXT_FAILS(WSAEFAULT, transmit_file()(pair.client, NULL, 0, 0, NULL, &buffers, 0));
    EXT_FAILS(WSAEFAULT, transmit_file()(pair.client, NULL, 0, 0, spi_bad_pointer(), NULL, 0));
}

CASE(TransmitFile, tf_bad_file, "what is no file says so, and nothing is sent")
{
    struct stream_pair pair = stream_connected();
    char head[] = "head";
    TRANSMIT_FILE_BUFFERS buffers = {.Head = head, .HeadLength = 4};
    EXT_FAILS(ERROR_INVALID_HANDLE,
              transmit_file()(pair.client, INVALID_HANDLE_VALUE, 0, 0, NULL, &buffers, 0));
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
}

CASE(TransmitFile, tf_pipe, "what has no positions, and may have nothing to read, is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    HANDLE in, out;
    DWORD written;
    assert_true(CreatePipe(&in, &out, NULL, 0));
    EXT_OK(WriteFile(out, "x", 1, &written, NULL)); /* else a call that reads it waits for ever */
    ext_op_make(&op);
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, in, 1, 0, &op.o, NULL, 0));
    EXT_FAILS(WSAEINVAL, transmit_file()(pair.client, in, 1, 0, NULL, NULL, 0));
    ext_op_drop(&op);
    CloseHandle(in);
    CloseHandle(out);
}

CASE(TransmitFile, tf_short_file, "a file that ends before the count is an error behind its bytes")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(10, 0);
    EXT_FAILS(ERROR_HANDLE_EOF, transmit_file()(pair.client, file, 11, 0, NULL, NULL, 0));
    ext_expect(pair.server, 0, 10);
    CloseHandle(file);
}

/* ---- TransmitPackets: streams ---- */

static TRANSMIT_PACKETS_ELEMENT tp_memory(const char *text, ULONG more)
{
    return (TRANSMIT_PACKETS_ELEMENT){.dwElFlags = TP_ELEMENT_MEMORY | more,
                                      .cLength = (ULONG)strlen(text),
                                      .pBuffer = (void *)(uintptr_t)text};
}

static TRANSMIT_PACKETS_ELEMENT tp_file(HANDLE file, LONGLONG offset, ULONG bytes)
{
    TRANSMIT_PACKETS_ELEMENT element = {
        .dwElFlags = TP_ELEMENT_FILE, .cLength = bytes, .hFile = file};
    element.nFileOffset.QuadPart = offset;
    return element;
}

CASE(TransmitPackets, tp_order, "the elements are sent one behind the other")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    TRANSMIT_PACKETS_ELEMENT elements[] = {tp_memory("one", 0), tp_file(file, 10, 20),
                                           tp_memory("two", TP_ELEMENT_EOP),
                                           tp_file(file, 4000, 1000), tp_memory("three", 0)};
    EXT_OK(transmit_packets()(pair.client, elements, 5, 0, NULL, 0));
    stream_expect(pair.server, "one");
    ext_expect(pair.server, 10, 20);
    stream_expect(pair.server, "two");
    ext_expect(pair.server, 4000, 1000);
    stream_expect(pair.server, "three");
    CloseHandle(file);
}

CASE(TransmitPackets, tp_whole_file, "a length of 0 is the file from the offset to its end")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    TRANSMIT_PACKETS_ELEMENT element = tp_file(file, 100, 0);
    EXT_OK(transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
    ext_expect(pair.server, 100, 4900);
    CloseHandle(file);
}

CASE(TransmitPackets, tp_current, "an offset of -1 is the file's current one")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(5000, 0);
    TRANSMIT_PACKETS_ELEMENT element = tp_file(file, -1, 50);
    assert_int_equal(SetFilePointer(file, 70, NULL, FILE_BEGIN), 70);
    EXT_OK(transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
    ext_expect(pair.server, 70, 50);
    CloseHandle(file);
}

CASE(TransmitPackets, tp_default, "an element that says neither is of a file")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(50, 0);
    TRANSMIT_PACKETS_ELEMENT element = tp_file(file, 0, 50);
    element.dwElFlags = 0;
    EXT_OK(transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
    ext_expect(pair.server, 0, 50);
    CloseHandle(file);
}

CASE(TransmitPackets, tp_many, "many elements are one transmission")
{
    enum { COUNT = 500 };
    struct stream_pair pair = stream_connected();
    static TRANSMIT_PACKETS_ELEMENT elements[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        elements[i] = tp_memory(i % 2 == 0 ? "ab" : "cd", 0);
    }
    EXT_OK(transmit_packets()(pair.client, elements, COUNT, 0, NULL, TF_DISCONNECT));
    for (unsigned i = 0; i < COUNT / 2; i++) {
        stream_expect(pair.server, "abcd");
    }
    stream_expect_end(pair.server);
}

CASE(TransmitPackets, tp_none, "no elements: nothing is sent")
{
    struct stream_pair pair = stream_connected();
    EXT_OK(transmit_packets()(pair.client, NULL, 0, 0, NULL, 0));
    stream_send(pair.client, "on");
    stream_expect(pair.server, "on");
}

CASE(TransmitPackets, tp_reuse, "TF_DISCONNECT | TF_REUSE_SOCKET: not connected afterwards")
{
    struct stream_pair pair = stream_connected();
    struct ext_peer peer = {.s = pair.client, .closes = true};
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("last", 0);
    DWORD sent;
    ext_peer_begin(&peer);
    EXT_OK(transmit_packets()(pair.server, &element, 1, 0, NULL, TF_DISCONNECT | TF_REUSE_SOCKET));
    ext_peer_finish(&peer);
    assert_int_equal(peer.bytes, 4);
    FAILS(WSAENOTCONN, spi_send_one(pair.server, "x", 1, 0, &sent));
}

/* ---- TransmitPackets: errors ---- */

CASE(TransmitPackets, tp_not_socket, "no socket is WSAENOTSOCK")
{
    EXT_FAILS(WSAENOTSOCK, transmit_packets()((SOCKET)GetCurrentThread(), NULL, 0, 0, NULL, 0));
}

CASE(TransmitPackets, tp_flags, "TF_REUSE_SOCKET without TF_DISCONNECT, unknown flags: WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", 0x10);
    EXT_FAILS(WSAEINVAL, transmit_packets()(pair.client, NULL, 0, 0, NULL, TF_REUSE_SOCKET));
    EXT_FAILS(WSAEINVAL, transmit_packets()(pair.client, NULL, 0, 0, NULL, 0x80));
    EXT_FAILS(WSAEINVAL, transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
}

CASE(TransmitPackets, tp_both, "memory and file exclude each other: WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", TP_ELEMENT_FILE);
    EXT_FAILS(WSAEINVAL, transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
}

CASE(TransmitPackets, tp_offset, "an offset that is not within the file is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(50, 0);
    TRANSMIT_PACKETS_ELEMENT elements[] = {tp_memory("x", 0), tp_file(file, 51, 1)};
    EXT_FAILS(WSAEINVAL, transmit_packets()(pair.client, elements, 2, 0, NULL, 0));
    stream_send(pair.client, "on"); /* nothing went before it */
    stream_expect(pair.server, "on");
    CloseHandle(file);
}

CASE(TransmitPackets, tp_too_much, "more than 2,147,483,646 bytes together: WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    HANDLE file = ext_file(50, 0);
    TRANSMIT_PACKETS_ELEMENT elements[] = {tp_memory("x", 0), tp_file(file, 0, MOST_BYTES)};
    EXT_FAILS(WSAEINVAL, transmit_packets()(pair.client, elements, 2, 0, NULL, 0));
    CloseHandle(file);
}

CASE(TransmitPackets, tp_not_connected, "a socket that is not connected is WSAENOTCONN")
{
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", 0);
    EXT_FAILS(WSAENOTCONN, transmit_packets()(stream_new(), &element, 1, 0, NULL, 0));
}

CASE(TransmitPackets, tp_shutdown, "behind a shutdown of the sending side: WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", 0);
    OK(TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error));
    EXT_FAILS(WSAESHUTDOWN, transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
}

CASE(TransmitPackets, tp_reset, "a connection that was reset is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", 0);
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    EXT_FAILS(WSAECONNRESET, transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
}

CASE(TransmitPackets, tp_fault, "bad pointers are WSAEFAULT")
{
    struct stream_pair pair = stream_connected();
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", 0);
    EXT_FAILS(WSAEFAULT, transmit_packets()(pair.client, spi_bad_pointer(), 1, 0, NULL, 0));
    EXT_FAILS(WSAEFAULT, transmit_packets()(pair.client, NULL, 1, 0, NULL, 0));
    EXT_FAILS(WSAEFAULT, transmit_packets()(pair.client, &element, 1, 0, spi_bad_pointer(), 0));
    element.pBuffer = spi_bad_pointer();
    EXT_FAILS(WSAEFAULT, transmit_packets()(pair.client, &element, 1, 0, NULL, 0));
}

/* ---- TransmitPackets: datagrams ---- */

static SOCKET tp_udp_pair(SOCKET *receiver)
{
    SOCKADDR_IN at;
    *receiver = spi_bound(&at);
    SOCKET s = spi_udp();
    OK(spi_connect_to(s, &at));
    return s;
}

static void tp_datagram(SOCKET s, const char *text)
{
    char data[64];
    DWORD flags = 0, got = 0;
    OK(spi_recv_one(s, data, sizeof(data), &flags, &got));
    assert_int_equal(got, strlen(text));
    assert_memory_equal(data, text, got);
}

CASE(TransmitPackets, tp_datagrams, "TP_ELEMENT_EOP ends a datagram; elements before it are one")
{
    SOCKET receiver;
    SOCKET s = tp_udp_pair(&receiver);
    TRANSMIT_PACKETS_ELEMENT elements[] = {tp_memory("one", 0), tp_memory("two", TP_ELEMENT_EOP),
                                           tp_memory("three", 0), tp_memory("four", 0)};
    EXT_OK(transmit_packets()(s, elements, 4, 0xffffffffu, NULL, 0));
    tp_datagram(receiver, "onetwo");
    tp_datagram(receiver, "threefour");
}

CASE(TransmitPackets, tp_datagram_size, "a send size splits what is longer")
{
    SOCKET receiver;
    SOCKET s = tp_udp_pair(&receiver);
    TRANSMIT_PACKETS_ELEMENT elements[] = {tp_memory("abcdefg", TP_ELEMENT_EOP),
                                           tp_memory("hi", 0)};
    EXT_OK(transmit_packets()(s, elements, 2, 3, NULL, 0));
    tp_datagram(receiver, "abc");
    tp_datagram(receiver, "def");
    tp_datagram(receiver, "g");
    tp_datagram(receiver, "hi");
}

CASE(TransmitPackets, tp_datagram_disconnect, "datagram sockets have no disconnect: WSAEINVAL")
{
    SOCKET receiver;
    SOCKET s = tp_udp_pair(&receiver);
    EXT_FAILS(WSAEINVAL, transmit_packets()(s, NULL, 0, 0, NULL, TF_DISCONNECT));
}

CASE(TransmitPackets, tp_datagram_peer, "a datagram socket without a peer is WSAENOTCONN")
{
    TRANSMIT_PACKETS_ELEMENT element = tp_memory("x", 0);
    EXT_FAILS(WSAENOTCONN, transmit_packets()(spi_bound(NULL), &element, 1, 0, NULL, 0));
}
