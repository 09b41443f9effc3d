/*
 * Calls of diff.h about options, control codes, memberships and address texts.
 */
#include "provider/spi/option_names.h"
#include "tests/spi/diff.h"

/* ---- options ---- */

struct option {
    int level, name;
    const char *text;
    enum { IS_WORD, IS_BOOL, IS_SECONDS, IS_LINGER, IS_INFO } shape;
};

#define OPTION(level, name, shape) \
    {                              \
        level, name, #name, shape  \
    }
static const struct option options[] = {
    OPTION(SOL_SOCKET, SO_BROADCAST, IS_BOOL),
    OPTION(SOL_SOCKET, SO_REUSEADDR, IS_BOOL),
    OPTION(SOL_SOCKET, SO_EXCLUSIVEADDRUSE, IS_BOOL),
    OPTION(SOL_SOCKET, SO_RCVBUF, IS_WORD),
    OPTION(SOL_SOCKET, SO_SNDBUF, IS_WORD),
    OPTION(SOL_SOCKET, SO_RCVTIMEO, IS_WORD),
    OPTION(SOL_SOCKET, SO_SNDTIMEO, IS_WORD),
    OPTION(SOL_SOCKET, SO_KEEPALIVE, IS_BOOL),
    OPTION(SOL_SOCKET, SO_OOBINLINE, IS_BOOL),
    OPTION(SOL_SOCKET, SO_DEBUG, IS_BOOL),
    OPTION(SOL_SOCKET, SO_DONTROUTE, IS_BOOL),
    OPTION(SOL_SOCKET, SO_LINGER, IS_LINGER),
    OPTION(SOL_SOCKET, SO_DONTLINGER, IS_BOOL),
    OPTION(SOL_SOCKET, SO_TYPE, IS_WORD),
    OPTION(SOL_SOCKET, SO_ERROR, IS_WORD),
    OPTION(SOL_SOCKET, SO_ACCEPTCONN, IS_WORD),
    OPTION(SOL_SOCKET, SO_CONNECT_TIME, IS_SECONDS),
    OPTION(SOL_SOCKET, SO_PROTOCOL_INFOW, IS_INFO),
    OPTION(IPPROTO_IP, IP_TTL, IS_WORD),
    OPTION(IPPROTO_IP, IP_TOS, IS_WORD),
    OPTION(IPPROTO_IP, IP_MULTICAST_TTL, IS_WORD),
    OPTION(IPPROTO_IP, IP_MULTICAST_LOOP, IS_BOOL),
    OPTION(IPPROTO_IP, IP_MULTICAST_IF, IS_WORD),
    OPTION(SOL_SOCKET, SO_CONDITIONAL_ACCEPT, IS_BOOL),
    OPTION(SOL_SOCKET, SO_MAX_MSG_SIZE, IS_WORD),
    OPTION(IPPROTO_IP, IP_DONTFRAGMENT, IS_BOOL),
    OPTION(IPPROTO_IP, IP_PKTINFO, IS_BOOL),
    OPTION(IPPROTO_IP, IP_RECVTTL, IS_BOOL),
    OPTION(IPPROTO_TCP, TCP_NODELAY, IS_BOOL),
    OPTION(IPPROTO_TCP, TCP_KEEPIDLE, IS_WORD),
    OPTION(IPPROTO_TCP, TCP_KEEPINTVL, IS_WORD),
    OPTION(IPPROTO_TCP, TCP_KEEPCNT, IS_WORD),
    OPTION(SOL_SOCKET, 0x7777, IS_WORD),
    OPTION(IPPROTO_TCP, 0x7777, IS_WORD),
    OPTION(4242, 1, IS_WORD),
    OPTION(4242, 2, IS_WORD),
};

static const struct option *pick_option(void)
{
    const struct option *option = &options[diff_pick(sizeof(options) / sizeof(options[0]))];
    return option;
}

static DWORD pick_value(const struct option *option)
{
    if (option->shape == IS_BOOL) {
        return DIFF_ONE_OF(DWORD, 0, 1, 1, 2, 0xffffffffu);
    }
    if (option->level == SOL_SOCKET) {
        return DIFF_ONE_OF(DWORD, 8192, 16384, 65536, 100000);
    }
    if (option->name == IP_MULTICAST_IF && option->level == IPPROTO_IP) {
        return htonl(DIFF_ONE_OF(DWORD, INADDR_LOOPBACK, INADDR_LOOPBACK, INADDR_ANY, 0xc0000201u));
    }
    return DIFF_ONE_OF(DWORD, 0, 1, 5, 64, 128, 255, 256, 0xffffffffu);
}

