/*
 * Sends and receives as operations: what WSPSend, WSPSendTo, WSPRecv and WSPRecvFrom start when
 * they are overlapped, or wait in when overlapped ones are before them. Buffers and addresses are
 * checked when the call is made, and again when the helper comes to it, since the program may have
 * given them back. Any thread.
 */
#include <mimalloc.h>

#include "provider/include/ringsock.h"
#include "provider/spi/io.h"
#include "provider/spi/message.h"
#include "provider/spi/overlapped.h"

struct io_op {
    struct spi_op op;
    struct rs_addr to;
    bool has_to;
    bool gone;   /* the program has given its memory back: WSAEFAULT */
    DWORD flags; /* MSG_* */
    struct sockaddr *from;
    LPINT from_bytes;
    size_t done_bytes;      /* of a stream, or of several datagrams */
    uint32_t segment_bytes; /* UDP_SEND_MSG_SIZE; 0: one datagram */
    /* What is left of the buffers; the first may have begun. */
    uint32_t at, count;
    struct client_iov items[];
};

static struct io_op *io_of(struct spi_op *op)
{
    return (struct io_op *)op;
}

bool spi_buffers_are_there(const struct client_iov *items, uint32_t count, bool write)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!(write ? spi_can_write(items[i].base, items[i].len_bytes)
                    : spi_can_read(items[i].base, items[i].len_bytes))) {
            return false;
        }
    }
    return true;
}

/* The next items, of bytes together or what is left; the last one is shortened until io_mend. */
struct io_part {
    uint32_t count;
    size_t cut_bytes;
};

static struct io_part io_cut(struct io_op *io, size_t bytes)
{
    uint32_t last = io->at;
    for (; last + 1 < io->count && io->items[last].len_bytes < bytes; last++) {
        bytes -= io->items[last].len_bytes;
    }
    struct io_part part = {.count = last - io->at + 1};
    if (io->items[last].len_bytes > bytes) {
        part.cut_bytes = io->items[last].len_bytes - bytes;
        io->items[last].len_bytes = bytes;
    }
    return part;
}

static void io_mend(struct io_op *io, const struct io_part *part)
{
    io->items[io->at + part->count - 1].len_bytes += part->cut_bytes;
}

static size_t io_left_bytes(const struct io_op *io)
{
    size_t left = 0;
    for (uint32_t i = io->at; i < io->count; i++) {
        left += io->items[i].len_bytes;
    }
    return left;
}

static void io_advance(struct io_op *io, size_t bytes)
{
    io->done_bytes += bytes;
    while (io->at < io->count && bytes >= io->items[io->at].len_bytes) {
        bytes -= io->items[io->at++].len_bytes;
    }
    if (io->at < io->count) {
        io->items[io->at].base = (char *)io->items[io->at].base + bytes;
        io->items[io->at].len_bytes -= bytes;
    }
}

/* NULL with *code: nothing to drop. */
static struct io_op *io_make(const struct spi_io_call *call, bool write, int *code)
{
    *code = spi_buffers_count(call->buffers, call->count);
    if (*code != 0) {
        return NULL;
    }
    struct io_op *io = mi_malloc(sizeof(*io) + call->count * sizeof(io->items[0]));
    if (io == NULL) {
        *code = WSAENOBUFS;
        return NULL;
    }
    *io = (struct io_op){.op = {.overlapped = call->overlapped,
                                .routine = call->routine,
                                .thread = call->thread,
                                .s = call->s,
                                .part_counts = true},
                         .flags = call->flags,
                         .from = call->from,
                         .from_bytes = call->from_bytes,
                         .count = call->count};
    *code = spi_buffers_take(call->buffers, call->count, write, io->items);
    if (*code != 0) {
        mi_free(io);
        return NULL;
    }
    return io;
}

int spi_io_begin(struct spi_socket *socket, struct spi_op *op, const struct spi_io_way *way,
                 LPINT error)
{
    uint32_t nonblocking = 0;
    uint32_t timeout_ms = 0;
    if (way->notice) {
        return spi_op_submit(socket, op, way->transferred, way->out_flags, error);
    }
    enum rs_status status = client_get_option(socket->core, CLIENT_OPT_NONBLOCKING, &nonblocking);
    if (status == RS_OK) {
        status = client_get_option(socket->core,
                                   op->way == SPI_WAY_SEND ? CLIENT_OPT_SEND_TIMEOUT_MS
                                                           : CLIENT_OPT_RECV_TIMEOUT_MS,
                                   &timeout_ms);
    }
    if (status != RS_OK || nonblocking != 0) {
        mi_free(op);
        return status != RS_OK ? spi_fail_status(error, status) : spi_fail(error, WSAEWOULDBLOCK);
    }
    int code = spi_op_wait(socket, op, timeout_ms, way->transferred, way->out_flags);
    return code == 0 ? 0 : spi_fail(error, code);
}

