/*
 * Cases of WSPCancelBlockingCall and of the blocking hook that a program of Winsock 1.1 installs:
 * the provider finds it by WPUQueryBlockingCallback, whose host is ours.
 */
#include <string.h>

#include "tests/spi/ext_kit.h"
#include "tests/spi/poll_kit.h"
#include "tests/spi/stream_kit.h"

/* What the hook of the test thread does, and saw. */
static struct {
    unsigned calls, last; /* how often; at which call it ends the call that blocks */
    enum { BY_CANCEL, BY_FALSE, BY_NOTHING } how;
    int cancel_result, cancel_error;
    void (*also)(void); /* at the last call */
    HANDLE go;          /* set at the last call */
} hook;

#define HOOK_CONTEXT 0x5eed

EXT_FUNCTION(LPFN_DISCONNECTEX, disconnect_ex, WSAID_DISCONNECTEX)
EXT_FUNCTION(LPFN_WSARECVMSG, recv_msg, WSAID_WSARECVMSG)
EXT_FUNCTION(LPFN_ACCEPTEX, accept_ex, WSAID_ACCEPTEX)
EXT_FUNCTION(LPFN_CONNECTEX, connect_ex, WSAID_CONNECTEX)
EXT_FUNCTION(LPFN_TRANSMITFILE, transmit_file, WSAID_TRANSMITFILE)
EXT_FUNCTION(LPFN_TRANSMITPACKETS, transmit_packets, WSAID_TRANSMITPACKETS)
EXT_FUNCTION(LPFN_WSASENDMSG, send_msg, WSAID_WSASENDMSG)

static BOOL CALLBACK hook_run(DWORD_PTR context)
{
    assert_int_equal(context, HOOK_CONTEXT);
    if (++hook.calls < hook.last) {
        return TRUE;
    }
    if (hook.also != NULL) {
        hook.also();
    }
    if (hook.go != NULL) {
        SetEvent(hook.go);
    }
    if (hook.how == BY_CANCEL) {
        hook.cancel_result = TABLE->lpWSPCancelBlockingCall(&hook.cancel_error);
    }
    return hook.how != BY_FALSE;
}

/* Installs it; hook_end takes it away, also what a failed case left. */
static void hook_begin(int how, unsigned last)
{
    memset(&hook, 0, sizeof(hook));
    hook.how = how;
    hook.last = last;
    hook.cancel_result = -2;
    (void)host_set_blocking_hook(hook_run, HOOK_CONTEXT);
}

static void hook_end(void)
{
    (void)host_set_blocking_hook(NULL, 0);
}

static int recv_byte(SOCKET s)
{
    char byte;
    DWORD got;
    int result = stream_recv(s, &byte, 1, 0, &got);
    hook_end();
    return result;
}

CASE(WSPCancelBlockingCall, cancel_none, "without a blocking call of this thread it is WSAEINVAL")
{
    FAILS(WSAEINVAL, TABLE->lpWSPCancelBlockingCall(&spi_error));
}

CASE(WSPCancelBlockingCall, cancel_recv, "from inside the hook it ends a receive with WSAEINTR")
{
    struct stream_pair pair = stream_connected();
    hook_begin(BY_CANCEL, 1);
    FAILS(WSAEINTR, recv_byte(pair.server));
    assert_int_equal(hook.cancel_result, 0);
    assert_int_equal(hook.calls, 1);
}

CASE(WSPCancelBlockingCall, cancel_false, "a hook that returns FALSE ends the call as well")
{
    struct stream_pair pair = stream_connected();
    hook_begin(BY_FALSE, 2);
    FAILS(WSAEINTR, recv_byte(pair.server));
    assert_int_equal(hook.calls, 2);
}

CASE(WSPCancelBlockingCall, cancel_usable, "the socket and the next call are as before")
{
    struct stream_pair pair = stream_connected();
    hook_begin(BY_CANCEL, 1);
    FAILS(WSAEINTR, recv_byte(pair.server));
    stream_send(pair.client, "x");
    stream_expect(pair.server, "x");
}

static DWORD WINAPI send_when_told(void *context)
{
    int error;
    DWORD sent;
    WSABUF buffer = {1, "x"};
    WaitForSingleObject(hook.go, 10000);
    return (DWORD)TABLE->lpWSPSend(*(SOCKET *)context, &buffer, 1, &sent, 0, NULL, NULL, NULL,
                                   &error);
}

