/*
 * See session.h. One table says what each region is; planning, checking and resolving all read it,
 * so that the two sides cannot disagree.
 */
#include "rings/session.h"

#include <stdbool.h>
#include <string.h>

#include "rings/fence.h"
#include "rings/seq.h"

/* ---- clock ----------------------------------------------------------------------------------- */

#define NS_PER_S 1000000000ull

struct rs_clock rs_clock_make(uint64_t tsc_base, uint64_t unix_base_ns, uint64_t tsc_hz)
{
    return (struct rs_clock){
        .tsc_base = tsc_base, .unix_base_ns = unix_base_ns, .tsc_mult = (NS_PER_S << 32) / tsc_hz};
}

/* ticks * tsc_mult >> 32, exactly, in 64-bit steps: i686 has no 128-bit product. */
uint64_t rs_clock_interval_ns(const struct rs_clock *clock, uint64_t ticks)
{
    uint64_t mult_high = clock->tsc_mult >> 32;
    uint64_t mult_low = clock->tsc_mult & UINT32_MAX;
    uint64_t ticks_low = ticks & UINT32_MAX;
    return ticks * mult_high + (ticks >> 32) * mult_low + (ticks_low * mult_low >> 32);
}

uint64_t rs_clock_unix_ns(const struct rs_clock *clock, uint64_t tsc)
{
    if (tsc < clock->tsc_base) {
        return clock->unix_base_ns - rs_clock_interval_ns(clock, clock->tsc_base - tsc);
    }
    return clock->unix_base_ns + rs_clock_interval_ns(clock, tsc - clock->tsc_base);
}

/* ---- regions --------------------------------------------------------------------------------- */

#define EXTENT_BYTES_MAX ((1ull << 32) - RS_PAGE_BYTES)

struct region_rule {
    enum rs_extent_kind kind;
    uint32_t stride_bytes;
    const char *name;
};

static const struct region_rule region_rules[RS_REGION_COUNT] = {
    [RS_REGION_SOCKET_STATE] = {RS_EXTENT_DP, sizeof(struct rs_socket_state),
                                "socket state region"},
    [RS_REGION_SOCKET_DESC] = {RS_EXTENT_DP, sizeof(struct rs_socket_desc),
                               "socket descriptor region"},
    [RS_REGION_SOCKET_CLIENT] = {RS_EXTENT_CL, sizeof(struct rs_socket_client),
                                 "socket client region"},
    [RS_REGION_CHANNEL_STATE] = {RS_EXTENT_DP, sizeof(struct rs_channel_state),
                                 "channel state region"},
    [RS_REGION_CHANNEL_CLIENT] = {RS_EXTENT_CL, sizeof(struct rs_channel_client),
                                  "channel client region"},
    [RS_REGION_QUEUE_STATE] = {RS_EXTENT_DP, sizeof(struct rs_queue_state), "queue state region"},
};

static uint32_t region_count(enum rs_region_kind region, uint32_t limit_sockets,
                             uint32_t limit_channels, uint32_t queue_count)
{
    switch (region) {
    case RS_REGION_SOCKET_STATE:
    case RS_REGION_SOCKET_DESC:
    case RS_REGION_SOCKET_CLIENT:
        return limit_sockets;
    case RS_REGION_CHANNEL_STATE:
    case RS_REGION_CHANNEL_CLIENT:
        return limit_channels;
    case RS_REGION_QUEUE_STATE:
    case RS_REGION_COUNT:
        break;
    }
    return queue_count;
}

static uint64_t region_bytes(const struct rs_region_info *region)
{
    return (uint64_t)region->count * region->stride_bytes;
}

static bool ring_bytes_ok(uint32_t bytes)
{
    return rs_is_pow2(bytes) && bytes >= RS_RING_MIN_BYTES && bytes <= RS_RING_MAX_BYTES;
}

/* The least power of two that a request ring of so many sockets may have (post.h). */
static uint32_t request_slots_min(uint32_t limit_sockets)
{
    uint32_t slots = 1;
    while (slots < 2 * (limit_sockets + RS_REPLY_CELLS)) {
        slots *= 2;
    }
    return slots;
}

