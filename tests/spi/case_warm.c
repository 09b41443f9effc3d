/*
 * Warm sends (provider/include/ringsock.h) on connections: by flag and by command nothing is sent,
 * and errors are those of a send.
 */
#include "provider/include/ringsock.h"
#include "tests/spi/stream_kit.h"

static int warm_ioctl(SOCKET s, const void *data, DWORD bytes)
{
    DWORD returned = 77;
    int result = TABLE->lpWSPIoctl(s, SIO_RINGSOCK_WARM, (void *)(uintptr_t)data, bytes, NULL, 0,
                                   &returned, NULL, NULL, NULL, &spi_error);
    assert_int_equal(returned, 0);
    return result;
}

static int warm_flag(SOCKET s, const void *data, DWORD bytes)
{
    DWORD sent = 77;
    int result = spi_send_one(s, data, bytes, MSG_RINGSOCK_WARM, &sent);
    assert_int_equal(sent, result == SOCKET_ERROR ? 77 : 0);
    return result;
}

CASE(WSPIoctl, warm_command, "SIO_RINGSOCK_WARM: nothing is sent, the stream goes on")
{
    struct stream_pair pair = stream_connected();
    OK(warm_ioctl(pair.client, "order", 5));
    OK(warm_ioctl(pair.client, NULL, 0));
    stream_send(pair.client, "one");
    OK(warm_ioctl(pair.client, "order", 5));
    stream_send(pair.client, "two");
    OK(warm_ioctl(pair.server, "order", 5));
    stream_expect(pair.server, "onetwo");
    assert_int_equal(stream_select(pair.server, READ, 0), 0);
    assert_int_equal(stream_select(pair.client, READ, 0), 0);
}

CASE(WSPIoctl, warm_command_state, "SIO_RINGSOCK_WARM: without a connection it is WSAENOTCONN")
{
    SOCKADDR_IN at;
    FAILS(WSAENOTCONN, warm_ioctl(stream_new(), "x", 1));
    FAILS(WSAENOTCONN, warm_ioctl(stream_bound(&at), "x", 1));
    FAILS(WSAENOTCONN, warm_ioctl(stream_listener(&at), "x", 1));
}

CASE(WSPIoctl, warm_command_fault, "SIO_RINGSOCK_WARM: bytes that cannot be read are WSAEFAULT")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAEFAULT, warm_ioctl(pair.client, spi_bad_pointer(), 1));
    stream_send(pair.client, "one");
    stream_expect(pair.server, "one");
}

CASE(WSPSend, warm_flag_sends_nothing, "MSG_RINGSOCK_WARM: 0 bytes, and the peer sees nothing")
{
    struct stream_pair pair = stream_connected();
    for (int i = 0; i < 50; i++) {
        OK(warm_flag(pair.client, "warm", 4));
        stream_send(pair.client, "order");
        stream_expect(pair.server, "order");
    }
    OK(warm_flag(pair.client, "warm", 4));
    stream_close(pair.client);
    stream_expect_end(pair.server);
}

CASE(WSPSend, warm_flag_full, "MSG_RINGSOCK_WARM does not block, also where a send would")
{
    struct stream_pair pair = stream_connected();
    size_t bytes = stream_fill(pair.client);
    OK(warm_flag(pair.client, "warm", 4));
    stream_drain(pair.server, bytes);
}

CASE(WSPSend, warm_flag_state, "MSG_RINGSOCK_WARM: errors are those of a send")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAENOTCONN, warm_flag(stream_new(), "x", 1));
    OK(TABLE->lpWSPShutdown(pair.client, SD_SEND, &spi_error));
    FAILS(WSAESHUTDOWN, warm_flag(pair.client, "x", 1));
    FAILS(WSAESHUTDOWN, warm_ioctl(pair.client, "x", 1));
    pair = stream_connected();
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    FAILS(WSAECONNRESET, warm_flag(pair.client, "x", 1));
}

CASE(WSPSend, warm_flag_oob, "MSG_RINGSOCK_WARM with MSG_OOB is WSAEOPNOTSUPP")
{
    struct stream_pair pair = stream_connected();
    DWORD sent;
    FAILS(WSAEOPNOTSUPP, spi_send_one(pair.client, "x", 1, MSG_RINGSOCK_WARM | MSG_OOB, &sent));
}