static void model_option(struct diff_slot *slot, const struct option *option, DWORD value,
                         const struct linger *linger)
{
    if (option->shape == IS_LINGER) {
        slot->aborts = linger->l_onoff != 0 && linger->l_linger == 0;
    } else if (option->level == SOL_SOCKET && option->name == SO_DONTLINGER && value != 0) {
        slot->aborts = false;
    }
}

static void call_set_option(unsigned slot, unsigned other)
{
    (void)other;
    struct diff_slot *at = &diff_slots[slot];
    const struct option *option = pick_option();
    DWORD value[4] = {pick_value(option)};
    struct linger linger = {.l_onoff = DIFF_ONE_OF(u_short, 0, 1, 1, 2),
                            .l_linger = DIFF_ONE_OF(u_short, 0, 0, 5, 60)};
    int bytes = diff_pick(6) == 0 ? DIFF_ONE_OF(int, 0, 1, 2, 3, 8) : (int)sizeof(DWORD);
    if (option->shape == IS_LINGER) {
        memcpy(value, &linger, sizeof(linger));
    }
    diff_say("setsockopt");
    diff_settle(at);
    diff_say_slot(slot);
    diff_say(" %s %lu in %d", option->text, value[0], bytes);
    int result =
        setsockopt(diff_handle(slot), option->level, option->name, (const char *)value, bytes);
    if (diff_say_result(result)) {
        model_option(at, option, value[0], &linger);
    }
}

static void say_value(const struct option *option, const void *value, int bytes)
{
    DWORD word;
    memcpy(&word, value, sizeof(word));
    diff_say(" %d bytes", bytes);
    if (option->shape == IS_INFO) {
        WSAPROTOCOL_INFOW info;
        memcpy(&info, value, sizeof(info));
        diff_say(" family=%d type=%d protocol=%d", info.iAddressFamily, info.iSocketType,
                 info.iProtocol);
    } else if (option->shape == IS_SECONDS) {
        diff_say(word == 0xffffffffu ? " none" : word < 60 ? " new" : " old");
    } else if (bytes < (int)sizeof(word)) {
        diff_say(" %lu", word & ((1ul << (unsigned)bytes * 8u) - 1));
    } else {
        diff_say(" %lu", word);
    }
}

static void call_get_option(unsigned slot, unsigned other)
{
    (void)other;
    const struct option *option = pick_option();
    DWORD value[160] = {0};
    int right = option->shape == IS_INFO ? (int)sizeof(WSAPROTOCOL_INFOW) : (int)sizeof(DWORD);
    int bytes = diff_pick(6) == 0 ? DIFF_ONE_OF(int, 0, 1, 2, 3, 8) : right;
    diff_say("getsockopt");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" %s in %d", option->text, bytes);
    int result = getsockopt(diff_handle(slot), option->level, option->name, (char *)value, &bytes);
    if (diff_say_result(result)) {
        say_value(option, value, bytes);
    }
}

void diff_get_error(unsigned slot, unsigned other)
{
    (void)other;
    DWORD value = 0;
    int bytes = sizeof(value);
    diff_say("so-error");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    if (diff_say_result(
            getsockopt(diff_handle(slot), SOL_SOCKET, SO_ERROR, (char *)&value, &bytes))) {
        diff_say(" %d bytes ", bytes);
        diff_say_error((int)value);
    }
}

/* ---- control codes ---- */

static void call_ioctl(unsigned slot, unsigned other)
{
    (void)other;
    static const struct {
        __LONG32 code;
        const char *text;
    } codes[] = {{FIONREAD, "FIONREAD"},
                 {FIONREAD, "FIONREAD"},
                 {SIOCATMARK, "SIOCATMARK"},
                 {(__LONG32)0xc0047377, "nothing"}};
    unsigned i = diff_pick(sizeof(codes) / sizeof(codes[0]));
    u_long value = 0;
    diff_say("ioctlsocket");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" %s", codes[i].text);
    if (diff_say_result(ioctlsocket(diff_handle(slot), codes[i].code, &value))) {
        diff_say(" value=%lu", value);
    }
}

