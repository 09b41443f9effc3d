/* SIO_TCP_INFO and SO_CONNECT_TIME of stream sockets, on the fake dataplane and on ringsockd. See
 * spi_test.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "stream_kit.h"

#include <cmocka.h>

static int tcp_info(SOCKET s, DWORD version, void *out, DWORD bytes, DWORD *returned)
{
    return TABLE->lpWSPIoctl(s, SIO_TCP_INFO, &version, sizeof(version), out, bytes, returned, NULL,
                             NULL, NULL, &spi_error);
}

CASE(WSPIoctl, tcp_info_v0, "SIO_TCP_INFO, version 0: TCP_INFO_v0 of both ends")
{
    struct stream_pair pair = stream_connected();
    TCP_INFO_v0 info[2];
    stream_send(pair.client, "seven b");
    stream_expect(pair.server, "seven b");
    for (int i = 0; i < 2; i++) {
        DWORD returned = 0;
        memset(info, 0xee, sizeof(info));
        OK(tcp_info(i == 0 ? pair.client : pair.server, 0, info, sizeof(info), &returned));
        assert_int_equal(returned, sizeof(info[0]));
        assert_int_equal(info[0].State, TCPSTATE_ESTABLISHED);
        assert_int_equal(info[0].BytesOut, i == 0 ? 7 : 0);
        assert_int_equal(info[0].BytesIn, i == 0 ? 0 : 7);
        assert_int_not_equal(info[0].Mss, 0);
        assert_int_not_equal(info[0].RcvBuf, 0);
        assert_true(info[0].ConnectionTimeMs < 60000);
        assert_int_equal(info[0].BytesRetrans + info[0].TimeoutEpisodes + info[0].SynRetrans, 0);
        assert_int_equal(info[1].Mss, 0xeeeeeeeeu); /* nothing behind it */
    }
}

CASE(WSPIoctl, tcp_info_v1, "SIO_TCP_INFO, version 1: TCP_INFO_v1, and v0 is its beginning")
{
    struct stream_pair pair = stream_connected();
    TCP_INFO_v0 old;
    TCP_INFO_v1 info;
    DWORD returned = 0;
    stream_send(pair.client, "seven b");
    stream_expect(pair.server, "seven b");
    OK(tcp_info(pair.client, 0, &old, sizeof(old), &returned));
    memset(&info, 0xee, sizeof(info));
    OK(tcp_info(pair.client, 1, &info, sizeof(info), &returned));
    assert_int_equal(returned, sizeof(info));
    assert_int_equal(info.State, old.State);
    assert_int_equal(info.Mss, old.Mss);
    assert_int_equal(info.BytesOut, old.BytesOut);
    assert_int_equal(info.RcvBuf, old.RcvBuf);
    assert_in_range(info.ConnectionTimeMs, old.ConnectionTimeMs, old.ConnectionTimeMs + 60000);
    /* ringsockd's: nothing has held it back; the fake's: 1, 2, 3 */
    bool fake = info.SndLimTransRwin == 1;
    assert_int_equal(info.SndLimTransRwin, fake ? 1 : 0);
    assert_int_equal(info.SndLimTransCwnd, fake ? 2 : 0);
    assert_int_equal(info.SndLimTransSnd, fake ? 3 : 0);
    assert_int_equal(info.SndLimBytesSnd, fake ? 0 : 7);
    assert_int_equal(info.SndLimBytesRwin + info.SndLimBytesCwnd, 0);
}

CASE(WSPIoctl, tcp_info_connecting, "SIO_TCP_INFO of a connect under way: TCPSTATE_SYN_SENT")
{
    TCP_INFO_v0 info;
    DWORD returned;
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(s, &silent));
    OK(tcp_info(s, 0, &info, sizeof(info), &returned));
    assert_int_equal(info.State, TCPSTATE_SYN_SENT);
    assert_int_equal(info.ConnectionTimeMs, 0);
}

