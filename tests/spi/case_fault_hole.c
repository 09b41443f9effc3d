/*
 * Buffers with a page in their middle that nobody may touch, or write: WSAEFAULT before anything is
 * taken or sent, for each function that takes buffers. The pages around it are good, so a look at
 * the two ends does not find it.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"
#include "tests/spi/message_kit.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/stream_kit.h"

#define PAGE_BYTES 4096u

EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)
EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)
EXT_FUNCTION(LPFN_ACCEPTEX, accept_ex, WSAID_ACCEPTEX)

/* Three pages, of which the middle one is as `protection` says. */
static char *holed_pages(DWORD protection)
{
    DWORD before;
    char *pages = VirtualAlloc(NULL, 3 * PAGE_BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    assert_non_null(pages);
    assert_true(VirtualProtect(pages + PAGE_BYTES, PAGE_BYTES, protection, &before));
    return pages;
}

static int recv_into(SOCKET s, char *pages, LPWSAOVERLAPPED overlapped)
{
    DWORD got = 0;
    DWORD flags = 0;
    WSABUF buffer = {.len = 3 * PAGE_BYTES, .buf = pages};
    return TABLE->lpWSPRecv(s, &buffer, 1, &got, &flags, overlapped, NULL, NULL, &spi_error);
}

static void hole_in_a_receive(DWORD protection)
{
    static char block[2 * PAGE_BYTES];
    char *pages = holed_pages(protection);
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    DWORD got;
    overlapped_make(&op);
    OK(spi_send_to_one(spi_udp(), block, sizeof(block), &at));
    stream_send(pair.client, "stream");
    spi_await_readable(s);
    stream_await(pair.server, READ);
    FAILS(WSAEFAULT, recv_into(s, pages, NULL));
    FAILS(WSAEFAULT, recv_into(s, pages, &op.o));
    FAILS(WSAEFAULT, recv_into(pair.server, pages, NULL));
    FAILS(WSAEFAULT, recv_into(pair.server, pages, &op.o));
    OK(stream_recv(s, block, sizeof(block), 0, &got));
    assert_int_equal(got, sizeof(block));
    stream_expect(pair.server, "stream");
    overlapped_drop(&op);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(WSPRecv, hole, "a buffer with a page in its middle that nobody may touch: WSAEFAULT, no loss")
{
    hole_in_a_receive(PAGE_NOACCESS);
}

CASE(WSPRecv, hole_read_only, "a buffer with a page in its middle that nobody may write: likewise")
{
    hole_in_a_receive(PAGE_READONLY);
}

CASE(WSPSend, hole_send,
     "a buffer with a page in its middle that nobody may touch: WSAEFAULT, no byte")
{
    char *pages = holed_pages(PAGE_NOACCESS);
    struct stream_pair pair = stream_connected();
    DWORD sent;
    FAILS(WSAEFAULT, spi_send_one(pair.client, pages, 3 * PAGE_BYTES, 0, &sent));
    assert_int_equal(stream_select(pair.server, READ, 0), 0);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(WSPRecv, hole_guard, "a page behind one that nobody may touch is not touched: a guard stays")
{
    char *pages = holed_pages(PAGE_NOACCESS);
    DWORD before;
    MEMORY_BASIC_INFORMATION is;
    assert_true(
        VirtualProtect(pages + 2 * PAGE_BYTES, PAGE_BYTES, PAGE_READWRITE | PAGE_GUARD, &before));
    FAILS(WSAEFAULT, recv_into(spi_bound(&(SOCKADDR_IN){0}), pages, NULL));
    assert_int_equal(VirtualQuery(pages + 2 * PAGE_BYTES, &is, sizeof(is)), sizeof(is));
    assert_int_equal(is.Protect, PAGE_READWRITE | PAGE_GUARD);
    VirtualFree(pages, 0, MEM_RELEASE);
}

/* In a thread of its own: its stack has no guard afterwards. */
static DWORD WINAPI stack_end_receive(void *argument)
{
    SOCKET s = *(SOCKET *)argument;
    MEMORY_BASIC_INFORMATION is = {0};
    assert_int_equal(VirtualQuery(&is, &is, sizeof(is)), sizeof(is));
    char *end = is.AllocationBase;
    FAILS(WSAEFAULT, recv_into(s, end, NULL));
    assert_int_equal(VirtualQuery(end, &is, sizeof(is)), sizeof(is));
    /* The guard: the system may let the stack grow by it, or say that it overflows. */
    (void)!recv_into(s, end + is.RegionSize, NULL);
    FAILS(WSAEFAULT, recv_into(s, end, NULL));
    return 0;
}

CASE(WSPRecv, hole_stack, "a buffer at the end of the caller's own stack: WSAEFAULT, no overflow")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    HANDLE thread = CreateThread(NULL, 0, stack_end_receive, &s, 0, NULL);
    assert_non_null(thread);
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    CloseHandle(thread);
}

/* ---- datagrams with an address ---- */

static int recv_from_into(SOCKET s, char *pages, LPWSAOVERLAPPED overlapped)
{
    DWORD got = 0;
    DWORD flags = 0;
    static SOCKADDR_IN from;
    static int from_bytes = sizeof(from);
    WSABUF buffer = {.len = 3 * PAGE_BYTES, .buf = pages};
    return TABLE->lpWSPRecvFrom(s, &buffer, 1, &got, &flags, (struct sockaddr *)&from, &from_bytes,
                                overlapped, NULL, NULL, &spi_error);
}

static int recv_msg_into(SOCKET s, char *pages, LPWSAOVERLAPPED overlapped)
{
    DWORD got = 0;
    WSABUF buffer = {.len = 3 * PAGE_BYTES, .buf = pages};
    WSAMSG msg = {.lpBuffers = &buffer, .dwBufferCount = 1};
    SetLastError(0);
    int result = message_recv_function()(s, &msg, &got, overlapped, NULL);
    spi_error = (int)GetLastError();
    return result;
}

/* Neither call takes the datagram, overlapped or not, with a page in the middle like this. */
static void hole_in_a_datagram(int (*receive)(SOCKET s, char *pages, LPWSAOVERLAPPED overlapped),
                               DWORD protection)
{
    char *pages = holed_pages(protection);
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    struct overlapped_op op;
    char text[8];
    DWORD flags = 0;
    DWORD got;
    overlapped_make(&op);
    OK(spi_send_to_one(spi_udp(), "there", 5, &at));
    spi_await_readable(s);
    FAILS(WSAEFAULT, receive(s, pages, NULL));
    FAILS(WSAEFAULT, receive(s, pages, &op.o));
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 5);
    overlapped_drop(&op);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(WSPRecvFrom, hole_from_short,
     "an address's place that is said to be too short is not touched: WSAEFAULT, a guard stays")
{
    char *pages = holed_pages(PAGE_READWRITE | PAGE_GUARD);
    char *guard = pages + PAGE_BYTES;
    MEMORY_BASIC_INFORMATION is;
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    char text[8];
    int from_bytes = 4;
    DWORD got = 0;
    DWORD flags = 0;
    WSABUF buffer = {.len = sizeof(text), .buf = text};
    OK(spi_send_to_one(spi_udp(), "there", 5, &at));
    spi_await_readable(s);
    FAILS(WSAEFAULT, TABLE->lpWSPRecvFrom(s, &buffer, 1, &got, &flags, (struct sockaddr *)guard,
                                          &from_bytes, NULL, NULL, NULL, &spi_error));
    assert_int_equal(VirtualQuery(guard, &is, sizeof(is)), sizeof(is));
    assert_int_equal(is.Protect, PAGE_READWRITE | PAGE_GUARD);
    OK(spi_recv_one(s, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 5);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(WSPRecvFrom, hole_recv_from,
     "a buffer with a page in its middle that nobody may touch or write: WSAEFAULT, no loss")
{
    hole_in_a_datagram(recv_from_into, PAGE_NOACCESS);
    hole_in_a_datagram(recv_from_into, PAGE_READONLY);
}

CASE(WSARecvMsg, hole_recv_msg,
     "a buffer with a page in its middle that nobody may touch or write: WSAEFAULT, no loss")
{
    hole_in_a_datagram(recv_msg_into, PAGE_NOACCESS);
    hole_in_a_datagram(recv_msg_into, PAGE_READONLY);
}

static int send_to_from(SOCKET s, char *pages, const SOCKADDR_IN *to, LPWSAOVERLAPPED overlapped)
{
    DWORD sent = 0;
    WSABUF buffer = {.len = 3 * PAGE_BYTES, .buf = pages};
    return TABLE->lpWSPSendTo(s, &buffer, 1, &sent, 0, (const struct sockaddr *)to, sizeof(*to),
                              overlapped, NULL, NULL, &spi_error);
}

static int send_msg_from(SOCKET s, char *pages, const SOCKADDR_IN *to, LPWSAOVERLAPPED overlapped)
{
    DWORD sent = 0;
    SOCKADDR_IN name = *to;
    WSABUF buffer = {.len = 3 * PAGE_BYTES, .buf = pages};
    WSAMSG msg = {.name = (LPSOCKADDR)&name,
                  .namelen = sizeof(name),
                  .lpBuffers = &buffer,
                  .dwBufferCount = 1};
    SetLastError(0);
    int result = message_send_function()(s, &msg, 0, &sent, overlapped, NULL);
    spi_error = (int)GetLastError();
    return result;
}

static void hole_in_a_sent_datagram(int (*send)(SOCKET s, char *pages, const SOCKADDR_IN *to,
                                                LPWSAOVERLAPPED overlapped))
{
    char *pages = holed_pages(PAGE_NOACCESS);
    SOCKADDR_IN at;
    SOCKET to = spi_bound(&at);
    SOCKET s = spi_bound(NULL);
    struct overlapped_op op;
    char text[8];
    DWORD flags = 0;
    DWORD got;
    overlapped_make(&op);
    FAILS(WSAEFAULT, send(s, pages, &at, NULL));
    FAILS(WSAEFAULT, send(s, pages, &at, &op.o));
    OK(spi_send_to_one(s, "first", 5, &at));
    OK(spi_recv_one(to, text, sizeof(text), &flags, &got));
    assert_int_equal(got, 5);
    overlapped_drop(&op);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(WSPSendTo, hole_send_to,
     "a buffer with a page in its middle that nobody may touch: WSAEFAULT, no datagram")
{
    hole_in_a_sent_datagram(send_to_from);
}

CASE(WSASendMsg, hole_send_msg,
     "a buffer with a page in its middle that nobody may touch: WSAEFAULT, no datagram")
{
    hole_in_a_sent_datagram(send_msg_from);
}

/* ---- extension functions of streams ---- */

CASE(TransmitPackets, hole_packets,
     "an element with a page in its middle that nobody may touch: WSAEFAULT, no byte")
{
    char *pages = holed_pages(PAGE_NOACCESS);
    struct stream_pair pair = stream_connected();
    TRANSMIT_PACKETS_ELEMENT elements[2] = {
        {.dwElFlags = TP_ELEMENT_MEMORY, .cLength = 5, .pBuffer = "first"},
        {.dwElFlags = TP_ELEMENT_MEMORY, .cLength = 3 * PAGE_BYTES, .pBuffer = pages}};
    EXT_FAILS(WSAEFAULT, transmit_packets()(pair.client, elements, 2, 0, NULL, 0));
    assert_int_equal(stream_select(pair.server, READ, 0), 0);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(TransmitFile, hole_head,
     "a head or tail with a page in its middle that nobody may touch: WSAEFAULT, no byte")
{
    char *pages = holed_pages(PAGE_NOACCESS);
    struct stream_pair pair = stream_connected();
    TRANSMIT_FILE_BUFFERS head = {.Head = pages, .HeadLength = 3 * PAGE_BYTES};
    TRANSMIT_FILE_BUFFERS tail = {
        .Head = "head", .HeadLength = 4, .Tail = pages, .TailLength = 3 * PAGE_BYTES};
    EXT_FAILS(WSAEFAULT, transmit_file()(pair.client, NULL, 0, 0, NULL, &head, 0));
    EXT_FAILS(WSAEFAULT, transmit_file()(pair.client, NULL, 0, 0, NULL, &tail, 0));
    assert_int_equal(stream_select(pair.server, READ, 0), 0);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(ConnectEx, hole_connect,
     "data to send with a page in the middle that nobody may touch: WSAEFAULT, no connection")
{
    char *pages = holed_pages(PAGE_NOACCESS);
    SOCKADDR_IN at;
    SOCKADDR_IN own;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_bound(&own);
    struct ext_op op;
    DWORD sent = 0;
    ext_op_make(&op);
    EXT_FAILS(WSAEFAULT, connect_ex()(s, (const struct sockaddr *)&at, sizeof(at), pages,
                                      3 * PAGE_BYTES, &sent, &op.o));
    assert_int_equal(stream_select(listener, READ, 0), 0);
    ext_op_drop(&op);
    VirtualFree(pages, 0, MEM_RELEASE);
}

CASE(AcceptEx, hole_accept,
     "a buffer with a page in its middle that nobody may touch or write: WSAEFAULT")
{
    char *pages = holed_pages(PAGE_READONLY);
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct ext_op op;
    DWORD got = 0;
    ext_op_make(&op);
    EXT_FAILS(WSAEFAULT,
              accept_ex()(listener, stream_new(), pages, 3 * PAGE_BYTES - 64, 32, 32, &got, &op.o));
    ext_op_drop(&op);
    VirtualFree(pages, 0, MEM_RELEASE);
}
