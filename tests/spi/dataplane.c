/*
 * ringsockd.exe for a test program: a config file of its own, start, ready line, stop. The process
 * is in a job that ends it when this program ends in whatever way. Test thread.
 */
#include <stdio.h>
#include <string.h>

#include "tests/spi/spi_test.h"

#define READY_MS 20000u
#define STOP_MS  5000u
#define LOOK_MS  5u

static PROCESS_INFORMATION dataplane;
static HANDLE dataplane_out;
static char dataplane_config[MAX_PATH];

static int write_config(const char *instance)
{
    char folder[MAX_PATH];
    if (GetTempPathA(sizeof(folder), folder) == 0) {
        return 0;
    }
    snprintf(dataplane_config, sizeof(dataplane_config), "%s%s.conf", folder, instance);
    FILE *file = fopen(dataplane_config, "w");
    if (file == NULL) {
        return 0;
    }
    fprintf(file,
            "[nic]\ndevice = loopback\n[queue]\nidle = yield\n[ip]\naddress = %s/24\n"
            "[instance]\nname = %s\nclient_idle = yield\n",
            SPI_OWN, instance);
    return fclose(file) == 0;
}

static int start_process(char *command)
{
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof(inherit), .bInheritHandle = TRUE};
    HANDLE write_end = NULL;
    if (!CreatePipe(&dataplane_out, &write_end, &inherit, 65536)) {
        return 0;
    }
    SetHandleInformation(dataplane_out, HANDLE_FLAG_INHERIT, 0);
    STARTUPINFOA info = {.cb = sizeof(info),
                         .dwFlags = STARTF_USESTDHANDLES,
                         .hStdInput = INVALID_HANDLE_VALUE,
                         .hStdOutput = write_end,
                         .hStdError = write_end};
    int started = CreateProcessA(NULL, command, NULL, NULL, TRUE, CREATE_NEW_PROCESS_GROUP, NULL,
                                 NULL, &info, &dataplane);
    CloseHandle(write_end);
    if (started) {
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit = {.BasicLimitInformation.LimitFlags =
                                                          JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE};
        HANDLE job = CreateJobObjectW(NULL, NULL);
        SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit, sizeof(limit));
        AssignProcessToJobObject(job, dataplane.hProcess);
    }
    return started;
}

/* Reads on until the text has `wanted`, the process ends or the time is over. */
static int await_text(const char *wanted, char *text, size_t text_bytes, DWORD most_ms)
{
    size_t length = 0;
    for (DWORD waited = 0; waited < most_ms; waited += LOOK_MS) {
        DWORD ready = 0;
        while (length + 1 < text_bytes &&
               PeekNamedPipe(dataplane_out, NULL, 0, NULL, &ready, NULL) && ready != 0) {
            DWORD got = 0;
            if (!ReadFile(dataplane_out, text + length, 1, &got, NULL) || got == 0) {
                return 0;
            }
            text[++length] = '\0';
        }
        if (strstr(text, wanted) != NULL) {
            return 1;
        }
        if (WaitForSingleObject(dataplane.hProcess, LOOK_MS) == WAIT_OBJECT_0) {
            return 0;
        }
    }
    return 0;
}

int dataplane_start(void)
{
    char instance[32];
    char program[MAX_PATH];
    char command[3 * MAX_PATH];
    char text[4096] = "";
    snprintf(instance, sizeof(instance), "spi-%lu", GetCurrentProcessId());
    if (!write_config(instance) || GetModuleFileNameA(NULL, program, sizeof(program)) == 0) {
        print_error("cannot write a config file\n");
        return 0;
    }
    *strrchr(program, '\\') = '\0';
    snprintf(command, sizeof(command), "\"%s\\ringsockd.exe\" \"%s\"", program, dataplane_config);
    if (_putenv_s("RINGSOCK_INSTANCE", instance) != 0 || !start_process(command)) {
        print_error("cannot start %s: error %lu\n", command, GetLastError());
        return 0;
    }
    if (!await_text("ringsockd: ready", text, sizeof(text), READY_MS)) {
        print_error("ringsockd was not ready in %u ms; it said: %s\n", READY_MS, text);
        return 0;
    }
    return 1;
}

int dataplane_stop(void)
{
    DWORD status = (DWORD)-1;
    char text[16384] = "";
    GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, dataplane.dwProcessId);
    (void)await_text("\x01", text, sizeof(text), STOP_MS); /* until it ends */
    if (WaitForSingleObject(dataplane.hProcess, 0) == WAIT_OBJECT_0) {
        GetExitCodeProcess(dataplane.hProcess, &status);
        if (status != 0) {
            print_error("ringsockd ended with %lu: %s\n", status, text);
        }
    } else {
        TerminateProcess(dataplane.hProcess, 1);
        WaitForSingleObject(dataplane.hProcess, STOP_MS);
    }
    CloseHandle(dataplane.hProcess);
    CloseHandle(dataplane.hThread);
    CloseHandle(dataplane_out);
    DeleteFileA(dataplane_config);
    return (int)status;
}
