/*
 * Attach and detach: the control connection, the session's memory mapped and checked, further
 * extents on demand. Slow paths only; any thread. Calls link.c and rings/session.h.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "provider/client/client_alloc.h"
#include "provider/client/client_internal.h"

#define NS_PER_S          1000000000ull
#define NS_PER_MS         1000000ull
#define NS_PER_US         1000ull
#define ATTACH_TIMEOUT_NS (2 * NS_PER_S)
#define CHECK_NS          NS_PER_MS        /* how often a spinning thread looks at the heartbeat */
#define STALE_NS          (20 * NS_PER_MS) /* a heartbeat older than this is worth a question to the OS */
#define UDP_HEADERS_BYTES 28u              /* IPv4 without options, and UDP */

/* ---- the control connection
 * ------------------------------------------------------------------------------------ */

/* One request and its answer, checked. Whatever status but RS_OK: no handle is left open. */
static enum rs_status session_exchange(struct client *client, enum rs_ctl_type type, uint32_t arg,
                                       struct rs_ctl_answer *answer,
                                       intptr_t handles[CLIENT_LINK_HANDLES])
{
    struct rs_ctl_request request = {.magic = RS_MAGIC, .type = (uint32_t)type, .arg = arg};
    answer->status = RS_OK;
    enum rs_status status = client->link.ops->call(client->link.context, &request, answer, handles,
                                                   client->link_timeout_ns);
    if (status == RS_OK && (answer->magic != RS_MAGIC || answer->type != (uint32_t)type)) {
        status = RS_CORRUPT;
    } else if (status == RS_OK && answer->status != RS_OK) {
        status = answer->status < RS_STATUS_COUNT ? (enum rs_status)answer->status : RS_CORRUPT;
    }
    if (status != RS_OK) {
        for (uint32_t i = 0; i < CLIENT_LINK_HANDLES; i++) {
            os_handle_close(handles[i]);
            handles[i] = -1;
        }
    }
    if (status == RS_DATAPLANE_GONE) {
        status = client_end(client, status);
    }
    return status;
}

enum rs_status client_link_call(struct client *client, enum rs_ctl_type type, uint32_t arg,
                                struct rs_ctl_answer *answer, intptr_t handles[CLIENT_LINK_HANDLES])
{
    enum rs_status status = session_exchange(client, type, arg, answer, handles);
    if (status != RS_OK && answer->status != RS_OK) {
        answer->text[sizeof(answer->text) - 1] = '\0';
        client_set_error_text("refused by the dataplane: %s", answer->text);
    } else if (status != RS_OK) {
        client_set_error_text("the dataplane did not answer on the control connection: %s",
                              rs_status_name(status));
    }
    return status;
}

void client_link_tell(struct client *client, enum rs_ctl_type type, uint32_t arg)
{
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    /* A failure means that the session is over, and what was to be given back with it. */
    (void)!session_exchange(client, type, arg, &answer, handles);
}

enum rs_status client_tell_sleeps(struct client *client)
{
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    enum rs_status status = RS_OK;
    /* Acquire, partner the release below: who sees 1 arms behind the dataplane's answer. */
    if (atomic_load_explicit(&client->sleeps, memory_order_acquire) != 0) {
        return RS_OK;
    }
    os_mutex_lock(&client->slow_mutex);
    if (atomic_load_explicit(&client->sleeps, memory_order_relaxed) == 0) {
        status = client_link_call(client, RS_CTL_SLEEPS, 0, &answer, handles);
        if (status == RS_OK) {
            atomic_store_explicit(&client->sleeps, 1, memory_order_release);
        }
    }
    os_mutex_unlock(&client->slow_mutex);
    return status;
}

/* ---- extents
 * ----------------------------------------------------------------------------------------------------
 */

/* Takes the handle over and enters the mapping into the view. */
static enum rs_status session_map_extent(struct client *client, uint32_t extent_idx,
                                         intptr_t handle, uint64_t size_bytes, bool writable)
{
    struct os_shm *shm = &client->extents[extent_idx];
    assert(shm->base == NULL);
    enum rs_status status =
        client->link.ops->map(client->link.context, extent_idx, handle, size_bytes, writable, shm);
    if (status != RS_OK) {
        client_set_error_os("an extent cannot be mapped");
        shm->base = NULL;
    }
    return status;
}

/* From now on the dataplane reads what we write there. */
static enum rs_status session_tell_mapped(struct client *client, uint32_t extent_idx)
{
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    return client_link_call(client, RS_CTL_MAPPED, extent_idx, &answer, handles);
}

