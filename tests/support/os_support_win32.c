/*
 * os_support.h on Windows.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/os_support.h"

#define SUPPORT_COMMAND_CHARS 1024

static char runtime_name[32];

_Noreturn void test_fail(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: failed: %s (GetLastError %lu, last error '%s')\n", file, line,
                  what, GetLastError(), os_last_error_text());
    exit(1);
}

/* ---- processes ---- */

static struct test_process support_start(const char *program, const char *const *arguments)
{
    char command[SUPPORT_COMMAND_CHARS];
    int chars = snprintf(command, sizeof command, "\"%s\"", program);
    for (; *arguments; arguments++) {
        chars += snprintf(command + chars, sizeof command - (size_t)chars, " \"%s\"", *arguments);
        CHILD_CHECK(chars > 0 && (size_t)chars < sizeof command);
    }
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION started;
    CHILD_CHECK(
        CreateProcessA(program, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &started));
    (void)CloseHandle(started.hThread);
    return (struct test_process){.handle = (intptr_t)started.hProcess, .pid = started.dwProcessId};
}

struct test_process test_process_spawn(const char *const argv[])
{
    return support_start(argv[0], argv + 1);
}

struct test_process test_process_spawn_self(const char *role, const char *arg, const char *arg2)
{
    char path[MAX_PATH];
    DWORD chars = GetModuleFileNameA(NULL, path, sizeof path);
    CHILD_CHECK(chars > 0 && chars < sizeof path);
    const char *const arguments[] = {role, arg, arg2, NULL};
    return support_start(path, arguments);
}

void test_process_kill(const struct test_process *process)
{
    CHILD_CHECK(TerminateProcess((HANDLE)process->handle, 99));
}

/* NTSTATUS codes of severity 'error' are exceptions. */
int test_process_wait(struct test_process *process)
{
    DWORD code = 0;
    CHILD_CHECK(WaitForSingleObject((HANDLE)process->handle, INFINITE) == WAIT_OBJECT_0);
    CHILD_CHECK(GetExitCodeProcess((HANDLE)process->handle, &code));
    (void)CloseHandle((HANDLE)process->handle);
    process->handle = 0;
    return code >= 0xC0000000u ? -1 : (int)code;
}

uint32_t test_handle_count(void)
{
    DWORD count = 0;
    CHILD_CHECK(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

/* ---- runtime folder ---- */

const char *test_runtime_enter(void)
{
    (void)snprintf(runtime_name, sizeof runtime_name, "test-%lu", GetCurrentProcessId());
    return runtime_name;
}

void test_runtime_leave(void) {}

void test_runtime_forget(const char *name)
{
    (void)name;
}

/* ---- memory ---- */

const char *test_memory_attack(const struct os_shm *shm)
{
    HANDLE section = (HANDLE)shm->handle;
    HANDLE more = NULL;
    DWORD before = 0;
    if (MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0)) {
        return "MapViewOfFile writable";
    }
    if (VirtualProtect(shm->base, (SIZE_T)shm->size_bytes, PAGE_READWRITE, &before)) {
        return "VirtualProtect to writable";
    }
    if (DuplicateHandle(GetCurrentProcess(), section, GetCurrentProcess(), &more,
                        SECTION_MAP_READ | SECTION_MAP_WRITE, FALSE, 0)) {
        return "DuplicateHandle with more rights";
    }
    if (VirtualFree(shm->base, (SIZE_T)shm->size_bytes, MEM_DECOMMIT)) {
        return "VirtualFree(MEM_DECOMMIT)";
    }
    return NULL;
}

const uint32_t test_memory_holes_unsealed = 0;

uint32_t test_memory_holes(const struct os_shm *shm)
{
    (void)shm;
    return 0;
}

bool test_memory_deny_seal(const struct os_shm *shm)
{
    (void)shm;
    return false;
}

void *test_memory_make_broken(size_t size_bytes)
{
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, (DWORD)size_bytes, NULL);
    CHILD_CHECK(section);
    unsigned char *base = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    CHILD_CHECK(base);
    memset(base, 0x5a, size_bytes);
    DWORD before = 0;
    CHILD_CHECK(VirtualProtect(base + size_bytes / 2, size_bytes / 2, PAGE_NOACCESS, &before));
    (void)CloseHandle(section);
    return base;
}

void test_quiet_crash(void)
{
    (void)SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
}

bool test_memory_hidden_from_fork(const void *base)
{
    (void)base;
    return true; /* no fork */
}

/* ---- connection ---- */

/* The header of win32_connection.c, written down again on purpose: a hostile peer has only the
 * bytes. */
struct support_frame {
    uint32_t magic;
    uint16_t payload_bytes;
    uint16_t handle_count;
    int64_t process;
    int64_t handles[OS_CONN_HANDLES];
    unsigned char payload[OS_CONN_MESSAGE_BYTES + 1];
};

static void support_write(const struct os_conn *conn, const struct support_frame *frame,
                          size_t payload_bytes)
{
    OVERLAPPED write = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    DWORD written = 0;
    const DWORD bytes = (DWORD)(offsetof(struct support_frame, payload) + payload_bytes);
    CHILD_CHECK(write.hEvent);
    CHILD_CHECK(WriteFile((HANDLE)conn->handle, frame, bytes, NULL, &write) ||
                GetLastError() == ERROR_IO_PENDING);
    CHILD_CHECK(GetOverlappedResult((HANDLE)conn->handle, &write, &written, TRUE));
    CHILD_CHECK(written == bytes);
    (void)CloseHandle(write.hEvent);
}

void test_conn_send_too_long(struct os_conn *conn)
{
    static const struct support_frame frame = {.magic = 0x314e4352u,
                                               .payload_bytes = OS_CONN_MESSAGE_BYTES + 1};
    support_write(conn, &frame, OS_CONN_MESSAGE_BYTES + 1);
}

bool test_conn_send_handle_to_dataplane(struct os_conn *conn)
{
    struct support_frame frame = {.magic = 0x314e4352u, .payload_bytes = 1, .handle_count = 1};
    frame.handles[0] =
        conn->handle; /* in these tests both ends are in one process: it would be closed */
    support_write(conn, &frame, 1);
    return true;
}

void test_conn_send_too_many_handles(struct os_conn *conn)
{
    struct support_frame frame = {
        .magic = 0x314e4352u, .payload_bytes = 1, .handle_count = OS_CONN_HANDLES + 1};
    support_write(conn, &frame, 1);
}

/* ---- shutdown ---- */

/* A console of our own, so that nobody else gets the Ctrl-C. */
bool test_request_shutdown(void)
{
    (void)FreeConsole();
    return AllocConsole() && GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
}
