/* See ends_kit.h. */
#include "tests/spi/ends_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/spi/ext_kit.h"
#include "tests/spi/message_kit.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/poll_kit.h"

#define FILE_BYTES 100000u

void ends_add(const struct ends_row *rows, unsigned count, const char *how, spi_case_run run)
{
    enum { RULE_BYTES = 160 };
    for (unsigned i = 0; i < count; i++) {
        char *rule = malloc(RULE_BYTES); /* as long as the program */
        if (rule == NULL) {
            abort();
        }
        snprintf(rule, RULE_BYTES, "%s, %s", rows[i].what, how);
        spi_case_add_row(rows[i].function, rule, run, &rows[i]);
    }
}

bool ends_late(const struct ends_row *row, int error)
{
    return error == (row->late != 0 ? row->late : WSAENOTSOCK) || error == WSANOTINITIALISED;
}

void ends_with(struct stream_call *call, const struct ends_row *row, int expected)
{
    int error = stream_finish(call);
    if (error != expected && !ends_late(row, error)) {
        fail_msg("the call ended with error %d, %d expected", error, expected);
    }
}

/* ---- what lies before a call, or is found before it waits ---- */

/* A case's overlapped operations, which may end behind it. */
static struct overlapped_op before[2];
static struct message message;
static LPFN_WSARECVMSG recv_msg;
static HANDLE file;

EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)
static LPFN_TRANSMITFILE transmit_file_found;
static LPFN_TRANSMITPACKETS transmit_packets_found;
static LPFN_DISCONNECTEX disconnect_found;

static void pending_recv(SOCKET s)
{
    overlapped_make(&before[0]);
    FAILS(WSA_IO_PENDING, overlapped_recv(s, &before[0]));
}

static SOCKET full_socket(void)
{
    struct stream_pair pair = stream_connected();
    (void)stream_fill(pair.client);
    OK(spi_ioctl_in(pair.client, (DWORD)FIONBIO, 0));
    return pair.client;
}

static SOCKET full_with_pending(void)
{
    SOCKET s = full_socket();
    overlapped_make(&before[0]);
    FAILS(WSA_IO_PENDING, overlapped_send(s, &before[0], "pending"));
    return s;
}

static int failed(BOOL result)
{
    return result ? 0 : (int)GetLastError();
}

/* ---- receives ---- */

static void make_recv(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_RECV, .s = stream_connected().server};
}

static void make_recv_all(struct stream_call *call)
{
    make_recv(call);
    call->flags = MSG_WAITALL;
    call->bytes = 64;
}

static void make_recv_urgent(struct stream_call *call)
{
    make_recv(call);
    call->flags = MSG_OOB;
}

static void make_recv_peek(struct stream_call *call)
{
    make_recv(call);
    call->flags = MSG_PEEK;
}

static void make_recv_behind(struct stream_call *call)
{
    make_recv(call);
    pending_recv(call->s);
}

static void make_recv_dgram(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_RECV, .s = spi_bound(NULL)};
}

static int run_recv_from(struct stream_call *call)
{
    SOCKADDR_IN from;
    int from_bytes = sizeof(from);
    DWORD flags = 0;
    int error = 0;
    WSABUF buffer = {.len = 1, .buf = call->data};
    return TABLE->lpWSPRecvFrom(call->s, &buffer, 1, &call->count, &flags, (struct sockaddr *)&from,
                                &from_bytes, NULL, NULL, NULL, &error) == 0
               ? 0
               : error;
}

static void make_recv_from(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_recv_from, .s = spi_bound(NULL)};
}

static void make_recv_from_behind(struct stream_call *call)
{
    make_recv_from(call);
    pending_recv(call->s);
}

static int run_recv_msg(struct stream_call *call)
{
    return failed(recv_msg(call->s, &message.msg, &message.bytes, NULL, NULL) == 0);
}

static void make_recv_msg(struct stream_call *call)
{
    recv_msg = message_recv_function();
    message_clear(&message);
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_recv_msg, .s = spi_bound(NULL)};
}

static void make_recv_msg_behind(struct stream_call *call)
{
    make_recv_msg(call);
    pending_recv(call->s);
}

/* ---- sends ---- */

static void make_send(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_SEND, .s = full_socket()};
}

static void make_send_urgent(struct stream_call *call)
{
    *call = (struct stream_call){
        .kind = CALL_SEND, .s = full_socket(), .flags = MSG_OOB, .bytes = 4096};
}