void diff_at_mark(unsigned slot, unsigned other)
{
    (void)other;
    u_long value = 0;
    diff_say("at-mark");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    if (diff_say_result(ioctlsocket(diff_handle(slot), SIOCATMARK, &value))) {
        diff_say(" value=%lu", value);
    }
}

static void call_wsa_ioctl(unsigned slot, unsigned other)
{
    (void)other;
    static const struct {
        DWORD code;
        const char *text;
    } codes[] = {{(DWORD)FIONREAD, "FIONREAD"},
                 {(DWORD)FIONBIO, "FIONBIO"},
                 {SIO_UDP_CONNRESET, "SIO_UDP_CONNRESET"},
                 {SIO_KEEPALIVE_VALS, "SIO_KEEPALIVE_VALS"},
                 {SIO_GET_BROADCAST_ADDRESS, "SIO_GET_BROADCAST_ADDRESS"},
                 {(DWORD)SIOCATMARK, "SIOCATMARK"},
                 {SIO_GET_EXTENSION_FUNCTION_POINTER, "SIO_GET_EXTENSION_FUNCTION_POINTER"},
                 {SIO_FLUSH, "SIO_FLUSH"},
                 {SIO_ENABLE_CIRCULAR_QUEUEING, "SIO_ENABLE_CIRCULAR_QUEUEING"},
                 {SIO_LOOPBACK_FAST_PATH, "SIO_LOOPBACK_FAST_PATH"},
                 {0x98007777, "nothing"}};
    unsigned i = diff_pick(sizeof(codes) / sizeof(codes[0]));
    DWORD in[4] = {1, 5000, 1000, 0};
    DWORD out[8] = {0};
    DWORD in_bytes = DIFF_ONE_OF(DWORD, 0, 3, 4, 12, 12);
    DWORD out_bytes = DIFF_ONE_OF(DWORD, 0, 3, 4, 16, 16);
    DWORD returned = 77;
    diff_say("wsaioctl");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" %s in %lu out %lu", codes[i].text, in_bytes, out_bytes);
    int result = WSAIoctl(diff_handle(slot), codes[i].code, in, in_bytes, out, out_bytes, &returned,
                          NULL, NULL);
    if (diff_say_result(result)) {
        diff_say(" returned=%lu", returned);
        diff_say_bytes(out, returned < sizeof(out) ? returned : sizeof(out));
    }
}

/* ---- multicast ---- */

static uint32_t pick_group(void)
{
    return DIFF_ONE_OF(uint32_t, diff_group(0), diff_group(1), diff_group(0), 0xc0000205u);
}

static void model_member(struct diff_slot *slot, int name, uint32_t group, unsigned source)
{
    unsigned bit = group == diff_group(0) ? 1 : group == diff_group(1) ? 2 : 0;
    slot->sourced = slot->sourced || (name != IP_ADD_MEMBERSHIP && name != IP_DROP_MEMBERSHIP);
    switch (name) {
    case IP_ADD_MEMBERSHIP:
        slot->joined_any |= bit;
        break;
    case IP_DROP_MEMBERSHIP:
        slot->joined_any &= ~bit;
        slot->joined_from[0] &= ~bit;
        slot->joined_from[1] &= ~bit;
        break;
    case IP_ADD_SOURCE_MEMBERSHIP:
        slot->joined_from[source] |= bit;
        break;
    case IP_DROP_SOURCE_MEMBERSHIP:
        slot->joined_from[source] &= ~bit;
        break;
    default:
        break;
    }
}

/* Sources of a group that is joined for any: the kernel forgets the group when it refuses them, and
 * the provider may say so only when the socket is bound. */
static bool member_is_mixed(const struct diff_slot *slot, int name, uint32_t group)
{
    unsigned bit = group == diff_group(0) ? 1 : 2;
    return (name == IP_ADD_SOURCE_MEMBERSHIP || name == IP_DROP_SOURCE_MEMBERSHIP) &&
           (slot->joined_any & bit) != 0;
}