CASE(WSPIoctl, tcp_info_size, "SIO_TCP_INFO: an input buffer that is no DWORD is WSAEMSGSIZE")
{
    TCP_INFO_v1 info;
    DWORD version[2] = {0}, returned = 1;
    SOCKET s = stream_connected().client;
    const DWORD sizes[] = {0, 3, 8};
    for (unsigned i = 0; i < 3; i++) {
        FAILS(WSAEMSGSIZE,
              TABLE->lpWSPIoctl(s, SIO_TCP_INFO, version, sizes[i], &info, sizeof(info), &returned,
                                NULL, NULL, NULL, &spi_error));
        assert_int_equal(returned, 0);
    }
    FAILS(WSAEMSGSIZE, TABLE->lpWSPIoctl(s, SIO_TCP_INFO, NULL, sizeof(version[0]), &info,
                                         sizeof(info), &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT,
          TABLE->lpWSPIoctl(s, SIO_TCP_INFO, spi_bad_pointer(), sizeof(version[0]), &info,
                            sizeof(info), &returned, NULL, NULL, NULL, &spi_error));
}

CASE(WSPIoctl, tcp_info_short, "SIO_TCP_INFO: an output buffer too small is WSAEINVAL, 0 returned")
{
    TCP_INFO_v1 info;
    DWORD returned = 1;
    SOCKET s = stream_connected().client;
    FAILS(WSAEINVAL, tcp_info(s, 0, &info, sizeof(TCP_INFO_v0) - 1, &returned));
    assert_int_equal(returned, 0);
    returned = 1;
    FAILS(WSAEINVAL, tcp_info(s, 1, &info, sizeof(TCP_INFO_v1) - 1, &returned));
    assert_int_equal(returned, 0);
    FAILS(WSAEINVAL, tcp_info(s, 1, &info, 0, &returned));
    FAILS(WSAEFAULT, tcp_info(s, 0, spi_bad_pointer(), sizeof(info), &returned));
    FAILS(WSAEFAULT, tcp_info(s, 0, &info, sizeof(info), NULL));
}

CASE(WSPIoctl, tcp_info_version, "SIO_TCP_INFO: a version that does not exist is WSAEINVAL")
{
    TCP_INFO_v1 info;
    DWORD returned = 1;
    SOCKET s = stream_connected().client;
    FAILS(WSAEINVAL, tcp_info(s, 2, &info, sizeof(info), &returned));
    FAILS(WSAEINVAL, tcp_info(s, UINT32_MAX, &info, sizeof(info), &returned));
    assert_int_equal(returned, 0);
}

CASE(WSPIoctl, tcp_info_state,
     "SIO_TCP_INFO without a connection, or of a datagram socket: WSAEINVAL")
{
    SOCKADDR_IN at;
    TCP_INFO_v1 info;
    DWORD returned = 1;
    FAILS(WSAEINVAL, tcp_info(stream_new(), 0, &info, sizeof(info), &returned));
    FAILS(WSAEINVAL, tcp_info(stream_bound(&at), 0, &info, sizeof(info), &returned));
    FAILS(WSAEINVAL, tcp_info(stream_listener(&at), 0, &info, sizeof(info), &returned));
    FAILS(WSAEINVAL, tcp_info(spi_udp(), 0, &info, sizeof(info), &returned));
    assert_int_equal(returned, 0);
}

CASE(WSPGetSockOpt, tcp_connect_time_waits,
     "SO_CONNECT_TIME counts from the handshake, not from accept or the first look")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    SOCKET client = stream_new();
    spi_nonblocking(client);
    FAILS(WSAEWOULDBLOCK, spi_connect_to(client, &at));
    stream_await(client, WRITE);
    Sleep(1100);
    SOCKET server = stream_accept(listener);
    assert_in_range(spi_get_dword(client, SOL_SOCKET, SO_CONNECT_TIME), 1, 6);
    assert_in_range(spi_get_dword(server, SOL_SOCKET, SO_CONNECT_TIME), 1, 6);
}
