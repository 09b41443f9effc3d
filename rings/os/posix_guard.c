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

#include "rings/os/guard_table.h"
#include "rings/os/posix_internal.h"

static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction guard_previous; /* written before our handler is installed */

/* Replaces the range that holds `at`. Whole, not page by page: the session is over, and one fault
 * is all it may cost. */
static bool guard_replace_range(uintptr_t at)
{
    struct guard_found range;
    if (!guard_table_find(at, &range)) {
        return false;
    }
    void *zeros = mmap((void *)range.base, range.size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) {
        return false;
    }
    atomic_store_explicit(range.faulted, 1, memory_order_release);
    return true;
}

static void guard_on_sigbus(int signal_number, siginfo_t *info, void *context)
{
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

/* Under guard_lock, for every range: others set a SIGBUS handler too (DPDK does, for hot-plug), and
 * the last one wins. */
static enum rs_status guard_install(void)
{
    struct sigaction current;
    if (sigaction(SIGBUS, NULL, &current) != 0) {
        return posix_error("sigaction(SIGBUS)");
    }
    if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == guard_on_sigbus) {
        return RS_OK;
    }
    guard_previous = current;
    struct sigaction action = {.sa_sigaction = guard_on_sigbus,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, NULL) == 0 ? RS_OK : posix_error("sigaction(SIGBUS)");
}

enum rs_status os_guard_add(void *base, uint64_t size_bytes, _Atomic uint32_t *faulted)
{
    uint32_t range_idx = 0;
    (void)pthread_mutex_lock(&guard_lock);
    enum rs_status status = guard_install();
    if (status == RS_OK) {
        status = guard_table_add(base, size_bytes, faulted, &range_idx);
    }
    (void)pthread_mutex_unlock(&guard_lock);
    return status;
}

void os_guard_remove(void *base)
{
    (void)pthread_mutex_lock(&guard_lock);
    guard_table_remove(base);
    (void)pthread_mutex_unlock(&guard_lock);
}

uint32_t os_guard_count(void)
{
    return guard_table_count();
}
