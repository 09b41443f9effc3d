/* See other_kit.h. */
#include "tests/spi/other_kit.h"

#include <stdio.h>
#include <string.h>

/* ---- the other process ---- */

struct other_process other;

void other_start(void)
{
    char path[MAX_PATH];
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof(inherit), .bInheritHandle = TRUE};
    STARTUPINFOA start = {.cb = sizeof(start), .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION made;
    assert_true(GetModuleFileNameA(NULL, path, sizeof(path)) < sizeof(path) - 16);
    static const char name[] = "spi_other.exe";
    memcpy(strrchr(path, '\\') + 1, name, sizeof(name));
    assert_true(CreatePipe(&start.hStdInput, &other.to, &inherit, 0));
    assert_true(CreatePipe(&other.from, &start.hStdOutput, &inherit, 0));
    assert_true(SetHandleInformation(other.to, HANDLE_FLAG_INHERIT, 0));
    assert_true(SetHandleInformation(other.from, HANDLE_FLAG_INHERIT, 0));
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    if (!CreateProcessA(path, NULL, NULL, NULL, TRUE, 0, NULL, NULL, &start, &made)) {
        fail_msg("%s: cannot be started: error %lu", path, GetLastError());
    }
    CloseHandle(made.hThread);
    CloseHandle(start.hStdInput);
    CloseHandle(start.hStdOutput);
    other.process = made.hProcess;
    other.id = made.dwProcessId;
}

/* It is gone when this returns. */
void other_end(bool kill)
{
    if (kill) { /* before it can see that the input ends */
        TerminateProcess(other.process, 9);
    }
    CloseHandle(other.to);
    if (WaitForSingleObject(other.process, 10000) != WAIT_OBJECT_0) {
        TerminateProcess(other.process, 9);
        fail_msg("waited 10 s for the other process to end");
    }
    CloseHandle(other.from);
    CloseHandle(other.process);
    memset(&other, 0, sizeof(other));
}

struct other_answer other_ask(const struct other_request *request)
{
    struct other_answer answer = {0};
    DWORD bytes = 0;
    assert_true(WriteFile(other.to, request, sizeof(*request), &bytes, NULL));
    if (!ReadFile(other.from, &answer, sizeof(answer), &bytes, NULL) || bytes != sizeof(answer)) {
        fail_msg("the other process did not answer request %u", request->op);
    }
    return answer;
}

/* The value of an answer that is no error. */
DWORD other_do(unsigned op, int level, int name, DWORD value)
{
    const struct other_request request = {.op = op, .level = level, .name = name, .value = value};
    struct other_answer answer = other_ask(&request);
    if (answer.result == SOCKET_ERROR) {
        fail_msg("request %u of the other process failed with error %d", op, answer.error);
    }
    return answer.value;
}

int other_error(unsigned op, DWORD value)
{
    const struct other_request request = {.op = op, .value = value};
    struct other_answer answer = other_ask(&request);
    return answer.result == SOCKET_ERROR ? answer.error : 0;
}

struct other_answer other_open(const WSAPROTOCOL_INFOW *info)
{
    struct other_request request = {.op = OTHER_OPEN, .info = *info, .value = 1};
    return other_ask(&request);
}

void other_send(const char *text)
{
    struct other_request request = {.op = OTHER_SEND, .value = (DWORD)strlen(text)};
    memcpy(request.data, text, strlen(text));
    struct other_answer answer = other_ask(&request);
    assert_int_equal(answer.result, 0);
    assert_int_equal(answer.value, strlen(text));
}

void other_expect(const char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        const struct other_request request = {.op = OTHER_RECV, .value = (DWORD)(length - at)};
        struct other_answer answer = other_ask(&request);
        if (answer.result == SOCKET_ERROR || answer.value == 0) {
            fail_msg("the other process: error %d instead of \"%s\"", answer.error, text + at);
        }
        assert_memory_equal(answer.data, text + at, answer.value);
        at += answer.value;
    }
}

/* ---- descriptors ---- */

WSAPROTOCOL_INFOW duplicate_info(SOCKET s, DWORD process_id)
{
    WSAPROTOCOL_INFOW info;
    memset(&info, 0xee, sizeof(info));
    OK(TABLE->lpWSPDuplicateSocket(s, process_id, &info, &spi_error));
    return info;
}

SOCKET duplicate_open(WSAPROTOCOL_INFOW *info)
{
    return TABLE->lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, info, 0,
                              WSA_FLAG_OVERLAPPED, &spi_error);
}

SOCKET duplicate_here(SOCKET s)
{
    WSAPROTOCOL_INFOW info = duplicate_info(s, GetCurrentProcessId());
    SOCKET twin = duplicate_open(&info);
    if (twin == INVALID_SOCKET) {
        fail_msg("WSPSocket with WSPDuplicateSocket's structure failed with error %d", spi_error);
    }
    spi_keep(twin);
    return twin;
}
