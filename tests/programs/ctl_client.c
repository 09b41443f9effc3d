/*
 * ctl_client INSTANCE: sockets in a known state for tests/programs/ctl, which looks at them with
 * ringsockctl. Prints a line when it is there, and goes on with each line of standard input: closes
 * the sockets, then ends. Addresses and numbers are those of tests/programs/ctl_check.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/client/client.h"
#include "rings/byteorder.h"

enum {
    OWN_IP = 0x0a4d0001,   /* 10.77.0.1 */
    GROUP = 0xef010203,    /* 239.1.2.3 */
    FAR_AWAY = 0xc0000201, /* 192.0.2.1: no route */
    UNREAD_PORT = 5001,
    CONNECTED_PORT,
    FULL_PORT,
    MEMBER_PORT,
    WRONG_PORT,
    LISTEN_PORT = 6000,
    BACKLOG = 4,
    SOCKETS = 5,
    STREAMS = 4,
    UNREAD = 5,
    UNREAD_BYTES = 100,
    FLOOD = 10
};

static struct client *client;

static void must(enum rs_status status, const char *what)
{
    if (status != RS_OK) {
        (void)fprintf(stderr, "ctl_client: %s: %s (%s)\n", what, rs_status_name(status),
                      client_last_error_text());
        exit(1);
    }
}

static struct client_socket *make_socket(uint32_t ip, uint16_t port)
{
    struct client_socket *socket = NULL;
    const struct rs_addr local = rs_addr_v4(rs_be32(ip), rs_be16(port));
    must(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &socket), "create");
    must(client_bind(socket, &local), "bind");
    return socket;
}

static void send_to(struct client_socket *socket, uint32_t ip, uint16_t port, size_t bytes)
{
    static char payload[1000];
    const struct client_iov iov = {.base = payload, .len_bytes = bytes};
    const struct rs_addr to = rs_addr_v4(rs_be32(ip), rs_be16(port));
    size_t sent = 0;
    must(client_send(socket, &iov, 1, 0, &to, &sent), "send");
}

/* The state that ctl_check.py knows. */
static void make_sockets(struct client_socket **sockets)
{
    const struct rs_addr peer = rs_addr_v4(rs_be32(OWN_IP), rs_be16(UNREAD_PORT));
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(GROUP)};
    sockets[0] = make_socket(OWN_IP, UNREAD_PORT);
    sockets[1] = make_socket(OWN_IP, CONNECTED_PORT);
    must(client_connect(sockets[1], &peer), "connect");
    sockets[2] = make_socket(0, FULL_PORT);
    must(client_set_option(sockets[2], RS_OPT_RCVBUF, 1), "SO_RCVBUF"); /* one datagram fits */
    sockets[3] = make_socket(0, MEMBER_PORT);
    must(client_member(sockets[3], &join), "join");
    sockets[4] = make_socket(0, WRONG_PORT);
    for (int i = 0; i < UNREAD; i++) {
        send_to(sockets[4], OWN_IP, UNREAD_PORT, UNREAD_BYTES);
    }
    for (int i = 0; i < FLOOD; i++) {
        send_to(sockets[4], OWN_IP, FULL_PORT, UNREAD_BYTES);
    }
    send_to(sockets[4], FAR_AWAY, UNREAD_PORT, UNREAD_BYTES);
    must(client_ping(client), "ping"); /* all that was posted has been taken */
}

/* A listener, a connection to it and its other end, which has bytes unread, and a connection that
 * nobody accepts. */
static void make_streams(struct client_socket **streams)
{
    const struct rs_addr to = rs_addr_v4(rs_be32(OWN_IP), rs_be16(LISTEN_PORT));
    const struct client_iov iov = {.base = "seven b", .len_bytes = 7};
    uint32_t waiting = 0;
    size_t sent = 0;
    for (int i = 0; i < STREAMS; i++) {
        if (i != 2) {
            must(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &streams[i]), "tcp");
        }
    }
    must(client_bind(streams[0], &to), "bind tcp");
    must(client_listen(streams[0], BACKLOG), "listen");
    must(client_connect(streams[1], &to), "connect tcp");
    must(client_accept(streams[0], &streams[2], NULL), "accept");
    must(client_send(streams[1], &iov, 1, 0, NULL, &sent), "send tcp");
    while (waiting == 0) { /* the test ends us if they never come */
        must(client_readable_bytes(streams[2], &waiting, NULL), "look");
    }
    must(client_connect(streams[3], &to), "connect tcp again");
}

static bool next_line(void)
{
    char line[16];
    return fgets(line, sizeof(line), stdin) != NULL;
}

int main(int argc, char **argv)
{
    struct client_socket *sockets[SOCKETS] = {NULL}, *streams[STREAMS] = {NULL};
    struct client_config config = {.spin_us = 20, .yield_in_spin = 1};
    if (argc != 2) {
        (void)fprintf(stderr, "usage: ctl_client INSTANCE\n");
        return 2;
    }
    config.instance = argv[1];
    must(client_open(&config, &client), "attach");
    make_sockets(sockets);
    make_streams(streams);
    printf("sockets are there\n");
    (void)fflush(stdout);
    if (!next_line()) {
        return 1;
    }
    for (int i = 0; i < SOCKETS; i++) {
        must(client_socket_close(sockets[i]), "close");
    }
    for (int i = 0; i < STREAMS; i++) {
        must(client_socket_close(streams[i]), "close tcp");
    }
    printf("sockets are closed\n");
    (void)fflush(stdout);
    if (!next_line()) {
        return 1;
    }
    client_close(client);
    printf("detached\n");
    return 0;
}
