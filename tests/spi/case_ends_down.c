/*
 * Cases of calls that wait while the dataplane dies, and of those that wait because it does
 * nothing: on the fake dataplane, which each case leaves to a new one.
 */
#include <string.h>

#include "tests/spi/ends_kit.h"
#include "tests/spi/event_kit.h"
#include "tests/spi/message_kit.h"
#include "tests/spi/overlapped_kit.h"
#include "tests/spi/provider_fake.h"

/* Behind a dataplane that died, or may not have been told to go on. */
static void new_dataplane(void)
{
    int error = 0;
    int cleaned_up = TABLE->lpWSPCleanup(&error);
    spi_forget_all();
    spi_unload();
    struct host_provider ignored;
    (void)spi_load(&ignored);
    assert_int_equal(host_startup(&provider, MAKEWORD(2, 2)), 0);
    assert_int_equal(cleaned_up, 0);
}

/* ---- calls that wait for an answer ---- */

static int error_of(int result, const int *error)
{
    return result != SOCKET_ERROR ? 0 : *error;
}

static int run_bind(struct stream_call *call)
{
    int error = 0;
    SOCKADDR_IN at = {.sin_family = AF_INET};
    return error_of(TABLE->lpWSPBind(call->s, (struct sockaddr *)&at, sizeof(at), &error), &error);
}

static void make_bind(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_bind, .s = stream_new()};
}

static int run_listen(struct stream_call *call)
{
    int error = 0;
    return error_of(TABLE->lpWSPListen(call->s, 4, &error), &error);
}

static void make_listen(struct stream_call *call)
{
    SOCKADDR_IN at;
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_listen, .s = stream_bound(&at)};
}

static int run_set(struct stream_call *call)
{
    int error = 0;
    const DWORD on = 1;
    return error_of(TABLE->lpWSPSetSockOpt(call->s, SOL_SOCKET, SO_KEEPALIVE, (const char *)&on,
                                           sizeof(on), &error),
                    &error);
}

static void make_set(struct stream_call *call)
{
    *call =
        (struct stream_call){.kind = CALL_OTHER, .other = run_set, .s = stream_connected().client};
}

static int run_shutdown(struct stream_call *call)
{
    int error = 0;
    return error_of(TABLE->lpWSPShutdown(call->s, SD_SEND, &error), &error);
}

static void make_shutdown(struct stream_call *call)
{
    *call = (struct stream_call){
        .kind = CALL_OTHER, .other = run_shutdown, .s = stream_connected().client};
}

static int run_recv_disconnect(struct stream_call *call)
{
    int error = 0;
    return error_of(TABLE->lpWSPRecvDisconnect(call->s, NULL, &error), &error);
}

static void make_recv_disconnect(struct stream_call *call)
{
    make_shutdown(call);
    call->other = run_recv_disconnect;
}

static int run_send_disconnect(struct stream_call *call)
{
    int error = 0;
    return error_of(TABLE->lpWSPSendDisconnect(call->s, NULL, &error), &error);
}

static void make_send_disconnect(struct stream_call *call)
{
    make_shutdown(call);
    call->other = run_send_disconnect;
}

static int run_join(struct stream_call *call)
{
    int error = 0;
    SOCKADDR_IN group = {.sin_family = AF_INET, .sin_port = 0x0900, .sin_addr.s_addr = 0x050505e8};
    return TABLE->lpWSPJoinLeaf(call->s, (struct sockaddr *)&group, sizeof(group), NULL, NULL, NULL,
                                NULL, JL_BOTH, &error) != INVALID_SOCKET
               ? 0
               : error;
}

static void make_join(struct stream_call *call)
{
    const DWORD leaf =
        WSA_FLAG_OVERLAPPED | WSA_FLAG_MULTIPOINT_C_LEAF | WSA_FLAG_MULTIPOINT_D_LEAF;
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_join, .s = spi_new(leaf)};
}

static int run_connect_dgram(struct stream_call *call)
{
    int error = 0;
    return error_of(TABLE->lpWSPConnect(call->s, (struct sockaddr *)&call->to, sizeof(call->to),
                                        NULL, NULL, NULL, NULL, &error),
                    &error);
}

static void make_connect_dgram(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_connect_dgram, .s = spi_udp()};
    (void)spi_bound(&call->to);
}

#define ASKS(function, what, make)                                            \
    {                                                                         \
        function, what, make, ENDS_NOT, ENDS_NOT, ENDS_NOT, 0, WSAENETDOWN, 0 \
    }
static const struct ends_row asking[] = {
    ASKS("WSPBind", "one that waits for its answer", make_bind),
    ASKS("WSPListen", "one that waits for its answer", make_listen),
    ASKS("WSPSetSockOpt", "one that waits for its answer", make_set),
    ASKS("WSPShutdown", "one that waits for its answer", make_shutdown),
    ASKS("WSPRecvDisconnect", "one that waits for its answer", make_recv_disconnect),
    ASKS("WSPSendDisconnect", "one that waits for its answer", make_send_disconnect),
    ASKS("WSPJoinLeaf", "one that waits for its answer", make_join),
    ASKS("WSPConnect", "of a datagram socket, one that waits for its answer", make_connect_dgram),
};
#define ASKING_COUNT (sizeof(asking) / sizeof(asking[0]))

