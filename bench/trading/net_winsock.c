/*
 * trade_net.h over the Winsock API. Linked once with host_winsock (the calls reach ringsock.dll's
 * WSPPROC_TABLE) and once with ws2_32 (the system's own provider): the same object file, so that
 * the two differ in nothing but the provider.
 */
#define FD_SETSIZE 128 /* TRADE_NET_SOCKETS_MAX; before winsock2.h, which makes fd_set with it */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench/trading/trade_net.h"

struct trade_socket {
    struct trade_net *net;
    SOCKET handle;
    char path[WSAPROTOCOL_LEN + 1];
};

struct trade_net {
    struct trade_socket sockets[TRADE_NET_SOCKETS_MAX];
    uint32_t count;
};

static _Thread_local char trade_net_text[160];

static bool trade_net_fail(const char *call, int error)
{
    (void)snprintf(trade_net_text, sizeof(trade_net_text), "%s: Winsock error %d", call, error);
    return false;
}

const char *trade_net_error(void)
{
    return trade_net_text;
}

bool trade_net_open(const char *instance, struct trade_net **out)
{
    if (instance != NULL && _putenv_s("RINGSOCK_INSTANCE", instance) != 0) {
        return trade_net_fail("_putenv_s", 0);
    }
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return trade_net_fail("calloc", WSAENOBUFS);
    }
    WSADATA data;
    int error = WSAStartup(MAKEWORD(2, 2), &data);
    if (error != 0) {
        free(*out);
        return trade_net_fail("WSAStartup", error);
    }
    return true;
}

void trade_net_close(struct trade_net *net)
{
    for (uint32_t i = 0; i < net->count; i++) {
        (void)closesocket(net->sockets[i].handle);
    }
    (void)WSACleanup();
    free(net);
}

const char *trade_net_path(const struct trade_socket *socket)
{
    return socket->path;
}

/* The provider's own word on who carries the socket: SO_PROTOCOL_INFO's name. */
static void trade_net_learn_path(struct trade_socket *socket)
{
    WSAPROTOCOL_INFOW info;
    int bytes = sizeof(info);
    if (getsockopt(socket->handle, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &bytes) != 0) {
        (void)snprintf(socket->path, sizeof(socket->path), "unknown provider");
        return;
    }
    size_t i = 0;
    for (; i < WSAPROTOCOL_LEN && info.szProtocol[i] != 0; i++) {
        socket->path[i] = info.szProtocol[i] < 128 ? (char)info.szProtocol[i] : '?';
    }
    socket->path[i] = '\0';
}

static struct sockaddr_in trade_net_sockaddr(struct trade_addr addr)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons(addr.port)};
    out.sin_addr.s_addr = htonl(addr.ip);
    return out;
}

/* A place for the handle, which trade_net_close then closes. False: it cannot be non-blocking. */
static bool trade_net_keep(struct trade_net *net, SOCKET handle, struct trade_socket **out)
{
    u_long nonblocking = 1;
    *out = &net->sockets[net->count++];
    (*out)->net = net;
    (*out)->handle = handle;
    trade_net_learn_path(*out);
    return ioctlsocket(handle, (long)FIONBIO, &nonblocking) == 0 ||
           trade_net_fail("ioctlsocket FIONBIO", WSAGetLastError());
}

static bool trade_net_new(struct trade_net *net, int type, int protocol, struct trade_socket **out)
{
    if (net->count == TRADE_NET_SOCKETS_MAX) {
        return trade_net_fail("trade_net_new", WSAEMFILE);
    }
    SOCKET handle = WSASocketW(AF_INET, type, protocol, NULL, 0, WSA_FLAG_OVERLAPPED);
    if (handle == INVALID_SOCKET) {
        return trade_net_fail("WSASocket", WSAGetLastError());
    }
    return trade_net_keep(net, handle, out);
}

bool trade_net_udp(struct trade_net *net, struct trade_addr local, uint32_t buffer_bytes,
                   bool shared, struct trade_socket **out)
{
    if (!trade_net_new(net, SOCK_DGRAM, IPPROTO_UDP, out)) {
        return false;
    }
    SOCKET handle = (*out)->handle;
    const BOOL on = TRUE;
    const int buffer = (int)buffer_bytes;
    struct sockaddr_in addr = trade_net_sockaddr(local);
    const char *call = NULL;
    if (shared &&
        setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, (const char *)&on, sizeof(on)) != 0) {
        call = "setsockopt SO_REUSEADDR";
    } else if (buffer_bytes != 0 && setsockopt(handle, SOL_SOCKET, SO_RCVBUF, (const char *)&buffer,
                                               sizeof(buffer)) != 0) {
        call = "setsockopt SO_RCVBUF";
    } else if (bind(handle, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        call = "bind";
    }
    return call == NULL || trade_net_fail(call, WSAGetLastError());
}

