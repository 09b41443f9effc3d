/*
 * Benches of connections between sockets of one thread, through the portable client and a real
 * ringsockd: round trip, messages, bulk, and connections opened and closed. What goes over the
 * kernel's loopback beside it is in bench_kernel_stream_posix.c. Main thread.
 */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/bulk.h"
#include "bench/client_kit.h"
#include "rings/os/os.h"

enum {
    STREAM_WINDOW = 128,
    STREAM_BATCH = 64,
    STREAM_WARM_UP = 1000,
    STREAM_BULK_RING_BYTES = 256 * 1024
};

/* ---- one connection ---- */

typedef enum rs_status stream_work(struct client_socket *ends[2], uint64_t iterations);

static enum rs_status stream_work_one_thread(struct client_socket *ends[2], uint64_t iterations)
{
    enum rs_status status = RS_OK;
    for (uint64_t i = 0; i < iterations && status == RS_OK; i++) {
        if ((status = kit_put(ends[0], i)) == RS_OK && (status = kit_get(ends[1], i)) == RS_OK &&
            (status = kit_put(ends[1], i)) == RS_OK) {
            status = kit_get(ends[0], i);
        }
    }
    return status;
}

/* As with datagrams: the sender stays half a window ahead. */
static enum rs_status stream_work_messages(struct client_socket *ends[2], uint64_t iterations)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    enum rs_status status = RS_OK;
    while (received < iterations && status == RS_OK) {
        for (int i = 0; i < STREAM_BATCH && sent < iterations && status == RS_OK; i++) {
            status = kit_put(ends[0], sent++);
        }
        uint64_t leave = sent < iterations ? STREAM_WINDOW - STREAM_BATCH : 0;
        while (sent - received > leave && status == RS_OK) {
            status = kit_get(ends[1], received++);
        }
    }
    return status;
}

/* What one call did not take, the next one goes on with. Neither call blocks; the thread has both
 * ends. */
static enum rs_status stream_work_bulk(struct client_socket *ends[2], uint64_t iterations)
{
    static uint8_t block[BULK_BLOCK_BYTES];
    const uint64_t total = iterations * BULK_BLOCK_BYTES;
    const uint64_t deadline_ns = os_monotonic_ns() + 60000000000u;
    uint64_t sent = 0;
    uint64_t received = 0;
    while (received < total) {
        size_t done = 0;
        if (sent < total) {
            struct client_iov out = {.base = (void *)(uintptr_t)bulk_at(sent),
                                     .len_bytes = bulk_bytes(sent, total)};
            enum rs_status status = client_send(ends[0], &out, 1, CLIENT_MSG_DONTWAIT, NULL, &done);
            if (status != RS_OK && status != RS_WOULD_BLOCK) {
                return status;
            }
            sent += done;
        }
        struct client_iov in = {.base = block, .len_bytes = bulk_bytes(received, total)};
        enum rs_status status = client_recv(ends[1], &in, 1, CLIENT_MSG_DONTWAIT, NULL, &done);
        if (status == RS_OK) {
            if (done == 0 || !bulk_check(block, received, done)) {
                return RS_CORRUPT;
            }
            received += done;
        } else if (status != RS_WOULD_BLOCK) {
            return status;
        } else if (os_monotonic_ns() > deadline_ns) {
            return RS_TIMED_OUT;
        }
    }
    return RS_OK;
}

static uint64_t stream_measure(struct bench_context *context, uint64_t iterations,
                               uint32_t buffer_bytes, stream_work *work)
{
    struct kit kit;
    struct client_socket *ends[2] = {NULL, NULL};
    uint64_t elapsed_ns = 0;
    if (!kit_open(context, BENCH_PROFILE_LATENCY, &kit)) {
        return 0;
    }
    enum rs_status status = kit_pair(kit.client, buffer_bytes, ends);
    if (status == RS_OK) {
        status = work(ends, STREAM_WARM_UP);
    }
    if (status == RS_OK) {
        uint64_t start_ns = os_monotonic_ns();
        status = work(ends, iterations);
        elapsed_ns = os_monotonic_ns() - start_ns;
    }
    if (status != RS_OK) {
        (void)kit_fail(context, "a connection of one thread", status);
        elapsed_ns = 0;
    }
    context->verified = iterations;
    return kit_close(context, &kit, elapsed_ns);
}

