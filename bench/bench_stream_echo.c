/*
 * Requests a second over thousands of connections: a client program has one request of 64 bytes
 * under way on each, a server program echoes. Both learn by client_poll over all their sockets what
 * is ready. They take turns on the near processor, the poll loop has the far one. The server is
 * this program started again ("--echo-server"). Main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/child.h"
#include "bench/client_kit.h"
#include "bench/payload.h"
#include "bench/process.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"

enum { ECHO_BACKLOG = 128, ECHO_START_MS = 10000 };

#define ECHO_WAIT_NS (KIT_TIMEOUT_MS * 1000000ull)

/* ---- the server program ---- */

struct echo_server {
    struct client *client;
    struct client_poll items[BENCH_CROWD + 1]; /* the listener is the first */
    uint32_t count;
    uint32_t closed;
};

static enum rs_status echo_server_accept(struct echo_server *server, uint32_t most)
{
    struct client_socket *socket = NULL;
    enum rs_status status = client_accept(server->items[0].socket, &socket, NULL);
    if (status == RS_OK && server->count <= most) {
        server->items[server->count++] =
            (struct client_poll){.socket = socket, .want = RS_LEVEL_READABLE};
    }
    return status;
}

/* What is there goes back; the end of the connection, or its reset, ends the socket. */
static enum rs_status echo_server_serve(struct echo_server *server, struct client_poll *item)
{
    uint8_t buffer[64];
    struct client_iov iov = {.base = buffer, .len_bytes = sizeof(buffer)};
    size_t bytes = 0;
    enum rs_status status = client_recv(item->socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &bytes);
    if (status == RS_WOULD_BLOCK) {
        return RS_OK;
    }
    if (status == RS_OK && bytes != 0) {
        iov.len_bytes = bytes;
        return client_send(item->socket, &iov, 1, 0, NULL, &bytes);
    }
    if (status == RS_OK || status == RS_CONN_RESET) {
        status = client_socket_close(item->socket);
        item->socket = NULL;
        server->closed++;
    }
    return status;
}

static enum rs_status echo_server_run(struct echo_server *server, uint32_t connections)
{
    enum rs_status status = RS_OK;
    while (status == RS_OK && server->closed < connections) {
        uint32_t ready = 0;
        status = client_poll(server->client, server->items, server->count, ECHO_WAIT_NS, &ready);
        if (status == RS_OK && ready == 0) {
            return RS_TIMED_OUT;
        }
        if (status == RS_OK && server->items[0].ready != 0) {
            status = echo_server_accept(server, connections);
        }
        for (uint32_t i = 1; i < server->count && status == RS_OK; i++) {
            if (server->items[i].ready != 0) {
                server->items[i].ready = 0;
                status = echo_server_serve(server, &server->items[i]);
            }
        }
    }
    return status;
}

/* "--echo-server INSTANCE CORE CONNECTIONS": says "port N", and serves until all are closed, or
 * nothing happened for the time-out. */
int child_echo_server(int argc, char **argv)
{
    static struct echo_server server;
    struct rs_addr addr;
    if (argc != 5 || os_thread_pin((uint32_t)strtoul(argv[3], NULL, 10)) != RS_OK) {
        return 2;
    }
    uint32_t connections = (uint32_t)strtoul(argv[4], NULL, 10);
    if (connections > BENCH_CROWD || kit_attach(argv[2], &server.client) != RS_OK) {
        return 1;
    }
    struct client_socket *listener = NULL;
    enum rs_status status = kit_listen(server.client, ECHO_BACKLOG, 0, &listener, &addr);
    if (status == RS_OK) {
        (void)printf("port %u\n", rs_be16(addr.port_be16));
        (void)fflush(stdout);
        server.items[0] = (struct client_poll){.socket = listener, .want = RS_LEVEL_READABLE};
        server.count = 1;
        status = echo_server_run(&server, connections);
    }
    client_close(server.client);
    return status == RS_OK ? 0 : 1;
}

/* ---- the client program ---- */

struct echo_connection {
    uint64_t next; /* number of the request under way */
    size_t have;   /* bytes of its answer */
    struct payload payload;
};

struct echo_client {
    struct client *client;
    uint32_t connections;
    struct client_poll items[BENCH_CROWD];
    struct echo_connection states[BENCH_CROWD];
};

static uint64_t echo_seq(uint32_t connection, uint64_t number)
{
    return (uint64_t)connection << 32 | number;
}

