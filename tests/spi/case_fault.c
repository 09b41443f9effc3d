/*
 * A bad pointer in each pointer argument of the functions that take a socket: WSAEFAULT, as each
 * page has it ("not a valid part of the user address space"), and never a crash. Tables of calls;
 * what may be NULL by its page is left out for NULL.
 */
#include <string.h>

#include "tests/spi/spi_test.h"

/* What the calls of one row are made with. */
struct fault_call {
    SOCKET s, listener;
    void *bad;
};

typedef int (*fault_run)(const struct fault_call *call);

#define FAULT(name, call_expression)                                                       \
    static int name(const struct fault_call *call)                                         \
    {                                                                                      \
        DWORD dword = 0;                                                                   \
        DWORD flags = 0;                                                                   \
        int bytes = sizeof(SOCKADDR_IN);                                                   \
        SOCKADDR_IN in = spi_at("127.0.0.1", 9);                                           \
        struct sockaddr *addr = (struct sockaddr *)&in;                                    \
        WSABUF buffer = {.len = 4, .buf = (char *)&dword};                                 \
        WSABUF bad_buffer = {.len = 4, .buf = call->bad};                                  \
        (void)dword, (void)flags, (void)bytes, (void)addr, (void)buffer, (void)bad_buffer; \
        return (int)(call_expression);                                                     \
    }
#define T TABLE

/* read by the provider */
FAULT(bind_name, T->lpWSPBind(call->s, call->bad, bytes, &spi_error))
FAULT(connect_name, T->lpWSPConnect(call->s, call->bad, bytes, NULL, NULL, NULL, NULL, &spi_error))
FAULT(send_buffers, T->lpWSPSend(call->s, call->bad, 1, &dword, 0, NULL, NULL, NULL, &spi_error))
FAULT(send_buffer, T->lpWSPSend(call->s, &bad_buffer, 1, &dword, 0, NULL, NULL, NULL, &spi_error))
FAULT(send_to_buffers,
      T->lpWSPSendTo(call->s, call->bad, 1, &dword, 0, addr, bytes, NULL, NULL, NULL, &spi_error))
FAULT(send_to_buffer,
      T->lpWSPSendTo(call->s, &bad_buffer, 1, &dword, 0, addr, bytes, NULL, NULL, NULL, &spi_error))
FAULT(recv_buffers,
      T->lpWSPRecv(call->s, call->bad, 1, &dword, &flags, NULL, NULL, NULL, &spi_error))
FAULT(recv_from_buffers, T->lpWSPRecvFrom(call->s, call->bad, 1, &dword, &flags, addr, &bytes, NULL,
                                          NULL, NULL, &spi_error))
FAULT(set_value, T->lpWSPSetSockOpt(call->s, SOL_SOCKET, SO_RCVBUF, call->bad, 4, &spi_error))
FAULT(ioctl_in, T->lpWSPIoctl(call->s, (DWORD)FIONBIO, call->bad, 4, NULL, 0, &dword, NULL, NULL,
                              NULL, &spi_error))
FAULT(join_name,
      T->lpWSPJoinLeaf(call->s, call->bad, bytes, NULL, NULL, NULL, NULL, JL_BOTH, &spi_error))

/* written by the provider: a page that can only be read is bad, too */
FAULT(send_count, T->lpWSPSend(call->s, &buffer, 1, call->bad, 0, NULL, NULL, NULL, &spi_error))
FAULT(send_to_count,
      T->lpWSPSendTo(call->s, &buffer, 1, call->bad, 0, addr, bytes, NULL, NULL, NULL, &spi_error))
FAULT(recv_count,
      T->lpWSPRecv(call->s, &buffer, 1, call->bad, &flags, NULL, NULL, NULL, &spi_error))
FAULT(recv_flags,
      T->lpWSPRecv(call->s, &buffer, 1, &dword, call->bad, NULL, NULL, NULL, &spi_error))
FAULT(recv_buffer,
      T->lpWSPRecv(call->s, &bad_buffer, 1, &dword, &flags, NULL, NULL, NULL, &spi_error))
FAULT(recv_from_count, T->lpWSPRecvFrom(call->s, &buffer, 1, call->bad, &flags, addr, &bytes, NULL,
                                        NULL, NULL, &spi_error))
FAULT(recv_from_flags, T->lpWSPRecvFrom(call->s, &buffer, 1, &dword, call->bad, addr, &bytes, NULL,
                                        NULL, NULL, &spi_error))
FAULT(recv_from_buffer, T->lpWSPRecvFrom(call->s, &bad_buffer, 1, &dword, &flags, addr, &bytes,
                                         NULL, NULL, NULL, &spi_error))
FAULT(recv_from_bytes, T->lpWSPRecvFrom(call->s, &buffer, 1, &dword, &flags, addr, call->bad, NULL,
                                        NULL, NULL, &spi_error))
FAULT(sock_name, T->lpWSPGetSockName(call->s, call->bad, &bytes, &spi_error))
FAULT(sock_name_bytes, T->lpWSPGetSockName(call->s, addr, call->bad, &spi_error))
FAULT(peer_name, T->lpWSPGetPeerName(call->s, call->bad, &bytes, &spi_error))
FAULT(peer_name_bytes, T->lpWSPGetPeerName(call->s, addr, call->bad, &spi_error))
FAULT(get_value, T->lpWSPGetSockOpt(call->s, SOL_SOCKET, SO_RCVBUF, call->bad, &bytes, &spi_error))
FAULT(get_bytes,
      T->lpWSPGetSockOpt(call->s, SOL_SOCKET, SO_RCVBUF, (char *)&dword, call->bad, &spi_error))
