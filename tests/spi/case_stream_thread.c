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

/* ---- everything at once ---- */

#define CHAOS_SLOTS   12u
#define CHAOS_THREADS 4u
#define CHAOS_STEPS   1500u
#define CHAOS_SEED    20261125u

struct chaos {
    volatile LONG64 slots[CHAOS_SLOTS];   /* SOCKET */
    volatile LONG port_be16[CHAOS_SLOTS]; /* of a listener that was there */
};

struct chaos_thread {
    struct chaos *chaos;
    uint32_t random;
    int error; /* one that cannot be */
    unsigned step;
};

static uint32_t chaos_next(struct chaos_thread *thread, uint32_t range)
{
    thread->random = thread->random * 1664525u + 1013904223u;
    return (thread->random >> 8) % range;
}

static void chaos_put(struct chaos *chaos, uint32_t slot, SOCKET s)
{
    int ignored;
    u_long on = 1;
    DWORD returned;
    struct linger hard = {1, 0};
    if (s != INVALID_SOCKET) {
        (void)TABLE->lpWSPIoctl(s, (DWORD)FIONBIO, &on, sizeof(on), NULL, 0, &returned, NULL, NULL,
                                NULL, &ignored);
        if (slot % 3 == 0) {
            (void)TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&hard, sizeof(hard),
                                         &ignored);
        }
    }
    SOCKET old = (SOCKET)InterlockedExchange64(&chaos->slots[slot], (LONG64)s);
    if (old != INVALID_SOCKET) {
        (void)TABLE->lpWSPCloseSocket(old, &ignored);
    }
}

static int chaos_renew(struct chaos *chaos, uint32_t slot, int *error)
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    chaos_put(chaos, slot,
              TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, &info, 0, 0, error));
    return 0;
}

static int chaos_listen(struct chaos *chaos, uint32_t slot, SOCKET s, int *error)
{
    SOCKADDR_IN at = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
    int bytes = sizeof(at);
    if (TABLE->lpWSPBind(s, (struct sockaddr *)&at, sizeof(at), error) != 0 ||
        TABLE->lpWSPListen(s, 4, error) != 0 ||
        TABLE->lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, error) != 0) {
        return SOCKET_ERROR;
    }
    InterlockedExchange(&chaos->port_be16[slot], at.sin_port);
    return 0;
}

static int chaos_connect(struct chaos_thread *thread, SOCKET s, int *error)
{
    const struct chaos *chaos = thread->chaos;
    SOCKADDR_IN at = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
    at.sin_port = (u_short)chaos->port_be16[chaos_next(thread, CHAOS_SLOTS)];
    return at.sin_port == 0 ? 0
                            : TABLE->lpWSPConnect(s, (struct sockaddr *)&at, sizeof(at), NULL, NULL,
                                                  NULL, NULL, error);
}

static int chaos_accept(struct chaos_thread *thread, SOCKET s, int *error)
{
    SOCKET accepted = TABLE->lpWSPAccept(s, NULL, NULL, NULL, 0, error);
    if (accepted == INVALID_SOCKET) {
        return SOCKET_ERROR;
    }
    chaos_put(thread->chaos, chaos_next(thread, CHAOS_SLOTS), accepted);
    return 0;
}

static int chaos_step(struct chaos_thread *thread, int *error)
{
    struct chaos *chaos = thread->chaos;
    uint32_t slot = chaos_next(thread, CHAOS_SLOTS);
    SOCKET s = (SOCKET)chaos->slots[slot];
    struct hammer hammer = {.s = s, .call = chaos_next(thread, HAMMERS)};
    switch (chaos_next(thread, 12)) {
    case 0:
        return chaos_renew(chaos, slot, error);
    case 1:
        return chaos_listen(chaos, slot, s, error);
    case 2:
    case 3:
    case 4:
        return chaos_connect(thread, s, error);
    case 5:
    case 6:
        return chaos_accept(thread, s, error);
    case 7:
        return TABLE->lpWSPShutdown(s, (int)chaos_next(thread, 3), error);
    default:
        return hammer_once(&hammer, error);
    }
}

static DWORD WINAPI chaos_run(void *context)
{
    struct chaos_thread *thread = context;
    for (; thread->step < CHAOS_STEPS; thread->step++) {
        int error = 0;
        if (chaos_step(thread, &error) == SOCKET_ERROR && !hammer_may(error) &&
            error != WSAECONNREFUSED && error != WSAEALREADY && error != WSAEADDRINUSE &&
            error != WSAEADDRNOTAVAIL) {
            thread->error = error;
            return 1;
        }
        if (thread->step % 8 == 0) {
            SwitchToThread();
        }
    }
    return 0;
}

CASE(threads, tcp_chaos,
     "four threads connect, listen, accept, send, shut down and close each other's sockets")
{
    static struct chaos chaos;
    struct chaos_thread threads[CHAOS_THREADS];
    HANDLE handles[CHAOS_THREADS];
    unsigned before = host_handle_count();
    int ignored = 0;
    for (uint32_t i = 0; i < CHAOS_SLOTS; i++) {
        chaos.slots[i] = (LONG64)INVALID_SOCKET;
        assert_int_equal(chaos_renew(&chaos, i, &ignored), 0);
    }
    for (uint32_t i = 0; i < CHAOS_THREADS; i++) {
        threads[i] = (struct chaos_thread){.chaos = &chaos, .random = CHAOS_SEED + i};
        handles[i] = CreateThread(NULL, 0, chaos_run, &threads[i], 0, NULL);
        assert_non_null(handles[i]);
    }
    for (uint32_t i = 0; i < CHAOS_THREADS; i++) {
        if (WaitForSingleObject(handles[i], 60000) != WAIT_OBJECT_0) {
            fail_msg("thread %u stands at step %u of %u", i, threads[i].step, CHAOS_STEPS);
        }
        CloseHandle(handles[i]);
        if (threads[i].error != 0) {
            fail_msg("seed %u: thread %u met error %d at step %u", CHAOS_SEED, i, threads[i].error,
                     threads[i].step);
        }
    }
    for (uint32_t i = 0; i < CHAOS_SLOTS; i++) {
        chaos_put(&chaos, i, INVALID_SOCKET);
    }
    assert_int_equal(host_handle_count(), before);
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "sane");
    stream_expect(pair.server, "sane");
}
