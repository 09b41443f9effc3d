/*
 * Cases of WSAPoll on stream sockets: what each state of a connection says.
 */
#include "tests/spi/poll_kit.h"
#include "tests/spi/stream_kit.h"

#define ALL (POLLRDNORM | POLLRDBAND | POLLWRNORM)

/* revents of a look, or of the first thing that happens within wait_ms. */
static int poll_asked(SOCKET s, SHORT events, INT wait_ms)
{
    WSAPOLLFD fd = {.fd = s, .events = events, .revents = -1};
    int result = poll_one(&fd, wait_ms);
    assert_int_equal(result, fd.revents != 0);
    return fd.revents;
}

CASE(WSAPoll, tcp_poll_fresh, "a stream without a connection says nothing")
{
    SOCKADDR_IN at;
    assert_int_equal(poll_asked(stream_new(), ALL, 0), 0);
    assert_int_equal(poll_asked(stream_bound(&at), ALL, 20), 0);
}

CASE(WSAPoll, tcp_poll_listening, "a connection that waits to be accepted is POLLRDNORM")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    assert_int_equal(poll_asked(s, ALL, 0), 0);
    OK(spi_connect_to(stream_new(), &at));
    assert_int_equal(poll_asked(s, ALL, 5000), POLLRDNORM);
    (void)stream_accept(s);
    assert_int_equal(poll_asked(s, ALL, 0), 0);
}

CASE(WSAPoll, tcp_poll_deferred, "a connection that was put off is POLLRDNORM")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    OK(spi_connect_to(stream_new(), &at));
    stream_put_off(s);
    assert_int_equal(poll_asked(s, ALL, 0), POLLRDNORM);
    assert_int_equal(poll_asked(s, POLLWRNORM, 0), 0);
    (void)stream_accept(s);
    assert_int_equal(poll_asked(s, ALL, 0), 0);
}

CASE(WSAPoll, tcp_poll_connecting, "while it connects it says nothing")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    assert_int_equal(poll_asked(s, ALL, 20), 0);
}

CASE(WSAPoll, tcp_poll_connected, "connected, by a call that did not block, is POLLWRNORM")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    assert_int_equal(poll_asked(s, ALL, 5000), POLLWRNORM);
    (void)stream_accept(listener);
}

CASE(WSAPoll, tcp_poll_failed,
     "a connect that failed is POLLHUP, POLLERR and POLLWRNORM (Windows 10 version 2004)")
{
    SOCKADDR_IN at;
    (void)stream_bound(&at);
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &at));
    assert_int_equal(poll_asked(s, POLLWRNORM, 5000), POLLHUP | POLLERR | POLLWRNORM);
    assert_int_equal(poll_asked(s, POLLRDNORM, 0), POLLHUP | POLLERR);
}

CASE(WSAPoll, tcp_poll_data, "bytes that wait are POLLRDNORM until they are read")
{
    struct stream_pair pair = stream_connected();
    assert_int_equal(poll_asked(pair.server, ALL, 0), POLLWRNORM);
    stream_send(pair.client, "xy");
    assert_int_equal(poll_asked(pair.server, POLLIN, 5000), POLLRDNORM);
    stream_expect(pair.server, "xy");
    assert_int_equal(poll_asked(pair.server, POLLIN, 0), 0);
}

CASE(WSAPoll, tcp_poll_full, "a full send buffer is not POLLWRNORM until there is room again")
{
    struct stream_pair pair = stream_connected_apart();
    size_t bytes = stream_fill(pair.client);
    assert_int_equal(poll_asked(pair.client, ALL, 20), 0);
    stream_drain(pair.server, bytes);
    assert_int_equal(poll_asked(pair.client, ALL, 5000), POLLWRNORM);
}

CASE(WSAPoll, tcp_poll_urgent, "an urgent byte is POLLRDBAND until it is read")
{
    struct stream_pair pair = stream_connected();
    DWORD sent = 0;
    DWORD got;
    char byte;
    OK(spi_send_one(pair.client, "!", 1, MSG_OOB, &sent));
    assert_int_equal(poll_asked(pair.server, POLLIN, 5000), POLLRDBAND);
    OK(stream_recv(pair.server, &byte, 1, MSG_OOB, &got));
    assert_int_equal(poll_asked(pair.server, POLLIN, 0), 0);
}

CASE(WSAPoll, tcp_poll_inline, "with SO_OOBINLINE an urgent byte is normal data, POLLRDNORM")
{
    struct stream_pair pair = stream_connected();
    DWORD sent = 0;
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_OOBINLINE, 1));
    OK(spi_send_one(pair.client, "!", 1, MSG_OOB, &sent));
    assert_int_equal(poll_asked(pair.server, POLLIN, 5000), POLLRDNORM);
}

CASE(WSAPoll, tcp_poll_end, "the peer's end is POLLHUP, asked for or not; the next receive gives 0")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    assert_int_equal(poll_asked(pair.server, 0, 5000), POLLHUP);
    assert_int_equal(poll_asked(pair.server, POLLIN, 0), POLLHUP);
    assert_int_equal(poll_asked(pair.server, ALL, 0), POLLHUP | POLLWRNORM);
    stream_expect_end(pair.server);
}

CASE(WSAPoll, tcp_poll_data_end, "bytes before the peer's end are POLLRDNORM as well")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "x");
    stream_close(pair.client);
    assert_int_equal(poll_asked(pair.server, 0, 5000), POLLHUP);
    assert_int_equal(poll_asked(pair.server, POLLIN, 0), POLLHUP | POLLRDNORM);
    stream_expect(pair.server, "x");
    assert_int_equal(poll_asked(pair.server, POLLIN, 0), POLLHUP);
}

CASE(WSAPoll, tcp_poll_reset, "a peer that is suddenly gone is POLLHUP and POLLERR")
{
    struct stream_pair pair = stream_connected();
    char byte;
    DWORD got;
    stream_abort(pair.client);
    assert_int_equal(poll_asked(pair.server, POLLIN, 5000), POLLHUP | POLLERR);
    FAILS(WSAECONNRESET, stream_recv(pair.server, &byte, 1, 0, &got));
}

CASE(WSAPoll, tcp_poll_mixed, "streams, listeners and sockets that are none in one array")
{
    struct stream_pair pair = stream_connected();
    WSAPOLLFD fds[4] = {{.fd = spi_new(0), .events = POLLIN},
                        {.fd = pair.server, .events = POLLIN},
                        {.fd = pair.listener, .events = POLLIN},
                        {.fd = INVALID_SOCKET}};
    (void)poll_function(pair.server);
    stream_send(pair.client, "x");
    assert_int_equal(poll_call(fds, 4, 5000), 1);
    assert_int_equal(fds[1].revents, POLLRDNORM);
    assert_int_equal(fds[3].revents, POLLNVAL);
}
