/*
 * Commands about addresses, interfaces and routes: SIO_ADDRESS_LIST_*, SIO_ROUTING_INTERFACE_*,
 * SIO_GET_INTERFACE_LIST. What there is comes from the queues' state lines, so it costs no request;
 * routes are asked for by connecting a datagram socket of our own, which sends nothing. Waiting for
 * a change is net_change.c's. The program's thread, from ioctl.c.
 */
#include <string.h>

#include "provider/spi/net_change.h"
#include "rings/byteorder.h"

#define NET_ADDRESSES_MAX (RS_QUEUES_MAX * RS_ADDRESSES_MAX)
#define NET_SORT_MAX      256
#define NET_DISCARD_PORT  9

/* Their pages: an output buffer that is too small is WSAEFAULT, and the size it should have is
 * told.
 */
static int net_room(const struct spi_net_call *call, DWORD bytes)
{
    *call->returned_bytes = bytes;
    if (call->out_bytes >= bytes && spi_can_write(call->out, bytes)) {
        return 0;
    }
    if (call->out_bytes >= bytes) {
        *call->returned_bytes = 0;
    }
    return WSAEFAULT;
}

/* ---- addresses ---- */

struct net_address {
    uint32_t ip_be32;
    uint8_t prefix_len;
    bool up;
};

/* NIC by NIC, each with its primary address first; 127.0.0.1 is not among them. */
static uint32_t net_addresses(const struct spi_net_call *call, struct net_address *out)
{
    struct client_interface nics[RS_QUEUES_MAX];
    uint32_t nic_count = client_interfaces(call->socket->session->client, nics, RS_QUEUES_MAX);
    uint32_t count = 0;
    for (uint32_t i = 0; i < nic_count && i < RS_QUEUES_MAX; i++) {
        const struct client_interface *nic = &nics[i];
        if (nic->ip_be32 != 0) {
            out[count++] = (struct net_address){nic->ip_be32, nic->prefix_len, nic->up};
        }
        for (uint32_t j = 0; j < nic->more_count; j++) {
            out[count++] =
                (struct net_address){nic->more_be32[j], nic->more_prefix_len[j], nic->up};
        }
    }
    return count;
}

/* Those that can be bound to now. */
static uint32_t net_addresses_up(const struct spi_net_call *call, uint32_t *ips_be32)
{
    struct net_address all[NET_ADDRESSES_MAX];
    uint32_t count = net_addresses(call, all);
    uint32_t up = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].up) {
            ips_be32[up++] = all[i].ip_be32;
        }
    }
    return up;
}

static int net_address_list(const struct spi_net_call *call)
{
    uint32_t ips_be32[NET_ADDRESSES_MAX];
    uint32_t count = net_addresses_up(call, ips_be32);
    DWORD name_bytes =
        call->socket->family == AF_INET6 ? sizeof(SOCKADDR_IN6) : sizeof(SOCKADDR_IN);
    DWORD list_bytes =
        (DWORD)(offsetof(SOCKET_ADDRESS_LIST, Address) + count * sizeof(SOCKET_ADDRESS));
    int code = net_room(call, list_bytes + count * name_bytes);
    if (code != 0) {
        return code;
    }
    SOCKET_ADDRESS_LIST *list = call->out;
    list->iAddressCount = (INT)count;
    for (uint32_t i = 0; i < count; i++) {
        const struct rs_addr addr = rs_addr_v4(ips_be32[i], 0);
        SOCKET_ADDRESS *address = &list->Address[i];
        address->lpSockaddr =
            (struct sockaddr *)(void *)((char *)call->out + list_bytes + i * name_bytes);
        address->iSockaddrLength = (INT)name_bytes;
        spi_sockaddr_write(call->socket, &addr, address->lpSockaddr, &address->iSockaddrLength);
    }
    return 0;
}

static bool net_is_mapped(const IN6_ADDR *in6)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(in6, prefix, sizeof(prefix)) == 0;
}

/* 2: mapped, so it can be reached; 1: native IPv6, which we have none of; 0: nobody's address, it
 * is left out. Negative: no address that may stand there. */
static int net_rank(const SOCKET_ADDRESS *address)
{
    static const IN6_ADDR nobody;
    SOCKADDR_IN6 in6;
    if (address->iSockaddrLength < (INT)sizeof(in6) ||
        !spi_can_read(address->lpSockaddr, sizeof(in6))) {
        return -1;
    }
    memcpy(&in6, address->lpSockaddr, sizeof(in6));
    if (in6.sin6_family != AF_INET6) {
        return -1;
    }
    return memcmp(&in6.sin6_addr, &nobody, sizeof(nobody)) == 0 ? 0
           : net_is_mapped(&in6.sin6_addr)                      ? 2
                                                                : 1;
}

/* The buffers may be the same one. */
static int net_address_sort(const struct spi_net_call *call)
{
    SOCKET_ADDRESS in[NET_SORT_MAX];
    SOCKET_ADDRESS sorted[NET_SORT_MAX];
    const DWORD head_bytes = offsetof(SOCKET_ADDRESS_LIST, Address);
    INT count;
    INT kept = 0;
    if (call->in_bytes < head_bytes || !spi_can_read(call->in, call->in_bytes)) {
        return WSAEFAULT;
    }
    memcpy(&count, call->in, sizeof(count));
    if (count < 0 || count > NET_SORT_MAX ||
        (size_t)count * sizeof(in[0]) > call->in_bytes - head_bytes) {
        return WSAEINVAL;
    }
    memcpy(in, (const char *)call->in + head_bytes, (size_t)count * sizeof(in[0]));
    for (int rank = 2; rank > 0; rank--) {
        for (INT i = 0; i < count; i++) {
            int this_rank = net_rank(&in[i]);
            if (this_rank < 0) {
                return WSAEINVAL;
            }
            if (this_rank == rank) {
                sorted[kept++] = in[i];
            }
        }
    }
    int code = net_room(call, head_bytes + (DWORD)((size_t)kept * sizeof(in[0])));
    if (code == 0) {
        memcpy(call->out, &kept, sizeof(kept));
        memcpy((char *)call->out + head_bytes, sorted, (size_t)kept * sizeof(in[0]));
    }
    return code;
}

