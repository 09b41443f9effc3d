/*
 * Datagrams with control data: WSARecvMsg, WSASendMsg, the options that say which data, timestamps.
 * A program calls the two functions directly (extension.c), so they report by the thread's last
 * error. Any thread.
 */
#include "provider/spi/message.h"
#include "provider/spi/events.h"

#include <string.h>

/* Not in the headers of MinGW-w64. */
#ifndef IP_RECVIF
#define IP_RECVIF 24
#endif
#ifndef IP_ORIGINAL_ARRIVAL_IF
#define IP_ORIGINAL_ARRIVAL_IF 47
#endif

/* WSA_CMSG_SPACE and the like in size_t; the headers' own mix signs. */
#define CMSG_ALIGN(bytes) \
    (((bytes) + TYPE_ALIGNMENT(WSACMSGHDR) - 1) & ~((size_t)TYPE_ALIGNMENT(WSACMSGHDR) - 1))
#define CMSG_HEAD_BYTES   ((size_t)WSA_CMSG_LEN(0)) /* where the data start */
#define CMSG_SPACE(bytes) CMSG_ALIGN(CMSG_HEAD_BYTES + (size_t)(bytes))
static_assert(CMSG_SPACE(1) == WSA_CMSG_SPACE(1) && CMSG_SPACE(4) == WSA_CMSG_SPACE(4) &&
                  CMSG_SPACE(8) == WSA_CMSG_SPACE(8),
              "as the headers have it");

#define ECN_MASK 3
#define ECN_CE   3

/* ---- which control data: spi_socket.controls ---- */

enum { /* in the order of the messages */
       CONTROL_PKTINFO = 1,
       CONTROL_RECVIF = 2,
       CONTROL_ARRIVAL_IF = 4,
       CONTROL_TTL = 8,
       CONTROL_TOS = 16,
       CONTROL_ECN = 32,
       CONTROL_TIMESTAMP = 64,
       CONTROL_ADDRESSES = CONTROL_PKTINFO | CONTROL_RECVIF | CONTROL_ARRIVAL_IF
};

static const struct message_row {
    int option; /* of IPPROTO_IP */
    uint32_t control;
} message_rows[] = {
    {IP_PKTINFO, CONTROL_PKTINFO},
    {IP_RECVIF, CONTROL_RECVIF},
    {IP_ORIGINAL_ARRIVAL_IF, CONTROL_ARRIVAL_IF},
    {IP_RECVTTL, CONTROL_TTL},
    {IP_RECVTOS, CONTROL_TOS},
    {IP_ECN, CONTROL_ECN}, /* the option IP_RECVECN has the same number */
};

static const struct message_row *message_find(int name)
{
    for (size_t i = 0; i < sizeof(message_rows) / sizeof(message_rows[0]); i++) {
        if (message_rows[i].option == name) {
            return &message_rows[i];
        }
    }
    return NULL;
}

static SRWLOCK message_lock = SRWLOCK_INIT; /* changes of controls, with the core's option */

/* Turns `on` on and `off` off. Only what is not in every record anyway costs the dataplane
 * something. */
static int message_controls(struct spi_socket *socket, uint32_t on, uint32_t off)
{
    AcquireSRWLockExclusive(&message_lock);
    uint32_t before = atomic_load_explicit(&socket->controls, memory_order_relaxed);
    uint32_t controls = (before & ~off) | on;
    uint32_t core = ((controls & CONTROL_ADDRESSES) != 0 ? RS_CONTROL_ADDRESS : 0u) |
                    ((controls & CONTROL_TIMESTAMP) != 0 ? RS_CONTROL_STAMP : 0u);
    int code = spi_option_set(socket, RS_OPT_RECV_CONTROL, core);
    if (code == 0) {
        atomic_store_explicit(&socket->controls, controls, memory_order_relaxed);
    }
    ReleaseSRWLockExclusive(&message_lock);
    return code;
}

