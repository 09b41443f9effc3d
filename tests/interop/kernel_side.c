/*
 * The kernel's side, see kernel_side.h. Sockets belong to the namespace the process was in when it
 * made them, so the process itself may go on to another one.
 */
#include "kernel_side.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"

__attribute__((noreturn)) static void kernel_skip(const char *what)
{
    (void)fprintf(stderr, "skipped: %s: %s\n", what, strerror(errno));
    exit(KERNEL_SKIPPED);
}

/* ---- namespaces ---- */

int kernel_namespace(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        kernel_skip("network namespaces do not work here");
    }
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    kernel_ip("link set lo up\n");
    return fd;
}

void kernel_enter(int namespace_fd)
{
    CHECK(setns(namespace_fd, CLONE_NEWNET) == 0);
}

void kernel_ip(const char *commands)
{
    int pipe_fds[2];
    int status = -1;
    (void)fflush(NULL);
    CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)dup2(pipe_fds[0], STDIN_FILENO);
        (void)execlp("ip", "ip", "-batch", "-", (char *)NULL);
        kernel_skip("ip(8)");
    }
    CHECK(write(pipe_fds[1], commands, strlen(commands)) == (ssize_t)strlen(commands));
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == KERNEL_SKIPPED) {
        exit(KERNEL_SKIPPED);
    }
    if (status != 0) {
        (void)fprintf(stderr, "ip(8) failed at:\n%s", commands);
        exit(1);
    }
}

bool kernel_try_set(const char *name, const char *value)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    (void)close(fd);
    return done;
}

void kernel_set(const char *name, const char *value)
{
    if (!kernel_try_set(name, value)) {
        kernel_skip(name);
    }
}

bool kernel_sum_in_software(const char *interface)
{
    struct ethtool_value value = {.cmd = ETHTOOL_STXCSUM, .data = 0};
    struct ifreq request = {.ifr_data = (void *)&value};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", interface);
    bool done = ioctl(fd, SIOCETHTOOL, &request) == 0;
    (void)close(fd);
    return done;
}

/* Sockets whose state's bit is set. */
static uint32_t kernel_count_states(uint32_t states)
{
    char line[512];
    char state[3];
    uint32_t count = 0;
    FILE *table = fopen("/proc/self/net/tcp", "r");
    CHECK(table != NULL);
    while (fgets(line, sizeof(line), table) != NULL) {
        /* "  0: 0A0200C0:1F90 0A0200C0:C350 01 ..." */
        if (sscanf(line, " %*[0-9]: %*[0-9A-F]:%*[0-9A-F] %*[0-9A-F]:%*[0-9A-F] %2[0-9A-F]",
                   state) == 1) {
            count += (states >> strtoul(state, NULL, 16)) & 1;
        }
    }
    (void)fclose(table);
    return count;
}

uint32_t kernel_count(enum kernel_state state)
{
    return kernel_count_states(1u << state);
}

uint32_t kernel_count_open(void)
{
    return kernel_count_states(~((1u << KERNEL_LISTEN) | (1u << KERNEL_TIME_WAIT)));
}

/* Lines in pairs: "TcpExt: SyncookiesSent SyncookiesRecv ...", "TcpExt: 0 0 ...". UINT64_MAX: it is
 * not there. */
static uint64_t kernel_counter_of(const char *path, const char *name)
{
    static char names[16384];
    static char values[16384];
    uint64_t found = UINT64_MAX;
    FILE *table = fopen(path, "r");
    CHECK(table != NULL);
    while (fgets(names, sizeof(names), table) != NULL &&
           fgets(values, sizeof(values), table) != NULL) {
        char *name_rest;
        char *value_rest;
        char *one = strtok_r(names, " \n", &name_rest);
        char *value = strtok_r(values, " \n", &value_rest);
        while (one != NULL && value != NULL) {
            if (strcmp(one, name) == 0) {
                found = strtoull(value, NULL, 10);
            }
            one = strtok_r(NULL, " \n", &name_rest);
            value = strtok_r(NULL, " \n", &value_rest);
        }
    }
    (void)fclose(table);
    return found;
}

uint64_t kernel_counter(const char *name)
{
    uint64_t found = kernel_counter_of("/proc/self/net/netstat", name);
    found = found != UINT64_MAX ? found : kernel_counter_of("/proc/self/net/snmp", name);
    CHECK(found != UINT64_MAX);
    return found;
}

