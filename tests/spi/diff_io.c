/*
 * Calls of diff.h that move bytes. Contents are a function of who sends and how far he is, so a
 * byte that is lost, doubled or in the wrong place changes a sum.
 */
#include "tests/spi/diff.h"

#define IO_BYTES   4096u
#define IO_BUFFERS 4u
#define CANARY     0xa5

static unsigned char io_data[IO_BYTES];

/* ---- send ---- */

void diff_fill_stream(const struct diff_slot *slot, void *data, uint32_t bytes)
{
    const struct diff_pipe *out = diff_pipe_out(slot);
    uint32_t from = out != NULL ? out->sent : 0;
    for (uint32_t i = 0; i < bytes; i++) {
        ((unsigned char *)data)[i] =
            (unsigned char)((from + i) * 7u + (from + i) / 251u + slot->side * 13u);
    }
}

static void fill_message(struct diff_slot *slot, unsigned number, uint32_t bytes)
{
    slot->messages++;
    for (uint32_t i = 0; i < bytes; i++) {
        io_data[i] = (unsigned char)(i * 5u + number * 31u + slot->messages * 17u);
    }
}

/* A send without an address binds under Wine, also when it fails, and nothing shows it. */
static bool may_send(const struct diff_slot *slot)
{
    return slot->connected ? diff_port_served(slot->peer_port_be16) : slot->bound;
}

/* What becomes of an urgent byte that was not received when another one comes, nobody says. */
static bool may_be_urgent(const struct diff_slot *slot)
{
    const struct diff_pipe *out = diff_pipe_out(slot);
    return out == NULL || !out->urgent_waits;
}

void diff_send(unsigned slot, unsigned other)
{
    struct diff_slot *at = &diff_slots[slot];
    uint32_t bytes = diff_pick(6) == 0 ? 0 : 1 + diff_pick(diff_pick(4) == 0 ? 4000 : 100);
    DWORD flags = DIFF_ONE_OF(DWORD, 0, 0, 0, 0, 0, 0, MSG_OOB, MSG_DONTROUTE, MSG_PEEK, 0x4000);
    (void)other;
    flags = may_be_urgent(at) ? flags : flags & ~(DWORD)MSG_OOB;
    if (at->type == DIFF_UDP) {
        if (!may_send(at)) {
            return;
        }
        fill_message(at, slot, bytes);
    } else {
        diff_fill_stream(at, io_data, bytes);
    }
    diff_say("send");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u", bytes);
    diff_say_flags(flags);
    int result = send(diff_handle(slot), (const char *)io_data, (int)bytes, (int)flags);
    if (!diff_say_result(result)) {
        return;
    }
    if (at->type == DIFF_TCP) {
        diff_model_sent(at, (uint32_t)result, flags);
    } else if (at->type == DIFF_UDP && at->connected) {
        diff_model_datagram(at, at->peer_port_be16);
    }
}

void diff_send_urgent(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    uint32_t bytes = 1 + diff_pick(3);
    if (at->type != DIFF_TCP || at->link == NULL || !may_be_urgent(at)) {
        return;
    }
    diff_fill_stream(at, io_data, bytes);
    diff_say("send-urgent");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u", bytes);
    int result = send(at->s, (const char *)io_data, (int)bytes, MSG_OOB);
    if (diff_say_result(result)) {
        diff_model_sent(at, (uint32_t)result, MSG_OOB);
    }
}

void diff_send_to(unsigned slot, unsigned other)
{
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *peer = &diff_slots[other];
    uint32_t bytes = diff_pick(6) == 0 ? 0 : 1 + diff_pick(diff_pick(4) == 0 ? 4000 : 100);
    SOCKADDR_IN to = diff_at(INADDR_LOOPBACK, peer->port_be16);
    int to_bytes = sizeof(to);
    if (at->type != DIFF_UDP || peer->type != DIFF_UDP || !diff_port_served(peer->port_be16)) {
        return; /* of streams diff_send has it all; a closed port answers when it likes */
    }
    switch (diff_pick(10)) {
    case 0:
        to.sin_family = DIFF_ONE_OF(short, AF_INET6, AF_UNSPEC, 77);
        break;
    case 1:
        to_bytes = DIFF_ONE_OF(int, 0, 2, 15);
        break;
    case 2:
        to.sin_port = 0;
        break;
    default:
        break;
    }
    fill_message(at, slot, bytes);
    diff_say("sendto");
    diff_say_slot(slot);
    diff_touch(other);
    diff_say(" %u", bytes);
    diff_say_addr(&to, to_bytes);
    struct diff_name name;
    int name_bytes = diff_name_to(slot, &to, to_bytes, &name);
    int result =
        sendto(diff_handle(slot), (const char *)io_data, (int)bytes, 0, &name.is.any, name_bytes);
    if (diff_say_result(result)) {
        diff_learn_name(slot);
        diff_model_datagram(at, to.sin_port);
    }
}

