/* stream_kit.h. */
#include <string.h>

#include "tests/spi/stream_kit.h"

#define WAIT_MS  5000u
#define FULL_MS  100u
#define BLOCK_MS 40u

SOCKET stream_new(void)
{
    SOCKET s = spi_new_of(SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED);
    OK(spi_set_dword(s, SOL_SOCKET, SO_RCVTIMEO, WAIT_MS));
    return s;
}

SOCKET stream_bound(SOCKADDR_IN *at)
{
    SOCKET s = stream_new();
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    OK(spi_bind_at(s, &any));
    *at = spi_name(s);
    return s;
}

SOCKET stream_listener(SOCKADDR_IN *at)
{
    SOCKET s = stream_bound(at);
    OK(TABLE->lpWSPListen(s, 8, &spi_error));
    return s;
}

SOCKET stream_accept_if(SOCKET listener, LPCONDITIONPROC condition, DWORD_PTR data)
{
    stream_await(listener, READ);
    SOCKET s = TABLE->lpWSPAccept(listener, NULL, NULL, condition, data, &spi_error);
    if (s != INVALID_SOCKET) {
        spi_keep(s);
    }
    return s;
}

static int CALLBACK put_off(LPWSABUF caller_id, LPWSABUF caller_data, LPQOS socket_qos,
                            LPQOS group_qos, LPWSABUF callee_id, LPWSABUF callee_data, GROUP *group,
                            DWORD_PTR context)
{
    (void)caller_id, (void)caller_data, (void)socket_qos, (void)group_qos;
    (void)callee_id, (void)callee_data, (void)group, (void)context;
    return CF_DEFER;
}

void stream_put_off(SOCKET listener)
{
    assert_true(stream_accept_if(listener, put_off, 0) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSATRY_AGAIN);
}

SOCKET stream_accept(SOCKET listener)
{
    SOCKET s = stream_accept_if(listener, NULL, 0);
    if (s == INVALID_SOCKET) {
        fail_msg("WSPAccept failed with error %d", spi_error);
    }
    return s;
}

void stream_namesakes(SOCKET *first, SOCKET *second)
{
    SOCKADDR_IN name = spi_at("127.0.0.1", 0);
    *first = stream_new();
    *second = stream_new();
    OK(spi_set_dword(*first, SOL_SOCKET, SO_REUSEADDR, 1));
    OK(spi_set_dword(*second, SOL_SOCKET, SO_REUSEADDR, 1));
    OK(spi_bind_at(*first, &name));
    name = spi_name(*first);
    OK(spi_bind_at(*second, &name));
}

static struct stream_pair pair_from(SOCKET listener, const SOCKADDR_IN *at)
{
    struct stream_pair pair = {.listener = listener, .at = *at, .client = stream_new()};
    OK(spi_connect_to(pair.client, &pair.at));
    pair.server = stream_accept(pair.listener);
    return pair;
}

struct stream_pair stream_connected(void)
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    return pair_from(listener, &at);
}

/* Whoever asks for a receive buffer of a size gets one, even inside one program. */
struct stream_pair stream_connected_apart(void)
{
    static const int bytes = 50000;
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    OK(TABLE->lpWSPSetSockOpt(listener, SOL_SOCKET, SO_RCVBUF, (const char *)&bytes, sizeof(bytes),
                              &spi_error));
    OK(TABLE->lpWSPListen(listener, 8, &spi_error));
    return pair_from(listener, &at);
}

/* ---- bytes ---- */

void stream_send(SOCKET s, const char *text)
{
    DWORD sent = 0;
    OK(spi_send_one(s, text, (DWORD)strlen(text), 0, &sent));
    assert_int_equal(sent, strlen(text));
}

int stream_recv(SOCKET s, void *data, DWORD length_bytes, DWORD flags, DWORD *received)
{
    *received = 0;
    return spi_recv_one(s, data, length_bytes, &flags, received);
}

