/*
 * Error codes that the functions' pages list and that no case about what a function does comes by:
 * mostly those of datagram sockets, and of WSPJoinLeaf. tests/spi/README.md has the codes that have
 * no case. Against ringsockd.exe only: the fake dataplane has no groups.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/stream_kit.h"

/* ---- WSPJoinLeaf ---- */

#define LEAF (WSA_FLAG_OVERLAPPED | WSA_FLAG_MULTIPOINT_C_LEAF | WSA_FLAG_MULTIPOINT_D_LEAF)

/* WSPJoinLeaf gives the socket back, or an error: as the others' results. */
static int join_as(SOCKET s, const SOCKADDR_IN *group, int name_bytes, DWORD flags)
{
    SOCKET leaf = TABLE->lpWSPJoinLeaf(s, (const struct sockaddr *)group, name_bytes, NULL, NULL,
                                       NULL, NULL, flags, &spi_error);
    assert_true(leaf == s || leaf == INVALID_SOCKET);
    return leaf == s ? 0 : SOCKET_ERROR;
}

static int join(SOCKET s, const SOCKADDR_IN *group, DWORD flags)
{
    return join_as(s, group, sizeof(*group), flags);
}

static int join_with(SOCKET s, const SOCKADDR_IN *group, WSABUF *caller, WSABUF *callee)
{
    SOCKET leaf = TABLE->lpWSPJoinLeaf(s, (const struct sockaddr *)group, sizeof(*group), caller,
                                       callee, NULL, NULL, JL_BOTH, &spi_error);
    return leaf == s ? 0 : SOCKET_ERROR;
}

