/*
 * Cases of WSPDuplicateSocket, and of WSPSocket with what it gave: in this process, and in another
 * one (other_kit.h) that the first case which wants it starts. The rules are those of the pages of
 * WSPDuplicateSocket, WSADuplicateSocket and "Shared Sockets".
 */
#include "tests/spi/event_kit.h"
#include "tests/spi/ext_kit.h"
#include "tests/spi/other_kit.h"
#include "tests/spi/stream_kit.h"

#include <string.h>

EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)

/* A connection whose client end the other process has, too. */
static struct stream_pair shared_pair(void)
{
    struct stream_pair pair = stream_connected();
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, other.id);
    struct other_answer answer = other_open(&info);
    if (answer.result != 0) {
        fail_msg("the other process cannot open the socket: error %d", answer.error);
    }
    return pair;
}

static int recv_byte(SOCKET s)
{
    char byte;
    DWORD got;
    spi_error = 0;
    return stream_recv(s, &byte, 1, 0, &got) == SOCKET_ERROR ? spi_error : 0;
}

/* ---- WSPDuplicateSocket: arguments ---- */

CASE(WSPDuplicateSocket, dup_fault, "no memory for the structure is WSAEFAULT")
{
    struct stream_pair pair = stream_connected();
    DWORD me = GetCurrentProcessId();
    FAILS(WSAEFAULT, TABLE->lpWSPDuplicateSocket(pair.client, me, NULL, &spi_error));
    FAILS(WSAEFAULT, TABLE->lpWSPDuplicateSocket(pair.client, me, spi_bad_pointer(), &spi_error));
    stream_send(pair.client, "as before");
    stream_expect(pair.server, "as before");
}

CASE(WSPDuplicateSocket, dup_no_process, "a process that cannot be is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    WSAPROTOCOL_INFOW info;
    FAILS(WSAEINVAL, TABLE->lpWSPDuplicateSocket(pair.client, 0, &info, &spi_error));
    FAILS(WSAEINVAL, TABLE->lpWSPDuplicateSocket(pair.client, 0x7ffffffcu, &info, &spi_error));
    stream_send(pair.client, "as before");
    stream_expect(pair.server, "as before");
}

CASE(WSPDuplicateSocket, dup_info, "the structure is the catalog entry's, with a word of ours")
{
    struct stream_pair pair = stream_connected();
    WSAPROTOCOL_INFOW entry = host_catalog_entry(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, GetCurrentProcessId());
    assert_int_not_equal(info.dwProviderReserved, 0);
    assert_int_equal(info.iAddressFamily, AF_INET);
    assert_int_equal(info.iSocketType, SOCK_STREAM);
    assert_int_equal(info.iProtocol, IPPROTO_TCP);
    assert_int_equal(info.dwCatalogEntryId, entry.dwCatalogEntryId);
    assert_memory_equal(&info.ProviderId, &entry.ProviderId, sizeof(info.ProviderId));
}

/* ---- DisconnectEx, TransmitFile ---- */

CASE(DisconnectEx, dup_reuse,
     "TF_REUSE_SOCKET of a shared socket is WSAEOPNOTSUPP, and ends nothing")
{
    struct stream_pair pair = shared_pair();
    EXT_FAILS(WSAEOPNOTSUPP, disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET, 0));
    EXT_FAILS(WSAEOPNOTSUPP, transmit_file()(pair.client, NULL, 0, 0, NULL, NULL,
                                             TF_DISCONNECT | TF_REUSE_SOCKET));
    stream_send(pair.client, "goes on");
    stream_expect(pair.server, "goes on");
    other_send("there, too");
    stream_expect(pair.server, "there, too");
}

CASE(DisconnectEx, dup_disconnect, "without a flag it ends the connection for all descriptors")
{
    struct stream_pair pair = shared_pair();
    EXT_OK(disconnect_ex()(pair.client, NULL, 0, 0));
    stream_expect_end(pair.server);
    assert_int_equal(other_error(OTHER_SEND, 1), WSAESHUTDOWN);
}

CASE(DisconnectEx, dup_reuse_alone, "TF_REUSE_SOCKET: for the descriptor that is left, in use")
{
    struct stream_pair pair = shared_pair();
    other_end(false);
    stream_send(pair.client, "alone"); /* a socket of its own again */
    stream_expect(pair.server, "alone");
    stream_close(pair.server);
    EXT_OK(disconnect_ex()(pair.client, NULL, TF_REUSE_SOCKET, 0));
}

/* ---- WSPSocket: the structure ---- */