void stream_expect(SOCKET s, const char *text)
{
    char got[256];
    DWORD length = (DWORD)strlen(text);
    for (DWORD done = 0; done < length;) {
        DWORD part;
        OK(stream_recv(s, got + done, length - done, 0, &part));
        assert_int_not_equal(part, 0);
        done += part;
    }
    assert_memory_equal(got, text, length);
}

void stream_expect_end(SOCKET s)
{
    char byte;
    DWORD got;
    OK(stream_recv(s, &byte, 1, 0, &got));
    assert_int_equal(got, 0);
}

#define PATTERN_BYTES 4096u

static void pattern_fill(unsigned char *block, size_t position, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        block[i] = (unsigned char)((position + i) * 31u >> 3);
    }
}

size_t stream_fill(SOCKET s)
{
    unsigned char block[PATTERN_BYTES];
    size_t total = 0;
    DWORD sent;
    bool waited = false;
    spi_nonblocking(s);
    do {
        pattern_fill(block, total, sizeof(block));
        sent = 0;
        if (spi_send_one(s, block, sizeof(block), 0, &sent) == 0) {
            waited = false;
        } else {
            assert_int_equal(spi_error, WSAEWOULDBLOCK);
            /* Full for good is what has no byte of room when the rest had time to go to the peer's
             * buffer; select wants more than a byte. */
            if (waited) {
                return total;
            }
            waited = stream_select(s, WRITE, FULL_MS) == 0;
        }
        total += sent;
    } while (total < (size_t)1 << 26);
    fail_msg("64 MiB went to a peer that does not read");
    return 0;
}

void stream_drain(SOCKET s, size_t bytes)
{
    unsigned char block[PATTERN_BYTES], expected[PATTERN_BYTES];
    for (size_t done = 0; done < bytes;) {
        DWORD got;
        OK(stream_recv(s, block, sizeof(block), 0, &got));
        assert_int_not_equal(got, 0);
        pattern_fill(expected, done, got);
        assert_memory_equal(block, expected, got);
        done += got;
    }
}

/* ---- readiness ---- */

unsigned stream_select(SOCKET s, unsigned asked, unsigned wait_ms)
{
    fd_set sets[3];
    fd_set *asked_sets[3];
    unsigned ready = 0;
    unsigned count = 0;
    struct timeval most = {.tv_sec = (long)(wait_ms / 1000),
                           .tv_usec = (long)(wait_ms % 1000) * 1000};
    for (unsigned i = 0; i < 3; i++) {
        sets[i] = (fd_set){.fd_count = 1, .fd_array = {s}};
        asked_sets[i] = (asked & 1u << i) != 0 ? &sets[i] : NULL;
    }
    int result =
        TABLE->lpWSPSelect(0, asked_sets[0], asked_sets[1], asked_sets[2], &most, &spi_error);
    if (result == SOCKET_ERROR) {
        fail_msg("WSPSelect failed with error %d", spi_error);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (asked_sets[i] != NULL && sets[i].fd_count != 0) {
            ready |= 1u << i;
            count++;
        }
    }
    assert_int_equal(result, count);
    return ready;
}

void stream_await(SOCKET s, unsigned asked)
{
    unsigned ready = stream_select(s, asked, WAIT_MS);
    if (ready != asked) {
        fail_msg("within %u ms %u became ready, waited for %u", WAIT_MS, ready, asked);
    }
}

DWORD stream_ioctl_dword(SOCKET s, DWORD code)
{
    DWORD value = 0xdeadbeef;
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(s, code, NULL, 0, &value, sizeof(value), &returned, NULL, NULL, NULL,
                         &spi_error));
    assert_int_equal(returned, sizeof(value));
    return value;
}

void stream_await_bytes(SOCKET s, DWORD bytes)
{
    DWORD there = 0;
    for (unsigned i = 0; i < WAIT_MS && (there = stream_ioctl_dword(s, (DWORD)FIONREAD)) < bytes;
         i++) {
        Sleep(1);
    }
    assert_int_equal(there, bytes);
}

/* ---- calls of another thread ---- */

#define CALL_SEND_BYTES (4u << 20)

