/*
 * WSPIoctl. A command Ringsock does not carry out says WSAEOPNOTSUPP, never silent success; one
 * that the other type of socket has says WSAEINVAL (documented: not applicable to the type of
 * socket). Any thread.
 */
#include <string.h>

#include "provider/include/ringsock.h"
#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/message.h"
#include "provider/spi/net_change.h"
#include "provider/spi/option_names.h"
#include "provider/spi/overlapped.h"

#define IDEAL_BACKLOG_MOST (16u << 20) /* its page's range */

struct ioctl_call {
    struct spi_socket *socket;
    SOCKET s;
    const void *in;
    void *out;
    DWORD in_bytes, out_bytes;
    DWORD returned_bytes;
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    LPWSATHREADID thread;
    bool notice;
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

static int ioctl_nonblocking(struct ioctl_call *call)
{
    DWORD word;
    int code = ioctl_in(call, &word);
    return code != 0 ? code : spi_events_set_nonblocking(call->socket, word != 0);
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

static UCHAR ioctl_byte(uint32_t value)
{
    return value < UINT8_MAX ? (UCHAR)value : UINT8_MAX;
}

/* TCP_INFO_v1; v0 is its beginning. */
static_assert(offsetof(TCP_INFO_v1, SndLimTransRwin) == sizeof(TCP_INFO_v0), "v0 begins v1");
static TCP_INFO_v1 ioctl_tcp_info_fill(const struct rs_tcp_info *info)
{
    static const TCPSTATE states[RS_TCP_STATE_COUNT] = {
        [RS_TCP_CLOSED] = TCPSTATE_CLOSED,         [RS_TCP_SYN_SENT] = TCPSTATE_SYN_SENT,
        [RS_TCP_SYN_RECEIVED] = TCPSTATE_SYN_RCVD, [RS_TCP_ESTABLISHED] = TCPSTATE_ESTABLISHED,
        [RS_TCP_FIN_WAIT_1] = TCPSTATE_FIN_WAIT_1, [RS_TCP_FIN_WAIT_2] = TCPSTATE_FIN_WAIT_2,
        [RS_TCP_CLOSE_WAIT] = TCPSTATE_CLOSE_WAIT, [RS_TCP_CLOSING] = TCPSTATE_CLOSING,
        [RS_TCP_LAST_ACK] = TCPSTATE_LAST_ACK,     [RS_TCP_TIME_WAIT] = TCPSTATE_TIME_WAIT,
        [RS_TCP_LISTEN] = TCPSTATE_LISTEN,
    };
    const struct rs_tcp_limited *receiver = &info->limited[RS_TCP_LIMIT_RECEIVER];
    const struct rs_tcp_limited *congestion = &info->limited[RS_TCP_LIMIT_CONGESTION];
    const struct rs_tcp_limited *sender = &info->limited[RS_TCP_LIMIT_SENDER];
    return (TCP_INFO_v1){.State = states[info->state],
                         .Mss = info->mss_bytes,
                         .ConnectionTimeMs = info->connected_ms,
                         .TimestampsEnabled = info->timestamps != 0,
                         .RttUs = info->rtt_us,
                         .MinRttUs = info->rtt_min_us,
                         .BytesInFlight = info->in_flight_bytes,
                         .Cwnd = info->cwnd_bytes,
                         .SndWnd = info->send_window_bytes,
                         .RcvWnd = info->recv_window_bytes,
                         .RcvBuf = info->recv_buffer_bytes,
                         .BytesOut = info->sent_bytes,
                         .BytesIn = info->received_bytes,
                         .BytesReordered = info->reordered_bytes,
                         .BytesRetrans = info->retransmitted_bytes,
                         .FastRetrans = info->fast_retransmits,
                         .DupAcksIn = info->dup_acks,
                         .TimeoutEpisodes = info->timeout_episodes,
                         .SynRetrans = ioctl_byte(info->syn_retransmits),
                         .SndLimTransRwin = receiver->transitions,
                         .SndLimTimeRwin = receiver->time_ms,
                         .SndLimBytesRwin = receiver->sent_bytes,
                         .SndLimTransCwnd = congestion->transitions,
                         .SndLimTimeCwnd = congestion->time_ms,
                         .SndLimBytesCwnd = congestion->sent_bytes,
                         .SndLimTransSnd = sender->transitions,
                         .SndLimTimeSnd = sender->time_ms,
                         .SndLimBytesSnd = sender->sent_bytes};
}

/* Its page: WSAEMSGSIZE for an input buffer that is no DWORD; else WSAEINVAL: another version, an
 * output buffer that is too small, a socket that has no connection. */
static int ioctl_tcp_info(struct ioctl_call *call)
{
    DWORD version;
    struct rs_tcp_info info;
    if (call->in == NULL || call->in_bytes != sizeof(version)) {
        return WSAEMSGSIZE;
    }
    int code = ioctl_in(call, &version);
    if (code != 0) {
        return code;
    }
    DWORD bytes = version == 0 ? sizeof(TCP_INFO_v0) : sizeof(TCP_INFO_v1);
    if (version > 1 || call->out_bytes < bytes) {
        return WSAEINVAL;
    }
    enum rs_status status = client_tcp_info(call->socket->core, &info);
    if (status != RS_OK) {
        return status == RS_NOT_CONNECTED ? WSAEINVAL : spi_wsa_error(status);
    }
    const TCP_INFO_v1 all = ioctl_tcp_info_fill(&info);
    return ioctl_out(call, &all, bytes);
}

static int ioctl_broadcast_address(struct ioctl_call *call)
{
    SOCKADDR_IN in = {.sin_family = AF_INET};
    if (call->socket->family == AF_INET6) {
        return WSAENOPROTOOPT; /* documented: IPv6 has none */
    }
    in.sin_addr.s_addr = INADDR_BROADCAST;
    return ioctl_out(call, &in, sizeof(in));
}

static int ioctl_extension(struct ioctl_call *call, DWORD code)
{
    const void *answer = NULL;
    DWORD bytes = 0;
    int result = spi_extension_find(code, call->in, call->in_bytes, &answer, &bytes);
    return result != 0 ? result : ioctl_out(call, answer, bytes);
}

/* Accepted, as its page is about a fast path that connections inside one host may or may not have:
 * here they always have it. */
static int ioctl_fast_path(const struct ioctl_call *call)
{
    DWORD word;
    return call->out_bytes != 0 ? WSAEINVAL : ioctl_in(call, &word);
}

/* Twice the congestion window keeps it filled for a round trip; more than the peer's window is in
 * vain. */
int spi_ideal_backlog(const struct spi_socket *socket, ULONG *bytes)
{
    struct rs_tcp_info info;
    int code = socket->stream ? spi_wsa_error(client_tcp_info(socket->core, &info)) : WSAEOPNOTSUPP;
    if (code != 0) {
        return code;
    }
    if (info.state != RS_TCP_ESTABLISHED && info.state != RS_TCP_CLOSE_WAIT) {
        return WSAENOTCONN;
    }
    uint64_t ideal_bytes = 2 * (uint64_t)info.cwnd_bytes;
    if (info.send_window_bytes != 0 && info.send_window_bytes < ideal_bytes) {
        ideal_bytes = info.send_window_bytes;
    }
    *bytes = ideal_bytes < IDEAL_BACKLOG_MOST ? (ULONG)ideal_bytes : IDEAL_BACKLOG_MOST;
    return 0;
}

/* Its page: WSAEOPNOTSUPP for a datagram socket, WSAEINVAL for a short buffer, WSAENOTCONN. */
static int ioctl_ideal_backlog(struct ioctl_call *call)
{
    ULONG bytes = 0;
    if (call->socket->stream && call->out_bytes < sizeof(bytes)) {
        return WSAEINVAL;
    }
    int code = spi_ideal_backlog(call->socket, &bytes);
    return code != 0 ? code : ioctl_out(call, &bytes, sizeof(bytes));
}

/* Its page: no output, which must be said. */
static int ioctl_ideal_backlog_change(const struct ioctl_call *call)
{
    const struct spi_net_change change = {.socket = call->socket,
                                          .s = call->s,
                                          .overlapped = call->overlapped,
                                          .routine = call->routine,
                                          .thread = call->thread,
                                          .notice = call->notice};
    return call->socket->stream && call->out_bytes != 0 ? WSAEINVAL : spi_net_change(&change);
}

/* Before the connection is begun (WSAEINVAL). In both members 0 and all bits set mean the default;
 * UCHAR -2: the SYN is not sent again. */
static int ioctl_initial_rto(struct ioctl_call *call)
{
    TCP_INITIAL_RTO_PARAMETERS in;
    if (call->in_bytes < sizeof(in) || !spi_can_read(call->in, sizeof(in))) {
        return WSAEFAULT;
    }
    memcpy(&in, call->in, sizeof(in));
    uint32_t rto_ms = in.Rtt == TCP_INITIAL_RTO_UNSPECIFIED_RTT ? 0u : in.Rtt;
    uint32_t sends = in.MaxSynRetransmissions + 1u; /* as RS_OPT_SYN_SENDS */
    if (in.MaxSynRetransmissions == TCP_INITIAL_RTO_UNSPECIFIED_MAX_SYN_RETRANSMISSIONS ||
        in.MaxSynRetransmissions == TCP_INITIAL_RTO_DEFAULT_MAX_SYN_RETRANSMISSIONS) {
        sends = 0;
    } else if (in.MaxSynRetransmissions == TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS) {
        sends = 1;
    }
    int code = spi_option_set(call->socket, RS_OPT_SYN_RTO_MS, rto_ms);
    return code != 0 ? code : spi_option_set(call->socket, RS_OPT_SYN_SENDS, sends);
}

static int ioctl_warm(const struct ioctl_call *call)
{
    size_t sent_bytes;
    if (!spi_can_read(call->in, call->in_bytes)) {
        return WSAEFAULT;
    }
    const struct client_iov iov = {.base = (void *)(uintptr_t)call->in,
                                   .len_bytes = call->in_bytes};
    enum rs_status status =
        client_send(call->socket->core, &iov, 1, CLIENT_MSG_WARM, NULL, &sent_bytes);
    return status == RS_DEST_REQUIRED ? WSAENOTCONN : spi_wsa_error(status);
}

static_assert(RINGSOCK_SPIN_MOST == CLIENT_SPIN_MOST_US && RINGSOCK_SPIN_FOREVER == RS_SPIN_FOREVER,
              "the core's words");

static RINGSOCK_SPIN ioctl_spin_out(const struct client_spin *spin)
{
    return (RINGSOCK_SPIN){
        .Microseconds = spin->spin_us < 0 ? RINGSOCK_SPIN_DEFAULT : (DWORD)spin->spin_us,
        .Yield = spin->yield_in_spin < 0 ? RINGSOCK_SPIN_DEFAULT : (DWORD)spin->yield_in_spin};
}

/* False: out of range. */
static bool ioctl_spin_in(const RINGSOCK_SPIN *in, struct client_spin *spin)
{
    if (in->Yield > 1 && in->Yield != RINGSOCK_SPIN_DEFAULT) {
        return false;
    }
    spin->spin_us = in->Microseconds == RINGSOCK_SPIN_DEFAULT ? -1 : (int64_t)in->Microseconds;
    spin->yield_in_spin = in->Yield == RINGSOCK_SPIN_DEFAULT ? -1 : (int)in->Yield;
    return true;
}

/* Everything is tried before anything is changed. */
static int ioctl_spin(struct ioctl_call *call, bool of_thread)
{
    RINGSOCK_SPIN in = {0};
    struct client_spin spin;
    const bool sets = call->in_bytes != 0;
    const bool asks = call->out_bytes != 0;
    if (!sets && !asks) {
        return WSAEINVAL;
    }
    if ((sets && (call->in_bytes < sizeof(in) || !spi_can_read(call->in, sizeof(in)))) ||
        (asks && (call->out_bytes < sizeof(in) || !spi_can_write(call->out, sizeof(in))))) {
        return WSAEFAULT;
    }
    const struct client_spin before =
        of_thread ? client_thread_get_spin() : client_socket_get_spin(call->socket->core);
    int code = 0;
    if (sets) {
        memcpy(&in, call->in, sizeof(in));
        if (!ioctl_spin_in(&in, &spin)) {
            return WSAEINVAL;
        }
        code = spi_wsa_error(of_thread ? client_thread_set_spin(&spin)
                                       : client_socket_set_spin(call->socket->core, &spin));
    }
    if (code != 0 || !asks) {
        return code;
    }
    const RINGSOCK_SPIN out = ioctl_spin_out(&before);
    return ioctl_out(call, &out, sizeof(out));
}

static int ioctl_timestamping(const struct ioctl_call *call)
{
    TIMESTAMPING_CONFIG config;
    if (call->in_bytes < sizeof(config) || !spi_can_read(call->in, sizeof(config))) {
        return WSAEFAULT;
    }
    memcpy(&config, call->in, sizeof(config));
    return spi_message_timestamping(call->socket, &config);
}

/* Room for the answer comes first: a timestamp is given once. */
static int ioctl_tx_timestamp(struct ioctl_call *call)
{
    DWORD id;
    uint64_t qpc;
    int code = ioctl_in(call, &id);
    if (code == 0 && (call->out_bytes < sizeof(qpc) || !spi_can_write(call->out, sizeof(qpc)))) {
        code = WSAEFAULT;
    }
    if (code == 0) {
        code = spi_message_tx_timestamp(call->socket, id, &qpc);
    }
    return code != 0 ? code : ioctl_out(call, &qpc, sizeof(qpc));
}

static int ioctl_net(struct ioctl_call *call, DWORD code)
{
    const struct spi_net_call net = {.socket = call->socket,
                                     .s = call->s,
                                     .in = call->in,
                                     .in_bytes = call->in_bytes,
                                     .out = call->out,
                                     .out_bytes = call->out_bytes,
                                     .returned_bytes = &call->returned_bytes,
                                     .overlapped = call->overlapped,
                                     .routine = call->routine,
                                     .thread = call->thread,
                                     .notice = call->notice};
    return spi_ioctl_net(&net, code);
}

static bool ioctl_of_other_type(const struct ioctl_call *call, DWORD code)
{
    switch (code) {
    case (DWORD)SIOCATMARK:
    case SIO_TCP_INFO:
    case SIO_LOOPBACK_FAST_PATH:
    case SIO_TCP_INITIAL_RTO:
        return !call->socket->stream;
    case SIO_UDP_CONNRESET:
    case SIO_MULTIPOINT_LOOPBACK:
    case SIO_MULTICAST_SCOPE:
    case SIO_TIMESTAMPING:
    case SIO_GET_TX_TIMESTAMP:
        return call->socket->stream;
    default:
        return false;
    }
}

/* Commands whose answer depends on no state of the socket. */
static int ioctl_run_fixed(struct ioctl_call *call, DWORD code)
{
    switch (code) {
    /* There is no layer below us: the base handle, also for select and poll, is the socket. */
    case SIO_BASE_HANDLE:
    case SIO_BSP_HANDLE:
    case SIO_BSP_HANDLE_SELECT:
    case SIO_BSP_HANDLE_POLL:
        return ioctl_out(call, &call->s, sizeof(call->s));
    /* Documented for a provider that does not have them. */
    case SIO_FLUSH:
    case SIO_ENABLE_CIRCULAR_QUEUEING:
    case SIO_ASSOCIATE_HANDLE:
    case SIO_TRANSLATE_HANDLE:
    case SIO_GET_QOS:
    case SIO_SET_QOS:
    case SIO_GET_GROUP_QOS:
    case SIO_SET_GROUP_QOS:
        return WSAENOPROTOOPT;
    default:
        return WSAEOPNOTSUPP;
    }
}

static int ioctl_run(struct ioctl_call *call, DWORD code)
{
    if (ioctl_of_other_type(call, code)) {
        return WSAEINVAL;
    }
    switch (code) {
    case (DWORD)FIONBIO:
        return ioctl_nonblocking(call);
    case (DWORD)FIONREAD:
        return ioctl_readable(call);
    case (DWORD)SIOCATMARK:
        return ioctl_at_mark(call);
    case SIO_KEEPALIVE_VALS:
        return ioctl_keepalive(call);
    case SIO_TCP_INFO:
        return ioctl_tcp_info(call);
    case SIO_TCP_INITIAL_RTO:
        return ioctl_initial_rto(call);
    case SIO_LOOPBACK_FAST_PATH:
        return ioctl_fast_path(call);
    case SIO_IDEAL_SEND_BACKLOG_QUERY:
        return ioctl_ideal_backlog(call);
    case SIO_IDEAL_SEND_BACKLOG_CHANGE:
        return ioctl_ideal_backlog_change(call);
    case SIO_UDP_CONNRESET:
        return ioctl_set_bool(call, RS_OPT_CONNRESET);
    case SIO_MULTIPOINT_LOOPBACK:
        return ioctl_set_bool(call, RS_OPT_MCAST_LOOP);
    case SIO_MULTICAST_SCOPE:
        return ioctl_scope(call);
    case SIO_TIMESTAMPING:
        return ioctl_timestamping(call);
    case SIO_GET_TX_TIMESTAMP:
        return ioctl_tx_timestamp(call);
    case SIO_RINGSOCK_WARM:
        return ioctl_warm(call);
    case SIO_RINGSOCK_SPIN:
    case SIO_RINGSOCK_THREAD_SPIN:
        return ioctl_spin(call, code == SIO_RINGSOCK_THREAD_SPIN);
    case SIO_GET_EXTENSION_FUNCTION_POINTER:
    case SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER:
        return ioctl_extension(call, code);
    case SIO_GET_BROADCAST_ADDRESS:
        return ioctl_broadcast_address(call);
    case SIO_ADDRESS_LIST_QUERY:
    case SIO_ADDRESS_LIST_SORT:
    case SIO_ADDRESS_LIST_CHANGE:
    case SIO_ROUTING_INTERFACE_QUERY:
    case SIO_ROUTING_INTERFACE_CHANGE:
    case (DWORD)SIO_GET_INTERFACE_LIST:
        return ioctl_net(call, code);
    default:
        return ioctl_run_fixed(call, code);
    }
}

int WSPAPI spi_ioctl(SOCKET s, DWORD code, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes,
                     LPDWORD returned_bytes, LPWSAOVERLAPPED overlapped,
                     LPWSAOVERLAPPED_COMPLETION_ROUTINE routine, LPWSATHREADID thread, LPINT error)
{
    struct spi_socket *socket = spi_socket_get(s);
    if (socket == NULL) {
        return spi_fail(error, WSAENOTSOCK);
    }
    struct ioctl_call call = {.socket = socket,
                              .s = s,
                              .in = in,
                              .in_bytes = in_bytes,
                              .out = out,
                              .out_bytes = out_bytes,
                              .overlapped = overlapped,
                              .routine = routine,
                              .thread = thread,
                              .notice = spi_is_overlapped(socket, overlapped, routine != NULL)};
    int result = WSAEFAULT;
    /* Who gets notice need not ask for the count. */
    if (call.notice
            ? spi_can_write(overlapped, sizeof(*overlapped)) &&
                  (returned_bytes == NULL || spi_can_write(returned_bytes, sizeof(*returned_bytes)))
            : spi_can_write(returned_bytes, sizeof(*returned_bytes))) {
        result = ioctl_run(&call, code);
        /* WSAIoctl's page: not updated then. It may be through by now, and the memory gone. */
        if (returned_bytes != NULL && result != WSA_IO_PENDING) {
            *returned_bytes = call.returned_bytes;
        }
        if (call.notice && result == 0) {
            result = spi_op_done(socket, s, overlapped, routine, thread, call.returned_bytes);
        }
    }
    spi_socket_put(socket);
    return result == 0 ? 0 : spi_fail(error, result);
}