/* ---- sends of datagrams, which wait for nothing else ---- */

static struct message message;
static LPFN_WSASENDMSG send_msg;

/* Connected; the dataplane does nothing from now on. */
static SOCKET unheard_dgram(void)
{
    SOCKADDR_IN at;
    SOCKET s = spi_bound(NULL);
    (void)spi_bound(&at);
    OK(spi_connect_to(s, &at));
    send_msg = message_send_function();
    fake_pause(spi_fake);
    return s;
}

static int set_blocking(SOCKET s, DWORD nonblocking)
{
    DWORD returned;
    int error = 0;
    return error_of(TABLE->lpWSPIoctl(s, (DWORD)FIONBIO, &nonblocking, sizeof(nonblocking), NULL, 0,
                                      &returned, NULL, NULL, NULL, &error),
                    &error);
}

static int send_block(SOCKET s, DWORD bytes)
{
    static char block[4096];
    DWORD sent;
    int error = 0;
    WSABUF buffer = {.len = bytes, .buf = block};
    return error_of(TABLE->lpWSPSend(s, &buffer, 1, &sent, 0, NULL, NULL, NULL, &error), &error);
}

/* Until there is no room for anything; by the thread that will wait: another one would first wait
 * for what this one has posted. 0 or an error that is none of a full ring. */
static int fill(SOCKET s)
{
    int error = set_blocking(s, 1);
    while (error == 0) {
        error = send_block(s, 4096);
    }
    for (error = error == WSAEWOULDBLOCK ? 0 : error; error == 0;) {
        error = send_block(s, 8);
    }
    return error == WSAEWOULDBLOCK ? set_blocking(s, 0) : error;
}

static int run_send(struct stream_call *call)
{
    int error = fill(call->s);
    return error != 0 ? error : send_block(call->s, 4096);
}

static void make_send_dgram(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_send, .s = unheard_dgram()};
}

static int run_send_to(struct stream_call *call)
{
    static char block[4096];
    int error = fill(call->s);
    WSABUF buffer = {.len = sizeof(block), .buf = block};
    return error != 0 ? error
                      : error_of(TABLE->lpWSPSendTo(call->s, &buffer, 1, &call->count, 0,
                                                    (struct sockaddr *)&call->to, sizeof(call->to),
                                                    NULL, NULL, NULL, &error),
                                 &error);
}

static void make_send_to(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_send_to, .s = unheard_dgram()};
    int bytes = sizeof(call->to);
    OK(TABLE->lpWSPGetPeerName(call->s, (struct sockaddr *)&call->to, &bytes, &spi_error));
}

static int run_send_msg(struct stream_call *call)
{
    int error = fill(call->s);
    if (error != 0) {
        return error;
    }
    return send_msg(call->s, &message.msg, 0, &message.bytes, NULL, NULL) != SOCKET_ERROR
               ? 0
               : (int)GetLastError();
}

static void make_send_msg(struct stream_call *call)
{
    message_make(&message, "message", 7, NULL);
    *call = (struct stream_call){.kind = CALL_OTHER, .other = run_send_msg, .s = unheard_dgram()};
}

static SOCKET full_dgram(void)
{
    SOCKET s = unheard_dgram();
    assert_int_equal(fill(s), 0);
    return s;
}

static struct overlapped_op before;

static void make_send_behind(struct stream_call *call)
{
    *call = (struct stream_call){.kind = CALL_SEND, .s = full_dgram(), .bytes = 4096};
    overlapped_make(&before);
    FAILS(WSA_IO_PENDING, overlapped_send(call->s, &before, "pending"));
}

#define FULL(function, what, make)                                                       \
    {                                                                                    \
        function, what, make, WSAEINTR, WSAEINTR, WSAEINTR, WSAESHUTDOWN, WSAENETDOWN, 0 \
    }
static const struct ends_row full[] = {
    FULL("WSPSend", "one of a datagram to a dataplane that does nothing", make_send_dgram),
    FULL("WSPSend", "one of a datagram behind an overlapped one", make_send_behind),
    FULL("WSPSendTo", "one to a dataplane that does nothing", make_send_to),
    FULL("WSASendMsg", "one to a dataplane that does nothing", make_send_msg),
};
#define FULL_COUNT (sizeof(full) / sizeof(full[0]))

/* ---- the ends ---- */

static void dies_under(bool answers)
{
    struct stream_call call;
    ENDS_ROW->make(&call);
    if (!answers) {
        fake_pause(spi_fake);
    }
    stream_begin(&call);
    spi_fake_die();
    int error = stream_finish(&call);
    new_dataplane();
    if (error != ENDS_ROW->down) {
        fail_msg("the call ended with error %d, %d expected", error, ENDS_ROW->down);
    }
}

