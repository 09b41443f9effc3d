/*
 * Cases of stream sockets' options that are agreed on in the handshake, kept by the provider, or
 * read from the connection's state; and of TCP's commands.
 */
#include "provider/spi/option_names.h"
#include "tests/spi/stream_kit.h"

static int get_raw(SOCKET s, int level, int name, void *value, int *bytes)
{
    return TABLE->lpWSPGetSockOpt(s, level, name, value, bytes, &spi_error);
}

/* ---- the handshake ---- */

CASE(WSPSetSockOpt, tcp_timestamps, "TCP_TIMESTAMPS reads back; of a connection it is WSAEINVAL")
{
    SOCKET s = stream_new();
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_TIMESTAMPS), 1); /* here the default */
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_TIMESTAMPS, 0));
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_TIMESTAMPS), 0);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_TIMESTAMPS, 3));
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_TIMESTAMPS), 1);
    struct stream_pair pair = stream_connected();
    FAILS(WSAEINVAL, spi_set_dword(pair.client, IPPROTO_TCP, TCP_TIMESTAMPS, 0));
}

CASE(WSPSetSockOpt, tcp_maxseg,
     "TCP_MAXSEG: what is asked for before connecting, then what is used")
{
    SOCKET s = stream_new();
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_MAXSEG), 536);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_MAXSEG, 1000));
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_MAXSEG), 1000);
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_MAXSEG, 65536));
    struct stream_pair pair = stream_connected();
    assert_true(spi_get_dword(pair.client, IPPROTO_TCP, TCP_MAXSEG) >= 536);
    FAILS(WSAEINVAL, spi_set_dword(pair.client, IPPROTO_TCP, TCP_MAXSEG, 1000));
}

CASE(WSPSetSockOpt, tcp_urgent_style,
     "TCP_BSDURGENT is TRUE for good, its inverse TCP_EXPEDITED_1122 FALSE")
{
    SOCKET s = stream_new();
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_BSDURGENT), 1);
    assert_int_equal(spi_get_dword(s, IPPROTO_TCP, TCP_EXPEDITED_1122), 0);
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_BSDURGENT, 1));
    OK(spi_set_dword(s, IPPROTO_TCP, TCP_EXPEDITED_1122, 0));
    FAILS(WSAEINVAL, spi_set_dword(s, IPPROTO_TCP, TCP_BSDURGENT, 0));
    FAILS(WSAENOPROTOOPT, spi_set_dword(s, IPPROTO_TCP, TCP_EXPEDITED_1122, 1));
}

static int initial_rto(SOCKET s, USHORT rtt_ms, UCHAR retransmissions)
{
    const TCP_INITIAL_RTO_PARAMETERS in = {.Rtt = rtt_ms, .MaxSynRetransmissions = retransmissions};
    DWORD returned = 0;
    return TABLE->lpWSPIoctl(s, SIO_TCP_INITIAL_RTO, (LPVOID)(uintptr_t)&in, sizeof(in), NULL, 0,
                             &returned, NULL, NULL, NULL, &spi_error);
}

CASE(WSPIoctl, tcp_initial_rto, "SIO_TCP_INITIAL_RTO takes each value and its defaults")
{
    SOCKET s = stream_new();
    OK(initial_rto(s, 300, 2));
    OK(initial_rto(s, TCP_INITIAL_RTO_UNSPECIFIED_RTT,
                   TCP_INITIAL_RTO_UNSPECIFIED_MAX_SYN_RETRANSMISSIONS));
    OK(initial_rto(s, TCP_INITIAL_RTO_DEFAULT_RTT,
                   TCP_INITIAL_RTO_DEFAULT_MAX_SYN_RETRANSMISSIONS));
    OK(initial_rto(s, 1, TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS));
}

CASE(WSPIoctl, tcp_initial_rto_late, "SIO_TCP_INITIAL_RTO of a connection is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAEINVAL, initial_rto(pair.client, 300, 2));
}

CASE(WSPIoctl, tcp_initial_rto_fault, "SIO_TCP_INITIAL_RTO cut short, or unreadable, is WSAEFAULT")
{
    TCP_INITIAL_RTO_PARAMETERS in = {0};
    DWORD returned = 0;
    SOCKET s = stream_new();
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, SIO_TCP_INITIAL_RTO, &in, sizeof(in) - 1, NULL, 0,
                                       &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, SIO_TCP_INITIAL_RTO, spi_bad_pointer(), sizeof(in), NULL,
                                       0, &returned, NULL, NULL, NULL, &spi_error));
}

/* ---- commands ---- */

