/* rings/session.c: a header that is right, one wrong field at a time, references, the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rings/session.h"

static _Alignas(RS_PAGE_BYTES) uint8_t dp_memory[64 * RS_PAGE_BYTES];
static _Alignas(RS_PAGE_BYTES) uint8_t cl_memory[64 * RS_PAGE_BYTES];
static _Alignas(RS_PAGE_BYTES) uint8_t more_memory[4 * RS_PAGE_BYTES];

static struct rs_session_header *header(void)
{
    return (struct rs_session_header *)(void *)dp_memory;
}

static struct rs_session_config good_config(void)
{
    return (struct rs_session_config){.epoch = 7,
                                      .session_id = 8,
                                      .clock = rs_clock_make(1000, 5000, 2000000000u),
                                      .tsc_hz = 2000000000u,
                                      .limit_sockets = 100,
                                      .limit_channels = 4,
                                      .queue_count = 2,
                                      .hint_slots = 128,
                                      .recv_ring_bytes = 65536,
                                      .send_ring_bytes = 65536,
                                      .spin_us = 20,
                                      .mtu_bytes = 1500,
                                      .instance = "test"};
}

static int make_session(void **state)
{
    (void)state;
    memset(dp_memory, 0, sizeof(dp_memory));
    struct rs_session_config config = good_config();
    return rs_session_init(header(), &config, sizeof(dp_memory), sizeof(cl_memory)) == RS_OK ? 0
                                                                                             : -1;
}

static enum rs_status check(struct rs_session_view *view, const char **why)
{
    return rs_session_check(header(), sizeof(dp_memory), view, why);
}

static void good_header_is_copied(void **state)
{
    (void)state;
    struct rs_session_view view;
    const char *why;
    assert_int_equal(check(&view, &why), RS_OK);
    assert_int_equal(view.epoch, 7);
    assert_int_equal(view.limit_sockets, 100);
    assert_int_equal(view.request_slots, 256);
    assert_string_equal(view.instance, "test");
    assert_int_equal(rs_view_map(&view, 1, cl_memory, sizeof(cl_memory)), RS_OK);
    uint8_t *clients = rs_view_region(&view, RS_REGION_SOCKET_CLIENT);
    assert_true(clients >= cl_memory && clients < cl_memory + sizeof(cl_memory));
}

static void regions_do_not_overlap(void **state)
{
    (void)state;
    struct rs_session_config config = good_config();
    struct rs_session_plan plan;
    config.limit_sockets = RS_SOCKETS_MAX;
    assert_int_equal(rs_session_plan(&config, &plan), RS_OK);
    for (int i = 0; i < RS_REGION_COUNT; i++) {
        const struct rs_region_info *a = &plan.regions[i];
        uint32_t end = a->ref.off + a->count * a->stride_bytes;
        assert_true(end <= (a->ref.extent_idx == 0 ? plan.dp_bytes : plan.cl_bytes));
        assert_true(a->ref.extent_idx != 0 || a->ref.off >= sizeof(struct rs_session_header));
        for (int k = 0; k < i; k++) {
            const struct rs_region_info *b = &plan.regions[k];
            assert_true(a->ref.extent_idx != b->ref.extent_idx || end <= b->ref.off ||
                        b->ref.off + b->count * b->stride_bytes <= a->ref.off);
        }
    }
}

static void version_decides_first(void **state)
{
    (void)state;
    struct rs_session_view view;
    const char *why;
    header()->magic = 0;
    header()->version = 0;
    assert_int_equal(check(&view, &why), RS_NOT_READY);
    header()->version = RS_LAYOUT_VERSION + 1;
    assert_int_equal(check(&view, &why), RS_VERSION_MISMATCH);
    header()->version = RS_LAYOUT_VERSION;
    assert_int_equal(check(&view, &why), RS_CORRUPT);
    assert_string_equal(why, "magic");
}

/* Sets one 32-bit word of the header, expects the named complaint, sets it back. */
static void expect_wrong(uint32_t *word, uint32_t value, const char *name)
{
    struct rs_session_view view;
    const char *why;
    uint32_t keep = *word;
    *word = value;
    assert_int_equal(check(&view, &why), RS_CORRUPT);
    assert_string_equal(why, name);
    *word = keep;
    assert_int_equal(check(&view, &why), RS_OK);
}

