/*
 * stream_net.h over the Winsock API, which host_winsock brings to ringsock.dll.
 */
#define FD_SETSIZE 16384 /* of the windows headers' fd_set */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdio.h>
#include <stdlib.h>

#include "provider/spi/option_names.h"
#include "tests/interop/stream_net.h"

struct net_socket {
    SOCKET handle;
};

static int last_error;

const char *net_error(void)
{
    static char text[32];
    static const struct {
        int error;
        const char *name;
    } names[] = {{WSAECONNREFUSED, "WSAECONNREFUSED"},
                 {WSAECONNRESET, "WSAECONNRESET"},
                 {WSAECONNABORTED, "WSAECONNABORTED"},
                 {WSAENETRESET, "WSAENETRESET"},
                 {WSAETIMEDOUT, "WSAETIMEDOUT"},
                 {WSAEHOSTUNREACH, "WSAEHOSTUNREACH"},
                 {WSAENETUNREACH, "WSAENETUNREACH"},
                 {WSAESHUTDOWN, "WSAESHUTDOWN"},
                 {WSAENOTCONN, "WSAENOTCONN"},
                 {WSAEADDRINUSE, "WSAEADDRINUSE"},
                 {WSAEINVAL, "WSAEINVAL"},
                 {WSAEWOULDBLOCK, "WSAEWOULDBLOCK"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].error == last_error) {
            return names[i].name;
        }
    }
    (void)snprintf(text, sizeof(text), "Winsock error %d", last_error);
    return text;
}

/* Of a call that says 0 when it has done its work. */
static int net_result(int result)
{
    if (result == 0) {
        return NET_OK;
    }
    int error = WSAGetLastError();
    if (error == WSAEWOULDBLOCK) {
        return NET_WAIT;
    }
    last_error = error;
    return NET_FAILED;
}

int net_open(void)
{
    WSADATA data;
    last_error = WSAStartup(MAKEWORD(2, 2), &data);
    return last_error == 0 ? NET_OK : NET_FAILED;
}

void net_close(void)
{
    (void)WSACleanup();
}

static struct net_socket *net_wrap(SOCKET handle)
{
    struct net_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) {
        last_error = WSAENOBUFS;
        (void)closesocket(handle);
        return NULL;
    }
    socket->handle = handle;
    return socket;
}

struct net_socket *net_socket_new(void)
{
    SOCKET handle = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    if (handle == INVALID_SOCKET) {
        last_error = WSAGetLastError();
        return NULL;
    }
    struct net_socket *socket = net_wrap(handle);
    if (socket != NULL && net_set(socket, NET_BLOCKING, 0) != NET_OK) {
        (void)net_socket_close(socket);
        return NULL;
    }
    return socket;
}

int net_socket_close(struct net_socket *socket)
{
    int result = net_result(closesocket(socket->handle));
    free(socket);
    return result;
}

