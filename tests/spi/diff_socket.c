/*
 * Calls of diff.h about sockets themselves: making, naming, connecting, ending, select.
 */
#include "tests/spi/diff.h"

#define BAD_SOCKET ((SOCKET)0x7ffffffc)

SOCKET diff_handle(unsigned slot)
{
    return diff_slots[slot].type == DIFF_NONE ? INVALID_SOCKET : diff_slots[slot].s;
}

SOCKADDR_IN diff_at(uint32_t ip, u_short port_be16)
{
    SOCKADDR_IN in = {.sin_family = AF_INET, .sin_port = port_be16};
    in.sin_addr.s_addr = htonl(ip);
    return in;
}

void diff_nonblocking(SOCKET s, u_long on)
{
    (void)ioctlsocket(s, (__LONG32)FIONBIO, &on);
}

/* ---- making, closing ---- */

bool diff_plan_six;

SOCKET diff_socket(unsigned slot, int type, int protocol)
{
    const DWORD off = 0;
    bool six = diff_plan_six && diff_pick(2) != 0;
    SOCKET s = socket(six ? AF_INET6 : AF_INET, type, protocol);
    if (six) {
        diff_say("-six");
        (void)setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof(off));
    }
    diff_slots[slot].six = six;
    return s;
}

/* What stands in the slot is closed first. */
static bool make(unsigned slot, enum diff_type type, int protocol)
{
    struct diff_slot *at = &diff_slots[slot];
    SOCKET s = diff_socket(slot, type == DIFF_UDP ? SOCK_DGRAM : SOCK_STREAM, protocol);
    diff_made[slot]++;
    diff_say(" s%u", slot);
    diff_touch(slot);
    if (!diff_say_result(s == INVALID_SOCKET ? SOCKET_ERROR : 0)) {
        return false;
    }
    at->s = s;
    at->type = type;
    diff_nonblocking(s, 1);
    return true;
}

/* A close that resets may overtake what was sent: it is there first. */
static void settle_peer(const struct diff_slot *at)
{
    struct diff_slot *peer = diff_stream_peer(at);
    if (peer != NULL) {
        diff_settle(peer);
    }
}

void diff_vacate(unsigned slot)
{
    struct diff_slot *at = &diff_slots[slot];
    if (at->type == DIFF_NONE) {
        return;
    }
    diff_touch(slot);
    settle_peer(at);
    if (closesocket(at->s) != 0) {
        /* A linger time: without it the close goes through. */
        const struct linger none = {0};
        (void)setsockopt(at->s, SOL_SOCKET, SO_LINGER, (const char *)&none, sizeof(none));
        (void)closesocket(at->s);
    }
    diff_model_closed(at);
}

void diff_new_udp(unsigned slot, unsigned other)
{
    (void)other;
    diff_vacate(slot);
    diff_say("new-udp");
    int protocol = diff_pick(2) != 0 ? IPPROTO_UDP : 0;
    (void)make(slot, DIFF_UDP, protocol);
}

void diff_new_tcp(unsigned slot, unsigned other)
{
    (void)other;
    diff_vacate(slot);
    diff_say("new-tcp");
    int protocol = diff_pick(2) != 0 ? IPPROTO_TCP : 0;
    (void)make(slot, DIFF_TCP, protocol);
}

/* What no provider serves. */
static void call_socket_bad(unsigned slot, unsigned other)
{
    (void)slot, (void)other;
    static const int wrong[][3] = {{AF_INET, SOCK_STREAM, IPPROTO_UDP},
                                   {AF_INET, SOCK_DGRAM, IPPROTO_TCP},
                                   {AF_INET, 77, 0},
                                   {77, SOCK_STREAM, 0},
                                   {AF_INET, SOCK_STREAM, 250},
                                   {AF_INET, SOCK_SEQPACKET, 0}};
    const int *triple = wrong[diff_pick(sizeof(wrong) / sizeof(wrong[0]))];
    diff_say("socket-bad %d %d %d", triple[0], triple[1], triple[2]);
    SOCKET s = socket(triple[0], triple[1], triple[2]);
    (void)diff_say_result(s == INVALID_SOCKET ? SOCKET_ERROR : 0);
    if (s != INVALID_SOCKET) {
        (void)closesocket(s);
    }
}

