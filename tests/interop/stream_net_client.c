/*
 * stream_net.h over Ringsock's portable client, natively.
 */
#include <stdio.h>
#include <stdlib.h>

#include "provider/client/client.h"
#include "rings/byteorder.h"
#include "tests/interop/stream_net.h"

#define MS_PER_S 1000u

struct net_socket {
    struct client_socket *socket;
};

static struct client *client;
static enum rs_status last_error;

/* As provider/spi/wsa_error.c has them. */
const char *net_error(void)
{
    static const struct {
        enum rs_status status;
        const char *name;
    } names[] = {{RS_CONN_REFUSED, "WSAECONNREFUSED"},
                 {RS_CONN_RESET, "WSAECONNRESET"},
                 {RS_CONN_ABORTED, "WSAECONNABORTED"},
                 {RS_NET_RESET, "WSAENETRESET"},
                 {RS_TIMED_OUT, "WSAETIMEDOUT"},
                 {RS_HOST_UNREACHABLE, "WSAEHOSTUNREACH"},
                 {RS_NET_UNREACHABLE, "WSAENETUNREACH"},
                 {RS_SHUTDOWN, "WSAESHUTDOWN"},
                 {RS_NOT_CONNECTED, "WSAENOTCONN"},
                 {RS_ADDR_IN_USE, "WSAEADDRINUSE"},
                 {RS_INVALID, "WSAEINVAL"},
                 {RS_WOULD_BLOCK, "WSAEWOULDBLOCK"}};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].status == last_error) {
            return names[i].name;
        }
    }
    return rs_status_name(last_error);
}

static int net_result(enum rs_status status)
{
    if (status == RS_OK) {
        return NET_OK;
    }
    if (status == RS_WOULD_BLOCK) {
        return NET_WAIT;
    }
    last_error = status;
    return NET_FAILED;
}

int net_open(void)
{
    const struct client_config config = {.spin_us = -1, .yield_in_spin = -1};
    int result = net_result(client_open(&config, &client));
    if (result != NET_OK) {
        (void)fprintf(stderr, "client_open: %s\n", client_last_error_text());
    }
    return result;
}

void net_close(void)
{
    client_close(client);
}

/* Of a client's socket; NULL and the socket closed: no memory. */
static struct net_socket *net_wrap(struct client_socket *made)
{
    struct net_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) {
        last_error = client_socket_close(made);
        last_error = RS_NO_MEMORY;
        return NULL;
    }
    socket->socket = made;
    return socket;
}

struct net_socket *net_socket_new(void)
{
    struct client_socket *made;
    if (net_result(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &made)) != NET_OK) {
        return NULL;
    }
    struct net_socket *socket = net_wrap(made);
    if (socket != NULL && net_set(socket, NET_BLOCKING, 0) != NET_OK) {
        (void)net_socket_close(socket);
        return NULL;
    }
    return socket;
}

int net_socket_close(struct net_socket *socket)
{
    int result = net_result(client_socket_close(socket->socket));
    free(socket);
    return result;
}

int net_set(struct net_socket *socket, enum net_option option, uint32_t value)
{
    static const struct {
        uint32_t option, unit;
    } map[NET_OPTIONS] = {[NET_BLOCKING] = {CLIENT_OPT_NONBLOCKING, 1},
                          [NET_RECV_BYTES] = {RS_OPT_RCVBUF, 1},
                          [NET_SEND_BYTES] = {RS_OPT_SNDBUF, 1},
                          [NET_NODELAY] = {RS_OPT_NODELAY, 1},
                          [NET_LINGER_S] = {CLIENT_OPT_LINGER_MS, MS_PER_S},
                          [NET_KEEPALIVE] = {RS_OPT_KEEPALIVE, 1},
                          [NET_KEEP_IDLE_S] = {RS_OPT_KEEP_IDLE_MS, MS_PER_S},
                          [NET_KEEP_INTERVAL_S] = {RS_OPT_KEEP_INTERVAL_MS, MS_PER_S},
                          [NET_KEEP_COUNT] = {RS_OPT_KEEP_COUNT, 1},
                          [NET_USER_TIMEOUT_MS] = {RS_OPT_USER_TIMEOUT_MS, 1},
                          [NET_OOB_INLINE] = {CLIENT_OPT_OOB_INLINE, 1}};
    value = option == NET_BLOCKING ? !value : value * map[option].unit;
    return net_result(client_set_option(socket->socket, map[option].option, value));
}

