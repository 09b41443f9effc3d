/*
 * Cases of WSPSelect against a dataplane. The sets are arrays of any length, as winsock2.h says of
 * fd_set with another FD_SETSIZE.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/spi/spi_test.h"

static const struct timeval now = {0};

static int look(fd_set *r, fd_set *w, fd_set *e, const struct timeval *timeout)
{
    return TABLE->lpWSPSelect(0, r, w, e, (PTIMEVAL)(uintptr_t)timeout, &spi_error);
}

static fd_set one(SOCKET s)
{
    fd_set set = {.fd_count = 1, .fd_array = {s}};
    return set;
}

CASE(WSPSelect, select_null, "three sets that are NULL are WSAEINVAL")
{
    FAILS(WSAEINVAL, look(NULL, NULL, NULL, &now));
}

CASE(WSPSelect, select_empty, "sets without a socket are WSAEINVAL")
{
    fd_set none = {.fd_count = 0};
    FAILS(WSAEINVAL, look(&none, NULL, NULL, &now));
    FAILS(WSAEINVAL, look(&none, &none, &none, &now));
}

CASE(WSPSelect, select_not_socket, "an entry that is no socket is WSAENOTSOCK")
{
    fd_set set = {.fd_count = 2, .fd_array = {spi_bound(NULL), 4}};
    FAILS(WSAENOTSOCK, look(&set, NULL, NULL, &now));
}

CASE(WSPSelect, select_time, "a negative time is WSAEINVAL")
{
    fd_set set = one(spi_bound(NULL));
    struct timeval seconds = {.tv_sec = -1};
    struct timeval micros = {.tv_usec = -1};
    FAILS(WSAEINVAL, look(&set, NULL, NULL, &seconds));
    FAILS(WSAEINVAL, look(&set, NULL, NULL, &micros));
}

CASE(WSPSelect, select_fault, "sets and time that cannot be used are WSAEFAULT")
{
    fd_set set = one(spi_bound(NULL));
    FAILS(WSAEFAULT, look(spi_bad_pointer(), NULL, NULL, &now));
    FAILS(WSAEFAULT, look(spi_read_only_page(), NULL, NULL, &now));
    FAILS(WSAEFAULT, look(&set, NULL, NULL, spi_bad_pointer()));
    /* A count that reaches out of the memory there is. */
    fd_set *edge = VirtualAlloc(NULL, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    edge->fd_count = 20000;
    FAILS(WSAEFAULT, look(edge, NULL, NULL, &now));
    VirtualFree(edge, 0, MEM_RELEASE);
}

CASE(WSPSelect, select_idle, "nothing ready: 0, and the sets are emptied")
{
    fd_set set = one(spi_bound(NULL));
    struct timeval timeout = {.tv_usec = 20000};
    assert_int_equal(look(&set, NULL, NULL, &timeout), 0);
    assert_int_equal(set.fd_count, 0);
    assert_int_equal(timeout.tv_usec, 20000);
}

CASE(WSPSelect, select_wait, "it waits as long as it was told, not less")
{
    fd_set set = one(spi_bound(NULL));
    struct timeval timeout = {.tv_usec = 80000};
    ULONGLONG begin = GetTickCount64();
    assert_int_equal(look(&set, NULL, NULL, &timeout), 0);
    assert_in_range(GetTickCount64() - begin, 60, 3000);
}

CASE(WSPSelect, select_readable, "a socket with a datagram stays in the read set")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    fd_set set = {.fd_count = 3, .fd_array = {spi_bound(NULL), s, spi_bound(NULL)}};
    struct timeval timeout = {.tv_sec = 5};
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    assert_int_equal(look(&set, NULL, NULL, &timeout), 1);
    assert_int_equal(set.fd_count, 1);
    assert_true(set.fd_array[0] == s);
}

CASE(WSPSelect, select_writable, "a socket with room stays in the write set, bound or not")
{
    fd_set set = {.fd_count = 2, .fd_array = {spi_bound(NULL), spi_udp()}};
    assert_int_equal(look(NULL, &set, NULL, &now), 2);
    assert_int_equal(set.fd_count, 2);
}

CASE(WSPSelect, select_except, "a datagram socket is never in the except set")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    fd_set r = one(s);
    fd_set e = one(s);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    struct timeval timeout = {.tv_sec = 5};
    assert_int_equal(look(&r, NULL, &e, &timeout), 1);
    assert_int_equal(e.fd_count, 0);
}

CASE(WSPSelect, select_both, "a socket in two sets counts twice")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    spi_await_readable(s);
    fd_set r = one(s);
    fd_set w = one(s);
    assert_int_equal(look(&r, &w, NULL, &now), 2);
}

CASE(WSPSelect, select_nfds, "nfds is ignored")
{
    fd_set w = one(spi_bound(NULL));
    assert_int_equal(TABLE->lpWSPSelect(-5, NULL, &w, NULL, (PTIMEVAL)(uintptr_t)&now, &spi_error),
                     1);
}

