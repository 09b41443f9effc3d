/*
 * Cases of WSPAccept: addresses, what is inherited, the condition function.
 */
#include <limits.h>
#include <string.h>

#include "provider/spi/option_names.h"
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

CASE(WSPAccept, accept_closed, "a listener closed while accept waits ends it with WSAEINTR")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    spi_forget(listener);
    HANDLE thread = CreateThread(NULL, 0, spi_close_later, &listener, 0, NULL);
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

CASE(WSPAccept, accept_reset, "a connection that the peer reset before is WSAECONNRESET, and gone")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    stream_abort(client);
    stream_behind_close(listener);
    spi_nonblocking(listener);
    accept_fails(WSAECONNRESET, listener, &in, &bytes);
    accept_fails(WSAEWOULDBLOCK, listener, NULL, NULL);
    assert_int_equal(stream_select(listener, READ, 0), 0);
}

CASE(WSPAccept, accept_ended, "one that the peer ended in order is accepted, with what it sent")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    stream_send(client, "and gone");
    stream_close(client);
    SOCKET s = stream_accept(listener);
    stream_expect(s, "and gone");
    stream_expect_end(s);
}

CASE(WSPAccept, accept_no_handle,
     "no socket handles left: WSAEMFILE, and the connection is not lost")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    host_refuses_handles = WSAEMFILE;
    for (unsigned i = 0; i < 2; i++) {
        SOCKET s = accept_raw(listener, NULL, NULL);
        host_refuses_handles = i == 0 ? WSAEMFILE : 0;
        assert_true(s == INVALID_SOCKET);
        assert_int_equal(spi_error, WSAEMFILE);
        assert_int_equal(stream_select(listener, READ, 0), READ);
    }
    stream_send(client, "kept");
    stream_expect(stream_accept(listener), "kept");
}

CASE(WSPAccept, accept_no_timeout, "SO_RCVTIMEO is about receives: accept waits on")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    OK(spi_set_dword(listener, SOL_SOCKET, SO_RCVTIMEO, 20));
    struct stream_call call = {.kind = CALL_ACCEPT, .s = listener};
    stream_begin(&call); /* twice the time */
    assert_int_equal(WaitForSingleObject(call.thread, 0), WAIT_TIMEOUT);
    OK(spi_connect_to(stream_new(), &at));
    assert_int_equal(stream_finish(&call), 0);
    spi_keep(call.accepted);
}

CASE(WSPAccept, accept_accepted, "an accepted socket accepts nothing: WSAEINVAL; the listener does")
{
    struct stream_pair pair = stream_connected();
    accept_fails(WSAEINVAL, pair.server, NULL, NULL);
    OK(spi_connect_to(stream_new(), &pair.at));
    (void)stream_accept(pair.listener);
}

CASE(WSPAccept, accept_two, "two threads that wait get a connection each")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct stream_call calls[2] = {{.kind = CALL_ACCEPT, .s = listener},
                                   {.kind = CALL_ACCEPT, .s = listener}};
    SOCKADDR_IN peers[2];
    int bytes = sizeof(peers[0]);
    stream_begin(&calls[0]);
    stream_begin(&calls[1]);
    OK(spi_connect_to(stream_new(), &at));
    OK(spi_connect_to(stream_new(), &at));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stream_finish(&calls[i]), 0);
        spi_keep(calls[i].accepted);
        OK(TABLE->lpWSPGetPeerName(calls[i].accepted, (struct sockaddr *)&peers[i], &bytes,
                                   &spi_error));
    }
    assert_int_not_equal(peers[0].sin_port, peers[1].sin_port);
}

CASE(WSPAccept, accept_options_later, "options that the listener got after WSPListen count, too")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    OK(spi_set_dword(listener, IPPROTO_TCP, TCP_KEEPCNT, 7));
    OK(spi_set_dword(listener, SOL_SOCKET, SO_SNDBUF, 12345));
    OK(spi_connect_to(stream_new(), &at));
    SOCKET s = stream_accept(listener);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_KEEPCNT), 7);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_SNDBUF), 12345);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_KEEPCNT, 8));
    assert_int_equal(spi_get_dword(listener, IPPROTO_TCP, TCP_KEEPCNT), 7);
}

/* ---- the condition function ---- */