/* Parts of io_data in order, some of them empty. Returns how many bytes they are. */
static uint32_t cut(WSABUF *buffers, unsigned count)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t part = diff_pick(4) == 0 ? 0 : diff_pick(200);
        buffers[i] = (WSABUF){.len = part, .buf = (char *)io_data + at};
        at += part;
    }
    return at;
}

static void call_wsa_send(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    WSABUF buffers[IO_BUFFERS];
    unsigned count = diff_pick(IO_BUFFERS + 1);
    DWORD sent = 0;
    if (at->type == DIFF_UDP && !may_send(at)) {
        return;
    }
    uint32_t bytes = cut(buffers, count);
    if (at->type == DIFF_UDP) {
        fill_message(at, slot, bytes);
    } else {
        diff_fill_stream(at, io_data, bytes);
    }
    diff_say("wsasend");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u in %u", bytes, count);
    int result = WSASend(diff_handle(slot), buffers, count, &sent, 0, NULL, NULL);
    if (!diff_say_result(result)) {
        return;
    }
    diff_say(" sent=%lu", sent);
    if (at->type == DIFF_TCP) {
        diff_model_sent(at, sent, 0);
    } else if (at->connected) {
        diff_model_datagram(at, at->peer_port_be16);
    }
}

/* ---- receive ---- */

static void say_received(uint32_t bytes)
{
    bool touched = false;
    diff_say_bytes(io_data, bytes);
    for (uint32_t i = bytes; i < IO_BYTES; i++) {
        touched = touched || io_data[i] != CANARY;
    }
    diff_say(touched ? " written behind" : "");
}

/* A datagram that was cut is gone, too. */
static void after_receive(struct diff_slot *at, int result, uint32_t bytes, DWORD flags)
{
    int error = WSAGetLastError();
    bool cut_off = result == SOCKET_ERROR && error == WSAEMSGSIZE && at->type == DIFF_UDP;
    WSASetLastError(error);
    if (diff_say_result(result) || cut_off) {
        say_received(bytes);
        if ((flags & MSG_PEEK) == 0) {
            diff_model_received(at, bytes);
        }
        if ((flags & (MSG_PEEK | MSG_OOB)) == MSG_OOB && at->link != NULL) {
            diff_pipe_in(at)->urgent_waits = false;
        }
    }
}

static DWORD pick_recv_flags(void)
{
    return DIFF_ONE_OF(DWORD, 0, 0, 0, 0, 0, MSG_PEEK, MSG_PEEK, MSG_OOB, MSG_OOB | MSG_PEEK,
                       MSG_DONTROUTE, 0x4000, MSG_WAITALL);
}

void diff_recv(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    uint32_t bytes = diff_pick(8) == 0 ? diff_pick(2) : 1 + diff_pick(diff_pick(2) ? 4000 : 60);
    DWORD flags = pick_recv_flags();
    bytes += (flags & MSG_OOB) != 0 && bytes == 0; /* nobody says what no urgent byte is */
    diff_say("recv");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u", bytes);
    diff_say_flags(flags);
    memset(io_data, CANARY, sizeof(io_data));
    int result = recv(diff_handle(slot), (char *)io_data, (int)bytes, (int)flags);
    after_receive(at, result, result >= 0 ? (uint32_t)result : bytes, flags);
}

