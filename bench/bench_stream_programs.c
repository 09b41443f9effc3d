/*
 * A round trip over a connection between two programs: both take turns on the near processor, the
 * poll loop has the far one. The second program is this one started again ("--stream-client"). Main
 * thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/child.h"
#include "bench/client_kit.h"
#include "bench/process.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"

enum { PROGRAMS_WARM_UP = 1000 };

/* "--stream-client INSTANCE PORT CORE": connects to PORT and sends back what comes until the end of
 * the connection, or until nothing came for the receive time-out. */
int child_stream_client(int argc, char **argv)
{
    struct client *client = NULL;
    struct client_socket *socket = NULL;
    if (argc != 5 || os_thread_pin((uint32_t)strtoul(argv[4], NULL, 10)) != RS_OK) {
        return 2;
    }
    const struct rs_addr starter =
        rs_addr_v4(rs_be32(0x7f000001), rs_be16((uint16_t)strtoul(argv[3], NULL, 10)));
    if (kit_attach(argv[2], &client) != RS_OK) {
        return 1;
    }
    enum rs_status status = kit_stream(client, &socket);
    if (status == RS_OK) {
        status = client_connect(socket, &starter);
    }
    size_t bytes = 1;
    while (status == RS_OK && bytes != 0) {
        uint8_t buffer[64];
        struct client_iov iov = {.base = buffer, .len_bytes = sizeof(buffer)};
        status = client_recv(socket, &iov, 1, 0, NULL, &bytes);
        if (status == RS_OK && bytes != 0) {
            iov.len_bytes = bytes;
            status = client_send(socket, &iov, 1, 0, NULL, &bytes);
        }
    }
    client_close(client);
    return status == RS_OK || status == RS_TIMED_OUT || status == RS_CONN_RESET ? 0 : 1;
}

/* Starts the echo program and takes its connection. False: context->error. */
static bool programs_start(struct bench_context *context, struct kit *kit, struct process *echo,
                           struct client_socket **out)
{
    struct client_socket *listener = NULL;
    struct rs_addr addr;
    char port[16];
    char core[16];
    uint32_t ready = 0;
    enum rs_status status = kit_listen(kit->client, 1, 0, &listener, &addr);
    if (status != RS_OK) {
        return kit_fail(context, "a listener", status);
    }
    (void)snprintf(port, sizeof(port), "%u", rs_be16(addr.port_be16));
    (void)snprintf(core, sizeof(core), "%u", context->core_near);
    const char *argv[] = {
        context->program, "--stream-client", kit->dataplane.instance, port, core, NULL};
    if (!process_start(argv, echo, context->error, sizeof(context->error))) {
        return false;
    }
    struct client_poll item = {.socket = listener, .want = RS_LEVEL_READABLE};
    status = client_poll(kit->client, &item, 1, KIT_TIMEOUT_MS * 1000000ull, &ready);
    if (status == RS_OK) {
        status = ready != 0 ? client_accept(listener, out, NULL) : RS_TIMED_OUT;
    }
    if (status != RS_OK) {
        (void)process_stop(echo);
        return kit_fail(context, "the echo program did not connect", status);
    }
    return true;
}

static enum rs_status programs_work(struct client_socket *socket, uint64_t iterations)
{
    enum rs_status status = RS_OK;
    for (uint64_t i = 0; i < iterations && status == RS_OK; i++) {
        status = kit_put(socket, i);
        if (status == RS_OK) {
            status = kit_get(socket, i);
        }
    }
    return status;
}

uint64_t bench_tcp_two_programs(struct bench_context *context, uint64_t iterations)
{
    struct kit kit;
    struct process echo = {.handle = -1, .output = -1};
    struct client_socket *socket = NULL;
    uint64_t elapsed_ns = 0;
    if (!kit_open(context, BENCH_PROFILE_SHARED, &kit)) {
        return 0;
    }
    if (programs_start(context, &kit, &echo, &socket)) {
        enum rs_status status = programs_work(socket, PROGRAMS_WARM_UP);
        if (status == RS_OK) {
            uint64_t start_ns = os_monotonic_ns();
            status = programs_work(socket, iterations);
            elapsed_ns = os_monotonic_ns() - start_ns;
        }
        if (status != RS_OK) {
            (void)kit_fail(context, "TCP round trip between programs", status);
            elapsed_ns = 0;
        }
        context->verified = iterations;
        (void)process_stop(&echo);
    }
    return kit_close(context, &kit, elapsed_ns);
}
