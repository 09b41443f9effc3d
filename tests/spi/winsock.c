/*
 * The Winsock API of host_winsock: what a program finds in WSAGetLastError is what the provider
 * said, for every call that takes a socket. No dataplane is needed: the provider refuses a handle
 * that is no socket.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <mswsock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "provider/host/host.h"

#define BAD INVALID_SOCKET

static void refused(int result)
{
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(WSAGetLastError(), WSAENOTSOCK);
    WSASetLastError(0);
}

static void test_names(void **state)
{
    (void)state;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = 1};
    struct sockaddr *name = (struct sockaddr *)&addr;
    int bytes = sizeof(addr);
    refused(bind(BAD, name, bytes));
    refused(connect(BAD, name, bytes));
    refused(listen(BAD, 1));
    refused(getsockname(BAD, name, &bytes));
    refused(getpeername(BAD, name, &bytes));
    refused(accept(BAD, name, &bytes) == INVALID_SOCKET ? SOCKET_ERROR : 0);
    refused(WSAJoinLeaf(BAD, name, bytes, NULL, NULL, NULL, NULL, JL_BOTH) == INVALID_SOCKET
                ? SOCKET_ERROR
                : 0);
}

static void test_data(void **state)
{
    (void)state;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = 1};
    struct sockaddr *name = (struct sockaddr *)&addr;
    int bytes = sizeof(addr);
    char data[4] = {0};
    refused(send(BAD, data, sizeof(data), 0));
    refused(sendto(BAD, data, sizeof(data), 0, name, bytes));
    refused(recv(BAD, data, sizeof(data), 0));
    refused(recvfrom(BAD, data, sizeof(data), 0, name, &bytes));
}

static void CALLBACK never(DWORD code, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    (void)code, (void)bytes, (void)overlapped, (void)flags;
    fail_msg("called for a call that was refused");
}

static void test_overlapped(void **state)
{
    (void)state;
    WSAOVERLAPPED overlapped = {0};
    char data[4] = {0};
    DWORD bytes = 0, flags = 0;
    WSABUF buffer = {.len = sizeof(data), .buf = data};
    refused(WSARecv(BAD, &buffer, 1, NULL, &flags, &overlapped, never));
    refused(WSASend(BAD, &buffer, 1, NULL, 0, &overlapped, never));
    assert_int_equal(SleepEx(0, TRUE), 0);
    assert_false(WSAGetOverlappedResult(BAD, &overlapped, &bytes, FALSE, &flags));
    assert_int_equal(WSAGetLastError(), WSAENOTSOCK);
    WSASetLastError(0);
}

/* A handle that is no socket is the system's business; a port for a socket is kept by the host. */
static void test_port(void **state)
{
    (void)state;
    HANDLE file = CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                              OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    HANDLE port = host_completion_port(INVALID_HANDLE_VALUE, NULL, 0, 0);
    int error = 0;
    assert_non_null(port);
    assert_ptr_equal(host_completion_port(file, port, 1, 0), port);
    SOCKET s = host_handle_create(HOST_CATALOG_ID, 1, &error);
    ULONG_PTR key = 0;
    HANDLE found = NULL;
    assert_false(host_handle_port(s, &found, &key));
    assert_ptr_equal(host_completion_port((HANDLE)s, port, 5, 0), port);
    assert_true(host_handle_port(s, &found, &key));
    assert_ptr_equal(found, port);
    assert_int_equal(key, 5);
    assert_null(host_completion_port((HANDLE)s, port, 6, 0)); /* one for life */
    assert_int_equal(host_handle_close(s), 0);
    CloseHandle(port);
    CloseHandle(file);
}

static void test_rest(void **state)
{
    (void)state;
    int value = 0;
    int bytes = sizeof(value);
    u_long argument = 0;
    fd_set set = {.fd_count = 1, .fd_array = {BAD}};
    refused(getsockopt(BAD, SOL_SOCKET, SO_ERROR, (char *)&value, &bytes));
    refused(setsockopt(BAD, SOL_SOCKET, SO_RCVBUF, (char *)&value, bytes));
    refused(ioctlsocket(BAD, FIONREAD, &argument));
    refused(select(0, &set, NULL, NULL, NULL));
    refused(shutdown(BAD, SD_BOTH));
    refused(WSASendDisconnect(BAD, NULL));
    refused(WSARecvDisconnect(BAD, NULL));
    refused(closesocket(BAD));
}

/* mswsock's, which ask the socket. */
static void test_mswsock(void **state)
{
    (void)state;
    char output[64];
    DWORD received;
    OVERLAPPED overlapped = {0};
    assert_false(AcceptEx(BAD, BAD, output, 0, 32, 32, &received, &overlapped));
    assert_int_equal(WSAGetLastError(), WSAENOTSOCK);
    WSASetLastError(0);
    assert_false(TransmitFile(BAD, NULL, 0, 0, NULL, NULL, 0));
    assert_int_equal(WSAGetLastError(), WSAENOTSOCK);
}

static void test_ip6(void **state)
{
    (void)state;
    static const unsigned char mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    unsigned char out[16] = {0};
    char text[INET6_ADDRSTRLEN];
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", out), 1);
    assert_memory_equal(out, mapped, sizeof(out));
    assert_int_equal(inet_pton(AF_INET6, "[::1]", out), 0);
    assert_int_equal(inet_pton(AF_INET6, "::1%3", out), 0);
    assert_int_equal(inet_pton(AF_INET6, "192.0.2.1", out), 0);
    assert_non_null(inet_ntop(AF_INET6, mapped, text, sizeof(text)));
    assert_string_equal(text, "::ffff:192.0.2.1");
    assert_null(inet_ntop(AF_INET6, mapped, text, 16));
    assert_int_equal(WSAGetLastError(), ERROR_INVALID_PARAMETER);
}

