/*
 * AcceptEx, ConnectEx, DisconnectEx of diff.h: each with what its page says comes before and behind
 * it, as one call of a plan.
 */
#include "tests/spi/diff.h"

#define EXT_BYTES 256u
#define EXT_NAME  (sizeof(SOCKADDR_IN6) + 16)

static LPFN_ACCEPTEX ext_accept;
static LPFN_GETACCEPTEXSOCKADDRS ext_accept_names;
static LPFN_CONNECTEX ext_connect;
static LPFN_DISCONNECTEX ext_disconnect;

void diff_ext_find(SOCKET s, GUID id, void *function, DWORD bytes)
{
    DWORD returned = 0;
    if (WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), function, bytes, &returned,
                 NULL, NULL) != 0) {
        fprintf(stderr, "no extension function: error %d\n", WSAGetLastError());
        exit(2);
    }
}

void diff_ext_open(void)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    diff_ext_find(s, (GUID)WSAID_ACCEPTEX, &ext_accept, sizeof(ext_accept));
    diff_ext_find(s, (GUID)WSAID_GETACCEPTEXSOCKADDRS, &ext_accept_names, sizeof(ext_accept_names));
    diff_ext_find(s, (GUID)WSAID_CONNECTEX, &ext_connect, sizeof(ext_connect));
    diff_ext_find(s, (GUID)WSAID_DISCONNECTEX, &ext_disconnect, sizeof(ext_disconnect));
    (void)closesocket(s);
}

/* A new stream socket in the slot. */
static void fresh(unsigned slot)
{
    diff_vacate(slot);
    diff_touch(slot);
    diff_slots[slot].s = diff_socket(slot, SOCK_STREAM, IPPROTO_TCP);
    diff_slots[slot].type = DIFF_TCP;
    diff_made[slot]++;
    diff_nonblocking(diff_slots[slot].s, 1);
}

/* Whether it is done at once nobody promises. */
static bool begun(BOOL done)
{
    bool waits = !done && WSAGetLastError() == WSA_IO_PENDING;
    if (done || waits) {
        diff_say(" => begun");
    } else {
        (void)diff_say_result(SOCKET_ERROR);
    }
    return done || waits;
}

/* ---- AcceptEx ---- */

static void say_update(SOCKET s, int option, const void *value, int bytes)
{
    diff_say(", update");
    (void)diff_say_result(setsockopt(s, SOL_SOCKET, option, value, bytes));
}

static void say_name(const struct diff_name *name, int bytes)
{
    SOCKADDR_IN in;
    bytes = diff_name_from(0, name, bytes, &in);
    diff_say_addr(&in, bytes);
}

static void say_accept_names(char *buffer, DWORD data_bytes)
{
    struct sockaddr *local = NULL;
    struct sockaddr *remote = NULL;
    int local_bytes = 0;
    int remote_bytes = 0;
    ext_accept_names(buffer, data_bytes, EXT_NAME, EXT_NAME, &local, &local_bytes, &remote,
                     &remote_bytes);
    diff_say(", names");
    say_name((struct diff_name *)local, local_bytes);
    say_name((struct diff_name *)remote, remote_bytes);
}

/* The first connection that waits, or one that `from` makes now. */
static void accept_client(unsigned from, unsigned listener)
{
    struct diff_slot *at = &diff_slots[from];
    SOCKADDR_IN in = diff_at(INADDR_LOOPBACK, diff_slots[listener].port_be16);
    if (diff_slots[listener].pending_count != 0) {
        return;
    }
    diff_say(", connect");
    struct diff_name name;
    int bytes = diff_name_to(from, &in, sizeof(in), &name);
    (void)diff_say_result(connect(at->s, &name.is.any, bytes));
    diff_connect_ends(from, listener);
}

/* What AcceptEx waits for, when it waits for data: the client's first bytes. */
static void client_sends(const struct diff_link *link, uint32_t bytes)
{
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        struct diff_slot *at = &diff_slots[i];
        if (at->type == DIFF_TCP && at->link == link && !at->shut_send) {
            char data[EXT_BYTES];
            diff_fill_stream(at, data, bytes);
            int sent = send(at->s, data, (int)bytes, 0);
            diff_model_sent(at, sent > 0 ? (uint32_t)sent : 0, 0);
        }
    }
}