/* A batch at a time, and each is used once: so the server has accepted it. */
static enum rs_status echo_connect(struct echo_client *self, const struct rs_addr *to)
{
    for (uint32_t first = 0; first < self->connections; first += BENCH_CONNECT_BATCH) {
        uint32_t left = self->connections - first;
        uint32_t end = first + (left < BENCH_CONNECT_BATCH ? left : BENCH_CONNECT_BATCH);
        enum rs_status status = RS_OK;
        for (uint32_t i = first; i < end && status == RS_OK; i++) {
            self->items[i].want = RS_LEVEL_READABLE;
            if ((status = kit_stream(self->client, &self->items[i].socket)) == RS_OK &&
                (status = client_connect(self->items[i].socket, to)) == RS_OK) {
                status = kit_put(self->items[i].socket, echo_seq(i, 0));
            }
        }
        for (uint32_t i = first; i < end && status == RS_OK; i++) {
            status = kit_get(self->items[i].socket, echo_seq(i, 0));
            self->states[i] = (struct echo_connection){.next = 1};
        }
        if (status != RS_OK) {
            return status;
        }
    }
    return RS_OK;
}

/* What has come of an answer. Complete, it is checked; *answered counts it. */
static enum rs_status echo_take(struct echo_client *self, uint32_t i, uint64_t *answered)
{
    struct echo_connection *state = &self->states[i];
    struct client_iov iov = {.base = (uint8_t *)&state->payload + state->have,
                             .len_bytes = sizeof(state->payload) - state->have};
    size_t got = 0;
    enum rs_status status =
        client_recv(self->items[i].socket, &iov, 1, CLIENT_MSG_DONTWAIT, NULL, &got);
    if (status != RS_OK) {
        return status == RS_WOULD_BLOCK ? RS_OK : status;
    }
    state->have += got;
    if (got == 0) {
        return RS_CORRUPT; /* the end, too early */
    }
    if (state->have < sizeof(state->payload)) {
        return RS_OK;
    }
    if (!payload_check(&state->payload, echo_seq(i, state->next))) {
        return RS_CORRUPT;
    }
    state->have = 0;
    state->next++;
    (*answered)++;
    return RS_OK;
}

/* As many requests as `requests`, over all connections. Each has one under way until enough are. */
static enum rs_status echo_run(struct echo_client *self, uint64_t requests)
{
    uint64_t asked = 0;
    uint64_t answered = 0;
    enum rs_status status = RS_OK;
    for (uint32_t i = 0; i < self->connections && asked < requests && status == RS_OK; i++) {
        status = kit_put(self->items[i].socket, echo_seq(i, self->states[i].next));
        asked++;
    }
    while (answered < requests && status == RS_OK) {
        uint32_t ready = 0;
        status = client_poll(self->client, self->items, self->connections, ECHO_WAIT_NS, &ready);
        if (status == RS_OK && ready == 0) {
            return RS_TIMED_OUT;
        }
        for (uint32_t i = 0; i < self->connections && status == RS_OK && ready != 0; i++) {
            if (self->items[i].ready == 0) {
                continue;
            }
            uint64_t before = answered;
            ready--;
            status = echo_take(self, i, &answered);
            if (status == RS_OK && answered != before && asked < requests) {
                status = kit_put(self->items[i].socket, echo_seq(i, self->states[i].next));
                asked++;
            }
        }
    }
    return status;
}

static bool echo_start(struct bench_context *context, const struct kit *kit, uint32_t connections,
                       struct process *server, struct rs_addr *addr)
{
    char core[16];
    char count[16];
    uint32_t port = 0;
    (void)snprintf(core, sizeof(core), "%u", context->core_near);
    (void)snprintf(count, sizeof(count), "%u", connections);
    const char *argv[] = {
        context->program, "--echo-server", kit->dataplane.instance, core, count, NULL};
    if (!process_start(argv, server, context->error, sizeof(context->error))) {
        return false;
    }
    if (!process_wait_number(server, "port ", ECHO_START_MS, &port)) {
        (void)process_stop(server);
        return kit_fail(context, "the echo server did not start", RS_TIMED_OUT);
    }
    *addr = rs_addr_v4(rs_be32(0x7f000001), rs_be16((uint16_t)port));
    return true;
}

uint64_t bench_tcp_echo(struct bench_context *context, uint64_t iterations)
{
    static struct echo_client self;
    struct kit kit;
    struct process server = {.handle = -1, .output = -1};
    struct rs_addr addr;
    uint64_t elapsed_ns = 0;
    if (!kit_open(context, BENCH_PROFILE_CROWD, &kit)) {
        return 0;
    }
    memset(&self, 0, sizeof(self));
    self.client = kit.client;
    self.connections = bench_crowd(iterations);
    if (echo_start(context, &kit, self.connections, &server, &addr)) {
        enum rs_status status = echo_connect(&self, &addr);
        if (status == RS_OK) {
            uint64_t start_ns = os_monotonic_ns();
            status = echo_run(&self, iterations);
            elapsed_ns = os_monotonic_ns() - start_ns;
        }
        if (status != RS_OK) {
            (void)kit_fail(context, "echo over many connections", status);
            elapsed_ns = 0;
        }
        context->verified = iterations;
        (void)process_stop(&server);
    }
    return kit_close(context, &kit, elapsed_ns);
}
