/*
 * Cases of the options and commands of stream sockets.
 */
#include <string.h>

#include "provider/spi/option_names.h"
#include "tests/spi/stream_kit.h"

/* Set and read back: fresh, bound, connected. */
static void keeps(int level, int name, DWORD value)
{
    SOCKADDR_IN at;
    SOCKET sockets[] = {stream_new(), stream_bound(&at), stream_connected().client};
    for (unsigned i = 0; i < 3; i++) {
        OK(spi_set_dword(sockets[i], level, name, value));
        assert_int_equal(spi_get_dword(sockets[i], level, name), value);
    }
}

static void starts(int level, int name, DWORD value)
{
    assert_int_equal(spi_get_dword(spi_new_of(SOCK_STREAM, IPPROTO_TCP, 0), level, name), value);
}

CASE(WSPSetSockOpt, tcp_bools, "TCP_NODELAY, SO_KEEPALIVE, SO_OOBINLINE: FALSE, read back as set")
{
    static const int options[][2] = {
        {IPPROTO_TCP, TCP_NODELAY}, {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_OOBINLINE}};
    for (unsigned i = 0; i < 3; i++) {
        starts(options[i][0], options[i][1], 0);
        keeps(options[i][0], options[i][1], 1);
        SOCKET s = stream_new();
        OK(spi_set_dword(s, options[i][0], options[i][1], 77));
        assert_int_equal(spi_get_dword(s, options[i][0], options[i][1]), 1);
        FAILS(WSAEFAULT,
              TABLE->lpWSPSetSockOpt(s, options[i][0], options[i][1], "x", 1, &spi_error));
    }
}

CASE(WSPSetSockOpt, tcp_buffers, "SO_RCVBUF and SO_SNDBUF read back as set")
{
    keeps(SOL_SOCKET, SO_RCVBUF, 32768);
    keeps(SOL_SOCKET, SO_SNDBUF, 16384);
}

CASE(WSPSetSockOpt, tcp_keepalive_times,
     "TCP_KEEPIDLE, _KEEPINTVL and _KEEPCNT: Windows' defaults, seconds")
{
    starts(IPPROTO_TCP, TCP_KEEPIDLE, 7200);
    starts(IPPROTO_TCP, TCP_KEEPALIVE, 7200);
    starts(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    starts(IPPROTO_TCP, TCP_KEEPCNT, 10);
    keeps(IPPROTO_TCP, TCP_KEEPIDLE, 60);
    keeps(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    keeps(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

CASE(WSPSetSockOpt, tcp_keepalive_range,
     "times of 0 or beyond, and 0 or over 255 probes, are WSAEINVAL")
{
    SOCKET s = stream_new();
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_KEEPIDLE, 0));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_KEEPIDLE, 5000000));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_KEEPINTVL, 0));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_KEEPCNT, 0));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_KEEPCNT, 256));
    FAILS(WSAEFAULT, TABLE->lpWSPSetSockOpt(s, IPPROTO_TCP, TCP_KEEPCNT, "x", 1, &spi_error));
}

CASE(WSPSetSockOpt, tcp_maxrt, "TCP_MAXRT in seconds, TCP_MAXRTMS the same in ms; -1 is for ever")
{
    SOCKET s = stream_new();
    keeps(IPPROTO_TCP, TCP_MAXRT, 12);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_MAXRTMS, 1500));
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_MAXRTMS), 1500);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_MAXRT), 2);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_MAXRT, (DWORD)-1));
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_MAXRT), (DWORD)-1);
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_MAXRT, (DWORD)-2));
}

CASE(WSPSetSockOpt, tcp_linger, "SO_LINGER and SO_DONTLINGER are two sides of one thing")
{
    SOCKET s = stream_new();
    struct linger linger = {.l_onoff = 9};
    int bytes = sizeof(linger);
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_DONTLINGER), 1);
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(bytes, sizeof(linger));
    assert_int_equal(linger.l_onoff, 0);
    OK(stream_linger(s, 1, 30));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_DONTLINGER), 0);
    OK(spi_set_dword(s, SOL_SOCKET, SO_DONTLINGER, 1));
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(linger.l_onoff, 0);
    assert_int_equal(linger.l_linger, 30);
    OK(spi_set_dword(s, SOL_SOCKET, SO_DONTLINGER, 0));
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 30);
}

