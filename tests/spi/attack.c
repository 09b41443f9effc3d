/*
 * Threads that call everything on sockets which others close at the same time, with pointers that
 * may be bad, while the provider is cleaned up and started anew under them, and at last the
 * dataplane dies (tests/spi/run kills it when this program says so). Nothing here has a right
 * result; what has to hold: the process lives, every call comes back, an error is told with a
 * failure, every overlapped request that began is completed, and no handle is left.
 *
 * attack SECONDS; the seed is printed (RINGSOCK_TEST_SEED). Four attacking threads; main counts.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <mstcpip.h>
#include <mswsock.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/host/host.h"
#include "tests/support/check.h"
#include "tests/support/random.h"

#define THREADS       4u
#define PLACES        24u
#define REQUESTS      64u
#define DATA_BYTES    4096u
#define BUFFERS       4u
#define LOOPBACK_WORD 0x0100007fu /* 127.0.0.1 as it is in memory */
#define MOST_MS       20000u
#define IN_PROGRESS   0x103u
#define RESTART_EACH  16u /* a cleanup in so many rounds of main */

struct request {
    WSAOVERLAPPED overlapped;
    bool used;
    char data[256];
};

struct attacker {
    HANDLE thread;
    struct test_random random;
    struct request requests[REQUESTS];
    unsigned char data[DATA_BYTES];
    /* Hold pointers: see pointed. */
    WSABUF buffers[BUFFERS];
    struct {
        INT count;
        SOCKET_ADDRESS addresses[2];
    } list;
    _Atomic(uint64_t) calls; /* this thread's; main reads */
    const char *_Atomic at;  /* the call that runs, for a report of a hang */
};

static struct host_provider provider;
#define TABLE (&provider.table)
static struct attacker attackers[THREADS];
static _Atomic(SOCKET) places[PLACES]; /* any thread takes and replaces */
static _Atomic(u_short) ports[4];      /* that somebody bound: somewhere to send and connect to */
static _Atomic(bool) stopping;
static char *bad_pages[3];  /* no access; read only; writable, followed by no access */
static WSABUF *last_buffer; /* followed by no access */
/* Memory at the address that 127.0.0.1 spells, which no call is handed: what somebody else's memory
 * there would meet. */
static char *nobodys;

static uint32_t pick(struct attacker *me, uint32_t bound)
{
    return test_random_below(&me->random, bound);
}

/* Memory for a call: mostly good, sometimes none, foreign, odd or at a border. */
static void *memory(struct attacker *me, bool may_be_bad)
{
    if (!may_be_bad || pick(me, 6) != 0) {
        return me->data + pick(me, 64) * 8;
    }
    switch (pick(me, 7)) {
    case 0:
        return NULL;
    case 1:
        return bad_pages[0];
    case 2:
        return bad_pages[1];
    case 3:
        return bad_pages[2] + 4096 - 1 - pick(me, 40);
    case 4:
        return (void *)UINTPTR_MAX;
    case 5:
        return (void *)(uintptr_t)pick(me, 65536);
    default:
        return me->data + pick(me, 64);
    }
}

/*
 * Memory that holds pointers, for a call that follows them: `good`, or none that can be read. Not
 * memory(): what calls wrote there would be pointers then, and a socket's address or a length are
 * addresses of something in a 32-bit process, which the provider would write to as it was told.
 */
static void *pointed(struct attacker *me, void *good)
{
    if (pick(me, 20) != 0) {
        return good;
    }
    void *bad[] = {NULL, bad_pages[0], bad_pages[0] + pick(me, 40), (void *)UINTPTR_MAX,
                   (void *)(uintptr_t)pick(me, 65536)};
    return bad[pick(me, sizeof(bad) / sizeof(bad[0]))];
}

/* The buffers of a send or a receive; request: the one whose memory they are in, or NULL. */
static WSABUF *buffers(struct attacker *me, struct request *request, DWORD *count)
{
    *count = pick(me, 20) != 0 ? 1 : pick(me, BUFFERS + 1);
    for (DWORD i = 0; i < *count; i++) {
        char *buffer = request != NULL ? request->data + i * 8 : memory(me, true);
        me->buffers[i] = (WSABUF){.len = pick(me, 200), .buf = buffer};
    }
    if (pick(me, 100) != 0) {
        return pointed(me, me->buffers);
    }
    *count = 2 + pick(me, 100000); /* more than there are */
    return last_buffer;
}