int net_set(struct net_socket *socket, enum net_option option, uint32_t value)
{
    static const struct {
        int level, name;
    } map[NET_OPTIONS] = {[NET_RECV_BYTES] = {SOL_SOCKET, SO_RCVBUF},
                          [NET_SEND_BYTES] = {SOL_SOCKET, SO_SNDBUF},
                          [NET_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
                          [NET_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
                          [NET_KEEP_IDLE_S] = {IPPROTO_TCP, TCP_KEEPIDLE},
                          [NET_KEEP_INTERVAL_S] = {IPPROTO_TCP, TCP_KEEPINTVL},
                          [NET_KEEP_COUNT] = {IPPROTO_TCP, TCP_KEEPCNT},
                          [NET_USER_TIMEOUT_MS] = {IPPROTO_TCP, TCP_MAXRTMS},
                          [NET_OOB_INLINE] = {SOL_SOCKET, SO_OOBINLINE}};
    const DWORD word = value;
    u_long nonblocking = value == 0;
    const struct linger linger = {.l_onoff = 1, .l_linger = (u_short)value};
    if (option == NET_BLOCKING) {
        return net_result(ioctlsocket(socket->handle, (long)FIONBIO, &nonblocking));
    }
    if (option == NET_LINGER_S) {
        return net_result(setsockopt(socket->handle, SOL_SOCKET, SO_LINGER, (const char *)&linger,
                                     sizeof(linger)));
    }
    return net_result(setsockopt(socket->handle, map[option].level, map[option].name,
                                 (const char *)&word, sizeof(word)));
}

static struct sockaddr_in net_sockaddr(uint32_t ip_be32, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = ip_be32;
    return address;
}

int net_bind(struct net_socket *socket, uint16_t port)
{
    const struct sockaddr_in local = net_sockaddr(0, port);
    return net_result(bind(socket->handle, (const struct sockaddr *)&local, sizeof(local)));
}

int net_connect(struct net_socket *socket, uint32_t ip_be32, uint16_t port)
{
    const struct sockaddr_in peer = net_sockaddr(ip_be32, port);
    return net_result(connect(socket->handle, (const struct sockaddr *)&peer, sizeof(peer)));
}

int net_connect_result(struct net_socket *socket)
{
    int error = 0;
    int bytes = sizeof(error);
    int result =
        net_result(getsockopt(socket->handle, SOL_SOCKET, SO_ERROR, (char *)&error, &bytes));
    if (result != NET_OK || error == 0) {
        return result;
    }
    last_error = error;
    return NET_FAILED;
}

int net_listen(struct net_socket *socket, uint32_t backlog)
{
    return net_result(listen(socket->handle, (int)backlog));
}

int net_accept(struct net_socket *listener, struct net_socket **out)
{
    SOCKET handle = accept(listener->handle, NULL, NULL);
    if (handle == INVALID_SOCKET) {
        return net_result(SOCKET_ERROR);
    }
    *out = net_wrap(handle);
    return *out != NULL ? NET_OK : NET_FAILED;
}

int net_send(struct net_socket *socket, const void *data, uint32_t bytes, bool urgent)
{
    int sent = send(socket->handle, data, (int)bytes, urgent ? MSG_OOB : 0);
    return sent >= 0 ? sent : net_result(sent);
}

int net_recv(struct net_socket *socket, void *data, uint32_t bytes, bool urgent)
{
    int got = recv(socket->handle, data, (int)bytes, urgent ? MSG_OOB : 0);
    return got >= 0 ? got : net_result(got);
}

int net_shutdown(struct net_socket *socket, uint32_t how)
{
    static const int names[] = {
        [NET_SHUT_RECV] = SD_RECEIVE, [NET_SHUT_SEND] = SD_SEND, [NET_SHUT_BOTH] = SD_BOTH};
    return net_result(shutdown(socket->handle, names[how & NET_SHUT_BOTH]));
}

int net_at_mark(struct net_socket *socket)
{
    u_long no_urgent_data_waits = 0;
    int result = net_result(ioctlsocket(socket->handle, (long)SIOCATMARK, &no_urgent_data_waits));
    return result == NET_OK ? no_urgent_data_waits != 0 : result;
}

int net_local_port(struct net_socket *socket)
{
    struct sockaddr_in local;
    int bytes = sizeof(local);
    int result = net_result(getsockname(socket->handle, (struct sockaddr *)&local, &bytes));
    return result == NET_OK ? ntohs(local.sin_port) : result;
}

/* A set keeps the order of what was put into it. True: the next one is this socket. */
static bool net_take(const fd_set *set, u_int *next, SOCKET handle)
{
    if (*next < set->fd_count && set->fd_array[*next] == handle) {
        (*next)++;
        return true;
    }
    return false;
}

int net_wait(struct net_item *items, uint32_t count, uint32_t timeout_ms)
{
    static const uint32_t kinds[3] = {NET_READ, NET_WRITE, NET_EXCEPT};
    static fd_set sets[3];
    struct timeval timeout = {.tv_sec = (long)(timeout_ms / 1000),
                              .tv_usec = (long)(timeout_ms % 1000 * 1000)};
    bool asked = false;
    for (uint32_t k = 0; k < 3; k++) {
        sets[k].fd_count = 0;
        for (uint32_t i = 0; i < count && sets[k].fd_count < FD_SETSIZE; i++) {
            if ((items[i].want & kinds[k]) != 0) {
                sets[k].fd_array[sets[k].fd_count++] = items[i].socket->handle;
                asked = true;
            }
        }
    }
    /* Of nothing select does not wait: WSAEINVAL. */
    int ready = asked ? select(0, &sets[0], &sets[1], &sets[2], &timeout) : 0;
    for (uint32_t i = 0; i < count; i++) {
        items[i].ready = 0;
    }
    for (uint32_t k = 0; k < 3 && ready > 0; k++) {
        u_int next = 0;
        for (uint32_t i = 0; i < count; i++) {
            if ((items[i].want & kinds[k]) != 0 &&
                net_take(&sets[k], &next, items[i].socket->handle)) {
                items[i].ready |= kinds[k];
            }
        }
    }
    return ready >= 0 ? NET_OK : net_result(ready);
}
