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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_data),
                                       cmocka_unit_test(test_rest), cmocka_unit_test(test_mswsock)};
    return cmocka_run_group_tests(tests, start, stop);
}
