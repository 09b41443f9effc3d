/*
 * Cases of SO_LINGER: the table of WSPCloseSocket's page, on blocking and non-blocking sockets.
 */
#include "tests/spi/stream_kit.h"

static void blocking(SOCKET s)
{
    OK(spi_ioctl_in(s, (DWORD)FIONBIO, 0));
}

/* The peer of a socket that is closed with these settings and everything sent: the end, not a
 * reset, and no wait. */
static void closes_in_order(u_short on, u_short seconds)
{
    struct stream_pair pair = stream_connected_apart();
    OK(stream_linger(pair.client, on, seconds));
    size_t bytes = stream_fill(pair.client);
    blocking(pair.client);
    ULONGLONG begin = GetTickCount64();
    stream_close(pair.client);
    assert_in_range(GetTickCount64() - begin, 0, 2000);
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, linger_off,
     "SO_LINGER off, whatever the time: at once, the rest is still sent")
{
    closes_in_order(0, 0);
    closes_in_order(0, 30);
}

CASE(WSPCloseSocket, linger_dont, "SO_DONTLINGER TRUE is the same")
{
    struct stream_pair pair = stream_connected_apart();
    OK(stream_linger(pair.client, 1, 30));
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_DONTLINGER, 1));
    size_t bytes = stream_fill(pair.client);
    stream_close(pair.client); /* non-blocking: it would be WSAEWOULDBLOCK */
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}

/* 0 seconds: a reset, also for what the peer's buffer has no room for. */
static void aborts(bool nonblocking)
{
    struct stream_pair pair = stream_connected_apart();
    char block[4096];
    DWORD got;
    (void)stream_fill(pair.client);
    if (!nonblocking) {
        blocking(pair.client);
    }
    OK(stream_linger(pair.client, 1, 0));
    stream_close(pair.client);
    while (stream_recv(pair.server, block, sizeof(block), 0, &got) == 0) {
        assert_int_not_equal(got, 0);
    }
    assert_int_equal(spi_error, WSAECONNRESET);
    FAILS(WSAECONNRESET, spi_send_one(pair.server, "x", 1, 0, &got));
}

CASE(WSPCloseSocket, linger_zero, "0 seconds: at once, and the connection is reset")
{
    aborts(false);
}

CASE(WSPCloseSocket, linger_zero_nonblocking, "a non-blocking socket likewise")
{
    aborts(true);
}

