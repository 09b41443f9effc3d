/*
 * capture_client INSTANCE: traffic of known bytes for tests/programs/capture, which has ringsockctl
 * record it. Each line of standard input asks for something, is answered with a line when all of it
 * has arrived, and its numbers are those of tests/programs/capture_check.py.
 *
 *   traffic  datagrams of all lengths, a multicast, a connection with bytes both ways that both
 *            ends close, one that is reset, one that is refused
 *   flood    more datagrams than a capture's ring holds
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/client/client.h"
#include "rings/byteorder.h"

enum {
    OWN_IP = 0x0a4d0001, /* 10.77.0.1 */
    GROUP = 0xef010203,  /* 239.1.2.3 */
    SEND_PORT = 17001,
    RECV_PORT,
    LISTEN_PORT,
    NOBODY_PORT,
    STREAM_BYTES = 300000,
    BACK_BYTES = 200001,
    FLOOD = 2000,
    FLOOD_BYTES = 32000
};

static const size_t lengths[] = {0, 1, 40, 41, 500, 1400, 9000, 65507};

static struct client *client;
static uint8_t data[STREAM_BYTES], got[STREAM_BYTES];

static void must(enum rs_status status, const char *what)
{
    if (status != RS_OK) {
        (void)fprintf(stderr, "capture_client: %s: %s (%s)\n", what, rs_status_name(status),
                      client_last_error_text());
        exit(1);
    }
}

/* What capture_check.py expects of the number-th datagram or stream. */
static void fill(uint32_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 8) + number * 17);
    }
}

static struct client_socket *make(uint8_t type, uint16_t port)
{
    struct client_socket *socket = NULL;
    const struct rs_addr local = rs_addr_v4(rs_be32(OWN_IP), rs_be16(port));
    must(client_socket_create(client, RS_FAMILY_IPV4, type, &socket), "create");
    must(client_bind(socket, &local), "bind");
    return socket;
}

static void send_all(struct client_socket *socket, size_t bytes, const struct rs_addr *to)
{
    const struct client_iov iov = {.base = data, .len_bytes = bytes};
    size_t sent = 0;
    must(client_send(socket, &iov, 1, 0, to, &sent), "send");
}

static void receive(struct client_socket *socket, size_t bytes)
{
    const struct client_iov iov = {.base = got, .len_bytes = sizeof(got)};
    size_t received = 0;
    must(client_recv(socket, &iov, 1, 0, NULL, &received), "receive");
    if (received != bytes || memcmp(got, data, bytes) != 0) {
        must(RS_CORRUPT, "datagram");
    }
}

static void datagrams(void)
{
    struct client_socket *sender = make(RS_SOCK_DGRAM, SEND_PORT);
    struct client_socket *receiver = make(RS_SOCK_DGRAM, RECV_PORT);
    const struct rs_addr to = rs_addr_v4(rs_be32(OWN_IP), rs_be16(RECV_PORT));
    const struct rs_addr group = rs_addr_v4(rs_be32(GROUP), rs_be16(RECV_PORT));
    const struct rs_op_member join = {.action = RS_MEMBER_JOIN, .group_be32 = rs_be32(GROUP)};
    const uint32_t count = sizeof(lengths) / sizeof(lengths[0]);
    struct client_socket *member = NULL;
    for (uint32_t i = 0; i < count; i++) {
        fill(i, lengths[i]);
        send_all(sender, lengths[i], &to);
        receive(receiver, lengths[i]);
    }
    must(client_socket_close(receiver), "close");
    must(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, &member), "create");
    const struct rs_addr any = rs_addr_v4(0, rs_be16(RECV_PORT));
    must(client_bind(member, &any), "bind");
    must(client_member(member, &join), "join");
    fill(count, 100);
    send_all(sender, 100, &group);
    receive(member, 100);
    must(client_socket_close(member), "close");
    must(client_socket_close(sender), "close");
}