static void each_wrong_field_is_named(void **state)
{
    (void)state;
    struct rs_session_header *h = header();
    expect_wrong(&h->header_bytes, 100, "header_bytes");
    expect_wrong(&h->limit_sockets, 0, "limit_sockets");
    expect_wrong(&h->limit_sockets, RS_SOCKETS_MAX + 1, "limit_sockets");
    expect_wrong(&h->limit_channels, RS_CHANNELS_MAX + 1, "limit_channels");
    expect_wrong(&h->queue_count, 0, "queue_count");
    expect_wrong(&h->hint_slots, 100, "hint_slots");
    expect_wrong(&h->recv_ring_bytes, 512, "recv_ring_bytes");
    expect_wrong(&h->send_ring_bytes, 65535, "send_ring_bytes");
    expect_wrong(&h->request_slots, 128, "request_slots");
    expect_wrong(&h->request_slots, 300, "request_slots");
    expect_wrong((uint32_t *)(void *)&h->extents[0].kind, RS_EXTENT_CL, "extent 0");
    expect_wrong((uint32_t *)(void *)&h->extents[0].size_bytes, 4096, "extent 0");
    expect_wrong((uint32_t *)(void *)&h->extents[1].kind, 77, "extent 1");
    expect_wrong((uint32_t *)(void *)&h->extents[1].size_bytes, 4097, "extent 1");
    expect_wrong(&h->limit_sockets, 99, "socket state region");
    struct rs_region_info *desc = &h->regions[RS_REGION_SOCKET_DESC];
    expect_wrong(&desc->ref.extent_idx, 1, "socket descriptor region");
    expect_wrong(&desc->ref.extent_idx, 4000000000u, "socket descriptor region");
    expect_wrong(&desc->ref.off, 0xffffffc0u, "socket descriptor region");
    expect_wrong(&desc->ref.off, desc->ref.off + 4, "socket descriptor region");
    expect_wrong(&desc->stride_bytes, 64, "socket descriptor region");
    expect_wrong(&desc->count, 0xffffffffu, "socket descriptor region");
    memset(h->instance, 'x', sizeof(h->instance));
    struct rs_session_view view;
    const char *why;
    assert_int_equal(check(&view, &why), RS_CORRUPT);
    assert_string_equal(why, "instance");
}

static void references_are_range_checked(void **state)
{
    (void)state;
    struct rs_session_view view;
    const char *why;
    void *place = NULL;
    const uint64_t size = sizeof(more_memory);
    assert_int_equal(check(&view, &why), RS_OK);
    struct rs_ref ref = {.extent_idx = 2, .off = 4096};
    assert_int_equal(rs_resolve(&view, ref, 64, 64, RS_EXTENT_CL, &place), RS_CORRUPT);
    assert_int_equal(rs_session_add_extent(header(), 2, RS_EXTENT_CL, size, 1), RS_OK);
    assert_int_equal(rs_session_add_extent(header(), 2, RS_EXTENT_CL, size, 1), RS_INVALID);
    assert_int_equal(rs_resolve(&view, ref, 64, 64, RS_EXTENT_CL, &place), RS_NOT_READY);
    assert_int_equal(rs_resolve(&view, ref, 64, 64, RS_EXTENT_DP, &place), RS_CORRUPT);
    assert_int_equal(rs_view_map(&view, 2, more_memory, size - RS_PAGE_BYTES), RS_CORRUPT);
    assert_int_equal(rs_view_map(&view, 3, more_memory, size), RS_CORRUPT);
    assert_int_equal(rs_view_map(&view, 2, more_memory, size), RS_OK);
    assert_int_equal(rs_resolve(&view, ref, size - 4096, 64, RS_EXTENT_CL, &place), RS_OK);
    assert_ptr_equal(place, more_memory + 4096);
    assert_int_equal(rs_resolve(&view, ref, size - 4095, 64, RS_EXTENT_CL, &place), RS_CORRUPT);
    assert_int_equal(rs_resolve(&view, ref, UINT64_MAX, 64, RS_EXTENT_CL, &place), RS_CORRUPT);
    assert_int_equal(rs_resolve(&view, ref, 64, 64, RS_EXTENT_DP, &place), RS_CORRUPT);
    ref.off = 4100;
    assert_int_equal(rs_resolve(&view, ref, 64, 64, RS_EXTENT_CL, &place), RS_CORRUPT);
    ref = (struct rs_ref){.extent_idx = RS_EXTENTS_MAX, .off = 0};
    assert_int_equal(rs_resolve(&view, ref, 64, 64, RS_EXTENT_CL, &place), RS_CORRUPT);

    uint8_t *base = NULL;
    struct rs_ring_ref ring = {.ref = {.extent_idx = 2, .off = 0}, .size_bytes = 16384};
    assert_int_equal(rs_resolve_ring(&view, &ring, RS_EXTENT_CL, &base), RS_OK);
    assert_ptr_equal(base, more_memory);
    ring.size_bytes = 12288;
    assert_int_equal(rs_resolve_ring(&view, &ring, RS_EXTENT_CL, &base), RS_CORRUPT);
    ring.size_bytes = 32768;
    assert_int_equal(rs_resolve_ring(&view, &ring, RS_EXTENT_CL, &base), RS_CORRUPT);
}

