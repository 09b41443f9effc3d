/*
 * A bad pointer in each pointer argument of the extension functions, of WSPIoctl's commands, of
 * socket options, and of the entries that case_fault.c does not call: WSAEFAULT, or the word that
 * the function's page has for the argument, and never a crash.
 *
 * A row calls its function with good arguments, each of which it takes by P(index, pointer); one of
 * them is made bad at a time, in every way. A row whose function takes another number of them than
 * it says fails, so none is forgotten.
 */
#include <stdio.h>
#include <string.h>

#include "provider/include/ringsock.h"
#include "provider/spi/extension.h"
#include "provider/spi/option_names.h"
#include "tests/spi/ext_kit.h"
#include "tests/spi/message_kit.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/poll_kit.h"

#define PAGE_BYTES 4096u

/* How one argument is bad. CUT: its memory ends in the middle of it. FREED: it was good once. */
enum bad_way { BAD_NULL, BAD_NO_ACCESS, BAD_FREED, BAD_READ_ONLY, BAD_CUT, BAD_WAYS };

/* The call of a row. */
struct more_call {
    SOCKET s, dgram, listener, fresh;
    unsigned bad; /* index of the bad argument */
    enum bad_way way;
    unsigned taken; /* a bit for each index that was */
    int error;
};

EXT_FUNCTION(LPFN_ACCEPTEX, accept_ex, WSAID_ACCEPTEX)
EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)
EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)

/* ---- bad memory ---- */

