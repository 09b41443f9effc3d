/*
 * Cases of WSPAccept: addresses, what is inherited, the condition function.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

static SOCKET accept_raw(SOCKET s, void *addr, int *bytes)
{
    SOCKET accepted = TABLE->lpWSPAccept(s, addr, bytes, NULL, 0, &spi_error);
    if (accepted != INVALID_SOCKET) {
        spi_keep(accepted);
    }
    return accepted;
}

static void accept_fails(int code, SOCKET s, void *addr, int *bytes)
{
    spi_error = 0;
    assert_true(accept_raw(s, addr, bytes) == INVALID_SOCKET);
    assert_int_equal(spi_error, code);
}

/* A listener and a client whose connection waits. */
static SOCKET waiting(SOCKET *client)
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    *client = stream_new();
    OK(spi_connect_to(*client, &at));
    stream_await(listener, READ);
    return listener;
}

CASE(WSPAccept, accept_state, "a socket that does not listen is WSAEINVAL")
{
    SOCKADDR_IN at;
    struct stream_pair pair = stream_connected();
    accept_fails(WSAEINVAL, stream_new(), NULL, NULL);
    accept_fails(WSAEINVAL, stream_bound(&at), NULL, NULL);
    accept_fails(WSAEINVAL, pair.client, NULL, NULL);
}

CASE(WSPAccept, accept_nonblocking, "non-blocking and nobody there: WSAEWOULDBLOCK")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    spi_nonblocking(s);
    accept_fails(WSAEWOULDBLOCK, s, NULL, NULL);
}

CASE(WSPAccept, accept_address, "the peer's address and its size come out")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct {
        SOCKADDR_IN in;
        char more[16];
    } out;
    int bytes = sizeof(out);
    SOCKADDR_IN from = spi_name(client);
    assert_true(accept_raw(listener, &out, &bytes) != INVALID_SOCKET);
    assert_int_equal(bytes, sizeof(out.in));
    assert_memory_equal(&out.in, &from, sizeof(from));
}

CASE(WSPAccept, accept_no_address, "without address or size none is given")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    SOCKADDR_IN in;
    assert_true(accept_raw(listener, &in, NULL) != INVALID_SOCKET);
    listener = waiting(&client);
    assert_true(accept_raw(listener, NULL, &(int){4}) != INVALID_SOCKET);
}

CASE(WSPAccept, accept_fault, "an address without room is WSAEFAULT, and takes no connection")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    SOCKADDR_IN in;
    int small = 15;
    int bytes = sizeof(in);
    accept_fails(WSAEFAULT, listener, &in, &small);
    accept_fails(WSAEFAULT, listener, spi_bad_pointer(), &bytes);
    accept_fails(WSAEFAULT, listener, &in, spi_bad_pointer());
    assert_true(accept_raw(listener, &in, &bytes) != INVALID_SOCKET);
}

CASE(WSPAccept, accept_order, "the oldest connection first")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET clients[4];
    for (unsigned i = 0; i < 4; i++) {
        clients[i] = stream_new();
        OK(spi_connect_to(clients[i], &at));
    }
    for (unsigned i = 0; i < 4; i++) {
        SOCKADDR_IN in;
        int bytes = sizeof(in);
        stream_await(listener, READ);
        assert_true(accept_raw(listener, &in, &bytes) != INVALID_SOCKET);
        assert_int_equal(in.sin_port, spi_name(clients[i]).sin_port);
    }
}

CASE(WSPAccept, accept_inherits, "the new socket has the listening one's options and mode")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    char byte;
    DWORD got;
    OK(spi_set_dword(listener, SOL_SOCKET, SO_KEEPALIVE, 1));
    OK(spi_set_dword(listener, IPPROTO_TCP, TCP_NODELAY, 1));
    OK(spi_set_dword(listener, SOL_SOCKET, SO_RCVTIMEO, 1234));
    OK(spi_set_dword(listener, SOL_SOCKET, SO_OOBINLINE, 1));
    OK(spi_set_dword(listener, SOL_SOCKET, SO_DEBUG, 1));
    OK(stream_linger(listener, 1, 7));
    spi_nonblocking(listener);
    OK(spi_connect_to(stream_new(), &at));
    SOCKET s = stream_accept(listener);
    struct linger linger = {0};
    int bytes = sizeof(linger);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_RCVTIMEO), 1234);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_OOBINLINE), 1);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_DEBUG), 1);
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 7);
    FAILS(WSAEWOULDBLOCK, stream_recv(s, &byte, 1, 0, &got));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

static DWORD WINAPI connect_later(void *context)
{
    int error;
    SOCKET s = *(SOCKET *)context;
    SOCKADDR_IN at = ((SOCKADDR_IN *)((SOCKET *)context + 1))[0];
    Sleep(50); /* not a rule of the test: lets the other thread fall asleep first */
    return (DWORD)TABLE->lpWSPConnect(s, (struct sockaddr *)&at, sizeof(at), NULL, NULL, NULL, NULL,
                                      &error);
}

