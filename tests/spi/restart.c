/*
 * What a program meets when its dataplane dies and another takes its place: old sockets and
 * connections fail with WSAENETDOWN, WSPSocket too while there is none, then new ones work beside
 * the old ones. Who selected network events hears of it.
 * tests/spi/run kills and starts the dataplane when this program says so on its output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mswsock.h>

#include "provider/host/host.h"
#include "tests/support/check.h"

#define MOST_MS 30000u

static struct host_provider provider;
#define TABLE (&provider.table)

static SOCKET open_typed(int type, int protocol, int *error)
{
    return TABLE->lpWSPSocket(AF_INET, type, protocol, &provider.info, 0, WSA_FLAG_OVERLAPPED,
                              error);
}

static SOCKET open_socket(int *error)
{
    return open_typed(SOCK_DGRAM, IPPROTO_UDP, error);
}

static SOCKADDR_IN bind_socket(SOCKET s)
{
    int error = 0;
    SOCKADDR_IN at = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};
    int bytes = sizeof(at);
    CHECK(TABLE->lpWSPBind(s, (struct sockaddr *)&at, sizeof(at), &error) == 0);
    CHECK(TABLE->lpWSPGetSockName(s, (struct sockaddr *)&at, &bytes, &error) == 0);
    return at;
}

/* 0 or the error. */
static int send_one(SOCKET s, const SOCKADDR_IN *to)
{
    int error = 0;
    DWORD sent = 0;
    WSABUF buffer = {.len = 1, .buf = "x"};
    return TABLE->lpWSPSendTo(s, &buffer, 1, &sent, 0, (const struct sockaddr *)to, sizeof(*to),
                              NULL, NULL, NULL, &error) == 0
               ? 0
               : error;
}

static int recv_one(SOCKET s)
{
    int error = 0;
    char byte;
    DWORD got = 0;
    DWORD flags = 0;
    WSABUF buffer = {.len = 1, .buf = &byte};
    return TABLE->lpWSPRecv(s, &buffer, 1, &got, &flags, NULL, NULL, NULL, &error) == 0 ? 0 : error;
}

static void set_receive_timeout(SOCKET s, DWORD timeout_ms)
{
    int error = 0;
    CHECK(TABLE->lpWSPSetSockOpt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&timeout_ms,
                                 sizeof(timeout_ms), &error) == 0);
}

/* ---- streams ---- */

struct connection {
    SOCKET listener, client, server;
    SOCKADDR_IN at;
};

/* 0 or the error. */
static int connect_one(SOCKET s, const SOCKADDR_IN *to)
{
    int error = 0;
    return TABLE->lpWSPConnect(s, (const struct sockaddr *)to, sizeof(*to), NULL, NULL, NULL, NULL,
                               &error) == 0
               ? 0
               : error;
}

static struct connection connection_open(void)
{
    int error = 0;
    struct connection made = {.listener = open_typed(SOCK_STREAM, IPPROTO_TCP, &error),
                              .client = open_typed(SOCK_STREAM, IPPROTO_TCP, &error)};
    CHECK(made.listener != INVALID_SOCKET && made.client != INVALID_SOCKET);
    made.at = bind_socket(made.listener);
    /* With a receive buffer of its own the server's ring is not the client's send ring, and what
     * is sent can wait. */
    const int bytes = 50000;
    CHECK(TABLE->lpWSPSetSockOpt(made.listener, SOL_SOCKET, SO_RCVBUF, (const char *)&bytes,
                                 sizeof(bytes), &error) == 0);
    CHECK(TABLE->lpWSPListen(made.listener, 4, &error) == 0);
    CHECK(connect_one(made.client, &made.at) == 0);
    made.server = TABLE->lpWSPAccept(made.listener, NULL, NULL, NULL, 0, &error);
    CHECK(made.server != INVALID_SOCKET);
    set_receive_timeout(made.server, MOST_MS);
    return made;
}

static void connection_works(const struct connection *connection)
{
    CHECK(send_one(connection->client, &connection->at) == 0);
    CHECK(recv_one(connection->server) == 0);
}

static void connection_is_down(const struct connection *connection)
{
    int error = 0;
    CHECK(send_one(connection->client, &connection->at) == WSAENETDOWN);
    CHECK(recv_one(connection->server) == WSAENETDOWN);
    CHECK(TABLE->lpWSPAccept(connection->listener, NULL, NULL, NULL, 0, &error) == INVALID_SOCKET);
    CHECK(error == WSAENETDOWN);
    CHECK(TABLE->lpWSPShutdown(connection->client, SD_SEND, &error) == SOCKET_ERROR);
    CHECK(error == WSAENETDOWN);
}