CASE(WSPJoinLeaf, codes_leaf_member,
     "a socket that is a member of the session is WSAEISCONN; another session may be joined")
{
    SOCKADDR_IN group = spi_at("239.7.8.1", 17011);
    SOCKADDR_IN other = spi_at("239.7.8.2", 17011);
    SOCKET s = spi_new(LEAF);
    OK(join(s, &group, JL_BOTH));
    FAILS(WSAEISCONN, join(s, &group, JL_BOTH));
    FAILS(WSAEISCONN, join(s, &group, JL_RECEIVER_ONLY));
    FAILS(WSAEISCONN, join(s, &group, JL_SENDER_ONLY));
    OK(join(s, &other, JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_twice,
     "a sender that joins as sender again is WSAEISCONN; it may become a receiver, too")
{
    SOCKADDR_IN group = spi_at("239.7.8.3", 17012);
    SOCKET s = spi_new(LEAF);
    OK(join(s, &group, JL_SENDER_ONLY));
    FAILS(WSAEISCONN, join(s, &group, JL_SENDER_ONLY));
    OK(join(s, &group, JL_RECEIVER_ONLY));
}

CASE(WSPJoinLeaf, codes_leaf_caller,
     "user data for the session, which IP has not, are WSAEPROTONOSUPPORT; none is joined")
{
    SOCKADDR_IN group = spi_at("239.7.8.4", 17013);
    SOCKET s = spi_new(LEAF);
    WSABUF data = {.len = 4, .buf = "data"};
    FAILS(WSAEPROTONOSUPPORT, join_with(s, &group, &data, NULL));
    OK(join(s, &group, JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_callee, "lpCalleeData: its length becomes 0, as nothing comes back")
{
    SOCKADDR_IN group = spi_at("239.7.8.5", 17014);
    char place[8];
    WSABUF data = {.len = sizeof(place), .buf = place};
    OK(join_with(spi_new(LEAF), &group, NULL, &data));
    assert_int_equal(data.len, 0);
}

CASE(WSPJoinLeaf, codes_leaf_data_fault,
     "user data that cannot be read, or a place that cannot be written, is WSAEFAULT")
{
    SOCKADDR_IN group = spi_at("239.7.8.6", 17015);
    SOCKET s = spi_new(LEAF);
    FAILS(WSAEFAULT, join_with(s, &group, spi_bad_pointer(), NULL));
    FAILS(WSAEFAULT, join_with(s, &group, NULL, spi_bad_pointer()));
    FAILS(WSAEFAULT, join_with(s, &group, NULL, spi_read_only_page()));
    OK(join(s, &group, JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_short, "a name that is too short is WSAEFAULT")
{
    SOCKADDR_IN group = spi_at("239.7.8.7", 17016);
    SOCKET s = spi_new(LEAF);
    FAILS(WSAEFAULT, join_as(s, &group, sizeof(group) - 1, JL_BOTH));
    FAILS(WSAEFAULT, join_as(s, &group, 0, JL_BOTH));
    FAILS(WSAEFAULT, join_as(s, NULL, sizeof(group), JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_family, "an address of another family is WSAEAFNOSUPPORT")
{
    SOCKADDR_IN group = spi_at("239.7.8.8", 17017);
    group.sin_family = AF_INET6;
    FAILS(WSAEAFNOSUPPORT, join(spi_new(LEAF), &group, JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_any, "the address 0, or the port 0, is WSAEADDRNOTAVAIL")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 17018);
    SOCKADDR_IN no_port = spi_at("239.7.8.9", 0);
    SOCKET s = spi_new(LEAF);
    FAILS(WSAEADDRNOTAVAIL, join(s, &any, JL_BOTH));
    FAILS(WSAEADDRNOTAVAIL, join(s, &no_port, JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_port,
     "the group's port is somebody's, and an unbound leaf has no SO_REUSEADDR: WSAEADDRINUSE")
{
    SOCKADDR_IN at = spi_at("0.0.0.0", 17019);
    SOCKADDR_IN group = spi_at("239.7.8.10", 17019);
    SOCKET s = spi_new(LEAF);
    OK(spi_bind_at(spi_udp(), &at));
    FAILS(WSAEADDRINUSE, join(s, &group, JL_BOTH));
    OK(spi_set_dword(s, SOL_SOCKET, SO_REUSEADDR, 1));
    OK(join(s, &group, JL_BOTH));
}

CASE(WSPJoinLeaf, codes_leaf_stream, "a stream, which is no multipoint socket, is WSAEINVAL")
{
    SOCKADDR_IN group = spi_at("239.7.8.11", 17020);
    FAILS(WSAEINVAL, join(stream_new(), &group, JL_BOTH));
}

/* ---- WSPConnect, WSPSend and WSPSendTo of datagram sockets ---- */

CASE(WSPConnect, codes_connect_broadcast,
     "a datagram socket and a broadcast address without SO_BROADCAST: WSAEACCES")
{
    SOCKADDR_IN all = spi_at("255.255.255.255", 9);
    SOCKET s = spi_udp();
    FAILS(WSAEACCES, spi_connect_to(s, &all));
    OK(spi_set_dword(s, SOL_SOCKET, SO_BROADCAST, 1));
    OK(spi_connect_to(s, &all));
}

CASE(WSPConnect, codes_connect_data,
     "user data of a datagram socket's connect are ignored: \"silently\", also what is none")
{
    SOCKADDR_IN at;
    WSABUF data = {.len = 4, .buf = "data"};
    (void)spi_bound(&at);
    OK(TABLE->lpWSPConnect(spi_udp(), (const struct sockaddr *)&at, sizeof(at), &data, NULL, NULL,
                           NULL, &spi_error));
    OK(TABLE->lpWSPConnect(spi_udp(), (const struct sockaddr *)&at, sizeof(at), spi_bad_pointer(),
                           NULL, NULL, NULL, &spi_error));
}

CASE(WSPSend, codes_send_broadcast,
     "to a broadcast peer, SO_BROADCAST taken back meanwhile: WSAEACCES")
{
    SOCKADDR_IN all = spi_at("255.255.255.255", 9);
    SOCKET s = spi_udp();
    DWORD sent = 0;
    OK(spi_set_dword(s, SOL_SOCKET, SO_BROADCAST, 1));
    OK(spi_connect_to(s, &all));
    OK(spi_set_dword(s, SOL_SOCKET, SO_BROADCAST, 0));
    FAILS(WSAEACCES, spi_send_one(s, "x", 1, 0, &sent));
}

static int send_to_flags(SOCKET s, DWORD flags, const SOCKADDR_IN *to)
{
    DWORD sent = 0;
    WSABUF buffer = {.len = 1, .buf = "x"};
    return TABLE->lpWSPSendTo(s, &buffer, 1, &sent, flags, (const struct sockaddr *)to, sizeof(*to),
                              NULL, NULL, NULL, &spi_error);
}

CASE(WSPSendTo, codes_sendto_flags,
     "MSG_OOB, MSG_PARTIAL and flags it does not know are WSAEOPNOTSUPP on a datagram socket")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    FAILS(WSAEOPNOTSUPP, send_to_flags(s, MSG_OOB, &at));
    FAILS(WSAEOPNOTSUPP, send_to_flags(s, MSG_PARTIAL, &at));
    FAILS(WSAEOPNOTSUPP, send_to_flags(s, 0x4000, &at));
    OK(send_to_flags(s, MSG_DONTROUTE, &at));
}

CASE(WSPSendTo, codes_sendto_long,
     "more than SO_MAX_MSG_SIZE is WSAEMSGSIZE, and nothing is sent; as much as that is")
{
    static char data[65536];
    SOCKADDR_IN at;
    SOCKET to = spi_bound(&at);
    SOCKET s = spi_udp();
    DWORD flags = 0;
    DWORD got = 0;
    OK(spi_set_dword(to, SOL_SOCKET, SO_RCVBUF, 1 << 20));
    DWORD most = spi_get_dword(s, SOL_SOCKET, SO_MAX_MSG_SIZE);
    FAILS(WSAEMSGSIZE, spi_send_to_one(s, data, most + 1, &at));
    OK(spi_send_to_one(s, data, most, &at));
    OK(spi_recv_one(to, data, sizeof(data), &flags, &got));
    assert_int_equal(got, most);
}

CASE(WSPSendTo, codes_sendto_shut, "after SD_SEND and after SD_BOTH it is WSAESHUTDOWN")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    SOCKET both = spi_bound(NULL);
    OK(TABLE->lpWSPShutdown(s, SD_SEND, &spi_error));
    OK(TABLE->lpWSPShutdown(both, SD_BOTH, &spi_error));
    FAILS(WSAESHUTDOWN, spi_send_to_one(s, "x", 1, &at));
    FAILS(WSAESHUTDOWN, spi_send_to_one(both, "x", 1, &at));
}

CASE(WSPSendTo, codes_sendto_stream,
     "a stream: lpTo is ignored, without a connection it is WSAENOTCONN")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    struct stream_pair pair = stream_connected();
    FAILS(WSAENOTCONN, spi_send_to_one(stream_new(), "x", 1, &at));
    OK(spi_send_to_one(pair.client, "x", 1, &at));
    stream_expect(pair.server, "x");
}

CASE(WSPSendTo, codes_sendto_reset, "a stream whose peer reset is WSAECONNRESET")
{
    SOCKADDR_IN at;
    (void)spi_bound(&at);
    struct stream_pair pair = stream_connected();
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    FAILS(WSAECONNRESET, spi_send_to_one(pair.client, "x", 1, &at));
}

/* ---- WSPRecvFrom ---- */

static int recv_from_flags(SOCKET s, DWORD flags, DWORD room_bytes)
{
    char data[8];
    SOCKADDR_IN from;
    int from_bytes = sizeof(from);
    DWORD got = 0;
    WSABUF buffer = {.len = room_bytes, .buf = data};
    return TABLE->lpWSPRecvFrom(s, &buffer, 1, &got, &flags, (struct sockaddr *)&from, &from_bytes,
                                NULL, NULL, NULL, &spi_error);
}

CASE(WSPRecvFrom, codes_recvfrom_unbound, "a socket that is not bound is WSAEINVAL")
{
    FAILS(WSAEINVAL, recv_from_flags(spi_udp(), 0, 8));
}

CASE(WSPRecvFrom, codes_recvfrom_flags,
     "MSG_OOB and flags it does not know are WSAEOPNOTSUPP, and no datagram is lost")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_send_to_one(spi_udp(), "there", 5, &at));
    spi_await_readable(s);
    FAILS(WSAEOPNOTSUPP, recv_from_flags(s, MSG_OOB, 8));
    FAILS(WSAEOPNOTSUPP, recv_from_flags(s, 0x4000, 8));
    OK(recv_from_flags(s, 0, 8));
}

CASE(WSPRecvFrom, codes_recvfrom_shut, "after SD_RECEIVE it is WSAESHUTDOWN")
{
    SOCKET s = spi_bound(NULL);
    OK(TABLE->lpWSPShutdown(s, SD_RECEIVE, &spi_error));
    FAILS(WSAESHUTDOWN, recv_from_flags(s, 0, 8));
}

CASE(WSPRecvFrom, codes_recvfrom_nothing, "a non-blocking socket and nothing there: WSAEWOULDBLOCK")
{
    SOCKET s = spi_bound(NULL);
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, recv_from_flags(s, 0, 8));
}

CASE(WSPRecvFrom, codes_recvfrom_long,
     "a datagram longer than the buffer is WSAEMSGSIZE; what did not fit is lost")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    OK(spi_send_to_one(spi_udp(), "long", 4, &at));
    spi_await_readable(s);
    FAILS(WSAEMSGSIZE, recv_from_flags(s, 0, 2));
    spi_nonblocking(s);
    FAILS(WSAEWOULDBLOCK, recv_from_flags(s, 0, 8));
}

CASE(WSPRecvFrom, codes_recvfrom_stream,
     "a stream without a connection is WSAENOTCONN, one that was reset WSAECONNRESET")
{
    struct stream_pair pair = stream_connected();
    FAILS(WSAENOTCONN, recv_from_flags(stream_new(), 0, 8));
    stream_abort(pair.server);
    stream_await(pair.client, READ);
    FAILS(WSAECONNRESET, recv_from_flags(pair.client, 0, 8));
}

/* ---- names ---- */

static int name_of(int(WSPAPI *ask)(SOCKET, struct sockaddr *, LPINT, LPINT), SOCKET s, void *name,
                   int *bytes)
{
    return ask(s, name, bytes, &spi_error);
}

/* Each way that the page's WSAEFAULT has: either pointer, and a length that is too small. */
static void name_faults(int(WSPAPI *ask)(SOCKET, struct sockaddr *, LPINT, LPINT), SOCKET s)
{
    SOCKADDR_IN at;
    int bytes = sizeof(at);
    FAILS(WSAEFAULT, name_of(ask, s, NULL, &bytes));
    FAILS(WSAEFAULT, name_of(ask, s, spi_bad_pointer(), &bytes));
    FAILS(WSAEFAULT, name_of(ask, s, spi_read_only_page(), &bytes));
    FAILS(WSAEFAULT, name_of(ask, s, &at, NULL));
    FAILS(WSAEFAULT, name_of(ask, s, &at, spi_bad_pointer()));
    FAILS(WSAEFAULT, name_of(ask, s, &at, spi_read_only_page()));
    bytes = sizeof(at) - 1;
    FAILS(WSAEFAULT, name_of(ask, s, &at, &bytes));
    bytes = -1;
    FAILS(WSAEFAULT, name_of(ask, s, &at, &bytes));
    bytes = sizeof(at);
    OK(name_of(ask, s, &at, &bytes));
    assert_int_equal(bytes, sizeof(at));
}

CASE(WSPGetSockName, codes_name_fault,
     "a name or a length that is not the program's, or too little room: WSAEFAULT")
{
    name_faults(TABLE->lpWSPGetSockName, spi_bound(NULL));
    name_faults(TABLE->lpWSPGetSockName, stream_connected().client);
}

CASE(WSPGetPeerName, codes_peer_fault,
     "a name or a length that is not the program's, or too little room: WSAEFAULT")
{
    SOCKADDR_IN at;
    SOCKET s = spi_udp();
    (void)spi_bound(&at);
    OK(spi_connect_to(s, &at));
    name_faults(TABLE->lpWSPGetPeerName, s);
    name_faults(TABLE->lpWSPGetPeerName, stream_connected().server);
}

CASE(WSPGetSockName, codes_name_joined, "WSPJoinLeaf binds, and then there is a name")
{
    SOCKADDR_IN group = spi_at("239.7.8.12", 17021);
    SOCKET s = spi_new(LEAF);
    OK(join(s, &group, JL_RECEIVER_ONLY));
    assert_int_equal(spi_name(s).sin_port, group.sin_port);
}

CASE(WSPGetSockName, codes_name_room, "more room than a name needs: its size comes out")
{
    SOCKADDR_STORAGE name;
    int bytes = sizeof(name);
    OK(name_of(TABLE->lpWSPGetSockName, spi_bound(NULL), &name, &bytes));
    assert_int_equal(bytes, sizeof(SOCKADDR_IN));
}

CASE(WSPGetPeerName, codes_peer_sendto, "a peer of WSPSendTo is none: WSAENOTCONN")
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(&at);
    int bytes = sizeof(at);
    OK(spi_send_to_one(s, "x", 1, &at));
    FAILS(WSAENOTCONN, name_of(TABLE->lpWSPGetPeerName, s, &at, &bytes));
}

CASE(WSPGetPeerName, codes_peer_dissolved,
     "a datagram socket whose peer was dissolved: WSAENOTCONN")
{
    SOCKADDR_IN at;
    SOCKADDR_IN none = {.sin_family = AF_INET};
    SOCKET s = spi_udp();
    int bytes = sizeof(at);
    (void)spi_bound(&at);
    OK(spi_connect_to(s, &at));
    OK(spi_connect_to(s, &none));
    FAILS(WSAENOTCONN, name_of(TABLE->lpWSPGetPeerName, s, &at, &bytes));
}

/* ---- WSPSendDisconnect, WSPRecvDisconnect ---- */

CASE(WSPSendDisconnect, codes_send_disconnect_state,
     "a bound and a listening socket have no connection: WSAENOTCONN")
{
    SOCKADDR_IN at;
    FAILS(WSAENOTCONN, TABLE->lpWSPSendDisconnect(stream_bound(&at), NULL, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPSendDisconnect(stream_listener(&at), NULL, &spi_error));
}

CASE(WSPRecvDisconnect, codes_recv_disconnect_state,
     "a bound and a listening socket have no connection: WSAENOTCONN")
{
    SOCKADDR_IN at;
    FAILS(WSAENOTCONN, TABLE->lpWSPRecvDisconnect(stream_bound(&at), NULL, &spi_error));
    FAILS(WSAENOTCONN, TABLE->lpWSPRecvDisconnect(stream_listener(&at), NULL, &spi_error));
}

CASE(WSPSendDisconnect, codes_send_disconnect_connect,
     "the socket cannot be connected again: WSAEISCONN")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPSendDisconnect(pair.client, NULL, &spi_error));
    FAILS(WSAEISCONN, spi_connect_to(pair.client, &pair.at));
}

CASE(WSPRecvDisconnect, codes_recv_disconnect_linger,
     "it does not wait, whatever SO_LINGER says, and sending goes on")
{
    struct stream_pair pair = stream_connected();
    OK(stream_linger(pair.client, 1, 60));
    size_t bytes = stream_fill(pair.client);
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    stream_drain(pair.server, bytes);
    stream_await(pair.client, WRITE);
    stream_send(pair.client, "more");
    stream_expect(pair.server, "more");
}

CASE(WSPRecvDisconnect, codes_recv_disconnect_twice, "twice is as good as once; sending goes on")
{
    struct stream_pair pair = stream_connected();
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    OK(TABLE->lpWSPRecvDisconnect(pair.client, NULL, &spi_error));
    stream_send(pair.client, "out");
    stream_expect(pair.server, "out");
}

/* ---- WSPGetOverlappedResult ---- */

CASE(WSPGetOverlappedResult, codes_result_closed_event,
     "fWait TRUE and an hEvent that is no event any more: WSA_INVALID_HANDLE")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    DWORD bytes = 7;
    DWORD flags = 8;
    overlapped_make(&op);
    HANDLE event = op.o.hEvent;
    FAILS(WSA_IO_PENDING, overlapped_recv(pair.to, &op));
    op.o.hEvent = (HANDLE)(uintptr_t)0x7ffffffc; /* of nothing */
    FAILS(WSA_INVALID_HANDLE,
          TABLE->lpWSPGetOverlappedResult(pair.to, &op.o, &bytes, TRUE, &flags, &spi_error) - 1);
    assert_int_equal(bytes, 7);
    assert_int_equal(flags, 8);
    op.o.hEvent = event;
    overlapped_pair_send(&pair, "x");
    overlapped_ends(pair.to, &op, 0);
    overlapped_drop(&op);
}