CASE(WSPSelect, select_error, "a pending error makes a socket readable")
{
    SOCKADDR_IN at = spi_gone();
    SOCKET s = spi_bound(NULL);
    DWORD sent;
    DWORD flags = 0;
    char byte;
    OK(spi_connect_to(s, &at));
    OK(spi_send_one(s, "x", 1, 0, &sent));
    spi_await_readable(s);
    FAILS(WSAECONNRESET, spi_recv_one(s, &byte, 1, &flags, &sent));
}

CASE(WSPSelect, select_many, "300 sockets in one set, the ready ones kept in order")
{
    enum { COUNT = 300 };
    SOCKADDR_IN at[COUNT];
    SOCKET sender = spi_udp();
    fd_set *set = malloc(sizeof(u_int) + sizeof(SOCKET) * (COUNT + 1));
    SOCKET all[COUNT];
    unsigned ready = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = spi_bound(&at[i]);
        set->fd_array[i] = all[i];
    }
    set->fd_count = COUNT;
    for (unsigned i = 0; i < COUNT; i += 7) {
        OK(spi_send_to_one(sender, "x", 1, &at[i]));
        ready++;
    }
    spi_await_readable(all[(COUNT - 1) / 7 * 7]); /* the last that was sent */
    assert_int_equal(look(set, NULL, NULL, &now), ready);
    assert_int_equal(set->fd_count, ready);
    for (unsigned i = 0; i < ready; i++) {
        assert_true(set->fd_array[i] == all[i * 7]);
    }
    free(set);
}

CASE(WSPSelect, select_thousands,
     "5,000 sockets in two sets: the time-out is kept, one that becomes ready ends the wait")
{
    enum { COUNT = 5000 };
    SOCKADDR_IN at;
    SOCKET bound = spi_bound(&at);
    fd_set *set = malloc(2 * (sizeof(u_int) + sizeof(SOCKET) * (COUNT + 1)));
    fd_set *all = (fd_set *)((char *)set + sizeof(u_int) + sizeof(SOCKET) * (COUNT + 1));
    size_t bytes = offsetof(fd_set, fd_array) + sizeof(SOCKET) * COUNT;
    struct timeval timeout = {.tv_usec = 80000};
    for (unsigned i = 0; i < COUNT; i++) {
        all->fd_array[i] = i == COUNT / 2 ? bound
                                          : TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, 0,
                                                               &provider.info, 0, 0, &spi_error);
        assert_true(all->fd_array[i] != INVALID_SOCKET);
    }
    all->fd_count = COUNT;
    memcpy(set, all, bytes);
    ULONGLONG begin = GetTickCount64();
    assert_int_equal(look(set, NULL, NULL, &timeout), 0);
    assert_in_range(GetTickCount64() - begin, 60, 3000);
    assert_int_equal(set->fd_count, 0);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    memcpy(set, all, bytes);
    timeout.tv_sec = 5;
    assert_int_equal(look(set, NULL, NULL, &timeout), 1);
    assert_true(set->fd_array[0] == bound);
    memcpy(set, all, bytes);
    assert_int_equal(look(set, all, NULL, &now), COUNT + 1);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i != COUNT / 2) {
            OK(TABLE->lpWSPCloseSocket(all->fd_array[i], &spi_error));
        }
    }
    free(set);
}

static DWORD WINAPI send_later(void *context)
{
    SOCKADDR_IN at = *(SOCKADDR_IN *)context;
    int error;
    DWORD sent;
    WSABUF buffer = {1, "x"};
    SOCKET s = TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, 0, &provider.info, 0, 0, &error);
    Sleep(50); /* not a rule of the test: lets the other thread fall asleep first */
    int result = TABLE->lpWSPSendTo(s, &buffer, 1, &sent, 0, (struct sockaddr *)&at, sizeof(at),
                                    NULL, NULL, NULL, &error);
    (void)TABLE->lpWSPCloseSocket(s, &error);
    return (DWORD)result;
}

CASE(WSPSelect, select_wakes, "a datagram that comes while it waits ends the wait")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    fd_set set = {.fd_count = 2, .fd_array = {spi_bound(NULL), s}};
    HANDLE thread = CreateThread(NULL, 0, send_later, &at, 0, NULL);
    struct timeval timeout = {.tv_sec = 5};
    assert_int_equal(look(&set, NULL, NULL, &timeout), 1);
    assert_true(set.fd_array[0] == s);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

CASE(WSPSelect, select_closed, "a socket closed while it waits ends the wait with WSAENOTSOCK")
{
    SOCKET s = spi_bound(NULL);
    fd_set set = {.fd_count = 2, .fd_array = {spi_bound(NULL), s}};
    struct timeval timeout = {.tv_sec = 5};
    spi_forget(s);
    HANDLE thread = CreateThread(NULL, 0, spi_close_later, &s, 0, NULL);
    FAILS(WSAENOTSOCK, look(&set, NULL, NULL, &timeout));
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}
