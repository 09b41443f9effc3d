/*
 * Cases of WSPSelect on stream sockets: the documented meaning of the three sets.
 */
#include "tests/spi/stream_kit.h"

#define ALL (READ | WRITE | EXCEPT)

CASE(WSPSelect, tcp_fresh, "a stream without a connection is in no set")
{
    SOCKADDR_IN at;
    assert_int_equal(stream_select(stream_new(), ALL, 0), 0);
    assert_int_equal(stream_select(stream_bound(&at), ALL, 0), 0);
}

CASE(WSPSelect, tcp_listening_set, "listening: in the read set while a connection waits")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    assert_int_equal(stream_select(s, ALL, 0), 0);
    OK(spi_connect_to(stream_new(), &at));
    assert_int_equal(stream_select(s, ALL, 5000), READ);
    (void)stream_accept(s);
    assert_int_equal(stream_select(s, ALL, 0), 0);
}

CASE(WSPSelect, tcp_deferred_set,
     "a connection that was put off keeps the listener in the read set")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(spi_connect_to(stream_new(), &at));
    stream_put_off(s);
    assert_int_equal(stream_select(s, ALL, 0), READ);
    (void)stream_accept(s);
    assert_int_equal(stream_select(s, ALL, 0), 0);
}

CASE(WSPSelect, tcp_connecting_set, "connecting: in no set")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    assert_int_equal(stream_select(s, ALL, 20), 0);
}

CASE(WSPSelect, tcp_connected_set, "connected: writable; data: readable; read: not any more")
{
    struct stream_pair pair = stream_connected();
    assert_int_equal(stream_select(pair.client, ALL, 0), WRITE);
    assert_int_equal(stream_select(pair.server, ALL, 0), WRITE);
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
    assert_int_equal(stream_select(pair.server, ALL, 0), READ | WRITE);
    stream_expect(pair.server, "x");
    assert_int_equal(stream_select(pair.server, ALL, 0), WRITE);
}

CASE(WSPSelect, tcp_end_set,
     "the peer's end, and a reset, are in the read set; a reset not in except")
{
    struct stream_pair pair = stream_connected();
    stream_close(pair.client);
    stream_await(pair.server, READ);
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
    pair = stream_connected();
    stream_abort(pair.client);
    stream_await(pair.server, READ);
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
}

CASE(WSPSelect, tcp_urgent_set, "an urgent byte is in the except set until it is read")
{
    struct stream_pair pair = stream_connected();
    DWORD sent = 0;
    DWORD got;
    char byte;
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
    OK(spi_send_one(pair.client, "!", 1, MSG_OOB, &sent));
    assert_int_equal(stream_select(pair.server, EXCEPT, 5000), EXCEPT);
    OK(stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    assert_int_equal(stream_select(pair.server, EXCEPT, 0), 0);
}

CASE(WSPSelect, tcp_failed_set, "a connect that failed is in the except set, and in no other")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    assert_int_equal(stream_select(s, EXCEPT, 5000), EXCEPT);
    assert_int_equal(stream_select(s, ALL, 0), EXCEPT);
}

CASE(WSPSelect, tcp_mixed, "streams and datagram sockets in one set")
{
    struct stream_pair pair = stream_connected();
    fd_set set = {.fd_count = 3, .fd_array = {spi_new(0), pair.server, pair.listener}};
    struct timeval most = {.tv_sec = 5};
    stream_send(pair.client, "x");
    assert_int_equal(TABLE->lpWSPSelect(0, &set, NULL, NULL, &most, &spi_error), 1);
    assert_true(set.fd_array[0] == pair.server);
}
