/*
 * A program on the portable client against addresses_peer.py: a NIC with three addresses, two of
 * them in one network. The kernel says which source it saw, and calls on each of the addresses, by
 * TCP and UDP. One thread.
 *
 * addresses_side PEER PEER_C OWN OWN_B OWN_C: OWN, the primary address, and OWN_B lie in PEER's
 * network, OWN_C in that of PEER_C. Instance by RINGSOCK_INSTANCE. Exit status 1 at the first step
 * that fails.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/client/client.h"

#define WAIT_MS    5000u
#define PEER_PORT  7100u
#define OWN_PORT   7200u
#define ANY        "0.0.0.0"
#define LINE_BYTES 64u
#define PORT_TRIES 64u

static struct client *client;

#define NEED(condition, ...)                                                     \
    do {                                                                         \
        if (!(condition)) {                                                      \
            (void)printf("FAILED (addresses_side.c:%d): ", __LINE__);            \
            (void)printf(__VA_ARGS__);                                           \
            (void)printf("; last client error: %s\n", client_last_error_text()); \
            exit(1);                                                             \
        }                                                                        \
    } while (0)
#define OK(call)                                                           \
    do {                                                                   \
        enum rs_status ok_status = (call);                                 \
        NEED(ok_status == RS_OK, #call ": %s", rs_status_name(ok_status)); \
    } while (0)

static struct rs_addr addr(const char *text, uint32_t port)
{
    const char *rest = text;
    uint32_t ip_be32 = 0;
    for (uint32_t i = 0; i < 4; i++) {
        char *end = NULL;
        unsigned long octet = strtoul(rest, &end, 10);
        NEED(end != rest && octet < 256 && *end == (i < 3 ? '.' : '\0'), "%s: no address", text);
        ip_be32 |= (uint32_t)octet << 8 * i;
        rest = end + 1;
    }
    return rs_addr_v4(ip_be32, (uint16_t)(port << 8 | port >> 8));
}

/* "ADDRESS PORT", as the peer writes it. */
static void write_name(const struct rs_addr *name, char line[LINE_BYTES])
{
    const uint8_t *octets = (const uint8_t *)&name->ip.v4_be32;
    (void)snprintf(line, LINE_BYTES, "%u.%u.%u.%u %u", octets[0], octets[1], octets[2], octets[3],
                   (unsigned)(uint16_t)(name->port_be16 << 8 | name->port_be16 >> 8));
}

static struct client_socket *make(enum rs_socket_type type, const char *own, uint32_t port)
{
    struct client_socket *socket;
    const struct rs_addr local = addr(own, port);
    OK(client_socket_create(client, RS_FAMILY_IPV4, type, &socket));
    OK(client_set_option(socket, CLIENT_OPT_RECV_TIMEOUT_MS, WAIT_MS));
    if (strcmp(own, ANY) != 0 || port != 0) {
        OK(client_bind(socket, &local));
    }
    return socket;
}

static void say(struct client_socket *socket, const char *text)
{
    size_t sent = 0;
    /* The client reads from the buffer only. */
    struct client_iov iov = {(void *)(uintptr_t)text, strlen(text)};
    OK(client_send(socket, &iov, 1, 0, NULL, &sent));
    NEED(sent == iov.len_bytes, "sent %zu bytes", sent);
}

/* A line, without its end. */
static void hear(struct client_socket *socket, char line[LINE_BYTES])
{
    size_t used = 0;
    do {
        size_t got = 0;
        struct client_iov iov = {line + used, LINE_BYTES - 1 - used};
        OK(client_recv(socket, &iov, 1, 0, NULL, &got));
        NEED(got > 0, "the peer ended");
        used += got;
    } while (line[used - 1] != '\n');
    line[used - 1] = '\0';
}

static void expect_local(struct client_socket *socket, const char *own)
{
    struct rs_addr name;
    char line[LINE_BYTES];
    OK(client_local_addr(socket, &name));
    write_name(&name, line);
    NEED(name.ip.v4_be32 == addr(own, 0).ip.v4_be32, "local address %s, not %s", line, own);
}

/* ---- steps ---- */

/* Of a NIC with several queues a bound socket connects only where its port leads to its queue. */
static struct client_socket *connected(enum rs_socket_type type, const char *bound_to,
                                       const struct rs_addr *to)
{
    for (uint32_t tries = 0; tries < PORT_TRIES; tries++) {
        struct client_socket *socket = make(type, bound_to, 0);
        enum rs_status status = client_connect(socket, to);
        if (status != RS_ADDR_NOT_AVAILABLE || type != RS_SOCK_STREAM) {
            OK(status);
            return socket;
        }
        OK(client_socket_close(socket));
    }
    NEED(false, "%u ports of %s do not do", PORT_TRIES, bound_to);
    return NULL;
}

