/*
 * Cases of AcceptEx and of what it leaves for GetAcceptExSockaddrs.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"

#define SLOT  32u /* a SOCKADDR_IN and 16 bytes */
#define SLOTS (2 * SLOT)
#define DATA  16u

EXT_FUNCTION(LPFN_ACCEPTEX, accept_ex, WSAID_ACCEPTEX)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)
EXT_FUNCTION(LPFN_GETACCEPTEXSOCKADDRS, get_sockaddrs, WSAID_GETACCEPTEXSOCKADDRS)

/* One accept under way. */
struct accepting {
    struct ext_op op;
    SOCKET s;
    char output[DATA + SLOTS];
};

static WINBOOL accept_call(SOCKET listener, struct accepting *call, DWORD data_bytes)
{
    DWORD received = 0;
    return accept_ex()(listener, call->s, call->output, data_bytes, SLOT, SLOT, &received,
                       &call->op.o);
}

static void accept_begin(SOCKET listener, struct accepting *call, DWORD data_bytes)
{
    ext_op_make(&call->op);
    call->s = stream_new();
    EXT_BEGINS(accept_call(listener, call, data_bytes));
}

static SOCKET accept_client(const SOCKADDR_IN *at)
{
    SOCKET s = stream_new();
    OK(spi_connect_to(s, at));
    return s;
}

static int accept_update(SOCKET s, SOCKET listener)
{
    return TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&listener,
                                  sizeof(listener), &spi_error);
}

static void talks(SOCKET one, SOCKET other)
{
    stream_send(one, "there");
    stream_expect(other, "there");
    stream_send(other, "back");
    stream_expect(one, "back");
}

/* ---- accepting ---- */

CASE(AcceptEx, ae_waits,
     "it completes when a connection comes, without data when none is asked for")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    ext_op_make(&call.op);
    call.s = stream_new();
    EXT_FAILS(WSA_IO_PENDING, accept_call(listener, &call, 0));
    assert_true(ext_op_pending(&call.op));
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    assert_int_equal(call.op.bytes, 0);
    talks(client, call.s);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_at_once, "a connection that waits is accepted at once, and notice is given")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET client = accept_client(&at);
    struct accepting call;
    DWORD received = 99;
    stream_await(listener, READ);
    ext_op_make(&call.op);
    call.s = stream_new();
    EXT_OK(accept_ex()(listener, call.s, call.output, 0, SLOT, SLOT, &received, &call.op.o));
    assert_int_equal(received, 0);
    ext_op_ends(listener, &call.op, 0);
    talks(client, call.s);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_data, "with a receive length it completes with the first data")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, DATA);
    SOCKET client = accept_client(&at);
    stream_send(client, "first");
    ext_op_ends(listener, &call.op, 0);
    assert_int_equal(call.op.bytes, 5);
    assert_memory_equal(call.output, "first", 5);
    talks(client, call.s);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_data_at_once, "data that is there already is received at once, the count is set")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET client = accept_client(&at);
    struct accepting call;
    DWORD received = 99;
    stream_send(client, "first");
    stream_behind_close(client); /* behind the send */
    stream_await(listener, READ);
    ext_op_make(&call.op);
    call.s = stream_new();
    EXT_OK(accept_ex()(listener, call.s, call.output, DATA, SLOT, SLOT, &received, &call.op.o));
    assert_int_equal(received, 5);
    ext_op_ends(listener, &call.op, 0);
    assert_int_equal(call.op.bytes, 5);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_count_before_notice,
     "done at once: the count is stored before notice, when its memory may be the program's again")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET client = accept_client(&at);
    struct accepting call;
    stream_send(client, "first");
    stream_behind_close(client); /* behind the send */
    stream_await(listener, READ);
    ext_op_make(&call.op);
    call.s = stream_new();
    EXT_OK(accept_ex()(listener, call.s, call.output, DATA, SLOT, SLOT,
                       (LPDWORD)&call.op.o.Internal, &call.op.o));
    assert_int_equal(call.op.o.Internal, 0); /* what was stored there last */
    assert_int_equal(call.op.o.InternalHigh, 5);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_data_limit,
     "no more than the receive length is taken; the rest is to be received")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, 4);
    SOCKET client = accept_client(&at);
    stream_send(client, "firstrest");
    ext_op_ends(listener, &call.op, 0);
    assert_int_equal(call.op.bytes, 4);
    assert_memory_equal(call.output, "firs", 4);
    stream_expect(call.s, "trest");
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_connect_time,
     "SO_CONNECT_TIME tells a connection that was accepted from one that was not")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, DATA);
    assert_int_equal(spi_get_dword(call.s, SOL_SOCKET, SO_CONNECT_TIME), 0xffffffff);
    SOCKET client = accept_client(&at);
    ULONGLONG until = GetTickCount64() + 10000;
    while (spi_get_dword(call.s, SOL_SOCKET, SO_CONNECT_TIME) == 0xffffffff) {
        assert_true(GetTickCount64() < until);
        SwitchToThread();
    }
    assert_true(ext_op_pending(&call.op)); /* for the data */
    stream_send(client, "x");
    ext_op_ends(listener, &call.op, 0);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_several, "several at a time get the connections in the order of the calls")
{
    enum { COUNT = 5 };
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting calls[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        accept_begin(listener, &calls[i], 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        SOCKET client = accept_client(&at);
        ext_op_ends(listener, &calls[i].op, 0);
        for (unsigned later = i + 1; later < COUNT; later++) {
            assert_true(ext_op_pending(&calls[later].op));
        }
        talks(client, calls[i].s);
        ext_op_drop(&calls[i].op);
    }
}

CASE(AcceptEx, ae_slow_peer, "one that waits for data keeps no other from its connection")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting first, second;
    accept_begin(listener, &first, DATA);
    accept_begin(listener, &second, DATA);
    SOCKET silent = accept_client(&at);
    SOCKET client = accept_client(&at);
    stream_send(client, "two");
    ext_op_ends(listener, &second.op, 0);
    assert_memory_equal(second.output, "two", 3);
    assert_true(ext_op_pending(&first.op));
    stream_send(silent, "one");
    ext_op_ends(listener, &first.op, 0);
    assert_memory_equal(first.output, "one", 3);
    ext_op_drop(&first.op);
    ext_op_drop(&second.op);
}

