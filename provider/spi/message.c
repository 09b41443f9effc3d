/*
 * Datagrams with control data: WSARecvMsg, WSASendMsg, the options that say which data, timestamps.
 * A program calls the two functions directly (extension.c), so they report by the thread's last
 * error. Overlapped ones, and those with some before them, are operations (overlapped.h): what the
 * WSAMSG and its buffers say is read when the call is made. Any thread.
 */
#include "provider/spi/message.h"
#include "provider/spi/events.h"
#include "provider/spi/extension.h"
#include "provider/spi/io.h"
#include "provider/spi/option_names.h"

#include <mimalloc.h>
#include <string.h>

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

/* ---- calls and operations ---- */

/* A name without a length, and control data without one, are not given. */
static bool message_parts_ok(const WSAMSG *msg)
{
    return (msg->name != NULL || msg->namelen == 0) &&
           (msg->Control.buf != NULL || msg->Control.len == 0);
}

struct send_msg {
    const struct rs_addr *to; /* NULL: the peer */
    struct rs_addr name;
    struct client_send_control control;
};

struct message_op {
    struct spi_op op;
    LPWSAMSG out; /* receiving: the program's */
    WSAMSG msg;   /* as it was when the call was made */
    struct send_msg send;
    uint32_t count;
    struct client_iov items[];
};

/* What a call of either function is given. */
struct message_call {
    struct spi_socket *socket;
    SOCKET s;
    LPWSAMSG out; /* receiving */
    WSAMSG msg;
    LPDWORD transferred;
    LPWSAOVERLAPPED overlapped;
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    bool notice;
};

/* Who gets notice need not ask for the count. */
static bool message_count_ok(const struct message_call *call)
{
    return (call->notice && call->transferred == NULL) ||
           spi_can_write(call->transferred, sizeof(*call->transferred));
}

/* 0, or an error that comes at once; WSA_IO_PENDING. */
static int message_begin(const struct message_call *call, const struct send_msg *send,
                         int (*step)(struct spi_op *op, DWORD *transferred, DWORD *flags))
{
    const struct spi_io_way way = {.notice = call->notice, .transferred = call->transferred};
    int code = spi_buffers_count(call->msg.lpBuffers, call->msg.dwBufferCount);
    if (code != 0) {
        return code;
    }
    uint32_t count = call->msg.dwBufferCount;
    struct message_op *message = mi_malloc(sizeof(*message) + count * sizeof(message->items[0]));
    if (message == NULL) {
        return WSAENOBUFS;
    }
    *message = (struct message_op){.op = {.overlapped = call->overlapped,
                                          .routine = call->routine,
                                          .s = call->s,
                                          .step = step},
                                   .out = call->out,
                                   .msg = call->msg,
                                   .count = count};
    message->op.way = send != NULL ? SPI_WAY_SEND : SPI_WAY_RECV;
    message->op.want = send != NULL ? RS_LEVEL_WRITABLE : RS_LEVEL_READABLE;
    if (send != NULL) {
        message->send = *send;
        message->send.to = send->to != NULL ? &message->send.name : NULL;
    }
    code = spi_buffers_take(call->msg.lpBuffers, count, send == NULL, message->items);
    if (code != 0) {
        mi_free(message);
        return code;
    }
    (void)spi_io_begin(call->socket, &message->op, &way, &code);
    return code;
}

/* ---- WSARecvMsg ---- */

/* Is what it fills in beside the data there? */
static int recv_msg_room(const struct spi_socket *socket, const WSAMSG *msg)
{
    INT name_bytes = msg->namelen;
    if (!message_parts_ok(msg) || !spi_can_write(msg->Control.buf, msg->Control.len)) {
        return WSAEFAULT;
    }
    return name_bytes != 0 ? spi_sockaddr_room(socket, msg->name, &name_bytes) : 0;
}

static int recv_msg_check(const struct message_call *call)
{
    if (call->socket->stream || (call->msg.dwFlags & ~(DWORD)MSG_PEEK) != 0) {
        return WSAEOPNOTSUPP; /* for datagrams; MSG_PEEK is the only flag */
    }
    return message_count_ok(call) ? recv_msg_room(call->socket, &call->msg) : WSAEFAULT;
}

