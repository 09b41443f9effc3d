/*
 * Overlapped sends and receives of diff.h, told by an event, by the socket's completion port or by
 * a completion routine.
 */
#include "tests/spi/diff.h"

#define OP_BYTES 512u

/* ---- one operation ---- */

static HANDLE op_port;        /* one for the whole run */
static unsigned op_left_over; /* packets that no operation of ours had */
static struct {
    bool called;
    DWORD error, bytes, flags;
    const WSAOVERLAPPED *overlapped;
} op_routine;

static void CALLBACK op_called(DWORD error, DWORD bytes, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    op_routine.called = true;
    op_routine.error = error;
    op_routine.bytes = bytes;
    op_routine.flags = flags;
    op_routine.overlapped = overlapped;
}

static void take_left_over(void)
{
    ULONG_PTR key = 0;
    DWORD bytes = 0;
    LPOVERLAPPED overlapped = NULL;
    do {
        overlapped = NULL;
        (void)GetQueuedCompletionStatus(op_port, &bytes, &key, &overlapped, 0);
        op_left_over += overlapped != NULL;
    } while (overlapped != NULL);
}

struct diff_op *diff_op_make(unsigned slot)
{
    bool ported = diff_slots[slot].port_key != 0;
    struct diff_op *op = calloc(1, sizeof(*op));
    if (op == NULL) {
        fprintf(stderr, "no memory\n");
        exit(2);
    }
    *op = (struct diff_op){.slot = slot, .way = ported ? DIFF_BY_PORT : DIFF_BY_EVENT};
    if (!ported) {
        op->overlapped.hEvent = WSACreateEvent();
    } else {
        take_left_over();
    }
    return op;
}

/* A routine, where the socket has no port. */
static struct diff_op *op_make_any(unsigned slot)
{
    struct diff_op *op = diff_op_make(slot);
    if (op->way == DIFF_BY_EVENT && diff_pick(3) == 0) {
        op->way = DIFF_BY_ROUTINE;
        op->routine = op_called;
        op_routine.called = false;
    }
    return op;
}

void diff_op_drop(struct diff_op *op)
{
    if (!HasOverlappedIoCompleted(&op->overlapped)) {
        return;
    }
    if (op->overlapped.hEvent != NULL) {
        (void)WSACloseEvent(op->overlapped.hEvent);
    }
    free(op);
}

const char *diff_way_name(const struct diff_op *op)
{
    static const char *const names[] = {"event", "port", "routine"};
    return names[op->way];
}

static void await_event(struct diff_op *op)
{
    DWORD waited = WSAWaitForMultipleEvents(1, &op->overlapped.hEvent, TRUE, DIFF_WAIT_MS, FALSE);
    if (waited != WSA_WAIT_EVENT_0) {
        diff_note_wait("the event of an overlapped call");
    }
}

static void await_packet(struct diff_op *op)
{
    ULONG_PTR key = 0;
    DWORD bytes = 0;
    LPOVERLAPPED overlapped = NULL;
    BOOL good = GetQueuedCompletionStatus(op_port, &bytes, &key, &overlapped, DIFF_WAIT_MS);
    if (overlapped == NULL) {
        diff_note_wait("the packet of an overlapped call");
        return;
    }
    diff_say(", packet %s bytes=%lu%s%s", good ? "ok" : "failed", bytes,
             key == diff_slots[op->slot].port_key ? "" : " wrong key",
             overlapped == (LPOVERLAPPED)&op->overlapped ? "" : " wrong operation");
}

static void await_routine(struct diff_op *op)
{
    ULONGLONG end = GetTickCount64() + DIFF_WAIT_MS;
    while (!op_routine.called && GetTickCount64() < end) {
        (void)SleepEx(DIFF_WAIT_MS, TRUE);
    }
    if (!op_routine.called) {
        diff_note_wait("the routine of an overlapped call");
        return;
    }
    diff_say(", routine ");
    diff_say_error((int)op_routine.error);
    diff_say(" bytes=%lu%s", op_routine.bytes,
             op_routine.overlapped == &op->overlapped ? "" : " wrong operation");
    diff_say_flags(op_routine.flags);
    op_routine.called = false;
}