CASE(WSPSocket, dup_once, "WSPDuplicateSocket's structure can be used once, then it is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, GetCurrentProcessId());
    SOCKET twin = duplicate_open(&info);
    assert_true(twin != INVALID_SOCKET);
    spi_keep(twin);
    assert_true(duplicate_open(&info) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
}

CASE(WSPSocket, dup_forged, "a structure that nobody was given is WSAEINVAL")
{
    struct stream_pair pair = stream_connected();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, GetCurrentProcessId());
    info.dwServiceFlags4 ^= 1;
    assert_true(duplicate_open(&info) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
    info.dwProviderReserved = 1;
    assert_true(duplicate_open(&info) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
}

CASE(WSPSocket, dup_others, "a structure for another process is WSAEINVAL in this one")
{
    struct stream_pair pair = stream_connected();
    other_start();
    WSAPROTOCOL_INFOW mine = duplicate_info(pair.client, GetCurrentProcessId());
    WSAPROTOCOL_INFOW its = duplicate_info(pair.client, other.id);
    assert_true(duplicate_open(&its) == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINVAL);
    struct other_answer answer = other_open(&mine);
    assert_int_equal(answer.result, SOCKET_ERROR);
    assert_int_equal(answer.error, WSAEINVAL);
    assert_int_equal(other_open(&its).result, 0);
    other_end(false);
}

/* ---- bytes ---- */

CASE(WSPDuplicateSocket, dup_here, "both descriptors are of one connection, in one process too")
{
    struct stream_pair pair = stream_connected();
    SOCKET twin = duplicate_here(pair.client);
    stream_send(pair.client, "one ");
    stream_send(twin, "two");
    stream_expect(pair.server, "one two");
    stream_send(pair.server, "back");
    stream_expect(twin, "back");
}

CASE(WSPDuplicateSocket, dup_send, "another process sends on the connection, in turn with this one")
{
    struct stream_pair pair = shared_pair();
    other_send("it ");
    stream_send(pair.client, "and me ");
    other_send("and it");
    stream_expect(pair.server, "it and me and it");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_recv, "a byte is received by one of the descriptors")
{
    struct stream_pair pair = shared_pair();
    stream_send(pair.server, "abcdef");
    other_expect("ab");
    stream_expect(pair.client, "cd");
    other_expect("ef");
    spi_nonblocking(pair.client);
    assert_int_equal(recv_byte(pair.client), WSAEWOULDBLOCK);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_waiting, "what waited when it was duplicated waits for both")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.server, "early bytes");
    stream_await_bytes(pair.client, 11);
    stream_send(pair.client, "under way");
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, other.id);
    assert_int_equal(other_open(&info).result, 0);
    other_expect("early ");
    stream_expect(pair.client, "bytes");
    other_send(", too");
    stream_expect(pair.server, "under way, too");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_select, "a select in either process sees what arrives")
{
    struct stream_pair pair = shared_pair();
    assert_int_equal(stream_select(pair.client, READ, 0), 0);
    stream_send(pair.server, "x");
    stream_await(pair.client, READ);
    assert_int_equal(other_do(OTHER_SELECT, 0, 0, 0), 1);
    assert_int_equal(stream_select(pair.client, WRITE, 0), WRITE);
    other_expect("x");
    assert_int_equal(stream_select(pair.client, READ, 0), 0);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_third, "a descriptor that was duplicated can be duplicated again")
{
    struct stream_pair pair = shared_pair();
    const struct other_request request = {.op = OTHER_DUPLICATE, .value = GetCurrentProcessId()};
    struct other_answer answer = other_ask(&request);
    assert_int_equal(answer.result, 0);
    SOCKET third = duplicate_open(&answer.info);
    assert_true(third != INVALID_SOCKET);
    spi_keep(third);
    stream_send(third, "three");
    stream_expect(pair.server, "three");
    other_end(false);
}

/* ---- state ---- */

