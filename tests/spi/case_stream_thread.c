/*
 * Cases of several threads on one stream socket: what ends a call that is under way, and every call
 * beside every other one.
 */
#include <string.h>

#include "tests/spi/stream_kit.h"

/* ---- closing ends what is under way ---- */

CASE(threads, tcp_close_send, "closing ends a send that waits for room")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_SEND, .s = pair.client};
    stream_begin(&call);
    stream_close(pair.client);
    stream_cancelled(&call);
}

CASE(threads, tcp_close_waitall, "closing ends MSG_WAITALL: what it has got, or WSAEINTR")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {
        .kind = CALL_RECV, .s = pair.server, .flags = MSG_WAITALL, .bytes = 64};
    stream_begin(&call);
    stream_close(pair.server);
    stream_cancelled(&call);
}

CASE(threads, tcp_close_oob, "closing ends a MSG_OOB receive")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .flags = MSG_OOB};
    stream_begin(&call);
    stream_close(pair.server);
    stream_cancelled(&call);
}

CASE(threads, tcp_close_peek, "closing ends a MSG_PEEK receive")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server, .flags = MSG_PEEK};
    stream_begin(&call);
    stream_close(pair.server);
    stream_cancelled(&call);
}

static void close_select(SOCKET s, DWORD set)
{
    struct stream_call call = {.kind = CALL_SELECT, .s = s, .flags = set};
    stream_begin(&call);
    stream_close(s);
    assert_int_equal(stream_finish(&call), WSAENOTSOCK);
}

CASE(threads, tcp_close_select, "closing ends a select on any set: WSAENOTSOCK")
{
    SOCKADDR_IN at;
    close_select(stream_connected().server, READ);
    close_select(stream_connected().server, EXCEPT);
    close_select(stream_listener(&at), READ);
    close_select(stream_bound(&at), WRITE);
    close_select(stream_new(), WRITE);
    struct stream_pair pair = stream_connected();
    (void)stream_fill(pair.client);
    close_select(pair.client, WRITE);
}

CASE(threads, tcp_close_connecting_select, "also of one that connects")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    close_select(s, WRITE);
}

CASE(threads, tcp_close_both, "closing ends a send and a receive at once")
{
    struct stream_pair pair = stream_connected();
    struct stream_call send = {.kind = CALL_SEND, .s = pair.client};
    struct stream_call recv = {.kind = CALL_RECV, .s = pair.client};
    stream_begin(&send);
    stream_begin(&recv);
    stream_close(pair.client);
    stream_cancelled(&send);
    stream_cancelled(&recv);
}

CASE(threads, tcp_close_accepts, "closing ends the accepts of four threads")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    struct stream_call calls[4];
    for (unsigned i = 0; i < 4; i++) {
        calls[i] = (struct stream_call){.kind = CALL_ACCEPT, .s = listener};
        stream_begin(&calls[i]);
    }
    stream_close(listener);
    for (unsigned i = 0; i < 4; i++) {
        stream_cancelled(&calls[i]);
    }
}

/* ---- what the peer does ends it, too ---- */

CASE(WSPRecv, blocked_end,
     "a receive that waits: 0 when the peer ends, WSAECONNRESET when it resets")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.client};
    stream_begin(&call);
    stream_close(pair.server);
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, 0);
    pair = stream_connected();
    call = (struct stream_call){.kind = CALL_RECV, .s = pair.client};
    stream_begin(&call);
    stream_abort(pair.server);
    assert_int_equal(stream_finish(&call), WSAECONNRESET);
}

CASE(WSPSend, blocked_reset, "a send that waits: WSAECONNRESET when the peer resets")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_SEND, .s = pair.client};
    stream_begin(&call);
    stream_abort(pair.server);
    assert_int_equal(stream_finish(&call), WSAECONNRESET);
}

CASE(WSPSend, blocked_close, "and when the peer closes with data unread")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_SEND, .s = pair.client};
    stream_begin(&call);
    stream_close(pair.server);
    assert_int_equal(stream_finish(&call), WSAECONNRESET);
}