static void accepted(unsigned slot, unsigned listener, SOCKET s, DWORD got)
{
    struct diff_name peer;
    int peer_bytes = sizeof(peer);
    diff_say(", before");
    (void)diff_say_result(getpeername(s, &peer.is.any, &peer_bytes));
    say_update(s, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&diff_slots[listener].s, sizeof(SOCKET));
    diff_model_accepted(slot, listener, s);
    diff_model_received(&diff_slots[slot], got);
    diff_say(", behind");
    (void)diff_say_name(slot, getpeername, sizeof(SOCKADDR_IN));
}

/* From the listener in slot 0 into `slot`; the slot beside it connects, unless somebody waits. */
static void call_accept_ex(unsigned slot, unsigned other)
{
    (void)other;
    static char buffer[EXT_BYTES + 2 * EXT_NAME];
    struct diff_slot *listener = &diff_slots[0];
    unsigned from = ((slot - 1) ^ 1u) + 1;
    DWORD room = diff_pick(2) != 0 ? 0 : 1 + diff_pick(64);
    uint32_t bytes = 1 + diff_pick(100);
    DWORD got = 0;
    struct diff_op *op;
    /* A connection that is over already, or has sent: that is AcceptEx's own matter. */
    if (!listener->listening || listener->strange || slot < 1 || slot > 4 ||
        (listener->pending_count != 0 && (room != 0 || listener->pending[0]->gone[0]))) {
        return;
    }
    diff_say("accept-ex");
    diff_vacate(slot);
    if (listener->pending_count == 0) {
        fresh(from);
    }
    op = diff_op_make(0);
    SOCKET s = socket(listener->six ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP);
    diff_made[slot]++;
    diff_settle(listener);
    diff_say_slot(0);
    diff_say(" %lu", room);
    if (begun(
            ext_accept(listener->s, s, buffer, room, EXT_NAME, EXT_NAME, &got, &op->overlapped))) {
        accept_client(from, 0);
        if (room != 0) {
            client_sends(listener->pending_count != 0 ? listener->pending[0] : NULL, bytes);
        }
        if (diff_op_ends(op, listener->s, &got)) {
            diff_say_bytes(buffer, got);
            say_accept_names(buffer, room);
            accepted(slot, 0, s, got);
            s = INVALID_SOCKET;
        }
    }
    if (s != INVALID_SOCKET) {
        (void)closesocket(s);
    }
    diff_op_drop(op);
}

/* ---- ConnectEx ---- */