static void make_send_behind(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_SEND, .s = full_with_pending(), .bytes = 1};
}

static int run_transmit(struct stream_call *call)
{
    return failed(transmit_file_found(call->s, file, 0, 0, NULL, NULL, 0));
}

static void make_transmit(struct stream_call *call)
{
    transmit_file_found = transmit_file();
    file = ext_file(FILE_BYTES, 0);
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_transmit, .s = full_socket()};
}

static void make_transmit_behind(struct stream_call *call)
{
    transmit_file_found = transmit_file();
    file = ext_file(FILE_BYTES, 0);
    *call =
        (struct stream_call){.kind = CALL_OTHER, .other = run_transmit, .s = full_with_pending()};
}

static int run_packets(struct stream_call *call)
{
    TRANSMIT_PACKETS_ELEMENT element = {
        .dwElFlags = TP_ELEMENT_MEMORY, .cLength = sizeof(call->data), .pBuffer = call->data};
    return failed(transmit_packets_found(call->s, &element, 1, 0, NULL, 0));
}

static void make_packets(struct stream_call *call)
{
    transmit_packets_found = transmit_packets();
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_packets, .s = full_socket()};
}

/* ---- connections ---- */

static void make_accept(struct stream_call *call)
{
    SOCKADDR_IN at;
    *call = (struct stream_call){.kind = CALL_ACCEPT, .s = stream_listener(&at)};
}

static void make_connect(struct stream_call *call)
{
    SOCKADDR_IN silent = stream_silent();
    *call = (struct stream_call){.kind = CALL_CONNECT, .s = stream_new(), .to = silent};
}

static int run_disconnect(struct stream_call *call)
{
    return failed(disconnect_found(call->s, NULL, TF_REUSE_SOCKET, 0));
}

static void make_disconnect(struct stream_call *call)
{
    disconnect_found = disconnect_ex();
    *call = (struct stream_call){
        .kind = CALL_OTHER, .other = run_disconnect, .s = stream_connected().client};
}

/* Behind the peer's end, with bytes that the program has to read. */
static void make_disconnect_unread(struct stream_call *call)
{
    struct stream_pair pair = stream_connected();
    disconnect_found = disconnect_ex();
    stream_send(pair.server, "unread");
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    stream_await_bytes(pair.client, 6);
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_disconnect, .s = pair.client};
}

/* ---- readiness, changes, operations ---- */

static void make_select_read(struct stream_call *call)
{
    *call =
        (struct stream_call){.kind = CALL_SELECT, .s = stream_connected().server, .flags = READ};
}

static void make_select_write(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_SELECT, .s = full_socket(), .flags = WRITE};
}

static void make_select_except(struct stream_call *call)
{
    *call =
        (struct stream_call){.kind = CALL_SELECT, .s = stream_connected().server, .flags = EXCEPT};
}

static void make_select_dgram(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_SELECT, .s = spi_bound(NULL), .flags = READ};
}

static LPFN_WSAPOLL poll_found;

static int run_poll(struct stream_call *call)
{
    WSAPOLLFD fd = {.fd = call->s, .events = POLLIN};
    int ready = poll_found(&fd, 1, 10000);
    call->count = ready == 1 ? (DWORD)fd.revents : 0;
    return failed(ready >= 0);
}

static void make_poll(struct stream_call *call)
{
    SOCKET s = stream_connected().server;
    poll_found = poll_function(s);
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_poll, .s = s};
}

static int run_result(struct stream_call *call)
{
    DWORD flags;
    int error = 0;
    return TABLE->lpWSPGetOverlappedResult(call->s, &before[0].o, &call->count, TRUE, &flags,
                                           &error)
               ? 0
               : error;
}

static void make_result(struct stream_call *call)
{
    *call = (struct stream_call){
        .kind = CALL_OTHER, .other = run_result, .s = stream_connected().server};
    pending_recv(call->s);
}

static int run_address_change(struct stream_call *call)
{
    int error = 0;
    return TABLE->lpWSPIoctl(call->s, SIO_ADDRESS_LIST_CHANGE, NULL, 0, NULL, 0, &call->count, NULL,
                             NULL, NULL, &error) == 0
               ? 0
               : error;
}

static void make_address_change(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_address_change, .s = spi_udp()};
}

static int run_route_change(struct stream_call *call)
{
    int error = 0;
    SOCKADDR_IN to = spi_at(SPI_OWN, 0);
    return TABLE->lpWSPIoctl(call->s, SIO_ROUTING_INTERFACE_CHANGE, &to, sizeof(to), NULL, 0,
                             &call->count, NULL, NULL, NULL, &error) == 0
               ? 0
               : error;
}

