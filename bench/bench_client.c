/*
 * Benches through the whole path: portable client, shared memory, a real ringsockd on the loopback
 * NIC, and back. Sockets are connected and blocking; a blocking call spins. The second program of a
 * pair is this program started again
 * ("--echo-client").
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/child.h"
#include "bench/client_kit.h"
#include "bench/payload.h"
#include "bench/process.h"
#include "rings/byteorder.h"
#include "rings/os/os.h"

enum { CLIENT_WINDOW = 128, CLIENT_BATCH = 64, CLIENT_WARM_UP = 1000 };

/* ---- sockets ---- */

static enum rs_status client_make_socket(struct client *client, struct client_socket **out,
                                         struct rs_addr *local)
{
    const struct rs_addr any = rs_addr_v4(rs_be32(0x7f000001), 0);
    enum rs_status status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_DGRAM, out);
    if (status == RS_OK) {
        status = client_set_option(*out, CLIENT_OPT_RECV_TIMEOUT_MS, KIT_TIMEOUT_MS);
    }
    if (status == RS_OK) {
        status = client_bind(*out, &any);
    }
    return status == RS_OK ? client_local_addr(*out, local) : status;
}

/* client_close closes the sockets too. */
static bool client_pair(struct bench_context *context, struct client *client,
                        struct client_socket *sockets[2])
{
    struct rs_addr addrs[2];
    enum rs_status status = RS_OK;
    for (int i = 0; i < 2 && status == RS_OK; i++) {
        status = client_make_socket(client, &sockets[i], &addrs[i]);
    }
    for (int i = 0; i < 2 && status == RS_OK; i++) {
        status = client_connect(sockets[i], &addrs[1 - i]);
    }
    return status == RS_OK || kit_fail(context, "a pair of UDP sockets", status);
}

static enum rs_status client_put(struct client_socket *socket, uint64_t seq)
{
    struct payload payload;
    struct client_iov iov = {.base = &payload, .len_bytes = sizeof(payload)};
    size_t sent = 0;
    payload_fill(&payload, seq);
    return client_send(socket, &iov, 1, 0, NULL, &sent);
}

static enum rs_status client_get(struct client_socket *socket, uint64_t seq)
{
    struct payload payload;
    struct client_iov iov = {.base = &payload, .len_bytes = sizeof(payload)};
    size_t got = 0;
    enum rs_status status = client_recv(socket, &iov, 1, 0, NULL, &got);
    if (status == RS_OK && (got != sizeof(payload) || !payload_check(&payload, seq))) {
        return RS_CORRUPT;
    }
    return status;
}

/* ---- what is measured; each leaves the nanoseconds in *elapsed_ns ---- */

typedef enum rs_status client_work(struct client *client, struct client_socket *sockets[2],
                                   uint64_t iterations);

static enum rs_status client_work_ping(struct client *client, struct client_socket *sockets[2],
                                       uint64_t iterations)
{
    enum rs_status status = RS_OK;
    (void)sockets;
    for (uint64_t i = 0; i < iterations && status == RS_OK; i++) {
        status = client_ping(client);
    }
    return status;
}

static enum rs_status client_work_one_thread(struct client *client,
                                             struct client_socket *sockets[2], uint64_t iterations)
{
    enum rs_status status = RS_OK;
    (void)client;
    for (uint64_t i = 0; i < iterations && status == RS_OK; i++) {
        if ((status = client_put(sockets[0], i)) == RS_OK &&
            (status = client_get(sockets[1], i)) == RS_OK &&
            (status = client_put(sockets[1], i)) == RS_OK) {
            status = client_get(sockets[0], i);
        }
    }
    return status;
}

/* The send side stays half a window ahead; the same pattern as over the kernel. */
static enum rs_status client_work_messages(struct client *client, struct client_socket *sockets[2],
                                           uint64_t iterations)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    enum rs_status status = RS_OK;
    (void)client;
    while (received < iterations && status == RS_OK) {
        for (int i = 0; i < CLIENT_BATCH && sent < iterations && status == RS_OK; i++) {
            status = client_put(sockets[0], sent++);
        }
        uint64_t leave = sent < iterations ? CLIENT_WINDOW - CLIENT_BATCH : 0;
        while (sent - received > leave && status == RS_OK) {
            status = client_get(sockets[1], received++);
        }
    }
    return status;
}

static uint64_t client_measure(struct bench_context *context, uint64_t iterations,
                               client_work *work)
{
    struct kit kit;
    struct client_socket *sockets[2] = {NULL, NULL};
    uint64_t elapsed_ns = 0;
    if (!kit_open(context, BENCH_PROFILE_LATENCY, &kit)) {
        return 0;
    }
    if (!client_pair(context, kit.client, sockets)) {
        goto close_kit;
    }
    enum rs_status status = work(kit.client, sockets, CLIENT_WARM_UP);
    if (status == RS_OK) {
        uint64_t start_ns = os_monotonic_ns();
        status = work(kit.client, sockets, iterations);
        elapsed_ns = os_monotonic_ns() - start_ns;
    }
    if (status != RS_OK) {
        (void)kit_fail(context, "the measured loop", status);
        elapsed_ns = 0;
    }
    context->verified = iterations;
close_kit:
    return kit_close(context, &kit, elapsed_ns);
}

