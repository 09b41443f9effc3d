/*
 * Cases of the ends of a connection: shutdown, disconnect, close and lingering.
 */
#include "tests/spi/stream_kit.h"

/* ---- WSPShutdown ---- */

CASE(WSPShutdown, tcp_unconnected, "a stream without a connection is WSAENOTCONN")
{
    SOCKADDR_IN at;
    FAILS(WSAENOTCONN, TABLE->lpWSPShutdown(stream_new(), SD_SEND, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPShutdown(stream_bound(&at), SD_RECEIVE, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPShutdown(stream_listener(&at), SD_BOTH, &spi_error));
}

CASE(WSPShutdown, tcp_how, "an unknown way is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAEINVAL, TABLE->lpWSPShutdown(pair.client, 3, &spi_error));
}

CASE(WSPShutdown, tcp_send, "SD_SEND: the peer reads all and then the end; the other way goes on")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    stream_send(pair.client, "last words");
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, 0, &sent));
    stream_expect(pair.server, "last words");
    stream_expect_end(pair.server);
    stream_expect_end(pair.server);
    stream_send(pair.server, "answer");
    stream_expect(pair.client, "answer");
}

CASE(WSPShutdown, tcp_recv, "SD_RECEIVE: receiving is WSAESHUTDOWN, sending goes on")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(TABLE->lpWSPShutdown(pair.client, SD_RECEIVE, &spi_error));
    FAILS(WSAESHUTDOWN, stream_recv(pair.client, &byte, 1, 0, &got));
    stream_send(pair.client, "out");
    stream_expect(pair.server, "out");
}

CASE(WSPShutdown, tcp_recv_data, "data that arrives after SD_RECEIVE resets the connection")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(TABLE->lpWSPShutdown(pair.client, SD_RECEIVE, &spi_error));
    stream_send(pair.server, "unwelcome");
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, 0, &got));
}

CASE(WSPShutdown, tcp_both, "SD_BOTH ends both ways, twice is as good as once")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error));
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    FAILS(WSAESHUTDOWN, stream_recv(pair.client, &byte, 1, 0, &got));
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, 0, &got));
    stream_expect_end(pair.server);
}

CASE(WSPShutdown, tcp_over, "a connection that was reset is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_abort(pair.server);
    FAILS(WSAECONNRESET, stream_recv(pair.client, &byte, 1, 0, &got));
    FAILS(WSAECONNRESET, TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
}

CASE(WSPShutdown, tcp_recv_queued, "SD_RECEIVE with data that waits resets the connection")
{
    struct stream_pair pair = stream_connected();
    DWORD count;
    stream_send(pair.server, "queued");
    stream_await(pair.client, READ);
    OK(TABLE->lpWSPShutdown(pair.client, SD_RECEIVE, &spi_error));
    FAILS(WSAECONNRESET, stream_recv(pair.server, &(char){0}, 1, 0, &count));
    FAILS(WSAESHUTDOWN, stream_recv(pair.client, &(char){0}, 1, 0, &count));
    FAILS(WSAECONNABORTED, spi_send_one(pair.client, "x", 1, 0, &count));
}

CASE(WSPShutdown, tcp_both_queued, "and so does SD_BOTH")
{
    struct stream_pair pair = stream_connected();
    char text[8];
    DWORD count;
    stream_send(pair.server, "queued");
    stream_await(pair.client, READ);
    OK(TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error));
    /* The end may come first, then the reset. */
    for (unsigned i = 0; i < 5000 && stream_recv(pair.server, text, sizeof(text), 0, &count) == 0;
         i++) {
        Sleep(1);
    }
    FAILS(WSAECONNRESET, stream_recv(pair.server, text, sizeof(text), 0, &count));
}

CASE(WSPShutdown, tcp_recv_read, "SD_RECEIVE when all is read resets nothing")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.server, "read");
    stream_expect(pair.client, "read");
    OK(TABLE->lpWSPShutdown(pair.client, SD_RECEIVE, &spi_error));
    stream_send(pair.client, "goes on");
    stream_expect(pair.server, "goes on");
}

CASE(WSPShutdown, tcp_after_end, "each way still works when the peer has ended")
{
    for (int how = SD_RECEIVE; how <= SD_BOTH; how++) {
        struct stream_pair pair = stream_connected();
        OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
        stream_expect_end(pair.client);
        OK(TABLE->lpWSPShutdown(pair.client, how, &spi_error));
    }
}