CASE(AcceptEx, ae_port, "a completion port of the listener gets a packet for each, with the bytes")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    HANDLE port = ext_port(listener, 77);
    struct accepting calls[2];
    ULONG_PTR key = 0;
    DWORD bytes = 99;
    accept_begin(listener, &calls[0], 0);
    accept_begin(listener, &calls[1], DATA);
    (void)accept_client(&at);
    assert_ptr_equal(ext_port_next(port, &key, &bytes), &calls[0].op);
    assert_int_equal(key, 77);
    assert_int_equal(bytes, 0);
    stream_send(accept_client(&at), "data");
    assert_ptr_equal(ext_port_next(port, &key, &bytes), &calls[1].op);
    assert_int_equal(bytes, 4);
    ext_op_drop(&calls[0].op);
    ext_op_drop(&calls[1].op);
    CloseHandle(port);
}

CASE(AcceptEx, ae_nonblocking, "a listener that does not block pends all the same")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    spi_nonblocking(listener);
    accept_begin(listener, &call, 0);
    (void)accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    ext_op_drop(&call.op);
}

/* ---- how the other side ends ---- */

CASE(AcceptEx, ae_peer_ends, "a peer that ends without data completes it with 0 bytes")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, DATA);
    stream_close(accept_client(&at));
    ext_op_ends(listener, &call.op, 0);
    assert_int_equal(call.op.bytes, 0);
    stream_expect_end(call.s);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_peer_resets,
     "a connection that its peer resets before there is data: WSAECONNRESET")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, DATA);
    stream_abort(accept_client(&at));
    ext_op_ends(listener, &call.op, WSAECONNRESET);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_reset_before,
     "a connection that its peer reset before the call: WSAECONNRESET, the socket is as before")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    SOCKET client = accept_client(&at);
    stream_await(listener, READ);
    stream_abort(client);
    stream_behind_close(listener);
    ext_op_make(&call.op);
    call.s = stream_new();
    EXT_FAILS(WSAECONNRESET, accept_call(listener, &call, 0));
    EXT_BEGINS(accept_call(listener, &call, 0));
    client = accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    talks(client, call.s);
    ext_op_drop(&call.op);
}

/* ---- closing ---- */

