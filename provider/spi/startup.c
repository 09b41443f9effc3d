/*
 * The DLL's one export, its count against WSPCleanup, and its load. Any thread; startup_lock around
 * the count. No attach happens here, see session.c.
 */
#include "provider/spi/catalog.h"
#include "provider/spi/helper.h"
#include "provider/spi/overlapped.h"

#define SPI_VERSION MAKEWORD(2, 2)

WSPUPCALLTABLE spi_upcalls;
WSAPROTOCOL_INFOW spi_protocol;

static SRWLOCK startup_lock = SRWLOCK_INIT;
static _Atomic uint32_t startup_count; /* written under startup_lock; partner: spi_started */

bool spi_started(void)
{
    return atomic_load_explicit(&startup_count, memory_order_acquire) != 0;
}

/* The versions 2.0 to 2.2 are the same table. Below, the calling conventions differ. */
static WORD startup_version(WORD requested)
{
    if (LOBYTE(requested) < 2) {
        return 0;
    }
    if (LOBYTE(requested) > 2 || HIBYTE(requested) > HIBYTE(SPI_VERSION)) {
        return SPI_VERSION;
    }
    return requested;
}

static int startup_begin(const WSAPROTOCOL_INFOW *info, const WSPUPCALLTABLE *upcalls)
{
    uint32_t count = atomic_load_explicit(&startup_count, memory_order_relaxed);
    if (count == UINT32_MAX) {
        return WSAEPROCLIM;
    }
    if (count == 0) {
        spi_upcalls = *upcalls;
        spi_overlapped_init();
        spi_protocol = info != NULL ? *info : spi_catalog_entries[0];
    }
    atomic_store_explicit(&startup_count, count + 1, memory_order_release);
    return 0;
}

/* Windows' header names the parameters in its own way. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int WSPAPI WSPStartup(WORD version, LPWSPDATA data, LPWSAPROTOCOL_INFOW info,
                      WSPUPCALLTABLE upcalls, LPWSPPROC_TABLE table)
{
    WORD agreed = startup_version(version);
    if (!spi_can_write(data, sizeof(*data)) || !spi_can_write(table, sizeof(*table)) ||
        (info != NULL && !spi_can_read(info, sizeof(*info)))) {
        return WSAEFAULT;
    }
    if (agreed == 0) {
        return WSAVERNOTSUPPORTED;
    }
    /* Without these two no socket can exist. */
    if (upcalls.lpWPUCreateSocketHandle == NULL || upcalls.lpWPUCloseSocketHandle == NULL) {
        return WSASYSNOTREADY;
    }
    if (spi_hook_is_inside()) {
        return WSAEINPROGRESS;
    }
    AcquireSRWLockExclusive(&startup_lock);
    int error = startup_begin(info, &upcalls);
    ReleaseSRWLockExclusive(&startup_lock);
    if (error != 0) {
        return error;
    }
    *data = (WSPDATA){.wVersion = agreed,
                      .wHighVersion = SPI_VERSION,
                      .szDescription = L"Ringsock kernel-bypass service provider"};
    spi_table_fill(table);
    return 0;
}

int WSPAPI spi_cleanup(LPINT error)
{
    if (spi_hook_is_inside()) {
        return spi_fail(error, WSAEINPROGRESS);
    }
    AcquireSRWLockExclusive(&startup_lock);
    uint32_t count = atomic_load_explicit(&startup_count, memory_order_relaxed);
    if (count != 0) {
        atomic_store_explicit(&startup_count, count - 1, memory_order_release);
    }
    if (count == 1) {
        spi_sockets_close_all();
        spi_helper_stop();
        spi_session_drop_current();
    }
    ReleaseSRWLockExclusive(&startup_lock);
    return count == 0 ? spi_fail(error, WSANOTINITIALISED) : 0;
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        spi_probe_init();
        spi_hook_install();
        /* For good: threads that spin in shared memory and per-thread destructors must not find
         * their code unloaded. */
        HMODULE pinned = NULL;
        return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN |
                                      GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                                  (LPCWSTR)(void *)instance, &pinned);
    }
    return TRUE;
}