CASE(WSPSetSockOpt, tcp_linger_off_time,
     "SO_LINGER with l_onoff 0: the structure is copied, so its time is kept; SO_DONTLINGER FALSE "
     "takes it")
{
    SOCKET s = stream_new();
    struct linger linger = {0};
    int bytes = sizeof(linger);
    OK(stream_linger(s, 0, 5));
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(linger.l_onoff, 0);
    assert_int_equal(linger.l_linger, 5);
    OK(spi_set_dword(s, SOL_SOCKET, SO_DONTLINGER, 0));
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 5);
}

CASE(WSPSetSockOpt, tcp_linger_fault, "SO_LINGER cut short, or unreadable, is WSAEFAULT")
{
    SOCKET s = stream_new();
    struct linger linger = {0};
    int bytes = 3;
    FAILS(WSAEFAULT,
          TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, 3, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_LINGER, spi_bad_pointer(),
                                            sizeof(linger), &spi_error));
    FAILS(WSAEFAULT,
          TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(bytes, sizeof(linger));
}

CASE(WSPSetSockOpt, tcp_dgram_options, "options that only datagram sockets have are WSAENOPROTOOPT")
{
    SOCKET s = stream_new();
    struct ip_mreq mreq = {.imr_multiaddr.s_addr = 0x070707efu};
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_BROADCAST, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_IP, IP_MULTICAST_TTL, 1));
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPSetSockOpt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP,
                                                 (const char *)&mreq, sizeof(mreq), &spi_error));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_TCP, 0x7abc, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_ACCEPTCONN, 1));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_CONNECT_TIME, 1));
}

/* ---- what can only be read ---- */

CASE(WSPGetSockOpt, tcp_acceptconn, "SO_ACCEPTCONN is TRUE on a listening socket only")
{
    SOCKADDR_IN at;
    struct stream_pair pair = stream_connected();
    assert_int_equal(spi_get_dword(stream_new(), SOL_SOCKET, SO_ACCEPTCONN), 0);
    assert_int_equal(spi_get_dword(stream_bound(&at), SOL_SOCKET, SO_ACCEPTCONN), 0);
    assert_int_equal(spi_get_dword(pair.listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(spi_get_dword(pair.server, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

CASE(WSPGetSockOpt, tcp_connect_time, "SO_CONNECT_TIME: seconds, 0xffffffff without a connection")
{
    SOCKADDR_IN at;
    assert_int_equal(spi_get_dword(stream_new(), SOL_SOCKET, SO_CONNECT_TIME), 0xffffffffu);
    assert_int_equal(spi_get_dword(stream_listener(&at), SOL_SOCKET, SO_CONNECT_TIME), 0xffffffffu);
    struct stream_pair pair = stream_connected();
    assert_in_range(spi_get_dword(pair.client, SOL_SOCKET, SO_CONNECT_TIME), 0, 5);
    assert_in_range(spi_get_dword(pair.server, SOL_SOCKET, SO_CONNECT_TIME), 0, 5);
    Sleep(1100);
    assert_in_range(spi_get_dword(pair.client, SOL_SOCKET, SO_CONNECT_TIME), 1, 6);
    assert_in_range(spi_get_dword(pair.server, SOL_SOCKET, SO_CONNECT_TIME), 1, 6);
}

CASE(WSPGetSockOpt, tcp_max_msg, "SO_MAX_MSG_SIZE, which streams have not, is WSAENOPROTOOPT")
{
    DWORD value;
    int bytes = sizeof(value);
    FAILS(WSAENOPROTOOPT, TABLE->lpWSPGetSockOpt(stream_new(), SOL_SOCKET, SO_MAX_MSG_SIZE,
                                                 (char *)&value, &bytes, &spi_error));
}

/* ---- WSPIoctl ---- */

CASE(WSPIoctl, tcp_readable_bytes, "FIONREAD: what one receive can take, 0 when there is nothing")
{
    struct stream_pair pair = stream_connected();
    assert_int_equal(stream_ioctl_dword(stream_new(), (DWORD)FIONREAD), 0);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)FIONREAD), 0);
    stream_send(pair.client, "seven b");
    stream_await(pair.server, READ);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)FIONREAD), 7);
}

