/*
 * Cases of how a program finds extension functions, and of GetAcceptExSockaddrs on its own.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

#define GET_ONE     SIO_GET_EXTENSION_FUNCTION_POINTER
#define GET_SEVERAL 0xc8000024u

static int ext_ask(SOCKET s, DWORD code, void *in, DWORD in_bytes, void *out, DWORD out_bytes,
                   DWORD *returned)
{
    return TABLE->lpWSPIoctl(s, code, in, in_bytes, out, out_bytes, returned, NULL, NULL, NULL,
                             &spi_error);
}

CASE(WSPIoctl, ext_pointer, "a GUID of an extension function gives its address")
{
    GUID id = WSAID_GETACCEPTEXSOCKADDRS;
    LPFN_GETACCEPTEXSOCKADDRS function = NULL;
    DWORD returned = 0;
    OK(ext_ask(stream_new(), GET_ONE, &id, sizeof(id), &function, sizeof(function), &returned));
    assert_int_equal(returned, sizeof(function));
    assert_non_null(function);
}

CASE(WSPIoctl, ext_same, "every socket of the provider gives the same address")
{
    GUID id = WSAID_GETACCEPTEXSOCKADDRS;
    LPFN_GETACCEPTEXSOCKADDRS first = NULL, second = NULL;
    DWORD returned = 0;
    OK(ext_ask(stream_new(), GET_ONE, &id, sizeof(id), &first, sizeof(first), &returned));
    OK(ext_ask(spi_udp(), GET_ONE, &id, sizeof(id), &second, sizeof(second), &returned));
    assert_true(first == second);
}

CASE(WSPIoctl, ext_unknown, "a GUID that nobody has is WSAEINVAL: not acceptable")
{
    GUID id = WSAID_GETACCEPTEXSOCKADDRS;
    LPFN_GETACCEPTEXSOCKADDRS function = NULL;
    DWORD returned = 99;
    SOCKET s = stream_new();
    id.Data4[7] ^= 1;
    FAILS(WSAEINVAL, ext_ask(s, GET_ONE, &id, sizeof(id), &function, sizeof(function), &returned));
    assert_null(function);
    FAILS(WSAEINVAL,
          ext_ask(s, GET_SEVERAL, &id, sizeof(id), &function, sizeof(function), &returned));
}

CASE(WSPIoctl, ext_one_of_several, "a single function is not one of several")
{
    GUID id = WSAID_GETACCEPTEXSOCKADDRS;
    LPFN_GETACCEPTEXSOCKADDRS function = NULL;
    DWORD returned = 0;
    FAILS(WSAEINVAL, ext_ask(stream_new(), GET_SEVERAL, &id, sizeof(id), &function,
                             sizeof(function), &returned));
}

CASE(WSPIoctl, ext_fault, "a GUID or an answer without room, or a bad pointer, is WSAEFAULT")
{
    GUID id = WSAID_GETACCEPTEXSOCKADDRS;
    LPFN_GETACCEPTEXSOCKADDRS function = NULL;
    DWORD returned = 0;
    SOCKET s = stream_new();
    FAILS(WSAEFAULT,
          ext_ask(s, GET_ONE, &id, sizeof(id) - 1, &function, sizeof(function), &returned));
    FAILS(WSAEFAULT,
          ext_ask(s, GET_ONE, &id, sizeof(id), &function, sizeof(function) - 1, &returned));
    FAILS(WSAEFAULT, ext_ask(s, GET_ONE, spi_bad_pointer(), sizeof(id), &function, sizeof(function),
                             &returned));
    FAILS(WSAEFAULT,
          ext_ask(s, GET_ONE, &id, sizeof(id), spi_read_only_page(), sizeof(function), &returned));
    FAILS(WSAEFAULT,
          ext_ask(s, GET_ONE, &id, sizeof(id), &function, sizeof(function), spi_bad_pointer()));
}

/* ---- GetAcceptExSockaddrs, given what is not AcceptEx's ---- */

static LPFN_GETACCEPTEXSOCKADDRS ext_get_sockaddrs(void)
{
    GUID id = WSAID_GETACCEPTEXSOCKADDRS;
    LPFN_GETACCEPTEXSOCKADDRS function = NULL;
    DWORD returned = 0;
    OK(ext_ask(stream_new(), GET_ONE, &id, sizeof(id), &function, sizeof(function), &returned));
    return function;
}

CASE(GetAcceptExSockaddrs, ext_addrs_foreign, "a buffer that has no addresses gives none")
{
    char output[64];
    struct sockaddr *local = (struct sockaddr *)output, *remote = local;
    INT local_length = 7, remote_length = 7;
    memset(output, 0xff, sizeof(output));
    ext_get_sockaddrs()(output, 0, 32, 32, &local, &local_length, &remote, &remote_length);
    assert_null(local);
    assert_null(remote);
    assert_int_equal(local_length, 0);
    assert_int_equal(remote_length, 0);
}

