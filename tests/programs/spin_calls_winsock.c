/*
 * spin_calls INSTANCE COUNT over the Winsock API on Ringsock: the Windows sister of
 * spin_calls_client.c. Sockets block; select, WSASend and WSARecv spin and never reach the system.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/programs/spin_calls.h"

enum { WARM_UP = 1000, TIMEOUT_S = 20 };

static int failed(const char *call)
{
    (void)fprintf(stderr, "spin_calls: %s: Winsock error %d\n", call, WSAGetLastError());
    return 1;
}

static SOCKET make_socket(struct sockaddr_in *local)
{
    int bytes = sizeof(*local);
    SOCKET handle = WSASocketW(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, WSA_FLAG_OVERLAPPED);
    memset(local, 0, sizeof(*local));
    local->sin_family = AF_INET;
    local->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (handle != INVALID_SOCKET && (bind(handle, (struct sockaddr *)local, bytes) != 0 ||
                                     getsockname(handle, (struct sockaddr *)local, &bytes) != 0)) {
        return INVALID_SOCKET;
    }
    return handle;
}

static const char *one_round(SOCKET from, SOCKET to, uint64_t seq)
{
    uint64_t out[8] = {seq, ~seq};
    uint64_t in[8] = {0};
    WSABUF send_buffer = {.len = sizeof(out), .buf = (char *)out};
    WSABUF recv_buffer = {.len = sizeof(in), .buf = (char *)in};
    DWORD bytes = 0;
    DWORD flags = 0;
    fd_set set;
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    FD_ZERO(&set);
    set.fd_array[set.fd_count++] = to;
    if (WSASend(from, &send_buffer, 1, &bytes, 0, NULL, NULL) != 0) {
        return "WSASend";
    }
    if (select(0, &set, NULL, NULL, &timeout) != 1) {
        return "select";
    }
    if (WSARecv(to, &recv_buffer, 1, &bytes, &flags, NULL, NULL) != 0) {
        return "WSARecv";
    }
    return memcmp(in, out, sizeof(in)) != 0 ? "compare" : NULL;
}

/* A call that waits asks the host for the thread's blocking hook, which is thread-local there: its
 * first use in a thread is two system calls, and not of the data path. */
static bool first_wait(SOCKET empty)
{
    fd_set set;
    struct timeval timeout = {.tv_usec = 50000};
    FD_ZERO(&set);
    set.fd_array[set.fd_count++] = empty;
    return select(0, &set, NULL, NULL, &timeout) == 0;
}

int main(int argc, char **argv)
{
    WSADATA data;
    struct sockaddr_in addrs[2];
    SOCKET sockets[2];
    const char *wrong = NULL;
    if (argc != 3) {
        (void)fprintf(stderr, "usage: spin_calls INSTANCE COUNT\n");
        return 2;
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    if (_putenv_s("RINGSOCK_INSTANCE", argv[1]) != 0 || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return failed("WSAStartup");
    }
    for (int i = 0; i < 2; i++) {
        sockets[i] = make_socket(&addrs[i]);
        if (sockets[i] == INVALID_SOCKET) {
            return failed("socket");
        }
    }
    if (connect(sockets[0], (struct sockaddr *)&addrs[1], sizeof(addrs[1])) != 0) {
        return failed("connect");
    }
    if (!first_wait(sockets[1])) {
        return failed("select");
    }
    for (uint64_t i = 0; i < WARM_UP && wrong == NULL; i++) {
        wrong = one_round(sockets[0], sockets[1], i);
    }
    spin_calls_mark(SPIN_CALLS_START);
    spin_calls_mark(SPIN_CALLS_BEGIN);
    for (uint64_t i = 0; i < count && wrong == NULL; i++) {
        wrong = one_round(sockets[0], sockets[1], i);
    }
    spin_calls_mark(SPIN_CALLS_END);
    if (wrong != NULL) {
        return failed(wrong);
    }
    (void)closesocket(sockets[0]);
    (void)closesocket(sockets[1]);
    (void)WSACleanup();
    (void)printf("done: %llu rounds\n", (unsigned long long)count);
    return 0;
}