static struct sockaddr_in6 resolved(const char *node, int flags)
{
    struct sockaddr_in6 in6;
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_flags = flags};
    struct addrinfo *found = NULL;
    assert_int_equal(getaddrinfo(node, "80", &hints, &found), 0);
    assert_int_equal(found->ai_family, AF_INET6);
    assert_int_equal(found->ai_addrlen, sizeof(in6));
    in6 = *(const struct sockaddr_in6 *)(const void *)found->ai_addr;
    freeaddrinfo(found);
    assert_int_equal(in6.sin6_family, AF_INET6);
    assert_int_equal(in6.sin6_port, htons(80));
    return in6;
}

static void test_getaddrinfo_ip6(void **state)
{
    (void)state;
    static const unsigned char loopback[16] = {[15] = 1};
    static const unsigned char any[16] = {0};
    static const unsigned char mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    struct addrinfo hints = {.ai_family = AF_INET6};
    struct addrinfo *found = NULL;
    struct sockaddr_in6 in6 = resolved("fe80::1%7", 0);
    assert_int_equal(in6.sin6_scope_id, 7);
    in6 = resolved(NULL, 0);
    assert_memory_equal(&in6.sin6_addr, loopback, 16);
    in6 = resolved(NULL, AI_PASSIVE);
    assert_memory_equal(&in6.sin6_addr, any, 16);
    in6 = resolved("192.0.2.1", AI_V4MAPPED);
    assert_memory_equal(&in6.sin6_addr, mapped, 16);
    assert_int_equal(getaddrinfo("192.0.2.1", "80", &hints, &found), WSAHOST_NOT_FOUND);
    assert_int_equal(getaddrinfo("[::1]", "80", &hints, &found), WSAHOST_NOT_FOUND);
    hints.ai_family = AF_UNSPEC;
    assert_int_equal(getaddrinfo("::1", "80", &hints, &found), 0);
    assert_int_equal(found->ai_family, AF_INET6);
    freeaddrinfo(found);
    assert_int_equal(getaddrinfo("127.0.0.1", "80", &hints, &found), 0);
    assert_int_equal(found->ai_family, AF_INET);
    freeaddrinfo(found);
}

static void test_texts_ip6(void **state)
{
    (void)state;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct sockaddr_in6 back;
    char text[INET6_ADDRSTRLEN + 8];
    DWORD chars = sizeof(text);
    int bytes = sizeof(back);
    in6.sin6_addr.s6_addr[15] = 1;
    assert_int_equal(WSAAddressToStringA((struct sockaddr *)&in6, sizeof(in6), NULL, text, &chars),
                     0);
    assert_string_equal(text, "[::1]:80");
    assert_int_equal(WSAStringToAddressA(text, AF_INET6, NULL, (struct sockaddr *)&back, &bytes),
                     0);
    assert_memory_equal(&in6, &back, sizeof(in6));
}

static WINBOOL WINAPI idle_hook(void)
{
    return FALSE;
}

static void test_window(void **state)
{
    (void)state;
    refused(WSAAsyncSelect(BAD, NULL, 0, FD_READ));
    assert_null((void *)(uintptr_t)WSASetBlockingHook((FARPROC)(uintptr_t)idle_hook));
    assert_false(WSAIsBlocking());
    assert_int_equal(WSACancelBlockingCall(), SOCKET_ERROR);
    assert_int_equal(WSAGetLastError(), WSAEINVAL);
    assert_true(WSASetBlockingHook(NULL) == (FARPROC)(uintptr_t)idle_hook);
    assert_int_equal(WSAUnhookBlockingHook(), 0);
}

static int start(void **state)
{
    (void)state;
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data);
}

static int stop(void **state)
{
    (void)state;
    return WSACleanup();
}

/* No socket was ever polled, so the provider's own function is not known yet. */
static void test_poll(void **state)
{
    (void)state;
    WSAPOLLFD fds[2] = {{.fd = BAD, .events = POLLIN}, {.fd = 4, .events = POLLIN}};
    void *bad = VirtualAlloc(NULL, 1, MEM_RESERVE, PAGE_NOACCESS);
    assert_non_null(bad);
    assert_int_equal(WSAPoll(fds, 2, 0), SOCKET_ERROR);
    assert_int_equal(WSAGetLastError(), WSAEINVAL);
    assert_int_equal(WSAPoll(fds, 0, 0), SOCKET_ERROR);
    assert_int_equal(WSAGetLastError(), WSAEINVAL);
    assert_int_equal(WSAPoll(NULL, 1, 0), SOCKET_ERROR);
    assert_int_equal(WSAGetLastError(), WSAEINVAL);
    assert_int_equal(WSAPoll(bad, 1, 0), SOCKET_ERROR);
    assert_int_equal(WSAGetLastError(), WSAEFAULT);
    assert_true(VirtualFree(bad, 0, MEM_RELEASE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_data),
        cmocka_unit_test(test_overlapped), cmocka_unit_test(test_port),
        cmocka_unit_test(test_rest),       cmocka_unit_test(test_mswsock),
        cmocka_unit_test(test_ip6),        cmocka_unit_test(test_getaddrinfo_ip6),
        cmocka_unit_test(test_texts_ip6),  cmocka_unit_test(test_window),
        cmocka_unit_test(test_poll)};
    return cmocka_run_group_tests(tests, start, stop);
}
