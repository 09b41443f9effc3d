/*
 * Session memory as a whole: the header in extent 0 that says what is where, made by the dataplane
 * (control thread) and checked once by the client at attach; the client's table of mapped extents,
 * against which every later reference is range-checked; the clock both sides share. Slow paths
 * only. Called by dataplane/ and provider/client; no OS call.
 */
#ifndef RINGSOCK_RINGS_SESSION_H
#define RINGSOCK_RINGS_SESSION_H

#include <stdint.h>

#include "rings/layout.h"
#include "rings/status.h"

/* ---- clock ----------------------------------------------------------------------------------- */

struct rs_clock {
    uint64_t tsc_base;
    uint64_t unix_base_ns;
    uint64_t tsc_mult; /* ns per tick, times 2^32 */
};

/* tsc_base and unix_base_ns: read together. tsc_hz: not 0. */
struct rs_clock rs_clock_make(uint64_t tsc_base, uint64_t unix_base_ns, uint64_t tsc_hz);
/* A TSC value, before or after the base, in ns since the UNIX epoch. */
uint64_t rs_clock_unix_ns(const struct rs_clock *clock, uint64_t tsc);
/* A TSC interval in ns. */
uint64_t rs_clock_interval_ns(const struct rs_clock *clock, uint64_t ticks);

/* ---- the dataplane's side -------------------------------------------------------------------- */

struct rs_session_config {
    uint64_t epoch;
    uint64_t session_id;
    struct rs_clock clock;
    uint64_t tsc_hz;
    uint32_t limit_sockets;                    /* 1..RS_SOCKETS_MAX */
    uint32_t limit_channels;                   /* 1..RS_CHANNELS_MAX */
    uint32_t queue_count;                      /* 1..RS_QUEUES_MAX */
    uint32_t hint_slots;                       /* power of two */
    uint32_t recv_ring_bytes, send_ring_bytes; /* powers of two, RS_RING_MIN_BYTES.._MAX_BYTES */
    uint32_t spin_us;
    uint32_t yield_in_spin;
    uint32_t mtu_bytes;
    uint32_t dataplane_pid;
    char instance[32];
};

/* Where the fixed tables go: what extents 0 and 1 need at least. What lies behind in the same
 * extents (from dp_bytes, cl_bytes on) is the caller's, for channels and rings. */
struct rs_session_plan {
    uint32_t request_slots;
    uint32_t dp_bytes; /* of extent 0, header included; a multiple of RS_PAGE_BYTES */
    uint32_t cl_bytes; /* of extent 1; a multiple of RS_PAGE_BYTES */
    struct rs_region_info regions[RS_REGION_COUNT];
};

/* RS_INVALID: a value of *config is out of its range. */
RS_CHECK_RESULT enum rs_status rs_session_plan(const struct rs_session_config *config,
                                               struct rs_session_plan *plan);

/*
 * Fills the header (zeroed memory at offset 0 of extent 0) and stores its version last: from then
 * on a client may map it. dp_bytes, cl_bytes: sizes of extents 0 and 1, at least the plan's.
 * RS_INVALID as above or when a size does not fit.
 */
RS_CHECK_RESULT enum rs_status rs_session_init(struct rs_session_header *header,
                                               const struct rs_session_config *config,
                                               uint64_t dp_bytes, uint64_t cl_bytes);

/* Adds an extent to the table; visible to the client at once. RS_INVALID: index taken or out of
 * range, kind or size impossible. */
RS_CHECK_RESULT enum rs_status rs_session_add_extent(struct rs_session_header *header,
                                                     uint32_t extent_idx, enum rs_extent_kind kind,
                                                     uint64_t size_bytes, uint32_t generation);

/* Tells the client that the session is over and why; the first reason stays. Any thread of the
 * dataplane. */
void rs_session_poison(struct rs_session_header *header, enum rs_status why);

/* ---- the client's side ----------------------------------------------------------------------- */

/* One mapped extent. base NULL: not mapped here. */
struct rs_extent_view {
    uint8_t *base;
    uint64_t size_bytes;
    enum rs_extent_kind kind;
};

/*
 * The client's private, checked copy of what the header says, and its mappings. Filled by
 * rs_session_check and rs_view_map under the client's lock; read by any thread (an extent is mapped
 * before a reference to it is looked at).
 */
struct rs_session_view {
    const struct rs_session_header *header; /* dp: only `poisoned` and new extents are read again */
    uint64_t epoch, tsc_hz;
    struct rs_clock clock;
    uint32_t limit_sockets, limit_channels, queue_count;
    uint32_t request_slots, hint_slots;
    uint32_t recv_ring_bytes, send_ring_bytes;
    uint32_t spin_us, yield_in_spin, mtu_bytes;
    char instance[32];
    struct rs_region_info regions[RS_REGION_COUNT];
    struct rs_extent_view extents[RS_EXTENTS_MAX];
};

/*
 * Checks a header that was mapped with dp_bytes (extent 0) and copies it to *view; extent 0 counts
 * as mapped then, others follow by rs_view_map. RS_NOT_READY: not finished yet;
 * RS_VERSION_MISMATCH; RS_CORRUPT: a field that cannot be (*why names it).
 */
RS_CHECK_RESULT enum rs_status rs_session_check(const struct rs_session_header *header,
                                                uint64_t dp_bytes, struct rs_session_view *view,
                                                const char **why);

/* Enters a mapping. RS_CORRUPT: the header's table knows no such extent, or one of another size. */
RS_CHECK_RESULT enum rs_status rs_view_map(struct rs_session_view *view, uint32_t extent_idx,
                                           void *base, uint64_t size_bytes);

/* What the header's table says of an extent, checked. RS_CORRUPT: index, kind or size cannot be. */
RS_CHECK_RESULT enum rs_status rs_view_extent(const struct rs_session_view *view,
                                              uint32_t extent_idx, enum rs_extent_kind *kind,
                                              uint64_t *size_bytes);

/*
 * Turns a reference into an address: `bytes` bytes at ref, aligned to `align` (a power of two), in
 * an extent of this kind. RS_NOT_READY: the extent is not mapped yet, fetch it (RS_CTL_EXTENT) and
 * ask again; RS_CORRUPT: outside, misaligned or the wrong kind.
 */
RS_CHECK_RESULT enum rs_status rs_resolve(const struct rs_session_view *view, struct rs_ref ref,
                                          uint64_t bytes, uint32_t align, enum rs_extent_kind kind,
                                          void **out);

/* A ring of a socket descriptor (a private copy): also checks that its size is a power of two in
 * range. */
RS_CHECK_RESULT enum rs_status rs_resolve_ring(const struct rs_session_view *view,
                                               const struct rs_ring_ref *ring,
                                               enum rs_extent_kind kind, uint8_t **out);

/* Base of a fixed table; never fails after rs_session_check and the mapping of extent 1. */
void *rs_view_region(const struct rs_session_view *view, enum rs_region_kind region);

#endif
