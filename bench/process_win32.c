/* A second program on Windows, see process.h. */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/process.h"

static void process_quote(char *line, size_t bytes, const char *const *argv)
{
    size_t used = 0;
    line[0] = '\0';
    for (; *argv != NULL && used < bytes; argv++) {
        int n = snprintf(line + used, bytes - used, "%s\"%s\"", used != 0 ? " " : "", *argv);
        used += n > 0 ? (size_t)n : 0;
    }
}

bool process_start(const char *const *argv, struct process *out, char *error, size_t error_bytes)
{
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof(inherit), .bInheritHandle = TRUE};
    HANDLE read_end;
    HANDLE write_end;
    *out = (struct process){.handle = -1, .output = -1};
    if (!CreatePipe(&read_end, &write_end, &inherit, 0)) {
        (void)snprintf(error, error_bytes, "CreatePipe: error %lu", GetLastError());
        return false;
    }
    (void)SetHandleInformation(read_end, HANDLE_FLAG_INHERIT, 0);
    char line[1024];
    process_quote(line, sizeof(line), argv);
    STARTUPINFOA start = {.cb = sizeof(start),
                          .dwFlags = STARTF_USESTDHANDLES,
                          .hStdInput = GetStdHandle(STD_INPUT_HANDLE),
                          .hStdOutput = write_end,
                          .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
    PROCESS_INFORMATION info;
    BOOL started = CreateProcessA(NULL, line, NULL, NULL, TRUE, CREATE_NEW_PROCESS_GROUP, NULL,
                                  NULL, &start, &info);
    (void)CloseHandle(write_end);
    if (!started) {
        (void)snprintf(error, error_bytes, "CreateProcess %s: error %lu", argv[0], GetLastError());
        (void)CloseHandle(read_end);
        return false;
    }
    (void)CloseHandle(info.hThread);
    *out = (struct process){.handle = (intptr_t)info.hProcess, .output = (intptr_t)read_end};
    return true;
}

bool process_wait_number(struct process *process, const char *word, uint32_t timeout_ms,
                         uint32_t *out)
{
    char line[512];
    size_t used = 0;
    ULONGLONG deadline_ms = GetTickCount64() + timeout_ms;
    while (GetTickCount64() < deadline_ms) {
        DWORD ready = 0;
        DWORD got = 0;
        char c;
        if (!PeekNamedPipe((HANDLE)process->output, NULL, 0, NULL, &ready, NULL)) {
            return false;
        }
        if (ready == 0) {
            Sleep(1); /* anonymous pipes cannot be waited for with a time-out */
            continue;
        }
        if (!ReadFile((HANDLE)process->output, &c, 1, &got, NULL) || got != 1) {
            return false;
        }
        if (c != '\n') {
            line[used] = c;
            used += used + 1 < sizeof(line);
            continue;
        }
        line[used] = '\0';
        if (strncmp(line, word, strlen(word)) == 0) {
            *out = (uint32_t)strtoul(line + strlen(word), NULL, 10);
            return true;
        }
        used = 0;
    }
    return false;
}

bool process_wait_line(struct process *process, const char *word, uint32_t timeout_ms)
{
    uint32_t nothing;
    return process_wait_number(process, word, timeout_ms, &nothing);
}

int process_stop(struct process *process)
{
    if (process->handle == -1) {
        return 0;
    }
    HANDLE handle = (HANDLE)process->handle;
    DWORD status = (DWORD)-1;
    (void)GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, GetProcessId(handle));
    if (WaitForSingleObject(handle, 2000) != WAIT_OBJECT_0) {
        (void)TerminateProcess(handle, (UINT)-1);
        (void)WaitForSingleObject(handle, 2000);
    }
    (void)GetExitCodeProcess(handle, &status);
    (void)CloseHandle(handle);
    (void)CloseHandle((HANDLE)process->output);
    *process = (struct process){.handle = -1, .output = -1};
    return (int)status;
}

uint32_t process_id(const struct process *process)
{
    return GetProcessId((HANDLE)process->handle);
}

bool process_alive(const struct process *process)
{
    return process->handle > 0 && WaitForSingleObject((HANDLE)process->handle, 0) == WAIT_TIMEOUT;
}

void process_directory(const char *path, char *out, size_t out_bytes)
{
    size_t length = 0;
    for (size_t i = 0; path[i] != '\0'; i++) {
        length = path[i] == '\\' || path[i] == '/' ? i + 1 : length;
    }
    (void)snprintf(out, out_bytes, "%.*s", (int)length, path);
}

void process_temp_directory(char *out, size_t out_bytes)
{
    if (GetTempPathA((DWORD)out_bytes, out) == 0) {
        (void)snprintf(out, out_bytes, ".\\");
    }
}

bool process_stop_is_graceful(void)
{
    return false;
}