/* What its client sent is not acknowledged, and close is to wait for that. */
static void connection_fill(const struct connection *connection)
{
    int error = 0;
    DWORD one = 1;
    DWORD returned;
    struct linger linger = {.l_onoff = 1, .l_linger = 60};
    CHECK(TABLE->lpWSPIoctl(connection->client, (DWORD)FIONBIO, &one, sizeof(one), NULL, 0,
                            &returned, NULL, NULL, NULL, &error) == 0);
    CHECK(TABLE->lpWSPSetSockOpt(connection->client, SOL_SOCKET, SO_LINGER, (const char *)&linger,
                                 sizeof(linger), &error) == 0);
    static char block[4096];
    WSABUF buffer = {.len = sizeof(block), .buf = block};
    DWORD sent;
    for (ULONGLONG end = GetTickCount64() + 200; GetTickCount64() < end;) {
        CHECK(TABLE->lpWSPSend(connection->client, &buffer, 1, &sent, 0, NULL, NULL, NULL,
                               &error) == 0 ||
              error == WSAEWOULDBLOCK);
    }
    CHECK(TABLE->lpWSPCloseSocket(connection->client, &error) == SOCKET_ERROR);
    CHECK(error == WSAEWOULDBLOCK);
}

static void connection_close(const struct connection *connection)
{
    int error = 0;
    CHECK(TABLE->lpWSPCloseSocket(connection->client, &error) == 0);
    CHECK(TABLE->lpWSPCloseSocket(connection->server, &error) == 0);
    CHECK(TABLE->lpWSPCloseSocket(connection->listener, &error) == 0);
}

/* ---- an operation that the program itself is to end ---- */

static void find_function(SOCKET s, GUID id, void *function, DWORD bytes)
{
    int error = 0;
    DWORD returned;
    CHECK(TABLE->lpWSPIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), function, bytes,
                            &returned, NULL, NULL, NULL, &error) == 0);
}

/* The connection's server disconnects, and there is a byte that it does not read before the end. */
static void disconnect_begin(const struct connection *connection, OVERLAPPED *overlapped)
{
    int error = 0;
    LPFN_WSAPOLL poll;
    LPFN_DISCONNECTEX disconnect;
    WSAPOLLFD fd = {.fd = connection->server, .events = POLLRDNORM};
    find_function(connection->server, (GUID)WSAID_WSAPOLL, &poll, sizeof(poll));
    find_function(connection->server, (GUID)WSAID_DISCONNECTEX, &disconnect, sizeof(disconnect));
    CHECK(send_one(connection->client, &connection->at) == 0);
    CHECK(TABLE->lpWSPShutdown(connection->client, SD_SEND, &error) == 0);
    for (ULONGLONG end = GetTickCount64() + MOST_MS; (fd.revents & POLLHUP) == 0;) {
        CHECK(GetTickCount64() < end); /* the peer's end */
        CHECK(poll(&fd, 1, (INT)MOST_MS) == 1);
    }
    overlapped->hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    CHECK(!disconnect(connection->server, overlapped, TF_REUSE_SOCKET, 0));
    CHECK(GetLastError() == WSA_IO_PENDING);
}

static void disconnect_is_down(const struct connection *connection, OVERLAPPED *overlapped)
{
    int error = 0;
    DWORD bytes;
    DWORD flags;
    CHECK(WaitForSingleObject(overlapped->hEvent, MOST_MS) == WAIT_OBJECT_0);
    CHECK(!TABLE->lpWSPGetOverlappedResult(connection->server, overlapped, &bytes, FALSE, &flags,
                                           &error));
    CHECK(error == WSAENETDOWN);
    CloseHandle(overlapped->hEvent);
}

/* ---- network events ---- */

static HANDLE select_events(SOCKET s, long mask)
{
    int error = 0;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    CHECK(event != NULL);
    CHECK(TABLE->lpWSPEventSelect(s, event, mask, &error) == 0);
    return event;
}

/* Waits for exactly this event, with this error, and ends the selection. */
static void event_is_told(SOCKET s, HANDLE event, long mask, unsigned bit, int expected)
{
    int error = 0;
    WSANETWORKEVENTS record;
    CHECK(WaitForSingleObject(event, MOST_MS) == WAIT_OBJECT_0);
    CHECK(TABLE->lpWSPEnumNetworkEvents(s, event, &record, &error) == 0);
    CHECK(record.lNetworkEvents == mask);
    CHECK(record.iErrorCode[bit] == expected);
    CHECK(TABLE->lpWSPEventSelect(s, NULL, 0, &error) == 0);
    CHECK(CloseHandle(event));
}