CASE(WSPShutdown, tcp_connecting_shut, "a socket that connects is WSAENOTCONN, each way")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    for (int how = SD_RECEIVE; how <= SD_BOTH; how++) {
        FAILS(WSAENOTCONN, TABLE->lpWSPShutdown(s, how, &spi_error));
    }
}

CASE(WSPShutdown, tcp_ways, "a negative way, and one beyond, are WSAEINVAL; the connection stays")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAEINVAL, TABLE->lpWSPShutdown(pair.client, -1, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPShutdown(pair.client, 0x100, &spi_error));
    stream_send(pair.client, "stays");
    stream_expect(pair.server, "stays");
}

CASE(WSPShutdown, tcp_not_closed, "it does not close: the socket's name and options are there")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error));
    (void)spi_name(pair.client);
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1));
    assert_int_equal(spi_get_dword(pair.client, SOL_SOCKET, SO_KEEPALIVE), 1);
}

CASE(WSPShutdown, tcp_both_ends, "SD_SEND at both ends: both read all, then the end")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "from client");
    stream_send(pair.server, "from server");
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    stream_expect(pair.client, "from server");
    stream_expect_end(pair.client);
    stream_expect(pair.server, "from client");
    stream_expect_end(pair.server);
}

/* ---- WSPSendDisconnect, WSPRecvDisconnect ---- */

CASE(WSPSendDisconnect, disconnect_send_reset, "a connection that was reset is WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    FAILS(WSAECONNRESET, TABLE->lpWSPSendDisconnect(pair.client, NULL, &spi_error));
}

CASE(WSPSendDisconnect, disconnect_send_twice, "twice is as good as once; receiving goes on")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPSendDisconnect(pair.client, NULL, &spi_error));
    OK(TABLE->lpWSPSendDisconnect(pair.client, NULL, &spi_error));
    stream_expect_end(pair.server);
    stream_send(pair.server, "answer");
    stream_expect(pair.client, "answer");
}

CASE(WSPRecvDisconnect, disconnect_recv_keeps,
     "what arrives afterwards is taken: nobody is reset, the peer's room ends some day")
{
    struct stream_pair pair = stream_connected();
    DWORD count;
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    stream_send(pair.server, "into the window");
    assert_true(stream_fill(pair.server) > 0);
    FAILS(WSAESHUTDOWN, stream_recv(pair.client, &(char){0}, 1, 0, &count));
    stream_send(pair.client, "out");
    stream_await(pair.server, READ);
    stream_expect(pair.server, "out");
}

CASE(WSPRecvDisconnect, disconnect_recv_queued, "nor by what waits already")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.server, "queued");
    stream_await(pair.client, READ);
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    stream_send(pair.client, "out");
    stream_expect(pair.server, "out");
}

CASE(WSPRecvDisconnect, disconnect_recv_blocked, "another thread's receive ends with WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.client};
    stream_begin(&call);
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    assert_int_equal(stream_finish(&call), WSAESHUTDOWN);
}

CASE(WSPSendDisconnect, disconnect_send, "the peer reads the end, sending is WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    stream_send(pair.client, "bye");
    OK(TABLE->lpWSPSendDisconnect(pair.client, NULL, &spi_error));
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, 0, &sent));
    stream_expect(pair.server, "bye");
    stream_expect_end(pair.server);
}

CASE(WSPSendDisconnect, disconnect_send_data, "data, which TCP has not for it, are WSAENOPROTOOPT")
{
    struct stream_pair pair = stream_connected();
    WSABUF data = {.len = 4, .buf = "data"};
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPSendDisconnect(pair.client, &data, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPSendDisconnect(pair.client, spi_bad_pointer(), &spi_error));
    stream_send(pair.client, "open");
    stream_expect(pair.server, "open");
}

CASE(WSPSendDisconnect, disconnect_send_state, "without a connection it is WSAENOTCONN")
{
    FAILS(WSAENOTCONN, TABLE->lpWSPSendDisconnect(stream_new(), NULL, &spi_error));
}

CASE(WSPSendDisconnect, disconnect_send_linger, "it does not wait, whatever SO_LINGER says")
{
    struct stream_pair pair = stream_connected();
    OK(stream_linger(pair.client, 1, 60));
    size_t bytes = stream_fill(pair.client);
    OK(TABLE->lpWSPSendDisconnect(pair.client, NULL, &spi_error));
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}