static void call_close(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    diff_say("close");
    diff_settle(at);
    settle_peer(at);
    diff_say_slot(slot);
    if (diff_say_result(closesocket(diff_handle(slot))) && at->type != DIFF_NONE) {
        diff_model_closed(at);
    }
}

/* With a reset, whatever waits. */
void diff_abort(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (at->type != DIFF_TCP || at->link == NULL) {
        return;
    }
    diff_say("abort");
    diff_settle(at);
    settle_peer(at);
    diff_say_slot(slot);
    (void)setsockopt(at->s, SOL_SOCKET, SO_LINGER, (const char *)&at_once, sizeof(at_once));
    at->aborts = true;
    if (diff_say_result(closesocket(at->s))) {
        diff_model_closed(at);
    }
}

/* ---- bind, listen ---- */

static void bind_at(unsigned slot, const SOCKADDR_IN *in, int bytes)
{
    struct diff_slot *at = &diff_slots[slot];
    diff_say_slot(slot);
    diff_say_addr(in, bytes);
    struct diff_name name;
    int name_bytes = diff_name_to(slot, in, bytes, &name);
    int result = bind(diff_handle(slot), &name.is.any, name_bytes);
    if (diff_say_result(result) && at->type != DIFF_NONE) {
        diff_learn_name(slot);
    }
}

void diff_bind_loopback(unsigned slot, unsigned other)
{
    (void)other;
    SOCKADDR_IN in = diff_at(INADDR_LOOPBACK, 0);
    diff_say("bind");
    bind_at(slot, &in, sizeof(in));
}

void diff_bind_any(unsigned slot, unsigned other)
{
    (void)other;
    SOCKADDR_IN in = diff_at(INADDR_ANY, 0);
    diff_say("bind");
    bind_at(slot, &in, sizeof(in));
}

static void call_bind(unsigned slot, unsigned other)
{
    SOCKADDR_IN in = diff_at(diff_pick(2) != 0 ? INADDR_LOOPBACK : INADDR_ANY, 0);
    int bytes = sizeof(in);
    switch (diff_pick(9)) {
    case 0:
        in.sin_family = DIFF_ONE_OF(short, AF_INET6, AF_UNSPEC, 77);
        break;
    case 1:
        bytes = DIFF_ONE_OF(int, 0, 2, 15, 17, 28);
        break;
    case 2:
        in.sin_addr.s_addr = htonl(DIFF_ONE_OF(uint32_t, 0xc0000201u, 0xe0000001u, 0xffffffffu));
        break;
    case 3:
    case 4:
        /* A number can be both UDP's and TCP's, or not: no matter of the seed's. */
        in.sin_port =
            diff_slots[other].type == diff_slots[slot].type ? diff_slots[other].port_be16 : 0;
        diff_touch(other);
        break;
    default:
        break;
    }
    diff_say("bind");
    bind_at(slot, &in, bytes);
}

void diff_listen(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    int backlog = DIFF_ONE_OF(int, 4, 5, 100, SOMAXCONN);
    diff_say("listen");
    diff_say_slot(slot);
    diff_say(" %d", backlog);
    if (diff_say_result(listen(diff_handle(slot), backlog)) && at->type == DIFF_TCP) {
        at->listening = true;
        diff_learn_name(slot);
    }
}

/* ---- connect, accept ---- */

/* Until a connect that is under way has ended. */
static void connect_wait(struct diff_slot *at)
{
    fd_set write = {.fd_count = 1, .fd_array = {at->s}};
    fd_set except = write;
    struct timeval most = {.tv_sec = DIFF_WAIT_MS / 1000};
    if (select(0, NULL, &write, &except, &most) <= 0) {
        diff_note_wait("the connect's end");
        return;
    }
    diff_say(write.fd_count != 0 ? ", writable" : "");
    diff_say(except.fd_count != 0 ? ", except" : "");
    at->connected = write.fd_count != 0 && except.fd_count == 0;
    at->failed = !at->connected;
}