CASE(WSPCloseSocket, linger_waits, "a time on a blocking socket: returns as soon as all is sent")
{
    struct stream_pair pair = stream_connected_apart();
    OK(stream_linger(pair.client, 1, 60));
    size_t bytes = stream_fill(pair.client);
    blocking(pair.client);
    struct stream_call call = {.kind = CALL_CLOSE, .s = pair.client};
    spi_forget(pair.client);
    stream_begin(&call);
    assert_int_equal(WaitForSingleObject(call.thread, 0), WAIT_TIMEOUT);
    stream_drain(pair.server, bytes);
    assert_int_equal(stream_finish(&call), 0);
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, linger_twice, "a socket whose close waits is closed already: WSAENOTSOCK")
{
    struct stream_pair pair = stream_connected_apart();
    DWORD sent;
    OK(stream_linger(pair.client, 1, 60));
    size_t bytes = stream_fill(pair.client);
    blocking(pair.client);
    struct stream_call call = {.kind = CALL_CLOSE, .s = pair.client};
    spi_forget(pair.client);
    stream_begin(&call);
    FAILS(WSAENOTSOCK, TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    FAILS(WSAENOTSOCK, spi_send_one(pair.client, "x", 1, 0, &sent));
    stream_drain(pair.server, bytes);
    assert_int_equal(stream_finish(&call), 0);
}

CASE(WSPCloseSocket, linger_expires, "when the time is over the connection is reset")
{
    struct stream_pair pair = stream_connected_apart();
    DWORD sent = 0;
    OK(stream_linger(pair.client, 1, 1));
    (void)stream_fill(pair.client);
    blocking(pair.client);
    stream_close(pair.client);
    stream_behind_close(pair.listener);
    FAILS(WSAECONNRESET, spi_send_one(pair.server, "x", 1, 0, &sent));
}

CASE(WSPCloseSocket, linger_reset, "a close that waits ends when the peer resets")
{
    struct stream_pair pair = stream_connected_apart();
    OK(stream_linger(pair.client, 1, 60));
    (void)stream_fill(pair.client);
    blocking(pair.client);
    struct stream_call call = {.kind = CALL_CLOSE, .s = pair.client};
    spi_forget(pair.client);
    stream_begin(&call);
    stream_abort(pair.server);
    assert_int_equal(stream_finish(&call), 0);
}

/* WSAEWOULDBLOCK, and the three ways out of it that the page names. */
static SOCKET would_block(struct stream_pair *pair, size_t *bytes)
{
    *pair = stream_connected_apart();
    OK(stream_linger(pair->client, 1, 60));
    *bytes = stream_fill(pair->client);
    FAILS(WSAEWOULDBLOCK, TABLE->lpWSPCloseSocket(pair->client, &spi_error));
    return pair->client;
}

CASE(WSPCloseSocket, linger_then_shutdown,
     "WSAEWOULDBLOCK, then SD_SEND: the close succeeds, all arrives")
{
    struct stream_pair pair;
    size_t bytes;
    SOCKET s = would_block(&pair, &bytes);
    OK(TABLE->lpWSPShutdown(s, SD_SEND, &spi_error));
    stream_close(s);
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, linger_then_zero,
     "WSAEWOULDBLOCK, then 0 seconds: the close succeeds, a reset")
{
    struct stream_pair pair;
    size_t bytes;
    DWORD sent;
    SOCKET s = would_block(&pair, &bytes);
    OK(stream_linger(s, 1, 0));
    stream_close(s);
    stream_behind_close(pair.listener);
    FAILS(WSAECONNRESET, spi_send_one(pair.server, "x", 1, 0, &sent));
}

CASE(WSPCloseSocket, linger_then_off, "WSAEWOULDBLOCK, then SO_LINGER off: the close succeeds")
{
    struct stream_pair pair;
    size_t bytes;
    SOCKET s = would_block(&pair, &bytes);
    OK(stream_linger(s, 0, 0));
    stream_close(s);
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}

CASE(WSPCloseSocket, linger_usable, "after WSAEWOULDBLOCK the socket works on, no end was begun")
{
    struct stream_pair pair;
    size_t bytes;
    SOCKET s = would_block(&pair, &bytes);
    stream_drain(pair.server, bytes);
    stream_await(s, WRITE);
    stream_send(s, "still");
    stream_expect(pair.server, "still");
    stream_send(pair.server, "here");
    stream_await(s, READ);
    stream_expect(s, "here");
}

CASE(WSPCloseSocket, linger_unconnected, "lingering concerns connections: others close at once")
{
    SOCKADDR_IN at;
    SOCKET sockets[] = {stream_new(), stream_bound(&at), stream_listener(&at)};
    for (unsigned i = 0; i < 3; i++) {
        OK(stream_linger(sockets[i], 1, 60));
        if (i != 0) {
            spi_nonblocking(sockets[i]);
        }
        stream_close(sockets[i]);
    }
}

CASE(WSPCloseSocket, linger_connecting,
     "a socket that connects closes at once, whatever it is set to")
{
    SOCKADDR_IN silent = stream_silent();
    for (unsigned seconds = 0; seconds <= 60; seconds += 60) {
        SOCKET s = stream_new();
        spi_nonblocking(s);
        OK(stream_linger(s, 1, (u_short)seconds));
        FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
        stream_close(s);
    }
}

CASE(WSPShutdown, linger_shutdown, "SO_LINGER does not make it block")
{
    struct stream_pair pair = stream_connected_apart();
    OK(stream_linger(pair.client, 1, 60));
    size_t bytes = stream_fill(pair.client);
    blocking(pair.client);
    ULONGLONG begin = GetTickCount64();
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    assert_in_range(GetTickCount64() - begin, 0, 2000);
    stream_drain(pair.server, bytes);
    stream_expect_end(pair.server);
}
