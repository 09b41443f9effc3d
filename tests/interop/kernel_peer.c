/*
 * The peer of the interop tests: plain sockets of the Linux kernel, nothing of Ringsock. Echo,
 * sink, blast, ping, closed port, told what to do by struct wire_command. One thread, poll over
 * three sockets; ends on SIGTERM or when its parent ends.
 *
 * kernel_peer ADDRESS INTERFACE SECONDS: serves on ADDRESS, for at most SECONDS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/interop/wire.h"

struct peer {
    struct sockaddr_in own;
    const char *interface;
    int echo, sink, command;
    uint32_t sink_seed, sink_good, sink_bad;
};

static uint8_t buffer[WIRE_MAX_BYTES];

static void die(const char *what)
{
    (void)fprintf(stderr, "kernel_peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct sockaddr_in address_of(uint32_t be32, uint32_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = be32, .sin_port = htons((uint16_t)port)};
}

/* A UDP socket for receiving and sending all a test sends; any: also multicast and broadcast. */
static int udp_socket(const struct peer *peer, uint32_t port, bool any)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int bytes = 8 * 1024 * 1024;
    const int on = 1;
    const int off = 0;
    if (fd < 0) {
        die("socket");
    }
    struct sockaddr_in local =
        address_of(any ? htonl(INADDR_ANY) : peer->own.sin_addr.s_addr, port);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &peer->own.sin_addr, sizeof(struct in_addr)) !=
            0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof(off)) != 0 ||
        bind(fd, (struct sockaddr *)&local, sizeof(local)) != 0) {
        die("UDP socket");
    }
    return fd;
}

static void take_echo(struct peer *peer)
{
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    ssize_t got =
        recvfrom(peer->echo, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &length);
    if (got >= 0 &&
        sendto(peer->echo, buffer, (size_t)got, 0, (struct sockaddr *)&from, length) != got) {
        (void)fprintf(stderr, "kernel_peer: echo of %zd bytes: %s\n", got, strerror(errno));
    }
}

static void take_sink(struct peer *peer)
{
    ssize_t got = recv(peer->sink, buffer, sizeof(buffer), 0);
    uint32_t number = 0;
    if (got < 0) {
        return;
    }
    if ((size_t)got >= sizeof(number)) {
        memcpy(&number, buffer, sizeof(number));
    }
    if (wire_check(buffer, (uint32_t)got, peer->sink_seed, number)) {
        peer->sink_good++;
    } else {
        peer->sink_bad++;
    }
}

static void sink_report(struct peer *peer, const struct wire_command *command,
                        struct wire_answer *answer)
{
    uint64_t end_us = now_us() + 3000000;
    while (peer->sink_good + peer->sink_bad < command->count && now_us() < end_us) {
        struct pollfd fd = {.fd = peer->sink, .events = POLLIN};
        if (poll(&fd, 1, 100) > 0) {
            take_sink(peer);
        }
    }
    answer->good = peer->sink_good;
    answer->bad = peer->sink_bad;
}

static void blast(struct peer *peer, const struct wire_command *command, struct wire_answer *answer)
{
    struct sockaddr_in to = address_of(command->dst_be32, command->port);
    uint64_t next_us = now_us();
    for (uint32_t i = 0; i < command->count; i++) {
        uint32_t bytes = wire_size(command->min_bytes, command->max_bytes, i);
        wire_fill(buffer, bytes, command->seed, i);
        while (now_us() < next_us) {
            /* pacing; a sleep would come back too late */
        }
        next_us += command->interval_us;
        if (sendto(peer->echo, buffer, bytes, 0, (struct sockaddr *)&to, sizeof(to)) ==
            (ssize_t)bytes) {
            answer->good++;
        } else {
            (void)snprintf(answer->text, sizeof(answer->text), "sendto: %s", strerror(errno));
            answer->bad++;
        }
    }
}

static void closed_port(struct peer *peer, const struct wire_command *command,
                        struct wire_answer *answer)
{
    struct sockaddr_in to = address_of(command->dst_be32, command->port);
    int fd = udp_socket(peer, 0, false);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || send(fd, "x", 1, 0) != 1) {
        (void)snprintf(answer->text, sizeof(answer->text), "send: %s", strerror(errno));
    } else {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 2000) > 0 && recv(fd, buffer, sizeof(buffer), 0) < 0 &&
            errno == ECONNREFUSED) {
            answer->good = 1;
        } else {
            (void)snprintf(answer->text, sizeof(answer->text), "no ICMP error within 2 s");
        }
    }
    (void)close(fd);
}

static uint16_t icmp_checksum(const uint8_t *data, size_t bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        sum += (uint32_t)data[i] << (i % 2 == 0 ? 8 : 0);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* One echo request and its reply, data compared. */
static bool ping_once(int fd, const struct sockaddr_in *to, uint32_t bytes, uint16_t seq)
{
    static uint8_t request[WIRE_MAX_BYTES];
    struct icmphdr header = {.type = ICMP_ECHO, .un.echo = {.id = htons(0x5253), .sequence = seq}};
    const size_t total = sizeof(header) + bytes;
    memcpy(request, &header, sizeof(header));
    wire_fill(request + sizeof(header), bytes, 77, seq);
    header.checksum = icmp_checksum(request, total);
    memcpy(request, &header, sizeof(header));
    if (sendto(fd, request, total, 0, (const struct sockaddr *)to, sizeof(*to)) != (ssize_t)total) {
        return false;
    }
    uint64_t end_us = now_us() + 1000000;
    while (now_us() < end_us) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&wait, 1, 100) > 0 ? recv(fd, buffer, sizeof(buffer), 0) : -1;
        size_t ip_bytes = got > 0 ? (size_t)(buffer[0] & 15) * 4 : 0;
        if (got != (ssize_t)(ip_bytes + total)) {
            continue;
        }
        struct icmphdr reply;
        memcpy(&reply, buffer + ip_bytes, sizeof(reply));
        if (reply.type == ICMP_ECHOREPLY && reply.un.echo.id == header.un.echo.id &&
            reply.un.echo.sequence == seq) {
            return memcmp(buffer + ip_bytes + sizeof(reply), request + sizeof(reply), bytes) == 0;
        }
    }
    return false;
}