static int keepalive_vals(SOCKET s, u_long on, u_long time_ms, u_long interval_ms, DWORD bytes)
{
    struct tcp_keepalive vals = {on, time_ms, interval_ms};
    DWORD returned = 0;
    return TABLE->lpWSPIoctl(s, SIO_KEEPALIVE_VALS, &vals, bytes, NULL, 0, &returned, NULL, NULL,
                             NULL, &spi_error);
}

CASE(WSPIoctl, tcp_keepalive_vals, "SIO_KEEPALIVE_VALS sets what the options show")
{
    SOCKET s = stream_connected().client;
    OK(keepalive_vals(s, 1, 30000, 2000, sizeof(struct tcp_keepalive)));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_KEEPINTVL), 2);
    OK(keepalive_vals(s, 0, 1, 1, sizeof(struct tcp_keepalive)));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    FAILS(WSAEFAULT, keepalive_vals(s, 1, 1, 1, 8));
}

CASE(WSPIoctl, tcp_mark_state, "SIOCATMARK without a connection is WSAENOTCONN")
{
    DWORD value;
    DWORD returned;
    FAILS(WSAENOTCONN, TABLE->lpWSPIoctl(stream_new(), (DWORD)SIOCATMARK, NULL, 0, &value,
                                         sizeof(value), &returned, NULL, NULL, NULL, &spi_error));
}

CASE(WSPIoctl, tcp_dgram_commands, "commands that only datagram sockets have are WSAEINVAL")
{
    SOCKET s = stream_new();
    FAILS(WSAEINVAL, spi_ioctl_in(s, SIO_UDP_CONNRESET, 1));
    FAILS(WSAEINVAL, spi_ioctl_in(s, SIO_MULTIPOINT_LOOPBACK, 1));
    FAILS(WSAEINVAL, spi_ioctl_in(s, SIO_MULTICAST_SCOPE, 1));
}

CASE(WSPIoctl, tcp_base_handle, "SIO_BASE_HANDLE of a stream is the socket itself")
{
    SOCKET s = stream_new();
    SOCKET base = INVALID_SOCKET;
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(s, SIO_BASE_HANDLE, NULL, 0, &base, sizeof(base), &returned, NULL, NULL,
                         NULL, &spi_error));
    assert_true(base == s);
}

CASE(WSPIoctl, tcp_readable_states,
     "FIONREAD: 0 on a listener, at the end, and beside an urgent byte")
{
    SOCKADDR_IN at;
    struct stream_pair pair = stream_connected();
    assert_int_equal(stream_ioctl_dword(stream_listener(&at), (DWORD)FIONREAD), 0);
    stream_close(pair.client);
    stream_await(pair.server, READ);
    assert_int_equal(stream_ioctl_dword(pair.server, (DWORD)FIONREAD), 0);
}

CASE(WSPIoctl, tcp_keepalive_fault,
     "SIO_KEEPALIVE_VALS without its structure is WSAEFAULT, nothing changes")
{
    SOCKET s = stream_new();
    DWORD returned = 77;
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, SIO_KEEPALIVE_VALS, NULL, 0, NULL, 0, &returned, NULL,
                                       NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, SIO_KEEPALIVE_VALS, spi_bad_pointer(), 12, NULL, 0,
                                       &returned, NULL, NULL, NULL, &spi_error));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_KEEPALIVE), 0);
    OK(keepalive_vals(s, 1, 1000, 1000, sizeof(struct tcp_keepalive)));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_KEEPALIVE), 1);
}

