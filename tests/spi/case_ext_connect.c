/*
 * Cases of ConnectEx.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"

EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)

static WINBOOL connect_call(SOCKET s, const SOCKADDR_IN *to, const char *data, struct ext_op *op)
{
    DWORD sent = 0;
    return connect_ex()(s, (const struct sockaddr *)to, sizeof(*to), (void *)(uintptr_t)data,
                        data != NULL ? (DWORD)strlen(data) : 0, &sent, &op->o);
}

/* A bound socket. */
static SOCKET connect_socket(struct ext_op *op)
{
    SOCKADDR_IN own;
    ext_op_make(op);
    return stream_bound(&own);
}

static int connect_update(SOCKET s)
{
    return TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0, &spi_error);
}

CASE(ConnectEx, ce_connects, "it completes when the connection is established, with 0 bytes")
{
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = connect_socket(&op);
    EXT_BEGINS(connect_call(s, &at, NULL, &op));
    ext_op_ends(s, &op, 0);
    assert_int_equal(op.bytes, 0);
    SOCKET other = stream_accept(listener);
    stream_send(s, "there");
    stream_expect(other, "there");
    stream_send(other, "back");
    stream_expect(s, "back");
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_data, "the data is sent behind the handshake, and counted")
{
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = connect_socket(&op);
    EXT_BEGINS(connect_call(s, &at, "first words", &op));
    ext_op_ends(s, &op, 0);
    assert_int_equal(op.bytes, 11);
    SOCKET other = stream_accept(listener);
    stream_send(s, " and more");
    stream_expect(other, "first words and more");
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_much_data, "it does not complete before all of the data is sent")
{
    static char data[1u << 20];
    SOCKADDR_IN at;
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = connect_socket(&op);
    DWORD sent = 0;
    OK(spi_set_dword(s, SOL_SOCKET, SO_SNDBUF, 16384));
    for (DWORD i = 0; i < sizeof(data); i++) {
        data[i] = ext_byte(i);
    }
    EXT_BEGINS(connect_ex()(s, (const struct sockaddr *)&at, sizeof(at), data, sizeof(data), &sent,
                            &op.o));
    SOCKET other = stream_accept(listener);
    ext_expect(other, 0, 100000);
    assert_true(ext_op_pending(&op));
    ext_expect(other, 100000, sizeof(data) - 100000);
    ext_op_ends(s, &op, 0);
    assert_int_equal(op.bytes, sizeof(data));
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_no_data, "without a buffer its length and the count are ignored")
{
    SOCKADDR_IN at;
    struct ext_op op;
    (void)stream_listener(&at);
    SOCKET s = connect_socket(&op);
    EXT_BEGINS(connect_ex()(s, (const struct sockaddr *)&at, sizeof(at), NULL, 99,
                            spi_bad_pointer(), &op.o));
    ext_op_ends(s, &op, 0);
    assert_int_equal(op.bytes, 0);
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_refused, "nobody listens: WSAECONNREFUSED, and it may be called again")
{
    SOCKADDR_IN nobody, at;
    struct ext_op op;
    stream_close(stream_bound(&nobody));
    SOCKET listener = stream_listener(&at);
    SOCKET s = connect_socket(&op);
    SetLastError(0);
    if (!connect_call(s, &nobody, NULL, &op) && GetLastError() == WSA_IO_PENDING) {
        ext_op_ends(s, &op, WSAECONNREFUSED);
    } else {
        assert_int_equal(GetLastError(), WSAECONNREFUSED);
    }
    EXT_BEGINS(connect_call(s, &at, NULL, &op));
    ext_op_ends(s, &op, 0);
    (void)stream_accept(listener);
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_port, "a completion port of the socket gets a packet, with the bytes sent")
{
    SOCKADDR_IN at;
    struct ext_op op;
    ULONG_PTR key = 0;
    DWORD bytes = 99;
    (void)stream_listener(&at);
    SOCKET s = connect_socket(&op);
    HANDLE port = ext_port(s, 5);
    EXT_BEGINS(connect_call(s, &at, "four", &op));
    assert_ptr_equal(ext_port_next(port, &key, &bytes), &op);
    assert_int_equal(key, 5);
    assert_int_equal(bytes, 4);
    ext_op_drop(&op);
    CloseHandle(port);
}

CASE(ConnectEx, ce_nonblocking, "a socket that does not block pends all the same")
{
    SOCKADDR_IN at;
    struct ext_op op;
    (void)stream_listener(&at);
    SOCKET s = connect_socket(&op);
    spi_nonblocking(s);
    EXT_BEGINS(connect_call(s, &at, "x", &op));
    ext_op_ends(s, &op, 0);
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_unbound, "a socket that is not bound is WSAEINVAL")
{
    SOCKADDR_IN at;
    struct ext_op op = {.bytes = 0};
    (void)stream_listener(&at);
    EXT_FAILS(WSAEINVAL, connect_call(stream_new(), &at, NULL, &op));
}

CASE(ConnectEx, ce_listening, "a socket that listens is WSAEINVAL")
{
    SOCKADDR_IN at, own;
    struct ext_op op = {.bytes = 0};
    (void)stream_listener(&at);
    EXT_FAILS(WSAEINVAL, connect_call(stream_listener(&own), &at, NULL, &op));
}

CASE(ConnectEx, ce_datagram, "a datagram socket is WSAEINVAL")
{
    SOCKADDR_IN at;
    struct ext_op op = {.bytes = 0};
    (void)stream_listener(&at);
    EXT_FAILS(WSAEINVAL, connect_call(spi_bound(NULL), &at, NULL, &op));
}