static void say(const char *line)
{
    puts(line);
    CHECK(fflush(stdout) == 0);
}

/* A new attach, as soon as there is a dataplane again. */
static SOCKET open_when_back(void)
{
    ULONGLONG end = GetTickCount64() + MOST_MS;
    for (;;) {
        int error = 0;
        SOCKET s = open_socket(&error);
        if (s != INVALID_SOCKET) {
            return s;
        }
        CHECK(error == WSAENETDOWN);
        CHECK(GetTickCount64() < end);
        Sleep(20);
    }
}

/* What was there before the dataplane died. */
struct before {
    SOCKET dgram;
    SOCKADDR_IN dgram_at;
    struct connection idle, full, watched, ending;
    HANDLE closed, readable, acceptable; /* of `watched` */
    OVERLAPPED disconnecting;            /* of `ending` */
};

static void begin(struct before *before)
{
    int error = 0;
    before->dgram = open_socket(&error);
    CHECK(before->dgram != INVALID_SOCKET);
    before->dgram_at = bind_socket(before->dgram);
    set_receive_timeout(before->dgram, MOST_MS);
    CHECK(send_one(before->dgram, &before->dgram_at) == 0);
    CHECK(recv_one(before->dgram) == 0);
    before->idle = connection_open();
    connection_works(&before->idle);
    before->full = connection_open();
    connection_fill(&before->full);
    before->watched = connection_open();
    before->closed = select_events(before->watched.server, FD_CLOSE);
    before->readable = select_events(before->watched.client, FD_READ);
    before->acceptable = select_events(before->watched.listener, FD_ACCEPT);
    before->ending = connection_open();
    disconnect_begin(&before->ending, &before->disconnecting);
}

static void all_is_down(struct before *before)
{
    int error = 0;
    /* It waits for a datagram while the dataplane dies. */
    CHECK(recv_one(before->dgram) == WSAENETDOWN);
    CHECK(send_one(before->dgram, &before->dgram_at) == WSAENETDOWN);
    connection_is_down(&before->idle);
    event_is_told(before->watched.server, before->closed, FD_CLOSE, FD_CLOSE_BIT, WSAENETDOWN);
    event_is_told(before->watched.client, before->readable, FD_READ, FD_READ_BIT, WSAENETDOWN);
    event_is_told(before->watched.listener, before->acceptable, FD_ACCEPT, FD_ACCEPT_BIT,
                  WSAENETDOWN);
    disconnect_is_down(&before->ending, &before->disconnecting);
    connection_close(&before->ending);
    connection_close(&before->full);
    CHECK(open_socket(&error) == INVALID_SOCKET);
    CHECK(error == WSAENETDOWN);
}

static void new_ones_work(const struct before *before)
{
    int error = 0;
    SOCKET fresh = open_when_back();
    SOCKADDR_IN fresh_at = bind_socket(fresh);
    set_receive_timeout(fresh, MOST_MS);
    CHECK(send_one(fresh, &fresh_at) == 0);
    CHECK(recv_one(fresh) == 0);
    CHECK(recv_one(before->dgram) == WSAENETDOWN);
    struct connection connection = connection_open();
    connection_works(&connection);
    connection_is_down(&before->idle);
    HANDLE readable = select_events(connection.server, FD_READ);
    CHECK(send_one(connection.client, &connection.at) == 0);
    event_is_told(connection.server, readable, FD_READ, FD_READ_BIT, 0);

    /* In one set, the dead one is ready, for its error; the live one is not. */
    fd_set set = {.fd_count = 2, .fd_array = {before->dgram, fresh}};
    struct timeval timeout = {.tv_sec = MOST_MS / 1000};
    CHECK(TABLE->lpWSPSelect(0, &set, NULL, NULL, &timeout, &error) == 1);
    CHECK(set.fd_count == 1 && set.fd_array[0] == before->dgram);
    connection_close(&connection);
    CHECK(TABLE->lpWSPCloseSocket(fresh, &error) == 0);
}

int main(void)
{
    int error = 0;
    struct before before = {.dgram = INVALID_SOCKET};
    CHECK(host_load(NULL, &provider) == 0);
    CHECK(host_startup(&provider, MAKEWORD(2, 2)) == 0);
    begin(&before);
    say("kill the dataplane");
    all_is_down(&before);
    say("start the dataplane");
    new_ones_work(&before);
    connection_close(&before.watched);
    connection_close(&before.idle);
    CHECK(TABLE->lpWSPCloseSocket(before.dgram, &error) == 0);
    CHECK(TABLE->lpWSPCleanup(&error) == 0);
    CHECK(host_handle_count() == 0);
    say("ok");
    return 0;
}