void diff_model_connected(unsigned slot, unsigned listener_slot)
{
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *listener = &diff_slots[listener_slot];
    diff_learn_name(slot);
    at->connected = true;
    at->link = diff_link_new();
    at->side = 0;
    listener->pending[listener->pending_count++] = at->link;
}

void diff_connect_ends(unsigned slot, unsigned listener_slot)
{
    struct diff_slot *at = &diff_slots[slot];
    connect_wait(at);
    diff_learn_name(slot);
    if (at->connected && diff_slots[listener_slot].listening) {
        diff_model_connected(slot, listener_slot);
    }
}

static void connect_stream(unsigned slot, unsigned other, const SOCKADDR_IN *to, int bytes)
{
    const struct diff_slot *at = &diff_slots[slot];
    bool idle = !at->connected && !at->failed && !at->listening && at->type == DIFF_TCP;
    struct diff_name name;
    int name_bytes = diff_name_to(slot, to, bytes, &name);
    int result = connect(diff_handle(slot), &name.is.any, name_bytes);
    (void)diff_say_result(result);
    if (!idle || (result != 0 && WSAGetLastError() != WSAEWOULDBLOCK)) {
        return;
    }
    diff_connect_ends(slot, other);
}

/* To a listener of the plan, or nobody. */
void diff_connect(unsigned slot, unsigned other)
{
    struct diff_slot *to = &diff_slots[other];
    if (slot == other || to->pending_count == DIFF_PENDING || diff_slots[slot].type != DIFF_TCP) {
        return;
    }
    SOCKADDR_IN in = diff_at(INADDR_LOOPBACK, to->port_be16);
    diff_say("connect");
    diff_say_slot(slot);
    diff_touch(other);
    diff_say_addr(&in, sizeof(in));
    connect_stream(slot, other, &in, sizeof(in));
}

static void connect_dgram(unsigned slot, const SOCKADDR_IN *in)
{
    struct diff_slot *at = &diff_slots[slot];
    /* Not to nobody: Wine hands what dissolves a peer to the kernel, which does something else. */
    diff_say_addr(in, sizeof(*in));
    struct diff_name name;
    int name_bytes = diff_name_to(slot, in, sizeof(*in), &name);
    int result = connect(diff_handle(slot), &name.is.any, name_bytes);
    if (diff_say_result(result)) {
        at->connected = in->sin_port != 0;
        at->peer_port_be16 = in->sin_port;
        diff_learn_name(slot);
    }
}

static void call_connect(unsigned slot, unsigned other)
{
    struct diff_slot *at = &diff_slots[slot];
    bool alike = diff_slots[other].type == at->type;
    SOCKADDR_IN in = diff_at(INADDR_LOOPBACK, alike ? diff_slots[other].port_be16 : 0);
    int bytes = sizeof(in);
    if (at->type == DIFF_UDP) {
        if (diff_slots[other].type == DIFF_UDP && at->queued == 0) {
            diff_say("connect");
            diff_say_slot(slot);
            diff_touch(other);
            connect_dgram(slot, &in);
        }
        return;
    }
    if (diff_slots[other].listening && diff_pick(4) != 0) {
        diff_connect(slot, other);
        return;
    }
    switch (diff_pick(5)) {
    case 0:
        in.sin_family = DIFF_ONE_OF(short, AF_INET6, 77);
        break;
    case 1:
        bytes = DIFF_ONE_OF(int, 0, 2, 15);
        break;
    case 2:
        in.sin_addr.s_addr = htonl(DIFF_ONE_OF(uint32_t, 0xe0000001u, 0xffffffffu));
        break;
    case 3:
        in.sin_port = 0;
        break;
    default:
        return;
    }
    diff_say("connect");
    diff_say_slot(slot);
    diff_touch(other);
    diff_say_addr(&in, bytes);
    connect_stream(slot, other, &in, bytes);
}

