/*
 * Level IPPROTO_IPV6 of AF_INET6 sockets: dual mode itself, and the names under which it has the
 * options that work on its IPv4 traffic. Any thread; slow path.
 */
#include <string.h>

#include "provider/spi/spi.h"

#define HOPS_DEFAULT UINT32_MAX /* -1, as in RFC 3493 */

static int read_dword(const char *value, int value_bytes, DWORD *out)
{
    if (value_bytes < (int)sizeof(*out) || !spi_can_read(value, sizeof(*out))) {
        return WSAEFAULT;
    }
    memcpy(out, value, sizeof(*out));
    return 0;
}

/* The page on dual-stack sockets: before the socket is bound. */
static int v6_only_set(struct spi_socket *socket, DWORD word)
{
    if (spi_is_bound(socket)) {
        return WSAEINVAL;
    }
    atomic_store_explicit(&socket->v6_only, word != 0, memory_order_relaxed);
    return client_is_shared(socket->core) ? spi_option_set(socket, SPI_SHARED_V6_ONLY, word != 0)
                                          : 0;
}

/* The first two differ in what comes through a tunnel, and nothing does. The third would have to
 * keep traffic out, and does not: it must not look as if it did. */
static int protection_set(struct spi_socket *socket, DWORD word)
{
    if (word == PROTECTION_LEVEL_RESTRICTED) {
        return WSAENOPROTOOPT;
    }
    if (word != PROTECTION_LEVEL_UNRESTRICTED && word != PROTECTION_LEVEL_EDGERESTRICTED) {
        return WSAEINVAL;
    }
    atomic_store_explicit(&socket->protection_level, (uint8_t)word, memory_order_relaxed);
    return 0;
}

/* ipv6_mreq, also for a group of IPv4's in its mapped form. There is no group of IPv6's here. */
static int member_set(struct spi_socket *socket, uint32_t action, const char *value,
                      int value_bytes)
{
    IPV6_MREQ mreq;
    struct rs_op_member op = {.action = action};
    if (value_bytes < (int)sizeof(mreq) || !spi_can_read(value, sizeof(mreq))) {
        return WSAEFAULT;
    }
    memcpy(&mreq, value, sizeof(mreq));
    if (spi_ipv6_to_ipv4(&mreq.ipv6mr_multiaddr, false, &op.group_be32) != 0) {
        return WSAEADDRNOTAVAIL;
    }
    op.interface_be32 = spi_interface_by_index(mreq.ipv6mr_interface);
    int code = spi_interface_resolve(socket, &op.interface_be32);
    return code != 0 ? code : spi_wsa_error(client_member(socket->core, &op));
}

static int multicast_if_set(struct spi_socket *socket, DWORD index)
{
    uint32_t interface_be32 = spi_interface_by_index(index);
    int code = spi_interface_resolve(socket, &interface_be32);
    return code != 0 ? code : spi_option_set(socket, RS_OPT_MCAST_IF, interface_be32);
}

/* Its index has the host's byte order, IP_UNICAST_IF's the network's. */
static int unicast_if_set(struct spi_socket *socket, DWORD index)
{
    const DWORD index_be32 = __builtin_bswap32(index);
    return spi_kept_option_set(socket, IPPROTO_IP, IP_UNICAST_IF, (const char *)&index_be32,
                               sizeof(index_be32));
}

static int word_set(struct spi_socket *socket, int name, DWORD word)
{
    switch (name) {
    case IPV6_V6ONLY:
        return v6_only_set(socket, word);
    case IPV6_PROTECTION_LEVEL:
        return protection_set(socket, word);
    case IPV6_UNICAST_HOPS:
        return spi_option_set(socket, RS_OPT_TTL, word == HOPS_DEFAULT ? 128 : word);
    case IPV6_MULTICAST_HOPS:
        return spi_option_set(socket, RS_OPT_MCAST_TTL, word == HOPS_DEFAULT ? 1 : word);
    case IPV6_MULTICAST_LOOP:
        return spi_option_set(socket, RS_OPT_MCAST_LOOP, word != 0);
    case IPV6_MULTICAST_IF:
        return multicast_if_set(socket, word);
    case IPV6_UNICAST_IF:
        return unicast_if_set(socket, word);
    case IPV6_DONTFRAG: /* of what it sends, which is IPv4 */
        return spi_option_set(socket, RS_OPT_DONT_FRAGMENT, word != 0);
    default:
        return WSAENOPROTOOPT;
    }
}

int spi_ipv6_option_set(struct spi_socket *socket, int name, const char *value, int value_bytes)
{
    if (name == IPV6_ADD_MEMBERSHIP || name == IPV6_DROP_MEMBERSHIP) {
        return member_set(socket, name == IPV6_ADD_MEMBERSHIP ? RS_MEMBER_JOIN : RS_MEMBER_LEAVE,
                          value, value_bytes);
    }
    if (name >= MCAST_JOIN_GROUP && name <= MCAST_LEAVE_SOURCE_GROUP) {
        return spi_member_set(socket, name, value,
                              value_bytes); /* the same numbers at both levels */
    }
    if (name == IPV6_MTU_DISCOVER) {
        return spi_kept_option_set(socket, IPPROTO_IP, IP_MTU_DISCOVER, value, value_bytes);
    }
    DWORD word = 0;
    bool by_default = name == IPV6_MULTICAST_IF && value == NULL; /* its page: the default one */
    int code = by_default ? 0 : read_dword(value, value_bytes, &word);
    return code != 0 ? code : word_set(socket, name, word);
}

static int core_get(struct spi_socket *socket, uint32_t option, DWORD *word)
{
    uint32_t value = 0;
    int code = spi_wsa_error(client_get_option(socket->core, option, &value));
    *word = value;
    return code;
}

int spi_ipv6_option_get(struct spi_socket *socket, int name, char *value, LPINT value_bytes)
{
    DWORD word = 0;
    int code = 0;
    switch (name) {
    case IPV6_V6ONLY:
        word = spi_is_v6_only(socket);
        break;
    case IPV6_PROTECTION_LEVEL:
        word = atomic_load_explicit(&socket->protection_level, memory_order_relaxed);
        break;
    case IPV6_UNICAST_HOPS:
        code = core_get(socket, RS_OPT_TTL, &word);
        break;
    case IPV6_MULTICAST_HOPS:
        code = core_get(socket, RS_OPT_MCAST_TTL, &word);
        break;
    case IPV6_MULTICAST_LOOP:
        code = core_get(socket, RS_OPT_MCAST_LOOP, &word);
        break;
    case IPV6_MTU:
        return spi_state_option_get(socket, IPPROTO_IP, IP_MTU, value, value_bytes);
    case IPV6_UNICAST_IF:
        word = __builtin_bswap32(spi_kept(socket, SPI_KEPT_UNICAST_IF));
        break;
    case IPV6_MTU_DISCOVER:
        return spi_kept_option_get(socket, IPPROTO_IP, IP_MTU_DISCOVER, value, value_bytes);
    case IPV6_DONTFRAG:
        code = core_get(socket, RS_OPT_DONT_FRAGMENT, &word);
        break;
    case IPV6_MULTICAST_IF: /* an index */
        code = core_get(socket, RS_OPT_MCAST_IF, &word);
        word = word != 0 ? client_interface_of(socket->session->client, word) : 0;
        break;
    default:
        code = WSAENOPROTOOPT;
        break;
    }
    return code != 0 ? code : spi_option_answer(value, value_bytes, &word, sizeof(word));
}