static void limits_are_refused(void **state)
{
    (void)state;
    struct rs_session_config config = good_config();
    assert_int_equal(rs_session_init(header(), &config, RS_PAGE_BYTES, sizeof(cl_memory)),
                     RS_INVALID);
    assert_int_equal(rs_session_init(header(), &config, sizeof(dp_memory), 0), RS_INVALID);
    config.limit_sockets = 0;
    struct rs_session_plan plan;
    assert_int_equal(rs_session_plan(&config, &plan), RS_INVALID);
    assert_int_equal(rs_session_add_extent(header(), 5, RS_EXTENT_DP, 1ull << 32, 1), RS_INVALID);
    assert_int_equal(rs_session_add_extent(header(), 5, RS_EXTENT_DP, 100, 1), RS_INVALID);
    assert_int_equal(rs_session_add_extent(header(), 5, RS_EXTENT_NONE, 4096, 1), RS_INVALID);
    assert_int_equal(rs_session_add_extent(header(), RS_EXTENTS_MAX, RS_EXTENT_DP, 4096, 1),
                     RS_INVALID);
}

static void first_poison_stays(void **state)
{
    (void)state;
    rs_session_poison(header(), RS_POISONED);
    rs_session_poison(header(), RS_CORRUPT);
    assert_int_equal(header()->poisoned, RS_POISONED);
}

static void clock_is_exact(void **state)
{
    (void)state;
    struct rs_clock clock = rs_clock_make(1000000, 1700000000000000000ull, 2000000000u);
    assert_int_equal(rs_clock_unix_ns(&clock, 1000000), 1700000000000000000ull);
    assert_int_equal(rs_clock_unix_ns(&clock, 1000002), 1700000000000000001ull);
    assert_int_equal(rs_clock_unix_ns(&clock, 999998), 1699999999999999999ull);
    /* a year of ticks; at 2 GHz the multiplier is exact */
    uint64_t year_ticks = 2000000000ull * 86400 * 365;
    assert_int_equal(rs_clock_interval_ns(&clock, year_ticks), year_ticks / 2);
    /* a slow counter (multiplier above 2^32), and a fast one: against 128 bits where there are any
     */
    clock = rs_clock_make(0, 0, 24000000);
    assert_int_equal(rs_clock_interval_ns(&clock, 24), 999); /* floor of a floor */
    assert_int_equal(rs_clock_interval_ns(&clock, 24000000) / 10, 99999999);
#ifdef __SIZEOF_INT128__
    static const uint64_t hz[] = {24000000, 999999937, 2496123456, 5000000000};
    for (size_t i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
        clock = rs_clock_make(0, 0, hz[i]);
        for (uint64_t ticks = 1; ticks < 1ull << 60; ticks = ticks * 5 + 3) {
            unsigned __int128 product = (unsigned __int128)ticks * clock.tsc_mult;
            assert_true(rs_clock_interval_ns(&clock, ticks) == (uint64_t)(product >> 32));
        }
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_header_is_copied, make_session),
        cmocka_unit_test(regions_do_not_overlap),
        cmocka_unit_test_setup(version_decides_first, make_session),
        cmocka_unit_test_setup(each_wrong_field_is_named, make_session),
        cmocka_unit_test_setup(references_are_range_checked, make_session),
        cmocka_unit_test_setup(limits_are_refused, make_session),
        cmocka_unit_test_setup(first_poison_stays, make_session),
        cmocka_unit_test(clock_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