static void down(void **state)
{
    (void)state;
    dies_under(true);
}

static void down_unanswered(void **state)
{
    (void)state;
    dies_under(false);
}

static void answered_late(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    fake_pause(spi_fake);
    stream_begin(&call);
    fake_resume(spi_fake);
    assert_int_equal(stream_finish(&call), 0);
}

static void resumed(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    stream_begin(&call);
    DWORD early = WaitForSingleObject(call.thread, 0);
    fake_resume(spi_fake);
    assert_int_equal(stream_finish(&call), 0);
    assert_int_equal(early, WAIT_TIMEOUT);
}

/* The dataplane's answer to the close is waited for, but the send ends first. */
static void closed(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    stream_begin(&call);
    struct stream_call close = {.kind = CALL_CLOSE, .s = call.s};
    stream_begin(&close);
    fake_resume(spi_fake);
    spi_forget(call.s);
    assert_int_equal(stream_finish(&close), 0);
    stream_cancelled(&call);
}

static unsigned hook_calls;

static BOOL CALLBACK hook_run(DWORD_PTR context)
{
    (void)context;
    return ++hook_calls < 2;
}

static void cancelled(void **state)
{
    struct stream_call call;
    (void)state;
    ENDS_ROW->make(&call);
    hook_calls = 0;
    (void)host_set_blocking_hook(hook_run, 0);
    int error = stream_run(&call);
    (void)host_set_blocking_hook(NULL, 0);
    fake_resume(spi_fake);
    if (error != WSAEINTR) {
        fail_msg("the call ended with error %d, %d expected", error, WSAEINTR);
    }
}

__attribute__((constructor)) static void register_all(void)
{
    ends_add(ends_rows, ends_row_count, "and the dataplane dies", down);
    ends_add(asking, ASKING_COUNT, "and the dataplane dies", down_unanswered);
    ends_add(asking, ASKING_COUNT, "and the dataplane is late", answered_late);
    ends_add(full, FULL_COUNT, "and the dataplane dies", down);
    ends_add(full, FULL_COUNT, "and the dataplane goes on", resumed);
    ends_add(full, FULL_COUNT, "and another thread closes its socket", closed);
    ends_add(full, FULL_COUNT, "and its hook returns FALSE", cancelled);
}

/* ---- overlapped sends ---- */

CASE(WSPSend, paused_overlapped,
     "overlapped, to a dataplane that does nothing: pending, and through in order when it goes on")
{
    struct overlapped_op ops[3];
    SOCKET s = full_dgram();
    for (unsigned i = 0; i < 3; i++) {
        overlapped_make(&ops[i]);
        FAILS(WSA_IO_PENDING, overlapped_send(s, &ops[i], "later"));
    }
    assert_int_equal(WaitForSingleObject(ops[0].o.hEvent, 30), WAIT_TIMEOUT);
    fake_resume(spi_fake);
    for (unsigned i = 3; i-- > 0;) { /* the last one first: the others are through then */
        overlapped_ends(s, &ops[i], 0);
        assert_false(overlapped_pending(&ops[0]));
        assert_int_equal(ops[i].transferred, 5);
        overlapped_drop(&ops[i]);
    }
}

CASE(WSPCloseSocket, paused_overlapped_close,
     "overlapped sends to a dataplane that does nothing: WSA_OPERATION_ABORTED at once")
{
    struct overlapped_op op;
    SOCKET s = full_dgram();
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_send(s, &op, "never"));
    struct stream_call close = {.kind = CALL_CLOSE, .s = s};
    stream_begin(&close);
    overlapped_aborted(&op);
    overlapped_drop(&op);
    fake_resume(spi_fake);
    spi_forget(s);
    assert_int_equal(stream_finish(&close), 0);
}

CASE(WSPGetOverlappedResult, paused_overlapped_down,
     "overlapped sends to a dataplane that does nothing and dies: WSAENETDOWN")
{
    struct overlapped_op op;
    SOCKET s = full_dgram();
    overlapped_make(&op);
    FAILS(WSA_IO_PENDING, overlapped_send(s, &op, "never"));
    spi_fake_die();
    overlapped_ends(s, &op, WSAENETDOWN);
    overlapped_drop(&op);
    new_dataplane();
}

/* ---- events ---- */

NOTIFY_CASE(down_connect_again,
            "FD_CONNECT of a dataplane that died is WSAENETDOWN, selected before or behind that")
{
    SOCKET s = stream_new();
    OK(notify_select(n, s, FD_CONNECT));
    notify_none(n, s);
    spi_fake_die();
    notify_expect(n, s, FD_CONNECT);
    int before_code = notify_error(n, FD_CONNECT);
    OK(notify_select(n, s, FD_CONNECT));
    long told = notify_take(n, s);
    int behind_code = notify_error(n, FD_CONNECT);
    new_dataplane();
    assert_int_equal(before_code, WSAENETDOWN);
    assert_int_equal(told, FD_CONNECT);
    assert_int_equal(behind_code, WSAENETDOWN);
}
