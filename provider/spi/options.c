/*
 * Socket options. Plain ones are rows of a table; the rest have a function each. What Ringsock does
 * not know says WSAENOPROTOOPT, as documented for an option the protocol does not support. Any
 * thread; slow path.
 */
#include <string.h>

#include "provider/spi/catalog.h"
#include "provider/spi/events.h"
#include "provider/spi/message.h"
#include "provider/spi/option_names.h"

/* ---- plain options ---- */

enum option_kind {
    OPTION_BOOL,
    OPTION_DWORD,
    OPTION_SMALL /* IP level: one byte serves too, as BSD programs pass it */
};

struct option_row {
    int level, name;
    enum option_kind kind;
    uint32_t core; /* enum rs_option or client_option */
};

static const struct option_row option_rows[] = {
    {SOL_SOCKET, SO_BROADCAST, OPTION_BOOL, RS_OPT_BROADCAST},
    {SOL_SOCKET, SO_REUSEADDR, OPTION_BOOL, RS_OPT_REUSEADDR},
    {SOL_SOCKET, SO_EXCLUSIVEADDRUSE, OPTION_BOOL, RS_OPT_EXCLUSIVEADDR},
    {SOL_SOCKET, SO_RCVBUF, OPTION_DWORD, RS_OPT_RCVBUF},
    {SOL_SOCKET, SO_SNDBUF, OPTION_DWORD, RS_OPT_SNDBUF},
    {SOL_SOCKET, SO_RCVTIMEO, OPTION_DWORD, CLIENT_OPT_RECV_TIMEOUT_MS},
    {SOL_SOCKET, SO_SNDTIMEO, OPTION_DWORD, CLIENT_OPT_SEND_TIMEOUT_MS},
    {SOL_SOCKET, SO_KEEPALIVE, OPTION_BOOL, RS_OPT_KEEPALIVE},
    {SOL_SOCKET, SO_OOBINLINE, OPTION_BOOL, CLIENT_OPT_OOB_INLINE},
    {IPPROTO_TCP, TCP_NODELAY, OPTION_BOOL, RS_OPT_NODELAY},
    {IPPROTO_TCP, TCP_TIMESTAMPS, OPTION_BOOL, RS_OPT_TIMESTAMPS},
    {IPPROTO_IP, IP_TTL, OPTION_SMALL, RS_OPT_TTL},
    {IPPROTO_IP, IP_TOS, OPTION_SMALL, RS_OPT_TOS},
    {IPPROTO_IP, IP_DONTFRAGMENT, OPTION_BOOL, RS_OPT_DONT_FRAGMENT},
    {IPPROTO_IP, IP_MULTICAST_TTL, OPTION_SMALL, RS_OPT_MCAST_TTL},
    {IPPROTO_IP, IP_MULTICAST_LOOP, OPTION_SMALL, RS_OPT_MCAST_LOOP},
    {IPPROTO_IP, IP_MULTICAST_IF, OPTION_DWORD, RS_OPT_MCAST_IF},
};

/* The core knows which of its options a type of socket has, but for one that it keeps for all. */
static const struct option_row *option_find(const struct spi_socket *socket, int level, int name)
{
    for (size_t i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
        if (option_rows[i].level == level && option_rows[i].name == name) {
            bool known = socket->stream || option_rows[i].core != CLIENT_OPT_OOB_INLINE;
            return known ? &option_rows[i] : NULL;
        }
    }
    return NULL;
}

int spi_option_set(struct spi_socket *socket, uint32_t option, uint32_t value)
{
    return spi_wsa_error(client_set_option(socket->core, option, value));
}

