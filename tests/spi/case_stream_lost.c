/*
 * Cases of connections that end by no program's doing. Only the fake dataplane can be told to.
 */
#include "provider/spi/spi.h"
#include "tests/spi/event_kit.h"
#include "tests/spi/ext_kit.h"
#include "tests/spi/message_kit.h"
#include "tests/spi/provider_fake.h"
#include "tests/spi/stream_kit.h"

/* A connection's client, lost for this reason. */
static SOCKET lost(enum rs_status why)
{
    struct stream_pair pair = stream_connected();
    fake_stream_error(spi_fake, spi_name(pair.client).sin_port, why);
    stream_await(pair.client, READ);
    return pair.client;
}

static void says(int code, enum rs_status why)
{
    SOCKET s = lost(why);
    char byte;
    DWORD count;
    for (unsigned i = 0; i < 2; i++) {
        FAILS(code, stream_recv(s, &byte, 1, 0, &count));
        FAILS(code, spi_send_one(s, "x", 1, 0, &count));
    }
    assert_int_equal(spi_get_dword(lost(why), SOL_SOCKET, SO_ERROR), code);
}

CASE(WSPRecv, lost_silent,
     "a peer that acknowledges nothing any more is WSAECONNABORTED, each time")
{
    says(WSAECONNABORTED, RS_TIMED_OUT);
}

CASE(WSPRecv, lost_keepalive,
     "a peer that answers no keep-alive probe is WSAENETRESET, and then WSAENOTCONN")
{
    SOCKET s = lost(RS_NET_RESET);
    char byte;
    DWORD count;
    FAILS(WSAENETRESET, stream_recv(s, &byte, 1, 0, &count));
    FAILS(WSAENOTCONN, stream_recv(s, &byte, 1, 0, &count));
    FAILS(WSAENOTCONN, spi_send_one(s, "x", 1, 0, &count));
    s = lost(RS_NET_RESET);
    FAILS(WSAENETRESET, spi_send_one(s, "x", 1, 0, &count));
    FAILS(WSAENOTCONN, spi_send_one(s, "x", 1, 0, &count));
    assert_int_equal(spi_get_dword(lost(RS_NET_RESET), SOL_SOCKET, SO_ERROR), WSAENETRESET);
}

struct blocked {
    SOCKET s;
    int error;
};

static DWORD WINAPI receive_blocked(void *context)
{
    struct blocked *blocked = context;
    char byte;
    WSABUF buffer = {.len = 1, .buf = &byte};
    DWORD got;
    DWORD flags = 0;
    (void)TABLE->lpWSPRecv(blocked->s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &blocked->error);
    return 0;
}

CASE(WSPRecv, lost_keepalive_blocked, "and WSAENETRESET to all calls that are under way")
{
    struct stream_pair pair = stream_connected();
    struct blocked blocked[2] = {{.s = pair.client}, {.s = pair.client}};
    HANDLE threads[2];
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = CreateThread(NULL, 0, receive_blocked, &blocked[i], 0, NULL);
    }
    Sleep(50); /* not a rule of the test: lets the others fall asleep first */
    fake_stream_error(spi_fake, spi_name(pair.client).sin_port, RS_NET_RESET);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(WaitForSingleObject(threads[i], 10000), WAIT_OBJECT_0);
        CloseHandle(threads[i]);
        assert_int_equal(blocked[i].error, WSAENETRESET);
    }
}

CASE(WSPRecv, lost_reset, "a reset is WSAECONNRESET, and SO_ERROR says it once")
{
    says(WSAECONNRESET, RS_CONN_RESET);
    SOCKET s = lost(RS_CONN_RESET);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), WSAECONNRESET);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), 0);
}

CASE(WSPRecv, lost_after_data, "what arrived before is read first")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_send(pair.server, "before");
    stream_await(pair.client, READ);
    fake_stream_error(spi_fake, spi_name(pair.client).sin_port, RS_CONN_RESET);
    stream_expect(pair.client, "before");
    FAILS(WSAECONNRESET, stream_recv(pair.client, &byte, 1, 0, &got));
}

/* ---- connects ---- */

static void attempt_fails(int code, enum rs_status why)
{
    SOCKET s = stream_new();
    SOCKADDR_IN silent = stream_silent();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    fake_stream_error(spi_fake, spi_name(s).sin_port, why);
    assert_int_equal(stream_select(s, READ | WRITE | EXCEPT, 5000), EXCEPT);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ERROR), code);
}

CASE(WSPConnect, lost_attempt, "silence is WSAETIMEDOUT, no way there WSAEHOSTUNREACH")
{
    attempt_fails(WSAETIMEDOUT, RS_TIMED_OUT);
    attempt_fails(WSAEHOSTUNREACH, RS_HOST_UNREACHABLE);
}