CASE(WSPGetOverlappedResult, codes_result_other_socket,
     "a send's result comes as well: its bytes, no flags, as often as it is asked")
{
    struct overlapped_pair pair = overlapped_pair_make();
    struct overlapped_op op;
    overlapped_make(&op);
    if (overlapped_send_to(pair.from, &op, "four", &pair.to_at) == SOCKET_ERROR) {
        assert_int_equal(spi_error, WSA_IO_PENDING);
    }
    for (int i = 0; i < 2; i++) {
        DWORD bytes = 0;
        DWORD flags = 9;
        assert_true(
            TABLE->lpWSPGetOverlappedResult(pair.from, &op.o, &bytes, TRUE, &flags, &spi_error));
        assert_int_equal(bytes, 4);
        assert_int_equal(flags, 0);
    }
    overlapped_drop(&op);
}

/* ---- ConnectEx ---- */

EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)

/* It fails with this error, at once or later. */
static void connect_ex_fails(int code, SOCKET s, const SOCKADDR_IN *to)
{
    struct ext_op op;
    DWORD sent = 0;
    ext_op_make(&op);
    SetLastError(0);
    if (connect_ex()(s, (const struct sockaddr *)to, sizeof(*to), NULL, 0, &sent, &op.o)) {
        fail_msg("ConnectEx succeeded, error %d expected", code);
    }
    if (GetLastError() == WSA_IO_PENDING) {
        ext_op_ends(s, &op, code);
    } else {
        assert_int_equal(GetLastError(), code);
    }
    ext_op_drop(&op);
}

