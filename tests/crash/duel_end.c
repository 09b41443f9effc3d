/* See duel_end.h. */
#include "tests/crash/duel_end.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "provider/client/client.h"
#include "tests/crash/duel.h"
#include "tests/support/check.h"

const char *duel_kernel_namespace;
static struct client *client;

/* ---- the kernel's ---- */

static enum rs_status kernel_status(void)
{
    switch (errno) {
    case EAGAIN:
    case EINPROGRESS:
        return RS_WOULD_BLOCK;
    case EPIPE:
    case ECONNRESET:
        return RS_CONN_RESET;
    case ECONNREFUSED:
        return RS_CONN_REFUSED;
    default:
        fprintf(stderr, "the kernel's socket says: %s\n", strerror(errno)); /* NOLINT */
        return RS_CORRUPT;
    }
}

static struct sockaddr_in kernel_addr(const struct rs_addr *addr)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = addr->port_be16, .sin_addr.s_addr = addr->ip.v4_be32};
}

static int kernel_socket(void)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
    return fd;
}

static enum rs_status kernel_connected(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLOUT};
    socklen_t bytes = sizeof(errno);
    if (poll(&item, 1, 0) == 0) {
        return RS_WOULD_BLOCK;
    }
    int error = 0;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0);
    errno = error;
    return error == 0 ? RS_OK : kernel_status();
}

static void kernel_enter(void)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/run/netns/%s", duel_kernel_namespace);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && setns(fd, CLONE_NEWNET) == 0);
    CHECK(close(fd) == 0);
}

/* ---- either ---- */

void end_open(void)
{
    if (duel_kernel_namespace != NULL) {
        kernel_enter();
        return;
    }
    enum rs_status status = client_open(NULL, &client);
    if (status != RS_OK) {
        fprintf(stderr, "survivor: %s\n", client_last_error_text());
    }
    CHECK(status == RS_OK);
}

void end_shut_down(void)
{
    if (client != NULL) {
        client_close(client);
    }
}

static void end_make(struct end *end)
{
    *end = (struct end){.fd = -1};
    if (client == NULL) {
        end->fd = kernel_socket();
        return;
    }
    CHECK(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &end->socket) == RS_OK);
    CHECK(client_set_option(end->socket, CLIENT_OPT_NONBLOCKING, 1) == RS_OK);
    CHECK(client_set_option(end->socket, CLIENT_OPT_OOB_INLINE, 1) == RS_OK);
}

void end_listen(struct end *end, const struct rs_addr *at)
{
    end_make(end);
    if (end->socket == NULL) {
        struct sockaddr_in addr = kernel_addr(at);
        CHECK(bind(end->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
        CHECK(listen(end->fd, 16) == 0);
        return;
    }
    CHECK(client_bind(end->socket, at) == RS_OK);
    CHECK(client_listen(end->socket, 16) == RS_OK);
}

enum rs_status end_accept(const struct end *listener, struct end *out)
{
    *out = (struct end){.fd = -1};
    if (listener->socket != NULL) {
        return client_accept(listener->socket, &out->socket, NULL);
    }
    out->fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return out->fd >= 0 ? RS_OK : kernel_status();
}

enum rs_status end_connect(struct end *end, const struct rs_addr *to)
{
    end_make(end);
    if (end->socket != NULL) {
        return client_connect(end->socket, to);
    }
    struct sockaddr_in addr = kernel_addr(to);
    return connect(end->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? RS_OK : kernel_status();
}

enum rs_status end_connected(const struct end *end)
{
    if (end->socket == NULL) {
        return kernel_connected(end->fd);
    }
    struct client_poll item = {.socket = end->socket,
                               .want = RS_LEVEL_CONNECTED | CLIENT_POLL_FAILED};
    uint32_t count = 0;
    CHECK(client_poll(client, &item, 1, 0, &count) == RS_OK);
    if ((item.ready & CLIENT_POLL_FAILED) != 0) {
        return client_take_error(end->socket);
    }
    return count != 0 ? RS_OK : RS_WOULD_BLOCK;
}

enum rs_status end_read(const struct end *end, uint8_t *data, size_t bytes, size_t *got)
{
    *got = 0;
    if (end->socket != NULL) {
        struct client_iov iov = {.base = data, .len_bytes = bytes};
        return client_recv(end->socket, &iov, 1, 0, NULL, got);
    }
    ssize_t received = recv(end->fd, data, bytes, 0);
    if (received < 0) {
        return kernel_status();
    }
    *got = (size_t)received;
    return RS_OK;
}

enum rs_status end_write(const struct end *end, const uint8_t *data, size_t bytes, int urgent)
{
    if (end->socket != NULL) {
        struct client_iov iov = {.base = (void *)(uintptr_t)data, .len_bytes = bytes};
        size_t sent = 0;
        return client_send(end->socket, &iov, 1, urgent != 0 ? CLIENT_MSG_OOB : 0, NULL, &sent);
    }
    ssize_t sent = send(end->fd, data, bytes, MSG_NOSIGNAL | (urgent != 0 ? MSG_OOB : 0));
    return sent >= 0 ? RS_OK : kernel_status();
}

enum rs_status end_shut(const struct end *end)
{
    if (end->socket != NULL) {
        return client_shutdown(end->socket, CLIENT_SHUT_SEND);
    }
    return shutdown(end->fd, SHUT_WR) == 0 || errno == ENOTCONN ? RS_OK : kernel_status();
}

void end_close(struct end *end)
{
    if (end->socket != NULL) {
        CHECK(client_socket_close(end->socket) == RS_OK);
    } else {
        CHECK(close(end->fd) == 0);
    }
}