static enum rs_status session_fetch_extent(struct client *client, uint32_t extent_idx)
{
    enum rs_extent_kind kind;
    uint64_t size_bytes = 0;
    enum rs_status status = rs_view_extent(&client->view, extent_idx, &kind, &size_bytes);
    if (status != RS_OK) {
        return status;
    }
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    status = client_link_call(client, RS_CTL_EXTENT, extent_idx, &answer, handles);
    if (status != RS_OK) {
        return status;
    }
    if (answer.value != size_bytes) {
        os_handle_close(handles[0]);
        return RS_CORRUPT;
    }
    status = session_map_extent(client, extent_idx, handles[0], size_bytes, kind == RS_EXTENT_CL);
    if (status != RS_OK) {
        return status;
    }
    status = rs_view_map(&client->view, extent_idx, client->extents[extent_idx].base, size_bytes);
    return status == RS_OK && kind == RS_EXTENT_CL ? session_tell_mapped(client, extent_idx)
                                                   : status;
}

enum rs_status client_resolve(struct client *client, struct rs_ref ref, uint64_t bytes,
                              enum rs_extent_kind kind, void **out)
{
    enum rs_status status = rs_resolve(&client->view, ref, bytes, RS_LINE_BYTES, kind, out);
    if (status == RS_NOT_READY) {
        status = session_fetch_extent(client, ref.extent_idx);
        if (status == RS_OK) {
            status = rs_resolve(&client->view, ref, bytes, RS_LINE_BYTES, kind, out);
        }
    }
    return status;
}

enum rs_status client_resolve_ring(struct client *client, const struct rs_ring_ref *ring,
                                   enum rs_extent_kind kind, uint8_t **out)
{
    enum rs_status status = rs_resolve_ring(&client->view, ring, kind, out);
    if (status == RS_NOT_READY) {
        status = session_fetch_extent(client, ring->ref.extent_idx);
        if (status == RS_OK) {
            status = rs_resolve_ring(&client->view, ring, kind, out);
        }
    }
    return status;
}

/* ---- attach
 * ------------------------------------------------------------------------------------------------------
 */

/* What the dataplane must know of our sleeping before it wakes us. */
static uint32_t session_sleep_flag(const struct client_config *config)
{
    if (config->spin_us < 0) {
        return 0;
    }
    return config->spin_us < (int64_t)RS_SPIN_FOREVER ? RS_CTL_ATTACH_SLEEPS
                                                      : RS_CTL_ATTACH_NEVER_SLEEPS;
}

static enum rs_status session_attach(struct client *client, const struct client_config *config)
{
    struct rs_ctl_answer answer;
    intptr_t handles[CLIENT_LINK_HANDLES];
    enum rs_status status = client_link_call(
        client, RS_CTL_ATTACH, RS_LAYOUT_VERSION | session_sleep_flag(config), &answer, handles);
    if (status != RS_OK) {
        return status;
    }
    status = session_map_extent(client, 0, handles[0], answer.sizes_bytes[0], false);
    if (status != RS_OK) {
        os_handle_close(handles[1]);
        return status;
    }
    status = session_map_extent(client, 1, handles[1], answer.sizes_bytes[1], true);
    if (status != RS_OK) {
        return status;
    }
    const char *why = "";
    client->header = client->extents[0].base;
    status = rs_session_check(client->header, answer.sizes_bytes[0], &client->view, &why);
    if (status != RS_OK) {
        client_set_error_text("the session's header is not usable: %s",
                              why != NULL ? why : rs_status_name(status));
        return status;
    }
    status = rs_view_map(&client->view, 1, client->extents[1].base, answer.sizes_bytes[1]);
    if (status != RS_OK) {
        client_set_error_text("extent 1 is not what the session's header says");
        return status;
    }
    return session_tell_mapped(client, 1);
}

/* The largest datagram that each queue's NIC takes in one packet, and any of them. */
static void session_set_mtus(struct client *client)
{
    client->wire_max_bytes = 0;
    for (uint32_t i = 0; i < client->queue_count; i++) {
        uint32_t mtu_bytes = client->queues[i].mtu_bytes;
        uint32_t wire_bytes = mtu_bytes > UDP_HEADERS_BYTES ? mtu_bytes - UDP_HEADERS_BYTES : 0;
        wire_bytes = wire_bytes < RS_DGRAM_MAX_BYTES ? wire_bytes : RS_DGRAM_MAX_BYTES;
        client->queue_max_bytes[i] = wire_bytes;
        if (wire_bytes > client->wire_max_bytes) {
            client->wire_max_bytes = wire_bytes;
        }
    }
}