static int io_begin(const struct spi_io_call *call, struct io_op *io, LPINT error)
{
    const struct spi_io_way way = {
        .notice = call->notice, .transferred = call->transferred, .out_flags = call->out_flags};
    return spi_io_begin(call->socket, &io->op, &way, error);
}

/* ---- send ---- */

/* A step's. */
static int io_code(const struct io_op *io, enum rs_status status)
{
    if (io->gone) {
        return WSAEFAULT;
    }
    if (status == RS_WOULD_BLOCK) {
        return SPI_OP_PENDING;
    }
    return status == RS_DEST_REQUIRED ? WSAENOTCONN : spi_wsa_error(status);
}

static enum rs_status send_items(struct spi_op *op, const struct client_iov *items, uint32_t count,
                                 uint32_t flags, const struct rs_addr *to, size_t *sent_bytes)
{
    io_of(op)->gone = op->helped && !spi_buffers_are_there(items, count, false);
    return io_of(op)->gone ? RS_INVALID
                           : client_send(op->socket->core, items, count,
                                         flags | CLIENT_MSG_DONTWAIT, to, sent_bytes);
}

/* The next bytes, at most so many. */
static enum rs_status send_some(struct io_op *io, size_t bytes, uint32_t flags,
                                const struct rs_addr *to, size_t *sent_bytes)
{
    struct io_part part = io_cut(io, bytes);
    enum rs_status status =
        send_items(&io->op, io->items + io->at, part.count, flags, to, sent_bytes);
    io_mend(io, &part);
    return status;
}

/* The urgent byte is the last one, so it goes alone, when the others are under way. */
static enum rs_status send_part(struct io_op *io, size_t *sent_bytes)
{
    if ((io->flags & MSG_OOB) == 0 || io_left_bytes(io) <= 1) {
        return send_some(io, SPI_STEP_BYTES, (io->flags & MSG_OOB) != 0 ? CLIENT_MSG_OOB : 0u, NULL,
                         sent_bytes);
    }
    struct client_iov first = io->items[io->at];
    if (io_left_bytes(io) == first.len_bytes) {
        first.len_bytes--;
    }
    first.len_bytes = first.len_bytes < SPI_STEP_BYTES ? first.len_bytes : SPI_STEP_BYTES;
    return send_items(&io->op, &first, 1, 0, NULL, sent_bytes);
}

static int send_stream_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct io_op *io = io_of(op);
    (void)flags;
    enum rs_status status = RS_OK;
    do {
        size_t sent_bytes = 0;
        status = send_part(io, &sent_bytes);
        io_advance(io, sent_bytes);
    } while (status == RS_OK && io->at < io->count);
    *transferred = (DWORD)io->done_bytes;
    return io_code(io, status);
}

/* UDP_SEND_MSG_SIZE: the next datagram of that size, or what is left. */
static enum rs_status send_segment(struct io_op *io)
{
    size_t left_bytes = io_left_bytes(io);
    size_t bytes = left_bytes < io->segment_bytes ? left_bytes : io->segment_bytes;
    size_t sent_bytes = 0;
    enum rs_status status = send_some(io, bytes, 0, io->has_to ? &io->to : NULL, &sent_bytes);
    if (status == RS_OK) {
        io_advance(io, bytes);
    }
    return status;
}

static int send_segments_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct io_op *io = io_of(op);
    (void)flags;
    enum rs_status status;
    do {
        status = send_segment(io);
    } while (status == RS_OK && io->at < io->count);
    *transferred = (DWORD)io->done_bytes;
    return io_code(io, status);
}

static int send_dgram_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct io_op *io = io_of(op);
    size_t sent_bytes = 0;
    (void)flags;
    enum rs_status status =
        send_items(op, io->items, io->count, 0, io->has_to ? &io->to : NULL, &sent_bytes);
    *transferred = (DWORD)sent_bytes;
    return io_code(io, status);
}

int spi_io_send(const struct spi_io_call *call, LPINT error)
{
    struct rs_addr leaf;
    int code = 0;
    if ((call->flags & MSG_RINGSOCK_WARM) != 0) { /* behind others nothing is warmed */
        return spi_fail(error, WSAEOPNOTSUPP);
    }
    if (!(call->notice && call->transferred == NULL) &&
        !spi_can_write(call->transferred, sizeof(*call->transferred))) {
        return spi_fail(error, WSAEFAULT);
    }
    struct io_op *io = io_make(call, false, &code);
    if (io == NULL) {
        return spi_fail(error, code);
    }
    const struct rs_addr *to = call->to != NULL ? call->to : spi_leaf(call->socket, &leaf);
    io->has_to = to != NULL;
    io->to = to != NULL ? *to : (struct rs_addr){.family = RS_FAMILY_NONE};
    io->op.way = SPI_WAY_SEND;
    io->op.want = RS_LEVEL_WRITABLE;
    io->segment_bytes = call->socket->stream ? 0 : spi_kept(call->socket, SPI_KEPT_SEND_MSG_SIZE);
    io->op.step = call->socket->stream     ? send_stream_step
                  : io->segment_bytes != 0 ? send_segments_step
                                           : send_dgram_step;
    return io_begin(call, io, error);
}

