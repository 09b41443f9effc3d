/*
 * WSARecvMsg and WSASendMsg of diff.h, with control data both ways.
 */
#include "provider/spi/option_names.h"
#include "tests/spi/diff.h"

#define MSG_BYTES     256u
#define CONTROL_BYTES 128u
/* WSA_CMSG_SPACE; the headers' own mixes signs. */
#define CONTROL_ALIGN(bytes) \
    (((bytes) + TYPE_ALIGNMENT(WSACMSGHDR) - 1) & ~((size_t)TYPE_ALIGNMENT(WSACMSGHDR) - 1))

static LPFN_WSARECVMSG msg_recv;
static LPFN_WSASENDMSG msg_send;

void diff_message_open(void)
{
    SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    diff_ext_find(s, (GUID)WSAID_WSARECVMSG, &msg_recv, sizeof(msg_recv));
    diff_ext_find(s, (GUID)WSAID_WSASENDMSG, &msg_send, sizeof(msg_send));
    (void)closesocket(s);
}

/* ---- what a receive is to tell ---- */

static void call_ask(unsigned slot, unsigned other)
{
    (void)other;
    static const struct {
        int name;
        const char *text;
    } options[] = {
        {IP_PKTINFO, "IP_PKTINFO"}, {IP_RECVTTL, "IP_RECVTTL"}, {IP_RECVTOS, "IP_RECVTOS"}};
    unsigned i = diff_pick(sizeof(options) / sizeof(options[0]));
    DWORD value = diff_pick(4) != 0;
    /* Of datagrams that wait already nobody says what will be told. */
    if (diff_slots[slot].type != DIFF_UDP || diff_slots[slot].six || diff_slots[slot].queued != 0) {
        return;
    }
    diff_say("ask");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" %s %lu", options[i].text, value);
    (void)diff_say_result(setsockopt(diff_slots[slot].s, IPPROTO_IP, options[i].name,
                                     (const char *)&value, sizeof(value)));
}

/* ---- WSARecvMsg ---- */

static void say_control(const WSAMSG *message)
{
    const WSACMSGHDR *one;
    for (size_t at = 0; at + sizeof(*one) <= message->Control.len;
         at += CONTROL_ALIGN(one->cmsg_len)) {
        one = (const WSACMSGHDR *)(message->Control.buf + at);
        if (one->cmsg_len < sizeof(*one)) {
            diff_say(" a header of %u bytes", (unsigned)one->cmsg_len);
            return;
        }
        const unsigned char *data = WSA_CMSG_DATA(one);
        if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO) {
            IN_PKTINFO info; /* an interface's number is each Winsock's own */
            memcpy(&info, data, sizeof(info));
            uint32_t ip = ntohl(info.ipi_addr.s_addr);
            diff_say(" pktinfo %08x", ip == diff_own ? INADDR_LOOPBACK : ip);
        } else {
            int value;
            memcpy(&value, data, sizeof(value));
            diff_say(" level%d type%d bytes%u %d", one->cmsg_level, one->cmsg_type,
                     (unsigned)one->cmsg_len, value);
        }
    }
}

static void say_flags(DWORD flags)
{
    diff_say(" %s%s%s%lx", (flags & MSG_TRUNC) != 0 ? "TRUNC+" : "",
             (flags & MSG_CTRUNC) != 0 ? "CTRUNC+" : "", (flags & MSG_PEEK) != 0 ? "PEEK+" : "",
             flags & ~(DWORD)(MSG_TRUNC | MSG_CTRUNC | MSG_PEEK));
}

