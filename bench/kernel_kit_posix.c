/* What the baselines over the kernel's TCP share, see kernel_kit_posix.h. */
#include "bench/kernel_kit_posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/payload.h"

bool kernel_tcp_fail(struct bench_context *context, const char *call)
{
    (void)snprintf(context->error, sizeof(context->error), "%s: %s", call, strerror(errno));
    return false;
}

/* CUBIC: the system's default may be one that is several times slower over loopback. A connection
 * has its listener's. */
static int kernel_tcp_socket(void)
{
    static const char cubic[] = "cubic";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cubic, sizeof(cubic) - 1) != 0 ||
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int kernel_tcp_listen(int backlog, struct sockaddr_in *addr)
{
    socklen_t bytes = sizeof(*addr);
    int fd = kernel_tcp_socket();
    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd >= 0 && (bind(fd, (struct sockaddr *)addr, bytes) != 0 || listen(fd, backlog) != 0 ||
                    getsockname(fd, (struct sockaddr *)addr, &bytes) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int kernel_tcp_connect(const struct sockaddr_in *addr)
{
    int fd = kernel_tcp_socket();
    if (fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Options are inherited on Linux. */
int kernel_tcp_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

bool kernel_tcp_pair(int ends[2])
{
    struct sockaddr_in addr;
    int listener = kernel_tcp_listen(1, &addr);
    ends[0] = listener >= 0 ? kernel_tcp_connect(&addr) : -1;
    ends[1] = ends[0] >= 0 ? kernel_tcp_accept(listener) : -1;
    if (ends[0] >= 0 && ends[1] < 0) {
        (void)close(ends[0]);
    }
    if (listener >= 0) {
        (void)close(listener);
    }
    return ends[1] >= 0;
}

bool kernel_tcp_put(int fd, uint64_t seq)
{
    struct payload payload;
    payload_fill(&payload, seq);
    return send(fd, &payload, sizeof(payload), 0) == (ssize_t)sizeof(payload);
}

bool kernel_tcp_get(int fd, uint64_t seq, int flags)
{
    struct payload payload;
    size_t have = 0;
    while (have < sizeof(payload)) {
        ssize_t got = recv(fd, (uint8_t *)&payload + have, sizeof(payload) - have, flags);
        if (got > 0) {
            have += (size_t)got;
        } else if (got == 0 || errno != EAGAIN || flags == 0) {
            return false;
        }
    }
    return payload_check(&payload, seq);
}
