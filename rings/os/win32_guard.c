/*
 * Fault guard on Windows: a fault inside a registered view becomes zero pages and a flag instead of
 * the dataplane's end. Ranges come and go on the control thread, under a lock; the vectored handler
 * runs on whichever thread faulted.
 *
 * When it can happen: the pages of a pagefile section cannot be decommitted, nor the section cut
 * short, by any of its users, so what is left is an in-page error (the pagefile cannot be read
 * back). An access violation inside a range is treated the same: whatever took the page away, the
 * dataplane's other sessions go on.
 */
#include <stdatomic.h>

#include "rings/os/guard_table.h"
#include "rings/os/win32_internal.h"

/* Windows cannot put pages over a view in one step as mmap(2) does, so two threads that fault at
 * once take turns. */
enum guard_state { GUARD_INTACT = 0, GUARD_REPLACING, GUARD_REPLACED };

static _Atomic uint32_t
    guard_states[GUARD_RANGES_MAX]; /* by range; partner: the handler on another thread */
static SRWLOCK guard_lock = SRWLOCK_INIT;
static bool guard_installed; /* under guard_lock */

/* Whole, not page by page: the session is over, and one fault is all it may cost. */
static bool guard_replace_range(uintptr_t at)
{
    struct guard_found range;
    if (!guard_table_find(at, &range)) {
        return false;
    }
    uint32_t state = GUARD_INTACT;
    if (!atomic_compare_exchange_strong(&guard_states[range.range_idx], &state, GUARD_REPLACING)) {
        while (state == GUARD_REPLACING) {
            (void)SwitchToThread();
            state = atomic_load(&guard_states[range.range_idx]);
        }
        return state == GUARD_REPLACED;
    }
    void *base = (void *)range.base; /* NOLINT(performance-no-int-to-ptr) */
    (void)UnmapViewOfFile(base);
    if (VirtualAlloc(base, range.size_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) != base) {
        atomic_store(&guard_states[range.range_idx], GUARD_INTACT);
        return false;
    }
    atomic_store_explicit(range.faulted, 1, memory_order_release);
    atomic_store(&guard_states[range.range_idx], GUARD_REPLACED);
    return true;
}

/* The second parameter of both exceptions is the address: EXCEPTION_RECORD's documentation. */
static LONG WINAPI guard_on_exception(EXCEPTION_POINTERS *exception)
{
    const EXCEPTION_RECORD *record = exception->ExceptionRecord;
    if ((record->ExceptionCode != EXCEPTION_IN_PAGE_ERROR &&
         record->ExceptionCode != EXCEPTION_ACCESS_VIOLATION) ||
        record->NumberParameters < 2) {
        return EXCEPTION_CONTINUE_SEARCH;
    }
    return guard_replace_range((uintptr_t)record->ExceptionInformation[1])
               ? EXCEPTION_CONTINUE_EXECUTION
               : EXCEPTION_CONTINUE_SEARCH;
}

enum rs_status os_guard_add(void *base, uint64_t size_bytes, _Atomic uint32_t *faulted)
{
    uint32_t range_idx = 0;
    enum rs_status status = RS_OK;
    AcquireSRWLockExclusive(&guard_lock);
    if (!guard_installed) {
        guard_installed = AddVectoredExceptionHandler(1, guard_on_exception) != NULL;
        status = guard_installed ? RS_OK : win32_error("AddVectoredExceptionHandler");
    }
    if (status == RS_OK) {
        status = guard_table_add(base, size_bytes, faulted, &range_idx);
    }
    if (status == RS_OK) {
        atomic_store(&guard_states[range_idx], GUARD_INTACT);
    }
    ReleaseSRWLockExclusive(&guard_lock);
    return status;
}

void os_guard_remove(void *base)
{
    AcquireSRWLockExclusive(&guard_lock);
    guard_table_remove(base);
    ReleaseSRWLockExclusive(&guard_lock);
}

uint32_t os_guard_count(void)
{
    return guard_table_count();
}