/* Two pages, of which the second is nobody's: what lies `bytes` before its begin. */
static char *cut_pages(void)
{
    static char *pages;
    DWORD before;
    if (pages == NULL) {
        pages = VirtualAlloc(NULL, 2 * PAGE_BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        assert_non_null(pages);
        assert_true(VirtualProtect(pages + PAGE_BYTES, PAGE_BYTES, PAGE_NOACCESS, &before));
    }
    return pages;
}

/* Memory that was given back. Its address stays reserved, so nothing else comes to lie there. */
static void *freed_page(void)
{
    static char *page;
    if (page == NULL) {
        page = VirtualAlloc(NULL, PAGE_BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
        assert_non_null(page);
        memset(page, 1, PAGE_BYTES);
        assert_true(VirtualFree(page, PAGE_BYTES, MEM_DECOMMIT));
    }
    return page;
}

/* What is bad in this way whatever it should point to; BAD_CUT: one byte of it is there. */
static void *bad_memory(enum bad_way way)
{
    switch (way) {
    case BAD_NULL:
        return NULL;
    case BAD_NO_ACCESS:
        return spi_bad_pointer();
    case BAD_FREED:
        return freed_page();
    case BAD_READ_ONLY:
        return spi_read_only_page();
    default:
        return cut_pages() + PAGE_BYTES - 1;
    }
}

/* The argument: good, or bad in the call's way. bytes: of what it names. */
static void *take(struct more_call *call, unsigned index, const void *good, size_t bytes)
{
    call->taken |= 1u << index;
    if (index != call->bad) {
        return (void *)(uintptr_t)good;
    }
    if (call->way != BAD_CUT) {
        return bad_memory(call->way);
    }
    memcpy(cut_pages() + PAGE_BYTES - bytes / 2, good, bytes / 2);
    return cut_pages() + PAGE_BYTES - bytes / 2;
}
#define P(index, good)       take(call, index, &(good), sizeof(good))
#define PB(index, memory, n) take(call, index, memory, n)

static int by_last_error(struct more_call *call, bool failed)
{
    call->error = failed ? (int)GetLastError() : 0;
    return failed ? SOCKET_ERROR : 0;
}

/* ---- the rows' calls ---- */

static char slots[2 * 32 + 8];
static WSAOVERLAPPED over; /* of calls that must not begin */
static char data[64];

static int call_accept_ex(struct more_call *call)
{
    DWORD got = 0;
    return by_last_error(call,
                         !accept_ex()(call->listener, call->fresh, PB(0, slots, sizeof(slots)), 8,
                                      32, 32, P(1, got), P(2, over)));
}

static int call_connect_ex(struct more_call *call)
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    DWORD sent = 0;
    return by_last_error(call, !connect_ex()(call->fresh, PB(0, &at, sizeof(at)), sizeof(at),
                                             PB(1, data, sizeof(data)), sizeof(data), P(2, sent),
                                             P(3, over)));
}

static int call_disconnect_ex(struct more_call *call)
{
    return by_last_error(call, !disconnect_ex()(call->s, P(0, over), 0, 0));
}

static int call_transmit_file(struct more_call *call)
{
    TRANSMIT_FILE_BUFFERS buffers = {.HeadLength = sizeof(data),
                                     .TailLength = sizeof(data),
                                     .Head = PB(2, data, sizeof(data)),
                                     .Tail = PB(3, data, sizeof(data))};
    return by_last_error(
        call, !transmit_file()(call->s, NULL, 0, 0, P(0, over), P(1, buffers), TF_DISCONNECT));
}

static int call_transmit_packets(struct more_call *call)
{
    TRANSMIT_PACKETS_ELEMENT element = {.dwElFlags = TP_ELEMENT_MEMORY,
                                        .cLength = sizeof(data),
                                        .pBuffer = PB(2, data, sizeof(data))};
    return by_last_error(call, !transmit_packets()(call->s, P(1, element), 1, 0, P(0, over), 0));
}

static int call_recv_msg(struct more_call *call)
{
    SOCKADDR_IN name = {0};
    DWORD got = 0;
    WSABUF buffer = {.len = sizeof(data), .buf = PB(5, data, sizeof(data))};
    WSAMSG msg = {.name = PB(3, &name, sizeof(name)),
                  .namelen = sizeof(name),
                  .lpBuffers = P(4, buffer),
                  .dwBufferCount = 1,
                  .Control = {.len = sizeof(slots), .buf = PB(6, slots, sizeof(slots))}};
    return by_last_error(
        call, message_recv_function()(call->dgram, P(0, msg), P(1, got), P(2, over), NULL) != 0);
}

static int call_send_msg(struct more_call *call)
{
    SOCKADDR_IN name = spi_at("127.0.0.1", 9);
    DWORD sent = 0;
    struct message control;
    message_make(&control, "x", 1, NULL);
    message_add_int(&control, IPPROTO_IP, IP_TTL, 9);
    WSABUF buffer = {.len = sizeof(data), .buf = PB(5, data, sizeof(data))};
    WSAMSG msg = {.name = PB(3, &name, sizeof(name)),
                  .namelen = sizeof(name),
                  .lpBuffers = P(4, buffer),
                  .dwBufferCount = 1,
                  .Control = {.len = control.msg.Control.len,
                              .buf = PB(6, control.control, control.msg.Control.len)}};
    return by_last_error(call, message_send_function()(call->dgram, P(0, msg), 0, P(1, sent),
                                                       P(2, over), NULL) != 0);
}

static int call_poll(struct more_call *call)
{
    WSAPOLLFD fds[2] = {{.fd = call->dgram, .events = POLLIN}, {.fd = call->s, .events = POLLIN}};
    (void)poll_function(call->dgram);
    int result = poll_call(PB(0, fds, sizeof(fds)), 2, 0);
    call->error = spi_error;
    return result;
}

static int call_result(struct more_call *call)
{
    WSAOVERLAPPED done = {.Internal = 0};
    DWORD bytes = 0;
    DWORD flags = 0;
    return TABLE->lpWSPGetOverlappedResult(call->s, P(0, done), P(1, bytes), FALSE, P(2, flags),
                                           &call->error)
               ? 0
               : SOCKET_ERROR;
}

static int call_enum_events(struct more_call *call)
{
    WSANETWORKEVENTS events = {0};
    return TABLE->lpWSPEnumNetworkEvents(call->s, NULL, P(0, events), &call->error);
}

static int call_duplicate(struct more_call *call)
{
    WSAPROTOCOL_INFOW info = {0};
    return TABLE->lpWSPDuplicateSocket(call->s, GetCurrentProcessId(), P(0, info), &call->error);
}

static int call_to_text(struct more_call *call)
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    WCHAR text[32] = {0};
    DWORD chars = 32;
    WSAPROTOCOL_INFOW info = provider.info;
    return TABLE->lpWSPAddressToString(PB(0, &at, sizeof(at)), sizeof(at), P(3, info),
                                       PB(1, text, sizeof(text)), P(2, chars), &call->error);
}

static int call_to_address(struct more_call *call)
{
    SOCKADDR_IN at = {0};
    int bytes = sizeof(at);
    WCHAR text[] = L"127.0.0.1";
    WSAPROTOCOL_INFOW info = provider.info;
    return TABLE->lpWSPStringToAddress(PB(0, text, sizeof(text)), AF_INET, P(3, info),
                                       PB(1, &at, sizeof(at)), P(2, bytes), &call->error);
}