/* What WSAMSG tells beside the data. */
static int recv_msg_tell(const struct spi_socket *socket, const struct client_recv_info *info,
                         bool cut, const WSAMSG *msg, LPWSAMSG out)
{
    struct control_out control = {.buf = msg->Control.buf, .size_bytes = msg->Control.len};
    control_fill(&control, socket, info);
    out->Control.len = control.used_bytes;
    if (msg->namelen != 0) {
        spi_sockaddr_write(socket, &info->from, msg->name, &out->namelen);
    }
    out->dwFlags = (cut ? MSG_TRUNC : 0u) | (control.truncated ? MSG_CTRUNC : 0u) |
                   ((info->flags & RS_DGRAM_BROADCAST) != 0 ? MSG_BCAST : 0u) |
                   ((info->flags & RS_DGRAM_MULTICAST) != 0 ? MSG_MCAST : 0u);
    return cut || control.truncated ? WSAEMSGSIZE : 0;
}

/* The next datagram. *received stays as it is when there is none. */
static int recv_msg_take(struct spi_socket *socket, const struct client_iov *items, uint32_t count,
                         uint32_t core_flags, const WSAMSG *msg, LPWSAMSG out, LPDWORD received)
{
    struct client_recv_info info;
    size_t received_bytes = 0;
    core_flags |= (msg->dwFlags & MSG_PEEK) != 0 ? CLIENT_MSG_PEEK : 0u;
    enum rs_status status =
        client_recv(socket->core, items, count, core_flags, &info, &received_bytes);
    if (status != RS_OK && status != RS_MESSAGE_SIZE) {
        return spi_wsa_error(status);
    }
    *received = (DWORD)received_bytes;
    return recv_msg_tell(socket, &info, status == RS_MESSAGE_SIZE, msg, out);
}

static int recv_msg_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct message_op *message = (struct message_op *)op;
    /* Before it is taken: a datagram must not be lost to memory that is gone. */
    if (op->helped && (!spi_can_write(message->out, sizeof(*message->out)) ||
                       !spi_buffers_are_there(message->items, message->count, true) ||
                       recv_msg_room(op->socket, &message->msg) != 0)) {
        return WSAEFAULT;
    }
    int code = recv_msg_take(op->socket, message->items, message->count, CLIENT_MSG_DONTWAIT,
                             &message->msg, message->out, transferred);
    if (code == WSAEWOULDBLOCK) {
        return SPI_OP_PENDING;
    }
    *flags = code == 0 || code == WSAEMSGSIZE ? message->out->dwFlags : 0;
    return code;
}

static int recv_msg(const struct message_call *call)
{
    struct spi_vector vector;
    int code = recv_msg_check(call);
    if (code != 0) {
        return code;
    }
    if (call->notice || spi_io_has_before(call->socket, SPI_ATTENTION_RECV)) {
        return message_begin(call, NULL, recv_msg_step);
    }
    code = spi_vector_take(&vector, call->msg.lpBuffers, call->msg.dwBufferCount, true);
    if (code == 0) {
        code = recv_msg_take(call->socket, vector.items, vector.count, 0, &call->msg, call->out,
                             call->transferred);
        spi_vector_drop(&vector);
    }
    return code;
}

static INT message_result(int code)
{
    if (code == 0) {
        return 0;
    }
    (void)spi_fail(&code, code);
    SetLastError((DWORD)code);
    return SOCKET_ERROR;
}

INT WSAAPI spi_recv_msg(SOCKET s, LPWSAMSG msg, LPDWORD received, LPWSAOVERLAPPED overlapped,
                        LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    int code;
    struct spi_socket *socket = spi_extension_socket(s, &code);
    if (socket == NULL) {
        return message_result(code);
    }
    if (!spi_can_write(msg, sizeof(*msg))) {
        code = WSAEFAULT;
    } else {
        const struct message_call call = {
            .socket = socket,
            .s = s,
            .out = msg,
            .msg = *msg,
            .transferred = received,
            .overlapped = overlapped,
            .routine = routine,
            .notice = spi_is_overlapped(socket, overlapped, routine != NULL)};
        code = recv_msg(&call);
    }
    spi_events_after(socket, FD_READ | FD_OOB);
    spi_socket_put(socket);
    return message_result(code);
}