/* ---- and shutting down here ---- */

CASE(WSPShutdown, blocked_send, "SD_SEND ends another thread's send: WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_SEND, .s = pair.client};
    stream_begin(&call);
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    assert_int_equal(stream_finish(&call), WSAESHUTDOWN);
}

CASE(WSPShutdown, blocked_recv, "SD_RECEIVE ends another thread's receive: WSAESHUTDOWN")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.client};
    stream_begin(&call);
    OK(TABLE->lpWSPShutdown(pair.client, SD_RECEIVE, &spi_error));
    assert_int_equal(stream_finish(&call), WSAESHUTDOWN);
}

CASE(WSPShutdown, blocked_oob, "and one that waits for an urgent byte")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.client, .flags = MSG_OOB};
    stream_begin(&call);
    OK(TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error));
    assert_int_equal(stream_finish(&call), WSAESHUTDOWN);
}

/* ---- select wakes ---- */

static void select_wakes(SOCKET s, DWORD set, void (*act)(void *context), void *context)
{
    struct stream_call call = {.kind = CALL_SELECT, .s = s, .flags = set};
    stream_begin(&call);
    act(context);
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(call.count, 1);
}

static void act_send(void *context)
{
    stream_send(*(SOCKET *)context, "x");
}

static void act_urgent(void *context)
{
    DWORD sent;
    OK(spi_send_one(*(SOCKET *)context, "!", 1, MSG_OOB, &sent));
}

static void act_close(void *context)
{
    stream_close(*(SOCKET *)context);
}

static void act_abort(void *context)
{
    stream_abort(*(SOCKET *)context);
}

static void act_shut(void *context)
{
    OK(TABLE->lpWSPShutdown(*(SOCKET *)context, SD_BOTH, &spi_error));
}

static void act_connect(void *context)
{
    OK(spi_connect_to(stream_new(), context));
}

CASE(WSPSelect, tcp_wakes_read,
     "one that sleeps on the read set: data, the end, a reset, SD_RECEIVE")
{
    struct stream_pair pair = stream_connected();
    select_wakes(pair.server, READ, act_send, &pair.client);
    pair = stream_connected();
    select_wakes(pair.server, READ, act_close, &pair.client);
    pair = stream_connected();
    select_wakes(pair.server, READ, act_abort, &pair.client);
    pair = stream_connected();
    select_wakes(pair.server, READ, act_shut, &pair.server);
}

CASE(WSPSelect, tcp_wakes_accept, "a connection to a listener")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    select_wakes(listener, READ, act_connect, &at);
}

CASE(WSPSelect, tcp_wakes_except, "an urgent byte, on the except set")
{
    struct stream_pair pair = stream_connected();
    select_wakes(pair.server, EXCEPT, act_urgent, &pair.client);
}

struct drain {
    SOCKET s;
    size_t bytes;
};

static void act_drain(void *context)
{
    const struct drain *drain = context;
    stream_drain(drain->s, drain->bytes);
}

CASE(WSPSelect, tcp_wakes_write, "room, a reset and SD_SEND, on the write set")
{
    struct stream_pair pair = stream_connected();
    struct drain drain = {.s = pair.server, .bytes = stream_fill(pair.client)};
    select_wakes(pair.client, WRITE, act_drain, &drain);
    pair = stream_connected();
    (void)stream_fill(pair.client);
    select_wakes(pair.client, WRITE, act_abort, &pair.server);
    pair = stream_connected();
    (void)stream_fill(pair.client);
    select_wakes(pair.client, WRITE, act_shut, &pair.client);
}

/* ---- every call beside every other ---- */

struct hammer {
    SOCKET s;
    unsigned call; /* which */
    volatile LONG *stop;
    int error; /* one that cannot be */
};

static bool hammer_may(int error)
{
    static const int may[] = {WSAEWOULDBLOCK, WSAENOTSOCK, WSAEINTR,        WSAESHUTDOWN,
                              WSAECONNRESET,  WSAENOTCONN, WSAECONNABORTED, WSAEISCONN,
                              WSAEINVAL,      WSAETIMEDOUT};
    for (unsigned i = 0; i < sizeof(may) / sizeof(may[0]); i++) {
        if (may[i] == error) {
            return true;
        }
    }
    return false;
}