static int call_socket(struct more_call *call)
{
    WSAPROTOCOL_INFOW info = provider.info;
    SOCKET s =
        TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, P(0, info), 0, 0, &call->error);
    if (s != INVALID_SOCKET) {
        spi_keep(s);
    }
    return s != INVALID_SOCKET ? 0 : SOCKET_ERROR;
}

static int call_qos(struct more_call *call)
{
    WCHAR text[] = L"template";
    WSABUF name = {.len = sizeof(text), .buf = PB(1, text, sizeof(text))};
    QOS qos = {0};
    return TABLE->lpWSPGetQOSByName(call->s, P(0, name), P(2, qos), &call->error) ? 0
                                                                                  : SOCKET_ERROR;
}

static int call_send(struct more_call *call)
{
    DWORD sent = 0;
    WSABUF buffer = {.len = sizeof(data), .buf = PB(2, data, sizeof(data))};
    return TABLE->lpWSPSend(call->s, P(1, buffer), 1, P(3, sent), 0, P(0, over), NULL, NULL,
                            &call->error);
}

static int call_send_to(struct more_call *call)
{
    DWORD sent = 0;
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    WSABUF buffer = {.len = sizeof(data), .buf = PB(2, data, sizeof(data))};
    return TABLE->lpWSPSendTo(call->dgram, P(1, buffer), 1, P(3, sent), 0, PB(4, &at, sizeof(at)),
                              sizeof(at), P(0, over), NULL, NULL, &call->error);
}

static int call_recv(struct more_call *call)
{
    DWORD got = 0;
    DWORD flags = 0;
    WSABUF buffer = {.len = sizeof(data), .buf = PB(2, data, sizeof(data))};
    return TABLE->lpWSPRecv(call->s, P(1, buffer), 1, P(4, got), P(3, flags), P(0, over), NULL,
                            NULL, &call->error);
}

static int call_recv_from(struct more_call *call)
{
    DWORD got = 0;
    DWORD flags = 0;
    SOCKADDR_IN at = {0};
    int bytes = sizeof(at);
    WSABUF buffer = {.len = sizeof(data), .buf = PB(2, data, sizeof(data))};
    return TABLE->lpWSPRecvFrom(call->dgram, P(1, buffer), 1, P(6, got), P(3, flags),
                                PB(4, &at, sizeof(at)), P(5, bytes), P(0, over), NULL, NULL,
                                &call->error);
}

static int call_connect(struct more_call *call)
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 9);
    WSABUF none = {0};
    return TABLE->lpWSPConnect(call->listener, PB(0, &at, sizeof(at)), sizeof(at), P(1, none),
                               P(2, none), NULL, NULL, &call->error);
}

static int call_send_disconnect(struct more_call *call)
{
    WSABUF none = {0};
    return TABLE->lpWSPSendDisconnect(call->fresh, P(0, none), &call->error);
}

static int call_recv_disconnect(struct more_call *call)
{
    WSABUF none = {0};
    return TABLE->lpWSPRecvDisconnect(call->fresh, P(0, none), &call->error);
}

static int call_select(struct more_call *call)
{
    fd_set sets[3];
    struct timeval now = {0};
    for (unsigned i = 0; i < 3; i++) {
        sets[i] = (fd_set){.fd_count = 1, .fd_array = {call->s}};
    }
    const size_t used = sizeof(u_int) + sizeof(SOCKET);
    return TABLE->lpWSPSelect(0, PB(0, &sets[0], used), PB(1, &sets[1], used),
                              PB(2, &sets[2], used), P(3, now), &call->error);
}

/* ---- the table ---- */

enum {
    READ_ONLY_OK = 1, /* it is only read */
    NULL_OK = 2,      /* NULL means none */
    NULL_OTHER = 4,   /* its page has another word for NULL: WSAEINVAL, WSA_INVALID_PARAMETER */
    CUT_OK = 8,       /* there is room for what is written, or for what is looked at */
    ANY_OTHER = 16    /* its page has WSAEINVAL for whatever is no such structure */
};

struct more_row {
    const char *name;
    int (*run)(struct more_call *call);
    unsigned count;
    unsigned ways[8]; /* of each argument */
};