/* The name of the first limit that is out of its range, or NULL. The same rule on both sides. */
static const char *limits_wrong(uint32_t limit_sockets, uint32_t limit_channels,
                                uint32_t queue_count, uint32_t hint_slots, uint32_t recv_ring_bytes,
                                uint32_t send_ring_bytes)
{
    if (limit_sockets < 1 || limit_sockets > RS_SOCKETS_MAX) {
        return "limit_sockets";
    }
    if (limit_channels < 1 || limit_channels > RS_CHANNELS_MAX) {
        return "limit_channels";
    }
    if (queue_count < 1 || queue_count > RS_QUEUES_MAX) {
        return "queue_count";
    }
    if (!rs_is_pow2(hint_slots) || hint_slots > RS_SLOTS_MAX) {
        return "hint_slots";
    }
    if (!ring_bytes_ok(recv_ring_bytes)) {
        return "recv_ring_bytes";
    }
    return ring_bytes_ok(send_ring_bytes) ? NULL : "send_ring_bytes";
}

/* ---- the dataplane's side -------------------------------------------------------------------- */

enum rs_status rs_session_plan(const struct rs_session_config *config, struct rs_session_plan *plan)
{
    if (limits_wrong(config->limit_sockets, config->limit_channels, config->queue_count,
                     config->hint_slots, config->recv_ring_bytes,
                     config->send_ring_bytes) != NULL) {
        return RS_INVALID;
    }
    uint32_t used[2] = {RS_PAGE_BYTES, 0}; /* extents 0 (dp, behind the header) and 1 (cl) */
    for (int i = 0; i < RS_REGION_COUNT; i++) {
        uint32_t extent_idx = region_rules[i].kind == RS_EXTENT_DP ? 0 : 1;
        struct rs_region_info *region = &plan->regions[i];
        region->ref = (struct rs_ref){.extent_idx = extent_idx, .off = used[extent_idx]};
        region->stride_bytes = region_rules[i].stride_bytes;
        region->count = region_count((enum rs_region_kind)i, config->limit_sockets,
                                     config->limit_channels, config->queue_count);
        used[extent_idx] =
            rs_align_up(used[extent_idx] + (uint32_t)region_bytes(region), RS_PAGE_BYTES);
    }
    plan->request_slots = request_slots_min(config->limit_sockets);
    plan->dp_bytes = used[0];
    plan->cl_bytes = used[1];
    return RS_OK;
}

enum rs_status rs_session_init(struct rs_session_header *header,
                               const struct rs_session_config *config, uint64_t dp_bytes,
                               uint64_t cl_bytes)
{
    struct rs_session_plan plan;
    enum rs_status status = rs_session_plan(config, &plan);
    if (status != RS_OK) {
        return status;
    }
    if (dp_bytes < plan.dp_bytes || cl_bytes < plan.cl_bytes || config->clock.tsc_mult == 0 ||
        memchr(config->instance, '\0', sizeof(config->instance)) == NULL) {
        return RS_INVALID;
    }
    header->magic = RS_MAGIC;
    header->header_bytes = sizeof(*header);
    header->epoch = config->epoch;
    header->session_id = config->session_id;
    header->tsc_base = config->clock.tsc_base;
    header->unix_base_ns = config->clock.unix_base_ns;
    header->tsc_mult = config->clock.tsc_mult;
    header->tsc_hz = config->tsc_hz;
    header->limit_sockets = config->limit_sockets;
    header->limit_channels = config->limit_channels;
    header->queue_count = config->queue_count;
    header->request_slots = plan.request_slots;
    header->hint_slots = config->hint_slots;
    header->recv_ring_bytes = config->recv_ring_bytes;
    header->send_ring_bytes = config->send_ring_bytes;
    header->spin_us = config->spin_us;
    header->yield_in_spin = config->yield_in_spin;
    header->mtu_bytes = config->mtu_bytes;
    header->dataplane_pid = config->dataplane_pid;
    memcpy(header->instance, config->instance, sizeof(header->instance));
    memcpy(header->regions, plan.regions, sizeof(header->regions));
    atomic_store_explicit(&header->poisoned, 0, memory_order_relaxed);
    status = rs_session_add_extent(header, 0, RS_EXTENT_DP, dp_bytes, 1);
    if (status == RS_OK) {
        status = rs_session_add_extent(header, 1, RS_EXTENT_CL, cl_bytes, 1);
    }
    if (status == RS_OK) {
        /* Release, partner rs_session_check: all of the header comes before its version. */
        atomic_store_explicit(&header->version, RS_LAYOUT_VERSION, memory_order_release);
    }
    return status;
}

static bool extent_size_ok(uint64_t size_bytes)
{
    return size_bytes != 0 && size_bytes % RS_PAGE_BYTES == 0 && size_bytes <= EXTENT_BYTES_MAX;
}