CASE(AcceptEx, ae_close_listener, "closing the listener ends all that wait: WSA_OPERATION_ABORTED")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting calls[3];
    for (unsigned i = 0; i < 3; i++) {
        accept_begin(listener, &calls[i], 0);
    }
    stream_close(listener);
    for (unsigned i = 0; i < 3; i++) {
        ext_op_aborted(&calls[i].op);
        ext_op_drop(&calls[i].op);
    }
    /* The accepting sockets are as they were. */
    listener = stream_listener(&at);
    ext_op_make(&calls[0].op);
    EXT_BEGINS(accept_call(listener, &calls[0], 0));
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &calls[0].op, 0);
    talks(client, calls[0].s);
    ext_op_drop(&calls[0].op);
}

CASE(AcceptEx, ae_close_listener_data, "closing the listener ends one that waits for data, too")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, DATA);
    (void)accept_client(&at);
    ULONGLONG until = GetTickCount64() + 10000;
    while (spi_get_dword(call.s, SOL_SOCKET, SO_CONNECT_TIME) == 0xffffffff) {
        assert_true(GetTickCount64() < until);
        SwitchToThread();
    }
    stream_close(listener);
    ext_op_aborted(&call.op);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_close_accepting, "closing the accepting socket ends its call, and no other")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting first, second;
    accept_begin(listener, &first, 0);
    accept_begin(listener, &second, 0);
    stream_close(first.s);
    ext_op_ends(listener, &first.op, WSA_OPERATION_ABORTED);
    assert_true(ext_op_pending(&second.op));
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &second.op, 0);
    talks(client, second.s);
    ext_op_drop(&first.op);
    ext_op_drop(&second.op);
}

CASE(AcceptEx, ae_close_silent,
     "closing an accepting socket whose peer sends nothing forces the call to end with an error")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    char byte;
    DWORD got;
    accept_begin(listener, &call, DATA);
    SOCKET client = accept_client(&at);
    ULONGLONG until = GetTickCount64() + 10000;
    while (spi_get_dword(call.s, SOL_SOCKET, SO_CONNECT_TIME) == 0xffffffff) {
        assert_true(GetTickCount64() < until);
        SwitchToThread();
    }
    stream_close(call.s);
    ext_op_ends(listener, &call.op, WSA_OPERATION_ABORTED);
    OK(stream_recv(client, &byte, 1, 0, &got)); /* and the connection */
    assert_int_equal(got, 0);
    ext_op_drop(&call.op);
}

/* ---- what the accepted socket is ---- */

