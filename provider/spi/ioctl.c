/*
 * WSPIoctl. A command Ringsock does not carry out says WSAEOPNOTSUPP, never silent success; one
 * that the other type of socket has says WSAEINVAL (documented: not applicable to the type of
 * socket). Any thread.
 */
#include <string.h>

#include "provider/spi/spi.h"

struct ioctl_call {
    struct spi_socket *socket;
    SOCKET s;
    const void *in;
    void *out;
    DWORD in_bytes, out_bytes;
    DWORD returned_bytes;
};

static int ioctl_in(const struct ioctl_call *call, DWORD *word)
{
    if (call->in_bytes < sizeof(*word) || !spi_can_read(call->in, sizeof(*word))) {
        return WSAEFAULT;
    }
    memcpy(word, call->in, sizeof(*word));
    return 0;
}

static int ioctl_out(struct ioctl_call *call, const void *result, DWORD bytes)
{
    if (call->out_bytes < bytes || !spi_can_write(call->out, bytes)) {
        return WSAEFAULT;
    }
    memcpy(call->out, result, bytes);
    call->returned_bytes = bytes;
    return 0;
}

static int ioctl_set_bool(struct ioctl_call *call, uint32_t option)
{
    DWORD word;
    int code = ioctl_in(call, &word);
    return code != 0 ? code : spi_option_set(call->socket, option, word != 0);
}

static int ioctl_scope(struct ioctl_call *call)
{
    DWORD word;
    int code = ioctl_in(call, &word);
    return code != 0 ? code : spi_option_set(call->socket, RS_OPT_MCAST_TTL, word);
}

/* For a datagram socket the size of the first datagram that waits; for a stream what one receive
 * can take. */
static int ioctl_readable(struct ioctl_call *call)
{
    uint32_t next_bytes;
    int code = spi_wsa_error(client_readable_bytes(call->socket->core, &next_bytes, NULL));
    DWORD word = next_bytes;
    return code != 0 ? code : ioctl_out(call, &word, sizeof(word));
}

static int ioctl_at_mark(struct ioctl_call *call)
{
    bool at_mark;
    int code = spi_wsa_error(client_at_mark(call->socket->core, &at_mark));
    DWORD word = at_mark;
    return code != 0 ? code : ioctl_out(call, &word, sizeof(word));
}

/* Its page: WSAENOPROTOOPT for a datagram socket. The times count only when it is switched on. */
static int ioctl_keepalive(struct ioctl_call *call)
{
    struct tcp_keepalive vals;
    if (!call->socket->stream) {
        return WSAENOPROTOOPT;
    }
    if (call->in_bytes < sizeof(vals) || !spi_can_read(call->in, sizeof(vals))) {
        return WSAEFAULT;
    }
    memcpy(&vals, call->in, sizeof(vals));
    int code = 0;
    if (vals.onoff != 0) {
        code = spi_option_set(call->socket, RS_OPT_KEEP_IDLE_MS, vals.keepalivetime);
        code = code != 0
                   ? code
                   : spi_option_set(call->socket, RS_OPT_KEEP_INTERVAL_MS, vals.keepaliveinterval);
    }
    return code != 0 ? code : spi_option_set(call->socket, RS_OPT_KEEPALIVE, vals.onoff != 0);
}

static int ioctl_broadcast_address(struct ioctl_call *call)
{
    SOCKADDR_IN in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = INADDR_BROADCAST;
    return ioctl_out(call, &in, sizeof(in));
}

static bool ioctl_of_other_type(const struct ioctl_call *call, DWORD code)
{
    switch (code) {
    case (DWORD)SIOCATMARK:
        return !call->socket->stream;
    case SIO_UDP_CONNRESET:
    case SIO_MULTIPOINT_LOOPBACK:
    case SIO_MULTICAST_SCOPE:
        return call->socket->stream;
    default:
        return false;
    }
}

static int ioctl_run(struct ioctl_call *call, DWORD code)
{
    if (ioctl_of_other_type(call, code)) {
        return WSAEINVAL;
    }
    switch (code) {
    case (DWORD)FIONBIO:
        return ioctl_set_bool(call, CLIENT_OPT_NONBLOCKING);
    case (DWORD)FIONREAD:
        return ioctl_readable(call);
    case (DWORD)SIOCATMARK:
        return ioctl_at_mark(call);
    case SIO_KEEPALIVE_VALS:
        return ioctl_keepalive(call);
    case SIO_UDP_CONNRESET:
        return ioctl_set_bool(call, RS_OPT_CONNRESET);
    case SIO_MULTIPOINT_LOOPBACK:
        return ioctl_set_bool(call, RS_OPT_MCAST_LOOP);
    case SIO_MULTICAST_SCOPE:
        return ioctl_scope(call);
    case SIO_GET_BROADCAST_ADDRESS:
        return ioctl_broadcast_address(call);
    /* There is no layer below us: the base handle, also for select and poll, is the socket. */
    case SIO_BASE_HANDLE:
    case SIO_BSP_HANDLE:
    case SIO_BSP_HANDLE_SELECT:
    case SIO_BSP_HANDLE_POLL:
        return ioctl_out(call, &call->s, sizeof(call->s));
    default:
        return WSAEOPNOTSUPP;
    }
}

int WSPAPI spi_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes,
                     LPDWORD returned_bytes, LPWSAOVERLAPPED overlapped,
                     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    (void)thread;
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    struct ioctl_call call = {.socket = socket,
                              .s = s,
                              .in = in,
                              .in_bytes = in_bytes,
                              .out = out,
                              .out_bytes = out_bytes};
    int result = WSAEFAULT;
    if (spi_is_overlapped(socket, overlapped, routine != NULL)) {
        result = WSAEOPNOTSUPP;
    } else if (spi_can_write(returned_bytes, sizeof(*returned_bytes))) {
        result = ioctl_run(&call, code);
        *returned_bytes = call.returned_bytes;
    }
    spi_socket_put(socket);
    return result == 0 ? 0 : spi_fail(error, result);
}