/* The peer sees the source that we say we have. */
static void seen_as(enum rs_socket_type type, const char *bound_to, const char *peer,
                    const char *own)
{
    const struct rs_addr to = addr(peer, PEER_PORT);
    struct rs_addr name;
    char want[LINE_BYTES];
    char line[LINE_BYTES];
    struct client_socket *socket = connected(type, bound_to, &to);
    expect_local(socket, own);
    OK(client_local_addr(socket, &name));
    write_name(&name, want);
    say(socket, "who\n");
    hear(socket, line);
    NEED(strcmp(line, want) == 0, "%s saw '%s', not '%s'", peer, line, want);
    OK(client_socket_close(socket));
}

/* A datagram of a socket that is neither bound nor connected. */
static void sent_from(const char *peer, const char *own)
{
    struct rs_addr to = addr(peer, PEER_PORT);
    char line[LINE_BYTES];
    char want[LINE_BYTES];
    struct rs_addr name;
    size_t sent = 0;
    struct client_iov iov = {line, 1};
    struct client_socket *socket = make(RS_SOCK_DGRAM, ANY, OWN_PORT);
    line[0] = 'x';
    OK(client_send(socket, &iov, 1, 0, &to, &sent));
    hear(socket, line);
    name = addr(own, OWN_PORT);
    write_name(&name, want);
    NEED(strcmp(line, want) == 0, "%s saw '%s', not '%s'", peer, line, want);
    OK(client_socket_close(socket));
}

static struct client_socket *order(const char *peer, const char *what, const char *own)
{
    char line[LINE_BYTES];
    const struct rs_addr to = addr(peer, PEER_PORT);
    struct client_socket *control = make(RS_SOCK_STREAM, ANY, 0);
    OK(client_connect(control, &to));
    (void)snprintf(line, sizeof(line), "%s %s %u\n", what, own, OWN_PORT);
    say(control, line);
    return control;
}

static void expect_done(struct client_socket *control)
{
    char line[LINE_BYTES];
    hear(control, line);
    NEED(strcmp(line, "ok") == 0, "the peer says '%s'", line);
    OK(client_socket_close(control));
}

/* The peer connects to one of our addresses, where a socket of any listens. */
static void dialled(struct client_socket *listener, const char *peer, const char *own)
{
    char line[LINE_BYTES];
    size_t got = 0;
    struct client_iov iov = {line, 5};
    struct client_socket *accepted;
    struct client_socket *control = order(peer, "dial", own);
    OK(client_accept(listener, &accepted, NULL));
    expect_local(accepted, own);
    OK(client_recv(accepted, &iov, 1, CLIENT_MSG_WAITALL, NULL, &got));
    say(accepted, "hello");
    expect_done(control);
    OK(client_socket_close(accepted));
}

/* A datagram to one of our addresses. The answer goes by a socket that has the address. */
static void called_by_udp(const char *peer, const char *own)
{
    char line[LINE_BYTES];
    size_t got = 0;
    size_t sent = 0;
    struct client_iov iov = {line, sizeof(line)};
    struct client_recv_info info;
    struct client_socket *socket = make(RS_SOCK_DGRAM, ANY, OWN_PORT);
    OK(client_set_option(socket, RS_OPT_RECV_CONTROL, RS_CONTROL_ADDRESS));
    struct client_socket *control = order(peer, "udp", own);
    OK(client_recv(socket, &iov, 1, 0, &info, &got));
    NEED((info.flags & RS_DGRAM_EXT) != 0 && info.to_be32 == addr(own, 0).ip.v4_be32,
         "not known that it came to %s", own);
    iov.len_bytes = got;
    const struct client_send_control from = {.src_be32 = info.to_be32};
    OK(client_send_with(socket, &iov, 1, 0, &info.from, &from, &sent));
    expect_done(control);
    OK(client_socket_close(socket));
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fputs("usage: addresses_side PEER PEER_C OWN OWN_B OWN_C\n", stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    const char *peer = argv[1];
    const char *peer_c = argv[2];
    const char *own[] = {argv[3], argv[4], argv[5]};
    const struct client_config config = {.spin_us = -1, .yield_in_spin = -1};
    OK(client_open(&config, &client));
    for (uint32_t i = 0; i < 2; i++) {
        enum rs_socket_type type = i == 0 ? RS_SOCK_STREAM : RS_SOCK_DGRAM;
        seen_as(type, ANY, peer, own[0]);
        seen_as(type, ANY, peer_c, own[2]);
        seen_as(type, own[1], peer, own[1]);
        seen_as(type, own[1], peer_c, own[1]);
        seen_as(type, own[2], peer, own[2]);
        printf("ok %s: sources, unbound and bound\n", i == 0 ? "TCP" : "UDP");
    }
    sent_from(peer, own[0]);
    sent_from(peer_c, own[2]);
    printf("ok UDP: sources of sends without a peer\n");
    struct client_socket *listener = make(RS_SOCK_STREAM, ANY, OWN_PORT);
    OK(client_listen(listener, 8));
    for (uint32_t i = 0; i < 3; i++) {
        dialled(listener, peer, own[i]);
        dialled(listener, peer_c, own[i]);
        called_by_udp(peer, own[i]);
        called_by_udp(peer_c, own[i]);
    }
    OK(client_socket_close(listener));
    printf("ok the kernel reaches each of 3 addresses by TCP and UDP\n");
    client_close(client);
    printf("ok all\n");
    return 0;
}