static DWORD WINAPI lose_later(void *context)
{
    Sleep(50); /* not a rule of the test: lets the other thread fall asleep first */
    fake_stream_error(spi_fake, *(uint16_t *)context, RS_TIMED_OUT);
    return 0;
}

CASE(WSPConnect, lost_blocking, "a blocking connect that nobody answers is WSAETIMEDOUT")
{
    SOCKADDR_IN from;
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_bound(&from);
    HANDLE thread = CreateThread(NULL, 0, lose_later, &from.sin_port, 0, NULL);
    FAILS(WSAETIMEDOUT, spi_connect_to(s, &silent));
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)

CASE(DisconnectEx, lost_unread, "a connection that is lost while the end waits to be read: why")
{
    struct stream_pair pair = stream_connected();
    struct ext_op op;
    ext_op_make(&op);
    stream_send(pair.server, "unread");
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    stream_await_bytes(pair.client, 6);
    EXT_FAILS(WSA_IO_PENDING, disconnect_ex()(pair.client, &op.o, TF_REUSE_SOCKET, 0));
    stream_expect_end(pair.server);
    struct spi_socket *socket = spi_socket_get(pair.client);
    for (unsigned tries = 0;
         client_socket_ready(socket->core, RS_LEVEL_END) == 0 ||
         (atomic_load_explicit(&socket->attention, memory_order_relaxed) & SPI_ATTENTION_READ) == 0;
         tries++) {
        if (tries == 5000) {
            fail_msg("waited 5000 ms for DisconnectEx to wait for reads");
        }
        Sleep(1);
    }
    spi_socket_put(socket);
    fake_stream_error(spi_fake, spi_name(pair.client).sin_port, RS_NET_RESET);
    ext_op_ends(pair.client, &op, WSAENETRESET);
    ext_op_drop(&op);
}

/* ---- other functions that send ---- */

EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)

/* How a connection may be lost, and the codes that the pages of all that send have for it. */
static const struct {
    enum rs_status why;
    int code;
} losses[] = {
    {RS_TIMED_OUT, WSAECONNABORTED}, {RS_NET_RESET, WSAENETRESET}, {RS_CONN_RESET, WSAECONNRESET}};
#define LOSSES (sizeof(losses) / sizeof(losses[0]))

CASE(TransmitFile, lost_file,
     "a lost connection: WSAECONNABORTED, WSAENETRESET or WSAECONNRESET, by what it was lost for")
{
    for (unsigned i = 0; i < LOSSES; i++) {
        TRANSMIT_FILE_BUFFERS buffers = {.Head = "head", .HeadLength = 4};
        EXT_FAILS(losses[i].code,
                  transmit_file()(lost(losses[i].why), NULL, 0, 0, NULL, &buffers, 0));
    }
}

CASE(TransmitPackets, lost_packets,
     "a lost connection: WSAECONNABORTED, WSAENETRESET or WSAECONNRESET, by what it was lost for")
{
    for (unsigned i = 0; i < LOSSES; i++) {
        TRANSMIT_PACKETS_ELEMENT element = {
            .dwElFlags = TP_ELEMENT_MEMORY, .cLength = 4, .pBuffer = "data"};
        EXT_FAILS(losses[i].code, transmit_packets()(lost(losses[i].why), &element, 1, 0, NULL, 0));
    }
}

CASE(WSPSendTo, lost_send_to,
     "a lost connection: WSAECONNABORTED, WSAENETRESET or WSAECONNRESET, by what it was lost for")
{
    SOCKADDR_IN to = spi_at("127.0.0.1", 9); /* ignored */
    for (unsigned i = 0; i < LOSSES; i++) {
        FAILS(losses[i].code, spi_send_to_one(lost(losses[i].why), "x", 1, &to));
    }
}

CASE(WSPRecvFrom, lost_recv_from,
     "a lost connection: WSAECONNABORTED, WSAENETRESET or WSAECONNRESET, by what it was lost for")
{
    for (unsigned i = 0; i < LOSSES; i++) {
        char byte;
        SOCKADDR_IN from;
        DWORD got = 0;
        FAILS(losses[i].code, spi_recv_from_one(lost(losses[i].why), &byte, 1, &from, &got));
    }
}

EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)

CASE(ConnectEx, lost_connect_ex, "silence is WSAETIMEDOUT, no way there WSAEHOSTUNREACH")
{
    static const enum rs_status why[] = {RS_TIMED_OUT, RS_HOST_UNREACHABLE};
    static const int codes[] = {WSAETIMEDOUT, WSAEHOSTUNREACH};
    SOCKADDR_IN silent = stream_silent();
    for (unsigned i = 0; i < 2; i++) {
        SOCKADDR_IN from;
        SOCKET s = stream_bound(&from);
        struct ext_op op;
        DWORD sent = 0;
        ext_op_make(&op);
        EXT_FAILS(WSA_IO_PENDING, connect_ex()(s, (const struct sockaddr *)&silent, sizeof(silent),
                                               NULL, 0, &sent, &op.o));
        fake_stream_error(spi_fake, from.sin_port, why[i]);
        ext_op_ends(s, &op, codes[i]);
        ext_op_drop(&op);
    }
}

