/* trade_net.h over Ringsock's portable client, natively. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/trading/trade_net.h"
#include "provider/client/client.h"
#include "rings/byteorder.h"

struct trade_socket {
    struct trade_net *net;
    struct client_socket *socket;
};

struct trade_net {
    struct client *client;
    char path[96];
    struct trade_socket sockets[TRADE_NET_SOCKETS_MAX];
    uint32_t count;
};

static _Thread_local char trade_net_text[256];

static bool trade_net_check(enum rs_status status, const char *call)
{
    if (status == RS_OK) {
        return true;
    }
    const char *why = client_last_error_text();
    (void)snprintf(trade_net_text, sizeof(trade_net_text), "%s: %s%s%s", call,
                   rs_status_name(status), why[0] != '\0' ? ": " : "", why);
    return false;
}

const char *trade_net_error(void)
{
    return trade_net_text;
}

bool trade_net_open(const char *instance, struct trade_net **out)
{
    struct trade_net *net = calloc(1, sizeof(*net));
    if (net == NULL) {
        return trade_net_check(RS_NO_MEMORY, "calloc");
    }
    struct client_config config = {.instance = instance, .spin_us = -1, .yield_in_spin = -1};
    if (!trade_net_check(client_open(&config, &net->client), "client_open")) {
        free(net);
        return false;
    }
    static const char *const kinds[] = {"loopback", "bypass NIC", "NIC: functional, not bypass"};
    struct client_info info;
    client_get_info(net->client, &info);
    (void)snprintf(net->path, sizeof(net->path), "Ringsock client, instance %s, %s", info.instance,
                   info.nic_kind <= RS_NIC_FUNCTIONAL ? kinds[info.nic_kind] : "unknown NIC");
    *out = net;
    return true;
}

void trade_net_close(struct trade_net *net)
{
    client_close(net->client);
    free(net);
}

const char *trade_net_path(const struct trade_socket *socket)
{
    return socket->net->path;
}

static bool trade_net_new(struct trade_net *net, enum rs_socket_type type,
                          struct trade_socket **out)
{
    if (net->count == TRADE_NET_SOCKETS_MAX) {
        return trade_net_check(RS_TOO_MANY_SOCKETS, "trade_net_new");
    }
    struct trade_socket *socket = &net->sockets[net->count];
    if (!trade_net_check(client_socket_create(net->client, RS_FAMILY_IPV4, type, &socket->socket),
                         "client_socket_create")) {
        return false;
    }
    socket->net = net;
    net->count++; /* from here on trade_net_close ends it */
    *out = socket;
    return trade_net_check(client_set_option(socket->socket, CLIENT_OPT_NONBLOCKING, 1),
                           "option NONBLOCKING");
}

bool trade_net_udp(struct trade_net *net, struct trade_addr local, uint32_t buffer_bytes,
                   bool shared, struct trade_socket **out)
{
    struct rs_addr addr = rs_addr_v4(rs_be32(local.ip), rs_be16(local.port));
    if (!trade_net_new(net, RS_SOCK_DGRAM, out)) {
        return false;
    }
    struct client_socket *socket = (*out)->socket;
    return (!shared ||
            trade_net_check(client_set_option(socket, RS_OPT_REUSEADDR, 1), "option REUSEADDR")) &&
           (buffer_bytes == 0 ||
            trade_net_check(client_set_option(socket, RS_OPT_RCVBUF, buffer_bytes),
                            "option RCVBUF")) &&
           trade_net_check(client_bind(socket, &addr), "client_bind");
}

bool trade_net_join(struct trade_socket *socket, uint32_t group, uint32_t interface_ip)
{
    struct rs_op_member member = {.action = RS_MEMBER_JOIN,
                                  .group_be32 = rs_be32(group),
                                  .interface_be32 = rs_be32(interface_ip)};
    return trade_net_check(client_member(socket->socket, &member), "client_member JOIN");
}

bool trade_net_multicast_from(struct trade_socket *socket, uint32_t interface_ip)
{
    return trade_net_check(
        client_set_option(socket->socket, RS_OPT_MCAST_IF, rs_be32(interface_ip)),
        "option MCAST_IF");
}

int trade_net_send(struct trade_socket *socket, const void *data, size_t bytes,
                   struct trade_addr to)
{
    struct rs_addr addr = rs_addr_v4(rs_be32(to.ip), rs_be16(to.port));
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    enum rs_status status = client_send(socket->socket, &iov, 1, 0, &addr, &sent);
    if (status == RS_WOULD_BLOCK) {
        return TRADE_NET_NOTHING;
    }
    return trade_net_check(status, "client_send") ? (int)sent : TRADE_NET_FAILED;
}

