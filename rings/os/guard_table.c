/*
 * The table behind guard_table.h. Written by the control thread under its lock, read by whichever
 * thread faulted.
 */
#include <stdatomic.h>

#include "rings/os/guard_table.h"

/*
 * One range. version is odd while the entry changes. Partner of all four words: the fault handler,
 * which takes an entry only if version is even and the same before and after. The entry of a
 * mapping that is being read cannot change, so an unstable one is never the one it looks for.
 */
struct guard_range {
    _Atomic uint32_t version;
    _Atomic uintptr_t base; /* 0: free */
    _Atomic size_t size_bytes;
    _Atomic uint32_t *_Atomic faulted;
};

static struct guard_range guard_ranges[GUARD_RANGES_MAX];
static _Atomic uint32_t
    guard_used; /* entries [0, used) were taken at some time; partner: the fault handler */

static uint32_t guard_first_free; /* no entry before it is free; under the caller's lock */

static void guard_range_write(struct guard_range *range, uintptr_t base, size_t size_bytes,
                              _Atomic uint32_t *faulted)
{
    atomic_fetch_add(&range->version, 1);
    atomic_store(&range->base, base);
    atomic_store(&range->size_bytes, size_bytes);
    atomic_store(&range->faulted, faulted);
    atomic_fetch_add(&range->version, 1);
}

enum rs_status guard_table_add(void *base, uint64_t size_bytes, _Atomic uint32_t *faulted,
                               uint32_t *range_idx)
{
    if (!base || size_bytes == 0 || size_bytes > SIZE_MAX || !faulted) {
        return RS_INVALID;
    }
    uint32_t idx = guard_first_free;
    while (idx < GUARD_RANGES_MAX && atomic_load(&guard_ranges[idx].base) != 0) {
        idx++;
    }
    guard_first_free = idx;
    if (idx == GUARD_RANGES_MAX) {
        return RS_NO_BUFFERS;
    }
    guard_range_write(&guard_ranges[idx], (uintptr_t)base, (size_t)size_bytes, faulted);
    if (idx >= atomic_load(&guard_used)) {
        atomic_store(&guard_used, idx + 1);
    }
    *range_idx = idx;
    return RS_OK;
}

void guard_table_remove(const void *base)
{
    const uint32_t used = atomic_load(&guard_used);
    for (uint32_t i = 0; base && i < used; i++) {
        if (atomic_load(&guard_ranges[i].base) == (uintptr_t)base) {
            guard_range_write(&guard_ranges[i], 0, 0, NULL);
            guard_first_free = i < guard_first_free ? i : guard_first_free;
            return;
        }
    }
}

uint32_t guard_table_count(void)
{
    const uint32_t used = atomic_load(&guard_used);
    uint32_t count = 0;
    for (uint32_t i = 0; i < used; i++) {
        count += atomic_load(&guard_ranges[i].base) != 0;
    }
    return count;
}

bool guard_table_find(uintptr_t at, struct guard_found *out)
{
    const uint32_t used = atomic_load(&guard_used);
    for (uint32_t i = 0; i < used; i++) {
        struct guard_range *range = &guard_ranges[i];
        uint32_t version = atomic_load(&range->version);
        *out = (struct guard_found){.range_idx = i,
                                    .base = atomic_load(&range->base),
                                    .size_bytes = atomic_load(&range->size_bytes),
                                    .faulted = atomic_load(&range->faulted)};
        bool stable = !(version & 1u) && atomic_load(&range->version) == version;
        if (stable && out->base != 0 && at >= out->base && at - out->base < out->size_bytes) {
            return true;
        }
    }
    return false;
}
