/*
 * Opens and closes many sockets, UDP and TCP in turns, in each state that a close can meet, and
 * ends with the memory and the handles it began with: the DLL's code linked in, so that its heap
 * can be asked, against ringsockd on the loopback NIC. Prints what each kind of call takes, so that
 * a slow run says where its time went. Argument: how many sockets. Test thread.
 */
#include <winsock2.h>

#include <mimalloc.h>
#include <psapi.h>
#include <stdio.h>
#include <stdlib.h>

#include "provider/host/host.h"
#include "provider/spi/spi.h"
#include "rings/os/os.h"

#define WARM_SOCKETS 2000u
#define SLACK_BYTES  ((size_t)2 << 20) /* of allocators and of Wine's own bookkeeping */

static struct host_provider provider;
static INT error;

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "million: %s, error %d\n", what, error);
        exit(1);
    }
}
#define OK(call) check((call) != SOCKET_ERROR, #call)

enum call { CALL_SOCKET, CALL_BIND, CALL_LISTEN, CALL_CONNECT, CALL_ACCEPT, CALL_CLOSE, CALLS };
static struct {
    const char *name;
    uint64_t ticks;
    unsigned count;
} calls[CALLS] = {[CALL_SOCKET] = {.name = "WSPSocket"}, [CALL_BIND] = {.name = "WSPBind"},
                  [CALL_LISTEN] = {.name = "WSPListen"}, [CALL_CONNECT] = {.name = "WSPConnect"},
                  [CALL_ACCEPT] = {.name = "WSPAccept"}, [CALL_CLOSE] = {.name = "WSPCloseSocket"}};

static void took(enum call call, uint64_t began_tsc)
{
    calls[call].ticks += os_tsc() - began_tsc;
    calls[call].count++;
}

static void print_calls(void)
{
    double us_per_tick = 1e6 / (double)os_tsc_hz();
    for (enum call call = 0; call < CALLS; call++) {
        printf("%-14s %8u calls, %7.1f us each, %7.1f s\n", calls[call].name, calls[call].count,
               (double)calls[call].ticks * us_per_tick / calls[call].count,
               (double)calls[call].ticks * us_per_tick / 1e6);
        calls[call].ticks = calls[call].count = 0;
    }
}

static SOCKET open_socket(int type)
{
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, type, 0);
    uint64_t began = os_tsc();
    SOCKET s = provider.table.lpWSPSocket(AF_INET, type, 0, &info, 0, WSA_FLAG_OVERLAPPED, &error);
    took(CALL_SOCKET, began);
    check(s != INVALID_SOCKET, "WSPSocket");
    return s;
}

static void close_socket(SOCKET s)
{
    uint64_t began = os_tsc();
    OK(provider.table.lpWSPCloseSocket(s, &error));
    took(CALL_CLOSE, began);
}

static SOCKADDR_IN bind_any(SOCKET s)
{
    SOCKADDR_IN at = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
    int bytes = sizeof(at);
    uint64_t began = os_tsc();
    OK(provider.table.lpWSPBind(s, (struct sockaddr *)&at, sizeof(at), &error));
    took(CALL_BIND, began);
    OK(provider.table.lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, &error));
    return at;
}

static int connect_to(SOCKET s, const SOCKADDR_IN *at)
{
    uint64_t began = os_tsc();
    int result = provider.table.lpWSPConnect(s, (const struct sockaddr *)at, sizeof(*at), NULL,
                                             NULL, NULL, NULL, &error);
    took(CALL_CONNECT, began);
    return result;
}

static void use_dgram(unsigned state)
{
    SOCKET s = open_socket(SOCK_DGRAM);
    if (state > 0) {
        SOCKADDR_IN at = bind_any(s);
        if (state > 1) {
            char byte = 1;
            DWORD sent = 0;
            WSABUF buffer = {.len = 1, .buf = &byte};
            OK(connect_to(s, &at)); /* its own peer: a datagram waits when it is closed */
            OK(provider.table.lpWSPSend(s, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error));
        }
    }
    close_socket(s);
}