CASE(WSPAccept, accept_blocks, "a blocking accept waits for the next connection")
{
    struct {
        SOCKET s;
        SOCKADDR_IN at;
    } later;
    SOCKET listener = stream_listener(&later.at);
    later.s = stream_new();
    HANDLE thread = CreateThread(NULL, 0, connect_later, &later, 0, NULL);
    assert_true(accept_raw(listener, NULL, NULL) != INVALID_SOCKET);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static DWORD WINAPI close_later(void *context)
{
    int error;
    Sleep(50);
    return (DWORD)TABLE->lpWSPCloseSocket(*(SOCKET *)context, &error);
}

CASE(WSPAccept, accept_closed, "a listener closed while accept waits ends it with WSAEINTR")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    spi_forget(listener);
    HANDLE thread = CreateThread(NULL, 0, close_later, &listener, 0, NULL);
    accept_fails(WSAEINTR, listener, NULL, NULL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

CASE(WSPAccept, accept_close_listener, "the accepted connection outlives the listener")
{
    struct stream_pair pair = stream_connected();
    stream_close(pair.listener);
    stream_send(pair.client, "still");
    stream_expect(pair.server, "still");
    FAILS(WSAECONNREFUSED, spi_connect_to(stream_new(), &pair.at));
}

CASE(WSPAccept, accept_never, "a listener that closes resets what nobody accepted")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    char byte;
    DWORD got;
    stream_close(listener);
    FAILS(WSAECONNRESET, stream_recv(client, &byte, 1, 0, &got));
}

/* ---- the condition function ---- */

struct asked {
    int answer;
    unsigned calls;
    DWORD thread_id;
    SOCKADDR_IN caller, callee;
    bool no_data, no_qos, has_group;
};

static int CALLBACK condition(LPWSABUF caller_id, LPWSABUF caller_data, LPQOS socket_qos,
                              LPQOS group_qos, LPWSABUF callee_id, LPWSABUF callee_data,
                              GROUP *group, DWORD_PTR context)
{
    struct asked *asked = (struct asked *)context;
    asked->calls++;
    asked->thread_id = GetCurrentThreadId();
    assert_int_equal(caller_id->len, sizeof(asked->caller));
    assert_int_equal(callee_id->len, sizeof(asked->callee));
    memcpy(&asked->caller, caller_id->buf, sizeof(asked->caller));
    memcpy(&asked->callee, callee_id->buf, sizeof(asked->callee));
    asked->no_data = (caller_data == NULL || caller_data->len == 0) &&
                     (callee_data == NULL || callee_data->len == 0);
    asked->no_qos = socket_qos == NULL && group_qos == NULL;
    asked->has_group = group != NULL;
    return asked->answer;
}

CASE(WSPAccept, condition_accept, "CF_ACCEPT: asked once, in this thread, with both addresses")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = CF_ACCEPT};
    SOCKET s = stream_accept_if(listener, condition, (DWORD_PTR)&asked);
    assert_true(s != INVALID_SOCKET);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.thread_id, GetCurrentThreadId());
    assert_int_equal(asked.caller.sin_port, spi_name(client).sin_port);
    assert_int_equal(asked.callee.sin_port, spi_name(listener).sin_port);
    assert_true(asked.no_data && asked.no_qos && asked.has_group);
    stream_send(client, "in");
    stream_expect(s, "in");
}

CASE(WSPAccept, condition_reject, "CF_REJECT: WSAECONNREFUSED, and the connection is reset")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = CF_REJECT};
    char byte;
    DWORD got;
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAECONNREFUSED);
    FAILS(WSAECONNRESET, stream_recv(client, &byte, 1, 0, &got));
    spi_nonblocking(listener);
    accept_fails(WSAEWOULDBLOCK, listener, NULL, NULL);
}

CASE(WSPAccept, condition_defer, "CF_DEFER: WSATRY_AGAIN, the connection waits on, before others")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    SOCKET second = stream_new();
    SOCKADDR_IN at = spi_name(listener);
    struct asked asked = {.answer = CF_DEFER};
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
        assert_int_equal(spi_error, WSATRY_AGAIN);
        assert_int_equal(asked.calls, i);
        assert_int_equal(asked.caller.sin_port, spi_name(client).sin_port);
        if (i == 1) {
            OK(spi_connect_to(second, &at));
        }
    }
    stream_send(client, "first");
    stream_expect(stream_accept(listener), "first");
    stream_send(second, "second");
    stream_expect(stream_accept(listener), "second");
    assert_int_equal(stream_select(listener, READ, 0), 0);
}

CASE(WSPAccept, condition_defer_close, "what was put off is reset when the listener closes")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = CF_DEFER};
    char byte;
    DWORD got;
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    stream_close(listener);
    FAILS(WSAECONNRESET, stream_recv(client, &byte, 1, 0, &got));
}

CASE(WSPAccept, condition_unknown, "another answer is WSAEINVAL, and the connection waits on")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = 4711};
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
    (void)stream_accept(listener);
}