static void op_await(struct diff_op *op)
{
    static void (*const waits[])(struct diff_op *) = {[DIFF_BY_EVENT] = await_event,
                                                      [DIFF_BY_PORT] = await_packet,
                                                      [DIFF_BY_ROUTINE] = await_routine};
    waits[op->way](op);
}

bool diff_op_begun(bool done)
{
    int error = WSAGetLastError();
    WSASetLastError(error);
    return diff_say_result(done ? 0 : SOCKET_ERROR) || error == WSA_IO_PENDING;
}

bool diff_op_ends(struct diff_op *op, SOCKET s, DWORD *bytes)
{
    DWORD flags = 0;
    op_await(op);
    bool done = WSAGetOverlappedResult(s, &op->overlapped, bytes, FALSE, &flags) != FALSE;
    diff_say(", result");
    (void)diff_say_result(done ? 0 : SOCKET_ERROR);
    diff_say(" bytes=%lu", *bytes);
    diff_say_flags(flags);
    return done;
}

/* ---- ports ---- */

/* Once in a socket's life; a second time is tried, too. */
static void call_port(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    if (at->type == DIFF_NONE) {
        return;
    }
    if (op_port == NULL) {
        op_port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    }
    diff_say("port");
    diff_say_slot(slot);
    ULONG_PTR key = (slot + 1) * 1000u + diff_made[slot];
    bool done = diff_completion_port((HANDLE)at->s, op_port, key, 0) == op_port;
    diff_say(done ? " => ok" : " => error-%lu", GetLastError());
    at->port_key = done ? key : at->port_key;
    take_left_over();
    if (op_left_over != 0) {
        diff_say(", %u packets left over", op_left_over);
        op_left_over = 0;
    }
}

/* ---- streams ---- */

static char op_data[OP_BYTES];

static bool can_flow(const struct diff_slot *slot, const struct diff_slot *peer)
{
    const struct diff_pipe *in = diff_pipe_in(slot);
    return peer != NULL && !slot->shut_recv && !slot->shut_send && !peer->shut_recv &&
           !peer->shut_send && !in->urgent && !in->fin && !in->reset && !diff_pipe_out(slot)->reset;
}

static void peer_sends(struct diff_slot *peer, uint32_t bytes)
{
    bytes = bytes < OP_BYTES ? bytes : OP_BYTES;
    diff_fill_stream(peer, op_data, bytes);
    int sent = send(peer->s, op_data, (int)bytes, 0);
    diff_model_sent(peer, sent > 0 ? (uint32_t)sent : 0, 0);
}

/* Two receives that nothing waits for, or one that is served at once; then the peer sends. */
static void call_recv(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *peer = diff_stream_peer(at);
    static char data[2][100];
    WSABUF buffers[2] = {{.len = 1 + diff_pick(100), .buf = data[0]},
                         {.len = 1 + diff_pick(100), .buf = data[1]}};
    uint32_t bytes = 1 + diff_pick(300);
    unsigned count = diff_unread(at) != 0 ? 1 : 2;
    struct diff_op *ops[2];
    bool begun[2] = {false, false};
    if (!can_flow(at, peer)) {
        return;
    }
    ops[0] = op_make_any(slot);
    ops[1] = diff_op_make(slot);
    diff_say("overlapped-recv");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %lu %lu, sent %u, %s", buffers[0].len, buffers[1].len, bytes, diff_way_name(ops[0]));
    for (unsigned i = 0; i < count; i++) {
        DWORD flags = 0;
        DWORD got = 0;
        begun[i] = diff_op_begun(WSARecv(at->s, &buffers[i], 1, &got, &flags, &ops[i]->overlapped,
                                         ops[i]->routine) == 0);
    }
    if (count == 2) {
        peer_sends(peer, buffers[0].len + bytes); /* more than the first takes */
    }
    for (unsigned i = 0; i < count; i++) {
        DWORD got = 0;
        if (begun[i] && diff_op_ends(ops[i], at->s, &got)) {
            diff_say_bytes(data[i], got < 100 ? got : 100);
            diff_model_received(at, got);
        }
    }
    diff_op_drop(ops[0]);
    diff_op_drop(ops[1]);
}

