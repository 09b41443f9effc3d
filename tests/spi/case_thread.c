/*
 * Cases with several threads, and the entries whose turn has not come. Threads use no cmocka
 * assertion: they return what they met.
 */
#include <string.h>

#include "provider/include/ringsock.h"
#include "tests/spi/spi_test.h"

/* ---- one socket, several threads ---- */

struct worker {
    SOCKET s;
    SOCKADDR_IN to;
    unsigned count;
    int error; /* of the first call that failed, else 0 */
    volatile LONG done;
};

static DWORD WINAPI worker_receive(void *context)
{
    struct worker *worker = context;
    char byte;
    WSABUF buffer = {1, &byte};
    DWORD flags = 0;
    DWORD got = 0;
    if (TABLE->lpWSPRecv(worker->s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &worker->error) ==
        0) {
        worker->error = 0;
    }
    return 0;
}

static DWORD WINAPI worker_send(void *context)
{
    struct worker *worker = context;
    for (unsigned i = 0; i < worker->count; i++) {
        DWORD sent;
        WSABUF buffer = {sizeof(i), (char *)&i};
        if (TABLE->lpWSPSendTo(worker->s, &buffer, 1, &sent, 0, (struct sockaddr *)&worker->to,
                               sizeof(worker->to), NULL, NULL, NULL, &worker->error) != 0) {
            return 1;
        }
        if (i % 64 == 63) {
            SwitchToThread(); /* three spinners on two cores */
        }
    }
    return 0;
}

static DWORD WINAPI worker_hammer(void *context)
{
    struct worker *worker = context;
    for (unsigned i = 0; worker->done == 0; i++) {
        SOCKADDR_IN in;
        int bytes = sizeof(in);
        char byte;
        DWORD got;
        DWORD flags = MSG_PEEK;
        WSABUF buffer = {1, &byte};
        int error = 0;
        int result =
            i % 2 == 0
                ? TABLE->lpWSPGetSockName(worker->s, (struct sockaddr *)&in, &bytes, &error)
                : TABLE->lpWSPRecv(worker->s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &error);
        if (result != 0 && error != WSAENOTSOCK && error != WSAEWOULDBLOCK && error != WSAEINVAL &&
            error != WSAEINTR) {
            worker->error = error;
            return 1;
        }
        worker->count++;
    }
    return 0;
}

static HANDLE start(LPTHREAD_START_ROUTINE routine, struct worker *worker)
{
    HANDLE thread = CreateThread(NULL, 0, routine, worker, 0, NULL);
    assert_non_null(thread);
    return thread;
}

static void finish(HANDLE thread)
{
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    CloseHandle(thread);
}

/* Until the thread sleeps in its call or got far into it; nothing hangs on how far. */
static void let_it_block(void)
{
    Sleep(60);
}

CASE(threads, close_receive, "closing a socket ends another thread's receive: WSAEINTR")
{
    struct worker worker = {.s = spi_bound(NULL)};
    HANDLE thread = start(worker_receive, &worker);
    let_it_block();
    spi_forget(worker.s);
    OK(TABLE->lpWSPCloseSocket(worker.s, &spi_error));
    finish(thread);
    assert_true(worker.error == WSAEINTR || worker.error == WSAENOTSOCK);
}

CASE(threads, close_receives, "closing ends the receives of four threads")
{
    struct worker workers[4];
    HANDLE threads[4];
    SOCKET s = spi_bound(NULL);
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = (struct worker){.s = s};
        threads[i] = start(worker_receive, &workers[i]);
    }
    let_it_block();
    spi_forget(s);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    for (unsigned i = 0; i < 4; i++) {
        finish(threads[i]);
        assert_true(workers[i].error == WSAEINTR || workers[i].error == WSAENOTSOCK);
    }
}

static void shut_under_receives(DWORD spin_us)
{
    struct worker workers[2];
    HANDLE threads[2];
    SOCKET s = spi_bound(NULL);
    RINGSOCK_SPIN spin = {.Microseconds = spin_us, .Yield = TRUE};
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(s, SIO_RINGSOCK_SPIN, &spin, sizeof(spin), NULL, 0, &returned, NULL, NULL,
                         NULL, &spi_error));
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){.s = s};
        threads[i] = start(worker_receive, &workers[i]);
    }
    let_it_block();
    OK(TABLE->lpWSPShutdown(s, SD_RECEIVE, &spi_error));
    for (unsigned i = 0; i < 2; i++) {
        finish(threads[i]);
        assert_int_equal(workers[i].error, WSAESHUTDOWN);
    }
}