CASE(WSPDuplicateSocket, dup_options, "an option that one sets is what all of them get")
{
    struct stream_pair pair = stream_connected();
    struct linger linger;
    int bytes = sizeof(linger);
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_SNDTIMEO, 4321));
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, other.id);
    assert_int_equal(other_open(&info).result, 0);
    assert_int_equal(other_do(OTHER_GET, SOL_SOCKET, SO_SNDTIMEO, 0), 4321);
    other_do(OTHER_SET, IPPROTO_TCP, TCP_NODELAY, 1);
    other_do(OTHER_SET, SOL_SOCKET, SO_DEBUG, 1);
    other_do(OTHER_LINGER, 0, 0, 7);
    assert_int_equal(spi_get_dword(pair.client, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(spi_get_dword(pair.client, SOL_SOCKET, SO_DEBUG), 1);
    OK(TABLE->lpWSPGetSockOpt(pair.client, SOL_SOCKET, SO_LINGER, (char *)&linger, &bytes,
                              &spi_error));
    assert_int_equal(linger.l_onoff, 1);
    assert_int_equal(linger.l_linger, 7);
    OK(spi_set_dword(pair.client, IPPROTO_TCP, TCP_NODELAY, 0));
    assert_int_equal(other_do(OTHER_GET, IPPROTO_TCP, TCP_NODELAY, 0), 0);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_mode, "the blocking mode is the socket's, not the descriptor's")
{
    struct stream_pair pair = shared_pair();
    other_do(OTHER_IOCTL, 0, (int)FIONBIO, 1);
    assert_int_equal(recv_byte(pair.client), WSAEWOULDBLOCK);
    OK(spi_ioctl_in(pair.client, FIONBIO, 0));
    OK(spi_set_dword(pair.client, SOL_SOCKET, SO_RCVTIMEO, 20));
    assert_int_equal(other_error(OTHER_RECV, 1), WSAETIMEDOUT);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_names, "a new descriptor is connected to the same peer")
{
    struct stream_pair pair = shared_pair();
    SOCKADDR_IN peer;
    int bytes = sizeof(peer);
    OK(TABLE->lpWSPGetPeerName(pair.client, (struct sockaddr *)&peer, &bytes, &spi_error));
    assert_int_equal(peer.sin_port, pair.at.sin_port);
    assert_int_equal(other_do(OTHER_PEER, 0, 0, 0), pair.at.sin_port);
    assert_int_equal(other_do(OTHER_GET, SOL_SOCKET, SO_TYPE, 0), SOCK_STREAM);
    FAILS(WSAEISCONN, spi_connect_to(pair.client, &pair.at));
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_shutdown, "a shutdown by one is for all descriptors")
{
    struct stream_pair pair = shared_pair();
    DWORD sent;
    other_do(OTHER_SHUTDOWN, 0, 0, SD_SEND);
    FAILS(WSAESHUTDOWN, spi_send_one(pair.client, "x", 1, 0, &sent));
    stream_expect_end(pair.server);
    stream_send(pair.server, "in");
    stream_expect(pair.client, "in");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_reset, "a reset is WSAECONNRESET at every descriptor")
{
    struct stream_pair pair = shared_pair();
    stream_abort(pair.server);
    assert_int_equal(other_error(OTHER_RECV, 1), WSAECONNRESET);
    assert_int_equal(recv_byte(pair.client), WSAECONNRESET);
    other_end(false);
}

/* ---- the end ---- */

CASE(WSPDuplicateSocket, dup_close, "the socket stays open until the last descriptor is closed")
{
    struct stream_pair pair = shared_pair();
    OK(TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    spi_forget(pair.client);
    stream_send(pair.server, "still ");
    stream_send(pair.server, "there");
    other_expect("still there");
    other_send("last");
    other_do(OTHER_CLOSE, 0, 0, 0);
    stream_expect(pair.server, "last");
    stream_expect_end(pair.server);
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_close_first, "the source may close before the target has opened")
{
    struct stream_pair pair = stream_connected();
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, other.id);
    OK(TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    spi_forget(pair.client);
    stream_send(pair.server, "for it");
    assert_int_equal(other_open(&info).result, 0);
    other_expect("for it");
    other_send("from it");
    stream_expect(pair.server, "from it");
    other_end(false);
}

CASE(WSPDuplicateSocket, dup_killed, "a process that dies takes its own descriptor with it only")
{
    struct stream_pair pair = shared_pair();
    other_send("its last");
    other_end(true);
    stream_expect(pair.server, "its last");
    stream_send(pair.client, " and mine");
    stream_expect(pair.server, " and mine");
    stream_send(pair.server, "back");
    stream_expect(pair.client, "back");
}

CASE(WSPDuplicateSocket, dup_killed_last, "the connection ends with the last one's death, too")
{
    struct stream_pair pair = shared_pair();
    OK(TABLE->lpWSPCloseSocket(pair.client, &spi_error));
    spi_forget(pair.client);
    other_send("x");
    stream_expect(pair.server, "x");
    other_end(true);
    assert_int_equal(recv_byte(pair.server), WSAECONNRESET);
}

/* ---- network events ---- */

#define TOLD_MS  5000u
#define QUIET_MS 100u

NOTIFY_CASE(dup_events,
            "what was selected before the socket was shared stays, and either may select")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.client, FD_READ));
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, other.id);
    assert_int_equal(other_open(&info).result, 0);
    stream_send(pair.server, "a");
    notify_expect(n, pair.client, FD_READ);
    other_end(false);
}

