/*
 * Cases of AcceptEx, ConnectEx and DisconnectEx on sockets whose network events are selected. Rules
 * of their pages and of those of WSAEventSelect and WSAAsyncSelect.
 */
#include <string.h>

#include "tests/spi/event_kit.h"
#include "tests/spi/ext_kit.h"

#define SLOT 32u /* a SOCKADDR_IN and 16 bytes */
#define DATA 16u
#define ALL  (FD_CONNECT | FD_READ | FD_WRITE | FD_OOB | FD_CLOSE)

EXT_FUNCTION(LPFN_ACCEPTEX, accept_ex, WSAID_ACCEPTEX)
EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)

static char output[DATA + 2 * SLOT];

static void accept_begin(SOCKET listener, SOCKET s, DWORD data_bytes, struct ext_op *op)
{
    DWORD received = 0;
    ext_op_make(op);
    EXT_BEGINS(accept_ex()(listener, s, output, data_bytes, SLOT, SLOT, &received, &op->o));
}

static SOCKET client_of(const SOCKADDR_IN *at)
{
    SOCKET s = stream_new();
    OK(spi_connect_to(s, at));
    return s;
}

static void connect_begin(SOCKET s, const SOCKADDR_IN *at, struct ext_op *op)
{
    ext_op_make(op);
    EXT_BEGINS(connect_ex()(s, (const struct sockaddr *)at, sizeof(*at), NULL, 0, NULL, &op->o));
}

static void disconnects(SOCKET s)
{
    struct ext_op op;
    ext_op_make(&op);
    EXT_BEGINS(disconnect_ex()(s, &op.o, TF_REUSE_SOCKET, 0));
    ext_op_ends(s, &op, 0);
    ext_op_drop(&op);
}

/* ---- AcceptEx ---- */

NOTIFY_CASE(ext_accept_reset, "FD_ACCEPT: told again behind an AcceptEx that finds a reset one")
{
    SOCKADDR_IN at;
    struct ext_op op;
    DWORD received = 0;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, listener, FD_ACCEPT));
    SOCKET first = client_of(&at);
    notify_expect(n, listener, FD_ACCEPT);
    (void)client_of(&at);
    stream_abort(first);
    stream_behind_close(listener);
    notify_none(n, listener);
    ext_op_make(&op);
    EXT_FAILS(WSAECONNRESET, accept_ex()(listener, s, output, 0, SLOT, SLOT, &received, &op.o));
    notify_expect(n, listener, FD_ACCEPT);
    OK(notify_select(n, listener, 0));
    ext_op_drop(&op);
}

NOTIFY_CASE(ext_accept_listener,
            "FD_ACCEPT: not of a connection that AcceptEx has, but of the next")
{
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    accept_begin(listener, s, 0, &op);
    OK(notify_select(n, listener, FD_ACCEPT));
    (void)client_of(&at);
    ext_op_ends(listener, &op, 0);
    notify_none(n, listener);
    (void)client_of(&at);
    notify_expect(n, listener, FD_ACCEPT);
    OK(notify_select(n, listener, 0));
    ext_op_drop(&op);
}

NOTIFY_CASE(ext_accept_told,
            "a socket that AcceptEx connects: FD_WRITE, then FD_READ, no FD_CONNECT")
{
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, s, ALL));
    accept_begin(listener, s, 0, &op);
    notify_none(n, s);
    SOCKET client = client_of(&at);
    ext_op_ends(listener, &op, 0);
    notify_expect(n, s, FD_WRITE);
    stream_send(client, "x");
    notify_expect(n, s, FD_READ);
    OK(TABLE->lpWSPShutdown(client, SD_SEND, &spi_error));
    stream_expect(s, "x");
    notify_expect(n, s, FD_CLOSE);
    ext_op_drop(&op);
}

NOTIFY_CASE(ext_accept_data, "FD_READ comes of what is behind the data that AcceptEx has taken")
{
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, s, FD_READ));
    accept_begin(listener, s, DATA, &op);
    SOCKET client = client_of(&at);
    stream_send(client, "first");
    ext_op_ends(listener, &op, 0);
    assert_memory_equal(output, "first", 5);
    (void)notify_take(n, s); /* it may be told before AcceptEx took it */
    stream_send(client, "second");
    notify_expect(n, s, FD_READ);
    stream_expect(s, "second");
    ext_op_drop(&op);
}

NOTIFY_CASE(ext_accept_again,
            "accepted on again, a socket is told of its new connection all the same")
{
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    OK(notify_select(n, s, ALL));
    for (int i = 0; i < 3; i++) {
        accept_begin(listener, s, 0, &op);
        SOCKET client = client_of(&at);
        ext_op_ends(listener, &op, 0);
        notify_expect(n, s, FD_WRITE);
        stream_send(client, "x");
        notify_expect(n, s, FD_READ);
        stream_expect(s, "x");
        OK(TABLE->lpWSPShutdown(client, SD_SEND, &spi_error));
        notify_expect(n, s, FD_CLOSE);
        disconnects(s);
        (void)notify_take(n, s);
        ext_op_drop(&op);
    }
}

/* ---- ConnectEx ---- */

NOTIFY_CASE(ext_connect_told, "ConnectEx: FD_CONNECT and FD_WRITE when it is connected")
{
    SOCKADDR_IN at, own;
    struct ext_op op;
    (void)stream_listener(&at);
    SOCKET s = stream_bound(&own);
    OK(notify_select(n, s, ALL));
    connect_begin(s, &at, &op);
    ext_op_ends(s, &op, 0);
    notify_expect(n, s, FD_CONNECT | FD_WRITE);
    assert_int_equal(notify_error(n, FD_CONNECT), 0);
    ext_op_drop(&op);
}

NOTIFY_CASE(ext_connect_refused, "ConnectEx that is refused: FD_CONNECT with WSAECONNREFUSED")
{
    SOCKADDR_IN at, own;
    struct ext_op op;
    (void)stream_bound(&at);
    SOCKET s = stream_bound(&own);
    OK(notify_select(n, s, ALL));
    ext_op_make(&op);
    /* In this host the answer may be there at once. */
    assert_false(connect_ex()(s, (const struct sockaddr *)&at, sizeof(at), NULL, 0, NULL, &op.o));
    if (GetLastError() == WSA_IO_PENDING) {
        ext_op_ends(s, &op, WSAECONNREFUSED);
    } else {
        assert_int_equal(GetLastError(), WSAECONNREFUSED);
    }
    notify_expect(n, s, FD_CONNECT);
    assert_int_equal(notify_error(n, FD_CONNECT), WSAECONNREFUSED);
    ext_op_drop(&op);
}

NOTIFY_CASE(ext_connect_again,
            "connected again, a socket is told of its new connection all the same")
{
    SOCKADDR_IN at, own;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_bound(&own);
    OK(notify_select(n, s, ALL));
    for (int i = 0; i < 3; i++) {
        connect_begin(s, &at, &op);
        ext_op_ends(s, &op, 0);
        notify_expect(n, s, FD_CONNECT | FD_WRITE);
        SOCKET other = stream_accept(listener);
        stream_send(other, "x");
        notify_expect(n, s, FD_READ);
        stream_expect(s, "x");
        OK(TABLE->lpWSPShutdown(other, SD_SEND, &spi_error));
        notify_expect(n, s, FD_CLOSE);
        disconnects(s);
        (void)notify_take(n, s);
        ext_op_drop(&op);
    }
}