static void call_recv_from(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    SOCKADDR_IN from;
    int from_bytes = diff_pick(8) == 0 ? DIFF_ONE_OF(int, 0, 8, 15) : (int)sizeof(from);
    uint32_t bytes = 1 + diff_pick(diff_pick(2) ? 4000 : 60);
    DWORD flags = DIFF_ONE_OF(DWORD, 0, 0, 0, MSG_PEEK);
    if (at->type != DIFF_UDP) {
        return; /* a stream's is diff_recv's */
    }
    diff_say("recvfrom");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u %d", bytes, from_bytes);
    diff_say_flags(flags);
    memset(io_data, CANARY, sizeof(io_data));
    struct diff_name name = {{{0}}};
    int name_bytes = diff_name_room(slot, from_bytes);
    int result = recvfrom(diff_handle(slot), (char *)io_data, (int)bytes, (int)flags, &name.is.any,
                          &name_bytes);
    bool any = result != SOCKET_ERROR || WSAGetLastError() == WSAEMSGSIZE;
    after_receive(at, result, result >= 0 ? (uint32_t)result : bytes, flags);
    if (any) {
        from_bytes = diff_name_from(slot, &name, name_bytes, &from);
        diff_say_addr(&from, from_bytes);
    }
}

static void call_wsa_recv(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    WSABUF buffers[IO_BUFFERS];
    unsigned count = diff_pick(IO_BUFFERS + 1);
    DWORD received = 0;
    DWORD flags = DIFF_ONE_OF(DWORD, 0, 0, 0, MSG_PEEK, MSG_PARTIAL, MSG_PUSH_IMMEDIATE);
    DWORD asked = flags;
    uint32_t bytes = cut(buffers, count);
    diff_say("wsarecv");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u in %u", bytes, count);
    diff_say_flags(flags);
    memset(io_data, CANARY, sizeof(io_data));
    int result = WSARecv(diff_handle(slot), buffers, count, &received, &flags, NULL, NULL);
    bool cut_off = result != 0 && at->type == DIFF_UDP && WSAGetLastError() == WSAEMSGSIZE;
    after_receive(at, result, cut_off ? bytes : received, asked);
    if (result == 0 || cut_off) {
        diff_say(" received=%lu", received);
        diff_say_flags(flags);
    }
}

/* Blocking, for what is there: it has to come back with all of it. */
static void call_recv_all(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    const struct diff_pipe *in = diff_pipe_in(at);
    uint32_t unread = diff_unread(at);
    if (unread == 0 || at->watched || unread > IO_BYTES || at->shut_recv || in->urgent ||
        in->reset) {
        return;
    }
    uint32_t bytes = 1 + diff_pick(unread);
    diff_say("recv-all");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %u", bytes);
    memset(io_data, CANARY, sizeof(io_data));
    DWORD before_ms = 0;
    const DWORD most_ms = DIFF_WAIT_MS;
    int before_bytes = sizeof(before_ms);
    (void)getsockopt(at->s, SOL_SOCKET, SO_RCVTIMEO, (char *)&before_ms, &before_bytes);
    (void)setsockopt(at->s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&most_ms, sizeof(most_ms));
    diff_nonblocking(at->s, 0);
    int result = recv(at->s, (char *)io_data, (int)bytes, MSG_WAITALL);
    int error = WSAGetLastError();
    diff_nonblocking(at->s, 1);
    (void)setsockopt(at->s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&before_ms, sizeof(before_ms));
    WSASetLastError(error);
    after_receive(at, result, result >= 0 ? (uint32_t)result : bytes, 0);
}

const struct diff_kind diff_kinds_io[] = {
    {"send", diff_send, WANTS_ANY, {6, 14, 1, 2}},
    {"send-urgent", diff_send_urgent, WANTS_TCP, {0, 3, 0, 0}},
    {"sendto", diff_send_to, WANTS_UDP, {14, 0, 1, 2}},
    {"wsasend", call_wsa_send, WANTS_ANY, {3, 5, 1, 0}},
    {"recv", diff_recv, WANTS_ANY, {8, 14, 1, 3}},
    {"recvfrom", call_recv_from, WANTS_UDP, {10, 0, 0, 6}},
    {"wsarecv", call_wsa_recv, WANTS_ANY, {4, 5, 1, 1}},
    {"recv-all", call_recv_all, WANTS_TCP, {0, 3, 0, 0}},
};
const unsigned diff_kinds_io_count = sizeof(diff_kinds_io) / sizeof(diff_kinds_io[0]);
