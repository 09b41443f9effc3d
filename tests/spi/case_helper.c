/*
 * The provider's own thread, called as the DLL's files call it: when it starts and ends, and that
 * it sees what it is told. On the fake dataplane, because it needs the DLL's own functions.
 */
#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/helper.h"
#include "provider/spi/overlapped.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/provider_fake.h"
#include "tests/spi/spi_test.h"
#include "tests/spi/stream_kit.h"
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>

#define SOON_MS 20000u
#define IDLE_MS 1000u
/* Of IDLE_MS. A thread that polls or spins has all of it; the system counts in steps of 10 ms or
 * 15.6 ms, and a thread that was just started has some of its start in it. */
#define IDLE_CPU_MS 100u

static unsigned threads_now(void)
{
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = {.dwSize = sizeof(entry)};
    unsigned count = 0;
    CHECK(all != INVALID_HANDLE_VALUE);
    for (BOOL more = Thread32First(all, &entry); more; more = Thread32Next(all, &entry)) {
        count += entry.th32OwnerProcessID == GetCurrentProcessId();
    }
    CloseHandle(all);
    return count;
}

static void start_again(void)
{
    int error = 0;
    assert_int_equal(TABLE->lpWSPCleanup(&error), 0);
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
}

struct told {
    struct spi_work work;
    HANDLE event;
    DWORD thread_id;
};

static void told_run(struct spi_work *work)
{
    struct told *told = (struct told *)work;
    told->thread_id = GetCurrentThreadId();
    SetEvent(told->event);
}

CASE(WSPStartup, helper_not_started, "no thread is made by sockets, sends, receives and selects")
{
    start_again();
    unsigned before = threads_now();
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "x");
    spi_await_readable(pair.server);
    stream_expect(pair.server, "x");
    assert_int_equal(threads_now(), before);
}

CASE(WSPRecv, helper_spinning, "a program that only spins has no thread made")
{
    enum { SPINS = 20000 };
    start_again();
    unsigned before = threads_now();
    struct stream_pair pair = stream_connected();
    spi_nonblocking(pair.server);
    for (unsigned i = 0; i < SPINS; i++) {
        char byte;
        DWORD got = 0;
        DWORD flags = 0;
        FAILS(WSAEWOULDBLOCK, spi_recv_one(pair.server, &byte, 1, &flags, &got));
    }
    assert_int_equal(threads_now(), before);
}

static uint64_t thread_cpu_ms(DWORD thread_id)
{
    FILETIME created, ended, kernel, user;
    HANDLE thread = OpenThread(THREAD_QUERY_INFORMATION, FALSE, thread_id);
    assert_non_null(thread);
    assert_true(GetThreadTimes(thread, &created, &ended, &kernel, &user));
    CloseHandle(thread);
    const uint64_t ticks = ((uint64_t)kernel.dwHighDateTime << 32 | kernel.dwLowDateTime) +
                           ((uint64_t)user.dwHighDateTime << 32 | user.dwLowDateTime);
    return ticks / 10000; /* of 100 ns */
}

/* How much of a processor the helper takes while nothing happens. */
static uint64_t helper_idle_cpu_ms(void)
{
    struct told told = {.work = {.run = told_run}, .event = CreateEventW(NULL, FALSE, FALSE, NULL)};
    spi_helper_post(&told.work);
    assert_int_equal(WaitForSingleObject(told.event, SOON_MS), WAIT_OBJECT_0);
    uint64_t before_ms = thread_cpu_ms(told.thread_id);
    /* The time itself is what is measured: nobody sets it. */
    assert_int_equal(WaitForSingleObject(told.event, IDLE_MS), WAIT_TIMEOUT);
    uint64_t took_ms = thread_cpu_ms(told.thread_id) - before_ms;
    CloseHandle(told.event);
    return took_ms;
}

CASE(WSPRecv, helper_idle,
     "the helper uses no processor while nothing happens, with and without a receive that waits")
{
    start_again();
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    struct spi_socket *socket = spi_socket_get(s);
    assert_non_null(socket);
    assert_int_equal(spi_helper_use(socket->session), 0);
    spi_socket_put(socket);
    assert_in_range(helper_idle_cpu_ms(), 0, IDLE_CPU_MS);
    struct overlapped_op op;
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_recv(s, &op));
    assert_in_range(helper_idle_cpu_ms(), 0, IDLE_CPU_MS);
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    spi_forget(s);
    overlapped_aborted(&op);
    overlapped_drop(&op);
}

