/*
 * Cases of WSPDuplicateSocket with listening sockets: a server and its worker accept in turn. Rules
 * as in case_duplicate.c.
 */
#include "tests/spi/event_kit.h"
#include "tests/spi/other_kit.h"
#include "tests/spi/stream_kit.h"

/* A listener that the other process has, too. */
static SOCKET shared_listener(SOCKADDR_IN *at)
{
    SOCKET listener = stream_listener(at);
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(listener, other.id);
    struct other_answer answer = other_open(&info);
    if (answer.result != 0) {
        fail_msg("the other process cannot open the socket: error %d", answer.error);
    }
    return listener;
}

static SOCKET caller(const SOCKADDR_IN *at)
{
    SOCKET s = stream_new();
    OK(spi_connect_to(s, at));
    return s;
}

CASE(WSPDuplicateSocket, dup_listen_both, "a listening socket: each connection is accepted by one")
{
    SOCKADDR_IN at;
    SOCKET listener = shared_listener(&at);
    SOCKET first = caller(&at), second = caller(&at);
    other_do(OTHER_ACCEPT, 0, 0, 0);
    SOCKET server = stream_accept(listener);
    stream_send(first, "to it");
    stream_send(second, "to me");
    other_expect("to it");
    stream_expect(server, "to me");
    other_send("from it");
    stream_expect(first, "from it");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_listen_waiting, "a connection that waited when it was duplicated")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET first = caller(&at), second = caller(&at);
    stream_send(second, "early");
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(listener, other.id);
    assert_int_equal(other_open(&info).result, 0);
    SOCKET server = stream_accept(listener);
    other_do(OTHER_ACCEPT, 0, 0, 0);
    other_expect("early");
    stream_send(first, "and");
    stream_expect(server, "and");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_listen_close, "closing one leaves the other listening")
{
    SOCKADDR_IN at;
    SOCKET listener = shared_listener(&at);
    OK(TABLE->lpWSPCloseSocket(listener, &spi_error));
    spi_forget(listener);
    SOCKET s = caller(&at);
    other_do(OTHER_ACCEPT, 0, 0, 0);
    stream_send(s, "still");
    other_expect("still");
    other_do(OTHER_CLOSE, 0, 0, 0);
    other_do(OTHER_CLOSE, 0, 0, 0);
    FAILS(WSAECONNREFUSED, spi_connect_to(stream_new(), &at));
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_listen_killed, "a worker that dies leaves the listener to the others")
{
    SOCKADDR_IN at;
    SOCKET listener = shared_listener(&at);
    SOCKET s = caller(&at);
    other_do(OTHER_ACCEPT, 0, 0, 0);
    other_end(true);
    char byte;
    DWORD got;
    FAILS(WSAECONNRESET, stream_recv(s, &byte, 1, 0, &got)); /* its own connection goes with it */
    s = caller(&at);
    SOCKET server = stream_accept(listener);
    stream_send(s, "mine");
    stream_expect(server, "mine");
}

CASE(WSPDuplicateSocket, dup_listen_select, "a select in either process sees a connection")
{
    SOCKADDR_IN at;
    SOCKET listener = shared_listener(&at);
    assert_int_equal(stream_select(listener, READ, 0), 0);
    SOCKET s = caller(&at);
    stream_await(listener, READ);
    assert_int_equal(other_do(OTHER_SELECT, 0, 0, 0), 1);
    assert_int_equal(spi_get_dword(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(other_do(OTHER_GET, SOL_SOCKET, SO_ACCEPTCONN, 0), 1);
    other_do(OTHER_ACCEPT, 0, 0, 0);
    assert_int_equal(stream_select(listener, READ, 0), 0);
    stream_send(s, "x");
    other_expect("x");
    other_end(false);
}

NOTIFY_CASE(dup_listen_events, "FD_ACCEPT is told to whose process selected last")
{
    SOCKADDR_IN at;
    SOCKET listener = shared_listener(&at);
    OK(notify_select(n, listener, FD_ACCEPT));
    SOCKET first = caller(&at);
    notify_expect(n, listener, FD_ACCEPT);
    (void)stream_accept(listener);
    other_do(OTHER_EVENTS, 0, 0, FD_ACCEPT);
    SOCKET second = caller(&at);
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, 5000), FD_ACCEPT);
    notify_none(n, listener);
    assert_true(first != second);
    other_end(false);
}