bool trade_net_join(struct trade_socket *socket, uint32_t group, uint32_t interface_ip)
{
    struct ip_mreq request;
    request.imr_multiaddr.s_addr = htonl(group);
    request.imr_interface.s_addr = htonl(interface_ip);
    return setsockopt(socket->handle, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&request,
                      sizeof(request)) == 0 ||
           trade_net_fail("setsockopt IP_ADD_MEMBERSHIP", WSAGetLastError());
}

bool trade_net_multicast_from(struct trade_socket *socket, uint32_t interface_ip)
{
    DWORD from = htonl(interface_ip);
    return setsockopt(socket->handle, IPPROTO_IP, IP_MULTICAST_IF, (const char *)&from,
                      sizeof(from)) == 0 ||
           trade_net_fail("setsockopt IP_MULTICAST_IF", WSAGetLastError());
}

int trade_net_send(struct trade_socket *socket, const void *data, size_t bytes,
                   struct trade_addr to)
{
    struct sockaddr_in addr = trade_net_sockaddr(to);
    WSABUF buffer = {.len = (u_long)bytes, .buf = (char *)(uintptr_t)data};
    DWORD sent = 0;
    if (WSASendTo(socket->handle, &buffer, 1, &sent, 0, (struct sockaddr *)&addr, sizeof(addr),
                  NULL, NULL) == 0) {
        return (int)sent;
    }
    int error = WSAGetLastError();
    if (error == WSAEWOULDBLOCK || error == WSAECONNRESET) {
        return TRADE_NET_NOTHING;
    }
    (void)trade_net_fail("WSASendTo", error);
    return TRADE_NET_FAILED;
}

/* Who wants no source address takes WSARecv, the shortest way. */
int trade_net_recv(struct trade_socket *socket, void *data, size_t capacity,
                   struct trade_addr *from)
{
    WSABUF buffer = {.len = (u_long)capacity, .buf = data};
    struct sockaddr_in addr = {0};
    int addr_bytes = sizeof(addr);
    DWORD got = 0;
    DWORD flags = 0;
    int result = from == NULL ? WSARecv(socket->handle, &buffer, 1, &got, &flags, NULL, NULL)
                              : WSARecvFrom(socket->handle, &buffer, 1, &got, &flags,
                                            (struct sockaddr *)&addr, &addr_bytes, NULL, NULL);
    if (result != 0) {
        int error = WSAGetLastError();
        if (error == WSAEWOULDBLOCK || error == WSAECONNRESET) {
            return TRADE_NET_NOTHING;
        }
        (void)trade_net_fail(from == NULL ? "WSARecv" : "WSARecvFrom", error);
        return TRADE_NET_FAILED;
    }
    if (from != NULL) {
        *from =
            (struct trade_addr){.ip = ntohl(addr.sin_addr.s_addr), .port = ntohs(addr.sin_port)};
    }
    return (int)got;
}

static bool trade_net_nodelay(SOCKET handle)
{
    const BOOL on = TRUE;
    return setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof(on)) == 0 ||
           trade_net_fail("setsockopt TCP_NODELAY", WSAGetLastError());
}