static void call_recv_msg(unsigned slot, unsigned other)
{
    (void)other;
    static char data[MSG_BYTES], control[CONTROL_BYTES];
    struct diff_slot *at = &diff_slots[slot];
    SOCKADDR_IN in;
    struct diff_name name = {{{0}}};
    WSABUF buffers[2] = {{.len = diff_pick(30), .buf = data}};
    buffers[1] = (WSABUF){.len = 1 + diff_pick(100), .buf = data + buffers[0].len};
    DWORD room = diff_pick(3) == 0 ? diff_pick(20) : CONTROL_BYTES;
    DWORD peek = diff_pick(5) == 0 ? MSG_PEEK : 0;
    WSAMSG message = {.name = &name.is.any,
                      .namelen = diff_name_room(slot, sizeof(in)),
                      .lpBuffers = buffers,
                      .dwBufferCount = 2,
                      .Control = {.len = room, .buf = control},
                      .dwFlags = peek};
    DWORD got = 0;
    if (at->type != DIFF_UDP) {
        return;
    }
    memset(control, 0, sizeof(control));
    diff_say("recvmsg");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %lu control %lu", buffers[0].len + buffers[1].len, room);
    say_flags(peek);
    int result = msg_recv(at->s, &message, &got, NULL, NULL);
    bool cut = result != 0 && WSAGetLastError() == WSAEMSGSIZE;
    if (!diff_say_result(result) && !cut) {
        return;
    }
    uint32_t bytes = cut && got == 0 ? buffers[0].len + buffers[1].len : got;
    diff_say_bytes(data, bytes);
    say_flags(message.dwFlags);
    int name_bytes = diff_name_from(slot, &name, message.namelen, &in);
    diff_say_addr(&in, name_bytes);
    say_control(&message);
    if (peek == 0) {
        diff_model_received(at, bytes);
    }
}

/* ---- WSASendMsg ---- */

static void put_control(WSAMSG *message, int type, const void *value, size_t bytes)
{
    WSACMSGHDR *one = WSA_CMSG_FIRSTHDR(message);
    *one =
        (WSACMSGHDR){.cmsg_len = WSA_CMSG_LEN(bytes), .cmsg_level = IPPROTO_IP, .cmsg_type = type};
    memcpy(WSA_CMSG_DATA(one), value, bytes);
    message->Control.len = (ULONG)CONTROL_ALIGN(WSA_CMSG_LEN(bytes));
}

static void pick_control(WSAMSG *message)
{
    int ttl = DIFF_ONE_OF(int, 1, 5, 64, 255, 0, 256);
    IN_PKTINFO info = {.ipi_addr.s_addr =
                           htonl(DIFF_ONE_OF(uint32_t, INADDR_LOOPBACK, INADDR_ANY))};
    switch (diff_pick(4)) {
    case 0:
        put_control(message, IP_TTL, &ttl, sizeof(ttl));
        diff_say(" ttl %d", ttl);
        break;
    case 1:
        put_control(message, IP_PKTINFO, &info, sizeof(info));
        diff_say(" pktinfo %08lx", ntohl(info.ipi_addr.s_addr));
        break;
    default:
        message->Control.len = 0;
        break;
    }
}

static void call_send_msg(unsigned slot, unsigned other)
{
    static char data[MSG_BYTES], control[CONTROL_BYTES];
    struct diff_slot *at = &diff_slots[slot];
    struct diff_slot *peer = &diff_slots[other];
    SOCKADDR_IN to = diff_at(INADDR_LOOPBACK, peer->port_be16);
    struct diff_name name;
    WSABUF buffers[2] = {{.len = diff_pick(30), .buf = data}};
    buffers[1] = (WSABUF){.len = 1 + diff_pick(100), .buf = data + buffers[0].len};
    WSAMSG message = {.name = &name.is.any,
                      .namelen = diff_name_to(slot, &to, sizeof(to), &name),
                      .lpBuffers = buffers,
                      .dwBufferCount = 2,
                      .Control = {.len = CONTROL_BYTES, .buf = control}};
    DWORD sent = 0;
    if (at->type != DIFF_UDP || peer->type != DIFF_UDP || !diff_port_served(peer->port_be16)) {
        return;
    }
    memset(data, (int)diff_pick(256), sizeof(data));
    memset(control, 0, sizeof(control));
    diff_say("sendmsg");
    diff_settle(at);
    diff_say_slot(slot);
    diff_touch(other);
    diff_say(" %lu", buffers[0].len + buffers[1].len);
    pick_control(&message);
    diff_say_addr(&to, sizeof(to));
    if (diff_say_result(msg_send(at->s, &message, 0, &sent, NULL, NULL))) {
        diff_say(" sent=%lu", sent);
        diff_learn_name(slot);
        diff_model_datagram(at, to.sin_port);
    }
}

const struct diff_kind diff_kinds_message[] = {
    {"ask", call_ask, WANTS_UDP, {5, 0, 0, 0}},
    {"recvmsg", call_recv_msg, WANTS_UDP, {8, 0, 0, 0}},
    {"sendmsg", call_send_msg, WANTS_UDP, {7, 0, 0, 0}},
};
const unsigned diff_kinds_message_count =
    sizeof(diff_kinds_message) / sizeof(diff_kinds_message[0]);
