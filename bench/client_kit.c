/* What the benches over the portable client share, see client_kit.h. */
#include "bench/client_kit.h"

#include <stdio.h>

#include "bench/payload.h"
#include "rings/byteorder.h"

bool kit_fail(struct bench_context *context, const char *call, enum rs_status status)
{
    (void)snprintf(context->error, sizeof(context->error), "%s: %s %s", call,
                   rs_status_name(status), client_last_error_text());
    return false;
}

enum rs_status kit_attach(const char *instance, struct client **out)
{
    const struct client_config config = {.instance = instance, .spin_us = -1, .yield_in_spin = -1};
    return client_open(&config, out);
}

bool kit_open(struct bench_context *context, enum bench_profile profile, struct kit *kit)
{
    if (!bench_dataplane_start(context, profile, &kit->dataplane)) {
        return false;
    }
    enum rs_status status = kit_attach(kit->dataplane.instance, &kit->client);
    if (status != RS_OK) {
        (void)kit_fail(context, "client_open", status);
        (void)bench_dataplane_stop(context, &kit->dataplane);
        return false;
    }
    return true;
}

uint64_t kit_close(struct bench_context *context, struct kit *kit, uint64_t elapsed_ns)
{
    client_close(kit->client);
    return bench_dataplane_stop(context, &kit->dataplane) ? elapsed_ns : 0;
}

/* ---- stream sockets ---- */

enum rs_status kit_stream(struct client *client, struct client_socket **out)
{
    enum rs_status status = client_socket_create(client, RS_FAMILY_IPV4, RS_SOCK_STREAM, out);
    if (status == RS_OK) {
        status = client_set_option(*out, RS_OPT_NODELAY, 1);
    }
    if (status == RS_OK) {
        status = client_set_option(*out, CLIENT_OPT_RECV_TIMEOUT_MS, KIT_TIMEOUT_MS);
    }
    return status;
}

enum rs_status kit_stream_buffers(struct client_socket *socket, uint32_t bytes)
{
    if (bytes == 0) {
        return RS_OK;
    }
    enum rs_status status = client_set_option(socket, RS_OPT_SNDBUF, bytes);
    return status == RS_OK ? client_set_option(socket, RS_OPT_RCVBUF, bytes) : status;
}

enum rs_status kit_listen(struct client *client, uint32_t backlog, uint32_t buffer_bytes,
                          struct client_socket **out, struct rs_addr *addr)
{
    const struct rs_addr any_port = rs_addr_v4(rs_be32(0x7f000001), 0);
    enum rs_status status = kit_stream(client, out);
    if (status == RS_OK) {
        status = kit_stream_buffers(*out, buffer_bytes);
    }
    if (status == RS_OK) {
        status = client_bind(*out, &any_port);
    }
    if (status == RS_OK) {
        status = client_listen(*out, backlog);
    }
    return status == RS_OK ? client_local_addr(*out, addr) : status;
}

enum rs_status kit_pair(struct client *client, uint32_t buffer_bytes, struct client_socket *ends[2])
{
    struct client_socket *listener = NULL;
    struct rs_addr addr;
    enum rs_status status = kit_listen(client, 1, buffer_bytes, &listener, &addr);
    if (status == RS_OK) {
        status = kit_stream(client, &ends[0]);
    }
    if (status == RS_OK) {
        status = kit_stream_buffers(ends[0], buffer_bytes);
    }
    if (status == RS_OK) {
        status = client_connect(ends[0], &addr);
    }
    return status == RS_OK ? client_accept(listener, &ends[1], NULL) : status;
}

enum rs_status kit_put(struct client_socket *socket, uint64_t seq)
{
    struct payload payload;
    struct client_iov iov = {.base = &payload, .len_bytes = sizeof(payload)};
    size_t sent = 0;
    payload_fill(&payload, seq);
    return client_send(socket, &iov, 1, 0, NULL, &sent);
}

enum rs_status kit_get(struct client_socket *socket, uint64_t seq)
{
    struct payload payload;
    size_t have = 0;
    while (have < sizeof(payload)) {
        struct client_iov iov = {.base = (uint8_t *)&payload + have,
                                 .len_bytes = sizeof(payload) - have};
        size_t got = 0;
        enum rs_status status = client_recv(socket, &iov, 1, 0, NULL, &got);
        if (status != RS_OK) {
            return status;
        }
        if (got == 0) {
            return RS_CORRUPT; /* the end, too early */
        }
        have += got;
    }
    return payload_check(&payload, seq) ? RS_OK : RS_CORRUPT;
}