static int length(struct attacker *me)
{
    static const int odd[] = {0, 1, 4, 15, 16, 28, 128, -1, INT32_MAX};
    return pick(me, 3) == 0 ? odd[pick(me, sizeof(odd) / sizeof(odd[0]))]
                            : (int)sizeof(SOCKADDR_IN);
}

static SOCKET take(struct attacker *me)
{
    SOCKET s = atomic_load(&places[pick(me, PLACES)]);
    return pick(me, 200) == 0 ? (SOCKET)pick(me, 4096) : s;
}

/* Puts a socket into a place and closes what was there. */
static void put(struct attacker *me, SOCKET s)
{
    int error = 0;
    SOCKET before = atomic_exchange(&places[pick(me, PLACES)], s);
    if (before != INVALID_SOCKET) {
        (void)TABLE->lpWSPCloseSocket(before, &error);
    }
}

static void address(struct attacker *me, SOCKADDR_IN *in)
{
    *in = (SOCKADDR_IN){.sin_family = AF_INET,
                        .sin_port = atomic_load(&ports[pick(me, 4)]),
                        .sin_addr.s_addr = LOOPBACK_WORD};
}

/* ---- the calls ---- */

static int do_socket(struct attacker *me, int *error)
{
    bool stream = pick(me, 2) != 0;
    int type = stream ? SOCK_STREAM : SOCK_DGRAM;
    int protocol = stream ? IPPROTO_TCP : IPPROTO_UDP;
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, type, protocol);
    SOCKET s = TABLE->lpWSPSocket(AF_INET, type, protocol, &info, 0, WSA_FLAG_OVERLAPPED, error);
    if (s == INVALID_SOCKET) {
        return SOCKET_ERROR;
    }
    DWORD on = 1;
    DWORD bytes = 0;
    int ignored = 0;
    SOCKADDR_IN in = {.sin_family = AF_INET, .sin_addr.s_addr = LOOPBACK_WORD};
    int name_bytes = sizeof(in);
    (void)TABLE->lpWSPIoctl(s, (DWORD)FIONBIO, &on, sizeof(on), NULL, 0, &bytes, NULL, NULL, NULL,
                            &ignored);
    if (pick(me, 2) != 0 &&
        TABLE->lpWSPBind(s, (struct sockaddr *)&in, sizeof(in), &ignored) == 0 &&
        TABLE->lpWSPGetSockName(s, (struct sockaddr *)&in, &name_bytes, &ignored) == 0) {
        atomic_store(&ports[pick(me, 4)], in.sin_port);
        if (stream) {
            (void)TABLE->lpWSPListen(s, 4, &ignored);
        }
    }
    put(me, s);
    return 0;
}

static int do_close(struct attacker *me, int *error)
{
    SOCKET s = atomic_exchange(&places[pick(me, PLACES)], INVALID_SOCKET);
    return TABLE->lpWSPCloseSocket(s, error);
}

static int do_connect(struct attacker *me, int *error)
{
    SOCKADDR_IN *in = memory(me, false);
    address(me, in);
    void *name = pick(me, 4) != 0 ? (void *)in : memory(me, true);
    return TABLE->lpWSPConnect(take(me), name, length(me), NULL, NULL, NULL, NULL, error);
}

static int do_accept(struct attacker *me, int *error)
{
    SOCKET s = TABLE->lpWSPAccept(take(me), memory(me, true), memory(me, true), NULL, 0, error);
    if (s == INVALID_SOCKET) {
        return SOCKET_ERROR;
    }
    put(me, s);
    return 0;
}

static int do_name(struct attacker *me, int *error)
{
    SOCKET s = take(me);
    return pick(me, 2) != 0 ? TABLE->lpWSPGetSockName(s, memory(me, true), memory(me, true), error)
                            : TABLE->lpWSPGetPeerName(s, memory(me, true), memory(me, true), error);
}