int net_bind(struct net_socket *socket, uint16_t port)
{
    const struct rs_addr local = rs_addr_v4(0, rs_be16(port));
    return net_result(client_bind(socket->socket, &local));
}

int net_connect(struct net_socket *socket, uint32_t ip_be32, uint16_t port)
{
    const struct rs_addr peer = rs_addr_v4(ip_be32, rs_be16(port));
    return net_result(client_connect(socket->socket, &peer));
}

int net_connect_result(struct net_socket *socket)
{
    return net_result(client_take_error(socket->socket));
}

int net_listen(struct net_socket *socket, uint32_t backlog)
{
    return net_result(client_listen(socket->socket, backlog));
}

int net_accept(struct net_socket *listener, struct net_socket **out)
{
    struct client_socket *made;
    int result = net_result(client_accept(listener->socket, &made, NULL));
    if (result == NET_OK) {
        *out = net_wrap(made);
        result = *out != NULL ? NET_OK : NET_FAILED;
    }
    return result;
}

int net_send(struct net_socket *socket, const void *data, uint32_t bytes, bool urgent)
{
    /* The client reads from the buffer only. */
    const struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
    size_t sent = 0;
    int result =
        net_result(client_send(socket->socket, &iov, 1, urgent ? CLIENT_MSG_OOB : 0, NULL, &sent));
    return result == NET_OK ? (int)sent : result;
}

int net_recv(struct net_socket *socket, void *data, uint32_t bytes, bool urgent)
{
    const struct client_iov iov = {.base = data, .len_bytes = bytes};
    size_t got = 0;
    int result =
        net_result(client_recv(socket->socket, &iov, 1, urgent ? CLIENT_MSG_OOB : 0, NULL, &got));
    return result == NET_OK ? (int)got : result;
}

int net_shutdown(struct net_socket *socket, uint32_t how)
{
    return net_result(client_shutdown(socket->socket, how));
}

int net_at_mark(struct net_socket *socket)
{
    bool at_mark = false;
    int result = net_result(client_at_mark(socket->socket, &at_mark));
    return result == NET_OK ? at_mark : result;
}

int net_local_port(struct net_socket *socket)
{
    struct rs_addr local;
    int result = net_result(client_local_addr(socket->socket, &local));
    return result == NET_OK ? (int)rs_be16(local.port_be16) : result;
}

int net_wait(struct net_item *items, uint32_t count, uint32_t timeout_ms)
{
    struct client_poll *polls = calloc(count != 0 ? count : 1, sizeof(*polls));
    uint32_t ready = 0;
    if (polls == NULL) {
        return net_result(RS_NO_MEMORY);
    }
    for (uint32_t i = 0; i < count; i++) {
        polls[i].socket = items[i].socket->socket;
        polls[i].want =
            ((items[i].want & NET_READ) != 0 ? RS_LEVEL_READABLE : 0) |
            ((items[i].want & NET_WRITE) != 0 ? RS_LEVEL_WRITABLE : 0) |
            ((items[i].want & NET_EXCEPT) != 0 ? CLIENT_POLL_FAILED | CLIENT_POLL_URGENT : 0);
    }
    int result =
        net_result(client_poll(client, polls, count, (uint64_t)timeout_ms * 1000000, &ready));
    for (uint32_t i = 0; i < count; i++) {
        items[i].ready =
            ((polls[i].ready & RS_LEVEL_READABLE) != 0 ? NET_READ : 0) |
            ((polls[i].ready & RS_LEVEL_WRITABLE) != 0 ? NET_WRITE : 0) |
            ((polls[i].ready & (CLIENT_POLL_FAILED | CLIENT_POLL_URGENT)) != 0 ? NET_EXCEPT : 0);
    }
    free(polls);
    return result;
}