static void make_route_change(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_route_change, .s = spi_udp()};
}

/* ---- the table ----
 *
 * closed, cleaned: WSAEINTR, as closesocket's page has it for a blocking call that is canceled;
 * select finds no socket any more, WSAPoll says so of the entry. cancelled: WSAEINTR. shut:
 * SD_BOTH; WSAESHUTDOWN, and select is told that a call would not wait. down: WSAENETDOWN; select
 * and WSAPoll are told that a call would fail at once.
 */
#define SHUT_WAITS(function, what, make)                                             \
    {                                                                                \
        function, what, make, WSAEINTR, WSAEINTR, WSAEINTR, ENDS_NOT, WSAENETDOWN, 0 \
    }
#define SHUT_ENDS(function, what, make)                                                  \
    {                                                                                    \
        function, what, make, WSAEINTR, WSAEINTR, WSAEINTR, WSAESHUTDOWN, WSAENETDOWN, 0 \
    }
#define READINESS(function, what, make, shut)                                          \
    {                                                                                  \
        function, what, make, WSAENOTSOCK, WSAENOTSOCK, WSAEINTR, shut, WSAENETDOWN, 0 \
    }

const struct ends_row ends_rows[] = {
    SHUT_ENDS("WSPRecv", "one that waits", make_recv),
    SHUT_ENDS("WSPRecv", "one with MSG_WAITALL", make_recv_all),
    SHUT_ENDS("WSPRecv", "one with MSG_OOB", make_recv_urgent),
    SHUT_ENDS("WSPRecv", "one with MSG_PEEK", make_recv_peek),
    SHUT_ENDS("WSPRecv", "one behind an overlapped one", make_recv_behind),
    SHUT_ENDS("WSPRecv", "one of a datagram", make_recv_dgram),
    SHUT_ENDS("WSPRecvFrom", "one that waits", make_recv_from),
    SHUT_ENDS("WSPRecvFrom", "one behind an overlapped one", make_recv_from_behind),
    SHUT_ENDS("WSARecvMsg", "one that waits", make_recv_msg),
    SHUT_ENDS("WSARecvMsg", "one behind an overlapped one", make_recv_msg_behind),
    SHUT_ENDS("WSPSend", "one that waits", make_send),
    SHUT_ENDS("WSPSend", "one with MSG_OOB", make_send_urgent),
    SHUT_ENDS("WSPSend", "one behind an overlapped one", make_send_behind),
    SHUT_ENDS("TransmitFile", "one that waits", make_transmit),
    SHUT_ENDS("TransmitFile", "one behind an overlapped send", make_transmit_behind),
    SHUT_ENDS("TransmitPackets", "one that waits", make_packets),
    SHUT_WAITS("WSPAccept", "one that waits", make_accept),
    SHUT_WAITS("WSPConnect", "one that waits", make_connect),
    SHUT_WAITS("DisconnectEx", "one that waits for the peer", make_disconnect),
    /* what waits is lost: WSPShutdown's page */
    {"DisconnectEx", "one that waits for the program to read", make_disconnect_unread, WSAEINTR,
     WSAEINTR, WSAEINTR, WSAECONNABORTED, WSAENETDOWN, 0},
    READINESS("WSPSelect", "one of the read set", make_select_read, 0),
    READINESS("WSPSelect", "one of the write set", make_select_write, 0),
    READINESS("WSPSelect", "one of the except set", make_select_except, ENDS_NOT),
    READINESS("WSPSelect", "one of a datagram socket", make_select_dgram, 0),
    {"WSAPoll", "one that waits", make_poll, 0, 0, WSAEINTR, ENDS_NOT, WSAENETDOWN,
     WSAEINVAL}, /* POLLNVAL */
    {"WSPGetOverlappedResult", "one that waits", make_result, WSA_OPERATION_ABORTED,
     WSA_OPERATION_ABORTED, ENDS_NOT, WSAESHUTDOWN, WSAENETDOWN, 0},
    SHUT_WAITS("WSPIoctl", "SIO_ADDRESS_LIST_CHANGE that waits", make_address_change),
    SHUT_WAITS("WSPIoctl", "SIO_ROUTING_INTERFACE_CHANGE that waits", make_route_change),
};
const unsigned ends_row_count = sizeof(ends_rows) / sizeof(ends_rows[0]);
