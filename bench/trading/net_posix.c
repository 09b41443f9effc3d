/* trade_net.h over the kernel's own sockets: the baseline natively, and always the far peer. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/trading/trade_net.h"

struct trade_socket {
    struct trade_net *net;
    int fd;
    uint64_t dropped; /* SO_RXQ_OVFL: the kernel's count as of the last datagram received */
};

struct trade_net {
    struct trade_socket sockets[TRADE_NET_SOCKETS_MAX];
    uint32_t count;
};

static _Thread_local char trade_net_text[160];

static bool trade_net_fail(const char *call)
{
    (void)snprintf(trade_net_text, sizeof(trade_net_text), "%s: %s", call, strerror(errno));
    return false;
}

const char *trade_net_error(void)
{
    return trade_net_text;
}

bool trade_net_open(const char *instance, struct trade_net **out)
{
    (void)instance;
    *out = calloc(1, sizeof(**out));
    return *out != NULL || trade_net_fail("calloc");
}

void trade_net_close(struct trade_net *net)
{
    for (uint32_t i = 0; i < net->count; i++) {
        (void)close(net->sockets[i].fd);
    }
    free(net);
}

const char *trade_net_path(const struct trade_socket *socket)
{
    (void)socket;
    return "Linux kernel sockets";
}

static struct sockaddr_in trade_net_sockaddr(struct trade_addr addr)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(addr.port), .sin_addr.s_addr = htonl(addr.ip)};
}

/* FORCE passes net.core.rmem_max and needs privilege; without it the plain option takes what it
 * gets. */
static bool trade_net_buffers(int fd, uint32_t bytes)
{
    int value = (int)bytes;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)) == 0) {
        return true;
    }
    return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)) == 0;
}

/* A place for the descriptor, which trade_net_close then closes. */
static struct trade_socket *trade_net_keep(struct trade_net *net, int fd)
{
    struct trade_socket *socket = &net->sockets[net->count++];
    *socket = (struct trade_socket){.net = net, .fd = fd};
    return socket;
}

static bool trade_net_new(struct trade_net *net, int type, struct trade_socket **out)
{
    if (net->count == TRADE_NET_SOCKETS_MAX) {
        errno = EMFILE;
        return trade_net_fail("trade_net_new");
    }
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return trade_net_fail("socket");
    }
    *out = trade_net_keep(net, fd);
    return true;
}

bool trade_net_udp(struct trade_net *net, struct trade_addr local, uint32_t buffer_bytes,
                   bool shared, struct trade_socket **out)
{
    const int on = 1;
    struct sockaddr_in addr = trade_net_sockaddr(local);
    if (!trade_net_new(net, SOCK_DGRAM, out)) {
        return false;
    }
    int fd = (*out)->fd;
    const char *call = NULL;
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
        call = "setsockopt SO_REUSEADDR";
    } else if (buffer_bytes != 0 && !trade_net_buffers(fd, buffer_bytes)) {
        call = "setsockopt SO_RCVBUF";
    } else if (setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) != 0) {
        call = "setsockopt SO_RXQ_OVFL";
    } else if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        call = "bind";
    }
    return call == NULL || trade_net_fail(call);
}

bool trade_net_join(struct trade_socket *socket, uint32_t group, uint32_t interface_ip)
{
    struct ip_mreq request = {.imr_multiaddr.s_addr = htonl(group),
                              .imr_interface.s_addr = htonl(interface_ip)};
    return setsockopt(socket->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)) == 0 ||
           trade_net_fail("setsockopt IP_ADD_MEMBERSHIP");
}

bool trade_net_multicast_from(struct trade_socket *socket, uint32_t interface_ip)
{
    struct in_addr from = {.s_addr = htonl(interface_ip)};
    return setsockopt(socket->fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)) == 0 ||
           trade_net_fail("setsockopt IP_MULTICAST_IF");
}

int trade_net_send(struct trade_socket *socket, const void *data, size_t bytes,
                   struct trade_addr to)
{
    struct sockaddr_in addr = trade_net_sockaddr(to);
    ssize_t sent = sendto(socket->fd, data, bytes, 0, (struct sockaddr *)&addr, sizeof(addr));
    if (sent >= 0) {
        return (int)sent;
    }
    if (errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED) {
        return TRADE_NET_NOTHING;
    }
    (void)trade_net_fail("sendto");
    return TRADE_NET_FAILED;
}