CASE(WSPGetSockOpt, tcp_option_fault, "no room for a value, or none to write to, is WSAEFAULT")
{
    static const int options[][2] = {{SOL_SOCKET, SO_KEEPALIVE},    {SOL_SOCKET, SO_ERROR},
                                     {SOL_SOCKET, SO_DONTLINGER},   {SOL_SOCKET, SO_ACCEPTCONN},
                                     {SOL_SOCKET, SO_CONNECT_TIME}, {IPPROTO_TCP, TCP_NODELAY},
                                     {IPPROTO_TCP, TCP_KEEPCNT},    {IPPROTO_TCP, TCP_MAXRT}};
    SOCKET s = stream_new();
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        char value[4];
        int bytes = 1;
        FAILS(WSAEFAULT,
              TABLE->lpWSPGetSockOpt(s, options[i][0], options[i][1], value, &bytes, &spi_error));
        bytes = sizeof(value);
        FAILS(WSAEFAULT, TABLE->lpWSPGetSockOpt(s, options[i][0], options[i][1], spi_bad_pointer(),
                                                &bytes, &spi_error));
        FAILS(WSAEFAULT,
              TABLE->lpWSPGetSockOpt(s, options[i][0], options[i][1], value, NULL, &spi_error));
    }
}

CASE(WSPSetSockOpt, tcp_not_implemented,
     "options that a provider need not have, and does not, are WSAENOPROTOOPT both ways")
{
    static const int options[][2] = {{IPPROTO_TCP, TCP_FASTOPEN},
                                     {IPPROTO_IP, IP_OPTIONS},
                                     {IPPROTO_IP, IP_HDRINCL},
                                     {IPPROTO_IP, IP_DONTFRAGMENT},
                                     {SOL_SOCKET, 0x3003 /* SO_PAUSE_ACCEPT */},
                                     {SOL_SOCKET, PVD_CONFIG}};
    SOCKET s = stream_new();
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        DWORD value = 1;
        int bytes = sizeof(value);
        FAILS(WSAENOPROTOOPT, spi_set_dword(s, options[i][0], options[i][1], 1));
        FAILS(WSAENOPROTOOPT, TABLE->lpWSPGetSockOpt(s, options[i][0], options[i][1],
                                                     (char *)&value, &bytes, &spi_error));
    }
}

CASE(WSPSetSockOpt, tcp_level, "a level that is unknown is WSAEINVAL")
{
    DWORD value;
    int bytes = sizeof(value);
    SOCKET s = stream_new();
    FAILS(WSAEINVAL, spi_set_dword(s, 0x1234, 1, 1));
    FAILS(WSAEINVAL, TABLE->lpWSPGetSockOpt(s, 0x1234, 1, (char *)&value, &bytes, &spi_error));
}

CASE(WSPSetSockOpt, tcp_linger_range, "SO_LINGER: each of 65536 times, any value but 0 is on")
{
    SOCKET s = stream_new();
    struct linger linger = {0};
    int bytes = sizeof(linger);
    OK(stream_linger(s, 0xffff, 0xffff));
    OK(TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes, &spi_error));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 0xffff);
}

CASE(WSPSetSockOpt, tcp_small_buffers, "SO_RCVBUF and SO_SNDBUF of 0 still carry a stream")
{
    struct stream_pair pair = stream_connected();
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_SNDBUF, 0));
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVBUF, 0));
    for (unsigned i = 0; i < 20; i++) {
        stream_send(pair.client, "byte by byte");
        stream_expect(pair.server, "byte by byte");
    }
}

CASE(WSPGetSockOpt, tcp_acceptconn_closed, "SO_ACCEPTCONN of a closed listener is WSAENOTSOCK")
{
    SOCKADDR_IN at;
    DWORD value;
    int bytes = sizeof(value);
    SOCKET s = stream_listener(&at);
    stream_close(s);
    FAILS(WSAENOTSOCK,
          TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_ACCEPTCONN, (char *)&value, &bytes, &spi_error));
}