/* ---- receive ---- */

/* Without room for a byte a stream's receive ends when there is something to receive. */
static int recv_nothing(struct spi_socket *socket)
{
    char byte;
    struct client_iov iov = {.base = &byte, .len_bytes = 1};
    size_t received_bytes = 0;
    enum rs_status status = client_recv(
        socket->core, &iov, 1, CLIENT_MSG_DONTWAIT | CLIENT_MSG_PEEK, NULL, &received_bytes);
    return status == RS_WOULD_BLOCK ? SPI_OP_PENDING : spi_wsa_error(status);
}

/* What is there, or with MSG_WAITALL the next part of all. */
static enum rs_status recv_part(struct io_op *io, uint32_t flags, size_t *received_bytes)
{
    struct spi_op *op = &io->op;
    struct io_part part = io_cut(io, (io->flags & MSG_WAITALL) != 0 ? SPI_STEP_BYTES : SIZE_MAX);
    const struct client_iov *items = io->items + io->at;
    io->gone = op->helped && !spi_buffers_are_there(items, part.count, true);
    enum rs_status status =
        io->gone ? RS_INVALID
                 : client_recv(op->socket->core, items, part.count, flags, NULL, received_bytes);
    io_mend(io, &part);
    return status;
}

static int recv_stream_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct io_op *io = io_of(op);
    uint32_t core_flags = CLIENT_MSG_DONTWAIT |
                          ((io->flags & MSG_PEEK) != 0 ? CLIENT_MSG_PEEK : 0u) |
                          ((io->flags & MSG_OOB) != 0 ? CLIENT_MSG_OOB : 0u);
    bool all = (io->flags & MSG_WAITALL) != 0;
    (void)flags;
    if (io->done_bytes == 0 && io_left_bytes(io) == 0 && (io->flags & MSG_OOB) == 0) {
        return recv_nothing(op->socket);
    }
    enum rs_status status = RS_OK;
    size_t received_bytes = 0;
    do {
        status = recv_part(io, core_flags, &received_bytes);
        io_advance(io, status == RS_OK ? received_bytes : 0);
    } while (status == RS_OK && all && received_bytes != 0 && io_left_bytes(io) != 0);
    *transferred = (DWORD)io->done_bytes;
    return io_code(io, status);
}

static int recv_dgram_step(struct spi_op *op, DWORD *transferred, DWORD *flags)
{
    struct io_op *io = io_of(op);
    struct client_recv_info info;
    size_t received_bytes = 0;
    /* Before it is taken: a datagram must not be lost to memory that is gone. */
    if (op->helped && !spi_buffers_are_there(io->items, io->count, true)) {
        return WSAEFAULT;
    }
    if (op->helped && io->from != NULL &&
        spi_sockaddr_room(op->socket, io->from, io->from_bytes) != 0) {
        return WSAEFAULT;
    }
    enum rs_status status =
        client_recv(op->socket->core, io->items, io->count,
                    CLIENT_MSG_DONTWAIT | ((io->flags & MSG_PEEK) != 0 ? CLIENT_MSG_PEEK : 0u),
                    &info, &received_bytes);
    if (status == RS_WOULD_BLOCK) {
        return SPI_OP_PENDING;
    }
    if (status == RS_OK || status == RS_MESSAGE_SIZE) {
        *transferred = (DWORD)received_bytes;
        *flags = status == RS_MESSAGE_SIZE ? MSG_PARTIAL : 0;
        if (io->from != NULL) {
            spi_sockaddr_write(op->socket, &info.from, io->from, io->from_bytes);
        }
    }
    return spi_wsa_error(status);
}

/* WSPRecv's page: not on a socket that does not block, not with MSG_PEEK; and an urgent byte is all
 * there is of its kind. */
static bool recv_all_is_wrong(const struct spi_io_call *call)
{
    uint32_t nonblocking = 0;
    return (call->flags & MSG_WAITALL) != 0 &&
           ((call->flags & (MSG_PEEK | MSG_OOB)) != 0 ||
            client_get_option(call->socket->core, CLIENT_OPT_NONBLOCKING, &nonblocking) != RS_OK ||
            nonblocking != 0);
}

int spi_io_recv(const struct spi_io_call *call, LPINT error)
{
    int code = 0;
    if (recv_all_is_wrong(call)) {
        return spi_fail(error, WSAEOPNOTSUPP);
    }
    struct io_op *io = io_make(call, true, &code);
    if (io == NULL) {
        return spi_fail(error, code);
    }
    bool urgent = (call->flags & MSG_OOB) != 0;
    /* Urgent bytes do not wait behind what they overtake. */
    io->op.way = urgent ? SPI_WAY_OTHER : SPI_WAY_RECV;
    io->op.want = urgent ? CLIENT_POLL_URGENT | RS_LEVEL_ERROR : RS_LEVEL_READABLE;
    io->op.step = call->socket->stream ? recv_stream_step : recv_dgram_step;
    return io_begin(call, io, error);
}
