/*
 * Process watch and the shutdown requests on Windows. Called by the control thread, by a client
 * that waits, and by main.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "rings/os/win32_internal.h"

#include <psapi.h> /* after windows.h */

/* The system ends the process when the handler of a closing console returns, or after 5 s: the time
 * is main's to clean up. */
#define SHUTDOWN_HOLD_MS 10000u

enum rs_status os_process_open(uint32_t pid, struct os_process *out)
{
    *out = (struct os_process){.handle = -1, .pid = pid};
    if (pid == 0) {
        return RS_INVALID;
    }
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, pid);
    if (!process) {
        (void)win32_error("OpenProcess");
        switch (GetLastError()) {
        case ERROR_INVALID_PARAMETER: /* the documented answer for a number that no process has */
            return RS_DATAPLANE_GONE;
        case ERROR_ACCESS_DENIED:
            return RS_ATTACH_REFUSED;
        default:
            return RS_OS_ERROR;
        }
    }
    out->handle = (intptr_t)process;
    return RS_OK;
}

bool os_process_alive(const struct os_process *process)
{
    HANDLE handle = win32_handle(process->handle);
    return win32_handle_valid(handle) && WaitForSingleObject(handle, 0) == WAIT_TIMEOUT;
}

void os_process_close(struct os_process *process)
{
    os_handle_close(process->handle);
    process->handle = -1;
}

/* The watched handle may only wait; a second one asks. While the first is open the number stays
 * this process's. */
void os_process_name(const struct os_process *process, char *out, size_t bytes)
{
    char path[MAX_PATH];
    DWORD length = MAX_PATH;
    out[0] = '\0';
    HANDLE asked = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, process->pid);
    if (!asked) {
        return;
    }
    if (QueryFullProcessImageNameA(asked, 0, path, &length)) {
        const char *name = strrchr(path, '\\');
        (void)snprintf(out, bytes, "%s", name != NULL ? name + 1 : path);
    }
    (void)CloseHandle(asked);
}

void os_process_usage(struct os_usage *out)
{
    PROCESS_MEMORY_COUNTERS memory = {.cb = sizeof(memory)};
    DWORD handles = 0;
    out->resident_bytes = K32GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof(memory))
                              ? memory.WorkingSetSize
                              : UINT64_MAX;
    out->handles = GetProcessHandleCount(GetCurrentProcess(), &handles) ? handles : UINT64_MAX;
}

void os_handle_close(intptr_t handle)
{
    if (win32_handle_valid(win32_handle(handle))) {
        (void)CloseHandle(win32_handle(handle));
    }
}

/* Written once by os_on_shutdown; partner: the handler, on a thread that the system makes for it.
 */
static struct os_event *_Atomic shutdown_event;

static BOOL WINAPI shutdown_on_control(DWORD control)
{
    struct os_event *event = atomic_load(&shutdown_event);
    if (!event) {
        return FALSE;
    }
    os_event_signal(event);
    if (control != CTRL_C_EVENT && control != CTRL_BREAK_EVENT) {
        Sleep(SHUTDOWN_HOLD_MS);
    }
    return TRUE;
}

enum rs_status os_on_shutdown(struct os_event *event)
{
    struct os_event *none = NULL;
    if (!atomic_compare_exchange_strong(&shutdown_event, &none, event)) {
        return RS_ALREADY;
    }
    if (!SetConsoleCtrlHandler(shutdown_on_control, TRUE)) {
        atomic_store(&shutdown_event, NULL);
        return win32_error("SetConsoleCtrlHandler");
    }
    return RS_OK;
}