bool spi_message_option_set(struct spi_socket *socket, int name, const char *value, int value_bytes,
                            int *code)
{
    const struct message_row *row = message_find(name);
    DWORD word;
    if (row == NULL) {
        return false;
    }
    if (socket->stream) {
        *code = WSAENOPROTOOPT;
    } else if (value_bytes < (int)sizeof(word) || !spi_can_read(value, sizeof(word))) {
        *code = WSAEFAULT;
    } else {
        memcpy(&word, value, sizeof(word));
        *code = message_controls(socket, word != 0 ? row->control : 0, row->control);
    }
    return true;
}

bool spi_message_option_get(const struct spi_socket *socket, int name, char *value,
                            LPINT value_bytes, int *code)
{
    const struct message_row *row = message_find(name);
    if (row == NULL) {
        return false;
    }
    DWORD word =
        (atomic_load_explicit(&socket->controls, memory_order_relaxed) & row->control) != 0;
    *code = socket->stream ? WSAENOPROTOOPT
                           : spi_option_answer(value, value_bytes, &word, sizeof(word));
    return true;
}

/* ---- timestamps ---- */

int spi_message_timestamping(struct spi_socket *socket, const TIMESTAMPING_CONFIG *config)
{
    if ((config->Flags & ~(ULONG)(TIMESTAMPING_FLAG_RX | TIMESTAMPING_FLAG_TX)) != 0) {
        return WSAEINVAL;
    }
    bool receives = (config->Flags & TIMESTAMPING_FLAG_RX) != 0;
    uint32_t stamps =
        (config->Flags & TIMESTAMPING_FLAG_TX) != 0 ? config->TxTimestampsBuffered : 0;
    if (stamps > RS_TX_STAMPS_MAX) {
        return WSAENOBUFS;
    }
    int code = spi_option_set(socket, RS_OPT_TX_STAMPS, stamps);
    return code != 0
               ? code
               : message_controls(socket, receives ? CONTROL_TIMESTAMP : 0, CONTROL_TIMESTAMP);
}

int spi_message_tx_timestamp(struct spi_socket *socket, uint32_t id, uint64_t *qpc)
{
    uint64_t tsc;
    enum rs_status status = client_tx_stamp(socket->core, id, &tsc);
    if (status == RS_OK) {
        *qpc = spi_qpc_from_tsc(socket->session->client, tsc);
    }
    return spi_wsa_error(status);
}

/* ---- control data of a received datagram ---- */

struct control_out {
    char *buf;
    DWORD size_bytes;
    DWORD used_bytes;
    bool truncated;
};

/* One more object, whole or not at all; those behind one that does not fit are left out, too. */
static void control_put(struct control_out *out, int level, int type, const void *data,
                        DWORD data_bytes)
{
    DWORD left_bytes = out->size_bytes - out->used_bytes;
    DWORD needed_bytes = (DWORD)CMSG_HEAD_BYTES + data_bytes;
    if (out->truncated || needed_bytes > left_bytes) {
        out->truncated = true;
        return;
    }
    char *at = out->buf + out->used_bytes;
    const WSACMSGHDR header = {.cmsg_len = needed_bytes, .cmsg_level = level, .cmsg_type = type};
    memcpy(at, &header, sizeof(header));
    memcpy(at + CMSG_HEAD_BYTES, data, data_bytes);
    /* The padding behind the last one may be missing. */
    DWORD space_bytes = (DWORD)CMSG_SPACE(data_bytes);
    out->used_bytes += space_bytes < left_bytes ? space_bytes : left_bytes;
}

static void control_put_addresses(struct control_out *out, const struct client *client,
                                  uint32_t controls, const struct client_recv_info *info)
{
    IN_PKTINFO pktinfo = {.ipi_ifindex = client_interface_of(client, info->interface_be32)};
    pktinfo.ipi_addr.s_addr = info->to_be32;
    if ((controls & CONTROL_PKTINFO) != 0) {
        control_put(out, IPPROTO_IP, IP_PKTINFO, &pktinfo, sizeof(pktinfo));
    }
    if ((controls & CONTROL_RECVIF) != 0) {
        control_put(out, IPPROTO_IP, IP_RECVIF, &pktinfo.ipi_ifindex, sizeof(pktinfo.ipi_ifindex));
    }
    if ((controls & CONTROL_ARRIVAL_IF) != 0) {
        control_put(out, IPPROTO_IP, IP_ORIGINAL_ARRIVAL_IF, &pktinfo.ipi_ifindex,
                    sizeof(pktinfo.ipi_ifindex));
    }
}