/* A request that is free, and in a quarter of the calls one of nobody's memory. */
static struct request *request_new(struct attacker *me)
{
    struct request *request = &me->requests[pick(me, REQUESTS)];
    bool pending =
        request->used && *(volatile ULONG_PTR *)&request->overlapped.Internal == IN_PROGRESS;
    if (pending) {
        return NULL;
    }
    memset(&request->overlapped, 0, sizeof(request->overlapped));
    request->used = true;
    return request;
}

static int do_recv(struct attacker *me, int *error)
{
    struct request *request = pick(me, 3) == 0 ? request_new(me) : NULL;
    DWORD flags[1] = {pick(me, 4) == 0 ? pick(me, 64) : 0};
    bool bad = request == NULL;
    DWORD count = 0;
    WSABUF *into = buffers(me, request, &count);
    return TABLE->lpWSPRecvFrom(take(me), into, count, memory(me, bad),
                                bad && pick(me, 20) == 0 ? memory(me, true) : flags, NULL, NULL,
                                request != NULL ? &request->overlapped : NULL, NULL, NULL, error);
}

static int do_send(struct attacker *me, int *error)
{
    struct request *request = pick(me, 3) == 0 ? request_new(me) : NULL;
    bool bad = request == NULL;
    DWORD count = 0;
    WSABUF *from = buffers(me, request, &count);
    SOCKADDR_IN to;
    address(me, &to);
    return TABLE->lpWSPSendTo(take(me), from, count, memory(me, bad),
                              pick(me, 8) == 0 ? pick(me, 64) : 0,
                              pick(me, 2) != 0 ? (struct sockaddr *)&to : NULL, length(me),
                              request != NULL ? &request->overlapped : NULL, NULL, NULL, error);
}

static int do_select(struct attacker *me, int *error)
{
    fd_set sets[3];
    struct timeval most = {.tv_usec = (long)pick(me, 2000)};
    for (unsigned i = 0; i < 3; i++) {
        sets[i].fd_count = pick(me, 20) == 0 ? pick(me, 100000) : pick(me, 8);
        for (unsigned k = 0; k < FD_SETSIZE; k++) {
            sets[i].fd_array[k] = k < 8 ? take(me) : INVALID_SOCKET;
        }
    }
    /* A set that is longer than its memory is the program's own fault: the count is ours then. */
    for (unsigned i = 0; i < 3; i++) {
        sets[i].fd_count = sets[i].fd_count <= FD_SETSIZE ? sets[i].fd_count : FD_SETSIZE;
    }
    int ready = TABLE->lpWSPSelect(0, pick(me, 10) != 0 ? &sets[0] : memory(me, true),
                                   pick(me, 2) != 0 ? &sets[1] : NULL,
                                   pick(me, 2) != 0 ? &sets[2] : NULL, &most, error);
    return ready == SOCKET_ERROR ? SOCKET_ERROR : 0;
}

static int do_option(struct attacker *me, int *error)
{
    static const int levels[] = {SOL_SOCKET,  IPPROTO_IP,   IPPROTO_TCP,
                                 IPPROTO_UDP, IPPROTO_IPV6, 77};
    int level = levels[pick(me, sizeof(levels) / sizeof(levels[0]))];
    int name = pick(me, 4) == 0 ? (int)(0x1000 + pick(me, 16)) : (int)pick(me, 64);
    SOCKET s = take(me);
    return pick(me, 2) != 0
               ? TABLE->lpWSPGetSockOpt(s, level, name, memory(me, true), memory(me, true), error)
               : TABLE->lpWSPSetSockOpt(s, level, name, memory(me, true), length(me) % 256, error);
}

/* A SOCKET_ADDRESS_LIST. */
static void *list(struct attacker *me)
{
    me->list.count = (INT)pick(me, 4);
    for (unsigned i = 0; i < 2; i++) {
        me->list.addresses[i] =
            (SOCKET_ADDRESS){.lpSockaddr = memory(me, true), .iSockaddrLength = length(me)};
    }
    return &me->list;
}