/* The first of those that wait does not any more. */
static void model_taken(struct diff_slot *listener)
{
    listener->pending_count--;
    memmove(listener->pending, listener->pending + 1,
            listener->pending_count * sizeof(listener->pending[0]));
}

void diff_model_accepted(unsigned slot, unsigned listener_slot, SOCKET s)
{
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *listener = &diff_slots[listener_slot];
    at->s = s;
    at->type = DIFF_TCP;
    at->six = listener->six;
    at->connected = true;
    at->link = listener->pending[0];
    at->watched = listener->watched; /* inherited */
    at->side = 1;
    model_taken(listener);
    diff_learn_name(slot);
    diff_nonblocking(s, 1);
    diff_touch(slot);
}

/* From the listener in slot into a slot that is empty, or is emptied. */
void diff_accept(unsigned slot, unsigned other)
{
    struct diff_slot *at = &diff_slots[slot];
    if (slot == other) {
        return;
    }
    bool wanted = at->listening && at->pending_count != 0;
    if (wanted) {
        diff_vacate(other);
    }
    diff_made[other]++;
    diff_say("accept");
    diff_settle(at);
    diff_say_slot(slot);
    SOCKADDR_IN from;
    /* Wine loses a connection for which the room is too small. */
    bool short_room = !wanted && diff_pick(8) == 0;
    int bytes = short_room ? DIFF_ONE_OF(int, 0, 8, 15) : (int)sizeof(from);
    diff_say(" %d", bytes);
    struct diff_name name;
    int name_bytes = diff_name_room(slot, bytes);
    SOCKET s = accept(diff_handle(slot), &name.is.any, &name_bytes);
    if (!diff_say_result(s == INVALID_SOCKET ? SOCKET_ERROR : 0)) {
        if (wanted && WSAGetLastError() == WSAECONNRESET) {
            model_taken(at);
        }
        return;
    }
    bytes = diff_name_from(slot, &name, name_bytes, &from);
    diff_say_addr(&from, bytes);
    if (wanted) {
        diff_model_accepted(other, slot, s);
        diff_say(" s%u", other);
    } else {
        diff_say(" [nobody connected]");
        (void)closesocket(s);
    }
}

/* ---- shutdown, names, select ---- */

static void model_shut(struct diff_slot *at, bool recv_side, bool send_side)
{
    at->shut_recv = at->shut_recv || recv_side;
    at->shut_send = at->shut_send || send_side;
    if (at->link != NULL) {
        at->link->deaf[at->side] = at->shut_recv;
        diff_pipe_out(at)->fin = diff_pipe_out(at)->fin || send_side;
    }
}

void diff_shutdown(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    int how = DIFF_ONE_OF(int, SD_RECEIVE, SD_SEND, SD_SEND, SD_SEND, SD_BOTH, 3, -1);
    diff_say("shutdown");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %d", how);
    if (!diff_say_result(shutdown(diff_handle(slot), how)) || at->type == DIFF_NONE) {
        return;
    }
    model_shut(at, how != SD_SEND, how != SD_RECEIVE);
}

static void call_disconnect(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    bool send_side = diff_pick(3) != 0;
    diff_say(send_side ? "send-disconnect" : "recv-disconnect");
    diff_settle(at);
    diff_say_slot(slot);
    SOCKET s = diff_handle(slot);
    int result = send_side ? WSASendDisconnect(s, NULL) : WSARecvDisconnect(s, NULL);
    if (!diff_say_result(result) || at->type == DIFF_NONE) {
        return;
    }
    model_shut(at, !send_side, send_side);
}

bool diff_say_name(unsigned slot, diff_namer namer, int room)
{
    SOCKADDR_IN in;
    struct diff_name name;
    int bytes = diff_name_room(slot, room);
    bool done = diff_say_result(namer(diff_handle(slot), &name.is.any, &bytes));
    if (done) {
        bytes = diff_name_from(slot, &name, bytes, &in);
        diff_say_addr(&in, bytes);
    }
    return done;
}