static void session_set_up(struct client *client, const struct client_config *config)
{
    const struct rs_session_view *view = &client->view;
    client->queues = rs_view_region(view, RS_REGION_QUEUE_STATE);
    client->socket_states = rs_view_region(view, RS_REGION_SOCKET_STATE);
    client->socket_descs = rs_view_region(view, RS_REGION_SOCKET_DESC);
    client->socket_clients = rs_view_region(view, RS_REGION_SOCKET_CLIENT);
    client->channel_states = rs_view_region(view, RS_REGION_CHANNEL_STATE);
    client->channel_clients = rs_view_region(view, RS_REGION_CHANNEL_CLIENT);
    client->limit_sockets = view->limit_sockets;
    client->limit_channels = view->limit_channels;
    client->queue_count = view->queue_count;
    client->request_slots = view->request_slots;
    client->hint_slots = view->hint_slots;
    session_set_mtus(client);

    double ticks_per_ns = (double)view->tsc_hz / (double)NS_PER_S;
    client->ns_per_tick = 1.0 / ticks_per_ns;
    client->check_ticks = (uint64_t)((double)CHECK_NS * ticks_per_ns);
    client->stale_ticks = (uint64_t)((double)STALE_NS * ticks_per_ns);
    uint64_t spin_us = view->spin_us;
    if (config->spin_us >= 0) {
        spin_us = config->spin_us < (int64_t)RS_SPIN_FOREVER ? (uint64_t)config->spin_us
                                                             : RS_SPIN_FOREVER;
    }
    client->spin_ticks = spin_us == RS_SPIN_FOREVER
                             ? UINT64_MAX
                             : (uint64_t)((double)spin_us * (double)NS_PER_US * ticks_per_ns);
    atomic_store_explicit(&client->sleeps, client->spin_ticks != UINT64_MAX, memory_order_relaxed);
    client->yield_in_spin =
        config->yield_in_spin < 0 ? view->yield_in_spin != 0 : config->yield_in_spin != 0;
}

static void session_unmap_all(struct client *client)
{
    for (uint32_t i = 0; i < RS_EXTENTS_MAX; i++) {
        if (client->extents[i].base != NULL) {
            client->link.ops->unmap(client->link.context, &client->extents[i]);
        }
    }
}

static enum rs_status session_make_channels(struct client *client)
{
    client->channels = client_alloc(client->limit_channels, sizeof(*client->channels));
    if (client->channels == NULL) {
        return RS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < client->limit_channels; i++) {
        struct client_channel *channel = &client->channels[i];
        os_mutex_init(&channel->sleep_mutex);
        channel->event.handle = -1;
        channel->client = client;
        channel->idx = i;
        channel->state = &client->channel_states[i];
        channel->waiter.shared = &client->channel_clients[i];
    }
    return RS_OK;
}

static void session_free_channels(struct client *client)
{
    for (uint32_t i = 0; i < client->limit_channels && client->channels != NULL; i++) {
        os_event_destroy(&client->channels[i].event);
        os_mutex_destroy(&client->channels[i].sleep_mutex);
    }
    client_free(client->channels);
}

enum rs_status client_open_link(const struct client_config *config, const struct client_link *link,
                                struct client **out)
{
    enum rs_status status = client_registry_init();
    struct client *client = status == RS_OK ? client_alloc(1, sizeof(*client)) : NULL;
    if (client == NULL) {
        link->ops->close(link->context);
        return status != RS_OK ? status : RS_NO_MEMORY;
    }
    client->link = *link;
    client->link_timeout_ns =
        config->attach_timeout_ns != 0 ? config->attach_timeout_ns : ATTACH_TIMEOUT_NS;
    os_mutex_init(&client->slow_mutex);
    status = session_attach(client, config);
    if (status != RS_OK) {
        goto fail;
    }
    session_set_up(client, config);
    status = session_make_channels(client);
    if (status != RS_OK) {
        goto fail;
    }
    status = client_registry_add(client);
    if (status != RS_OK) {
        client_set_error_text("this process has %u attaches already, the most there can be",
                              CLIENTS_MAX);
        goto fail_channels;
    }
    *out = client;
    return RS_OK;

fail_channels:
    session_free_channels(client);
fail:
    session_unmap_all(client);
    client->link.ops->close(client->link.context);
    os_mutex_destroy(&client->slow_mutex);
    client_free(client);
    return status;
}