CASE(GetAcceptExSockaddrs, ext_addrs_fault, "bad pointers are not followed")
{
    char output[64] = {0};
    struct sockaddr *local = NULL, *remote = NULL;
    INT local_length = 7, remote_length = 7;
    LPFN_GETACCEPTEXSOCKADDRS get = ext_get_sockaddrs();
    get(NULL, 0, 32, 32, &local, &local_length, &remote, &remote_length);
    get(output, 0, 32, 32, spi_bad_pointer(), &local_length, &remote, &remote_length);
    get(output, 0, 32, 32, &local, spi_bad_pointer(), &remote, &remote_length);
    get(output, 0, 32, 32, &local, &local_length, NULL, &remote_length);
    get(output, 0, 32, 32, &local, &local_length, &remote, NULL);
    assert_int_equal(local_length, 7);
    get(spi_bad_pointer(), 0, 32, 32, &local, &local_length, &remote, &remote_length);
    assert_null(local);
    assert_int_equal(local_length, 0);
}

/* ---- SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT ---- */

static int ext_accept_context(SOCKET s, SOCKET listener)
{
    return TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&listener,
                                  sizeof(listener), &spi_error);
}

static int ext_connect_context(SOCKET s)
{
    return TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0, &spi_error);
}

CASE(WSPSetSockOpt, ext_accept_context_value, "SO_UPDATE_ACCEPT_CONTEXT: a listener is its value")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN at;
    SOCKET listener = pair.listener;
    FAILS(WSAEFAULT,
          TABLE->lpWSPSetSockOpt(pair.server, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                                 (const char *)&listener, sizeof(listener) - 1, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPSetSockOpt(pair.server, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                                            spi_bad_pointer(), sizeof(listener), &spi_error));
    FAILS(WSAENOTSOCK, ext_accept_context(pair.server, INVALID_SOCKET));
    FAILS(WSAEINVAL, ext_accept_context(pair.server, stream_bound(&at)));
    FAILS(WSAEINVAL, ext_accept_context(pair.server, pair.client));
    OK(ext_accept_context(pair.server, listener));
}

CASE(WSPSetSockOpt, ext_accept_context_state, "SO_UPDATE_ACCEPT_CONTEXT: not accepted, WSAENOTCONN")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAENOTCONN, ext_accept_context(stream_new(), pair.listener));
    FAILS(WSAENOTCONN, ext_accept_context(pair.client, pair.listener));
    FAILS(WSAENOPROTOOPT, ext_accept_context(spi_udp(), pair.listener));
}

CASE(WSPSetSockOpt, ext_accept_context_again,
     "SO_UPDATE_ACCEPT_CONTEXT: what the listener has now is inherited")
{
    struct stream_pair pair = stream_connected();
    OK(spi_set_dword(pair.server, IPPROTO_TCP, TCP_NODELAY, 1));
    OK(spi_set_dword(pair.listener, SOL_SOCKET, SO_KEEPALIVE, 1));
    OK(stream_linger(pair.listener, 1, 9));
    OK(ext_accept_context(pair.server, pair.listener));
    struct linger linger = {0};
    int bytes = sizeof(linger);
    assert_int_equal(spi_get_dword(pair.server, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(spi_get_dword(pair.server, IPPROTO_TCP, TCP_NODELAY), 0);
    OK(TABLE->lpWSPGetSockOpt(pair.server, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes,
                              &spi_error));
    assert_int_equal(linger.l_linger, 9);
}

CASE(WSPSetSockOpt, ext_connect_context_state, "SO_UPDATE_CONNECT_CONTEXT: WSAENOTCONN before")
{
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN at;
    FAILS(WSAENOTCONN, ext_connect_context(stream_new()));
    FAILS(WSAENOTCONN, ext_connect_context(stream_bound(&at)));
    FAILS(WSAENOPROTOOPT, ext_connect_context(spi_udp()));
    OK(ext_connect_context(pair.client));
}

CASE(WSPGetSockOpt, ext_context_get, "SO_UPDATE_*_CONTEXT cannot be read: WSAENOPROTOOPT")
{
    struct stream_pair pair = stream_connected();
    DWORD value = 0;
    int bytes = sizeof(value);
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPGetSockOpt(pair.server, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                                                 (char *)&value, &bytes, &spi_error));
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPGetSockOpt(pair.client, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT,
                                                 (char *)&value, &bytes, &spi_error));
}
