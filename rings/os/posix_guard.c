/*
 * Fault guard on Linux: a SIGBUS inside a registered mapping becomes zero pages and a flag instead
 * of the dataplane's end. Ranges come and go on the control thread, under a lock; the handler runs
 * on whichever thread faulted and reads the table without one.
 *
 * When it can happen: the client can neither shrink nor grow a sealed memfd, and a hole that it
 * punches reads as zeros; what is left is memory the system cannot bring in (a hardware memory
 * error, a memory limit).
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "rings/os/posix_internal.h"

/*
 * One registered range. version is odd while the entry changes. Partner of all four words: the
 * handler, which takes an entry only if version is even and the same before and after; the entry of
 * a mapping that is being read cannot change, so an unstable one is never the one it looks for.
 */
struct guard_range {
    _Atomic uint32_t version;
    _Atomic uintptr_t base; /* 0: free */
    _Atomic size_t size_bytes;
    _Atomic uint32_t *_Atomic faulted;
};

static struct guard_range guard_ranges[OS_GUARD_RANGES];
static _Atomic uint32_t
    guard_used; /* entries [0, used) have ever been taken; partner: the handler */
static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static bool guard_installed;            /* under guard_lock */
static struct sigaction guard_previous; /* written before the handler is installed */

/* Replaces the range that holds `at`. Whole, not page by page: the session is over, and one fault
 * is all it may cost. */
static bool guard_replace_range(uintptr_t at) {
    const uint32_t used = atomic_load(&guard_used);
    for (uint32_t i = 0; i < used; i++) {
        struct guard_range *range = &guard_ranges[i];
        uint32_t version = atomic_load(&range->version);
        uintptr_t base = atomic_load(&range->base);
        size_t size_bytes = atomic_load(&range->size_bytes);
        _Atomic uint32_t *faulted = atomic_load(&range->faulted);
        if ((version & 1u) || base == 0 || at < base || at - base >= size_bytes ||
            atomic_load(&range->version) != version) {
            continue;
        }
        void *zeros = mmap((void *)base, size_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (zeros == MAP_FAILED) {
            return false;
        }
        atomic_store_explicit(faulted, 1, memory_order_release);
        return true;
    }
    return false;
}

static void guard_on_sigbus(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    int error = errno;
    bool from_fault = info->si_code > 0; /* sigaction(2): <= 0 is a signal somebody sent */
    if (!from_fault || !guard_replace_range((uintptr_t)info->si_addr)) {
        /* Not ours: what was there before decides. A fault comes again when the instruction is
         * retried, a sent signal does not. */
        (void)sigaction(signal_number, &guard_previous, NULL);
        if (!from_fault) {
            (void)raise(signal_number);
        }
    }
    errno = error;
}

static enum rs_status guard_install(void) {
    if (guard_installed) {
        return RS_OK;
    }
    if (sigaction(SIGBUS, NULL, &guard_previous) != 0) {
        return posix_error("sigaction(SIGBUS)");
    }
    struct sigaction action = {.sa_sigaction = guard_on_sigbus,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) != 0) {
        return posix_error("sigaction(SIGBUS)");
    }
    guard_installed = true;
    return RS_OK;
}

/* Under guard_lock. base 0 frees the entry. */
static void guard_write(struct guard_range *range, uintptr_t base, size_t size_bytes,
                        _Atomic uint32_t *faulted) {
    atomic_fetch_add(&range->version, 1);
    atomic_store(&range->base, base);
    atomic_store(&range->size_bytes, size_bytes);
    atomic_store(&range->faulted, faulted);
    atomic_fetch_add(&range->version, 1);
}

enum rs_status os_guard_add(void *base, uint64_t size_bytes, _Atomic uint32_t *faulted) {
    if (!base || size_bytes == 0 || size_bytes > SIZE_MAX || !faulted) {
        return RS_INVALID;
    }
    (void)pthread_mutex_lock(&guard_lock);
    enum rs_status status = guard_install();
    uint32_t idx = 0;
    while (idx < OS_GUARD_RANGES && atomic_load(&guard_ranges[idx].base) != 0) {
        idx++;
    }
    if (status == RS_OK && idx == OS_GUARD_RANGES) {
        status = RS_NO_BUFFERS;
    }
    if (status == RS_OK) {
        guard_write(&guard_ranges[idx], (uintptr_t)base, (size_t)size_bytes, faulted);
        if (idx >= atomic_load(&guard_used)) {
            atomic_store(&guard_used, idx + 1);
        }
    }
    (void)pthread_mutex_unlock(&guard_lock);
    return status;
}

void os_guard_remove(void *base) {
    (void)pthread_mutex_lock(&guard_lock);
    for (uint32_t i = 0; i < OS_GUARD_RANGES; i++) {
        if (base && atomic_load(&guard_ranges[i].base) == (uintptr_t)base) {
            guard_write(&guard_ranges[i], 0, 0, NULL);
            break;
        }
    }
    (void)pthread_mutex_unlock(&guard_lock);
}