/* ---- changes ---- */

static int net_wait_for_change(const struct spi_net_call *call, long event)
{
    const struct spi_net_change change = {.socket = call->socket,
                                          .s = call->s,
                                          .event = event,
                                          .overlapped = call->overlapped,
                                          .routine = call->routine,
                                          .thread = call->thread,
                                          .notice = call->notice};
    return spi_net_change(&change);
}

/* ---- routes ---- */

/* The destination of a query, in the socket's family. */
static int net_destination(const struct spi_net_call *call, struct rs_addr *to)
{
    int code = spi_sockaddr_read(call->socket, call->in, (int)call->in_bytes, to);
    if (code == 0 && to->ip.v4_be32 == 0) {
        code = WSAEINVAL;
    }
    to->port_be16 = rs_be16(NET_DISCARD_PORT);
    return code;
}

static int net_route(const struct spi_net_call *call, const struct rs_addr *to,
                     struct rs_addr *from)
{
    struct client_socket *probe;
    enum rs_status status =
        client_socket_create(call->socket->session->client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &probe);
    if (status != RS_OK) {
        return spi_wsa_error(status);
    }
    status = client_set_option(probe, RS_OPT_BROADCAST, 1);
    status = status == RS_OK ? client_connect(probe, to) : status;
    status = status == RS_OK ? client_local_addr(probe, from) : status;
    enum rs_status closed = client_socket_close(probe);
    return spi_wsa_error(status != RS_OK ? status : closed);
}

static int net_routing_query(const struct spi_net_call *call)
{
    struct rs_addr to;
    struct rs_addr from;
    INT name_bytes =
        call->socket->family == AF_INET6 ? (INT)sizeof(SOCKADDR_IN6) : (INT)sizeof(SOCKADDR_IN);
    int code = net_destination(call, &to);
    code = code == 0 ? net_room(call, (DWORD)name_bytes) : code;
    code = code == 0 ? net_route(call, &to, &from) : code;
    if (code == 0) {
        from.port_be16 = 0;
        spi_sockaddr_write(call->socket, &from, call->out, &name_bytes);
    } else if (code != WSAEFAULT) {
        *call->returned_bytes = 0;
    }
    return code;
}

static int net_routing_change(const struct spi_net_call *call)
{
    struct rs_addr to;
    int code = net_destination(call, &to);
    return code != 0 ? code : net_wait_for_change(call, FD_ROUTING_INTERFACE_CHANGE);
}

/* ---- interfaces ---- */

static INTERFACE_INFO net_interface(uint32_t ip_be32, uint32_t prefix_len, u_long flags)
{
    INTERFACE_INFO info = {.iiFlags = flags};
    uint32_t mask = rs_be32(prefix_len == 0 ? 0 : 0xffffffffu << (32 - prefix_len));
    info.iiAddress.AddressIn.sin_family = AF_INET;
    info.iiAddress.AddressIn.sin_addr.s_addr = ip_be32;
    info.iiNetmask.AddressIn.sin_family = AF_INET;
    info.iiNetmask.AddressIn.sin_addr.s_addr = mask;
    info.iiBroadcastAddress.AddressIn.sin_family = AF_INET;
    info.iiBroadcastAddress.AddressIn.sin_addr.s_addr = INADDR_BROADCAST;
    return info;
}

/* The NICs, one entry for each address, then the loopback interface. Its page: AF_INET only. */
static int net_interface_list(const struct spi_net_call *call)
{
    struct net_address addresses[NET_ADDRESSES_MAX];
    INTERFACE_INFO list[NET_ADDRESSES_MAX + 1];
    if (call->socket->family == AF_INET6) {
        return WSAENOPROTOOPT;
    }
    uint32_t count = net_addresses(call, addresses);
    for (uint32_t i = 0; i < count; i++) {
        list[i] =
            net_interface(addresses[i].ip_be32, addresses[i].prefix_len,
                          IFF_BROADCAST | IFF_MULTICAST | (addresses[i].up ? (u_long)IFF_UP : 0));
    }
    list[count++] =
        net_interface(rs_be32(INADDR_LOOPBACK), 8, IFF_UP | IFF_LOOPBACK | IFF_MULTICAST);
    DWORD bytes = count * (DWORD)sizeof(list[0]);
    int code = net_room(call, bytes);
    if (code == 0) {
        memcpy(call->out, list, bytes);
    }
    return code;
}

int spi_ioctl_net(const struct spi_net_call *call, DWORD code)
{
    switch (code) {
    case SIO_ADDRESS_LIST_QUERY:
        return call->in_bytes != 0 ? WSAEINVAL : net_address_list(call);
    case SIO_ADDRESS_LIST_SORT:
        return net_address_sort(call);
    case SIO_ADDRESS_LIST_CHANGE:
        return net_wait_for_change(call, FD_ADDRESS_LIST_CHANGE);
    case SIO_ROUTING_INTERFACE_QUERY:
        return net_routing_query(call);
    case SIO_ROUTING_INTERFACE_CHANGE:
        return net_routing_change(call);
    default:
        return net_interface_list(call);
    }
}