CASE(WSPCleanup, helper_ends, "the last one ends the one thread that the provider made")
{
    start_again();
    unsigned before = threads_now();
    SOCKET s = spi_new(WSA_FLAG_OVERLAPPED);
    struct spi_socket *socket = spi_socket_get(s);
    assert_non_null(socket);
    assert_int_equal(spi_helper_use(socket->session), 0);
    assert_int_equal(spi_helper_use(socket->session), 0);
    assert_int_equal(threads_now(), before + 1);
    struct told told = {.work = {.run = told_run}, .event = CreateEventW(NULL, FALSE, FALSE, NULL)};
    spi_helper_post(&told.work);
    assert_int_equal(WaitForSingleObject(told.event, SOON_MS), WAIT_OBJECT_0);
    assert_int_not_equal(told.thread_id, GetCurrentThreadId());
    spi_socket_put(socket);
    spi_forget(s);
    start_again();
    assert_int_equal(threads_now(), before);
    /* Too late for the helper: here. */
    spi_helper_post(&told.work);
    assert_int_equal(WaitForSingleObject(told.event, 0), WAIT_OBJECT_0);
    assert_int_equal(told.thread_id, GetCurrentThreadId());
    CloseHandle(told.event);
}

static DWORD WINAPI disconnect_run(void *socket)
{
    return (DWORD)spi_disconnect_ex(*(SOCKET *)socket, NULL, TF_REUSE_SOCKET, 0);
}

CASE(WSPShutdown, helper_not_needed, "beside a DisconnectEx that waits, and without a helper")
{
    start_again();
    unsigned before = threads_now();
    struct stream_pair pair = stream_connected();
    DWORD done = 0;
    stream_send(pair.server, "unread");
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    stream_await_bytes(pair.client, 6);
    HANDLE thread = CreateThread(NULL, 0, disconnect_run, &pair.client, 0, NULL);
    struct spi_socket *socket = spi_socket_get(pair.client);
    stream_expect_end(pair.server);
    for (unsigned tries = 0;
         (atomic_load_explicit(&socket->attention, memory_order_relaxed) & SPI_ATTENTION_READ) == 0;
         tries++) {
        if (tries == SOON_MS) {
            fail_msg("waited %u ms for DisconnectEx to wait", SOON_MS);
        }
        Sleep(1);
    }
    (void)TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error);
    assert_int_equal(threads_now(), before + 1);
    stream_expect(pair.client, "unread");
    assert_int_equal(WaitForSingleObject(thread, SOON_MS), WAIT_OBJECT_0);
    assert_true(GetExitCodeThread(thread, &done));
    assert_int_equal(done, TRUE);
    CloseHandle(thread);
    spi_socket_put(socket);
}

CASE(WSPCloseSocket, selected_late, "a selection while it closes is not the next socket's")
{
    const struct spi_event_target target = {.window = GetDesktopWindow(), .message = WM_APP};
    SOCKET s = stream_new();
    int ignored;
    struct spi_socket *socket = spi_socket_get(s);
    /* Never selected before, so WSPCloseSocket finds nothing to end. */
    atomic_store_explicit(&socket->events, NULL, memory_order_relaxed);
    /* What it does, and a call that has the socket since before. */
    assert_ptr_equal(spi_handle_remove(s), socket);
    spi_events_close(socket);
    assert_int_equal(spi_events_select(socket, FD_READ, &target), 0);
    assert_int_equal(client_socket_close(socket->core), RS_OK);
    assert_int_equal(spi_upcalls.lpWPUCloseSocketHandle(s, &ignored), 0);
    spi_forget(s);
    spi_socket_put(socket);
    spi_socket_put(socket);
    SOCKET next = INVALID_SOCKET;
    struct spi_socket *again = NULL;
    u_long off = 0;
    DWORD bytes;
    for (unsigned tries = 0; tries < 100 && again != socket; tries++) { /* the helper may be late */
        next = stream_new();
        again = spi_socket_get(next);
        spi_socket_put(again);
    }
    assert_ptr_equal(again, socket);
    OK(TABLE->lpWSPIoctl(next, (DWORD)FIONBIO, &off, sizeof(off), NULL, 0, &bytes, NULL, NULL, NULL,
                         &spi_error));
}

CASE(WSPIoctl, done_late,
     "an overlapped command whose socket closes meanwhile: WSAENOTSOCK, no notice")
{
    struct overlapped_op op;
    SOCKET s = stream_new();
    struct spi_socket *socket = spi_socket_get(s);
    overlapped_make(&op);
    stream_close(s);
    /* The command's own work is behind it. */
    assert_int_equal(spi_op_done(socket, s, &op.o, NULL, NULL, 4), WSAENOTSOCK);
    spi_socket_put(socket);
    assert_false(overlapped_is_set(&op));
    assert_false(overlapped_pending(&op));
    assert_int_equal(op.o.OffsetHigh, WSAENOTSOCK);
    overlapped_drop(&op);
}