static int do_ioctl(struct attacker *me, int *error)
{
    static const DWORD codes[] = {(DWORD)FIONREAD,
                                  (DWORD)SIOCATMARK,
                                  SIO_KEEPALIVE_VALS,
                                  SIO_UDP_CONNRESET,
                                  SIO_GET_EXTENSION_FUNCTION_POINTER,
                                  SIO_BASE_HANDLE,
                                  SIO_ROUTING_INTERFACE_QUERY,
                                  SIO_ADDRESS_LIST_QUERY,
                                  SIO_ADDRESS_LIST_SORT,
                                  SIO_GET_BROADCAST_ADDRESS,
                                  _WSAIORW(IOC_VENDOR, 39)}; /* SIO_TCP_INFO */
    DWORD code = codes[pick(me, sizeof(codes) / sizeof(codes[0]))];
    void *in = code == SIO_ADDRESS_LIST_SORT ? pointed(me, list(me)) : memory(me, true);
    return TABLE->lpWSPIoctl(take(me), code, in, pick(me, 64), memory(me, true), pick(me, 1024),
                             memory(me, true), NULL, NULL, NULL, error);
}

static int do_events(struct attacker *me, int *error)
{
    static HANDLE event;
    if (event == NULL) { /* a second one made at the same time is lost, once */
        event = CreateEventW(NULL, TRUE, FALSE, NULL);
    }
    SOCKET s = take(me);
    return pick(me, 2) != 0 ? TABLE->lpWSPEventSelect(
                                  s, pick(me, 8) != 0 ? event : (HANDLE)(uintptr_t)pick(me, 4096),
                                  (long)pick(me, 1024), error)
                            : TABLE->lpWSPEnumNetworkEvents(s, pick(me, 2) != 0 ? event : NULL,
                                                            memory(me, true), error);
}

static int do_shutdown(struct attacker *me, int *error)
{
    return TABLE->lpWSPShutdown(take(me), (int)pick(me, 4), error);
}

static int do_result(struct attacker *me, int *error)
{
    struct request *request = &me->requests[pick(me, REQUESTS)];
    BOOL done = TABLE->lpWSPGetOverlappedResult(
        take(me), pick(me, 4) != 0 ? &request->overlapped : memory(me, true), memory(me, true),
        FALSE, memory(me, true), error);
    return done ? 0 : SOCKET_ERROR;
}

static const struct {
    const char *name;
    unsigned weight;
    int (*run)(struct attacker *me, int *error);
} calls[] = {{"WSPSocket", 6, do_socket},
             {"WSPCloseSocket", 3, do_close},
             {"WSPConnect", 4, do_connect},
             {"WSPAccept", 4, do_accept},
             {"names", 2, do_name},
             {"WSPRecvFrom", 8, do_recv},
             {"WSPSendTo", 8, do_send},
             {"WSPSelect", 3, do_select},
             {"options", 4, do_option},
             {"WSPIoctl", 4, do_ioctl},
             {"network events", 3, do_events},
             {"WSPShutdown", 1, do_shutdown},
             {"WSPGetOverlappedResult", 2, do_result}};

static DWORD WINAPI attack(void *argument)
{
    struct attacker *me = argument;
    uint32_t total = 0;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        total += calls[i].weight;
    }
    while (!atomic_load(&stopping)) {
        uint32_t drawn = pick(me, total);
        size_t i = 0;
        while (drawn >= calls[i].weight) {
            drawn -= calls[i++].weight;
        }
        int error = 0;
        atomic_store(&me->at, calls[i].name);
        int result = calls[i].run(me, &error);
        CHECK(result == 0 || error != 0);
        atomic_fetch_add(&me->calls, 1);
    }
    atomic_store(&me->at, "nothing");
    return 0;
}

/* ---- main ---- */

static void pages_make(void)
{
    DWORD before;
    bad_pages[0] = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
    bad_pages[1] = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READONLY);
    bad_pages[2] = VirtualAlloc(NULL, 8192, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    CHECK(bad_pages[0] != NULL && bad_pages[1] != NULL && bad_pages[2] != NULL);
    CHECK(VirtualProtect(bad_pages[2] + 4096, 4096, PAGE_NOACCESS, &before));
    static char anybodys[16];
    char *two = VirtualAlloc(NULL, 8192, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    CHECK(two != NULL && VirtualProtect(two + 4096, 4096, PAGE_NOACCESS, &before));
    last_buffer = (WSABUF *)(void *)(two + 4096) - 1;
    *last_buffer = (WSABUF){.len = sizeof(anybodys), .buf = anybodys};
    nobodys = VirtualAlloc((void *)(uintptr_t)(LOOPBACK_WORD & ~0xFFFFu), 65536,
                           MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    CHECK(nobodys != NULL);
}

static void nobodys_check(void)
{
    for (unsigned i = 0; i < 65536; i++) {
        CHECK(nobodys[i] == 0);
    }
}

static void close_all(void)
{
    int error = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        SOCKET s = atomic_exchange(&places[i], INVALID_SOCKET);
        if (s != INVALID_SOCKET) {
            (void)TABLE->lpWSPCloseSocket(s, &error);
        }
    }
}

static unsigned requests_pending(void)
{
    unsigned pending = 0;
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned i = 0; i < REQUESTS; i++) {
            const struct request *request = &attackers[t].requests[i];
            pending += request->used &&
                       *(const volatile ULONG_PTR *)&request->overlapped.Internal == IN_PROGRESS;
        }
    }
    return pending;
}