enum rs_status rs_session_add_extent(struct rs_session_header *header, uint32_t extent_idx,
                                     enum rs_extent_kind kind, uint64_t size_bytes,
                                     uint32_t generation)
{
    if (extent_idx >= RS_EXTENTS_MAX || (kind != RS_EXTENT_DP && kind != RS_EXTENT_CL) ||
        !extent_size_ok(size_bytes)) {
        return RS_INVALID;
    }
    struct rs_extent_info *extent = &header->extents[extent_idx];
    if (atomic_load_explicit(&extent->kind, memory_order_relaxed) != RS_EXTENT_NONE) {
        return RS_INVALID;
    }
    extent->size_bytes = size_bytes;
    extent->generation = generation;
    /* Release, partner rs_view_extent: the size comes first. */
    atomic_store_explicit(&extent->kind, (uint32_t)kind, memory_order_release);
    return RS_OK;
}

void rs_session_poison(struct rs_session_header *header, enum rs_status why)
{
    uint32_t none = 0;
    /* The queues and the control thread may all want to; the first one's word stays. The client
     * polls it. */
    atomic_compare_exchange_strong_explicit(&header->poisoned, &none, (uint32_t)why,
                                            memory_order_release, memory_order_relaxed);
}

/* ---- the client's side ----------------------------------------------------------------------- */

enum rs_status rs_view_extent(const struct rs_session_view *view, uint32_t extent_idx,
                              enum rs_extent_kind *kind, uint64_t *size_bytes)
{
    if (extent_idx >= RS_EXTENTS_MAX) {
        return RS_CORRUPT;
    }
    const struct rs_extent_info *extent = &view->header->extents[extent_idx];
    /* Acquire, partner rs_session_add_extent. */
    uint32_t kind_word = atomic_load_explicit(&extent->kind, memory_order_acquire);
    if (kind_word != RS_EXTENT_DP && kind_word != RS_EXTENT_CL) {
        return RS_CORRUPT;
    }
    uint64_t size = extent->size_bytes;
    rs_fence_copied();
    if (!extent_size_ok(size)) {
        return RS_CORRUPT;
    }
    *kind = (enum rs_extent_kind)kind_word;
    *size_bytes = size;
    return RS_OK;
}

enum rs_status rs_view_map(struct rs_session_view *view, uint32_t extent_idx, void *base,
                           uint64_t size_bytes)
{
    enum rs_extent_kind kind;
    uint64_t table_bytes;
    enum rs_status status = rs_view_extent(view, extent_idx, &kind, &table_bytes);
    if (status != RS_OK || table_bytes != size_bytes) {
        return RS_CORRUPT;
    }
    view->extents[extent_idx] =
        (struct rs_extent_view){.base = base, .size_bytes = size_bytes, .kind = kind};
    return RS_OK;
}

/* True when [off, off + bytes) lies in size bytes. */
static bool range_inside(uint64_t off, uint64_t bytes, uint64_t size)
{
    return off <= size && bytes <= size - off;
}

enum rs_status rs_resolve(const struct rs_session_view *view, struct rs_ref ref, uint64_t bytes,
                          uint32_t align, enum rs_extent_kind kind, void **out)
{
    if (ref.extent_idx >= RS_EXTENTS_MAX || (ref.off & (align - 1)) != 0) {
        return RS_CORRUPT;
    }
    const struct rs_extent_view *extent = &view->extents[ref.extent_idx];
    if (extent->base == NULL) {
        enum rs_extent_kind table_kind;
        uint64_t table_bytes;
        enum rs_status status = rs_view_extent(view, ref.extent_idx, &table_kind, &table_bytes);
        bool possible =
            status == RS_OK && table_kind == kind && range_inside(ref.off, bytes, table_bytes);
        return possible ? RS_NOT_READY : RS_CORRUPT;
    }
    if (extent->kind != kind || !range_inside(ref.off, bytes, extent->size_bytes)) {
        return RS_CORRUPT;
    }
    *out = extent->base + ref.off;
    return RS_OK;
}

enum rs_status rs_resolve_ring(const struct rs_session_view *view, const struct rs_ring_ref *ring,
                               enum rs_extent_kind kind, uint8_t **out)
{
    void *base = NULL;
    if (!ring_bytes_ok(ring->size_bytes)) {
        return RS_CORRUPT;
    }
    enum rs_status status =
        rs_resolve(view, ring->ref, ring->size_bytes, RS_LINE_BYTES, kind, &base);
    if (status == RS_OK) {
        *out = base;
    }
    return status;
}

void *rs_view_region(const struct rs_session_view *view, enum rs_region_kind region)
{
    const struct rs_ref *ref = &view->regions[region].ref;
    return view->extents[ref->extent_idx].base + ref->off;
}