int trade_net_recv(struct trade_socket *socket, void *data, size_t capacity,
                   struct trade_addr *from)
{
    struct client_iov iov = {.base = data, .len_bytes = capacity};
    struct client_recv_info info;
    size_t got = 0;
    enum rs_status status = client_recv(socket->socket, &iov, 1, 0, &info, &got);
    if (status == RS_WOULD_BLOCK) {
        return TRADE_NET_NOTHING;
    }
    if (!trade_net_check(status, "client_recv")) {
        return TRADE_NET_FAILED;
    }
    if (from != NULL) {
        *from = (struct trade_addr){.ip = rs_be32(info.from.ip.v4_be32),
                                    .port = rs_be16(info.from.port_be16)};
    }
    return (int)got;
}

static bool trade_net_stream(struct trade_net *net, struct trade_socket **out)
{
    return trade_net_new(net, RS_SOCK_STREAM, out) &&
           trade_net_check(client_set_option((*out)->socket, RS_OPT_NODELAY, 1), "option NODELAY");
}

bool trade_net_listen(struct trade_net *net, struct trade_addr local, uint32_t backlog,
                      struct trade_socket **out)
{
    struct rs_addr addr = rs_addr_v4(rs_be32(local.ip), rs_be16(local.port));
    return trade_net_stream(net, out) &&
           trade_net_check(client_bind((*out)->socket, &addr), "client_bind") &&
           trade_net_check(client_listen((*out)->socket, backlog), "client_listen");
}

int trade_net_accept(struct trade_socket *listener, struct trade_socket **out)
{
    struct trade_net *net = listener->net;
    if (net->count == TRADE_NET_SOCKETS_MAX) {
        (void)trade_net_check(RS_TOO_MANY_SOCKETS, "trade_net_accept");
        return TRADE_NET_FAILED;
    }
    struct trade_socket *socket = &net->sockets[net->count];
    enum rs_status status = client_accept(listener->socket, &socket->socket, NULL);
    if (status == RS_WOULD_BLOCK) {
        return TRADE_NET_NOTHING;
    }
    if (!trade_net_check(status, "client_accept")) {
        return TRADE_NET_FAILED;
    }
    socket->net = net;
    net->count++;
    *out = socket;
    return 0;
}

bool trade_net_connect(struct trade_net *net, struct trade_addr peer, struct trade_socket **out)
{
    struct rs_addr addr = rs_addr_v4(rs_be32(peer.ip), rs_be16(peer.port));
    if (!trade_net_stream(net, out)) {
        return false;
    }
    enum rs_status status = client_connect((*out)->socket, &addr);
    return status == RS_WOULD_BLOCK || trade_net_check(status, "client_connect");
}

int trade_net_connected(struct trade_socket *socket)
{
    struct client_poll item = {.socket = socket->socket,
                               .want = RS_LEVEL_CONNECTED | CLIENT_POLL_FAILED};
    uint32_t ready_count = 0;
    if (!trade_net_check(client_poll(socket->net->client, &item, 1, 0, &ready_count),
                         "client_poll")) {
        return TRADE_NET_FAILED;
    }
    if (item.ready & CLIENT_POLL_FAILED) {
        (void)trade_net_check(client_take_error(socket->socket), "client_connect");
        return TRADE_NET_FAILED;
    }
    return ready_count != 0 ? 0 : TRADE_NET_NOTHING;
}

int trade_net_write(struct trade_socket *socket, const void *data, size_t bytes)
{
    struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    enum rs_status status = client_send(socket->socket, &iov, 1, 0, NULL, &sent);
    if (status == RS_WOULD_BLOCK) {
        return TRADE_NET_NOTHING;
    }
    return trade_net_check(status, "client_send") ? (int)sent : TRADE_NET_FAILED;
}

int trade_net_read(struct trade_socket *socket, void *data, size_t capacity)
{
    return trade_net_recv(socket, data, capacity, NULL);
}

bool trade_net_shutdown(struct trade_socket *socket)
{
    return trade_net_check(client_shutdown(socket->socket, CLIENT_SHUT_SEND), "client_shutdown");
}

bool trade_net_wait(struct trade_net *net, struct trade_socket *const *sockets, uint32_t count,
                    uint32_t timeout_us, bool *ready)
{
    struct client_poll items[TRADE_NET_SOCKETS_MAX];
    uint32_t ready_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct client_poll){.socket = sockets[i]->socket, .want = RS_LEVEL_READABLE};
    }
    if (!trade_net_check(
            client_poll(net->client, items, count, (uint64_t)timeout_us * 1000, &ready_count),
            "client_poll")) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        ready[i] = items[i].ready != 0;
    }
    return true;
}

uint64_t trade_net_dropped(const struct trade_socket *socket)
{
    return client_socket_dropped(socket->socket);
}