/* Any value but 0 is TRUE. What excludes what, and when, the core and the dataplane know. */
static int option_apply(struct spi_socket *socket, const struct option_row *row, uint32_t value)
{
    if (row->kind == OPTION_BOOL || row->core == RS_OPT_MCAST_LOOP) {
        value = value != 0;
    }
    int code = row->core == RS_OPT_MCAST_IF    ? spi_interface_resolve(socket, &value)
               : row->core == RS_OPT_KEEPALIVE ? spi_wsa_error(client_keepalive_state(socket->core))
                                               : 0;
    code = code != 0 ? code : spi_option_set(socket, row->core, value);
    spi_events_after(socket, 0); /* where an urgent byte goes decides what there is to read */
    return code;
}

/* Reads 4 bytes, or 1 where that serves. */
static int option_read(const struct option_row *row, const char *value, int value_bytes,
                       uint32_t *out)
{
    if (value_bytes >= (int)sizeof(*out)) {
        if (!spi_can_read(value, sizeof(*out))) {
            return WSAEFAULT;
        }
        memcpy(out, value, sizeof(*out));
        return 0;
    }
    if (row->kind != OPTION_SMALL || value_bytes < 1 || !spi_can_read(value, 1)) {
        return WSAEFAULT;
    }
    *out = (unsigned char)*value;
    return 0;
}

/* ---- memberships ---- */

/* setsockopt's structures give the interface by address, or by index as 0.x.x.x. The dataplane
 * knows only addresses. */
uint32_t spi_interface_by_index(ULONG index)
{
    return index > 0xffffffu ? INADDR_NONE : __builtin_bswap32(index);
}

int spi_interface_resolve(const struct spi_socket *socket, uint32_t *interface_be32)
{
    uint32_t index = __builtin_bswap32(*interface_be32);
    if (index == 0 || index > 0xffffffu) {
        return *interface_be32 == INADDR_NONE ? WSAEADDRNOTAVAIL : 0;
    }
    return spi_wsa_error(client_interface_addr(socket->session->client, index, interface_be32));
}

/* A mapped address serves at both levels. */
static int member_group_address(const struct spi_socket *socket, const SOCKADDR_STORAGE *storage,
                                uint32_t *out)
{
    SOCKADDR_IN in;
    if (storage->ss_family == AF_INET6 && socket->family == AF_INET6) {
        SOCKADDR_IN6 in6;
        memcpy(&in6, storage, sizeof(in6));
        return spi_ipv6_to_ipv4(&in6.sin6_addr, false, out) == 0 ? 0 : WSAEADDRNOTAVAIL;
    }
    memcpy(&in, storage, sizeof(in));
    *out = in.sin_addr.s_addr;
    return in.sin_family == AF_INET ? 0 : WSAEAFNOSUPPORT;
}

static int member_from_mreq(const struct spi_socket *socket, const char *value,
                            struct rs_op_member *op)
{
    (void)socket;
    struct ip_mreq mreq;
    memcpy(&mreq, value, sizeof(mreq));
    op->group_be32 = mreq.imr_multiaddr.s_addr;
    op->interface_be32 = mreq.imr_interface.s_addr;
    return 0;
}

static int member_from_mreq_source(const struct spi_socket *socket, const char *value,
                                   struct rs_op_member *op)
{
    (void)socket;
    IP_MREQ_SOURCE mreq;
    memcpy(&mreq, value, sizeof(mreq));
    op->group_be32 = mreq.imr_multiaddr.s_addr;
    op->source_be32 = mreq.imr_sourceaddr.s_addr;
    op->interface_be32 = mreq.imr_interface.s_addr;
    return 0;
}

static int member_from_group(const struct spi_socket *socket, const char *value,
                             struct rs_op_member *op)
{
    GROUP_REQ req;
    memcpy(&req, value, sizeof(req));
    op->interface_be32 = spi_interface_by_index(req.gr_interface);
    return member_group_address(socket, &req.gr_group, &op->group_be32);
}