static void control_fill(struct control_out *out, const struct spi_socket *socket,
                         const struct client_recv_info *info)
{
    uint32_t controls = atomic_load_explicit(&socket->controls, memory_order_relaxed);
    const INT ttl = info->ttl, tos = info->tos, ecn = info->tos & ECN_MASK;
    if ((controls & CONTROL_ADDRESSES) != 0 && (info->flags & RS_DGRAM_EXT) != 0) {
        control_put_addresses(out, socket->session->client, controls, info);
    }
    if ((controls & CONTROL_TTL) != 0) {
        control_put(out, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
    }
    if ((controls & CONTROL_TOS) != 0) {
        control_put(out, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
    }
    if ((controls & CONTROL_ECN) != 0) {
        control_put(out, IPPROTO_IP, IP_ECN, &ecn, sizeof(ecn));
    }
    if ((controls & CONTROL_TIMESTAMP) != 0) {
        const UINT64 qpc = spi_qpc_from_tsc(socket->session->client, info->rx_tsc);
        control_put(out, SOL_SOCKET, SO_TIMESTAMP, &qpc, sizeof(qpc));
    }
}

/* ---- WSARecvMsg ---- */

/* A name without a length, and control data without one, are not given. */
static bool message_parts_ok(const WSAMSG *msg)
{
    return (msg->name != NULL || msg->namelen == 0) &&
           (msg->Control.buf != NULL || msg->Control.len == 0);
}

static int recv_msg_check(const struct spi_socket *socket, const WSAMSG *msg, LPDWORD received)
{
    if (socket->stream || (msg->dwFlags & ~(DWORD)MSG_PEEK) != 0) {
        return WSAEOPNOTSUPP; /* for datagrams; MSG_PEEK is the only flag */
    }
    if (!message_parts_ok(msg) || !spi_can_write(received, sizeof(*received)) ||
        !spi_can_write(msg->Control.buf, msg->Control.len)) {
        return WSAEFAULT;
    }
    INT name_bytes = msg->namelen;
    return name_bytes != 0 ? spi_sockaddr_room(socket, msg->name, &name_bytes) : 0;
}

/* What WSAMSG tells beside the data. */
static int recv_msg_tell(const struct spi_socket *socket, const struct client_recv_info *info,
                         bool cut, LPWSAMSG msg)
{
    struct control_out control = {.buf = msg->Control.buf, .size_bytes = msg->Control.len};
    control_fill(&control, socket, info);
    msg->Control.len = control.used_bytes;
    if (msg->namelen != 0) {
        spi_sockaddr_write(socket, &info->from, msg->name, &msg->namelen);
    }
    msg->dwFlags = (cut ? MSG_TRUNC : 0u) | (control.truncated ? MSG_CTRUNC : 0u) |
                   ((info->flags & RS_DGRAM_BROADCAST) != 0 ? MSG_BCAST : 0u) |
                   ((info->flags & RS_DGRAM_MULTICAST) != 0 ? MSG_MCAST : 0u);
    return cut || control.truncated ? WSAEMSGSIZE : 0;
}

static int recv_msg(struct spi_socket *socket, LPWSAMSG msg, LPDWORD received)
{
    struct spi_vector vector;
    struct client_recv_info info;
    size_t received_bytes = 0;
    int code = recv_msg_check(socket, msg, received);
    if (code == 0) {
        code = spi_vector_take(&vector, msg->lpBuffers, msg->dwBufferCount, true);
    }
    if (code != 0) {
        return code;
    }
    enum rs_status status =
        client_recv(socket->core, vector.items, vector.count,
                    (msg->dwFlags & MSG_PEEK) != 0 ? CLIENT_MSG_PEEK : 0u, &info, &received_bytes);
    spi_vector_drop(&vector);
    if (status != RS_OK && status != RS_MESSAGE_SIZE) {
        return spi_wsa_error(status);
    }
    *received = (DWORD)received_bytes;
    return recv_msg_tell(socket, &info, status == RS_MESSAGE_SIZE, msg);
}

static INT message_result(int code)
{
    if (code == 0) {
        return 0;
    }
    SetLastError((DWORD)code);
    return SOCKET_ERROR;
}

INT WSAAPI spi_recv_msg(SOCKET s, LPWSAMSG msg, LPDWORD received, LPWSAOVERLAPPED overlapped,
                        LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct spi_socket *socket = spi_socket_get(s);
    int code;
    if (socket == NULL) {
        return message_result(WSAENOTSOCK);
    }
    if (!spi_can_write(msg, sizeof(*msg))) {
        code = WSAEFAULT;
    } else if (spi_is_overlapped(socket, overlapped, routine != NULL)) {
        code = WSAEOPNOTSUPP;
    } else {
        code = recv_msg(socket, msg, received);
    }
    spi_events_after(socket, FD_READ | FD_OOB);
    spi_socket_put(socket);
    return message_result(code);
}

/* ---- control data of a datagram to be sent ---- */

/* Source address and interface. Of an interface that has an address the source is that one. */
static int control_take_pktinfo(const struct client *client, const void *data,
                                struct client_send_control *control)
{
    IN_PKTINFO pktinfo;
    uint32_t ip_be32 = 0;
    memcpy(&pktinfo, data, sizeof(pktinfo));
    control->src_be32 = pktinfo.ipi_addr.s_addr;
    if (pktinfo.ipi_ifindex == 0) {
        return 0;
    }
    if (client_interface_addr(client, pktinfo.ipi_ifindex, &ip_be32) != RS_OK) {
        return WSAEADDRNOTAVAIL;
    }
    uint32_t owner = client_interface_of(client, control->src_be32);
    if (control->src_be32 != 0 && owner != 0 && owner != pktinfo.ipi_ifindex) {
        return WSAEADDRNOTAVAIL; /* another one's */
    }
    control->src_be32 = control->src_be32 != 0 ? control->src_be32 : ip_be32;
    return 0;
}

static int control_take_bits(INT value, INT most, uint8_t mask, struct client_send_control *control)
{
    if (value < 0 || value > most || (value & ECN_MASK) == ECN_CE) {
        return WSAEINVAL; /* a program may not say that congestion was met */
    }
    control->tos = (uint8_t)((control->tos & ~mask) | value);
    control->tos_mask |= mask;
    return 0;
}

static int control_take_ip(const struct client *client, int type, const void *data,
                           DWORD data_bytes, struct client_send_control *control)
{
    INT value;
    if (type == IP_PKTINFO) {
        return data_bytes == sizeof(IN_PKTINFO) ? control_take_pktinfo(client, data, control)
                                                : WSAEINVAL;
    }
    if (data_bytes != sizeof(value)) {
        return WSAEINVAL;
    }
    memcpy(&value, data, sizeof(value));
    switch (type) {
    case IP_TTL:
    case IP_HOPLIMIT:
        if (value < 1 || value > UINT8_MAX) {
            return WSAEINVAL;
        }
        control->ttl = (uint8_t)value;
        control->ttl_set = true;
        return 0;
    case IP_TOS:
        return control_take_bits(value, UINT8_MAX, UINT8_MAX, control);
    case IP_ECN:
        return control_take_bits(value, ECN_MASK, ECN_MASK, control);
    default:
        return WSAEINVAL;
    }
}

static int control_take_one(const struct client *client, const WSACMSGHDR *header, const void *data,
                            struct client_send_control *control)
{
    DWORD data_bytes = (DWORD)(header->cmsg_len - CMSG_HEAD_BYTES);
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_TIMESTAMP_ID &&
        data_bytes == sizeof(control->stamp_id)) {
        memcpy(&control->stamp_id, data, sizeof(control->stamp_id));
        control->stamped = true;
        return 0;
    }
    return header->cmsg_level == IPPROTO_IP
               ? control_take_ip(client, header->cmsg_type, data, data_bytes, control)
               : WSAEINVAL;
}

/* Each header is copied before it is looked at. What is too short for one ends the list, as
 * WSA_CMSG_NXTHDR has it. */
static int control_take(const struct client *client, const WSABUF *buffer,
                        struct client_send_control *control)
{
    size_t off = 0;
    while (buffer->len - off >= sizeof(WSACMSGHDR)) {
        WSACMSGHDR header;
        memcpy(&header, buffer->buf + off, sizeof(header));
        if (header.cmsg_len < CMSG_HEAD_BYTES || header.cmsg_len > buffer->len - off) {
            return WSAEINVAL;
        }
        int code = control_take_one(client, &header, buffer->buf + off + CMSG_HEAD_BYTES, control);
        if (code != 0) {
            return code;
        }
        size_t step = CMSG_ALIGN((size_t)header.cmsg_len);
        off = step < buffer->len - off ? off + step : buffer->len;
    }
    return 0;
}

/* ---- WSASendMsg ---- */

struct send_msg {
    const struct rs_addr *to; /* NULL: the peer */
    struct rs_addr name;
    struct client_send_control control;
};

static int send_msg_check(struct spi_socket *socket, const WSAMSG *msg, DWORD flags, LPDWORD sent,
                          struct send_msg *call)
{
    if (socket->stream || (flags & ~(DWORD)MSG_DONTROUTE) != 0) {
        return WSAEOPNOTSUPP; /* for datagrams, which are neither partial nor urgent */
    }
    if (!message_parts_ok(msg) || !spi_can_write(sent, sizeof(*sent)) ||
        !spi_can_read(msg->Control.buf, msg->Control.len)) {
        return WSAEFAULT;
    }
    int code = control_take(socket->session->client, &msg->Control, &call->control);
    if (code == 0 && msg->namelen != 0) {
        code = spi_sockaddr_read(socket, msg->name, msg->namelen, &call->name);
        call->to = &call->name;
    } else {
        call->to = spi_leaf(socket, &call->name);
    }
    return code;
}

static int send_msg(struct spi_socket *socket, const WSAMSG *msg, DWORD flags, LPDWORD sent)
{
    struct spi_vector vector;
    struct send_msg call = {.to = NULL};
    size_t sent_bytes = 0;
    int code = send_msg_check(socket, msg, flags, sent, &call);
    if (code == 0) {
        code = spi_vector_take(&vector, msg->lpBuffers, msg->dwBufferCount, false);
    }
    if (code != 0) {
        return code;
    }
    enum rs_status status =
        msg->Control.len != 0
            ? client_send_with(socket->core, vector.items, vector.count, 0, call.to, &call.control,
                               &sent_bytes)
            : client_send(socket->core, vector.items, vector.count, 0, call.to, &sent_bytes);
    spi_vector_drop(&vector);
    if (status != RS_OK) {
        return status == RS_DEST_REQUIRED ? WSAENOTCONN : spi_wsa_error(status);
    }
    *sent = (DWORD)sent_bytes;
    return 0;
}

INT WSAAPI spi_send_msg(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                        LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    struct spi_socket *socket = spi_socket_get(s);
    int code;
    if (socket == NULL) {
        return message_result(WSAENOTSOCK);
    }
    if (!spi_can_read(msg, sizeof(*msg))) {
        code = WSAEFAULT;
    } else if (spi_is_overlapped(socket, overlapped, routine != NULL)) {
        code = WSAEOPNOTSUPP;
    } else {
        const WSAMSG copy = *msg;
        code = send_msg(socket, &copy, flags, sent);
    }
    if (code == WSAEWOULDBLOCK) {
        spi_events_after(socket, FD_WRITE);
    }
    spi_socket_put(socket);
    return message_result(code);
}
