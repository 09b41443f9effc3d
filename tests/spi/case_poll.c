/*
 * Cases of WSAPoll on datagram sockets, and of its arguments. The function is fetched as a program
 * fetches it, by its GUID; its errors are the thread's last error.
 */
#include <stdlib.h>

#include "tests/spi/poll_kit.h"

CASE(WSAPoll, poll_fetched, "WSPIoctl gives out the function for WSAID_WSAPOLL")
{
    assert_non_null((const void *)(uintptr_t)poll_function(spi_udp()));
}

CASE(WSAPoll, poll_null, "an array that is NULL is WSAEINVAL")
{
    (void)poll_function(spi_udp());
    FAILS(WSAEINVAL, poll_call(NULL, 1, 0));
}

CASE(WSAPoll, poll_empty, "an array without a structure is WSAEINVAL")
{
    WSAPOLLFD fd = {.fd = spi_udp(), .events = POLLWRNORM};
    (void)poll_function(fd.fd);
    FAILS(WSAEINVAL, poll_call(&fd, 0, 0));
}

CASE(WSAPoll, poll_fault, "an array that cannot be read and written is WSAEFAULT")
{
    (void)poll_function(spi_udp());
    FAILS(WSAEFAULT, poll_call(spi_bad_pointer(), 1, 0));
    FAILS(WSAEFAULT, poll_call(spi_read_only_page(), 1, 0));
}

CASE(WSAPoll, poll_bad_flags, "flags that cannot be asked for are WSAEINVAL, POLLPRI too")
{
    static const SHORT bad[] = {POLLPRI, POLLERR, POLLHUP, POLLNVAL, POLLWRBAND, 0x40, 0x4000};
    SOCKET s = spi_udp();
    (void)poll_function(s);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        WSAPOLLFD fds[2] = {{.fd = s, .events = POLLIN},
                            {.fd = s, .events = (SHORT)(POLLWRNORM | bad[i])}};
        FAILS(WSAEINVAL, poll_call(fds, 2, 0));
    }
}

CASE(WSAPoll, poll_none_valid, "an array without a valid socket is WSAEINVAL")
{
    WSAPOLLFD fds[2] = {{.fd = INVALID_SOCKET, .events = POLLIN}, {.fd = 4, .events = POLLIN}};
    (void)poll_function(spi_udp());
    FAILS(WSAEINVAL, poll_call(fds, 1, 0));
    FAILS(WSAEINVAL, poll_call(fds, 2, 0));
}

CASE(WSAPoll, poll_negative, "an entry with a negative fd is ignored, and says POLLNVAL")
{
    WSAPOLLFD fds[3] = {{.fd = INVALID_SOCKET, .events = POLLPRI, .revents = POLLIN},
                        {.fd = spi_bound(NULL), .events = POLLIN, .revents = POLLIN},
                        {.fd = (SOCKET)-7, .events = POLLIN}};
    (void)poll_function(fds[1].fd);
    assert_int_equal(poll_call(fds, 3, 20), 0);
    assert_int_equal(fds[0].revents, POLLNVAL);
    assert_int_equal(fds[1].revents, 0);
    assert_int_equal(fds[2].revents, POLLNVAL);
}

CASE(WSAPoll, poll_invalid, "a handle that is no socket says POLLNVAL, at once")
{
    WSAPOLLFD fds[2] = {{.fd = spi_bound(NULL), .events = POLLIN, .revents = -1},
                        {.fd = 4, .events = POLLIN}};
    (void)poll_function(fds[0].fd);
    assert_int_equal(poll_call(fds, 2, -1), 1);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, POLLNVAL);
}

CASE(WSAPoll, poll_zero, "a time-out of 0 returns at once, with 0 when nothing is ready")
{
    WSAPOLLFD fd = {.fd = spi_bound(NULL), .events = POLLIN, .revents = -1};
    ULONGLONG begin = GetTickCount64();
    assert_int_equal(poll_one(&fd, 0), 0);
    assert_int_equal(fd.revents, 0);
    assert_true(GetTickCount64() - begin < 3000);
}

CASE(WSAPoll, poll_wait, "a time-out above 0 is waited for, in milliseconds")
{
    WSAPOLLFD fd = {.fd = spi_bound(NULL), .events = POLLIN};
    ULONGLONG begin = GetTickCount64();
    assert_int_equal(poll_one(&fd, 80), 0);
    assert_in_range(GetTickCount64() - begin, 60, 3000);
}

static DWORD WINAPI send_later(void *context)
{
    SOCKADDR_IN at = *(SOCKADDR_IN *)context;
    int error;
    DWORD sent;
    WSABUF buffer = {1, "x"};
    WSAPROTOCOL_INFOW info = host_catalog_entry(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    SOCKET s = TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, 0, &info, 0, 0, &error);
    Sleep(50); /* not a rule of the test: lets the other thread fall asleep first */
    int result = TABLE->lpWSPSendTo(s, &buffer, 1, &sent, 0, (struct sockaddr *)&at, sizeof(at),
                                    NULL, NULL, NULL, &error);
    (void)TABLE->lpWSPCloseSocket(s, &error);
    return (DWORD)result;
}