int trade_net_recv(struct trade_socket *socket, void *data, size_t capacity,
                   struct trade_addr *from)
{
    struct sockaddr_in addr;
    struct iovec iov = {.iov_base = data, .iov_len = capacity};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint32_t))];
    struct msghdr msg = {.msg_name = &addr,
                         .msg_namelen = sizeof(addr),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(socket->fd, &msg, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == ECONNREFUSED) {
            return TRADE_NET_NOTHING;
        }
        (void)trade_net_fail("recvmsg");
        return TRADE_NET_FAILED;
    }
    if (msg.msg_flags & MSG_TRUNC) {
        errno = EMSGSIZE;
        (void)trade_net_fail("recvmsg");
        return TRADE_NET_FAILED;
    }
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SO_RXQ_OVFL) {
        uint32_t dropped;
        memcpy(&dropped, CMSG_DATA(cmsg), sizeof(dropped));
        socket->dropped = dropped;
    }
    if (from != NULL) {
        *from =
            (struct trade_addr){.ip = ntohl(addr.sin_addr.s_addr), .port = ntohs(addr.sin_port)};
    }
    return (int)got;
}

static bool trade_net_nodelay(int fd)
{
    const int on = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 ||
           trade_net_fail("setsockopt TCP_NODELAY");
}

/* REUSEADDR: the port of a run that has just ended can be bound again. */
bool trade_net_listen(struct trade_net *net, struct trade_addr local, uint32_t backlog,
                      struct trade_socket **out)
{
    const int on = 1;
    struct sockaddr_in addr = trade_net_sockaddr(local);
    if (!trade_net_new(net, SOCK_STREAM, out)) {
        return false;
    }
    int fd = (*out)->fd;
    const char *call = NULL;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
        call = "setsockopt SO_REUSEADDR";
    } else if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        call = "bind";
    } else if (listen(fd, (int)backlog) != 0) {
        call = "listen";
    }
    return call == NULL || trade_net_fail(call);
}

int trade_net_accept(struct trade_socket *listener, struct trade_socket **out)
{
    struct trade_net *net = listener->net;
    if (net->count == TRADE_NET_SOCKETS_MAX) {
        errno = EMFILE;
        (void)trade_net_fail("trade_net_accept");
        return TRADE_NET_FAILED;
    }
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN) {
            return TRADE_NET_NOTHING;
        }
        (void)trade_net_fail("accept4");
        return TRADE_NET_FAILED;
    }
    *out = trade_net_keep(net, fd);
    return trade_net_nodelay(fd) ? 0 : TRADE_NET_FAILED;
}

bool trade_net_connect(struct trade_net *net, struct trade_addr peer, struct trade_socket **out)
{
    struct sockaddr_in addr = trade_net_sockaddr(peer);
    return trade_net_new(net, SOCK_STREAM, out) && trade_net_nodelay((*out)->fd) &&
           (connect((*out)->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ||
            errno == EINPROGRESS || trade_net_fail("connect"));
}

int trade_net_connected(struct trade_socket *socket)
{
    struct pollfd item = {.fd = socket->fd, .events = POLLOUT};
    int error = 0;
    socklen_t error_bytes = sizeof(error);
    if (poll(&item, 1, 0) == 0) {
        return TRADE_NET_NOTHING;
    }
    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0) {
        error = errno;
    }
    errno = error;
    return error == 0 || trade_net_fail("connect") ? 0 : TRADE_NET_FAILED;
}

int trade_net_write(struct trade_socket *socket, const void *data, size_t bytes)
{
    ssize_t sent = send(socket->fd, data, bytes, MSG_NOSIGNAL);
    if (sent >= 0) {
        return (int)sent;
    }
    if (errno == EAGAIN) {
        return TRADE_NET_NOTHING;
    }
    (void)trade_net_fail("send");
    return TRADE_NET_FAILED;
}

int trade_net_read(struct trade_socket *socket, void *data, size_t capacity)
{
    ssize_t got = recv(socket->fd, data, capacity, 0);
    if (got >= 0) {
        return (int)got;
    }
    if (errno == EAGAIN) {
        return TRADE_NET_NOTHING;
    }
    (void)trade_net_fail("recv");
    return TRADE_NET_FAILED;
}

bool trade_net_shutdown(struct trade_socket *socket)
{
    return shutdown(socket->fd, SHUT_WR) == 0 || trade_net_fail("shutdown");
}

bool trade_net_wait(struct trade_net *net, struct trade_socket *const *sockets, uint32_t count,
                    uint32_t timeout_us, bool *ready)
{
    struct pollfd fds[TRADE_NET_SOCKETS_MAX];
    (void)net;
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = sockets[i]->fd, .events = POLLIN};
        ready[i] = false;
    }
    struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                               .tv_nsec = (long)(timeout_us % 1000000) * 1000};
    if (ppoll(fds, count, &timeout, NULL) < 0) {
        return errno == EINTR || trade_net_fail("ppoll");
    }
    for (uint32_t i = 0; i < count; i++) {
        ready[i] = fds[i].revents != 0;
    }
    return true;
}

uint64_t trade_net_dropped(const struct trade_socket *socket)
{
    return socket->dropped;
}
