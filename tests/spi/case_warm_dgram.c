/*
 * Warm sends (provider/include/ringsock.h) of datagram sockets.
 */
#include "provider/include/ringsock.h"
#include "tests/spi/spi_test.h"

CASE(WSPSend, warm_dgram, "MSG_RINGSOCK_WARM on a connected datagram socket: nothing is sent")
{
    static char data[2000];
    SOCKADDR_IN at;
    SOCKET receiver = spi_bound(&at), s = spi_udp();
    char got[8] = {0};
    DWORD count = 77, flags = 0;
    OK(spi_connect_to(s, &at));
    OK(spi_send_one(s, data, 10, MSG_RINGSOCK_WARM, &count));
    assert_int_equal(count, 0);
    OK(spi_send_one(s, data, sizeof(data), MSG_RINGSOCK_WARM, &count));
    OK(spi_send_one(s, "one", 3, 0, &count));
    assert_int_equal(count, 3);
    OK(spi_recv_one(receiver, got, sizeof(got), &flags, &count));
    assert_int_equal(count, 3);
    assert_memory_equal(got, "one", 3);
    spi_nonblocking(receiver);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(receiver, got, sizeof(got), &flags, &count));
}

CASE(WSPSend, warm_dgram_state, "MSG_RINGSOCK_WARM without a peer is WSAENOTCONN")
{
    DWORD count;
    FAILS(WSAENOTCONN, spi_send_one(spi_udp(), "x", 1, MSG_RINGSOCK_WARM, &count));
    FAILS(WSAENOTCONN, spi_send_one(spi_bound(NULL), "x", 1, MSG_RINGSOCK_WARM, &count));
}

CASE(WSPSendTo, warm_dgram_address, "MSG_RINGSOCK_WARM with an address is WSAEOPNOTSUPP")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    WSABUF buffer = {.len = 1, .buf = "x"};
    DWORD sent = 0;
    FAILS(WSAEOPNOTSUPP,
          TABLE->lpWSPSendTo(s, &buffer, 1, &sent, MSG_RINGSOCK_WARM, (const struct sockaddr *)&at,
                             sizeof(at), NULL, NULL, NULL, &spi_error));
}

CASE(WSPIoctl, warm_dgram_command, "SIO_RINGSOCK_WARM of a datagram socket: as the flag")
{
    SOCKADDR_IN at;
    SOCKET receiver = spi_bound(&at), s = spi_udp();
    DWORD returned = 77;
    char got[8];
    DWORD count, flags = 0;
    FAILS(WSAENOTCONN, TABLE->lpWSPIoctl(s, SIO_RINGSOCK_WARM, "order", 5, NULL, 0, &returned, NULL,
                                         NULL, NULL, &spi_error));
    OK(spi_connect_to(s, &at));
    OK(TABLE->lpWSPIoctl(s, SIO_RINGSOCK_WARM, "order", 5, NULL, 0, &returned, NULL, NULL, NULL,
                         &spi_error));
    assert_int_equal(returned, 0);
    spi_nonblocking(receiver);
    FAILS(WSAEWOULDBLOCK, spi_recv_one(receiver, got, sizeof(got), &flags, &count));
}