CASE(ConnectEx, codes_connect_ex_route, "an address without a route is WSAENETUNREACH")
{
    SOCKADDR_IN any = spi_at("0.0.0.0", 0);
    SOCKADDR_IN far_away = spi_at("198.51.100.1", 9);
    SOCKET s = stream_new();
    OK(spi_bind_at(s, &any));
    connect_ex_fails(WSAENETUNREACH, s, &far_away);
}

CASE(ConnectEx, codes_connect_ex_used,
     "a pair of addresses that a connection has is WSAEADDRINUSE; another peer may be asked for")
{
    SOCKADDR_IN at, other_at;
    SOCKET first, second;
    (void)stream_listener(&at);
    SOCKET other = stream_listener(&other_at);
    stream_namesakes(&first, &second);
    OK(spi_connect_to(first, &at));
    connect_ex_fails(WSAEADDRINUSE, second, &at);
    OK(spi_connect_to(second, &other_at));
    (void)stream_accept(other);
}

/* ---- options ---- */

CASE(WSPGetSockOpt, codes_get_level, "a level that is unknown is WSAEINVAL; nothing is written")
{
    const SOCKET of[] = {spi_udp(), stream_new()};
    for (int i = 0; i < 2; i++) {
        DWORD value = 7;
        int bytes = sizeof(value);
        FAILS(WSAEINVAL,
              TABLE->lpWSPGetSockOpt(of[i], 0x7000, SO_TYPE, (char *)&value, &bytes, &spi_error));
        FAILS(WSAEINVAL,
              TABLE->lpWSPGetSockOpt(of[i], -1, SO_TYPE, (char *)&value, &bytes, &spi_error));
        assert_int_equal(value, 7);
        assert_int_equal(bytes, sizeof(value));
    }
}

CASE(WSPSetSockOpt, codes_dontroute,
     "SO_DONTROUTE of an AF_INET6 socket is WSAENOPROTOOPT, and stays FALSE")
{
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        SOCKET s = TABLE->lpWSPSocket(AF_INET6, type, 0, NULL, 0, 0, &spi_error);
        assert_true(s != INVALID_SOCKET);
        spi_keep(s);
        FAILS(WSAENOPROTOOPT, spi_set_dword(s, SOL_SOCKET, SO_DONTROUTE, 1));
        assert_int_equal(spi_get_dword(s, SOL_SOCKET, SO_DONTROUTE), 0);
        OK(spi_set_dword(s, SOL_SOCKET, SO_DEBUG, 1));
    }
}