/* ---- when it cannot be started, or just then ---- */

enum { BLOCK_BYTES = 3 << 20 };

struct helper_send {
    struct stream_pair pair;
    struct overlapped_op op;
    char *block;
};

/* More than all buffers hold. */
static int helper_send(struct helper_send *send)
{
    start_again();
    send->pair = stream_connected_apart();
    overlapped_make(&send->op);
    send->block = malloc(BLOCK_BYTES);
    assert_non_null(send->block);
    memset(send->block, 'a', BLOCK_BYTES);
    send->op.buffer = (WSABUF){.len = BLOCK_BYTES, .buf = send->block};
    return TABLE->lpWSPSend(send->pair.client, &send->op.buffer, 1, &send->op.transferred, 0,
                            &send->op.o, NULL, NULL, &spi_error);
}

static void helper_expect(const struct helper_send *send, DWORD bytes)
{
    for (DWORD done = 0; done < bytes;) {
        static char got[1 << 16];
        DWORD part = 0;
        OK(stream_recv(send->pair.server, got,
                       bytes - done < sizeof(got) ? bytes - done : sizeof(got), 0, &part));
        assert_int_not_equal(part, 0);
        assert_memory_equal(got, send->block, part);
        done += part;
    }
}

static enum rs_status refused(void)
{
    return RS_NO_MEMORY;
}

CASE(WSPSend, helper_refused,
     "no thread can be made for it: what has gone is told, as of a call that is through")
{
    struct helper_send send;
    spi_fake_thread = refused;
    int result = helper_send(&send);
    spi_fake_thread = NULL;
    assert_int_equal(result, 0);
    const DWORD bytes = send.op.transferred;
    assert_in_range(bytes, 1, BLOCK_BYTES - 1);
    overlapped_ends(send.pair.client, &send.op, 0);
    assert_int_equal(send.op.transferred, bytes);
    helper_expect(&send, bytes);
    stream_send(send.pair.client, "on");
    stream_expect(send.pair.server, "on");
    free(send.block);
    overlapped_drop(&send.op);
}

CASE(WSPRecv, helper_refused_recv, "no thread can be made for it: WSAENOBUFS, nothing is signalled")
{
    start_again();
    struct stream_pair pair = stream_connected();
    struct overlapped_op op;
    overlapped_make(&op);
    spi_fake_thread = refused;
    int result = overlapped_recv(pair.server, &op);
    spi_fake_thread = NULL;
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(spi_error, WSAENOBUFS);
    assert_false(overlapped_is_set(&op));
    assert_false(overlapped_pending(&op));
    stream_send(pair.client, "kept");
    stream_expect(pair.server, "kept");
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.server, &op));
    stream_send(pair.client, "now");
    overlapped_ends(pair.server, &op, 0);
    assert_int_equal(op.transferred, 3);
    overlapped_drop(&op);
}

static struct helper_send between;
static struct overlapped_op between_op;
static HANDLE between_thread;
static DWORD between_read;

static DWORD WINAPI between_send(void *unused)
{
    int error = 0;
    (void)unused;
    int result = TABLE->lpWSPSend(between.pair.client, &between_op.buffer, 1, NULL, 0,
                                  &between_op.o, NULL, NULL, &error);
    return result == 0 || error == WSA_IO_PENDING;
}

/* There is room again, and another thread sends. */
static enum rs_status between_started(void)
{
    static char got[1 << 16];
    if (stream_recv(between.pair.server, got, sizeof(got), 0, &between_read) == 0) {
        stream_await(between.pair.client, WRITE);
        between_thread = CreateThread(NULL, 0, between_send, NULL, 0, NULL);
        (void)WaitForSingleObject(between_thread, 200);
    }
    return RS_OK;
}

CASE(WSPSend, helper_between,
     "another thread's bytes do not come between those of a send that the helper is started for")
{
    DWORD sent = FALSE;
    overlapped_make(&between_op);
    between_op.data[0] = 'b';
    between_op.buffer.len = 1;
    spi_fake_thread = between_started;
    int result = helper_send(&between);
    spi_fake_thread = NULL;
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(spi_error, WSA_IO_PENDING);
    assert_non_null(between_thread);
    helper_expect(&between, BLOCK_BYTES - between_read);
    stream_expect(between.pair.server, "b");
    overlapped_ends(between.pair.client, &between.op, 0);
    overlapped_ends(between.pair.client, &between_op, 0);
    assert_int_equal(WaitForSingleObject(between_thread, SOON_MS), WAIT_OBJECT_0);
    assert_true(GetExitCodeThread(between_thread, &sent) && sent);
    CloseHandle(between_thread);
    free(between.block);
    overlapped_drop(&between.op);
    overlapped_drop(&between_op);
}