static int member_from_group_source(const struct spi_socket *socket, const char *value,
                                    struct rs_op_member *op)
{
    GROUP_SOURCE_REQ req;
    memcpy(&req, value, sizeof(req));
    op->interface_be32 = spi_interface_by_index(req.gsr_interface);
    int code = member_group_address(socket, &req.gsr_group, &op->group_be32);
    return code != 0 ? code : member_group_address(socket, &req.gsr_source, &op->source_be32);
}

struct member_row {
    int name;
    uint32_t action;
    size_t bytes;
    int (*parse)(const struct spi_socket *socket, const char *value, struct rs_op_member *op);
};

static const struct member_row member_rows[] = {
    {IP_ADD_MEMBERSHIP, RS_MEMBER_JOIN, sizeof(struct ip_mreq), member_from_mreq},
    {IP_DROP_MEMBERSHIP, RS_MEMBER_LEAVE, sizeof(struct ip_mreq), member_from_mreq},
    {IP_ADD_SOURCE_MEMBERSHIP, RS_MEMBER_JOIN_SOURCE, sizeof(IP_MREQ_SOURCE),
     member_from_mreq_source},
    {IP_DROP_SOURCE_MEMBERSHIP, RS_MEMBER_LEAVE_SOURCE, sizeof(IP_MREQ_SOURCE),
     member_from_mreq_source},
    {IP_BLOCK_SOURCE, RS_MEMBER_BLOCK_SOURCE, sizeof(IP_MREQ_SOURCE), member_from_mreq_source},
    {IP_UNBLOCK_SOURCE, RS_MEMBER_UNBLOCK_SOURCE, sizeof(IP_MREQ_SOURCE), member_from_mreq_source},
    {MCAST_JOIN_GROUP, RS_MEMBER_JOIN, sizeof(GROUP_REQ), member_from_group},
    {MCAST_LEAVE_GROUP, RS_MEMBER_LEAVE, sizeof(GROUP_REQ), member_from_group},
    {MCAST_JOIN_SOURCE_GROUP, RS_MEMBER_JOIN_SOURCE, sizeof(GROUP_SOURCE_REQ),
     member_from_group_source},
    {MCAST_LEAVE_SOURCE_GROUP, RS_MEMBER_LEAVE_SOURCE, sizeof(GROUP_SOURCE_REQ),
     member_from_group_source},
    {MCAST_BLOCK_SOURCE, RS_MEMBER_BLOCK_SOURCE, sizeof(GROUP_SOURCE_REQ),
     member_from_group_source},
    {MCAST_UNBLOCK_SOURCE, RS_MEMBER_UNBLOCK_SOURCE, sizeof(GROUP_SOURCE_REQ),
     member_from_group_source},
};

static int member_set(struct spi_socket *socket, const struct member_row *row, const char *value,
                      int value_bytes)
{
    struct rs_op_member op = {.action = row->action};
    if (value_bytes < (int)row->bytes || !spi_can_read(value, row->bytes)) {
        return WSAEFAULT;
    }
    int code = row->parse(socket, value, &op);
    code = code != 0 ? code : spi_interface_resolve(socket, &op.interface_be32);
    return code != 0 ? code : spi_wsa_error(client_member(socket->core, &op));
}

int spi_member_set(struct spi_socket *socket, int name, const char *value, int value_bytes)
{
    for (size_t i = 0; i < sizeof(member_rows) / sizeof(member_rows[0]); i++) {
        if (member_rows[i].name == name) {
            return member_set(socket, &member_rows[i], value, value_bytes);
        }
    }
    return WSAENOPROTOOPT;
}

/* ---- set ---- */

static int hint_flag(int name)
{
    switch (name) {
    case SO_DEBUG:
        return SPI_HINT_DEBUG;
    case SO_DONTROUTE:
        return SPI_HINT_DONTROUTE;
    default:
        return 0;
    }
}

static uint32_t hint_word(struct spi_socket *socket)
{
    uint32_t hints = atomic_load_explicit(&socket->hints, memory_order_relaxed);
    if (client_is_shared(socket->core)) {
        (void)!client_get_option(socket->core, SPI_SHARED_HINTS, &hints);
    }
    return hints;
}

