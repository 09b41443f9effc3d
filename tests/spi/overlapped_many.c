/*
 * 10,000 overlapped receives outstanding over 1,000 sockets, half of them UDP and half connections,
 * with a completion port: all complete, each once, with the bytes that were sent to it in order;
 * also with half of the sockets closed in the middle, and when the dataplane dies and another takes
 * its place. tests/spi/run kills and starts the dataplane when this program says so on its output.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/host/host.h"
#include "tests/support/check.h"

enum {
    SOCKETS = 1000,
    EACH = 10, /* receives outstanding on each */
    WORKERS = 3,
    NUMBER_BYTES = 8
};
#define MOST_MS 60000u

static struct host_provider provider;
#define TABLE (&provider.table)

struct receive {
    WSAOVERLAPPED o; /* first: the port gives its address */
    uint32_t number[2];
    DWORD flags;
    _Atomic uint32_t notices;
    DWORD error, bytes; /* of the newest notice */
};

struct end {
    SOCKET s;       /* receives */
    SOCKET client;  /* of a connection: sends to s */
    SOCKADDR_IN at; /* UDP */
    _Atomic bool closed;
    struct receive receives[EACH];
};

static struct end ends[SOCKETS];
static SOCKET sender = INVALID_SOCKET;
static HANDLE port;
static _Atomic uint32_t notices;

static bool is_udp(uint32_t idx)
{
    return idx % 2 == 0;
}

static void say(const char *line)
{
    puts(line);
    CHECK(fflush(stdout) == 0);
}

/* ---- sockets ---- */

static SOCKET make(int type, int protocol)
{
    int error = 0;
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, type, protocol);
    SOCKET s = TABLE->lpWSPSocket(AF_INET, type, protocol, &info, 0, WSA_FLAG_OVERLAPPED, &error);
    if (s == INVALID_SOCKET) {
        printf("WSPSocket: error %d\n", error);
    }
    CHECK(s != INVALID_SOCKET);
    return s;
}

static SOCKADDR_IN bind_any(SOCKET s)
{
    int error = 0;
    SOCKADDR_IN at = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
    int bytes = sizeof(at);
    CHECK(TABLE->lpWSPBind(s, (struct sockaddr *)&at, sizeof(at), &error) == 0);
    CHECK(TABLE->lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, &error) == 0);
    return at;
}

static void close_one(SOCKET s)
{
    int error = 0;
    CHECK(TABLE->lpWSPCloseSocket(s, &error) == 0);
}

static void sockets_open(void)
{
    int error = 0;
    SOCKET listener = make(SOCK_STREAM, IPPROTO_TCP);
    SOCKADDR_IN at = bind_any(listener);
    CHECK(TABLE->lpWSPListen(listener, 16, &error) == 0);
    sender = make(SOCK_DGRAM, IPPROTO_UDP);
    (void)bind_any(sender);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        ends[i].closed = false;
        if (is_udp(i)) {
            ends[i].client = INVALID_SOCKET;
            ends[i].s = make(SOCK_DGRAM, IPPROTO_UDP);
            ends[i].at = bind_any(ends[i].s);
        } else {
            ends[i].client = make(SOCK_STREAM, IPPROTO_TCP);
            CHECK(TABLE->lpWSPConnect(ends[i].client, (struct sockaddr *)&at, sizeof(at), NULL,
                                      NULL, NULL, NULL, &error) == 0);
            ends[i].s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &error);
            CHECK(ends[i].s != INVALID_SOCKET);
        }
        CHECK(host_handle_set_port(ends[i].s, port, i) == 0);
    }
    close_one(listener);
}

static void sockets_close(void)
{
    for (uint32_t i = 0; i < SOCKETS; i++) {
        if (!ends[i].closed) {
            close_one(ends[i].s);
        }
        if (ends[i].client != INVALID_SOCKET) {
            close_one(ends[i].client);
        }
    }
    close_one(sender);
}

/* ---- receives ---- */

static DWORD WINAPI work(void *unused)
{
    (void)unused;
    for (;;) {
        DWORD bytes = 0;
        ULONG_PTR key = 0;
        LPOVERLAPPED overlapped = NULL;
        (void)GetQueuedCompletionStatus(port, &bytes, &key, &overlapped, INFINITE);
        if (overlapped == NULL) {
            return 0; /* the end */
        }
        struct receive *receive = (struct receive *)overlapped;
        CHECK(key < SOCKETS && receive >= ends[key].receives &&
              receive < ends[key].receives + EACH);
        CHECK(receive->o.Internal != WSS_OPERATION_IN_PROGRESS);
        receive->error = receive->o.OffsetHigh;
        receive->bytes = bytes;
        atomic_fetch_add(&receive->notices, 1);
        atomic_fetch_add(&notices, 1);
    }
}

static void receives_post(void)
{
    atomic_store(&notices, 0);
    for (uint32_t k = 0; k < EACH; k++) {
        for (uint32_t i = 0; i < SOCKETS; i++) {
            struct receive *receive = &ends[i].receives[k];
            WSABUF buffer = {.len = NUMBER_BYTES, .buf = (char *)receive->number};
            int error = 0;
            memset(receive, 0, sizeof(*receive));
            receive->flags = is_udp(i) ? 0 : MSG_WAITALL;
            CHECK(TABLE->lpWSPRecv(ends[i].s, &buffer, 1, NULL, &receive->flags, &receive->o, NULL,
                                   NULL, &error) == SOCKET_ERROR);
            CHECK(error == WSA_IO_PENDING);
        }
    }
}