static const struct more_row rows[] = {
    {"AcceptEx", call_accept_ex, 3, {NULL_OTHER, NULL_OK, NULL_OTHER}},
    {"ConnectEx", call_connect_ex, 4, {READ_ONLY_OK, READ_ONLY_OK | NULL_OK, NULL_OK, NULL_OTHER}},
    {"DisconnectEx", call_disconnect_ex, 1, {NULL_OK}},
    {"TransmitFile",
     call_transmit_file,
     4,
     {NULL_OK, READ_ONLY_OK | NULL_OK, READ_ONLY_OK, READ_ONLY_OK}},
    {"TransmitPackets", call_transmit_packets, 3, {NULL_OK, READ_ONLY_OK, READ_ONLY_OK}},
    {"WSARecvMsg", call_recv_msg, 7, {0, NULL_OK, NULL_OK, NULL_OK, READ_ONLY_OK, 0, 0}},
    {"WSASendMsg",
     call_send_msg,
     7,
     {READ_ONLY_OK, NULL_OK, NULL_OK, READ_ONLY_OK | NULL_OK, READ_ONLY_OK, READ_ONLY_OK,
      READ_ONLY_OK}},
    {"WSAPoll", call_poll, 1, {NULL_OTHER}},
    {"WSPGetOverlappedResult", call_result, 3, {READ_ONLY_OK, 0, 0}},
    {"WSPEnumNetworkEvents", call_enum_events, 1, {0}},
    {"WSPDuplicateSocket", call_duplicate, 1, {0}},
    {"WSPAddressToString",
     call_to_text,
     4,
     {READ_ONLY_OK | NULL_OTHER, CUT_OK, NULL_OTHER, READ_ONLY_OK | NULL_OK | ANY_OTHER}},
    {"WSPStringToAddress",
     call_to_address,
     4,
     {READ_ONLY_OK | NULL_OTHER, 0, 0, READ_ONLY_OK | NULL_OK | ANY_OTHER}},
    {"WSPSocket", call_socket, 1, {READ_ONLY_OK | NULL_OK}},
    {"WSPGetQOSByName", call_qos, 3, {READ_ONLY_OK, READ_ONLY_OK | CUT_OK, 0}},
    {"WSPSend", call_send, 4, {NULL_OK, READ_ONLY_OK, READ_ONLY_OK, NULL_OK}},
    {"WSPSendTo",
     call_send_to,
     5,
     {NULL_OK, READ_ONLY_OK, READ_ONLY_OK, NULL_OK, READ_ONLY_OK | NULL_OK}},
    {"WSPRecv", call_recv, 5, {NULL_OK, READ_ONLY_OK, 0, 0, NULL_OK}},
    {"WSPRecvFrom", call_recv_from, 7, {NULL_OK, READ_ONLY_OK, 0, 0, NULL_OK, 0, NULL_OK}},
    {"WSPConnect", call_connect, 3, {READ_ONLY_OK, READ_ONLY_OK | NULL_OK, NULL_OK}},
    {"WSPSendDisconnect", call_send_disconnect, 1, {READ_ONLY_OK | NULL_OK}},
    {"WSPRecvDisconnect", call_recv_disconnect, 1, {READ_ONLY_OK | NULL_OK}},
    {"WSPSelect", call_select, 4, {NULL_OK, NULL_OK, NULL_OK, READ_ONLY_OK | NULL_OK}},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const way_names[BAD_WAYS] = {"NULL", "no access", "freed", "read only", "cut"};

static struct more_call more_sockets(void)
{
    SOCKADDR_IN at = {0};
    struct stream_pair pair = stream_connected();
    struct more_call call = {.s = pair.client,
                             .dgram = spi_bound(NULL),
                             .listener = stream_listener(&at),
                             .fresh = stream_bound(&at)};
    stream_send(pair.server, "there to be taken");
    stream_await(pair.client, READ);
    OK(TABLE->lpWSPEventSelect(call.dgram, NULL, 0, &spi_error));
    return call;
}

static bool way_is_good(unsigned allowed, enum bad_way way)
{
    return (way == BAD_NULL && (allowed & NULL_OK) != 0) ||
           (way == BAD_READ_ONLY && (allowed & READ_ONLY_OK) != 0) ||
           (way == BAD_CUT && (allowed & CUT_OK) != 0);
}

static bool error_is_right(unsigned allowed, enum bad_way way, int error)
{
    bool other = (allowed & ANY_OTHER) != 0 || (way == BAD_NULL && (allowed & NULL_OTHER) != 0);
    return error == WSAEFAULT || (other && (error == WSAEINVAL || error == WSA_INVALID_PARAMETER));
}

CASE(table, fault_more, "a bad pointer in each argument of each newer function: WSAEFAULT")
{
    struct more_call call = more_sockets();
    unsigned wrong = 0;
    for (unsigned r = 0; r < ROWS; r++) {
        const struct more_row *row = &rows[r];
        for (call.bad = 0; call.bad < row->count; call.bad++) {
            for (call.way = BAD_NULL; call.way < BAD_WAYS; call.way++) {
                if (way_is_good(row->ways[call.bad], call.way)) {
                    continue;
                }
                call.taken = 0;
                call.error = 0;
                memset(&over, 0, sizeof(over));
                int result = row->run(&call);
                if (call.taken != (1u << row->count) - 1 || result != SOCKET_ERROR ||
                    !error_is_right(row->ways[call.bad], call.way, call.error)) {
                    print_error("%s: argument %u, %s: result %d, error %d, taken %x\n", row->name,
                                call.bad, way_names[call.way], result, call.error, call.taken);
                    wrong++;
                }
            }
        }
    }
    assert_int_equal(wrong, 0);
    stream_expect(call.s, "there to be taken");
}

/* ---- commands ---- */

struct command {
    DWORD code, in_bytes, out_bytes;
    bool dgram;
    const void *in;  /* that it takes; NULL: anything */
    int no_in_error; /* its page's for no input; 0: WSAEFAULT */
};

static const GUID some_function = WSAID_ACCEPTEX;
static const SOCKADDR_IN some_address = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};