CASE(WSPRecvDisconnect, disconnect_recv, "receiving is WSAESHUTDOWN, sending goes on")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    FAILS(WSAESHUTDOWN, stream_recv(pair.client, &byte, 1, 0, &got));
    stream_send(pair.client, "out");
    stream_expect(pair.server, "out");
}

CASE(WSPRecvDisconnect, disconnect_recv_data, "a place for data is WSAENOPROTOOPT")
{
    struct stream_pair pair = stream_connected();
    char place[4];
    WSABUF data = {.len = sizeof(place), .buf = place};
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPRecvDisconnect(pair.client, &data, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPRecvDisconnect(pair.client, spi_bad_pointer(), &spi_error));
    stream_send(pair.server, "open");
    stream_expect(pair.client, "open");
}

CASE(WSPRecvDisconnect, disconnect_recv_state, "without a connection it is WSAENOTCONN")
{
    FAILS(WSAENOTCONN, TABLE->lpWSPRecvDisconnect(stream_new(), NULL, &spi_error));
}

/* ---- WSPCloseSocket ---- */

CASE(WSPCloseSocket, tcp_close_sends, "what was sent before the close arrives, then the end")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "parting");
    stream_close(pair.client);
    stream_expect(pair.server, "parting");
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, tcp_close_full, "also what the peer had no room for when it was closed")
{
    struct stream_pair pair = stream_connected();
    size_t bytes = stream_fill(pair.client);
    stream_close(pair.client);
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, tcp_close_unread, "closing with data unread resets the connection")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_send(pair.server, "unread");
    stream_await(pair.client, READ);
    stream_close(pair.client);
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, 0, &got));
}

CASE(WSPCloseSocket, tcp_close_send, "sending to a closed peer is WSAECONNRESET in the end")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    stream_close(pair.server);
    stream_expect_end(pair.client);
    for (unsigned i = 0; i < 5000 && spi_send_one(pair.client, "x", 1, 0, &sent) == 0; i++) {
        Sleep(1); /* the reset is an answer to the first byte */
    }
    FAILS(WSAECONNRESET, spi_send_one(pair.client, "x", 1, 0, &sent));
}

CASE(WSPRecv, tcp_end_reset, "a reset behind the end of the stream is WSAECONNRESET, not the end")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_close(pair.server);
    stream_expect_end(pair.client);
    for (unsigned i = 0; i < 5000 && spi_send_one(pair.client, "x", 1, 0, &got) == 0; i++) {
        Sleep(1); /* the reset is an answer to the first byte */
    }
    FAILS(WSAECONNRESET, stream_recv(pair.client, &byte, 1, 0, &got));
    FAILS(WSAECONNRESET, stream_recv(pair.client, &byte, 1, MSG_PEEK, &got));
}

CASE(WSPCloseSocket, tcp_linger_0, "SO_LINGER with 0 seconds resets: WSAECONNRESET at the peer")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_abort(pair.client);
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, 0, &got));
    FAILS(WSAECONNRESET, spi_send_one(pair.server, "x", 1, 0, &got));
}

CASE(WSPCloseSocket, tcp_linger_done, "SO_LINGER with nothing left to send does not wait")
{
    struct stream_pair pair = stream_connected();
    OK(stream_linger(pair.client, 1, 60));
    stream_send(pair.client, "read");
    stream_expect(pair.server, "read");
    stream_close(pair.client);
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, tcp_linger_time, "SO_LINGER waits its time for the peer, then resets")
{
    struct stream_pair pair = stream_connected_apart();
    DWORD value = 0;
    DWORD returned;
    (void)stream_fill(pair.client);
    OK(TABLE->lpWSPIoctl(pair.client, (DWORD)FIONBIO, &value, sizeof(value), NULL, 0, &returned,
                         NULL, NULL, NULL, &spi_error));
    OK(stream_linger(pair.client, 1, 1));
    ULONGLONG begin = GetTickCount64();
    stream_close(pair.client);
    assert_in_range(GetTickCount64() - begin, 900, 5000);
}