uint64_t bench_ping(struct bench_context *context, uint64_t iterations)
{
    return client_measure(context, iterations, client_work_ping);
}

uint64_t bench_udp_one_thread(struct bench_context *context, uint64_t iterations)
{
    return client_measure(context, iterations, client_work_one_thread);
}

uint64_t bench_udp_messages(struct bench_context *context, uint64_t iterations)
{
    return client_measure(context, iterations, client_work_messages);
}

/* ---- two programs ---- */

/* "--echo-client INSTANCE PORT CORE": sends back what comes from PORT until its starter ends it, or
 * until nothing came for the receive time-out. */
int child_echo_client(int argc, char **argv)
{
    struct client *client = NULL;
    struct client_socket *socket = NULL;
    struct rs_addr local;
    if (argc != 5 || os_thread_pin((uint32_t)strtoul(argv[4], NULL, 10)) != RS_OK) {
        return 2;
    }
    struct rs_addr starter =
        rs_addr_v4(rs_be32(0x7f000001), rs_be16((uint16_t)strtoul(argv[3], NULL, 10)));
    if (kit_attach(argv[2], &client) != RS_OK) {
        return 1;
    }
    struct payload payload = {{0}};
    struct client_iov iov = {.base = &payload, .len_bytes = 1};
    size_t bytes = 0;
    enum rs_status status = client_make_socket(client, &socket, &local);
    if (status == RS_OK) {
        status = client_connect(socket, &starter);
    }
    if (status == RS_OK) { /* tells the starter our address */
        status = client_send(socket, &iov, 1, 0, NULL, &bytes);
    }
    while (status == RS_OK) {
        iov.len_bytes = sizeof(payload);
        status = client_recv(socket, &iov, 1, 0, NULL, &bytes);
        if (status == RS_OK) {
            iov.len_bytes = bytes;
            status = client_send(socket, &iov, 1, 0, NULL, &bytes);
        }
    }
    client_close(client);
    return status == RS_TIMED_OUT || status == RS_DATAPLANE_GONE ? 0 : 1;
}

static bool client_start_echo(struct bench_context *context, const char *instance,
                              struct client_socket *socket, const struct rs_addr *local,
                              struct process *echo)
{
    char port_text[16];
    char core_text[16];
    (void)snprintf(port_text, sizeof(port_text), "%u", rs_be16(local->port_be16));
    /* Both programs take turns on the near processor, the poll loop has the far one. */
    (void)snprintf(core_text, sizeof(core_text), "%u", context->core_near);
    const char *argv[] = {context->program, "--echo-client", instance, port_text, core_text, NULL};
    if (!process_start(argv, echo, context->error, sizeof(context->error))) {
        return false;
    }
    char byte;
    struct client_iov iov = {.base = &byte, .len_bytes = 1};
    struct client_recv_info info;
    size_t got = 0;
    enum rs_status status = client_recv(socket, &iov, 1, 0, &info, &got);
    if (status == RS_OK) {
        status = client_connect(socket, &info.from);
    }
    if (status != RS_OK) {
        (void)kit_fail(context, "the echo program did not answer", status);
        (void)process_stop(echo);
        return false;
    }
    return true;
}

static enum rs_status client_work_echo(struct client_socket *socket, uint64_t iterations)
{
    enum rs_status status = RS_OK;
    for (uint64_t i = 0; i < iterations && status == RS_OK; i++) {
        status = client_put(socket, i);
        if (status == RS_OK) {
            status = client_get(socket, i);
        }
    }
    return status;
}

uint64_t bench_udp_two_programs(struct bench_context *context, uint64_t iterations)
{
    struct kit kit;
    struct client_socket *socket = NULL;
    struct process echo = {.handle = -1, .output = -1};
    struct rs_addr local;
    uint64_t elapsed_ns = 0;
    if (!kit_open(context, BENCH_PROFILE_SHARED, &kit)) {
        return 0;
    }
    enum rs_status status = client_make_socket(kit.client, &socket, &local);
    if (status != RS_OK) {
        (void)kit_fail(context, "socket", status);
        goto close_kit;
    }
    if (!client_start_echo(context, kit.dataplane.instance, socket, &local, &echo)) {
        goto close_kit;
    }
    status = client_work_echo(socket, CLIENT_WARM_UP);
    if (status == RS_OK) {
        uint64_t start_ns = os_monotonic_ns();
        status = client_work_echo(socket, iterations);
        elapsed_ns = os_monotonic_ns() - start_ns;
    }
    if (status != RS_OK) {
        (void)kit_fail(context, "UDP round trip between programs", status);
        elapsed_ns = 0;
    }
    context->verified = iterations;
    (void)process_stop(&echo);
close_kit:
    return kit_close(context, &kit, elapsed_ns);
}