static const TIMESTAMPING_CONFIG no_timestamps = {0};
static const TCP_INITIAL_RTO_PARAMETERS some_rto = {.Rtt = TCP_INITIAL_RTO_UNSPECIFIED_RTT};

static const struct command commands[] = {
    {(DWORD)FIONBIO, 4, 0, true, NULL, 0},
    {(DWORD)FIONREAD, 0, 4, true, NULL, 0},
    {(DWORD)SIOCATMARK, 0, 4, false, NULL, 0},
    {SIO_GET_EXTENSION_FUNCTION_POINTER, sizeof(GUID), sizeof(void *), true, &some_function, 0},
    {SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER, sizeof(GUID), 0, true, NULL, 0},
    {SIO_BASE_HANDLE, 0, sizeof(SOCKET), true, NULL, 0},
    {SIO_BSP_HANDLE, 0, sizeof(SOCKET), true, NULL, 0},
    {SIO_BSP_HANDLE_SELECT, 0, sizeof(SOCKET), true, NULL, 0},
    {SIO_BSP_HANDLE_POLL, 0, sizeof(SOCKET), true, NULL, 0},
    {SIO_ADDRESS_LIST_QUERY, 0, 256, true, NULL, 0},
    {SIO_ADDRESS_LIST_SORT, 4, 256, true, NULL, 0},
    {SIO_ADDRESS_LIST_CHANGE, 0, 0, true, NULL, 0},
    {SIO_ROUTING_INTERFACE_QUERY, sizeof(SOCKADDR_IN), sizeof(SOCKADDR_IN), true, &some_address, 0},
    {SIO_ROUTING_INTERFACE_CHANGE, sizeof(SOCKADDR_IN), 0, true, &some_address, 0},
    {SIO_GET_INTERFACE_LIST, 0, 1024, true, NULL, 0},
    {SIO_GET_BROADCAST_ADDRESS, 0, sizeof(SOCKADDR_IN), true, NULL, 0},
    {SIO_UDP_CONNRESET, 4, 0, true, NULL, 0},
    {SIO_MULTIPOINT_LOOPBACK, 4, 0, true, NULL, 0},
    {SIO_MULTICAST_SCOPE, 4, 0, true, NULL, 0},
    {SIO_TIMESTAMPING, sizeof(TIMESTAMPING_CONFIG), 0, true, &no_timestamps, 0},
    {SIO_GET_TX_TIMESTAMP, sizeof(UINT32), sizeof(UINT64), true, NULL, 0},
    {SIO_KEEPALIVE_VALS, sizeof(struct tcp_keepalive), 0, false, NULL, 0},
    {SIO_TCP_INFO, sizeof(DWORD), sizeof(TCP_INFO_v0), false, NULL, WSAEMSGSIZE},
    {SIO_TCP_INITIAL_RTO, sizeof(TCP_INITIAL_RTO_PARAMETERS), 0, false, &some_rto, 0},
    {SIO_LOOPBACK_FAST_PATH, 4, 0, false, NULL, 0},
    {SIO_IDEAL_SEND_BACKLOG_QUERY, 0, sizeof(ULONG), false, NULL, 0},
    {SIO_IDEAL_SEND_BACKLOG_CHANGE, 0, 0, false, NULL, 0},
    {SIO_RINGSOCK_WARM, 8, 0, true, NULL, 0},
    {SIO_RINGSOCK_SPIN, 8, 0, true, NULL, 0},
    {SIO_RINGSOCK_SPIN, 0, 8, true, NULL, 0},
    {SIO_RINGSOCK_THREAD_SPIN, 8, 0, true, NULL, 0},
    {SIO_RINGSOCK_THREAD_SPIN, 0, 8, true, NULL, 0},
};

