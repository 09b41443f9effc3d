/* See other.h. Started by case_duplicate.c. */
#include "tests/spi/other.h"
#include "rings/byteorder.h"

#include <string.h>

#include "provider/host/host.h"

static struct host_provider provider;
static SOCKET s = INVALID_SOCKET, listener = INVALID_SOCKET;
#define TABLE (&provider.table)

static void do_open(const struct other_request *request, struct other_answer *answer)
{
    WSAPROTOCOL_INFOW info = request->info;
    DWORD timeout_ms = 5000;
    s = TABLE->lpWSPSocket(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0, 0,
                           &answer->error);
    answer->result = s == INVALID_SOCKET ? SOCKET_ERROR : 0;
    if (request->value != 0 && s != INVALID_SOCKET) {
        answer->result = TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&timeout_ms,
                                                sizeof(timeout_ms), &answer->error);
    }
}

static void do_bytes(const struct other_request *request, struct other_answer *answer)
{
    WSABUF buffer = {.len = request->value, .buf = answer->data};
    DWORD flags = 0;
    if (request->op == OTHER_SEND) {
        memcpy(answer->data, request->data, sizeof(answer->data));
        answer->result =
            TABLE->lpWSPSend(s, &buffer, 1, &answer->value, 0, NULL, NULL, NULL, &answer->error);
    } else {
        answer->result = TABLE->lpWSPRecv(s, &buffer, 1, &answer->value, &flags, NULL, NULL, NULL,
                                          &answer->error);
    }
}

static void do_option(const struct other_request *request, struct other_answer *answer)
{
    struct linger linger = {.l_onoff = 1, .l_linger = (u_short)request->value};
    DWORD value = request->value;
    DWORD returned;
    int bytes = sizeof(value);
    if (request->op == OTHER_SET) {
        answer->result = TABLE->lpWSPSetSockOpt(s, request->level, request->name, (char *)&value,
                                                sizeof(value), &answer->error);
    } else if (request->op == OTHER_GET) {
        answer->result = TABLE->lpWSPGetSockOpt(s, request->level, request->name, (char *)&value,
                                                &bytes, &answer->error);
    } else if (request->op == OTHER_LINGER) {
        answer->result = TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_LINGER, (char *)&linger,
                                                sizeof(linger), &answer->error);
    } else {
        answer->result = TABLE->lpWSPIoctl(s, (DWORD)request->name, &value, sizeof(value), NULL, 0,
                                           &returned, NULL, NULL, NULL, &answer->error);
    }
    answer->value = value;
}

static void do_rest(const struct other_request *request, struct other_answer *answer)
{
    SOCKADDR_IN at = {.sin_family = AF_INET};
    int bytes = sizeof(at);
    at.sin_addr.s_addr = rs_be32(INADDR_LOOPBACK);
    fd_set set = {.fd_count = 1, .fd_array = {s}};
    struct timeval timeout = {.tv_sec = 5};
    switch (request->op) {
    case OTHER_SHUTDOWN:
        answer->result = TABLE->lpWSPShutdown(s, (int)request->value, &answer->error);
        break;
    case OTHER_CLOSE:
        answer->result = TABLE->lpWSPCloseSocket(s, &answer->error);
        if (listener != INVALID_SOCKET) {
            s = listener;
            listener = INVALID_SOCKET;
        }
        break;
    case OTHER_ACCEPT:
        listener = s;
        s = TABLE->lpWSPAccept(listener, NULL, NULL, NULL, 0, &answer->error);
        answer->result = s == INVALID_SOCKET ? SOCKET_ERROR : 0;
        if (s == INVALID_SOCKET) {
            s = listener;
            listener = INVALID_SOCKET;
        }
        break;
    case OTHER_BIND:
        answer->result = TABLE->lpWSPBind(s, (struct sockaddr *)&at, bytes, &answer->error);
        if (answer->result == 0) {
            answer->result =
                TABLE->lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, &answer->error);
            answer->value = at.sin_port;
        }
        break;
    case OTHER_CONNECT:
        at.sin_port = (u_short)request->value;
        answer->result = TABLE->lpWSPConnect(s, (struct sockaddr *)&at, bytes, NULL, NULL, NULL,
                                             NULL, &answer->error);
        break;
    case OTHER_LISTEN:
        answer->result = TABLE->lpWSPListen(s, (int)request->value, &answer->error);
        break;
    case OTHER_SELECT:
        answer->result = TABLE->lpWSPSelect(1, &set, NULL, NULL, &timeout, &answer->error);
        answer->value = set.fd_count;
        break;
    case OTHER_DUPLICATE:
        answer->result =
            TABLE->lpWSPDuplicateSocket(s, request->value, &answer->info, &answer->error);
        break;
    default:
        answer->result = TABLE->lpWSPGetPeerName(s, (struct sockaddr *)&at, &bytes, &answer->error);
        answer->value = at.sin_port;
        break;
    }
}

static void do_events(const struct other_request *request, struct other_answer *answer)
{
    static HANDLE event;
    WSANETWORKEVENTS told = {0};
    if (event == NULL) {
        event = CreateEventW(NULL, TRUE, FALSE, NULL);
    }
    if (request->op == OTHER_EVENTS) {
        ResetEvent(event);
        answer->result = TABLE->lpWSPEventSelect(s, event, (long)request->value, &answer->error);
        return;
    }
    (void)WaitForSingleObject(event, request->value);
    answer->result = TABLE->lpWSPEnumNetworkEvents(s, event, &told, &answer->error);
    answer->value = (DWORD)told.lNetworkEvents;
}

static void serve(const struct other_request *request, struct other_answer *answer)
{
    switch (request->op) {
    case OTHER_OPEN:
        do_open(request, answer);
        break;
    case OTHER_SEND:
    case OTHER_RECV:
        do_bytes(request, answer);
        break;
    case OTHER_SET:
    case OTHER_GET:
    case OTHER_IOCTL:
    case OTHER_LINGER:
        do_option(request, answer);
        break;
    case OTHER_EVENTS:
    case OTHER_TOLD:
        do_events(request, answer);
        break;
    default:
        do_rest(request, answer);
    }
}

int main(void)
{
    struct other_request request;
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD bytes;
    int error = 0;
    if (host_load(NULL, &provider) != 0 || host_startup(&provider, MAKEWORD(2, 2)) != 0) {
        return 1;
    }
    while (ReadFile(in, &request, sizeof(request), &bytes, NULL) && bytes == sizeof(request)) {
        struct other_answer answer = {0};
        serve(&request, &answer);
        if (!WriteFile(out, &answer, sizeof(answer), &bytes, NULL)) {
            return 1;
        }
    }
    return TABLE->lpWSPCleanup(&error);
}