/* ---- control data of a datagram to be sent ---- */

/* Source address and interface. Of an interface that has addresses the source is one of them. */
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
    control->interface_idx = pktinfo.ipi_ifindex;
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

static int send_msg_check(const struct message_call *call, DWORD flags, struct send_msg *send)
{
    struct spi_socket *socket = call->socket;
    const WSAMSG *msg = &call->msg;
    if (socket->stream || (flags & ~(DWORD)MSG_DONTROUTE) != 0) {
        return WSAEOPNOTSUPP; /* for datagrams, which are neither partial nor urgent */
    }
    if (!message_parts_ok(msg) || !message_count_ok(call) ||
        !spi_can_read(msg->Control.buf, msg->Control.len)) {
        return WSAEFAULT;
    }
    int code = control_take(socket->session->client, &msg->Control, &send->control);
    if (code == 0 && msg->namelen != 0) {
        code = spi_sockaddr_read(socket, msg->name, msg->namelen, &send->name);
        send->to = &send->name;
    } else {
        send->to = spi_leaf(socket, &send->name);
    }
    return code;
}

static enum rs_status send_msg_put(struct spi_socket *socket, const struct client_iov *items,
                                   uint32_t count, uint32_t core_flags, bool has_control,
                                   const struct send_msg *send, size_t *sent_bytes)
{
    return has_control ? client_send_with(socket->core, items, count, core_flags, send->to,
                                          &send->control, sent_bytes)
                       : client_send(socket->core, items, count, core_flags, send->to, sent_bytes);
}

static int send_msg_code(enum rs_status status)
{
    return status == RS_DEST_REQUIRED ? WSAENOTCONN : spi_wsa_error(status);
}

static int send_msg_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct message_op *message = (struct message_op *)op;
    size_t sent_bytes = 0;
    (void)flags;
    if (op->helped && !spi_buffers_are_there(message->items, message->count, false)) {
        return WSAEFAULT;
    }
    enum rs_status status =
        send_msg_put(op->socket, message->items, message->count, CLIENT_MSG_DONTWAIT,
                     message->msg.Control.len != 0, &message->send, &sent_bytes);
    *transferred = (DWORD)sent_bytes;
    return status == RS_WOULD_BLOCK ? SPI_OP_PENDING : send_msg_code(status);
}

static int send_msg(const struct message_call *call, DWORD flags)
{
    struct spi_vector vector;
    struct send_msg send = {.to = NULL};
    size_t sent_bytes = 0;
    int code = send_msg_check(call, flags, &send);
    if (code != 0) {
        return code;
    }
    if (call->notice || spi_io_has_before(call->socket, SPI_ATTENTION_SEND)) {
        return message_begin(call, &send, send_msg_step);
    }
    code = spi_vector_take(&vector, call->msg.lpBuffers, call->msg.dwBufferCount, false);
    if (code != 0) {
        return code;
    }
    enum rs_status status = send_msg_put(call->socket, vector.items, vector.count, 0,
                                         call->msg.Control.len != 0, &send, &sent_bytes);
    spi_vector_drop(&vector);
    if (status == RS_OK) {
        *call->transferred = (DWORD)sent_bytes;
    }
    return send_msg_code(status);
}

INT WSAAPI spi_send_msg(SOCKET s, LPWSAMSG msg, DWORD flags, LPDWORD sent,
                        LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
    int code;
    struct spi_socket *socket = spi_extension_socket(s, &code);
    if (socket == NULL) {
        return message_result(code);
    }
    if (!spi_can_read(msg, sizeof(*msg))) {
        code = WSAEFAULT;
    } else {
        const struct message_call call = {
            .socket = socket,
            .s = s,
            .msg = *msg,
            .transferred = sent,
            .overlapped = overlapped,
            .routine = routine,
            .notice = spi_is_overlapped(socket, overlapped, routine != NULL)};
        code = send_msg(&call, flags);
    }
    if (code == WSAEWOULDBLOCK) {
        spi_events_after(socket, FD_WRITE);
    }
    spi_socket_put(socket);
    return message_result(code);
}