CASE(WSPCancelBlockingCall, hook_goes_on,
     "the hook is called periodically; while it returns TRUE the call waits for its end")
{
    struct stream_pair pair = stream_connected();
    hook_begin(BY_NOTHING, 5);
    hook.go = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE thread = CreateThread(NULL, 0, send_when_told, &pair.client, 0, NULL);
    OK(recv_byte(pair.server));
    assert_true(hook.calls >= 5);
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    CloseHandle(thread);
    CloseHandle(hook.go);
}

CASE(WSPCancelBlockingCall, hook_at_once, "a call that completes at once does not call the hook")
{
    struct stream_pair pair = stream_connected();
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
    hook_begin(BY_CANCEL, 1);
    OK(recv_byte(pair.server));
    assert_int_equal(hook.calls, 0);
}

CASE(WSPCancelBlockingCall, hook_nonblocking, "a call on a non-blocking socket does not call it")
{
    struct stream_pair pair = stream_connected();
    spi_nonblocking(pair.server);
    hook_begin(BY_CANCEL, 1);
    FAILS(WSAEWOULDBLOCK, recv_byte(pair.server));
    assert_int_equal(hook.calls, 0);
}

CASE(WSPCancelBlockingCall, cancel_accept, "it ends an accept; the listener is as before")
{
    SOCKADDR_IN at;
    SOCKET listener = stream_listener(&at);
    hook_begin(BY_CANCEL, 1);
    SOCKET s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &spi_error);
    hook_end();
    assert_true(s == INVALID_SOCKET);
    assert_int_equal(spi_error, WSAEINTR);
    OK(spi_connect_to(stream_new(), &at));
    (void)stream_accept(listener);
}

CASE(WSPCancelBlockingCall, cancel_select, "it ends a select; the sockets are as before")
{
    struct stream_pair pair = stream_connected();
    fd_set set = {.fd_count = 2, .fd_array = {pair.server, pair.listener}};
    hook_begin(BY_CANCEL, 3);
    int result = TABLE->lpWSPSelect(0, &set, NULL, NULL, NULL, &spi_error);
    hook_end();
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(spi_error, WSAEINTR);
    stream_send(pair.client, "x");
    stream_await(pair.server, READ);
}

CASE(WSPCancelBlockingCall, cancel_poll, "it ends a WSAPoll")
{
    struct stream_pair pair = stream_connected();
    WSAPOLLFD fd = {.fd = pair.server, .events = POLLIN};
    hook_begin(BY_CANCEL, 2);
    int result = poll_one(&fd, -1);
    hook_end();
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(spi_error, WSAEINTR);
}

CASE(WSPCancelBlockingCall, cancel_connect, "it ends a connect")
{
    SOCKADDR_IN silent = stream_silent();
    SOCKET s = stream_new();
    hook_begin(BY_CANCEL, 2);
    int result = spi_connect_to(s, &silent);
    hook_end();
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(spi_error, WSAEINTR);
}

CASE(WSPCancelBlockingCall, cancel_send, "it ends a send")
{
    static char block[4u << 20];
    struct stream_pair pair = stream_connected();
    DWORD sent = 0;
    hook_begin(BY_CANCEL, 2);
    int result = spi_send_one(pair.client, block, sizeof(block), 0, &sent);
    hook_end();
    assert_int_equal(result, SOCKET_ERROR);
    assert_int_equal(spi_error, WSAEINTR);
}

/* ---- calls from inside ---- */

static struct stream_pair nested;
static LPFN_DISCONNECTEX nested_disconnect; /* found before: that takes a socket */
static LPFN_WSARECVMSG nested_recv_msg;
static LPFN_ACCEPTEX nested_accept;
static LPFN_CONNECTEX nested_connect;
static LPFN_TRANSMITFILE nested_file;
static LPFN_TRANSMITPACKETS nested_packets;
static LPFN_WSASENDMSG nested_send_msg;
static int nested_errors[36];

#define NESTED(index, call)             \
    do {                                \
        int error = 0;                  \
        (void)(call);                   \
        nested_errors[(index)] = error; \
    } while (0)