/* in and out as given, otherwise good. */
static int command_error(SOCKET s, const struct command *command, void *in, void *out,
                         LPDWORD returned)
{
    int error = 0;
    return TABLE->lpWSPIoctl(s, command->code, in, command->in_bytes, out, command->out_bytes,
                             returned, NULL, NULL, NULL, &error) == SOCKET_ERROR
               ? error
               : 0;
}

/* Whether a call with this memory for its input, its output or its count fails as it has to. */
static bool command_faults(SOCKET s, const struct command *command, enum bad_way way)
{
    static char in[64], out[1024];
    const int no_in_error = command->no_in_error != 0 ? command->no_in_error : WSAEFAULT;
    const int in_error = way == BAD_NULL ? no_in_error : WSAEFAULT;
    void *bad = bad_memory(way);
    DWORD returned = 0;
    memset(in, 0, sizeof(in));
    if (command->in != NULL) {
        memcpy(in, command->in, command->in_bytes);
    }
    int by_in = command->in_bytes == 0 || way == BAD_READ_ONLY
                    ? in_error
                    : command_error(s, command, bad, out, &returned);
    int by_out =
        command->out_bytes == 0 ? WSAEFAULT : command_error(s, command, in, bad, &returned);
    int by_count = command_error(s, command, in, out, bad);
    if (by_in == in_error && by_out == WSAEFAULT && by_count == WSAEFAULT) {
        return true;
    }
    print_error("command %lx, %s: input %d, output %d, count %d\n", (unsigned long)command->code,
                way_names[way], by_in, by_out, by_count);
    return false;
}

CASE(WSPIoctl, fault_commands, "a bad input, output or count of each command is WSAEFAULT")
{
    struct more_call sockets = more_sockets();
    unsigned wrong = 0;
    for (unsigned c = 0; c < sizeof(commands) / sizeof(commands[0]); c++) {
        SOCKET s = commands[c].dgram ? sockets.dgram : sockets.s;
        for (enum bad_way way = BAD_NULL; way < BAD_WAYS; way++) {
            wrong += command_faults(s, &commands[c], way) ? 0 : 1;
        }
    }
    assert_int_equal(wrong, 0);
}

/* ---- lpErrno, and a function without an error ---- */

CASE(table, fault_errno, "an error that nobody may write is written nowhere; the call fails")
{
    struct more_call call = more_sockets();
    LPINT bad[] = {NULL, spi_bad_pointer(), spi_read_only_page(),
                   (LPINT)(void *)(cut_pages() + PAGE_BYTES - 1)};
    for (unsigned i = 0; i < 4; i++) {
        DWORD flags = 0;
        DWORD got = 0;
        WSABUF buffer = {.len = sizeof(data), .buf = NULL};
        assert_int_equal(TABLE->lpWSPCloseSocket(INVALID_SOCKET, bad[i]), SOCKET_ERROR);
        assert_int_equal(TABLE->lpWSPListen(call.dgram, 1, bad[i]), SOCKET_ERROR);
        assert_int_equal(
            TABLE->lpWSPRecv(call.s, &buffer, 1, &got, &flags, NULL, NULL, NULL, bad[i]),
            SOCKET_ERROR);
        assert_int_equal(TABLE->lpWSPCancelBlockingCall(bad[i]), SOCKET_ERROR);
        assert_true(TABLE->lpWSPSocket(AF_INET, 99, 0, NULL, 0, 0, bad[i]) == INVALID_SOCKET);
    }
}

EXT_FUNCTION(LPFN_GETACCEPTEXSOCKADDRS, accept_ex_addrs, WSAID_GETACCEPTEXSOCKADDRS)

