/* See message_kit.h. */
#include "tests/spi/message_kit.h"

#include <string.h>

static void extension(const GUID *id, void *function, DWORD bytes)
{
    GUID copy = *id;
    DWORD returned = 0;
    OK(TABLE->lpWSPIoctl(spi_udp(), SIO_GET_EXTENSION_FUNCTION_POINTER, &copy, sizeof(copy),
                         function, bytes, &returned, NULL, NULL, NULL, &spi_error));
}

void message_clear(struct message *message)
{
    memset(message, 0xee, sizeof(*message));
    message->buffer = (WSABUF){sizeof(message->data), message->data};
    message->bytes = 0;
    message->msg = (WSAMSG){.name = (struct sockaddr *)&message->name,
                            .namelen = sizeof(message->name),
                            .lpBuffers = &message->buffer,
                            .dwBufferCount = 1,
                            .Control = {sizeof(message->control), message->control}};
}

static int result(int code)
{
    spi_error = code == SOCKET_ERROR ? (int)GetLastError() : 0;
    return code;
}

LPFN_WSARECVMSG message_recv_function(void)
{
    static const GUID id = WSAID_WSARECVMSG;
    LPFN_WSARECVMSG function;
    extension(&id, &function, sizeof(function));
    return function;
}

LPFN_WSASENDMSG message_send_function(void)
{
    static const GUID id = WSAID_WSASENDMSG;
    LPFN_WSASENDMSG function;
    extension(&id, &function, sizeof(function));
    return function;
}

int message_recv_over(SOCKET s, struct message *message, LPWSAOVERLAPPED overlapped,
                      LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    LPFN_WSARECVMSG function = message_recv_function();
    SetLastError(0);
    return result(function(s, &message->msg, &message->bytes, overlapped, routine));
}

int message_recv(SOCKET s, struct message *message)
{
    return message_recv_over(s, message, NULL, NULL);
}

int message_send_over(SOCKET s, struct message *message, LPWSAOVERLAPPED overlapped,
                      LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    LPFN_WSASENDMSG function = message_send_function();
    SetLastError(0);
    return result(function(s, &message->msg, 0, &message->bytes, overlapped, routine));
}

int message_send_flags(SOCKET s, struct message *message, DWORD flags)
{
    LPFN_WSASENDMSG function = message_send_function();
    SetLastError(0);
    return result(function(s, &message->msg, flags, &message->bytes, NULL, NULL));
}

int message_send(SOCKET s, struct message *message)
{
    return message_send_flags(s, message, 0);
}

void message_make(struct message *message, const void *data, DWORD data_bytes,
                  const SOCKADDR_IN *to)
{
    message_clear(message);
    memcpy(message->data, data, data_bytes);
    message->buffer.len = data_bytes;
    message->msg.Control.len = 0;
    message->msg.name = to != NULL ? (struct sockaddr *)&message->name : NULL;
    message->msg.namelen = to != NULL ? sizeof(*to) : 0;
    if (to != NULL) {
        message->name = *to;
    }
}

void message_add(struct message *message, int level, int type, const void *data, DWORD data_bytes)
{
    WSACMSGHDR *header = (WSACMSGHDR *)(message->control + message->msg.Control.len);
    message->msg.Control.len += (ULONG)MESSAGE_SPACE(data_bytes);
    assert_true(message->msg.Control.len <= sizeof(message->control));
    header->cmsg_len = WSA_CMSG_LEN(data_bytes);
    header->cmsg_level = level;
    header->cmsg_type = type;
    memcpy(WSA_CMSG_DATA(header), data, data_bytes);
}

void message_add_int(struct message *message, int level, int type, INT value)
{
    message_add(message, level, type, &value, sizeof(value));
}

static const WSACMSGHDR *next(const struct message *message, const WSACMSGHDR *header)
{
    const size_t left = header == NULL ? 0 : (size_t)((const char *)header - message->control);
    if (header == NULL) {
        return message->msg.Control.len >= sizeof(*header) ? (const WSACMSGHDR *)message->control
                                                           : NULL;
    }
    const size_t at = left + MESSAGE_ALIGN(header->cmsg_len);
    return at + sizeof(*header) > message->msg.Control.len
               ? NULL
               : (const WSACMSGHDR *)(message->control + at);
}

DWORD message_objects(const struct message *message)
{
    DWORD count = 0;
    for (const WSACMSGHDR *each = next(message, NULL); each != NULL; each = next(message, each)) {
        count++;
    }
    return count;
}

const void *message_find(const struct message *message, int level, int type, DWORD data_bytes)
{
    const void *found = NULL;
    for (const WSACMSGHDR *each = next(message, NULL); each != NULL; each = next(message, each)) {
        if (each->cmsg_level == level && each->cmsg_type == type) {
            assert_null(found);
            assert_int_equal(each->cmsg_len, WSA_CMSG_LEN(data_bytes));
            found = WSA_CMSG_DATA(each);
        }
    }
    return found;
}

INT message_int(const struct message *message, int level, int type)
{
    INT value;
    const void *data = message_find(message, level, type, sizeof(value));
    assert_non_null(data);
    memcpy(&value, data, sizeof(value));
    return value;
}

IN_PKTINFO message_pktinfo(const struct message *message)
{
    IN_PKTINFO info;
    const void *data = message_find(message, IPPROTO_IP, IP_PKTINFO, sizeof(info));
    assert_non_null(data);
    memcpy(&info, data, sizeof(info));
    return info;
}

int message_timestamping(SOCKET s, ULONG flags, USHORT buffered)
{
    TIMESTAMPING_CONFIG config = {.Flags = flags, .TxTimestampsBuffered = buffered};
    DWORD returned = 0;
    return TABLE->lpWSPIoctl(s, SIO_TIMESTAMPING, &config, sizeof(config), NULL, 0, &returned, NULL,
                             NULL, NULL, &spi_error);
}

int message_tx_timestamp(SOCKET s, UINT32 id, UINT64 *qpc)
{
    DWORD returned = 0;
    int code = TABLE->lpWSPIoctl(s, SIO_GET_TX_TIMESTAMP, &id, sizeof(id), qpc, sizeof(*qpc),
                                 &returned, NULL, NULL, NULL, &spi_error);
    if (code == 0) {
        assert_int_equal(returned, sizeof(*qpc));
    }
    return code;
}

UINT64 message_qpc(void)
{
    LARGE_INTEGER now;
    (void)QueryPerformanceCounter(&now);
    return (UINT64)now.QuadPart;
}