static void nested_calls(void)
{
    char byte = 0;
    DWORD count = 0;
    DWORD flags = 0;
    WSABUF buffer = {.len = 1, .buf = &byte};
    fd_set set = {.fd_count = 1, .fd_array = {nested.client}};
    WSAPOLLFD fd = {.fd = nested.client, .events = POLLOUT};
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    NESTED(0,
           TABLE->lpWSPRecv(nested.client, &buffer, 1, &count, &flags, NULL, NULL, NULL, &error));
    NESTED(1, TABLE->lpWSPSend(nested.client, &buffer, 1, &count, 0, NULL, NULL, NULL, &error));
    NESTED(2, TABLE->lpWSPSelect(0, NULL, &set, NULL, NULL, &error));
    NESTED(3, TABLE->lpWSPSocket(AF_INET, SOCK_STREAM, 0, &provider.info, 0, 0, &error));
    NESTED(4, TABLE->lpWSPCloseSocket(nested.client, &error));
    NESTED(5, TABLE->lpWSPGetSockName(nested.client, (struct sockaddr *)&in, &bytes, &error));
    NESTED(6, TABLE->lpWSPShutdown(nested.client, SD_SEND, &error));
    NESTED(7, TABLE->lpWSPAccept(nested.listener, NULL, NULL, NULL, 0, &error));
    NESTED(8, TABLE->lpWSPConnect(nested.client, (struct sockaddr *)&in, sizeof(in), NULL, NULL,
                                  NULL, NULL, &error));
    NESTED(9, TABLE->lpWSPCleanup(&error));
    NESTED(10, error = host_startup(&provider, MAKEWORD(2, 2)));
    NESTED(11, (poll_call(&fd, 1, 0), error = spi_error));
    NESTED(12, (nested_disconnect(nested.client, NULL, 0, 0), error = (int)GetLastError()));
    NESTED(13,
           (nested_recv_msg(nested.client, NULL, &count, NULL, NULL), error = (int)GetLastError()));
}

/* The entries that nested_calls has not. */
static void nested_more_entries(void)
{
    char byte = 0;
    DWORD count = 0;
    DWORD flags = 0;
    int bytes = 4;
    WSABUF buffer = {.len = 1, .buf = &byte};
    SOCKADDR_IN in = spi_at("127.0.0.1", 9);
    struct sockaddr *name = (struct sockaddr *)&in;
    int name_bytes = sizeof(in);
    WSANETWORKEVENTS events;
    WSAPROTOCOL_INFOW info;
    WSAOVERLAPPED over = {0};
    QOS qos;
    SOCKET s = nested.client;
    NESTED(14, TABLE->lpWSPAsyncSelect(s, NULL, 0, 0, &error));
    NESTED(15, TABLE->lpWSPBind(s, name, name_bytes, &error));
    NESTED(16, TABLE->lpWSPDuplicateSocket(s, GetCurrentProcessId(), &info, &error));
    NESTED(17, TABLE->lpWSPEnumNetworkEvents(s, NULL, &events, &error));
    NESTED(18, TABLE->lpWSPEventSelect(s, NULL, 0, &error));
    NESTED(19, TABLE->lpWSPGetOverlappedResult(s, &over, &count, FALSE, &flags, &error));
    NESTED(20, TABLE->lpWSPGetPeerName(s, name, &name_bytes, &error));
    NESTED(21, TABLE->lpWSPGetSockOpt(s, SOL_SOCKET, SO_TYPE, (char *)&count, &bytes, &error));
    NESTED(22, TABLE->lpWSPGetQOSByName(s, &buffer, &qos, &error));
    NESTED(23, TABLE->lpWSPIoctl(s, (DWORD)FIONREAD, NULL, 0, &count, 4, &flags, NULL, NULL, NULL,
                                 &error));
    NESTED(24, TABLE->lpWSPJoinLeaf(s, name, name_bytes, NULL, NULL, NULL, NULL, JL_BOTH, &error));
    NESTED(25, TABLE->lpWSPListen(s, 1, &error));
    NESTED(26, TABLE->lpWSPRecvDisconnect(s, NULL, &error));
    NESTED(27, TABLE->lpWSPRecvFrom(s, &buffer, 1, &count, &flags, name, &name_bytes, NULL, NULL,
                                    NULL, &error));
    NESTED(28, TABLE->lpWSPSendDisconnect(s, NULL, &error));
    NESTED(29, TABLE->lpWSPSendTo(s, &buffer, 1, &count, 0, name, name_bytes, NULL, NULL, NULL,
                                  &error));
    NESTED(30, TABLE->lpWSPSetSockOpt(s, IPPROTO_TCP, TCP_NODELAY, (char *)&count, 4, &error));
}