/* Copies the plain fields of the header. */
static void view_copy(struct rs_session_view *view, const struct rs_session_header *header)
{
    *view = (struct rs_session_view){
        .header = header,
        .epoch = header->epoch,
        .tsc_hz = header->tsc_hz,
        .clock = {header->tsc_base, header->unix_base_ns, header->tsc_mult},
        .limit_sockets = header->limit_sockets,
        .limit_channels = header->limit_channels,
        .queue_count = header->queue_count,
        .request_slots = header->request_slots,
        .hint_slots = header->hint_slots,
        .recv_ring_bytes = header->recv_ring_bytes,
        .send_ring_bytes = header->send_ring_bytes,
        .spin_us = header->spin_us,
        .yield_in_spin = header->yield_in_spin,
        .mtu_bytes = header->mtu_bytes,
    };
    memcpy(view->instance, header->instance, sizeof(view->instance));
    memcpy(view->regions, header->regions, sizeof(view->regions));
    rs_fence_copied();
}

/* The region's rule: kind of extent, stride, count, inside, aligned. Extents 0 and 1 only. */
static bool region_ok(const struct rs_session_view *view, enum rs_region_kind region)
{
    const struct rs_region_info *info = &view->regions[region];
    const struct region_rule *rule = &region_rules[region];
    enum rs_extent_kind kind;
    uint64_t size_bytes;
    return info->ref.extent_idx <= 1 &&
           rs_view_extent(view, info->ref.extent_idx, &kind, &size_bytes) == RS_OK &&
           kind == rule->kind && info->stride_bytes == rule->stride_bytes &&
           info->count ==
               region_count(region, view->limit_sockets, view->limit_channels, view->queue_count) &&
           info->ref.off % RS_LINE_BYTES == 0 &&
           range_inside(info->ref.off, region_bytes(info), size_bytes);
}

/* The name of what is wrong with the copied header, or NULL. */
static const char *view_wrong(const struct rs_session_view *view, uint64_t dp_bytes)
{
    const char *wrong =
        limits_wrong(view->limit_sockets, view->limit_channels, view->queue_count, view->hint_slots,
                     view->recv_ring_bytes, view->send_ring_bytes);
    if (wrong != NULL) {
        return wrong;
    }
    if (!rs_is_pow2(view->request_slots) || view->request_slots > RS_SLOTS_MAX ||
        view->request_slots < request_slots_min(view->limit_sockets)) {
        return "request_slots";
    }
    if (view->clock.tsc_mult == 0 || view->tsc_hz == 0) {
        return "clock";
    }
    if (memchr(view->instance, '\0', sizeof(view->instance)) == NULL) {
        return "instance";
    }
    enum rs_extent_kind kind;
    uint64_t size_bytes;
    if (rs_view_extent(view, 0, &kind, &size_bytes) != RS_OK || kind != RS_EXTENT_DP ||
        size_bytes != dp_bytes) {
        return "extent 0";
    }
    if (rs_view_extent(view, 1, &kind, &size_bytes) != RS_OK || kind != RS_EXTENT_CL) {
        return "extent 1";
    }
    for (int i = 0; i < RS_REGION_COUNT; i++) {
        if (!region_ok(view, (enum rs_region_kind)i)) {
            return region_rules[i].name;
        }
    }
    return NULL;
}

enum rs_status rs_session_check(const struct rs_session_header *header, uint64_t dp_bytes,
                                struct rs_session_view *view, const char **why)
{
    *why = "extent 0 is shorter than a header";
    if (dp_bytes < RS_PAGE_BYTES) {
        return RS_CORRUPT;
    }
    /* Acquire, partner rs_session_init: nothing of the header is read before its version. */
    uint32_t version = atomic_load_explicit(&header->version, memory_order_acquire);
    *why = "version";
    if (version != RS_LAYOUT_VERSION) {
        return version == 0 ? RS_NOT_READY : RS_VERSION_MISMATCH;
    }
    *why = "magic";
    if (header->magic != RS_MAGIC) {
        return RS_CORRUPT;
    }
    *why = "header_bytes";
    if (header->header_bytes != sizeof(*header)) {
        return RS_CORRUPT;
    }
    view_copy(view, header);
    *why = view_wrong(view, dp_bytes);
    if (*why != NULL) {
        return RS_CORRUPT;
    }
    /* The header lies at offset 0 of extent 0. The client's mapping is read-only whatever this
     * pointer says. */
    return rs_view_map(view, 0, (void *)(uintptr_t)header, dp_bytes);
}