enum rs_status client_open(const struct client_config *config, struct client **out)
{
    static const struct client_config defaults = {.spin_us = -1, .yield_in_spin = -1};
    if (config == NULL) {
        config = &defaults;
    }
    enum rs_status status = client_registry_init();
    if (status != RS_OK) {
        return status;
    }
    const char *instance = config->instance;
    if (instance == NULL) {
        instance = getenv("RINGSOCK_INSTANCE"); /* NOLINT(concurrency-mt-unsafe): read only */
    }
    if (instance == NULL || instance[0] == '\0') {
        instance = "default";
    }
    struct client_link link;
    uint64_t timeout_ns =
        config->attach_timeout_ns != 0 ? config->attach_timeout_ns : ATTACH_TIMEOUT_NS;
    status = client_link_connect(instance, timeout_ns, &link);
    if (status != RS_OK) {
        return status;
    }
    return client_open_link(config, &link, out);
}

void client_close(struct client *client)
{
    client_sockets_close_all(client);
    client_watch_close(client);
    client_registry_remove(client);
    session_free_channels(client);
    /* The dataplane learns of the end by the connection's. */
    client->link.ops->close(client->link.context);
    client_pool_destroy(client);
    session_unmap_all(client);
    os_mutex_destroy(&client->slow_mutex);
    client_free(client);
}

/* ---- what it says of itself
 * ---------------------------------------------------------------------------------------- */

void client_get_info(const struct client *client, struct client_info *out)
{
    const struct rs_session_view *view = &client->view;
    *out = (struct client_info){
        .epoch = view->epoch,
        .tsc_hz = view->tsc_hz,
        .queue_count = view->queue_count,
        .mtu_bytes = view->mtu_bytes,
        /* relaxed: a count */
        .sockets_lost = atomic_load_explicit(&client->sockets_lost, memory_order_relaxed),
        .nic_kind = (enum rs_nic_kind)client->queues[0].kind};
    static_assert(sizeof(out->instance) == sizeof(view->instance),
                  "instance names are as long here as there");
    memcpy(out->instance, view->instance, sizeof(out->instance));
}

static bool session_is_known_nic(const struct client *client, uint32_t idx)
{
    for (uint32_t i = 0; i < idx; i++) {
        if (client->queues[i].ip_be32 == client->queues[idx].ip_be32) {
            return true;
        }
    }
    return false;
}

/* The dataplane's word of how many there are, bounded. */
static uint32_t session_more_addresses(const struct rs_queue_state *queue)
{
    return queue->more_count < RS_ADDRESSES_MAX - 1 ? queue->more_count : RS_ADDRESSES_MAX - 1;
}

bool client_queue_has_address(const struct client *client, uint32_t queue_idx, uint32_t ip_be32)
{
    const struct rs_queue_state *queue = &client->queues[queue_idx];
    uint32_t more_count = session_more_addresses(queue);
    uint32_t i = 0;
    if (queue->ip_be32 == ip_be32) {
        return true;
    }
    while (i < more_count && queue->more_be32[i] != ip_be32) {
        i++;
    }
    return i < more_count;
}

void client_interface_get(const struct client *client, uint32_t queue_idx,
                          struct client_interface *out)
{
    const struct rs_queue_state *queue = &client->queues[queue_idx];
    /* relaxed: partner control_tell_link */
    uint32_t changes = atomic_load_explicit(&queue->link_changes, memory_order_relaxed);
    *out = (struct client_interface){.ip_be32 = queue->ip_be32,
                                     .prefix_len = (uint8_t)queue->prefix_len,
                                     .up = (changes & 1) == 0,
                                     .more_count = session_more_addresses(queue)};
    memcpy(out->more_be32, queue->more_be32, sizeof(out->more_be32));
    memcpy(out->more_prefix_len, queue->more_prefix_len, sizeof(out->more_prefix_len));
}

uint32_t client_interfaces(const struct client *client, struct client_interface *out, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < client->queue_count; i++) {
        if (session_is_known_nic(client, i)) {
            continue;
        }
        if (count < max) {
            client_interface_get(client, i, &out[count]);
        }
        count++;
    }
    return count;
}

uint32_t client_address_changes(const struct client *client)
{
    uint32_t changes = 0;
    for (uint32_t i = 0; i < client->queue_count; i++) {
        changes += atomic_load_explicit(&client->queues[i].link_changes, memory_order_relaxed);
    }
    return changes;
}

uint64_t client_tsc_to_unix_ns(const struct client *client, uint64_t tsc)
{
    return rs_clock_unix_ns(&client->view.clock, tsc);
}