void diff_name(unsigned slot, unsigned other)
{
    (void)other;
    bool peer = diff_pick(2) != 0;
    int bytes = diff_pick(4) == 0 ? DIFF_ONE_OF(int, 0, 8, 15) : (int)sizeof(SOCKADDR_IN);
    diff_say(peer ? "getpeername" : "getsockname");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" %d", bytes);
    (void)diff_say_name(slot, peer ? getpeername : getsockname, bytes);
}

static void say_set(const char *name, const fd_set *set)
{
    diff_say(" %s=", name);
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        for (unsigned k = 0; k < set->fd_count; k++) {
            if (diff_slots[i].type != DIFF_NONE && set->fd_array[k] == diff_slots[i].s) {
                diff_say("%u", i);
            }
        }
    }
}

/* One socket in all three sets: so a difference is about one socket. */
static void call_select(unsigned slot, unsigned other)
{
    (void)other;
    fd_set sets[3] = {{.fd_count = 1, .fd_array = {diff_handle(slot)}}};
    struct timeval none = {0};
    sets[1] = sets[2] = sets[0];
    diff_say("select");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    if (diff_say_result(select(0, &sets[0], &sets[1], &sets[2], &none))) {
        say_set("read", &sets[0]);
        say_set("write", &sets[1]);
        say_set("except", &sets[2]);
    }
}

static void call_select_bad(unsigned slot, unsigned other)
{
    (void)slot, (void)other;
    fd_set set = {.fd_count = 1, .fd_array = {BAD_SOCKET}};
    fd_set empty = {0};
    struct timeval none = {0};
    switch (diff_pick(4)) {
    case 0:
        diff_say("select-bad without sets");
        (void)diff_say_result(select(0, NULL, NULL, NULL, &none));
        break;
    case 1:
        diff_say("select-bad empty sets");
        (void)diff_say_result(select(0, &empty, &empty, NULL, &none));
        break;
    case 2:
        diff_say("select-bad no socket");
        (void)diff_say_result(select(0, &set, NULL, NULL, &none));
        break;
    default:
        none.tv_sec = -1;
        set.fd_array[0] = diff_handle(slot);
        diff_say("select-bad negative time");
        diff_say_slot(slot);
        (void)diff_say_result(select(0, NULL, &set, NULL, &none));
        break;
    }
}

const struct diff_kind diff_kinds_socket[] = {
    {"new-udp", diff_new_udp, WANTS_UDP, {2, 0, 1, 2}},
    {"new-tcp", diff_new_tcp, WANTS_TCP, {0, 2, 1, 0}},
    {"socket-bad", call_socket_bad, WANTS_ANY, {1, 1, 2, 0}},
    {"abort", diff_abort, WANTS_TCP, {0, 3, 0, 0}},
    {"close", call_close, WANTS_ANY, {2, 3, 1, 1}},
    {"bind", call_bind, WANTS_ANY, {6, 2, 1, 2}},
    {"listen", diff_listen, WANTS_TCP, {0, 1, 0, 0}},
    {"listen", diff_listen, WANTS_LISTENER, {1, 2, 1, 0}},
    {"connect", call_connect, WANTS_ANY, {4, 4, 1, 1}},
    {"accept", diff_accept, WANTS_LISTENER, {1, 4, 1, 0}},
    {"shutdown", diff_shutdown, WANTS_ANY, {1, 4, 1, 0}},
    {"disconnect", call_disconnect, WANTS_ANY, {1, 1, 1, 0}},
    {"name", diff_name, WANTS_ANY, {4, 4, 1, 1}},
    {"select", call_select, WANTS_ANY, {6, 8, 1, 4}},
    {"select-bad", call_select_bad, WANTS_ANY, {1, 1, 1, 0}},
};
const unsigned diff_kinds_socket_count = sizeof(diff_kinds_socket) / sizeof(diff_kinds_socket[0]);
