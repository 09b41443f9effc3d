/*
 * Clock, sleep, random bytes and process number on Windows. Any thread.
 */
#include "rings/os/win32_internal.h"

#include <bcrypt.h>

#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 0x2 /* missing in MinGW-w64 10's headers */
#endif

#define CLOCK_UNIX_EPOCH_100NS \
    116444736000000000ull /* 1 January 1970 in FILETIME's count from 1601 */

uint64_t os_monotonic_ns(void)
{
    LARGE_INTEGER ticks;
    LARGE_INTEGER hz;
    (void)QueryPerformanceCounter(&ticks); /* cannot fail since Windows XP */
    (void)QueryPerformanceFrequency(&hz);
    uint64_t seconds = (uint64_t)ticks.QuadPart / (uint64_t)hz.QuadPart;
    uint64_t rest = (uint64_t)ticks.QuadPart % (uint64_t)hz.QuadPart;
    return seconds * OS_NS_PER_S + rest * OS_NS_PER_S / (uint64_t)hz.QuadPart;
}

uint64_t os_reference_ns(void)
{
    return os_monotonic_ns();
}

uint64_t os_unix_ns(void)
{
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    uint64_t count_100ns = ((uint64_t)now.dwHighDateTime << 32) | now.dwLowDateTime;
    return (count_100ns - CLOCK_UNIX_EPOCH_100NS) * 100u;
}

void os_yield(void)
{
    (void)SwitchToThread();
}

/* Sleep() rounds to the system tick, up to 15.6 ms; a high-resolution timer (Windows 10 1803) does
 * not. */
void os_sleep_ns(uint64_t ns)
{
    HANDLE timer =
        CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    if (!timer) {
        timer = CreateWaitableTimerExW(NULL, NULL, 0, TIMER_ALL_ACCESS);
    }
    uint64_t count_100ns = ns / 100u + (ns % 100u != 0);
    LARGE_INTEGER due = {.QuadPart = -(LONGLONG)count_100ns}; /* negative: from now */
    if (!timer || !SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE) ||
        WaitForSingleObject(timer, INFINITE) != WAIT_OBJECT_0) {
        Sleep((DWORD)(ns / OS_NS_PER_MS) + 1);
    }
    if (timer) {
        (void)CloseHandle(timer);
    }
}

enum rs_status os_random(void *out, size_t bytes)
{
    if (bytes > UINT32_MAX) {
        return RS_INVALID;
    }
    if (BCryptGenRandom(NULL, out, (ULONG)bytes, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0) {
        return os_error_set("BCryptGenRandom", NULL);
    }
    return RS_OK;
}

uint32_t os_process_id(void)
{
    return GetCurrentProcessId();
}