static void listen_on(SOCKET s)
{
    uint64_t began = os_tsc();
    OK(provider.table.lpWSPListen(s, 2, &error));
    took(CALL_LISTEN, began);
}

/* Closed hard, so that no port stays in TIME_WAIT. */
static unsigned use_pair(void)
{
    const struct linger hard = {.l_onoff = 1};
    SOCKET listener = open_socket(SOCK_STREAM);
    SOCKADDR_IN at = bind_any(listener);
    listen_on(listener);
    SOCKET client = open_socket(SOCK_STREAM);
    OK(connect_to(client, &at));
    uint64_t began = os_tsc();
    SOCKET server = provider.table.lpWSPAccept(listener, NULL, NULL, NULL, 0, &error);
    took(CALL_ACCEPT, began);
    check(server != INVALID_SOCKET, "WSPAccept");
    OK(provider.table.lpWSPSetSockOpt(client, SOL_SOCKET, SO_LINGER, (const char *)&hard,
                                      sizeof(hard), &error));
    close_socket(client);
    close_socket(server);
    close_socket(listener);
    return 3;
}

static void use_stream(unsigned state)
{
    SOCKET s = open_socket(SOCK_STREAM);
    if (state > 0) {
        SOCKADDR_IN at = bind_any(s);
        if (state == 2) {
            listen_on(s);
        } else if (state == 3) {
            SOCKET other = open_socket(SOCK_STREAM);
            check(connect_to(other, &at) == SOCKET_ERROR && error == WSAECONNREFUSED, "refused");
            close_socket(other);
        }
    }
    close_socket(s);
}

static void open_and_close(unsigned sockets)
{
    for (unsigned i = 0, made = 0; made < sockets; i++) {
        unsigned turn = i % 8;
        if (turn < 3) {
            use_dgram(turn);
        } else if (turn < 7) {
            use_stream(turn - 3);
            made += turn == 6;
        } else {
            made += use_pair() - 1;
        }
        made++;
    }
}

struct usage {
    uintptr_t next_handle; /* the system gives the lowest one that is free */
    unsigned sockets;
    size_t resident_bytes, heap_bytes;
};

static struct usage usage_now(void)
{
    struct usage usage = {.sockets = host_handle_count()};
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof(counters)};
    mi_collect(true);
    mi_process_info(NULL, NULL, NULL, NULL, NULL, &usage.heap_bytes, NULL, NULL);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    usage.next_handle = (uintptr_t)event;
    CloseHandle(event);
    check(GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters)),
          "GetProcessMemoryInfo");
    usage.resident_bytes = counters.WorkingSetSize;
    printf("next handle %zx, %u sockets, resident %zu KiB, heap %zu KiB\n",
           (size_t)usage.next_handle, usage.sockets, usage.resident_bytes >> 10,
           usage.heap_bytes >> 10);
    fflush(stdout);
    return usage;
}

int main(int argc, char **argv)
{
    unsigned sockets = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8000u;
    spi_probe_init();
    provider = (struct host_provider){.startup = WSPStartup,
                                      .info = host_catalog_entry(AF_INET, SOCK_DGRAM, IPPROTO_UDP)};
    check(host_startup(&provider, MAKEWORD(2, 2)) == 0, "WSPStartup");
    open_and_close(WARM_SOCKETS);
    struct usage before = usage_now();
    print_calls();
    open_and_close(sockets);
    print_calls();
    struct usage after = usage_now();
    check(after.next_handle <= before.next_handle, "handles are left");
    check(after.sockets == 0 && before.sockets == 0, "sockets are left");
    check(after.resident_bytes <= before.resident_bytes + SLACK_BYTES, "the process has grown");
    check(after.heap_bytes <= before.heap_bytes + SLACK_BYTES, "the heap has grown");
    OK(provider.table.lpWSPCleanup(&error));
    printf("ok: %u sockets\n", sockets);
    return 0;
}
