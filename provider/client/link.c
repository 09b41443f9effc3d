/*
 * The link to the dataplane's control thread over the system's own connection (rings/os): attach,
 * channels, extents, and whether the process at the other end lives. Called by session.c and
 * channel.c under client->slow_mutex; alive by any thread.
 */

#include "provider/client/client_alloc.h"
#include "provider/client/client_internal.h"

struct link_os {
    struct os_conn conn;
    struct os_process process;
};

static enum rs_status link_call(void *context, const struct rs_ctl_request *request,
                                struct rs_ctl_answer *answer, intptr_t handles[CLIENT_LINK_HANDLES],
                                uint64_t timeout_ns)
{
    struct link_os *link = context;
    uint32_t handle_count = 0;
    for (uint32_t i = 0; i < CLIENT_LINK_HANDLES; i++) {
        handles[i] = -1;
    }
    enum rs_status status = os_conn_send(&link->conn, request, sizeof(*request), NULL, 0);
    /* A dataplane that refuses a client may have answered and closed before it was asked. */
    if (status != RS_OK && status != RS_DATAPLANE_GONE) {
        return status;
    }
    size_t bytes = sizeof(*answer);
    status = os_conn_recv(&link->conn, answer, &bytes, handles, &handle_count, timeout_ns);
    if (status != RS_OK) {
        return status;
    }
    for (uint32_t i = handle_count; i < CLIENT_LINK_HANDLES; i++) {
        handles[i] = -1;
    }
    return bytes == sizeof(*answer) ? RS_OK : RS_CORRUPT;
}

static enum rs_status link_map(void *context, uint32_t extent_idx, intptr_t handle,
                               uint64_t size_bytes, bool writable, struct os_shm *out)
{
    (void)context;
    (void)extent_idx;
    return os_shm_map(handle, size_bytes, writable, out);
}

static void link_unmap(void *context, struct os_shm *shm)
{
    (void)context;
    os_shm_destroy(shm);
}

static bool link_alive(void *context)
{
    const struct link_os *link = context;
    return os_process_alive(&link->process);
}

static void link_close(void *context)
{
    struct link_os *link = context;
    os_process_close(&link->process);
    os_conn_close(&link->conn);
    client_free(link);
}

static const struct client_link_ops link_os_ops = {.call = link_call,
                                                   .map = link_map,
                                                   .unmap = link_unmap,
                                                   .alive = link_alive,
                                                   .close = link_close};

enum rs_status client_link_connect(const char *instance, uint64_t timeout_ns,
                                   struct client_link *out)
{
    struct link_os *link = client_alloc(1, sizeof(*link));
    if (link == NULL) {
        return RS_NO_MEMORY;
    }
    enum rs_status status = os_connect(instance, timeout_ns, &link->conn);
    if (status != RS_OK) {
        client_set_error_os("no connection to the dataplane");
        goto fail;
    }
    status = os_conn_peer_process(&link->conn, &link->process);
    if (status != RS_OK) {
        client_set_error_os("the dataplane's process cannot be watched");
        goto fail_conn;
    }
    *out = (struct client_link){.ops = &link_os_ops, .context = link, .process = &link->process};
    return RS_OK;

fail_conn:
    os_conn_close(&link->conn);
fail:
    client_free(link);
    return status;
}