/* A closed end's peer may hear of it. */
static void send_number(uint32_t idx, uint32_t k)
{
    uint32_t number[2] = {idx, k};
    WSABUF buffer = {.len = NUMBER_BYTES, .buf = (char *)number};
    DWORD sent = 0;
    int error = 0;
    const struct end *end = &ends[idx];
    int result =
        is_udp(idx)
            ? TABLE->lpWSPSendTo(sender, &buffer, 1, &sent, 0, (const struct sockaddr *)&end->at,
                                 sizeof(end->at), NULL, NULL, NULL, &error)
            : TABLE->lpWSPSend(end->client, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error);
    CHECK(result == 0 || end->closed);
}

static void await_all(const char *what)
{
    ULONGLONG until = GetTickCount64() + MOST_MS;
    while (atomic_load(&notices) < SOCKETS * EACH) {
        if (GetTickCount64() > until) {
            printf("%s: %u of %u receives completed within %u ms\n", what, atomic_load(&notices),
                   SOCKETS * EACH, MOST_MS);
            CHECK(false);
        }
        Sleep(5);
    }
    Sleep(50); /* what would come twice would come now */
    CHECK(atomic_load(&notices) == SOCKETS * EACH);
}

/* Each has its one notice. An end that was not closed has its numbers, all in order; of one that
 * was closed first numbers, then WSA_OPERATION_ABORTED. fails: all with this error. */
static void check_all(DWORD fails)
{
    uint32_t aborted = 0;
    for (uint32_t i = 0; i < SOCKETS; i++) {
        for (uint32_t k = 0; k < EACH; k++) {
            const struct receive *receive = &ends[i].receives[k];
            CHECK(atomic_load(&receive->notices) == 1);
            if (fails != 0) {
                CHECK(receive->error == fails);
            } else if (receive->error == 0) {
                CHECK(receive->bytes == NUMBER_BYTES);
                CHECK(receive->number[0] == i && receive->number[1] == k);
                CHECK(k == 0 || ends[i].receives[k - 1].error == 0);
            } else {
                CHECK(ends[i].closed && receive->error == WSA_OPERATION_ABORTED);
                aborted++;
            }
        }
    }
    printf("%u receives, %u aborted\n", (unsigned)(SOCKETS * EACH), aborted);
    CHECK(fflush(stdout) == 0);
}

/* ---- rounds ---- */

static void round_plain(const char *what)
{
    receives_post();
    for (uint32_t k = 0; k < EACH; k++) {
        for (uint32_t i = 0; i < SOCKETS; i++) {
            send_number(i, k);
        }
    }
    await_all(what);
    check_all(0);
}

static DWORD WINAPI close_half(void *unused)
{
    (void)unused;
    for (uint32_t i = 1; i < SOCKETS; i += 4) { /* connections: what UDP then gets is nobody's */
        ends[i].closed = true;
        close_one(ends[i].s);
    }
    for (uint32_t i = 0; i < SOCKETS; i += 4) {
        close_one(ends[i].s);
    }
    return 0;
}

/* While another thread sends. UDP ends that will be closed are sent nothing: it would be a loss. */
static void round_closing(void)
{
    receives_post();
    for (uint32_t i = 0; i < SOCKETS; i += 4) {
        ends[i].closed = true;
    }
    HANDLE closer = CreateThread(NULL, 0, close_half, NULL, 0, NULL);
    CHECK(closer != NULL);
    for (uint32_t k = 0; k < EACH; k++) {
        for (uint32_t i = 0; i < SOCKETS; i++) {
            if (!(is_udp(i) && ends[i].closed) && (is_udp(i) || i % 4 != 1 || k < EACH / 2)) {
                send_number(i, k);
            }
        }
    }
    CHECK(WaitForSingleObject(closer, MOST_MS) == WAIT_OBJECT_0);
    CloseHandle(closer);
    await_all("while sockets are closed");
    check_all(0);
}

static void await_dataplane(void)
{
    ULONGLONG until = GetTickCount64() + MOST_MS;
    for (;;) {
        int error = 0;
        WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
        SOCKET s = TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, IPPROTO_UDP, &info, 0,
                                      WSA_FLAG_OVERLAPPED, &error);
        if (s != INVALID_SOCKET) {
            close_one(s);
            return;
        }
        CHECK(error == WSAENETDOWN && GetTickCount64() < until);
        Sleep(20);
    }
}

int main(void)
{
    int error = 0;
    HANDLE workers[WORKERS];
    CHECK(host_load(NULL, &provider) == 0);
    CHECK(host_startup(&provider, MAKEWORD(2, 2)) == 0);
    port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    CHECK(port != NULL);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = CreateThread(NULL, 0, work, NULL, 0, NULL);
        CHECK(workers[i] != NULL);
    }
    sockets_open();
    round_plain("all sockets open");
    round_plain("the same structures again");
    round_closing();
    sockets_close();

    sockets_open();
    receives_post();
    say("kill the dataplane");
    await_all("the dataplane died");
    check_all(WSAENETDOWN);
    say("start the dataplane");
    await_dataplane();
    sockets_close();
    sockets_open();
    round_plain("on the new dataplane");
    round_closing();
    sockets_close();

    CHECK(TABLE->lpWSPCleanup(&error) == 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        CHECK(PostQueuedCompletionStatus(port, 0, 0, NULL));
    }
    CHECK(WaitForMultipleObjects(WORKERS, workers, TRUE, MOST_MS) == WAIT_OBJECT_0);
    CHECK(host_handle_count() == 0);
    say("ok");
    return 0;
}