static struct client_socket *connect_to(uint16_t port, enum rs_status expected)
{
    struct client_socket *socket = NULL;
    const struct rs_addr to = rs_addr_v4(rs_be32(OWN_IP), rs_be16(port));
    must(client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, &socket), "create");
    enum rs_status status = client_connect(socket, &to);
    if (status != expected) {
        must(status != RS_OK ? status : RS_CORRUPT, "connect");
    }
    return socket;
}

/* One end writes as there is room, the other reads. */
static void stream(struct client_socket *from, struct client_socket *to, uint32_t number,
                   size_t bytes)
{
    size_t written = 0, read = 0;
    fill(number, bytes);
    while (read < bytes) {
        size_t count = 0;
        const struct client_iov out = {.base = data + written, .len_bytes = bytes - written};
        const struct client_iov in = {.base = got + read, .len_bytes = bytes - read};
        if (written < bytes) {
            enum rs_status status = client_send(from, &out, 1, CLIENT_MSG_DONTWAIT, NULL, &count);
            written += count;
            must(status == RS_WOULD_BLOCK ? RS_OK : status, "send");
        }
        /* Room for the rest may come without a byte to read. */
        enum rs_status status =
            client_recv(to, &in, 1, written < bytes ? CLIENT_MSG_DONTWAIT : 0, NULL, &count);
        must(status == RS_WOULD_BLOCK ? RS_OK : status, "receive");
        read += status == RS_OK ? count : 0;
    }
    if (memcmp(got, data, bytes) != 0) {
        must(RS_CORRUPT, "stream");
    }
}

static void expect_end(struct client_socket *socket)
{
    const struct client_iov iov = {.base = got, .len_bytes = 1};
    size_t count = 1;
    must(client_recv(socket, &iov, 1, 0, NULL, &count), "end");
    if (count != 0) {
        must(RS_CORRUPT, "end");
    }
}

static void connections(void)
{
    struct client_socket *listener = make(RS_SOCK_STREAM, LISTEN_PORT);
    struct client_socket *server = NULL;
    must(client_listen(listener, 5), "listen");
    struct client_socket *socket = connect_to(LISTEN_PORT, RS_OK);
    must(client_accept(listener, &server, NULL), "accept");
    stream(socket, server, 100, STREAM_BYTES);
    stream(server, socket, 101, BACK_BYTES);
    must(client_shutdown(socket, CLIENT_SHUT_SEND), "shutdown");
    expect_end(server);
    must(client_socket_close(server), "close");
    expect_end(socket);
    must(client_socket_close(socket), "close");
    socket = connect_to(LISTEN_PORT, RS_OK);
    must(client_accept(listener, &server, NULL), "accept");
    must(client_set_option(socket, CLIENT_OPT_LINGER_MS, 0), "linger");
    must(client_socket_close(socket), "close");
    must(client_socket_close(server), "close");
    must(client_socket_close(listener), "close");
    must(client_socket_close(connect_to(NOBODY_PORT, RS_CONN_REFUSED)), "close");
}

static void flood(void)
{
    struct client_socket *sender = make(RS_SOCK_DGRAM, SEND_PORT);
    struct client_socket *receiver = make(RS_SOCK_DGRAM, RECV_PORT);
    const struct rs_addr to = rs_addr_v4(rs_be32(OWN_IP), rs_be16(RECV_PORT));
    fill(0, FLOOD_BYTES);
    for (int i = 0; i < FLOOD; i++) {
        send_all(sender, FLOOD_BYTES, &to);
        receive(receiver, FLOOD_BYTES);
    }
    must(client_socket_close(receiver), "close");
    must(client_socket_close(sender), "close");
}

int main(int argc, char **argv)
{
    struct client_config config = {.spin_us = 20, .yield_in_spin = 1};
    char line[32];
    if (argc != 2) {
        (void)fprintf(stderr, "usage: capture_client INSTANCE\n");
        return 2;
    }
    config.instance = argv[1];
    must(client_open(&config, &client), "attach");
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strncmp(line, "flood", 5) == 0) {
            flood();
        } else {
            datagrams();
            connections();
        }
        must(client_ping(client), "ping");
        printf("done\n");
        (void)fflush(stdout);
    }
    client_close(client);
    return 0;
}