CASE(WSAPoll, poll_forever, "a negative time-out waits until something is ready")
{
    SOCKADDR_IN at;
    WSAPOLLFD fd = {.fd = spi_bound(&at), .events = POLLIN};
    HANDLE thread = CreateThread(NULL, 0, send_later, &at, 0, NULL);
    assert_int_equal(poll_one(&fd, -1), 1);
    assert_int_equal(fd.revents, POLLRDNORM);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

CASE(WSAPoll, poll_readable, "a datagram that waits is POLLRDNORM until it is received")
{
    SOCKADDR_IN at;
    WSAPOLLFD fd = {.fd = spi_bound(&at), .events = POLLIN};
    char byte;
    DWORD flags = 0;
    DWORD got;
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    assert_int_equal(poll_one(&fd, 5000), 1);
    assert_int_equal(fd.revents, POLLRDNORM);
    OK(spi_recv_one(fd.fd, &byte, 1, &flags, &got));
    assert_int_equal(poll_one(&fd, 0), 0);
}

CASE(WSAPoll, poll_writable, "a socket with room is POLLWRNORM, bound or not")
{
    WSAPOLLFD fds[2] = {{.fd = spi_bound(NULL), .events = POLLOUT},
                        {.fd = spi_udp(), .events = POLLOUT}};
    (void)poll_function(fds[0].fd);
    assert_int_equal(poll_call(fds, 2, 0), 2);
    assert_int_equal(fds[0].revents, POLLWRNORM);
    assert_int_equal(fds[1].revents, POLLWRNORM);
}

CASE(WSAPoll, poll_asked, "what was not asked for is not reported")
{
    SOCKADDR_IN at;
    WSAPOLLFD fd = {.fd = spi_bound(&at), .events = POLLWRNORM};
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    spi_await_readable(fd.fd);
    assert_int_equal(poll_one(&fd, 0), 1);
    assert_int_equal(fd.revents, POLLWRNORM);
    fd.events = POLLRDBAND;
    assert_int_equal(poll_one(&fd, 20), 0);
}

CASE(WSAPoll, poll_error, "an error that waits is POLLERR, asked for or not")
{
    SOCKADDR_IN at = spi_gone();
    WSAPOLLFD fd = {.fd = spi_bound(NULL)};
    char byte;
    DWORD flags = 0;
    DWORD sent = 0;
    OK(spi_connect_to(fd.fd, &at));
    OK(spi_send_one(fd.fd, "x", 1, 0, &sent));
    assert_int_equal(poll_one(&fd, 5000), 1);
    assert_int_equal(fd.revents, POLLERR);
    FAILS(WSAECONNRESET, spi_recv_one(fd.fd, &byte, 1, &flags, &sent));
    assert_int_equal(poll_one(&fd, 0), 0);
}

CASE(WSAPoll, poll_count, "the result is the number of entries that say something")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    WSAPOLLFD fds[4] = {{.fd = s, .events = POLLIN},
                        {.fd = spi_bound(NULL), .events = POLLIN},
                        {.fd = s, .events = POLLIN | POLLOUT},
                        {.fd = spi_bound(NULL), .events = POLLOUT}};
    (void)poll_function(s);
    OK(spi_send_to_one(spi_udp(), "x", 1, &at));
    spi_await_readable(s);
    assert_int_equal(poll_call(fds, 4, 0), 3);
    assert_int_equal(fds[0].revents, POLLRDNORM);
    assert_int_equal(fds[1].revents, 0);
    assert_int_equal(fds[2].revents, POLLRDNORM | POLLWRNORM);
    assert_int_equal(fds[3].revents, POLLWRNORM);
}

CASE(WSAPoll, poll_closed, "a socket that is closed while it waits says POLLNVAL")
{
    WSAPOLLFD fds[2] = {{.fd = spi_bound(NULL), .events = POLLIN},
                        {.fd = spi_bound(NULL), .events = POLLIN}};
    (void)poll_function(fds[0].fd);
    spi_forget(fds[1].fd);
    HANDLE thread = CreateThread(NULL, 0, spi_close_later, &fds[1].fd, 0, NULL);
    assert_int_equal(poll_call(fds, 2, 5000), 1);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, POLLNVAL);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

CASE(WSAPoll, poll_many, "3,000 sockets in one array, those that are ready say so")
{
    enum { COUNT = 3000, BOUND = 300 };
    WSAPOLLFD *fds = calloc(COUNT, sizeof(*fds));
    SOCKADDR_IN at[BOUND];
    SOCKET sender = spi_udp();
    int ready = 0;
    int error;
    for (unsigned i = 0; i < COUNT; i++) {
        fds[i].events = POLLIN;
        fds[i].fd = i % (COUNT / BOUND) == 0
                        ? spi_bound(&at[i / (COUNT / BOUND)])
                        : TABLE->lpWSPSocket(AF_INET, SOCK_DGRAM, 0, &provider.info, 0, 0, &error);
        assert_true(fds[i].fd != INVALID_SOCKET);
    }
    (void)poll_function(sender);
    assert_int_equal(poll_call(fds, COUNT, 10), 0);
    for (unsigned i = 0; i < BOUND; i += 7) {
        OK(spi_send_to_one(sender, "x", 1, &at[i]));
        ready++;
    }
    spi_await_readable(fds[(BOUND - 1) / 7 * 7 * (COUNT / BOUND)].fd); /* the last that was sent */
    assert_int_equal(poll_call(fds, COUNT, 5000), ready);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(fds[i].revents, i % (7 * (COUNT / BOUND)) == 0 ? POLLRDNORM : 0);
        if (i % (COUNT / BOUND) != 0) {
            OK(TABLE->lpWSPCloseSocket(fds[i].fd, &spi_error));
        }
    }
    free(fds);
}