CASE(WSPIoctl, tcp_fast_path, "SIO_LOOPBACK_FAST_PATH is accepted; an output buffer is WSAEINVAL")
{
    DWORD value = 1;
    DWORD returned = 0;
    SOCKET s = stream_new();
    OK(spi_ioctl_in(s, SIO_LOOPBACK_FAST_PATH, 1));
    OK(spi_ioctl_in(s, SIO_LOOPBACK_FAST_PATH, 0));
    FAILS(WSAEINVAL, TABLE->lpWSPIoctl(s, SIO_LOOPBACK_FAST_PATH, &value, sizeof(value), &value,
                                       sizeof(value), &returned, NULL, NULL, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPIoctl(s, SIO_LOOPBACK_FAST_PATH, spi_bad_pointer(), 4, NULL, 0,
                                       &returned, NULL, NULL, NULL, &spi_error));
}

/* ---- kept by the provider ---- */

CASE(WSPSetSockOpt, tcp_conditional, "SO_CONDITIONAL_ACCEPT is FALSE at first and reads back")
{
    SOCKET s = stream_new();
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT), 0);
    OK(spi_set_dword(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 9));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT), 1);
}

CASE(WSPSetSockOpt, tcp_conditional_late,
     "SO_CONDITIONAL_ACCEPT of a listening socket is WSAEINVAL")
{
    SOCKADDR_IN at;
    SOCKET s = stream_listener(&at);
    FAILS(WSAEINVAL, spi_set_dword(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 1));
    assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_CONDITIONAL_ACCEPT), 0);
}

static int CALLBACK condition_reject(LPWSABUF caller_id, LPWSABUF caller_data, LPQOS socket_qos,
                                     LPQOS group_qos, LPWSABUF callee_id, LPWSABUF callee_data,
                                     GROUP *group, DWORD_PTR data)
{
    (void)caller_id, (void)caller_data, (void)socket_qos, (void)group_qos, (void)callee_id;
    (void)callee_data, (void)group, (void)data;
    return CF_REJECT;
}

CASE(WSPAccept, tcp_conditional_reject, "SO_CONDITIONAL_ACCEPT: the program rejects a connection")
{
    SOCKADDR_IN at;
    char byte;
    DWORD got = 0;
    SOCKET listener = stream_bound(&at);
    OK(spi_set_dword(listener, SOL_SOCKET, SO_CONDITIONAL_ACCEPT, 1));
    OK(TABLE->lpWSPListen(listener, 4, &spi_error));
    SOCKET client = stream_new();
    OK(spi_connect_to(client, &at));
    FAILS(WSAECONNREFUSED, (int)stream_accept_if(listener, condition_reject, 0));
    FAILS(WSAECONNRESET, stream_recv(client, &byte, 1, 0, &got));
}

CASE(WSPAccept, tcp_kept_inherits, "an accepted socket has the listener's options, these too")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_bound(&at);
    OK(spi_set_dword(listener, SOL_SOCKET, SO_GROUP_PRIORITY, 3));
    OK(spi_set_dword(listener, IPPROTO_TCP, TCP_TIMESTAMPS, 0));
    OK(TABLE->lpWSPListen(listener, 4, &spi_error));
    SOCKET client = stream_new();
    OK(spi_connect_to(client, &at));
    SOCKET server = stream_accept(listener);
    assert_int_equal(spi_get_dword(server, SOL_SOCKET, SO_GROUP_PRIORITY), 3);
    assert_int_equal(spi_get_dword(server, IPPROTO_TCP, TCP_TIMESTAMPS), 0);
}

/* ---- the connection's state ---- */

CASE(WSPGetSockOpt, tcp_bsp_state,
     "SO_BSP_STATE of a connection: both addresses, type and protocol")
{
    struct {
        CSADDR_INFO info;
        char room[64];
    } bsp;
    int bytes = sizeof(bsp);
    struct stream_pair pair = stream_connected();
    SOCKADDR_IN local = spi_name(pair.client);
    OK(get_raw(pair.client, SOL_SOCKET, SO_BSP_STATE, &bsp, &bytes));
    assert_int_equal(bytes, sizeof(CSADDR_INFO) + 2 * sizeof(SOCKADDR_IN));
    assert_int_equal(bsp.info.iSocketType, SOCK_STREAM);
    assert_int_equal(bsp.info.iProtocol, IPPROTO_TCP);
    assert_memory_equal(bsp.info.LocalAddr.lpSockaddr, &local, sizeof(local));
    assert_memory_equal(bsp.info.RemoteAddr.lpSockaddr, &pair.at, sizeof(pair.at));
}

CASE(WSPGetSockOpt, tcp_ip_mtu, "IP_MTU: a connection's path; not connected is WSAENOTCONN")
{
    DWORD value = 0;
    int bytes = sizeof(value);
    struct stream_pair pair = stream_connected();
    FAILS(WSAENOTCONN, get_raw(stream_new(), IPPROTO_IP, IP_MTU, &value, &bytes));
    assert_true(spi_get_dword(pair.client, IPPROTO_IP, IP_MTU) >= 576);
}