CASE(GetAcceptExSockaddrs, fault, "a bad pointer: nothing is written, and the program lives")
{
    LPFN_GETACCEPTEXSOCKADDRS function = accept_ex_addrs();
    struct sockaddr *local = NULL;
    struct sockaddr *remote = NULL;
    INT local_bytes = 0;
    INT remote_bytes = 0;
    void *const bad[] = {NULL, spi_bad_pointer(), cut_pages() + PAGE_BYTES - 1};
    for (unsigned i = 0; i < 3; i++) {
        function(bad[i], 8, 32, 32, &local, &local_bytes, &remote, &remote_bytes);
        function(slots, 8, 32, 32, bad[i], &local_bytes, &remote, &remote_bytes);
        function(slots, 8, 32, 32, &local, bad[i], &remote, &remote_bytes);
        function(slots, 8, 32, 32, &local, &local_bytes, bad[i], &remote_bytes);
        function(slots, 8, 32, 32, &local, &local_bytes, &remote, bad[i]);
    }
}

/* ---- options ---- */

/* Of which socket, and which of the two it has; SET_NULL: NULL is a value. */
enum option_socket { ON_DGRAM, ON_STREAM, ON_IPV6, ON_KINDS };
enum { SET = 1, GET = 2, SET_NULL = 4 };

static const struct option_row {
    int level, name, bytes;
    unsigned has;
    enum option_socket on;
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_BROADCAST, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_RCVBUF, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_SNDBUF, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_RCVTIMEO, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_SNDTIMEO, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_DEBUG, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_DONTROUTE, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_GROUP_PRIORITY, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_PORT_SCALABILITY, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_RANDOMIZE_PORT, 4, SET | GET, ON_DGRAM},
    {SOL_SOCKET, SO_TYPE, 4, GET, ON_DGRAM},
    {SOL_SOCKET, SO_ERROR, 4, GET, ON_DGRAM},
    {SOL_SOCKET, SO_PROTOCOL_INFOW, sizeof(WSAPROTOCOL_INFOW), GET, ON_DGRAM},
    {SOL_SOCKET, SO_PROTOCOL_INFOA, sizeof(WSAPROTOCOL_INFOA), GET, ON_DGRAM},
    {SOL_SOCKET, SO_BSP_STATE, sizeof(CSADDR_INFO), GET, ON_DGRAM},
    {SOL_SOCKET, SO_GROUP_ID, 4, GET, ON_DGRAM},
    {SOL_SOCKET, SO_MAX_MSG_SIZE, 4, GET, ON_DGRAM},
    {SOL_SOCKET, SO_KEEPALIVE, 4, SET | GET, ON_STREAM},
    {SOL_SOCKET, SO_OOBINLINE, 4, SET | GET, ON_STREAM},
    {SOL_SOCKET, SO_LINGER, sizeof(struct linger), SET | GET, ON_STREAM},
    {SOL_SOCKET, SO_DONTLINGER, 4, SET | GET, ON_STREAM},
    {SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 4, SET | GET, ON_STREAM},
    {SOL_SOCKET, SO_ACCEPTCONN, 4, GET, ON_STREAM},
    {SOL_SOCKET, SO_CONNECT_TIME, 4, GET, ON_STREAM},
    {SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, sizeof(SOCKET), SET, ON_STREAM},
    {IPPROTO_IP, IP_TTL, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_TOS, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_UNICAST_IF, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_MULTICAST_IF, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_MULTICAST_TTL, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_MULTICAST_LOOP, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_DONTFRAGMENT, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_MTU_DISCOVER, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_PKTINFO, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_RECVIF, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_ORIGINAL_ARRIVAL_IF, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_RECVTTL, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_RECVTOS, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_ECN, 4, SET | GET, ON_DGRAM},
    {IPPROTO_IP, IP_MTU, 4, GET, ON_STREAM},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, sizeof(IP_MREQ), SET, ON_DGRAM},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP, sizeof(IP_MREQ), SET, ON_DGRAM},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, sizeof(IP_MREQ_SOURCE), SET, ON_DGRAM},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, sizeof(IP_MREQ_SOURCE), SET, ON_DGRAM},
    {IPPROTO_IP, IP_BLOCK_SOURCE, sizeof(IP_MREQ_SOURCE), SET, ON_DGRAM},
    {IPPROTO_IP, IP_UNBLOCK_SOURCE, sizeof(IP_MREQ_SOURCE), SET, ON_DGRAM},
    {IPPROTO_IP, MCAST_JOIN_GROUP, sizeof(GROUP_REQ), SET, ON_DGRAM},
    {IPPROTO_IP, MCAST_LEAVE_GROUP, sizeof(GROUP_REQ), SET, ON_DGRAM},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, sizeof(GROUP_SOURCE_REQ), SET, ON_DGRAM},
    {IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, sizeof(GROUP_SOURCE_REQ), SET, ON_DGRAM},
    {IPPROTO_IP, MCAST_BLOCK_SOURCE, sizeof(GROUP_SOURCE_REQ), SET, ON_DGRAM},
    {IPPROTO_IP, MCAST_UNBLOCK_SOURCE, sizeof(GROUP_SOURCE_REQ), SET, ON_DGRAM},
    {IPPROTO_UDP, UDP_NOCHECKSUM, 4, SET | GET, ON_DGRAM},
    {IPPROTO_UDP, UDP_SEND_MSG_SIZE, 4, SET | GET, ON_DGRAM},
    {IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, 4, SET | GET, ON_DGRAM},
    {IPPROTO_TCP, TCP_NODELAY, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_KEEPIDLE, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_KEEPINTVL, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_KEEPCNT, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_MAXRT, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_MAXRTMS, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_TIMESTAMPS, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_MAXSEG, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_BSDURGENT, 4, SET | GET, ON_STREAM},
    {IPPROTO_TCP, TCP_EXPEDITED_1122, 4, SET | GET, ON_STREAM},
    {IPPROTO_IPV6, IPV6_V6ONLY, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_PROTECTION_LEVEL, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, 4, SET | GET | SET_NULL, ON_IPV6},
    {IPPROTO_IPV6, IPV6_UNICAST_IF, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_DONTFRAG, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, 4, SET | GET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, sizeof(IPV6_MREQ), SET, ON_IPV6},
    {IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, sizeof(IPV6_MREQ), SET, ON_IPV6},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, sizeof(GROUP_REQ), SET, ON_IPV6},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP, sizeof(GROUP_REQ), SET, ON_IPV6},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, sizeof(GROUP_SOURCE_REQ), SET, ON_IPV6},
};