CASE(AcceptEx, ae_context, "names and shutdown need SO_UPDATE_ACCEPT_CONTEXT, data does not")
{
    SOCKADDR_IN at, in;
    int bytes = sizeof(in);
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    accept_begin(listener, &call, 0);
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    talks(client, call.s);
    FAILS(WSAENOTCONN, TABLE->lpWSPGetPeerName(call.s, (struct sockaddr *)&in, &bytes, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPGetSockName(call.s, (struct sockaddr *)&in, &bytes, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPShutdown(call.s, SD_SEND, &spi_error));
    OK(accept_update(call.s, listener));
    in = spi_name(call.s);
    assert_int_equal(in.sin_port, at.sin_port);
    OK(TABLE->lpWSPGetPeerName(call.s, (struct sockaddr *)&in, &bytes, &spi_error));
    assert_int_equal(in.sin_port, spi_name(client).sin_port);
    OK(TABLE->lpWSPShutdown(call.s, SD_SEND, &spi_error));
    stream_expect_end(client);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_properties,
     "the listener's properties are not inherited before SO_UPDATE_ACCEPT_CONTEXT")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    OK(spi_set_dword(listener, SOL_SOCKET, SO_KEEPALIVE, 1));
    OK(spi_set_dword(listener, IPPROTO_TCP, TCP_NODELAY, 1));
    accept_begin(listener, &call, 0);
    (void)accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    assert_int_equal(spi_get_dword(call.s, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(spi_get_dword(call.s, IPPROTO_TCP, TCP_NODELAY), 0);
    OK(accept_update(call.s, listener));
    assert_int_equal(spi_get_dword(call.s, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(spi_get_dword(call.s, IPPROTO_TCP, TCP_NODELAY), 1);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_again, "a socket that DisconnectEx made ready is accepted on again")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    ext_op_make(&call.op);
    call.s = stream_new();
    for (unsigned i = 0; i < 50; i++) {
        struct ext_op end;
        EXT_BEGINS(accept_call(listener, &call, DATA));
        SOCKET client = accept_client(&at);
        stream_send(client, "request");
        ext_op_ends(listener, &call.op, 0);
        assert_int_equal(call.op.bytes, 7);
        stream_send(call.s, "answer");
        ext_op_make(&end);
        EXT_BEGINS(disconnect_ex()(call.s, &end.o, TF_REUSE_SOCKET, 0));
        stream_expect(client, "answer");
        stream_expect_end(client);
        assert_true(ext_op_pending(&end));
        stream_close(client);
        ext_op_ends(call.s, &end, 0);
        ext_op_drop(&end);
    }
    ext_op_drop(&call.op);
}

/* ---- errors ---- */

CASE(AcceptEx, ae_not_socket, "either is no socket: WSAENOTSOCK")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call = {.s = (SOCKET)GetCurrentThread()};
    EXT_FAILS(WSAENOTSOCK, accept_call(listener, &call, 0));
    EXT_FAILS(WSAENOTSOCK, accept_call(call.s, &call, 0));
}

CASE(AcceptEx, ae_listener, "a socket that does not listen is WSAEINVAL")
{
    SOCKADDR_IN at;
    struct stream_pair pair = stream_connected();
    struct accepting call = {.s = stream_new()};
    EXT_FAILS(WSAEINVAL, accept_call(stream_new(), &call, 0));
    EXT_FAILS(WSAEINVAL, accept_call(stream_bound(&at), &call, 0));
    EXT_FAILS(WSAEINVAL, accept_call(pair.client, &call, 0));
    EXT_FAILS(WSAEINVAL, accept_call(spi_bound(NULL), &call, 0));
}

CASE(AcceptEx, ae_accepting,
     "an accepting socket that is bound, connected or no stream is WSAEINVAL")
{
    SOCKADDR_IN at;
    struct stream_pair pair = stream_connected();
    struct accepting call = {.s = stream_bound(&at)};
    EXT_FAILS(WSAEINVAL, accept_call(pair.listener, &call, 0));
    call.s = pair.client;
    EXT_FAILS(WSAEINVAL, accept_call(pair.listener, &call, 0));
    call.s = pair.server;
    EXT_FAILS(WSAEINVAL, accept_call(pair.listener, &call, 0));
    call.s = pair.listener;
    EXT_FAILS(WSAEINVAL, accept_call(pair.listener, &call, 0));
    call.s = spi_udp();
    EXT_FAILS(WSAEINVAL, accept_call(pair.listener, &call, 0));
}

CASE(AcceptEx, ae_failed, "a call that fails leaves the socket to the next one")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    ext_op_make(&call.op);
    call.s = stream_new();
    HANDLE event = call.op.o.hEvent;
    call.op.o.hEvent = (HANDLE)(uintptr_t)0x7ffffff0u; /* none */
    EXT_FAILS(WSA_INVALID_HANDLE, accept_call(listener, &call, 0));
    call.op.o.hEvent = event;
    EXT_FAILS(WSA_IO_PENDING, accept_call(listener, &call, 0));
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    talks(client, call.s);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_twice, "a socket that a call accepts on already is WSAEINVAL")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting first, second = {.s = INVALID_SOCKET};
    accept_begin(listener, &first, 0);
    second.s = first.s;
    EXT_FAILS(WSAEINVAL, accept_call(listener, &second, 0));
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &first.op, 0);
    talks(client, first.s);
    ext_op_drop(&first.op);
}

CASE(AcceptEx, ae_slots, "less than 16 bytes more than an address, for either: WSAEFAULT")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call = {.s = stream_new()};
    EXT_FAILS(WSAEFAULT,
              accept_ex()(listener, call.s, call.output, 0, SLOT - 1, SLOT, NULL, &call.op.o));
    EXT_FAILS(WSAEFAULT,
              accept_ex()(listener, call.s, call.output, 0, SLOT, SLOT - 1, NULL, &call.op.o));
    EXT_FAILS(WSAEFAULT, accept_ex()(listener, call.s, call.output, 0, SLOT, 0, NULL, &call.op.o));
}