/* ---- sockets ---- */

static void kernel_option(int fd, int level, int name, int value)
{
    CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static struct sockaddr_in kernel_address(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    CHECK(text == NULL || inet_pton(AF_INET, text, &address.sin_addr) == 1);
    return address;
}

static int kernel_socket(const struct kernel_options *options)
{
    static const struct kernel_options none;
    options = options != NULL ? options : &none;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    kernel_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options->send_buffer != 0) {
        kernel_option(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer);
    }
    if (options->recv_buffer != 0) {
        kernel_option(fd, SOL_SOCKET, SO_RCVBUF, options->recv_buffer);
    }
    if (options->user_timeout_ms != 0) {
        kernel_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
    }
    if (options->keep_count != 0) {
        kernel_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        kernel_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keep_idle_s);
        kernel_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keep_interval_s);
        kernel_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keep_count);
    }
    if (options->segment_max != 0) {
        kernel_option(fd, IPPROTO_TCP, TCP_MAXSEG, options->segment_max);
    }
    if (options->nodelay) {
        kernel_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (options->congestion != NULL) {
        CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options->congestion,
                         (socklen_t)strlen(options->congestion)) == 0);
    }
    if (options->local_port != 0) {
        struct sockaddr_in address = kernel_address(NULL, options->local_port);
        CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    }
    return fd;
}

int kernel_listen(uint16_t port, const struct kernel_options *options)
{
    struct kernel_options bound = options != NULL ? *options : (struct kernel_options){0};
    bound.local_port = port;
    int fd = kernel_socket(&bound);
    CHECK(listen(fd, bound.backlog != 0 ? bound.backlog : 1024) == 0);
    return fd;
}

int kernel_connect(const char *address, uint16_t port, const struct kernel_options *options)
{
    int fd = kernel_socket(options);
    struct sockaddr_in peer = kernel_address(address, port);
    int result = connect(fd, (struct sockaddr *)&peer, sizeof(peer));
    CHECK(result != 0 && errno == EINPROGRESS);
    return fd;
}

int kernel_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(fd >= 0 || errno == EAGAIN || errno == ECONNABORTED);
    return fd;
}

int kernel_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof(error);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0);
    return error;
}

int kernel_connect_result(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    CHECK(poll(&poller, 1, 0) >= 0);
    return poller.revents == 0 ? EINPROGRESS : kernel_error(fd);
}

ssize_t kernel_send(int fd, const void *data, size_t bytes)
{
    ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
    return sent >= 0 ? sent : -errno;
}

ssize_t kernel_recv(int fd, void *data, size_t bytes)
{
    ssize_t got = recv(fd, data, bytes, 0);
    return got >= 0 ? got : -errno;
}

void kernel_wait(int fd, bool reads, bool writes)
{
    struct pollfd poller = {.fd = fd,
                            .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0))};
    CHECK(poll(&poller, 1, 1000) >= 0);
}

void kernel_send_urgent(int fd, uint8_t byte)
{
    CHECK(send(fd, &byte, 1, MSG_OOB | MSG_NOSIGNAL) == 1);
}

int kernel_recv_urgent(int fd)
{
    uint8_t byte;
    ssize_t got = recv(fd, &byte, 1, MSG_OOB);
    CHECK(got == 1 || errno == EINVAL || errno == EAGAIN);
    return got == 1 ? byte : -1;
}

uint32_t kernel_unread(int fd)
{
    int bytes = 0;
    CHECK(ioctl(fd, FIONREAD, &bytes) == 0);
    return (uint32_t)bytes;
}

static struct tcp_info kernel_info(int fd)
{
    struct tcp_info info;
    socklen_t bytes = sizeof(info);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0);
    return info;
}

uint32_t kernel_agreed(int fd)
{
    return kernel_info(fd).tcpi_options;
}

uint32_t kernel_retransmits(int fd)
{
    return kernel_info(fd).tcpi_total_retrans;
}

void kernel_shutdown_send(int fd)
{
    CHECK(shutdown(fd, SHUT_WR) == 0);
}

void kernel_close(int fd)
{
    CHECK(close(fd) == 0);
}

void kernel_abort(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    kernel_close(fd);
}