static void call_send(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    struct diff_op *op;
    uint32_t bytes = 1 + diff_pick(OP_BYTES);
    WSABUF buffer = {.len = bytes, .buf = op_data};
    DWORD sent = 0;
    if (!can_flow(at, diff_stream_peer(at))) {
        return;
    }
    op = op_make_any(slot);
    diff_say("overlapped-send");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u, %s", bytes, diff_way_name(op));
    diff_fill_stream(at, op_data, bytes);
    if (diff_op_begun(WSASend(at->s, &buffer, 1, &sent, 0, &op->overlapped, op->routine) == 0) &&
        diff_op_ends(op, at->s, &sent)) {
        diff_model_sent(at, sent, 0);
    }
    diff_op_drop(op);
}

/* A receive that waits while its socket is closed; an event could not be asked about then. */
static void call_recv_closed(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *peer = diff_stream_peer(at);
    struct diff_op *op;
    DWORD got = 0;
    DWORD flags = 0;
    WSABUF buffer = {.len = 10, .buf = op_data};
    if (!can_flow(at, peer) || diff_unread(at) != 0) {
        return;
    }
    op = diff_op_make(slot);
    if (op->way == DIFF_BY_EVENT) {
        op->way = DIFF_BY_ROUTINE;
        op->routine = op_called;
        op_routine.called = false;
    }
    diff_say("overlapped-recv-closed");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %s", diff_way_name(op));
    if (diff_op_begun(WSARecv(at->s, &buffer, 1, &got, &flags, &op->overlapped, op->routine) ==
                      0)) {
        (void)diff_say_result(closesocket(at->s));
        op_await(op);
        diff_model_closed(at);
    }
    diff_op_drop(op);
}

/* ---- datagrams ---- */

static void call_recv_from(unsigned slot, unsigned other)
{
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *from = &diff_slots[other];
    static char data[100];
    SOCKADDR_IN in;
    struct diff_name name = {{{0}}};
    int name_bytes = diff_name_room(slot, sizeof(in));
    WSABUF buffer = {.len = 1 + diff_pick(100), .buf = data};
    uint32_t bytes = 1 + diff_pick(100);
    DWORD flags = 0;
    DWORD got = 0;
    struct diff_op *op;
    if (at->type != DIFF_UDP || from->type != DIFF_UDP || at->queued != 0 || at->connected ||
        at->shut_recv || diff_joined(at) != 0 || from->connected || from->shut_send || !at->bound ||
        !diff_port_served(at->port_be16)) {
        return;
    }
    op = op_make_any(slot);
    diff_say("overlapped-recvfrom");
    diff_settle(at);
    diff_say_slot(slot);
    diff_touch(other);
    diff_say(" %lu, sent %u, %s", buffer.len, bytes, diff_way_name(op));
    memset(op_data, (int)bytes, sizeof(op_data));
    if (diff_op_begun(WSARecvFrom(at->s, &buffer, 1, &got, &flags, &name.is.any, &name_bytes,
                                  &op->overlapped, op->routine) == 0)) {
        SOCKADDR_IN to = diff_at(INADDR_LOOPBACK, at->port_be16);
        struct diff_name to_name;
        int to_bytes = diff_name_to(other, &to, sizeof(to), &to_name);
        (void)sendto(from->s, op_data, (int)bytes, 0, &to_name.is.any, to_bytes);
        diff_learn_name(other);
        if (diff_op_ends(op, at->s, &got)) {
            diff_say_bytes(data, got < 100 ? got : 100);
            name_bytes = diff_name_from(slot, &name, name_bytes, &in);
            diff_say_addr(&in, name_bytes);
        }
    }
    diff_op_drop(op);
}

const struct diff_kind diff_kinds_overlapped[] = {
    {"port", call_port, WANTS_ANY, {2, 3, 0, 0}},
    {"overlapped-recv", call_recv, WANTS_TCP, {0, 6, 0, 0}},
    {"overlapped-send", call_send, WANTS_TCP, {0, 4, 0, 0}},
    {"overlapped-recv-closed", call_recv_closed, WANTS_TCP, {0, 2, 0, 0}},
    {"overlapped-recvfrom", call_recv_from, WANTS_UDP, {6, 0, 0, 0}},
};
const unsigned diff_kinds_overlapped_count =
    sizeof(diff_kinds_overlapped) / sizeof(diff_kinds_overlapped[0]);
