/* See ext_kit.h. */
#include <stdio.h>
#include <string.h>

#include "tests/spi/ext_kit.h"

#define PEER_WAIT_MS 10000u

void ext_find(GUID id, void *function, DWORD function_bytes)
{
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(stream_new(), SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id),
                         function, function_bytes, &returned, NULL, NULL, NULL, &spi_error));
    assert_int_equal(returned, function_bytes);
}

/* ---- overlapped calls ---- */

void ext_op_make(struct ext_op *op)
{
    *op = (struct ext_op){.o.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    assert_non_null(op->o.hEvent);
}

void ext_op_drop(struct ext_op *op)
{
    CloseHandle(op->o.hEvent);
}

bool ext_op_pending(const struct ext_op *op)
{
    return __atomic_load_n(&op->o.Internal, __ATOMIC_ACQUIRE) == WSS_OPERATION_IN_PROGRESS;
}

static void op_await(const struct ext_op *op)
{
    if (WaitForSingleObject(op->o.hEvent, PEER_WAIT_MS) != WAIT_OBJECT_0) {
        fail_msg("no completion within %u ms", PEER_WAIT_MS);
    }
    assert_false(ext_op_pending(op));
}

void ext_op_ends(SOCKET s, struct ext_op *op, int code)
{
    DWORD flags = 0;
    op_await(op);
    spi_error = 0;
    WINBOOL done =
        TABLE->lpWSPGetOverlappedResult(s, &op->o, &op->bytes, FALSE, &flags, &spi_error);
    if ((done != 0) != (code == 0) || spi_error != code) {
        fail_msg("completed with error %d, %d expected", spi_error, code);
    }
}

void ext_op_aborted(struct ext_op *op)
{
    op_await(op);
    assert_int_equal(op->o.OffsetHigh, WSA_OPERATION_ABORTED);
}

HANDLE ext_port(SOCKET s, ULONG_PTR key)
{
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    assert_non_null(port);
    assert_int_equal(host_handle_set_port(s, port, key), 0);
    return port;
}

struct ext_op *ext_port_next(HANDLE port, ULONG_PTR *key, DWORD *bytes)
{
    LPOVERLAPPED overlapped = NULL;
    if (!GetQueuedCompletionStatus(port, bytes, key, &overlapped, PEER_WAIT_MS) &&
        overlapped == NULL) {
        fail_msg("no packet within %u ms", PEER_WAIT_MS);
    }
    return (struct ext_op *)overlapped;
}

/* ---- files ---- */

char ext_byte(DWORD position)
{
    return (char)(position * 7 + (position >> 8) * 13 + (position >> 16));
}

HANDLE ext_file(DWORD bytes, DWORD flags)
{
    char folder[MAX_PATH], path[MAX_PATH];
    static char data[1u << 20];
    DWORD written = 0;
    assert_true(bytes <= sizeof(data));
    assert_true(GetTempPathA(sizeof(folder), folder) != 0);
    assert_true(GetTempFileNameA(folder, "rsx", 0, path) != 0);
    HANDLE file = CreateFileA(path, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                              CREATE_ALWAYS, FILE_ATTRIBUTE_TEMPORARY, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    for (DWORD i = 0; i < bytes; i++) {
        data[i] = ext_byte(i);
    }
    EXT_OK(WriteFile(file, data, bytes, &written, NULL));
    assert_int_equal(written, bytes);
    CloseHandle(file);
    file = CreateFileA(path, GENERIC_READ | DELETE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, FILE_FLAG_DELETE_ON_CLOSE | flags, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    return file;
}

HANDLE ext_file_writable(void)
{
    char folder[MAX_PATH], path[MAX_PATH];
    assert_true(GetTempPathA(sizeof(folder), folder) != 0);
    assert_true(GetTempFileNameA(folder, "rsx", 0, path) != 0);
    HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE | DELETE,
                              FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, CREATE_ALWAYS,
                              FILE_FLAG_DELETE_ON_CLOSE, NULL);
    assert_true(file != INVALID_HANDLE_VALUE);
    return file;
}

void ext_expect(SOCKET s, DWORD position, DWORD bytes)
{
    static char data[16384];
    while (bytes != 0) {
        DWORD got = 0;
        OK(stream_recv(s, data, bytes < sizeof(data) ? bytes : sizeof(data), 0, &got));
        assert_true(got != 0);
        for (DWORD i = 0; i < got; i++) {
            if (data[i] != ext_byte(position + i)) {
                fail_msg("byte %lu is another one", (unsigned long)(position + i));
            }
        }
        position += got;
        bytes -= got;
    }
}

/* ---- the other thread ---- */

static DWORD WINAPI peer_run(void *context)
{
    struct ext_peer *peer = context;
    static const struct linger hard = {.l_onoff = 1, .l_linger = 0};
    char data[4096];
    int error = 0, ignored;
    for (;;) {
        WSABUF buffer = {.len = sizeof(data), .buf = data};
        DWORD got = 0, flags = 0;
        if (TABLE->lpWSPRecv(peer->s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &error) != 0) {
            peer->error = error;
            return 0;
        }
        if (got == 0) {
            break;
        }
        peer->bytes += got;
    }
    if (peer->resets) {
        (void)TABLE->lpWSPSetSockOpt(peer->s, SOL_SOCKET, SO_LINGER, (const char *)&hard,
                                     sizeof(hard), &ignored);
    }
    if (peer->closes || peer->resets) {
        (void)TABLE->lpWSPCloseSocket(peer->s, &ignored);
    }
    return 0;
}

void ext_peer_begin(struct ext_peer *peer)
{
    if (peer->closes || peer->resets) {
        spi_forget(peer->s);
    }
    peer->thread = CreateThread(NULL, 0, peer_run, peer, 0, NULL);
    assert_non_null(peer->thread);
}

void ext_peer_finish(struct ext_peer *peer)
{
    if (WaitForSingleObject(peer->thread, PEER_WAIT_MS) != WAIT_OBJECT_0) {
        fail_msg("the other end did not come to its end within %u ms", PEER_WAIT_MS);
    }
    CloseHandle(peer->thread);
}