#define HAMMERS 8u

static int hammer_once(const struct hammer *hammer, int *error)
{
    static char block[2][3000];
    WSABUF buffer = {.len = sizeof(block[0]), .buf = block[hammer->call % 2]};
    DWORD count;
    DWORD flags = hammer->call == 2 ? MSG_PEEK : hammer->call == 3 ? MSG_OOB : 0;
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    struct timeval now = {0};
    fd_set set = {.fd_count = 1, .fd_array = {hammer->s}};
    switch (hammer->call) {
    case 0:
        return TABLE->lpWSPSend(hammer->s, &buffer, 1, &count, 0, NULL, NULL, NULL, error);
    case 1:
    case 2:
    case 3:
        return TABLE->lpWSPRecv(hammer->s, &buffer, 1, &count, &flags, NULL, NULL, NULL, error);
    case 4:
        buffer.len = 1;
        return TABLE->lpWSPSend(hammer->s, &buffer, 1, &count, MSG_OOB, NULL, NULL, NULL, error);
    case 5:
        return TABLE->lpWSPSelect(0, &set, NULL, NULL, &now, error);
    case 6:
        flags = 1;
        return TABLE->lpWSPSetSockOpt(hammer->s, IPPROTO_TCP, TCP_NODELAY, (char *)&flags,
                                      sizeof(flags), error);
    default:
        return TABLE->lpWSPGetPeerName(hammer->s, (struct sockaddr *)&in, &bytes, error);
    }
}

static DWORD WINAPI hammer_thread(void *context)
{
    struct hammer *hammer = context;
    while (*hammer->stop == 0) {
        int error = 0;
        if (hammer_once(hammer, &error) == SOCKET_ERROR && !hammer_may(error)) {
            hammer->error = error;
            return 1;
        }
        SwitchToThread(); /* three spinners on two cores */
    }
    return 0;
}

/* Two calls in two threads on one socket, which is then closed (end 0), reset by the peer (1) or
 * shut down (2) under them. The other end reads and writes. */
static void hammer_pair(unsigned first, unsigned second, unsigned end)
{
    struct stream_pair pair = stream_connected();
    volatile LONG stop = 0;
    struct hammer hammers[4] = {{.s = pair.client, .call = first},
                                {.s = pair.client, .call = second},
                                {.s = pair.server, .call = 0},
                                {.s = pair.server, .call = 1}};
    HANDLE threads[4];
    spi_nonblocking(pair.client);
    spi_nonblocking(pair.server);
    for (unsigned i = 0; i < 4; i++) {
        hammers[i].stop = &stop;
        threads[i] = CreateThread(NULL, 0, hammer_thread, &hammers[i], 0, NULL);
        assert_non_null(threads[i]);
    }
    Sleep(3);
    if (end == 0) {
        stream_close(pair.client);
    } else if (end == 1) {
        stream_abort(pair.server);
    } else {
        (void)TABLE->lpWSPShutdown(pair.client, SD_BOTH, &spi_error);
    }
    Sleep(2);
    stop = 1;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(WaitForSingleObject(threads[i], 10000), WAIT_OBJECT_0);
        CloseHandle(threads[i]);
        if (hammers[i].error != 0) {
            fail_msg("calls %u and %u, end %u: call %u met error %d", first, second, end,
                     hammers[i].call, hammers[i].error);
        }
    }
    if (end != 0) {
        stream_close(pair.client);
    }
    if (end != 1) {
        stream_close(pair.server);
    }
    stream_close(pair.listener);
}

CASE(threads, tcp_hammer,
     "every call beside every other on one socket, closed, reset and shut down")
{
    for (unsigned first = 0; first < HAMMERS; first++) {
        for (unsigned second = first; second < HAMMERS; second++) {
            for (unsigned end = 0; end < 3; end++) {
                hammer_pair(first, second, end);
            }
        }
    }
}