/* SO_DEBUG and SO_DONTROUTE: documented as accepted and ignored, and they read back; but an
 * AF_INET6 socket's SO_DONTROUTE cannot be set. */
static int hint_set(struct spi_socket *socket, int flag, const char *value, int value_bytes)
{
    uint32_t word;
    if (value_bytes < (int)sizeof(word) || !spi_can_read(value, sizeof(word))) {
        return WSAEFAULT;
    }
    if (flag == SPI_HINT_DONTROUTE && socket->family == AF_INET6) {
        return WSAENOPROTOOPT;
    }
    memcpy(&word, value, sizeof(word));
    if (client_is_shared(socket->core)) {
        uint32_t hints = hint_word(socket);
        hints = word != 0 ? hints | (uint32_t)flag : hints & ~(uint32_t)flag;
        return spi_option_set(socket, SPI_SHARED_HINTS, hints);
    }
    if (word != 0) {
        atomic_fetch_or_explicit(&socket->hints, (uint32_t)flag, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&socket->hints, ~(uint32_t)flag, memory_order_relaxed);
    }
    return 0;
}

static bool level_known(int level)
{
    return level == SOL_SOCKET || level == IPPROTO_IP || level == IPPROTO_UDP ||
           level == IPPROTO_TCP;
}

static int option_set(struct spi_socket *socket, int level, int name, const char *value,
                      int value_bytes)
{
    if (level == IPPROTO_IPV6 && socket->family == AF_INET6) {
        return spi_ipv6_option_set(socket, name, value, value_bytes);
    }
    const struct option_row *row = option_find(socket, level, name);
    if (row != NULL) {
        uint32_t word;
        int code = option_read(row, value, value_bytes, &word);
        return code != 0 ? code : option_apply(socket, row, word);
    }
    if (level == SOL_SOCKET && hint_flag(name) != 0) {
        return hint_set(socket, hint_flag(name), value, value_bytes);
    }
    if (!level_known(level)) {
        return WSAEINVAL;
    }
    int code = 0;
    if (level == IPPROTO_IP && spi_message_option_set(socket, name, value, value_bytes, &code)) {
        return code;
    }
    code = level == IPPROTO_IP ? spi_member_set(socket, name, value, value_bytes)
                               : spi_stream_option_set(socket, level, name, value, value_bytes);
    return code == WSAENOPROTOOPT ? spi_kept_option_set(socket, level, name, value, value_bytes)
                                  : code;
}

int WSPAPI spi_set_sock_opt(SOCKET s, int level, int name, const char *value, int value_bytes,
                            LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = option_set(socket, level, name, value, value_bytes);
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}

/* ---- get ---- */

int spi_option_answer(char *value, LPINT value_bytes, const void *result, int bytes)
{
    if (*value_bytes < bytes) {
        *value_bytes = bytes;
        return WSAEFAULT;
    }
    if (!spi_can_write(value, (size_t)bytes)) {
        return WSAEFAULT;
    }
    memcpy(value, result, (size_t)bytes);
    *value_bytes = bytes;
    return 0;
}

static int answer_dword(char *value, LPINT value_bytes, DWORD word)
{
    return spi_option_answer(value, value_bytes, &word, sizeof(word));
}