/* To the listener in slot 0, bound or, what its page forbids, not. */
void diff_connect_ex(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *listener = &diff_slots[0];
    struct diff_slot *at = &diff_slots[slot];
    SOCKADDR_IN own = diff_at(diff_pick(2) != 0 ? INADDR_LOOPBACK : INADDR_ANY, 0);
    SOCKADDR_IN to = diff_at(INADDR_LOOPBACK, listener->port_be16);
    char data[EXT_BYTES];
    DWORD bytes = diff_pick(2) != 0 ? 0 : 1 + diff_pick(EXT_BYTES);
    DWORD sent = 0;
    bool update = diff_pick(3) != 0;
    struct diff_name own_name, to_name;
    int own_bytes;
    struct diff_op *op;
    if (!listener->listening || listener->pending_count == DIFF_PENDING || slot < 1 || slot > 4) {
        return;
    }
    diff_say("connect-ex");
    if (diff_pick(6) != 0 || at->type != DIFF_TCP) { /* else whatever is there */
        fresh(slot);
        if (diff_pick(6) != 0) {
            own_bytes = diff_name_to(slot, &own, sizeof(own), &own_name);
            (void)bind(at->s, &own_name.is.any, own_bytes);
            diff_learn_name(slot);
        }
    }
    op = diff_op_make(slot);
    diff_settle(at);
    diff_say_slot(slot);
    diff_touch(0);
    diff_say(" %lu", bytes);
    diff_fill_stream(at, data, bytes);
    int to_bytes = diff_name_to(slot, &to, sizeof(to), &to_name);
    if (begun(ext_connect(at->s, &to_name.is.any, to_bytes, data, bytes, &sent, &op->overlapped)) &&
        diff_op_ends(op, at->s, &sent)) {
        diff_model_connected(slot, 0);
        diff_model_sent(at, sent, 0);
        diff_say(", before");
        struct diff_name peer;
        int peer_bytes = sizeof(peer);
        (void)diff_say_result(getpeername(at->s, &peer.is.any, &peer_bytes));
        if (update) {
            say_update(at->s, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
        }
        at->no_context = !update;
    }
    diff_op_drop(op);
}

/* ---- DisconnectEx ---- */

static bool may_disconnect(const struct diff_slot *at)
{
    return at->type == DIFF_TCP && !at->shut_recv && (at->link == NULL || diff_unread(at) == 0);
}

/* Whether it ended well. */
static bool disconnect(unsigned slot, DWORD flags)
{
    struct diff_op *op = diff_op_make(slot);
    SOCKET s = diff_slots[slot].s;
    DWORD bytes = 0;
    bool done = begun(ext_disconnect(s, &op->overlapped, flags, 0)) && diff_op_ends(op, s, &bytes);
    diff_op_drop(op);
    return done;
}

static void close_it(unsigned slot)
{
    diff_say(", close");
    if (diff_say_result(closesocket(diff_slots[slot].s))) {
        diff_model_closed(&diff_slots[slot]);
    }
}

void diff_disconnect_ex(unsigned slot, unsigned other)
{
    (void)other;
    if (may_disconnect(&diff_slots[slot])) {
        diff_say("disconnect-ex");
        diff_settle(&diff_slots[slot]);
        diff_say_slot(slot);
        (void)disconnect(slot, 0);
        close_it(slot);
    }
}

/* With reuse, once the other side has ended, too; then the socket connects again, as its page says
 * that it may. Closed at the end: nothing that follows depends on who could. */
static void call_reuse(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *peer = diff_stream_peer(at);
    const struct diff_slot *listener = &diff_slots[0];
    SOCKADDR_IN to = diff_at(INADDR_LOOPBACK, listener->port_be16);
    struct diff_name name;
    DWORD sent = 0;
    if (!may_disconnect(at) || peer == NULL || at->side != 0 || at->shut_send || at->no_context ||
        !listener->listening || listener->pending_count == DIFF_PENDING ||
        diff_pipe_in(at)->reset || diff_pipe_out(at)->reset || diff_unread(peer) != 0 ||
        peer->shut_recv) {
        return;
    }
    diff_say("reuse");
    (void)shutdown(peer->s, SD_SEND);
    peer->shut_send = true;
    diff_pipe_out(peer)->fin = true;
    diff_settle(at);
    diff_say_slot(slot);
    diff_touch(0);
    if (disconnect(slot, TF_REUSE_SOCKET)) {
        int to_bytes = diff_name_to(slot, &to, sizeof(to), &name);
        struct diff_op *op = diff_op_make(slot);
        diff_say(", connect");
        if (begun(ext_connect(at->s, &name.is.any, to_bytes, NULL, 0, &sent, &op->overlapped)) &&
            diff_op_ends(op, at->s, &sent)) {
            diff_link_ends(at);
            diff_model_connected(slot, 0);
        }
        diff_op_drop(op);
    }
    close_it(slot);
}

const struct diff_kind diff_kinds_ext[] = {
    {"accept-ex", call_accept_ex, WANTS_TCP, {0, 5, 0, 0}},
    {"connect-ex", diff_connect_ex, WANTS_TCP, {0, 4, 0, 0}},
    {"disconnect-ex", diff_disconnect_ex, WANTS_TCP, {0, 3, 0, 0}},
    {"reuse", call_reuse, WANTS_TCP, {0, 3, 0, 0}},
};
const unsigned diff_kinds_ext_count = sizeof(diff_kinds_ext) / sizeof(diff_kinds_ext[0]);