FAULT(ioctl_out, T->lpWSPIoctl(call->s, (DWORD)FIONREAD, NULL, 0, call->bad, 4, &dword, NULL, NULL,
                               NULL, &spi_error))
FAULT(ioctl_returned, T->lpWSPIoctl(call->s, (DWORD)FIONREAD, NULL, 0, &dword, 4, call->bad, NULL,
                                    NULL, NULL, &spi_error))
FAULT(accept_bytes, T->lpWSPAccept(call->listener, addr, call->bad, NULL, 0, &spi_error))

/* written, and NULL means that it is not wanted */
FAULT(recv_from_name, T->lpWSPRecvFrom(call->s, &buffer, 1, &dword, &flags, call->bad, &bytes, NULL,
                                       NULL, NULL, &spi_error))
FAULT(accept_name, T->lpWSPAccept(call->listener, call->bad, &bytes, NULL, 0, &spi_error))
FAULT(select_read, T->lpWSPSelect(0, call->bad, NULL, NULL, &(struct timeval){0}, &spi_error))
FAULT(select_write, T->lpWSPSelect(0, NULL, call->bad, NULL, &(struct timeval){0}, &spi_error))
FAULT(select_except, T->lpWSPSelect(0, NULL, NULL, call->bad, &(struct timeval){0}, &spi_error))

/* read, and NULL means none */
FAULT(select_time, T->lpWSPSelect(0, &(fd_set){.fd_count = 1, .fd_array = {call->s}}, NULL, NULL,
                                  call->bad, &spi_error))
FAULT(send_to_name, T->lpWSPSendTo(call->s, &buffer, 1, &dword, 0, call->bad, bytes, NULL, NULL,
                                   NULL, &spi_error))
FAULT(accept_condition, T->lpWSPAccept(call->listener, NULL, NULL,
                                       (LPCONDITIONPROC)(uintptr_t)call->bad, 0, &spi_error))

struct fault_row {
    const char *name;
    fault_run run;
};
#define ROW(name)   \
    {               \
#name, name \
    }

static const struct fault_row reads[] = {
    ROW(bind_name),       ROW(connect_name),   ROW(send_buffers), ROW(send_buffer),
    ROW(send_to_buffers), ROW(send_to_buffer), ROW(recv_buffers), ROW(recv_from_buffers),
    ROW(set_value),       ROW(ioctl_in),       ROW(join_name)};
static const struct fault_row writes[] = {
    ROW(send_count),      ROW(send_to_count),   ROW(recv_count),      ROW(recv_flags),
    ROW(recv_buffer),     ROW(recv_from_count), ROW(recv_from_flags), ROW(recv_from_buffer),
    ROW(recv_from_bytes), ROW(sock_name),       ROW(sock_name_bytes), ROW(peer_name),
    ROW(peer_name_bytes), ROW(get_value),       ROW(get_bytes),       ROW(ioctl_out),
    ROW(ioctl_returned)};
static const struct fault_row writes_optional[] = {ROW(recv_from_name), ROW(accept_name),
                                                   ROW(select_read),    ROW(select_write),
                                                   ROW(select_except),  ROW(accept_bytes)};
static const struct fault_row reads_optional[] = {ROW(select_time), ROW(send_to_name),
                                                  ROW(accept_condition)};

static void fault_all(const struct fault_row *rows, size_t count, const struct fault_call *call)
{
    for (size_t i = 0; i < count; i++) {
        spi_error = 0;
        int result = rows[i].run(call);
        if (result != SOCKET_ERROR || spi_error != WSAEFAULT) {
            fail_msg("%s: result %d, error %d, WSAEFAULT expected", rows[i].name, result,
                     spi_error);
        }
    }
}
#define ALL(rows, call) fault_all(rows, sizeof(rows) / sizeof((rows)[0]), &(call))

/* Connected, non-blocking, with a datagram that waits; and a listener. */
static struct fault_call fault_sockets(void)
{
    SOCKADDR_IN at;
    DWORD sent = 0;
    struct fault_call call = {.s = spi_bound(&at)};
    OK(spi_connect_to(call.s, &at));
    OK(spi_send_one(call.s, "wait", 4, 0, &sent));
    spi_await_readable(call.s);
    SOCKADDR_IN any = spi_at("127.0.0.1", 0);
    call.listener = spi_new_of(SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED);
    OK(spi_bind_at(call.listener, &any));
    OK(TABLE->lpWSPListen(call.listener, 2, &spi_error));
    spi_nonblocking(call.s);
    spi_nonblocking(call.listener);
    return call;
}

CASE(table, fault_nothing, "NULL where something must be is WSAEFAULT in every entry")
{
    struct fault_call call = fault_sockets();
    ALL(reads, call);
    ALL(writes, call);
}

CASE(table, fault_bad, "an address that nobody may read is WSAEFAULT in every argument")
{
    struct fault_call call = fault_sockets();
    call.bad = spi_bad_pointer();
    ALL(reads, call);
    ALL(writes, call);
    ALL(reads_optional, call);
    ALL(writes_optional, call);
}

CASE(table, fault_read_only, "a page that nobody may write is WSAEFAULT for what is written")
{
    struct fault_call call = fault_sockets();
    call.bad = spi_read_only_page();
    ALL(writes, call);
    ALL(writes_optional, call);
}

CASE(table, fault_costs_nothing, "a datagram is still there behind all the bad pointers")
{
    struct fault_call call = fault_sockets();
    char data[8];
    DWORD flags = 0;
    DWORD received = 0;
    call.bad = spi_bad_pointer();
    ALL(reads, call);
    ALL(writes, call);
    OK(spi_recv_one(call.s, data, sizeof(data), &flags, &received));
    assert_int_equal(received, 4);
    assert_memory_equal(data, "wait", 4);
}