CASE(WSPCloseSocket, tcp_linger_nonblocking,
     "a non-blocking socket that would have to wait is WSAEWOULDBLOCK, and stays open")
{
    struct stream_pair pair = stream_connected_apart();
    OK(stream_linger(pair.client, 1, 60));
    size_t bytes = stream_fill(pair.client);
    FAILS(WSAEWOULDBLOCK, TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    FAILS(WSAEWOULDBLOCK, TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    stream_drain(pair.server, bytes);
    stream_await(pair.client, WRITE);
    for (unsigned i = 0; i < 5000 && TABLE->lpWSPCloseSocket(pair.client, &spi_error) != 0; i++) {
        assert_int_equal(spi_error, WSAEWOULDBLOCK);
        Sleep(1); /* the peer's last acknowledgement is under way */
    }
    FAILS(WSAENOTSOCK, TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    spi_forget(pair.client);
    stream_expect_end(pair.server);
}

static DWORD WINAPI receive_one(void *context)
{
    char byte;
    WSABUF buffer = {.len = 1, .buf = &byte};
    DWORD got;
    DWORD flags = 0;
    int error = 0;
    int result =
        TABLE->lpWSPRecv(*(SOCKET *)context, &buffer, 1, &got, &flags, NULL, NULL, NULL, &error);
    return result == 0 ? 0 : (DWORD)error;
}

CASE(WSPCloseSocket, tcp_close_blocked, "a receive of another thread ends with WSAEINTR")
{
    struct stream_pair pair = stream_connected();
    DWORD error = 0;
    HANDLE thread = CreateThread(NULL, 0, receive_one, &pair.client, 0, NULL);
    Sleep(50);
    stream_close(pair.client);
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    GetExitCodeThread(thread, &error);
    CloseHandle(thread);
    assert_true(error == WSAEINTR || error == WSAENOTSOCK);
}

/* ---- many ---- */

CASE(WSPCloseSocket, tcp_many, "1000 connections opened, used and closed leave nothing behind")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    unsigned handles = host_handle_count();
    for (unsigned i = 0; i < 1000; i++) {
        SOCKET client = stream_new();
        OK(spi_connect_to(client, &at));
        SOCKET server = stream_accept(listener);
        stream_send(client, "ping");
        stream_expect(server, "ping");
        stream_send(server, "pong");
        stream_expect(client, "pong");
        if (i % 3 == 0) {
            stream_abort(client);
        } else {
            stream_close(client);
            stream_expect_end(server);
        }
        stream_close(server);
    }
    assert_int_equal(host_handle_count(), handles);
}

struct echo {
    SOCKET s;
    unsigned count;
    int error;
};

/* Sends back what comes, until the end. */
static DWORD WINAPI echo_thread(void *context)
{
    struct echo *echo = context;
    char block[512];
    for (;;) {
        WSABUF buffer = {.len = sizeof(block), .buf = block};
        DWORD got = 0;
        DWORD flags = 0;
        if (TABLE->lpWSPRecv(echo->s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &echo->error) !=
                0 ||
            got == 0) {
            return 0;
        }
        buffer.len = got;
        echo->count += got;
        if (TABLE->lpWSPSend(echo->s, &buffer, 1, &got, 0, NULL, NULL, NULL, &echo->error) != 0) {
            return 0;
        }
    }
}

CASE(threads, tcp_echo, "six connections at a time, a thread each at the other end")
{
    enum { CONNECTIONS = 6, ROUNDS = 200 };
    static struct echo echoes[CONNECTIONS];
    HANDLE threads[CONNECTIONS];
    SOCKET clients[CONNECTIONS];
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        clients[i] = stream_new();
        OK(spi_connect_to(clients[i], &at));
        echoes[i] = (struct echo){.s = stream_accept(listener)};
        threads[i] = CreateThread(NULL, 0, echo_thread, &echoes[i], 0, NULL);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CONNECTIONS; i++) {
            stream_send(clients[i], "round");
        }
        for (unsigned i = 0; i < CONNECTIONS; i++) {
            stream_expect(clients[i], "round");
        }
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        OK(TABLE->lpWSPShutdown(clients[i], SD_SEND, &spi_error));
        assert_int_equal(WaitForSingleObject(threads[i], 10000), WAIT_OBJECT_0);
        CloseHandle(threads[i]);
        assert_int_equal(echoes[i].error, 0);
        assert_int_equal(echoes[i].count, ROUNDS * 5);
    }
}