uint64_t bench_tcp_one_thread(struct bench_context *context, uint64_t iterations)
{
    return stream_measure(context, iterations, 0, stream_work_one_thread);
}

uint64_t bench_tcp_messages(struct bench_context *context, uint64_t iterations)
{
    return stream_measure(context, iterations, 0, stream_work_messages);
}

uint64_t bench_tcp_bulk(struct bench_context *context, uint64_t iterations)
{
    return stream_measure(context, iterations, STREAM_BULK_RING_BYTES, stream_work_bulk);
}

/* ---- connections a second ---- */

static enum rs_status stream_open_batch(struct client *client, const struct rs_addr *to,
                                        struct client_socket *ends[], uint64_t count,
                                        uint64_t first)
{
    enum rs_status status = RS_OK;
    for (uint64_t i = 0; i < count && status == RS_OK; i++) {
        ends[i] = NULL;
        if ((status = kit_stream(client, &ends[i])) == RS_OK) {
            status = client_connect(ends[i], to);
        }
    }
    for (uint64_t i = 0; i < count && status == RS_OK; i++) {
        status = kit_put(ends[i], first + i);
    }
    return status;
}

/* Connections are accepted in the order in which they were made. */
static enum rs_status stream_serve_batch(struct client_socket *listener, uint64_t count,
                                         uint64_t first)
{
    enum rs_status status = RS_OK;
    for (uint64_t i = 0; i < count && status == RS_OK; i++) {
        struct client_socket *end = NULL;
        if ((status = client_accept(listener, &end, NULL)) == RS_OK &&
            (status = kit_get(end, first + i)) == RS_OK &&
            (status = kit_put(end, first + i)) == RS_OK) {
            status = client_socket_close(end);
        }
    }
    return status;
}

/* BENCH_CONNECT_BATCH at a time are opened, used once there and back, and closed. */
static enum rs_status stream_work_connections(struct client *client, struct client_socket *listener,
                                              const struct rs_addr *to, uint64_t iterations)
{
    struct client_socket *ends[BENCH_CONNECT_BATCH];
    enum rs_status status = RS_OK;
    for (uint64_t first = 0; first < iterations && status == RS_OK; first += BENCH_CONNECT_BATCH) {
        uint64_t left = iterations - first;
        uint64_t count = left < BENCH_CONNECT_BATCH ? left : BENCH_CONNECT_BATCH;
        if ((status = stream_open_batch(client, to, ends, count, first)) != RS_OK ||
            (status = stream_serve_batch(listener, count, first)) != RS_OK) {
            return status;
        }
        for (uint64_t i = 0; i < count && status == RS_OK; i++) {
            if ((status = kit_get(ends[i], first + i)) == RS_OK) {
                status = client_socket_close(ends[i]);
            }
        }
    }
    return status;
}

uint64_t bench_tcp_connections(struct bench_context *context, uint64_t iterations)
{
    struct kit kit;
    struct client_socket *listener = NULL;
    struct rs_addr addr;
    uint64_t elapsed_ns = 0;
    if (!kit_open(context, BENCH_PROFILE_LATENCY, &kit)) {
        return 0;
    }
    enum rs_status status = kit_listen(kit.client, 2 * BENCH_CONNECT_BATCH, 0, &listener, &addr);
    if (status == RS_OK) {
        status = stream_work_connections(kit.client, listener, &addr, STREAM_WARM_UP);
    }
    if (status == RS_OK) {
        uint64_t start_ns = os_monotonic_ns();
        status = stream_work_connections(kit.client, listener, &addr, iterations);
        elapsed_ns = os_monotonic_ns() - start_ns;
    }
    if (status != RS_OK) {
        (void)kit_fail(context, "connections, one after the other", status);
        elapsed_ns = 0;
    }
    context->verified = iterations;
    return kit_close(context, &kit, elapsed_ns);
}