static void ping(const struct wire_command *command, struct wire_answer *answer)
{
    struct sockaddr_in to = address_of(command->dst_be32, 0);
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0) {
        (void)snprintf(answer->text, sizeof(answer->text), "raw socket: %s", strerror(errno));
        return;
    }
    for (uint32_t i = 0; i < command->count; i++) {
        uint32_t bytes = i + 1 == command->count
                             ? command->max_bytes
                             : wire_size(command->min_bytes, command->max_bytes, i);
        bool good = ping_once(fd, &to, bytes, (uint16_t)(i + 1));
        answer->good += good;
        answer->bad += !good;
        if (!good) {
            (void)snprintf(answer->text, sizeof(answer->text), "no echo of %u bytes within 1 s",
                           bytes);
        }
    }
    (void)close(fd);
}

static void forget(struct peer *peer, const struct wire_command *command,
                   struct wire_answer *answer)
{
    struct arpreq request = {0};
    struct sockaddr_in protocol = address_of(command->dst_be32, 0);
    memcpy(&request.arp_pa, &protocol, sizeof(protocol));
    (void)snprintf(request.arp_dev, sizeof(request.arp_dev), "%.15s", peer->interface);
    answer->good = ioctl(peer->command, SIOCDARP, &request) == 0;
    if (!answer->good) {
        (void)snprintf(answer->text, sizeof(answer->text), "SIOCDARP: %s", strerror(errno));
    }
}

static void take_command(struct peer *peer)
{
    struct wire_command command;
    struct wire_answer answer = {.magic = WIRE_MAGIC};
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    ssize_t got =
        recvfrom(peer->command, &command, sizeof(command), 0, (struct sockaddr *)&from, &length);
    if (got != (ssize_t)sizeof(command) || command.magic != WIRE_MAGIC ||
        command.max_bytes < command.min_bytes || command.max_bytes > WIRE_MAX_BYTES - 28) {
        (void)fprintf(stderr, "kernel_peer: a command of %zd bytes that is none\n", got);
        return;
    }
    answer.serial = command.serial;
    switch ((enum wire_op)command.op) {
    case WIRE_HELLO:
        answer.good = 1;
        break;
    case WIRE_SINK_RESET:
        peer->sink_seed = command.seed;
        peer->sink_good = peer->sink_bad = 0;
        break;
    case WIRE_SINK_REPORT:
        sink_report(peer, &command, &answer);
        break;
    case WIRE_BLAST:
        blast(peer, &command, &answer);
        break;
    case WIRE_CLOSED_PORT:
        closed_port(peer, &command, &answer);
        break;
    case WIRE_PING:
        ping(&command, &answer);
        break;
    case WIRE_FORGET:
        forget(peer, &command, &answer);
        break;
    default:
        (void)snprintf(answer.text, sizeof(answer.text), "unknown command %u", command.op);
    }
    if (sendto(peer->command, &answer, sizeof(answer), 0, (struct sockaddr *)&from, length) !=
        (ssize_t)sizeof(answer)) {
        (void)fprintf(stderr, "kernel_peer: answer: %s\n", strerror(errno));
    }
}

static void serve(struct peer *peer, uint64_t end_us)
{
    while (now_us() < end_us) {
        struct pollfd fds[3] = {{.fd = peer->echo, .events = POLLIN},
                                {.fd = peer->sink, .events = POLLIN},
                                {.fd = peer->command, .events = POLLIN}};
        if (poll(fds, 3, 500) <= 0) {
            continue;
        }
        if (fds[0].revents & POLLIN) {
            take_echo(peer);
        }
        if (fds[1].revents & POLLIN) {
            take_sink(peer);
        }
        if (fds[2].revents & POLLIN) {
            take_command(peer);
        }
    }
}

int main(int argc, char **argv)
{
    struct peer peer = {0};
    if (argc != 4 || inet_pton(AF_INET, argv[1], &peer.own.sin_addr) != 1) {
        (void)fputs("usage: kernel_peer ADDRESS INTERFACE SECONDS\n", stderr);
        return 2;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    peer.interface = argv[2];
    peer.echo = udp_socket(&peer, WIRE_PORT_ECHO, false);
    peer.sink = udp_socket(&peer, WIRE_PORT_SINK, true);
    peer.command = udp_socket(&peer, WIRE_PORT_COMMAND, false);
    struct ip_mreq group = {.imr_multiaddr.s_addr = htonl(WIRE_GROUP),
                            .imr_interface = peer.own.sin_addr};
    if (setsockopt(peer.sink, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
        die("join");
    }
    (void)puts("kernel_peer: ready");
    (void)fflush(stdout);
    serve(&peer, now_us() + strtoul(argv[3], NULL, 10) * 1000000);
    return 0;
}