static void call_member(unsigned slot, unsigned other)
{
    (void)other;
    static const struct {
        int name;
        const char *text;
        bool source;
    } names[] = {{IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP", false},
                 {IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP", false},
                 {IP_ADD_SOURCE_MEMBERSHIP, "IP_ADD_SOURCE_MEMBERSHIP", true},
                 {IP_DROP_SOURCE_MEMBERSHIP, "IP_DROP_SOURCE_MEMBERSHIP", true},
                 {IP_BLOCK_SOURCE, "IP_BLOCK_SOURCE", true},
                 {IP_UNBLOCK_SOURCE, "IP_UNBLOCK_SOURCE", true}};
    unsigned i = diff_pick(sizeof(names) / sizeof(names[0]));
    uint32_t group = pick_group();
    IP_MREQ_SOURCE source = {0};
    struct ip_mreq any = {0};
    any.imr_multiaddr.s_addr = source.imr_multiaddr.s_addr = htonl(group);
    any.imr_interface.s_addr = source.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
    source.imr_sourceaddr.s_addr = htonl(DIFF_ONE_OF(uint32_t, diff_own, 0x0a000001u));
    const void *value = names[i].source ? (const void *)&source : (const void *)&any;
    int bytes = names[i].source ? (int)sizeof(source) : (int)sizeof(any);
    bytes -= diff_pick(10) == 0 ? 4 : 0;
    if (diff_slots[slot].type == DIFF_TCP ||
        member_is_mixed(&diff_slots[slot], names[i].name, group)) {
        return;
    }
    diff_say("member");
    diff_settle(&diff_slots[slot]);
    diff_say_slot(slot);
    diff_say(" %s %08x from %08x in %d", names[i].text, group,
             names[i].source && source.imr_sourceaddr.s_addr != htonl(diff_own) ? 0x0a000001u : 0u,
             bytes);
    bool done = diff_say_result(
        setsockopt(diff_handle(slot), IPPROTO_IP, names[i].name, (const char *)value, bytes));
    if (done) {
        model_member(&diff_slots[slot], names[i].name, group,
                     source.imr_sourceaddr.s_addr != htonl(diff_own));
    }
}

void diff_join(unsigned slot, unsigned other)
{
    (void)other;
    unsigned n = diff_pick(DIFF_GROUPS);
    struct ip_mreq any = {0};
    any.imr_multiaddr.s_addr = htonl(diff_group(n));
    any.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
    if (diff_slots[slot].type != DIFF_UDP) {
        return;
    }
    diff_say("join");
    diff_say_slot(slot);
    diff_say(" %08x", diff_group(n));
    if (diff_say_result(setsockopt(diff_slots[slot].s, IPPROTO_IP, IP_ADD_MEMBERSHIP,
                                   (const char *)&any, sizeof(any)))) {
        diff_slots[slot].joined_any |= 1u << n;
    }
}

static void model_group(u_short port_be16, unsigned group)
{
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        struct diff_slot *at = &diff_slots[i];
        if (at->type != DIFF_UDP || !at->bound || at->port_be16 != port_be16) {
            continue;
        }
        if ((diff_joined(at) >> group & 1) == 0) {
            at->strays |= 1u << group;
        } else if (at->specific) {
            at->held |= 1u << group;
        }
    }
}

/* The source is diff_own, or, of a socket that is bound to it, 127.0.0.1: one address for Wine and
 * two for Ringsock, which matters where sources do. */
static bool source_is_plain(const struct diff_slot *from)
{
    bool plain = true;
    for (unsigned i = 0; i < DIFF_SLOTS; i++) {
        plain = plain && !diff_slots[i].sourced;
    }
    return plain || !from->specific;
}

/* Who receives it is not modelled: the barrier, and then a look. */
static void call_send_group(unsigned slot, unsigned other)
{
    const DWORD loopback = htonl(INADDR_LOOPBACK);
    struct diff_slot *at = &diff_slots[slot];
    const struct diff_slot *member = &diff_slots[other];
    if (at->type != DIFF_UDP || member->type != DIFF_UDP || at->connected ||
        !diff_port_served(member->port_be16) || !source_is_plain(at)) {
        return;
    }
    unsigned group = diff_pick(DIFF_GROUPS);
    SOCKADDR_IN to = diff_at(diff_group(group), member->port_be16);
    diff_say("send-group");
    diff_say_slot(slot);
    diff_touch(other);
    diff_say_addr(&to, sizeof(to));
    (void)setsockopt(at->s, IPPROTO_IP, IP_MULTICAST_IF, (const char *)&loopback, sizeof(loopback));
    int result =
        sendto(at->s, group == 0 ? "one" : "two", 3, 0, (const struct sockaddr *)&to, sizeof(to));
    if (diff_say_result(result)) {
        diff_learn_name(slot);
        model_group(to.sin_port, group);
    }
}

/* ---- texts ---- */

static void call_text_to_address(unsigned slot, unsigned other)
{
    (void)slot, (void)other;
    static const WCHAR *const texts[] = {
        L"127.0.0.1", L"1.2.3.4:80",   L"1.2.3.4:0",   L"1.2.3.4:65535", L"1.2.3.4:65536",
        L"1.2.3.4:",  L"1.2.3",        L"1.2.3.4.5",   L"256.1.1.1",     L"0.0.0.0",
        L"",          L"abc",          L"1.2.3.4 ",    L" 1.2.3.4",      L"0x7f.0.0.1",
        L"010.1.1.1", L"1.2.3.4:0x50", L"1.2.3.4:+80", L"1.2.3.4:80x",   L"255.255.255.255",
        L"::1",       L"1..2.3",       L"1.2.3.-4",    L"99999999999",   L"16909060"};
    const WCHAR *text = texts[diff_pick(sizeof(texts) / sizeof(texts[0]))];
    WCHAR copy[32];
    SOCKADDR_IN in = diff_at(0, 0);
    int bytes = diff_pick(8) == 0 ? DIFF_ONE_OF(int, 0, 8, 15, 28) : (int)sizeof(in);
    int family = diff_pick(10) == 0 ? 77 : AF_INET;
    struct {
        SOCKADDR_IN in;
        char more[16];
    } room = {.in = in};
    wcscpy(copy, text);
    diff_say("text-to-address '%ls' %d %d", text, family, bytes);
    if (diff_say_result(
            WSAStringToAddressW(copy, family, NULL, (struct sockaddr *)&room.in, &bytes))) {
        uint32_t ip = ntohl(room.in.sin_addr.s_addr);
        diff_say(" %d family%d %08x port %u", bytes, room.in.sin_family, ip,
                 ntohs(room.in.sin_port));
    } else {
        diff_say(" %d", bytes);
    }
}

static void call_address_to_text(unsigned slot, unsigned other)
{
    (void)slot, (void)other;
    SOCKADDR_IN in = diff_at(diff_pick(3) != 0 ? 0x01020304u : 0xffffffffu,
                             htons((u_short)(diff_pick(3) != 0 ? diff_pick(65536) : 0)));
    WCHAR text[64];
    DWORD chars = diff_pick(3) == 0 ? diff_pick(24) : 64;
    DWORD bytes = diff_pick(8) == 0 ? DIFF_ONE_OF(DWORD, 0, 8, 15, 28) : (DWORD)sizeof(in);
    in.sin_family = DIFF_ONE_OF(short, AF_INET, AF_INET, AF_INET, AF_INET, AF_INET, 77);
    diff_say("address-to-text %08lx port %u family %d %lu in %lu", ntohl(in.sin_addr.s_addr),
             ntohs(in.sin_port), in.sin_family, bytes, chars);
    struct {
        SOCKADDR_IN in;
        char more[16];
    } room = {.in = in};
    if (diff_say_result(
            WSAAddressToStringW((struct sockaddr *)&room.in, bytes, NULL, text, &chars))) {
        diff_say(" '%ls' %lu", text, chars);
    } else {
        diff_say(" %lu", chars);
    }
}

const struct diff_kind diff_kinds_option[] = {
    {"setsockopt", call_set_option, WANTS_ANY, {2, 3, 26, 2}},
    {"getsockopt", call_get_option, WANTS_ANY, {2, 3, 26, 2}},
    {"so-error", diff_get_error, WANTS_ANY, {1, 3, 0, 0}},
    {"at-mark", diff_at_mark, WANTS_TCP, {0, 2, 0, 0}},
    {"ioctlsocket", call_ioctl, WANTS_ANY, {4, 6, 4, 1}},
    {"wsaioctl", call_wsa_ioctl, WANTS_ANY, {1, 1, 8, 0}},
    {"member", call_member, WANTS_UDP, {1, 0, 2, 10}},
    {"send-group", call_send_group, WANTS_UDP, {0, 0, 0, 10}},
    {"text-to-address", call_text_to_address, WANTS_ANY, {0, 0, 4, 0}},
    {"address-to-text", call_address_to_text, WANTS_ANY, {0, 0, 4, 0}},
};
const unsigned diff_kinds_option_count = sizeof(diff_kinds_option) / sizeof(diff_kinds_option[0]);