static int call_recv(struct stream_call *call)
{
    WSABUF buffer = {.len = call->bytes != 0 ? call->bytes : 1, .buf = call->data};
    DWORD flags = call->flags;
    return TABLE->lpWSPRecv(call->s, &buffer, 1, &call->count, &flags, NULL, NULL, NULL,
                            &call->error);
}

static int call_send(struct stream_call *call)
{
    static char block[CALL_SEND_BYTES];
    WSABUF buffer = {.len = call->bytes != 0 ? call->bytes : CALL_SEND_BYTES, .buf = block};
    return TABLE->lpWSPSend(call->s, &buffer, 1, &call->count, call->flags, NULL, NULL, NULL,
                            &call->error);
}

static int call_select(struct stream_call *call)
{
    fd_set set = {.fd_count = 1, .fd_array = {call->s}};
    struct timeval most = {.tv_sec = 10};
    int result =
        TABLE->lpWSPSelect(0, call->flags == READ ? &set : NULL, call->flags == WRITE ? &set : NULL,
                           call->flags == EXCEPT ? &set : NULL, &most, &call->error);
    call->count = result > 0 ? (DWORD)result : 0;
    return result;
}

int stream_run(struct stream_call *call)
{
    int result = 0;
    switch (call->kind) {
    case CALL_RECV:
        result = call_recv(call);
        break;
    case CALL_SEND:
        result = call_send(call);
        break;
    case CALL_ACCEPT:
        call->accepted = TABLE->lpWSPAccept(call->s, NULL, NULL, NULL, 0, &call->error);
        result = call->accepted != INVALID_SOCKET ? 0 : SOCKET_ERROR;
        break;
    case CALL_CONNECT:
        result = TABLE->lpWSPConnect(call->s, (const struct sockaddr *)&call->to, sizeof(call->to),
                                     NULL, NULL, NULL, NULL, &call->error);
        break;
    case CALL_CLOSE:
        result = TABLE->lpWSPCloseSocket(call->s, &call->error);
        break;
    case CALL_SELECT:
        result = call_select(call);
        break;
    case CALL_OTHER:
        call->error = call->other(call);
        result = SOCKET_ERROR;
        break;
    }
    if (result != SOCKET_ERROR) {
        call->error = 0;
    }
    return call->error;
}

static DWORD WINAPI call_thread(void *context)
{
    (void)stream_run(context);
    return 0;
}

void stream_begin(struct stream_call *call)
{
    call->thread = CreateThread(NULL, 0, call_thread, call, 0, NULL);
    assert_non_null(call->thread);
    Sleep(BLOCK_MS);
}

int stream_finish(struct stream_call *call)
{
    if (WaitForSingleObject(call->thread, 2 * WAIT_MS) != WAIT_OBJECT_0) {
        fail_msg("a call of kind %d did not return within %u ms", (int)call->kind, 2 * WAIT_MS);
    }
    CloseHandle(call->thread);
    return call->error;
}

void stream_cancelled(struct stream_call *call)
{
    int error = stream_finish(call);
    if (error != WSAEINTR && error != WSAENOTSOCK) {
        fail_msg("a call of kind %d on a socket that was closed: error %d", (int)call->kind, error);
    }
}

/* ---- ends ---- */

void stream_close(SOCKET s)
{
    OK(TABLE->lpWSPCloseSocket(s, &spi_error));
    spi_forget(s);
}

int stream_linger(SOCKET s, u_short on, u_short seconds)
{
    struct linger linger = {.l_onoff = on, .l_linger = seconds};
    return TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_LINGER, (const char *)&linger, sizeof(linger),
                                  &spi_error);
}

void stream_abort(SOCKET s)
{
    OK(stream_linger(s, 1, 0));
    stream_close(s);
}

/* CLOSE is not waited for; an option is, and comes behind it. */
void stream_behind_close(SOCKET other)
{
    const DWORD on = 1;
    OK(TABLE->lpWSPSetSockOpt(other, SOL_SOCKET, SO_KEEPALIVE, (const char *)&on, sizeof(on),
                              &spi_error));
}
