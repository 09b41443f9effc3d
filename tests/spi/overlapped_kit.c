/* See overlapped_kit.h. */
#include "tests/spi/overlapped_kit.h"

#include <stdio.h>
#include <string.h>

void overlapped_make(struct overlapped_op *op)
{
    *op = (struct overlapped_op){.o.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    assert_non_null(op->o.hEvent);
    op->buffer = (WSABUF){.len = sizeof(op->data), .buf = op->data};
}

void overlapped_drop(struct overlapped_op *op)
{
    CloseHandle((HANDLE)((uintptr_t)op->o.hEvent & ~(uintptr_t)1));
}

int overlapped_recv(SOCKET s, struct overlapped_op *op)
{
    return TABLE->lpWSPRecv(s, &op->buffer, 1, &op->transferred, &op->flags, &op->o, NULL, NULL,
                            &spi_error);
}

WSATHREADID overlapped_thread(void)
{
    WSATHREADID thread = {0};
    assert_true(DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(),
                                &thread.ThreadHandle, 0, FALSE, DUPLICATE_SAME_ACCESS));
    return thread;
}

void CALLBACK overlapped_routine(DWORD code, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct overlapped_op *op = (struct overlapped_op *)overlapped;
    op->routine_calls++;
    op->routine_thread = GetCurrentThreadId();
    op->routine_code = code;
    op->routine_bytes = bytes;
    op->routine_flags = flags;
}

int overlapped_recv_routine(SOCKET s, struct overlapped_op *op)
{
    return TABLE->lpWSPRecv(s, &op->buffer, 1, &op->transferred, &op->flags, &op->o,
                            overlapped_routine, NULL, &spi_error);
}

static void overlapped_fill(struct overlapped_op *op, const char *text)
{
    op->buffer.len = (ULONG)strlen(text);
    assert_true(op->buffer.len <= sizeof(op->data));
    memcpy(op->data, text, op->buffer.len);
}

int overlapped_send(SOCKET s, struct overlapped_op *op, const char *text)
{
    overlapped_fill(op, text);
    return TABLE->lpWSPSend(s, &op->buffer, 1, &op->transferred, 0, &op->o, NULL, NULL, &spi_error);
}

int overlapped_send_to(SOCKET s, struct overlapped_op *op, const char *text, const SOCKADDR_IN *to)
{
    overlapped_fill(op, text);
    return TABLE->lpWSPSendTo(s, &op->buffer, 1, &op->transferred, 0, (const struct sockaddr *)to,
                              sizeof(*to), &op->o, NULL, NULL, &spi_error);
}

bool overlapped_pending(const struct overlapped_op *op)
{
    return __atomic_load_n(&op->o.Internal, __ATOMIC_ACQUIRE) == WSS_OPERATION_IN_PROGRESS;
}

void overlapped_ends(SOCKET s, struct overlapped_op *op, int code)
{
    HANDLE event = (HANDLE)((uintptr_t)op->o.hEvent & ~(uintptr_t)1);
    if (WaitForSingleObject(event, OVERLAPPED_SOON_MS) != WAIT_OBJECT_0) {
        fail_msg("no completion within %u ms", OVERLAPPED_SOON_MS);
    }
    spi_error = 0;
    WINBOOL done =
        TABLE->lpWSPGetOverlappedResult(s, &op->o, &op->transferred, FALSE, &op->flags, &spi_error);
    if ((done != 0) != (code == 0) || spi_error != code) {
        fail_msg("completed with error %d, %d expected", spi_error, code);
    }
}

void overlapped_aborted(struct overlapped_op *op)
{
    HANDLE event = (HANDLE)((uintptr_t)op->o.hEvent & ~(uintptr_t)1);
    assert_int_equal(WaitForSingleObject(event, OVERLAPPED_SOON_MS), WAIT_OBJECT_0);
    assert_false(overlapped_pending(op));
    assert_int_equal(op->o.OffsetHigh, WSA_OPERATION_ABORTED);
}

void overlapped_await_routine(struct overlapped_op *op)
{
    for (ULONGLONG end = GetTickCount64() + OVERLAPPED_SOON_MS; op->routine_calls == 0;) {
        if (GetTickCount64() > end) {
            fail_msg("the completion routine was not called within %u ms", OVERLAPPED_SOON_MS);
        }
        SleepEx(100, TRUE);
    }
}

bool overlapped_is_set(const struct overlapped_op *op)
{
    return WaitForSingleObject(op->o.hEvent, 0) == WAIT_OBJECT_0;
}

struct overlapped_pair overlapped_pair_make(void)
{
    struct overlapped_pair pair;
    pair.from = spi_bound(&pair.from_at);
    pair.to = spi_bound(&pair.to_at);
    return pair;
}

void overlapped_pair_send(const struct overlapped_pair *pair, const char *text)
{
    OK(spi_send_to_one(pair->from, text, (DWORD)strlen(text), &pair->to_at));
}