static int option_set_error(SOCKET s, const struct option_row *row, const void *value)
{
    int error = 0;
    (void)TABLE->lpWSPSetSockOpt(s, row->level, row->name, value, row->bytes, &error);
    return error;
}

static int option_get_error(SOCKET s, const struct option_row *row, void *value, int *bytes)
{
    int error = 0;
    (void)TABLE->lpWSPGetSockOpt(s, row->level, row->name, value, bytes, &error);
    return error;
}

/* Whether a call with this memory for its value, or for its length, is WSAEFAULT. */
static bool option_faults(SOCKET s, const struct option_row *row, enum bad_way way)
{
    static char value[1024];
    int bytes = row->bytes;
    int by_set = WSAEFAULT;
    int by_get = WSAEFAULT;
    int by_length = WSAEFAULT;
    if ((row->has & GET) != 0) {
        by_get = option_get_error(s, row, bad_memory(way), &bytes);
        by_length = option_get_error(s, row, value, bad_memory(way));
    }
    if ((row->has & SET) != 0 && way != BAD_READ_ONLY &&
        (way != BAD_NULL || (row->has & SET_NULL) == 0)) {
        by_set = option_set_error(s, row, bad_memory(way));
    }
    if (by_set == WSAEFAULT && by_get == WSAEFAULT && by_length == WSAEFAULT) {
        return true;
    }
    print_error("option %d/%d, %s: set %d, get %d, length %d\n", row->level, row->name,
                way_names[way], by_set, by_get, by_length);
    return false;
}

CASE(table, fault_options, "a bad value or length of each option is WSAEFAULT, set and asked for")
{
    struct more_call sockets = more_sockets();
    SOCKET six = TABLE->lpWSPSocket(AF_INET6, SOCK_DGRAM, 0, NULL, 0, 0, &spi_error);
    assert_true(six != INVALID_SOCKET);
    spi_keep(six);
    const SOCKET of[ON_KINDS] = {sockets.dgram, sockets.s, six};
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        for (enum bad_way way = BAD_NULL; way < BAD_WAYS; way++) {
            wrong += option_faults(of[options[i].on], &options[i], way) ? 0 : 1;
        }
    }
    assert_int_equal(wrong, 0);
}