bool trade_net_listen(struct trade_net *net, struct trade_addr local, uint32_t backlog,
                      struct trade_socket **out)
{
    struct sockaddr_in addr = trade_net_sockaddr(local);
    if (!trade_net_new(net, SOCK_STREAM, IPPROTO_TCP, out)) {
        return false;
    }
    const char *call = NULL;
    if (bind((*out)->handle, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        call = "bind";
    } else if (listen((*out)->handle, (int)backlog) != 0) {
        call = "listen";
    }
    return call == NULL || trade_net_fail(call, WSAGetLastError());
}

int trade_net_accept(struct trade_socket *listener, struct trade_socket **out)
{
    struct trade_net *net = listener->net;
    if (net->count == TRADE_NET_SOCKETS_MAX) {
        (void)trade_net_fail("trade_net_accept", WSAEMFILE);
        return TRADE_NET_FAILED;
    }
    SOCKET handle = accept(listener->handle, NULL, NULL);
    if (handle == INVALID_SOCKET) {
        int error = WSAGetLastError();
        if (error == WSAEWOULDBLOCK) {
            return TRADE_NET_NOTHING;
        }
        (void)trade_net_fail("accept", error);
        return TRADE_NET_FAILED;
    }
    return trade_net_keep(net, handle, out) && trade_net_nodelay(handle) ? 0 : TRADE_NET_FAILED;
}

bool trade_net_connect(struct trade_net *net, struct trade_addr peer, struct trade_socket **out)
{
    struct sockaddr_in addr = trade_net_sockaddr(peer);
    if (!trade_net_new(net, SOCK_STREAM, IPPROTO_TCP, out) || !trade_net_nodelay((*out)->handle)) {
        return false;
    }
    if (connect((*out)->handle, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
        return true;
    }
    int error = WSAGetLastError();
    return error == WSAEWOULDBLOCK || trade_net_fail("connect", error);
}

/* Writable: connected; in the set of exceptions: refused, and SO_ERROR says why. */
int trade_net_connected(struct trade_socket *socket)
{
    fd_set writable = {.fd_count = 1, .fd_array = {socket->handle}};
    fd_set failed = writable;
    struct timeval at_once = {0};
    int count = select(0, NULL, &writable, &failed, &at_once);
    if (count == SOCKET_ERROR) {
        (void)trade_net_fail("select", WSAGetLastError());
        return TRADE_NET_FAILED;
    }
    if (failed.fd_count == 0) {
        return count != 0 ? 0 : TRADE_NET_NOTHING;
    }
    int error = 0;
    int bytes = sizeof(error);
    (void)getsockopt(socket->handle, SOL_SOCKET, SO_ERROR, (char *)&error, &bytes);
    (void)trade_net_fail("connect", error);
    return TRADE_NET_FAILED;
}

int trade_net_write(struct trade_socket *socket, const void *data, size_t bytes)
{
    WSABUF buffer = {.len = (u_long)bytes, .buf = (char *)(uintptr_t)data};
    DWORD sent = 0;
    if (WSASend(socket->handle, &buffer, 1, &sent, 0, NULL, NULL) == 0) {
        return (int)sent;
    }
    int error = WSAGetLastError();
    if (error == WSAEWOULDBLOCK) {
        return TRADE_NET_NOTHING;
    }
    (void)trade_net_fail("WSASend", error);
    return TRADE_NET_FAILED;
}

int trade_net_read(struct trade_socket *socket, void *data, size_t capacity)
{
    WSABUF buffer = {.len = (u_long)capacity, .buf = data};
    DWORD got = 0;
    DWORD flags = 0;
    if (WSARecv(socket->handle, &buffer, 1, &got, &flags, NULL, NULL) == 0) {
        return (int)got;
    }
    int error = WSAGetLastError();
    if (error == WSAEWOULDBLOCK) {
        return TRADE_NET_NOTHING;
    }
    (void)trade_net_fail("WSARecv", error);
    return TRADE_NET_FAILED;
}

bool trade_net_shutdown(struct trade_socket *socket)
{
    return shutdown(socket->handle, SD_SEND) == 0 || trade_net_fail("shutdown", WSAGetLastError());
}

bool trade_net_wait(struct trade_net *net, struct trade_socket *const *sockets, uint32_t count,
                    uint32_t timeout_us, bool *ready)
{
    fd_set set;
    (void)net;
    FD_ZERO(&set);
    for (uint32_t i = 0; i < count && i < FD_SETSIZE; i++) {
        set.fd_array[set.fd_count++] = sockets[i]->handle;
    }
    struct timeval timeout = {.tv_sec = (long)(timeout_us / 1000000),
                              .tv_usec = (long)(timeout_us % 1000000)};
    if (select(0, &set, NULL, NULL, &timeout) < 0) {
        return trade_net_fail("select", WSAGetLastError());
    }
    for (uint32_t i = 0; i < count; i++) {
        ready[i] = false;
        for (u_int k = 0; k < set.fd_count && !ready[i]; k++) {
            ready[i] = set.fd_array[k] == sockets[i]->handle;
        }
    }
    return true;
}

uint64_t trade_net_dropped(const struct trade_socket *socket)
{
    (void)socket;
    return UINT64_MAX; /* Winsock has no such counter */
}