static int protocol_get(const struct spi_socket *socket, bool wide, char *value, LPINT value_bytes)
{
    WSAPROTOCOL_INFOW info =
        *spi_catalog_find(socket->family, socket->stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    info.dwCatalogEntryId = socket->catalog_id;
    if (wide) {
        return spi_option_answer(value, value_bytes, &info, sizeof(info));
    }
    WSAPROTOCOL_INFOA narrow;
    static_assert(offsetof(WSAPROTOCOL_INFOA, szProtocol) ==
                      offsetof(WSAPROTOCOL_INFOW, szProtocol),
                  "the two differ in the name only");
    memcpy(&narrow, &info, offsetof(WSAPROTOCOL_INFOA, szProtocol));
    for (size_t i = 0; i <= WSAPROTOCOL_LEN; i++) {
        narrow.szProtocol[i] = (CHAR)info.szProtocol[i];
    }
    return spi_option_answer(value, value_bytes, &narrow, sizeof(narrow));
}

static int socket_level_get(struct spi_socket *socket, int name, char *value, LPINT value_bytes)
{
    switch (name) {
    case SO_TYPE:
        return answer_dword(value, value_bytes, socket->stream ? SOCK_STREAM : SOCK_DGRAM);
    case SO_ERROR:
        /* Reading clears, so a buffer that cannot hold it must not cost the error. */
        if (*value_bytes < (int)sizeof(DWORD) || !spi_can_write(value, sizeof(DWORD))) {
            return WSAEFAULT;
        }
        return answer_dword(value, value_bytes,
                            (DWORD)spi_wsa_error(client_take_error(socket->core)));
    case SO_MAX_MSG_SIZE: /* has no meaning for streams */
        return socket->stream ? WSAENOPROTOOPT
                              : answer_dword(value, value_bytes, RS_DGRAM_MAX_BYTES);
    case SO_PROTOCOL_INFOW:
        return protocol_get(socket, true, value, value_bytes);
    case SO_PROTOCOL_INFOA:
        return protocol_get(socket, false, value, value_bytes);
    case SO_DEBUG:
    case SO_DONTROUTE:
        return answer_dword(value, value_bytes,
                            (hint_word(socket) & (uint32_t)hint_flag(name)) != 0);
    default:
        return spi_stream_option_get(socket, SOL_SOCKET, name, value, value_bytes);
    }
}

/* What is no row of the table: each of the files in turn. */
static int option_get_other(struct spi_socket *socket, int level, int name, char *value,
                            LPINT value_bytes)
{
    int code = level == SOL_SOCKET ? socket_level_get(socket, name, value, value_bytes)
                                   : spi_stream_option_get(socket, level, name, value, value_bytes);
    if (code == WSAENOPROTOOPT) {
        code = spi_state_option_get(socket, level, name, value, value_bytes);
    }
    return code == WSAENOPROTOOPT ? spi_kept_option_get(socket, level, name, value, value_bytes)
                                  : code;
}

static int option_get(struct spi_socket *socket, int level, int name, char *value,
                      LPINT value_bytes)
{
    if (!spi_can_write(value_bytes, sizeof(*value_bytes))) {
        return WSAEFAULT;
    }
    if (level == IPPROTO_IPV6 && socket->family == AF_INET6) {
        return spi_ipv6_option_get(socket, name, value, value_bytes);
    }
    const struct option_row *row = option_find(socket, level, name);
    if (row == NULL) {
        int code = 0;
        if (level == IPPROTO_IP &&
            spi_message_option_get(socket, name, value, value_bytes, &code)) {
            return code;
        }
        return level_known(level) ? option_get_other(socket, level, name, value, value_bytes)
                                  : WSAEINVAL;
    }
    uint32_t word;
    enum rs_status status = client_get_option(socket->core, row->core, &word);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    if (row->kind == OPTION_SMALL && *value_bytes >= 1 && *value_bytes < (int)sizeof(word)) {
        unsigned char byte = (unsigned char)word;
        return spi_option_answer(value, value_bytes, &byte, sizeof(byte));
    }
    return answer_dword(value, value_bytes, word);
}

int WSPAPI spi_get_sock_opt(SOCKET s, int level, int name, char *value, LPINT value_bytes,
                            LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    int code = option_get(socket, level, name, value, value_bytes);
    spi_socket_put(socket);
    return code == 0 ? 0 : spi_fail(error, code);
}