CASE(WSPShutdown, lost_shutdown, "a connection that timed out is WSAECONNABORTED")
{
    FAILS(WSAECONNABORTED, TABLE->lpWSPShutdown(lost(RS_TIMED_OUT), SD_SEND, &spi_error));
}

CASE(WSPSetSockOpt, lost_set_keepalive,
     "SO_KEEPALIVE: WSAENOTCONN when the connection was reset, WSAENETRESET when it timed out")
{
    FAILS(WSAENOTCONN, spi_set_dword(lost(RS_CONN_RESET), SOL_SOCKET, SO_KEEPALIVE, TRUE));
    FAILS(WSAENETRESET, spi_set_dword(lost(RS_TIMED_OUT), SOL_SOCKET, SO_KEEPALIVE, TRUE));
    SOCKET s = lost(RS_NET_RESET);
    DWORD count;
    FAILS(WSAENETRESET, spi_set_dword(s, SOL_SOCKET, SO_KEEPALIVE, TRUE));
    FAILS(WSAENETRESET, stream_recv(s, &(char){0}, 1, 0, &count)); /* which is still to be told */
    FAILS(WSAENETRESET, spi_set_dword(s, SOL_SOCKET, SO_KEEPALIVE, FALSE));
    OK(spi_set_dword(s, SOL_SOCKET, SO_OOBINLINE, TRUE)); /* others can be set in any state */
}

/* ---- what is told of a datagram that was sent ---- */

static const struct {
    enum rs_status why;
    int code;
} tellings[] = {{RS_NET_RESET, WSAENETRESET}, /* its time to live ended */
                {RS_NET_UNREACHABLE, WSAENETUNREACH},
                {RS_HOST_UNREACHABLE, WSAEHOSTUNREACH}};
#define TELLINGS (sizeof(tellings) / sizeof(tellings[0]))

static SOCKET told(enum rs_status why)
{
    SOCKET s = spi_bound(NULL);
    fake_error(spi_fake, spi_name(s).sin_port, why);
    return s;
}

CASE(WSPRecv, told_recv,
     "a datagram whose time to live ended is WSAENETRESET, once; no way there by its code")
{
    for (unsigned i = 0; i < TELLINGS; i++) {
        SOCKET s = told(tellings[i].why);
        char byte;
        DWORD flags = 0;
        DWORD got;
        FAILS(tellings[i].code, spi_recv_one(s, &byte, 1, &flags, &got));
        spi_nonblocking(s);
        FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
    }
}

CASE(WSPRecvFrom, told_recv_from,
     "a datagram whose time to live ended is WSAENETRESET, once; no way there by its code")
{
    for (unsigned i = 0; i < TELLINGS; i++) {
        SOCKET s = told(tellings[i].why);
        char byte;
        SOCKADDR_IN from;
        DWORD got = 0;
        FAILS(tellings[i].code, spi_recv_from_one(s, &byte, 1, &from, &got));
        spi_nonblocking(s);
        FAILS(WSAEWOULDBLOCK, spi_recv_from_one(s, &byte, 1, &from, &got));
    }
}

CASE(WSARecvMsg, told_recv_msg,
     "a datagram whose time to live ended is WSAENETRESET, once; no way there by its code")
{
    for (unsigned i = 0; i < TELLINGS; i++) {
        SOCKET s = told(tellings[i].why);
        struct message message;
        message_clear(&message);
        FAILS(tellings[i].code, message_recv(s, &message));
        spi_nonblocking(s);
        FAILS(WSAEWOULDBLOCK, message_recv(s, &message));
    }
}

/* ---- network events ---- */

NOTIFY_CASE(lost_told, "FD_CLOSE: a connection that was lost is told with WSAECONNABORTED")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.client, FD_CLOSE));
    fake_stream_error(spi_fake, spi_name(pair.client).sin_port, RS_TIMED_OUT);
    notify_expect(n, pair.client, FD_CLOSE);
    assert_int_equal(notify_error(n, FD_CLOSE), WSAECONNABORTED);
}

NOTIFY_CASE(lost_attempt_told, "FD_CONNECT: silence is told with WSAETIMEDOUT")
{
    SOCKET s = stream_new();
    SOCKADDR_IN silent = stream_silent();
    OK(notify_select(n, s, FD_CONNECT));
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    fake_stream_error(spi_fake, spi_name(s).sin_port, RS_TIMED_OUT);
    notify_expect(n, s, FD_CONNECT);
    assert_int_equal(notify_error(n, FD_CONNECT), WSAETIMEDOUT);
}