NOTIFY_CASE(dup_events_here, "a descriptor of a shared socket is told what it selected")
{
    struct stream_pair pair = shared_pair();
    OK(notify_select(n, pair.client, FD_READ));
    notify_none(n, pair.client);
    stream_send(pair.server, "a");
    notify_expect(n, pair.client, FD_READ);
    other_expect("a");
    stream_send(pair.server, "b");
    stream_expect(pair.client, "b"); /* which re-enables it */
    stream_send(pair.server, "c");
    notify_expect(n, pair.client, FD_READ);
    other_end(false);
}

NOTIFY_CASE(dup_events_taken, "a selection in another process cancels the one here")
{
    struct stream_pair pair = shared_pair();
    OK(notify_select(n, pair.client, FD_READ));
    other_do(OTHER_EVENTS, 0, 0, FD_READ);
    stream_send(pair.server, "a");
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, TOLD_MS), FD_READ);
    notify_none(n, pair.client);
    other_end(false);
}

NOTIFY_CASE(dup_events_taken_before, "also one that was made before the socket was shared")
{
    struct stream_pair pair = stream_connected();
    OK(notify_select(n, pair.client, FD_READ | FD_CLOSE));
    other_start();
    WSAPROTOCOL_INFOW info = duplicate_info(pair.client, other.id);
    assert_int_equal(other_open(&info).result, 0);
    other_do(OTHER_EVENTS, 0, 0, FD_CLOSE);
    stream_send(pair.server, "a");
    notify_none(n, pair.client);
    other_expect("a");
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, TOLD_MS), FD_CLOSE);
    notify_none(n, pair.client);
    other_end(false);
}

NOTIFY_CASE(dup_events_back, "and one here cancels that of the other process, whatever its events")
{
    struct stream_pair pair = shared_pair();
    other_do(OTHER_EVENTS, 0, 0, FD_READ | FD_CLOSE);
    OK(notify_select(n, pair.client, FD_CLOSE));
    stream_send(pair.server, "a");
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, QUIET_MS), 0);
    stream_expect(pair.client, "a");
    OK(TABLE->lpWSPShutdown(pair.server, SD_SEND, &spi_error));
    notify_expect(n, pair.client, FD_CLOSE);
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, QUIET_MS), 0);
    other_end(false);
}

NOTIFY_CASE(dup_events_nothing, "selecting nothing cancels what the other process selected")
{
    struct stream_pair pair = shared_pair();
    other_do(OTHER_EVENTS, 0, 0, FD_READ);
    OK(notify_select(n, pair.client, 0));
    stream_send(pair.server, "a");
    assert_int_equal(other_do(OTHER_TOLD, 0, 0, QUIET_MS), 0);
    other_end(false);
}

NOTIFY_CASE(dup_events_blocking, "a socket whose selection was cancelled can be made blocking")
{
    struct stream_pair pair = shared_pair();
    OK(notify_select(n, pair.client, FD_READ));
    FAILS(WSAEINVAL, spi_ioctl_in(pair.client, (DWORD)FIONBIO, 0));
    other_do(OTHER_EVENTS, 0, 0, FD_READ);
    OK(spi_ioctl_in(pair.client, (DWORD)FIONBIO, 0));
    other_end(false);
}

NOTIFY_CASE(dup_events_alone, "a descriptor that is left alone selects anew")
{
    struct stream_pair pair = shared_pair();
    OK(notify_select(n, pair.client, FD_READ));
    other_do(OTHER_EVENTS, 0, 0, FD_READ);
    notify_none(n, pair.client);
    other_end(false);
    OK(notify_select(n, pair.client, FD_READ));
    stream_send(pair.server, "a");
    notify_expect(n, pair.client, FD_READ);
    stream_expect(pair.client, "a"); /* a socket of its own again */
    stream_send(pair.server, "b");
    notify_expect(n, pair.client, FD_READ);
}

NOTIFY_CASE(dup_events_twin, "of two descriptors in one process the one that selects last is told")
{
    struct stream_pair pair = stream_connected();
    SOCKET twin = duplicate_here(pair.client);
    OK(notify_select(n, pair.client, FD_READ));
    OK(notify_select(n, twin, FD_READ));
    stream_send(pair.server, "a");
    notify_expect(n, twin, FD_READ);
    notify_none(n, pair.client);
}