CASE(AcceptEx, ae_missing, "the OVERLAPPED and the buffer must be given")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call = {.s = stream_new()};
    EXT_FAILS(WSA_INVALID_PARAMETER,
              accept_ex()(listener, call.s, call.output, 0, SLOT, SLOT, NULL, NULL));
    EXT_FAILS(WSAEINVAL, accept_ex()(listener, call.s, NULL, 0, SLOT, SLOT, NULL, &call.op.o));
}

CASE(AcceptEx, ae_fault, "bad pointers are WSAEFAULT, and no connection is lost to them")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    ext_op_make(&call.op);
    call.s = stream_new();
    SOCKET client = accept_client(&at);
    stream_await(listener, READ);
    EXT_FAILS(WSAEFAULT,
              accept_ex()(listener, call.s, spi_bad_pointer(), 0, SLOT, SLOT, NULL, &call.op.o));
    EXT_FAILS(WSAEFAULT, accept_ex()(listener, call.s, spi_read_only_page(), DATA, SLOT, SLOT, NULL,
                                     &call.op.o));
    EXT_FAILS(WSAEFAULT, accept_ex()(listener, call.s, call.output, 0, SLOT, SLOT,
                                     spi_bad_pointer(), &call.op.o));
    EXT_FAILS(WSAEFAULT,
              accept_ex()(listener, call.s, call.output, 0, SLOT, SLOT, NULL, spi_bad_pointer()));
    EXT_OK(accept_call(listener, &call, 0));
    talks(client, call.s);
    ext_op_drop(&call.op);
}

CASE(AcceptEx, ae_wraps, "a buffer that would go on behind the end of memory is WSAEFAULT")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    ext_op_make(&call.op);
    call.s = stream_new();
    SOCKET client = accept_client(&at);
    stream_await(listener, READ);
    memset(call.output, 0x11, sizeof(call.output));
    const DWORD most = UINT32_MAX;
    EXT_FAILS(WSAEFAULT, accept_ex()(listener, call.s, call.output + SLOTS, most - SLOTS + 1, SLOT,
                                     SLOT, NULL, &call.op.o));
    EXT_FAILS(WSAEFAULT, accept_ex()(listener, call.s, call.output, DATA, most - DATA + 1, SLOT,
                                     NULL, &call.op.o));
    EXT_FAILS(WSAEFAULT,
              accept_ex()(listener, call.s, call.output, 0, most, most, NULL, &call.op.o));
    for (size_t i = 0; i < sizeof(call.output); i++) {
        assert_int_equal(call.output[i], 0x11);
    }
    EXT_OK(accept_call(listener, &call, 0));
    talks(client, call.s);
    ext_op_drop(&call.op);
}

/* ---- GetAcceptExSockaddrs ---- */

CASE(GetAcceptExSockaddrs, ae_addresses, "both addresses of the connection, with their sizes")
{
    SOCKADDR_IN at, in;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    struct sockaddr *local = NULL, *remote = NULL;
    INT local_length = 0, remote_length = 0;
    accept_begin(listener, &call, 0);
    SOCKET client = accept_client(&at);
    ext_op_ends(listener, &call.op, 0);
    get_sockaddrs()(call.output, 0, SLOT, SLOT, &local, &local_length, &remote, &remote_length);
    assert_int_equal(local_length, sizeof(in));
    assert_int_equal(remote_length, sizeof(in));
    assert_memory_equal(local, &at, sizeof(at));
    in = spi_name(client);
    assert_memory_equal(remote, &in, sizeof(in));
    ext_op_drop(&call.op);
}

CASE(GetAcceptExSockaddrs, ae_addresses_behind, "the addresses are behind the room for data")
{
    SOCKADDR_IN at, in;
    SOCKET listener = stream_listener(&at);
    struct accepting call;
    struct sockaddr *local = NULL, *remote = NULL;
    INT local_length = 0, remote_length = 0;
    accept_begin(listener, &call, 5);
    SOCKET client = accept_client(&at);
    stream_send(client, "abcde");
    ext_op_ends(listener, &call.op, 0);
    get_sockaddrs()(call.output, 5, SLOT, SLOT, &local, &local_length, &remote, &remote_length);
    assert_memory_equal(call.output, "abcde", 5);
    assert_true((char *)local >= call.output + 5 && (char *)remote < call.output + 5 + SLOTS);
    assert_memory_equal(local, &at, sizeof(at));
    in = spi_name(client);
    assert_memory_equal(remote, &in, sizeof(in));
    ext_op_drop(&call.op);
}