struct asked {
    int answer;
    GROUP group;
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
    asked->has_group = group != NULL && *group == 0;
    if (group != NULL) {
        *group = asked->group;
    }
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

CASE(WSPAccept, condition_fault, "a condition function that is not there is WSAEFAULT")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    spi_error = 0;
    assert_true(TABLE->lpWSPAccept(listener, NULL, NULL, (LPCONDITIONPROC)spi_bad_pointer(), 0,
                                   &spi_error) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEFAULT);
    (void)stream_accept(listener);
}

CASE(WSPAccept, condition_group, "a group that cannot be is WSAEINVAL, and the connection waits on")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = CF_ACCEPT, .group = 0x4711};
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
    asked.group = SG_UNCONSTRAINED_GROUP;
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) != INVALID_SOCKET);
    assert_int_equal(asked.calls, 2);
}

CASE(WSPAccept, condition_address, "the address is given whatever the condition function says")
{
    static const int answers[] = {CF_DEFER, CF_REJECT};
    SOCKET client;
    SOCKET listener = waiting(&client);
    for (unsigned i = 0; i < 2; i++) {
        struct asked asked = {.answer = answers[i]};
        SOCKADDR_IN in = {0};
        int bytes = 100;
        assert_true(TABLE->lpWSPAccept(listener, (struct sockaddr *)&in, &bytes, condition,
                                       (DWORD_PTR)&asked, &spi_error) == INVALID_SOCKET);
        assert_int_equal(spi_error, i == 0 ? WSATRY_AGAIN : WSAECONNREFUSED);
        assert_int_equal(bytes, sizeof(in));
        assert_int_equal(in.sin_port, spi_name(client).sin_port);
        assert_memory_equal(&asked.caller, &in, sizeof(in));
    }
}

CASE(WSPAccept, condition_withdrawn,
     "a connection that was put off and reset meanwhile is WSAEACCES, and nobody is asked")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = CF_DEFER};
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    stream_abort(client);
    stream_behind_close(listener);
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEACCES);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(stream_select(listener, READ, 0), 0);
}

CASE(WSPAccept, condition_defer_reject, "what was put off can be rejected")
{
    SOCKET client;
    SOCKET listener = waiting(&client);
    struct asked asked = {.answer = CF_DEFER};
    char byte;
    DWORD got;
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    asked.answer = CF_REJECT;
    assert_true(stream_accept_if(listener, condition, (DWORD_PTR)&asked) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAECONNREFUSED);
    FAILS(WSAECONNRESET, stream_recv(client, &byte, 1, 0, &got));
}

CASE(WSPAccept, condition_nobody, "nobody there: nobody is asked about, WSAEWOULDBLOCK")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct asked asked = {.answer = CF_ACCEPT};
    spi_nonblocking(listener);
    assert_true(TABLE->lpWSPAccept(listener, NULL, NULL, condition, (DWORD_PTR)&asked,
                                   &spi_error) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEWOULDBLOCK);
    assert_int_equal(asked.calls, 0);
}

/* Closes the listener that it is asked for. */
static int CALLBACK closes_listener(LPWSABUF caller_id, LPWSABUF caller_data, LPQOS socket_qos,
                                    LPQOS group_qos, LPWSABUF callee_id, LPWSABUF callee_data,
                                    GROUP *group, DWORD_PTR context)
{
    int error;
    (void)caller_id, (void)caller_data, (void)socket_qos, (void)group_qos;
    (void)callee_id, (void)callee_data, (void)group;
    const SOCKET *listener = (const SOCKET *)context;
    return TABLE->lpWSPCloseSocket(listener[0], &error) == 0 ? (int)listener[1] : INT_MIN;
}

CASE(WSPAccept, condition_closes,
     "a condition function may close the listener: accepted all the same")
{
    SOCKET client;
    SOCKET context[2] = {waiting(&client), CF_ACCEPT};
    SOCKET s = stream_accept_if(context[0], closes_listener, (DWORD_PTR)context);
    spi_forget(context[0]);
    assert_true(s != INVALID_SOCKET);
    stream_send(client, "through");
    stream_expect(s, "through");
}

CASE(WSPAccept, condition_closes_defers, "and what it puts off then is reset")
{
    SOCKET client;
    SOCKET context[2] = {waiting(&client), CF_DEFER};
    char byte;
    DWORD got;
    assert_true(stream_accept_if(context[0], closes_listener, (DWORD_PTR)context) ==
                INVALID_SOCKET);
    spi_forget(context[0]);
    assert_int_equal(spi_error, WSATRY_AGAIN);
    FAILS(WSAECONNRESET, stream_recv(client, &byte, 1, 0, &got));
}