/* Extension functions: their error is the thread's. */
static void nested_more_functions(void)
{
    static char slots[2 * 32];
    DWORD count = 0;
    SOCKADDR_IN in = spi_at("127.0.0.1", 9);
    WSAOVERLAPPED over = {0};
    WSABUF buffer = {.len = 1, .buf = slots};
    WSAMSG msg = {.lpBuffers = &buffer, .dwBufferCount = 1};
    TRANSMIT_PACKETS_ELEMENT element = {
        .dwElFlags = TP_ELEMENT_MEMORY, .cLength = 1, .pBuffer = slots};
    SOCKET s = nested.client;
    NESTED(31, (nested_accept(nested.listener, s, slots, 0, 32, 32, &count, &over),
                error = (int)GetLastError()));
    NESTED(32, (nested_connect(s, (struct sockaddr *)&in, sizeof(in), NULL, 0, &count, &over),
                error = (int)GetLastError()));
    NESTED(33,
           (nested_file(s, NULL, 0, 0, NULL, NULL, TF_DISCONNECT), error = (int)GetLastError()));
    NESTED(34, (nested_packets(s, &element, 1, 0, NULL, 0), error = (int)GetLastError()));
    NESTED(35, (nested_send_msg(s, &msg, 0, &count, NULL, NULL), error = (int)GetLastError()));
}

static void nested_all(void)
{
    nested_calls();
    nested_more_entries();
    nested_more_functions();
}

CASE(WSPCancelBlockingCall, hook_nested,
     "any other call from inside the hook is WSAEINPROGRESS, and does nothing")
{
    nested = stream_connected();
    (void)poll_function(nested.client);
    nested_disconnect = disconnect_ex();
    nested_recv_msg = recv_msg();
    nested_accept = accept_ex();
    nested_connect = connect_ex();
    nested_file = transmit_file();
    nested_packets = transmit_packets();
    nested_send_msg = send_msg();
    hook_begin(BY_CANCEL, 1);
    hook.also = nested_all;
    int result = recv_byte(nested.server);
    for (unsigned i = 0; i < sizeof(nested_errors) / sizeof(nested_errors[0]); i++) {
        if (nested_errors[i] != WSAEINPROGRESS) {
            fail_msg("call %u from inside the hook: error %d", i, nested_errors[i]);
        }
    }
    assert_int_equal(result, SOCKET_ERROR);
    stream_send(nested.client, "x");
    stream_expect(nested.server, "x");
}

static DWORD WINAPI other_thread(void *context)
{
    int error = 0;
    SOCKADDR_IN in;
    int bytes = sizeof(in);
    (void)context;
    if (TABLE->lpWSPGetSockName(nested.client, (struct sockaddr *)&in, &bytes, &error) != 0) {
        return (DWORD)error;
    }
    return TABLE->lpWSPCancelBlockingCall(&error) == SOCKET_ERROR && error == WSAEINVAL ? 0 : 1;
}

static DWORD other_result;

static void run_other_thread(void)
{
    HANDLE thread = CreateThread(NULL, 0, other_thread, NULL, 0, NULL);
    other_result = WaitForSingleObject(thread, 10000);
    if (other_result == WAIT_OBJECT_0) {
        GetExitCodeThread(thread, &other_result);
    }
    CloseHandle(thread);
}

CASE(WSPCancelBlockingCall, hook_other_thread,
     "meanwhile other threads call what they like, and cannot cancel this thread's call")
{
    nested = stream_connected();
    hook_begin(BY_CANCEL, 2);
    hook.also = run_other_thread;
    FAILS(WSAEINTR, recv_byte(nested.server));
    assert_int_equal(other_result, 0);
}

CASE(WSPCancelBlockingCall, hook_own_thread, "the hook is its thread's: others block without it")
{
    struct stream_pair pair = stream_connected();
    struct stream_call call = {.kind = CALL_RECV, .s = pair.server};
    hook_begin(BY_CANCEL, 1);
    stream_begin(&call);
    stream_send(pair.client, "x");
    int error = stream_finish(&call);
    hook_end();
    assert_int_equal(error, 0);
    assert_int_equal(hook.calls, 0);
}

CASE(WSPCancelBlockingCall, cancel_timeout, "a receive that is to time out does, hook or not")
{
    struct stream_pair pair = stream_connected();
    OK(spi_set_dword(pair.server, SOL_SOCKET, SO_RCVTIMEO, 60));
    hook_begin(BY_NOTHING, 1);
    FAILS(WSAETIMEDOUT, recv_byte(pair.server));
    assert_true(hook.calls >= 1);
}