CASE(ConnectEx, ce_connected, "a socket that is connected is WSAEISCONN")
{
    struct ext_op op = {.bytes = 0};
    struct stream_pair pair = stream_connected();
    ext_op_make(&op);
    EXT_FAILS(WSAEISCONN, connect_call(pair.client, &pair.at, NULL, &op));
    EXT_FAILS(WSAEISCONN, connect_call(pair.server, &pair.at, NULL, &op));
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_under_way, "a connect that is under way is WSAEALREADY")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    struct ext_op op;
    SOCKET s = stream_new();
    ext_op_make(&op);
    OK(spi_bind_at(s, &any));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    EXT_FAILS(WSAEALREADY, connect_call(s, &silent, NULL, &op));
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_close, "closing the socket meanwhile: WSA_OPERATION_ABORTED")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    struct ext_op op;
    SOCKET s = stream_new();
    ext_op_make(&op);
    OK(spi_bind_at(s, &any));
    EXT_FAILS(WSA_IO_PENDING, connect_call(s, &silent, NULL, &op));
    stream_close(s);
    ext_op_aborted(&op);
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_not_socket, "no socket is WSAENOTSOCK")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 1);
    struct ext_op op = {.bytes = 0};
    EXT_FAILS(WSAENOTSOCK, connect_call((SOCKET)GetCurrentThread(), &at, NULL, &op));
}

CASE(ConnectEx, ce_fault, "bad pointers, a short name, no OVERLAPPED: WSAEFAULT")
{
    SOCKADDR_IN at;
    struct ext_op op = {.bytes = 0};
    (void)stream_listener(&at);
    SOCKET s = connect_socket(&op);
    const struct sockaddr *to = (const struct sockaddr *)&at;
    DWORD sent = 0;
    char byte = 'x';
    EXT_FAILS(WSAEFAULT, connect_ex()(s, spi_bad_pointer(), sizeof(at), NULL, 0, &sent, &op.o));
    EXT_FAILS(WSAEFAULT, connect_ex()(s, NULL, sizeof(at), NULL, 0, &sent, &op.o));
    EXT_FAILS(WSAEFAULT, connect_ex()(s, to, sizeof(at) - 1, NULL, 0, &sent, &op.o));
    EXT_FAILS(WSAEFAULT, connect_ex()(s, to, sizeof(at), spi_bad_pointer(), 1, &sent, &op.o));
    EXT_FAILS(WSAEFAULT, connect_ex()(s, to, sizeof(at), &byte, 1, spi_bad_pointer(), &op.o));
    EXT_FAILS(WSAEFAULT, connect_ex()(s, to, sizeof(at), NULL, 0, &sent, NULL));
    EXT_FAILS(WSAEFAULT, connect_ex()(s, to, sizeof(at), NULL, 0, &sent, spi_bad_pointer()));
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_address, "an address that no connection can have is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 80), no_port = spi_at("127.0.0.1", 0);
    SOCKADDR_IN group = spi_at("239.1.2.3", 80), all = spi_at("255.255.255.255", 80);
    struct ext_op op;
    SOCKET s = connect_socket(&op);
    EXT_FAILS(WSAEADDRNOTAVAIL, connect_call(s, &any, NULL, &op));
    EXT_FAILS(WSAEADDRNOTAVAIL, connect_call(s, &no_port, NULL, &op));
    EXT_FAILS(WSAEADDRNOTAVAIL, connect_call(s, &group, NULL, &op));
    EXT_FAILS(WSAEADDRNOTAVAIL, connect_call(s, &all, NULL, &op));
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_family, "an address of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 80);
    struct ext_op op;
    SOCKET s = connect_socket(&op);
    at.sin_family = AF_IPX;
    EXT_FAILS(WSAEAFNOSUPPORT, connect_call(s, &at, NULL, &op));
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_context, "getpeername and shutdown need SO_UPDATE_CONNECT_CONTEXT")
{
    SOCKADDR_IN at, in;
    int bytes = sizeof(in);
    struct ext_op op;
    SOCKET listener = stream_listener(&at);
    SOCKET s = connect_socket(&op);
    EXT_BEGINS(connect_call(s, &at, NULL, &op));
    ext_op_ends(s, &op, 0);
    SOCKET other = stream_accept(listener);
    FAILS(WSAENOTCONN, TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&in, &bytes, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPShutdown(s, SD_SEND, &spi_error));
    OK(connect_update(s));
    OK(TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&in, &bytes, &spi_error));
    assert_int_equal(in.sin_port, at.sin_port);
    OK(TABLE->lpWSPShutdown(s, SD_SEND, &spi_error));
    stream_expect_end(other);
    ext_op_drop(&op);
}

CASE(ConnectEx, ce_again,
     "a socket that DisconnectEx made ready connects again, from the same port")
{
    SOCKADDR_IN at;
    struct ext_op op, end;
    SOCKET listener = stream_listener(&at);
    SOCKET s = connect_socket(&op);
    SOCKADDR_IN own = spi_name(s);
    for (unsigned i = 0; i < 20; i++) {
        EXT_BEGINS(connect_call(s, &at, "hello", &op));
        ext_op_ends(s, &op, 0);
        SOCKET other = stream_accept(listener);
        stream_expect(other, "hello");
        SOCKADDR_IN from;
        int bytes = sizeof(from);
        OK(TABLE->lpWSPGetPeerName(other, (struct sockaddr *)&from, &bytes, &spi_error));
        assert_int_equal(from.sin_port, own.sin_port);
        ext_op_make(&end);
        EXT_BEGINS(disconnect_ex()(s, &end.o, TF_REUSE_SOCKET, 0));
        stream_expect_end(other);
        stream_close(other);
        ext_op_ends(s, &end, 0);
        ext_op_drop(&end);
    }
    ext_op_drop(&op);
}