CASE(threads, shutdown_receive,
     "SD_RECEIVE ends the receives of other threads, asleep or not: WSAESHUTDOWN")
{
    shut_under_receives(RINGSOCK_SPIN_FOREVER);
    shut_under_receives(0);
}

CASE(threads, two_receivers, "two threads receive on one socket: each datagram goes to one")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    struct worker workers[2] = {{.s = s, .error = -1}, {.s = s, .error = -1}};
    HANDLE first = start(worker_receive, &workers[0]);
    HANDLE second = start(worker_receive, &workers[1]);
    SOCKET sender = spi_udp();
    char byte;
    DWORD flags = 0;
    DWORD got;
    let_it_block();
    OK(spi_send_to_one(sender, "a", 1, &at));
    OK(spi_send_to_one(sender, "b", 1, &at));
    finish(first);
    finish(second);
    assert_int_equal(workers[0].error, 0);
    assert_int_equal(workers[1].error, 0);
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(s, &byte, 1, &flags, &got));
}

CASE(threads, stream_order, "one thread sends 20000, another receives: all of them, in order")
{
    SOCKADDR_IN at = spi_at("127.0.0.1", 0);
    SOCKET s = spi_udp();
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVBUF, 4u << 20)); /* room for all, whoever runs first */
    OK(spi_bind_at(s, &at));
    struct worker worker = {.s = spi_bound(NULL), .to = spi_name(s), .count = 20000};
    HANDLE thread = start(worker_send, &worker);
    for (unsigned next = 0; next < worker.count; next++) {
        unsigned value = 0;
        DWORD flags = 0;
        DWORD got = 0;
        OK(spi_recv_one(s, &value, sizeof(value), &flags, &got));
        assert_int_equal(got, sizeof(value));
        assert_int_equal(value, next);
    }
    finish(thread);
    assert_int_equal(worker.error, 0);
}

CASE(threads, two_senders, "two threads send through one socket: nothing is mixed up")
{
    SOCKADDR_IN at;
    SOCKET to = spi_bound(&at);
    SOCKET s = spi_bound(NULL);
    struct worker workers[2] = {{.s = s, .to = at, .count = 1000},
                                {.s = s, .to = at, .count = 1000}};
    HANDLE first = start(worker_send, &workers[0]);
    HANDLE second = start(worker_send, &workers[1]);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 2000; i++) {
        unsigned value = 0;
        DWORD flags = 0;
        DWORD got = 0;
        OK(spi_recv_one(to, &value, sizeof(value), &flags, &got));
        assert_int_equal(got, sizeof(value));
        sum += value;
    }
    finish(first);
    finish(second);
    assert_int_equal(sum, 999 * 1000);
}

CASE(threads, reuse_race, "calls on a handle that others close and reopen meet a socket or none")
{
    struct worker worker = {.s = spi_bound(NULL)};
    SOCKET s = worker.s;
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    HANDLE first = start(worker_hammer, &worker);
    struct worker twin = worker;
    HANDLE second = start(worker_hammer, &twin);
    for (unsigned i = 0; i < 300; i++) {
        spi_forget(s);
        OK(TABLE->lpWSPCloseSocket(s, &spi_error));
        s = spi_udp(); /* the system gives the lowest free handle: mostly the same again */
        spi_nonblocking(s);
        OK(spi_bind_at(s, &any));
    }
    worker.done = 1;
    twin.done = 1;
    finish(first);
    finish(second);
    assert_int_equal(worker.error, 0);
    assert_int_equal(twin.error, 0);
    assert_true(worker.count > 100);
}

CASE(threads, many_threads, "more threads than channels: 40, each with its own socket")
{
    enum { THREADS = 40 };
    static struct worker workers[THREADS];
    HANDLE threads[THREADS];
    SOCKADDR_IN at;
    SOCKET to = spi_bound(&at);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.s = spi_bound(NULL), .to = at, .count = 20};
        threads[i] = start(worker_send, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS * 20; i++) {
        unsigned value;
        DWORD flags = 0;
        DWORD got;
        OK(spi_recv_one(to, &value, sizeof(value), &flags, &got));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        finish(threads[i]);
        assert_int_equal(workers[i].error, 0);
    }
}
