/*
 * spin_calls INSTANCE COUNT: COUNT times a send, a wait for readiness and a receive between two
 * sockets of one thread, over the portable client, between two markers. The system-call proof
 * counts what the thread asked of the kernel in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/client/client.h"
#include "rings/byteorder.h"
#include "tests/programs/spin_calls.h"

enum { WARM_UP = 1000, TIMEOUT_MS = 20000 };

static struct client *client;

static enum rs_status make_socket(struct client_socket **out, struct rs_addr *local)
{
    const struct rs_addr any = rs_addr_v4(rs_be32(0x7f000001), 0);
    enum rs_status status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, out);
    if (status == RS_OK) {
        status = client_set_option(*out, CLIENT_OPT_RECV_TIMEOUT_MS, TIMEOUT_MS);
    }
    if (status == RS_OK) {
        status = client_bind(*out, &any);
    }
    return status == RS_OK ? client_local_addr(*out, local) : status;
}

static enum rs_status one_round(struct client_socket *from, struct client_socket *to, uint64_t seq)
{
    uint64_t out[8] = {seq, ~seq};
    uint64_t in[8] = {0};
    struct client_iov iov = {.base = out, .len_bytes = sizeof(out)};
    struct client_poll item = {.socket = to, .want = RS_LEVEL_READABLE};
    size_t bytes = 0;
    uint32_t ready = 0;
    enum rs_status status = client_send(from, &iov, 1, 0, NULL, &bytes);
    if (status == RS_OK) {
        status = client_poll(client, &item, 1, (uint64_t)TIMEOUT_MS * 1000000u, &ready);
    }
    if (status != RS_OK || ready != 1) {
        return status != RS_OK ? status : RS_TIMED_OUT;
    }
    iov.base = in;
    status = client_recv(to, &iov, 1, 0, NULL, &bytes);
    return status == RS_OK && memcmp(in, out, sizeof(in)) != 0 ? RS_CORRUPT : status;
}

int main(int argc, char **argv)
{
    struct client_socket *sockets[2] = {NULL, NULL};
    struct rs_addr addrs[2];
    struct client_config config = {.spin_us = -1, .yield_in_spin = -1};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: spin_calls INSTANCE COUNT\n");
        return 2;
    }
    config.instance = argv[1];
    uint64_t count = strtoull(argv[2], NULL, 10);
    enum rs_status status = client_open(&config, &client);
    if (status != RS_OK) {
        (void)fprintf(stderr, "client_open: %s\n", client_last_error_text());
        return 1;
    }
    for (int i = 0; i < 2 && status == RS_OK; i++) {
        status = make_socket(&sockets[i], &addrs[i]);
    }
    if (status == RS_OK) {
        status = client_connect(sockets[0], &addrs[1]);
    }
    for (uint64_t i = 0; i < WARM_UP && status == RS_OK; i++) {
        status = one_round(sockets[0], sockets[1], i);
    }
    spin_calls_mark(SPIN_CALLS_START);
    spin_calls_mark(SPIN_CALLS_BEGIN);
    for (uint64_t i = 0; i < count && status == RS_OK; i++) {
        status = one_round(sockets[0], sockets[1], i);
    }
    spin_calls_mark(SPIN_CALLS_END);
    client_close(client);
    if (status != RS_OK) {
        (void)fprintf(stderr, "spin_calls: %s\n", rs_status_name(status));
        return 1;
    }
    (void)printf("done: %llu rounds\n", (unsigned long long)count);
    return 0;
}
