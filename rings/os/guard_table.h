/*
 * The ranges that the fault guard knows, readable without a lock from a fault handler. Portable
 * half of posix_guard.c and win32_guard.c: they hold their own lock around guard_table_add and
 * guard_table_remove, and call guard_table_find in the handler.
 */
#ifndef RINGSOCK_RINGS_OS_GUARD_TABLE_H
#define RINGSOCK_RINGS_OS_GUARD_TABLE_H

#include "rings/os/internal.h"

/* 1,024 sessions of 64 extents each: no program takes another one's room. */
#define GUARD_RANGES_MAX 65536u

struct guard_found {
    uint32_t range_idx;
    uintptr_t base;
    size_t size_bytes;
    _Atomic uint32_t *faulted;
};

/* RS_NO_BUFFERS when the table is full, RS_INVALID for an empty range. *range_idx: the entry taken.
 */
RS_CHECK_RESULT enum rs_status guard_table_add(void *base, uint64_t size_bytes,
                                               _Atomic uint32_t *faulted, uint32_t *range_idx);
void guard_table_remove(const void *base);
/* Entries taken. */
uint32_t guard_table_count(void);
/* The range that holds an address. Async-signal-safe, any thread. */
bool guard_table_find(uintptr_t at, struct guard_found *out);

#endif