/* Fails when a thread does not go on for MOST_MS. */
static void watch(uint32_t for_ms)
{
    uint64_t seen[THREADS] = {0};
    ULONGLONG begin = GetTickCount64();
    ULONGLONG moved[THREADS] = {begin, begin, begin, begin};
    while (GetTickCount64() - begin < for_ms) {
        Sleep(20);
        for (unsigned i = 0; i < THREADS; i++) {
            uint64_t now = atomic_load(&attackers[i].calls);
            if (now != seen[i]) {
                seen[i] = now;
                moved[i] = GetTickCount64();
            }
            if (GetTickCount64() - moved[i] > MOST_MS) {
                printf("thread %u waits for %u ms in %s\n", i, MOST_MS,
                       atomic_load(&attackers[i].at));
                exit(1);
            }
        }
    }
}

static void threads_end(void)
{
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < THREADS; i++) {
        if (WaitForSingleObject(attackers[i].thread, MOST_MS) != WAIT_OBJECT_0) {
            printf("thread %u does not come back from %s within %u ms\n", i,
                   atomic_load(&attackers[i].at), MOST_MS);
            exit(1);
        }
        (void)CloseHandle(attackers[i].thread);
    }
}

static void requests_end(const char *when)
{
    close_all();
    for (unsigned i = 0; requests_pending() != 0; i++) {
        if (i == MOST_MS) {
            printf("%u overlapped requests were not completed %s\n", requests_pending(), when);
            exit(1);
        }
        Sleep(1);
    }
}

static void threads_begin(uint64_t seed)
{
    atomic_store(&stopping, false);
    for (unsigned i = 0; i < THREADS; i++) {
        attackers[i].random = test_random_make(seed + i);
        attackers[i].thread = CreateThread(NULL, 0, attack, &attackers[i], 0, NULL);
        CHECK(attackers[i].thread != NULL);
    }
}

int main(int argc, char **argv)
{
    uint32_t seconds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 4;
    uint64_t seed = test_random_seed("attack");
    int error = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    pages_make();
    for (unsigned i = 0; i < PLACES; i++) {
        atomic_store(&places[i], INVALID_SOCKET);
    }
    CHECK(host_load(NULL, &provider) == 0);
    CHECK(host_startup(&provider, MAKEWORD(2, 2)) == 0);

    threads_begin(seed);
    watch(seconds * 1000);
    threads_end();
    requests_end("by closing their sockets");
    nobodys_check();
    printf("calls and closes: done\n");

    for (unsigned round = 0; round < RESTART_EACH; round++) {
        threads_begin(seed + 100 + round * THREADS);
        watch(seconds * 1000 / RESTART_EACH);
        CHECK(TABLE->lpWSPCleanup(&error) == 0);
        watch(20);
        threads_end();
        close_all();
        requests_end("by WSPCleanup");
        CHECK(host_handle_count() == 0);
        CHECK(host_startup(&provider, MAKEWORD(2, 2)) == 0);
    }
    printf("cleanups: done\n");

    threads_begin(seed + 1000);
    watch(500);
    printf("kill the dataplane\n");
    watch(seconds * 1000);
    threads_end();
    requests_end("after the dataplane's death");
    CHECK(TABLE->lpWSPCleanup(&error) == 0);
    CHECK(host_handle_count() == 0);
    nobodys_check();
    printf("ok\n");
    return 0;
}
